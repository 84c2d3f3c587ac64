/* The io_uring driver: its table, life, and the one kernel entry of a tick. uring_sqe.c fills submissions,
 * uring_cqe.c acts on completions, uring_buffers.c lends buffers, uring_setup.c makes the ring, uring_sys.c is the
 * kernel. Home thread only, but for wake.
 *
 * A tick: what waits for a slot goes into the submission queue, one io_uring_enter hands it over and waits if there
 * is nothing to reap, then plain system calls whose turn has come are made and completions acted on. Nothing to hand
 * over, nothing flagged by the kernel and no wish to wait: no entry at all. */
#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "port/at_once.h"
#include "port/uring.h"

#ifdef WEFT_HOSTILE
#define WAITS_ALIKE 1
#else
#define WAITS_ALIKE 8 /* in a row, before their deadline is worth an op */
#endif
#define ENTRIES_UNREGISTERED 64 /* registering the ring's descriptor costs two calls, and pays with longer lives */

static weft__uring *state_of(const weft_port *port) { return weft__uring_at(port); }

static void uring_cancel(weft_port *port, weft_op *op) { weft__uring_cancel_op(state_of(port), op); }

static int uring_pending(weft_port *port) { return weft__uring_busy(state_of(port)); }

static int call_kernel(weft__uring *u, unsigned submit, unsigned complete, unsigned flags,
                       const struct __kernel_timespec *ts)
{
    struct io_uring_getevents_arg arg = {.ts = (uintptr_t)ts};
    weft__store_relaxed(&u->port->entered, u->port->entered + 1, "uring.entered"); /* others read it */
    if (u->late_ring_fd && u->port->entered > ENTRIES_UNREGISTERED)
        weft__uring_register_ring(u);
    flags |= u->enter_flags;
    if (!ts)
        return u->sys->enter(u->sys->self, u->enter_fd, submit, complete, flags, NULL, 0);
    return u->sys->enter(u->sys->self, u->enter_fd, submit, complete, flags | IORING_ENTER_EXT_ARG, &arg, sizeof arg);
}

/* Memcheck's lock is held inside io_uring_enter, so under Valgrind the wait is a poll. */
static void wait_by_poll(weft__uring *u, const struct __kernel_timespec *ts)
{
    struct pollfd p = {.fd = u->fd, .events = POLLIN};
    const struct timespec relative = {.tv_sec = ts ? (time_t)ts->tv_sec : 0, .tv_nsec = ts ? (long)ts->tv_nsec : 0};
    u->port->calls++;
    ppoll(&p, 1, ts ? &relative : NULL, NULL);
}

/* The deadline as the kernel wants it: NULL never, or *ts. Returns 0 if it has passed. */
static int kernel_deadline(const weft__uring *u, int64_t deadline_ns, struct __kernel_timespec *ts, unsigned *flags)
{
    int64_t t = deadline_ns;
    if (u->absolute && !u->valgrind)
        *flags |= WEFT__ENTER_ABS_TIMER;
    else
        t -= u->port->env->now(u->port->env->self);
    *ts = (struct __kernel_timespec){.tv_sec = t / WEFT_SECOND, .tv_nsec = t % WEFT_SECOND};
    return t > 0;
}

/* Whether a wait has to say until when. If it says so the kernel sets up a timer for this one wait, and takes it down
 * again, some 180 ns. A worker whose connections may be silent for a minute waits for the same deadline again and again
 * while requests come: such a one becomes an op of the ring, and the waits say nothing. The op stays, and is moved
 * without an answer. It wakes nobody in vain: before a wait that is to last longer it is put off for good. */
static int has_to_say(weft__uring *u, int64_t deadline_ns)
{
    u->waits_alike = deadline_ns == u->waited_ns ? u->waits_alike + 1 : 1;
    u->waited_ns = deadline_ns;
    if (deadline_ns > u->standing_ns)
        weft__uring_stand(u, WEFT_NEVER);
    else if (deadline_ns < u->standing_ns && u->may_stand && u->waits_alike >= WAITS_ALIKE)
        weft__uring_stand(u, deadline_ns);
    return deadline_ns < u->standing_ns;
}

/* Hands over the submission queue, and waits for a completion if told to. One kernel entry at most, none if there is
 * nothing to say. */
static int hand_over(weft__uring *u, int wait, int64_t deadline_ns)
{
    struct __kernel_timespec ts, *timeout = NULL;
    unsigned flags = 0;
    if (wait && has_to_say(u, deadline_ns)) {
        timeout = &ts;
        wait = kernel_deadline(u, deadline_ns, &ts, &flags);
    }
    /* Pairs with the kernel's acquire: entries before tail. */
    weft__store_release(u->sq_tail_shared, u->sq_tail, "uring.sq_tail");
    const unsigned submit = weft__uring_unsubmitted(u);
    const uint32_t said = weft__load_relaxed(u->sq_flags, "uring.sq_flags");
    if (said & IORING_SQ_NEED_WAKEUP && submit)
        flags |= IORING_ENTER_SQ_WAKEUP;
    if (wait || u->deferred_work || said & (IORING_SQ_CQ_OVERFLOW | IORING_SQ_TASKRUN))
        flags |= IORING_ENTER_GETEVENTS;
    if (!wait) {
        flags &= ~WEFT__ENTER_ABS_TIMER;
        const int taken = u->setup_flags & IORING_SETUP_SQPOLL ? !(flags & IORING_ENTER_SQ_WAKEUP) : !submit;
        if (taken && !weft__uring_flagged(u))
            return 0;
        return call_kernel(u, submit, 0, flags, NULL);
    }
    if (u->valgrind) {
        int r = submit || weft__uring_flagged(u) ? call_kernel(u, submit, 0, flags, NULL) : 0;
        if (r < 0 || weft__uring_completions(u))
            return r;
        wait_by_poll(u, timeout);
        return call_kernel(u, 0, 0, IORING_ENTER_GETEVENTS, NULL);
    }
    if (u->no_iowait)
        flags |= WEFT__ENTER_NO_IOWAIT;
    return call_kernel(u, submit, 1, flags, timeout);
}

