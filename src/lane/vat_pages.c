/* The depot of pages, and the workers' pools. A pool belongs to its worker; the depot's lock guards regions, their
 * chunks and what is broken of them, and is never held across a call of the source.
 *
 * Invariants: a region is in exactly one list; a chunk that is free as a whole is its region's and has no header;
 * a broken chunk with free leaves is in the list of its longest row of them. */
#include "lane/vat_pages.h"

#include <errno.h>
#include <string.h>

#include "arch/poison.h"
#include "base/check.h"

enum { LEAVES_FREE = 0xfffe }; /* of a broken chunk; leaf 0 has the headers */

_Static_assert(sizeof(weft__page) <= WEFT_CACHE_LINE, "a page's header is a cache line");
_Static_assert(sizeof(weft__page_chunk) <= WEFT__LEAF, "the headers fit leaf 0");

/* How many pages change hands at a time, and how many a pool keeps: half of these. */
static const uint8_t batch[WEFT__ORDERS] = {16, 8, 4, 2, 4};

void weft__depot_init(weft__page_depot *d, const weft__page_source *source, weft__slab *regions, unsigned unit, size_t keep, int returns)
{
    memset(d, 0, sizeof *d);
    d->source = *source;
    d->regions = regions;
    d->unit = unit;
    d->keep = keep;
    d->returns = (uint8_t)returns;
    weft__link_init(&d->roomy);
    weft__link_init(&d->busy);
    weft__link_init(&d->idle);
}

/* ---- regions ---- */

static size_t region_bytes(const weft__region *r) { return r->chunks * WEFT__CHUNK; }

static uint64_t all_chunks(const weft__region *r) { return r->chunks >= 64 ? UINT64_MAX : ((uint64_t)1 << r->chunks) - 1; }

static void set_waste(weft__page_depot *d, size_t bytes) { weft__store_relaxed(&d->waste, bytes, "depot.waste"); }

/* As many chunks as asked for or, where the source has little, half of them and half again,
 * down to `least`. Without the lock. */
static weft__region *new_region(weft__page_depot *d, size_t chunks, size_t least)
{
    weft__region *r = weft__slab_get_shared(d->regions);
    if (!r)
        return NULL;
    char *p;
    for (;;) {
        p = d->source.map(d->source.self, chunks * WEFT__CHUNK, WEFT__CHUNK);
        if (p || chunks == least)
            break;
        chunks = chunks / 2 > least ? chunks / 2 : least;
    }
    if (!p) {
        weft__slab_put_shared(d->regions, r);
        return NULL;
    }
    weft__memory_announce(p, chunks * WEFT__CHUNK);
    r->depot = d;
    r->base = p;
    r->chunks = (uint32_t)chunks;
    r->free = all_chunks(r);
    r->dirty = 0;
    r->run = 0;
    weft__link_init(&r->link);
    return r;
}

/* Without the lock; the region is in no list any more. */
static void end_region(weft__page_depot *d, weft__region *r)
{
    weft__memory_retract(r->base, region_bytes(r));
    d->source.unmap(d->source.self, r->base, region_bytes(r));
    weft__slab_put_shared(d->regions, r);
}

static void move_last(weft__link *list, weft__region *r)
{
    weft__link_remove(&r->link);
    weft__link_before(list, &r->link);
}

static void move_first(weft__link *list, weft__region *r)
{
    weft__link_remove(&r->link); /* before the look at who is first: it may be this one */
    weft__link_before(list->next, &r->link);
}

/* A new region for single chunks. Takes the lock and leaves it taken; 0: no memory. */
static int grow(weft__page_depot *d)
{
    weft__spin_unlock(&d->lock);
    weft__region *r = new_region(d, d->unit, 1);
    weft__spin_lock(&d->lock);
    if (!r)
        return 0;
    move_last(&d->roomy, r);
    d->mapped += region_bytes(r);
    return 1;
}

static void end_list(weft__page_depot *d, weft__link *list)
{
    while (!weft__link_alone(list)) {
        weft__region *r = weft__container(list->next, weft__region, link);
        weft__link_remove(&r->link);
        end_region(d, r);
    }
}

