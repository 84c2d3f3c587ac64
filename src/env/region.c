/* A runtime's region: one mapping out of which the POSIX environment serves the small pieces that a runtime
 * asks for, a hundred system calls less at its start and its end. Any thread; the books are under a spin lock,
 * which is not held over a system call.
 *
 * What is too large, or finds no room, is mapped by itself. A piece that comes back is noted as dirty and gives its
 * memory back together with others, once they are worth a call; a dirty piece that is handed out again before is
 * cleared then. Addresses that were guarded, or that the kernel may still write to, are not used again.
 * Under AddressSanitizer what came back is poisoned, which stands in for the fault
 * that an unmapped page answers with. */
#include <string.h>

#include "arch/poison.h"
#include "base/check.h"
#include "base/spin.h"
#include "env/posix.h"
#include "env/region.h"

#define REGION_BYTES ((size_t)96 << 20) /* the pools of a few workers, and the first slab of stacks */
#define PIECE_MAX ((size_t)64 << 20)
#define DIRTY_MAX ((size_t)4 << 20)   /* how much may wait to be given back */
#define CLEAR_MAX ((size_t)64 << 10)  /* up to here clearing is cheaper than a system call and new pages */
#define WORDS (REGION_BYTES / 4096 / 64)
#define MAGIC 0x7265676eu

typedef uint64_t pages[WORDS]; /* a bit each */

typedef struct region {
    uint32_t magic;
    weft__spin lock;
    char *start;
    size_t page, count; /* bytes of one, pages; the first ones hold this */
    size_t dirty_bytes;
    int ending;         /* nothing is given back any more: it all goes at once */
    pages taken;
    pages dirty;        /* not taken, and maybe not zero */
    pages spent;        /* guarded, or the kernel's: not to be handed out again */
} region;

static int is_set(const uint64_t *map, size_t i) { return (int)(map[i / 64] >> (i % 64) & 1); }

static void set(uint64_t *map, size_t from, size_t n, int on)
{
    for (size_t i = from; i < from + n; i++) {
        const uint64_t bit = (uint64_t)1 << (i % 64);

        map[i / 64] = on ? map[i / 64] | bit : map[i / 64] & ~bit;
    }
}

static int any_set(const uint64_t *map, size_t from, size_t n)
{
    for (size_t i = from; i < from + n; i++)
        if (is_set(map, i))
            return 1;
    return 0;
}

/* First fit; `count` if there is none. Whole words of taken pages are skipped. */
static size_t find(const region *r, size_t n)
{
    size_t run = 0;

    for (size_t i = 0; i < r->count; i++) {
        if (i % 64 == 0 && r->taken[i / 64] == UINT64_MAX) {
            i += 63;
            run = 0;
            continue;
        }
        run = is_set(r->taken, i) ? 0 : run + 1;
        if (run == n)
            return i + 1 - n;
    }
    return r->count;
}

static int has(const region *r, const void *p) { return (size_t)((const char *)p - r->start) < r->count * r->page; }

static size_t page_of(const region *r, const void *p) { return (size_t)((const char *)p - r->start) / r->page; }

static size_t pages_of(const region *r, size_t bytes) { return (bytes + r->page - 1) / r->page; }

static void clear(char *p, size_t bytes)
{
    if (bytes > CLEAR_MAX)
        weft__posix_discard(NULL, p, bytes);
    else
        memset(p, 0, bytes);
}

static void *take(region *r, size_t bytes)
{
    const size_t n = pages_of(r, bytes);
    int dirty = 0;

    weft__spin_lock(&r->lock);
    const size_t at = find(r, n);
    if (at < r->count) {
        set(r->taken, at, n, 1);
        for (size_t i = at; i < at + n; i++)
            if (is_set(r->dirty, i)) {
                r->dirty_bytes -= r->page;
                dirty = 1;
            }
        set(r->dirty, at, n, 0);
    }
    weft__spin_unlock(&r->lock);
    if (at >= r->count)
        return NULL;
    char *p = r->start + at * r->page;
    weft__unpoison_defined(p, n * r->page);
    if (dirty)
        clear(p, n * r->page);
    return p;
}

/* Takes the next run of dirty pages after `from` out of everybody's reach; its length. Under the lock. */
static size_t take_dirty(region *r, size_t *from)
{
    size_t n = 0;

    while (*from < r->count && !is_set(r->dirty, *from))
        (*from)++;
    while (*from + n < r->count && is_set(r->dirty, *from + n))
        n++;
    set(r->dirty, *from, n, 0);
    set(r->taken, *from, n, 1);
    r->dirty_bytes -= n * r->page;
    return n;
}

