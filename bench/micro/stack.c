/*
 * What stacks and backtraces cost, in ns: taking and giving back a warm stack, a whole short life on one, the first
 * touch of a cold one, a look at how deep one was used, and backtraces both ways. Medians of rounds that take
 * turns, by the thread's CPU clock.
 */
#include "arch/unwind.h"
#include "fiber/stack.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ROUNDS = 21, COLD = 4096, DEPTH = 16 };

static weft__stack_depot depot;
static weft__stack_pool pool;
static weft__context home;
static weft__context fiber;
static weft__stack *stack;
static uintptr_t pcs[64];

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void must(int r)
{
    if (r < 0) {
        fprintf(stderr, "failed: %d\n", r);
        exit(1);
    }
}

static double get_and_put(void)
{
    enum { N = 1000000 };
    double start = now_ns();
    for (unsigned i = 0; i < N; i++) {
        must(weft__stack_get(&pool, 0, &stack));
        __asm__ volatile("" ::: "memory");
        weft__stack_put(&pool, stack);
    }
    return (now_ns() - start) / N;
}

static void ends(void *arg)
{
    (void)arg;
    weft__switch_last(&fiber, &home, NULL, NULL);
}

static double whole_life(void)
{
    enum { N = 1000000 };
    double start = now_ns();
    for (unsigned i = 0; i < N; i++) {
        must(weft__stack_get(&pool, 0, &stack));
        weft__context_make(&fiber, stack->lo, stack->size, ends, NULL);
        weft__switch(&home, &fiber, NULL, NULL);
        weft__stack_put(&pool, stack);
    }
    return (now_ns() - start) / N;
}

/* Stacks that nobody has used: guards and records are made, the first page is committed. */
static double cold_life(void)
{
    static weft__stack *cold[COLD];
    weft__stack_depot fresh;
    weft__stack_pool shelf;

    must(weft__stack_depot_init(&fresh, weft_env_posix(), NULL));
    weft__stack_pool_init(&shelf, &fresh);
    double start = now_ns();
    for (unsigned i = 0; i < COLD; i++) {
        must(weft__stack_get(&shelf, 0, &cold[i]));
        weft__context_make(&fiber, cold[i]->lo, cold[i]->size, ends, NULL);
        weft__switch(&home, &fiber, NULL, NULL);
    }
    double ns = (now_ns() - start) / COLD;
    for (unsigned i = 0; i < COLD; i++)
        weft__stack_put(&shelf, cold[i]);
    weft__stack_pool_fini(&shelf);
    weft__stack_depot_fini(&fresh);
    return ns;
}

static double look(void)
{
    enum { N = 20000 };
    volatile size_t sum = 0;
    must(weft__stack_get(&pool, 0, &stack));
    double start = now_ns();
    for (unsigned i = 0; i < N; i++)
        sum += weft__stack_high_water(&pool, stack);
    double ns = (now_ns() - start) / N;
    weft__stack_put(&pool, stack);
    return ns;
}

static enum { TABLES, POINTERS, PARK } what;
static double measured;

__attribute__((noinline)) static int at_depth(unsigned left)
{
    enum { N = 20000 };
    volatile int stays = 0;

    if (left > 0) {
        stays = at_depth(left - 1);
        return stays + 1;
    }
    double start = now_ns();
    for (unsigned i = 0; i < N && what != PARK; i++) {
        if (what == TABLES)
            (void)weft__backtrace_in(stack->lo, stack->size, pcs, 64);
        else
            (void)weft__backtrace_quick(stack->lo, stack->size, pcs, 64);
    }
    measured = (now_ns() - start) / N;
    if (what == PARK)
        weft__switch(&fiber, &home, NULL, NULL);
    return stays;
}

static void goes_deep(void *arg)
{
    (void)arg;
    (void)at_depth(DEPTH);
    weft__switch_last(&fiber, &home, NULL, NULL);
}

static double trace(int kind)
{
    must(weft__stack_get(&pool, 0, &stack));
    what = kind;
    weft__context_make(&fiber, stack->lo, stack->size, goes_deep, NULL);
    weft__switch(&home, &fiber, NULL, NULL);
    weft__stack_put(&pool, stack);
    return measured;
}

static double by_tables(void)
{
    return trace(TABLES);
}

static double by_pointers(void)
{
    return trace(POINTERS);
}

static double parked(void)
{
    enum { N = 20000 };
    must(weft__stack_get(&pool, 0, &stack));
    what = PARK;
    weft__context_make(&fiber, stack->lo, stack->size, goes_deep, NULL);
    weft__switch(&home, &fiber, NULL, NULL);
    double start = now_ns();
    for (unsigned i = 0; i < N; i++)
        (void)weft__backtrace_parked(&fiber, stack->lo, stack->size, pcs, 64);
    double ns = (now_ns() - start) / N;
    weft__switch(&home, &fiber, NULL, NULL);
    weft__stack_put(&pool, stack);
    return ns;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(void)
{
    static const struct {
        const char *name;
        double (*run)(void);
    } rows[] = {
        {"get and put a warm stack", get_and_put},
        {"get, make, run, end, put", whole_life},
        {"the same on a cold stack", cold_life},
        {"look at the high-water mark", look},
        {"backtrace of 18 frames by tables", by_tables},
        {"the same of a parked context", parked},
        {"backtrace of 18 frames by pointers", by_pointers},
    };
    enum { ROWS = sizeof rows / sizeof *rows };
    static double ns[ROWS][ROUNDS];

    must(weft__stack_depot_init(&depot, weft_env_posix(), NULL));
    weft__stack_pool_init(&pool, &depot);
    weft__context_adopt(&home);
    for (unsigned round = 0; round < ROUNDS; round++)
        for (unsigned i = 0; i < ROWS; i++)
            ns[i][round] = rows[i].run();
    printf("%-40s %8s %8s %8s\n", "ns", "median", "lowest", "highest");
    for (unsigned i = 0; i < ROWS; i++) {
        qsort(ns[i], ROUNDS, sizeof(double), compare);
        printf("%-40s %8.1f %8.1f %8.1f\n", rows[i].name, ns[i][ROUNDS / 2], ns[i][0], ns[i][ROUNDS - 1]);
    }
    weft__context_drop(&home);
    weft__stack_pool_fini(&pool);
    weft__stack_depot_fini(&depot);
    return 0;
}
