/* The memory of a channel that grows: a FIFO of items of one size in chunks, which come from an environment as they
 * are needed and go back when they are not. Everything is under the channel's lock, and none of it asks for memory:
 * that is `tend`'s, called where no lock is held.
 *
 * A chunk more is asked for when half of the last one is used and no other is in reserve, so it is mostly there
 * before it is needed. One that has been read goes into the reserve, or back. How many stay: as many as the last two
 * fillings from empty to empty had in common, and what rolling on needs in any case. So fillings that are alike ask
 * for nothing from the third on, and a single one that was large leaves nothing behind. */
#ifndef WEFT_SYNC_STORE_H
#define WEFT_SYNC_STORE_H

#include <weft/env.h>

#include "sync/wait.h"

typedef struct weft__chunk {
    struct weft__chunk *next;
} weft__chunk;

typedef struct weft__store {
    weft__chunk own;          /* the chunk that this lies at the head of: never given back before the end */
    weft__chunk *head, *tail; /* in use */
    weft__chunk *spare, *going; /* in reserve; to be given back */
    size_t size, per;         /* of an item; items in a chunk */
    size_t front, back;       /* the oldest item, in head; the place for the next one, in tail */
    size_t bytes;             /* of a chunk */
    size_t most;              /* chunks that can ever be of use */
    size_t used, spares;      /* chunks */
    size_t peak, before;      /* chunks that it took since it was empty, and in the filling before */
    size_t keep;              /* how many are kept */
    uint8_t wants;            /* a chunk is asked for */
    uint8_t tending;          /* somebody was told of that */
    const weft_env *env;
    weft__kept kept;          /* by the vat that the channel lies in */
    weft__node tend;          /* tells it: a node of no waiter */
} weft__store;

#define WEFT__CHUNK_HEAD ((sizeof(weft__store) + 63) / 64 * 64)

/* A store for items of this size, with its first chunk. -ENOMEM, -EINVAL an item too large. tend(object) is called
 * when there is something to tend. */
int weft__store_open(weft__store **out, size_t item_size, size_t limit, const weft__node_kind *tend, void *object);
/* Gives everything back. No lock held, and nobody uses it. */
void weft__store_close(weft__store *s);
/* A chunk of the environment's: NULL: no memory. And in. No lock held; under the lock. */
weft__chunk *weft__store_map(const weft__store *s);
void weft__store_add(weft__store *s, weft__chunk *c);
/* What was to be given back, taken out. Under the lock. And given back. No lock held. */
weft__chunk *weft__store_going(weft__store *s);
void weft__store_unmap(const weft__store *s, weft__chunk *c);

/* Slow steps of what follows. */
int weft__store_extend(weft__store *s);
void weft__store_want(weft__store *s);
void weft__store_next(weft__store *s);
void weft__store_empty(weft__store *s);
void *weft__store_before(weft__store *s);

static inline unsigned char *weft__store_at(const weft__store *s, weft__chunk *c, size_t i)
{
    return (unsigned char *)c + WEFT__CHUNK_HEAD + i * s->size;
}

/* Whether another item finds a place. */
static inline int weft__store_has_room(const weft__store *s) { return s->back < s->per || s->spare; }

/* The place for another item, which is in from here on; NULL: there is none now. */
static inline void *weft__store_push(weft__store *s)
{
    if (s->back == s->per && !weft__store_extend(s))
        return NULL;
    void *to = weft__store_at(s, s->tail, s->back++);
    if (s->back > s->per / 2 && !s->spare && s->used < s->most)
        weft__store_want(s);
    return to;
}

static inline void *weft__store_oldest(const weft__store *s) { return weft__store_at(s, s->head, s->front); }

/* The oldest one has been read, and so many are left. */
static inline void weft__store_pop(weft__store *s, size_t left)
{
    s->front++;
    if (left == 0)
        weft__store_empty(s);
    else if (s->front == s->per)
        weft__store_next(s);
}

/* Whoever is told this news tends it, if there is something to tend and nobody does. */
static inline void weft__store_tell(weft__store *s, weft__news *news)
{
    if ((s->wants || s->going) && !s->tending) {
        s->tending = 1;
        weft__node_answer(&s->tend, 0, news);
    }
}

#endif
