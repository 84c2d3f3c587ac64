/* Alarms: they ring at their time and not before, once; what is stopped does not ring, what is put off rings later;
 * they end with their lane, whatever they lie in, and leave nothing behind. */
#include "world.h"

enum { MANY = 3000, STEPS = 4000, HEAP = 20000 };

static weft_event events[MANY];
static weft_alarm alarms[MANY];
static int there;

static int64_t ms(int n) { return n * WEFT_MILLISECOND; }

/* Rings after everything that was set for an earlier time has rung, by more than a grain. */
static void after_all_until(int64_t when)
{
    weft_alarm a = {{0}};
    weft_event e = {{0}};

    CHECK_OK(weft_alarm_set(&a, &e, when + ms(1)));
    CHECK_OK(weft_event_wait(&e, WEFT_NEVER));
    CHECK(weft_now() >= when + ms(1));
    CHECK_EQ(weft_alarm_stop(&a), 0);
}

static int from_another_lane(void *arg)
{
    weft_event e = {{0}};

    CHECK_EQ(weft_alarm_when(arg), WEFT_NEVER);
    CHECK_EQ(weft_alarm_stop(arg), -EPERM);
    CHECK_EQ(weft_alarm_set(arg, &e, WEFT_NOW), -EPERM);
    CHECK_EQ(weft_alarm_set(arg, &e, WEFT_NEVER), -EPERM);
    CHECK_EQ(weft_event_is_set(&e), 0);
    return 0;
}

static void *from_outside(void *arg)
{
    CHECK_EQ(weft_alarm_set(arg, &events[0], WEFT_NOW), -EPERM);
    CHECK_EQ(weft_alarm_stop(arg), -EPERM);
    CHECK_EQ(weft_alarm_when(arg), WEFT_NEVER);
    return NULL;
}

static void arguments(void)
{
    static weft_alarm a;
    static weft_event e;
    const int64_t at = weft_after(3600 * WEFT_SECOND);
    pthread_t t;
    weft_id l;

    CHECK_EQ(weft_alarm_set(NULL, &e, WEFT_NOW), -EINVAL);
    CHECK_EQ(weft_alarm_set(&a, NULL, WEFT_NOW), -EINVAL);
    CHECK_EQ(weft_alarm_stop(NULL), -EINVAL);
    CHECK_EQ(weft_alarm_when(NULL), WEFT_NEVER);
    CHECK_EQ(weft_alarm_when(&a), WEFT_NEVER);
    CHECK_EQ(weft_alarm_stop(&a), 0);
    CHECK_EQ(weft_alarm_set(&a, &e, WEFT_NEVER), 0);
    CHECK_EQ(weft_alarm_stop(&a), 0);
    CHECK_EQ(weft_alarm_set(&a, &e, at), 0);
    CHECK_EQ(weft_alarm_when(&a), at);
    CHECK_OK(weft_lane_spawn_with(&l, from_another_lane, &a, .pinned = 1));
    ended(l);
    CHECK_EQ(pthread_create(&t, NULL, from_outside, &a), 0);
    pthread_join(t, NULL);
    CHECK_EQ(weft_alarm_when(&a), at);
    CHECK_EQ(weft_alarm_set(&a, &e, WEFT_NEVER), 0); /* as a stop */
    CHECK_EQ(weft_alarm_when(&a), WEFT_NEVER);
    CHECK_EQ(weft_alarm_stop(&a), 0);
    CHECK_EQ(weft_event_is_set(&e), 0);
    /* Cancelled or not: what stops an alarm is often a clean-up. */
    weft_scope s;
    CHECK_OK(weft_scope_enter(&s, WEFT_NOW));
    CHECK_EQ(weft_alarm_set(&a, &e, at), 0);
    CHECK_EQ(weft_alarm_stop(&a), 1);
    CHECK_EQ(weft_scope_leave(&s), -ETIMEDOUT);
}

static int passes(void *arg)
{
    CHECK_OK(weft_event_wait(arg, WEFT_NEVER));
    bump(&there);
    return 0;
}

