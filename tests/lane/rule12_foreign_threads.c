/* Foreign threads (DESIGN rule 12): many of them make lanes, unpark and cancel while the runtime runs; what they may
 * not do answers -EPERM; after the end -ESHUTDOWN. And two runtimes in one process know each other's ids as nothing
 * of theirs. */
#include "lane/world.h"

enum { THREADS = 4, EACH = 3000 };

static weft_runtime *rt;
static int ended, canceled, unparked;

static int count(void *arg)
{
    (void)arg;
    bump(&ended);
    return 0;
}

static int parks(void *arg)
{
    uint64_t *self = arg;

    __atomic_store_n(self, id_to_word(weft_self()), __ATOMIC_RELEASE);
    const int r = weft_park(WEFT_NEVER);
    bump(r == 0 ? &unparked : &canceled);
    bump(&ended);
    return r;
}

static void *spawner(void *arg)
{
    uint64_t state = (uintptr_t)arg;

    for (int i = 0; i < EACH; i++) {
        weft_id l;
        uint64_t fiber = 0;

        if (i % 3) {
            CHECK_OK(weft_lane_spawn_in(rt, i % 2 ? &l : NULL, count, NULL, NULL));
            continue;
        }
        CHECK_OK(weft_lane_spawn_in(rt, &l, parks, &fiber, NULL));
        if (next_random(&state) % 2) { /* perhaps before it is born */
            CHECK_OK(weft_cancel_in(rt, l));
            while (!__atomic_load_n(&fiber, __ATOMIC_ACQUIRE))
                sched_yield();
        } else {
            uint64_t word;
            while (!(word = __atomic_load_n(&fiber, __ATOMIC_ACQUIRE)))
                sched_yield();
            CHECK_OK(weft_unpark_in(rt, word_to_id(word)));
        }
    }
    return NULL;
}

static void many_threads(void)
{
    static spy s;
    weft_options opt = {.workers = 3, .env = spy_open(&s), .blocked_ns = -1};
    pthread_t t[THREADS];
    weft_stats stats;

    CHECK_OK(weft_start(&rt, &opt));
    for (int i = 0; i < THREADS; i++)
        t[i] = thread_of(spawner, (void *)(uintptr_t)(i + 1));
    for (int i = 0; i < THREADS; i++)
        pthread_join(t[i], NULL);
    CHECK_OK(weft_wait(rt, WEFT_NEVER));
    CHECK_EQ(get(&ended), THREADS * EACH);
    CHECK_EQ(get(&canceled) + get(&unparked), THREADS * EACH / 3);
    CHECK_OK(weft_runtime_stats(rt, &stats));
    CHECK_EQ(stats.lanes_spawned, THREADS * EACH);
    CHECK_EQ(stats.lanes_ended, stats.lanes_spawned);
    CHECK_EQ(stats.fibers_spawned, stats.fibers_ended);
    CHECK_OK(weft_end(rt));
    SPY_SILENT(&s);
    spy_close(&s);
}

/* Whoever is no fiber of rt has nothing to give, to link or to be told by. */
static void asks_for_what_lanes_have(void)
{
    const weft_id ids[1] = {{1, 2, 3}};
    weft_id monitor = WEFT_NOID;
    const weft_lane_options opt[] = {
        {.copy = sizeof ids, .gives = 1}, {.linked = 1}, {.monitor = &monitor}, {.parent = ids[0]}};

    for (size_t i = 0; i < sizeof opt / sizeof *opt; i++)
        CHECK_EQ(weft_lane_spawn_in(rt, NULL, count, (void *)(uintptr_t)ids, &opt[i]), -EPERM);
    CHECK(!monitor.gen);
}

static void not_for_them(void)
{
    weft_options opt = {.workers = 1};
    weft_id id = WEFT_NOID;
    weft_trace trace;
    int signals[] = {10, 0};

    CHECK_OK(weft_start(&rt, &opt));
    CHECK_EQ(weft_lane_spawn(&id, count, NULL), -EPERM);
    CHECK_EQ(weft_lane_join(id, NULL, WEFT_NOW), -EPERM);
    CHECK_EQ(weft_park(WEFT_NOW), -EPERM);
    CHECK_EQ(weft_unpark(id), -EPERM);
    CHECK_EQ(weft_trace_of(id, &trace), -EPERM);
    CHECK_EQ(weft_signal_wait(signals, WEFT_NOW), -EPERM);
    CHECK_EQ(weft_close(id), -EPERM);
    CHECK(weft_current() == NULL);
    CHECK_EQ(weft_cancel_in(rt, id), -ESRCH);
    CHECK_EQ(weft_unpark_in(rt, id), -ESRCH);
    asks_for_what_lanes_have();
    CHECK_OK(weft_wait(rt, WEFT_NOW));
    CHECK_OK(weft_stop(rt));
    CHECK_OK(weft_stop(rt));
    int r;
    while ((r = weft_lane_spawn_in(rt, NULL, count, NULL, NULL)) == 0) /* the request is on its way */
        sched_yield();
    CHECK_EQ(r, -ESHUTDOWN);
    CHECK_OK(weft_wait(rt, WEFT_NEVER));
    CHECK_OK(weft_end(rt));
}

/* ---- two runtimes ---- */

static weft_runtime *other;
static uint64_t fiber_here;

static int refuses(void *arg)
{
    const weft_id *theirs = arg; /* a fiber's and a lane's */

    CHECK(weft_current() == other);
    CHECK_EQ(weft_unpark(theirs[0]), -ESRCH);
    CHECK_EQ(weft_unpark_in(other, theirs[0]), -ESRCH);
    CHECK_EQ(weft_cancel(theirs[0]), -ESRCH);
    CHECK_EQ(weft_join(theirs[0], NULL, WEFT_NOW), -ESRCH);
    CHECK_EQ(weft_cancel(theirs[1]), -ESRCH);
    CHECK_EQ(weft_cancel_in(other, theirs[1]), -ESRCH);
    CHECK_EQ(weft_lane_join(theirs[1], NULL, WEFT_NOW), -ESRCH);
    CHECK_OK(weft_lane_spawn_in(rt, NULL, count, NULL, NULL)); /* for the other runtime it is a foreign thread */
    CHECK_OK(weft_wait(rt, WEFT_NOW) == -ETIMEDOUT ? 0 : -1);
    CHECK_OK(weft_unpark_in(rt, theirs[0]));
    asks_for_what_lanes_have();
    bump(&ended);
    return 0;
}

static void two_runtimes(void)
{
    weft_options opt = {.workers = 2};
    weft_id ids[2];
    uint64_t word;

    put(&ended, 0);
    CHECK_OK(weft_start(&rt, &opt));
    CHECK_OK(weft_start(&other, &opt));
    CHECK_OK(weft_lane_spawn_in(rt, &ids[1], parks, &fiber_here, NULL));
    while (!(word = __atomic_load_n(&fiber_here, __ATOMIC_ACQUIRE)))
        sched_yield();
    ids[0] = word_to_id(word);
    CHECK_EQ(weft_cancel_in(other, ids[1]), -ESRCH);
    CHECK_EQ(weft_unpark_in(other, ids[0]), -ESRCH);
    CHECK_OK(weft_lane_spawn_in(other, NULL, refuses, ids, NULL));
    CHECK_OK(weft_wait(other, WEFT_NEVER));
    CHECK_OK(weft_wait(rt, WEFT_NEVER));
    CHECK_EQ(get(&ended), 3);
    CHECK_OK(weft_end(rt));
    CHECK_OK(weft_end(other));
}

int main(void)
{
    many_threads();
    not_for_them();
    two_runtimes();
    return 0;
}
