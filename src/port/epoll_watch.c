/* What a request needs of the epoll driver when nothing goes wrong: one attempt without an op, and news for who waits
 * until the next is worth while. Home thread.
 *
 * A watcher stands before the ops of its direction's queue, from the attempt that failed until it leaves, also while
 * it has been told and has not made its attempt yet: so who came first has the first try, and nobody overtakes. */
#include <limits.h>

#include "port/calls_posix.h"
#include "port/epoll.h"

static int64_t by_vectors(const weft_desc *d, enum weft_opcode code, const struct iovec *iov, size_t count)
{
    if (count > INT_MAX)
        return -EINVAL;
    return code == WEFT_OP_READV ? weft__readv_once(d, iov, (uint32_t)count) : weft__writev_once(d, iov, (uint32_t)count);
}

static int64_t sum_of(const struct iovec *iov, size_t count)
{
    int64_t sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += (int64_t)iov[i].iov_len;
    return sum;
}

int64_t weft__epoll_attempt(weft_port *port, weft_desc *d, enum weft_opcode code, void *buf, size_t len)
{
    enum weft__epoll_queue queue = WEFT__QUEUE_READ;
    int64_t r, wanted = (int64_t)len;
    port->calls++;
    if (code == WEFT_OP_RECV) {
        r = weft__recv_once(d, buf, len, 0);
    } else if (code == WEFT_OP_SEND) {
        queue = WEFT__QUEUE_WRITE;
        r = weft__send_once(d, buf, len, 0);
    } else {
        queue = code == WEFT_OP_READV ? WEFT__QUEUE_READ : WEFT__QUEUE_WRITE;
        wanted = sum_of(buf, len);
        r = by_vectors(d, code, buf, len);
    }
    if (r < wanted && (r == -EAGAIN || (r > 0 && weft__epoll_shortness_tells(d))))
        weft__epoll_nothing_left(d, queue);
    return r;
}

/* What there is comes as the first event: until then nothing is known to be there. */
int weft__epoll_watch(weft_port *port, weft_desc *d)
{
    int r = weft__epoll_enroll(port->state, d);
    if (r == 0)
        d->latch = 0;
    return r;
}

void weft__epoll_unwatched(weft_port *port, weft_op *op) { weft__epoll_next(port->state, op); }
