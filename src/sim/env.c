/* Owns the simulated environment: the table through which a program in the simulation sees clocks, threads and memory.
 * Every slot runs on the simulation's OS thread. Memory, guards and symbols are the real ones: their addresses differ
 * from run to run, and nothing that is chosen or logged depends on them. */
#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "env/posix.h"
#include "sim/sim.h"

#define LOOK_NS 100              /* what reading the clock costs */
#define EPOCH_NS (INT64_C(1800000000) * WEFT_SECOND) /* when every simulation begins: in January 2027 */

enum { NOTHING = 0, TOKEN = 1, SLEEPER = 2 };

/* A loop that only looks at the clock must see it move. */
static int64_t env_now(void *self)
{
    sim *s = weft__sim_current();

    (void)self;
    WEFT_ASSERT(s);
    weft__sim_pass(s, LOOK_NS);
    return s->now_ns;
}

static int64_t env_wall(void *self) { return EPOCH_NS + env_now(self); }

static void env_entropy(void *self, void *buf, size_t n)
{
    sim *s = weft__sim_current();
    unsigned char *p = buf;

    (void)self;
    for (size_t i = 0; i < n; i++)
        p[i] = (unsigned char)(sim_random_next(&s->entropy) >> 32);
}

static int env_thread_start(void *self, weft_thread **out, const weft_thread_options *opt, void (*fn)(void *), void *arg)
{
    static const weft_thread_options none;
    const weft_thread_options *o = opt ? opt : &none;
    sim_thread *t;

    (void)self;
    t = weft__sim_thread_new(weft__sim_current(), o->name, o->stack, o->stack_size, fn, arg);
    if (!t)
        return -ENOMEM;
    *out = (weft_thread *)(void *)t;
    return 0;
}

static void env_thread_join(void *self, weft_thread *thread)
{
    sim *s = weft__sim_current();
    sim_thread *t = (sim_thread *)(void *)thread;

    (void)self;
    while (t->state != SIM_ENDED) {
        s->running->joined = t;
        weft__sim_wait(s, SIM_JOINING, WEFT_NEVER);
    }
}

static int env_park(void *self, weft_parker *p, int64_t deadline_ns)
{
    sim *s = weft__sim_current();

    (void)self;
    if (p->word != TOKEN && deadline_ns > s->now_ns) {
        WEFT_ASSERT(p->word == NOTHING); /* else two threads park on one parker */
        p->word = SLEEPER;
        s->running->parker = p;
        weft__sim_wait(s, SIM_PARKED, deadline_ns);
        s->running->parker = NULL;
    } else {
        weft__sim_yield(s); /* a call into the system is a place where others may run */
    }
    if (p->word == TOKEN) {
        p->word = NOTHING;
        return 1;
    }
    p->word = NOTHING;
    return 0;
}

static void env_unpark(void *self, weft_parker *p)
{
    sim *s = weft__sim_current();
    const uint32_t before = p->word;

    (void)self;
    p->word = TOKEN;
    for (unsigned i = 0; before == SLEEPER && i < s->thread_count; i++)
        if (s->threads[i]->parker == p && s->threads[i]->state == SIM_PARKED)
            weft__sim_wake(s, s->threads[i]);
}

static void env_relax(void *self)
{
    sim *s = weft__sim_current();

    (void)self;
    if (s->running)
        weft__sim_yield(s);
}

/* One package, a cache for every two processors: enough for stealing to have near and far victims. */
static int env_topology(void *self, weft_topology *out)
{
    sim *s = weft__sim_current();

    (void)self;
    memset(out, 0, sizeof *out);
    out->cpus = out->count = s->opt.cpus;
    for (unsigned i = 0; i < s->opt.cpus; i++) {
        out->cpu[i] = (uint16_t)i;
        out->cache[i] = (uint16_t)(i / 2);
    }
    out->source = "simulated";
    return 0;
}

static int env_bind(void *self, const uint16_t *cpu, unsigned count)
{
    (void)self, (void)cpu, (void)count;
    return 0;
}

/* What is said goes where it always goes, and that it was said is logged;
 * the text may hold addresses and is not hashed. */
static void env_log(void *self, enum weft_log_level level, const char *text, size_t n)
{
    sim *s = weft__sim_current();

    (void)self;
    if (s)
        weft__sim_note(s, "said", "log", level, 0);
    if (!s || !s->opt.quiet)
        weft__posix_log(NULL, level, text, n);
}

static uintptr_t env_worker_tag(void *self)
{
    sim *s = weft__sim_current();

    (void)self;
    return s && s->running ? s->running->ordinal + 1 : 0;
}

/* Settings are the process's own, as everywhere: what is asked for is part of the run, so it is logged,
 * and named in the line that replays it. */
static const char *env_setting(void *self, const char *name)
{
    sim *s = weft__sim_current();
    const char *text = weft__posix_setting(self, name);
    char line[sizeof s->settings[0]];

    weft__sim_note(s, "setting", name, text != NULL, 0);
    if (!text)
        return NULL;
    weft__sim_note(s, "set to", text, 0, 0);
    snprintf(line, sizeof line, "%s=%s", name, text);
    for (unsigned i = 0; i < s->setting_count; i++)
        if (strcmp(s->settings[i], line) == 0)
            return text;
    if (s->setting_count < SIM_SETTINGS)
        memcpy(s->settings[s->setting_count++], line, sizeof line);
    return text;
}

/* page_size is filled in by weft_sim_env. No fault_watch: the program's own thread has its handlers. */
weft_env weft__sim_env_table = {
    .name = "sim",
    .now = env_now,
    .wall = env_wall,
    .entropy = env_entropy,
    .map = weft__posix_map,
    .unmap = weft__posix_unmap,
    .guard = weft__posix_guard,
    .unguard = weft__posix_unguard,
    .discard = weft__posix_discard,
    .populate = weft__posix_populate,
    .resident = weft__posix_resident,
    .thread_start = env_thread_start,
    .thread_join = env_thread_join,
    .park = env_park,
    .unpark = env_unpark,
    .relax = env_relax,
    .linger = 8,
    .topology = env_topology,
    .bind = env_bind,
    .log = env_log,
    .worker_tag = env_worker_tag,
    .interrupt = weft__sim_env_interrupt,
    .setting = env_setting,
    .signals = weft__sim_env_signals,
    .symbol = weft__posix_symbol,
};