void weft__depot_fini(weft__page_depot *d)
{
    end_list(d, &d->roomy);
    end_list(d, &d->busy);
    end_list(d, &d->idle);
}

/* The region of the list that p lies in, or NULL. */
static const weft__region *holds(const weft__link *list, const char *p)
{
    for (const weft__link *l = list->next; l != list; l = l->next) {
        const weft__region *r = weft__container(l, const weft__region, link);
        if (p >= r->base && p < r->base + region_bytes(r))
            return r;
    }
    return NULL;
}

/* What looks like a header may be a user's bytes in the middle of a run, which others write,
 * or have been one before. */
#define RAW __attribute__((no_sanitize("address", "thread")))

/* The page of a vat that p in chunk `at` lies in, if the header is chunk `from`'s. */
RAW static weft__page *page_in(const weft__region *r, size_t from, size_t at, const void *p)
{
    weft__page_chunk *c = (weft__page_chunk *)(void *)(r->base + from * WEFT__CHUNK);
    if (c->magic != WEFT__CHUNK_MAGIC || c->region != r)
        return NULL;
    weft__page *g = from == at ? &c->at[c->first[((uintptr_t)p & (WEFT__CHUNK - 1)) / WEFT__LEAF] % WEFT__LEAVES].page : &c->at[0].page;
    return g->vat && (from == at || g->count > at - from) ? g : NULL;
}

weft__page *weft__depot_find(weft__page_depot *d, const void *p)
{
    weft__page *g = NULL;
    weft__spin_lock(&d->lock);
    const weft__region *r = holds(&d->roomy, p);
    if (!r)
        r = holds(&d->busy, p);
    if (r) {
        size_t at = (size_t)((const char *)p - r->base) / WEFT__CHUNK;
        for (size_t from = at + 1; from-- > 0 && !g && (r->run || !(r->free >> from & 1));)
            g = page_in(r, from, at, p);
    }
    weft__spin_unlock(&d->lock);
    return g;
}

/* ---- chunks ---- */

/* Takes chunks [at, at + n) of a region: 1 if they were zero. Lock held. */
static int take_chunks(weft__page_depot *d, weft__region *r, unsigned at, unsigned n)
{
    uint64_t bits = (n >= 64 ? UINT64_MAX : ((uint64_t)1 << n) - 1) << at;
    uint64_t were_dirty = r->dirty & bits;
    r->free &= ~bits;
    r->dirty |= bits;
    set_waste(d, d->waste - (size_t)__builtin_popcountll(were_dirty) * WEFT__CHUNK);
    if (!r->free)
        move_last(&d->busy, r);
    return !were_dirty;
}

/* Lock held. Regions that became dirty come first, where the next chunk is taken from and trimming looks. */
static void give_chunks(weft__page_depot *d, weft__region *r, unsigned at, unsigned n)
{
    r->free |= (n >= 64 ? UINT64_MAX : ((uint64_t)1 << n) - 1) << at;
    set_waste(d, d->waste + n * WEFT__CHUNK);
    move_first(&d->roomy, r);
}

/* The header of a chunk, or of a run of them, that changes hands. */
static weft__page *head_chunk(weft__region *r, unsigned at, uint32_t chunks)
{
    weft__page_chunk *c = (weft__page_chunk *)(void *)(r->base + at * WEFT__CHUNK);
    memset(c, 0, offsetof(weft__page_chunk, at));
    c->magic = WEFT__CHUNK_MAGIC;
    c->region = r;
    c->at[0].page = (weft__page){.order = WEFT__WHOLE, .count = chunks};
    return &c->at[0].page;
}

/* Lock held, but let go of to map more. Committed chunks first. */
static weft__page *take_chunk(weft__page_depot *d)
{
    if (weft__link_alone(&d->roomy) && !grow(d))
        return NULL;
    weft__region *r = weft__container(d->roomy.next, weft__region, link);
    uint64_t from = r->free & r->dirty ? r->free & r->dirty : r->free;
    unsigned at = (unsigned)__builtin_ctzll(from);
    take_chunks(d, r, at, 1);
    return head_chunk(r, at, 1);
}

static unsigned index_of(const weft__region *r, const weft__page_chunk *c) { return (unsigned)((size_t)((const char *)c - r->base) / WEFT__CHUNK); }

