/* Request targets become paths that stay below the root, or errors; never anything else. */
#include "http_path.h"
#include "test.h"

#include <errno.h>

static int resolve(const char *target, char *to, size_t cap, struct http_path *p)
{
    size_t n = strlen(target);
    char *exact = malloc(n > 0 ? n : 1); /* no terminating zero: reading one too far is seen */
    CHECK(exact != NULL);
    memcpy(exact, target, n);
    int r = http_path_resolve(exact, n, to, cap, p);
    if (r == 0 && p->query != NULL) /* the query points into the target, which goes away */
        p->query = target + (p->query - exact);
    free(exact);
    return r;
}

static void gives(const char *target, const char *expected, int directory)
{
    char path[256];
    struct http_path p;
    int r = resolve(target, path, sizeof path, &p);
    if (r != 0 || strcmp(path, expected) != 0 || p.directory != (directory != 0) || p.len != strlen(expected))
        TEST_FAIL("%s: %d '%s' directory %d", target, r, r == 0 ? path : "", p.directory);
}

static void fails(const char *target, int error)
{
    char path[256];
    struct http_path p;
    int r = resolve(target, path, sizeof path, &p);
    if (r != error)
        TEST_FAIL("%s: %d, not %d", target, r, error);
}

static void query_is_found(void)
{
    char path[64];
    struct http_path p;
    CHECK_OK(resolve("/a?b=c?d#e?f", path, sizeof path, &p));
    CHECK(strcmp(path, "a") == 0 && p.query_len == 5 && memcmp(p.query, "b=c?d", 5) == 0);
    CHECK_OK(resolve("/a#b?c", path, sizeof path, &p));
    CHECK(p.query == NULL);
    CHECK_OK(resolve("/?", path, sizeof path, &p));
    CHECK(p.query != NULL && p.query_len == 0 && p.directory);
}

static void never_overruns_its_memory(void)
{
    for (size_t cap = 1; cap < 12; cap++) {
        char *path = malloc(cap);
        struct http_path p;
        CHECK(path != NULL);
        int r = resolve("/abc/def/g", path, cap, &p);
        CHECK_EQ(r, cap > 9 ? 0 : -ENAMETOOLONG);
        free(path);
    }
}

int main(void)
{
    gives("/", "", 1);
    gives("/a", "a", 0);
    gives("/a/", "a", 1);
    gives("/a/b.html", "a/b.html", 0);
    gives("//a///b", "a/b", 0);
    gives("/./a/./b/.", "a/b", 1);
    gives("/a/..", "", 1);
    gives("/a/../b", "b", 0);
    gives("/a/b/../../c/d/..", "c", 1);
    gives("/...", "...", 0);
    gives("/..a/.b/c..", "..a/.b/c..", 0);
    gives("/%61%2E%2e", "a..", 0);
    gives("/%252e%252e/x", "%2e%2e/x", 0);
    gives("/a%20b%3f", "a b?", 0);
    gives("/a\\..\\b", "a\\..\\b", 0);
    gives("/%ff%C3%a9", "\xff\xc3\xa9", 0);
    gives("/a;b=c&d", "a;b=c&d", 0);
    gives("http://host/a/b", "a/b", 0);
    gives("HTTPS://host:1/a?q", "a", 0);
    gives("http://host", "", 1);
    gives("http://host?q", "", 1);
    gives("/a/%2e/b/%2e%2e/c", "a/c", 0);

    fails("", -EINVAL);
    fails("a", -EINVAL);
    fails("*", -EINVAL);
    fails("host:80", -EINVAL);
    fails("ftp://host/a", -EINVAL);
    fails("/%", -EINVAL);
    fails("/%2", -EINVAL);
    fails("/%g0", -EINVAL);
    fails("/%00", -EINVAL);
    fails("/a%2fb", -EINVAL);
    fails("/a%2Fb", -EINVAL);
    fails("/a%0d%0ab", -EINVAL);
    fails("/a%7f", -EINVAL);
    fails("/..", -EACCES);
    fails("/../", -EACCES);
    fails("/../a", -EACCES);
    fails("/a/../../b", -EACCES);
    fails("/%2e%2E/b", -EACCES);
    fails("/.%2e/b", -EACCES);
    fails("//../b", -EACCES);
    fails("/./../b", -EACCES);
    fails("http://h/../b", -EACCES);

    query_is_found();
    never_overruns_its_memory();
    return 0;
}
