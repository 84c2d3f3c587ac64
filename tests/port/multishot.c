/* Conformance: ops that go on. Accepting and receiving with buffers that the port lends. */
#include "bed.h"

enum { BUFFERS = 8, SIZE = 1024 };
static const weft_port_config few = {.entries = 64, .buffer_size = SIZE, .buffer_count = BUFFERS};

/* What `more` saw, of all jobs of a case. */
static weft_buffer held[BUFFERS];
static unsigned holding;
static char text[1 << 20];
static size_t text_len;

static job *job_of(weft_op *op) { return weft__container(op, job, op); }

static void count(weft_op *op, int64_t result)
{
    job *j = job_of(op);
    CHECK_EQ(j->ended, 0); /* nothing comes after the end */
    j->results[j->more++ % 64] = result;
}

static void keep_text(weft_op *op, int64_t result, weft_buffer *buffer)
{
    count(op, result);
    CHECK(result > 0 && buffer && buffer->len == (uint32_t)result);
    CHECK(text_len + buffer->len <= sizeof text);
    memcpy(text + text_len, buffer->data, buffer->len);
    text_len += buffer->len;
    weft_port_release(buffer);
}

static void hold(weft_op *op, int64_t result, weft_buffer *buffer)
{
    count(op, result);
    CHECK(holding < BUFFERS);
    held[holding++] = *buffer;
}

static void let_go(void)
{
    while (holding > 0)
        weft_port_release(&held[--holding]);
}

static void keep_handle(weft_op *op, int64_t result, weft_buffer *buffer)
{
    CHECK(result >= 0 && !buffer);
    count(op, result);
}

static void enter_until(bed *b, const unsigned *word, unsigned n)
{
    int64_t limit = bed_after(BED_LIMIT);
    while (*word < n) {
        if (bed_now() >= limit)
            TEST_FAIL("%u of %u came", *word, n);
        weft__port_enter(&b->port, limit);
    }
}

static void accepts_until_cancelled(bed *b)
{
    enum { N = 40 };
    weft_desc l;
    weft_addr addr;
    job a = {0};
    int fd[N];
    bed_listener(b, &l, &addr, AF_INET);
    weft_op_accept_multi(&a.op, &l, keep_handle);
    bed_start(b, &a);
    for (int i = 0; i < N; i++) {
        fd[i] = bed_raw_connect(&addr);
        if (i % 3 == 0)
            enter_until(b, &a.more, (unsigned)i + 1);
    }
    enter_until(b, &a.more, N);
    for (int i = 0; i < N; i++) {
        CHECK_EQ(send((int)a.results[i], "x", 1, MSG_NOSIGNAL), 1);
        close((int)a.results[i]);
    }
    bed_cancel(b, &a);
    CHECK_EQ(bed_await(b, &a), -ECANCELED);
    CHECK_EQ(a.more, N);
    for (int i = 0; i < N; i++)
        close(fd[i]);
    bed_shut(b, &l);
}

/* Connections that come between the cancel and the end are told of. */
static void accepts_while_cancelled(bed *b)
{
    weft_desc l;
    weft_addr addr;
    bed_listener(b, &l, &addr, AF_INET);
    int before = open_descriptors();
    for (int round = 0; round < 50; round++) {
        job a = {0};
        weft_op_accept_multi(&a.op, &l, keep_handle);
        bed_start(b, &a);
        bed_settle(b);
        int fd[3];
        for (int i = 0; i < 3; i++)
            fd[i] = bed_raw_connect(&addr);
        bed_cancel(b, &a);
        CHECK_EQ(bed_await(b, &a), -ECANCELED);
        for (unsigned i = 0; i < a.more; i++)
            close((int)a.results[i]);
        for (unsigned i = a.more; i < 3; i++) {
            job one = {0};
            weft_op_accept(&one.op, &l, NULL);
            CHECK_OK(bed_run(b, &one));
            close((int)one.op.result);
        }
        for (int i = 0; i < 3; i++)
            close(fd[i]);
    }
    CHECK_EQ(open_descriptors(), before);
    bed_shut(b, &l);
}

static void receives_in_order(bed *b)
{
    enum { TOTAL = 300000 };
    weft_desc x;
    int raw;
    static char out[TOTAL];
    job r = {0};
    for (int i = 0; i < TOTAL; i++)
        out[i] = (char)(i * 31 % 127);
    text_len = 0;
    bed_pair(&x, &raw, AF_INET);
    weft_op_recv_multi(&r.op, &x, keep_text);
    bed_start(b, &r);
    size_t sent = 0;
    int64_t limit = bed_after(BED_LIMIT);
    while (text_len < TOTAL) {
        CHECK(bed_now() < limit);
        ssize_t n = sent < TOTAL ? send(raw, out + sent, TOTAL - sent, MSG_DONTWAIT) : 0;
        sent += n > 0 ? (size_t)n : 0;
        weft__port_enter(&b->port, bed_after(5 * WEFT_MILLISECOND));
    }
    CHECK(memcmp(text, out, TOTAL) == 0);
    close(raw);
    CHECK_EQ(bed_await(b, &r), 0); /* the peer's end is the op's end */
    bed_shut(b, &x);
}

