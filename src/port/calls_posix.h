/* The two system calls of a request, inline: once each. The others are in calls_posix.c. No state; any thread that may
 * use the descriptor. */
#ifndef WEFT_PORT_CALLS_POSIX_H
#define WEFT_PORT_CALLS_POSIX_H

#include <errno.h>
#include <sys/socket.h>
#ifdef __linux__
#include <sys/syscall.h>
#endif
#include <unistd.h>

#include "arch/layout.h"
#include "port/port.h"

/* Result of a call that sets errno. */
static inline int64_t weft__told(int64_t r) { return r >= 0 ? r : errno == EWOULDBLOCK ? -EAGAIN : -errno; }

/* Whether env's clock is CLOCK_MONOTONIC, so that the kernel may be told times of it. */
int weft__posix_clock(const weft_env *env);

/* write(2) where a lost reader would raise a signal: without that. */
int64_t weft__write_quietly(weft_handle h, const void *buf, size_t len);

/* recv and send of the C library are points at which a thread may be cancelled (pthread_cancel), so in a process with
 * several threads each of them begins and ends with an atomic operation, which waits for the memory of whatever was
 * written before. The kernel's call has nothing of that. Not where somebody wants to see what is received and sent. */
#if defined(SYS_recvfrom) && defined(SYS_sendto) && !WEFT__ASAN && !WEFT__TSAN
static inline ssize_t weft__recv(int fd, void *buf, size_t len, int flags) { return syscall(SYS_recvfrom, fd, buf, len, flags, NULL, NULL); }
static inline ssize_t weft__send(int fd, const void *buf, size_t len, int flags) { return syscall(SYS_sendto, fd, buf, len, flags, NULL, 0); }
#else
static inline ssize_t weft__recv(int fd, void *buf, size_t len, int flags) { return recv(fd, buf, len, flags); }
static inline ssize_t weft__send(int fd, const void *buf, size_t len, int flags) { return send(fd, buf, len, flags); }
#endif

/* One receive: a count, 0 at the end, or -EAGAIN, or why not. */
static inline int64_t weft__recv_once(const weft_desc *d, void *buf, size_t len, uint32_t flags)
{
    int64_t r;
    do
        r = weft__told(d->kind == WEFT_DESC_STREAM ? weft__recv((int)d->handle, buf, len, (int)flags | MSG_DONTWAIT)
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
                ? weft__told(weft__send((int)d->handle, buf, len, (int)flags | MSG_DONTWAIT | MSG_NOSIGNAL))
                : weft__write_quietly(d->handle, buf, len);
    while (r == -EINTR);
    return r;
}

#endif
