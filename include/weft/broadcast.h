/* To many at once: each item goes to every reader that has joined. A slow reader either holds the senders or misses
 * items and learns how many. Also credits: how much a producer may have under way before its consumer says go on.
 * Storage, deadlines, cancellation and death as in sync.h. */
#ifndef WEFT_BROADCAST_H
#define WEFT_BROADCAST_H

#include <weft/types.h>

#ifdef __cplusplus
extern "C" {
#endif

enum weft_broadcast_kind {
    WEFT_BROADCAST_HOLD = 0, /* senders wait until the slowest reader has room */
    WEFT_BROADCAST_LOSSY     /* senders never wait; who is more than `capacity` behind misses the oldest */
};

typedef struct weft_broadcast {
    int64_t opaque[14];
} weft_broadcast;
typedef struct weft_reader {
    int64_t opaque[13];
} weft_reader;

/* buffer: capacity * item_size bytes, capacity at least 1. -EINVAL: items of no size, no capacity, no
 * buffer, more than memory can hold, or an unknown kind. */
WEFT_API int weft_broadcast_init(weft_broadcast *b, size_t item_size, size_t capacity, void *buffer,
                                 enum weft_broadcast_kind kind);
/* 0, also with no reader there; -ETIMEDOUT, -ECANCELED; the reason it was closed for. Any fiber, and any thread that is
 * no worker: -EPERM on a worker that runs no fiber. */
WEFT_API int weft_broadcast_send(weft_broadcast *b, const void *item, int64_t deadline);
/* Readers get what was sent before, then the reason (a negative errno; 0: -EPIPE). -EALREADY: it was closed,
 * and its reason stays; -EINVAL a positive reason. Any thread. */
WEFT_API int weft_broadcast_close(weft_broadcast *b, int reason);

/* From now on: what was sent before is not seen. The calling fiber is the reader; it leaves before it returns, and is
 * taken out if it is killed. reader: zeroed, or one that has left. -EPERM no fiber; -EINVAL it has joined already;
 * -EOWNERDEAD the lane in whose memory the broadcast lies is dying. */
WEFT_API int weft_broadcast_join(weft_broadcast *b, weft_reader *reader);
/* -EPERM: not the fiber that joined. */
WEFT_API int weft_broadcast_leave(weft_reader *reader);
/* The next item. *missed (may be NULL): how many were passed over since the last one. -ETIMEDOUT; -ECANCELED; the
 * reason, once all that was sent before has been read; -EPERM not the fiber that joined. */
WEFT_API int weft_broadcast_receive(weft_reader *reader, void *item, uint64_t *missed, int64_t deadline);

/* ---- Credits --------------------------------------------------------------------------------------------------------
 *
 * A producer spends what it sends, a consumer grants what it has dealt with; what is between them is never more than
 * the window. A producer that has run out is woken when no more than low_water is left to deal with, and then has the
 * rest of the window at once: one wake-up for many items, and the consumer still has low_water of them while the
 * producer gets going. */

typedef struct weft_credit {
    int64_t opaque[7];
} weft_credit;
/* -EINVAL: no window, or low_water not below it. */
WEFT_API int weft_credit_init(weft_credit *c, size_t window, size_t low_water);
/* -EINVAL none, or more than the window; -ETIMEDOUT, -ECANCELED. Any fiber, and any thread that is no worker: -EPERM on
 * a worker that runs no fiber. */
WEFT_API int weft_credit_spend(weft_credit *c, size_t n, int64_t deadline);
/* -EINVAL: more than was spent. Any thread. */
WEFT_API int weft_credit_grant(weft_credit *c, size_t n);
/* How much is under way. */
WEFT_API size_t weft_credit_used(weft_credit *c);

#ifdef __cplusplus
}
#endif
#endif
