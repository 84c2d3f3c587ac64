/* Containment: a fiber that overflows its stack ends its lane instead of the process, where that is safe
 * (docs/design/containment.md). */
#ifndef WEFT_FIBER_CONTAIN_H
#define WEFT_FIBER_CONTAIN_H

#include "fiber/fiber.h"

/* Any thread: code [from, to) is containable from now on. 0, -EAGAIN no more ranges, -ENOTSUP faults are not watched
 * or cannot be mended. */
int weft__contain_code(weft_runtime *rt, uintptr_t from, uintptr_t to);
/* In a signal handler: the fault lies in this stack's guard. 1: it was contained, and the thread goes on elsewhere. */
int weft__contain(weft__fiber_realm *realm, const weft__stack *stack, void *machine);

/* fiber.c: the function in which every fiber begins: below it nothing has to be known. */
void weft__fiber_body(weft__fiber *f);

/* What calls of the runtime find on the stack of a containable lane's fiber, or the fault comes now. Calls that are
 * made of others need more: if an inner one noticed, its caller would not be the program. */
#define WEFT__PROBE_BYTES ((size_t)8 << 10)
#define WEFT__PROBE_MORE ((size_t)4 << 10)
void weft__probe_stack(const weft__fiber *f, size_t bytes);
/* First thing in a public call that may be made by a fiber: nothing is entered yet. Not in a function that such
 * calls share: the frame that calls this, and no other, is taken for one of the runtime that has nothing entered. */
__attribute__((always_inline)) static inline void weft__probe(const weft__fiber *f)
{
    if (f && f->crew->containable)
        weft__probe_stack(f, WEFT__PROBE_BYTES);
}
__attribute__((always_inline)) static inline void weft__probe_self(void) { weft__probe(weft__fiber_self()); }
/* In a public call that makes other public calls, so many levels of them. */
__attribute__((always_inline)) static inline void weft__probe_levels(const weft__fiber *f, unsigned levels)
{
    if (f && f->crew->containable)
        weft__probe_stack(f, WEFT__PROBE_BYTES + levels * WEFT__PROBE_MORE);
}
__attribute__((always_inline)) static inline void weft__probe_more(unsigned levels) { weft__probe_levels(weft__fiber_self(), levels); }

#endif
