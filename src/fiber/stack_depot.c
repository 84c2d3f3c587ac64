/*
 * The depot: slabs of stacks, chains of stacks between pools, and whose stack an address lies in. Any worker calls it; its lock
 * guards the lists and the bitmaps and is never held across a call of env. Slots are either raw (their bit says so; no record,
 * maybe no page) or made (a record at the top, and the stack is in use, in a pool or in a chain).
 *
 * Invariant: a slab stays mapped while any of its slots is made, and a slot is raw before anybody may make it.
 */
#include "fiber/stack.h"

#include "arch/switch.h"
#include "base/check.h"

#include <errno.h>

#define SLAB_MAGIC 0x51abu
#define SLOTS_MAX 4096
#define SLAB_BYTES_FIRST ((size_t)64 * 1024 * 1024) /* the next slab of a class is twice as large, */
#define SLAB_BYTES_MAX ((size_t)1024 * 1024 * 1024) /* up to this */
#define COLOURS 16                                  /* starts of stacks differ by so many cache lines */
#define MAKE_AT_ONCE 8

struct weft__stack_slab {
    uint32_t magic;
    uint32_t slots;
    uint32_t raw_count;
    uint32_t from; /* no slot below this one is raw */
    weft__stack_slab *next;
    void *map;
    size_t bytes;
    char *first;   /* the guard of slot 0 */
    size_t stride; /* from guard to guard */
    size_t guard;
    uint8_t class;
    uint8_t fixed; /* pre-committed: no guards, nothing is ever given back */
    uint64_t raw[SLOTS_MAX / 64];
    uint64_t guarded[SLOTS_MAX / 64 + 1]; /* one more: above the last slot there is a guard, too */
};

/* One end of a slot, where the record goes: its cache line differs from slot to slot, its page does not. */
static weft__stack *record_of(const weft__stack_slab *slab, uint32_t slot)
{
    size_t colour = slot % COLOURS * WEFT_CACHE_LINE;
    return (weft__stack *)(void *)(slab->first + (slot + 1) * slab->stride - colour - sizeof(weft__stack));
}

uintptr_t weft__stack_end(const weft__stack *s)
{
    if (s->slab == NULL)
        return (uintptr_t)s;
    return (uintptr_t)s->slab->first + (s->slot + 1) * s->slab->stride;
}

static size_t round_up(size_t n, size_t unit)
{
    return (n + unit - 1) / unit * unit;
}

static int is_raw(const weft__stack_slab *slab, uint32_t slot)
{
    return (int)(slab->raw[slot / 64] >> slot % 64 & 1);
}

/* --- slabs --- */

/* The header takes whole pages; what follows is as many slots as fit, and a guard above the last. */
static weft__stack_slab *lay_out(void *map, size_t bytes, size_t page, size_t stride, size_t guard)
{
    weft__stack_slab *slab = map;
    size_t header = round_up(sizeof *slab, page);
    size_t slots = (bytes - header - guard) / stride;

    *slab = (weft__stack_slab){.magic = SLAB_MAGIC, .map = map, .bytes = bytes, .stride = stride, .guard = guard};
    slab->first = (char *)map + header;
    slab->slots = (uint32_t)(slots < SLOTS_MAX ? slots : SLOTS_MAX);
    slab->raw_count = slab->slots;
    for (uint32_t i = 0; i < slab->slots; i++)
        slab->raw[i / 64] |= (uint64_t)1 << i % 64;
    return slab;
}

/* An odd number of pages from stack to stack: with a power of two all of their tops would share a few sets of the
 * TLB. */
static size_t stride_of(size_t size, size_t guard, size_t page)
{
    size_t pages = round_up(size + guard, page) / page;
    return (pages | 1) * page;
}

static size_t guard_of(const weft_env *env)
{
    if (env->guard == NULL)
        return 0;
    return round_up(env->guard_size != 0 ? env->guard_size : env->page_size, env->page_size);
}

/* As much as asked for, or, where the environment has little memory, the most that half and half again gets. */
static void *map_some(const weft_env *env, size_t *bytes, size_t least)
{
    for (;;) {
        void *map = env->map(env->self, *bytes, 0);
        if (map != NULL || *bytes == least)
            return map;
        *bytes = *bytes / 2 > least ? round_up(*bytes / 2, env->page_size) : least;
    }
}

/* Under the lock. */
static void insert_slab(weft__stack_depot *depot, weft__stack_slab *slab, unsigned class)
{
    slab->class = (uint8_t)class;
    slab->next = depot->slabs[class];
    depot->slabs[class] = slab;
    depot->slab_count++;
    depot->reserved += slab->bytes;
}

