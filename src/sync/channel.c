/* Channels. Everything is under the channel's lock; any thread. Receivers wait only while the buffer is empty and no
 * sender waits, senders only while it is full (always, without one) and no receiver waits. Items are copied under the
 * lock, straight from who sends to who receives where one of them waits; a waiting sender's item moves into the buffer
 * as soon as there is room, so the order of sending is kept.
 *
 * The buffer is a ring of the caller's, or a store that grows (store.h): then a channel may be full for the moment
 * although its limit is not reached, while somebody gets it a chunk. Who does that lets in who waits. */
#include "fiber/contain.h"
#include "sync/channel.h"

#include <errno.h>
#include <string.h>

#include "sync/store.h"

typedef struct channel {
    weft__guard lock;
    int32_t closed;    /* 0, or the reason */
    uint8_t giver, taker; /* who was at the ring's beginning last: 1 + its worker's index; 0: nobody, or in vain */
    uint16_t moved;       /* items that were taken out of the ring, or handed over */
    size_t size, capacity;
    size_t head, count; /* of what lies in the buffer */
    unsigned char *buffer;
    weft__store *store; /* instead of a buffer, where it grows; its capacity is the limit then */
    weft__queue senders, receivers;
} channel;

_Static_assert(sizeof(channel) <= sizeof(weft_channel), "weft_channel has room for what it hides");

/* A call that bides its time takes at most so many looks, env's `linger` in all. */
enum { BIDE_LOOKS = 16 };
/* From which capacity on there is much to be had at once. */
#ifdef WEFT_POINTS
enum { LONG_RING = 1 }; /* short ones have few states to go through */
#else
enum { LONG_RING = 32 };
#endif

static channel *of(weft_channel *c) { return (channel *)(void *)c; }

static inline void copy(const channel *c, void *to, const void *from)
{
    if (c->size == sizeof(uint64_t)) /* a call costs as much as the rest of the copy */
        memcpy(to, from, sizeof(uint64_t));
    else
        memcpy(to, from, c->size);
}

static inline unsigned char *slot(const channel *c, size_t i)
{
    size_t at = c->head + i;
    return c->buffer + (at >= c->capacity ? at - c->capacity : at) * c->size;
}

/* ---- under the lock ---- */

static inline int has_room(const channel *c) { return c->count < c->capacity && (!c->store || weft__store_has_room(c->store)); }

/* Once in a long ring's length it is noted who reads and who writes there. */
static inline void note(const channel *c, uint8_t *who)
{
    if (c->capacity < LONG_RING)
        return;
    const weft__worker *w = weft__worker_self();
    *who = w ? (uint8_t)(w->index + 1) : 0;
}

/* The place for another item, which counts from here on; has_room was asked. */
static inline void *back(channel *c)
{
    void *to = c->store ? weft__store_push(c->store) : slot(c, c->count);
    c->count++;
    return to;
}

/* The oldest item goes to `to`. */
static inline void pop(channel *c, void *to)
{
    c->count--;
    c->moved++;
    if (c->store) {
        copy(c, to, weft__store_oldest(c->store));
        weft__store_pop(c->store, c->count);
        return;
    }
    copy(c, to, slot(c, 0));
    if (++c->head == c->capacity) {
        c->head = 0;
        note(c, &c->taker);
    }
}

/* A place before the oldest item, or NULL. */
static void *front(channel *c)
{
    if (!c->count)
        return has_room(c) ? back(c) : NULL;
    void *to = NULL;
    if (c->store && c->count < c->capacity) {
        to = weft__store_before(c->store);
    } else if (c->count < c->capacity) {
        c->head = c->head ? c->head - 1 : c->capacity - 1;
        to = slot(c, 0);
    }
    c->count += to != NULL;
    return to;
}

