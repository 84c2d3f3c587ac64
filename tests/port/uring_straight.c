/* Receives and sends that go straight (port->transfer): that they are ops like any other for whoever cancels, closes or
 * refuses them, and that their ends are told once and in order. On a kernel that does what it is told. */
#include <sys/socket.h>
#include <unistd.h>

#include "port/desc.h"
#include "port/fake_ring.h"

#define MANY 300

typedef struct job {
    weft_op op;
    char buf[8];
} job;

static unsigned ended;
static const weft_op *order[MANY];

static void end(weft_task *t) { order[ended++] = weft__container(t, weft_op, task); }

/* The core's way of telling, which the straight ones share with others. */
static void deliver(void *ctx, weft_op *op)
{
    (void)ctx;
    if (op->prompt)
        op->task.run(&op->task);
}

static fake_ring *fresh(bed *b, const weft_port_config *config)
{
    fake_ring *f = fake_ring_fresh(b, config);
    b->port.owner.deliver = deliver;
    ended = 0;
    bed_tick(b); /* arms the wake */
    return f;
}

static void start(bed *b, job *j, enum weft_opcode code, weft_desc *d)
{
    memset(&j->op, 0xee, sizeof j->op); /* stale memory is fine */
    j->op.task.run = end;
    j->op.key = 1;
    j->op.submitter = "test";
    j->op.through = NULL;
    b->port.transfer(&b->port, &j->op, code, d, j->buf, sizeof j->buf);
    CHECK_EQ(j->op.state, WEFT_OP_FLYING);
}

static weft_desc home(bed *b)
{
    weft_desc d = fake_stream();
    CHECK_OK(weft__desc_adopt(&d, &b->port));
    return d;
}

static void over(bed *b, const weft_desc *d, const job *j, int64_t result)
{
    CHECK_EQ(j->op.state, WEFT_OP_DONE);
    CHECK_EQ(j->op.result, result);
    CHECK(b->port.flying == 0 && d->flying == 0 && !d->ops && !d->ending && bed_ring(b)->in_ring == 0);
}

static void it_is_what_submit_would_have_made_of_it(void)
{
    bed b = {0};
    fake_ring *f = fresh(&b, NULL);
    weft_desc d = home(&b);
    for (int sends = 0; sends < 2; sends++) {
        const enum weft_opcode code = sends ? WEFT_OP_SEND : WEFT_OP_RECV;
        job j;
        weft_op op;
        if (sends)
            weft_op_send(&op, &d, j.buf, sizeof j.buf);
        else
            weft_op_recv(&op, &d, j.buf, sizeof j.buf);
        op.task.run = end;
        op.prompt = 1;
        b.port.lone = 0;
        weft__port_start(&b.port, &op);
        start(&b, &j, code, &d);
        CHECK(b.port.flying == 2 && d.flying == 2);
        bed_tick(&b);
        struct io_uring_sqe one = *fake_ring_find(f, &op), other = *fake_ring_find(f, &j.op);
        CHECK(one.user_data != other.user_data);
        one.user_data = other.user_data = 0;
        CHECK(memcmp(&one, &other, sizeof one) == 0);
        const uint64_t completed = b.port.completed;
        fake_ring_answer(f, &op, 8, 0);
        fake_ring_answer(f, &j.op, 5, 0);
        bed_tick(&b);
        over(&b, &d, &j, 5);
        CHECK_EQ(op.result, 8);
        CHECK_EQ(b.port.completed, completed + 2);
        CHECK(b.port.plain[code] == WEFT_PATH_RING);
    }
    CHECK_EQ(ended, 4);
    fake_ring_finish(&b, f);
}

/* More than are taken off the queue in one go, with others among them. */
static void ends_are_told_in_order(void)
{
    static job j[MANY];
    bed b = {0};
    fake_ring *f = fresh(&b, &(weft_port_config){.entries = 32});
    weft_desc d = home(&b);
    for (unsigned i = 0; i < MANY; i++) { /* most find the queue full */
        if (i % 100 == 99) {
            weft_op_nop(&j[i].op);
            j[i].op.task.run = end;
            j[i].op.prompt = 1;
            weft__port_start(&b.port, &j[i].op);
        } else {
            start(&b, &j[i], i % 2 ? WEFT_OP_SEND : WEFT_OP_RECV, &d);
        }
    }
    bed_tick(&b);
    for (unsigned i = 0; i < MANY; i++) {
        fake_ring_answer(f, &j[i].op, (int32_t)(i % 8), 0);
        /* Nobody's: that generation is not its own. */
        if (i % 70 == 3)
            fake_ring_post(f, UINT64_C(0xdead000000000000) | (uintptr_t)&j[MANY - 1].op, 1, 0);
    }
    bed_tick(&b);
    while (ended < MANY)
        bed_tick(&b);
    for (unsigned i = 0; i < MANY; i++) {
        CHECK(order[i] == &j[i].op);
        CHECK_EQ(j[i].op.result, i % 8);
    }
    over(&b, &d, &j[0], 0);
    fake_ring_finish(&b, f);
}

