/* Reading and writing without an op: attempts in the fiber's own turn, and between two of them a wait for readiness, on ports whose driver tries
 * before it waits. Nothing is in flight then that could end late: who is cancelled, killed or out of time just leaves. Home-thread code; not for
 * fibers that may move, since who watches a descriptor lives where its port does. */
#include "fiber/transfer.h"

#include "port/desc.h"

/* On the waiter's stack. */
typedef struct waiter {
    weft_watcher watcher;
    weft_port *port;
    weft__fiber *fiber;
    int writes;
} waiter;

/* `unwait` stays set: should the fiber be killed before it runs, its place must be given up all the same. */
static void told(weft_watcher *watcher)
{
    weft__fiber *f = weft__container(watcher, waiter, watcher)->fiber;
    if (f->waiting != WEFT__WAIT_READY)
        return; /* it was told before, or has been woken for another reason */
    f->waiting = WEFT__WAIT_NONE;
    f->deadline = WEFT_NEVER;
    f->wake = 0;
    f->state = WEFT__READY;
    weft__worker_ready(f->home, &f->resume);
}

static void leave(weft__fiber *f)
{
    waiter *a = f->waits_on;
    if (a->watcher.desc)
        weft__desc_unwatch(a->port, a->watcher.desc, a->writes);
}

int64_t weft__transfer_wait(weft__fiber *f, const weft__transfer *t, const void *through, int64_t deadline)
{
    weft_port *port = f->home->port;
    waiter a = {{t->desc, through, told}, port, f, t->writes};
    if (weft__desc_watch(port, t->desc, t->writes, &a.watcher) < 0)
        return WEFT__TRANSFER_OP; /* its op says why */
    f->waits_on = &a;
    int64_t r;
    do {
        f->unwait = leave;
        int woken = weft__wait_here(f, WEFT__WAIT_READY, deadline);
        f->unwait = NULL;
        if (woken < 0)
            return woken == -ETIMEDOUT && weft__canceled(f) ? -ECANCELED : woken;
        if (!a.watcher.desc)
            return -ECANCELED; /* closed */
        r = port->driver->attempt(port, t->desc, t->code, t->buf, t->len);
    } while (r == -EAGAIN);
    weft__desc_unwatch(port, t->desc, t->writes);
    weft__count(&f->home->stats.transfers, 1);
    return r;
}
