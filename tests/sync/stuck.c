/* A program in which nothing can ever run again says who waits for what, and ends with a status of its own, be there a
 * circle of owners or not; and one that still has something to expect never does: a thread that has announced itself,
 * an operation, a timer, a signal, a foreign loop. */
#include <signal.h>
#include <weft/signal.h>

#include "world.h"

/* ThreadSanitizer does, until a thread calls something that it knows. */
#define HOLDS_SIGNALS_BACK 0
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#undef HOLDS_SIGNALS_BACK
#define HOLDS_SIGNALS_BACK 1
#endif
#endif

enum { SEATS = 5 };

static spy s;
static weft_semaphore fork_[SEATS];
static weft_channel here, there;
static weft_event event;
static weft_mutex lock;
static weft_latch seated;
static weft_runtime *rt;
static int hooked, in_hook;

static pthread_t thread_unannounced(void *(*fn)(void *), void *arg)
{
    pthread_t t;

    CHECK_EQ(pthread_create(&t, NULL, fn, arg), 0);
    return t;
}

/* All workers have fallen asleep for good, as far as they know. On a foreign thread. */
static void until_all_sleep(void)
{
    for (unsigned i = 0; i < rt->workers; i++) {
        weft__worker *w;
        while (!(w = __atomic_load_n(&rt->worker[i], __ATOMIC_ACQUIRE)) || !(__atomic_load_n(&w->nap, __ATOMIC_SEQ_CST) & 1))
            sched_yield();
    }
}

static int runs(int (*fn)(int, char **))
{
    weft_options opt = {.workers = 2, .env = spy_open(&s), .blocked_ns = -1};
    const int r = run_main_with(fn, &opt);

    spy_close(&s);
    return r;
}

static void says(const char *what)
{
    if (!spy_says(&s, what))
        TEST_FAIL("the report does not say \"%s\": %s", what, s.log);
}

/* ---- that is the end ---- */

/* Forks without owners: no circle is seen as it closes. */
static int dines(void *arg)
{
    const intptr_t seat = (intptr_t)arg;

    CHECK_OK(weft_semaphore_acquire(&fork_[seat], 1, WEFT_NEVER));
    CHECK_OK(weft_latch_done(&seated, 1));
    CHECK_OK(weft_latch_wait(&seated, WEFT_NEVER)); /* now everybody has one */
    CHECK_OK(weft_semaphore_acquire(&fork_[(seat + 1) % SEATS], 1, WEFT_NEVER));
    TEST_FAIL("a philosopher has two forks");
    return 0;
}

static int dinner(int argc, char **argv)
{
    static const char *const names[SEATS] = {"Plato", "Konfuzius", "Socrates", "Voltaire", "Descartes"};
    weft_id l[SEATS];

    (void)argc, (void)argv;
    CHECK_OK(weft_latch_init(&seated, SEATS));
    for (int i = 0; i < SEATS; i++)
        CHECK_OK(weft_semaphore_init(&fork_[i], 1));
    for (intptr_t i = 0; i < SEATS; i++)
        CHECK_OK(weft_lane_spawn_with(&l[i], dines, (void *)i, .name = names[i]));
    for (int i = 0; i < SEATS; i++)
        CHECK_OK(weft_lane_join(l[i], NULL, WEFT_NEVER));
    TEST_FAIL("dinner is over");
    return 0;
}

static void philosophers(void)
{
    CHECK_EQ(runs(dinner), WEFT_EXIT_DEADLOCK);
    says("deadlock: nothing can run any more: 6 fibers of 6 lanes wait");
    says("fiber \"main\" of lane \"root\" (spawned at weft_main) waits for the end of lane \"Plato\"");
    says("fiber \"Descartes\" of lane \"Descartes\" (spawned at tests/sync/stuck.c:");
    says("waits for units of a semaphore (");
}

static int waits_there(void *arg)
{
    int item;

    (void)arg;
    return weft_channel_receive(&there, &item, WEFT_NEVER);
}

static int waits_to_send(void *arg)
{
    const int item = 1;

    (void)arg;
    return weft_channel_send(&here, &item, WEFT_NEVER);
}

static int selects(void *arg)
{
    int item;
    weft_case cases[] = {WEFT_RECEIVE(&there, &item), WEFT_PASS(&event)};

    (void)arg;
    return weft_select(cases, 2, WEFT_NEVER);
}

static int locks(void *arg)
{
    (void)arg;
    return weft_mutex_lock(&lock, WEFT_NEVER);
}

static int parks(void *arg)
{
    (void)arg;
    return weft_park(WEFT_NEVER);
}

static int receives(void *arg)
{
    weft_message *m;

    (void)arg;
    return weft_receive(&m, WEFT_NEVER);
}

static int cleaned;

static void clean(void *arg)
{
    (void)arg;
    put(&cleaned, 1);
}

