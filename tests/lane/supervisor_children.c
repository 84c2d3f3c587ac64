/* Children that are added, stopped, started again and forgotten while their supervisor runs, of a fixed set and of
 * WEFT_DYNAMIC, and what others are told of them. */
#include "lane/supervised.h"

#define OFTEN .intensity = 100, .period_ns = 3600 * WEFT_SECOND

static hand a, b, c;

static void fresh(void)
{
    a = (hand){.name = "a"};
    b = (hand){.name = "b"};
    c = (hand){.name = "c"};
}

static int start(weft_id s, weft_child_spec spec, weft_id *lane)
{
    return weft_supervisor_start_child(s, &spec, lane, soon());
}

/* ---- a fixed set ---- */

/* It starts behind the others, and stops and restarts with them. */
static void added_at_the_end(void)
{
    fresh();
    const weft_child_spec children[] = {CHILD(&a), CHILD(&b)};
    const weft_id s = supervisor(&(weft_supervisor_spec)SUPERVISOR(children, OFTEN, .strategy = WEFT_ONE_FOR_ALL));
    weft_id lane;

    CHECK_OK(start(s, (weft_child_spec)CHILD(&c), &lane));
    CHECK(weft_id_equal(lane, lane_of(s, "c")));
    expect("+a +b +c");
    tell(lane_of(s, "b"), -EIO);
    await_log("-c -a +a +b +c");
    check_counts(s, 3, 3, 0, 3);
    stop_supervisor(s);
    expect("-c -b -a");
}

static void an_id_is_taken_once(void)
{
    fresh();
    const weft_child_spec children[] = {CHILD(&a)};
    const weft_id s = supervisor(&(weft_supervisor_spec)SUPERVISOR(children));

    CHECK_EQ(start(s, (weft_child_spec)CHILD(&a), NULL), -EALREADY);
    CHECK_OK(weft_supervisor_terminate_child(s, "a", soon()));
    CHECK_EQ(start(s, (weft_child_spec)CHILD(&a), NULL), -EEXIST);
    CHECK_OK(weft_supervisor_delete_child(s, "a", soon()));
    CHECK_OK(start(s, (weft_child_spec)CHILD(&a), NULL));
    stop_supervisor(s);
    expect("+a -a +a -a");
}

static void stopped_started_forgotten(void)
{
    fresh();
    const weft_child_spec children[] = {CHILD(&a)};
    const weft_id s = supervisor(&(weft_supervisor_spec)SUPERVISOR(children));
    weft_id lane = lane_of(s, "a"), again;

    CHECK_EQ(weft_supervisor_restart_child(s, "a", NULL, soon()), -EALREADY);
    CHECK_EQ(weft_supervisor_delete_child(s, "a", soon()), -EALREADY);
    CHECK_OK(weft_supervisor_terminate_child(s, "a", soon()));
    CHECK_OK(weft_supervisor_terminate_child(s, "a", soon())); /* twice is once */
    check_counts(s, 1, 0, 0, 1);
    CHECK_EQ(child_info(s, "a").state, WEFT_CHILD_STOPPED);
    CHECK_EQ(child_info(s, "a").last.kind, WEFT_EXIT_CANCELED);
    CHECK_OK(weft_supervisor_restart_child(s, "a", &again, soon()));
    CHECK(!weft_id_equal(lane, again) && weft_id_equal(again, lane_of(s, "a")));
    CHECK_EQ(child_info(s, "a").restarts, 0); /* that was by hand */
    CHECK_OK(weft_supervisor_terminate_child(s, "a", soon()));
    CHECK_OK(weft_supervisor_delete_child(s, "a", soon()));
    check_counts(s, 0, 0, 0, 0);
    CHECK_EQ(weft_supervisor_terminate_child(s, "a", soon()), -ENOENT);
    CHECK_EQ(weft_supervisor_restart_child(s, "a", NULL, soon()), -ENOENT);
    CHECK_EQ(weft_supervisor_delete_child(s, "a", soon()), -ENOENT);
    stop_supervisor(s);
    expect("+a -a +a -a");
}

