/* Formatting without libc's printf, which may allocate, wants a deep stack and is no freestanding function: %s %d %u %x
 * %p %zu %lld %llu %% and widths like %-20s or %08x are what reports need. */
#ifndef WEFT_SCHED_TEXT_H
#define WEFT_SCHED_TEXT_H

#include <stdarg.h>
#include <weft/types.h>

/* Writes at most size bytes, the closing zero included; returns the length the whole text has.
 * Safe in signal handlers. */
size_t weft__format(char *buf, size_t size, const char *fmt, ...) WEFT_PRINTF(3, 4);
size_t weft__vformat(char *buf, size_t size, const char *fmt, va_list ap) WEFT_PRINTF(3, 0);

#endif
