/* Reading and writing without an op: see transfer.c. */
#ifndef WEFT_FIBER_TRANSFER_H
#define WEFT_FIBER_TRANSFER_H

#include "fiber/fiber.h"

/* What is to be read or written. */
typedef struct weft__transfer {
    weft_desc *desc;
    void *buf;  /* or vectors, and how many */
    size_t len;
    enum weft_opcode code;
    int writes;
} weft__transfer;

/* The answer where an op has to be submitted: nothing was done. */
#define WEFT__TRANSFER_OP INT64_MIN

/* Of the running fiber, which does not move; nobody else waits in that direction, and an attempt is known to be vain. Waits and tries until it is
 * done: its result, -ETIMEDOUT, -ECANCELED (also: the descriptor was closed), or WEFT__TRANSFER_OP. */
int64_t weft__transfer_wait(weft__fiber *f, const weft__transfer *t, const void *through, int64_t deadline);

#endif
