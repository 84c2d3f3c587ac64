/* Noticing that nothing in a runtime can ever run again. Whoever falls asleep looks, on its own thread, if it
 * sleeps without a deadline and with nothing in flight; the words `nap` of the workers, `inquest` and `expected` of
 * the runtime belong to this file.
 *
 * A worker's `nap` is odd from when it has said that it waits (so that whoever sends it something wakes it) until it
 * has come back, and in between it runs nothing. All are odd, nothing is queued, and each still waits undisturbed with
 * the same nap as before: then there was a moment when all slept and no message was on its way, for a message leaves
 * its receiver disturbed until that wakes, and its sender had sent it before it slept. What holds then holds for ever,
 * unless something comes from outside: an op's end, a timer, a signal that is waited for, a thread that has announced
 * itself. The first two no nap has; guests are asked for before the look, signals after it.
 *
 * No look is missed: each worker makes its nap odd before it reads the others', sequentially consistent, so
 * the last to do so sees all odd. Two that look at once take turns (`inquest`); and who is woken meanwhile,
 * which only an outside that did not announce itself can do, waits until the look is over, so that fibers
 * may be read while one is under way. */
#include <errno.h>
#include <weft/lane.h>

#include "base/check.h"
#include "sched/sched.h"

enum { REPORT_SIZE = 64 << 10 };

static void relax(const weft_runtime *rt)
{
    if (rt->env->relax)
        rt->env->relax(rt->env->self);
}

/* The i-th worker; NULL: it has left, or it is a host's thread and has not come.
 * One of ours that has not come yet is about to run. */
static weft__worker *present(const weft_runtime *rt, unsigned i)
{
    weft__worker *v = weft__load_acquire(&rt->worker[i], "stuck.worker");
    return v && !weft__load_seq(&v->vacant, "stuck.worker") ? v : NULL;
}

static int all_nap(const weft_runtime *rt, uint64_t *naps)
{
    for (unsigned i = 0; i < rt->workers; i++) {
        weft__worker *v = present(rt, i);
        if (!v && !rt->opt.external_workers)
            return 0;
        uint64_t nap = v ? weft__load_seq(&v->nap, "stuck.nap") : 1;
        if (!(nap & 1))
            return 0;
        if (naps)
            naps[i] = nap;
    }
    return 1;
}

/* It waits, and nothing is on its way to it. Within its nap. */
static int undisturbed(weft__worker *v)
{
    if (v->owns_port)
        return weft__load_seq(&v->port->sleeping, "stuck.port") == WEFT__PORT_SLEEPING && !weft__load_seq(&v->port->inbox, "stuck.port");
    return weft__load_seq(&v->asleep, "stuck.inbox") && !weft__load_seq(&v->inbox, "stuck.inbox");
}

static int all_slept(const weft_runtime *rt, const uint64_t *naps)
{
    for (unsigned i = 0; i < rt->workers; i++) {
        weft__worker *v = present(rt, i);
        if (v && (!undisturbed(v) || weft__load_seq(&v->nap, "stuck.again") != naps[i]))
            return 0;
    }
    return 1;
}

/* It was told before, and nothing has run since. */
static int known(weft_runtime *rt)
{
    uint64_t ran = 1;
    for (unsigned i = 0; i < rt->workers; i++) {
        weft__worker *v = weft__load_acquire(&rt->worker[i], "stuck.told");
        if (v)
            ran += weft__load_relaxed(&v->stats.tasks, "stuck.told");
    }
    if (rt->told == ran)
        return 1;
    rt->told = ran;
    return 0;
}

static int over(weft_runtime *rt)
{
    uint64_t naps[WEFT__WORKERS_MAX] = {0};
    /* First: what a guest did before it left is seen by what follows. */
    if (weft__load_seq(&rt->expected, "stuck.expected"))
        return 0;
    return all_nap(rt, naps) && !weft__any_work(rt) && all_slept(rt, naps) &&
           !weft__load_acquire(&rt->ended, "stuck.ended") && !weft__load_acquire(&rt->done, "stuck.done") && rt->hooks.forlorn(rt) &&
           !known(rt);
}

int weft__stuck_look(weft__worker *w)
{
    weft_runtime *rt = w->rt;
    if (!rt->watched || w->polled)
        return 0;
    /* Before the look at the others'; pairs with itself in each of them. */
    weft__store_seq(&w->nap, w->nap + 1, "stuck.sleep");
    if (!all_nap(rt, NULL))
        return 0;
    uint32_t none = 0;
    /* Before the second look; pairs with weft__stuck_wake. */
    while (!weft__cas_seq(&rt->inquest, &none, 1, "stuck.begin")) {
        none = 0;
        relax(rt);
    }
    w->verdict = (uint8_t)over(rt);
    if (w->verdict) {
        w->report = rt->env->map(rt->env->self, REPORT_SIZE, 0);
        if (w->report)
            rt->hooks.inquire(rt, w->report, REPORT_SIZE);
    }
    weft__store_seq(&rt->inquest, 0, "stuck.end");
    return w->verdict;
}

void weft__stuck_wake(weft__worker *w)
{
    weft_runtime *rt = w->rt;
    if (!(w->nap & 1))
        return;
    weft__store_seq(&w->nap, w->nap + 1, "stuck.wake"); /* before the look at inquest; pairs with weft__stuck_look */
    while (weft__load_seq(&rt->inquest, "stuck.wake"))
        relax(rt);
}

void weft__stuck_act(weft__worker *w)
{
    weft_runtime *rt = w->rt;
    char *report = w->report;
    w->verdict = 0;
    w->report = NULL;
    rt->hooks.stuck(rt, report ? report : "nothing can run any more (no memory to say what waits)");
    if (report)
        rt->env->unmap(rt->env->self, report, REPORT_SIZE);
}

/* ---- who is outside and will call in ---- */

int weft_guest_enter(weft_runtime *rt)
{
    if (!rt || rt->magic != WEFT__RUNTIME_MAGIC)
        return -EINVAL;
    weft__add_seq(&rt->expected, 1, "guest.enter");
    return 0;
}

int weft_guest_leave(weft_runtime *rt)
{
    if (!rt || rt->magic != WEFT__RUNTIME_MAGIC)
        return -EINVAL;
    weft__add_seq(&rt->guests, 1, "guest.leave"); /* the workers that we wake stay until we are through */
    uint32_t n = weft__load_seq(&rt->expected, "guest.leave");
    int r = 0;
    do
        r = n ? 0 : -EINVAL;
    while (n && !weft__cas_seq(&rt->expected, &n, n - 1, "guest.leave"));
    if (n == 1 && rt->watched)
        weft__workers_rouse(rt, 0); /* they look anew as they fall asleep */
    weft__sub_seq(&rt->guests, 1, "guest.left");
    return r;
}
