/* Every wait of this layer in one table: cancelled before it begins and while it waits, with a past deadline and with a
 * short one. It says what happened, leaves no trace, and the next comer is served. */
#include "world.h"

/* What one who waits has on its stack. */
typedef union own {
    weft_read_hold hold;
    weft_reader reader;
    int item;
    void *value;
} own;

typedef struct sort {
    const char *name;
    void (*make)(void);              /* from here on one has to wait */
    int (*wait)(own *o, int64_t deadline);
    void (*serve)(void);             /* one who waits goes on */
    int lasts;                       /* so does one who comes after that */
    void (*begin)(own *o);           /* before the wait */
    void (*end)(own *o, int r);      /* after it */
    void (*unmake)(void);
} sort;

static weft_mutex mutex;
static weft_rwlock rwlock;
static weft_cond cond;
static weft_semaphore semaphore;
static weft_event event, gate;
static weft_barrier barrier;
static weft_latch latch;
static weft_once once;
static weft_channel channel;
static weft_future future;
static weft_broadcast broadcast;
static weft_reader reader;
static weft_credit credit;
static weft_group group;
static int places[4], room[1], behind_gate, item;

/* ---- locks ---- */

static void locked(void) { CHECK_OK(weft_mutex_lock(&mutex, soon())); }
static void locked_fair(void)
{
    CHECK_OK(weft_mutex_init(&mutex, WEFT_MUTEX_FAIR, "fair"));
    locked();
}
static void unlock(void) { CHECK_OK(weft_mutex_unlock(&mutex)); }
static int lock(own *o, int64_t deadline)
{
    (void)o;
    return weft_mutex_lock(&mutex, deadline);
}
static int select_lock(own *o, int64_t deadline)
{
    weft_case k[] = {WEFT_LOCK(&mutex), WEFT_PASS(&gate)};

    (void)o;
    return weft_select(k, 2, deadline);
}
static void unlock_own(own *o, int r)
{
    (void)o;
    if (r == 0)
        unlock();
}

static void written(void)
{
    CHECK_OK(weft_rwlock_init(&rwlock, NULL));
    CHECK_OK(weft_rwlock_write(&rwlock, soon()));
}
static void unwrite(void) { CHECK_OK(weft_rwlock_unwrite(&rwlock)); }
static int reads(own *o, int64_t deadline) { return weft_rwlock_read(&rwlock, &o->hold, deadline); }
static void unread(own *o, int r) { CHECK_EQ(weft_rwlock_unread(&o->hold), r == 0 ? 0 : -EPERM); }
static int writes(own *o, int64_t deadline)
{
    (void)o;
    return weft_rwlock_write(&rwlock, deadline);
}
static void unwrite_own(own *o, int r)
{
    (void)o;
    CHECK_EQ(weft_rwlock_unwrite(&rwlock), r == 0 ? 0 : -EPERM);
}

static void quiet(void) { CHECK_OK(weft_mutex_init(&mutex, 0, NULL)); }
static void lock_own(own *o)
{
    (void)o;
    locked();
}
static int conditions(own *o, int64_t deadline)
{
    (void)o;
    return weft_cond_wait(&cond, &mutex, deadline);
}
/* It has the mutex back, whatever ended the wait. */
static void unlock_after(own *o, int r)
{
    (void)o, (void)r;
    unlock();
}
static void signals(void) { CHECK_EQ(weft_cond_signal(&cond), 1); }

static int lasts(void *arg)
{
    (void)arg;
    put(&behind_gate, 1);
    CHECK_OK(weft_event_wait(&gate, soon()));
    put(&behind_gate, 2);
    return 0;
}
static int runs_first(void *arg)
{
    (void)arg;
    return weft_once_run(&once, lasts, NULL, WEFT_NEVER);
}
static void opens_gate(void)
{
    CHECK_EQ(weft_event_set(&gate), 1);
    reached(&behind_gate, 2);
}
static void under_way(void)
{
    memset(&once, 0, sizeof once);
    put(&behind_gate, 0);
    CHECK_OK(weft_spawn_with(NULL, runs_first, NULL, .detached = 1));
    reached(&behind_gate, 1);
}
static int runs(own *o, int64_t deadline)
{
    (void)o;
    return weft_once_run(&once, lasts, NULL, deadline);
}

