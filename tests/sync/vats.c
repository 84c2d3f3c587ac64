/* Rule 14: objects in the memory of a lane that dies. Whoever waits for one from outside is told, whoever holds one
 * lets go, and only then is the memory freed; whatever becomes of those outside meanwhile. In all sorts of memory.
 * A checked build would end the program at the first use, and does not here. */
#include "world.h"

#include "lane/vat.h"

enum { AT = 150 << 10, LARGE = 200 << 10 }; /* in the middle of a block that has a header in its first 64 KiB only */

typedef struct sort {
    const char *name;
    size_t size;
    void (*make)(void *p);    /* by the owner */
    int (*waits)(void *p);    /* for ever, from outside */
    int answers;
    unsigned stakes;          /* 0: 1, of each who waits */
} sort;

static weft_mutex outer;
static weft_event never, let_go;
static const sort *now;
static void *object;
static int ready, at_work;

/* ---- waiting ---- */

static void locked(void *p) { CHECK_OK(weft_mutex_lock(p, soon())); }
static void locked_twice(void *p)
{
    CHECK_OK(weft_mutex_init(p, WEFT_MUTEX_RECURSIVE, "twice"));
    locked(p);
    locked(p);
}
static int locks(void *p) { return weft_mutex_lock(p, WEFT_NEVER); }
static void written(void *p) { CHECK_OK(weft_rwlock_write(p, soon())); }
static int writes(void *p) { return weft_rwlock_write(p, WEFT_NEVER); }
static int reads(void *p)
{
    weft_read_hold h = {{0}};

    return weft_rwlock_read(p, &h, WEFT_NEVER);
}
static void nothing(void *p) { (void)p; }
static int waits_for_condition(void *p)
{
    CHECK_OK(weft_mutex_lock(&outer, soon()));
    const int r = weft_cond_wait(p, &outer, WEFT_NEVER);
    CHECK_OK(weft_mutex_unlock(&outer)); /* which lies elsewhere, and was taken back */
    return r;
}
static int acquires(void *p) { return weft_semaphore_acquire(p, 2, WEFT_NEVER); }
static int passes(void *p) { return weft_event_wait(p, WEFT_NEVER); }
static void for_many(void *p) { CHECK_OK(weft_barrier_init(p, 9)); }
static int meets(void *p) { return weft_barrier_wait(p, WEFT_NEVER); }
static void of_one(void *p) { CHECK_OK(weft_latch_init(p, 1)); }
static int awaits(void *p) { return weft_latch_wait(p, WEFT_NEVER); }
static int lasts(void *p)
{
    put((int *)p, 1);
    return weft_event_wait(&never, WEFT_NEVER);
}
static int begins_once(void *p) { return weft_once_run(p, lasts, &at_work, WEFT_NEVER); }
static void under_way(void *p)
{
    weft_id f;

    CHECK_OK(weft_spawn(&f, begins_once, p));
    reached(&at_work, 1);
}
static int runs_once(void *p) { return weft_once_run(p, lasts, &at_work, WEFT_NEVER); }
static void rendezvous(void *p) { CHECK_OK(weft_channel_init(p, sizeof(int), 0, NULL)); }
static int receives(void *p)
{
    int item;

    return weft_channel_receive(p, &item, WEFT_NEVER);
}
static int sends(void *p) { return weft_channel_send(p, &(int){1}, WEFT_NEVER); }
static void growing(void *p)
{
    int item = 0;

    CHECK_OK(weft_channel_init_growing(p, sizeof(int), 20000));
    while (weft_channel_try_send(p, &item) == 0)
        item++;
    CHECK_EQ(item, 20000);
}
static void growing_empty(void *p) { CHECK_OK(weft_channel_init_growing(p, sizeof(int), 20000)); }
static int expects(void *p)
{
    void *value;

    return weft_future_wait(p, &value, WEFT_NEVER);
}
static int room[1];
static void held_up(void *p) { CHECK_OK(weft_broadcast_init(p, sizeof(int), 1, room, WEFT_BROADCAST_HOLD)); }
/* By itself: it does not read what it sends. Unless it is taken out as a reader before it waits as a sender:
 * nobody holds it up then. */
