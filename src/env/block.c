/* Owns the environment of strict mode: memory from one block of the caller's, everything else from another environment.
 *
 * The books lie at the block's beginning: a bit for each page taken and a bit for each page guarded. Room is
 * found first-fit, so low pages are reused and the far end of a block that is larger than needed is never
 * touched. Any thread; the books are under a spin lock, which is held while bits are looked at and never
 * during a call of the base environment. */
#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "base/spin.h"
#include "env/posix.h"

#define MAGIC 0x626c6f63u

struct block {
    uint32_t magic;
    weft__spin lock;
    const weft_env *base;
    char *pages;     /* the first page that is handed out */
    size_t count;    /* pages */
    size_t page;     /* bytes of one */
    int discards;    /* whether base's discard clears this memory: found out at the start */
    uint64_t *taken; /* a bit a page; under lock */
    uint64_t *guarded; /* a bit a page; under lock */
};

static int bit(const uint64_t *map, size_t i) { return (int)(map[i / 64] >> (i % 64) & 1); }

static void set_bits(uint64_t *map, size_t from, size_t n, int on)
{
    for (size_t i = from; i < from + n; i++) {
        const uint64_t mask = (uint64_t)1 << (i % 64);

        map[i / 64] = on ? map[i / 64] | mask : map[i / 64] & ~mask;
    }
}

/* The first page at or after `from` whose bit is `value`, or count; whole words are skipped. */
static size_t next_bit(const uint64_t *map, size_t from, size_t count, int value)
{
    const uint64_t nothing = value ? 0 : UINT64_MAX;

    while (from < count) {
        if (from % 64 == 0 && map[from / 64] == nothing)
            from += 64;
        else if (bit(map, from) == value)
            return from;
        else
            from++;
    }
    return count; /* the last word's spare bits may have been passed */
}

/* ---- memory ---- */

static size_t pages_of(const struct block *b, size_t bytes) { return bytes / b->page + (bytes % b->page != 0); }

/* The first page number at or after i whose address is aligned. */
static size_t align_page(const struct block *b, size_t i, size_t align)
{
    const uintptr_t address = (uintptr_t)b->pages + i * b->page;
    const uintptr_t up = (address + align - 1) & ~(uintptr_t)(align - 1);

    return i + (size_t)(up - address) / b->page;
}

/* First fit; count if there is none. Lock held. */
static size_t find(const struct block *b, size_t n, size_t align)
{
    size_t i = 0;

    for (;;) {
        size_t end;

        i = align_page(b, next_bit(b->taken, i, b->count, 0), align);
        if (i >= b->count || n > b->count - i)
            return b->count;
        end = next_bit(b->taken, i, b->count, 1);
        if (end - i >= n)
            return i;
        i = end;
    }
}

/* Clears pages that are not zero already: reading an untouched page does not commit it. */
static void clear(const struct block *b, char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const uint64_t *word = (const uint64_t *)(void *)(p + i * b->page);
        uint64_t any = 0;

        for (size_t w = 0; w < b->page / sizeof *word; w++)
            any |= word[w];
        if (any)
            memset(p + i * b->page, 0, b->page);
    }
}

static void *block_map(void *self, size_t bytes, size_t align)
{
    struct block *b = self;
    const size_t n = pages_of(b, bytes);
    size_t at;

    if (n == 0 || (align & (align - 1)) != 0)
        return NULL;
    weft__spin_lock(&b->lock);
    at = find(b, n, align > b->page ? align : b->page);
    if (at < b->count)
        set_bits(b->taken, at, n, 1);
    weft__spin_unlock(&b->lock);
    if (at >= b->count)
        return NULL;
    clear(b, b->pages + at * b->page, n);
    return b->pages + at * b->page;
}

/* The pages from p to p + bytes, which must lie in the block. */
static size_t page_of(const struct block *b, const void *p, size_t bytes)
{
    const uintptr_t offset = (uintptr_t)p - (uintptr_t)b->pages;

    WEFT_ASSERT((uintptr_t)p >= (uintptr_t)b->pages && offset % b->page == 0);
    WEFT_ASSERT(offset / b->page + pages_of(b, bytes) <= b->count);
    return offset / b->page;
}

/* Marks pages as guarded or not; returns how many were guarded before. */
static size_t note_guard(struct block *b, void *p, size_t bytes, int on)
{
    const size_t at = page_of(b, p, bytes), n = pages_of(b, bytes);
    size_t before = 0;

    weft__spin_lock(&b->lock);
    for (size_t i = at; i < at + n; i++)
        before += (size_t)bit(b->guarded, i);
    set_bits(b->guarded, at, n, on);
    weft__spin_unlock(&b->lock);
    return before;
}

