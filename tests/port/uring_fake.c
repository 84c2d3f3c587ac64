/* What the kernel may do but rarely does, done by a kernel that does what it is told: the driver loses nothing,
 * repeats nothing and ends each op once. */
#include <poll.h>

#include "port/fake_ring.h"

/* One that the fallback's plain calls may be tried on. */
static void finish_pair(bed *b, weft_desc d[2])
{
    weft__desc_close(&b->port, &d[0]);
    weft__desc_close(&b->port, &d[1]);
}

static void completions_in_any_order(void)
{
    bed b = {0};
    fake_ring *f = fake_ring_fresh(&b, NULL);
    enum { N = 100 };
    weft_op ops[N];
    char buf[N];
    weft_desc d = fake_stream();
    for (int i = 0; i < N; i++) {
        weft_op_recv(&ops[i], &d, &buf[i], 1);
        weft__port_start(&b.port, &ops[i]);
    }
    bed_tick(&b);
    CHECK_EQ(f->count, N);
    for (int i = 0; i < N; i++) /* 7 is coprime to N */
        fake_ring_answer(f, &ops[i * 7 % N], i * 7 % N % 2, 0);
    bed_tick(&b);
    CHECK_EQ(b.done, N);
    for (int i = 0; i < N; i++)
        CHECK_EQ(ops[i].result, i % 2);
    fake_ring_finish(&b, f);
}

static void late_and_foreign_completions_are_nobodys(void)
{
    bed b = {0};
    fake_ring *f = fake_ring_fresh(&b, NULL);
    weft_desc d = fake_stream();
    weft_op op;
    char c;
    weft_op_recv(&op, &d, &c, 1);
    weft__port_start(&b.port, &op);
    bed_tick(&b);
    const uint64_t first = fake_ring_find(f, &op)->user_data;
    fake_ring_answer(f, &op, 1, 0);
    bed_tick(&b);
    CHECK_EQ(b.done, 1);

    fake_ring_post(f, first, 1, 0); /* the same again: the op is over */
    bed_tick(&b);
    CHECK_EQ(b.done, 1);
    weft__port_start(&b.port, &op);
    bed_tick(&b);
    CHECK(fake_ring_find(f, &op)->user_data != first);
    fake_ring_post(f, first, 1, 0); /* and while its next life is in flight */
    fake_ring_post(f, 6, -EIO, 0);
    bed_tick(&b);
    CHECK_EQ(b.done, 1);
    CHECK_EQ(op.state, WEFT_OP_FLYING);
    CHECK_EQ(bed_ring(&b)->stray, 3);
    fake_ring_answer(f, &op, 0, 0);
    bed_tick(&b);
    CHECK_EQ(b.done, 2);
    CHECK_EQ(op.result, 0);
    fake_ring_finish(&b, f);
}

static void a_cancelled_op_that_was_done_tells_its_result(void)
{
    bed b = {0};
    fake_ring *f = fake_ring_fresh(&b, NULL);
    weft_desc d = fake_stream();
    weft_op op;
    char c[100];
    weft_op_recv(&op, &d, c, sizeof c);
    weft__port_start(&b.port, &op);
    bed_tick(&b);
    weft__port_cancel(&b.port, &op);
    bed_tick(&b);
    CHECK_EQ(f->cancels, 1);
    CHECK_EQ(b.done, 0); /* the cancel was answered, the op was not */
    fake_ring_post(f, WEFT__TAG_CANCEL, -EALREADY, 0);
    bed_tick(&b);
    CHECK_EQ(b.done, 0);
    CHECK_EQ(bed_ring(&b)->cancels[2], 1);
    fake_ring_answer(f, &op, 42, 0);
    bed_tick(&b);
    CHECK_EQ(op.result, 42);

    weft__port_start(&b.port, &op); /* interrupted in a thread of the kernel's: that was our cancel */
    bed_tick(&b);
    weft__port_cancel(&b.port, &op);
    bed_tick(&b);
    fake_ring_answer(f, &op, -EINTR, 0);
    bed_tick(&b);
    CHECK_EQ(op.result, -ECANCELED);

    weft__port_start(&b.port, &op); /* interrupted by something else: goes on */
    bed_tick(&b);
    fake_ring_answer(f, &op, -EINTR, 0);
    bed_tick(&b);
    bed_tick(&b);
    CHECK_EQ(b.done, 2);
    fake_ring_answer(f, &op, 7, 0);
    bed_tick(&b);
    CHECK_EQ(op.result, 7);
    fake_ring_finish(&b, f);
}