static int publishes(void *p)
{
    weft_reader r = {{0}};

    CHECK_OK(weft_broadcast_join(p, &r));
    int answer = weft_broadcast_send(p, &(int){1}, WEFT_NEVER);
    if (answer == 0)
        answer = weft_broadcast_send(p, &(int){2}, WEFT_NEVER);
    const int left = weft_broadcast_leave(&r);
    CHECK(left == 0 || left == -EPERM);
    return answer == 0 && left == -EPERM ? -EOWNERDEAD : answer;
}
static void quiet(void *p) { CHECK_OK(weft_broadcast_init(p, sizeof(int), 1, room, WEFT_BROADCAST_LOSSY)); }
static int listens(void *p)
{
    weft_reader r = {{0}};
    int item;

    CHECK_OK(weft_broadcast_join(p, &r));
    const int answer = weft_broadcast_receive(&r, &item, NULL, WEFT_NEVER);
    const int left = weft_broadcast_leave(&r);
    CHECK(left == 0 || left == -EPERM);
    return answer;
}
static void spent(void *p)
{
    CHECK_OK(weft_credit_init(p, 4, 1));
    CHECK_OK(weft_credit_spend(p, 4, soon()));
}
static int spends(void *p) { return weft_credit_spend(p, 1, WEFT_NEVER); }
static int selects(void *p)
{
    int item;
    weft_case cases[] = {WEFT_PASS(&never), WEFT_RECEIVE(p, &item), WEFT_AT(soon())};

    CHECK_EQ(weft_select(cases, 3, WEFT_NEVER), 1);
    return cases[1].result;
}
static int selects_lock(void *p)
{
    weft_case cases[] = {WEFT_PASS(&never), WEFT_LOCK(p)};

    CHECK_EQ(weft_select(cases, 2, WEFT_NEVER), 1);
    return cases[1].result;
}
static int selects_future(void *p)
{
    void *value;
    weft_case cases[] = {WEFT_EXPECT(p, &value), WEFT_PASS(&never)};

    CHECK_EQ(weft_select_ordered(cases, 2, WEFT_NEVER), 0);
    return cases[0].result;
}
static int selects_many(void *p)
{
    weft_case cases[20];

    for (int i = 0; i < 20; i++)
        cases[i] = i == 7 ? (weft_case){.kind = WEFT_CASE_SEND, .object = p, .data = &(int){1}} : WEFT_PASS(&never);
    CHECK_EQ(weft_select(cases, 20, WEFT_NEVER), 7);
    return cases[7].result;
}

/* To own a mutex or rwlock answers -EOWNERDEAD already: here nobody ever will. */
static const sort sorts[] = {
    {"mutex", sizeof(weft_mutex), locked, locks, -ENOTRECOVERABLE},
    {"recursive mutex", sizeof(weft_mutex), locked_twice, locks, -ENOTRECOVERABLE},
    {"rwlock, reading", sizeof(weft_rwlock), written, reads, -ENOTRECOVERABLE},
    {"rwlock, writing", sizeof(weft_rwlock), written, writes, -ENOTRECOVERABLE},
    {"condition", sizeof(weft_cond), nothing, waits_for_condition, -EOWNERDEAD},
    {"semaphore", sizeof(weft_semaphore), nothing, acquires, -EOWNERDEAD},
    {"event", sizeof(weft_event), nothing, passes, -EOWNERDEAD},
    {"barrier", sizeof(weft_barrier), for_many, meets, -EOWNERDEAD},
    {"latch", sizeof(weft_latch), of_one, awaits, -EOWNERDEAD},
    {"once", sizeof(weft_once), under_way, runs_once, -ENOTRECOVERABLE},
    {"receive", sizeof(weft_channel), rendezvous, receives, -EOWNERDEAD},
    {"send", sizeof(weft_channel), rendezvous, sends, -EOWNERDEAD},
    {"growing, send", sizeof(weft_channel), growing, sends, -EOWNERDEAD},
    {"growing, receive", sizeof(weft_channel), growing_empty, receives, -EOWNERDEAD},
    {"future", sizeof(weft_future), nothing, expects, -EOWNERDEAD},
    {"broadcast, send", sizeof(weft_broadcast), held_up, publishes, -EOWNERDEAD, 2},
    {"broadcast, receive", sizeof(weft_broadcast), quiet, listens, -EOWNERDEAD, 2},
    {"credit", sizeof(weft_credit), spent, spends, -EOWNERDEAD},
    {"select", sizeof(weft_channel), rendezvous, selects, -EOWNERDEAD},
    {"select, mutex", sizeof(weft_mutex), locked, selects_lock, -ENOTRECOVERABLE},
    {"select, future", sizeof(weft_future), nothing, selects_future, -EOWNERDEAD},
    {"select, many", sizeof(weft_channel), rendezvous, selects_many, -EOWNERDEAD},
};
enum { SORTS = sizeof sorts / sizeof *sorts };

