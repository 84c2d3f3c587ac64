/* A small formatter: no allocation, little stack, no locale. Any thread, signal handlers included. */
#include "sched/text.h"

#include <string.h>

typedef struct out {
    char *buf;
    size_t size, n;
} out;

static void put(out *o, char c)
{
    if (o->n + 1 < o->size)
        o->buf[o->n] = c;
    o->n++;
}

static void put_padded(out *o, const char *s, size_t n, size_t width, int left, char fill)
{
    for (size_t i = n; !left && i < width; i++)
        put(o, fill);
    for (size_t i = 0; i < n; i++)
        put(o, s[i]);
    for (size_t i = n; left && i < width; i++)
        put(o, ' ');
}

static size_t digits(char *end, unsigned long long v, unsigned base)
{
    size_t n = 0;
    do {
        *--end = "0123456789abcdef"[v % base];
        n++;
    } while ((v /= base));
    return n;
}

size_t weft__vformat(char *buf, size_t size, const char *fmt, va_list ap)
{
    out o = {buf, size, 0};
    char num[24], *end = num + sizeof num;
    for (; *fmt; fmt++) {
        if (*fmt != '%') {
            put(&o, *fmt);
            continue;
        }
        fmt++;
        int left = 0, longs = 0;
        char fill = ' ';
        size_t width = 0, n;
        for (; *fmt == '-' || *fmt == '0'; fmt++)
            *fmt == '-' ? (left = 1) : (fill = '0');
        for (; *fmt >= '0' && *fmt <= '9'; fmt++)
            width = width * 10 + (size_t)(*fmt - '0');
        for (; *fmt == 'l' || *fmt == 'z'; fmt++)
            longs++;
        if (*fmt == 'd') {
            long long v = longs ? (longs > 1 ? va_arg(ap, long long) : va_arg(ap, long)) : va_arg(ap, int);
            n = digits(end, v < 0 ? 0ull - (unsigned long long)v : (unsigned long long)v, 10);
            if (v < 0)
                *(end - ++n) = '-';
            put_padded(&o, end - n, n, width, left, fill);
        } else if (*fmt == 'u' || *fmt == 'x') {
            unsigned long long v = longs ? (longs > 1 ? va_arg(ap, unsigned long long) : va_arg(ap, unsigned long)) : va_arg(ap, unsigned);
            n = digits(end, v, *fmt == 'x' ? 16 : 10);
            put_padded(&o, end - n, n, width, left, fill);
        } else if (*fmt == 'p') {
            n = digits(end, (unsigned long long)(uintptr_t)va_arg(ap, void *), 16);
            put(&o, '0');
            put(&o, 'x');
            put_padded(&o, end - n, n, width, left, fill);
        } else if (*fmt == 's') {
            const char *s = va_arg(ap, const char *);
            if (!s)
                s = "-";
            put_padded(&o, s, strlen(s), width, left, ' ');
        } else if (*fmt == 'c') {
            put(&o, (char)va_arg(ap, int));
        } else if (*fmt) {
            put(&o, *fmt);
        } else {
            break;
        }
    }
    if (size)
        buf[o.n < size ? o.n : size - 1] = 0;
    return o.n;
}

size_t weft__format(char *buf, size_t size, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    size_t n = weft__vformat(buf, size, fmt, ap);
    va_end(ap);
    return n;
}
