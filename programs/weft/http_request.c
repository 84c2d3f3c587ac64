/*
 * The glue to llhttp. A request belongs to one fiber at a time and no call here waits or allocates.
 *
 * llhttp runs in its strict mode and stops at the end of each message, so pipelined requests are parsed one at a time
 * and a parser never carries anything over. It decides where messages end; beyond it, and answered with 400 and the
 * end of the connection, this file refuses: a length beside a transfer coding, a transfer coding in HTTP/1.0, any bare
 * CR or LF in the head, folded lines, more than one space in the request line, no Host or two of them.
 *
 * Invariant: spans lie inside [0, head_len) and only fields of the head are recorded, never trailers.
 */
#include "http_request.h"

#include <string.h>
#include <strings.h>

#define BIT(field) ((uint16_t)(1u << (field)))

static enum http_field classify(const char *name, size_t len)
{
    static const struct {
        const char *name;
        uint8_t len, field;
    } known[] = {
        {"host", 4, HTTP_FIELD_HOST},
        {"range", 5, HTTP_FIELD_RANGE},
        {"expect", 6, HTTP_FIELD_EXPECT},
        {"referer", 7, HTTP_FIELD_REFERER},
        {"if-range", 8, HTTP_FIELD_IF_RANGE},
        {"if-match", 8, HTTP_FIELD_IF_MATCH},
        {"user-agent", 10, HTTP_FIELD_USER_AGENT},
        {"if-none-match", 13, HTTP_FIELD_IF_NONE_MATCH},
        {"content-length", 14, HTTP_FIELD_CONTENT_LENGTH},
        {"if-modified-since", 17, HTTP_FIELD_IF_MODIFIED_SINCE},
        {"transfer-encoding", 17, HTTP_FIELD_TRANSFER_ENCODING},
        {"if-unmodified-since", 19, HTTP_FIELD_IF_UNMODIFIED_SINCE},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known && known[i].len <= len; i++)
        if (known[i].len == len && strncasecmp(name, known[i].name, len) == 0)
            return known[i].field;
    return HTTP_FIELD_OTHER;
}

/* Adds a piece that llhttp hands over to a span. Pieces of one token adjoin, unless a line was folded. */
static bool extend(struct http_span *span, const struct http_request *rq, const char *at, size_t len)
{
    uint32_t offset = (uint32_t)(at - rq->base);
    if (span->len == 0) {
        *span = (struct http_span){offset, (uint32_t)len};
        return true;
    }
    if (span->at + span->len != offset)
        return false;
    span->len += (uint32_t)len;
    return true;
}

static int on_url(llhttp_t *parser, const char *at, size_t len)
{
    struct http_request *rq = parser->data;
    extend(&rq->target, rq, at, len);
    return 0;
}

static int on_header_field(llhttp_t *parser, const char *at, size_t len)
{
    struct http_request *rq = parser->data;
    if (!rq->head_complete)
        extend(&rq->name, rq, at, len);
    return 0;
}

static int on_header_field_complete(llhttp_t *parser)
{
    struct http_request *rq = parser->data;
    if (rq->head_complete)
        return 0;
    rq->field = (uint8_t)classify(rq->base + rq->name.at, rq->name.len);
    rq->name.len = 0;
    if (++rq->fields > HTTP_FIELDS_MAX)
        rq->bad_field = true;
    if (rq->seen & BIT(rq->field))
        rq->repeated |= BIT(rq->field);
    rq->seen |= BIT(rq->field);
    rq->value[rq->field].len = 0;
    return 0;
}

static int on_header_value(llhttp_t *parser, const char *at, size_t len)
{
    struct http_request *rq = parser->data;
    if (!rq->head_complete && !extend(&rq->value[rq->field], rq, at, len))
        rq->bad_field = true;
    return 0;
}

static int on_headers_complete(llhttp_t *parser)
{
    struct http_request *rq = parser->data;
    rq->head_complete = true;
    rq->method = parser->method;
    rq->keep_alive = llhttp_should_keep_alive(parser) != 0;
    rq->has_body = (parser->flags & F_TRANSFER_ENCODING) || parser->content_length > 0;
    rq->version_1_0 = parser->http_major == 1 && parser->http_minor == 0;
    return rq->has_body ? HPE_PAUSED : 0;
}

