/* Owns the simulated sockets as objects: handles, addresses, listeners, and what an op does when the simulated kernel
 * first looks at it. Bytes and their journey are stream.c's. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "sim/sim.h"

/* ---- queues of waiting ops ---- */

void weft__sim_queue_add(sim_flight **queue, sim_flight *f)
{
    sim_flight *last = *queue;

    WEFT_ASSERT(!f->queue);
    f->queue = queue;
    f->next = NULL;
    while (last && last->next)
        last = last->next;
    f->prev = last;
    if (last)
        last->next = f;
    else
        *queue = f;
}

void weft__sim_queue_remove(sim_flight *f)
{
    if (!f->queue)
        return;
    if (f->prev)
        f->prev->next = f->next;
    else
        *f->queue = f->next;
    if (f->next)
        f->next->prev = f->prev;
    f->queue = NULL;
    f->next = f->prev = NULL;
}

static void end_all(sim *s, sim_flight **queue, int error)
{
    while (*queue) {
        sim_flight *f = *queue;

        weft__sim_queue_remove(f);
        weft__sim_result(s, f, error, 0, NULL);
    }
}

/* ---- handles ---- */

sim_sock *weft__sim_sock_new(sim *s, enum sim_sock_kind kind)
{
    sim_sock *k = calloc(1, sizeof *k);

    WEFT_ASSERT(k);
    k->kind = kind;
    k->ordinal = s->sock_count++;
    k->handle = -1;
    k->pending_tail = &k->pending;
    k->options[WEFT_LINGER_S] = -1;
    k->options[WEFT_NODELAY] = 1;
    k->next = s->socks;
    s->socks = k;
    return k;
}

/* The lowest free number, as systems do: a number that was just closed is used again at once. */
int64_t weft__sim_handle_new(sim *s, sim_sock *k)
{
    unsigned i = 0;

    if (s->handles_open >= s->opt.max_handles)
        return -EMFILE;
    while (i < s->handle_room && s->handles[i])
        i++;
    if (i == s->handle_room) {
        const unsigned room = s->handle_room ? 2 * s->handle_room : 32;

        s->handles = realloc(s->handles, room * sizeof *s->handles);
        WEFT_ASSERT(s->handles);
        memset(s->handles + s->handle_room, 0, (room - s->handle_room) * sizeof *s->handles);
        s->handle_room = room;
    }
    s->handles[i] = k;
    s->handles_open++;
    k->handle = SIM_FIRST_HANDLE + (int64_t)i;
    return k->handle;
}

sim_sock *weft__sim_sock_of(sim *s, weft_handle h)
{
    const int64_t i = (int64_t)h - SIM_FIRST_HANDLE;

    return i >= 0 && i < (int64_t)s->handle_room ? s->handles[i] : NULL;
}

void weft__sim_socks_free(sim *s)
{
    for (sim_sock *k = s->socks, *next; k; k = next) {
        next = k->next;
        free(k->ring);
        free(k);
    }
    free(s->handles);
}

/* ---- addresses ---- */

static int any_ip(const weft_addr *a)
{
    static const uint8_t zero[16];

    return memcmp(a->ip6, zero, a->family == WEFT_ADDR_IP4 ? 4 : 16) == 0;
}

/* Whether a listener at `at` takes what is sent to `to`. Of the second family it is only IPv6's
 * "any" that takes the first's, too. */
static int covers(const weft_addr *at, const weft_addr *to)
{
    if (at->family == WEFT_ADDR_IP6 && to->family == WEFT_ADDR_IP4)
        return at->port == to->port && any_ip(at);
    if (at->family != to->family)
        return 0;
    if (at->family == WEFT_ADDR_UNIX)
        return at->path_len == to->path_len && memcmp(at->path, to->path, at->path_len) == 0;
    if (at->port != to->port)
        return 0;
    return any_ip(at) || memcmp(at->ip6, to->ip6, at->family == WEFT_ADDR_IP4 ? 4 : 16) == 0;
}

/* Of several listeners at an address (reuse_port) the seed draws one. */
static sim_sock *find_listener(sim *s, const weft_addr *to)
{
    unsigned n = 0;

    for (int pass = 0; pass < 2; pass++) {
        uint64_t chosen = sim_random_below(&s->choices, n);

        if (pass == 1 && n == 0)
            return NULL;
        for (sim_sock *k = s->socks; k; k = k->next) {
            if (k->kind != SIM_LISTENER || k->closed || !covers(&k->local, to))
                continue;
            if (pass == 0)
                n++;
            else if (chosen-- == 0)
                return k;
        }
    }
    return NULL;
}

static uint16_t free_port(sim *s)
{
    s->next_port = s->next_port == 65535 ? 32768 : (uint16_t)(s->next_port + 1);
    return s->next_port;
}

