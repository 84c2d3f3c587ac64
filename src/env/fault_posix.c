/*
 * Owns the process's handlers for what guards raise (SIGSEGV, and SIGBUS outside of Linux) while anybody watches for
 * faults: a fault in somebody's guard is reported with write(2) and then ends the process as it would have without us,
 * so that a core file shows the faulting instruction; unless who knows the guard has mended the matter by sending the
 * thread elsewhere. A fault that nobody knows goes to the handler that was there before.
 *
 * watch and unwatch: any thread, one at a time by a lock. The handler takes no lock: it reads a table of fixed size,
 * each entry of which is complete before its function is published, and calls only what a watcher promises to be safe
 * there. It runs on the alternate signal stack, for the stack that overflowed has no room.
 */
#include "env/posix.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "base/atomic.h"

#define WATCHERS_MAX 32
#define REPORT_MAX 2048

static struct {
    weft_fault_fn *fn; /* NULL: free; written last and cleared first, atomically */
    void *ctx;
    unsigned refs;
} watchers[WATCHERS_MAX];

static pthread_mutex_t changing = PTHREAD_MUTEX_INITIALIZER; /* guards refs, users, and who installs */
static unsigned users;

/* What a touch of a guard raises. */
#if defined(__linux__)
static const int signals[] = {SIGSEGV};
#else
static const int signals[] = {SIGSEGV, SIGBUS};
#endif
#define SIGNALS (sizeof signals / sizeof *signals)
static struct sigaction before[SIGNALS];

static size_t index_of(int sig)
{
    return sig == signals[0] ? 0 : 1;
}

static void say(const char *text, size_t n)
{
    while (n > 0) {
        ssize_t done = write(STDERR_FILENO, text, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return;
        text += done;
        n -= (size_t)done;
    }
}

enum outcome { UNKNOWN, REPORTED, MENDED };

/* What the watcher made of it that knew the address. */
static enum outcome report(uintptr_t address, void *machine)
{
    char text[REPORT_MAX];

    for (size_t i = 0; i < WATCHERS_MAX; i++) {
        /* Pairs with the release in weft__posix_fault_watch: ctx is there when fn is. */
        weft_fault_fn *fn = weft__load_acquire(&watchers[i].fn, "fault watcher");
        size_t n = fn != NULL ? fn(watchers[i].ctx, address, machine, text, sizeof text) : 0;
        if (n == WEFT_FAULT_MENDED)
            return MENDED;
        if (n > 0) {
            say(text, n < sizeof text ? n : sizeof text);
            return REPORTED;
        }
    }
    return UNKNOWN;
}

/* The fault happens again when we return, and then takes its ordinary course;
 * a signal that was sent does not, so send it again. */
static void end_by_default(int sig, const siginfo_t *info)
{
    struct sigaction plain = {.sa_handler = SIG_DFL};

    sigemptyset(&plain.sa_mask);
    (void)sigaction(sig, &plain, NULL);
    if (info->si_code <= 0)
        (void)raise(sig);
}

static void pass_on(int sig, siginfo_t *info, void *machine)
{
    struct sigaction *old = &before[index_of(sig)];
    sigset_t mask;

    if (!(old->sa_flags & SA_SIGINFO) && (old->sa_handler == SIG_DFL || old->sa_handler == SIG_IGN)) {
        if (old->sa_handler == SIG_DFL || info->si_code > 0) /* a fault cannot be ignored, a signal that was sent can */
            end_by_default(sig, info);
        return;
    }
    (void)pthread_sigmask(SIG_BLOCK, &old->sa_mask, &mask);
    if (old->sa_flags & SA_SIGINFO)
        old->sa_sigaction(sig, info, machine);
    else
        old->sa_handler(sig);
    (void)pthread_sigmask(SIG_SETMASK, &mask, NULL);
}

/* Set while the thread is in our handler: a handler installed over ours calls ours,
 * and may also be the one that we pass on to. */
static _Thread_local volatile sig_atomic_t inside;

static void on_fault(int sig, siginfo_t *info, void *machine)
{
    int saved = errno;

    if (inside) {
        end_by_default(sig, info);
        return;
    }
    inside = 1;
    /* Only the kernel's own findings (positive codes) carry an address. */
    enum outcome outcome = info->si_code > 0 ? report((uintptr_t)info->si_addr, machine) : UNKNOWN;
    if (outcome == REPORTED)
        end_by_default(sig, info);
    else if (outcome == UNKNOWN)
        pass_on(sig, info, machine);
    inside = 0;
    errno = saved;
}

static int is_ours(const struct sigaction *a) { return a->sa_flags & SA_SIGINFO && a->sa_sigaction == on_fault; }

/* Where ours is found, somebody who covered it for a while has taken his away: what was there before us is known. */
static int install(void)
{
    struct sigaction ours = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK}, there;

    sigemptyset(&ours.sa_mask);
    for (size_t i = 0; i < SIGNALS; i++) {
        if (sigaction(signals[i], &ours, &there) != 0) {
            int r = -errno;
            while (i-- > 0)
                (void)sigaction(signals[i], &before[i], NULL);
            return r;
        }
        if (!is_ours(&there))
            before[i] = there;
    }
    return 0;
}

/* Whoever installed a handler after us keeps it, and may call ours: it stays harmless, with nobody watching. */
static void uninstall(void)
{
    for (size_t i = 0; i < SIGNALS; i++) {
        struct sigaction there;
        if (sigaction(signals[i], &before[i], &there) == 0 && !is_ours(&there))
            (void)sigaction(signals[i], &there, NULL);
    }
}

/* Under the lock. The entry of (fn, ctx), or a free one, or -1. */
static int entry_for(weft_fault_fn *fn, const void *ctx)
{
    int free_one = -1;

    for (int i = 0; i < WATCHERS_MAX; i++) {
        if (watchers[i].fn == fn && watchers[i].ctx == ctx)
            return i;
        if (watchers[i].fn == NULL && free_one < 0)
            free_one = i;
    }
    return free_one;
}

int weft__posix_fault_watch(void *self, weft_fault_fn *describe, void *ctx)
{
    int r = 0;

    (void)self;
    if (describe == NULL)
        return -EINVAL;
    (void)pthread_mutex_lock(&changing);
    int i = entry_for(describe, ctx);
    if (i < 0)
        r = -EAGAIN;
    else if (users == 0)
        r = install();
    if (r == 0) {
        watchers[i].ctx = ctx;
        watchers[i].refs++;
        users++;
        weft__store_release(&watchers[i].fn, describe, "fault watcher"); /* pairs with the acquire in report */
    }
    (void)pthread_mutex_unlock(&changing);
    return r;
}

void weft__posix_fault_unwatch(void *self, void *ctx)
{
    (void)self;
    (void)pthread_mutex_lock(&changing);
    for (int i = 0; i < WATCHERS_MAX; i++) {
        if (watchers[i].fn == NULL || watchers[i].ctx != ctx)
            continue;
        users--;
        if (--watchers[i].refs == 0)
            weft__store_release(&watchers[i].fn, (weft_fault_fn *)NULL, "fault watcher");
        if (users == 0)
            uninstall();
        break;
    }
    (void)pthread_mutex_unlock(&changing);
}
