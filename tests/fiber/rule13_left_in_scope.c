/* Bad use is told (DESIGN rule 13): a fiber that returns inside a scope would leave a timer that points into a frame
 * which is gone. The program ends with a line that names the fiber, its lane and where it was spawned. */
#include "child.h"
#include "lane/world.h"

static int careless(void *arg)
{
    weft_scope s;

    if (*(int *)arg)
        return weft_shield_enter(&s, WEFT_SECOND);
    return weft_scope_enter(&s, weft_after(WEFT_SECOND));
}

static int how;

static int body(void *arg)
{
    weft_id f;

    (void)arg;
    CHECK_OK(weft_spawn_with(&f, careless, &how, .name = "the careless"));
    return weft_join(f, NULL, WEFT_NEVER);
}

static int run(int argc, char **argv)
{
    weft_id l;

    (void)argc, (void)argv;
    CHECK_OK(weft_lane_spawn_with(&l, body, NULL, .name = "its lane"));
    return weft_lane_join(l, NULL, WEFT_NEVER);
}

static int runs(void *arg)
{
    (void)arg;
    return run_main(run, 1);
}

int main(void)
{
    for (how = 0; how < 2; how++) {
        char said[2048];

        CHECK(!ended_well(child_says(runs, NULL, said, sizeof said)));
        if (!strstr(said, "the careless") || !strstr(said, "its lane") || !strstr(said, "rule13_left_in_scope.c:") ||
            !strstr(said, "scope"))
            TEST_FAIL("it said: %s", said);
    }
    return 0;
}
