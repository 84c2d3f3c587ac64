/* A mobile lane moves while its fibers wait for each other, for time, locks and messages; what they wait for comes
 * where it is by then, or its deadline, a cancel or a kill does. */
#include "lane/moving.h"

/* ---- time ---- */

static int sleeps(void *arg)
{
    const int64_t until = *(int64_t *)arg;

    bump(&begun);
    CHECK_OK(weft_sleep(until));
    CHECK(weft_now() >= until);
    return 0;
}

static int while_sleeping(void *arg)
{
    int64_t early = weft_after(20 * WEFT_MILLISECOND), late = weft_after(40 * WEFT_MILLISECOND);
    weft_id a = sibling(sleeps, &early), b = sibling(sleeps, &late);

    (void)arg;
    tour();
    CHECK_EQ(result_of(a), 0);
    tour();
    CHECK_EQ(result_of(b), 0);
    return 0;
}

static int waits_for_timer(void *arg)
{
    bump(&begun);
    return weft_timer_wait(*(weft_id *)arg, NULL, soon());
}

static int while_waiting_for_a_timer(void *arg)
{
    weft_id t;

    (void)arg;
    CHECK_OK(weft_timer_open(&t));
    CHECK_OK(weft_timer_set(t, weft_after(20 * WEFT_MILLISECOND), 0));
    const weft_id f = sibling(waits_for_timer, &t);
    tour();
    CHECK_EQ(result_of(f), 0);
    const weft_id g = sibling(waits_for_timer, &t);
    tour();
    CHECK_OK(weft_timer_set(t, WEFT_NOW, 0));
    CHECK_EQ(result_of(g), 0);
    return 0;
}

/* Some ring on the way, some are stopped where it is now, one that was put off rings where it ends. */
static int with_alarms_set(void *arg)
{
    weft_alarm near = {{0}}, far = {{0}}, stopped = {{0}};
    weft_event e = {{0}}, late = {{0}}, never = {{0}};
    int64_t at = weft_after(10 * WEFT_MILLISECOND);

    (void)arg;
    CHECK_OK(weft_alarm_set(&near, &e, at));
    CHECK_OK(weft_alarm_set(&far, &late, at));
    CHECK_OK(weft_alarm_set(&stopped, &never, at + 1));
    CHECK_OK(weft_alarm_set(&far, &late, at + 30 * WEFT_MILLISECOND));
    tour();
    weft_alarm_stop(&stopped); /* unless it has rung already */
    CHECK_OK(weft_event_wait(&e, WEFT_NEVER));
    CHECK(weft_now() >= at);
    tour();
    CHECK_OK(weft_event_wait(&late, WEFT_NEVER));
    CHECK(weft_now() >= at + 30 * WEFT_MILLISECOND);
    CHECK_OK(weft_event_reset(&late));
    CHECK_OK(weft_alarm_set(&far, &late, weft_after(3600 * WEFT_SECOND))); /* with none in the wheel but this */
    tour();
    CHECK_OK(weft_alarm_set(&far, &late, weft_after(WEFT_MILLISECOND)));
    CHECK_OK(weft_event_wait(&late, WEFT_NEVER));
    CHECK_OK(weft_alarm_set(&far, &late, weft_after(3600 * WEFT_SECOND)));
    CHECK_EQ(weft_alarm_stop(&far), 1);
    tour(); /* and none */
    return 0;
}

static int within_scopes(void *arg)
{
    weft_scope outer, inner, shield;

    (void)arg;
    CHECK_OK(weft_scope_enter(&outer, weft_after(60 * WEFT_SECOND)));
    CHECK_OK(weft_scope_enter(&inner, weft_after(10 * WEFT_MILLISECOND)));
    tour();
    CHECK_EQ(weft_sleep(soon()), -ECANCELED);
    CHECK_OK(weft_shield_enter(&shield, 10 * WEFT_MILLISECOND));
    tour();
    CHECK_EQ(weft_sleep(soon()), -ECANCELED); /* the grace ends where it is now */
    CHECK_OK(weft_shield_leave(&shield));
    tour();
    CHECK_EQ(weft_scope_leave(&inner), -ETIMEDOUT);
    CHECK_OK(weft_scope_leave(&outer));
    CHECK_OK(weft_canceled());
    return 0;
}

