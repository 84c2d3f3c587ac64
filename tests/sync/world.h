/* What tests of this layer share: pairs of lanes on different workers where there are some, and killing. */
#ifndef WEFT_TESTS_SYNC_WORLD_H
#define WEFT_TESTS_SYNC_WORLD_H

#include "lane/realm.h"
#include "lane/world.h"

/* As a kill does it: no cooperation is asked for. */
static inline void kill_lane(weft_id lane) { CHECK_OK(weft__lane_signal(weft_current(), lane, WEFT__SIG_KILL)); }

/* One of this worker's, at once: nothing of it runs in between. */
static inline void kill_here(weft_id lane)
{
    weft__lane *l = weft__slab_at(&weft__lanes_of(weft_current())->lanes, lane.key);

    weft__lane_apply(l, WEFT__SIG_KILL);
}

/* Its end is told after everything that it had has gone elsewhere. */
static inline void killed(weft_id lane)
{
    kill_lane(lane);
    CHECK_OK(weft_lane_join(lane, NULL, soon()));
}

/* As run_clean, for tests that make reports: what was said is in *s until spy_close(s). */
static inline void run_told(int (*fn)(int, char **), unsigned workers, spy *s)
{
    weft_options opt = {.workers = workers, .env = spy_open(s), .blocked_ns = -1};

    CHECK_EQ(run_main_with(fn, &opt), 0);
}

static inline void joined(weft_id fiber)
{
    int r = 1;

    CHECK_OK(weft_join(fiber, &r, soon()));
    CHECK_EQ(r, 0);
}

static inline void ended(weft_id lane)
{
    int r = 1;

    CHECK_OK(weft_lane_join(lane, &r, soon()));
    CHECK_EQ(r, 0);
}

/* Until every fiber of this worker that can run has run: newborns and those that were woken take turns. */
static inline void settle(void)
{
    for (int i = 0; i < 16; i++)
        CHECK_OK(weft_yield());
}

/* Until a lane elsewhere has got so far. */
static inline void reached(const int *p, int v)
{
    while (get(p) < v)
        CHECK_OK(weft_yield());
}

#endif
