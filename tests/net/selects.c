/* Select over I/O and messages, beside other things: what happens first wins, what loses is neither lost nor taken,
 * and no operation outlives the call. */
#include "selecting.h"

#include <sys/socket.h>

static weft_channel c;
static int items[4];
static weft_event event;

static void fresh(void)
{
    CHECK_OK(weft_channel_init(&c, sizeof(int), 4, items));
    CHECK_OK(weft_event_init(&event, WEFT_EVENT_AUTO, 0));
}

static void settle(void)
{
    for (int i = 0; i < 16; i++)
        CHECK_OK(weft_yield());
}

/* Until its bytes have come over. */
static void arrived(weft_id sock)
{
    weft_case k[] = {WEFT_CAN_READ(sock)};
    CHECK_EQ(weft_select(k, 1, SOON), 0);
    CHECK((unsigned)k[0].result & WEFT_READABLE);
}

static int arguments(void *arg)
{
    (void)arg;
    char text[WEFT_ADDR_TEXT];
    weft_id l = listen_here(text), a, b, file;
    weft_message *m;
    weft_buffer buffer;

    fresh();
    connect_pair(&a, &b);
    CHECK_OK(weft_open(&file, "/dev/null", WEFT_OPEN_READ, 0, SOON));
    CHECK_ERR(weft_select((weft_case[]){WEFT_CAN_READ(file)}, 1, WEFT_NOW), -EINVAL); /* files are no cases */
    CHECK_ERR(weft_select((weft_case[]){WEFT_CAN_WRITE(file)}, 1, WEFT_NOW), -EINVAL);
    CHECK_ERR(weft_select((weft_case[]){WEFT_CAN_READ(l)}, 1, WEFT_NOW), -EINVAL);
    CHECK_ERR(weft_select((weft_case[]){WEFT_CAN_ACCEPT(a)}, 1, WEFT_NOW), -EINVAL);
    CHECK_ERR(weft_select((weft_case[]){WEFT_BUFFER(l, &buffer)}, 1, WEFT_NOW), -EINVAL);
    CHECK_ERR(weft_select((weft_case[]){WEFT_BUFFER(a, NULL)}, 1, WEFT_NOW), -EINVAL);
    CHECK_ERR(weft_select((weft_case[]){WEFT_ACCEPT(l, NULL)}, 1, WEFT_NOW), -EINVAL);
    CHECK_ERR(weft_select((weft_case[]){WEFT_MESSAGE(NULL)}, 1, WEFT_NOW), -EINVAL);
    CHECK_ERR(weft_select((weft_case[]){WEFT_CAN_READ(WEFT_NOID)}, 1, WEFT_NOW), -EBADF);
    CHECK_OK(weft_close(b));
    CHECK_ERR(weft_select((weft_case[]){WEFT_CAN_READ(b)}, 1, WEFT_NOW), -EBADF);
    CHECK_ERR(weft_select((weft_case[]){WEFT_MESSAGE(&m), WEFT_CAN_ACCEPT(l)}, 2, WEFT_NOW), -ETIMEDOUT);
    const int64_t brief = weft_after(WEFT_MILLISECOND);
    CHECK_ERR(weft_select((weft_case[]){WEFT_MESSAGE(&m), WEFT_CAN_ACCEPT(l)}, 2, brief), -ETIMEDOUT);
    return 0;
}

/* A past deadline tries once, what is ready stays where it was. */
static int tried_once(void *arg)
{
    (void)arg;
    weft_id a, b;
    int x = 5;

    fresh();
    connect_pair(&a, &b);
    weft_case k[] = {WEFT_CAN_READ(a), WEFT_CAN_WRITE(a), WEFT_RECEIVE(&c, &x)};
    CHECK_EQ(weft_select(k, 3, WEFT_NOW), 1);
    CHECK((unsigned)k[1].result & WEFT_WRITABLE);
    k[1].kind = WEFT_CASE_NONE;
    CHECK_EQ(weft_select(k, 3, WEFT_NOW), -ETIMEDOUT);
    say(b, "one");
    arrived(a);
    arrived(a);
    CHECK_EQ(weft_select(k, 3, WEFT_NOW), 0);
    hear(a, "one");
    CHECK_OK(weft_channel_send(&c, &x, WEFT_NEVER));
    CHECK_EQ(weft_select(k, 3, WEFT_NOW), 2);
    return 0;
}

