/* Reading and writing: straight by the ring of the worker (docs/design/uring.md), by any op, or without one: attempts
 * in the fiber's own turn, and between two of them a wait for readiness, on ports whose driver tries before it waits.
 * There nothing is in flight that could end late: who is cancelled, killed or out of time just leaves. Owner lane's
 * worker; without an op, and straight, only where that has the descriptor's port; not for fibers that may move, since
 * who watches a descriptor lives where its port does.
 *
 * Invariant: while the watcher has its descriptor the handle is the waiter's, for closing it
 * dismisses who watches through it. */
#include "lane/transfer.h"

#include "base/check.h"
#include "fiber/await.h"
#include "port/inflight.h"
#include "port/op.h"

static void fill(weft_op *op, weft_desc *d, enum weft_opcode code, void *buf, size_t len)
{
    if (code == WEFT_OP_RECV)
        weft_op_recv(op, d, buf, len);
    else if (code == WEFT_OP_SEND)
        weft_op_send(op, d, buf, len);
    else if (code == WEFT_OP_READV)
        weft_op_readv(op, d, buf, (unsigned)len);
    else
        weft_op_writev(op, d, buf, (unsigned)len);
}

#ifdef WEFT_CHECKED
void weft__transfer_take_off(weft__lookout *a, enum weft_opcode code, void *buf, size_t len)
{
    fill(&a->op, a->watcher.desc, code, buf, len);
    weft__inflight_add(&a->op);
}

void weft__transfer_land(weft__lookout *a)
{
    if (!a->op.code)
        return;
    weft__inflight_remove(&a->op);
    a->op.code = 0;
}
#endif

/* `unwait` stays set: should the fiber be killed before it runs, its place must be given up all the same. */
void weft__transfer_told(weft_watcher *watcher)
{
    /* const for who only brings it near */
    weft__fiber *f = weft__container((weft_task *)(uintptr_t)watcher->soon, weft__fiber, resume);
    if (f->waiting != WEFT__WAIT_READY)
        return; /* it was told before, or has been woken for another reason */
    f->waiting = WEFT__WAIT_NONE;
    f->deadline = WEFT_NEVER;
    f->wake = 0;
    f->state = WEFT__READY;
    weft__worker_ready(f->home, &f->resume);
}

void weft__transfer_leave(weft__fiber *f)
{
    weft__lookout *a = f->waits_on;
    weft__transfer_land(a);
    weft_desc *d = a->watcher.desc;
    if (d)
        weft__desc_unwatch(f->home->port, d, d->watcher[1] == &a->watcher);
}

/* Its wait has ended with an answer, or the descriptor was closed. */
int64_t weft__transfer_give_up(weft__handle *h, weft__fiber *f, uint16_t gen, int answer)
{
    weft__handle_end(h, gen);
    if (answer == 0 || (answer == -ETIMEDOUT && weft__canceled(f)))
        return -ECANCELED;
    return answer;
}

static __attribute__((noinline)) int64_t by_op(weft__handle *h, enum weft_opcode code, void *buf, size_t len, int64_t deadline)
{
    weft_op op;
    fill(&op, h->desc, code, buf, len);
    return weft__handle_await(h, &op, deadline);
}

/* At the port of the fiber's own worker, and nothing hinders the fiber: what by_op and what it calls find out step by
 * step is known. */
static __attribute__((noinline)) int64_t by_own_op(weft__handle *h, weft__fiber *f, enum weft_opcode code, void *buf, size_t len, int64_t deadline)
{
    weft_op op;
    weft__await a;
    fill(&op, h->desc, code, buf, len);
    op.through = h;
    uint16_t gen = weft__handle_begin(h);
    weft__await_begin(&a, f, NULL, &op);
    int64_t r = weft__await_here(&a, deadline);
    return weft__handle_end(h, gen) || r != -EBADF ? r : -ECANCELED; /* as weft__handle_await */
}

/* The end of an op of weft__transfer_ring. Its fiber waits for it and nothing else: weft__await_done with nothing to
 * find out. */
