/* Lanes: made from fibers and from foreign threads, joined, detached and cancelled by their parent and nobody else;
 * what each call answers. */
#include "lane/world.h"

static int ended;

static int returns(void *arg)
{
    bump(&ended);
    return (int)(intptr_t)arg;
}

static int parks(void *arg)
{
    (void)arg;
    return weft_park(WEFT_NEVER);
}

static int parks_twice(void *arg)
{
    const int r = parks(arg);

    return r < 0 ? r : parks(arg);
}

static int checks_copy(void *arg)
{
    const unsigned char *b = arg;

    for (int i = 0; i < WEFT_LANE_COPY_MAX; i++)
        CHECK_EQ(b[i], i);
    CHECK(strcmp(weft_name(), "copied") == 0);
    return 0;
}

static void results(void)
{
    unsigned char bytes[WEFT_LANE_COPY_MAX];
    weft_id l;
    int r = 0;

    CHECK_OK(weft_lane_spawn(&l, returns, (void *)(intptr_t)7));
    CHECK_OK(weft_lane_join(l, &r, WEFT_NEVER));
    CHECK_EQ(r, 7);
    CHECK_EQ(weft_lane_join(l, &r, WEFT_NEVER), -ESRCH);
    CHECK_EQ(weft_lane_detach(l), -ESRCH);
    CHECK_EQ(weft_cancel(l), -ESRCH);
    CHECK_EQ(weft_cancel_in(weft_current(), l), -ESRCH);
    for (int i = 0; i < WEFT_LANE_COPY_MAX; i++)
        bytes[i] = (unsigned char)i;
    CHECK_OK(weft_lane_spawn_with(&l, checks_copy, bytes, .copy = sizeof bytes, .name = "copied"));
    memset(bytes, 0, sizeof bytes);
    CHECK_OK(weft_lane_join(l, &r, WEFT_NEVER));
    CHECK_EQ(r, 0);
    CHECK_OK(weft_lane_spawn_with(&l, returns, (void *)(intptr_t)-3, .stack_size = 1 << 20));
    CHECK_OK(weft_lane_join(l, &r, soon()));
    CHECK_EQ(r, -3);
}

static void refusals(void)
{
    char c = 0;
    weft_id l, none = WEFT_NOID;

    CHECK_EQ(weft_lane_spawn(&l, NULL, NULL), -EINVAL);
    CHECK_EQ(weft_lane_spawn_with(&l, returns, &c, .copy = WEFT_LANE_COPY_MAX + 1), -EINVAL);
    CHECK_EQ(weft_lane_spawn_with(&l, returns, NULL, .copy = 1), -EINVAL);
    CHECK_EQ(weft_lane_spawn_with(&l, returns, NULL, .stack_size = 100), -EINVAL);
    CHECK_EQ(weft_lane_join(none, NULL, WEFT_NOW), -ESRCH);
    CHECK_EQ(weft_lane_detach(none), -ESRCH);
    CHECK_EQ(weft_lane_join(weft_self(), NULL, WEFT_NOW), -EINVAL); /* a fiber's */
    CHECK_EQ(weft_lane_join(weft_lane_self(), NULL, WEFT_NOW), -EPERM); /* nobody's child of its own */

    CHECK_OK(weft_lane_spawn(&l, parks, NULL));
    CHECK_EQ(weft_lane_join(l, NULL, WEFT_NOW), -ETIMEDOUT);
    const int64_t deadline = weft_after(2 * WEFT_MILLISECOND);
    CHECK_EQ(weft_lane_join(l, NULL, deadline), -ETIMEDOUT);
    CHECK(weft_now() >= deadline);
    CHECK_OK(weft_lane_detach(l));
    CHECK_EQ(weft_lane_join(l, NULL, WEFT_NOW), -ESRCH);
    CHECK_EQ(weft_lane_detach(l), -ESRCH);
    CHECK_OK(weft_cancel(l)); /* still its child */
    while (weft_cancel(l) != -ESRCH)
        CHECK_OK(weft_yield());
    CHECK_OK(weft_lane_spawn_with(&l, parks, NULL, .detached = 1));
    CHECK_EQ(weft_lane_join(l, NULL, WEFT_NOW), -ESRCH);
    CHECK_OK(weft_cancel(l));
}

static int joins(void *arg) { return weft_lane_join(*(weft_id *)arg, NULL, WEFT_NEVER); }

