/* What a lane does to all its children: telling them to end, giving up those that have, counting them. A lane may have
 * a hundred thousand, so it goes round them in slices, a turn each. A round goes from the head of the list, and who was
 * visited goes to its tail: children may end meanwhile, and who comes later, at the tail, is not of this round.
 * One round at a time; what is asked for during one is done in a second.
 *
 * On the lane's home, but for weft__lane_join_family. While there is more to do the lane's end message is queued there,
 * and a round has a reference of its own, so that the lane does not end before the round does. */
#include <errno.h>

#include "base/check.h"
#include "lane/realm.h"

enum { VISITS = 64 }; /* of a turn; each is about as long as a message to another worker */

int weft__lane_join_family(weft__lane *parent, weft__lane *child)
{
    weft__spin_lock(&parent->lock);
    uint32_t refs = parent->barren ? 0 : weft__load_relaxed(&parent->refs, "lane.child");
    while (refs && !weft__cas_acq_rel(&parent->refs, &refs, refs + 1, "lane.child"))
        ; /* a root whose last reference went is ending: who comes from outside then comes too late */
    if (refs) {
        child->visited = parent->round != 0;
        weft__link_before(&parent->children, &child->siblings);
    }
    weft__spin_unlock(&parent->lock);
    return refs ? 0 : -ESHUTDOWN;
}

void weft__lane_catch_up(weft__lane *newborn)
{
    weft__lane *parent = newborn->parent;
    weft__spin_lock(&parent->lock);
    if (parent->asked)
        weft__lane_signal_record(newborn, parent->asked | WEFT__SIG_FAMILY);
    weft__spin_unlock(&parent->lock);
}

void weft__lane_forgo(weft__lane *lane, weft__lane *child)
{
    weft__lane_watch *watch = child->annex->tag;
    child->supervised = WEFT__SUPERVISED;
    if (lane->crew.killed)
        watch->over(watch, child, -ECANCELED);
}

/* ---- rounds ---- */

/* What all are told, and what those are that somebody watches; a watch is looked at only
 * in a round that was begun for one. */
static uint32_t told_to(const weft__lane *lane, const weft__lane *child)
{
    const weft__lane_watch *watch = lane->asking && child->supervised == WEFT__WATCHED ? child->annex->tag : NULL;
    return (uint32_t)lane->telling | (watch ? watch->asked : 0);
}

/* 0: the round is over. */
static int visit(weft__lane *lane)
{
    weft__lane *child = NULL;
    int over = 0;
    weft__spin_lock(&lane->lock);
    if (!weft__link_alone(&lane->children))
        child = weft__container(lane->children.next, weft__lane, siblings);
    if (child && child->visited == lane->round)
        child = NULL;
    if (child) {
        child->visited = lane->round != 0;
        weft__link_remove(&child->siblings);
        weft__link_before(&lane->children, &child->siblings);
        /* Who joins beside weft_fini. */
        over = lane->disowned && child->told && !(child->joiner && lane->phase == WEFT__LANE_ALIVE);
        uint32_t flags = told_to(lane, child);
        if (flags)
            weft__lane_signal_record(child, flags | WEFT__SIG_FAMILY);
    }
    weft__spin_unlock(&lane->lock);
    if (child && lane->disowned && !over && child->supervised == WEFT__WATCHED)
        weft__lane_forgo(lane, child); /* its end will be told here, so it stays */
    if (over) { /* nobody will ask for it */
        weft__lane_pass_failure(child);
        weft__lane_leave(child);
    }
    return child != NULL;
}

static void begin(weft__lane *lane)
{
    weft__spin_lock(&lane->lock);
    lane->round = !lane->round;
    lane->asked |= lane->telling;
    weft__spin_unlock(&lane->lock);
}

/* A slice of a round. The lane may be gone afterwards. */
static void go_on(weft__lane *lane)
{
    unsigned n = 0;
    while (n < VISITS && visit(lane))
        n++;
    if (n == VISITS) {
        weft__lane_later(lane);
        return;
    }
    if (lane->again) {
        lane->again = 0;
        begin(lane);
        weft__lane_later(lane);
        return;
    }
    lane->touring = lane->asking = 0;
    lane->telling = 0;
    if (weft__sub_acq_rel(&lane->refs, 1, "lane.toured") == 1)
        weft__lane_childless(lane);
    else if (lane == weft__lanes_of(lane->rt)->root)
        weft__realm_announce(lane->rt); /* weft_fini waits for it */
}

static void go_round(weft__lane *lane, uint32_t flags)
{
    lane->telling |= (uint8_t)(flags & (WEFT__SIG_CANCEL | WEFT__SIG_KILL));
    if (lane->touring) {
        lane->again = 1;
    } else if (weft__lane_hold(lane)) {
        lane->touring = 1;
        begin(lane);
        go_on(lane);
    }
}

void weft__lane_tell_children(weft__lane *lane, uint32_t flags) { go_round(lane, flags); }

void weft__lane_tell_watched(weft__lane *lane, weft__lane_watch *watch, uint32_t flags)
{
    watch->asked |= flags;
    lane->asking = 1;
    go_round(lane, 0);
}

void weft__lane_disown(weft__lane *lane)
{
    lane->disowned = 1;
    if (lane->annex)
        lane->annex->ends = (weft__tasks){0}; /* given up with the children that lie there */
    go_round(lane, 0);
}

/* ---- counting ---- */

/* The lock is let go of now and then, for children end meanwhile:
 * at one that stays in the list, because it is held, or has ended and is struck off by nobody but this worker. */
uint32_t weft__lane_count_children(weft__lane *lane)
{
    uint32_t n = 0, since = 0;
    weft__lane *held = NULL;
    weft__spin_lock(&lane->lock);
    for (weft__link *l = lane->children.next; l != &lane->children; l = l->next) {
        weft__lane *child = weft__container(l, weft__lane, siblings);
        const int stays = child->detached == WEFT__ORPHAN;
        n++;
        if (++since < VISITS || (!stays && !weft__lane_hold(child)))
            continue;
        weft__spin_unlock(&lane->lock);
        if (held)
            weft__lane_release(held);
        held = stays ? NULL : child;
        since = 0;
        weft__spin_lock(&lane->lock);
    }
    weft__spin_unlock(&lane->lock);
    if (held)
        weft__lane_release(held);
    return n;
}

/* ---- what a lane does in turns ---- */

static void chores(weft_task *t)
{
    weft__lane *lane = weft__container(t, weft__lane, end_message);
    int touring = lane->touring; /* then the round keeps the lane */
    lane->chores = 0;
    if (lane->shutting)
        weft__lane_close_some(lane);
    if (touring)
        go_on(lane);
}

void weft__lane_later(weft__lane *lane)
{
    if (lane->chores)
        return;
    lane->chores = 1;
    lane->end_message.run = chores;
    weft__worker_ready(lane->crew.home, &lane->end_message);
}
