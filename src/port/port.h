/* The port's inside, shared by its core (core.c), its drivers, the stand-alone form and the scheduler above.
 *
 * The core owns an op's life: routing to driver or blocking pool, the in-flight lists, descriptors and their close, the inbox by which
 * other threads reach the port. Everything not marked "any thread" runs on the home thread. */
#ifndef WEFT_PORT_PORT_H
#define WEFT_PORT_PORT_H

#include <weft/port.h>

typedef struct weft__pool weft__pool;

/* What the owner of a port hears from it (installed from above, never called up by name). */
typedef struct weft__port_owner {
    /* An op ended (state DONE, result set): arrange for op->task to run where op->origin lives. Home thread. */
    void (*deliver)(void *ctx, weft_op *op);
    void *ctx;
} weft__port_owner;

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
    uint64_t entered;     /* kernel entries, for statistics and tests */
    uint64_t completed;
    uint8_t refused[WEFT_OP_COUNT]; /* paths found unusable at run time, by opcode (bit = enum weft_path) */

    /* Any thread's. */
    void *inbox;          /* weft_task list of requests, newest first (atomic) */
    uint32_t sleeping;    /* 1 while the home thread waits in enter: senders then call driver->wake (atomic) */

    void *standalone;     /* the stand-alone form's part, or NULL */
};

/* Opens into caller's memory; the calling thread becomes home. 0 or -errno (the driver's). */
int weft__port_init(weft_port *port, const weft_env *env, const weft_port_driver *driver, const weft_port_config *config,
                    const weft__port_owner *owner, weft__pool *pool);
/* Ends it: nothing may be in flight (asserted). */
void weft__port_fini(weft_port *port);

/* Submit on the home thread: op->state is FLYING or QUEUED after, or DONE already (deliver is then NOT called: the caller looks). */
void weft__port_start(weft_port *port, weft_op *op);
/* Cancel on the home thread. */
void weft__port_cancel(weft_port *port, weft_op *op);
/* The same from any other thread, through the inbox, in order: a cancel never overtakes its op. `req` is the request's memory, the
 * caller's until its run has been called at the home port. deliver is always called for ops started this way. */
void weft__port_send(weft_port *port, weft_task *req);
/* Remote start needs no extra request: the op's own task carries it. Remote cancel: */
typedef struct weft__cancel_request {
    weft_task task;
    weft_op *op;
    void (*done)(struct weft__cancel_request *req); /* on the home thread, after the cancel was asked for */
} weft__cancel_request;
void weft__port_start_remote(weft_port *port, weft_op *op);
void weft__port_cancel_remote(weft_port *port, weft__cancel_request *req);

/* One tick of the port: runs the inbox, enters the driver (waiting up to deadline_ns if it may), delivers. Home thread. */
void weft__port_enter(weft_port *port, int64_t deadline_ns);
/* Anything to do without waiting? (inbox, completions visible in memory, submissions to flush) */
int weft__port_pending(weft_port *port);
/* Ends the home thread's wait, without a system call unless it sleeps. Any thread. */
void weft__port_wake(weft_port *port);

/* Descriptors. init: one handle count, no home. adopt: sets the home if there is none (-EXDEV if it has another). */
void weft__desc_init(weft_desc *d, weft_handle h, enum weft_desc_kind kind);
int weft__desc_adopt(weft_desc *d, weft_port *port);
/* One handle less, on the home thread (or, before it has a home, on the owner's thread with `port` the one to close through): cancels
 * its ops when it was the last, closes when the last op is terminal, then calls d->closed. */
void weft__desc_close(weft_port *port, weft_desc *d);

/* ---- blocking pool ---- */
typedef struct weft__pool_options {
    unsigned threads;        /* at most */
    int64_t idle_ns;         /* an idle thread ends after; default 10 s */
} weft__pool_options;
int weft__pool_open(weft__pool **out, const weft_env *env, const weft__pool_options *opt);
/* Waits for running jobs and joins the threads. */
void weft__pool_close(weft__pool *pool);
/* Takes an op whose path is the pool; it ends by weft__port_pool_done through op->port's inbox. Home thread of op->port. */
void weft__pool_submit(weft__pool *pool, weft_op *op);
/* Takes back one not yet started: 1 taken back, 0 it runs or is over. */
int weft__pool_revoke(weft__pool *pool, weft_op *op);
/* Runs the op's system calls, blocking, on the calling thread; returns the result. */
int64_t weft__op_run_blocking(weft_op *op);

/* ---- POSIX calls shared by the readiness and ring drivers (calls_posix.c) ---- */
/* One non-blocking attempt at a socket op: a result, or -EAGAIN when it has to wait. */
int64_t weft__op_attempt(weft_op *op);

#endif
