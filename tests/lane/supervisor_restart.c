/* Which ends are followed by a restart, and whose: restart types and strategies. */
#include "lane/supervised.h"

#define OFTEN .intensity = 100, .period_ns = 3600 * WEFT_SECOND

static void end_by_cancelling(weft_id lane) { CHECK_OK(cancel_lane(lane)); }
static void end_normally(weft_id lane) { tell(lane, 0); }
static void end_badly(weft_id lane) { tell(lane, -EIO); }

/* ---- restart types ---- */

static void ends(enum weft_restart restart, void (*how)(weft_id lane), int restarted, const char *mark)
{
    static hand a, b;
    a = (hand){.name = "a"};
    b = (hand){.name = "b"};
    const weft_child_spec children[] = {CHILD(&a, .restart = restart), CHILD(&b)};
    const weft_id s = supervisor(&(weft_supervisor_spec)SUPERVISOR(children, OFTEN));
    const weft_id lane = lane_of(s, "a"), other = lane_of(s, "b");

    expect("+a +b");
    how(lane);
    if (restarted) {
        lane_after(s, "a", lane);
        CHECK_EQ(child_info(s, "a").restarts, 1);
        CHECK(weft_id_equal(child_info(s, "a").last.lane, lane));
        check_counts(s, 2, 2, 0, 2);
    } else if (restart == WEFT_TEMPORARY) {
        await_forgotten(s, "a");
        check_counts(s, 1, 1, 0, 1);
    } else {
        await_stopped(s, "a");
        CHECK_EQ(child_info(s, "a").restarts, 0);
        check_counts(s, 2, 1, 0, 2);
    }
    CHECK(weft_id_equal(lane_of(s, "b"), other));
    expect(mark);
    stop_supervisor(s);
    expect(restarted ? "-b -a" : "-b");
}

static void permanent_is_always_restarted(void)
{
    ends(WEFT_PERMANENT, end_normally, 1, "+a");
    ends(WEFT_PERMANENT, end_by_cancelling, 1, "-a +a");
    ends(WEFT_PERMANENT, end_badly, 1, "+a");
    ends(WEFT_PERMANENT, kill_lane, 1, "+a");
}

static void transient_is_restarted_after_failures(void)
{
    ends(WEFT_TRANSIENT, end_normally, 0, "");
    ends(WEFT_TRANSIENT, end_by_cancelling, 0, "-a"); /* as OTP's shutdown */
    ends(WEFT_TRANSIENT, end_badly, 1, "+a");
    ends(WEFT_TRANSIENT, kill_lane, 1, "+a");
}

static void temporary_is_never_restarted(void)
{
    ends(WEFT_TEMPORARY, end_normally, 0, "");
    ends(WEFT_TEMPORARY, end_by_cancelling, 0, "-a");
    ends(WEFT_TEMPORARY, end_badly, 0, "");
    ends(WEFT_TEMPORARY, kill_lane, 0, "");
}

/* ---- strategies ---- */

static hand a, b, c, d;

static void fresh(void)
{
    a = (hand){.name = "a"};
    b = (hand){.name = "b"};
    c = (hand){.name = "c"};
    d = (hand){.name = "d"};
}

static void one_for_one_restarts_that_one(void)
{
    fresh();
    const weft_child_spec children[] = {CHILD(&a), CHILD(&b), CHILD(&c)};
    const weft_id s = supervisor(&(weft_supervisor_spec)SUPERVISOR(children, OFTEN));
    const weft_id first = lane_of(s, "a"), last = lane_of(s, "c"), lane = lane_of(s, "b");

    expect("+a +b +c");
    end_badly(lane);
    lane_after(s, "b", lane);
    expect("+b");
    CHECK(weft_id_equal(lane_of(s, "a"), first) && weft_id_equal(lane_of(s, "c"), last));
    stop_supervisor(s);
    expect("-c -b -a");
}

static void one_for_all_restarts_all(void)
{
    fresh();
    const weft_child_spec children[] = {CHILD(&a), CHILD(&b), CHILD(&c)};
    const weft_id s = supervisor(&(weft_supervisor_spec)SUPERVISOR(children, OFTEN, .strategy = WEFT_ONE_FOR_ALL));
    const weft_id first = lane_of(s, "a"), last = lane_of(s, "c"), lane = lane_of(s, "b");

    expect("+a +b +c");
    end_badly(lane);
    await_log("-c -a +a +b +c");
    CHECK(!weft_id_equal(lane_after(s, "c", WEFT_NOID), last) && !weft_id_equal(lane_of(s, "a"), first));
    check_counts(s, 3, 3, 0, 3);
    stop_supervisor(s);
    expect("-c -b -a");
}

