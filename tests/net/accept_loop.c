/* weft_accept_each: the limit, the refusal, the drain, running out of descriptors, and what ends it. */
#include "cases.h"

#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>

/* What handlers and the test share; handlers run on any worker. */
typedef struct shared {
    weft_accept_options opt;
    int (*handler)(void *conn);
    weft_id listener;
    char address[WEFT_ADDR_TEXT];
    int inside, most, begun, refused;
    int result;
} shared;

static int accepting(void *arg)
{
    shared *s = arg;
    s->opt.arg = s;
    s->result = weft_accept_each(s->listener, s->handler, &s->opt);
    return 0;
}

static weft_id serve(shared *s, int (*handler)(void *))
{
    weft_id fiber;
    s->handler = handler;
    s->listener = listen_here(s->address);
    CHECK_OK(weft_spawn(&fiber, accepting, s));
    return fiber;
}

static void stop(weft_id fiber)
{
    CHECK_OK(weft_cancel(fiber));
    CHECK_OK(weft_join(fiber, NULL, WEFT_NEVER));
}

static void enter(shared *s)
{
    int now = __atomic_add_fetch(&s->inside, 1, __ATOMIC_SEQ_CST);
    int most = __atomic_load_n(&s->most, __ATOMIC_SEQ_CST);
    while (most < now && !__atomic_compare_exchange_n(&s->most, &most, now, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        ;
    __atomic_add_fetch(&s->begun, 1, __ATOMIC_SEQ_CST);
}

static void leave(shared *s) { __atomic_sub_fetch(&s->inside, 1, __ATOMIC_SEQ_CST); }

static int read_atomic(int *p) { return __atomic_load_n(p, __ATOMIC_SEQ_CST); }

/* Greets, then waits for the peer's end. */
static int greet(void *arg)
{
    weft_conn *conn = arg;
    shared *s = conn->arg;
    char c;
    enter(s);
    ssize_t r = weft_write_all(conn->id, "h", 1, NULL, WEFT_NEVER);
    if (r == 0)
        r = weft_read(conn->id, &c, 1, WEFT_NEVER);
    leave(s);
    return (int)r;
}

static weft_id greeted(const char *address)
{
    weft_id sock;
    char c;
    CHECK_OK(weft_connect(&sock, address, SOON));
    CHECK_EQ(weft_read(sock, &c, 1, SOON), 1);
    CHECK_EQ(c, 'h');
    return sock;
}

static int look_around(void *arg)
{
    weft_conn *conn = arg;
    shared *s = conn->arg;
    weft_addr peer, local;
    enter(s);
    CHECK(weft_id_equal(*(weft_id *)arg, conn->id));
    CHECK_OK(weft_peer_addr(conn->id, &peer));
    CHECK_EQ(peer.port, conn->peer.port);
    CHECK_EQ(conn->peer.family, WEFT_ADDR_IP4);
    CHECK_OK(weft_local_addr(conn->id, &local));
    CHECK(strcmp(weft_name(), "guest") == 0);
    leave(s);
    return 0;
}

static int a_handler_finds_its_connection(void *arg)
{
    (void)arg;
    shared s = {.opt = {.name = "guest"}};
    weft_id fiber = serve(&s, look_around), sock;
    char c;
    CHECK_OK(weft_connect(&sock, s.address, SOON));
    CHECK_EQ(weft_read(sock, &c, 1, SOON), 0); /* the handler has returned, and that has closed it */
    stop(fiber);
    CHECK_EQ(s.result, 0);
    CHECK_EQ(s.begun, 1);
    return 0;
}

static int wrong_arguments(void *arg)
{
    (void)arg;
    char text[WEFT_ADDR_TEXT];
    weft_id l = listen_here(text);
    CHECK_ERR(weft_accept_each(l, NULL, NULL), -EINVAL);
    CHECK_OK(weft_cancel(weft_self()));
    CHECK_ERR(weft_accept_each(l, greet, NULL), -ECANCELED);
    return 0;
}

/* ---- the limit ---- */

enum { LIMIT = 5, BEYOND = 4 };

static int waiting_client(void *arg)
{
    weft_id sock = greeted(arg);
    return weft_close(sock);
}

static int at_the_limit_others_wait_for_their_turn(void *arg)
{
    (void)arg;
    shared s = {.opt = {.max_connections = LIMIT}};
    weft_id fiber = serve(&s, greet), in[LIMIT], out[BEYOND], lane[BEYOND];
    for (int i = 0; i < LIMIT; i++)
        in[i] = greeted(s.address);
    for (int i = 0; i < BEYOND; i++) {
        char c;
        CHECK_OK(weft_connect(&out[i], s.address, SOON)); /* the kernel's backlog takes them */
        CHECK_ERR(weft_read(out[i], &c, 1, weft_after(20 * WEFT_MILLISECOND)), -ETIMEDOUT);
    }
    CHECK_EQ(read_atomic(&s.inside), LIMIT);
    CHECK_EQ(read_atomic(&s.begun), LIMIT);
    for (int i = 0; i < BEYOND; i++) { /* each that goes lets one in */
        char c;
        int served = 0;
        CHECK_OK(weft_close(in[i]));
        for (int k = 0; !served; k = (k + 1) % BEYOND) /* shards are served in any order */
            served = weft_read(out[k], &c, 1, weft_after(WEFT_MILLISECOND)) == 1;
        CHECK(read_atomic(&s.inside) <= LIMIT);
    }
    for (int i = BEYOND; i < LIMIT; i++)
        CHECK_OK(weft_close(in[i]));
    for (int i = 0; i < BEYOND; i++)
        CHECK_OK(weft_close(out[i]));
    for (int i = 0; i < BEYOND; i++)
        CHECK_OK(weft_lane_spawn(&lane[i], waiting_client, s.address));
    for (int i = 0; i < BEYOND; i++)
        CHECK_OK(weft_lane_join(lane[i], NULL, WEFT_NEVER));
    stop(fiber);
    CHECK_EQ(s.result, 0);
    CHECK_EQ(s.most, LIMIT);
    CHECK_EQ(s.begun, LIMIT + 2 * BEYOND);
    return 0;
}

/* A limit of one, and clients in great number: the turn goes round, whichever shard they knock at. */
static int a_limit_of_one_serves_all_in_turn(void *arg)
{
    (void)arg;
    enum { CLIENTS = 40 };
    shared s = {.opt = {.max_connections = 1}};
    weft_id fiber = serve(&s, greet), lane[CLIENTS];
    for (int i = 0; i < CLIENTS; i++)
        CHECK_OK(weft_lane_spawn(&lane[i], waiting_client, s.address));
    for (int i = 0; i < CLIENTS; i++)
        CHECK_OK(weft_lane_join(lane[i], NULL, WEFT_NEVER));
    stop(fiber);
    CHECK_EQ(s.result, 0);
    CHECK_EQ(s.most, 1);
    CHECK_EQ(s.begun, CLIENTS);
    return 0;
}

static int say_no(void *arg)
{
    weft_conn *conn = arg;
    shared *s = conn->arg;
    __atomic_add_fetch(&s->refused, 1, __ATOMIC_SEQ_CST);
    return weft_write_all(conn->id, "n", 1, NULL, WEFT_NEVER);
}

static int beyond_the_limit_others_are_refused(void *arg)
{
    (void)arg;
    shared s = {.opt = {.max_connections = LIMIT, .refuse = say_no}};
    weft_id fiber = serve(&s, greet), in[LIMIT], sock;
    char c[2];
    for (int i = 0; i < LIMIT; i++)
        in[i] = greeted(s.address);
    for (int i = 0; i < BEYOND; i++) {
        CHECK_OK(weft_connect(&sock, s.address, SOON));
        CHECK_EQ(weft_read(sock, c, 2, SOON), 1);
        CHECK_EQ(c[0], 'n');
        CHECK_EQ(weft_read(sock, c, 2, SOON), 0); /* and is closed */
        CHECK_OK(weft_close(sock));
    }
    CHECK_OK(weft_close(in[0]));
    for (;;) { /* the place is free once the handler has noticed */
        CHECK_OK(weft_connect(&sock, s.address, SOON));
        CHECK_EQ(weft_read(sock, c, 1, SOON), 1);
        if (c[0] == 'h')
            break;
        CHECK_OK(weft_close(sock));
    }
    CHECK_OK(weft_close(sock));
    for (int i = 1; i < LIMIT; i++)
        CHECK_OK(weft_close(in[i]));
    stop(fiber);
    CHECK_EQ(s.result, 0);
    CHECK_EQ(s.most, LIMIT);
    CHECK(s.refused >= BEYOND);
    return 0;
}

/* ---- the drain ---- */

static int finish_later(void *arg)
{
    shared *s = arg;
    weft_id sock = greeted(s->address);
    /* Longer than it takes to stop; the answer is right in any case. */
    CHECK_OK(weft_sleep(weft_after(30 * WEFT_MILLISECOND)));
    return weft_close(sock);
}

static int handlers_may_finish(void *arg)
{
    (void)arg;
    shared s = {.opt = {.drain_ns = 20 * WEFT_SECOND}};
    weft_id fiber = serve(&s, greet), lane[3];
    int result;
    for (int i = 0; i < 3; i++)
        CHECK_OK(weft_lane_spawn(&lane[i], finish_later, &s));
    while (read_atomic(&s.begun) < 3) /* on a busy machine one has left before another comes */
        CHECK_OK(weft_sleep(weft_after(WEFT_MILLISECOND)));
    stop(fiber);
    CHECK_EQ(s.result, 0);
    CHECK_EQ(s.inside, 0);
    for (int i = 0; i < 3; i++) {
        CHECK_OK(weft_lane_join(lane[i], &result, SOON));
        CHECK_EQ(result, 0);
    }
    return 0;
}

static int handlers_that_do_not_finish_are_cancelled(void *arg)
{
    (void)arg;
    shared s = {.opt = {.drain_ns = 20 * WEFT_MILLISECOND}};
    weft_id fiber = serve(&s, greet), in[3];
    char c;
    for (int i = 0; i < 3; i++)
        in[i] = greeted(s.address);
    int64_t begin = weft_now();
    stop(fiber);
    CHECK(weft_now() - begin >= 20 * WEFT_MILLISECOND);
    CHECK_EQ(s.result, -ECANCELED);
    CHECK_EQ(s.inside, 0);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(weft_read(in[i], &c, 1, SOON), 0); /* their death has closed everything */
    return 0;
}

static int nobody_is_accepted_during_the_drain(void *arg)
{
    (void)arg;
    shared s = {.opt = {.drain_ns = 20 * WEFT_SECOND}};
    weft_id fiber = serve(&s, greet), in = greeted(s.address), late;
    char c;
    CHECK_OK(weft_cancel(fiber));
    /* The other worker's shard hears of it a moment later; if it never did, a hang. */
    for (ssize_t served = 1; served == 1;) {
        if (weft_connect(&late, s.address, weft_after(50 * WEFT_MILLISECOND)) < 0)
            break;
        served = weft_read(late, &c, 1, weft_after(30 * WEFT_MILLISECOND));
        CHECK_OK(weft_close(late));
    }
    CHECK_OK(weft_close(in));
    CHECK_OK(weft_join(fiber, NULL, WEFT_NEVER));
    CHECK_EQ(s.result, 0);
    return 0;
}

static int closing_the_listener_ends_it(void *arg)
{
    (void)arg;
    shared s = {.opt = {.drain_ns = 20 * WEFT_SECOND}};
    weft_id fiber = serve(&s, greet), in = greeted(s.address);
    CHECK_OK(weft_close(s.listener));
    CHECK_OK(weft_sleep(weft_after(2 * WEFT_MILLISECOND)));
    CHECK_OK(weft_close(in));
    CHECK_OK(weft_join(fiber, NULL, WEFT_NEVER));
    CHECK_EQ(s.result, 0);
    return 0;
}

/* Cancelled before, while, and after it starts: it ends in each case. */
static int a_cancel_at_any_moment(void *arg)
{
    (void)arg;
    for (int i = 0; i < 30; i++) {
        shared s = {.opt = {.drain_ns = WEFT_MILLISECOND, .max_connections = (unsigned)(i % 3)}};
        weft_id fiber = serve(&s, greet), sock;
        for (int k = 0; k < i % 5; k++)
            CHECK_OK(weft_yield());
        int connected = i % 2 && weft_connect(&sock, s.address, SOON) == 0;
        stop(fiber);
        CHECK(s.result == 0 || s.result == -ECANCELED);
        if (connected)
            CHECK_OK(weft_close(sock));
        CHECK_OK(weft_close(s.listener));
    }
    return 0;
}

static int lane_of_a_server(void *arg)
{
    shared *s = arg;
    weft_id fiber = serve(s, greet);
    __atomic_store_n(&s->refused, 1, __ATOMIC_SEQ_CST); /* up */
    weft_join(fiber, NULL, WEFT_NEVER);
    return 0;
}

/* A cancelled lane takes its connections along without a drain. */
static int a_cancelled_lane_ends_at_once(void *arg)
{
    (void)arg;
    static shared s;
    memset(&s, 0, sizeof s);
    s.opt.drain_ns = 1000 * WEFT_SECOND;
    weft_id lane, in[3];
    char c;
    CHECK_OK(weft_lane_spawn(&lane, lane_of_a_server, &s));
    while (!read_atomic(&s.refused))
        CHECK_OK(weft_sleep(weft_after(WEFT_MILLISECOND)));
    for (int i = 0; i < 3; i++)
        in[i] = greeted(s.address);
    CHECK_OK(weft_cancel(lane));
    CHECK_OK(weft_lane_join(lane, NULL, SOON));
    CHECK_EQ(read_atomic(&s.inside), 0);
    for (int i = 0; i < 3; i++)
        CHECK(weft_read(in[i], &c, 1, SOON) <= 0);
    return 0;
}

/* ---- running out of descriptors ---- */

/* How many of the clients have been greeted so far; they are not weft's, so that their descriptors are there
 * beforehand. */
static int greetings(const int *fd, int n, char *seen)
{
    int sum = 0;
    char c;
    for (int i = 0; i < n; i++) {
        seen[i] = (char)(seen[i] || recv(fd[i], &c, 1, MSG_DONTWAIT) == 1);
        sum += seen[i];
    }
    return sum;
}

static int service_resumes_after_descriptors_ran_out(void *arg)
{
    enum { CLIENTS = 12, LEFT = 4 };
    (void)arg;
    shared s = {0};
    weft_id fiber;
    struct rlimit old, tight;
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(test_loopback())};
    weft_addr at;
    int fd[CLIENTS];
    char seen[CLIENTS] = {0};
    s.handler = greet;
    s.listener = listen_here(s.address);
    CHECK_OK(weft_local_addr(s.listener, &at));
    sa.sin_port = htons(at.port);
    for (int i = 0; i < CLIENTS; i++)
        CHECK((fd[i] = socket(AF_INET, SOCK_STREAM, 0)) >= 0);
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &old), 0);
    tight = old;
    tight.rlim_cur = (rlim_t)fd[CLIENTS - 1] + 1 + LEFT + 1; /* per-core mode needs one for its other listener */
    /* Before it starts: a ring's accept keeps the limit it was armed with. */
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &tight), 0);
    CHECK_OK(weft_spawn(&fiber, accepting, &s));
    for (int i = 0; i < CLIENTS; i++)
        CHECK_EQ(connect(fd[i], (struct sockaddr *)&sa, sizeof sa), 0);
    while (greetings(fd, CLIENTS, seen) < LEFT)
        CHECK_OK(weft_sleep(weft_after(WEFT_MILLISECOND)));
    CHECK_OK(weft_sleep(weft_after(30 * WEFT_MILLISECOND)));
    CHECK(greetings(fd, CLIENTS, seen) < CLIENTS); /* the others wait: no descriptor is left for them */
    weft_stats before, after;
    CHECK_OK(weft_runtime_stats(weft_current(), &before));
    CHECK_OK(weft_sleep(weft_after(200 * WEFT_MILLISECOND)));
    CHECK_OK(weft_runtime_stats(weft_current(), &after));
    CHECK(after.ticks - before.ticks < 2000); /* and nobody spins for them */
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &old), 0);
    while (greetings(fd, CLIENTS, seen) < CLIENTS) /* served without anybody's doing */
        CHECK_OK(weft_sleep(weft_after(WEFT_MILLISECOND)));
    for (int i = 0; i < CLIENTS; i++)
        close(fd[i]);
    stop(fiber);
    CHECK_EQ(s.result, 0);
    CHECK_EQ(s.begun, CLIENTS);
    return 0;
}

