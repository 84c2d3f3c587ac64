/* Killing: who may, from where, and lanes in every state of their life. */
#include "lane/world.h"

static int there, runs_on, ended;

static int parks(void *arg)
{
    (void)arg;
    bump(&there);
    for (;;)
        weft_park(WEFT_NEVER);
    return 0;
}

/* Waits until `n` of them are there. */
static void gather(int n)
{
    while (get(&there) < n)
        CHECK_OK(weft_yield());
}

static void expect_killed(weft_id l)
{
    weft_exit e;

    CHECK_OK(weft_lane_join_exit(l, &e, soon()));
    CHECK_EQ(e.kind, WEFT_EXIT_KILLED);
    CHECK_EQ(e.result, -ECANCELED);
    CHECK(weft_id_equal(e.lane, l) && weft_id_equal(e.cause, l));
    CHECK_EQ(weft_kill(l), -ESRCH);
    CHECK_EQ(weft_kill_in(weft_current(), l), -ESRCH);
}

/* ---- rights ---- */

static weft_id target;

static int may_not(void *arg)
{
    (void)arg;
    CHECK_EQ(weft_kill(target), -EPERM);
    CHECK_EQ(weft_kill_in(weft_current(), target), -EPERM); /* a fiber is no foreign thread */
    CHECK_EQ(weft_cancel(target), -EPERM);
    return 0;
}

/* Asked to go ahead by a message: granted meanwhile. */
static int may(void *arg)
{
    weft_message *m;

    (void)arg;
    CHECK_OK(weft_receive(&m, soon()));
    CHECK_OK(weft_msg_free(m));
    CHECK_EQ(weft_cancel(target), -EPERM); /* one right is not the other */
    CHECK_OK(weft_kill(target));
    return 0;
}

static int may_cancel(void *arg)
{
    weft_message *m;

    (void)arg;
    CHECK_OK(weft_receive(&m, soon()));
    CHECK_OK(weft_msg_free(m));
    CHECK_EQ(weft_kill(target), -EPERM);
    CHECK_OK(weft_cancel(target));
    return 0;
}

static int ends_when_cancelled(void *arg)
{
    (void)arg;
    bump(&there);
    return weft_park(WEFT_NEVER);
}

static int rights(int argc, char **argv)
{
    weft_id l, old;
    weft_exit e;

    (void)argc, (void)argv;
    put(&there, 0);
    CHECK_EQ(weft_kill(WEFT_NOID), -ESRCH);
    CHECK_EQ(weft_kill(weft_self()), -EINVAL);
    CHECK_EQ(weft_kill_in(weft_current(), weft_self()), -EINVAL);
    CHECK_EQ(weft_kill_in(weft_current(), WEFT_NOID), -ESRCH);
    CHECK_EQ(weft_kill_in(NULL, weft_lane_self()), -EINVAL);

    target = weft_lane_self(); /* a child may not kill its parent */
    CHECK_OK(weft_lane_spawn(&l, may_not, NULL));
    CHECK_OK(weft_lane_join(l, NULL, soon()));

    CHECK_OK(weft_lane_spawn(&target, parks, NULL));
    CHECK_OK(weft_lane_spawn(&l, may_not, NULL)); /* nor a sibling its sibling */
    CHECK_OK(weft_lane_join(l, NULL, soon()));
    CHECK_OK(weft_lane_spawn(&l, may, NULL));
    CHECK_OK(weft_grant(target, l, WEFT_RIGHT_KILL));
    CHECK_OK(weft_send(l, NULL, 0, NULL));
    CHECK_OK(weft_lane_join(l, NULL, soon()));
    expect_killed(target);

    CHECK_OK(weft_lane_spawn(&target, ends_when_cancelled, NULL));
    CHECK_OK(weft_lane_spawn(&l, may_cancel, NULL));
    CHECK_OK(weft_grant(target, l, WEFT_RIGHT_CANCEL));
    CHECK_OK(weft_send(l, NULL, 0, NULL));
    CHECK_OK(weft_lane_join(l, NULL, soon()));
    CHECK_OK(weft_lane_join_exit(target, &e, soon()));
    CHECK_EQ(e.kind, WEFT_EXIT_CANCELED);

    old = target;
    for (int i = 0; i < 300; i++) { /* its record is used again by others, whom its id does not name */
        CHECK_OK(weft_lane_spawn(&l, ends_when_cancelled, NULL));
        CHECK_EQ(weft_kill(old), -ESRCH);
        CHECK_OK(weft_cancel(l));
        CHECK_OK(weft_lane_join_exit(l, &e, soon()));
        CHECK_EQ(e.kind, WEFT_EXIT_CANCELED);
    }
    return 0;
}

/* ---- oneself ---- */

static int kills_itself(void *arg)
{
    (void)arg;
    CHECK_OK(weft_kill(weft_lane_self()));
    CHECK_OK(weft_kill(weft_lane_self())); /* it is dying already */
    bump(&there);                          /* until the next wait */
    weft_park(WEFT_NOW);
    weft_yield();
    TEST_FAIL("a killed fiber that waited does not run on");
}

