/* Sends that go past the ring: which do, and that they are ops like any other for whoever submitted them. On a kernel
 * that does what it is told. */
#include <fcntl.h>
#include <pthread.h>
#include <sys/eventfd.h>

#include "port/fake_ring.h"

static struct {
    unsigned calls;
    int64_t answer;
    int socket;
    const void *buf;
    size_t len;
} plain;

static int64_t plain_send(void *self, int socket, const void *buf, size_t len)
{
    (void)self;
    plain.calls++;
    plain.socket = socket;
    plain.buf = buf;
    plain.len = len;
    return plain.answer;
}

static fake_ring *fresh_with_sends(bed *b, const weft_port_config *config)
{
    fake_ring *f = fake_ring_new();
    f->sys.send = plain_send;
    plain.calls = 0;
    CHECK_OK(fake_ring_open(b, f, config));
    bed_tick(b); /* arms the wake */
    return f;
}

/* One completion, that of an op which nobody else has to do with. */
static void one_completion(bed *b, fake_ring *f)
{
    weft_op nop;
    weft_op_nop(&nop);
    weft__port_start(&b->port, &nop);
    bed_tick(b);
    fake_ring_answer(f, &nop, 0, 0);
    bed_tick(b);
    CHECK_EQ(nop.state, WEFT_OP_DONE);
}

static void a_lone_send_goes_past_the_ring(void)
{
    static const int64_t answers[] = {5, 3, -EPIPE, -ECONNRESET};
    bed b = {0};
    fake_ring *f = fresh_with_sends(&b, NULL);
    weft_desc d = fake_stream();
    weft_op op[2];
    unsigned calls = 0;
    for (unsigned i = 0; i < sizeof answers / sizeof *answers; i++) {
        one_completion(&b, f);
        const unsigned entries = f->entries, taken = f->count, done = b.done;
        const uint64_t counted = b.port.calls;
        plain.answer = answers[i];
        weft_op_send(&op[0], &d, "hello", 5);
        weft__port_start(&b.port, &op[0]);
        CHECK_EQ(op[0].state, WEFT_OP_DONE);
        CHECK_EQ(op[0].result, answers[i]);
        CHECK_EQ(plain.calls, ++calls);
        CHECK(plain.socket == 1000000 && plain.len == 5 && memcmp(plain.buf, "hello", 5) == 0);
        CHECK_EQ(b.port.calls, counted + 1);
        CHECK(b.done == done && b.port.flying == 0 && d.flying == 0);

        weft_op_send(&op[1], &d, "again", 5); /* only once between two entries */
        weft__port_start(&b.port, &op[1]);
        CHECK_EQ(op[1].state, WEFT_OP_FLYING);
        CHECK(plain.calls == calls && f->entries == entries && f->count == taken);
        bed_tick(&b);
        CHECK_EQ(fake_ring_find(f, &op[1])->opcode, IORING_OP_SEND);
        fake_ring_answer(f, &op[1], 5, 0);
        bed_tick(&b);
        CHECK_EQ(op[1].result, 5);
    }
    fake_ring_finish(&b, f);
}

/* A send that is to go by the ring, and does. */
static void goes_by_the_ring(bed *b, fake_ring *f, weft_op *op)
{
    const unsigned calls = plain.calls;
    weft__port_start(&b->port, op);
    CHECK_EQ(op->state, WEFT_OP_FLYING);
    CHECK_EQ(plain.calls, calls);
    bed_tick(b);
    CHECK_EQ(fake_ring_find(f, op)->opcode, IORING_OP_SEND);
    fake_ring_answer(f, op, 1, 0);
    bed_tick(b);
    CHECK_EQ(op->result, 1);
}

