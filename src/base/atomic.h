/* Named atomic operations. The ordering is in the name; the last argument names the place, so that a simulator's
 * schedule can switch threads there and a proof can refer to it. In ordinary builds the name costs nothing. */
#ifndef WEFT_BASE_ATOMIC_H
#define WEFT_BASE_ATOMIC_H

#include <stdint.h>

#ifdef WEFT_POINTS
/* Set by the simulator: called before each named atomic operation. */
extern void (*weft__point_hook)(const char *name);
static inline void weft__point(const char *name)
{
    if (weft__point_hook)
        weft__point_hook(name);
}
#else
#define weft__point(name) ((void)(name))
#endif

#define weft__load_relaxed(p, name) (weft__point(name), __atomic_load_n((p), __ATOMIC_RELAXED))
#define weft__load_acquire(p, name) (weft__point(name), __atomic_load_n((p), __ATOMIC_ACQUIRE))
#define weft__load_seq(p, name) (weft__point(name), __atomic_load_n((p), __ATOMIC_SEQ_CST))
#define weft__store_relaxed(p, v, name) (weft__point(name), __atomic_store_n((p), (v), __ATOMIC_RELAXED))
#define weft__store_release(p, v, name) (weft__point(name), __atomic_store_n((p), (v), __ATOMIC_RELEASE))
/* An exchange, which is what x86-64 makes of it anyway: qemu's aarch64 was seen to let a
 * later load pass a store-release. */
#define weft__store_seq(p, v, name) (weft__point(name), (void)__atomic_exchange_n((p), (v), __ATOMIC_SEQ_CST))
#define weft__exchange_acquire(p, v, name) (weft__point(name), __atomic_exchange_n((p), (v), __ATOMIC_ACQUIRE))
#define weft__exchange_release(p, v, name) (weft__point(name), __atomic_exchange_n((p), (v), __ATOMIC_RELEASE))
#define weft__exchange_acq_rel(p, v, name) (weft__point(name), __atomic_exchange_n((p), (v), __ATOMIC_ACQ_REL))
#define weft__exchange_seq(p, v, name) (weft__point(name), __atomic_exchange_n((p), (v), __ATOMIC_SEQ_CST))
#define weft__add_relaxed(p, v, name) (weft__point(name), __atomic_fetch_add((p), (v), __ATOMIC_RELAXED))
#define weft__add_acq_rel(p, v, name) (weft__point(name), __atomic_fetch_add((p), (v), __ATOMIC_ACQ_REL))
#define weft__add_seq(p, v, name) (weft__point(name), __atomic_fetch_add((p), (v), __ATOMIC_SEQ_CST))
#define weft__sub_acq_rel(p, v, name) (weft__point(name), __atomic_fetch_sub((p), (v), __ATOMIC_ACQ_REL))
#define weft__sub_seq(p, v, name) (weft__point(name), __atomic_fetch_sub((p), (v), __ATOMIC_SEQ_CST))
#define weft__or_seq(p, v, name) (weft__point(name), __atomic_fetch_or((p), (v), __ATOMIC_SEQ_CST))
#define weft__and_seq(p, v, name) (weft__point(name), __atomic_fetch_and((p), (v), __ATOMIC_SEQ_CST))
/* Strong compare-and-swap; *expected gets the value seen on failure.
 * Success orders acquire+release, failure acquires. */
#define weft__cas_acq_rel(p, expected, v, name)                                                                                    \
    (weft__point(name), __atomic_compare_exchange_n((p), (expected), (v), 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
#define weft__cas_seq(p, expected, v, name)                                                                                        \
    (weft__point(name), __atomic_compare_exchange_n((p), (expected), (v), 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
#define weft__fence_seq(name) (weft__point(name), __atomic_thread_fence(__ATOMIC_SEQ_CST))

/* Fields that different threads write sit on lines of their own. */
#define WEFT_CACHE_LINE 64

#endif
