/* Ties and knots: making, fastening, and what happens to them at a lane's end. The tie lock is the realm's; it is
 * held for a few instructions, so the end of a lane with many ties takes it once for each.
 *
 * A lane's `ties` tells its state as `mail` does: NULL, at its end or no lane; an odd number, none yet; else its
 * knot. The end of a lane exchanges it for NULL: who fastens looks at the knot's owner under the lock, so a tie is
 * either fastened before that knot is emptied, and told, or refused. A message that a tie tells is put into the
 * mailbox under the tie lock: once a monitor is found gone, its message is there. */
#include "lane/tie.h"

#include <errno.h>

#include "base/check.h"
#include "lane/estate.h"
#include "lane/realm.h"

/* ---- set-up ---- */

weft__tie_realm *weft__ties_of(weft_runtime *rt) { return &weft__lanes_of(rt)->ties; }
weft__tie_pools *weft__tie_pools_of(weft_runtime *rt)
{
    weft__lane_pools *here = weft__lane_pools_here(rt);
    return here ? &here->ties : NULL;
}

int weft__ties_open(weft__tie_realm *realm, const weft_env *env, unsigned shift, unsigned chunks)
{
    int r = weft__slab_init(&realm->ties, env, sizeof(weft__tie), shift, chunks, WEFT__GEN_LIVES);
    if (r < 0)
        return r;
    r = weft__slab_init(&realm->knots, env, sizeof(weft__knot), shift, chunks, WEFT__GEN_LIVES);
    if (r < 0)
        goto ties;
    r = weft__slab_init(&realm->names, env, sizeof(weft__name), shift, chunks, WEFT__GEN_LIVES);
    if (r < 0)
        goto knots;
    return 0;
knots:
    weft__slab_fini(&realm->knots);
ties:
    weft__slab_fini(&realm->ties);
    return r;
}

void weft__ties_close(weft__tie_realm *realm)
{
    weft__slab_fini(&realm->names);
    weft__slab_fini(&realm->knots);
    weft__slab_fini(&realm->ties);
}

void weft__ties_enter(weft__tie_pools *pools, weft__tie_realm *realm)
{
    pools->ties.slab = &realm->ties;
    pools->knots.slab = &realm->knots;
    pools->names.slab = &realm->names;
}

void weft__ties_leave(weft__tie_pools *pools)
{
    weft__slab_cache_flush(&pools->ties);
    weft__slab_cache_flush(&pools->knots);
    weft__slab_cache_flush(&pools->names);
}

/* ---- knots ---- */

static void put_knot(weft_runtime *rt, weft__knot *k)
{
    weft__tie_pools *pools = weft__tie_pools_of(rt);
    if (pools)
        weft__slab_put(&pools->knots, k);
    else
        weft__slab_put_shared(&weft__ties_of(rt)->knots, k);
}

static void own_knot(weft__tie_realm *realm, weft__knot *k, weft_id owner)
{
    weft__spin_lock(&realm->lock);
    k->owner = owner;
    weft__spin_unlock(&realm->lock);
}

static int make_knot(weft_runtime *rt, weft__lane *lane, weft_id id, weft__knot **out)
{
    weft__tie_pools *pools = weft__tie_pools_of(rt);
    weft__knot *k = pools ? weft__slab_get(&pools->knots) : weft__slab_get_shared(&weft__ties_of(rt)->knots);
    weft__knot *none = weft__open_mark(id.gen);
    if (!k)
        return -ENOMEM;
    weft__link_init(&k->ends);
    weft__link_init(&k->names);
    k->lane = lane;
    k->traps = k->nameless = k->exiting = 0;
    own_knot(weft__ties_of(rt), k, id);
    if (weft__cas_acq_rel(&lane->ties, &none, k, "knot.make")) { /* pairs with the exchange in weft__ties_end */
        *out = k;
        return 0;
    }
    own_knot(weft__ties_of(rt), k, WEFT_NOID);
    put_knot(rt, k);
    if (!none || weft__is_mark(none))
        return -ESRCH;
    *out = none; /* somebody else was quicker */
    return 0;
}

