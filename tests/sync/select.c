/* Select: one case happens and the others leave no trace; fair or in order;
 * deadlines, death, and selects that meet selects. */
#include "world.h"

static weft_channel a, b;
static weft_event event;
static weft_mutex m;
static weft_semaphore sem;
static weft_future future;
static weft_latch latch;
static int room[2][4];
static int phase;

static void fresh(size_t capacity)
{
    CHECK_OK(weft_channel_init(&a, sizeof(int), capacity, capacity ? room[0] : NULL));
    CHECK_OK(weft_channel_init(&b, sizeof(int), capacity, capacity ? room[1] : NULL));
    CHECK_OK(weft_event_init(&event, WEFT_EVENT_AUTO, 0));
    CHECK_OK(weft_mutex_init(&m, 0, NULL));
    CHECK_OK(weft_semaphore_init(&sem, 0));
    CHECK_OK(weft_latch_init(&latch, 1));
    future = (weft_future){{0}};
    put(&phase, 0);
}

static void arguments(void)
{
    int x = 0;
    weft_case many[WEFT_CASES_MAX + 1] = {{0}};

    fresh(1);
    CHECK_EQ(weft_select(NULL, 0, WEFT_NOW), -ETIMEDOUT);
    CHECK_EQ(weft_select(NULL, 0, weft_after(WEFT_MILLISECOND)), -ETIMEDOUT);
    CHECK_EQ(weft_select(NULL, 1, WEFT_NOW), -EINVAL);
    CHECK_EQ(weft_select(many, WEFT_CASES_MAX + 1, WEFT_NOW), -E2BIG);
    CHECK_EQ(weft_select(many, WEFT_CASES_MAX, WEFT_NOW), -ETIMEDOUT); /* all of them switched off */
    CHECK_EQ(weft_select((weft_case[]){{.kind = 99}}, 1, WEFT_NOW), -EINVAL);
    CHECK_EQ(weft_select((weft_case[]){{.kind = -1}}, 1, WEFT_NOW), -EINVAL);
    CHECK_EQ(weft_select((weft_case[]){WEFT_PASS(NULL)}, 1, WEFT_NOW), -EINVAL);
    CHECK_EQ(weft_select((weft_case[]){WEFT_ACQUIRE(&sem, 0)}, 1, WEFT_NOW), -EINVAL);
    CHECK_EQ(weft_select((weft_case[]){WEFT_SEND(&a, &x), WEFT_RECEIVE(&a, &x)}, 2, WEFT_NOW), -EINVAL);
    CHECK_EQ(weft_select((weft_case[]){WEFT_JOIN(WEFT_NOID)}, 1, WEFT_NOW), -ESRCH);
    CHECK_EQ(weft_select((weft_case[]){WEFT_JOIN(weft_self())}, 1, WEFT_NOW), -EDEADLK);
    CHECK_OK(weft_mutex_lock(&m, WEFT_NEVER));
    CHECK_EQ(weft_select((weft_case[]){WEFT_LOCK(&m)}, 1, WEFT_NOW), -EDEADLK);
    CHECK_OK(weft_mutex_unlock(&m));
    weft_scope s;
    CHECK_OK(weft_scope_enter(&s, WEFT_NOW));
    CHECK_EQ(weft_select((weft_case[]){WEFT_SEND(&a, &x)}, 1, WEFT_NEVER), -ECANCELED);
    CHECK_EQ(weft_scope_leave(&s), -ETIMEDOUT);
    CHECK_EQ(weft_channel_length(&a), 0);
}

/* What is wrong with one case is told although another, which comes before it, is ready;
 * and that one has not happened. */
