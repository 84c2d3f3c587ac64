/* Ropes: sequences of spans, each a record in the rope's list. Home-worker code.
 *
 * Whatever adds to a rope first makes the list of what is added, so that a failure in the
 * middle leaves the rope as it was. */
#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "lane/account.h"
#include "lane/realm.h"
#include "lane/share.h"

/* A list that is being made, and what it counts for. */
typedef struct chain {
    weft__part *first, *last;
    size_t length, parts;
} chain;

static int find(weft_rope rope, weft__holding **out) { return weft__holding_find(rope.id, WEFT__ROPE, out); }

static size_t cost(const chain *c) { return c->length + c->parts * WEFT__PART_COST; }

/* ---- chains ---- */

static void free_part(weft__part *p)
{
    weft__shared_unref(p->span.block);
    weft__slab_put(weft__parts_of(), p);
}

static void chain_drop(chain *c)
{
    while (c->first) {
        weft__part *p = c->first;
        c->first = p->next;
        free_part(p);
    }
}

/* Another reference to the span's bytes, at the end. */
static int chain_add(chain *c, const weft__span *span)
{
    size_t sum;
    if (!span->length)
        return 0;
    if (__builtin_add_overflow(c->length, span->length, &sum))
        return -EOVERFLOW;
    weft__part *p = weft__slab_get(weft__parts_of());
    if (!p)
        return -ENOMEM;
    weft__shared_ref(span->block);
    p->span = *span;
    p->next = NULL;
    if (c->last)
        c->last->next = p;
    else
        c->first = p;
    c->last = p;
    c->length = sum;
    c->parts++;
    return 0;
}

/* The part [offset, offset + length) of a rope, which has it. */
static int chain_cut(chain *c, const weft__holding *h, size_t offset, size_t length)
{
    size_t seen = 0;
    int r = 0;
    for (const weft__part *p = h->first, *last = h->last; p && length && r == 0; p = p == last ? NULL : p->next) {
        size_t n = p->span.length, skip = offset > seen ? offset - seen : 0;
        seen += n;
        if (skip >= n)
            continue;
        size_t some = n - skip < length ? n - skip : length;
        r = chain_add(c, &(weft__span){p->span.block, p->span.offset + skip, some});
        length -= some;
    }
    return r;
}

/* The chain becomes the rope's end, or nothing happens and it is dropped. */
static int splice(weft__holding *h, chain *c)
{
    size_t sum;
    int r = __builtin_add_overflow(h->length, c->length, &sum) ? -EOVERFLOW : weft__charge(h->lane, WEFT__CHARGE_VAT, cost(c));
    if (r < 0) {
        chain_drop(c);
        return r;
    }
    if (!c->first)
        return 0;
    if (h->last)
        h->last->next = c->first;
    else
        h->first = c->first;
    h->last = c->last;
    h->length = sum;
    h->parts += c->parts;
    return 0;
}

static int finish(weft__holding *h, chain *c, int r)
{
    if (r == 0)
        return splice(h, c);
    chain_drop(c);
    return r;
}

/* ---- making and ending ---- */

WEFT_API int weft_rope_make(weft_rope *out)
{
    weft__fiber *f = weft__fiber_self();
    weft__holding *h;
    if (!f)
        return -EPERM;
    if (!out)
        return -EINVAL;
    int r = weft__holding_make(weft__lane_of(f->crew), WEFT__ROPE, 0, &h);
    if (r == 0)
        out->id = weft__holding_id(h);
    return r;
}

/* Takes the first part out of the rope; its reference is the caller's. */
static weft__part *shift(weft__holding *h)
{
    weft__part *p = h->first;
    size_t n = p->span.length;
    h->first = p->next;
    if (!h->first)
        h->last = NULL;
    h->length -= n;
    h->parts--;
    weft__discharge(h->lane, WEFT__CHARGE_VAT, n + WEFT__PART_COST);
    return p;
}

int weft__rope_clear(weft__holding *h, unsigned *budget)
{
    enum { AT_ONCE = 8 };
    for (unsigned n = 1; h->first; n++) {
        if (!*budget || !weft__shared_unref_some(h->first->span.block, &h->drained, budget))
            return 0;
        h->drained = 0;
        weft__slab_put(weft__parts_of(), shift(h));
        if (n % AT_ONCE == 0 && *budget)
            --*budget;
    }
    return 1;
}

WEFT_API int weft_rope_drop(weft_rope rope)
{
    weft__holding *h;
    int r = find(rope, &h);
    if (r < 0)
        return r;
    while (h->first)
        free_part(shift(h));
    weft__holding_free(h, 0);
    return 0;
}

/* ---- adding ---- */

/* A span that continues the rope's last one makes that longer. */
static int continues(const weft__holding *h, const weft__span *span)
{
    const weft__part *last = h->last;
    return last && last->span.block == span->block && last->span.offset + last->span.length == span->offset;
}

static int add(weft__holding *h, const weft__span *span)
{
    chain c = {0};
    size_t sum;
    if (!continues(h, span))
        return finish(h, &c, chain_add(&c, span));
    if (__builtin_add_overflow(h->length, span->length, &sum))
        return -EOVERFLOW;
    int r = weft__charge(h->lane, WEFT__CHARGE_VAT, span->length);
    if (r < 0)
        return r;
    h->last->span.length += span->length;
    h->length = sum;
    return 0;
}

