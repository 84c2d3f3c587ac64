/* A vat's pages: its first one and the vat in it, taking and giving back with the charge for them,
 * cutting them into blocks. For the lane's worker. */
#include <errno.h>
#include <string.h>

#include "arch/poison.h"
#include "base/check.h"
#include "lane/account.h"
#include "lane/realm.h"
#include "lane/vat.h"
#include "port/inflight.h"

/* Where a class has no page with room: a page that has none either, so that taking a block asks one
 * question only. Never written to. */
const weft__page weft__page_none = {.class = WEFT__CLASS_RUN};

/* ---- lists ---- */

void weft__page_link(weft__page **list, weft__page *g)
{
    g->prev = NULL;
    g->next = *list;
    if (g->next)
        g->next->prev = g;
    *list = g;
}

void weft__page_unlink(weft__page **list, weft__page *g)
{
    if (g->prev)
        g->prev->next = g->next;
    else
        *list = g->next;
    if (g->next)
        g->next->prev = g->prev;
}

/* ---- taking and giving back ---- */

/* A vat of a kind has pages of its own and no share in the worker's. */
static weft__page_pool *pool_of(const weft__vat *v) { return v->own ? NULL : &weft__lane_pools_of(weft__worker_self())->memory.pages; }

static weft__page *charged_page(weft__lane *lane, weft__page_depot *depot, weft__page_pool *pool, unsigned order)
{
    size_t bytes = WEFT__LEAF << order;
    if (weft__charge(lane, WEFT__CHARGE_VAT, bytes) < 0)
        return NULL;
    weft__page *g = weft__page_get(pool, depot, order);
    if (!g)
        weft__discharge(lane, WEFT__CHARGE_VAT, bytes);
    return g;
}

static void own_page(weft__vat *v, weft__page *g)
{
    g->vat = v;
    g->lane = v->lane->head.key;
    g->free = NULL;
    g->used = g->fresh = g->count = 0;
    g->state = WEFT__PAGE_ROOM;
    v->pages++;
    v->held += weft__page_bytes(g);
    if (v->held > v->peak)
        v->peak = v->held;
    weft__poison(weft__page_start(g), (size_t)(weft__page_end(g) - weft__page_start(g)));
}

weft__page *weft__vat_take(weft__vat *v, unsigned order)
{
    weft__page *g = charged_page(v->lane, v->depot, pool_of(v), order);
    if (g)
        own_page(v, g);
    return g;
}

void weft__vat_put(weft__vat *v, weft__page *g)
{
    size_t bytes = weft__page_bytes(g);
    weft__inflight_check(weft__page_start(g), (size_t)(weft__page_end(g) - weft__page_start(g)), "a page of a lane's memory");
    weft__unpoison(weft__page_start(g), (size_t)(weft__page_end(g) - weft__page_start(g)));
    v->pages--;
    v->held -= bytes;
    weft__page_put(pool_of(v), v->depot, g);
    weft__discharge(v->lane, WEFT__CHARGE_VAT, bytes);
}

/* ---- classes ---- */

static size_t usable(unsigned order) { return (WEFT__LEAF << order) - (order == WEFT__WHOLE ? WEFT__RUN_HEAD : 0); }

static size_t wasted(unsigned order, size_t size) { return usable(order) % size; }

/* How large the next page of a class is: small ones first, so that a lane with few blocks has few leaves, and whole
 * chunks from the fifth on. No more than a quarter may be lost at the end, where a larger page would lose less. */
static unsigned order_for(size_t size, unsigned have)
{
    unsigned order = 0;
    if (have >= 4 && usable(WEFT__WHOLE) >= 2 * size && wasted(WEFT__WHOLE, size) <= WEFT__CHUNK / 4)
        return WEFT__WHOLE;
    while (usable(order) < size)
        order++;
    while (order < WEFT__WHOLE && wasted(order, size) * 4 > usable(order))
        order++;
    return order;
}

WEFT__NO_ASAN int weft__page_carve(weft__page *g)
{
    uint32_t n = g->count - g->fresh, at_once = (uint32_t)WEFT__LEAF / g->size;
    if (!n)
        return 0;
    if (at_once == 0)
        at_once = 1;
    if (n > at_once)
        n = at_once;
    char *p = weft__page_start(g) + (size_t)g->fresh * g->size;
#if WEFT__VALGRIND_HEAP
    for (uint32_t i = 0; i < n; i++)
        weft__unpoison(p + (size_t)i * g->size, 16);
#endif
    g->fresh += n;
    g->free = p;
    for (; n > 1; n--, p += g->size)
        *(void **)(void *)p = p + g->size;
    *(void **)(void *)p = NULL;
    return 1;
}

