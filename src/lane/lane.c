/* Lanes: records, birth, what travels between a lane and its family, cancelling and killing. Each function says whose
 * thread it runs on; "home" is the lane's worker. The end is end.c's, what is done to all children children.c's. */
#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "lane/account.h"
#include "lane/estate.h"
#include "lane/exit.h"
#include "lane/realm.h"
#include "lane/vat.h"

weft__lane *weft__lane_self(void)
{
    weft__fiber *f = weft__fiber_self();
    return f ? weft__lane_of(f->crew) : NULL;
}

weft_id weft__lane_id(weft__lane *lane)
{
    if (!weft__load_relaxed(&lane->crew.seen, "lane.id")) /* others look: its parent, its children */
        weft__store_relaxed(&lane->crew.seen, 1, "lane.id");
    return lane->crew.id;
}

/* ---- birth ---- */

static void born(weft_task *t);

static void *take_record(weft_runtime *rt)
{
    weft__lane_pools *here = weft__lane_pools_here(rt);
    return here ? weft__slab_get(&here->lanes) : weft__slab_get_shared(&weft__lanes_of(rt)->lanes);
}

/* One lane less at home on `home`. A host's thread that is to leave may sleep until this:
 * it is woken, and waits for us before it goes. */
void weft__worker_unload(weft__worker *home)
{
    weft_runtime *rt = home->rt;
    if (!home->host || home == weft__worker_self()) {
        /* Its own last lane: it goes when it comes out of its tick, which must not sleep at its end. */
        if (weft__sub_acq_rel(&home->load, 1, "lane.load") == 1 && home->host && weft__load_relaxed(&home->retiring, "lane.load"))
            weft__worker_wake(home);
        return;
    }
    /* Before the last lane is gone; pairs with the wait in weft__worker_retire. */
    weft__add_seq(&rt->guests, 1, "lane.unload");
    if (weft__sub_seq(&home->load, 1, "lane.unload") == 1 && weft__load_seq(&home->retiring, "lane.unload"))
        weft__worker_wake(home);
    weft__sub_seq(&rt->guests, 1, "lane.unloaded");
}

static void free_record(weft__lane *lane)
{
    weft_runtime *rt = lane->rt;
    weft__lane_pools *here = weft__lane_pools_here(rt);
    if (lane->crew.home) /* not before: a message to the record goes to its home, which may leave once its load is 0 */
        weft__worker_unload(lane->crew.home);
    weft__sub_acq_rel(&weft__lanes_of(rt)->alive, 1, "lane.gone");
    if (here)
        weft__slab_put(&here->lanes, lane);
    else
        weft__slab_put_shared(&weft__lanes_of(rt)->lanes, lane);
}

void weft__lane_fill(weft__lane *lane, weft_runtime *rt, weft__lane *parent, const weft_lane_options *opt, const char *name,
                     const char *site)
{
    weft__crew_init(&lane->crew, NULL);
    lane->crew.containable = opt && opt->containable;
    lane->crew.joinable = opt && !opt->detached;
    lane->crew.mobile = ((opt && opt->mobile) || (rt->scatter && weft__lanes_of(rt)->root)) && weft__lanes_move(rt);
    lane->maker = 0;
    lane->crew.name = opt && opt->name ? opt->name : name;
    lane->crew.site = site;
    lane->crew.id =
        (weft_id){lane->head.key, WEFT__NS(rt, WEFT__LANE), WEFT__GEN(weft__load_relaxed(&lane->head.word, "lane.make"))};
    lane->rt = rt;
    lane->head.message.run = born;
    weft__store_relaxed(&lane->parent, parent ? parent : weft__lanes_of(rt)->root, "lane.make");
    lane->joiner = NULL;
    weft__link_init(&lane->resources);
    weft__link_init(&lane->children);
    weft__link_init(&lane->siblings);
    lane->arrivals = NULL;
    lane->closing = 0;
    lane->vat = weft__vat_promise(opt ? opt->vat : NULL);
    weft__store_relaxed(&lane->annex, NULL, "lane.make");
    /* From here on others find it, by its id. */
    weft__store_release(&lane->mail, weft__open_mark(lane->crew.id.gen), "lane.make");
    weft__store_release(&lane->ties, weft__open_mark(lane->crew.id.gen), "lane.make");
    lane->result = -ECANCELED;
    lane->why = WEFT__EXIT_NONE;
    lane->cause = WEFT_NOID;
    lane->borrows = 0;
    lane->late = lane->family = lane->expired = lane->held = lane->disowned = 0;
    lane->told = lane->forgotten = lane->quiet = 0;
    lane->supervised = WEFT__NOT_SUPERVISED;
    lane->watched = lane->barren = lane->asked = lane->round = lane->telling = 0;
    lane->touring = lane->again = lane->shutting = lane->chores = lane->asking = 0;
    weft__store_relaxed(&lane->tends, 0, "lane.make");
    weft__lane_enter(lane, WEFT__LANE_NEWBORN);
    lane->main = NULL;
    lane->detached = (uint8_t)(opt && opt->detached);
    weft__store_relaxed(&lane->refs, 1, "lane.make");
    weft__store_release(&lane->accepting, 1, "lane.make"); /* pairs with the acquire of whoever gives it something */
    weft__slab_begin(&lane->head);
}

