/* Strict mode's memory: everything comes from the block and goes back to it, first fit and coalescing,
 * aligned, zeroed, guarded; used up means NULL and nothing worse; any number of threads; and the block
 * is plain memory again afterwards. */
#include <errno.h>
#include <pthread.h>

#include "env/posix.h"
#include "test.h"

enum { SIZE = 4 << 20 };
static _Alignas(65536) char memory[SIZE];
static const weft_env *base;
static weft_env e;
static size_t page;

static void *map(size_t pages, size_t align) { return e.map(e.self, pages * page, align); }
static void unmap(void *p, size_t pages) { e.unmap(e.self, p, pages * page); }

static size_t free_pages(size_t *longest)
{
    size_t total, most;

    CHECK_EQ(weft_env_block_free(&e, &total, &most), 0);
    if (longest)
        *longest = most / page;
    return total / page;
}

static void arguments(void)
{
    size_t a, b;

    CHECK_EQ(weft_env_block(&e, base, NULL, SIZE), -EINVAL);
    CHECK_EQ(weft_env_block(&e, NULL, memory, SIZE), -EINVAL);
    CHECK_EQ(weft_env_block(&e, base, memory, page), -ENOMEM);
    CHECK_EQ(weft_env_block(&e, base, memory + 1, 2 * page), -ENOMEM);
    CHECK_EQ(weft_env_block_free(base, &a, &b), -EINVAL);
    memset(memory, 0x5a, SIZE); /* it need not be zero before */
    CHECK_EQ(weft_env_block(&e, base, memory + 100, SIZE - 200), 0);
    CHECK(weft_env_missing(&e, NULL) == NULL);
}

static void fresh(void)
{
    const size_t all = free_pages(NULL);
    unsigned char *p = map(3, 0), *q;

    CHECK(all > SIZE / page - 8);
    CHECK(p && (char *)p > memory && (char *)p < memory + SIZE);
    for (size_t i = 0; i < 3 * page; i++)
        CHECK_EQ(p[i], 0);
    memset(p, 1, 3 * page);
    unmap(p, 3);
    CHECK_EQ(free_pages(NULL), all);
    q = map(2, 0);
    CHECK(q == p); /* first fit: what was warm is used again */
    for (size_t i = 0; i < 2 * page; i++)
        CHECK_EQ(q[i], 0);
    unmap(q, 2);
    CHECK(e.map(e.self, 0, 0) == NULL);
    CHECK(e.map(e.self, SIZE_MAX, 0) == NULL);
    CHECK(e.map(e.self, page, 3) == NULL);
    q = e.map(e.self, 1, 0); /* less than a page takes one */
    CHECK_EQ(free_pages(NULL), all - 1);
    e.unmap(e.self, q, 1);
    CHECK_EQ(free_pages(NULL), all);
}

static void alignment(void)
{
    char *p[8];

    for (unsigned i = 0; i < 8; i++) {
        const size_t align = page << i;

        p[i] = map(1, align);
        CHECK(p[i]);
        CHECK_EQ((uintptr_t)p[i] % align, 0);
    }
    for (unsigned i = 0; i < 8; i++)
        unmap(p[i], 1);
}

/* Every other page taken: half is free, and nothing of two pages fits; then neighbours grow together again. */
static void fragmentation(void)
{
    static char *p[SIZE / 4096];
    const size_t all = free_pages(NULL);
    size_t n = 0, longest;

    while ((p[n] = map(1, 0)) != NULL)
        n++;
    CHECK_EQ(n, all);
    CHECK_EQ(free_pages(&longest), 0);
    CHECK_EQ(longest, 0);
    CHECK(map(1, 0) == NULL);
    for (size_t i = 0; i < n; i += 2)
        unmap(p[i], 1);
    CHECK_EQ(free_pages(&longest), (all + 1) / 2);
    CHECK_EQ(longest, 1);
    CHECK(map(2, 0) == NULL);
    for (size_t i = 1; i < n; i += 2)
        unmap(p[i], 1);
    CHECK_EQ(free_pages(&longest), all);
    CHECK_EQ(longest, all);
    p[0] = map(all, 0);
    CHECK(p[0]);
    CHECK(map(1, 0) == NULL);
    unmap(p[0], all);
}

