/* From completion entry to completion. Home thread only.
 *
 * Entries are copied out and the kernel's queue advanced before anything runs, but for those of straight ops at the
 * queue's head. An op ends only with its own entry:
 * what a cancel answers is counted and nothing more. An entry whose generation is not the op's current one is
 * nobody's: a buffer in it goes back, the rest is dropped. A multishot that the kernel ended without a reason is
 * armed again, and nobody hears of it. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "port/calls_posix.h"
#include "port/straight.h"
#include "port/uring.h"

#define ATTEMPTS_IN_A_ROW 16 /* of one emulated multishot, so that others get their turn */

struct done {
    uint64_t data;
    int32_t res;
    uint32_t flags;
};

void weft__uring_end(weft__uring *u, weft_op *op, int64_t result)
{
    weft__uring_op *x = weft__uring_of(op);
    x->where = WEFT__AT_NONE;
    union weft__uring_statx *statx = op->code == WEFT_OP_STAT ? x->statx : NULL;
    if (statx) {
        x->statx = NULL;
        statx->next = u->statx_free;
        u->statx_free = statx;
    }
    u->delivered++;
    weft_port_complete(u->port, op, result);
    if (statx && u->waiting_statx.head && u->statx_free) {
        weft_op *next = u->waiting_statx.head;
        weft__uring_unlink(&u->waiting_statx, next);
        weft__uring_start(u, next);
    }
}

static void hand_over(weft__uring *u, weft_op *op, int64_t result, weft_buffer *buffer)
{
    u->delivered++;
    weft_port_more(u->port, op, result, buffer);
}

/* What the kernel wrote, for memcheck. */
static void mark_defined(const weft_op *op, int64_t n)
{
    if (op->code == WEFT_OP_RECV || op->code == WEFT_OP_PREAD) {
        WEFT__DEFINED(op->io.buf, (size_t)n);
    } else if (op->code == WEFT_OP_READV) {
        for (uint32_t i = 0; n > 0 && i < op->vec.count; i++) {
            const size_t part = op->vec.iov[i].iov_len < (size_t)n ? op->vec.iov[i].iov_len : (size_t)n;
            WEFT__DEFINED(op->vec.iov[i].iov_base, part);
            n -= (int64_t)part;
        }
    }
}

static void tell_peer(const weft__uring *u, weft_op *op, int handle)
{
    const weft__uring_op *x = weft__uring_of(op);
    if (!op->accept.peer)
        return;
    WEFT__DEFINED(&x->peer, sizeof x->peer);
    if (x->peer.len <= sizeof x->peer.addr)
        weft__addr_from_sockaddr(op->accept.peer, x->peer.addr, x->peer.len);
    else if (u->port->driver->address(u->port, handle, 1, op->accept.peer) < 0)
        *op->accept.peer = (weft_addr){0};
}

static void tell_stat(weft_op *op)
{
    const struct statx *s = &weft__uring_of(op)->statx->result;
    WEFT__DEFINED(s, sizeof *s);
    *op->stat.out = (weft_stat){
        .size = s->stx_size,
        .mtime_ns = (int64_t)s->stx_mtime.tv_sec * WEFT_SECOND + s->stx_mtime.tv_nsec,
        .ctime_ns = (int64_t)s->stx_ctime.tv_sec * WEFT_SECOND + s->stx_ctime.tv_nsec,
        .inode = s->stx_ino,
        .device = makedev(s->stx_dev_major, s->stx_dev_minor),
        .mode = s->stx_mode,
        .links = s->stx_nlink,
    };
}

static int64_t poll_result(uint32_t asked, uint32_t events)
{
    return (int64_t)((events & (POLLIN | POLLRDHUP) ? WEFT_READABLE & asked : 0u) |
                     (events & POLLOUT ? WEFT_WRITABLE & asked : 0u) |
                     (events & (POLLRDHUP | POLLHUP | POLLERR) ? WEFT_HANGUP : 0u));
}

/* Ops whose result is not simply what the kernel said. */
#define CONVERTED (1u << WEFT_OP_ACCEPT | 1u << WEFT_OP_STAT | 1u << WEFT_OP_POLL)

