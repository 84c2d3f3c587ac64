/* Conformance: chains of ops, soft and hard. */
#include "bed.h"

static int64_t answer(void *arg) { return *(int64_t *)arg; }

static void soft_goes_on_after_success(bed *b)
{
    weft_desc x, y;
    char in[8] = "";
    job s1 = {0}, s2 = {0}, r = {0};
    bed_pair2(&x, &y, AF_INET);
    weft_op_send(&s1.op, &x, "ab", 2);
    weft_op_send(&s2.op, &x, "cd", 2);
    weft_op_recv(&r.op, &y, in, 4);
    weft_op_then(&s1.op, &s2.op, 0);
    b->started++;
    bed_start(b, &s1);
    bed_await(b, &s1);
    CHECK_EQ(bed_await(b, &s2), 2);
    for (int64_t n = 0; n < 4; n += bed_run(b, &r))
        weft_op_recv(&r.op, &y, in + n, (size_t)(4 - n));
    CHECK(memcmp(in, "abcd", 4) == 0);
    bed_shut(b, &x);
    bed_shut(b, &y);
}

/* The second waits until the first has ended, however long that takes, and the books hold it meanwhile. */
static void waits_for_its_turn(bed *b)
{
    weft_desc x, y;
    int raw, raw2;
    char c, d;
    job first = {0}, second = {0};
    bed_pair(&x, &raw, AF_UNIX);
    bed_pair(&y, &raw2, AF_UNIX);
    weft_op_recv(&first.op, &x, &c, 1);
    weft_op_recv(&second.op, &y, &d, 1);
    weft_op_then(&first.op, &second.op, 0);
    CHECK_EQ(send(raw2, "2", 1, 0), 1);
    b->started++;
    bed_start(b, &first);
    bed_settle(b);
    CHECK_EQ(second.ended, 0);
    CHECK_EQ(y.flying, 1);
    CHECK_EQ(send(raw, "1", 1, 0), 1);
    bed_await(b, &first);
    CHECK_EQ(bed_await(b, &second), 1);
    CHECK_EQ(d, '2');
    close(raw);
    close(raw2);
    bed_shut(b, &x);
    bed_shut(b, &y);
}

static void three(bed *b, int64_t first_result, int hard, int64_t expect2, int64_t expect3)
{
    job j[3] = {0};
    int64_t v[3] = {first_result, 7, 8};
    for (int i = 0; i < 3; i++)
        weft_op_call(&j[i].op, answer, &v[i], NULL);
    weft_op_then(&j[0].op, &j[1].op, hard);
    weft_op_then(&j[1].op, &j[2].op, 0);
    b->started += 2;
    bed_start(b, &j[0]);
    for (int i = 0; i < 3; i++)
        bed_await(b, &j[i]);
    CHECK_EQ(j[0].op.result, first_result);
    CHECK_EQ(j[1].op.result, expect2);
    CHECK_EQ(j[2].op.result, expect3);
}

static void failure_drops_a_soft_chain(bed *b)
{
    three(b, 0, 0, 7, 8);
    three(b, -EIO, 0, -ECANCELED, -ECANCELED);
}

static void failure_does_not_stop_a_hard_link(bed *b) { three(b, -EIO, 1, 7, 8); }

/* Half a read is no success in full. */
static void short_results_break_soft_links(bed *b)
{
    for (int hard = 0; hard < 2; hard++) {
        weft_desc x;
        int raw;
        char in[8];
        job r = {0}, n = {0};
        bed_pair(&x, &raw, AF_UNIX);
        weft_op_recv(&r.op, &x, in, sizeof in);
        weft_op_nop(&n.op);
        weft_op_then(&r.op, &n.op, hard);
        b->started++;
        bed_start(b, &r);
        CHECK_EQ(send(raw, "half", 4, 0), 4);
        CHECK_EQ(bed_await(b, &r), 4);
        CHECK_EQ(bed_await(b, &n), hard ? 0 : -ECANCELED);
        close(raw);
        bed_shut(b, &x);
    }
}

/* Cancelling the one that runs ends all; cancelling one that waits ends it and what follows, not what came before. */
static void cancels_in_a_chain(bed *b)
{
    for (int which = 0; which < 3; which++) {
        weft_desc x;
        int raw;
        char c[3];
        job j[3] = {0};
        bed_pair(&x, &raw, AF_UNIX);
        for (int i = 0; i < 3; i++)
            weft_op_recv(&j[i].op, &x, &c[i], 1);
        weft_op_then(&j[0].op, &j[1].op, 0);
        weft_op_then(&j[1].op, &j[2].op, 0);
        b->started += 2;
        bed_start(b, &j[0]);
        bed_settle(b);
        bed_cancel(b, &j[which]);
        for (int i = which; i < 3; i++)
            CHECK_EQ(bed_await(b, &j[i]), -ECANCELED);
        for (int i = 0; i < which; i++) {
            CHECK_EQ(j[i].ended, 0);
            CHECK_EQ(send(raw, "x", 1, 0), 1);
            CHECK_EQ(bed_await(b, &j[i]), 1);
        }
        close(raw);
        bed_shut(b, &x);
    }
}