/* ---- leaves ---- */

static void unlist(weft__page_depot *d, weft__page_chunk *c)
{
    if (!c->bucket)
        return;
    if (c->prev)
        c->prev->next = c->next;
    else
        d->broken[c->bucket - 1] = c->next;
    if (c->next)
        c->next->prev = c->prev;
    c->bucket = 0;
}

/* Puts a broken chunk where its free leaves say. */
static void relist(weft__page_depot *d, weft__page_chunk *c)
{
    unsigned longest = 0;
    for (uint32_t row = c->free; row; row &= row << 1)
        longest++;
    unlist(d, c);
    if (!c->free)
        return;
    unsigned bucket = longest >= 8 ? 3 : longest >= 4 ? 2 : longest >= 2 ? 1 : 0;
    c->bucket = (uint8_t)(bucket + 1);
    c->prev = NULL;
    c->next = d->broken[bucket];
    if (c->next)
        c->next->prev = c;
    d->broken[bucket] = c;
}

/* A page of a broken chunk, or NULL where no row is long enough. Single leaves from the bottom, rows from the top. */
static weft__page *take_leaves(weft__page_chunk *c, unsigned order)
{
    unsigned n = 1u << order, at;
    uint32_t rows = c->free;
    for (unsigned i = 1; i < n; i++)
        rows &= rows >> 1;
    if (!rows)
        return NULL;
    at = order ? 31 - (unsigned)__builtin_clz(rows) : (unsigned)__builtin_ctz(rows);
    c->free &= (uint16_t) ~(((1u << n) - 1) << at);
    for (unsigned i = 0; i < n; i++)
        c->first[at + i] = (uint8_t)at;
    c->at[at].page = (weft__page){.order = (uint8_t)order, .leaf = (uint8_t)at, .count = 1};
    return &c->at[at].page;
}

/* A broken chunk with a row of at least 1 << order leaves. Lock held, but let go of to map more. */
static weft__page_chunk *roomy_chunk(weft__page_depot *d, unsigned order)
{
    for (unsigned bucket = order; bucket < WEFT__WHOLE; bucket++)
        if (d->broken[bucket])
            return d->broken[bucket];
    weft__page *g = take_chunk(d);
    if (!g)
        return NULL;
    weft__page_chunk *c = weft__page_chunk_of(g);
    c->free = LEAVES_FREE;
    relist(d, c);
    return c;
}

weft__page *weft__depot_take(weft__page_depot *d, unsigned order, unsigned want)
{
    weft__page *list = NULL;
    weft__spin_lock(&d->lock);
    while (want) {
        if (order == WEFT__WHOLE) {
            if (list && weft__link_alone(&d->roomy))
                break; /* one is enough a reason to map, more is not */
            weft__page *g = take_chunk(d);
            if (!g)
                break;
            g->next = list;
            list = g;
            want--;
            continue;
        }
        weft__page_chunk *c = roomy_chunk(d, order);
        if (!c)
            break;
        for (weft__page *g; want && (g = take_leaves(c, order)); want--) {
            g->next = list;
            list = g;
        }
        relist(d, c);
    }
    weft__spin_unlock(&d->lock);
    return list;
}

/* Lock held. */
static void give_page(weft__page_depot *d, weft__page *g)
{
    weft__page_chunk *c = weft__page_chunk_of(g);
    g->vat = NULL;
    if (g->order != WEFT__WHOLE) {
        c->free |= (uint16_t)(((1u << (1u << g->order)) - 1) << g->leaf);
        if (c->free != LEAVES_FREE) {
            relist(d, c);
            return;
        }
        unlist(d, c);
    }
    c->magic = 0;
    give_chunks(d, c->region, index_of(c->region, c), 1);
}

void weft__depot_give(weft__page_depot *d, weft__page *list)
{
    weft__spin_lock(&d->lock);
    while (list) {
        weft__page *g = list;
        list = g->next;
        give_page(d, g);
    }
    weft__spin_unlock(&d->lock);
}

/* ---- runs ---- */

/* n free chunks in a row, committed ones or not: their place, or -1. */
static int find_row(uint64_t free, unsigned n)
{
    uint64_t rows = free;
    for (unsigned i = 1; i < n && rows; i++)
        rows &= rows >> 1;
    return rows ? __builtin_ctzll(rows) : -1;
}