static void arguments_beside_what_is_ready(void)
{
    int x = 0;

    fresh(1);
    CHECK_EQ(weft_event_set(&event), 0);
    CHECK_OK(weft_mutex_lock(&m, WEFT_NEVER));
    const struct {
        weft_case c;
        int answer;
    } wrong[] = {{{.kind = 99}, -EINVAL}, {{.kind = 31}, -EINVAL}, {{.kind = WEFT_CASE_ACCEPT + 1}, -EINVAL}, {WEFT_PASS(NULL), -EINVAL},
                 {WEFT_RECEIVE(NULL, &x), -EINVAL}, {WEFT_ACQUIRE(&sem, 0), -EINVAL}, {WEFT_LOCK(&m), -EDEADLK}, {WEFT_JOIN(WEFT_NOID), -ESRCH},
                 {WEFT_CAN_READ(WEFT_NOID), -EBADF}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        weft_case c[] = {WEFT_PASS(&event), wrong[i].c};
        CHECK_EQ(weft_select_ordered(c, 2, WEFT_NEVER), wrong[i].answer);
        CHECK_EQ(weft_select(c, 2, WEFT_NEVER), wrong[i].answer);
    }
    weft_case both[] = {WEFT_PASS(&event), WEFT_SEND(&a, &x), WEFT_RECEIVE(&a, &x)};
    CHECK_EQ(weft_select_ordered(both, 3, WEFT_NEVER), -EINVAL);
    CHECK_EQ(weft_channel_length(&a), 0);
    CHECK_EQ(weft_event_is_set(&event), 1);
    CHECK_OK(weft_mutex_unlock(&m));
}

static int returns_seven(void *arg)
{
    (void)arg;
    return 7;
}

/* Each kind at once, with nothing to wait for. */
static int expects(void *arg)
{
    void *value = NULL;
    weft_case c[] = {WEFT_EXPECT(&future, &value), WEFT_AT(WEFT_NEVER)};

    (void)arg;
    CHECK_EQ(weft_select(c, 2, WEFT_NEVER), 0);
    CHECK_EQ(c[0].result, 7);
    CHECK(value == &future);
    return 0;
}

/* What a case has got it keeps, though its fiber is cancelled before it sees it. */
static void kept_and_cancelled(void)
{
    weft_id f;

    fresh(1);
    CHECK_OK(weft_spawn(&f, expects, NULL));
    settle();
    CHECK_OK(weft_future_keep(&future, 7, &future));
    CHECK_OK(weft_cancel(f));
    joined(f);
}

static void each_ready(void)
{
    int x = 5, y = 0;
    void *value = NULL;
    weft_id f;

    fresh(1);
    weft_case c[] = {WEFT_SEND(&a, &x), WEFT_RECEIVE(&b, &y)};
    CHECK_EQ(weft_select(c, 2, WEFT_NOW), 0);
    CHECK_EQ(c[0].result, 0);
    CHECK_EQ(weft_select(c, 2, WEFT_NOW), -ETIMEDOUT);
    CHECK_OK(weft_channel_send(&b, &x, WEFT_NEVER));
    CHECK_EQ(weft_select(c, 2, WEFT_NOW), 1);
    CHECK_EQ(y, 5);
    CHECK_OK(weft_channel_close(&b, -EIO));
    CHECK_EQ(weft_select(c, 2, WEFT_NOW), 1);
    CHECK_EQ(c[1].result, -EIO);
    weft_case d[] = {WEFT_PASS(&event), WEFT_ACQUIRE(&sem, 2), WEFT_EXPECT(&future, &value), WEFT_OVER(&latch)};
    CHECK_EQ(weft_select(d, 4, WEFT_NOW), -ETIMEDOUT);
    CHECK_EQ(weft_event_set(&event), 0);
    CHECK_EQ(weft_select(d, 4, WEFT_NEVER), 0);
    CHECK_OK(weft_semaphore_release(&sem, 2));
    CHECK_EQ(weft_select(d, 4, WEFT_NEVER), 1);
    CHECK_OK(weft_future_keep(&future, 3, &future));
    CHECK_EQ(weft_select(d, 4, WEFT_NEVER), 2);
    CHECK(value == &future && d[2].result == 3);
    d[2].kind = WEFT_CASE_NONE;
    CHECK_OK(weft_latch_done(&latch, 1));
    CHECK_EQ(weft_select(d, 4, WEFT_NEVER), 3);
    CHECK_OK(weft_spawn(&f, returns_seven, NULL));
    weft_case e[] = {WEFT_JOIN(f), WEFT_LOCK(&m), WEFT_AT(WEFT_NEVER)};
    CHECK_EQ(weft_select_ordered(e, 3, WEFT_NOW), 1);
    CHECK_EQ(e[1].result, 0);
    CHECK_OK(weft_mutex_unlock(&m));
    e[1].kind = WEFT_CASE_NONE;
    CHECK_EQ(weft_select(e, 3, WEFT_NEVER), 0);
    CHECK_EQ(e[0].result, 7);
    CHECK_EQ(weft_join(f, NULL, WEFT_NEVER), -ESRCH);
}

