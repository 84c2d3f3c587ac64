/* An environment that watches: it passes everything on to the POSIX one, counts, keeps the log, and fails what it is
 * told to fail.
 *
 *     static spy s;
 *     weft_options opt = {.env = spy_open(&s)};
 *     ...
 *     spy_close(&s);     everything that was mapped is unmapped, every thread was joined
 *
 * Not in builds that bind the environment directly: there only the slots that go through the table are seen. */
#ifndef WEFT_TESTS_SCHED_SPY_H
#define WEFT_TESTS_SCHED_SPY_H

#include <errno.h>
#include <pthread.h>

#include <weft/env.h>

#include "env/default.h"
#include "test.h"

typedef struct spy {
    weft_env env;
    const weft_env *base;
    long maps, unmaps, bytes, threads, joins, parks, unparks; /* atomic */
    /* The fail_map-th call fails (from 1; 0: none), or all from fail_maps_from on. */
    long map_calls, fail_map, fail_maps_from;
    long thread_calls, fail_thread;
    void *watched_parker; /* parks of this one are counted apart */
    long watched_parks;
    pthread_mutex_t lock;
    size_t log_size;
    char log[1 << 16];
} spy;

static inline long spy_get(const long *p) { return __atomic_load_n(p, __ATOMIC_SEQ_CST); }
static inline long spy_add(long *p, long n) { return __atomic_add_fetch(p, n, __ATOMIC_SEQ_CST); }

static inline void *spy_map(void *self, size_t bytes, size_t align)
{
    spy *s = self;
    const long call = spy_add(&s->map_calls, 1);

    if (call == s->fail_map || (s->fail_maps_from && call >= s->fail_maps_from))
        return NULL;
    void *p = s->base->map(s->base->self, bytes, align);
    if (p) {
        spy_add(&s->maps, 1);
        spy_add(&s->bytes, (long)bytes);
    }
    return p;
}

static inline void *spy_map_as(void *self, size_t bytes, size_t align, enum weft_map_as how)
{
    spy *s = self;

    void *p = s->base->map_as(s->base->self, bytes, align, how);
    if (p) {
        spy_add(&s->maps, 1);
        spy_add(&s->bytes, (long)bytes);
    }
    return p;
}

static inline void spy_unmap(void *self, void *p, size_t bytes)
{
    spy *s = self;

    spy_add(&s->unmaps, 1);
    spy_add(&s->bytes, -(long)bytes);
    s->base->unmap(s->base->self, p, bytes);
}

static inline int spy_thread_start(void *self, weft_thread **out, const weft_thread_options *opt, void (*fn)(void *),
                                   void *arg)
{
    spy *s = self;

    if (spy_add(&s->thread_calls, 1) == s->fail_thread)
        return -EAGAIN;
    const int r = s->base->thread_start(s->base->self, out, opt, fn, arg);
    if (r == 0)
        spy_add(&s->threads, 1);
    return r;
}

static inline void spy_thread_join(void *self, weft_thread *t)
{
    spy *s = self;

    s->base->thread_join(s->base->self, t);
    spy_add(&s->joins, 1);
}

static inline int spy_park(void *self, weft_parker *p, int64_t deadline_ns)
{
    spy *s = self;

    spy_add(&s->parks, 1);
    if (p == __atomic_load_n(&s->watched_parker, __ATOMIC_SEQ_CST))
        spy_add(&s->watched_parks, 1);
    return s->base->park(s->base->self, p, deadline_ns);
}

static inline void spy_unpark(void *self, weft_parker *p)
{
    spy *s = self;

    spy_add(&s->unparks, 1);
    s->base->unpark(s->base->self, p);
}

/* May be called in a signal handler, on a thread that holds nothing of ours. */
static inline void spy_log(void *self, enum weft_log_level level, const char *text, size_t n)
{
    spy *s = self;

    (void)level;
    pthread_mutex_lock(&s->lock);
    if (s->log_size + n + 2 <= sizeof s->log) {
        memcpy(s->log + s->log_size, text, n);
        s->log_size += n;
        s->log[s->log_size++] = '\n';
        s->log[s->log_size] = 0;
    }
    pthread_mutex_unlock(&s->lock);
}

static inline const weft_env *spy_open(spy *s)
{
    memset(s, 0, sizeof *s);
    pthread_mutex_init(&s->lock, NULL);
    s->base = weft__default_env();
    s->env = *s->base;
    s->env.name = "spy";
    s->env.self = s;
    s->env.map = spy_map;
    s->env.unmap = spy_unmap;
    s->env.map_as = s->base->map_as ? spy_map_as : NULL;
    s->env.thread_start = spy_thread_start;
    s->env.thread_join = spy_thread_join;
    s->env.park = spy_park;
    s->env.unpark = spy_unpark;
    s->env.log = spy_log;
    return &s->env;
}

static inline int spy_says(spy *s, const char *text)
{
    pthread_mutex_lock(&s->lock);
    const int found = strstr(s->log, text) != NULL;
    pthread_mutex_unlock(&s->lock);
    return found;
}

#define SPY_SAYS(s, text)                                                                                              \
    do {                                                                                                               \
        if (!spy_says((s), (text)))                                                                                    \
            TEST_FAIL("the log lacks \"%s\"; it says:\n%s", (text), (s)->log);                                         \
    } while (0)

#define SPY_SILENT(s)                                                                                                  \
    do {                                                                                                               \
        if ((s)->log_size)                                                                                             \
            TEST_FAIL("the log should be empty; it says:\n%s", (s)->log);                                              \
    } while (0)

/* Nothing is left of what went through it. */
static inline void spy_close(spy *s)
{
    CHECK_EQ(spy_get(&s->maps), spy_get(&s->unmaps));
    CHECK_EQ(spy_get(&s->bytes), 0);
    CHECK_EQ(spy_get(&s->threads), spy_get(&s->joins));
}

#endif