static void a_temporary_one_is_forgotten_when_stopped(void)
{
    fresh();
    const weft_child_spec children[] = {CHILD(&a), CHILD(&b, .restart = WEFT_TEMPORARY)};
    const weft_id s = supervisor(&(weft_supervisor_spec)SUPERVISOR(children));

    CHECK_OK(weft_supervisor_terminate_child(s, "b", soon()));
    CHECK_EQ(weft_supervisor_restart_child(s, "b", NULL, soon()), -ENOENT);
    check_counts(s, 1, 1, 0, 1);
    CHECK_OK(start(s, (weft_child_spec)CHILD(&b), NULL));
    stop_supervisor(s);
    expect("+a +b -b +b -b -a");
}

/* Its specification is not kept; one that was known before is. */
static void a_start_that_fails(void)
{
    fresh();
    b.bad_from = b.bad_to = 1, b.bad = -EADDRINUSE;
    a.bad_from = a.bad_to = 2, a.bad = -EACCES;
    const weft_child_spec children[] = {CHILD(&a)};
    const weft_id s = supervisor(&(weft_supervisor_spec)SUPERVISOR(children, .intensity = WEFT_NO_RESTARTS));

    CHECK_EQ(start(s, (weft_child_spec)CHILD(&b), NULL), -EADDRINUSE);
    check_counts(s, 1, 1, 0, 1);
    CHECK_OK(weft_supervisor_terminate_child(s, "a", soon()));
    CHECK_EQ(weft_supervisor_restart_child(s, "a", NULL, soon()), -EACCES);
    CHECK_EQ(child_info(s, "a").state, WEFT_CHILD_STOPPED);
    CHECK_OK(weft_supervisor_restart_child(s, "a", NULL, soon()));
    stop_supervisor(s);
    expect("+a +b !b -a +a !a +a -a");
}

/* The caller's deadline is the caller's: the child that it has asked for comes all the same. */
static void the_caller_does_not_wait(void)
{
    fresh();
    const weft_child_spec children[] = {CHILD(&a)};
    const weft_id s = supervisor(&(weft_supervisor_spec)SUPERVISOR(children));
    weft_child_spec slow = CHILD(&b);

    b.bad_from = b.bad_to = 1, b.hangs = 1; /* starts for as long as it may */
    slow.start_ns = 30 * WEFT_MILLISECOND;
    CHECK_EQ(weft_supervisor_start_child(s, &slow, NULL, weft_after(5 * WEFT_MILLISECOND)), -ETIMEDOUT);
    await_forgotten(s, "b");
    stop_supervisor(s);
    expect("+a +b !b -a");
}

/* While one child takes its time to start, the supervisor still tells what it knows; changes wait their turn. */
typedef struct request {
    weft_id s;
    int result;
} request;

static int terminates_a(void *arg)
{
    request *q = arg;
    q->result = weft_supervisor_terminate_child(q->s, "a", soon());
    return 0;
}

static void busy_but_not_deaf(void)
{
    fresh();
    b.bad_from = 1, b.bad_to = 1, b.hangs = 1;
    const weft_child_spec children[] = {CHILD(&a)};
    request q = {.s = supervisor(&(weft_supervisor_spec)SUPERVISOR(children))};
    weft_child_spec slow = CHILD(&b);
    weft_id f;

    CHECK_EQ(weft_supervisor_start_child(q.s, &slow, NULL, WEFT_NOW), -ETIMEDOUT);
    await_state(q.s, "b", WEFT_CHILD_STARTING);
    await_log("+a +b !b");
    CHECK_OK(weft_spawn(&f, terminates_a, &q));
    for (int i = 0; i < 5; i++) {
        CHECK_EQ(child_info(q.s, "a").state, WEFT_CHILD_RUNNING);
        check_counts(q.s, 2, 2, 0, 2);
    }
    CHECK_OK(weft_send(lane_of(q.s, "b"), NULL, 0, NULL)); /* not what it waits for: it goes on to hang */
    kill_lane(lane_of(q.s, "b"));
    CHECK_OK(weft_join(f, NULL, soon()));
    CHECK_OK(q.result);
    await_stopped(q.s, "a");
    await_forgotten(q.s, "b");
    stop_supervisor(q.s);
    expect("-a");
}

