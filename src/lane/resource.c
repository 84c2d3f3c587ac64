/* Resources: records behind the ids of sockets and files. A record belongs to one lane and is touched by that lane's worker; its generation and
 * owner may be read by anybody, which is how another lane's id is told from a stale one. */
#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "lane/account.h"
#include "lane/realm.h"

#define UNOWNED 0xffffffffu

_Static_assert(sizeof(weft__resource) <= 128, "resources have room for what they name");

static void fill(weft__resource *r, const weft__resource_kind *type, weft__lane *lane)
{
    memset((char *)r + sizeof r->head, 0, WEFT__RESOURCE_SIZE - sizeof r->head);
    r->type = type;
    r->lane = lane;
    r->rt = lane->rt;
    weft__store_relaxed(&r->kind, (uint16_t)type->kind, "resource.make");
    weft__store_relaxed(&r->owner, lane->head.key, "resource.make");
    weft__link_before(&lane->resources, &r->link);
}

int weft__resource_make_for(weft__lane *lane, const weft__resource_kind *type, weft__resource **out)
{
    weft__worker *w = weft__worker_self();
    int result = weft__charge(lane, WEFT__CHARGE_IDS, 1);
    if (result < 0)
        return result;
    weft__resource *r = weft__slab_get(&weft__lane_pools_of(w)->resources);
    if (!r) {
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
    return (weft_id){r->head.key, WEFT__NS(r->rt, r->kind), WEFT__GEN(weft__load_relaxed(&r->head.word, "resource.id"))};
}

int weft__resource_find(weft_id id, uint32_t kinds, weft__resource **out)
{
    weft__lane *lane = weft__lane_self();
    if (!lane)
        return -EPERM;
    weft_runtime *rt = lane->rt;
    unsigned kind = WEFT__NS_KIND(id.ns);
    if (id.ns != WEFT__NS(rt, kind) || !id.gen)
        return -EBADF;
    if (kind < WEFT__SOCKET)
        return -EINVAL;
    weft__resource *r = weft__slab_at(&weft__lanes_of(rt)->resources, id.key);
    if (!r || WEFT__GEN(weft__load_acquire(&r->head.word, "resource.find")) != id.gen ||
        weft__load_relaxed(&r->kind, "resource.find") != kind)
        return -EBADF;
    uint32_t owner = weft__load_relaxed(&r->owner, "resource.find");
    if (owner != lane->head.key)
        return owner == UNOWNED ? -EBADF : -EPERM;
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
    weft__slab_end(&weft__lanes_of(r->rt)->resources, r, 1); /* stale from here on */
    weft__link_remove(&r->link);
    r->lane->closing++;
    r->type->close(r);
}

void weft__resource_gone(weft__resource *r)
{
    weft__lane *lane = r->lane;
    weft__worker *w = weft__worker_self();
    weft__slab_put(&weft__lane_pools_of(w)->resources, r);
    weft__discharge(lane, WEFT__CHARGE_IDS, 1);
    lane->closing--;
    weft__lane_settle(lane);
}
