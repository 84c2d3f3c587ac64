/*
 * Fuzzes what `weft serve` makes of bytes from a client: the request parser, paths, ranges, dates. Built with libFuzzer
 * where clang is there, and everywhere as a program that feeds itself seeded mutations of the requests below
 * (arguments: rounds, seed).
 *
 * What must hold for any input: nothing is read outside of what was given; the verdict does not depend on how the
 * bytes were cut; every span lies in the head; a path that is let through stays below the root; a range that is let
 * through lies in the file.
 */
#include "http_conditions.h"
#include "http_path.h"
#include "http_request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../test.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(cond)                                                                                                     \
    do {                                                                                                               \
        if (!(cond)) {                                                                                                 \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #cond);                                         \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

/* A copy of exactly n bytes, so that one byte too far is seen by the sanitizers. */
static char *exact(const void *bytes, size_t n)
{
    char *copy = malloc(n > 0 ? n : 1);
    MUST(copy != NULL);
    if (n > 0)
        memcpy(copy, bytes, n);
    return copy;
}

static void check_path(const char *target, size_t n)
{
    char *path = malloc(n + 1);
    struct http_path p;
    MUST(path != NULL);
    if (http_path_resolve(target, n, path, n + 1, &p) == 0) {
        MUST(p.len <= n && strlen(path) == p.len && path[0] != '/');
        for (const char *s = path; s != NULL && *s != '\0'; s = strchr(s, '/'), s = s != NULL ? s + 1 : NULL) {
            size_t len = strcspn(s, "/");
            MUST(len > 0 && !(len == 1 && s[0] == '.') && !(len == 2 && s[0] == '.' && s[1] == '.'));
        }
        MUST(p.query == NULL || (p.query >= target && p.query + p.query_len <= target + n));
    }
    free(path);
}

static void check_plan(const struct http_request *rq, const char *base)
{
    static const uint64_t sizes[] = {0, 1, 10, 1000000, UINT64_MAX / 2};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct http_entity entity;
        struct http_plan plan;
        http_entity_make(&entity, 7, sizes[i], 784111777, 5);
        http_plan_make(&plan, rq, base, &entity, 1700000000);
        MUST(plan.status == 200 || plan.status == 206 || plan.status == 304 || plan.status == 412 ||
            plan.status == 416);
        MUST((plan.status == 206) == (plan.ranges > 0) && plan.ranges <= HTTP_RANGES_MAX);
        for (int k = 0; k < plan.ranges; k++)
            MUST(plan.range[k].first <= plan.range[k].last && plan.range[k].last < sizes[i]);
    }
}

static void check_head(const struct http_request *rq, const char *base, size_t n)
{
    MUST(rq->head_len <= n && rq->fed == rq->head_len && rq->head_len >= 4);
    MUST(rq->target.len > 0 && rq->target.at + rq->target.len < rq->head_len);
    for (int f = 0; f < HTTP_FIELDS; f++) {
        size_t len;
        const char *value = http_request_field(rq, base, (enum http_field)f, &len);
        MUST(value == NULL || (value >= base && value + len <= base + rq->head_len));
    }
    check_path(base + rq->target.at, rq->target.len);
    check_plan(rq, base);
}

/* The bytes arrive in pieces of `step`; each time in memory of exactly the size that is known. */
static enum http_event feed_in_pieces(struct http_request *rq, const uint8_t *data, size_t size, size_t step)
{
    http_request_init(rq);
    for (size_t n = step < size ? step : size;; n = size - n < step ? size : n + step) {
        char *copy = exact(data, n);
        enum http_event event = http_request_feed(rq, copy, n);
        free(copy);
        if (event != HTTP_EVENT_MORE || n == size)
            return event;
    }
}

static void check_pieces(const struct http_request *whole, enum http_event expected, const uint8_t *data, size_t size)
{
    struct http_request rq;
    size_t step = 1 + data[size / 2] % 17;
    enum http_event event = feed_in_pieces(&rq, data, size, step);
    MUST(event == expected);
    if (event == HTTP_EVENT_DONE || event == HTTP_EVENT_BODY) {
        MUST(rq.head_len == whole->head_len && rq.seen == whole->seen && rq.repeated == whole->repeated);
        MUST(rq.target.at == whole->target.at && rq.target.len == whole->target.len);
        MUST(rq.keep_alive == whole->keep_alive && rq.method == whole->method);
        for (int f = 1; f < HTTP_FIELDS; f++)
            if (rq.seen >> f & 1)
                MUST(rq.value[f].len == whole->value[f].len);
    }
}

/* How a body ends must not depend on the cuts either. */
static size_t body_length(struct http_request rq, const char *bytes, size_t n, size_t step, enum http_event *event)
{
    size_t total = 0;
    rq.parser.data = &rq;
    *event = HTTP_EVENT_MORE;
    while (*event == HTTP_EVENT_MORE && total < n) {
        size_t used, piece = n - total < step ? n - total : step;
        char *copy = exact(bytes + total, piece);
        *event = http_request_feed_body(&rq, copy, piece, &used);
        MUST(used <= piece);
        total += used;
        free(copy);
    }
    return total;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    char *base = exact(data, size);
    struct http_request rq;
    size_t at = 0;
    for (int requests = 0; at < size && requests < 8; requests++) {
        http_request_init(&rq);
        enum http_event event = http_request_feed(&rq, base + at, size - at);
        check_pieces(&rq, event, data + at, size - at);
        if (event == HTTP_EVENT_BAD)
            MUST(rq.status >= 400 && rq.status <= 505 && !rq.keep_alive);
        if (event == HTTP_EVENT_BAD || event == HTTP_EVENT_MORE)
            break;
        check_head(&rq, base + at, size - at);
        at += rq.head_len;
        if (event == HTTP_EVENT_BODY) {
            enum http_event whole, pieces;
            size_t n = body_length(rq, base + at, size - at, size, &whole);
            size_t m = body_length(rq, base + at, size - at, 3, &pieces);
            MUST(whole == pieces && (whole == HTTP_EVENT_BAD || n == m));
            if (whole != HTTP_EVENT_DONE)
                break;
            at += n;
        }
    }
    check_path(base, size);
    struct http_range ranges[HTTP_RANGES_MAX];
    int r = http_range_parse(base, size, 1000, ranges);
    for (int i = 0; i < r; i++)
        MUST(ranges[i].first <= ranges[i].last && ranges[i].last < 1000);
    free(base);
    return 0;
}

#ifndef WEFT_LIBFUZZER
static const char *const seeds[] = {
    "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET /a/../b%20c?q=1#f HTTP/1.1\r\nHost: [::1]:80\r\nRange: bytes=0-1, 5-,-3\r\nIf-Range: \"x\"\r\n\r\n",
    "HEAD http://h/x HTTP/1.0\r\nConnection: keep-alive\r\nIf-None-Match: W/\"a\", \"b\"\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nT: v\r\n\r\n"
    "GET / HTTP/1.1\r\n\r\n",
    "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc"
    "GET / HTTP/1.1\r\nHost: y\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: x\r\nIf-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 1\r\n"
    "Transfer-Encoding: chunked\r\n\r\n",
    "GET /%2e%2e/%2E./x HTTP/1.1\r\nHost: x\r\nX: a\r\n folded\r\nUser-Agent:\r\nReferer: \t z \t\r\n\r\n",
    "bytes=0-0,2-3,-1,999-,99999999999999999999-",
};

static uint64_t dice(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static size_t mutate(uint8_t *to, size_t cap, uint64_t *state)
{
    static const char *const pieces[] = {"\r\n", "\r", "\n", ":", " ", "%", "..", "/", "\xff", "Host: x\r\n", "0",
        "Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n", "\r\n\r\n", ",", "-", "\"", "HTTP/1.1", "%2f", "\t"};
    const char *seed = seeds[dice(state) % (sizeof seeds / sizeof *seeds)];
    size_t n = strlen(seed);
    memcpy(to, seed, n);
    for (uint64_t changes = dice(state) % 6; changes > 0; changes--) {
        size_t at = dice(state) % (n + 1);
        const char *piece = pieces[dice(state) % (sizeof pieces / sizeof *pieces)];
        size_t len = strlen(piece);
        switch (dice(state) % 3) {
        case 0:
            if (at < n)
                to[at] = (uint8_t)dice(state);
            break;
        case 1:
            if (n + len <= cap) {
                memmove(to + at + len, to + at, n - at);
                memcpy(to + at, piece, len);
                n += len;
            }
            break;
        default: {
            size_t cut = dice(state) % 8 < n - at ? dice(state) % 8 : 0;
            cut = cut <= n - at ? cut : n - at;
            memmove(to + at, to + at + cut, n - at - cut);
            n -= cut;
        }
        }
    }
    return n;
}

int main(int argc, char **argv)
{
    unsigned long rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 20000;
    uint64_t state = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    if (state == 0)
        state = 1;
    for (size_t i = 0; i < sizeof seeds / sizeof *seeds; i++)
        LLVMFuzzerTestOneInput((const uint8_t *)seeds[i], strlen(seeds[i]));
    unsigned long done = 0;
    for (; done % 1000 != 0 || test_again(done, rounds); done++) {
        uint8_t input[1024];
        size_t n = mutate(input, sizeof input, &state);
        LLVMFuzzerTestOneInput(input, n);
    }
    printf("%lu mutations\n", done);
    return 0;
}
#endif
