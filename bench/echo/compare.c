/* Compares two echo servers that run at the same time: short slices of load go to one, then the other, in the order A B B A, and the ratio A/B
 * is taken inside each pair of slices. Prints, for throughput, CPU time of the server per request and latency, the median ratio with a
 * 95 % interval (bootstrap over pairs). No run is dropped. Every reply is checked byte by byte.
 *
 *     compare [--connections N] [--size BYTES] [--pairs N] [--slice MS] [--server-cpu N] [--load-cpu N] -- A ARGS... -- B ARGS...
 *
 * Each server is started here, prints "listening on 127.0.0.1:PORT", and is ended here. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PAIRS_MAX = 96, CONNECTIONS_MAX = 10000, SAMPLES_MAX = 1 << 20, RESAMPLES = 2000 };

typedef struct connection {
    int fd;
    size_t got;
    int64_t sent_ns;
    unsigned char salt;
} connection;

typedef struct server {
    char **argv;
    pid_t pid;
    clockid_t clock;
    int poller;
    connection *conns;
} server;

typedef struct slice {
    double requests_per_s, cpu_ns, p50_us, p99_us;
} slice;

static int connections = 64, pairs = 16, slice_ms = 600;
static unsigned server_cpu = 0, load_cpu = 1;
static size_t size = 64;
static unsigned char *message, *reply;
static uint32_t *latency_ns;
static size_t samples;

static void die(const char *what)
{
    fprintf(stderr, "compare: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t read_clock(clockid_t clock)
{
    struct timespec t;
    if (clock_gettime(clock, &t) < 0)
        die("the server's clock (has it ended?)");
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void bind_to(unsigned cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    sched_setaffinity(0, sizeof set, &set); /* refused: then it floats, and the result says less */
}

/* Starts it and returns the port it listens on. */
static int start(server *s)
{
    int out[2];
    char line[256];
    if (pipe(out) < 0 || (s->pid = fork()) < 0)
        die("start");
    if (s->pid == 0) {
        bind_to(server_cpu);
        dup2(out[1], 1);
        close(out[0]);
        close(out[1]);
        execvp(s->argv[0], s->argv);
        die(s->argv[0]);
    }
    close(out[1]);
    FILE *f = fdopen(out[0], "r");
    while (fgets(line, sizeof line, f)) {
        char *colon = strrchr(line, ':');
        if (strstr(line, "listening on") && colon) {
            if (clock_getcpuclockid(s->pid, &s->clock) != 0)
                die("clock_getcpuclockid");
            return atoi(colon + 1);
        }
    }
    die("the server did not say where it listens");
    return 0;
}

static void connect_all(server *s, int port)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    s->poller = epoll_create1(EPOLL_CLOEXEC);
    s->conns = calloc((size_t)connections, sizeof *s->conns);
    for (int i = 0; i < connections; i++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
        if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof addr) < 0)
            die("connect");
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        s->conns[i] = (connection){.fd = fd, .salt = (unsigned char)i};
        struct epoll_event e = {.events = EPOLLIN, .data.u32 = (uint32_t)i};
        epoll_ctl(s->poller, EPOLL_CTL_ADD, fd, &e);
    }
}

static void send_one(connection *c)
{
    memset(message, ++c->salt, size);
    c->got = 0;
    c->sent_ns = read_clock(CLOCK_MONOTONIC);
    for (size_t at = 0; at < size;) {
        ssize_t n = send(c->fd, message + at, size - at, MSG_NOSIGNAL);
        if (n < 0)
            die("send");
        at += (size_t)n;
    }
}

/* Reads what is there; 1 once the reply is complete. */
static int receive(connection *c)
{
    ssize_t n = recv(c->fd, reply, size - c->got, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN))
        die("the server closed a connection");
    for (ssize_t i = 0; i < n; i++)
        if (reply[i] != c->salt) {
            fprintf(stderr, "compare: a wrong byte came back\n");
            exit(1);
        }
    c->got += n > 0 ? (size_t)n : 0;
    return c->got == size;
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static slice run_slice(server *s)
{
    struct epoll_event events[256];
    int64_t cpu = read_clock(s->clock), begin = read_clock(CLOCK_MONOTONIC), end = begin + slice_ms * 1000000ll;
    long done = 0;
    int flying = connections;
    samples = 0;
    for (int i = 0; i < connections; i++)
        send_one(&s->conns[i]);
    while (flying > 0) {
        int n = epoll_wait(s->poller, events, 256, 10000);
        if (n <= 0)
            die("no reply for 10 s");
        for (int i = 0; i < n; i++) {
            connection *c = &s->conns[events[i].data.u32];
            if (!receive(c))
                continue;
            int64_t now = read_clock(CLOCK_MONOTONIC);
            if (samples < SAMPLES_MAX)
                latency_ns[samples++] = (uint32_t)(now - c->sent_ns);
            done++;
            if (now < end)
                send_one(c);
            else
                flying--;
        }
    }
    int64_t took = read_clock(CLOCK_MONOTONIC) - begin;
    qsort(latency_ns, samples, sizeof *latency_ns, by_value);
    return (slice){(double)done * 1e9 / (double)took, (double)(read_clock(s->clock) - cpu) / (double)done,
                   latency_ns[samples / 2] / 1e3, latency_ns[samples * 99 / 100] / 1e3};
}

