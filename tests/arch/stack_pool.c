/* Stack pools: warm stacks come back newest first, chains move both ways through the depot, nothing grows when
 * stacks are taken here and given back there, deep ones give their pages back, limits and pre-committed stacks hold,
 * and the caller's memory stays his. */
#include "fiber/stack.h"

#include "base/check.h"
#include "test.h"

#include <errno.h>

/* The environment, counted: which of its memory slots were called how often. */
static weft_env env;
static struct {
    unsigned map, unmap, guard, discard, resident, populate;
} calls;
static const weft_env *real;
static int guards_fail_after = -1;
static size_t map_at_most = SIZE_MAX;

static void *count_map(void *self, size_t bytes, size_t align)
{
    calls.map++;
    return bytes > map_at_most ? NULL : real->map(self, bytes, align);
}

static void count_unmap(void *self, void *p, size_t bytes)
{
    calls.unmap++;
    real->unmap(self, p, bytes);
}

static int count_guard(void *self, void *p, size_t bytes)
{
    calls.guard++;
    if (guards_fail_after >= 0 && guards_fail_after-- == 0) {
        guards_fail_after = 0;
        return -ENOMEM;
    }
    return real->guard(self, p, bytes);
}

static void count_discard(void *self, void *p, size_t bytes)
{
    calls.discard++;
    real->discard(self, p, bytes);
}

static size_t count_resident(void *self, void *p, size_t bytes)
{
    calls.resident++;
    return real->resident(self, p, bytes);
}

static int count_populate(void *self, void *p, size_t bytes)
{
    calls.populate++;
    return real->populate(self, p, bytes);
}

static void reset(void)
{
    real = weft_env_posix();
    env = *real;
    env.map = count_map;
    env.unmap = count_unmap;
    env.guard = count_guard;
    env.guard_row = NULL;
    env.discard = count_discard;
    env.resident = count_resident;
    env.populate = count_populate;
    memset(&calls, 0, sizeof calls);
    guards_fail_after = -1;
    map_at_most = SIZE_MAX;
}

static unsigned all_calls(void)
{
    return calls.map + calls.unmap + calls.guard + calls.discard + calls.resident + calls.populate;
}

static void ends_clean(weft__stack_depot *depot)
{
    weft__stack_depot_fini(depot);
    CHECK_EQ(calls.map, calls.unmap);
}

static weft__stack *get(weft__stack_pool *pool, size_t size)
{
    weft__stack *s = NULL;
    CHECK_OK(weft__stack_get(pool, size, &s));
    CHECK(s != NULL && s->magic == WEFT__STACK_MAGIC);
    return s;
}

static void newest_first_and_without_calls(void)
{
    weft__stack_depot depot;
    weft__stack_pool pool;
    weft__stack *s[100];

    reset();
    CHECK_OK(weft__stack_depot_init(&depot, &env, NULL));
    weft__stack_pool_init(&pool, &depot);
    for (unsigned i = 0; i < 100; i++) {
        s[i] = get(&pool, 0);
        CHECK(s[i]->size >= WEFT__STACK_SIZE_DEFAULT - 1024 - env.page_size);
        *(volatile char *)s[i]->lo = 1;
        ((volatile char *)s[i]->lo)[s[i]->size - 1] = 1;
        for (unsigned j = 0; j < i; j++)
            CHECK((char *)s[j]->lo >= (char *)s[i]->lo + s[i]->size || (char *)s[i]->lo >= (char *)s[j]->lo + s[j]->size);
    }
    for (unsigned i = 0; i < 20; i++)
        weft__stack_put(&pool, s[i]);
    unsigned before = all_calls();
    for (unsigned i = 20; i-- > 0;)
        CHECK(get(&pool, 0) == s[i]);
    for (unsigned round = 0; round < 1000; round++) {
        for (unsigned i = 0; i < 100; i++)
            weft__stack_put(&pool, s[i]);
        for (unsigned i = 0; i < 100; i++)
            s[i] = get(&pool, 0);
    }
    CHECK_EQ(all_calls(), before);
    for (unsigned i = 0; i < 100; i++)
        weft__stack_put(&pool, s[i]);
    weft__stack_pool_fini(&pool);
    ends_clean(&depot);
}

