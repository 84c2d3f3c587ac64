/* The public calls of lane.h that spawn, join, exit and detach. Cancelling and killing are stop.c's. */
#include <errno.h>

#include "fiber/contain.h"
#include "base/check.h"
#include "fiber/graph.h"
#include "lane/exit.h"
#include "lane/realm.h"

/* Where it is to start: a worker, or NULL for wherever placement says. */
static weft__worker *place_of(weft_runtime *rt, const weft_lane_options *opt)
{
    if (opt->pinned)
        return weft__worker_self();
    if (opt->near.ns != WEFT__NS(rt, WEFT__LANE))
        return NULL;
    weft__lane *lane = weft__slab_at(&weft__lanes_of(rt)->lanes, opt->near.key);
    weft__worker *home = lane ? weft__home_of(&lane->crew.home) : NULL;
    /* The record may be another's by now; then its worker is as good as any. */
    return lane && WEFT__GEN(weft__load_acquire(&lane->head.word, "lane.near")) == opt->near.gen ? home : NULL;
}

/* tag: the caller supervises it; else NULL. */
static int spawn(weft_runtime *rt, weft_id *out, int (*fn)(void *), void *arg, const weft_lane_options *opt, const char *name,
                 const char *site, void *tag, enum weft__supervised how)
{
    weft__lane *self = weft__lane_self(), *lane;
    weft__lane *parent = rt && (!self || self->rt != rt) ? NULL : self;
    if (!rt && !self)
        return -EPERM;
    if (rt && rt->magic != WEFT__RUNTIME_MAGIC)
        return -EINVAL;
    /* Nothing is born in a killed lane, shielded or not. */
    if (parent && (parent->crew.killed || weft__canceled(weft__fiber_self())))
        return weft__refuse(weft__fiber_self(), -ECANCELED);
    rt = parent ? parent->rt : rt;
    weft_lane_options with = opt ? *opt : (weft_lane_options){0};
    if (!parent && (with.gives || with.linked || with.monitor || with.parent.gen))
        return -EPERM; /* what only a lane has */
    if (!out || !parent)
        with.detached = 1; /* from outside nobody can join it */
    weft__lane *above = parent;
    int other = parent && with.parent.gen && !weft_id_equal(with.parent, parent->crew.id), r = 0;
    if (other && tag)
        return -EINVAL;
    if (other && (r = weft__lane_hold_child(with.parent, &above)) < 0)
        return r;
    if (other)
        with.wait = 0; /* who is killed while it waits would hold it for ever */
    r = weft__lane_make(rt, above, fn, arg, &with, name, site, &lane);
    if (other && r == 0)
        weft__lane_catch_up(lane);
    if (other)
        weft__lane_release(above);
    if (r < 0)
        return other && r == -ESHUTDOWN ? -ESRCH : r;
    r = parent && (with.linked || with.monitor) ? weft__ties_at_birth(parent, lane, &with) : 0;
    if (r == 0 && tag)
        r = weft__lane_supervise(lane, tag, how);
    if (r == 0 && with.gives)
        r = weft__give_to_newborn(lane, with.gives);
    if (r < 0) {
        lane->supervised = 0;
        lane->detached = lane->quiet = 1; /* nobody will hear of it */
        weft__ties_undo(lane);
        weft__lane_abandon(lane);
        return r;
    }
    if (out)
        *out = weft__lane_id(lane);
    weft__lane_start(lane, parent ? place_of(rt, &with) : NULL);
    return 0;
}

int weft_lane_spawn_at(weft_runtime *rt, weft_id *out, int (*fn)(void *), void *arg, const weft_lane_options *opt, const char *name,
                       const char *site)
{
    weft__probe_self();
    return spawn(rt, out, fn, arg, opt, name, site, NULL, WEFT__NOT_SUPERVISED);
}

int weft__lane_spawn_supervised(weft_id *out, int (*fn)(void *), void *arg, const weft_lane_options *opt, const char *name,
                                const char *site, void *tag)
{
    return spawn(NULL, out, fn, arg, opt, name, site, tag, WEFT__SUPERVISED);
}

int weft__lane_spawn_watched(weft_id *out, int (*fn)(void *), void *arg, const weft_lane_options *opt, const char *name, const char *site,
                             weft__lane_watch *watch)
{
    return spawn(NULL, out, fn, arg, opt, name, site, watch, WEFT__WATCHED);
}

weft_id weft_lane_self(void)
{
    weft__lane *lane = weft__lane_self();
    return lane ? weft__lane_id(lane) : WEFT_NOID;
}

