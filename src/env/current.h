/* The current worker and thread: the one place where the core asks which thread it is on.
 *
 * Always a real call. Compilers keep the address of a thread-local variable in a register across calls, and
 * a fiber that was suspended there may wake on another thread (gcc 26461, llvm 98479), so the variable
 * itself is visible to no other file. */
#ifndef WEFT_ENV_CURRENT_H
#define WEFT_ENV_CURRENT_H

/* What weft__set_current last stored on this thread; NULL on threads that are no workers.
 * Any thread, signal handlers included. */
void *weft__current(void);

/* Makes `worker` the current one of the calling thread. */
void weft__set_current(void *worker);

/* An address that stands for the calling thread, the same for as long as it lives and no
 * other living thread's; never NULL. */
const void *weft__thread_tag(void);

/* The simulator's threads take turns on one OS thread: each is given a tag of its own while
 * it runs (NULL: the OS thread's). */
void weft__set_thread_tag(const void *other);

#endif