/* Under the lock. */
static void remove_slab(weft__stack_depot *depot, weft__stack_slab *slab)
{
    weft__stack_slab **at = &depot->slabs[slab->class];

    while (*at != slab)
        at = &(*at)->next;
    *at = slab->next;
    depot->slab_count--;
    depot->reserved -= slab->bytes;
}

static int add_slab(weft__stack_depot *depot, unsigned class)
{
    const weft_env *env = depot->env;
    size_t page = env->page_size;
    size_t guard = guard_of(env);
    size_t stride = stride_of(WEFT__STACK_SIZE_MIN << class, guard, page);
    size_t header = round_up(sizeof(weft__stack_slab), page);
    size_t least = header + stride + guard;
    size_t most = stride < SLAB_BYTES_MAX / SLOTS_MAX ? header + SLOTS_MAX * stride + guard : SLAB_BYTES_MAX;
    size_t bytes;

    weft__spin_lock(&depot->lock);
    bytes = depot->slabs[class] != NULL ? depot->slabs[class]->bytes * 2 : SLAB_BYTES_FIRST;
    weft__spin_unlock(&depot->lock);
    bytes = bytes < SLAB_BYTES_MAX ? bytes : SLAB_BYTES_MAX;
    bytes = bytes < most ? bytes : most;
    bytes = bytes < least ? least : round_up(bytes, page);

    void *map = map_some(env, &bytes, least);
    if (map == NULL)
        return -ENOMEM;
    weft__stack_slab *slab = lay_out(map, bytes, page, stride, guard);
    weft__spin_lock(&depot->lock);
    insert_slab(depot, slab, class);
    weft__spin_unlock(&depot->lock);
    return 0;
}

static void unmap_slab(const weft_env *env, weft__stack_slab *slab)
{
    slab->magic = 0;
    env->unmap(env->self, slab->map, slab->bytes);
}

/* --- slots --- */

/* Takes up to n raw slots of one slab, neighbours where possible; under the lock. */
static uint32_t take_raw(weft__stack_slab *slab, uint32_t n, uint32_t slots[])
{
    uint32_t taken = 0;
    uint32_t slot = slab->from;

    for (; slot < slab->slots && taken < n; slot++) {
        if (!is_raw(slab, slot))
            continue;
        slab->raw[slot / 64] &= ~((uint64_t)1 << slot % 64);
        slots[taken++] = slot;
    }
    slab->from = slot;
    slab->raw_count -= taken;
    return taken;
}

/* Under the lock. */
static void return_raw(weft__stack_depot *depot, weft__stack_slab *slab, uint32_t slot)
{
    slab->raw[slot / 64] |= (uint64_t)1 << slot % 64;
    slab->raw_count++;
    slab->from = slot < slab->from ? slot : slab->from;
    depot->made--;
}

static int guard_slot(const weft_env *env, weft__stack_slab *slab, uint32_t slot)
{
    uint64_t bit = (uint64_t)1 << slot % 64;

    if (slab->guard == 0 || __atomic_load_n(&slab->guarded[slot / 64], __ATOMIC_RELAXED) & bit)
        return 0;
    int r = env->guard(env->self, slab->first + slot * slab->stride, slab->guard);
    if (r == 0) /* neighbours may be guarded by several workers at once, each of whom does the same */
        __atomic_fetch_or(&slab->guarded[slot / 64], bit, __ATOMIC_RELAXED);
    return r;
}

/* The guards of n neighbours, and the one above them, at once where the environment can; else each is set as its
 * stack is made. */
static void guard_row(const weft_env *env, weft__stack_slab *slab, const uint32_t slots[], uint32_t n)
{
    if (!env->guard_row || slab->guard == 0 || n < 2 || slots[n - 1] - slots[0] != n - 1)
        return;
    if (env->guard_row(env->self, slab->first + slots[0] * slab->stride, slab->guard, slab->stride, n + 1) == 0)
        for (uint32_t slot = slots[0]; slot <= slots[n - 1] + 1; slot++)
            __atomic_fetch_or(&slab->guarded[slot / 64], (uint64_t)1 << slot % 64, __ATOMIC_RELAXED);
}

/* The guard above is set along with the one below: a page table that has any guard in it cannot become a huge page. */
static int make_stack(weft__stack_depot *depot, weft__stack_slab *slab, uint32_t slot, weft__stack **out)
{
    int r = guard_slot(depot->env, slab, slot);

    if (r == 0)
        (void)guard_slot(depot->env, slab, slot + 1); /* at worst a huge page, or its own maker's error */
    if (r < 0)
        return r;

    weft__stack *s = record_of(slab, slot);
    char *lo = slab->first + slot * slab->stride + slab->guard;
    *s = (weft__stack){.magic = WEFT__STACK_MAGIC, .slot = slot, .lo = lo, .slab = slab, .class = slab->class};
    s->size = (size_t)((char *)s - lo);
    s->announced = weft__stack_announce(s->lo, s->size);
    *out = s;
    return 0;
}