static int on_message_complete(llhttp_t *parser)
{
    struct http_request *rq = parser->data;
    rq->complete = true;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_url = on_url,
    .on_header_field = on_header_field,
    .on_header_field_complete = on_header_field_complete,
    .on_header_value = on_header_value,
    .on_headers_complete = on_headers_complete,
    .on_message_complete = on_message_complete,
};

void http_request_init(struct http_request *rq)
{
    llhttp_init(&rq->parser, HTTP_REQUEST, &settings);
    rq->parser.data = rq;
    rq->fed = 0;
    rq->head_len = 0;
    rq->status = 0;
    rq->fields = 0;
    rq->seen = 0;
    rq->repeated = 0;
    rq->field = HTTP_FIELD_OTHER;
    rq->complete = false;
    rq->head_complete = false;
    rq->bad_field = false;
    rq->target.len = 0;
    rq->name.len = 0;
    rq->value[HTTP_FIELD_OTHER].len = 0; /* the others are read only where `seen` has their bit */
}

static enum http_event refuse(struct http_request *rq, uint16_t status)
{
    rq->status = status;
    rq->keep_alive = false;
    return HTTP_EVENT_BAD;
}

static bool token_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

/* A method that llhttp does not know is one all the same if it is a token: 501. Anything else is no HTTP: 400. */
static uint16_t status_of_bad_method(const char *base, size_t len)
{
    size_t i = 0;
    while (i < len && (base[i] == '\r' || base[i] == '\n'))
        i++;
    size_t start = i;
    while (i < len && token_char(base[i]))
        i++;
    return i > start && (i == len || base[i] == ' ') ? 501 : 400;
}

/* A version that is well written, as far as it has come, is one that we do not speak: 505. Otherwise 400. */
static uint16_t status_of_bad_version(const struct http_request *rq, size_t len)
{
    static const char form[] = " HTTP/0.0\r";
    const char *at = rq->base + rq->target.at + rq->target.len, *end = rq->base + len;
    for (size_t i = 0; i < sizeof form - 1 && at < end; i++, at++)
        if (form[i] == '0' ? *at < '0' || *at > '9' : *at != form[i])
            return 400;
    return 505;
}

static uint16_t status_of_error(const struct http_request *rq, llhttp_errno_t error, size_t len)
{
    switch (error) {
    case HPE_INVALID_METHOD:
        return status_of_bad_method(rq->base, len);
    case HPE_PAUSED_H2_UPGRADE:
        return 505;
    case HPE_INVALID_VERSION:
        return status_of_bad_version(rq, len);
    default:
        return 400;
    }
}

/* Bytes that are looked at together, by GNU C's vectors: no head is shorter. */
typedef uint8_t block __attribute__((vector_size(16)));

static block bytes_at(const char *at)
{
    block b;
    memcpy(&b, at, sizeof b);
    return b;
}

/* Not all zero if one of the bytes at `at` may not follow the one before it. */
static block misplaced(const char *at)
{
    const block before = bytes_at(at - 1), c = bytes_at(at);
    const block cr = before - (uint8_t)'\r' == 0, lf = before - (uint8_t)'\n' == 0, new_lf = c - (uint8_t)'\n' == 0;
    const block odd = (c - (uint8_t)' ' == 0) | (c - (uint8_t)'\t' == 0) | (c - (uint8_t)':' == 0);
    return (cr ^ new_lf) | (lf & odd);
}

/* Every line of the head ends in CR LF, neither appears elsewhere, no line continues the one before or has no name. */
static bool lines_are_clean(const char *head, size_t len)
{
    block bad = {0};
    uint64_t halves[2];
    if (len <= sizeof bad || strchr("\n :\t", *head) != NULL || head[len - 1] != '\n')
        return false;
    for (size_t at = 1; at + sizeof bad < len; at += sizeof bad)
        bad |= misplaced(head + at);
    bad |= misplaced(head + len - sizeof bad); /* some of it once more */
    memcpy(halves, &bad, sizeof halves);
    return (halves[0] | halves[1]) == 0;
}

static bool host_is_clean(const char *host, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        char c = host[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '%' && c <= ';' && c != '/') || (c >= 'A' && c <= 'Z') || c == '_' ||
              c == '=' || c == '[' || c == ']' || c == '~' || c == '!' || c == '$'))
            return false;
    }
    return true;
}

