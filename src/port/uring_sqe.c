/* From op to submission entry, and the lists of ops that cannot have one yet. Home thread only.
 *
 * Nothing is dropped and nothing spins: an op without a slot waits in `deferred`, in order; a cancel without one
 * waits in `cancelling`, linked through the op it is for, so there is always room for it; both go into the queue as
 * the kernel empties it, cancels first. A cancel stands behind its op in the queue and the kernel runs cancels as it
 * takes them, so it can never meet a later op at the same address. What an entry points to beside the op (message
 * headers, addresses) lies in the slot's own `side` until the kernel has taken it. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "port/op.h"
#include "port/straight.h"
#include "port/uring.h"

#define LATER_NS 1000000
#define LARGEST 0x7ffff000u /* what the kernel moves at most in one go */
#define LITTLE 16384u       /* what is most likely sent as a whole */

static struct io_uring_sqe *free_slot(weft__uring *u)
{
    if (weft__uring_unsubmitted(u) >= u->sq_entries)
        return NULL;
    struct io_uring_sqe *sqe = &u->sqes[u->sq_tail & u->sq_mask];
    memset(sqe, 0, sizeof *sqe);
    return sqe;
}

static weft__uring_side *side_of(weft__uring *u) { return &u->side[u->sq_tail & u->sq_mask]; }

static uint32_t poll_mask(uint32_t events)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    return events << 16 | events >> 16;
#else
    return events;
#endif
}

static inline uint32_t at_most(size_t len) { return len > LARGEST ? LARGEST : (uint32_t)len; }

static void fill(struct io_uring_sqe *sqe, uint8_t opcode, const void *addr, size_t len, uint64_t off)
{
    sqe->opcode = opcode;
    sqe->addr = (uintptr_t)addr;
    sqe->len = at_most(len);
    sqe->off = off;
}

static int is_socket(const weft_op *op) { return op->desc->kind == WEFT_DESC_STREAM; }

static void fill_accept(weft__uring *u, struct io_uring_sqe *sqe, weft_op *op)
{
    weft__uring_op *x = weft__uring_of(op);
    sqe->opcode = IORING_OP_ACCEPT;
    sqe->accept_flags = SOCK_NONBLOCK | SOCK_CLOEXEC;
    if (op->flags & WEFT_OP_MULTI) {
        if (u->multi_accept)
            sqe->ioprio = IORING_ACCEPT_MULTISHOT;
    } else if (op->accept.peer) {
        x->peer.len = sizeof x->peer.addr;
        sqe->addr = (uintptr_t)x->peer.addr;
        sqe->addr2 = (uintptr_t)&x->peer.len;
    }
}

static void fill_recv(weft__uring *u, struct io_uring_sqe *sqe, weft_op *op)
{
    if (op->flags & WEFT_OP_MULTI) {
        sqe->opcode = IORING_OP_RECV;
        sqe->flags = IOSQE_BUFFER_SELECT;
        sqe->ioprio = u->multi_recv ? IORING_RECV_MULTISHOT : 0;
        weft__uring_of(op)->releases = u->buffers.releases;
    } else if (is_socket(op)) {
        fill(sqe, IORING_OP_RECV, op->io.buf, op->io.len, 0);
        sqe->msg_flags = op->io.flags;
    } else {
        fill(sqe, IORING_OP_READ, op->io.buf, op->io.len, UINT64_MAX);
    }
}

static void fill_vec(weft__uring *u, struct io_uring_sqe *sqe, weft_op *op)
{
    const int reads = op->code == WEFT_OP_READV;
    if (!is_socket(op)) {
        fill(sqe, reads ? IORING_OP_READV : IORING_OP_WRITEV, op->vec.iov, op->vec.count, UINT64_MAX);
        return;
    }
    weft__uring_side *side = side_of(u);
    memset(&side->msg, 0, sizeof side->msg);
    side->msg.msg_iov = (struct iovec *)(uintptr_t)op->vec.iov;
    side->msg.msg_iovlen = op->vec.count;
    fill(sqe, reads ? IORING_OP_RECVMSG : IORING_OP_SENDMSG, &side->msg, 1, 0);
    sqe->msg_flags = reads ? MSG_CMSG_CLOEXEC : MSG_NOSIGNAL;
}

