/* Credits. Everything is under the lock; any thread. What was granted lies in `pending` until so little is under way
 * that the producer may go on. */
#include <errno.h>
#include <string.h>
#include <weft/broadcast.h>

#include "sync/wait.h"

typedef struct credit {
    weft__guard lock;
    size_t window, low;
    size_t available, pending; /* under way: window - available - pending */
    weft__queue queue;
} credit;

_Static_assert(sizeof(credit) <= sizeof(weft_credit), "weft_credit has room for what it hides");

static credit *of(weft_credit *c) { return (credit *)(void *)c; }
static size_t under_way(const credit *c) { return c->window - c->available - c->pending; }

/* Under the lock. */
static void serve(credit *c, weft__news *news)
{
    weft__node *n;
    if (under_way(c) <= c->low) {
        c->available += c->pending;
        c->pending = 0;
    }
    while ((n = c->queue.first) && n->want <= c->available)
        if (weft__node_claim(n)) {
            c->available -= n->want;
            weft__node_answer(n, 0, news);
        }
}

static void back(credit *c, size_t n)
{
    weft__news news;
    weft__news_init(&news);
    weft__sync_lock(&c->lock);
    c->pending += n;
    serve(c, &news);
    weft__sync_unlock(&c->lock);
    weft__news_tell(&news);
}

static int ready(weft__node *n)
{
    const credit *c = n->object;
    return !c->queue.first && n->want <= c->available;
}

static int take(weft__node *n, weft__news *news)
{
    credit *c = n->object;
    (void)news;
    c->available -= n->want;
    n->answer = 0;
    return 1;
}

static void push(weft__node *n)
{
    credit *c = n->object;
    weft__queue_push(&c->queue, n);
}

static void refuse(weft__node *n) { back(n->object, n->want); }
static void left(weft__node *n) { back(n->object, 0); }

static const weft__node_kind kind = {ready, take, push, NULL, refuse, left, "credit"};

int weft_credit_init(weft_credit *opaque, size_t window, size_t low_water)
{
    credit *c = of(opaque);
    if (!window || low_water >= window)
        return -EINVAL;
    memset(opaque, 0, sizeof *opaque);
    c->window = c->available = window;
    c->low = low_water;
    return 0;
}

int weft_credit_spend(weft_credit *opaque, size_t units, int64_t deadline)
{
    weft__sync_used(opaque);
    credit *c = of(opaque);
    weft__fiber *f;
    int r = weft__sync_enter(&f, 1);
    if (r < 0)
        return r;
    if (!units || units > c->window)
        return -EINVAL;
    weft__node n = {.lock = &c->lock, .object = c, .kind = &kind, .want = units};
    return weft__sync_call(&n, f, deadline);
}

int weft_credit_grant(weft_credit *opaque, size_t n)
{
    weft__sync_used(opaque);
    weft__probe_self();
    credit *c = of(opaque);
    weft__news news;
    weft__news_init(&news);
    weft__sync_lock(&c->lock);
    int fits = n <= under_way(c);
    if (fits) {
        c->pending += n;
        serve(c, &news);
    }
    weft__sync_unlock(&c->lock);
    weft__news_tell(&news);
    return fits ? 0 : -EINVAL;
}

size_t weft_credit_used(weft_credit *opaque)
{
    weft__sync_used(opaque);
    weft__probe_self();
    credit *c = of(opaque);
    weft__sync_lock(&c->lock);
    size_t n = under_way(c);
    weft__sync_unlock(&c->lock);
    return n;
}
