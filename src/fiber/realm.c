/* Set-up of the fiber layer: one realm per runtime, one set of pools per worker. */
#include <errno.h>
#include <string.h>

#include "arch/unwind.h"
#include "base/check.h"
#include "fiber/contain.h"
#include "fiber/death.h"
#include "fiber/fiber.h"
#include "port/inflight.h"
#include "sched/text.h"

/* A stack is being given back: nothing that the kernel may still write to lies on it (checked builds). */
static void check_stack(const void *lo, size_t size) { weft__inflight_check(lo, size, "a stack"); }

/* In a signal handler: whose stack ran over at this address. */
static size_t describe_fault(void *ctx, uintptr_t address, void *machine, char *buf, size_t size)
{
    weft__fiber_realm *realm = ctx;
    const weft__stack *stack;
    if (weft__stack_find(&realm->depot, address, &stack) != WEFT__STACK_GUARD || !stack)
        return 0;
    if (weft__contain(realm, stack, machine))
        return WEFT_FAULT_MENDED;
    const weft__fiber *f = stack->owner;
    weft__stack_overflow what = {.lo = stack->lo, .size = stack->size, .address = address};
    if (f) {
        what.fiber = f->name;
        what.site = f->site;
        what.lane = f->crew->name;
    }
    return weft__stack_report(buf, size, &what);
}

static int set_limits(weft__fiber_realm *realm, weft_runtime *rt)
{
    const weft_options *o = &rt->opt;
    weft_limits limits = {.fibers = o->max_fibers, .lanes = o->max_lanes, .ids = o->max_ids, .ops = o->max_ops, .vat_bytes = o->max_vat_bytes};
    weft__account_init(&realm->account, rt, &limits, NULL);
    realm->account.common = 1;
    realm->account.ops_wait = o->ops_wait != 0;
    realm->limited = o->max_fibers || o->max_lanes || o->max_ids || o->max_ops || o->max_vat_bytes || o->max_stack_bytes;
    int r = weft__stack_meter_init(&realm->account.stacks, rt, o->max_stack_bytes);
    if (r < 0)
        weft__say(rt, WEFT_LOG_ERROR, "max_stack_bytes: environment \"%s\" cannot tell what is committed", rt->env->name);
    return r;
}

int weft__fibers_open(weft_runtime *rt, const weft__crew_hooks *hooks)
{
    const weft_env *env = rt->env;
    size_t bytes = (sizeof(weft__fiber_realm) + env->page_size - 1) / env->page_size * env->page_size;
    weft__fiber_realm *realm = env->map(env->self, bytes, 0);
    if (!realm)
        return -ENOMEM;
    realm->hooks = *hooks;
    int strict = rt->opt.memory != NULL;
    int r = set_limits(realm, rt);
    if (r < 0)
        goto unmap;
    r = weft__slab_init(&realm->slab, env, sizeof(weft__fiber), strict ? 4 : 8, strict ? 512 : 65536, WEFT__GEN_LIVES);
    if (r < 0)
        goto unmap;
    r = weft__slab_init(&realm->defers, env, sizeof(weft__defer), strict ? 4 : 8, strict ? 512 : 65536, WEFT__GEN_LIVES);
    if (r < 0)
        goto slab;
    r = weft__slab_init(&realm->newborns, env, sizeof(weft__newborn), strict ? 4 : 8, strict ? 512 : 65536, WEFT__GEN_LIVES);
    if (r < 0)
        goto defers;
    r = weft__slab_init(&realm->locals, env, sizeof(weft__locals), strict ? 4 : 8, strict ? 512 : 65536, WEFT__GEN_LIVES);
    if (r < 0)
        goto newborns;
    weft__stack_options stacks = {.limit = rt->opt.max_stacks, .inflight_check = check_stack};
    if (rt->opt.stacks_committed) {
        stacks.fixed_size = rt->opt.stack_size;
        stacks.fixed_count = rt->opt.stacks_committed;
    }
    r = weft__stack_depot_init(&realm->depot, env, &stacks);
    if (r < 0)
        goto locals;
    /* Where that is refused, overflows end the program without a report. */
    if (env->fault_watch)
        realm->watched = env->fault_watch(env->self, describe_fault, realm) == 0;
    rt->fibers = realm;
    return 0;
locals:
    weft__slab_fini(&realm->locals);
newborns:
    weft__slab_fini(&realm->newborns);
defers:
    weft__slab_fini(&realm->defers);
slab:
    weft__slab_fini(&realm->slab);
unmap:
    env->unmap(env->self, realm, bytes);
    return r;
}

