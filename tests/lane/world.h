/* What tests of fibers and lanes share: running a function as the main fiber, in whatever mode and on whatever port
 * the environment says. */
#ifndef WEFT_TESTS_LANE_WORLD_H
#define WEFT_TESTS_LANE_WORLD_H

#include <errno.h>
#include <pthread.h>
#include <stdint.h>

#include <weft/weft.h>

#include "sched/spy.h"
#include "test.h"

static inline int get(const int *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
static inline void put(int *p, int v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
static inline int bump(int *p) { return __atomic_add_fetch(p, 1, __ATOMIC_ACQ_REL); }

/* An id as a word, which passes from thread to thread in one piece. */
static inline uint64_t id_to_word(weft_id id)
{
    uint64_t word;
    memcpy(&word, &id, sizeof word);
    return word;
}

static inline weft_id word_to_id(uint64_t word)
{
    weft_id id;
    memcpy(&id, &word, sizeof id);
    return id;
}

/* Far enough for a machine that is busy with other things. */
static inline int64_t soon(void) { return weft_after(20 * WEFT_SECOND); }

/* Runs fn as the main fiber with `workers` workers; what it returned, after everything has ended. */
static inline int run_main_with(int (*fn)(int, char **), const weft_options *opt)
{
    return weft_main(fn, 0, NULL, opt);
}

static inline int run_main(int (*fn)(int, char **), unsigned workers)
{
    weft_options opt = {.workers = workers};

    return run_main_with(fn, &opt);
}

/* The same under a spy: nothing is left, and the log says nothing. */
static inline void run_clean(int (*fn)(int, char **), unsigned workers)
{
    static spy s;
    weft_options opt = {.workers = workers, .env = spy_open(&s), .blocked_ns = -1};

    CHECK_EQ(run_main_with(fn, &opt), 0);
    SPY_SILENT(&s);
    spy_close(&s);
}

/* A foreign thread, which the caller's runtime expects to hear of, from now on and for ever. */
static inline pthread_t thread_of(void *(*fn)(void *), void *arg)
{
    pthread_t t;

    if (weft_current())
        CHECK_OK(weft_guest_enter(weft_current()));
    CHECK_EQ(pthread_create(&t, NULL, fn, arg), 0);
    return t;
}

/* Waits on a foreign thread until the figure is there; the test's time limit ends it if it never is. */
static inline void until(const int *p, int v)
{
    while (get(p) < v)
        sched_yield();
}

static inline uint32_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

#endif
