/*
 * What the tools that watch a program must be told: AddressSanitizer, LeakSanitizer and ThreadSanitizer of every
 * switch, Valgrind and LeakSanitizer of every stack. Owns nothing; whoever may switch may call it. Invariant: what is
 * told to a tool about the context that is left is told before its state is saved, and what is told about the one that
 * runs is told on its stack before any other code of it, hence inside the after action.
 *
 * Nothing here is instrumented for addresses: a local of an instrumented function may live in the fake stack of the
 * context that is being left.
 */
#include "arch/switch.h"

#if WEFT__ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#endif
#if WEFT__TSAN
#include <sanitizer/tsan_interface.h>
#endif

unsigned weft__stack_announce(void *lo, size_t size)
{
    (void)lo;
    (void)size;
#if WEFT__ASAN
    __lsan_register_root_region(lo, size); /* what only a parked stack points to is not lost */
#endif
#if WEFT__VALGRIND
    return (unsigned)VALGRIND_STACK_REGISTER(lo, (char *)lo + size - 1);
#else
    return 0;
#endif
}

void weft__stack_retract(unsigned announced, void *lo, size_t size)
{
    (void)announced;
    (void)lo;
    (void)size;
#if WEFT__VALGRIND
    VALGRIND_STACK_DEREGISTER(announced);
#endif
#if WEFT__ASAN
    __lsan_unregister_root_region(lo, size);
#endif
}

#if WEFT__SWITCH_ANNOTATED

#define NO_ASAN __attribute__((no_sanitize_address))

typedef struct passage {
    weft__context *from;
    weft__context *to;
    void (*after)(void *);
    void *arg;
    int last;
} passage;

NO_ASAN static void arrive(void *p)
{
    /* *p lies on the stack that was left, which the after action may free. */
    passage way = *(passage *)p;

#if WEFT__ASAN
    const void *lo = NULL;
    size_t size = 0;
    __sanitizer_finish_switch_fiber(way.to->fake_stack, &lo, &size);
    if (way.from->lo == NULL) {
        /* An adopted thread: the sanitizer knew its stack's bounds, and this is the first time that it tells. */
        way.from->lo = (void *)(uintptr_t)lo;
        way.from->size = size;
    }
#endif
    if (way.last)
        weft__context_note_gone(way.from);
    if (way.after != NULL)
        way.after(way.arg);
}

NO_ASAN static void leave(passage *way)
{
#if WEFT__ASAN
    /* Without a place to save it the fake stack of the context that ends is freed. */
    __sanitizer_start_switch_fiber(way->last ? NULL : &way->from->fake_stack, way->to->lo, way->to->size);
#endif
#if WEFT__TSAN
    __tsan_switch_to_fiber(way->to->fiber, 0);
#endif
    weft__switch_raw(way->from, way->to, arrive, way);
}

NO_ASAN int weft__switch_annotated(weft__context *from, weft__context *to, void (*after)(void *), void *arg)
{
    passage way = {.from = from, .to = to, .after = after, .arg = arg};
    leave(&way);
    return 0;
}

NO_ASAN _Noreturn void weft__switch_last_annotated(weft__context *from, weft__context *to, void (*after)(void *),
                                                   void *arg)
{
    passage way = {.from = from, .to = to, .after = after, .arg = arg, .last = 1};
    leave(&way);
    __builtin_trap();
}

void weft__context_note_made(weft__context *ctx, void *lo, size_t size)
{
    ctx->lo = lo;
    ctx->size = size;
    ctx->adopted = 0;
#if WEFT__ASAN
    /* The last user may have been left in the middle of its frames, whose red zones are still poisoned. */
    ctx->fake_stack = NULL;
    __asan_unpoison_memory_region(lo, size);
#endif
#if WEFT__TSAN
    ctx->fiber = __tsan_create_fiber(0);
#endif
}

void weft__context_note_adopted(weft__context *ctx)
{
    ctx->lo = NULL;
    ctx->size = 0;
    ctx->adopted = 1;
#if WEFT__ASAN
    ctx->fake_stack = NULL;
#endif
#if WEFT__TSAN
    ctx->fiber = __tsan_get_current_fiber();
#endif
}

void weft__context_note_gone(weft__context *ctx)
{
    if (ctx->adopted)
        return; /* a thread's own: the thread ends it */
#if WEFT__ASAN
    __asan_unpoison_memory_region(ctx->lo, ctx->size);
#endif
#if WEFT__TSAN
    __tsan_destroy_fiber(ctx->fiber);
    ctx->fiber = NULL;
#endif
    ctx->lo = NULL;
    ctx->size = 0;
}

#endif
