/* Restart intensity and escalation: a supervisor that has to restart more than `intensity` times within its period
 * stops its children and fails, and so on upwards. */
#include "lane/supervised.h"

#define ENDLESS .period_ns = 3600 * WEFT_SECOND

static hand a, b, c;

static void fresh(void)
{
    a = (hand){.name = "a"};
    b = (hand){.name = "b"};
    c = (hand){.name = "c"};
}

static void fails(weft_id lane) { tell(lane, -EIO); }

static void more_than_intensity_is_too_many(enum weft_strategy strategy, const char *log)
{
    fresh();
    const weft_child_spec children[] = {CHILD(&a), CHILD(&b), CHILD(&c)};
    const weft_id s =
        supervisor(&(weft_supervisor_spec)SUPERVISOR(children, .intensity = 2, ENDLESS, .strategy = strategy));
    weft_id lane = lane_of(s, "b");

    for (int i = 0; i < 2; i++) {
        fails(lane);
        lane = lane_after(s, "b", lane);
    }
    expect(log);
    fails(lane);
    const weft_exit e = end_of(s);
    CHECK_EQ(e.kind, WEFT_EXIT_ERROR);
    CHECK_EQ(e.result, -ENOTRECOVERABLE);
    CHECK(weft_id_equal(e.cause, lane)); /* whose end was one too many */
    expect("-c -a");
}

static void any_child_counts(void)
{
    fresh();
    const weft_child_spec children[] = {CHILD(&a), CHILD(&b)};
    const weft_id s = supervisor(&(weft_supervisor_spec)SUPERVISOR(children, .intensity = 2, ENDLESS));

    for (int i = 0; i < 2; i++) {
        const weft_id lane = lane_of(s, i ? "b" : "a");

        fails(lane);
        lane_after(s, i ? "b" : "a", lane);
    }
    fails(lane_of(s, "a"));
    CHECK_EQ(end_of(s).result, -ENOTRECOVERABLE);
    expect("+a +b +a +b -b");
}

static void no_restarts_at_all(void)
{
    fresh();
    const weft_child_spec children[] = {CHILD(&a), CHILD(&b)};
    const weft_id s = supervisor(&(weft_supervisor_spec)SUPERVISOR(children, .intensity = WEFT_NO_RESTARTS));

    fails(lane_of(s, "a"));
    CHECK_EQ(end_of(s).result, -ENOTRECOVERABLE);
    expect("+a +b -b");
}

/* Restarts that lie further back than the period do not count. Sleeping may take longer than asked for, which only
 * spreads the restarts further. */
static void old_restarts_are_forgotten(void)
{
    fresh();
    const weft_child_spec children[] = {CHILD(&a)};
    const weft_id s =
        supervisor(&(weft_supervisor_spec)SUPERVISOR(children, .intensity = 2, .period_ns = 30 * WEFT_MILLISECOND));
    weft_id lane = lane_of(s, "a");

    for (int i = 0; i < 8; i++) {
        fails(lane);
        lane = lane_after(s, "a", lane);
        CHECK_OK(weft_sleep(weft_after(20 * WEFT_MILLISECOND)));
    }
    CHECK_EQ(child_info(s, "a").restarts, 8);
    stop_supervisor(s);
    expect("+a +a +a +a +a +a +a +a +a -a");
}

/* What a child is stopped for by its supervisor, or by hand, is no restart that counts. */
static void stops_do_not_count(void)
{
    fresh();
    const weft_child_spec children[] = {CHILD(&a), CHILD(&b)};
    const weft_id s = supervisor(&(weft_supervisor_spec)SUPERVISOR(children, .intensity = WEFT_NO_RESTARTS));

    for (int i = 0; i < 3; i++) {
        CHECK_OK(weft_supervisor_terminate_child(s, "a", soon()));
        CHECK_OK(weft_supervisor_restart_child(s, "a", NULL, soon()));
    }
    check_counts(s, 2, 2, 0, 2);
    stop_supervisor(s);
    expect("+a +b -a +a -a +a -a +a -b -a");
}

/* Each attempt to start it again counts, whether it was of use or not. */
static void failed_attempts_count(enum weft_strategy strategy, const char *log)
{
    fresh();
    b.bad_from = 2, b.bad_to = 99, b.bad = -EIO;
    const weft_child_spec children[] = {CHILD(&a), CHILD(&b)};
    const weft_id s =
        supervisor(&(weft_supervisor_spec)SUPERVISOR(children, .intensity = 3, ENDLESS, .strategy = strategy));

    fails(lane_of(s, strategy == WEFT_ONE_FOR_ONE ? "b" : "a"));
    CHECK_EQ(end_of(s).result, -ENOTRECOVERABLE);
    expect(log);
}