int weft__knot_find(weft_runtime *rt, weft_id id, weft__knot **out)
{
    if (id.ns != WEFT__NS(rt, WEFT__LANE))
        return weft__id_refused(rt, id);
    weft__lane *lane = id.gen ? weft__slab_at(&weft__lanes_of(rt)->lanes, id.key) : NULL;
    weft__knot *k = lane ? weft__load_acquire(&lane->ties, "knot.find") : NULL;
    if (!k || (weft__is_mark(k) && k != (weft__knot *)weft__open_mark(id.gen)))
        return -ESRCH;
    if (weft__is_mark(k))
        return make_knot(rt, lane, id, out);
    *out = k;
    return 0;
}

int weft__knot_lives(const weft__knot *k, weft_id id) { return weft_id_equal(k->owner, id); }

/* ---- ties ---- */

weft__tie *weft__tie_make(weft_runtime *rt, enum weft__tie_kind kind, int noted)
{
    weft__tie *t = weft__slab_get(&weft__tie_pools_of(rt)->ties);
    if (!t)
        return NULL;
    weft__msg *note = noted ? weft__msg_take(rt, sizeof(weft_down)) : NULL;
    if (noted && !note) {
        weft__slab_put(&weft__tie_pools_of(rt)->ties, t);
        return NULL;
    }
    weft__spin_lock(&weft__ties_of(rt)->lock); /* a stale id may look at it */
    t->kind = (uint8_t)kind;
    t->note = note;
    t->rights = 0;
    for (int i = 0; i < 2; i++) {
        weft__link_init(&t->ends[i].link);
        t->ends[i].knot = NULL;
        t->ends[i].tie = t;
    }
    weft__spin_unlock(&weft__ties_of(rt)->lock);
    return t;
}

void weft__tie_free(weft_runtime *rt, weft__tie *t)
{
    weft__tie_pools *pools = weft__tie_pools_of(rt);
    if (t->note)
        weft__msg_give(t->note);
    t->note = NULL;
    if (pools)
        weft__slab_put(&pools->ties, t);
    else
        weft__slab_put_shared(&weft__ties_of(rt)->ties, t);
}

void weft__tie_fasten(weft__tie *t, weft__knot *a, weft__knot *b)
{
    t->ends[0].knot = a;
    t->ends[1].knot = b;
    weft__link_before(&a->ends, &t->ends[0].link);
    weft__link_before(&b->ends, &t->ends[1].link);
}

void weft__tie_loosen(weft_runtime *rt, weft__tie *t)
{
    weft__link_remove(&t->ends[0].link);
    weft__link_remove(&t->ends[1].link);
    weft__slab_end(&weft__ties_of(rt)->ties, t, 1);
    t->kind = 0;
}

static int connects(const weft__tie *t, const weft__knot *from, const weft__knot *to, enum weft__tie_kind kind)
{
    if (t->kind != kind)
        return 0;
    if (t->ends[0].knot == from && t->ends[1].knot == to)
        return 1;
    return kind == WEFT__TIE_LINK && t->ends[0].knot == to && t->ends[1].knot == from;
}

weft__tie *weft__tie_between(weft__knot *from, weft__knot *to, enum weft__tie_kind kind)
{
    const weft__link *a = from->ends.next, *b = to->ends.next;
    for (; a != &from->ends && b != &to->ends; a = a->next, b = b->next) {
        weft__tie *t = weft__container(a, weft__tie_end, link)->tie, *u = weft__container(b, weft__tie_end, link)->tie;
        if (connects(t, from, to, kind))
            return t;
        if (connects(u, from, to, kind))
            return u;
    }
    return NULL;
}

/* ---- the end of a lane ---- */

/* What is left to do once the tie lock is released. */
typedef struct last_word {
    weft__mail_news news;
    weft__mailbox *box;   /* where a note was put */
    weft_id signal;       /* a linked lane that fails with us */
} last_word;

/* The lane at the other end of t exists, and so does the mailbox that it has. Under the tie lock. */
static void tell(weft__tie *t, weft__knot *to, int kind, weft_id ref, const weft_exit *why, last_word *out)
{
    weft__mailbox *box = weft__load_acquire(&to->lane->mail, "tie.tell");
    if (!box || weft__is_mark(box))
        return;
    weft__msg *m = t->note;
    t->note = NULL;
    *(weft_down *)(void *)m->content = (weft_down){ref, *why};
    m->pub.kind = kind;
    m->pub.from = why->lane;
    if (weft__mailbox_post(box, m, &out->news))
        out->box = box;
}

