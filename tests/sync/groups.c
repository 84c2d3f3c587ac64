/* Groups of fibers and of lanes: all, the first that fails, the first that succeeds;
 * cancelled, waited for with deadlines, fed for ever, and dying with their lane. */
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
    CHECK_OK(weft_shield_enter(&s, 20 * WEFT_SECOND));
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

/* ---- lanes as members ---- */

static int lane_began;
static weft_event lane_gate;

static int lane_waits(void *arg)
{
    bump(&lane_began);
    const int r = weft_event_wait(&lane_gate, WEFT_NEVER);
    return r < 0 ? r : (int)(intptr_t)arg;
}

typedef struct sums {
    int members, sum;
    weft_id last;
} sums;

static void adds(void *ctx, weft_id member, int result)
{
    sums *s = ctx;

    s->members++;
    s->sum += result;
    s->last = member;
}

static void lanes_end(void)
{
    weft_group g = WEFT_GROUP;
    sums s = {0};
    weft_id l;

    CHECK_EQ(weft_group_lane_with(&g, returns, NULL, .detached = 1), -EINVAL);
    CHECK_EQ(weft_group_lane_with(&g, returns, NULL, .parent = weft_lane_self()), -EINVAL);
    CHECK_EQ(weft_group_lane(&g, NULL, NULL), -EINVAL);
    CHECK_EQ(weft_group_count(&g), 0);
    CHECK_OK(weft_group_tell(&g, adds, &s));
    for (intptr_t i = 1; i < 6; i++)
        CHECK_OK(i % 2 ? weft_group_lane(&g, returns, (void *)i) : weft_group_run(&g, returns, (void *)i));
    CHECK_EQ(weft_group_count(&g), 5);
    CHECK_EQ(weft_group_all(&g, soon()), 0);
    CHECK_EQ(s.members, 5);
    CHECK_EQ(s.sum, 15);
    CHECK_OK(weft_group_tell(&g, NULL, NULL));
    CHECK_OK(weft_group_lane(&g, returns, (void *)(intptr_t)-EIO)); /* its failure is the group's and nobody else's */
    CHECK_EQ(weft_group_any_failure(&g, soon()), -EIO);
    CHECK_EQ(s.members, 5);
    CHECK_OK(weft_group_end(&g));
    CHECK_OK(weft_canceled());
    CHECK_OK(weft_event_init(&lane_gate, WEFT_EVENT_MANUAL, 0));
    put(&lane_began, 0);
    CHECK_OK(weft_group_tell(&g, adds, &s));
    for (int i = 0; i < 3; i++)
        CHECK_OK(weft_group_lane(&g, lane_waits, NULL));
    reached(&lane_began, 3);
    CHECK_OK(weft_group_lane(&g, returns, (void *)(intptr_t)9));
    CHECK_EQ(weft_group_first(&g, soon()), 9); /* at once: the others wait */
    CHECK_EQ(weft_group_count(&g), 3);
    l = s.last;
    CHECK_EQ(weft_lane_join(l, NULL, WEFT_NOW), -ESRCH); /* nothing is left of it */
    CHECK_OK(weft_group_lane(&g, lane_waits, NULL)); /* perhaps never begun, and cancelled all the same */
    CHECK_OK(weft_group_end(&g));
    CHECK_EQ(s.members, 10);
    CHECK_EQ(s.sum, 15 + 9 - 4 * ECANCELED);
    CHECK_OK(weft_group_cancel(&g)); /* those that come later are cancelled from the start */
    CHECK_OK(weft_group_run(&g, waits, NULL));
    CHECK_OK(weft_group_cancel(&g));
    CHECK_OK(weft_group_lane(&g, lane_waits, NULL));
    CHECK_EQ(weft_group_all(&g, soon()), -ECANCELED);
    CHECK_OK(weft_group_end(&g));
}

static weft_id own_id;

static int tells_its_id(void *arg)
{
    own_id = weft_lane_self();
    return lane_waits(arg);
}

