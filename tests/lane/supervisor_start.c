/* How a supervisor starts: its children in order, each one up before the next; all of them, or none. */
#include "lane/supervised.h"

static void starts_in_order_and_stops_in_reverse(void)
{
    static hand a = {.name = "a"}, b = {.name = "b"}, c = {.name = "c"};
    const weft_child_spec children[] = {CHILD(&a), CHILD(&b), CHILD(&c)};
    const weft_id s = supervisor(&(weft_supervisor_spec)SUPERVISOR(children));

    expect("+a +b +c");
    check_counts(s, 3, 3, 0, 3);
    stop_supervisor(s);
    expect("-c -b -a");
}

/* Without `ready` a child counts as started when its lane is made. */
static void started_when_spawned(void)
{
    static hand a = {.name = "a", .unready = 1};
    const weft_child_spec children[] = {{.id = "a", .run = work, .arg = &a}};
    const weft_id s = supervisor(&(weft_supervisor_spec)SUPERVISOR(children));

    CHECK_EQ(child_info(s, "a").state, WEFT_CHILD_RUNNING);
    await_log("+a");
    stop_supervisor(s);
    expect("-a");
}

static void no_children(void)
{
    const weft_id s = supervisor(&(weft_supervisor_spec){0});

    check_counts(s, 0, 0, 0, 0);
    stop_supervisor(s);
}

static void a_failing_start_undoes_the_others_in_reverse(void)
{
    static hand a = {.name = "a"}, b = {.name = "b"}, d = {.name = "d"};
    static hand c = {.name = "c", .bad_from = 1, .bad_to = 1, .bad = -EADDRINUSE};
    const weft_child_spec children[] = {CHILD(&a), CHILD(&b), CHILD(&c), CHILD(&d)};
    weft_id s;

    CHECK_EQ(weft_supervisor_start(&s, &(weft_supervisor_spec)SUPERVISOR(children), NULL, soon()), -EADDRINUSE);
    expect("+a +b +c !c -b -a");
}

static void a_child_says_why_it_cannot_start(void)
{
    static hand a = {.name = "a"}, b = {.name = "b", .bad_from = 1, .bad_to = 1, .says = -ENOSPC};
    const weft_child_spec children[] = {CHILD(&a), CHILD(&b)};
    weft_id s;

    CHECK_EQ(weft_supervisor_start(&s, &(weft_supervisor_spec)SUPERVISOR(children), NULL, soon()), -ENOSPC);
    expect("+a +b !b -a");
}

static void a_child_has_a_limited_time_to_start(void)
{
    static hand a = {.name = "a"}, b = {.name = "b", .bad_from = 1, .bad_to = 1, .hangs = 1};
    const weft_child_spec children[] = {CHILD(&a), CHILD(&b, .start_ns = 10 * WEFT_MILLISECOND)};
    weft_id s;

    CHECK_EQ(weft_supervisor_start(&s, &(weft_supervisor_spec)SUPERVISOR(children), NULL, soon()), -ETIMEDOUT);
    expect("+a +b !b -a");
}

/* OTP's `ignore`: a child that is not wanted now keeps its specification, unless it is temporary. */
static void a_child_that_is_not_wanted(void)
{
    static hand a = {.name = "a", .bad_from = 1, .bad_to = 1}, b = {.name = "b"};
    static hand c = {.name = "c", .bad_from = 1, .bad_to = 9};
    const weft_child_spec children[] = {CHILD(&a), CHILD(&b), CHILD(&c, .restart = WEFT_TEMPORARY)};
    const weft_id s = supervisor(&(weft_supervisor_spec)SUPERVISOR(children));
    weft_id lane = {1, 1, 1};

    expect("+a !a +b +c !c");
    check_counts(s, 2, 1, 0, 2);
    CHECK_EQ(child_info(s, "a").state, WEFT_CHILD_STOPPED);
    CHECK_EQ(lane_of(s, "a").gen, 0);
    CHECK_OK(weft_supervisor_start_child(s, &(weft_child_spec)CHILD(&c, .restart = WEFT_TEMPORARY), &lane, soon()));
    CHECK_EQ(lane.gen, 0);
    expect("+c !c");
    check_counts(s, 2, 1, 0, 2);
    CHECK_OK(weft_supervisor_restart_child(s, "a", &lane, soon()));
    CHECK(weft_id_equal(lane, lane_of(s, "a")));
    expect("+a");
    stop_supervisor(s);
    expect("-b -a");
}

