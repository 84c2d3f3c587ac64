/* How a supervisor stops its children: each is asked and has its grace, then it is killed; one that cannot even be
 * killed in time is dying, and nothing takes its place before it is dead. */
#include "lane/supervised.h"

#define OFTEN .intensity = 100, .period_ns = 3600 * WEFT_SECOND

static hand a, b, c;

static void fresh(void)
{
    a = (hand){.name = "a"};
    b = (hand){.name = "b"};
    c = (hand){.name = "c"};
}

/* How the child's latest lane ended. */
static void ended_as(weft_id s, const char *id, enum weft_exit_kind kind)
{
    CHECK_EQ(child_info(s, id).last.kind, kind);
}

/* The next one is not asked before the one after it has ended. */
static void one_after_the_other(void)
{
    fresh();
    a.slow_ms = b.slow_ms = c.slow_ms = 5;
    const weft_child_spec children[] = {CHILD(&a), CHILD(&b), CHILD(&c)};
    const weft_id s = supervisor(&(weft_supervisor_spec)SUPERVISOR(children));

    expect("+a +b +c");
    stop_supervisor(s);
    expect("-c .c -b .b -a .a");
}

static void killed_after_its_grace(void)
{
    fresh();
    b.stubborn = 1;
    const weft_child_spec children[] = {CHILD(&a), CHILD(&b, .grace_ns = 10 * WEFT_MILLISECOND), CHILD(&c)};
    const weft_id s = supervisor(&(weft_supervisor_spec)SUPERVISOR(children));
    const int64_t begun = weft_now();

    CHECK_OK(weft_supervisor_terminate_child(s, "b", soon()));
    CHECK(weft_now() - begun >= 10 * WEFT_MILLISECOND);
    ended_as(s, "b", WEFT_EXIT_KILLED);
    expect("+a +b +c");
    CHECK_OK(weft_supervisor_restart_child(s, "b", NULL, soon()));
    stop_supervisor(s);
    expect("+b -c -a");
}

static void within_its_grace_it_ends_by_itself(void)
{
    fresh();
    a.slow_ms = b.slow_ms = 5;
    const weft_child_spec children[] = {CHILD(&a, .grace_ns = 20 * WEFT_SECOND), CHILD(&b, .grace_ns = WEFT_NEVER)};
    const weft_id s = supervisor(&(weft_supervisor_spec)SUPERVISOR(children));

    CHECK_OK(weft_supervisor_terminate_child(s, "a", soon()));
    CHECK_OK(weft_supervisor_terminate_child(s, "b", soon()));
    ended_as(s, "a", WEFT_EXIT_CANCELED);
    ended_as(s, "b", WEFT_EXIT_CANCELED);
    expect("+a +b -a .a -b .b");
    stop_supervisor(s);
    expect("");
}

/* Killed without being asked. */
static void brutally(void)
{
    fresh();
    const weft_child_spec children[] = {CHILD(&a, .grace_ns = WEFT_BRUTAL_KILL), CHILD(&b)};
    const weft_id s = supervisor(&(weft_supervisor_spec)SUPERVISOR(children));

    CHECK_OK(weft_supervisor_terminate_child(s, "a", soon()));
    ended_as(s, "a", WEFT_EXIT_KILLED);
    CHECK_OK(weft_supervisor_restart_child(s, "a", NULL, soon()));
    stop_supervisor(s);
    expect("+a +b +a -b");
}

/* What it supervised goes with it, unasked. */
static void a_supervisor_with_a_grace_is_killed_with_its_children(void)
{
    fresh();
    c.stubborn = 1;
    const weft_child_spec inner[] = {CHILD(&b), CHILD(&c, .grace_ns = WEFT_NEVER)};
    const weft_supervisor_spec below = SUPERVISOR(inner);
    const weft_child_spec children[] = {
        CHILD(&a), {.id = "below", .supervisor = &below, .grace_ns = 10 * WEFT_MILLISECOND}};
    const weft_id s = supervisor(&(weft_supervisor_spec)SUPERVISOR(children));

    CHECK_OK(weft_supervisor_terminate_child(s, "below", soon()));
    ended_as(s, "below", WEFT_EXIT_KILLED);
    expect("+a +b +c");
    stop_supervisor(s);
    expect("-a");
}

