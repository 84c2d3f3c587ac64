/* A stake: what somebody has in the memory of a lane that may die before him: a place in the line of an object
 * there, or a lock. It is in that vat's list from before the object is touched until it is touched no more; the vat
 * is not freed while it is there (DESIGN rule 14; lane/stake.h). */
#ifndef WEFT_FIBER_STAKE_H
#define WEFT_FIBER_STAKE_H

#include <stdint.h>

struct weft__vat;
struct weft__crew;

typedef struct weft__stake {
    struct weft__stake *next, **from; /* in the vat's list; guarded by the vat's lock */
    struct weft__vat *vat;            /* NULL: it is in none; its owner's */
    struct weft__crew *crew;          /* of a lock: its holder's */
    uint32_t evicted;                 /* of a lock: the vat's lane is dying, let go (atomic) */
} weft__stake;

#endif
