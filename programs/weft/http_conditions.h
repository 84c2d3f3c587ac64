/*
 * Conditional and range requests: what to send of a file, given who asks and how (RFC 9110, sections 13 and 14).
 */
#ifndef WEFT_PROGRAM_HTTP_CONDITIONS_H
#define WEFT_PROGRAM_HTTP_CONDITIONS_H

#include "http_range.h"
#include "http_request.h"

#define HTTP_ETAG_MAX 56

/* What is known of a representation. */
struct http_entity {
    uint64_t size;
    int64_t modified_s;          /* seconds since 1970 */
    char etag[HTTP_ETAG_MAX];    /* quoted, strong, zero-terminated */
};

/* The answer: 200 whole, 206 with ranges, 304, 412 or 416. */
struct http_plan {
    int status;
    int ranges;
    struct http_range range[HTTP_RANGES_MAX];
};

/* http_entity_make fills an entity from what stat tells. */
void http_entity_make(struct http_entity *entity, uint64_t inode, uint64_t size, int64_t modified_s,
    uint32_t modified_ns);

/* The bits in a request's `seen` of fields that make its answer depend on what the client has already. */
#define HTTP_CONDITIONAL \
    (1u << HTTP_FIELD_IF_MATCH | 1u << HTTP_FIELD_IF_NONE_MATCH | 1u << HTTP_FIELD_IF_MODIFIED_SINCE | \
        1u << HTTP_FIELD_IF_UNMODIFIED_SINCE)

/* http_plan_make decides; `base` is where the request's bytes are, `now` seconds since 1970. */
void http_plan_make(struct http_plan *plan, const struct http_request *rq, const char *base,
    const struct http_entity *entity, int64_t now);

#endif
