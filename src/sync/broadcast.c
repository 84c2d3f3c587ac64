/* Broadcast. Everything is under its lock, the readers' places included; a reader's place in its fiber's list
 * belongs to its home worker. Items have numbers; item i lies in slot i modulo capacity. Who waits to receive has
 * seen all there are, and is given the next one as it is sent. */
#include <errno.h>
#include <string.h>
#include <weft/broadcast.h>

#include "sync/wait.h"

typedef struct reader reader;

typedef struct broadcast {
    weft__guard lock;
    int32_t closed;          /* 0, or the reason */
    size_t size, capacity;
    unsigned char *buffer;
    uint64_t next;           /* number of the next item */
    uint64_t oldest;         /* no reader is behind this one; may be too low */
    reader *readers;
    weft__queue senders, receivers;
    int lossy;
} broadcast;

struct reader {
    weft__held held;         /* so that its death is noticed */
    reader *next, **from;
    broadcast *b;            /* NULL: it has not joined */
    uint64_t at;             /* number of the next item it gets */
};

_Static_assert(sizeof(broadcast) <= sizeof(weft_broadcast), "weft_broadcast has room for what it hides");
_Static_assert(sizeof(reader) <= sizeof(weft_reader), "weft_reader has room for what it hides");

static broadcast *of(weft_broadcast *b) { return (broadcast *)(void *)b; }
static reader *reader_of(weft_reader *r) { return (reader *)(void *)r; }
static unsigned char *slot(const broadcast *b, uint64_t i) { return b->buffer + (size_t)(i % b->capacity) * b->size; }

/* ---- under the lock ---- */

static int has_room(broadcast *b)
{
    if (b->lossy || b->next - b->oldest < b->capacity)
        return 1;
    b->oldest = b->next;
    for (const reader *r = b->readers; r; r = r->next)
        if (r->at < b->oldest)
            b->oldest = r->at;
    return b->next - b->oldest < b->capacity;
}

static void publish(broadcast *b, const void *item, weft__news *news)
{
    weft__node *n;
    memcpy(slot(b, b->next), item, b->size);
    b->next++;
    while ((n = b->receivers.first))
        if (weft__node_claim(n)) {
            memcpy(n->data, item, b->size);
            ((reader *)n->object)->at = b->next;
            weft__node_answer(n, 0, news);
        }
}

/* Somebody has read or left. */
static void let_senders_in(broadcast *b, weft__news *news)
{
    weft__node *n;
    while ((n = b->senders.first) && has_room(b))
        if (weft__node_claim(n)) {
            publish(b, n->data, news);
            weft__node_answer(n, 0, news);
        }
}

/* ---- sending ---- */

static int send_ready(weft__node *n)
{
    broadcast *b = n->object;
    return b->closed || (!b->senders.first && has_room(b));
}

static int send_take(weft__node *n, weft__news *news)
{
    broadcast *b = n->object;
    n->answer = b->closed;
    if (!b->closed)
        publish(b, n->data, news);
    return 1;
}

static void send_push(weft__node *n) { weft__queue_push(&((broadcast *)n->object)->senders, n); }

static const weft__node_kind send_kind = {send_ready, send_take, send_push, NULL, NULL, NULL, "room in a broadcast"};

int weft_broadcast_send(weft_broadcast *opaque, const void *item, int64_t deadline)
{
    weft__sync_used(opaque);
    broadcast *b = of(opaque);
    weft__fiber *f;
    int r = weft__sync_enter(&f, 1);
    if (r < 0)
        return r;
    weft__node n = {.lock = &b->lock, .object = b, .kind = &send_kind, .data = (void *)(uintptr_t)item};
    return weft__sync_call(&n, f, deadline);
}

int weft_broadcast_close(weft_broadcast *opaque, int reason)
{
    weft__sync_used(opaque);
    weft__probe_self();
    broadcast *b = of(opaque);
    weft__news news;
    if (reason > 0)
        return -EINVAL;
    weft__news_init(&news);
    weft__sync_lock(&b->lock);
    int was = b->closed;
    if (!was) {
        b->closed = reason ? reason : -EPIPE;
        while (weft__queue_serve(&b->senders, b->closed, &news))
            ;
        while (weft__queue_serve(&b->receivers, b->closed, &news))
            ;
    }
    weft__sync_unlock(&b->lock);
    weft__news_tell(&news);
    return was ? -EALREADY : 0;
}

