/* Bringing near what will be touched soon: memory that is in no cache then comes while something else is done.
 * Only a hint: any address will do. */
#ifndef WEFT_BASE_NEAR_H
#define WEFT_BASE_NEAR_H

#include <stddef.h>
#include <stdint.h>

#include "base/atomic.h"

/* A function that only hints has no effect as far as the compiler can see, and as a call it would be left out. */
#define WEFT__HINT __attribute__((always_inline)) static inline

/* So many cache lines from p on. */
WEFT__HINT void weft__near(const void *p, size_t lines)
{
    for (size_t i = 0; i < lines; i++)
        __builtin_prefetch((const void *)((uintptr_t)p + i * WEFT_CACHE_LINE), 1);
}

#endif
