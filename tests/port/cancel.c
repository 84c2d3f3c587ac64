/* Conformance: cancel and close, in every state an op can be in. A cancel only asks: what really happened is what
 * the op reports, and it reports once (bed.c checks that for every op). */
#include "bed.h"

static void waiting_op(bed *b)
{
    weft_desc x;
    int raw;
    char c;
    job r = {0};
    bed_pair(&x, &raw, AF_INET);
    weft_op_recv(&r.op, &x, &c, 1);
    bed_start(b, &r);
    bed_settle(b);
    bed_cancel(b, &r);
    CHECK_EQ(bed_await(b, &r), -ECANCELED);
    /* The descriptor is none the worse. */
    CHECK_EQ(send(raw, "q", 1, 0), 1);
    CHECK_EQ(bed_run(b, &r), 1);
    close(raw);
    bed_shut(b, &x);
}

static void before_the_kernel_saw_it(bed *b)
{
    weft_desc x;
    int raw;
    char c;
    job r = {0};
    bed_pair(&x, &raw, AF_INET);
    weft_op_recv(&r.op, &x, &c, 1);
    bed_start(b, &r);
    bed_cancel(b, &r);
    bed_cancel(b, &r); /* asking twice is asking once */
    CHECK_EQ(bed_await(b, &r), -ECANCELED);
    bed_cancel(b, &r); /* and of one that ended, nothing */
    close(raw);
    bed_shut(b, &x);
}

/* The data was there before the cancel: whichever wins, no byte is lost. */
static void race_with_data(bed *b)
{
    weft_desc x;
    int raw;
    char c = 0;
    bed_pair(&x, &raw, AF_INET);
    for (int round = 0; round < 200; round++) {
        job r = {0};
        char out = (char)('a' + round % 26);
        weft_op_recv(&r.op, &x, &c, 1);
        bed_start(b, &r);
        bed_settle(b);
        CHECK_EQ(send(raw, &out, 1, 0), 1);
        if (round % 3 == 0)
            weft__port_enter(&b->port, WEFT_NOW);
        bed_cancel(b, &r);
        int64_t got = bed_await(b, &r);
        CHECK(got == 1 || got == -ECANCELED);
        if (got != 1) {
            job again = {0};
            weft_op_recv(&again.op, &x, &c, 1);
            CHECK_EQ(bed_run(b, &again), 1);
        }
        CHECK_EQ(c, out);
    }
    close(raw);
    bed_shut(b, &x);
}

static void every_socket_op(bed *b)
{
    weft_desc x, l;
    int raw;
    char c;
    static char big[1 << 20];
    weft_addr addr;
    struct iovec v = {&c, 1}, w = {big, sizeof big};
    job j[6] = {0};
    bed_pair(&x, &raw, AF_INET);
    bed_listener(b, &l, &addr, AF_INET);
    bed_fill((int)x.handle);
    weft_op_recv(&j[0].op, &x, &c, 1);
    weft_op_readv(&j[1].op, &x, &v, 1);
    weft_op_send(&j[2].op, &x, big, sizeof big);
    weft_op_writev(&j[3].op, &x, &w, 1);
    weft_op_poll(&j[4].op, &x, WEFT_READABLE);
    weft_op_accept(&j[5].op, &l, NULL);
    for (int i = 0; i < 6; i++)
        bed_start(b, &j[i]);
    bed_settle(b);
    for (int i = 0; i < 6; i++) {
        CHECK(weft_op_cancellable((enum weft_opcode)j[i].op.code));
        bed_cancel(b, &j[i]);
        int64_t r = bed_await(b, &j[i]);
        CHECK(r == -ECANCELED || ((i == 2 || i == 3) && r > 0)); /* a send may have sent a part */
    }
    close(raw);
    bed_shut(b, &x);
    bed_shut(b, &l);
}

/* An accept that succeeded although it was cancelled brings its connection with it. */
static void late_accept_is_not_lost(bed *b)
{
    weft_desc l;
    weft_addr addr;
    bed_listener(b, &l, &addr, AF_INET);
    for (int round = 0; round < 100; round++) {
        job a = {0};
        weft_op_accept(&a.op, &l, NULL);
        bed_start(b, &a);
        bed_settle(b);
        int fd = bed_raw_connect(&addr);
        bed_cancel(b, &a);
        int64_t got = bed_await(b, &a);
        if (got == -ECANCELED) { /* then it is still in the listener's queue */
            job again = {0};
            weft_op_accept(&again.op, &l, NULL);
            got = bed_run(b, &again);
        }
        CHECK_OK(got);
        close((int)got);
        close(fd);
    }
    bed_shut(b, &l);
}