static int by_a_sibling(void *arg)
{
    CHECK_OK(weft_spawn(NULL, kills_itself, arg));
    weft_scope s;
    CHECK_OK(weft_shield_enter(&s, 3600 * WEFT_SECOND)); /* no shield against that */
    for (;;)
        weft_sleep(WEFT_NEVER);
    return 0;
}

/* Takes no notice of anything: refused for ever, it is stopped when the tick is over. */
static int refused_for_ever(void *arg)
{
    (void)arg;
    bump(&there);
    for (;;)
        weft_park(WEFT_NOW);
    return 0;
}

static int oneself(int argc, char **argv)
{
    weft_id l;

    (void)argc, (void)argv;
    put(&there, 0);
    CHECK_OK(weft_lane_spawn(&l, kills_itself, NULL));
    expect_killed(l);
    CHECK_OK(weft_lane_spawn(&l, by_a_sibling, NULL));
    expect_killed(l);
    CHECK_EQ(get(&there), 2);
    CHECK_OK(weft_lane_spawn(&l, refused_for_ever, NULL));
    gather(3);
    CHECK_OK(weft_kill(l));
    expect_killed(l);
    return 0;
}

/* ---- newborn, stolen, dying ---- */

static int short_life(void *arg)
{
    (void)arg;
    weft_yield();
    return 0;
}

static int being_born(int argc, char **argv)
{
    enum { MANY = 40, ROUNDS = 25 };
    weft_id l[MANY];
    weft_exit e;

    (void)argc, (void)argv;
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < MANY; i++)
            CHECK_OK(weft_lane_spawn_with(&l[i], i % 4 ? parks : short_life, NULL, .pinned = i % 3 == 0));
        for (int i = 0; i < round % 5; i++)
            weft_yield(); /* some are born, others are just being stolen */
        for (int i = 0; i < MANY; i++) {
            int r = weft_kill(l[i]);
            CHECK(r == 0 || (r == -ESRCH && i % 4 == 0));
            if (i % 2)
                CHECK((r = weft_kill(l[i])) == 0 || r == -ESRCH); /* being killed, at whatever step */
        }
        for (int i = 0; i < MANY; i++) {
            CHECK_OK(weft_lane_join_exit(l[i], &e, soon()));
            CHECK(e.kind == WEFT_EXIT_KILLED || (i % 4 == 0 && e.kind == WEFT_EXIT_NORMAL));
        }
    }
    return 0;
}

/* Before it was ever seen by a worker: its worker is busy with us. */
static int never_runs(void *arg)
{
    (void)arg;
    TEST_FAIL("it was killed before it was born");
}

static int before_birth(int argc, char **argv)
{
    weft_id l;

    (void)argc, (void)argv;
    for (int i = 0; i < 100; i++) {
        CHECK_OK(weft_lane_spawn_with(&l, never_runs, NULL, .pinned = 1));
        CHECK_OK(weft_kill(l));
        expect_killed(l);
    }
    return 0;
}

/* ---- families ---- */

static int tree(void *arg)
{
    int depth = *(const int *)arg - 1;
    weft_id l;

    for (int i = 0; i < 3 && depth > 0; i++)
        CHECK_OK(weft_lane_spawn_with(i ? &l : NULL, tree, &depth, .copy = sizeof depth));
    CHECK_OK(weft_spawn(NULL, parks, NULL));
    return parks(arg);
}

static int whole_trees(int argc, char **argv)
{
    int depth = 4;
    weft_id l, ref;
    weft_message *m;

    (void)argc, (void)argv;
    put(&there, 0);
    CHECK_OK(weft_lane_spawn_with(&l, tree, &depth, .copy = sizeof depth, .monitor = &ref));
    gather(2 * (1 + 3 + 9 + 27));
    CHECK_OK(weft_kill(l));
    CHECK_OK(weft_receive(&m, soon())); /* one, for the whole tree */
    CHECK_EQ(weft_msg_down(m)->exit.kind, WEFT_EXIT_KILLED);
    CHECK_OK(weft_msg_free(m));
    expect_killed(l);
    CHECK_EQ(weft_receive(&m, WEFT_NOW), -ETIMEDOUT);
    CHECK_OK(weft_lane_spawn_with(&l, tree, &depth, .copy = sizeof depth)); /* while it grows */
    for (int i = 0; i < 20; i++)
        weft_yield();
    CHECK_OK(weft_kill(l));
    expect_killed(l);
    return 0;
}

/* A kill of what nobody asks about is a failure of its parent. */
static int loses_a_child(void *arg)
{
    weft_id l;

    (void)arg;
    CHECK_OK(weft_lane_spawn_with(&l, kills_itself, NULL, .detached = 1));
    return weft_park(WEFT_NEVER);
}

static int ends_its_child(void *arg)
{
    weft_id l;

    (void)arg;
    CHECK_OK(weft_lane_spawn_with(&l, parks, NULL, .detached = 1));
    CHECK_OK(weft_kill(l));
    return 5;
}

