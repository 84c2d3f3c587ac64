/* What the supervisors' tests share: children that do as they are told, and a log of who started (+), did not start
 * (!), was stopped (-) and, if it takes its time for that, has ended (.), in order. A child that is killed, or told
 * to end, leaves no mark. */
#ifndef WEFT_TESTS_LANE_SUPERVISED_H
#define WEFT_TESTS_LANE_SUPERVISED_H

#include <weft/supervisor.h>

#include "lane/lane.h"
#include "lane/world.h"

/* ---- the log ---- */

static char supervised_log[4096];
static int supervised_lock;

static inline void log_lock(void)
{
    while (__atomic_exchange_n(&supervised_lock, 1, __ATOMIC_ACQUIRE))
        sched_yield();
}

static inline void log_unlock(void) { __atomic_store_n(&supervised_lock, 0, __ATOMIC_RELEASE); }

static inline void note(char what, const char *name)
{
    log_lock();
    const size_t n = strlen(supervised_log);

    snprintf(supervised_log + n, sizeof supervised_log - n, "%s%c%s", n ? " " : "", what, name);
    log_unlock();
}

static inline void log_copy(char *out)
{
    log_lock();
    memcpy(out, supervised_log, sizeof supervised_log);
    log_unlock();
}

/* What it says so far is forgotten. */
static inline void forget_log(void)
{
    log_lock();
    supervised_log[0] = 0;
    log_unlock();
}

/* The log is this, exactly; it is empty afterwards. */
static inline void expect(const char *text)
{
    char is[sizeof supervised_log];

    log_copy(is);
    if (strcmp(is, text) != 0)
        TEST_FAIL("the log is \"%s\", expected: \"%s\"", is, text);
    forget_log();
}

/* One of the two: a child with a short grace may be killed before it has had its turn. */
static inline void expect_either(const char *text, const char *or)
{
    char is[sizeof supervised_log];

    log_copy(is);
    expect(strcmp(is, or) == 0 ? or : text);
}

/* It becomes this. The test's own time limit ends the wait. */
static inline void await_log(const char *text)
{
    char is[sizeof supervised_log];

    for (log_copy(is); strcmp(is, text) != 0; log_copy(is)) {
        if (strlen(is) >= strlen(text))
            TEST_FAIL("the log is \"%s\", expected: \"%s\"", is, text);
        CHECK_OK(weft_sleep(weft_after(WEFT_MILLISECOND)));
    }
    expect(text);
}

/* ---- what goes on behind the caller's back ---- */

static inline unsigned lanes_of_ours(void)
{
    weft_limits used;

    CHECK_OK(weft_lane_usage(&used));
    return used.lanes;
}

/* A start was given up: waits until all that was begun is undone, and no more than so many lanes of ours are left. What
 * had started was stopped; a machine may be too busy to have started anything. */
static inline void await_undone(unsigned lanes, const char *started, const char *stopped)
{
    char is[sizeof supervised_log];

    while (lanes_of_ours() > lanes)
        CHECK_OK(weft_sleep(weft_after(WEFT_MILLISECOND)));
    log_copy(is);
    CHECK(!strstr(is, started) || strstr(is, stopped));
    forget_log();
}

/* ---- children ---- */

typedef struct hand {
    const char *name;
    int unready;           /* it does not call weft_child_ready */
    int bad_from, bad_to;  /* starts, from 1, in which it does not get ready... */
    int bad;               /* ...but returns this, */
    int hangs;             /* or hangs */
    int says;              /* or calls weft_child_ready with this */
    int stubborn;          /* once it is up, it does not hear when it is asked to end */
    int slow_ms;           /* takes this long to end */
    int *meet, all;        /* takes until all have been asked to end */
    int *job;              /* once it is up, it waits in a pool's job, which nothing can cancel (see await_job) */
    int starts;            /* how often it was started (atomic) */
} hand;

static inline void stay(int64_t until)
{
    weft_scope s;

    CHECK_OK(weft_shield_enter(&s, WEFT_NEVER));
    weft_sleep(until);
    weft_shield_leave(&s);
}

static inline int64_t job_of(void *arg)
{
    if (get(arg) == 0)
        put(arg, 1);
    until(arg, 2);
    return 0;
}

static inline void do_job(int *job)
{
    weft_op op;

    weft_op_call(&op, job_of, job, NULL);
    weft__await_op_shielded(&op);
}

static inline int bad_start(hand *h)
{
    note('!', h->name);
    if (h->says)
        CHECK_OK(weft_child_ready(h->says));
    return h->says || h->hangs ? weft_sleep(WEFT_NEVER) : h->bad;
}

/* Runs until it is told to end (tell), or stopped. */
static inline int work(void *arg)
{
    hand *h = arg;
    weft_message *m;
    const int n = bump(&h->starts);
    int result;

    note('+', h->name);
    if (n >= h->bad_from && n <= h->bad_to)
        return bad_start(h);
    if (!h->unready)
        CHECK_OK(weft_child_ready(0));
    if (h->job)
        do_job(h->job);
    if (h->stubborn)
        stay(WEFT_NEVER);
    result = weft_receive(&m, WEFT_NEVER);
    if (result == 0) {
        memcpy(&result, m->data, sizeof result);
        CHECK_OK(weft_msg_free(m));
        return result;
    }
    note('-', h->name);
    if (h->meet)
        bump(h->meet);
    while (h->meet && get(h->meet) < h->all)
        stay(weft_after(WEFT_MILLISECOND));
    if (h->slow_ms)
        stay(weft_after(h->slow_ms * WEFT_MILLISECOND));
    if (h->slow_ms || h->meet)
        note('.', h->name);
    return result;
}

