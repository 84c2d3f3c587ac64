/* How the epoll driver carries ops out: try, wait in the descriptor's queue, try again on an edge. Home thread.
 *
 * Invariants: an op is in at most one queue; one that waits there was tried and got -EAGAIN, or stands behind one
 * that did, or the latch says that trying is of no use. A descriptor with an op in a queue is in the epoll set.
 * `more` may cancel, close and submit: the op it is called for is marked busy, its descriptor held. */
#include "port/calls_posix.h"
#include "port/epoll.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/check.h"
#include "port/at_once.h"
#include "port/op.h"

/* By opcode: the queue of its descriptor that an op waits in. */
static const uint8_t queues[WEFT_OP_COUNT] = {
    [WEFT_OP_ACCEPT] = WEFT__QUEUE_READ,    [WEFT_OP_RECV] = WEFT__QUEUE_READ,   [WEFT_OP_READV] = WEFT__QUEUE_READ,
    [WEFT_OP_CONNECT] = WEFT__QUEUE_WRITE,  [WEFT_OP_SEND] = WEFT__QUEUE_WRITE,  [WEFT_OP_WRITEV] = WEFT__QUEUE_WRITE,
    [WEFT_OP_SENDFILE] = WEFT__QUEUE_WRITE, [WEFT_OP_POLL] = WEFT__QUEUE_POLL,
};

static enum weft__epoll_queue queue_for(const weft_op *op) { return (enum weft__epoll_queue)queues[op->code]; }

static weft_op **head_of(weft_desc *d, enum weft__epoll_queue queue)
{
    return queue == WEFT__QUEUE_READ ? &d->read_head : queue == WEFT__QUEUE_WRITE ? &d->write_head : &d->poll_head;
}

static weft_op **tail_of(weft_desc *d, enum weft__epoll_queue queue)
{
    return queue == WEFT__QUEUE_READ ? &d->read_tail : queue == WEFT__QUEUE_WRITE ? &d->write_tail : &d->poll_tail;
}

static void enqueue(weft__epoll *s, weft_op *op)
{
    weft__epoll_op *e = weft__epoll_of(op);
    enum weft__epoll_queue queue = queue_for(op);
    weft_op **head = head_of(op->desc, queue), **tail = tail_of(op->desc, queue);
    e->queue = (uint8_t)queue;
    e->prev = *head ? *tail : NULL;
    op->wait_next = NULL;
    if (*head)
        (*tail)->wait_next = op;
    else
        *head = op;
    *tail = op;
    s->waiting++;
}

static void dequeue(weft__epoll *s, weft_op *op)
{
    weft__epoll_op *e = weft__epoll_of(op);
    if (e->listed) {
        weft__link_remove(&e->list);
        e->listed = 0;
    }
    if (e->queue == WEFT__QUEUE_NONE)
        return;
    enum weft__epoll_queue queue = (enum weft__epoll_queue)e->queue;
    weft_op **head = head_of(op->desc, queue), **tail = tail_of(op->desc, queue);
    if (e->prev)
        e->prev->wait_next = op->wait_next;
    else
        *head = op->wait_next;
    if (op->wait_next)
        weft__epoll_of(op->wait_next)->prev = e->prev;
    else
        *tail = e->prev;
    e->queue = WEFT__QUEUE_NONE;
    s->waiting--;
}

static void list(weft__link *l, weft_op *op)
{
    weft__epoll_op *e = weft__epoll_of(op);
    if (e->listed)
        weft__link_remove(&e->list);
    weft__link_before(l, &e->list);
    e->listed = 1;
}

static weft_op *listed(weft__link *l)
{
    weft__epoll_op *e = weft__container(l, weft__epoll_op, list);
    return weft__container((void *)e, weft_op, drv);
}

static void end(weft__epoll *s, weft_op *op, int64_t result)
{
    dequeue(s, op);
    weft_port_complete(s->port, op, result);
}

/* TCP tells by a short read or write that the next one would wait. Others do not: a Unix stream stops at a message
 * that carries descriptors, a pipe at a packet, a terminal at a line. */
static uint8_t drains(const weft_desc *d)
{
    int protocol = 0;
    socklen_t len = sizeof protocol;
    if (d->kind != WEFT_DESC_STREAM || getsockopt((int)d->handle, SOL_SOCKET, SO_PROTOCOL, &protocol, &len) < 0)
        return 0;
    return protocol == IPPROTO_TCP;
}

int weft__epoll_enroll(weft__epoll *s, weft_desc *d)
{
    if (d->registered)
        return 0;
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET, .data.ptr = d};
    s->port->calls += 2;
    if (epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, (int)d->handle, &e) < 0)
        return -errno;
    d->registered = 1;
    d->latch = WEFT_READABLE | WEFT_WRITABLE; /* until an attempt shows otherwise */
    d->drains = drains(d);
    return 0;
}

