/* Siblings never run in parallel (DESIGN rule 7): what is private to a lane needs no locks, while other lanes do the
 * same on all workers. Plain words, so that a thread sanitizer sees it, too. */
#include "lane/world.h"
#include "sched/sched.h"

enum { LANES = 12, FIBERS = 8, ROUNDS = 200 };

typedef struct private {
    long count;
    int inside;
    const weft__worker *home;
} private;

static int member(void *arg)
{
    private *p = *(private **)arg;

    for (int i = 0; i < ROUNDS; i++) {
        CHECK_EQ(p->inside, 0);
        p->inside = 1;
        p->count++;
        CHECK(weft__worker_self() == p->home);
        p->inside = 0;
        if (i % 17 == 0)
            CHECK_OK(weft_sleep(weft_after(10 * WEFT_MICROSECOND)));
        else
            CHECK_OK(weft_yield());
    }
    return 0;
}

static int lane_main(void *arg)
{
    private mine = {.home = weft__worker_self()}, *p = &mine;
    weft_id f[FIBERS];

    (void)arg;
    for (int i = 0; i < FIBERS; i++)
        CHECK_OK(weft_spawn_with(&f[i], member, &p, .copy = sizeof p));
    for (int i = 0; i < FIBERS; i++)
        CHECK_OK(weft_join(f[i], NULL, WEFT_NEVER));
    CHECK_EQ(mine.count, FIBERS * ROUNDS);
    return 0;
}

static int run(int argc, char **argv)
{
    weft_id l[LANES];
    int r;

    (void)argc, (void)argv;
    for (int i = 0; i < LANES; i++)
        CHECK_OK(weft_lane_spawn(&l[i], lane_main, NULL));
    for (int i = 0; i < LANES; i++) {
        CHECK_OK(weft_lane_join(l[i], &r, WEFT_NEVER));
        CHECK_EQ(r, 0);
    }
    return 0;
}

int main(void)
{
    run_clean(run, 3);
    return 0;
}
