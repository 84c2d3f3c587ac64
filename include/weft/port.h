/* Ports: completion ports. A port takes ops, hands them to the kernel (or to a simulator) and yields completions.
 * The runtime gives each worker one; a port is also an object of its own, usable without runtime or fibers: submit
 * from any thread, reap from any thread.
 *
 * Behind a port stands a driver, a table of functions; port/uring.c and port/epoll.c each fill one, an application
 * may fill another. */
#ifndef WEFT_PORT_H
#define WEFT_PORT_H

#include <weft/env.h>
#include <weft/op.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Descriptors --------------------------------------------------------------------------------------------- */

/* Who waits for one direction of a descriptor without an op. Its memory is the watcher's until it watches no more. */
typedef struct weft_watcher {
    weft_desc *desc;     /* NULL: it watches no longer, because the descriptor was closed */
    const void *through; /* as an op's */
    /* There may be something now, or `desc` has become NULL. Home thread, inside enter or a close; it submits
     * nothing. */
    void (*told)(struct weft_watcher *w);
    const void *soon;    /* the watcher's owner's: what `told` touches beside this, and may find it by. A port only has
                          * it brought near before; NULL: nothing */
} weft_watcher;

enum weft_desc_kind { WEFT_DESC_STREAM, WEFT_DESC_LISTENER, WEFT_DESC_FILE, WEFT_DESC_DIR, WEFT_DESC_OTHER };

/* A system handle under a port's care. It is counted by its handles (weft ids, attachments) and by its ops; closing
 * makes the kernel's close come with the last handle and the last terminal completion (DESIGN rule 6). Only the home
 * port's thread touches it. */
struct weft_desc {
    /* What each operation looks at, up to write_head. */
    weft_handle handle;
    weft_port *port;   /* home, or NULL before its first op */
    uint32_t handles;  /* who may still submit */
    uint32_t flying;   /* ops not yet terminal */
    uint8_t kind;      /* enum weft_desc_kind */
    uint8_t closing;   /* no handle is left: the last op closes it */
    uint8_t registered; /* a readiness driver has it in its set */
    uint8_t latch;     /* readiness seen and not used up: WEFT_READABLE... */
    uint8_t drains;    /* the driver's: a short read or write proves that the next one would wait */
    uint8_t offsets;   /* the driver's: it was asked, and is not one that pread(2) refuses */
    weft_op *ops;      /* in flight, by desc_next/desc_prev, and not asked to end */
    weft_watcher *watcher[2]; /* a readiness driver's: of reading, of writing; whoever it is stands before the ops in
                               * that queue */
    /* A readiness driver's waiting ops, in order, one queue a direction, and POLL ops apart: they take nothing from
     * anybody. */
    weft_op *read_head, *write_head;
    weft_op *read_tail, *write_tail, *poll_head, *poll_tail;

    weft_op *ops2;     /* as ops, of those that have this as desc2 */
    weft_op *ending, *ending2; /* those that were asked to end and have not yet */
    weft_op *closers;  /* CLOSE ops that wait for the end of this, by wait_next */
    uint64_t key;      /* the caller's; completions on stand-alone ports carry it */
    /* Called with the close's result once the descriptor is gone and this record may be reused; on the home port's
     * thread. */
    void (*closed)(weft_desc *desc, int result);
    void *owner; /* for closed */
};

/* ---- The driver table ---------------------------------------------------------------------------------------- */

enum weft_sockopt {
    WEFT_NODELAY, WEFT_KEEPALIVE, WEFT_RCVBUF, WEFT_SNDBUF, WEFT_REUSEADDR, WEFT_REUSEPORT, WEFT_V6ONLY, WEFT_LINGER_S,
    WEFT_SOCKERR, WEFT_RCVLOWAT
};

typedef struct weft_listen_flags {
    int backlog; /* 0: the system's largest */
    int reuse_port, v6only;
    unsigned mode; /* permissions of a Unix socket's file, 0: as umask says */
} weft_listen_flags;

/* How a port's driver is set up. Zero means default. */
typedef struct weft_port_config {
    unsigned entries;       /* submission queue, default 256; more ops than that are deferred, never refused */
    unsigned buffer_size;   /* of a provided buffer, rounded up to 64 bytes, default 4096 */
    unsigned buffer_count;  /* rounded up to a power of two, 32768 at most, default 256 */
    int shared;             /* entered by several threads in turn (stand-alone ports): no SINGLE_ISSUER */
    int attach_handle;      /* a ring whose io-wq is shared, or -1/0 for none */
    unsigned disable;       /* WEFT_URING_NO_*: features to do without, for tests and measurements */
    void *memory;           /* strict mode: the driver's memory, or NULL for env->map */
    size_t memory_size;
} weft_port_config;

#define WEFT_URING_NO_DEFER 0x01u    /* COOP_TASKRUN instead of DEFER_TASKRUN */
#define WEFT_URING_NO_MULTISHOT 0x02u
#define WEFT_URING_NO_BUFRING 0x04u
#define WEFT_URING_NO_REGRING 0x08u
#define WEFT_URING_SQPOLL 0x10u

