/* Two pure pieces: the step of a victim walk, and the formatter of reports. */
#include <errno.h>
#include <weft/runtime.h>

#include "sched/sched.h"
#include "sched/text.h"
#include "test.h"

static unsigned gcd(unsigned a, unsigned b) { return b ? gcd(b, a % b) : a; }

/* A walk of n places by the step visits each once, and is no plain walk where another exists. */
static void coprime_steps(void)
{
    for (unsigned n = 1; n <= 64; n++) {
        const unsigned step = weft__coprime_step(n);
        uint64_t seen = 0;
        unsigned others = 0;

        for (unsigned i = 0, at = 0; i < n; i++, at = (at + step) % n) {
            CHECK(!(seen >> at & 1));
            seen |= (uint64_t)1 << at;
        }
        CHECK_EQ(seen, n == 64 ? UINT64_MAX : ((uint64_t)1 << n) - 1);
        for (unsigned s = 2; s + 1 < n; s++)
            others += gcd(n, s) == 1;
        if (others) {
            CHECK(step != 1 && step != n - 1);
            CHECK(step >= n / 2);
        }
    }
    CHECK_EQ(weft__coprime_step(1), 1);
}

/* What it writes is what printf writes. */
#define SAME(...)                                                                                                      \
    do {                                                                                                               \
        char want[200], got[200];                                                                                      \
        const int n = snprintf(want, sizeof want, __VA_ARGS__);                                                        \
        CHECK_EQ(weft__format(got, sizeof got, __VA_ARGS__), n);                                                       \
        if (strcmp(want, got) != 0)                                                                                    \
            TEST_FAIL("\"%s\" instead of \"%s\"", got, want);                                                          \
        for (size_t size = 0; size <= (size_t)n + 1; size++) {                                                         \
            memset(got, '#', sizeof got);                                                                              \
            CHECK_EQ(weft__format(got, size, __VA_ARGS__), n);                                                         \
            CHECK(size == 0 || strncmp(got, want, size - 1) == 0);                                                     \
            CHECK(size == 0 || got[size - 1 < (size_t)n ? size - 1 : (size_t)n] == 0);                                 \
            CHECK_EQ(got[size], '#');                                                                                  \
        }                                                                                                              \
    } while (0)

static void text(void)
{
    SAME("plain");
    SAME("%d %d %d", 0, -1, 2147483647);
    SAME("%u %x %08x %lx", 4000000000u, 0xbeefu, 0x1fu, 0x1fedcba987654321ul);
    SAME("%lld %llu %zu", (long long)INT64_MIN + 1, (unsigned long long)UINT64_MAX, (size_t)-1);
    SAME("[%5d][%-5d][%05d]", 42, 42, 42);
    SAME("[%s][%8s][%-8s][%2s]", "abc", "abc", "abc", "abc");
    SAME("%c%c %%", 'o', 'k');
    SAME("%p", (void *)(uintptr_t)0xabc123);
    char got[16];
    CHECK_EQ(weft__format(got, sizeof got, "%lld", (long long)INT64_MIN), 20);
    const char *volatile nothing = NULL;
    CHECK_EQ(weft__format(got, sizeof got, "%s", nothing), 1);
    CHECK_EQ(weft__format(NULL, 0, "%s", "abc"), 3);
}

static void names(void)
{
    enum weft_mode mode;

    for (int m = WEFT_SHARED; m <= WEFT_PER_CORE; m++) {
        CHECK_OK(weft_mode_named(weft_mode_name((enum weft_mode)m), &mode));
        CHECK_EQ(mode, m);
    }
    CHECK_EQ(weft_mode_named("default", &mode), -EINVAL);
    CHECK_EQ(weft_mode_named("", &mode), -EINVAL);
    CHECK_EQ(weft_mode_named(NULL, &mode), -EINVAL);
    CHECK(strcmp(weft_mode_name((enum weft_mode)77), "?") == 0);
    CHECK(strcmp(weft_version(), WEFT_VERSION) == 0);
}

int main(void)
{
    coprime_steps();
    text();
    names();
    return 0;
}
