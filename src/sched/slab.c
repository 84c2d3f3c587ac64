/* Type-stable records. A cache belongs to one worker; slab, depot and growth are under the slab's spin lock.
 *
 * Invariant: `room` is NULL exactly while the next chunk is one that something has to be mapped for. */
#include "sched/slab.h"

#include <errno.h>
#include <string.h>

#include "arch/poison.h"
#include "base/check.h"

uint32_t weft__slab_lives = WEFT__GEN_LIVES;

static size_t table_bytes(const weft__slab *s)
{
    size_t bytes = s->max_chunks * sizeof *s->chunks, page = s->env->page_size;
    return (bytes + page - 1) / page * page;
}

static size_t chunk_bytes(const weft__slab *s)
{
    size_t bytes = s->object_size << s->shift, page = s->env->page_size;
    return (bytes + page - 1) / page * page;
}

/* What is mapped for chunk i, in bytes; 0: it lies in what was mapped for one before it. */
static size_t mapped_for(const weft__slab *s, uint32_t i)
{
    if (i < s->single)
        return chunk_bytes(s);
    return (i - s->single) % (WEFT__SLAB_PIECE / chunk_bytes(s)) == 0 ? WEFT__SLAB_PIECE : 0;
}

int weft__slab_init(weft__slab *s, const weft_env *env, size_t object_size, unsigned shift, unsigned max_chunks, uint32_t lives)
{
    memset(s, 0, sizeof *s);
    s->env = env;
    s->object_size = (object_size + WEFT__SLAB_ALIGN - 1) / WEFT__SLAB_ALIGN * WEFT__SLAB_ALIGN;
    s->shift = shift;
    s->mask = (1u << shift) - 1;
    s->max_chunks = max_chunks;
    WEFT_ASSERT(chunk_bytes(s) <= WEFT__SLAB_PIECE);
    s->single = (unsigned)(WEFT__SLAB_SMALL / chunk_bytes(s));
    lives = lives < weft__slab_lives ? lives : weft__slab_lives;
    s->gen_max = (uint16_t)(WEFT__GEN_FIRST - 1 + lives);
    s->chunks = env->map(env->self, table_bytes(s), 0);
    return s->chunks ? 0 : -ENOMEM;
}

void weft__slab_fini(weft__slab *s)
{
    if (!s->chunks)
        return;
    for (uint32_t i = 0; i < s->count >> s->shift; i++) {
        size_t bytes = mapped_for(s, i);
        if (!bytes)
            continue;
        weft__unpoison(s->chunks[i], bytes); /* whoever gets the addresses next knows nothing of its owner's poison */
        s->env->unmap(s->env->self, s->chunks[i], bytes);
    }
    s->env->unmap(s->env->self, s->chunks, table_bytes(s));
    s->chunks = NULL;
}

/* The next chunk, if it is mapped; its records can be looked up from here on. Under the lock. */
static char *publish(weft__slab *s)
{
    char *chunk = s->room;
    uint32_t i = s->count >> s->shift;
    if (!chunk)
        return NULL;
    s->chunks[i] = chunk;
    s->room = mapped_for(s, i + 1) ? NULL : chunk + chunk_bytes(s);
    /* Pairs with the acquire in weft__slab_at. */
    weft__store_release(&s->count, s->count + (1u << s->shift), "slab.grow");
    return chunk;
}

/* Maps what begins with chunk i, unless another thread has done so meanwhile. 0: no memory. Without the lock: mapping
 * may be slow. */
static int widen(weft__slab *s, uint32_t i)
{
    const weft_env *env = s->env;
    size_t bytes = mapped_for(s, i);
    char *p = i >= s->single && env->map_as ? env->map_as(env->self, bytes, 0, WEFT_MAP_ADVISED) : NULL;
    if (!p)
        p = env->map(env->self, bytes, 0);
    if (!p)
        return 0;
    weft__spin_lock(&s->lock);
    int late = s->room || s->count >> s->shift != i;
    if (!late)
        s->room = p;
    weft__spin_unlock(&s->lock);
    if (late)
        env->unmap(env->self, p, bytes);
    return 1;
}

