/* The runtime object: options, memory, starting and halting the workers. Called by whoever starts and ends a runtime;
 * the bloom runs on the workers' own threads as they come up. */
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "base/check.h"
#include "env/default.h"
#include "env/region.h"
#include "sched/sched.h"
#include "sched/text.h"

void weft__say(weft_runtime *rt, enum weft_log_level level, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    size_t n = weft__vformat(text, sizeof text, fmt, ap);
    va_end(ap);
    if (rt->env->log)
        rt->env->log(rt->env->self, level, text, n < sizeof text ? n : sizeof text - 1);
}

/* Ids of one runtime are not those of the next: 512..1023 in turn, so that the part of an id which has it is large
 * (slab.h). A process-wide count, because it is the process that holds both. */
static uint16_t next_tag(void)
{
    static uint32_t count;
    return (uint16_t)(weft__add_relaxed(&count, 1, "runtime.tag") % 512 + 512);
}

static size_t runtime_bytes(const weft_env *env)
{
    return (sizeof(weft_runtime) + env->page_size - 1) / env->page_size * env->page_size;
}

static void fill_defaults(weft_options *o)
{
    if (!o->stack_size)
        o->stack_size = (size_t)256 << 10;
    if (!o->tick_ns)
        o->tick_ns = 100 * WEFT_MICROSECOND;
    if (!o->blocked_ns)
        o->blocked_ns = 100 * WEFT_MILLISECOND;
    if (!o->grace_ns)
        o->grace_ns = 5 * WEFT_SECOND;
    if (!o->pool_threads)
        o->pool_threads = 8;
}

/* Names every needed slot that a table leaves empty. */
static int check_tables(const weft_env *env, const weft_port_driver *driver)
{
    int r = 0;
    const char *slot = NULL;
    char text[128];
    while ((slot = weft_env_missing(env, slot))) {
        size_t n = weft__format(text, sizeof text, "environment \"%s\": slot `%s` is needed and empty", env->name ? env->name : "?", slot);
        if (env->log)
            env->log(env->self, WEFT_LOG_ERROR, text, n);
        r = -EINVAL;
    }
    while ((slot = weft_driver_missing(driver, slot))) {
        size_t n = weft__format(text, sizeof text, "port driver \"%s\": slot `%s` is needed and empty",
                                driver->name ? driver->name : "?", slot);
        if (env->log)
            env->log(env->self, WEFT_LOG_ERROR, text, n);
        r = -EINVAL;
    }
    return r;
}

static int choose_driver(weft_runtime *rt)
{
    rt->driver = rt->opt.driver ? rt->opt.driver : !rt->opt.port ? weft__default_driver() : NULL;
    if (!rt->driver)
        rt->driver = weft_driver_named(rt->opt.port);
    if (rt->driver)
        return 0;
    weft__say(rt, WEFT_LOG_ERROR, "no port driver \"%s\" in this build or on this kernel", rt->opt.port ? rt->opt.port : "auto");
    return -ENOSYS;
}

