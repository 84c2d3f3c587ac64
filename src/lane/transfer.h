/* Reading and writing through a handle, without an op where the port can do without: what a request costs is this, so
 * the usual ways through are inline. transfer.c says how. Owner lane's worker. */
#ifndef WEFT_LANE_TRANSFER_H
#define WEFT_LANE_TRANSFER_H

#include <errno.h>

#include "lane/handle.h"
#include "port/desc.h"

/* Who waits between two attempts; on the waiter's stack. */
typedef struct weft__lookout {
    weft_watcher watcher; /* `soon` is the fiber's `resume` */
#ifdef WEFT_CHECKED
    weft_op op; /* what would be in flight; a NOP once it is not */
#endif
} weft__lookout;

static inline int weft__transfer_writes(enum weft_opcode code) { return code == WEFT_OP_SEND || code == WEFT_OP_WRITEV; }

/* RECV, SEND (buf, len), READV or WRITEV (vectors, their count) of the running fiber f;
 * answers as weft__handle_await. */
int64_t weft__transfer(weft__handle *h, weft__fiber *f, enum weft_opcode code, void *buf, size_t len, int64_t deadline);
/* The same after weft__transfer_try. */
int64_t weft__transfer_later(weft__handle *h, weft__fiber *f, enum weft_opcode code, void *buf, size_t len, int64_t deadline);
/* The same after weft__transfer_watch, which refused. */
int64_t weft__transfer_unwatched(weft__handle *h, weft__fiber *f, enum weft_opcode code, void *buf, size_t len, int64_t deadline);

/* Can f try at once, with nobody before it, and nothing to ask first? */
static inline int weft__transfer_here(const weft__handle *h, const weft__fiber *f, int writes)
{
    const weft__worker *w = f->home;
    const weft_desc *d = h->desc;
    return w->at_once && d->port == w->port && !weft__desc_queued(d, writes) && weft__fiber_free_to(f);
}

/* Does a RECV or SEND (by code) of some bytes by f go by the ring of f's worker, with nobody to ask first? */
static inline int weft__transfer_by_ring(const weft__handle *h, const weft__fiber *f, enum weft_opcode code)
{
    const weft__worker *w = f->home;
    const weft_desc *d = h->desc;
    return w->by_ring && !f->mobile && d->port == w->port && d->kind == WEFT_DESC_STREAM &&
           w->port->plain[code] == WEFT_PATH_RING && weft__fiber_free_to(f);
}
/* Then: by the ring; and a SEND where the port says that it is a lone one. */
int64_t weft__transfer_ring(weft__handle *h, weft__fiber *f, enum weft_opcode code, void *buf, size_t len, int64_t deadline);
int64_t weft__transfer_past(weft__handle *h, weft__fiber *f, enum weft_opcode code, void *buf, size_t len, int64_t deadline);

/* One attempt, where it may; -EAGAIN: it was vain, or would have been.
 * A deadline that has passed tries once, whatever is known. */
static inline int64_t weft__transfer_try(const weft__handle *h, weft__fiber *f, enum weft_opcode code, void *buf, size_t len, int64_t deadline)
{
    weft_port *port = f->home->port;
    if (!weft__desc_hopeful(h->desc, weft__transfer_writes(code)) && deadline > f->home->now_ns)
        return -EAGAIN;
    int64_t r = port->driver->attempt(port, h->desc, code, buf, len);
    if (r != -EAGAIN)
        weft__fiber_transferred(f);
    return r;
}

/* ---- waiting: in the caller's own frame, as each return after a switch is predicted wrongly (weft__wait_here) ---- */

void weft__transfer_told(weft_watcher *watcher);
void weft__transfer_leave(weft__fiber *f);
int64_t weft__transfer_give_up(weft__handle *h, weft__fiber *f, uint16_t gen, int answer);
/* Memory that somebody waits to fill is not given back either (DESIGN section 7),
 * so a checked build knows it as if an op had it. */
#ifdef WEFT_CHECKED
void weft__transfer_take_off(weft__lookout *a, enum weft_opcode code, void *buf, size_t len);
void weft__transfer_land(weft__lookout *a);
#else
#define weft__transfer_take_off(a, code, buf, len) ((void)0)
#define weft__transfer_land(a) ((void)0)
#endif

/* Whether f may wait here without an op. 1: `a` watches the descriptor now, and weft__transfer_wait is next. */
static inline int weft__transfer_watch(weft__lookout *a, const weft__handle *h, weft__fiber *f, int writes, int64_t deadline)
{
    if (f->mobile || deadline <= f->home->now_ns || weft__desc_watch(f->home->port, h->desc, writes, &a->watcher) < 0)
        return 0;
    a->watcher.desc = h->desc;
    a->watcher.through = h;
    a->watcher.told = weft__transfer_told;
    a->watcher.soon = &f->resume;
    return 1;
}

/* What the attempt of who runs next begins with comes while this one works with what it has got. */
WEFT__HINT void weft__transfer_foresee(const weft__worker *w)
{
    const weft__fiber *next = weft__fiber_in(w->ready.head);
    if (!next || next->unwait != weft__transfer_leave)
        return;
    const weft__lookout *a = next->waits_on;
    weft__near(a->watcher.desc, 2);
}

/* Waits for news and tries again, until there is a result. */
static inline int64_t weft__transfer_wait(weft__lookout *a, weft__handle *h, weft__fiber *f, enum weft_opcode code, void *buf, size_t len,
                                          int64_t deadline)
{
    weft_port *port = f->home->port;
    weft_desc *d = h->desc;
    uint16_t gen = weft__handle_begin(h);
    weft__transfer_take_off(a, code, buf, len);
    f->waits_on = a;
    int64_t r;
    do {
        f->unwait = weft__transfer_leave;
        int answer = weft__wait_here(f, WEFT__WAIT_READY, deadline);
        f->unwait = NULL;
        if (answer < 0 || !a->watcher.desc) {
            weft__transfer_land(a);
            return weft__transfer_give_up(h, f, gen, answer);
        }
        /* The next call begins with these, and while the kernel copies they can come. */
        weft__near(&h->res, 1);
        weft__near(&f->crew->id, 1);
        r = port->driver->attempt(port, d, code, buf, len);
    } while (r == -EAGAIN);
    weft__transfer_land(a);
    weft__desc_unwatch(port, d, weft__transfer_writes(code));
    h->busy--;
    weft__count(&f->home->stats.transfers, 1);
    weft__transfer_foresee(f->home);
    return r;
}

#endif
