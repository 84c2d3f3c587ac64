/* The load generator. Starts one server, connects to it, and does nothing until a line on
 * standard input asks for a slice of load:
 *
 *     bench-load [options] -- SERVER ARGS...
 *         --connections N    (64)
 *         --size BYTES       of a message (64)
 *         --depth N          messages under way on a connection (1)
 *         --rate N           open loop: so many messages a second, whatever the server does;
 *                            latency counts from when each should have been sent
 *         --churn N          a connection is closed after N messages, and another made
 *         --acknowledged 1   the server swallows, and answers each message with one byte
 *         --http PATH        GET requests; the bodies of all responses must be the first one's
 *         --cpus LIST, --server-cpus LIST
 *
 *     slice MS               one line of JSON: messages, wall and server CPU time in ns,
 *                            context switches of the server, and the latencies
 *     memory                 one line of JSON: resident memory and page tables of the server, bytes
 *
 * At the end of its input it ends the server. */
#include "load.h"
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { EVENTS = 256, PATIENCE_MS = 20000, OPEN_WINDOW = 8192 };

static long connections = 64, depth = 1, rate, churn, acknowledged;
static const char *http_path, *cpus, *server_cpus;
static long size = 64;

static server target;
static talk words;
static peer *peers;
static int poller;
static histogram latencies;
static uint64_t done_total;
static long flying;        /* connections that still wait for answers */
static int64_t slice_end;

static void watch(peer *p)
{
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.u32 = p->number};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, p->fd, &e) < 0)
        die("epoll_ctl");
}

static void connect_all(void)
{
    for (long i = 0; i < connections && !churn; i++) {
        peer_connect(&peers[i], &target, 0);
        watch(&peers[i]);
    }
}

/* What arrived: their latencies. */
static void record(peer *p, int done, int64_t now)
{
    for (uint64_t m = p->answered - (uint64_t)done; m < p->answered; m++)
        histogram_add(&latencies, now - *peer_time(p, m));
    done_total += (uint64_t)done;
}

/* ---- closed loop: an answer asks the next question ---- */

/* Sends what it can and takes what came: how many messages were answered, and when. */
static int exchange(peer *p, int64_t *now)
{
    peer_push(p, &words);
    int done = peer_take(p, &words);
    if (done < 0)
        fail("the server closed a connection");
    if (done > 0) {
        *now = now_ns();
        record(p, done, *now);
    }
    return done;
}

static void closed_event(peer *p)
{
    int64_t now;
    int done = exchange(p, &now);
    if (done == 0)
        return;
    if (now < slice_end)
        peer_ask(p, &words, (unsigned)done, now);
    else if (p->answered == p->asked)
        flying--;
}

static void closed_begin(int64_t now)
{
    (void)now;
    for (long i = 0; i < connections; i++)
        peer_ask(&peers[i], &words, (unsigned)depth, now_ns());
    flying = connections;
}

/* ---- churn: connect, some messages, close ---- */

/* The latency of the first message includes the connection. */
static void churn_open(peer *p)
{
    int64_t now = now_ns();
    peer_connect(p, &target, 1);
    watch(p);
    peer_ask(p, &words, 1, now);
}

static void churn_event(peer *p)
{
    if (p->fd < 0)
        return; /* an event of the connection that was closed a moment ago */
    int64_t now;
    if (exchange(p, &now) == 0)
        return;
    if (p->answered < (uint64_t)churn) {
        peer_ask(p, &words, 1, now);
        return;
    }
    close(p->fd);
    p->fd = -1;
    if (now < slice_end)
        churn_open(p);
    else
        flying--;
}

static void churn_begin(int64_t now)
{
    (void)now;
    for (long i = 0; i < connections; i++)
        churn_open(&peers[i]);
    flying = connections;
}

/* ---- open loop: questions are due at times of their own ---- */

static int64_t next_due;
static long next_peer;
static uint64_t random_state = 0x9E3779B97F4A7C15ull;

/* Until the next question: exponentially distributed, as independent clients are. */
static int64_t gap(void)
{
    random_state ^= random_state << 13, random_state ^= random_state >> 7, random_state ^= random_state << 17;
    double u = ((double)(random_state >> 11) + 0.5) / 9007199254740992.0;
    return (int64_t)(-__builtin_log(u) * 1e9 / (double)rate);
}

static void open_due(int64_t now)
{
    for (; next_due <= now && next_due < slice_end; next_due += gap()) {
        peer *p = &peers[next_peer++ % connections];
        flying += p->asked == p->answered;
        peer_ask(p, &words, 1, next_due);
    }
}

static void open_event(peer *p)
{
    uint64_t before = p->asked - p->answered;
    int64_t now;
    exchange(p, &now);
    flying -= before > 0 && p->asked == p->answered;
}

static void open_begin(int64_t now)
{
    flying = 0;
    next_due = now + gap();
}

/* ---- a slice ---- */

static const struct loop {
    void (*begin)(int64_t now);
    void (*event)(peer *p);
} closed_loop = {closed_begin, closed_event}, churn_loop = {churn_begin, churn_event}, open_loop = {open_begin, open_event};

static int wait_events(struct epoll_event *events)
{
    struct timespec patience = {.tv_sec = PATIENCE_MS / 1000};
    if (rate && next_due < slice_end) {
        int64_t left = next_due - now_ns();
        patience = (struct timespec){.tv_sec = left > 0 ? left / 1000000000 : 0, .tv_nsec = left > 0 ? left % 1000000000 : 0};
    }
    int n = epoll_pwait2(poller, events, EVENTS, &patience, NULL);
    if (n < 0 && errno != EINTR)
        die("epoll_pwait2");
    if (n == 0 && !(rate && next_due < slice_end))
        fail("no answer for %d s", PATIENCE_MS / 1000);
    return n > 0 ? n : 0;
}