typedef struct weft_port_driver {
    const char *name;

    /* Life, on the thread that becomes the home [all needed]. open: 0 or -errno, sets port->state. close: no op is
     * in flight. */
    int (*open)(weft_port *port, const weft_port_config *config);
    void (*close)(weft_port *port);

    /* Takes an op, home thread only [needed]. Never fails: an op that cannot be carried out completes with an error.
     * It may complete before submit returns (readiness drivers try first). The kernel may not see it before the next
     * enter. op->path is the path to take: what `path` answered, or, after weft_port_refuse of RING for an op on a
     * descriptor, READY: wait for its direction, then weft__op_attempt. */
    void (*submit)(weft_port *port, weft_op *op);
    /* Asks for an op's end; its terminal completion still comes, with whatever really happened. Home thread
     * [needed]. */
    void (*cancel)(weft_port *port, weft_op *op);
    /* Hands over what was submitted and reaps what completed, in one kernel entry where it can [needed]. With
     * nothing to reap it waits until a completion, a wake, a signal or deadline_ns (WEFT_NOW: does not wait).
     * Completions go to weft_port_complete and weft_port_more; when weft_port_room answers 0 the rest stays where it
     * is (pending then says so) and enter returns. */
    void (*enter)(weft_port *port, int64_t deadline_ns);
    /* Whether enter would have anything to hand over or reap, without asking the kernel; NULL: unknown. Home thread. */
    int (*pending)(weft_port *port);
    /* Ends another thread's wait in enter, or the next one [needed]. Any thread, signal handlers included. */
    void (*wake)(weft_port *port);
    /* A descriptor that polls readable when enter has something to do. NULL, or WEFT_NOHANDLE from it: the port cannot
     * live in a foreign loop as it was opened (a ring must have been opened with WEFT_URING_NO_DEFER). */
    weft_handle (*pollable)(weft_port *port);
    /* How an op is carried out here [needed]; WEFT_PATH_POOL leaves it to the blocking pool, NONE answers -ENOTSUP. */
    enum weft_path (*path)(weft_port *port, enum weft_opcode code);
    /* One line why, for `weft info`; may be NULL. */
    const char *(*why)(weft_port *port, enum weft_opcode code);
    /* A descriptor leaves the port (before its close, or to move): nothing of it is in flight. May be NULL. */
    void (*forget)(weft_port *port, weft_desc *desc);
    /* A provided buffer comes back; home thread. */
    void (*release)(weft_port *port, uint32_t bid);

    /* Calls that never wait, from any thread; NULL answers -ENOTSUP. All handles are non-blocking and close-on-exec. */
    int (*socket)(weft_port *port, weft_handle *out, const weft_addr *like);
    int (*listen)(weft_port *port, weft_handle *out, const weft_addr *addr, const weft_listen_flags *flags);
    int (*address)(weft_port *port, weft_handle h, int peer, weft_addr *out);
    int (*setopt)(weft_port *port, weft_handle h, enum weft_sockopt opt, int value);
    int (*getopt)(weft_port *port, weft_handle h, enum weft_sockopt opt, int *value);
    int (*shutdown)(weft_port *port, weft_handle h, int how);
    int (*close_handle)(weft_port *port, weft_handle h);

    /* 1: submit of the first op of a chain takes the whole chain, each op completing on its own; 0: the core runs
     * chains. */
    int chains;

    /* For drivers that try before they wait: the same without an op in flight, on a descriptor that lives here. All
     * three or none; home thread. attempt makes one try at a RECV, SEND (buf, len) or READV, WRITEV (vectors, their
     * count): a result, or -EAGAIN, and then says so in the descriptor's latch. watch sees to it that its watchers are
     * told: 0, or an error (submit the op instead). unwatched: a watcher has left, and `op`, the first of those that
     * stand in that queue, is next. */
    int64_t (*attempt)(weft_port *port, weft_desc *desc, enum weft_opcode code, void *buf, size_t len);
    int (*watch)(weft_port *port, weft_desc *desc);
    void (*unwatched)(weft_port *port, weft_op *op);

    /* Carries out an OPEN, STAT or PREAD, filled and not submitted, if that takes no waiting for a disk or for somebody
     * else: its result. -EAGAIN: it would, or nobody can tell. -EOPNOTSUPP: nor will anybody ever on this descriptor.
     * Then nothing has happened, and who wants it done submits it. Any thread that may use the descriptor. NULL:
     * nothing is known to take no waiting. */
    int64_t (*file_at_once)(weft_port *port, weft_op *op);
} weft_port_driver;

WEFT_API const weft_port_driver *weft_driver_uring(void); /* NULL where it was not built */
WEFT_API const weft_port_driver *weft_driver_epoll(void);
/* By name ("uring", "epoll", "auto", NULL = auto: what WEFT_PORT says, else the first that opens); NULL: no such
 * driver here. */
WEFT_API const weft_port_driver *weft_driver_named(const char *name);
/* The name of the first needed slot left empty, after the one named `after` (NULL: the first); NULL: none. */
WEFT_API const char *weft_driver_missing(const weft_port_driver *driver, const char *after);

