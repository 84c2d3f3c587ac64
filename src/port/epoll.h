/* The inside of the epoll driver. Everything belongs to the port's home thread but `wake_fd`, which anybody may
 * write to. */
#ifndef WEFT_PORT_EPOLL_H
#define WEFT_PORT_EPOLL_H

#include <sys/epoll.h>

#include "base/list.h"
#include "port/buffers.h"
#include "port/port.h"

#ifdef WEFT_HOSTILE
enum { WEFT__EPOLL_BATCH = 2, WEFT__EPOLL_BURST = 1 };
#else
/* Events taken in one kernel entry: the kernel looks at each one's socket as it tells of it, and with more of them that
 * has left the cache again before the last is served. And how many results a multishot op may take before others have
 * their turn. */
enum { WEFT__EPOLL_BATCH = 64, WEFT__EPOLL_BURST = 16 };
#endif

typedef struct weft__epoll {
    weft_port *port;
    int epoll_fd, wake_fd;
    size_t bytes;           /* of this record, when it was mapped */
    uint8_t mapped;
    uint8_t no_pwait2;      /* the kernel has only milliseconds */
    uint8_t watched;        /* epoll_fd is polled by a foreign loop: edges must be fetched, or it would stay readable */
    uint8_t may_stand;      /* a deadline may become the timer's */
    uint32_t waits_alike;   /* waits in a row for waited_ns */
    int64_t waited_ns;
    int64_t standing_ns;    /* when the timer goes off; WEFT_NEVER: it does not, or there is none */
    int timer_fd;           /* or -1 */
    uint64_t timer_calls;   /* what it cost, for tests */
    uint32_t waiting;       /* ops in queues: with none, there is nothing to ask the kernel for */
    /* Ops that could go on at once but gave way to others; ops that wait for a provided buffer; ops for which only
     * time can tell (a Unix listener whose queue is full). All by weft__epoll_op.list. */
    weft__link ready, starved, later;
    weft__link mark;        /* the end of this tick's part of `ready` */
    weft__buffers buffers;
    struct epoll_event events[WEFT__EPOLL_BATCH];
    int event_next, event_count; /* what is left of the last batch */
} weft__epoll;

/* Lies over weft_op.drv; the last word is weft__op_attempt's. */
typedef struct weft__epoll_op {
    weft__link list;  /* ready, starved or later */
    weft_op *prev;    /* in its descriptor's queue; next is op->wait_next */
    uint8_t queue;    /* enum weft__epoll_queue */
    uint8_t listed;   /* on one of the lists */
    uint8_t busy;     /* inside `more`: who cancels only says so */
} __attribute__((may_alias)) weft__epoll_op;

_Static_assert(sizeof(weft__epoll_op) <= 7 * sizeof(uint64_t), "the record fits into weft_op.drv");

enum weft__epoll_queue { WEFT__QUEUE_NONE, WEFT__QUEUE_READ, WEFT__QUEUE_WRITE, WEFT__QUEUE_POLL };

static inline weft__epoll_op *weft__epoll_of(weft_op *op) { return (weft__epoll_op *)(void *)op->drv; }

/* ---- What is known of a descriptor ---- */

static inline uint8_t weft__epoll_latch_of(enum weft__epoll_queue queue)
{
    return queue == WEFT__QUEUE_READ ? WEFT_READABLE : WEFT_WRITABLE;
}

/* Whether trying is known to be of no use: the last attempt found nothing, and no edge has come since. A hang-up
 * stays for good, and what an event announced together with it may still be there after a short read; then every op
 * is tried. */
static inline int weft__epoll_would_wait(const weft_desc *d, enum weft__epoll_queue queue)
{
    if (!d->registered || queue == WEFT__QUEUE_POLL || d->latch & WEFT_HANGUP)
        return 0;
    return !(d->latch & weft__epoll_latch_of(queue));
}

static inline void weft__epoll_nothing_left(weft_desc *d, enum weft__epoll_queue queue)
{
    if (queue != WEFT__QUEUE_POLL)
        d->latch = (uint8_t)(d->latch & ~weft__epoll_latch_of(queue));
}

/* Whether a result that is shorter than asked proves anything on this descriptor. */
static inline int weft__epoll_shortness_tells(const weft_desc *d) { return d->drains && !(d->latch & WEFT_HANGUP); }

/* Who watches the direction of a queue. */
static inline weft_watcher *weft__epoll_watcher(const weft_desc *d, enum weft__epoll_queue queue)
{
    return queue == WEFT__QUEUE_POLL ? NULL : d->watcher[queue == WEFT__QUEUE_WRITE];
}

/* ---- epoll_ops.c ---- */

/* Puts a descriptor into the set. What is ready already comes as the first event, so nothing is lost between the
 * failed attempt and now. 0 or -errno. */
int weft__epoll_enroll(weft__epoll *s, weft_desc *d);
/* Nobody stands before this op of its queue any more. */
void weft__epoll_next(weft__epoll *s, weft_op *op);

void weft__epoll_submit(weft_port *port, weft_op *op);
void weft__epoll_enter(weft_port *port, int64_t deadline_ns);
void weft__epoll_cancel(weft_port *port, weft_op *op);
/* A descriptor with ops in queues has news: they go on, in their order. One that ends may take the descriptor along. */
void weft__epoll_run_queues(weft__epoll *s, weft_desc *d);
/* Goes on with the ops on the ready list, once each. */
void weft__epoll_run_ready(weft__epoll *s);
/* Makes every op on the later list try again in the next run_ready. */
void weft__epoll_retry_later(weft__epoll *s);
/* Lets ops that wait for a buffer go on, as many as there are free ones; and whether that would let any. */
void weft__epoll_feed(weft__epoll *s);
int weft__epoll_can_feed(const weft__epoll *s);

/* ---- epoll_timer.c ---- */

/* What the timer's events carry in place of a descriptor. The wake's carry NULL,
 * and so do those for descriptors that were forgotten since. */
#define WEFT__EPOLL_TIMER ((void *)1)

/* Whom an event is for; NULL: no descriptor. */
static inline weft_desc *weft__epoll_desc(const struct epoll_event *e)
{
    return (uintptr_t)e->data.ptr > (uintptr_t)WEFT__EPOLL_TIMER ? e->data.ptr : NULL;
}

/* Whether a wait for this deadline, which is to begin now, may go without a time-out:
 * there is none, or the timer is set to it. On return it is set to no earlier one. */
int weft__epoll_stands(weft__epoll *s, int64_t deadline_ns);
/* The timer has gone off. */
void weft__epoll_went_off(weft__epoll *s);
void weft__epoll_timer_close(weft__epoll *s);

/* ---- epoll_watch.c ---- */
int64_t weft__epoll_attempt(weft_port *port, weft_desc *d, enum weft_opcode code, void *buf, size_t len);
int weft__epoll_watch(weft_port *port, weft_desc *d);
void weft__epoll_unwatched(weft_port *port, weft_op *op);

#endif
