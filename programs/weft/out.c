/*
 * The byte builder. Owns nothing but the memory of growing builders. A builder belongs to one fiber or thread at a
 * time. Invariants: len <= cap; once truncated is set, len does not change any more.
 */
#include "out.h"

#include <stdlib.h>

void out_free(struct out *o)
{
    if (o->limit > 0)
        free(o->base);
    o->base = NULL;
    o->len = o->cap = 0;
}

char *out_room(struct out *o, size_t n)
{
    if (o->truncated)
        return NULL;
    if (n <= o->cap - o->len)
        return o->base + o->len;
    if (o->limit == 0 || n > o->limit - o->len) {
        o->truncated = true;
        return NULL;
    }

    size_t cap = o->cap < 1024 ? 1024 : o->cap;
    while (cap - o->len < n)
        cap = cap > o->limit / 2 ? o->limit : cap * 2;
    if (cap > o->limit)
        cap = o->limit;
    char *grown = realloc(o->base, cap);
    if (grown == NULL) {
        o->truncated = true;
        return NULL;
    }
    o->base = grown;
    o->cap = cap;
    return o->base + o->len;
}

void out_slow(struct out *o, const void *bytes, size_t n)
{
    char *to = out_room(o, n);
    if (to == NULL)
        return;
    memcpy(to, bytes, n);
    o->len += n;
}

void out_uint(struct out *o, uint64_t n)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    out_bytes(o, digits + at, sizeof digits - at);
}

void out_hex(struct out *o, uint64_t n)
{
    char digits[16];
    size_t at = sizeof digits;
    do {
        digits[--at] = "0123456789abcdef"[n & 15];
        n >>= 4;
    } while (n > 0);
    out_bytes(o, digits + at, sizeof digits - at);
}

void out_html(struct out *o, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        switch (text[i]) {
        case '&': out_lit(o, "&amp;"); break;
        case '<': out_lit(o, "&lt;"); break;
        case '>': out_lit(o, "&gt;"); break;
        case '"': out_lit(o, "&quot;"); break;
        case '\'': out_lit(o, "&#39;"); break;
        default: out_bytes(o, &text[i], 1); break;
        }
    }
}

static bool url_unreserved(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           c == '_' || c == '~' || c == '/';
}

void out_url(struct out *o, const char *path, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)path[i];
        if (url_unreserved(c)) {
            out_bytes(o, &c, 1);
        } else {
            char escape[3] = {'%', "0123456789ABCDEF"[c >> 4], "0123456789ABCDEF"[c & 15]};
            out_bytes(o, escape, sizeof escape);
        }
    }
}
