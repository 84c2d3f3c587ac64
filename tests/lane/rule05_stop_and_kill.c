/* The order of an end (DESIGN rule 5): stopping cancels all lanes; after the grace those that do not care are named
 * and killed; what a fiber held is given back whatever it was doing, and only then is anybody told. */
#include <sys/socket.h>

#include "lane/world.h"
#include "fiber/fiber.h"

static weft_runtime *rt;
static int there, ended, fds[2];

static int stubborn(void *arg)
{
    (void)arg;
    bump(&there);
    for (;;)
        weft_park(WEFT_NEVER); /* a suspension point: the kill takes it here */
    return 0;
}

static int stubborn_in_sleep(void *arg)
{
    (void)arg;
    bump(&there);
    for (;;) {
        weft_sleep(WEFT_NEVER);
        weft_yield();
    }
    return 0;
}

static int shielded(void *arg)
{
    weft_scope s;

    (void)arg;
    weft_shield_enter(&s, 3600 * WEFT_SECOND);
    bump(&there);
    for (;;)
        weft_sleep(WEFT_NEVER);
    return 0;
}

/* With an op in the kernel, a buffer on its stack, and no interest in being cancelled. */
static int in_an_op(void *arg)
{
    static weft_desc d; /* the port's until it ends: it outlives the killed fiber's stack */
    weft_op op;
    char buf[256];

    (void)arg;
    weft__desc_init(&d, fds[0], WEFT_DESC_STREAM);
    bump(&there);
    for (;;) {
        weft_op_recv(&op, &d, buf, sizeof buf);
        weft_scope s;
        weft_shield_enter(&s, 3600 * WEFT_SECOND);
        weft__await_op(&op, WEFT_NEVER);
        weft_shield_leave(&s);
    }
    return 0;
}

static int joiner(void *arg)
{
    weft_scope s;
    weft_id f;

    (void)arg;
    CHECK_OK(weft_spawn(&f, stubborn, NULL));
    weft_shield_enter(&s, 3600 * WEFT_SECOND);
    bump(&there);
    weft_join(f, NULL, WEFT_NEVER);
    TEST_FAIL("killed while it waits, it does not come back");
}

static int parent_of_stubborn(void *arg)
{
    weft_id l;

    CHECK_OK(weft_lane_spawn_with(&l, stubborn, arg, .name = "the child"));
    CHECK_OK(weft_spawn(NULL, stubborn, arg));
    bump(&there);
    CHECK_EQ(weft_park(WEFT_NEVER), -ECANCELED);
    return 0;
}

static int polite(void *arg)
{
    (void)arg;
    bump(&there);
    CHECK_EQ(weft_park(WEFT_NEVER), -ECANCELED);
    bump(&ended);
    return 0;
}

static void begin(spy *s, int64_t grace)
{
    weft_options opt = {.workers = 2, .env = spy_open(s), .blocked_ns = -1, .grace_ns = grace};

    put(&there, 0);
    put(&ended, 0);
    CHECK_OK(weft_start(&rt, &opt));
}

static void stopping_cancels(void)
{
    static spy s;

    begin(&s, 30 * WEFT_SECOND);
    for (int i = 0; i < 20; i++)
        CHECK_OK(weft_lane_spawn_in(rt, NULL, polite, NULL, NULL));
    until(&there, 20);
    CHECK_EQ(weft_wait(rt, weft_after(WEFT_MILLISECOND)), -ETIMEDOUT);
    CHECK_OK(weft_stop(rt));
    CHECK_OK(weft_wait(rt, WEFT_NEVER));
    CHECK_EQ(get(&ended), 20);
    CHECK_OK(weft_end(rt));
    SPY_SILENT(&s);
    spy_close(&s);
}

static void killed_after_the_grace(int (*what)(void *), int arrivals, const char *name)
{
    static spy s;

    begin(&s, 10 * WEFT_MILLISECOND);
    CHECK_OK(weft_lane_spawn_in(rt, NULL, what, NULL, &(weft_lane_options){.name = name}));
    CHECK_OK(weft_lane_spawn_in(rt, NULL, polite, NULL, NULL));
    until(&there, arrivals + 1);
    const int64_t begun = weft_now();
    CHECK_OK(weft_stop(rt));
    CHECK_OK(weft_wait(rt, WEFT_NEVER));
    CHECK(weft_now() - begun >= 10 * WEFT_MILLISECOND);
    CHECK(get(&ended) == 1 || spy_says(&s, "polite")); /* unless this machine was too busy to let it in time */
    SPY_SAYS(&s, "outlived the grace");
    SPY_SAYS(&s, name);
    SPY_SAYS(&s, __FILE__ ":"); /* where it was made */
    weft_stats stats;
    CHECK_OK(weft_runtime_stats(rt, &stats));
    CHECK_EQ(stats.fibers_spawned, stats.fibers_ended);
    CHECK_EQ(stats.lanes_spawned, stats.lanes_ended);
    CHECK_OK(weft_end(rt));
    spy_close(&s);
}

/* Kills before birth, and while a stack is still to be had: nothing runs. */
static int never(void *arg)
{
    (void)arg;
    bump(&ended);
    return 0;
}

static int holds_worker(void *arg)
{
    (void)arg;
    for (int i = 0; i < 50; i++)
        CHECK_OK(weft_spawn(NULL, never, NULL));
    put(&there, 1);
    while (get(&there) == 1)
        sched_yield();
    return 0;
}

static void newborns_of_a_cancelled_lane(void)
{
    static spy s;
    weft_id id;

    begin(&s, 30 * WEFT_SECOND);
    CHECK_OK(weft_lane_spawn_in(rt, &id, holds_worker, NULL, NULL));
    until(&there, 1);
    CHECK_OK(weft_cancel_in(rt, id));
    put(&there, 2);
    CHECK_OK(weft_wait(rt, WEFT_NEVER));
    CHECK_EQ(get(&ended), 50); /* cancelled is not killed: they run, and learn it at their first wait */
    CHECK_OK(weft_end(rt));
    SPY_SILENT(&s);
    spy_close(&s);
}

/* weft_end does all of it by itself. */
static void free_stops(void)
{
    static spy s;

    begin(&s, 5 * WEFT_MILLISECOND);
    for (int i = 0; i < 10; i++)
        CHECK_OK(weft_lane_spawn_in(rt, NULL, i % 2 ? stubborn : polite, NULL, NULL));
    CHECK_OK(weft_end(rt)); /* perhaps before any of them was born */
    spy_close(&s);
}

int main(void)
{
    stopping_cancels();
    killed_after_the_grace(stubborn, 1, "stubborn");
    killed_after_the_grace(stubborn_in_sleep, 1, "in sleep");
    killed_after_the_grace(shielded, 1, "shielded");
    killed_after_the_grace(joiner, 2, "joiner");
    killed_after_the_grace(parent_of_stubborn, 3, "the child");
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    killed_after_the_grace(in_an_op, 1, "in an op");
    close(fds[0]);
    close(fds[1]);
    newborns_of_a_cancelled_lane();
    for (int i = 0; i < 20; i++)
        free_stops();
    return 0;
}