/* A result, as the op's submitter wants it. */
static int64_t convert(const weft__uring *u, weft_op *op, int64_t res)
{
    switch (op->code) {
    case WEFT_OP_ACCEPT:
        tell_peer(u, op, (int)res);
        return res;
    case WEFT_OP_STAT:
        tell_stat(op);
        return 0;
    case WEFT_OP_POLL:
        return poll_result(op->poll.events, (uint32_t)res);
    default:
        mark_defined(op, res);
        return res;
    }
}

static int is_refusal(int64_t res) { return res == -EINVAL || res == -EOPNOTSUPP || res == -EPERM || res == -ENOSYS; }

static int can_wait(const weft_op *op)
{
    return op->desc && op->desc->kind != WEFT_DESC_FILE && op->desc->kind != WEFT_DESC_DIR;
}

/* Errors of an accept that belong to the connection that would have been next, not to the listener. */
static int of_one_connection(int64_t res)
{
    static const int errors[] = {ECONNABORTED, EPROTO,  ENOPROTOOPT, ENETDOWN,
                                 ENETUNREACH,  ENONET, EHOSTDOWN,   EHOSTUNREACH};
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        if (res == -errors[i])
            return 1;
    return 0;
}

/* An error without more to come: what to do instead of telling it. 0: tell it. */
static int instead(weft__uring *u, weft_op *op, int64_t res)
{
    weft__uring_op *x = weft__uring_of(op);
    const int multi = op->flags & WEFT_OP_MULTI;
    if (res == -EAGAIN && can_wait(op) && !x->cancel) {
        weft__uring_wait(u, op, WEFT__STAGE_WAIT);
        return 1;
    }
    if (res == -EAGAIN && !x->cancel && !x->offload) {
        x->offload = 1;
        weft__uring_start(u, op);
        return 1;
    }
    /* What a thread submitted that has ended since is cancelled by the kernel when it should move on: on a shared
     * ring a cancel that nobody asked for is that. */
    const int interrupted = !x->cancel && (res == -EINTR || (res == -ECANCELED && u->port->config.shared));
    if (interrupted && op->code == WEFT_OP_CONNECT) {
        op->drv[7] = 1; /* it goes on in the kernel: the attempt asks how */
        weft__uring_wait(u, op, WEFT__STAGE_POLL);
        return 1;
    }
    if (interrupted || (!x->cancel && op->code == WEFT_OP_ACCEPT && of_one_connection(res))) {
        weft__uring_start(u, op);
        return 1;
    }
    /* Flow control, unless no buffer was out since it was armed: then it is the socket that says so. */
    if (res == -ENOBUFS && multi && op->code == WEFT_OP_RECV && !x->cancel &&
        (u->buffers.free < u->buffers.count || x->releases != u->buffers.releases)) {
        x->where = WEFT__AT_STARVED;
        weft__uring_push(&u->starved, op);
        return 1;
    }
    if (!is_refusal(res) || u->proven & 1u << op->code || op->code == WEFT_OP_POLL)
        return 0;
    if (res == -EINVAL && multi && op->code == WEFT_OP_RECV) {
        if (!u->multi_recv)
            return 0;
        u->multi_recv = 0; /* one at a time; its buffers are the kernel's, so this is as far as it falls back */
        weft__uring_start(u, op);
        return 1;
    }
    union weft__uring_statx *statx = op->code == WEFT_OP_STAT ? x->statx : NULL;
    if (statx) {
        statx->next = u->statx_free;
        u->statx_free = statx;
        x->statx = NULL;
    }
    weft_port_refuse(u->port, op, res);
    return 1;
}

/* Whether an op says nothing by this but that it could not go on just now. */
static int is_pause(const weft_op *op, int64_t res)
{
    return res == -EINTR || res == -EAGAIN || (res == -ENOBUFS && op->flags & WEFT_OP_MULTI && op->code == WEFT_OP_RECV);
}

/* The kernel's op is over, and failed. */
static void failed(weft__uring *u, weft_op *op, int64_t res)
{
    if (weft__uring_of(op)->cancel && is_pause(op, res))
        res = -ECANCELED;
    if (!instead(u, op, res))
        weft__uring_end(u, op, res);
}

/* The kernel's op is over. */
static void ended(weft__uring *u, weft_op *op, int64_t res)
{
    if (res < 0) {
        failed(u, op, res);
        return;
    }
    const uint32_t bit = 1u << op->code;
    u->proven |= bit;
    weft__uring_end(u, op, bit & CONVERTED || u->valgrind ? convert(u, op, res) : res);
}

