/* Waiting for objects and telling those who wait; see wait.h. A waiter is touched by its fiber's home
 * worker, or its thread; by others only between claiming it, under the lock of one of its objects, and
 * telling it. Any thread may tell. */
#include "sync/wait.h"

#include <errno.h>

#include "env/default.h"
#include "fiber/graph.h"
#include "sched/text.h"

int weft__sync_enter_slowly(weft__fiber *f, int threads)
{
    if (!f)
        return threads && !weft__worker_self() ? 0 : -EPERM;
    return weft__canceled(f) ? weft__refuse(f, -ECANCELED) : 0;
}

int weft__sync_late(const weft__fiber *f, int64_t deadline)
{
    if (deadline == WEFT_NEVER)
        return 0;
    if (f)
        return deadline <= f->home->now_ns;
    const weft_env *env = weft__default_env();
    return deadline <= env->now(env->self);
}

void weft__waiter_is_thread(weft__waiter *wt)
{
    wt->env = weft__default_env();
    wt->parker = (weft_parker){0};
}

/* ---- leaving ---- */

/* Out of its queue, if it is in one: 1. */
static int take_out(weft__node *n)
{
    weft__sync_lock(n->lock);
    int there = n->queue != NULL;
    if (there)
        weft__queue_remove(n);
    weft__sync_unlock(n->lock);
    if (there && n->kind->left)
        n->kind->left(n);
    return there;
}

void weft__waiter_unlink(weft__waiter *wt, unsigned but)
{
    for (unsigned i = 0; i < wt->count; i++)
        if (i != but && wt->nodes[i].lock)
            take_out(&wt->nodes[i]);
}

int weft__waiter_withdraw(weft__waiter *wt)
{
    if (wt->count == 1) {
        if (!take_out(wt->nodes)) /* one node is claimed by being taken out */
            return 0;
    } else {
        uint32_t none = 0;
        if (!weft__cas_acq_rel(&wt->claim, &none, WEFT__WAITER_GONE, "sync.withdraw")) /* pairs with weft__node_claim */
            return 0;
        weft__waiter_unlink(wt, WEFT__WAITER_GONE);
    }
    wt->withdrawn = 1;
    return 1;
}

/* Who claimed it is about to tell: a few instructions on another thread. */
static void await_told(weft__waiter *wt)
{
    while (!weft__load_acquire(&wt->done, "sync.told")) { /* pairs with the release in tell */
        const weft_env *env = wt->fiber->home->rt->env;
        if (env->relax)
            env->relax(env->self);
    }
}

static void give_up(weft__fiber *f, weft__waiter *wt)
{
    if (wt->withdrawn)
        return;
    if (wt->stubborn && !f->killed) {
        f->unwait = weft__waiter_give_up;
        return;
    }
    if (wt->stubborn && wt->will)
        wt->will->fn(wt->will->arg);
    if (weft__waiter_withdraw(wt)) {
        if (wt->leave)
            wt->leave(wt);
        return;
    }
    if (!f->killed) {
        /* It has been served and goes on to see it; should it be killed before, we are called again. */
        f->unwait = weft__waiter_give_up;
        return;
    }
    await_told(wt);
    unsigned won = weft__waiter_won(wt);
    if (wt->count > 1)
        weft__waiter_unlink(wt, won);
    if (wt->leave)
        wt->leave(wt);
    if (wt->nodes[won].kind->refuse)
        wt->nodes[won].kind->refuse(&wt->nodes[won]);
    wt->withdrawn = 1;
}

/* The wait of f ends by deadline, cancellation or death; the last may come after it was served. Home of f. */
void weft__waiter_give_up(weft__fiber *f)
{
    weft__waiter *wt = f->waits_on;
    if (f->killed && f->edge)
        weft__graph_remove(f->edge);
    give_up(f, wt);
    if (f->killed)
        weft__waiter_leave(wt);
}

/* ---- objects in vats ---- */

static uint32_t where_is(weft__guard *l)
{
    uint32_t where = weft__load_relaxed(&l->where, "sync.where"), found;
    if (where != WEFT__WHERE_UNKNOWN)
        return where;
    found = (uint32_t)weft__where(l);
    /* Another found the same, or it is dying. */
    return weft__cas_acq_rel(&l->where, &where, found, "sync.where") ? found : where;
}

