/*
 * Answers from the worker's cache of small files, and what is put into it.
 */
#ifndef WEFT_PROGRAM_CACHED_H
#define WEFT_PROGRAM_CACHED_H

#include "conn.h"
#include "http_response.h"

/* A file that a connection has open. */
struct found {
    weft_id file;
    const char *path; /* below the root */
    size_t path_len;
    int64_t looked_ns, wall_ns; /* just before it was opened */
    weft_stat st;
};

/* Room in the connection's output for any answer from the cache. */
#define CACHED_ANSWER_MAX (HTTP_RESPONSE_HEAD_PLAIN + CACHE_FILE_MAX)

/*
 * cached_answer answers with what is kept of `path`, if that is good enough: 1. Or 0: there is nothing that may be
 * answered with, or ranges are wanted, which come from the file itself. Or the error that ends the connection. It
 * waits for nothing where the connection's output has room for CACHED_ANSWER_MAX.
 */
int cached_answer(struct conn *c, const char *path, size_t path_len);

/* cached_look answers with what is kept of a file that has just been opened, if it
 * is still the same: 1. Or as above. */
int cached_look(struct conn *c, const struct found *f);

/* cached_forget drops what is kept of a path that could not be opened as a file. */
void cached_forget(struct conn *c, const struct found *f);

/* cached_keep keeps a file whose whole body has just been read, of a size that fits. */
void cached_keep(struct conn *c, const struct found *f, const char *type, const struct http_entity *entity,
    const char *body);

#endif
