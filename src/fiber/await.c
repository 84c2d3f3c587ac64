/* Ops awaited by fibers: submit, park until the terminal completion, answer what really happened. The op lies on the
 * waiter's stack, which stays whatever happens to the fiber until that completion has come (DESIGN rule 3).
 * Home-thread code; `asked_at_port` runs on the port's. */
#include <errno.h>

#include "base/check.h"
#include "fiber/await.h"

/* What is told of an op comes to the worker where the fiber was when it asked; a fiber that may move has perhaps
 * gone on. */
static int sent_on(const weft__await *a, weft_task *t) { return a->fiber->mobile && weft__sent_on(&a->fiber->home, t); }

/* Both ends of the wait are in: the completion, and the cancel request if one was sent elsewhere. */
static void settle(weft__await *a)
{
    if (a->finished && !a->outstanding)
        weft__wake(a->fiber, 0);
}

void weft__await_done(weft_task *t)
{
    weft_op *op = weft__container(t, weft_op, task);
    weft__await *a = (weft__await *)(uintptr_t)op->key;
    if (sent_on(a, t))
        return;
    op->key = 0;
    if (--a->left > 0)
        return; /* its chain goes on */
    a->finished = 1;
    settle(a);
}

/* The i-th op waited for. */
static weft_op *nth(const weft__await *a, unsigned i) { return a->chain ? a->chain[i] : a->op; }

static void ask_remotely(weft__await *a);

static void asked_returned(weft_task *t)
{
    weft__await *a = weft__container(t, weft__await, request.task);
    if (sent_on(a, t))
        return;
    a->outstanding = 0;
    if (!a->finished)
        ask_remotely(a); /* the next of a chain, which the one asked before does not take along */
    settle(a);
}

/* On the port's home thread: the request has been carried out and goes back to the worker of the waiter. */
static void asked_at_port(weft__cancel_request *req)
{
    weft__await *a = weft__container(req, weft__await, request);
    req->task.run = asked_returned;
    weft__worker_send(weft__home_of(&a->fiber->home), &req->task);
}

/* One after another: there is one request. */
static void ask_remotely(weft__await *a)
{
    while (a->asked < a->count && !nth(a, a->asked)->key)
        a->asked++;
    if (a->asked == a->count)
        return;
    a->outstanding = 1;
    a->request.op = nth(a, a->asked++);
    a->request.done = asked_at_port;
    weft__port_cancel_remote(a->op->port, &a->request);
}

/* A function that may be disturbed is, every now and then until it returns: one time may have come just before it
 * began to wait. */
static int insists(const weft__await *a) { return a->op->code == WEFT_OP_CALL && a->op->flags & WEFT_OP_DISTURB && !a->chain; }

void weft__await_cancel(weft__fiber *f)
{
    weft__await *a = f->await;
    if (a->race) {
        weft__race_ask(a->race);
        return;
    }
    weft__worker *w = f->home;
    weft_port *port = a->op->port;
    if (a->finished)
        return;
    if (insists(a)) {
        weft__expect_by(f, w->now_ns + 10 * WEFT_MILLISECOND);
        if (a->outstanding)
            return;
        a->asked = 0;
    }
    if (a->asked)
        return;
    if (!w->owns_port || port != w->port) {
        ask_remotely(a);
        return;
    }
    for (; a->asked < a->count; a->asked++)
        if (nth(a, a->asked)->key)
            weft__port_cancel(port, nth(a, a->asked));
}

int64_t weft__await_short(weft__await *a)
{
    weft__fiber *f = a->fiber;
    weft__worker *w = f->home;
    if (w->budget > 0) {
        weft__worker_spend(w);
        return a->op->result;
    }
    a->finished = 1;
    f->await = a; /* for weft__await_drop: it may be killed here */
    weft__yield(f);
    f->await = NULL;
    return a->op->result;
}

/* At the given port, which may be another worker's; NULL: the waiter's. */
static int64_t await(weft__fiber *f, weft_port *port, weft_op *op, int64_t deadline)
{
    weft__worker *w = f->home;
    weft__await a;
    int64_t r;
    weft__await_begin(&a, f, f->crew->account, op);
    if (w->owns_port && (!port || port == w->port)) {
        r = weft__await_here(&a, deadline);
    } else {
        op->origin = w;
        weft__port_start_remote(port ? port : w->port, op);
        r = weft__await_end(&a, deadline);
    }
    weft__account_discharge(a.account, WEFT__CHARGE_OPS, 1);
    return r;
}

