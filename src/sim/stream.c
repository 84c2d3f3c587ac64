/* Owns the bytes of simulated connections: each end has a ring that holds what has arrived and, behind it, what is
 * under way to it. Sending copies into the peer's ring at once and lets an event say later that the bytes have arrived;
 * so order is kept, the space is bounded, and a reader sees bytes when the seed says. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "port/op.h"
#include "sim/sim.h"

static size_t buffer_size(sim *s)
{
    if (s->opt.socket_buffer)
        return s->opt.socket_buffer;
    return s->opt.loopback ? (size_t)64 << 10 : (size_t)512 << sim_random_below(&s->choices, 8);
}

void weft__sim_stream_join(sim *s, sim_sock *a, sim_sock *b)
{
    sim_sock *ends[] = {a, b};

    a->peer = b;
    b->peer = a;
    for (int i = 0; i < 2; i++) {
        ends[i]->ring_size = buffer_size(s);
        ends[i]->ring = malloc(ends[i]->ring_size);
        WEFT_ASSERT(ends[i]->ring);
    }
}

/* Something is on its way to k, behind everything sent before. */
static void send_event(sim *s, enum sim_event_kind kind, sim_sock *k, int64_t value)
{
    sim_event e = {.kind = kind, .sock = k, .value = value, .time_ns = s->now_ns};

    if (!s->opt.loopback)
        e.time_ns += weft__sim_delay(s);
    if (e.time_ns < k->last_ns)
        e.time_ns = k->last_ns;
    k->last_ns = e.time_ns;
    weft__sim_event_add(s, &e);
}

/* Kernels may do less than they were asked for: so do we, one time in four. */
static size_t perhaps_less(sim *s, size_t n)
{
    return n > 1 && !s->opt.loopback && sim_random_one_in(&s->choices, 4) ? 1 + (size_t)sim_random_below(&s->choices, n) : n;
}

/* ---- reading ---- */

static void copy_out(sim_sock *k, char *to, size_t n)
{
    const size_t first = n < k->ring_size - k->head ? n : k->ring_size - k->head;

    memcpy(to, k->ring + k->head, first);
    memcpy(to + first, k->ring, n - first);
    k->head = (k->head + n) % k->ring_size;
    k->arrived -= n;
}

static int64_t read_vectors(sim *s, sim_sock *k, const struct iovec *iov, unsigned count)
{
    size_t wanted = 0, left;

    for (unsigned i = 0; i < count; i++)
        wanted += iov[i].iov_len;
    left = wanted < k->arrived ? wanted : perhaps_less(s, k->arrived);
    wanted = left;
    for (unsigned i = 0; i < count && left > 0; i++) {
        const size_t n = iov[i].iov_len < left ? iov[i].iov_len : left;

        copy_out(k, iov[i].iov_base, n);
        left -= n;
    }
    return (int64_t)wanted;
}

/* A streaming receive takes what is there into a lent buffer. 0: goes on, 1: it left the queue. */
static int read_buffer(sim *s, sim_sock *k, sim_flight *f)
{
    sim_port *p = f->port;
    weft_buffer b = {.port = p->port};
    const int r = weft__buffers_take(&p->buffers, &b.data, &b.bid);
    size_t n;

    if (r < 0) {
        weft__sim_queue_remove(f);
        if (r == -ENOBUFS)
            weft__sim_queue_add(&p->starved, f); /* flow control: it goes on when a buffer comes back */
        else
            weft__sim_result(s, f, r, 0, NULL);
        return 1;
    }
    n = k->arrived < p->buffers.size ? k->arrived : p->buffers.size;
    n = perhaps_less(s, n);
    b.len = (uint32_t)n;
    copy_out(k, b.data, n);
    weft__sim_result(s, f, (int64_t)n, 1, &b);
    return 0;
}

/* What a reader is told when nothing has arrived: an error, the end, or -EAGAIN. */
static int64_t nothing_arrived(sim_sock *k)
{
    const int error = k->error;

    k->error = 0;
    if (error)
        return error;
    return k->fin || k->dead || k->shut_read ? 0 : -EAGAIN;
}

/* Room appeared for the other end. */
static void made_room(sim *s, sim_sock *k)
{
    if (k->peer->closed)
        return;
    weft__sim_stream_writers(s, k->peer);
    weft__sim_polls(s, k->peer);
}

int64_t weft__sim_stream_readv(sim *s, sim_sock *k, const struct iovec *iov, unsigned count)
{
    int64_t r;

    if (k->arrived == 0)
        return nothing_arrived(k);
    r = read_vectors(s, k, iov, count);
    made_room(s, k);
    return r;
}

void weft__sim_stream_readers(sim *s, sim_sock *k)
{
    const size_t before = k->arrived;

    while (k->readers && !weft__sim_watched(k, 0)) {
        sim_flight *f = k->readers;
        weft_op *op = f->op;
        int64_t r;

        if (k->arrived == 0) {
            r = nothing_arrived(k);
            if (r == -EAGAIN)
                break;
        } else if (op->flags & WEFT_OP_MULTI) {
            read_buffer(s, k, f);
            continue;
        } else if (op->code == WEFT_OP_RECV) {
            const struct iovec one = {.iov_base = op->io.buf, .iov_len = op->io.len};

            r = read_vectors(s, k, &one, 1);
        } else {
            r = read_vectors(s, k, op->vec.iov, op->vec.count);
        }
        weft__sim_queue_remove(f);
        weft__sim_result(s, f, r, 0, NULL);
    }
    if (k->arrived < before)
        made_room(s, k);
}

