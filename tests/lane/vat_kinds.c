/* Lanes with memory of other kinds, by the same calls: a block of the caller's, an arena,
 * memory shared with a child process, huge pages, a table that the test fills. */
#include <sys/wait.h>

#include "lane/world.h"

static void mains(int (*fn)(void *), void *arg, const weft_vat_kind *kind)
{
    weft_id lane;
    int result;
    CHECK_OK(weft_lane_spawn_with(&lane, fn, arg, .vat = kind));
    CHECK_OK(weft_lane_join(lane, &result, WEFT_NEVER));
    CHECK_OK(result);
}

static weft_vat_stats stats(void)
{
    weft_vat_stats s;
    CHECK_OK(weft_vat_stats_get(&s));
    return s;
}

/* Allocates, resizes and frees at random, all bytes looked after. */
static int ordinary_life(void *arg)
{
    enum { SLOTS = 64 };
    static unsigned char *p[SLOTS];
    static size_t size[SLOTS];
    uint64_t random = 7;
    size_t most = (size_t)(uintptr_t)arg;
    memset(p, 0, sizeof p);
    for (int i = 0; i < 5000; i++) {
        unsigned k = next_random(&random) % SLOTS;
        size_t n = next_random(&random) % (i % 20 ? 600 : most);
        if (p[k] && i % 3) {
            for (size_t b = 0; b < size[k]; b++)
                CHECK_EQ(p[k][b], (unsigned char)(k + b));
            weft_free(p[k]);
            p[k] = NULL;
            continue;
        }
        unsigned char *q = weft_realloc(p[k], n);
        CHECK(q != NULL);
        for (size_t b = 0; p[k] && b < size[k] && b < n; b++)
            CHECK_EQ(q[b], (unsigned char)(k + b));
        p[k] = q;
        size[k] = n;
        for (size_t b = 0; b < n; b++)
            q[b] = (unsigned char)(k + b);
    }
    return 0;
}

/* ---- a block of the caller's ---- */

enum { BLOCK = 16 << 20 };
static unsigned char block[BLOCK];

static int uses_it_up(void *arg)
{
    size_t n = 0;
    CHECK(strcmp(stats().kind, (const char *)arg) == 0);
    for (unsigned char *p; (p = weft_alloc(1000)); n++) {
        CHECK(p >= block && p + 1000 <= block + BLOCK);
        memset(p, 1, 1000);
    }
    CHECK(n > BLOCK / 1000 * 8 / 10);
    CHECK(weft_strdup("no more") == NULL || n > 0);
    return 0;
}

static int in_a_block(void)
{
    weft_vat_kind kind;
    CHECK_EQ(weft_vat_block(&kind, block, BLOCK, 99), -EINVAL);
    CHECK_EQ(weft_vat_block(NULL, block, BLOCK, 0), -EINVAL);
    CHECK_EQ(weft_vat_block(&kind, block, 60000, 0), -ENOMEM);
    for (int i = 0; i < 3; i++) {
        CHECK_OK(weft_vat_block(&kind, block, BLOCK, 0));
        mains(ordinary_life, (void *)(uintptr_t)90000, &kind);
        mains(uses_it_up, (void *)(uintptr_t)"block", &kind);
        mains(uses_it_up, (void *)(uintptr_t)"block", &kind); /* the next lane has all of it again */
    }
    return 0;
}

static int adds_up(void *arg)
{
    (void)arg;
    char *p = weft_alloc(100), *q = weft_alloc(100);
    CHECK(p && q && q > p);
    memset(p, 3, 100);
    size_t used = stats().used;
    weft_free(p);
    CHECK_EQ(stats().used, used);
    CHECK(weft_realloc(q, 5000) == q); /* the newest grows where it is */
    char *r = weft_alloc(16);
    CHECK(r > q);
    CHECK_EQ((uintptr_t)r % 16, 0);
    weft_text t = {0};
    for (int i = 0; i < 1000; i++)
        CHECK_OK(weft_text_printf(&t, "line %d\n", i));
    CHECK(strncmp(t.data, "line 0\nline 1\n", 14) == 0);
    return 0;
}

static int in_an_arena(void)
{
    weft_vat_kind kind;
    CHECK_OK(weft_vat_block(&kind, block, BLOCK, WEFT_VAT_ARENA));
    mains(adds_up, NULL, &kind);
    mains(ordinary_life, (void *)(uintptr_t)3000, &kind);
    mains(uses_it_up, (void *)(uintptr_t)"arena", &kind);
    mains(uses_it_up, (void *)(uintptr_t)"arena", &kind);
    return 0;
}

