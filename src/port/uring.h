/* The inside of the io_uring driver, shared by its files. Everything here belongs to the port's home thread; only
 * `wake_fd` is written to by others. docs/design/uring.md says why it is as it is. */
#ifndef WEFT_PORT_URING_H
#define WEFT_PORT_URING_H

#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/atomic.h"
#include "base/check.h"
#include "port/port.h"
#include "port/uring_sys.h"

#if defined(WEFT_HAVE_VALGRIND)
#include <valgrind/memcheck.h>
#include <valgrind/valgrind.h>
#define WEFT__ON_VALGRIND() RUNNING_ON_VALGRIND
/* What came through a ring looks uninitialised to memcheck. */
#define WEFT__DEFINED(p, n) ((void)VALGRIND_MAKE_MEM_DEFINED((p), (n)))
#else
#define WEFT__ON_VALGRIND() 0
#define WEFT__DEFINED(p, n) ((void)(p), (void)(n))
#endif

/* Where an op is. It is in at most one list, linked by op->wait_next and weft__uring_op.prev: while it is in the
 * ring, only the list of cancels that wait for a submission slot can hold it. */
enum weft__uring_where {
    WEFT__AT_NONE,     /* not ours, or being moved */
    WEFT__AT_RING,     /* in the submission queue or in the kernel: only its own completion ends it */
    WEFT__AT_DEFERRED, /* waits for a submission slot */
    WEFT__AT_STARVED,  /* waits for a provided buffer */
    WEFT__AT_STATX,    /* waits for a statx record */
    WEFT__AT_CALLS,    /* a plain system call, made once the submissions before it are with the kernel */
};

/* How an op is being carried out. */
enum weft__uring_stage {
    WEFT__STAGE_DIRECT, /* the kernel's own op */
    WEFT__STAGE_POLL,   /* waits for readiness, then the call is attempted */
    WEFT__STAGE_WAIT,   /* waits for readiness, then the kernel's own op is submitted again (it answered -EAGAIN) */
    WEFT__STAGE_LATER,  /* waits a millisecond, then the call is attempted: no readiness will tell */
};

/* Lies over weft_op.drv, but for the last word: that is weft__op_attempt's. */
typedef struct weft__uring_op {
    weft_op *prev;     /* in the list that holds it */
    uint8_t where;     /* enum weft__uring_where */
    uint8_t stage;     /* enum weft__uring_stage */
    uint8_t queued;    /* in the list of cancels */
    uint8_t straight;  /* it came by port->transfer, and no other path was tried */
    uint8_t cancel;    /* a cancel was asked for */
    uint8_t offload;   /* the kernel did not want to wait for this file: a thread of its own has to */
    uint32_t releases; /* how many buffers had come back when a starved receive was last armed */
    union {
        struct {
            uint32_t len;
            uint8_t addr[28]; /* every address but long Unix names, which are asked for again */
        } peer;
        union weft__uring_statx *statx;
    };
} __attribute__((may_alias)) weft__uring_op;

_Static_assert(sizeof(weft__uring_op) <= 7 * sizeof(uint64_t), "a ring op's record fits into weft_op.drv[0..6]");

static inline weft__uring_op *weft__uring_of(weft_op *op) { return (weft__uring_op *)(void *)op->drv; }

_Static_assert(offsetof(weft__uring_op, stage) == offsetof(weft__uring_op, where) + 1 &&
                   offsetof(weft__uring_op, queued) == offsetof(weft__uring_op, where) + 2 &&
                   offsetof(weft__uring_op, straight) == offsetof(weft__uring_op, where) + 3,
               "four bytes that are looked at together");

/* Whether it is in the ring and came there straight: then its completion, unless it is an error, is its end and
 * nothing else. */
