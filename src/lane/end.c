/* The end of a lane, in the order of DESIGN rule 5. Home-worker code, on the worker's own context;
 * each step begins when the one before is over, and none waits:
 *
 *     normal: fibers have ended -> EMPTY: resources close -> CHILDREN -> BURYING -> ENDED
 *     killed: fibers were stopped, their ops have ended -> DYING: children die -> CLEANING: deferred clean-ups
 *             -> CLOSING: locks, names, resources -> BURYING -> ENDED
 *
 * `refs` (1 for the lane itself, 1 for each child) decides who comes last, on whatever worker; what follows is run at
 * home. What a lane had is all given back in BURYING, and only then does anybody hear of its end. */
#include <errno.h>

#include "base/check.h"
#include "lane/estate.h"
#include "lane/exit.h"
#include "lane/realm.h"

enum { SLICE = 40 }; /* units of about a microsecond of burying in a turn */

static void clean(weft__lane *lane);
static void bury(weft__lane *lane);

static int is_root(const weft__lane *lane) { return lane == weft__lanes_of(lane->rt)->root; }

/* ---- its fibers ---- */

void weft__lane_fiber_ended(weft__crew *crew, weft__fiber *f)
{
    weft__lane *lane = weft__lane_of(crew);
    if (is_root(lane))
        weft__realm_announce(lane->rt); /* weft_fini waits for its siblings */
    if (f != lane->main)
        return;
    weft__store_relaxed(&lane->main, (weft__fiber *)NULL, "lane.main");
    if (!f->ran && f->result < 0)
        weft__exit_note(lane, WEFT_EXIT_LIMIT, f->result, WEFT_NOID);
    weft__exit_returned(lane, f->result);
    if (f->result >= 0)
        return;
    if (crew->alive > 0) { /* a main fiber that fails takes the others along */
        weft__lane_apply(lane, WEFT__SIG_CANCEL);
    } else {
        crew->cancelled = 1;
        weft__lane_tell_children(lane, WEFT__SIG_CANCEL);
    }
}

int weft__lane_doomed(const weft__crew *crew)
{
    const weft__lane *lane = weft__container(crew, const weft__lane, crew);
    return crew->killed || (weft__load_relaxed(&lane->head.word, "lane.doomed") & WEFT__SIG_KILL);
}

int weft__lane_forget_results(weft__lane *lane, unsigned budget)
{
    while (!weft__link_alone(&lane->crew.fibers) && budget-- > 0) {
        weft__fiber *f = weft__container(lane->crew.fibers.next, weft__fiber, siblings);
        if (f->result != 0 && !lane->crew.cancelled)
            weft__say(lane->rt, WEFT_LOG_WARNING, "fiber \"%s\" of lane \"%s\" (spawned at %s) ended with %d (%s), neither joined nor detached",
                      f->name, lane->crew.name, f->site, f->result, weft_strerror(f->result));
        weft__fiber_free(f);
    }
    return weft__link_alone(&lane->crew.fibers);
}

/* ---- resources ---- */

void weft__lane_close_some(weft__lane *lane)
{
    enum { CLOSES = 64 }; /* of a turn */
    for (unsigned n = 0; n < CLOSES && !weft__link_alone(&lane->resources); n++)
        weft__resource_close(weft__container(lane->resources.next, weft__resource, link));
    if (!weft__link_alone(&lane->resources)) {
        weft__lane_later(lane);
        return;
    }
    lane->shutting = 0;
    lane->closing--;
    weft__lane_settle(lane);
}

void weft__lane_close_all(weft__lane *lane)
{
    weft__resources_shut(lane);
    lane->shutting = 1;
    lane->closing++; /* ours, until all have been begun */
    weft__lane_close_some(lane);
}

/* Steps 5 and 6: nobody of the lane is left that could use them. */
static void close_up(weft__lane *lane, enum weft__lane_phase phase)
{
    weft__lane_enter(lane, phase);
    weft__lane_locals_bury(lane);
    /* Before its own locks pass on: to nobody from outside, who would get what is about to go. */
    if (phase == WEFT__LANE_CLOSING)
        weft__vat_evict(lane);
    weft__held_bury(&lane->crew);
    weft__names_bury(lane);
    weft__lane_close_all(lane);
}

/* ---- children ---- */

/* The lane takes no part in its own count any more: what follows comes with its last child's end. */
static void await_children(weft__lane *lane, enum weft__lane_phase phase)
{
    weft__lane_enter(lane, phase);
    weft__lane_disown(lane);
    if (weft__sub_acq_rel(&lane->refs, 1, "lane.settle") == 1)
        weft__lane_childless(lane);
}

/* ---- the steps ---- */

