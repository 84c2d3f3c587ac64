/* What a lane holds of shared blocks: its records, blocks being filled, slices. Home-worker code: every record is
 * touched by its lane's worker only, but for its head and owner, which anybody may look at to refuse an id. */
#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "lane/account.h"
#include "lane/estate.h"
#include "lane/realm.h"
#include "lane/share.h"

#define NOBODY 0xffffffffu

static weft__lane *my_lane(void)
{
    weft__fiber *f = weft__fiber_self();
    return f ? weft__lane_of(f->crew) : NULL;
}

/* ---- records ---- */

static weft__memory_pools *pools(void) { return &weft__lane_pools_of(weft__worker_self())->memory; }

weft__slab_cache *weft__parts_of(void) { return &pools()->parts; }

int weft__holding_make(weft__lane *lane, enum weft__kind kind, size_t bytes, weft__holding **out)
{
    size_t cost;
    if (__builtin_add_overflow(bytes, (size_t)WEFT__HOLDING_COST, &cost) || weft__charge(lane, WEFT__CHARGE_VAT, cost) < 0)
        return -ENOMEM;
    weft__annex *annex = weft__lane_annex(lane);
    weft__holding *h = annex ? weft__slab_get(&pools()->holdings) : NULL;
    if (!h) {
        weft__discharge(lane, WEFT__CHARGE_VAT, cost);
        return -ENOMEM;
    }
    memset((char *)h + sizeof h->head, 0, sizeof *h - sizeof h->head);
    h->kind = (uint16_t)kind;
    h->lane = lane;
    h->next = annex->holdings;
    if (h->next)
        h->next->prev = h;
    annex->holdings = h;
    weft__store_relaxed(&h->owner, lane->head.key, "holding.make");
    *out = h;
    return 0;
}

void weft__holding_free(weft__holding *h, size_t bytes)
{
    weft__lane *lane = h->lane;
    if (h->prev)
        h->prev->next = h->next;
    else
        lane->annex->holdings = h->next;
    if (h->next)
        h->next->prev = h->prev;
    weft__store_relaxed(&h->owner, NOBODY, "holding.free");
    weft__slab_end(&weft__lanes_of(lane->rt)->memory.holdings, h, 1);
    weft__slab_put(&pools()->holdings, h);
    weft__discharge(lane, WEFT__CHARGE_VAT, bytes + WEFT__HOLDING_COST);
}

weft_id weft__holding_id(const weft__holding *h)
{
    return (weft_id){h->head.key, WEFT__NS(h->lane->rt, h->kind), WEFT__GEN(weft__load_relaxed(&h->head.word, "holding.id"))};
}

int weft__holding_find(weft_id id, enum weft__kind kind, weft__holding **out)
{
    weft__lane *lane = my_lane();
    if (!lane)
        return -EPERM;
    if (id.ns != WEFT__NS(lane->rt, kind))
        return weft__id_rejected(lane->rt, id);
    weft__holding *h = weft__slab_at(&weft__lanes_of(lane->rt)->memory.holdings, id.key);
    if (!h || WEFT__GEN(weft__load_acquire(&h->head.word, "holding.find")) != id.gen)
        return -EBADF;
    uint32_t owner = weft__load_relaxed(&h->owner, "holding.find");
    if (owner != lane->head.key)
        return owner == NOBODY ? -EBADF : -EPERM;
    if (h->kind != kind)
        return -EBADF;
    *out = h;
    return 0;
}

/* ---- blocks ---- */

WEFT_API int weft_block_make(weft_block *out, size_t size, void **data)
{
    weft__lane *lane = my_lane();
    weft__holding *h;
    if (!lane)
        return -EPERM;
    if (!out || !size)
        return -EINVAL;
    int r = weft__holding_make(lane, WEFT__BLOCK, size, &h);
    if (r < 0)
        return r;
    weft__shared *s = weft__shared_make(lane->rt, size);
    if (!s) {
        weft__holding_free(h, size);
        return -ENOMEM;
    }
    h->span = (weft__span){s, 0, size};
    out->id = weft__holding_id(h);
    if (data)
        *data = s->data;
    return 0;
}

WEFT_API void *weft_block_data(weft_block block, size_t *size)
{
    weft__holding *h;
    if (weft__holding_find(block.id, WEFT__BLOCK, &h) < 0)
        return NULL;
    if (size)
        *size = h->span.length;
    return h->span.block->data;
}