static int until_its_deadline(void *arg)
{
    (void)arg;
    tour();
    CHECK_EQ(weft_park(WEFT_NEVER), -ECANCELED);
    tour(); /* cancelled or not */
    return -ECANCELED;
}

/* ---- fibers of the lane ---- */

static int parks(void *arg)
{
    (void)arg;
    bump(&begun);
    CHECK_OK(weft_park(soon()));
    return (int)here();
}

static int unparks(void *arg)
{
    bump(&begun);
    return weft_unpark(*(weft_id *)arg);
}

static int grandchild(void *arg)
{
    (void)arg;
    bump(&begun);
    CHECK_OK(weft_park(soon()));
    return 9;
}

static int joins_lane(void *arg)
{
    int result;

    bump(&begun);
    CHECK_OK(weft_lane_join(*(weft_id *)arg, &result, soon()));
    return result;
}

static int while_joining(void *arg)
{
    weft_id a = sibling(parks, NULL), child, fibers[4];

    (void)arg;
    tour();
    CHECK_OK(weft_unpark(a));
    CHECK_EQ(result_of(a), (int)here());

    const int before = get(&begun);
    CHECK_OK(weft_lane_spawn(&child, grandchild, NULL));
    while (get(&begun) == before)
        CHECK_OK(weft_yield());
    weft_id j = sibling(joins_lane, &child);
    tour();
    CHECK_OK(weft_kill(child));
    CHECK_EQ(result_of(j), -ECANCELED);

    for (int i = 0; i < 4; i++) /* newborns have no stack yet */
        CHECK_OK(weft_spawn(&fibers[i], parks, NULL));
    tour();
    for (int i = 0; i < 4; i++) {
        weft_id u;
        CHECK_OK(weft_spawn(&u, unparks, &fibers[i]));
        CHECK_OK(weft_lane_move(first + (unsigned)i % WORKERS));
        CHECK_EQ(result_of(u), 0);
        CHECK_EQ(result_of(fibers[i]), (int)here());
    }
    return 0;
}

/* Results that nobody has asked for yet go along as well. */
static int returns(void *arg)
{
    bump(&begun);
    return *(int *)arg;
}

static int with_results_unasked(void *arg)
{
    int n = 5;
    weft_id f = sibling(returns, &n), g;

    (void)arg;
    tour();
    CHECK_EQ(result_of(f), 5);
    CHECK_OK(weft_spawn(&g, returns, &n));
    tour();
    CHECK_OK(weft_detach(g));
    return 0;
}

/* ---- locks, channels, select ---- */

static weft_mutex mutex;
static weft_channel channel;

static int locks(void *arg)
{
    (void)arg;
    bump(&begun);
    CHECK_OK(weft_mutex_lock(&mutex, soon()));
    tour(); /* what it holds goes along */
    CHECK_OK(weft_mutex_unlock(&mutex));
    return (int)here();
}

static int came_too_late;

static int locks_until(void *arg)
{
    (void)arg;
    bump(&begun);
    came_too_late = weft_mutex_lock(&mutex, weft_after(20 * WEFT_MILLISECOND));
    return 0;
}

static int receives_item(void *arg)
{
    int item = 0;

    (void)arg;
    bump(&begun);
    CHECK_OK(weft_channel_receive(&channel, &item, soon()));
    return item;
}

static int while_locking(void *arg)
{
    (void)arg;
    CHECK_OK(weft_mutex_lock(&mutex, soon()));
    const weft_id late = sibling(locks_until, NULL), f = sibling(locks, NULL);
    tour();
    while (!came_too_late) /* to join it with the mutex in hand would be a deadlock, and told */
        CHECK_OK(weft_yield());
    CHECK_EQ(came_too_late, -ETIMEDOUT);
    CHECK_OK(weft_mutex_unlock(&mutex));
    CHECK_EQ(result_of(late), 0);
    CHECK_EQ(result_of(f), (int)here());
    return 0;
}

/* Another lane, which stays, has something for it. */
static int serves(void *arg)
{
    const int item = *(int *)arg;

    return weft_channel_send(&channel, &item, soon());
}

