/* The way into a port for other threads, and the port's sleep. One FIFO takes submissions, cancels, buffer returns
 * and anything else, so that none overtakes another.
 *
 * No wake-up is lost. `sleeping` is changed by read-modify-writes only, so all changes have one order. The home thread
 * goes from AWAKE to SLEEPING before it waits, and puts AWAKE back after; a waker (weft__port_wake) puts WOKEN and
 * calls driver->wake if it took SLEEPING out.
 *   - The waker's exchange comes before the home thread's change to SLEEPING: that change fails on WOKEN, and home
 *     does not wait.
 *   - It comes between that change and the return to AWAKE: the waker calls driver->wake, which ends the wait or the
 *     next one.
 *   - It comes after the return to AWAKE: WOKEN stays there, and the next wait does not wait.
 * In each case home reads the word after the waker wrote it and before it waits again, and acquires by that what the
 * waker wrote before.
 *
 * Who sends something wakes only a port that sleeps, and leaves no mark on one that is awake: home looks at the inbox
 * once more after SLEEPING is set. The push, the sender's look at the word, the change to SLEEPING and that look at
 * the inbox are sequentially consistent: if the sender does not see SLEEPING, then its push comes before home's look.
 * A sender that does not find the inbox empty relies on the one that did, or on that look of home's. No system call
 * is made for a port that is awake. */
#include "base/list.h"
#include "base/check.h"
#include "port/bind.h"
#include "port/port.h"

void weft__port_wake(weft_port *port)
{
    if (weft__exchange_seq(&port->sleeping, (uint32_t)WEFT__PORT_WOKEN, "port_wake") == WEFT__PORT_SLEEPING)
        port->driver->wake(port);
}

void weft__port_send(weft_port *port, weft_task *req)
{
    /* Pairs with the look at the inbox in fall_asleep. */
    if (weft__inbox_push(&port->inbox, req, "port_send") && weft__load_seq(&port->sleeping, "port_send") == WEFT__PORT_SLEEPING)
        weft__port_wake(port);
}

static void run_start(weft_task *task)
{
    weft_op *op = weft__container(task, weft_op, task);
    op->task.run = op->after;
    weft__port_accept(op->port, op);
}

void weft__port_start_remote(weft_port *port, weft_op *op)
{
    weft__op_prepare(port, op);
    op->after = op->task.run;
    op->task.run = run_start;
    weft__port_send(port, &op->task);
}

static void run_cancel(weft_task *task)
{
    weft__cancel_request *req = weft__container(task, weft__cancel_request, task);
    weft_op *op = req->op;
    if (op->port)
        weft__port_cancel(op->port, op);
    if (req->done)
        req->done(req);
}

void weft__port_cancel_remote(weft_port *port, weft__cancel_request *req)
{
    req->task.run = run_cancel;
    weft__port_send(port, &req->task);
}

unsigned weft__inbox_run(weft_port *port)
{
    unsigned n = 0;
    for (weft_task *t = weft__inbox_drain(&port->inbox, "port_drain"); t; n++) {
        weft_task *next = t->next;
        t->run(t); /* the request's memory may be gone now */
        t = next;
    }
    return n;
}

/* Says that home is about to wait. 0: it may; 1: it must not, and is awake again. */
static int fall_asleep(weft_port *port)
{
    uint32_t expected = WEFT__PORT_AWAKE;
    if (weft__cas_seq(&port->sleeping, &expected, (uint32_t)WEFT__PORT_SLEEPING, "port_sleep") &&
        !weft__load_seq(&port->inbox, "port_recheck"))
        return 0;
    weft__exchange_seq(&port->sleeping, (uint32_t)WEFT__PORT_AWAKE, "port_stay");
    return 1;
}

/* Of what was sent to a port of one's own, something has ended in the inbox already: where calls are tried at once
 * replies do. Then there is something to take, and the kernel is not asked for more; but not twice in a row, for who
 * submits without end is to hear of others, too. Other drivers need the entry to hand over what was submitted. */
static int is_enough(weft_port *port, int ended)
{
    port->sated = port->at_once && ended && !port->sated;
    return port->sated;
}

void weft__port_enter(weft_port *port, int64_t deadline_ns)
{
    const void *tag = weft__thread_tag();
    if (weft__load_relaxed(&port->home, "port_home") != tag)
        weft__store_relaxed(&port->home, tag, "port_home"); /* no other thread ever stores this tag */
    /* Back from a doze; or woken before it could sleep: then this is the wait that does not wait, even if it was not
     * to wait anyhow. */
    if (weft__load_relaxed(&port->sleeping, "port_enter") != WEFT__PORT_AWAKE &&
        weft__exchange_seq(&port->sleeping, (uint32_t)WEFT__PORT_AWAKE, "port_undoze") == WEFT__PORT_WOKEN)
        deadline_ns = WEFT_NOW;
    const uint64_t before = weft__port_yielded(port);
    const int ran = weft__inbox_run(port) > 0, ended = weft__port_yielded(port) != before;
    /* What ran may have made work for our caller; to one who reaps, only results are that. */
    if (ended || (ran && !port->standalone))
        deadline_ns = WEFT_NOW;
    if (port->standalone && is_enough(port, ended))
        return;
    int waits = deadline_ns > WEFT_NOW && !fall_asleep(port);
    if (waits && deadline_ns == WEFT_NEVER && !port->flying && !port->watching && port->owner.still && port->owner.still(port->owner.ctx))
        deadline_ns = WEFT_NOW;
    weft__driver_enter(port, waits ? deadline_ns : WEFT_NOW);
    if (waits)
        weft__exchange_seq(&port->sleeping, (uint32_t)WEFT__PORT_AWAKE, "port_awake");
}

int weft__port_pending(weft_port *port)
{
    if (weft__load_acquire(&port->inbox, "port_pending"))
        return 1;
    if (weft__load_relaxed(&port->sleeping, "port_pending") == WEFT__PORT_WOKEN)
        return 1;
    return port->driver->pending ? port->driver->pending(port) : 0;
}

int weft__port_doze(weft_port *port)
{
    if (port->driver->pending && port->driver->pending(port))
        return 1;
    return fall_asleep(port);
}

/* A returned buffer's request lies in the buffer itself: nobody else uses it now. */
typedef struct buffer_return {
    weft_task task;
    weft_port *port;
    uint32_t bid;
} buffer_return;

static void give_back(weft_port *port, uint32_t bid)
{
    WEFT_ASSERT(port->lent > 0);
    port->lent--;
    port->driver->release(port, bid);
}

static void run_return(weft_task *task)
{
    buffer_return *back = weft__container(task, buffer_return, task);
    give_back(back->port, back->bid);
}

void weft_port_release(weft_buffer *buffer)
{
    weft_port *port = buffer->port;
    if (!buffer->data)
        return;
    weft__borrowed_returned(port, buffer->bid);
    if (weft__load_relaxed(&port->home, "port_release") == weft__thread_tag()) {
        give_back(port, buffer->bid);
    } else {
        /* The data begins where the port's memory for it begins, which is aligned and larger than this. */
        buffer_return *back = buffer->data;
        *back = (buffer_return){{NULL, run_return}, port, buffer->bid};
        weft__port_send(port, &back->task);
    }
    buffer->data = NULL;
}