weft__page *weft__vat_grow(weft__vat *v, unsigned class)
{
    uint32_t size = weft__class_size(class);
    weft__page *g = weft__vat_take(v, order_for(size, v->count[class]));
    /* At a limit, or where memory is short, less is better than nothing. */
    if (!g && v->count[class] >= 4)
        g = weft__vat_take(v, order_for(size, 0));
    if (!g)
        return NULL;
    g->class = (uint8_t)class;
    g->size = size;
    g->count = (uint32_t)(usable(g->order) / size);
    v->count[class]++;
    if (v->room[class] == &weft__page_none)
        v->room[class] = NULL;
    weft__page_link(&v->room[class], g);
    weft__page_carve(g);
    return g;
}

/* ---- the vat ---- */

/* A depot for a kind, in a record of the runtime's. */
static weft__page_depot *open_own(weft__lane *lane, const weft_vat_kind *kind)
{
    weft__memory_realm *m = &weft__lanes_of(lane->rt)->memory;
    const weft_env *env = lane->rt->env;
    weft__page_source source = {.discard = NULL};
    weft__vat_kind_source(env, kind, &source);
    weft__own_depot *own = weft__slab_get(&weft__lane_pools_of(weft__worker_self())->memory.own);
    if (!own)
        return NULL;
    size_t unit = kind->unit / WEFT__CHUNK;
    weft__depot_init(&own->depot, &source, &m->regions, (unsigned)(unit < 1 ? 1 : unit > WEFT__REGION_CHUNKS ? WEFT__REGION_CHUNKS : unit), 0, 1);
    weft__spin_lock(&m->kinds_lock);
    weft__link_before(&m->kinds, &own->link);
    weft__spin_unlock(&m->kinds_lock);
    return &own->depot;
}

void weft__vat_close_own(weft__page_depot *depot)
{
    weft__own_depot *own = weft__container(depot, weft__own_depot, depot);
    weft__memory_realm *m = &weft__lanes_of(weft__worker_self()->rt)->memory;
    weft__spin_lock(&m->kinds_lock);
    weft__link_remove(&own->link);
    weft__spin_unlock(&m->kinds_lock);
    weft__depot_fini(depot);
    weft__slab_put(&weft__lane_pools_of(weft__worker_self())->memory.own, own);
}

/* The vat lies in its first page, and behind it the tags and the blocks of mixed sizes; an arena goes on from there. */
static weft__vat *settle(weft__lane *lane, weft__page *g, const weft_vat_kind *kind, weft__page_depot *own)
{
    weft__vat *v = (weft__vat *)(void *)weft__page_start(g);
    weft__unpoison(v, sizeof *v); /* a recycled page is clear of poison anyway; Valgrind wants to be told */
    memset(v, 0, sizeof *v);
    v->magic = WEFT__VAT_MAGIC;
    v->lane = lane;
    v->kind = kind;
    v->own = own;
    v->depot = own ? own : &weft__lanes_of(lane->rt)->memory.pages;
    v->arena = kind && (kind->flags & WEFT_VAT_ARENA);
    for (unsigned i = 0; i < WEFT__VAT_CLASSES; i++)
        v->room[i] = (weft__page *)(uintptr_t)&weft__page_none;
    own_page(v, g);
    weft__unpoison_defined(v, sizeof *v);
    g->class = v->arena ? WEFT__CLASS_ARENA : WEFT__CLASS_MIXED;
    v->first = g;
    v->bump = (char *)(v + 1);
    v->end = weft__page_end(g);
    if (!v->arena) {
        v->tags = (uint8_t *)v->bump;
        v->bump += WEFT__LEAF / 16;
        weft__unpoison(v->tags, WEFT__LEAF / 16);
        memset(v->tags, 0, WEFT__LEAF / 16);
    }
    v->bump = (char *)(((uintptr_t)v->bump + 15) & ~(uintptr_t)15);
    return v;
}

weft__vat *weft__vat_open(weft__lane *lane)
{
    weft__vat *v = lane->vat;
    if (v && !weft__vat_promised(v))
        return v;
    const weft_vat_kind *kind = v ? (const weft_vat_kind *)((uintptr_t)v & ~(uintptr_t)1) : NULL;
    weft__page_depot *own = kind ? open_own(lane, kind) : NULL;
    if (kind && !own)
        return NULL;
    weft__page *g = charged_page(lane, own ? own : &weft__lanes_of(lane->rt)->memory.pages,
                                 own ? NULL : &weft__lane_pools_of(weft__worker_self())->memory.pages,
                                 kind && (kind->flags & WEFT_VAT_ARENA) ? WEFT__WHOLE : 0);
    if (!g) {
        if (own)
            weft__vat_close_own(own);
        return NULL;
    }
    lane->vat = settle(lane, g, kind, own);
    return lane->vat;
}