/* Reserves raw slots within the limit; *slab is the one they are of, NULL if there is none with any. */
static int reserve(weft__stack_depot *depot, unsigned class, uint32_t slots[], weft__stack_slab **out)
{
    size_t limit = depot->options.limit;
    size_t n = depot->options.fixed_size != 0 ? 1 : MAKE_AT_ONCE;
    int r = 0;

    weft__spin_lock(&depot->lock);
    if (limit != 0 && depot->made + n > limit)
        n = limit > depot->made ? limit - depot->made : 0;
    if (n == 0)
        r = -EAGAIN;
    *out = NULL;
    for (weft__stack_slab *slab = depot->slabs[class]; slab != NULL && r == 0; slab = slab->next) {
        if (slab->raw_count == 0)
            continue;
        r = (int)take_raw(slab, (uint32_t)n, slots);
        depot->made += (size_t)r;
        *out = slab;
    }
    weft__spin_unlock(&depot->lock);
    return r;
}

/* Every slot that could be made goes into the chain; the others are raw again. An error only if none could. */
static int make_reserved(weft__stack_depot *depot, weft__stack_slab *slab, const uint32_t slots[], uint32_t n,
                         weft__stack **chain, uint32_t *count)
{
    weft__stack *list = NULL;
    uint32_t made = 0;
    int error = 0;

    guard_row(depot->env, slab, slots, n);
    for (uint32_t i = n; i-- > 0;) { /* the lowest comes first in the list */
        weft__stack *s;
        int r = make_stack(depot, slab, slots[i], &s);
        if (r < 0) {
            error = r;
            weft__spin_lock(&depot->lock);
            return_raw(depot, slab, slots[i]);
            weft__spin_unlock(&depot->lock);
            continue;
        }
        s->next = list;
        list = s;
        made++;
    }
    if (made == 0)
        return error;
    *chain = list;
    *count = made;
    return 0;
}

static int take_chain(weft__stack_depot *depot, unsigned class, weft__stack **chain, uint32_t *count)
{
    weft__stack *s;

    weft__spin_lock(&depot->lock);
    s = depot->chains[class];
    if (s != NULL) {
        depot->chains[class] = s->next_chain;
        depot->chained[class] -= s->chained;
        s->next_chain = NULL;
        *chain = s;
        *count = s->chained;
    }
    weft__spin_unlock(&depot->lock);
    return s != NULL;
}

/* A stack above the classes has a slab to itself, which goes when it is given back. */
static int make_large(weft__stack_depot *depot, size_t size, weft__stack **out)
{
    const weft_env *env = depot->env;
    size_t page = env->page_size;
    size_t guard = guard_of(env);
    size_t limit = depot->options.limit;
    weft__stack *s;
    int r = 0;

    if (size > SIZE_MAX / 4)
        return -ENOMEM;
    size_t stride = round_up(size + guard, page);
    size_t bytes = round_up(sizeof(weft__stack_slab), page) + stride + guard;

    void *map = env->map(env->self, bytes, 0);
    if (map == NULL)
        return -ENOMEM;
    weft__stack_slab *slab = lay_out(map, bytes, page, stride, guard);
    slab->class = WEFT__STACK_LARGE;
    r = make_stack(depot, slab, 0, &s);
    if (r < 0)
        goto unmap;
    slab->raw[0] = 0;
    slab->raw_count = 0;

    weft__spin_lock(&depot->lock);
    if (limit != 0 && depot->made >= limit)
        r = -EAGAIN;
    else {
        insert_slab(depot, slab, WEFT__STACK_LARGE);
        depot->made++;
    }
    weft__spin_unlock(&depot->lock);
    if (r == 0) {
        *out = s;
        return 0;
    }
    weft__stack_retract(s->announced, s->lo, s->size);
unmap:
    unmap_slab(env, slab);
    return r;
}

void weft__stack_release(weft__stack_depot *depot, weft__stack *s)
{
    weft__stack_slab *slab = s->slab;

    weft__stack_retract(s->announced, s->lo, s->size);
    weft__spin_lock(&depot->lock);
    remove_slab(depot, slab);
    depot->made--;
    weft__spin_unlock(&depot->lock);
    unmap_slab(depot->env, slab);
}

