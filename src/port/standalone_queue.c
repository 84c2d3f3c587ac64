/* Results of a port of one's own, and the threads that wait for them. Any thread.
 *
 * Who waits either drives or parks. No result is left lying while somebody could take it: whoever leaves reap, frees
 * a place under the concurrency limit, or has driven, calls look_after, which wakes as many waiters as there are
 * results and places, one of them to drive if nobody does, and the driving thread itself if it is the only one left. */
#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "port/standalone.h"

/* ---- Into the queue, on the driving thread ---- */

static void terminal(weft_task *task) { (void)task; } /* marks an op in the queue; never run */

static void enqueue(weft__standalone *sa, weft_task *task)
{
    weft__spin_lock(&sa->lock);
    weft__tasks_push(&sa->done, task);
    sa->queued++;
    weft__spin_unlock(&sa->lock);
}

static void enqueue_terminal(weft__standalone *sa, weft_op *op)
{
    op->after = op->task.run;
    op->task.run = terminal;
    enqueue(sa, &op->task);
}

void weft__standalone_deliver(void *ctx, weft_op *op)
{
    /* A cancel request on its way lies in the op: then the request queues the completion. Pairs with the swap in
     * weft_port_cancel. */
    if (weft__exchange_acq_rel(&op->cancel_state, (uint32_t)WEFT__CANCEL_ENDED, "standalone_end") != WEFT__CANCEL_ASKED)
        enqueue_terminal(ctx, op);
}

void weft__standalone_run_cancel(weft_task *task)
{
    weft_op *op = weft__container(task, weft_op, cancel_task);
    weft_port *port = op->port;
    weft__port_cancel(port, op);
    uint32_t state = WEFT__CANCEL_ASKED;
    if (!weft__cas_acq_rel(&op->cancel_state, &state, (uint32_t)WEFT__CANCEL_HANDLED, "standalone_cancelled")) {
        port->told++; /* it may have ended in an enter before this one, and home must not wait with it in the queue */
        enqueue_terminal(weft__standalone_of(port), op);
    }
}

void weft__standalone_more(void *ctx, weft_op *op, int64_t result, weft_buffer *buffer)
{
    weft__standalone *sa = ctx;
    weft__spin_lock(&sa->lock);
    weft__result *r = sa->result_free;
    WEFT_ASSERT(r); /* weft_port_room says how many are left */
    sa->result_free = r->task.next ? weft__container(r->task.next, weft__result, task) : NULL;
    r->task.run = NULL;
    r->op = op;
    r->result = result;
    r->key = op->done_key;
    r->buffer = buffer ? *buffer : (weft_buffer){0};
    weft__tasks_push(&sa->done, &r->task);
    sa->queued++;
    weft__spin_unlock(&sa->lock);
}

void weft__standalone_drive(weft__standalone *sa, int64_t deadline_ns)
{
    weft_port *port = &sa->port;
    sa->driving = 1;
    port->room = sa->completions > sa->queued ? sa->completions - sa->queued : 0;
    weft__spin_unlock(&sa->lock);
    weft__port_enter(port, deadline_ns);
    /* A buffer that this thread gives back from now on goes through the inbox. */
    weft__store_relaxed(&port->home, NULL, "port_home");
    weft__spin_lock(&sa->lock);
    sa->driving = 0;
}

/* ---- Out of the queue, under the lock ---- */

static void take_one(weft__standalone *sa, weft_completion *out)
{
    weft_task *t = weft__tasks_pop(&sa->done);
    sa->queued--;
    if (t->run == terminal) {
        weft_op *op = weft__container(t, weft_op, task);
        op->task.run = op->after;
        *out = (weft_completion){.op = op, .key = op->done_key, .result = op->result};
        return;
    }
    weft__result *r = weft__container(t, weft__result, task);
    *out = (weft_completion){.op = r->op, .key = r->key, .result = r->result, .more = 1, .buffer = r->buffer};
    r->task.next = sa->result_free ? &sa->result_free->task : NULL;
    sa->result_free = r;
}

static unsigned take(weft__standalone *sa, weft_completion *out, unsigned max)
{
    unsigned n = 0;
    while (n < max && sa->queued > 0)
        take_one(sa, &out[n++]);
    return n;
}

static int place_free(const weft__standalone *sa) { return sa->limit == 0 || sa->running < sa->limit; }

/* ---- Waiting ---- */

static weft__waiter *waiter_get(weft__standalone *sa)
{
    weft__waiter *w = sa->waiter_free;
    if (w)
        sa->waiter_free = w->next;
    else
        w = weft__standalone_cut(sa, sizeof *w);
    return w;
}

static void waiter_put(weft__standalone *sa, weft__waiter *w)
{
    w->next = sa->waiter_free;
    sa->waiter_free = w;
}

static void waiter_list(weft__standalone *sa, weft__waiter *w)
{
    w->listed = 1;
    w->prev = NULL;
    w->next = sa->waiters; /* the last one in is woken first: its cache is warm */
    if (w->next)
        w->next->prev = w;
    sa->waiters = w;
}

static void waiter_unlist(weft__standalone *sa, weft__waiter *w)
{
    if (!w->listed)
        return;
    w->listed = 0;
    if (w->prev)
        w->prev->next = w->next;
    else
        sa->waiters = w->next;
    if (w->next)
        w->next->prev = w->prev;
}

