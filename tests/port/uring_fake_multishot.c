/* Streams of results on a kernel that does what it is told: a multishot that ends is armed again, and buffers that are
 * used up are waited for by who needs one, without spinning and without starving anybody. */
#include "port/fake_ring.h"

static unsigned heard;
static int64_t heard_last;
static weft_buffer heard_buffer;

static void hear(weft_op *op, int64_t result, weft_buffer *buffer)
{
    (void)op;
    heard++;
    heard_last = result;
    if (buffer)
        heard_buffer = *buffer;
}

static void a_multishot_without_more_is_armed_again(void)
{
    bed b = {0};
    fake_ring *f = fake_ring_fresh(&b, NULL);
    weft_desc d = fake_stream();
    weft_op op;
    heard = 0;
    weft_op_accept_multi(&op, &d, hear);
    weft__port_start(&b.port, &op);
    bed_tick(&b);
    CHECK(fake_ring_find(f, &op)->ioprio & IORING_ACCEPT_MULTISHOT);
    fake_ring_answer(f, &op, 100, IORING_CQE_F_MORE);
    fake_ring_answer(f, &op, 101, 0);
    bed_tick(&b);
    CHECK_EQ(heard, 2);
    bed_tick(&b);
    CHECK(fake_ring_find(f, &op) != NULL); /* armed again, and nobody heard of it */
    CHECK_EQ(b.done, 0);
    CHECK_EQ(bed_ring(&b)->rearmed, 1);
    fake_ring_answer(f, &op, -ECONNABORTED, 0); /* nobody's error */
    bed_tick(&b);
    bed_tick(&b);
    CHECK_EQ(b.done, 0);
    weft__port_cancel(&b.port, &op);
    fake_ring_answer(f, &op, 102, 0); /* ended with a result just before the cancel */
    bed_tick(&b);
    CHECK_EQ(heard_last, 102);
    CHECK_EQ(b.done, 1);
    CHECK_EQ(op.result, -ECANCELED);
    weft__port_start(&b.port, &op);
    bed_tick(&b);
    fake_ring_answer(f, &op, -EMFILE, 0);
    bed_tick(&b);
    CHECK_EQ(op.result, -EMFILE); /* the owner decides how long to stand back */
    fake_ring_finish(&b, f);
}

static void no_buffer_is_flow_control(void)
{
    bed b = {0};
    fake_ring *f = fake_ring_fresh(&b, &(weft_port_config){.buffer_count = 2, .buffer_size = 256});
    weft_desc d = fake_stream(), e = fake_stream();
    weft_op one, two;
    heard = 0;
    weft_op_recv_multi(&one, &d, hear);
    weft_op_recv_multi(&two, &e, hear);
    weft__port_start(&b.port, &one);
    weft__port_start(&b.port, &two);
    bed_tick(&b);
    weft_buffer held[2];
    fake_ring_answer(f, &one, 10, IORING_CQE_F_MORE | fake_ring_take_buffer(f, 'a', 10));
    bed_tick(&b);
    held[0] = heard_buffer;
    CHECK(held[0].len == 10 && memcmp(held[0].data, "aaaaaaaaaa", 10) == 0);
    fake_ring_answer(f, &two, 20, IORING_CQE_F_MORE | fake_ring_take_buffer(f, 'b', 20));
    bed_tick(&b);
    held[1] = heard_buffer;
    CHECK_EQ(heard, 2);
    fake_ring_answer(f, &one, -ENOBUFS, 0);
    fake_ring_answer(f, &two, -ENOBUFS, 0);
    bed_tick(&b);
    for (int i = 0; i < 3; i++)
        bed_tick(&b);
    CHECK_EQ(b.done, 0);
    CHECK(!fake_ring_find(f, &one) && !fake_ring_find(f, &two)); /* waits, and does not spin */
    CHECK(!weft__port_pending(&b.port));

    weft_port_release(&held[0]);
    CHECK(weft__port_pending(&b.port));
    bed_tick(&b);
    CHECK(fake_ring_find(f, &one) != NULL);
    fake_ring_answer(f, &one, 5, IORING_CQE_F_MORE | fake_ring_take_buffer(f, 'c', 5));
    bed_tick(&b);
    held[0] = heard_buffer;
    if (fake_ring_find(f, &two)) { /* it may have tried its luck, too */
        fake_ring_answer(f, &two, -ENOBUFS, 0);
        bed_tick(&b);
    }
    CHECK(!weft__port_pending(&b.port));
    weft__port_cancel(&b.port, &two); /* cancelled while it waits for a buffer: over at once */
    CHECK_EQ(b.done, 1);
    CHECK_EQ(two.result, -ECANCELED);
    fake_ring_answer(f, &one, 0, 0);
    bed_tick(&b);
    CHECK_EQ(b.done, 2);
    CHECK_EQ(one.result, 0);
    weft_port_release(&held[0]);
    weft_port_release(&held[1]);
    CHECK_EQ(bed_ring(&b)->buffers.lent[0] + bed_ring(&b)->buffers.lent[1], 0);
    fake_ring_finish(&b, f);
}

