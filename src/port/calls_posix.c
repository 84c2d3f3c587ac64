/* One non-blocking attempt at each socket operation, for drivers that learn of readiness, and for the ring where it
 * falls back on it. Any thread that is the op's home (or the pool, which then owns it). No state but the op's. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "port/at_once.h"
#include "port/calls_posix.h"

/* What one attempt may ask for: the first bounds how long one connection keeps the others waiting. A file that is not
 * in the page cache blocks in sendfile(2), and so the second bounds what the disk is asked for. */
#define SENDFILE_MOST ((size_t)1024 * 1024)
#define SENDFILE_COLD ((size_t)256 * 1024)

#define CONNECTING 1u /* in drv[7]: connect(2) was called and is under way */

/* Calls on anything but sockets know no MSG_NOSIGNAL, nor does sendfile: SIGPIPE is held back around them, and one
 * that this thread caused is taken away again. */
typedef struct quiet {
    sigset_t before;
    int pending;
} quiet;

static void pipe_signal_off(quiet *q)
{
    sigset_t pipe, now;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, &q->before);
    q->pending = 0;
    if (sigismember(&q->before, SIGPIPE) && sigpending(&now) == 0)
        q->pending = sigismember(&now, SIGPIPE);
}

static int64_t pipe_signal_on(quiet *q, int64_t result)
{
    if (result == -EPIPE && !q->pending) {
        sigset_t pipe;
        sigemptyset(&pipe);
        sigaddset(&pipe, SIGPIPE);
        while (sigtimedwait(&pipe, NULL, &(struct timespec){0, 0}) < 0 && errno == EINTR)
            ;
    }
    if (!sigismember(&q->before, SIGPIPE))
        pthread_sigmask(SIG_SETMASK, &q->before, NULL);
    return result;
}

/* Errors of accept(2) that belong to the connection that would have been next, not to the listener: accept again. */
static int of_one_connection(int e)
{
    switch (e) {
    case EINTR:
    case ECONNABORTED:
    case ENETDOWN:
    case EPROTO:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case ENETUNREACH:
        return 1;
    default:
        return 0;
    }
}

int64_t weft__accept_once(weft_handle listener, weft_addr *peer)
{
    for (int tries = 0; tries < 64; tries++) {
        struct sockaddr_storage ss;
        socklen_t len = sizeof ss;
        int fd = accept4((int)listener, peer ? (struct sockaddr *)&ss : NULL, peer ? &len : NULL,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0 && peer)
            weft__addr_from_sockaddr(peer, &ss, len);
        if (fd >= 0 || !of_one_connection(errno))
            return weft__told(fd);
    }
    return -ECONNABORTED;
}

/* The first call starts the connect, later ones ask how it went: connect(2) itself knows exactly, where readiness of
 * a socket that was watched before it was connected would mislead. The error is the one SO_ERROR would give. */
static int64_t connect_attempt(weft_op *op)
{
    struct sockaddr_storage ss;
    unsigned len;
    int r = weft__addr_to_sockaddr(op->connect.addr, &ss, &len);
    if (r < 0)
        return r;
    do
        r = connect((int)op->desc->handle, (struct sockaddr *)&ss, len);
    while (r < 0 && errno == EINTR && op->drv[7] != CONNECTING);
    if (r == 0 || (errno == EISCONN && op->drv[7] == CONNECTING))
        return 0;
    if (errno == EINPROGRESS || errno == EALREADY || errno == EINTR) {
        op->drv[7] = CONNECTING;
        return -EAGAIN;
    }
    if (errno == EAGAIN && op->connect.addr->family == WEFT_ADDR_UNIX)
        op->drv[7] = WEFT__ATTEMPT_LATER;
    return weft__told(-1);
}

int64_t weft__write_quietly(weft_handle h, const void *buf, size_t len)
{
    quiet q;
    pipe_signal_off(&q);
    return pipe_signal_on(&q, weft__told(write((int)h, buf, len)));
}

static int64_t read_vectors(const weft_desc *d, const struct iovec *iov, uint32_t count)
{
    int fd = (int)d->handle;
    if (count > INT32_MAX)
        return -EINVAL;
    if (d->kind != WEFT_DESC_STREAM)
        return weft__told(readv(fd, iov, (int)count));
    struct msghdr m = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = count};
    return weft__told(recvmsg(fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC));
}

