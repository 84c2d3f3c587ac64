/* The mutex: who owns it, who may not, who is next, and what happens when its owner dies. */
#include "world.h"

static weft_mutex m;
static int phase, order[8], ordered;

static int locks_and_notes(void *arg)
{
    CHECK_OK(weft_mutex_lock(&m, WEFT_NEVER));
    order[ordered++] = (int)(intptr_t)arg;
    CHECK_OK(weft_mutex_unlock(&m));
    return 0;
}

static int tries(void *arg)
{
    CHECK_EQ(weft_mutex_try(arg), -EAGAIN);
    CHECK_EQ(weft_mutex_unlock(arg), -EPERM);
    CHECK_EQ(weft_mutex_consistent(arg), -EPERM);
    CHECK_EQ(weft_mutex_give(arg, weft_self()), -EPERM);
    CHECK_EQ(weft_mutex_lock((weft_mutex *)arg, WEFT_NOW), -ETIMEDOUT);
    const int64_t deadline = weft_after(WEFT_MILLISECOND);
    CHECK_EQ(weft_mutex_lock((weft_mutex *)arg, deadline), -ETIMEDOUT);
    CHECK(weft_now() >= deadline);
    return 0;
}

static void *on_a_thread(void *arg)
{
    CHECK_EQ(weft_mutex_lock((weft_mutex *)arg, WEFT_NEVER), -EPERM);
    CHECK_EQ(weft_mutex_try(arg), -EPERM);
    CHECK_EQ(weft_mutex_unlock(arg), -EPERM);
    return NULL;
}

static void ownership(void)
{
    weft_id f;
    weft_mutex_info info;

    m = (weft_mutex){{0}};
    CHECK_EQ(weft_mutex_unlock(&m), -EPERM);
    CHECK_EQ(weft_mutex_consistent(&m), -EPERM);
    CHECK_OK(weft_mutex_lock(&m, WEFT_NOW)); /* free: a past deadline gets it */
    CHECK_EQ(weft_mutex_lock(&m, WEFT_NEVER), -EDEADLK);
    CHECK_EQ(weft_mutex_try(&m), -EDEADLK);
    CHECK_EQ(weft_mutex_consistent(&m), -EINVAL);
    weft_mutex_look(&m, &info);
    CHECK(weft_id_equal(info.fiber, weft_self()) && weft_id_equal(info.lane, weft_lane_self()));
    CHECK(strstr(info.site, "mutex.c:") != NULL);
    CHECK_EQ(info.waiting + (unsigned)info.owner_died + (unsigned)info.lost, 0);
    CHECK_OK(weft_spawn(&f, tries, &m));
    joined(f);
    pthread_join(thread_of(on_a_thread, &m), NULL);
    CHECK_OK(weft_mutex_unlock(&m));
    CHECK_EQ(weft_mutex_unlock(&m), -EPERM);
    weft_mutex_look(&m, &info);
    CHECK(weft_id_equal(info.fiber, WEFT_NOID));
    CHECK_OK(weft_mutex_try(&m));
    CHECK_OK(weft_mutex_unlock(&m));
    CHECK_EQ(weft_mutex_init(&m, 64, NULL), -EINVAL);
}

static void recursion(void)
{
    weft_id f;

    CHECK_OK(weft_mutex_init(&m, WEFT_MUTEX_RECURSIVE, "again"));
    for (int i = 0; i < 3; i++)
        CHECK_OK(weft_mutex_lock(&m, WEFT_NEVER));
    CHECK_OK(weft_mutex_try(&m));
    for (int i = 0; i < 3; i++)
        CHECK_OK(weft_mutex_unlock(&m));
    CHECK_OK(weft_spawn(&f, tries, &m)); /* once more to go */
    joined(f);
    CHECK_OK(weft_mutex_unlock(&m));
    CHECK_EQ(weft_mutex_unlock(&m), -EPERM);
}

static void in_order(unsigned flags)
{
    weft_id f[4];

    CHECK_OK(weft_mutex_init(&m, flags, NULL));
    CHECK_OK(weft_mutex_lock(&m, WEFT_NEVER));
    ordered = 0;
    for (int i = 0; i < 4; i++) {
        CHECK_OK(weft_spawn(&f[i], locks_and_notes, (void *)(intptr_t)i));
        settle();
    }
    CHECK_OK(weft_mutex_unlock(&m));
    if (flags & WEFT_MUTEX_FAIR)
        CHECK_EQ(weft_mutex_try(&m), -EAGAIN); /* it is the next one's already */
    for (int i = 0; i < 4; i++)
        joined(f[i]);
    for (int i = 0; i < 4; i++)
        CHECK_EQ(order[i], i);
}