/* Taken from one pool, given back to the other, for ever: the depot carries them back. */
static void one_way_traffic_does_not_grow(void)
{
    weft__stack_depot depot;
    weft__stack_pool here, there;
    size_t made, idle, reserved, made_then;

    reset();
    CHECK_OK(weft__stack_depot_init(&depot, &env, NULL));
    weft__stack_pool_init(&here, &depot);
    weft__stack_pool_init(&there, &depot);
    for (unsigned i = 0; i < 1000; i++)
        weft__stack_put(&there, get(&here, 0));
    weft__stack_depot_count(&depot, &made_then, &idle, &reserved);
    CHECK(made_then <= 5 * WEFT__STACK_CHAIN);
    unsigned before = all_calls();
    for (unsigned i = 0; i < 100000; i++)
        weft__stack_put(&there, get(&here, 0));
    weft__stack_depot_count(&depot, &made, &idle, &reserved);
    CHECK_EQ(made, made_then);
    CHECK_EQ(all_calls(), before);
    weft__stack_pool_fini(&here);
    weft__stack_pool_fini(&there);
    weft__stack_depot_count(&depot, &made, &idle, &reserved);
    CHECK_EQ(idle, made);
    ends_clean(&depot);
}

static void use(weft__stack *s, size_t bytes)
{
    memset((char *)s->lo + s->size - bytes, 0x5a, bytes);
}

static void deep_ones_give_pages_back(void)
{
    weft__stack_depot depot;
    weft__stack_pool pool;
    size_t page;

    reset();
    page = env.page_size;
    CHECK_OK(weft__stack_depot_init(&depot, &env, NULL));
    weft__stack_pool_init(&pool, &depot);
    weft__stack *deep = get(&pool, 0), *flat = get(&pool, 0);
    use(deep, 200 * 1024);
    use(flat, 1000);
    CHECK(weft__stack_high_water(&pool, deep) >= 200 * 1024);
    CHECK(weft__stack_high_water(&pool, deep) <= 200 * 1024 + 2 * page);
    CHECK(weft__stack_high_water(&pool, flat) <= 2 * page);
    weft__stack_put(&pool, flat);
    weft__stack_put(&pool, deep);
    CHECK_EQ(weft__stack_pool_tend(&pool, 1), 1); /* newest first */
    CHECK_EQ(calls.discard, 1);
    CHECK(weft__stack_high_water(&pool, deep) <= depot.options.keep);
    CHECK_EQ(((char *)deep->lo)[deep->size - 200 * 1024], 0);
    CHECK_EQ((unsigned char)((char *)deep->lo)[deep->size - 1000], 0x5a); /* its first pages stay warm */
    CHECK_EQ(weft__stack_pool_tend(&pool, 10), 0);
    unsigned before = all_calls();
    CHECK_EQ(weft__stack_pool_tend(&pool, 10), 0); /* nothing new to look at */
    CHECK_EQ(all_calls(), before);
    CHECK(get(&pool, 0) == deep);
    use(deep, 250 * 1024);
    weft__stack_put(&pool, deep);
    CHECK_EQ(weft__stack_pool_tend(&pool, 10), 1);
    weft__stack_pool_fini(&pool);
    ends_clean(&depot);
}

static void trimming_empties_the_depot(void)
{
    enum { N = 1000 };
    weft__stack_depot depot;
    weft__stack_pool pool;
    static weft__stack *s[N];
    size_t made, idle, reserved, after;

    reset();
    CHECK_OK(weft__stack_depot_init(&depot, &env, NULL));
    weft__stack_pool_init(&pool, &depot);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < N; i++) {
            s[i] = get(&pool, 0);
            use(s[i], 5000);
        }
        for (unsigned i = 0; i < N; i++)
            weft__stack_put(&pool, s[i]);
        weft__stack_depot_count(&depot, &made, &idle, &reserved);
        CHECK(made >= N && idle >= N - 2 * WEFT__STACK_CHAIN && reserved >= N * WEFT__STACK_SIZE_DEFAULT);
        CHECK(weft__stack_depot_trim(&depot, 100) >= idle - 100 - WEFT__STACK_CHAIN);
        weft__stack_depot_count(&depot, &after, &idle, &reserved);
        CHECK(idle <= 100 && after < made);
    }
    weft__stack_pool_fini(&pool);
    CHECK(weft__stack_depot_trim(&depot, 0) > 0);
    weft__stack_depot_count(&depot, &made, &idle, &reserved);
    CHECK_EQ(made, 0);
    CHECK_EQ(depot.slab_count, 1); /* an address range to start from again */
    CHECK_EQ(calls.map - calls.unmap, 1);
    ends_clean(&depot);
}

