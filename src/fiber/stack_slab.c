/*
 * Slabs of stacks: see stack_slab.h. Nothing here takes a lock or knows of any other slab. The bits of guards alone are
 * atomic: neighbours share a guard, and may be made by several workers at once.
 */
#include "fiber/stack_slab.h"

#include "arch/switch.h"
#include "base/check.h"

#define SLAB_MAGIC 0x51abu
#define COLOURS 16 /* starts of stacks differ by so many cache lines */

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

static int is_raw(const weft__stack_slab *slab, uint32_t slot)
{
    return (int)(slab->raw[slot / 64] >> slot % 64 & 1);
}

/* --- the mapping --- */

static size_t header_of(size_t page) { return weft__stack_round_up(sizeof(weft__stack_slab), page); }

size_t weft__stack_slab_bytes(size_t slots, size_t stride, size_t guard, size_t page)
{
    return header_of(page) + slots * stride + guard;
}

/* The header takes whole pages; what follows is as many slots as fit, and a guard above the last. */
static weft__stack_slab *lay_out(void *map, size_t bytes, size_t page, size_t stride, size_t guard)
{
    weft__stack_slab *slab = map;
    size_t header = header_of(page);
    size_t slots = (bytes - header - guard) / stride;

    *slab = (weft__stack_slab){.magic = SLAB_MAGIC, .map = map, .bytes = bytes, .stride = stride, .guard = guard};
    slab->first = (char *)map + header;
    slab->slots = (uint32_t)(slots < WEFT__STACK_SLOTS ? slots : WEFT__STACK_SLOTS);
    slab->raw_count = slab->slots;
    for (uint32_t i = 0; i < slab->slots; i++)
        slab->raw[i / 64] |= (uint64_t)1 << i % 64;
    return slab;
}

/* An odd number of pages from stack to stack: with a power of two all of their tops would share a few sets of the
 * TLB. */
size_t weft__stack_stride(size_t size, size_t guard, size_t page)
{
    size_t pages = weft__stack_round_up(size + guard, page) / page;
    return (pages | 1) * page;
}

size_t weft__stack_guard_size(const weft_env *env)
{
    if (env->guard == NULL)
        return 0;
    return weft__stack_round_up(env->guard_size != 0 ? env->guard_size : env->page_size, env->page_size);
}

/* As much as asked for, or, where the environment has little memory, the most that half and half again gets. */
static void *map_some(const weft_env *env, size_t *bytes, size_t least)
{
    for (;;) {
        void *map = env->map(env->self, *bytes, 0);
        if (map != NULL || *bytes == least)
            return map;
        *bytes = *bytes / 2 > least ? weft__stack_round_up(*bytes / 2, env->page_size) : least;
    }
}

weft__stack_slab *weft__stack_slab_map(const weft_env *env, size_t bytes, size_t least, size_t stride, size_t guard)
{
    void *map = map_some(env, &bytes, least);
    return map != NULL ? lay_out(map, bytes, env->page_size, stride, guard) : NULL;
}

/* Touching is nearly free after populate, which emulators answer without doing it. */
int weft__stack_slab_commit(const weft_env *env, weft__stack_slab *slab)
{
    size_t bytes = slab->slots * slab->stride;

    if (env->populate != NULL) {
        int r = env->populate(env->self, slab->first, bytes);
        if (r < 0)
            return r;
    }
    for (size_t i = 0; i < bytes; i += env->page_size)
        *(volatile char *)(slab->first + i) = 0;
    return 0;
}

void weft__stack_slab_unmap(const weft_env *env, weft__stack_slab *slab)
{
    WEFT_ASSERT(slab->magic == SLAB_MAGIC);
    slab->magic = 0;
    env->unmap(env->self, slab->map, slab->bytes);
}

/* --- slots --- */

uint32_t weft__stack_slab_take(weft__stack_slab *slab, uint32_t n, uint32_t slots[])
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

void weft__stack_slab_return(weft__stack_slab *slab, uint32_t slot)
{
    slab->raw[slot / 64] |= (uint64_t)1 << slot % 64;
    slab->raw_count++;
    slab->from = slot < slab->from ? slot : slab->from;
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

void weft__stack_slab_guard_row(const weft_env *env, weft__stack_slab *slab, const uint32_t slots[], uint32_t n)
{
    if (!env->guard_row || slab->guard == 0 || n < 2 || slots[n - 1] - slots[0] != n - 1)
        return;
    if (env->guard_row(env->self, slab->first + slots[0] * slab->stride, slab->guard, slab->stride, n + 1) == 0)
        for (uint32_t slot = slots[0]; slot <= slots[n - 1] + 1; slot++)
            __atomic_fetch_or(&slab->guarded[slot / 64], (uint64_t)1 << slot % 64, __ATOMIC_RELAXED);
}

/* The guard above is set along with the one below: a page table that has any guard in it cannot become a huge page. */
int weft__stack_slab_make(const weft_env *env, weft__stack_slab *slab, uint32_t slot, weft__stack **out)
{
    int r = guard_slot(env, slab, slot);

    if (r == 0)
        (void)guard_slot(env, slab, slot + 1); /* at worst a huge page, or its own maker's error */
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

void weft__stack_slab_retract(weft__stack_slab *slab)
{
    for (uint32_t slot = 0; slot < slab->slots; slot++) {
        if (is_raw(slab, slot))
            continue;
        weft__stack *s = record_of(slab, slot);
        weft__stack_retract(s->announced, s->lo, s->size);
    }
}

weft__stack_range weft__stack_slab_made(const weft__stack_slab *slab)
{
    uint32_t end = slab->slots;

    while (end > 0 && is_raw(slab, end - 1))
        end--;
    return (weft__stack_range){slab->first, end * slab->stride};
}

enum weft__stack_part weft__stack_slab_find(const weft__stack_slab *slab, uintptr_t address, const weft__stack **out)
{
    size_t offset = address - (uintptr_t)slab->first;
    uint32_t slot = (uint32_t)(offset / slab->stride);

    if (address < (uintptr_t)slab->first || slot >= slab->slots)
        return WEFT__STACK_NOWHERE;
    *out = is_raw(slab, slot) ? NULL : record_of(slab, slot);
    return offset % slab->stride < slab->guard ? WEFT__STACK_GUARD : WEFT__STACK_INSIDE;
}
