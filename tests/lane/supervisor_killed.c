/* A supervisor that was killed while it waited: the ends of its children wake nobody. Its record is a stranger's by
 * then, while the lane itself still waits for an operation that nobody can cancel. */
#include "fiber/fiber.h"
#include "lane/world.h"

enum { STRANGERS = 40 };

static int gate, waits, slept;

static int64_t blocks(void *arg)
{
    (void)arg;
    while (!get(&gate))
        sched_yield();
    return 0;
}

static int in_the_pool(void *arg)
{
    weft_op op;

    (void)arg;
    weft_op_call(&op, blocks, NULL, NULL);
    put(&waits, 1);
    return (int)weft__await_op(&op, WEFT_NEVER);
}

static void until_strangers_sleep(void *arg)
{
    (void)arg;
    while (get(&slept) < STRANGERS)
        CHECK_OK(weft_sleep(weft_after(WEFT_MILLISECOND)));
}

static int child(void *arg)
{
    (void)arg;
    CHECK_OK(weft_defer(until_strangers_sleep, NULL));
    CHECK_OK(weft_child_ready(0));
    return weft_sleep(WEFT_NEVER);
}

static int supervises(void *arg)
{
    const weft_child_spec children[] = {{.id = "child", .run = child, .ready = 1}};
    const weft_supervisor_spec spec = {.children = children, .count = 1};

    (void)arg;
    CHECK_OK(weft_spawn(NULL, in_the_pool, NULL));
    return weft_supervise(&spec);
}

static int stranger(void *arg)
{
    (void)arg;
    bump(&slept);
    return weft_sleep(weft_after(200 * WEFT_MILLISECOND));
}

static int start(int argc, char **argv)
{
    weft_id supervisor, strangers[STRANGERS];
    int r;

    (void)argc, (void)argv;
    CHECK_OK(weft_lane_spawn_with(&supervisor, supervises, NULL, .pinned = 1));
    while (!get(&waits))
        CHECK_OK(weft_yield());
    /* It waits for its children's ends, or this run shows nothing. */
    CHECK_OK(weft_sleep(weft_after(10 * WEFT_MILLISECOND)));
    CHECK_OK(weft_kill(supervisor));
    for (int i = 0; i < STRANGERS; i++) {
        /* One of them comes after the supervisor's fiber has gone. */
        CHECK_OK(weft_sleep(weft_after(WEFT_MILLISECOND)));
        CHECK_OK(weft_spawn(&strangers[i], stranger, NULL));
    }
    for (int i = 0; i < STRANGERS; i++) {
        CHECK_OK(weft_join(strangers[i], &r, WEFT_NEVER));
        CHECK_EQ(r, 0);
    }
    put(&gate, 1);
    CHECK_OK(weft_lane_join(supervisor, NULL, WEFT_NEVER));
    return 0;
}

int main(void)
{
    run_clean(start, 1);
    return 0;
}
