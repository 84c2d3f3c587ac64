/* Placement: how many workers, which mode, who is near whom, where a lane begins.
 * Planning runs once on the starting thread. */
#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "sched/sched.h"

unsigned weft__coprime_step(unsigned n)
{
    for (unsigned s = n / 2 + 1; s + 1 < n; s++) {
        unsigned a = n, b = s;
        while (b) {
            unsigned r = a % b;
            a = b;
            b = r;
        }
        if (a == 1)
            return s;
    }
    return 1; /* 1, 2, 3, 4 and 6 have none but 1 and n-1: a plain walk from a seeded start */
}

static const char *const mode_names[] = {"default", "shared", "single-io", "per-core"};

const char *weft_mode_name(enum weft_mode mode)
{
    return (unsigned)mode < 4 ? mode_names[mode] : "?";
}

int weft_mode_named(const char *name, enum weft_mode *out)
{
    for (unsigned i = 1; i < 4; i++)
        if (name && strcmp(name, mode_names[i]) == 0) {
            *out = (enum weft_mode)i;
            return 0;
        }
    return -EINVAL;
}

static const char *setting(const weft_runtime *rt, const char *name)
{
    const char *text = rt->env->setting ? rt->env->setting(rt->env->self, name) : NULL;
    return text && *text ? text : NULL;
}

/* A number above 0; 0: there is no such setting. -EINVAL after saying that it is none. */
static int number_set(weft_runtime *rt, const char *name, unsigned *out)
{
    const char *text = setting(rt, name);
    unsigned n = 0;
    *out = 0;
    if (!text)
        return 0;
    for (; *text >= '0' && *text <= '9' && n < 10000; text++)
        n = n * 10 + (unsigned)(*text - '0');
    if (*text || n == 0) {
        weft__say(rt, WEFT_LOG_ERROR, "%s is no number above 0", name);
        return -EINVAL;
    }
    *out = n;
    return 0;
}

/* What the environment says where the options say nothing. A value that means nothing is an error, not a default. */
static int apply_settings(weft_runtime *rt)
{
    const char *text = setting(rt, "WEFT_MODE");
    if (!rt->opt.mode && text && weft_mode_named(text, &rt->opt.mode) < 0) {
        weft__say(rt, WEFT_LOG_ERROR, "WEFT_MODE is \"%s\": one of shared, single-io, per-core is possible", text);
        return -EINVAL;
    }
    int r = rt->opt.workers ? 0 : number_set(rt, "WEFT_WORKERS", &rt->opt.workers);
    return r < 0 ? r : number_set(rt, "WEFT_SCATTER", &rt->scatter);
}

/* A single worker that nobody binds has no neighbours and no place: then hundreds of system calls are saved. */
static void look_around(weft_runtime *rt)
{
    weft_topology *t = &rt->topology;
    if (rt->opt.workers == 1 && rt->mode != WEFT_PER_CORE) {
        t->source = "not asked";
        return;
    }
    int r = rt->env->topology ? rt->env->topology(rt->env->self, t) : -ENOTSUP;
    if (r < 0) {
        memset(t, 0, sizeof *t);
        t->cpus = t->count = 1;
        t->source = "none";
    }
}

int weft__place_plan(weft_runtime *rt)
{
    int set = apply_settings(rt);
    if (set < 0)
        return set;
    const weft_topology *t = &rt->topology;
    rt->mode = rt->opt.mode ? rt->opt.mode : WEFT_SHARED;
    look_around(rt);
    unsigned n = rt->opt.workers ? rt->opt.workers : t->cpus;
    if (n < 1 || n > WEFT__WORKERS_MAX - 1) {
        if (rt->opt.workers) {
            weft__say(rt, WEFT_LOG_ERROR, "%u workers asked for: between 1 and %u are possible", n, WEFT__WORKERS_MAX - 1);
            return -EINVAL;
        }
        n = WEFT__WORKERS_MAX - 1;
    }
    rt->first_cpu_worker = rt->mode == WEFT_SINGLE_IO ? 1 : 0;
    rt->workers = n + rt->first_cpu_worker;
    return 0;
}

/* Which entry of the topology a worker is placed on; the I/O worker shares the first. */
static unsigned seat(const weft_runtime *rt, unsigned index)
{
    unsigned i = index >= rt->first_cpu_worker ? index - rt->first_cpu_worker : 0;
    return rt->topology.count ? i % rt->topology.count : 0;
}

static unsigned distance(const weft_runtime *rt, unsigned a, unsigned b)
{
    const weft_topology *t = &rt->topology;
    unsigned x = seat(rt, a), y = seat(rt, b);
    if (t->cache[x] == t->cache[y])
        return 0;
    return t->package[x] == t->package[y] ? 1 : 2;
}

/* The processors that share a cache with a worker's seat; how many. */
static unsigned around(const weft_runtime *rt, const weft__worker *w, uint16_t cpu[WEFT_CPU_MAX])
{
    const weft_topology *t = &rt->topology;
    const unsigned cache = t->cache[seat(rt, w->index)];
    unsigned n = 0;
    for (unsigned i = 0; i < t->count; i++)
        if (t->cache[i] == cache)
            cpu[n++] = t->cpu[i];
    return n;
}