static void fill_open(weft__uring *u, struct io_uring_sqe *sqe, weft_op *op)
{
    const struct open_how how = {
        .flags = (uint64_t)(uint32_t)weft__open_flags(op->open.flags),
        .mode = op->open.flags & WEFT_OPEN_CREATE ? op->open.mode & 07777 : 0,
        .resolve = op->open.flags & WEFT_OPEN_BENEATH ? RESOLVE_BENEATH : 0,
    };
    weft__uring_side *side = side_of(u);
    memcpy(side->how, &how, sizeof how);
    fill(sqe, IORING_OP_OPENAT2, op->open.path, sizeof how, (uintptr_t)side->how);
    sqe->fd = op->desc ? (int)op->desc->handle : AT_FDCWD;
}

static void fill_stat(struct io_uring_sqe *sqe, weft_op *op)
{
    const char *path = op->stat.path;
    fill(sqe, IORING_OP_STATX, path ? path : "", STATX_BASIC_STATS, (uintptr_t)&weft__uring_of(op)->statx->result);
    sqe->statx_flags = (path ? 0u : (uint32_t)AT_EMPTY_PATH) |
                       (op->stat.flags & WEFT_STAT_NOFOLLOW ? (uint32_t)AT_SYMLINK_NOFOLLOW : 0u);
    sqe->fd = op->desc ? (int)op->desc->handle : AT_FDCWD;
}

static void fill_connect(weft__uring *u, struct io_uring_sqe *sqe, weft_op *op)
{
    weft__uring_side *side = side_of(u);
    unsigned len = 0;
    int r = weft__addr_to_sockaddr(op->connect.addr, &side->addr, &len);
    WEFT_ASSERT(r == 0); /* start has tried it */
    fill(sqe, IORING_OP_CONNECT, &side->addr, 0, len);
}

static void fill_direct(weft__uring *u, struct io_uring_sqe *sqe, weft_op *op)
{
    sqe->fd = op->desc ? (int)op->desc->handle : -1;
    switch (op->code) {
    case WEFT_OP_NOP:
        sqe->opcode = IORING_OP_NOP;
        break;
    case WEFT_OP_ACCEPT:
        fill_accept(u, sqe, op);
        break;
    case WEFT_OP_CONNECT:
        fill_connect(u, sqe, op);
        break;
    case WEFT_OP_RECV:
        fill_recv(u, sqe, op);
        break;
    case WEFT_OP_SEND:
        if (is_socket(op)) {
            fill(sqe, IORING_OP_SEND, op->io.buf, op->io.len, 0);
            sqe->msg_flags = op->io.flags | MSG_NOSIGNAL;
        } else {
            fill(sqe, IORING_OP_WRITE, op->io.buf, op->io.len, UINT64_MAX);
        }
        break;
    case WEFT_OP_READV:
    case WEFT_OP_WRITEV:
        fill_vec(u, sqe, op);
        break;
    case WEFT_OP_POLL:
        sqe->opcode = IORING_OP_POLL_ADD;
        sqe->poll32_events = poll_mask((op->poll.events & WEFT_READABLE ? POLLIN | POLLRDHUP : 0u) |
                                       (op->poll.events & WEFT_WRITABLE ? POLLOUT : 0u) |
                                       (op->poll.events & WEFT_HANGUP ? POLLRDHUP : 0u));
        break;
    case WEFT_OP_PREAD:
        fill(sqe, IORING_OP_READ, op->io.buf, op->io.len, (uint64_t)op->io.offset);
        break;
    case WEFT_OP_PWRITE:
        fill(sqe, IORING_OP_WRITE, op->io.buf, op->io.len, (uint64_t)op->io.offset);
        break;
    case WEFT_OP_FSYNC:
        sqe->opcode = IORING_OP_FSYNC;
        sqe->fsync_flags = op->fsync.datasync ? IORING_FSYNC_DATASYNC : 0;
        break;
    case WEFT_OP_OPEN:
        fill_open(u, sqe, op);
        break;
    default:
        WEFT_ASSERT(op->code == WEFT_OP_STAT);
        fill_stat(sqe, op);
        break;
    }
}

