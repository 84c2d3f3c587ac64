/* Everything at once, by seed: trees of lanes whose fibers spawn, park, unpark, sleep, cancel, join and detach at
 * random, from inside and from foreign threads. Everything ends, as often as it began, and nothing is left. */
#include "lane/world.h"

enum { IDS = 256 };

static uint64_t seed;
static uint64_t ids[IDS]; /* fibers and lanes that were seen: stale ones included */
static int budget, stop_meddling, live;
static weft_runtime *rt;

static void publish(weft_id id, uint64_t *state)
{
    __atomic_store_n(&ids[next_random(state) % IDS], id_to_word(id), __ATOMIC_RELEASE);
}

static weft_id pick(uint64_t *state)
{
    return word_to_id(__atomic_load_n(&ids[next_random(state) % IDS], __ATOMIC_ACQUIRE));
}

static int one_of(int r, int a, int b, int c, int d)
{
    if (r != 0 && r != a && r != b && r != c && r != d)
        TEST_FAIL("seed %llu: unexpected %d", (unsigned long long)seed, r);
    return r;
}

static int64_t briefly(uint64_t *state) { return weft_after((int64_t)(next_random(state) % 300) * WEFT_MICROSECOND); }

typedef struct life {
    uint64_t state;
    int depth;
} life;

static int lane_main(void *arg);

static int fiber_main(void *arg)
{
    life me = *(life *)arg;
    weft_id mine[4];
    int count = 0;

    publish(weft_self(), &me.state);
    for (int steps = (int)(next_random(&me.state) % 12); steps > 0; steps--) {
        const uint32_t what = next_random(&me.state) % 12;
        life child = {me.state ^ 0x9e3779b97f4a7c15u * (uint64_t)steps, me.depth + 1};

        if (what < 3 && me.depth < 5 && count < 4 && __atomic_sub_fetch(&budget, 1, __ATOMIC_RELAXED) > 0) {
            if (what == 0) {
                weft_id l;
                const int r = weft_lane_spawn_with(&l, lane_main, &child, .copy = sizeof child);
                if (one_of(r, -ECANCELED, -ESHUTDOWN, 0, 0) == 0) {
                    publish(l, &me.state);
                    if (next_random(&me.state) % 2)
                        one_of(weft_lane_join(l, NULL, briefly(&me.state)), -ECANCELED, -ETIMEDOUT, 0, 0);
                    else if (next_random(&me.state) % 2)
                        CHECK_OK(weft_lane_detach(l));
                }
            } else if (weft_spawn_with(&mine[count], fiber_main, &child, .copy = sizeof child) == 0) {
                publish(mine[count], &me.state);
                count++;
            }
        } else if (what == 3) {
            one_of(weft_sleep(briefly(&me.state)), -ECANCELED, 0, 0, 0);
        } else if (what == 4) {
            one_of(weft_park(briefly(&me.state)), -ECANCELED, -ETIMEDOUT, 0, 0);
        } else if (what == 5) {
            one_of(weft_unpark(pick(&me.state)), -ESRCH, -EINVAL, 0, 0);
        } else if (what == 6) {
            one_of(weft_cancel(pick(&me.state)), -ESRCH, -EPERM, 0, 0);
        } else if (what == 7 && count > 0) {
            const int r = weft_join(mine[count - 1], NULL, briefly(&me.state));
            if (one_of(r, -ECANCELED, -ETIMEDOUT, -EBUSY, -ESRCH) == 0)
                count--; /* a sibling may have been quicker */
        } else if (what == 8) {
            /* Anybody's: most of them are not ours to join. */
            const int r = weft_join(pick(&me.state), NULL, briefly(&me.state));
            if (r != -EPERM && r != -EDEADLK && r != -EBUSY && r != -EINVAL)
                one_of(r, -ESRCH, -ECANCELED, -ETIMEDOUT, 0);
        } else if (what == 9) {
            weft_scope s;
            CHECK_OK(weft_scope_enter(&s, briefly(&me.state)));
            one_of(weft_park(WEFT_NEVER), -ECANCELED, 0, 0, 0);
            one_of(weft_scope_leave(&s), -ETIMEDOUT, -ECANCELED, 0, 0);
        } else if (what == 10 && count > 0) {
            one_of(weft_detach(mine[--count]), -EBUSY, -ESRCH, 0, 0);
        } else {
            CHECK_OK(weft_yield());
        }
    }
    return 0;
}

