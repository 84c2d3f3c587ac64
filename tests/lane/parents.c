/* Lanes that are made to be another's children, and lanes that start where another lives. */
#include "lane/world.h"
#include "sched/sched.h"

static int there, killed_first;

static int parks(void *arg)
{
    (void)arg;
    bump(&there);
    return weft_park(WEFT_NEVER);
}

static int returns(void *arg) { return *(const int *)arg; }

/* Gets the id of a child that somebody else made for it. */
static int joins(void *arg)
{
    weft_message *m;
    weft_id child;
    int r, result = 0;

    (void)arg;
    bump(&there);
    r = weft_receive(&m, soon());
    if (r < 0)
        return r;
    memcpy(&child, m->data, sizeof child);
    CHECK_OK(weft_msg_free(m));
    CHECK_OK(weft_lane_join(child, &result, soon()));
    return result;
}

static int adopted(int argc, char **argv)
{
    weft_id above, l, other;
    int seven = 7, r;
    weft_exit e;

    (void)argc, (void)argv;
    put(&there, 0);
    CHECK_OK(weft_lane_spawn(&above, joins, NULL));
    /* Perhaps before it is born itself. */
    CHECK_OK(weft_lane_spawn_with(&l, returns, &seven, .copy = sizeof seven, .parent = above));
    CHECK_EQ(weft_lane_join(l, &r, WEFT_NOW), -EPERM); /* not ours: another's, or, once that has joined it, nobody's */
    CHECK_OK(weft_send(above, &l, sizeof l, NULL));
    CHECK_OK(weft_lane_join(above, &r, soon()));
    CHECK_EQ(r, 7);
    CHECK_EQ(weft_lane_spawn_with(&l, parks, NULL, .parent = above), -ESRCH);

    CHECK_OK(weft_lane_spawn(&above, parks, NULL)); /* it ends with its parent, by cancelling and by killing */
    CHECK_OK(weft_lane_spawn_with(&l, parks, NULL, .parent = above));
    CHECK_EQ(weft_kill(l), -EPERM);
    /* A grandchild is its parent's business. */
    CHECK_EQ(weft_lane_spawn_with(&other, parks, NULL, .parent = l), -EPERM);
    CHECK_OK(weft_cancel(above));
    CHECK_OK(weft_lane_join(above, NULL, soon()));
    CHECK_EQ(weft_kill(l), -ESRCH);

    CHECK_OK(weft_lane_spawn(&above, parks, NULL));
    CHECK_OK(weft_lane_spawn_with(&l, parks, NULL, .parent = above));
    CHECK_OK(weft_kill(above));
    CHECK_OK(weft_lane_join_exit(above, &e, soon()));
    CHECK_EQ(e.kind, WEFT_EXIT_KILLED);

    CHECK_EQ(weft_lane_spawn_with(&l, parks, NULL, .parent = weft_self()), -EINVAL);
    /* As without. */
    CHECK_OK(weft_lane_spawn_with(&l, returns, &seven, .copy = sizeof seven, .parent = weft_lane_self()));
    CHECK_OK(weft_lane_join(l, &r, soon()));
    CHECK_EQ(r, 7);
    return 0;
}

/* While the parent is being cancelled or killed, or has just ended: the child comes too late, or ends with it. */
static int in_time_or_not(int argc, char **argv)
{
    weft_id above, l;

    (void)argc, (void)argv;
    for (int round = 0; round < 300; round++) {
        CHECK_OK(weft_lane_spawn(&above, parks, NULL));
        for (int i = 0; i < round % 4; i++)
            weft_yield();
        CHECK_OK(round % 2 ? weft_kill(above) : weft_cancel(above));
        for (int i = 0; i < round % 3; i++)
            weft_yield();
        const int r = weft_lane_spawn_with(&l, parks, NULL, .parent = above);
        CHECK(r == 0 || r == -ESRCH);
        killed_first += r < 0;
        CHECK_OK(weft_lane_join(above, NULL, soon()));
    }
    return 0;
}

static int lives_at(void *arg)
{
    (void)arg;
    return (int)weft__worker_self()->index;
}

static int near_by(int argc, char **argv)
{
    weft_id l, near;
    int r;

    (void)argc, (void)argv;
    put(&there, 0);
    CHECK_OK(weft_lane_spawn(&near, parks, NULL));
    while (!get(&there))
        CHECK_OK(weft_yield());
    for (int i = 0; i < 20; i++) {
        CHECK_OK(weft_lane_spawn_with(&l, lives_at, NULL, .near = weft_lane_self()));
        CHECK_OK(weft_lane_join(l, &r, soon()));
        CHECK_EQ(r, weft__worker_self()->index);
        CHECK_OK(weft_lane_spawn_with(&l, lives_at, NULL, .near = near));
        CHECK_OK(weft_lane_join(l, NULL, soon()));
    }
    CHECK_OK(weft_kill(near));
    CHECK_OK(weft_lane_join(near, NULL, soon()));
    CHECK_OK(weft_lane_spawn_with(&l, lives_at, NULL, .near = near)); /* gone: anywhere */
    CHECK_OK(weft_lane_join(l, NULL, soon()));
    return 0;
}

int main(void)
{
    for (unsigned workers = 1; workers <= 3; workers++) {
        run_clean(adopted, workers);
        run_clean(in_time_or_not, workers);
    }
    run_clean(near_by, 1);
    run_clean(near_by, 3);
    return 0;
}
