/* Backtraces: from inside a context and of a parked one they name the same chain of functions, end at the
 * context's entry, allocate nothing, and take no harm from a stack full of nonsense. By tables also through
 * code built without frame pointers. */
#include "arch/unwind.h"
#include "stacks.h"

#include <signal.h>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

/* Whether this compiler writes unwind tables for C without being told to. */
#if defined(__riscv)
#define HAVE_TABLES 0
#else
#define HAVE_TABLES 1
#endif

#define DEPTH 20
#define MAX 64

static weft__context home;
static weft__context fiber;
static test_stack stack;
static uintptr_t inside[MAX], quick[MAX], in_handler[MAX];
static size_t inside_n, quick_n, in_handler_n;

#if defined(__clang__)
#define WITHOUT_FRAME_POINTER
#else
#define WITHOUT_FRAME_POINTER __attribute__((optimize("omit-frame-pointer")))
#endif

typedef struct step {
    unsigned left;
    unsigned bare; /* through functions without a frame pointer */
} step;

static volatile unsigned landmarks; /* what the functions below do after their calls, lest those become jumps */

__attribute__((noinline)) static void innermost(void)
{
    inside_n = weft__backtrace_in(stack.lo, stack.size, inside, MAX);
    quick_n = weft__backtrace_quick(stack.lo, stack.size, quick, MAX);
    weft__switch(&fiber, &home, NULL, NULL);
    landmarks++;
}

__attribute__((noinline)) static void descend(step *s)
{
    if (s->left-- == 0)
        innermost();
    else
        descend(s);
    landmarks++;
}

__attribute__((noinline)) WITHOUT_FRAME_POINTER static void descend_bare(step *s)
{
    if (s->left-- == 0)
        innermost();
    else
        descend_bare(s);
    landmarks++;
}

static void entry(void *arg)
{
    step *s = arg;

    if (s->bare)
        descend_bare(s);
    else
        descend(s);
    weft__switch_last(&fiber, &home, NULL, NULL);
}

/* pc lies in the function that begins at fn: none of the others begins between, and functions here are short. */
static int is_in(uintptr_t pc, uintptr_t fn)
{
    const uintptr_t others[] = {(uintptr_t)innermost, (uintptr_t)descend, (uintptr_t)descend_bare, (uintptr_t)entry};

    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (others[i] > fn && others[i] < pc)
            return 0;
    return pc > fn && pc - fn < 1024;
}

static size_t allocated(void)
{
#if defined(__GLIBC__) && !WEFT__ASAN && !WEFT__TSAN
    return mallinfo2().uordblks;
#else
    return 0;
#endif
}

/* A chain has the recursion's steps in a row, then the entry as its last. first: where innermost may be. */
static void check_chain(const uintptr_t *pc, size_t n, uintptr_t fn)
{
    size_t i = 0;

    while (i + 1 < n && !is_in(pc[i + 1], fn))
        i++;
    CHECK(i + 1 < n && i < 8 && is_in(pc[i], (uintptr_t)innermost)); /* sanitizers put a few of their own before it */
    for (size_t depth = 0; depth <= DEPTH; depth++)
        CHECK(i + 1 + depth < n && is_in(pc[i + 1 + depth], fn));
    CHECK(i + DEPTH + 2 < n && is_in(pc[i + DEPTH + 2], (uintptr_t)entry));
    /* makecontext has a frame or two there. */
    CHECK(n == i + DEPTH + 3 || (WEFT_SWITCH_PORTABLE && n <= i + DEPTH + 5));
}