static int block_guard(void *self, void *p, size_t bytes)
{
    struct block *b = self;
    const int r = b->base->guard(b->base->self, p, bytes);

    if (r == 0)
        note_guard(b, p, bytes, 1);
    return r;
}

static int block_unguard(void *self, void *p, size_t bytes)
{
    struct block *b = self;
    const int r = b->base->unguard(b->base->self, p, bytes);

    if (r == 0)
        note_guard(b, p, bytes, 0);
    return r;
}

static void block_discard(void *self, void *p, size_t bytes)
{
    struct block *b = self;

    page_of(b, p, bytes);
    if (b->discards)
        b->base->discard(b->base->self, p, bytes);
    else
        memset(p, 0, bytes);
}

/* A mapping's guards end with it, as they do in an environment that unmaps.
 * What it held is given back where that is possible; it is not relied on, map clears. */
static void block_unmap(void *self, void *p, size_t bytes)
{
    struct block *b = self;
    const size_t at = page_of(b, p, bytes), n = pages_of(b, bytes);

    weft__spin_lock(&b->lock);
    const size_t hole = next_bit(b->taken, at, at + n, 0);
    weft__spin_unlock(&b->lock);
    WEFT_ASSERT(hole == at + n); /* else it was unmapped before, or is not the whole mapping */
    if (note_guard(b, p, bytes, 0) > 0)
        WEFT_ASSERT(b->base->unguard(b->base->self, p, n * b->page) == 0);
    if (b->discards)
        b->base->discard(b->base->self, p, n * b->page);
    weft__spin_lock(&b->lock);
    set_bits(b->taken, at, n, 0);
    weft__spin_unlock(&b->lock);
}

/* ---- everything else is the base's ---- */

static const weft_env *base(void *self) { return ((struct block *)self)->base; }

static int64_t block_now(void *self) { return base(self)->now(base(self)->self); }
static int64_t block_wall(void *self) { return base(self)->wall(base(self)->self); }
static void block_entropy(void *self, void *buf, size_t n) { base(self)->entropy(base(self)->self, buf, n); }
static int block_populate(void *self, void *p, size_t bytes) { return base(self)->populate(base(self)->self, p, bytes); }
static size_t block_resident(void *self, void *p, size_t bytes) { return base(self)->resident(base(self)->self, p, bytes); }

static int block_thread_start(void *self, weft_thread **out, const weft_thread_options *opt, void (*fn)(void *), void *arg)
{
    return base(self)->thread_start(base(self)->self, out, opt, fn, arg);
}

static void block_thread_join(void *self, weft_thread *thread) { base(self)->thread_join(base(self)->self, thread); }
static int block_park(void *self, weft_parker *p, int64_t deadline_ns) { return base(self)->park(base(self)->self, p, deadline_ns); }
static void block_unpark(void *self, weft_parker *p) { base(self)->unpark(base(self)->self, p); }
static void block_relax(void *self) { base(self)->relax(base(self)->self); }
static void block_give_way(void *self) { base(self)->give_way(base(self)->self); }

/* hwloc allocates; the plain description does not. */
static int block_topology(void *self, weft_topology *out)
{
    const weft_env *e = base(self);

    return e->topology == weft__posix_topology ? weft__posix_topology_plain(NULL, out) : e->topology(e->self, out);
}

static int block_bind(void *self, const uint16_t *cpu, unsigned count) { return base(self)->bind(base(self)->self, cpu, count); }

static void block_log(void *self, enum weft_log_level level, const char *text, size_t n)
{
    base(self)->log(base(self)->self, level, text, n);
}

/* The alternate signal stack comes from the block, too. */
static int block_worker_enter(void *self)
{
    const weft_env *e = base(self);

    return e->worker_enter == weft__posix_worker_enter ? weft__posix_worker_enter_on(self, block_map, block_unmap)
                                                       : e->worker_enter(e->self);
}

static void block_worker_leave(void *self)
{
    const weft_env *e = base(self);

    if (e->worker_leave == weft__posix_worker_leave)
        weft__posix_worker_leave_on(self, block_unmap);
    else
        e->worker_leave(e->self);
}

static int block_fault_watch(void *self, weft_fault_fn *describe, void *ctx)
{
    return base(self)->fault_watch(base(self)->self, describe, ctx);
}

static void block_fault_unwatch(void *self, void *ctx) { base(self)->fault_unwatch(base(self)->self, ctx); }
static uintptr_t block_worker_tag(void *self) { return base(self)->worker_tag(base(self)->self); }

