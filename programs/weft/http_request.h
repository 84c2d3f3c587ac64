/*
 * One HTTP/1 request, parsed with llhttp where it lies: header values are spans of the connection's read buffer, never
 * copies. The rules against request smuggling are all kept here.
 *
 * A request is fed from a buffer that holds it from its first byte on. The buffer may move between two calls (spans are
 * offsets), but what was fed stays what it was until the request has been answered.
 */
#ifndef WEFT_PROGRAM_HTTP_REQUEST_H
#define WEFT_PROGRAM_HTTP_REQUEST_H

#include "llhttp.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The most bytes a request line and its headers may have together, and the most header fields. */
#define HTTP_HEAD_MAX ((size_t)16384)
#define HTTP_FIELDS_MAX 100

struct http_span {
    uint32_t at, len;
};

/* The header fields that a file server acts upon. */
enum http_field {
    HTTP_FIELD_OTHER,
    HTTP_FIELD_HOST,
    HTTP_FIELD_RANGE,
    HTTP_FIELD_IF_RANGE,
    HTTP_FIELD_IF_MATCH,
    HTTP_FIELD_IF_NONE_MATCH,
    HTTP_FIELD_IF_MODIFIED_SINCE,
    HTTP_FIELD_IF_UNMODIFIED_SINCE,
    HTTP_FIELD_EXPECT,
    HTTP_FIELD_CONTENT_LENGTH,
    HTTP_FIELD_TRANSFER_ENCODING,
    HTTP_FIELD_USER_AGENT,
    HTTP_FIELD_REFERER,
    HTTP_FIELDS
};

enum http_event {
    HTTP_EVENT_MORE, /* everything was taken; feed what comes next */
    HTTP_EVENT_BODY, /* the head is complete and a body follows: decide, then feed on */
    HTTP_EVENT_DONE, /* the message is complete; bytes after `fed` belong to the next one */
    HTTP_EVENT_BAD   /* answer with `status` and close: what follows must not be read as a request */
};

struct http_request {
    llhttp_t parser;
    const char *base;  /* where the request begins, during a call */
    uint32_t fed;      /* bytes taken so far, from the first of the request */
    uint32_t head_len; /* bytes of request line and headers, once they are complete */
    uint16_t status;   /* with HTTP_EVENT_BAD: the status to answer with */
    uint16_t fields;   /* header fields seen */
    uint16_t seen;     /* a bit for each enum http_field that came */
    uint16_t repeated; /* a bit for each that came more than once */
    uint8_t method;    /* HTTP_GET ... of llhttp */
    uint8_t field;     /* which field is being read */
    bool complete;
    bool head_complete;
    bool keep_alive; /* the client wants, and the version allows, another request */
    bool has_body;
    bool version_1_0;
    bool bad_field; /* a field value came folded over two lines, or too many fields */
    struct http_span target;
    struct http_span name; /* of the field being read */
    struct http_span value[HTTP_FIELDS];
};

/* http_request_init makes a request ready for the first byte of a message. */
void http_request_init(struct http_request *rq);

/*
 * http_request_feed parses on. `base` is where the request begins and `len` how much of it is there, what was fed
 * before included. A head that does not fit into HTTP_HEAD_MAX is refused with 414 or 431. Once the head is complete, a
 * body need not stay in the buffer: see http_request_feed_body.
 */
enum http_event http_request_feed(struct http_request *rq, const char *base, size_t len);

/*
 * http_request_feed_body parses n bytes of body (chunk framing and trailers included) and drops them; *used is how
 * many of them belong to this message. Only after HTTP_EVENT_BODY.
 */
enum http_event http_request_feed_body(struct http_request *rq, const char *bytes, size_t n, size_t *used);

/* http_request_field returns a field's value without surrounding space, or NULL if it is absent or came repeatedly. */
const char *http_request_field(const struct http_request *rq, const char *base, enum http_field field, size_t *len);

#endif
