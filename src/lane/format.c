/* Formatted text as printf makes it in the C locale, without the C library's, which may allocate, wants a deep stack
 * and is not freestanding. Floating point is exact, rounded to nearest, ties to even (decimal.h). Pure; any thread. */
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include <weft/vat.h>

#include "lane/decimal.h"

typedef struct out {
    char *buf;
    size_t size, n;
} out;

/* One conversion. */
typedef struct spec {
    int left, plus, space, alternate, zero;
    int width, precision; /* precision -1: none given */
    enum { INT, CHAR, SHORT, LONG, LONG_LONG, SIZE, DIFF, MAX, UNKNOWN } length;
    char conversion;
} spec;

static void put(out *o, const char *s, size_t n)
{
    if (o->n < o->size)
        memcpy(o->buf + o->n, s, n < o->size - o->n ? n : o->size - o->n);
    o->n += n;
}

static void put_many(out *o, char c, long n)
{
    for (; n > 0; n--)
        put(o, &c, 1);
}

/* sign and 0x, then zeros, then the body, all within the width. */
static void put_number(out *o, const spec *s, const char *prefix, size_t zeros, const char *body, size_t n)
{
    size_t before = strlen(prefix), whole = before + zeros + n;
    long fill = (long)s->width - (long)whole;
    if (!s->left && !s->zero)
        put_many(o, ' ', fill);
    put(o, prefix, before);
    if (!s->left && s->zero)
        put_many(o, '0', fill);
    put_many(o, '0', (long)zeros);
    put(o, body, n);
    if (s->left)
        put_many(o, ' ', fill);
}

/* ---- integers and text ---- */

static intmax_t signed_arg(const spec *s, va_list *ap)
{
    switch (s->length) {
    case CHAR: return (signed char)va_arg(*ap, int);
    case SHORT: return (short)va_arg(*ap, int);
    case LONG: return va_arg(*ap, long);
    case LONG_LONG: return va_arg(*ap, long long);
    case SIZE: return (intmax_t)va_arg(*ap, size_t);
    case DIFF: return va_arg(*ap, ptrdiff_t);
    case MAX: return va_arg(*ap, intmax_t);
    default: return va_arg(*ap, int);
    }
}

static uintmax_t unsigned_arg(const spec *s, va_list *ap)
{
    switch (s->length) {
    case CHAR: return (unsigned char)va_arg(*ap, int);
    case SHORT: return (unsigned short)va_arg(*ap, int);
    case LONG: return va_arg(*ap, unsigned long);
    case LONG_LONG: return va_arg(*ap, unsigned long long);
    case SIZE: return va_arg(*ap, size_t);
    case DIFF: return (uintmax_t)va_arg(*ap, ptrdiff_t);
    case MAX: return va_arg(*ap, uintmax_t);
    default: return va_arg(*ap, unsigned);
    }
}

static const char *sign_of(const spec *s, int negative) { return negative ? "-" : s->plus ? "+" : s->space ? " " : ""; }

static void put_integer(out *o, spec *s, uintmax_t v, const char *prefix)
{
    const char *digits = s->conversion == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
    unsigned base = s->conversion == 'o' ? 8 : s->conversion == 'x' || s->conversion == 'X' || s->conversion == 'p' ? 16 : 10;
    char text[24], *p = text + sizeof text;
    for (uintmax_t rest = v; rest; rest /= base)
        *--p = digits[rest % base];
    size_t n = (size_t)(text + sizeof text - p), least = s->precision < 0 ? 1 : (size_t)s->precision;
    if (s->precision >= 0)
        s->zero = 0;
    if (s->conversion == 'o' && s->alternate && least <= n)
        least = n + 1;
    if (s->alternate && v && base == 16)
        prefix = s->conversion == 'X' ? "0X" : "0x";
    put_number(o, s, prefix, n < least ? least - n : 0, p, n);
}

static void put_text(out *o, const spec *s, const char *text, size_t n)
{
    if (!s->left)
        put_many(o, ' ', s->width - (long)n);
    put(o, text, n);
    if (s->left)
        put_many(o, ' ', s->width - (long)n);
}

static size_t bounded_length(const char *text, int precision)
{
    if (precision < 0)
        return strlen(text);
    const char *end = memchr(text, 0, (size_t)precision);
    return end ? (size_t)(end - text) : (size_t)precision;
}

