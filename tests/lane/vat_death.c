/* A lane's memory at its end: all of it is given back, in slices between which others run,
 * and the next lane's birth maps nothing. */
#include "lane/share.h"
#include "lane/world.h"

static spy eye;

/* ---- birth and death of many ---- */

enum { AT_ONCE = 100, LANES = TEST_SANITIZED ? 20000 : 100000 };

/* What a session has: a record, a name, a buffer, something shared. */
static int session(void *arg)
{
    uintptr_t n = (uintptr_t)arg;
    weft_slice slice;
    char *name = weft_printf_alloc("session %zu", (size_t)n);
    void *record = weft_calloc(1, 200), *buffer = weft_alloc(4096);
    CHECK(name && record && buffer);
    CHECK_OK(weft_slice_copy(&slice, name, strlen(name)));
    memset(buffer, 1, 4096);
    if (n % 4 == 0)
        CHECK_OK(weft_yield()); /* meanwhile others are stolen */
    if (n % 32 == 0)
        CHECK(weft_alloc(100000) != NULL);
    return 0;
}

static void sessions(int n)
{
    weft_id lane[AT_ONCE];
    int result;
    for (int i = 0; i < n; i += AT_ONCE) {
        for (uintptr_t k = 0; k < AT_ONCE; k++)
            CHECK_OK(weft_lane_spawn(&lane[k], session, (void *)k));
        for (int k = 0; k < AT_ONCE; k++) {
            CHECK_OK(weft_lane_join(lane[k], &result, WEFT_NEVER));
            CHECK_OK(result);
        }
    }
}

static void warm(void)
{
    int quiet = 0;
    for (int tries = 0; quiet < 3 && tries < 200; tries++) {
        long before = spy_get(&eye.map_calls);
        sessions(1000);
        quiet = spy_get(&eye.map_calls) == before ? quiet + 1 : 0;
    }
    CHECK_EQ(quiet, 3);
}

/* One worker needs no more than it had for the first of them. */
static int nothing_is_mapped(int argc, char **argv)
{
    (void)argc, (void)argv;
    warm();
    long before = spy_get(&eye.map_calls);
    sessions(test_rounds(LANES));
    CHECK_EQ(spy_get(&eye.map_calls), before);
    return 0;
}

/* Who gets how many lanes is chance, so a worker may at last need what another had before:
 * as much again for each, and not for each lane. */
static int pools_do_not_grow(int argc, char **argv)
{
    (void)argc, (void)argv;
    warm();
    long before = spy_get(&eye.map_calls);
    sessions(test_rounds(LANES));
    CHECK(spy_get(&eye.map_calls) - before <= before);
    return 0;
}

/* ---- the end of a large one ---- */

static int dying, dead, goes;
static long turns;

/* Another lane of the same worker. */
static int goes_on(void *arg)
{
    (void)arg;
    for (goes = 1; !dead;) {
        turns += dying;
        CHECK_OK(weft_yield());
    }
    return 0;
}

static size_t total = (size_t)1 << (TEST_SANITIZED ? 27 : 30);

static int of_blocks(void *arg)
{
    size_t size = (size_t)(uintptr_t)arg;
    for (size_t had = 0; had < total; had += size) {
        volatile char *p = weft_alloc(size);
        CHECK(p != NULL);
        p[0] = 1;
        if (had / size % 1000 == 0)
            CHECK_OK(weft_yield());
    }
    dying = 1;
    return 0;
}

/* One block; of a gigabyte no more is touched than a page in sixteen. */
static int of_one_block(void *arg)
{
    volatile char *p = weft_alloc(total);
    (void)arg;
    CHECK(p != NULL);
    for (size_t i = 0; i < total; i += 65536)
        p[i] = 1;
    dying = 1;
    return 0;
}

static int of_shared_bytes(void *arg)
{
    weft_block block;
    weft_slice slice;
    void *data;
    (void)arg;
    CHECK_OK(weft_block_make(&block, total, &data));
    for (size_t i = 0; i < total; i += 65536)
        ((volatile char *)data)[i] = 1;
    CHECK_OK(weft_block_freeze(block, total, &slice));
    dying = 1;
    return 0;
}

static int of_a_long_rope(void *arg)
{
    weft_rope rope;
    (void)arg;
    CHECK_OK(weft_rope_make(&rope));
    for (int i = 0; i < (TEST_SANITIZED ? 20000 : 100000); i++) {
        CHECK_OK(weft_rope_add_copy(rope, "some bytes", 10));
        if (i % 1000 == 0)
            CHECK_OK(weft_yield());
    }
    dying = 1;
    return 0;
}

static void ends_in_slices(int (*fn)(void *), void *arg, long least, const char *what)
{
    weft_id other, lane;
    int result;
    dying = dead = goes = 0;
    turns = 0;
    CHECK_OK(weft_lane_spawn(&other, goes_on, NULL));
    while (!goes) /* a newborn may have to wait for its first turn */
        CHECK_OK(weft_yield());
    CHECK_OK(weft_lane_spawn(&lane, fn, arg));
    CHECK_OK(weft_lane_join(lane, &result, WEFT_NEVER));
    CHECK_OK(result);
    dead = 1;
    CHECK_OK(weft_lane_join(other, NULL, WEFT_NEVER));
    printf("%s: others had %ld turns while it ended\n", what, turns);
    if (turns < least)
        TEST_FAIL("%s: others had %ld turns while it ended, and not %ld", what, turns, least);
}

/* Figures: a turn gives back about 10 chunks of 64 KiB, or 320 pages, or as many parts. */
static int large_ones(int argc, char **argv)
{
    (void)argc, (void)argv;
    long chunks = (long)(total >> 16), kept = 32 << 4;
    ends_in_slices(of_blocks, (void *)(uintptr_t)8000, (chunks - kept) / 16, "blocks of 8000 bytes");
    ends_in_slices(of_blocks, (void *)(uintptr_t)60000, (chunks - kept) / 16, "blocks of 60000 bytes");
    ends_in_slices(of_one_block, NULL, chunks / 16, "one block");
    ends_in_slices(of_shared_bytes, NULL, chunks / 16, "one shared block");
    ends_in_slices(of_a_long_rope, NULL, (TEST_SANITIZED ? 20000 : 100000) / 400, "a long rope");
    return 0;
}

static void watched(int (*fn)(int, char **), unsigned workers)
{
    weft_options opt = {.workers = workers, .env = spy_open(&eye), .blocked_ns = -1};
    CHECK_EQ(run_main_with(fn, &opt), 0);
    SPY_SILENT(&eye);
    spy_close(&eye);
}

int main(void)
{
    watched(nothing_is_mapped, 1);
    watched(pools_do_not_grow, 2);
    watched(large_ones, 1);
    return 0;
}
