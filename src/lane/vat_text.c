/* Strings in a lane's memory: copies, formatted text, text that grows. For fibers, in their own lane's vat;
 * nothing but weft_alloc and its kin is used. */
#include <errno.h>
#include <string.h>

#include <weft/vat.h>

WEFT_API void *weft_memdup(const void *p, size_t n)
{
    void *q = p ? weft_alloc(n) : NULL;
    if (q)
        memcpy(q, p, n);
    return q;
}

WEFT_API char *weft_strndup(const char *s, size_t n)
{
    if (!s)
        return NULL;
    const char *end = memchr(s, 0, n);
    if (end)
        n = (size_t)(end - s);
    char *q = n < SIZE_MAX ? weft_alloc(n + 1) : NULL;
    if (q) {
        memcpy(q, s, n);
        q[n] = 0;
    }
    return q;
}

WEFT_API char *weft_strdup(const char *s) { return s ? weft_memdup(s, strlen(s) + 1) : NULL; }

WEFT_API char *weft_vprintf_alloc(const char *format, va_list ap)
{
    char some[256];
    ssize_t n = weft_vformat(some, sizeof some, format, ap);
    char *q = n < 0 ? NULL : weft_alloc((size_t)n + 1);
    if (!q)
        return NULL;
    if ((size_t)n < sizeof some)
        memcpy(q, some, (size_t)n + 1);
    else
        weft_vformat(q, (size_t)n + 1, format, ap);
    return q;
}

WEFT_API char *weft_printf_alloc(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    char *q = weft_vprintf_alloc(format, ap);
    va_end(ap);
    return q;
}

/* ---- text that grows ---- */

static int fail(weft_text *t, int error)
{
    if (!t->error)
        t->error = error;
    return t->error;
}

/* Room for n more bytes and the closing zero. */
static int reserve(weft_text *t, size_t n)
{
    size_t need, capacity;
    if (t->error)
        return t->error;
    if (__builtin_add_overflow(t->length + 1, n, &need))
        return fail(t, -ENOMEM);
    if (need <= t->capacity)
        return 0;
    capacity = t->capacity < SIZE_MAX / 2 ? t->capacity * 2 : need;
    capacity = capacity < 64 ? 64 : capacity;
    capacity = capacity < need ? need : capacity;
    char *p = weft_realloc(t->data, capacity);
    if (!p && capacity > need) /* near a limit */
        p = weft_realloc(t->data, capacity = need);
    if (!p)
        return fail(t, -ENOMEM);
    t->data = p;
    t->capacity = capacity;
    return 0;
}

WEFT_API int weft_text_add_bytes(weft_text *t, const void *p, size_t n)
{
    if (!t)
        return -EINVAL;
    if (!p && n)
        return fail(t, -EINVAL);
    int r = reserve(t, n);
    if (r < 0)
        return r;
    if (n)
        memcpy(t->data + t->length, p, n);
    t->length += n;
    t->data[t->length] = 0;
    return 0;
}

WEFT_API int weft_text_add(weft_text *t, const char *s) { return weft_text_add_bytes(t, s ? s : "", s ? strlen(s) : 0); }

WEFT_API int weft_text_printf(weft_text *t, const char *format, ...)
{
    if (!t)
        return -EINVAL;
    int r = reserve(t, 0);
    va_list ap;
    va_start(ap, format);
    ssize_t n = r < 0 ? r : weft_vformat(t->data + t->length, t->capacity - t->length, format, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n >= t->capacity - t->length && (r = reserve(t, (size_t)n)) == 0) {
        va_start(ap, format);
        weft_vformat(t->data + t->length, t->capacity - t->length, format, ap);
        va_end(ap);
    }
    if (n >= 0 && r == 0) {
        t->length += (size_t)n;
        return 0;
    }
    if (t->data)
        t->data[t->length] = 0;
    return r < 0 ? r : fail(t, (int)n);
}

WEFT_API char *weft_text_take(weft_text *t)
{
    if (!t)
        return NULL;
    weft_text_add_bytes(t, NULL, 0);
    char *p = t->data;
    if (t->error) {
        weft_text_drop(t);
        return NULL;
    }
    *t = (weft_text){0};
    return p;
}

WEFT_API void weft_text_drop(weft_text *t)
{
    if (!t)
        return;
    weft_free(t->data);
    *t = (weft_text){0};
}