/* weft_accept itself: it backs off, and its deadline still holds. */
static int accept_backs_off_until_its_deadline(void *arg)
{
    (void)arg;
    char text[WEFT_ADDR_TEXT];
    weft_id l = listen_here(text), sock, out;
    struct rlimit old, none;
    CHECK_OK(weft_connect(&sock, text, SOON));
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &old), 0);
    none = old;
    none.rlim_cur = 3;
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
    int64_t begin = weft_now();
    CHECK_ERR(weft_accept(l, &out, NULL, begin + 30 * WEFT_MILLISECOND), -ETIMEDOUT);
    CHECK(weft_now() - begin >= 30 * WEFT_MILLISECOND);
    CHECK_ERR(weft_accept(l, &out, NULL, WEFT_NOW), -ETIMEDOUT);
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &old), 0);
    CHECK_OK(weft_accept(l, &out, NULL, SOON));
    return 0;
}

static const test_case cases[] = {
    CASE(a_handler_finds_its_connection), CASE(wrong_arguments), CASE(at_the_limit_others_wait_for_their_turn),
    CASE(a_limit_of_one_serves_all_in_turn), CASE(beyond_the_limit_others_are_refused), CASE(handlers_may_finish),
    CASE(handlers_that_do_not_finish_are_cancelled), CASE(nobody_is_accepted_during_the_drain),
    CASE(closing_the_listener_ends_it), CASE(a_cancel_at_any_moment), CASE(a_cancelled_lane_ends_at_once),
    CASE(service_resumes_after_descriptors_ran_out), CASE(accept_backs_off_until_its_deadline)};

int main(int argc, char **argv) { return RUN(cases, argc, argv); }
