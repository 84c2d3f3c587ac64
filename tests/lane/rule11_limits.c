/* Overload is refused (DESIGN rule 11): at a limit of fibers, lanes or stacks there is an answer, and once something
 * has ended there is room. */
#include "lane/world.h"

static int parks(void *arg)
{
    (void)arg;
    return weft_park(WEFT_NEVER);
}

static int fibers_at_the_limit(int argc, char **argv)
{
    weft_id f[7], more;

    (void)argc, (void)argv;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 7; i++)
            CHECK_OK(weft_spawn(&f[i], parks, NULL)); /* and main is the eighth */
        CHECK_EQ(weft_spawn(&more, parks, NULL), -EAGAIN);
        CHECK_EQ(weft_spawn(NULL, parks, NULL), -EAGAIN);
        for (int i = 0; i < 7; i++)
            CHECK_OK(weft_unpark(f[i]));
        for (int i = 0; i < 7; i++)
            CHECK_OK(weft_join(f[i], NULL, WEFT_NEVER));
    }
    return 0;
}

/* Stacks that run out are the newborn's result. */
static int out_of_stacks(int argc, char **argv)
{
    weft_id f[12];
    int r, refused = 0;

    (void)argc, (void)argv;
    for (int i = 0; i < 12; i++)
        CHECK_OK(weft_spawn(&f[i], parks, NULL));
    for (int i = 0; i < 12; i++)
        CHECK_OK(weft_yield());
    for (int i = 0; i < 12; i++)
        weft_unpark(f[i]);
    for (int i = 0; i < 12; i++) {
        CHECK_OK(weft_join(f[i], &r, WEFT_NEVER));
        CHECK(r == 0 || r == -EAGAIN || r == -ENOMEM);
        refused += r < 0;
    }
    CHECK(refused > 0);
    CHECK_OK(weft_spawn(&f[0], parks, NULL));
    CHECK_OK(weft_unpark(f[0]));
    CHECK_OK(weft_join(f[0], &r, WEFT_NEVER));
    CHECK_EQ(r, 0);
    return 0;
}

static int lanes_at_the_limit(int argc, char **argv)
{
    weft_id l[4], more;

    (void)argc, (void)argv;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 4; i++)
            CHECK_OK(weft_lane_spawn(&l[i], parks, NULL));
        CHECK_EQ(weft_lane_spawn(&more, parks, NULL), -EAGAIN);
        for (int i = 0; i < 4; i++)
            CHECK_OK(weft_cancel(l[i]));
        for (int i = 0; i < 4; i++)
            CHECK_OK(weft_lane_join(l[i], NULL, WEFT_NEVER));
    }
    return 0;
}

static void under(weft_options opt, int (*fn)(int, char **))
{
    static spy s;

    opt.env = spy_open(&s);
    CHECK_EQ(run_main_with(fn, &opt), 0);
    spy_close(&s);
}

int main(void)
{
    under((weft_options){.workers = 1, .max_fibers = 8}, fibers_at_the_limit);
    under((weft_options){.workers = 2, .max_lanes = 4}, lanes_at_the_limit);
    under((weft_options){.workers = 1, .stacks_committed = 8, .stack_size = 64 << 10}, out_of_stacks);
    under((weft_options){.workers = 1, .max_stacks = 8}, out_of_stacks);
    return 0;
}
