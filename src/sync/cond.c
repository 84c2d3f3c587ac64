/* Condition variables, and once. The queue is under the condition's lock; the mutex is taken and given by mutex.c.
 * Who was signalled and dies before it runs passes the signal on. */
#include <errno.h>
#include <string.h>

#include "fiber/contain.h"
#include "sync/mutex.h"

typedef struct cond {
    weft__guard lock;
    weft__queue queue;
} cond;

_Static_assert(sizeof(cond) <= sizeof(weft_cond), "weft_cond has room for what it hides");

static cond *of(weft_cond *c) { return (cond *)(void *)c; }

static int never(weft__node *n)
{
    (void)n;
    return 0;
}

static void push(weft__node *n) { weft__queue_push(&((cond *)n->object)->queue, n); }

/* How many were woken. */
static int wake(cond *c, int all)
{
    weft__news news;
    int n = 0;
    weft__news_init(&news);
    weft__sync_lock(&c->lock);
    while ((all || n == 0) && weft__queue_serve(&c->queue, 0, &news))
        n++;
    weft__sync_unlock(&c->lock);
    weft__news_tell(&news);
    return n;
}

static void refuse(weft__node *n) { wake(n->object, 0); }
static void pass_on(void *c) { wake(c, 0); }
static void keep(void *c) { (void)c; }

static const weft__node_kind kind = {never, NULL, push, NULL, refuse, NULL, "condition"};

static int stand_in_line(weft__node *n)
{
    weft__sync_lock(n->lock);
    int r = weft__node_push(n);
    weft__sync_unlock(n->lock);
    return r;
}

int weft_cond_wait(weft_cond *opaque, weft_mutex *mutex, int64_t deadline)
{
    weft__sync_used(opaque);
    cond *c = of(opaque);
    weft__mutex *m = weft__mutex_of(mutex);
    weft__fiber *f;
    int r = weft__sync_enter(&f, 0);
    if (r < 0)
        return r;
    if (!weft__mutex_owned(m, f))
        return -EPERM;
    if (weft__sync_late(f, deadline))
        return weft__refuse(f, -ETIMEDOUT);
    weft__node n = {.lock = &c->lock, .object = c, .kind = &kind};
    weft__waiter wt;
    weft__waiter_init(&wt, f, &n, 1);
    const char *site = weft__load_relaxed(&m->site, "cond.site");
    r = weft__node_enter(&n);
    if (r == 0)
        r = stand_in_line(&n);
    if (r < 0) {
        weft__waiter_leave(&wt);
        return r;
    }
    uint32_t depth = weft__mutex_drop(m); /* after it is queued: a signal given under the mutex finds us */
    r = weft__waiter_wait(&wt, deadline);
    if (r == 0)
        r = n.answer;
    /* Who is killed on the way back has not seen its signal. A stranger in a vat cannot pass it on: the condition
     * may be gone by then. */
    const weft__last_will will = {r == 0 && !n.stake.vat ? pass_on : keep, c};
    weft__waiter_leave(&wt);
    int back = weft__mutex_regain(m, f, depth, site, &will);
    return back < 0 ? back : r;
}

int weft_cond_signal(weft_cond *c)
{
    weft__sync_used(c);
    weft__probe_self();
    return weft__fiber_self() || weft__worker_self() ? wake(of(c), 0) : -EPERM;
}
int weft_cond_broadcast(weft_cond *c)
{
    weft__sync_used(c);
    weft__probe_self();
    return weft__fiber_self() || weft__worker_self() ? wake(of(c), 1) : -EPERM;
}

/* ---- once ---- */

static int run_it(weft_once *once, int (*fn)(void *arg), void *arg)
{
    int r = once->done ? 0 : fn(arg);
    if (r >= 0)
        weft__store_release(&once->done, 1, "once.done");
    int u = weft_mutex_unlock(&once->mutex);
    return r < 0 ? r : u;
}

int weft_once_run(weft_once *once, int (*fn)(void *arg), void *arg, int64_t deadline)
{
    weft__sync_used(once);
    weft__probe_more(1);
    weft__fiber *f;
    int r = weft__sync_enter(&f, 0);
    if (r < 0)
        return r;
    if (!fn)
        return -EINVAL;
    if (weft__load_acquire(&once->done, "once.look")) /* pairs with the release in run_it */
        return 0;
    r = weft_mutex_lock(&once->mutex, deadline);
    if (r == -EOWNERDEAD) /* who ran it died: it was not done */
        r = weft_mutex_consistent(&once->mutex);
    return r < 0 ? r : run_it(once, fn, arg);
}