/* The first receiver that is still to be had gets the item: 1. */
static inline int hand_over(channel *c, const void *item, weft__news *news)
{
    weft__node *n;
    while ((n = c->receivers.first))
        if (weft__node_claim(n)) {
            copy(c, n->data, item);
            c->moved++;
            weft__node_answer(n, 0, news);
            return 1;
        }
    return 0;
}

/* 1: sent or refused, and *answer says which. 0: it has to wait. */
static inline int put(channel *c, const void *item, int *answer, weft__news *news)
{
    *answer = c->closed;
    if (c->closed || (c->receivers.first && hand_over(c, item, news)))
        return 1;
    if (!has_room(c))
        return 0;
    void *to = back(c);
    copy(c, to, item);
    if (to == c->buffer)
        note(c, &c->giver);
    if (c->store)
        weft__store_tell(c->store, news);
    return 1;
}

/* The first sender that is still to be had gives its item to `to`: 1. */
static inline int take_over(channel *c, void *to, weft__news *news)
{
    weft__node *n;
    while ((n = c->senders.first))
        if (weft__node_claim(n)) {
            copy(c, to, n->data);
            weft__node_answer(n, 0, news);
            return 1;
        }
    return 0;
}

/* Senders that wait put in what there is room for. */
static void let_in(channel *c, weft__news *news)
{
    weft__node *n;
    while ((n = c->senders.first) && has_room(c))
        if (weft__node_claim(n)) {
            copy(c, back(c), n->data);
            weft__node_answer(n, 0, news);
        }
}

static inline int get(channel *c, void *item, int *answer, weft__news *news)
{
    *answer = 0;
    if (c->count) {
        pop(c, item);
        if (c->senders.first)
            let_in(c, news);
        if (c->store)
            weft__store_tell(c->store, news);
        return 1;
    }
    if (c->senders.first && take_over(c, item, news))
        return 1;
    *answer = c->closed;
    return c->closed != 0;
}

/* An item that was taken goes to who waits, or before all others: 1. */
static int put_back(channel *c, const void *item, weft__news *news)
{
    if (hand_over(c, item, news))
        return 1;
    void *to = front(c);
    if (to)
        copy(c, to, item);
    return to != NULL;
}

/* ---- growing ---- */

/* Called with the news, no lock held: gets what is wanted, gives back what is not. */
static void tend(weft__node *n)
{
    channel *c = n->object;
    weft__store *s = c->store;
    weft__chunk *fresh = NULL;
    for (;;) {
        weft__news news;
        weft__news_init(&news);
        weft__sync_lock(&c->lock);
        if (fresh) {
            weft__store_add(s, fresh);
            let_in(c, &news);
        }
        int wants = s->wants;
        weft__chunk *going = weft__store_going(s);
        s->wants = 0;
        s->tending = wants || going;
        weft__sync_unlock(&c->lock);
        weft__news_tell(&news);
        if (!wants && !going)
            return;
        weft__store_unmap(s, going);
        fresh = wants ? weft__store_map(s) : NULL; /* without memory it stays as large as it is */
    }
}

static const weft__node_kind store_kind = {.finish = tend};

/* The channel has reached the end of its chunks and not of its limit: the caller gets another one, rather than wait for
 * who is about to. The lock is released meanwhile. 1: it may try again. */
static __attribute__((noinline)) int grow_store(channel *c)
{
    if (c->count >= c->capacity)
        return 0;
    weft__store *s = c->store;
    weft__sync_unlock(&c->lock);
    weft__chunk *fresh = weft__store_map(s);
    if (fresh) {
        weft__news news;
        weft__news_init(&news);
        weft__sync_lock(&c->lock);
        weft__store_add(s, fresh);
        let_in(c, &news);
        weft__store_tell(s, &news);
        weft__sync_unlock(&c->lock);
        weft__news_tell(&news);
    }
    weft__sync_lock(&c->lock);
    return fresh != NULL;
}

static inline int grow(channel *c) { return c->store && grow_store(c); }

/* ---- waiting awake ---- */

