/* The mutex and the channel that examples/own_locks.c builds, under many schedules:
 * its atomic operations are places where threads change. */
#include <stdatomic.h>

#undef atomic_load
#undef atomic_store
#undef atomic_compare_exchange_weak
#undef atomic_compare_exchange_strong
#define atomic_load(p) (host_point(), atomic_load_explicit(p, memory_order_seq_cst))
#define atomic_store(p, v) (host_point(), atomic_store_explicit(p, v, memory_order_seq_cst))
#define atomic_compare_exchange_weak(p, e, v)                                                                          \
    (host_point(), atomic_compare_exchange_weak_explicit(p, e, v, memory_order_seq_cst, memory_order_seq_cst))
#define atomic_compare_exchange_strong(p, e, v)                                                                        \
    (host_point(), atomic_compare_exchange_strong_explicit(p, e, v, memory_order_seq_cst, memory_order_seq_cst))

#include "../../examples/own_locks.c"
