/*
 * Dates as HTTP writes them, without the C library's calendar: no locale, no time zone, no lock.
 */
#ifndef WEFT_PROGRAM_HTTP_DATE_H
#define WEFT_PROGRAM_HTTP_DATE_H

#include <stddef.h>
#include <stdint.h>

#define HTTP_DATE_LEN ((size_t)29)

/*
 * http_date_format writes the 29 bytes of an HTTP date ("Sun, 06 Nov 1994 08:49:37 GMT"), not zero-terminated.
 * Seconds before 1970 or after 9999 are taken as the nearest time that can be written.
 */
void http_date_format(char *to, int64_t unix_seconds);

/*
 * http_date_parse reads a date in any of the three forms that HTTP allows and stores seconds since 1970.
 * Returns 0, or -EINVAL if it is not a date; *unix_seconds is then untouched.
 */
int http_date_parse(const char *text, size_t n, int64_t now, int64_t *unix_seconds);

#endif