/* Tries an op that is not MULTI. -EAGAIN: it waits (or will, where the caller puts it into its queue). */
static int64_t try_once(weft__epoll *s, weft_op *op)
{
    weft_desc *d = op->desc;
    s->port->calls++;
    int64_t r = weft__op_attempt(op);
    if (r == -EAGAIN) {
        if (op->drv[7] != WEFT__ATTEMPT_LATER)
            weft__epoll_nothing_left(d, queue_for(op));
    } else if (r > 0 && weft__epoll_shortness_tells(d) && op->code != WEFT_OP_SENDFILE && r < weft__op_wanted(op)) {
        weft__epoll_nothing_left(d, queue_for(op)); /* a short sendfile tells nothing: the file may be short */
    }
    return r;
}

/* ---- Multishot, emulated ---- */

enum { WAITS, GOES_ON, ENDED };

static int tell(weft__epoll *s, weft_op *op, int64_t result, weft_buffer *buffer)
{
    weft__epoll_of(op)->busy = 1;
    weft_port_more(s->port, op, result, buffer);
    weft__epoll_of(op)->busy = 0;
    if (!op->cancelling)
        return GOES_ON;
    end(s, op, -ECANCELED);
    return ENDED;
}

static int accept_step(weft__epoll *s, weft_op *op)
{
    s->port->calls++;
    int64_t r = weft__accept_once(op->desc->handle, NULL);
    if (r >= 0)
        return tell(s, op, r, NULL);
    if (r == -EAGAIN) {
        weft__epoll_nothing_left(op->desc, WEFT__QUEUE_READ);
        return WAITS;
    }
    end(s, op, r); /* out of descriptors, say: who wants to go on decides when */
    return ENDED;
}

/* A buffer is taken only for a descriptor that may have something, and goes back at once if it has not. */
static int recv_step(weft__epoll *s, weft_op *op)
{
    weft_desc *d = op->desc;
    weft_buffer b = {.port = s->port};
    int r = weft__buffers_take(&s->buffers, &b.data, &b.bid);
    if (r == -ENOBUFS) {
        list(&s->starved, op);
        return WAITS;
    }
    if (r < 0) {
        end(s, op, r);
        return ENDED;
    }
    s->port->calls++;
    int64_t n = weft__recv_once(d, b.data, s->buffers.size, op->io.flags);
    if (n <= 0) {
        weft__buffers_give(&s->buffers, b.bid);
        if (n == -EAGAIN) {
            weft__epoll_nothing_left(d, WEFT__QUEUE_READ);
            return WAITS;
        }
        end(s, op, n);
        return ENDED;
    }
    if (n < s->buffers.size && weft__epoll_shortness_tells(d))
        weft__epoll_nothing_left(d, WEFT__QUEUE_READ);
    b.len = (uint32_t)n;
    int now = tell(s, op, n, &b);
    return now == GOES_ON && weft__epoll_would_wait(d, WEFT__QUEUE_READ) ? WAITS : now;
}

/* Goes on with a multishot op until it waits or others must have their turn; it stays in its queue. */
static void pump(weft__epoll *s, weft_op *op)
{
    for (int i = 0; i < WEFT__EPOLL_BURST && s->port->room > 0; i++)
        if ((op->code == WEFT_OP_ACCEPT ? accept_step(s, op) : recv_step(s, op)) != GOES_ON)
            return;
    list(&s->ready, op);
}

/* ---- Queues ---- */

/* Lets the ops of one queue go on, first come first served, until one has to wait. The descriptor is held. */
static void run_queue(weft__epoll *s, weft_desc *d, enum weft__epoll_queue queue)
{
    weft_op *op;
    while ((op = *head_of(d, queue)) && !weft__epoll_watcher(d, queue)) {
        if (op->flags & WEFT_OP_MULTI) {
            if (!weft__epoll_of(op)->busy)
                pump(s, op);
            return; /* it takes all there is; what stands behind it waits for its end */
        }
        int64_t r = try_once(s, op);
        if (r == -EAGAIN) {
            if (op->code == WEFT_OP_CONNECT && op->drv[7] == WEFT__ATTEMPT_LATER)
                list(&s->later, op);
            return;
        }
        end(s, op, r);
        if (weft__epoll_would_wait(d, queue))
            return;
    }
}

/* Each once. One that still waits goes to the back, so that it does not matter which others an end takes away
 * meanwhile. */
static void run_polls(weft__epoll *s, weft_desc *d)
{
    unsigned n = 0;
    for (weft_op *op = d->poll_head; op; op = op->wait_next)
        n++;
    for (weft_op *op; n > 0 && (op = d->poll_head); n--) {
        int64_t r = try_once(s, op);
        dequeue(s, op);
        if (r == -EAGAIN)
            enqueue(s, op);
        else
            weft_port_complete(s->port, op, r);
    }
}

void weft__epoll_run_queues(weft__epoll *s, weft_desc *d)
{
    weft__desc_hold(d);
    run_polls(s, d); /* first: they take nothing from the others, who would leave nothing for them to see */
    if (d->latch & WEFT_READABLE)
        run_queue(s, d, WEFT__QUEUE_READ);
    if (d->latch & WEFT_WRITABLE)
        run_queue(s, d, WEFT__QUEUE_WRITE);
    weft__desc_drop(s->port, d);
}

