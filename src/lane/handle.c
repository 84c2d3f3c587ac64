/* Descriptors as resources of a lane: handles, what they share, their close. Called on the owner lane's worker, but for
 * the steps of a close that run at the home port, which may be another thread's.
 *
 * A close is one request that travels to the port and comes back: no op, no memory beside the record. The descriptor's
 * record is free only after the port has forgotten it, so no op ever points at a record that means something else.
 *
 * Why a close that comes second is the last one: an id's ops and its close travel to the port in order, and a
 * handle sends its ops before it counts itself out. Who then finds itself last may run its close before those ops
 * have arrived, if it is at home there; they find a closed descriptor, which is still there because their
 * handle's own close has not come back. */
#include "lane/handle.h"

#include <errno.h>

#include "base/check.h"

weft_port *weft__handle_port(void) { return weft__worker_self()->port; }

void weft__handle_drop(weft_handle raw, enum weft__kind kind)
{
    weft_port *port = weft__handle_port();
    if (raw != WEFT_NOHANDLE && port->driver->close_handle)
        weft__count_close(weft__worker_self(), (enum weft_id_kind)kind, port->driver->close_handle(port, raw));
}

void weft__handle_init(weft__handle *h, weft_handle raw, enum weft_desc_kind kind)
{
    weft__worker *w = weft__worker_self();
    weft__desc_init(&h->own, raw, kind);
    h->desc = &h->own;
    h->port = w->rt->mode == WEFT_SINGLE_IO ? w->port : NULL;
    h->handles = h->users = 1;
    h->anchored = 0;
    h->busy = 0;
    h->closer = NULL;
    h->ended = NULL;
    h->over = NULL;
}

int weft__handle_make(const weft__resource_kind *type, weft_handle raw, enum weft_desc_kind kind, weft__handle **out)
{
    weft__resource *r;
    int result = weft__resource_make(type, &r);
    if (result < 0) {
        weft__handle_drop(raw, type->kind);
        return result;
    }
    weft__handle *h = weft__handle_of(r);
    weft__handle_init(h, raw, kind);
    *out = h;
    return 0;
}

int weft__handle_find(weft_id id, uint32_t kinds, weft__handle **out)
{
    weft__resource *r;
    int result = weft__resource_find(id, kinds, &r);
    if (result == 0)
        *out = weft__handle_of(r);
    return result;
}

/* ---- ops ---- */

/* What was closed while its op waited for room: the op has not been started, and its
 * descriptor may be another's by now. */
static int64_t too_late(void)
{
    weft__await_withdraw();
    return -ECANCELED;
}

int64_t weft__handle_await(weft__handle *h, weft_op *op, int64_t deadline)
{
    uint16_t gen = weft__handle_begin(h);
    op->through = h;
    int64_t r = weft__await_enter(deadline);
    if (r == 0)
        r = weft__handle_same(h, gen) ? weft__await_entered(h->port, op, deadline) : too_late();
    /* Where it arrived at its port after the close, the port says so. */
    return weft__handle_end(h, gen) || r != -EBADF ? r : -ECANCELED;
}

int64_t weft__handle_await_pair(weft__handle *h, weft__handle *h2, weft_op *op, int64_t deadline)
{
    uint16_t gen = weft__handle_begin(h), gen2 = weft__handle_begin(h2);
    op->through = h;
    op->through2 = h2;
    int64_t r = weft__await_enter(deadline);
    if (r == 0)
        r = weft__handle_same(h, gen) && weft__handle_same(h2, gen2) ? weft__await_entered(h->port ? h->port : h2->port, op, deadline)
                                                                     : too_late();
    int same = weft__handle_end(h, gen), same2 = weft__handle_end(h2, gen2);
    return (same && same2) || r != -EBADF ? r : -ECANCELED;
}

/* ---- sharing ---- */

static weft__worker *worker_of(const weft_port *port) { return port->owner.ctx; }

/* From here on the descriptor stays with the port of the calling worker, or where it is already, and may be used from
 * elsewhere: that worker does not leave before the descriptor is closed. */
static void anchor(weft__handle *h)
{
    if (h->port)
        return;
    weft__worker *w = weft__worker_self();
    weft__handle *host = weft__handle_host(h);
    if (!h->desc->port)
        h->desc->port = w->port;
    h->port = host->port = h->desc->port; /* alone until now: the host is this one, or has no id any more */
    host->anchored = 1;
    weft__add_relaxed(&w->load, 1, "handle.anchor");
}

/* It has no port but the owner's, and goes to that of the other. */
static int follow(weft__handle *h, const weft__handle *to)
{
    if (h->port || !to->port || weft__handle_pack(h) < 0)
        return -EXDEV;
    h->port = weft__handle_host(h)->port = to->port;
    weft__handle_host(h)->anchored = 1;
    weft__add_relaxed(&worker_of(to->port)->load, 1, "handle.follow");
    return 0;
}

