/* Two lanes on two workers that answer each other at once do not lie down between messages, after the
 * first few; two that let the other wait for longer than waking takes do. In the simulator, so that how
 * soon "soon" is hangs on no machine. */
#include <weft/sim.h>
#include <weft/weft.h>

#include "test.h"

enum { MESSAGES = 400, SEEDS = 30 };

static int64_t pause_ns;
static weft_id asks;

static int answers(void *arg)
{
    (void)arg;
    CHECK_OK(weft_lane_move(1));
    for (int i = 0; i < MESSAGES / 2; i++) {
        weft_message *m;
        CHECK_OK(weft_receive(&m, WEFT_NEVER));
        CHECK_OK(weft_msg_free(m));
        if (pause_ns)
            CHECK_OK(weft_sleep(weft_after(pause_ns)));
        CHECK_OK(weft_send(asks, NULL, 0, NULL));
    }
    return 0;
}

static uint64_t parks(void)
{
    weft_stats stats;
    CHECK_OK(weft_runtime_stats(weft_current(), &stats));
    return stats.parks;
}

static int questions(void *arg)
{
    weft_id l;
    (void)arg;
    asks = weft_lane_self();
    CHECK_OK(weft_lane_move(0));
    CHECK_OK(weft_lane_spawn_with(&l, answers, NULL, .mobile = 1));
    const uint64_t before = parks();
    for (int i = 0; i < MESSAGES / 2; i++) {
        weft_message *m;
        CHECK_OK(weft_send(l, NULL, 0, NULL));
        CHECK_OK(weft_receive(&m, WEFT_NEVER));
        CHECK_OK(weft_msg_free(m));
    }
    const uint64_t slept = parks() - before;
    if (pause_ns)
        CHECK(slept >= MESSAGES / 2); /* each question is followed by a sleep at least here */
    else
        CHECK(slept < MESSAGES / 4);
    return weft_lane_join(l, NULL, WEFT_NEVER);
}

static int start(int argc, char **argv)
{
    weft_id l;
    (void)argc, (void)argv;
    CHECK_OK(weft_lane_spawn_with(&l, questions, NULL, .mobile = 1));
    return weft_lane_join(l, NULL, WEFT_NEVER);
}

static int program(void *arg)
{
    (void)arg;
    return weft_main(start, 0, NULL, &(weft_options){.workers = 2, .mode = WEFT_SHARED, .blocked_ns = -1});
}

int main(void)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        pause_ns = seed % 2 ? 0 : WEFT_MILLISECOND;
        CHECK_OK(weft_sim_run(&(weft_sim_options){.seed = seed, .max_steps = 2000000}, program, NULL, NULL));
    }
    return 0;
}
