/* Descriptors as resources of a lane: their records, their close. Called on the owner lane's worker, but for the two
 * steps of a close that run at the home port, which in single-io mode is another thread's.
 *
 * A close is one request that travels to the port and comes back: no op, no memory beside the record. The record is
 * free only after the port has forgotten the descriptor, so no op ever points at a record that means something else. */
#include "lane/handle.h"

#include <errno.h>
#include <weft/net.h>

#include "base/check.h"

weft_port *weft__handle_port(void) { return weft__worker_self()->port; }

void weft__handle_drop(weft_handle raw)
{
    weft_port *port = weft__handle_port();
    if (raw != WEFT_NOHANDLE && port->driver->close_handle)
        port->driver->close_handle(port, raw);
}

void weft__handle_init(weft__handle *h, weft_handle raw, enum weft_desc_kind kind)
{
    weft__desc_init(&h->desc, raw, kind);
    h->closer = NULL;
    h->ended = NULL;
}

int weft__handle_make(const weft__resource_kind *type, weft_handle raw, enum weft_desc_kind kind, weft__handle **out)
{
    weft__resource *r;
    int result = weft__resource_make(type, &r);
    if (result < 0) {
        weft__handle_drop(raw);
        return result;
    }
    weft__handle *h = weft__container(r, weft__handle, res);
    weft__handle_init(h, raw, kind);
    *out = h;
    return 0;
}

int weft__handle_find(weft_id id, uint32_t kinds, weft__handle **out)
{
    weft__resource *r;
    int result = weft__resource_find(id, kinds, &r);
    if (result == 0)
        *out = weft__container(r, weft__handle, res);
    return result;
}

static void ended(weft__handle *h)
{
    if (h->ended)
        h->ended(h);
    else
        weft__resource_gone(&h->res);
}

static void run_ended(weft_task *t) { ended(weft__container(t, weft__handle, task)); }

/* Home port's thread. */
static void on_closed(weft_desc *d, int result)
{
    (void)result; /* nobody is left to be told, and the descriptor is gone whatever close(2) says */
    weft__handle *h = d->owner;
    if (h->closer->owns_port) {
        ended(h);
        return;
    }
    h->task.run = run_ended;
    weft__worker_send(h->closer, &h->task);
}

/* Home port's thread. */
static void run_close(weft_task *t)
{
    weft__handle *h = weft__container(t, weft__handle, task);
    weft__desc_close(h->closer->port, &h->desc);
}

void weft__handle_close(weft__resource *r)
{
    weft__handle *h = weft__container(r, weft__handle, res);
    weft__worker *w = weft__worker_self();
    h->closer = w;
    h->desc.closed = on_closed;
    h->desc.owner = h;
    if (w->owns_port) {
        weft__desc_close(w->port, &h->desc);
        return;
    }
    /* A cancel or an op of the same worker that was sent before reaches the port before this: one inbox, in order. */
    h->task.run = run_close;
    weft__port_send(w->port, &h->task);
}

int weft_close(weft_id id)
{
    weft__resource *r;
    int result = weft__resource_find(id, WEFT__KINDS_HANDLE, &r);
    if (result == 0)
        weft__resource_close(r);
    return result;
}