static void sizes_have_classes(void)
{
    static const size_t sizes[] = {1, 16384, 16385, 65536, 100000, 262144, 1048576, 8388608, 8388609, 50000000};
    weft__stack_depot depot;
    weft__stack_pool pool;

    reset();
    CHECK_OK(weft__stack_depot_init(&depot, &env, NULL));
    weft__stack_pool_init(&pool, &depot);
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        weft__stack *s = get(&pool, sizes[i]), *t = get(&pool, sizes[i]);
        CHECK(s->size + 1088 >= sizes[i] && t->size + 1088 >= sizes[i]);
        use(s, s->size < 20000 ? s->size : 20000);
        use(t, t->size < 20000 ? t->size : 20000);
        *(volatile char *)s->lo = 1;
        weft__stack_put(&pool, s);
        weft__stack_put(&pool, t);
        if (sizes[i] <= 8388608)
            CHECK(get(&pool, sizes[i]) == t);
    }
    CHECK_EQ(calls.unmap, 4); /* the single ones do not wait in a pool */
    weft__stack *s;
    CHECK_EQ(weft__stack_get(&pool, SIZE_MAX / 2, &s), -ENOMEM);
    weft__stack_pool_fini(&pool);
    ends_clean(&depot);
}

/* Tops of neighbouring stacks differ in their cache lines, not in the page that a shallow fiber needs. */
static void starts_are_coloured(void)
{
    weft__stack_depot depot;
    weft__stack_pool pool;
    weft__stack *s[64];
    uint64_t lines = 0;

    reset();
    CHECK_OK(weft__stack_depot_init(&depot, &env, NULL));
    weft__stack_pool_init(&pool, &depot);
    for (unsigned i = 0; i < 64; i++) {
        s[i] = get(&pool, 0);
        uintptr_t top = (uintptr_t)s[i]->lo + s[i]->size;
        lines |= (uint64_t)1 << top / 64 % 64;
        CHECK_EQ(top % 64, 0);
        CHECK(top % env.page_size >= env.page_size - 2048);
    }
    CHECK(__builtin_popcountll(lines) >= 16);
    for (unsigned i = 0; i < 64; i++)
        weft__stack_put(&pool, s[i]);
    weft__stack_pool_fini(&pool);
    ends_clean(&depot);
}

static void limits_hold(void)
{
    weft__stack_depot depot;
    weft__stack_pool pool;
    weft__stack *s[20], *none = NULL;

    reset();
    CHECK_OK(weft__stack_depot_init(&depot, &env, &(weft__stack_options){.limit = 20}));
    weft__stack_pool_init(&pool, &depot);
    for (unsigned i = 0; i < 20; i++)
        s[i] = get(&pool, 0);
    CHECK_EQ(weft__stack_get(&pool, 0, &none), -EAGAIN);
    CHECK_EQ(weft__stack_get(&pool, 100u << 20, &none), -EAGAIN);
    CHECK(none == NULL);
    weft__stack_put(&pool, s[7]);
    CHECK(get(&pool, 0) == s[7]);
    for (unsigned i = 0; i < 20; i++)
        weft__stack_put(&pool, s[i]);
    weft__stack_pool_fini(&pool);
    ends_clean(&depot);
}

static void failures_leave_nothing_behind(void)
{
    weft__stack_depot depot;
    weft__stack_pool pool;
    weft__stack *s = NULL;
    size_t made, idle, reserved;

    reset();
    CHECK_OK(weft__stack_depot_init(&depot, &env, NULL));
    weft__stack_pool_init(&pool, &depot);
    map_at_most = 0;
    CHECK_EQ(weft__stack_get(&pool, 0, &s), -ENOMEM);
    CHECK_EQ(weft__stack_get(&pool, 9u << 20, &s), -ENOMEM);
    map_at_most = 1u << 20; /* small slabs where large ones are refused */
    calls.map = calls.unmap = 0;
    weft__stack_put(&pool, get(&pool, 0));
    guards_fail_after = 0;
    CHECK_EQ(weft__stack_get(&pool, 65536, &s), -ENOMEM);
    map_at_most = SIZE_MAX;
    CHECK_EQ(weft__stack_get(&pool, 9u << 20, &s), -ENOMEM);
    CHECK(s == NULL);
    weft__stack_depot_count(&depot, &made, &idle, &reserved);
    CHECK(made <= 8);
    guards_fail_after = -1;
    weft__stack_put(&pool, get(&pool, 65536));
    weft__stack_pool_fini(&pool);
    weft__stack_depot_fini(&depot);
}