/* No circle of owners: everybody waits for something that nobody has. */
static int everything(int argc, char **argv)
{
    weft_id f;

    (void)argc, (void)argv;
    CHECK_OK(weft_channel_init(&here, sizeof(int), 0, NULL));
    CHECK_OK(weft_channel_init(&there, sizeof(int), 0, NULL));
    CHECK_OK(weft_mutex_init(&lock, 0, "the lock"));
    CHECK_OK(weft_mutex_lock(&lock, WEFT_NEVER));
    CHECK_OK(weft_defer(clean, NULL));
    CHECK_OK(weft_lane_spawn_with(NULL, waits_there, NULL, .name = "reader"));
    CHECK_OK(weft_lane_spawn_with(NULL, waits_to_send, NULL, .name = "writer"));
    CHECK_OK(weft_lane_spawn_with(NULL, selects, NULL, .name = "selector"));
    CHECK_OK(weft_lane_spawn_with(NULL, locks, NULL, .name = "locker"));
    CHECK_OK(weft_lane_spawn_with(NULL, parks, NULL, .name = "parker"));
    CHECK_OK(weft_lane_spawn_with(NULL, receives, NULL, .name = "addressee"));
    CHECK_OK(weft_spawn(&f, parks, NULL));
    return weft_join(f, NULL, WEFT_NEVER);
}

static void no_circle(void)
{
    CHECK_EQ(runs(everything), WEFT_EXIT_DEADLOCK);
    says("8 fibers of 7 lanes wait");
    says("waits for the end of fiber \"parks\"");
    says("; it holds 1 lock");
    says("of lane \"reader\" (spawned at tests/sync/stuck.c:");
    says("waits for an item of a channel (");
    says("waits for room in a channel (");
    says("selects among an item of a channel (");
    says(", event (");
    says("waits at tests/sync/stuck.c:");
    says("for mutex \"the lock\" locked at tests/sync/stuck.c:");
    says("of fiber \"main\" of lane \"root\"");
    says("waits for an unpark");
    says("waits for a message");
    CHECK_EQ(get(&cleaned), 1); /* it ends in order: clean-ups run */
}

/* After all else has ended well, and long after the main fiber has returned. */
static int leaves_one(int argc, char **argv)
{
    (void)argc, (void)argv;
    CHECK_OK(weft_lane_spawn_with(NULL, receives, NULL, .name = "left behind"));
    CHECK_OK(weft_sleep(weft_after(3 * WEFT_MILLISECOND)));
    return 0;
}

static void main_has_returned(void)
{
    CHECK_EQ(runs(leaves_one), WEFT_EXIT_DEADLOCK);
    says("1 fiber of 1 lane waits, and");
    says("of lane \"left behind\"");
}

static int many(int argc, char **argv)
{
    (void)argc, (void)argv;
    for (int i = 0; i < 1500; i++)
        CHECK_OK(weft_spawn(NULL, parks, NULL));
    return weft_park(WEFT_NEVER);
}

static void more_than_fit(void)
{
    CHECK_EQ(runs(many), WEFT_EXIT_DEADLOCK);
    says("1501 fibers of 1 lane wait");
    says("  and ");
    says(" more");
}

/* ---- that is not ---- */

static void *unparks(void *arg)
{
    const weft_id *f = arg;

    until_all_sleep();
    CHECK_OK(weft_unpark_in(rt, *f));
    CHECK_OK(weft_guest_leave(rt));
    return NULL;
}

static int expects_a_thread(int argc, char **argv)
{
    weft_id self = weft_self();

    (void)argc, (void)argv;
    rt = weft_current();
    for (int i = 0; i < 20; i++) {
        CHECK_OK(weft_guest_enter(rt));
        pthread_t t = thread_unannounced(unparks, &self);
        CHECK_OK(weft_park(WEFT_NEVER));
        CHECK_EQ(pthread_join(t, NULL), 0);
    }
    CHECK_EQ(weft_guest_leave(rt), -EINVAL);
    return 0;
}

static void *only_leaves(void *arg)
{
    (void)arg;
    until_all_sleep();
    CHECK_OK(weft_guest_leave(rt));
    return NULL;
}

static int is_let_down(int argc, char **argv)
{
    (void)argc, (void)argv;
    rt = weft_current();
    CHECK_OK(weft_guest_enter(rt));
    const pthread_t t = thread_unannounced(only_leaves, NULL);
    CHECK_EQ(pthread_detach(t), 0);
    return weft_park(WEFT_NEVER);
}

static void guests(void)
{
    CHECK_EQ(weft_guest_enter(NULL), -EINVAL);
    CHECK_EQ(weft_guest_leave(NULL), -EINVAL);
    CHECK_EQ(runs(expects_a_thread), 0);
    SPY_SILENT(&s);
    CHECK_EQ(runs(is_let_down), WEFT_EXIT_DEADLOCK);
    says("waits for an unpark");
}

