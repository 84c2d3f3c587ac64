/* What a newborn gets: a copy of its argument, a stack of the size it asked for or the caller's memory, a name. */
#include "lane/world.h"

typedef struct big {
    char bytes[WEFT_COPY_MAX];
} big;

static int checks_copy(void *arg)
{
    const char here = 0;
    big *b = arg;

    CHECK((uintptr_t)arg % 16 == 0);
    CHECK((uintptr_t)arg - (uintptr_t)&here < 4096); /* on its own stack */
    for (int i = 0; i < WEFT_COPY_MAX; i++)
        CHECK_EQ(b->bytes[i], i);
    memset(b, 0, sizeof *b); /* its own */
    CHECK_OK(weft_yield());
    CHECK_EQ(b->bytes[50], 0);
    return 0;
}

static int checks_one_byte(void *arg) { return *(const char *)arg; }

static void copies(void)
{
    weft_id f[20];
    int r;

    for (int k = 0; k < 20; k++) {
        big b;
        for (int i = 0; i < WEFT_COPY_MAX; i++)
            b.bytes[i] = (char)i;
        CHECK_OK(weft_spawn_with(&f[k], checks_copy, &b, .copy = sizeof b));
        memset(&b, 0x55, sizeof b); /* may go at once */
    }
    for (int k = 0; k < 20; k++)
        CHECK_OK(weft_join(f[k], NULL, WEFT_NEVER));
    char c = 7;
    CHECK_OK(weft_spawn_with(&f[0], checks_one_byte, &c, .copy = 1));
    c = 8;
    CHECK_OK(weft_join(f[0], &r, WEFT_NEVER));
    CHECK_EQ(r, 7);
}

/* Uses about so many bytes of stack. */
__attribute__((noinline)) static int dig(size_t bytes)
{
    volatile char hole[1024];

    for (size_t i = 0; i < sizeof hole; i += 64)
        hole[i] = (char)i;
    return bytes > sizeof hole + 128 ? dig(bytes - sizeof hole - 128) + hole[64] : hole[128];
}

static int digs(void *arg)
{
    dig(*(const size_t *)arg);
    CHECK_OK(weft_yield());
    dig(*(const size_t *)arg);
    return 0;
}

static const size_t sizes[] = {16 << 10, 32 << 10, 100000, 256 << 10, 1 << 20, 16 << 20};

static void stack_sizes(void)
{
    weft_id f[sizeof sizes / sizeof *sizes];

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t use = sizes[i] / 8 * 5;
        CHECK_OK(weft_spawn_with(&f[i], digs, &use, .copy = sizeof use, .stack_size = sizes[i]));
    }
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        CHECK_OK(weft_join(f[i], NULL, WEFT_NEVER));
}

static int stands_in(void *arg)
{
    const char here = 0;
    char *const *range = arg;

    CHECK(&here >= range[0] && &here < range[1]);
    CHECK_OK(weft_sleep(weft_after(WEFT_MILLISECOND)));
    CHECK(&here >= range[0] && &here < range[1]);
    return 0;
}

static int parks(void *arg)
{
    (void)arg;
    return weft_park(WEFT_NEVER);
}

static void callers_stack(void)
{
    enum { SIZE = 64 << 10 };
    static _Alignas(64) char memory[2][SIZE];
    weft_id f, g;
    int r;

    for (int round = 0; round < 3; round++) { /* the memory is the caller's again after each */
        char *range[2][2] = {{memory[0], memory[0] + SIZE}, {memory[1] + 1, memory[1] + SIZE}};
        memset(memory, 0x5a, sizeof memory);
        CHECK_OK(weft_spawn_with(&f, stands_in, range[0], .copy = sizeof range[0], .stack = memory[0],
            .stack_size = SIZE));
        CHECK_OK(weft_spawn_with(&g, stands_in, range[1], .copy = sizeof range[1], .stack = memory[1] + 1,
            .stack_size = SIZE - 1));
        CHECK_OK(weft_join(f, NULL, WEFT_NEVER));
        CHECK_OK(weft_join(g, NULL, WEFT_NEVER));
    }
    /* Ended without ever having run, and cancelled while it stands there. */
    CHECK_OK(weft_spawn_with(&f, parks, NULL, .stack = memory[0], .stack_size = SIZE));
    CHECK_OK(weft_yield());
    CHECK_OK(weft_cancel(f));
    CHECK_OK(weft_join(f, &r, WEFT_NEVER));
    CHECK_EQ(r, -ECANCELED);
}

static int checks_name(void *arg)
{
    CHECK(strcmp(weft_name(), arg) == 0);
    CHECK_EQ(weft_set_name(NULL), -EINVAL);
    CHECK_OK(weft_set_name("renamed"));
    CHECK(strcmp(weft_name(), "renamed") == 0);
    return 0;
}

static void names(void)
{
    weft_id f;

    CHECK_OK(weft_spawn(&f, checks_name, "checks_name"));
    CHECK_OK(weft_join(f, NULL, WEFT_NEVER));
    CHECK_OK(weft_spawn_with(&f, checks_name, "given", .name = "given"));
    CHECK_OK(weft_join(f, NULL, WEFT_NEVER));
}

static int run(int argc, char **argv)
{
    (void)argc, (void)argv;
    copies();
    stack_sizes();
    callers_stack();
    names();
    return 0;
}

int main(void)
{
    run_clean(run, 2);
    return 0;
}
