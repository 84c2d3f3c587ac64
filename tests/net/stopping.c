/* weft_stop ends what does not want to end: fibers that are shielded from every cancel, wherever they wait, are
 * killed after the grace, and all they had is given back. The killed run no line of code any more. */
#include "cases.h"

#include <sched.h>
#include <sys/socket.h>

static struct {
    char address[WEFT_ADDR_TEXT];
    char path[64];
    int ready, survived;
    unsigned seed;
} stopping;

static void ready(void) { __atomic_add_fetch(&stopping.ready, 1, __ATOMIC_SEQ_CST); }

static void survived_in(const char *where)
{
    fprintf(stderr, "%s went on\n", where);
    __atomic_add_fetch(&stopping.survived, 1, __ATOMIC_SEQ_CST);
}

#define survived() survived_in(__func__)

static void deaf(weft_scope *shield) { CHECK_OK(weft_shield_enter(shield, INT64_MAX)); }

static int read_for_ever(void *arg)
{
    weft_scope shield;
    weft_id a, b;
    char c;
    (void)arg;
    deaf(&shield);
    connect_pair(&a, &b);
    ready();
    weft_read(b, &c, 1, WEFT_NEVER);
    survived();
    return 0;
}

static int read_buffer_for_ever(void *arg)
{
    weft_scope shield;
    weft_id a, b;
    weft_buffer buffer;
    (void)arg;
    deaf(&shield);
    connect_pair(&a, &b);
    CHECK_EQ(weft_write(a, "unread", 6, SOON), 6);
    CHECK(weft_read_buffer(b, &buffer, SOON) == 6);
    weft_port_release(&buffer);
    ready();
    weft_read_buffer(b, &buffer, WEFT_NEVER);
    survived();
    return 0;
}

static int write_for_ever(void *arg)
{
    static char big[1 << 20];
    weft_scope shield;
    weft_id a, b;
    (void)arg;
    deaf(&shield);
    connect_pair(&a, &b);
    ready();
    while (weft_write_all(a, big, sizeof big, NULL, WEFT_NEVER) == 0)
        ;
    survived();
    return 0;
}

static int accept_for_ever(void *arg)
{
    weft_scope shield;
    char text[WEFT_ADDR_TEXT];
    (void)arg;
    deaf(&shield);
    weft_id l = listen_here(text), out;
    ready();
    weft_accept(l, &out, NULL, WEFT_NEVER);
    survived();
    return 0;
}

/* Completes again and again: some of its results come after it was killed. */
static int accept_what_oneself_connects(void *arg)
{
    weft_scope shield;
    char text[WEFT_ADDR_TEXT];
    (void)arg;
    deaf(&shield);
    weft_id l = listen_here(text), a, b;
    ready();
    while (weft_connect(&a, text, WEFT_NEVER) == 0 && weft_accept(l, &b, NULL, WEFT_NEVER) == 0) {
        weft_sock_set(a, WEFT_LINGER_S, 0);
        weft_close(a);
        weft_close(b);
    }
    survived();
    return 0;
}

static int open_for_ever(void *arg)
{
    weft_scope shield;
    weft_id f;
    (void)arg;
    deaf(&shield);
    ready();
    while (weft_open(&f, "/dev/null", WEFT_OPEN_READ, 0, WEFT_NEVER) == 0)
        weft_close(f);
    survived();
    return 0;
}

static int hold(void *arg)
{
    weft_scope shield;
    weft_conn *conn = arg;
    char c;
    deaf(&shield);
    ready();
    weft_read(conn->id, &c, 1, WEFT_NEVER);
    return weft_shield_leave(&shield); /* its peer may have been killed before it */
}

static int serve_for_ever(void *arg)
{
    weft_scope shield;
    char path[80];
    (void)arg;
    deaf(&shield);
    snprintf(path, sizeof path, "unix:%s", stopping.path);
    weft_id l;
    CHECK_OK(weft_listen(&l, path, NULL));
    ready();
    weft_accept_options opt = {.max_connections = 2 + stopping.seed % 2};
    weft_accept_each(l, hold, stopping.seed % 3 ? &opt : NULL);
    survived();
    return 0;
}

