/* The smaller parts of the weft program: byte builder, content types, command lines, listings, log lines. */
#include "access_log.h"
#include "listing.h"
#include "mime.h"
#include "options.h"
#include "out.h"
#include "test.h"

#include <errno.h>
#include <fcntl.h>

static int holds(const struct out *o, const char *text)
{
    return o->len == strlen(text) && memcmp(o->base, text, o->len) == 0;
}

static int contains(const struct out *o, const char *text)
{
    return memmem(o->base, o->len, text, strlen(text)) != NULL;
}

static void a_fixed_builder_never_overruns(void)
{
    for (size_t cap = 0; cap < 24; cap++) {
        char *memory = malloc(cap > 0 ? cap : 1);
        CHECK(memory != NULL);
        struct out o = out_fixed(memory, cap);
        out_lit(&o, "abc");
        out_uint(&o, UINT64_MAX);
        CHECK_EQ(o.truncated, cap < 23);
        CHECK(o.len <= cap);
        size_t len = o.len;
        if (o.truncated) { /* once something is missing, nothing more is added after the gap */
            out_lit(&o, "");
            out_lit(&o, "x");
            CHECK_EQ(o.len, len);
        }
        free(memory);
    }
}

static void a_growing_builder_stops_at_its_limit(void)
{
    struct out o = out_growing(5000);
    for (int i = 0; i < 4999; i++)
        out_bytes(&o, "y", 1);
    CHECK(!o.truncated && o.len == 4999 && o.base[4998] == 'y');
    out_bytes(&o, "zz", 2);
    CHECK(o.truncated && o.len == 4999 && o.cap <= 5000);
    out_free(&o);
}

static void text_is_escaped(void)
{
    char memory[256];
    struct out o = out_fixed(memory, sizeof memory);
    out_html(&o, "<a href=\"x\">&'", 14);
    CHECK(holds(&o, "&lt;a href=&quot;x&quot;&gt;&amp;&#39;"));
    o = out_fixed(memory, sizeof memory);
    out_url(&o, "a/b c?d#%\"<\xc3\xa9:~", 15);
    CHECK(holds(&o, "a/b%20c%3Fd%23%25%22%3C%C3%A9%3A~"));
    o = out_fixed(memory, sizeof memory);
    out_hex(&o, 0);
    out_hex(&o, 0xdeadbeefull);
    out_uint(&o, 0);
    CHECK(holds(&o, "0deadbeef0"));
}

static void types_are_known(void)
{
    static const char *const known[][2] = {{"a.html", "text/html; charset=utf-8"}, {"x/y.CSS",
        "text/css; charset=utf-8"},
        {"a.7z", "application/x-7z-compressed"}, {"a.zst", "application/zstd"}, {"a.tar.gz", "application/gzip"},
        {"a.js", "text/javascript; charset=utf-8"}, {"a.woff2", "font/woff2"}, {"a.jpeg", "image/jpeg"},
        {"a.webmanifest", "application/manifest+json"}, {"a.c", "text/plain; charset=utf-8"}, {"a.wasm",
        "application/wasm"},
        {"x/README", "text/plain; charset=utf-8"}, {"a.png", "image/png"}, {"a.svg", "image/svg+xml"}, {"a.md",
        "text/markdown; charset=utf-8"}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(mime_type(known[i][0]), known[i][1]) != 0)
            TEST_FAIL("%s is %s", known[i][0], mime_type(known[i][0]));
    static const char *const unknown[] = {"", "a", ".html", "x/.css", "a.", "a.verylongextensionindeed", "html",
        "a.html/b"};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
        CHECK(strcmp(mime_type(unknown[i]), "application/octet-stream") == 0);
}

