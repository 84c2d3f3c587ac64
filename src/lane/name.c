/* Names of lanes: a hash table per runtime. Looking up takes the names' lock only, on any thread; a name's place in
 * its lane's knot is under the tie lock, which is taken first where both are needed. */
#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "lane/estate.h"
#include "lane/realm.h"

/* FNV-1a. */
static unsigned bucket_of(const char *text)
{
    uint32_t h = 2166136261u;
    for (; *text; text++)
        h = (h ^ (unsigned char)*text) * 16777619u;
    return (h ^ h >> 16) % WEFT__NAME_BUCKETS;
}

static int check(const char *name)
{
    if (!name || !*name)
        return -EINVAL;
    return memchr(name, 0, WEFT_NAME_MAX + 1) ? 0 : -ENAMETOOLONG;
}

/* The link that points to that name, or to the end of its bucket. Under the names' lock. */
static weft__name **place_of(weft__tie_realm *realm, const char *text)
{
    weft__name **p = &realm->buckets[bucket_of(text)];
    while (*p && strcmp((*p)->text, text) != 0)
        p = &(*p)->next;
    return p;
}

static void put_name(weft_runtime *rt, weft__name *n) { weft__slab_put(&weft__tie_pools_of(rt)->names, n); }

/* Under the tie lock. */
static void remove_name(weft__tie_realm *realm, weft__name *n)
{
    weft__link_remove(&n->link);
    weft__spin_lock(&realm->names_lock);
    weft__name **p = place_of(realm, n->text);
    *p = n->next;
    weft__spin_unlock(&realm->names_lock);
}

/* Under the tie lock; -EEXIST. */
static int insert_name(weft__tie_realm *realm, weft__name *n)
{
    weft__spin_lock(&realm->names_lock);
    weft__name **p = place_of(realm, n->text);
    int taken = *p != NULL;
    if (!taken) {
        n->next = NULL;
        *p = n;
    }
    weft__spin_unlock(&realm->names_lock);
    return taken ? -EEXIST : 0;
}

static int enter(weft__lane *self, weft_id lane, const char *text)
{
    weft_runtime *rt = self->rt;
    weft__tie_realm *realm = weft__ties_of(rt);
    weft__knot *k;
    int r = weft__knot_find(rt, lane, &k);
    if (r < 0)
        return r;
    weft__name *n = weft__slab_get(&weft__tie_pools_of(rt)->names);
    if (!n)
        return -ENOMEM;
    strcpy(n->text, text);
    n->lane = lane;
    n->knot = k;
    weft__spin_lock(&realm->lock);
    r = weft__knot_lives(k, lane) && !k->nameless ? insert_name(realm, n) : -ESRCH;
    if (r == 0)
        weft__link_before(&k->names, &n->link);
    weft__spin_unlock(&realm->lock);
    if (r < 0)
        put_name(rt, n);
    return r;
}

int weft_register_as(weft_id lane, const char *name)
{
    weft__lane *self = weft__lane_self();
    if (!self)
        return -EPERM;
    int r = check(name);
    if (r == 0)
        r = weft__ties_family(self, lane);
    return r < 0 ? r : enter(self, lane, name);
}

int weft_register(const char *name)
{
    weft__lane *self = weft__lane_self();
    return self ? weft_register_as(weft__lane_id(self), name) : -EPERM;
}

static int look(weft_runtime *rt, const char *name, weft_id *out)
{
    weft__tie_realm *realm = weft__ties_of(rt);
    int r = check(name);
    if (r < 0)
        return r == -ENAMETOOLONG ? -ESRCH : r;
    weft__spin_lock(&realm->names_lock);
    weft__name *n = *place_of(realm, name);
    if (n)
        *out = n->lane;
    weft__spin_unlock(&realm->names_lock);
    return n ? 0 : -ESRCH;
}

int weft_whereis(const char *name, weft_id *out)
{
    weft__worker *w = weft__worker_self();
    if (!w)
        return -EPERM;
    return out ? look(w->rt, name, out) : -EINVAL;
}

int weft_whereis_in(weft_runtime *rt, const char *name, weft_id *out)
{
    if (!rt || rt->magic != WEFT__RUNTIME_MAGIC || !out)
        return -EINVAL;
    return look(rt, name, out);
}

int weft_unregister(const char *name)
{
    weft__lane *self = weft__lane_self();
    weft_id lane;
    if (!self)
        return -EPERM;
    int r = look(self->rt, name, &lane);
    if (r == 0)
        r = weft__ties_family(self, lane);
    if (r < 0)
        return r;
    weft__tie_realm *realm = weft__ties_of(self->rt);
    weft__spin_lock(&realm->lock); /* nobody removes names meanwhile */
    weft__spin_lock(&realm->names_lock);
    weft__name *n = *place_of(realm, name);
    weft__spin_unlock(&realm->names_lock);
    int same = n && weft_id_equal(n->lane, lane);
    if (same)
        remove_name(realm, n);
    weft__spin_unlock(&realm->lock);
    if (!same)
        return -ESRCH;
    put_name(self->rt, n);
    return 0;
}

void weft__names_drop(weft__knot *k)
{
    weft_runtime *rt = k->lane->rt;
    weft__tie_realm *realm = weft__ties_of(rt);
    for (;;) {
        weft__name *n = NULL;
        weft__spin_lock(&realm->lock);
        k->nameless = 1;
        if (!weft__link_alone(&k->names)) {
            n = weft__container(k->names.next, weft__name, link);
            remove_name(realm, n);
        }
        weft__spin_unlock(&realm->lock);
        if (!n)
            return;
        put_name(rt, n);
    }
}

void weft__names_bury(weft__lane *lane)
{
    weft__knot *k = weft__load_acquire(&lane->ties, "name.bury");
    if (k && !weft__is_mark(k))
        weft__names_drop(k);
}