/* A cancel and the kernel's end for want of buffers may cross: that one says nothing of the stream. */
static void no_buffer_beside_a_cancel_is_no_error(void)
{
    bed b = {0};
    fake_ring *f = fake_ring_fresh(&b, &(weft_port_config){.buffer_count = 1, .buffer_size = 256});
    weft_desc d = fake_stream();
    weft_op op;
    heard = 0;
    weft_op_recv_multi(&op, &d, hear);
    weft__port_start(&b.port, &op);
    bed_tick(&b);
    fake_ring_answer(f, &op, 10, IORING_CQE_F_MORE | fake_ring_take_buffer(f, 'a', 10));
    bed_tick(&b);
    CHECK_EQ(heard, 1);
    weft__port_cancel(&b.port, &op);
    fake_ring_answer(f, &op, -ENOBUFS, 0);
    bed_tick(&b);
    CHECK_EQ(b.done, 1);
    CHECK_EQ(op.result, -ECANCELED);
    weft_port_release(&heard_buffer);
    fake_ring_finish(&b, f);
}

static void an_idle_starved_receive_does_not_starve_others(void)
{
    bed b = {0};
    fake_ring *f = fake_ring_fresh(&b, &(weft_port_config){.buffer_count = 1, .buffer_size = 256});
    weft_desc d[3] = {fake_stream(), fake_stream(), fake_stream()};
    weft_op op[3];
    heard = 0;
    for (int i = 0; i < 3; i++) {
        weft_op_recv_multi(&op[i], &d[i], hear);
        weft__port_start(&b.port, &op[i]);
    }
    bed_tick(&b);
    fake_ring_answer(f, &op[0], 1, IORING_CQE_F_MORE | fake_ring_take_buffer(f, 'a', 1));
    for (int i = 0; i < 3; i++)
        fake_ring_answer(f, &op[i], -ENOBUFS, 0);
    bed_tick(&b);
    CHECK_EQ(heard, 1);
    weft_port_release(&heard_buffer);
    for (int i = 0; i < 5; i++)
        bed_tick(&b);
    for (int i = 0; i < 3; i++) /* the first one has nothing to read; the buffer is still there for the others */
        CHECK(fake_ring_find(f, &op[i]) != NULL);
    for (int i = 0; i < 3; i++)
        fake_ring_answer(f, &op[i], 0, 0);
    bed_tick(&b);
    CHECK_EQ(b.done, 3);
    fake_ring_finish(&b, f);
}

