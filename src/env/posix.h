/* The POSIX environment's functions by name: posix.c puts them into the table, bind.h calls the hot ones directly.
 * `self` is always NULL for them. All may be called from any thread. */
#ifndef WEFT_ENV_POSIX_H
#define WEFT_ENV_POSIX_H

#include <weft/env.h>

/* posix.c */
int64_t weft__posix_now(void *self);
int64_t weft__posix_wall(void *self);
void weft__posix_entropy(void *self, void *buf, size_t n);
void weft__posix_log(void *self, enum weft_log_level level, const char *text, size_t n);
void weft__posix_relax(void *self);
void weft__posix_give_way(void *self);

/* posix_memory.c */
size_t weft__posix_page_size(void);
void *weft__posix_map(void *self, size_t bytes, size_t align);
void weft__posix_unmap(void *self, void *p, size_t bytes);
void *weft__posix_map_as(void *self, size_t bytes, size_t align, enum weft_map_as how);
int weft__posix_guard(void *self, void *p, size_t bytes);
int weft__posix_guard_row(void *self, void *p, size_t bytes, size_t stride, unsigned n);
int weft__posix_unguard(void *self, void *p, size_t bytes);
void weft__posix_discard(void *self, void *p, size_t bytes);
int weft__posix_populate(void *self, void *p, size_t bytes);
size_t weft__posix_resident(void *self, void *p, size_t bytes);

/* How guards are made: found out at the first guard by trying (UNKNOWN before), or set by a test. */
enum weft__guard_kind { WEFT__GUARD_UNKNOWN, WEFT__GUARD_MADVISE, WEFT__GUARD_MPROTECT };
enum weft__guard_kind weft__posix_guard_kind(void);
void weft__posix_guard_force(enum weft__guard_kind kind);

/* posix_park.c: unpark is async-signal-safe. */
int weft__posix_park(void *self, weft_parker *p, int64_t deadline_ns);
void weft__posix_unpark(void *self, weft_parker *p);

/* posix_thread.c */
int weft__posix_thread_start(void *self, weft_thread **out, const weft_thread_options *opt, void (*fn)(void *), void *arg);
void weft__posix_thread_join(void *self, weft_thread *thread);
int weft__posix_worker_enter(void *self);
void weft__posix_worker_leave(void *self);
/* The same with signal stacks out of an environment's own memory.
 * One that is there already (a host's, a sanitizer's) is left alone. */
#define WEFT__SIGNAL_STACK_SIZE (64u << 10) /* room for AVX-512 state, a backtrace and its text */
int weft__posix_worker_enter_on(void *self, void *(*map)(void *self, size_t bytes, size_t align),
                                void (*unmap)(void *self, void *p, size_t bytes));
void weft__posix_worker_leave_on(void *self, void (*unmap)(void *self, void *p, size_t bytes));

/* posix_interrupt.c */
uintptr_t weft__posix_worker_tag(void *self);
int weft__posix_interrupt(void *self, uintptr_t worker_tag, void (*fn)(void *ctx, const void *machine), void *ctx);
int weft__posix_disturb(void *self, uintptr_t worker_tag);
/* The signals that carry interrupts and that disturb, or 0 where there are none.
 * Threads that are to be interrupted leave them unblocked. */
int weft__posix_disturb_signal(void);
int weft__posix_interrupt_signal(void);

/* posix_ran.c */
int weft__posix_ran(void *self, uintptr_t worker_tag, int64_t *ran_ns);

/* posix_symbol.c */
size_t weft__posix_symbol(void *self, uintptr_t pc, char *buf, size_t size);

/* topology.c */
int weft__posix_topology(void *self, weft_topology *out);
/* The same without hwloc: allocates nothing. */
int weft__posix_topology_plain(void *self, weft_topology *out);
int weft__posix_bind(void *self, const uint16_t *cpu, unsigned count);
/* Processors, by their system numbers: more than any kernel is built for on x86-64. */
typedef struct weft__cpu_mask {
    unsigned long words[8192 / 8 / sizeof(unsigned long)];
} weft__cpu_mask;
/* What the calling thread could run on before weft__posix_bind bound it; NULL: it is not bound. And what a thread does
 * with that which such a one has started, for it would be bound likewise. */
const weft__cpu_mask *weft__posix_bound(void);
void weft__posix_free(const weft__cpu_mask *mask);

/* fault_posix.c: the fault_watch slots. The alternate signal stack it reports on is there from worker_enter on. */
int weft__posix_fault_watch(void *self, weft_fault_fn *describe, void *ctx);
void weft__posix_fault_unwatch(void *self, void *ctx);

const char *weft__posix_setting(void *self, const char *name);
int weft__posix_signals(void *self, const int *signals, void (*fn)(void *ctx, int signal), void *ctx);

#endif