int weft__runtime_open(weft_runtime **out, const weft_options *opt, const weft__sched_hooks *hooks, unsigned host_places)
{
    const weft_env *base = opt && opt->env ? opt->env : weft__default_env(), *env = base;
    weft_env own;
    int r = weft_env_missing(base, NULL) ? check_tables(base, opt && opt->driver ? opt->driver : weft_driver_named("auto")) : 0;
    if (r < 0)
        return r;
    if (opt && opt->memory) {
        r = weft_env_block(&own, base, opt->memory, opt->memory_size);
        if (r < 0)
            return r;
        env = &own;
    } else if (base == weft_env_posix()) { /* another's table is left as it is */
        own = *base;
        weft__region_open(&own);
        env = &own;
    }
    weft_runtime *rt = env->map(env->self, runtime_bytes(env), 0);
    if (!rt) {
        weft__region_close(env);
        return -ENOMEM;
    }
    rt->magic = WEFT__RUNTIME_MAGIC;
    rt->env_storage = *env;
    rt->env = &rt->env_storage;
    rt->hooks = *hooks;
    weft__worker *maker = weft__worker_self();
    /* From now on what runs here may wake what waits there. */
    if (maker)
        weft__add_seq(&maker->rt->expected, 1, "runtime.neighbour");
    rt->tag = next_tag();
    if (opt)
        rt->opt = *opt;
    fill_defaults(&rt->opt);
    rt->watched = rt->opt.stuck != NULL;
    if ((r = choose_driver(rt)) < 0 || (r = check_tables(rt->env, rt->driver)) < 0 || (r = weft__place_plan(rt)) < 0)
        goto unmap;
    if (rt->env->thread_start) {
        weft__pool_options pool = {.threads = rt->opt.pool_threads};
        r = weft__pool_open(&rt->pool, rt->env, &pool);
        if (r < 0)
            goto unmap;
    }
    rt->host_places = host_places < rt->workers - rt->first_cpu_worker ? host_places : rt->workers - rt->first_cpu_worker;
    *out = rt;
    return 0;
unmap:
    env->unmap(env->self, rt, runtime_bytes(env));
    weft__region_close(env);
    return r;
}

/* ---- the bloom ---- */

static void worker_thread(void *arg);

/* Which worker the v-th thread of ours is. The host's threads are the first CPU workers;
 * the I/O worker is always ours, and the first. */
static unsigned index_of(const weft_runtime *rt, unsigned v)
{
    return v == 0 && rt->first_cpu_worker ? 0 : rt->host_places + v;
}

static unsigned own_threads(const weft_runtime *rt) { return rt->workers - rt->host_places; }

static int start_one(weft_runtime *rt, unsigned v)
{
    unsigned index = index_of(rt, v);
    char name[16];
    weft__format(name, sizeof name, index < rt->first_cpu_worker ? "weft-io" : "weft-%u", index);
    weft_thread_options opt = {.name = name};
    weft__seed *s = &rt->seeds[v]; /* written by the starter of that thread only */
    s->rt = rt;
    s->index = v;
    weft__add_seq(&rt->threads_up, 1, "runtime.threads");
    int r = rt->env->thread_start(rt->env->self, &rt->threads[v], &opt, worker_thread, s);
    if (r < 0)
        weft__sub_seq(&rt->threads_up, 1, "runtime.threads");
    return r;
}

static void record_error(weft_runtime *rt, int r)
{
    int32_t none = 0;
    weft__cas_seq(&rt->start_error, &none, (int32_t)r, "runtime.start_error");
    rt->env->unpark(rt->env->self, &rt->starter);
}

static void count_up(weft_runtime *rt, uint32_t *counter)
{
    weft__add_seq(counter, 1, "runtime.count");
    rt->env->unpark(rt->env->self, &rt->starter);
}

/* Thread v starts threads 2v+1 and 2v+2. What it cannot start is missing with all that would have come of it:
 * the starter gives up. */
static void start_children(weft_runtime *rt, unsigned v)
{
    for (unsigned child = 2 * v + 1; child <= 2 * v + 2 && child < own_threads(rt); child++) {
        int r = start_one(rt, child);
        if (r < 0)
            record_error(rt, r);
    }
}

static int all_halted(weft_runtime *rt)
{
    return weft__load_seq(&rt->halted, "runtime.halted") > weft__load_seq(&rt->running, "runtime.halted");
}

/* A worker, or who halts them, wakes none of them any more. Whoever says so was counted as running before:
 * the last one finds that all have. */
static void halted(weft_runtime *rt)
{
    weft__add_seq(&rt->halted, 1, "runtime.halt");
    if (!all_halted(rt))
        return;
    for (unsigned i = 0; i < rt->workers; i++) {
        weft__worker *w = weft__load_acquire(&rt->worker[i], "runtime.halted");
        if (w && !w->host)
            rt->env->unpark(rt->env->self, &w->parker);
    }
}

