/* Owns a run of the simulator from its options to its result, and the pointer by which an OS thread finds its simulation. */
#include <errno.h> /* program_invocation_name, too */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/check.h"
#include "env/default.h"
#include "env/posix.h"
#include "sim/sim.h"

static _Thread_local sim *current __attribute__((tls_model("initial-exec")));

sim *weft__sim_current(void) { return current; }

WEFT_API const weft_env *weft_sim_env(void) { return current ? &weft__sim_env_table : NULL; }
WEFT_API const weft_port_driver *weft_sim_driver(void) { return current ? &weft__sim_driver_table : NULL; }
WEFT_API uint64_t weft_sim_hash(void) { return current ? current->hash : 0; }
WEFT_API uint64_t weft_sim_random(uint64_t below) { return current ? sim_random_below(&current->choices, below) : 0; }

WEFT_API void weft_sim_note(const char *name, int64_t value)
{
    if (current)
        weft__sim_note(current, "note", name, value, 0);
}

#ifndef WEFT_BIND_DIRECT

/* ---- what is done once in a process ---- */

static const weft__defaults defaults = {weft_sim_env, weft_sim_driver};
static pthread_once_t prepared = PTHREAD_ONCE_INIT;

#ifdef WEFT_POINTS
extern void (*weft__point_hook)(const char *name);

/* A thread may lose the processor before any named atomic operation, but not inside the scheduler, which no thread runs. */
static void point(const char *name)
{
    sim *s = current;

    if (!s || !s->running || !sim_random_one_in(&s->choices, s->opt.switch_every))
        return;
    weft__sim_note(s, "point", name, s->running->ordinal, 0);
    weft__sim_yield(s);
}
#endif

static void prepare(void)
{
    weft__sim_env_table.page_size = weft__posix_page_size();
    weft__defaults_install(&defaults);
#ifdef WEFT_POINTS
    weft__point_hook = point;
#endif
}

/* ---- telling how to replay ---- */

static size_t replay_line(const sim *s, const char *why, char *buf, size_t size)
{
    const int n = snprintf(buf, size, "weft: simulation failed (%s): WEFT_SIM_SEED=%llu %s\n", why, (unsigned long long)s->opt.seed,
#if defined(__GLIBC__)
                           program_invocation_name
#else
                           "the same program"
#endif
    );

    return n < 0 ? 0 : (size_t)n < size ? (size_t)n : size - 1;
}

static void say(const sim *s, const char *why)
{
    char line[512];
    const size_t n = replay_line(s, why, line, sizeof line);
    const ssize_t written = write(STDERR_FILENO, line, n);

    (void)written;
}

/* An assertion failed in mid-run: the one thing still worth saying is the seed. */
static void on_abort(int signal)
{
    if (current)
        say(current, "aborted");
    (void)signal; /* abort() goes on to end the process when the handler returns */
}

/* ---- the run ---- */

static void first_thread(void *arg)
{
    sim *s = arg;

    s->status = s->program(s->arg);
    s->ended = 1;
}

static weft_sim_options complete(const weft_sim_options *given)
{
    weft_sim_options o = given ? *given : (weft_sim_options){0};
    const char *seed = getenv("WEFT_SIM_SEED");

    if (seed && seed[0])
        o.seed = strtoull(seed, NULL, 0);
    if (!o.log)
        o.log = getenv("WEFT_SIM_LOG");
    if (o.max_time_ns <= 0)
        o.max_time_ns = 86400 * WEFT_SECOND;
    if (o.max_steps == 0)
        o.max_steps = 100000000;
    if (o.cpus == 0)
        o.cpus = 4;
    if (o.cpus > WEFT_CPU_MAX)
        o.cpus = WEFT_CPU_MAX;
    if (o.switch_every == 0)
        o.switch_every = 16;
    if (o.max_handles == 0)
        o.max_handles = 65536;
    return o;
}

static int open_sim(sim *s, const weft_sim_options *opt)
{
    int r;

    memset(s, 0, sizeof *s);
    s->opt = complete(opt);
    s->choices.state = sim_random_mix(s->opt.seed + 1);
    s->entropy.state = sim_random_mix(~s->opt.seed);
    s->now_ns = WEFT_SECOND; /* no deadline of the program lies before the beginning */
    s->next_port = (uint16_t)(32768 + sim_random_below(&s->choices, 16384));
    r = weft__sim_log_open(s);
    if (r < 0)
        return r;
    weft__sim_note(s, "seed", "begin", (int64_t)s->opt.seed, s->opt.cpus);
    return 0;
}

static void close_sim(sim *s)
{
    weft__sim_threads_free(s);
    weft__sim_ports_free(s);
    weft__sim_socks_free(s);
    weft__sim_files_free(s);
    free(s->heap);
    weft__sim_log_close(s);
}

static void tell(sim *s, enum weft_sim_outcome outcome, weft_sim_result *out)
{
    memset(out, 0, sizeof *out);
    out->outcome = outcome;
    out->status = s->status;
    out->seed = s->opt.seed;
    out->hash = s->hash;
    out->steps = s->steps;
    out->events = s->events;
    out->time_ns = s->now_ns;
    out->handles_left = s->handles_open;
    out->ops_left = s->flying;
    for (unsigned i = 0; i < s->thread_count; i++)
        out->threads_left += s->threads[i]->state != SIM_ENDED;
    if (outcome != WEFT_SIM_ENDED)
        weft__sim_describe_threads(s, out->report, sizeof out->report);
}

static int judge(const sim *s, const weft_sim_result *result)
{
    static const char *const why[] = {"its result", "deadlock: every thread waits", "out of virtual time", "too many steps"};
    static const int codes[] = {0, -EDEADLK, -ETIMEDOUT, -ELOOP};
    const int r = result->outcome == WEFT_SIM_ENDED ? result->status : codes[result->outcome];

    if (r != 0 && !s->opt.quiet) {
        const ssize_t n = write(STDERR_FILENO, result->report, strlen(result->report));

        (void)n;
        say(s, why[result->outcome]);
    }
    return r;
}

WEFT_API int weft_sim_run(const weft_sim_options *opt, int (*program)(void *arg), void *arg, weft_sim_result *out)
{
    struct sigaction ours = {.sa_handler = on_abort}, before;
    weft_sim_result result;
    sim *s;
    int r;

    if (current)
        return -EALREADY;
    s = malloc(sizeof *s);
    if (!s)
        return -ENOMEM;
    pthread_once(&prepared, prepare);
    r = open_sim(s, opt);
    if (r < 0) {
        free(s);
        return r;
    }
    s->program = program;
    s->arg = arg;
    current = s;
    sigaction(SIGABRT, &ours, &before);
    if (weft__sim_thread_new(s, "main", NULL, 0, first_thread, s)) {
        tell(s, weft__sim_loop(s), &result);
        r = judge(s, &result);
        if (out)
            *out = result;
    } else {
        r = -ENOMEM;
    }
    sigaction(SIGABRT, &before, NULL);
    close_sim(s);
    current = NULL;
    free(s);
    return r;
}

#else

WEFT_API int weft_sim_run(const weft_sim_options *opt, int (*program)(void *arg), void *arg, weft_sim_result *out)
{
    (void)opt, (void)program, (void)arg, (void)out;
    return -ENOTSUP;
}

#endif