static void a_full_queue_defers_and_cancels_have_room(void)
{
    bed b = {0};
    fake_ring *f = fake_ring_fresh(&b, &(weft_port_config){.entries = 4});
    enum { N = 50 };
    weft_op ops[N];
    char c;
    weft_desc d = fake_stream();
    for (int i = 0; i < N; i++) {
        weft_op_recv(&ops[i], &d, &c, 1);
        weft__port_start(&b.port, &ops[i]);
    }
    CHECK_EQ(f->entries, 0);
    CHECK(weft__port_pending(&b.port));
    for (int i = 40; i < N; i++) /* never came to the kernel */
        weft__port_cancel(&b.port, &ops[i]);
    CHECK_EQ(b.done, 10);
    bed_tick(&b);
    CHECK_EQ(f->count, 40);
    for (int i = 0; i < 40; i++)
        CHECK((f->taken[i].user_data & (UINT64_MAX >> 16)) == (uintptr_t)&ops[i]); /* in order */
    CHECK(!weft__port_pending(&b.port));
    for (int i = 0; i < 40; i++)
        weft__port_cancel(&b.port, &ops[i]);
    fake_ring_answer(f, &ops[39], 1, 0); /* done while its cancel waits for a slot */
    fake_ring_answer(f, &ops[0], 1, 0);  /* done while its cancel waits for an entry */
    bed_tick(&b);
    CHECK_EQ(b.done, 12);
    CHECK(f->cancels >= 39);
    for (int i = 1; i < 39; i++)
        fake_ring_answer(f, &ops[i], -ECANCELED, 0);
    while (weft__port_pending(&b.port)) /* more than the completion queue holds */
        bed_tick(&b);
    CHECK_EQ(b.done, N);
    CHECK_EQ(ops[39].result, 1);
    CHECK_EQ(ops[20].result, -ECANCELED);
    fake_ring_finish(&b, f);
}

static void a_kernel_that_takes_few_gets_the_rest_later(void)
{
    bed b = {0};
    fake_ring *f = fake_ring_fresh(&b, &(weft_port_config){.entries = 8});
    enum { N = 20 };
    weft_op ops[N];
    f->take_at_most = 3;
    for (int i = 0; i < N; i++) {
        weft_op_nop(&ops[i]);
        weft__port_start(&b.port, &ops[i]);
    }
    for (int i = 0; i < 10 && f->count < N; i++)
        bed_tick(&b);
    CHECK_EQ(f->count, N);
    for (int i = 0; i < N; i++)
        fake_ring_answer(f, &ops[i], 0, 0);
    bed_tick(&b);
    CHECK_EQ(b.done, N);
    fake_ring_finish(&b, f);
}

static void overflowed_completions_are_fetched(void)
{
    bed b = {0};
    fake_ring *f = fake_ring_fresh(&b, &(weft_port_config){.entries = 8}); /* 32 completions */
    enum { N = 200 };
    weft_op ops[N];
    for (int i = 0; i < N; i++) {
        weft_op_nop(&ops[i]);
        weft__port_start(&b.port, &ops[i]);
    }
    bed_tick(&b);
    for (int i = 0; i < N; i++)
        fake_ring_answer(f, &ops[i], 0, 0);
    CHECK(f->overflowed > 0);
    CHECK(weft__port_pending(&b.port));
    for (int i = 0; i < N && b.done < N; i++) {
        CHECK(weft__port_pending(&b.port)); /* never has to be waited for */
        bed_tick(&b);
    }
    CHECK_EQ(b.done, N);
    CHECK(!weft__port_pending(&b.port));
    fake_ring_finish(&b, f);
}