int weft__lane_find_child(weft_id id, int joinable, weft__lane **self, weft__lane **out)
{
    *self = weft__lane_self();
    if (!*self)
        return -EPERM;
    weft_runtime *rt = (*self)->rt;
    if (id.ns != WEFT__NS(rt, WEFT__LANE))
        return weft__id_refused(rt, id);
    weft__lane *lane = id.gen ? weft__slab_at(&weft__lanes_of(rt)->lanes, id.key) : NULL;
    if (!lane)
        return -ESRCH;
    /* Whether it is that one, ours, and joinable: under our own lock, since a stranger's
     * record may change hands while we look. */
    int r;
    weft__spin_lock(&(*self)->lock);
    if (!weft__slab_is(weft__load_acquire(&lane->head.word, "lane.find"), id.gen))
        r = -ESRCH;
    else if (weft__load_relaxed(&lane->parent, "lane.find") != *self)
        r = -EPERM;
    else
        r = weft__link_alone(&lane->siblings) || (joinable && lane->detached == 1) ? -ESRCH : 0;
    weft__spin_unlock(&(*self)->lock);
    *out = lane;
    return r;
}

/* ---- joining ---- */

/* Who has to end before the lane can: its main fiber, as long as there is one. Any worker, while the join is published:
 * the record is this lane's. */
static weft__fiber *main_of(void *object)
{
    weft__lane *lane = object;
    if (weft__load_acquire(&lane->phase, "join.phase") == WEFT__LANE_NEWBORN) /* pairs with the release at its birth */
        return NULL;
    return weft__load_acquire(&lane->main, "join.main");
}

static void leave_join(weft__fiber *f)
{
    weft__lane *target = f->waits_on;
    target->joiner = NULL;
    if (f->edge)
        weft__graph_remove(f->edge);
}

/* Published always: the joiner's own lane may be waited for from elsewhere. One that only looks is no wait. */
static int wait_joined(weft__fiber *f, weft__lane *lane, int64_t deadline)
{
    weft__edge e = {.fiber = f, .object = lane, .holder = main_of, .what = "the end of lane", .name = lane->crew.name};
    e.timed = deadline != WEFT_NEVER;
    int r = e.timed && deadline <= f->home->now_ns ? 0 : weft__graph_add(&e);
    if (r < 0)
        return weft__refuse(f, r);
    lane->joiner = f;
    f->unwait = leave_join;
    f->waits_on = lane;
    r = weft__wait(f, WEFT__WAIT_CHILD, deadline);
    if (f->edge)
        weft__graph_remove(&e);
    return r;
}

/* Waits for the child's end. 0: *out is it, to be struck off. */
static int await_child(weft_id id, int64_t deadline, weft__lane **out)
{
    weft__lane *self, *lane;
    int r = weft__lane_find_child(id, 1, &self, &lane);
    if (r < 0)
        return r;
    weft__fiber *f = weft__fiber_self();
    if (lane->joiner || lane->supervised)
        return -EBUSY;
    if (lane->forgotten)
        return -ESRCH;
    if (weft__canceled(f))
        return weft__refuse(f, -ECANCELED);
    if (!lane->told) {
        r = wait_joined(f, lane, deadline);
        if (r < 0)
            return r;
    }
    *out = lane;
    return 0;
}

int weft_lane_join(weft_id id, int *result, int64_t deadline)
{
    weft__probe_self();
    weft__lane *lane = NULL;
    int r = await_child(id, deadline, &lane);
    if (r < 0)
        return r;
    if (result)
        *result = lane->result;
    weft__lane_leave(lane);
    return 0;
}

int weft_lane_join_exit(weft_id id, weft_exit *out, int64_t deadline)
{
    weft__probe_self();
    weft__lane *lane = NULL;
    if (!out)
        return -EINVAL;
    int r = await_child(id, deadline, &lane);
    if (r < 0)
        return r;
    weft__exit_fill(lane, out);
    weft__lane_leave(lane);
    return 0;
}

int weft_lane_exit(int result)
{
    weft__lane *lane = weft__lane_self();
    if (!lane)
        return -EPERM;
    weft__exit_note(lane, result < 0 ? WEFT_EXIT_ERROR : WEFT_EXIT_NORMAL, result, WEFT_NOID);
    weft__lane_apply(lane, WEFT__SIG_CANCEL);
    return 0;
}

int weft_lane_detach(weft_id id)
{
    weft__lane *self, *lane;
    int r = weft__lane_find_child(id, 1, &self, &lane);
    if (r < 0)
        return r;
    if (lane->joiner || lane->supervised)
        return -EBUSY;
    if (lane->forgotten)
        return -ESRCH;
    weft__spin_lock(&self->lock);
    int ended = lane->detached == WEFT__ORPHAN;
    if (!ended)
        lane->detached = 1;
    weft__spin_unlock(&self->lock);
    if (!ended)
        return 0;
    lane->forgotten = 1; /* its message may still be on the way */
    if (lane->told) {
        lane->told = 0; /* it is for us to strike off */
        weft__lane_pass_failure(lane);
        weft__lane_leave(lane);
    }
    return 0;
}
