/* The program under load: a child of ours, so that its clock can be read and its end is certain. */
#include "load.h"
#include <arpa/inet.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static _Noreturn void become(pid_t parent, char **argv, const char *cpus, int batch, int go, int out)
{
    struct sched_param none = {0};
    char byte;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* however the load ends, its server does not stay */
    if (getppid() != parent)
        _exit(1); /* it ended before that was asked */
    if (read(go, &byte, 1) != 1)
        _exit(1);
    bind_to(cpus);
    if (batch && sched_setscheduler(0, SCHED_BATCH, &none) < 0)
        die("SCHED_BATCH");
    dup2(out, 1);
    close(go);
    close(out);
    execvp(argv[0], argv);
    die(argv[0]);
}

static void read_address(server *s, int out, const char *name)
{
    char line[512];
    FILE *f = fdopen(out, "r");
    while (f && fgets(line, sizeof line, f)) {
        char *colon = strrchr(line, ':');
        if (!strstr(line, "listening on") || !colon)
            continue;
        s->addr = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(colon + 1)),
                                       .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        return; /* the stream stays open: what the server still says must not fail */
    }
    fail("%s did not say where it listens", name);
}

void server_start(server *s, char **argv, const char *cpus, int batch, void (*prepare)(pid_t pid, void *arg), void *arg)
{
    int go[2], out[2];
    pid_t parent = getpid();
    if (pipe(go) < 0 || pipe(out) < 0 || (s->pid = fork()) < 0)
        die("start");
    if (s->pid == 0) {
        close(go[1]);
        close(out[0]);
        become(parent, argv, cpus, batch, go[0], out[1]);
    }
    close(go[0]);
    close(out[1]);
    if (prepare)
        prepare(s->pid, arg);
    if (write(go[1], "", 1) != 1)
        die("start");
    close(go[1]);
    read_address(s, out[0], argv[0]);
    if (clock_getcpuclockid(s->pid, &s->clock) != 0)
        die("clock_getcpuclockid");
}

void server_end(server *s)
{
    kill(s->pid, SIGTERM);
    for (int i = 0; i < 1000; i++) {
        if (waitpid(s->pid, NULL, WNOHANG) == s->pid)
            return;
        nanosleep(&(struct timespec){.tv_nsec = 10 * 1000 * 1000}, NULL);
    }
    kill(s->pid, SIGKILL);
    waitpid(s->pid, NULL, 0);
}
