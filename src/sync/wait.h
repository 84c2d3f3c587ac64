/* How fibers (and, where that makes sense, other threads) wait for objects of this layer.
 *
 * An object has a spin lock and one or more queues. Who waits has a *waiter* with one *node* for each object it waits
 * for, all on its own stack. Who has something for a waiter takes the node out of the queue and claims the waiter,
 * under the object's lock; a waiter with one node is claimed by being taken out, one with several (a select) by a
 * compare-and-swap, so no two objects serve it and nobody ever holds two locks. What was claimed is told after the lock
 * is released. Until it is told the waiter does not leave, so its memory stays.
 *
 * A waiter withdraws by deadline, cancellation and death. It takes its nodes out under their locks; if it was claimed
 * before, it has what it waited for and says so, or, if it was killed, passes it on (`refuse`). */
#ifndef WEFT_SYNC_WAIT_H
#define WEFT_SYNC_WAIT_H

#include "base/check.h"
#include "fiber/contain.h"
#include "lane/stake.h"

typedef struct weft__node weft__node;

/* The lock of an object, and beside it where the object lies (enum weft__where;
 * atomic), which is looked up by the first who waits. */
typedef struct weft__guard {
    weft__spin spin;
    uint32_t where;
} weft__guard;

/* A FIFO of nodes; all zero is empty. Guarded by its object's lock. */
typedef struct weft__queue {
    weft__node *first, *last;
} weft__queue;

/* What is done for one that is killed while it waits stubbornly, by its home worker. */
typedef struct weft__last_will {
    void (*fn)(void *arg);
    void *arg;
} weft__last_will;

/* One wait, on the stack of who waits. */
typedef struct weft__waiter {
    weft__wait_on on;
    weft__node *nodes;
    unsigned count;           /* of nodes */
    uint32_t claim;           /* several nodes: 0, or 1 + the one that was claimed, or GONE (atomic) */
    uint32_t done;            /* it was told (atomic) */
    uint32_t freed;           /* and nobody looks at it any more; threads only (atomic) */
    uint8_t stubborn;         /* neither deadline nor cancellation ends it */
    uint8_t withdrawn;
    uint8_t staked;           /* some of its nodes have stakes */
    /* For what only its own worker tells it, by a nudge: 1 if such a thing has come, and it has claimed itself. And:
     * it leaves. NULL: neither. */
    int (*look)(struct weft__waiter *wt);
    void (*leave)(struct weft__waiter *wt);
    const weft__last_will *will; /* of a stubborn one, or NULL; not set otherwise */
    weft__fiber *fiber;       /* NULL: a thread of its own */
    const weft_env *env;      /* of a thread */
    weft_parker parker;
} weft__waiter;

#define WEFT__WAITER_GONE 0xffffffffu

/* Nodes that were claimed and are to be told. */
typedef struct weft__news {
    weft__node *first, **last;
} weft__news;

/* What waiting for one kind of thing means. The first three are called under the object's lock. */
typedef struct weft__node_kind {
    /* It could be served at once. Changes nothing that others see. */
    int (*ready)(weft__node *n);
    /* Serves it, after `ready`, and sets its answer: 1. 0: whom it needed for that was claimed by others meanwhile. */
    int (*take)(weft__node *n, weft__news *news);
    void (*push)(weft__node *n);
    /* The waiter goes on with what it got. On its own thread. May be NULL. */
    void (*finish)(weft__node *n);
    /* The waiter was killed after its claim: what it got goes to somebody else. May be NULL. */
    void (*refuse)(weft__node *n);
    /* It has left the queue unserved: others may be able to go now. May be NULL. */
    void (*left)(weft__node *n);
    /* What is waited for, in reports: "an item of a channel". */
    const char *what;
    /* What a waiter is answered where the object's lane dies; 0: -EOWNERDEAD. */
    int evicted;
} weft__node_kind;

struct weft__node {
    weft__node *next, *prev;
    weft__queue *queue;       /* that it stands in, or NULL */
    weft__waiter *waiter;
    weft__guard *lock;        /* the object's */
    void *object;
    const weft__node_kind *kind;
    void *data;               /* what it brings, or where it wants it */
    size_t want;              /* how much */
    int answer;               /* what the claimer says */
    uint8_t flags;            /* the object's own */
    weft__stake stake;        /* of a staked waiter: in the vat that its object lies in */
};

/* A public call uses an object; DESIGN rule 14. Comes first in it, so it probes where it does anything. */
#ifdef WEFT_CHECKED
#define weft__sync_used(object) (weft__probe_self(), weft__vat_used((object), __func__))
#else
#define weft__sync_used(object) ((void)(object))
#endif

/* Takes an object's lock; a place where the simulator changes threads, unlike other spin locks:
 * what happens between two of these is what it is to find. */
static inline void weft__sync_lock(weft__guard *l)
{
    weft__point("sync.lock");
    weft__spin_lock(&l->spin);
}
static inline void weft__sync_unlock(weft__guard *l) { weft__spin_unlock(&l->spin); }

