/* How much stack memory is committed, of a lane and of the runtime, and whether that leaves room for one more fiber (DESIGN rule 11). Any
 * worker; what a lane's fibers have is measured by the lane's worker.
 *
 * Stacks are committed by the program as it touches them, and only the system can tell how many pages that was, at the price of a system call
 * or more. So the figure is a sample plus an estimate for the fibers that came after it, and a new sample is taken when the old one is old or
 * says that there is no room. Samples are spaced so that they take about a twentieth of a worker's time at most. */
#include <errno.h>

#include "base/check.h"
#include "fiber/fiber.h"

enum { AGE_MS = 10, SPACING = 20, PAGES_LEAST = 2, RANGES = 32, TEND = 256 };

static weft__fiber_realm *realm_of(weft_runtime *rt) { return rt->fibers; }

int weft__stack_meter_init(weft__stack_meter *m, const weft_runtime *rt, size_t limit)
{
    if (!limit || rt->opt.stacks_committed) /* those are all there at the start: their number is the bound */
        return 0;
    if (!rt->env->resident)
        return -ENOTSUP;
    m->limit = limit;
    m->unit = PAGES_LEAST * rt->env->page_size;
    return 0;
}

/* ---- measuring ---- */

size_t weft__crew_stack_bytes(weft__crew *crew, size_t *stacks)
{
    weft_runtime *rt = crew->home->rt;
    const weft__stack_pool *pool = &weft__fibers_of(crew->home)->stacks;
    size_t sum = 0, n = 0;
    for (weft__link *l = crew->fibers.next; l != &crew->fibers; l = l->next) {
        const weft__fiber *f = weft__container(l, weft__fiber, siblings);
        if (f->foreign_stack || f->state == WEFT__ENDED)
            continue;
        n++;
        if (!f->stack)
            sum += PAGES_LEAST * rt->env->page_size;
        else
            sum += rt->opt.stacks_committed ? f->stack->size : weft__stack_high_water(pool, f->stack);
    }
    *stacks = n;
    return sum;
}

static size_t measure_depot(weft_runtime *rt)
{
    weft__stack_range range[RANGES];
    size_t sum = 0, n, from = 0;
    do {
        n = weft__stack_depot_ranges(&realm_of(rt)->depot, from, range, RANGES);
        for (size_t i = 0; i < n; i++)
            sum += rt->env->resident(rt->env->self, range[i].lo, range[i].size);
        from += n;
    } while (n == RANGES);
    return sum;
}

/* All of them, pooled ones included. At the limit, what lies idle within reach is given back first. */
static size_t measure_runtime(weft_runtime *rt, size_t limit, size_t unit, size_t *stacks)
{
    weft__worker *w = weft__worker_self();
    size_t sum = measure_depot(rt), idle, reserved;
    if (sum + unit > limit) {
        if (w && w->rt == rt && w->fibers)
            weft__stack_pool_tend(&weft__fibers_of(w)->stacks, TEND);
        weft__stack_depot_trim(&realm_of(rt)->depot, 0);
        sum = measure_depot(rt);
    }
    weft__stack_depot_count(&realm_of(rt)->depot, stacks, &idle, &reserved);
    return sum;
}

/* ---- admission ---- */

static int fits(weft__stack_meter *m)
{
    size_t unit = weft__load_relaxed(&m->unit, "meter.fits");
    size_t used = weft__load_relaxed(&m->sample, "meter.fits") + weft__load_relaxed(&m->since, "meter.fits") * unit;
    return used <= m->limit && unit <= m->limit - used;
}

static void sample(weft__stack_meter *m, weft_runtime *rt, weft__crew *crew)
{
    size_t stacks = 0, least = PAGES_LEAST * rt->env->page_size;
    int64_t begin = weft__clock(rt);
    size_t sum = crew ? weft__crew_stack_bytes(crew, &stacks) : measure_runtime(rt, m->limit, least, &stacks);
    int64_t end = weft__clock(rt), cost = end - begin;
    size_t each = stacks ? sum / stacks : 0;
    weft__store_relaxed(&m->sample, sum, "meter.sample");
    weft__store_relaxed(&m->unit, each > least ? each : least, "meter.sample");
    weft__store_relaxed(&m->since, (size_t)0, "meter.sample");
    weft__store_relaxed(&m->soonest_ns, end + SPACING * cost, "meter.sample");
    weft__store_relaxed(&m->due_ns, end + (cost * SPACING > AGE_MS * WEFT_MILLISECOND ? cost * SPACING : AGE_MS * WEFT_MILLISECOND),
                        "meter.sample");
}

static int admit(weft__stack_meter *m, weft_runtime *rt, weft__crew *crew)
{
    if (!m->limit)
        return 0;
    int64_t now = weft__clock(rt);
    int fresh = now < weft__load_relaxed(&m->due_ns, "meter.admit");
    if (!(fresh && fits(m)) && now >= weft__load_relaxed(&m->soonest_ns, "meter.admit") &&
        !weft__exchange_acquire(&m->busy, 1, "meter.admit")) { /* pairs with the release below; others go by the old sample meanwhile */
        sample(m, rt, crew);
        weft__store_release(&m->busy, 0, "meter.admit");
    }
    if (!fits(m))
        return -ENOMEM;
    weft__add_relaxed(&m->since, (size_t)1, "meter.admit");
    return 0;
}

/* Once: the caller's, or the newborn lane's, account and the one above. */
static int admit_all(weft__account *a, weft_runtime *rt, weft__crew *crew)
{
    int r = 0;
    for (; a && r == 0; a = a->above)
        r = admit(&a->stacks, rt, a->common ? NULL : crew);
    return r;
}

int weft__stack_admit(weft__account *a, weft_runtime *rt, weft__crew *crew, int64_t deadline)
{
    int r = admit_all(a, rt, crew);
    weft__fiber *f = weft__fiber_self();
    while (r == -ENOMEM && f && deadline) {
        if (weft__canceled(f))
            return weft__refuse(f, -ECANCELED);
        int64_t now = weft__clock(rt), look = now + WEFT__STACK_LOOK_NS;
        if (deadline <= now)
            break;
        r = weft__wait(f, WEFT__WAIT_SLEEP, look < deadline ? look : deadline);
        if (r == 0)
            r = admit_all(a, rt, crew);
    }
    return r;
}
