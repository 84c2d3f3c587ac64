/* Pages: what vats and shared blocks are made of. Memory is mapped in regions of up to 64 chunks; a chunk is 64 KiB
 * at a multiple of 64 KiB, so that an address tells its chunk. A chunk serves as one page, or is broken into 15
 * leaves of 4 KiB, of which a page takes 1, 2, 4 or 8. What is larger than a page takes a run of whole chunks,
 * above 1 MiB a region of its own.
 *
 * Headers of all pages of a chunk lie at its beginning: a page of one leaf holds 4096 bytes of blocks,
 * and a free page is never written to.
 *
 * Each worker has a pool that only it touches; pools trade pages in batches through the depot, which puts neighbours
 * together again, and gives back to the environment what exceeds what it keeps. So a lane's birth here and its death
 * there map nothing (DESIGN rule 8). */
#ifndef WEFT_LANE_VAT_PAGES_H
#define WEFT_LANE_VAT_PAGES_H

#include <weft/env.h>

#include "base/list.h"
#include "base/spin.h"
#include "sched/slab.h"

#define WEFT__CHUNK ((size_t)1 << 16)
#define WEFT__LEAF ((size_t)4096)
enum { WEFT__LEAVES = 16, WEFT__ORDERS = 5, WEFT__WHOLE = 4, WEFT__REGION_CHUNKS = 64, WEFT__RUN_MAX = 16,
       WEFT__DISCARD_COST = 4 /* units of a budget, for a chunk: measured at 3 to 5 us */ };
#define WEFT__CHUNK_MAGIC 0x6368756eu

/* One page's header. A page in use belongs to one vat, whose lane's worker alone touches it, or to a shared block. */
typedef struct weft__page {
    struct weft__vat *vat;     /* whose it is; NULL: no vat's */
    union {
        void *free;            /* blocks given back, linked by their first word */
        size_t bytes;          /* of a run: what its user counts */
    };
    uint32_t used;             /* blocks in use; of a shared block: references (atomic) */
    uint32_t fresh, count;     /* blocks carved, blocks that fit; of a run: count is its chunks */
    uint32_t size;             /* of a block */
    struct weft__page *next, *prev;
    uint32_t lane;             /* key of the record of the vat's lane, for reports */
    uint8_t class, state;      /* its user's */
    uint8_t order, leaf;       /* 1 << order leaves, from this one of its chunk */
} weft__page;

typedef struct weft__region weft__region;

typedef struct weft__page_chunk {
    uint32_t magic;
    uint8_t bucket;            /* broken: the depot's list it is in + 1, 0: none */
    /* Broken: a bit for each leaf that lies in the depot; guarded by its lock, like the next two. */
    uint16_t free;
    struct weft__page_chunk *next, *prev;
    weft__region *region;
    _Alignas(WEFT_CACHE_LINE) uint8_t first[WEFT__LEAVES]; /* the first leaf of the page that a leaf is part of */
    _Alignas(WEFT_CACHE_LINE) struct {
        _Alignas(WEFT_CACHE_LINE) weft__page page;
    } at[WEFT__LEAVES];
} weft__page_chunk;

struct weft__region {
    weft__slab_head head;
    weft__link link;           /* in the depot's roomy, busy or idle; guarded by its lock, like all below */
    struct weft__page_depot *depot;
    char *base;
    uint32_t chunks;
    uint8_t run;               /* all of it is one run */
    uint64_t free, dirty;      /* a bit a chunk: in the depot; may be other than zero */
};

/* Where a depot's memory comes from; discard may be NULL. */
typedef struct weft__page_source {
    void *self;
    void *(*map)(void *self, size_t bytes, size_t align);
    void (*unmap)(void *self, void *p, size_t bytes);
    void (*discard)(void *self, void *p, size_t bytes);
} weft__page_source;