static int be_served_for_ever(void *arg)
{
    weft_scope shield;
    char path[80], c;
    weft_id sock[4];
    (void)arg;
    deaf(&shield);
    snprintf(path, sizeof path, "unix:%s", stopping.path);
    while (weft_connect(&sock[0], path, SOON) < 0) /* it has to listen first */
        CHECK_OK(weft_sleep(weft_after(WEFT_MILLISECOND)));
    for (int i = 1; i < 4; i++)
        CHECK_OK(weft_connect(&sock[i], path, SOON));
    ready();
    weft_read(sock[0], &c, 1, WEFT_NEVER);
    return weft_shield_leave(&shield); /* as above */
}

static int serve_tcp(void *arg)
{
    weft_scope shield;
    (void)arg;
    deaf(&shield);
    weft_id l = listen_here(stopping.address);
    ready();
    /* The lanes it is made of are not shielded: it ends by itself. */
    weft_accept_each(l, hold, NULL);
    return weft_shield_leave(&shield);
}

static int (*const stubborn[])(void *) = {
    read_for_ever, read_buffer_for_ever, write_for_ever, accept_for_ever, accept_what_oneself_connects, open_for_ever,
    serve_for_ever, be_served_for_ever, serve_tcp};

enum { LANES = sizeof stubborn / sizeof *stubborn, HELD = 2 };

static int many_fibers(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < 3; i++)
        CHECK_OK(weft_spawn(NULL, stubborn[i], NULL));
    return 0; /* the others go on */
}

static void stop_once(unsigned seed)
{
    int before = open_descriptors();
    weft_options opt = {.grace_ns = 5 * WEFT_MILLISECOND};
    weft_lane_options lane = {.detached = 1};
    weft_runtime *rt;
    weft_stats stats;
    memset(&stopping.ready, 0, sizeof stopping.ready);
    stopping.survived = 0;
    stopping.seed = seed;
    CHECK_OK(weft_start(&rt, &opt));
    for (int i = 0; i < LANES; i++)
        CHECK_OK(weft_lane_spawn_in(rt, NULL, stubborn[i], NULL, &lane));
    CHECK_OK(weft_lane_spawn_in(rt, NULL, many_fibers, NULL, &lane));
    while (__atomic_load_n(&stopping.ready, __ATOMIC_SEQ_CST) < LANES + 3 + HELD)
        sched_yield();
    for (const int64_t moment = weft_after(seed % 5 * 300 * WEFT_MICROSECOND); weft_now() < moment;)
        sched_yield(); /* not always at the same point of their lives */
    CHECK_OK(weft_stop(rt));
    CHECK_OK(weft_wait(rt, WEFT_NEVER));
    CHECK_OK(weft_runtime_stats(rt, &stats));
    CHECK_EQ(stats.fibers_spawned, stats.fibers_ended);
    CHECK_EQ(stats.lanes_spawned, stats.lanes_ended);
    CHECK_OK(weft_end(rt));
    CHECK_EQ(stopping.survived, 0);
    CHECK_EQ(open_descriptors(), before);
    CHECK(access(stopping.path, F_OK) < 0); /* the socket's file went with its listener */
}

int main(int argc, char **argv)
{
    unsigned rounds = argc > 1 ? (unsigned)atoi(argv[1]) : 12;
    snprintf(stopping.path, sizeof stopping.path, "/tmp/weft-stop-%d", (int)getpid());
    unlink(stopping.path); /* left by another process of this number, perhaps, that was stopped */
    for (unsigned i = 0; test_again(i, rounds); i++) {
        fprintf(stderr, "round %u\n", i);
        alarm(100);
        stop_once(i);
    }
    return 0;
}
