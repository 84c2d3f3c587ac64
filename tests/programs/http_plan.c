/* Preconditions and ranges decide together what is sent, in the order of RFC 9110. */
#include "http_conditions.h"
#include "http_response.h"
#include "test.h"

static struct http_entity entity;

static struct http_plan plan(const char *method, const char *fields)
{
    char text[1024];
    int n = snprintf(text, sizeof text, "%s / HTTP/1.1\r\nHost: x\r\n%s\r\n", method, fields);
    struct http_request rq;
    http_request_init(&rq);
    CHECK_EQ(http_request_feed(&rq, text, (size_t)n), HTTP_EVENT_DONE);
    struct http_plan p;
    http_plan_make(&p, &rq, text, &entity, 1700000000);
    return p;
}

static void is(const char *fields, int status)
{
    struct http_plan p = plan("GET", fields);
    if (p.status != status)
        TEST_FAIL("%d, not %d, for:\n%s", p.status, status, fields);
}

#define ETAG "\"ae1b981bc490a05-3e8-7\""

static void heads_are_well_formed(void)
{
    char memory[HTTP_RESPONSE_HEAD_PLAIN];
    static const int statuses[] = {200, 206, 301, 304, 400, 403, 404, 405, 408, 412, 413, 414, 416, 417, 431, 500,
        501, 503, 505};
    static const char date[] = "Sun, 06 Nov 1994 08:49:37 GMT";
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        struct out o = out_fixed(memory, sizeof memory);
        struct http_reply reply = {.status = statuses[i], .keep_alive = true, .length = UINT64_MAX, .entity = &entity,
            .type = "application/vnd.openxmlformats-officedocument.presentationml.presentation"};
        http_head(&o, &reply, date);
        CHECK(!o.truncated && o.len > 4 && memcmp(o.base + o.len - 4, "\r\n\r\n", 4) == 0);
        char line[80];
        int n = snprintf(line, sizeof line, "HTTP/1.1 %d %s\r\n", statuses[i], http_reason(statuses[i]));
        CHECK(memcmp(o.base, line, (size_t)n) == 0 && http_reason(statuses[i])[0] != '\0');
        CHECK((memmem(o.base, o.len, "Content-Length", 14) == NULL) == (statuses[i] == 304));
    }
    struct out o = out_fixed(memory, sizeof memory);
    struct http_reply reply = {.status = 200, .type = "a/b", .length = 12, .keep_alive = true, .version_1_0 = true,
        .entity = &entity, .extra = "X: y\r\n", .extra_len = 6};
    http_head(&o, &reply, date);
    static const char expected[] = "HTTP/1.1 200 OK\r\nServer: weft\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
                                   "Content-Type: a/b\r\nContent-Length: 12\r\nETag: " ETAG "\r\n"
                                   "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\nAccept-Ranges: bytes\r\n"
                                   "Connection: keep-alive\r\nX: y\r\n\r\n";
    CHECK(o.len == sizeof expected - 1 && memcmp(o.base, expected, o.len) == 0);
}

int main(void)
{
    http_entity_make(&entity, 7, 1000, 784111777, 5);
    CHECK(strcmp(entity.etag, ETAG) == 0);

    is("", 200);
    is("If-None-Match: " ETAG "\r\n", 304);
    is("If-None-Match: W/" ETAG "\r\n", 304);
    is("If-None-Match: \"x\" , " ETAG "\r\n", 304);
    is("If-None-Match: *\r\n", 304);
    is("If-None-Match: \"x\"\r\n", 200);
    is("If-None-Match: ae1b981bc490a05-3e8-7\r\n", 200);
    is("If-None-Match: \"unclosed\r\n", 200);
    is("If-None-Match: \r\n", 200);
    is("If-None-Match: " ETAG "\r\nIf-None-Match: " ETAG "\r\n", 200);
    is("If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n", 304);
    is("If-Modified-Since: Sun, 06 Nov 1994 08:49:38 GMT\r\n", 304);
    is("If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n", 200);
    is("If-Modified-Since: yesterday\r\n", 200);
    is("If-Modified-Since: Sun, 06 Nov 1994 08:49:38 GMT\r\nIf-None-Match: \"x\"\r\n", 200);
    is("If-Match: " ETAG "\r\n", 200);
    is("If-Match: *\r\n", 200);
    is("If-Match: \"x\"\r\n", 412);
    is("If-Match: W/" ETAG "\r\n", 412);
    is("If-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n", 412);
    is("If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n", 200);
    is("If-Match: " ETAG "\r\nIf-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n", 200);
    is("If-Match: \"x\"\r\nIf-None-Match: " ETAG "\r\n", 412);

    is("Range: bytes=0-1\r\n", 206);
    is("Range: bytes=1000-\r\n", 416);
    is("Range: bytes=0-1\r\nRange: bytes=2-3\r\n", 200);
    is("Range: bytes=0-1\r\nIf-Range: " ETAG "\r\n", 206);
    is("Range: bytes=0-1\r\nIf-Range: W/" ETAG "\r\n", 200);
    is("Range: bytes=0-1\r\nIf-Range: Sun, 06 Nov 1994 08:49:37 GMT\r\n", 206);
    is("Range: bytes=0-1\r\nIf-Range: Sun, 06 Nov 1994 08:49:38 GMT\r\n", 200);
    is("Range: bytes=0-1\r\nIf-Range:\r\n", 200);
    is("Range: bytes=1000-\r\nIf-Range: \"x\"\r\n", 200);
    is("Range: bytes=0-1\r\nIf-None-Match: " ETAG "\r\n", 304);
    CHECK_EQ(plan("HEAD", "Range: bytes=0-1\r\n").status, 200);
    CHECK_EQ(plan("GET", "Range: bytes=0-1,5-6\r\n").ranges, 2);
    heads_are_well_formed();
    return 0;
}