static int block_interrupt(void *self, uintptr_t worker_tag, void (*fn)(void *ctx, const void *machine), void *ctx)
{
    return base(self)->interrupt(base(self)->self, worker_tag, fn, ctx);
}

static int block_disturb(void *self, uintptr_t worker_tag) { return base(self)->disturb(base(self)->self, worker_tag); }

static int block_ran(void *self, uintptr_t worker_tag, int64_t *ran_ns)
{
    return base(self)->ran(base(self)->self, worker_tag, ran_ns);
}

static size_t block_symbol(void *self, uintptr_t pc, char *buf, size_t size)
{
    return base(self)->symbol(base(self)->self, pc, buf, size);
}

static const char *block_setting(void *self, const char *name) { return base(self)->setting(base(self)->self, name); }

static int block_signals(void *self, const int *signals, void (*fn)(void *ctx, int signal), void *ctx)
{
    return base(self)->signals(base(self)->self, signals, fn, ctx);
}

/* A slot that the base leaves empty stays empty. */
#define SLOT(name) .name = e->name ? block_##name : NULL

static weft_env table(struct block *b, const weft_env *e)
{
    return (weft_env){
        .name = "block",
        .self = b,
        .page_size = e->page_size,
        .guard_size = e->guard_size,
        .linger = e->linger,
        .map = block_map,
        .unmap = block_unmap,
        .discard = block_discard,
        .guard = e->guard && e->unguard ? block_guard : NULL,
        .unguard = e->guard && e->unguard ? block_unguard : NULL,
        SLOT(now), SLOT(wall), SLOT(entropy), SLOT(populate), SLOT(resident), SLOT(thread_start), SLOT(thread_join), SLOT(park),
        SLOT(unpark), SLOT(relax), SLOT(give_way), SLOT(topology), SLOT(bind), SLOT(log), SLOT(worker_enter), SLOT(worker_leave), SLOT(fault_watch),
        SLOT(fault_unwatch), SLOT(worker_tag), SLOT(interrupt), SLOT(disturb), SLOT(ran), SLOT(symbol),
        SLOT(setting), SLOT(signals),
    };
}

/* Discarding memory that is not private and anonymous leaves or restores what was in it:
 * tried on a page of the block's own. */
static int discard_clears(const weft_env *e, char *page)
{
    if (!e->discard)
        return 0;
    *(volatile char *)page = 1;
    e->discard(e->self, page, e->page_size);
    return *(volatile char *)page == 0;
}

WEFT_API int weft_env_block(weft_env *out, const weft_env *e, void *memory, size_t size)
{
    uintptr_t start, end;
    size_t books, words;
    struct block *b;

    if (!out || !e || !memory || e->page_size == 0)
        return -EINVAL;
    start = ((uintptr_t)memory + e->page_size - 1) & ~(uintptr_t)(e->page_size - 1);
    end = ((uintptr_t)memory + size) & ~(uintptr_t)(e->page_size - 1);
    if (end < start || end - start < 2 * e->page_size)
        return -ENOMEM;
    words = (end - start) / e->page_size / 64 + 1;
    books = (sizeof *b + 2 * words * sizeof(uint64_t) + e->page_size - 1) & ~(size_t)(e->page_size - 1);
    if (books + e->page_size > end - start)
        return -ENOMEM;

    b = (struct block *)start;
    memset(b, 0, books);
    b->magic = MAGIC;
    b->base = e;
    b->page = e->page_size;
    b->pages = (char *)start + books;
    b->count = (end - start - books) / e->page_size;
    b->taken = (uint64_t *)(void *)(b + 1);
    b->guarded = b->taken + words;
    b->discards = discard_clears(e, b->pages);
    *out = table(b, e);
    return 0;
}

WEFT_API int weft_env_block_free(const weft_env *env, size_t *free_bytes, size_t *longest)
{
    struct block *b;
    size_t total = 0, most = 0;

    if (!env || env->map != block_map)
        return -EINVAL;
    b = env->self;
    WEFT_ASSERT(b->magic == MAGIC);
    weft__spin_lock(&b->lock);
    for (size_t i = next_bit(b->taken, 0, b->count, 0); i < b->count;) {
        const size_t end = next_bit(b->taken, i, b->count, 1);

        total += end - i;
        most = end - i > most ? end - i : most;
        i = next_bit(b->taken, end, b->count, 0);
    }
    weft__spin_unlock(&b->lock);
    *free_bytes = total * b->page;
    *longest = most * b->page;
    return 0;
}
