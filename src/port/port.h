/* The port's inside, shared by its core (port.c, desc.c, chain.c, inbox.c), its drivers, the stand-alone form and
 * the scheduler above.
 *
 * The core owns an op's life: routing to driver or blocking pool, the in-flight lists, descriptors and their close,
 * the inbox by which other threads reach the port. Everything not marked "any thread" runs on the home thread. */
#ifndef WEFT_PORT_PORT_H
#define WEFT_PORT_PORT_H

#include <weft/port.h>

#include "env/current.h"

typedef struct weft__pool weft__pool;

/* What the owner of a port hears from it (installed from above, never called up by name). */
typedef struct weft__port_owner {
    /* An op ended (state DONE, result set): arrange for op->task to run where op->origin lives. Home thread. */
    void (*deliver)(void *ctx, weft_op *op);
    void *ctx;
    /* An intermediate result of a MULTI op; NULL: it goes to op->more. Home thread. */
    void (*more)(void *ctx, weft_op *op, int64_t result, weft_buffer *buffer);
    /* The home thread is about to wait, has said so, has no deadline, and nothing is in flight:
     * 1 if it is not to. NULL: it always is. */
    int (*still)(void *ctx);
} weft__port_owner;

/* Whether the home thread waits: the word `sleeping`. A wake that finds nobody asleep leaves WOKEN, and the next
 * wait does not wait. */
enum { WEFT__PORT_AWAKE = 0, WEFT__PORT_SLEEPING = 1, WEFT__PORT_WOKEN = 2 };

struct weft_port {
    uint32_t magic;
    const weft_port_driver *driver;
    void *state; /* the driver's */
    const weft_env *env;
    weft_port_config config;
    weft__port_owner owner;
    weft__pool *pool; /* blocking pool, shared between ports; NULL: none, such ops answer -ENOTSUP */

    /* Home thread's. */
    uint32_t flying;      /* ops accepted and not terminal */
    uint32_t watching;    /* watchers, of all descriptors */
    uint64_t entered;     /* kernel entries that submit or wait, for statistics and tests; the driver's */
    uint64_t calls;       /* other system calls that the driver made for ops; the driver's */
    uint64_t completed;
    uint64_t told;        /* watchers told of news, intermediate results, and ends that were held back */
    uint8_t refused[WEFT_OP_COUNT]; /* paths found unusable at run time, by opcode (bit = enum weft_path) */
    uint8_t plain[WEFT_OP_COUNT];   /* the driver's path for ops on one descriptor; 0: not so simple */
    uint32_t room;        /* results the owner still takes in this enter */
    uint32_t lent;        /* provided buffers that have not come back */
    weft_op *starting;    /* the op weft__port_start is busy with: if it ends now, deliver is not called */
    weft_op *turn_head, *turn_tail; /* ops of chains whose turn has come, by wait_next */
    uint8_t turning;      /* they are being started */
    uint8_t at_once;      /* the driver can do without ops: attempt, watch, unwatched */
    uint8_t lone;         /* send_past is worth asking; the driver's */
    uint8_t sated;        /* the last enter did not ask the kernel: what was submitted had ended at once */
    const void *home;     /* weft__thread_tag of the home thread (atomic) */

    /* Ways of its own that a driver has for a RECV or SEND of some bytes (2 GiB at most) on a stream that lives here,
     * while `plain` says RING for it; set by its open, NULL where it has none. Home thread.
     * transfer: takes an op whose task.run (which only makes somebody ready), key, submitter and through are set, and
     * nothing else: for a fiber of this worker. It does not end before this returns.
     * send_past: makes a send without an op, now: its result. -EAGAIN: it is to be an op. */
    void (*transfer)(weft_port *port, weft_op *op, enum weft_opcode code, weft_desc *d, void *buf, size_t len);
    int64_t (*send_past)(weft_port *port, const weft_desc *d, const void *buf, size_t len);

    /* Any thread's. */
    void *inbox;          /* weft_task list of requests, newest first (atomic) */
    uint32_t sleeping;    /* WEFT__PORT_*: senders call driver->wake only when it says SLEEPING (atomic) */
    /* borrowed.c: who has which provided buffer; NULL until somebody says so (atomic). */
    struct weft__borrowed *borrowed;
    uint32_t guests;      /* pool threads that are just telling of a job's end: fini waits for them (atomic) */

    void *standalone;     /* the stand-alone form's part, or NULL */
};

/* Whether this kernel makes a ring for this process that the driver can use: 0; -ENOSYS, -EPERM;
 * -ENOMEM, -EMFILE, -ENFILE say nothing about that. Any thread. */
int weft__uring_there(void);

/* Buffers of a port: when its configuration does not say, and at most. */
enum { WEFT__BUFFER_SIZE_DEFAULT = 4096, WEFT__BUFFER_SIZE_MAX = 1 << 30, WEFT__BUFFERS_DEFAULT = 256, WEFT__BUFFERS_MAX = 32768 };