/* As weft_kill_in from a foreign thread, which needs no right: a fiber of ours would. */
static inline void kill_lane(weft_id lane)
{
    const int r = weft__lane_signal(weft_current(), lane, WEFT__SIG_KILL);

    CHECK(r == 0 || r == -ESRCH);
}

/* And as weft_cancel_in from there. */
static inline int cancel_lane(weft_id lane) { return weft__lane_signal(weft_current(), lane, WEFT__SIG_CANCEL); }

/* The child is to return this. */
static inline void tell(weft_id lane, int result) { CHECK_OK(weft_send(lane, &result, sizeof result, NULL)); }

/* A job is to come (0), runs (1), may end (2). From here until job_done its child can be stopped by nothing. */
static inline void await_job(int *job)
{
    while (!get(job))
        CHECK_OK(weft_sleep(weft_after(WEFT_MILLISECOND)));
}

static inline void job_done(int *job) { put(job, 2); }

/* ---- supervisors ---- */

#ifdef __clang__
#pragma clang diagnostic ignored "-Wgnu-zero-variadic-macro-arguments"
#endif
#define CHILD(hand_, ...) {.id = (hand_)->name, .run = work, .arg = (hand_), .ready = 1, __VA_ARGS__}
#define SUPERVISOR(children_, ...)                                                                                     \
    {.children = children_, .count = sizeof(children_) / sizeof *(children_), __VA_ARGS__}

static inline weft_id supervisor(const weft_supervisor_spec *spec)
{
    weft_id s;

    CHECK_OK(weft_supervisor_start(&s, spec, NULL, soon()));
    return s;
}

static inline void stop_supervisor(weft_id s) { CHECK_OK(weft_supervisor_stop(s, soon())); }

static inline weft_child_info child_info(weft_id s, const char *id)
{
    weft_child_info info;

    CHECK_OK(weft_supervisor_child(s, id, &info, soon()));
    return info;
}

static inline weft_id lane_of(weft_id s, const char *id) { return child_info(s, id).lane; }

/* Waits until the child runs in another lane than this. */
static inline weft_id lane_after(weft_id s, const char *id, weft_id before)
{
    for (;;) {
        const weft_child_info i = child_info(s, id);

        if (i.state == WEFT_CHILD_RUNNING && !weft_id_equal(i.lane, before))
            return i.lane;
        CHECK_OK(weft_sleep(weft_after(WEFT_MILLISECOND)));
    }
}

/* Waits until it has no lane any more, and nothing is going to change that. */
static inline void await_stopped(weft_id s, const char *id)
{
    while (child_info(s, id).state != WEFT_CHILD_STOPPED)
        CHECK_OK(weft_sleep(weft_after(WEFT_MILLISECOND)));
}

/* Waits until the supervisor does not know it any more. */
static inline void await_forgotten(weft_id s, const char *id)
{
    weft_child_info info;
    int r;

    while ((r = weft_supervisor_child(s, id, &info, soon())) == 0)
        CHECK_OK(weft_sleep(weft_after(WEFT_MILLISECOND)));
    CHECK_EQ(r, -ENOENT);
}

static inline void check_counts(weft_id s, unsigned specs, unsigned active, unsigned supervisors, unsigned workers)
{
    weft_child_counts c;

    CHECK_OK(weft_supervisor_count(s, &c, soon()));
    CHECK_EQ(c.specs, specs);
    CHECK_EQ(c.active, active);
    CHECK_EQ(c.supervisors, supervisors);
    CHECK_EQ(c.workers, workers);
}

/* Waits until a child is in that state. */
static inline void await_state(weft_id s, const char *id, enum weft_child_state state)
{
    while (child_info(s, id).state != state)
        CHECK_OK(weft_sleep(weft_after(WEFT_MILLISECOND)));
}

/* The supervisor ends by itself, for this reason. */
static inline weft_exit end_of(weft_id s)
{
    weft_exit e;

    CHECK_OK(weft_lane_join_exit(s, &e, soon()));
    return e;
}

/* ---- the program ---- */

static spy supervised_spy;

/* Runs it as the main fiber; nothing is left afterwards. After the grace a child that was killed counts as dying. */
static inline void run_with_grace(int (*fn)(int, char **), int64_t grace_ns)
{
    const weft_options opt = {.workers = 2, .env = spy_open(&supervised_spy), .blocked_ns = -1, .grace_ns = grace_ns};

    CHECK_EQ(run_main_with(fn, &opt), 0);
    spy_close(&supervised_spy);
}

/* However busy this machine is, a child is dead by then. */
static inline int run_supervised(int (*fn)(int, char **))
{
    run_with_grace(fn, 20 * WEFT_SECOND);
    return 0;
}

/* For children that do not die before they are allowed to. */
static inline int run_impatient(int (*fn)(int, char **))
{
    run_with_grace(fn, 20 * WEFT_MILLISECOND);
    return 0;
}

#endif