static void what_the_kernel_cannot_do_falls_back_alone(void)
{
    bed b = {0};
    fake_ring *f = fake_ring_fresh(&b, NULL);
    weft_desc d[2];
    bed_pair(d);
    weft_op op;
    char c[10];
    weft_op_recv(&op, &d[0], c, sizeof c);
    weft__port_start(&b.port, &op);
    bed_tick(&b);
    CHECK_EQ(fake_ring_find(f, &op)->opcode, IORING_OP_RECV);
    fake_ring_answer(f, &op, -EINVAL, 0);
    bed_tick(&b);
    bed_tick(&b);
    CHECK_EQ(b.done, 0);
    CHECK_EQ(fake_ring_find(f, &op)->opcode, IORING_OP_POLL_ADD); /* readiness, through the same ring */
    CHECK(write((int)d[1].handle, "abc", 3) == 3);
    fake_ring_answer(f, &op, POLLIN, 0);
    bed_tick(&b);
    CHECK_EQ(op.result, 3);
    CHECK_EQ(op.path, WEFT_PATH_READY);

    CHECK(write((int)d[1].handle, "de", 2) == 2); /* known by now: no second try in the ring */
    weft__port_start(&b.port, &op);
    CHECK_EQ(op.state, WEFT_OP_DONE);
    CHECK_EQ(op.result, 2);

    weft_op_send(&op, &d[0], "x", 1); /* another op is not concerned */
    weft__port_start(&b.port, &op);
    bed_tick(&b);
    CHECK_EQ(fake_ring_find(f, &op)->opcode, IORING_OP_SEND);
    fake_ring_answer(f, &op, 1, 0);
    bed_tick(&b);
    weft__port_start(&b.port, &op); /* it has worked, so an error is the op's own */
    bed_tick(&b);
    fake_ring_answer(f, &op, -EINVAL, 0);
    bed_tick(&b);
    CHECK_EQ(op.result, -EINVAL);
    finish_pair(&b, d);
    fake_ring_finish(&b, f);
}

static void again_is_waited_for(void)
{
    bed b = {0};
    fake_ring *f = fake_ring_fresh(&b, NULL);
    weft_desc d = fake_stream();
    weft_op op;
    char c;
    weft_op_recv(&op, &d, &c, 1);
    weft__port_start(&b.port, &op);
    bed_tick(&b);
    fake_ring_answer(f, &op, -EAGAIN, 0);
    bed_tick(&b);
    bed_tick(&b);
    CHECK_EQ(fake_ring_find(f, &op)->opcode, IORING_OP_POLL_ADD);
    fake_ring_answer(f, &op, POLLIN, 0);
    bed_tick(&b);
    bed_tick(&b);
    CHECK_EQ(fake_ring_find(f, &op)->opcode, IORING_OP_RECV);
    fake_ring_answer(f, &op, -EAGAIN, 0);
    bed_tick(&b);
    weft__port_cancel(&b.port, &op);
    bed_tick(&b);
    fake_ring_answer(f, &op, -ECANCELED, 0);
    bed_tick(&b);
    CHECK_EQ(op.result, -ECANCELED);
    fake_ring_finish(&b, f);
}

static void a_file_that_would_wait_gets_a_thread_of_the_kernels(void)
{
    bed b = {0};
    fake_ring *f = fake_ring_fresh(&b, NULL);
    weft_desc file;
    weft_op op;
    char c;
    weft__desc_init(&file, 1000000, WEFT_DESC_FILE);
    weft_op_pread(&op, &file, &c, 1, 0);
    weft__port_start(&b.port, &op);
    bed_tick(&b);
    CHECK(!(fake_ring_find(f, &op)->flags & IOSQE_ASYNC));
    fake_ring_answer(f, &op, -EAGAIN, 0);
    bed_tick(&b);
    bed_tick(&b);
    CHECK_EQ(fake_ring_find(f, &op)->opcode, IORING_OP_READ);
    CHECK(fake_ring_find(f, &op)->flags & IOSQE_ASYNC);
    fake_ring_answer(f, &op, 1, 0);
    bed_tick(&b);
    CHECK_EQ(op.result, 1);
    fake_ring_finish(&b, f);
}