int weft__handle_join(weft__handle *a, weft__handle *b)
{
    if (!a->res.lane->crew.mobile)
        return -EXDEV;
    return follow(a, b) == 0 ? 0 : follow(b, a);
}

/* One less; 1: it was the last. Nobody but holders raise a count, so a count of one is ours alone;
 * acquire, for what the others did. */
static int drop(uint32_t *count)
{
    if (weft__load_acquire(count, "handle.drop") == 1) {
        weft__store_relaxed(count, 0, "handle.drop");
        return 1;
    }
    return weft__sub_acq_rel(count, 1, "handle.drop") == 1;
}

int weft__handle_alone(const weft__handle *h)
{
    return weft__load_acquire(&weft__handle_host(h)->handles, "handle.alone") == 1;
}

void weft__handle_copy(weft__handle *fresh, const weft__handle *of, int shared)
{
    weft__handle *host = weft__handle_host(of);
    fresh->desc = of->desc;
    fresh->port = of->port;
    fresh->ended = of->ended;
    if (!shared)
        return;
    weft__add_relaxed(&host->handles, 1, "handle.share");
    weft__add_relaxed(&host->users, 1, "handle.share");
}

void weft__handle_replaced(weft__resource *r)
{
    if (weft__handle_host(weft__handle_of(r)) != weft__handle_of(r))
        weft__resource_free(r);
}

int weft_dup(weft_id id, weft_id *out)
{
    weft__resource *r, *fresh;
    int result = weft__resource_find(id, ~0u, &r);
    if (result < 0)
        return result;
    if (!out || !(WEFT__KINDS_HANDLE & WEFT__KIND_BIT(r->kind)))
        return -EINVAL;
    result = weft__resource_make(r->type, &fresh);
    if (result < 0)
        return result;
    anchor(weft__handle_of(r));
    r->type->copy(fresh, r, 1);
    *out = weft__resource_id(fresh);
    return 0;
}

int weft__handle_pack(weft__handle *h)
{
    if (h->busy || (!h->port && h->desc->flying))
        return -EBUSY;
    if (!h->port && h->desc->port)
        weft__desc_leave(h->desc->port, h->desc);
    return 0;
}

void weft__handles_leave(weft__lane *lane)
{
    weft__resources_arrive(lane);
    for (weft__link *l = lane->resources.next; l != &lane->resources; l = l->next) {
        weft__resource *r = weft__container(l, weft__resource, link);
        if (r->kind < WEFT__KINDS && WEFT__KINDS_HANDLE & WEFT__KIND_BIT(r->kind) && weft__handle_pack(weft__handle_of(r)) < 0)
            anchor(weft__handle_of(r));
    }
}

/* ---- closing ---- */

void weft__handle_gone(weft__handle *h)
{
    weft__handle *host = weft__handle_host(h);
    weft__lane *lane = h->res.lane;
    int last = drop(&host->users);
    if (h != host)
        weft__resource_free(&h->res);
    if (last) {
        if (host->anchored)
            weft__worker_unload(worker_of(host->port));
        if (host->over)
            host->over(host);
        weft__resource_free(&host->res);
    }
    weft__resource_settled(lane, 1);
}

static void ended(weft__handle *h)
{
    if (h->ended)
        h->ended(h);
    else
        weft__handle_gone(h);
}

static void run_ended(weft_task *t) { ended(weft__container(t, weft__handle, task)); }

/* Home port's thread. */
static void tell(weft__handle *h)
{
    if (h->closer == weft__worker_self()) {
        ended(h);
        return;
    }
    h->task.run = run_ended;
    weft__worker_send(h->closer, &h->task);
}

/* Home port's thread. */
static void on_closed(weft_desc *d, int result)
{
    weft__handle *h = d->owner;
    /* It is gone whatever close(2) says. */
    weft__count_close(weft__worker_self(), (enum weft_id_kind)h->res.kind, result);
    tell(h);
}

/* Home port's thread. */
static void close_here(weft_port *port, weft__handle *h)
{
    if (h->last) {
        h->desc->closed = on_closed;
        h->desc->owner = h;
        weft__desc_close(port, h->desc);
        return;
    }
    weft__desc_cancel_through(port, h->desc, h);
    tell(h);
}

static void run_close(weft_task *t)
{
    weft__handle *h = weft__container(t, weft__handle, task);
    close_here(h->port, h);
}

void weft__handle_close(weft__resource *r)
{
    weft__handle *h = weft__handle_of(r);
    weft__worker *w = weft__worker_self();
    weft_port *port = h->port ? h->port : w->port;
    h->closer = w;
    h->last = (uint8_t)drop(&weft__handle_host(h)->handles);
    if (w->owns_port && port == w->port) {
        close_here(port, h);
        return;
    }
    /* A cancel or an op of the same worker that was sent before reaches the port before this: one inbox, in order. */
    h->task.run = run_close;
    weft__port_send(port, &h->task);
}
