/* Channels: queues of items of one size, between any fibers on any workers, and threads. Several may send and several
 * receive; each item is delivered once, in the order of sending. A channel is plain storage of the caller's, as is its
 * buffer; see sync.h for what holds of both, for deadlines, cancellation and death.
 *
 *     static int numbers[16];
 *     static weft_channel c;
 *     weft_channel_init(&c, sizeof(int), 16, numbers);
 *     weft_channel_send(&c, &(int){42}, WEFT_NEVER);
 *
 * Without a buffer (capacity 0) a send waits until a receiver takes its item: a rendezvous. With one it waits only
 * while that is full. */
#ifndef WEFT_CHANNEL_H
#define WEFT_CHANNEL_H

#include <weft/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weft_channel {
    int64_t opaque[12];
} weft_channel;

/* buffer: capacity * item_size bytes that live as long as the channel; NULL with capacity 0. -EINVAL: items of
 * no size, a capacity without a buffer, or more than memory can hold. */
WEFT_API int weft_channel_init(weft_channel *c, size_t item_size, size_t capacity, void *buffer);

/* One that grows with what is in it, up to `limit` items: for bursts, where a buffer of that size would be memory that
 * mostly lies idle. The memory comes from the environment of the caller's runtime, by chunks of 16 KiB or an item, and
 * goes back as they are read; some stay as long as they are used again and again, so that a steady load asks for none.
 * Where there is no memory for more, it is full. It must be ended by weft_channel_end, or its memory is lost: a lane
 * that may be killed says so by weft_defer. One that lies in a lane's own memory (weft_alloc) ends with that. -EINVAL
 * no size, or a quarter of all memory, or no limit; -ENOMEM no memory for the first chunk. Any thread. */
WEFT_API int weft_channel_init_growing(weft_channel *c, size_t item_size, size_t limit);
/* Closes it if it is open, drops what lies in it and gives the memory back. Only whoever waits may still be in a call
 * then, and is told. Needed for one that grows, harmless for others. 0. Any thread; never waits. */
WEFT_API int weft_channel_end(weft_channel *c);

/* Any fiber, and any thread that is no worker; try and close also workers. On success the item has been copied.
 * 0; -ETIMEDOUT; -ECANCELED; the reason, if the channel is closed (-EPIPE unless the closer gave another); -EPERM on a
 * worker that runs no fiber. */
WEFT_API int weft_channel_send(weft_channel *c, const void *item, int64_t deadline);
/* The same, of what is still in the buffer after closing too. An item that is handed to a receiver which is killed
 * before it runs goes to the next receiver or back to the head of the buffer; where neither is there, it dies with
 * it. */
WEFT_API int weft_channel_receive(weft_channel *c, void *item, int64_t deadline);
/* Do not wait, and look at no cancellation: -EAGAIN there is no room, or no item; the reason, if it is closed (and, to
 * receive, nothing is left). */
WEFT_API int weft_channel_try_send(weft_channel *c, const void *item);
WEFT_API int weft_channel_try_receive(weft_channel *c, void *item);
/* Waits for one item and takes what is there, at most max: how many. -EINVAL: max 0; else as
 * weft_channel_receive. */
WEFT_API int64_t weft_channel_receive_many(weft_channel *c, void *items, size_t max, int64_t deadline);

/* Nothing more is sent. Senders that wait are told at once, receivers once the buffer is empty. reason: a negative
 * errno; 0: -EPIPE. -EALREADY: it was closed, and its reason stays; -EINVAL a positive reason. */
WEFT_API int weft_channel_close(weft_channel *c, int reason);
/* How many items lie in the buffer, at some recent moment. */
WEFT_API size_t weft_channel_length(weft_channel *c);

/* ---- A result to come -----------------------------------------------------------------------------------------------
 * Kept once, by anybody; all who wait for it, before or after, get it. Zeroed: none yet. */

typedef struct weft_future {
    int64_t opaque[5];
} weft_future;
/* -EALREADY: it was kept. Any thread. */
WEFT_API int weft_future_keep(weft_future *f, int result, void *value);
/* *value (may be NULL) and the result it was kept with; -ETIMEDOUT, -ECANCELED also of the wait itself, which leave
 * *value alone. Any thread but a worker that runs no fiber (-EPERM). */
WEFT_API int weft_future_wait(weft_future *f, void **value, int64_t deadline);
/* 1 if it was kept. Any thread. */
WEFT_API int weft_future_kept(weft_future *f);

#ifdef __cplusplus
}
#endif
#endif
