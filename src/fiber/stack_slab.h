#ifndef WEFT_FIBER_STACK_SLAB_H
#define WEFT_FIBER_STACK_SLAB_H

/*
 * A slab of stacks by itself: one mapping, what lies where in it, which of its slots are raw, how a stack is made. A
 * slot is raw (its bit says so; no record, maybe no page) or made (a record at its top, and the stack is in use, in a
 * pool or in a chain). Which slabs there are, and who may touch one, is the depot's to say (stack_depot.c): "locked"
 * below means under its lock; the rest is about slabs that nobody else knows yet, or slots that the caller has taken.
 */
#include "fiber/stack.h"

#define WEFT__STACK_SLOTS 4096 /* of a slab, at most */

struct weft__stack_slab {
    uint32_t magic;
    uint32_t slots;
    uint32_t raw_count;
    uint32_t from; /* no slot below this one is raw */
    weft__stack_slab *next;
    void *map;
    size_t bytes;
    char *first;   /* the guard of slot 0 */
    size_t stride; /* from guard to guard */
    size_t guard;
    uint8_t class;
    uint64_t raw[WEFT__STACK_SLOTS / 64];
    uint64_t guarded[WEFT__STACK_SLOTS / 64 + 1]; /* one more: above the last slot there is a guard, too */
};

static inline size_t weft__stack_round_up(size_t n, size_t unit) { return (n + unit - 1) / unit * unit; }

/* What a guard takes; 0: the environment sets none. */
size_t weft__stack_guard_size(const weft_env *env);

/* From stack to stack, for stacks of `size` that share a slab. */
size_t weft__stack_stride(size_t size, size_t guard, size_t page);

/* What a slab of so many stacks takes. */
size_t weft__stack_slab_bytes(size_t slots, size_t stride, size_t guard, size_t page);

/* Maps a slab of `bytes`, or where there is less memory of less, though not below `least`.
 * All of its slots are raw, and its class is 0. NULL: no memory. */
weft__stack_slab *weft__stack_slab_map(const weft_env *env, size_t bytes, size_t least, size_t stride, size_t guard);

/* Commits all of it. 0, or the environment's error. */
int weft__stack_slab_commit(const weft_env *env, weft__stack_slab *slab);

void weft__stack_slab_unmap(const weft_env *env, weft__stack_slab *slab);

/* Takes up to n raw slots, neighbours where possible, and says which. Locked. */
uint32_t weft__stack_slab_take(weft__stack_slab *slab, uint32_t n, uint32_t slots[]);

/* The slot is raw again. Locked. */
void weft__stack_slab_return(weft__stack_slab *slab, uint32_t slot);

/* The guards of n neighbours, and the one above them, at once where the environment can; else each is set as its
 * stack is made. */
void weft__stack_slab_guard_row(const weft_env *env, weft__stack_slab *slab, const uint32_t slots[], uint32_t n);

/* Makes the stack of a slot that was taken. 0, or why its guard could not be set. */
int weft__stack_slab_make(const weft_env *env, weft__stack_slab *slab, uint32_t slot, weft__stack **out);

/* The tools that watch a program forget the stacks that are made. */
void weft__stack_slab_retract(weft__stack_slab *slab);

/* Slots are made from below: what lies above the last one that was made is untouched. Locked. */
weft__stack_range weft__stack_slab_made(const weft__stack_slab *slab);

/* As weft__stack_find, of an address in the slab's mapping. Locked. */
enum weft__stack_part weft__stack_slab_find(const weft__stack_slab *slab, uintptr_t address, const weft__stack **out);

#endif
