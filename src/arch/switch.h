#ifndef WEFT_ARCH_SWITCH_H
#define WEFT_ARCH_SWITCH_H

/*
 * The context switch. A context is a stack and, while it is parked, the callee-saved state of the code on it; nothing
 * here knows of fibers or workers. One assembly file per instruction set and ABI holds weft__switch_raw, portable.c
 * holds the one for every other CPU, and builds that a sanitizer watches go through annotate.c, which tells it about
 * every switch. Valgrind needs to know the stacks alone (weft__stack_announce). Why it is as it is, with figures:
 * docs/design/switch.md.
 */

#include <stddef.h>
#include <stdint.h>

#include "arch/layout.h"

#if WEFT__VALGRIND
#include <valgrind/memcheck.h>
#endif

#define WEFT__SWITCH_ANNOTATED (WEFT__ASAN || WEFT__TSAN)
#if defined(WEFT__FRAME_WAYS) && !WEFT__SWITCH_ANNOTATED
#define WEFT__SWITCH_WAYS 1
#else
#define WEFT__SWITCH_WAYS 0
#endif

typedef struct weft__context {
    void *sp; /* of a parked context: its saved frame (arch/layout.h); of the running one: stale */
#if WEFT__SWITCH_ANNOTATED
    void *lo; /* the stack; both 0 for an adopted thread until it first switches away */
    size_t size;
    int adopted;
#endif
#if WEFT__ASAN
    void *fake_stack;
#endif
#if WEFT__TSAN
    void *fiber;
#endif
} weft__context;

/*
 * Saves the callee-saved state of the running context in *from and resumes *to. Once *from is completely saved and the
 * thread runs on to's stack, after(arg) is called if after is not NULL: the place to publish, unlock or free what *from
 * stands on. after runs as part of *to, before anything else of it, and must return. *from may be resumed by another
 * thread as soon as after publishes it. The floating-point control words (rounding, masks, flush to zero) belong to the
 * context and are changed only if *to has others; its status flags are not preserved, as across any call. Returns 0, so
 * that a call which answers 0 can end in it: then no frame is left to return from, and no return is predicted wrongly.
 */
static inline int weft__switch(weft__context *from, weft__context *to, void (*after)(void *), void *arg);

/* As weft__switch, but *from never resumes: after may free or reuse its stack (and *from itself). */
_Noreturn static inline void weft__switch_last(weft__context *from, weft__context *to, void (*after)(void *),
                                               void *arg);

/*
 * Makes *ctx a fresh context that runs entry(arg) on [lo, lo + size) at its first resumption, with the ABI's default
 * floating-point control words. entry must not return: it ends in weft__switch_last. Any thread that owns the stack may
 * call it; costs a dozen instructions, and touches only the top page of the stack.
 */
static inline void weft__context_make(weft__context *ctx, void *lo, size_t size, void (*entry)(void *), void *arg);

/*
 * Where the entry of a context that ends may go by returning, as weft__switch_last does, with `after`
 * called with the entry's own argument. What the processor remembers of calls then stays that of who is
 * resumed. Only where WEFT__SWITCH_WAYS.
 */
typedef struct weft__way {
    weft__context *to;
    void (*after)(void *arg);
} weft__way;
static inline void weft__context_make_way(weft__context *ctx, void *lo, size_t size, weft__way (*entry)(void *), void *arg);

/* Describes the running thread's own stack as a context, so that it can be switched from and back to. */
static inline void weft__context_adopt(weft__context *ctx);

/* Undoes adopt, on the same thread and stack. */
static inline void weft__context_drop(weft__context *ctx);

/* Ends a context that was made, is parked (or never ran) and will not run again: a killed fiber. Its stack is free. */
static inline void weft__context_discard(weft__context *ctx);