enum { WAKE_MAX = 16 };

/* Under the lock, which it lets go at the end. */
static void look_after(weft__standalone *sa)
{
    weft__waiter *wake[WAKE_MAX];
    unsigned n = 0, results = sa->queued, places = sa->limit ? sa->limit - sa->running : UINT32_MAX;
    for (; n < WAKE_MAX && n < results && n < places && sa->waiters; n++) {
        wake[n] = sa->waiters;
        waiter_unlist(sa, wake[n]);
    }
    if (n == 0 && !sa->driving && sa->waiters) {
        wake[n] = sa->waiters;
        waiter_unlist(sa, wake[n++]);
    }
    int rouse = n == 0 && results > 0 && places > 0 && sa->driving;
    weft__spin_unlock(&sa->lock);
    for (unsigned i = 0; i < n; i++)
        sa->env->unpark(sa->env->self, &wake[i]->parker);
    if (rouse)
        weft__port_wake(&sa->port);
}

/* Parks until somebody wakes us or the deadline passes. Under the lock, which is let go meanwhile. 0 or -ENOMEM. */
static int wait_turn(weft__standalone *sa, int64_t deadline_ns)
{
    weft__waiter *w = waiter_get(sa);
    if (!w)
        return -ENOMEM;
    waiter_list(sa, w);
    weft__spin_unlock(&sa->lock);
    sa->env->park(sa->env->self, &w->parker, deadline_ns); /* a late unpark's token only makes us look once more */
    weft__spin_lock(&sa->lock);
    waiter_unlist(sa, w);
    waiter_put(sa, w);
    return 0;
}

/* ---- The concurrency limit ---- */

/* The limited port that counts this thread as running, by serial number; 0: none. */
static uint64_t *counted_on(void)
{
    static _Thread_local uint64_t serial;
    return &serial;
}

/* This thread runs no longer. */
static void stop_running(void)
{
    uint64_t serial = *counted_on();
    if (!serial)
        return;
    *counted_on() = 0;
    weft__standalone *sa = weft__registry_find(serial);
    if (!sa)
        return; /* that port has ended */
    weft__spin_lock(&sa->lock);
    WEFT_ASSERT(sa->running > 0);
    sa->running--;
    look_after(sa);
    weft__standalone_outside(sa);
}

void weft_port_leave(weft_port *port)
{
    WEFT_ASSERT(port && port->standalone == port);
    if (*counted_on() == weft__standalone_of(port)->serial)
        stop_running();
}

/* ---- Reaping ---- */

static int passed(weft__standalone *sa, int64_t deadline_ns)
{
    return deadline_ns <= WEFT_NOW || (deadline_ns != WEFT_NEVER && sa->env->now(sa->env->self) >= deadline_ns);
}

/* Somebody polls our descriptor and we found nothing: from now on wake-ups have to reach it. 1: there is something
 * after all. */
static int doze(weft__standalone *sa)
{
    sa->driving = 1;
    weft__spin_unlock(&sa->lock);
    int more = weft__port_doze(&sa->port);
    weft__spin_lock(&sa->lock);
    sa->driving = 0;
    return more;
}

/* Under the lock. How many were taken, or -ENOMEM. */
static int collect(weft__standalone *sa, weft_completion *out, unsigned max, unsigned min, int64_t deadline_ns)
{
    unsigned got = 0;
    for (int tried = 0;; tried = 1) {
        if (sa->queued > 0 && (got > 0 || place_free(sa))) {
            sa->running += got == 0;
            got += take(sa, out + got, max - got);
        }
        if (got >= min && got > 0)
            return (int)got;
        int last = tried && (min == 0 || passed(sa, deadline_ns));
        if (last && !(sa->watched && got == 0 && !sa->driving && doze(sa)))
            return (int)got;
        int may_wait = min > 0 && !passed(sa, deadline_ns);
        if (!sa->driving && sa->queued < sa->completions)
            weft__standalone_drive(sa, may_wait ? deadline_ns : WEFT_NOW);
        else if (may_wait && wait_turn(sa, deadline_ns) < 0)
            return got > 0 ? (int)got : -ENOMEM;
    }
}

int weft_port_reap(weft_port *port, weft_completion *out, unsigned max, unsigned min, int64_t deadline_ns)
{
    WEFT_ASSERT(port && port->standalone == port);
    if (!out || max == 0 || max > INT32_MAX || min > max)
        return -EINVAL;
    weft__standalone *sa = weft__standalone_of(port);
    weft__add_acq_rel(&sa->inside, 1u, "standalone_in");
    if (*counted_on() != sa->serial)
        stop_running();
    weft__spin_lock(&sa->lock);
    if (*counted_on() == sa->serial) { /* our place is free again, for us as for others: look_after comes below */
        *counted_on() = 0;
        sa->running--;
    }
    int got = collect(sa, out, max, min, deadline_ns);
    if (got > 0) {
        if (sa->limit)
            *counted_on() = sa->serial;
        else
            sa->running--; /* not counted without a limit */
    }
    look_after(sa);
    weft__standalone_outside(sa);
    return got;
}
