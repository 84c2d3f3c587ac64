/* What the tests of mobile lanes share: going to a worker, touring them all, siblings that have come to their wait, and
 * running a case as a mobile lane. In per-core mode no lane is mobile, and says so. */
#ifndef WEFT_TESTS_LANE_MOVING_H
#define WEFT_TESTS_LANE_MOVING_H

#include "lane/lane.h"
#include "lane/world.h"

enum { WORKERS = 3, OFTEN = 4 };

static int begun;      /* fibers that are about to wait */
static unsigned first; /* worker that takes lanes */

static inline unsigned here(void) { return weft__worker_self()->index; }

/* An id that is being closed keeps it back. */
static inline void go(unsigned to)
{
    int r;

    while ((r = weft_lane_move(to)) == -EBUSY)
        CHECK_OK(weft_yield());
    CHECK_OK(r);
}

/* Once to each worker, and on to the next one. */
static inline void tour(void)
{
    const unsigned from = here();

    for (unsigned i = 1; i <= WORKERS + 1; i++) {
        const unsigned to = first + (from - first + i) % WORKERS;
        go(to);
        CHECK_EQ(here(), to);
    }
    CHECK(here() != from);
}

/* A sibling that has come to its wait as this returns: it runs on this worker, and gives it back by waiting. */
static inline weft_id sibling(int (*fn)(void *), void *arg)
{
    const int before = get(&begun);
    weft_id f;

    CHECK_OK(weft_spawn(&f, fn, arg));
    while (get(&begun) == before)
        CHECK_OK(weft_yield());
    CHECK_OK(weft_yield()); /* what it has begun was not over at once */
    return f;
}

static inline int result_of(weft_id f)
{
    int result;

    CHECK_OK(weft_join(f, &result, soon()));
    return result;
}

/* ---- running cases ---- */

typedef struct test_case {
    const char *name;
    int (*fn)(void *);
    int64_t deadline; /* in ns from its start */
    weft_limits limits;
    int result;
} test_case;

#define CASE(fn, ...) {#fn, fn, __VA_ARGS__}

static inline void run_case(const test_case *c)
{
    weft_id l;
    weft_exit e;

    fprintf(stderr, "%s\n", c->name);
    CHECK_OK(weft_lane_spawn_with(&l, c->fn, NULL, .name = c->name, .mobile = 1, .deadline = c->deadline ? weft_after(c->deadline) : 0,
                                  .limits = &c->limits));
    CHECK_OK(weft_lane_join_exit(l, &e, soon()));
    CHECK_EQ(e.result, c->result);
    CHECK_EQ(e.kind, c->deadline ? WEFT_EXIT_DEADLINE : WEFT_EXIT_NORMAL);
}

static inline int not_mobile(void *arg)
{
    (void)arg;
    CHECK_EQ(weft_lane_move(first), -EPERM);
    return 0;
}

/* All but the one of that name, if it is not NULL. Whether lanes move in this mode. */
static inline int run_cases(const test_case *cases, size_t n, const char *left_out)
{
    weft_id l;

    first = weft_current()->first_cpu_worker;
    CHECK_EQ(not_mobile(NULL), 0);
    CHECK_OK(weft_lane_spawn(&l, not_mobile, NULL));
    CHECK_OK(weft_lane_join(l, NULL, soon()));
    if (weft_current()->mode == WEFT_PER_CORE) {
        CHECK_OK(weft_lane_spawn_with(&l, not_mobile, NULL, .mobile = 1));
        CHECK_OK(weft_lane_join(l, NULL, soon()));
        return 0;
    }
    for (size_t i = 0; i < n; i++)
        if (!left_out || strcmp(left_out, cases[i].name) != 0)
            run_case(&cases[i]);
    return 1;
}

#endif
