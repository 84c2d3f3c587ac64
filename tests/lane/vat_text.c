/* Strings in a lane's memory, and formatted text, which is compared with what the C library makes of the same. */
#include <float.h>
#include <math.h>

#include "lane/world.h"

/* Formats that are computed, and bad ones. */
#pragma GCC diagnostic ignored "-Wformat"
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-extra-args"

#define SAME(...)                                                                                                      \
    do {                                                                                                               \
        char ours[2048], theirs[2048];                                                                                 \
        const long n_ = weft_format(ours, sizeof ours, __VA_ARGS__), m_ = snprintf(theirs, sizeof theirs, __VA_ARGS__); \
        if (n_ != m_ || strcmp(ours, theirs) != 0)                                                                     \
            TEST_FAIL("%s makes \"%s\" (%ld) of what printf makes \"%s\" (%ld)", #__VA_ARGS__, ours, n_, theirs, m_);   \
    } while (0)

static void integers(void)
{
    static const char *const flags[] = {"", "-", "+", " ", "#", "0", "-#", "+0", "#0", "-+ "};
    static const char *const widths[] = {"", "1", "7", "25"};
    static const char *const precisions[] = {"", ".", ".0", ".1", ".5", ".22"};
    static const long long values[] = {0, 1, -1, 7, 8, 255, -256, 65535, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN};
    static const char conversions[] = "diuoxX";
    for (size_t f = 0; f < 10; f++)
        for (size_t w = 0; w < 4; w++)
            for (size_t p = 0; p < 6; p++)
                for (const char *c = conversions; *c; c++)
                    for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
                        char format[64];
                        snprintf(format, sizeof format, "<%%%s%s%sll%c>", flags[f], widths[w], precisions[p], *c);
                        SAME(format, values[v]);
                        snprintf(format, sizeof format, "<%%%s%s%s%c>", flags[f], widths[w], precisions[p], *c);
                        SAME(format, (int)values[v]);
                        snprintf(format, sizeof format, "<%%%s%s%shh%c>", flags[f], widths[w], precisions[p], *c);
                        SAME(format, (int)values[v]);
                    }
    SAME("%hd %ld %jd %td %zu", (short)-3, -4l, (intmax_t)-5, (ptrdiff_t)-6, (size_t)7);
    SAME("%*d|%-*d|%.*d|%*.*d", 6, 1, 6, 2, 4, 3, -8, 5, 4);
    SAME("%p %20p %-20p|", (void *)&flags, (void *)&flags, (void *)&flags);
}

static void strings(void)
{
    const char *text = "some text";
    SAME("%s|%20s|%-20s|%.4s|%20.3s|%-20.3s|%.0s|%.*s", text, text, text, text, text, text, text, 5, text);
    SAME("%c%c|%5c|%-5c|%%|100%%", 'a', 0x7e, 'b', 'c');
    SAME("%.3s", "abcdef");
    char bytes[3] = {'x', 'y', 'z'}; /* no zero at its end */
    SAME("%.3s", bytes);
    SAME("%s", "");
}

/* Any bits at all, and what is hard to round. */
static void floating(void)
{
    static const char *const formats[] = {"%f",   "%.0f",  "%.1f",   "%.3f",  "%.20f", "%e",    "%.0e",  "%.3e",   "%.17e", "%g",
                                          "%.0g", "%.1g",  "%.17g",  "%#g",   "%#.0f", "%#.0e", "%+f",   "% f",    "%20f",  "%-20f|",
                                          "%020f", "%F",   "%E",     "%G",    "%#.3g", "%+.3e", "%025e", "%-25g|", "%+025g", "%.60f"};
    static const double hard[] = {0.0, -0.0, 0.5, 1.5, 2.5, 0.25, 0.125, 1e15, 1e16, 999999.5, 9999995, 0.0001, 0.00001, 0.00009999995, 1e22, 1e23,
                                  5e-324, DBL_MIN, DBL_MAX, 123456789.0, 0.1, 0.3, 9.5, 99.5, 0.95, 0.09995, 1e-5, 1e9, 999999999.9, 1000000000.5,
                                  4503599627370496.5, 9007199254740993.0, INFINITY, -INFINITY, 0x1p-1074, 0x1.fffffffffffffp-1023};
    uint64_t random = 11;
    for (size_t f = 0; f < sizeof formats / sizeof *formats; f++) {
        /* glibc loses the zeros of %#g where rounding makes a number longer: "1.e+06" of 999999.5. */
        for (size_t i = 0; i < sizeof hard / sizeof *hard && !(strchr(formats[f], '#') && strchr(formats[f], 'g')); i++) {
            SAME(formats[f], hard[i]);
            SAME(formats[f], -hard[i]);
        }
        for (int i = 0; i < 1500; i++) {
            union { uint64_t u; double d; } any = {(uint64_t)next_random(&random) << 33 ^ (uint64_t)next_random(&random) << 11 ^ next_random(&random)};
            if (isnan(any.d))
                any.d = 1;
            double ordinary = (double)(next_random(&random) % 2000000) / 1000.0 - 500, tie = (double)(next_random(&random) % 20000) / 8;
            SAME(formats[f], any.d);
            SAME(formats[f], ordinary);
            SAME(formats[f], tie);
        }
    }
    char text[32];
    CHECK_EQ(weft_format(text, sizeof text, "%#g", 999999.5), 11);
    CHECK(strcmp(text, "1.00000e+06") == 0);
    SAME("%f %5.1f %G", NAN, NAN, NAN);
    SAME("%.200f", 1e-200);
    SAME("%.400e", DBL_MAX);
}