/* A child may end by itself, even fail, as it is being stopped: it was stopped. */
static int fails_when_stopped(void *arg)
{
    (void)arg;
    CHECK_OK(weft_child_ready(0));
    CHECK_EQ(weft_sleep(WEFT_NEVER), -ECANCELED);
    return -EIO;
}

static void a_failure_while_stopping_is_no_failure(void)
{
    const weft_child_spec children[] = {{.id = "f", .run = fails_when_stopped, .ready = 1}};
    const weft_id s = supervisor(&(weft_supervisor_spec)SUPERVISOR(children, .intensity = WEFT_NO_RESTARTS));

    CHECK_OK(weft_supervisor_terminate_child(s, "f", soon()));
    CHECK_EQ(child_info(s, "f").state, WEFT_CHILD_STOPPED);
    CHECK_EQ(child_info(s, "f").last.result, -EIO);
    stop_supervisor(s);
}

/* ---- dying ---- */

/* Neither cancelling nor killing it helps until its job is done. */
static int job;

#define DIES_SLOWLY(hand_, ...) CHILD(hand_, .grace_ns = 10 * WEFT_MILLISECOND, __VA_ARGS__)

static void dying_holds_its_id(void)
{
    fresh();
    put(&job, 0);
    a.job = &job;
    const weft_child_spec children[] = {DIES_SLOWLY(&a), CHILD(&b)};
    const weft_id s = supervisor(&(weft_supervisor_spec)SUPERVISOR(children));
    const weft_id lane = lane_of(s, "a");

    await_job(&job);
    CHECK_EQ(weft_supervisor_terminate_child(s, "a", soon()), -ETIMEDOUT);
    CHECK_EQ(child_info(s, "a").state, WEFT_CHILD_DYING);
    CHECK(weft_id_equal(lane_of(s, "a"), lane));
    CHECK(spy_says(&supervised_spy, "child \"a\" was killed and has not ended"));
    CHECK_EQ(weft_supervisor_terminate_child(s, "a", soon()), -ETIMEDOUT);
    CHECK_EQ(weft_supervisor_restart_child(s, "a", NULL, soon()), -EBUSY);
    CHECK_EQ(weft_supervisor_delete_child(s, "a", soon()), -EBUSY);
    CHECK_EQ(weft_supervisor_start_child(s, &(weft_child_spec)CHILD(&a), NULL, soon()), -EBUSY);
    check_counts(s, 2, 2, 0, 2);
    expect("+a +b");
    job_done(&job);
    await_stopped(s, "a");
    ended_as(s, "a", WEFT_EXIT_KILLED);
    CHECK_OK(weft_supervisor_restart_child(s, "a", NULL, soon()));
    stop_supervisor(s);
    expect_either("+a -b -a", "+a -b");
}

/* Temporary: forgotten once it is dead, and its id is free then. */
static void dying_and_temporary(void)
{
    fresh();
    put(&job, 0);
    a.job = &job;
    const weft_child_spec children[] = {DIES_SLOWLY(&a, .restart = WEFT_TEMPORARY)};
    const weft_id s = supervisor(&(weft_supervisor_spec)SUPERVISOR(children));

    await_job(&job);
    CHECK_EQ(weft_supervisor_terminate_child(s, "a", soon()), -ETIMEDOUT);
    CHECK_EQ(child_info(s, "a").state, WEFT_CHILD_DYING);
    job_done(&job);
    await_forgotten(s, "a");
    CHECK_OK(weft_supervisor_start_child(s, &(weft_child_spec)CHILD(&a), NULL, soon()));
    stop_supervisor(s);
    expect("+a +a -a");
}

/* Somebody else kills it: it is restarted when it is dead, and not before. */
static void killed_from_outside_it_is_restarted_once_dead(void)
{
    fresh();
    put(&job, 0);
    a.job = &job;
    const weft_child_spec children[] = {CHILD(&a)};
    const weft_id s = supervisor(&(weft_supervisor_spec)SUPERVISOR(children, OFTEN));
    const weft_id lane = lane_of(s, "a");

    await_job(&job);
    expect("+a");
    kill_lane(lane);
    for (int i = 0; i < 5; i++) /* as often as it is asked */
        CHECK(weft_id_equal(lane_of(s, "a"), lane));
    job_done(&job);
    lane_after(s, "a", lane);
    expect("+a");
    stop_supervisor(s);
    expect("-a");
}