static inline int weft__uring_goes_straight(const weft__uring_op *x)
{
    static const uint8_t straight[] = {WEFT__AT_RING, WEFT__STAGE_DIRECT, 0, 1};
    return memcmp((const char *)x + offsetof(weft__uring_op, where), straight, sizeof straight) == 0;
}

/* What a submission needs beside its entry until the kernel has taken it; one for each slot of the submission queue. */
typedef union weft__uring_side {
    struct msghdr msg;
    struct sockaddr_storage addr;
    struct __kernel_timespec time;
    uint64_t how[3]; /* struct open_how */
} weft__uring_side;

/* Where the kernel writes what a STAT asks for; pooled, since an op has no room for it. */
union weft__uring_statx {
    struct statx result;
    union weft__uring_statx *next;
};

typedef struct weft__uring_list {
    weft_op *head, *tail;
} weft__uring_list;

/* Provided buffers: one block, either in a ring that the kernel takes from, or in a stack of ours. */
typedef struct weft__uring_buffers {
    struct io_uring_buf *ring; /* NULL: the kernel takes none, `stack` holds the free ones */
    uint16_t *stack;
    uint8_t *data;
    uint8_t *lent; /* by bid: 1 while the callee of `more` holds it, so that a second release is caught */
    uint32_t size;
    uint32_t count;
    uint32_t free; /* not lent and not filled, as far as completions seen tell */
    uint32_t releases;
    uint16_t tail;
    uint8_t ready; /* handed over: at the first stream, where the kernel has such rings for certain */
} weft__uring_buffers;

#define WEFT__URING_MAGIC 0x676e6972u
#define WEFT__URING_BATCH 64u
#define WEFT__URING_STATX 64u
#define WEFT__NO_BUFFER_RING "streams by readiness: provided buffer rings are off or not in this kernel"

typedef struct weft__uring {
    uint32_t magic;
    weft_port *port;
    const weft__ring_sys *sys;

    /* The submission queue: tail is ours, the kernel moves head. */
    struct io_uring_sqe *sqes;
    weft__uring_side *side;
    uint32_t *sq_head, *sq_tail_shared, *sq_flags;
    uint32_t sq_tail, sq_mask, sq_entries;
    uint16_t generation;

    /* The completion queue: head is ours, the kernel moves tail. */
    struct io_uring_cqe *cqes;
    uint32_t *cq_head_shared, *cq_tail;
    uint32_t cq_head, cq_mask;

    uint32_t in_ring;    /* ops at WEFT__AT_RING */
    uint64_t delivered;  /* completions and intermediate results handed over */
    uint64_t stray;      /* completions that no op of ours was waiting for */
    uint64_t rearmed;    /* multishots that ended and were started again */
    uint64_t cancels[3]; /* cancels the kernel answered: other, not found, already running */
    uint8_t woken;       /* a wake arrived in this reap */
    uint8_t wake_armed;
    uint8_t wake_multi;
    uint8_t closing;

    /* Set-up. */
    int fd, enter_fd;
    uint32_t setup_flags, features;
    uint32_t enter_flags; /* of every entry */
    uint8_t deferred_work; /* completions show only after an entry with GETEVENTS */
    uint8_t absolute;      /* the kernel's time-outs are on env's clock */
    uint8_t multi_accept, multi_recv;
    uint8_t no_iowait;
    uint8_t sends_past;    /* a send may go past the ring */
    uint8_t recent;        /* Linux 6.12 or later, which has all that is probed for */
    uint8_t late_ring_fd;  /* the ring's descriptor is registered once there were some entries */
    uint8_t valgrind;

    /* A deadline as an op of the ring. */
    uint8_t may_stand;
    uint8_t stands;       /* the op is in the ring */
    uint32_t waits_alike; /* waits in a row for waited_ns */
    int64_t waited_ns;
    int64_t standing_ns;  /* when the op ends; WEFT_NEVER: not for any time that somebody waits for, or there is none */

    int wake_fd;
    int end_fd; /* rings in the caller's memory: hangs up when the kernel has done with them; else -1 */

    weft__uring_list deferred, cancelling, starved, waiting_statx, calls;
    weft__uring_buffers buffers;
    union weft__uring_statx *statx_free;

    /* How each op is carried out (enum weft_path), why, and which of the kernel's own ops have worked. */
    uint8_t path[WEFT_OP_COUNT];
    const char *why[WEFT_OP_COUNT];
    uint32_t proven;

    /* What to give back. */
    void *memory;
    size_t memory_size; /* 0: the caller's */
    void *queues;       /* both, where they lie in the environment's memory; else NULL */
    size_t queues_size;
    void *map_rings, *map_cq, *map_sqes;
    size_t map_rings_size, map_cq_size, map_sqes_size;
} weft__uring;

