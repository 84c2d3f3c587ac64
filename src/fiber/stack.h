#ifndef WEFT_FIBER_STACK_H
#define WEFT_FIBER_STACK_H

/*
 * Stacks. A slab is one mapping that holds many stacks of one size class, each above a guard; a stack's record
 * lies at its top, in the page that is touched anyway, and a page is committed when it is first touched. A pool
 * belongs to one worker and needs no locks; a depot is shared by the pools of a runtime, and chains of stacks move
 * through it both ways, so that taking stacks here and giving them back there grows nothing. Why, what was
 * rejected, figures: docs/design/stacks.md.
 *
 *     slab:  header | guard | stack 0 ........ record gap | guard | stack 1 ........ record gap | ... | guard
 *                             lo          lo+size
 */

#include <weft/env.h>

#include "base/spin.h"

#define WEFT__STACK_SIZE_DEFAULT ((size_t)256 * 1024)
#define WEFT__STACK_SIZE_MIN ((size_t)16 * 1024)     /* the smallest class; classes double */
#define WEFT__STACK_SUPPLIED_MIN ((size_t)2 * 1024)  /* what a caller must at least supply */
#define WEFT__STACK_CLASSES 11                       /* 16 KiB to 8 MiB, and a last one for single stacks of any size */
#define WEFT__STACK_LARGE (WEFT__STACK_CLASSES - 1)
#define WEFT__STACK_CHAIN 32                         /* stacks that move between pool and depot at once */
#define WEFT__STACK_TEND_ALL 100000u                 /* a budget that looks at every pooled stack */
#define WEFT__STACK_KEEP_DEFAULT ((size_t)16 * 1024) /* committed bytes a stack may keep while it lies in a pool */

typedef struct weft__stack weft__stack;
typedef struct weft__stack_slab weft__stack_slab;
typedef struct weft__stack_depot weft__stack_depot;
typedef struct weft__stack_pool weft__stack_pool;

struct weft__stack {
    uint32_t magic;
    uint32_t slot;
    weft__stack *next;       /* in the list of the pool or chain that it lies in */
    union {
        weft__stack *next_chain; /* of a chain's first stack, in the depot */
        size_t asked; /* the user's while it has it: what was asked for, so that who wants the same can have it next */
    };
    void *lo;                /* usable: [lo, lo + size) */
    size_t size;
    void *owner;             /* the user's: who stands on it, for reports; NULL while pooled */
    weft__stack_slab *slab;  /* NULL: the caller supplied the memory */
    unsigned announced;
    uint16_t chained; /* of a chain's first stack: how many it has */
    uint8_t class;
    uint8_t unchecked; /* lies in a pool, and nobody has looked how deep it was used */
};

typedef struct weft__stack_options {
    size_t limit;       /* how many stacks may exist at once (0: no limit); those that lie in pools count */
    size_t keep;        /* committed bytes a pooled stack may keep (0: WEFT__STACK_KEEP_DEFAULT) */
    size_t fixed_size;  /* pre-committed, unguarded stacks of this size are all there is (0: off), */
    size_t fixed_count; /* and this is how many */
    /* Checked builds: called with a stack's range before it is given back; aborts if memory in flight overlaps it. */
    void (*inflight_check)(const void *lo, size_t size);
} weft__stack_options;

struct weft__stack_depot {
    const weft_env *env;
    weft__stack_options options;
    weft__spin lock; /* guards all below */
    weft__stack_slab *slabs[WEFT__STACK_CLASSES];
    weft__stack *chains[WEFT__STACK_CLASSES];
    size_t chained[WEFT__STACK_CLASSES]; /* stacks in chains */
    size_t made;                         /* stacks that exist */
    size_t slab_count;
    size_t reserved; /* bytes of address space */
    uint32_t tight;  /* memory is short: pooled stacks keep one page and are looked at as they come (atomic) */
};

typedef struct weft__stack_shelf {
    weft__stack *hot; /* the last one given back comes first */
    weft__stack *spare;
    uint32_t hot_count;
    uint32_t spare_count;
} weft__stack_shelf;

struct weft__stack_pool {
    weft__stack_depot *depot;
    /* How often: written by the pool's owner, read by anybody (atomic); its own two, or where the owner wants them. */
    uint64_t *taken, *given;
    uint64_t own[2];
    uint32_t unchecked; /* at least so many stacks on the shelves were not looked at */
    weft__stack *warm;  /* the last one left, for who asks for the same next: not on a shelf yet; NULL: none */
    weft__stack_shelf shelf[WEFT__STACK_CLASSES];
};

/* Prepares a depot; opt may be NULL. 0; -EINVAL: env cannot map; -ENOMEM: the pre-committed stacks do not fit. */
int weft__stack_depot_init(weft__stack_depot *depot, const weft_env *env, const weft__stack_options *opt);

