/* Floating-point control words belong to the context: kept across switches, not leaked into others, and
 * a fresh context starts with the ABI's defaults whoever makes it. Status flags are nobody's, and
 * raising some does not slow a switch. */
#include "stacks.h"

#include <fenv.h>
#include <math.h>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

static weft__context home;
static weft__context one;
static weft__context two;
static volatile double third = 3.0;
static int honoured; /* Valgrind keeps the rounding mode and computes without it */

/* What the machine does, not what it says: 1/3 rounded each way. */
static int rounds_up(void)
{
    volatile double x = 1.0 / third;
    return x > 0x1.5555555555555p-2;
}

static int rounds_toward_negative(void)
{
    volatile double x = -1.0 / third;
    return x < -0x1.5555555555555p-2;
}

/* The control words in full, so that a mask or flush-to-zero bit that leaks is seen, too. */
static uint64_t control(void)
{
#if defined(__x86_64__)
    uint16_t x87;
    __asm__ volatile("fnstcw %0" : "=m"(x87));
    return (_mm_getcsr() & 0xffc0u) | (uint64_t)x87 << 32;
#elif defined(__aarch64__)
    uint64_t fpcr;
    __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
    return fpcr;
#else
    return (uint64_t)fegetround();
#endif
}

/* Control bits that fesetround does not touch, where the CPU has some. */
static void set_more_control(void)
{
#if defined(__x86_64__)
    uint16_t x87 = 0x027f; /* double precision */
    _mm_setcsr(_mm_getcsr() | 0x8040u); /* flush to zero, denormals are zero */
    __asm__ volatile("fldcw %0" : : "m"(x87));
#elif defined(__aarch64__)
    uint64_t fpcr;
    __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
    __asm__ volatile("msr fpcr, %0" : : "r"(fpcr | 1u << 24)); /* flush to zero */
#endif
}

static void run_two(void *arg)
{
    uint64_t plain = *(uint64_t *)arg;

    CHECK_EQ(control(), plain); /* made by a context that rounds up */
    CHECK_EQ(fesetround(FE_DOWNWARD), 0);
    uint64_t mine = control();
    for (int i = 0; i < 100; i++) {
        feraiseexcept(FE_INEXACT | FE_DIVBYZERO);
        weft__switch(&two, &one, NULL, NULL);
        CHECK_EQ(control(), mine);
        CHECK(!honoured || rounds_toward_negative());
    }
    weft__switch_last(&two, &one, NULL, NULL);
}

static void run_one(void *arg)
{
    test_stack stack = test_stack_new(64 * 1024);

    CHECK_EQ(control(), *(uint64_t *)arg);
    CHECK_EQ(fesetround(FE_UPWARD), 0);
    set_more_control();
    uint64_t mine = control();
    weft__context_make(&two, stack.lo, stack.size, run_two, arg);
    for (int i = 0; i < 101; i++) {
        feclearexcept(FE_ALL_EXCEPT);
        weft__switch(&one, &two, NULL, NULL);
        CHECK_EQ(control(), mine);
        CHECK(!honoured || rounds_up());
    }
    test_stack_free(&stack);
    weft__switch_last(&one, &home, NULL, NULL);
}

int main(void)
{
    test_stack stack = test_stack_new(64 * 1024);
    uint64_t plain = control();

    CHECK_EQ(fesetround(FE_UPWARD), 0);
    honoured = rounds_up();
    CHECK_EQ(fesetround(FE_TONEAREST), 0);

    weft__context_adopt(&home);
    weft__context_make(&one, stack.lo, stack.size, run_one, &plain);
    weft__switch(&home, &one, NULL, NULL);
    CHECK_EQ(control(), plain);
    CHECK(!rounds_up() && !rounds_toward_negative());

    /* A native context with its own control words does not lend them to what it makes. */
    CHECK_EQ(fesetround(FE_UPWARD), 0);
    weft__context_make(&one, stack.lo, stack.size, run_one, &plain);
    weft__switch(&home, &one, NULL, NULL);
    CHECK_EQ(fegetround(), FE_UPWARD);
    CHECK(!honoured || rounds_up());
    weft__context_drop(&home);
    test_stack_free(&stack);
    return 0;
}