static weft__slab_head *list_of(weft__slab *s, char *chunk, uint32_t first)
{
    weft__slab_head *list = NULL;
    for (uint32_t i = 1u << s->shift; i-- > 0;) {
        weft__slab_head *h = (void *)(chunk + i * s->object_size);
        h->key = WEFT__KEY_BASE + first + i;
        /* A guessed id may be looked up already. */
        weft__store_relaxed(&h->word, WEFT__GEN_FIRST << WEFT__GEN_SHIFT, "slab.birth");
        h->next = list;
        list = h;
    }
    return list;
}

/* Adds a chunk and returns its records as a list. Called without the lock. */
static weft__slab_head *grow(weft__slab *s)
{
    for (;;) {
        weft__spin_lock(&s->lock);
        uint32_t first = s->count, i = first >> s->shift;
        char *chunk = i < s->max_chunks ? publish(s) : NULL;
        weft__spin_unlock(&s->lock);
        if (chunk)
            return list_of(s, chunk, first);
        if (i == s->max_chunks || !widen(s, i))
            return NULL;
    }
}

static weft__slab_head *depot_take(weft__slab *s)
{
    if (!weft__load_relaxed(&s->depot, "slab.peek"))
        return NULL;
    weft__spin_lock(&s->lock);
    weft__slab_head *chain = s->depot;
    if (chain)
        __atomic_store_n(&s->depot, chain->chain, __ATOMIC_RELAXED);
    weft__spin_unlock(&s->lock);
    return chain;
}

static void depot_give(weft__slab *s, weft__slab_head *chain)
{
    weft__spin_lock(&s->lock);
    chain->chain = s->depot;
    __atomic_store_n(&s->depot, chain, __ATOMIC_RELAXED);
    weft__spin_unlock(&s->lock);
}

uint32_t weft__slab_end(weft__slab *s, void *record, int seen)
{
    weft__slab_head *h = record;
    uint32_t word = weft__load_relaxed(&h->word, "slab.end"), next;
    do {
        uint32_t gen = (uint32_t)WEFT__GEN(word) + (seen != 0);
        if (gen > s->gen_max)
            gen = 0; /* names nothing, for ever */
        next = gen << WEFT__GEN_SHIFT | (word & 0xffff & ~WEFT__LIVE);
        /* Pairs with the CAS of whoever sets flags by id. */
    } while (!weft__cas_acq_rel(&h->word, &word, next, "slab.end"));
    return word & 0xffff & ~WEFT__LIVE;
}

/* 1 if the record may be used again. */
static int reusable(weft__slab *s, weft__slab_head *h)
{
    uint32_t word = weft__load_relaxed(&h->word, "slab.put");
    if (!WEFT__GEN(word)) {
        weft__add_relaxed(&s->retired, 1, "slab.retire");
        return 0;
    }
    weft__store_relaxed(&h->word, word & ~(uint32_t)0xffff, "slab.put");
    return 1;
}

void *weft__slab_refill(weft__slab_cache *c)
{
    weft__slab_head *h = c->spare;
    c->spare = NULL;
    if (!h)
        h = depot_take(c->slab);
    if (!h)
        h = grow(c->slab);
    if (!h)
        return NULL;
    /* Whatever its length is: to count would be to wait for each record's memory in turn.
     * A shorter one only goes back a little sooner. */
    c->count = WEFT__SLAB_CHAIN - 1;
    c->head = h->next;
    __builtin_prefetch(c->head, 1);
    return h;
}

void weft__slab_overflow(weft__slab_cache *c, void *record)
{
    if (!reusable(c->slab, record))
        return;
    if (c->spare)
        depot_give(c->slab, c->spare);
    c->spare = c->head; /* full: only a full one has no room for a record that is of use */
    weft__slab_head *h = c->head = record;
    h->next = NULL;
    c->count = 1;
}

void weft__slab_cache_flush(weft__slab_cache *c)
{
    if (c->head)
        depot_give(c->slab, c->head);
    if (c->spare)
        depot_give(c->slab, c->spare);
    c->head = c->spare = NULL;
    c->count = 0;
}

void *weft__slab_get_shared(weft__slab *s)
{
    weft__slab_head *h = depot_take(s);
    if (!h)
        h = grow(s);
    if (h && h->next)
        depot_give(s, h->next);
    return h;
}

void weft__slab_put_shared(weft__slab *s, void *record)
{
    weft__slab_head *h = record;
    if (!reusable(s, h))
        return;
    h->next = NULL;
    depot_give(s, h);
}
