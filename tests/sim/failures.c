/* How a run fails: a deadlock is told and says who waits where, time and steps are bounded, a result is passed on, an
 * assertion says the seed, and each failure prints one line with which it can be run again. */
#include <signal.h>

#include "base/check.h"
#include "child.h"
#include "world.h"

static weft_parker p, q;

static void waits(void *arg)
{
    (void)arg;
    weft_sim_env()->park(NULL, &p, WEFT_NEVER);
}

static int deadlock(void *arg)
{
    const weft_env *e = weft_sim_env();
    weft_thread *t;

    (void)arg;
    p = q = (weft_parker){0};
    CHECK_OK(e->thread_start(e->self, &t, &(weft_thread_options){.name = "sleeper"}, waits, NULL));
    e->thread_join(e->self, t);
    return 0;
}

static int in_port(void *arg)
{
    actor a;

    memset(&a, 0, sizeof a);
    actor_open(&a);
    while (!arg)
        weft__port_enter(&a.port, WEFT_NEVER);
    return 0;
}

static int for_ever(void *arg)
{
    const weft_env *e = weft_sim_env();

    p = (weft_parker){0};
    while (!arg)
        e->park(e->self, &p, e->now(e->self) + WEFT_SECOND);
    return 0;
}

static int spins(void *arg)
{
    while (!arg)
        weft_sim_env()->relax(NULL);
    return 0;
}

static int gives_up(void *arg)
{
    (void)arg;
    return -ENODEV;
}

static int panics(void *arg)
{
    WEFT_ASSERT(arg == (void *)1);
    return 0;
}

typedef struct run {
    int (*program)(void *);
    const weft_sim_options *opt;
} run;

static int runs(void *arg)
{
    const run *r = arg;

    return weft_sim_run(r->opt, r->program, NULL, NULL) != 0;
}

static void outcomes(void)
{
    weft_sim_options o = {.seed = 3, .quiet = 1};
    weft_sim_result r;

    CHECK_EQ(weft_sim_run(&o, deadlock, NULL, &r), -EDEADLK);
    CHECK_EQ(r.outcome, WEFT_SIM_DEADLOCK);
    CHECK_EQ(r.threads_left, 2);
    CHECK(strstr(r.report, "thread 1 'sleeper' is parked without a deadline"));
    CHECK(strstr(r.report, "thread 0 'main' waits for a thread to end"));

    CHECK_EQ(weft_sim_run(&o, in_port, NULL, &r), -EDEADLK);
    CHECK(strstr(r.report, "'main' waits in its port"));

    o.max_time_ns = 3600 * WEFT_SECOND;
    CHECK_EQ(weft_sim_run(&o, for_ever, NULL, &r), -ETIMEDOUT);
    CHECK_EQ(r.outcome, WEFT_SIM_LATE);
    CHECK(r.time_ns >= 3600 * WEFT_SECOND);

    o.max_steps = 1000;
    CHECK_EQ(weft_sim_run(&o, spins, NULL, &r), -ELOOP);
    CHECK_EQ(r.outcome, WEFT_SIM_STEPS);
    CHECK_EQ(r.steps, 1000);

    CHECK_EQ(weft_sim_run(&o, gives_up, NULL, &r), -ENODEV);
    CHECK_EQ(r.outcome, WEFT_SIM_ENDED);
    CHECK_EQ(r.status, -ENODEV);
    CHECK_EQ(r.seed, 3);
    CHECK(r.report[0] == 0);
}

static void lines(void)
{
    const weft_sim_options o = {.seed = 77};
    char text[4096];

    CHECK_EQ(WEXITSTATUS(child_says(runs, &(run){deadlock, &o}, text, sizeof text)), 1);
    CHECK(strstr(text, "deadlock"));
    CHECK(strstr(text, "WEFT_SIM_SEED=77 "));
    CHECK(strstr(text, "'sleeper'"));
    CHECK_EQ(WEXITSTATUS(child_says(runs, &(run){gives_up, &o}, text, sizeof text)), 1);
    CHECK(strstr(text, "WEFT_SIM_SEED=77 "));
    CHECK_EQ(WTERMSIG(child_says(runs, &(run){panics, &o}, text, sizeof text)), SIGABRT);
    CHECK(strstr(text, "arg == (void *)1"));
    CHECK(strstr(text, "WEFT_SIM_SEED=77 "));

    setenv("WEFT_SIM_SEED", "0x51", 1);
    CHECK_EQ(WEXITSTATUS(child_says(runs, &(run){gives_up, &o}, text, sizeof text)), 1);
    CHECK(strstr(text, "WEFT_SIM_SEED=81 "));
    unsetenv("WEFT_SIM_SEED");
}

/* The text of the log has what happened, and no address in it. */
static void log_file(void)
{
    char path[] = "/tmp/weft-sim-log-XXXXXX", text[4096];
    const int fd = mkstemp(path);
    ssize_t n;

    CHECK(fd >= 0);
    CHECK_EQ(weft_sim_run(&(weft_sim_options){.seed = 1, .quiet = 1, .log = path}, deadlock, NULL, NULL), -EDEADLK);
    n = read(fd, text, sizeof text - 1);
    CHECK(n > 0);
    text[n] = 0;
    close(fd);
    unlink(path);
    CHECK(strstr(text, "thread sleeper 1"));
    CHECK(strstr(text, "run sleeper 1"));
    CHECK(!strstr(text, "0x"));
    CHECK_EQ(weft_sim_run(&(weft_sim_options){.log = "/no/such/folder/log"}, deadlock, NULL, NULL), -ENOENT);
}

int main(void)
{
    unsetenv("WEFT_SIM_SEED");
    outcomes();
    lines();
    log_file();
    return 0;
}
