/* Cancellation (DESIGN rule 4): level-triggered, checked at the entry of every waiting call, belonging to a scope;
 * scopes nest, deadlines are scopes, shields hide it for a grace. What has succeeded already is reported as success. */
#include "lane/world.h"

static int entered;

static int parks(void *arg)
{
    (void)arg;
    return weft_park(WEFT_NEVER);
}

static int returns(void *arg) { return (int)(intptr_t)arg; }

static int empty_lane(void *arg)
{
    (void)arg;
    return 0;
}

/* Each waiting call, with a deadline that would let it succeed or wait: all answer -ECANCELED, again and again. */
static void every_call_answers_canceled(weft_id ended, weft_id lane)
{
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(weft_canceled(), -ECANCELED);
        CHECK_EQ(weft_park(WEFT_NEVER), -ECANCELED);
        CHECK_EQ(weft_park(WEFT_NOW), -ECANCELED);
        CHECK_EQ(weft_sleep(WEFT_NOW), -ECANCELED);
        CHECK_EQ(weft_sleep(WEFT_NEVER), -ECANCELED);
        CHECK_EQ(weft_join(ended, NULL, WEFT_NEVER), -ECANCELED); /* although it has ended */
        CHECK_EQ(weft_lane_join(lane, NULL, WEFT_NEVER), -ECANCELED);
        CHECK_EQ(weft_lane_spawn(NULL, empty_lane, NULL), -ECANCELED);
        CHECK_EQ(weft_signal_wait((int[]){10, 0}, WEFT_NEVER), -ECANCELED);
        CHECK_OK(weft_yield()); /* waits for nobody */
    }
}

static int cancelled_before_it_waits(void *arg)
{
    weft_id f, lane, *self = arg;

    *self = weft_self();
    CHECK_OK(weft_spawn(&f, returns, NULL));
    CHECK_OK(weft_lane_spawn(&lane, empty_lane, NULL));
    CHECK_OK(weft_park(WEFT_NEVER));
    CHECK_EQ(weft_canceled(), 0);
    CHECK_OK(weft_cancel(weft_self()));
    every_call_answers_canceled(f, lane);
    weft_scope s; /* a shield sees none of it, and afterwards it is there again */
    CHECK_OK(weft_shield_enter(&s, WEFT_SECOND));
    CHECK_EQ(weft_canceled(), 0);
    CHECK_OK(weft_join(f, NULL, WEFT_NEVER));
    CHECK_OK(weft_lane_join(lane, NULL, WEFT_NEVER));
    CHECK_EQ(weft_park(weft_after(WEFT_MILLISECOND)), -ETIMEDOUT);
    CHECK_OK(weft_shield_leave(&s));
    CHECK_EQ(weft_park(WEFT_NEVER), -ECANCELED);
    return 0;
}

static int cancelled_in_sleep(void *arg)
{
    (void)arg;
    put(&entered, 1);
    return weft_sleep(WEFT_NEVER);
}

static int cancelled_in_join(void *arg)
{
    put(&entered, 1);
    return weft_join(*(weft_id *)arg, NULL, WEFT_NEVER);
}

static int cancelled_in_lane_join(void *arg)
{
    put(&entered, 1);
    return weft_lane_join(*(weft_id *)arg, NULL, WEFT_NEVER);
}

static int sleeps_for_ever(void *arg)
{
    (void)arg;
    return weft_sleep(WEFT_NEVER);
}

static void cancel_and_join(weft_id f)
{
    int r = 0;

    while (!get(&entered))
        CHECK_OK(weft_yield());
    put(&entered, 0);
    CHECK_OK(weft_cancel(f));
    CHECK_OK(weft_cancel(f));
    CHECK_OK(weft_join(f, &r, WEFT_NEVER));
    CHECK_EQ(r, -ECANCELED);
}

static void waits_end(void)
{
    weft_id f, target, lane;
    int r;

    CHECK_OK(weft_spawn(&f, cancelled_in_sleep, NULL));
    cancel_and_join(f);
    CHECK_OK(weft_spawn(&target, parks, NULL));
    CHECK_OK(weft_spawn(&f, cancelled_in_join, &target));
    cancel_and_join(f);
    CHECK_OK(weft_unpark(target));
    CHECK_OK(weft_join(target, &r, WEFT_NEVER)); /* it can be joined by another now */
    CHECK_EQ(r, 0);
    CHECK_OK(weft_lane_spawn(&lane, sleeps_for_ever, NULL));
    CHECK_OK(weft_spawn(&f, cancelled_in_lane_join, &lane));
    cancel_and_join(f);
    CHECK_OK(weft_cancel(lane));
    CHECK_OK(weft_lane_join(lane, &r, WEFT_NEVER));
    CHECK_EQ(r, -ECANCELED);
    CHECK_OK(weft_spawn(&f, parks, NULL)); /* cancelled before its first run: it runs, and learns it */
    CHECK_OK(weft_cancel(f));
    CHECK_OK(weft_join(f, &r, WEFT_NEVER));
    CHECK_EQ(r, -ECANCELED);
}

