/* The timer wheel. Owned by one worker; every function here is called on its thread.
 *
 * Invariants: a timer due at grain e (its deadline rounded up) lies in level l, slot (e >> 6l) & 63, where l is
 * the highest level at which e and `now` differ; so on level l all filled slots lie ahead of now's own index, and
 * the nearest one is the first set bit after it. Which slot that is, a timer does not remember: its neighbours
 * tell, once there is no other in it. */
#include "sched/wheel.h"

#include <string.h>

#include "base/check.h"

void weft__wheel_init(weft__wheel *w, int64_t now_ns)
{
    memset(w, 0, sizeof *w);
    w->now = (uint64_t)now_ns >> WEFT__WHEEL_GRAIN_BITS;
    w->first = UINT64_MAX;
    for (unsigned l = 0; l < WEFT__WHEEL_LEVELS; l++)
        for (unsigned i = 0; i < WEFT__WHEEL_SLOTS; i++)
            weft__link_init(&w->slots[l][i]);
    weft__link_init(&w->due);
}

static void insert(weft__wheel *w, weft__timer *t)
{
    uint64_t due = weft__wheel_grain(t->deadline_ns);
    if (due <= w->now)
        due = w->now + 1; /* now's own slot has been emptied: the next advance finds it */
    if (due >> (6 * WEFT__WHEEL_LEVELS))
        due = ((uint64_t)1 << (6 * WEFT__WHEEL_LEVELS)) - 1; /* beyond 146 years: looked at again then */
    unsigned level = (63 - (unsigned)__builtin_clzll(due ^ w->now)) / 6;
    unsigned i = (unsigned)(due >> (6 * level)) & 63;
    uint64_t begin = due >> (6 * level) << (6 * level);
    if (begin < w->first)
        w->first = begin;
    weft__link_before(&w->slots[level][i], &t->link);
    w->filled[level] |= (uint64_t)1 << i;
}

void weft__wheel_arm(weft__wheel *w, weft__timer *t, int64_t deadline_ns)
{
    t->deadline_ns = deadline_ns;
    w->armed++;
    w->next_ns = 0;
    insert(w, t);
}

void weft__wheel_cancel(weft__wheel *w, weft__timer *t)
{
    if (!weft__timer_armed(t))
        return;
    /* It is the only one: both its neighbours are the slot. */
    weft__link *last = t->link.next == t->link.prev ? t->link.next : NULL;
    weft__link_remove(&t->link);
    w->armed--;
    w->next_ns = 0;
    size_t slot = last ? (size_t)((uintptr_t)last - (uintptr_t)w->slots) / sizeof *last : SIZE_MAX;
    if (slot < (size_t)WEFT__WHEEL_LEVELS * WEFT__WHEEL_SLOTS) /* else it was due */
        w->filled[slot / WEFT__WHEEL_SLOTS] &= ~((uint64_t)1 << (slot % WEFT__WHEEL_SLOTS));
}

/* The grain at which the first filled slot begins, and its level; UINT64_MAX: none. */
static uint64_t first_filled(const weft__wheel *w, unsigned *level)
{
    for (unsigned l = 0; l < WEFT__WHEEL_LEVELS; l++) {
        if (!w->filled[l])
            continue;
        unsigned own = (unsigned)(w->now >> (6 * l)) & 63;
        uint64_t ahead = own == 63 ? 0 : w->filled[l] & (~(uint64_t)0 << (own + 1));
        if (!ahead)
            continue;
        unsigned i = (unsigned)__builtin_ctzll(ahead);
        *level = l;
        uint64_t base = w->now >> (6 * (l + 1)) << (6 * (l + 1));
        return base + ((uint64_t)i << (6 * l));
    }
    return UINT64_MAX;
}

/* When the first timer of a slot of a higher level is due, if it has a few only; else when the slot begins. To wake
 * just for putting timers nearer is a waste that a single one far off would cause several times. */
static uint64_t first_in_slot(const weft__wheel *w, unsigned level, uint64_t begin)
{
    enum { FEW = 8 };
    const weft__link *slot = &w->slots[level][begin >> (6 * level) & 63];
    uint64_t first = UINT64_MAX;
    unsigned n = 0;
    for (const weft__link *l = slot->next; l != slot; l = l->next) {
        uint64_t due = weft__wheel_grain(weft__container((weft__link *)(uintptr_t)l, weft__timer, link)->deadline_ns);
        if (++n > FEW)
            return begin;
        if (due < first)
            first = due;
    }
    return n ? first : begin; /* empty: taken out of a slot whose bit was still set */
}

static int64_t find_next(weft__wheel *w)
{
    if (!w->armed)
        return WEFT_NEVER;
    unsigned level = 0;
    uint64_t grain = w->first = first_filled(w, &level);
    if (level > 0 && grain != UINT64_MAX)
        grain = first_in_slot(w, level, grain);
    if (grain >= (uint64_t)INT64_MAX >> WEFT__WHEEL_GRAIN_BITS)
        return WEFT_NEVER;
    return (int64_t)(grain << WEFT__WHEEL_GRAIN_BITS);
}

int64_t weft__wheel_seek(weft__wheel *w) { return w->next_ns = find_next(w); }

/* Empties a slot onto w->due. */
static void take_slot(weft__wheel *w, unsigned level, unsigned i)
{
    weft__link *slot = &w->slots[level][i], *due = &w->due;
    w->filled[level] &= ~((uint64_t)1 << i);
    if (weft__link_alone(slot))
        return;
    slot->next->prev = due->prev;
    due->prev->next = slot->next;
    slot->prev->next = due;
    due->prev = slot->prev;
    weft__link_init(slot);
}

/* Fires what is due and puts the rest back, nearer. A fired timer may arm or cancel any other,
 * one still on `due` included. */
static unsigned settle(weft__wheel *w)
{
    unsigned fired = 0;
    while (!weft__link_alone(&w->due)) {
        weft__timer *t = weft__container(w->due.next, weft__timer, link);
        weft__link_remove(&t->link);
        if (weft__wheel_grain(t->deadline_ns) > w->now) {
            insert(w, t);
            continue;
        }
        w->armed--;
        fired++;
        t->fire(t);
    }
    return fired;
}

unsigned weft__wheel_turn(weft__wheel *w, uint64_t target)
{
    unsigned fired = 0;
    w->first = UINT64_MAX;
    while (w->armed) {
        unsigned level = 0;
        uint64_t grain = first_filled(w, &level);
        if (grain > target) {
            w->first = grain;
            break;
        }
        w->now = grain;
        take_slot(w, level, (unsigned)(grain >> (6 * level)) & 63);
        fired += settle(w);
    }
    if (target > w->now)
        w->now = target;
    w->next_ns = 0;
    return fired;
}