static void a_send_in_company_goes_by_the_ring(void)
{
    static char much[100000];
    bed b = {0};
    fake_ring *f = fresh_with_sends(&b, NULL);
    weft_desc d = fake_stream();
    weft_op op, other, one, two;
    char c;
    plain.answer = 1;

    weft_op_recv(&other, &d, &c, 1); /* something is to be handed over */
    weft__port_start(&b.port, &other);
    weft_op_send(&op, &d, "x", 1);
    goes_by_the_ring(&b, f, &op);

    one_completion(&b, f);
    fake_ring_answer(f, &other, 1, 0); /* or to be reaped */
    weft_op_send(&op, &d, "x", 1);
    goes_by_the_ring(&b, f, &op);
    CHECK_EQ(other.result, 1);

    weft_op_nop(&one); /* two have just been */
    weft_op_nop(&two);
    weft__port_start(&b.port, &one);
    weft__port_start(&b.port, &two);
    bed_tick(&b);
    fake_ring_answer(f, &one, 0, 0);
    fake_ring_answer(f, &two, 0, 0);
    bed_tick(&b);
    weft_op_send(&op, &d, "x", 1);
    goes_by_the_ring(&b, f, &op);

    one_completion(&b, f);
    f->shared->sq_flags |= IORING_SQ_TASKRUN; /* more is on its way */
    weft_op_send(&op, &d, "x", 1);
    weft__port_start(&b.port, &op);
    CHECK_EQ(op.state, WEFT_OP_FLYING);
    f->shared->sq_flags &= ~(uint32_t)IORING_SQ_TASKRUN;
    bed_tick(&b);
    fake_ring_answer(f, &op, 1, 0);
    bed_tick(&b);

    weft_op_send(&op, &d, much, sizeof much); /* too much to be sent as a whole for certain */
    goes_by_the_ring(&b, f, &op);
    weft_op_send(&op, &d, "x", 1);
    op.io.flags = MSG_OOB;
    goes_by_the_ring(&b, f, &op);
    CHECK_EQ(plain.calls, 0);
    fake_ring_finish(&b, f);

    f = fresh_with_sends(&b, &(weft_port_config){.shared = 1});
    d = fake_stream();
    weft_op_send(&op, &d, "x", 1);
    goes_by_the_ring(&b, f, &op);
    fake_ring_finish(&b, f);
}

/* Who has no op yet asks the port, and is told the same. */
static void a_lone_send_needs_no_op(void)
{
    static char much[100000];
    bed b = {0};
    fake_ring *f = fresh_with_sends(&b, NULL);
    weft_desc d = fake_stream();
    CHECK(b.port.send_past);
    plain.answer = 5;
    one_completion(&b, f);
    CHECK_EQ(b.port.lone, 1);
    const uint64_t counted = b.port.calls;
    CHECK_EQ(b.port.send_past(&b.port, &d, much, sizeof much), -EAGAIN); /* too much: nothing has happened */
    CHECK(plain.calls == 0 && b.port.lone == 1 && b.port.calls == counted);
    CHECK_EQ(b.port.send_past(&b.port, &d, "hello", 5), 5);
    CHECK(plain.calls == 1 && plain.socket == 1000000 && plain.len == 5 && memcmp(plain.buf, "hello", 5) == 0);
    CHECK(b.port.lone == 0 && b.port.calls == counted + 1); /* once between two entries */
    CHECK(b.port.flying == 0 && d.flying == 0);

    weft_op op;
    weft_op_send(&op, &d, "again", 5); /* of whichever kind the first was */
    plain.calls = 0;
    goes_by_the_ring(&b, f, &op);

    one_completion(&b, f);
    plain.answer = -EAGAIN; /* tried in vain: the one try is used up */
    CHECK_EQ(b.port.send_past(&b.port, &d, "hello", 5), -EAGAIN);
    CHECK(plain.calls == 1 && b.port.lone == 0);
    goes_by_the_ring(&b, f, &op);

    one_completion(&b, f);
    f->shared->sq_flags |= IORING_SQ_TASKRUN; /* more is on its way */
    CHECK_EQ(b.port.send_past(&b.port, &d, "hello", 5), -EAGAIN);
    CHECK_EQ(plain.calls, 1);
    f->shared->sq_flags &= ~(uint32_t)IORING_SQ_TASKRUN;
    weft_op_recv(&op, &d, much, 1); /* or something is to be handed over */
    weft__port_start(&b.port, &op);
    CHECK_EQ(b.port.send_past(&b.port, &d, "hello", 5), -EAGAIN);
    CHECK_EQ(plain.calls, 1);
    bed_tick(&b);
    fake_ring_answer(f, &op, 1, 0);
    bed_tick(&b);
    fake_ring_finish(&b, f);

    f = fresh_with_sends(&b, &(weft_port_config){.shared = 1});
    one_completion(&b, f);
    CHECK_EQ(b.port.lone, 0);
    fake_ring_finish(&b, f);
}

