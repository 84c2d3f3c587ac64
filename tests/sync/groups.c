/* Groups: all, the first that fails, the first that succeeds; cancelled, waited for with deadlines, fed for ever, and dying with their lane. */
#include "world.h"

static weft_event gate;
static int began, over;

static int returns(void *arg)
{
    CHECK_OK(weft_yield());
    return (int)(intptr_t)arg;
}

static int waits(void *arg)
{
    began++;
    const int r = weft_event_wait(&gate, WEFT_NEVER);
    over++;
    return r < 0 ? r : (int)(intptr_t)arg;
}

static int is_deaf(void *arg) /* to cancellation, for a while */
{
    weft_scope s;

    (void)arg;
    CHECK_OK(weft_shield_enter(&s, WEFT_SECOND));
    CHECK_OK(weft_sleep(weft_after(2 * WEFT_MILLISECOND)));
    CHECK_OK(weft_shield_leave(&s));
    over++;
    return 0;
}

static void outcomes(void)
{
    weft_group g = WEFT_GROUP;

    CHECK_EQ(weft_group_all(&g, WEFT_NEVER), 0); /* nobody: all have ended */
    CHECK_EQ(weft_group_first(&g, WEFT_NEVER), 0);
    CHECK_EQ(weft_group_run(&g, NULL, NULL), -EINVAL);
    for (intptr_t i = 1; i < 4; i++)
        CHECK_OK(weft_group_run(&g, returns, (void *)i));
    CHECK_EQ(weft_group_count(&g), 3);
    CHECK_EQ(weft_group_all(&g, WEFT_NOW), -ETIMEDOUT);
    CHECK_EQ(weft_group_all(&g, WEFT_NEVER), 0);
    CHECK_EQ(weft_group_count(&g), 0);
    CHECK_OK(weft_group_run(&g, returns, (void *)(intptr_t)-EIO));
    CHECK_EQ(weft_group_any_failure(&g, WEFT_NEVER), -EIO);
    CHECK_OK(weft_group_run(&g, returns, (void *)(intptr_t)-ENOENT));
    CHECK_EQ(weft_group_all(&g, WEFT_NEVER), -EIO); /* the first there was */
    CHECK_OK(weft_group_end(&g));
    CHECK_OK(weft_group_run(&g, returns, (void *)(intptr_t)-EIO));
    CHECK_EQ(weft_group_first(&g, WEFT_NEVER), -EIO); /* there was none */
    CHECK_OK(weft_group_end(&g));
}

static void at_once(void)
{
    weft_group g = WEFT_GROUP;

    began = over = 0;
    CHECK_OK(weft_event_init(&gate, WEFT_EVENT_MANUAL, 0));
    for (int i = 0; i < 3; i++)
        CHECK_OK(weft_group_run(&g, waits, NULL));
    CHECK_EQ(weft_group_any_failure(&g, weft_after(WEFT_MILLISECOND)), -ETIMEDOUT);
    CHECK_OK(weft_group_run(&g, returns, (void *)(intptr_t)-EIO));
    CHECK_EQ(weft_group_any_failure(&g, WEFT_NEVER), -EIO); /* the others still wait */
    CHECK_EQ(over, 0);
    CHECK_OK(weft_group_run(&g, returns, (void *)(intptr_t)7));
    CHECK_EQ(weft_group_first(&g, WEFT_NEVER), 7);
    CHECK_EQ(weft_group_count(&g), 3);
    CHECK_OK(weft_group_run(&g, waits, NULL)); /* never begun, and cancelled all the same */
    CHECK_OK(weft_group_end(&g));
    CHECK_EQ(over, 4);
    CHECK_EQ(weft_group_count(&g), 0);
}

static void ending(void)
{
    weft_group g = WEFT_GROUP;
    weft_scope s;

    over = 0;
    CHECK_OK(weft_group_run(&g, is_deaf, NULL));
    CHECK_OK(weft_yield());
    CHECK_OK(weft_scope_enter(&s, WEFT_NOW));
    CHECK_EQ(weft_group_all(&g, WEFT_NEVER), -ECANCELED);
    CHECK_OK(weft_group_end(&g)); /* waits although it is cancelled */
    CHECK_EQ(over, 1);
    CHECK_EQ(weft_scope_leave(&s), -ETIMEDOUT);
}

