/* Checked builds know all memory that the kernel, a pool thread or a port may still touch, and abort when it is
 * given back (DESIGN section 7): the op itself, its buffer or head, its vectors and their array, paths, and the places for
 * addresses and file status. Ordinary builds know nothing and pay nothing. */
#ifndef WEFT_PORT_INFLIGHT_H
#define WEFT_PORT_INFLIGHT_H

#include <weft/op.h>

#ifdef WEFT_CHECKED
/* From submission, on the submitter's thread, to just before the terminal completion is told. Any thread. */
void weft__inflight_add(weft_op *op);
void weft__inflight_remove(weft_op *op);
/* Aborts, naming op, submitter and both ranges, if [p, p+n) overlaps memory in flight. `what` says whose memory is
 * being given back: "stack of fiber 12", "vat page". Any thread. O(ops in flight). */
void weft__inflight_check(const void *p, size_t n, const char *what);
/* How many ops are in flight in the process. */
size_t weft__inflight_count(void);
#else
#define weft__inflight_add(op) ((void)(op))
#define weft__inflight_remove(op) ((void)(op))
#define weft__inflight_check(p, n, what) ((void)(p), (void)(n), (void)(what))
#endif

#endif