/* One that was overtaken gets it at the next unlock, however greedy the other is. */
static void greedy(void)
{
    weft_id f;
    int rounds = 0;

    CHECK_OK(weft_mutex_init(&m, 0, NULL));
    CHECK_OK(weft_mutex_lock(&m, WEFT_NEVER));
    ordered = 0;
    CHECK_OK(weft_spawn(&f, locks_and_notes, NULL));
    CHECK_OK(weft_yield());
    while (!ordered && rounds < 100) {
        CHECK_OK(weft_mutex_unlock(&m));
        CHECK_OK(weft_mutex_lock(&m, WEFT_NEVER)); /* takes it back before the other has run */
        CHECK_OK(weft_yield());
        rounds++;
    }
    CHECK_OK(weft_mutex_unlock(&m));
    joined(f);
    CHECK_EQ(ordered, 1);
    CHECK(rounds <= 3);
}

static int waits_for_it(void *arg) { return weft_mutex_lock(&m, *(int64_t *)arg); }

static void cancelled(void)
{
    weft_id f;
    int r;
    int64_t never = WEFT_NEVER;
    weft_mutex_info info;

    CHECK_OK(weft_mutex_init(&m, 0, NULL));
    CHECK_OK(weft_mutex_lock(&m, WEFT_NEVER));
    CHECK_OK(weft_spawn(&f, waits_for_it, &never));
    settle();
    weft_mutex_look(&m, &info);
    CHECK_EQ(info.waiting, 1);
    CHECK_OK(weft_cancel(f));
    CHECK_OK(weft_join(f, &r, soon()));
    CHECK_EQ(r, -ECANCELED);
    weft_mutex_look(&m, &info);
    CHECK_EQ(info.waiting, 0);
    CHECK_OK(weft_mutex_unlock(&m));
    weft_scope s; /* cancelled already: not even a free one */
    CHECK_OK(weft_scope_enter(&s, WEFT_NOW));
    CHECK_EQ(weft_mutex_lock(&m, WEFT_NEVER), -ECANCELED);
    CHECK_OK(weft_mutex_try(&m)); /* does not wait */
    CHECK_OK(weft_mutex_unlock(&m));
    CHECK_EQ(weft_scope_leave(&s), -ETIMEDOUT);
}

static int takes_given(void *arg)
{
    (void)arg;
    CHECK_OK(weft_park(WEFT_NEVER));
    CHECK_EQ(weft_mutex_lock(&m, WEFT_NEVER), -EDEADLK); /* it is mine */
    CHECK_OK(weft_mutex_unlock(&m));
    return 0;
}

static int in_another_lane(void *arg)
{
    (void)arg;
    put(&phase, 1);
    return weft_park(WEFT_NEVER);
}

static void handed_over(void)
{
    weft_id f, l;

    CHECK_OK(weft_mutex_init(&m, 0, NULL));
    CHECK_OK(weft_mutex_lock(&m, WEFT_NEVER));
    CHECK_EQ(weft_mutex_give(&m, WEFT_NOID), -ESRCH);
    CHECK_OK(weft_lane_spawn_with(&l, in_another_lane, NULL, .pinned = 1));
    CHECK_EQ(weft_mutex_give(&m, l), -EINVAL);
    kill_lane(l);
    CHECK_OK(weft_lane_join(l, NULL, soon()));
    CHECK_OK(weft_spawn(&f, takes_given, NULL));
    settle();
    CHECK_OK(weft_mutex_give(&m, f));
    CHECK_EQ(weft_mutex_unlock(&m), -EPERM);
    CHECK_OK(weft_unpark(f));
    CHECK_OK(weft_mutex_lock(&m, WEFT_NEVER));
    CHECK_OK(weft_mutex_unlock(&m));
    joined(f);
}

/* ---- death ---- */

static int locks_and_stays(void *arg)
{
    (void)arg;
    const int r = weft_mutex_lock(&m, WEFT_NEVER);
    if (r < 0)
        return r;
    put(&phase, 1);
    CHECK_EQ(weft_park(WEFT_NEVER), -ECANCELED); /* or it is killed here */
    return 0;
}

static int repairs(void *arg)
{
    put((int *)arg, 1);
    CHECK_EQ(weft_mutex_lock(&m, WEFT_NEVER), -EOWNERDEAD);
    CHECK_OK(weft_mutex_consistent(&m));
    CHECK_EQ(weft_mutex_consistent(&m), -EINVAL);
    CHECK_OK(weft_mutex_unlock(&m));
    return 0;
}