/* ---- floating point ---- */

/* Digits from 10^from down to 10^to, with the point in front of 10^-1. */
static void put_digits(out *o, const weft__decimal *d, int from, int to)
{
    for (int place = from; place >= to; place--) {
        char c = (char)('0' + weft__decimal_digit(d, place));
        if (place == -1)
            put(o, ".", 1);
        put(o, &c, 1);
    }
}

static size_t exponent_text(char *buf, int e, int upper)
{
    char *p = buf;
    int magnitude = e < 0 ? -e : e;
    *p++ = upper ? 'E' : 'e';
    *p++ = e < 0 ? '-' : '+';
    if (magnitude >= 100)
        *p++ = (char)('0' + magnitude / 100);
    *p++ = (char)('0' + magnitude / 10 % 10);
    *p++ = (char)('0' + magnitude % 10);
    return (size_t)(p - buf);
}

/* All that stands around a number of n characters whose body is put by the caller. */
static void open_field(out *o, const spec *s, const char *sign, size_t n)
{
    long fill = (long)s->width - (long)strlen(sign) - (long)n;
    if (!s->left && !s->zero)
        put_many(o, ' ', fill);
    put(o, sign, strlen(sign));
    if (!s->left && s->zero)
        put_many(o, '0', fill);
}

static void close_field(out *o, const spec *s, const char *sign, size_t n)
{
    if (s->left)
        put_many(o, ' ', (long)s->width - (long)strlen(sign) - (long)n);
}

static void put_fixed(out *o, const spec *s, const char *sign, const weft__decimal *d, int precision)
{
    int first = weft__decimal_first(d), from = first > 0 ? first : 0;
    size_t n = (size_t)from + 1 + (size_t)precision + (precision || s->alternate);
    open_field(o, s, sign, n);
    put_digits(o, d, from, -precision);
    if (!precision && s->alternate)
        put(o, ".", 1);
    close_field(o, s, sign, n);
}

static void put_scientific(out *o, const spec *s, const char *sign, const weft__decimal *d, int precision)
{
    int first = weft__decimal_first(d);
    char e[8];
    size_t tail = exponent_text(e, first, s->conversion == 'E' || s->conversion == 'G');
    size_t n = 1 + (size_t)precision + (precision || s->alternate) + tail;
    open_field(o, s, sign, n);
    for (int i = 0; i <= precision; i++) {
        char c = (char)('0' + weft__decimal_digit(d, first - i));
        put(o, &c, 1);
        if (i == 0 && (precision || s->alternate))
            put(o, ".", 1);
    }
    put(o, e, tail);
    close_field(o, s, sign, n);
}

/* How many digits behind the first `least` ones are wanted at most, without zeros at the end. */
static int without_zeros(const weft__decimal *d, int first, int most)
{
    while (most > 0 && weft__decimal_digit(d, first - most) == 0)
        most--;
    return most;
}

static void put_float(out *o, spec *s, double v)
{
    union { double d; uint64_t u; } bits = {v};
    const char *sign = sign_of(s, (int)(bits.u >> 63));
    int upper = s->conversion < 'a', precision = s->precision < 0 ? 6 : s->precision;
    weft__decimal d;
    if ((bits.u >> 52 & 0x7ff) == 0x7ff) {
        const char *word = bits.u << 12 ? (upper ? "NAN" : "nan") : (upper ? "INF" : "inf");
        s->zero = 0;
        put_number(o, s, sign, 0, word, 3);
        return;
    }
    weft__decimal_make(&d, v);
    if (s->conversion == 'f' || s->conversion == 'F') {
        weft__decimal_round(&d, -precision);
        put_fixed(o, s, sign, &d, precision);
        return;
    }
    if (s->conversion == 'e' || s->conversion == 'E') {
        weft__decimal_round(&d, weft__decimal_first(&d) - precision);
        put_scientific(o, s, sign, &d, precision);
        return;
    }
    if (precision == 0)
        precision = 1;
    weft__decimal_round(&d, weft__decimal_first(&d) - (precision - 1));
    int first = weft__decimal_first(&d);
    if (first < -4 || first >= precision)
        put_scientific(o, s, sign, &d, s->alternate ? precision - 1 : without_zeros(&d, first, precision - 1));
    else
        put_fixed(o, s, sign, &d, s->alternate ? precision - 1 - first : without_zeros(&d, 0, precision - 1 - first));
}

