/* What a request needs of the epoll driver when nothing goes wrong: one attempt without an op, and news for who waits
 * until the next is worth while. Home thread.
 *
 * A watcher stands before the ops of its direction's queue, from the attempt that failed until it leaves, also while
 * it has been told and has not made its attempt yet: so who came first has the first try, and nobody overtakes. */
#include <limits.h>

#include "port/calls_posix.h"
#include "port/epoll.h"

/* What a result tells of the next attempt. */
static inline int64_t learn(weft_desc *d, enum weft__epoll_queue queue, int64_t r, int64_t wanted)
{
    if (r < wanted && (r == -EAGAIN || (r > 0 && weft__epoll_shortness_tells(d))))
        weft__epoll_nothing_left(d, queue);
    return r;
}

static __attribute__((noinline)) int64_t by_vectors(weft_desc *d, enum weft_opcode code, const struct iovec *iov, size_t count)
{
    int64_t sum = 0;
    if (count > INT_MAX)
        return -EINVAL;
    for (size_t i = 0; i < count; i++)
        sum += (int64_t)iov[i].iov_len;
    return code == WEFT_OP_READV ? learn(d, WEFT__QUEUE_READ, weft__readv_once(d, iov, (uint32_t)count), sum)
                                 : learn(d, WEFT__QUEUE_WRITE, weft__writev_once(d, iov, (uint32_t)count), sum);
}

int64_t weft__epoll_attempt(weft_port *port, weft_desc *d, enum weft_opcode code, void *buf, size_t len)
{
    port->calls++;
    if (code == WEFT_OP_RECV)
        return learn(d, WEFT__QUEUE_READ, weft__recv_once(d, buf, len, 0), (int64_t)len);
    if (code == WEFT_OP_SEND)
        return learn(d, WEFT__QUEUE_WRITE, weft__send_once(d, buf, len, 0), (int64_t)len);
    return by_vectors(d, code, buf, len);
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