static void *raises(void *arg)
{
    (void)arg;
    until_all_sleep();
    CHECK_EQ(kill(getpid(), SIGUSR1), 0);
    return NULL;
}

static int expects_a_signal(int argc, char **argv)
{
    static const int signals[] = {SIGUSR1, 0};

    (void)argc, (void)argv;
    rt = weft_current();
    CHECK_EQ(weft_signal_wait(signals, weft_now()), -ETIMEDOUT); /* from here on it does not end the process */
    const pthread_t t = thread_unannounced(raises, NULL);
    CHECK_EQ(weft_signal_wait(signals, WEFT_NEVER), SIGUSR1);
    CHECK_EQ(pthread_join(t, NULL), 0);
    return 0;
}

static int64_t takes_its_time(void *arg)
{
    weft_stats stats;

    (void)arg;
    do /* every worker has gone to sleep */
        CHECK_OK(weft_runtime_stats(rt, &stats));
    while (stats.parks < rt->workers);
    return 7;
}

static int expects_an_operation(int argc, char **argv)
{
    weft_op op = {0};

    (void)argc, (void)argv;
    rt = weft_current();
    weft_op_call(&op, takes_its_time, NULL, NULL);
    CHECK_EQ(weft__await_op(&op, WEFT_NEVER), 7);
    return 0;
}

static int expects_a_time(int argc, char **argv)
{
    (void)argc, (void)argv;
    CHECK_OK(weft_lane_spawn(NULL, parks, NULL)); /* it will be stuck, but the time comes first */
    CHECK_EQ(weft_park(weft_after(5 * WEFT_MILLISECOND)), -ETIMEDOUT);
    weft_stop(weft_current());
    return 0;
}

static void others(void)
{
    if (!HOLDS_SIGNALS_BACK) {
        CHECK_EQ(runs(expects_a_signal), 0);
        SPY_SILENT(&s);
    }
    CHECK_EQ(runs(expects_an_operation), 0);
    SPY_SILENT(&s);
    CHECK_EQ(runs(expects_a_time), 0);
    SPY_SILENT(&s);
}

/* ---- embedded ---- */

static void hook(weft_runtime *r, const char *report, void *arg)
{
    CHECK_EQ(r, arg == &hooked ? r : NULL);
    CHECK(!weft__fiber_self());
    if (strstr(report, "of lane \"forgotten\"") && strstr(report, "waits for a message"))
        put(&in_hook, 1);
    bump(&hooked);
    if (get(&hooked) == 2)
        CHECK_OK(weft_stop(r));
}

static void embedded(void)
{
    weft_options opt = {.workers = 2, .env = spy_open(&s), .blocked_ns = -1, .stuck = hook, .stuck_arg = &hooked};
    const weft_id none = WEFT_NOID;
    weft_id l;

    CHECK_OK(weft_start(&rt, &opt));
    until_all_sleep(); /* nobody waits: that is no deadlock */
    CHECK_EQ(get(&hooked), 0);
    CHECK_OK(weft_lane_spawn_in(rt, &l, receives, NULL, &(weft_lane_options){.name = "forgotten"}));
    until(&hooked, 1);
    CHECK_EQ(get(&in_hook), 1);
    CHECK_OK(weft_send_in(rt, l, &none, sizeof none, NULL)); /* whoever comes in spite of that may still help */
    CHECK_OK(weft_wait(rt, WEFT_NEVER));
    CHECK_OK(weft_lane_spawn_in(rt, &l, receives, NULL, &(weft_lane_options){.name = "forgotten"}));
    until(&hooked, 2); /* and stops it */
    CHECK_OK(weft_wait(rt, WEFT_NEVER));
    CHECK_OK(weft_end(rt));
    spy_close(&s);
}

/* In somebody else's loop, which may wake whom it likes between two rounds. */
static void polled(void)
{
    weft_options opt = {.workers = 1, .external_workers = 1, .blocked_ns = -1, .stuck = hook};
    weft_id l;
    int64_t next;

    put(&hooked, 0);
    CHECK_OK(weft_start(&rt, &opt));
    CHECK_OK(weft_lane_spawn_in(rt, &l, receives, NULL, &(weft_lane_options){.name = "patient"}));
    while (weft_run_once(rt, WEFT_NOW, &next) == 1)
        ;
    CHECK_EQ(next, WEFT_NEVER);
    for (int i = 0; i < 5; i++)
        CHECK(weft_run_once(rt, weft_now() + WEFT_MILLISECOND, NULL) >= 0);
    CHECK_EQ(get(&hooked), 0);
    CHECK_OK(weft_stop(rt));
    while (weft_run_once(rt, WEFT_NEVER, NULL) != -ESHUTDOWN)
        ;
    CHECK_OK(weft_end(rt));
}

int main(void)
{
    philosophers();
    no_circle();
    main_has_returned();
    more_than_fit();
    guests();
    others();
    embedded();
    polled();
    return 0;
}