/* ---- formats ---- */

static int number(const char **f, va_list *ap)
{
    int v = 0;
    if (**f == '*') {
        ++*f;
        return va_arg(*ap, int);
    }
    for (; **f >= '0' && **f <= '9'; ++*f)
        v = v < 100000000 ? v * 10 + (**f - '0') : v;
    return v;
}

static int flag(spec *s, char c)
{
    switch (c) {
    case '-': return s->left = 1;
    case '+': return s->plus = 1;
    case ' ': return s->space = 1;
    case '#': return s->alternate = 1;
    case '0': return s->zero = 1;
    default: return 0;
    }
}

static void length(spec *s, const char **f)
{
    char c = **f;
    int twice = c && (*f)[1] == c;
    switch (c) {
    case 'h': s->length = twice ? CHAR : SHORT; break;
    case 'l': s->length = twice ? LONG_LONG : LONG; break;
    case 'z': s->length = SIZE; twice = 0; break;
    case 't': s->length = DIFF; twice = 0; break;
    case 'j': s->length = MAX; twice = 0; break;
    case 'L': s->length = UNKNOWN; twice = 0; break;
    default: return;
    }
    *f += 1 + twice;
}

/* *f stands behind the %, and behind the conversion afterwards. */
static spec parse(const char **f, va_list *ap)
{
    spec s = {.precision = -1};
    while (flag(&s, **f))
        ++*f;
    s.width = number(f, ap);
    if (s.width < 0) {
        s.left = 1;
        s.width = s.width < -100000000 ? 100000000 : -s.width;
    }
    if (**f == '.') {
        ++*f;
        s.precision = number(f, ap);
    }
    length(&s, f);
    s.conversion = **f;
    *f += **f != 0;
    return s;
}

static int convert(out *o, spec *s, va_list *ap)
{
    char c;
    if (s->length == UNKNOWN)
        return -EINVAL;
    switch (s->conversion) {
    case 'd':
    case 'i': {
        intmax_t v = signed_arg(s, ap);
        s->alternate = 0;
        put_integer(o, s, v < 0 ? 0 - (uintmax_t)v : (uintmax_t)v, sign_of(s, v < 0));
        return 0;
    }
    case 'u':
    case 'o':
    case 'x':
    case 'X':
        put_integer(o, s, unsigned_arg(s, ap), "");
        return 0;
    case 'p':
        s->alternate = 0;
        put_integer(o, s, (uintptr_t)va_arg(*ap, void *), "0x");
        return 0;
    case 'c':
        if (s->length == LONG)
            return -EINVAL;
        c = (char)va_arg(*ap, int);
        put_text(o, s, &c, 1);
        return 0;
    case 's': {
        if (s->length == LONG)
            return -EINVAL;
        const char *text = va_arg(*ap, const char *);
        text = text ? text : "(null)";
        put_text(o, s, text, bounded_length(text, s->precision));
        return 0;
    }
    case 'f':
    case 'F':
    case 'e':
    case 'E':
    case 'g':
    case 'G':
        put_float(o, s, va_arg(*ap, double));
        return 0;
    case '%':
        put(o, "%", 1);
        return 0;
    default:
        return -EINVAL;
    }
}

WEFT_API ssize_t weft_vformat(char *buf, size_t size, const char *format, va_list args)
{
    out o = {buf, size ? size - 1 : 0, 0};
    va_list ap;
    int r = 0;
    if (!format || (size && !buf))
        return -EINVAL;
    va_copy(ap, args);
    while (*format && r == 0) {
        const char *end = strchr(format, '%');
        size_t n = end ? (size_t)(end - format) : strlen(format);
        put(&o, format, n);
        format += n;
        if (!end)
            break;
        format++;
        spec s = parse(&format, &ap);
        r = convert(&o, &s, &ap);
    }
    va_end(ap);
    if (size)
        buf[o.n < size ? o.n : size - 1] = 0;
    return r < 0 ? r : (ssize_t)o.n;
}

WEFT_API ssize_t weft_format(char *buf, size_t size, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    ssize_t n = weft_vformat(buf, size, format, ap);
    va_end(ap);
    return n;
}