static void cancelled(void)
{
    weft_group g = WEFT_GROUP;

    began = over = 0;
    CHECK_OK(weft_group_run(&g, waits, NULL));
    CHECK_OK(weft_yield());
    CHECK_OK(weft_group_cancel(&g));
    CHECK_OK(weft_group_run(&g, waits, NULL));
    CHECK_EQ(weft_group_all(&g, WEFT_NEVER), -ECANCELED);
    CHECK_EQ(over, 2);
    CHECK_OK(weft_group_end(&g));
    CHECK_OK(weft_event_init(&gate, WEFT_EVENT_MANUAL, 1)); /* as new */
    CHECK_OK(weft_group_run(&g, waits, (void *)(intptr_t)5));
    CHECK_EQ(weft_group_first(&g, WEFT_NEVER), 5);
    CHECK_OK(weft_group_end(&g));
}

/* One that serves for ever: members come and go while it is waited for. */
static weft_group serving;
static int served;

static int serves(void *arg)
{
    if (++served < 5000)
        CHECK_OK(weft_group_run(&serving, serves, arg));
    return 0;
}

static void for_ever(void)
{
    for (int i = 0; i < 3; i++)
        CHECK_OK(weft_group_run(&serving, serves, NULL));
    CHECK_EQ(weft_group_all(&serving, WEFT_NEVER), 0);
    CHECK(served >= 5000);
    CHECK_OK(weft_group_end(&serving));
}

static int phase;
static weft_group *theirs;

static int has_a_group(void *arg)
{
    weft_group g = WEFT_GROUP;

    (void)arg;
    theirs = &g;
    CHECK_OK(weft_event_init(&gate, WEFT_EVENT_MANUAL, 0));
    for (int i = 0; i < 3; i++)
        CHECK_OK(weft_group_run(&g, waits, NULL));
    CHECK_OK(weft_yield());
    put(&phase, 1);
    return weft_group_all(&g, WEFT_NEVER);
}

static void with_its_lane(void)
{
    weft_id l;

    CHECK_OK(weft_lane_spawn(&l, has_a_group, NULL));
    reached(&phase, 1);
    CHECK_EQ(weft_group_run(theirs, returns, NULL), -EPERM);
    CHECK_EQ(weft_group_all(theirs, WEFT_NOW), -EPERM);
    CHECK_EQ(weft_group_cancel(theirs), -EPERM);
    CHECK_EQ(weft_group_end(theirs), -EPERM);
    killed(l);
    CHECK_EQ(weft_event_set(&gate), 0);
}

static weft_group orphaned;

static void ends_it(void *arg)
{
    CHECK_EQ(weft_group_count(arg), 0); /* the dead are over before anybody cleans up */
    CHECK_OK(weft_group_cancel(arg));
    CHECK_OK(weft_group_end(arg));
    bump(&phase);
}

static int member_with_a_clean_up(void *arg)
{
    CHECK_OK(weft_defer(ends_it, arg));
    return waits(NULL);
}

static int dies_with_members(void *arg)
{
    CHECK_OK(weft_defer(ends_it, arg));
    CHECK_OK(weft_event_init(&gate, WEFT_EVENT_MANUAL, 0));
    CHECK_OK(weft_group_run(arg, waits, NULL));
    CHECK_OK(weft_group_run(arg, member_with_a_clean_up, arg));
    settle();
    CHECK_OK(weft_group_run(arg, waits, NULL));
    CHECK_EQ(weft_group_count(arg), 3);
    put(&phase, 1);
    return weft_group_first(arg, WEFT_NEVER);
}

static void killed_and_ended(void)
{
    weft_id l;

    put(&phase, 0);
    CHECK_OK(weft_lane_spawn(&l, dies_with_members, &orphaned));
    reached(&phase, 1);
    killed(l);
    CHECK_EQ(get(&phase), 3);
}

static int run(int argc, char **argv)
{
    (void)argc, (void)argv;
    outcomes();
    at_once();
    ending();
    cancelled();
    for_ever();
    with_its_lane();
    killed_and_ended();
    return 0;
}

/* Members that no stack is to be had for have failed. */
static int without_stacks(int argc, char **argv)
{
    weft_group g = WEFT_GROUP;

    (void)argc, (void)argv;
    CHECK_OK(weft_event_init(&gate, WEFT_EVENT_MANUAL, 0));
    began = over = 0;
    for (int i = 0; i < 400; i++)
        CHECK_OK(weft_group_run(&g, waits, NULL));
    const int r = weft_group_any_failure(&g, soon());
    CHECK(r == -EAGAIN || r == -ENOMEM);
    CHECK_OK(weft_group_end(&g));
    CHECK(began < 400 && over == began);
    return 0;
}

int main(void)
{
    run_clean(run, 2);
    CHECK_EQ(run_main_with(without_stacks, &(weft_options){.workers = 1, .max_stacks = 16}), 0);
    return 0;
}