/* ---- reading ---- */

static int receive_ready(weft__node *n)
{
    const reader *r = n->object;
    return r->at != r->b->next || r->b->closed;
}

/* n->want: how many it missed. */
static int receive_take(weft__node *n, weft__news *news)
{
    reader *r = n->object;
    broadcast *b = r->b;
    n->answer = r->at == b->next ? b->closed : 0;
    if (n->answer)
        return 1;
    if (b->next - r->at > b->capacity) { /* lossy */
        n->want = (size_t)(b->next - b->capacity - r->at);
        r->at = b->next - b->capacity;
    }
    memcpy(n->data, slot(b, r->at), b->size);
    r->at++;
    if (b->senders.first)
        let_senders_in(b, news);
    return 1;
}

static void receive_push(weft__node *n) { weft__queue_push(&((reader *)n->object)->b->receivers, n); }

static const weft__node_kind receive_kind = {receive_ready, receive_take, receive_push, NULL, NULL, NULL, "an item of a broadcast"};

static int is_reader(const reader *r, const weft__fiber *f) { return f && r && r->b && r->held.holder == f; }

int weft_broadcast_receive(weft_reader *opaque, void *item, uint64_t *missed, int64_t deadline)
{
    weft__sync_used(opaque);
    reader *me = reader_of(opaque);
    weft__fiber *f;
    int r = weft__sync_enter(&f, 0);
    if (r < 0)
        return r;
    if (!is_reader(me, f))
        return -EPERM;
    weft__sync_used(me->b);
    weft__node n = {.lock = &me->b->lock, .object = me, .kind = &receive_kind, .data = item};
    r = weft__sync_call(&n, f, deadline);
    if (r == 0 && missed)
        *missed = n.want;
    return r;
}

/* ---- coming and going ---- */

static void leave(reader *r)
{
    broadcast *b = r->b;
    weft__news news;
    weft__news_init(&news);
    weft__sync_lock(&b->lock);
    if (r->next)
        r->next->from = r->from;
    *r->from = r->next;
    let_senders_in(b, &news);
    weft__sync_unlock(&b->lock);
    weft__news_tell(&news);
    r->b = NULL;
    weft__sync_let_go(&r->held.stake);
}

static int reader_gone(weft__held *h, enum weft__orphan when)
{
    if (when != WEFT__ORPHAN_LATER)
        leave(weft__container(h, reader, held));
    return 1; /* it may lie on its fiber's stack */
}

int weft_broadcast_join(weft_broadcast *opaque, weft_reader *where)
{
    weft__sync_used(opaque);
    broadcast *b = of(opaque);
    reader *r = reader_of(where);
    weft__fiber *f = weft__fiber_self();
    weft__probe(f);
    if (!f)
        return -EPERM;
    if (!r || r->b)
        return -EINVAL;
    int held = weft__sync_hold(&b->lock, &r->held.stake, f);
    if (held < 0)
        return held;
    r->b = b;
    r->held.orphaned = reader_gone;
    weft__held_add(&r->held, f);
    weft__sync_lock(&b->lock);
    r->at = b->next;
    r->from = &b->readers;
    r->next = b->readers;
    if (r->next)
        r->next->from = &r->next;
    b->readers = r;
    weft__sync_unlock(&b->lock);
    return 0;
}

int weft_broadcast_leave(weft_reader *where)
{
    weft__sync_used(where);
    weft__probe_self();
    reader *r = reader_of(where);
    if (!is_reader(r, weft__fiber_self()))
        return -EPERM;
    weft__sync_used(r->b);
    weft__held_remove(&r->held);
    leave(r);
    return 0;
}

int weft_broadcast_init(weft_broadcast *opaque, size_t item_size, size_t capacity, void *buffer, enum weft_broadcast_kind kind)
{
    broadcast *b = of(opaque);
    if (!item_size || !capacity || !buffer || item_size > SIZE_MAX / capacity || (kind != WEFT_BROADCAST_HOLD && kind != WEFT_BROADCAST_LOSSY))
        return -EINVAL;
    memset(opaque, 0, sizeof *opaque);
    b->size = item_size;
    b->capacity = capacity;
    b->buffer = buffer;
    b->lossy = kind == WEFT_BROADCAST_LOSSY;
    return 0;
}
