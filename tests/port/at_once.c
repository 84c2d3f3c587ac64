/* Files without waiting: what is done at once is what a thread that waits would have done, and what cannot be done at
 * once is left to it whole. */
#include "bed.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "port/at_once.h"

static char root[64];

static const char *in_root(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", root, name);
    return path;
}

static void write_file(const char *name, size_t n)
{
    FILE *f = fopen(in_root(name), "w");
    CHECK(f);
    for (size_t i = 0; i < n; i++)
        CHECK(fputc((int)(i * 7 % 251), f) >= 0);
    CHECK_EQ(fclose(f), 0);
}

static void make_root(void)
{
    strcpy(root, "/tmp/weft-at-once-XXXXXX");
    CHECK(mkdtemp(root));
    write_file("a", 10000);
    write_file("empty", 0);
    CHECK(mkdir(in_root("dir"), 0700) == 0);
    write_file("dir/b", 1);
    CHECK(symlink("a", in_root("link")) == 0);
    CHECK(symlink("loop", in_root("loop")) == 0);
    CHECK(symlink("..", in_root("out")) == 0);
    CHECK(symlink("/", in_root("absolute")) == 0);
    CHECK(mkfifo(in_root("fifo"), 0600) == 0);
}

static void remove_root(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", root);
    CHECK_EQ(system(command), 0);
}

static void open_raw(weft_desc *d, const char *name, int flags, enum weft_desc_kind kind)
{
    int fd = open(in_root(name), flags | O_CLOEXEC);
    CHECK(fd >= 0);
    weft__desc_init(d, fd, kind);
}

static void opens_alike(bed *b)
{
    static const char *const names[] = {"a", "none", "dir", "dir/b", "dir/", "a/", "a/x", "link", "loop", "out", "out/x", "absolute", "fifo", "..",
                                        "dir/../a", "../x", "/", "", "."};
    static const unsigned flags[] = {WEFT_OPEN_READ, WEFT_OPEN_READ | WEFT_OPEN_BENEATH, WEFT_OPEN_READ | WEFT_OPEN_DIRECTORY, WEFT_OPEN_WRITE,
                                     WEFT_OPEN_READ | WEFT_OPEN_NOFOLLOW | WEFT_OPEN_BENEATH};
    weft_desc dir;
    unsigned done = 0;
    (void)b;
    make_root();
    open_raw(&dir, ".", O_RDONLY | O_DIRECTORY, WEFT_DESC_DIR);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        for (size_t k = 0; k < sizeof flags / sizeof *flags; k++) {
            weft_op op;
            weft_op_open(&op, &dir, names[i], flags[k], 0);
            int64_t waited = weft__op_run_blocking(&op), r = weft__at_once(&op);
            if (r != -EAGAIN && (r < 0 || waited < 0) && r != waited)
                TEST_FAIL("%s with %#x: %lld at once, else %lld", names[i], flags[k], (long long)r, (long long)waited);
            done += r != -EAGAIN;
            if (r >= 0) {
                struct stat one, other;
                CHECK(fstat((int)r, &one) == 0 && fstat((int)waited, &other) == 0 && one.st_ino == other.st_ino);
                CHECK(fcntl((int)r, F_GETFD) & FD_CLOEXEC);
                CHECK_EQ(fcntl((int)r, F_GETFL), fcntl((int)waited, F_GETFL));
                close((int)r);
            }
            if (waited >= 0)
                close((int)waited);
        }
    CHECK(done > 0 || !weft__at_once_how(WEFT_OP_OPEN));
    weft_op op;
    weft_op_open(&op, &dir, "new", WEFT_OPEN_WRITE | WEFT_OPEN_CREATE, 0600);
    CHECK_EQ(weft__at_once(&op), -EAGAIN);
    weft_op_open(&op, &dir, "a", WEFT_OPEN_WRITE | WEFT_OPEN_TRUNCATE, 0);
    CHECK_EQ(weft__at_once(&op), -EAGAIN);
    weft_op_open(&op, &dir, NULL, WEFT_OPEN_READ, 0);
    CHECK_EQ(weft__at_once(&op), -EAGAIN);
    CHECK(access(in_root("new"), F_OK) < 0);
    close((int)dir.handle);
    remove_root();
}