/* ---- upwards ---- */

/* A supervisor is restarted by its own with all that it starts. */
static void the_next_one_restarts_it(void)
{
    fresh();
    const weft_child_spec inner[] = {CHILD(&b), CHILD(&c)};
    const weft_supervisor_spec below = SUPERVISOR(inner, .intensity = WEFT_NO_RESTARTS);
    const weft_child_spec children[] = {CHILD(&a), {.id = "below", .supervisor = &below}};
    const weft_id s = supervisor(&(weft_supervisor_spec)SUPERVISOR(children, .intensity = 2, ENDLESS));
    weft_id nested = lane_of(s, "below"), lane;

    expect("+a +b +c");
    for (int i = 0; i < 2; i++) {
        fails(lane_of(nested, "b"));
        nested = lane_after(s, "below", nested);
        expect("-c +b +c");
    }
    CHECK_EQ(child_info(s, "below").last.result, -ENOTRECOVERABLE);
    lane = lane_of(nested, "b");
    fails(lane);
    const weft_exit e = end_of(s); /* now it is one too many here, too */
    CHECK_EQ(e.result, -ENOTRECOVERABLE);
    CHECK(weft_id_equal(e.cause, lane)); /* where it all began */
    expect("-c -a");
}

/* As with OTP, giving up counts as a shutdown: a transient supervisor is not restarted for it. */
static void a_transient_supervisor_that_gave_up(void)
{
    fresh();
    const weft_child_spec inner[] = {CHILD(&b)};
    const weft_supervisor_spec below = SUPERVISOR(inner, .intensity = WEFT_NO_RESTARTS);
    const weft_child_spec children[] = {CHILD(&a), {.id = "below", .supervisor = &below, .restart = WEFT_TRANSIENT}};
    const weft_id s = supervisor(&(weft_supervisor_spec)SUPERVISOR(children, .intensity = WEFT_NO_RESTARTS));

    fails(lane_of(lane_of(s, "below"), "b"));
    await_stopped(s, "below");
    check_counts(s, 2, 1, 1, 1);
    stop_supervisor(s);
    expect("+a +b -a");
}

/* Nobody joins it: the lane that started it is cancelled, and ends for its reason. */
static int has_a_supervisor(void *arg)
{
    const weft_child_spec children[] = {CHILD(&a)};
    weft_id *s = arg;

    *s = supervisor(&(weft_supervisor_spec)SUPERVISOR(children, .intensity = WEFT_NO_RESTARTS));
    fails(lane_of(*s, "a"));
    CHECK_OK(weft_lane_detach(*s));
    CHECK_EQ(weft_sleep(WEFT_NEVER), -ECANCELED);
    return -ECANCELED;
}

static void giving_up_is_passed_on(void)
{
    static weft_id s;
    weft_exit e;
    weft_id lane;

    fresh();
    CHECK_OK(weft_lane_spawn(&lane, has_a_supervisor, &s));
    CHECK_OK(weft_lane_join_exit(lane, &e, soon()));
    CHECK_EQ(e.kind, WEFT_EXIT_ERROR);
    CHECK_EQ(e.result, -ENOTRECOVERABLE);
    expect("+a");
}

static int main_fiber(int argc, char **argv)
{
    (void)argc, (void)argv;
    more_than_intensity_is_too_many(WEFT_ONE_FOR_ONE, "+a +b +c +b +b");
    more_than_intensity_is_too_many(WEFT_ONE_FOR_ALL, "+a +b +c -c -a +a +b +c -c -a +a +b +c");
    more_than_intensity_is_too_many(WEFT_REST_FOR_ONE, "+a +b +c -c +b +c -c +b +c");
    any_child_counts();
    no_restarts_at_all();
    old_restarts_are_forgotten();
    stops_do_not_count();
    failed_attempts_count(WEFT_ONE_FOR_ONE, "+a +b +b !b +b !b +b !b -a");
    failed_attempts_count(WEFT_ONE_FOR_ALL, "+a +b -b +a +b !b -a +a +b !b -a +a +b !b -a");
    failed_attempts_count(WEFT_REST_FOR_ONE, "+a +b -b +a +b !b +b !b +b !b -a");
    the_next_one_restarts_it();
    a_transient_supervisor_that_gave_up();
    giving_up_is_passed_on();
    return 0;
}

int main(void)
{
    return run_supervised(main_fiber);
}