/* Where there is no room the ring waits for it, and the send is one like any other. */
static void a_lone_send_that_has_to_wait_waits_in_the_ring(void)
{
    bed b = {0};
    fake_ring *f = fresh_with_sends(&b, NULL);
    weft_desc d = fake_stream();
    weft_op op;
    plain.answer = -EAGAIN;
    weft_op_send(&op, &d, "hello", 5);
    weft__port_start(&b.port, &op);
    CHECK_EQ(plain.calls, 1);
    CHECK_EQ(op.state, WEFT_OP_FLYING);
    bed_tick(&b);
    CHECK_EQ(fake_ring_find(f, &op)->opcode, IORING_OP_SEND);
    fake_ring_answer(f, &op, 2, 0);
    bed_tick(&b);
    CHECK_EQ(op.result, 2);

    weft__port_start(&b.port, &op);
    CHECK_EQ(plain.calls, 2);
    bed_tick(&b);
    weft__port_cancel(&b.port, &op);
    bed_tick(&b);
    CHECK_EQ(f->cancels, 1);
    fake_ring_answer(f, &op, -ECANCELED, 0);
    bed_tick(&b);
    CHECK_EQ(op.result, -ECANCELED);

    weft__port_start(&b.port, &op); /* closed while it waits: asked to end, and the descriptor goes with it */
    CHECK_EQ(plain.calls, 3);
    bed_tick(&b);
    const int fd = eventfd(0, EFD_CLOEXEC); /* one that may be closed */
    CHECK(fd >= 0);
    d.handle = fd;
    weft__desc_close(&b.port, &d);
    bed_tick(&b);
    CHECK_EQ(f->cancels, 2);
    CHECK_EQ(d.closing, 1);
    fake_ring_answer(f, &op, 3, 0); /* it had been sent after all */
    bed_tick(&b);
    CHECK_EQ(op.result, 3);
    CHECK(fcntl(fd, F_GETFD) < 0);
    fake_ring_finish(&b, f);
}

static void *submits_from_afar(void *arg)
{
    weft_op *op = arg;
    weft__port_start_remote(op->desc->port, op);
    return NULL;
}

/* One that comes by the inbox is delivered, though it is over before it was ever in flight. */
static void a_lone_send_from_another_thread_is_delivered(void)
{
    bed b = {0};
    fake_ring *f = fresh_with_sends(&b, NULL);
    weft_desc d = fake_stream();
    weft_op op;
    pthread_t thread;
    CHECK_OK(weft__desc_adopt(&d, &b.port));
    plain.answer = 5;
    weft_op_send(&op, &d, "hello", 5);
    CHECK_EQ(pthread_create(&thread, NULL, submits_from_afar, &op), 0);
    pthread_join(thread, NULL);
    weft__port_enter(&b.port, WEFT_NEVER); /* does not wait */
    CHECK_EQ(plain.calls, 1);
    CHECK_EQ(b.done, 1);
    CHECK(b.last == &op && op.result == 5);
    CHECK_EQ(f->waits, 0);
    fake_ring_finish(&b, f);
}

int main(void)
{
    a_lone_send_goes_past_the_ring();
    a_send_in_company_goes_by_the_ring();
    a_lone_send_needs_no_op();
    a_lone_send_that_has_to_wait_waits_in_the_ring();
    a_lone_send_from_another_thread_is_delivered();
    return 0;
}
