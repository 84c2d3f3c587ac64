/*
 * The depot: which slabs of stacks there are, chains of stacks between pools, and whose stack an address lies in. Any
 * worker calls it; its lock guards the lists and the slabs' bitmaps and is never held across a call of env.
 *
 * Invariant: a slab stays mapped while any of its slots is made, and a slot is raw before anybody may make it.
 */
#include "fiber/stack.h"

#include "arch/switch.h"
#include "fiber/stack_slab.h"

#include <errno.h>

#define SLAB_BYTES_FIRST ((size_t)64 * 1024 * 1024) /* the next slab of a class is twice as large, */
#define SLAB_BYTES_MAX ((size_t)1024 * 1024 * 1024) /* up to this */
#define MAKE_AT_ONCE 8

/* --- slabs --- */

/* Under the lock. */
static void insert_slab(weft__stack_depot *depot, weft__stack_slab *slab, unsigned class)
{
    slab->class = (uint8_t)class;
    slab->next = depot->slabs[class];
    depot->slabs[class] = slab;
    depot->slab_count++;
    depot->reserved += slab->bytes;
}

/* Under the lock. */
static void remove_slab(weft__stack_depot *depot, weft__stack_slab *slab)
{
    weft__stack_slab **at = &depot->slabs[slab->class];

    while (*at != slab)
        at = &(*at)->next;
    *at = slab->next;
    depot->slab_count--;
    depot->reserved -= slab->bytes;
}

static int add_slab(weft__stack_depot *depot, unsigned class)
{
    const weft_env *env = depot->env;
    size_t page = env->page_size;
    size_t guard = weft__stack_guard_size(env);
    size_t stride = weft__stack_stride(WEFT__STACK_SIZE_MIN << class, guard, page);
    size_t least = weft__stack_slab_bytes(1, stride, guard, page);
    size_t most = SLAB_BYTES_MAX;
    size_t bytes;

    if (stride < SLAB_BYTES_MAX / WEFT__STACK_SLOTS)
        most = weft__stack_slab_bytes(WEFT__STACK_SLOTS, stride, guard, page);
    weft__spin_lock(&depot->lock);
    bytes = depot->slabs[class] != NULL ? depot->slabs[class]->bytes * 2 : SLAB_BYTES_FIRST;
    weft__spin_unlock(&depot->lock);
    bytes = bytes < SLAB_BYTES_MAX ? bytes : SLAB_BYTES_MAX;
    bytes = bytes < most ? bytes : most;
    bytes = bytes < least ? least : weft__stack_round_up(bytes, page);

    weft__stack_slab *slab = weft__stack_slab_map(env, bytes, least, stride, guard);
    if (slab == NULL)
        return -ENOMEM;
    weft__spin_lock(&depot->lock);
    insert_slab(depot, slab, class);
    weft__spin_unlock(&depot->lock);
    return 0;
}

/* --- stacks --- */

/* The slot of a stack that is gone, or could not be made; under the lock. */
static void unmade(weft__stack_depot *depot, weft__stack_slab *slab, uint32_t slot)
{
    weft__stack_slab_return(slab, slot);
    depot->made--;
}

/* Reserves raw slots within the limit; *slab is the one they are of, NULL if there is none with any. */
static int reserve(weft__stack_depot *depot, unsigned class, uint32_t slots[], weft__stack_slab **out)
{
    size_t limit = depot->options.limit;
    size_t n = depot->options.fixed_size != 0 ? 1 : MAKE_AT_ONCE;
    int r = 0;

    weft__spin_lock(&depot->lock);
    if (limit != 0 && depot->made + n > limit)
        n = limit > depot->made ? limit - depot->made : 0;
    if (n == 0)
        r = -EAGAIN;
    *out = NULL;
    for (weft__stack_slab *slab = depot->slabs[class]; slab != NULL && r == 0; slab = slab->next) {
        if (slab->raw_count == 0)
            continue;
        r = (int)weft__stack_slab_take(slab, (uint32_t)n, slots);
        depot->made += (size_t)r;
        *out = slab;
    }
    weft__spin_unlock(&depot->lock);
    return r;
}

/* Every slot that could be made goes into the chain; the others are raw again. An error only if none could. */
static int make_reserved(weft__stack_depot *depot, weft__stack_slab *slab, const uint32_t slots[], uint32_t n,
                         weft__stack **chain, uint32_t *count)
{
    weft__stack *list = NULL;
    uint32_t made = 0;
    int error = 0;

    weft__stack_slab_guard_row(depot->env, slab, slots, n);
    for (uint32_t i = n; i-- > 0;) { /* the lowest comes first in the list */
        weft__stack *s;
        int r = weft__stack_slab_make(depot->env, slab, slots[i], &s);
        if (r < 0) {
            error = r;
            weft__spin_lock(&depot->lock);
            unmade(depot, slab, slots[i]);
            weft__spin_unlock(&depot->lock);
            continue;
        }
        s->next = list;
        list = s;
        made++;
    }
    if (made == 0)
        return error;
    *chain = list;
    *count = made;
    return 0;
}

