/* A worker keeps the first lane that is born on it to itself, to run it next. If it does not come back from a task,
 * others get that lane: else it would wait for as long, with all that wait for it. */
#include "lane/world.h"

static int begun;

static int begins(void *arg)
{
    (void)arg;
    put(&begun, 1);
    return 0;
}

static int blocks(int argc, char **argv)
{
    weft_id l;

    (void)argc, (void)argv;
    CHECK_OK(weft_lane_spawn(&l, begins, NULL));
    until(&begun, 1); /* without giving the worker back: a hang, if nobody takes the lane */
    return weft_lane_join(l, NULL, soon());
}

int main(void)
{
    const weft_options opt = {.workers = 2, .blocked_ns = 10 * WEFT_MILLISECOND};
    const char *mode = getenv("WEFT_MODE");

    if (mode && strcmp(mode, "per-core") == 0)
        SKIP("nothing moves in this mode");
    CHECK_EQ(run_main_with(blocks, &opt), 0);
    return 0;
}
