/* Credits over a byte stream. Everything happens in one lane, so nothing here is shared but the order of frames on
 * the connection, which `writing` keeps.
 *
 * A frame is four bytes, most significant first: two bits say what it is, thirty how much; the bytes of DATA follow.
 * The pump reads frames and never writes: so it never waits for the peer to read, and the peer's writes always get
 * through. Grants are written by whoever reads from the buffer. Nobody waits for credit with `writing` held, or a
 * grant could not pass. */
#include <errno.h>
#include <string.h>
#include <weft/flow.h>
#include <weft/group.h>
#include <weft/sync.h>

#include "base/check.h"
#include "fiber/contain.h"

enum frame { DATA, GRANT, END };
enum { HEAD = 4, KIND_SHIFT = 30 };

typedef struct flow {
    weft_id sock;
    unsigned char *buffer;     /* a ring of `window` bytes */
    size_t window, low;
    size_t first, count;       /* of what lies in it */
    size_t owed;               /* read, and not granted */
    size_t credit;             /* what the peer lets us send */
    int failed;                /* the connection's end as far as we are concerned, or 0 */
    uint8_t torn;              /* a frame was left unfinished */
    uint8_t finished, ended;   /* we, the peer said END */
    weft_mutex writing;
    weft_event may_write, may_read; /* manual: there is credit, there is something to read, or there will never be */
    weft_group pump;
    weft_flow_info info;
} flow;

_Static_assert(sizeof(flow) <= sizeof(weft_flow), "weft_flow has room for what it hides");

static flow *of(weft_flow *f) { return (flow *)(void *)f; }

/* ---- out ---- */

static void put_head(unsigned char head[HEAD], enum frame kind, size_t n)
{
    uint32_t v = (uint32_t)kind << KIND_SHIFT | (uint32_t)n;
    for (int i = 0; i < HEAD; i++)
        head[i] = (unsigned char)(v >> (24 - 8 * i));
}

/* Whoever waits looks whether it still has something to wait for. */
static void wake_all(flow *f)
{
    weft_event_set(&f->may_read);
    weft_event_set(&f->may_write);
}

/* With `writing` held. Nothing of a frame is written, or all, or the flow is torn. */
static int write_frame(flow *f, enum frame kind, const void *data, size_t n, int64_t deadline)
{
    unsigned char head[HEAD];
    struct iovec iov[] = {{head, HEAD}, {(void *)(uintptr_t)data, n}};
    size_t done = 0;
    if (f->torn)
        return -EIO;
    put_head(head, kind, n);
    int r = weft_writev_all(f->sock, iov, data ? 2 : 1, &done, deadline);
    if (r < 0 && done > 0) {
        f->torn = 1;
        wake_all(f);
    }
    return r;
}

static int send_frame(flow *f, enum frame kind, size_t n, int64_t deadline)
{
    int r = weft_mutex_lock(&f->writing, deadline);
    if (r < 0)
        return r;
    r = write_frame(f, kind, NULL, n, deadline);
    weft_mutex_unlock(&f->writing);
    return r;
}

/* What a write finds, beside credit: 0 or why it cannot go on. */
static int out_of_order(const flow *f)
{
    if (f->torn)
        return -EIO;
    return f->finished ? -EPIPE : f->failed;
}

static int await_credit(flow *f, int64_t deadline)
{
    int r = out_of_order(f);
    if (r == 0 && !f->credit)
        f->info.stalls++;
    while (r == 0 && !f->credit) {
        weft_event_reset(&f->may_write);
        r = weft_event_wait(&f->may_write, deadline);
        if (r == 0)
            r = out_of_order(f);
    }
    return r;
}

/* A frame's worth, with `writing` held; 0: there is no credit any more. */
static ssize_t write_some(flow *f, const void *buf, size_t n, int64_t deadline)
{
    if (n > f->credit)
        n = f->credit;
    int r = out_of_order(f);
    if (r < 0 || n == 0)
        return r;
    f->credit -= n;
    r = write_frame(f, DATA, buf, n, deadline);
    if (r < 0 && !f->torn) { /* none of it went */
        f->credit += n;
        weft_event_set(&f->may_write);
    }
    f->info.sent += r < 0 ? 0 : n;
    return r < 0 ? r : (ssize_t)n;
}

ssize_t weft_flow_write(weft_flow *opaque, const void *buf, size_t n, int64_t deadline)
{
    weft__probe_more(2);
    flow *f = of(opaque);
    ssize_t sent = 0;
    if (n == 0)
        return weft_canceled();
    while (sent == 0) {
        int r = await_credit(f, deadline);
        if (r == 0)
            r = weft_mutex_lock(&f->writing, deadline);
        if (r < 0)
            return r;
        sent = write_some(f, buf, n, deadline);
        weft_mutex_unlock(&f->writing);
    }
    return sent;
}

int weft_flow_write_all(weft_flow *f, const void *buf, size_t n, size_t *done, int64_t deadline)
{
    weft__probe_more(2);
    size_t sum = 0;
    ssize_t r = 0;
    do {
        r = weft_flow_write(f, (const char *)buf + sum, n - sum, deadline);
        sum += r > 0 ? (size_t)r : 0;
    } while (r > 0 && sum < n);
    if (done)
        *done = sum;
    return r < 0 ? (int)r : 0;
}

