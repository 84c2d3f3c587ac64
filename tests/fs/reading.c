/* Reads of files: at once what is in memory, by an operation what is not, and nobody can tell from what came
 * which of the two it was. Who reads for ever leaves the others their turns. Some cases stand in for the
 * driver's answer to what is in memory. */
#include "net/cases.h"

#include <fcntl.h>
#include <sys/stat.h>

enum { LARGE = 700000 }; /* more than is copied at once */

static char folder[] = "/tmp/weft-reading-XXXXXX";
static weft_port_driver scripted; /* what the ports of this run are, but for what is in memory */
static int64_t answer;            /* what that says, unless it is REAL */
static unsigned asked;            /* how often */

#define REAL INT64_MIN

static const char *in_folder(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static int64_t scripted_at_once(weft_port *port, weft_op *op)
{
    if (op->code != WEFT_OP_PREAD)
        return weft_driver_named(NULL)->file_at_once(port, op);
    asked++;
    if (answer > 0)
        memset(op->io.buf, 'x', (size_t)answer);
    return answer == REAL ? weft_driver_named(NULL)->file_at_once(port, op) : answer;
}

static unsigned char byte_at(size_t i) { return (unsigned char)(i * 7 % 251); }

/* A file of so many bytes, open for reading; and a descriptor of the test's own. */
static weft_id make_with(const char *name, size_t n, int *fd)
{
    static char content[LARGE];
    weft_id f;
    for (size_t i = 0; i < n; i++)
        content[i] = (char)byte_at(i);
    *fd = open(in_folder(name), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    CHECK(*fd >= 0);
    CHECK_EQ(write(*fd, content, n), (long long)n);
    CHECK_OK(weft_open(&f, in_folder(name), WEFT_OPEN_READ, 0, SOON));
    CHECK_EQ(unlink(in_folder(name)), 0);
    return f;
}

static weft_id make(const char *name, size_t n)
{
    int fd;
    weft_id f = make_with(name, n, &fd);
    CHECK_EQ(close(fd), 0);
    return f;
}

static void check_read(weft_id f, size_t at, size_t n, size_t expected)
{
    char *buf = malloc(n + 1);
    CHECK(buf);
    memset(buf, 1, n + 1);
    CHECK_EQ(weft_pread(f, buf, n, at, SOON), (long long)expected);
    for (size_t i = 0; i < expected; i++)
        if ((unsigned char)buf[i] != byte_at(at + i))
            TEST_FAIL("byte %zu of %zu at %zu is %d", i, n, at, buf[i]);
    for (size_t i = expected; i <= n; i++)
        if (buf[i] != 1)
            TEST_FAIL("byte %zu was touched, of %zu at %zu", i, n, at);
    free(buf);
}

/* ---- what comes ---- */

static void check_everywhere(weft_id f, size_t size)
{
    const size_t at[] = {0, 1, 4095, 4096, 9999, 10000, 262144, size - 1, size, size + 1, (size_t)1 << 30};
    const size_t length[] = {0, 1, 4096, 10000, 262143, 262144, 262145, size};
    for (size_t i = 0; i < sizeof at / sizeof *at; i++)
        for (size_t k = 0; k < sizeof length / sizeof *length; k++) {
            size_t left = at[i] < size ? size - at[i] : 0;
            check_read(f, at[i], length[k], left < length[k] ? left : length[k]);
        }
}

static int the_same_wherever_it_begins(void *arg)
{
    (void)arg;
    weft_id small = make("small", 10000), large = make("large", LARGE), empty = make("empty", 0);
    check_everywhere(small, 10000);
    check_everywhere(large, LARGE);
    check_read(empty, 0, 100, 0);
    check_read(empty, 100, 100, 0);
    check_read(empty, 0, 0, 0);
    return 0;
}

static int reads_pieces(void *arg)
{
    weft_id f = *(weft_id *)arg;
    for (size_t at = 0; at < LARGE; at += 50000)
        check_read(f, at, 50000, 50000);
    return 0;
}

/* Nothing of it is in memory, or some pages are: reads are not cut short by that, whoever reads beside them. On a file
 * system that lives in memory this is one read more. */
static int what_is_not_in_memory_is_waited_for(void *arg)
{
    enum { READERS = 6 };
    (void)arg;
    weft_id fiber[READERS];
    char some[5000];
    for (int warm = 0; warm < 3; warm++) {
        int fd;
        weft_id f = make_with("cold", LARGE, &fd);
        if (warm < 2)
            CHECK(fsync(fd) == 0 && posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0);
        if (warm == 1)
            CHECK_EQ(pread(fd, some, sizeof some, 100000), (long long)sizeof some);
        for (int i = 0; i < READERS; i++)
            CHECK_OK(weft_spawn(&fiber[i], reads_pieces, &f));
        for (int i = 0; i < READERS; i++)
            CHECK_OK(weft_join(fiber[i], NULL, SOON));
        check_read(f, 0, LARGE, LARGE);
        CHECK_OK(weft_close(f));
        CHECK_EQ(close(fd), 0);
    }
    return 0;
}

/* A pipe has no offsets, whether there is something in it or not; and what is in it stays. */
static void check_pipe(void)
{
    weft_id f;
    char buf[8];
    CHECK_EQ(mkfifo(in_folder("fifo"), 0600), 0);
    int fd = open(in_folder("fifo"), O_RDWR | O_NONBLOCK | O_CLOEXEC);
    CHECK(fd >= 0);
    CHECK_OK(weft_open(&f, in_folder("fifo"), WEFT_OPEN_READ | WEFT_OPEN_WRITE, 0, SOON));
    CHECK_EQ(unlink(in_folder("fifo")), 0);
    for (int i = 0; i < 2; i++) {
        CHECK_ERR(weft_pread(f, buf, sizeof buf, 0, SOON), -ESPIPE);
        CHECK_ERR(weft_pread(f, buf, sizeof buf, 1, SOON), -ESPIPE);
        CHECK_ERR(weft_pwrite(f, "more", 4, 0, SOON), -ESPIPE);
        if (i == 0)
            CHECK_EQ(write(fd, "it", 2), 2);
    }
    CHECK_EQ(read(fd, buf, sizeof buf), 2);
    CHECK_OK(weft_close(f));
    CHECK_EQ(close(fd), 0);
}

static int what_is_no_regular_file(void *arg)
{
    (void)arg;
    weft_id f;
    char buf[64], again[64];
    CHECK_OK(weft_open(&f, folder, WEFT_OPEN_READ, 0, SOON)); /* a directory, opened as if it were a file */
    CHECK_ERR(weft_pread(f, buf, sizeof buf, 0, SOON), -EISDIR);
    CHECK_OK(weft_close(f));
    check_pipe();
    CHECK_OK(weft_open(&f, in_folder("w"), WEFT_OPEN_WRITE | WEFT_OPEN_CREATE, 0600, SOON));
    CHECK_ERR(weft_pread(f, buf, sizeof buf, 0, SOON), -EBADF); /* not opened for it */
    CHECK_OK(weft_close(f));
    CHECK_EQ(unlink(in_folder("w")), 0);
    CHECK_OK(weft_open(&f, "/dev/null", WEFT_OPEN_READ, 0, SOON));
    CHECK_EQ(weft_pread(f, buf, sizeof buf, 0, SOON), 0);
    CHECK_OK(weft_close(f));
    CHECK_OK(weft_open(&f, "/proc/self/status", WEFT_OPEN_READ, 0, SOON)); /* which nobody can tell about */
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(weft_pread(f, i ? again : buf, sizeof buf, 0, SOON), (long long)sizeof buf);
        CHECK(memcmp(buf, "Name:", 5) == 0 && (i == 0 || memcmp(buf, again, 12) == 0));
    }
    return 0;
}

static int cannot_be_expressed(void *arg)
{
    (void)arg;
    char buf[4];
    weft_id f = make("f", 4);
    CHECK_ERR(weft_pread(f, buf, 1, UINT64_MAX, SOON), -EINVAL);
    CHECK_ERR(weft_pread(f, buf, 1, (uint64_t)INT64_MAX + 1, SOON), -EINVAL);
    const ssize_t r = weft_pread(f, buf, SIZE_MAX, 4, SOON);
    CHECK(r == 0 || r == -EFAULT); /* an emulator looks at the memory before it looks at the file */
    return 0;
}

/* ---- whether it is asked for, and what is made of the answer ---- */

/* A ring of the worker's own is passed by for a read that is alone, and what else the worker has to do is not for a
 * test to say. Everywhere else it is asked for certain. */
static void check_asked(unsigned expected)
{
    weft_info info;
    CHECK_OK(weft_runtime_info(weft_current(), &info));
    if (strcmp(info.port, "uring") == 0 && info.mode != WEFT_SINGLE_IO)
        CHECK(asked <= expected);
    else
        CHECK_EQ(asked, expected);
}

static int what_has_to_wait_is_an_op(void *arg)
{
    (void)arg;
    weft_id f = make("f", 10000);
    answer = -EAGAIN;
    for (int i = 0; i < 40; i++) {
        check_read(f, 5000, 10000, 5000);
        check_asked(i < 33 ? 1 : 2); /* the next 32 do not ask again */
    }
    char buf[4];
    /* No deadline ends what cannot be taken back. */
    CHECK_EQ(weft_pread(f, buf, sizeof buf, 0, WEFT_NOW), (long long)sizeof buf);
    return 0;
}

static int what_cannot_be_told_is_asked_once(void *arg)
{
    (void)arg;
    weft_id f = make("f", 10000), twin, other;
    answer = -EOPNOTSUPP;
    for (int i = 0; i < 300; i++)
        check_read(f, 5000, 10000, 5000);
    check_asked(1);
    CHECK_OK(weft_dup(f, &twin));
    check_read(twin, 0, 10000, 10000);
    check_asked(1); /* what was found out is known of the other id as well */
    other = make("other", 10);
    check_read(other, 0, 10, 10);
    check_asked(2);
    return 0;
}

static int what_is_there_is_no_op(void *arg)
{
    (void)arg;
    char buf[8];
    weft_id f = make("f", 10000);
    answer = 5;
    for (unsigned i = 0; i < 100; i++) {
        const unsigned before = asked;
        const ssize_t n = weft_pread(f, buf, sizeof buf, 0, i % 2 ? SOON : WEFT_NOW);
        CHECK_EQ(n, asked > before ? 5 : 8);
        CHECK_EQ(buf[1], asked > before ? 'x' : byte_at(1));
        check_asked(i + 1);
    }
    CHECK(asked > 0);
    answer = 0;
    const unsigned before = asked;
    CHECK_EQ(weft_pread(f, buf, sizeof buf, 0, SOON), asked > before ? 0 : 8);
    return 0;
}

static int reads_under_a_limit(void *arg)
{
    char buf[4];
    CHECK_EQ(weft_pread(*(weft_id *)arg, buf, sizeof buf, 0, SOON), (long long)sizeof buf);
    return 0;
}

/* Who may not begin anything, or has to be counted, goes the long way. */
static int who_may_not_is_not_served(void *arg)
{
    (void)arg;
    char buf[4];
    weft_scope scope;
    weft_id f = make("f", 10000), lane;
    int result;
    answer = 4;
    CHECK_OK(weft_scope_enter(&scope, WEFT_NEVER));
    CHECK_OK(weft_scope_cancel(&scope));
    CHECK_ERR(weft_pread(f, buf, sizeof buf, 0, SOON), -ECANCELED);
    CHECK_ERR(weft_scope_leave(&scope), -ECANCELED);
    CHECK_EQ(asked, 0);
    CHECK_OK(weft_lane_spawn_with(&lane, reads_under_a_limit, &f, .copy = sizeof f, .gives = 1, .limits = &(weft_limits){.ops = 1}));
    CHECK_OK(weft_lane_join(lane, &result, SOON));
    CHECK_EQ(asked, 0);
    CHECK_ERR(weft_pread(f, buf, sizeof buf, 0, SOON), -EBADF);
    CHECK_EQ(asked, 0);
    return 0;
}

/* ---- one that reads for ever, and the others ---- */

typedef struct endless {
    weft_id file;
    int stop;
    uint64_t reads; /* atomic: another lane may look */
} endless;

static int reads_on(void *arg)
{
    endless *e = arg;
    char buf[8];
    const int64_t limit = SOON;
    int64_t r = 0;
    while (!e->stop && r >= 0) {
        r = weft_pread(e->file, buf, sizeof buf, 0, WEFT_NEVER);
        if (__atomic_add_fetch(&e->reads, 1, __ATOMIC_RELAXED) % 4096 == 0)
            CHECK(weft_now() < limit); /* nobody else gets a turn */
    }
    return (int)r;
}

/* It goes on reading while others yield. */
static void see_it_read(const endless *e)
{
    const int64_t limit = SOON;
    const uint64_t before = __atomic_load_n(&e->reads, __ATOMIC_RELAXED);
    while (__atomic_load_n(&e->reads, __ATOMIC_RELAXED) == before) {
        CHECK(weft_now() < limit);
        CHECK_OK(weft_yield());
    }
}

static int echoes(void *arg)
{
    char buf[16];
    ssize_t n;
    while ((n = weft_read(*(weft_id *)arg, buf, sizeof buf, SOON)) > 0)
        CHECK_OK(weft_write_all(*(weft_id *)arg, buf, (size_t)n, NULL, SOON));
    return (int)n;
}

/* Siblings, timers, sockets: all of them come to their turn. */
static int others_have_their_turn(void *arg)
{
    (void)arg;
    endless e = {.file = make("f", 4096)};
    weft_id reader, echo, a, b;
    char buf[8];
    int result;
    connect_pair(&a, &b);
    CHECK_OK(weft_spawn(&echo, echoes, &b));
    CHECK_OK(weft_spawn(&reader, reads_on, &e));
    for (int i = 0; i < 20; i++)
        see_it_read(&e);
    CHECK_OK(weft_sleep(weft_after(WEFT_MILLISECOND)));
    for (int i = 0; i < 20; i++) {
        CHECK_OK(weft_write_all(a, "message", 8, NULL, SOON));
        CHECK_OK(weft_read_all(a, buf, sizeof buf, NULL, SOON));
    }
    e.stop = 1;
    CHECK_OK(weft_join(reader, &result, SOON));
    CHECK_EQ(result, 8);
    CHECK_OK(weft_close(a));
    CHECK_OK(weft_join(echo, NULL, SOON));
    return 0;
}

static int cancelled_or_closed_meanwhile(void *arg)
{
    (void)arg;
    endless e = {.file = make("f", 4096)};
    weft_id reader;
    int result;
    CHECK_OK(weft_spawn(&reader, reads_on, &e));
    see_it_read(&e);
    CHECK_OK(weft_cancel(reader));
    CHECK_OK(weft_join(reader, &result, SOON));
    CHECK_EQ(result, -ECANCELED);
    CHECK_OK(weft_spawn(&reader, reads_on, &e));
    see_it_read(&e);
    CHECK_OK(weft_close(e.file));
    CHECK_OK(weft_join(reader, &result, SOON));
    CHECK(result == -EBADF || result == -ECANCELED); /* by then; in the middle of an operation */
    return 0;
}

typedef struct gift {
    weft_id file;
    endless *reader;
} gift;

static int reads_in_a_lane(void *arg)
{
    gift *g = arg;
    g->reader->file = g->file;
    return reads_on(g->reader);
}

static int a_kill_finds_it(void *arg)
{
    (void)arg;
    endless e = {.stop = 0};
    gift g = {make("f", 4096), &e};
    weft_id lane;
    weft_exit end;
    CHECK_OK(weft_lane_spawn_with(&lane, reads_in_a_lane, &g, .copy = sizeof g, .gives = 1));
    see_it_read(&e);
    CHECK_OK(weft_kill(lane));
    CHECK_OK(weft_lane_join_exit(lane, &end, SOON));
    CHECK_EQ(end.kind, WEFT_EXIT_KILLED);
    return 0;
}

static const test_case cases[] = {
    CASE(the_same_wherever_it_begins), CASE(what_is_not_in_memory_is_waited_for), CASE(what_is_no_regular_file), CASE(cannot_be_expressed)};
static const test_case asking[] = {
    CASE(what_has_to_wait_is_an_op), CASE(what_cannot_be_told_is_asked_once), CASE(what_is_there_is_no_op), CASE(who_may_not_is_not_served)};
static const test_case endlessly[] = {CASE(others_have_their_turn), CASE(cancelled_or_closed_meanwhile), CASE(a_kill_finds_it)};

#define COUNT(a) (sizeof(a) / sizeof *(a))

int main(int argc, char **argv)
{
    /* What the endless reads are told: that it is there, as on no machine always; what the system says; that they have
     * to wait. */
    static const int64_t told[] = {8, REAL, -EAGAIN};
    CHECK(mkdtemp(folder));
    int r = RUN(cases, argc, argv);
    scripted = *weft_driver_named(NULL);
    scripted.file_at_once = scripted_at_once;
    const weft_options opt = {.driver = &scripted};
    for (size_t i = 0; i < COUNT(asking); i++) {
        answer = REAL;
        asked = 0;
        run_case(&asking[i], &opt);
    }
    for (size_t i = 0; i < COUNT(endlessly); i++)
        for (size_t k = 0; k < COUNT(told); k++) {
            answer = told[k];
            run_case(&endlessly[i], &opt);
        }
    CHECK_EQ(rmdir(folder), 0);
    return r;
}