static int while_receiving(void *arg)
{
    (void)arg;
    for (int n = 0; n < OFTEN; n++) {
        const int item = 40 + n;
        const weft_id f = sibling(receives_item, NULL);
        weft_id l;
        tour();
        CHECK_OK(weft_lane_spawn_with(&l, serves, (void *)&item, .copy = sizeof item));
        if (n % 2)
            tour(); /* it may come at the same time */
        CHECK_EQ(result_of(f), item);
        CHECK_OK(weft_lane_join(l, NULL, soon()));
    }
    return 0;
}

static int selects_item(void *arg)
{
    int item = 0;
    weft_case c[] = {WEFT_RECEIVE(&channel, &item), WEFT_JOIN(*(weft_id *)arg), WEFT_AT(soon())};

    bump(&begun);
    const int i = weft_select(c, 3, WEFT_NEVER);
    return i == 0 ? 100 + item : i;
}

static int while_selecting(void *arg)
{
    (void)arg;
    for (int n = 0; n < OFTEN; n++) {
        weft_id l, never = sibling(parks, NULL), f = sibling(selects_item, &never);
        int item = n;
        tour();
        if (n % 2) {
            CHECK_OK(weft_lane_spawn_with(&l, serves, &item, .copy = sizeof item));
            tour();
            CHECK_EQ(result_of(f), 100 + n);
            CHECK_OK(weft_lane_join(l, NULL, soon()));
            CHECK_OK(weft_unpark(never));
            (void)result_of(never);
        } else {
            CHECK_OK(weft_unpark(never));
            CHECK_EQ(result_of(f), 1);
        }
    }
    return 0;
}

/* ---- messages ---- */

static int receives(void *arg)
{
    weft_message *m;

    (void)arg;
    bump(&begun);
    CHECK_OK(weft_receive(&m, soon()));
    const int tag = (int)m->tag;
    CHECK_OK(weft_msg_free(m));
    return tag;
}

/* Sends to, calls or fills the mailbox of the lane that asks it to by a message. */
enum { SEND = 1, ANSWER, TAKE, STOP };

static int partner(void *arg)
{
    weft_message *m;

    (void)arg;
    for (;;) {
        CHECK_OK(weft_receive(&m, soon()));
        const uint32_t what = m->tag;
        if (what == SEND)
            CHECK_OK(weft_send_with(m->from, NULL, 0, .tag = 77));
        if (m->reply.gen)
            CHECK_OK(weft_reply(m, "yes", 3));
        CHECK_OK(weft_msg_free(m));
        if (what == STOP)
            return 0;
    }
}

static int calls(void *arg)
{
    weft_message *answer;

    bump(&begun);
    CHECK_OK(weft_call(*(weft_id *)arg, "?", 1, &answer, soon()));
    const int size = (int)answer->size;
    CHECK_OK(weft_msg_free(answer));
    return size;
}

static int while_receiving_messages(void *arg)
{
    weft_id p;

    (void)arg;
    CHECK_OK(weft_lane_spawn(&p, partner, NULL));
    for (int n = 0; n < OFTEN; n++) {
        weft_id f = sibling(receives, NULL);
        tour();
        CHECK_OK(weft_send_with(p, NULL, 0, .tag = SEND));
        tour();
        CHECK_EQ(result_of(f), 77);
        f = sibling(calls, &p);
        tour();
        CHECK_EQ(result_of(f), 3);
    }
    CHECK_OK(weft_send_with(p, NULL, 0, .tag = STOP));
    CHECK_OK(weft_lane_join(p, NULL, soon()));
    return 0;
}

/* Takes nothing before it is told to. */
static int reluctant(void *arg)
{
    weft_message *m;

    (void)arg;
    CHECK_OK(weft_park(soon()));
    for (int n = 0; n < 3; n++) {
        CHECK_OK(weft_receive(&m, soon()));
        CHECK_OK(weft_msg_free(m));
    }
    return 0;
}

static int reluctant_self(void *arg)
{
    *(weft_id *)arg = weft_self();
    bump(&begun);
    return reluctant(NULL);
}

static int sends(void *arg)
{
    bump(&begun);
    return weft_send_with(*(weft_id *)arg, "x", 1, .deadline = soon());
}

static int sends_in_vain(void *arg)
{
    bump(&begun);
    return weft_send_with(*(weft_id *)arg, "x", 1, .deadline = weft_after(20 * WEFT_MILLISECOND));
}

