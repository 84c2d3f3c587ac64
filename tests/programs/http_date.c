/* Dates are written as RFC 9110 wants them, and read in all three forms; checked against the C library's calendar. */
#include "http_date.h"
#include "test.h"

#include <errno.h>
#include <stdbool.h>
#include <time.h>

#define NOW ((int64_t)1795249556) /* November 2026 */

static int parse(const char *text, int64_t *seconds)
{
    size_t n = strlen(text);
    char *exact = malloc(n > 0 ? n : 1);
    CHECK(exact != NULL);
    memcpy(exact, text, n);
    int r = http_date_parse(exact, n, NOW, seconds);
    free(exact);
    return r;
}

static void reads(const char *text, int64_t expected)
{
    int64_t seconds = -1;
    if (parse(text, &seconds) != 0 || seconds != expected)
        TEST_FAIL("%s: %lld, not %lld", text, (long long)seconds, (long long)expected);
}

static void refuses(const char *text)
{
    int64_t seconds = 4711;
    if (parse(text, &seconds) != -EINVAL || seconds != 4711)
        TEST_FAIL("'%s' was taken for %lld", text, (long long)seconds);
}

static void agrees_with_the_c_library(void)
{
    for (int64_t t = 0; t < 253402300799; t += 86400 * 17 + 12347) {
        char ours[HTTP_DATE_LEN + 1] = "", theirs[64];
        struct tm tm;
        time_t as_time = (time_t)t;
        CHECK(gmtime_r(&as_time, &tm) != NULL);
        strftime(theirs, sizeof theirs, "%a, %d %b %Y %H:%M:%S GMT", &tm);
        http_date_format(ours, t);
        if (strcmp(ours, theirs) != 0)
            TEST_FAIL("%lld: %s, not %s", (long long)t, ours, theirs);
        reads(theirs, t);
    }
}

static void bounds_are_kept(void)
{
    char text[HTTP_DATE_LEN + 1] = "";
    http_date_format(text, -5);
    CHECK(strcmp(text, "Thu, 01 Jan 1970 00:00:00 GMT") == 0);
    http_date_format(text, INT64_MAX);
    CHECK(strcmp(text, "Fri, 31 Dec 9999 23:59:59 GMT") == 0);
}

int main(void)
{
    agrees_with_the_c_library();
    bounds_are_kept();
    reads("Sun, 06 Nov 1994 08:49:37 GMT", 784111777);
    reads("Sunday, 06-Nov-94 08:49:37 GMT", 784111777);
    reads("Sun Nov  6 08:49:37 1994", 784111777);
    reads("Sun Nov 16 08:49:37 1994", 784975777);
    reads("Thu, 29 Feb 2024 00:00:00 GMT", 1709164800);
    reads("Tuesday, 01-Jan-30 00:00:00 GMT", 1893456000); /* the near one, not 1930 */
    reads("Friday, 01-Jan-77 00:00:00 GMT", 220924800);    /* 1977: 2077 is more than 50 years away */
    reads("Sat, 31 Dec 2016 23:59:60 GMT", 1483228800);    /* a leap second */

    static const char *const bad[] = {"", "S", "Sun", "Sun,", "Sun, 06 Nov 1994", "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 UTC", "Sun, 06 Nov 1994 08:49:37 GMT ", " Sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 6 Nov 1994 08:49:37 GMT", "Sun, 06 nov 1994 08:49:37 GMT", "Sun, 32 Nov 1994 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT", "Sun, 29 Feb 2023 08:49:37 GMT", "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:00 GMT", "Sun, 06 Nov 1994 08:49:61 GMT", "Sun, 06 Nov -994 08:49:37 GMT",
        "Xun, 06 Nov 1994 08:49:37 GMT", "Sun Nov 6 08:49:37 1994", "Sun Nov  6 08:49:37 94", "784111777", "junk"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        refuses(bad[i]);
    return 0;
}