static void connect_cancelled(bed *b)
{
    weft_desc l;
    weft_addr addr;
    bed_listener(b, &l, &addr, AF_INET);
    for (int round = 0; round < 100; round++) {
        weft_desc c;
        weft_handle h;
        job j = {0};
        CHECK_OK(b->port.driver->socket(&b->port, &h, &addr));
        weft__desc_init(&c, h, WEFT_DESC_STREAM);
        weft_op_connect(&j.op, &c, &addr);
        bed_start(b, &j);
        if (round & 1)
            weft__port_enter(&b->port, WEFT_NOW);
        bed_cancel(b, &j);
        int64_t got = bed_await(b, &j);
        CHECK(got == 0 || got == -ECANCELED);
        if (got == 0) { /* connected is connected */
            weft_addr peer;
            CHECK_OK(b->port.driver->address(&b->port, h, 1, &peer));
            CHECK_EQ(peer.port, addr.port);
        }
        bed_shut(b, &c);
    }
    bed_shut(b, &l);
}

/* Closing ends what was submitted through the handle; the kernel's close comes after the last end. */
static void close_ends_ops(bed *b)
{
    weft_desc x;
    int raw;
    char c[3];
    job r[3] = {0};
    bed_pair(&x, &raw, AF_INET);
    for (int i = 0; i < 3; i++) {
        weft_op_recv(&r[i].op, &x, &c[i], 1);
        bed_start(b, &r[i]);
    }
    bed_settle(b);
    bed_shut(b, &x);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(r[i].ended, 1);
        CHECK_EQ(r[i].op.result, -ECANCELED);
    }
    CHECK_EQ(recv(raw, c, 1, 0), 0); /* the peer saw the close */
    close(raw);
}

static void two_handles(bed *b)
{
    weft_desc x;
    int raw;
    char c;
    job r = {0};
    bed_pair(&x, &raw, AF_INET);
    x.handles++;
    weft_op_recv(&r.op, &x, &c, 1);
    bed_start(b, &r);
    bed_settle(b);
    weft__desc_close(&b->port, &x); /* one of two: nothing ends */
    bed_settle(b);
    CHECK_EQ(r.ended, 0);
    CHECK_EQ(send(raw, "h", 1, 0), 1);
    CHECK_EQ(bed_await(b, &r), 1);
    close(raw);
    bed_shut(b, &x);
}

static void close_op(bed *b)
{
    weft_desc x;
    int raw;
    char c;
    job r = {0}, k = {0};
    bed_pair(&x, &raw, AF_INET);
    x.handles++;
    weft_op_close(&k.op, &x);
    CHECK_EQ(bed_run(b, &k), 0); /* one handle less */
    weft_op_recv(&r.op, &x, &c, 1);
    bed_start(b, &r);
    bed_settle(b);
    weft_op_close(&k.op, &x);
    CHECK_EQ(bed_run(b, &k), 0);
    CHECK_EQ(r.ended, 1);
    CHECK_EQ(r.op.result, -ECANCELED);
    CHECK_EQ(x.handle, WEFT_NOHANDLE);
    weft_op_close(&k.op, &x);
    CHECK_EQ(bed_run(b, &k), -EBADF);
    close(raw);
}

/* The number is reused at once, by a descriptor that has nothing to do with the old one's ops and events. */
static void number_reused(bed *b)
{
    char c;
    for (int round = 0; round < 50; round++) {
        weft_desc x;
        int raw;
        job r = {0}, w = {0};
        bed_pair(&x, &raw, AF_INET);
        weft_op_recv(&r.op, &x, &c, 1);
        weft_op_poll(&w.op, &x, WEFT_READABLE);
        bed_start(b, &r);
        bed_start(b, &w);
        if (round & 1)
            bed_settle(b);
        CHECK_EQ(send(raw, "o", 1, 0), 1); /* an event of the old one is under way */
        bed_shut(b, &x);
        close(raw);

        weft_desc y;
        job n = {0};
        bed_pair(&y, &raw, AF_INET);
        weft_op_recv(&n.op, &y, &c, 1);
        bed_start(b, &n);
        bed_settle(b);
        CHECK_EQ(n.ended, 0);
        CHECK_EQ(send(raw, "n", 1, 0), 1);
        CHECK_EQ(bed_await(b, &n), 1);
        CHECK_EQ(c, 'n');
        close(raw);
        bed_shut(b, &y);
    }
}

/* Closing the file ends a transfer from it that waits for the socket. */
static void closing_the_second_descriptor(bed *b)
{
    weft_desc x, file;
    int raw;
    job s = {0};
    FILE *f = tmpfile();
    CHECK(f && fputs("0123456789", f) >= 0 && fflush(f) == 0);
    weft__desc_init(&file, dup(fileno(f)), WEFT_DESC_FILE);
    fclose(f);
    bed_pair(&x, &raw, AF_INET);
    bed_fill((int)x.handle);
    weft_op_sendfile(&s.op, &x, &file, 0, 10);
    bed_start(b, &s);
    bed_settle(b);
    CHECK_EQ(s.ended, 0);
    bed_shut(b, &file);
    CHECK_EQ(s.ended, 1);
    CHECK(s.op.result == -ECANCELED || s.op.result > 0);
    close(raw);
    bed_shut(b, &x);
}