static void times(void)
{
    weft_case c[] = {WEFT_AT(weft_after(20 * WEFT_SECOND)), WEFT_AT(weft_after(20 * WEFT_SECOND)), WEFT_PASS(&event)};

    fresh(0);
    CHECK_EQ(weft_select(c, 3, WEFT_NOW), -ETIMEDOUT);
    CHECK_EQ(weft_select(c, 3, weft_after(WEFT_MILLISECOND / 2)), -ETIMEDOUT);
    const int64_t at = weft_after(2 * WEFT_MILLISECOND);
    c[1].deadline = at;
    CHECK_EQ(weft_select(c, 3, WEFT_NEVER), 1);
    CHECK(weft_now() >= at);
    CHECK_EQ(weft_select(c, 3, WEFT_NOW), 1);
}

/* All ready: in order the first, else each of them about as often. */
static void fairness(void)
{
    int x = 1, y = 0, times_won[4] = {0};
    weft_case c[] = {WEFT_SEND(&a, &x), WEFT_RECEIVE(&b, &y), WEFT_PASS(&event), WEFT_AT(WEFT_NOW)};

    fresh(1);
    CHECK_OK(weft_event_init(&event, WEFT_EVENT_MANUAL, 1));
    for (int i = 0; i < 4000; i++) {
        (void)weft_channel_try_send(&b, &x);
        (void)weft_channel_try_receive(&a, &y);
        const int won = weft_select(c, 4, WEFT_NEVER);
        CHECK(won >= 0 && won < 4);
        times_won[won]++;
    }
    for (int i = 0; i < 4; i++)
        CHECK(times_won[i] > 800 && times_won[i] < 1200);
    for (int i = 0; i < 10; i++)
        CHECK_EQ(weft_select_ordered(c + 2, 2, WEFT_NEVER), 0);
}

/* ---- waiting, and nothing left behind ---- */

static int waiting_result;

static int waits_for_all(void *arg)
{
    int x = 42, y = 0;
    weft_case c[] = {WEFT_SEND(&a, &x), WEFT_RECEIVE(&b, &y), WEFT_PASS(&event), WEFT_LOCK(&m), WEFT_ACQUIRE(&sem, 3),
                     WEFT_EXPECT(&future, NULL), WEFT_OVER(&latch)};

    put(&phase, 1);
    const int r = weft_select(c, 7, arg ? *(int64_t *)arg : WEFT_NEVER);
    if (r < 0)
        return r;
    CHECK_EQ(c[r].result, 0);
    if (r == 3)
        CHECK_OK(weft_mutex_unlock(&m));
    waiting_result = y;
    return r;
}

/* Nobody stands anywhere any more. */
static void nobody_waits(void)
{
    int x = 0;
    weft_mutex_info info;

    CHECK_EQ(weft_channel_try_receive(&a, &x), -EAGAIN);
    CHECK_EQ(weft_channel_try_send(&b, &x), -EAGAIN);
    CHECK_EQ(weft_event_set(&event), 0);
    weft_mutex_look(&m, &info);
    CHECK_EQ(info.waiting, 0);
    const size_t there = weft_semaphore_value(&sem);
    CHECK_OK(weft_semaphore_release(&sem, 3));
    CHECK_EQ(weft_semaphore_value(&sem), there + 3);
}

static void happen(int which)
{
    int x = 17;

    switch (which) {
    case 0:
        CHECK_OK(weft_channel_receive(&a, &x, WEFT_NEVER));
        CHECK_EQ(x, 42);
        break;
    case 1:
        CHECK_OK(weft_channel_send(&b, &x, WEFT_NEVER));
        break;
    case 2:
        CHECK_EQ(weft_event_set(&event), 1);
        break;
    case 3:
        CHECK_OK(weft_mutex_unlock(&m));
        break;
    case 4:
        CHECK_OK(weft_semaphore_release(&sem, 3));
        break;
    case 5:
        CHECK_OK(weft_future_keep(&future, 0, NULL));
        break;
    default:
        CHECK_OK(weft_latch_done(&latch, 1));
        break;
    }
}

