/* After warm-up nothing on a hot path allocates (DESIGN rule 8): round trips in both forms of reading, accepting and
 * connecting, spawning and ending fibers and lanes. The whole process is watched: this program's own definitions of
 * malloc, mmap and friends stand before libc's. */
#include "cases.h"

#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#if !TEST_SANITIZED && defined(__GLIBC__)
#define WATCHED 1
#else
#define WATCHED 0
#endif

#if WATCHED

static int watching, allocations;
static const char *first_culprit;

static void seen(const char *what)
{
    if (!__atomic_load_n(&watching, __ATOMIC_SEQ_CST))
        return;
    __atomic_add_fetch(&allocations, 1, __ATOMIC_SEQ_CST);
    const char *none = NULL;
    __atomic_compare_exchange_n(&first_culprit, &none, what, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

#pragma GCC visibility push(default) /* shared libraries are to find them, too */
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t align, size_t n);
void __libc_free(void *p);

void *malloc(size_t n)
{
    seen("malloc");
    return __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
    seen("calloc");
    return __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
    seen("realloc");
    return __libc_realloc(p, n);
}

void *memalign(size_t align, size_t n);
void *memalign(size_t align, size_t n)
{
    seen("memalign");
    return __libc_memalign(align, n);
}

void *aligned_alloc(size_t align, size_t n)
{
    seen("aligned_alloc");
    return __libc_memalign(align, n);
}

int posix_memalign(void **out, size_t align, size_t n)
{
    seen("posix_memalign");
    *out = __libc_memalign(align, n);
    return *out ? 0 : ENOMEM;
}

void free(void *p)
{
    seen("free");
    __libc_free(p);
}

/* Under both names that programs are linked with; off_t is 64 bits wide on all systems where this runs. */
void *watched_mmap(void *at, size_t n, int prot, int flags, int fd, off_t offset) __asm__("mmap");
void *watched_mmap64(void *at, size_t n, int prot, int flags, int fd, off_t offset) __asm__("mmap64");

void *watched_mmap(void *at, size_t n, int prot, int flags, int fd, off_t offset)
{
    seen("mmap");
    return (void *)syscall(SYS_mmap, at, n, prot, flags, fd, offset);
}

void *watched_mmap64(void *at, size_t n, int prot, int flags, int fd, off_t offset)
{
    return watched_mmap(at, n, prot, flags, fd, offset);
}

int munmap(void *p, size_t n)
{
    seen("munmap");
    return (int)syscall(SYS_munmap, p, n);
}

int mprotect(void *p, size_t n, int prot)
{
    seen("mprotect");
    return (int)syscall(SYS_mprotect, p, n, prot);
}

#pragma GCC visibility pop

static void watch(void)
{
    allocations = 0;
    first_culprit = NULL;
    __atomic_store_n(&watching, 1, __ATOMIC_SEQ_CST);
}

static void unwatch(const char *during)
{
    __atomic_store_n(&watching, 0, __ATOMIC_SEQ_CST);
    if (allocations)
        TEST_FAIL("%d allocations while %s, the first by %s", allocations, during, first_culprit);
}

/* That the watch works at all. */
static int a_malloc_is_seen(void *arg)
{
    (void)arg;
    void *volatile seen; /* or the compiler, which knows what malloc is for, leaves the pair out */
    watch();
    seen = malloc(10);
    free(seen);
    __atomic_store_n(&watching, 0, __ATOMIC_SEQ_CST);
    CHECK_EQ(allocations, 2);
    return 0;
}

/* ---- round trips ---- */

enum { TALKERS = 16, WARM = 500, TRIPS = 20000 / TALKERS };

static int echo(void *arg)
{
    weft_conn *conn = arg;
    char buf[4096];
    weft_buffer buffer;
    int streaming = conn->arg != NULL;
    for (;;) {
        ssize_t n = streaming ? weft_read_buffer(conn->id, &buffer, weft_after(30 * WEFT_SECOND))
                              : weft_read(conn->id, buf, sizeof buf, weft_after(30 * WEFT_SECOND));
        if (n <= 0)
            return (int)n;
        int r = weft_write_all(conn->id, streaming ? buffer.data : buf, (size_t)n, NULL, WEFT_NEVER);
        if (streaming)
            weft_port_release(&buffer);
        if (r < 0)
            return r;
    }
}

static struct {
    int warm, done, go;
    char address[WEFT_ADDR_TEXT];
    weft_id listener;
    void *streaming;
} talk;

static int get(int *p) { return __atomic_load_n(p, __ATOMIC_SEQ_CST); }

static void add(int *p) { __atomic_add_fetch(p, 1, __ATOMIC_SEQ_CST); }

static void wait_until(int *p, int value)
{
    while (get(p) < value)
        CHECK_OK(weft_sleep(weft_after(WEFT_MILLISECOND)));
}

static void round_trips(weft_id sock, int n)
{
    char out[64] = "ping", in[64];
    for (int i = 0; i < n; i++) {
        CHECK_OK(weft_write_all(sock, out, sizeof out, NULL, SOON));
        CHECK_OK(weft_read_all(sock, in, sizeof in, NULL, SOON));
    }
}

static int talker(void *arg)
{
    (void)arg;
    weft_id sock;
    CHECK_OK(weft_connect(&sock, talk.address, SOON));
    round_trips(sock, WARM);
    add(&talk.warm);
    wait_until(&talk.go, 1);
    round_trips(sock, test_rounds(TRIPS));
    add(&talk.done);
    wait_until(&talk.go, 2);
    return 0;
}

static int accepting(void *arg)
{
    (void)arg;
    weft_accept_options opt = {.arg = talk.streaming};
    return weft_accept_each(talk.listener, echo, &opt);
}

static weft_id serve(void *streaming)
{
    weft_id fiber;
    memset(&talk, 0, sizeof talk);
    talk.listener = listen_here(talk.address);
    talk.streaming = streaming;
    CHECK_OK(weft_spawn(&fiber, accepting, NULL));
    return fiber;
}

static void stop(weft_id fiber)
{
    CHECK_OK(weft_cancel(fiber));
    CHECK_OK(weft_join(fiber, NULL, WEFT_NEVER));
}

static int trips(void *streaming, const char *what)
{
    weft_id fiber = serve(streaming), lane[TALKERS];
    for (int i = 0; i < TALKERS; i++)
        CHECK_OK(weft_lane_spawn(&lane[i], talker, NULL));
    wait_until(&talk.warm, TALKERS);
    watch();
    add(&talk.go);
    wait_until(&talk.done, TALKERS);
    unwatch(what);
    add(&talk.go);
    for (int i = 0; i < TALKERS; i++)
        CHECK_OK(weft_lane_join(lane[i], NULL, WEFT_NEVER));
    stop(fiber);
    return 0;
}

static int twenty_thousand_round_trips(void *arg)
{
    (void)arg;
    return trips(NULL, "reading into the caller's buffer");
}

static int and_as_many_in_the_streaming_form(void *arg)
{
    (void)arg;
    return trips(&talk, "reading into the port's buffers");
}

/* ---- connections ---- */

static void connections(int n)
{
    for (int i = 0; i < n; i++) {
        weft_id sock;
        CHECK_OK(weft_connect(&sock, talk.address, SOON));
        round_trips(sock, 1);
        CHECK_OK(weft_sock_set(sock, WEFT_LINGER_S, 0)); /* leaves no port in TIME_WAIT */
        CHECK_OK(weft_close(sock));
    }
}

static int two_thousand_connections(void *arg)
{
    (void)arg;
    weft_id fiber = serve(NULL);
    connections(500);
    watch();
    connections(2000);
    unwatch("connecting and accepting");
    stop(fiber);
    return 0;
}

/* ---- groups ---- */

enum { MEMBERS = 9, AHEAD = 32 }; /* beside the lane of a connection; at once before anything is watched */

static struct {
    weft_group members;
    weft_event go;
    unsigned ended;
} group;

static void member_ended(void *ctx, weft_id member, int result)
{
    (void)ctx, (void)member, (void)result;
    group.ended++;
}

static int session(void *arg)
{
    char buf[64];
    const weft_id conn = *(weft_id *)arg;
    while (weft_read_all(conn, buf, sizeof buf, NULL, SOON) == 0)
        CHECK_OK(weft_write_all(conn, buf, sizeof buf, NULL, SOON));
    return 0;
}

static int brief(void *arg)
{
    (void)arg;
    return weft_yield();
}

static int waits_to_go(void *arg)
{
    (void)arg;
    return weft_event_wait(&group.go, SOON);
}

static int accepts_for_ever(void *arg)
{
    weft_id conn;
    (void)arg;
    while (weft_accept(talk.listener, &conn, NULL, WEFT_NEVER) == 0) {
        CHECK_OK(weft_group_lane_with(&group.members, session, &conn, .copy = sizeof conn, .gives = 1, .pinned = 1));
        for (int i = 0; i < MEMBERS; i++)
            CHECK_OK(weft_group_run(&group.members, brief, NULL));
    }
    return 0;
}

/* More at once than there will ever be later. */
static void many_members(void)
{
    CHECK_OK(weft_event_init(&group.go, WEFT_EVENT_MANUAL, 0));
    for (int i = 0; i < AHEAD; i++) {
        CHECK_OK(weft_group_lane_with(&group.members, waits_to_go, NULL, .pinned = 1));
        CHECK_OK(weft_group_run(&group.members, waits_to_go, NULL));
    }
    for (int i = 0; i < 16; i++)
        CHECK_OK(weft_yield());
    weft_event_set(&group.go);
    CHECK_OK(weft_group_all(&group.members, SOON));
}

/* Of a group that serves an accept loop, fibers and lanes. */
static int ten_thousand_members(void *arg)
{
    weft_id fiber;
    (void)arg;
    const int n = test_rounds(1000);
    memset(&talk, 0, sizeof talk);
    memset(&group, 0, sizeof group);
    talk.listener = listen_here(talk.address);
    CHECK_OK(weft_group_tell(&group.members, member_ended, NULL));
    many_members();
    CHECK_OK(weft_spawn(&fiber, accepts_for_ever, NULL));
    connections(200);
    watch();
    connections(n);
    unwatch("members of a group come and go");
    stop(fiber);
    CHECK_OK(weft_group_all(&group.members, SOON));
    CHECK_EQ(group.ended, 2 * AHEAD + (unsigned)(200 + n) * (MEMBERS + 1));
    CHECK_EQ(weft_group_count(&group.members), 0);
    return weft_group_end(&group.members);
}

/* ---- births and deaths ---- */

enum { AT_ONCE = 100, BIRTHS = 30000, WARM_BATCHES = 200 };

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static void fibers(int n)
{
    weft_id fiber[AT_ONCE];
    for (int i = 0; i < n; i += AT_ONCE) {
        for (int k = 0; k < AT_ONCE; k++)
            CHECK_OK(weft_spawn(&fiber[k], nothing, NULL));
        for (int k = 0; k < AT_ONCE; k++)
            CHECK_OK(weft_join(fiber[k], NULL, WEFT_NEVER));
    }
}

static int thirty_thousand_fibers(void *arg)
{
    (void)arg;
    fibers(BIRTHS / 10);
    watch();
    fibers(test_rounds(BIRTHS));
    unwatch("spawning fibers");
    return 0;
}

static int begun; /* lanes of this batch */

/* Some give way before they end. */
static int give_way(void *arg)
{
    add(&begun);
    return (uintptr_t)arg % 4 ? 0 : weft_yield();
}

/* Where lanes are stolen, some of each batch are: we keep our worker until one has begun. */
static void lanes(int n, int stolen)
{
    weft_id lane[AT_ONCE];
    for (int i = 0; i < n; i += AT_ONCE) {
        __atomic_store_n(&begun, 0, __ATOMIC_SEQ_CST);
        for (uintptr_t k = 0; k < AT_ONCE; k++)
            CHECK_OK(weft_lane_spawn(&lane[k], give_way, (void *)k));
        while (stolen && !get(&begun))
            sched_yield();
        for (int k = 0; k < AT_ONCE; k++)
            CHECK_OK(weft_lane_join(lane[k], NULL, WEFT_NEVER));
    }
}

static uint64_t steals(void)
{
    weft_stats stats;
    CHECK_OK(weft_runtime_stats(weft_current(), &stats));
    return stats.steals;
}

static int thirty_thousand_lanes(void *arg)
{
    (void)arg;
    weft_info info;
    CHECK_OK(weft_runtime_info(weft_current(), &info));
    int stolen = info.mode != WEFT_PER_CORE && info.workers > 1;
    lanes(WARM_BATCHES * AT_ONCE, stolen);
    uint64_t before = steals();
    watch();
    lanes(test_rounds(BIRTHS), stolen);
    unwatch("spawning lanes");
    CHECK(!stolen || steals() > before); /* some ended elsewhere than they were made */
    return 0;
}

/* ---- waiting for whichever comes first ---- */

enum { SIXTEEN = 16, SELECTS = 300, FILLING = 3000 };

/* All sixteen wait for the kernel; in each round another socket has something. */
static void selects(const weft_id *a, const weft_id *b, int n)
{
    for (int i = 0; i < n; i++) {
        weft_case k[SIXTEEN];
        char byte = 1;
        for (int s = 0; s < SIXTEEN; s++)
            k[s] = WEFT_CAN_READ(a[s]);
        CHECK_OK(weft_write_all(b[i % SIXTEEN], &byte, 1, NULL, SOON));
        CHECK_EQ(weft_select(k, SIXTEEN, SOON), i % SIXTEEN);
        CHECK_OK(weft_read_all(a[i % SIXTEEN], &byte, 1, NULL, SOON));
    }
}

static void fillings(weft_channel *c, int n)
{
    for (; n > 0; n--) {
        long x = 0;
        for (int i = 0; i < FILLING; i++)
            CHECK_OK(weft_channel_try_send(c, &x));
        for (int i = 0; i < FILLING; i++)
            CHECK_OK(weft_channel_try_receive(c, &x));
    }
}

/* Nor from the lane's own memory, which has none so far. */
static int selects_steadily(void *arg)
{
    weft_id a[SIXTEEN], b[SIXTEEN];
    weft_vat_stats memory;
    (void)arg;
    for (int s = 0; s < SIXTEEN; s++)
        connect_pair(&a[s], &b[s]);
    selects(a, b, 100);
    watch();
    selects(a, b, SELECTS);
    unwatch("selecting among sockets");
    CHECK_OK(weft_vat_stats_get(&memory));
    CHECK_EQ(memory.peak, 0);
    return 0;
}

/* The stack of one that is to survive an overflow is looked at first. */
static int selects_in_a_containable_lane(void *arg)
{
    weft_id lane;
    int r = 1;
    (void)arg;
    CHECK_OK(weft_lane_spawn_with(&lane, selects_steadily, NULL, .containable = 1));
    CHECK_OK(weft_lane_join(lane, &r, WEFT_NEVER));
    CHECK_OK(r);
    return 0;
}

static int fills_steadily(void *arg)
{
    weft_channel c;
    (void)arg;
    CHECK_OK(weft_channel_init_growing(&c, sizeof(long), FILLING));
    fillings(&c, 3);
    watch();
    fillings(&c, 20);
    unwatch("filling and draining a channel that grows");
    return weft_channel_end(&c);
}

static const test_case cases[] = {
    CASE(a_malloc_is_seen), CASE(selects_steadily), CASE(selects_in_a_containable_lane), CASE(fills_steadily), CASE(twenty_thousand_round_trips), CASE(and_as_many_in_the_streaming_form),
    CASE(two_thousand_connections), CASE(ten_thousand_members), CASE(thirty_thousand_fibers), CASE(thirty_thousand_lanes)};

int main(int argc, char **argv)
{
    /* A busy machine makes workers look blocked, and the report of that may allocate. */
    weft_options opt = {.blocked_ns = -1};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (argc < 2 || strcmp(argv[1], cases[i].name) == 0)
            run_case(&cases[i], &opt);
    return 0;
}

#else

int main(void) { SKIP("allocations are watched in plain builds with glibc only"); }

#endif
