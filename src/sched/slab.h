/* Type-stable records: fibers, lanes, sockets. A record's memory stays a record of its kind until the runtime ends, so
 * a stale id can be looked at safely by any thread; its key is its index and its generation lives in its first word.
 *
 * Each worker has a cache only it touches; caches trade chains of records through a shared depot,
 * so records taken here and given back there do not grow the slab (DESIGN rule 8).
 *
 * Records are made a chunk at a time. The first chunks are mappings of their own; a slab that has grown large maps
 * pieces of many chunks, for which the environment may use huge pages (docs/design/lanes-and-ids.md). */
#ifndef WEFT_SCHED_SLAB_H
#define WEFT_SCHED_SLAB_H

#include <weft/env.h>

#include <weft/types.h>

#include "base/spin.h"

/* The first member of every record. `word` holds the generation in its upper 16 bits and flags of the record's owner in
 * its lower. A free record has no message under way, so what links free ones takes no room beside it. */
typedef struct weft__slab_head {
    uint32_t key;
    uint32_t word; /* atomic */
    union {
        struct {
            struct weft__slab_head *next, *chain; /* while free */
        };
        weft_task message; /* of records that other threads set flags in: carries them to whoever acts upon them */
    };
} weft__slab_head;

/* Records lie at multiples of this, half a cache line: a lane and its fiber fit into 512 bytes that way,
 * and no record shares its first half line with another's. */
#define WEFT__SLAB_ALIGN 32

#define WEFT__GEN_SHIFT 16
#define WEFT__GEN(word) ((uint16_t)((uint32_t)(word) >> WEFT__GEN_SHIFT))
/* A flag of records that other threads find by ids and act upon: the life has begun, and not ended. A free record has
 * the generation of its next life already, which a made-up id may name. weft__slab_end clears it. */
#define WEFT__LIVE 0x8000u

/* No part of an id is a descriptor (DESIGN rule 6). Keys begin above every number that one can have: as an int a key is
 * negative, so a system call that is handed one by mistake refuses it. Generations, and the tags of runtimes, have
 * their highest bit set as well: the other half of an id is negative too, and its two parts are beyond any table of
 * descriptors that is not made for more than 32,767. */
#define WEFT__KEY_BASE 0x80000000u
#define WEFT__GEN_FIRST 0x8000u
#define WEFT__GEN_LIVES 0x8000u

/* Whether what has this word is alive and of that generation. */
static inline int weft__slab_is(uint32_t word, uint16_t gen) { return WEFT__GEN(word) == gen && (word & WEFT__LIVE); }
/* Whether what has this word, and that kind of id, is what the id names: both parts of one are compared at once. */
static inline int weft__slab_named(uint32_t word, uint16_t ns, weft_id id)
{
    return ((word & ~0xffffu) | ns) == ((uint32_t)id.gen << WEFT__GEN_SHIFT | id.ns);
}
/* A fresh record is filled in: ids name it from here on. Nobody else writes to its word before. */
static inline void weft__slab_begin(weft__slab_head *h)
{
    weft__store_release(&h->word, weft__load_relaxed(&h->word, "slab.begin") | WEFT__LIVE, "slab.begin");
}

/* So many bytes of chunks come one by one; what comes then is mapped in pieces.
 * One huge page too many is an eighth more at that size, and less later. */
#define WEFT__SLAB_SMALL ((size_t)16 << 20)
#define WEFT__SLAB_PIECE ((size_t)16 << 20)

typedef struct weft__slab {
    const weft_env *env;
    size_t object_size;
    unsigned shift;     /* log2 of the records in a chunk */
    uint32_t mask;      /* by which a key has its place in one */
    unsigned max_chunks;
    unsigned single;    /* chunks that come one by one */
    uint16_t gen_max;   /* the last generation: a record of it is retired instead of freed */
    weft__spin lock;    /* guards the depot and growth */
    weft__slab_head *depot; /* chains, linked by `chain` */
    char *room;         /* the next chunk, in what was mapped for one before it; NULL: it has to be mapped */
    char **chunks;      /* entries are written once, before `count` is raised */
    uint32_t count;     /* records that exist (atomic) */
    uint32_t retired;   /* atomic */
} weft__slab;

typedef struct weft__slab_cache {
    weft__slab *slab;
    weft__slab_head *head; /* free, newest first */
    unsigned count;        /* about how many: a chain from the depot counts as a full one */
    weft__slab_head *spare; /* a whole chain, kept back from the depot */
} weft__slab_cache;

/* For tests, before any runtime is opened: no record has more lives that were known than this,
 * whatever its slab's limit. */
extern uint32_t weft__slab_lives;

/* 0 or -ENOMEM. object_size includes the head. lives: how often a record whose id was given out is used again,
 * at most WEFT__GEN_LIVES. */
int weft__slab_init(weft__slab *s, const weft_env *env, size_t object_size, unsigned shift, unsigned max_chunks, uint32_t lives);
void weft__slab_fini(weft__slab *s);
/* A record with its head valid and the rest as its last user left it (zero at first), or NULL: no memory.
 * Owner of the cache only. */
static inline void *weft__slab_get(weft__slab_cache *c);
/* Ends a record's present life. If `seen`, its id was given out: the generation is raised in one step with the
 * look at the flags, so that no stale id can set another. Returns the flags (lower 16 bits of the word) that
 * are set at that moment. Owner only. */
uint32_t weft__slab_end(weft__slab *s, void *record, int seen);
/* Takes a record back whose life has ended; clears its flags. One whose generations are used up is retired instead. */
static inline void weft__slab_put(weft__slab_cache *c, void *record);
/* Gives everything in the cache to the depot: its worker ends. */
void weft__slab_cache_flush(weft__slab_cache *c);
/* For threads that own no cache. */
void *weft__slab_get_shared(weft__slab *s);
void weft__slab_put_shared(weft__slab *s, void *record);
/* The record with this key, or NULL where there is none. Any thread; says nothing about whose it is now. */
static inline void *weft__slab_at(const weft__slab *s, uint32_t key);

/* Between the source files: where the cache has none left; where it is full, or the record is of no more use. */
enum { WEFT__SLAB_CHAIN = 32 }; /* records that change hands at a time */
void *weft__slab_refill(weft__slab_cache *c);
void weft__slab_overflow(weft__slab_cache *c, void *record);

static inline void *weft__slab_get(weft__slab_cache *c)
{
    weft__slab_head *h = c->head;
    if (!h)
        return weft__slab_refill(c);
    c->head = h->next;
    c->count--;
    __builtin_prefetch(c->head, 1); /* the next one's memory may be far: it is on its way when it is asked for */
    return h;
}

static inline void weft__slab_put(weft__slab_cache *c, void *record)
{
    weft__slab_head *h = record;
    uint32_t word = weft__load_relaxed(&h->word, "slab.put");
    if (!WEFT__GEN(word) || c->count >= WEFT__SLAB_CHAIN) {
        weft__slab_overflow(c, record);
        return;
    }
    weft__store_relaxed(&h->word, word & ~(uint32_t)0xffff, "slab.put");
    h->next = c->head;
    c->head = h;
    c->count++;
}

static inline void *weft__slab_at(const weft__slab *s, uint32_t key)
{
    key -= WEFT__KEY_BASE; /* a key below it wraps around and is beyond what there is */
    if (key >= weft__load_acquire(&s->count, "slab.at")) /* pairs with the release in grow */
        return NULL;
    return s->chunks[key >> s->shift] + (size_t)(key & s->mask) * s->object_size;
}

#endif
