/*
 * Request targets to paths. Pure; any thread may call it.
 *
 * Decoding comes before the segments are looked at, once: "%2e%2e" is a parent like any other, and "%252e" is a file
 * name with a percent sign. A slash that is encoded is no separator and no file name can hold one, so it is refused.
 * This is the first of two fences: whatever comes out is opened beneath the root by the kernel's own rules, which is
 * what stops symbolic links.
 */
#include "http_path.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Skips "http://authority" of the absolute form; the path may then be empty. */
static int skip_authority(const char **target, size_t *n)
{
    size_t scheme = *n >= 7 && strncasecmp(*target, "http://", 7) == 0 ? 7
        : *n >= 8 && strncasecmp(*target, "https://", 8) == 0          ? 8
                                                                       : 0;
    if (scheme == 0)
        return -EINVAL;
    const char *at = *target + scheme, *end = *target + *n;
    while (at < end && *at != '/' && *at != '?' && *at != '#')
        at++;
    *n = (size_t)(end - at);
    *target = at;
    return 0;
}

/* Ends a segment that began at `start`: drops it if it is empty or '.', and its parent too if it is '..'. */
static int end_segment(char *to, size_t *len, size_t start, bool *directory)
{
    size_t n = *len - start;
    *directory = n == 0;
    if (n == 1 && to[start] == '.') {
        *len = start;
        *directory = true;
    } else if (n == 2 && to[start] == '.' && to[start + 1] == '.') {
        if (start == 0)
            return -EACCES;
        *len = start - 1; /* the slash before it */
        while (*len > 0 && to[*len - 1] != '/')
            (*len)--;
        *directory = true;
    }
    return 0;
}

/* Decodes one character of the target at *at and steps over it. */
static int decode(const char **at, const char *end, unsigned char *c)
{
    *c = (unsigned char)**at;
    if (*c == '%') {
        int high = end - *at >= 3 ? hex_value((*at)[1]) : -1;
        int low = end - *at >= 3 ? hex_value((*at)[2]) : -1;
        if (high < 0 || low < 0)
            return -EINVAL;
        *c = (unsigned char)(high * 16 + low);
        if (*c == '/')
            return -EINVAL;
        *at += 2;
    }
    (*at)++;
    return *c < 0x20 || *c == 0x7f ? -EINVAL : 0;
}

/* The common case: segments that begin with neither a dot nor a slash, nothing encoded, no query,
 * no slash at the end. */
static bool resolve_plain(const char *target, size_t n, char *to, size_t cap, struct http_path *path)
{
    if (n < 2 || n > cap || *target != '/')
        return false;
    char before = '/';
    for (size_t i = 1; i < n; i++) {
        char c = target[i];
        if (c <= ' ' || c == 0x7f || c == '%' || c == '?' || c == '#' || (before == '/' && (c == '.' || c == '/')))
            return false;
        to[i - 1] = before = c;
    }
    if (before == '/')
        return false;
    to[n - 1] = '\0';
    *path = (struct http_path){.len = n - 1};
    return true;
}

int http_path_resolve(const char *target, size_t n, char *to, size_t cap, struct http_path *path)
{
    if (n == 0 || cap == 0)
        return -EINVAL;
    if (*target != '/') {
        int r = skip_authority(&target, &n);
        if (r < 0)
            return r;
    }
    if (resolve_plain(target, n, to, cap, path))
        return 0;
    const char *end = memchr(target, '#', n);
    if (end == NULL)
        end = target + n;
    const char *query = memchr(target, '?', (size_t)(end - target));

    *path = (struct http_path){.directory = true};
    if (query != NULL) {
        path->query = query + 1;
        path->query_len = (size_t)(end - query - 1);
        end = query;
    }

    size_t len = 0, start = 0; /* `start` is where the segment being read begins */
    const char *at = target;
    if (at < end)
        at++; /* the first '/' */
    while (at < end) {
        bool slash = *at == '/';
        unsigned char c;
        int r = decode(&at, end, &c);
        if (r < 0)
            return r;
        if (!slash) {
            if (len + 1 >= cap)
                return -ENAMETOOLONG;
            to[len++] = (char)c;
            continue;
        }
        r = end_segment(to, &len, start, &path->directory);
        if (r < 0)
            return r;
        if (len > 0 && to[len - 1] != '/') {
            if (len + 1 >= cap)
                return -ENAMETOOLONG;
            to[len++] = '/';
        }
        start = len;
    }
    int r = end_segment(to, &len, start, &path->directory);
    if (r < 0)
        return r;
    if (len > 0 && to[len - 1] == '/')
        len--;
    to[len] = '\0';
    path->len = len;
    return 0;
}