/* In a group nobody starts before all of the old ones are dead; others are served meanwhile. */
static void a_group_waits_for_its_dying(enum weft_strategy strategy)
{
    fresh();
    put(&job, 0);
    b.job = &job;
    const weft_child_spec children[] = {CHILD(&a), DIES_SLOWLY(&b), CHILD(&c)};
    const weft_id s = supervisor(&(weft_supervisor_spec)SUPERVISOR(children, OFTEN, .strategy = strategy));

    await_job(&job);
    expect("+a +b +c");
    tell(lane_of(s, "a"), -EIO);
    await_state(s, "b", WEFT_CHILD_DYING);
    CHECK_EQ(child_info(s, "a").state, WEFT_CHILD_RESTARTING);
    CHECK_EQ(child_info(s, "c").state, WEFT_CHILD_RESTARTING);
    CHECK_EQ(weft_supervisor_restart_child(s, "a", NULL, soon()), -EAGAIN);
    CHECK_EQ(weft_supervisor_delete_child(s, "c", soon()), -EAGAIN);
    CHECK_EQ(weft_supervisor_start_child(s, &(weft_child_spec)CHILD(&a), NULL, soon()), -EALREADY);
    CHECK_EQ(a.starts, 1);
    expect("-c");
    job_done(&job);
    await_log("+a +b +c");
    lane_after(s, "c", WEFT_NOID);
    stop_supervisor(s);
    expect_either("-c -b -a", "-c -a");
}

/* In one-for-one the others go on. */
static void one_for_one_does_not_wait(void)
{
    fresh();
    put(&job, 0);
    b.job = &job;
    const weft_child_spec children[] = {CHILD(&a), DIES_SLOWLY(&b)};
    const weft_id s = supervisor(&(weft_supervisor_spec)SUPERVISOR(children, OFTEN));
    const weft_id lane = lane_of(s, "a");

    await_job(&job);
    CHECK_EQ(weft_supervisor_terminate_child(s, "b", soon()), -ETIMEDOUT);
    tell(lane, -EIO);
    lane_after(s, "a", lane);
    CHECK_EQ(child_info(s, "b").state, WEFT_CHILD_DYING);
    job_done(&job);
    await_stopped(s, "b");
    stop_supervisor(s);
    expect("+a +b +a -a");
}

/* It stops the others, says that it could not stop all, and its lane ends when that child does. */
static int supervises_one_that_dies_slowly(void *arg)
{
    const weft_child_spec children[] = {CHILD(&a), DIES_SLOWLY(&b)};

    CHECK_EQ(weft_supervise(&(weft_supervisor_spec)SUPERVISOR(children)), arg ? -ENOTRECOVERABLE : -ECANCELED);
    note('.', "s");
    return -ECANCELED;
}

static void a_supervisor_that_cannot_stop_all(void)
{
    fresh();
    put(&job, 0);
    b.job = &job;
    weft_id s;

    CHECK_OK(weft_lane_spawn(&s, supervises_one_that_dies_slowly, NULL));
    await_log("+a +b");
    await_job(&job);
    CHECK_OK(weft_cancel(s));
    await_log("-a .s");
    CHECK_EQ(weft_lane_join(s, NULL, weft_after(5 * WEFT_MILLISECOND)), -ETIMEDOUT);
    job_done(&job);
    CHECK_EQ(end_of(s).kind, WEFT_EXIT_CANCELED);
}

static void stopping_it_answers_in_time(void)
{
    fresh();
    put(&job, 0);
    b.job = &job;
    const weft_child_spec children[] = {CHILD(&a), DIES_SLOWLY(&b)};
    const weft_id s = supervisor(&(weft_supervisor_spec)SUPERVISOR(children));

    expect("+a +b");
    await_job(&job);
    CHECK_EQ(weft_supervisor_stop(s, weft_after(5 * WEFT_MILLISECOND)), -ETIMEDOUT);
    await_log("-a");
    job_done(&job);
    CHECK_OK(weft_lane_join(s, NULL, soon()));
    CHECK_EQ(weft_supervisor_stop(s, soon()), -ESRCH);
}

/* It fails, its next start fails, and what was started dies slowly. */
static int gets_stuck_as_it_restarts(void *arg)
{
    hand *h = arg;
    const int n = bump(&h->starts);

    CHECK_OK(weft_child_ready(n == 2 ? -EIO : 0));
    if (n == 2)
        do_job(&job);
    return n == 3 ? weft_sleep(WEFT_NEVER) : -EIO;
}