static void drop(weft_port *port, const weft_op *op)
{
    if ((op->code == WEFT_OP_ACCEPT || op->code == WEFT_OP_OPEN) && op->result >= 0 && port->driver->close_handle)
        weft__count_close(weft__worker_self(), op->code == WEFT_OP_ACCEPT ? WEFT_ID_SOCKET : WEFT_ID_FILE,
                          port->driver->close_handle(port, (weft_handle)op->result));
}

void weft__await_drop(weft__fiber *f)
{
    weft__await *a = f->await;
    if (!a)
        return;
    f->await = NULL;
    for (unsigned i = 0; i < a->count && !a->race; i++)
        drop(f->home->port, nth(a, i));
    weft__account_discharge(a->account, WEFT__CHARGE_OPS, a->count);
}

/* What every call that starts ops begins with. */
static int enter(weft__fiber *f, unsigned ops, int64_t deadline)
{
    if (!f)
        return -EPERM;
    /* Shielded or not, nothing new begins (DESIGN rule 5): it ends here. */
    if (f->killed)
        weft__wait(f, WEFT__WAIT_OTHER, WEFT_NEVER);
    if (weft__canceled(f))
        return weft__refuse(f, -ECANCELED);
    weft__account *a = f->crew->account;
    int r = a ? weft__account_charge_by(a, WEFT__CHARGE_OPS, ops, a->ops_wait ? deadline : 0) : 0;
    if (r < 0 || !weft__canceled(f))
        return r;
    weft__account_discharge(a, WEFT__CHARGE_OPS, ops); /* between its turn in the line and its running */
    return weft__refuse(f, -ECANCELED);
}

int64_t weft__await_op(weft_op *op, int64_t deadline) { return weft__await_op_at(NULL, op, deadline); }

int64_t weft__await_op_at(weft_port *port, weft_op *op, int64_t deadline)
{
    int r = weft__await_enter(deadline);
    return r < 0 ? r : weft__await_entered(port, op, deadline);
}

int weft__await_enter(int64_t deadline) { return enter(weft__fiber_self(), 1, deadline); }

int64_t weft__await_entered(weft_port *port, weft_op *op, int64_t deadline)
{
    return await(weft__fiber_self(), port, op, deadline);
}

void weft__await_withdraw(void) { weft__account_discharge(weft__fiber_self()->crew->account, WEFT__CHARGE_OPS, 1); }

int weft__await_nothing(void) { return weft__refuse(weft__fiber_self(), weft_canceled()); }

static void start_chain(weft__worker *w, weft__await *a)
{
    weft_op *first = a->op;
    for (unsigned i = 0; i < a->count; i++) {
        weft_op *op = a->chain[i];
        op->task.run = weft__await_done;
        op->key = (uintptr_t)a;
        op->origin = w->owns_port ? NULL : w;
        op->submitter = a->fiber->name;
    }
    weft__count(&w->stats.ops, a->count);
    if (!w->owns_port) {
        weft__port_start_remote(w->port, first);
        return;
    }
    weft__port_start(w->port, first);
    if (first->state == WEFT_OP_DONE) /* within the start: nobody is told */
        weft__await_done(&first->task);
}

int weft__await_chain(weft_op *const *ops, unsigned count)
{
    weft__fiber *f = weft__fiber_self();
    int r = enter(f, count, WEFT_NEVER);
    if (r < 0)
        return r;
    weft__await a = {.op = ops[0], .chain = ops, .fiber = f, .account = f->crew->account, .count = count, .left = count};
    f->await = &a;
    f->waiting = WEFT__WAIT_OP;
    f->state = WEFT__WAITING;
    f->timed_out = 0;
    f->deadline = WEFT_NEVER;
    start_chain(f->home, &a);
    weft__suspend(f->home, f);
    f->await = NULL;
    weft__account_discharge(a.account, WEFT__CHARGE_OPS, count);
    return 0;
}

int64_t weft__await_op_shielded(weft_op *op)
{
    weft__fiber *f = weft__fiber_self();
    if (!f)
        return -EPERM;
    weft__scope shield = {.parent = f->scopes, .fiber = f, .shield = 1};
    f->scopes = &shield;
    weft__account_force(f->crew->account, WEFT__CHARGE_OPS, 1);
    int64_t r = await(f, NULL, op, WEFT_NEVER);
    f->scopes = shield.parent;
    return r;
}