typedef struct weft__page_depot {
    weft__page_source source;
    weft__slab *regions;       /* records */
    unsigned unit;             /* chunks to map at once */
    /* Regions that are free as a whole are unmapped: their address space is wanted elsewhere. */
    uint8_t returns;
    size_t keep;               /* free bytes that may stay committed */
    weft__spin lock;           /* guards the rest */
    weft__page_chunk *broken[WEFT__WHOLE]; /* with free leaves; [i]: 1 << i of them in a row, but not twice as many */
    weft__link roomy, busy;    /* regions with free chunks, and without */
    weft__link idle;           /* free regions that are one run */
    /* Free and possibly committed: chunks and idle runs (atomic, for who asks without the lock). */
    size_t waste;
    size_t mapped;
} weft__page_depot;

typedef struct weft__page_pool {
    weft__page *list[WEFT__ORDERS];
    uint32_t count[WEFT__ORDERS];
} weft__page_pool;

static inline weft__page_chunk *weft__page_chunk_of(const void *p) { return (weft__page_chunk *)((uintptr_t)p & ~(uintptr_t)(WEFT__CHUNK - 1)); }

/* The page that a block at p lies in; of a run only its first chunk has a header. */
static inline weft__page *weft__page_of(const void *p)
{
    weft__page_chunk *c = weft__page_chunk_of(p);
    return &c->at[c->first[((uintptr_t)p & (WEFT__CHUNK - 1)) / WEFT__LEAF]].page;
}

#define WEFT__RUN_HEAD offsetof(weft__page_chunk, at[1]) /* of a whole chunk or a run, in front of its bytes */

/* Where a page's blocks begin, and where they end. */
static inline char *weft__page_start(const weft__page *g)
{
    return (char *)weft__page_chunk_of(g) + (g->leaf ? g->leaf * WEFT__LEAF : WEFT__RUN_HEAD);
}
static inline char *weft__page_end(const weft__page *g)
{
    return (char *)weft__page_chunk_of(g) + (g->leaf + ((size_t)1 << g->order)) * WEFT__LEAF;
}
static inline size_t weft__page_bytes(const weft__page *g) { return WEFT__LEAF << g->order; }

/* keep: free bytes that may stay committed. */
void weft__depot_init(weft__page_depot *d, const weft__page_source *source, weft__slab *regions, unsigned unit, size_t keep, int returns);
/* Unmaps everything, in use or not. */
void weft__depot_fini(weft__page_depot *d);

/* Up to `want` pages of an order, linked by `next`; NULL: no memory. Any thread. */
weft__page *weft__depot_take(weft__page_depot *d, unsigned order, unsigned want);
/* Takes a list of pages back. Any thread. */
void weft__depot_give(weft__page_depot *d, weft__page *list);
/* A run of chunks as the page of the first, without its link; *clean: its bytes are zero. Any thread. */
weft__page *weft__depot_take_run(weft__page_depot *d, size_t chunks, int *clean);
void weft__depot_give_run(weft__page_depot *d, weft__page *g);
/* Gives the run's bytes back to the environment from its end on, as far as the budget reaches: 1 when it is gone.
 * For runs that are to be freed in slices; the first piece keeps its header until then. */
int weft__depot_drain_run(weft__page_depot *d, weft__page *g, unsigned *budget);
/* Gives back what is free beyond `keep`, as far as the budget reaches, in units of about a microsecond:
 * 1 when nothing is left to do. */
int weft__depot_trim(weft__page_depot *d, unsigned *budget);

/* The page that p lies in, if p is a vat's memory of the depot; any address. It looks through all regions. */
weft__page *weft__depot_find(weft__page_depot *d, const void *p);
/* A page for the owner of the pool; pool NULL: from the depot. */
weft__page *weft__page_get(weft__page_pool *pool, weft__page_depot *d, unsigned order);
void weft__page_put(weft__page_pool *pool, weft__page_depot *d, weft__page *g);
void weft__page_pool_flush(weft__page_pool *pool, weft__page_depot *d);

#endif