/* What it brings along, and the records that its options ask for. */
static int furnish(weft__lane *lane, int (*fn)(void *), void *arg, const weft_lane_options *opt)
{
    const weft_limits *limits = opt ? opt->limits : NULL;
    weft__annex *annex = NULL;
    int bounded = opt && opt->deadline && opt->deadline != WEFT_NEVER;
    lane->newborn = weft__newborn_make(lane->rt, fn, arg, opt ? opt->copy : 0);
    int r = weft__account_open(lane, opt);
    if (r < 0 || !lane->newborn)
        return r < 0 ? r : -ENOMEM;
    lane->newborn->stack_size = opt ? opt->stack_size : 0;
    if (bounded || lane->crew.mobile || (limits && (limits->messages || limits->message_bytes))) {
        annex = weft__lane_annex(lane);
        if (!annex)
            return -ENOMEM;
        annex->timer.deadline_ns = bounded ? opt->deadline : 0;
    }
    if (annex && limits) {
        size_t bytes = limits->message_bytes;
        weft__store_relaxed(&annex->mail_messages, limits->messages, "lane.make");
        weft__store_relaxed(&annex->mail_bytes, bytes < UINT32_MAX ? (uint32_t)bytes : UINT32_MAX, "lane.make");
    }
    return 0;
}

/* What of it a lane that is not to be born has. */
static void unfurnish(weft__lane *lane)
{
    if (lane->newborn)
        weft__newborn_free(lane->rt, lane->newborn);
    lane->newborn = NULL;
    weft__lane_annex_drop(lane);
}

int weft__lane_make(weft_runtime *rt, weft__lane *parent, int (*fn)(void *), void *arg, const weft_lane_options *opt, const char *name,
                    const char *site, weft__lane **out)
{
    weft__lane_realm *realm = rt->lanes;
    size_t copy = opt ? opt->copy : 0;
    if (!fn || copy > WEFT_LANE_COPY_MAX || (copy && !arg) || (opt && opt->stack_size && opt->stack_size < WEFT_STACK_MIN))
        return -EINVAL;
    weft__lane *above = parent ? parent : realm->root;
    int r = weft__vat_kind_check(rt, opt ? opt->vat : NULL);
    if (r < 0)
        return r;
    r = weft__account_admit(above, opt);
    if (r < 0)
        return r;
    weft__add_acq_rel(&realm->alive, 1, "lane.make");
    weft__lane *lane = take_record(rt);
    if (!lane) {
        weft__sub_acq_rel(&realm->alive, 1, "lane.make");
        weft__account_expel(above);
        return -ENOMEM;
    }
    weft__lane_fill(lane, rt, parent, opt, name, site);
    r = furnish(lane, fn, arg, opt);
    if (r == 0)
        r = weft__lane_join_family(above, lane);
    if (r < 0) {
        weft__account_bury(lane);
        weft__account_leave(above);
        unfurnish(lane);
        free_record(lane);
        return r;
    }
    *out = lane;
    return 0;
}

/* A newborn that was sent takes its turn: it may run for long, and a port's inbox is no place for that. */
static void arrived(weft_task *t)
{
    weft__worker *w = weft__worker_self();
    t->run = born;
    weft__count(&w->stats.lanes_placed, 1);
    weft__worker_ready(w, t);
}

void weft__lane_start(weft__lane *lane, weft__worker *at)
{
    weft_runtime *rt = lane->rt;
    weft__worker *w = weft__worker_self();
    if (w && w->rt != rt)
        w = NULL;
    if (!at)
        at = weft__place_lane(rt, w);
    if (at && at != w) {
        lane->head.message.run = arrived;
        if (weft__worker_place(at, &lane->head.message))
            return;
        lane->head.message.run = born;
    }
    lane->maker = w ? (uint8_t)(w->index + 1) : 0;
    if (at == w && w)
        weft__worker_ready(w, &lane->head.message);
    else if (w)
        weft__worker_offer(w, &lane->head.message);
    else
        weft__inject(rt, &lane->head.message);
}

