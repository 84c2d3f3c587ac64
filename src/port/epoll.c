/* The epoll driver: its life, its one kernel entry, its wake. epoll_ops.c carries ops out,
 * epoll_timer.c saves waits their time-outs.
 *
 * The set is edge-triggered, and a descriptor enters it once, for both directions, when one of its ops has to wait
 * for the first time; no request costs an epoll_ctl. The set keeps an edge until it is fetched, so one that comes
 * between a failed attempt and the wait for it is in the next batch. desc->latch remembers readiness that was seen
 * and not used up. docs/design/ports.md has the reasoning. */
#include "port/epoll.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/near.h"
#include "port/at_once.h"
#include "port/desc.h"
#include "port/op.h"

/* How long an op on the later list waits before it tries again. */
#define LATER_NS (1 * WEFT_MILLISECOND)

static int epoll_open(weft_port *port, const weft_port_config *config)
{
    const weft_env *env = port->env;
    size_t page = env->page_size, bytes = (sizeof(weft__epoll) + page - 1) / page * page;
    weft__epoll *s = config->memory;
    if (s && (config->memory_size < sizeof *s || (uintptr_t)s % _Alignof(weft__epoll)))
        return -ENOMEM;
    if (!s)
        s = env->map(env->self, bytes, 0);
    if (!s)
        return -ENOMEM;
    memset(s, 0, offsetof(weft__epoll, events));
    s->mapped = !config->memory;
    s->bytes = bytes;
    s->port = port;
    s->event_next = s->event_count = 0;
    s->may_stand = 1;
    s->standing_ns = WEFT_NEVER;
    s->timer_fd = -1;
    weft__link_init(&s->ready);
    weft__link_init(&s->starved);
    weft__link_init(&s->later);
    weft__buffers_init(&s->buffers, env, config->buffer_size, config->buffer_count);
    int r;
    s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (s->epoll_fd < 0) {
        r = -errno;
        goto free_state;
    }
    s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->wake_fd < 0) {
        r = -errno;
        goto close_epoll;
    }
    /* Edge-triggered: every write to it is an edge of its own, so it is never read. */
    if (epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, s->wake_fd, &(struct epoll_event){.events = EPOLLIN | EPOLLET}) < 0) {
        r = -errno;
        goto close_wake;
    }
    port->state = s;
    return 0;

close_wake:
    close(s->wake_fd);
close_epoll:
    close(s->epoll_fd);
free_state:
    if (s->mapped)
        env->unmap(env->self, s, bytes);
    return r;
}

static void epoll_close(weft_port *port)
{
    weft__epoll *s = port->state;
    WEFT_ASSERT(s->waiting == 0 && port->watching == 0);
    WEFT_ASSERT(weft__link_alone(&s->ready) && weft__link_alone(&s->starved) && weft__link_alone(&s->later));
    weft__buffers_fini(&s->buffers);
    weft__epoll_timer_close(s);
    close(s->wake_fd);
    close(s->epoll_fd);
    if (s->mapped)
        port->env->unmap(port->env->self, s, s->bytes);
    port->state = NULL;
}

/* Waits for at most `ns` (negative: for ever) and fetches a batch. Interrupted: nothing came, and our caller looks
 * at its deadline. */
static int fetch(weft__epoll *s, int64_t ns)
{
    weft__store_relaxed(&s->port->entered, s->port->entered + 1, "port_entered"); /* others read it */
#ifdef SYS_epoll_pwait2
    if (!s->no_pwait2) {
        /* The system call itself, for C libraries that lack it; its time is two 64-bit words on every machine. */
        struct {
            int64_t sec, nsec;
        } time = {ns / WEFT_SECOND, ns % WEFT_SECOND};
        long n = syscall(SYS_epoll_pwait2, s->epoll_fd, s->events, WEFT__EPOLL_BATCH, ns < 0 ? NULL : &time, NULL, 0);
        if (n >= 0)
            return (int)n;
        if (errno != ENOSYS && errno != EPERM)
            return -errno;
        s->no_pwait2 = 1;
    }
#endif
    int64_t ms = ns < 0 ? -1 : ns / WEFT_MILLISECOND + (ns % WEFT_MILLISECOND != 0); /* rounded up: never early */
    int n = epoll_wait(s->epoll_fd, s->events, WEFT__EPOLL_BATCH, ms > INT32_MAX ? INT32_MAX : (int)ms);
    return n < 0 ? -errno : n;
}

