/* Backtraces: of the caller and of a parked sibling; who, of which lane, spawned where; as text that names
 * functions. */
#include "lane/world.h"

static char *site_of_spawn;

__attribute__((noinline)) static int waits_deep_inside(int depth)
{
    const int r = depth > 0 ? waits_deep_inside(depth - 1) : weft_park(WEFT_NEVER);

    __asm__ volatile("" ::: "memory"); /* no tail call */
    return r;
}

static int waiter(void *arg) { return waits_deep_inside(*(const int *)arg) + 0; }

static int never_runs(void *arg)
{
    (void)arg;
    return 0;
}

static void format_checks(const weft_trace *t, const char *function)
{
    char text[8192], small[40];
    const size_t n = weft_trace_format(t, text, sizeof text);

    CHECK(n < sizeof text);
    CHECK_EQ(strlen(text), n);
    CHECK(strstr(text, t->name) != NULL);
    CHECK(strstr(text, "traces.c:") != NULL);
    CHECK(strstr(text, "the lane") != NULL);
#ifndef WEFT_SWITCH_PORTABLE
    if (function && !strstr(text, function))
        TEST_FAIL("no %s in: %s", function, text);
#else
    (void)function;
#endif
    memset(small, '#', sizeof small);
    CHECK_EQ(weft_trace_format(t, small, 30), n);
    CHECK_EQ(strlen(small), 29);
    CHECK_EQ(small[30], '#');
    CHECK(strncmp(small, text, 29) == 0);
    CHECK_EQ(weft_trace_format(t, NULL, 0), n);
}

static int stranger(void *arg)
{
    weft_trace t;

    return weft_trace_of(*(weft_id *)arg, &t);
}

static int body(void *arg)
{
    weft_trace t;
    weft_id f;
    int depth = 5, r;

    (void)arg;
    CHECK_EQ(weft_trace_here(NULL), -EINVAL);
    CHECK_OK(weft_trace_here(&t));
    CHECK(weft_id_equal(t.fiber, weft_self()));
    CHECK(weft_id_equal(t.lane, weft_lane_self()));
    CHECK(strcmp(t.lane_name, "the lane") == 0);
#ifndef WEFT_SWITCH_PORTABLE
    CHECK(t.depth > 0 && t.depth <= WEFT_TRACE_MAX);
    CHECK(t.pc[0] != 0);
#endif
    format_checks(&t, "body");

    CHECK_OK(weft_spawn_with(&f, waiter, &depth, .name = "the waiter")); site_of_spawn = WEFT_HERE;
    CHECK_OK(weft_trace_of(f, &t)); /* newborn: who it is, and no frames */
    CHECK_EQ(t.depth, 0);
    CHECK(strcmp(t.site, site_of_spawn) == 0);
    CHECK_OK(weft_yield());
    CHECK_OK(weft_yield());
    CHECK_OK(weft_trace_of(f, &t));
    CHECK(weft_id_equal(t.fiber, f));
    CHECK(strcmp(t.name, "the waiter") == 0);
#ifndef WEFT_SWITCH_PORTABLE
    CHECK(t.depth >= 7);
#endif
    format_checks(&t, "waits_deep_inside");
    depth = 100; /* deeper than a trace holds */
    CHECK_OK(weft_unpark(f));
    CHECK_OK(weft_join(f, &r, WEFT_NEVER));
    CHECK_EQ(weft_trace_of(f, &t), -ESRCH);
    CHECK_OK(weft_spawn(&f, waiter, &depth));
    CHECK_OK(weft_yield());
    CHECK_OK(weft_yield());
    CHECK_OK(weft_trace_of(f, &t));
    CHECK(t.depth <= WEFT_TRACE_MAX);
    CHECK_EQ(weft_trace_of(f, NULL), -EINVAL);
    CHECK_OK(weft_trace_of(weft_self(), &t));
    CHECK(weft_id_equal(t.fiber, weft_self()));

    weft_id lane;
    CHECK_OK(weft_lane_spawn_with(&lane, stranger, &f, .pinned = 1));
    CHECK_OK(weft_lane_join(lane, &r, WEFT_NEVER));
    CHECK_EQ(r, -EPERM);
    CHECK_OK(weft_unpark(f));
    CHECK_OK(weft_join(f, NULL, WEFT_NEVER));
    CHECK_OK(weft_spawn(&f, never_runs, NULL));
    CHECK_OK(weft_detach(f));
    return 0;
}

static int run(int argc, char **argv)
{
    weft_id lane;
    int r = 1;

    (void)argc, (void)argv;
    CHECK_OK(weft_lane_spawn_with(&lane, body, NULL, .name = "the lane"));
    CHECK_OK(weft_lane_join(lane, &r, WEFT_NEVER));
    CHECK_EQ(r, 0);
    return 0;
}

int main(void)
{
    weft_trace t;
    weft_id none = WEFT_NOID;

    memset(&t, 0x55, sizeof t);
    CHECK_OK(weft_trace_here(&t));
    CHECK_EQ(t.depth, 0);
    CHECK(weft_id_equal(t.fiber, none));
    CHECK_EQ(weft_trace_of(none, &t), -EPERM);
    run_clean(run, 2);
    return 0;
}