/* A multishot's submission is over, though nothing went wrong. */
static void ended_early(weft__uring *u, weft_op *op)
{
    if (weft__uring_of(op)->cancel) {
        weft__uring_end(u, op, -ECANCELED);
        return;
    }
    u->rearmed++;
    weft__uring_start(u, op);
}

static void on_accept(weft__uring *u, weft_op *op, const struct done *d)
{
    const int more = !!(d->flags & IORING_CQE_F_MORE);
    if (d->res < 0) {
        if (!more)
            ended(u, op, d->res);
        return;
    }
    u->proven |= 1u << op->code;
    hand_over(u, op, d->res, NULL);
    if (!more)
        ended_early(u, op);
}

static void on_recv(weft__uring *u, weft_op *op, const struct done *d)
{
    const int more = !!(d->flags & IORING_CQE_F_MORE);
    weft_buffer buffer = {0};
    if (d->flags & IORING_CQE_F_BUFFER) {
        const uint32_t bid = d->flags >> IORING_CQE_BUFFER_SHIFT;
        weft__uring_buffer_filled(u, bid, d->res > 0 ? (uint32_t)d->res : 0, &buffer);
        if (d->res <= 0)
            weft__uring_buffer_return(u, bid);
    }
    if (d->res > 0) {
        u->proven |= 1u << op->code;
        hand_over(u, op, d->res, &buffer);
        if (!more)
            ended_early(u, op);
    } else if (!more) {
        ended(u, op, d->res);
    }
}

/* What was waited for before the op itself is here. */
static void on_stage(weft__uring *u, weft_op *op, const struct done *d)
{
    weft__uring_op *x = weft__uring_of(op);
    if (d->res == -ECANCELED && !x->cancel && u->port->config.shared) {
        weft__uring_wait(u, op, (enum weft__uring_stage)x->stage); /* see instead() */
    } else if (x->stage == WEFT__STAGE_WAIT) {
        if (d->res < 0 || x->cancel)
            weft__uring_end(u, op, d->res < 0 ? d->res : -ECANCELED);
        else
            weft__uring_start(u, op);
    } else if (d->res < 0 && d->res != -ETIME) {
        weft__uring_end(u, op, d->res);
    } else {
        weft__uring_attempt(u, op);
    }
}

static __attribute__((noinline)) void on_op(weft__uring *u, weft_op *op, const struct done *d)
{
    weft__uring_op *x = weft__uring_of(op);
    if (!(d->flags & IORING_CQE_F_MORE)) {
        x->where = WEFT__AT_NONE;
        u->in_ring--;
        if (x->queued) {
            x->queued = 0;
            weft__uring_unlink(&u->cancelling, op);
        }
    }
    if (x->stage != WEFT__STAGE_DIRECT)
        on_stage(u, op, d);
    else if (!(op->flags & WEFT_OP_MULTI))
        ended(u, op, d->res);
    else if (op->code == WEFT_OP_ACCEPT)
        on_accept(u, op, d);
    else
        on_recv(u, op, d);
}

static void on_wake(weft__uring *u, const struct done *d)
{
    u->woken = 1;
    if (d->flags & IORING_CQE_F_MORE)
        return;
    u->wake_armed = 0;
    if (d->res == -EINVAL)
        u->wake_multi = 0;
    /* Armed again with the count at zero, so that it does not end at once. A write in between is seen by the new
     * poll. */
    uint64_t count;
    if (!u->closing && read(u->wake_fd, &count, sizeof count) > 0)
        u->port->calls++;
}

/* The deadline has come, or could not be set. Whoever waits returns, and looks at the time. One that was moved too late
 * (-ENOENT, -EALREADY) is about to come, or has. */
static void on_standing(weft__uring *u, const struct done *d)
{
    u->woken = 1;
    u->standing_ns = WEFT_NEVER;
    u->waits_alike = 0;
    if (d->res == -ETIME)
        u->stands = 0;
    else if (d->res != -ENOENT && d->res != -EALREADY)
        u->may_stand = 0;
}

