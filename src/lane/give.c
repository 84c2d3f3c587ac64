/* Handing resources to other lanes. On the giver's worker, which changes the record's owner under the receiver's lock:
 * from that moment on it is the receiver's, wherever that runs. The record stays the same and only its generation
 * changes, unless that is used up: then the next record takes its place.
 *
 * A receiver cannot end while its lock is held and it accepts, and a lane's record stays a lane's record,
 * so a stale id does no harm. */
#include <errno.h>

#include "base/check.h"
#include "lane/account.h"
#include "lane/kind.h"
#include "lane/realm.h"

/* A resource on its way. */
typedef struct parcel {
    weft__resource *r;
    weft__resource *fresh; /* takes its place; NULL: it goes itself */
} parcel;

/* What can fail beside the receiver. */
static int wrap(parcel *p, weft__resource *r)
{
    weft__slab *slab = weft__resource_slab(r->lane->rt, r->kind);
    *p = (parcel){r, NULL};
    if (WEFT__GEN(weft__load_relaxed(&r->head.word, "give.wrap")) < slab->gen_max)
        return 0;
    p->fresh = weft__slab_get(weft__resource_cache(weft__worker_self(), r->kind));
    return p->fresh ? 0 : -ENOMEM;
}

static void unwrap(parcel *p)
{
    if (p->fresh)
        weft__slab_put(weft__resource_cache(weft__worker_self(), p->r->kind), p->fresh);
}

/* With the receiver's lock held; from its end on the record is not ours. The new id. */
static weft_id deliver(parcel *p, weft__lane *to)
{
    weft__resource *r = p->r, *m = p->fresh ? p->fresh : r;
    weft__lane *from = r->lane;
    weft__link_remove(&r->link);
    if (p->fresh) {
        weft__resource_clear(m, r->type->kind);
        m->type = r->type;
        weft__store_relaxed(&m->kind, (uint16_t)r->type->kind, "give.deliver");
        r->type->copy(m, r, 0);
        weft__store_relaxed(&r->owner, 0, "give.deliver");
        r->closed = 1;
    }
    weft__slab_end(weft__resource_slab(from->rt, r->kind), r, 1); /* stale from here on */
    m->lane = to;
    m->arriving = 1;
    m->head.next = (void *)to->arrivals;
    to->arrivals = m;
    weft_id id = weft__resource_id(m);
    weft__store_release(&m->owner, to->head.key, "give.deliver"); /* pairs with the acquire in weft__resource_find */
    return id;
}

/* The lane an id names, locked, if it can be given n things. */
static int lock_receiver(weft_runtime *rt, weft_id id, size_t n, weft__lane **out)
{
    weft__lane *lane = weft__slab_at(&weft__lanes_of(rt)->lanes, id.key);
    if (!lane)
        return -ESRCH;
    weft__spin_lock(&lane->lock);
    int r = -ESRCH;
    /* In this order: a record that accepts and still has the id's generation is that lane's, and stays it
     * while the lock is held. A generation read first may be the last lane's, and `accepting` the next
     * one's. Pairs with the release in fill. */
    if (weft__load_acquire(&lane->accepting, "give.lock") && weft__slab_is(weft__load_acquire(&lane->head.word, "give.lock"), id.gen))
        r = weft__charge(lane, WEFT__CHARGE_IDS, n);
    if (r < 0)
        weft__spin_unlock(&lane->lock);
    *out = lane;
    return r;
}

/* What remains here: the records of those whose place a fresh one took. */
static void leave(parcel *p)
{
    if (p->fresh && p->r->type->replaced)
        p->r->type->replaced(p->r);
    else if (p->fresh)
        weft__resource_free(p->r);
}

static int hand_over(weft__resource *r, weft_id to, weft_id *out)
{
    weft__lane *self = r->lane, *lane;
    parcel p;
    int result = wrap(&p, r);
    if (result < 0)
        return result;
    result = lock_receiver(self->rt, to, 1, &lane);
    if (result < 0) {
        unwrap(&p);
        return result;
    }
    weft_id id = deliver(&p, lane);
    weft__spin_unlock(&lane->lock);
    leave(&p);
    weft__discharge(self, WEFT__CHARGE_IDS, 1);
    if (out)
        *out = id;
    return 0;
}

int weft_give(weft_id id, weft_id lane, weft_id *out, int64_t deadline)
{
    weft__resource *r;
    int result = weft__resource_find(id, ~0u, &r);
    if (result < 0)
        return result;
    weft__lane *self = r->lane;
    if (lane.ns != WEFT__NS(self->rt, WEFT__LANE) || !lane.gen)
        return weft__id_refused(self->rt, lane);
    if (weft_id_equal(lane, self->crew.id) || !r->type->pack)
        return -EINVAL;
    if (weft__canceled(weft__fiber_self()))
        return weft__refuse(weft__fiber_self(), -ECANCELED);
    result = r->type->pack(r, deadline);
    if (result < 0)
        return result == -ETIMEDOUT ? weft__refuse(weft__fiber_self(), result) : result;
    return hand_over(r, lane, out);
}

int weft__give_to_newborn(weft__lane *lane, unsigned n)
{
    weft_id *ids = (weft_id *)(void *)lane->newborn->copy;
    parcel p[WEFT_LANE_COPY_MAX / sizeof *ids];
    unsigned ready = 0;
    int r = n <= lane->newborn->copied / sizeof *ids ? 0 : -EINVAL;
    for (; r == 0 && ready < n; ready++) {
        weft__resource *res;
        for (unsigned i = 0; i < ready && r == 0; i++)
            r = weft_id_equal(ids[i], ids[ready]) ? -EINVAL : 0; /* the same one twice */
        if (r == 0)
            r = weft__resource_find(ids[ready], ~0u, &res);
        if (r == 0)
            r = res->type->pack ? res->type->pack(res, WEFT_NOW) : -EINVAL;
        if (r == -ETIMEDOUT)
            r = -EBUSY; /* the streaming form's end was asked for */
        if (r == 0)
            r = wrap(&p[ready], res);
        if (r < 0)
            break;
    }
    if (r == 0)
        r = weft__charge(lane, WEFT__CHARGE_IDS, n);
    if (r < 0) {
        while (ready > 0)
            unwrap(&p[--ready]);
        return r;
    }
    for (unsigned i = 0; i < n; i++) {
        weft__lane *self = p[i].r->lane;
        weft__spin_lock(&lane->lock);
        ids[i] = deliver(&p[i], lane);
        weft__spin_unlock(&lane->lock);
        leave(&p[i]);
        weft__discharge(self, WEFT__CHARGE_IDS, 1);
    }
    return 0;
}
