/* What a test program needs; Meson is the runner. A failed check says what and where, and ends the program with
 * status 1. Checks may be used from any thread or fiber. */
#ifndef WEFT_TESTS_TEST_H
#define WEFT_TESTS_TEST_H

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* What went wrong is said out of line: a check is a comparison and one call, of
 * which there are thousands to compile. */
__attribute__((cold, unused, format(printf, 4, 5))) static void test_say(const char *file, int line, const char *function,
                                                                         const char *format, ...)
{
    va_list args;

    fprintf(stderr, "%s:%d: %s: ", file, line, function);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    fflush(NULL);
}

/* Not exit(): handlers would run on whatever stack the failure was met on, beside threads that go on. Not in test_say:
 * a test that runs simulated has an _exit of its own. */
#define TEST_FAIL(...)                                                                                                 \
    do {                                                                                                               \
        test_say(__FILE__, __LINE__, __func__, __VA_ARGS__);                                                           \
        _exit(1);                                                                                                      \
    } while (0)

/* The condition holds. */
#define CHECK(cond)                                                                                                    \
    do {                                                                                                               \
        if (!(cond))                                                                                                   \
            TEST_FAIL("not so: %s", #cond);                                                                            \
    } while (0)

/* Two integers are equal; prints both when they are not. Pointers: CHECK(a == b). */
#define CHECK_EQ(a, b)                                                                                                 \
    do {                                                                                                               \
        const long long test_a_ = (long long)(a);                                                                      \
        const long long test_b_ = (long long)(b);                                                                      \
        if (test_a_ != test_b_)                                                                                        \
            TEST_FAIL("%s is %lld, %s is %lld", #a, test_a_, #b, test_b_);                                             \
    } while (0)

/* The call, which answers a negative errno on failure, has succeeded. */
#define CHECK_OK(call)                                                                                                 \
    do {                                                                                                               \
        const long long test_r_ = (long long)(call);                                                                   \
        if (test_r_ < 0)                                                                                               \
            TEST_FAIL("%s: %s (%lld)", #call, strerror((int)-test_r_), test_r_);                                       \
    } while (0)

/* Whether a test that has done so many rounds does another: up to `rounds` of them, or, in a soak, for the time that it
 * was given (WEFT_SOAK_SECONDS), counted from the first question. Any thread may ask. */
static inline int test_again(uint64_t done, uint64_t rounds)
{
    static int64_t until; /* 0: nobody asked yet; below 0: this is no soak */
    int64_t end = __atomic_load_n(&until, __ATOMIC_RELAXED);

    if (end == 0) {
        const char *seconds = getenv("WEFT_SOAK_SECONDS");
        end = seconds ? (int64_t)time(NULL) + atoll(seconds) : -1;
        __atomic_store_n(&until, end, __ATOMIC_RELAXED);
    }
    return end < 0 ? done < rounds : done == 0 || (int64_t)time(NULL) < end;
}

/* Whether AddressSanitizer or ThreadSanitizer watches: it brings a heap of its own, and everything takes long. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define TEST_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define TEST_SANITIZED 1
#endif
#endif
#ifndef TEST_SANITIZED
#define TEST_SANITIZED 0
#endif

/* How many of so many rounds are worth their time: all, or a few where the configuration only repeats what others have
 * done at length (WEFT_TEST_BRIEF; scripts/test says where). Any thread. */
static inline int test_rounds(int rounds) { return getenv("WEFT_TEST_BRIEF") ? (rounds + 7) / 8 : rounds; }

/* An IPv4 loopback address, in host order, that no other process of the tests listens at or connects to (its forks do):
 * a port that one has given up may be another's the next moment, while somebody is still on his way to it. And the same
 * as text, and with ":0" behind it, a free port there. */
static uint32_t test_loopback_address;
static char test_host_text[sizeof "127.255.255.255"], test_address_text[sizeof "127.255.255.255:0"];
__attribute__((constructor)) static void test_choose_address(void) /* before there are threads */
{
    const uint32_t pid = (uint32_t)getpid();
    const uint32_t a = (127u << 24) + ((pid >> 14 & 0xff) << 16) + ((pid >> 7 & 0x7f) << 8) + (pid & 0x7f) + 2;
    test_loopback_address = a;
    snprintf(test_host_text, sizeof test_host_text, "127.%u.%u.%u", a >> 16 & 0xff, a >> 8 & 0xff, a & 0xff);
    snprintf(test_address_text, sizeof test_address_text, "%s:0", test_host_text);
}
static inline uint32_t test_loopback(void) { return test_loopback_address; }
static inline const char *test_host(void) { return test_host_text; }
static inline const char *test_address(void) { return test_address_text; }

/* This test cannot run here, and why. */
#define SKIP(...)                                                                                                      \
    do {                                                                                                               \
        printf("skipped: ");                                                                                           \
        printf(__VA_ARGS__);                                                                                           \
        putchar('\n');                                                                                                 \
        fflush(NULL);                                                                                                  \
        _exit(77);                                                                                                     \
    } while (0)

#endif
