#ifndef WEFT_ARCH_POISON_H
#define WEFT_ARCH_POISON_H

/*
 * Telling the tools that watch a program what is memory of its own and what is not: AddressSanitizer, its leak
 * checker, and in checked builds Valgrind, whose requests cost a nanosecond or two each. Any thread. Where no tool is
 * built in, nothing is left of any of this.
 */

#include <stddef.h>

#include "arch/layout.h"

#if WEFT__ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/lsan_interface.h>
/* For code that keeps its books in memory that the program must not touch. */
#define WEFT__NO_ASAN __attribute__((no_sanitize_address))
#else
#define WEFT__NO_ASAN
#endif

#if WEFT__VALGRIND && defined(WEFT_CHECKED)
#define WEFT__VALGRIND_HEAP 1
#include <valgrind/memcheck.h>
#else
#define WEFT__VALGRIND_HEAP 0
#endif

/* No access of the program's to [p, p + n) is right from now on. */
static inline void weft__poison(void *p, size_t n)
{
    (void)p;
    (void)n;
#if WEFT__ASAN
    __asan_poison_memory_region(p, n);
#endif
#if WEFT__VALGRIND_HEAP
    (void)VALGRIND_MAKE_MEM_NOACCESS(p, n);
#endif
}

/* It is the program's, and its content is unspecified. */
static inline void weft__unpoison(void *p, size_t n)
{
    (void)p;
    (void)n;
#if WEFT__ASAN
    __asan_unpoison_memory_region(p, n);
#endif
#if WEFT__VALGRIND_HEAP
    (void)VALGRIND_MAKE_MEM_UNDEFINED(p, n);
#endif
}

/* The same for what holds something already: books in poisoned memory, which Valgrind has no other way to allow. */
static inline void weft__unpoison_defined(void *p, size_t n)
{
    (void)p;
    (void)n;
#if WEFT__ASAN
    __asan_unpoison_memory_region(p, n);
#endif
#if WEFT__VALGRIND_HEAP
    (void)VALGRIND_MAKE_MEM_DEFINED(p, n);
#endif
}

/* What only [p, p + n) points to is not lost, until it is retracted with the same bounds. */
static inline void weft__memory_announce(void *p, size_t n)
{
    (void)p;
    (void)n;
#if WEFT__ASAN
    __lsan_register_root_region(p, n);
#endif
}

static inline void weft__memory_retract(void *p, size_t n)
{
    (void)p;
    (void)n;
#if WEFT__ASAN
    __lsan_unregister_root_region(p, n);
    __asan_unpoison_memory_region(p, n);
#endif
}

#endif