/* As connect_pair, of a kind whose room is counted at the sender: no byte moves on by itself. */
static void local_pair(weft_id *a, weft_id *b)
{
    char address[64];
    weft_id l;
    snprintf(address, sizeof address, "unix:@weft-selects-%d", (int)getpid());
    CHECK_OK(weft_listen(&l, address, NULL));
    CHECK_OK(weft_connect(a, address, SOON));
    CHECK_OK(weft_accept(l, b, NULL, SOON));
    CHECK_OK(weft_close(l));
}

static size_t fill(weft_id sock)
{
    static const char block[4096];
    size_t sum = 0;
    for (;;) {
        const ssize_t n = weft_write(sock, block, sizeof block, WEFT_NOW);
        if (n == -ETIMEDOUT)
            return sum;
        CHECK(n > 0);
        sum += (size_t)n;
    }
}

static void drain(weft_id sock, size_t n)
{
    static char block[4096];
    while (n) {
        const ssize_t got = weft_read(sock, block, n < sizeof block ? n : sizeof block, SOON);
        CHECK(got > 0);
        n -= (size_t)got;
    }
}

typedef struct writer {
    weft_id sock;
    int begun, won;
    unsigned result;
} writer;

static int awaits_room(void *arg)
{
    writer *w = arg;
    int x;
    weft_case k[] = {WEFT_RECEIVE(&c, &x), WEFT_CAN_WRITE(w->sock)};
    w->begun = 1;
    w->won = weft_select(k, 2, SOON);
    w->result = (unsigned)k[1].result;
    return 0;
}

/* A socket that is full: room is waited for, and comes as the peer reads;
 * or something else does, and the socket is as before. */
static int room_is_waited_for(void *arg)
{
    (void)arg;
    weft_id a, b, f;
    int x = 3;

    fresh();
    local_pair(&a, &b);
    const size_t sent = fill(a);
    CHECK(sent > 0);
    CHECK_ERR(weft_select((weft_case[]){WEFT_CAN_WRITE(a)}, 1, WEFT_NOW), -ETIMEDOUT);
    CHECK_ERR(weft_select((weft_case[]){WEFT_CAN_WRITE(a)}, 1, weft_after(WEFT_MILLISECOND)), -ETIMEDOUT);
    for (int i = 0; i < 2; i++) {
        writer w = {.sock = a, .won = -1};
        CHECK_OK(weft_spawn(&f, awaits_room, &w));
        settle();
        CHECK_EQ(w.begun, 1);
        CHECK_EQ(w.won, -1);
        if (i == 0)
            CHECK_OK(weft_channel_send(&c, &x, SOON));
        else
            drain(b, sent);
        joined(f, 0);
        CHECK_EQ(w.won, i);
        if (i == 1)
            CHECK(w.result & WEFT_WRITABLE);
    }
    CHECK_EQ(weft_write(a, "x", 1, SOON), 1);
    return 0;
}

static int says_hello(void *arg)
{
    CHECK_OK(weft_yield());
    say(*(weft_id *)arg, "hello");
    return 0;
}

static int sends_seven(void *arg)
{
    int x = 7;
    (void)arg;
    CHECK_OK(weft_yield());
    return weft_channel_send(&c, &x, WEFT_NEVER);
}

/* It waits, and each of them wins in turn; the others can be waited for again at once. */
static int each_in_turn(void *arg)
{
    (void)arg;
    weft_id a, b, f;

    fresh();
    connect_pair(&a, &b);
    for (int i = 0; i < 60; i++) {
        int x = 0, socket_wins = i % 3;
        const int64_t by = socket_wins == 2 ? weft_after(WEFT_MILLISECOND / 4) : SOON;
        weft_case k[] = {WEFT_CAN_READ(a), WEFT_RECEIVE(&c, &x), WEFT_AT(by)};
        if (socket_wins == 1)
            CHECK_OK(weft_spawn(&f, says_hello, &b));
        else if (socket_wins == 0)
            CHECK_OK(weft_spawn(&f, sends_seven, NULL));
        const int r = i % 2 ? weft_select(k, 3, WEFT_NEVER) : weft_select_ordered(k, 3, WEFT_NEVER);
        CHECK_EQ(r, socket_wins == 2 ? 2 : !socket_wins);
        if (socket_wins == 1)
            hear(a, "hello");
        else if (socket_wins == 0)
            CHECK_EQ(x, 7);
        if (socket_wins < 2)
            joined(f, 0);
    }
    return 0;
}

