/* Semaphore: units, taken in the order of asking. Everything is under its lock; any thread. Who stands in line is
 * served by whoever makes room, from the front, until one asks for more than there is. */
#include "sync/event.h"

#include <errno.h>
#include <string.h>

typedef struct semaphore {
    weft__guard lock;
    size_t value;
    weft__queue queue;
} semaphore;

_Static_assert(sizeof(semaphore) <= sizeof(weft_semaphore), "weft_semaphore has room for what it hides");

static semaphore *of(weft_semaphore *s) { return (semaphore *)(void *)s; }

/* Under the lock. */
static void serve(semaphore *s, weft__news *news)
{
    weft__node *n;
    while ((n = s->queue.first) && n->want <= s->value) {
        if (!weft__node_claim(n))
            continue;
        s->value -= n->want;
        weft__node_answer(n, 0, news);
    }
}

static void serve_now(semaphore *s, size_t back)
{
    weft__news news;
    weft__news_init(&news);
    weft__sync_lock(&s->lock);
    s->value += back;
    serve(s, &news);
    weft__sync_unlock(&s->lock);
    weft__news_tell(&news);
}

static int ready(weft__node *n)
{
    semaphore *s = n->object;
    return !s->queue.first && s->value >= n->want;
}

static int take(weft__node *n, weft__news *news)
{
    semaphore *s = n->object;
    (void)news;
    s->value -= n->want;
    n->answer = 0;
    return 1;
}

static void push(weft__node *n) { weft__queue_push(&((semaphore *)n->object)->queue, n); }
static void refuse(weft__node *n) { serve_now(n->object, n->want); }
static void left(weft__node *n) { serve_now(n->object, 0); } /* who stood behind may want less */

static const weft__node_kind kind = {ready, take, push, NULL, refuse, left, "units of a semaphore"};

void weft__semaphore_node(weft__node *n, weft_semaphore *opaque, size_t units)
{
    semaphore *s = of(opaque);
    n->lock = &s->lock;
    n->object = s;
    n->kind = &kind;
    n->want = units;
}

int weft_semaphore_init(weft_semaphore *s, size_t units)
{
    memset(s, 0, sizeof *s);
    of(s)->value = units;
    return 0;
}

int weft_semaphore_acquire(weft_semaphore *s, size_t units, int64_t deadline)
{
    weft__sync_used(s);
    weft__fiber *f;
    weft__node n;
    if (!units)
        return -EINVAL;
    int r = weft__sync_enter(&f, 1);
    if (r < 0)
        return r;
    weft__semaphore_node(&n, s, units);
    return weft__sync_call(&n, f, deadline);
}

int weft_semaphore_try(weft_semaphore *s, size_t units)
{
    weft__sync_used(s);
    weft__probe_self();
    weft__node n;
    weft__semaphore_node(&n, s, units);
    return units ? weft__sync_try(&n, weft__fiber_self()) : -EINVAL;
}

int weft_semaphore_release(weft_semaphore *opaque, size_t units)
{
    weft__sync_used(opaque);
    weft__probe_self();
    semaphore *s = of(opaque);
    weft__news news;
    weft__news_init(&news);
    weft__sync_lock(&s->lock);
    int fits = units <= SIZE_MAX - s->value;
    if (fits) {
        s->value += units;
        serve(s, &news);
    }
    weft__sync_unlock(&s->lock);
    weft__news_tell(&news);
    return fits ? 0 : -EOVERFLOW;
}

size_t weft_semaphore_value(weft_semaphore *opaque)
{
    weft__sync_used(opaque);
    weft__probe_self();
    semaphore *s = of(opaque);
    weft__sync_lock(&s->lock);
    size_t value = s->value;
    weft__sync_unlock(&s->lock);
    return value;
}