static int copied;

static int takes_a_copy(void *arg)
{
    copied += *(int *)arg;
    CHECK_OK(weft_child_ready(0));
    return weft_sleep(WEFT_NEVER);
}

static void arguments_are_copied(void)
{
    const weft_id s = supervisor(&(weft_supervisor_spec){0});

    copied = 0;
    {
        int n = 7;
        weft_child_spec spec = {.id = "n", .run = takes_a_copy, .arg = &n, .ready = 1, .lane.copy = sizeof n};
        CHECK_OK(start(s, spec, NULL));
        n = 1000;
    }
    CHECK_OK(weft_supervisor_terminate_child(s, "n", soon()));
    CHECK_OK(weft_supervisor_restart_child(s, "n", NULL, soon()));
    CHECK_EQ(copied, 14);
    stop_supervisor(s);
}

/* ---- many of one kind ---- */

static weft_id dynamic(enum weft_restart restart)
{
    const weft_child_spec one = {.run = work, .ready = 1, .restart = restart};

    return supervisor(
        &(weft_supervisor_spec){WEFT_DYNAMIC, .children = &one, .count = 1, OFTEN});
}

static weft_id instance(weft_id s, hand *h)
{
    weft_id lane;

    CHECK_OK(weft_supervisor_start_dynamic(s, h, 0, &lane, soon()));
    return lane;
}

static void instances_have_their_own_arguments(void)
{
    fresh();
    const weft_id s = dynamic(WEFT_PERMANENT);

    check_counts(s, 1, 0, 0, 0);
    const weft_id first = instance(s, &a), second = instance(s, &b);
    check_counts(s, 1, 2, 0, 2);
    tell(second, -EIO); /* restarted, with the same argument */
    await_log("+a +b +b");
    CHECK_OK(weft_supervisor_terminate_lane(s, first, soon()));
    CHECK_OK(weft_supervisor_terminate_lane(s, first, soon())); /* it has ended */
    check_counts(s, 1, 1, 0, 1);
    stop_supervisor(s);
    expect("-a -b");
}

static int counts_copies(void *arg)
{
    bump(*(int **)arg);
    return weft_sleep(WEFT_NEVER);
}

static void instances_get_copies(void)
{
    static int n;
    const weft_child_spec one = {.run = counts_copies};
    const weft_id s = supervisor(&(weft_supervisor_spec){WEFT_DYNAMIC, .children = &one, .count = 1, OFTEN});
    weft_id lane;

    for (int i = 1; i <= 3; i++) {
        int *p = &n;
        CHECK_OK(weft_supervisor_start_dynamic(s, &p, sizeof p, &lane, soon()));
    }
    while (get(&n) < 3)
        CHECK_OK(weft_sleep(weft_after(WEFT_MILLISECOND)));
    kill_lane(lane);
    while (get(&n) < 4)
        CHECK_OK(weft_sleep(weft_after(WEFT_MILLISECOND)));
    stop_supervisor(s);
    CHECK_EQ(n, 4);
}

