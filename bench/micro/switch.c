/*
 * What one switch costs, in ns: as shipped, ending in ret, and without the floating-point control words; then
 * among many contexts, in random order, whose stacks lie an odd number of pages or a power of two apart,
 * coloured or not. Every figure is the median of rounds that take turns, by the thread's CPU clock; the CPU is
 * named. Argument: rounds (default 21).
 */
#include "arch/switch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define CONTEXTS_MAX 10000
#define SWITCHES 1000000

typedef int switch_fn(weft__context *from, weft__context *to, void (*after)(void *), void *arg);

static weft__context home;
static weft__context ring[CONTEXTS_MAX];
static size_t count;
static size_t left;
static switch_fn *chosen;
static size_t lines; /* of its stack that a context writes to between two switches */

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t); /* what others take of this CPU is not ours */
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* The same save and restore, but for its last instruction; and one that leaves the control words alone. */
#if defined(__x86_64__) && !WEFT_SWITCH_PORTABLE
#define HAVE_VARIANTS 1
#define SAVE "pushq %rbp\npushq %rbx\npushq %r12\npushq %r13\npushq %r14\npushq %r15\nsubq $8, %rsp\n"
#define LOAD "addq $8, %rsp\npopq %r15\npopq %r14\npopq %r13\npopq %r12\npopq %rbx\npopq %rbp\n"
#define MOVE "movq %rsp, (%rdi)\nmovq (%rsi), %rsp\n"
#define KEEP "stmxcsr (%rsp)\nfnstcw 4(%rsp)\nmovl (%rsp), %eax\nmovzwl 4(%rsp), %r8d\n"
#define COMPARE "movl (%rsp), %r9d\nxorl %eax, %r9d\ntestl $0xffc0, %r9d\njne 9f\ncmpw 4(%rsp), %r8w\njne 9f\n"
#define TEST "testq %rdx, %rdx\njne 9f\n"
__asm__(".text\n.p2align 6\nswitch_ret:\n" SAVE KEEP MOVE COMPARE TEST LOAD "ret\n9: ud2\n"
        ".p2align 6\nswitch_bare_jump:\n" SAVE MOVE TEST LOAD "popq %rcx\njmp *%rcx\n9: ud2\n"
        ".p2align 6\nswitch_bare_ret:\n" SAVE MOVE TEST LOAD "ret\n9: ud2\n");
switch_fn switch_ret, switch_bare_jump, switch_bare_ret;
#else
#define HAVE_VARIANTS 0
#endif

__attribute__((noinline)) static void work(void)
{
    volatile char frame[1024];

    for (size_t i = 0; i < lines; i++)
        frame[sizeof frame - 1 - i * 64] = 1;
}

/* Contexts wait in different places of the program, as fibers do:
 * with one place for all, a return predictor would be right. */
#define ROUND(name)                                                                                                    \
    static void name(void *arg)                                                                                        \
    {                                                                                                                  \
        size_t me = (size_t)(uintptr_t)arg;                                                                            \
        weft__context *self = &ring[me], *next = &ring[(me + 1) % count];                                              \
                                                                                                                       \
        for (;;) {                                                                                                     \
            if (left-- == 0)                                                                                           \
                weft__switch(self, &home, NULL, NULL);                                                                 \
            if (lines > 0)                                                                                             \
                work();                                                                                                \
            chosen(self, next, NULL, NULL);                                                                            \
        }                                                                                                              \
    }
ROUND(round_a)
ROUND(round_b)
ROUND(round_c)
static void (*const rounds_of[])(void *) = {round_a, round_b, round_c};

/* Fibers do not run in the order of their stacks' addresses: in that order a prefetcher that knows
 * strides would hide what stacks cost. */
static size_t order[CONTEXTS_MAX];

static void shuffle(size_t n)
{
    uint64_t random = 88172645463325252u;

    for (size_t i = 0; i < n; i++)
        order[i] = i;
    for (size_t i = n; i > 1; i--) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        size_t j = (size_t)(random >> 33) % i, swap = order[i - 1];
        order[i - 1] = order[j];
        order[j] = swap;
    }
}

/* ns a switch, with the first turn round the ring outside the measurement. */
static double measure(switch_fn *fn, char *memory, size_t n, size_t stride, size_t colours, size_t step)
{
    chosen = fn;
    count = n;
    shuffle(n);
    for (size_t i = 0; i < n; i++)
        weft__context_make(&ring[i], memory + order[i] * stride, 65536 - order[i] % colours * step, rounds_of[i % 3], (void *)i);
    left = 2 * n;
    weft__switch(&home, &ring[0], NULL, NULL);
    left = SWITCHES;
    double start = now_ns();
    weft__switch(&home, &ring[2 * n % n], NULL, NULL);
    double ns = (now_ns() - start) / SWITCHES;
    for (size_t i = 0; i < n; i++)
        weft__context_discard(&ring[i]);
    return ns;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void say_cpu(void)
{
    char line[256], family[64] = "?", model[64] = "?", name[128] = "?";
    FILE *f = fopen("/proc/cpuinfo", "r");

    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        (void)sscanf(line, "cpu family : %63[^\n]", family);
        (void)sscanf(line, "model : %63[^\n]", model);
        (void)sscanf(line, "model name : %127[^\n]", name);
    }
    if (f != NULL)
        fclose(f);
    printf("%s, family %s, model %s\n", name, family, model);
}

