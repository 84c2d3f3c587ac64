/* The cache of small files: how long an entry may be used, what a look at the file does to it, and its bounds. */
#include "cache.h"
#include "test.h"

#include <stdlib.h>

#define S ((int64_t)1000000000)
#define VALID (2 * S)
#define WALL (1700000000 * S)

static const char head[] = "HTTP/1.1 200 OK\r\n\r\n";

static struct cache_file file_of(const char *path, const char *body, int64_t looked_ns)
{
    struct cache_file f = {.path = path, .path_len = strlen(path), .type = "text/plain", .head = head,
        .head_len = sizeof head - 1, .body = body, .body_len = strlen(body), .looked_ns = looked_ns, .wall_ns = WALL};
    f.identity = (struct cache_identity){.device = 1, .inode = 2, .size = f.body_len, .mtime_ns = WALL - 60 * S,
        .ctime_ns = WALL - 60 * S};
    return f;
}

static struct cache_entry *find(struct cache *c, const char *path, int64_t now)
{
    return cache_find(c, path, strlen(path), now);
}

static int body_is(const struct cache_entry *e, const char *body)
{
    return e != NULL && e->body_len == strlen(body) && memcmp(cache_body(e), body, e->body_len) == 0 &&
           memcmp(cache_head(e), head, e->head_len) == 0;
}

static void an_entry_is_used_for_its_time(void)
{
    struct cache *c = cache_new(1 << 20, VALID);
    struct cache_file f = file_of("a/b.txt", "one", 10 * S);
    CHECK(c != NULL && find(c, "a/b.txt", 10 * S) == NULL);
    cache_keep(c, &f);
    CHECK(body_is(find(c, "a/b.txt", 10 * S), "one"));
    CHECK(body_is(find(c, "a/b.txt", 11 * S - 1), "one"));
    CHECK(find(c, "a/b.tx", 10 * S) == NULL && find(c, "a/b.txtt", 10 * S) == NULL && find(c, "", 10 * S) == NULL);
    CHECK(find(c, "a/b.txt", 11 * S) == NULL);                /* half-way: one is sent to look */
    CHECK(body_is(find(c, "a/b.txt", 11 * S), "one"));        /* the others go on */
    CHECK(body_is(find(c, "a/b.txt", 12 * S - 1), "one"));
    CHECK(find(c, "a/b.txt", 12 * S) == NULL);                /* and if nobody has told by then, everybody looks */
    CHECK(find(c, "a/b.txt", 12 * S) == NULL);
    cache_free(c);
}

static void a_look_that_finds_the_same_renews(void)
{
    struct cache *c = cache_new(1 << 20, VALID);
    struct cache_file f = file_of("a", "one", 10 * S);
    cache_keep(c, &f);
    CHECK(find(c, "a", 11 * S) == NULL);
    CHECK(body_is(cache_look(c, "a", 1, &f.identity, 11 * S), "one"));
    CHECK(body_is(find(c, "a", 12 * S - 1), "one"));
    CHECK(find(c, "a", 12 * S) == NULL);
    CHECK(cache_look(c, "b", 1, &f.identity, 12 * S) == NULL);
    cache_free(c);
}

static void a_look_that_finds_another_drops(void)
{
    for (int what = 0; what < 5; what++) {
        struct cache *c = cache_new(1 << 20, VALID);
        struct cache_file f = file_of("a", "one", 10 * S);
        cache_keep(c, &f);
        struct cache_identity other = f.identity;
        other.device += what == 0;
        other.inode += what == 1;
        other.size += what == 2;
        other.mtime_ns += what == 3;
        other.ctime_ns += what == 4;
        CHECK(cache_look(c, "a", 1, &other, 11 * S) == NULL);
        CHECK(find(c, "a", 10 * S) == NULL && cache_figures(c).files == 0 && cache_figures(c).bytes == 0);
        cache_free(c);
    }
}