static void which_instances_are_restarted(void)
{
    fresh();
    const weft_id s = dynamic(WEFT_TRANSIENT), t = dynamic(WEFT_TEMPORARY);

    tell(instance(s, &a), -EIO);
    await_log("+a +a");
    tell(instance(s, &b), 0);
    tell(instance(t, &c), -EIO);
    for (weft_child_counts n = {.active = 2}; n.active != 1;)
        CHECK_OK(weft_supervisor_count(s, &n, soon()));
    for (weft_child_counts n = {.active = 1}; n.active != 0;)
        CHECK_OK(weft_supervisor_count(t, &n, soon()));
    check_counts(s, 1, 1, 0, 1); /* who is not restarted is forgotten */
    check_counts(t, 1, 0, 0, 0);
    stop_supervisor(t);
    stop_supervisor(s);
    expect("+b +c -a");
}

static void an_instance_that_does_not_start(void)
{
    fresh();
    const weft_id s = dynamic(WEFT_PERMANENT);
    weft_id lane;

    a.bad_from = a.bad_to = 1, a.bad = -ENODEV;
    b.bad_from = b.bad_to = 1, b.bad = 0;
    CHECK_EQ(weft_supervisor_start_dynamic(s, &a, 0, &lane, soon()), -ENODEV);
    CHECK_OK(weft_supervisor_start_dynamic(s, &b, 0, &lane, soon()));
    CHECK_EQ(lane.gen, 0);
    check_counts(s, 1, 0, 0, 0);
    stop_supervisor(s);
    expect("+a !a +b !b");
}

/* All are asked at once, and have one grace together. */
static void instances_stop_together(void)
{
    static hand h[3];
    static int met;
    const weft_child_spec one = {.run = work, .ready = 1, .grace_ns = 20 * WEFT_SECOND};
    const weft_id s = supervisor(&(weft_supervisor_spec){.strategy = WEFT_DYNAMIC, .children = &one, .count = 1});

    put(&met, 0);
    for (int i = 0; i < 3; i++) {
        h[i] = (hand){.name = "x", .meet = &met, .all = 3};
        instance(s, &h[i]);
    }
    expect("+x +x +x");
    stop_supervisor(s);
    expect("-x -x -x .x .x .x");
}

static void the_stubborn_are_killed_together(void)
{
    static hand h[20];
    const weft_child_spec one = {.run = work, .ready = 1, .grace_ns = 20 * WEFT_MILLISECOND};
    const weft_id s = supervisor(&(weft_supervisor_spec){.strategy = WEFT_DYNAMIC, .children = &one, .count = 1});

    for (int i = 0; i < 20; i++) {
        h[i] = (hand){.name = "x", .stubborn = i % 2};
        instance(s, &h[i]);
    }
    stop_supervisor(s);
    forget_log(); /* the others had as little time as this machine gave them */
}

static void one_instance_that_dies_slowly(void)
{
    static int job;
    fresh();
    put(&job, 0);
    a.job = &job;
    const weft_child_spec one = {.run = work, .ready = 1, .grace_ns = 5 * WEFT_MILLISECOND};
    const weft_id s = supervisor(&(weft_supervisor_spec){.strategy = WEFT_DYNAMIC, .children = &one, .count = 1});
    const weft_id lane = instance(s, &a);
    weft_child_info info;

    instance(s, &b);
    await_job(&job);
    CHECK_EQ(weft_supervisor_terminate_lane(s, lane, soon()), -ETIMEDOUT);
    CHECK_EQ(weft_supervisor_children(s, 0, &info, 1, soon()), 1);
    CHECK_EQ(info.state, WEFT_CHILD_DYING);
    CHECK_EQ(weft_supervisor_stop(s, weft_after(30 * WEFT_MILLISECOND)), -ETIMEDOUT);
    job_done(&job);
    CHECK_OK(weft_lane_join(s, NULL, soon()));
    expect_either("+a +b -b", "+a +b");
}

