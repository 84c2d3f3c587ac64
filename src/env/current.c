/* Owns the thread-local variables of the core: which worker this is, and which thread. Any thread and any
 * signal handler may ask: initial-exec storage is there from the thread's first instruction, so reading it
 * neither allocates nor takes a lock. */
#include "env/current.h"

#if defined(__clang__)
#define OUT_OF_LINE __attribute__((noinline))
#else
#define OUT_OF_LINE __attribute__((noinline, noipa))
#endif

/* Named in no header: an asm statement is all that may know it (current.h). */
__attribute__((used, visibility("hidden"))) _Thread_local void *weft__current_slot __attribute__((tls_model("initial-exec")));
/* NULL: the variable's own address will do. */
static _Thread_local const void *tag __attribute__((tls_model("initial-exec")));

/* The empty asm keeps link-time optimisers from finding the functions free of side
 * effects and merging two calls of them. */
#ifndef WEFT__CURRENT_INLINE
OUT_OF_LINE void *weft__current(void)
{
    __asm__ volatile("" ::: "memory");
    return weft__current_slot;
}
#endif

OUT_OF_LINE void weft__set_current(void *worker)
{
    weft__current_slot = worker;
    __asm__ volatile("" ::: "memory");
}

OUT_OF_LINE const void *weft__thread_tag(void)
{
    __asm__ volatile("" ::: "memory");
    return tag ? tag : (const void *)&tag;
}

OUT_OF_LINE void weft__set_thread_tag(const void *other)
{
    tag = other;
    __asm__ volatile("" ::: "memory");
}
