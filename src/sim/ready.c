/* Owns what makes a simulated port one of readiness: attempts without an op, and news for who watches a descriptor. As
 * a kernel's edges: whatever happens to a watched socket puts it into its port's line, once until it is fetched; what
 * is told is what there is then, which may be nothing.
 *
 * Ops of such a port are carried out as those of any other (driver.c), but they stand in their descriptor's queue from
 * their submission to their end, behind whoever watches: nobody overtakes. */
#include <errno.h>

#include "base/check.h"
#include "port/desc.h"
#include "sim/sim.h"

#define CALL_NS 500 /* what a system call costs */

static sim_port *of(weft_port *port) { return port->state; }

/* ---- whose turn it is ---- */

/* Whether the op waits in one direction of a stream; *writes says in which. */
static int has_queue(const weft_op *op, int *writes)
{
    switch (op->code) {
    case WEFT_OP_RECV:
    case WEFT_OP_READV:
        *writes = 0;
        return 1;
    case WEFT_OP_SEND:
    case WEFT_OP_WRITEV:
    case WEFT_OP_SENDFILE:
    case WEFT_OP_CONNECT:
        *writes = 1;
        return 1;
    default:
        return 0;
    }
}

void weft__sim_stand(sim *s, weft_op *op)
{
    int writes;

    if (!s->ready || !op->desc || !has_queue(op, &writes))
        return;
    weft_op **head = writes ? &op->desc->write_head : &op->desc->read_head, **tail = writes ? &op->desc->write_tail : &op->desc->read_tail;
    op->wait_next = NULL;
    if (*head)
        (*tail)->wait_next = op;
    else
        *head = op;
    *tail = op;
}

void weft__sim_unstand(sim *s, weft_op *op)
{
    weft_op *before = NULL;
    int writes;

    if (!s->ready || !op->desc || !has_queue(op, &writes))
        return;
    weft_op **at = writes ? &op->desc->write_head : &op->desc->read_head, **tail = writes ? &op->desc->write_tail : &op->desc->read_tail;
    for (; *at != op; at = &before->wait_next)
        before = *at;
    *at = op->wait_next;
    if (*tail == op)
        *tail = before;
}

int weft__sim_watched(const sim_sock *k, int writes) { return k->watched && k->watched->watcher[writes]; }

/* ---- news ---- */

void weft__sim_edge(sim *s, sim_sock *k)
{
    if (!k->watched || k->in_line)
        return;
    sim_port *p = k->watched_at;
    k->in_line = 1;
    k->line_next = NULL;
    sim_sock **at = &p->line;
    while (*at && !sim_random_one_in(&s->choices, 3)) /* kernels tell what happened first first, mostly */
        at = &(*at)->line_next;
    k->line_next = *at;
    *at = k;
    weft__sim_note(s, "edge", "sock", k->ordinal, p->ordinal);
    if (p->waiting)
        weft__sim_wake(s, p->waiting);
    weft__sim_stir(s);
}

static void leave_line(sim_sock *k)
{
    if (!k->in_line)
        return;
    sim_sock **at = &k->watched_at->line;
    while (*at != k)
        at = &(*at)->line_next;
    *at = k->line_next;
    k->in_line = 0;
}

/* One time in sixteen there is less than it says: others may have taken it, or bytes
 * that were counted be thrown away. */
static void tell_of(sim *s, weft_port *port, sim_sock *k)
{
    weft_desc *d = k->watched;
    unsigned now = weft__sim_events(k);

    if (k->fin || k->dead || k->error)
        d->latch |= WEFT_HANGUP;
    if (sim_random_one_in(&s->choices, 16))
        now |= WEFT_READABLE | WEFT_WRITABLE;
    weft__sim_note(s, "ready", "sock", k->ordinal, now);
    d->latch = (uint8_t)(d->latch | (now & (WEFT_READABLE | WEFT_WRITABLE)));
    if (now & (WEFT_READABLE | WEFT_HANGUP))
        weft__desc_tell(port, d, 0);
    if (now & (WEFT_WRITABLE | WEFT_HANGUP))
        weft__desc_tell(port, d, 1);
}