static inline weft__uring *weft__uring_at(const weft_port *port)
{
    weft__uring *u = port->state;
    WEFT_ASSERT(u->magic == WEFT__URING_MAGIC);
    return u;
}

/* user_data: the op's address, its generation in the upper 16 bits, and what the submission was for in the lower
 * three. */
enum weft__uring_tag { WEFT__TAG_OP, WEFT__TAG_CANCEL, WEFT__TAG_WAKE, WEFT__TAG_STANDING };
#define WEFT__TAG_MASK UINT64_C(7)

static inline uint64_t weft__uring_data(const weft_op *op)
{
    const uint64_t address = (uintptr_t)op;
    WEFT_ASSERT(!(address >> 48) && !(address & WEFT__TAG_MASK));
    return address | (uint64_t)op->tag << 48 | WEFT__TAG_OP;
}

/* uring.c: as weft_driver_uring()->open, on another kernel. */
int weft__uring_open_on(weft_port *port, const weft_port_config *config, const weft__ring_sys *sys);

/* uring_setup.c: ring, memory and what goes with them. On failure everything is undone. */
int weft__uring_setup(weft__uring **out, weft_port *port, const weft_port_config *config, const weft__ring_sys *sys);
void weft__uring_teardown(weft__uring *u);
/* Saves the descriptor's look-up on each entry. The index belongs to this thread, as the ring does. */
void weft__uring_register_ring(weft__uring *u);
/* How much config->memory has to hold in strict mode, wherever it begins. */
size_t weft__uring_memory_bytes(const weft_port_config *config, size_t page);

/* uring_probe.c: fills path and why. */
void weft__uring_probe(weft__uring *u);

/* uring_sqe.c */
/* Starts an op, or starts it again: into the ring, or into the list it has to wait in. May complete it. */
void weft__uring_start(weft__uring *u, weft_op *op);
/* Waits as the stage says. */
void weft__uring_wait(weft__uring *u, weft_op *op, enum weft__uring_stage stage);
void weft__uring_cancel_op(weft__uring *u, weft_op *op);
/* Moves what waits for a slot into the submission queue: cancels first. */
void weft__uring_flush(weft__uring *u);
/* Arms the wait for the wake descriptor; 0 if there is no slot. */
int weft__uring_arm_wake(weft__uring *u);
/* Cancels that wait; 0 if there is no slot. */
int weft__uring_disarm_wake(weft__uring *u);
/* Sets the deadline by which any wait ends; WEFT_NEVER: none. Nothing is changed where there is no slot. */
void weft__uring_stand(weft__uring *u, int64_t deadline_ns);

/* uring_cqe.c */
/* Takes completions off the queue and acts on them; how many. */
unsigned weft__uring_reap(weft__uring *u);
/* Ends an op. It is its submitter's again after. */
void weft__uring_end(weft__uring *u, weft_op *op, int64_t result);
/* Makes the plain system calls that waited their turn. */
void weft__uring_run_calls(weft__uring *u);
/* Attempts the op's call; what has to wait then polls. */
void weft__uring_attempt(weft__uring *u, weft_op *op);

