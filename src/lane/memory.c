/* Opening and closing what memory needs of a runtime and its workers. A pool is its worker's;
 * open and close are for whoever starts and ends the runtime. */
#include "lane/memory.h"

#include <errno.h>

#include "lane/share.h"
#include "lane/vat.h"

/* Ordinary runtimes map 4 MiB at a time, which costs address space only, and leave 32 MiB of free pages committed.
 * One that has to live in a block of the caller's takes single chunks and gives back what it can. */
enum { UNIT = WEFT__REGION_CHUNKS, KEEP_MIB = 32, STRICT_KEEP_KIB = 256, IDLE_BUDGET = 32 };

/* Three sizes of small shared blocks, and records whose number is not known before. */
static int open_slabs(weft__memory_realm *m, const weft_env *env, unsigned shift, unsigned chunks)
{
    int r = weft__slab_init(&m->regions, env, sizeof(weft__region), shift < 5 ? shift : 5, chunks, WEFT__GEN_LIVES);
    if (r == 0)
        r = weft__slab_init(&m->own, env, sizeof(weft__own_depot), shift < 4 ? shift : 4, chunks, WEFT__GEN_LIVES);
    if (r == 0)
        r = weft__slab_init(&m->holdings, env, sizeof(weft__holding), shift, chunks, WEFT__GEN_LIVES);
    if (r == 0)
        r = weft__slab_init(&m->parts, env, sizeof(weft__part), shift, chunks, WEFT__GEN_LIVES);
    for (int i = 0; i < WEFT__SMALL_BLOCKS && r == 0; i++)
        r = weft__slab_init(&m->small[i], env, weft__small_sizes[i], i && shift ? shift - 1 : shift, chunks, WEFT__GEN_LIVES);
    return r;
}

static void close_slabs(weft__memory_realm *m)
{
    for (int i = 0; i < WEFT__SMALL_BLOCKS; i++)
        weft__slab_fini(&m->small[i]);
    weft__slab_fini(&m->parts);
    weft__slab_fini(&m->holdings);
    weft__slab_fini(&m->own);
    weft__slab_fini(&m->regions);
}

int weft__memory_open(weft__memory_realm *m, const weft_env *env, int strict)
{
    weft__page_source source = {env->self, env->map, env->unmap, env->discard};
    weft__link_init(&m->kinds);
    int r = open_slabs(m, env, strict ? 3 : 7, strict ? 512 : 65536);
    if (r < 0) {
        close_slabs(m);
        return r;
    }
    weft__depot_init(&m->pages, &source, &m->regions, strict ? 1 : UNIT, strict ? (size_t)STRICT_KEEP_KIB << 10 : (size_t)KEEP_MIB << 20,
                     strict);
    return 0;
}

void weft__memory_close(weft__memory_realm *m)
{
    weft__depot_fini(&m->pages);
    close_slabs(m);
}

void weft__memory_enter(weft__memory_pools *p, weft__memory_realm *m)
{
    p->own.slab = &m->own;
    p->holdings.slab = &m->holdings;
    p->parts.slab = &m->parts;
    for (int i = 0; i < WEFT__SMALL_BLOCKS; i++)
        p->small[i].slab = &m->small[i];
}

void weft__memory_leave(weft__memory_pools *p, weft__memory_realm *m)
{
    weft__page_pool_flush(&p->pages, &m->pages);
    weft__slab_cache_flush(&p->own);
    weft__slab_cache_flush(&p->holdings);
    weft__slab_cache_flush(&p->parts);
    for (int i = 0; i < WEFT__SMALL_BLOCKS; i++)
        weft__slab_cache_flush(&p->small[i]);
}

void weft__memory_idle(weft__memory_realm *m)
{
    unsigned budget = IDLE_BUDGET;
    weft__depot_trim(&m->pages, &budget);
}
