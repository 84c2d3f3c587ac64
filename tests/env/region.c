/* A runtime's region: its pieces are zeroed whatever lay there before, apart from each other, given back when there
 * is much of them, and mapped by themselves where the region has no room; what was guarded, or for the kernel to
 * write to, is not handed out again. */
#include <pthread.h>
#include <stdint.h>

#include "env/posix.h"
#include "env/region.h"
#include "test.h"

static weft_env env;
static char *first; /* of the region's pieces */

static int inside(const void *p) { return (uintptr_t)p - (uintptr_t)first < ((uintptr_t)96 << 20); }

static char *get(size_t bytes)
{
    char *p = env.map(env.self, bytes, 0);

    CHECK(p && (uintptr_t)p % env.page_size == 0);
    for (size_t i = 0; i < bytes; i += 64)
        CHECK_EQ(p[i], 0);
    memset(p, 0x5a, bytes);
    return p;
}

static void put(char *p, size_t bytes) { env.unmap(env.self, p, bytes); }

static void pieces(void)
{
    char *a = first = get(100), *b = get(3 * env.page_size), *c = get(env.page_size);

    CHECK(b >= a + env.page_size || a >= b + 3 * env.page_size);
    put(b, 3 * env.page_size);
    char *d = get(2 * env.page_size); /* where b was, and zeroed */
    CHECK(d == b);
    CHECK_EQ(a[0], 0x5a);
    CHECK_EQ(c[0], 0x5a);
    put(d, 2 * env.page_size);
    put(c, env.page_size);
    char *large = get((size_t)128 << 10); /* cleared by the kernel, not by hand */
    put(large, (size_t)128 << 10);
    CHECK(get((size_t)128 << 10) == large);
    put(large, (size_t)128 << 10);
    put(a, 100);
}

static void gives_back(void)
{
    const size_t bytes = (size_t)3 << 20;
    char *a = get(bytes), *b = get(bytes);

    CHECK(inside(a) && inside(b));
    put(a, bytes);
    put(b, bytes); /* together more than may wait */
    CHECK_EQ(env.resident(env.self, a, bytes), 0);
    CHECK_EQ(env.resident(env.self, b, bytes), 0);
    CHECK(get(bytes) == a);
    put(a, bytes);
}

static void full(void)
{
    enum { PIECES = 60 };
    const size_t bytes = (size_t)2 << 20;
    char *p[PIECES];
    int out = 0;

    for (int i = 0; i < PIECES; i++) {
        p[i] = env.map(env.self, bytes, 0); /* untouched: this is about room */
        CHECK(p[i]);
        out += !inside(p[i]);
    }
    CHECK(out > 0 && out < PIECES);
    for (int i = 0; i < PIECES; i++)
        put(p[i], bytes);
    char *huge = env.map(env.self, (size_t)200 << 20, 0), *aligned = env.map(env.self, bytes, bytes);
    CHECK(huge && !inside(huge));
    CHECK(aligned && (uintptr_t)aligned % bytes == 0);
    put(huge, (size_t)200 << 20);
    put(aligned, bytes);
    CHECK(env.map(env.self, 0, 0) == NULL);
    CHECK(env.map(env.self, SIZE_MAX, 0) == NULL);
}

static void guarded(void)
{
    const size_t page = env.page_size;
    char *a = get(4 * page);

    CHECK_EQ(env.guard(env.self, a + page, page), 0);
    put(a, 4 * page);
    char *b = get(4 * page);
    CHECK(b >= a + 4 * page || b + 4 * page <= a);
    if (env.guard_row(env.self, b, page, 2 * page, 2) == 0) {
        put(b, 4 * page);
        char *c = get(4 * page);
        CHECK(c >= b + 4 * page || c + 4 * page <= b);
        b = c;
    }
    put(b, 4 * page);
}

static void kernels(void)
{
    const size_t page = env.page_size;
    char *a = env.map_as(env.self, 4 * page, 0, WEFT_MAP_KERNEL);

    CHECK(a && inside(a));
    CHECK_EQ(a[0], 0);
    memset(a, 0x5a, 4 * page);
    put(a, 4 * page);
    CHECK_EQ(env.resident(env.self, a, 4 * page), 0);
    char *b = get(4 * page), *c = env.map_as(env.self, 4 * page, 0, WEFT_MAP_SHARED);
    CHECK(b >= a + 4 * page || b + 4 * page <= a);
    CHECK(c && !inside(c));
    put(b, 4 * page);
    put(c, 4 * page);
    CHECK(env.map_as(env.self, 0, 0, WEFT_MAP_KERNEL) == NULL);
    CHECK(env.map_as(env.self, page, 0, (enum weft_map_as)77) == NULL);
}

static void *churns(void *arg)
{
    unsigned random = (unsigned)(uintptr_t)arg;

    for (int i = 0; i < 300; i++) {
        random = random * 1664525u + 1013904223u;
        const size_t bytes = env.page_size * (1 + (random >> 16) % 40);
        char *p = get(bytes);
        p[bytes - 1] = (char)i;
        put(p, bytes);
    }
    return NULL;
}

static void threads(void)
{
    pthread_t t[3];

    for (int i = 0; i < 3; i++)
        CHECK_EQ(pthread_create(&t[i], NULL, churns, (void *)(uintptr_t)(i + 1)), 0);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(pthread_join(t[i], NULL), 0);
}

int main(void)
{
    env = *weft_env_posix();
    weft__region_open(&env);
    if (!env.self)
        SKIP("no room for a region");
    pieces();
    gives_back();
    full();
    guarded();
    kernels();
    threads();
    char *last = get(env.page_size);
    weft__region_ending(&env);
    put(last, env.page_size);
    weft__region_close(&env);

    env = *weft_env_posix(); /* a table without one is left alone */
    weft__region_ending(&env);
    weft__region_close(&env);
    return 0;
}
