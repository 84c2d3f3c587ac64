/* What a parent hears of its children's ends: failures that nobody asked for, and the ends of those it supervises.
 * On the parent's home worker. */
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

int weft__lane_supervise(weft__lane *child, void *tag, enum weft__supervised how)
{
    weft__annex *annex = weft__lane_annex(child->parent) ? weft__lane_annex(child) : NULL;
    if (!annex)
        return -ENOMEM;
    annex->tag = tag;
    child->supervised = how & 3;
    return 0;
}

void weft__lane_push_end(weft__lane *parent, weft__lane *child)
{
    weft__annex *annex = parent->annex; /* since it supervises */
    weft__fiber *f = annex->ender;
    weft__tasks_push(&annex->ends, &child->end_message);
    annex->ender = NULL;
    if (f && !parent->crew.killed) /* killed, it does not wait any more, and its record may be another's */
        weft__wake(f, -EINTR);     /* from whatever it waits for meanwhile */
}

static void stop_waiting(weft__fiber *f)
{
    weft__annex *annex = f->waits_on;
    annex->ender = NULL;
}

/* Until there is one. */
static int await_end(weft__annex *annex, weft__fiber *f, int64_t deadline)
{
    while (weft__tasks_empty(&annex->ends)) {
        if (annex->ender)
            return -EBUSY;
        if (deadline <= f->home->now_ns)
            return weft__refuse(f, -ETIMEDOUT);
        annex->ender = f;
        f->unwait = stop_waiting;
        f->waits_on = annex;
        int r = weft__wait(f, WEFT__WAIT_ENDS, deadline);
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
    weft__annex *annex = weft__lane_annex(self); /* one that has supervised nobody yet may wait, too */
    int r = annex ? await_end(annex, f, deadline) : -ENOMEM;
    if (r < 0)
        return r;
    weft__lane *child = weft__container(weft__tasks_pop(&annex->ends), weft__lane, end_message);
    weft__exit_fill(child, out);
    *tag = child->annex->tag;
    weft__lane_leave(child);
    return 0;
}