static void rings(void)
{
    weft_alarm a = {{0}}, b = {{0}};
    weft_event e = {{0}}, other = {{0}};
    weft_id f[3];
    int64_t at = weft_after(ms(2));

    put(&there, 0);
    for (int i = 0; i < 3; i++)
        CHECK_OK(weft_spawn(&f[i], passes, &e));
    settle();
    CHECK_OK(weft_alarm_set(&a, &e, at));
    for (int i = 0; i < 3; i++)
        joined(f[i]);
    CHECK(weft_now() >= at);
    CHECK_EQ(get(&there), 3);
    CHECK_EQ(weft_alarm_when(&a), WEFT_NEVER);
    CHECK_EQ(weft_alarm_stop(&a), 0);
    CHECK_EQ(weft_event_is_set(&e), 1); /* it is of those that stay set */
    /* A time that has come. */
    CHECK_EQ(weft_alarm_set(&a, &other, WEFT_NOW), 0);
    CHECK_EQ(weft_event_is_set(&other), 1);
    CHECK_EQ(weft_alarm_when(&a), WEFT_NEVER);
    /* As a case among others. */
    CHECK_OK(weft_event_reset(&e));
    CHECK_OK(weft_event_reset(&other));
    at = weft_after(ms(1));
    CHECK_OK(weft_alarm_set(&a, &other, weft_after(3600 * WEFT_SECOND)));
    CHECK_OK(weft_alarm_set(&b, &e, at));
    CHECK_EQ(weft_select((weft_case[]){WEFT_PASS(&other), WEFT_PASS(&e)}, 2, WEFT_NEVER), 1);
    CHECK(weft_now() >= at);
    CHECK_EQ(weft_alarm_stop(&a), 1);
}

/* Several alarms, one event that lets one through for each. */
static void share_an_event(void)
{
    weft_event e;
    weft_alarm a[4] = {{{0}}};
    weft_id f[4];

    CHECK_OK(weft_event_init(&e, WEFT_EVENT_AUTO, 0));
    put(&there, 0);
    for (int i = 0; i < 4; i++)
        CHECK_OK(weft_spawn(&f[i], passes, &e));
    settle();
    for (int i = 0; i < 4; i++)
        CHECK_OK(weft_alarm_set(&a[i], &e, weft_after(ms(1 + i % 2))));
    for (int i = 0; i < 4; i++)
        joined(f[i]);
    CHECK_EQ(get(&there), 4);
    CHECK_EQ(weft_event_is_set(&e), 0);
}

static void is_stopped(void)
{
    weft_alarm a = {{0}};
    weft_event e = {{0}};
    const int64_t at = weft_after(ms(1));

    CHECK_OK(weft_alarm_set(&a, &e, at));
    CHECK_EQ(weft_alarm_stop(&a), 1);
    CHECK_EQ(weft_alarm_stop(&a), 0);
    after_all_until(at);
    CHECK_EQ(weft_event_is_set(&e), 0);
    CHECK_OK(weft_alarm_set(&a, &e, weft_after(ms(1)))); /* again */
    CHECK_OK(weft_event_wait(&e, WEFT_NEVER));
}

static void is_set_anew(void)
{
    weft_alarm a = {{0}};
    weft_event e = {{0}}, other = {{0}};
    const int64_t first = weft_after(ms(1)), second = first + ms(4);

    CHECK_OK(weft_alarm_set(&a, &e, first)); /* later */
    CHECK_OK(weft_alarm_set(&a, &e, second));
    CHECK_EQ(weft_alarm_when(&a), second);
    CHECK_OK(weft_event_wait(&e, WEFT_NEVER));
    CHECK(weft_now() >= second);
    CHECK_OK(weft_event_reset(&e));
    CHECK_OK(weft_alarm_set(&a, &e, weft_after(3600 * WEFT_SECOND))); /* earlier */
    CHECK_OK(weft_alarm_set(&a, &e, weft_after(ms(1))));
    CHECK_OK(weft_event_wait(&e, WEFT_NEVER));
    CHECK_OK(weft_event_reset(&e));
    CHECK_OK(weft_alarm_set(&a, &e, weft_after(ms(1)))); /* put off, and back to between the two */
    CHECK_OK(weft_alarm_set(&a, &e, weft_after(3600 * WEFT_SECOND)));
    CHECK_OK(weft_alarm_set(&a, &e, weft_after(ms(3))));
    CHECK_OK(weft_event_wait(&e, WEFT_NEVER));
    CHECK_OK(weft_event_reset(&e));
    CHECK_OK(weft_alarm_set(&a, &e, weft_after(ms(1)))); /* for another event */
    CHECK_OK(weft_alarm_set(&a, &other, weft_after(ms(2))));
    CHECK_OK(weft_event_wait(&other, WEFT_NEVER));
    CHECK_EQ(weft_event_is_set(&e), 0);
    CHECK_OK(weft_event_reset(&other));
    CHECK_OK(weft_alarm_set(&a, &e, weft_after(3600 * WEFT_SECOND))); /* to a time that has come */
    CHECK_OK(weft_alarm_set(&a, &other, WEFT_NOW));
    CHECK_EQ(weft_event_is_set(&other), 1);
    CHECK_EQ(weft_alarm_when(&a), WEFT_NEVER);
    CHECK_EQ(weft_event_is_set(&e), 0);
}

