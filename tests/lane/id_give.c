/* weft_give, and `gives` of a newborn: the id goes to another lane and is stale here, nothing is closed, what was
 * received and not read goes along, limits are heeded on the receiver's side, and a refusal gives nothing. */
#include "lane/world.h"
#include "lane/lives.h"
#include "net/cases.h"

static weft_id received(void)
{
    weft_message *m;
    weft_id id;

    CHECK_OK(weft_receive(&m, SOON));
    CHECK_EQ(m->size, sizeof id);
    memcpy(&id, m->data, sizeof id);
    weft_msg_free(m);
    return id;
}

static void send_id(weft_id lane, weft_id id) { CHECK_OK(weft_send(lane, &id, sizeof id, NULL)); }

/* ---- moving ---- */

/* Echoes what comes by the sockets that it is sent, each until its end; a message without an id ends it. */
static int serves(void *arg)
{
    weft_buffer buf;

    (void)arg;
    for (weft_id s; (s = received()).gen;) {
        for (ssize_t n; (n = weft_read_buffer(s, &buf, SOON)) != 0;) {
            CHECK_OK(n);
            CHECK_OK(weft_write_all(s, buf.data, (size_t)n, NULL, SOON));
            weft_port_release(&buf);
        }
        CHECK_OK(weft_close(s));
        CHECK_EQ(weft_close(s), -EBADF);
    }
    return 0;
}

static int moves(void *arg)
{
    weft_id a, b, lane, there;
    char c;
    int r;

    (void)arg;
    CHECK_OK(weft_lane_spawn(&lane, serves, NULL));
    for (int i = 0; i < 60; i++) {
        connect_pair(&a, &b);
        if (i & 1)
            CHECK_EQ(weft_read(a, &c, 1, WEFT_NOW), -ETIMEDOUT); /* it has a home port already */
        CHECK_OK(weft_give(a, lane, &there, SOON));
        CHECK_EQ(weft_read(a, &c, 1, SOON), -EBADF);
        CHECK_EQ(weft_close(a), -EBADF);
        CHECK_EQ(weft_give(a, lane, NULL, SOON), -EBADF);
        CHECK_EQ(weft_close(there), -EPERM);
        send_id(lane, there);
        for (int k = 0; k < 3; k++) {
            CHECK_EQ(weft_write(b, "m", 1, SOON), 1);
            CHECK_EQ(weft_read(b, &c, 1, SOON), 1);
            CHECK_EQ(c, 'm');
        }
        CHECK_OK(weft_close(b));
    }
    send_id(lane, WEFT_NOID);
    CHECK_OK(weft_lane_join(lane, &r, SOON));
    CHECK_EQ(r, 0);
    return 0;
}

/* A socket goes round a ring of lanes; each reads one byte of a long stream, by both forms in turn. The next byte may
 * arrive while the streaming form is still armed: then it goes along as a buffer, and the plain form says so. */
enum { RING = 4, LAPS = 25 };

static weft_id ring[RING];
static int ring_left;

/* The peer sends a byte when it has seen the one before, so a buffer has one byte. */
static ssize_t read_by_buffer(weft_id s, char *c)
{
    weft_buffer buf;
    const ssize_t n = weft_read_buffer(s, &buf, SOON);

    if (n > 0) {
        *c = *(char *)buf.data;
        weft_port_release(&buf);
    }
    return n;
}

static int stage(void *arg)
{
    const int me = *(int *)arg;
    char c;

    for (int lap = 0; lap < LAPS; lap++) {
        weft_id s = received(), there;
        const char expected = (char)('a' + (lap * RING + me) % 26);
        ssize_t n = me & 1 ? weft_read(s, &c, 1, SOON) : -EBUSY;
        if (n == -EBUSY)
            n = read_by_buffer(s, &c);
        CHECK_EQ(n, 1);
        CHECK_EQ(c, expected);
        CHECK_EQ(weft_write(s, &c, 1, SOON), 1);
        CHECK_OK(weft_give(s, ring[(me + 1) % RING], &there, SOON));
        send_id(ring[(me + 1) % RING], there);
    }
    if (me != 0 || bump(&ring_left) != 1)
        return 0;
    CHECK_OK(weft_close(received())); /* it has gone all the way round */
    return 0;
}

static int goes_round(void *arg)
{
    weft_id a, b, there;
    char c;

    (void)arg;
    put(&ring_left, 0);
    connect_pair(&a, &b);
    for (int i = 0; i < RING; i++)
        CHECK_OK(weft_lane_spawn_with(&ring[i], stage, &i, .copy = sizeof i));
    CHECK_OK(weft_give(a, ring[0], &there, SOON));
    send_id(ring[0], there);
    for (int i = 0; i < RING * LAPS; i++) {
        const char expected = (char)('a' + i % 26);
        CHECK_EQ(weft_write(b, &expected, 1, SOON), 1);
        CHECK_EQ(weft_read(b, &c, 1, SOON), 1);
        CHECK_EQ(c, expected);
    }
    CHECK_EQ(weft_read(b, &c, 1, SOON), 0);
    for (int i = 0; i < RING; i++)
        CHECK_OK(weft_lane_join(ring[i], NULL, SOON));
    return 0;
}