/* Woken, then cancelled before it runs: the wake is reported, the cancel next time. */
static int parks_twice(void *arg)
{
    (void)arg;
    CHECK_EQ(weft_park(WEFT_NEVER), 0);
    return weft_park(WEFT_NEVER);
}

static void success_is_reported(void)
{
    weft_id f;
    int r;

    CHECK_OK(weft_spawn(&f, parks_twice, NULL));
    CHECK_OK(weft_yield());
    CHECK_OK(weft_yield());
    CHECK_OK(weft_unpark(f));
    CHECK_OK(weft_cancel(f));
    CHECK_OK(weft_join(f, &r, WEFT_NEVER));
    CHECK_EQ(r, -ECANCELED);
}

/* ---- scopes ---- */

static void scopes_nest(void)
{
    weft_scope outer, inner;

    CHECK_EQ(weft_scope_enter(NULL, WEFT_NEVER), -EINVAL);
    CHECK_OK(weft_scope_enter(&outer, WEFT_NEVER));
    CHECK_OK(weft_scope_enter(&inner, WEFT_NEVER));
    CHECK_EQ(weft_scope_leave(&outer), -EINVAL); /* not the innermost */
    CHECK_EQ(weft_shield_leave(&inner), -EINVAL); /* no shield */
    CHECK_EQ(weft_scope_leave(NULL), -EINVAL);
    CHECK_OK(weft_scope_cancel(&inner));
    CHECK_EQ(weft_park(WEFT_NEVER), -ECANCELED);
    CHECK_EQ(weft_scope_leave(&inner), -ECANCELED);
    CHECK_EQ(weft_canceled(), 0); /* the outer one is not */
    CHECK_OK(weft_scope_enter(&inner, WEFT_NEVER));
    CHECK_OK(weft_scope_cancel(&outer));
    CHECK_EQ(weft_park(WEFT_NEVER), -ECANCELED); /* what encloses it is */
    CHECK_EQ(weft_scope_leave(&inner), 0); /* itself it was not */
    CHECK_EQ(weft_park(WEFT_NEVER), -ECANCELED);
    CHECK_EQ(weft_scope_leave(&outer), -ECANCELED);
    CHECK_EQ(weft_park(WEFT_NOW), -ETIMEDOUT);
}

static void deadlines_of_scopes(void)
{
    weft_scope outer, inner;
    int64_t near = weft_after(3 * WEFT_MILLISECOND);

    CHECK_OK(weft_scope_enter(&outer, near));
    CHECK_OK(weft_scope_enter(&inner, weft_after(60 * WEFT_SECOND))); /* children cannot extend it */
    CHECK_EQ(weft_park(WEFT_NEVER), -ECANCELED);
    CHECK(weft_now() >= near);
    CHECK_EQ(weft_scope_leave(&inner), 0);
    CHECK_EQ(weft_sleep(WEFT_NEVER), -ECANCELED);
    CHECK_EQ(weft_scope_leave(&outer), -ETIMEDOUT);
    CHECK_OK(weft_sleep(weft_after(WEFT_MILLISECOND)));

    CHECK_OK(weft_scope_enter(&outer, WEFT_NOW)); /* past already */
    CHECK_EQ(weft_park(WEFT_NEVER), -ECANCELED);
    CHECK_EQ(weft_scope_leave(&outer), -ETIMEDOUT);

    CHECK_OK(weft_scope_enter(&outer, weft_after(WEFT_SECOND))); /* left in time: nothing happens, then or later */
    CHECK_OK(weft_scope_leave(&outer));

    near = weft_after(2 * WEFT_MILLISECOND); /* the call's own deadline comes first */
    CHECK_OK(weft_scope_enter(&outer, weft_after(20 * WEFT_SECOND)));
    CHECK_EQ(weft_park(near), -ETIMEDOUT);
    CHECK_EQ(weft_scope_leave(&outer), 0);
}

/* A loop that computes and never waits learns of its scope's deadline, too. */
static void computing_in_a_scope(void)
{
    weft_scope s;

    CHECK_OK(weft_scope_enter(&s, weft_after(2 * WEFT_MILLISECOND)));
    const int64_t limit = weft_after(20 * WEFT_SECOND);
    while (weft_canceled() == 0)
        CHECK(weft_now() < limit);
    CHECK_EQ(weft_scope_leave(&s), -ETIMEDOUT);
}