/* Records for STAT are pooled: who finds none waits for one, and a cancel takes it out of the line. */
static void stats_take_turns(void)
{
    enum { N = WEFT__URING_STATX + 10 };
    static weft_op ops[N];
    static weft_stat out[N];
    bed b = {0};
    fake_ring *f = fake_ring_fresh(&b, NULL);
    for (unsigned i = 0; i < N; i++) {
        weft_op_stat(&ops[i], NULL, "/", &out[i], 0);
        weft__port_start(&b.port, &ops[i]);
    }
    bed_tick(&b);
    CHECK_EQ(f->count, WEFT__URING_STATX);
    weft__port_cancel(&b.port, &ops[N - 1]);
    CHECK_EQ(b.done, 1);
    CHECK_EQ(ops[N - 1].result, -ECANCELED);
    for (unsigned i = 0; i < WEFT__URING_STATX; i++) {
        struct statx *s = (struct statx *)(uintptr_t)fake_ring_find(f, &ops[i])->off;
        *s = (struct statx){.stx_size = 100 + i, .stx_mtime = {.tv_sec = 3, .tv_nsec = 4}};
        fake_ring_answer(f, &ops[i], 0, 0);
    }
    bed_tick(&b);
    CHECK_EQ(out[7].size, 107);
    CHECK_EQ(out[7].mtime_ns, 3 * WEFT_SECOND + 4);
    bed_tick(&b);
    CHECK_EQ(f->count, N - 1);
    for (unsigned i = WEFT__URING_STATX; i < N - 1; i++)
        fake_ring_answer(f, &ops[i], -ENOENT, 0);
    bed_tick(&b);
    CHECK_EQ(b.done, N);
    CHECK_EQ(ops[N - 2].result, -ENOENT);
    fake_ring_finish(&b, f);
}

static void answer_nop(fake_ring *f) { fake_ring_answer(f, f->ctx, 0, 0); }

static void an_entry_may_fail_for_now(void)
{
    static const int errors[] = {-EINTR, -EAGAIN, -EBUSY};
    bed b = {0};
    fake_ring *f = fake_ring_fresh(&b, NULL);
    weft_op op;
    for (unsigned i = 0; i < sizeof errors / sizeof *errors; i++) {
        weft_op_nop(&op);
        weft__port_start(&b.port, &op);
        f->script[0] = errors[i];
        bed_tick(&b);
        CHECK(!fake_ring_find(f, &op));
        CHECK(weft__port_pending(&b.port)); /* kept for the next time */
        const unsigned waits = f->waits, entries = f->entries;
        f->script[0] = errors[i];
        weft__port_enter(&b.port, bed_after(WEFT_SECOND));
        CHECK(f->entries <= entries + 2 && f->waits <= waits + 1); /* it does not spin */
        f->ctx = &op;
        f->on_wait = answer_nop;
        bed_await(&b, i + 1);
        f->on_wait = NULL;
        CHECK_EQ(op.result, 0);
    }
    fake_ring_finish(&b, f);
}

static void a_wake_that_ends_is_armed_again(void)
{
    bed b = {0};
    fake_ring *f = fake_ring_fresh(&b, NULL);
    bed_tick(&b);
    CHECK(f->wake_armed && f->wake.len == IORING_POLL_ADD_MULTI);
    f->wake_armed = 0;
    fake_ring_post(f, f->wake.user_data, -EINVAL, 0); /* too old for the multishot form */
    weft__port_enter(&b.port, WEFT_NEVER);
    bed_tick(&b);
    CHECK(f->wake_armed && f->wake.len == 0);
    fake_ring_finish(&b, f);
}