static void precommitted_ones_are_all_there_is(void)
{
    weft__stack_depot depot;
    weft__stack_pool pool;
    weft__stack *s[10], *none = NULL;

    reset();
    CHECK_OK(weft__stack_depot_init(&depot, &env, &(weft__stack_options){.fixed_size = 32768, .fixed_count = 10}));
    weft__stack_pool_init(&pool, &depot);
    for (unsigned i = 0; i < 10; i++) {
        s[i] = get(&pool, i % 2 ? 0 : 20000);
        CHECK(s[i]->size + 1088 >= 32768);
        CHECK(weft__stack_high_water(&pool, s[i]) >= s[i]->size); /* no fault will find memory short */
    }
    CHECK_EQ(calls.guard, 0);
    CHECK_EQ(weft__stack_get(&pool, 0, &none), -ENOMEM);
    CHECK_EQ(weft__stack_get(&pool, 32769, &none), -ENOMEM);
    for (unsigned i = 0; i < 10; i++)
        weft__stack_put(&pool, s[i]);
    CHECK_EQ(weft__stack_pool_tend(&pool, 100), 0);
    weft__stack_pool_fini(&pool);
    CHECK_EQ(weft__stack_depot_trim(&depot, 0), 0);
    CHECK_EQ(calls.discard, 0);
    ends_clean(&depot);
}

static void callers_memory_stays_his(void)
{
    weft__stack_depot depot;
    weft__stack_pool pool;
    weft__stack *s = NULL;
    static char memory[20001];

    reset();
    CHECK_OK(weft__stack_depot_init(&depot, &env, NULL));
    weft__stack_pool_init(&pool, &depot);
    CHECK_EQ(weft__stack_supplied(&s, memory, 100), -EINVAL);
    CHECK_EQ(weft__stack_supplied(&s, NULL, 100000), -EINVAL);
    CHECK(s == NULL);
    for (unsigned i = 0; i < 3; i++) {
        CHECK_OK(weft__stack_supplied(&s, memory + i, sizeof memory - i));
        CHECK((char *)s->lo >= memory + i && (char *)(s + 1) <= memory + sizeof memory);
        CHECK(s->size >= sizeof memory - 256);
        use(s, s->size);
        weft__stack_put(&pool, s);
        memset(memory, 0, sizeof memory);
    }
    CHECK_EQ(all_calls(), 0);
    ends_clean(&depot);
}

static void addresses_are_found(void)
{
    weft__stack_depot depot;
    weft__stack_pool pool;
    const weft__stack *found = NULL;

    reset();
    CHECK_OK(weft__stack_depot_init(&depot, &env, NULL));
    weft__stack_pool_init(&pool, &depot);
    weft__stack *s = get(&pool, 0), *next = get(&pool, 0), *large = get(&pool, 20u << 20);
    uintptr_t lo = (uintptr_t)s->lo, stride = (uintptr_t)next->lo - lo;
    CHECK_EQ(weft__stack_find(&depot, lo, &found), WEFT__STACK_INSIDE);
    CHECK(found == s);
    CHECK_EQ(weft__stack_find(&depot, lo + s->size - 1, &found), WEFT__STACK_INSIDE);
    CHECK_EQ(weft__stack_find(&depot, lo - 1, &found), WEFT__STACK_GUARD);
    CHECK(found == s);
    CHECK_EQ(weft__stack_find(&depot, (uintptr_t)large->lo - 1, &found), WEFT__STACK_GUARD);
    CHECK(found == large);
    CHECK_EQ(weft__stack_find(&depot, (uintptr_t)s->slab, &found), WEFT__STACK_NOWHERE);
    CHECK_EQ(weft__stack_find(&depot, (uintptr_t)&depot, &found), WEFT__STACK_NOWHERE);
    CHECK(found == NULL);
    CHECK_EQ(weft__stack_find(&depot, lo + 150 * stride, &found), WEFT__STACK_INSIDE);
    CHECK(found == NULL); /* that one was never made */
    weft__spin_lock(&depot.lock); /* as if the fault were in the depot itself */
    CHECK_EQ(weft__stack_find(&depot, lo - 1, &found), WEFT__STACK_NOWHERE);
    weft__spin_unlock(&depot.lock);
    weft__stack_put(&pool, s);
    weft__stack_put(&pool, next);
    weft__stack_put(&pool, large);
    weft__stack_pool_fini(&pool);
    ends_clean(&depot);
}