static void same_from_inside_and_parked(unsigned bare)
{
    uintptr_t parked[MAX], parked_quick[MAX], few[3];
    step s = {.left = DEPTH, .bare = bare};
    uintptr_t fn = bare ? (uintptr_t)descend_bare : (uintptr_t)descend;

    weft__context_make(&fiber, stack.lo, stack.size, entry, &s);
    CHECK_EQ(weft__backtrace_parked(&fiber, stack.lo, stack.size, parked, MAX), 0);
    CHECK_EQ(weft__backtrace_parked_quick(&fiber, stack.lo, stack.size, parked, MAX), 0);
    size_t before = allocated();
    weft__switch(&home, &fiber, NULL, NULL);
    size_t n = weft__backtrace_parked(&fiber, stack.lo, stack.size, parked, MAX);
    size_t nq = weft__backtrace_parked_quick(&fiber, stack.lo, stack.size, parked_quick, MAX);
    CHECK_EQ(allocated(), before);
    if (HAVE_TABLES || !bare)
        check_chain(inside, inside_n, fn);
    if ((HAVE_TABLES && !WEFT_SWITCH_PORTABLE) || !bare)
        check_chain(parked, n, fn);
    if (!bare) {
        check_chain(quick, quick_n, fn);
        check_chain(parked_quick, nq, fn);
    }
    n = n < 3 ? n : 3;
    CHECK_EQ(weft__backtrace_parked(&fiber, stack.lo, stack.size, few, 3), n);
    CHECK(n >= 1 && few[0] == parked[0] && few[n - 1] == parked[n - 1]);
    CHECK_EQ(weft__backtrace_parked_quick(&fiber, stack.lo, stack.size, few, 1), 1);
    CHECK_EQ(weft__backtrace_parked_quick(&fiber, stack.lo, stack.size, few, 0), 0);
    weft__switch(&home, &fiber, NULL, NULL);
}

static void nonsense_is_survived(void)
{
    uint64_t random = 1;
    uintptr_t pc[MAX];
    static uintptr_t words[8192];
    const char *lo = (const char *)words;
    size_t count = sizeof words / sizeof *words;

    for (unsigned round = 0; round < 2000; round++) {
        for (size_t i = 0; i < 512; i++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            uintptr_t near = (uintptr_t)lo + (uintptr_t)(random >> 40) % (sizeof words + 4096);
            words[(random >> 33) % count] = random >> 63 ? near & ~(uintptr_t)7 : (uintptr_t)random;
        }
        size_t n = weft__backtrace_from(1, (uintptr_t)lo + (random >> 33) % sizeof words / 8 * 8, lo, sizeof words, pc, MAX);
        CHECK(n >= 1 && n <= MAX);
    }
    CHECK_EQ(weft__backtrace_from(1, (uintptr_t)lo - 8, lo, sizeof words, pc, MAX), 1);
    CHECK_EQ(weft__backtrace_from(1, (uintptr_t)lo + sizeof words, lo, sizeof words, pc, MAX), 1);
    CHECK_EQ(weft__backtrace_from(1, UINTPTR_MAX - 7, lo, sizeof words, pc, MAX), 1);
}

static void on_signal(int sig, siginfo_t *info, void *machine)
{
    uintptr_t at, frame, sp;

    (void)sig;
    (void)info;
    if (weft__interrupted(machine, &at, &frame, &sp) == 0)
        in_handler_n = weft__backtrace_from(at, frame, stack.lo, stack.size, in_handler, MAX);
}

__attribute__((noinline)) static void traps(void)
{
    CHECK_EQ(raise(SIGUSR1), 0);
    landmarks++;
}

static void entry_that_traps(void *arg)
{
    (void)arg;
    traps();
    weft__switch_last(&fiber, &home, NULL, NULL);
}

static void handlers_see_the_interrupted_code(void)
{
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
    int found = 0;

    CHECK_EQ(sigaction(SIGUSR1, &action, NULL), 0);
    weft__context_make(&fiber, stack.lo, stack.size, entry_that_traps, NULL);
    weft__switch(&home, &fiber, NULL, NULL);
    CHECK(in_handler_n >= 1);
    for (size_t i = 0; i < in_handler_n; i++)
        found |= is_in(in_handler[i], (uintptr_t)entry_that_traps);
#if defined(__x86_64__) && !WEFT__ASAN && !WEFT__TSAN /* libc's raise keeps no frame, ours above it do */
    CHECK(found);
#else
    (void)found;
#endif
}

int main(void)
{
    stack = test_stack_new(64 * 1024);
    weft__context_adopt(&home);
    same_from_inside_and_parked(0);
    same_from_inside_and_parked(1);
    handlers_see_the_interrupted_code();
    nonsense_is_survived();
    weft__context_drop(&home);
    test_stack_free(&stack);
    return 0;
}
