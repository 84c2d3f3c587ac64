/* The runtime: starting one, stopping it, and the five ways into it.
 *
 *   weft_main               a program that is all weft: start() is the first fiber, the program ends when it and its
 *                           lanes have ended
 *   weft_init / weft_fini   main() itself becomes a fiber and may wait like any other
 *   weft_start ... weft_end a runtime in the background of an existing program; several may live in one process
 *   weft_run                a host's own thread joins a runtime as a worker, and leaves again
 *   weft_pollable, weft_run_once   inside somebody else's event loop
 *
 * In all of them the same modes apply (docs/modes.md): how many workers there are, who does the I/O, and what
 * moves. */
#ifndef WEFT_RUNTIME_H
#define WEFT_RUNTIME_H

#include <weft/id.h>
#include <weft/port.h>
#include <weft/types.h>

#ifdef __cplusplus
extern "C" {
#endif

enum weft_mode {
    WEFT_MODE_DEFAULT = 0, /* what the environment variable WEFT_MODE says, else WEFT_SHARED */
    WEFT_SHARED,           /* N workers, a port each; newborn lanes and tasks move to idle workers */
    WEFT_SINGLE_IO,        /* one I/O thread owns the only port, N workers compute */
    WEFT_PER_CORE          /* N bound workers, a port each; nothing moves, listeners are sharded by the kernel */
};

/* Zero means default everywhere. */
typedef struct weft_options {
    enum weft_mode mode;
    unsigned workers;               /* 0: WEFT_WORKERS, else as many as the process may use processors */
    const char *port;               /* "auto", "uring", "epoll"; NULL: WEFT_PORT, else auto */
    const weft_env *env;            /* NULL: weft_env_posix() */
    const weft_port_driver *driver; /* overrides `port` */
    weft_port_config port_config;
    size_t stack_size;              /* reserved for a fiber, default 256 KiB */
    unsigned stacks_committed;      /* this many stacks of stack_size are committed at start, without guards; there are
                                     * no others then */
    unsigned max_stacks;            /* alive or pooled at once, 0: no limit */
    int64_t tick_ns;                /* how long a worker runs tasks before it looks at its port, default 100 us */
    int64_t blocked_ns;             /* a fiber that runs longer than this is reported, and again each time its turn is
                                     * twice as long as at the report before; time in which the machine kept its
                                     * worker waiting for a processor does not count; default 100 ms; negative: never */
    int64_t grace_ns;               /* between asking lanes to end and killing them at stop, default 5 s */
    unsigned pool_threads;          /* blocking pool, default 8 */
    /* Limits, 0: none. At one the call that would pass it answers -EAGAIN (memory: -ENOMEM), or waits for room if its
     * options say so. */
    unsigned max_fibers;            /* alive at once */
    unsigned max_lanes;             /* beside the root: not joined yet, or not ended if detached */
    unsigned max_ids;               /* sockets, files and other resources of all lanes */
    unsigned max_ops;               /* operations in flight */
    size_t max_vat_bytes;           /* memory of all lanes' vats, by pages */
    /* Stack memory as committed, pooled stacks included. It is sampled, because the program itself commits it by
     * touching it: at the bound no fiber or lane is admitted any more (-ENOMEM), but those that are there may still
     * grow. With stacks_committed their number is the bound, and a hard one. -ENOTSUP where the environment cannot tell
     * what is committed. */
    size_t max_stack_bytes;
    int ops_wait;                   /* at max_ops, operations wait for room within their deadline */
    unsigned max_messages;          /* in a lane's mailbox, where its own limits do not say */
    size_t max_message_bytes;
    /* In per-core mode each worker is bound to the processors that share one last-level cache, where there are others,
     * the thread in weft_main and from weft_init to weft_fini too, but not those that come by weft_run or
     * weft_run_once; threads that the runtime starts for blocking calls are not. Threads and processes that the program
     * itself starts there inherit the binding, and a runtime that it makes there sees those processors only. This: bind
     * nobody. */
    int no_binding;
    int external_workers;           /* start no worker threads: threads come by weft_run or weft_run_once */
    /* Called when nothing in the runtime can ever run again although fibers wait: no fiber or task is ready, no timer
     * armed, no operation in flight, no signal waited for, and no thread has announced itself (weft_guest_enter).
     * `report` names every fiber, its lane, where it was spawned, what it waits for and who has that, a line each; it
     * is gone when this returns. On a worker's thread, outside any fiber, while the others sleep; it may do what a
     * foreign thread may, weft_stop for one. If it wakes nobody, nothing goes on. NULL: weft_main writes the report to
     * the log, kills every lane and answers WEFT_EXIT_DEADLOCK; in the other ways in nobody looks. */
    void (*stuck)(weft_runtime *rt, const char *report, void *arg);
    void *stuck_arg;
    void *memory;                   /* strict mode: all memory of the core comes from here (at least 1 MiB, see
                                     * weft_env_block) */
    size_t memory_size;
} weft_options;

/* Runs start(argc, argv) as the main fiber of the root lane, on all cores, until it and every lane it made have ended.
 * Returns an exit status: 0, start's own positive result, 1 after printing why (a negative result, or a runtime that
 * would not start), or WEFT_EXIT_DEADLOCK after printing who waits for what (weft_options.stuck). */
#define WEFT_EXIT_DEADLOCK 88
WEFT_API int weft_main(int (*start)(int argc, char **argv), int argc, char **argv, const weft_options *opt);

/* Makes the calling thread worker 0 of a new runtime and its caller the main fiber of the root lane: from here on the
 * caller may make every call that waits. 0; -EALREADY inside a runtime; or as weft_start. weft_fini, called by the same
 * fiber, waits until every other fiber and lane has ended (or, past the deadline, cancels them, and kills them after
 * the grace) and ends the runtime; afterwards the caller is an ordinary thread again. 0; -ETIMEDOUT; or why a child
 * lane failed that was not joined, which cancels the others (see weft_exit). -EPERM, and nothing has happened: another
 * fiber than the one that weft_init made. */
WEFT_API int weft_init(const weft_options *opt);
WEFT_API int weft_fini(int64_t deadline);

/* Starts a runtime whose workers are threads of its own and returns once they run. Errors: -EINVAL an option out of
 * range or a table with empty needed slots (each is named in the log); -ENOSYS no port driver works; -ENOMEM; -EAGAIN
 * no more threads. */
WEFT_API int weft_start(weft_runtime **out, const weft_options *opt);
/* Asks the runtime to end: no more lanes are taken, all lanes are cancelled; after the grace those still alive are
 * killed; what does not end even so is named in the log. Returns at once. Any thread, fibers of the runtime and signal
 * handlers included. 0, also when it was asked before; -EINVAL no runtime. */
WEFT_API int weft_stop(weft_runtime *rt);
/* Waits until every lane has ended: 0, or -ETIMEDOUT. Not from a worker or fiber of the same runtime (-EDEADLK).
 * -EINVAL no runtime. */
WEFT_API int weft_wait(weft_runtime *rt, int64_t deadline);
/* Stops what still runs, waits for it, ends the workers and frees everything. 0; -EBUSY from a thread inside it, or,
 * with external_workers, while a lane is left or a host's thread has not returned from weft_run (all are asked to end
 * all the same); -EINVAL no runtime. */
WEFT_API int weft_end(weft_runtime *rt);

/* Makes the calling thread a worker of rt until the runtime ends or weft_leave(rt) asks one such thread to go; a thread
 * goes once no lane is at home on it, and the first one stays to the end. There are opt.workers places; whoever leaves
 * gives its place back. Returns 0, or -EALREADY if the thread is a worker, -EAGAIN if all places are taken, -ESHUTDOWN
 * every lane has ended; -ENOMEM, or the driver's error, where no port is to be had for it; -EINVAL no runtime.
 * weft_leave, from any thread: 0; -EINVAL no runtime. */
WEFT_API int weft_run(weft_runtime *rt);
WEFT_API int weft_leave(weft_runtime *rt);

/* Threads that are no workers, signal handlers of one's own and other runtimes, which may wake somebody here although
 * nothing here runs (by unparking, sending, stopping): as long as one has entered, nobody says that nothing can run any
 * more (weft_options.stuck). Whoever starts such a thread enters for it, a fiber, say, and it leaves when it will call
 * in no more. A runtime in somebody else's event loop, and one that has itself started another, need not be told. Costs
 * an atomic addition; may be nested. Any thread, while the runtime exists. 0; -EINVAL: no runtime, or nobody has
 * entered. */
WEFT_API int weft_guest_enter(weft_runtime *rt);
WEFT_API int weft_guest_leave(weft_runtime *rt);

/* For a foreign event loop. Start with external_workers = 1 and workers = 1. weft_pollable gives a descriptor that
 * polls readable when there is something to do; weft_run_once does it, waiting until the deadline at most (WEFT_NOW:
 * not at all), and returns 1 if there is more to do at once, 0 if not, -ESHUTDOWN once every lane has ended. *next_ns,
 * if not NULL, gets the time of the next timer or WEFT_NEVER. Always from the same thread, which the first of these
 * calls makes a worker: so that one also has the errors of weft_run. weft_pollable: 0; -ENOTSUP the driver has no such
 * descriptor (weft_run_once works all the same); -EINVAL no runtime, or no place for the descriptor. */
WEFT_API int weft_pollable(weft_runtime *rt, weft_handle *out);
WEFT_API int weft_run_once(weft_runtime *rt, int64_t deadline, int64_t *next_ns);

/* The runtime of the calling fiber or worker, or NULL on a foreign thread. */
WEFT_API weft_runtime *weft_current(void);

/* Time on the runtime's monotonic clock, and that time plus ns (saturating at WEFT_NEVER). On a foreign thread: the
 * POSIX clock. */
WEFT_API int64_t weft_now(void);
WEFT_API int64_t weft_after(int64_t ns);
/* Time of day of the runtime's environment, ns since 1970 UTC. */
WEFT_API int64_t weft_wall_clock(void);

/* What a runtime is, for programs that show it. */
typedef struct weft_info {
    enum weft_mode mode;
    const char *port;        /* driver's name */
    unsigned workers;
    unsigned cpus;           /* that the process may use; 0: not asked, for one worker that is not bound needs none of
                              * it */
    size_t stack_size;
    const char *topology;    /* who described the machine, or "not asked" */
} weft_info;
/* Any thread. 0; -EINVAL no runtime, or no place for it. */
WEFT_API int weft_runtime_info(weft_runtime *rt, weft_info *out);

/* Live figures, summed over workers at the time of the call; each is exact for its worker at some recent moment. */
typedef struct weft_stats {
    uint64_t fibers_spawned, fibers_ended, lanes_spawned, lanes_ended;
    uint64_t ticks, tasks_run, switches, steals, parks, wakes; /* wakes: sleeping workers woken by a system call */
    uint64_t ops_started, ops_completed, kernel_entries;
    uint64_t timers_armed, timers_fired;
    uint64_t stacks_reserved, stacks_used; /* stacks that exist, pooled ones included; of them, those that fibers stand
                                            * on now */
    uint64_t blocked_reports;
    uint64_t lanes_stolen; /* newborns that another worker took than the one they were made on */
    uint64_t lanes_placed; /* newborns that were sent to another worker, because there were fewer lanes, or because they
                            * were to start there */
    uint64_t lanes_moved;  /* moves of mobile lanes */
    uint64_t ops_in_flight; /* taken by a port and not ended: those of fibers' calls, and what streams and listeners
                             * keep armed */
    /* By enum weft_id_kind: descriptors whose close the system answered with an error, with nobody left to be told: of
     * ids that were closed, that died with their lanes, and of what came too late for anybody to have. The descriptor
     * is gone; what it held back to be written may be as well. */
    uint64_t close_failures[WEFT_ID_KINDS];
} weft_stats;
/* Any thread. 0; -EINVAL no runtime, or no place for them. */
WEFT_API int weft_runtime_stats(weft_runtime *rt, weft_stats *out);

/* Who moved where: one worker's part of it. */
typedef struct weft_worker_stats {
    uint64_t lanes_born;   /* here, wherever they were made */
    uint64_t lanes_stolen; /* of them, taken from other workers or from the shared queue */
    uint64_t lanes_placed; /* of them, sent here */
    uint64_t lanes_in;     /* mobile lanes that have come */
    uint64_t lanes_out;    /* and that have gone */
    uint64_t lanes_ended;
    uint32_t load;         /* lanes at home here now, and descriptors that lanes elsewhere use through this worker's
                            * port */
} weft_worker_stats;
/* Of worker 0, 1...; in single-io mode worker 0 does the I/O. Any thread. 0; -EINVAL no runtime, or no place for it;
 * -ENOENT no such worker, or it has not come yet. */
WEFT_API int weft_runtime_worker(weft_runtime *rt, unsigned worker, weft_worker_stats *out);

/* How an op is carried out by this runtime's port, and why ("" if there is nothing to say). WEFT_PATH_NONE: not at all,
 * or there is no worker yet. Any thread. */
WEFT_API enum weft_path weft_runtime_path(weft_runtime *rt, enum weft_opcode code, const char **why);

WEFT_API const char *weft_mode_name(enum weft_mode mode);
/* 0 and *out, or -EINVAL for an unknown name. */
WEFT_API int weft_mode_named(const char *name, enum weft_mode *out);
#define WEFT_VERSION "0.1.0"
WEFT_API const char *weft_version(void);

#ifdef __cplusplus
}
#endif
#endif
