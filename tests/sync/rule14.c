/* Rule 14: an object that several lanes use lies in memory that outlives them all. Objects of ancestors do; using one
 * in the memory of a child or of a stranger ends a checked build with the names of both lanes. */
#include "child.h"
#include "world.h"

static weft_channel *channel;
static weft_mutex *mutex;
static weft_semaphore *semaphore;
static void *object; /* of zeros, in the memory of the owner */
static int ready, done, large;

static void make(void)
{
    channel = weft_calloc(1, sizeof *channel + sizeof(int));
    mutex = weft_calloc(1, sizeof *mutex);
    semaphore = weft_calloc(1, sizeof *semaphore);
    CHECK(channel && mutex && semaphore);
    CHECK_OK(weft_channel_init(channel, sizeof(int), 1, channel + 1));
    CHECK_OK(weft_semaphore_init(semaphore, 1));
}

static int uses(void *arg)
{
    int item = 3;

    (void)arg;
    CHECK_OK(weft_mutex_lock(mutex, soon()));
    CHECK_OK(weft_mutex_unlock(mutex));
    CHECK_OK(weft_semaphore_acquire(semaphore, 1, soon()));
    CHECK_OK(weft_semaphore_release(semaphore, 1));
    CHECK_OK(weft_channel_send(channel, &item, soon()));
    CHECK_OK(weft_channel_receive(channel, &item, soon()));
    return 0;
}

static int has_a_child_that_uses(void *arg)
{
    weft_id l;

    (void)arg;
    uses(NULL);
    CHECK_OK(weft_lane_spawn(&l, uses, NULL));
    ended(l);
    return 0;
}

/* Its own, its parent's, and the parent's of that: nothing is said. */
static int lawful(int argc, char **argv)
{
    weft_id l[4];

    (void)argc, (void)argv;
    make();
    uses(NULL);
    for (int i = 0; i < 4; i++)
        CHECK_OK(weft_lane_spawn(&l[i], has_a_child_that_uses, NULL));
    for (int i = 0; i < 4; i++)
        ended(l[i]);
    return 0;
}

static int owner(void *arg)
{
    (void)arg;
    object = weft_calloc(1, large ? 200 << 10 : 4096);
    CHECK(object != NULL);
    object = (char *)object + (large ? 150 << 10 : 0); /* where no header of its pages is near */
    put(&ready, 1);
    while (!get(&done))
        CHECK_OK(weft_sleep(weft_after(WEFT_MILLISECOND)));
    return 0;
}

/* One public call on an object there; none of them gets so far as to look at it. */
static int trespass(int which)
{
    void *o = object;
    int item = 1;
    weft_read_hold hold = {{0}};
    weft_reader reader = {{0}};
    static weft_event mine;
    static weft_alarm alarm;

    switch (which) {
    case 0:
        return weft_channel_try_send(o, &item);
    case 1:
        return weft_channel_send(o, &item, WEFT_NOW);
    case 2:
        return weft_channel_receive(o, &item, WEFT_NOW);
    case 3:
        return weft_channel_try_receive(o, &item);
    case 4:
        return (int)weft_channel_receive_many(o, &item, 1, WEFT_NOW);
    case 5:
        return weft_channel_close(o, 0);
    case 6:
        return weft_channel_end(o);
    case 7:
        return (int)weft_channel_length(o);
    case 8:
        return weft_mutex_lock(o, WEFT_NOW);
    case 9:
        return weft_mutex_try(o);
    case 10:
        return weft_mutex_unlock(o);
    case 11:
        return weft_mutex_consistent(o);
    case 12:
        return weft_mutex_give(o, weft_self());
    case 13:
        return weft_rwlock_read(o, &hold, WEFT_NOW);
    case 14:
        return weft_rwlock_try_read(o, &hold);
    case 15:
        return weft_rwlock_write(o, WEFT_NOW);
    case 16:
        return weft_rwlock_try_write(o);
    case 17:
        return weft_rwlock_unwrite(o);
    case 18:
        return weft_rwlock_consistent(o);
    case 19:
        return weft_cond_wait(o, o, WEFT_NOW);
    case 20:
        return weft_cond_signal(o);
    case 21:
        return weft_cond_broadcast(o);
    case 22:
        return weft_semaphore_acquire(o, 1, WEFT_NOW);
    case 23:
        return weft_semaphore_try(o, 1);
    case 24:
        return weft_semaphore_release(o, 1);
    case 25:
        return (int)weft_semaphore_value(o);
    case 26:
        return weft_event_wait(o, WEFT_NOW);
    case 27:
        return weft_event_set(o);
    case 28:
        return weft_event_reset(o);
    case 29:
        return weft_event_is_set(o);
    case 30:
        return weft_barrier_wait(o, WEFT_NOW);
    case 31:
        return weft_latch_add(o, 1);
    case 32:
        return weft_latch_done(o, 1);
    case 33:
        return weft_latch_wait(o, WEFT_NOW);
    case 34:
        return weft_once_run(o, has_a_child_that_uses, NULL, WEFT_NOW);
    case 35:
        return weft_future_keep(o, 0, NULL);
    case 36:
        return weft_future_wait(o, NULL, WEFT_NOW);
    case 37:
        return weft_future_kept(o);
    case 38:
        return weft_broadcast_send(o, &item, WEFT_NOW);
    case 39:
        return weft_broadcast_close(o, 0);
    case 40:
        return weft_broadcast_join(o, &reader);
    case 41:
        return weft_broadcast_receive(o, &item, NULL, WEFT_NOW);
    case 42:
        return weft_credit_spend(o, 1, WEFT_NOW);
    case 43:
        return weft_credit_grant(o, 1);
    case 44:
        return (int)weft_credit_used(o);
    case 45:
        return weft_group_run(o, has_a_child_that_uses, NULL);
    case 46:
        return weft_group_all(o, WEFT_NOW);
    case 47:
        return weft_group_cancel(o);
    case 48:
        return weft_group_end(o);
    case 49:
        return weft_select((weft_case[]){WEFT_PASS(&mine), WEFT_RECEIVE(o, &item)}, 2, WEFT_NOW);
    case 50:
        return weft_select_ordered((weft_case[]){WEFT_LOCK(o)}, 1, WEFT_NOW);
    case 51:
        return weft_alarm_set(o, &mine, WEFT_NEVER);
    case 52:
        return weft_alarm_set(&alarm, o, WEFT_NEVER);
    case 53:
        return weft_alarm_stop(o);
    default:
        return 0;
    }
}

