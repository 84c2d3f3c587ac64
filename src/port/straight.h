/* The straight way of most ops: a RECV or SEND of some bytes on a stream, by a fiber, at the port of its own worker
 * (port->transfer). What the core does with any op is known for these, so it is inline here, in the driver's own
 * frames: weft__straight_begin is weft__op_io and weft__port_start up to the driver, weft__straight_end is
 * weft_port_complete. What they leave out: a worker's port always has room for a result, an op that another path refused
 * is no longer straight, and one without an origin is told by its own task. In between such an op is one like any other: it is in all books, and may be cancelled, refused,
 * started again and ended by the general ways. Home thread. */
#ifndef WEFT_PORT_STRAIGHT_H
#define WEFT_PORT_STRAIGHT_H

#include "base/atomic.h"
#include "port/desc.h"
#include "port/inflight.h"

/* The submitter has set task.run (which only makes somebody ready), key, submitter and through. The descriptor lives
 * here and is open. */
static inline void weft__straight_begin(weft_port *port, weft_op *op, enum weft_opcode code, weft_desc *d, void *buf, size_t len)
{
    op->code = (uint8_t)code;
    op->flags = 0;
    op->state = WEFT_OP_FLYING;
    op->path = WEFT_PATH_RING;
    op->cancelling = 0;
    op->attempts = 0;
    op->desc = d;
    op->desc2 = NULL;
    op->io.buf = buf;
    op->io.len = len;
    op->io.offset = -1;
    op->io.flags = 0;
    op->port = port;
    op->origin = NULL;
    op->link_prev = NULL;
    op->prompt = 1;
    op->early = 0;
    op->accepted = 1;
    op->pinned = 1;
    op->native = 0;
    port->flying++;
    d->flying++;
    weft__ops_add(&d->ops, op);
    weft__inflight_add(op);
}

/* It has done what it was to do, and no other way was tried before. */
static inline void weft__straight_end(weft_port *port, weft_op *op, int64_t result)
{
    weft_desc *d = op->desc;
    if (d->closing) { /* rare: it may be the descriptor's last */
        weft_port_complete(port, op, result);
        return;
    }
    weft__ops_remove(op);
    weft__inflight_remove(op);
    op->pinned = op->accepted = 0;
    op->result = result;
    op->state = WEFT_OP_DONE;
    port->flying--;
    d->flying--;
    weft__store_relaxed(&port->completed, port->completed + 1, "port_completed"); /* others read it */
    op->task.run(&op->task);
}

#endif