/* How far the other side has still to go. */
static inline size_t behind(const channel *c, int sends) { return sends ? c->count : c->capacity - c->count; }

/* The ring is full, or empty, and who empties or fills it is elsewhere. While it is seen at work, up to half the ring,
 * it is cheaper to wait awake than in line, where each item costs a wait here and a message there. Not for who may have
 * to be evicted (DESIGN rule 14). The lock is released meanwhile. 1: the caller may try again, and not in vain. */
static __attribute__((noinline)) int bide(channel *c, weft__fiber *f, int sends)
{
    uint8_t *other = sends ? &c->taker : &c->giver;
    if (!f || *other == f->home->index + 1 || !weft__is_elsewhere(&c->lock))
        return 0;
    const weft_env *env = f->home->rt->env;
    const unsigned relaxes = (env->linger + BIDE_LOOKS - 1) / BIDE_LOOKS;
    if (!relaxes || !env->relax || f->home->rt->topology.cpus < 2)
        return 0;
    size_t before, left = c->capacity;
    uint16_t moved;
    unsigned looks = 0;
    do {
        before = left;
        moved = c->moved;
        weft__sync_unlock(&c->lock);
        for (unsigned i = 0; i < relaxes; i++)
            env->relax(env->self);
        weft__sync_lock(&c->lock);
        left = behind(c, sends);
    } while (left > c->capacity / 2 && !c->closed && (moved != c->moved || left != before) && ++looks < BIDE_LOOKS);
    if (left == c->capacity)
        *other = 0;
    return left < c->capacity || c->closed;
}

/* ---- as things to wait for ---- */

static int send_ready(weft__node *n)
{
    const channel *c = n->object;
    return c->closed || c->receivers.first || has_room(c);
}

static int send_take(weft__node *n, weft__news *news) { return put(n->object, n->data, &n->answer, news); }
static void send_push(weft__node *n) { weft__queue_push(&((channel *)n->object)->senders, n); }

static int receive_ready(weft__node *n)
{
    const channel *c = n->object;
    return c->count || c->senders.first || c->closed;
}

static int receive_take(weft__node *n, weft__news *news) { return get(n->object, n->data, &n->answer, news); }
static void receive_push(weft__node *n) { weft__queue_push(&((channel *)n->object)->receivers, n); }

/* It was given an item and died before it saw it. */
static void receive_refuse(weft__node *n)
{
    channel *c = n->object;
    weft__news news;
    if (n->answer < 0)
        return;
    weft__news_init(&news);
    weft__sync_lock(&c->lock);
    while (!put_back(c, n->data, &news) && grow(c))
        ; /* what was got may be in use by now, for senders that waited */
    if (c->store)
        weft__store_tell(c->store, &news);
    weft__sync_unlock(&c->lock);
    weft__news_tell(&news);
}

static const weft__node_kind send_kind = {send_ready, send_take, send_push, NULL, NULL, NULL, "room in a channel"};
static const weft__node_kind receive_kind = {receive_ready, receive_take, receive_push, NULL, receive_refuse, NULL, "an item of a channel"};

void weft__channel_send_node(weft__node *n, weft_channel *opaque, const void *item)
{
    n->lock = &of(opaque)->lock;
    n->object = of(opaque);
    n->kind = &send_kind;
    n->data = (void *)(uintptr_t)item;
}

void weft__channel_receive_node(weft__node *n, weft_channel *opaque, void *item)
{
    n->lock = &of(opaque)->lock;
    n->object = of(opaque);
    n->kind = &receive_kind;
    n->data = item;
}

/* ---- sending ---- */

/* In a long ring there is more to be had than what is told, so who is told goes ahead. Releases the lock for good. */
static inline void unlock_and_tell(channel *c, weft__news *news)
{
    const int is_long = c->capacity >= LONG_RING;
    weft__sync_unlock(&c->lock);
    if (!news->first)
        return;
    if (is_long)
        weft__news_tell_all_ahead(news->first);
    else
        weft__news_tell_all(news->first);
}