/* What llhttp let through and we do not. Returns 0 or the status to refuse with. */
static uint16_t check_head(const struct http_request *rq)
{
    const char *base = rq->base;
    if (rq->fields > HTTP_FIELDS_MAX)
        return 431;
    if (rq->bad_field)
        return 400;
    if (rq->parser.http_major != 1 || rq->parser.http_minor > 1)
        return 505;

    uint32_t target_end = rq->target.at + rq->target.len;
    if (rq->target.len == 0 || rq->target.at < 2 || base[rq->target.at - 2] == ' ' ||
        rq->head_len - target_end < 8 || memcmp(base + target_end, " HTTP/1.", 8) != 0)
        return 400;
    if (!lines_are_clean(base, rq->head_len))
        return 400;

    if ((rq->repeated & BIT(HTTP_FIELD_HOST)) || (!(rq->seen & BIT(HTTP_FIELD_HOST)) && !rq->version_1_0))
        return 400;
    size_t len;
    const char *value = http_request_field(rq, base, HTTP_FIELD_HOST, &len);
    if (value != NULL && !host_is_clean(value, len))
        return 400;

    if ((rq->repeated & (BIT(HTTP_FIELD_CONTENT_LENGTH) | BIT(HTTP_FIELD_TRANSFER_ENCODING))))
        return 400;
    if (rq->seen & BIT(HTTP_FIELD_TRANSFER_ENCODING)) {
        if (rq->version_1_0 || (rq->seen & BIT(HTTP_FIELD_CONTENT_LENGTH)))
            return 400;
        value = http_request_field(rq, base, HTTP_FIELD_TRANSFER_ENCODING, &len);
        if (value == NULL || !(rq->parser.flags & F_CHUNKED))
            return 400;
        if (len != 7 || strncasecmp(value, "chunked", 7) != 0)
            return 501; /* other codings below the chunks: framed well, but not understood */
    }
    return 0;
}

/* The head has just become complete: find its end, check it, say what comes next. */
static enum http_event end_head(struct http_request *rq, const char *stopped)
{
    rq->head_len = (uint32_t)(stopped - rq->base);
    rq->fed = rq->head_len;
    uint16_t status = check_head(rq);
    if (status != 0)
        return refuse(rq, status);
    return rq->has_body ? HTTP_EVENT_BODY : HTTP_EVENT_DONE;
}

enum http_event http_request_feed(struct http_request *rq, const char *base, size_t len)
{
    rq->base = base;
    if (len > HTTP_HEAD_MAX)
        len = HTTP_HEAD_MAX;
    llhttp_errno_t error = llhttp_execute(&rq->parser, base + rq->fed, len - rq->fed);
    if (error == HPE_OK) {
        rq->fed = (uint32_t)len;
        if (rq->fields > HTTP_FIELDS_MAX)
            return refuse(rq, 431);
        if (rq->bad_field)
            return refuse(rq, 400);
        if (len == HTTP_HEAD_MAX) /* what does not fit: the target, or the fields after it */
            return refuse(rq, rq->fields == 0 && rq->name.len == 0 ? 414 : 431);
        return HTTP_EVENT_MORE;
    }
    if (error != HPE_PAUSED)
        return refuse(rq, status_of_error(rq, error, len));

    return end_head(rq, rq->parser.error_pos);
}

enum http_event http_request_feed_body(struct http_request *rq, const char *bytes, size_t n, size_t *used)
{
    *used = n;
    rq->base = bytes;
    llhttp_resume(&rq->parser);
    llhttp_errno_t error = llhttp_execute(&rq->parser, bytes, n);
    if (error == HPE_OK)
        return HTTP_EVENT_MORE;
    if (error == HPE_PAUSED && rq->complete) {
        *used = (size_t)(rq->parser.error_pos - bytes);
        return HTTP_EVENT_DONE;
    }
    return refuse(rq, 400);
}

const char *http_request_field(const struct http_request *rq, const char *base, enum http_field field, size_t *len)
{
    if (!(rq->seen & BIT(field)) || (rq->repeated & BIT(field)))
        return NULL;
    struct http_span span = rq->value[field];
    const char *value = span.len > 0 ? base + span.at : base;
    while (span.len > 0 && (value[span.len - 1] == ' ' || value[span.len - 1] == '\t'))
        span.len--;
    *len = span.len;
    return value;
}
