/* Credits over a byte stream: what the sender may have under way is never more than the receiver has room for, by
 * contract, and neither side's slowness fills the kernel's buffers. Both ends of a connection open a flow on it;
 * from then on its bytes are framed, and only these calls use it. Each direction has a window of its own.
 *
 * A receiver grants what has been read from its buffer, and does so when no more than low_water of its window is
 * left to the sender or unread: one grant and one wake-up for many writes, where a sender that blocks on a full
 * buffer is woken for each piece of room. As whatever comes finds a place at once, a reader that is slow never holds
 * up the grants for the other direction, which come over the same connection.
 *
 * A flow belongs to the lane of its socket; its storage and buffer must stay until weft_flow_close: a fiber must not
 * return before. */
#ifndef WEFT_FLOW_H
#define WEFT_FLOW_H

#include <weft/net.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weft_flow {
    int64_t opaque[64];
} weft_flow;

#define WEFT_FLOW_MAX ((size_t)1 << 30) /* a window is smaller than this */

/* Opens this end: tells the peer that it may send `window` bytes, the size of the caller's buffer, and starts a
 * fiber that takes in what comes. -EINVAL no window, or low_water not below it, or the window too large; else as
 * weft_write_all and weft_spawn. */
WEFT_API int weft_flow_open(weft_flow *flow, weft_id sock, void *buffer, size_t window, size_t low_water);
/* At least one byte, at most n, as the peer's credit allows (n == 0: 0 at once). -ETIMEDOUT, -ECANCELED nothing was
 * written; -EPIPE weft_flow_finish was called, or the peer is gone; -EPROTO the peer does not keep to the contract;
 * else the connection's error. A call that is ended in the middle of a frame, which can only be while the connection
 * itself stands still, breaks the flow: every later call answers -EIO. */
WEFT_API ssize_t weft_flow_write(weft_flow *flow, const void *buf, size_t n, int64_t deadline);
/* All n bytes: 0, or the error that stopped it, with what was written until then in *done (may be NULL). */
WEFT_API int weft_flow_write_all(weft_flow *flow, const void *buf, size_t n, size_t *done, int64_t deadline);
/* Up to n bytes; 0 once the peer has finished and all is read; -EPIPE the peer is gone without having finished;
 * -EPROTO the peer does not keep to the contract; -EIO a write broke the flow (see there); else the connection's error.
 * What lies in the buffer is read first, whatever became of the connection. -ETIMEDOUT; -ECANCELED, which is checked at
 * entry. */
WEFT_API ssize_t weft_flow_read(weft_flow *flow, void *buf, size_t n, int64_t deadline);
/* Nothing more is written by this end: the peer reads 0 after all that was. -EPIPE: already said; else as
 * weft_flow_write. */
WEFT_API int weft_flow_finish(weft_flow *flow, int64_t deadline);
/* Ends the fiber; the socket is the caller's again, to be closed. Waits for that, whatever the caller's deadline and
 * cancellation. 0; -EPERM another lane's. */
WEFT_API int weft_flow_close(weft_flow *flow);

typedef struct weft_flow_info {
    uint64_t sent, received; /* bytes */
    uint64_t stalls;         /* how often a write found no credit and waited */
    uint64_t grants;         /* how many were sent */
    size_t most;             /* bytes that ever lay in the buffer at once */
    size_t credit;           /* bytes that may be written now */
} weft_flow_info;
WEFT_API void weft_flow_look(const weft_flow *flow, weft_flow_info *out);

#ifdef __cplusplus
}
#endif
#endif