static void fill_wait(weft__uring *u, struct io_uring_sqe *sqe, weft_op *op)
{
    if (weft__uring_of(op)->stage == WEFT__STAGE_LATER) {
        weft__uring_side *side = side_of(u);
        side->time = (struct __kernel_timespec){.tv_nsec = LATER_NS};
        sqe->fd = -1;
        fill(sqe, IORING_OP_TIMEOUT, &side->time, 1, 0);
        return;
    }
    sqe->opcode = IORING_OP_POLL_ADD;
    sqe->fd = (int)op->desc->handle;
    sqe->poll32_events = poll_mask(weft__op_rows[op->code].direction == WEFT__WRITE ? POLLOUT : POLLIN | POLLRDHUP);
}

/* Gives the op a slot, if there is one. */
static int into_queue(weft__uring *u, weft_op *op)
{
    struct io_uring_sqe *sqe = free_slot(u);
    if (!sqe)
        return 0;
    weft__uring_op *x = weft__uring_of(op);
    if (x->stage == WEFT__STAGE_DIRECT)
        fill_direct(u, sqe, op);
    else
        fill_wait(u, sqe, op);
    if (x->offload)
        sqe->flags |= IOSQE_ASYNC;
    op->tag = ++u->generation;
    sqe->user_data = weft__uring_data(op);
    x->where = WEFT__AT_RING;
    u->sq_tail++;
    u->in_ring++;
    return 1;
}

static void enqueue(weft__uring *u, weft_op *op)
{
    if (weft__uring_list_empty(&u->deferred) && into_queue(u, op))
        return;
    weft__uring_of(op)->where = WEFT__AT_DEFERRED;
    weft__uring_push(&u->deferred, op);
}

static void wait_in(weft__uring_list *list, weft_op *op, enum weft__uring_where where)
{
    weft__uring_of(op)->where = (uint8_t)where;
    weft__uring_push(list, op);
}

/* The ring's way for a stream of provided buffers. 0: the op waits elsewhere. */
static int stream_may_start(weft__uring *u, weft_op *op)
{
    weft__uring_buffers_ready(u);
    if (!u->buffers.ring) {
        weft__uring_attempt(u, op);
        return 0;
    }
    if (u->buffers.free)
        return 1;
    weft__uring_of(op)->releases = u->buffers.releases;
    wait_in(&u->starved, op, WEFT__AT_STARVED);
    return 0;
}

static int stat_may_start(weft__uring *u, weft_op *op)
{
    weft__uring_op *x = weft__uring_of(op);
    if (!op->stat.out || (!op->stat.path && !op->desc)) {
        weft__uring_end(u, op, -EINVAL);
        return 0;
    }
    if (x->statx)
        return 1;
    if (!u->statx_free) {
        wait_in(&u->waiting_statx, op, WEFT__AT_STATX);
        return 0;
    }
    x->statx = u->statx_free;
    u->statx_free = x->statx->next;
    return 1;
}

static int connect_may_start(weft__uring *u, weft_op *op)
{
    struct sockaddr_storage ss;
    unsigned len;
    const int r = weft__addr_to_sockaddr(op->connect.addr, &ss, &len);
    if (r < 0)
        weft__uring_end(u, op, r);
    return r == 0;
}

/* pread(2) and pwrite(2) refuse this descriptor: a pipe, a terminal. Some that cannot be sought in take offsets all the
 * same, so a read of no bytes confirms it; on a file, where that might have to wait, it is not made. */
static int knows_no_offsets(int fd)
{
    char none;
    return lseek(fd, 0, SEEK_CUR) < 0 && errno == ESPIPE && pread(fd, &none, 0, 0) < 0 && errno == ESPIPE;
}