/* ---- signals ---- */

static void none(void) { CHECK_OK(weft_semaphore_init(&semaphore, 1)); }
static int acquires(own *o, int64_t deadline)
{
    (void)o;
    return weft_semaphore_acquire(&semaphore, 2, deadline);
}
static void releases(void) { CHECK_OK(weft_semaphore_release(&semaphore, 1)); }
static void manual(void) { CHECK_OK(weft_event_init(&event, WEFT_EVENT_MANUAL, 0)); }
static void automatic(void) { CHECK_OK(weft_event_init(&event, WEFT_EVENT_AUTO, 0)); }
static int passes(own *o, int64_t deadline)
{
    (void)o;
    return weft_event_wait(&event, deadline);
}
static void sets(void) { CHECK(weft_event_set(&event) >= 0); }
static void for_three(void) { CHECK_OK(weft_barrier_init(&barrier, 3)); }
static int meets(own *o, int64_t deadline)
{
    (void)o;
    return weft_barrier_wait(&barrier, deadline);
}
static int comes_too(void *arg)
{
    put(arg, 1);
    return weft_barrier_wait(&barrier, soon());
}
static void two_come(void)
{
    weft_id f;
    int there = 0;

    CHECK_OK(weft_spawn(&f, comes_too, &there));
    reached(&there, 1);
    CHECK_EQ(weft_barrier_wait(&barrier, soon()), 1);
    joined(f);
}
static void of_one(void) { CHECK_OK(weft_latch_init(&latch, 1)); }
static int awaits(own *o, int64_t deadline)
{
    (void)o;
    return weft_latch_wait(&latch, deadline);
}
static void is_over(void) { CHECK_OK(weft_latch_done(&latch, 1)); }

/* ---- channels ---- */

static void rendezvous(void) { CHECK_OK(weft_channel_init(&channel, sizeof(int), 0, NULL)); }
static void empty(void) { CHECK_OK(weft_channel_init(&channel, sizeof(int), 4, places)); }
static void full(void)
{
    empty();
    for (int i = 0; i < 4; i++)
        CHECK_OK(weft_channel_try_send(&channel, &i));
}
static void grows_empty(void) { CHECK_OK(weft_channel_init_growing(&channel, sizeof(int), 4)); }
static void grows_full(void)
{
    grows_empty();
    for (int i = 0; i < 4; i++)
        CHECK_OK(weft_channel_try_send(&channel, &i));
}
static int sends(own *o, int64_t deadline)
{
    o->item = 7;
    return weft_channel_send(&channel, &o->item, deadline);
}
static int receives(own *o, int64_t deadline) { return weft_channel_receive(&channel, &o->item, deadline); }
static int receives_many(own *o, int64_t deadline)
{
    const int64_t n = weft_channel_receive_many(&channel, &o->item, 1, deadline);
    return n == 1 ? 0 : (int)n;
}
static int selects(own *o, int64_t deadline)
{
    weft_case k[] = {WEFT_RECEIVE(&channel, &o->item), WEFT_PASS(&gate)};
    return weft_select(k, 2, deadline);
}
static void send(void) { CHECK_OK(weft_channel_send(&channel, &item, soon())); }
static void receive(void) { CHECK_OK(weft_channel_receive(&channel, &item, soon())); }
static void end_channel(void) { CHECK_OK(weft_channel_end(&channel)); }
static void to_come(void) { memset(&future, 0, sizeof future); }
static int expects(own *o, int64_t deadline) { return weft_future_wait(&future, &o->value, deadline); }
static void keeps(void) { CHECK_OK(weft_future_keep(&future, 0, NULL)); }

