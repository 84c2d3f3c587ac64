/* Asking for ends: weft_cancel, which takes fibers and lanes alike, and weft_kill; who may ask whom. Fibers ask for
 * what is theirs to end; the _in forms are for any thread, and for a fiber of the runtime the same as the others. What
 * is asked travels as flags in the lane's record (lane.c) and takes effect on its home worker. */
#include <errno.h>

#include "base/check.h"
#include "lane/realm.h"

/* A fiber's request about a lane. */
static int ask_lane(weft_id id, uint32_t flags, unsigned right)
{
    weft__lane *self, *child;
    int r = weft__lane_find_child(id, 0, &self, &child);
    if (self && weft_id_equal(id, self->crew.id)) {
        weft__lane_apply(self, flags);
        return 0;
    }
    if (r == 0)
        return weft__lane_signal(self->rt, id, flags | WEFT__SIG_FAMILY);
    if (r == -EPERM && self && weft__tie_right(self, id, right))
        return weft__lane_signal(self->rt, id, flags);
    return r;
}

/* The same from any thread. The guest keeps the worker it is for until the message is with it. */
static int ask_lane_in(weft_runtime *rt, weft_id id, uint32_t flags)
{
    weft__add_seq(&rt->guests, 1, "stop.guest");
    int r = weft__lane_signal(rt, id, flags);
    weft__sub_seq(&rt->guests, 1, "stop.guest");
    return r;
}

/* Whether a fiber of rt calls, which needs its rights in either form. */
static int called_by_fiber(const weft_runtime *rt)
{
    const weft__worker *w = weft__worker_self();
    return w && w->rt == rt && w->running;
}

static int valid(const weft_runtime *rt)
{
    if (!rt || rt->magic != WEFT__RUNTIME_MAGIC)
        return -EINVAL;
    return weft__load_acquire(&rt->ended, "stop.ended") ? -ESHUTDOWN : 0;
}

/* ---- cancelling ---- */

static int cancel_fiber(weft_id id)
{
    weft__fiber *self = weft__fiber_self(), *f;
    if (!self)
        return -EPERM;
    int r = weft__fiber_find(self->home, id, &f);
    if (r < 0)
        return r;
    if (f->crew != self->crew)
        return -EPERM;
    if (f->state == WEFT__ENDED)
        return -ESRCH;
    f->cancelled = 1;
    weft__interrupt(f);
    return 0;
}

int weft_cancel(weft_id id)
{
    if (WEFT__NS_KIND(id.ns) == WEFT__LANE)
        return ask_lane(id, WEFT__SIG_CANCEL, WEFT_RIGHT_CANCEL);
    return cancel_fiber(id);
}

int weft_cancel_in(weft_runtime *rt, weft_id id)
{
    int r = valid(rt);
    if (r < 0)
        return r;
    if (called_by_fiber(rt))
        return weft_cancel(id);
    if (WEFT__NS_KIND(id.ns) == WEFT__LANE)
        return ask_lane_in(rt, id, WEFT__SIG_CANCEL);
    weft__add_seq(&rt->guests, 1, "cancel.guest");
    r = weft__fiber_signal(rt, id, WEFT__SIG_CANCEL);
    weft__sub_seq(&rt->guests, 1, "cancel.guest");
    return r;
}

/* ---- killing ---- */

int weft_kill(weft_id id)
{
    return ask_lane(id, WEFT__SIG_KILL, WEFT_RIGHT_KILL);
}

int weft_kill_in(weft_runtime *rt, weft_id id)
{
    int r = valid(rt);
    if (r < 0)
        return r;
    if (called_by_fiber(rt))
        return ask_lane(id, WEFT__SIG_KILL, WEFT_RIGHT_KILL);
    return ask_lane_in(rt, id, WEFT__SIG_KILL);
}