void weft__lane_emptied(weft__crew *crew)
{
    weft__lane *lane = weft__lane_of(crew);
    if (lane->phase == WEFT__LANE_CLEANING) {
        clean(lane);
        return;
    }
    if (lane->phase != WEFT__LANE_ALIVE)
        return;
    if (lane->crew.mobile)
        weft__lane_roams(lane, 0); /* it dies where it is */
    weft__mailbox_shut(lane);
    if (crew->killed)
        await_children(lane, WEFT__LANE_DYING);
    else
        close_up(lane, WEFT__LANE_EMPTY);
}

void weft__lane_settle(weft__lane *lane)
{
    if (lane->closing)
        return;
    if (lane->phase == WEFT__LANE_ALIVE && is_root(lane))
        weft__realm_announce(lane->rt); /* weft_fini waits for its closes */
    else if (lane->phase == WEFT__LANE_EMPTY)
        await_children(lane, WEFT__LANE_CHILDREN);
    else if (lane->phase == WEFT__LANE_CLOSING)
        bury(lane);
}

static void grace_over(weft__timer *t)
{
    weft__lane *lane = weft__container(t, weft__annex, timer)->lane;
    lane->late = 1;
    weft__say(lane->rt, WEFT_LOG_WARNING, "lane \"%s\" (spawned at %s) was killed, and its deferred clean-ups outlive the grace: they are stopped",
              lane->crew.name, lane->crew.site);
    weft__fibers_hasten(&lane->crew);
}

/* A fiber rises: the time that all clean-ups together have begins with the first. Without memory for a timer it is over
 * at once, rather than never: what does not wait is done all the same. */
static void begin_grace(weft__lane *lane)
{
    weft__annex *annex = weft__lane_annex(lane);
    if (!annex) {
        lane->late = 1;
        weft__fibers_hasten(&lane->crew);
    } else if (annex->timer.fire != grace_over) {
        annex->timer.fire = grace_over;
        weft__timer_arm(lane->crew.home, &annex->timer, weft__after(lane->rt, lane->rt->opt.grace_ns));
    }
}

static void stop_timer(weft__lane *lane)
{
    if (lane->annex)
        weft__timer_cancel(lane->crew.home, &lane->annex->timer);
}

void weft__lane_childless(weft__lane *lane)
{
    if (lane->phase == WEFT__LANE_CHILDREN) {
        bury(lane);
        return;
    }
    weft__lane_enter(lane, WEFT__LANE_CLEANING);
    stop_timer(lane);
    clean(lane);
}

void weft__lane_childless_task(weft_task *t) { weft__lane_childless(weft__container(t, weft__lane, end_message)); }

/* In another turn, by the lane's own message. */
static void again(weft__lane *lane, void (*run)(weft_task *t))
{
    lane->end_message.run = run;
    weft__worker_ready(lane->crew.home, &lane->end_message);
}

static void clean_again(weft_task *t) { clean(weft__container(t, weft__lane, end_message)); }

/* Step 4, one fiber after another; each comes back here by weft__lane_emptied. */
static void clean(weft__lane *lane)
{
    int r = weft__fibers_clean(&lane->crew, lane->late);
    if (r != 0 && !lane->late)
        begin_grace(lane);
    if (r < 0)
        again(lane, clean_again);
    else if (r == 0)
        close_up(lane, WEFT__LANE_CLOSING);
}

/* ---- step 7 ---- */

/* Buffers that nobody of the lane gave back. */
static void return_buffers(weft__lane *lane)
{
    for (; lane->borrows; lane->borrows &= lane->borrows - 1) {
        weft__worker *lender = weft__load_acquire(&lane->rt->worker[__builtin_ctzll(lane->borrows)], "lane.borrows");
        weft__borrowed_reclaim(lender->port, lane->head.key + 1);
    }
}

static void bury_slice(weft__lane *lane)
{
    int done = weft__alarms_bury(lane, SLICE * 8) && weft__lane_forget_results(lane, SLICE * 8) &&
               weft__fibers_bury(&lane->crew, SLICE * 8) && weft__holdings_bury(lane, SLICE) && weft__mailbox_bury(lane, SLICE) &&
               weft__vat_bury(lane, SLICE);
    if (done && (is_root(lane) || weft__load_acquire(&lane->parent->crew.home, "lane.told")))
        weft__lane_finish(lane);
    else
        /* More to do; or the root of a background runtime has not come to its worker yet. */
        again(lane, weft__lane_bury_task);
}

void weft__lane_bury_task(weft_task *t) { bury_slice(weft__container(t, weft__lane, end_message)); }

/* The last of those from outside who had something in its memory has left it. */
static void evicted(weft_task *t)
{
    weft__lane *lane = weft__container(t, weft__lane, end_message);
    if (weft__vat_clear(lane))
        bury_slice(lane);
}

static void bury(weft__lane *lane)
{
    weft__lane_enter(lane, WEFT__LANE_BURYING);
    stop_timer(lane);
    return_buffers(lane);
    lane->end_message.run = evicted;
    if (weft__vat_clear(lane))
        bury_slice(lane);
}