static int owner(void *arg)
{
    const int large = arg != NULL;
    char *p = large ? weft_calloc(1, LARGE) : weft_calloc(1, now->size);

    CHECK(p != NULL);
    object = p + (large ? AT : 0);
    now->make(object);
    put(&ready, 1);
    return weft_event_wait(&let_go, WEFT_NEVER);
}

static int outsider(void *arg)
{
    (void)arg;
    const int r = now->waits(object);
    if (r != now->answers)
        TEST_FAIL("%s: %d and not %d", now->name, r, now->answers);
    return 0;
}

static weft_id owned(const sort *s, const weft_vat_kind *kind, int large)
{
    weft_id l;

    now = s;
    ready = at_work = 0;
    CHECK_OK(weft_lane_spawn_with(&l, owner, large ? &now : NULL, .name = "owner", .vat = kind));
    reached(&ready, 1);
    return l;
}

/* Until so many strangers are known to its memory: from then on it stays for them,
 * whether they stand in line already or are just about to. */
static void known(weft_id owner, unsigned n)
{
    weft__stakes *s = &((weft__lane *)weft__slab_at(&weft__lanes_of(weft_current())->lanes, owner.key))->vat->stakes;
    unsigned count;

    do {
        CHECK_OK(weft_yield());
        weft__spin_lock(&s->lock);
        count = s->count;
        weft__spin_unlock(&s->lock);
    } while (count < n);
}

enum { OUTSIDE = 3 };

static void die_with_waiters(const sort *s, const weft_vat_kind *kind, int large, unsigned yields, int kill_one)
{
    weft_id l = owned(s, kind, large), o[OUTSIDE];

    for (int i = 0; i < OUTSIDE; i++)
        CHECK_OK(weft_lane_spawn(&o[i], outsider, NULL));
    known(l, OUTSIDE * (s->stakes ? s->stakes : 1));
    while (yields--)
        CHECK_OK(weft_yield());
    if (kill_one)
        kill_lane(o[1]);
    killed(l);
    for (int i = 0; i < OUTSIDE; i++)
        CHECK_OK(weft_lane_join(o[i], NULL, soon()));
}

static const weft_vat_kind arena = {.name = "arena", .flags = WEFT_VAT_ARENA};

static int all_sorts(int argc, char **argv)
{
    (void)argc, (void)argv;
    for (int i = 0; i < SORTS; i++) {
        die_with_waiters(&sorts[i], NULL, 0, 200, 0);
        die_with_waiters(&sorts[i], NULL, i % 2, (unsigned)i % 7, 0);
        die_with_waiters(&sorts[i], i % 3 ? &arena : NULL, i % 2 == 0, 40, 0);
        die_with_waiters(&sorts[i], NULL, 0, (unsigned)i % 5 * 8, 1);
    }
    return 0;
}

/* The lane is not killed but through. */
static int it_returns(int argc, char **argv)
{
    (void)argc, (void)argv;
    weft_id l = owned(&sorts[5], NULL, 0), o;

    CHECK_OK(weft_lane_spawn(&o, outsider, NULL));
    known(l, 1);
    CHECK_OK(weft_event_set(&let_go));
    ended(l);
    ended(o);
    CHECK_OK(weft_event_reset(&let_go));
    return 0;
}

/* ---- holding ---- */

static int holding, holds_what;
static void blank(void *p) { (void)p; }
static const sort mutexes = {"held mutex", sizeof(weft_mutex), blank, NULL, 0};
static const sort rwlocks = {"held rwlock", sizeof(weft_rwlock), blank, NULL, 0};
static const sort broadcasts = {"joined broadcast", sizeof(weft_broadcast), quiet, NULL, 0};

