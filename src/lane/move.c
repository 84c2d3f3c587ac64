/* Lanes that move from one worker to another, and when. Home-worker code, on the worker's own context:
 * none of the lane's fibers runs meanwhile.
 *
 * The old home takes everything of the lane out of its own hands, sends the lane, and then, with the message in the new
 * home's inbox already, makes each `home` say where it goes (weft__bound_for); crew.home is the last of them and the
 * last that it touches. The new home begins when it sees that. So whoever reads the new home sends after the lane, and
 * the inbox keeps that order; whoever read the old one finds there that it has to send on (weft__sent_on), once more
 * after the lane. And while it is on its way it is at home nowhere, so nobody touches it. docs/design/mobile.md. */
#include <errno.h>

#include "base/check.h"
#include "fiber/contain.h"
#include "lane/handle.h"
#include "lane/realm.h"

enum { LOOK = 64, PATIENCE = 4, AT_ONCE = 4, REST = 20, LIGHT = 64 }; /* tasks; ticks; lanes; ticks; fibers and ids */

int weft__lanes_move(const weft_runtime *rt)
{
    return rt->mode != WEFT_PER_CORE && !rt->opt.external_workers && rt->workers - rt->first_cpu_worker > 1;
}

void weft__lane_roams(weft__lane *lane, int on)
{
    weft__worker *w = lane->crew.home;
    if (on == !weft__link_alone(&lane->annex->roaming))
        return; /* one that ends before it began */
    if (on)
        weft__link_before(&weft__lane_pools_of(w)->roaming, &lane->annex->roaming);
    else
        weft__link_remove(&lane->annex->roaming);
    w->mobile += on ? 1u : (uint32_t)-1;
    if (!w->mobile) {
        w->crowded_ns = 0;
        weft__store_relaxed(&w->crowd, WEFT__CROWD_UNKNOWN, "lane.crowd");
    }
}

/* ---- the move ---- */

typedef struct departure {
    weft__lane *lane;
    weft__worker *to;
} departure;

static int may_leave(const weft__lane *lane)
{
    return lane->crew.mobile && lane->phase == WEFT__LANE_ALIVE && !lane->crew.killed && !lane->closing && !lane->annex->stays &&
           !lane->chores; /* its end message would be in two places */
}

/* The lane's message lies in its inbox. */
static void redirect(void *arg)
{
    const departure *d = arg;
    weft__mailbox_redirect(d->lane, weft__bound_for(d->to));
    weft__crew_redirect(&d->lane->crew, d->to);
}

/* In the new home's inbox: what comes after it there may be meant for the lane. */
static void arrived(weft_task *t)
{
    weft__lane *lane = weft__container(t, weft__lane, end_message);
    weft__worker *w = weft__worker_self();
    /* Its old home is about to say so: a few stores. */
    while (weft__load_acquire(&lane->crew.home, "lane.arrived") != weft__bound_for(w))
        if (w->rt->env->relax)
            w->rt->env->relax(w->rt->env->self);
    weft__crew_settle(&lane->crew, w);
    weft__mailbox_redirect(lane, w);
    weft__timer_land(w, &lane->annex->timer);
    weft__timer_land(w, &lane->annex->alarms.timer);
    weft__lane_roams(lane, 1);
    weft__count(&w->stats.lanes_in, 1);
}

/* end_message is free: it is for lanes that have ended, have no fibers any more, or have chores. */
static void depart(weft__lane *lane, weft__worker *to)
{
    weft__worker *w = lane->crew.home;
    departure d = {lane, to};
    weft__crew_leave(&lane->crew);
    weft__timer_lift(w, &lane->annex->timer);
    weft__timer_lift(w, &lane->annex->alarms.timer);
    weft__handles_leave(lane);
    weft__lane_roams(lane, 0);
    weft__store_relaxed(&lane->annex->moves, lane->annex->moves + 1, "lane.moves");
    lane->annex->moved_ns = w->now_ns;
    weft__add_relaxed(&to->load, 1, "lane.load");
    weft__count(&w->stats.lanes_out, 1);
    lane->end_message.run = arrived;
    weft__worker_hand(to, &lane->end_message, redirect, &d);
    weft__worker_unload(w);
}

static int takes_lanes(weft__worker *v) { return v && !v->io_only && !weft__load_seq(&v->retiring, "move.retiring"); }

/* ---- by its own wish ---- */

/* On the worker's context; *arg lies on the stack of a fiber that goes along. */
static void leave_now(void *arg)
{
    departure d = *(departure *)arg;
    d.lane->crew.home->running = NULL;
    depart(d.lane, d.to);
}