/* Context switches of all threads of the server that are still there, asked for and not. */
static long long switches(void)
{
    char path[64], file[512], line[256];
    long long sum = 0;
    snprintf(path, sizeof path, "/proc/%d/task", (int)target.pid);
    DIR *tasks = opendir(path);
    for (struct dirent *d; tasks && (d = readdir(tasks));) {
        snprintf(file, sizeof file, "%s/%s/status", path, d->d_name);
        FILE *f = d->d_name[0] == '.' ? NULL : fopen(file, "r");
        while (f && fgets(line, sizeof line, f)) {
            const char *count = strstr(line, "voluntary_ctxt_switches:");
            sum += count ? atoll(count + strlen("voluntary_ctxt_switches:")) : 0;
        }
        if (f)
            fclose(f);
    }
    if (tasks)
        closedir(tasks);
    return sum;
}

static void run_slice(long ms)
{
    long long switched = switches();
    const struct loop *loop = rate ? &open_loop : churn ? &churn_loop : &closed_loop;
    struct epoll_event events[EVENTS];
    histogram_clear(&latencies);
    done_total = 0;
    int64_t cpu = read_clock(target.clock), begin = now_ns();
    slice_end = begin + ms * 1000000;
    loop->begin(begin);
    while (flying > 0 || (rate && next_due < slice_end)) {
        int n = wait_events(events);
        for (int i = 0; i < n; i++)
            loop->event(&peers[events[i].data.u32]);
        if (rate)
            open_due(now_ns());
    }
    int64_t took = now_ns() - begin;
    int64_t used = read_clock(target.clock) - cpu;
    printf("{\"ops\":%llu,\"wall_ns\":%lld,\"cpu_ns\":%lld,\"switches\":%lld,\"latency\":", (unsigned long long)done_total, (long long)took,
           (long long)used, switches() - switched);
    histogram_print(&latencies, stdout);
    printf("}\n");
}

/* The number after a name in a file of /proc about the server, KiB there, bytes here. */
static long read_kib(const char *file, const char *name)
{
    char path[64], line[256];
    long kib = -1;
    snprintf(path, sizeof path, "/proc/%d/%s", (int)target.pid, file);
    FILE *f = fopen(path, "r");
    while (f && kib < 0 && fgets(line, sizeof line, f))
        if (strncmp(line, name, strlen(name)) == 0)
            kib = atol(line + strlen(name));
    if (!f || kib < 0)
        die(path);
    fclose(f);
    return kib * 1024;
}

/* The sum over the mappings is exact; the process's own counters may be off by some pages for each processor. */
static void print_memory(void)
{
    printf("{\"rss\":%ld,\"page_tables\":%ld}\n", read_kib("smaps_rollup", "Rss:"), read_kib("status", "VmPTE:"));
}

/* ---- options ---- */

static char **read_options(int argc, char **argv)
{
    const struct { const char *name; long *value, low, high; } numbers[] = {{"--connections", &connections, 1, 1000000}, {"--size", &size, 1, 1 << 20},
        {"--depth", &depth, 1, 4096}, {"--rate", &rate, 1, 100000000}, {"--churn", &churn, 1, 1000000},
        {"--acknowledged", &acknowledged, 0, 1}};
    const struct { const char *name, **value; } texts[] = {{"--http", &http_path}, {"--cpus", &cpus}, {"--server-cpus", &server_cpus}};
    int at = 1;
    for (; at + 1 < argc && strcmp(argv[at], "--") != 0; at += 2) {
        int known = 0;
        for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
            if (strcmp(argv[at], numbers[i].name) == 0)
                *numbers[i].value = number(argv[at + 1], numbers[i].low, numbers[i].high), known = 1;
        for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
            if (strcmp(argv[at], texts[i].name) == 0)
                *texts[i].value = argv[at + 1], known = 1;
        if (!known)
            fail("no option %s", argv[at]);
    }
    if (at + 1 >= argc)
        fail("what to run comes after --");
    if (churn && (rate || depth > 1))
        fail("churn is neither pipelined nor an open loop");
    return &argv[at + 1];
}

static uint32_t window_for(long n)
{
    uint32_t w = 1;
    while (w < n)
        w *= 2;
    return w;
}

int main(int argc, char **argv)
{
    char **program = read_options(argc, argv), line[256];
    allow_descriptors();
    server_start(&target, program, server_cpus, 0, NULL, NULL);
    bind_to(cpus);
    talk_prepare(&words, (size_t)size, http_path);
    words.acknowledged = (int)acknowledged;
    poller = epoll_create1(EPOLL_CLOEXEC);
    peers = calloc((size_t)connections, sizeof *peers);
    if (poller < 0 || !peers)
        die("start");
    for (long i = 0; i < connections; i++)
        peer_init(&peers[i], (uint32_t)i, rate ? OPEN_WINDOW : window_for(depth));
    connect_all();
    puts("{\"ready\":true}");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = 0;
        if (strncmp(line, "slice ", 6) == 0)
            run_slice(number(line + 6, 1, 3600000));
        else if (strcmp(line, "memory") == 0)
            print_memory();
        else
            fail("what is %s?", line);
        fflush(stdout);
    }
    server_end(&target);
    return 0;
}