int weft__stack_refill(weft__stack_depot *depot, unsigned class, size_t size, weft__stack **chain, uint32_t *count)
{
    uint32_t slots[MAKE_AT_ONCE];
    weft__stack_slab *slab = NULL;
    int r;

    if (class == WEFT__STACK_LARGE) {
        r = make_large(depot, size, chain);
        *count = r == 0;
        return r;
    }
    if (take_chain(depot, class, chain, count))
        return 0;
    for (;;) {
        r = reserve(depot, class, slots, &slab);
        if (r < 0)
            return r;
        if (r > 0)
            return make_reserved(depot, slab, slots, (uint32_t)r, chain, count);
        if (depot->options.fixed_size != 0)
            return -ENOMEM;
        r = add_slab(depot, class);
        if (r < 0)
            return r;
    }
}

void weft__stack_surrender(weft__stack_depot *depot, weft__stack *chain, uint32_t count)
{
    unsigned class = chain->class;

    chain->chained = (uint16_t)count;
    weft__spin_lock(&depot->lock);
    chain->next_chain = depot->chains[class];
    depot->chains[class] = chain;
    depot->chained[class] += count;
    weft__spin_unlock(&depot->lock);
}

/* --- pre-committed stacks --- */

static void touch(char *p, size_t bytes, size_t page)
{
    for (size_t i = 0; i < bytes; i += page)
        *(volatile char *)(p + i) = 0;
}

static int add_fixed_slab(weft__stack_depot *depot, size_t count)
{
    const weft_env *env = depot->env;
    size_t page = env->page_size;
    size_t stride = stride_of(depot->options.fixed_size, 0, page);
    size_t bytes = round_up(sizeof(weft__stack_slab), page) + count * stride;
    void *map = env->map(env->self, bytes, 0);

    if (map == NULL)
        return -ENOMEM;
    weft__stack_slab *slab = lay_out(map, bytes, page, stride, 0);
    slab->fixed = 1;
    if (env->populate != NULL) {
        int r = env->populate(env->self, slab->first, slab->slots * stride);
        if (r < 0) {
            unmap_slab(env, slab);
            return r;
        }
    }
    touch(slab->first, slab->slots * stride, page); /* nearly free after populate, which emulators answer without doing it */
    insert_slab(depot, slab, 0);
    return 0;
}

static int add_fixed(weft__stack_depot *depot)
{
    size_t left = depot->options.fixed_count;

    if (depot->options.fixed_size < WEFT__STACK_SUPPLIED_MIN || depot->options.fixed_size > SIZE_MAX / 4 / SLOTS_MAX)
        return -EINVAL;
    while (left > 0) {
        size_t n = left < SLOTS_MAX ? left : SLOTS_MAX;
        int r = add_fixed_slab(depot, n);
        if (r < 0)
            return r;
        left -= n;
    }
    return 0;
}

/* --- the depot as a whole --- */

int weft__stack_depot_init(weft__stack_depot *depot, const weft_env *env, const weft__stack_options *opt)
{
    *depot = (weft__stack_depot){.env = env};
    if (opt != NULL)
        depot->options = *opt;
    if (depot->options.keep == 0)
        depot->options.keep = WEFT__STACK_KEEP_DEFAULT;
    if (env->map == NULL || env->unmap == NULL || env->page_size == 0)
        return -EINVAL;
    depot->options.keep = round_up(depot->options.keep, env->page_size);
    if (depot->options.fixed_size == 0)
        return 0;

    int r = add_fixed(depot);
    if (r < 0)
        weft__stack_depot_fini(depot);
    return r;
}

static void retract_all(weft__stack_slab *slab)
{
    for (uint32_t slot = 0; slot < slab->slots; slot++) {
        if (is_raw(slab, slot))
            continue;
        weft__stack *s = record_of(slab, slot);
        weft__stack_retract(s->announced, s->lo, s->size);
    }
}

void weft__stack_depot_fini(weft__stack_depot *depot)
{
    for (unsigned class = 0; class < WEFT__STACK_CLASSES; class++) {
        weft__stack_slab *slab = depot->slabs[class];
        while (slab != NULL) {
            weft__stack_slab *next = slab->next;
            WEFT_ASSERT(slab->magic == SLAB_MAGIC);
            retract_all(slab);
            unmap_slab(depot->env, slab);
            slab = next;
        }
        depot->slabs[class] = NULL;
        depot->chains[class] = NULL;
        depot->chained[class] = 0;
    }
    depot->made = 0;
    depot->slab_count = 0;
    depot->reserved = 0;
}