static int while_waiting_for_room(void *arg)
{
    static weft_id fiber;
    weft_id l;
    const weft_limits small = {.messages = 1};
    const int before = get(&begun);

    (void)arg;
    CHECK_OK(weft_lane_spawn_with(&l, reluctant_self, &fiber, .limits = &small));
    while (get(&begun) == before)
        CHECK_OK(weft_yield());
    CHECK_OK(weft_send(l, "x", 1, NULL));
    const weft_id late = sibling(sends_in_vain, &l), a = sibling(sends, &l), b = sibling(sends, &l);
    tour();
    CHECK_EQ(result_of(late), -ETIMEDOUT);
    CHECK_OK(weft_unpark(fiber));
    tour();
    CHECK_EQ(result_of(a), 0);
    CHECK_EQ(result_of(b), 0);
    CHECK_OK(weft_lane_join(l, NULL, soon()));
    return 0;
}

/* ---- memory, clean-ups ---- */

static int cleaned;

static void cleans(void *arg)
{
    CHECK_OK(weft_yield());
    tour(); /* its lane lives on */
    cleaned = *(int *)arg;
}

static int defers(void *arg)
{
    static int n = 3;

    (void)arg;
    CHECK_OK(weft_defer(cleans, &n));
    bump(&begun);
    tour();
    return 0;
}

static int with_memory_and_clean_ups(void *arg)
{
    char *blocks[64];

    (void)arg;
    for (int i = 0; i < 64; i++) {
        blocks[i] = weft_alloc((size_t)1 << i % 17);
        CHECK(blocks[i] != NULL);
        blocks[i][0] = (char)i;
        CHECK_OK(weft_lane_move(first + (unsigned)i % WORKERS));
    }
    for (int i = 0; i < 64; i += 2) {
        CHECK_EQ(blocks[i][0], (char)i);
        weft_free(blocks[i]);
        CHECK_OK(weft_lane_move(first + (unsigned)i % WORKERS));
    }
    weft_id f;
    CHECK_OK(weft_spawn(&f, defers, NULL));
    CHECK_EQ(result_of(f), 0);
    CHECK_EQ(cleaned, 3);
    return 0;
}

/* ---- limits ---- */

static int occupies(void *arg)
{
    (void)arg;
    bump(&begun);
    return weft_park(soon());
}

static int more_fibers(void *arg)
{
    int zero = 0;
    weft_id f;

    (void)arg;
    bump(&begun);
    CHECK_OK(weft_spawn_with(&f, returns, &zero, .wait = soon()));
    return result_of(f);
}

static int at_a_limit(void *arg)
{
    (void)arg;
    const weft_id a = sibling(occupies, NULL), b = sibling(more_fibers, NULL); /* three, the limit */
    tour();
    CHECK_OK(weft_unpark(a));
    CHECK_EQ(result_of(a), 0);
    tour();
    CHECK_EQ(result_of(b), 0);
    CHECK_OK(weft_room(WEFT_ROOM_FIBERS, 1, soon()));
    tour(); /* what was reserved is given back */
    CHECK_OK(weft_room(WEFT_ROOM_FIBERS, 2, WEFT_NOW));
    return 0;
}

/* ---- errors, and what is said ---- */

static int serves_nobody(void *conn)
{
    (void)conn;
    return 0;
}

static int in_accept_loop(void *arg)
{
    bump(&begun);
    return weft_accept_each(*(weft_id *)arg, serves_nobody, NULL);
}

static int refusals(void *arg)
{
    weft_id l;

    (void)arg;
    CHECK_EQ(weft_lane_move(WORKERS + first), -EINVAL);
    if (first)
        CHECK_EQ(weft_lane_move(0), -EINVAL); /* it does the I/O */
    CHECK_OK(weft_lane_move(here()));
    CHECK_OK(weft_listen(&l, test_address(), NULL));
    const weft_id f = sibling(in_accept_loop, &l);
    const unsigned other = first + (here() - first + 1) % WORKERS;
    CHECK_EQ(weft_lane_move(other), -EBUSY);
    CHECK_OK(weft_cancel(f));
    CHECK_EQ(result_of(f), 0);
    CHECK_OK(weft_close(l));
    go(other);
    tour();
    return 0;
}