static void receives_from_many(bed *b)
{
    enum { N = 20 }; /* more connections than buffers */
    weft_desc x[N];
    int raw[N];
    job r[N] = {0};
    text_len = 0;
    for (int i = 0; i < N; i++) {
        bed_pair(&x[i], &raw[i], AF_UNIX);
        weft_op_recv_multi(&r[i].op, &x[i], keep_text);
        bed_start(b, &r[i]);
    }
    bed_settle(b);
    CHECK_EQ(b->port.lent, 0); /* idle connections hold no buffer */
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < N; i++)
            CHECK_EQ(send(raw[i], "0123456789", 10, 0), 10);
        for (int i = 0; i < N; i++)
            enter_until(b, &r[i].more, (unsigned)round + 1);
    }
    CHECK_EQ(text_len, N * 100);
    for (int i = 0; i < N; i++) {
        if (i & 1)
            bed_cancel(b, &r[i]);
        else
            close(raw[i]);
        CHECK_EQ(bed_await(b, &r[i]), i & 1 ? -ECANCELED : 0);
        if (i & 1)
            close(raw[i]);
        bed_shut(b, &x[i]);
    }
}

/* With all buffers out a connection waits, and so does nobody else's; it is no error, and each returned buffer lets
 * one go on. */
static void out_of_buffers_is_flow_control(bed *b)
{
    weft_desc x, y;
    int raw, raw2;
    job r = {0}, plain = {0};
    static char chunk[SIZE];
    char in[8];
    holding = 0;
    bed_pair(&x, &raw, AF_INET);
    bed_pair(&y, &raw2, AF_INET);
    weft_op_recv_multi(&r.op, &x, hold);
    bed_start(b, &r);
    for (int i = 0; i < BUFFERS; i++) {
        CHECK_EQ(send(raw, chunk, 16, 0), 16);
        enter_until(b, &r.more, (unsigned)i + 1);
    }
    CHECK_EQ(b->port.lent, BUFFERS);
    CHECK_EQ(send(raw, "starved", 7, 0), 7);
    bed_settle(b);
    CHECK_EQ(r.ended, 0);
    CHECK_EQ(r.more, BUFFERS);
    weft_op_recv(&plain.op, &y, in, sizeof in); /* others go on */
    bed_start(b, &plain);
    CHECK_EQ(send(raw2, "fine", 4, 0), 4);
    CHECK_EQ(bed_await(b, &plain), 4);
    CHECK_EQ(r.more, BUFFERS);
    weft_port_release(&held[--holding]);
    enter_until(b, &r.more, BUFFERS + 1);
    CHECK_EQ(held[holding - 1].len, 7);
    CHECK(memcmp(held[holding - 1].data, "starved", 7) == 0);
    let_go();
    close(raw);
    CHECK_EQ(bed_await(b, &r), 0);
    close(raw2);
    bed_shut(b, &x);
    bed_shut(b, &y);
}

/* A receive that waits for a buffer can be cancelled, and its place in the line does not get stuck. */
static void cancelled_while_starved(bed *b)
{
    weft_desc x[3];
    int raw[3];
    job r[3] = {0};
    holding = 0;
    for (int i = 0; i < 3; i++) {
        bed_pair(&x[i], &raw[i], AF_INET);
        weft_op_recv_multi(&r[i].op, &x[i], hold);
        bed_start(b, &r[i]);
    }
    for (int i = 0; i < BUFFERS; i++) {
        CHECK_EQ(send(raw[0], "x", 1, 0), 1);
        enter_until(b, &r[0].more, (unsigned)i + 1);
    }
    CHECK_EQ(send(raw[1], "first", 5, 0), 5);
    bed_settle(b);
    CHECK_EQ(send(raw[2], "second", 6, 0), 6);
    bed_settle(b);
    CHECK_EQ(r[1].more + r[2].more, 0);
    weft_port_release(&held[--holding]); /* would be for the first, which gives up at this moment */
    bed_cancel(b, &r[1]);
    int64_t end = bed_await(b, &r[1]);
    CHECK_EQ(end, -ECANCELED);
    if (r[1].more) /* it got the buffer all the same */
        weft_port_release(&held[--holding]);
    enter_until(b, &r[2].more, 1);
    CHECK_EQ(held[holding - 1].len, 6);
    let_go();
    /* What the first did not take is still there for an ordinary read. */
    char in[8];
    job p = {0};
    if (!r[1].more) {
        weft_op_recv(&p.op, &x[1], in, sizeof in);
        CHECK_EQ(bed_run(b, &p), 5);
    }
    for (int i = 0; i < 3; i++) {
        if (i != 1) {
            bed_cancel(b, &r[i]);
            CHECK_EQ(bed_await(b, &r[i]), -ECANCELED);
        }
        close(raw[i]);
        bed_shut(b, &x[i]);
    }
}

