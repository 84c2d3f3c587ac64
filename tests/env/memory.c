/* Memory by pages: zeroed, aligned, lazily committed; guards refuse every touch, in both ways of making them, and come
 * off again; discarding gives pages back and leaves guards where they are. */
#include <errno.h>
#include <fcntl.h>

#include "env/posix.h"
#include "test.h"

static size_t page;
static int ends[2];

/* Whether the kernel may read the byte: what a guard must refuse. */
static int readable(const char *p)
{
    char byte;

    if (write(ends[1], p, 1) < 0) {
        CHECK_EQ(errno, EFAULT);
        return 0;
    }
    CHECK_EQ(read(ends[0], &byte, 1), 1);
    return 1;
}

static void mapping(const weft_env *e)
{
    char *p = e->map(NULL, 3 * page, 0);

    CHECK(p);
    CHECK_EQ((uintptr_t)p % page, 0);
    for (size_t i = 0; i < 3 * page; i++)
        CHECK_EQ(p[i], 0);
    memset(p, 5, 3 * page);
    e->discard(NULL, p + page, page);
    CHECK_EQ(p[page], 0);
    CHECK_EQ(p[2 * page - 1], 0);
    CHECK_EQ(p[page - 1], 5);
    CHECK_EQ(p[2 * page], 5);
    e->unmap(NULL, p, 3 * page);

    CHECK(e->map(NULL, 0, 0) == NULL);
    CHECK(e->map(NULL, SIZE_MAX, 0) == NULL);
    CHECK(e->map(NULL, SIZE_MAX / 2, 0) == NULL);
    CHECK(e->map(NULL, page, 3 * page) == NULL); /* no power of two */
}

static void alignment(const weft_env *e)
{
    for (size_t align = page; align <= (size_t)4 << 20; align *= 2) {
        char *p = e->map(NULL, 2 * page, align);

        CHECK(p);
        CHECK_EQ((uintptr_t)p % align, 0);
        p[0] = p[2 * page - 1] = 1;
        e->unmap(NULL, p, 2 * page);
    }
}

/* Memory like any other, at a multiple of what a huge page is, and not less of it than was asked for. */
static void advised(const weft_env *e)
{
    const size_t huge = (size_t)2 << 20;
    char *p = e->map_as(NULL, 3 * huge, 0, WEFT_MAP_ADVISED), *q = e->map_as(NULL, page, 2 * huge, WEFT_MAP_ADVISED);

    CHECK(p && q);
    CHECK_EQ((uintptr_t)p % huge, 0);
    CHECK_EQ((uintptr_t)q % (2 * huge), 0);
    for (size_t i = 0; i < 3 * huge; i += page)
        CHECK_EQ(p[i], 0);
    p[0] = p[3 * huge - 1] = q[0] = q[page - 1] = 1;
    e->discard(NULL, p, 3 * huge);
    CHECK_EQ(p[0], 0);
    e->unmap(NULL, p, 3 * huge);
    e->unmap(NULL, q, page);
    CHECK(e->map_as(NULL, 0, 0, WEFT_MAP_ADVISED) == NULL);
    CHECK(e->map_as(NULL, SIZE_MAX / 2, 0, WEFT_MAP_ADVISED) == NULL);
}

static void guards(const weft_env *e)
{
    char *p = e->map(NULL, 6 * page, 0);

    CHECK(p);
    memset(p, 7, 6 * page);
    CHECK_EQ(e->guard(NULL, p + page, page), 0);
    CHECK_EQ(e->guard(NULL, p + 4 * page, page), 0);
    CHECK(readable(p + page - 1));
    CHECK(!readable(p + page));
    CHECK(!readable(p + 2 * page - 1));
    CHECK(readable(p + 2 * page));
    CHECK(!readable(p + 4 * page));
    e->discard(NULL, p, 6 * page);
    CHECK(!readable(p + page));
    CHECK_EQ(p[2 * page], 0);
    CHECK_EQ(e->unguard(NULL, p + page, page), 0);
    CHECK(readable(p + page));
    CHECK_EQ(p[page], 0);
    p[page] = 1;
    CHECK(!readable(p + 4 * page));
    e->unmap(NULL, p, 6 * page);
}

/* All at once where the kernel can; where it cannot nothing is lost but time. */
static void row(const weft_env *e)
{
    char *p = e->map(NULL, 12 * page, 0);

    CHECK(p);
    memset(p, 7, 12 * page);
    const int r = e->guard_row(NULL, p + page, page, 3 * page, 4);
    CHECK(r <= 0);
    for (size_t i = 0; r == 0 && i < 12; i++)
        CHECK_EQ(readable(p + i * page), i % 3 != 1);
    CHECK(e->guard_row(NULL, p, page, page, 1000) < 0); /* more than one vector holds */
    e->unmap(NULL, p, 12 * page);
}

/* Emulators answer mincore as they like: told apart by a page that nobody has touched and one that was. */
static int counts(const weft_env *e, char *p)
{
    p[page] = 1;
    const int right = e->resident(NULL, p, page) == 0 && e->resident(NULL, p + page, page) == page;
    e->discard(NULL, p, 2 * page);
    return right;
}

static void commitment(const weft_env *e)
{
    enum { PAGES = 1600 }; /* several rounds of the inner buffer, and room for a huge page, which must not come */
    char *p = e->map(NULL, PAGES * page, 0);

    CHECK(p);
    if (!counts(e, p)) {
        puts("resident: this system does not tell which pages are there; not checked");
    } else {
        p[10 * page] = p[11 * page] = p[600 * page] = 1;
        CHECK_EQ(e->resident(NULL, p, PAGES * page), 3 * page);
        CHECK_EQ(e->resident(NULL, p + 11 * page, page), page);
        CHECK_EQ(e->guard(NULL, p + 100 * page, page), 0);
        CHECK_EQ(e->resident(NULL, p, PAGES * page), 3 * page);
        CHECK_EQ(e->unguard(NULL, p + 100 * page, page), 0);
        CHECK_EQ(e->populate(NULL, p, 20 * page), 0);
        CHECK_EQ(e->resident(NULL, p, 20 * page), 20 * page);
        e->discard(NULL, p, PAGES * page);
        CHECK_EQ(e->resident(NULL, p, PAGES * page), 0);
    }
    p[3 * page] = 9;
    CHECK_EQ(e->populate(NULL, p, 5 * page), 0);
    CHECK_EQ(p[3 * page], 9);
    e->unmap(NULL, p, PAGES * page);
}

int main(void)
{
    const weft_env *e = weft_env_posix();

    page = e->page_size;
    CHECK(page >= 4096);
    CHECK_EQ(pipe(ends), 0);
    mapping(e);
    alignment(e);
    advised(e);
    CHECK_EQ(weft__posix_guard_kind(), WEFT__GUARD_UNKNOWN);
    guards(e);
    CHECK(weft__posix_guard_kind() != WEFT__GUARD_UNKNOWN);
    row(e);
    commitment(e);
    weft__posix_guard_force(WEFT__GUARD_UNKNOWN);
    row(e); /* finds out, too */
    weft__posix_guard_force(WEFT__GUARD_MPROTECT);
    CHECK(e->guard_row(NULL, ends, page, page, 2) < 0);
    guards(e);
    commitment(e);
    return 0;
}
