/* The steps of awaiting one op, inline: as calls they would be a good part of what a request costs.
 * await.c has the rest. Home-thread code. */
#ifndef WEFT_FIBER_AWAIT_H
#define WEFT_FIBER_AWAIT_H

#include "fiber/fiber.h"

/* An op's end. It only makes its waiter ready, so a port may call it in the middle of its own work. */
void weft__await_done(weft_task *t);
/* Of one that ended within its start there is nothing to wait for, but not for ever at the others' cost. Its result. */
int64_t weft__await_short(weft__await *a);

static inline void weft__await_fill(weft__await *a, weft__fiber *f, weft__account *account, weft_op *op)
{
    a->op = op;
    a->fiber = f;
    a->account = account;
    a->chain = NULL;
    a->count = a->left = 1;
    a->asked = 0;
    a->finished = a->outstanding = 0;
    a->race = NULL;
}

/* f is to wait for this op, whose end is delivered to the home port's thread unless `origin` is set after. */
static inline void weft__await_begin(weft__await *a, weft__fiber *f, weft__account *account, weft_op *op)
{
    weft__await_fill(a, f, account, op);
    op->task.run = weft__await_done;
    op->key = (uintptr_t)a;
    op->origin = NULL;
    op->prompt = 1;
    op->submitter = f->name;
    weft__count(&f->home->stats.ops, 1);
}

/* Waits for the end of what was started. Its result. */
static inline int64_t weft__await_end(weft__await *a, int64_t deadline)
{
    weft__fiber *f = a->fiber;
    const weft_op *op = a->op;
    f->await = a;
    f->waiting = WEFT__WAIT_OP;
    f->state = WEFT__WAITING;
    f->timed_out = 0;
    /* What cannot be cancelled is tried whatever its deadline: one that has passed would
     * only take back a job not yet begun. */
    if (deadline != WEFT_NEVER && (deadline > f->home->now_ns || weft_op_cancellable((enum weft_opcode)op->code)))
        weft__expect_by(f, deadline);
    if (f->killed)
        weft__await_cancel(f);
    weft__context *next = weft__fiber_next(f->home);
    if (next != &f->context)
        weft__switch(&f->context, next, NULL, NULL);
    f->await = NULL;
    return op->result == -ECANCELED && f->timed_out && !weft__canceled(f) ? -ETIMEDOUT : op->result;
}

/* Starts it at the port of the fiber's worker, which has one of its own, and waits for its end. */
static inline int64_t weft__await_here(weft__await *a, int64_t deadline)
{
    weft__port_start(a->fiber->home->port, a->op);
    return a->op->state == WEFT_OP_DONE ? weft__await_short(a) : weft__await_end(a, deadline);
}

#endif
