/*
 * Preconditions in the order of RFC 9110, section 13.2.2. Pure; any thread may call it.
 *
 * A field that came more than once is treated as absent: that sends more, never something stale.
 */
#include "http_conditions.h"

#include "http_date.h"
#include "out.h"

#include <errno.h>
#include <string.h>

void http_entity_make(struct http_entity *entity, uint64_t inode, uint64_t size, int64_t modified_s,
    uint32_t modified_ns)
{
    entity->size = size;
    entity->modified_s = modified_s;
    struct out o = out_fixed(entity->etag, sizeof entity->etag);
    out_lit(&o, "\"");
    out_hex(&o, (uint64_t)modified_s * 1000000000u + modified_ns);
    out_lit(&o, "-");
    out_hex(&o, size);
    out_lit(&o, "-");
    out_hex(&o, inode);
    out_bytes(&o, "\"", 2);
}

/* Does a list of entity tags name ours? Weak comparison ignores W/; strong comparison lets no weak tag match. */
static bool etag_listed(const char *list, size_t n, const char *etag, bool weak)
{
    size_t etag_len = strlen(etag);
    const char *at = list, *end = list + n;
    if (n == 1 && *list == '*')
        return true;
    while (at < end) {
        if (*at == ' ' || *at == '\t' || *at == ',') {
            at++;
            continue;
        }
        bool is_weak = end - at >= 2 && at[0] == 'W' && at[1] == '/';
        if (is_weak)
            at += 2;
        if (at == end || *at != '"')
            return false;
        const char *close = memchr(at + 1, '"', (size_t)(end - at - 1));
        if (close == NULL)
            return false;
        if ((size_t)(close + 1 - at) == etag_len && memcmp(at, etag, etag_len) == 0 && (weak || !is_weak))
            return true;
        at = close + 1;
    }
    return false;
}

/* If-Range: the range counts only if the representation is the one the client has. */
static bool range_counts(const struct http_request *rq, const char *base, const struct http_entity *entity,
    int64_t now)
{
    if (!(rq->seen & (1u << HTTP_FIELD_IF_RANGE)))
        return true;
    size_t n;
    const char *value = http_request_field(rq, base, HTTP_FIELD_IF_RANGE, &n);
    if (value == NULL || n == 0)
        return false;
    if (*value == '"' || *value == 'W')
        return n == strlen(entity->etag) && memcmp(value, entity->etag, n) == 0;
    int64_t date;
    return http_date_parse(value, n, now, &date) == 0 && date == entity->modified_s;
}

/* The four preconditions. Returns 0 to go on, 304 or 412. */
static int precondition(const struct http_request *rq, const char *base, const struct http_entity *entity, int64_t now)
{
    size_t n;
    int64_t date;
    const char *value = http_request_field(rq, base, HTTP_FIELD_IF_MATCH, &n);
    if (value != NULL) {
        if (!etag_listed(value, n, entity->etag, false))
            return 412;
    } else {
        value = http_request_field(rq, base, HTTP_FIELD_IF_UNMODIFIED_SINCE, &n);
        if (value != NULL && http_date_parse(value, n, now, &date) == 0 && entity->modified_s > date)
            return 412;
    }

    if (rq->seen & (1u << HTTP_FIELD_IF_NONE_MATCH)) {
        value = http_request_field(rq, base, HTTP_FIELD_IF_NONE_MATCH, &n);
        return value != NULL && etag_listed(value, n, entity->etag, true) ? 304 : 0;
    }
    value = http_request_field(rq, base, HTTP_FIELD_IF_MODIFIED_SINCE, &n);
    if (value != NULL && http_date_parse(value, n, now, &date) == 0 && entity->modified_s <= date)
        return 304;
    return 0;
}

void http_plan_make(struct http_plan *plan, const struct http_request *rq, const char *base,
    const struct http_entity *entity, int64_t now)
{
    plan->ranges = 0;
    plan->status = rq->seen & HTTP_CONDITIONAL ? precondition(rq, base, entity, now) : 0;
    if (plan->status != 0)
        return;
    plan->status = 200;
    if (rq->method != HTTP_GET || !(rq->seen & (1u << HTTP_FIELD_RANGE)))
        return;
    size_t n;
    const char *value = http_request_field(rq, base, HTTP_FIELD_RANGE, &n);
    if (value == NULL || !range_counts(rq, base, entity, now))
        return;
    int r = http_range_parse(value, n, entity->size, plan->range);
    if (r > 0) {
        plan->status = 206;
        plan->ranges = r;
    } else if (r == -ERANGE) {
        plan->status = 416;
    }
}
