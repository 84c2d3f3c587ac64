/* A vat's end, in slices, and its figures. For the lane's worker; no code of the program's runs. */
#include <errno.h>

#include "arch/poison.h"
#include "base/check.h"
#include "lane/account.h"
#include "lane/estate.h"
#include "lane/vat.h"
#include "port/inflight.h"

enum { PAGES_A_UNIT = 8 };

/* ---- the end ---- */

/* What giving the page back will cost whoever trims the depot: the lane that filled it pays. */
static unsigned debt_of(const weft__page *g) { return g->order == WEFT__WHOLE ? WEFT__DISCARD_COST : 0; }

/* Gives back up to *left pages of a list. */
static void bury_list(weft__vat *v, weft__page **list, const weft__page *end, unsigned *left)
{
    while (*left && *list != end) {
        weft__page *g = *list;
        *list = g->next ? g->next : (weft__page *)(uintptr_t)end;
        if (g == v->first)
            continue;
        v->debt += debt_of(g);
        weft__vat_put(v, g);
        --*left;
    }
}

static void bury_pages(weft__vat *v, unsigned *left)
{
    for (unsigned class = 0; class < WEFT__VAT_CLASSES && *left; class++)
        bury_list(v, &v->room[class], &weft__page_none, left);
    bury_list(v, &v->full, NULL, left);
}

/* 1 when no run is left. */
static int bury_runs(weft__vat *v, unsigned *budget)
{
    while (v->runs) {
        weft__page *g = v->runs;
        size_t bytes = g->bytes;
        if (!*budget)
            return 0;
        weft__inflight_check(weft__run_data(g), weft__run_room(g), "a page of a lane's memory");
        weft__unpoison(weft__run_data(g), weft__run_room(g));
        weft__page *next = g->next;
        unsigned chunks = weft__page_chunk_of(g)->region->run ? 0 : g->count;
        if (!weft__depot_drain_run(v->depot, g, budget))
            return 0;
        v->debt += WEFT__DISCARD_COST * chunks;
        v->runs = next;
        v->pages--;
        v->held -= bytes;
        weft__discharge(v->lane, WEFT__CHARGE_VAT, bytes);
    }
    return 1;
}

/* What was given back beyond what the depot keeps goes to the environment now, as far as it was this lane's. */
static int settle_debt(weft__vat *v, unsigned *budget)
{
    if (!v->debt)
        return 1;
    unsigned may = v->debt < *budget ? v->debt : *budget, left = may;
    int done = weft__depot_trim(v->depot, &left);
    v->debt -= may - left;
    *budget -= may - left;
    if (done || !v->debt)
        return 1;
    return 0;
}

static void bury_first(weft__lane *lane, weft__vat *v)
{
    weft__page_depot *own = v->own;
    WEFT_ASSERT(v->pages == 1);
    lane->vat = NULL;
    weft__vat_put(v, v->first); /* the vat with it: in a depot of its own it stays readable until that closes */
    if (own)
        weft__vat_close_own(own);
}

int weft__vat_bury(weft__lane *lane, unsigned budget)
{
    weft__vat *v = lane->vat;
    if (!v || weft__vat_promised(v)) {
        lane->vat = NULL;
        return 1;
    }
    unsigned left = budget < UINT32_MAX / PAGES_A_UNIT ? budget * PAGES_A_UNIT : UINT32_MAX;
    bury_pages(v, &left);
    budget = left / PAGES_A_UNIT;
    if (!left || !bury_runs(v, &budget) || !settle_debt(v, &budget))
        return 0;
    bury_first(lane, v);
    return 1;
}

/* ---- figures ---- */

static size_t used_in(const weft__page *list, const weft__page *end)
{
    size_t n = 0;
    for (; list && list != end; list = list->next)
        n += list->class == WEFT__CLASS_ARENA ? 0 : (size_t)list->used * list->size;
    return n;
}

static size_t used_by(const weft__vat *v)
{
    size_t n = used_in(v->full, NULL);
    if (v->arena)
        n = v->held - (size_t)(v->end - v->bump);
    for (unsigned class = 0; class < WEFT__VAT_CLASSES; class++)
        n += used_in(v->room[class], &weft__page_none);
    for (const weft__page *g = v->runs; g; g = g->next)
        n += v->arena ? 0 : weft__run_room(g);
    for (size_t i = 0; !v->arena && i < WEFT__LEAF / 16; i++)
        if (v->tags[i] && v->tags[i] <= WEFT__VAT_MIXED)
            n += weft__class_size(v->tags[i] - 1u);
    return n;
}

WEFT_API int weft_vat_stats_get(weft_vat_stats *out)
{
    weft__fiber *f = weft__fiber_self();
    if (!f)
        return -EPERM;
    if (!out)
        return -EINVAL;
    weft__lane *lane = weft__lane_of(f->crew);
    const weft__account *a = lane->crew.account;
    const weft__vat *v = lane->vat;
    *out = (weft_vat_stats){.limit = a && !a->common ? a->limit[WEFT__CHARGE_VAT] : 0, .kind = "pages"};
    if (!v)
        return 0;
    if (weft__vat_promised(v)) {
        out->kind = ((const weft_vat_kind *)((uintptr_t)v & ~(uintptr_t)1))->name;
        return 0;
    }
    out->kind = v->kind ? v->kind->name : out->kind;
    out->used = used_by(v);
    out->held = v->held;
    out->peak = v->peak;
    out->pages = v->pages;
    return 0;
}
