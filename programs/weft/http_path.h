/*
 * From the target of a request to a path below the root that is served.
 */
#ifndef WEFT_PROGRAM_HTTP_PATH_H
#define WEFT_PROGRAM_HTTP_PATH_H

#include <stdbool.h>
#include <stddef.h>

struct http_path {
    const char *query; /* after '?', inside the target; NULL if there is none */
    size_t query_len;
    size_t len;     /* of the decoded path, without the final zero */
    bool directory; /* the target ended in '/', or in a '.' or '..' segment */
};

/*
 * http_path_resolve decodes a request target into a relative path without empty, '.' or '..' segments, written
 * zero-terminated to `to` ("" stands for the root). Targets may be in origin form or absolute form.
 *
 * Returns 0 and fills *path; -EINVAL for a bad escape, an encoded slash, a control character or another form of
 * target; -EACCES if it climbs above the root; -ENAMETOOLONG if it does not fit into cap bytes. Nothing that comes
 * out contains a zero byte, starts with '/' or names a parent.
 */
int http_path_resolve(const char *target, size_t n, char *to, size_t cap, struct http_path *path);

#endif
