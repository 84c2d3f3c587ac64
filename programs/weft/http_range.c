/*
 * Range parsing. Pure; any thread may call it. Every stored range satisfies first <= last < size.
 *
 * Overlapping ranges are how a small request asks for a large response, and no client needs them: such a field is
 * ignored, which RFC 9110 allows, and the whole representation is sent once.
 */
#include "http_range.h"

#include <errno.h>
#include <stdbool.h>
#include <strings.h>

struct cursor {
    const char *at, *end;
};

static void skip_space(struct cursor *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\t'))
        c->at++;
}

static bool at_digit(const struct cursor *c)
{
    return c->at < c->end && *c->at >= '0' && *c->at <= '9';
}

/* A number too large for 64 bits is as good as the largest: no representation reaches it. */
static uint64_t take_number(struct cursor *c)
{
    uint64_t sum = 0;
    for (; at_digit(c); c->at++) {
        uint64_t digit = (uint64_t)(*c->at - '0');
        sum = sum > (UINT64_MAX - digit) / 10 ? UINT64_MAX : sum * 10 + digit;
    }
    return sum;
}

/* One range-spec. Returns 1 and the range if it is satisfiable, 0 if not, -EINVAL if it is no range. */
static int take_spec(struct cursor *c, uint64_t size, struct http_range *range)
{
    if (c->at < c->end && *c->at == '-') {
        c->at++;
        if (!at_digit(c))
            return -EINVAL;
        uint64_t suffix = take_number(c);
        if (suffix == 0 || size == 0)
            return 0;
        *range = (struct http_range){.first = suffix >= size ? 0 : size - suffix, .last = size - 1};
        return 1;
    }
    if (!at_digit(c))
        return -EINVAL;
    uint64_t first = take_number(c);
    if (c->at == c->end || *c->at != '-')
        return -EINVAL;
    c->at++;
    uint64_t last = UINT64_MAX;
    if (at_digit(c)) {
        last = take_number(c);
        if (last < first)
            return -EINVAL;
    }
    if (first >= size)
        return 0;
    *range = (struct http_range){.first = first, .last = last >= size ? size - 1 : last};
    return 1;
}

static bool overlaps(const struct http_range *ranges, int n, const struct http_range *next)
{
    for (int i = 0; i < n; i++)
        if (next->first <= ranges[i].last && ranges[i].first <= next->last)
            return true;
    return false;
}

int http_range_parse(const char *value, size_t n, uint64_t size, struct http_range ranges[HTTP_RANGES_MAX])
{
    struct cursor c = {value, value + n};
    if (n < 6 || strncasecmp(value, "bytes=", 6) != 0)
        return 0;
    c.at += 6;

    int stored = 0;
    bool any = false, ignore = false;
    for (;;) {
        skip_space(&c);
        if (c.at < c.end && *c.at == ',') { /* empty list elements are allowed */
            c.at++;
            continue;
        }
        if (c.at == c.end)
            break;
        struct http_range range;
        int r = take_spec(&c, size, &range);
        if (r < 0)
            return 0;
        any = true;
        if (r > 0) {
            if (stored == HTTP_RANGES_MAX || overlaps(ranges, stored, &range))
                ignore = true;
            else
                ranges[stored++] = range;
        }
        skip_space(&c);
        if (c.at < c.end && *c.at != ',')
            return 0;
    }
    if (!any || ignore)
        return 0;
    return stored > 0 ? stored : -ERANGE;
}
