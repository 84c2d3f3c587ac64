/* Timers: a hierarchical wheel. Arming and cancelling are O(1) in intrusive storage, whatever the number of timers.
 * One worker's, only it touches it.
 *
 * Level 0 has slots of WEFT__WHEEL_GRAIN ns, each level above slots 64 times as long; a timer goes into the level at
 * which its distance fits and moves down as its time comes near. It never fires early, and at most one grain late
 * (Varghese and Lauck, "Hashed and Hierarchical Timing Wheels", 1987, scheme 7, with a bit map per level so that idle
 * time is skipped and not stepped through). */
#ifndef WEFT_SCHED_WHEEL_H
#define WEFT_SCHED_WHEEL_H

#include "base/list.h"

#define WEFT__WHEEL_GRAIN_BITS 14
#define WEFT__WHEEL_GRAIN ((int64_t)1 << WEFT__WHEEL_GRAIN_BITS) /* 16.4 us */
#define WEFT__WHEEL_LEVELS 8
#define WEFT__WHEEL_SLOTS 64

typedef struct weft__timer {
    int64_t deadline_ns;
    void (*fire)(struct weft__timer *t); /* already disarmed: it may be armed again or freed */
    weft__link link;      /* alone while not armed; all-zero counts as not armed too */
} weft__timer;

typedef struct weft__wheel {
    uint64_t now;                          /* in grains: everything before is fired; lags behind while nothing is due */
    uint64_t first;                        /* no filled slot begins before this grain */
    uint64_t filled[WEFT__WHEEL_LEVELS];   /* bit i: slot i of the level may hold timers */
    weft__link slots[WEFT__WHEEL_LEVELS][WEFT__WHEEL_SLOTS];
    weft__link due;                        /* being fired */
    uint64_t armed;                        /* timers in the wheel */
    /* What weft__wheel_next has found, until something changes; 0: to be found. */
    int64_t next_ns;
} weft__wheel;

/* When a timer for that time fires, in grains. */
static inline uint64_t weft__wheel_grain(int64_t deadline_ns)
{
    return deadline_ns <= 0 ? 0 : ((uint64_t)deadline_ns + (uint64_t)WEFT__WHEEL_GRAIN - 1) >> WEFT__WHEEL_GRAIN_BITS;
}

void weft__wheel_init(weft__wheel *w, int64_t now_ns);
/* Arms a timer that is not armed. */
void weft__wheel_arm(weft__wheel *w, weft__timer *t, int64_t deadline_ns);
/* Disarms; harmless on a timer that is not armed. */
void weft__wheel_cancel(weft__wheel *w, weft__timer *t);
/* Fires everything due. Returns how many. Costs a comparison while nothing is. */
unsigned weft__wheel_turn(weft__wheel *w, uint64_t grain);
static inline unsigned weft__wheel_advance(weft__wheel *w, int64_t now_ns)
{
    uint64_t grain = (uint64_t)now_ns >> WEFT__WHEEL_GRAIN_BITS;
    return grain < w->first ? 0 : weft__wheel_turn(w, grain);
}
/* When advance has something to do next: a lower bound that is exact for the nearest level;
 * WEFT_NEVER if nothing is armed. */
int64_t weft__wheel_seek(weft__wheel *w);
static inline int64_t weft__wheel_next(weft__wheel *w) { return w->next_ns ? w->next_ns : weft__wheel_seek(w); }

static inline int weft__timer_armed(const weft__timer *t) { return t->link.next && t->link.next != &t->link; }

#endif
