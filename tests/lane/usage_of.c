/* What another lane has: who may ask, of lanes on any worker, at any point of their lives. */
#include "lane/world.h"

static int up, hold, busy;
static weft_id deep;

static weft_limits used(weft_id lane)
{
    weft_limits u;
    CHECK_OK(weft_lane_usage_of(lane, &u, soon()));
    return u;
}

static int parks(void *arg)
{
    (void)arg;
    bump(&up);
    return weft_park(WEFT_NEVER);
}

static void await_up(int n)
{
    while (get(&up) < n)
        CHECK_OK(weft_sleep(weft_after(WEFT_MILLISECOND / 4)));
}

/* Two fibers, three ids, a child, a message. */
static int has_some(void *arg)
{
    weft_id id;
    (void)arg;
    for (int i = 0; i < 3; i++)
        CHECK_OK(weft_timer_open(&id));
    CHECK_OK(weft_send(weft_lane_self(), "hello", 5, NULL));
    CHECK(weft_alloc(100) != NULL);
    CHECK_OK(weft_spawn(NULL, parks, NULL));
    CHECK_OK(weft_lane_spawn(&deep, parks, NULL));
    await_up(2);
    return parks(NULL);
}

static void check(weft_id lane)
{
    const weft_limits u = used(lane);
    CHECK_EQ(u.fibers, 2);
    CHECK_EQ(u.ids, 3);
    CHECK_EQ(u.lanes, 1);
    CHECK_EQ(u.messages, 1);
    CHECK(u.message_bytes >= 5 && u.vat_bytes >= 100 && u.stack_bytes > 0);
}

static int stranger(void *arg)
{
    const weft_id *lanes = arg;
    weft_limits u = {.fibers = 77};
    for (int i = 0; i < 2; i++)
        CHECK_EQ(weft_lane_usage_of(lanes[i], &u, soon()), -EPERM);
    CHECK_EQ(u.fibers, 77);
    bump(&up);
    while (get(&hold))
        CHECK_OK(weft_sleep(weft_after(WEFT_MILLISECOND / 4)));
    check(lanes[0]); /* the right was granted meanwhile */
    CHECK_EQ(weft_lane_usage_of(lanes[1], &u, soon()), -EPERM); /* over that one alone */
    return 0;
}

static void family_and_others(void)
{
    weft_id lanes[2], other;
    int r;
    put(&up, 0);
    put(&hold, 1);
    CHECK_OK(weft_lane_spawn(&lanes[0], has_some, NULL));
    await_up(3);
    lanes[1] = deep;
    check(lanes[0]);
    CHECK_EQ(used(deep).fibers, 1); /* a grandchild */
    CHECK_EQ(used(weft_lane_self()).lanes, 1);
    CHECK_OK(weft_lane_spawn_with(&other, stranger, lanes, .copy = sizeof lanes));
    await_up(4);
    CHECK_OK(weft_grant(lanes[0], other, WEFT_RIGHT_LOOK));
    put(&hold, 0);
    CHECK_OK(weft_lane_join(other, &r, soon()));
    CHECK_EQ(r, 0);
    CHECK_OK(weft_kill(lanes[0]));
    CHECK_OK(weft_lane_join(lanes[0], NULL, soon()));
    weft_limits u;
    CHECK_EQ(weft_lane_usage_of(lanes[0], &u, soon()), -ESRCH);
    CHECK_EQ(weft_lane_usage_of(deep, &u, soon()), -ESRCH);
}

static void bad_use(void)
{
    weft_limits u;
    weft_id timer;
    CHECK_OK(weft_timer_open(&timer));
    CHECK_EQ(weft_lane_usage_of(timer, &u, soon()), -EINVAL);
    CHECK_EQ(weft_lane_usage_of(WEFT_NOID, &u, soon()), -ESRCH);
    CHECK_EQ(weft_lane_usage_of(weft_lane_self(), NULL, soon()), -EINVAL);
    CHECK_OK(weft_close(timer));
}

/* On another worker than that one, which is not to be had for an answer then. */
static int computes(void *arg)
{
    const unsigned *other = arg;
    CHECK_OK(weft_lane_move(*other == 0));
    put(&busy, 1);
    while (get(&hold))
        sched_yield();
    return parks(NULL);
}

