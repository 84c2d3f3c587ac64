/* Deferred clean-ups: what a fiber wants done however it ends. They run newest first, each once: on the fiber's own
 * stack when it returns, on a fresh one when it was killed (death.c), shielded and within a grace in both cases.
 * Home-worker code; the public calls are for the fiber itself. */
#include <errno.h>

#include "base/check.h"
#include "fiber/death.h"

int weft_defer(void (*fn)(void *arg), void *arg)
{
    weft__fiber *f = weft__fiber_self();
    if (!f)
        return -EPERM;
    if (!fn)
        return -EINVAL;
    weft__defer *d = weft__slab_get(&weft__fibers_of(f->home)->defers);
    if (!d)
        return -ENOMEM;
    d->fn = fn;
    d->arg = arg;
    d->below = f->defers;
    f->defers = d;
    return 0;
}

/* Takes the newest off; the fiber has one. */
static weft__defer pop(weft__fiber *f)
{
    weft__defer *d = f->defers, copy = *d;
    f->defers = d->below;
    weft__slab_put(&weft__fibers_of(f->home)->defers, d);
    return copy;
}

int weft_undefer(int run)
{
    weft__fiber *f = weft__fiber_self();
    if (!f)
        return -EPERM;
    if (!f->defers)
        return -ESRCH;
    weft__defer d = pop(f);
    if (run)
        d.fn(d.arg);
    return 0;
}

void weft__defers_run(weft__fiber *f)
{
    const weft__scope *shield = f->scopes;
    while (f->defers) {
        weft__defer d = pop(f);
        d.fn(d.arg);
        if (f->scopes != shield)
            weft__left_inside_scope(f);
    }
}

static void grace_over(weft__timer *t)
{
    weft__scope *s = weft__container(t, weft__scope, timer);
    /* Whether or not anybody had asked before: what was deferred does not hold up its lane for ever. */
    s->cancelled = 1;
    s->fiber->cleaning = WEFT__CLEANING_LATE;
    if (s->fiber->crew->killed)
        weft__fiber_stop(s->fiber);
    else
        weft__interrupt(s->fiber);
}

void weft__defers_on_return(weft__fiber *f)
{
    int64_t now = weft__clock(f->home->rt), grace = f->home->rt->opt.grace_ns;
    weft__scope shield = {.fiber = f, .shield = 1, .timer = {.fire = grace_over}};
    f->scopes = &shield;
    f->cleaning = WEFT__CLEANING;
    weft__timer_arm(f->home, &shield.timer, grace > WEFT_NEVER - now ? WEFT_NEVER - 1 : now + grace);
    weft__defers_run(f);
    weft__timer_cancel(f->home, &shield.timer);
    f->scopes = NULL;
    f->cleaning = WEFT__CLEANING_NOT;
}