static void sever(weft__tie *t, int dying, const weft_exit *why, last_word *out)
{
    weft__knot *other = t->ends[!dying].knot;
    if (t->kind == WEFT__TIE_MONITOR && dying == 0)
        tell(t, other, WEFT_MSG_DOWN, weft__tie_id(other->lane->rt, t), why, out);
    if (t->kind != WEFT__TIE_LINK)
        return;
    if (other->traps) {
        tell(t, other, WEFT_MSG_EXIT, WEFT_NOID, why, out);
    } else if (why->kind != WEFT_EXIT_NORMAL) {
        if (!other->exiting)
            other->exit = *why;
        other->exiting = 1;
        out->signal = other->owner;
    }
}

/* One tie less: 1, or 0 if there was none any more. Then the knot is nobody's. */
static int end_one(weft_runtime *rt, weft__knot *k, const weft_exit *why)
{
    weft__tie_realm *realm = weft__ties_of(rt);
    last_word last = {.box = NULL, .signal = WEFT_NOID};
    weft__tie *t = NULL;
    weft__mail_news_init(&last.news);
    weft__spin_lock(&realm->lock);
    if (!weft__link_alone(&k->ends)) {
        weft__tie_end *e = weft__container(k->ends.next, weft__tie_end, link);
        t = e->tie;
        sever(t, e == &t->ends[1], why, &last);
        weft__tie_loosen(rt, t);
    } else {
        k->owner = WEFT_NOID;
    }
    weft__spin_unlock(&realm->lock);
    if (last.box)
        weft__mail_tell(last.box, &last.news);
    if (last.signal.gen)
        weft__lane_signal(rt, last.signal, WEFT__SIG_CANCEL | WEFT__SIG_LINK);
    if (t)
        weft__tie_free(rt, t);
    return t != NULL;
}

void weft__ties_end(weft__lane *lane, const weft_exit *why)
{
    /* Pairs with the CAS in make_knot. */
    weft__knot *k = weft__exchange_acq_rel(&lane->ties, (weft__knot *)NULL, "tie.end");
    if (k && !weft__is_mark(k)) {
        while (end_one(lane->rt, k, why))
            ;
        weft__names_drop(k);
        put_knot(lane->rt, k);
    }
    weft__mailbox_end(lane);
}

int weft__ties_exit_signal(weft__lane *lane, weft_exit *out)
{
    weft__tie_realm *realm = weft__ties_of(lane->rt);
    weft__knot *k = weft__load_acquire(&lane->ties, "tie.signal");
    if (!k || weft__is_mark(k))
        return 0;
    weft__spin_lock(&realm->lock);
    int is = k->exiting;
    if (is)
        *out = k->exit;
    k->exiting = 0;
    weft__spin_unlock(&realm->lock);
    return is;
}

/* ---- questions ---- */

static int ask(weft_runtime *rt, weft_id from, weft_id to, weft__knot *a, weft__knot *b, enum weft__tie_kind kind, unsigned rights)
{
    weft__tie_realm *realm = weft__ties_of(rt);
    if (!a || !b || weft__is_mark(a) || weft__is_mark(b))
        return 0;
    weft__spin_lock(&realm->lock);
    weft__tie *t = weft__knot_lives(a, from) && weft__knot_lives(b, to) ? weft__tie_between(a, b, kind) : NULL;
    int yes = t && (t->rights & rights) == rights;
    weft__spin_unlock(&realm->lock);
    return yes;
}

int weft__tie_right(weft__lane *holder, weft_id subject, unsigned right)
{
    weft_runtime *rt = holder->rt;
    if (subject.ns != WEFT__NS(rt, WEFT__LANE))
        return 0;
    weft__lane *lane = weft__slab_at(&weft__lanes_of(rt)->lanes, subject.key);
    return lane && ask(rt, subject, holder->crew.id, weft__load_acquire(&lane->ties, "tie.right"),
                       weft__load_acquire(&holder->ties, "tie.right"), WEFT__TIE_GRANT, right);
}

int weft__tie_monitored(weft__lane *child, weft__lane *by)
{
    weft__knot *a = weft__load_acquire(&child->ties, "tie.watched"), *b = weft__load_acquire(&by->ties, "tie.watched");
    return ask(child->rt, child->crew.id, by->crew.id, a, b, WEFT__TIE_MONITOR, 0) ||
           ask(child->rt, child->crew.id, by->crew.id, a, b, WEFT__TIE_LINK, 0);
}

int weft__ties_watched(weft__lane *lane) { return weft__tie_monitored(lane, lane->parent); }
