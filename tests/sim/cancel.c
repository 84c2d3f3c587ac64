/* A cancel and its op race in every way a kernel allows: found and ended, too late with the real result, and anything
 * between; the terminal completion comes exactly once in all of them, and what a late success brought is given back. */
#include "world.h"

enum { PORT = 9000 };

struct tally {
    unsigned cancelled, succeeded;
};

static void one_connect(actor *a)
{
    weft_desc d;

    sleep_until(a, now() + (int64_t)weft_sim_random(3 * WEFT_MILLISECOND));
    if (connect_to(a, &d, PORT) == 0)
        (void)send_all(a, &d, "x", 1);
    weft__desc_close(&a->port, &d);
}

/* accept, cancelled at a random moment around the time when somebody connects */
static void cancel_accept(actor *a)
{
    struct tally *t = a->arg;
    weft_desc listener, d;
    weft_op op;
    actor c;

    CHECK_OK(listen_at(a, &listener, PORT, 0));
    actor_start(&c, "connect", one_connect, NULL);
    weft_op_accept(&op, &listener, NULL);
    weft__port_start(&a->port, &op);
    sleep_until(a, now() + (int64_t)weft_sim_random(6 * WEFT_MILLISECOND));
    weft__port_cancel(&a->port, &op);
    weft__port_cancel(&a->port, &op); /* asking twice changes nothing */
    finish(a, &op);
    if (op.result >= 0) {
        t->succeeded++;
        weft__desc_init(&d, (weft_handle)op.result, WEFT_DESC_STREAM);
        weft__desc_close(&a->port, &d);
    } else {
        CHECK_EQ(op.result, -ECANCELED);
        t->cancelled++;
    }
    weft__desc_close(&a->port, &listener);
    actor_join(&c);
}

/* A receive, closed under instead of cancelled: closing cancels, and the close waits for the receive's end. */
static void closed(weft_desc *d, int result) { *(int *)d->owner = result + 1; }

static void close_under_recv(actor *a)
{
    struct tally *t = a->arg;
    weft_desc listener, d;
    int gone = 0;
    weft_op op;
    char byte;
    actor c;

    CHECK_OK(listen_at(a, &listener, PORT, 0));
    actor_start(&c, "connect", one_connect, NULL);
    CHECK_OK(accept_from(a, &listener, &d));
    d.closed = closed;
    d.owner = &gone;
    weft_op_recv(&op, &d, &byte, 1);
    weft__port_start(&a->port, &op);
    sleep_until(a, now() + (int64_t)weft_sim_random(2 * WEFT_MILLISECOND));
    weft__desc_close(&a->port, &d);
    CHECK_EQ(op.state == WEFT_OP_DONE, gone == 1);
    finish(a, &op);
    CHECK_EQ(gone, 1);
    if (op.result == -ECANCELED) {
        t->cancelled++;
    } else {
        CHECK_EQ(op.result, 1);
        CHECK_EQ(byte, 'x');
        t->succeeded++;
    }
    weft__desc_close(&a->port, &listener);
    actor_join(&c);
}

/* A streaming accept: everything it yielded before its end is real. */
struct stream {
    weft_op op;
    actor *a;
    unsigned got;
};

static void accepted(weft_op *op, int64_t result, weft_buffer *buffer)
{
    struct stream *s = (struct stream *)(void *)op;

    CHECK(result >= 0 && !buffer);
    CHECK_OK(s->a->port.driver->close_handle(&s->a->port, (weft_handle)result));
    s->got++;
}

static void cancel_multi(actor *a)
{
    struct tally *t = a->arg;
    struct stream s = {.a = a};
    weft_desc listener;
    actor c[3];

    CHECK_OK(listen_at(a, &listener, PORT, 0));
    for (int i = 0; i < 3; i++)
        actor_start(&c[i], "connect", one_connect, NULL);
    weft_op_accept_multi(&s.op, &listener, accepted);
    weft__port_start(&a->port, &s.op);
    sleep_until(a, now() + (int64_t)weft_sim_random(6 * WEFT_MILLISECOND));
    weft__port_cancel(&a->port, &s.op);
    finish(a, &s.op);
    CHECK_EQ(s.op.result, -ECANCELED);
    t->succeeded += s.got > 0;
    t->cancelled += s.got < 3;
    weft__desc_close(&a->port, &listener);
    for (int i = 0; i < 3; i++)
        actor_join(&c[i]);
}

static void (*fn)(actor *a);

static int program(void *arg)
{
    actor a;

    actor_start(&a, "accept", fn, arg);
    actor_join(&a);
    return 0;
}

static void explore(void (*what)(actor *a))
{
    struct tally t = {0};
    weft_sim_result r;

    fn = what;
    for (uint64_t seed = 0; seed < 400; seed++) {
        CHECK_EQ(weft_sim_run(&(weft_sim_options){.seed = seed}, program, &t, &r), 0);
        CHECK_EQ(r.handles_left, 0);
        CHECK_EQ(r.ops_left, 0);
        CHECK_EQ(r.threads_left, 0);
    }
    CHECK(t.cancelled > 20);
    CHECK(t.succeeded > 20);
}

int main(void)
{
    explore(cancel_accept);
    explore(close_under_recv);
    explore(cancel_multi);
    return 0;
}