static void close_ends_a_whole_chain(bed *b)
{
    weft_desc x;
    int raw;
    char c[3];
    job j[3] = {0};
    bed_pair(&x, &raw, AF_UNIX);
    for (int i = 0; i < 3; i++)
        weft_op_recv(&j[i].op, &x, &c[i], 1);
    weft_op_then(&j[0].op, &j[1].op, 1);
    weft_op_then(&j[1].op, &j[2].op, 0);
    b->started += 2;
    bed_start(b, &j[0]);
    bed_settle(b);
    bed_shut(b, &x);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(j[i].ended, 1);
        CHECK_EQ(j[i].op.result, -ECANCELED);
    }
    close(raw);
}

/* A bad op in the middle is told when its turn comes, and breaks the chain there. */
static void bad_op_in_the_middle(bed *b)
{
    job j[3] = {0};
    char c;
    weft_op_nop(&j[0].op);
    weft_op_recv(&j[1].op, NULL, &c, 1);
    weft_op_nop(&j[2].op);
    weft_op_then(&j[0].op, &j[1].op, 0);
    weft_op_then(&j[1].op, &j[2].op, 0);
    b->started += 2;
    bed_start(b, &j[0]);
    CHECK_EQ(bed_await(b, &j[0]), 0);
    CHECK_EQ(bed_await(b, &j[1]), -EBADF);
    CHECK_EQ(bed_await(b, &j[2]), -ECANCELED);
}

/* 50,000 ops that end at once: no recursion, in order. */
static uint64_t expected;
static void in_order(bed *b, weft_op *op)
{
    (void)b;
    CHECK_EQ(op->key, expected);
    expected++;
}

static void long_chain(bed *b)
{
    enum { N = 50000 };
    job *j = calloc(N, sizeof *j);
    CHECK(j);
    for (int i = 0; i < N; i++) {
        weft_op_post(&j[i].op, 0);
        j[i].op.key = (uint64_t)i;
        if (i)
            weft_op_then(&j[i - 1].op, &j[i].op, 0);
    }
    expected = 1; /* the first is found done after start */
    b->on_end = NULL;
    b->started += N - 1;
    b->on_end = in_order;
    job *first = &j[0];
    b->started++;
    weft__port_start(&b->port, &first->op);
    CHECK_EQ(first->op.state, WEFT_OP_DONE);
    b->ended++;
    b->on_end = NULL;
    CHECK_EQ(expected, N);
    for (int i = 1; i < N; i++)
        CHECK_EQ(j[i].ended, 1);
    /* And one that is dropped. */
    for (int i = 0; i < N; i++) {
        j[i] = (job){0};
        weft_op_post(&j[i].op, i ? 0 : -EIO);
        if (i)
            weft_op_then(&j[i - 1].op, &j[i].op, 0);
    }
    b->started += N;
    weft__port_start(&b->port, &first->op);
    b->ended++;
    for (int i = 1; i < N; i++)
        CHECK_EQ(j[i].op.result, -ECANCELED);
    free(j);
}

/* Write, sync, close: what chains are for. */
static void write_sync_close(bed *b)
{
    weft_desc f;
    job w = {0}, s = {0}, k = {0};
    FILE *file = tmpfile();
    CHECK(file);
    weft__desc_init(&f, dup(fileno(file)), WEFT_DESC_FILE);
    weft_op_pwrite(&w.op, &f, "durable", 7, 0);
    weft_op_fsync(&s.op, &f, 1);
    weft_op_close(&k.op, &f);
    weft_op_then(&w.op, &s.op, 0);
    weft_op_then(&s.op, &k.op, 1);
    b->started += 2;
    bed_start(b, &w);
    CHECK_EQ(bed_await(b, &w), 7);
    CHECK_EQ(bed_await(b, &s), 0);
    CHECK_EQ(bed_await(b, &k), 0);
    CHECK_EQ(f.handle, WEFT_NOHANDLE);
    char in[8] = "";
    CHECK_EQ(pread(fileno(file), in, sizeof in, 0), 7);
    CHECK(memcmp(in, "durable", 7) == 0);
    fclose(file);
}

static const bed_case cases[] = {
    CASE(soft_goes_on_after_success),
    CASE(waits_for_its_turn),
    CASE(failure_drops_a_soft_chain),
    CASE(failure_does_not_stop_a_hard_link),
    CASE(short_results_break_soft_links),
    CASE(cancels_in_a_chain),
    CASE(close_ends_a_whole_chain),
    CASE(bad_op_in_the_middle),
    CASE(long_chain),
    CASE(write_sync_close),
};
BED_MAIN(cases)
