/* Shared blocks: made, counted, freed by any thread; those that are no workers of the runtime go to the
 * depots directly. A block belongs to whoever holds a reference; its bytes are written by its maker
 * only, before anybody else has one. */
#include "lane/share.h"

#include "arch/poison.h"
#include "base/check.h"
#include "lane/realm.h"
#include "port/inflight.h"

/* Record and bytes together, 64 bytes a record; above that, pages of their own, so that 4096 bytes take just that. */
const uint32_t weft__small_sizes[WEFT__SMALL_BLOCKS] = {256, 1024, 2112};

_Static_assert(sizeof(weft__shared) <= 64, "a block's record is a cache line");

static weft__memory_pools *pools_of(weft__memory_realm *m)
{
    weft__worker *w = weft__worker_self();
    return w && w->fibers && weft__lanes_of(w->rt) && &weft__lanes_of(w->rt)->memory == m ? &weft__lane_pools_of(w)->memory : NULL;
}

static void *record(weft__memory_realm *m, weft__memory_pools *p, unsigned small)
{
    return p ? weft__slab_get(&p->small[small]) : weft__slab_get_shared(&m->small[small]);
}

static void put_record(weft__shared *s, weft__memory_pools *p)
{
    if (p)
        weft__slab_put(&p->small[s->small], s);
    else
        weft__slab_put_shared(&s->memory->small[s->small], s);
}

/* The bytes of a block that its record has no room for. */
static char *page_bytes(weft__memory_realm *m, weft__memory_pools *p, size_t size)
{
    weft__page *g;
    int clean;
    if (size > WEFT__LEAF << (WEFT__WHOLE - 1)) {
        if (size > (size_t)PTRDIFF_MAX - WEFT__CHUNK)
            return NULL;
        g = weft__depot_take_run(&m->pages, (size + WEFT__RUN_HEAD + WEFT__CHUNK - 1) / WEFT__CHUNK, &clean);
        if (g)
            g->class = WEFT__WHOLE;
        return g ? (char *)weft__page_chunk_of(g) + WEFT__RUN_HEAD : NULL;
    }
    unsigned order = 0;
    while (size > WEFT__LEAF << order)
        order++;
    g = weft__page_get(p ? &p->pages : NULL, &m->pages, order);
    if (g)
        g->class = 0;
    return g ? weft__page_start(g) : NULL;
}

weft__shared *weft__shared_make(weft_runtime *rt, size_t size)
{
    weft__memory_realm *m = &weft__lanes_of(rt)->memory;
    weft__memory_pools *p = pools_of(m);
    unsigned small = 0;
    while (small < WEFT__SMALL_BLOCKS && size > weft__small_sizes[small] - sizeof(weft__shared))
        small++;
    int in_record = small < WEFT__SMALL_BLOCKS;
    weft__shared *s = record(m, p, in_record ? small : 0);
    if (!s)
        return NULL;
    s->memory = m;
    s->where = in_record ? WEFT__IN_RECORD : WEFT__IN_PAGE;
    s->small = (uint8_t)(in_record ? small : 0);
    s->size = size;
    s->data = in_record ? (char *)(s + 1) : page_bytes(m, p, size);
    if (!s->data) {
        put_record(s, p);
        return NULL;
    }
    if (in_record)
        weft__unpoison(s->data, size);
    weft__store_relaxed(&s->refs, 1, "shared.make");
    return s;
}

static void free_record(weft__shared *s)
{
    if (s->where == WEFT__IN_RECORD)
        weft__poison(s->data, weft__small_sizes[s->small] - sizeof *s);
    put_record(s, pools_of(s->memory));
}

static int is_run(const weft__shared *s) { return s->where == WEFT__IN_PAGE && s->size > WEFT__LEAF << (WEFT__WHOLE - 1); }

static void free_block(weft__shared *s)
{
    weft__memory_pools *p = pools_of(s->memory);
    weft__inflight_check(s->data, s->size, "a shared block");
    if (is_run(s))
        weft__depot_give_run(&s->memory->pages, weft__page_of(s->data));
    else if (s->where == WEFT__IN_PAGE)
        weft__page_put(p ? &p->pages : NULL, &s->memory->pages, weft__page_of(s->data));
    free_record(s);
}

void weft__shared_unref(weft__shared *s)
{
    /* What all others did with the bytes comes before they are freed. */
    if (weft__sub_acq_rel(&s->refs, 1, "shared.unref") == 1)
        free_block(s);
}

int weft__shared_unref_some(weft__shared *s, uint8_t *last, unsigned *budget)
{
    if (!*last && weft__sub_acq_rel(&s->refs, 1, "shared.unref") != 1)
        return 1;
    if (!is_run(s)) {
        free_block(s);
        return 1;
    }
    if (!*last)
        weft__inflight_check(s->data, s->size, "a shared block");
    *last = 1;
    if (!weft__depot_drain_run(&s->memory->pages, weft__page_of(s->data), budget))
        return 0;
    free_record(s);
    return 1;
}

/* ---- storage of the runtime's own: a block with its record in front ---- */

enum { STORE_HEAD = 16 };

void *weft__shared_get(weft_runtime *rt, size_t size)
{
    if (size > SIZE_MAX - STORE_HEAD)
        return NULL;
    weft__shared *s = weft__shared_make(rt, size + STORE_HEAD);
    if (!s)
        return NULL;
    *(weft__shared **)(void *)s->data = s;
    return s->data + STORE_HEAD;
}

void weft__shared_put(void *p)
{
    weft__shared_unref(*(weft__shared **)(void *)((char *)p - STORE_HEAD));
}
