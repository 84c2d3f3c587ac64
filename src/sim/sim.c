/* Owns a run of the simulator from its options to its result, and the pointer by which
 * an OS thread finds its simulation. */
#include <errno.h> /* program_invocation_name, too */
#include <fcntl.h>
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
WEFT_API const weft_port_driver *weft_sim_driver(void)
{
    return !current ? NULL : current->ready ? &weft__sim_ready_table : &weft__sim_driver_table;
}
WEFT_API uint64_t weft_sim_hash(void) { return current ? current->hash : 0; }
WEFT_API uint64_t weft_sim_random(uint64_t below) { return current ? sim_random_below(&current->choices, below) : 0; }

WEFT_API int weft_sim_limit(unsigned handles)
{
    if (!current || handles == 0)
        return -EINVAL;
    current->opt.max_handles = handles;
    return 0;
}

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

#define POINT_NS 10 /* what happens between two of them takes its time, too: loops that only compute end by the clock */

/* A thread may lose the processor before any named atomic operation, but not inside the scheduler,
 * which no thread runs. */
static void point(const char *name)
{
    sim *s = current;

    if (!s || !s->running)
        return;
    weft__sim_pass(s, POINT_NS);
    if (!sim_random_one_in(&s->choices, s->opt.switch_every))
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

/* The command of this process, its arguments between spaces. */
static size_t command(char *buf, size_t size)
{
    ssize_t n = -1;
    const int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);

    if (fd >= 0) {
        n = read(fd, buf, size - 1);
        close(fd);
    }
    if (n <= 0)
        return (size_t)snprintf(buf, size, "%s",
#if defined(__GLIBC__)
                                program_invocation_name
#else
                                "the same program"
#endif
        );
    for (ssize_t i = 0; i + 1 < n; i++)
        if (buf[i] == 0)
            buf[i] = ' ';
    buf[n] = 0;
    return strlen(buf);
}

/* What the program was told from outside, and the seed, in front of its command. */
static size_t replay_line(const sim *s, char *buf, size_t size)
{
    size_t n = 0;

    for (unsigned i = 0; i < s->setting_count && n + sizeof s->settings[i] + 64 < size; i++)
        n += (size_t)snprintf(buf + n, size - n, "%s ", s->settings[i]);
    n += (size_t)snprintf(buf + n, size - n, "WEFT_SIM_SEED=%llu ", (unsigned long long)s->opt.seed);
    return n + command(buf + n, size - n);
}

static void say(const sim *s, const char *why)
{
    char line[2048];
    size_t n = (size_t)snprintf(line, sizeof line, "weft: simulation failed (%s): ", why);

    n += replay_line(s, line + n, sizeof line - 1 - n);
    line[n++] = '\n';
    const ssize_t written = write(STDERR_FILENO, line, n);

    (void)written;
}

WEFT_API int weft_sim_failed(const char *why)
{
    if (!current)
        return -EINVAL;
    if (!current->opt.quiet)
        say(current, why);
    return 0;
}

/* ---- an end in mid-run: the one thing still worth saying is the seed ---- */

static const int fatal[] = {SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE};
enum { FATAL = sizeof fatal / sizeof *fatal };
static struct sigaction before_us[FATAL];
static unsigned runs; /* under way, in all threads: the first sets the handlers, the last takes them away */
static pthread_mutex_t changing = PTHREAD_MUTEX_INITIALIZER;

/* Who was here before gets it next: abort() raises it again, and a fault comes again as soon as this returns. */
static void on_end(int signal)
{
    if (current)
        say(current, signal == SIGABRT ? "aborted" : "a fault");
    for (int i = 0; i < FATAL; i++)
        if (fatal[i] == signal)
            sigaction(signal, &before_us[i], NULL);
}

static void watch_ends(int on)
{
    struct sigaction ours = {.sa_handler = on_end, .sa_flags = SA_ONSTACK};

    pthread_mutex_lock(&changing);
    if (on ? runs++ == 0 : --runs == 0)
        for (int i = 0; i < FATAL; i++)
            sigaction(fatal[i], on ? &ours : &before_us[i], on ? &before_us[i] : NULL);
    pthread_mutex_unlock(&changing);
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
    s->ready = s->opt.ports == WEFT_SIM_READY || (s->opt.ports == WEFT_SIM_DRAWN && s->opt.seed % 2);
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
    watch_ends(1);
    if (weft__sim_thread_new(s, "main", NULL, 0, first_thread, s)) {
        tell(s, weft__sim_loop(s), &result);
        r = judge(s, &result);
        if (out)
            *out = result;
    } else {
        r = -ENOMEM;
    }
    watch_ends(0);
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

WEFT_API int weft_sim_failed(const char *why)
{
    (void)why;
    return -EINVAL;
}

#endif