/* It has something of the owner's; once that is dead, nothing, and what lies on its own stack says so. */
static int holder(void *arg)
{
    weft_read_hold h = {{0}};
    weft_reader r = {{0}};
    int item;

    (void)arg;
    if (holds_what == 0)
        CHECK_OK(weft_mutex_lock(object, soon()));
    else if (holds_what == 1)
        CHECK_OK(weft_rwlock_write(object, soon()));
    else if (holds_what == 2)
        CHECK_OK(weft_rwlock_read(object, &h, soon()));
    else
        CHECK_OK(weft_broadcast_join(object, &r));
    bump(&holding);
    CHECK_OK(weft_event_wait(&let_go, WEFT_NEVER));
    if (holds_what == 2)
        CHECK_EQ(weft_rwlock_unread(&h), -EPERM);
    if (holds_what == 3) {
        CHECK_EQ(weft_broadcast_receive(&r, &item, NULL, WEFT_NOW), -EPERM);
        CHECK_EQ(weft_broadcast_leave(&r), -EPERM);
    }
    return 0;
}

static void die_with_holder(int what, int mobile, int kill_it)
{
    static const sort *const of[] = {&mutexes, &rwlocks, &rwlocks, &broadcasts};
    weft_id l = owned(of[what], NULL, 0), h;

    holds_what = what;
    holding = 0;
    CHECK_OK(weft_lane_spawn_with(&h, holder, NULL, .name = "holder", .mobile = mobile));
    reached(&holding, 1);
    if (kill_it)
        kill_lane(h);
    killed(l);
    CHECK_OK(weft_event_set(&let_go));
    CHECK_OK(weft_lane_join(h, NULL, soon()));
    CHECK_OK(weft_event_reset(&let_go));
}

static int all_holds(int argc, char **argv)
{
    (void)argc, (void)argv;
    for (int i = 0; i < 8; i++)
        for (int what = 0; what < 4; what++) {
            die_with_holder(what, i & 2, 0);
            die_with_holder(what, i & 2, 1);
        }
    return 0;
}

/* Taken and given back from outside as ever, with somebody in line; the owner's end finds nothing. */
static int uses(void *arg)
{
    weft_mutex *m = object;
    weft_rwlock *rw = (void *)(m + 1);
    weft_channel *c = (void *)(rw + 1);
    weft_read_hold h = {{0}};
    int item = 1;

    (void)arg;
    for (int i = 0; i < 50; i++) {
        CHECK_OK(weft_mutex_lock(m, soon()));
        CHECK_OK(weft_yield());
        CHECK_OK(weft_mutex_unlock(m));
        CHECK_OK(weft_rwlock_read(rw, &h, soon()));
        CHECK_OK(weft_yield());
        CHECK_OK(weft_rwlock_unread(&h));
        CHECK_OK(weft_rwlock_write(rw, soon()));
        CHECK_OK(weft_yield());
        CHECK_OK(weft_rwlock_unwrite(rw));
        CHECK_OK(weft_channel_send(c, &item, soon()));
        CHECK_OK(weft_channel_receive(c, &item, soon()));
        weft_case cases[] = {WEFT_PASS(&never), WEFT_LOCK(m)};
        CHECK_EQ(weft_select(cases, 2, soon()), 1);
        CHECK_OK(cases[1].result);
        CHECK_OK(weft_mutex_unlock(m));
    }
    return 0;
}

static void makes_three(void *p)
{
    weft_channel *c = (void *)((weft_rwlock *)(void *)((weft_mutex *)p + 1) + 1);

    CHECK_OK(weft_channel_init(c, sizeof(int), 1, c + 1));
}

static int ordinary(int argc, char **argv)
{
    static const sort three = {"three", sizeof(weft_mutex) + sizeof(weft_rwlock) + sizeof(weft_channel) + 16, makes_three, NULL, 0};
    weft_id l = owned(&three, NULL, 0), o[OUTSIDE];

    (void)argc, (void)argv;
    for (int i = 0; i < OUTSIDE; i++)
        CHECK_OK(weft_lane_spawn(&o[i], uses, NULL));
    for (int i = 0; i < OUTSIDE; i++)
        ended(o[i]);
    killed(l);
    return 0;
}

int main(void)
{
    weft__vat_lenient = 1;
    run_clean(all_sorts, 3);
    run_clean(it_returns, 2);
    run_clean(all_holds, 3);
    run_clean(ordinary, 3);
    return 0;
}