static void nested_supervisors(void)
{
    static hand a = {.name = "a"}, b = {.name = "b"}, c = {.name = "c"}, d = {.name = "d"};
    const weft_child_spec inner[] = {CHILD(&b), CHILD(&c)};
    const weft_supervisor_spec below = SUPERVISOR(inner);
    const weft_child_spec children[] = {CHILD(&a), {.id = "below", .supervisor = &below}, CHILD(&d)};
    const weft_id s = supervisor(&(weft_supervisor_spec)SUPERVISOR(children));

    expect("+a +b +c +d");
    check_counts(s, 3, 3, 1, 2);
    check_counts(lane_of(s, "below"), 2, 2, 0, 2);
    CHECK_EQ(child_info(s, "below").grace_ns, WEFT_NEVER);
    CHECK_EQ(child_info(s, "a").grace_ns, 5 * WEFT_SECOND);
    stop_supervisor(s);
    expect("-d -c -b -a");
}

static void a_nested_start_that_fails_undoes_all(void)
{
    static hand a = {.name = "a"}, b = {.name = "b"}, c = {.name = "c", .bad_from = 1, .bad_to = 1, .bad = -EACCES};
    const weft_child_spec inner[] = {CHILD(&b), CHILD(&c)};
    const weft_supervisor_spec below = SUPERVISOR(inner);
    const weft_child_spec children[] = {CHILD(&a), {.id = "below", .supervisor = &below}};
    weft_id s;

    CHECK_EQ(weft_supervisor_start(&s, &(weft_supervisor_spec)SUPERVISOR(children), NULL, soon()), -EACCES);
    expect("+a +b +c !c -b -a");
}

/* The caller does not wait beyond its deadline; what was begun is undone behind its back. */
static void the_caller_gives_up(void)
{
    static hand a = {.name = "a"}, b = {.name = "b", .bad_from = 1, .bad_to = 1, .hangs = 1};
    const weft_child_spec children[] = {CHILD(&a), CHILD(&b)};
    const unsigned lanes = lanes_of_ours();
    weft_id s;

    CHECK_EQ(weft_supervisor_start(&s, &(weft_supervisor_spec)SUPERVISOR(children), NULL,
                 weft_after(20 * WEFT_MILLISECOND)),
        -ETIMEDOUT);
    await_undone(lanes, "+a", "-a");
}

/* A lane becomes a supervisor itself, is cancelled, and stops its children in reverse. */
static int becomes_supervisor(void *arg)
{
    static hand a = {.name = "a"}, b = {.name = "b"};
    const weft_child_spec children[] = {CHILD(&a), CHILD(&b)};

    (void)arg;
    CHECK_EQ(weft_supervise(&(weft_supervisor_spec)SUPERVISOR(children)), -ECANCELED);
    note('.', "s");
    return -ECANCELED;
}

static void any_lane_may_supervise(void)
{
    weft_exit e;
    weft_id s;

    CHECK_OK(weft_lane_spawn(&s, becomes_supervisor, NULL));
    await_log("+a +b");
    check_counts(s, 2, 2, 0, 2);
    CHECK_OK(weft_cancel(s));
    CHECK_OK(weft_lane_join_exit(s, &e, soon()));
    CHECK_EQ(e.kind, WEFT_EXIT_CANCELED);
    expect("-b -a .s");
}

static int supervises_too(void *arg)
{
    const weft_supervisor_spec spec = {0};

    *(int *)arg = weft_supervise(&spec);
    return 0;
}

static int supervises_twice(void *arg)
{
    static hand a = {.name = "a"};
    const weft_child_spec children[] = {CHILD(&a)};

    CHECK_OK(weft_spawn(NULL, supervises_too, arg)); /* runs as soon as the main fiber waits, and so does that */
    CHECK_EQ(weft_supervise(&(weft_supervisor_spec)SUPERVISOR(children)), -ECANCELED);
    return -ECANCELED;
}

static void one_fiber_of_a_lane_supervises(void)
{
    static int result = 1;
    weft_id s;

    CHECK_OK(weft_lane_spawn(&s, supervises_twice, &result));
    await_log("+a");
    CHECK_OK(weft_supervisor_stop(s, soon()));
    CHECK_EQ(result, -EBUSY);
    expect("-a");
}

static void refuse(const weft_supervisor_spec *spec)
{
    weft_id s;

    CHECK_EQ(weft_supervisor_start(&s, spec, NULL, soon()), -EINVAL);
    CHECK_EQ(weft_supervise(spec), -EINVAL);
}