static void give_back_dirty(region *r)
{
    size_t at = 0, n;

    for (;; at += n) {
        weft__spin_lock(&r->lock);
        n = take_dirty(r, &at);
        weft__spin_unlock(&r->lock);
        if (n == 0)
            return;
        weft__posix_discard(NULL, r->start + at * r->page, n * r->page);
        weft__spin_lock(&r->lock);
        set(r->taken, at, n, 0);
        weft__spin_unlock(&r->lock);
    }
}

static void give(region *r, void *p, size_t bytes)
{
    const size_t at = page_of(r, p), n = pages_of(r, bytes);

    weft__poison(p, n * r->page);
    weft__spin_lock(&r->lock);
    const int lost = any_set(r->spent, at, n);
    if (!lost) {
        set(r->taken, at, n, 0);
        set(r->dirty, at, n, 1);
        r->dirty_bytes += n * r->page;
    }
    const int ending = r->ending, many = r->dirty_bytes > DIRTY_MAX && !ending;
    weft__spin_unlock(&r->lock);
    if (lost && !ending)
        weft__posix_discard(NULL, p, n * r->page);
    if (many)
        give_back_dirty(r);
}

static void *map(void *self, size_t bytes, size_t align)
{
    region *r = self;
    void *p = NULL;

    if (bytes > 0 && bytes <= PIECE_MAX && align <= r->page)
        p = take(r, bytes);
    return p ? p : weft__posix_map(NULL, bytes, align);
}

static void unmap(void *self, void *p, size_t bytes)
{
    region *r = self;

    if (has(r, p))
        give(r, p, bytes);
    else
        weft__posix_unmap(NULL, p, bytes);
}

static void spend(region *r, const void *p, size_t bytes)
{
    weft__spin_lock(&r->lock);
    set(r->spent, page_of(r, p), pages_of(r, bytes), 1);
    weft__spin_unlock(&r->lock);
}

static void *map_as(void *self, size_t bytes, size_t align, enum weft_map_as how)
{
    region *r = self;
    void *p = how == WEFT_MAP_KERNEL ? map(self, bytes, align) : weft__posix_map_as(NULL, bytes, align, how);

    if (p && has(r, p))
        spend(r, p, bytes);
    return p;
}

static int guard(void *self, void *p, size_t bytes)
{
    region *r = self;

    if (has(r, p))
        spend(r, p, bytes);
    return weft__posix_guard(NULL, p, bytes);
}

static int guard_row(void *self, void *p, size_t bytes, size_t stride, unsigned n)
{
    region *r = self;

    if (has(r, p)) {
        weft__spin_lock(&r->lock);
        for (unsigned i = 0; i < n; i++)
            set(r->spent, page_of(r, (char *)p + i * stride), pages_of(r, bytes), 1);
        weft__spin_unlock(&r->lock);
    }
    return weft__posix_guard_row(NULL, p, bytes, stride, n);
}

static int enter(void *self) { return weft__posix_worker_enter_on(self, map, unmap); }
static void leave(void *self) { weft__posix_worker_leave_on(self, unmap); }

void weft__region_open(weft_env *env)
{
    const size_t page = env->page_size;
    region *r = REGION_BYTES / page <= WORDS * 64 ? weft__posix_map(NULL, REGION_BYTES, 0) : NULL;

    if (!r)
        return; /* every piece is a mapping then */
    r->magic = MAGIC;
    r->start = (char *)r;
    r->page = page;
    r->count = REGION_BYTES / page;
    set(r->taken, 0, pages_of(r, sizeof *r), 1);
    env->self = r;
    env->map = map;
    env->unmap = unmap;
    env->map_as = map_as;
    env->guard = guard;
    env->guard_row = guard_row;
    env->worker_enter = enter;
    env->worker_leave = leave;
}

void weft__region_ending(const weft_env *env)
{
    region *r = env->map == map ? env->self : NULL;

    if (!r)
        return;
    weft__spin_lock(&r->lock);
    r->ending = 1;
    weft__spin_unlock(&r->lock);
}

void weft__region_close(const weft_env *env)
{
    region *r = env->map == map ? env->self : NULL;

    if (!r)
        return;
    WEFT_ASSERT(r->magic == MAGIC);
    weft__unpoison(r, REGION_BYTES);
    weft__posix_unmap(NULL, r, REGION_BYTES);
}