int weft_lane_move(unsigned worker)
{
    weft__fiber *f = weft__fiber_self();
    weft__probe(f);
    if (!f)
        return -EPERM;
    weft__worker *w = f->home;
    departure d = {weft__lane_of(f->crew), NULL};
    if (worker >= w->rt->workers)
        return -EINVAL;
    if (!f->crew->mobile)
        return -EPERM;
    d.to = weft__load_acquire(&w->rt->worker[worker], "lane.move");
    if (d.to == w)
        return 0;
    if (!takes_lanes(d.to))
        return -EINVAL;
    if (!may_leave(d.lane))
        return -EBUSY;
    f->state = WEFT__READY;
    weft__tasks_push_front(&w->ready, &f->resume);
    weft__switch(&f->context, &w->context, leave_now, &d);
    return 0;
}

/* ---- by load ---- */

/* For tests: each lane leaves for anywhere with a chance of one in rt->scatter. */
static void scatter(weft__worker *w)
{
    weft_runtime *rt = w->rt;
    weft__link *all = &weft__lane_pools_of(w)->roaming;
    unsigned workers = rt->workers - rt->first_cpu_worker;
    for (weft__link *l = all->next, *next; l != all; l = next) {
        weft__lane *lane = weft__container(l, weft__annex, roaming)->lane;
        next = l->next;
        w->random = w->random * 1664525u + 1013904223u;
        if ((w->random >> 8) % rt->scatter)
            continue;
        weft__worker *to = weft__load_acquire(&rt->worker[rt->first_cpu_worker + (w->random >> 20) % workers], "lane.scatter");
        if (to != w && takes_lanes(to) && may_leave(lane))
            depart(lane, to);
    }
}

static unsigned crowd_of(const weft__worker *w)
{
    unsigned n = 0;
    for (const weft_task *t = w->ready.head; t && n < LOOK; t = t->next)
        n++;
    return n;
}

/* Of the others, the one with the least that is ready, as far as is known:
 * who sleeps has none, who has no lanes that may move does not say. */
static weft__worker *roomiest(weft__worker *w, uint32_t *crowd)
{
    weft_runtime *rt = w->rt;
    weft__worker *best = NULL;
    uint64_t idle = weft__load_relaxed(&rt->idle, "lane.idle");
    *crowd = WEFT__CROWD_UNKNOWN;
    for (unsigned i = rt->first_cpu_worker; i < rt->workers; i++) {
        weft__worker *v = weft__load_acquire(&rt->worker[i], "lane.roomiest");
        if (v == w || !takes_lanes(v))
            continue;
        uint32_t n = idle >> i & 1 ? 0 : weft__load_relaxed(&v->crowd, "lane.roomiest");
        if (n < *crowd) {
            *crowd = n;
            best = v;
        }
    }
    return best;
}

/* Both workers go through all of a lane's fibers and ids as it moves:
 * with many of them that is no use of a turn that nobody asked for. */
static int is_light(const weft__lane *lane)
{
    unsigned n = 0;
    for (const weft__link *l = lane->crew.fibers.next; l != &lane->crew.fibers; l = l->next)
        if (++n > LIGHT)
            return 0;
    for (const weft__link *l = lane->resources.next; l != &lane->resources; l = l->next)
        if (++n > LIGHT)
            return 0;
    return 1;
}

/* The first that may go, but for the one whose turn is next here: a lane that has just come stays for a while. */
static weft__lane *next_to_go(weft__worker *w)
{
    unsigned n = 0;
    for (const weft_task *t = w->ready.head ? w->ready.head->next : NULL; t && n < LOOK; t = t->next, n++) {
        if (t->run != weft__fiber_resume)
            continue;
        const weft__fiber *f = weft__container((weft_task *)(uintptr_t)t, weft__fiber, resume);
        weft__lane *lane = f->mobile ? weft__lane_of(f->crew) : NULL;
        if (lane && may_leave(lane) && w->now_ns - lane->annex->moved_ns >= REST * w->rt->opt.tick_ns && is_light(lane))
            return lane;
    }
    return NULL;
}

/* Half of the difference, a few at a time, once it has lasted: what is only a burst is over before a move would pay. */
static void even_out(weft__worker *w, unsigned mine)
{
    uint32_t theirs;
    weft__worker *to = roomiest(w, &theirs);
    if (!to || mine < 2 + theirs + theirs / 4) {
        w->crowded_ns = 0;
        return;
    }
    if (!w->crowded_ns)
        w->crowded_ns = w->now_ns;
    if (w->now_ns - w->crowded_ns < PATIENCE * w->rt->opt.tick_ns)
        return;
    w->crowded_ns = w->now_ns;
    unsigned n = (mine - theirs) / 2;
    weft__lane *lane;
    for (n = n < AT_ONCE ? n : AT_ONCE; n > 0 && (lane = next_to_go(w)); n--)
        depart(lane, to);
}

void weft__lanes_balance(weft__worker *w)
{
    if (w->rt->scatter) {
        scatter(w);
        return;
    }
    unsigned mine = crowd_of(w);
    weft__store_relaxed(&w->crowd, mine, "lane.crowd");
    if (mine < 2)
        w->crowded_ns = 0;
    else
        even_out(w, mine);
}