/* What is in line, or some of it: a batch has an end. */
void weft__sim_tell_line(sim *s, sim_port *p)
{
    while (p->line) {
        sim_sock *k = p->line;

        leave_line(k);
        tell_of(s, p->port, k);
        if (sim_random_one_in(&s->choices, 8))
            break;
    }
}

/* ---- the table's functions ---- */

static int64_t transfer(sim *s, sim_sock *k, enum weft_opcode code, void *buf, size_t len)
{
    const struct iovec one = {.iov_base = buf, .iov_len = len};

    switch (code) {
    case WEFT_OP_RECV:
        return weft__sim_stream_readv(s, k, &one, 1);
    case WEFT_OP_READV:
        return weft__sim_stream_readv(s, k, buf, (unsigned)len);
    case WEFT_OP_SEND:
        return weft__sim_stream_writev(s, k, &one, 1);
    default:
        return weft__sim_stream_writev(s, k, buf, (unsigned)len);
    }
}

/* A call into the kernel is a place where others may run. What is left, or how much room,
 * a short result tells by the way, if the seed says so, as TCP does. */
int64_t weft__sim_attempt(weft_port *port, weft_desc *d, enum weft_opcode code, void *buf, size_t len)
{
    sim *s = weft__sim_current();
    const int writes = code == WEFT_OP_SEND || code == WEFT_OP_WRITEV;

    port->calls++;
    weft__sim_pass(s, CALL_NS);
    if (sim_random_one_in(&s->choices, 4))
        weft__sim_yield(s);
    sim_sock *k = weft__sim_sock_of(s, d->handle);
    const int64_t r = !k ? -EBADF : k->kind != SIM_STREAM ? -ENOTCONN : transfer(s, k, code, buf, len);
    weft__sim_note(s, "attempt", weft_op_name(code), k ? (int64_t)k->ordinal : -1, r);
    if (r == -EAGAIN || (r > 0 && !(d->latch & WEFT_HANGUP) && weft__sim_stream_used_up(k, writes) && sim_random_one_in(&s->choices, 2)))
        d->latch = (uint8_t)(d->latch & ~(writes ? WEFT_WRITABLE : WEFT_READABLE));
    return r;
}

/* What there is already is the first news. One time in thirty-two there is no room for it. */
int weft__sim_watch(weft_port *port, weft_desc *d)
{
    sim *s = weft__sim_current();
    sim_sock *k = weft__sim_sock_of(s, d->handle);

    if (!k)
        return -EBADF;
    if (k->watched || sim_random_one_in(&s->choices, 32))
        return -ENOSPC;
    k->watched = d;
    k->watched_at = of(port);
    d->registered = 1;
    d->latch = 0;
    weft__sim_note(s, "watch", "sock", k->ordinal, k->watched_at->ordinal);
    if (weft__sim_events(k))
        weft__sim_edge(s, k);
    return 0;
}

void weft__sim_unwatched(weft_port *port, weft_op *op)
{
    sim *s = weft__sim_current();
    sim_sock *k = weft__sim_sock_of(s, op->desc->handle);

    (void)port;
    if (!k || k->kind != SIM_STREAM)
        return;
    weft__sim_stream_readers(s, k);
    weft__sim_stream_writers(s, k);
}

void weft__sim_forget(weft_port *port, weft_desc *d)
{
    sim *s = weft__sim_current();
    sim_sock *k = weft__sim_sock_of(s, d->handle);

    (void)port;
    if (!k || k->watched != d) /* closed behind the port's back, and the number may be another's */
        for (k = s->socks; k && k->watched != d; k = k->next)
            ;
    WEFT_ASSERT(k && !d->watcher[0] && !d->watcher[1]);
    leave_line(k);
    k->watched = NULL;
    k->watched_at = NULL;
    d->registered = 0;
    d->latch = 0;
}