/* ---- the streaming form ---- */

enum { PIECES = 6 };

/* Takes over a stream of pieces where the giver stopped. */
static int reads_the_rest(void *arg)
{
    weft_id s = *(weft_id *)arg;
    weft_buffer buf;
    char next = 'b';

    while (next < 'a' + PIECES) {
        const ssize_t n = weft_read_buffer(s, &buf, SOON);
        CHECK_OK(n);
        CHECK(n > 0);
        for (ssize_t i = 0; i < n; i++)
            CHECK_EQ(((char *)buf.data)[i], next++);
        weft_port_release(&buf);
    }
    CHECK_EQ(weft_write(s, "!", 1, SOON), 1);
    CHECK_EQ(weft_read_buffer(s, &buf, SOON), 0); /* armed anew here, it sees the end */
    return 0;
}

/* The peer's pieces arrive one by one; what of them lies unread as the socket is given depends on the moment, what is
 * read in the end does not. */
static void begin_stream(weft_id *a, weft_id *b, int round)
{
    weft_buffer buf;

    connect_pair(a, b);
    CHECK_EQ(weft_write(*b, "a", 1, SOON), 1);
    CHECK_EQ(weft_read_buffer(*a, &buf, SOON), 1);
    CHECK_EQ(*(char *)buf.data, 'a');
    weft_port_release(&buf);
    for (char p = 'b'; p < 'a' + PIECES; p++) {
        CHECK_EQ(weft_write(*b, &p, 1, SOON), 1);
        if (round % 3)
            CHECK_OK(weft_yield());
    }
    if (round % 3 == 2)
        CHECK_OK(weft_sleep(weft_after(WEFT_MILLISECOND))); /* most of them are there */
}

static int takes_unread_buffers_along(void *arg)
{
    weft_id a, b, lane, there;
    char c;
    int r;

    (void)arg;
    CHECK_OK(weft_lane_spawn(&lane, serves, NULL));
    for (int round = 0; round < 30; round++) {
        begin_stream(&a, &b, round);
        CHECK_OK(weft_give(a, lane, &there, SOON));
        CHECK_EQ(weft_close(a), -EBADF);
        send_id(lane, there);
        for (char p = 'b'; p < 'a' + PIECES; p++) {
            CHECK_EQ(weft_read(b, &c, 1, SOON), 1);
            CHECK_EQ(c, p);
        }
        CHECK_OK(weft_close(b));
    }
    send_id(lane, WEFT_NOID);
    CHECK_OK(weft_lane_join(lane, &r, SOON));
    CHECK_EQ(r, 0);
    return 0;
}

static int newborns_take_them_too(void *arg)
{
    weft_id a, b, lane;
    char c;
    int r;

    (void)arg;
    for (int round = 0; round < 30; round++) {
        begin_stream(&a, &b, round);
        while ((r = weft_lane_spawn_with(&lane, reads_the_rest, &a, .copy = sizeof a, .gives = 1)) == -EBUSY)
            CHECK_OK(weft_yield()); /* the armed receive is ending */
        CHECK_OK(r);
        CHECK_EQ(weft_close(a), -EBADF);
        CHECK_EQ(weft_read(b, &c, 1, SOON), 1);
        CHECK_OK(weft_close(b));
        CHECK_OK(weft_lane_join(lane, &r, SOON));
        CHECK_EQ(r, 0);
    }
    return 0;
}

/* A deadline that has passed asks for the end of an armed receive and does not wait for it. */
static int tries_once(void *arg)
{
    weft_id a, b, lane, there;
    weft_buffer buf;
    int r;

    (void)arg;
    CHECK_OK(weft_lane_spawn(&lane, serves, NULL));
    connect_pair(&a, &b);
    CHECK_EQ(weft_read_buffer(a, &buf, weft_after(WEFT_MILLISECOND)), -ETIMEDOUT); /* and stays armed */
    while ((r = weft_give(a, lane, &there, WEFT_NOW)) == -ETIMEDOUT)
        CHECK_OK(weft_yield());
    CHECK_OK(r);
    send_id(lane, there);
    send_id(lane, WEFT_NOID);
    CHECK_OK(weft_close(b));
    CHECK_OK(weft_lane_join(lane, &r, SOON));
    CHECK_EQ(r, 0);
    return 0;
}

/* ---- in use ---- */

typedef struct reader {
    weft_id sock;
    ssize_t got;
} reader;

