/* What the io_uring driver uses of the kernel's interface and <linux/io_uring.h> of Linux 6.1 does not name yet: by
 * number, with the release that brought it. Everything here is probed or falls back when the running kernel is older.
 */
#ifndef WEFT_PORT_URING_ABI_H
#define WEFT_PORT_URING_ABI_H

#include <linux/io_uring.h>

/* io_uring_setup flags. */
#define WEFT__SETUP_NO_MMAP (1u << 14)    /* 6.5: the application supplies the rings' memory */
#define WEFT__SETUP_NO_SQARRAY (1u << 16) /* 6.6: submission entries are taken in order, no index array */

/* Features. */
#define WEFT__FEAT_RECVSEND_BUNDLE (1u << 14) /* 6.10 */
#define WEFT__FEAT_MIN_TIMEOUT (1u << 15)     /* 6.12: came together with IORING_ENTER_ABS_TIMER */
#define WEFT__FEAT_NO_IOWAIT (1u << 17)       /* 6.15 */

/* io_uring_enter flags. */
#define WEFT__ENTER_ABS_TIMER (1u << 5) /* 6.12: the time-out is a time on the monotonic clock */
#define WEFT__ENTER_NO_IOWAIT (1u << 7) /* 6.15: waiting is idling, not disk wait */

/* Receive flags (sqe->ioprio) and provided buffer rings. */
#define WEFT__RECVSEND_BUNDLE (1u << 4) /* 6.10: one completion for several buffers */
#define WEFT__PBUF_RING_INC 2u          /* 6.12: buffers are used up piece by piece */
#define WEFT__CQE_F_BUF_MORE (1u << 4)  /* 6.12: the buffer named will be used further */

/* io_uring_register codes. */
#define WEFT__REGISTER_SEND_MSG_RING 31u /* 6.13: post to another ring without one of one's own */

#endif