void weft__fibers_close(weft_runtime *rt)
{
    const weft_env *env = rt->env;
    weft__fiber_realm *realm = rt->fibers;
    if (env->fault_unwatch)
        env->fault_unwatch(env->self, realm);
    weft__stack_depot_fini(&realm->depot);
    weft__slab_fini(&realm->locals);
    weft__slab_fini(&realm->newborns);
    weft__slab_fini(&realm->defers);
    weft__slab_fini(&realm->slab);
    env->unmap(env->self, realm, (sizeof *realm + env->page_size - 1) / env->page_size * env->page_size);
    rt->fibers = NULL;
}

int weft__fibers_enter(weft__worker *w)
{
    const weft_env *env = w->rt->env;
    weft__fiber_realm *realm = w->rt->fibers;
    weft__fibers *fs = env->map(env->self, (sizeof *fs + env->page_size - 1) / env->page_size * env->page_size, 0);
    if (!fs)
        return -ENOMEM;
    fs->last_memory = env->map(env->self, WEFT__LAST_STACK, 0);
    if (!fs->last_memory) {
        env->unmap(env->self, fs, (sizeof *fs + env->page_size - 1) / env->page_size * env->page_size);
        return -ENOMEM;
    }
    fs->worker = w;
    fs->cache.slab = &realm->slab;
    fs->newborn.slab = &realm->newborns;
    fs->locals.slab = &realm->locals;
    fs->defers.slab = &realm->defers;
    weft__stack_pool_init(&fs->stacks, &realm->depot);
    fs->stacks.taken = &w->stats.stacks_taken; /* the worker's record outlives its pool: figures are read at any time */
    fs->stacks.given = &w->stats.stacks_given;
    weft__link_init(&fs->newborns);
    fs->births.run = weft__births;
    w->fibers = fs;
    return 0;
}

void weft__fibers_leave(weft__worker *w)
{
    const weft_env *env = w->rt->env;
    weft__fibers *fs = w->fibers;
    weft__slab_cache_flush(&fs->cache);
    weft__slab_cache_flush(&fs->newborn);
    weft__slab_cache_flush(&fs->locals);
    weft__slab_cache_flush(&fs->defers);
    env->unmap(env->self, fs->last_memory, WEFT__LAST_STACK);
    weft__stack_pool_fini(&fs->stacks);
    w->fibers = NULL;
    env->unmap(env->self, fs, (sizeof *fs + env->page_size - 1) / env->page_size * env->page_size);
}

/* Stacks that came back since the last look may be deep: their pages go. A look costs a system call or two, so it
 * waits until there are several, or until the worker has gone to sleep often enough to be called idle. */
void weft__fibers_idle(weft__worker *w)
{
    enum { SEVERAL = 8, OFTEN = 64, BUDGET = 4 };
    weft__fibers *fs = w->fibers;
    weft__stack_shelve(&fs->stacks);
    if (fs->stacks.unchecked && weft__load_relaxed(&fs->stacks.depot->tight, "stack.tight")) {
        weft__stack_pool_tend(&fs->stacks, WEFT__STACK_TEND_ALL);
        return;
    }
    if (!fs->stacks.unchecked || (fs->stacks.unchecked < SEVERAL && ++fs->idles < OFTEN))
        return;
    fs->idles = 0;
    weft__stack_pool_tend(&fs->stacks, BUDGET);
}

void weft__fibers_stats(weft_runtime *rt, weft_stats *out)
{
    weft__fiber_realm *realm = rt->fibers;
    size_t made, idle, bytes;
    weft__stack_depot_count(&realm->depot, &made, &idle, &bytes);
    out->stacks_reserved = made;
}

size_t weft__fibers_describe(weft__worker *w, const void *machine, char *buf, size_t size)
{
    weft__fiber *f = w->running;
    weft__fiber_realm *realm = w->rt->fibers;
    weft_trace trace;
    weft__trace_interrupted(f, machine, &trace);
    size_t n = weft_trace_format(&trace, buf, size);
    if (f && realm->hooks.doomed && realm->hooks.doomed(f->crew))
        n += weft__format(buf + (n < size ? n : size), n < size ? size - n : 0, "\n  its lane was killed, and ends when the fiber next waits");
    return n;
}
