/* The monitor: a thread that notices a worker which has not come back from a task for longer than blocked_ns, and has
 * that worker say what it is doing, by a signal handler on its own stack. One that only waits for a processor, as on a
 * machine that has too few for what it is to do, has done nothing that could be told. When nothing has run since its last look it
 * sleeps without a limit, and the next worker to wake rouses it. While it finds nobody inside a tick, although ticks
 * there were, it looks seldom: at a low rate of requests its own wake-ups would be more than the worker's (0.3 for each
 * at 100 a second, before it did). */
#include <errno.h>

#include "base/check.h"
#include "sched/sched.h"
#include "sched/text.h"

static void report(void *ctx, const void *machine)
{
    weft__worker *w = ctx;
    weft_runtime *rt = w->rt;
    char text[2048];
    size_t n = weft__format(text, sizeof text, "worker %u has not come back from a task for more than %lld ms: ", w->index,
                            (long long)(rt->opt.blocked_ns / WEFT_MILLISECOND));
    if (rt->hooks.describe && n < sizeof text)
        n += rt->hooks.describe(w, machine, text + n, sizeof text - n);
    if (rt->env->log)
        rt->env->log(rt->env->self, WEFT_LOG_WARNING, text, n < sizeof text ? n : sizeof text - 1);
}

enum { SELDOM = 32 }; /* so many periods */

typedef struct watch {
    uint64_t last[WEFT__WORKERS_MAX]; /* turns at the last look */
    int moved;                        /* some were others at the look before */
    uint64_t turn[WEFT__WORKERS_MAX]; /* and with it the budget: no two tasks have the same */
    int64_t since[WEFT__WORKERS_MAX];
    int64_t ran[WEFT__WORKERS_MAX]; /* what it had run when it was seen in the same turn again; negative: not yet */
    /* Doubled at each report: what was asked of a stuck fiber meanwhile, its death for one, is said too. */
    int64_t tell_after[WEFT__WORKERS_MAX];
} watch;

static void tell(weft__worker *w)
{
    weft_runtime *rt = w->rt;
    weft__add_relaxed(&w->stats.blocked, 1, "monitor.blocked");
    if (rt->env->interrupt(rt->env->self, w->tag, report, w) < 0)
        weft__say(rt, WEFT_LOG_WARNING, "worker %u has not come back from a task for more than %lld ms", w->index,
                  (long long)(rt->opt.blocked_ns / WEFT_MILLISECOND));
}

/* Whether it is blocked in the kernel; where env does not know, it may be. *ran_ns: what it has run. */
static int is_blocked(const weft__worker *w, int64_t *ran_ns)
{
    const weft_env *env = w->rt->env;
    *ran_ns = 0;
    return !env->ran || env->ran(env->self, w->tag, ran_ns) != 0;
}

/* It has had a processor for some of that time, not counted before it was seen there again: for half of what that is at
 * the first report; or it has not asked for one. */
static int is_stuck(const weft__worker *w, const watch *seen)
{
    int64_t ran_ns;
    return is_blocked(w, &ran_ns) || ran_ns - seen->ran[w->index] >= w->rt->opt.blocked_ns / 4;
}

/* Looks at every worker once, and offers to others what waits behind one that is stuck.
 * Returns how many are inside a tick. */
static unsigned look(weft_runtime *rt, watch *seen, int64_t now)
{
    unsigned running = 0;
    seen->moved = 0;
    for (unsigned i = 0; i < rt->workers; i++) {
        weft__worker *w = weft__load_acquire(&rt->worker[i], "monitor.look");
        if (!w)
            continue;
        uint64_t turn = weft__load_acquire(&w->turn, "monitor.look");
        seen->moved |= turn != seen->last[i];
        seen->last[i] = turn;
        if (turn % 2 == 0)
            continue;
        /* Of this tick, if it is the same turn at the next look. */
        turn = turn << 32 | (uint32_t)weft__load_relaxed(&w->budget, "monitor.budget");
        running++;
        if (turn != seen->turn[i]) {
            seen->turn[i] = turn;
            seen->since[i] = now;
            seen->ran[i] = -1;
            seen->tell_after[i] = rt->opt.blocked_ns;
            continue;
        }
        if (seen->ran[i] < 0)
            is_blocked(w, &seen->ran[i]);
        if (now - seen->since[i] >= rt->opt.blocked_ns) {
            if (weft__deque_length(&w->deque))
                weft__notify(rt); /* it kept that back, to run it next */
            if (now - seen->since[i] >= seen->tell_after[i] && is_stuck(w, seen)) {
                seen->tell_after[i] = 2 * (now - seen->since[i]);
                tell(w);
            }
        }
    }
    return running;
}

static void monitor_thread(void *arg)
{
    weft_runtime *rt = arg;
    watch seen = {0};
    const int64_t period = rt->opt.blocked_ns / 2, seldom = period < WEFT_NEVER / (2 * SELDOM) ? period * SELDOM : period;
    int64_t wait = 0; /* 0: it was roused just now, by one who runs */
    while (!weft__load_acquire(&rt->monitor.stop, "monitor.stop")) {
        int64_t now = weft__clock(rt);
        if (look(rt, &seen, now) || wait == 0) {
            wait = period;
        } else if (wait == period || seen.moved) {
            wait = seldom;
        } else {
            /* Then look again: pairs with the worker's load after its turn. */
            weft__store_seq(&rt->monitor.dormant, 1, "monitor.dormant");
            wait = look(rt, &seen, now) ? period : 0;
        }
        rt->env->park(rt->env->self, &rt->monitor.parker, wait ? now + wait : WEFT_NEVER);
        weft__store_relaxed(&rt->monitor.dormant, 0, "monitor.awake");
    }
}

void weft__monitor_rouse(weft_runtime *rt)
{
    if (weft__exchange_seq(&rt->monitor.dormant, 0, "monitor.rouse"))
        rt->env->unpark(rt->env->self, &rt->monitor.parker);
}

int weft__monitor_start(weft_runtime *rt)
{
    if (rt->opt.blocked_ns < 0 || !rt->env->thread_start || !rt->env->interrupt || rt->opt.external_workers)
        return 0;
    weft_thread_options opt = {.name = "weft-monitor"};
    return rt->env->thread_start(rt->env->self, &rt->monitor.thread, &opt, monitor_thread, rt);
}

void weft__monitor_stop(weft_runtime *rt)
{
    if (!rt->monitor.thread)
        return;
    weft__store_seq(&rt->monitor.stop, 1, "monitor.stop");
    rt->env->unpark(rt->env->self, &rt->monitor.parker);
    rt->env->thread_join(rt->env->self, rt->monitor.thread);
    rt->monitor.thread = NULL;
}