static void reads_alike(bed *b)
{
    static const size_t at[] = {0, 1, 4095, 4096, 9999, 10000, 20000}, len[] = {1, 4096, 10000, 20000};
    char one[20000], other[20000];
    (void)b;
    make_root();
    weft_desc f, e;
    open_raw(&f, "a", O_RDONLY, WEFT_DESC_FILE);
    open_raw(&e, "empty", O_WRONLY, WEFT_DESC_FILE);
    weft_op op;
    for (size_t i = 0; i < sizeof at / sizeof *at; i++)
        for (size_t k = 0; k < sizeof len / sizeof *len; k++) {
            weft_op_pread(&op, &f, one, len[k], (int64_t)at[i]);
            int64_t r = weft__at_once(&op);
            weft_op_pread(&op, &f, other, len[k], (int64_t)at[i]);
            int64_t waited = weft__op_run_blocking(&op);
            CHECK(r == -EAGAIN || r == -EOPNOTSUPP || r == waited);
            CHECK(r <= 0 || memcmp(one, other, (size_t)r) == 0);
        }
    weft_op_pread(&op, &f, one, 1, -1); /* where the file stands: another read of it may move that */
    CHECK_EQ(weft__at_once(&op), -EAGAIN);
    weft_op_pread(&op, &f, one, (size_t)1 << 30, 0); /* too much to copy while others wait; not touched */
    CHECK_EQ(weft__at_once(&op), -EAGAIN);
    weft_op_pread(&op, &f, one, 1, 0);
    /* Some systems know no such reads. */
    const int64_t refusal = weft__at_once(&op) == -EOPNOTSUPP ? -EOPNOTSUPP : -EAGAIN;
    weft_op_pread(&op, &e, one, 1, 0);
    CHECK_EQ(weft__at_once(&op), refusal); /* not open for reading: who reads in earnest is told */
    weft_desc p;
    int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    weft__desc_init(&p, fd, WEFT_DESC_FILE);
    weft_op_pread(&op, &p, one, 10, 0);
    const int64_t r = weft__at_once(&op); /* made as it is read: nobody can tell, or it never waits */
    CHECK(r == 10 || r == (weft__at_once_how(WEFT_OP_PREAD) ? -EOPNOTSUPP : -EAGAIN));
    close(fd);
    close((int)f.handle);
    close((int)e.handle);
    remove_root();
}

static void what_is_in_memory_is_known(bed *b)
{
    char byte;
    (void)b;
    make_root();
    weft_desc f, e;
    open_raw(&f, "a", O_RDONLY, WEFT_DESC_FILE);
    open_raw(&e, "a", O_WRONLY, WEFT_DESC_FILE);
    weft_op op;
    weft_op_pread(&op, &f, &byte, 1, 9999);
    int known = weft__at_once(&op) == 1; /* read by hand a moment ago: only a system that tells nothing says no */
    CHECK_EQ(weft__at_once_has((int)f.handle, 0), known);
    CHECK_EQ(weft__at_once_has((int)f.handle, 9999), known);
    CHECK_EQ(weft__at_once_has((int)f.handle, 10000), 0);
    CHECK_EQ(weft__at_once_has((int)f.handle, UINT64_MAX), 0);
    CHECK_EQ(weft__at_once_has((int)e.handle, 0), 0);
    CHECK_EQ(weft__at_once_has(-1, 0), 0);
    close((int)f.handle);
    close((int)e.handle);
    remove_root();
}

static void stats_alike(bed *b)
{
    (void)b;
    make_root();
    weft_desc f, p;
    open_raw(&f, "a", O_RDONLY, WEFT_DESC_FILE);
    weft_stat one = {0}, other = {0};
    weft_op op;
    weft_op_stat(&op, &f, NULL, &other, 0);
    CHECK_EQ(weft__op_run_blocking(&op), 0); /* learns about the mount */
    weft_op_stat(&op, &f, NULL, &one, 0);
    int64_t r = weft__at_once(&op);
    CHECK(r == 0 || r == -EAGAIN);
    if (r == 0)
        CHECK(one.size == 10000 && memcmp(&one, &other, sizeof one) == 0);
    weft_op_stat(&op, &f, "x", &one, 0);
    CHECK_EQ(weft__at_once(&op), -EAGAIN);
    weft_op_stat(&op, NULL, NULL, &one, 0);
    CHECK_EQ(weft__at_once(&op), -EAGAIN);
    close((int)f.handle);
    /* What is not of a local file system is never taken from memory alone, however often it is asked for. */
    int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    weft__desc_init(&p, fd, WEFT_DESC_FILE);
    for (int i = 0; i < 20; i++) {
        weft_op_stat(&op, &p, NULL, &one, 0);
        CHECK_EQ(weft__at_once(&op), -EAGAIN);
        CHECK_EQ(weft__op_run_blocking(&op), 0);
    }
    close(fd);
    remove_root();
}

/* Some pages of it are in memory, most are not: a read of the whole is not cut short by that. */
static void a_cold_file_is_read_whole(bed *b)
{
    enum { N = 200000 };
    static char in[N];
    job j = {0};
    weft_desc f;
    make_root();
    write_file("cold", N);
    weft_op_open(&j.op, NULL, in_root("cold"), WEFT_OPEN_READ, 0);
    int64_t h = bed_run(b, &j);
    CHECK_OK(h);
    weft__desc_init(&f, (weft_handle)h, WEFT_DESC_FILE);
    for (int warm = 0; warm < 3; warm++) {
        if (warm == 0)
            CHECK(fsync((int)h) == 0 && posix_fadvise((int)h, 0, 0, POSIX_FADV_RANDOM) == 0);
        if (warm < 2)
            CHECK_EQ(posix_fadvise((int)h, 0, 0, POSIX_FADV_DONTNEED), 0);
        if (warm == 1)
            CHECK_EQ(pread((int)h, in, 5000, 0), 5000);
        memset(in, 0, sizeof in);
        weft_op_pread(&j.op, &f, in, sizeof in, 0);
        CHECK_EQ(bed_run(b, &j), N);
        for (size_t i = 0; i < N; i++)
            CHECK_EQ((unsigned char)in[i], i * 7 % 251);
    }
    bed_shut(b, &f);
    remove_root();
}

static const bed_case cases[] = {
    CASE(opens_alike),
    CASE(reads_alike),
    CASE(what_is_in_memory_is_known),
    CASE(stats_alike),
    CASE(a_cold_file_is_read_whole),
};
BED_MAIN(cases)
