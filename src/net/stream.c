/* The streaming form: one multishot receive per socket, armed at the first call, whose buffers wait in the socket's
 * record until they are asked for. Owner lane's worker, but for on_more, which runs at the home port; in single-io
 * mode that is another thread, and then the socket's lock guards what both touch.
 *
 * A peer that sends faster than its reader reads must not fill memory: with PAUSE_AT buffers unread the receive is
 * asked to end, and starts again when all have been read; the kernel's socket buffer then slows the peer down. What
 * arrives before that end is kept, small pieces in the room that the last buffer has left. It cannot be more than the
 * port has buffers, so the ring that takes it, made when a record's own overflows, never grows again. */
#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "net/sock.h"

enum { PAUSE_AT = 8 };

/* How long a try that must not wait waits for bytes which the kernel has announced. */
#define ANNOUNCED (20 * WEFT_MILLISECOND)

/* The op, in a record of its own since most sockets never need one. */
struct weft__stream {
    weft__resource res;
    weft__sock *sock;
    weft__cancel_request request; /* asks another thread's port for the op's end */
    weft__worker *asker;
    uint8_t asking;               /* it has not come back */
    weft_op op;
};

_Static_assert(sizeof(weft__stream) <= WEFT__RESOURCE_SIZE, "a stream fits into a resource record");

static int remote(const weft__sock *s) { return weft__handle_remote(&s->h); }

static void lock(weft__sock *s)
{
    if (remote(s))
        weft__spin_lock(&s->lock);
}

static void unlock(weft__sock *s)
{
    if (remote(s))
        weft__spin_unlock(&s->lock);
}

/* ---- the ring of chunks; under the lock ---- */

static size_t ring_bytes(const weft_port *port)
{
    size_t bytes = port->config.buffer_count * sizeof(weft__chunk), page = port->env->page_size;
    return (bytes + page - 1) / page * page;
}

static int grow(weft__sock *s, weft_port *port)
{
    if (s->ring != s->own)
        return -ENOMEM; /* more buffers than there are: cannot be */
    weft__chunk *ring = port->env->map(port->env->self, ring_bytes(port), 0);
    if (!ring)
        return -ENOMEM;
    for (unsigned i = 0; i < s->count; i++)
        ring[i] = s->own[(s->head + i) % WEFT__CHUNKS];
    s->ring = ring;
    s->head = 0;
    s->room = (uint16_t)port->config.buffer_count; /* WEFT__BUFFERS_MAX at most */
    return 0;
}

/* Takes the buffer over, or copies what it holds: 1 if it may go back. -ENOMEM. */
static int push(weft__sock *s, const weft_buffer *b)
{
    if (s->count) {
        weft__chunk *last = &s->ring[(s->head + s->count - 1u) % s->room];
        uint32_t size = b->port->config.buffer_size;
        if (last->len < size && b->len <= size - last->len && b->len < size / 4) {
            memcpy((char *)last->data + last->len, b->data, b->len);
            last->len += b->len;
            return 1;
        }
    }
    int r = s->count == s->room ? grow(s, b->port) : 0;
    if (r < 0)
        return r;
    const weft__worker *lender = b->port->owner.ctx;
    s->ring[(s->head + s->count) % s->room] = (weft__chunk){b->data, b->len, (uint16_t)b->bid, (uint16_t)lender->index};
    s->count++;
    return 0;
}

static int pop(weft__sock *s, weft_buffer *out)
{
    if (s->count == 0)
        return 0;
    weft__chunk *c = &s->ring[s->head];
    *out = (weft_buffer){c->data, c->len, c->bid, weft__load_acquire(&weft__worker_self()->rt->worker[c->worker], "stream.pop")->port};
    s->head = (uint16_t)((s->head + 1u) % s->room);
    s->count--;
    return 1;
}

/* ---- from the port ---- */

static void wake_reader(weft__sock *s)
{
    weft__fiber *f = s->reader;
    weft__sitter *who = s->sitter;
    s->reader = NULL;
    s->sitter = NULL;
    if (f)
        weft__wake(f, 0);
    if (who) {
        who->at = NULL;
        weft__fiber_nudge(who->fiber);
    }
}

static void settle(weft__stream *st);

/* What comes for a socket whose lane has moved is sent on. */
static int sent_on(const weft__sock *s, weft_task *t)
{
    const weft__crew *crew = &s->h.res.lane->crew;
    return crew->mobile && weft__sent_on(&crew->home, t);
}

/* Reader's worker, where the port is another's. */
static void run_note(weft_task *t)
{
    weft__sock *s = weft__container(t, weft__sock, note);
    if (sent_on(s, t))
        return;
    weft__spin_lock(&s->lock);
    s->noted = 0;
    weft__spin_unlock(&s->lock);
    if (s->streaming)
        wake_reader(s);
    else
        settle(s->stream); /* the op's end was quicker */
}