/* Opens into caller's memory; the calling thread becomes home. 0 or -errno (the driver's). port->config then has the
 * figures for buffers as they are: sizes in steps of 64 bytes, counts in powers of two, defaults filled in. */
int weft__port_init(weft_port *port, const weft_env *env, const weft_port_driver *driver,
                    const weft_port_config *config, const weft__port_owner *owner, weft__pool *pool);
/* Ends it: nothing may be in flight (asserted). */
void weft__port_fini(weft_port *port);

/* Submit on the home thread: op->state is FLYING or QUEUED after, or DONE already (deliver is then NOT called: the
 * caller looks). */
void weft__port_start(weft_port *port, weft_op *op);
/* Cancel on the home thread. */
void weft__port_cancel(weft_port *port, weft_op *op);
/* The same from any other thread, through the inbox, in order: a cancel never overtakes its op. `req` is the
 * request's memory, the caller's until its run has been called at the home port. deliver is always called for ops
 * started this way. */
void weft__port_send(weft_port *port, weft_task *req);
/* Remote start needs no extra request: the op's own task carries it. Remote cancel: */
typedef struct weft__cancel_request {
    weft_task task;
    weft_op *op;
    void (*done)(struct weft__cancel_request *req); /* on the home thread, after the cancel was asked for */
} weft__cancel_request;
void weft__port_start_remote(weft_port *port, weft_op *op);
void weft__port_cancel_remote(weft_port *port, weft__cancel_request *req);

/* borrowed.c: provided buffers in the hands of borrowers that may die without giving them back. Any thread. */
/* Makes room to remember all of the port's: 0 or -ENOMEM. Before the first borrow. */
int weft__borrowed_open(weft_port *port);
/* `who` (not 0) has this buffer until weft_port_release. */
void weft__borrow(const weft_buffer *buffer, uint32_t who);
/* Releases everything that `who` has; it runs no more. */
void weft__borrowed_reclaim(weft_port *port, uint32_t who);
void weft__borrowed_returned(weft_port *port, uint32_t bid);
void weft__borrowed_close(weft_port *port);

/* One tick of the port: runs the inbox, enters the driver (waiting up to deadline_ns if it may), delivers. Home
 * thread. */
void weft__port_enter(weft_port *port, int64_t deadline_ns);
/* How much the port has yielded so far, of whatever kind. Home thread. */
static inline uint64_t weft__port_yielded(const weft_port *port) { return port->completed + port->told; }
/* Anything to do without waiting? (inbox, completions visible in memory, submissions to flush) */
int weft__port_pending(weft_port *port);
/* The home thread is about to wait elsewhere, on driver->pollable: senders will wake it there. 0: it may wait; 1:
 * there is something to do. The next enter ends this. */
int weft__port_doze(weft_port *port);
/* Ends the home thread's wait, without a system call unless it sleeps. Any thread. */
void weft__port_wake(weft_port *port);

/* Descriptors. init: one handle count, no home. adopt: sets the home if there is none (-EXDEV if it has another). */
void weft__desc_init(weft_desc *d, weft_handle h, enum weft_desc_kind kind);
int weft__desc_adopt(weft_desc *d, weft_port *port);
/* One handle less, on the home thread (or, before it has a home, on the owner's thread with `port` the one to close
 * through): cancels its ops when it was the last, closes when the last op is terminal, then calls d->closed. */
void weft__desc_close(weft_port *port, weft_desc *d);
/* One of several handles is given up: cancels what was submitted through it. Home thread. */
void weft__desc_cancel_through(weft_port *port, weft_desc *d, const void *through);
/* Nothing is in flight on it: it leaves its home, and the next op's port becomes its home. Home thread. */
void weft__desc_leave(weft_port *port, weft_desc *d);
/* Keeps a descriptor from going away while a driver goes through its queues; drop may close it. Home thread. */
void weft__desc_hold(weft_desc *d);
void weft__desc_drop(weft_port *port, weft_desc *d);

/* ---- between the core's files ---- */
/* An op before it is handed to its home port, on the submitter's thread: resets what the port keeps in it. */
void weft__op_prepare(weft_port *port, weft_op *op);
/* Takes an op and its chain into the port's books, then starts the first. */
void weft__port_accept(weft_port *port, weft_op *op);
/* Hands an accepted op to the path it is to take. */
void weft__port_launch(weft_port *port, weft_op *op);
/* Where an op goes that the ring refused, whatever its descriptor. */
enum weft_path weft__fallback_path(enum weft_opcode code);
/* The end of an op: bookkeeping, delivery, what follows in its chain. */
void weft__port_finish(weft_port *port, weft_op *op, int64_t result);
/* Whether what follows `op` may start after this result. */
int weft__chain_goes_on(const weft_op *op, int64_t result);
/* Ends every op of the chain from `op` on with -ECANCELED. */
void weft__chain_drop(weft_port *port, weft_op *op);
/* Starts an op of a chain, after the ones that are due already: chains of any length, no recursion. */
void weft__chain_turn(weft_port *port, weft_op *op);
/* Adds an op to what its descriptors count and cancel; an error if one is closed or lives elsewhere. And the
 * reverse, in two steps: the descriptors may be gone after the second. */
