/* Strangers in a lane's memory; see stake.h. A vat's lists are under its `stakes.lock`, which any thread takes;
 * `clear` runs on the lane's worker. */
#include "lane/stake.h"

#include <errno.h>

#include "lane/estate.h"
#include "lane/realm.h"

int weft__vat_lenient;

/* ---- where objects lie ---- */

static weft__page *page_around(weft_runtime *rt, const void *p)
{
    weft__memory_realm *m = &weft__lanes_of(rt)->memory;
    weft__page *g = weft__depot_find(&m->pages, p);
    if (g)
        return g;
    weft__spin_lock(&m->kinds_lock);
    for (weft__link *l = m->kinds.next; l != &m->kinds && !g; l = l->next)
        g = weft__depot_find(&weft__container(l, weft__own_depot, link)->depot, p);
    weft__spin_unlock(&m->kinds_lock);
    return g;
}

/* Of a run only the first chunk has a header. */
static int has_header(const weft__page *g, const void *p) { return weft__page_chunk_of(g) == weft__page_chunk_of(p); }

__attribute__((no_sanitize("thread"))) static weft__vat *vat_of(const weft__page *g) { return g ? g->vat : NULL; }

/* Where most objects lie that are made again and again: the fiber's own stack, the first page of its lane's vat. */
static int is_near(const weft__fiber *f, const void *p, enum weft__where *out)
{
    if (!f)
        return 0;
    if (f->stack && (uintptr_t)p - (uintptr_t)f->stack->lo < f->stack->size) {
        *out = WEFT__ELSEWHERE;
        return 1;
    }
    const weft__vat *v = weft__lane_of(f->crew)->vat;
    if (!v || weft__vat_promised(v) || (uintptr_t)p - (uintptr_t)weft__page_start(v->first) >= weft__page_bytes(v->first))
        return 0;
    *out = WEFT__IN_PAGE;
    return 1;
}

enum weft__where weft__where(const void *p)
{
    weft__worker *w = weft__worker_self();
    enum weft__where near;
    if (!w)
        return WEFT__WHERE_UNKNOWN;
    if (is_near(w->running, p, &near))
        return near;
    const weft__page *g = page_around(w->rt, p);
    if (!vat_of(g))
        return WEFT__ELSEWHERE;
    return has_header(g, p) ? WEFT__IN_PAGE : WEFT__IN_RUN;
}

weft__vat *weft__vat_around(weft_runtime *rt, const void *p) { return vat_of(page_around(rt, p)); }

int weft__lane_outlives(const weft__lane *owner, const weft__lane *lane)
{
    const weft__lane *root = weft__lanes_of(lane->rt)->root;
    while (lane != owner && lane != root)
        lane = weft__load_relaxed(&lane->parent, "stake.parent");
    return lane == owner;
}

weft__vat *weft__vat_strange(const void *p, enum weft__where where, const weft__fiber *f)
{
    if (where != WEFT__IN_PAGE && (where != WEFT__IN_RUN || !f))
        return NULL;
    weft__vat *v = where == WEFT__IN_PAGE ? vat_of(weft__page_of(p)) : weft__vat_around(f->home->rt, p);
    return v && !(f && weft__lane_outlives(v->lane, weft__lane_of(f->crew))) ? v : NULL;
}

/* ---- lists; under the lock ---- */

static void link_in(weft__stake **list, weft__stake *s)
{
    s->next = *list;
    s->from = list;
    if (s->next)
        s->next->from = &s->next;
    *list = s;
}

static void link_out(weft__stake *s)
{
    if (s->next)
        s->next->from = s->from;
    *s->from = s->next;
}

/* ---- coming and going ---- */

static int enter(weft__stake *s, weft__vat *v, weft__stake **list)
{
    weft__spin_lock(&v->stakes.lock);
    int closed = v->stakes.closed;
    if (!closed) {
        weft__store_relaxed(&s->evicted, 0, "stake.enter");
        link_in(list, s);
        v->stakes.count++;
    }
    weft__spin_unlock(&v->stakes.lock);
    s->vat = closed ? NULL : v;
    return closed ? -EOWNERDEAD : 0;
}

int weft__stake_wait(weft__stake *s, weft__vat *v, const weft__stake_hooks *hooks)
{
    /* All write the same; read under the lock, which is taken next. */
    weft__store_relaxed(&v->stakes.hooks, hooks, "stake.hooks");
    return enter(s, v, &v->stakes.waits);
}

int weft__stake_hold(weft__stake *s, weft__vat *v, weft__crew *crew)
{
    s->crew = crew;
    return enter(s, v, &v->stakes.holds);
}

/* The vat is free to go, and its lane waits for that. */
static void tell_lane(weft__lane *lane)
{
    weft_runtime *rt = lane->rt;
    weft__worker *self = weft__worker_self();
    int guest = !self || self->rt != rt;
    if (guest)
        weft__add_seq(&rt->guests, 1, "stake.guest");
    weft__worker_send(weft__home_of(&lane->crew.home), &lane->end_message);
    if (guest)
        weft__sub_seq(&rt->guests, 1, "stake.guest");
}

