/* Reading and writing. Each call is one op, or a row of them, in the caller's frame. Fibers of the owner lane.
 *
 * Between two ops of a row the socket may have been closed by a sibling and its record reused, so each step looks the
 * id up again. */
#include <errno.h>

#include "fiber/contain.h"
#include "lane/transfer.h"
#include "net/sock.h"

/* What one system call takes at most on Linux; asking for more would make counts that do not fit where they are
 * stored. */
#define BYTES_MAX ((size_t)0x7ffff000)
#define VECTORS_MAX 1024u
#define VECTORS_OWN 16u

static size_t at_most(size_t n) { return n < BYTES_MAX ? n : BYTES_MAX; }

/* The running fiber, looked at for room on its stack; NULL: there is none.
 * For the public calls themselves: see weft__probe. */
__attribute__((always_inline)) static inline weft__fiber *caller(void)
{
    weft__fiber *f = weft__fiber_self();
    weft__probe(f);
    return f;
}

static int find(const weft__fiber *f, weft_id id, weft__sock **out)
{
    weft__handle *h = NULL;
    int r = f ? weft__handle_find_of(f, id, WEFT__SOCKET, &h) : -EPERM;
    *out = weft__sock_of(h);
    return r;
}

/* For reads: other ways of reading must not have data under way. */
static int find_reader(const weft__fiber *f, weft_id id, weft__sock **out)
{
    int r = find(f, id, out);
    if (r == 0 && (*out)->h.streams && weft__stream_busy(*out))
        r = -EBUSY;
    return r;
}

/* ---- The usual way is in the public call's own frame; what is rare begins anew in another, and what it asks for need
 * not be kept here. ---- */

/* A call on a socket that is plainly there, with something to do; NULL: another one. */
static inline weft__sock *usual(const weft__fiber *f, weft_id id, size_t n)
{
    weft__handle *h = f && n > 0 && n <= BYTES_MAX ? weft__handle_glance(f, id, WEFT__SOCKET) : NULL;
    return h ? weft__sock_of(h) : NULL;
}

static __attribute__((noinline)) ssize_t read_otherwise(weft__fiber *f, weft_id sock, void *buf, size_t n, int64_t deadline)
{
    weft__sock *s;
    int r = find_reader(f, sock, &s);
    if (r < 0)
        return r;
    if (n == 0)
        return weft__await_nothing();
    return (ssize_t)weft__transfer(&s->h, f, WEFT_OP_RECV, buf, at_most(n), deadline);
}

/* Nearly always a server waits for its next request here. */
ssize_t weft_read(weft_id sock, void *buf, size_t n, int64_t deadline)
{
    weft__fiber *f = caller();
    weft__sock *s = usual(f, sock, n);
    if (!s || s->h.streams)
        return read_otherwise(f, sock, buf, n, deadline);
    if (!weft__transfer_here(&s->h, f, 0)) {
        if (weft__transfer_by_ring(&s->h, f, WEFT_OP_RECV))
            return (ssize_t)weft__transfer_ring(&s->h, f, WEFT_OP_RECV, buf, n, deadline);
        return (ssize_t)weft__transfer(&s->h, f, WEFT_OP_RECV, buf, n, deadline);
    }
    int64_t r = weft__transfer_try(&s->h, f, WEFT_OP_RECV, buf, n, deadline);
    if (r != -EAGAIN)
        return (ssize_t)r;
    weft__lookout a;
    if (!weft__transfer_watch(&a, &s->h, f, 0, deadline))
        return (ssize_t)weft__transfer_unwatched(&s->h, f, WEFT_OP_RECV, buf, n, deadline);
    return (ssize_t)weft__transfer_wait(&a, &s->h, f, WEFT_OP_RECV, buf, n, deadline);
}

static __attribute__((noinline)) ssize_t write_otherwise(weft__fiber *f, weft_id sock, const void *buf, size_t n, int64_t deadline)
{
    weft__sock *s;
    int r = find(f, sock, &s);
    if (r < 0)
        return r;
    if (n == 0)
        return weft__await_nothing();
    /* The cast drops const: one call serves both directions, and what is sent is only read. */
    return (ssize_t)weft__transfer(&s->h, f, WEFT_OP_SEND, (void *)(uintptr_t)buf, at_most(n), deadline);
}

/* Nearly always there is room. */
static inline ssize_t write_some(weft__fiber *f, weft_id sock, const void *buf, size_t n, int64_t deadline)
{
    weft__sock *s = usual(f, sock, n);
    /* Dropping const: one call serves both directions, and what is sent is only read. */
    void *from = (void *)(uintptr_t)buf;
    if (!s)
        return write_otherwise(f, sock, buf, n, deadline);
    if (!weft__transfer_here(&s->h, f, 1)) {
        if (!weft__transfer_by_ring(&s->h, f, WEFT_OP_SEND))
            return (ssize_t)weft__transfer(&s->h, f, WEFT_OP_SEND, from, n, deadline);
        if (f->home->port->lone)
            return (ssize_t)weft__transfer_past(&s->h, f, WEFT_OP_SEND, from, n, deadline);
        return (ssize_t)weft__transfer_ring(&s->h, f, WEFT_OP_SEND, from, n, deadline);
    }
    int64_t r = weft__transfer_try(&s->h, f, WEFT_OP_SEND, from, n, deadline);
    return (ssize_t)(r != -EAGAIN ? r : weft__transfer_later(&s->h, f, WEFT_OP_SEND, from, n, deadline));
}

