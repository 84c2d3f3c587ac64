/* The environment: the table through which the runtime reaches everything outside it that is not I/O. Clocks, entropy,
 * memory, threads, the log. env/posix.c fills one for POSIX systems; sim/ fills one with virtual time; an application
 * may fill its own.
 *
 * Every slot gets `self`, the table's own context. Slots marked [needed] must be filled: weft_start names each one that
 * is missing. The others may be NULL, and what depends on them is then off or answers -ENOTSUP. */
#ifndef WEFT_ENV_H
#define WEFT_ENV_H

#include <weft/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A place for one thread to sleep: a sticky token, so that an unpark before the park is not lost. Zero-initialised. */
typedef struct weft_parker {
    uint32_t word; /* 0 nothing, 1 token, 2 a thread sleeps here; only env touches it */
    uint32_t spare;
    void *env_word; /* for environments that need an object of their own */
} weft_parker;

typedef struct weft_thread weft_thread; /* what a started thread is; only env knows */

typedef struct weft_thread_options {
    const char *name;  /* at most 15 bytes are shown by the system */
    void *stack;       /* caller's memory for the stack, or NULL */
    size_t stack_size; /* of it, or 0 for the default */
} weft_thread_options;

enum weft_log_level { WEFT_LOG_ERROR = 0, WEFT_LOG_WARNING = 1, WEFT_LOG_INFO = 2, WEFT_LOG_DEBUG = 3 };

/* What the machine is, as far as placing workers needs it. Processors are numbered as the system numbers them. */
#define WEFT_CPU_MAX 256
typedef struct weft_topology {
    unsigned cpus;                    /* processors this process may use: affinity mask and cgroup quota already applied
                                       * (>= 1) */
    unsigned count;                   /* entries below, before the quota (<= WEFT_CPU_MAX) */
    uint16_t cpu[WEFT_CPU_MAX];       /* system numbers of the processors in the affinity mask */
    uint16_t package[WEFT_CPU_MAX];   /* package of each */
    uint16_t numa[WEFT_CPU_MAX];      /* memory node of each */
    uint16_t cache[WEFT_CPU_MAX];     /* last-level cache group of each */
    double quota;                     /* cgroup limit in processors, or 0 for none */
    const char *source;               /* who said so: "hwloc", "sched_getaffinity", "synthetic" */
} weft_topology;

/* Memory for other purposes than the runtime's own. */
enum weft_map_as {
    WEFT_MAP_SHARED = 1, /* the same memory in processes forked later */
    WEFT_MAP_HUGE,       /* on huge pages, or where there are none to be had, advised to become such */
    WEFT_MAP_KERNEL,     /* the kernel writes to it, maybe for a while after it was unmapped: these pages serve nobody
                          * else any more */
    WEFT_MAP_ADVISED     /* much of it will be in use: the system is advised to make huge pages of ordinary ones, and
                          * nothing is taken that was reserved */
};

/* Asked about a fault at this address: writes a report into buf and returns its length, 0 if the address is not ours.
 * It runs in a signal handler of the thread that faulted, on the alternate stack. `machine` is the handler's third
 * argument, the registers of the code that faulted; or NULL. A callback that has changed them, so that the thread goes
 * on elsewhere, answers WEFT_FAULT_MENDED. */
typedef size_t weft_fault_fn(void *ctx, uintptr_t address, void *machine, char *buf, size_t size);
#define WEFT_FAULT_MENDED SIZE_MAX

struct weft_env {
    const char *name;
    void *self;

    /* Monotonic clock, ns, never going back [needed]. Hot: called about once a tick. */
    int64_t (*now)(void *self);
    /* Time of day, ns since 1970 UTC. */
    int64_t (*wall)(void *self);
    /* Fills buf with unpredictable (in the simulator: seeded) bytes [needed]. */
    void (*entropy)(void *self, void *buf, size_t n);

    /* Memory by pages [map, unmap and page_size needed]. map returns zeroed, page-aligned, lazily committed memory or
     * NULL; `align` is a power of two, at least a page or 0. unmap takes whole mappings only. */
    size_t page_size;
    void *(*map)(void *self, size_t bytes, size_t align);
    void (*unmap)(void *self, void *p, size_t bytes);
    /* The same as map, for memory of another sort; `unmap` takes it back. NULL: there is none. */
    void *(*map_as)(void *self, size_t bytes, size_t align, enum weft_map_as how);
    /* Makes pages inaccessible so that any touch faults (0 or -errno); NULL: no guards are set. */
    int (*guard)(void *self, void *p, size_t bytes);
    int (*unguard)(void *self, void *p, size_t bytes);
    /* guard for n pieces of `bytes`, the next one `stride` behind the last: 0, or -errno and any of them may be
     * guarded. NULL: one after the other. */
    int (*guard_row)(void *self, void *p, size_t bytes, size_t stride, unsigned n);
    /* How many bytes one guard should take (0: one page). */
    size_t guard_size;
    /* Drops the contents of pages and gives the memory back; they read as zero after. NULL: kept. */
    void (*discard)(void *self, void *p, size_t bytes);
    /* Commits pages now: 0 or -ENOMEM. NULL: touching is enough. */
    int (*populate)(void *self, void *p, size_t bytes);
    /* How many bytes of [p, p+bytes) are committed right now, for watermarks; NULL: not known. */
    size_t (*resident)(void *self, void *p, size_t bytes);