void weft__stack_depot_count(weft__stack_depot *depot, size_t *made, size_t *idle, size_t *reserved)
{
    weft__spin_lock(&depot->lock);
    *made = depot->made;
    *idle = 0;
    for (unsigned class = 0; class < WEFT__STACK_CLASSES; class++)
        *idle += depot->chained[class];
    *reserved = depot->reserved;
    weft__spin_unlock(&depot->lock);
}

/* Slots are made from below: what lies above the last one that was made is untouched. */
static weft__stack_range made_part(const weft__stack_slab *slab)
{
    uint32_t end = slab->slots;

    while (end > 0 && is_raw(slab, end - 1))
        end--;
    return (weft__stack_range){slab->first, end * slab->stride};
}

size_t weft__stack_depot_ranges(weft__stack_depot *depot, size_t from, weft__stack_range *out, size_t max)
{
    size_t n = 0;

    weft__spin_lock(&depot->lock);
    for (unsigned class = 0; class < WEFT__STACK_CLASSES; class++)
        for (const weft__stack_slab *slab = depot->slabs[class]; slab != NULL && n < max; slab = slab->next)
            if (from > 0)
                from--;
            else
                out[n++] = made_part(slab);
    weft__spin_unlock(&depot->lock);
    return n;
}

/* Its record lies in one of the pages that go. Returns the slab if this was its last stack and it is not its class's
 * only one. */
static weft__stack_slab *unmake(weft__stack_depot *depot, weft__stack *s)
{
    const weft_env *env = depot->env;
    weft__stack_slab *slab = s->slab;
    weft__stack_slab *empty = NULL;
    uint32_t slot = s->slot;
    char *lo = s->lo;

    weft__stack_retract(s->announced, s->lo, s->size);
    env->discard(env->self, lo, weft__stack_end(s) - (uintptr_t)lo);
    weft__spin_lock(&depot->lock);
    return_raw(depot, slab, slot);
    if (slab->raw_count == slab->slots && (depot->slabs[slab->class] != slab || slab->next != NULL)) {
        remove_slab(depot, slab);
        empty = slab;
    }
    weft__spin_unlock(&depot->lock);
    return empty;
}

size_t weft__stack_depot_trim(weft__stack_depot *depot, size_t keep)
{
    const weft_env *env = depot->env;
    size_t gone = 0;

    if (env->discard == NULL || depot->options.fixed_size != 0)
        return 0;
    for (unsigned class = 0; class < WEFT__STACK_LARGE; class++) {
        for (;;) {
            weft__stack *s = NULL;
            uint32_t count = 0;
            size_t idle;
            weft__spin_lock(&depot->lock);
            idle = depot->chained[class];
            weft__spin_unlock(&depot->lock);
            if (idle <= keep || !take_chain(depot, class, &s, &count))
                break;
            while (s != NULL) {
                weft__stack *next = s->next;
                weft__stack_slab *empty = unmake(depot, s);
                if (empty != NULL)
                    unmap_slab(env, empty);
                s = next;
                gone++;
            }
        }
    }
    return gone;
}

/* --- whose stack an address lies in --- */

static enum weft__stack_part place_in(const weft__stack_slab *slab, uintptr_t address, const weft__stack **out)
{
    size_t offset = address - (uintptr_t)slab->first;
    uint32_t slot = (uint32_t)(offset / slab->stride);

    if (address < (uintptr_t)slab->first || slot >= slab->slots)
        return WEFT__STACK_NOWHERE;
    *out = is_raw(slab, slot) ? NULL : record_of(slab, slot);
    return offset % slab->stride < slab->guard ? WEFT__STACK_GUARD : WEFT__STACK_INSIDE;
}

enum weft__stack_part weft__stack_find(weft__stack_depot *depot, uintptr_t address, const weft__stack **out)
{
    enum weft__stack_part part = WEFT__STACK_NOWHERE;
    unsigned tries = 0;

    *out = NULL;
    /* The thread that faulted may itself hold the lock: then there is no answer, but no deadlock either. */
    while (__atomic_exchange_n(&depot->lock.word, 1, __ATOMIC_ACQUIRE)) /* pairs with weft__spin_unlock */
        if (++tries == 1000000)
            return WEFT__STACK_NOWHERE;
    for (unsigned class = 0; class < WEFT__STACK_CLASSES && part == WEFT__STACK_NOWHERE; class++)
        for (const weft__stack_slab *slab = depot->slabs[class]; slab != NULL; slab = slab->next)
            if (address - (uintptr_t)slab->map < slab->bytes) {
                part = place_in(slab, address, out);
                break;
            }
    weft__spin_unlock(&depot->lock);
    return part;
}