/* Both ready for ever: each gets its turn, and in order the first. */
static int fair(void *arg)
{
    (void)arg;
    weft_id a, b;
    int x = 1, won[2] = {0};
    enum { TIMES = 300 };

    fresh();
    connect_pair(&a, &b);
    say(b, "x");
    arrived(a);
    for (int i = 0; i < TIMES; i++) {
        (void)weft_channel_try_send(&c, &x);
        weft_case k[] = {WEFT_RECEIVE(&c, &x), WEFT_CAN_READ(a)};
        const int r = weft_select(k, 2, WEFT_NEVER);
        CHECK(r == 0 || r == 1);
        won[r]++;
    }
    CHECK(won[0] > TIMES / 4 && won[1] > TIMES / 4); /* 8 standard deviations */
    for (int i = 0; i < 5; i++) {
        (void)weft_channel_try_send(&c, &x);
        CHECK_EQ(weft_select_ordered((weft_case[]){WEFT_CAN_READ(a), WEFT_RECEIVE(&c, &x)}, 2, WEFT_NEVER), 0);
        CHECK_EQ(weft_select_ordered((weft_case[]){WEFT_RECEIVE(&c, &x), WEFT_CAN_READ(a)}, 2, WEFT_NEVER), 0);
    }
    hear(a, "x");
    return 0;
}

/* ---- sources ---- */

enum { BYTES = 60000, COUNT = 400 };

static int writes_much(void *arg)
{
    unsigned char out[997];
    size_t sent = 0;

    while (sent < BYTES) {
        size_t n = BYTES - sent < sizeof out ? BYTES - sent : sizeof out;
        for (size_t i = 0; i < n; i++)
            out[i] = (unsigned char)((sent + i) * 7);
        CHECK_OK(weft_write_all(*(weft_id *)arg, out, n, NULL, SOON));
        sent += n;
        CHECK_OK(weft_yield());
    }
    CHECK_OK(weft_shutdown(*(weft_id *)arg, 1));
    return 0;
}

static int sends_many(void *arg)
{
    (void)arg;
    for (int i = 0; i < COUNT; i++)
        CHECK_OK(weft_channel_send(&c, &i, SOON));
    return 0;
}

/* The next buffer of a stream or the next item, in whatever order: all bytes and all items, each once. */
static int buffers(void *arg)
{
    (void)arg;
    weft_id a, b, f, g;
    size_t bytes = 0;
    int next = 0, x, ended = 0;

    fresh();
    connect_pair(&a, &b);
    CHECK_OK(weft_spawn(&f, writes_much, &b));
    CHECK_OK(weft_spawn(&g, sends_many, NULL));
    while (!ended || next < COUNT) {
        weft_buffer buffer = {0};
        weft_case k[] = {WEFT_BUFFER(a, &buffer), WEFT_RECEIVE(&c, &x)};
        k[0].kind = ended ? WEFT_CASE_NONE : WEFT_CASE_BUFFER;
        const int r = weft_select(k, 2, SOON);
        CHECK_OK(r);
        if (r == 1) {
            CHECK_EQ(x, next++);
            continue;
        }
        CHECK_OK(k[0].result);
        ended = k[0].result == 0;
        for (int i = 0; i < k[0].result; i++)
            CHECK_EQ(((unsigned char *)buffer.data)[i], (unsigned char)((bytes + (size_t)i) * 7));
        bytes += (size_t)k[0].result;
        if (!ended)
            weft_port_release(&buffer);
    }
    CHECK_EQ(bytes, BYTES);
    joined(f, 0);
    joined(g, 0);
    weft_buffer buffer;
    weft_case k[] = {WEFT_BUFFER(a, &buffer)};
    CHECK_EQ(weft_select(k, 1, WEFT_NOW), 0); /* its end is an item that stays */
    CHECK_EQ(k[0].result, 0);
    return 0;
}

