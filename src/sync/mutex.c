/* The mutex. Fast paths are one compare-and-swap of `word`; as soon as somebody waits, or its owner has died, SLOW
 * is set and every change is made under the lock. Its place in the holder's list belongs to the holder's worker.
 *
 * A free mutex goes to whoever comes first. The owner that unlocks wakes the first in line to compete (answer
 * RETRY); one that loses comes back to the head of the line and demands it: the next unlock hands it over. So a
 * mutex that is locked again and again by a fiber that does not wait costs no switch each time, and nobody is
 * overtaken for ever. Fair mutexes and selects are handed it at once. */
#include "sync/mutex.h"

#include <errno.h>
#include <string.h>

#include "sync/graph.h"

#define SLOW ((uintptr_t)1)
#define NOBODY ((uintptr_t)2) /* its owner was killed, and the lane is still dying */

enum { RETRY = 1, DEMANDS = 1 };

_Static_assert(sizeof(weft__mutex) <= sizeof(weft_mutex), "weft_mutex has room for what it hides");
_Static_assert(_Alignof(weft__fiber) >= 4, "the owner's low bits are free");

static uintptr_t owner_of(uintptr_t word) { return word & ~SLOW; }

int weft__mutex_owned(const weft__mutex *m, const weft__fiber *f)
{
    return owner_of(weft__load_relaxed(&m->word, "mutex.owned")) == (uintptr_t)f;
}

/* ---- owning ---- */

static int orphaned(weft__held *h, enum weft__orphan when);
static int orphaned_in_vat(weft__held *h, enum weft__orphan when);
static uintptr_t slow_down(weft__mutex *m);

static uint64_t bits_of(weft_id id)
{
    uint64_t bits;
    memcpy(&bits, &id, sizeof bits);
    return bits;
}

/* A mutex that has not been locked before, or lies in a vat. One that f may outlive is slow from here to its unlock,
 * and known to that vat. 0; -ENOTRECOVERABLE: the vat's lane is dying. */
static __attribute__((noinline)) int own_with_care(weft__mutex *m, weft__fiber *f)
{
    int r = weft__sync_hold(&m->lock, &m->held.stake, f);
    m->held.orphaned = weft__is_elsewhere(&m->lock) ? orphaned : orphaned_in_vat;
    if (r < 0)
        return -ENOTRECOVERABLE;
    if (!m->held.stake.vat)
        return 0;
    weft__sync_lock(&m->lock);
    slow_down(m);
    weft__sync_unlock(&m->lock);
    return 0;
}

/* The caller's by word: into its books. Home of f. 0 or -ENOTRECOVERABLE. */
__attribute__((always_inline)) static inline int own(weft__mutex *m, weft__fiber *f, uint32_t depth, const char *site)
{
    if (m->held.orphaned != orphaned && own_with_care(m, f) < 0)
        return -ENOTRECOVERABLE;
    m->depth = depth;
    weft__held_add(&m->held, f);
    f->crew->seen = 1; /* its id may be given out by weft_mutex_look */
    weft__store_relaxed(&m->fiber, bits_of(weft__fiber_id(f)), "mutex.own");
    weft__store_relaxed(&m->lane, bits_of(f->crew->id), "mutex.own");
    weft__store_relaxed(&m->site, site, "mutex.own");
    return 0;
}

/* Out of its holder's books. A stake that it has goes on as *stake until the mutex is not touched any more. */
static void disown(weft__mutex *m, weft__stake *stake)
{
    stake->vat = NULL;
    if (m->held.orphaned == orphaned_in_vat && m->held.stake.vat)
        weft__stake_move(stake, &m->held.stake);
}

/* Under the lock, SLOW set: free, or f's. */
static void set_word(weft__mutex *m, uintptr_t owner)
{
    weft__store_release(&m->word, owner | (m->queue.first || m->health != WEFT__LOCK_OK ? SLOW : 0), "mutex.set");
}

/* It is nobody's: the next one gets it, or is woken to compete for it. Under the lock, SLOW set. */
static void pass(weft__mutex *m, weft__news *news)
{
    weft__node *n;
    if (m->health == WEFT__LOCK_LOST)
        while (weft__queue_serve(&m->queue, -ENOTRECOVERABLE, news))
            ;
    while ((n = m->queue.first)) {
        int hand = (m->flags & WEFT_MUTEX_FAIR) || (n->flags & DEMANDS) || n->waiter->count > 1 || m->health != WEFT__LOCK_OK;
        if (!weft__node_claim(n))
            continue;
        weft__node_answer(n, !hand ? RETRY : m->health == WEFT__LOCK_DEAD ? -EOWNERDEAD : 0, news);
        if (hand) {
            set_word(m, (uintptr_t)n->waiter->fiber);
            return;
        }
        break;
    }
    set_word(m, 0);
}