static int64_t when[MANY]; /* WEFT_NEVER: not set */

/* Set, put off, brought forward and stopped at random. Nothing rings meanwhile: this fiber does not wait. */
static void change(uint64_t *state, int64_t begin)
{
    for (int step = 0; step < STEPS; step++) {
        const uint32_t i = next_random(state) % MANY;
        CHECK_EQ(weft_alarm_when(&alarms[i]), when[i]);
        if (next_random(state) % 4 == 0) {
            CHECK_EQ(weft_alarm_stop(&alarms[i]), when[i] != WEFT_NEVER);
            when[i] = WEFT_NEVER;
        } else {
            when[i] = begin + 1 + (int64_t)(next_random(state) % 20000) * WEFT_MICROSECOND;
            CHECK_OK(weft_alarm_set(&alarms[i], &events[i], when[i]));
        }
    }
}

/* What had to ring by then has, what has rung was to, and nothing else has happened. */
static void compare(int64_t until)
{
    for (int i = 0; i < MANY; i++) {
        const int rung = when[i] != WEFT_NEVER && weft_alarm_when(&alarms[i]) == WEFT_NEVER;
        CHECK_EQ(weft_event_is_set(&events[i]), rung);
        if (!rung) {
            CHECK_EQ(weft_alarm_when(&alarms[i]), when[i]);
            CHECK(when[i] > until);
            continue;
        }
        CHECK(weft_now() >= when[i]);
        when[i] = WEFT_NEVER;
        CHECK_OK(weft_event_reset(&events[i]));
    }
}

static void at_random(void)
{
    uint64_t state = 17;

    memset(events, 0, sizeof events);
    memset(alarms, 0, sizeof alarms);
    for (int i = 0; i < MANY; i++)
        when[i] = WEFT_NEVER;
    for (int round = 0; round < 4; round++) {
        const int64_t begin = weft_now(), until = begin + ms(round == 3 ? 20 : 6);
        change(&state, begin);
        after_all_until(until);
        compare(until);
    }
    for (int i = 0; i < MANY; i++)
        CHECK_EQ(when[i], WEFT_NEVER);
}

/* Many for nearly the same time, half of them stopped. */
static void a_heap_of_them(void)
{
    weft_alarm *many = calloc(HEAP, sizeof *many);
    weft_event e = {{0}};
    const int64_t at = weft_after(ms(5));

    CHECK(many != NULL);
    for (int i = 0; i < HEAP; i++)
        CHECK_OK(weft_alarm_set(&many[i], &e, at - i % 3));
    for (int i = 0; i < HEAP; i += 2)
        CHECK_EQ(weft_alarm_stop(&many[i]), 1);
    after_all_until(at);
    CHECK_EQ(weft_event_is_set(&e), 1);
    for (int i = 0; i < HEAP; i++)
        CHECK_EQ(weft_alarm_when(&many[i]), WEFT_NEVER);
    free(many);
}

/* ---- death ---- */

static weft_alarm *outlives; /* memory of ours, for the alarms of others */
static weft_event never;
static int64_t rings_at;

/* Some in the lane's memory, some on its stack, some in its parent's; the first of each would ring soon. */
static int sets_and(void *ends)
{
    weft_alarm *own = weft_calloc(HEAP, sizeof *own), here[8] = {{{0}}};

    CHECK(own != NULL);
    for (int i = 0; i < HEAP; i++) /* downwards: the deepest of heaps */
        CHECK_OK(weft_alarm_set(&own[i], &never, rings_at + (HEAP - i) * WEFT_MICROSECOND));
    for (int i = 0; i < MANY; i++)
        CHECK_OK(weft_alarm_set(&outlives[i], &never, rings_at + i));
    if (!ends)
        for (int i = 0; i < 8; i++)
            CHECK_OK(weft_alarm_set(&here[i], &never, rings_at + i));
    put(&there, 1);
    return ends ? 0 : weft_park(WEFT_NEVER);
}