/* ---- queues; under the lock ---- */

static inline void weft__queue_push(weft__queue *q, weft__node *n)
{
    n->queue = q;
    n->next = NULL;
    n->prev = q->last;
    if (q->last)
        q->last->next = n;
    else
        q->first = n;
    q->last = n;
}

static inline void weft__queue_push_front(weft__queue *q, weft__node *n)
{
    n->queue = q;
    n->prev = NULL;
    n->next = q->first;
    if (q->first)
        q->first->prev = n;
    else
        q->last = n;
    q->first = n;
}

static inline void weft__queue_remove(weft__node *n)
{
    weft__queue *q = n->queue;
    if (n->prev)
        n->prev->next = n->next;
    else
        q->first = n->next;
    if (n->next)
        n->next->prev = n->prev;
    else
        q->last = n->prev;
    n->queue = NULL;
}

/* ---- who waits ---- */

void weft__waiter_is_thread(weft__waiter *wt);
/* The calling fiber (NULL: thread) as a waiter with these nodes, whose waiter pointers are set. */
static inline void weft__waiter_init(weft__waiter *wt, weft__fiber *f, weft__node *nodes, unsigned count)
{
    wt->nodes = nodes;
    wt->count = count;
    wt->claim = wt->done = wt->freed = 0;
    wt->stubborn = wt->withdrawn = wt->staked = 0;
    wt->look = NULL;
    wt->leave = NULL;
    wt->fiber = f;
    for (unsigned i = 0; i < count; i++) {
        nodes[i].waiter = wt;
        nodes[i].queue = NULL;
    }
    if (f)
        f->seen = 1; /* another worker that has something for it uses its id */
    else
        weft__waiter_is_thread(wt);
}

void weft__waiter_give_up(weft__fiber *f);
size_t weft__waiter_say(const weft__wait_on *on, char *buf, size_t size);
int weft__thread_waits(weft__waiter *wt, int64_t deadline);
/* The wait of a fiber, in the caller's own frame: see weft__wait_here. */
static inline int weft__fiber_waits(weft__waiter *wt, int64_t deadline)
{
    weft__fiber *f = wt->fiber;
    int r = -1;
    wt->on.say = weft__waiter_say;
    f->waits_on = wt;
    while (!weft__load_acquire(&wt->done, "sync.wait")) { /* pairs with the release in tell */
        f->unwait = weft__waiter_give_up;
        if (r == 0 && weft__canceled(f)) { /* since it was nudged, when it does not end a wait */
            r = -ECANCELED;
            weft__waiter_give_up(f);
        } else {
            r = weft__wait_here(f, WEFT__WAIT_OBJECT, deadline);
        }
        if (wt->withdrawn) {
            f->unwait = NULL;
            return r;
        }
        if (wt->look && wt->look(wt))
            break;
        if (r < 0)
            deadline = WEFT_NEVER; /* it is served already, or does not heed deadlines */
    }
    f->unwait = NULL;
    return 0;
}

/* Waits until one of the nodes, of which at least one is queued, was served: 0, or -ETIMEDOUT, -ECANCELED and it stands
 * in no queue any more. With several nodes weft__waiter_won says which, and all others are unlinked. */
int weft__waiter_wait(weft__waiter *wt, int64_t deadline);
static inline unsigned weft__waiter_won(const weft__waiter *wt)
{
    return wt->count == 1 ? 0 : weft__load_relaxed(&wt->claim, "sync.won") - 1; /* losers may still try, and fail */
}
/* A waiter of several nodes takes itself out of all queues before it waits.
 * 1, or 0: it was claimed; then it must wait. */
int weft__waiter_withdraw(weft__waiter *wt);
/* The same, after it has claimed itself for a case that it found ready. */
void weft__waiter_unlink(weft__waiter *wt, unsigned but);
/* Makes a waiter of several nodes nobody else's: 1, or 0 if it was claimed. Only by itself. */
static inline int weft__waiter_claim_self(weft__waiter *wt, unsigned index)
{
    uint32_t none = 0;
    return weft__cas_acq_rel(&wt->claim, &none, index + 1, "sync.self");
}

/* Objects in vats (DESIGN rule 14). An object that is known to lie in none is as good as static; everything
 * else enters each of its nodes before it pushes it, and leaves as the last thing it does about the object.
 * A killed fiber's waiter is left for it. */
static inline int weft__is_elsewhere(const weft__guard *l) { return weft__load_relaxed(&l->where, "sync.where") == WEFT__ELSEWHERE; }
/* The vat that it lies in, whosever; NULL: in none. With no lock held. */
weft__vat *weft__sync_around(weft__guard *l);
/* A lock that f has just got: its hold is known to the vat from here on, if f may outlive that.
 * 0, or -EOWNERDEAD: the vat's lane is dying, and what f has got is nothing. */