ssize_t weft_write(weft_id sock, const void *buf, size_t n, int64_t deadline) { return write_some(caller(), sock, buf, n, deadline); }

static int is_empty(const struct iovec *iov, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (iov[i].iov_len)
            return 0;
    return 1;
}

static ssize_t transfer_vectors(weft__sock *s, weft__fiber *f, enum weft_opcode code, const struct iovec *iov,
                                unsigned count, int64_t deadline)
{
    if (count > VECTORS_MAX)
        return -EINVAL;
    if (is_empty(iov, count))
        return weft__await_nothing();
    return (ssize_t)weft__transfer(&s->h, f, code, (void *)(uintptr_t)iov, count, deadline);
}

ssize_t weft_readv(weft_id sock, const struct iovec *iov, unsigned count, int64_t deadline)
{
    weft__fiber *f = caller();
    weft__sock *s;
    int r = find_reader(f, sock, &s);
    return r < 0 ? r : transfer_vectors(s, f, WEFT_OP_READV, iov, count, deadline);
}

ssize_t weft_writev(weft_id sock, const struct iovec *iov, unsigned count, int64_t deadline)
{
    weft__fiber *f = caller();
    weft__sock *s;
    int r = find(f, sock, &s);
    return r < 0 ? r : transfer_vectors(s, f, WEFT_OP_WRITEV, iov, count, deadline);
}

/* A socket that was closed between two steps ended this call as it would have ended a wait. */
static int between(ssize_t result, size_t sum) { return result == -EBADF && sum ? -ECANCELED : (int)result; }

/* What the first write left. */
static __attribute__((noinline)) int write_rest(weft__fiber *f, weft_id sock, const char *buf, size_t n, ssize_t first, size_t *done,
                                                int64_t deadline)
{
    size_t sum = 0;
    ssize_t r = first;
    for (;;) {
        sum += r > 0 ? (size_t)r : 0;
        if (r <= 0 || sum == n)
            break;
        r = write_some(f, sock, buf + sum, n - sum, deadline);
    }
    if (done)
        *done = sum;
    return r < 0 ? between(r, sum) : 0;
}

int weft_write_all(weft_id sock, const void *buf, size_t n, size_t *done, int64_t deadline)
{
    weft__fiber *f = caller();
    ssize_t r = write_some(f, sock, buf, n, deadline);
    if (r < 0 || (size_t)r < n)
        return write_rest(f, sock, buf, n, r, done, deadline);
    if (done)
        *done = n;
    return 0;
}

int weft_read_all(weft_id sock, void *buf, size_t n, size_t *done, int64_t deadline)
{
    weft__probe_more(1);
    size_t sum = 0;
    ssize_t r;
    do {
        r = weft_read(sock, (char *)buf + sum, n - sum, deadline);
        sum += r > 0 ? (size_t)r : 0;
    } while (r > 0 && sum < n);
    if (done)
        *done = sum;
    if (r < 0)
        return between(r, sum);
    return sum < n ? -EPIPE : 0;
}

/* The vectors behind the first `skip` bytes, as many as fit into part; returns how many. */
static unsigned rest_of(const struct iovec *iov, unsigned count, size_t skip, struct iovec *part)
{
    unsigned n = 0;
    for (unsigned i = 0; i < count && n < VECTORS_OWN; i++) {
        if (skip >= iov[i].iov_len) {
            skip -= iov[i].iov_len;
            continue;
        }
        part[n].iov_base = (char *)iov[i].iov_base + skip;
        part[n++].iov_len = iov[i].iov_len - skip;
        skip = 0;
    }
    return n;
}

int weft_writev_all(weft_id sock, const struct iovec *iov, unsigned count, size_t *done, int64_t deadline)
{
    weft__probe_more(1);
    size_t sum = 0;
    ssize_t r = 0;
    struct iovec part[VECTORS_OWN];
    /* What has been sent entirely is skipped once: `iov` moves along, `behind` counts within its first vector. */
    size_t behind = 0;
    for (;;) {
        while (count && behind >= iov->iov_len) {
            behind -= iov->iov_len;
            iov++;
            count--;
        }
        unsigned n = rest_of(iov, count, behind, part);
        if (n == 0 && sum)
            break;
        r = weft_writev(sock, part, n, deadline);
        if (r <= 0)
            break;
        sum += (size_t)r;
        behind += (size_t)r;
    }
    if (done)
        *done = sum;
    return r < 0 ? between(r, sum) : 0;
}