static int waits_for_buffer(void *arg)
{
    weft_buffer buffer;
    weft_case k[] = {WEFT_PASS(&event), WEFT_BUFFER(*(weft_id *)arg, &buffer)};
    return weft_select(k, 2, SOON);
}

/* One waits for the next buffer at a time; what comes for a select that was lost is there for the next reader. */
static int kept_for_the_next(void *arg)
{
    (void)arg;
    weft_id a, b, f;
    weft_buffer buffer;
    char byte;

    fresh();
    connect_pair(&a, &b);
    CHECK_OK(weft_spawn(&f, waits_for_buffer, &a));
    settle();
    CHECK_ERR(weft_read_buffer(a, &buffer, SOON), -EBUSY);
    CHECK_ERR(weft_select((weft_case[]){WEFT_BUFFER(a, &buffer)}, 1, SOON), -EBUSY);
    CHECK_ERR(weft_select((weft_case[]){WEFT_CAN_READ(a)}, 1, SOON), -EBUSY);
    CHECK_ERR(weft_read(a, &byte, 1, SOON), -EBUSY);
    CHECK_EQ(weft_event_set(&event), 1);
    joined(f, 0);
    say(b, "kept");
    CHECK_EQ(weft_read_buffer(a, &buffer, SOON), 4);
    CHECK(memcmp(buffer.data, "kept", 4) == 0);
    weft_port_release(&buffer);
    CHECK_OK(weft_spawn(&f, waits_for_buffer, &a));
    settle();
    CHECK_OK(weft_cancel(f));
    joined(f, -ECANCELED);
    CHECK_OK(weft_spawn(&f, waits_for_buffer, &a));
    settle();
    CHECK_OK(weft_close(a));
    joined(f, 1); /* the closed socket is what happens */
    return 0;
}

static char where[WEFT_ADDR_TEXT];

static int connects(void *arg)
{
    weft_id s;
    (void)arg;
    CHECK_OK(weft_connect(&s, where, SOON));
    return 0;
}

static int accepts_or_stops(void *arg)
{
    weft_id conn = WEFT_NOID;
    weft_case k[] = {WEFT_ACCEPT(*(weft_id *)arg, &conn), WEFT_PASS(&event)};
    const int r = weft_select(k, 2, SOON);
    CHECK(r != 0 || k[0].result < 0 || weft_close(conn) == 0);
    return r < 0 ? r : r == 0 && k[0].result < 0 ? k[0].result : r;
}

static int connections(void *arg)
{
    (void)arg;
    weft_id l = listen_here(where), conn, f[2], g;
    int r[2];

    fresh();
    CHECK_ERR(weft_select((weft_case[]){WEFT_ACCEPT(l, &conn)}, 1, WEFT_NOW), -ETIMEDOUT);
    CHECK_OK(weft_spawn(&g, connects, NULL));
    weft_case k[] = {WEFT_PASS(&event), WEFT_CAN_ACCEPT(l)};
    CHECK_EQ(weft_select(k, 2, SOON), 1);
    CHECK((unsigned)k[1].result & WEFT_READABLE);
    CHECK_OK(weft_accept(l, &conn, NULL, WEFT_NOW)); /* it was only told of */
    CHECK_OK(weft_close(conn));
    joined(g, 0);
    for (int i = 0; i < 2; i++)
        CHECK_OK(weft_spawn(&f[i], accepts_or_stops, &l));
    settle();
    CHECK_OK(weft_spawn(&g, connects, NULL));
    joined(g, 0);
    for (int i = 0; weft_join(f[i % 2], &r[i % 2], weft_after(WEFT_MILLISECOND)) == -ETIMEDOUT; i++)
        ; /* one connection, one of them has it */
    (void)weft_event_set(&event);
    int sum = 0;
    for (int i = 0; i < 2; i++) {
        const int j = weft_join(f[i], &r[i], SOON);
        CHECK(j == 0 || j == -ESRCH);
        CHECK(r[i] == 0 || r[i] == 1);
        sum += r[i];
    }
    CHECK_EQ(sum, 1);
    CHECK_OK(weft_spawn(&f[0], accepts_or_stops, &l));
    settle();
    CHECK_OK(weft_close(l));
    joined(f[0], -ECANCELED); /* the result of the case */
    return 0;
}

