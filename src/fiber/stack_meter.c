/* How much stack memory is committed, of a lane and of the runtime, and whether that leaves room for one more fiber
 * (DESIGN rule 11). Any worker; what a lane's fibers have is measured by the lane's worker.
 *
 * Stacks are committed by the program as it touches them, and only the system can tell how many pages that was, at
 * the price of a system call or more. So the figure is a sample plus an estimate for the fibers that came after it,
 * each taken for as deep as the others are on the average. A new sample is taken when the old one is old or says
 * that there is no room, both at most a twentieth of a worker's time; and, where the bound is so near that new
 * fibers could pass it, after each eighth more of them, which is a constant price for a fiber. */
#include <errno.h>

#include "base/check.h"
#include "fiber/fiber.h"

enum { AGE_MS = 10, SPACING = 20, PAGES_LEAST = 2, RANGES = 32 };

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

/* All of them, pooled ones included. At the limit, what lies idle is given back: the depot's and our own pool's at
 * once, the other workers' as they next have nothing to do, and all that comes back from now on. */
static size_t measure_runtime(weft_runtime *rt, size_t limit, size_t unit, size_t *stacks)
{
    weft__fibers *here = weft__fibers_here(rt);
    weft__stack_depot *depot = &realm_of(rt)->depot;
    size_t sum = measure_depot(rt), idle, reserved;
    if (sum + unit > limit) {
        if (!weft__exchange_seq(&depot->tight, 1, "meter.tight"))
            weft__workers_rouse(rt, 0);
        if (here)
            weft__stack_pool_tend(&here->stacks, WEFT__STACK_TEND_ALL);
        weft__stack_depot_trim(depot, 0);
        sum = measure_depot(rt);
    } else if (sum < limit / 2 && weft__load_relaxed(&depot->tight, "meter.tight")) {
        weft__store_relaxed(&depot->tight, 0, "meter.tight");
    }
    weft__stack_depot_count(depot, stacks, &idle, &reserved);
    return sum;
}

/* ---- admission ---- */

static int fits(weft__stack_meter *m)
{
    size_t unit = weft__load_relaxed(&m->unit, "meter.fits");
    size_t used = weft__load_relaxed(&m->sample, "meter.fits") + weft__load_relaxed(&m->since, "meter.fits") * unit;
    return used <= m->limit && unit <= m->limit - used;
}

/* Could those that came after the sample have passed the bound already, each using all of its stack? Then few of
 * them go by an estimate. */
static int doubtful(weft__stack_meter *m, const weft_runtime *rt)
{
    size_t since = weft__load_relaxed(&m->since, "meter.doubt"), used = weft__load_relaxed(&m->sample, "meter.doubt");
    return since > weft__load_relaxed(&m->count, "meter.doubt") / 8 && used + (since + 1) * rt->opt.stack_size > m->limit;
}

/* Time for another sample? */
static int wants_sample(weft__stack_meter *m, const weft_runtime *rt, int64_t now)
{
    if (fits(m) && doubtful(m, rt))
        return 1;
    if (now < weft__load_relaxed(&m->soonest_ns, "meter.admit"))
        return 0;
    return now >= weft__load_relaxed(&m->due_ns, "meter.admit") || !fits(m);
}

/* What a sample costs, of what the last one took by the clock: a thread that was preempted meanwhile took long, and
 * admission must not be closed for twenty times that. A price that has really risen is believed a few samples later. */
static int64_t believable(int64_t took_ns, int64_t before_ns)
{
    int64_t most = 2 * before_ns + 50 * WEFT_MICROSECOND;
    return took_ns < most ? took_ns : most;
}

/* Who holds `busy`. */
static void sample(weft__stack_meter *m, weft_runtime *rt, weft__crew *crew)
{
    size_t stacks = 0, least = PAGES_LEAST * rt->env->page_size;
    int64_t begin = weft__clock(rt);
    size_t sum = crew ? weft__crew_stack_bytes(crew, &stacks) : measure_runtime(rt, m->limit, least, &stacks);
    int64_t end = weft__clock(rt), cost = end - begin;
    size_t each = stacks ? sum / stacks : 0;
    weft__store_relaxed(&m->sample, sum, "meter.sample");
    weft__store_relaxed(&m->count, stacks, "meter.sample");
    weft__store_relaxed(&m->unit, each > least ? each : least, "meter.sample");
    weft__store_relaxed(&m->since, (size_t)0, "meter.sample");
    m->cost_ns = believable(cost, m->cost_ns);
    int64_t pause = SPACING * m->cost_ns, age = AGE_MS * WEFT_MILLISECOND;
    weft__store_relaxed(&m->soonest_ns, end + pause, "meter.sample");
    weft__store_relaxed(&m->due_ns, end + (pause > age ? pause : age), "meter.sample");
}

static int admit(weft__stack_meter *m, weft_runtime *rt, weft__crew *crew)
{
    if (!m->limit)
        return 0;
    /* Pairs with the release below; others go by the old sample meanwhile. */
    if (wants_sample(m, rt, weft__clock(rt)) &&
        !weft__exchange_acquire(&m->busy, 1, "meter.admit")) {
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