static void held_up(void)
{
    CHECK_OK(weft_broadcast_init(&broadcast, sizeof(int), 1, room, WEFT_BROADCAST_HOLD));
    CHECK_OK(weft_broadcast_join(&broadcast, &reader));
    CHECK_OK(weft_broadcast_send(&broadcast, &item, soon()));
}
static int publishes(own *o, int64_t deadline)
{
    o->item = 7;
    return weft_broadcast_send(&broadcast, &o->item, deadline);
}
static void hears(void) { CHECK_OK(weft_broadcast_receive(&reader, &item, NULL, soon())); }
static void leaves(void) { CHECK_OK(weft_broadcast_leave(&reader)); }
static void silent(void) { CHECK_OK(weft_broadcast_init(&broadcast, sizeof(int), 1, room, WEFT_BROADCAST_LOSSY)); }
static void joins(own *o) { CHECK_OK(weft_broadcast_join(&broadcast, &o->reader)); }
static int listens(own *o, int64_t deadline)
{
    int got;
    return weft_broadcast_receive(&o->reader, &got, NULL, deadline);
}
static void leaves_own(own *o, int r)
{
    (void)r;
    CHECK_OK(weft_broadcast_leave(&o->reader));
}
static void speaks(void) { CHECK_OK(weft_broadcast_send(&broadcast, &item, soon())); }
static void spent(void)
{
    CHECK_OK(weft_credit_init(&credit, 4, 1));
    CHECK_OK(weft_credit_spend(&credit, 4, soon()));
}
static int spends(own *o, int64_t deadline)
{
    (void)o;
    return weft_credit_spend(&credit, 1, deadline);
}
static void grants(void) { CHECK_OK(weft_credit_grant(&credit, 4)); }

/* ---- groups ---- */

static void one_member(void)
{
    memset(&group, 0, sizeof group);
    put(&behind_gate, 0);
    CHECK_OK(weft_group_run(&group, lasts, NULL));
    reached(&behind_gate, 1);
}
static void member_ends(void)
{
    opens_gate();
    settle();
    CHECK_EQ(weft_group_count(&group), 0);
}
static int all(own *o, int64_t deadline)
{
    (void)o;
    return weft_group_all(&group, deadline);
}
static int any_failure(own *o, int64_t deadline)
{
    (void)o;
    return weft_group_any_failure(&group, deadline);
}
static int first(own *o, int64_t deadline)
{
    (void)o;
    return weft_group_first(&group, deadline);
}
static void end_group(void) { CHECK_OK(weft_group_end(&group)); }

static const sort sorts[] = {
    {"mutex", locked, lock, unlock, 1, .end = unlock_own},
    {"fair mutex", locked_fair, lock, unlock, 1, .end = unlock_own},
    {"rwlock, reading", written, reads, unwrite, 1, .end = unread},
    {"rwlock, writing", written, writes, unwrite, 1, .end = unwrite_own},
    {"condition", quiet, conditions, signals, 0, lock_own, unlock_after, NULL},
    {"semaphore", none, acquires, releases, 1, NULL, NULL, NULL},
    {"manual event", manual, passes, sets, 1, NULL, NULL, NULL},
    {"automatic event", automatic, passes, sets, 1, NULL, NULL, NULL},
    {"barrier", for_three, meets, two_come, 0, NULL, NULL, NULL},
    {"latch", of_one, awaits, is_over, 1, NULL, NULL, NULL},
    {"once", under_way, runs, opens_gate, 1, NULL, NULL, NULL},
    {"send, rendezvous", rendezvous, sends, receive, 0, NULL, NULL, NULL},
    {"receive, rendezvous", rendezvous, receives, send, 0, NULL, NULL, NULL},
    {"send", full, sends, receive, 1, NULL, NULL, NULL},
    {"receive", empty, receives, send, 1, NULL, NULL, NULL},
    {"receive many", empty, receives_many, send, 1, NULL, NULL, NULL},
    {"send, growing", grows_full, sends, receive, 1, .unmake = end_channel},
    {"receive, growing", grows_empty, receives, send, 1, .unmake = end_channel},
    {"future", to_come, expects, keeps, 1, NULL, NULL, NULL},
    {"broadcast, send", held_up, publishes, hears, 1, .unmake = leaves},
    {"broadcast, receive", silent, listens, speaks, 0, joins, leaves_own, NULL},
    {"credit", spent, spends, grants, 1, NULL, NULL, NULL},
    {"group, all", one_member, all, member_ends, 1, .unmake = end_group},
    {"group, any failure", one_member, any_failure, member_ends, 1, .unmake = end_group},
    {"group, first", one_member, first, member_ends, 1, .unmake = end_group},
    {"select", empty, selects, send, 1, NULL, NULL, NULL},
    {"select, mutex", locked, select_lock, unlock, 1, .end = unlock_own},
};
enum { SORTS = sizeof sorts / sizeof *sorts };