/* The record stays, and counts for less; as its kind is another now, the block's id names nothing any more. */
WEFT_API int weft_block_freeze(weft_block block, size_t length, weft_slice *out)
{
    weft__holding *h;
    int r = weft__holding_find(block.id, WEFT__BLOCK, &h);
    if (r < 0)
        return r;
    if (!out || length > h->span.length)
        return -EINVAL;
    weft__discharge(h->lane, WEFT__CHARGE_VAT, h->span.length - length);
    h->span.length = length;
    h->kind = WEFT__SLICE;
    out->id = weft__holding_id(h);
    return 0;
}

static int drop(weft_id id, enum weft__kind kind)
{
    weft__holding *h;
    int r = weft__holding_find(id, kind, &h);
    if (r < 0)
        return r;
    weft__shared *s = h->span.block;
    weft__holding_free(h, h->span.length);
    weft__shared_unref(s);
    return 0;
}

WEFT_API int weft_block_drop(weft_block block) { return drop(block.id, WEFT__BLOCK); }

/* ---- slices ---- */

int weft__slice_attach(weft__lane *lane, const weft__span *span, weft_slice *out)
{
    weft__holding *h;
    int r = weft__holding_make(lane, WEFT__SLICE, span->length, &h);
    if (r < 0)
        return r;
    h->span = *span;
    out->id = weft__holding_id(h);
    return 0;
}

int weft__slice_detach(weft_slice slice, weft__span *out)
{
    weft__holding *h;
    int r = weft__holding_find(slice.id, WEFT__SLICE, &h);
    if (r < 0)
        return r;
    *out = h->span;
    weft__holding_free(h, h->span.length);
    return 0;
}

/* Another reference, held by the lane. */
static int attach_new(weft__lane *lane, weft__span span, weft_slice *out)
{
    weft__shared_ref(span.block);
    int r = weft__slice_attach(lane, &span, out);
    if (r < 0)
        weft__shared_unref(span.block);
    return r;
}

WEFT_API int weft_slice_copy(weft_slice *out, const void *p, size_t n)
{
    weft__lane *lane = my_lane();
    if (!lane)
        return -EPERM;
    if (!out || (!p && n))
        return -EINVAL;
    weft__shared *s = weft__shared_make(lane->rt, n);
    if (!s)
        return -ENOMEM;
    if (n)
        memcpy(s->data, p, n);
    int r = weft__slice_attach(lane, &(weft__span){s, 0, n}, out);
    if (r < 0)
        weft__shared_unref(s);
    return r;
}

WEFT_API const void *weft_slice_data(weft_slice slice, size_t *length)
{
    weft__holding *h;
    if (weft__holding_find(slice.id, WEFT__SLICE, &h) < 0)
        return NULL;
    if (length)
        *length = h->span.length;
    return h->span.block->data + h->span.offset;
}

WEFT_API int weft_slice_sub(weft_slice *out, weft_slice slice, size_t offset, size_t length)
{
    weft__holding *h;
    int r = weft__holding_find(slice.id, WEFT__SLICE, &h);
    if (r < 0)
        return r;
    if (!out || offset > h->span.length)
        return -EINVAL;
    if (length == SIZE_MAX)
        length = h->span.length - offset;
    if (length > h->span.length - offset)
        return -EINVAL;
    return attach_new(h->lane, (weft__span){h->span.block, h->span.offset + offset, length}, out);
}

WEFT_API int weft_slice_drop(weft_slice slice) { return drop(slice.id, WEFT__SLICE); }

/* ---- all of it ---- */

WEFT_API int weft_holdings(size_t *count, size_t *bytes)
{
    weft__lane *lane = my_lane();
    size_t n = 0, sum = 0;
    if (!lane)
        return -EPERM;
    for (const weft__holding *h = weft__holdings_of(lane); h; h = h->next) {
        n++;
        sum += h->kind == WEFT__ROPE ? h->length : h->span.length;
    }
    if (count)
        *count = n;
    if (bytes)
        *bytes = sum;
    return 0;
}

/* One holding less, or some of one that is large. The first step takes it off the books,
 * so that only the rest is left to do. */
static int bury_one(weft__holding *h, unsigned *budget)
{
    if (h->kind == WEFT__ROPE && !weft__rope_clear(h, budget))
        return 0;
    if (h->kind != WEFT__ROPE && !weft__shared_unref_some(h->span.block, &h->drained, budget))
        return 0;
    weft__holding_free(h, h->kind == WEFT__ROPE ? 0 : h->span.length);
    return 1;
}

int weft__holdings_bury(weft__lane *lane, unsigned budget)
{
    enum { AT_ONCE = 8 }; /* of them cost a unit */
    for (unsigned n = 1; weft__holdings_of(lane); n++) {
        if (!budget || !bury_one(weft__holdings_of(lane), &budget))
            return 0;
        if (n % AT_ONCE == 0 && budget)
            budget--;
    }
    return 1;
}
