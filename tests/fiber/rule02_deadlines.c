/* Deadlines (DESIGN rule 2): every waiting call keeps its own, none answers early, a past one tries once without
 * waiting. */
#include "lane/world.h"

static int sleeps_until(void *arg)
{
    const int64_t deadline = *(const int64_t *)arg;

    CHECK_OK(weft_sleep(deadline));
    CHECK(weft_now() >= deadline);
    return 0;
}

static int parks(void *arg)
{
    (void)arg;
    return weft_park(WEFT_NEVER);
}

static int run(int argc, char **argv)
{
    enum { SLEEPERS = 500 };
    static weft_id f[SLEEPERS];
    uint64_t state = 11;

    (void)argc, (void)argv;
    for (int i = 0; i < SLEEPERS; i++) {
        int64_t deadline = weft_after((int64_t)(next_random(&state) % 30000) * WEFT_MICROSECOND);
        CHECK_OK(weft_spawn_with(&f[i], sleeps_until, &deadline, .copy = sizeof deadline));
    }
    for (int i = 0; i < SLEEPERS; i++)
        CHECK_OK(weft_join(f[i], NULL, WEFT_NEVER));

    /* Later waits with nearer and farther deadlines than the timer that is still armed from before. */
    const weft_id self = weft_self();
    for (int i = 0; i < 200; i++) {
        const int64_t ns = (int64_t)(next_random(&state) % 400) * WEFT_MICROSECOND, deadline = weft_after(ns);
        if (i % 3 == 0) {
            CHECK_OK(weft_unpark(self));
            CHECK_OK(weft_park(weft_after(WEFT_SECOND)));
        }
        CHECK_EQ(weft_park(deadline), -ETIMEDOUT);
        CHECK(weft_now() >= deadline);
    }

    CHECK_OK(weft_sleep(WEFT_NOW));
    CHECK_OK(weft_sleep(-5));
    CHECK_EQ(weft_park(WEFT_NOW), -ETIMEDOUT);
    CHECK_EQ(weft_park(INT64_MIN), -ETIMEDOUT);
    weft_id p;
    CHECK_OK(weft_spawn(&p, parks, NULL));
    CHECK_EQ(weft_join(p, NULL, WEFT_NOW), -ETIMEDOUT);
    CHECK_OK(weft_unpark(p));
    CHECK_OK(weft_join(p, NULL, WEFT_NEVER));
    CHECK_EQ(weft_after(WEFT_NEVER), WEFT_NEVER);
    CHECK_EQ(weft_after(WEFT_NEVER - 1), WEFT_NEVER);
    CHECK(weft_after(0) <= weft_now());
    CHECK(weft_wall_clock() > 1500000000 * WEFT_SECOND);
    return 0;
}

int main(void)
{
    CHECK(weft_now() > 0); /* a foreign thread's clock */
    run_clean(run, 2);
    return 0;
}