static weft_scope *shared_scope;

static int in_a_scope(void *arg)
{
    weft_scope s;

    (void)arg;
    CHECK_OK(weft_scope_enter(&s, WEFT_NEVER));
    shared_scope = &s;
    const int r = weft_park(WEFT_NEVER);
    CHECK_EQ(weft_scope_leave(&s), -ECANCELED);
    CHECK_EQ(weft_park(WEFT_NOW), -ETIMEDOUT); /* only the scope was cancelled */
    return r;
}

static void cancelled_by_a_sibling(void)
{
    weft_id f;
    int r;

    shared_scope = NULL;
    CHECK_OK(weft_spawn(&f, in_a_scope, NULL));
    while (!shared_scope)
        CHECK_OK(weft_yield());
    CHECK_OK(weft_scope_cancel(shared_scope));
    CHECK_OK(weft_join(f, &r, WEFT_NEVER));
    CHECK_EQ(r, -ECANCELED);
}

/* ---- shields ---- */

static int shielded(void *arg)
{
    weft_scope shield, inner;

    (void)arg;
    CHECK_OK(weft_shield_enter(&shield, 20 * WEFT_SECOND));
    CHECK_EQ(weft_scope_leave(&shield), -EINVAL);
    put(&entered, 1);
    while (get(&entered) == 1)
        CHECK_OK(weft_yield());
    CHECK_EQ(weft_canceled(), 0); /* cancelled, but not here */
    CHECK_OK(weft_sleep(weft_after(WEFT_MILLISECOND)));
    CHECK_OK(weft_scope_enter(&inner, WEFT_NEVER));
    CHECK_OK(weft_scope_cancel(&inner)); /* its own scopes do count */
    CHECK_EQ(weft_park(WEFT_NEVER), -ECANCELED);
    CHECK_EQ(weft_scope_leave(&inner), -ECANCELED);
    CHECK_OK(weft_shield_leave(&shield));
    return weft_park(WEFT_NEVER);
}

/* The grace is bounded. */
static int shielded_for_a_while(void *arg)
{
    weft_scope shield;

    (void)arg;
    const int64_t end = weft_after(30 * WEFT_MILLISECOND);
    CHECK_OK(weft_shield_enter(&shield, 30 * WEFT_MILLISECOND));
    put(&entered, 1);
    CHECK_EQ(weft_park(WEFT_NEVER), -ECANCELED);
    CHECK(weft_now() >= end);
    CHECK_EQ(weft_canceled(), -ECANCELED);
    CHECK_OK(weft_shield_leave(&shield));
    return weft_park(WEFT_NEVER);
}

static void shields(int (*fn)(void *))
{
    weft_id f;
    int r;

    put(&entered, 0);
    CHECK_OK(weft_spawn(&f, fn, NULL));
    while (!get(&entered))
        CHECK_OK(weft_yield());
    CHECK_OK(weft_cancel(f));
    put(&entered, 2);
    CHECK_OK(weft_join(f, &r, WEFT_NEVER));
    CHECK_EQ(r, -ECANCELED);
}

static int run(int argc, char **argv)
{
    weft_id f, self;
    int r;

    (void)argc, (void)argv;
    CHECK_OK(weft_spawn(&f, cancelled_before_it_waits, &self));
    CHECK_OK(weft_yield());
    CHECK_OK(weft_yield());
    CHECK_OK(weft_unpark(self));
    CHECK_OK(weft_join(f, &r, WEFT_NEVER));
    put(&entered, 0);
    waits_end();
    success_is_reported();
    scopes_nest();
    deadlines_of_scopes();
    cancelled_by_a_sibling();
    shields(shielded);
    shields(shielded_for_a_while);
    CHECK_EQ(weft_cancel(WEFT_NOID), -ESRCH);
    CHECK_EQ(weft_cancel_in(NULL, weft_self()), -EINVAL);
    computing_in_a_scope();
    return 0;
}

int main(void)
{
    weft_scope s;

    CHECK_EQ(weft_scope_enter(&s, WEFT_NEVER), -EPERM);
    CHECK_EQ(weft_scope_leave(&s), -EPERM);
    CHECK_EQ(weft_scope_cancel(&s), -EPERM);
    CHECK_EQ(weft_shield_enter(&s, 0), -EPERM);
    CHECK_EQ(weft_shield_leave(&s), -EPERM);
    run_clean(run, 2);
    return 0;
}