static int reads_one(void *arg)
{
    reader *r = arg;
    char c;

    r->got = weft_read(r->sock, &c, 1, SOON);
    return 0;
}

static int reads_buffer(void *arg)
{
    reader *r = arg;
    weft_buffer buf;

    r->got = weft_read_buffer(r->sock, &buf, SOON);
    if (r->got > 0)
        weft_port_release(&buf);
    return 0;
}

/* Not while a call waits through the id, whether it began before the descriptor was shared or after. */
static int not_while_in_use(void *arg)
{
    (void)arg;
    for (int i = 0; i < 8; i++) {
        weft_id a, b, other = WEFT_NOID, lane, f, there;
        reader r;

        connect_pair(&a, &b);
        r.sock = a;
        if (i & 1)
            CHECK_OK(weft_dup(a, &other));
        CHECK_OK(weft_spawn(&f, i & 4 ? reads_buffer : reads_one, &r));
        CHECK_OK(weft_yield());
        if ((i & 3) == 2)
            CHECK_OK(weft_dup(a, &other));
        CHECK_OK(weft_lane_spawn(&lane, serves, NULL));
        CHECK_EQ(weft_give(a, lane, &there, SOON), -EBUSY);
        CHECK_EQ(weft_lane_spawn_with(NULL, serves, &a, .copy = sizeof a, .gives = 1), -EBUSY);
        CHECK_EQ(weft_write(b, "u", 1, SOON), 1);
        CHECK_OK(weft_join(f, NULL, SOON));
        CHECK_EQ(r.got, 1); /* it was not disturbed */
        if (other.gen) { /* the other id is another matter */
            CHECK_OK(weft_give(other, lane, &there, SOON));
            CHECK_EQ(weft_close(there), -EPERM);
        }
        CHECK_OK(weft_give(a, lane, &there, SOON));
        send_id(lane, WEFT_NOID);
        CHECK_OK(weft_lane_join(lane, NULL, SOON));
    }
    return 0;
}

/* ---- limits ---- */

/* Waits until it is told to go on, and closes one of what it was given. */
static int holds_two(void *arg)
{
    (void)arg;
    CHECK_OK(weft_close(received()));
    CHECK_EQ(received().gen, 0);
    return 0;
}

static int the_charge_moves(void *arg)
{
    weft_id t[3], lane, there;
    weft_limits two = {.ids = 2};
    int r;

    (void)arg; /* a lane of three ids at most, spawned by `limits` */
    CHECK_OK(weft_lane_spawn_with(&lane, holds_two, NULL, .limits = &two));
    for (int i = 0; i < 3; i++)
        CHECK_OK(weft_listen(&t[i], test_address(), NULL));
    CHECK_EQ(weft_timer_open(&there), -EAGAIN);
    CHECK_OK(weft_give(t[0], lane, NULL, SOON));
    CHECK_OK(weft_timer_open(&t[0])); /* there is room at once: nothing was closed */
    CHECK_EQ(weft_timer_open(&there), -EAGAIN);
    CHECK_OK(weft_give(t[0], lane, &there, SOON));
    CHECK_EQ(weft_give(t[1], lane, NULL, SOON), -EAGAIN);
    CHECK_EQ(weft_dup(t[1], &t[0]), 0); /* it is still ours */
    send_id(lane, there); /* the lane makes room */
    while ((r = weft_give(t[1], lane, NULL, SOON)) == -EAGAIN)
        CHECK_OK(weft_sleep(weft_after(WEFT_MILLISECOND))); /* a refusal costs one of the lives of a record */
    CHECK_OK(r);
    send_id(lane, WEFT_NOID);
    CHECK_OK(weft_lane_join(lane, &r, SOON));
    CHECK_EQ(r, 0);
    /* A newborn's limit: nothing is given if it has no room for all. */
    CHECK_EQ(weft_lane_spawn_with(&lane, holds_two, t, .copy = sizeof t, .gives = 3, .limits = &two), -EBADF);
    CHECK_OK(weft_timer_open(&t[1]));
    CHECK_EQ(weft_lane_spawn_with(&lane, holds_two, t, .copy = sizeof t, .gives = 3, .limits = &two), -EAGAIN);
    for (int i = 0; i < 3; i++)
        CHECK_OK(weft_close(t[i]));
    return 0;
}

static int limits(void *arg)
{
    weft_limits three = {.ids = 3};
    weft_id lane;
    int r;

    (void)arg;
    CHECK_OK(weft_lane_spawn_with(&lane, the_charge_moves, NULL, .limits = &three));
    CHECK_OK(weft_lane_join(lane, &r, SOON));
    CHECK_EQ(r, 0);
    return 0;
}

/* ---- refusals, and lanes that end ---- */

static int ends(void *arg)
{
    (void)arg;
    return 0;
}