/*
 * Tells Valgrind and the leak checker that [lo, lo + size) is going to be used as a stack, for as long as the memory
 * serves that purpose, whoever runs on it meanwhile. Returns what retract wants back. Any thread; no cost worth naming
 * outside these tools.
 */
unsigned weft__stack_announce(void *lo, size_t size);
void weft__stack_retract(unsigned announced, void *lo, size_t size);

/* What the architecture provides; callers use the functions above. */
int weft__switch_raw(weft__context *from, weft__context *to, void (*after)(void *), void *arg);
void weft__context_start(void); /* where a fresh context begins: a place to jump to, not a function to call */
void weft__context_make_raw(weft__context *ctx, void *lo, size_t size, void (*entry)(void *), void *arg);

/* annotate.c */
int weft__switch_annotated(weft__context *from, weft__context *to, void (*after)(void *), void *arg);
_Noreturn void weft__switch_last_annotated(weft__context *from, weft__context *to, void (*after)(void *), void *arg);
void weft__context_note_made(weft__context *ctx, void *lo, size_t size);
void weft__context_note_adopted(weft__context *ctx);
void weft__context_note_gone(weft__context *ctx);

static inline int weft__switch(weft__context *from, weft__context *to, void (*after)(void *), void *arg)
{
#if WEFT__SWITCH_ANNOTATED
    return weft__switch_annotated(from, to, after, arg);
#else
    return weft__switch_raw(from, to, after, arg);
#endif
}

_Noreturn static inline void weft__switch_last(weft__context *from, weft__context *to, void (*after)(void *), void *arg)
{
#if WEFT__SWITCH_ANNOTATED
    weft__switch_last_annotated(from, to, after, arg);
#else
    weft__switch_raw(from, to, after, arg);
    __builtin_trap();
#endif
}

static inline void weft__context_make(weft__context *ctx, void *lo, size_t size, void (*entry)(void *), void *arg)
{
#if WEFT__SWITCH_ANNOTATED
    weft__context_note_made(ctx, lo, size);
#endif
#if WEFT_SWITCH_PORTABLE
    weft__context_make_raw(ctx, lo, size, entry, arg);
#else
    uintptr_t top = ((uintptr_t)lo + size) & ~(uintptr_t)15;
    char *frame = (char *)(top - WEFT__FRAME_SIZE);

#if WEFT__VALGRIND
    /* What a former user popped is off limits until the stack pointer passes it again; we write before that. */
    (void)VALGRIND_MAKE_MEM_UNDEFINED(frame, WEFT__FRAME_SIZE);
#endif
    /* The other saved registers start with whatever the stack held: nothing may read them before writing them. */
    *(uint64_t *)(void *)(frame + WEFT__FRAME_CONTROL) = WEFT__CONTROL_DEFAULT;
    *(void (**)(void *))(void *)(frame + WEFT__FRAME_ENTRY) = entry;
    *(void **)(void *)(frame + WEFT__FRAME_ARG) = arg;
    *(void **)(void *)(frame + WEFT__FRAME_FP) = NULL; /* ends a walk along the frame pointers */
    *(void (**)(void))(void *)(frame + WEFT__FRAME_PC) = weft__context_start;
    ctx->sp = frame;
#endif
}

static inline void weft__context_make_way(weft__context *ctx, void *lo, size_t size, weft__way (*entry)(void *), void *arg)
{
    weft__context_make(ctx, lo, size, (void (*)(void *))(void (*)(void))entry, arg);
}

static inline void weft__context_adopt(weft__context *ctx)
{
    ctx->sp = NULL;
#if WEFT__SWITCH_ANNOTATED
    weft__context_note_adopted(ctx);
#endif
}

static inline void weft__context_drop(weft__context *ctx)
{
    ctx->sp = NULL;
}

static inline void weft__context_discard(weft__context *ctx)
{
#if WEFT__SWITCH_ANNOTATED
    weft__context_note_gone(ctx);
#endif
    ctx->sp = NULL;
}

#endif