static int tells(void *arg)
{
    weft_id_info i;
    char text[256];

    (void)arg;
    tour();
    CHECK_OK(weft_id_inspect(weft_lane_self(), &i));
    CHECK_EQ(i.worker, here());
    CHECK_EQ(i.moves, WORKERS + 1);
    CHECK(weft_id_describe(weft_lane_self(), text, sizeof text) < (int)sizeof text);
    CHECK(strstr(text, "after 4 moves"));
    bump(&begun);
    CHECK_OK(weft_park(soon()));
    return 0;
}

/* The timer of a wait that was over early stays behind; what is waited for later has one where it ends. */
static int woken_early(void *arg)
{
    weft_id self = weft_self();

    (void)arg;
    for (int i = 0; i < 2; i++) {
        const int64_t early = weft_after(10 * WEFT_MILLISECOND), late = early + 30 * WEFT_MILLISECOND;
        weft_id f;

        CHECK_OK(weft_spawn(&f, unparks, &self));
        const int r = weft_park(early);
        CHECK(r == 0 || r == -ETIMEDOUT);
        CHECK_EQ(result_of(f), 0);
        tour();
        if (r == -ETIMEDOUT) /* a slow machine: the token is still to be used */
            CHECK_OK(weft_park(soon()));
        CHECK_EQ(weft_park(late), -ETIMEDOUT);
        CHECK(weft_now() >= late);
    }
    return 0;
}

/* ---- running them ---- */

static const test_case cases[] = {
    CASE(while_sleeping, 0),
    CASE(woken_early, 0),
    CASE(while_waiting_for_a_timer, 0),
    CASE(with_alarms_set, 0),
    CASE(within_scopes, 0),
    CASE(while_joining, 0),
    CASE(with_results_unasked, 0),
    CASE(until_its_deadline, 20 * WEFT_MILLISECOND, .result = -ECANCELED),
    CASE(while_locking, 0),
    CASE(while_receiving, 0),
    CASE(while_selecting, 0),
    CASE(while_receiving_messages, 0),
    CASE(while_waiting_for_room, 0),
    CASE(with_memory_and_clean_ups, 0),
    CASE(at_a_limit, 0, {.fibers = 3}),
    CASE(refusals, 0),
};

static void a_child_is_seen(void)
{
    weft_id l;
    weft_id_info i;
    const int before = get(&begun);

    CHECK_OK(weft_lane_spawn_with(&l, tells, NULL, .mobile = 1));
    while (get(&begun) == before)
        CHECK_OK(weft_yield());
    CHECK_OK(weft_id_inspect(l, &i));
    CHECK_EQ(i.moves, WORKERS + 1);
    CHECK_OK(weft_kill(l));
    CHECK_OK(weft_lane_join(l, NULL, soon()));
}

/* What came and what went are the same, and as many as all moves. */
static void figures_agree(void)
{
    weft_runtime *rt = weft_current();
    weft_stats all;
    weft_worker_stats w;
    uint64_t in = 0, out = 0, born = 0;

    CHECK_OK(weft_runtime_stats(rt, &all));
    for (unsigned i = 0; weft_runtime_worker(rt, i, &w) == 0; i++) {
        in += w.lanes_in;
        out += w.lanes_out;
        born += w.lanes_born;
        CHECK(w.lanes_stolen + w.lanes_placed <= w.lanes_born);
    }
    CHECK_EQ(in, out);
    CHECK_EQ(in, all.lanes_moved);
    CHECK_EQ(born, all.lanes_spawned);
    CHECK(all.lanes_moved > 100);
    CHECK_EQ(weft_runtime_worker(rt, 99, &w), -ENOENT);
    CHECK_EQ(weft_runtime_worker(rt, 0, NULL), -EINVAL);
    CHECK_EQ(weft_runtime_worker(NULL, 0, &w), -EINVAL);
}

static int program(int argc, char **argv)
{
    (void)argc, (void)argv;
    CHECK_OK(weft_mutex_init(&mutex, 0, NULL));
    CHECK_OK(weft_channel_init(&channel, sizeof(int), 0, NULL));
    if (run_cases(cases, sizeof cases / sizeof *cases, NULL)) {
        a_child_is_seen();
        figures_agree();
    }
    return 0;
}

int main(void)
{
    run_clean(program, WORKERS);
    return 0;
}
