/* Descriptors: who counts them, what their close cancels, and when the kernel's close comes (DESIGN rule 6): with
 * the last handle and the last terminal completion, whichever is later. Home thread.
 *
 * Invariants: `ops` and `ops2` hold the ops in flight that nobody asked to end, `ending` and `ending2` the others.
 * `flying` counts them all, and holds. */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "port/desc.h"

void weft__desc_init(weft_desc *d, weft_handle h, enum weft_desc_kind kind)
{
    memset(d, 0, sizeof *d);
    d->handle = h;
    d->handles = 1;
    d->kind = (uint8_t)kind;
}

int weft__desc_adopt(weft_desc *d, weft_port *port)
{
    if (!d->port)
        d->port = port;
    return d->port == port ? 0 : -EXDEV;
}

/* As weft__ops_add and remove, by the other links. */
static void add2(weft_op **head, weft_op *op)
{
    op->desc2_next = *head;
    op->desc2_prev = head;
    if (op->desc2_next)
        op->desc2_next->desc2_prev = &op->desc2_next;
    *head = op;
}

static void remove2(weft_op *op)
{
    *op->desc2_prev = op->desc2_next;
    if (op->desc2_next)
        op->desc2_next->desc2_prev = op->desc2_prev;
}

static int usable(weft_desc *d, weft_port *port)
{
    if (d->closing || d->handles == 0 || d->handle == WEFT_NOHANDLE)
        return -EBADF;
    return weft__desc_adopt(d, port);
}

int weft__desc_pin(weft_port *port, weft_op *op)
{
    int r = op->desc ? usable(op->desc, port) : 0;
    if (r == 0 && op->desc2)
        r = usable(op->desc2, port);
    if (r < 0)
        return r;
    if (op->desc) {
        op->desc->flying++;
        weft__ops_add(&op->desc->ops, op);
        op->pinned |= 1;
    }
    if (op->desc2) {
        op->desc2->flying++;
        add2(&op->desc2->ops2, op);
        op->pinned |= 2;
    }
    return 0;
}

void weft__desc_unlist(weft_op *op)
{
    if (op->pinned & 1)
        weft__ops_remove(op);
    if (op->pinned & 2)
        remove2(op);
    op->pinned = 0;
}

void weft__desc_cancelled(weft_op *op)
{
    if (op->pinned & 1) {
        weft__ops_remove(op);
        weft__ops_add(&op->desc->ending, op);
    }
    if (op->pinned & 2) {
        remove2(op);
        add2(&op->desc2->ending2, op);
    }
}

/* The end of a descriptor: the kernel's close, then whoever waits for it. The record may be reused by `closed`. */
void weft__desc_end(weft_port *port, weft_desc *d)
{
    if (d->registered && port->driver->forget)
        port->driver->forget(port, d);
    d->registered = 0;
    int r = 0;
    if (d->handle != WEFT_NOHANDLE && port->driver->close_handle)
        r = port->driver->close_handle(port, d->handle);
    d->handle = WEFT_NOHANDLE;
    weft_op *waiting = d->closers;
    d->closers = NULL;
    if (d->closed)
        d->closed(d, r);
    while (waiting) {
        weft_op *op = waiting;
        waiting = op->wait_next;
        weft__port_finish(port, op, r);
    }
}

void weft__desc_hold(weft_desc *d) { d->flying++; }

void weft__desc_drop(weft_port *port, weft_desc *d) { weft__desc_let_go(port, d); }

void weft__desc_unpin(weft_port *port, weft_desc *d, weft_desc *d2)
{
    if (d)
        weft__desc_let_go(port, d);
    if (d2)
        weft__desc_let_go(port, d2);
}

/* Who watches it, through the given handle or any (NULL), watches it no more. */
static void dismiss(weft_port *port, weft_desc *d, const void *through)
{
    for (int i = 0; i < 2; i++) {
        weft_watcher *watcher = d->watcher[i];
        if (!watcher || (through && watcher->through != through))
            continue;
        watcher->desc = NULL;
        weft__desc_unwatch(port, d, i);
        watcher->told(watcher);
    }
}

/* Each cancel may end any number of ops, so the lists are read anew each time; a cancelled op leaves them, so it
 * ends. */
static void cancel_all(weft_port *port, weft_desc *d)
{
    dismiss(port, d, NULL);
    while (d->ops)
        weft__port_cancel(port, d->ops);
    while (d->ops2)
        weft__port_cancel(port, d->ops2);
}

/* As above: after each cancel the lists are another. A descriptor that has ended has none. */
void weft__desc_cancel_through(weft_port *port, weft_desc *d, const void *through)
{
    dismiss(port, d, through);
    if (!d->ops && !d->ops2)
        return;
    weft__desc_hold(d);
    for (weft_op *op = d->ops; op;) {
        int ours = op->through == through;
        if (ours)
            weft__port_cancel(port, op);
        op = ours ? d->ops : op->desc_next;
    }
    for (weft_op *op = d->ops2; op;) {
        int ours = op->through2 == through;
        if (ours)
            weft__port_cancel(port, op);
        op = ours ? d->ops2 : op->desc2_next;
    }
    weft__desc_drop(port, d);
}

void weft__desc_leave(weft_port *port, weft_desc *d)
{
    WEFT_ASSERT(!d->flying && !d->closing);
    if (d->registered && port->driver->forget)
        port->driver->forget(port, d);
    d->registered = 0;
    d->latch = 0;
    d->port = NULL;
}

void weft__desc_close(weft_port *port, weft_desc *d)
{
    WEFT_ASSERT(d->handles > 0);
    if (d->port)
        port = d->port;
    if (--d->handles)
        return;
    weft__desc_hold(d);
    d->closing = 1;
    cancel_all(port, d);
    weft__desc_drop(port, d);
}

void weft__desc_close_op(weft_port *port, weft_op *op)
{
    weft_desc *d = op->desc;
    if (d->handles == 0) {
        weft__port_finish(port, op, -EBADF);
        return;
    }
    if (d->port && d->port != port) {
        weft__port_finish(port, op, -EXDEV);
        return;
    }
    if (d->handles > 1) {
        d->handles--;
        weft__port_finish(port, op, 0);
        return;
    }
    op->wait_next = d->closers;
    d->closers = op;
    weft__desc_close(port, d);
}