/* Temporary children go down with the group and do not come back, wherever they stand in it. */
static void one_for_all_forgets_the_temporary(void)
{
    fresh();
    const weft_child_spec children[] = {CHILD(&a, .restart = WEFT_TEMPORARY), CHILD(&b),
        CHILD(&c, .restart = WEFT_TEMPORARY)};
    const weft_id s = supervisor(&(weft_supervisor_spec)SUPERVISOR(children, OFTEN, .strategy = WEFT_ONE_FOR_ALL));
    const weft_id lane = lane_of(s, "b");

    expect("+a +b +c");
    end_badly(lane);
    lane_after(s, "b", lane);
    expect("-c -a +b");
    check_counts(s, 1, 1, 0, 1);
    stop_supervisor(s);
    expect("-b");
}

static void rest_for_one_restarts_the_rest(void)
{
    fresh();
    const weft_child_spec children[] = {CHILD(&a), CHILD(&b), CHILD(&c), CHILD(&d)};
    const weft_id s = supervisor(&(weft_supervisor_spec)SUPERVISOR(children, OFTEN, .strategy = WEFT_REST_FOR_ONE));
    const weft_id first = lane_of(s, "a");

    expect("+a +b +c +d");
    end_badly(lane_of(s, "b"));
    await_log("-d -c +b +c +d");
    end_badly(lane_after(s, "d", WEFT_NOID));
    await_log("+d");
    end_badly(lane_of(s, "a"));
    await_log("-d -c -b +a +b +c +d");
    CHECK(!weft_id_equal(lane_after(s, "a", WEFT_NOID), first));
    stop_supervisor(s);
    expect("-d -c -b -a");
}

/* A temporary child goes down with the others and does not come back. */
static void temporary_bystander(enum weft_strategy strategy)
{
    fresh();
    const weft_child_spec children[] = {CHILD(&a), CHILD(&b, .restart = WEFT_TEMPORARY), CHILD(&c)};
    const weft_id s = supervisor(&(weft_supervisor_spec)SUPERVISOR(children, OFTEN, .strategy = strategy));

    expect("+a +b +c");
    end_badly(lane_of(s, "a"));
    await_log("-c -b +a +c");
    await_forgotten(s, "b");
    check_counts(s, 2, 2, 0, 2);
    stop_supervisor(s);
    expect("-c -a");
}

/* The end of a temporary or of a transient child that is not restarted disturbs nobody. */
static void no_restart_no_group(enum weft_strategy strategy)
{
    fresh();
    const weft_child_spec children[] = {CHILD(&a, .restart = WEFT_TEMPORARY), CHILD(&b, .restart = WEFT_TRANSIENT),
        CHILD(&c)};
    const weft_id s = supervisor(&(weft_supervisor_spec)SUPERVISOR(children, OFTEN, .strategy = strategy));

    expect("+a +b +c");
    end_badly(lane_of(s, "a"));
    end_normally(lane_of(s, "b"));
    await_forgotten(s, "a");
    await_stopped(s, "b");
    expect("");
    stop_supervisor(s);
    expect("-c");
}

/* As in OTP, a group is restarted as a whole: also who was stopped by hand, or had ended normally. */
static void the_stopped_start_with_their_group(void)
{
    fresh();
    const weft_child_spec children[] = {CHILD(&a), CHILD(&b), CHILD(&c, .restart = WEFT_TRANSIENT)};
    const weft_id s = supervisor(&(weft_supervisor_spec)SUPERVISOR(children, OFTEN, .strategy = WEFT_ONE_FOR_ALL));

    CHECK_OK(weft_supervisor_terminate_child(s, "b", soon()));
    end_normally(lane_of(s, "c"));
    await_stopped(s, "c");
    expect("+a +b +c -b");
    end_badly(lane_of(s, "a"));
    await_log("+a +b +c");
    stop_supervisor(s);
    expect("-c -b -a");
}

/* ---- restarts that fail at first ---- */

static void one_for_one_tries_again(void)
{
    fresh();
    a.bad_from = 2, a.bad_to = 4, a.bad = -EAGAIN;
    const weft_child_spec children[] = {CHILD(&a), CHILD(&b)};
    const weft_id s = supervisor(&(weft_supervisor_spec)SUPERVISOR(children, OFTEN));

    expect("+a +b");
    end_badly(lane_of(s, "a"));
    await_log("+a !a +a !a +a !a +a");
    lane_after(s, "a", WEFT_NOID);
    stop_supervisor(s);
    expect("-b -a");
}