static void lane_is_killed(void)
{
    weft_group g = WEFT_GROUP;

    CHECK_OK(weft_event_init(&lane_gate, WEFT_EVENT_MANUAL, 0));
    put(&lane_began, 0);
    CHECK_OK(weft_group_lane(&g, tells_its_id, NULL));
    reached(&lane_began, 1);
    CHECK_EQ(weft_lane_join(own_id, NULL, WEFT_NOW), -EBUSY);
    CHECK_EQ(weft_lane_detach(own_id), -EBUSY);
    CHECK_OK(weft_kill(own_id));
    CHECK_EQ(weft_group_any_failure(&g, soon()), -ECANCELED);
    CHECK_EQ(weft_group_count(&g), 0);
    CHECK_OK(weft_group_end(&g));
}

/* As an accept loop does for ever: members come and go, and what is left is what runs. */
static void lanes_for_ever(void)
{
    weft_group g = WEFT_GROUP;
    weft_limits now;
    sums s = {0};

    CHECK_OK(weft_group_tell(&g, adds, &s));
    for (int i = 0; i < 3000; i++) {
        CHECK_OK(weft_group_lane(&g, returns, (void *)(intptr_t)1));
        while (weft_group_count(&g) > 8)
            CHECK_OK(weft_yield());
        if (i % 500 == 0) {
            CHECK_OK(weft_lane_usage(&now));
            CHECK(now.lanes <= 9);
        }
    }
    CHECK_EQ(weft_group_all(&g, soon()), 0);
    CHECK_EQ(s.sum, 3000);
    CHECK_OK(weft_lane_usage(&now));
    CHECK_EQ(now.lanes, 0);
    CHECK_OK(weft_group_end(&g));
}

static int dies_with_lanes(void *arg)
{
    CHECK_OK(weft_defer(ends_it, arg));
    CHECK_OK(weft_event_init(&lane_gate, WEFT_EVENT_MANUAL, 0));
    for (int i = 0; i < 3; i++)
        CHECK_OK(weft_group_lane(arg, lane_waits, NULL));
    CHECK_OK(weft_group_run(arg, member_with_a_clean_up, arg));
    reached(&lane_began, 3);
    settle();
    put(&phase, 1);
    return weft_group_first(arg, WEFT_NEVER);
}

static void killed_with_lanes(void)
{
    weft_id l;

    put(&phase, 0);
    put(&lane_began, 0);
    memset(&orphaned, 0, sizeof orphaned);
    CHECK_OK(weft_lane_spawn(&l, dies_with_lanes, &orphaned));
    reached(&phase, 1);
    killed(l);
    CHECK_EQ(get(&phase), 3); /* both clean-ups found all of them over */
    CHECK_EQ(weft_event_set(&lane_gate), 0);
}

static unsigned asked_to_end(void)
{
    weft__lane *self = weft__lane_self();
    unsigned n = 0;

    weft__spin_lock(&self->lock);
    for (weft__link *l = self->children.next; l != &self->children; l = l->next)
        n += (weft__load_relaxed(&weft__container(l, weft__lane, siblings)->head.word, "test") & WEFT__SIG_CANCEL) != 0;
    weft__spin_unlock(&self->lock);
    return n;
}

/* However many there are, a turn tells but some; other children hear nothing, nor do those of another group. */
static void told_in_turns(void)
{
    enum { MANY = 300, SLICE = 64 };
    weft_group g = WEFT_GROUP, other = WEFT_GROUP;
    weft_id child;

    CHECK_OK(weft_event_init(&lane_gate, WEFT_EVENT_MANUAL, 0));
    CHECK_OK(weft_lane_spawn(&child, lane_waits, NULL));
    CHECK_OK(weft_group_lane(&other, lane_waits, NULL));
    for (int i = 0; i < MANY; i++)
        CHECK_OK(weft_group_lane(&g, lane_waits, NULL));
    CHECK_OK(weft_group_cancel(&g));
    CHECK(asked_to_end() <= SLICE);
    CHECK_EQ(weft_group_all(&g, soon()), -ECANCELED);
    CHECK_OK(weft_group_end(&g));
    CHECK_EQ(weft_group_count(&other), 1);
    CHECK_EQ(weft_group_all(&other, WEFT_NOW), -ETIMEDOUT);
    CHECK_EQ(weft_lane_join(child, NULL, WEFT_NOW), -ETIMEDOUT);
    CHECK_OK(weft_event_set(&lane_gate));
    CHECK_OK(weft_group_all(&other, soon()));
    CHECK_OK(weft_group_end(&other));
    ended(child);
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
    lanes_end();
    told_in_turns();
    lane_is_killed();
    lanes_for_ever();
    killed_with_lanes();
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