#define KIB(n) ((size_t)(n) * 1024)

int main(int argc, char **argv)
{
    enum { ROUNDS_MAX = 999 };
    static const struct {
        const char *what;
        switch_fn *fn;
        size_t n, stride, colours, step, lines;
    } rows[] = {
        {"2 contexts, as shipped", weft__switch_raw, 2, KIB(260), 16, 64, 0},
#if HAVE_VARIANTS
        {"2 contexts, ending in ret", switch_ret, 2, KIB(260), 16, 64, 0},
        {"2 contexts, control words left alone, jump", switch_bare_jump, 2, KIB(260), 16, 64, 0},
        {"2 contexts, control words left alone, ret", switch_bare_ret, 2, KIB(260), 16, 64, 0},
#endif
        {"200 contexts, as shipped", weft__switch_raw, 200, KIB(260), 16, 64, 0},
        {"200 contexts, no colours", weft__switch_raw, 200, KIB(260), 1, 64, 0},
        {"200 contexts, 256 KiB apart", weft__switch_raw, 200, KIB(256), 16, 64, 0},
        {"200 contexts, 256 KiB apart, no colours", weft__switch_raw, 200, KIB(256), 1, 64, 0},
        {"1,000 contexts, as shipped", weft__switch_raw, 1000, KIB(260), 16, 64, 0},
        {"1,000 contexts, no colours", weft__switch_raw, 1000, KIB(260), 1, 64, 0},
        {"1,000 contexts, 8 colours of 128", weft__switch_raw, 1000, KIB(260), 8, 128, 0},
        {"1,000 contexts, 32 colours", weft__switch_raw, 1000, KIB(260), 32, 64, 0},
        {"1,000 contexts, 256 KiB apart", weft__switch_raw, 1000, KIB(256), 16, 64, 0},
        {"1,000 contexts, 256 KiB apart, no colours", weft__switch_raw, 1000, KIB(256), 1, 64, 0},
        {"10,000 contexts, as shipped", weft__switch_raw, 10000, KIB(260), 16, 64, 0},
        {"10,000 contexts, no colours", weft__switch_raw, 10000, KIB(260), 1, 64, 0},
        {"10,000 contexts, 8 colours of 128", weft__switch_raw, 10000, KIB(260), 8, 128, 0},
        {"10,000 contexts, 256 KiB apart, no colours", weft__switch_raw, 10000, KIB(256), 1, 64, 0},
        {"50 contexts that use 512 bytes, as shipped", weft__switch_raw, 50, KIB(260), 16, 64, 8},
        {"50 contexts that use 512 bytes, no colours", weft__switch_raw, 50, KIB(260), 1, 64, 8},
        {"500 contexts that use 512 bytes, as shipped", weft__switch_raw, 500, KIB(260), 16, 64, 8},
        {"500 contexts that use 512 bytes, no colours", weft__switch_raw, 500, KIB(260), 1, 64, 8},
        {"10,000 contexts that use 512 bytes, as shipped", weft__switch_raw, 10000, KIB(260), 16, 64, 8},
        {"10,000 contexts that use 512 bytes, no colours", weft__switch_raw, 10000, KIB(260), 1, 64, 8},
#if HAVE_VARIANTS
        {"10,000 contexts, ending in ret", switch_ret, 10000, KIB(260), 16, 64, 0},
#endif
    };
    enum { ROWS = sizeof rows / sizeof *rows };
    static double ns[ROWS][ROUNDS_MAX];
    size_t rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 21;
    char *memory = mmap(NULL, CONTEXTS_MAX * KIB(260), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (memory == MAP_FAILED || rounds == 0 || rounds > ROUNDS_MAX)
        return 1;
#ifdef MADV_NOHUGEPAGE
    (void)madvise(memory, CONTEXTS_MAX * KIB(260), MADV_NOHUGEPAGE);
#endif
    say_cpu();
    weft__context_adopt(&home);
    for (size_t round = 0; round < rounds; round++)
        for (size_t i = 0; i < ROWS; i++) {
            size_t at = (i + round) % ROWS;
            lines = rows[at].lines;
            ns[at][round] = measure(rows[at].fn, memory, rows[at].n, rows[at].stride, rows[at].colours, rows[at].step);
        }
    printf("%-54s %8s %8s %8s\n", "ns a switch", "median", "lowest", "highest");
    for (size_t i = 0; i < ROWS; i++) {
        qsort(ns[i], rounds, sizeof(double), compare);
        printf("%-54s %8.2f %8.2f %8.2f\n", rows[i].what, ns[i][rounds / 2], ns[i][0], ns[i][rounds - 1]);
    }
    weft__context_drop(&home);
    return 0;
}
