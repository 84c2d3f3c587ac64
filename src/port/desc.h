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

/* The descriptor's last op and last handle are gone. */
void weft__desc_end(weft_port *port, weft_desc *d);

static inline void weft__desc_let_go(weft_port *port, weft_desc *d)
{
    WEFT_ASSERT(d->flying > 0);
    if (--d->flying == 0 && d->closing)
        weft__desc_end(port, d);
}

#endif