static void asked_to_end_it_ends_by_its_own_completion(void)
{
    static const int32_t answers[] = {-ECANCELED, 3};
    bed b = {0};
    fake_ring *f = fresh(&b, NULL);
    weft_desc d = home(&b);
    for (unsigned i = 0; i < 2; i++) {
        job j;
        start(&b, &j, WEFT_OP_RECV, &d);
        bed_tick(&b);
        weft__port_cancel(&b.port, &j.op);
        CHECK(d.ending == &j.op && !d.ops);
        bed_tick(&b);
        CHECK_EQ(f->cancels, i + 1);
        CHECK_EQ(ended, i);
        fake_ring_answer(f, &j.op, answers[i], 0);
        bed_tick(&b);
        over(&b, &d, &j, answers[i]);
        CHECK_EQ(ended, i + 1);
    }
    fake_ring_finish(&b, f);
}

/* The queue is full: the op waits, and so does the cancel of one before it. */
static void asked_to_end_while_the_queue_is_full(void)
{
    bed b = {0};
    fake_ring *f = fresh(&b, &(weft_port_config){.entries = 4});
    weft_desc d = home(&b);
    job j[6];
    for (unsigned i = 0; i < 6; i++)
        start(&b, &j[i], WEFT_OP_RECV, &d);
    weft__port_cancel(&b.port, &j[5].op); /* the kernel has not seen it */
    CHECK_EQ(j[5].op.result, -ECANCELED);
    CHECK_EQ(ended, 1);
    weft__port_cancel(&b.port, &j[0].op);
    bed_tick(&b);
    for (unsigned i = 0; i < 5; i++)
        fake_ring_answer(f, &j[i].op, i ? 1 : 2, 0);
    bed_tick(&b);
    CHECK_EQ(ended, 6);
    over(&b, &d, &j[0], 2);
    fake_ring_finish(&b, f);
}

static unsigned closed;
static void on_closed(weft_desc *d, int result)
{
    (void)d;
    CHECK_EQ(result, 0);
    CHECK_EQ(ended, 0); /* before the end is told, as ever */
    closed++;
}

static void closed_under_it(void)
{
    bed b = {0};
    fake_ring *f = fresh(&b, NULL);
    weft_desc d = home(&b);
    d.closed = on_closed;
    d.handle = WEFT_NOHANDLE; /* nothing to close; the entries name it, and this kernel does not look */
    job j;
    start(&b, &j, WEFT_OP_RECV, &d);
    bed_tick(&b);
    weft__desc_close(&b.port, &d);
    CHECK(d.closing && ended == 0 && closed == 0);
    bed_tick(&b);
    fake_ring_answer(f, &j.op, 4, 0); /* it had come after all */
    bed_tick(&b);
    CHECK(ended == 1 && closed == 1);
    over(&b, &d, &j, 4);
    fake_ring_finish(&b, f);
}

static void errors_take_the_general_way(void)
{
    bed b = {0};
    fake_ring *f = fresh(&b, NULL);
    weft_desc d = home(&b);
    job j;
    start(&b, &j, WEFT_OP_SEND, &d); /* waits for room, and is then handed over again */
    bed_tick(&b);
    fake_ring_answer(f, &j.op, -EAGAIN, 0);
    bed_tick(&b);
    bed_tick(&b);
    CHECK_EQ(fake_ring_find(f, &j.op)->opcode, IORING_OP_POLL_ADD);
    fake_ring_answer(f, &j.op, 4, 0);
    bed_tick(&b);
    CHECK_EQ(ended, 0);
    bed_tick(&b);
    CHECK_EQ(fake_ring_find(f, &j.op)->opcode, IORING_OP_SEND);
    fake_ring_answer(f, &j.op, 8, 0);
    bed_tick(&b);
    over(&b, &d, &j, 8);

    start(&b, &j, WEFT_OP_SEND, &d);
    bed_tick(&b);
    fake_ring_answer(f, &j.op, -EPIPE, 0);
    bed_tick(&b);
    over(&b, &d, &j, -EPIPE);

    start(&b, &j, WEFT_OP_RECV, &d); /* nobody asked for this one's end by a signal: again */
    bed_tick(&b);
    fake_ring_answer(f, &j.op, -EINTR, 0);
    bed_tick(&b);
    bed_tick(&b);
    fake_ring_answer(f, &j.op, 0, 0);
    bed_tick(&b);
    over(&b, &d, &j, 0);
    CHECK_EQ(ended, 3);
    fake_ring_finish(&b, f);
}

/* The kernel does not know the op: readiness does it, and from then on nobody comes straight. */
static void refused_it_takes_the_next_path(void)
{
    int pair[2];
    bed b = {0};
    fake_ring *f = fresh(&b, NULL);
    weft_desc d = home(&b);
    CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair));
    CHECK_EQ(write(pair[1], "hello", 5), 5);
    d.handle = pair[0];
    job j;
    start(&b, &j, WEFT_OP_RECV, &d);
    bed_tick(&b);
    fake_ring_answer(f, &j.op, -EINVAL, 0);
    bed_tick(&b);
    over(&b, &d, &j, 5);
    CHECK_EQ(ended, 1);
    CHECK_EQ(b.port.plain[WEFT_OP_RECV], 0);
    CHECK(memcmp(j.buf, "hello", 5) == 0);
    close(pair[0]);
    close(pair[1]);
    fake_ring_finish(&b, f);
}

int main(void)
{
    it_is_what_submit_would_have_made_of_it();
    ends_are_told_in_order();
    asked_to_end_it_ends_by_its_own_completion();
    asked_to_end_while_the_queue_is_full();
    closed_under_it();
    errors_take_the_general_way();
    refused_it_takes_the_next_path();
    return 0;
}