void weft__lane_bury_now(weft__lane *lane)
{
    weft__mailbox_shut(lane);
    weft__lane_locals_bury(lane);
    weft__names_bury(lane);
    return_buffers(lane);
    weft__vat_clear_now(lane);
    while (!weft__alarms_bury(lane, SLICE) || !weft__lane_forget_results(lane, SLICE) || !weft__fibers_bury(&lane->crew, SLICE) ||
           !weft__holdings_bury(lane, SLICE) || !weft__mailbox_bury(lane, SLICE) || !weft__vat_bury(lane, SLICE))
        ;
}

/* ---- step 8 ---- */

/* On the home of the parent, which exists: it holds a reference of ours. */
static void told(weft_task *t)
{
    weft__lane *lane = weft__container(t, weft__lane, end_message);
    if (lane->parent->crew.mobile && weft__sent_on(&lane->parent->crew.home, t))
        return;
    if (lane->supervised == WEFT__WATCHED && lane->parent->disowned)
        weft__lane_forgo(lane->parent, lane); /* the round that does has not come to it */
    if (lane->supervised == WEFT__WATCHED) {
        weft__lane_watch *watch = lane->annex->tag;
        watch->over(watch, lane, lane->result);
        weft__lane_leave(lane);
        return;
    }
    int asked = lane->joiner || (lane->supervised && !lane->parent->disowned);
    if (!asked && (lane->detached == 1 || lane->forgotten || lane->parent->disowned)) {
        /* It is not told yet: a round of the parent's that this begins is not to strike it off, too. */
        weft__lane_pass_failure(lane);
        weft__lane_leave(lane);
        return;
    }
    lane->told = 1;
    if (lane->joiner)
        weft__wake_joiner(lane->joiner); /* who frees the record */
    else if (asked)
        weft__lane_push_end(lane->parent, lane);
}

void weft__lane_finish(weft__lane *lane)
{
    weft__worker *w = lane->crew.home;
    weft_exit why;
    /* What its last fiber reserved lies here, and the record goes elsewhere. */
    if (lane->crew.account)
        weft__account_end(lane->crew.account);
    weft__exit_settle(lane);
    weft__exit_fill(lane, &why);
    weft__lane_enter(lane, WEFT__LANE_ENDED);
    if (is_root(lane)) {
        weft__ties_end(lane, &why);
        weft__realm_root_ended(lane->rt);
        return;
    }
    weft__count(&w->stats.lanes_ended, 1);
    lane->watched = (uint8_t)weft__ties_watched(lane);
    weft__ties_end(lane, &why);
    weft__spin_lock(&lane->parent->lock);
    int detached = lane->detached;
    if (!detached)
        lane->detached = WEFT__ORPHAN; /* from here on the parent's side decides about the record */
    weft__spin_unlock(&lane->parent->lock);
    lane->end_message.run = told;
    if (detached && !weft__exit_failed(lane))
        weft__lane_leave(lane);
    else if (weft__load_acquire(&lane->parent->crew.home, "lane.finish") == w)
        told(&lane->end_message);
    else
        weft__worker_send(weft__home_of(&lane->parent->crew.home), &lane->end_message);
}

/* ---- what takes long ---- */

/* Says what a killed lane still waits for. */
static void report(weft__timer *t)
{
    weft__lane *lane = weft__container(t, weft__annex, timer)->lane;
    unsigned named = 0;
    for (weft__link *l = lane->crew.fibers.next; l != &lane->crew.fibers && named < 8; l = l->next) {
        const weft__fiber *f = weft__container(l, weft__fiber, siblings);
        if (f->state != WEFT__WAITING || f->waiting != WEFT__WAIT_OP || !f->await)
            continue;
        named++;
        weft__say(lane->rt, WEFT_LOG_WARNING, "lane \"%s\" (spawned at %s) is dying: fiber \"%s\" waits for the end of its operation \"%s\"",
                  lane->crew.name, lane->crew.site, f->name, weft_op_name((enum weft_opcode)f->await->op->code));
    }
    if (!named && lane->crew.alive)
        weft__say(lane->rt, WEFT_LOG_WARNING, "lane \"%s\" (spawned at %s) is dying: %u of its fibers do not suspend or run clean-ups",
                  lane->crew.name, lane->crew.site, lane->crew.alive);
}

void weft__lane_watch_death(weft__lane *lane)
{
    /* Without memory nothing is said. */
    weft__annex *annex = lane->phase == WEFT__LANE_ALIVE ? weft__lane_annex(lane) : NULL;
    if (!annex || annex->timer.fire == report)
        return;
    annex->timer.fire = report;
    weft__timer_arm(lane->crew.home, &annex->timer, weft__after(lane->rt, lane->rt->opt.grace_ns));
}