/* A failure is counted once, and until that child is dead it is not restarted but dying. */
static void a_failed_restart_dies_slowly(void)
{
    fresh();
    put(&job, 0);
    const weft_child_spec children[] = {{.id = "late", .run = gets_stuck_as_it_restarts, .arg = &a, .ready = 1,
        .grace_ns = 10 * WEFT_MILLISECOND}};
    const weft_id s = supervisor(
        &(weft_supervisor_spec)SUPERVISOR(children, .intensity = 2, .period_ns = 3600 * WEFT_SECOND));

    await_job(&job);
    while (!spy_says(&supervised_spy, "child \"late\" could not be started"))
        CHECK_OK(weft_sleep(weft_after(WEFT_MILLISECOND)));
    CHECK_EQ(child_info(s, "late").state, WEFT_CHILD_DYING);
    CHECK_EQ(weft_supervisor_restart_child(s, "late", NULL, soon()), -EBUSY);
    job_done(&job);
    await_state(s, "late", WEFT_CHILD_RUNNING);
    CHECK_EQ(get(&a.starts), 3);
    stop_supervisor(s);
}

static int supervises_again(void *arg)
{
    const weft_child_spec first[] = {
        CHILD(&a, .significant = 1, .restart = WEFT_TRANSIENT), DIES_SLOWLY(&b)}, second[] = {CHILD(&c)};

    (void)arg;
    CHECK_EQ(weft_supervise(&(weft_supervisor_spec)SUPERVISOR(first, .auto_shutdown = WEFT_SHUTDOWN_ANY)), -ETIMEDOUT);
    note('.', "s");
    return weft_supervise(&(weft_supervisor_spec)SUPERVISOR(second, OFTEN));
}

/* What a supervisor could not stop is no child of the next one in that lane. */
static void the_next_one_knows_nothing_of_it(void)
{
    fresh();
    put(&job, 0);
    b.job = &job;
    weft_id s;

    CHECK_OK(weft_lane_spawn(&s, supervises_again, NULL));
    await_log("+a +b");
    await_job(&job);
    const weft_id dying = lane_of(s, "b");
    tell(lane_of(s, "a"), 0);
    await_log(".s +c");
    check_counts(s, 1, 1, 0, 1);
    job_done(&job);
    while (cancel_lane(dying) == 0)
        CHECK_OK(weft_sleep(weft_after(WEFT_MILLISECOND)));
    const weft_id lane = lane_of(s, "c");
    tell(lane, -EIO);
    lane_after(s, "c", lane);
    check_counts(s, 1, 1, 0, 1);
    stop_supervisor(s);
    expect("+c -c");
}

/* ---- the supervisor ends as it is busy ---- */

static void cancelled_while_it_starts(void)
{
    fresh();
    b.bad_from = b.bad_to = 1, b.hangs = 1;
    const weft_child_spec children[] = {CHILD(&a), CHILD(&b), CHILD(&c)};
    const weft_child_spec outer[] = {
        {.id = "below", .supervisor = &(weft_supervisor_spec)SUPERVISOR(children), .start_ns = 20 * WEFT_MILLISECOND}};
    const unsigned lanes = lanes_of_ours();
    weft_id s;

    CHECK_EQ(weft_supervisor_start(&s, &(weft_supervisor_spec)SUPERVISOR(outer), NULL, soon()), -ETIMEDOUT);
    await_undone(lanes, "+a", "-a");
    CHECK_EQ(c.starts, 0);
}

static void cancelled_while_it_restarts(void)
{
    fresh();
    b.bad_from = 2, b.bad_to = 99, b.hangs = 1;
    const weft_child_spec children[] = {CHILD(&a), CHILD(&b), CHILD(&c)};
    const weft_id s = supervisor(&(weft_supervisor_spec)SUPERVISOR(children, OFTEN));

    tell(lane_of(s, "b"), -EIO);
    await_log("+a +b +c +b !b");
    stop_supervisor(s);
    expect("-c -a"); /* b knew nothing better than to end */
}

/* ---- auto_shutdown ---- */

#define SIGNIFICANT .significant = 1, .restart = WEFT_TRANSIENT