static void each_comes(int lanes)
{
    for (int which = 0; which < 7; which++) {
        weft_id f;
        int r;

        fresh(0);
        CHECK_OK(weft_mutex_lock(&m, WEFT_NEVER));
        if (lanes)
            CHECK_OK(weft_lane_spawn(&f, waits_for_all, NULL));
        else
            CHECK_OK(weft_spawn(&f, waits_for_all, NULL));
        reached(&phase, 1);
        weft_mutex_info info;
        do {
            CHECK_OK(weft_yield());
            weft_mutex_look(&m, &info);
        } while (!info.waiting);
        if (lanes && which == 2)
            while (weft_event_set(&event) == 0) /* it may not stand in all lines yet: the event stays, and is found */
                if (weft_event_is_set(&event))
                    break;
        if (!lanes || which != 2)
            happen(which);
        CHECK_OK(lanes ? weft_lane_join(f, &r, soon()) : weft_join(f, &r, soon()));
        CHECK_EQ(r, which);
        if (which == 1)
            CHECK_EQ(waiting_result, 17);
        if (which != 3)
            CHECK_OK(weft_mutex_unlock(&m));
        nobody_waits();
    }
}

static void none_comes(void)
{
    int64_t brief = weft_after(2 * WEFT_MILLISECOND);
    weft_id f;
    int r;

    fresh(0);
    CHECK_OK(weft_mutex_lock(&m, WEFT_NEVER));
    CHECK_OK(weft_spawn(&f, waits_for_all, &brief));
    CHECK_OK(weft_join(f, &r, soon()));
    CHECK_EQ(r, -ETIMEDOUT);
    nobody_waits();
    CHECK_OK(weft_semaphore_try(&sem, 3));
    CHECK_OK(weft_event_reset(&event));
    CHECK_OK(weft_spawn(&f, waits_for_all, NULL));
    settle();
    CHECK_OK(weft_cancel(f));
    CHECK_OK(weft_join(f, &r, soon()));
    CHECK_EQ(r, -ECANCELED);
    nobody_waits();
    CHECK_OK(weft_mutex_unlock(&m));
}

static void it_dies(void)
{
    for (int which = -1; which < 7; which++) { /* while it waits, and after each case has come */
        weft_id l;
        int x = 0;

        fresh(0);
        CHECK_OK(weft_mutex_lock(&m, WEFT_NEVER));
        CHECK_OK(weft_lane_spawn_with(&l, waits_for_all, NULL, .pinned = 1));
        reached(&phase, 1);
        if (which >= 0)
            happen(which);
        kill_here(l);
        CHECK_OK(weft_lane_join(l, NULL, soon()));
        if (which == 2) { /* what it had been given is there again */
            CHECK_EQ(weft_event_is_set(&event), 1);
            CHECK_OK(weft_event_reset(&event));
        }
        if (which == 4)
            CHECK_OK(weft_semaphore_try(&sem, 3));
        if (which == 3)
            CHECK_OK(weft_mutex_lock(&m, WEFT_NOW));
        CHECK_EQ(weft_channel_try_receive(&a, &x), -EAGAIN);
        nobody_waits();
        CHECK_OK(weft_mutex_unlock(&m));
    }
}

/* ---- joins ---- */

static int parks(void *arg)
{
    (void)arg;
    CHECK_OK(weft_park(WEFT_NEVER));
    return 9;
}

static int joins_one(void *arg)
{
    weft_case c[] = {WEFT_PASS(&event), WEFT_JOIN(*(weft_id *)arg)};

    put(&phase, 1);
    const int r = weft_select(c, 2, WEFT_NEVER);
    if (r == 1)
        CHECK_EQ(c[1].result, 9);
    return r;
}

static int waits_to_be_cancelled(void *arg)
{
    (void)arg;
    return weft_park(WEFT_NEVER);
}

/* Two cases about the same one: it is joined once, and nothing of it is looked at afterwards. */
static void joins_it_twice(void)
{
    weft_id f, l;

    for (int ended_before = 0; ended_before < 2; ended_before++) {
        CHECK_OK(weft_spawn(&f, parks, NULL));
        CHECK_OK(weft_lane_spawn_with(&l, waits_to_be_cancelled, NULL, .pinned = 1));
        settle();
        for (int lane = 0; lane < 2; lane++) {
            const weft_id it = lane ? l : f;
            weft_case twice[] = {lane ? WEFT_JOIN_LANE(it) : WEFT_JOIN(it), lane ? WEFT_JOIN_LANE(it) : WEFT_JOIN(it)};
            if (lane)
                CHECK_OK(weft_cancel(it));
            else
                CHECK_OK(weft_unpark(it));
            if (ended_before)
                settle();
            const int r = weft_select(twice, 2, soon());
            CHECK(r == 0 || r == 1);
            CHECK_EQ(twice[r].result, lane ? -ECANCELED : 9);
            CHECK_EQ(twice[!r].result, 0);
            CHECK_EQ(lane ? weft_lane_join(it, NULL, WEFT_NOW) : weft_join(it, NULL, WEFT_NOW), -ESRCH);
        }
    }
}