static int parse(struct options *o, char *error, const char *a, const char *b, const char *c)
{
    const char *const words[] = {a, b, c};
    char *argv[3];
    int argc = 0;
    while (argc < 3 && words[argc] != NULL) {
        argv[argc] = (char *)(uintptr_t)words[argc];
        argc++;
    }
    *o = (struct options){.listen = "default", .max_connections = 9};
    error[0] = '\0';
    int r = options_parse(o, true, argc, argv, error, 256);
    CHECK((r < 0) == (error[0] != '\0') && strchr(error, '\n') == NULL);
    return r;
}

static void command_lines_are_understood(void)
{
    struct options o;
    char error[256];
    CHECK_OK(parse(&o, error, NULL, NULL, NULL));
    CHECK(strcmp(o.listen, "default") == 0 && o.dir == NULL && o.max_connections == 9);
    CHECK_OK(parse(&o, error, "--idle-timeout", "1.5", "dir"));
    CHECK(o.idle_timeout_ns == 1500000000 && strcmp(o.dir, "dir") == 0);
    CHECK_OK(parse(&o, error, "--idle-timeout=0.000000001", "--mode=per-core", "--port=epoll"));
    CHECK(o.idle_timeout_ns == 1 && strcmp(o.mode, "per-core") == 0 && strcmp(o.port, "epoll") == 0);
    CHECK_OK(parse(&o, error, "--", "--help", NULL));
    CHECK(strcmp(o.dir, "--help") == 0 && !o.help);
    CHECK_OK(parse(&o, error, "--workers", "1024", "--help"));
    CHECK(o.workers == 1024 && o.help);
    CHECK_OK(parse(&o, error, "--cache", "0", "--cache-valid=0.25"));
    CHECK(o.cache_bytes == 0 && o.cache_valid_ns == 250000000);
    CHECK_OK(parse(&o, error, "--cache=3", NULL, NULL));
    CHECK_EQ(o.cache_bytes, 3 << 20);
    CHECK_OK(parse(&o, error, "-", NULL, NULL)); /* a directory may be called that */
    static const char *const bad[][3] = {{"--workers", "0"}, {"--workers", "1025"}, {"--workers", "2x"}, {"--workers",
        "-1"},
        {"--workers", ""}, {"--workers", "99999999999999999999"}, {"--mode", "Shared"}, {"--port", ""}, {"--listen",
        ""},
        {"--idle-timeout", "0"}, {"--idle-timeout", "1e3"}, {"--idle-timeout", ".5"}, {"--idle-timeout", "12345678"},
        {"--idle-timeout", "0.0000000001"}, {"--header-timeout"}, {"--cache", "-1"}, {"--cache", "00"},
        {"--cache", "1048577"}, {"--cache-valid", "0"}, {"--bogus"}, {"--bogus=1"}, {"-v"}, {"--=x"}, {"a",
        "b"}, {""}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (parse(&o, error, bad[i][0], bad[i][1], bad[i][2]) != -EINVAL)
            TEST_FAIL("%s %s was accepted", bad[i][0], bad[i][1] != NULL ? bad[i][1] : "");
    char *echo[] = {(char[]){"--log"}, (char[]){"x"}};
    CHECK_EQ(options_parse(&o, false, 2, echo, error, sizeof error), -EINVAL);
    echo[0] = (char[]){"--cache"};
    CHECK_EQ(options_parse(&o, false, 2, echo, error, sizeof error), -EINVAL);
}

static void listings_are_safe_and_sorted(void)
{
    struct listing l = {0};
    static const char *const names[] = {"b10", "b9", "\"><script>", ".hidden", "javascript:x", "a&b"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        CHECK_OK(listing_add(&l, names[i], strlen(names[i]), false));
    CHECK_OK(listing_add(&l, "zdir", 4, true));
    CHECK_EQ(l.count, 6);
    listing_sort(&l);
    CHECK(strcmp(l.entries[0].name, "zdir") == 0 && strcmp(l.entries[4].name, "b10") == 0);
    CHECK(strcmp(l.entries[3].name, "b9") == 0);
    l.entries[3].has_details = true;
    l.entries[3].size = 1536;
    l.entries[3].modified_s = 784111777;

    struct out o = out_growing(100000);
    listing_render(&l, "x<y", &o);
    CHECK(!o.truncated);
    CHECK(!contains(&o, "<script>") && !contains(&o, "hidden") && !contains(&o, "x<y"));
    CHECK(contains(&o, "href=\"./javascript%3Ax\"") && contains(&o, "href=\"./%22%3E%3Cscript%3E\""));
    CHECK(contains(&o, "href=\"./zdir/\"") && contains(&o, "href=\"../\"") && contains(&o, "x&lt;y"));
    CHECK(contains(&o, "1.5 KiB") && contains(&o, "1994-11-06 08:49"));
    out_free(&o);
    listing_free(&l);

    for (int i = 0; i < LISTING_MAX + 5; i++)
        CHECK_OK(listing_add(&l, "n", 1, false));
    CHECK(l.cut && l.count == LISTING_MAX);
    listing_free(&l);
    CHECK(l.entries == NULL && l.count == 0);
}

static void log_lines_stay_lines(void)
{
    static const char text[] = "GET /a\"b%0a HTTP/1.1\r\nHost: x\r\nUser-Agent: a\"b\\\t\xff\r\n\r\n";
    char memory[512];
    struct http_request rq;
    http_request_init(&rq);
    CHECK_EQ(http_request_feed(&rq, text, sizeof text - 1), HTTP_EVENT_DONE);
    struct out o = out_fixed(memory, sizeof memory);
    access_log_format(&o, "::1", 784111777, &rq, text, 200, 12);
    CHECK(holds(&o, "::1 - - [06/Nov/1994:08:49:37 +0000] \"GET /a\\x22b%0a HTTP/1.1\" 200 12 \"-\" "
                    "\"a\\x22b\\x5c\\x09\\xff\"\n"));
    http_request_init(&rq);
    CHECK_EQ(http_request_feed(&rq, "\x16\x03", 2), HTTP_EVENT_BAD);
    o = out_fixed(memory, sizeof memory);
    access_log_format(&o, "::1", 784111777, &rq, "\x16\x03", 400, 0);
    CHECK(holds(&o, "::1 - - [06/Nov/1994:08:49:37 +0000] \"-\" 400 0 \"-\" \"-\"\n"));
}

/* Everything put before the end is written, in order, or counted as dropped. */
static void the_log_is_written_out(void)
{
    char name[] = "weft-log-XXXXXX";
    int fd = mkstemp(name);
    CHECK(fd >= 0);
    CHECK(!access_log_on());
    CHECK_OK(access_log_open(name));
    CHECK(access_log_on());
    enum { LINES = 50000 };
    char line[32];
    for (int i = 0; i < LINES; i++)
        access_log_put(line, (size_t)snprintf(line, sizeof line, "%d\n", i));
    access_log_close();
    CHECK(!access_log_on());

    FILE *f = fdopen(fd, "r");
    CHECK(f != NULL);
    char read[128];
    long seen = 0, last = -1, dropped = 0;
    while (fgets(read, sizeof read, f) != NULL) {
        if (read[0] == '#') {
            dropped += strtol(read + 2, NULL, 10);
            continue;
        }
        long number = strtol(read, NULL, 10);
        CHECK(number > last);
        last = number;
        seen++;
    }
    CHECK_EQ(seen + dropped, LINES);
    fclose(f);
    unlink(name);
    CHECK_EQ(access_log_open("/nowhere/log"), -ENOENT);
    CHECK_OK(access_log_open("none"));
    CHECK(!access_log_on());
}

int main(void)
{
    a_fixed_builder_never_overruns();
    a_growing_builder_stops_at_its_limit();
    text_is_escaped();
    types_are_known();
    command_lines_are_understood();
    listings_are_safe_and_sorted();
    log_lines_stay_lines();
    the_log_is_written_out();
    return 0;
}
