/* Type-stable records: generations, retirement, chains that travel between caches, stale keys, growth in pieces, and
 * threads that look records up while others come and go. */
#include <pthread.h>

#include <weft/types.h>

#include "sched/slab.h"
#include "sched/spy.h"

typedef struct record {
    weft__slab_head head;
    uint64_t owner; /* atomic: while in use, the generation it was taken under */
} record;

/* Its generation, counted from 1; 0: retired. */
static uint16_t gen_of(record *r)
{
    const uint16_t gen = WEFT__GEN(__atomic_load_n(&r->head.word, __ATOMIC_ACQUIRE));

    CHECK(!gen || gen >= WEFT__GEN_FIRST);
    return (uint16_t)(gen ? gen - WEFT__GEN_FIRST + 1 : 0);
}

static void life(void)
{
    static spy s;
    weft__slab slab;
    weft__slab_cache c = {.slab = &slab};

    CHECK_OK(weft__slab_init(&slab, spy_open(&s), sizeof(record), 4, 2, WEFT__GEN_LIVES));
    record *seen[32];
    for (uint32_t i = 0; i < 32; i++) {
        seen[i] = weft__slab_get(&c);
        CHECK(seen[i] != NULL);
        CHECK_EQ((uintptr_t)seen[i] % WEFT__SLAB_ALIGN, 0);
        CHECK(weft__slab_at(&slab, seen[i]->head.key) == seen[i]);
        CHECK_EQ(gen_of(seen[i]), 1);
        for (uint32_t k = 0; k < i; k++)
            CHECK(seen[k] != seen[i]);
    }
    CHECK(weft__slab_get(&c) == NULL); /* two chunks of sixteen, and no more */
    CHECK_EQ(seen[0]->head.key, WEFT__KEY_BASE); /* as a descriptor it would be negative */
    CHECK(weft__slab_at(&slab, WEFT__KEY_BASE + 32) == NULL);
    CHECK(weft__slab_at(&slab, WEFT__KEY_BASE - 1) == NULL);
    CHECK(weft__slab_at(&slab, 0) == NULL);
    CHECK(weft__slab_at(&slab, UINT32_MAX) == NULL);

    CHECK_EQ(weft__slab_end(&slab, seen[3], 0), 0); /* nobody knew it: the same generation */
    weft__slab_put(&c, seen[3]);
    CHECK(weft__slab_get(&c) == seen[3]); /* newest first */
    CHECK_EQ(gen_of(seen[3]), 1);

    __atomic_or_fetch(&seen[3]->head.word, 5, __ATOMIC_SEQ_CST);
    CHECK_EQ(weft__slab_end(&slab, seen[3], 1), 5); /* flags come back, the generation moves on in the same step */
    CHECK_EQ(gen_of(seen[3]), 2);
    weft__slab_put(&c, seen[3]);
    CHECK(weft__slab_get(&c) == seen[3]);
    CHECK_EQ(seen[3]->head.word & 0xffff, 0);

    for (int i = 0; i < 32; i++) {
        weft__slab_end(&slab, seen[i], 1);
        weft__slab_put(&c, seen[i]);
    }
    weft__slab_cache_flush(&c);
    for (int i = 0; i < 32; i++)
        CHECK(weft__slab_get_shared(&slab) != NULL);
    CHECK(weft__slab_get_shared(&slab) == NULL);
    weft__slab_fini(&slab);
    spy_close(&s);
}

/* With two bits of generation a slot serves three lives that were known, then never again. */
static void retirement(void)
{
    static spy s;
    weft__slab slab;
    weft__slab_cache c = {.slab = &slab};
    unsigned lives[8] = {0}, total = 0;
    record *r;

    CHECK_OK(weft__slab_init(&slab, spy_open(&s), sizeof(record), 3, 1, 3));
    while ((r = weft__slab_get(&c))) {
        unsigned *lived = &lives[r->head.key - WEFT__KEY_BASE];
        ++*lived;
        CHECK_EQ(gen_of(r), *lived); /* no generation comes twice */
        total++;
        weft__slab_end(&slab, r, 1);
        CHECK(gen_of(r) != *lived); /* stale at once */
        weft__slab_put(&c, r);
    }
    CHECK_EQ(total, 8 * 3);
    CHECK_EQ(slab.retired, 8);
    for (uint32_t k = 0; k < 8; k++)
        CHECK_EQ(gen_of(weft__slab_at(&slab, WEFT__KEY_BASE + k)), 0);
    weft__slab_fini(&slab);
    spy_close(&s);
}

