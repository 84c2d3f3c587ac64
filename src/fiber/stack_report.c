/* The text of a stack overflow report. Owns nothing; runs in a signal handler, so it formats into the buffer that it
 * is given. */
#include "fiber/stack.h"

#include "sched/text.h"

static const char *or_unnamed(const char *name)
{
    return name != NULL && name[0] != 0 ? name : "(unnamed)";
}

size_t weft__stack_report(char *buf, size_t size, const weft__stack_overflow *what)
{
    uintptr_t lo = (uintptr_t)what->lo;

    if (size == 0)
        return 0;
    size_t n = weft__format(buf, size,
        "weft: fiber %s of lane %s overflowed its stack\n"
        "  spawned at %s\n"
        "  stack %p to %p, %zu bytes; the fault is at %p, %zu bytes below it\n"
        "  give the fiber a larger stack, or keep large buffers off it\n",
        or_unnamed(what->fiber), or_unnamed(what->lane), what->site != NULL ? what->site : "(unknown)", what->lo,
        (const void *)(lo + what->size), what->size, (const void *)what->address,
        what->address < lo ? (size_t)(lo - what->address) : (size_t)0);
    return n < size ? n : size - 1;
}
