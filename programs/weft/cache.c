/*
 * The cache of small files: a hash table and a list by use. It belongs to one worker and waits for nothing, so there is
 * no lock; whoever holds an entry must not suspend. No descriptor is kept: those belong to lanes.
 *
 * Looking again means opening again, beneath the root and with the rights of the process, as without a cache: a path
 * that meanwhile leads elsewhere, through a link say, or that may no longer be read is refused as ever. Only reading
 * is saved where identity, size and both times are the same. That does not prove that the content is: times have a
 * grain, and a file may be written again within it. So the first look at a file that had changed just before
 * it was read does not believe them, and it is read once more.
 *
 * Two connections may look at once, and be told in another order than they asked. A look that began before the one that
 * an entry stands for changes nothing about it, so nobody is answered with something older than before.
 *
 * Invariants: bytes <= limit; every entry is in one bucket and in the list; newest is the last one used.
 */
#include "cache.h"

#include <stdlib.h>
#include <string.h>

#define BUCKETS 8192
/* The coarsest times that file systems keep are of two seconds. */
#define REST_NS ((int64_t)3 * 1000000000)

_Static_assert((BUCKETS & (BUCKETS - 1)) == 0, "a hash is cut by a mask");

struct cache {
    struct cache_entry *newest, *oldest;
    size_t files, bytes, limit;
    int64_t valid_ns;
    struct cache_entry *buckets[BUCKETS];
};

struct cache *cache_new(size_t bytes, int64_t valid_ns)
{
    struct cache *c = calloc(1, sizeof *c);
    if (c != NULL) {
        c->limit = bytes;
        c->valid_ns = valid_ns;
    }
    return c;
}

/* Only names of files that there are get in, so nobody can fill one bucket with names of his choice. */
static uint64_t hash_of(const char *path, size_t n)
{
    uint64_t h = n, word = 0;
    if (n < sizeof word) {
        memcpy(&word, path, n);
    } else {
        for (size_t at = 0; at + sizeof word < n; at += sizeof word) {
            memcpy(&word, path + at, sizeof word);
            h = (h ^ word) * 0x9e3779b97f4a7c15u;
            h ^= h >> 29;
        }
        memcpy(&word, path + n - sizeof word, sizeof word); /* some of it once more, rather than byte by byte */
    }
    h = (h ^ word) * 0x9e3779b97f4a7c15u;
    return h ^ h >> 32;
}

static size_t size_of(const struct cache_entry *e)
{
    return sizeof *e + e->path_len + e->head_len + e->body_len;
}

static struct cache_entry **place_of(struct cache *c, const char *path, size_t n, uint64_t hash)
{
    struct cache_entry **at = &c->buckets[hash & (BUCKETS - 1)];
    while (*at != NULL && !((*at)->hash == hash && (*at)->path_len == n && memcmp((*at)->bytes, path, n) == 0))
        at = &(*at)->next;
    return at;
}

static void unlist(struct cache *c, struct cache_entry *e)
{
    *(e->newer != NULL ? &e->newer->older : &c->newest) = e->older;
    *(e->older != NULL ? &e->older->newer : &c->oldest) = e->newer;
}

static void list_newest(struct cache *c, struct cache_entry *e)
{
    e->newer = NULL;
    e->older = c->newest;
    *(c->newest != NULL ? &c->newest->newer : &c->oldest) = e;
    c->newest = e;
}

static void drop(struct cache *c, struct cache_entry **at)
{
    struct cache_entry *e = *at;
    *at = e->next;
    unlist(c, e);
    c->files--;
    c->bytes -= size_of(e);
    free(e);
}

static void drop_oldest(struct cache *c)
{
    struct cache_entry *e = c->oldest;
    struct cache_entry **at = &c->buckets[e->hash & (BUCKETS - 1)];
    while (*at != e)
        at = &(*at)->next;
    drop(c, at);
}