/* Home port's thread. The record stays while a note is under way. */
static void on_more(weft_op *op, int64_t result, weft_buffer *buffer)
{
    weft__sock *s = weft__container(op, weft__stream, op)->sock;
    if (result <= 0 || !buffer || !buffer->data)
        return;
    lock(s);
    int r = push(s, buffer);
    if (r < 0)
        s->last = r; /* on_end makes it the stream's end: bytes are missing from here on */
    int pause = !s->pausing && (r < 0 || s->count >= PAUSE_AT);
    s->pausing |= (uint8_t)pause;
    int note = remote(s) && !s->noted;
    s->noted |= (uint8_t)note;
    unlock(s);
    if (r != 0)
        weft_port_release(buffer);
    if (note) {
        s->note.run = run_note;
        weft__worker_send(weft__home_of(&s->h.res.lane->crew.home), &s->note);
    } else if (!remote(s)) {
        wake_reader(s);
    }
    if (pause)
        weft__port_cancel(op->port, op);
}

/* Once the op has ended nothing but the note's arrival changes `noted`. */
int weft__stream_in_use(const weft__sock *s) { return s->streaming || s->noted || (s->stream && s->stream->asking); }

/* Owner's worker: something of what was under way has ended. With the last of it the port
 * touches nothing of this any more. */
static void settle(weft__stream *st)
{
    weft__sock *s = st->sock;
    if (st->res.closed && !weft__stream_in_use(s)) { /* by the lane's end, before the socket */
        s->stream = NULL;
        weft__resource_gone(&st->res);
    }
    wake_reader(s);
    weft__sock_gone(s);
}

static void on_end(weft_task *t)
{
    weft_op *op = weft__container(t, weft_op, task);
    weft__stream *st = weft__container(op, weft__stream, op);
    weft__sock *s = st->sock;
    if (sent_on(s, t))
        return;
    s->streaming = 0;
    s->pausing = 0;
    if (op->result != -ECANCELED)
        s->last = op->result > 0 ? 0 : (int32_t)op->result;
    s->ended = (uint8_t)(op->result != -ECANCELED || s->last < 0);
    settle(st);
}

/* ---- asking it to end ---- */

static void asked(weft_task *t)
{
    weft__stream *st = weft__container(t, weft__stream, request.task);
    if (sent_on(st->sock, t))
        return;
    st->asking = 0;
    settle(st);
}

/* Home port's thread. */
static void asked_at_port(weft__cancel_request *req)
{
    weft__stream *st = weft__container(req, weft__stream, request);
    req->task.run = asked;
    weft__worker_send(st->asker, &req->task);
}

static void ask_for_end(weft__sock *s)
{
    weft__stream *st = s->stream;
    if (!s->streaming || st->asking)
        return;
    if (!remote(s)) {
        s->pausing = 1;
        weft__port_cancel(st->op.port, &st->op);
        return;
    }
    st->asking = 1;
    st->asker = s->h.res.lane->crew.home;
    st->request.op = &st->op;
    st->request.done = asked_at_port;
    weft__port_cancel_remote(st->op.port, &st->request);
}

/* ---- for the reader ---- */

static void close_stream(weft__resource *r)
{
    weft__stream *st = weft__container(r, weft__stream, res);
    if (weft__stream_in_use(st->sock))
        return; /* the socket's close ends the op, and that this */
    st->sock->stream = NULL;
    weft__resource_gone(r);
}

static const weft__resource_kind stream_type = {.name = "stream", .kind = WEFT__KIND_PART, .close = close_stream};

static int arm(weft__sock *s)
{
    if (!s->stream) {
        weft__resource *res;
        int r = weft__resource_make(&stream_type, &res);
        if (r < 0)
            return r;
        s->stream = weft__container(res, weft__stream, res);
        s->stream->sock = s;
        s->h.streams = 1;
    }
    weft__worker *w = weft__worker_self();
    int r = weft__borrowed_open(weft__handle_home(&s->h)); /* who lends the buffers, whoever reads them */
    if (r < 0)
        return r;
    weft_op *op = &s->stream->op;
    weft_op_recv_multi(op, s->h.desc, on_more);
    op->through = &s->h;
    op->task.run = on_end;
    op->origin = w;
    op->submitter = "weft_read_buffer";
    s->streaming = 1;
    s->pausing = 0;
    if (remote(s))
        weft__port_start_remote(s->h.port, op);
    else
        weft__port_start(w->port, op);
    return 0;
}

static void leave(weft__fiber *f)
{
    weft__sock *s = f->waits_on;
    s->reader = NULL;
}

static int has_news(weft__sock *s)
{
    lock(s);
    int some = s->count > 0;
    unlock(s);
    return some || s->ended;
}

/* Waits until something has come, if nothing has. 0, -ETIMEDOUT, -ECANCELED. */
static int wait_for_more(weft__sock *s, weft__fiber *f, int64_t deadline)
{
    if (has_news(s))
        return 0;
    if (s->reader || s->sitter)
        return -EBUSY; /* it came while this one tried once */
    if (weft__canceled(f))
        return -ECANCELED; /* between its waking and its looking again */
    s->reader = f; /* a note that is under way already finds it */
    f->unwait = leave;
    f->waits_on = s;
    return weft__wait(f, WEFT__WAIT_STREAM, deadline);
}