/* ---- who waits ---- */

typedef struct comer {
    const sort *sort;
    int64_t deadline;
    int cancelled;            /* before it begins */
    int begun, over, answer;
} comer;

static int waits(void *arg)
{
    comer *c = arg;
    own o = {.reader = {{0}}};

    if (c->sort->begin)
        c->sort->begin(&o);
    if (c->cancelled)
        CHECK_OK(weft_cancel(weft_self()));
    put(&c->begun, 1); /* nobody runs between this and the wait */
    c->answer = c->sort->wait(&o, c->deadline);
    if (c->sort->end)
        c->sort->end(&o, c->answer);
    put(&c->over, 1);
    return 0;
}

static weft_id come(comer *c)
{
    weft_id f;

    CHECK_OK(weft_spawn_with(&f, waits, c, .detached = 1));
    reached(&c->begun, 1);
    return f;
}

static void answered(comer *c, int r)
{
    reached(&c->over, 1);
    if (c->answer != r)
        TEST_FAIL("%s: %d and not %d", c->sort->name, c->answer, r);
}

/* Comes and is answered. */
static void meets_with(const sort *s, int64_t deadline, int cancelled, int r)
{
    comer c = {.sort = s, .deadline = deadline, .cancelled = cancelled};

    come(&c);
    answered(&c, r);
}

static void refused(const sort *s)
{
    s->make();
    meets_with(s, WEFT_NEVER, 1, -ECANCELED);
    meets_with(s, soon(), 1, -ECANCELED);
    meets_with(s, WEFT_NOW, 0, -ETIMEDOUT);
    meets_with(s, weft_after(WEFT_MILLISECOND / 4), 0, -ETIMEDOUT);
    comer one = {.sort = s, .deadline = WEFT_NEVER}, two = one;
    const weft_id f = come(&one);
    come(&two);
    CHECK_EQ(get(&one.over), 0);
    CHECK_OK(weft_cancel(f));
    answered(&one, -ECANCELED);
    CHECK_EQ(get(&two.over), 0);
    s->serve();
    answered(&two, 0);
    if (s->unmake)
        s->unmake();
}

/* What could be had at once: cancellation is looked at all the same, and a past deadline tries. */
static void at_hand(const sort *s)
{
    s->make();
    s->serve();
    meets_with(s, WEFT_NEVER, 1, -ECANCELED);
    meets_with(s, WEFT_NOW, 0, 0);
    if (s->unmake)
        s->unmake();
}

static int main_fiber(int argc, char **argv)
{
    (void)argc, (void)argv;
    CHECK_OK(weft_event_init(&gate, WEFT_EVENT_AUTO, 0));
    for (int i = 0; i < SORTS; i++) {
        refused(&sorts[i]);
        if (sorts[i].lasts)
            at_hand(&sorts[i]);
    }
    return 0;
}

int main(void)
{
    run_clean(main_fiber, 2);
    return 0;
}
