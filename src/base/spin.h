/* A spin lock for sections of a few instructions that call nothing. Zero-initialised. In the simulator threads
 * change at named points only; a section that has some inside can be left by the thread that holds the lock, so
 * waiting is such a point as well. */
#ifndef WEFT_BASE_SPIN_H
#define WEFT_BASE_SPIN_H

#include "base/atomic.h"

typedef struct weft__spin {
    uint32_t word;
} weft__spin;

/* Between two looks: each takes the lock's cache line from whoever works under it. */
#define WEFT__SPIN_PAUSES 4

static inline void weft__spin_lock(weft__spin *l)
{
    while (__atomic_exchange_n(&l->word, 1, __ATOMIC_ACQUIRE)) /* pairs with the release in unlock */
        do {
            weft__point("spin"); /* in the simulator the holder must get to run again */
#if defined(__x86_64__) || defined(__i386__)
            for (int i = 0; i < WEFT__SPIN_PAUSES; i++)
                __builtin_ia32_pause();
#endif
        } while (__atomic_load_n(&l->word, __ATOMIC_RELAXED));
}

static inline void weft__spin_unlock(weft__spin *l) { __atomic_store_n(&l->word, 0, __ATOMIC_RELEASE); }

#endif