static int by_double(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *v, int n)
{
    qsort(v, (size_t)n, sizeof *v, by_double);
    return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

/* The median of the ratios and where it lies 95 times of 100 when the pairs are drawn anew. */
static void report(const char *what, const double *ratio, double a, double b, const char *unit)
{
    double medians[RESAMPLES], copy[PAIRS_MAX];
    uint64_t random = 88172645463325252ull;
    for (int k = 0; k < RESAMPLES; k++) {
        for (int i = 0; i < pairs; i++) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            copy[i] = ratio[random % (uint64_t)pairs];
        }
        medians[k] = median(copy, pairs);
    }
    qsort(medians, RESAMPLES, sizeof medians[0], by_double);
    memcpy(copy, ratio, sizeof copy[0] * (size_t)pairs);
    printf("  %-24s A/B %.3f  [%.3f, %.3f]   A %.1f  B %.1f %s\n", what, median(copy, pairs), medians[RESAMPLES / 40],
           medians[RESAMPLES - RESAMPLES / 40 - 1], a, b, unit);
}

static void compare(server *a, server *b)
{
    static slice sa[PAIRS_MAX], sb[PAIRS_MAX];
    double r[PAIRS_MAX], va[PAIRS_MAX], vb[PAIRS_MAX];
    run_slice(a); /* warm */
    run_slice(b);
    for (int i = 0; i < pairs; i++) {
        if (i % 2 == 0)
            sa[i] = run_slice(a);
        sb[i] = run_slice(b);
        if (i % 2 == 1)
            sa[i] = run_slice(a);
    }
    static const struct { const char *what, *unit; size_t at; } rows[] = {{"throughput", "requests/s", offsetof(slice, requests_per_s)},
        {"server CPU per request", "ns", offsetof(slice, cpu_ns)}, {"latency p50", "us", offsetof(slice, p50_us)},
        {"latency p99", "us", offsetof(slice, p99_us)}};
    for (size_t k = 0; k < sizeof rows / sizeof rows[0]; k++) {
        for (int i = 0; i < pairs; i++) {
            va[i] = *(double *)(void *)((char *)&sa[i] + rows[k].at);
            vb[i] = *(double *)(void *)((char *)&sb[i] + rows[k].at);
            r[i] = va[i] / vb[i];
        }
        report(rows[k].what, r, median(va, pairs), median(vb, pairs), rows[k].unit);
    }
}

static int number(const char *text, int low, int high)
{
    char *end;
    long n = strtol(text, &end, 10);
    if (*end || n < low || n > high) {
        fprintf(stderr, "compare: %s is no number from %d to %d\n", text, low, high);
        exit(2);
    }
    return (int)n;
}

int main(int argc, char **argv)
{
    server s[2] = {{0}, {0}};
    int at = 1, servers = 0;
    for (; at + 1 < argc && strcmp(argv[at], "--"); at += 2) {
        const char *o = argv[at], *v = argv[at + 1];
        if (!strcmp(o, "--connections"))
            connections = number(v, 1, CONNECTIONS_MAX);
        else if (!strcmp(o, "--size"))
            size = (size_t)number(v, 1, 1 << 20);
        else if (!strcmp(o, "--pairs"))
            pairs = number(v, 2, PAIRS_MAX);
        else if (!strcmp(o, "--slice"))
            slice_ms = number(v, 10, 10000);
        else if (!strcmp(o, "--server-cpu"))
            server_cpu = (unsigned)number(v, 0, 1023);
        else if (!strcmp(o, "--load-cpu"))
            load_cpu = (unsigned)number(v, 0, 1023);
        else {
            fprintf(stderr, "compare: no option %s\n", o);
            return 2;
        }
    }
    for (; at < argc && servers < 2; at++)
        if (!strcmp(argv[at], "--")) {
            argv[at] = NULL; /* ends the arguments before it */
            s[servers++].argv = &argv[at + 1];
        }
    if (servers != 2) {
        fprintf(stderr, "compare: two commands, each after --\n");
        return 2;
    }
    message = malloc(size);
    reply = malloc(size);
    latency_ns = malloc(sizeof *latency_ns * SAMPLES_MAX);
    bind_to(load_cpu);
    for (int i = 0; i < 2; i++)
        connect_all(&s[i], start(&s[i]));
    printf("%d connections, %zu bytes, %d pairs of %d ms; A: %s, B: %s\n", connections, size, pairs, slice_ms, s[0].argv[0], s[1].argv[0]);
    fflush(stdout);
    compare(&s[0], &s[1]);
    for (int i = 0; i < 2; i++) {
        kill(s[i].pid, SIGKILL);
        waitpid(s[i].pid, NULL, 0);
    }
    return 0;
}
