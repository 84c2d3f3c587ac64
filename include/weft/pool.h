/* Calls that block: a function runs on a thread of a pool while its caller is parked and its worker goes on. For what
 * has no other way to wait: a library's name look-ups, a database, a long computation.
 *
 * Pools have names, and each has threads of its own, so that slow names never hold up slow disks. What has no name
 * (NULL) uses the runtime's own pool (weft_options.pool_threads), beside files, for which one thread is always kept. A
 * name that nobody has made a pool for gets one at its first use, of as many threads. Threads start as they are needed
 * and end when they have had nothing to do for a while. */
#ifndef WEFT_POOL_H
#define WEFT_POOL_H

#include <weft/runtime.h>
#include <weft/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WEFT_POOL_NAME_MAX 31 /* bytes, the closing zero not counted */

/* Zero means default. */
typedef struct weft_pool_options {
    unsigned threads; /* at most; default weft_options.pool_threads, 256 at most */
    unsigned line;    /* calls that wait for a thread, at most: one more answers -EAGAIN; 0: no limit */
    int64_t idle_ns;  /* a thread with nothing to do ends after; default 10 s */
} weft_pool_options;

/* Makes a pool, of the caller's runtime or of any; it is there until the runtime ends. 0; -EEXIST there is one of that
 * name, perhaps by its first use; -EINVAL no name, an empty or too long one; -ENOMEM; -ENOTSUP the environment has no
 * threads; -EPERM (weft_pool_make) no worker's thread. weft_pool_make_in: any thread; -EINVAL, too: no runtime. */
WEFT_API int weft_pool_make(const char *name, const weft_pool_options *opt);
WEFT_API int weft_pool_make_in(weft_runtime *rt, const char *name, const weft_pool_options *opt);

typedef struct weft_blocking_options {
    const char *pool; /* NULL: the runtime's own */
    int64_t deadline; /* 0: none */
    int disturb;      /* when it is to end and runs already, signals end the system calls that it is in, again and
                       * again, until it returns */
} weft_blocking_options;

/* Runs fn(arg) on a thread of a pool, and answers what it returned. What arg points to is used by another thread
 * meanwhile. A cancel, a kill or the deadline takes back a call that has not begun (-ECANCELED, -ETIMEDOUT); one that
 * runs is waited for, since a thread cannot be stopped, and its answer counts. With `disturb` system calls in fn that
 * signals end answer EINTR then, and fn is to take that for a request to return; it must not be inside a library that
 * does not expect this. Fibers only.
 * -ECANCELED at entry, too; -EAGAIN the pool's line is full, no thread could be started, or the limit of operations;
 * -EINVAL no function, or the pool's name is too long; -ENOTSUP no threads here; -EPERM no fiber. fn's own results are
 * best 0 and above, or errors. */
WEFT_API int64_t weft_blocking(int64_t (*fn)(void *arg), void *arg, const weft_blocking_options *opt);
#define weft_blocking_with(fn, arg, ...) weft_blocking((fn), (arg), &(weft_blocking_options){__VA_ARGS__})

#ifdef __cplusplus
}
#endif
#endif
