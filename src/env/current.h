/* The current worker and thread: the one place where the core asks which thread it is on.
 *
 * Compilers keep the address of a thread-local variable in a register across calls, and a fiber that was suspended
 * there may wake on another thread (gcc 26461, llvm 98479). So no other file sees the variables: asking is a real call;
 * or two instructions that the compiler knows nothing of, does anew each time, and moves across no call. */
#ifndef WEFT_ENV_CURRENT_H
#define WEFT_ENV_CURRENT_H

/* What weft__set_current last stored on this thread; NULL on threads that are no workers.
 * Any thread, signal handlers included. */
#if defined(__x86_64__) && defined(__LP64__) && defined(__ELF__)
#define WEFT__CURRENT_INLINE
static inline void *weft__current(void)
{
    void *w;
    __asm__ volatile("movq weft__current_slot@gottpoff(%%rip), %0\n\tmovq %%fs:(%0), %0" : "=r"(w) : : "memory");
    return w;
}
#else
void *weft__current(void);
#endif

/* Makes `worker` the current one of the calling thread. */
void weft__set_current(void *worker);

/* An address that stands for the calling thread, the same for as long as it lives and no
 * other living thread's; never NULL. */
const void *weft__thread_tag(void);

/* The simulator's threads take turns on one OS thread: each is given a tag of its own while
 * it runs (NULL: the OS thread's). */
void weft__set_thread_tag(const void *other);

#endif