/* The ring would read and write such a one, whatever the offset. Asked once a descriptor. */
static int offset_may_start(weft__uring *u, weft_op *op)
{
    weft_desc *d = op->desc;
    if (d->offsets || op->io.offset < 0)
        return 1;
    u->port->calls++;
    if (knows_no_offsets((int)d->handle)) {
        weft__uring_end(u, op, -ESPIPE);
        return 0;
    }
    d->offsets = 1;
    return 1;
}

/* Whether the op goes into the ring now. 0: it waits elsewhere, or has ended. */
static int may_start(weft__uring *u, weft_op *op)
{
    switch (op->code) {
    case WEFT_OP_RECV:
        if (op->flags & WEFT_OP_MULTI)
            return stream_may_start(u, op);
        if (op->io.len)
            return 1;
        weft__uring_end(u, op, 0); /* the kernel would wait for data */
        return 0;
    case WEFT_OP_SEND:
        if (!op->io.len) {
            weft__uring_end(u, op, 0);
            return 0;
        }
        break;
    case WEFT_OP_WRITEV:
        break;
    case WEFT_OP_CONNECT:
        return connect_may_start(u, op);
    case WEFT_OP_STAT:
        return stat_may_start(u, op);
    case WEFT_OP_PREAD:
    case WEFT_OP_PWRITE:
        return offset_may_start(u, op);
    case WEFT_OP_OPEN:
        if (!op->open.path)
            weft__uring_end(u, op, -EINVAL);
        return op->open.path != NULL;
    default:
        return 1;
    }
    /* Only sends on sockets can be told not to raise SIGPIPE. The attempt at a write on anything else holds the
     * signal back. */
    if (op->desc->kind == WEFT_DESC_STREAM || op->desc->kind == WEFT_DESC_FILE)
        return 1;
    weft__uring_attempt(u, op);
    return 0;
}

void weft__uring_start(weft__uring *u, weft_op *op)
{
    weft__uring_of(op)->stage = WEFT__STAGE_DIRECT;
    if (op->path == WEFT_PATH_RING) {
        if (may_start(u, op))
            enqueue(u, op);
    } else if (op->path == WEFT_PATH_CALL) {
        wait_in(&u->calls, op, WEFT__AT_CALLS);
    } else {
        weft__uring_attempt(u, op);
    }
}

/* A receive or a send of some bytes on a socket by the ring: most ops. */
static inline int is_transfer(const weft_op *op)
{
    return (op->code == WEFT_OP_RECV || op->code == WEFT_OP_SEND) && op->path == WEFT_PATH_RING && is_socket(op) &&
           !(op->flags & WEFT_OP_MULTI) && op->io.len;
}

/* The next slot, and the op is in the ring; NULL: it has to wait for one. */
static inline struct io_uring_sqe *slot_for(weft__uring *u, weft_op *op)
{
    if (!weft__uring_list_empty(&u->deferred) || weft__uring_unsubmitted(u) >= u->sq_entries)
        return NULL;
    op->tag = ++u->generation;
    weft__uring_of(op)->stage = WEFT__STAGE_DIRECT;
    weft__uring_of(op)->where = WEFT__AT_RING;
    u->in_ring++;
    return &u->sqes[u->sq_tail++ & u->sq_mask];
}

/* What start comes to for one, if there is a slot. */
static inline int start_transfer(weft__uring *u, weft_op *op)
{
    struct io_uring_sqe *sqe = slot_for(u, op);
    if (!sqe)
        return 0;
    const int sends = op->code == WEFT_OP_SEND;
    *sqe = (struct io_uring_sqe){
        .opcode = sends ? IORING_OP_SEND : IORING_OP_RECV,
        .fd = (int)op->desc->handle,
        .addr = (uintptr_t)op->io.buf,
        .len = at_most(op->io.len),
        .msg_flags = sends ? op->io.flags | MSG_NOSIGNAL : op->io.flags,
        .user_data = weft__uring_data(op),
    };
    return 1;
}