static int passed_on(int argc, char **argv)
{
    weft_id l;
    weft_exit e;

    (void)argc, (void)argv;
    CHECK_OK(weft_lane_spawn(&l, loses_a_child, NULL));
    CHECK_OK(weft_lane_join_exit(l, &e, soon()));
    CHECK_EQ(e.kind, WEFT_EXIT_KILLED);
    CHECK(!weft_id_equal(e.cause, l) && weft_id_equal(e.lane, l));
    CHECK_OK(weft_lane_spawn(&l, ends_its_child, NULL)); /* that was wanted */
    CHECK_OK(weft_lane_join_exit(l, &e, soon()));
    CHECK_EQ(e.kind, WEFT_EXIT_NORMAL);
    CHECK_EQ(e.result, 5);
    return 0;
}

/* ---- from foreign threads ---- */

static weft_runtime *rt;

static void *kills_from_outside(void *arg)
{
    const uint64_t *ids = arg;

    for (int i = 0; i < 64; i++) {
        uint64_t word;
        while (!(word = __atomic_load_n(&ids[i], __ATOMIC_ACQUIRE)))
            sched_yield();
        const int r = weft_kill_in(rt, word_to_id(word));
        CHECK(r == 0 || r == -ESRCH); /* the other thread was there before */
    }
    return NULL;
}

static void from_outside(void)
{
    static spy s;
    static uint64_t ids[64];
    weft_options opt = {.workers = 2, .env = spy_open(&s), .blocked_ns = -1};
    weft_id l, kept = WEFT_NOID;

    memset(ids, 0, sizeof ids);
    put(&there, 0);
    CHECK_OK(weft_start(&rt, &opt));
    pthread_t a = thread_of(kills_from_outside, ids), b = thread_of(kills_from_outside, ids);
    for (int i = 0; i < 64; i++) {
        const int here = get(&there);
        CHECK_OK(weft_lane_spawn_in(rt, &l, parks, NULL, NULL));
        if (i % 2)
            until(&there, here + 1);
        __atomic_store_n(&ids[i], id_to_word(l), __ATOMIC_RELEASE);
        kept = l; /* every other one is killed before it is born, or while */
    }
    pthread_join(a, NULL);
    pthread_join(b, NULL);
    CHECK_OK(weft_wait(rt, WEFT_NEVER));
    CHECK_EQ(weft_kill_in(rt, kept), -ESRCH);
    CHECK_EQ(weft_kill(kept), -EPERM); /* not a fiber */
    CHECK_OK(weft_stop(rt));
    while (weft_kill_in(rt, kept) != -ESHUTDOWN)
        sched_yield();
    CHECK_EQ(weft_cancel_in(rt, kept), -ESHUTDOWN);
    CHECK_OK(weft_end(rt));
    SPY_SAYS(&s, "was killed"); /* by nobody of the family */
    spy_close(&s);
}

/* ---- what does not suspend ---- */

static int computes(void *arg)
{
    (void)arg;
    put(&there, 1);
    while (get(&runs_on))
        sched_yield();
    put(&ended, 1); /* and on until it waits, when its worker finds what was asked of it meanwhile */
    for (;;)
        weft_yield();
    return 0;
}

/* The report comes, and names fiber, place and kill; the kill is complete when the fiber has waited. */
static void runs_for_long(void)
{
    static spy s;
    weft_options opt = {.workers = 2, .env = spy_open(&s), .blocked_ns = 5 * WEFT_MILLISECOND, .grace_ns = 20 * WEFT_MILLISECOND};
    weft_id l;

    put(&there, 0);
    put(&runs_on, 1);
    put(&ended, 0);
    CHECK_OK(weft_start(&rt, &opt));
    CHECK_OK(weft_lane_spawn_in(rt, &l, computes, NULL, &(weft_lane_options){.name = "the stubborn"}));
    until(&there, 1);
    while (!spy_says(&s, "has not come back"))
        sched_yield();
    CHECK_OK(weft_kill_in(rt, l)); /* which the next report says, when it has run twice as long */
    while (!spy_says(&s, "its lane was killed"))
        sched_yield();
    SPY_SAYS(&s, "the stubborn");
    SPY_SAYS(&s, "kill.c:"); /* where it was spawned */
    CHECK_EQ(weft_wait(rt, WEFT_NOW), -ETIMEDOUT);
    CHECK_EQ(get(&ended), 0);
    CHECK_OK(weft_kill_in(rt, l)); /* there is nothing that one could add */
    put(&runs_on, 0);
    CHECK_OK(weft_wait(rt, WEFT_NEVER));
    CHECK_EQ(get(&ended), 1);
    CHECK_OK(weft_end(rt));
    spy_close(&s);
}

int main(void)
{
    run_clean(rights, 2);
    run_clean(oneself, 2);
    for (unsigned workers = 1; workers <= 3; workers++)
        run_clean(being_born, workers);
    run_clean(before_birth, 1);
    run_clean(whole_trees, 3);
    run_clean(passed_on, 2);
    from_outside();
    runs_for_long();
    return 0;
}