/* The vat that a lock's object lies in, if f may outlive that; else NULL. */
static weft__vat *strange(weft__guard *l, const weft__fiber *f)
{
    uint32_t where = where_is(l);
    return where == WEFT__ELSEWHERE ? NULL : weft__vat_strange(l, (enum weft__where)where, f);
}

int weft__sync_hold_slowly(weft__guard *l, weft__stake *s, weft__fiber *f)
{
    weft__vat *v = strange(l, f);
    if (weft__load_relaxed(&l->where, "sync.hold") == WEFT__DYING)
        return -EOWNERDEAD;
    return v ? weft__stake_hold(s, v, f->crew) : 0;
}

weft__vat *weft__sync_around(weft__guard *l)
{
    weft__worker *w = weft__worker_self();
    return where_is(l) == WEFT__ELSEWHERE || !w ? NULL : weft__vat_around(w->rt, l);
}

/* From here on nobody stands in line there, and this one does not either. */
static void evict(weft__stake *s, void **told)
{
    weft__node *n = weft__container(s, weft__node, stake);
    weft__sync_lock(n->lock);
    weft__store_relaxed(&n->lock->where, WEFT__DYING, "sync.evict");
    if (n->queue && weft__node_claim(n)) {
        n->answer = weft__node_evicted(n);
        n->next = *told;
        *told = n;
    }
    weft__sync_unlock(n->lock);
}

static void tell_evicted(void *told) { weft__news_tell_all(told); }

int weft__node_enter_slowly(weft__node *n)
{
    weft__waiter *wt = n->waiter;
    static const weft__stake_hooks hooks = {evict, tell_evicted};
    weft__vat *v = strange(n->lock, wt->fiber);
    if (!wt->staked)
        for (unsigned i = 0; i < wt->count; i++)
            wt->nodes[i].stake.vat = NULL;
    wt->staked = 1;
    return v && weft__stake_wait(&n->stake, v, &hooks) < 0 ? weft__node_evicted(n) : 0;
}

void weft__waiter_leave_vats(weft__waiter *wt)
{
    for (unsigned i = 0; i < wt->count; i++)
        if (wt->nodes[i].stake.vat)
            weft__stake_leave(&wt->nodes[i].stake);
    wt->staked = 0;
}

/* ---- saying what for ---- */

/* Under its lock: a thread that has announced itself to nobody may serve it at this very moment. */
static int stands_in_line(const weft__node *n)
{
    if (!n->lock)
        return 0;
    weft__spin_lock(&n->lock->spin);
    int there = n->queue != NULL;
    weft__spin_unlock(&n->lock->spin);
    return there;
}

size_t weft__waiter_say(const weft__wait_on *on, char *buf, size_t size)
{
    const weft__waiter *wt = weft__container(on, const weft__waiter, on);
    /* A select has spare nodes: never just one. */
    size_t n = weft__format(buf, size, wt->count == 1 ? "waits for" : "selects among");
    unsigned named = 0;
    for (unsigned i = 0; i < wt->count; i++) {
        const weft__node *node = &wt->nodes[i];
        if (stands_in_line(node) && n < size)
            n += weft__format(buf + n, size - n, "%s %s (%p)", named++ ? "," : "", node->kind->what, node->object);
    }
    if (!named && n < size)
        n += weft__format(buf + n, size - n, " the end of others");
    return n;
}

/* ---- waiting ---- */

int weft__thread_waits(weft__waiter *wt, int64_t deadline)
{
    const weft_env *env = wt->env;
    while (!weft__load_acquire(&wt->done, "sync.thread")) { /* pairs with the release in tell */
        if (env->park(env->self, &wt->parker, deadline) == 0 && env->now(env->self) >= deadline && weft__waiter_withdraw(wt))
            return -ETIMEDOUT;
    }
    /* The teller still holds our parker; pairs with the release in tell_thread. */
    while (!weft__load_acquire(&wt->freed, "sync.freed"))
        if (env->relax)
            env->relax(env->self);
    return 0;
}

int weft__waiter_wait(weft__waiter *wt, int64_t deadline)
{
    int r = wt->fiber ? weft__fiber_waits(wt, deadline) : weft__thread_waits(wt, deadline);
    if (r == 0 && wt->count > 1)
        weft__waiter_unlink(wt, weft__waiter_won(wt));
    return r;
}

/* ---- telling ---- */

static void tell_thread(weft__waiter *wt)
{
    const weft_env *env = wt->env;
    weft__store_release(&wt->done, 1, "sync.tell");
    env->unpark(env->self, &wt->parker);
    weft__store_release(&wt->freed, 1, "sync.tell");
}

