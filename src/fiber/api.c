/* The public calls of fiber.h that spawn, join, park and cancel. For fibers, on their own worker; the _in forms from
 * any thread. */
#include <errno.h>
#include <string.h>

#include "fiber/contain.h"
#include "base/check.h"
#include "fiber/graph.h"

int weft_spawn_at(weft_id *out, int (*fn)(void *), void *arg, const weft_spawn_options *opt, const char *name, const char *site)
{
    weft__fiber *self = weft__fiber_self(), *f;
    if (!self)
        return -EPERM;
    weft__probe(self);
    int r = weft__fiber_spawn(self, fn, arg, opt, name, site, &f);
    if (r < 0)
        return r;
    if (!out)
        f->detached = 1;
    else
        *out = weft__fiber_id(f);
    return 0;
}

/* A fiber of the caller's own lane, by id. */
static int find_sibling(weft_id id, weft__fiber **self, weft__fiber **out)
{
    *self = weft__fiber_self();
    if (!*self)
        return -EPERM;
    int r = weft__fiber_find((*self)->home, id, out);
    if (r < 0)
        return r;
    return (*out)->crew == (*self)->crew ? 0 : -EPERM;
}

static weft__fiber *joined_by(const weft__fiber *f)
{
    const weft__edge *e = f->waits_on;
    return e->object;
}

static void leave_join(weft__fiber *f)
{
    joined_by(f)->joiner = NULL;
    if (f->edge)
        weft__graph_remove(f->edge);
}

static weft__fiber *joined(void *fiber) { return fiber; }

void weft__joins_show(weft__fiber *f)
{
    for (; f->state == WEFT__WAITING && f->waiting == WEFT__WAIT_JOIN && !f->edge; f = joined_by(f))
        weft__graph_show(f->waits_on);
}

/* Who joins may close a circle only if somebody can wait for it: for a lock that it holds, or by joining it. Until
 * then its edge is nobody's business; who comes later shows it. A main fiber, which is detached, is waited for by
 * whoever joins its lane, on another worker. */
__attribute__((always_inline)) static inline int wait_joined(weft__fiber *self, weft__fiber *f, int64_t deadline)
{
    weft__edge e = {.fiber = self, .object = f, .holder = joined, .what = "the end", .timed = deadline != WEFT_NEVER};
    int r = 0;
    if (self->locks || self->joiner || (self->detached && self->crew->joinable)) {
        weft__joins_show(f);
        r = weft__graph_add(&e);
    }
    if (r < 0)
        return r;
    f->joiner = self;
    self->unwait = leave_join;
    self->waits_on = &e;
    r = weft__wait_here(self, WEFT__WAIT_JOIN, deadline);
    if (self->edge)
        weft__graph_remove(&e);
    return r;
}

int weft_join(weft_id id, int *result, int64_t deadline)
{
    weft__probe_self();
    weft__fiber *self, *f;
    int r = find_sibling(id, &self, &f);
    if (r < 0)
        return r;
    if (f == self)
        return -EDEADLK;
    if (f->detached)
        return -ESRCH;
    if (f->joiner)
        return -EBUSY;
    if (weft__canceled(self))
        return weft__refuse(self, -ECANCELED);
    if (f->state != WEFT__ENDED) {
        r = wait_joined(self, f, deadline);
        if (r < 0)
            return r;
    }
    if (result)
        *result = f->result;
    weft__fiber_free(f);
    return 0;
}

int weft_detach(weft_id id)
{
    weft__probe_self();
    weft__fiber *self, *f;
    int r = find_sibling(id, &self, &f);
    if (r < 0)
        return r;
    if (f->detached)
        return -ESRCH;
    if (f->joiner)
        return -EBUSY;
    f->detached = 1;
    if (f->state == WEFT__ENDED)
        weft__fiber_free(f);
    return 0;
}

/* Inline: it ends in the switch, so the call that it is part of returns from there by a jump. */
__attribute__((always_inline)) static inline int yield_here(weft__fiber *f)
{
    weft__worker *w = f->home;
    f->state = WEFT__READY;
    weft__worker_ready(w, &f->resume);
    weft__context *next = weft__fiber_next(w);
    return next != &f->context ? weft__switch(&f->context, next, NULL, NULL) : 0;
}

int weft__yield(weft__fiber *f) { return yield_here(f); }

int weft_yield(void)
{
    weft__fiber *f = weft__fiber_self();
    if (!f)
        return -EPERM;
    weft__probe(f);
    return yield_here(f);
}

int weft_sleep(int64_t deadline)
{
    weft__fiber *f = weft__fiber_self();
    if (!f)
        return -EPERM;
    weft__probe(f);
    if (weft__canceled(f))
        return weft__refuse(f, -ECANCELED);
    if (deadline <= f->home->now_ns)
        return yield_here(f);
    return weft__wait(f, WEFT__WAIT_SLEEP, deadline);
}

int weft_park(int64_t deadline)
{
    weft__fiber *f = weft__fiber_self();
    if (!f)
        return -EPERM;
    weft__probe(f);
    if (weft__canceled(f))
        return weft__refuse(f, -ECANCELED);
    if (f->token) {
        f->token = 0;
        return 0;
    }
    if (deadline <= f->home->now_ns)
        return weft__refuse(f, -ETIMEDOUT);
    return weft__wait(f, WEFT__WAIT_PARK, deadline);
}

int weft_unpark(weft_id id)
{
    weft__probe_self();
    weft__worker *w = weft__worker_self();
    if (!w)
        return -EPERM;
    weft__fiber *f;
    int r = weft__fiber_find(w, id, &f);
    if (r == -EPERM)
        return weft__fiber_signal(w->rt, id, WEFT__SIG_UNPARK);
    if (r < 0)
        return r;
    if (f->state == WEFT__ENDED)
        return -ESRCH;
    weft__fiber_unpark(f);
    return 0;
}

int weft_unpark_in(weft_runtime *rt, weft_id id)
{
    weft__probe_more(1);
    if (!rt)
        return -EINVAL;
    weft__worker *w = weft__worker_self();
    if (w && w->rt == rt)
        return weft_unpark(id);
    weft__add_seq(&rt->guests, 1, "unpark.guest"); /* the worker it is for stays until the message is with it */
    int r = weft__fiber_signal(rt, id, WEFT__SIG_UNPARK);
    weft__sub_seq(&rt->guests, 1, "unpark.guest");
    return r;
}

weft_id weft_self(void)
{
    weft__fiber *f = weft__fiber_self();
    return f ? weft__fiber_id(f) : WEFT_NOID;
}

const char *weft_name(void)
{
    weft__fiber *f = weft__fiber_self();
    return f ? f->name : NULL;
}

int weft_set_name(const char *name)
{
    weft__fiber *f = weft__fiber_self();
    if (!f)
        return -EPERM;
    if (!name)
        return -EINVAL;
    f->name = name;
    return 0;
}

int weft_canceled(void)
{
    weft__fiber *f = weft__fiber_self();
    if (!f)
        return 0;
    weft__scopes_look(f); /* a loop that computes gives no timer a chance to fire */
    return weft__canceled(f) ? -ECANCELED : 0;
}