/* What one kind of supervisor has and the other has not. */
static void not_for_this_strategy(void)
{
    fresh();
    const weft_child_spec children[] = {CHILD(&a)};
    const weft_id s = supervisor(&(weft_supervisor_spec)SUPERVISOR(children)), d = dynamic(WEFT_PERMANENT);
    weft_child_info info;

    CHECK_EQ(weft_supervisor_start_dynamic(s, &b, 0, NULL, soon()), -ENOTSUP);
    CHECK_EQ(weft_supervisor_terminate_lane(s, lane_of(s, "a"), soon()), -ENOTSUP);
    CHECK_EQ(start(d, (weft_child_spec)CHILD(&a), NULL), -ENOTSUP);
    CHECK_EQ(weft_supervisor_terminate_child(d, "a", soon()), -ENOTSUP);
    CHECK_EQ(weft_supervisor_restart_child(d, "a", NULL, soon()), -ENOTSUP);
    CHECK_EQ(weft_supervisor_delete_child(d, "a", soon()), -ENOTSUP);
    CHECK_EQ(weft_supervisor_child(d, "a", &info, soon()), -ENOTSUP);
    CHECK_EQ(weft_supervisor_terminate_lane(d, lane_of(s, "a"), soon()), -ENOENT); /* it lives, elsewhere */
    stop_supervisor(d);
    stop_supervisor(s);
    expect("+a -a");
}

/* ---- asking in vain ---- */

static int idle(void *arg)
{
    (void)arg;
    return weft_sleep(WEFT_NEVER);
}

static void nobody_there(void)
{
    fresh();
    const weft_id s = dynamic(WEFT_PERMANENT);
    weft_child_counts n;
    weft_child_info info;
    weft_id lane;

    CHECK_OK(weft_lane_spawn(&lane, idle, NULL)); /* no supervisor */
    CHECK_EQ(weft_supervisor_count(lane, &n, weft_after(WEFT_MILLISECOND)), -ETIMEDOUT);
    CHECK_OK(weft_cancel(lane));
    CHECK_OK(weft_lane_join(lane, NULL, soon()));
    stop_supervisor(s);
    CHECK_EQ(weft_supervisor_count(s, &n, soon()), -ESRCH);
    CHECK_EQ(weft_supervisor_children(s, 0, &info, 1, soon()), -ESRCH);
    CHECK_EQ(weft_supervisor_child(s, "a", &info, soon()), -ESRCH);
    CHECK_EQ(start(s, (weft_child_spec)CHILD(&a), NULL), -ESRCH);
    CHECK_EQ(weft_supervisor_start_dynamic(s, &a, 0, NULL, soon()), -ESRCH);
    CHECK_EQ(weft_supervisor_stop(s, soon()), -ESRCH);
}

static void nonsense(void)
{
    fresh();
    const weft_child_spec children[] = {CHILD(&a)};
    const weft_id s = supervisor(&(weft_supervisor_spec)SUPERVISOR(children));
    char bytes[WEFT_LANE_COPY_MAX + 1] = {0};
    weft_child_info info;

    CHECK_EQ(weft_supervisor_start_child(s, NULL, NULL, soon()), -EINVAL);
    CHECK_EQ(start(s, (weft_child_spec){.id = "x"}, NULL), -EINVAL);
    CHECK_EQ(start(s, (weft_child_spec)CHILD(&b, .significant = 1, .restart = WEFT_TRANSIENT), NULL), -EINVAL);
    CHECK_EQ(weft_supervisor_start_dynamic(s, NULL, 1, NULL, soon()), -EINVAL);
    CHECK_EQ(weft_supervisor_start_dynamic(s, bytes, sizeof bytes, NULL, soon()), -EINVAL);
    CHECK_EQ(weft_supervisor_terminate_child(s, NULL, soon()), -EINVAL);
    CHECK_EQ(weft_supervisor_delete_child(s, "", soon()), -EINVAL);
    memset(bytes, 'x', sizeof bytes - 1);
    CHECK_EQ(weft_supervisor_child(s, bytes, &info, soon()), -ENOENT); /* no id is that long */
    CHECK_OK(weft_send(s, "hello", 5, NULL)); /* thrown away */
    check_counts(s, 1, 1, 0, 1);
    stop_supervisor(s);
    expect("+a -a");
}

