/*
 * The Range header field (RFC 9110, section 14): which bytes of a representation a client asks for.
 */
#ifndef WEFT_PROGRAM_HTTP_RANGE_H
#define WEFT_PROGRAM_HTTP_RANGE_H

#include <stddef.h>
#include <stdint.h>

#define HTTP_RANGES_MAX 16

struct http_range {
    uint64_t first, last; /* both inclusive */
};

/*
 * http_range_parse reads a Range value for a representation of size bytes.
 *
 * Returns the number of satisfiable ranges stored, in the order asked for; 0 if the field is to be ignored (another
 * unit, bad syntax, or a demand that costs more than the whole: too many ranges, or ranges that overlap); -ERANGE if
 * it is well-formed and no range can be satisfied.
 */
int http_range_parse(const char *value, size_t n, uint64_t size, struct http_range ranges[HTTP_RANGES_MAX]);

#endif
