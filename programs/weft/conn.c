/*
 * Connections. Each belongs to the fiber that opened it. Responses gather in one pooled buffer and leave in one write
 * when the connection must wait, so that a pipeline costs one write; the buffer is held only while it has something.
 *
 * Invariants: at <= end <= in_cap; out.base is a pooled buffer or NULL.
 */
#include "conn.h"

#include <errno.h>

/* How long, and for how many bytes, a client that is still sending is listened to so that it can read our answer. */
#define LINGER_NS (2 * WEFT_SECOND)
#define LINGER_BYTES ((size_t)1 << 20)

void conn_open(struct conn *c, const weft_conn *accepted, struct server *server)
{
    c->id = accepted->id;
    c->server = server;
    c->local = local_here();
    c->peer = &accepted->peer;
    c->in = c->small;
    c->in_cap = sizeof c->small;
    c->at = c->end = 0;
    c->now_ns = weft_now();
    c->out = out_fixed(NULL, 0);
    c->slot = TRACKER_NONE;
    c->closing = c->linger = c->crowded = c->shielded = false;
}

static void drop_in(struct conn *c)
{
    if (c->in != c->small) {
        buffer_give(c->local, c->in);
        c->in = c->small;
        c->in_cap = sizeof c->small;
    }
}

static void drop_out(struct conn *c)
{
    if (c->out.base != NULL) {
        buffer_give(c->local, c->out.base);
        c->out = out_fixed(NULL, 0);
    }
}

/* Closing with unread bytes makes the kernel send a reset, which can overtake the answer and destroy it. */
static void linger(struct conn *c)
{
    if (weft_shutdown(c->id, 1) < 0)
        return;
    int64_t deadline = weft_after(LINGER_NS);
    size_t left = LINGER_BYTES;
    for (;;) {
        ssize_t n = weft_read(c->id, c->small, sizeof c->small, deadline);
        if (n <= 0 || (size_t)n > left)
            return;
        left -= (size_t)n;
    }
}

void conn_drop(struct conn *c)
{
    drop_out(c);
    drop_in(c);
}

void conn_close(struct conn *c)
{
    conn_drop(c);
    if (c->linger)
        linger(c);
    if (c->shielded)
        weft_shield_leave(&c->shield);
    weft_close(c->id);
}

/* Moves the request that is being read into a pooled buffer. */
static int grow_in(struct conn *c)
{
    char *buffer = buffer_take(c->local);
    if (buffer == NULL)
        return -ENOMEM;
    memcpy(buffer, c->in + c->at, c->end - c->at);
    c->end -= c->at;
    c->at = 0;
    c->in = buffer;
    c->in_cap = BUFFER_SIZE;
    return 0;
}

static int make_room(struct conn *c)
{
    if (c->in == c->small && (c->end == c->in_cap || c->crowded))
        return grow_in(c);
    if (c->end < c->in_cap)
        return 0;
    memmove(c->in, c->in + c->at, c->end - c->at);
    c->end -= c->at;
    c->at = 0;
    return c->end < c->in_cap ? 0 : -ENOBUFS; /* never: a head is at most half a buffer */
}

ssize_t conn_fill(struct conn *c, int64_t deadline)
{
    int r = make_room(c);
    if (r < 0)
        return r;
    size_t room = c->in_cap - c->end;
    ssize_t n = weft_read(c->id, c->in + c->end, room, deadline);
    c->now_ns = weft_now();
    if (n > 0) {
        c->crowded = (size_t)n == room;
        c->end += (size_t)n;
    }
    return n;
}

int64_t conn_patience(const struct conn *c)
{
    return c->server->options->idle_timeout_ns;
}

int64_t conn_write_deadline(const struct conn *c)
{
    return weft_after(conn_patience(c));
}

int conn_flush(struct conn *c)
{
    if (c->out.len == 0)
        return 0;
    int r = weft_write_all(c->id, c->out.base, c->out.len, NULL, conn_write_deadline(c));
    c->out.len = 0;
    return r;
}

void conn_rest(struct conn *c)
{
    drop_out(c);
    if (c->at == c->end) {
        c->at = c->end = 0;
        if (!c->crowded)
            drop_in(c);
    }
}

struct out *conn_out(struct conn *c, size_t n)
{
    if (c->out.base == NULL) {
        void *buffer = buffer_take(c->local);
        if (buffer == NULL)
            return NULL;
        c->out = out_fixed(buffer, BUFFER_SIZE);
    }
    if (n > c->out.cap - c->out.len) {
        if (n > c->out.cap || conn_flush(c) < 0)
            return NULL;
        c->now_ns = weft_now();
    }
    return &c->out;
}
