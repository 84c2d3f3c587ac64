/* Semaphores, events, barriers and latches: among fibers of one worker, across workers,
 * and with threads of one's own. */
#include "world.h"

static int phase, order[8], ordered;

/* ---- semaphore ---- */

static weft_semaphore s;

static int acquires(void *arg)
{
    const size_t n = (size_t)(intptr_t)arg;

    CHECK_OK(weft_semaphore_acquire(&s, n, WEFT_NEVER));
    order[ordered++] = (int)n;
    return 0;
}

static int acquires_and_gives_up(void *arg)
{
    CHECK_EQ(weft_semaphore_acquire(&s, (size_t)(intptr_t)arg, weft_after(3 * WEFT_MILLISECOND)), -ETIMEDOUT);
    return 0;
}

static void units(void)
{
    weft_id f[3];

    CHECK_OK(weft_semaphore_init(&s, 2));
    CHECK_EQ(weft_semaphore_acquire(&s, 0, WEFT_NEVER), -EINVAL);
    CHECK_EQ(weft_semaphore_try(&s, 0), -EINVAL);
    CHECK_EQ(weft_semaphore_try(&s, 3), -EAGAIN);
    CHECK_OK(weft_semaphore_try(&s, 2));
    CHECK_EQ(weft_semaphore_value(&s), 0);
    CHECK_EQ(weft_semaphore_acquire(&s, 1, WEFT_NOW), -ETIMEDOUT);
    ordered = 0;
    for (int i = 0; i < 3; i++) { /* the large one first: the small ones do not pass it */
        CHECK_OK(weft_spawn(&f[i], acquires, (void *)(intptr_t)(3 - i)));
        settle();
    }
    CHECK_OK(weft_semaphore_release(&s, 2));
    settle();
    CHECK_EQ(ordered, 0);
    CHECK_EQ(weft_semaphore_try(&s, 1), -EAGAIN); /* nor does one that comes */
    CHECK_OK(weft_semaphore_release(&s, 4));
    for (int i = 0; i < 3; i++)
        joined(f[i]);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(order[i], 3 - i);
    CHECK_EQ(weft_semaphore_value(&s), 0);
    CHECK_OK(weft_semaphore_release(&s, 1)); /* one that gives up lets those behind it go */
    CHECK_OK(weft_spawn(&f[0], acquires_and_gives_up, (void *)(intptr_t)2));
    settle();
    CHECK_OK(weft_spawn(&f[1], acquires, (void *)(intptr_t)1));
    joined(f[1]);
    joined(f[0]);
    CHECK_OK(weft_semaphore_release(&s, SIZE_MAX));
    CHECK_EQ(weft_semaphore_release(&s, 1), -EOVERFLOW);
}

static int acquires_and_dies(void *arg)
{
    (void)arg;
    put(&phase, 1);
    CHECK_OK(weft_semaphore_acquire(&s, 1, WEFT_NEVER));
    put(&phase, 2);
    return 0;
}

static void units_of_the_dead(void)
{
    weft_id l;

    CHECK_OK(weft_semaphore_init(&s, 0));
    put(&phase, 0);
    CHECK_OK(weft_lane_spawn_with(&l, acquires_and_dies, NULL, .pinned = 1));
    reached(&phase, 1);
    CHECK_OK(weft_semaphore_release(&s, 1));
    CHECK_EQ(weft_semaphore_value(&s), 0); /* it has it, and does not live to see it */
    kill_here(l);
    CHECK_OK(weft_lane_join(l, NULL, soon()));
    CHECK_EQ(get(&phase), 1);
    CHECK_EQ(weft_semaphore_value(&s), 1);
}

/* Kills on one worker while another releases: whatever the order, no unit is lost. */
static int acquires_for_ever(void *arg)
{
    (void)arg;
    put(&phase, 1);
    for (;;) {
        CHECK_OK(weft_semaphore_acquire(&s, 1, WEFT_NEVER));
        CHECK_OK(weft_semaphore_release(&s, 1));
        CHECK_OK(weft_yield()); /* a kill needs a place to find it */
    }
}

static void killed_at_random(void)
{
    uint64_t state = 7;

    CHECK_OK(weft_semaphore_init(&s, 1));
    for (int i = 0; i < 100; i++) {
        weft_id a, b;
        put(&phase, 0);
        CHECK_OK(weft_lane_spawn(&a, acquires_for_ever, NULL));
        CHECK_OK(weft_lane_spawn(&b, acquires_for_ever, NULL));
        reached(&phase, 1);
        CHECK_OK(weft_sleep(weft_after(next_random(&state) % 100 * WEFT_MICROSECOND)));
        kill_lane(a);
        killed(b);
        CHECK_OK(weft_lane_join(a, NULL, soon()));
        /* A semaphore has no owner: who is killed between acquire and release keeps its unit;
         * but nobody here waits there. */
        CHECK_EQ(weft_semaphore_value(&s), 1);
    }
}

/* ---- events ---- */

static weft_event e;