int64_t weft__readv_once(const weft_desc *d, const struct iovec *iov, uint32_t count)
{
    int64_t r;
    do
        r = read_vectors(d, iov, count);
    while (r == -EINTR);
    return r;
}

static int64_t write_vectors(const weft_desc *d, const struct iovec *iov, uint32_t count)
{
    int fd = (int)d->handle;
    if (count > INT32_MAX)
        return -EINVAL;
    if (d->kind == WEFT_DESC_STREAM) {
        struct msghdr m = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = count};
        return weft__told(sendmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL));
    }
    quiet q;
    pipe_signal_off(&q);
    return pipe_signal_on(&q, weft__told(writev(fd, iov, (int)count)));
}

int64_t weft__writev_once(const weft_desc *d, const struct iovec *iov, uint32_t count)
{
    int64_t r;
    do
        r = write_vectors(d, iov, count);
    while (r == -EINTR);
    return r;
}

static int64_t poll_attempt(weft_op *op)
{
    struct pollfd p = {.fd = (int)op->desc->handle};
    if (op->poll.events & WEFT_READABLE)
        p.events |= POLLIN;
    if (op->poll.events & WEFT_WRITABLE)
        p.events |= POLLOUT;
    if (op->poll.events & (WEFT_HANGUP | WEFT_READABLE))
        p.events |= POLLRDHUP;
    int r = poll(&p, 1, 0);
    if (r < 0)
        return errno == EINTR ? -EAGAIN : -errno;
    if (p.revents & POLLNVAL)
        return -EBADF;
    unsigned got = 0;
    if (p.revents & (POLLIN | POLLRDHUP) && op->poll.events & WEFT_READABLE)
        got |= WEFT_READABLE;
    if (p.revents & POLLOUT && op->poll.events & WEFT_WRITABLE)
        got |= WEFT_WRITABLE;
    if (p.revents & (POLLHUP | POLLERR | POLLRDHUP))
        got |= WEFT_HANGUP;
    return got ? (int64_t)got : -EAGAIN;
}

/* Files are read from the front: if the last byte of a piece is in memory, what is before it hardly is not. */
static size_t sendfile_piece(const weft_op *op)
{
    size_t n = op->sendfile.len < SENDFILE_MOST ? op->sendfile.len : SENDFILE_MOST;
    if (n <= SENDFILE_COLD || weft__at_once_has((int)op->desc2->handle, op->sendfile.offset + n - 1))
        return n;
    return SENDFILE_COLD;
}

static int64_t sendfile_attempt(const weft_op *op)
{
    if (op->sendfile.offset > INT64_MAX)
        return -EINVAL;
    off_t at = (off_t)op->sendfile.offset;
    size_t n = sendfile_piece(op);
    quiet q;
    pipe_signal_off(&q);
    return pipe_signal_on(&q, weft__told(sendfile((int)op->desc->handle, (int)op->desc2->handle, &at, n)));
}

static int64_t attempt(weft_op *op)
{
    switch (op->code) {
    case WEFT_OP_ACCEPT:
        return weft__accept_once(op->desc->handle, op->accept.peer);
    case WEFT_OP_CONNECT:
        return connect_attempt(op);
    case WEFT_OP_RECV:
        return weft__recv_once(op->desc, op->io.buf, op->io.len, op->io.flags);
    case WEFT_OP_SEND:
        return weft__send_once(op->desc, op->io.buf, op->io.len, op->io.flags);
    case WEFT_OP_READV:
        return weft__readv_once(op->desc, op->vec.iov, op->vec.count);
    case WEFT_OP_WRITEV:
        return weft__writev_once(op->desc, op->vec.iov, op->vec.count);
    case WEFT_OP_POLL:
        return poll_attempt(op);
    case WEFT_OP_SHUTDOWN:
        return weft__posix_shutdown(NULL, op->desc->handle, op->shutdown.how);
    case WEFT_OP_SENDFILE:
        return sendfile_attempt(op);
    default:
        return -ENOTSUP;
    }
}

int64_t weft__op_attempt(weft_op *op)
{
    int64_t r;
    do
        r = attempt(op);
    while (r == -EINTR);
    return r;
}

/* Read in between two readings of that one. */
int weft__posix_clock(const weft_env *env)
{
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    const int64_t now = env->now(env->self);
    clock_gettime(CLOCK_MONOTONIC, &after);
    return now >= before.tv_sec * WEFT_SECOND + before.tv_nsec && now <= after.tv_sec * WEFT_SECOND + after.tv_nsec;
}