/* Not for an op that waits for it. */
static __attribute__((noinline)) void on_other(weft__uring *u, const struct done *d)
{
    const uint32_t bid = d->flags >> IORING_CQE_BUFFER_SHIFT;
    switch ((enum weft__uring_tag)(d->data & WEFT__TAG_MASK)) {
    case WEFT__TAG_CANCEL:
        u->cancels[d->res == -ENOENT ? 1 : d->res == -EALREADY ? 2 : 0]++;
        return;
    case WEFT__TAG_WAKE:
        on_wake(u, d);
        return;
    case WEFT__TAG_STANDING:
        on_standing(u, d);
        return;
    default:
        u->stray++;
        break;
    }
    if (d->flags & IORING_CQE_F_BUFFER && u->buffers.ring && bid < u->buffers.count && !u->buffers.lent[bid] &&
        u->buffers.free) {
        weft_buffer unused;
        weft__uring_buffer_filled(u, bid, 0, &unused);
        weft__uring_buffer_return(u, bid);
    }
}

/* Whether an op of ours has simply done what it was to do; most have. */
static inline int is_success(weft_op *op, const struct done *d)
{
    const weft__uring_op *x = weft__uring_of(op);
    return d->res >= 0 && x->stage == WEFT__STAGE_DIRECT && !x->queued && !(op->flags & WEFT_OP_MULTI) &&
           !(1u << op->code & CONVERTED);
}

/* The op of such an entry, if it is one that came straight and succeeded; else NULL. */
static inline weft_op *straight_of(const weft__uring *u, uint64_t data, int32_t res)
{
    weft_op *op = (weft_op *)(uintptr_t)(data & (UINT64_MAX >> 16));
    const int other = data & WEFT__TAG_MASK || !op || res < 0 || op->tag != data >> 48 || op->port != u->port;
    return other || !weft__uring_goes_straight(weft__uring_of(op)) ? NULL : op;
}

/* What ended comes to for one. */
static inline void end_straight(weft__uring *u, weft_op *op, int32_t res)
{
    if (u->valgrind && op->code == WEFT_OP_RECV)
        WEFT__DEFINED(op->io.buf, (size_t)res);
    weft__uring_of(op)->where = WEFT__AT_NONE;
    u->in_ring--;
    u->proven |= 1u << op->code;
    u->delivered++;
    weft__straight_end(u->port, op, res);
}

static inline void dispatch(weft__uring *u, const struct done *d)
{
    weft_op *op = (weft_op *)(uintptr_t)(d->data & (UINT64_MAX >> 16));
    if (d->data & WEFT__TAG_MASK || !op || op->tag != d->data >> 48 || op->port != u->port ||
        weft__uring_of(op)->where != WEFT__AT_RING) {
        on_other(u, d);
    } else if (is_success(op, d)) {
        if (u->valgrind)
            mark_defined(op, d->res);
        weft__uring_of(op)->where = WEFT__AT_NONE;
        u->in_ring--;
        u->proven |= 1u << op->code;
        u->delivered++;
        weft_port_complete(u->port, op, d->res);
    } else {
        on_op(u, op, d);
    }
}

/* Those that lie at the head of the queue need not be copied: their submitters are made ready, and do nothing yet; the
 * last one of a descriptor that closes has that closed, too, and nothing there comes back to the queue either. */
static inline uint32_t reap_straight(weft__uring *u)
{
    const uint32_t from = u->cq_head, to = from + weft__uring_completions(u);
    uint32_t at = from;
    for (; at != to; at++) {
        const struct io_uring_cqe *cqe = &u->cqes[at & u->cq_mask];
        weft_op *op = straight_of(u, cqe->user_data, cqe->res);
        if (!op)
            break;
        end_straight(u, op, cqe->res);
    }
    if (at != from) {
        u->cq_head = at;
        weft__store_release(u->cq_head_shared, at, "uring.cq_head"); /* as below */
    }
    return at - from;
}