static void refuse_child(weft_child_spec child)
{
    refuse(&(weft_supervisor_spec){.children = &child, .count = 1});
}

/* What makes no sense is refused before anything is started. */
static void specifications_are_checked(void)
{
    static hand a = {.name = "a"};
    static const weft_supervisor_spec bad = {.period_ns = -1};
    const weft_child_spec good = CHILD(&a), twice[] = {CHILD(&a), CHILD(&a)};
    char name[80];
    weft_child_spec c;

    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = 0;
    refuse(NULL);
    refuse(&(weft_supervisor_spec){.count = 1});
    refuse(&(weft_supervisor_spec){.strategy = (enum weft_strategy)9});
    refuse(&(weft_supervisor_spec){.auto_shutdown = (enum weft_auto_shutdown)9});
    refuse(&(weft_supervisor_spec){.intensity = -2});
    refuse(&(weft_supervisor_spec){.period_ns = -1});
    refuse(&(weft_supervisor_spec)SUPERVISOR(twice));
    refuse(&(weft_supervisor_spec){.strategy = WEFT_DYNAMIC});
    refuse(&(weft_supervisor_spec)SUPERVISOR(twice, .strategy = WEFT_DYNAMIC));
    refuse_child((c = good, c.id = NULL, c));
    refuse_child((c = good, c.id = "", c));
    refuse_child((c = good, c.id = name, c));
    refuse_child((c = good, c.run = NULL, c));
    refuse_child((c = good, c.supervisor = &bad, c));
    refuse_child((c = good, c.run = NULL, c.supervisor = &bad, c));
    refuse_child((c = good, c.restart = (enum weft_restart)9, c));
    refuse_child((c = good, c.grace_ns = -2, c));
    refuse_child((c = good, c.start_ns = -1, c));
    refuse_child((c = good, c.lane.copy = WEFT_LANE_COPY_MAX + 1, c));
    refuse_child((c = good, c.lane.detached = 1, c));
    refuse_child((c = good, c.lane.deadline = 1, c));
    refuse_child((c = good, c.significant = 1, c.restart = WEFT_TRANSIENT, c)); /* nothing to signify to */
    refuse(&(weft_supervisor_spec){.children = &(weft_child_spec)CHILD(&a, .significant = 1), .count = 1,
        .auto_shutdown = WEFT_SHUTDOWN_ANY}); /* permanent */
    CHECK_EQ(weft_supervisor_start(NULL, &(weft_supervisor_spec){0}, NULL, soon()), -EINVAL);
    CHECK_EQ(weft_child_ready(0), -EPERM); /* nobody supervises us */
    expect("");
    CHECK_EQ(a.starts, 0);
}

/* One that would start itself without end is refused, too, at whatever depth it does. */
static void circles_are_refused(void)
{
    static weft_supervisor_spec outer, inner;
    static const weft_child_spec below[] = {{.id = "below", .supervisor = &inner}},
                                 above[] = {{.id = "above", .supervisor = &outer}};

    outer = inner = (weft_supervisor_spec)SUPERVISOR(above);
    refuse(&outer);
    refuse(&inner);
    outer = (weft_supervisor_spec)SUPERVISOR(below);
    refuse(&outer);
}

static int main_fiber(int argc, char **argv)
{
    (void)argc, (void)argv;
    starts_in_order_and_stops_in_reverse();
    started_when_spawned();
    no_children();
    a_failing_start_undoes_the_others_in_reverse();
    a_child_says_why_it_cannot_start();
    a_child_has_a_limited_time_to_start();
    a_child_that_is_not_wanted();
    nested_supervisors();
    a_nested_start_that_fails_undoes_all();
    the_caller_gives_up();
    any_lane_may_supervise();
    one_fiber_of_a_lane_supervises();
    specifications_are_checked();
    circles_are_refused();
    return 0;
}

int main(void)
{
    weft_id s;

    CHECK_EQ(weft_supervise(&(weft_supervisor_spec){0}), -EPERM);
    CHECK_EQ(weft_supervisor_start(&s, &(weft_supervisor_spec){0}, NULL, WEFT_NEVER), -EPERM);
    CHECK_EQ(weft_supervisor_delete_child((weft_id){1, 2, 3}, "a", WEFT_NEVER), -EPERM);
    CHECK_EQ(weft_child_ready(0), -EPERM);
    return run_supervised(main_fiber);
}