static void joins(void)
{
    weft_id f, j;
    int r;

    fresh(0);
    CHECK_OK(weft_spawn(&f, parks, NULL));
    CHECK_OK(weft_spawn(&j, joins_one, &f));
    settle();
    CHECK_EQ(weft_join(f, NULL, WEFT_NEVER), -EBUSY);
    CHECK_EQ(weft_select((weft_case[]){WEFT_JOIN(f)}, 1, WEFT_NOW), -EBUSY);
    CHECK_EQ(weft_event_set(&event), 1);
    CHECK_OK(weft_join(j, &r, soon()));
    CHECK_EQ(r, 0);
    CHECK_EQ(weft_join(f, NULL, weft_after(WEFT_MILLISECOND)), -ETIMEDOUT); /* it was let go of */
    CHECK_OK(weft_spawn(&j, joins_one, &f));
    settle();
    CHECK_OK(weft_cancel(j));
    CHECK_OK(weft_join(j, &r, soon()));
    CHECK_EQ(r, -ECANCELED);
    CHECK_OK(weft_spawn(&j, joins_one, &f));
    settle();
    CHECK_OK(weft_unpark(f));
    CHECK_OK(weft_join(j, &r, soon()));
    CHECK_EQ(r, 1);
    CHECK_EQ(weft_join(f, NULL, WEFT_NOW), -ESRCH);
    CHECK_EQ(weft_event_set(&event), 0);
}

static int spawns_and_joins(void *arg)
{
    weft_id f;

    (void)arg;
    CHECK_OK(weft_spawn(&f, parks, NULL));
    return joins_one(&f);
}

static void joiner_dies(void)
{
    weft_id l;

    fresh(0);
    CHECK_OK(weft_lane_spawn(&l, spawns_and_joins, NULL));
    reached(&phase, 1);
    killed(l);
    CHECK_EQ(weft_event_set(&event), 0);
}

static int a_child(void *arg)
{
    bump(&phase);
    return weft_event_wait(arg, WEFT_NEVER) < 0 ? -EIO : 11;
}

static int waits_for_children(void *arg)
{
    weft_event mine = {{0}};
    weft_id l;

    CHECK_OK(weft_lane_spawn(&l, a_child, &mine));
    return weft_select((weft_case[]){WEFT_PASS(arg), WEFT_JOIN_LANE(l)}, 2, WEFT_NEVER);
}

static void lanes(void)
{
    weft_event mine = {{0}};
    weft_id l, other;
    int r;

    fresh(0);
    CHECK_OK(weft_lane_spawn(&l, a_child, &mine));
    CHECK_OK(weft_lane_spawn(&other, a_child, &mine));
    weft_case c[] = {WEFT_PASS(&event), WEFT_JOIN_LANE(l), WEFT_AT(weft_after(WEFT_MILLISECOND))};
    CHECK_EQ(weft_select((weft_case[]){WEFT_JOIN_LANE(WEFT_NOID)}, 1, WEFT_NOW), weft_lane_join(WEFT_NOID, NULL, WEFT_NOW));
    CHECK_EQ(weft_select((weft_case[]){WEFT_JOIN_LANE(weft_lane_self())}, 1, WEFT_NOW), weft_lane_join(weft_lane_self(), NULL, WEFT_NOW));
    CHECK_EQ(weft_select(c, 3, WEFT_NEVER), 2);
    CHECK_EQ(weft_select(c, 3, WEFT_NOW), 2);
    CHECK_EQ(weft_lane_join(l, NULL, WEFT_NOW), -ETIMEDOUT); /* it was let go of */
    reached(&phase, 2);
    CHECK(weft_event_set(&mine) >= 0);
    c[2].deadline = WEFT_NEVER;
    CHECK_EQ(weft_select(c, 3, WEFT_NEVER), 1);
    CHECK_EQ(c[1].result, 11);
    CHECK_EQ(weft_select(c, 3, WEFT_NEVER), -ESRCH); /* joined once */
    CHECK_OK(weft_lane_join(other, &r, soon()));
    CHECK_EQ(r, 11);
    put(&phase, 0);
    CHECK_OK(weft_lane_spawn(&l, waits_for_children, &event)); /* one that dies with its child */
    reached(&phase, 1);
    killed(l);
    CHECK_EQ(weft_event_set(&event), 0);
}

