/* Scopes and shields: stretches of a fiber's code with a deadline and a cancelled state of their own. They lie on
 * the fiber's stack, linked from the innermost outwards. Home-thread code; the public calls are for the fiber
 * itself. */
#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "fiber/fiber.h"

_Static_assert(sizeof(weft__scope) <= sizeof(weft_scope), "weft_scope has room for what it hides");

static void expired(weft__timer *t)
{
    weft__scope *s = weft__container(t, weft__scope, timer);
    if (s->shield) {
        s->spent = 1; /* the grace is over: cancellation from outside is seen again */
    } else {
        s->expired = 1;
        s->cancelled = 1;
    }
    weft__interrupt(s->fiber);
}

static int enter(weft_scope *opaque, int64_t deadline, uint8_t shield)
{
    weft__fiber *f = weft__fiber_self();
    if (!f)
        return -EPERM;
    if (!opaque)
        return -EINVAL;
    weft__scope *s = (weft__scope *)(void *)opaque;
    memset(s, 0, sizeof *s);
    s->parent = f->scopes;
    s->fiber = f;
    s->shield = shield;
    s->timer.fire = expired;
    f->scopes = s;
    if (deadline <= f->home->now_ns)
        expired(&s->timer);
    else if (deadline != WEFT_NEVER)
        weft__timer_arm(f->home, &s->timer, deadline);
    return 0;
}

/* The scope must be the innermost of the calling fiber. */
static int leave(weft_scope *opaque, uint8_t shield, weft__scope **out)
{
    weft__fiber *f = weft__fiber_self();
    if (!f)
        return -EPERM;
    weft__scope *s = (weft__scope *)(void *)opaque;
    if (!s || f->scopes != s || s->shield != shield)
        return -EINVAL;
    weft__scopes_look(f);
    weft__timer_cancel(f->home, &s->timer);
    f->scopes = s->parent;
    *out = s;
    return 0;
}

int weft_scope_enter(weft_scope *scope, int64_t deadline) { return enter(scope, deadline, 0); }

int weft_scope_leave(weft_scope *scope)
{
    weft__scope *s;
    int r = leave(scope, 0, &s);
    if (r < 0)
        return r;
    return s->expired ? -ETIMEDOUT : s->cancelled ? -ECANCELED : 0;
}

int weft_scope_cancel(weft_scope *scope)
{
    weft__fiber *f = weft__fiber_self();
    weft__scope *s = (weft__scope *)(void *)scope;
    if (!f)
        return -EPERM;
    if (!s || s->shield || s->fiber->crew != f->crew)
        return -EINVAL;
    s->cancelled = 1;
    weft__interrupt(s->fiber);
    return 0;
}

int weft_shield_enter(weft_scope *scope, int64_t grace_ns)
{
    weft__fiber *f = weft__fiber_self();
    if (!f)
        return -EPERM;
    int64_t grace = grace_ns > 0 ? grace_ns : f->home->rt->opt.grace_ns, now = weft__clock(f->home->rt);
    return enter(scope, grace > WEFT_NEVER - now ? WEFT_NEVER : now + grace, 1);
}

int weft_shield_leave(weft_scope *scope)
{
    weft__scope *s;
    return leave(scope, 1, &s);
}

void weft__scopes_look(weft__fiber *f)
{
    int64_t now = 0;
    for (weft__scope *s = f->scopes; s; s = s->parent) {
        if (!weft__timer_armed(&s->timer))
            continue;
        if (!now)
            now = weft__clock(f->home->rt);
        if (s->timer.deadline_ns <= now) {
            weft__timer_cancel(f->home, &s->timer);
            s->timer.fire(&s->timer);
        }
    }
}

void weft__scopes_drop(weft__fiber *f)
{
    for (weft__scope *s = f->scopes; s; s = s->parent)
        weft__timer_cancel(f->home, &s->timer);
    f->scopes = NULL;
}