static int waits_in_vain(void *arg)
{
    put((int *)arg, 1);
    CHECK_EQ(weft_mutex_lock(&m, WEFT_NEVER), -ENOTRECOVERABLE);
    return 0;
}

static weft_id dies_with_it(void)
{
    weft_id l;

    put(&phase, 0);
    CHECK_OK(weft_mutex_init(&m, 0, NULL));
    CHECK_OK(weft_lane_spawn(&l, locks_and_stays, NULL));
    reached(&phase, 1);
    return l;
}

static void owner_dies(void)
{
    weft_mutex_info info;
    weft_id f;
    int here = 0;

    killed(dies_with_it()); /* nobody waits: the next to come is told */
    weft_mutex_look(&m, &info);
    CHECK(info.owner_died);
    CHECK_EQ(weft_mutex_try(&m), -EOWNERDEAD);
    CHECK_EQ(weft_mutex_lock(&m, WEFT_NEVER), -EDEADLK); /* it is ours */
    CHECK_OK(weft_mutex_consistent(&m));
    CHECK_OK(weft_mutex_unlock(&m));
    CHECK_OK(weft_mutex_lock(&m, WEFT_NEVER));
    CHECK_OK(weft_mutex_unlock(&m));

    const weft_id l = dies_with_it(); /* somebody waits */
    CHECK_OK(weft_spawn(&f, repairs, &here));
    reached(&here, 1);
    killed(l);
    joined(f);
    CHECK_OK(weft_mutex_lock(&m, WEFT_NEVER));
    CHECK_OK(weft_mutex_unlock(&m));
}

static void not_repaired(void)
{
    weft_mutex_info info;
    weft_id f;
    int here = 0;

    killed(dies_with_it());
    CHECK_EQ(weft_mutex_lock(&m, WEFT_NEVER), -EOWNERDEAD);
    CHECK_OK(weft_spawn(&f, waits_in_vain, &here));
    reached(&here, 1);
    settle();
    CHECK_OK(weft_mutex_unlock(&m));
    joined(f);
    CHECK_EQ(weft_mutex_lock(&m, WEFT_NEVER), -ENOTRECOVERABLE);
    CHECK_EQ(weft_mutex_try(&m), -ENOTRECOVERABLE);
    CHECK_EQ(weft_mutex_unlock(&m), -EPERM);
    weft_mutex_look(&m, &info);
    CHECK(info.lost && !info.owner_died);
    CHECK_OK(weft_mutex_init(&m, 0, NULL));
}

/* A clean-up of the dead still owns what the dead held (DESIGN rule 5, steps 4 and 5):
 * nobody else gets it before that is over. */
static int cleaned;

static void cleans_up(void *arg)
{
    (void)arg;
    CHECK_EQ(weft_mutex_lock(&m, WEFT_NEVER), -EDEADLK);
    CHECK_OK(weft_sleep(weft_after(2 * WEFT_MILLISECOND)));
    CHECK_EQ(weft_mutex_consistent(&m), -EINVAL);
    put(&cleaned, 1);
}

static int locks_and_cleans(void *arg)
{
    CHECK_OK(weft_defer(cleans_up, NULL));
    return locks_and_stays(arg);
}

static void owner_cleans_up(void)
{
    weft_id l;

    put(&phase, 0);
    CHECK_OK(weft_mutex_init(&m, 0, NULL));
    CHECK_OK(weft_lane_spawn(&l, locks_and_cleans, NULL));
    reached(&phase, 1);
    kill_lane(l);
    CHECK_EQ(weft_mutex_lock(&m, soon()), -EOWNERDEAD);
    CHECK_EQ(get(&cleaned), 1);
    CHECK_OK(weft_mutex_consistent(&m));
    CHECK_OK(weft_mutex_unlock(&m));
    CHECK_OK(weft_lane_join(l, NULL, soon()));
}

/* A fiber that just returns with it, in a lane that lives on: told at once, and said. */
static int forgets_it(void *arg)
{
    (void)arg;
    CHECK_OK(weft_mutex_lock(&m, WEFT_NEVER));
    return 0;
}

static void owner_returns(void)
{
    weft_id f;

    CHECK_OK(weft_mutex_init(&m, 0, NULL));
    CHECK_OK(weft_spawn(&f, forgets_it, NULL));
    joined(f);
    CHECK_EQ(weft_mutex_lock(&m, WEFT_NEVER), -EOWNERDEAD);
    CHECK_OK(weft_mutex_consistent(&m));
    CHECK_OK(weft_mutex_unlock(&m));
}