static weft__page *take_short_run(weft__page_depot *d, unsigned n, int *clean)
{
    enum { LOOK = 32 };
    weft__page *g = NULL;
    weft__spin_lock(&d->lock);
    for (int again = 0; !g && again < 2; again++) {
        unsigned seen = 0;
        for (weft__link *l = d->roomy.next; l != &d->roomy && seen < LOOK; l = l->next, seen++) {
            weft__region *r = weft__container(l, weft__region, link);
            int at = find_row(r->free, n);
            if (at < 0)
                continue;
            *clean = take_chunks(d, r, (unsigned)at, n);
            g = head_chunk(r, (unsigned)at, n);
            break;
        }
        if (!g && !again) {
            weft__spin_unlock(&d->lock);
            weft__region *r = new_region(d, n > d->unit ? n : d->unit, n);
            weft__spin_lock(&d->lock);
            if (!r)
                break;
            move_first(&d->roomy, r);
            d->mapped += region_bytes(r);
        }
    }
    weft__spin_unlock(&d->lock);
    return g;
}

/* A free region of about that size, so that lanes with large blocks map nothing when they come and go. */
static weft__region *take_idle(weft__page_depot *d, size_t chunks)
{
    weft__region *found = NULL;
    weft__spin_lock(&d->lock);
    for (weft__link *l = d->idle.next; l != &d->idle && !found; l = l->next) {
        weft__region *r = weft__container(l, weft__region, link);
        if (r->chunks >= chunks && r->chunks - chunks <= chunks / 4)
            found = r;
    }
    if (found) {
        set_waste(d, d->waste - region_bytes(found));
        move_last(&d->busy, found);
    }
    weft__spin_unlock(&d->lock);
    return found;
}

weft__page *weft__depot_take_run(weft__page_depot *d, size_t chunks, int *clean)
{
    *clean = 0;
    if (chunks <= WEFT__RUN_MAX)
        return take_short_run(d, (unsigned)chunks, clean);
    if (chunks > UINT32_MAX)
        return NULL;
    weft__region *r = take_idle(d, chunks);
    if (!r) {
        r = new_region(d, chunks, chunks);
        if (!r)
            return NULL;
        r->free = 0;
        r->run = 1;
        *clean = 1;
        weft__spin_lock(&d->lock);
        move_last(&d->busy, r);
        d->mapped += region_bytes(r);
        weft__spin_unlock(&d->lock);
    }
    return head_chunk(r, 0, r->chunks);
}

/* Lock held: out of all lists, to be ended without the lock. */
static void forget(weft__page_depot *d, weft__region *r)
{
    weft__link_remove(&r->link);
    d->mapped -= region_bytes(r);
}

void weft__depot_give_run(weft__page_depot *d, weft__page *g)
{
    weft__page_chunk *c = weft__page_chunk_of(g);
    weft__region *r = c->region;
    g->vat = NULL;
    c->magic = 0;
    weft__spin_lock(&d->lock);
    if (!r->run) {
        give_chunks(d, r, index_of(r, c), g->count);
        r = NULL;
    } else if (r->chunks <= WEFT__REGION_CHUNKS && d->waste + region_bytes(r) <= d->keep) {
        set_waste(d, d->waste + region_bytes(r));
        move_last(&d->idle, r);
        r = NULL;
    } else {
        forget(d, r);
    }
    weft__spin_unlock(&d->lock);
    if (r)
        end_region(d, r);
}

int weft__depot_drain_run(weft__page_depot *d, weft__page *g, unsigned *budget)
{
    weft__region *r = weft__page_chunk_of(g)->region;
    int stays = !r->run || (r->chunks <= WEFT__REGION_CHUNKS && weft__load_relaxed(&d->waste, "depot.drain") + region_bytes(r) <= d->keep);
    for (; !stays && d->source.discard && g->count > 1 && *budget; g->count--) { /* the region itself knows its size */
        d->source.discard(d->source.self, (char *)weft__page_chunk_of(g) + (g->count - 1) * WEFT__CHUNK, WEFT__CHUNK);
        *budget -= *budget < WEFT__DISCARD_COST ? *budget : WEFT__DISCARD_COST;
    }
    if (!stays && d->source.discard && g->count > 1)
        return 0;
    weft__depot_give_run(d, g);
    *budget -= *budget != 0;
    return 1;
}

