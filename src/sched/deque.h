/* What may move: a bounded double-ended queue of tasks. Its worker pushes and takes at the newest end; thieves, and the
 * worker when it is the oldest's turn, take at the oldest end. After Chase and Lev, "Dynamic Circular Work-Stealing
 * Deque" (2005), with the orderings of Le et al., "Correct and Efficient Work-Stealing for Weak Memory Models" (2013),
 * but bounded: a full queue sheds its older half.
 *
 * Each task is linked, as it is pushed, to the one before it. What lies below a task cannot change while the task is in
 * the queue, so any stretch of the queue is a ready-made chain, and shedding moves it in O(1). */
#ifndef WEFT_SCHED_DEQUE_H
#define WEFT_SCHED_DEQUE_H

#include <weft/types.h>

#include "base/atomic.h"

#ifdef WEFT_HOSTILE
#define WEFT__DEQUE_SIZE 4u
#else
#define WEFT__DEQUE_SIZE 256u
#endif

typedef struct weft__deque {
    _Alignas(WEFT_CACHE_LINE) uint64_t top;    /* oldest; thieves raise it */
    _Alignas(WEFT_CACHE_LINE) uint64_t bottom; /* one past the newest; its worker's */
    weft_task *slot[WEFT__DEQUE_SIZE];
} weft__deque;

/* How many there were at some recent moment. Any thread. */
static inline uint64_t weft__deque_length(weft__deque *d)
{
    uint64_t top = weft__load_acquire(&d->top, "deque.length"), bottom = weft__load_acquire(&d->bottom, "deque.length");
    return bottom > top ? bottom - top : 0;
}

/* 1, or 0 if it is full. Its worker only. */
static inline int weft__deque_push(weft__deque *d, weft_task *t)
{
    uint64_t b = weft__load_relaxed(&d->bottom, "deque.push"), top = weft__load_acquire(&d->top, "deque.push");
    if (b - top >= WEFT__DEQUE_SIZE)
        return 0;
    t->next = b != top ? weft__load_relaxed(&d->slot[(b - 1) % WEFT__DEQUE_SIZE], "deque.push") : NULL;
    weft__store_relaxed(&d->slot[b % WEFT__DEQUE_SIZE], t, "deque.push");
    weft__store_release(&d->bottom, b + 1, "deque.push"); /* pairs with the acquire of bottom in steal */
    return 1;
}

/* The newest, or NULL. Its worker only. */
static inline weft_task *weft__deque_pop(weft__deque *d)
{
    uint64_t b = weft__load_relaxed(&d->bottom, "deque.pop");
    if (b == weft__load_relaxed(&d->top, "deque.pop"))
        return NULL; /* top never passes bottom, so equal means empty */
    b--;
    weft__store_seq(&d->bottom, b, "deque.pop"); /* before reading top: a thief that misses this store is seen in top */
    uint64_t top = weft__load_seq(&d->top, "deque.pop");
    if (top < b)
        return weft__load_relaxed(&d->slot[b % WEFT__DEQUE_SIZE], "deque.pop");
    weft_task *t = NULL;
    if (top == b) { /* the last one: race the thieves for it */
        t = weft__load_relaxed(&d->slot[b % WEFT__DEQUE_SIZE], "deque.pop");
        if (!weft__cas_seq(&d->top, &top, top + 1, "deque.pop"))
            t = NULL;
    }
    weft__store_relaxed(&d->bottom, b + 1, "deque.pop");
    return t;
}

/* The oldest, or NULL if there is none or another took it. Any thread. */
static inline weft_task *weft__deque_steal(weft__deque *d)
{
    uint64_t top = weft__load_seq(&d->top, "deque.steal");
    /* In one order with pop's store of bottom and load of top. */
    uint64_t b = weft__load_seq(&d->bottom, "deque.steal");
    if (top >= b)
        return NULL;
    weft_task *t = weft__load_relaxed(&d->slot[top % WEFT__DEQUE_SIZE], "deque.steal");
    return weft__cas_seq(&d->top, &top, top + 1, "deque.steal") ? t : NULL;
}

/* Takes the older half of a full queue as a chain, newest first; *last is its oldest and the result its newest.
 * NULL: thieves were quicker and there is room. Its worker only, which is why more than one can be claimed at once:
 * nobody else takes from the newest end. */
static inline weft_task *weft__deque_shed(weft__deque *d, weft_task **last, unsigned *count)
{
    uint64_t top = weft__load_acquire(&d->top, "deque.shed"), b = weft__load_relaxed(&d->bottom, "deque.shed");
    if (b - top < WEFT__DEQUE_SIZE)
        return NULL;
    uint64_t n = WEFT__DEQUE_SIZE / 2;
    weft_task *newest = weft__load_relaxed(&d->slot[(top + n - 1) % WEFT__DEQUE_SIZE], "deque.shed");
    weft_task *oldest = weft__load_relaxed(&d->slot[top % WEFT__DEQUE_SIZE], "deque.shed");
    if (!weft__cas_seq(&d->top, &top, top + n, "deque.shed"))
        return NULL;
    oldest->next = NULL;
    *last = oldest;
    *count = (unsigned)n;
    return newest;
}

#endif