static void refused(void)
{
    char buf[16];
    static const char *const bad[] = {"%", "%q", "%n", "%ls", "%lc", "%Lf", "%a", "%5"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        memset(buf, 'x', sizeof buf);
        CHECK_EQ(weft_format(buf, sizeof buf, bad[i], (char *)buf), -EINVAL);
        CHECK(memchr(buf, 0, sizeof buf) != NULL);
        CHECK(weft_printf_alloc(bad[i], (char *)buf) == NULL);
    }
    CHECK_EQ(weft_format(NULL, 1, "x"), -EINVAL);
    CHECK_EQ(weft_format(NULL, 0, "%d", 12345), 5);
    memset(buf, 'x', sizeof buf);
    CHECK_EQ(weft_format(buf, 4, "%d", 12345), 5);
    CHECK(strcmp(buf, "123") == 0 && buf[4] == 'x');
    CHECK_EQ(weft_format(buf, 1, "%d", 12345), 5);
    CHECK_EQ(buf[0], 0);
}

static void copies(void)
{
    char big[5001];
    memset(big, 'a', 5000);
    big[5000] = 0;
    char *s = weft_strdup("hello");
    CHECK(s && strcmp(s, "hello") == 0);
    CHECK(strcmp(weft_strndup("hello", 3), "hel") == 0);
    CHECK(strcmp(weft_strndup("hello", 30), "hello") == 0);
    CHECK(strcmp(weft_strndup("hello", SIZE_MAX), "hello") == 0);
    CHECK(memcmp(weft_memdup("a\0b", 4), "a\0b", 4) == 0);
    CHECK(weft_strdup(NULL) == NULL && weft_strndup(NULL, 3) == NULL && weft_memdup(NULL, 3) == NULL);
    s = weft_printf_alloc("%d%s", 12, "3");
    CHECK(s && strcmp(s, "123") == 0);
    s = weft_printf_alloc("%s", big);
    CHECK(s && strcmp(s, big) == 0);
    for (int n = 250; n < 260; n++) { /* around what it tries first */
        s = weft_printf_alloc("%.*s", n, big);
        CHECK(s && (int)strlen(s) == n);
    }
}

static void growing(void)
{
    static const char *const bad = "%s%q";
    weft_text t = {0};
    char *s = weft_text_take(&t);
    CHECK(s && strcmp(s, "") == 0);
    for (int i = 0; i < 500; i++)
        CHECK_OK(i % 2 ? weft_text_add(&t, "0123456789") : weft_text_printf(&t, "%010d", 123456789));
    CHECK_EQ(t.length, 5000);
    CHECK_EQ(strlen(t.data), 5000);
    CHECK(strncmp(t.data, "01234567890123456789", 20) == 0);
    CHECK_OK(weft_text_add_bytes(&t, "a\0b", 3));
    CHECK_OK(weft_text_add(&t, NULL));
    CHECK_EQ(t.length, 5003);
    CHECK_EQ(weft_text_printf(&t, bad, "never seen", 1), -EINVAL);
    CHECK_EQ(t.length, 5003);
    CHECK_EQ(t.data[5003], 0);
    CHECK_EQ(weft_text_add(&t, "x"), -EINVAL); /* it sticks */
    CHECK(weft_text_take(&t) == NULL);
    CHECK(t.data == NULL && t.error == 0);
    for (int n = 0; n < 200; n++) { /* every place at which it may have to grow */
        t = (weft_text){0};
        CHECK_OK(weft_text_printf(&t, "%*s", n, ""));
        CHECK_OK(weft_text_printf(&t, "%d", 77));
        CHECK_EQ(t.length, n + 2);
        CHECK(strcmp(t.data + n, "77") == 0);
        weft_text_drop(&t);
    }
    CHECK_EQ(weft_text_add(NULL, "x"), -EINVAL);
    CHECK_EQ(weft_text_printf(NULL, "x"), -EINVAL);
    weft_text_drop(NULL);
}

static int limited(void *arg)
{
    (void)arg;
    weft_text t = {0};
    int r = 0;
    while (r == 0)
        r = weft_text_add(&t, "0123456789");
    CHECK_EQ(r, -ENOMEM);
    CHECK(t.length > 10000 && t.length % 10 == 0);
    CHECK_EQ(t.data[t.length], 0);
    CHECK_EQ(weft_text_printf(&t, "%d", 1), -ENOMEM);
    weft_text_drop(&t);
    CHECK_OK(weft_text_add(&t, "again"));
    return 0;
}

static int start(int argc, char **argv)
{
    (void)argc, (void)argv;
    weft_limits limits = {.vat_bytes = 65536};
    weft_id lane;
    int result;
    copies();
    growing();
    refused();
    CHECK_OK(weft_lane_spawn_with(&lane, limited, NULL, .limits = &limits));
    CHECK_OK(weft_lane_join(lane, &result, WEFT_NEVER));
    CHECK_OK(result);
    weft_vat_stats s;
    CHECK_OK(weft_vat_stats_get(&s));
    return 0;
}

int main(void)
{
    integers();
    strings();
    floating();
    run_clean(start, 1);
    return 0;
}