static int readable(const char *p)
{
    int ends[2];
    ssize_t n;

    CHECK_EQ(pipe(ends), 0);
    n = write(ends[1], p, 1);
    close(ends[0]);
    close(ends[1]);
    return n == 1;
}

static void guards(void)
{
    char *p = map(4, 0);

    CHECK(p);
    p[0] = p[2 * page] = 1;
    CHECK_EQ(e.guard(e.self, p + page, page), 0);
    CHECK(!readable(p + page));
    CHECK(readable(p));
    e.discard(e.self, p, page);
    CHECK_EQ(p[0], 0);
    CHECK_EQ(p[2 * page], 1);
    CHECK(!readable(p + page));
    CHECK_EQ(e.unguard(e.self, p + page, page), 0);
    CHECK(readable(p + page));
    CHECK_EQ(e.guard(e.self, p + 3 * page, page), 0);
    unmap(p, 4); /* with its guard */
    p = map(4, 0);
    CHECK(readable(p + 3 * page));
    memset(p, 3, 4 * page);
    unmap(p, 4);
}

/* ---- many threads ---- */

static void *hammer(void *arg)
{
    uint64_t x = (uint64_t)(uintptr_t)arg * 0x9e3779b97f4a7c15u + 1;
    unsigned char *held[16] = {0};
    size_t pages[16] = {0};

    for (int round = 0; round < 3000; round++) {
        unsigned i;

        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        i = (unsigned)(x % 16);
        if (held[i]) {
            for (size_t j = 0; j < pages[i]; j++)
                CHECK_EQ(held[i][j * page], (unsigned char)(uintptr_t)arg); /* nobody else had it */
            unmap(held[i], pages[i]);
            held[i] = NULL;
            continue;
        }
        pages[i] = 1 + (size_t)(x >> 20) % 20;
        held[i] = map(pages[i], x & 64 ? 4 * page : 0);
        for (size_t j = 0; held[i] && j < pages[i]; j++) {
            CHECK_EQ(held[i][j * page], 0);
            held[i][j * page] = (unsigned char)(uintptr_t)arg;
        }
    }
    for (unsigned i = 0; i < 16; i++)
        if (held[i])
            unmap(held[i], pages[i]);
    return NULL;
}

static void threads(void)
{
    const size_t all = free_pages(NULL);
    pthread_t t[3];
    size_t longest;

    for (uintptr_t i = 0; i < 3; i++)
        CHECK_EQ(pthread_create(&t[i], NULL, hammer, (void *)(i + 1)), 0);
    for (int i = 0; i < 3; i++)
        pthread_join(t[i], NULL);
    CHECK_EQ(free_pages(&longest), all);
    CHECK_EQ(longest, all);
}

/* Everything else is the base's. */
static void the_rest(void)
{
    weft_topology t;
    weft_parker p = {0};
    int64_t a = base->now(base->self), b = e.now(e.self);
    const size_t all = free_pages(NULL);

    CHECK(b >= a);
    CHECK_EQ(e.topology(e.self, &t), 0);
    CHECK(t.cpus >= 1);
    e.unpark(e.self, &p);
    CHECK_EQ(e.park(e.self, &p, WEFT_NEVER), 1);
    CHECK_EQ(e.worker_enter(e.self), 0);
    CHECK(free_pages(NULL) <= all);
    e.worker_leave(e.self);
    CHECK_EQ(free_pages(NULL), all);
    weft_env holes = *base, over;
    holes.relax = NULL;
    holes.guard = NULL;
    CHECK_EQ(weft_env_block(&over, &holes, memory + SIZE / 2, SIZE / 2), 0);
    CHECK(over.relax == NULL);
    CHECK(over.guard == NULL && over.unguard == NULL);
}

int main(void)
{
    base = weft_env_posix();
    page = base->page_size;
    arguments();
    fresh();
    alignment();
    fragmentation();
    guards();
    threads();
    the_rest();
    memset(memory, 1, SIZE); /* ours again */
    return 0;
}
