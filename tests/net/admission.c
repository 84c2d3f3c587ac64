/* A server at its limits (DESIGN rule 11): connections beyond them are closed at once or wait in the backlog, those
 * that are there are served as before, what the limit is about stays below it, and what ends makes room. The clients
 * are plain sockets of the test's own thread, so that all that the runtime counts is the server's. */
#include "cases.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>

enum { CROWD = 64, TOUCHED = 192 << 10, HELD_MOST = CROWD };

/* ---- the server ---- */

static struct {
    size_t vat, stack; /* what each connection takes beside its lane */
    unsigned max_connections;
    int port;          /* 0: not listening yet (atomic) */
    int full;          /* connections that found no memory (atomic) */
} server;

static __attribute__((noinline)) void touch(size_t n)
{
    volatile char deep[TOUCHED];
    for (size_t i = 0; i < n; i += 1024)
        deep[sizeof deep - 1 - i] = 1;
}

static int serve(void *arg)
{
    weft_id conn = *(weft_id *)arg;
    char buf[64];
    if (server.stack)
        touch(server.stack);
    char *memory = server.vat ? weft_alloc(server.vat) : NULL;
    if (server.vat && !memory) {
        __atomic_add_fetch(&server.full, 1, __ATOMIC_RELAXED);
        return -ENOMEM;
    }
    if (memory)
        memset(memory, 1, server.vat);
    for (;;) {
        ssize_t n = weft_read(conn, buf, sizeof buf, WEFT_NEVER);
        int r = n > 0 ? weft_write_all(conn, buf, (size_t)n, NULL, WEFT_NEVER) : (int)n;
        if (n <= 0 || r < 0)
            return r;
    }
}

static int run_server(void *arg)
{
    weft_id l;
    weft_addr a;
    char text[WEFT_ADDR_TEXT];
    (void)arg;
    CHECK_OK(weft_listen(&l, test_address(), NULL));
    CHECK_OK(weft_local_addr(l, &a));
    CHECK(weft_addr_format(&a, text, sizeof text) < sizeof text);
    __atomic_store_n(&server.port, atoi(strrchr(text, ':') + 1), __ATOMIC_RELEASE);
    weft_accept_options opt = {.max_connections = server.max_connections, .drain_ns = WEFT_MILLISECOND};
    int r = weft_accept_each(l, serve, &opt);
    CHECK(r == 0 || r == -ECANCELED); /* the others were gone, or not */
    return 0;
}

/* ---- the clients ---- */

enum answer { SERVED, SHED, QUEUED };

static int dial(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)server.port), .sin_addr.s_addr = htonl(test_loopback())};
    int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(s >= 0);
    CHECK_EQ(connect(s, (struct sockaddr *)&to, sizeof to), 0); /* the backlog takes it, whatever the server does */
    return s;
}

/* One round trip, waiting for so long: a byte comes back, or the end. */
static enum answer ask(int s, char c, int ms)
{
    char back = 0;
    if (c && send(s, &c, 1, MSG_NOSIGNAL) < 0)
        return SHED;
    struct pollfd p = {.fd = s, .events = POLLIN};
    if (poll(&p, 1, ms) == 0)
        return QUEUED;
    ssize_t n = recv(s, &back, 1, 0);
    if (n == 1 && c)
        CHECK_EQ(back, c);
    return n == 1 ? SERVED : SHED;
}

typedef struct crowd {
    int held[HELD_MOST], waiting[HELD_MOST];
    unsigned served, shed, queued;
} crowd;

/* All at once, or one after the other. In the backlog with a limit on connections: those are still there afterwards. */
static void come(crowd *c, unsigned n, int one_by_one)
{
    int s[CROWD];
    *c = (crowd){0};
    for (unsigned i = 0; i < n; i++) {
        s[i] = one_by_one && c->shed > 1 ? -1 : dial(); /* each refusal makes the server's door pause for longer */
        if (s[i] < 0 || (one_by_one && ask(s[i], 'a', 10000) == SHED)) {
            if (s[i] >= 0)
                close(s[i]);
            s[i] = -1;
            c->shed++;
        }
    }
    for (unsigned i = 0; i < n; i++) {
        enum answer a = s[i] < 0 ? SHED : ask(s[i], 'b', server.max_connections ? 5 : 10000); /* see look_again */
        if (a == SERVED)
            c->held[c->served++] = s[i];
        else if (a == QUEUED)
            c->waiting[c->queued++] = s[i];
        else if (s[i] >= 0)
            close(s[i]), c->shed++;
    }
}

/* A machine that is busy with other things takes its time to let people in. */
static void look_again(crowd *c)
{
    unsigned left = 0;
    for (unsigned i = 0; i < c->queued; i++)
        if (ask(c->waiting[i], 0, 1) == SERVED)
            c->held[c->served++] = c->waiting[i];
        else
            c->waiting[left++] = c->waiting[i];
    c->queued = left;
}

/* Who was let in is served, however many knock. */
static void all_are_served(const crowd *c)
{
    for (int round = 0; round < 3; round++)
        for (unsigned i = 0; i < c->served; i++)
            CHECK_EQ(ask(c->held[i], (char)('A' + round), 20000), SERVED);
}

