/* Once warm, making and ending lanes maps nothing and allocates nothing (DESIGN rule 8), whether they return,
 * are cancelled, or are killed with clean-ups to run. */
#include "lane/world.h"

static spy s;

static int empty(void *arg)
{
    (void)arg;
    return 0;
}

static void nothing(void *arg) { (void)arg; }

static int parks(void *arg)
{
    CHECK_OK(weft_defer(nothing, arg));
    bump(arg);
    return weft_park(WEFT_NEVER);
}

static void rounds(int n)
{
    static int there;

    for (int i = 0; i < n; i++) {
        weft_id l;
        CHECK_OK(weft_lane_spawn(&l, empty, NULL));
        CHECK_OK(weft_lane_join(l, NULL, soon()));
        put(&there, 0);
        CHECK_OK(weft_lane_spawn(&l, parks, &there));
        while (!get(&there))
            CHECK_OK(weft_yield());
        CHECK_OK(i % 2 ? weft_kill(l) : weft_cancel(l));
        CHECK_OK(weft_lane_join(l, NULL, soon()));
    }
}

static int steady(int argc, char **argv)
{
    (void)argc, (void)argv;
    rounds(200);
    const long maps = spy_get(&s.maps);
    rounds(2000);
    CHECK_EQ(spy_get(&s.maps), maps);
    return 0;
}

int main(void)
{
    weft_options opt = {.workers = 1, .env = spy_open(&s), .blocked_ns = -1};

    CHECK_OK(run_main_with(steady, &opt));
    spy_close(&s);
    return 0;
}