/* Unmaps everything. All pools have ended and all stacks were given back. */
void weft__stack_depot_fini(weft__stack_depot *depot);

/* Gives the memory of all but `keep` of the stacks that lie in the depot back to the system. Returns how many. Any
 * thread. */
size_t weft__stack_depot_trim(weft__stack_depot *depot, size_t keep);

/* How many stacks exist, how many of them lie in the depot (not in pools), and how much address space they reserve.
 * Any thread. */
void weft__stack_depot_count(weft__stack_depot *depot, size_t *made, size_t *idle, size_t *reserved);

/* The parts of slabs that hold stacks which were made, for measuring: those after the first `from`, at most `max`.
 * Returns how many. Any thread; a slab may be unmapped meanwhile, which measures as little. */
typedef struct weft__stack_range {
    void *lo;
    size_t size;
} weft__stack_range;
size_t weft__stack_depot_ranges(weft__stack_depot *depot, size_t from, weft__stack_range *out, size_t max);

enum weft__stack_part { WEFT__STACK_NOWHERE, WEFT__STACK_GUARD, WEFT__STACK_INSIDE };

/*
 * Whose stack, or whose guard, an address lies in. *out is the record, or NULL where no stack was made; valid while the
 * stack is not given back. For signal handlers: takes no lock that it would have to wait for, calls nothing.
 */
enum weft__stack_part weft__stack_find(weft__stack_depot *depot, uintptr_t address, const weft__stack **out);

void weft__stack_pool_init(weft__stack_pool *pool, weft__stack_depot *depot);

/* Moves all stacks of the pool to its depot. */
void weft__stack_pool_fini(weft__stack_pool *pool);

/*
 * Takes a stack with at least `size` usable bytes, less about 1 KiB (0: the default size); the pool's owner only.
 * A warm one costs neither a system call nor an allocation. -ENOMEM: no memory, or pre-committed stacks are used up or
 * too small; -EAGAIN: the limit on stacks is reached; or why the guard could not be set.
 */
int weft__stack_get(weft__stack_pool *pool, size_t size, weft__stack **out);

/* Gives a stack back, not necessarily to the pool it came from; the pool's owner only, and not while standing on it. */
void weft__stack_put(weft__stack_pool *pool, weft__stack *stack);

/*
 * The same two for who takes and leaves all the time, and keeps `asked`: a stack that was left is kept at hand as it
 * is, and whoever asks for just as much has it next. weft__stack_shelve puts it with the others.
 */
static inline int weft__stack_take(weft__stack_pool *pool, size_t size, weft__stack **out)
{
    weft__stack *s = pool->warm;
    if (s == NULL || s->asked != size) {
        int r = weft__stack_get(pool, size, out);
        if (r == 0)
            (*out)->asked = size;
        return r;
    }
    pool->warm = NULL;
    weft__store_relaxed(pool->taken, *pool->taken + 1, "stack.figure");
    *out = s;
    return 0;
}
void weft__stack_leave(weft__stack_pool *pool, weft__stack *stack);
void weft__stack_shelve(weft__stack_pool *pool);

/* Makes a stack of the caller's memory, which stays the caller's after put. -EINVAL: too small. No guard is set. */
int weft__stack_supplied(weft__stack **out, void *memory, size_t size);

/* Committed bytes of a stack: what it used at its deepest since its pages were last given back. 0: env cannot tell.
 * A system call. */
size_t weft__stack_high_water(const weft__stack_pool *pool, const weft__stack *stack);

/*
 * Looks at up to `budget` stacks that were given back since the last look, newest first, and gives back the pages of
 * deep ones. One or two system calls a stack: for a worker that has nothing else to do, and now and then for a busy
 * one. Returns how many were deep. The pool's owner only.
 */
unsigned weft__stack_pool_tend(weft__stack_pool *pool, unsigned budget);

/* What an overflow report says; NULL for what is not known. */
typedef struct weft__stack_overflow {
    const char *fiber;
    const char *lane;
    const char *site; /* where the fiber was spawned, as "file:line" */
    const void *lo;
    size_t size;
    uintptr_t address;
} weft__stack_overflow;

/* Writes the report, ended by a newline, and returns its length, at most size - 1. For signal handlers: no malloc,
 * no locks. */
size_t weft__stack_report(char *buf, size_t size, const weft__stack_overflow *what);

/* Between the source files. */
#define WEFT__STACK_MAGIC 0x5ac4b00cu
int weft__stack_refill(weft__stack_depot *depot, unsigned class, size_t size, weft__stack **chain, uint32_t *count);
void weft__stack_surrender(weft__stack_depot *depot, weft__stack *chain, uint32_t count);
void weft__stack_release(weft__stack_depot *depot, weft__stack *stack);
uintptr_t weft__stack_end(const weft__stack *stack); /* where its last page ends */

#endif