static void stop_inside_more(weft_op *op, int64_t result, weft_buffer *buffer)
{
    count(op, result);
    weft_port_release(buffer);
    weft__port_cancel(&job_of(op)->bed->port, op);
}

static void close_inside_more(weft_op *op, int64_t result, weft_buffer *buffer)
{
    count(op, result);
    weft_port_release(buffer);
    weft__desc_close(&job_of(op)->bed->port, op->desc);
}

static void cancelled_by_its_own_more(bed *b)
{
    weft_desc x;
    int raw;
    job r = {0};
    bed_pair(&x, &raw, AF_UNIX);
    weft_op_recv_multi(&r.op, &x, stop_inside_more);
    bed_start(b, &r);
    CHECK_EQ(send(raw, "one", 3, 0), 3);
    CHECK_EQ(bed_await(b, &r), -ECANCELED);
    CHECK(r.more >= 1);
    bed_shut(b, &x);
    close(raw);

    bed_pair(&x, &raw, AF_UNIX);
    r = (job){0};
    weft_op_recv_multi(&r.op, &x, close_inside_more);
    bed_start(b, &r);
    CHECK_EQ(send(raw, "one", 3, 0), 3);
    CHECK_EQ(bed_await(b, &r), -ECANCELED);
    bed_settle(b);
    CHECK_EQ(x.handle, WEFT_NOHANDLE);
    close(raw);
}

static void ended_by_the_peer(bed *b)
{
    weft_desc x;
    int raw;
    job r = {0};
    text_len = 0;
    bed_pair(&x, &raw, AF_INET);
    weft_op_recv_multi(&r.op, &x, keep_text);
    bed_start(b, &r);
    bed_settle(b);
    CHECK_EQ(send(raw, "last words", 10, 0), 10);
    close(raw);
    CHECK_EQ(bed_await(b, &r), 0);
    CHECK(text_len == 10 && memcmp(text, "last words", 10) == 0);
    weft_op_recv_multi(&r.op, &x, keep_text); /* armed anew at the end */
    CHECK_EQ(bed_run(b, &r), 0);
    bed_shut(b, &x);

    bed_pair(&x, &raw, AF_INET);
    weft_op_recv_multi(&r.op, &x, keep_text);
    bed_start(b, &r);
    bed_settle(b);
    struct linger l = {1, 0};
    CHECK(setsockopt(raw, SOL_SOCKET, SO_LINGER, &l, sizeof l) == 0);
    close(raw);
    CHECK_EQ(bed_await(b, &r), -ECONNRESET);
    bed_shut(b, &x);
}

static void closed_while_streaming(bed *b)
{
    for (int round = 0; round < 40; round++) {
        weft_desc x;
        int raw;
        job r = {0};
        text_len = 0;
        bed_pair(&x, &raw, AF_INET);
        weft_op_recv_multi(&r.op, &x, keep_text);
        bed_start(b, &r);
        if (round & 1)
            bed_settle(b);
        CHECK_EQ(send(raw, "abc", 3, 0), 3);
        if (round & 2)
            weft__port_enter(&b->port, WEFT_NOW);
        bed_shut(b, &x);
        CHECK_EQ(r.ended, 1);
        CHECK_EQ(r.op.result, -ECANCELED);
        CHECK(text_len == 0 || text_len == 3);
        close(raw);
    }
}

static void multishot_needs_a_callee(bed *b)
{
    weft_desc x;
    int raw;
    job r = {0};
    bed_pair(&x, &raw, AF_UNIX);
    weft_op_recv_multi(&r.op, &x, NULL);
    CHECK_EQ(bed_run(b, &r), -EINVAL);
    weft_op_send(&r.op, &x, "x", 1);
    r.op.flags |= WEFT_OP_MULTI;
    CHECK_EQ(bed_run(b, &r), -EINVAL);
    weft_op_accept_multi(&r.op, &x, keep_handle);
    CHECK_EQ(bed_run(b, &r), -EINVAL); /* not a listener: an end with the reason, no spinning */
    close(raw);
    bed_shut(b, &x);
}

static const bed_case cases[] = {
    CASE(accepts_until_cancelled),
    CASE(accepts_while_cancelled),
    CASE_WITH(receives_in_order, &few),
    CASE_WITH(receives_from_many, &few),
    CASE_WITH(out_of_buffers_is_flow_control, &few),
    CASE_WITH(cancelled_while_starved, &few),
    CASE(cancelled_by_its_own_more),
    CASE(ended_by_the_peer),
    CASE(closed_while_streaming),
    CASE(multishot_needs_a_callee),
};
BED_MAIN(cases)