/* The same for a read of a file. */
static inline int start_read(weft__uring *u, weft_op *op)
{
    struct io_uring_sqe *sqe = op->path == WEFT_PATH_RING && op->desc->offsets ? slot_for(u, op) : NULL;
    if (!sqe)
        return 0;
    *sqe = (struct io_uring_sqe){
        .opcode = IORING_OP_READ,
        .fd = (int)op->desc->handle,
        .addr = (uintptr_t)op->io.buf,
        .len = at_most(op->io.len),
        .off = (uint64_t)op->io.offset,
        .user_data = weft__uring_data(op),
    };
    return 1;
}

/* A send of little, made by a plain call: no submission, no completion, and no way back to who would have waited
 * for it. That pays where the next entry would be for this send alone: the last one told of one thing at most, and
 * there is nothing to hand over or to reap. Only once between two entries, so whatever more that one thing sets
 * off goes into one entry as ever. */
int64_t weft__uring_send_past(weft_port *port, const weft_desc *d, const void *buf, size_t len)
{
    const weft__uring *u = weft__uring_at(port);
    if (len > LITTLE || weft__uring_busy(u))
        return -EAGAIN;
    port->lone = 0;
    port->calls++;
    return u->sys->send(u->sys->self, (int)d->handle, buf, len); /* -EAGAIN: the ring waits */
}

/* The same for what is an op already. */
static int sent_past(weft__uring *u, weft_op *op)
{
    if (op->code != WEFT_OP_SEND || op->io.flags)
        return 0;
    const int64_t r = weft__uring_send_past(u->port, op->desc, op->io.buf, op->io.len);
    if (r == -EAGAIN)
        return 0;
    weft__uring_end(u, op, r);
    return 1;
}

void weft__uring_submit(weft_port *port, weft_op *op)
{
    weft__uring *u = weft__uring_at(port);
    weft__uring_op *x = weft__uring_of(op);
    x->where = WEFT__AT_NONE;
    x->cancel = x->queued = x->offload = x->straight = 0;
    x->statx = NULL;
    op->drv[7] = 0;
    if (!is_transfer(op)) {
        if (op->code != WEFT_OP_PREAD || !start_read(u, op))
            weft__uring_start(u, op);
        return;
    }
    if (port->lone && sent_past(u, op))
        return;
    if (!start_transfer(u, op))
        weft__uring_start(u, op);
}

/* What submit comes to for one of these, written straight into the entry. */
void weft__uring_transfer(weft_port *port, weft_op *op, enum weft_opcode code, weft_desc *d, void *buf, size_t len)
{
    weft__uring *u = weft__uring_at(port);
    weft__uring_op *x = weft__uring_of(op);
    weft__straight_begin(port, op, code, d, buf, len);
    x->where = WEFT__AT_RING;
    x->stage = WEFT__STAGE_DIRECT;
    x->queued = 0;
    x->straight = 1;
    x->cancel = x->offload = 0;
    op->drv[7] = 0;
    if (!weft__uring_list_empty(&u->deferred) || weft__uring_unsubmitted(u) >= u->sq_entries) {
        weft__uring_start(u, op); /* waits for a slot */
        return;
    }
    op->tag = ++u->generation;
    u->in_ring++;
    u->sqes[u->sq_tail++ & u->sq_mask] = (struct io_uring_sqe){
        .opcode = code == WEFT_OP_SEND ? IORING_OP_SEND : IORING_OP_RECV,
        .fd = (int)d->handle,
        .addr = (uintptr_t)buf,
        .len = (uint32_t)len,
        .msg_flags = code == WEFT_OP_SEND ? MSG_NOSIGNAL : 0,
        .user_data = weft__uring_data(op),
    };
}

void weft__uring_wait(weft__uring *u, weft_op *op, enum weft__uring_stage stage)
{
    weft__uring_of(op)->stage = (uint8_t)stage;
    enqueue(u, op);
}

static int cancel_into_queue(weft__uring *u, uint64_t target, uint8_t flags)
{
    struct io_uring_sqe *sqe = free_slot(u);
    if (!sqe)
        return 0;
    sqe->opcode = IORING_OP_ASYNC_CANCEL;
    sqe->fd = -1;
    sqe->addr = target;
    sqe->flags = flags;
    sqe->user_data = WEFT__TAG_CANCEL;
    u->sq_tail++;
    return 1;
}

