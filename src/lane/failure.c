/* What a parent hears of its children's ends: failures that nobody asked for, and the ends of those it supervises. On the
 * parent's home worker. */
#include <errno.h>

#include "base/check.h"
#include "lane/exit.h"
#include "lane/realm.h"

void weft__lane_pass_failure(weft__lane *child)
{
    weft__lane *parent = child->parent;
    weft_exit e;
    char text[160];
    if (child->supervised || child->watched || !weft__exit_failed(child))
        return;
    weft__exit_fill(child, &e);
    weft_exit_format(&e, text, sizeof text);
    if (parent->held || child->quiet) {
        weft__say(parent->rt, child->quiet ? WEFT_LOG_DEBUG : WEFT_LOG_WARNING, "lane \"%s\" (spawned at %s) %s", child->crew.name,
                  child->crew.site, text);
        return;
    }
    weft__exit_inherit(parent, &e);
    weft__lane_apply(parent, WEFT__SIG_CANCEL);
}

/* ---- supervised children ---- */

void weft__lane_push_end(weft__lane *parent, weft__lane *child)
{
    weft__fiber *f = parent->ender;
    weft__tasks_push(&parent->ends, &child->end_message);
    parent->ender = NULL;
    if (f && !parent->crew.killed) /* killed, it does not wait any more, and its record may be another's */
        weft__wake(f, -EINTR);     /* from whatever it waits for meanwhile */
}

static void stop_waiting(weft__fiber *f)
{
    weft__lane *self = f->waits_on;
    self->ender = NULL;
}

/* Until there is one. */
static int await_end(weft__lane *self, weft__fiber *f, int64_t deadline)
{
    while (weft__tasks_empty(&self->ends)) {
        if (self->ender)
            return -EBUSY;
        if (deadline <= f->home->now_ns)
            return weft__refuse(f, -ETIMEDOUT);
        self->ender = f;
        f->unwait = stop_waiting;
        f->waits_on = self;
        int r = weft__wait(f, WEFT__WAIT_OTHER, deadline);
        if (r < 0 && r != -EINTR)
            return r;
    }
    return 0;
}

int weft__lane_next_end(weft__lane *self, weft_exit *out, void **tag, int64_t deadline)
{
    weft__fiber *f = weft__fiber_self();
    if (!f || weft__lane_of(f->crew) != self)
        return -EPERM;
    if (weft__canceled(f))
        return weft__refuse(f, -ECANCELED);
    int r = await_end(self, f, deadline);
    if (r < 0)
        return r;
    weft__lane *child = weft__container(weft__tasks_pop(&self->ends), weft__lane, end_message);
    weft__exit_fill(child, out);
    *tag = child->tag;
    weft__lane_leave(child);
    return 0;
}
