/* The request parser: what is let through is understood exactly, and nothing that could be read in two ways is. */
#include "http_request.h"
#include "test.h"

#include <strings.h>

/* Feeds a text in pieces, each time in memory of exactly the size that is known by then. */
static enum http_event feed(struct http_request *rq, const char *text, size_t size, size_t step)
{
    http_request_init(rq);
    for (size_t n = step < size ? step : size;; n = size - n < step ? size : n + step) {
        char *exact = malloc(n);
        CHECK(exact != NULL);
        memcpy(exact, text, n);
        enum http_event event = http_request_feed(rq, exact, n);
        free(exact);
        if (event != HTTP_EVENT_MORE || n == size)
            return event;
    }
}

static void refused(const char *text, int status)
{
    size_t size = strlen(text);
    struct http_request rq;
    enum http_event event = feed(&rq, text, size, size);
    if (event != HTTP_EVENT_BAD || rq.status != status || rq.keep_alive)
        TEST_FAIL("event %d status %d, not %d, for:\n%s", (int)event, rq.status, status, text);
    event = feed(&rq, text, size, 1);
    if (event != HTTP_EVENT_BAD || (rq.status != status && status != 501 && status != 505))
        TEST_FAIL("byte by byte: event %d status %d, not %d, for:\n%s", (int)event, rq.status, status, text);
}

static void head_refused(const char *fields, int status)
{
    char text[2048];
    snprintf(text, sizeof text, "POST / HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
        fields);
    refused(text, status);
}

static int field_is(const struct http_request *rq, const char *base, enum http_field field, const char *expected)
{
    size_t n;
    const char *value = http_request_field(rq, base, field, &n);
    if (expected == NULL)
        return value == NULL;
    return value != NULL && n == strlen(expected) && memcmp(value, expected, n) == 0;
}

static void fields_are_spans_however_they_arrive(void)
{
    static const char text[] = "\r\nGET /a?b=c HTTP/1.1\r\nhOsT: example:80\r\nRange:bytes=0-1\r\nX-Other: 1\r\n"
                               "X-Other: 2\r\n"
                               "If-None-Match:  \"a\", \"b\" \t\r\nUser-Agent:\r\n"
                               "If-Range: \"a\"\r\nIf-Range: \"b\"\r\n\r\nGET";
    size_t size = sizeof text - 1, head = size - 3;
    for (size_t step = 1; step <= size; step++) {
        struct http_request rq;
        CHECK_EQ(feed(&rq, text, size, step), HTTP_EVENT_DONE);
        CHECK_EQ(rq.head_len, head);
        CHECK_EQ(rq.fed, head);
        CHECK_EQ(rq.method, HTTP_GET);
        CHECK(rq.keep_alive && !rq.has_body && !rq.version_1_0);
        CHECK(rq.target.len == 6 && memcmp(text + rq.target.at, "/a?b=c", 6) == 0);
        CHECK(field_is(&rq, text, HTTP_FIELD_HOST, "example:80"));
        CHECK(field_is(&rq, text, HTTP_FIELD_RANGE, "bytes=0-1"));
        CHECK(field_is(&rq, text, HTTP_FIELD_IF_NONE_MATCH, "\"a\", \"b\""));
        CHECK(field_is(&rq, text, HTTP_FIELD_USER_AGENT, ""));
        CHECK(field_is(&rq, text, HTTP_FIELD_IF_RANGE, NULL));
        CHECK(field_is(&rq, text, HTTP_FIELD_REFERER, NULL));
    }
}

static void keeps(const char *text, int keep_alive)
{
    struct http_request rq;
    CHECK_EQ(feed(&rq, text, strlen(text), 7), HTTP_EVENT_DONE);
    if (rq.keep_alive != (keep_alive != 0))
        TEST_FAIL("keep-alive %d for:\n%s", rq.keep_alive, text);
}