/* A lane that is killed while it waits, and one that was handed the mutex and never saw it. */
static void waiter_dies(void)
{
    weft_id l;

    for (unsigned flags = 0; flags <= WEFT_MUTEX_FAIR; flags += WEFT_MUTEX_FAIR) {
        CHECK_OK(weft_mutex_init(&m, flags, NULL));
        CHECK_OK(weft_mutex_lock(&m, WEFT_NEVER));
        put(&phase, 0);
        /* On this worker: it cannot run between the two. */
        CHECK_OK(weft_lane_spawn_with(&l, locks_and_stays, NULL, .pinned = 1));
        weft_mutex_info info;
        do {
            settle();
            weft_mutex_look(&m, &info);
        } while (!info.waiting);
        killed(l);
        weft_mutex_look(&m, &info);
        CHECK_EQ(info.waiting, 0);
        CHECK_OK(weft_lane_spawn_with(&l, locks_and_stays, NULL, .pinned = 1));
        do {
            settle();
            weft_mutex_look(&m, &info);
        } while (!info.waiting);
        CHECK_OK(weft_mutex_unlock(&m));
        kill_here(l);
        CHECK_OK(weft_lane_join(l, NULL, soon()));
        CHECK_EQ(get(&phase), 0);
        CHECK_OK(weft_mutex_lock(&m, soon())); /* in order: it changed nothing */
        CHECK_OK(weft_mutex_unlock(&m));
    }
}

/* ---- many ---- */

enum { LANES = 4, ROUNDS = 3000 };
static weft_mutex shared;
static long inside, total;

static int contends(void *arg)
{
    uint64_t state = (uint64_t)(intptr_t)arg;

    for (int i = 0; i < ROUNDS; i++) {
        const int r = weft_mutex_lock(&shared, next_random(&state) % 8 ? WEFT_NEVER : weft_after(20 * WEFT_MICROSECOND));
        if (r == -ETIMEDOUT) {
            i--;
            continue;
        }
        CHECK_OK(r);
        CHECK_EQ(inside++, 0); /* plain variables: a second one inside is a race, too */
        total++;
        if (next_random(&state) % 16 == 0)
            CHECK_OK(weft_yield());
        inside--;
        CHECK_OK(weft_mutex_unlock(&shared));
    }
    return 0;
}

static void exclusion(unsigned flags)
{
    weft_id l[LANES];

    CHECK_OK(weft_mutex_init(&shared, flags, NULL));
    total = 0;
    for (int i = 0; i < LANES; i++)
        CHECK_OK(weft_lane_spawn(&l[i], contends, (void *)(intptr_t)(i + 1)));
    for (int i = 0; i < LANES; i++)
        ended(l[i]);
    CHECK_EQ(total, LANES * ROUNDS);
}

static int is_cancelled(void *arg)
{
    (void)arg;
    CHECK_EQ(weft_mutex_lock(&m, WEFT_NEVER), -ECANCELED);
    ordered++;
    return 0;
}

/* Woken to compete, cancelled, and then too late: it does not wait again. */
static void cancelled_between_two_waits(void)
{
    weft_id f;

    CHECK_OK(weft_mutex_init(&m, 0, NULL));
    CHECK_OK(weft_mutex_lock(&m, WEFT_NEVER));
    ordered = 0;
    CHECK_OK(weft_spawn(&f, is_cancelled, NULL));
    settle();
    CHECK_OK(weft_mutex_unlock(&m));
    CHECK_OK(weft_mutex_lock(&m, WEFT_NEVER));
    CHECK_OK(weft_cancel(f));
    settle();
    CHECK_EQ(ordered, 1);
    joined(f);
    ordered = 0;
    CHECK_OK(weft_spawn(&f, locks_and_notes, NULL)); /* nobody is in the way of the next */
    settle();
    CHECK_OK(weft_mutex_unlock(&m));
    joined(f);
    CHECK_EQ(ordered, 1);
}

static int run(int argc, char **argv)
{
    (void)argc, (void)argv;
    ownership();
    recursion();
    in_order(0);
    in_order(WEFT_MUTEX_FAIR);
    greedy();
    cancelled();
    cancelled_between_two_waits();
    handed_over();
    owner_dies();
    owner_cleans_up();
    owner_returns();
    not_repaired();
    waiter_dies();
    exclusion(0);
    exclusion(WEFT_MUTEX_FAIR);
    return 0;
}

int main(void)
{
    static spy s;

    run_told(run, 2, &s); /* some of the waits here are circles until their deadlines */
    CHECK(strstr(s.log, "fiber \"forgets_it\" of lane \"root\"") && strstr(s.log, "ended holding 1 lock:"));
    spy_close(&s);
    return 0;
}
