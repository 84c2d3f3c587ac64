/* A hundred thousand contexts in one ring (the number may be given): each keeps its own locals through all rounds, all
 * end, and some are discarded while parked and their stacks used again. */
#include "stacks.h"

#define ROUNDS 3
#define STACK (16 * 1024)
#define ANNOUNCED_MAX 2000

static weft__context home;
static weft__context *ring;
static size_t count;
static size_t steps;
static size_t ended;

static void go_round(void *arg)
{
    size_t me = (size_t)(uintptr_t)arg;
    volatile size_t mine = me * 31 + 7;

    for (unsigned i = 0; i < ROUNDS; i++) {
        steps++;
        weft__switch(&ring[me], &ring[(me + 1) % count], NULL, NULL);
        CHECK_EQ(mine, me * 31 + 7);
    }
    ended++;
    weft__switch_last(&ring[me], me + 1 < count ? &ring[me + 1] : &home, NULL, NULL);
}

static void parks_for_ever(void *arg)
{
    volatile char deep[1024];

    deep[0] = 1;
    deep[sizeof deep - 1] = 1;
    weft__switch(arg, &home, NULL, NULL);
    TEST_FAIL("resumed after discard");
}

static void discarded_ones_leave_a_clean_stack(char *memory)
{
    for (unsigned i = 0; i < 100; i++) {
        weft__context dead;
        weft__context_make(&dead, memory, STACK, parks_for_ever, &dead);
        weft__switch(&home, &dead, NULL, NULL);
        weft__context_discard(&dead);
        memset(memory, 0, STACK); /* the memory is its owner's again, red zones of dead frames and all */
    }
}

/* Valgrind must hear of every stack by itself, and comes with a small count;
 * the leak checker would take long over many. */
static unsigned announced[ANNOUNCED_MAX];

static void announce_each(test_stack *memory)
{
    for (size_t i = 0; i < count && count <= ANNOUNCED_MAX; i++)
        announced[i] = weft__stack_announce(memory->lo + i * STACK, STACK);
}

static void retract_each(test_stack *memory)
{
    for (size_t i = 0; i < count && count <= ANNOUNCED_MAX; i++)
        weft__stack_retract(announced[i], memory->lo + i * STACK, STACK);
}

int main(int argc, char **argv)
{
    count = argc > 1 ? strtoul(argv[1], NULL, 10) : 100000;
#if WEFT__TSAN
    count = count > 2000 ? 2000 : count; /* each costs the sanitizer from 5 KB to 0.8 MB, by compiler */
#endif
    test_stack memory = test_stack_new(count * STACK);
    ring = calloc(count, sizeof *ring);
    CHECK(ring != NULL);
    announce_each(&memory);
    weft__context_adopt(&home);
    discarded_ones_leave_a_clean_stack(memory.lo);
    for (size_t i = 0; i < count; i++)
        weft__context_make(&ring[i], memory.lo + i * STACK, STACK, go_round, (void *)i);
    weft__switch(&home, &ring[0], NULL, NULL);
    CHECK_EQ(steps, count * ROUNDS);
    CHECK_EQ(ended, count);
    weft__context_drop(&home);
    free(ring);
    retract_each(&memory);
    test_stack_free(&memory);
    return 0;
}
