/* weft_timer_wait: a cancel between the waking and the running of who waits is not lost;
 * who never has to wait does not keep the worker. */
#include "lane/world.h"

static weft_id timer;
static int waits_now;

static int waits(void *arg)
{
    (void)arg;
    put(&waits_now, 1);
    return weft_timer_wait(timer, NULL, soon());
}

/* Setting the timer wakes who waits, to look again; before it runs it is cancelled. */
static int cancelled_between(int argc, char **argv)
{
    weft_id f;
    int result;
    (void)argc, (void)argv;
    CHECK_OK(weft_timer_open(&timer));
    CHECK_OK(weft_timer_set(timer, soon(), 0));
    CHECK_OK(weft_spawn(&f, waits, NULL));
    while (!get(&waits_now))
        CHECK_OK(weft_yield());
    int64_t begin = weft_now();
    CHECK_OK(weft_timer_set(timer, soon(), 0));
    CHECK_OK(weft_cancel(f));
    CHECK_OK(weft_join(f, &result, soon()));
    CHECK_EQ(result, -ECANCELED);
    CHECK(weft_now() - begin < 10 * WEFT_SECOND); /* and not by its deadline, after 20 */
    /* What has come in between is an answer: it is not dropped. */
    put(&waits_now, 0);
    CHECK_OK(weft_spawn(&f, waits, NULL));
    while (!get(&waits_now))
        CHECK_OK(weft_yield());
    CHECK_OK(weft_timer_set(timer, WEFT_NOW, 0));
    CHECK_OK(weft_cancel(f));
    CHECK_OK(weft_join(f, &result, soon()));
    CHECK_EQ(result, 0);
    CHECK_OK(weft_close(timer));
    return 0;
}

static int spins(void *arg)
{
    uint64_t n;
    (void)arg;
    while (!get(&waits_now)) {
        CHECK_OK(weft_timer_wait(timer, &n, WEFT_NEVER));
        CHECK(n > 0);
    }
    return 0;
}

static int opens_and_spins(void *arg)
{
    weft_id own;
    (void)arg;
    CHECK_OK(weft_timer_open(&own));
    CHECK_OK(weft_timer_set(own, weft_now(), 1));
    while (weft_timer_wait(own, NULL, WEFT_NEVER) == 0)
        ;
    return 0;
}

/* A period shorter than a turn round the loop has always passed: others get their turns all the same,
 * and the loop is cancelled and killed as any other. */
static int tiny_period(int argc, char **argv)
{
    weft_id f, l;
    (void)argc, (void)argv;
    put(&waits_now, 0);
    CHECK_OK(weft_timer_open(&timer));
    CHECK_OK(weft_timer_set(timer, weft_now(), 1));
    CHECK_OK(weft_spawn(&f, spins, NULL));
    CHECK_OK(weft_yield());
    put(&waits_now, 1);
    CHECK_OK(weft_join(f, NULL, soon()));
    CHECK_OK(weft_close(timer));
    CHECK_OK(weft_lane_spawn(&l, opens_and_spins, NULL));
    CHECK_OK(weft_kill(l));
    CHECK_OK(weft_lane_join(l, NULL, soon()));
    return 0;
}

int main(void)
{
    run_clean(cancelled_between, 1);
    run_clean(tiny_period, 1);
    return 0;
}
