/* Memory of channels that grow; see store.h. */
#include "sync/store.h"

#include <errno.h>

#include "env/default.h"

enum { CHUNK = 16 << 10 };

static size_t in_pages(const weft_env *env, size_t bytes)
{
    return (bytes + env->page_size - 1) / env->page_size * env->page_size;
}

int weft__store_open(weft__store **out, size_t item_size, size_t limit, const weft__node_kind *tend, void *object)
{
    weft__worker *w = weft__worker_self();
    const weft_env *env = w ? w->rt->env : weft__default_env();
    if (item_size > SIZE_MAX / 4)
        return -EINVAL;
    size_t bytes = CHUNK;
    if (limit <= (CHUNK - WEFT__CHUNK_HEAD) / item_size)
        bytes = WEFT__CHUNK_HEAD + limit * item_size;
    else if (item_size > CHUNK - WEFT__CHUNK_HEAD)
        bytes = WEFT__CHUNK_HEAD + item_size;
    bytes = in_pages(env, bytes);
    weft__store *s = env->map(env->self, bytes, 0);
    if (!s)
        return -ENOMEM;
    s->env = env;
    s->head = s->tail = &s->own;
    s->size = item_size;
    s->bytes = bytes;
    s->per = (bytes - WEFT__CHUNK_HEAD) / item_size;
    s->most = limit / s->per + 2;
    s->used = s->peak = s->before = s->keep = 1;
    s->tend.kind = tend;
    s->tend.object = object;
    *out = s;
    return 0;
}

weft__chunk *weft__store_map(const weft__store *s) { return s->env->map(s->env->self, s->bytes, 0); }

void weft__store_unmap(const weft__store *s, weft__chunk *c)
{
    for (weft__chunk *next; c; c = next) {
        next = c->next;
        s->env->unmap(s->env->self, c, s->bytes);
    }
}

/* What is kept must not be lost: the store's own chunk goes to the end of the list, and is cut off. */
static void unmap_others(const weft__store *s, weft__chunk *c)
{
    for (weft__chunk *next; c; c = next) {
        next = c->next;
        if (c != &s->own)
            s->env->unmap(s->env->self, c, s->bytes);
    }
}

void weft__store_close(weft__store *s)
{
    const weft_env *env = s->env;
    size_t bytes = s->bytes;
    s->tail->next = NULL;
    unmap_others(s, s->head);
    unmap_others(s, s->spare);
    weft__store_unmap(s, s->going);
    env->unmap(env->self, s, bytes);
}

/* ---- under the lock ---- */

static void push(weft__chunk **list, weft__chunk *c)
{
    c->next = *list;
    *list = c;
}

void weft__store_add(weft__store *s, weft__chunk *c)
{
    push(&s->spare, c);
    s->spares++;
    s->wants = 0;
}

weft__chunk *weft__store_going(weft__store *s)
{
    weft__chunk *c = s->going;
    s->going = NULL;
    return c;
}

static weft__chunk *take_spare(weft__store *s)
{
    weft__chunk *c = s->spare;
    if (!c)
        return NULL;
    s->spare = c->next;
    s->spares--;
    s->used++;
    if (s->used > s->peak)
        s->peak = s->used;
    return c;
}

int weft__store_extend(weft__store *s)
{
    weft__chunk *c = take_spare(s);
    if (!c)
        return 0;
    s->tail->next = c;
    s->tail = c;
    s->back = 0;
    return 1;
}

void weft__store_want(weft__store *s)
{
    s->wants = 1;
    if (s->used + 1 > s->peak)
        s->peak = s->used + 1;
}

/* One in reserve that may go: any but the store's own. */
static weft__chunk **may_go(weft__store *s) { return s->spare == &s->own ? &s->spare->next : &s->spare; }

/* What is more than is kept, and more than `least` in reserve, goes. */
static void trim(weft__store *s, size_t least)
{
    size_t keep = s->keep > s->used + least ? s->keep : s->used + least;
    while (s->used + s->spares > keep) {
        weft__chunk **which = may_go(s), *c = *which;
        if (!c)
            return;
        *which = c->next;
        push(&s->going, c);
        s->spares--;
    }
}

void weft__store_next(weft__store *s)
{
    weft__chunk *c = s->head;
    s->head = c->next;
    s->front = 0;
    s->used--;
    push(&s->spare, c);
    s->spares++;
    trim(s, 2); /* the one that comes next, and one that is asked for before this one's next turn */
}

/* Nothing is left, so one chunk is in use: a filling is over. */
void weft__store_empty(weft__store *s)
{
    s->front = s->back = 0;
    if (s->peak == 1 && s->before == 1 && s->keep == 1)
        return;
    size_t common = s->before < s->peak ? s->before : s->peak;
    s->before = s->peak;
    s->peak = 1;
    s->keep = common > s->keep ? common : s->keep - (s->keep - common + 7) / 8;
    trim(s, 1);
}

/* A place before the oldest item, which is in from here on; NULL: there is none. */
void *weft__store_before(weft__store *s)
{
    if (s->front == 0) {
        weft__chunk *c = take_spare(s);
        if (!c)
            return NULL;
        push(&s->head, c);
        s->front = s->per;
    }
    return weft__store_at(s, s->head, --s->front);
}
