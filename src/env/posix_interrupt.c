/* Owns interrupts: running a function on another thread, in a signal handler, so that a thread that does not come
 * back can be looked at. One at a time in a process (a lock); interrupt returns when fn has run there, so its
 * context may live on the caller's stack.
 *
 * The request is a word: FREE -> POSTED by the caller; POSTED -> RUNNING by the handler on the target; RUNNING -> DONE
 * by it. A caller that gives up takes POSTED back to FREE; it cannot once the handler runs, and then waits for DONE.
 * A signal that arrives after that finds FREE, or a request for another thread, and does nothing. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#if defined(__linux__)
#include <sys/syscall.h>
#endif

#include "env/posix.h"

enum { FREE, POSTED, RUNNING, DONE };

#define PATIENCE_NS (1 * WEFT_SECOND) /* a thread inside the kernel without interruption does not answer */

static struct {
    uint32_t state;
    uintptr_t target;
    void (*fn)(void *ctx, const void *machine);
    void *ctx;
    weft_parker caller;
} request;

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
static int installed; /* under one_at_a_time */

/* Realtime signals have no fixed meaning; this one is far from those that libraries take from either end. */
int weft__posix_interrupt_signal(void)
{
#if defined(SIGRTMIN)
    return SIGRTMIN + 9;
#else
    return 0;
#endif
}

int weft__posix_disturb_signal(void)
{
#if defined(SIGRTMIN)
    return SIGRTMIN + 10;
#else
    return 0;
#endif
}

uintptr_t weft__posix_worker_tag(void *self)
{
    (void)self;
#if defined(__linux__)
    return (uintptr_t)syscall(SYS_gettid);
#else
    return (uintptr_t)pthread_self();
#endif
}

static void handler(int signal, siginfo_t *info, void *machine)
{
    const int saved = errno;
    uint32_t posted = POSTED;

    (void)signal;
    (void)info;
    if (__atomic_load_n(&request.state, __ATOMIC_ACQUIRE) == POSTED && request.target == weft__posix_worker_tag(NULL) &&
        __atomic_compare_exchange_n(&request.state, &posted, RUNNING, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
        request.fn(request.ctx, machine);
        __atomic_store_n(&request.state, DONE, __ATOMIC_RELEASE);
        weft__posix_unpark(NULL, &request.caller);
    }
    errno = saved;
}

/* What disturbs does so by having come. */
static void disturbed(int signal, siginfo_t *info, void *machine)
{
    (void)signal;
    (void)info;
    (void)machine;
}

static int install(int signal, void (*fn)(int, siginfo_t *, void *), int flags)
{
    struct sigaction ours, before;

    if (signal == 0)
        return -ENOTSUP;
    if (sigaction(signal, NULL, &before) != 0)
        return -errno;
    if ((before.sa_flags & SA_SIGINFO) && before.sa_sigaction == fn)
        return 0;
    if ((before.sa_flags & SA_SIGINFO) || before.sa_handler != SIG_DFL)
        return -EBUSY; /* the program uses this signal: what is blocked stays unseen, but nothing of its is broken */
    memset(&ours, 0, sizeof ours);
    ours.sa_sigaction = fn;
    ours.sa_flags = SA_SIGINFO | SA_ONSTACK | flags;
    sigfillset(&ours.sa_mask);
    return sigaction(signal, &ours, NULL) == 0 ? 0 : -errno;
}

static int send(uintptr_t tag, int signal)
{
#if defined(__linux__)
    return syscall(SYS_tgkill, getpid(), (pid_t)tag, signal) == 0 ? 0 : -errno;
#else
    return -pthread_kill((pthread_t)tag, signal);
#endif
}

/* Asked for seldom, so the handler is looked at each time; two threads that install it at once do the same. */
int weft__posix_disturb(void *self, uintptr_t tag)
{
    const int signal = weft__posix_disturb_signal();
    int r = install(signal, disturbed, 0);

    (void)self;
    return r < 0 ? r : send(tag, signal);
}

static int post_and_wait(uintptr_t tag, void (*fn)(void *ctx, const void *machine), void *ctx)
{
    uint32_t posted = POSTED;
    int r;

    request.target = tag;
    request.fn = fn;
    request.ctx = ctx;
    __atomic_store_n(&request.state, POSTED, __ATOMIC_RELEASE); /* pairs with the load in handler */
    r = send(tag, weft__posix_interrupt_signal());
    if (r == 0 && !weft__posix_park(NULL, &request.caller, weft__posix_now(NULL) + PATIENCE_NS))
        r = -ETIMEDOUT;
    if (r < 0 && !__atomic_compare_exchange_n(&request.state, &posted, FREE, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
        weft__posix_park(NULL, &request.caller, WEFT_NEVER); /* it runs: fn is bounded, and ctx must outlive it */
        r = 0;
    }
    __atomic_store_n(&request.state, FREE, __ATOMIC_RELEASE);
    return r;
}

/* 0: fn has run there. -ESRCH: no such thread. -ETIMEDOUT: it did not answer. -EBUSY: the signal is taken. -ENOTSUP. */
int weft__posix_interrupt(void *self, uintptr_t tag, void (*fn)(void *ctx, const void *machine), void *ctx)
{
    int r;

    (void)self;
    pthread_mutex_lock(&one_at_a_time);
    r = installed ? 0 : install(weft__posix_interrupt_signal(), handler, SA_RESTART);
    if (r == 0) {
        installed = 1;
        r = post_and_wait(tag, fn, ctx);
    }
    pthread_mutex_unlock(&one_at_a_time);
    return r;
}