static int asks(void *arg)
{
    weft_limits u;
    return weft_lane_usage_of(*(weft_id *)arg, &u, WEFT_NEVER);
}

static void no_answer(void)
{
    weft_limits u;
    weft_id_info me;
    weft_id lane, f;
    int r;
    put(&up, 0);
    put(&hold, 1);
    put(&busy, 0);
    CHECK_OK(weft_id_inspect(weft_lane_self(), &me));
    CHECK_OK(weft_lane_spawn_with(&lane, computes, &me.worker, .copy = sizeof me.worker, .mobile = 1));
    while (!get(&busy))
        CHECK_OK(weft_sleep(weft_after(WEFT_MILLISECOND / 4)));
    CHECK_EQ(weft_lane_usage_of(lane, &u, WEFT_NOW), -ETIMEDOUT);
    CHECK_EQ(weft_lane_usage_of(lane, &u, weft_after(WEFT_MILLISECOND)), -ETIMEDOUT);
    CHECK_OK(weft_spawn_with(&f, asks, &lane, .copy = sizeof lane));
    CHECK_OK(weft_yield());
    CHECK_OK(weft_cancel(f));
    CHECK_OK(weft_join(f, &r, soon()));
    CHECK_EQ(r, -ECANCELED);
    CHECK_OK(weft_spawn_with(&f, asks, &lane, .copy = sizeof lane));
    CHECK_OK(weft_yield());
    put(&hold, 0); /* the late answers find nobody, this one does */
    CHECK_OK(weft_join(f, &r, soon()));
    CHECK_EQ(r, 0);
    CHECK_OK(weft_kill(lane));
    CHECK_OK(weft_lane_join(lane, NULL, soon()));
}

static void unborn(void)
{
    weft_id lane;
    put(&up, 0);
    CHECK_OK(weft_lane_spawn_with(&lane, parks, NULL, .pinned = 1));
    CHECK_EQ(used(lane).fibers, 0);
    await_up(1);
    CHECK_EQ(used(lane).fibers, 1);
    CHECK_OK(weft_kill(lane));
    CHECK_OK(weft_lane_join(lane, NULL, soon()));
}

/* ---- while they come and go ---- */

static int brief(void *arg)
{
    (void)arg;
    return weft_yield();
}

static int asks_all(void *arg)
{
    weft_limits u;
    (void)arg;
    for (int i = 0; i < 300; i++) {
        weft_id l[4];
        for (int k = 0; k < 4; k++)
            CHECK_OK(weft_lane_spawn(&l[k], brief, NULL));
        for (int k = 0; k < 4; k++) {
            int r = weft_lane_usage_of(l[k], &u, soon());
            CHECK(r == 0 || r == -ESRCH);
        }
        for (int k = 0; k < 4; k++)
            CHECK_OK(weft_lane_join(l[k], NULL, soon()));
    }
    return 0;
}

static void storm(void)
{
    weft_id l[4];
    int r;
    for (int i = 0; i < 4; i++)
        CHECK_OK(weft_lane_spawn(&l[i], asks_all, NULL));
    for (int i = 0; i < 4; i++) {
        if (i == 3)
            CHECK((r = weft_kill(l[i])) == 0 || r == -ESRCH); /* in the middle of asking, perhaps */
        CHECK_OK(weft_lane_join(l[i], &r, soon()));
        CHECK(r == 0 || i == 3);
    }
}

static int start(int argc, char **argv)
{
    weft_info info;
    (void)argc, (void)argv;
    CHECK_OK(weft_runtime_info(weft_current(), &info));
    family_and_others();
    bad_use();
    unborn();
    if (info.mode == WEFT_SHARED)
        no_answer();
    storm();
    return 0;
}

static void *foreign(void *arg)
{
    weft_limits u;
    CHECK_EQ(weft_lane_usage_of(*(weft_id *)arg, &u, WEFT_NOW), -EPERM);
    return NULL;
}

int main(void)
{
    weft_id none = WEFT_NOID;
    CHECK_EQ(pthread_join(thread_of(foreign, &none), NULL), 0);
    run_clean(start, 3);
    return 0;
}