/* The child is over before any of its alarms would have rung, or its memory is still there; after it none does. */
static void end_with_their_lane(int by_itself)
{
    weft_id l;

    outlives = weft_calloc(MANY, sizeof *outlives);
    CHECK(outlives != NULL);
    CHECK_OK(weft_event_init(&never, WEFT_EVENT_MANUAL, 0));
    put(&there, 0);
    rings_at = weft_after(3600 * WEFT_SECOND);
    CHECK_OK(weft_lane_spawn(&l, sets_and, by_itself ? &there : NULL));
    if (by_itself) {
        ended(l);
    } else {
        reached(&there, 1);
        killed(l);
    }
    for (int i = 0; i < MANY; i++) { /* and may be set by others */
        CHECK_EQ(weft_alarm_stop(&outlives[i]), 0);
        CHECK_OK(weft_alarm_set(&outlives[i], &never, rings_at));
        CHECK_EQ(weft_alarm_when(&outlives[i]), rings_at);
    }
    for (int i = 0; i < MANY; i++)
        CHECK_EQ(weft_alarm_stop(&outlives[i]), 1);
    CHECK_EQ(weft_event_is_set(&never), 0);
    weft_free(outlives);
}

/* Killed while they ring: at any moment, and over and over. What has rung is no matter; that memory is touched that is
 * gone, sanitizers would see. */
static int rings_all_the_time(void *arg)
{
    enum { FEW = 64 };
    weft_alarm *own = weft_calloc(FEW, sizeof *own);
    weft_event *e = weft_calloc(FEW, sizeof *e);

    (void)arg;
    CHECK(own && e);
    put(&there, 1);
    for (int n = 0;; n++) {
        for (int i = 0; i < FEW; i++)
            CHECK_OK(weft_alarm_set(&own[i], &e[i], weft_now() + (i * 7 + n) % FEW * 20 * WEFT_MICROSECOND));
        int r = weft_event_wait(&e[n % FEW], WEFT_NEVER);
        if (r < 0)
            return r;
        CHECK_OK(weft_event_reset(&e[n % FEW]));
    }
}

static void killed_while_they_ring(void)
{
    for (int i = 0; i < 20; i++) {
        weft_id l;
        put(&there, 0);
        CHECK_OK(weft_lane_spawn(&l, rings_all_the_time, NULL));
        reached(&there, 1);
        for (int k = 0; k < i; k++)
            CHECK_OK(weft_yield());
        killed(l);
    }
}

/* Clean-ups of a killed lane may use them like everybody else. */
static void waits_for_one(void *arg)
{
    weft_alarm a = {{0}};
    weft_event e = {{0}};

    CHECK_OK(weft_alarm_set(&a, &e, weft_after(ms(1))));
    CHECK_OK(weft_event_wait(&e, WEFT_NEVER));
    bump(arg);
}

static int cleans_up(void *arg)
{
    CHECK_OK(weft_defer(waits_for_one, arg));
    put(&there, 1);
    return weft_park(WEFT_NEVER);
}

static void in_clean_ups(void)
{
    int rung = 0;
    weft_id l;

    put(&there, 0);
    CHECK_OK(weft_lane_spawn(&l, cleans_up, &rung));
    reached(&there, 1);
    killed(l);
    CHECK_EQ(get(&rung), 1);
}

static int run(int argc, char **argv)
{
    (void)argc, (void)argv;
    arguments();
    rings();
    share_an_event();
    is_stopped();
    is_set_anew();
    at_random();
    a_heap_of_them();
    end_with_their_lane(0);
    end_with_their_lane(1);
    killed_while_they_ring();
    in_clean_ups();
    return 0;
}

/* The root's own, which lie outside of every lane: the next runtime may set them. */
static int leaves_some(int argc, char **argv)
{
    (void)argc, (void)argv;
    for (int i = 0; i < MANY; i++) {
        CHECK_EQ(weft_alarm_stop(&alarms[i]), 0);
        CHECK_OK(weft_alarm_set(&alarms[i], &events[i], weft_after(3600 * WEFT_SECOND)));
    }
    return 0;
}

/* So may main's, whose lane is not buried as others are. */
static void around_main(void)
{
    weft_options opt = {.workers = 1, .blocked_ns = -1};

    CHECK_OK(weft_init(&opt));
    CHECK_OK(leaves_some(0, NULL));
    CHECK_OK(weft_fini(WEFT_NEVER));
}

int main(void)
{
    run_clean(run, 2);
    run_clean(leaves_some, 1);
    run_clean(leaves_some, 1);
    around_main();
    around_main();
    return 0;
}