/* An owner without room for results leaves them where they are, and gets each once when it has some. */
static void results_wait_for_their_owner(void)
{
    bed b = {0};
    fake_ring *f = fake_ring_fresh(&b, NULL);
    weft_desc d = fake_stream();
    weft_op op;
    heard = 0;
    weft_op_accept_multi(&op, &d, hear);
    weft__port_start(&b.port, &op);
    bed_tick(&b);
    for (int i = 0; i < 10; i++)
        fake_ring_answer(f, &op, 100 + i, IORING_CQE_F_MORE);
    for (unsigned room = 0; room < 5; room++) {
        const unsigned before = heard;
        b.port.room = room;
        bed_tick(&b);
        CHECK(heard - before <= room && (!room || heard > before || heard == 10));
        CHECK(heard == 10 || weft__port_pending(&b.port));
    }
    b.port.room = UINT32_MAX;
    bed_tick(&b);
    CHECK_EQ(heard, 10);
    CHECK_EQ(heard_last, 109);
    fake_ring_answer(f, &op, -EMFILE, 0);
    bed_tick(&b);
    CHECK_EQ(b.done, 1);
    fake_ring_finish(&b, f);
}

/* A buffer that the kernel took and filled with nothing goes back by itself. */
static void an_end_with_a_buffer_returns_it(void)
{
    bed b = {0};
    fake_ring *f = fake_ring_fresh(&b, &(weft_port_config){.buffer_count = 2});
    weft_desc d = fake_stream();
    weft_op op;
    heard = 0;
    weft_op_recv_multi(&op, &d, hear);
    weft__port_start(&b.port, &op);
    bed_tick(&b);
    fake_ring_answer(f, &op, 0, fake_ring_take_buffer(f, 'x', 0));
    bed_tick(&b);
    CHECK_EQ(op.result, 0);
    CHECK_EQ(heard, 0);
    weft__port_start(&b.port, &op);
    bed_tick(&b);
    fake_ring_answer(f, &op, -ECONNRESET, fake_ring_take_buffer(f, 'x', 0));
    bed_tick(&b);
    CHECK_EQ(op.result, -ECONNRESET);
    CHECK_EQ(bed_ring(&b)->buffers.free, 2);
    fake_ring_take_buffer(f, 'y', 1); /* both are there again */
    fake_ring_take_buffer(f, 'y', 1);
    fake_ring_finish(&b, f);
}

/* Who was told something before the entry does not wait in it: a receive that starts again, and finds its bytes at
 * once. */
static void what_was_fed_is_not_waited_past(void)
{
    bed b = {0};
    const weft_port_config config = {.buffer_count = 1, .buffer_size = 256, .disable = WEFT_URING_NO_BUFRING};
    fake_ring *f = fake_ring_fresh(&b, &config);
    weft_desc d[2];
    weft_op op;
    bed_pair(d);
    bed_tick(&b);
    heard = 0;
    CHECK(write((int)d[1].handle, "x", 1) == 1);
    weft_op_recv_multi(&op, &d[0], hear);
    weft__port_start(&b.port, &op);
    bed_tick(&b);
    CHECK_EQ(heard, 1);
    CHECK(write((int)d[1].handle, "y", 1) == 1);
    weft_port_release(&heard_buffer);
    weft__port_enter(&b.port, WEFT_NEVER);
    CHECK_EQ(heard, 2);
    CHECK_EQ(f->waits, 0);
    weft_port_release(&heard_buffer);
    weft__port_cancel(&b.port, &op);
    while (b.done == 0)
        bed_tick(&b);
    CHECK_EQ(op.result, -ECANCELED);
    weft__desc_close(&b.port, &d[0]);
    weft__desc_close(&b.port, &d[1]);
    fake_ring_finish(&b, f);
}

int main(void)
{
    a_multishot_without_more_is_armed_again();
    no_buffer_is_flow_control();
    no_buffer_beside_a_cancel_is_no_error();
    an_idle_starved_receive_does_not_starve_others();
    results_wait_for_their_owner();
    an_end_with_a_buffer_returns_it();
    what_was_fed_is_not_waited_past();
    return 0;
}