/* What is taken here and given back there does not grow the slab. */
static void chains_travel(void)
{
    static spy s;
    weft__slab slab;
    weft__slab_cache a = {.slab = &slab}, b = {.slab = &slab};

    CHECK_OK(weft__slab_init(&slab, spy_open(&s), sizeof(record), 8, 64, WEFT__GEN_LIVES));
    long maps = 0;
    for (int round = 0; round < 200; round++) {
        record *r[100];
        for (int i = 0; i < 100; i++)
            CHECK((r[i] = weft__slab_get(&a)) != NULL);
        for (int i = 0; i < 100; i++) {
            weft__slab_end(&slab, r[i], 0);
            weft__slab_put(&b, r[i]);
        }
        if (round == 2)
            maps = s.maps;
    }
    CHECK_EQ(s.maps, maps);
    weft__slab_cache_flush(&a);
    weft__slab_cache_flush(&b);
    weft__slab_fini(&slab);
    spy_close(&s);
}

static void no_memory(void)
{
    static spy s;
    weft__slab slab;
    weft__slab_cache c = {.slab = &slab};

    spy_open(&s);
    s.fail_map = 1;
    CHECK_EQ(weft__slab_init(&slab, &s.env, sizeof(record), 3, 4, 3), -ENOMEM);
    s.fail_map = 3;
    CHECK_OK(weft__slab_init(&slab, &s.env, sizeof(record), 3, 4, 3));
    CHECK(weft__slab_get(&c) == NULL);
    CHECK(weft__slab_get(&c) != NULL); /* the next try succeeds */
    weft__slab_fini(&slab);
    weft__slab_fini(&slab);
    spy_close(&s);
}

/* ---- a slab that has grown large ---- */

typedef struct block {
    weft__slab_head head;
    char rest[16384 - sizeof(weft__slab_head)];
} block;

enum { BLOCKS = WEFT__SLAB_SMALL / sizeof(block), PIECE = WEFT__SLAB_PIECE / sizeof(block) };

static spy watcher;
static long pieces, fail_pieces;

static void *map_piece(void *self, size_t bytes, size_t align, enum weft_map_as how)
{
    CHECK_EQ(bytes, WEFT__SLAB_PIECE);
    CHECK_EQ(how, WEFT_MAP_ADVISED);
    spy_add(&pieces, 1);
    return fail_pieces ? NULL : spy_map_as(self, bytes, align, how);
}

static void open_large(weft__slab *slab, unsigned max_chunks)
{
    spy_open(&watcher);
    watcher.env.map_as = watcher.base->map_as ? map_piece : NULL;
    pieces = fail_pieces = 0;
    CHECK_OK(weft__slab_init(slab, &watcher.env, sizeof(block), 4, max_chunks, WEFT__GEN_LIVES));
}

static void take(weft__slab_cache *c, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        block *b = weft__slab_get(c);
        CHECK(b != NULL);
        CHECK(weft__slab_at(c->slab, b->head.key) == b);
        CHECK_EQ(b->rest[0], 0); /* nobody had it before */
        b->rest[0] = 1;
    }
}

/* Small, each chunk is a mapping; then one serves for many, and is asked for as what huge pages may be made for. */
static void in_pieces(void)
{
    weft__slab slab;
    weft__slab_cache c = {.slab = &slab};

    open_large(&slab, 65536);
    if (!watcher.env.map_as) {
        weft__slab_fini(&slab);
        return;
    }
    take(&c, BLOCKS);
    CHECK_EQ(watcher.maps, 1 + BLOCKS / 16);
    CHECK_EQ(pieces, 0);
    take(&c, 1);
    CHECK_EQ(pieces, 1);
    take(&c, PIECE - 1);
    CHECK_EQ(pieces, 1);
    take(&c, 1);
    CHECK_EQ(pieces, 2);
    CHECK_EQ(watcher.maps, 1 + BLOCKS / 16 + 2);
    weft__slab_fini(&slab);
    spy_close(&watcher);
}

/* Where there is no such memory an ordinary mapping does, and where there is no memory at all the next try may find
 * some. */
static void no_pieces(void)
{
    weft__slab slab;
    weft__slab_cache c = {.slab = &slab};

    open_large(&slab, 65536);
    take(&c, BLOCKS);
    fail_pieces = 1;
    watcher.fail_maps_from = 1;
    CHECK(weft__slab_get(&c) == NULL);
    watcher.fail_maps_from = 0;
    take(&c, PIECE + 1);
    CHECK_EQ(watcher.maps, 1 + BLOCKS / 16 + 2);
    weft__slab_fini(&slab);
    spy_close(&watcher);
}