static int take(weft__sock *s, weft_buffer *out)
{
    lock(s);
    int got = pop(s, out);
    unlock(s);
    if (got) {
        weft__lane *lane = s->h.res.lane;
        const weft__worker *lender = out->port->owner.ctx;
        lane->borrows |= (uint64_t)1 << lender->index;
        weft__borrow(out, lane->head.key + 1);
    }
    return got;
}

/* A deadline that has passed: what the kernel has by now, and nothing that would have to be waited for. The receive
 * was armed before this asks, so it may have taken everything already. */
static int try_once(weft__sock *s, weft__fiber *f, weft_id id)
{
    weft_op op;
    weft_op_poll(&op, s->h.desc, WEFT_READABLE);
    int64_t r = weft__handle_await(&s->h, &op, WEFT_NOW);
    if (weft__sock_find(id, &s) < 0)
        return -ECANCELED;
    return r < 0 && !has_news(s) ? (int)r : wait_for_more(s, f, weft_after(ANNOUNCED));
}

/* The number of bytes, 0 at the end, or an error. */
static int read_buffer(weft__sock *s, weft__fiber *f, weft_id sock, weft_buffer *out, int64_t deadline)
{
    int r;
    if (weft__canceled(f))
        return -ECANCELED;
    while (!take(s, out)) {
        if (s->reader || s->sitter)
            return -EBUSY;
        if (s->ended)
            return s->last;
        r = weft__stream_in_use(s) ? 0 : arm(s);
        if (r == 0)
            r = deadline > weft_now() ? wait_for_more(s, f, deadline) : try_once(s, f, sock);
        if (r < 0)
            return r;
        if (weft__sock_find(sock, &s) < 0)
            return -ECANCELED; /* closed meanwhile, and the record may be another's */
    }
    return (int)out->len;
}

ssize_t weft_read_buffer(weft_id sock, weft_buffer *out, int64_t deadline)
{
    weft__fiber *f = weft__fiber_self();
    weft__sock *s;
    int r = weft__sock_find(sock, &s);
    if (r < 0)
        return r;
    if (!out)
        return -EINVAL;
    /* What is there already makes nobody wait, but not for ever. */
    return weft__refuse(f, read_buffer(s, f, sock, out, deadline));
}

int weft__stream_busy(weft__sock *s)
{
    lock(s);
    int busy = s->streaming || s->count;
    unlock(s);
    return busy;
}

int weft__stream_disarm(weft__sock *s, int64_t deadline)
{
    weft__fiber *f = weft__fiber_self();
    weft_id id = weft__resource_id(&s->h.res);
    while (weft__stream_in_use(s)) {
        if (s->reader || s->sitter)
            return -EBUSY;
        ask_for_end(s);
        if (!weft__stream_in_use(s))
            break; /* at once */
        if (deadline <= weft__clock(f->home->rt))
            return -ETIMEDOUT; /* without a suspension: see pack */
        if (weft__canceled(f))
            return -ECANCELED; /* between its waking and its looking again */
        s->reader = f;
        f->unwait = leave;
        f->waits_on = s;
        int r = weft__wait(f, WEFT__WAIT_STREAM, deadline);
        if (r < 0)
            return r;
        if (weft__sock_find(id, &s) < 0)
            return -ECANCELED;
    }
    if (s->reader || s->sitter)
        return -EBUSY;
    if (s->stream)
        weft__resource_close(&s->stream->res);
    return 0;
}

/* ---- among other things ---- */

static int64_t next_buffer(weft_id id, void *to)
{
    ssize_t n = weft_read_buffer(id, to, WEFT_NOW);
    return n == -ETIMEDOUT || n == -EAGAIN ? WEFT__NO_ITEM : n; /* none, or no room to ask */
}

static int direct(weft__resource *r)
{
    weft__sock *s = weft__sock_of(weft__handle_of(r));
    return (s->stream || s->count) && weft__stream_busy(s) ? -EBUSY : 0;
}

static int sit(weft__resource *r, weft__sitter *who)
{
    weft__sock *s = weft__sock_of(weft__handle_of(r));
    if (s->reader || s->sitter)
        return -EBUSY;
    int result = weft__stream_in_use(s) || has_news(s) ? 0 : arm(s);
    if (result < 0 || has_news(s))
        return result < 0 ? result : 1;
    s->sitter = who;
    who->at = r;
    return 0;
}

static void rise(weft__sitter *who)
{
    weft__sock *s = weft__sock_of(weft__handle_of(who->at));
    s->sitter = NULL;
    who->at = NULL;
}

const weft__source weft__stream_source = {.next = next_buffer, .direct = direct, .sit = sit, .rise = rise};

void weft__stream_drop(weft__sock *s)
{
    weft_port *port = weft__handle_port();
    weft_buffer b;
    while (pop(s, &b))
        weft_port_release(&b);
    if (s->ring != s->own)
        port->env->unmap(port->env->self, s->ring, ring_bytes(port));
    s->ring = s->own;
    if (s->stream)
        weft__resource_close(&s->stream->res);
}
