/* A lane's memory against a model: whatever is allocated, resized and freed in whatever order, every block keeps its
 * bytes, none overlaps another, and the figures add up. Seeded: a failure names its seed. Which mode it is makes no
 * difference to a lane's memory, so each has seeds of its own. */
#include "lane/world.h"
#include "sched/sched.h"

enum { SLOTS = 600, STEPS = 40000, SEEDS = TEST_SANITIZED ? 1 : 4, ORDINARY = 3000 };

typedef struct slot {
    unsigned char *p;
    size_t size;
    unsigned char fill;
} slot;

static uint64_t seed;

/* Mostly small, some of each doubling, few large: the way programs are. */
static size_t any_size(uint64_t *random)
{
    unsigned kind = next_random(random) % 100;
    if (kind < 60)
        return next_random(random) % 200;
    if (kind < 85)
        return next_random(random) % 5000;
    if (kind < 97)
        return next_random(random) % 70000;
    return next_random(random) % 3000000;
}

/* A large block's bytes are looked at here and there, and at both ends. */
static void fill(slot *s)
{
    size_t step = s->size > ORDINARY ? 509 : 1;
    for (size_t i = 0; i < s->size; i += step)
        s->p[i] = (unsigned char)(s->fill + i);
    if (s->size)
        s->p[s->size - 1] = (unsigned char)(s->fill + s->size - 1);
}

static void check(const slot *s, size_t upto)
{
    size_t step = s->size > ORDINARY ? 509 : 1;
    for (size_t i = 0; i < s->size && i < upto; i += step)
        if (s->p[i] != (unsigned char)(s->fill + i))
            TEST_FAIL("seed %llu: byte %zu of a block of %zu changed", (unsigned long long)seed, i, s->size);
    if (s->size && upto >= s->size)
        CHECK_EQ(s->p[s->size - 1], (unsigned char)(s->fill + s->size - 1));
}

static void took(slot *s, size_t size)
{
    CHECK_EQ((uintptr_t)s->p % 16, 0);
    CHECK(weft_alloc_size(s->p) >= size);
    s->size = size;
    s->fill++;
    fill(s);
}

static void drop(slot *s)
{
    check(s, SIZE_MAX);
    weft_free(s->p);
    s->p = NULL;
}

static void step(slot *s, uint64_t *random)
{
    size_t size = any_size(random);
    unsigned what = next_random(random) % 10;
    if (!s->p) {
        s->p = what < 3 ? weft_calloc(1, size) : weft_alloc(size);
        CHECK(s->p != NULL);
        for (size_t i = 0; what < 3 && i < size; i += size > ORDINARY ? 61 : 1)
            CHECK_EQ(s->p[i], 0);
        took(s, size);
    } else if (what < 4) {
        unsigned char *p = weft_realloc(s->p, size);
        CHECK(p != NULL);
        s->p = p;
        check(s, size < s->size ? size : s->size);
        took(s, size);
    } else {
        drop(s);
    }
}

static int by_address(const void *a, const void *b)
{
    const slot *x = a, *y = b;
    return x->p < y->p ? -1 : x->p > y->p;
}

static void no_overlap(const slot *slots)
{
    static slot sorted[SLOTS];
    size_t n = 0, sum = 0;
    weft_vat_stats stats;
    for (int i = 0; i < SLOTS; i++)
        if (slots[i].p) {
            sorted[n++] = slots[i];
            sum += slots[i].size;
        }
    qsort(sorted, n, sizeof *sorted, by_address);
    for (size_t i = 1; i < n; i++)
        if (sorted[i - 1].p + weft_alloc_size(sorted[i - 1].p) > sorted[i].p)
            TEST_FAIL("seed %llu: two blocks overlap", (unsigned long long)seed);
    CHECK_OK(weft_vat_stats_get(&stats));
    CHECK(stats.used >= sum);
    CHECK(stats.held >= stats.used);
    CHECK(stats.peak >= stats.held);
}

static int model(void *arg)
{
    static slot slots[SLOTS];
    uint64_t random = seed = (uintptr_t)arg;
    weft_vat_stats stats;
    memset(slots, 0, sizeof slots);
    for (int i = 0; i < STEPS; i++) {
        step(&slots[next_random(&random) % SLOTS], &random);
        if (i % 4000 == 0)
            no_overlap(slots);
        if (i % 500 == 0)
            CHECK_OK(weft_yield());
    }
    no_overlap(slots);
    for (int i = 0; i < SLOTS && seed % 2; i++)
        if (slots[i].p)
            drop(&slots[i]);
    CHECK_OK(weft_vat_stats_get(&stats));
    if (seed % 2)
        CHECK_EQ(stats.used, 0);
    return 0; /* with all blocks, or with none */
}

static int start(int argc, char **argv)
{
    (void)argc, (void)argv;
    const uintptr_t first = 1 + SEEDS * (uintptr_t)weft_current()->mode;
    for (uintptr_t i = first; i < first + SEEDS; i++) {
        weft_id lane;
        int result;
        CHECK_OK(weft_lane_spawn(&lane, model, (void *)i));
        CHECK_OK(weft_lane_join(lane, &result, WEFT_NEVER));
        CHECK_OK(result);
    }
    return 0;
}

int main(void)
{
    run_clean(start, 2);
    return 0;
}
