/* Futures: a result that is kept once. Everything is under the lock but a look at one that was kept; any thread. */
#include <errno.h>
#include <string.h>

#include "sync/channel.h"

typedef struct future {
    weft__guard lock;
    uint32_t kept; /* atomic: once set nothing changes any more */
    int result;
    void *value;
    weft__queue queue;
} future;

_Static_assert(sizeof(future) <= sizeof(weft_future), "weft_future has room for what it hides");

static future *of(weft_future *f) { return (future *)(void *)f; }

static int ready(weft__node *n) { return (int)weft__load_acquire(&((future *)n->object)->kept, "future.ready"); }

static int take(weft__node *n, weft__news *news)
{
    (void)news;
    n->answer = 0;
    return 1;
}

static void push(weft__node *n) { weft__queue_push(&((future *)n->object)->queue, n); }

static const weft__node_kind kind = {ready, take, push, NULL, NULL, NULL, "future"};

void weft__future_node(weft__node *n, weft_future *opaque)
{
    n->lock = &of(opaque)->lock;
    n->object = of(opaque);
    n->kind = &kind;
}

int weft_future_kept(weft_future *f)
{
    weft__sync_used(f);
    return (int)weft__load_acquire(&of(f)->kept, "future.kept");
}

int weft_future_keep(weft_future *opaque, int result, void *value)
{
    weft__sync_used(opaque);
    weft__probe_self();
    future *f = of(opaque);
    weft__news news;
    weft__news_init(&news);
    weft__sync_lock(&f->lock);
    int was = (int)f->kept;
    if (!was) {
        f->result = result;
        f->value = value;
        /* Pairs with the acquires of those who look without the lock. */
        weft__store_release(&f->kept, 1, "future.keep");
        while (weft__queue_serve(&f->queue, 0, &news))
            ;
    }
    weft__sync_unlock(&f->lock);
    weft__news_tell(&news);
    return was ? -EALREADY : 0;
}

int weft__future_read(weft_future *opaque, void **value)
{
    future *f = of(opaque);
    if (value)
        *value = f->value;
    return f->result;
}

int weft_future_wait(weft_future *opaque, void **value, int64_t deadline)
{
    weft__sync_used(opaque);
    weft__fiber *self;
    weft__node n;
    int r = weft__sync_enter(&self, 1);
    if (r < 0)
        return r;
    weft__future_node(&n, opaque);
    r = weft__sync_call(&n, self, deadline);
    return r < 0 ? r : weft__future_read(opaque, value);
}