/* ---- what the environment has ---- */

static int a_child_writes(void *arg)
{
    (void)arg;
    volatile int *p = weft_alloc(100000);
    int status;
    CHECK(p != NULL);
    CHECK(strcmp(stats().kind, "shared") == 0);
    p[0] = p[20000] = 0;
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        p[0] = 17;
        p[20000] = 18;
        _exit(0);
    }
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(p[0], 17);
    CHECK_EQ(p[20000], 18);
    return 0;
}

static int is_huge(void *arg)
{
    (void)arg;
    char *p = weft_alloc(3 << 20);
    CHECK(p != NULL);
    memset(p, 1, 3 << 20);
    CHECK(strcmp(stats().kind, "huge") == 0);
    return 0;
}

/* ---- a table of the program's own ---- */

static struct {
    long maps, unmaps, bytes, fail_from;
    const weft_env *env;
} own;

static void *own_map(void *self, size_t bytes, size_t align)
{
    CHECK(self == &own);
    CHECK_EQ(bytes % 65536, 0);
    CHECK_EQ(align % 65536, 0);
    if (own.fail_from && own.maps >= own.fail_from)
        return NULL;
    own.maps++;
    own.bytes += (long)bytes;
    return own.env->map(own.env->self, bytes, align);
}

static void own_unmap(void *self, void *p, size_t bytes)
{
    CHECK(self == &own);
    own.unmaps++;
    own.bytes -= (long)bytes;
    own.env->unmap(own.env->self, p, bytes);
}

static int has_no_more(void *arg)
{
    (void)arg;
    while (weft_alloc(50000))
        ;
    CHECK(weft_alloc(50000) == NULL);
    return 0;
}

static int has_none(void *arg)
{
    (void)arg;
    CHECK(weft_alloc(1) == NULL);
    CHECK(strcmp(stats().kind, "own") == 0);
    return 0;
}

static int asks_for_nothing(void *arg)
{
    (void)arg;
    CHECK_EQ(stats().held, 0);
    return 0;
}

static int of_ones_own(void)
{
    weft_vat_kind kind = {.name = "own", .self = &own, .map = own_map, .unmap = own_unmap, .unit = 3 << 17};
    own.env = weft_env_posix();
    mains(asks_for_nothing, NULL, &kind);
    CHECK_EQ(own.maps, 0);
    mains(ordinary_life, (void *)(uintptr_t)2000000, &kind);
    CHECK(own.maps > 0);
    CHECK_EQ(own.maps, own.unmaps);
    CHECK_EQ(own.bytes, 0);
    own.fail_from = own.maps + 3;
    mains(has_no_more, NULL, &kind);
    own.fail_from = own.maps;
    mains(has_none, NULL, &kind);
    CHECK_EQ(own.maps, own.unmaps);
    kind.unmap = NULL;
    CHECK_EQ(weft_lane_spawn_with(NULL, has_none, NULL, .vat = &kind), -EINVAL);
    return 0;
}

static int all(int argc, char **argv)
{
    (void)argc, (void)argv;
    CHECK_OK(in_a_block());
    CHECK_OK(in_an_arena());
    mains(ordinary_life, (void *)(uintptr_t)90000, weft_vat_shared());
    mains(a_child_writes, NULL, weft_vat_shared());
    mains(ordinary_life, (void *)(uintptr_t)90000, weft_vat_huge());
    mains(is_huge, NULL, weft_vat_huge());
    return of_ones_own();
}

/* Strict mode: its environment has one sort of memory only. */
static int strict(int argc, char **argv)
{
    (void)argc, (void)argv;
    CHECK_EQ(weft_lane_spawn_with(NULL, is_huge, NULL, .vat = weft_vat_huge()), -ENOTSUP);
    CHECK_EQ(weft_lane_spawn_with(NULL, is_huge, NULL, .vat = weft_vat_shared()), -ENOTSUP);
    for (int i = 0; i < 20; i++)
        mains(ordinary_life, (void *)(uintptr_t)30000, NULL);
    return 0;
}

int main(void)
{
    run_clean(all, 2);
    weft_options opt = {.workers = 1, .blocked_ns = -1, .memory = block, .memory_size = BLOCK};
    CHECK_EQ(run_main_with(strict, &opt), 0);
    return 0;
}
