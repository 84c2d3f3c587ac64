/* What every op does to its descriptor, inline: once a request each. The rest is in desc.c. Home thread. */
#ifndef WEFT_PORT_DESC_H
#define WEFT_PORT_DESC_H

#include "base/check.h"
#include "port/port.h"

/* Lists of ops by next and pointer to whoever points here: taking out needs no list. */
static inline void weft__ops_add(weft_op **head, weft_op *op)
{
    op->desc_next = *head;
    op->desc_prev = head;
    if (op->desc_next)
        op->desc_next->desc_prev = &op->desc_next;
    *head = op;
}

static inline void weft__ops_remove(weft_op *op)
{
    *op->desc_prev = op->desc_next;
    if (op->desc_next)
        op->desc_next->desc_prev = op->desc_prev;
}

/* Whether ops may be submitted on it, here. */
static inline int weft__desc_usable_here(const weft_desc *d, const weft_port *port)
{
    return d->port == port && d->handles > 0 && !d->closing && d->handle != WEFT_NOHANDLE;
}

/* Whether an attempt may be worth while in that direction: nothing is known, or there was news
 * since the last that found nothing. */
static inline int weft__desc_hopeful(const weft_desc *d, int writes)
{
    return !d->registered || d->latch & ((writes ? WEFT_WRITABLE : WEFT_READABLE) | WEFT_HANGUP);
}

/* Whether somebody waits in that direction: who comes now has to wait behind. */
static inline int weft__desc_queued(const weft_desc *d, int writes)
{
    return writes ? d->watcher[1] || d->write_head : d->watcher[0] || d->read_head;
}

/* Nobody may wait in that direction. 0, or the driver's error. */
static inline int weft__desc_watch(weft_port *port, weft_desc *d, int writes, weft_watcher *watcher)
{
    int r = d->registered ? 0 : port->driver->watch(port, d);
    if (r < 0)
        return r;
    d->watcher[writes] = watcher;
    port->watching++;
    return 0;
}

static inline void weft__desc_unwatch(weft_port *port, weft_desc *d, int writes)
{
    d->watcher[writes] = NULL;
    port->watching--;
    weft_op *next = writes ? d->write_head : d->read_head;
    if (next)
        port->driver->unwatched(port, next);
}

/* There is news in that direction: whoever watches it is told. Inside enter. */
static inline void weft__desc_tell(weft_port *port, const weft_desc *d, int writes)
{
    weft_watcher *watcher = d->watcher[writes];
    if (!watcher)
        return;
    port->told++;
    watcher->told(watcher);
}

/* The descriptor's last op and last handle are gone. */
void weft__desc_end(weft_port *port, weft_desc *d);

static inline void weft__desc_let_go(weft_port *port, weft_desc *d)
{
    WEFT_ASSERT(d->flying > 0);
    if (--d->flying == 0 && d->closing)
        weft__desc_end(port, d);
}

#endif