/* From here on every change is made under the lock, which we have. */
static uintptr_t slow_down(weft__mutex *m)
{
    uintptr_t word = weft__load_relaxed(&m->word, "mutex.slow");
    while (!(word & SLOW) && !weft__cas_acq_rel(&m->word, &word, word | SLOW, "mutex.slow"))
        ;
    return word | SLOW;
}

/* ---- as a thing to wait for ---- */

static int ready(weft__node *n)
{
    weft__mutex *m = n->object;
    return owner_of(slow_down(m)) == 0;
}

static int take(weft__node *n, weft__news *news)
{
    weft__mutex *m = n->object;
    (void)news;
    n->answer = m->health == WEFT__LOCK_LOST ? -ENOTRECOVERABLE : m->health == WEFT__LOCK_DEAD ? -EOWNERDEAD : 0;
    if (m->health != WEFT__LOCK_LOST)
        set_word(m, (uintptr_t)n->waiter->fiber);
    return 1;
}

static void push(weft__node *n)
{
    weft__mutex *m = n->object;
    if (n->flags & DEMANDS)
        weft__queue_push_front(&m->queue, n);
    else
        weft__queue_push(&m->queue, n);
}

static void finish(weft__node *n)
{
    if ((n->answer == 0 || n->answer == -EOWNERDEAD) && own(n->object, n->waiter->fiber, 1, n->data) < 0)
        n->answer = -ENOTRECOVERABLE;
}

/* Its waiter died before it saw it: nothing was changed under it. */
static void refuse(weft__node *n)
{
    weft__mutex *m = n->object;
    weft__news news;
    if (n->answer == -ENOTRECOVERABLE)
        return;
    weft__news_init(&news);
    weft__sync_lock(&m->lock);
    if (n->answer != RETRY || owner_of(slow_down(m)) == 0)
        pass(m, &news);
    weft__sync_unlock(&m->lock);
    weft__news_tell(&news);
}

const weft__node_kind weft__mutex_kind = {ready, take, push, finish, refuse, NULL, "mutex", -ENOTRECOVERABLE};

void weft__mutex_node(weft__node *n, weft__mutex *m, const char *site)
{
    n->lock = &m->lock;
    n->object = m;
    n->kind = &weft__mutex_kind;
    n->data = (void *)(uintptr_t)site;
    n->flags = 0;
}

/* ---- locking ---- */

static weft__fiber *holder(void *object)
{
    weft__mutex *m = object;
    uintptr_t owner = owner_of(weft__load_acquire(&m->word, "mutex.holder"));
    return owner == NOBODY ? NULL : (weft__fiber *)owner;
}

static const char *locked_at(void *object)
{
    weft__mutex *m = object;
    return weft__load_relaxed(&m->site, "mutex.site");
}

static int lock_slowly(weft__mutex *m, weft__fiber *f, int64_t deadline, const char *site, const weft__last_will *stubborn)
{
    weft__node n;
    weft__waiter wt;
    weft__mutex_node(&n, m, site);
    int late = weft__sync_late(f, deadline), served, refused = 0;
    do {
        weft__news none;
        weft__news_init(&none);
        weft__waiter_init(&wt, f, &n, 1);
        wt.stubborn = stubborn != NULL;
        wt.will = stubborn;
        int r = weft__node_enter(&n);
        if (r < 0) {
            weft__waiter_leave(&wt);
            return r;
        }
        weft__sync_lock(&m->lock);
        served = ready(&n);
        if (served)
            take(&n, &none);
        else if (!late && !refused)
            r = weft__node_push(&n);
        weft__sync_unlock(&m->lock);
        if (served)
            break;
        if (late || refused || r < 0) {
            weft__waiter_leave(&wt);
            return r < 0 ? r : weft__refuse(f, late ? -ETIMEDOUT : -ECANCELED);
        }
        weft__edge e = {.object = m, .holder = holder, .locked_at = locked_at, .what = "mutex", .name = m->name, .site = site};
        r = weft__graph_wait(&wt, &e, deadline);
        if (r < 0 || n.answer == RETRY)
            weft__waiter_leave(&wt);
        if (r < 0)
            return r;
        n.flags = DEMANDS;
        refused = !stubborn && weft__canceled(f); /* between being woken and running, when it does not end a wait */
    } while (n.answer == RETRY);
    finish(&n);
    weft__waiter_leave(&wt);
    return n.answer;
}