static uint8_t quiet(const weft__uring *u) { return u->features & IORING_FEAT_CQE_SKIP ? IOSQE_CQE_SKIP_SUCCESS : 0; }

void weft__uring_cancel_op(weft__uring *u, weft_op *op)
{
    weft__uring_op *x = weft__uring_of(op);
    if (x->cancel)
        return;
    x->cancel = 1;
    switch (x->where) {
    case WEFT__AT_RING:
        if (!weft__uring_list_empty(&u->cancelling) || !cancel_into_queue(u, weft__uring_data(op), quiet(u))) {
            x->queued = 1;
            weft__uring_push(&u->cancelling, op);
        }
        return;
    case WEFT__AT_DEFERRED:
        weft__uring_unlink(&u->deferred, op);
        break;
    case WEFT__AT_STARVED:
        weft__uring_unlink(&u->starved, op);
        break;
    case WEFT__AT_STATX:
        weft__uring_unlink(&u->waiting_statx, op);
        break;
    case WEFT__AT_CALLS:
        weft__uring_unlink(&u->calls, op);
        break;
    default:
        return; /* one of its results is being handed over: what comes after looks at x->cancel */
    }
    weft__uring_end(u, op, -ECANCELED);
}

/* Starved receives start again as far as buffers are there, each at most once for every buffer that came back. */
static void feed(weft__uring *u)
{
    weft_op *op;
    for (uint32_t n = u->buffers.free; n && weft__uring_can_feed(u); n--) {
        op = u->starved.head;
        weft__uring_unlink(&u->starved, op);
        weft__uring_of(op)->where = WEFT__AT_NONE;
        u->rearmed++;
        weft__uring_start(u, op);
    }
}

void weft__uring_flush(weft__uring *u)
{
    weft_op *op;
    if (!u->wake_armed && !u->closing)
        weft__uring_arm_wake(u);
    while ((op = u->cancelling.head)) {
        if (!cancel_into_queue(u, weft__uring_data(op), quiet(u)))
            return;
        weft__uring_unlink(&u->cancelling, op);
        weft__uring_of(op)->queued = 0;
    }
    while ((op = u->deferred.head) && weft__uring_unsubmitted(u) < u->sq_entries) {
        weft__uring_unlink(&u->deferred, op);
        into_queue(u, op);
    }
    feed(u);
}

int weft__uring_arm_wake(weft__uring *u)
{
    struct io_uring_sqe *sqe = free_slot(u);
    if (!sqe)
        return 0;
    sqe->opcode = IORING_OP_POLL_ADD;
    sqe->fd = u->wake_fd;
    sqe->poll32_events = poll_mask(POLLIN);
    sqe->len = u->wake_multi ? IORING_POLL_ADD_MULTI : 0;
    sqe->user_data = WEFT__TAG_WAKE;
    u->sq_tail++;
    u->wake_armed = 1;
    return 1;
}

int weft__uring_disarm_wake(weft__uring *u) { return cancel_into_queue(u, WEFT__TAG_WAKE, 0); }

void weft__uring_stand(weft__uring *u, int64_t deadline_ns)
{
    struct io_uring_sqe *sqe = free_slot(u);
    if (!sqe)
        return;
    weft__uring_side *side = side_of(u);
    side->time = (struct __kernel_timespec){.tv_sec = deadline_ns / WEFT_SECOND, .tv_nsec = deadline_ns % WEFT_SECOND};
    sqe->fd = -1;
    sqe->user_data = WEFT__TAG_STANDING;
    sqe->timeout_flags = IORING_TIMEOUT_ABS;
    if (u->stands) {
        sqe->opcode = IORING_OP_TIMEOUT_REMOVE;
        sqe->timeout_flags |= IORING_TIMEOUT_UPDATE;
        sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
        sqe->addr = WEFT__TAG_STANDING; /* whom it is for */
        sqe->addr2 = (uintptr_t)&side->time;
    } else {
        fill(sqe, IORING_OP_TIMEOUT, &side->time, 1, 0);
    }
    u->sq_tail++;
    u->stands = 1;
    u->standing_ns = deadline_ns;
}
