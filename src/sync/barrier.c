/* Barrier and latch: waiting for others to come, and for things to be over. Everything is under their locks. */
#include <errno.h>
#include <string.h>

#include "sync/event.h"

/* ---- barrier ---- */

typedef struct barrier {
    weft__guard lock;
    uint32_t parties;
    uint32_t waiting;        /* in the queue; more while somebody leaves it */
    weft__queue queue;
} barrier;

_Static_assert(sizeof(barrier) <= sizeof(weft_barrier), "weft_barrier has room for what it hides");

static barrier *barrier_of(weft_barrier *b) { return (barrier *)(void *)b; }

/* Those that left are in the queue no more. */
static int is_last(weft__node *n)
{
    const barrier *b = n->object;
    uint32_t here = 1;
    if (b->waiting + 1 < b->parties)
        return 0; /* mostly: no need to count them each time */
    for (const weft__node *w = b->queue.first; w && here < b->parties; w = w->next)
        here++;
    return here >= b->parties;
}

static int open_gate(weft__node *n, weft__news *news)
{
    barrier *b = n->object;
    while (weft__queue_serve(&b->queue, 0, news))
        b->waiting--;
    n->answer = 1;
    return 1;
}

static void come(weft__node *n)
{
    barrier *b = n->object;
    weft__queue_push(&b->queue, n);
    b->waiting++;
}

static void gone(weft__node *n)
{
    barrier *b = n->object;
    weft__sync_lock(&b->lock);
    b->waiting--;
    weft__sync_unlock(&b->lock);
}

static const weft__node_kind barrier_kind = {is_last, open_gate, come, NULL, NULL, gone, "the others at a barrier"};

int weft_barrier_init(weft_barrier *opaque, unsigned n)
{
    if (!n)
        return -EINVAL;
    memset(opaque, 0, sizeof *opaque);
    barrier_of(opaque)->parties = n;
    return 0;
}

int weft_barrier_wait(weft_barrier *opaque, int64_t deadline)
{
    weft__sync_used(opaque);
    barrier *b = barrier_of(opaque);
    weft__fiber *f;
    int r = weft__sync_enter(&f, 0);
    if (r < 0)
        return r;
    if (!b->parties)
        return -EINVAL;
    weft__node n = {.lock = &b->lock, .object = b, .kind = &barrier_kind};
    return weft__sync_call(&n, f, deadline);
}

/* ---- latch ---- */

typedef struct latch {
    weft__guard lock;
    size_t count;
    weft__queue queue;
} latch;

_Static_assert(sizeof(latch) <= sizeof(weft_latch), "weft_latch has room for what it hides");

static latch *latch_of(weft_latch *l) { return (latch *)(void *)l; }

static int is_over(weft__node *n) { return ((latch *)n->object)->count == 0; }

static int pass(weft__node *n, weft__news *news)
{
    (void)news;
    n->answer = 0;
    return 1;
}

static void stand(weft__node *n) { weft__queue_push(&((latch *)n->object)->queue, n); }

static const weft__node_kind latch_kind = {is_over, pass, stand, NULL, NULL, NULL, "latch"};

void weft__latch_node(weft__node *n, weft_latch *l)
{
    n->lock = &latch_of(l)->lock;
    n->object = latch_of(l);
    n->kind = &latch_kind;
}

int weft_latch_init(weft_latch *l, size_t count)
{
    memset(l, 0, sizeof *l);
    latch_of(l)->count = count;
    return 0;
}

int weft_latch_add(weft_latch *opaque, size_t n)
{
    weft__sync_used(opaque);
    weft__probe_self();
    latch *l = latch_of(opaque);
    weft__sync_lock(&l->lock);
    int fits = n <= SIZE_MAX - l->count;
    if (fits)
        l->count += n;
    weft__sync_unlock(&l->lock);
    return fits ? 0 : -EOVERFLOW;
}

int weft_latch_done(weft_latch *opaque, size_t n)
{
    weft__sync_used(opaque);
    weft__probe_self();
    latch *l = latch_of(opaque);
    weft__news news;
    weft__news_init(&news);
    weft__sync_lock(&l->lock);
    int fits = n <= l->count;
    if (fits)
        l->count -= n;
    while (l->count == 0 && weft__queue_serve(&l->queue, 0, &news))
        ;
    weft__sync_unlock(&l->lock);
    weft__news_tell(&news);
    return fits ? 0 : -EINVAL;
}

int weft_latch_wait(weft_latch *l, int64_t deadline)
{
    weft__sync_used(l);
    weft__fiber *f;
    weft__node n;
    int r = weft__sync_enter(&f, 1);
    if (r < 0)
        return r;
    weft__latch_node(&n, l);
    return weft__sync_call(&n, f, deadline);
}