/* ---- listening and connecting ---- */

static void establish(sim *s, sim_sock *client, sim_sock *listener, const weft_addr *to)
{
    sim_sock *server = weft__sim_sock_new(s, SIM_STREAM);

    client->kind = SIM_STREAM;
    client->remote = *to;
    if (client->remote.family != WEFT_ADDR_UNIX) {
        client->local = client->remote;
        if (any_ip(&client->local)) /* who connects to "any" reaches this machine */
            memcpy(client->local.ip6, client->local.family == WEFT_ADDR_IP4 ? "\x7f\0\0\1" : "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1",
                   client->local.family == WEFT_ADDR_IP4 ? 4 : 16);
        client->local.port = free_port(s);
    } else {
        client->local.family = WEFT_ADDR_UNIX;
    }
    server->local = client->remote;
    server->remote = client->local;
    weft__sim_stream_join(s, client, server);
    *listener->pending_tail = server;
    listener->pending_tail = &server->behind;
    listener->queued++;
    weft__sim_note(s, "connected", "sock", client->ordinal, server->ordinal);
}

static void take_pending(sim *s, sim_sock *listener)
{
    sim_sock *k = listener->pending;
    sim_flight *f = listener->readers;
    const int64_t handle = weft__sim_handle_new(s, k);

    if (handle < 0 || !(f->op->flags & WEFT_OP_MULTI))
        weft__sim_queue_remove(f);
    if (handle < 0) {
        weft__sim_result(s, f, handle, 0, NULL);
        return;
    }
    listener->pending = k->behind;
    if (!listener->pending)
        listener->pending_tail = &listener->pending;
    k->behind = NULL;
    listener->queued--;
    if (!(f->op->flags & WEFT_OP_MULTI) && f->op->accept.peer)
        *f->op->accept.peer = k->remote;
    weft__sim_result(s, f, handle, (f->op->flags & WEFT_OP_MULTI) != 0, NULL);
}

/* Matches accepts with connections, and lets waiting connects in as room appears. */
static void serve(sim *s, sim_sock *listener)
{
    for (;;) {
        if (listener->readers && listener->pending) {
            take_pending(s, listener);
        } else if (listener->writers && listener->queued < listener->backlog) {
            sim_flight *f = listener->writers;

            weft__sim_queue_remove(f);
            establish(s, weft__sim_sock_of(s, f->op->desc->handle), listener, f->op->connect.addr);
            weft__sim_result(s, f, 0, 0, NULL);
        } else {
            break;
        }
    }
    weft__sim_polls(s, listener);
}

static void connect_op(sim *s, sim_flight *f, sim_sock *k)
{
    sim_sock *listener;

    if (k->kind != SIM_FRESH) {
        weft__sim_result(s, f, k->kind == SIM_STREAM ? -EISCONN : -EINVAL, 0, NULL);
        return;
    }
    listener = find_listener(s, f->op->connect.addr);
    if (!listener) {
        weft__sim_result(s, f, f->op->connect.addr->family == WEFT_ADDR_UNIX ? -ENOENT : -ECONNREFUSED, 0, NULL);
        return;
    }
    weft__sim_queue_add(&listener->writers, f);
    serve(s, listener);
}

int weft__sim_connect_now(sim *s, sim_sock *client, const weft_addr *to)
{
    sim_sock *listener = find_listener(s, to);

    if (!listener)
        return to->family == WEFT_ADDR_UNIX ? -ENOENT : -ECONNREFUSED;
    if (listener->queued >= listener->backlog)
        return -EAGAIN;
    establish(s, client, listener, to);
    serve(s, listener);
    return 0;
}

static void accept_op(sim *s, sim_flight *f, sim_sock *k)
{
    if (k->kind != SIM_LISTENER) {
        weft__sim_result(s, f, -EINVAL, 0, NULL);
        return;
    }
    weft__sim_queue_add(&k->readers, f);
    serve(s, k);
}

/* ---- what an op does ---- */

unsigned weft__sim_events(const sim_sock *k)
{
    if (k->kind == SIM_LISTENER)
        return k->pending ? WEFT_READABLE : 0;
    if (k->kind == SIM_PORT)
        return k->port->ready || k->port->line || k->port->woken ? WEFT_READABLE : 0;
    return k->kind == SIM_STREAM ? weft__sim_stream_events(k) : k->kind == SIM_FRESH ? WEFT_HANGUP : WEFT_READABLE | WEFT_WRITABLE;
}

void weft__sim_polls(sim *s, sim_sock *k)
{
    const unsigned now = weft__sim_events(k);

    for (sim_flight *f = k->polls, *next; f; f = next) {
        const unsigned met = now & (f->op->poll.events | WEFT_HANGUP);

        next = f->next;
        if (!met)
            continue;
        weft__sim_queue_remove(f);
        weft__sim_result(s, f, met, 0, NULL);
    }
    weft__sim_edge(s, k);
}

