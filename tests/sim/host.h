/* What a test asks of the system beside weft, answered by the simulator: threads of its own, mutexes, sockets that it
 * opens as a peer, and waiting for a handle. To be included before the test's source; from then on these names mean the
 * simulated calls. What is not named here (files, pipes, fork) is real.
 *
 * A test's own atomic operations become places where threads may change:
 * loops that only look at a word get nowhere otherwise. */
#ifndef WEFT_TESTS_SIM_HOST_H
#define WEFT_TESTS_SIM_HOST_H

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weft/sim.h>

#include "test.h"

#define HOST_HANDLES 0x100000 /* simulated handles lie above, descriptors below */

/* ---- an end that no result tells of ---- */

static int *host_told; /* where to note that the line has been said, or NULL */

_Noreturn static inline void host_exit(int status)
{
    if (status != 0 && status != 77 && weft_sim_failed("a check") == 0 && host_told)
        *host_told = 1;
    _exit(status);
}

/* ---- threads ---- */

static unsigned host_switch_every = 16;

static inline void host_yield(void) { weft_sim_env()->relax(weft_sim_env()->self); }

static inline void host_point(void)
{
    if (weft_sim_env() && weft_sim_random(host_switch_every) == 0)
        host_yield();
}

typedef struct host_thread {
    weft_thread *thread;
    void *(*fn)(void *);
    void *arg, *result;
    int ended;
} host_thread;

static inline void host_thread_main(void *arg)
{
    host_thread *t = arg;

    t->result = t->fn(t->arg);
    t->ended = 1;
}

static inline int host_thread_create(pthread_t *out, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
    const weft_env *env = weft_sim_env();
    host_thread *t = calloc(1, sizeof *t);

    CHECK(attr == NULL && t != NULL);
    t->fn = fn;
    t->arg = arg;
    CHECK_EQ(env->thread_start(env->self, &t->thread, &(weft_thread_options){.name = "foreign"}, host_thread_main, t), 0);
    *out = (pthread_t)(uintptr_t)t;
    host_yield();
    return 0;
}

static inline int host_thread_join(pthread_t thread, void **result)
{
    host_thread *t = (host_thread *)(uintptr_t)thread;

    weft_sim_env()->thread_join(weft_sim_env()->self, t->thread);
    if (result)
        *result = t->result;
    free(t);
    return 0;
}

static inline int host_thread_tryjoin(pthread_t thread, void **result)
{
    host_yield();
    return ((host_thread *)(uintptr_t)thread)->ended ? host_thread_join(thread, result) : EBUSY;
}

static inline int host_sched_yield(void)
{
    host_yield();
    return 0;
}

static inline int host_mutex_lock(pthread_mutex_t *m)
{
    while (pthread_mutex_trylock(m) != 0)
        host_yield();
    return 0;
}

/* ---- sockets, by the numbers of their handles ---- */

static inline int64_t host_result(int64_t r)
{
    if (r >= 0)
        return r;
    errno = (int)-r;
    return -1;
}

static inline int host_is(int fd) { return fd >= HOST_HANDLES; }

static inline int host_socketpair(int domain, int type, int protocol, int fds[2])
{
    weft_handle h[2];
    const int r = weft_sim_pair(h);

    CHECK(domain == AF_UNIX && (type & SOCK_STREAM) && protocol == 0);
    if (r == 0)
        fds[0] = (int)h[0], fds[1] = (int)h[1];
    return (int)host_result(r);
}

static inline int host_socket(int domain, int type, int protocol)
{
    weft_handle h = 0;
    const int r = weft_sim_socket(&h);

    CHECK(domain == AF_INET && (type & SOCK_STREAM) && protocol == 0);
    return (int)host_result(r < 0 ? r : (int)h);
}

static inline weft_addr host_addr(const struct sockaddr *at)
{
    struct sockaddr_in in;
    weft_addr a = {.family = WEFT_ADDR_IP4};

    memcpy(&in, at, sizeof in);
    CHECK_EQ(in.sin_family, AF_INET);
    a.port = ntohs(in.sin_port);
    memcpy(a.ip4, &in.sin_addr, 4);
    return a;
}

/* Where the last socket was bound: the tests listen right after. */
static weft_addr host_bound;

static inline int host_bind(int fd, const struct sockaddr *at, socklen_t size)
{
    CHECK(host_is(fd) && size >= sizeof(struct sockaddr_in));
    host_bound = host_addr(at);
    return 0;
}

static inline int host_listen(int fd, int backlog) { return (int)host_result(weft_sim_listen(fd, &host_bound, backlog)); }

static inline int host_getsockname(int fd, struct sockaddr *at, socklen_t *size)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    weft_addr a;
    const int r = weft_sim_local(fd, &a);

    if (r < 0)
        return (int)host_result(r);
    in.sin_port = htons(a.port);
    memcpy(&in.sin_addr, a.ip4, 4);
    memcpy(at, &in, *size < sizeof in ? *size : sizeof in);
    *size = sizeof in;
    return 0;
}

static inline int host_connect(int fd, const struct sockaddr *at, socklen_t size)
{
    const weft_addr to = host_addr(at);
    int r;

    (void)size;
    while ((r = weft_sim_connect(fd, &to)) == -EAGAIN)
        host_yield();
    return (int)host_result(r);
}

