/* A blocked worker is told (DESIGN rule 13): a fiber that does not come back is reported with its name, its lane's,
 * its site and where it is; once; and while nothing runs the monitor sleeps without a limit. */
#include "lane/world.h"
#include "sched/sched.h"

static int keep_spinning;
static weft_runtime *rt;

__attribute__((noinline)) static void spins_here(void)
{
    while (get(&keep_spinning))
        __asm__ volatile("" ::: "memory");
}

static int spinner(void *arg)
{
    (void)arg;
    CHECK_OK(weft_set_name("the spinner"));
    spins_here();
    return 0;
}

static int child_spins(void *arg)
{
    weft_id f;

    CHECK_OK(weft_spawn(&f, spinner, arg));
    CHECK_OK(weft_join(f, NULL, WEFT_NEVER));
    return 0;
}

static void until_said(spy *s, const char *text)
{
    while (!spy_says(s, text))
        sched_yield();
}

/* How often the spinner was told of. Others may be: a worker that this machine did not let run in time. */
static int times_told(spy *s)
{
    int n = 0;

    pthread_mutex_lock(&s->lock);
    for (const char *at = s->log; (at = strstr(at, "fiber \"the spinner\" (spawned")); at++)
        n++;
    pthread_mutex_unlock(&s->lock);
    return n;
}

static uint64_t reports(void)
{
    weft_stats stats;

    CHECK_OK(weft_runtime_stats(rt, &stats));
    return stats.blocked_reports;
}

/* Somewhere nothing runs, and the monitor knows. */
static void until_dormant(void)
{
    while (!__atomic_load_n(&rt->monitor.dormant, __ATOMIC_SEQ_CST))
        sched_yield();
}

static int sleeps(void *arg)
{
    return weft_sleep(weft_after(*(const int64_t *)arg));
}

int main(void)
{
    static spy s;
    weft_options opt = {.workers = 2, .env = spy_open(&s), .blocked_ns = 5 * WEFT_MILLISECOND};

    CHECK_OK(weft_start(&rt, &opt));
    until_dormant();
    __atomic_store_n(&s.watched_parker, (void *)&rt->monitor.parker, __ATOMIC_SEQ_CST);

    put(&keep_spinning, 1);
    const int64_t born = weft_now();
    CHECK_OK(weft_lane_spawn_in(rt, NULL, child_spins, NULL, &(weft_lane_options){.name = "the lane"}));
    until_said(&s, "the spinner");
    SPY_SAYS(&s, "the lane");
    SPY_SAYS(&s, __FILE__);
#ifndef WEFT_SWITCH_PORTABLE
    until_said(&s, "spins_here"); /* the first report may have met it on its way there */
#endif
    CHECK(reports() >= 1);
    /* Still the same turn: told again when it is twice as old, however often the monitor looks. */
    const long looks = spy_get(&s.watched_parks);
    int times;
    while ((times = times_told(&s)) < 3 || spy_get(&s.watched_parks) < looks + 6)
        sched_yield();
    CHECK(weft_now() - born >= opt.blocked_ns << (times - 1));
    put(&keep_spinning, 0);
    CHECK_OK(weft_wait(rt, WEFT_NEVER));

    /* A worker that sleeps for long is no blocked one. Only a machine too busy to let its turn
     * end may make it one now and then. */
    int64_t nap = 60 * WEFT_MILLISECOND;
    int quiet = 0;
    for (int i = 0; i < 20 && !quiet; i++) {
        until_dormant();
        const size_t said = s.log_size;
        CHECK_OK(weft_lane_spawn_in(rt, NULL, sleeps, &nap, &(weft_lane_options){.copy = sizeof nap}));
        CHECK_OK(weft_wait(rt, WEFT_NEVER));
        quiet = s.log_size == said;
    }
    CHECK(quiet);

    /* Ten periods without a single one, as soon as all have settled. */
    long parks;
    int64_t pause;
    do {
        parks = spy_get(&s.parks);
        pause = weft_after(50 * WEFT_MILLISECOND);
        while (weft_now() < pause)
            sched_yield();
    } while (spy_get(&s.parks) != parks);
    CHECK_OK(weft_end(rt));
    spy_close(&s);

    /* Off: no thread for it. */
    opt.env = spy_open(&s);
    opt.blocked_ns = -1;
    opt.mode = WEFT_SHARED;
    CHECK_OK(weft_start(&rt, &opt));
    CHECK_EQ(s.threads, 2);
    CHECK_OK(weft_end(rt));
    spy_close(&s);
    return 0;
}
