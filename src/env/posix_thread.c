/* Owns OS threads: their start, end, signal mask and alternate signal stack. Any thread may start one;
 * join is called once, by one.
 *
 * A thread's record lives in the stack it was given, at its high end, so that starting one in strict mode asks for no
 * memory beyond it; without a stack of the caller's it is allocated. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "env/posix.h"

#define RECORD_MAGIC 0x77744872u

#if defined(__GLIBC__) && defined(__GLIBC_PREREQ)
#if __GLIBC_PREREQ(2, 32)
#define MASK_ATTRIBUTE 1
#endif
#endif
#ifndef MASK_ATTRIBUTE
#define MASK_ATTRIBUTE 0
#endif

struct weft_thread {
    uint32_t magic;
    int allocated;
    int from_bound;       /* who started it was bound to its processor, */
    weft__cpu_mask free;  /* and could run on these before */
    pthread_t id;
    void (*fn)(void *);
    void *arg;
    char name[16];
};

static void name_thread(const char *name)
{
    if (!name[0])
        return;
#if defined(__linux__)
    pthread_setname_np(pthread_self(), name);
#elif defined(__APPLE__)
    pthread_setname_np(name);
#endif
}

static _Thread_local int masked; /* it began with the mask of our threads */

static void *thread_main(void *arg)
{
    weft_thread *t = arg;

    masked = 1;
    if (t->from_bound)
        weft__posix_free(&t->free);
    name_thread(t->name);
    t->fn(t->arg);
    return NULL;
}

/* Signals of the process are for the program's own threads: ours take only faults,
 * which cannot be put off, and interrupts. */
static void worker_mask(sigset_t *mask)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS};

    sigfillset(mask);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        sigdelset(mask, faults[i]);
    if (weft__posix_interrupt_signal() != 0)
        sigdelset(mask, weft__posix_interrupt_signal());
    if (weft__posix_disturb_signal() != 0)
        sigdelset(mask, weft__posix_disturb_signal());
}

/* Where the record goes, and what of the stack is left. */
static weft_thread *place_record(const weft_thread_options *opt, size_t *stack_size)
{
    uintptr_t top;

    if (!opt->stack) {
        *stack_size = opt->stack_size;
        return calloc(1, sizeof(weft_thread));
    }
    top = ((uintptr_t)opt->stack + opt->stack_size - sizeof(weft_thread)) & ~(uintptr_t)63;
    *stack_size = (size_t)(top - (uintptr_t)opt->stack);
    memset((void *)top, 0, sizeof(weft_thread));
    return (weft_thread *)top;
}

/* The new thread never runs with another mask than this: among its attributes where the C library has that, which is
 * two system calls less than to set it here, so that it is inherited. */
static int create_masked(weft_thread *t, pthread_attr_t *attr)
{
    sigset_t mask, before;
    int r;

    worker_mask(&mask);
#if MASK_ATTRIBUTE
    if (pthread_attr_setsigmask_np(attr, &mask) == 0)
        return -pthread_create(&t->id, attr, thread_main, t);
#endif
    pthread_sigmask(SIG_SETMASK, &mask, &before);
    r = -pthread_create(&t->id, attr, thread_main, t);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return r;
}

static int create(weft_thread *t, void *stack, size_t stack_size)
{
    pthread_attr_t attr;
    int r = -pthread_attr_init(&attr);

    if (r < 0)
        return r;
    if (stack)
        r = -pthread_attr_setstack(&attr, stack, stack_size);
    else if (stack_size > 0)
        r = -pthread_attr_setstacksize(&attr, stack_size);
    if (r == 0)
        r = create_masked(t, &attr);
    pthread_attr_destroy(&attr);
    return r;
}

int weft__posix_thread_start(void *self, weft_thread **out, const weft_thread_options *opt, void (*fn)(void *), void *arg)
{
    static const weft_thread_options none;
    size_t stack_size;
    weft_thread *t;
    int r;

    (void)self;
    if (!opt)
        opt = &none;
    if (opt->stack && opt->stack_size < 16384)
        return -EINVAL;
    t = place_record(opt, &stack_size);
    if (!t)
        return -ENOMEM;
    t->magic = RECORD_MAGIC;
    t->allocated = opt->stack == NULL;
    const weft__cpu_mask *free_mask = weft__posix_bound();
    if (free_mask) {
        t->from_bound = 1;
        t->free = *free_mask;
    }
    t->fn = fn;
    t->arg = arg;
    if (opt->name)
        strncpy(t->name, opt->name, sizeof t->name - 1);
    r = create(t, opt->stack, stack_size);
    if (r < 0) {
        if (t->allocated)
            free(t);
        return r;
    }
    *out = t;
    return 0;
}

void weft__posix_thread_join(void *self, weft_thread *t)
{
    (void)self;
    WEFT_ASSERT(t->magic == RECORD_MAGIC);
    WEFT_ASSERT(pthread_join(t->id, NULL) == 0);
    t->magic = 0;
    if (t->allocated)
        free(t);
}

/* ---- Alternate signal stacks: reports of overflowed stacks and interrupts run there ---- */

static _Thread_local void *signal_stack;

/* 1; 0: there is one already, a host's or a sanitizer's, which stays; -errno.
 * In one system call where there is none. */
static int set_signal_stack(void *p)
{
    const stack_t ours = {.ss_sp = p, .ss_size = WEFT__SIGNAL_STACK_SIZE};
    stack_t before;

    if (sigaltstack(&ours, &before) != 0)
        return -errno;
    if (!(before.ss_flags & SS_DISABLE))
        return sigaltstack(&before, NULL) == 0 ? 0 : -errno;
    signal_stack = p;
    return 1;
}

static void unblock_interrupts(void)
{
    sigset_t set;

    sigemptyset(&set);
    if (weft__posix_interrupt_signal() != 0)
        sigaddset(&set, weft__posix_interrupt_signal());
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

int weft__posix_worker_enter_on(void *self, void *(*map)(void *, size_t, size_t), void (*unmap)(void *, void *, size_t))
{
    if (!masked)
        unblock_interrupts(); /* a thread of the host's may have blocked them */
    void *p = map(self, WEFT__SIGNAL_STACK_SIZE, 0);
    if (!p)
        return -ENOMEM;
    const int r = set_signal_stack(p);
    if (r <= 0)
        unmap(self, p, WEFT__SIGNAL_STACK_SIZE);
    return r < 0 ? r : 0;
}

void weft__posix_worker_leave_on(void *self, void (*unmap)(void *, void *, size_t))
{
    const stack_t none = {.ss_flags = SS_DISABLE, .ss_size = WEFT__SIGNAL_STACK_SIZE};
    void *p = signal_stack;

    signal_stack = NULL;
    if (p && sigaltstack(&none, NULL) == 0)
        unmap(self, p, WEFT__SIGNAL_STACK_SIZE);
}

int weft__posix_worker_enter(void *self)
{
    (void)self;
    return weft__posix_worker_enter_on(NULL, weft__posix_map, weft__posix_unmap);
}

void weft__posix_worker_leave(void *self)
{
    (void)self;
    weft__posix_worker_leave_on(NULL, weft__posix_unmap);
}