/* To a cache, not to one processor: who was bound to one that another thread needs, too, would wait for it while the
 * next one stands idle (docs/design/scheduling.md). With more workers than processors it would only put them on top of
 * each other, and where all share a cache there is nothing to choose. */
static void bind(weft__worker *w)
{
    weft_runtime *rt = w->rt;
    uint16_t cpu[WEFT_CPU_MAX];
    if (rt->mode != WEFT_PER_CORE || rt->opt.no_binding || w->host == WEFT__GUEST || !rt->env->bind ||
        rt->topology.count < rt->workers)
        return;
    const unsigned n = around(rt, w, cpu);
    w->bound = n < rt->topology.count && rt->env->bind(rt->env->self, cpu, n) == 0;
}

void weft__place_worker(weft__worker *w)
{
    weft_runtime *rt = w->rt;
    unsigned n = 0;
    for (unsigned d = 0; d < 3; d++) {
        for (unsigned i = rt->first_cpu_worker; i < rt->workers; i++)
            if (i != w->index && distance(rt, w->index, i) == d)
                w->near[n++] = (unsigned char)i;
        w->near_ends[d] = n;
    }
    w->last_victim = n ? w->near[0] : w->index;
    bind(w);
}

void weft__worker_unbind(weft__worker *w)
{
    weft_runtime *rt = w->rt;
    if (w->bound)
        rt->env->bind(rt->env->self, NULL, 0);
    w->bound = 0;
}

/* It has come, and does not mean to leave. */
static int takes_lanes(weft__worker *v)
{
    return v && !weft__load_seq(&v->retiring, "place.retiring");
}

/* How many lanes more are not yet clearly more. */
static uint64_t slack(uint64_t fewest) { return 4 + fewest / 8; }

/* In the modes where nothing is stolen the spawner decides, taking turns. In the others a lane stays with its maker, to
 * be stolen by who is idle, unless its maker has clearly more lanes at home than the least loaded worker: then it is
 * born there, because what was born here would wake up here for ever. */
weft__worker *weft__place_lane(weft_runtime *rt, weft__worker *w)
{
    unsigned cpu_workers = rt->workers - rt->first_cpu_worker;
    if (rt->mode == WEFT_PER_CORE && w)
        return w;
    if (rt->mode == WEFT_PER_CORE || (w && w->io_only)) {
        unsigned turn = weft__add_relaxed(&rt->place, 1, "place.turn");
        for (unsigned i = 0; i < cpu_workers; i++) {
            weft__worker *v = weft__load_acquire(&rt->worker[rt->first_cpu_worker + (turn + i) % cpu_workers], "place.turn");
            if (takes_lanes(v))
                return v;
        }
        return NULL;
    }
    if (!w || cpu_workers == 1)
        return NULL;
    weft__worker *least = NULL;
    uint32_t mine = weft__load_relaxed(&w->load, "place.load"), fewest = mine;
    for (unsigned i = rt->first_cpu_worker; i < rt->workers; i++) {
        weft__worker *v = weft__load_acquire(&rt->worker[i], "place.load");
        uint32_t load = takes_lanes(v) ? weft__load_relaxed(&v->load, "place.load") : UINT32_MAX;
        if (load < fewest) {
            fewest = load;
            least = v;
        }
    }
    return least && mine > fewest + slack(fewest) ? least : NULL;
}

/* Lanes at home, and the connections that will be. */
static uint64_t burden(weft__worker *v)
{
    uint32_t coming = (uint32_t)weft__load_relaxed(&v->coming, "place.coming"); /* all of them: see WEFT__LOOSE */
    return weft__load_relaxed(&v->load, "place.connection") + coming;
}

/* Connections come in bursts, many before the first of them is born; and they stay for long. So those to come are
 * counted, too. And of those that stay here only so many may be stolen that a single thief of all of them, be it the
 * one that has most, would not have clearly more than anybody; one always may, so that who is idle finds it. */
weft__worker *weft__place_connection(weft__worker *w, int *movable)
{
    weft_runtime *rt = w->rt;
    weft__worker *least = w;
    *movable = 0;
    if (rt->mode == WEFT_PER_CORE || w->io_only || rt->workers - rt->first_cpu_worker == 1)
        return NULL;
    uint64_t mine = takes_lanes(w) ? burden(w) : UINT32_MAX, fewest = mine, most = 0;
    for (unsigned i = rt->first_cpu_worker; i < rt->workers; i++) {
        weft__worker *v = weft__load_acquire(&rt->worker[i], "place.connection");
        if (v == w || !takes_lanes(v))
            continue;
        uint64_t n = burden(v);
        if (n > most)
            most = n;
        if (n < fewest) {
            fewest = n;
            least = v;
        }
    }
    if (mine > fewest + slack(fewest))
        return least;
    uint64_t loose = weft__load_relaxed(&w->coming, "place.loose") / WEFT__LOOSE;
    *movable = !loose || most + 2 * loose < fewest + slack(fewest);
    return w;
}