/* How long the next fetch may last; negative: until there is something. */
static int64_t time_left(weft__epoll *s, int64_t deadline_ns)
{
    if (deadline_ns <= WEFT_NOW || !weft__link_alone(&s->ready) || weft__epoll_can_feed(s))
        return 0;
    if (weft__epoll_stands(s, deadline_ns))
        return weft__link_alone(&s->later) ? -1 : LATER_NS;
    int64_t ns = deadline_ns - s->port->env->now(s->port->env->self);
    if (ns < 0)
        ns = 0;
    return weft__link_alone(&s->later) || ns < LATER_NS ? ns : LATER_NS;
}

/* A descriptor has news (EPOLL*). */
static inline void on_event(weft__epoll *s, weft_desc *d, uint32_t events)
{
    if (events & (EPOLLHUP | EPOLLERR | EPOLLRDHUP | EPOLLPRI))
        d->latch |= WEFT_HANGUP;
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR | EPOLLRDHUP | EPOLLPRI)) {
        d->latch |= WEFT_READABLE;
        weft__desc_tell(s->port, d, 0);
    }
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) {
        d->latch |= WEFT_WRITABLE;
        weft__desc_tell(s->port, d, 1);
    }
    if (d->flying)
        weft__epoll_run_queues(s, d);
}

/* With thousands of descriptors neither they nor who watches them are in any cache. So what the news of a batch touches
 * is brought near for all of it, a step at a time, since each is found by way of the one before: the descriptor; its
 * watcher, mostly in the frame of who waits; what that one touches. */
enum { MANY = 32 }; /* where there is news of fewer they are near, or nobody hurries */

WEFT__HINT void foresee(const weft__epoll *s)
{
    for (int i = 0; i < s->event_count; i++)
        weft__near(s->events[i].data.ptr, 2);
    for (int i = 0; i < s->event_count; i++) {
        const weft_desc *d = weft__epoll_desc(&s->events[i]);
        if (d && d->watcher[0])
            weft__near(d->watcher[0], 1);
    }
    for (int i = 0; i < s->event_count; i++) {
        const weft_desc *d = weft__epoll_desc(&s->events[i]);
        if (d && d->watcher[0])
            weft__near(d->watcher[0]->soon, 2);
    }
}

static void handle_batch(weft__epoll *s)
{
    while (s->event_next < s->event_count && s->port->room > 0) {
        struct epoll_event *e = &s->events[s->event_next++];
        weft_desc *d = weft__epoll_desc(e);
        if (d)
            on_event(s, d, e->events);
        else if (e->data.ptr == WEFT__EPOLL_TIMER)
            weft__epoll_went_off(s);
    }
}

void weft__epoll_enter(weft_port *port, int64_t deadline_ns)
{
    weft__epoll *s = port->state;
    if (s->event_next == s->event_count) {
        int64_t ns = time_left(s, deadline_ns);
        if (ns == 0 && s->waiting == 0 && port->watching == 0 && !s->watched)
            return; /* nobody waits for anything and neither do we: there is nothing that the kernel could tell */
        s->event_next = 0;
        int n = fetch(s, ns);
        s->event_count = n > 0 ? n : 0;
        if (n >= MANY)
            foresee(s);
        WEFT_ASSERT(n >= 0 || n == -EINTR);
    }
    weft__epoll_retry_later(s);
    weft__epoll_run_ready(s);
    handle_batch(s);
}

static int epoll_pending(weft_port *port)
{
    weft__epoll *s = port->state;
    return s->event_next < s->event_count || !weft__link_alone(&s->ready) || weft__epoll_can_feed(s);
}

