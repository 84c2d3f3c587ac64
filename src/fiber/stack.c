/*
 * Pools of stacks: taking, giving back, and looking after what lies in a pool. A pool is touched by its worker only, so
 * nothing here is atomic; what several workers share is stack_depot.c's.
 *
 * Each size class has a shelf of two lists, so that a worker at the edge of a chain does not go to the depot at every
 * step: only a full (empty) second list moves. Invariant: hot_count and spare_count are the lengths of their lists,
 * spare_count is 0 or WEFT__STACK_CHAIN, and neither exceeds it.
 */
#include "fiber/stack.h"

#include "arch/switch.h"
#include "base/check.h"

#include <errno.h>

static unsigned class_of(size_t size)
{
    unsigned class = 0;

    for (size_t s = WEFT__STACK_SIZE_MIN; s < size && class < WEFT__STACK_LARGE; s *= 2)
        class++;
    return class;
}

void weft__stack_pool_init(weft__stack_pool *pool, weft__stack_depot *depot)
{
    *pool = (weft__stack_pool){.depot = depot};
    pool->taken = &pool->own[0];
    pool->given = &pool->own[1];
}

static void count(uint64_t *figure) { weft__store_relaxed(figure, *figure + 1, "stack.figure"); }

static int fill(weft__stack_pool *pool, weft__stack_shelf *shelf, unsigned class, size_t size)
{
    if (shelf->spare != NULL) {
        shelf->hot = shelf->spare;
        shelf->hot_count = shelf->spare_count;
        shelf->spare = NULL;
        shelf->spare_count = 0;
        return 0;
    }
    return weft__stack_refill(pool->depot, class, size, &shelf->hot, &shelf->hot_count);
}

/* The one that is asked for next: its record, the lines of its first frames and of what those call before they wait may
 * be far, and are on their way by then. */
static void foresee(const weft__stack *s)
{
    enum { LINES = 10 };
    for (size_t i = 0; i < LINES; i++)
        __builtin_prefetch((const char *)s - i * WEFT_CACHE_LINE, 1);
}

int weft__stack_get(weft__stack_pool *pool, size_t size, weft__stack **out)
{
    size_t fixed = pool->depot->options.fixed_size;
    unsigned class;

    if (size == 0)
        size = fixed != 0 ? fixed : WEFT__STACK_SIZE_DEFAULT;
    if (fixed != 0 && size > fixed)
        return -ENOMEM;
    class = fixed != 0 ? 0 : class_of(size);

    weft__stack_shelf *shelf = &pool->shelf[class];
    if (shelf->hot == NULL) {
        int r = fill(pool, shelf, class, size);
        if (r < 0)
            return r;
    }
    weft__stack *s = shelf->hot;
    WEFT_ASSERT(s->magic == WEFT__STACK_MAGIC);
    shelf->hot = s->next;
    shelf->hot_count--;
    s->next = NULL;
    if (shelf->hot != NULL)
        foresee(shelf->hot);
    if (s->unchecked) {
        s->unchecked = 0;
        if (pool->unchecked > 0)
            pool->unchecked--;
    }
    count(pool->taken);
    *out = s;
    return 0;
}

size_t weft__stack_high_water(const weft__stack_pool *pool, const weft__stack *s)
{
    const weft_env *env = pool->depot->env;

    if (env->resident == NULL || s->slab == NULL)
        return 0;
    return env->resident(env->self, s->lo, weft__stack_end(s) - (uintptr_t)s->lo);
}

/* Returns 1 if it was deep. */
static unsigned look_at(weft__stack_pool *pool, weft__stack *s)
{
    const weft_env *env = pool->depot->env;
    size_t keep = weft__load_relaxed(&pool->depot->tight, "stack.tight") ? env->page_size : pool->depot->options.keep;
    uintptr_t end = weft__stack_end(s);

    s->unchecked = 0;
    if (weft__stack_high_water(pool, s) <= keep || end - (uintptr_t)s->lo <= keep)
        return 0;
    env->discard(env->self, s->lo, end - keep - (uintptr_t)s->lo);
    return 1;
}

static void put_supplied(weft__stack *s)
{
    weft__stack_retract(s->announced, s->lo, s->size);
    s->magic = 0;
}

