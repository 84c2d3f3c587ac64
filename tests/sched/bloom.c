/* Workers start in a bloom, whatever their number, and a thread that cannot be started undoes all of it: an error,
 * and nothing left. */
#include "lane/world.h"

static int ended;

static int count(void *arg)
{
    (void)arg;
    bump(&ended);
    return 0;
}

static int start_and_use(spy *s, unsigned workers, long fail_thread)
{
    /* No reports: sixteen threads may well wait for a processor. */
    weft_options opt = {.workers = workers, .env = &s->env, .blocked_ns = -1};
    weft_runtime *rt = NULL;

    s->thread_calls = 0;
    s->fail_thread = fail_thread;
    const int r = weft_start(&rt, &opt);
    if (r < 0) {
        CHECK(rt == NULL);
        return r;
    }
    put(&ended, 0);
    for (unsigned i = 0; i < 3 * workers; i++)
        CHECK_OK(weft_lane_spawn_in(rt, NULL, count, NULL, NULL));
    CHECK_OK(weft_wait(rt, WEFT_NEVER));
    CHECK_EQ(get(&ended), (int)(3 * workers));
    CHECK_OK(weft_end(rt));
    return 0;
}

int main(void)
{
    static spy s;

    for (unsigned workers = 1; workers <= 16; workers += workers < 8 ? 1 : 4) {
        spy_open(&s);
        CHECK_OK(start_and_use(&s, workers, 0));
        SPY_SILENT(&s);
        spy_close(&s);
    }
    for (unsigned workers = 1; workers <= 6; workers++) {
        long calls = 1;
        for (long k = 1; k <= calls; k++) {
            spy_open(&s);
            CHECK_EQ(start_and_use(&s, workers, k), -EAGAIN);
            spy_close(&s);
            spy_open(&s);
            CHECK_OK(start_and_use(&s, workers, 0)); /* and the next start is none the worse */
            calls = s.thread_calls;
            spy_close(&s);
        }
        CHECK(calls >= (long)workers);
    }
    return 0;
}
