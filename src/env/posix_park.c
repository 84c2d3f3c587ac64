/* Owns park and unpark: how a thread sleeps until it is woken or a deadline passes. One thread parks on a parker
 * at a time; any thread and any signal handler may unpark it. The word is 0 (nothing), 1 (a token) or 2 (a
 * thread sleeps here or is about to).
 *
 * No token is lost: unpark exchanges 1 in; a parker can leave only by exchanging the 1 out, or by turning its own 2
 * back into 0, which fails when a 1 has come in. No system call is made unless the word was 2, that is, unless somebody
 * sleeps. The unparker's exchange releases what it wrote before, the parker's exchange acquires it.
 *
 * On Linux the sleep is a futex. Elsewhere it is a pipe a thread:
 * unlike a condition variable, it may be written by signal handlers. */
#include <errno.h>
#include <limits.h>
#include <time.h>
#include <unistd.h>

#include "arch/layout.h"
#include "base/check.h"
#include "env/posix.h"

enum { NOTHING = 0, TOKEN = 1, SLEEPER = 2 };

#if defined(__linux__) && !defined(WEFT_PARK_PIPE)

#include <linux/futex.h>
#include <sys/syscall.h>

#if !defined(SYS_futex) && defined(SYS_futex_time64)
#define SYS_futex SYS_futex_time64
#endif

/* Waits on the word while it is SLEEPER; 0, or -ETIMEDOUT. Absolute time: nothing is lost when a signal interrupts. */
static int sleep_until(weft_parker *p, int64_t deadline_ns)
{
    struct timespec t = {.tv_sec = (time_t)(deadline_ns / WEFT_SECOND), .tv_nsec = (long)(deadline_ns % WEFT_SECOND)};
    long r = syscall(SYS_futex, &p->word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, SLEEPER, deadline_ns == WEFT_NEVER ? NULL : &t, NULL,
                     FUTEX_BITSET_MATCH_ANY);

    if (WEFT__TSAN && r != 0 && errno == EINTR) {
        usleep(0); /* a call that ThreadSanitizer knows, in which it runs the handler that interrupted us */
        return 0;
    }
    if (r == 0 || errno == EINTR || errno == EAGAIN)
        return 0;
    WEFT_ASSERT(errno == ETIMEDOUT);
    return -ETIMEDOUT;
}

static void prepare(weft_parker *p) { (void)p; }
static void absorb(weft_parker *p) { (void)p; }

/* The parker may have left and its memory may serve another purpose by now: the kernel then wakes nobody, or somebody
 * who looks again, as every user of a futex must. The address is not read. */
static void wake(weft_parker *p)
{
    syscall(SYS_futex, &p->word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL, NULL, 0);
}

#else

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>

/* This thread's pipe, made at its first sleep and closed when it ends. The unparker that found SLEEPER
 * writes exactly one byte, and the parker does not leave before that byte has come: so the pipe is there as
 * long as anybody may write to it. */
struct nap {
    int out, in;
};

static pthread_key_t key;
static pthread_once_t key_made = PTHREAD_ONCE_INIT;
static _Thread_local struct nap mine;
static _Thread_local int have;

static void close_nap(void *nap)
{
    close(((struct nap *)nap)->out);
    close(((struct nap *)nap)->in);
    have = 0;
}

static void make_key(void) { WEFT_ASSERT(pthread_key_create(&key, close_nap) == 0); }

static void prepare(weft_parker *p)
{
    if (!have) {
        int ends[2];

        WEFT_ASSERT(pthread_once(&key_made, make_key) == 0);
        WEFT_ASSERT(pipe(ends) == 0); /* no descriptor left at a worker's first sleep: there is no way to go on */
        fcntl(ends[0], F_SETFD, FD_CLOEXEC);
        fcntl(ends[1], F_SETFD, FD_CLOEXEC);
        mine = (struct nap){.out = ends[0], .in = ends[1]};
        have = 1;
        WEFT_ASSERT(pthread_setspecific(key, &mine) == 0);
    }
    p->env_word = &mine;
}

/* Takes the one byte that the unparker writes; waits for it if it is not there yet. */
static void absorb(weft_parker *p)
{
    char byte;
    ssize_t n;

    (void)p;
    do
        n = read(mine.out, &byte, 1);
    while (n < 0 && errno == EINTR);
    WEFT_ASSERT(n == 1);
}

static int sleep_until(weft_parker *p, int64_t deadline_ns)
{
    struct pollfd f = {.fd = mine.out, .events = POLLIN};
    int ms = -1;

    (void)p;
    if (deadline_ns != WEFT_NEVER) {
        const int64_t left = deadline_ns - weft__posix_now(NULL);

        if (left <= 0)
            return -ETIMEDOUT;
        ms = left / WEFT_MILLISECOND >= INT_MAX ? INT_MAX : (int)((left + WEFT_MILLISECOND - 1) / WEFT_MILLISECOND);
    }
    (void)poll(&f, 1, ms);
    return 0;
}

static void wake(weft_parker *p)
{
    struct nap *nap = p->env_word;
    ssize_t n;

    do
        n = write(nap->in, "", 1);
    while (n < 0 && errno == EINTR);
    WEFT_ASSERT(n == 1);
}

#endif

static int take_token(weft_parker *p)
{
    return __atomic_exchange_n(&p->word, NOTHING, __ATOMIC_ACQUIRE) == TOKEN; /* pairs with the exchange in unpark */
}

int weft__posix_park(void *self, weft_parker *p, int64_t deadline_ns)
{
    uint32_t seen = NOTHING;

    (void)self;
    if (__atomic_load_n(&p->word, __ATOMIC_RELAXED) == TOKEN)
        return take_token(p);
    if (deadline_ns != WEFT_NEVER && (deadline_ns <= 0 || deadline_ns <= weft__posix_now(NULL)))
        return take_token(p);
    prepare(p);
    /* Release: unpark reads env_word after it saw SLEEPER. */
    if (!__atomic_compare_exchange_n(&p->word, &seen, SLEEPER, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
        WEFT_ASSERT(seen == TOKEN); /* else two threads park on one parker */
        return take_token(p);
    }
    for (;;) {
        const int r = sleep_until(p, deadline_ns);

        if (__atomic_load_n(&p->word, __ATOMIC_RELAXED) == TOKEN)
            break;
        seen = SLEEPER;
        if (r == -ETIMEDOUT && __atomic_compare_exchange_n(&p->word, &seen, NOTHING, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
            return 0;
    }
    absorb(p);
    return take_token(p);
}

void weft__posix_unpark(void *self, weft_parker *p)
{
    const int saved = errno; /* the code that a signal handler interrupted may be about to read it */

    (void)self;
    /* Releases to the exchange in take_token, acquires env_word from the parker. */
    if (__atomic_exchange_n(&p->word, TOKEN, __ATOMIC_ACQ_REL) == SLEEPER)
        wake(p);
    errno = saved;
}