/* More ops than any queue holds, all cancelled at once: none is dropped. */
static void thousands_at_once(bed *b)
{
    enum { N = 5000 };
    static job r[N];
    static char c[N];
    weft_desc x;
    int raw;
    memset(r, 0, sizeof r);
    bed_pair(&x, &raw, AF_UNIX);
    for (int i = 0; i < N; i++) {
        weft_op_recv(&r[i].op, &x, &c[i], 1);
        bed_start(b, &r[i]);
    }
    bed_settle(b);
    for (int i = 0; i < N; i++)
        bed_cancel(b, &r[i]);
    for (int i = 0; i < N; i++)
        CHECK_EQ(bed_await(b, &r[i]), -ECANCELED);
    close(raw);
    bed_shut(b, &x);
}

static void thousands_by_close(bed *b)
{
    enum { N = 3000 };
    static job r[N];
    static char c[N];
    weft_desc x;
    int raw;
    memset(r, 0, sizeof r);
    bed_pair(&x, &raw, AF_UNIX);
    for (int i = 0; i < N; i++) {
        weft_op_recv(&r[i].op, &x, &c[i], 1);
        bed_start(b, &r[i]);
    }
    bed_shut(b, &x);
    for (int i = 0; i < N; i++) {
        CHECK_EQ(r[i].ended, 1);
        CHECK_EQ(r[i].op.result, -ECANCELED);
    }
    close(raw);
}

/* More ops than submission slots: the rest waits for its turn, in order. */
static void more_than_the_queue_holds(bed *b)
{
    enum { N = 600 };
    static job w[N];
    weft_desc x;
    int raw;
    memset(w, 0, sizeof w);
    bed_pair(&x, &raw, AF_UNIX);
    static uint16_t numbers[N], seen[N];
    for (int i = 0; i < N; i++) {
        numbers[i] = (uint16_t)i;
        weft_op_nop(&w[i].op);
        bed_start(b, &w[i]);
    }
    for (int i = 0; i < N; i++)
        bed_await(b, &w[i]);
    for (int i = 0; i < N; i++) {
        w[i] = (job){0};
        weft_op_recv(&w[i].op, &x, &seen[i], sizeof seen[i]);
        bed_start(b, &w[i]);
    }
    CHECK_EQ(x.flying, N);
    for (int i = 0; i < N; i++) {
        if (i % 64 == 0)
            bed_settle(b); /* a socket holds only so many small messages */
        CHECK_EQ(send(raw, &numbers[i], sizeof numbers[i], 0), sizeof numbers[i]);
    }
    int sum = 0;
    for (int i = 0; i < N; i++) {
        CHECK_EQ(bed_await(b, &w[i]), sizeof seen[i]);
        sum += seen[i];
    }
    CHECK_EQ(sum, N * (N - 1) / 2);
    close(raw);
    bed_shut(b, &x);
}

/* Ends that come while another's end is being told: on_end closes the descriptor that an event is being handled for. */
static weft_desc *victim;
static void close_the_victim(bed *b, weft_op *op)
{
    (void)op;
    if (victim) {
        weft_desc *d = victim;
        victim = NULL;
        weft__desc_close(&b->port, d);
    }
}

static void close_from_a_completion(bed *b)
{
    enum { N = 8 };
    weft_desc x;
    int raw;
    char c[N];
    job r[N] = {0};
    bed_pair(&x, &raw, AF_UNIX);
    for (int i = 0; i < N; i++) {
        weft_op_recv(&r[i].op, &x, &c[i], 1);
        bed_start(b, &r[i]);
    }
    bed_settle(b);
    victim = &x;
    b->on_end = close_the_victim;
    CHECK_EQ(send(raw, "abcd", 4, 0), 4);
    for (int i = 0; i < N; i++) {
        int64_t got = bed_await(b, &r[i]);
        CHECK(got == 1 || got == -ECANCELED);
    }
    bed_settle(b);
    CHECK_EQ(x.handle, WEFT_NOHANDLE);
    b->on_end = NULL;
    close(raw);
}

static const bed_case cases[] = {
    CASE(waiting_op),
    CASE(before_the_kernel_saw_it),
    CASE(race_with_data),
    CASE(every_socket_op),
    CASE(late_accept_is_not_lost),
    CASE(connect_cancelled),
    CASE(close_ends_ops),
    CASE(two_handles),
    CASE(close_op),
    CASE(number_reused),
    CASE(closing_the_second_descriptor),
    CASE(thousands_at_once),
    CASE(thousands_by_close),
    CASE(more_than_the_queue_holds),
    CASE(close_from_a_completion),
};
BED_MAIN(cases)