/* ---- giving back ---- */

/* A region that is free as a whole and need not be; or chunks to discard: which, in *bits.
 * Lock held; they are taken. */
static weft__region *pick_waste(weft__page_depot *d, uint64_t *bits)
{
    *bits = 0;
    if (!weft__link_alone(&d->idle)) {
        weft__region *r = weft__container(d->idle.next, weft__region, link);
        set_waste(d, d->waste - region_bytes(r));
        forget(d, r);
        return r;
    }
    for (weft__link *l = d->roomy.next; l != &d->roomy; l = l->next) {
        weft__region *r = weft__container(l, weft__region, link);
        uint64_t waste = r->free & r->dirty;
        if (!waste)
            continue;
        if ((d->returns || !d->source.discard) && r->free == all_chunks(r)) {
            set_waste(d, d->waste - (size_t)__builtin_popcountll(waste) * WEFT__CHUNK);
            forget(d, r);
            return r;
        }
        if (!d->source.discard)
            continue;
        *bits = waste & -waste;
        take_chunks(d, r, (unsigned)__builtin_ctzll(waste), 1);
        return r;
    }
    return NULL;
}

static void discard_chunk(weft__page_depot *d, weft__region *r, uint64_t bit)
{
    d->source.discard(d->source.self, r->base + (unsigned)__builtin_ctzll(bit) * WEFT__CHUNK, WEFT__CHUNK);
    weft__spin_lock(&d->lock);
    r->free |= bit;
    r->dirty &= ~bit;
    if (r->free & r->dirty)
        move_first(&d->roomy, r);
    else
        move_last(&d->roomy, r); /* clean ones last */
    weft__spin_unlock(&d->lock);
}

int weft__depot_trim(weft__page_depot *d, unsigned *budget)
{
    while (weft__load_relaxed(&d->waste, "depot.trim") > d->keep) {
        if (!*budget)
            return 0;
        uint64_t bit;
        weft__spin_lock(&d->lock);
        weft__region *r = pick_waste(d, &bit);
        weft__spin_unlock(&d->lock);
        if (!r)
            return 1;
        unsigned cost = WEFT__DISCARD_COST * (bit ? 1 : r->chunks);
        if (bit)
            discard_chunk(d, r, bit);
        else
            end_region(d, r);
        *budget -= *budget < cost ? *budget : cost;
    }
    return 1;
}

/* ---- pools ---- */

weft__page *weft__page_get(weft__page_pool *pool, weft__page_depot *d, unsigned order)
{
    if (!pool)
        return weft__depot_take(d, order, 1);
    weft__page *g = pool->list[order];
    if (!g) {
        g = weft__depot_take(d, order, batch[order]);
        if (!g)
            return NULL;
        for (weft__page *i = g; i; i = i->next)
            pool->count[order]++;
    }
    pool->list[order] = g->next;
    pool->count[order]--;
    return g;
}

/* What was put last stays: it is warm. */
static void overflow(weft__page_pool *pool, weft__page_depot *d, unsigned order)
{
    weft__page *last = pool->list[order];
    for (unsigned i = 1; i < batch[order]; i++)
        last = last->next;
    weft__page *rest = last->next;
    last->next = NULL;
    pool->count[order] = batch[order];
    weft__depot_give(d, rest);
}

void weft__page_put(weft__page_pool *pool, weft__page_depot *d, weft__page *g)
{
    g->vat = NULL;
    if (!pool) {
        g->next = NULL;
        weft__depot_give(d, g);
        return;
    }
    g->next = pool->list[g->order];
    pool->list[g->order] = g;
    if (++pool->count[g->order] > 2u * batch[g->order])
        overflow(pool, d, g->order);
}

void weft__page_pool_flush(weft__page_pool *pool, weft__page_depot *d)
{
    for (unsigned order = 0; order < WEFT__ORDERS; order++) {
        if (pool->list[order])
            weft__depot_give(d, pool->list[order]);
        pool->list[order] = NULL;
        pool->count[order] = 0;
    }
}