unsigned weft__uring_reap(weft__uring *u)
{
    struct done batch[WEFT__URING_BATCH];
    uint32_t taken = reap_straight(u), left = weft__uring_completions(u);
    while (left) {
        /* An entry makes two results at most: as long as the owner has room for twice as many, all of the batch can
         * be acted on. */
        const unsigned room = weft_port_room(u->port);
        if (!room)
            break;
        uint32_t n = left < WEFT__URING_BATCH ? left : WEFT__URING_BATCH;
        if (room < 2 * n)
            n = room / 2 ? room / 2 : 1;
        for (uint32_t i = 0; i < n; i++) {
            const struct io_uring_cqe *cqe = &u->cqes[(u->cq_head + i) & u->cq_mask];
            batch[i] = (struct done){cqe->user_data, cqe->res, cqe->flags};
        }
        u->cq_head += n;
        /* The kernel's acquire of the head lets it overwrite what was copied. */
        weft__store_release(u->cq_head_shared, u->cq_head, "uring.cq_head");
        for (uint32_t i = 0; i < n; i++)
            dispatch(u, &batch[i]);
        left -= n;
        taken += n;
    }
    return taken;
}

void weft__uring_run_calls(weft__uring *u)
{
    const weft_op *last = u->calls.tail;
    for (weft_op *op = u->calls.head; op; op = u->calls.head) {
        const int at_end = op == last;
        weft__uring_unlink(&u->calls, op);
        WEFT_ASSERT(op->code == WEFT_OP_SHUTDOWN);
        u->port->calls++;
        weft__uring_end(u, op, u->port->driver->shutdown(u->port, op->desc->handle, op->shutdown.how));
        if (at_end)
            return;
    }
}

/* One receive of an emulated multishot; -EAGAIN: has to wait, 1: goes on, else over. */
static int64_t receive_one(weft__uring *u, weft_op *op, weft_buffer *buffer)
{
    uint32_t bid;
    if (weft__uring_buffer_take(u, &bid) < 0)
        return -ENOBUFS;
    weft__uring_buffer_filled(u, bid, u->buffers.size, buffer);
    const ssize_t n = weft__recv((int)op->desc->handle, buffer->data, buffer->len, MSG_DONTWAIT);
    const int error = errno;
    u->port->calls++;
    if (n > 0) {
        buffer->len = (uint32_t)n;
        return n;
    }
    weft__uring_buffer_return(u, bid);
    return n ? -error : 0;
}

static void attempt_multi(weft__uring *u, weft_op *op)
{
    weft__uring_op *x = weft__uring_of(op);
    int64_t r = -EAGAIN;
    for (int i = 0; i < ATTEMPTS_IN_A_ROW && weft_port_room(u->port) && !x->cancel; i++) {
        weft_buffer buffer = {0};
        if (op->code == WEFT_OP_ACCEPT) {
            u->port->calls++;
            r = weft__accept_once(op->desc->handle, NULL);
        } else {
            const uint32_t releases = u->buffers.releases;
            r = receive_one(u, op, &buffer);
            if (r == -EAGAIN || r == -EINTR)
                u->buffers.releases = releases; /* only tried: nobody gave one back */
        }
        if (r < 0 || (r == 0 && op->code == WEFT_OP_RECV))
            break;
        hand_over(u, op, r, buffer.data ? &buffer : NULL);
        r = -EAGAIN;
    }
    if (x->cancel) {
        weft__uring_end(u, op, -ECANCELED);
    } else if (r == -EAGAIN || r == -EINTR) {
        weft__uring_wait(u, op, WEFT__STAGE_POLL);
    } else if (r == -ENOBUFS && op->code == WEFT_OP_RECV && u->buffers.free < u->buffers.count) {
        x->releases = u->buffers.releases;
        x->where = WEFT__AT_STARVED;
        weft__uring_push(&u->starved, op);
    } else {
        weft__uring_end(u, op, r);
    }
}

void weft__uring_attempt(weft__uring *u, weft_op *op)
{
    if (op->flags & WEFT_OP_MULTI) {
        if (op->code == WEFT_OP_RECV && u->buffers.ring)
            weft__uring_end(u, op, -ENOTSUP); /* the buffers are the kernel's: see instead() */
        else
            attempt_multi(u, op);
        return;
    }
    u->port->calls++;
    const int64_t r = weft__op_attempt(op);
    if (r != -EAGAIN)
        weft__uring_end(u, op, r);
    else if (weft__uring_of(op)->cancel)
        weft__uring_end(u, op, -ECANCELED);
    else
        weft__uring_wait(u, op, op->drv[7] == WEFT__ATTEMPT_LATER ? WEFT__STAGE_LATER : WEFT__STAGE_POLL);
}