/* ---- many cases, and many selects ---- */

static weft_channel wide[40];

static int sends_to_the_last(void *arg)
{
    int x = 40;

    (void)arg;
    return weft_channel_send(&wide[39], &x, WEFT_NEVER);
}

static void wider_than_the_stack(void)
{
    weft_case c[40];
    int got = 0;
    weft_id f;

    for (int i = 0; i < 40; i++) {
        CHECK_OK(weft_channel_init(&wide[i], sizeof(int), 0, NULL));
        c[i] = WEFT_RECEIVE(&wide[i], &got);
    }
    CHECK_EQ(weft_select(c, 40, weft_after(WEFT_MILLISECOND)), -ETIMEDOUT);
    CHECK_OK(weft_spawn(&f, sends_to_the_last, NULL));
    CHECK_EQ(weft_select(c, 40, WEFT_NEVER), 39);
    CHECK_EQ(got, 40);
    joined(f);
}

enum { PLAYERS = 4, MOVES = 3000 };
static long sent[PLAYERS], received[PLAYERS];
static int sends_done, receives_done;

/* Everybody sends on one channel and receives on the other, whichever comes first:
 * selects meet selects, in both directions. */
static int plays(void *arg)
{
    const int me = (int)(intptr_t)arg;
    uint64_t state = (uint64_t)me + 1;
    weft_channel *out = me % 2 ? &a : &b, *in = me % 2 ? &b : &a;

    for (int i = 0; get(&sends_done) < PLAYERS * MOVES || get(&receives_done) < PLAYERS * MOVES; i++) {
        int x = (int)(next_random(&state) % 1000), y = 0;
        weft_case c[] = {WEFT_SEND(out, &x), WEFT_RECEIVE(in, &y)};
        if (sent[me] >= 0 && i > 100 * MOVES)
            TEST_FAIL("no progress");
        const int64_t by = weft_after(WEFT_MILLISECOND);
        const int r = next_random(&state) % 4 ? weft_select(c, 2, by) : weft_select_ordered(c, 2, by);
        if (r == 0) {
            sent[me] += x + 1;
            bump(&sends_done);
        } else if (r == 1) {
            received[me] += y + 1;
            bump(&receives_done);
        } else {
            CHECK_EQ(r, -ETIMEDOUT);
        }
    }
    return 0;
}

static void selects_meet(void)
{
    for (size_t capacity = 0; capacity < 2; capacity++) {
        weft_id l[PLAYERS];
        long out = 0, in = 0;
        int y;

        fresh(capacity);
        put(&sends_done, 0);
        put(&receives_done, 0);
        for (int i = 0; i < PLAYERS; i++) {
            sent[i] = received[i] = 0;
            CHECK_OK(weft_lane_spawn(&l[i], plays, (void *)(intptr_t)i));
        }
        for (int i = 0; i < PLAYERS; i++)
            ended(l[i]);
        while (weft_channel_try_receive(&a, &y) == 0 || weft_channel_try_receive(&b, &y) == 0) {
            in += y + 1;
            bump(&receives_done);
        }
        for (int i = 0; i < PLAYERS; i++) {
            out += sent[i];
            in += received[i];
        }
        CHECK_EQ(get(&sends_done), get(&receives_done));
        CHECK_EQ(out, in); /* each once */
    }
}

static int run(int argc, char **argv)
{
    (void)argc, (void)argv;
    arguments();
    arguments_beside_what_is_ready();
    each_ready();
    kept_and_cancelled();
    times();
    fairness();
    each_comes(0);
    each_comes(1);
    none_comes();
    it_dies();
    joins();
    joins_it_twice();
    joiner_dies();
    lanes();
    wider_than_the_stack();
    selects_meet();
    return 0;
}

int main(void)
{
    run_clean(run, 2);
    return 0;
}
