/*
 * The head of a response, put together from ready-made pieces.
 */
#ifndef WEFT_PROGRAM_HTTP_RESPONSE_H
#define WEFT_PROGRAM_HTTP_RESPONSE_H

#include "http_conditions.h"
#include "http_date.h"
#include "out.h"

/* The most that one head takes, a Location of the longest path included; http_head never writes more. */
#define HTTP_RESPONSE_HEAD_MAX ((size_t)16384)
/* The most that a head takes without `extra`. */
#define HTTP_RESPONSE_HEAD_PLAIN ((size_t)512)

struct http_reply {
    int status;
    bool keep_alive;
    bool version_1_0;                 /* of the request: keep-alive is then said, not implied */
    const char *type;                 /* content type, or NULL */
    uint64_t length;                  /* Content-Length; not sent with 304 and 1xx */
    const struct http_entity *entity; /* its ETag, Last-Modified and Accept-Ranges are sent; or NULL */
    const char *extra;                /* complete header lines, or NULL */
    size_t extra_len;
};

/* http_head appends status line and headers; `date` is an HTTP date of HTTP_DATE_LEN bytes. */
void http_head(struct out *o, const struct http_reply *reply, const char *date);

/* http_head_date_at returns where in a head with that status its date begins. */
size_t http_head_date_at(int status);

/* http_reason returns the phrase for a status that this server sends, "" for others. */
const char *http_reason(int status);

#endif