/* The kernel would not take submissions for want of memory or because completions pile up: waits a little for some of
 * those. */
static void back_off(weft__uring *u, int wait)
{
    const struct __kernel_timespec ts = {.tv_nsec = 1000000};
    call_kernel(u, 0, wait ? 1 : 0, IORING_ENTER_GETEVENTS, wait ? &ts : NULL);
}

/* Somebody has been told something in this entry: whatever else is to be handed over, nobody waits any more,
 * for what was told may be all that the others wait for. */
static int has_told(const weft__uring *u, uint64_t before) { return u->delivered != before || u->woken; }

void weft__uring_enter(weft_port *port, int64_t deadline_ns)
{
    weft__uring *u = state_of(port);
    const uint64_t before = u->delivered;
    port->lone = 0;
    u->woken = 0;
    for (;;) {
        weft__uring_flush(u); /* may tell, too */
        const int may_wait = deadline_ns > WEFT_NOW && !has_told(u, before);
        const int r = hand_over(u, may_wait && !weft__uring_movable(u) && !weft__uring_completions(u), deadline_ns);
        const int stuck = r == -EAGAIN || r == -EBUSY;
        WEFT_ASSERT(r >= 0 || stuck || r == -EINTR || r == -ETIME);
        if (stuck && !weft__uring_completions(u))
            back_off(u, may_wait);
        weft__uring_run_calls(u);
        const unsigned reaped = weft__uring_reap(u);
        const int over = has_told(u, before) || !weft_port_room(port);
        /* What did not fit goes next, without waiting; what came may have been of no interest to anybody. */
        const int waits = u->deferred.head || u->cancelling.head;
        if (waits ? stuck || !weft_port_room(port) : over || !reaped || deadline_ns <= WEFT_NOW) {
            port->lone = u->sends_past && u->delivered - before <= 1;
            return;
        }
    }
}

/* Any thread, signal handlers included: the ring polls this descriptor, edge-triggered, and nobody has to read it. */
static void uring_wake(weft_port *port)
{
    const weft__uring *u = port->state;
    const uint64_t one = 1;
    const int error = errno;
    while (write(u->wake_fd, &one, sizeof one) < 0 && errno == EINTR)
        ;
    errno = error;
}

/* A ring with deferred work polls readable, but wakes nobody who already sleeps in a poll: nothing of it runs until
 * its thread enters. Its registered eventfd is no way out, Linux 6.18 loses signals that stem from another eventfd
 * (docs/design/uring.md). So whoever wants to live in a foreign loop opens the port with WEFT_URING_NO_DEFER. */
static weft_handle uring_pollable(weft_port *port)
{
    const weft__uring *u = state_of(port);
    return u->deferred_work ? WEFT_NOHANDLE : u->fd;
}

static enum weft_path uring_path(weft_port *port, enum weft_opcode code)
{
    return (enum weft_path)state_of(port)->path[code];
}

static const char *uring_why(weft_port *port, enum weft_opcode code) { return state_of(port)->why[code]; }

static void uring_release(weft_port *port, uint32_t bid) { weft__uring_buffer_return(state_of(port), bid); }

int weft__uring_open_on(weft_port *port, const weft_port_config *config, const weft__ring_sys *sys)
{
    weft__uring *u;
    int r = weft__uring_setup(&u, port, config, sys);
    if (r < 0)
        return r;
    port->state = u;
    port->transfer = weft__uring_transfer;
    port->send_past = weft__uring_send_past;
    return 0;
}

static int uring_open(weft_port *port, const weft_port_config *config)
{
    return weft__uring_open_on(port, config, &weft__ring_sys_kernel);
}

/* With the caller's memory under the rings the kernel must have nothing left to write: then the ring's own poll is
 * ended and waited for first. Else it ends with the ring, some time. */
static void uring_close(weft_port *port)
{
    weft__uring *u = state_of(port);
    WEFT_ASSERT(!u->in_ring && !u->deferred.head && !u->starved.head && !u->waiting_statx.head && !u->calls.head);
    u->closing = 1;
    int r = 0;
    if (!u->memory_size && u->wake_armed && weft__uring_disarm_wake(u))
        while (u->wake_armed && (r >= 0 || r == -EINTR || r == -EAGAIN || r == -EBUSY)) {
            r = hand_over(u, !weft__uring_completions(u), WEFT_NEVER);
            weft__uring_reap(u);
        }
    weft__uring_teardown(u);
    port->state = NULL;
}

static const weft_port_driver driver = {
    .name = "uring",
    .open = uring_open,
    .close = uring_close,
    .submit = weft__uring_submit,
    .cancel = uring_cancel,
    .enter = weft__uring_enter,
    .pending = uring_pending,
    .wake = uring_wake,
    .pollable = uring_pollable,
    .path = uring_path,
    .why = uring_why,
    .release = uring_release,
    .file_at_once = weft__file_at_once,
    .socket = weft__posix_socket,
    .listen = weft__posix_listen,
    .address = weft__posix_address,
    .setopt = weft__posix_setopt,
    .getopt = weft__posix_getopt,
    .shutdown = weft__posix_shutdown,
    .close_handle = weft__posix_close_handle,
};

const weft_port_driver *weft_driver_uring(void) { return &driver; }
