/* Resources: records behind the ids of sockets, files, timers. A record belongs to one lane and is touched
 * by that lane's worker; its generation, kind and owner may be read by anybody, which is how another
 * lane's id is told from a stale one.
 *
 * A record that was given to a lane lies in its `arrivals`, under the lane's lock, until the lane's worker looks: at
 * the first use of the new id, as the ids are listed, or as the lane ends. So giving wakes nobody, and a lane that was
 * never born can be given something. */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <weft/net.h>

#include "base/check.h"
#include "lane/account.h"
#include "lane/kind.h"
#include "lane/realm.h"

#define UNOWNED 0u /* no lane's key: WEFT__KEY_BASE */

_Static_assert(sizeof(weft__resource) <= 128, "resources have room for what they name");

/* All but what others may be reading. */
void weft__resource_clear(weft__resource *r, enum weft__kind kind)
{
    const size_t from = offsetof(weft__resource, closed);
    if (weft__kind_small(kind))
        memset((char *)r + from, 0, WEFT__RESOURCE_SMALL - from);
    else
        memset((char *)r + from, 0, WEFT__RESOURCE_SIZE - from);
}

static void fill(weft__resource *r, const weft__resource_kind *type, weft__lane *lane)
{
    weft__resource_clear(r, type->kind);
    r->type = type;
    r->lane = lane;
    weft__store_relaxed(&r->kind, (uint16_t)type->kind, "resource.make");
    weft__store_relaxed(&r->owner, lane->head.key, "resource.make");
    weft__link_before(&lane->resources, &r->link);
}

int weft__resource_make_for(weft__lane *lane, const weft__resource_kind *type, weft__resource **out)
{
    weft__worker *w = weft__worker_self();
    int result = weft__kind_public(type->kind) ? weft__charge(lane, WEFT__CHARGE_IDS, 1) : 0;
    if (result < 0)
        return result;
    weft__resource *r = weft__slab_get(weft__resource_cache(w, type->kind));
    if (!r) {
        if (weft__kind_public(type->kind))
            weft__discharge(lane, WEFT__CHARGE_IDS, 1);
        return -ENOMEM;
    }
    fill(r, type, lane);
    *out = r;
    return 0;
}

int weft__resource_make(const weft__resource_kind *type, weft__resource **out)
{
    weft__lane *lane = weft__lane_self();
    return lane ? weft__resource_make_for(lane, type, out) : -EPERM;
}

weft_id weft__resource_id(const weft__resource *r)
{
    return (weft_id){r->head.key, WEFT__NS(r->lane->rt, r->kind), WEFT__GEN(weft__load_relaxed(&r->head.word, "resource.id"))};
}

int weft__resource_find(weft_id id, uint32_t kinds, weft__resource **out)
{
    weft__lane *lane = weft__lane_self();
    if (!lane)
        return -EPERM;
    weft_runtime *rt = lane->rt;
    unsigned kind = WEFT__NS_KIND(id.ns);
    if (id.ns != WEFT__NS(rt, kind) || !id.gen || weft__kind_in(kind) != WEFT__IN_RESOURCES)
        return weft__id_rejected(rt, id);
    weft__resource *r = weft__slab_at(weft__resource_slab(rt, kind), id.key);
    if (!r || WEFT__GEN(weft__load_acquire(&r->head.word, "resource.find")) != id.gen ||
        weft__load_relaxed(&r->kind, "resource.find") != kind)
        return -EBADF;
    /* Pairs with the release of whoever gave it away. */
    uint32_t owner = weft__load_acquire(&r->owner, "resource.find");
    if (owner != lane->head.key)
        return owner == UNOWNED ? -EBADF : -EPERM;
    if (r->arriving)
        weft__resources_arrive(lane);
    if (!(kinds & (1u << kind)))
        return -EINVAL;
    *out = r;
    return 0;
}

void weft__resource_close(weft__resource *r)
{
    if (r->closed)
        return;
    r->closed = 1;
    weft__store_relaxed(&r->owner, UNOWNED, "resource.close");
    weft__slab_end(weft__resource_slab(r->lane->rt, r->kind), r, 1); /* stale from here on */
    weft__link_remove(&r->link);
    r->lane->closing++;
    r->type->close(r);
}

void weft__resource_free(weft__resource *r) { weft__slab_put(weft__resource_cache(weft__worker_self(), r->kind), r); }

void weft__resource_settled(weft__lane *lane, int counted)
{
    if (counted) /* only now: a descriptor that is being closed is still there */
        weft__discharge(lane, WEFT__CHARGE_IDS, 1);
    lane->closing--;
    weft__lane_settle(lane);
}

void weft__resource_gone(weft__resource *r)
{
    weft__lane *lane = r->lane;
    int counted = weft__kind_public(r->kind);
    weft__resource_free(r);
    weft__resource_settled(lane, counted);
}

/* ---- what was given ---- */

static void enter(weft__lane *lane, weft__resource *r)
{
    while (r) {
        weft__resource *next = (void *)r->head.next;
        r->arriving = 0;
        weft__link_before(&lane->resources, &r->link);
        r = next;
    }
}

void weft__resources_arrive(weft__lane *lane)
{
    weft__spin_lock(&lane->lock);
    weft__resource *r = lane->arrivals;
    lane->arrivals = NULL;
    weft__spin_unlock(&lane->lock);
    enter(lane, r);
}

void weft__resources_shut(weft__lane *lane)
{
    weft__spin_lock(&lane->lock);
    weft__store_relaxed(&lane->accepting, 0, "resources.shut");
    weft__resource *r = lane->arrivals;
    lane->arrivals = NULL;
    weft__spin_unlock(&lane->lock);
    enter(lane, r);
}

int weft_close(weft_id id)
{
    weft__resource *r;
    int result = weft__resource_find(id, ~0u, &r);
    if (result == 0)
        weft__resource_close(r);
    return result;
}
