/* A lane's memory beside glibc's malloc, on what glibc measures its own malloc by: blocks of random sizes, small ones
 * far more frequent (their density falls with the square of the size, 4 bytes to 32 KiB), replaced at random in a
 * working set of 1024 (its bench-malloc-thread); and batches of one size, given back in the order in which they were
 * got (its bench-malloc-simple). Both take turns in one process; a round's ratio is of neighbours in time.
 *
 *     vat [STEPS]      default 2000000 for each round; in the environment WEFT_MODE, WEFT_PORT */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <weft/weft.h>

enum { ROUNDS = 11, SET = 1024, DRAWN = 1 << 16, SMALLEST = 4, LARGEST = 32768, MOST = 1600 };

typedef struct allocator {
    void *(*get)(size_t size);
    void (*put)(void *p);
} allocator;

static uint32_t sizes[DRAWN];
static uint16_t slots[DRAWN];
static void *block[MOST];
static long steps = 2000000;

static void must(int r)
{
    if (r < 0) {
        fprintf(stderr, "%s\n", weft_strerror(r));
        exit(1);
    }
}

static uint64_t draw(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return *state = x;
}

/* Of a density that falls with the square, the share below s is proportional to 1/smallest - 1/s. */
static void draw_all(void)
{
    uint64_t state = 88172645463325252u;
    const double low = 1.0 / SMALLEST, high = 1.0 / LARGEST;
    for (unsigned i = 0; i < DRAWN; i++) {
        double share = (double)(draw(&state) >> 11) / (double)(1ull << 53);
        sizes[i] = (uint32_t)(1.0 / (low - share * (low - high)));
        slots[i] = (uint16_t)(draw(&state) % SET);
    }
}

static void check(const void *p)
{
    if (!p)
        must(-ENOMEM);
}

/* ns for a block got and given back. */
static double mixed(const allocator *a, size_t unused, unsigned count)
{
    (void)unused, (void)count;
    int64_t begin = weft_now();
    for (long i = 0; i < steps; i++) {
        void **at = &block[slots[i % DRAWN]];
        a->put(*at);
        check(*at = a->get(sizes[i % DRAWN]));
    }
    int64_t end = weft_now();
    for (unsigned i = 0; i < SET; i++) {
        a->put(block[i]);
        block[i] = NULL;
    }
    return (double)(end - begin) / (double)steps;
}

static double batches(const allocator *a, size_t size, unsigned count)
{
    long rounds = steps / count;
    int64_t begin = weft_now();
    for (long r = 0; r < rounds; r++) {
        for (unsigned i = 0; i < count; i++)
            check(block[i] = a->get(size));
        for (unsigned i = 0; i < count; i++)
            a->put(block[i]);
    }
    double ns = (double)(weft_now() - begin) / (double)(rounds * count);
    for (unsigned i = 0; i < count; i++)
        block[i] = NULL;
    return ns;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *figures)
{
    qsort(figures, ROUNDS, sizeof *figures, by_value);
    return figures[ROUNDS / 2];
}

static void compare(const char *what, double (*job)(const allocator *a, size_t size, unsigned count), size_t size, unsigned count)
{
    const allocator ours = {weft_alloc, weft_free}, theirs = {malloc, free};
    double vat[ROUNDS], libc[ROUNDS], ratio[ROUNDS];
    (void)job(&ours, size, count), (void)job(&theirs, size, count); /* warm */
    for (int i = 0; i < ROUNDS; i++) {
        int first = i % 2;
        double a = job(first ? &ours : &theirs, size, count), b = job(first ? &theirs : &ours, size, count);
        vat[i] = first ? a : b;
        libc[i] = first ? b : a;
        ratio[i] = vat[i] / libc[i];
    }
    double r = median(ratio);
    printf("%-32s vat %6.1f ns, malloc %6.1f ns, ratio %.2f [%.2f, %.2f]\n", what, median(vat), median(libc), r, ratio[0], ratio[ROUNDS - 1]);
    fflush(stdout);
}

static int start(int argc, char **argv)
{
    static const unsigned counts[] = {25, 400, MOST};
    if (argc > 1)
        steps = atol(argv[1]);
    if (steps < MOST)
        return -EINVAL;
    draw_all();
    compare("random sizes, set of 1024", mixed, 0, 0);
    for (size_t size = 16; size <= 4096; size *= 4)
        for (unsigned i = 0; i < sizeof counts / sizeof *counts; i++) {
            char what[40];
            snprintf(what, sizeof what, "%u of %zu bytes", counts[i], size);
            compare(what, batches, size, counts[i]);
        }
    return 0;
}

int main(int argc, char **argv)
{
    weft_options opt = {.workers = 1, .blocked_ns = -1};
    return weft_main(start, argc, argv, &opt);
}
