/* Conformance: files and directories. */
#include "bed.h"

#include <fcntl.h>
#include <stdalign.h>
#include <sys/stat.h>

#include "port/beneath.h"

static char root[64];

static void make_root(void)
{
    strcpy(root, "/tmp/weft-files-XXXXXX");
    CHECK(mkdtemp(root));
}

static void remove_root(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", root);
    CHECK_EQ(system(command), 0);
}

static const char *in_root(const char *name)
{
    static char path[4][256];
    static unsigned turn;
    char *p = path[turn++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", root, name);
    return p;
}

static void write_file(const char *name, const char *content)
{
    FILE *f = fopen(in_root(name), "w");
    CHECK(f);
    CHECK(fputs(content, f) >= 0);
    fclose(f);
}

static int64_t open_op(bed *b, weft_desc *dir, const char *path, unsigned flags)
{
    job j = {0};
    weft_op_open(&j.op, dir, path, flags, 0644);
    return bed_run(b, &j);
}

static void open_dir(bed *b, weft_desc *d)
{
    int64_t h = open_op(b, NULL, root, WEFT_OPEN_READ | WEFT_OPEN_DIRECTORY);
    CHECK_OK(h);
    weft__desc_init(d, (weft_handle)h, WEFT_DESC_DIR);
}

static void life_of_a_file(bed *b)
{
    weft_desc dir, f;
    weft_stat st;
    char in[32] = "";
    job j = {0};
    make_root();
    open_dir(b, &dir);
    CHECK_EQ(open_op(b, &dir, "a", WEFT_OPEN_READ), -ENOENT);
    int64_t h = open_op(b, &dir, "a", WEFT_OPEN_READ | WEFT_OPEN_WRITE | WEFT_OPEN_CREATE | WEFT_OPEN_EXCLUSIVE);
    CHECK_OK(h);
    CHECK(fcntl((int)h, F_GETFD) & FD_CLOEXEC);
    CHECK_EQ(open_op(b, &dir, "a", WEFT_OPEN_WRITE | WEFT_OPEN_CREATE | WEFT_OPEN_EXCLUSIVE), -EEXIST);
    weft__desc_init(&f, (weft_handle)h, WEFT_DESC_FILE);
    weft_op_pwrite(&j.op, &f, "hello world", 11, 0);
    CHECK_EQ(bed_run(b, &j), 11);
    weft_op_pwrite(&j.op, &f, "WORLD", 5, 6);
    CHECK_EQ(bed_run(b, &j), 5);
    weft_op_fsync(&j.op, &f, 0);
    CHECK_EQ(bed_run(b, &j), 0);
    weft_op_fsync(&j.op, &f, 1);
    CHECK_EQ(bed_run(b, &j), 0);
    weft_op_pread(&j.op, &f, in, sizeof in, 0);
    CHECK_EQ(bed_run(b, &j), 11);
    CHECK(memcmp(in, "hello WORLD", 11) == 0);
    weft_op_pread(&j.op, &f, in, 5, 6);
    CHECK_EQ(bed_run(b, &j), 5);
    weft_op_pread(&j.op, &f, in, sizeof in, 11);
    CHECK_EQ(bed_run(b, &j), 0);
    weft_op_pread(&j.op, &f, in, 0, 0);
    CHECK_EQ(bed_run(b, &j), 0);
    struct iovec v[2] = {{in, 3}, {in + 3, 8}};
    CHECK(lseek((int)h, 0, SEEK_SET) == 0);
    weft_op_readv(&j.op, &f, v, 2);
    CHECK_EQ(bed_run(b, &j), 11);
    weft_op_stat(&j.op, &dir, "a", &st, 0);
    CHECK_EQ(bed_run(b, &j), 0);
    CHECK_EQ(st.size, 11);
    CHECK(S_ISREG(st.mode));
    CHECK_EQ(st.links, 1);
    weft_stat st2 = {0};
    weft_op_stat(&j.op, &f, NULL, &st2, 0);
    CHECK_EQ(bed_run(b, &j), 0);
    CHECK(st2.inode == st.inode && st2.device == st.device && st2.mtime_ns == st.mtime_ns);
    struct stat real;
    CHECK(stat(in_root("a"), &real) == 0);
    CHECK_EQ(st.inode, real.st_ino);
    CHECK_EQ(st.device, real.st_dev);
    CHECK_EQ(st.mtime_ns, real.st_mtim.tv_sec * WEFT_SECOND + real.st_mtim.tv_nsec);
    CHECK_EQ(open_op(b, &f, "x", WEFT_OPEN_READ), -ENOTDIR);
    bed_shut(b, &f);
    h = open_op(b, &dir, "a", WEFT_OPEN_WRITE | WEFT_OPEN_TRUNCATE);
    CHECK_OK(h);
    weft__desc_init(&f, (weft_handle)h, WEFT_DESC_FILE);
    weft_op_pread(&j.op, &f, in, 1, 0);
    CHECK_EQ(bed_run(b, &j), -EBADF); /* not opened for reading */
    bed_shut(b, &f);
    CHECK(stat(in_root("a"), &real) == 0);
    CHECK_EQ(real.st_size, 0);
    bed_shut(b, &dir);
    remove_root();
}

static void links_and_missing_things(bed *b)
{
    weft_desc dir;
    weft_stat st;
    job j = {0};
    make_root();
    write_file("t", "x");
    CHECK(symlink("t", in_root("l")) == 0);
    open_dir(b, &dir);
    weft_op_stat(&j.op, &dir, "l", &st, 0);
    CHECK_EQ(bed_run(b, &j), 0);
    CHECK(S_ISREG(st.mode));
    weft_op_stat(&j.op, &dir, "l", &st, WEFT_STAT_NOFOLLOW);
    CHECK_EQ(bed_run(b, &j), 0);
    CHECK(S_ISLNK(st.mode));
    CHECK_EQ(open_op(b, &dir, "l", WEFT_OPEN_READ | WEFT_OPEN_NOFOLLOW), -ELOOP);
    CHECK_EQ(open_op(b, &dir, "t", WEFT_OPEN_READ | WEFT_OPEN_DIRECTORY), -ENOTDIR);
    weft_op_stat(&j.op, &dir, "none", &st, 0);
    CHECK_EQ(bed_run(b, &j), -ENOENT);
    weft_op_stat(&j.op, NULL, NULL, &st, 0);
    CHECK(bed_run(b, &j) < 0);
    /* Nobody writes to this FIFO: opening it must not take a thread for ever. */
    CHECK(mkfifo(in_root("p"), 0600) == 0);
    int64_t h = open_op(b, &dir, "p", WEFT_OPEN_READ);
    CHECK_OK(h);
    close((int)h);
    bed_shut(b, &dir);
    remove_root();
}

static void offsets_of_64_bits(bed *b)
{
    weft_desc f;
    char in[4] = "";
    job j = {0};
    const int64_t far = 5000000000;
    make_root();
    int64_t h = open_op(b, NULL, in_root("big"), WEFT_OPEN_READ | WEFT_OPEN_WRITE | WEFT_OPEN_CREATE);
    CHECK_OK(h);
    weft__desc_init(&f, (weft_handle)h, WEFT_DESC_FILE);
    weft_op_pwrite(&j.op, &f, "far", 3, far);
    CHECK_EQ(bed_run(b, &j), 3);
    weft_op_pread(&j.op, &f, in, 4, far);
    CHECK_EQ(bed_run(b, &j), 3);
    CHECK(memcmp(in, "far", 3) == 0);
    weft_stat st;
    weft_op_stat(&j.op, &f, NULL, &st, 0);
    CHECK_EQ(bed_run(b, &j), 0);
    CHECK_EQ(st.size, far + 3);
    weft_desc x;
    int raw;
    bed_pair(&x, &raw, AF_UNIX);
    weft_op_sendfile(&j.op, &x, &f, (uint64_t)far, 10);
    CHECK_EQ(bed_run(b, &j), 3);
    CHECK_EQ(recv(raw, in, 4, 0), 3);
    close(raw);
    bed_shut(b, &x);
    bed_shut(b, &f);
    remove_root();
}

/* 1,000 entries through a buffer for a handful: each exactly once, the records in good order. */
static void directory_in_pieces(bed *b)
{
    enum { N = 1000 };
    weft_desc dir;
    static unsigned char seen[N];
    alignas(8) char buf[256];
    job j = {0};
    make_root();
    for (int i = 0; i < N; i++) {
        char name[32];
        snprintf(name, sizeof name, "entry-%d", i);
        if (i % 100 == 0)
            CHECK(mkdir(in_root(name), 0700) == 0);
        else
            write_file(name, "");
    }
    open_dir(b, &dir);
    unsigned count = 0, reads = 0;
    for (;; reads++) {
        weft_op_readdir(&j.op, &dir, buf, sizeof buf);
        int64_t n = bed_run(b, &j);
        CHECK_OK(n);
        if (n == 0)
            break;
        for (int64_t at = 0; at < n;) {
            weft_dirent *e = (weft_dirent *)(void *)(buf + at);
            int k = -1;
            CHECK(e->length % 8 == 0 && at + e->length <= n);
            CHECK_EQ(strlen(e->name), e->name_len);
            CHECK_EQ(sscanf(e->name, "entry-%d", &k), 1);
            CHECK(k >= 0 && k < N && !seen[k]);
            CHECK(e->type == (k % 100 ? 'f' : 'd') || e->type == '?');
            seen[k] = 1;
            count++;
            at += e->length;
        }
    }
    CHECK_EQ(count, N);
    CHECK(reads > 100);
    weft_op_readdir(&j.op, &dir, buf, sizeof buf);
    CHECK_EQ(bed_run(b, &j), 0); /* still the end */
    bed_shut(b, &dir);
    open_dir(b, &dir);
    weft_op_readdir(&j.op, &dir, buf, 8);
    CHECK_EQ(bed_run(b, &j), -EINVAL); /* too small for any entry */
    weft_op_readdir(&j.op, &dir, buf + 1, 64);
    CHECK_EQ(bed_run(b, &j), -EINVAL); /* not aligned */
    bed_shut(b, &dir);
    remove_root();
}

static void empty_directory(bed *b)
{
    weft_desc dir;
    alignas(8) char buf[64];
    job j = {0};
    make_root();
    open_dir(b, &dir);
    weft_op_readdir(&j.op, &dir, buf, sizeof buf);
    CHECK_EQ(bed_run(b, &j), 0);
    bed_shut(b, &dir);
    remove_root();
}

/* path, what opening it beneath the root must answer (0: it opens) */
static const struct {
    const char *path;
    int result;
} escapes[] = {
    {"in/file", 0},           {"in/../in/file", 0},       {"./in//file", 0},     {"in/.", 0},
    {"in/..", 0},             {".", 0},                   {"..", -EXDEV},        {"../x", -EXDEV},
    {"in/../../x", -EXDEV},   {"/etc/passwd", -EXDEV},    {"up", -EXDEV},        {"up/x", -EXDEV},
    {"abs", -EXDEV},          {"abs/x", -EXDEV},          {"good", 0},           {"in/back", 0},
    {"in/back/in/file", 0},   {"loop", -ELOOP},           {"none", -ENOENT},     {"in/none", -ENOENT},
    {"in/file/x", -ENOTDIR},  {"in/file/", -ENOTDIR},     {"", -ENOENT},         {"in/deep/../../..", -EXDEV},
    {"out-and-in", -EXDEV},   {"in/", 0},                 {"dirlink/", 0},       {"dirlink/file", 0},
};

static void make_maze(void)
{
    make_root();
    CHECK(mkdir(in_root("in"), 0700) == 0 && mkdir(in_root("in/deep"), 0700) == 0);
    write_file("in/file", "inside");
    CHECK(symlink("../..", in_root("up")) == 0);
    CHECK(symlink("/etc", in_root("abs")) == 0);
    CHECK(symlink("in/file", in_root("good")) == 0);
    CHECK(symlink("..", in_root("in/back")) == 0);
    CHECK(symlink("loop", in_root("loop")) == 0);
    CHECK(symlink("in", in_root("dirlink")) == 0);
    char name[128];
    snprintf(name, sizeof name, "..%s/in/file", strrchr(root, '/'));
    CHECK(symlink(name, in_root("out-and-in")) == 0); /* leaves, although it comes back */
}

static void nothing_escapes(bed *b)
{
    weft_desc dir;
    make_maze();
    open_dir(b, &dir);
    for (size_t i = 0; i < sizeof escapes / sizeof *escapes; i++) {
        int64_t h = open_op(b, &dir, escapes[i].path, WEFT_OPEN_READ | WEFT_OPEN_BENEATH);
        if (h >= 0)
            close((int)h);
        if ((h < 0 ? h : 0) != escapes[i].result)
            TEST_FAIL("\"%s\" gave %lld, not %d", escapes[i].path, (long long)h, escapes[i].result);
    }
    CHECK_EQ(open_op(b, &dir, "good", WEFT_OPEN_READ | WEFT_OPEN_BENEATH | WEFT_OPEN_NOFOLLOW), -ELOOP);
    bed_shut(b, &dir);
    remove_root();
}

/* The walk that stands in for openat2 answers the same, and creates where that would. */
static void the_walk_agrees(bed *b)
{
    (void)b;
    make_maze();
    int dir = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK(dir >= 0);
    for (size_t i = 0; i < sizeof escapes / sizeof *escapes; i++) {
        int64_t h = weft__open_beneath_walk(dir, escapes[i].path, O_RDONLY | O_CLOEXEC, 0);
        if (h >= 0)
            close((int)h);
        if ((h < 0 ? h : 0) != escapes[i].result)
            TEST_FAIL("\"%s\" gave %lld, not %d", escapes[i].path, (long long)h, escapes[i].result);
    }
    CHECK_EQ(weft__open_beneath_walk(dir, "good", O_RDONLY | O_NOFOLLOW | O_CLOEXEC, 0), -ELOOP);
    int64_t h = weft__open_beneath_walk(dir, "in/new", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    CHECK_OK(h);
    close((int)h);
    CHECK_EQ(weft__open_beneath_walk(dir, "in/new", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600), -EEXIST);
    struct stat st;
    CHECK(stat(in_root("in/new"), &st) == 0);
    CHECK_EQ(st.st_mode & 0777, 0600);
    char deep[5000];
    memset(deep, 'd', sizeof deep - 1);
    deep[sizeof deep - 1] = 0;
    CHECK_EQ(weft__open_beneath_walk(dir, deep, O_RDONLY, 0), -ENAMETOOLONG);
    deep[400] = 0;
    CHECK_EQ(weft__open_beneath_walk(dir, deep, O_RDONLY, 0), -ENAMETOOLONG);
    close(dir);
    remove_root();
}

/* A pipe has no offsets: who names one is refused, nothing is read or written and nobody waits for anything. Without
 * one it is read where it stands. A device that takes any is read like a file. */
static void what_has_no_offsets(bed *b)
{
    weft_desc f;
    char in[8];
    job j = {0};
    make_root();
    CHECK(mkfifo(in_root("p"), 0600) == 0);
    weft__desc_init(&f, open(in_root("p"), O_RDWR | O_NONBLOCK | O_CLOEXEC), WEFT_DESC_FILE);
    CHECK(f.handle >= 0);
    for (int i = 0; i < 2; i++) {
        weft_op_pread(&j.op, &f, in, sizeof in, 0);
        CHECK_EQ(bed_run(b, &j), -ESPIPE);
        weft_op_pwrite(&j.op, &f, "no", 2, 5);
        CHECK_EQ(bed_run(b, &j), -ESPIPE);
        if (i == 0)
            CHECK_EQ(write((int)f.handle, "abc", 3), 3);
    }
    weft_op_pread(&j.op, &f, in, sizeof in, -1);
    CHECK_EQ(bed_run(b, &j), 3);
    CHECK(memcmp(in, "abc", 3) == 0);
    weft_op_pwrite(&j.op, &f, "de", 2, -1);
    CHECK_EQ(bed_run(b, &j), 2);
    CHECK_EQ(read((int)f.handle, in, sizeof in), 2);
    bed_shut(b, &f);
    weft__desc_init(&f, open("/dev/zero", O_RDONLY | O_CLOEXEC), WEFT_DESC_FILE);
    in[0] = 'x';
    weft_op_pread(&j.op, &f, in, 1, 100);
    CHECK_EQ(bed_run(b, &j), 1);
    CHECK_EQ(in[0], 0);
    bed_shut(b, &f);
    remove_root();
}

static const bed_case cases[] = {
    CASE(life_of_a_file),
    CASE(links_and_missing_things),
    CASE(what_has_no_offsets),
    CASE(offsets_of_64_bits),
    CASE(directory_in_pieces),
    CASE(empty_directory),
    CASE(nothing_escapes),
    CASE(the_walk_agrees),
};
BED_MAIN(cases)