static int passes(void *arg)
{
    (void)arg;
    CHECK_OK(weft_event_wait(&e, WEFT_NEVER));
    bump(&phase);
    return 0;
}

static void events(void)
{
    weft_id f[3], l;

    CHECK_EQ(weft_event_init(&e, (enum weft_event_kind)7, 0), -EINVAL);
    CHECK_OK(weft_event_init(&e, WEFT_EVENT_MANUAL, 1));
    CHECK_OK(weft_event_wait(&e, WEFT_NOW));
    CHECK_OK(weft_event_wait(&e, WEFT_NEVER));
    CHECK_OK(weft_event_reset(&e));
    CHECK_EQ(weft_event_wait(&e, WEFT_NOW), -ETIMEDOUT);
    CHECK_EQ(weft_event_wait(&e, weft_after(WEFT_MILLISECOND)), -ETIMEDOUT);
    for (int i = 0; i < 3; i++)
        CHECK_OK(weft_spawn(&f[i], passes, NULL));
    settle();
    CHECK_EQ(weft_event_set(&e), 3);
    CHECK_EQ(weft_event_is_set(&e), 1);
    for (int i = 0; i < 3; i++)
        joined(f[i]);
    CHECK_OK(weft_event_init(&e, WEFT_EVENT_AUTO, 0));
    for (int i = 0; i < 3; i++)
        CHECK_OK(weft_spawn(&f[i], passes, NULL));
    settle();
    for (int i = 0; i < 3; i++)
        CHECK_EQ(weft_event_set(&e), 1);
    CHECK_EQ(weft_event_is_set(&e), 0);
    CHECK_EQ(weft_event_set(&e), 0); /* nobody there: it stays */
    CHECK_EQ(weft_event_set(&e), 0);
    CHECK_OK(weft_event_wait(&e, WEFT_NOW));
    CHECK_EQ(weft_event_wait(&e, WEFT_NOW), -ETIMEDOUT);
    for (int i = 0; i < 3; i++)
        joined(f[i]);
    put(&phase, 0); /* what woke one who is killed before it runs wakes another */
    CHECK_OK(weft_lane_spawn_with(&l, passes, NULL, .pinned = 1));
    settle();
    CHECK_EQ(weft_event_set(&e), 1);
    kill_here(l);
    CHECK_OK(weft_lane_join(l, NULL, soon()));
    CHECK_EQ(get(&phase), 0);
    CHECK_EQ(weft_event_is_set(&e), 1);
}

static int is_cancelled(void *arg)
{
    (void)arg;
    return weft_event_wait(&e, WEFT_NEVER);
}

static void cancelled(void)
{
    weft_id f;
    int r;

    CHECK_OK(weft_event_init(&e, WEFT_EVENT_MANUAL, 0));
    CHECK_OK(weft_spawn(&f, is_cancelled, NULL));
    settle();
    CHECK_OK(weft_cancel(f));
    CHECK_OK(weft_join(f, &r, soon()));
    CHECK_EQ(r, -ECANCELED);
    CHECK_OK(weft_spawn(&f, is_cancelled, NULL));
    settle();
    CHECK_EQ(weft_event_set(&e), 1);
    CHECK_OK(weft_cancel(f)); /* too late: it has succeeded */
    joined(f);
    CHECK_OK(weft_spawn(&f, is_cancelled, NULL));
    CHECK_OK(weft_cancel(f));
    CHECK_OK(weft_join(f, &r, soon()));
    CHECK_EQ(r, -ECANCELED); /* although it is set: checked at entry */
}

/* A nudge that was meant for an earlier wait does not hide a cancellation that comes behind it. */
static void cancelled_behind_a_nudge(void)
{
    weft__fiber *waiter;
    weft_id f;
    int r;

    CHECK_OK(weft_event_init(&e, WEFT_EVENT_MANUAL, 0));
    CHECK_OK(weft_spawn(&f, is_cancelled, NULL));
    settle();
    CHECK_OK(weft__fiber_find(weft__worker_self(), f, &waiter));
    weft__fiber_nudge(waiter);
    CHECK_OK(weft_cancel(f));
    CHECK_OK(weft_join(f, &r, soon()));
    CHECK_EQ(r, -ECANCELED);
}

/* ---- barriers and latches ---- */

static weft_barrier b;
static int lasts, rounds[4];

static int meets(void *arg)
{
    const int me = (int)(intptr_t)arg;

    for (int i = 0; i < 200; i++) {
        const int r = weft_barrier_wait(&b, WEFT_NEVER);
        CHECK(r == 0 || r == 1);
        if (r)
            bump(&lasts);
        put(&rounds[me], i + 1);
        for (int j = 0; j < 4; j++) { /* nobody is a whole round away */
            const int there = get(&rounds[j]);
            CHECK(there >= i && there <= i + 2);
        }
    }
    return 0;
}

static int comes_and_goes(void *arg)
{
    (void)arg;
    CHECK_EQ(weft_barrier_wait(&b, weft_after(2 * WEFT_MILLISECOND)), -ETIMEDOUT);
    return 0;
}

