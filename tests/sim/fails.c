/* A test of the tests: it fails, in the way its argument names, and mostly under some schedules and in some mode only.
 * replay.py sees that each of these prints one line, and that the line brings the same failure again. */
#include "base/check.h"
#include "lane/world.h"

static int figure, there;

/* Read, then written: a thread that runs in between is lost. */
static void *adds(void *arg)
{
    for (int i = 0; i < 20; i++) {
        const int seen = get(&figure);
        put(&figure, seen + 1);
    }
    return arg;
}

static void lost_update(void)
{
    const pthread_t a = thread_of(adds, NULL), b = thread_of(adds, NULL);

    pthread_join(a, NULL);
    pthread_join(b, NULL);
}

static weft_id sleeper;

static int parks(void *arg)
{
    (void)arg;
    sleeper = weft_self();
    put(&there, 1);
    return weft_park(WEFT_NEVER);
}

static int nobody_unparks(int argc, char **argv)
{
    weft_id l;

    (void)argc, (void)argv;
    CHECK_OK(weft_guest_enter(weft_current())); /* who never comes: else it would be the runtime that notices */
    CHECK_OK(weft_lane_spawn(&l, parks, NULL));
    return weft_lane_join(l, NULL, WEFT_NEVER);
}

static volatile uintptr_t nowhere = 64; /* not null: that a sanitizer would see before the processor does */

int main(int argc, char **argv)
{
    const char *how = argc > 1 ? argv[1] : "";
    const char *mode = getenv("WEFT_MODE");

    if (strcmp(how, "check") == 0) {
        lost_update();
        CHECK_EQ(figure, 40);
    } else if (strcmp(how, "assertion") == 0) {
        lost_update();
        WEFT_ASSERT(figure == 40);
    } else if (strcmp(how, "fault") == 0) {
        lost_update();
        return figure == 40 ? 0 : *(volatile int *)nowhere;
    } else if (strcmp(how, "result") == 0) {
        lost_update();
        return figure == 40 ? 0 : 3;
    } else if (strcmp(how, "deadlock") == 0) {
        return run_main(nobody_unparks, 2);
    } else if (strcmp(how, "endless") == 0) {
        for (;;)
            there = there + 1;
    } else if (strcmp(how, "mode") == 0) {
        CHECK(!mode || strcmp(mode, "per-core") != 0);
    } else if (strcmp(how, "differs") == 0) {
        weft_sim_note("process", getpid());
    } else if (strcmp(how, "argument") == 0) {
        CHECK(argc < 4 || strcmp(argv[3], "b") != 0);
    }
    return 0;
}