static void knock_in_vain(const crowd *c)
{
    for (int i = 0; i < 4; i++) {
        int s = dial();
        all_are_served(c);
        close(s);
    }
}

/* As many of those that waited as there is room for now. Which ones: each worker may have a queue of its own. */
static void take_turns(crowd *c)
{
    unsigned served = 0;
    const int64_t end = weft_after(20 * WEFT_SECOND);
    while (served < c->served) {
        for (unsigned i = 0; i < c->queued; i++)
            served += ask(c->waiting[i], 0, 1) == SERVED;
        CHECK(weft_now() < end);
    }
}

/* Half of them go: somebody else is let in, sooner or later. */
static void room_again(crowd *c)
{
    for (unsigned i = c->served / 2; i < c->served; i++)
        close(c->held[i]);
    c->served /= 2;
    if (c->queued) {
        take_turns(c);
        return;
    }
    for (int64_t end = weft_after(20 * WEFT_SECOND);;) {
        int s = dial();
        enum answer a = ask(s, 'c', 20000);
        close(s);
        if (a == SERVED)
            return;
        CHECK(weft_now() < end);
        usleep(1000); /* between two attempts at the server's door, which pauses in its turn */
    }
}

static void leave(crowd *c)
{
    for (unsigned i = 0; i < c->served; i++)
        close(c->held[i]);
    for (unsigned i = 0; i < c->queued; i++)
        close(c->waiting[i]);
}

/* ---- cases ---- */

typedef struct scene {
    const char *name;
    weft_options options;
    size_t vat, stack;
    unsigned max_connections, least, most; /* how many are served at once */
    int one_by_one, queue;
} scene;

static size_t resident_bytes(void)
{
    FILE *f = fopen("/proc/self/statm", "r");
    unsigned long pages = 0;
    CHECK(f && fscanf(f, "%*u %lu", &pages) == 1);
    fclose(f);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void check_memory(const scene *sc, size_t before)
{
    size_t bound = sc->options.max_vat_bytes + sc->options.max_stack_bytes, slack = 4u << 20, now = resident_bytes();
    if (!TEST_SANITIZED && bound && now > before + bound + slack)
        TEST_FAIL("%s: %zu bytes more than before the crowd came, with a bound of %zu", sc->name, now - before, bound);
}

static void play(const scene *sc)
{
    static crowd c;
    weft_runtime *rt;
    weft_options opt = sc->options;
    weft_lane_options lane = {.name = sc->name, .detached = 1};
    int before = open_descriptors();
    fprintf(stderr, "%s\n", sc->name);
    server.vat = sc->vat;
    server.stack = sc->stack;
    server.max_connections = sc->max_connections;
    server.port = 0;
    opt.workers = 2;
    opt.grace_ns = 20 * WEFT_SECOND;
    opt.blocked_ns = -1;
    CHECK_OK(weft_start(&rt, &opt));
    CHECK_OK(weft_lane_spawn_in(rt, NULL, run_server, NULL, &lane));
    while (!__atomic_load_n(&server.port, __ATOMIC_ACQUIRE))
        sched_yield();
    size_t memory = resident_bytes();
    come(&c, CROWD, sc->one_by_one);
    for (const int64_t end = weft_after(20 * WEFT_SECOND); sc->queue && c.served < sc->least && weft_now() < end;)
        look_again(&c);
    if (c.served < sc->least || c.served > sc->most)
        TEST_FAIL("%s: %u were served, %u shed, %u queued, of %d", sc->name, c.served, c.shed, c.queued, CROWD);
    CHECK_EQ(c.served + c.shed + c.queued, CROWD);
    CHECK(sc->queue ? c.queued > 0 : c.shed > 0);
    check_memory(sc, memory);
    if (!sc->queue)
        knock_in_vain(&c);
    all_are_served(&c);
    room_again(&c);
    leave(&c);
    CHECK_OK(weft_end(rt));
    CHECK_EQ(open_descriptors(), before);
}

int main(void)
{
    /* The server's own lanes and listeners are counted, too: one for each worker at most, and its main lane. */
    const scene scenes[] = {
        {.name = "lanes", .options = {.max_lanes = 20}, .least = 17, .most = 18},
        {.name = "fibers", .options = {.max_fibers = 20}, .least = 17, .most = 18},
        {.name = "ids", .options = {.max_ids = 24}, .least = 16, .most = 23},
        {.name = "vat_bytes", .options = {.max_vat_bytes = 8 << 20}, .vat = 200 << 10, .least = 20, .most = 41},
        {.name = "stack_bytes", .options = {.max_stack_bytes = 8 << 20}, .stack = TOUCHED, .least = 20, .most = 43, .one_by_one = 1},
        {.name = "stacks_committed", .options = {.stacks_committed = 20}, .stack = TOUCHED, .least = 17, .most = 18},
        {.name = "connections", .max_connections = 20, .least = 20, .most = 20, .queue = 1},
    };
    alarm(100);
    for (size_t i = 0; i < sizeof scenes / sizeof *scenes; i++)
        play(&scenes[i]);
    return 0;
}
