/* Message blocks and the pools of everything that mail is made of. Any thread: a worker uses its own shelves without
 * a lock, and trades chains of blocks with the depot of the runtime; other threads go to the depot. So blocks taken
 * here and freed there do not make the pools grow (DESIGN rule 8). Blocks above the largest class are mapped one by
 * one. */
#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "lane/realm.h"
#include "lane/share.h"
#include "lane/vat.h"

enum { SMALLEST = 128, CHAIN_BLOCKS = 32, CHAIN_BYTES = 32 << 10, CHUNK_BYTES = 64 << 10, DRAIN_STEP = 256 << 10, DRAIN_COST = 20 };

typedef struct weft__msg_chunk {
    struct weft__msg_chunk *next;
    size_t bytes;
} weft__msg_chunk;

_Static_assert(sizeof(weft__msg_chunk) <= SMALLEST, "a chunk's head takes the place of one small block");
_Static_assert(sizeof(weft__msg) <= SMALLEST, "the smallest block has room for its header");

weft__mail_realm *weft__mail_of(weft_runtime *rt) { return &weft__lanes_of(rt)->mail; }

weft__mail_pools *weft__mail_pools_of(weft_runtime *rt)
{
    weft__lane_pools *here = weft__lane_pools_here(rt);
    return here ? &here->mail : NULL;
}

/* ---- set-up ---- */

int weft__mail_open(weft__mail_realm *realm, const weft_env *env, unsigned shift, unsigned chunks)
{
    int r = weft__slab_init(&realm->boxes, env, sizeof(weft__mailbox), shift, chunks, WEFT__GEN_LIVES);
    if (r < 0)
        return r;
    r = weft__slab_init(&realm->aliases, env, sizeof(weft__alias), shift, chunks, WEFT__GEN_LIVES);
    if (r < 0)
        goto boxes;
    r = weft__slab_init(&realm->senders, env, sizeof(weft__sender), shift, chunks, WEFT__GEN_LIVES);
    if (r < 0)
        goto aliases;
    return 0;
aliases:
    weft__slab_fini(&realm->aliases);
boxes:
    weft__slab_fini(&realm->boxes);
    return r;
}

void weft__mail_close(weft__mail_realm *realm, const weft_env *env)
{
    /* Threads that waited for room in a mailbox have been told that its lane is gone; they only have to return. */
    while (weft__load_seq(&realm->sleeping, "mail.close"))
        if (env->relax)
            env->relax(env->self);
    while (realm->chunks) {
        weft__msg_chunk *c = realm->chunks;
        realm->chunks = c->next;
        env->unmap(env->self, c, c->bytes);
    }
    weft__slab_fini(&realm->senders);
    weft__slab_fini(&realm->aliases);
    weft__slab_fini(&realm->boxes);
}

void weft__mail_enter(weft__mail_pools *pools, weft__mail_realm *realm)
{
    pools->boxes.slab = &realm->boxes;
    pools->aliases.slab = &realm->aliases;
    pools->senders.slab = &realm->senders;
}

/* ---- chains ---- */

static size_t class_bytes(unsigned class) { return (size_t)SMALLEST << class; }

static unsigned chain_length(unsigned class)
{
    size_t n = CHAIN_BYTES / class_bytes(class);
    return n > CHAIN_BLOCKS ? CHAIN_BLOCKS : n ? (unsigned)n : 1;
}

static void depot_give(weft__mail_realm *realm, unsigned class, weft__link *chain)
{
    weft__spin_lock(&realm->lock);
    chain->prev = realm->depot[class];
    __atomic_store_n(&realm->depot[class], chain, __ATOMIC_RELAXED);
    weft__spin_unlock(&realm->lock);
}

static weft__link *depot_take(weft__mail_realm *realm, unsigned class)
{
    if (!weft__load_relaxed(&realm->depot[class], "mail.peek"))
        return NULL;
    weft__spin_lock(&realm->lock);
    weft__link *chain = realm->depot[class];
    if (chain)
        __atomic_store_n(&realm->depot[class], chain->prev, __ATOMIC_RELAXED);
    weft__spin_unlock(&realm->lock);
    return chain;
}