/* At home on another worker, or in another runtime: that stays until its worker has the message. */
static void tell_elsewhere(weft__waiter *wt, weft__worker *home, weft__worker *self)
{
    weft__fiber *f = wt->fiber;
    weft_runtime *rt = home->rt;
    weft_id id = {f->head.key, WEFT__NS(rt, WEFT__FIBER), WEFT__GEN(weft__load_relaxed(&f->head.word, "sync.id"))};
    int guest = !self || self->rt != rt;
    if (guest)
        weft__add_seq(&rt->guests, 1, "sync.guest");
    weft__store_release(&wt->done, 1, "sync.tell"); /* the waiter may be gone from here on */
    weft__fiber_signal(rt, id, WEFT__SIG_NUDGE);
    if (guest)
        weft__sub_seq(&rt->guests, 1, "sync.guest");
}

__attribute__((always_inline)) static inline void tell_all(weft__node *n, int ahead)
{
    weft__worker *self = weft__worker_self();
    while (n) {
        weft__node *next = n->next;
        weft__waiter *wt = n->waiter;
        if (!wt) { /* no waiter's: the object has something to do that its lock is no place for */
            n->kind->finish(n);
            n = next;
            continue;
        }
        weft__fiber *f = wt->fiber;
        weft__worker *home = f ? weft__load_acquire(&f->home, "sync.home") : NULL;
        if (!f) {
            tell_thread(wt);
        } else if (home != self) {
            tell_elsewhere(wt, weft__whither(home), self);
        } else {
            weft__store_relaxed(&wt->done, 1, "sync.tell");
            if (ahead && wt->count == 1)
                weft__fiber_nudge_ahead(f);
            else
                weft__fiber_nudge(f);
        }
        n = next;
    }
}

void weft__news_tell_all(weft__node *n) { tell_all(n, 0); }
void weft__news_tell_all_ahead(weft__node *n) { tell_all(n, 1); }

/* ---- whole calls ---- */

enum { STRANGE = 2 };

/* 1: it was served. 0: not, and with `wait` it stands in the queue now. STRANGE: it may have to enter a vat before. */
static int begin(weft__node *n, int wait)
{
    weft__news news;
    weft__news_init(&news);
    weft__sync_lock(n->lock);
    int served = 0;
    while (!served && n->kind->ready(n))
        served = n->kind->take(n, &news);
    if (!served && wait) {
        if (weft__is_elsewhere(n->lock))
            n->kind->push(n);
        else
            served = STRANGE;
    }
    weft__sync_unlock(n->lock);
    weft__news_tell(&news);
    return served;
}

static int conclude(weft__node *n)
{
    if (n->kind->finish)
        n->kind->finish(n);
    return n->answer;
}

/* The object may lie in a vat, and has nothing for us so far. */
int weft__sync_wait_in_vat(weft__waiter *wt, int64_t deadline)
{
    weft__node *n = wt->nodes;
    weft__news news;
    int r = weft__node_enter_slowly(n);
    if (r < 0) {
        weft__waiter_leave(wt);
        return r;
    }
    weft__news_init(&news);
    weft__sync_lock(n->lock);
    int served = 0;
    while (!served && n->kind->ready(n))
        served = n->kind->take(n, &news);
    if (!served)
        r = weft__node_push(n);
    weft__sync_unlock(n->lock);
    weft__news_tell(&news);
    if (!served && r == 0)
        r = weft__waiter_wait(wt, deadline);
    if (r == 0)
        r = conclude(n);
    weft__waiter_leave(wt);
    return r;
}

int weft__sync_call(weft__node *n, weft__fiber *f, int64_t deadline)
{
    weft__waiter wt;
    int late = weft__sync_late(f, deadline);
    weft__waiter_init(&wt, f, n, 1);
    int began = begin(n, !late);
    if (began == STRANGE)
        return weft__sync_wait_in_vat(&wt, deadline);
    if (began)
        return conclude(n);
    if (late)
        return weft__sync_refuse(f, -ETIMEDOUT);
    int r = weft__waiter_wait(&wt, deadline);
    return r < 0 ? r : conclude(n);
}

int weft__sync_try(weft__node *n, weft__fiber *f)
{
    weft__waiter wt;
    weft__waiter_init(&wt, f, n, 1);
    return begin(n, 0) ? conclude(n) : weft__sync_refuse(f, -EAGAIN);
}
