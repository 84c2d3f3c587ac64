/* What bounds a lane's memory: its limit, the runtime's, memory itself;
 * and what must not be counted twice or forgotten. */
#include "lane/memory.h"
#include "lane/world.h"

static void mains(int (*fn)(void *), void *arg, const weft_lane_options *opt)
{
    weft_id lane;
    int result;
    CHECK_OK(weft_lane_spawn_at(NULL, &lane, fn, arg, opt, "limited", WEFT_HERE));
    CHECK_OK(weft_lane_join(lane, &result, WEFT_NEVER));
    CHECK_OK(result);
}

static weft_vat_stats stats(void)
{
    weft_vat_stats s;
    CHECK_OK(weft_vat_stats_get(&s));
    return s;
}

/* ---- the lane's own limit ---- */

enum { QUOTA = 256 << 10 };

/* Fills the vat with blocks of one size until there is no more, and frees them: as often as one likes. */
static size_t fill_up(size_t size)
{
    void **list = NULL;
    size_t n = 0;
    for (;;) {
        void **p = weft_alloc(size);
        if (!p)
            break;
        *p = list;
        list = p;
        n++;
        CHECK(stats().held <= QUOTA);
    }
    CHECK(n * size <= QUOTA);
    while (list) {
        void **next = *list;
        weft_free(list);
        list = next;
    }
    return n;
}

static int full_and_empty_again(void *arg)
{
    (void)arg;
    static const size_t sizes[] = {16, 100, 512, 1000, 4096, 9000, 32768};
    CHECK_EQ(stats().limit, QUOTA);
    CHECK_EQ(stats().held, 0);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t n = fill_up(sizes[i]);
        CHECK(n * (sizes[i] + 64) > QUOTA / 4);
        CHECK_EQ(fill_up(sizes[i]), n);
        CHECK_EQ(stats().used, 0);
    }
    CHECK(weft_alloc(QUOTA) == NULL);
    CHECK(weft_alloc(SIZE_MAX) == NULL);
    CHECK(weft_alloc(SIZE_MAX / 2) == NULL);
    CHECK(weft_calloc(SIZE_MAX / 2, 3) == NULL);
    void *p = weft_alloc(100000);
    CHECK(p != NULL);
    memset(p, 7, 100000);
    CHECK(weft_realloc(p, QUOTA) == NULL);
    for (size_t i = 0; i < 100000; i++)
        CHECK_EQ(((char *)p)[i], 7);
    CHECK_EQ(weft_room(WEFT_ROOM_VAT, QUOTA, WEFT_NOW), -ENOMEM);
    return 0;
}

/* A lane that allocates little has one page. */
static int little(void *arg)
{
    (void)arg;
    CHECK(weft_alloc(100) != NULL);
    CHECK(weft_strdup("a name") != NULL);
    CHECK(weft_alloc(400) != NULL);
    CHECK(weft_calloc(3, 24) != NULL);
    CHECK_EQ(stats().held, 4096);
    CHECK_EQ(stats().pages, 1);
    return 0;
}

/* ---- the runtime's ---- */

static int takes(void *arg)
{
    void *p = weft_alloc((size_t)(uintptr_t)arg);
    if (!p)
        return -ENOMEM;
    CHECK_OK(weft_yield());
    return 0; /* with it */
}

static int one_after_another(int argc, char **argv)
{
    (void)argc, (void)argv;
    weft_limits limits = {.vat_bytes = QUOTA};
    mains(full_and_empty_again, NULL, &(weft_lane_options){.limits = &limits});
    mains(little, NULL, NULL);
    for (int i = 0; i < 100; i++) { /* what a lane had is there for the next */
        mains(takes, (void *)(uintptr_t)(600 << 10), NULL);
        mains(takes, (void *)(uintptr_t)20, NULL);
    }
    weft_id lane;
    int result;
    CHECK_OK(weft_lane_spawn(&lane, takes, (void *)(uintptr_t)(2 << 20)));
    CHECK_OK(weft_lane_join(lane, &result, WEFT_NEVER));
    CHECK_EQ(result, -ENOMEM);
    return 0;
}

/* ---- outside ---- */

static void *outside(void *arg)
{
    weft_vat_stats s;
    CHECK(weft_alloc(1) == NULL);
    CHECK(weft_calloc(1, 1) == NULL);
    CHECK(weft_realloc(NULL, 1) == NULL);
    CHECK(weft_strdup("x") == NULL);
    CHECK(weft_printf_alloc("%d", 1) == NULL);
    CHECK_EQ(weft_alloc_size(NULL), 0);
    CHECK_EQ(weft_vat_stats_get(&s), -EPERM);
    weft_free(NULL);
    return arg;
}

/* ---- memory itself: the Nth mapping fails, for every N ---- */

static int refused;

static int hungry(void *arg)
{
    (void)arg;
    static const size_t sizes[] = {24, 700, 4096, 20000, 70000, 1500000};
    for (size_t i = 0; i < 150; i++) {
        size_t size = sizes[i % 6];
        char *p = i % 3 ? weft_alloc(size) : weft_calloc(1, size);
        if (!p) {
            refused++;
            continue;
        }
        memset(p, (int)i, size);
        char *q = weft_realloc(p, size * 2);
        refused += !q;
        for (size_t k = 0; k < size; k += 97)
            CHECK_EQ((q ? q : p)[k], (char)i);
        if (i % 5 == 0)
            weft_free(q ? q : p);
    }
    return 0;
}

static int some_hungry(int argc, char **argv)
{
    (void)argc, (void)argv;
    weft_id lane[3];
    int there[3];
    for (int i = 0; i < 3; i++)
        there[i] = weft_lane_spawn(&lane[i], hungry, NULL) == 0;
    for (int i = 0; i < 3; i++) {
        int result = -ENOMEM; /* a lane that could not be made, or could not begin */
        if (there[i])
            CHECK_OK(weft_lane_join(lane[i], &result, WEFT_NEVER));
        CHECK(result == 0 || result == -ENOMEM);
        refused += result != 0;
    }
    return 0;
}

static long with_failure(long one, long from)
{
    static spy s;
    weft_options opt = {.workers = 1, .env = spy_open(&s), .blocked_ns = -1};
    s.fail_map = one;
    s.fail_maps_from = from;
    refused = 0;
    int r = weft_init(&opt);
    CHECK(r == 0 || r == -ENOMEM);
    if (r == 0) {
        some_hungry(0, NULL);
        CHECK_OK(weft_fini(WEFT_NEVER));
    } else {
        refused++;
    }
    long calls = s.map_calls;
    spy_close(&s);
    return calls;
}

static void out_of_memory(void)
{
    long calls = with_failure(0, 0);
    int found = 0;
    CHECK_EQ(refused, 0);
    for (long n = 1; n <= calls; n += n < 40 ? 1 : TEST_SANITIZED ? 31 : 5) {
        with_failure(n, 0);
        found += refused > 0;
        with_failure(0, n);
        if (!refused)
            TEST_FAIL("no mapping from the %ldth of %ld on, and nothing was refused", n, calls);
    }
    CHECK(found > 0);
}

int main(void)
{
    static spy s;
    weft_options opt = {.workers = 2, .env = spy_open(&s), .blocked_ns = -1, .max_vat_bytes = 1 << 20};
    CHECK_EQ(run_main_with(one_after_another, &opt), 0);
    SPY_SILENT(&s);
    spy_close(&s);
    CHECK_EQ(pthread_join(thread_of(outside, NULL), NULL), 0);
    out_of_memory();
    return 0;
}