static void a_body(const char *head, const char *body, int ends_well)
{
    for (size_t step = 1; step <= strlen(body) + 3; step++) {
        struct http_request rq;
        CHECK_EQ(feed(&rq, head, strlen(head), strlen(head)), HTTP_EVENT_BODY);
        CHECK_EQ(rq.head_len, strlen(head));
        char text[256];
        snprintf(text, sizeof text, "%sGET", body);
        size_t at = 0, size = strlen(text), used = 0;
        enum http_event event = HTTP_EVENT_MORE;
        while (event == HTTP_EVENT_MORE && at < size) {
            size_t n = size - at < step ? size - at : step;
            char *exact = malloc(n);
            CHECK(exact != NULL);
            memcpy(exact, text + at, n);
            event = http_request_feed_body(&rq, exact, n, &used);
            free(exact);
            at += used;
        }
        if (ends_well) {
            CHECK_EQ(event, HTTP_EVENT_DONE);
            CHECK_EQ(at, strlen(body));
        } else {
            CHECK_EQ(event, HTTP_EVENT_BAD);
            CHECK(!rq.keep_alive);
        }
    }
}

static void bodies_end_where_they_say(void)
{
    static const char chunked[] = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n";
    a_body("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n", "GET /", 1);
    a_body(chunked, "0\r\n\r\n", 1);
    a_body(chunked, "3\r\nabc\r\n0A\r\n0123456789\r\n0\r\nHost: evil\r\nRange: bytes=0-\r\n\r\n", 1);
    a_body(chunked, "3;ext=\"v\"\r\nabc\r\n0\r\n\r\n", 1);
    a_body(chunked, "x\r\n", 0);
    a_body(chunked, "3\nabc\r\n0\r\n\r\n", 0);
    a_body(chunked, "3\r\nabcd\r\n", 0);
    a_body(chunked, "-1\r\n", 0);
    a_body(chunked, "0x3\r\nabc\r\n", 0);
    a_body(chunked, "fffffffffffffffff\r\n", 0);
    a_body(chunked, " 3\r\nabc\r\n", 0);
}

static void large_heads_are_refused(void)
{
    size_t cap = HTTP_HEAD_MAX + 100;
    char *text = malloc(cap);
    CHECK(text != NULL);
    struct http_request rq;

    int n = snprintf(text, cap, "GET /");
    memset(text + n, 'a', cap - (size_t)n);
    CHECK_EQ(feed(&rq, text, cap, 1000), HTTP_EVENT_BAD);
    CHECK_EQ(rq.status, 414);
    n = snprintf(text, cap, "GET / HTTP/1.1\r\nX: ");
    memset(text + n, 'a', cap - (size_t)n);
    CHECK_EQ(feed(&rq, text, cap, cap), HTTP_EVENT_BAD);
    CHECK_EQ(rq.status, 431);

    /* One that fits exactly is taken; one byte more is not. */
    for (size_t extra = 0; extra < 2; extra++) {
        n = snprintf(text, cap, "GET / HTTP/1.1\r\nHost: x\r\nX: ");
        size_t size = HTTP_HEAD_MAX + extra;
        memset(text + n, 'a', size - (size_t)n - 4);
        memcpy(text + size - 4, "\r\n\r\n", 4);
        CHECK_EQ(feed(&rq, text, size, size), extra == 0 ? HTTP_EVENT_DONE : HTTP_EVENT_BAD);
    }

    n = snprintf(text, cap, "GET / HTTP/1.1\r\nHost: x\r\n");
    for (int i = 0; i < HTTP_FIELDS_MAX; i++)
        n += snprintf(text + n, cap - (size_t)n, "X: y\r\n");
    snprintf(text + n, cap - (size_t)n, "\r\n");
    refused(text, 431);
    free(text);
}

