/*
 * A byte builder: headers, pages and log lines are put together in one of these and then written at once.
 *
 * It has two forms. A fixed one writes into memory of the caller and never past it; one that grows takes memory from
 * malloc up to a limit. Both remember that something did not fit, so callers check once, at the end.
 */
#ifndef WEFT_PROGRAM_OUT_H
#define WEFT_PROGRAM_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct out {
    char *base;
    size_t len;
    size_t cap;
    size_t limit;   /* 0: fixed; otherwise the most bytes it may grow to */
    bool truncated; /* something did not fit; what is there ends before it */
};

/* out_fixed makes a builder over the caller's memory. */
static inline struct out out_fixed(void *memory, size_t cap)
{
    return (struct out){.base = memory, .cap = cap};
}

/* out_growing makes a builder that takes memory as it grows, up to limit bytes; free it with out_free. */
static inline struct out out_growing(size_t limit)
{
    return (struct out){.limit = limit};
}

/* out_free gives back what a growing builder took. */
void out_free(struct out *o);

/* out_room makes sure that n more bytes fit and returns where they go, or NULL; the caller adds to o->len. */
char *out_room(struct out *o, size_t n);

/* out_slow is the path of out_bytes for a builder that is full. */
void out_slow(struct out *o, const void *bytes, size_t n);

/* out_bytes appends n bytes, all of them or none. */
static inline void out_bytes(struct out *o, const void *bytes, size_t n)
{
    if (o->truncated || n > o->cap - o->len) {
        out_slow(o, bytes, n);
        return;
    }
    memcpy(o->base + o->len, bytes, n);
    o->len += n;
}

/* out_lit appends a string literal. */
#define out_lit(o, literal) out_bytes((o), "" literal, sizeof(literal) - 1)

/* out_str appends a zero-terminated string. */
static inline void out_str(struct out *o, const char *s)
{
    out_bytes(o, s, strlen(s));
}

/* out_uint appends a number in decimal. */
void out_uint(struct out *o, uint64_t n);

/* out_hex appends a number in lower-case hexadecimal, without leading zeroes. */
void out_hex(struct out *o, uint64_t n);

/* out_html appends text with the characters that mean something to HTML escaped, attribute values included. */
void out_html(struct out *o, const char *text, size_t n);

/* out_url appends a path as a URL reference: everything but unreserved characters and '/' is percent-encoded. */
void out_url(struct out *o, const char *path, size_t n);

#endif