#ifdef WEFT_CHECKED
static const void *checked_lo;

static void remember(const void *lo, size_t size)
{
    checked_lo = size > 0 ? lo : NULL;
}

static void checked_builds_ask_about_memory_in_flight(void)
{
    weft__stack_depot depot;
    weft__stack_pool pool;

    reset();
    CHECK_OK(weft__stack_depot_init(&depot, &env, &(weft__stack_options){.inflight_check = remember}));
    weft__stack_pool_init(&pool, &depot);
    weft__stack *s = get(&pool, 0);
    weft__stack_put(&pool, s);
    CHECK(checked_lo == s->lo);
    weft__stack_pool_fini(&pool);
    ends_clean(&depot);
}
#endif

static void leave(weft__stack_pool *pool, weft__stack *s) { weft__stack_leave(pool, s); }

static weft__stack *take(weft__stack_pool *pool, size_t size)
{
    weft__stack *s = NULL;
    CHECK_OK(weft__stack_take(pool, size, &s));
    CHECK_EQ(s->asked, size);
    return s;
}

/* Who asks for just as much as the one before has its stack; whoever does not leaves it where it is,
 * and nothing is lost or counted twice. */
static void the_last_one_left_is_at_hand(void)
{
    enum { SMALL = 32 << 10, LARGE = 256 << 10 };
    weft__stack_depot depot;
    weft__stack_pool pool;
    char memory[8 << 10];
    weft__stack *own;
    size_t made, idle, bytes;

    reset();
    CHECK_OK(weft__stack_depot_init(&depot, &env, NULL));
    weft__stack_pool_init(&pool, &depot);
    weft__stack *a = take(&pool, LARGE), *b = take(&pool, LARGE), *c = take(&pool, SMALL);
    CHECK(a != b && a != c && b != c);
    unsigned before = all_calls();
    a->owner = &pool;
    leave(&pool, a);
    CHECK(pool.warm == a && a->owner == NULL);
    CHECK(take(&pool, LARGE) == a && pool.warm == NULL);
    leave(&pool, a);
    leave(&pool, b); /* the last one counts, and the one before lies with the others */
    CHECK(pool.warm == b && pool.unchecked == 1);
    leave(&pool, c);
    CHECK(pool.warm == c && pool.unchecked == 2);
    CHECK(take(&pool, LARGE) == b); /* as from the pool: newest first */
    CHECK(take(&pool, LARGE) == a);
    CHECK(take(&pool, SMALL) == c);
    leave(&pool, a);
    depot.tight = 1; /* memory is short: nothing is kept unseen */
    leave(&pool, b);
    CHECK(pool.warm == NULL && pool.unchecked == 0);
    depot.tight = 0;
    before += calls.resident + calls.discard;
    CHECK_EQ(all_calls(), before);
    CHECK_OK(weft__stack_supplied(&own, memory, sizeof memory));
    leave(&pool, own);
    CHECK(pool.warm == NULL);
    leave(&pool, c);
    weft__stack_shelve(&pool);
    CHECK(pool.warm == NULL && pool.unchecked == 1);
    CHECK_EQ(*pool.taken, *pool.given);
    leave(&pool, take(&pool, LARGE));
    weft__stack_pool_fini(&pool);
    CHECK_EQ(*pool.taken, *pool.given);
    weft__stack_depot_count(&depot, &made, &idle, &bytes);
    CHECK_EQ(made, idle);
    ends_clean(&depot);
}

int main(void)
{
    newest_first_and_without_calls();
    the_last_one_left_is_at_hand();
    one_way_traffic_does_not_grow();
    deep_ones_give_pages_back();
    trimming_empties_the_depot();
    sizes_have_classes();
    starts_are_coloured();
    limits_hold();
    failures_leave_nothing_behind();
    precommitted_ones_are_all_there_is();
    callers_memory_stays_his();
    addresses_are_found();
#ifdef WEFT_CHECKED
    checked_builds_ask_about_memory_in_flight();
#endif
    return 0;
}
