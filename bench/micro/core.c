/* What the core's own operations cost: yield, spawn, join, park, lanes, timers. One worker unless told
 * otherwise (WEFT_WORKERS). Prints, for each, the median and the spread of several rounds in ns an
 * operation. Wall time on a machine that has nothing else to do; for figures that do not depend on its mood,
 * run under valgrind --tool=callgrind. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <weft/weft.h>

enum { ROUNDS = 9, MANY = 1000000 };

static double sample[ROUNDS];

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void report(const char *what, long count)
{
    qsort(sample, ROUNDS, sizeof sample[0], by_value);
    printf("%-44s %9.1f ns  [%.1f, %.1f]  x %ld\n", what, sample[ROUNDS / 2], sample[1], sample[ROUNDS - 2], count);
    fflush(stdout);
}

static void must(int r)
{
    if (r < 0) {
        fprintf(stderr, "%s\n", weft_strerror(r));
        exit(1);
    }
}

/* ---- yield ---- */

static int yielder(void *arg)
{
    for (long n = (long)(intptr_t)arg; n > 0; n--)
        weft_yield();
    return 0;
}

static void bench_yield(long fibers, long each)
{
    weft_id *f = malloc(sizeof *f * (size_t)fibers);
    char what[64];
    for (int round = 0; round < ROUNDS; round++) {
        for (long i = 0; i < fibers; i++)
            must(weft_spawn(&f[i], yielder, (void *)(intptr_t)each));
        weft_yield(); /* all have started */
        int64_t begin = weft_now();
        for (long i = 0; i < fibers; i++)
            must(weft_join(f[i], NULL, WEFT_NEVER));
        sample[round] = (double)(weft_now() - begin) / (double)(fibers * each);
    }
    snprintf(what, sizeof what, "yield, %ld fibers", fibers);
    report(what, fibers * each);
    free(f);
}

/* ---- spawn ---- */

static int empty(void *arg)
{
    (void)arg;
    return 0;
}

static void bench_spawn(void)
{
    for (int round = 0; round < ROUNDS; round++) {
        int64_t begin = weft_now();
        for (int i = 0; i < MANY; i++) {
            weft_id f;
            must(weft_spawn(&f, empty, NULL));
            must(weft_join(f, NULL, WEFT_NEVER));
        }
        sample[round] = (double)(weft_now() - begin) / MANY;
    }
    report("spawn, run, exit, join of a fiber", MANY);
}

static void bench_spawn_many(void)
{
    weft_id *f = malloc(sizeof *f * MANY);
    for (int round = 0; round < ROUNDS; round++) {
        int64_t begin = weft_now();
        for (int i = 0; i < MANY; i++)
            must(weft_spawn(&f[i], empty, NULL));
        for (int i = 0; i < MANY; i++)
            must(weft_join(f[i], NULL, WEFT_NEVER));
        sample[round] = (double)(weft_now() - begin) / MANY;
    }
    report("1 M fibers spawned, then joined", MANY);
    free(f);
}

static void bench_lane(void)
{
    enum { COUNT = 200000 };
    for (int round = 0; round < ROUNDS; round++) {
        int64_t begin = weft_now();
        for (int i = 0; i < COUNT; i++) {
            weft_id lane;
            must(weft_lane_spawn(&lane, empty, NULL));
            must(weft_lane_join(lane, NULL, WEFT_NEVER));
        }
        sample[round] = (double)(weft_now() - begin) / COUNT;
    }
    report("spawn, run, exit, join of a lane", COUNT);
}

/* ---- park ---- */

static weft_id partner[2];

static int ponger(void *arg)
{
    for (long n = (long)(intptr_t)arg; n > 0; n--) {
        must(weft_park(WEFT_NEVER));
        must(weft_unpark(partner[0]));
    }
    return 0;
}

static void bench_park(void)
{
    partner[0] = weft_self();
    for (int round = 0; round < ROUNDS; round++) {
        must(weft_spawn(&partner[1], ponger, (void *)(intptr_t)MANY));
        int64_t begin = weft_now();
        for (int i = 0; i < MANY; i++) {
            must(weft_unpark(partner[1]));
            must(weft_park(WEFT_NEVER));
        }
        sample[round] = (double)(weft_now() - begin) / (2.0 * MANY);
        must(weft_join(partner[1], NULL, WEFT_NEVER));
    }
    report("unpark and park, per hop", 2 * MANY);
}

/* ---- timers ---- */

static int sleeper(void *arg)
{
    int64_t until = *(int64_t *)arg;
    return weft_sleep(until);
}

/* A million fibers would be measured with their stacks; so the wheel is reached through fibers that wait
 * with a deadline that never comes. */
static void bench_deadline(void)
{
    partner[0] = weft_self();
    for (int round = 0; round < ROUNDS; round++) {
        must(weft_spawn(&partner[1], ponger, (void *)(intptr_t)MANY));
        int64_t begin = weft_now(), far = weft_after(30 * WEFT_SECOND);
        for (int i = 0; i < MANY; i++) {
            must(weft_unpark(partner[1]));
            must(weft_park(far + i));
        }
        sample[round] = (double)(weft_now() - begin) / (2.0 * MANY);
        must(weft_join(partner[1], NULL, WEFT_NEVER));
    }
    report("the same, each wait with a 30 s deadline", 2 * MANY);
}

static void bench_sleep(void)
{
    enum { COUNT = 10000 };
    static weft_id f[COUNT];
    for (int round = 0; round < ROUNDS; round++) {
        int64_t begin = weft_now(), until = begin + 10 * WEFT_MILLISECOND;
        for (int i = 0; i < COUNT; i++)
            must(weft_spawn_with(&f[i], sleeper, &until, .copy = sizeof until));
        for (int i = 0; i < COUNT; i++)
            must(weft_join(f[i], NULL, WEFT_NEVER));
        sample[round] = (double)(weft_now() - begin);
    }
    report("10,000 fibers sleep 10 ms, all of it", 1);
}

static int start(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    bench_yield(2, 1000000);
    bench_yield(1000, 2000);
    bench_yield(100000, 20);
    bench_spawn();
    bench_spawn_many();
    bench_lane();
    bench_park();
    bench_deadline();
    bench_sleep();
    return 0;
}

int main(int argc, char **argv)
{
    weft_options opt = {.blocked_ns = -1, .workers = getenv("WEFT_WORKERS") ? 0 : 1};
    return weft_main(start, argc, argv, &opt);
}
