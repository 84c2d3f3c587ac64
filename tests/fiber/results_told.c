/* A result that nobody joined is told with its spawn site, unless it is 0, or the lane was cancelled anyhow, or it
 * was detached. */
#include "lane/world.h"

static int fails(void *arg) { return (int)(intptr_t)arg; }

static int makes(void *arg)
{
    weft_id f;
    const int how = *(const int *)arg;

    if (how == 0)
        CHECK_OK(weft_spawn_with(&f, fails, (void *)(intptr_t)-EPIPE, .name = "lost one"));
    if (how == 1) {
        CHECK_OK(weft_spawn(&f, fails, (void *)(intptr_t)-EPIPE));
        CHECK_OK(weft_detach(f));
        CHECK_OK(weft_spawn(NULL, fails, (void *)(intptr_t)-EPIPE));
        CHECK_OK(weft_spawn_with(&f, fails, (void *)(intptr_t)-EPIPE, .detached = 1));
        CHECK_OK(weft_spawn(&f, fails, NULL));
        CHECK_OK(weft_spawn(&f, fails, (void *)(intptr_t)-EPIPE));
        CHECK_OK(weft_join(f, NULL, WEFT_NEVER));
    }
    return 0;
}

static int how;

static int run(int argc, char **argv)
{
    weft_id lane;
    int r = 1;

    (void)argc, (void)argv;
    CHECK_OK(weft_lane_spawn_with(&lane, makes, &how, .name = "its lane"));
    CHECK_OK(weft_lane_join(lane, &r, WEFT_NEVER));
    CHECK_EQ(r, 0);
    return 0;
}

int main(void)
{
    static spy s;
    weft_options opt = {.workers = 2, .env = spy_open(&s), .blocked_ns = -1};

    how = 0;
    CHECK_EQ(run_main_with(run, &opt), 0);
    SPY_SAYS(&s, "lost one");
    SPY_SAYS(&s, "its lane");
    SPY_SAYS(&s, __FILE__ ":");
    SPY_SAYS(&s, weft_strerror(-EPIPE));
    spy_close(&s);

    how = 1;
    opt.env = spy_open(&s);
    CHECK_EQ(run_main_with(run, &opt), 0);
    SPY_SILENT(&s);
    spy_close(&s);
    return 0;
}