/* Signal handlers call this as well. */
static void epoll_wake(weft_port *port)
{
    weft__epoll *s = port->state;
    int saved = errno;
    uint64_t one = 1;
    while (write(s->wake_fd, &one, sizeof one) < 0 && errno == EINTR)
        ;
    errno = saved;
}

static weft_handle epoll_pollable(weft_port *port)
{
    weft__epoll *s = port->state;
    s->watched = 1;
    return s->epoll_fd;
}

static enum weft_path epoll_path(weft_port *port, enum weft_opcode code)
{
    (void)port;
    switch (code) {
    case WEFT_OP_NOP:
    case WEFT_OP_SHUTDOWN:
    case WEFT_OP_CLOSE:
    case WEFT_OP_POST:
        return WEFT_PATH_CALL;
    case WEFT_OP_ACCEPT:
    case WEFT_OP_CONNECT:
    case WEFT_OP_RECV:
    case WEFT_OP_SEND:
    case WEFT_OP_READV:
    case WEFT_OP_WRITEV:
    case WEFT_OP_POLL:
    case WEFT_OP_SENDFILE:
        return WEFT_PATH_READY;
    default:
        if ((unsigned)code >= WEFT_OP_COUNT || !weft__op_rows[code].pooled)
            return WEFT_PATH_NONE;
        return weft__at_once_how(code) ? WEFT_PATH_CALL : WEFT_PATH_POOL;
    }
}

static const char *epoll_why(weft_port *port, enum weft_opcode code)
{
    switch (epoll_path(port, code)) {
    case WEFT_PATH_READY:
        return code == WEFT_OP_SENDFILE ? "tried, then waited for; a cold file blocks for up to 256 KiB"
                                        : "tried, then waited for";
    case WEFT_PATH_CALL:
        return weft__at_once_how(code) ? weft__at_once_how(code) : "";
    case WEFT_PATH_POOL:
        return "files are never ready, only done: a thread waits";
    default:
        return "";
    }
}

static void epoll_forget(weft_port *port, weft_desc *d)
{
    weft__epoll *s = port->state;
    WEFT_ASSERT(!d->read_head && !d->write_head && !d->poll_head && !d->watcher[0] && !d->watcher[1]);
    /* Closing would do it, unless somebody (a child between fork and exec, say) has a copy: then events for a dead
     * record would come. */
    epoll_ctl(s->epoll_fd, EPOLL_CTL_DEL, (int)d->handle, NULL);
    port->calls++;
    for (int i = s->event_next; i < s->event_count; i++)
        if (s->events[i].data.ptr == d)
            s->events[i].data.ptr = NULL;
    d->registered = 0;
    d->latch = 0;
    d->drains = 0;
}

static void epoll_release(weft_port *port, uint32_t bid)
{
    weft__epoll *s = port->state;
    weft__buffers_give(&s->buffers, bid); /* who waits for it is found in the next enter; pending says that it is due */
}

const weft_port_driver *weft_driver_epoll(void)
{
    static const weft_port_driver driver = {
        .name = "epoll",
        .open = epoll_open,
        .close = epoll_close,
        .submit = weft__epoll_submit,
        .cancel = weft__epoll_cancel,
        .enter = weft__epoll_enter,
        .pending = epoll_pending,
        .wake = epoll_wake,
        .pollable = epoll_pollable,
        .path = epoll_path,
        .why = epoll_why,
        .forget = epoll_forget,
        .release = epoll_release,
        .attempt = weft__epoll_attempt,
        .watch = weft__epoll_watch,
        .unwatched = weft__epoll_unwatched,
        .file_at_once = weft__file_at_once,
        .socket = weft__posix_socket,
        .listen = weft__posix_listen,
        .address = weft__posix_address,
        .setopt = weft__posix_setopt,
        .getopt = weft__posix_getopt,
        .shutdown = weft__posix_shutdown,
        .close_handle = weft__posix_close_handle,
    };
    return &driver;
}
