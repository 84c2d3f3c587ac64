/* Reading and writing through a handle, without an op where the port can do without: what a request costs is this, so the usual way through is
 * inline. transfer.c says how. */
#ifndef WEFT_LANE_TRANSFER_H
#define WEFT_LANE_TRANSFER_H

#include <errno.h>

#include "lane/handle.h"
#include "port/desc.h"

/* The other ways: after the handle's first use on this port, or with an op; after a wait. */
int64_t weft__transfer_otherwise(weft__handle *h, weft__fiber *f, enum weft_opcode code, void *buf, size_t len, int64_t deadline);
int64_t weft__transfer_later(weft__handle *h, weft__fiber *f, enum weft_opcode code, void *buf, size_t len, int64_t deadline);

static inline int weft__transfer_writes(enum weft_opcode code) { return code == WEFT_OP_SEND || code == WEFT_OP_WRITEV; }

/* RECV, SEND (buf, len), READV or WRITEV (vectors, their count) of the running fiber f; answers as weft__handle_await. */
static inline int64_t weft__transfer(weft__handle *h, weft__fiber *f, enum weft_opcode code, void *buf, size_t len, int64_t deadline)
{
    weft__worker *w = f->home;
    weft_port *port = w->port;
    weft_desc *d = h->desc;
    const int writes = weft__transfer_writes(code);
    if (!w->at_once || d->port != port || weft__desc_queued(d, writes) || !weft__fiber_free_to(f))
        return weft__transfer_otherwise(h, f, code, buf, len, deadline);
    if (!weft__desc_hopeful(d, writes))
        return weft__transfer_later(h, f, code, buf, len, deadline);
    int64_t r = port->driver->attempt(port, d, code, buf, len);
    if (r == -EAGAIN)
        return deadline > w->now_ns ? weft__transfer_later(h, f, code, buf, len, deadline) : weft__refuse(f, -ETIMEDOUT);
    weft__fiber_transferred(f);
    return r;
}

#endif