static int lane_main(void *arg)
{
    bump(&live);
    fiber_main(arg);
    __atomic_sub_fetch(&live, 1, __ATOMIC_RELAXED);
    return 0;
}

static void *meddler(void *arg)
{
    uint64_t state = seed ^ (uintptr_t)arg;

    while (!get(&stop_meddling)) {
        const weft_id id = pick(&state);
        if (next_random(&state) % 8)
            one_of(weft_unpark_in(rt, id), -ESRCH, -EINVAL, 0, 0);
        else
            one_of(weft_cancel_in(rt, id), -ESRCH, -EINVAL, -ESHUTDOWN, 0);
        sched_yield();
    }
    return NULL;
}

/* Joining anybody closes a circle now and then, which is told in lines of its own; the log says nothing else.
 * Two workers' may be mixed. */
static void only_circles(const spy *s)
{
    for (const char *line = s->log, *end; *line; line = end + 1) {
        end = strchr(line, '\n');
        if (!end || (strncmp(line, "deadlock: ", 10) && strncmp(line, "  fiber \"", 9)))
            TEST_FAIL("seed %llu: nothing but circles should be told; the log says:\n%s", (unsigned long long)seed, s->log);
    }
}

static void one_world(uint64_t s)
{
    static spy spied;
    weft_options opt = {.workers = 3, .env = spy_open(&spied), .blocked_ns = -1, .stack_size = 64 << 10};
    weft_stats stats;

    seed = s;
    fprintf(stderr, "replay: WEFT_CHAOS_SEED=%llu\n", (unsigned long long)s);
    memset(ids, 0, sizeof ids);
    put(&stop_meddling, 0);
    put(&budget, 3000);
    CHECK_OK(weft_start(&rt, &opt));
    const pthread_t t[2] = {thread_of(meddler, (void *)1), thread_of(meddler, (void *)2)};
    for (int i = 0; i < 30; i++) {
        life first = {s * 1000 + (uint64_t)i, 0};
        CHECK_OK(weft_lane_spawn_in(rt, NULL, lane_main, &first, &(weft_lane_options){.copy = sizeof first}));
    }
    if (s % 4) {
        CHECK_OK(weft_wait(rt, WEFT_NEVER));
        CHECK_EQ(get(&live), 0);
    }
    CHECK_OK(weft_stop(rt)); /* each fourth world ends in the middle of it */
    CHECK_OK(weft_wait(rt, WEFT_NEVER));
    put(&stop_meddling, 1);
    for (int i = 0; i < 2; i++)
        pthread_join(t[i], NULL);
    CHECK_OK(weft_runtime_stats(rt, &stats));
    CHECK_EQ(stats.fibers_spawned, stats.fibers_ended);
    CHECK_EQ(stats.lanes_spawned, stats.lanes_ended);
    CHECK_OK(weft_end(rt));
    only_circles(&spied);
    spy_close(&spied);
    put(&live, 0);
}

int main(int argc, char **argv)
{
    const char *given = getenv("WEFT_CHAOS_SEED");
    const uint64_t worlds = argc > 1 ? strtoull(argv[1], NULL, 0) : 40;

    if (given) {
        one_world(strtoull(given, NULL, 0));
        return 0;
    }
    for (uint64_t s = 1; test_again(s - 1, worlds); s++)
        one_world(s);
    return 0;
}
