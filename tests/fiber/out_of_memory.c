/* The Nth mapping fails, for every N: start-up or spawning answers -ENOMEM, nothing is left, and everything that was
 * alive ends well. */
#include "lane/world.h"

static int refused;

static int parks(void *arg)
{
    (void)arg;
    return weft_park(WEFT_NEVER);
}

static int empty(void *arg)
{
    (void)arg;
    return 0;
}

static void noted(int r)
{
    CHECK(r == 0 || r == -ENOMEM);
    refused += r != 0;
}

/* Enough fibers, stacks of several sizes and lanes that each kind of memory grows more than once. */
static int uses_much(int argc, char **argv)
{
    enum { FIBERS = 700, LANES = 600 };
    static weft_id f[FIBERS], l[LANES];
    static int there[FIBERS], lane_there[LANES];
    int r, result;

    (void)argc, (void)argv;
    for (int i = 0; i < FIBERS; i++) {
        r = weft_spawn_with(&f[i], parks, NULL, .stack_size = (size_t)(16 << 10) << i % 3);
        noted(r);
        there[i] = r == 0;
    }
    for (int i = 0; i < 20; i++)
        CHECK_OK(weft_yield());
    for (int i = 0; i < LANES; i++) {
        r = weft_lane_spawn(&l[i], empty, NULL);
        noted(r);
        lane_there[i] = r == 0;
    }
    for (int i = 0; i < FIBERS; i++)
        if (there[i])
            weft_unpark(f[i]);
    for (int i = 0; i < FIBERS; i++)
        if (there[i]) {
            CHECK_OK(weft_join(f[i], &result, WEFT_NEVER));
            noted(result);
        }
    for (int i = 0; i < LANES; i++)
        if (lane_there[i]) {
            CHECK_OK(weft_lane_join(l[i], &result, WEFT_NEVER));
            noted(result);
        }
    return 0;
}

static long one_run(long fail_map, long fail_from)
{
    static spy s;
    weft_options opt = {.workers = 2, .env = spy_open(&s), .blocked_ns = -1};

    s.fail_map = fail_map;
    s.fail_maps_from = fail_from;
    refused = 0;
    int r = weft_init(&opt);
    CHECK(r == 0 || r == -ENOMEM);
    if (r == 0) {
        CHECK_EQ(uses_much(0, NULL), 0);
        CHECK_OK(weft_fini(WEFT_NEVER));
    } else {
        CHECK(weft_current() == NULL);
        refused++;
    }
    const long calls = s.map_calls;
    spy_close(&s);
    return calls;
}

static void fails_at_start(long n, int (*way)(const weft_options *opt))
{
    static spy s;
    weft_options opt = {.workers = 1, .env = spy_open(&s), .blocked_ns = -1};

    s.fail_map = n;
    const int r = way(&opt);
    CHECK(r == 0 || r == -ENOMEM || r == 1);
    spy_close(&s);
}

static int by_start(const weft_options *opt)
{
    weft_runtime *rt = NULL;
    const int r = weft_start(&rt, opt);

    CHECK((r == 0) == (rt != NULL));
    if (r == 0)
        CHECK_OK(weft_end(rt));
    return r;
}

static int nothing(int argc, char **argv)
{
    (void)argc, (void)argv;
    return 0;
}

static int by_main(const weft_options *opt) { return weft_main(nothing, 0, NULL, opt); }

int main(void)
{
    const long calls = one_run(0, 0);

    CHECK_EQ(refused, 0);
    CHECK(calls > 10);
    for (long n = 1; n <= calls + 1; n++) {
        one_run(n, 0);
        CHECK(refused > 0 || n >= 10); /* what can be done without, may be; what is needed at start may not */
    }
    for (long n = 1; n <= calls + 1; n += n < 30 ? 1 : 7)
        one_run(0, n); /* from then on there is none at all */
    for (long n = 1; n <= 24; n++) {
        fails_at_start(n, by_start);
        fails_at_start(n, by_main);
    }
    return 0;
}