static int parks(void *arg)
{
    (void)arg;
    CHECK_EQ(weft_park(WEFT_NEVER), -ECANCELED);
    return 0;
}

static int refusals(void *arg)
{
    weft_id l, lane, dead, many[3], no = WEFT_NOID;

    (void)arg;
    CHECK_OK(weft_lane_spawn(&dead, ends, NULL));
    CHECK_OK(weft_lane_join(dead, NULL, SOON));
    CHECK_OK(weft_lane_spawn(&lane, parks, NULL));
    CHECK_OK(weft_listen(&l, test_address(), NULL));
    CHECK_EQ(weft_give(l, dead, NULL, SOON), -ESRCH);
    CHECK_EQ(weft_give(l, no, NULL, SOON), -ESRCH);
    CHECK_EQ(weft_give(l, weft_lane_self(), NULL, SOON), -EINVAL);
    CHECK_EQ(weft_give(l, weft_self(), NULL, SOON), -EINVAL);
    CHECK_EQ(weft_give(l, l, NULL, SOON), -EINVAL);
    CHECK_EQ(weft_give(weft_self(), lane, NULL, SOON), -EINVAL);
    CHECK_EQ(weft_give(lane, lane, NULL, SOON), -EINVAL);
    CHECK_EQ(weft_give(no, lane, NULL, SOON), -EBADF);

    many[0] = many[1] = l;
    many[2] = no;
    CHECK_EQ(weft_lane_spawn_with(NULL, ends, many, .copy = sizeof many, .gives = 2), -EINVAL); /* the same twice */
    CHECK_EQ(weft_lane_spawn_with(NULL, ends, &many[1], .copy = 2 * sizeof l, .gives = 2), -EBADF);
    CHECK_EQ(weft_lane_spawn_with(NULL, ends, many, .copy = sizeof l, .gives = 2), -EINVAL); /* not copied */
    weft_id ref;
    CHECK_EQ(weft_lane_spawn_with(NULL, ends, &many[1], .copy = 2 * sizeof l, .gives = 2, .monitor = &ref, .linked = 1), -EBADF);
    CHECK_OK(weft_canceled()); /* nor did the newborn's end become ours */
    weft_message *m;
    CHECK_EQ(weft_receive(&m, weft_after(WEFT_MILLISECOND)), -ETIMEDOUT);

    weft_scope scope;
    CHECK_OK(weft_scope_enter(&scope, WEFT_NEVER));
    CHECK_OK(weft_scope_cancel(&scope));
    CHECK_EQ(weft_give(l, lane, NULL, SOON), -ECANCELED);
    CHECK_EQ(weft_scope_leave(&scope), -ECANCELED);
    CHECK_OK(weft_cancel(lane));
    CHECK_OK(weft_lane_join(lane, NULL, SOON));
    CHECK_OK(weft_close(l)); /* after all that it is ours */
    return 0;
}

static int runs_off(void *arg)
{
    weft_id there;
    const int until = *(int *)arg;

    for (int i = 0; i < until; i++)
        CHECK_OK(weft_yield());
    return weft_timer_open(&there);
}

/* What is given to a lane that ends, looked at by it or not, is closed by it or stays: never both, never neither. */
static int to_lanes_that_end(void *arg)
{
    weft_id a, b, lane;
    char c;
    int gone = 0;

    (void)arg;
    for (int i = 0; i < 300; i++) {
        int turns = i % 4;
        connect_pair(&a, &b);
        CHECK_OK(weft_lane_spawn_with(&lane, runs_off, &turns, .copy = sizeof turns));
        for (int k = 0; k < i % 7; k++)
            CHECK_OK(weft_yield());
        const int r = weft_give(a, lane, NULL, SOON);
        CHECK(r == 0 || r == -ESRCH);
        if (r < 0)
            CHECK_OK(weft_close(a));
        else
            CHECK_EQ(weft_close(a), -EBADF);
        gone += r == 0;
        CHECK_EQ(weft_read(b, &c, 1, SOON), 0);
        CHECK_OK(weft_close(b));
        CHECK_OK(weft_lane_join(lane, NULL, SOON));
        CHECK_EQ(weft_give(b, lane, NULL, SOON), -EBADF);
    }
    CHECK(gone > 0);
    return 0;
}

int main(int argc, char **argv)
{
    static const test_case cases[] = {
        CASE(moves), CASE(goes_round), CASE(takes_unread_buffers_along), CASE(newborns_take_them_too), CASE(tries_once),
        CASE(not_while_in_use), CASE(limits), CASE(refusals), CASE(to_lanes_that_end),
    };

    CHECK_EQ(weft_give(WEFT_NOID, WEFT_NOID, NULL, WEFT_NOW), -EPERM); /* no fiber */
    return RUN_IN_FEW_LIVES_TOO(cases, argc, argv);
}
