/* The two system calls of a request, inline: once each. The others are in calls_posix.c. No state; any thread that may
 * use the descriptor. */
#ifndef WEFT_PORT_CALLS_POSIX_H
#define WEFT_PORT_CALLS_POSIX_H

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "port/port.h"

/* Result of a call that sets errno. */
static inline int64_t weft__told(int64_t r) { return r >= 0 ? r : errno == EWOULDBLOCK ? -EAGAIN : -errno; }

/* Whether env's clock is CLOCK_MONOTONIC, so that the kernel may be told times of it. */
int weft__posix_clock(const weft_env *env);

/* write(2) where a lost reader would raise a signal: without that. */
int64_t weft__write_quietly(weft_handle h, const void *buf, size_t len);

/* One receive: a count, 0 at the end, or -EAGAIN, or why not. */
static inline int64_t weft__recv_once(const weft_desc *d, void *buf, size_t len, uint32_t flags)
{
    int64_t r;
    do
        r = weft__told(d->kind == WEFT_DESC_STREAM ? recv((int)d->handle, buf, len, (int)flags | MSG_DONTWAIT)
                                                   : read((int)d->handle, buf, len));
    while (r == -EINTR);
    return r;
}

/* One send: a count, or -EAGAIN, or why not. */
static inline int64_t weft__send_once(const weft_desc *d, const void *buf, size_t len, uint32_t flags)
{
    int64_t r;
    do
        r = d->kind == WEFT_DESC_STREAM
                ? weft__told(send((int)d->handle, buf, len, (int)flags | MSG_DONTWAIT | MSG_NOSIGNAL))
                : weft__write_quietly(d->handle, buf, len);
    while (r == -EINTR);
    return r;
}

#endif