/* One connection more to come to that worker, until it is born, there or elsewhere. */
static void count_coming(weft__lane *lane, weft__worker *at, int movable)
{
    lane->maker = (uint8_t)(WEFT__COMING | (at->index + 1));
    lane->loose = movable ? 1 : 0;
    weft__add_relaxed(&at->coming, movable ? 1 + WEFT__LOOSE : 1, "lane.coming");
}

/* Any worker. The record of the one that counts it stays, though its thread may have left. */
static void uncount_coming(const weft__lane *lane)
{
    unsigned at = (lane->maker & ~(unsigned)WEFT__COMING) - 1;
    weft__worker *v = weft__load_acquire(&lane->rt->worker[at], "lane.come");
    weft__sub_acq_rel(&v->coming, lane->loose ? 1 + WEFT__LOOSE : 1, "lane.come");
}

void weft__lane_start_connection(weft__lane *lane)
{
    weft__worker *w = weft__worker_self();
    int movable;
    weft__worker *at = weft__place_connection(w, &movable);
    if (!at) {
        weft__lane_start(lane, NULL);
        return;
    }
    count_coming(lane, at, movable);
    if (at != w) {
        lane->head.message.run = arrived;
        if (weft__worker_place(at, &lane->head.message))
            return;
        lane->head.message.run = born;
        uncount_coming(lane);
        count_coming(lane, w, 0);
    }
    if (movable)
        weft__worker_offer(w, &lane->head.message);
    else
        weft__worker_ready(w, &lane->head.message);
}

/* Born elsewhere than where it was queued; or a connection, of which one less is to come. */
static void note_origin(const weft__lane *lane, weft__worker *w)
{
    if (lane->maker & WEFT__COMING)
        uncount_coming(lane);
    if ((lane->maker & ~(unsigned)WEFT__COMING) != w->index + 1)
        weft__count(&w->stats.lanes_stolen, 1);
}

/* Lets messages in, and takes what was asked of the lane before. Pairs with the CAS in signal_record,
 * which sends none until it sees BORN. */
static uint32_t open_ears(weft__lane *lane)
{
    uint32_t word = weft__load_acquire(&lane->head.word, "lane.born"), next;
    do
        next = (word & (~(uint32_t)0xffff | WEFT__LIVE)) | WEFT__SIG_BORN;
    while (!weft__cas_acq_rel(&lane->head.word, &word, next, "lane.born"));
    return word & (WEFT__SIG_CANCEL | WEFT__SIG_KILL | WEFT__SIG_FAMILY | WEFT__SIG_LINK);
}

static void deadline_passed(weft__timer *t)
{
    weft__lane *lane = weft__container(t, weft__annex, timer)->lane;
    weft__exit_expired(lane);
    weft__lane_apply(lane, WEFT__SIG_CANCEL);
}

/* The lane's first task, on the worker that will be its home. */
static void born(weft_task *t)
{
    weft__lane *lane = weft__container(t, weft__lane, head.message);
    weft__worker *w = weft__worker_self();
    weft__newborn *b = lane->newborn;
    weft_spawn_options opt = {.stack_size = b->stack_size, .detached = 1};
    weft__fiber *f = NULL;
    lane->main = NULL;
    weft__lane_settle_at(lane, w);
    /* Here and not where it was made: that may have been a thread without figures. */
    weft__count(&w->stats.lanes_spawned, 1);
    if (lane->maker != w->index + 1 && lane->maker)
        note_origin(lane, w);
    uint32_t flags = open_ears(lane);
    int r = flags & WEFT__SIG_KILL ? -ECANCELED : 0;
    if (r == 0)
        r = weft__fiber_make_of(&lane->crew, b, &opt, lane->crew.name, lane->crew.site, &f);
    if (r < 0) {
        weft__newborn_free(lane->rt, b);
        if (flags & WEFT__SIG_KILL)
            weft__lane_heed(lane, flags);
        else
            weft__exit_note(lane, WEFT_EXIT_LIMIT, r, WEFT_NOID);
        /* That others gave it. */
        weft__lane_tell_children(lane, flags & WEFT__SIG_KILL ? WEFT__SIG_KILL : WEFT__SIG_CANCEL);
        weft__lane_emptied(&lane->crew);
        return;
    }
    /* Pairs with the acquire of those who follow a join of the lane. */
    weft__store_release(&lane->main, f, "lane.main");
    weft__lane_apply(lane, flags);
    weft__annex *annex = lane->annex;
    if (annex && annex->timer.deadline_ns) {
        annex->timer.fire = deadline_passed;
        weft__timer_arm(w, &annex->timer, annex->timer.deadline_ns);
    }
    if (lane->crew.mobile)
        weft__lane_roams(lane, 1);
    weft__fiber_begin(w, f);
}

