/* Newborn lanes move to workers that have nothing to do, where the mode allows it; those that have run stay. */
#include "lane/world.h"
#include "sched/sched.h"

static int begun, release_all, moved;

/* Computes: it gives its worker back only when all have begun, so each needs a worker of its own. */
static int occupies(void *arg)
{
    (void)arg;
    bump(&begun);
    while (!get(&release_all))
        sched_yield();
    return 0;
}

static int spread(int argc, char **argv)
{
    weft_id l[2];

    (void)argc, (void)argv;
    for (int i = 0; i < 2; i++)
        CHECK_OK(weft_lane_spawn(&l[i], occupies, NULL));
    while (get(&begun) < 2) /* this worker is kept busy: only by being stolen do they begin (a hang, if not) */
        sched_yield();
    put(&release_all, 1);
    for (int i = 0; i < 2; i++)
        CHECK_OK(weft_lane_join(l[i], NULL, WEFT_NEVER));
    weft_stats stats;
    CHECK_OK(weft_runtime_stats(weft_current(), &stats));
    CHECK(stats.steals > 0 || weft__worker_self()->rt->mode == WEFT_SINGLE_IO);
    return 0;
}

/* After its first run a lane is at home. */
static int stays(void *arg)
{
    const weft__worker *home = weft__worker_self();

    (void)arg;
    for (int i = 0; i < 300; i++) {
        CHECK_OK(i % 7 ? weft_yield() : weft_sleep(weft_after(20 * WEFT_MICROSECOND)));
        if (weft__worker_self() != home)
            bump(&moved);
    }
    return 0;
}

static int all_stay(int argc, char **argv)
{
    weft_id l[60];
    weft_stats stats;

    (void)argc, (void)argv;
    for (int i = 0; i < 60; i++)
        CHECK_OK(weft_lane_spawn(&l[i], stays, NULL));
    for (int i = 0; i < 60; i++)
        CHECK_OK(weft_lane_join(l[i], NULL, WEFT_NEVER));
    CHECK_EQ(get(&moved), 0);
    CHECK_OK(weft_runtime_stats(weft_current(), &stats));
    /* A batch taken from a victim may be stolen on before it runs:
     * there is no bound on `steals` but in per-core mode. */
    weft_info info;
    CHECK_OK(weft_runtime_info(weft_current(), &info));
    if (info.mode == WEFT_PER_CORE)
        CHECK_EQ(stats.steals, 0);
    return 0;
}

/* While siblings wake each other without an end, what may be stolen still gets its turn on a single worker. */
static int turn_came;

static int takes_turn(void *arg)
{
    (void)arg;
    put(&turn_came, 1);
    return 0;
}

static int yields_on(void *arg)
{
    (void)arg;
    while (!get(&turn_came))
        CHECK_OK(weft_yield());
    return 0;
}

static int no_starving(int argc, char **argv)
{
    weft_id f[3], l;

    (void)argc, (void)argv;
    for (int i = 0; i < 3; i++)
        CHECK_OK(weft_spawn(&f[i], yields_on, NULL));
    CHECK_OK(weft_yield());
    CHECK_OK(weft_lane_spawn(&l, takes_turn, NULL));
    CHECK_OK(weft_lane_join(l, NULL, WEFT_NEVER));
    for (int i = 0; i < 3; i++)
        CHECK_OK(weft_join(f[i], NULL, WEFT_NEVER));
    return 0;
}

int main(void)
{
    enum weft_mode mode = WEFT_SHARED;
    const char *text = getenv("WEFT_MODE");

    if (text && *text)
        CHECK_OK(weft_mode_named(text, &mode));
    if (mode != WEFT_PER_CORE)
        CHECK_EQ(run_main(spread, 3), 0);
    CHECK_EQ(run_main(all_stay, 3), 0);
    CHECK_EQ(run_main(no_starving, 1), 0);
    return 0;
}