/* Its times could hide a change that came right after: they are not believed once. */
static void a_file_that_has_just_changed_is_read_again(void)
{
    struct cache *c = cache_new(1 << 20, VALID);
    struct cache_file f = file_of("a", "one", 10 * S);
    f.identity.ctime_ns = WALL - S;
    cache_keep(c, &f);
    CHECK(body_is(find(c, "a", 10 * S), "one"));
    CHECK(cache_look(c, "a", 1, &f.identity, 11 * S) == NULL && cache_figures(c).files == 0);
    f.wall_ns += 10 * S;
    f.looked_ns = 11 * S;
    cache_keep(c, &f);
    CHECK(body_is(cache_look(c, "a", 1, &f.identity, 12 * S), "one"));
    cache_free(c);
}

/* Two looked; who began first is told last. */
static void an_older_look_changes_nothing(void)
{
    struct cache *c = cache_new(1 << 20, VALID);
    struct cache_file old = file_of("a", "old", 10 * S), new = file_of("a", "newer", 11 * S);
    new.identity.inode = 3;
    cache_keep(c, &new);
    CHECK(cache_look(c, "a", 1, &old.identity, 10 * S) == NULL);
    cache_forget(c, "a", 1, 10 * S);
    cache_keep(c, &old);
    CHECK(body_is(find(c, "a", 11 * S), "newer"));
    cache_forget(c, "a", 1, 11 * S);
    CHECK(find(c, "a", 11 * S) == NULL);
    cache_forget(c, "a", 1, 12 * S);
    cache_keep(c, &new);
    cache_keep(c, &(struct cache_file){.path = "a", .path_len = 1, .head = head, .body = "", .looked_ns = 12 * S});
    CHECK_EQ(cache_figures(c).files, 1);
    CHECK_EQ(find(c, "a", 12 * S)->body_len, 0);
    cache_free(c);
}

static void what_was_not_used_longest_goes(void)
{
    static char body[CACHE_FILE_MAX + 1];
    memset(body, 'x', sizeof body - 1);
    const size_t limit = (size_t)1 << 20;
    struct cache *c = cache_new(limit, VALID);
    struct cache_file f = file_of("first", body, 10 * S);
    cache_keep(c, &f);
    char name[32];
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof name, "%d", i);
        f.path = name;
        f.path_len = strlen(name);
        cache_keep(c, &f);
        CHECK(cache_figures(c).bytes <= limit);
        CHECK(find(c, "first", 10 * S) != NULL);
    }
    CHECK(find(c, "199", 10 * S) != NULL && find(c, "150", 10 * S) != NULL && find(c, "1", 10 * S) == NULL);
    CHECK(cache_figures(c).files >= 60 && cache_figures(c).files <= 64);

    f.body_len = CACHE_FILE_MAX + 1;
    f.path = "long";
    f.path_len = 4;
    cache_keep(c, &f);
    CHECK(find(c, "long", 10 * S) == NULL && cache_figures(c).files >= 60);
    cache_free(c);

    c = cache_new(1000, VALID);
    f = file_of("a", body, 10 * S);
    cache_keep(c, &f);
    CHECK(cache_figures(c).files == 0 && cache_figures(c).bytes == 0);
    cache_free(c);
    cache_free(NULL);
}

static void there_are_not_more_files_than_may_be(void)
{
    struct cache *c = cache_new((size_t)1 << 30, VALID);
    char name[32];
    for (int i = 0; i < CACHE_FILES_MAX + 100; i++) {
        snprintf(name, sizeof name, "some/name-%d", i);
        struct cache_file f = file_of(name, name, 10 * S);
        cache_keep(c, &f);
    }
    CHECK_EQ(cache_figures(c).files, CACHE_FILES_MAX);
    for (int i = 0; i < CACHE_FILES_MAX + 100; i++) {
        snprintf(name, sizeof name, "some/name-%d", i);
        struct cache_entry *e = find(c, name, 10 * S);
        CHECK(i < 100 ? e == NULL : body_is(e, name));
    }
    cache_free(c);
}

int main(void)
{
    an_entry_is_used_for_its_time();
    a_look_that_finds_the_same_renews();
    a_look_that_finds_another_drops();
    a_file_that_has_just_changed_is_read_again();
    an_older_look_changes_nothing();
    what_was_not_used_longest_goes();
    there_are_not_more_files_than_may_be();
    return 0;
}