static void shutdown_op(sim *s, sim_flight *f, sim_sock *k)
{
    if (k->kind != SIM_STREAM) {
        weft__sim_result(s, f, -ENOTCONN, 0, NULL);
        return;
    }
    weft__sim_stream_shutdown(s, k, f->op->shutdown.how);
    weft__sim_result(s, f, 0, 0, NULL);
}

static void stream_op(sim *s, sim_flight *f, sim_sock *k, int reads)
{
    if (k->kind != SIM_STREAM) {
        weft__sim_result(s, f, k->kind == SIM_DIR ? -EISDIR : k->kind == SIM_FILE ? -ENOTSOCK : -ENOTCONN, 0, NULL);
        return;
    }
    weft__sim_queue_add(reads ? &k->readers : &k->writers, f);
    if (reads)
        weft__sim_stream_readers(s, k);
    else
        weft__sim_stream_writers(s, k);
}

static void socket_op(sim *s, sim_flight *f)
{
    sim_sock *k = f->op->desc ? weft__sim_sock_of(s, f->op->desc->handle) : NULL;

    if (!k) {
        weft__sim_result(s, f, -EBADF, 0, NULL);
        return;
    }
    switch (f->op->code) {
    case WEFT_OP_ACCEPT:
        accept_op(s, f, k);
        break;
    case WEFT_OP_CONNECT:
        connect_op(s, f, k);
        break;
    case WEFT_OP_RECV:
    case WEFT_OP_READV:
        stream_op(s, f, k, 1);
        break;
    case WEFT_OP_SEND:
    case WEFT_OP_WRITEV:
    case WEFT_OP_SENDFILE:
        stream_op(s, f, k, 0);
        break;
    case WEFT_OP_POLL:
        weft__sim_queue_add(&k->polls, f);
        weft__sim_polls(s, k);
        break;
    case WEFT_OP_SHUTDOWN:
        shutdown_op(s, f, k);
        break;
    default:
        weft__sim_result(s, f, -ENOTSUP, 0, NULL);
    }
}

void weft__sim_execute(sim *s, sim_flight *f)
{
    switch (f->op->code) {
    case WEFT_OP_NOP:
        weft__sim_result(s, f, 0, 0, NULL);
        break;
    case WEFT_OP_OPEN:
    case WEFT_OP_STAT:
    case WEFT_OP_PREAD:
    case WEFT_OP_READDIR:
        weft__sim_result(s, f, weft__sim_file_op(s, f->op), 0, NULL);
        break;
    default:
        socket_op(s, f);
    }
}

/* ---- the calls that never wait ---- */

int weft__sim_driver_socket(weft_port *port, weft_handle *out, const weft_addr *like)
{
    sim *s = weft__sim_current();
    int64_t h;

    (void)port;
    if (like->family != WEFT_ADDR_IP4 && like->family != WEFT_ADDR_IP6 && like->family != WEFT_ADDR_UNIX)
        return -EAFNOSUPPORT;
    h = s->handles_open < s->opt.max_handles ? weft__sim_handle_new(s, weft__sim_sock_new(s, SIM_FRESH)) : -EMFILE;
    if (h < 0)
        return (int)h;
    *out = (weft_handle)h;
    return 0;
}

static int taken(sim *s, const weft_addr *addr, int reuse_port)
{
    for (sim_sock *k = s->socks; k; k = k->next)
        if (k->kind == SIM_LISTENER && !k->closed && (covers(&k->local, addr) || covers(addr, &k->local)) &&
            !(k->reuse_port && reuse_port))
            return 1;
    return 0;
}

/* This machine has its loopback and nothing else. */
static int is_ours(const weft_addr *a)
{
    static const uint8_t one[16] = {[15] = 1};

    if (a->family == WEFT_ADDR_UNIX || any_ip(a))
        return 1;
    return a->family == WEFT_ADDR_IP4 ? a->ip4[0] == 127 : memcmp(a->ip6, one, sizeof one) == 0;
}

/* Where a listener is to be: port 0 is a free one. */
static int place(sim *s, const weft_addr *addr, int reuse_port, weft_addr *out)
{
    *out = *addr;
    if (addr->family != WEFT_ADDR_IP4 && addr->family != WEFT_ADDR_IP6 && addr->family != WEFT_ADDR_UNIX)
        return -EAFNOSUPPORT;
    if (!is_ours(addr))
        return -EADDRNOTAVAIL;
    while (addr->family != WEFT_ADDR_UNIX && addr->port == 0) {
        out->port = free_port(s);
        if (!taken(s, out, 0))
            break;
    }
    return taken(s, out, reuse_port) ? -EADDRINUSE : 0;
}

