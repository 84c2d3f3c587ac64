/* Large blocks: each is a run of chunks of its own, charged by leaves, of which only those that its bytes reach are
 * ever touched. For the lane's worker. */
#include "arch/poison.h"
#include "base/check.h"
#include "lane/account.h"
#include "lane/alarm.h"
#include "lane/vat.h"
#include "port/inflight.h"

/* What a block of `size` bytes is charged; 0: more than there can be. */
static size_t run_bytes(size_t size)
{
    if (size > (size_t)PTRDIFF_MAX - WEFT__CHUNK)
        return 0;
    return (size + WEFT__RUN_HEAD + WEFT__LEAF - 1) / WEFT__LEAF * WEFT__LEAF;
}

static void count_held(weft__vat *v, size_t held)
{
    v->held = held;
    if (held > v->peak)
        v->peak = held;
}

void *weft__run_alloc(weft__vat *v, size_t size, int *clean)
{
    size_t bytes = run_bytes(size);
    if (!bytes || weft__charge(v->lane, WEFT__CHARGE_VAT, bytes) < 0)
        return NULL;
    weft__page *g = weft__depot_take_run(v->depot, (bytes + WEFT__CHUNK - 1) / WEFT__CHUNK, clean);
    if (!g) {
        weft__discharge(v->lane, WEFT__CHARGE_VAT, bytes);
        return NULL;
    }
    g->vat = v;
    g->lane = v->lane->head.key;
    g->class = WEFT__CLASS_RUN;
    g->state = WEFT__PAGE_FULL;
    g->used = 1;
    g->bytes = bytes;
    weft__page_link(&v->runs, g);
    v->pages++;
    count_held(v, v->held + bytes);
    return weft__run_data(g);
}

void weft__run_free(weft__vat *v, weft__page *g)
{
    size_t bytes = g->bytes;
    weft__unpoison(weft__run_data(g), weft__run_room(g));
    weft__page_unlink(&v->runs, g);
    v->pages--;
    v->held -= bytes;
    weft__depot_give_run(v->depot, g);
    weft__discharge(v->lane, WEFT__CHARGE_VAT, bytes);
}

int weft__run_resize(weft__vat *v, weft__page *g, size_t size)
{
    size_t bytes = run_bytes(size), old = g->bytes;
    if (!bytes || bytes > g->count * WEFT__CHUNK || bytes < old / 2)
        return 0;
    if (bytes > old && weft__charge(v->lane, WEFT__CHARGE_VAT, bytes - old) < 0)
        return 0;
    if (bytes < old) {
        weft__inflight_check((char *)weft__page_chunk_of(g) + bytes, old - bytes, "the end of a block of a lane's memory");
        weft__alarms_check(v->lane, (char *)weft__page_chunk_of(g) + bytes, old - bytes, "a block of its memory was cut short");
        weft__unpoison((char *)weft__page_chunk_of(g) + bytes, old - bytes);
        weft__discharge(v->lane, WEFT__CHARGE_VAT, old - bytes);
    }
    g->bytes = bytes;
    count_held(v, v->held + bytes - old);
    return 1;
}
