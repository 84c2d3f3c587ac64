/* Mobile lanes that all begin on one worker spread over those that have nothing to do; what moved where is told. Lanes
 * that are not mobile stay, but where WEFT_SCATTER has every lane move. */
#include "lane/world.h"
#include "sched/sched.h"

enum { LANES = 12, WORKERS = 3 };

static int seen[WEFT__WORKERS_MAX]; /* a lane was there when it was not the worker of its birth */
static int enough, home;

static void note_place(void)
{
    const int at = (int)weft__worker_self()->index;

    if (at != home)
        put(&seen[at], 1);
}

/* Always has something to do, and lets others run. */
static int restless(void *arg)
{
    volatile unsigned *sum = arg;

    while (!get(&enough)) {
        for (unsigned i = 0; i < 2000; i++)
            *sum += i;
        note_place();
        CHECK_OK(weft_yield());
    }
    return 0;
}

static unsigned sums[LANES];

static int seen_elsewhere(void)
{
    int n = 0;

    for (unsigned i = 0; i < WEFT__WORKERS_MAX; i++)
        n += get(&seen[i]);
    return n;
}

static void start_here(weft_id *l, int mobile)
{
    put(&enough, 0);
    home = (int)weft__worker_self()->index;
    for (int i = 0; i < LANES; i++)
        CHECK_OK(weft_lane_spawn_with(&l[i], restless, &sums[i], .pinned = 1, .mobile = mobile));
}

static void end_all(const weft_id *l)
{
    put(&enough, 1);
    for (int i = 0; i < LANES; i++)
        CHECK_OK(weft_lane_join(l[i], NULL, soon()));
}

static uint64_t moves(void)
{
    weft_stats s;

    CHECK_OK(weft_runtime_stats(weft_current(), &s));
    return s.lanes_moved;
}

/* Pinned to their birth's worker they are not stolen as newborns: who is seen elsewhere has moved. */
static int crowd(void *arg)
{
    weft_id l[LANES];
    weft_worker_stats w;

    (void)arg;
    start_here(l, 0);
    const int64_t until = weft_after(5 * WEFT_MILLISECOND);
    while (weft_now() < until)
        CHECK_OK(weft_yield());
    end_all(l);
    CHECK_EQ(seen_elsewhere(), 0);
    CHECK_EQ(moves(), 0);

    start_here(l, 1);
    while (seen_elsewhere() < WORKERS - 1) /* a hang, if not */
        CHECK_OK(weft_yield());
    end_all(l);
    CHECK(moves() >= WORKERS - 1);
    CHECK_OK(weft_runtime_worker(weft_current(), (unsigned)home, &w));
    CHECK(w.lanes_out >= WORKERS - 1);
    return 0;
}

static int parks(void *arg)
{
    (void)arg;
    return weft_park(WEFT_NEVER);
}

/* As restless, with so many siblings that a move would take long. */
static int restless_crowd(void *arg)
{
    enum { MANY = 70 };
    weft_id f[MANY];

    for (int i = 0; i < MANY; i++)
        CHECK_OK(weft_spawn(&f[i], parks, NULL));
    const int r = restless(arg);
    for (int i = 0; i < MANY; i++) {
        CHECK_OK(weft_unpark(f[i]));
        CHECK_OK(weft_join(f[i], NULL, soon()));
    }
    return r;
}

/* Load does not move a lane of very many fibers: for that it must ask itself. */
static int heavy(void *arg)
{
    weft_id l[LANES];
    const uint64_t before = moves();

    (void)arg;
    put(&enough, 0);
    for (int i = 0; i < LANES; i++)
        CHECK_OK(weft_lane_spawn_with(&l[i], restless_crowd, &sums[i], .pinned = 1, .mobile = 1));
    const int64_t until = weft_after(5 * WEFT_MILLISECOND);
    while (weft_now() < until)
        CHECK_OK(weft_yield());
    CHECK_EQ(moves(), before); /* as they end, they are such as move */
    end_all(l);
    return 0;
}

static int program(int argc, char **argv)
{
    weft_id l;

    (void)argc, (void)argv;
    if (weft_current()->mode == WEFT_PER_CORE)
        return 0; /* there nothing moves */
    CHECK_OK(weft_lane_spawn(&l, crowd, NULL));
    CHECK_OK(weft_lane_join(l, NULL, WEFT_NEVER));
    CHECK_OK(weft_lane_spawn(&l, heavy, NULL));
    CHECK_OK(weft_lane_join(l, NULL, WEFT_NEVER));
    return 0;
}

/* WEFT_SCATTER: lanes move although nobody asked for it, whether there is much to do or not. */
static int scattered(int argc, char **argv)
{
    weft_id l[LANES];

    (void)argc, (void)argv;
    if (weft_current()->mode == WEFT_PER_CORE)
        return 0;
    start_here(l, 0);
    while (seen_elsewhere() < WORKERS - 1) /* a hang, if not */
        CHECK_OK(weft_sleep(weft_after(WEFT_MILLISECOND)));
    end_all(l);
    CHECK(moves() > 0);
    return 0;
}

static int never(int argc, char **argv)
{
    (void)argc, (void)argv;
    return 0;
}

int main(void)
{
    run_clean(program, WORKERS);
    memset(seen, 0, sizeof seen);
    CHECK_EQ(setenv("WEFT_SCATTER", "1", 1), 0);
    run_clean(scattered, WORKERS);
    CHECK_EQ(setenv("WEFT_SCATTER", "often", 1), 0);
    CHECK_EQ(run_main(never, WORKERS), 1); /* no number: it says so, and does not start */
    return 0;
}