/* For drivers: an op's terminal completion, an intermediate result, and an op this driver turned out unable to do
 * (result says why: the next path is tried, at the end the error stands). Home thread, inside submit, cancel or
 * enter. */
WEFT_API void weft_port_complete(weft_port *port, weft_op *op, int64_t result);
WEFT_API void weft_port_more(weft_port *port, weft_op *op, int64_t result, weft_buffer *buffer);
WEFT_API void weft_port_refuse(weft_port *port, weft_op *op, int64_t result);
/* How many more results the port's owner takes in this enter; at 0 a driver calls weft_port_more for nobody and
 * stops reaping. */
WEFT_API unsigned weft_port_room(const weft_port *port);

/* For drivers that an application writes: what open keeps of its own (NULL at first), and the environment whose memory
 * and clock it should use. open sets the state, on the home thread; any thread may read both. */
WEFT_API void weft_port_set_state(weft_port *port, void *state);
WEFT_API void *weft_port_state(const weft_port *port);
WEFT_API const weft_env *weft_port_env(const weft_port *port);

/* ---- A port of one's own ------------------------------------------------------------------------------------- */

typedef struct weft_port_options {
    const weft_env *env;             /* NULL: weft_env_posix() */
    const weft_port_driver *driver;  /* NULL: weft_driver_named(NULL) */
    weft_port_config config;
    unsigned concurrency;            /* how many threads may be running between two reaps; 0: no limit */
    unsigned completions;            /* results held for reapers, default 1024; what is more waits in the kernel */
    unsigned pool_threads;           /* blocking pool, default 4 */
} weft_port_options;

/* One result. Intermediate results of MULTI ops have more = 1. */
typedef struct weft_completion {
    weft_op *op;
    uint64_t key;       /* of the descriptor, or of the op where it has none */
    int64_t result;
    int more;
    weft_buffer buffer; /* data NULL: none; else the reaper's, to be given back */
} weft_completion;

/* The port's memory comes from env->map. 0; -EINVAL a table with empty needed slots (said in the log), or more than a
 * million completions; -ENOMEM; -ENOSYS no driver works here; else the driver's error. */
WEFT_API int weft_port_open(weft_port **out, const weft_port_options *opt);
/* Ends the port; descriptors still attached are closed. -EBUSY while ops are in flight, results wait to be reaped,
 * provided buffers are lent out, or a thread is inside. */
WEFT_API int weft_port_close(weft_port *port);
/* Puts a non-blocking handle under the port's care, with one handle count and a key that completions carry. One
 * handle is attached once, to one port. Any thread. 0; -EBADF no handle; -ENOMEM. */
WEFT_API int weft_port_attach(weft_port *port, weft_handle h, enum weft_desc_kind kind, uint64_t key, weft_desc **out);
/* Gives up a handle count: ops submitted on it are cancelled, the kernel's close follows the last terminal
 * completion. The descriptor is not to be used after. Any thread. -EBADF: given up already. */
WEFT_API int weft_port_detach(weft_port *port, weft_desc *desc);
/* Starts an op (and the chain behind it); op->task.run is not called on a stand-alone port, a completion is queued
 * instead. The system may not see it before a thread reaps. Any thread. 0; -EBUSY the op, or one behind it, is in
 * flight. */
WEFT_API int weft_port_submit(weft_port *port, weft_op *op);
/* Asks for its end. Any thread, while the op has not been reaped. The terminal completion comes in any case, with
 * what really happened. -EALREADY: it has ended. */
WEFT_API int weft_port_cancel(weft_port *port, weft_op *op);
/* Waits until at least `min` completions are there (or the deadline has passed), takes at most `max`. Returns how
 * many; -EINVAL no place for any, or min above max; -ENOMEM no record for a thread that has to wait its turn. Any
 * number of threads; with a concurrency limit a thread may wait here although completions are queued. */
WEFT_API int weft_port_reap(weft_port *port, weft_completion *out, unsigned max, unsigned min, int64_t deadline_ns);
/* With a concurrency limit a thread that took completions counts as running until it reaps again. One that will not
 * (that ends, say) gives its place back by this, or it stays taken. */
WEFT_API void weft_port_leave(weft_port *port);
/* Gives back a provided buffer. Any thread. */
WEFT_API void weft_port_release(weft_buffer *buffer);
/* A descriptor that polls readable when reap may have something to return, for one thread that waits elsewhere: it
 * reaps with min 0 until that returns 0, and only then polls. Any thread. 0; -ENOTSUP the driver has none, as it was
 * opened (see `pollable` above). */
WEFT_API int weft_port_pollable(weft_port *port, weft_handle *out);
WEFT_API const char *weft_port_name(const weft_port *port);
/* How the port carries out an op, and a line why ("" if there is nothing to say). */
WEFT_API enum weft_path weft_port_path(weft_port *port, enum weft_opcode code, const char **why);

#ifdef __cplusplus
}
#endif
#endif
