/* Waiting for one connection. Running out of descriptors or memory is waited out with growing pauses, so that a
 * server at its limit neither spins nor gives up; a connection that went away before it was accepted is nobody's
 * error. */
#include <errno.h>

#include "fiber/contain.h"
#include "net/sock.h"

#define PAUSE_FIRST (2 * WEFT_MILLISECOND)
#define PAUSE_MOST (500 * WEFT_MILLISECOND)

int weft__accept_pauses(int64_t result)
{
    return result == -EMFILE || result == -ENFILE || result == -ENOBUFS || result == -ENOMEM;
}

int weft__accept_skips(int64_t result)
{
    switch (result) {
    case -ECONNABORTED:
    case -ECONNRESET:
    case -EHOSTDOWN:
    case -EHOSTUNREACH:
    case -EINTR:
    case -ENETDOWN:
    case -ENETUNREACH:
    case -ENONET:
    case -ENOPROTOOPT:
    case -EPERM: /* a firewall's word about the peer */
    case -EPROTO:
        return 1;
    default:
        return 0;
    }
}

int64_t weft__accept_pause_ns(unsigned n)
{
    int64_t ns = PAUSE_FIRST << (n < 10 ? n : 10);
    return ns < PAUSE_MOST ? ns : PAUSE_MOST;
}

/* A pause that ends at the deadline at the latest: 0, -ETIMEDOUT when that came, -ECANCELED. */
static int pause_until(int64_t deadline, unsigned n)
{
    int64_t until = weft_after(weft__accept_pause_ns(n));
    if (until < deadline)
        return weft_sleep(until);
    int r = deadline > weft_now() ? weft_sleep(deadline) : 0;
    return r < 0 ? r : -ETIMEDOUT;
}

/* An accepted handle, or why there is none. A sibling may have closed the listener during a pause: -EBADF then. */
static int64_t accept_handle(weft_id listener, weft_addr *peer, int64_t deadline)
{
    for (unsigned pauses = 0;;) {
        weft__listener *l;
        int r = weft__listener_find(listener, &l);
        if (r < 0)
            return pauses && r == -EBADF ? -ECANCELED : r;
        weft_op op;
        weft_op_accept(&op, l->h.desc, peer);
        int64_t result = weft__handle_await(&l->h, &op, deadline);
        if (weft__accept_skips(result))
            continue;
        if (!weft__accept_pauses(result))
            return result;
        r = pause_until(deadline, pauses++);
        if (r < 0)
            return r;
    }
}

static int adopt(int64_t raw, weft_id *out)
{
    weft__sock *s;
    int r = weft__sock_make((weft_handle)raw, &s);
    if (r == 0)
        *out = weft__resource_id(&s->h.res);
    return r;
}

/* What is there now. A connection that nobody takes stays in the listener's backlog. */
static int64_t next_connection(weft_id listener, void *out)
{
    weft__listener *l;
    weft_op op;
    int64_t raw;
    do {
        int r = weft__listener_find(listener, &l);
        if (r < 0)
            return r;
        weft_op_accept(&op, l->h.desc, NULL);
        raw = weft__handle_await(&l->h, &op, WEFT_NOW);
    } while (weft__accept_skips(raw));
    if (raw < 0)
        return raw == -ETIMEDOUT || raw == -EAGAIN ? WEFT__NO_ITEM : raw; /* none, or no room to ask */
    return adopt(raw, out);
}

const weft__source weft__accept_source = {.next = next_connection};

int weft_accept(weft_id listener, weft_id *out, weft_addr *peer, int64_t deadline)
{
    weft__probe_self();
    if (!out)
        return -EINVAL;
    weft_addr from;
    int64_t raw = accept_handle(listener, peer ? &from : NULL, deadline);
    if (raw < 0)
        return (int)raw;
    int r = adopt(raw, out);
    if (r == 0 && peer)
        *peer = from;
    return r;
}
