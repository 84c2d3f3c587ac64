/* Lanes that move: what one move costs, to a worker that sleeps and to one that does not; and how long a load takes
 * that all begins on one of two workers, with lanes that stay and with lanes that may move.
 *
 *     moves      in the environment WEFT_MODE, WEFT_PORT */
#include <stdio.h>
#include <stdlib.h>
#include <weft/weft.h>

enum { ROUNDS = 7, LANES = 64, TURNS = 400, WORK = 4000, WORKERS = 2 };

static double sample[ROUNDS];
static unsigned first; /* worker that takes lanes */
static int stop;

static void must(int r)
{
    if (r < 0) {
        fprintf(stderr, "%s\n", weft_strerror(r));
        exit(1);
    }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void report(const char *what, const char *unit)
{
    qsort(sample, ROUNDS, sizeof *sample, by_value);
    printf("%-52s %10.1f %s  [%.1f, %.1f]\n", what, sample[ROUNDS / 2], unit, sample[0], sample[ROUNDS - 1]);
    fflush(stdout);
}

/* ---- one move ---- */

static int travels(void *arg)
{
    const unsigned n = *(unsigned *)arg;
    for (int round = 0; round < ROUNDS; round++) {
        int64_t begin = weft_now();
        for (unsigned i = 0; i < n; i++)
            must(weft_lane_move(first + (i + 1) % WORKERS));
        sample[round] = (double)(weft_now() - begin) / n;
    }
    return 0;
}

/* Keeps the worker that it is on awake. */
static int restless(void *arg)
{
    (void)arg;
    must(weft_lane_move(first + *(unsigned *)arg));
    while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE))
        must(weft_yield());
    return 0;
}

static void one_move(unsigned n, const char *what)
{
    weft_id l;
    must(weft_lane_spawn_with(&l, travels, &n, .copy = sizeof n, .mobile = 1));
    must(weft_lane_join(l, NULL, WEFT_NEVER));
    report(what, "ns a move");
}

/* ---- a load that all begins here ---- */

static int works(void *arg)
{
    volatile unsigned sum = 0;
    (void)arg;
    for (int i = 0; i < TURNS; i++) {
        for (unsigned k = 0; k < WORK; k++)
            sum += k;
        must(weft_yield());
    }
    return 0;
}

static int crowd(void *arg)
{
    weft_id l[LANES];
    for (int i = 0; i < LANES; i++)
        must(weft_lane_spawn_with(&l[i], works, NULL, .pinned = 1, .mobile = *(int *)arg));
    for (int i = 0; i < LANES; i++)
        must(weft_lane_join(l[i], NULL, WEFT_NEVER));
    return 0;
}

static void skewed(int mobile, const char *what)
{
    for (int round = 0; round < ROUNDS; round++) {
        weft_id l;
        int64_t begin = weft_now();
        must(weft_lane_spawn_with(&l, crowd, &mobile, .copy = sizeof mobile));
        must(weft_lane_join(l, NULL, WEFT_NEVER));
        sample[round] = (double)(weft_now() - begin) / WEFT_MILLISECOND;
    }
    report(what, "ms");
}

static int start(int argc, char **argv)
{
    weft_info info;
    weft_stats s;
    weft_id l[WORKERS];
    (void)argc, (void)argv;
    must(weft_runtime_info(weft_current(), &info));
    if (info.mode == WEFT_PER_CORE) {
        printf("in per-core mode nothing moves\n");
        return 0;
    }
    first = info.mode == WEFT_SINGLE_IO;
    one_move(5000, "a move to a worker that sleeps");
    for (unsigned i = 0; i < WORKERS; i++)
        must(weft_lane_spawn_with(&l[i], restless, &i, .copy = sizeof i, .mobile = 1));
    one_move(200, "a move to a worker in the middle of its ticks");
    __atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
    for (unsigned i = 0; i < WORKERS; i++)
        must(weft_lane_join(l[i], NULL, WEFT_NEVER));
    skewed(0, "64 lanes born on one of two workers, that stay");
    skewed(1, "the same, and they may move");
    must(weft_runtime_stats(weft_current(), &s));
    printf("%llu moves in all\n", (unsigned long long)s.lanes_moved);
    return 0;
}

int main(int argc, char **argv) { return weft_main(start, argc, argv, &(weft_options){.workers = WORKERS}); }
