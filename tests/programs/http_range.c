/* Ranges: what is satisfiable is stored, what costs too much is ignored, what cannot be had is said. */
#include "http_range.h"
#include "test.h"

#include <errno.h>

static int parse(const char *text, uint64_t size, struct http_range *ranges)
{
    size_t n = strlen(text);
    char *exact = malloc(n > 0 ? n : 1);
    CHECK(exact != NULL);
    memcpy(exact, text, n);
    int r = http_range_parse(exact, n, size, ranges);
    free(exact);
    return r;
}

static void one(const char *text, uint64_t size, uint64_t first, uint64_t last)
{
    struct http_range ranges[HTTP_RANGES_MAX];
    int r = parse(text, size, ranges);
    if (r != 1 || ranges[0].first != first || ranges[0].last != last)
        TEST_FAIL("%s of %llu: %d", text, (unsigned long long)size, r);
}

static void none(const char *text, uint64_t size, int expected)
{
    struct http_range ranges[HTTP_RANGES_MAX];
    int r = parse(text, size, ranges);
    if (r != expected)
        TEST_FAIL("%s of %llu: %d, not %d", text, (unsigned long long)size, r, expected);
}

int main(void)
{
    one("bytes=0-0", 10, 0, 0);
    one("bytes=0-9", 10, 0, 9);
    one("bytes=0-10", 10, 0, 9);
    one("bytes=3-", 10, 3, 9);
    one("bytes=-3", 10, 7, 9);
    one("bytes=-10", 10, 0, 9);
    one("bytes=-11", 10, 0, 9);
    one("Bytes= 1-2 ", 10, 1, 2);
    one("bytes=,,1-2,,", 10, 1, 2);
    one("bytes=0-18446744073709551615", 10, 0, 9);
    one("bytes=0-99999999999999999999999999", 10, 0, 9);
    one("bytes=-99999999999999999999999999", 10, 0, 9);
    one("bytes=18446744073709551613-", UINT64_MAX, UINT64_MAX - 2, UINT64_MAX - 1);
    one("bytes=50-,2-3,99-", 10, 2, 3);

    none("bytes=10-", 10, -ERANGE);
    none("bytes=10-11,20-", 10, -ERANGE);
    none("bytes=-0", 10, -ERANGE);
    none("bytes=0-", 0, -ERANGE);
    none("bytes=-1", 0, -ERANGE);
    none("bytes=18446744073709551616-", 10, -ERANGE);

    static const char *const ignored[] = {"", "b", "bytes", "bytes=", "bytes=,", "bytes=-", "bytes=--1", "bytes=a-b",
        "bytes=1", "bytes=1-a", "bytes=1--2", "bytes=2-1", "bytes=0-1 2-3", "bytes=0-1;2-3", "bytes=+1-2", "lines=0-1",
        "bytes 0-1", "bytes=0x0-1", "bytes=0-5,3-7", "bytes=0-0,0-0", "bytes=5-,-5",
        "bytes=0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14,16-16,18-18,20-20,22-22,24-24,26-26,28-28,30-30,32-32"};
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        none(ignored[i], strlen(ignored[i]) > 80 ? 100 : 10, 0);

    struct http_range ranges[HTTP_RANGES_MAX];
    CHECK_EQ(parse("bytes=8-9,0-1, 4-5 ,-1", 11, ranges), 4);
    CHECK(ranges[0].first == 8 && ranges[1].first == 0 && ranges[2].last == 5 && ranges[3].first == 10);
    CHECK_EQ(parse("bytes=0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14,16-16,18-18,20-20,22-22,24-24,26-26,28-28,30-30", 100,
                 ranges),
        HTTP_RANGES_MAX);
    return 0;
}