/* ---- writing ---- */

static size_t room(const sim_sock *k) { return k->ring_size - k->arrived - k->under_way; }

static void copy_in(sim_sock *k, const char *from, size_t n)
{
    const size_t tail = (k->head + k->arrived + k->under_way) % k->ring_size;
    const size_t first = n < k->ring_size - tail ? n : k->ring_size - tail;

    memcpy(k->ring + tail, from, first);
    memcpy(k->ring, from + first, n - first);
    k->under_way += n;
}

static int64_t write_vectors(sim *s, sim_sock *k, const struct iovec *iov, unsigned count)
{
    sim_sock *peer = k->peer;
    size_t wanted = 0, left;

    if (k->error) {
        const int error = k->error;

        k->error = 0;
        return error;
    }
    if (k->fin_sent || k->dead)
        return -EPIPE;
    for (unsigned i = 0; i < count; i++)
        wanted += iov[i].iov_len;
    if (wanted == 0)
        return 0;
    if (peer->closed) {
        send_event(s, SIM_RESET, k, 0); /* it will hear of it; for now the bytes just leave */
        return (int64_t)wanted;
    }
    if (room(peer) == 0)
        return -EAGAIN;
    left = perhaps_less(s, wanted < room(peer) ? wanted : room(peer));
    wanted = left;
    for (unsigned i = 0; i < count && left > 0; i++) {
        const size_t n = iov[i].iov_len < left ? iov[i].iov_len : left;

        copy_in(peer, iov[i].iov_base, n);
        left -= n;
    }
    send_event(s, SIM_ARRIVE, peer, (int64_t)wanted);
    return (int64_t)wanted;
}

int64_t weft__sim_stream_writev(sim *s, sim_sock *k, const struct iovec *iov, unsigned count) { return write_vectors(s, k, iov, count); }

int weft__sim_stream_used_up(const sim_sock *k, int writes)
{
    return writes ? !k->peer->closed && room(k->peer) == 0 : k->arrived == 0;
}

static int64_t write_op(sim *s, sim_sock *k, weft_op *op)
{
    struct iovec one = {.iov_base = op->io.buf, .iov_len = op->io.len};

    if (op->code == WEFT_OP_WRITEV)
        return write_vectors(s, k, op->vec.iov, op->vec.count);
    if (op->code == WEFT_OP_SENDFILE) {
        const int64_t r = weft__sim_file_piece(s, op, &one);

        if (r <= 0)
            return r;
    }
    return write_vectors(s, k, &one, 1);
}

void weft__sim_stream_writers(sim *s, sim_sock *k)
{
    while (k->writers && !weft__sim_watched(k, 1)) {
        sim_flight *f = k->writers;
        const int64_t r = write_op(s, k, f->op);

        if (r == -EAGAIN)
            break;
        weft__sim_queue_remove(f);
        weft__sim_result(s, f, r, 0, NULL);
    }
}

/* ---- ends ---- */

unsigned weft__sim_stream_events(const sim_sock *k)
{
    unsigned e = 0;

    if (k->arrived > 0 || k->fin || k->dead || k->error || k->shut_read)
        e |= WEFT_READABLE;
    if (k->dead || k->fin_sent || k->peer->closed || room(k->peer) > 0)
        e |= WEFT_WRITABLE;
    if (k->dead || (k->fin && k->fin_sent))
        e |= WEFT_HANGUP;
    return e;
}

static void look_again(sim *s, sim_sock *k)
{
    weft__sim_stream_readers(s, k);
    weft__sim_stream_writers(s, k);
    weft__sim_polls(s, k);
}

void weft__sim_stream_shutdown(sim *s, sim_sock *k, int how)
{
    if (how != 1)
        k->shut_read = 1;
    if (how != 0 && !k->fin_sent) {
        k->fin_sent = 1;
        send_event(s, SIM_FIN, k->peer, 0);
    }
    look_again(s, k);
}

/* Unread bytes, or SO_LINGER with no time, turn the end into a reset, as TCP does. */
void weft__sim_stream_close(sim *s, sim_sock *k)
{
    if (k->arrived + k->under_way > 0 || k->options[WEFT_LINGER_S] == 0)
        send_event(s, SIM_RESET, k->peer, 0);
    else if (!k->fin_sent)
        send_event(s, SIM_FIN, k->peer, 0);
    k->fin_sent = 1;
    free(k->ring);
    k->ring = NULL;
    if (!k->peer->closed)
        look_again(s, k->peer); /* its writers wait for room that never comes */
}

void weft__sim_stream_break(sim *s, sim_sock *k)
{
    if (k->closed || k->dead)
        return;
    k->dead = 1;
    k->error = -ECONNRESET;
    look_again(s, k);
}

void weft__sim_stream_happen(sim *s, const sim_event *e)
{
    sim_sock *k = e->sock;

    weft__sim_note(s, e->kind == SIM_ARRIVE ? "arrive" : e->kind == SIM_FIN ? "fin" : "reset", "sock", k->ordinal, e->value);
    if (k->closed) {
        if (e->kind == SIM_ARRIVE)
            send_event(s, SIM_RESET, k->peer, 0); /* nobody is there any more */
        return;
    }
    if (e->kind == SIM_RESET) {
        weft__sim_stream_break(s, k);
        return;
    }
    if (e->kind == SIM_ARRIVE) {
        k->under_way -= (size_t)e->value;
        k->arrived += (size_t)e->value;
    } else {
        k->fin = 1;
    }
    weft__sim_stream_readers(s, k);
    weft__sim_polls(s, k);
}