static const char *const names[] = {
    "weft_channel_try_send", "weft_channel_send", "weft_channel_receive", "weft_channel_try_receive",
    "weft_channel_receive_many", "weft_channel_close", "weft_channel_end", "weft_channel_length",
    "weft_mutex_lock_at", "weft_mutex_try_at", "weft_mutex_unlock", "weft_mutex_consistent", "weft_mutex_give",
    "weft_rwlock_read", "weft_rwlock_try_read", "weft_rwlock_write_at", "weft_rwlock_try_write_at",
    "weft_rwlock_unwrite", "weft_rwlock_consistent", "weft_cond_wait", "weft_cond_signal", "weft_cond_broadcast",
    "weft_semaphore_acquire", "weft_semaphore_try", "weft_semaphore_release", "weft_semaphore_value",
    "weft_event_wait", "weft_event_set", "weft_event_reset", "weft_event_is_set", "weft_barrier_wait",
    "weft_latch_add", "weft_latch_done", "weft_latch_wait", "weft_once_run", "weft_future_keep", "weft_future_wait",
    "weft_future_kept", "weft_broadcast_send", "weft_broadcast_close", "weft_broadcast_join",
    "weft_broadcast_receive", "weft_credit_spend", "weft_credit_grant", "weft_credit_used", "weft_group_run_at",
    "weft_group_all", "weft_group_cancel", "weft_group_end", "weft_select", "weft_select",
    "weft_alarm_set", "weft_alarm_set", "weft_alarm_stop",
};
enum { CALLS = sizeof names / sizeof *names };

static int stranger(void *arg) { return trespass((int)(intptr_t)arg); }

static int now;

static const weft_vat_kind arena = {.name = "arena", .flags = WEFT_VAT_ARENA};

static int unlawful(int argc, char **argv)
{
    weft_id l, s;

    (void)argc, (void)argv;
    CHECK_OK(weft_lane_spawn_with(&l, owner, NULL, .name = "owner", .vat = now % 2 ? &arena : NULL));
    while (!get(&ready))
        CHECK_OK(weft_sleep(weft_after(WEFT_MILLISECOND)));
    CHECK_OK(weft_lane_spawn_with(&s, stranger, (void *)(intptr_t)now, .name = "stranger"));
    CHECK_OK(weft_lane_join(s, NULL, soon()));
    put(&done, 1);
    ended(l);
    return 0;
}

static int in_child(void *which)
{
    now = (int)(intptr_t)which;
    large = now % 3 == 0;
    return run_main(unlawful, 2);
}

static void is_told(int which)
{
    static char text[1 << 14], says[160];
    const int status = child_says(in_child, (void *)(intptr_t)which, text, sizeof text);

    snprintf(says, sizeof says, "%s by lane \"stranger\" (fiber \"stranger\", spawned at tests/sync/rule14.c:", names[which]);
    if (!strstr(text, says) || !strstr(text, "lies in the memory of lane \"owner\" (spawned at tests/sync/rule14.c:"))
        TEST_FAIL("it was to say \"%s\" and name the owner, and said: %s", says, text);
    CHECK(!ended_well(status));
}

int main(void)
{
#ifdef WEFT_CHECKED
    for (int i = 0; i < CALLS; i++) /* while there is no other thread */
        is_told(i);
#else
    (void)is_told;
#endif
    run_clean(lawful, 2);
    return 0;
}
