/* Owns the calls by which threads that are none of weft's use simulated sockets: the other end in a test, a host's own
 * event loop. They act at once, as a system call does, and only weft_sim_poll waits. */
#include <errno.h>

#include "base/check.h"
#include "sim/sim.h"

#define CALL_NS 500 /* what a system call costs */

/* A call is a place where others may run first. */
static sim *enter(void)
{
    sim *s = weft__sim_current();

    if (s && s->running) {
        weft__sim_pass(s, CALL_NS);
        weft__sim_yield(s);
    }
    return s;
}

static int64_t new_stream(sim *s, sim_sock **out)
{
    if (s->handles_open >= s->opt.max_handles)
        return -EMFILE;
    *out = weft__sim_sock_new(s, SIM_FRESH);
    (*out)->local.family = (*out)->remote.family = WEFT_ADDR_UNIX;
    return weft__sim_handle_new(s, *out);
}

WEFT_API int weft_sim_pair(weft_handle out[2])
{
    sim *s = enter();
    sim_sock *ends[2];
    int64_t h[2];

    if (!s)
        return -EINVAL;
    h[0] = new_stream(s, &ends[0]);
    if (h[0] < 0)
        return (int)h[0];
    h[1] = new_stream(s, &ends[1]);
    if (h[1] < 0) {
        weft__sim_driver_close_handle(NULL, (weft_handle)h[0]);
        return (int)h[1];
    }
    ends[0]->kind = ends[1]->kind = SIM_STREAM;
    weft__sim_stream_join(s, ends[0], ends[1]);
    weft__sim_note(s, "pair", "sock", ends[0]->ordinal, ends[1]->ordinal);
    out[0] = (weft_handle)h[0];
    out[1] = (weft_handle)h[1];
    return 0;
}

WEFT_API int weft_sim_socket(weft_handle *out)
{
    sim *s = enter();
    sim_sock *k;
    int64_t h;

    if (!s)
        return -EINVAL;
    h = new_stream(s, &k);
    if (h < 0)
        return (int)h;
    *out = (weft_handle)h;
    return 0;
}

static sim_sock *fresh(sim *s, weft_handle h, int *why)
{
    sim_sock *k = s ? weft__sim_sock_of(s, h) : NULL;

    *why = !s ? -EINVAL : !k ? -EBADF : k->kind == SIM_STREAM ? -EISCONN : -EINVAL;
    return k && k->kind == SIM_FRESH ? k : NULL;
}

WEFT_API int weft_sim_listen(weft_handle h, const weft_addr *at, int backlog)
{
    sim *s = enter();
    int why;
    sim_sock *k = fresh(s, h, &why);

    return k ? weft__sim_listen_now(s, k, at, backlog) : why;
}

WEFT_API int weft_sim_connect(weft_handle h, const weft_addr *to)
{
    sim *s = enter();
    int why, r;
    sim_sock *k = fresh(s, h, &why);

    if (!k)
        return why;
    r = weft__sim_connect_now(s, k, to);
    weft__sim_stir(s);
    return r;
}

WEFT_API int weft_sim_local(weft_handle h, weft_addr *out)
{
    sim *s = enter();

    return s ? weft__sim_driver_address(NULL, h, 0, out) : -EINVAL;
}

/* The socket behind a handle, or NULL and why. */
static sim_sock *stream_of(sim *s, weft_handle h, int *why)
{
    sim_sock *k = s ? weft__sim_sock_of(s, h) : NULL;

    *why = !k ? -EBADF : -ENOTCONN;
    return k && k->kind == SIM_STREAM ? k : NULL;
}

WEFT_API int64_t weft_sim_read(weft_handle h, void *buf, size_t n)
{
    sim *s = enter();
    int why;
    sim_sock *k = stream_of(s, h, &why);
    int64_t r;

    if (!k)
        return why;
    r = weft__sim_stream_readv(s, k, &(struct iovec){.iov_base = buf, .iov_len = n}, 1);
    weft__sim_note(s, "outside", "read", k->ordinal, r);
    weft__sim_stir(s);
    return r;
}

WEFT_API int64_t weft_sim_write(weft_handle h, const void *buf, size_t n)
{
    sim *s = enter();
    int why;
    sim_sock *k = stream_of(s, h, &why);
    int64_t r;

    if (!k)
        return why;
    r = weft__sim_stream_writev(s, k, &(struct iovec){.iov_base = (void *)(uintptr_t)buf, .iov_len = n}, 1);
    weft__sim_note(s, "outside", "write", k->ordinal, r);
    return r;
}

WEFT_API int weft_sim_shutdown(weft_handle h, int how)
{
    sim *s = enter();
    int why;
    sim_sock *k = stream_of(s, h, &why);

    if (!k)
        return why;
    weft__sim_stream_shutdown(s, k, how);
    weft__sim_stir(s);
    return 0;
}

WEFT_API int weft_sim_close(weft_handle h)
{
    sim *s = enter();
    int r;

    if (!s)
        return -EBADF;
    r = weft__sim_driver_close_handle(NULL, h);
    weft__sim_stir(s);
    return r;
}

WEFT_API int weft_sim_poll(weft_handle h, unsigned events, int64_t deadline_ns)
{
    sim *s = enter();

    for (;;) {
        const sim_sock *k = s ? weft__sim_sock_of(s, h) : NULL;

        if (!k)
            return -EBADF;
        const unsigned met = weft__sim_events(k) & (events | WEFT_HANGUP);
        if (met || deadline_ns <= s->now_ns)
            return (int)met;
        weft__sim_wait(s, SIM_POLLING, deadline_ns);
    }
}