/* No port closes while somebody may still be waking it. Asleep, for there may be more workers than processors. */
static void await_halt(weft__worker *w)
{
    weft_runtime *rt = w->rt;
    halted(rt);
    while (!all_halted(rt))
        rt->env->park(rt->env->self, &w->parker, WEFT_NEVER);
}

static void worker_thread(void *arg)
{
    weft__seed *s = arg;
    weft_runtime *rt = s->rt;
    weft__worker *w = NULL;
    int r = weft__worker_open(rt, index_of(rt, s->index), WEFT__OURS, &w);
    if (r < 0)
        record_error(rt, r);
    else
        start_children(rt, s->index);
    if (w)
        weft__add_seq(&rt->running, 1, "runtime.running");
    count_up(rt, &rt->started);
    if (w) {
        weft__worker_loop(w);
        await_halt(w);
        weft__worker_close(w);
    }
    count_up(rt, &rt->left);
}

int weft__runtime_bloom(weft_runtime *rt)
{
    unsigned n = own_threads(rt);
    if (n > 0) {
        if (!rt->env->thread_start) {
            weft__say(rt, WEFT_LOG_ERROR, "environment \"%s\" has no thread_start: %u workers need it", rt->env->name, n);
            return -EINVAL;
        }
        int r = start_one(rt, 0);
        if (r < 0)
            return r;
        while (!weft__load_seq(&rt->start_error, "runtime.up") && weft__load_seq(&rt->started, "runtime.up") < n)
            rt->env->park(rt->env->self, &rt->starter, WEFT_NEVER);
    }
    int r = weft__load_seq(&rt->start_error, "runtime.up");
    return r < 0 ? r : weft__monitor_start(rt);
}

void weft__runtime_halt(weft_runtime *rt)
{
    weft__monitor_stop(rt);
    weft__store_seq(&rt->done, 1, "runtime.done");
    weft__region_ending(rt->env);
    for (unsigned i = 0; i < rt->workers; i++) {
        weft__worker *w = weft__load_acquire(&rt->worker[i], "runtime.halt");
        if (w && !w->host)
            weft__worker_wake(w);
    }
    halted(rt);
    /* Threads that come up late in a bloom that failed find `done` set and go at once. */
    while (weft__load_seq(&rt->left, "runtime.halt") < weft__load_seq(&rt->threads_up, "runtime.halt"))
        rt->env->park(rt->env->self, &rt->starter, WEFT_NEVER);
    for (unsigned v = 0; v < own_threads(rt); v++)
        if (rt->threads[v])
            rt->env->thread_join(rt->env->self, rt->threads[v]);
}

void weft__runtime_close(weft_runtime *rt)
{
    weft_env env = *rt->env;
    if (rt->pool)
        weft__pool_close(rt->pool);
    for (unsigned i = 0; i < rt->workers; i++)
        if (rt->worker[i])
            env.unmap(env.self, rt->worker[i], weft__worker_bytes(rt));
    rt->magic = 0;
    env.unmap(env.self, rt, runtime_bytes(&env));
    weft__region_close(&env);
}

/* The place of a thread that has left. */
static int claim_vacant(weft_runtime *rt)
{
    for (unsigned i = rt->first_cpu_worker; i < rt->first_cpu_worker + rt->host_places; i++) {
        weft__worker *w = weft__load_acquire(&rt->worker[i], "runtime.claim");
        uint32_t vacant = 1;
        if (w && weft__cas_seq(&w->vacant, &vacant, 0, "runtime.claim"))
            return (int)i;
    }
    return -EAGAIN;
}

int weft__runtime_claim(weft_runtime *rt)
{
    uint32_t n = weft__load_relaxed(&rt->claimed, "runtime.claim");
    do
        if (n >= rt->host_places)
            return claim_vacant(rt);
    while (!weft__cas_seq(&rt->claimed, &n, n + 1, "runtime.claim"));
    return (int)(rt->first_cpu_worker + n);
}
