/* Plain stacks for tests of the switch alone: an anonymous mapping each, announced to the tools that watch. */
#ifndef WEFT_TESTS_ARCH_STACKS_H
#define WEFT_TESTS_ARCH_STACKS_H

#include "arch/switch.h"
#include "test.h"

#include <sys/mman.h>

typedef struct test_stack {
    char *lo;
    size_t size;
    unsigned announced;
} test_stack;

static inline test_stack test_stack_new(size_t size)
{
    test_stack s = {.size = size};

    s.lo = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(s.lo != MAP_FAILED);
    s.announced = weft__stack_announce(s.lo, size);
    return s;
}

static inline void test_stack_free(test_stack *s)
{
    weft__stack_retract(s->announced, s->lo, s->size);
    CHECK_EQ(munmap(s->lo, s->size), 0);
    s->lo = NULL;
}

static inline int test_stack_holds(const test_stack *s, const void *p)
{
    return (uintptr_t)p >= (uintptr_t)s->lo && (uintptr_t)p < (uintptr_t)s->lo + s->size;
}

#endif