static void shuts_down_with_any(void)
{
    fresh();
    const weft_child_spec children[] = {CHILD(&a), CHILD(&b, SIGNIFICANT), CHILD(&c, SIGNIFICANT)};
    const weft_id s =
        supervisor(&(weft_supervisor_spec)SUPERVISOR(children, OFTEN, .auto_shutdown = WEFT_SHUTDOWN_ANY));
    const weft_id lane = lane_of(s, "b");

    tell(lane, -EIO); /* restarted: that signifies nothing */
    tell(lane_after(s, "b", lane), 0);
    CHECK_EQ(end_of(s).kind, WEFT_EXIT_NORMAL);
    expect("+a +b +c +b -c -a");
}

static void shuts_down_with_all(void)
{
    fresh();
    const weft_child_spec children[] = {
        CHILD(&a), CHILD(&b, SIGNIFICANT), CHILD(&c, .significant = 1, .restart = WEFT_TEMPORARY)};
    const weft_id s =
        supervisor(&(weft_supervisor_spec)SUPERVISOR(children, OFTEN, .auto_shutdown = WEFT_SHUTDOWN_ALL));
    const weft_id lane = lane_of(s, "b");

    tell(lane_of(s, "c"), -EIO);
    await_forgotten(s, "c");
    CHECK(weft_id_equal(lane_of(s, "b"), lane));
    tell(lane, 0);
    CHECK_EQ(end_of(s).kind, WEFT_EXIT_NORMAL);
    expect("+a +b +c -a");
}

/* One that is stopped by hand did not end by itself. */
static void stopped_by_hand_is_not_ended(void)
{
    fresh();
    const weft_child_spec children[] = {CHILD(&a), CHILD(&b, SIGNIFICANT)};
    const weft_id s = supervisor(&(weft_supervisor_spec)SUPERVISOR(children, .auto_shutdown = WEFT_SHUTDOWN_ANY));

    CHECK_OK(weft_supervisor_terminate_child(s, "b", soon()));
    check_counts(s, 2, 1, 0, 2);
    stop_supervisor(s);
    expect("+a +b -b -a");
}

/* A nested supervisor that shut down ended normally: a permanent one is restarted, a transient one is not. */
static void a_nested_one_shuts_down(enum weft_restart restart)
{
    fresh();
    const weft_child_spec inner[] = {CHILD(&b, SIGNIFICANT)};
    const weft_supervisor_spec below = SUPERVISOR(inner, .auto_shutdown = WEFT_SHUTDOWN_ANY);
    const weft_child_spec children[] = {CHILD(&a), {.id = "below", .supervisor = &below, .restart = restart}};
    const weft_id s = supervisor(&(weft_supervisor_spec)SUPERVISOR(children, OFTEN));
    const weft_id nested = lane_of(s, "below");

    tell(lane_of(nested, "b"), 0);
    if (restart == WEFT_PERMANENT)
        lane_after(s, "below", nested);
    else
        await_stopped(s, "below");
    stop_supervisor(s);
    expect(restart == WEFT_PERMANENT ? "+a +b +b -b -a" : "+a +b -a");
}

static int dying(int argc, char **argv)
{
    (void)argc, (void)argv;
    dying_holds_its_id();
    dying_and_temporary();
    killed_from_outside_it_is_restarted_once_dead();
    a_group_waits_for_its_dying(WEFT_ONE_FOR_ALL);
    a_group_waits_for_its_dying(WEFT_REST_FOR_ONE);
    one_for_one_does_not_wait();
    a_supervisor_that_cannot_stop_all();
    stopping_it_answers_in_time();
    a_failed_restart_dies_slowly();
    the_next_one_knows_nothing_of_it();
    return 0;
}

static int main_fiber(int argc, char **argv)
{
    (void)argc, (void)argv;
    one_after_the_other();
    killed_after_its_grace();
    within_its_grace_it_ends_by_itself();
    brutally();
    a_supervisor_with_a_grace_is_killed_with_its_children();
    a_failure_while_stopping_is_no_failure();
    cancelled_while_it_starts();
    cancelled_while_it_restarts();
    shuts_down_with_any();
    shuts_down_with_all();
    stopped_by_hand_is_not_ended();
    a_nested_one_shuts_down(WEFT_PERMANENT);
    a_nested_one_shuts_down(WEFT_TRANSIENT);
    return 0;
}

int main(void)
{
    run_supervised(main_fiber);
    return run_impatient(dying);
}