/* One that started already is stopped again when another one of its group does not start. */
static void one_for_all_other_child_fails_restart(void)
{
    fresh();
    b.bad_from = b.bad_to = 2, b.bad = -EIO;
    const weft_child_spec children[] = {CHILD(&a), CHILD(&b)};
    const weft_id s = supervisor(&(weft_supervisor_spec)SUPERVISOR(children, OFTEN, .strategy = WEFT_ONE_FOR_ALL));

    expect("+a +b");
    end_badly(lane_of(s, "a"));
    await_log("-b +a +b !b -a +a +b");
    stop_supervisor(s);
    expect("-b -a");
}

/* Those before it stay. */
static void rest_for_one_other_child_fails_restart(void)
{
    fresh();
    b.bad_from = b.bad_to = 2, b.bad = -EIO;
    const weft_child_spec children[] = {CHILD(&a), CHILD(&b), CHILD(&c)};
    const weft_id s = supervisor(&(weft_supervisor_spec)SUPERVISOR(children, OFTEN, .strategy = WEFT_REST_FOR_ONE));

    expect("+a +b +c");
    end_badly(lane_of(s, "a"));
    await_log("-c -b +a +b !b +b +c");
    stop_supervisor(s);
    expect("-c -b -a");
}

/* ---- everybody at once ---- */

/* Ends that come while another one is dealt with are not lost, and not counted where their group was restarted
 * anyway. */
static void all_end_together(enum weft_strategy strategy)
{
    fresh();
    const weft_child_spec children[] = {CHILD(&a), CHILD(&b), CHILD(&c), CHILD(&d)};
    const weft_id s = supervisor(&(weft_supervisor_spec)SUPERVISOR(children, OFTEN, .strategy = strategy));
    weft_id before[4];

    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < 4; i++)
            before[i] = lane_after(s, (const char *[]){"a", "b", "c", "d"}[i], WEFT_NOID);
        for (int i = 0; i < 4; i++)
            kill_lane(before[i]); /* -ESRCH: its group went down before */
        for (int i = 0; i < 4; i++)
            lane_after(s, (const char *[]){"a", "b", "c", "d"}[i], before[i]);
    }
    check_counts(s, 4, 4, 0, 4);
    stop_supervisor(s);
    forget_log();
}

/* ---- the supervisor itself ---- */

static void a_killed_supervisor_takes_its_children_along(void)
{
    fresh();
    const weft_child_spec children[] = {CHILD(&a), CHILD(&b)};
    const weft_id s = supervisor(&(weft_supervisor_spec)SUPERVISOR(children, OFTEN));
    const weft_id first = lane_of(s, "a");

    expect("+a +b");
    kill_lane(s);
    CHECK_EQ(end_of(s).kind, WEFT_EXIT_KILLED);
    CHECK_EQ(weft_send(first, NULL, 0, NULL), -ESRCH);
    expect("");
}

static void a_restarted_supervisor_starts_its_own(void)
{
    fresh();
    const weft_child_spec inner[] = {CHILD(&b), CHILD(&c)};
    const weft_supervisor_spec below = SUPERVISOR(inner);
    const weft_child_spec children[] = {CHILD(&a), {.id = "below", .supervisor = &below}};
    const weft_id s = supervisor(&(weft_supervisor_spec)SUPERVISOR(children, OFTEN));
    const weft_id nested = lane_of(s, "below");

    CHECK_OK(weft_supervisor_start_child(nested, &(weft_child_spec)CHILD(&d), NULL, soon()));
    expect("+a +b +c +d");
    kill_lane(nested);
    check_counts(lane_after(s, "below", nested), 2, 2, 0, 2); /* what was added by hand is not started again */
    expect("+b +c");
    stop_supervisor(s);
    expect("-c -b -a");
}

static int main_fiber(int argc, char **argv)
{
    (void)argc, (void)argv;
    permanent_is_always_restarted();
    transient_is_restarted_after_failures();
    temporary_is_never_restarted();
    one_for_one_restarts_that_one();
    one_for_all_restarts_all();
    one_for_all_forgets_the_temporary();
    rest_for_one_restarts_the_rest();
    temporary_bystander(WEFT_ONE_FOR_ALL);
    temporary_bystander(WEFT_REST_FOR_ONE);
    no_restart_no_group(WEFT_ONE_FOR_ALL);
    no_restart_no_group(WEFT_REST_FOR_ONE);
    the_stopped_start_with_their_group();
    one_for_one_tries_again();
    one_for_all_other_child_fails_restart();
    rest_for_one_other_child_fails_restart();
    all_end_together(WEFT_ONE_FOR_ONE);
    all_end_together(WEFT_ONE_FOR_ALL);
    all_end_together(WEFT_REST_FOR_ONE);
    a_killed_supervisor_takes_its_children_along();
    a_restarted_supervisor_starts_its_own();
    return 0;
}

int main(void)
{
    return run_supervised(main_fiber);
}
