/* Assertions that stay on in release builds, magic numbers, and the one way the library gives up. */
#ifndef WEFT_BASE_CHECK_H
#define WEFT_BASE_CHECK_H

#include <stddef.h>
#include <stdint.h>

/* Says file, line and what was violated on the standard error and aborts; supplied by env/, the only layer that may. */
_Noreturn void weft__panic(const char *where, const char *what);
/* The same with text formatted by the caller (a report of several lines). */
_Noreturn void weft__panic_text(const char *text, size_t n);

#define WEFT__STR_(x) #x
#define WEFT__STR(x) WEFT__STR_(x)
#define WEFT_ASSERT(cond) ((cond) ? (void)0 : weft__panic(__FILE__ ":" WEFT__STR(__LINE__), #cond))

#ifdef WEFT_CHECKED
#define WEFT_CHECK(cond) WEFT_ASSERT(cond) /* too dear for release builds */
#else
#define WEFT_CHECK(cond) ((void)0)
#endif

#define weft__container(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#endif
