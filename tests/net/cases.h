/* Named cases, each in a runtime of its own: mode and port come from the environment. After each case every lane and
 * fiber has ended and the process has the descriptors it had before. */
#ifndef WEFT_TESTS_NET_CASES_H
#define WEFT_TESTS_NET_CASES_H

#include <errno.h>
#include <weft/weft.h>

#include "descriptors.h"
#include "test.h"

typedef struct test_case {
    const char *name;
    int (*fn)(void *arg);
} test_case;

#define CASE(fn) {#fn, fn}

/* Time enough for a machine that does other things too; only ever reached by a test that has failed. */
#define SOON weft_after(20 * WEFT_SECOND)

/* Tells a lane that has run to its end from one that never did. */
typedef struct test_run {
    const test_case *test;
    int ended;
} test_run;

static inline int run_lane(void *arg)
{
    test_run *run = *(test_run **)arg;
    CHECK_EQ(run->test->fn(NULL), 0);
    run->ended = 1;
    return 0;
}

static inline void run_case(const test_case *test, const weft_options *opt)
{
    int before = open_descriptors();
    weft_runtime *rt;
    weft_stats stats;
    test_run run = {test, 0}, *at = &run;
    alarm(120); /* with the name of the case on the standard error, better than the runner's own limit */
    fprintf(stderr, "%s\n", test->name);
    CHECK_OK(weft_start(&rt, opt));
    weft_lane_options lane = {.name = test->name, .copy = sizeof at, .detached = 1};
    CHECK_OK(weft_lane_spawn_in(rt, NULL, run_lane, &at, &lane));
    CHECK_OK(weft_wait(rt, WEFT_NEVER));
    CHECK(run.ended);
    CHECK_OK(weft_runtime_stats(rt, &stats));
    CHECK_EQ(stats.fibers_spawned, stats.fibers_ended);
    CHECK_EQ(stats.lanes_spawned, stats.lanes_ended);
    CHECK_OK(weft_end(rt));
    CHECK_EQ(open_descriptors(), before);
}

/* All cases, or those that the arguments name. */
static inline int run_cases(const test_case *cases, size_t n, int argc, char **argv)
{
    for (size_t i = 0; i < n; i++) {
        int wanted = argc < 2;
        for (int a = 1; a < argc; a++)
            wanted |= strcmp(argv[a], cases[i].name) == 0;
        if (wanted)
            run_case(&cases[i], NULL);
    }
    return 0;
}

#define RUN(cases, argc, argv) run_cases((cases), sizeof(cases) / sizeof *(cases), (argc), (argv))

/* ---- what many tests need ---- */

/* A listener on a free port of the loopback, and its address as text. */
static inline weft_id listen_here(char text[WEFT_ADDR_TEXT])
{
    weft_id l;
    weft_addr a;
    CHECK_OK(weft_listen(&l, test_address(), NULL));
    CHECK_OK(weft_local_addr(l, &a));
    CHECK(weft_addr_format(&a, text, WEFT_ADDR_TEXT) < WEFT_ADDR_TEXT);
    return l;
}

/* Two connected sockets of the calling lane. */
static inline void connect_pair(weft_id *a, weft_id *b)
{
    char text[WEFT_ADDR_TEXT];
    weft_id l = listen_here(text);
    CHECK_OK(weft_connect(a, text, SOON));
    CHECK_OK(weft_accept(l, b, NULL, SOON));
    CHECK_OK(weft_close(l));
}

#define CHECK_ERR(call, expected) CHECK_EQ((call), (expected))

#endif