static int take_chain(weft__stack_depot *depot, unsigned class, weft__stack **chain, uint32_t *count)
{
    weft__stack *s;

    weft__spin_lock(&depot->lock);
    s = depot->chains[class];
    if (s != NULL) {
        depot->chains[class] = s->next_chain;
        depot->chained[class] -= s->chained;
        s->next_chain = NULL;
        *chain = s;
        *count = s->chained;
    }
    weft__spin_unlock(&depot->lock);
    return s != NULL;
}

/* A stack above the classes has a slab to itself, which goes when it is given back. */
static int make_large(weft__stack_depot *depot, size_t size, weft__stack **out)
{
    const weft_env *env = depot->env;
    size_t page = env->page_size;
    size_t guard = weft__stack_guard_size(env);
    size_t limit = depot->options.limit;
    uint32_t slot;
    weft__stack *s;
    int r = 0;

    if (size > SIZE_MAX / 4)
        return -ENOMEM;
    size_t stride = weft__stack_round_up(size + guard, page);
    size_t bytes = weft__stack_slab_bytes(1, stride, guard, page);

    weft__stack_slab *slab = weft__stack_slab_map(env, bytes, bytes, stride, guard);
    if (slab == NULL)
        return -ENOMEM;
    slab->class = WEFT__STACK_LARGE;
    (void)weft__stack_slab_take(slab, 1, &slot);
    r = weft__stack_slab_make(env, slab, slot, &s);
    if (r < 0)
        goto unmap;

    weft__spin_lock(&depot->lock);
    if (limit != 0 && depot->made >= limit)
        r = -EAGAIN;
    else {
        insert_slab(depot, slab, WEFT__STACK_LARGE);
        depot->made++;
    }
    weft__spin_unlock(&depot->lock);
    if (r == 0) {
        *out = s;
        return 0;
    }
    weft__stack_retract(s->announced, s->lo, s->size);
unmap:
    weft__stack_slab_unmap(env, slab);
    return r;
}

void weft__stack_release(weft__stack_depot *depot, weft__stack *s)
{
    weft__stack_slab *slab = s->slab;

    weft__stack_retract(s->announced, s->lo, s->size);
    weft__spin_lock(&depot->lock);
    remove_slab(depot, slab);
    depot->made--;
    weft__spin_unlock(&depot->lock);
    weft__stack_slab_unmap(depot->env, slab);
}

int weft__stack_refill(weft__stack_depot *depot, unsigned class, size_t size, weft__stack **chain, uint32_t *count)
{
    uint32_t slots[MAKE_AT_ONCE];
    weft__stack_slab *slab = NULL;
    int r;

    if (class == WEFT__STACK_LARGE) {
        r = make_large(depot, size, chain);
        *count = r == 0;
        return r;
    }
    if (take_chain(depot, class, chain, count))
        return 0;
    for (;;) {
        r = reserve(depot, class, slots, &slab);
        if (r < 0)
            return r;
        if (r > 0)
            return make_reserved(depot, slab, slots, (uint32_t)r, chain, count);
        if (depot->options.fixed_size != 0)
            return -ENOMEM;
        r = add_slab(depot, class);
        if (r < 0)
            return r;
    }
}

void weft__stack_surrender(weft__stack_depot *depot, weft__stack *chain, uint32_t count)
{
    unsigned class = chain->class;

    chain->chained = (uint16_t)count;
    weft__spin_lock(&depot->lock);
    chain->next_chain = depot->chains[class];
    depot->chains[class] = chain;
    depot->chained[class] += count;
    weft__spin_unlock(&depot->lock);
}

/* --- pre-committed stacks --- */

static int add_fixed_slab(weft__stack_depot *depot, size_t count)
{
    const weft_env *env = depot->env;
    size_t stride = weft__stack_stride(depot->options.fixed_size, 0, env->page_size);
    size_t bytes = weft__stack_slab_bytes(count, stride, 0, env->page_size);
    weft__stack_slab *slab = weft__stack_slab_map(env, bytes, bytes, stride, 0);

    if (slab == NULL)
        return -ENOMEM;
    int r = weft__stack_slab_commit(env, slab);
    if (r < 0) {
        weft__stack_slab_unmap(env, slab);
        return r;
    }
    insert_slab(depot, slab, 0);
    return 0;
}

static int add_fixed(weft__stack_depot *depot)
{
    size_t left = depot->options.fixed_count;
    size_t size = depot->options.fixed_size;

    if (size < WEFT__STACK_SUPPLIED_MIN || size > SIZE_MAX / 4 / WEFT__STACK_SLOTS)
        return -EINVAL;
    while (left > 0) {
        size_t n = left < WEFT__STACK_SLOTS ? left : WEFT__STACK_SLOTS;
        int r = add_fixed_slab(depot, n);
        if (r < 0)
            return r;
        left -= n;
    }
    return 0;
}

/* --- the depot as a whole --- */

