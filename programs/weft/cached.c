/*
 * The cache in use: each worker has one of its own, made with its first request for a file. Runs in the connection's
 * fiber. An entry may go whenever the fiber suspends, so room for the answer is made first; from the look-up to the
 * last byte copied nothing waits.
 */
#include "cached.h"

#include "respond.h"

#include <errno.h>

_Static_assert(CACHED_ANSWER_MAX <= BUFFER_SIZE, "an answer is put together in one buffer");

/* NULL: there is none, by option or for want of memory. */
static struct cache *cache_of(struct conn *c)
{
    const struct options *o = c->server->options;
    if (c->local->cache == NULL && o->cache_bytes > 0)
        c->local->cache = cache_new(o->cache_bytes, o->cache_valid_ns);
    return c->local->cache;
}

static bool wants_ranges(const struct conn *c)
{
    return c->rq.method == HTTP_GET && (c->rq.seen & (1u << HTTP_FIELD_RANGE));
}

/* What most are answered with: head and body in one copy, only the date is new. */
static int put_ready(struct conn *c, const struct cache_entry *e)
{
    struct out *o = &c->out;
    memcpy(o->base + o->len, cache_head(e), e->head_len + e->body_len);
    memcpy(o->base + o->len + http_head_date_at(200), local_date(c->local, c->now_ns, NULL), HTTP_DATE_LEN);
    o->len += e->head_len + e->body_len;
    respond_count(c, 200, e->body_len);
    return 1;
}

static int put(struct conn *c, const struct cache_entry *e)
{
    int status = 200;
    if (c->rq.seen & HTTP_CONDITIONAL) {
        struct http_plan plan;
        int64_t now;
        local_date(c->local, c->now_ns, &now);
        http_plan_make(&plan, &c->rq, c->in + c->at, &e->entity, now);
        status = plan.status;
    }
    bool with_body = status == 200 && c->rq.method == HTTP_GET;
    if (with_body && respond_stays_open(c) && !c->rq.version_1_0)
        return put_ready(c, e);

    struct http_reply reply = {.status = status, .entity = &e->entity};
    if (status == 200) {
        reply.type = e->type;
        reply.length = e->body_len;
    }
    int r = respond_head(c, &reply);
    if (r < 0)
        return r;
    if (with_body)
        out_bytes(&c->out, cache_body(e), e->body_len);
    respond_count(c, status, with_body ? e->body_len : 0);
    return 1;
}

int cached_answer(struct conn *c, const char *path, size_t path_len)
{
    struct cache *cache = cache_of(c);
    if (cache == NULL || wants_ranges(c))
        return 0;
    struct cache_entry *e = cache_find(cache, path, path_len, c->now_ns);
    return e != NULL ? put(c, e) : 0;
}

static struct cache_identity identity_of(const weft_stat *st)
{
    return (struct cache_identity){.device = st->device, .inode = st->inode, .size = st->size, .mtime_ns = st->mtime_ns,
        .ctime_ns = st->ctime_ns};
}

int cached_look(struct conn *c, const struct found *f)
{
    struct cache *cache = cache_of(c);
    if (cache == NULL || wants_ranges(c))
        return 0;
    if (f->st.size > CACHE_FILE_MAX) {
        cache_forget(cache, f->path, f->path_len, f->looked_ns);
        return 0;
    }
    if (conn_out(c, CACHED_ANSWER_MAX) == NULL)
        return -EIO;
    struct cache_identity identity = identity_of(&f->st);
    struct cache_entry *e = cache_look(cache, f->path, f->path_len, &identity, f->looked_ns);
    return e != NULL ? put(c, e) : 0;
}

void cached_forget(struct conn *c, const struct found *f)
{
    struct cache *cache = cache_of(c);
    if (cache != NULL)
        cache_forget(cache, f->path, f->path_len, f->looked_ns);
}

void cached_keep(struct conn *c, const struct found *f, const char *type, const struct http_entity *entity,
    const char *body)
{
    struct cache *cache = cache_of(c);
    if (cache == NULL)
        return;
    char memory[HTTP_RESPONSE_HEAD_PLAIN];
    struct out head = out_fixed(memory, sizeof memory);
    const struct http_reply reply = {.status = 200, .keep_alive = true, .type = type, .length = entity->size,
        .entity = entity};
    http_head(&head, &reply, local_date(c->local, c->now_ns, NULL));
    const struct cache_file file = {.path = f->path, .path_len = f->path_len, .identity = identity_of(&f->st),
        .entity = *entity, .type = type, .head = head.base, .head_len = head.len, .body = body,
        .body_len = (size_t)entity->size, .looked_ns = f->looked_ns, .wall_ns = f->wall_ns};
    if (!head.truncated)
        cache_keep(cache, &file);
}
