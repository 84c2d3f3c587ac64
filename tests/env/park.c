/* Parking: a token is never lost, wherever the unpark comes from and whenever; a deadline is met and never early;
 * nobody else's token is taken. */
#include <pthread.h>
#include <signal.h>

#include "arch/layout.h"
#include "env/posix.h"
#include "test.h"

static int64_t now(void) { return weft__posix_now(NULL); }
static int park(weft_parker *p, int64_t deadline) { return weft__posix_park(NULL, p, deadline); }
static void unpark(weft_parker *p) { weft__posix_unpark(NULL, p); }

static void alone(void)
{
    weft_parker p = {0}, other = {0};
    int64_t start;

    CHECK_EQ(park(&p, WEFT_NOW), 0);
    unpark(&p);
    unpark(&p); /* tokens do not add up */
    CHECK_EQ(park(&p, WEFT_NEVER), 1);
    CHECK_EQ(park(&p, WEFT_NOW), 0);
    unpark(&p);
    CHECK_EQ(park(&other, WEFT_NOW), 0);
    CHECK_EQ(park(&p, WEFT_NOW), 1); /* a past deadline still takes what is there */
    CHECK_EQ(park(&p, -5), 0);
    CHECK_EQ(park(&p, now() - 1), 0);

    start = now();
    CHECK_EQ(park(&p, start + 3 * WEFT_MILLISECOND), 0);
    CHECK(now() >= start + 3 * WEFT_MILLISECOND);
    CHECK_EQ(p.word, 0);
}

/* Two threads hand a token to and fro; each waits without a cap, so that a lost one is a hang. */
enum { ROUNDS = 20000 };
static weft_parker ping, pong;

static void *partner(void *arg)
{
    for (int i = 0; i < ROUNDS; i++) {
        CHECK_EQ(park(&ping, WEFT_NEVER), 1);
        unpark(&pong);
    }
    return arg;
}

static void to_and_fro(void)
{
    pthread_t t;

    CHECK_EQ(pthread_create(&t, NULL, partner, NULL), 0);
    for (int i = 0; i < ROUNDS; i++) {
        unpark(&ping);
        CHECK_EQ(park(&pong, WEFT_NEVER), 1);
    }
    pthread_join(t, NULL);
}

/* Deadlines that race with unparks: every token that was put is taken by one park or another. */
static weft_parker raced;
static uint32_t put, taken, done;

static void *taker(void *arg)
{
    uint64_t i = 0;

    while (!__atomic_load_n(&done, __ATOMIC_ACQUIRE))
        taken += (uint32_t)park(&raced, now() + (int64_t)(i++ % 7) * 3000);
    taken += (uint32_t)park(&raced, WEFT_NOW);
    return arg;
}

static void races(void)
{
    enum { TOKENS = 2000 };
    pthread_t t;

    CHECK_EQ(pthread_create(&t, NULL, taker, NULL), 0);
    while (put < TOKENS) {
        if (__atomic_load_n(&raced.word, __ATOMIC_RELAXED) == 1) {
            sched_yield();
            continue; /* one token at a time, so that they can be counted */
        }
        unpark(&raced);
        put++;
    }
    __atomic_store_n(&done, 1, __ATOMIC_RELEASE);
    pthread_join(t, NULL);
    CHECK_EQ(put, taken);
}

/* From a signal handler, on the very thread that is parked. */
static weft_parker from_handler;

static void handler(int signal)
{
    (void)signal;
    unpark(&from_handler);
}

static uint32_t woken;

static void *parked(void *arg)
{
    for (int i = 0; i < 200; i++) {
        CHECK_EQ(park(&from_handler, WEFT_NEVER), 1);
        __atomic_add_fetch(&woken, 1, __ATOMIC_RELEASE);
    }
    return arg;
}

static void signals(void)
{
    struct sigaction action = {.sa_handler = handler};
    pthread_t t;

    CHECK_EQ(sigaction(SIGUSR1, &action, NULL), 0);
    CHECK_EQ(pthread_create(&t, NULL, parked, NULL), 0);
    for (uint32_t i = 0; i < 200; i++) {
        CHECK_EQ(pthread_kill(t, SIGUSR1), 0);
        while (__atomic_load_n(&woken, __ATOMIC_ACQUIRE) <= i)
            weft__posix_relax(NULL);
    }
    pthread_join(t, NULL);
}

int main(void)
{
    alone();
    to_and_fro();
    races();
#if WEFT__TSAN /* which keeps a signal back that comes right before the system call in which the thread then sleeps */
    (void)signals;
#else
    signals();
#endif
    return 0;
}