/* Who was told something in the middle of an entry does not wait at its end, though others' submissions did not fit the
 * queue at once: they may all wait for what that one does next. */
static void what_came_is_not_waited_past(void)
{
    enum { N = 9 };
    for (int by_wake = 0; by_wake < 2; by_wake++) {
        bed b = {0};
        fake_ring *f = fake_ring_fresh(&b, &(weft_port_config){.entries = 4});
        weft_desc d = fake_stream();
        weft_op ops[N];
        char c;
        bed_tick(&b);
        for (int i = 0; i < N; i++) {
            weft_op_recv(&ops[i], &d, &c, 1);
            weft__port_start(&b.port, &ops[i]);
            if (i == 3)
                bed_tick(&b);
        }
        CHECK_EQ(f->count, 4);
        if (by_wake)
            fake_ring_post(f, f->wake.user_data, POLLIN, IORING_CQE_F_MORE);
        else
            fake_ring_answer(f, &ops[0], 1, 0);
        weft__port_enter(&b.port, WEFT_NEVER);
        CHECK_EQ(f->count, N);
        CHECK_EQ(b.done, !by_wake);
        CHECK_EQ(f->waits, 0);
        for (int i = !by_wake; i < N; i++)
            fake_ring_answer(f, &ops[i], 0, 0);
        bed_tick(&b);
        CHECK_EQ(b.done, N);
        fake_ring_finish(&b, f);
    }
}

static void a_refused_ring_is_said_and_an_old_one_is_used(void)
{
    static const int errors[] = {-EPERM, -ENOSYS, -ENOMEM};
    for (unsigned i = 0; i < sizeof errors / sizeof *errors; i++) {
        bed b = {0};
        fake_ring *f = fake_ring_new();
        f->setup_error = errors[i];
        CHECK_EQ(fake_ring_open(&b, f, NULL), errors[i]);
        CHECK_EQ(f->setups, 1);
        fake_ring_free(f);
    }
    bed b = {0};
    fake_ring *f = fake_ring_new();
    f->unknown_flags = ~(IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP);
    f->no_buffer_ring = 1;
    f->missing_op = IORING_OP_OPENAT2;
    CHECK_OK(fake_ring_open(&b, f, NULL));
    CHECK_EQ(f->params.flags, IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP);
    CHECK_EQ(b.driver.path(&b.port, WEFT_OP_OPEN), WEFT_PATH_POOL);
    CHECK_EQ(b.driver.path(&b.port, WEFT_OP_STAT), WEFT_PATH_RING);
    CHECK(strlen(b.driver.why(&b.port, WEFT_OP_OPEN)) > 0);
    CHECK(strlen(b.driver.why(&b.port, WEFT_OP_RECV)) > 0);
    weft_op op;
    weft_op_nop(&op);
    weft__port_start(&b.port, &op);
    bed_tick(&b);
    fake_ring_answer(f, &op, 0, 0);
    bed_tick(&b);
    CHECK_EQ(b.done, 1);
    fake_ring_finish(&b, f);

    f = fake_ring_new();
    f->features &= ~IORING_FEAT_NODROP; /* could lose completions: not for us */
    b = (bed){0};
    CHECK_EQ(fake_ring_open(&b, f, NULL), -ENOSYS);
    CHECK_EQ(f->closed, 1);
    fake_ring_free(f);
}

int main(void)
{
    completions_in_any_order();
    late_and_foreign_completions_are_nobodys();
    a_cancelled_op_that_was_done_tells_its_result();
    a_full_queue_defers_and_cancels_have_room();
    a_kernel_that_takes_few_gets_the_rest_later();
    overflowed_completions_are_fetched();
    what_the_kernel_cannot_do_falls_back_alone();
    again_is_waited_for();
    a_file_that_would_wait_gets_a_thread_of_the_kernels();
    stats_take_turns();
    an_entry_may_fail_for_now();
    a_wake_that_ends_is_armed_again();
    what_came_is_not_waited_past();
    a_refused_ring_is_said_and_an_old_one_is_used();
    return 0;
}