static void arrived(weft_task *t)
{
    weft__await *a = (weft__await *)(uintptr_t)weft__container(t, weft_op, task)->key;
    weft__fiber *f = a->fiber;
    WEFT_ASSERT(f->waiting == WEFT__WAIT_OP);
    a->finished = 1;
    f->waiting = WEFT__WAIT_NONE;
    f->deadline = WEFT_NEVER;
    f->state = WEFT__READY;
    weft__worker_ready(f->home, &f->resume);
}

/* Nothing hinders the fiber, nothing ends the op before it waits, and only the op's end makes it go on. */
int64_t weft__transfer_ring(weft__handle *h, weft__fiber *f, enum weft_opcode code, void *buf, size_t len, int64_t deadline)
{
    weft__worker *w = f->home;
    weft_op op;
    weft__await a;
    weft__await_fill(&a, f, NULL, &op);
    op.task.run = arrived;
    op.key = (uintptr_t)&a;
    op.submitter = f->name;
    op.through = h;
    uint16_t gen = weft__handle_begin(h);
    weft__count(&w->stats.ops, 1);
    w->port->transfer(w->port, &op, code, h->desc, buf, len);
    f->await = &a;
    f->waiting = WEFT__WAIT_OP;
    f->state = WEFT__WAITING;
    f->timed_out = 0;
    weft__expect_by(f, deadline);
    weft__switch(&f->context, weft__fiber_next(w), NULL, NULL);
    f->await = NULL;
    weft__fiber_near_frames(f->home);
    int64_t r = op.result == -ECANCELED && f->timed_out && !weft__canceled(f) ? -ETIMEDOUT : op.result;
    return weft__handle_end(h, gen) || r != -EBADF ? r : -ECANCELED; /* as weft__handle_await */
}

/* As on a port that tries at once: no op, nothing to wait for, nothing to take back. */
int64_t weft__transfer_past(weft__handle *h, weft__fiber *f, enum weft_opcode code, void *buf, size_t len, int64_t deadline)
{
    weft_port *port = f->home->port;
    int64_t r = port->send_past(port, h->desc, buf, len);
    if (r == -EAGAIN)
        return weft__transfer_ring(h, f, code, buf, len, deadline);
    weft__fiber_transferred(f);
    return r;
}

int64_t weft__transfer_later(weft__handle *h, weft__fiber *f, enum weft_opcode code, void *buf, size_t len, int64_t deadline)
{
    weft__lookout a;
    if (weft__transfer_watch(&a, h, f, weft__transfer_writes(code), deadline))
        return weft__transfer_wait(&a, h, f, code, buf, len, deadline);
    return weft__transfer_unwatched(h, f, code, buf, len, deadline);
}

int64_t weft__transfer_unwatched(weft__handle *h, weft__fiber *f, enum weft_opcode code, void *buf, size_t len, int64_t deadline)
{
    if (deadline <= f->home->now_ns)
        return weft__refuse(f, -ETIMEDOUT);
    return by_op(h, code, buf, len, deadline); /* which says why, where there is an error */
}

static __attribute__((noinline)) int64_t at_once(weft__handle *h, weft__fiber *f, enum weft_opcode code, void *buf, size_t len, int64_t deadline)
{
    int64_t r = weft__transfer_try(h, f, code, buf, len, deadline);
    return r != -EAGAIN ? r : weft__transfer_later(h, f, code, buf, len, deadline);
}

/* Its first use on this port, which can do without ops. */
static void come_home(const weft__handle *h, const weft__fiber *f)
{
    const weft__worker *w = f->home;
    if (w->at_once && !h->port && !h->desc->port)
        h->desc->port = w->port;
}

/* For what is not plainly an attempt at once, or an op of the worker's own ring: the first of a socket, vectors, lanes
 * that may move, scopes, other workers' ports. */
int64_t weft__transfer(weft__handle *h, weft__fiber *f, enum weft_opcode code, void *buf, size_t len, int64_t deadline)
{
    come_home(h, f);
    if (weft__transfer_here(h, f, weft__transfer_writes(code)))
        return at_once(h, f, code, buf, len, deadline);
    if (!h->port && f->home->owns_port && weft__fiber_free_to(f))
        return by_own_op(h, f, code, buf, len, deadline);
    return by_op(h, code, buf, len, deadline);
}