void weft__lane_settle_at(weft__lane *lane, weft__worker *home)
{
    /* Pairs with weft__lane_finish of a child, for the root's sake. */
    weft__store_release(&lane->crew.home, home, "lane.home");
    lane->head.message.run = weft__lane_message;
    /* It has a main fiber or none, and no newborn's record: see its joins. */
    weft__store_release(&lane->phase, WEFT__LANE_ALIVE, "lane.born");
    weft__add_relaxed(&home->load, 1, "lane.load");
}

void weft__lane_abandon(weft__lane *lane)
{
    weft__worker *w = weft__worker_self();
    weft__newborn_free(lane->rt, lane->newborn);
    lane->main = NULL;
    weft__count(&w->stats.lanes_spawned, 1);
    weft__lane_settle_at(lane, w);
    open_ears(lane);
    weft__lane_emptied(&lane->crew);
}

/* ---- leaving the family ---- */

/* Strikes the lane off its parent's books and frees its record. Any worker. */
void weft__lane_leave(weft__lane *lane)
{
    weft__lane *parent = lane->parent;
    weft_runtime *rt = lane->rt;
    weft__slab *slab = &weft__lanes_of(rt)->lanes;
    weft__spin_lock(&parent->lock);
    weft__link_remove(&lane->siblings);
    weft__spin_unlock(&parent->lock);
    weft__account_bury(lane);
    weft__account_leave(parent);
    weft__lane_annex_drop(lane);
    /* A message under way still carries the record: then its arrival frees it, unless it has
     * arrived between these two steps. */
    if (!(weft__slab_end(slab, lane, weft__load_relaxed(&lane->crew.seen, "lane.leave")) & WEFT__SIG_PENDING) ||
        !(weft__or_seq(&lane->head.word, WEFT__SIG_GONE, "lane.gone") & WEFT__SIG_PENDING))
        free_record(lane);
    if (weft__sub_acq_rel(&parent->refs, 1, "lane.leave") == 1) { /* it was waiting for its last child only */
        parent->end_message.run = weft__lane_childless_task;
        weft__worker_send(parent->crew.home, &parent->end_message);
    } else if (parent == weft__lanes_of(rt)->root) {
        weft__realm_announce(rt);
    }
}

/* ---- signals ---- */

void weft__lane_signal_record(weft__lane *lane, uint32_t flags)
{
    uint32_t word = weft__load_acquire(&lane->head.word, "lane.signal"), next;
    do
        next = word | flags | (word & WEFT__SIG_BORN ? (uint32_t)WEFT__SIG_PENDING : 0);
    while (!weft__cas_acq_rel(&lane->head.word, &word, next, "lane.signal"));
    if ((word & WEFT__SIG_BORN) && !(word & WEFT__SIG_PENDING))
        weft__worker_send(weft__home_of(&lane->crew.home), &lane->head.message);
}

int weft__lane_signal(weft_runtime *rt, weft_id id, uint32_t flags)
{
    if (id.ns != WEFT__NS(rt, WEFT__LANE))
        return weft__id_refused(rt, id);
    weft__lane *lane = weft__slab_at(&weft__lanes_of(rt)->lanes, id.key);
    if (!lane)
        return -ESRCH;
    uint32_t word = weft__load_acquire(&lane->head.word, "lane.signal"), next;
    do {
        if (!weft__slab_is(word, id.gen) || weft__load_relaxed(&lane->phase, "lane.signal") == WEFT__LANE_ENDED)
            return -ESRCH; /* ended, and perhaps not yet joined */
        next = word | flags | (word & WEFT__SIG_BORN ? (uint32_t)WEFT__SIG_PENDING : 0);
    } while (!weft__cas_acq_rel(&lane->head.word, &word, next, "lane.signal"));
    if ((word & WEFT__SIG_BORN) && !(word & WEFT__SIG_PENDING)) /* from here on pending keeps the record */
        weft__worker_send(weft__home_of(&lane->crew.home), &lane->head.message);
    return 0;
}