static int comes(void *arg)
{
    (void)arg;
    return weft_barrier_wait(&b, WEFT_NEVER);
}

static void barriers(void)
{
    weft_id l[4], f;
    int r;

    CHECK_EQ(weft_barrier_init(&b, 0), -EINVAL);
    CHECK_EQ(weft_barrier_wait(&(weft_barrier){{0}}, WEFT_NOW), -EINVAL);
    CHECK_OK(weft_barrier_init(&b, 1));
    CHECK_EQ(weft_barrier_wait(&b, WEFT_NOW), 1);
    CHECK_OK(weft_barrier_init(&b, 4));
    for (int i = 0; i < 4; i++)
        CHECK_OK(weft_lane_spawn(&l[i], meets, (void *)(intptr_t)i));
    for (int i = 0; i < 4; i++)
        ended(l[i]);
    CHECK_EQ(get(&lasts), 200);
    CHECK_OK(weft_barrier_init(&b, 2));
    CHECK_OK(weft_spawn(&f, comes_and_goes, NULL));
    joined(f);
    CHECK_EQ(weft_barrier_wait(&b, WEFT_NOW), -ETIMEDOUT); /* that one has not come */
    CHECK_OK(weft_spawn(&f, comes, NULL));
    settle();
    CHECK_EQ(weft_barrier_wait(&b, WEFT_NEVER), 1);
    CHECK_OK(weft_join(f, &r, soon()));
    CHECK_EQ(r, 0);
}

static weft_latch l;

static int is_done(void *arg)
{
    bump((int *)arg);
    CHECK_OK(weft_latch_done(&l, 1));
    return 0;
}

static void latches(void)
{
    weft_id f;
    int done = 0;

    CHECK_OK(weft_latch_wait(&l, WEFT_NOW)); /* nothing was begun */
    CHECK_EQ(weft_latch_done(&l, 1), -EINVAL);
    CHECK_OK(weft_latch_init(&l, SIZE_MAX));
    CHECK_EQ(weft_latch_add(&l, 1), -EOVERFLOW);
    CHECK_OK(weft_latch_init(&l, 0));
    for (int i = 0; i < 20; i++) {
        CHECK_OK(weft_latch_add(&l, 1));
        if (i % 2)
            CHECK_OK(weft_spawn(NULL, is_done, &done));
        else
            CHECK_OK(weft_lane_spawn(NULL, is_done, &done));
    }
    CHECK_OK(weft_latch_wait(&l, soon()));
    CHECK_EQ(get(&done), 20);
    CHECK_OK(weft_latch_add(&l, 2));
    CHECK_EQ(weft_latch_wait(&l, weft_after(WEFT_MILLISECOND)), -ETIMEDOUT);
    CHECK_OK(weft_latch_done(&l, 1));
    CHECK_OK(weft_spawn(&f, is_done, &done));
    CHECK_OK(weft_latch_wait(&l, WEFT_NEVER));
    joined(f);
}

/* ---- threads ---- */

static weft_semaphore to_thread, to_fiber;
static weft_event stop;
enum { PINGS = 300 };

static void *answers(void *arg)
{
    (void)arg;
    CHECK_EQ(weft_barrier_wait(&b, WEFT_NEVER), -EPERM);
    CHECK_EQ(weft_semaphore_acquire(&to_thread, 1, WEFT_NOW), -ETIMEDOUT);
    CHECK_EQ(weft_semaphore_acquire(&to_thread, 1, weft_after(WEFT_MILLISECOND)), -ETIMEDOUT);
    CHECK_EQ(weft_semaphore_try(&to_thread, 1), -EAGAIN);
    put(&phase, 1);
    for (int i = 0; i < PINGS; i++) {
        CHECK_OK(weft_semaphore_acquire(&to_thread, 1, WEFT_NEVER));
        CHECK_OK(weft_semaphore_release(&to_fiber, 1));
    }
    CHECK_OK(weft_event_wait(&stop, WEFT_NEVER));
    CHECK_OK(weft_latch_done(&l, 1));
    return NULL;
}

static void threads(void)
{
    CHECK_OK(weft_latch_init(&l, 2));
    put(&phase, 0);
    const pthread_t t = thread_of(answers, NULL);
    reached(&phase, 1);
    for (int i = 0; i < PINGS; i++) {
        CHECK_OK(weft_semaphore_release(&to_thread, 1));
        CHECK_OK(weft_semaphore_acquire(&to_fiber, 1, WEFT_NEVER));
    }
    CHECK_OK(weft_latch_done(&l, 1));
    CHECK(weft_event_set(&stop) >= 0);
    CHECK_OK(weft_latch_wait(&l, soon()));
    pthread_join(t, NULL);
}

static int run(int argc, char **argv)
{
    (void)argc, (void)argv;
    units();
    units_of_the_dead();
    killed_at_random();
    events();
    cancelled();
    cancelled_behind_a_nudge();
    barriers();
    latches();
    threads();
    return 0;
}

int main(void)
{
    run_clean(run, 2);
    return 0;
}