WEFT_API int weft_rope_add(weft_rope rope, weft_slice slice)
{
    weft__holding *h, *s;
    int r = find(rope, &h);
    if (r == 0)
        r = weft__holding_find(slice.id, WEFT__SLICE, &s);
    return r < 0 ? r : add(h, &s->span);
}

WEFT_API int weft_rope_concat(weft_rope rope, weft_rope other)
{
    weft__holding *h, *o;
    chain c = {0};
    int r = find(rope, &h);
    if (r == 0)
        r = find(other, &o);
    return r < 0 ? r : finish(h, &c, chain_cut(&c, o, 0, o->length));
}

WEFT_API int weft_rope_add_copy(weft_rope rope, const void *p, size_t n)
{
    weft__holding *h;
    int r = find(rope, &h);
    if (r < 0)
        return r;
    if (!p && n)
        return -EINVAL;
    if (!n)
        return 0;
    weft__shared *s = weft__shared_make(h->lane->rt, n);
    if (!s)
        return -ENOMEM;
    memcpy(s->data, p, n);
    r = add(h, &(weft__span){s, 0, n});
    weft__shared_unref(s);
    return r;
}

WEFT_API int weft_rope_sub(weft_rope *out, weft_rope rope, size_t offset, size_t length)
{
    weft__holding *h, *made;
    chain c = {0};
    int r = find(rope, &h);
    if (r < 0)
        return r;
    if (!out || offset > h->length)
        return -EINVAL;
    if (length == SIZE_MAX)
        length = h->length - offset;
    if (length > h->length - offset)
        return -EINVAL;
    r = weft__holding_make(h->lane, WEFT__ROPE, 0, &made);
    if (r < 0)
        return r;
    r = finish(made, &c, chain_cut(&c, h, offset, length));
    if (r < 0)
        weft__holding_free(made, 0);
    else
        out->id = weft__holding_id(made);
    return r;
}

WEFT_API int weft_rope_skip(weft_rope rope, size_t n)
{
    weft__holding *h;
    int r = find(rope, &h);
    if (r < 0)
        return r;
    if (n > h->length)
        return -EINVAL;
    while (n && n >= h->first->span.length) {
        n -= h->first->span.length;
        free_part(shift(h));
    }
    if (n) {
        h->first->span.offset += n;
        h->first->span.length -= n;
        h->length -= n;
        weft__discharge(h->lane, WEFT__CHARGE_VAT, n);
    }
    return 0;
}

/* ---- looking ---- */

WEFT_API int weft_rope_length(weft_rope rope, size_t *bytes, size_t *parts)
{
    weft__holding *h;
    int r = find(rope, &h);
    if (r < 0)
        return r;
    if (bytes)
        *bytes = h->length;
    if (parts)
        *parts = h->parts;
    return 0;
}

WEFT_API int weft_rope_iov(weft_rope rope, size_t offset, struct iovec *iov, unsigned max)
{
    weft__holding *h;
    unsigned n = 0;
    int r = find(rope, &h);
    if (r < 0)
        return r;
    if (offset > h->length || (!iov && max))
        return -EINVAL;
    if (max > INT32_MAX)
        max = INT32_MAX;
    for (const weft__part *p = h->first; p && n < max; p = p->next) {
        if (offset >= p->span.length) {
            offset -= p->span.length;
            continue;
        }
        iov[n].iov_base = p->span.block->data + p->span.offset + offset;
        iov[n++].iov_len = p->span.length - offset;
        offset = 0;
    }
    return (int)n;
}

WEFT_API ssize_t weft_rope_read(weft_rope rope, size_t offset, void *buf, size_t n)
{
    weft__holding *h;
    size_t done = 0;
    int r = find(rope, &h);
    if (r < 0)
        return r;
    if (offset > h->length || (!buf && n))
        return -EINVAL;
    if (n > (size_t)PTRDIFF_MAX)
        n = (size_t)PTRDIFF_MAX;
    for (const weft__part *p = h->first; p && done < n; p = p->next) {
        if (offset >= p->span.length) {
            offset -= p->span.length;
            continue;
        }
        size_t some = p->span.length - offset < n - done ? p->span.length - offset : n - done;
        memcpy((char *)buf + done, p->span.block->data + p->span.offset + offset, some);
        done += some;
        offset = 0;
    }
    return (ssize_t)done;
}

WEFT_API int weft_rope_flatten(weft_slice *out, weft_rope rope)
{
    weft__holding *h;
    int r = find(rope, &h);
    if (r < 0)
        return r;
    if (!out)
        return -EINVAL;
    weft__span span = {NULL, 0, h->length};
    if (h->parts == 1) {
        span = h->first->span;
        weft__shared_ref(span.block);
    } else {
        span.block = weft__shared_make(h->lane->rt, h->length);
        if (!span.block)
            return -ENOMEM;
        (void)weft_rope_read(rope, 0, span.block->data, h->length);
    }
    r = weft__slice_attach(h->lane, &span, out);
    if (r < 0)
        weft__shared_unref(span.block);
    return r;
}