    /* Threads. thread_start: 0 or -errno [needed for more than one worker]. thread_join waits for its end. */
    int (*thread_start)(void *self, weft_thread **out, const weft_thread_options *opt, void (*fn)(void *), void *arg);
    void (*thread_join)(void *self, weft_thread *thread);
    /* Sleeps until a token is there or the deadline passes; takes the token: 1 if there was one, 0 at the deadline
     * [needed]. unpark leaves a token and wakes the sleeper [needed]; it may be called from any thread and from signal
     * handlers. */
    int (*park)(void *self, weft_parker *p, int64_t deadline_ns);
    void (*unpark)(void *self, weft_parker *p);
    /* A hint while spinning for a short time; NULL: nothing. */
    void (*relax)(void *self);
    /* How many looks, with a relax in between, take about as long as it costs to put a thread to sleep and wake it up:
     * so many a worker takes before it sleeps, if messages of other workers have woken it at once lately. 0: none. */
    unsigned linger;
    /* Lets other threads run that wait for the calling one's processor, if there are any; NULL: the system sees to that
     * by itself. */
    void (*give_way)(void *self);

    /* Topology, and binding of the calling thread to processors (system numbers; none, count 0: to those it had before
     * it was bound); NULL: one processor, no binding. Threads that a bound one starts are not bound. */
    int (*topology)(void *self, weft_topology *out);
    int (*bind)(void *self, const uint16_t *cpu, unsigned count);

    /* One line of diagnostics, without a newline at its end. NULL: nothing is said. Must not wait and must not call
     * weft. */
    void (*log)(void *self, enum weft_log_level level, const char *text, size_t n);

    /* Called by each worker on its own thread as it starts and ends: alternate signal stack, thread-local set-up. May
     * be NULL. */
    int (*worker_enter)(void *self);
    void (*worker_leave)(void *self);
    /* Whose-guard-is-this callback for fault reports. Installing is process-wide and refcounted by (fn, ctx). May be
     * NULL. */
    int (*fault_watch)(void *self, weft_fault_fn *describe, void *ctx);
    void (*fault_unwatch)(void *self, void *ctx);
    /* A blocked worker's backtrace: has the thread with this tag (as given by worker_tag on it) run fn in a signal
     * handler, and waits for that. `machine` is the handler's third argument, the interrupted code's registers. May be
     * NULL. */
    uintptr_t (*worker_tag)(void *self);
    int (*interrupt)(void *self, uintptr_t worker_tag, void (*fn)(void *ctx, const void *machine), void *ctx);
    /* Ends the system call that the thread with this tag waits in, where a signal can end it, with EINTR; nothing else
     * happens to the thread. It does not wait. Any thread. 0 or -errno. May be NULL. */
    int (*disturb)(void *self, uintptr_t worker_tag);
    /* Whether the thread with this tag wants a processor: 0 it runs, or waits for one, and *ran_ns is how long it has
     * run so far, ns; 1 it is blocked in the kernel; -errno: not known (-ESRCH no such thread). Any thread. May be
     * NULL: never known. */
    int (*ran)(void *self, uintptr_t worker_tag, int64_t *ran_ns);
    /* A setting from outside by its name ("WEFT_MODE"): its text, or NULL where it is not set. May be NULL: no
     * settings. */
    const char *(*setting)(void *self, const char *name);
    /* From now on fn(ctx, signal) is called, in a signal handler, when one of these signals (ended by 0) arrives,
     * whatever their former action. 0; -EINVAL not a signal that can be caught; -EBUSY watched with another ctx. fn
     * NULL: ctx watches nothing any more, and no call with it is under way when this returns. May be NULL. */
    int (*signals)(void *self, const int *signals, void (*fn)(void *ctx, int signal), void *ctx);
    /* Resolves a code address to text "function+0x12 (file)" for reports; returns the length written. May be NULL. */
    size_t (*symbol)(void *self, uintptr_t pc, char *buf, size_t size);
};

/* The POSIX environment (Linux, BSD, macOS). One static table, shared by all runtimes of the process. */
WEFT_API const weft_env *weft_env_posix(void);

/* Strict mode: fills *out with an environment that takes all its memory from one block of the caller's and everything
 * else from *base, which must outlive it. map answers NULL when the block is used up. The block is cut to whole pages,
 * its first ones hold the books; it must be private memory (static, malloc'd, mapped), it is cleared as it is handed
 * out, and once everything is unmapped it is an ordinary piece of memory again. Finding room costs time in proportion
 * to the block's pages / 64. 0; -EINVAL without block or base; -ENOMEM: no page would be left. */
WEFT_API int weft_env_block(weft_env *out, const weft_env *base, void *memory, size_t size);
/* How much of such a block is free, in bytes, and the longest run of it; -EINVAL for another environment. */
WEFT_API int weft_env_block_free(const weft_env *env, size_t *free_bytes, size_t *longest);

/* The name of the first [needed] slot that `env` leaves empty, or NULL if none; call again with the slot's name to get
 * the next. */
WEFT_API const char *weft_env_missing(const weft_env *env, const char *after);

#ifdef __cplusplus
}
#endif
#endif