/* Stands in line. The lock is held, and released here. */
__attribute__((noinline)) static int wait_in(channel *c, weft__queue *q, const weft__node_kind *kind, void *item, weft__fiber *f, int64_t deadline)
{
    weft__waiter wt;
    weft__node n; /* no initialiser: it would clear what is set anyway */
    weft__waiter_init(&wt, f, &n, 1);
    n.lock = &c->lock;
    n.object = c;
    n.kind = kind;
    n.data = item;
    if (!weft__is_elsewhere(&c->lock)) {
        weft__sync_unlock(&c->lock);
        return weft__sync_wait_in_vat(&wt, deadline);
    }
    weft__queue_push(q, &n);
    weft__sync_unlock(&c->lock);
    int r = f ? weft__fiber_waits(&wt, deadline) : weft__thread_waits(&wt, deadline);
    return r < 0 ? r : n.answer;
}

int weft_channel_send(weft_channel *opaque, const void *item, int64_t deadline)
{
    weft__sync_used(opaque);
    channel *c = of(opaque);
    weft__fiber *f;
    weft__news news;
    int r = weft__sync_enter(&f, 1);
    if (r < 0)
        return r;
    int late = deadline != WEFT_NEVER && weft__sync_late(f, deadline);
    weft__news_init(&news);
    weft__sync_lock(&c->lock);
    int done = put(c, item, &r, &news);
    while (!done && (grow(c) || (c->taker && !late && bide(c, f, 1))))
        done = put(c, item, &r, &news);
    if (!done && !late)
        return wait_in(c, &c->senders, &send_kind, (void *)(uintptr_t)item, f, deadline); /* there is no news then */
    unlock_and_tell(c, &news);
    return done ? r : weft__sync_refuse(f, -ETIMEDOUT);
}

int weft_channel_try_send(weft_channel *opaque, const void *item)
{
    weft__sync_used(opaque);
    weft__probe_self();
    channel *c = of(opaque);
    weft__news news;
    int r;
    weft__news_init(&news);
    weft__sync_lock(&c->lock);
    int done = put(c, item, &r, &news);
    while (!done && grow(c))
        done = put(c, item, &r, &news);
    weft__sync_unlock(&c->lock);
    weft__news_tell(&news);
    return done ? r : weft__sync_refuse(weft__fiber_self(), -EAGAIN);
}

/* ---- receiving ---- */

int weft_channel_receive(weft_channel *opaque, void *item, int64_t deadline)
{
    weft__sync_used(opaque);
    channel *c = of(opaque);
    weft__fiber *f;
    weft__news news;
    int r = weft__sync_enter(&f, 1);
    if (r < 0)
        return r;
    int late = deadline != WEFT_NEVER && weft__sync_late(f, deadline);
    weft__news_init(&news);
    weft__sync_lock(&c->lock);
    int done = get(c, item, &r, &news);
    if (!done && c->giver && !late && bide(c, f, 0))
        done = get(c, item, &r, &news);
    if (!done && !late)
        return wait_in(c, &c->receivers, &receive_kind, item, f, deadline);
    unlock_and_tell(c, &news);
    return done ? r : weft__sync_refuse(f, -ETIMEDOUT);
}

/* What is there: how many, or the reason it was closed for, or -EAGAIN. */
static int64_t get_many(channel *c, unsigned char *items, size_t max)
{
    weft__news news;
    size_t n = 0;
    int r = 0;
    weft__news_init(&news);
    weft__sync_lock(&c->lock);
    while (n < max && get(c, items + n * c->size, &r, &news) && r == 0)
        n++;
    weft__sync_unlock(&c->lock);
    weft__news_tell(&news);
    return n ? (int64_t)n : r < 0 ? r : -EAGAIN;
}

