/* Counts what a server does for k requests at once. Round by round it writes to k connections, waits for all k answers,
 * and reads how many system calls the server made meanwhile, from a tracepoint, which slows nobody. Both sides share
 * one processor and the server belongs to the scheduling class that never preempts another, so it finds all k requests
 * there when it wakes: the count does not depend on chance.
 *
 *     bench-lockstep [--size BYTES | --http PATH] [--rounds N] [--count 0] [--k 1,16,64,512] [--cpu N]
 *                    -- SERVER ARGS...
 *
 * Prints {"k": {"least": calls of the round that took fewest, "median": of all, "rounds": how many}, ...}; with
 * --count 0 (for servers that run under an instrument) only the rounds are made. Status 77: no tracepoints here. */
#include "load.h"
#include <errno.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { EVENTS = 1024, K_MAX = 16, ROUNDS_MAX = 100000, WARM_UP = 20, NOT_HERE = 77 };

static server target;
static talk words;
static peer *peers;
static int poller;
static int counter = -1;
static int64_t counts[ROUNDS_MAX];

/* ---- the tracepoint ---- */

static long read_id(const char *root)
{
    char path[256];
    long id = -1;
    snprintf(path, sizeof path, "%s/events/raw_syscalls/sys_exit/id", root);
    FILE *f = fopen(path, "r");
    if (!f)
        return -1;
    if (fscanf(f, "%ld", &id) != 1)
        id = -1;
    fclose(f);
    return id;
}

/* Where nothing is mounted, it is mounted for this process alone. */
static long tracepoint(void)
{
    long id = read_id("/sys/kernel/tracing");
    if (id < 0)
        id = read_id("/sys/kernel/debug/tracing");
    if (id >= 0 || unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return id;
    if (mount("none", "/sys/kernel/tracing", "tracefs", 0, NULL) == 0)
        return read_id("/sys/kernel/tracing");
    char where[] = "/tmp/bench-tracing-XXXXXX";
    if (!mkdtemp(where))
        return -1;
    if (mount("none", where, "tracefs", 0, NULL) == 0) {
        id = read_id(where);
        umount2(where, MNT_DETACH);
    }
    rmdir(where);
    return id;
}

/* Opened before the child becomes the server, so that every thread it makes is counted with it. */
static void count_calls(pid_t pid, void *arg)
{
    long *id = arg;
    struct perf_event_attr a = {.size = sizeof a, .type = PERF_TYPE_TRACEPOINT, .config = (uint64_t)*id, .inherit = 1};
    counter = (int)syscall(SYS_perf_event_open, &a, pid, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

static int64_t calls_so_far(void)
{
    uint64_t n = 0;
    if (counter >= 0 && read(counter, &n, sizeof n) != sizeof n)
        die("counter");
    return (int64_t)n;
}

/* ---- rounds ---- */

static void run_round(long k)
{
    struct epoll_event events[EVENTS];
    long missing = k;
    for (long i = 0; i < k; i++)
        peer_ask(&peers[i], &words, 1, 0);
    while (missing > 0) {
        int n = epoll_wait(poller, events, EVENTS, 60000);
        if (n <= 0)
            fail("no answer for 60 s");
        for (int i = 0; i < n; i++) {
            int done = peer_take(&peers[events[i].data.u32], &words);
            if (done < 0)
                fail("the server closed a connection");
            missing -= done;
        }
    }
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* After the last answer the server still goes back to waiting: while we sleep it does. */
static void settle(void) { nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL); }

static void measure(long k, long rounds, const char *comma)
{
    for (int i = 0; i < WARM_UP && counter >= 0; i++)
        run_round(k);
    settle();
    for (long i = 0; i < rounds; i++) {
        int64_t before = calls_so_far();
        run_round(k);
        if (counter >= 0)
            settle();
        counts[i] = calls_so_far() - before;
    }
    qsort(counts, (size_t)rounds, sizeof counts[0], by_value);
    printf("%s\"%ld\":{\"least\":%lld,\"median\":%lld,\"rounds\":%ld}", comma, k, (long long)counts[0], (long long)counts[rounds / 2], rounds);
}

static void connect_all(long n)
{
    poller = epoll_create1(EPOLL_CLOEXEC);
    peers = calloc((size_t)n, sizeof *peers);
    if (poller < 0 || !peers)
        die("start");
    for (long i = 0; i < n; i++) {
        struct epoll_event e = {.events = EPOLLIN | EPOLLET, .data.u32 = (uint32_t)i};
        peer_init(&peers[i], (uint32_t)i, 2);
        peer_connect(&peers[i], &target, 0);
        if (epoll_ctl(poller, EPOLL_CTL_ADD, peers[i].fd, &e) < 0)
            die("epoll_ctl");
    }
}

static long read_list(char *text, long *list)
{
    long n = 0;
    for (char *part = strtok(text, ","); part && n < K_MAX; part = strtok(NULL, ","))
        list[n++] = number(part, 1, 10000);
    return n;
}

int main(int argc, char **argv)
{
    long size = 64, rounds = 200, count = 1, k[K_MAX], ks, most = 0, id = -1;
    char list[128] = "1,16,64,512";
    const char *cpu = "0", *http_path = NULL;
    int at = 1;
    for (; at + 1 < argc && strcmp(argv[at], "--") != 0; at += 2) {
        const char *o = argv[at], *v = argv[at + 1];
        if (strcmp(o, "--size") == 0)
            size = number(v, 1, 1 << 20);
        else if (strcmp(o, "--rounds") == 0)
            rounds = number(v, 1, ROUNDS_MAX);
        else if (strcmp(o, "--count") == 0)
            count = number(v, 0, 1);
        else if (strcmp(o, "--http") == 0)
            http_path = v;
        else if (strcmp(o, "--cpu") == 0)
            cpu = v;
        else if (strcmp(o, "--k") == 0)
            snprintf(list, sizeof list, "%s", v);
        else
            fail("no option %s", o);
    }
    if (at + 1 >= argc)
        fail("what to run comes after --");
    ks = read_list(list, k);
    for (long i = 0; i < ks; i++)
        most = k[i] > most ? k[i] : most;
    allow_descriptors();
    if (count && (id = tracepoint()) < 0) {
        fprintf(stderr, "lockstep: no tracepoint of system calls here (it needs root and tracefs)\n");
        return NOT_HERE;
    }
    bind_to(cpu);
    server_start(&target, &argv[at + 1], cpu, 1, count ? count_calls : NULL, &id);
    if (count && counter < 0) {
        fprintf(stderr, "lockstep: the tracepoint cannot be opened: %s\n", strerror(errno));
        server_end(&target);
        return NOT_HERE;
    }
    talk_prepare(&words, (size_t)size, http_path);
    connect_all(most);
    putchar('{');
    for (long i = 0; i < ks; i++)
        measure(k[i], rounds, i ? "," : "");
    puts("}");
    server_end(&target);
    return 0;
}
