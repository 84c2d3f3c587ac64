/* The figures of a runtime follow what happens: stacks in use, operations in flight;
 * and the warning at a stop counts what is there. */
#include "lane/world.h"

enum { N = 40 };

static weft_stats figures(void)
{
    weft_stats s;
    CHECK_OK(weft_runtime_stats(weft_current(), &s));
    return s;
}

static int parks(void *arg)
{
    (void)arg;
    bump(arg);
    return weft_park(WEFT_NEVER);
}

static int stacks(void *arg)
{
    weft_id f[N];
    int up = 0;
    (void)arg;
    const uint64_t before = figures().stacks_used;
    CHECK(before >= 1); /* we stand on one */
    for (int i = 0; i < N; i++)
        CHECK_OK(weft_spawn(&f[i], parks, &up));
    CHECK_EQ(figures().stacks_used, before); /* newborns hold none */
    while (get(&up) < N)
        CHECK_OK(weft_yield());
    CHECK_EQ(figures().stacks_used, before + N);
    CHECK(figures().stacks_reserved >= before + N);
    for (int i = 0; i < N; i++) {
        CHECK_OK(weft_unpark(f[i]));
        CHECK_OK(weft_join(f[i], NULL, soon()));
    }
    CHECK_OK(weft_yield()); /* a stack is given back once nobody stands on it */
    CHECK_EQ(figures().stacks_used, before);
    CHECK(figures().stacks_reserved >= before + N); /* pooled */
    return 0;
}

static int supplied(void *arg)
{
    static _Alignas(16) char own[32 << 10];
    weft_id f;
    int up = 0;
    (void)arg;
    const uint64_t before = figures().stacks_used;
    CHECK_OK(weft_spawn_with(&f, parks, &up, .stack = own, .stack_size = sizeof own));
    while (!get(&up))
        CHECK_OK(weft_yield());
    CHECK_EQ(figures().stacks_used, before); /* it is not one of ours */
    CHECK_OK(weft_unpark(f));
    CHECK_OK(weft_join(f, NULL, soon()));
    CHECK_EQ(figures().stacks_used, before);
    return 0;
}

static int accepts(void *arg)
{
    weft_id conn;
    return weft_accept(*(weft_id *)arg, &conn, NULL, WEFT_NEVER);
}

/* In single-io mode another thread takes the operations. */
static void await_in_flight(uint64_t n)
{
    const int64_t end = soon();
    while (figures().ops_in_flight != n) {
        if (weft_now() > end)
            TEST_FAIL("%llu operations in flight, not %llu", (unsigned long long)figures().ops_in_flight, (unsigned long long)n);
        CHECK_OK(weft_yield());
    }
}

static int ops(void *arg)
{
    weft_id l, f[N];
    int r;
    (void)arg;
    const uint64_t before = figures().ops_in_flight;
    CHECK_OK(weft_listen(&l, test_address(), NULL));
    for (int i = 0; i < N; i++)
        CHECK_OK(weft_spawn(&f[i], accepts, &l));
    await_in_flight(before + N);
    for (int i = 0; i < N; i++) {
        CHECK_OK(weft_cancel(f[i]));
        CHECK_OK(weft_join(f[i], &r, soon()));
        CHECK_EQ(r, -ECANCELED);
    }
    await_in_flight(before);
    CHECK_OK(weft_close(l));
    return 0;
}

/* A lane of its own each, and nothing else runs: so the figures are exact. */
static int start(int argc, char **argv)
{
    int (*const parts[])(void *) = {stacks, supplied, ops};
    (void)argc, (void)argv;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        weft_id l;
        int r;
        CHECK_OK(weft_lane_spawn(&l, parts[i], NULL));
        CHECK_OK(weft_lane_join(l, &r, soon()));
        CHECK_EQ(r, 0);
    }
    return 0;
}

/* ---- a stop with nobody but the root ---- */

static spy watcher;

static int stays(int argc, char **argv)
{
    (void)argc, (void)argv;
    CHECK_OK(weft_stop(weft_current()));
    for (;;) /* ended by the kill */
        CHECK_OK(weft_yield());
}

static void root_outlives_its_grace(void)
{
    weft_options opt = {.workers = 1, .env = spy_open(&watcher), .grace_ns = 20 * WEFT_MILLISECOND, .blocked_ns = -1};
    CHECK_EQ(run_main_with(stays, &opt), 1);
    SPY_SAYS(&watcher, "fibers of the root lane outlived the grace of 20 ms");
    CHECK(!spy_says(&watcher, "0 lanes outlived"));
    spy_close(&watcher);
}

int main(void)
{
    run_clean(start, 2);
    root_outlives_its_grace();
    return 0;
}