int weft__stack_depot_init(weft__stack_depot *depot, const weft_env *env, const weft__stack_options *opt)
{
    *depot = (weft__stack_depot){.env = env};
    if (opt != NULL)
        depot->options = *opt;
    if (depot->options.keep == 0)
        depot->options.keep = WEFT__STACK_KEEP_DEFAULT;
    if (env->map == NULL || env->unmap == NULL || env->page_size == 0)
        return -EINVAL;
    depot->options.keep = weft__stack_round_up(depot->options.keep, env->page_size);
    if (depot->options.fixed_size == 0)
        return 0;

    int r = add_fixed(depot);
    if (r < 0)
        weft__stack_depot_fini(depot);
    return r;
}

void weft__stack_depot_fini(weft__stack_depot *depot)
{
    for (unsigned class = 0; class < WEFT__STACK_CLASSES; class++) {
        weft__stack_slab *slab = depot->slabs[class];
        while (slab != NULL) {
            weft__stack_slab *next = slab->next;
            weft__stack_slab_retract(slab);
            weft__stack_slab_unmap(depot->env, slab);
            slab = next;
        }
        depot->slabs[class] = NULL;
        depot->chains[class] = NULL;
        depot->chained[class] = 0;
    }
    depot->made = 0;
    depot->slab_count = 0;
    depot->reserved = 0;
}

void weft__stack_depot_count(weft__stack_depot *depot, size_t *made, size_t *idle, size_t *reserved)
{
    weft__spin_lock(&depot->lock);
    *made = depot->made;
    *idle = 0;
    for (unsigned class = 0; class < WEFT__STACK_CLASSES; class++)
        *idle += depot->chained[class];
    *reserved = depot->reserved;
    weft__spin_unlock(&depot->lock);
}

size_t weft__stack_depot_ranges(weft__stack_depot *depot, size_t from, weft__stack_range *out, size_t max)
{
    size_t n = 0;

    weft__spin_lock(&depot->lock);
    for (unsigned class = 0; class < WEFT__STACK_CLASSES; class++)
        for (const weft__stack_slab *slab = depot->slabs[class]; slab != NULL && n < max; slab = slab->next)
            if (from > 0)
                from--;
            else
                out[n++] = weft__stack_slab_made(slab);
    weft__spin_unlock(&depot->lock);
    return n;
}

/* Its record lies in one of the pages that go. Returns the slab if this was its last stack and it is not its class's
 * only one. */
static weft__stack_slab *unmake(weft__stack_depot *depot, weft__stack *s)
{
    const weft_env *env = depot->env;
    weft__stack_slab *slab = s->slab;
    weft__stack_slab *empty = NULL;
    uint32_t slot = s->slot;
    char *lo = s->lo;

    weft__stack_retract(s->announced, s->lo, s->size);
    env->discard(env->self, lo, weft__stack_end(s) - (uintptr_t)lo);
    weft__spin_lock(&depot->lock);
    unmade(depot, slab, slot);
    if (slab->raw_count == slab->slots && (depot->slabs[slab->class] != slab || slab->next != NULL)) {
        remove_slab(depot, slab);
        empty = slab;
    }
    weft__spin_unlock(&depot->lock);
    return empty;
}

size_t weft__stack_depot_trim(weft__stack_depot *depot, size_t keep)
{
    const weft_env *env = depot->env;
    size_t gone = 0;

    if (env->discard == NULL || depot->options.fixed_size != 0)
        return 0;
    for (unsigned class = 0; class < WEFT__STACK_LARGE; class++) {
        for (;;) {
            weft__stack *s = NULL;
            uint32_t count = 0;
            size_t idle;
            weft__spin_lock(&depot->lock);
            idle = depot->chained[class];
            weft__spin_unlock(&depot->lock);
            if (idle <= keep || !take_chain(depot, class, &s, &count))
                break;
            while (s != NULL) {
                weft__stack *next = s->next;
                weft__stack_slab *empty = unmake(depot, s);
                if (empty != NULL)
                    weft__stack_slab_unmap(env, empty);
                s = next;
                gone++;
            }
        }
    }
    return gone;
}

/* --- whose stack an address lies in --- */

enum weft__stack_part weft__stack_find(weft__stack_depot *depot, uintptr_t address, const weft__stack **out)
{
    enum weft__stack_part part = WEFT__STACK_NOWHERE;
    unsigned tries = 0;

    *out = NULL;
    /* The thread that faulted may itself hold the lock: then there is no answer, but no deadlock either. */
    while (__atomic_exchange_n(&depot->lock.word, 1, __ATOMIC_ACQUIRE)) /* pairs with weft__spin_unlock */
        if (++tries == 1000000)
            return WEFT__STACK_NOWHERE;
    for (unsigned class = 0; class < WEFT__STACK_CLASSES && part == WEFT__STACK_NOWHERE; class++)
        for (const weft__stack_slab *slab = depot->slabs[class]; slab != NULL; slab = slab->next)
            if (address - (uintptr_t)slab->map < slab->bytes) {
                part = weft__stack_slab_find(slab, address, out);
                break;
            }
    weft__spin_unlock(&depot->lock);
    return part;
}
