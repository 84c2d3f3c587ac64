/* Event: a flag to wait for. Everything is under its lock; any thread. While anybody stands in line the flag is
 * down. */
#include "sync/event.h"

#include <errno.h>
#include <string.h>

typedef struct event {
    weft__guard lock;
    uint8_t set, automatic;
    weft__queue queue;
} event;

_Static_assert(sizeof(event) <= sizeof(weft_event), "weft_event has room for what it hides");

static event *of(weft_event *e) { return (event *)(void *)e; }

static int ready(weft__node *n) { return ((event *)n->object)->set; }

static int take(weft__node *n, weft__news *news)
{
    event *e = n->object;
    (void)news;
    if (e->automatic)
        e->set = 0;
    n->answer = 0;
    return 1;
}

static void push(weft__node *n) { weft__queue_push(&((event *)n->object)->queue, n); }

/* How many were let through. */
static int raise(event *e)
{
    weft__news news;
    int n = 0;
    weft__news_init(&news);
    weft__sync_lock(&e->lock);
    while (weft__queue_serve(&e->queue, 0, &news)) {
        n++;
        if (e->automatic)
            break;
    }
    if (!e->automatic || n == 0)
        e->set = 1;
    weft__sync_unlock(&e->lock);
    weft__news_tell(&news);
    return n;
}

/* It was let through and died: the next one goes. */
static void refuse(weft__node *n)
{
    event *e = n->object;
    if (e->automatic)
        raise(e);
}

static const weft__node_kind kind = {ready, take, push, NULL, refuse, NULL, "event"};

void weft__event_node(weft__node *n, weft_event *opaque)
{
    event *e = of(opaque);
    n->lock = &e->lock;
    n->object = e;
    n->kind = &kind;
}

void weft__event_raise(weft_event *e) { raise(of(e)); }

int weft_event_init(weft_event *e, enum weft_event_kind how, int set)
{
    if (how != WEFT_EVENT_MANUAL && how != WEFT_EVENT_AUTO)
        return -EINVAL;
    memset(e, 0, sizeof *e);
    of(e)->automatic = how == WEFT_EVENT_AUTO;
    of(e)->set = set != 0;
    return 0;
}

int weft_event_wait(weft_event *e, int64_t deadline)
{
    weft__sync_used(e);
    weft__fiber *f;
    weft__node n;
    int r = weft__sync_enter(&f, 1);
    if (r < 0)
        return r;
    weft__event_node(&n, e);
    return weft__sync_call(&n, f, deadline);
}

int weft_event_set(weft_event *e)
{
    weft__sync_used(e);
    weft__probe_self();
    return raise(of(e));
}

int weft_event_reset(weft_event *opaque)
{
    weft__sync_used(opaque);
    weft__probe_self();
    event *e = of(opaque);
    weft__sync_lock(&e->lock);
    e->set = 0;
    weft__sync_unlock(&e->lock);
    return 0;
}

int weft_event_is_set(weft_event *opaque)
{
    weft__sync_used(opaque);
    weft__probe_self();
    event *e = of(opaque);
    weft__sync_lock(&e->lock);
    int set = e->set;
    weft__sync_unlock(&e->lock);
    return set;
}
