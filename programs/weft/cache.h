/*
 * Small files as they were a moment ago: whole answers, head and body, that a worker keeps in memory and may give again
 * without asking the file system.
 *
 * How old may an answer be? Every entry remembers when its file was last looked at, and `valid_ns` after that it is not
 * used any more before somebody has looked again. Half-way there one caller is sent to look while the others go on
 * with what there is, so a busy file is looked at by one connection and not by all at once.
 */
#ifndef WEFT_PROGRAM_CACHE_H
#define WEFT_PROGRAM_CACHE_H

#include "http_conditions.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The longest file that is kept. */
#define CACHE_FILE_MAX ((size_t)16384)
/* The most files that are kept, however small they are. */
#define CACHE_FILES_MAX 8192

/* What tells two states of a file, or two files of one name, apart. */
struct cache_identity {
    uint64_t device, inode, size;
    int64_t mtime_ns, ctime_ns;
};

struct cache_entry {
    struct cache_entry *next;           /* in its bucket */
    struct cache_entry *newer, *older;  /* by use */
    uint64_t hash;
    struct cache_identity identity;
    int64_t looked_ns; /* the file was like this then, on the monotonic clock */
    bool looking;      /* somebody was sent to look */
    bool settled;      /* had rested long enough that a later change must show in its times */
    const char *type;
    struct http_entity entity;
    size_t path_len, head_len, body_len;
    char bytes[]; /* path, head for a keep-alive HTTP/1.1 request, body */
};

struct cache;

/* What is to be kept of a file. Everything is copied but `type`, which lives on. */
struct cache_file {
    const char *path;
    size_t path_len;
    struct cache_identity identity;
    struct http_entity entity;
    const char *type;
    const char *head; /* with any date in it */
    size_t head_len;
    const char *body;
    size_t body_len;   /* at most CACHE_FILE_MAX */
    int64_t looked_ns; /* just before the file was opened */
    int64_t wall_ns;   /* time of day at that moment */
};

struct cache_figures {
    size_t files, bytes;
};

/* cache_new makes a cache of at most `bytes` of memory; NULL without memory. One thread uses it. */
struct cache *cache_new(size_t bytes, int64_t valid_ns);
void cache_free(struct cache *c);

/*
 * cache_find returns what may be answered with now, or NULL: then the caller opens and stats the file, and says what it
 * found with cache_look, cache_forget or cache_keep. The entry is good until the next call for this cache.
 */
struct cache_entry *cache_find(struct cache *c, const char *path, size_t path_len, int64_t now_ns);

/*
 * cache_look says that the file at `path`, opened no earlier than looked_ns, is what `identity` tells. If that is what
 * is kept, it is returned, and good for another while. If not, what was kept is dropped: NULL.
 */
struct cache_entry *cache_look(struct cache *c, const char *path, size_t path_len,
    const struct cache_identity *identity, int64_t looked_ns);

/* cache_forget says that no such file can be opened any more; harmless where nothing was kept. */
void cache_forget(struct cache *c, const char *path, size_t path_len, int64_t looked_ns);

/* cache_keep keeps a file, in place of an older state of it and of what was not used longest. */
void cache_keep(struct cache *c, const struct cache_file *file);

struct cache_figures cache_figures(const struct cache *c);

static inline const char *cache_head(const struct cache_entry *e)
{
    return e->bytes + e->path_len;
}

static inline const char *cache_body(const struct cache_entry *e)
{
    return e->bytes + e->path_len + e->head_len;
}

#endif