void cache_free(struct cache *c)
{
    while (c != NULL && c->oldest != NULL)
        drop_oldest(c);
    free(c);
}

static struct cache_entry *used(struct cache *c, struct cache_entry *e)
{
    if (c->newest != e) {
        unlist(c, e);
        list_newest(c, e);
    }
    return e;
}

struct cache_entry *cache_find(struct cache *c, const char *path, size_t path_len, int64_t now_ns)
{
    struct cache_entry *e = *place_of(c, path, path_len, hash_of(path, path_len));
    if (e == NULL)
        return NULL;
    int64_t age = now_ns - e->looked_ns;
    if (age < c->valid_ns / 2 || (age < c->valid_ns && e->looking))
        return used(c, e);
    e->looking = true; /* should that one be killed before it tells, all look once the time is over */
    return NULL;
}

static bool same(const struct cache_identity *a, const struct cache_identity *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size && a->mtime_ns == b->mtime_ns &&
           a->ctime_ns == b->ctime_ns;
}

struct cache_entry *cache_look(struct cache *c, const char *path, size_t path_len,
    const struct cache_identity *identity, int64_t looked_ns)
{
    struct cache_entry **at = place_of(c, path, path_len, hash_of(path, path_len));
    struct cache_entry *e = *at;
    if (e == NULL || e->looked_ns > looked_ns)
        return NULL;
    if (!e->settled || !same(&e->identity, identity)) {
        drop(c, at);
        return NULL;
    }
    e->looked_ns = looked_ns;
    e->looking = false;
    return used(c, e);
}

void cache_forget(struct cache *c, const char *path, size_t path_len, int64_t looked_ns)
{
    struct cache_entry **at = place_of(c, path, path_len, hash_of(path, path_len));
    if (*at != NULL && (*at)->looked_ns <= looked_ns)
        drop(c, at);
}

static bool had_rested(const struct cache_file *f)
{
    int64_t last = f->identity.mtime_ns > f->identity.ctime_ns ? f->identity.mtime_ns : f->identity.ctime_ns;
    return last < f->wall_ns - REST_NS;
}

static struct cache_entry *make(const struct cache_file *f)
{
    struct cache_entry *e = malloc(sizeof *e + f->path_len + f->head_len + f->body_len);
    if (e == NULL)
        return NULL;
    *e = (struct cache_entry){.hash = hash_of(f->path, f->path_len), .identity = f->identity,
        .looked_ns = f->looked_ns, .settled = had_rested(f), .type = f->type, .entity = f->entity,
        .path_len = f->path_len, .head_len = f->head_len, .body_len = f->body_len};
    memcpy(e->bytes, f->path, f->path_len);
    memcpy(e->bytes + f->path_len, f->head, f->head_len);
    memcpy(e->bytes + f->path_len + f->head_len, f->body, f->body_len);
    return e;
}

void cache_keep(struct cache *c, const struct cache_file *f)
{
    struct cache_entry **at = place_of(c, f->path, f->path_len, hash_of(f->path, f->path_len));
    if (*at != NULL) {
        if ((*at)->looked_ns > f->looked_ns)
            return;
        drop(c, at);
    }
    size_t need = sizeof(struct cache_entry) + f->path_len + f->head_len + f->body_len;
    if (f->body_len > CACHE_FILE_MAX || need > c->limit)
        return;
    while (c->files == CACHE_FILES_MAX || need > c->limit - c->bytes)
        drop_oldest(c);
    struct cache_entry *e = make(f);
    if (e == NULL)
        return; /* it is served without */
    struct cache_entry **bucket = &c->buckets[e->hash & (BUCKETS - 1)];
    e->next = *bucket;
    *bucket = e;
    list_newest(c, e);
    c->files++;
    c->bytes += need;
}

struct cache_figures cache_figures(const struct cache *c)
{
    return (struct cache_figures){c->files, c->bytes};
}