void weft__stack_put(weft__stack_pool *pool, weft__stack *s)
{
    WEFT_ASSERT(s->magic == WEFT__STACK_MAGIC);
#ifdef WEFT_CHECKED
    if (pool->depot->options.inflight_check != NULL)
        pool->depot->options.inflight_check(s->lo, s->size);
#endif
    s->owner = NULL;
    if (s->slab == NULL) {
        put_supplied(s);
        return;
    }
    count(pool->given);
    if (s->class == WEFT__STACK_LARGE) {
        weft__stack_release(pool->depot, s);
        return;
    }
    if (pool->depot->options.fixed_size != 0) {
        /* There are no others: what one worker does not use, another may need. */
        s->next = NULL;
        weft__stack_surrender(pool->depot, s, 1);
        return;
    }
    weft__stack_shelf *shelf = &pool->shelf[s->class];
    if (shelf->hot_count == WEFT__STACK_CHAIN) {
        if (shelf->spare != NULL)
            weft__stack_surrender(pool->depot, shelf->spare, shelf->spare_count);
        shelf->spare = shelf->hot;
        shelf->spare_count = shelf->hot_count;
        shelf->hot = NULL;
        shelf->hot_count = 0;
    }
    if (weft__load_relaxed(&pool->depot->tight, "stack.tight")) {
        look_at(pool, s);
    } else {
        s->unchecked = 1;
        pool->unchecked++;
    }
    s->next = shelf->hot;
    shelf->hot = s;
    shelf->hot_count++;
}

void weft__stack_shelve(weft__stack_pool *pool)
{
    weft__stack *s = pool->warm;
    if (s == NULL)
        return;
    pool->warm = NULL;
    count(pool->taken); /* for it is given once more */
    weft__stack_put(pool, s);
}

void weft__stack_leave(weft__stack_pool *pool, weft__stack *s)
{
    WEFT_ASSERT(s->magic == WEFT__STACK_MAGIC);
    weft__stack_shelve(pool);
    if (s->slab == NULL || s->class == WEFT__STACK_LARGE || pool->depot->options.fixed_size != 0 ||
        weft__load_relaxed(&pool->depot->tight, "stack.tight")) {
        weft__stack_put(pool, s);
        return;
    }
#ifdef WEFT_CHECKED
    if (pool->depot->options.inflight_check != NULL)
        pool->depot->options.inflight_check(s->lo, s->size);
#endif
    s->owner = NULL;
    count(pool->given);
    pool->warm = s;
}

void weft__stack_pool_fini(weft__stack_pool *pool)
{
    weft__stack_shelve(pool);
    for (unsigned class = 0; class < WEFT__STACK_CLASSES; class++) {
        weft__stack_shelf *shelf = &pool->shelf[class];
        if (shelf->spare != NULL)
            weft__stack_surrender(pool->depot, shelf->spare, shelf->spare_count);
        if (shelf->hot != NULL)
            weft__stack_surrender(pool->depot, shelf->hot, shelf->hot_count);
        *shelf = (weft__stack_shelf){0};
    }
}

int weft__stack_supplied(weft__stack **out, void *memory, size_t size)
{
    if (memory == NULL || size < WEFT__STACK_SUPPLIED_MIN)
        return -EINVAL;

    uintptr_t lo = ((uintptr_t)memory + 15) & ~(uintptr_t)15;
    uintptr_t top = ((uintptr_t)memory + size - sizeof(weft__stack)) & ~(uintptr_t)(WEFT_CACHE_LINE - 1);
    weft__stack *s = (weft__stack *)top;
    *s = (weft__stack){.magic = WEFT__STACK_MAGIC, .lo = (void *)lo, .size = top - lo};
    s->announced = weft__stack_announce(s->lo, s->size);
    *out = s;
    return 0;
}

static unsigned look_at_list(weft__stack_pool *pool, weft__stack *list, unsigned *budget)
{
    unsigned deep = 0;

    for (weft__stack *s = list; s != NULL && *budget > 0; s = s->next) {
        if (!s->unchecked)
            continue;
        deep += look_at(pool, s);
        (*budget)--;
        if (pool->unchecked > 0)
            pool->unchecked--;
    }
    return deep;
}

unsigned weft__stack_pool_tend(weft__stack_pool *pool, unsigned budget)
{
    const weft_env *env = pool->depot->env;
    unsigned deep = 0;

    if (pool->unchecked == 0 || env->resident == NULL || env->discard == NULL || pool->depot->options.fixed_size != 0)
        return 0;
    for (unsigned class = 0; class < WEFT__STACK_LARGE && budget > 0; class++) {
        deep += look_at_list(pool, pool->shelf[class].hot, &budget);
        deep += look_at_list(pool, pool->shelf[class].spare, &budget);
    }
    if (budget > 0)
        pool->unchecked = 0; /* the rest went to the depot */
    return deep;
}