int weft_flow_finish(weft_flow *opaque, int64_t deadline)
{
    weft__probe_more(2);
    flow *f = of(opaque);
    int r = out_of_order(f);
    if (r == 0)
        r = send_frame(f, END, 0, deadline);
    if (r == 0) {
        f->finished = 1;
        wake_all(f);
    }
    return r;
}

/* ---- in: the pump ---- */

static int take_data(flow *f, size_t n)
{
    if (f->ended || n > f->window - f->owed - f->count)
        return -EPROTO; /* more than it was granted */
    while (n) {
        size_t at = (f->first + f->count) % f->window, whole = f->window - at < n ? f->window - at : n;
        ssize_t r = weft_read(f->sock, f->buffer + at, whole, WEFT_NEVER);
        if (r <= 0)
            return r < 0 ? (int)r : -EPIPE;
        f->count += (size_t)r;
        f->info.received += (uint64_t)r;
        if (f->count > f->info.most)
            f->info.most = f->count;
        n -= (size_t)r;
        weft_event_set(&f->may_read);
    }
    return 0;
}

static int take_frame(flow *f)
{
    unsigned char head[HEAD];
    int r = weft_read_all(f->sock, head, HEAD, NULL, WEFT_NEVER);
    if (r < 0)
        return r;
    uint32_t v = (uint32_t)head[0] << 24 | (uint32_t)head[1] << 16 | (uint32_t)head[2] << 8 | head[3];
    size_t n = v & (WEFT_FLOW_MAX - 1);
    switch (v >> KIND_SHIFT) {
    case DATA:
        return take_data(f, n);
    case GRANT:
        if (n >= WEFT_FLOW_MAX - f->credit)
            return -EPROTO; /* a frame could not say so much */
        f->credit += n;
        weft_event_set(&f->may_write);
        return 0;
    case END:
        f->ended = 1;
        weft_event_set(&f->may_read);
        return 0;
    default:
        return -EPROTO;
    }
}

static int pump(void *arg)
{
    flow *f = arg;
    int r;
    do
        r = take_frame(f);
    while (r == 0);
    return r;
}

/* It is over, or never ran for want of a stack. */
static void pump_over(void *ctx, weft_id member, int result)
{
    flow *f = ctx;
    (void)member;
    f->failed = result;
    wake_all(f);
}

/* ---- in: the reader ---- */

static size_t copy_out(flow *f, unsigned char *to, size_t n)
{
    if (n > f->count)
        n = f->count;
    size_t whole = f->window - f->first < n ? f->window - f->first : n;
    memcpy(to, f->buffer + f->first, whole);
    memcpy(to + whole, f->buffer, n - whole);
    f->first = (f->first + n) % f->window;
    f->count -= n;
    f->owed += n;
    return n;
}

/* So little is left to the peer, or unread, that it gets the rest of the window at once. What cannot be granted now,
 * because the connection is at its end, need not be. */
static void grant(flow *f, int64_t deadline)
{
    size_t n = f->owed;
    if (f->window - n > f->low || f->failed || f->ended)
        return;
    f->owed = 0;
    if (send_frame(f, GRANT, n, deadline) == 0)
        f->info.grants++;
    else if (!f->torn)
        f->owed += n; /* with the next read */
}

ssize_t weft_flow_read(weft_flow *opaque, void *buf, size_t n, int64_t deadline)
{
    weft__probe_more(2);
    flow *f = of(opaque);
    int r = weft_canceled();
    if (r < 0 || n == 0)
        return r;
    if (f->owed) /* of a read that was cancelled as it granted */
        grant(f, deadline);
    while (!f->count) {
        if (f->ended || f->failed || f->torn)
            return f->ended ? 0 : f->failed ? f->failed : -EIO;
        weft_event_reset(&f->may_read);
        r = weft_event_wait(&f->may_read, deadline);
        if (r < 0)
            return r;
    }
    size_t got = copy_out(f, buf, n);
    grant(f, deadline);
    return (ssize_t)got;
}

/* ---- the whole ---- */

int weft_flow_open(weft_flow *opaque, weft_id sock, void *buffer, size_t window, size_t low_water)
{
    weft__probe_more(2);
    flow *f = of(opaque);
    if (!buffer || !window || low_water >= window || window >= WEFT_FLOW_MAX)
        return -EINVAL;
    memset(opaque, 0, sizeof *opaque);
    f->sock = sock;
    f->buffer = buffer;
    f->window = window;
    f->low = low_water;
    weft_mutex_init(&f->writing, WEFT_MUTEX_FAIR, "a flow's frames");
    int r = write_frame(f, GRANT, NULL, window, WEFT_NEVER);
    if (r == 0)
        r = weft_group_tell(&f->pump, pump_over, f);
    return r < 0 ? r : weft_group_run(&f->pump, pump, f);
}

int weft_flow_close(weft_flow *opaque) { return weft_group_end(&of(opaque)->pump); }

void weft_flow_look(const weft_flow *opaque, weft_flow_info *out)
{
    const flow *f = (const flow *)(const void *)opaque;
    *out = f->info;
    out->credit = f->credit;
}