void weft__lane_message(weft_task *t)
{
    weft__lane *lane = weft__container(t, weft__lane, head.message);
    weft_runtime *rt = lane->rt;
    /* Before PENDING is cleared: from then on the record of an ended lane may be used again. */
    int ended = weft__load_acquire(&lane->phase, "lane.message") == WEFT__LANE_ENDED;
    /* What is left to do for an ended one, any worker does. */
    if (!ended && lane->crew.mobile && weft__sent_on(&lane->crew.home, t))
        return;
    uint32_t flags = weft__and_seq(&lane->head.word, ~(uint32_t)0xffff | WEFT__SIG_BORN | WEFT__LIVE, "lane.message");
    if (flags & WEFT__SIG_GONE) {
        free_record(lane);
        weft__realm_announce(rt); /* the last lane, perhaps, and it had not been counted out when its parent was told */
    } else if (!ended) {
        if (flags & WEFT__SIG_EVICT)
            weft__held_evict(&lane->crew);
        weft__lane_apply(lane, flags & (WEFT__SIG_CANCEL | WEFT__SIG_KILL | WEFT__SIG_FAMILY | WEFT__SIG_LINK));
    }
}

int weft__lane_hold(weft__lane *lane)
{
    uint32_t n = weft__load_relaxed(&lane->refs, "lane.hold");
    do
        if (!n)
            return 0;
    while (!weft__cas_acq_rel(&lane->refs, &n, n + 1, "lane.hold"));
    return 1;
}

int weft__lane_hold_child(weft_id id, weft__lane **out)
{
    weft__lane *self = weft__lane_self(), *child;
    if (!self)
        return -EPERM;
    if (id.ns != WEFT__NS(self->rt, WEFT__LANE))
        return weft__id_refused(self->rt, id);
    child = weft__slab_at(&weft__lanes_of(self->rt)->lanes, id.key);
    if (!child)
        return -ESRCH;
    int r = -EPERM;
    weft__spin_lock(&self->lock); /* what is in our books stays there while we look */
    if (WEFT__GEN(weft__load_acquire(&child->head.word, "lane.hold")) != id.gen)
        r = -ESRCH;
    else if (weft__load_relaxed(&child->parent, "lane.hold") == self)
        r = weft__link_alone(&child->siblings) || !weft__lane_hold(child) ? -ESRCH : 0;
    weft__spin_unlock(&self->lock);
    *out = child;
    return r;
}

void weft__lane_release(weft__lane *lane)
{
    if (weft__sub_acq_rel(&lane->refs, 1, "lane.release") > 1)
        return;
    lane->end_message.run = weft__lane_childless_task;
    weft__worker_send(lane->crew.home, &lane->end_message);
}

void weft__lane_heed(weft__lane *lane, uint32_t flags)
{
    weft_exit e;
    lane->crew.cancelled = 1;
    if ((flags & WEFT__SIG_LINK) && weft__ties_exit_signal(lane, &e))
        weft__exit_inherit(lane, &e);
    if ((flags & WEFT__SIG_FAMILY) && (lane->why == WEFT__EXIT_NONE || lane->why == WEFT_EXIT_NORMAL))
        lane->family = 1;
    if ((flags & WEFT__SIG_KILL) && !lane->crew.killed) {
        weft__exit_killed(lane);
        lane->crew.killed = 1;
        weft__spin_lock(&lane->lock);
        lane->barren = 1; /* nothing is born in a killed lane, whoever asks */
        weft__spin_unlock(&lane->lock);
        if (lane->annex)
            weft__timer_cancel(lane->crew.home, &lane->annex->timer); /* its deadline is of no interest any more */
    }
}

/* Home. The lane may be gone afterwards. */
void weft__lane_apply(weft__lane *lane, uint32_t flags)
{
    weft__crew *crew = &lane->crew;
    if (!flags || !weft__lane_hold(lane)) /* this and crew->alive keep the lane in place while its lists are walked */
        return;
    weft__lane_heed(lane, flags);
    crew->alive++;
    for (weft__link *l = crew->fibers.next, *next; l != &crew->fibers; l = next) {
        weft__fiber *f = weft__container(l, weft__fiber, siblings);
        next = l->next;
        if (flags & WEFT__SIG_KILL)
            weft__fiber_kill(f);
        else
            weft__interrupt(f);
    }
    if (!weft__load_relaxed(&lane->tends, "lane.apply") || (flags & WEFT__SIG_KILL))
        weft__lane_tell_children(lane, flags);
    if (--crew->alive == 0 && lane->phase == WEFT__LANE_ALIVE && !lane->held)
        weft__lane_emptied(crew);
    if (crew->alive > 0 && (flags & WEFT__SIG_KILL))
        weft__lane_watch_death(lane);
    if (weft__sub_acq_rel(&lane->refs, 1, "lane.applied") == 1)
        weft__lane_childless(lane);
}