static int lock_again(weft__mutex *m, weft__fiber *f)
{
    if (!(m->flags & WEFT_MUTEX_RECURSIVE))
        return weft__refuse(f, -EDEADLK);
    if (m->depth == UINT32_MAX)
        return -EOVERFLOW;
    m->depth++;
    return 0;
}

/* 1: *r is the answer. */
__attribute__((always_inline)) static inline int lock_fast(weft__mutex *m, weft__fiber *f, const char *site, int *r)
{
    uintptr_t none = 0;
    if (!weft__cas_acq_rel(&m->word, &none, (uintptr_t)f, "mutex.lock")) /* pairs with the CAS in unlock */
        return 0;
    *r = own(m, f, 1, site);
    return 1;
}

int weft_mutex_lock_at(weft_mutex *opaque, int64_t deadline, const char *site)
{
    weft__sync_used(opaque);
    weft__mutex *m = weft__mutex_of(opaque);
    weft__fiber *f;
    int r = weft__sync_enter(&f, 0);
    if (r < 0)
        return r;
    if (lock_fast(m, f, site, &r))
        return r;
    return weft__mutex_owned(m, f) ? lock_again(m, f) : lock_slowly(m, f, deadline, site, NULL);
}

int weft_mutex_try_at(weft_mutex *opaque, const char *site)
{
    weft__sync_used(opaque);
    weft__mutex *m = weft__mutex_of(opaque);
    weft__fiber *f = weft__fiber_self();
    weft__node n;
    int r;
    weft__probe(f);
    if (!f)
        return -EPERM;
    if (lock_fast(m, f, site, &r))
        return r;
    if (weft__mutex_owned(m, f))
        return lock_again(m, f);
    weft__mutex_node(&n, m, site);
    return weft__sync_try(&n, f);
}

int weft__mutex_regain(weft__mutex *m, weft__fiber *f, uint32_t depth, const char *site, const weft__last_will *will)
{
    int r;
    if (!lock_fast(m, f, site, &r))
        r = lock_slowly(m, f, WEFT_NEVER, site, will);
    if (r == 0 || r == -EOWNERDEAD)
        m->depth = depth;
    return r;
}

/* ---- unlocking ---- */

/* Somebody waits, or the mutex lies where its owner may outlive it. Out of line: the fast path sets up no frame. */
static __attribute__((noinline)) void unlock_slowly(weft__mutex *m)
{
    weft__news news;
    weft__stake stake;
    disown(m, &stake);
    weft__news_init(&news);
    weft__sync_lock(&m->lock);
    if (m->health == WEFT__LOCK_DEAD)
        m->health = WEFT__LOCK_LOST;
    pass(m, &news);
    weft__sync_unlock(&m->lock);
    weft__news_tell(&news);
    weft__sync_let_go(&stake);
}

static inline void unlock(weft__mutex *m)
{
    uintptr_t self = (uintptr_t)m->held.holder;
    weft__held_remove(&m->held);
    if (!weft__cas_acq_rel(&m->word, &self, 0, "mutex.unlock")) /* pairs with the CAS in lock_fast */
        unlock_slowly(m);
}

int weft_mutex_unlock(weft_mutex *opaque)
{
    weft__sync_used(opaque);
    weft__mutex *m = weft__mutex_of(opaque);
    weft__fiber *f = weft__fiber_self();
    weft__probe(f);
    if (!f || !weft__mutex_owned(m, f))
        return -EPERM;
    if (--m->depth == 0)
        unlock(m);
    return 0;
}

uint32_t weft__mutex_drop(weft__mutex *m)
{
    uint32_t depth = m->depth;
    unlock(m);
    return depth;
}

int weft_mutex_consistent(weft_mutex *opaque)
{
    weft__sync_used(opaque);
    weft__mutex *m = weft__mutex_of(opaque);
    weft__fiber *f = weft__fiber_self();
    weft__probe(f);
    if (!f || !weft__mutex_owned(m, f))
        return -EPERM;
    weft__sync_lock(&m->lock);
    int was = m->health;
    m->health = WEFT__LOCK_OK;
    weft__sync_unlock(&m->lock);
    return was == WEFT__LOCK_DEAD ? 0 : -EINVAL;
}

/* The owner has ended: on its home worker. */
static int orphaned(weft__held *h, enum weft__orphan when)
{
    weft__mutex *m = weft__container(h, weft__mutex, held);
    weft__news news;
    weft__stake stake = {.vat = NULL};
    if (when != WEFT__ORPHAN_LATER)
        disown(m, &stake);
    if (when == WEFT__ORPHAN_EVICTED) {
        weft__sync_let_go(&stake);
        return 0;
    }
    weft__news_init(&news);
    weft__sync_lock(&m->lock);
    slow_down(m);
    m->health = WEFT__LOCK_DEAD;
    if (when == WEFT__ORPHAN_NOW)
        pass(m, &news);
    else
        set_word(m, NOBODY);
    weft__sync_unlock(&m->lock);
    weft__news_tell(&news);
    weft__sync_let_go(&stake);
    return 0;
}