enum { GROWERS = 4, CHUNKS_ALL = (BLOCKS + PIECE + PIECE / 2) / 16 };

static weft__slab contended;

static void *grows(void *arg)
{
    weft__slab_cache c = {.slab = &contended};
    uintptr_t n = 0;
    block *b;

    (void)arg;
    while ((b = weft__slab_get(&c))) {
        CHECK(weft__slab_at(&contended, b->head.key) == b);
        CHECK_EQ(__atomic_exchange_n(&b->rest[0], 1, __ATOMIC_RELAXED), 0); /* nobody else has it */
        n++;
    }
    return (void *)n;
}

/* Threads that grow it at the same time get each record once, up to the last, and no mapping is lost. */
static void grown_by_many(void)
{
    pthread_t t[GROWERS];
    uintptr_t sum = 0;

    open_large(&contended, CHUNKS_ALL);
    for (int i = 0; i < GROWERS; i++)
        CHECK_EQ(pthread_create(&t[i], NULL, grows, NULL), 0);
    for (int i = 0; i < GROWERS; i++) {
        void *n;
        pthread_join(t[i], &n);
        sum += (uintptr_t)n;
    }
    CHECK_EQ(sum, CHUNKS_ALL * 16);
    weft__slab_fini(&contended);
    spy_close(&watcher);
}

/* ---- threads ---- */

enum { OWNERS = 3, LOOKERS = 2, SLOTS = 64, LIVES = 60000 };

static weft__slab shared;
static uint64_t published[SLOTS]; /* generation << 32 | key */
static int owners_left;

/* Takes records, publishes their ids, ends them, gives them back to whatever cache it is. */
static void *owner(void *arg)
{
    weft__slab_cache c = {.slab = &shared};
    const uint64_t me = (uint64_t)(uintptr_t)arg;
    uint64_t state = me;

    for (int i = 0; i < LIVES; i++) {
        record *r = i % 64 == 63 ? weft__slab_get_shared(&shared) : weft__slab_get(&c);
        CHECK(r != NULL);
        const uint16_t gen = gen_of(r);
        CHECK_EQ(__atomic_exchange_n(&r->owner, (uint64_t)gen, __ATOMIC_ACQ_REL), 0); /* nobody else has it */
        __atomic_store_n(&published[state % SLOTS], (uint64_t)gen << 32 | r->head.key, __ATOMIC_RELEASE);
        state = state * 6364136223846793005u + 1442695040888963407u;
        CHECK_EQ(__atomic_exchange_n(&r->owner, 0, __ATOMIC_ACQ_REL), gen);
        weft__slab_end(&shared, r, 1);
        if (i % 64 == 63)
            weft__slab_put_shared(&shared, r);
        else
            weft__slab_put(&c, r);
    }
    weft__slab_cache_flush(&c);
    __atomic_sub_fetch(&owners_left, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

/* Sets a flag on what an id names, in one step with the look at the generation: it never lands on a later life. */
static void *looker(void *arg)
{
    uint64_t hits = 0, i = (uint64_t)(uintptr_t)arg;

    for (; __atomic_load_n(&owners_left, __ATOMIC_SEQ_CST); i++) {
        const uint64_t id = __atomic_load_n(&published[i % SLOTS], __ATOMIC_ACQUIRE);
        if (!id)
            continue;
        record *r = weft__slab_at(&shared, (uint32_t)id);
        CHECK(r != NULL);
        CHECK_EQ(r->head.key, (uint32_t)id);
        hits += gen_of(r) == id >> 32;
    }
    return (void *)(uintptr_t)hits;
}

static void hammered(void)
{
    static spy s;
    pthread_t t[OWNERS + LOOKERS];

    CHECK_OK(weft__slab_init(&shared, spy_open(&s), sizeof(record), 6, 4096, 0x1ff)); /* slots retire, too */
    owners_left = OWNERS;
    for (int i = 0; i < OWNERS + LOOKERS; i++)
        CHECK_EQ(pthread_create(&t[i], NULL, i < OWNERS ? owner : looker, (void *)(uintptr_t)(i + 1)), 0);
    for (int i = 0; i < OWNERS + LOOKERS; i++)
        pthread_join(t[i], NULL);
    CHECK(shared.count <= OWNERS * (LIVES / 0x1ff + 3 * 64) + 1024); /* memory follows what is alive and retired */
    weft__slab_fini(&shared);
    spy_close(&s);
}

int main(void)
{
    life();
    retirement();
    chains_travel();
    no_memory();
    in_pieces();
    no_pieces();
    grown_by_many();
    hammered();
    return 0;
}
