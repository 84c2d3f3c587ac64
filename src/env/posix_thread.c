/* Owns OS threads: their start, end, signal mask and alternate signal stack. Any thread may start one; join is called once, by one.
 *
 * A thread's record lives in the stack it was given, at its high end, so that starting one in strict mode asks for no memory beyond
 * it; without a stack of the caller's it is allocated. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "env/posix.h"

#define RECORD_MAGIC 0x77744872u

struct weft_thread {
    uint32_t magic;
    int allocated;
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

static void *thread_main(void *arg)
{
    weft_thread *t = arg;

    name_thread(t->name);
    t->fn(t->arg);
    return NULL;
}

/* Signals of the process are for the program's own threads: ours take only faults, which cannot be put off, and interrupts. */
static void worker_mask(sigset_t *mask)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS};

    sigfillset(mask);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        sigdelset(mask, faults[i]);
    if (weft__posix_interrupt_signal() != 0)
        sigdelset(mask, weft__posix_interrupt_signal());
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

static int create(weft_thread *t, void *stack, size_t stack_size)
{
    sigset_t mask, before;
    pthread_attr_t attr;
    int r = -pthread_attr_init(&attr);

    if (r < 0)
        return r;
    if (stack)
        r = -pthread_attr_setstack(&attr, stack, stack_size);
    else if (stack_size > 0)
        r = -pthread_attr_setstacksize(&attr, stack_size);
    if (r == 0) {
        /* Set here and inherited: the new thread never runs with another mask. */
        worker_mask(&mask);
        pthread_sigmask(SIG_SETMASK, &mask, &before);
        r = -pthread_create(&t->id, &attr, thread_main, t);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
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

#define SIGNAL_STACK_SIZE (64u << 10) /* room for AVX-512 state, a backtrace and its text */

static _Thread_local void *signal_stack;

/* A stack that is there already (a host's, a sanitizer's) is left alone. */
int weft__posix_worker_enter(void *self)
{
    stack_t there, ours;
    sigset_t open_signals;

    (void)self;
    sigemptyset(&open_signals);
    if (weft__posix_interrupt_signal() != 0)
        sigaddset(&open_signals, weft__posix_interrupt_signal());
    pthread_sigmask(SIG_UNBLOCK, &open_signals, NULL); /* a thread of the host's may have blocked it */

    if (sigaltstack(NULL, &there) == 0 && !(there.ss_flags & SS_DISABLE))
        return 0;
    ours = (stack_t){.ss_sp = weft__posix_map(NULL, SIGNAL_STACK_SIZE, 0), .ss_size = SIGNAL_STACK_SIZE};
    if (!ours.ss_sp)
        return -ENOMEM;
    if (sigaltstack(&ours, NULL) != 0) {
        const int r = -errno;

        weft__posix_unmap(NULL, ours.ss_sp, SIGNAL_STACK_SIZE);
        return r;
    }
    signal_stack = ours.ss_sp;
    return 0;
}

void weft__posix_worker_leave(void *self)
{
    const stack_t none = {.ss_flags = SS_DISABLE, .ss_size = SIGNAL_STACK_SIZE};

    (void)self;
    if (!signal_stack)
        return;
    if (sigaltstack(&none, NULL) == 0)
        weft__posix_unmap(NULL, signal_stack, SIGNAL_STACK_SIZE);
    signal_stack = NULL;
}