/* Cuts a new chunk into blocks: a chain of them, longer than others. */
static weft__link *grow(weft_runtime *rt, unsigned class)
{
    const weft_env *env = rt->env;
    weft__mail_realm *realm = weft__mail_of(rt);
    size_t each = class_bytes(class), page = env->page_size, want = rt->opt.memory ? page : CHUNK_BYTES;
    if (want < SMALLEST + each)
        want = SMALLEST + each;
    want = (want + page - 1) / page * page;
    char *p = env->map(env->self, want, 0);
    if (!p)
        return NULL;
    weft__msg_chunk *chunk = (void *)p;
    chunk->bytes = want;
    weft__spin_lock(&realm->lock);
    chunk->next = realm->chunks;
    realm->chunks = chunk;
    weft__spin_unlock(&realm->lock);
    weft__link *list = NULL;
    for (size_t at = SMALLEST; at + each <= want; at += each) {
        weft__msg *m = (void *)(p + at);
        m->link.next = list;
        list = &m->link;
    }
    return list;
}

void weft__mail_leave(weft__mail_pools *pools, weft__mail_realm *realm)
{
    for (unsigned i = 0; i < WEFT__MSG_CLASSES; i++) {
        weft__msg_shelf *s = &pools->shelves[i];
        if (s->head)
            depot_give(realm, i, s->head);
        if (s->spare)
            depot_give(realm, i, s->spare);
    }
    weft__slab_cache_flush(&pools->boxes);
    weft__slab_cache_flush(&pools->aliases);
    weft__slab_cache_flush(&pools->senders);
}

static weft__link *shelf_take(weft_runtime *rt, weft__msg_shelf *s, unsigned class)
{
    weft__link *l = s->head;
    if (!l) {
        l = s->spare;
        s->spare = NULL;
        if (!l)
            l = depot_take(weft__mail_of(rt), class);
        if (!l)
            l = grow(rt, class);
        if (!l)
            return NULL;
        s->count = 0;
        for (weft__link *i = l; i; i = i->next)
            s->count++;
    }
    s->head = l->next;
    s->count--;
    return l;
}

static void shelf_give(weft__mail_realm *realm, weft__msg_shelf *s, unsigned class, weft__link *l)
{
    if (s->count >= chain_length(class)) {
        if (s->spare)
            depot_give(realm, class, s->spare);
        s->spare = s->head;
        s->head = NULL;
        s->count = 0;
    }
    l->next = s->head;
    s->head = l;
    s->count++;
}

static weft__link *take_shared(weft_runtime *rt, unsigned class)
{
    weft__mail_realm *realm = weft__mail_of(rt);
    weft__link *l = depot_take(realm, class);
    if (!l)
        l = grow(rt, class);
    if (l && l->next)
        depot_give(realm, class, l->next);
    return l;
}

/* ---- blocks ---- */

static weft__msg *take_large(weft_runtime *rt, size_t size)
{
    size_t page = rt->env->page_size;
    if (size > SIZE_MAX - sizeof(weft__msg) - page)
        return NULL;
    size_t bytes = (sizeof(weft__msg) + size + page - 1) / page * page;
    weft__msg *m = rt->env->map(rt->env->self, bytes, 0);
    if (m)
        m->bytes = bytes;
    return m;
}

static weft__msg *take_small(weft_runtime *rt, unsigned class)
{
    weft__mail_pools *pools = weft__mail_pools_of(rt);
    weft__link *l = pools ? shelf_take(rt, &pools->shelves[class], class) : take_shared(rt, class);
    if (!l)
        return NULL;
    weft__msg *m = weft__container(l, weft__msg, link);
    m->bytes = class_bytes(class);
    return m;
}