/* uring_buffers.c */
/* The memory's parts are given in *b (ring, stack, lent, data; ring is dropped where the kernel has none) with size
 * and count. */
void weft__uring_buffers_open(weft__uring *u, const weft__uring_buffers *b);
/* Before the first stream. */
void weft__uring_buffers_ready(weft__uring *u);
void weft__uring_buffers_close(weft__uring *u);
/* A buffer for a receive that the driver makes itself; 0 or -ENOBUFS. */
int weft__uring_buffer_take(weft__uring *u, uint32_t *bid);
/* The kernel filled it. */
void weft__uring_buffer_filled(weft__uring *u, uint32_t bid, uint32_t len, weft_buffer *out);
/* Back, unused or released. */
void weft__uring_buffer_return(weft__uring *u, uint32_t bid);

/* Whether a starved receive may be armed again. */
static inline int weft__uring_can_feed(const weft__uring *u)
{
    return u->buffers.free && u->starved.head && weft__uring_of(u->starved.head)->releases != u->buffers.releases;
}

static inline int weft__uring_list_empty(const weft__uring_list *l) { return l->head == NULL; }

static inline void weft__uring_push(weft__uring_list *l, weft_op *op)
{
    op->wait_next = NULL;
    weft__uring_of(op)->prev = l->tail;
    if (l->tail)
        l->tail->wait_next = op;
    else
        l->head = op;
    l->tail = op;
}

static inline void weft__uring_unlink(weft__uring_list *l, weft_op *op)
{
    weft__uring_op *x = weft__uring_of(op);
    if (x->prev)
        x->prev->wait_next = op->wait_next;
    else
        l->head = op->wait_next;
    if (op->wait_next)
        weft__uring_of(op->wait_next)->prev = x->prev;
    else
        l->tail = x->prev;
    x->prev = NULL;
    op->wait_next = NULL;
}


/* Submissions that the kernel has not taken yet. The load pairs with the kernel's release as it takes entries: their
 * slots are ours again. */
static inline uint32_t weft__uring_unsubmitted(const weft__uring *u)
{
    return u->sq_tail - weft__load_acquire(u->sq_head, "uring.sq_head");
}

/* Completions in the queue. Pairs with the kernel's release of the tail after it wrote the entries. */
static inline uint32_t weft__uring_completions(const weft__uring *u)
{
    return weft__load_acquire(u->cq_tail, "uring.cq_tail") - u->cq_head;
}

/* What the kernel flagged: completions beyond the queue's end, or work that runs when we enter. */
static inline int weft__uring_flagged(const weft__uring *u)
{
    return !!(weft__load_relaxed(u->sq_flags, "uring.sq_flags") & (IORING_SQ_CQ_OVERFLOW | IORING_SQ_TASKRUN));
}

/* Something that an entry without waiting would move on. */
static inline int weft__uring_movable(const weft__uring *u)
{
    return u->cancelling.head || u->deferred.head || u->calls.head || !u->wake_armed || weft__uring_can_feed(u);
}

/* Anything to hand over or to reap, as far as memory tells. */
static inline int weft__uring_busy(const weft__uring *u)
{
    return weft__uring_completions(u) || weft__uring_unsubmitted(u) || weft__uring_movable(u) || weft__uring_flagged(u);
}

/* The driver's hot slots, for builds that bind them directly (port/bind.h); the first in uring_sqe.c. */
void weft__uring_submit(weft_port *port, weft_op *op);
void weft__uring_enter(weft_port *port, int64_t deadline_ns);
/* port->transfer. */
void weft__uring_transfer(weft_port *port, weft_op *op, enum weft_opcode code, weft_desc *d, void *buf, size_t len);
/* port->send_past, which port->lone says to ask: the last entry told of one thing at most, and no send has gone past
 * the ring since. */
int64_t weft__uring_send_past(weft_port *port, const weft_desc *d, const void *buf, size_t len);

#endif