static void one_joiner(void)
{
    weft_id l, f;
    int r;

    CHECK_OK(weft_lane_spawn(&l, parks, NULL));
    CHECK_OK(weft_spawn(&f, joins, &l));
    CHECK_OK(weft_yield());
    CHECK_OK(weft_yield());
    CHECK_EQ(weft_lane_join(l, NULL, WEFT_NEVER), -EBUSY);
    CHECK_EQ(weft_lane_detach(l), -EBUSY);
    CHECK_OK(weft_cancel(l));
    CHECK_OK(weft_join(f, &r, WEFT_NEVER));
    CHECK_EQ(r, 0);
}

/* ---- rights (DESIGN rule 6) ---- */

typedef struct relatives {
    weft_id child, fiber, ended;
} relatives;

static int stranger(void *arg)
{
    relatives *of = arg;

    CHECK_EQ(weft_lane_join(of->child, NULL, WEFT_NEVER), -EPERM);
    CHECK_EQ(weft_lane_detach(of->child), -EPERM);
    CHECK_EQ(weft_cancel(of->child), -EPERM);
    CHECK_EQ(weft_cancel(of->fiber), -EPERM);
    CHECK_EQ(weft_join(of->fiber, NULL, WEFT_NEVER), -EPERM);
    CHECK_EQ(weft_detach(of->fiber), -EPERM);
    CHECK_EQ(weft_lane_join(of->ended, NULL, WEFT_NEVER), -ESRCH);
    CHECK_EQ(weft_cancel(of->ended), -ESRCH);
    CHECK_OK(weft_unpark(of->fiber)); /* an address: anybody may */
    return 0;
}

static void strangers(void)
{
    relatives r;
    weft_id l;
    int result;

    CHECK_OK(weft_lane_spawn(&r.ended, returns, NULL));
    CHECK_OK(weft_lane_join(r.ended, NULL, WEFT_NEVER));
    CHECK_OK(weft_lane_spawn(&r.child, parks, NULL));
    CHECK_OK(weft_spawn(&r.fiber, parks_twice, NULL));
    for (int pinned = 0; pinned < 2; pinned++) {
        CHECK_OK(weft_lane_spawn_with(&l, stranger, &r, .pinned = pinned));
        CHECK_OK(weft_lane_join(l, &result, WEFT_NEVER));
        CHECK_EQ(result, 0);
    }
    CHECK_OK(weft_join(r.fiber, &result, WEFT_NEVER));
    CHECK_EQ(result, 0);
    CHECK_OK(weft_cancel(r.child));
    CHECK_OK(weft_lane_join(r.child, &result, WEFT_NEVER));
    CHECK_EQ(result, -ECANCELED);
}

/* ---- deadlines ---- */

static int sleeps(void *arg)
{
    (void)arg;
    return weft_sleep(WEFT_NEVER);
}

static int has_child(void *arg)
{
    weft_id l;
    int r = 0;

    CHECK_OK(weft_lane_spawn(&l, sleeps, arg));
    CHECK_EQ(weft_sleep(WEFT_NEVER), -ECANCELED); /* the deadline is the lane's, */
    weft_scope shield;
    CHECK_OK(weft_shield_enter(&shield, 20 * WEFT_SECOND));
    CHECK_OK(weft_lane_join(l, &r, WEFT_NEVER)); /* and its children's */
    CHECK_OK(weft_shield_leave(&shield));
    return r;
}

static void deadlines(void)
{
    weft_id l;
    int r;

    const int64_t deadline = weft_after(3 * WEFT_MILLISECOND);
    CHECK_OK(weft_lane_spawn_with(&l, has_child, NULL, .deadline = deadline));
    CHECK_OK(weft_lane_join(l, &r, WEFT_NEVER));
    CHECK_EQ(r, -ECANCELED);
    CHECK(weft_now() >= deadline);
    CHECK_OK(weft_lane_spawn_with(&l, sleeps, NULL, .deadline = 1)); /* long past */
    CHECK_OK(weft_lane_join(l, &r, WEFT_NEVER));
    CHECK_EQ(r, -ECANCELED);
    CHECK_OK(weft_lane_spawn_with(&l, returns, NULL, .deadline = weft_after(20 * WEFT_SECOND)));
    CHECK_OK(weft_lane_join(l, &r, WEFT_NEVER));
    CHECK_EQ(r, 0);
}

/* ---- the end ---- */

static int outlived; /* what its main fiber left behind and the lane waited for */

static int ends_later(void *arg)
{
    (void)arg;
    CHECK_OK(weft_sleep(weft_after(3 * WEFT_MILLISECOND)));
    bump(&outlived);
    return 0;
}

static int canceled_later(void *arg)
{
    (void)arg;
    CHECK_EQ(weft_sleep(WEFT_NEVER), -ECANCELED);
    bump(&outlived);
    return 0;
}