weft__msg *weft__msg_take(weft_runtime *rt, size_t size)
{
    unsigned class = 0;
    while (class < WEFT__MSG_CLASSES && class_bytes(class) - sizeof(weft__msg) < size)
        class++;
    weft__msg *m = class < WEFT__MSG_CLASSES ? take_small(rt, class) : take_large(rt, size);
    if (!m)
        return NULL;
    weft__link_init(&m->link);
    m->rt = rt;
    m->holder = NULL;
    m->call = NULL;
    m->counted = 0;
    weft__store_relaxed(&m->magic, WEFT__MSG_MAGIC, "msg.take");
    m->class = (uint8_t)class;
    m->system = m->pinned = m->doomed = m->sliced = m->carries = m->draining = m->drained = 0;
    m->pub = (weft_message){.data = m->content, .size = size};
    weft__store_relaxed(&m->state, (uint8_t)WEFT__MSG_LOOSE, "msg.take");
    return m;
}

static weft__cargo *cargo_of(const weft__msg *m) { return (weft__cargo *)(void *)((char *)(uintptr_t)m + m->bytes) - 1; }

weft__held *weft__msg_cargo(const weft__msg *m) { return m->carries ? cargo_of(m)->held : NULL; }

void weft__msg_carry(weft__msg *m, weft__held *held, const weft__lane *keeper)
{
    m->carries = held != NULL;
    if (held)
        *cargo_of(m) = (weft__cargo){held, keeper};
}

int weft__msg_may_reach(const weft__msg *m, const weft__lane *to)
{
    const weft__lane *keeper = m->carries ? cargo_of(m)->keeper : NULL;
    return !keeper || weft__lane_outlives(keeper, to);
}

/* Nobody will take it out any more. */
static void lose_cargo(weft__msg *m)
{
    weft__held *h = weft__msg_cargo(m);
    m->carries = 0;
    if (h)
        h->orphaned(h, WEFT__ORPHAN_NOW);
}

void weft__msg_give(weft__msg *m)
{
    weft_runtime *rt = m->rt;
    lose_cargo(m);
    unsigned class = m->class;
    weft__store_relaxed(&m->state, (uint8_t)WEFT__MSG_FREE, "msg.give");
    if (m->sliced && !m->drained)
        weft__span_drop((weft__span *)(void *)m->content);
    if (class >= WEFT__MSG_CLASSES) {
        rt->env->unmap(rt->env->self, m, m->bytes);
        return;
    }
    weft__mail_pools *pools = weft__mail_pools_of(rt);
    if (pools) {
        shelf_give(weft__mail_of(rt), &pools->shelves[class], class, &m->link);
        return;
    }
    m->link.next = NULL;
    depot_give(weft__mail_of(rt), class, &m->link);
}

/* The memory goes first, then the mapping, which can be given back only as a whole; `counted` says how much of it is
 * gone. */
static int drain_mapping(weft__msg *m, unsigned *budget)
{
    const weft_env *env = m->rt->env;
    if (!env->discard)
        return 1;
    if (!m->draining)
        m->counted = env->page_size; /* the first page has the header */
    m->draining = 1;
    while (m->counted < m->bytes) {
        if (!*budget)
            return 0;
        size_t n = m->bytes - m->counted < DRAIN_STEP ? m->bytes - m->counted : DRAIN_STEP;
        env->discard(env->self, (char *)m + m->counted, n);
        m->counted += n;
        *budget -= *budget < DRAIN_COST ? *budget : DRAIN_COST;
    }
    return 1;
}

int weft__msg_drain(weft__msg *m, unsigned *budget)
{
    lose_cargo(m);
    if (m->sliced && !m->drained)
        m->drained = (uint8_t)weft__shared_unref_some(((weft__span *)(void *)m->content)->block, &m->draining, budget);
    else if (m->class == WEFT__MSG_CLASSES && !m->drained)
        m->drained = (uint8_t)drain_mapping(m, budget);
    else
        m->drained = 1;
    return m->drained;
}

size_t weft__msg_room(const weft__msg *m)
{
    return m->sliced ? ((const weft__span *)(const void *)m->content)->length : m->bytes - sizeof *m;
}

size_t weft__msg_weight(const weft__msg *m) { return m->bytes + (m->sliced ? weft__msg_room(m) : 0); }