/* ---- messages ---- */

static int message_or_stop(void *arg)
{
    weft_message *m = NULL;
    weft_case k[] = {WEFT_PASS(&event), WEFT_MESSAGE(&m)};
    (void)arg;
    const int r = weft_select(k, 2, SOON);
    if (r == 1) {
        CHECK_OK(k[1].result);
        CHECK_OK(weft_msg_free(m));
    }
    return r;
}

static int receives_one(void *arg)
{
    weft_message *m;
    (void)arg;
    CHECK_OK(weft_receive(&m, SOON));
    return weft_msg_free(m);
}

static int messages(void *arg)
{
    (void)arg;
    weft_id self = weft_lane_self(), f, g;
    weft_message *m;
    int x = 3, r[2];

    fresh();
    for (int i = 0; i < 3; i++) {
        CHECK_OK(weft_spawn(&f, message_or_stop, NULL));
        if (i)
            settle(); /* it waits already, or finds it there */
        CHECK_OK(weft_send(self, &x, sizeof x, NULL));
        joined(f, 1);
    }
    CHECK_OK(weft_spawn(&f, message_or_stop, NULL)); /* lost to something else, and cancelled: it stays */
    settle();
    CHECK_EQ(weft_event_set(&event), 1);
    CHECK_OK(weft_send(self, &x, sizeof x, NULL));
    joined(f, 0);
    CHECK_OK(weft_receive(&m, WEFT_NOW));
    CHECK_OK(weft_msg_free(m));
    CHECK_OK(weft_spawn(&f, message_or_stop, NULL));
    settle();
    CHECK_OK(weft_cancel(f));
    CHECK_OK(weft_send(self, &x, sizeof x, NULL));
    joined(f, -ECANCELED);
    CHECK_OK(weft_receive(&m, WEFT_NOW));
    CHECK_OK(weft_msg_free(m));
    CHECK_OK(weft_spawn(&f, message_or_stop, NULL)); /* two, and one message: one of them goes on waiting */
    CHECK_OK(weft_spawn(&g, message_or_stop, NULL));
    settle();
    CHECK_OK(weft_send(self, &x, sizeof x, NULL));
    settle();
    CHECK_EQ(weft_event_set(&event), 1);
    CHECK_OK(weft_join(f, &r[0], SOON));
    CHECK_OK(weft_join(g, &r[1], SOON));
    CHECK_EQ(r[0] + r[1], 1);
    CHECK_ERR(weft_receive(&m, WEFT_NOW), -ETIMEDOUT);
    CHECK_OK(weft_spawn(&f, message_or_stop, NULL)); /* told of a message that another takes it stays in line */
    settle();
    CHECK_OK(weft_spawn(&g, receives_one, NULL));
    settle();
    CHECK_OK(weft_send(self, &x, sizeof x, NULL));
    joined(g, 0);
    settle();
    CHECK_OK(weft_send(self, &x, sizeof x, NULL));
    joined(f, 1);
    return 0;
}

/* ---- ends ---- */

static weft_id its_sock, its_peer;
static int waiting;

static int waits_here(void *arg)
{
    int x;
    weft_case k[] = {WEFT_RECEIVE(&c, &x), WEFT_CAN_READ(its_sock), WEFT_PASS(&event), WEFT_CAN_READ(its_sock)};
    (void)arg;
    const int r = weft_select(k, 4, SOON);
    return r == 1 || r == 3 ? k[r].result : r;
}

