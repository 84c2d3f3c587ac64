/* Annexes: what few lanes need has its place in a record of its own, taken from a pool when a lane first
 * needs one, kept until the lane leaves its family. Taken by the lane's home worker, or by whoever makes
 * the lane; given back on any worker. */
#include <string.h>

#include "lane/realm.h"

static weft__slab_cache *pool_here(weft_runtime *rt)
{
    weft__lane_pools *here = weft__lane_pools_here(rt);
    return here ? &here->annexes : NULL;
}

weft__annex *weft__lane_annex(weft__lane *lane)
{
    weft__annex *a = lane->annex;
    if (a)
        return a;
    weft__slab_cache *here = pool_here(lane->rt);
    a = here ? weft__slab_get(here) : weft__slab_get_shared(&weft__lanes_of(lane->rt)->annexes);
    if (!a)
        return NULL;
    a->lane = lane;
    weft__link_init(&a->roaming);
    weft__store_relaxed(&a->moves, 0, "annex.make");
    a->moved_ns = 0;
    a->stays = 0;
    a->tag = NULL;
    a->ends = (weft__tasks){0};
    a->ender = NULL;
    a->holdings = NULL;
    memset(&a->timer, 0, sizeof a->timer);
    a->alarms = (weft__alarms){.timer.deadline_ns = WEFT_NEVER};
    weft__store_relaxed(&a->mail_messages, 0, "annex.make");
    weft__store_relaxed(&a->mail_bytes, 0, "annex.make");
    a->locals = NULL;
    weft__store_release(&lane->annex, a, "annex.make"); /* pairs with the acquire in weft__mailbox_limits */
    return a;
}

void weft__lane_annex_drop(weft__lane *lane)
{
    weft__annex *a = lane->annex;
    if (!a)
        return;
    weft__store_relaxed(&lane->annex, NULL, "annex.drop");
    weft__slab_cache *here = pool_here(lane->rt);
    if (here)
        weft__slab_put(here, a);
    else
        weft__slab_put_shared(&weft__lanes_of(lane->rt)->annexes, a);
}