static inline ssize_t host_read(int fd, void *buf, size_t n)
{
    return host_is(fd) ? (ssize_t)host_result(weft_sim_read(fd, buf, n)) : read(fd, buf, n);
}

static inline ssize_t host_write(int fd, const void *buf, size_t n)
{
    return host_is(fd) ? (ssize_t)host_result(weft_sim_write(fd, buf, n)) : write(fd, buf, n);
}

static inline int host_shutdown(int fd, int how) { return (int)host_result(weft_sim_shutdown(fd, how)); }

static inline int host_close(int fd) { return host_is(fd) ? (int)host_result(weft_sim_close(fd)) : close(fd); }

static inline ssize_t host_recv(int fd, void *buf, size_t n, int flags)
{
    CHECK(flags == MSG_DONTWAIT);
    return host_read(fd, buf, n);
}

/* Of descriptors: how many handles may be open, as numbers count from the first. */
static inline int host_getrlimit(int what, struct rlimit *limit)
{
    CHECK_EQ(what, RLIMIT_NOFILE);
    limit->rlim_cur = limit->rlim_max = HOST_HANDLES + (1U << 16);
    return 0;
}

static inline int host_setrlimit(int what, const struct rlimit *limit)
{
    if (what == RLIMIT_CORE)
        return setrlimit(RLIMIT_CORE, limit);
    CHECK_EQ(what, RLIMIT_NOFILE);
    return (int)host_result(weft_sim_limit(limit->rlim_cur > HOST_HANDLES ? (unsigned)(limit->rlim_cur - HOST_HANDLES) : 1));
}

static inline int host_usleep(useconds_t us)
{
    const weft_env *env = weft_sim_env();
    weft_parker here = {0};

    env->park(env->self, &here, env->now(env->self) + us * WEFT_MICROSECOND);
    return 0;
}

static inline int host_poll(struct pollfd *p, nfds_t n, int timeout_ms)
{
    const weft_env *env = weft_sim_env();
    const int64_t deadline = timeout_ms < 0 ? WEFT_NEVER : env->now(env->self) + timeout_ms * WEFT_MILLISECOND;
    int r;

    CHECK(n == 1 && host_is(p->fd) && p->events == POLLIN); /* all that the tests want */
    r = weft_sim_poll(p->fd, WEFT_READABLE, deadline);
    p->revents = r > 0 ? POLLIN : 0;
    return (int)host_result(r < 0 ? r : r > 0);
}

/* ---- signals ---- */

/* Of this process to itself: what the program has asked for is told inside the simulation. */
static inline int host_kill(pid_t pid, int number)
{
    return pid == getpid() ? (int)host_result(weft_sim_signal(number)) : kill(pid, number);
}

/* ---- from here on ---- */

#define _exit(status) host_exit(status)
#define pthread_create(out, attr, fn, arg) host_thread_create((out), (attr), (fn), (arg))
#define pthread_join(thread, result) host_thread_join((thread), (result))
#define pthread_tryjoin_np(thread, result) host_thread_tryjoin((thread), (result))
#define pthread_mutex_lock(m) host_mutex_lock(m)
#define sched_yield() host_sched_yield()
#define socketpair(domain, type, protocol, fds) host_socketpair((domain), (type), (protocol), (fds))
#define socket(domain, type, protocol) host_socket((domain), (type), (protocol))
#define bind(fd, at, size) host_bind((fd), (at), (size))
#define listen(fd, backlog) host_listen((fd), (backlog))
#define getsockname(fd, at, size) host_getsockname((fd), (at), (size))
#define connect(fd, at, size) host_connect((fd), (at), (size))
#define read(fd, buf, n) host_read((fd), (buf), (n))
#define write(fd, buf, n) host_write((fd), (buf), (n))
#define shutdown(fd, how) host_shutdown((fd), (how))
#define close(fd) host_close(fd)
#define alarm(seconds) ((void)(seconds)) /* the run has a limit of its own */
#define recv(fd, buf, n, flags) host_recv((fd), (buf), (n), (flags))
#define getrlimit(what, limit) host_getrlimit((what), (limit))
#define setrlimit(what, limit) host_setrlimit((what), (limit))
#define usleep(us) host_usleep(us)
#define kill(pid, number) host_kill((pid), (number))
#define poll(p, n, timeout) host_poll((p), (n), (timeout))

#define __atomic_load_n(...) (host_point(), __atomic_load_n(__VA_ARGS__))
#define __atomic_store_n(...) (host_point(), __atomic_store_n(__VA_ARGS__))
#define __atomic_exchange_n(...) (host_point(), __atomic_exchange_n(__VA_ARGS__))
#define __atomic_compare_exchange_n(...) (host_point(), __atomic_compare_exchange_n(__VA_ARGS__))
#define __atomic_add_fetch(...) (host_point(), __atomic_add_fetch(__VA_ARGS__))
#define __atomic_sub_fetch(...) (host_point(), __atomic_sub_fetch(__VA_ARGS__))
#define __atomic_fetch_add(...) (host_point(), __atomic_fetch_add(__VA_ARGS__))
#define __atomic_fetch_sub(...) (host_point(), __atomic_fetch_sub(__VA_ARGS__))
#define __atomic_or_fetch(...) (host_point(), __atomic_or_fetch(__VA_ARGS__))

#endif