int weft_channel_try_receive(weft_channel *c, void *item)
{
    weft__sync_used(c);
    weft__probe_self();
    int64_t r = get_many(of(c), item, 1);
    return r == 1 ? 0 : r == -EAGAIN ? weft__sync_refuse(weft__fiber_self(), -EAGAIN) : (int)r;
}

int64_t weft_channel_receive_many(weft_channel *opaque, void *items, size_t max, int64_t deadline)
{
    weft__sync_used(opaque);
    weft__probe_self();
    channel *c = of(opaque);
    if (!max)
        return -EINVAL;
    int r = weft_channel_receive(opaque, items, deadline);
    if (r < 0)
        return r;
    int64_t more = max > 1 ? get_many(c, (unsigned char *)items + c->size, max - 1) : 0;
    return 1 + (more > 0 ? more : 0);
}

/* ---- the rest ---- */

int weft_channel_init(weft_channel *opaque, size_t item_size, size_t capacity, void *buffer)
{
    channel *c = of(opaque);
    if (!item_size || (capacity && (!buffer || item_size > SIZE_MAX / capacity)))
        return -EINVAL;
    memset(opaque, 0, sizeof *opaque);
    c->size = item_size;
    c->capacity = capacity;
    c->buffer = buffer;
    return 0;
}

/* The vat that the channel lay in is about to go, and nobody uses it any more. */
static void store_outlived(weft__kept *k) { weft__store_close(weft__container(k, weft__store, kept)); }

int weft_channel_init_growing(weft_channel *opaque, size_t item_size, size_t limit)
{
    channel *c = of(opaque);
    if (!item_size || !limit)
        return -EINVAL;
    memset(opaque, 0, sizeof *opaque);
    c->size = item_size;
    c->capacity = limit;
    int r = weft__store_open(&c->store, item_size, limit, &store_kind, c);
    if (r < 0)
        return r;
    weft__vat *v = weft__sync_around(&c->lock);
    if (v)
        weft__vat_keep(v, &c->store->kept, store_outlived);
    return 0;
}

/* Whoever tends the store is through soon: it waits for nobody. */
static void await_tended(channel *c)
{
    const weft_env *env = c->store->env;
    for (;;) {
        weft__sync_lock(&c->lock);
        int tended = !c->store->tending;
        weft__sync_unlock(&c->lock);
        if (tended)
            return;
        if (env->relax)
            env->relax(env->self);
    }
}

int weft_channel_end(weft_channel *opaque)
{
    weft__sync_used(opaque);
    weft__probe_more(1);
    channel *c = of(opaque);
    weft__store *s = c->store;
    weft_channel_close(opaque, 0);
    if (s)
        await_tended(c);
    weft__sync_lock(&c->lock);
    c->store = NULL;
    c->count = c->capacity = 0;
    weft__sync_unlock(&c->lock);
    if (s && s->kept.stake.vat)
        weft__vat_unkeep(&s->kept);
    if (s)
        weft__store_close(s);
    return 0;
}

int weft_channel_close(weft_channel *opaque, int reason)
{
    weft__sync_used(opaque);
    weft__probe_self();
    channel *c = of(opaque);
    weft__news news;
    if (reason > 0)
        return -EINVAL;
    weft__news_init(&news);
    weft__sync_lock(&c->lock);
    int was = c->closed;
    if (!was) {
        c->closed = reason ? reason : -EPIPE;
        while (weft__queue_serve(&c->senders, c->closed, &news))
            ;
        while (weft__queue_serve(&c->receivers, c->closed, &news))
            ;
    }
    weft__sync_unlock(&c->lock);
    weft__news_tell(&news);
    return was ? -EALREADY : 0;
}

size_t weft_channel_length(weft_channel *opaque)
{
    weft__sync_used(opaque);
    weft__probe_self();
    channel *c = of(opaque);
    weft__sync_lock(&c->lock);
    size_t n = c->count;
    weft__sync_unlock(&c->lock);
    return n;
}