static void become_listener(sim *s, sim_sock *k, const weft_addr *at, const weft_listen_flags *flags)
{
    k->kind = SIM_LISTENER;
    k->local = *at;
    k->reuse_port = flags->reuse_port;
    k->backlog = flags->backlog > 0 ? (unsigned)flags->backlog : 4096;
    weft__sim_note(s, "listen", "sock", k->ordinal, at->port);
}

int weft__sim_listen_now(sim *s, sim_sock *k, const weft_addr *addr, int backlog)
{
    weft_addr at;
    int r;

    if (k->kind != SIM_FRESH)
        return -EINVAL;
    r = place(s, addr, 0, &at);
    if (r == 0)
        become_listener(s, k, &at, &(weft_listen_flags){.backlog = backlog});
    return r;
}

int weft__sim_driver_listen(weft_port *port, weft_handle *out, const weft_addr *addr, const weft_listen_flags *flags)
{
    static const weft_listen_flags none;
    sim *s = weft__sim_current();
    weft_addr at;
    sim_sock *k;
    int r;

    (void)port;
    if (!flags)
        flags = &none;
    r = place(s, addr, flags->reuse_port, &at);
    if (r < 0)
        return r;
    if (s->handles_open >= s->opt.max_handles)
        return -EMFILE;
    k = weft__sim_sock_new(s, SIM_LISTENER);
    *out = (weft_handle)weft__sim_handle_new(s, k);
    become_listener(s, k, &at, flags);
    return 0;
}

int weft__sim_driver_address(weft_port *port, weft_handle h, int peer, weft_addr *out)
{
    sim_sock *k = weft__sim_sock_of(weft__sim_current(), h);

    (void)port;
    if (!k)
        return -EBADF;
    if (peer && k->kind != SIM_STREAM)
        return -ENOTCONN;
    *out = peer ? k->remote : k->local;
    return 0;
}

int weft__sim_driver_setopt(weft_port *port, weft_handle h, enum weft_sockopt opt, int value)
{
    sim_sock *k = weft__sim_sock_of(weft__sim_current(), h);

    (void)port;
    if (!k)
        return -EBADF;
    if ((unsigned)opt >= sizeof k->options / sizeof *k->options || opt == WEFT_SOCKERR)
        return -ENOPROTOOPT;
    k->options[opt] = value;
    return 0;
}

int weft__sim_driver_getopt(weft_port *port, weft_handle h, enum weft_sockopt opt, int *value)
{
    sim_sock *k = weft__sim_sock_of(weft__sim_current(), h);

    (void)port;
    if (!k)
        return -EBADF;
    if ((unsigned)opt >= sizeof k->options / sizeof *k->options)
        return -ENOPROTOOPT;
    *value = opt == WEFT_SOCKERR ? -k->error : k->options[opt];
    if (opt == WEFT_SOCKERR)
        k->error = 0;
    return 0;
}

int weft__sim_driver_shutdown(weft_port *port, weft_handle h, int how)
{
    sim *s = weft__sim_current();
    sim_sock *k = weft__sim_sock_of(s, h);

    (void)port;
    if (!k)
        return -EBADF;
    if (k->kind != SIM_STREAM)
        return -ENOTCONN;
    weft__sim_stream_shutdown(s, k, how);
    return 0;
}

static void close_listener(sim *s, sim_sock *k)
{
    while (k->pending) {
        sim_sock *server = k->pending;

        k->pending = server->behind;
        weft__sim_stream_break(s, server->peer);
        server->closed = 1;
    }
    end_all(s, &k->writers, -ECONNREFUSED);
}

int weft__sim_driver_close_handle(weft_port *port, weft_handle h)
{
    sim *s = weft__sim_current();
    sim_sock *k = weft__sim_sock_of(s, h);

    (void)port;
    if (!k)
        return -EBADF;
    weft__sim_note(s, "close", "sock", k->ordinal, 0);
    s->handles[h - SIM_FIRST_HANDLE] = NULL;
    s->handles_open--;
    k->handle = -1;
    k->closed = 1;
    end_all(s, &k->readers, -EBADF); /* only who closes behind a port's back leaves any */
    end_all(s, &k->polls, -EBADF);
    if (k->kind == SIM_LISTENER)
        close_listener(s, k);
    else
        end_all(s, &k->writers, -EBADF);
    if (k->kind == SIM_STREAM)
        weft__sim_stream_close(s, k);
    return 0;
}

WEFT_API int weft_sim_reset(weft_handle h)
{
    sim *s = weft__sim_current();
    sim_sock *k = s ? weft__sim_sock_of(s, h) : NULL;

    if (!k || k->kind != SIM_STREAM)
        return -EBADF;
    weft__sim_stream_break(s, k);
    weft__sim_stream_break(s, k->peer);
    weft__sim_stir(s);
    return 0;
}