static int leaves_others(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++)
        CHECK_OK(weft_spawn(NULL, ends_later, NULL));
    for (int i = 0; i < 4; i++)
        CHECK_OK(weft_lane_spawn(NULL, ends_later, NULL));
    return 0;
}

static int fails_with_others(void *arg)
{
    for (int i = 0; i < 3; i++)
        CHECK_OK(weft_spawn(NULL, canceled_later, NULL));
    for (int i = 0; i < 4; i++)
        CHECK_OK(weft_lane_spawn(NULL, canceled_later, NULL));
    CHECK_OK(weft_yield());
    return (int)(intptr_t)arg;
}

static void structured_end(void)
{
    weft_id l;
    int r;

    put(&outlived, 0);
    CHECK_OK(weft_lane_spawn(&l, leaves_others, NULL));
    CHECK_OK(weft_lane_join(l, &r, WEFT_NEVER));
    CHECK_EQ(get(&outlived), 7); /* joins are told only after everything has ended */
    put(&outlived, 0);
    CHECK_OK(weft_lane_spawn(&l, fails_with_others, (void *)(intptr_t)-EIO));
    CHECK_OK(weft_lane_join(l, &r, WEFT_NEVER));
    CHECK_EQ(r, -EIO);
    CHECK_EQ(get(&outlived), 7);
}

/* Three deep, a hundred wide at the leaves; and the same cancelled at its root. */
static int leaf(void *arg)
{
    const int how = *(int *)arg;
    int r = 0;

    bump(&ended);
    if (how)
        r = weft_park(WEFT_NEVER);
    bump(&outlived);
    return r;
}

static int branch(void *arg)
{
    weft_id l[100];
    int r, got = 0;

    for (int i = 0; i < 100; i++) {
        r = weft_lane_spawn_with(&l[i], leaf, arg, .copy = sizeof(int));
        if (r < 0)
            return r;
    }
    for (int i = 0; i < 100; i++)
        if (weft_lane_join(l[i], &r, WEFT_NEVER) == 0)
            got++;
    return got == 100 ? 0 : -ECANCELED;
}

static int trunk(void *arg)
{
    weft_id l[10];
    int r, sum = 0;

    for (int i = 0; i < 10; i++)
        CHECK_OK(weft_lane_spawn_with(&l[i], branch, arg, .copy = sizeof(int)));
    for (int i = 0; i < 10; i++)
        if (weft_lane_join(l[i], &r, WEFT_NEVER) == 0)
            sum += r;
    return sum;
}

static void trees(void)
{
    weft_id l;
    int r, how = 0;

    put(&ended, 0);
    put(&outlived, 0);
    CHECK_OK(weft_lane_spawn_with(&l, trunk, &how, .copy = sizeof how));
    CHECK_OK(weft_lane_join(l, &r, WEFT_NEVER));
    CHECK_EQ(r, 0);
    CHECK_EQ(get(&ended), 1000);

    put(&ended, 0);
    put(&outlived, 0);
    how = 1;
    CHECK_OK(weft_lane_spawn_with(&l, trunk, &how, .copy = sizeof how));
    while (get(&ended) < 1000)
        CHECK_OK(weft_sleep(weft_after(200 * WEFT_MICROSECOND)));
    CHECK_OK(weft_cancel(l));
    CHECK_OK(weft_lane_join(l, &r, WEFT_NEVER));
    CHECK_EQ(get(&outlived), 1000);
}

static int cancels_itself(void *arg)
{
    (void)arg;
    CHECK_OK(weft_cancel(weft_lane_self()));
    CHECK_EQ(weft_canceled(), -ECANCELED);
    return weft_park(WEFT_NEVER);
}

static int run(int argc, char **argv)
{
    weft_id l;
    int r;

    (void)argc, (void)argv;
    results();
    refusals();
    one_joiner();
    strangers();
    deadlines();
    structured_end();
    trees();
    CHECK_OK(weft_lane_spawn(&l, cancels_itself, NULL));
    CHECK_OK(weft_lane_join(l, &r, WEFT_NEVER));
    CHECK_EQ(r, -ECANCELED);
    return 0;
}

int main(void)
{
    weft_id l;

    CHECK_EQ(weft_lane_spawn(&l, returns, NULL), -EPERM);
    CHECK_EQ(weft_lane_join(WEFT_NOID, NULL, WEFT_NOW), -EPERM);
    CHECK_EQ(weft_lane_detach(WEFT_NOID), -EPERM);
    CHECK(weft_id_equal(weft_lane_self(), WEFT_NOID));
    run_clean(run, 3);
    return 0;
}
