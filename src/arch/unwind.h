#ifndef WEFT_ARCH_UNWIND_H
#define WEFT_ARCH_UNWIND_H

/*
 * Backtraces as arrays of code addresses, the innermost first: no malloc, no locks of ours, no text. Addresses after
 * the first are return addresses: whoever resolves one to a line looks up the byte before it.
 *
 * Two ways. By unwind tables (the compiler's runtime reads them): right for code of any build, some hundred nanoseconds
 * a frame. By frame pointers: a few nanoseconds a frame and safe in signal handlers, but it misses frames of code that
 * was built without them, and may end there.
 */

#include "arch/switch.h"

/* The running context, from the caller of this function outwards. Any thread. Returns how many of `max` it filled. */
size_t weft__backtrace(uintptr_t *pc, size_t max);

/* The same on the stack [lo, lo + size); where the caller has no unwind tables the
 * frames are followed by frame pointers. */
size_t weft__backtrace_in(const void *lo, size_t size, uintptr_t *pc, size_t max);

/*
 * A parked context, from where it called weft__switch. It must stay parked meanwhile. A fresh one has no frames: 0.
 * [lo, lo + size) is its stack, for the same purpose.
 */
size_t weft__backtrace_parked(const weft__context *ctx, const void *lo, size_t size, uintptr_t *pc, size_t max);

/*
 * The same two by frame pointers. Only memory in [lo, lo + size) is read, so bounds that are right make
 * it safe whatever the frames hold.
 */
size_t weft__backtrace_quick(const void *lo, size_t size, uintptr_t *pc, size_t max);
size_t weft__backtrace_parked_quick(const weft__context *ctx, const void *lo, size_t size, uintptr_t *pc, size_t max);

/* In a signal handler: the interrupted code, by its pc and frame pointer (of the handler's ucontext). */
size_t weft__backtrace_from(uintptr_t at, uintptr_t frame, const void *lo, size_t size, uintptr_t *pc, size_t max);

/* Of a signal handler's third argument: pc, frame pointer and stack pointer of the interrupted code. 0, or -ENOTSUP. */
int weft__interrupted(const void *machine, uintptr_t *pc, uintptr_t *frame, uintptr_t *sp);

/*
 * In a signal handler: walks the frames of the code that was interrupted at `at`, by unwind tables. 1: every one of
 * them is known(ctx, address), up to the function that begins at `last`, which is reached. Frames at the near end that
 * belong to the function at `probe` are passed over, and so is its caller. 0: there is one that is not known, or tables
 * are missing. No malloc, and no lock where the C library finds tables without one (glibc 2.35).
 */
int weft__unwind_known(uintptr_t at, uintptr_t probe, uintptr_t last, int (*known)(void *ctx, uintptr_t address), void *ctx);

/* In a signal handler: the interrupted thread goes on in fn, with no caller, on the stack that ends at sp.
 * 0, or -ENOTSUP. machine NULL: tells which of the two it would be. */
int weft__divert(void *machine, void (*fn)(void), void *sp);

/* Assembly: calls fn(arg) on the running stack in such a way that an unwinder, at the end of fn's callers,
 * goes on in *sp's frames. */
void weft__unwind_as(const void *sp, void (*fn)(void *), void *arg);

#endif
