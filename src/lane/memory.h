/* What memory needs of a runtime and of each worker: pages for vats and shared blocks, records for what lanes hold. */
#ifndef WEFT_LANE_MEMORY_H
#define WEFT_LANE_MEMORY_H

#include "lane/vat_pages.h"

enum { WEFT__SMALL_BLOCKS = 3 };

/* Per runtime, part of the lane realm. */
typedef struct weft__memory_realm {
    weft__slab regions, own, holdings, parts, small[WEFT__SMALL_BLOCKS];
    weft__page_depot pages;
    weft__spin kinds_lock;
    weft__link kinds; /* depots of vats of kinds; guarded by kinds_lock */
} weft__memory_realm;

/* Per worker, part of the lane layer's pools. */
typedef struct weft__memory_pools {
    weft__page_pool pages;
    weft__slab_cache own, holdings, parts, small[WEFT__SMALL_BLOCKS];
} weft__memory_pools;

/* memory.c. The depot is usable from open on, by any thread. 0 or -ENOMEM. */
int weft__memory_open(weft__memory_realm *m, const weft_env *env, int strict);
/* All vats are gone. */
void weft__memory_close(weft__memory_realm *m);
void weft__memory_enter(weft__memory_pools *p, weft__memory_realm *m);
void weft__memory_leave(weft__memory_pools *p, weft__memory_realm *m);
/* The worker is about to sleep: gives back some of what nobody needs. */
void weft__memory_idle(weft__memory_realm *m);

#endif
