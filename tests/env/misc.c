/* The small slots: clocks go forward, entropy is not all the same, the log is one write a line, addresses have names, a
 * table's gaps are named one after another, and a panic says where before it aborts. */
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/check.h"
#include "env/default.h"
#include "env/posix.h"
#include "test.h"

static const weft_env *e;

static void clocks(void)
{
    int64_t last = e->now(NULL);

    CHECK(last > 0);
    for (int i = 0; i < 1000; i++) {
        const int64_t t = e->now(NULL);

        CHECK(t >= last);
        last = t;
    }
    CHECK(e->wall(NULL) > 1600000000 * WEFT_SECOND);
}

static void entropy(void)
{
    unsigned char a[300] = {0}, b[300] = {0};
    unsigned zeros = 0;

    e->entropy(NULL, a, sizeof a);
    e->entropy(NULL, b, sizeof b);
    CHECK(memcmp(a, b, sizeof a) != 0);
    for (size_t i = 0; i < sizeof a; i++)
        zeros += a[i] == 0;
    CHECK(zeros < 40);
    e->entropy(NULL, a, 0);
}

/* Runs f in a child whose standard error we read; returns its wait status. */
static int in_child(void (*f)(void), char *out, size_t size)
{
    int ends[2], status;
    size_t have = 0;
    ssize_t n;
    pid_t pid;

    CHECK_EQ(pipe(ends), 0);
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        f();
        _exit(0);
    }
    close(ends[1]);
    while ((n = read(ends[0], out + have, size - 1 - have)) > 0)
        have += (size_t)n;
    close(ends[0]);
    out[have] = 0;
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    return status;
}

static void say(void) { e->log(NULL, WEFT_LOG_WARNING, "something to know, and more", 17); }
static void whisper(void) { e->log(NULL, WEFT_LOG_DEBUG, "x", 1); }
static void fail(void) { WEFT_ASSERT(e == NULL); }
static void fail_text(void) { weft__panic_text("two\nlines", 9); }

static void texts(void)
{
    char out[512];

    CHECK_EQ(in_child(say, out, sizeof out), 0);
    CHECK(strcmp(out, "weft: something to know\n") == 0);
    CHECK_EQ(in_child(whisper, out, sizeof out), 0);
    CHECK(strcmp(out, "") == 0);
    CHECK_EQ(WTERMSIG(in_child(fail, out, sizeof out)), SIGABRT);
    CHECK(strstr(out, "misc.c:") && strstr(out, "e == NULL"));
    CHECK_EQ(WTERMSIG(in_child(fail_text, out, sizeof out)), SIGABRT);
    CHECK(strncmp(out, "two\nlines\n", 10) == 0);
}

static void symbols(void)
{
    char text[256];
    size_t n = e->symbol(NULL, (uintptr_t)clocks + 1, text, sizeof text);

    CHECK_EQ(n, strlen(text));
    CHECK(strncmp(text, "clocks+0x1 (env-misc", 20) == 0); /* static: from the file's own table */
    n = e->symbol(NULL, (uintptr_t)&strtol, text, sizeof text);
    CHECK(strstr(text, "strto"));
    n = e->symbol(NULL, 16, text, sizeof text);
    CHECK(strcmp(text, "0x10") == 0);
    n = e->symbol(NULL, (uintptr_t)clocks, text, 5);
    CHECK_EQ(n, 4);
    CHECK(strcmp(text, "cloc") == 0);
    CHECK_EQ(e->symbol(NULL, (uintptr_t)clocks, text, 0), 0);
}

static void gaps(void)
{
    weft_env t = *e;

    CHECK(weft_env_missing(&t, NULL) == NULL);
    t.entropy = NULL;
    t.unpark = NULL;
    t.page_size = 0;
    t.thread_start = NULL;
    t.resident = NULL;
    CHECK(strcmp(weft_env_missing(&t, NULL), "entropy") == 0);
    CHECK(strcmp(weft_env_missing(&t, "entropy"), "page_size") == 0);
    CHECK(strcmp(weft_env_missing(&t, "page_size"), "unpark") == 0);
    CHECK(weft_env_missing(&t, "unpark") == NULL);
}

static const weft_env other;
static const weft_env *stand_in(void) { return &other; }
static const struct weft_port_driver *no_driver(void) { return NULL; }

static void defaults(void)
{
    static const weft__defaults source = {stand_in, no_driver};

    CHECK(weft__default_env() == e);
    CHECK(weft__default_driver() == NULL);
    weft__defaults_install(&source);
    CHECK(weft__default_env() == &other);
    weft__defaults_install(NULL);
    CHECK(weft__default_env() == e);
}

int main(void)
{
    e = weft_env_posix();
    CHECK(e == weft_env_posix());
    clocks();
    entropy();
    texts();
    symbols();
    gaps();
    defaults();
    return 0;
}