/* A child lane of a supervisor is nobody's to join or detach, and no stranger's to stop. */
static void children_are_its_own(void)
{
    fresh();
    const weft_child_spec children[] = {CHILD(&a)};
    const weft_id s = supervisor(&(weft_supervisor_spec)SUPERVISOR(children));

    CHECK_EQ(weft_cancel(lane_of(s, "a")), -EPERM);
    CHECK_EQ(weft_lane_join(lane_of(s, "a"), NULL, soon()), -EPERM);
    stop_supervisor(s);
    expect("+a -a");
}

/* ---- limits ---- */

static void no_room_for_another(void)
{
    fresh();
    const weft_child_spec one = {.run = work, .ready = 1};
    const weft_limits limits = {.lanes = 2};
    weft_id s, lane;

    CHECK_OK(weft_supervisor_start(&s, &(weft_supervisor_spec){WEFT_DYNAMIC, .children = &one, .count = 1, OFTEN},
        &(weft_lane_options){.limits = &limits}, soon()));
    instance(s, &a);
    lane = instance(s, &b);
    CHECK_EQ(weft_supervisor_start_dynamic(s, &c, 0, NULL, soon()), -EAGAIN);
    check_counts(s, 1, 2, 0, 2);
    CHECK_OK(weft_supervisor_terminate_lane(s, lane, soon()));
    instance(s, &c);
    stop_supervisor(s);
    CHECK_EQ(c.starts, 1);
    forget_log();
}

/* ---- being told of many ---- */

static void more_than_one_answer_holds(void)
{
    enum { MANY = 100 };
    static weft_child_info info[MANY + 1];
    const weft_child_spec one = {.run = idle};
    const weft_id s = supervisor(&(weft_supervisor_spec){WEFT_DYNAMIC, .children = &one, .count = 1, OFTEN});
    weft_id lane[MANY];

    for (int i = 0; i < MANY; i++)
        CHECK_OK(weft_supervisor_start_dynamic(s, NULL, 0, &lane[i], soon()));
    CHECK_EQ(weft_supervisor_children(s, 0, info, MANY + 1, soon()), MANY);
    for (int i = 0; i < MANY; i++) {
        CHECK(weft_id_equal(info[i].lane, lane[i]));
        CHECK(i == 0 || info[i].serial > info[i - 1].serial);
    }
    CHECK_EQ(weft_supervisor_children(s, info[89].serial, info, MANY, soon()), 10);
    CHECK(weft_id_equal(info[0].lane, lane[90]));
    CHECK_EQ(weft_supervisor_children(s, 0, info, 40, soon()), 40);
    CHECK_EQ(weft_supervisor_children(s, 0, NULL, 0, soon()), 0);
    check_counts(s, 1, MANY, 0, MANY);
    stop_supervisor(s);
}

static int dying(int argc, char **argv)
{
    (void)argc, (void)argv;
    one_instance_that_dies_slowly();
    return 0;
}

static int main_fiber(int argc, char **argv)
{
    (void)argc, (void)argv;
    added_at_the_end();
    an_id_is_taken_once();
    stopped_started_forgotten();
    a_temporary_one_is_forgotten_when_stopped();
    a_start_that_fails();
    the_caller_does_not_wait();
    busy_but_not_deaf();
    arguments_are_copied();
    instances_have_their_own_arguments();
    instances_get_copies();
    which_instances_are_restarted();
    an_instance_that_does_not_start();
    instances_stop_together();
    the_stubborn_are_killed_together();
    not_for_this_strategy();
    nobody_there();
    nonsense();
    children_are_its_own();
    no_room_for_another();
    more_than_one_answer_holds();
    return 0;
}

int main(void)
{
    run_supervised(main_fiber);
    return run_impatient(dying);
}
