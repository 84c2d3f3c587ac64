/* What a runtime tells about itself: time, figures, what it is. Any thread. */
#include <errno.h>
#include <string.h>

#include "env/bind.h"
#include "env/default.h"
#include "sched/sched.h"

static const weft_env *env_here(void)
{
    weft__worker *w = weft__worker_self();
    return w ? w->rt->env : weft__default_env();
}

static inline int64_t now(void)
{
    const weft_env *env = env_here();
    return weft__env_now(env);
}

int64_t weft_now(void) { return now(); }

int64_t weft_after(int64_t ns)
{
    int64_t from = now();
    return ns > WEFT_NEVER - from ? WEFT_NEVER : from + ns;
}

int64_t weft_wall_clock(void)
{
    const weft_env *env = env_here();
    return env->wall ? env->wall(env->self) : 0;
}

const char *weft_version(void) { return WEFT_VERSION; }

int weft_runtime_info(weft_runtime *rt, weft_info *out)
{
    if (!rt || rt->magic != WEFT__RUNTIME_MAGIC || !out)
        return -EINVAL;
    out->mode = rt->mode;
    out->port = rt->driver->name;
    out->workers = rt->workers - rt->first_cpu_worker;
    out->cpus = rt->topology.cpus;
    out->stack_size = rt->opt.stack_size;
    out->topology = rt->topology.source;
    return 0;
}

/* Each word is written by its worker alone, without an atomic operation, which would cost the hot paths
 * something for figures that hardly anybody looks at; a torn sum of several is a figure of some recent moment.
 * That is the one race here that is meant. */
__attribute__((noinline, no_sanitize("thread"))) static uint64_t seen(const uint64_t *word)
{
    return *(const volatile uint64_t *)word;
}

__attribute__((noinline, no_sanitize("thread"))) static uint32_t seen_count(const uint32_t *count)
{
    return *(const volatile uint32_t *)count;
}

/* Torn sums: what was given back since the first look may be more. */
static uint64_t left_of(uint64_t taken, uint64_t given) { return taken > given ? taken - given : 0; }

int weft_runtime_stats(weft_runtime *rt, weft_stats *out)
{
    if (!rt || rt->magic != WEFT__RUNTIME_MAGIC || !out)
        return -EINVAL;
    weft_stats s = {0};
    uint64_t taken = 0, given = 0;
    for (unsigned i = 0; i < rt->workers; i++) {
        const weft__worker *w = weft__load_acquire(&rt->worker[i], "stats");
        if (!w)
            continue;
        s.fibers_spawned += seen(&w->stats.fibers_spawned);
        s.fibers_ended += seen(&w->stats.fibers_ended);
        s.lanes_spawned += seen(&w->stats.lanes_spawned);
        s.lanes_ended += seen(&w->stats.lanes_ended);
        s.ticks += seen(&w->stats.ticks);
        s.tasks_run += seen(&w->stats.tasks);
        s.switches += seen(&w->stats.switches);
        s.steals += seen(&w->stats.steals);
        s.parks += seen(&w->stats.parks);
        s.wakes += seen(&w->stats.wakes);
        s.timers_armed += seen(&w->stats.timers_armed);
        s.timers_fired += seen(&w->stats.timers_fired);
        uint64_t transfers = seen(&w->stats.transfers); /* done; those that wait for it watch */
        s.ops_started += seen(&w->stats.ops) + transfers;
        s.ops_completed += transfers;
        s.lanes_stolen += seen(&w->stats.lanes_stolen);
        s.lanes_placed += seen(&w->stats.lanes_placed);
        s.lanes_moved += seen(&w->stats.lanes_out);
        s.blocked_reports += seen(&w->stats.blocked);
        given += seen(&w->stats.stacks_given);
        taken += seen(&w->stats.stacks_taken);
        for (unsigned k = 0; k < WEFT_ID_KINDS; k++)
            s.close_failures[k] += seen(&w->stats.close_failures[k]);
        if (w->owns_port) {
            s.kernel_entries += seen(&w->port->entered);
            s.ops_completed += seen(&w->port->completed);
            const uint32_t watching = seen_count(&w->port->watching);
            s.ops_started += watching;
            s.ops_in_flight += seen_count(&w->port->flying) + watching;
        }
    }
    s.stacks_used = left_of(taken, given);
    if (rt->hooks.stats)
        rt->hooks.stats(rt, &s);
    *out = s;
    return 0;
}

int weft_runtime_worker(weft_runtime *rt, unsigned worker, weft_worker_stats *out)
{
    if (!rt || rt->magic != WEFT__RUNTIME_MAGIC || !out)
        return -EINVAL;
    weft__worker *w = worker < rt->workers ? weft__load_acquire(&rt->worker[worker], "stats.worker") : NULL;
    if (!w)
        return -ENOENT;
    *out = (weft_worker_stats){.lanes_born = seen(&w->stats.lanes_spawned), .lanes_stolen = seen(&w->stats.lanes_stolen),
                               .lanes_placed = seen(&w->stats.lanes_placed), .lanes_in = seen(&w->stats.lanes_in),
                               .lanes_out = seen(&w->stats.lanes_out), .lanes_ended = seen(&w->stats.lanes_ended),
                               .load = weft__load_relaxed(&w->load, "stats.load")};
    return 0;
}

enum weft_path weft_runtime_path(weft_runtime *rt, enum weft_opcode code, const char **why)
{
    for (unsigned i = 0; rt && i < rt->workers; i++)
        if (rt->worker[i] && rt->worker[i]->owns_port)
            return weft_port_path(rt->worker[i]->port, code, why);
    return WEFT_PATH_NONE;
}
