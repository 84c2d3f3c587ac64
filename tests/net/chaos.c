/* Load in which everything goes wrong: fibers and lanes are cancelled, sockets closed under their readers, peers reset,
 * deadlines too short, at moments drawn from a seed. What must hold: bytes that arrive are the right ones, everything
 * ends, nothing is left.
 *
 *     chaos [SEED [ROUNDS]]      one seed, or as many as there are rounds from it on; a failure names its seed */
#include "cases.h"
#include "lane/realm.h"

#include <sys/socket.h>

enum { CLIENTS = 24, ACTS = 25, LANES = 4096 };

static struct {
    uint64_t seed;
    char address[WEFT_ADDR_TEXT];
    weft_id listener;
    uint64_t lanes[LANES]; /* of sessions, in turn: some are cancelled from outside */
    unsigned next;
    int stop;
    uint64_t rounds; /* round trips that went well */
} chaos;

static uint64_t draw(uint64_t *state)
{
    uint64_t x = *state += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

/* ---- the server ---- */

static ssize_t read_some(weft_id conn, char *buf, size_t n, uint64_t *random)
{
    int64_t deadline = draw(random) % 16 == 0 ? weft_after(WEFT_MILLISECOND) : SOON;
    return weft_read(conn, buf, n, deadline);
}

static int echo_plainly(weft_id conn, uint64_t *random)
{
    char buf[2048];
    for (;;) {
        ssize_t n = read_some(conn, buf, sizeof buf, random);
        if (n <= 0)
            return (int)n;
        int r = weft_write_all(conn, buf, (size_t)n, NULL, SOON);
        if (r < 0)
            return r;
    }
}

static int echo_buffers(weft_id conn, uint64_t *random)
{
    weft_buffer b;
    for (;;) {
        ssize_t n = weft_read_buffer(conn, &b, SOON);
        if (n <= 0)
            return (int)n;
        int r = weft_write_all(conn, b.data, b.len, NULL, SOON);
        weft_port_release(&b);
        if (r < 0)
            return r;
        if (draw(random) % 64 == 0)
            return 0; /* leaves what is unread behind */
    }
}

static uint64_t pack(weft_id id)
{
    uint64_t word;
    memcpy(&word, &id, sizeof word);
    return word;
}

static int session(void *arg)
{
    weft_conn *conn = arg;
    uint64_t random = chaos.seed ^ pack(weft_lane_self());
    unsigned at = __atomic_fetch_add(&chaos.next, 1, __ATOMIC_SEQ_CST) % LANES;
    __atomic_store_n(&chaos.lanes[at], pack(weft_lane_self()), __ATOMIC_SEQ_CST);
    switch (draw(&random) % 8) {
    case 0:
        return 0;
    case 1:
        weft_sock_set(conn->id, WEFT_LINGER_S, 0); /* a reset */
        return weft_close(conn->id);
    case 2:
    case 3:
    case 4:
        return echo_buffers(conn->id, &random);
    default:
        return echo_plainly(conn->id, &random);
    }
}

static int accepting(void *arg)
{
    weft_accept_options opt = {.drain_ns = 5 * WEFT_MILLISECOND};
    (void)arg;
    opt.max_connections = chaos.seed % 3 ? 0 : 16;
    int r = weft_accept_each(chaos.listener, session, &opt);
    CHECK(r == 0 || r == -ECANCELED);
    return 0;
}

/* Cancels sessions at random, from a lane that has nothing to do with them. */
static int hunter(void *arg)
{
    uint64_t random = chaos.seed * 77;
    (void)arg;
    while (!__atomic_load_n(&chaos.stop, __ATOMIC_SEQ_CST)) {
        CHECK_OK(weft_sleep(weft_after((int64_t)(draw(&random) % 1000) * WEFT_MICROSECOND)));
        unsigned come = __atomic_load_n(&chaos.next, __ATOMIC_SEQ_CST), among = come < LANES ? come + 1 : LANES;
        uint64_t word = __atomic_load_n(&chaos.lanes[draw(&random) % among], __ATOMIC_SEQ_CST);
        weft_id id;
        memcpy(&id, &word, sizeof id);
        int r = weft__lane_signal(weft_current(), id, WEFT__SIG_CANCEL); /* as a foreign thread may */
        CHECK(r == 0 || r == -ESRCH);
    }
    return 0;
}

/* ---- clients ---- */

typedef struct exchange {
    weft_id sock;
    uint64_t random;
} exchange;

/* A round trip that may fail at any point, but may not deliver wrong bytes. */
static int try_exchange(weft_id sock, uint64_t *random)
{
    unsigned char out[700], in[700];
    size_t n = 1 + draw(random) % sizeof out, done = 0;
    for (size_t i = 0; i < n; i++)
        out[i] = (unsigned char)draw(random);
    int64_t deadline = draw(random) % 8 == 0 ? weft_after((int64_t)(draw(random) % 300) * WEFT_MICROSECOND) : SOON;
    int r = weft_write_all(sock, out, n, &done, deadline);
    CHECK(done <= n);
    if (r < 0)
        return r;
    r = weft_read_all(sock, in, n, &done, deadline);
    CHECK(done <= n && (r < 0 || done == n));
    CHECK(memcmp(in, out, done) == 0);
    if (r == 0)
        __atomic_add_fetch(&chaos.rounds, 1, __ATOMIC_SEQ_CST);
    return r;
}

static int exchange_until_it_fails(void *arg)
{
    exchange e = *(exchange *)arg;
    for (int i = 0; i < 20; i++)
        if (try_exchange(e.sock, &e.random) < 0)
            break;
    return 0;
}

static void act(uint64_t *random)
{
    weft_id sock, fiber;
    int64_t deadline = draw(random) % 10 == 0 ? weft_after((int64_t)(draw(random) % 200) * WEFT_MICROSECOND) : SOON;
    int r = weft_connect(&sock, chaos.address, deadline);
    if (r < 0) {
        CHECK(r == -ETIMEDOUT || r == -ECANCELED || r == -ECONNRESET || r == -ECONNREFUSED);
        return;
    }
    exchange e = {sock, draw(random)};
    CHECK_OK(weft_spawn_with(&fiber, exchange_until_it_fails, &e, .copy = sizeof e));
    unsigned how = (unsigned)(draw(random) % 8), late = (unsigned)(draw(random) % 6);
    for (unsigned i = 0; i < late; i++)
        CHECK_OK(weft_yield());
    if (late == 5)
        CHECK_OK(weft_sleep(weft_after((int64_t)(draw(random) % 500) * WEFT_MICROSECOND)));
    if (how == 1 || how == 2)
        weft_cancel(fiber); /* or it has ended */
    if (how == 3)
        CHECK_OK(weft_sock_set(sock, WEFT_LINGER_S, 0));
    if (how == 2 || how == 3 || how == 4)
        CHECK_OK(weft_close(sock)); /* under its reader */
    if (how == 5)
        weft_shutdown(sock, SHUT_RDWR);
    CHECK_OK(weft_join(fiber, NULL, WEFT_NEVER));
    if (how != 6) /* the rest is closed with the lane */
        weft_close(sock);
}

static int client(void *arg)
{
    uint64_t random = chaos.seed * 1000003 + (uintptr_t)arg;
    for (int i = 0; i < ACTS; i++)
        act(&random);
    return 0;
}

static int everything_goes_wrong(void *arg)
{
    (void)arg;
    weft_id accept_fiber, hunting, lane[CLIENTS];
    chaos.listener = listen_here(chaos.address);
    chaos.stop = 0;
    CHECK_OK(weft_spawn(&accept_fiber, accepting, NULL));
    CHECK_OK(weft_lane_spawn(&hunting, hunter, NULL));
    for (uintptr_t i = 0; i < CLIENTS; i++)
        CHECK_OK(weft_lane_spawn(&lane[i], client, (void *)i));
    for (int i = 0; i < CLIENTS; i++)
        CHECK_OK(weft_lane_join(lane[i], NULL, WEFT_NEVER));
    __atomic_store_n(&chaos.stop, 1, __ATOMIC_SEQ_CST);
    CHECK_OK(weft_lane_join(hunting, NULL, WEFT_NEVER));
    CHECK_OK(weft_cancel(accept_fiber));
    CHECK_OK(weft_join(accept_fiber, NULL, WEFT_NEVER));
    CHECK(chaos.rounds > 0); /* not everything */
    return 0;
}

int main(int argc, char **argv)
{
    static const test_case test = CASE(everything_goes_wrong);
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
    long rounds = argc > 2 ? atol(argv[2]) : argc > 1 ? 1 : 1 + test_rounds(5);
    for (long i = 0; test_again((uint64_t)i, (uint64_t)rounds); i++) {
        memset(&chaos, 0, sizeof chaos);
        chaos.seed = seed + (uint64_t)i;
        fprintf(stderr, "seed %llu: ", (unsigned long long)chaos.seed);
        run_case(&test, NULL);
    }
    return 0;
}