void weft__stake_leave(weft__stake *s)
{
    weft__vat *v = s->vat;
    weft__lane *lane = NULL;
    weft__spin_lock(&v->stakes.lock);
    link_out(s);
    s->vat = NULL;
    if (--v->stakes.count == 0 && v->stakes.awaited)
        lane = v->lane;
    weft__spin_unlock(&v->stakes.lock);
    if (lane)
        tell_lane(lane);
}

void weft__stake_move(weft__stake *to, weft__stake *from)
{
    weft__vat *v = from->vat;
    weft__spin_lock(&v->stakes.lock);
    to->vat = v;
    to->crew = from->crew;
    weft__store_relaxed(&to->evicted, weft__load_relaxed(&from->evicted, "stake.move"), "stake.move");
    to->next = from->next;
    to->from = from->from;
    *to->from = to;
    if (to->next)
        to->next->from = &to->next;
    from->vat = NULL;
    weft__spin_unlock(&v->stakes.lock);
}

void weft__vat_keep(weft__vat *v, weft__kept *k, void (*end)(weft__kept *k))
{
    k->end = end;
    weft__spin_lock(&v->stakes.lock);
    link_in(&v->stakes.kept, &k->stake);
    weft__spin_unlock(&v->stakes.lock);
    k->stake.vat = v;
}

void weft__vat_unkeep(weft__kept *k)
{
    weft__vat *v = k->stake.vat;
    weft__spin_lock(&v->stakes.lock);
    link_out(&k->stake);
    weft__spin_unlock(&v->stakes.lock);
    k->stake.vat = NULL;
}

/* ---- the lane's end ---- */

/* Whoever waits is told, once; who holds is marked. */
static void evict(weft__vat *v)
{
    void *told = NULL;
    weft__spin_lock(&v->stakes.lock);
    const weft__stake_hooks *hooks = weft__load_relaxed(&v->stakes.hooks, "stake.evict");
    v->stakes.closed = 1;
    for (weft__stake *s = v->stakes.waits; s; s = s->next)
        hooks->evict(s, &told);
    for (weft__stake *s = v->stakes.holds; s; s = s->next)
        weft__store_release(&s->evicted, 1, "stake.evict"); /* pairs with the acquire in weft__held_evict */
    weft__spin_unlock(&v->stakes.lock);
    if (told)
        hooks->tell(told);
}

/* A lane that holds something there and has not been asked to let go, marked as one that has; 0: there is none.
 * A lane with a stake has a record. */
static int next_holder(weft__vat *v, weft_id *out)
{
    weft__stake *s;
    weft__spin_lock(&v->stakes.lock);
    for (s = v->stakes.holds; s && weft__load_relaxed(&s->evicted, "stake.holder") == 2; s = s->next)
        ;
    if (s) {
        weft__store_release(&s->evicted, 2, "stake.holder");
        *out = s->crew->id;
    }
    weft__spin_unlock(&v->stakes.lock);
    return s != NULL;
}

/* What was kept for the vat's sake ends with it. */
static void end_kept(weft__vat *v)
{
    for (weft__stake *s; (s = v->stakes.kept);) {
        link_out(s);
        weft__kept *k = weft__container(s, weft__kept, stake);
        k->end(k);
    }
}

/* 1: nobody is left. 0: the last one sends the lane its end message, if it is `awaited`. */
static int is_clear(weft__vat *v, int awaited)
{
    weft__spin_lock(&v->stakes.lock);
    int clear = v->stakes.count == 0;
    v->stakes.awaited = (uint8_t)(awaited && !clear);
    weft__spin_unlock(&v->stakes.lock);
    if (clear)
        end_kept(v);
    return clear;
}

static weft__vat *open_vat(const weft__lane *lane) { return lane->vat && !weft__vat_promised(lane->vat) ? lane->vat : NULL; }

void weft__vat_evict(weft__lane *lane)
{
    weft__vat *v = open_vat(lane);
    weft_id holder;
    if (!v || v->stakes.closed)
        return;
    evict(v);
    while (next_holder(v, &holder))
        weft__lane_signal(lane->rt, holder, WEFT__SIG_EVICT);
}

int weft__vat_clear(weft__lane *lane)
{
    weft__vat *v = open_vat(lane);
    weft__vat_evict(lane);
    return !v || is_clear(v, 1);
}

void weft__vat_clear_now(weft__lane *lane)
{
    weft__vat *v = open_vat(lane);
    const weft_env *env = lane->rt->env;
    if (!v)
        return;
    evict(v);
    while (!is_clear(v, 0)) /* threads that were told a moment ago */
        if (env->relax)
            env->relax(env->self);
}
