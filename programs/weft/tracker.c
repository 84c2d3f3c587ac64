/*
 * The tracker. Its memory outlives every lane that uses it (it belongs to the program), so a lane that is killed loses
 * a slot and nothing else. Slots are taken and given back by any worker, once in the life of a connection; idle and
 * busy are told by the lane that holds the slot; drain is called by one fiber.
 *
 * Why no connection is missed at the end: a lane says "idle" and then reads `draining`; the drain sets `draining` and
 * then reads each state, all sequentially consistent. Either the lane sees that it must not wait, or the drain sees it
 * idle. Why no request is cut off: the drain turns IDLE into CANCELED before it cancels, by the same compare-exchange
 * with which the lane leaves IDLE, so exactly one of them wins.
 */
#include "tracker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum state { FREE, BUSY, IDLE, CANCELED };

struct tracker_slot {
    _Atomic uint32_t state;
    _Atomic uint32_t next; /* free list: index + 1 */
    _Atomic uint64_t lane; /* a weft_id; written before the state says BUSY */
};

_Static_assert(sizeof(weft_id) == sizeof(uint64_t), "ids are kept as one word");

int tracker_init(struct tracker *t, uint32_t count)
{
    *t = (struct tracker){.count = count};
    t->slots = calloc(count, sizeof *t->slots);
    if (t->slots == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < count; i++)
        atomic_init(&t->slots[i].next, i + 2 <= count ? i + 2 : 0);
    atomic_init(&t->free, 1);
    return 0;
}

void tracker_free(struct tracker *t)
{
    free(t->slots);
    t->slots = NULL;
}

/* The count in the upper half changes with every operation, so a list that went and came back is not mistaken. */
static uint64_t retag(uint64_t head, uint32_t index)
{
    return ((head >> 32) + 1) << 32 | index;
}

static weft_id lane_in(struct tracker_slot *s)
{
    uint64_t word = atomic_load_explicit(&s->lane, memory_order_relaxed);
    weft_id lane;
    memcpy(&lane, &word, sizeof lane);
    return lane;
}

uint32_t tracker_enter(struct tracker *t)
{
    uint64_t head = atomic_load_explicit(&t->free, memory_order_acquire);
    uint32_t index;
    do {
        index = (uint32_t)head;
        if (index == 0)
            return TRACKER_NONE;
    } while (!atomic_compare_exchange_weak_explicit(&t->free, &head,
        retag(head, atomic_load_explicit(&t->slots[index - 1].next, memory_order_relaxed)), memory_order_acq_rel,
        memory_order_acquire));

    struct tracker_slot *s = &t->slots[index - 1];
    weft_id lane = weft_lane_self();
    uint64_t word;
    memcpy(&word, &lane, sizeof word);
    atomic_store_explicit(&s->lane, word, memory_order_relaxed);
    atomic_store_explicit(&s->state, BUSY, memory_order_release); /* pairs with the load in tracker_drain */
    atomic_fetch_add_explicit(&t->open, 1, memory_order_relaxed);
    return index - 1;
}

void tracker_leave(struct tracker *t, uint32_t slot)
{
    struct tracker_slot *s = &t->slots[slot];
    atomic_store_explicit(&s->state, FREE, memory_order_relaxed);
    atomic_fetch_sub_explicit(&t->open, 1, memory_order_relaxed);
    uint64_t head = atomic_load_explicit(&t->free, memory_order_relaxed);
    do
        atomic_store_explicit(&s->next, (uint32_t)head, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&t->free, &head, retag(head, slot + 1), memory_order_acq_rel,
        memory_order_relaxed));
}

bool tracker_idle(struct tracker *t, uint32_t slot)
{
    /* Pairs with tracker_drain. An exchange, not a store: emulators have been seen to let a load pass a store. */
    atomic_exchange_explicit(&t->slots[slot].state, IDLE, memory_order_seq_cst);
    return !atomic_load_explicit(&t->draining, memory_order_seq_cst);
}

bool tracker_busy(struct tracker *t, uint32_t slot)
{
    uint32_t idle = IDLE;
    return atomic_compare_exchange_strong_explicit(&t->slots[slot].state, &idle, BUSY, memory_order_acq_rel,
        memory_order_acquire);
}

void tracker_drain(struct tracker *t)
{
    atomic_exchange_explicit(&t->draining, true, memory_order_seq_cst); /* pairs with tracker_idle */
    for (uint32_t i = 0; i < t->count; i++) {
        struct tracker_slot *s = &t->slots[i];
        uint32_t idle = IDLE;
        if (atomic_load_explicit(&s->state, memory_order_seq_cst) != IDLE)
            continue;
        /* Read before the exchange: should the slot change hands now, a stale id is cancelled, which harms nobody. */
        weft_id lane = lane_in(s);
        if (!atomic_compare_exchange_strong_explicit(&s->state, &idle, CANCELED, memory_order_seq_cst,
                memory_order_relaxed))
            continue;
        weft_cancel_in(weft_current(), lane);
    }
}

uint32_t tracker_kill(struct tracker *t, weft_runtime *rt)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        struct tracker_slot *s = &t->slots[i];
        if (atomic_load_explicit(&s->state, memory_order_acquire) != FREE) /* pairs with tracker_enter */
            n += weft_kill_in(rt, lane_in(s)) == 0;
    }
    return n;
}
