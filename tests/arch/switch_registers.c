/* Every callee-saved register, integer and floating point, survives switches among contexts that all fill them with
 * values of their own. */
#include "stacks.h"

#define CONTEXTS 3
#define ROUNDS 200
#define REGISTERS_MAX 32

uint64_t fill_and_switch(const uint64_t *in, uint64_t *out, void (*fn)(void *), void *arg);

static weft__context home;
static weft__context ring[CONTEXTS];
static unsigned ended;

static uint64_t value(unsigned who, unsigned round, unsigned i)
{
    uint64_t x = (uint64_t)who << 48 ^ (uint64_t)round << 24 ^ i;
    return x * 0x9e3779b97f4a7c15u + 0x0123456789abcdefu;
}

static void switch_to_next(void *arg)
{
    unsigned me = (unsigned)(uintptr_t)arg;
    weft__switch(&ring[me], &ring[(me + 1) % CONTEXTS], NULL, NULL);
}

static void check_all(void *arg)
{
    unsigned me = (unsigned)(uintptr_t)arg;
    uint64_t in[REGISTERS_MAX];
    uint64_t out[REGISTERS_MAX];

    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < REGISTERS_MAX; i++) {
            in[i] = value(me, round, i);
            out[i] = 0;
        }
        uint64_t n = fill_and_switch(in, out, switch_to_next, arg);
        CHECK(n > 0 && n <= REGISTERS_MAX);
        for (unsigned i = 0; i < n; i++)
            if (out[i] != in[i])
                TEST_FAIL("context %u, round %u: register %u of %u changed", me, round, i, (unsigned)n);
    }
    ended++;
    weft__switch_last(&ring[me], me + 1 < CONTEXTS ? &ring[me + 1] : &home, NULL, NULL);
}

int main(void)
{
    test_stack stacks[CONTEXTS];

#if !defined(__x86_64__) && !defined(__aarch64__) && !(defined(__riscv) && __riscv_xlen == 64)
    SKIP("which registers a call preserves is not written down for this CPU");
#endif
    weft__context_adopt(&home);
    for (unsigned i = 0; i < CONTEXTS; i++) {
        stacks[i] = test_stack_new(64 * 1024);
        weft__context_make(&ring[i], stacks[i].lo, stacks[i].size, check_all, (void *)(uintptr_t)i);
    }
    weft__switch(&home, &ring[0], NULL, NULL);
    CHECK_EQ(ended, CONTEXTS);
    weft__context_drop(&home);
    for (unsigned i = 0; i < CONTEXTS; i++)
        test_stack_free(&stacks[i]);
    return 0;
}