int weft__sync_hold_slowly(weft__guard *l, weft__stake *s, weft__fiber *f);
static inline int weft__sync_hold(weft__guard *l, weft__stake *s, weft__fiber *f)
{
    s->vat = NULL;
    return weft__is_elsewhere(l) ? 0 : weft__sync_hold_slowly(l, s, f);
}
/* It is not held any more, or what took its place: the last thing that is done about it. */
static inline void weft__sync_let_go(weft__stake *s)
{
    if (s->vat)
        weft__stake_leave(s);
}
int weft__node_enter_slowly(weft__node *n);
/* n belongs to a waiter that is set up. 0; what it is to be answered: the object's lane is dying. */
static inline int weft__node_enter(weft__node *n) { return weft__is_elsewhere(n->lock) ? 0 : weft__node_enter_slowly(n); }
void weft__waiter_leave_vats(weft__waiter *wt);
static inline void weft__waiter_leave(weft__waiter *wt)
{
    if (wt->staked)
        weft__waiter_leave_vats(wt);
}
static inline int weft__node_evicted(const weft__node *n) { return n->kind->evicted ? n->kind->evicted : -EOWNERDEAD; }
/* Stands in line: 0; what it is to be answered: that of an object whose lane is dying takes nobody any more.
 * Under the lock, entered. */
static inline int weft__node_push(weft__node *n)
{
    if (weft__load_relaxed(&n->lock->where, "sync.push") == WEFT__DYING)
        return weft__node_evicted(n);
    n->kind->push(n);
    return 0;
}

/* What a call that may wait begins with. 0: it may wait if it must;
 * *f is NULL on a thread that is no worker's, if threads may wait at all. -EPERM, -ECANCELED. */
int weft__sync_enter_slowly(weft__fiber *f, int threads);
static inline int weft__sync_enter_as(weft__fiber *f, int threads)
{
    if (f && !f->scopes && !(f->cancelled | f->crew->cancelled))
        return 0; /* what weft__canceled says, mostly */
    return weft__sync_enter_slowly(f, threads);
}
/* In a public call itself, before anything else (see weft__probe). */
__attribute__((always_inline)) static inline int weft__sync_enter(weft__fiber **out, int threads)
{
    weft__fiber *f = weft__fiber_self();
    weft__probe(f);
    *out = f;
    return weft__sync_enter_as(f, threads);
}
/* In a function that public calls share; they probe themselves. */
static inline int weft__sync_begin(weft__fiber **out, int threads)
{
    *out = weft__fiber_self();
    return weft__sync_enter_as(*out, threads);
}
/* The whole of a call that waits for one thing: n->answer, or -ETIMEDOUT, -ECANCELED. WEFT_NOW: tries. */
int weft__sync_call(weft__node *n, weft__fiber *f, int64_t deadline);
/* The same from where it was found that the object has nothing yet and may lie in a vat; no lock is held. */
int weft__sync_wait_in_vat(weft__waiter *wt, int64_t deadline);
/* The same without waiting: -EAGAIN. */
int weft__sync_try(weft__node *n, weft__fiber *f);
/* What it does instead of waiting if its deadline has passed: 1. */
int weft__sync_late(const weft__fiber *f, int64_t deadline);
/* Answers `answer` at once: a loop of such calls lets others run. */
static inline int weft__sync_refuse(weft__fiber *f, int answer) { return f ? weft__refuse(f, answer) : answer; }

/* ---- who serves ---- */

static inline void weft__news_init(weft__news *news)
{
    news->first = NULL;
    news->last = &news->first;
}

/* Takes a node out of its queue and claims its waiter: 1; 0: the waiter is not to be had any more. Under the lock. */
static inline int weft__node_claim(weft__node *n)
{
    weft__waiter *wt = n->waiter;
    uint32_t none = 0;
    weft__queue_remove(n);
    return wt->count == 1 || weft__cas_acq_rel(&wt->claim, &none, (uint32_t)(n - wt->nodes) + 1, "sync.claim");
}

/* The claimed waiter is to be told this. Under the lock, and weft__news_tell after it. */
static inline void weft__node_answer(weft__node *n, int answer, weft__news *news)
{
    n->answer = answer;
    n->next = NULL;
    *news->last = n;
    news->last = &n->next;
}

/* Claims and answers the first waiter of the queue that is still to be had: it, or NULL. */
static inline weft__node *weft__queue_serve(weft__queue *q, int answer, weft__news *news)
{
    weft__node *n;
    while ((n = q->first))
        if (weft__node_claim(n)) {
            weft__node_answer(n, answer, news);
            return n;
        }
    return NULL;
}

/* wait.c */
void weft__news_tell_all(weft__node *n);
/* The same, and one fiber of the calling worker may go ahead of what is ready (weft__worker_ready_ahead). Not a select:
 * it looks at all its cases, which is dear, so it is told late, when there is more to find. */
void weft__news_tell_all_ahead(weft__node *n);
static inline void weft__news_tell(weft__news *news)
{
    if (news->first)
        weft__news_tell_all(news->first);
}

#endif
