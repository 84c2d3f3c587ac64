/* The inside of a port of one's own. Any thread; what `lock` guards is said per field.
 *
 * One thread at a time drives the port (is its home thread for the length of one enter); the others park. Results go
 * through one queue: terminal completions lie in their ops, so they always have room; intermediate ones take a
 * record each, of which there are as many as the queue is long. A full queue keeps drivers from being entered
 * (weft_port_room), so what comes next stays in the kernel. */
#ifndef WEFT_PORT_STANDALONE_H
#define WEFT_PORT_STANDALONE_H

#include "base/list.h"
#include "base/spin.h"
#include "port/port.h"

/* An intermediate result in the queue. */
typedef struct weft__result {
    weft_task task;
    weft_op *op;
    int64_t result;
    uint64_t key;
    weft_buffer buffer;
} weft__result;

/* A thread that parks. The record outlives the wait, so that a late unpark hits nothing else. */
typedef struct weft__waiter {
    weft_parker parker;
    struct weft__waiter *next, *prev;
    int listed;
} weft__waiter;

/* An attached descriptor. */
typedef struct weft__attached {
    weft_desc desc; /* first: the caller's pointer is this record's */
    weft_task request;
    struct weft__attached *next;     /* free */
    struct weft__attached *next_all; /* of the port */
    int used, detached;
} weft__attached;

/* A piece of memory that records are cut from; kept until the port ends. */
typedef struct weft__chunk {
    struct weft__chunk *next;
    size_t bytes, used;
} weft__chunk;

typedef struct weft__standalone {
    weft_port port; /* first: the caller's pointer is this record's */
    const weft_env *env;
    size_t bytes;
    unsigned limit, completions; /* fixed */
    uint64_t serial;             /* tells this port from all that were at the same place */
    struct weft__standalone *all_next; /* under the registry's lock */
    uint32_t inside;             /* threads in a public call (atomic) */

    weft__spin lock; /* guards the rest */
    weft__tasks done;
    unsigned queued;
    unsigned running;
    int driving;
    int watched; /* somebody polls the port's descriptor */
    weft__waiter *waiters, *waiter_free;
    weft__result *result_free;
    weft__attached *attached, *attached_free;
    weft__chunk *chunks;
} weft__standalone;

static inline weft__standalone *weft__standalone_of(weft_port *port) { return (weft__standalone *)port->standalone; }

/* Cuts a zeroed record. NULL: no memory. Under the lock. */
void *weft__standalone_cut(weft__standalone *sa, size_t bytes);

/* The queue's end of the port: owner.deliver and owner.more. */
void weft__standalone_deliver(void *ctx, weft_op *op);
void weft__standalone_more(void *ctx, weft_op *op, int64_t result, weft_buffer *buffer);
/* A cancel request at the home thread. */
void weft__standalone_run_cancel(weft_task *task);
/* One turn as the driving thread, under the lock, which is let go meanwhile. The caller has seen that nobody drives. */
void weft__standalone_drive(weft__standalone *sa, int64_t deadline_ns);

/* op->cancel_state. The terminal completion is held back while a cancel request is on its way, as that lies in the
 * op. */
enum { WEFT__CANCEL_NONE, WEFT__CANCEL_ASKED, WEFT__CANCEL_HANDLED, WEFT__CANCEL_ENDED };

/* Ports by serial number, for threads that ran on one and now reap on another. find counts the caller as inside:
 * leave it by weft__standalone_outside. */
void weft__registry_add(weft__standalone *sa);
/* Takes it off if nobody but the caller is inside; 0 or -EBUSY. */
int weft__registry_remove(weft__standalone *sa);
weft__standalone *weft__registry_find(uint64_t serial);
void weft__standalone_outside(weft__standalone *sa);

#endif
