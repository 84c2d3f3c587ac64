/* Several threads take stacks, hand them to each other, give them back elsewhere and trim the depot, all at
 * once: no stack is ever held twice, what exists stays bounded by what was held, and everything is given back.
 * Seeded; arguments: rounds, seed. */
#include "env/posix.h"
#include "fiber/stack.h"

#include "base/check.h"
#include "test.h"

#include <errno.h>
#include <pthread.h>

#define THREADS 4
#define HELD_MAX 200
#define EXCHANGE 64

static weft__stack_depot depot;
static unsigned rounds = 30000;
static uint64_t seed = 20240607;
static weft__stack *exchange[EXCHANGE]; /* each slot a stack in transit, or NULL */

static const size_t sizes[] = {16384, 65536, 0, 0, 0, 1 << 20, 9 << 20};

static uint32_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

/* A stack that somebody else holds at the same time would show his name. */
static void mark(weft__stack *s, void *me)
{
    CHECK(s->owner == NULL);
    s->owner = me;
    *(void **)s->lo = me;
    ((void **)((char *)s->lo + s->size))[-1] = me;
}

static void check_mark(weft__stack *s, void *me)
{
    CHECK(s->owner == me);
    CHECK(*(void **)s->lo == me);
    CHECK(((void **)((char *)s->lo + s->size))[-1] == me);
}

static void *work(void *arg)
{
    uint64_t random = seed * 31 + (uintptr_t)arg;
    weft__stack_pool pool;
    weft__stack *held[HELD_MAX];
    unsigned count = 0;
    char me;

    weft__stack_pool_init(&pool, &depot);
    for (unsigned i = 0; i % 1000 != 0 || test_again(i, rounds); i++) {
        uint32_t dice = next_random(&random);
        if (dice % 8 < 4 && count < HELD_MAX) {
            size_t kinds = dice % 64 == 0 ? 7 : 5; /* single ones are dear */
            CHECK_OK(weft__stack_get(&pool, sizes[dice / 64 % kinds], &held[count]));
            mark(held[count++], &me);
        } else if (dice % 8 < 6 && count > 0) {
            check_mark(held[--count], &me);
            weft__stack_put(&pool, held[count]);
        } else if (dice % 8 == 6 && count > 0) {
            weft__stack *s = held[count - 1], *none = NULL;
            check_mark(s, &me);
            s->owner = NULL;
            if (__atomic_compare_exchange_n(&exchange[dice / 8 % EXCHANGE], &none, s, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
                count--;
            else
                s->owner = &me;
        } else if (count < HELD_MAX) {
            weft__stack *s = __atomic_exchange_n(&exchange[dice / 8 % EXCHANGE], NULL, __ATOMIC_ACQ_REL);
            if (s != NULL)
                mark(held[count++] = s, &me);
        }
        if (dice % 1024 == 0)
            (void)weft__stack_pool_tend(&pool, 8);
        if (dice % 4096 == 1)
            (void)weft__stack_depot_trim(&depot, 64);
    }
    while (count > 0) {
        check_mark(held[--count], &me);
        weft__stack_put(&pool, held[count]);
    }
    weft__stack_pool_fini(&pool);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[THREADS];
    weft__stack_pool pool;
    size_t made, idle, reserved;

    rounds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : rounds;
    seed = argc > 2 ? strtoull(argv[2], NULL, 10) : seed;
    printf("seed %llu, rounds %u\n", (unsigned long long)seed, rounds);
    CHECK_OK(weft__stack_depot_init(&depot, weft_env_posix(), NULL));
    for (uintptr_t i = 0; i < THREADS; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, work, (void *)i), 0);
    for (unsigned i = 0; i < THREADS; i++)
        CHECK_EQ(pthread_join(threads[i], NULL), 0);

    weft__stack_pool_init(&pool, &depot);
    for (unsigned i = 0; i < EXCHANGE; i++)
        if (exchange[i] != NULL)
            weft__stack_put(&pool, exchange[i]);
    weft__stack_pool_fini(&pool);
    weft__stack_depot_count(&depot, &made, &idle, &reserved);
    CHECK_EQ(made, idle);
    /* A class each may have had its peak. */
    CHECK(made <= 4 * (THREADS * (HELD_MAX + 2 * WEFT__STACK_CHAIN) + EXCHANGE));
    CHECK_EQ(weft__stack_depot_trim(&depot, 0), made);
    weft__stack_depot_fini(&depot);
    return 0;
}
