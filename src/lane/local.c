/* Lane-local values: a handful of process-wide keys, a pointer each in every lane that sets one, kept in
 * the lane's own memory. Keys are made by any thread and never given back; values belong to the lane's
 * fibers, and at its end to its worker. */
#include <errno.h>
#include <string.h>
#include <weft/vat.h>

#include "base/check.h"
#include "lane/estate.h"
#include "lane/realm.h"

static uint32_t keys;
static void (*destroyers[WEFT_LANE_LOCALS])(void *);

int weft_lane_local_key(unsigned *key, void (*destroy)(void *value))
{
    if (!key)
        return -EINVAL;
    uint32_t n = weft__load_relaxed(&keys, "lane_local.key");
    do
        if (n >= WEFT_LANE_LOCALS)
            return -EAGAIN;
    while (!weft__cas_acq_rel(&keys, &n, n + 1, "lane_local.key"));
    weft__store_release(&destroyers[n], destroy, "lane_local.key"); /* before anybody can know the key */
    *key = n;
    return 0;
}

int weft_lane_local_set(unsigned key, void *value)
{
    weft__lane *lane = weft__lane_self();
    if (!lane)
        return -EPERM;
    if (key >= weft__load_relaxed(&keys, "lane_local.set"))
        return -EINVAL;
    weft__annex *annex = value ? weft__lane_annex(lane) : lane->annex;
    if (value && annex && !annex->locals)
        annex->locals = weft_calloc(WEFT_LANE_LOCALS, sizeof *annex->locals);
    if (annex && annex->locals)
        annex->locals[key] = value;
    else if (value)
        return -ENOMEM;
    return 0;
}

void *weft_lane_local_get(unsigned key)
{
    weft__lane *lane = weft__lane_self();
    const weft__annex *annex = lane ? lane->annex : NULL;
    return annex && annex->locals && key < WEFT_LANE_LOCALS ? annex->locals[key] : NULL;
}

void weft__lane_locals_bury(weft__lane *lane)
{
    weft__annex *annex = lane->annex;
    void **values = annex ? annex->locals : NULL;
    if (values)
        annex->locals = NULL; /* its memory goes with the vat */
    for (uint32_t i = 0, n = values ? weft__load_relaxed(&keys, "lane_local.bury") : 0; i < n; i++) {
        void (*destroy)(void *) = weft__load_acquire(&destroyers[i], "lane_local.bury");
        if (values[i] && destroy)
            destroy(values[i]);
    }
}