static void what_is_refused(void)
{
    refused("\x16\x03\x01\x02", 400);
    refused("GET\r\n", 400);
    refused("GET / HTTP/1.1 \r\n", 400);
    refused("GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400);
    refused("GET / HTTP/1.1\r\n\r\n", 400);
    refused("GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", 400);
    refused("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400);
    refused("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400);
    refused("GET / HTTP/1.1\nHost: x\n\n", 400);
    refused("GET / HTTP/1.1\r\nHost: x\n\r\n", 400);
    refused("GET / HTTP/1.1\r\nHost: x\rY: z\r\n\r\n", 400);
    refused("GET / HTTP/1.1\r\nHost: x\r\nY: z\r\n folded\r\n\r\n", 400);
    refused("GET / HTTP/1.1\r\nHost: x\r\nY:\r\n\tfolded\r\n\r\n", 400);
    refused("GET / HTTP/1.1\r\n Host: x\r\n\r\n", 400);
    refused("GET / HTTP/1.1\r\nHost: x\r\n: y\r\n\r\n", 400);
    refused("GET / HTTP/1.1\r\nHost: x\r\nY\r\n\r\n", 400);
    refused("GET / HTTP/1.1\r\nHost: x\r\nY : z\r\n\r\n", 400);
    refused("GET / HTTP/1.1\r\nHost: x\r\nY: \x01\r\n\r\n", 400);
    refused("GET / HTTP/1.1\r\nHost: x\r\nY\xff: z\r\n\r\n", 400);
    refused("GET / RTSP/1.0\r\nHost: x\r\n\r\n", 400);
    refused("BREW / HTTP/1.1\r\n", 501);
    refused("get / HTTP/1.1\r\n", 501);
    refused("GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505);
    refused("GET / HTTP/1.2\r\nHost: x\r\n\r\n", 505);
    refused("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505);
    refused("GET /\r\n\r\n", 505);
}

static void what_could_be_read_in_two_ways(void)
{
    head_refused("Content-Length: 4\r\nTransfer-Encoding: chunked", 400);
    head_refused("Transfer-Encoding: chunked\r\nContent-Length: 4", 400);
    head_refused("Content-Length: 5\r\nContent-Length: 5", 400);
    head_refused("Content-Length: 5, 5", 400);
    head_refused("Content-Length: +5", 400);
    head_refused("Content-Length: 5x", 400);
    head_refused("Content-Length: 99999999999999999999", 400);
    head_refused("Transfer-Encoding: identity", 400);
    head_refused("Transfer-Encoding: chunked, gzip", 400);
    head_refused("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", 400);
    head_refused("Transfer-Encoding: xchunked", 400);
    head_refused("Transfer-Encoding: \x0b" "chunked", 400);
    head_refused("Transfer-Encoding: gzip, chunked", 501);
    refused("POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", 400);
}

/* Wherever a head is longer by one CR or LF, or a line begins as one that goes on:
 * heads of many lengths, every place. */
static void lines_end_in_one_way_only(void)
{
    for (int pad = 0; pad < 40; pad++) {
        char head[160], with[164];
        size_t n = (size_t)snprintf(head, sizeof head, "GET / HTTP/1.1\r\nHost: x\r\nX: %.*s\r\n\r\n", pad,
            "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy");
        struct http_request rq;
        http_request_init(&rq);
        CHECK_EQ(http_request_feed(&rq, head, n), HTTP_EVENT_DONE);
        static const char added[] = "\r\n \t:";
        for (const char *c = added; *c != '\0'; c++)
            for (size_t at = 0; at + 2 < n; at++) {
                bool begins_line = at > 0 && head[at - 1] == '\n';
                if (*c != '\r' && *c != '\n' && !begins_line)
                    continue;
                memcpy(with, head, at);
                with[at] = *c;
                memcpy(with + at + 1, head + at, n - at);
                http_request_init(&rq);
                if (http_request_feed(&rq, with, n + 1) == HTTP_EVENT_DONE)
                    TEST_FAIL("accepted with %#x at %zu: %s", (unsigned)*c, at, head);
            }
    }
}

int main(void)
{
    fields_are_spans_however_they_arrive();
    keeps("GET / HTTP/1.1\r\nHost: x\r\n\r\n", 1);
    keeps("GET / HTTP/1.1\r\nHost:\r\n\r\n", 1);
    keeps("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 0);
    keeps("GET / HTTP/1.1\r\nHost: x\r\nConnection: foo, Close\r\n\r\n", 0);
    keeps("GET / HTTP/1.0\r\n\r\n", 0);
    keeps("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", 1);
    keeps("GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", 1);
    bodies_end_where_they_say();
    large_heads_are_refused();
    what_is_refused();
    what_could_be_read_in_two_ways();
    lines_end_in_one_way_only();
    return 0;
}