/* A sibling's close, the peer's end, the peer's reset: things that happen. A cancel and a deadline: of the select. */
static int ends_of_it(void *arg)
{
    (void)arg;
    weft_id f;

    fresh();
    connect_pair(&its_sock, &its_peer);
    CHECK_OK(weft_spawn(&f, waits_here, NULL));
    settle();
    CHECK_OK(weft_cancel(f));
    joined(f, -ECANCELED);
    CHECK_OK(weft_spawn(&f, waits_here, NULL));
    settle();
    CHECK_OK(weft_close(its_sock));
    joined(f, -ECANCELED);
    for (int reset = 0; reset < 2; reset++) {
        int r;
        char byte;

        connect_pair(&its_sock, &its_peer);
        CHECK_OK(weft_spawn(&f, waits_here, NULL));
        settle();
        if (reset)
            CHECK_OK(weft_sock_set(its_peer, WEFT_LINGER_S, 0));
        CHECK_OK(weft_close(its_peer));
        CHECK_OK(weft_join(f, &r, SOON));
        CHECK(r > 0 && ((unsigned)r & (WEFT_READABLE | WEFT_HANGUP)));
        CHECK_EQ(weft_read(its_sock, &byte, 1, SOON), reset ? -ECONNRESET : 0);
        CHECK_OK(weft_close(its_sock));
    }
    weft_scope s;
    connect_pair(&its_sock, &its_peer);
    CHECK_OK(weft_scope_enter(&s, weft_after(WEFT_MILLISECOND)));
    CHECK_EQ(weft_select((weft_case[]){WEFT_CAN_READ(its_sock)}, 1, WEFT_NEVER), -ECANCELED);
    CHECK_EQ(weft_scope_leave(&s), -ETIMEDOUT);
    return 0;
}

static int waits_and_dies(void *arg)
{
    weft_id a, b, l;
    char text[WEFT_ADDR_TEXT];
    int x = 9;
    weft_message *m;
    weft_buffer buffer;

    connect_pair(&a, &b);
    l = listen_here(text);
    weft_id other, peer;
    connect_pair(&other, &peer);
    weft_case k[] = {WEFT_CAN_READ(a), WEFT_RECEIVE(&c, &x), WEFT_MESSAGE(&m), WEFT_BUFFER(other, &buffer),
                     WEFT_CAN_ACCEPT(l), WEFT_CAN_READ(b)};
    __atomic_store_n(&waiting, 1, __ATOMIC_RELEASE);
    (void)arg;
    CHECK_EQ(weft_select(k, 6, WEFT_NEVER), 1);
    __atomic_store_n(&waiting, 2, __ATOMIC_RELEASE); /* it has the item; its lane may die all the same */
    return 0;
}

/* While it waits, and when it has just been given something: an item goes to the next receiver. */
static int killed(void *arg)
{
    (void)arg;
    for (int given = 0; given < 2; given++)
        for (int i = 0; i < 6; i++) {
            weft_id l;
            int x = 31;

            fresh();
            __atomic_store_n(&waiting, 0, __ATOMIC_RELEASE);
            CHECK_OK(weft_lane_spawn_with(&l, waits_and_dies, NULL, .pinned = i % 2));
            while (!__atomic_load_n(&waiting, __ATOMIC_ACQUIRE))
                CHECK_OK(weft_yield());
            for (int k = 0; k < i; k++)
                CHECK_OK(weft_yield());
            if (given)
                CHECK_OK(weft_channel_send(&c, &x, SOON));
            CHECK(weft_kill(l) != -EPERM); /* it may have ended */
            CHECK_OK(weft_lane_join(l, NULL, SOON));
            if (given && __atomic_load_n(&waiting, __ATOMIC_ACQUIRE) == 1) {
                x = 0;
                CHECK_OK(weft_channel_receive(&c, &x, WEFT_NOW));
                CHECK_EQ(x, 31);
            }
            CHECK_ERR(weft_channel_try_receive(&c, &x), -EAGAIN);
        }
    return 0;
}

static const test_case cases[] = {
    CASE(arguments), CASE(tried_once), CASE(room_is_waited_for), CASE(each_in_turn), CASE(fair), CASE(buffers), CASE(kept_for_the_next),
    CASE(connections), CASE(messages), CASE(ends_of_it), CASE(killed),
};

int main(int argc, char **argv) { return RUN(cases, argc, argv); }