void weft__epoll_run_ready(weft__epoll *s)
{
    /* Those that list themselves again while this runs have their next turn in the next tick. */
    weft__epoll_feed(s);
    weft__link_before(&s->ready, &s->mark);
    while (s->ready.next != &s->mark && s->port->room > 0) {
        weft_op *op = listed(s->ready.next);
        weft_desc *d = op->desc;
        weft__link_remove(s->ready.next);
        weft__epoll_of(op)->listed = 0;
        weft__desc_hold(d);
        run_queue(s, d, queue_for(op));
        weft__desc_drop(s->port, d);
    }
    weft__link_remove(&s->mark);
}

void weft__epoll_retry_later(weft__epoll *s)
{
    while (!weft__link_alone(&s->later))
        list(&s->ready, listed(s->later.next));
}

int weft__epoll_can_feed(const weft__epoll *s)
{
    return !weft__link_alone(&s->starved) && s->buffers.out < s->buffers.count;
}

void weft__epoll_feed(weft__epoll *s)
{
    for (uint32_t n = s->buffers.count - s->buffers.out; n > 0 && !weft__link_alone(&s->starved); n--)
        list(&s->ready, listed(s->starved.next));
}

/* The op has to wait: into its queue, its descriptor into the set. */
static void wait_for(weft__epoll *s, weft_op *op)
{
    int r = weft__epoll_enroll(s, op->desc);
    if (r == -EPERM) { /* not a thing that can be waited for: a file */
        weft_port_refuse(s->port, op, r);
        return;
    }
    if (r < 0) {
        weft_port_complete(s->port, op, r);
        return;
    }
    enqueue(s, op);
    if (op->drv[7] == WEFT__ATTEMPT_LATER && op->code == WEFT_OP_CONNECT)
        list(&s->later, op);
}

/* Its results may not come before its submitter has even heard that it was taken, so it begins in enter. */
static void submit_multi(weft__epoll *s, weft_op *op, int behind)
{
    enum weft__epoll_queue queue = queue_for(op);
    int known = op->desc->registered, r = weft__epoll_enroll(s, op->desc);
    if (r < 0) {
        weft_port_complete(s->port, op, r);
        return;
    }
    enqueue(s, op);
    if (!known && op->code == WEFT_OP_RECV)
        weft__epoll_nothing_left(op->desc, queue); /* what there is comes as the first event: no vain attempt */
    else if (!behind && !weft__epoll_would_wait(op->desc, queue))
        list(&s->ready, op);
}

/* NOP, SHUTDOWN, and what of files may be done at once. */
static void submit_unqueued(weft_port *port, weft_op *op)
{
    if (op->code == WEFT_OP_NOP || op->code == WEFT_OP_SHUTDOWN) {
        weft_port_complete(port, op, op->code == WEFT_OP_NOP ? 0 : weft__op_attempt(op));
        return;
    }
    int64_t r = weft__at_once(op);
    if (r == -EAGAIN || r == -EOPNOTSUPP)
        weft_port_refuse(port, op, -ENOTSUP); /* by this path: a thread waits, if there is a pool */
    else
        weft_port_complete(port, op, r);
}

void weft__epoll_submit(weft_port *port, weft_op *op)
{
    weft__epoll *s = port->state;
    weft__epoll_op *e = weft__epoll_of(op);
    enum weft__epoll_queue queue = queue_for(op);
    e->queue = WEFT__QUEUE_NONE;
    e->listed = 0;
    e->busy = 0;
    op->drv[7] = 0;
    if (queue == WEFT__QUEUE_NONE) {
        submit_unqueued(port, op);
        return;
    }
    int behind = queue != WEFT__QUEUE_POLL && (*head_of(op->desc, queue) || weft__epoll_watcher(op->desc, queue));
    if (op->flags & WEFT_OP_MULTI) {
        submit_multi(s, op, behind);
        return;
    }
    if (!behind && (op->code == WEFT_OP_CONNECT || !weft__epoll_would_wait(op->desc, queue))) {
        int64_t r = try_once(s, op);
        if (r != -EAGAIN) {
            weft_port_complete(port, op, r);
            return;
        }
    }
    wait_for(s, op);
}

void weft__epoll_next(weft__epoll *s, weft_op *op)
{
    if (!weft__epoll_of(op)->listed && !weft__epoll_would_wait(op->desc, queue_for(op)))
        list(&s->ready, op);
}

void weft__epoll_cancel(weft_port *port, weft_op *op)
{
    weft__epoll *s = port->state;
    weft__epoll_op *e = weft__epoll_of(op);
    if (e->busy)
        return; /* inside `more`, and told when that returns */
    weft_desc *d = op->desc;
    enum weft__epoll_queue queue = (enum weft__epoll_queue)e->queue;
    int first = queue != WEFT__QUEUE_NONE && queue != WEFT__QUEUE_POLL && *head_of(d, queue) == op;
    weft__desc_hold(d);
    end(s, op, -ECANCELED);
    /* Who stood behind it may have been kept from readiness that it did not use. */
    weft_op *next = first ? *head_of(d, queue) : NULL;
    if (next)
        weft__epoll_next(s, next);
    weft__desc_drop(port, d);
}