int weft__desc_pin(weft_port *port, weft_op *op);
void weft__desc_unlist(weft_op *op);
void weft__desc_unpin(weft_port *port, weft_desc *d, weft_desc *d2);
/* A cancelled op goes behind those that are not. */
void weft__desc_cancelled(weft_op *op);
/* The CLOSE op. */
void weft__desc_close_op(weft_port *port, weft_op *op);
/* Runs what others sent; how many requests. */
unsigned weft__inbox_run(weft_port *port);

/* ---- blocking pool ---- */
typedef struct weft__pool_options {
    const char *name;        /* NULL: that of a runtime or port, which files use; else one of those beside it */
    unsigned threads;        /* at most */
    unsigned line;           /* functions that wait for a thread, at most; 0: no limit */
    int64_t idle_ns;         /* an idle thread ends after; default 10 s */
} weft__pool_options;
int weft__pool_open(weft__pool **out, const weft_env *env, const weft__pool_options *opt);
/* Waits for running jobs and joins the threads. */
void weft__pool_close(weft__pool *pool);
/* Takes an op whose path is the pool; it ends by weft__port_pool_done through op->port's inbox. Home thread of
 * op->port. */
void weft__pool_submit(weft__pool *pool, weft_op *op);
/* One more, beside the first: 0; -EEXIST: it is there, and stays as it is; -EINVAL the name is empty or too long;
 * -ENOMEM. Any thread. */
int weft__pool_make(weft__pool *first, const weft__pool_options *opt, weft__pool **out);
/* Takes back one not yet started: 1 taken back, 0 it runs or is over. */
int weft__pool_revoke(weft_op *op);
/* Ends the system call that a running one is in, if its caller allows that (WEFT_OP_DISTURB), with -EINTR. */
void weft__pool_disturb(weft_op *op);
/* A pool op's end, on its home thread: called by the pool's request in the inbox. */
void weft__port_pool_done(weft_port *port, weft_op *op);
/* Runs the op's system calls, blocking, on the calling thread; returns the result. */
int64_t weft__op_run_blocking(weft_op *op);

/* ---- POSIX calls shared by the readiness and ring drivers (calls_posix.c) ---- */
/* One non-blocking attempt at a socket op: a result, or -EAGAIN when it has to wait. Keeps its progress (a connect
 * under way) in drv[7]: the driver zeroes that before the first attempt. Not for MULTI ops. */
int64_t weft__op_attempt(weft_op *op);
/* In drv[7] after -EAGAIN: no readiness will tell when to try again (a Unix listener's queue is full), time has to. */
#define WEFT__ATTEMPT_LATER 2u
/* One accept: a handle, or -EAGAIN, or why not. Errors that belong to one connection are skipped. */
int64_t weft__accept_once(weft_handle listener, weft_addr *peer);
/* One read or write by vectors: a count, 0 at the end, or -EAGAIN, or why not. */
int64_t weft__readv_once(const weft_desc *d, const struct iovec *iov, uint32_t count);
int64_t weft__writev_once(const weft_desc *d, const struct iovec *iov, uint32_t count);
/* The driver table's calls that never wait, for POSIX sockets; `port` is not looked at. */
int weft__posix_socket(weft_port *port, weft_handle *out, const weft_addr *like);
int weft__posix_listen(weft_port *port, weft_handle *out, const weft_addr *addr, const weft_listen_flags *flags);
int weft__posix_address(weft_port *port, weft_handle h, int peer, weft_addr *out);
int weft__posix_setopt(weft_port *port, weft_handle h, enum weft_sockopt opt, int value);
int weft__posix_getopt(weft_port *port, weft_handle h, enum weft_sockopt opt, int *value);
int weft__posix_shutdown(weft_port *port, weft_handle h, int how);
int weft__posix_close_handle(weft_port *port, weft_handle h);
/* Addresses as the system has them; `ss` holds at least sizeof (struct sockaddr_storage). to_sockaddr: 0 or -EINVAL,
 * -EAFNOSUPPORT. */
int weft__addr_to_sockaddr(const weft_addr *addr, void *ss, unsigned *len);
void weft__addr_from_sockaddr(weft_addr *addr, const void *ss, unsigned len);
/* Flags of OPEN as the system has them. */
int weft__open_flags(unsigned flags);

#endif