static int orphaned_in_vat(weft__held *h, enum weft__orphan when) { return orphaned(h, when); }

/* Changes its owner without a look at who waits. */
static void hand_to(weft__mutex *m, uintptr_t owner)
{
    weft__sync_lock(&m->lock);
    slow_down(m);
    set_word(m, owner);
    weft__sync_unlock(&m->lock);
}

void weft__mutex_detach(weft__mutex *m)
{
    weft__stake stake;
    weft__held_remove(&m->held);
    m->held.holder = NULL;
    disown(m, &stake);
    hand_to(m, NOBODY);
    weft__sync_let_go(&stake);
}

int weft__mutex_attach(weft__mutex *m, weft__fiber *f, const char *site)
{
    hand_to(m, (uintptr_t)f);
    int r = own(m, f, m->depth, site);
    if (r < 0)
        return r;
    return m->health == WEFT__LOCK_DEAD ? -EOWNERDEAD : 0; /* only its owner changes that */
}

weft__mutex *weft__mutex_held(weft__held *h) { return h->orphaned == orphaned || h->orphaned == orphaned_in_vat ? weft__container(h, weft__mutex, held) : NULL; }

/* It would be waited for by whom its new owner waits for, or by that one itself. */
static int closes_a_circle(const weft__mutex *m, weft__fiber *to)
{
    weft__joins_show(to);
    unsigned n = weft__graph_way(to, m);
    if (n)
        weft__say(to->home->rt, WEFT_LOG_ERROR,
                  "deadlock: a mutex%s%s%s is not given to fiber \"%s\" of lane \"%s\" (spawned at %s), which waits for it itself%s",
                  m->name ? " \"" : "", m->name ? m->name : "", m->name ? "\"" : "", to->name, to->crew->name, to->site,
                  n > 1 ? ", by way of others" : "");
    return n != 0;
}

int weft_mutex_give(weft_mutex *opaque, weft_id id)
{
    weft__sync_used(opaque);
    weft__mutex *m = weft__mutex_of(opaque);
    weft__fiber *f = weft__fiber_self(), *to;
    weft__probe(f);
    if (!f || !weft__mutex_owned(m, f))
        return -EPERM;
    int r = weft__fiber_find(f->home, id, &to);
    if (r < 0)
        return r;
    if (to->crew != f->crew)
        return -EPERM;
    if (to->state == WEFT__ENDED)
        return -ESRCH;
    if (closes_a_circle(m, to))
        return weft__refuse(f, -EDEADLK);
    weft__stake stake;
    weft__held_remove(&m->held);
    disown(m, &stake);
    hand_to(m, (uintptr_t)to);
    r = own(m, to, m->depth, weft__load_relaxed(&m->site, "mutex.give"));
    weft__sync_let_go(&stake);
    return r;
}

/* ---- the rest ---- */

int weft_mutex_init(weft_mutex *opaque, unsigned flags, const char *name)
{
    weft__mutex *m = weft__mutex_of(opaque);
    if (!m || flags & ~(unsigned)(WEFT_MUTEX_RECURSIVE | WEFT_MUTEX_FAIR))
        return -EINVAL;
    memset(opaque, 0, sizeof *opaque);
    m->flags = (uint8_t)flags;
    m->name = name;
    return 0;
}

void weft_mutex_look(weft_mutex *opaque, weft_mutex_info *out)
{
    weft__mutex *m = weft__mutex_of(opaque);
    memset(out, 0, sizeof *out);
    weft__sync_lock(&m->lock);
    uintptr_t owner = owner_of(weft__load_acquire(&m->word, "mutex.look"));
    for (const weft__node *n = m->queue.first; n; n = n->next)
        out->waiting++;
    out->owner_died = m->health == WEFT__LOCK_DEAD;
    out->lost = m->health == WEFT__LOCK_LOST;
    weft__sync_unlock(&m->lock);
    if (!owner)
        return;
    uint64_t fiber = weft__load_relaxed(&m->fiber, "mutex.look"), lane = weft__load_relaxed(&m->lane, "mutex.look");
    memcpy(&out->fiber, &fiber, sizeof fiber);
    memcpy(&out->lane, &lane, sizeof lane);
    out->site = weft__load_relaxed(&m->site, "mutex.look");
}
