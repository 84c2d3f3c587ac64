/* A tree of lanes: how long a lane of it takes to be made and parked, and then to be gone after
 * the root is cancelled, or killed.
 *
 *     tree [LANES [DEGREE]]      default 100000 10; in the environment WEFT_WORKERS, WEFT_MODE, WEFT_PORT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <weft/weft.h>

enum { ROUNDS = 5 };

static long lanes = 100000, degree = 10, parked;
static double sample[ROUNDS];

static void must(int r)
{
    if (r < 0) {
        fprintf(stderr, "%s\n", weft_strerror(r));
        exit(1);
    }
}

/* Number n of a tree whose nodes are numbered row by row: its children are n * degree + 1 and those that follow. */
static int node(void *arg)
{
    const long n = *(long *)arg;
    for (long c = n * degree + 1; c <= n * degree + degree && c < lanes; c++) {
        weft_id l;
        must(weft_lane_spawn_with(&l, node, &c, .copy = sizeof c));
    }
    __atomic_add_fetch(&parked, 1, __ATOMIC_RELEASE);
    return weft_park(WEFT_NEVER);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void report(const char *what, double *figures)
{
    qsort(figures, ROUNDS, sizeof *figures, by_value);
    printf("%-44s %9.1f ns a lane  [%.1f, %.1f]  x %ld\n", what, figures[ROUNDS / 2], figures[0], figures[ROUNDS - 1], lanes);
    fflush(stdout);
}

static void measure(int (*end)(weft_id lane), const char *what)
{
    double building[ROUNDS];
    for (int round = 0; round < ROUNDS; round++) {
        long first = 0;
        weft_id root;
        int result;
        __atomic_store_n(&parked, 0, __ATOMIC_RELAXED);
        int64_t begin = weft_now();
        must(weft_lane_spawn_with(&root, node, &first, .copy = sizeof first));
        while (__atomic_load_n(&parked, __ATOMIC_ACQUIRE) < lanes)
            weft_yield();
        int64_t there = weft_now();
        must(end(root));
        must(weft_lane_join(root, &result, WEFT_NEVER));
        building[round] = (double)(there - begin) / (double)lanes;
        sample[round] = (double)(weft_now() - there) / (double)lanes;
    }
    report("built, each lane parked", building);
    report(what, sample);
}

static int start(int argc, char **argv)
{
    if (argc > 1)
        lanes = atol(argv[1]);
    if (argc > 2)
        degree = atol(argv[2]);
    if (lanes < 1 || degree < 1)
        return -EINVAL;
    measure(weft_cancel, "cancelled at the root, and gone");
    measure(weft_kill, "killed at the root, and gone");
    return 0;
}

int main(int argc, char **argv)
{
    weft_options opt = {.stack_size = 16 << 10, .blocked_ns = -1};
    return weft_main(start, argc, argv, &opt);
}
