/* Files and directories, verb by verb. Everything happens in a folder of its own that is empty again at the end. */
#include "net/cases.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

static char folder[] = "/tmp/weft-fs-XXXXXX";

static const char *in_folder(const char *name)
{
    static _Thread_local char path[4][128];
    static _Thread_local unsigned turn;
    char *p = path[turn++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", folder, name);
    return p;
}

static weft_id create(const char *name)
{
    weft_id f;
    const unsigned flags = WEFT_OPEN_READ | WEFT_OPEN_WRITE | WEFT_OPEN_CREATE | WEFT_OPEN_TRUNCATE;
    CHECK_OK(weft_open(&f, in_folder(name), flags, 0644, SOON));
    return f;
}

static void remove_file(const char *name) { CHECK_EQ(unlink(in_folder(name)), 0); }

static int bytes_are_kept(void *arg)
{
    (void)arg;
    char buf[16];
    weft_id f = create("a"), again;
    weft_stat st;
    CHECK_EQ(weft_pwrite(f, "hello world", 11, 0, SOON), 11);
    CHECK_EQ(weft_pwrite(f, "W", 1, 6, SOON), 1);
    CHECK_EQ(weft_pread(f, buf, sizeof buf, 0, SOON), 11);
    CHECK(memcmp(buf, "hello World", 11) == 0);
    CHECK_EQ(weft_pread(f, buf, sizeof buf, 6, SOON), 5);
    CHECK_EQ(weft_pread(f, buf, sizeof buf, 11, SOON), 0);
    CHECK_EQ(weft_pread(f, buf, sizeof buf, 1 << 20, SOON), 0);
    CHECK_EQ(weft_pread(f, buf, 0, 0, SOON), 0);
    CHECK_EQ(weft_pwrite(f, buf, 0, 0, SOON), 0);
    CHECK_OK(weft_fsync(f, 0, SOON));
    CHECK_OK(weft_fsync(f, 1, SOON));
    CHECK_OK(weft_stat_id(f, &st, SOON));
    CHECK_EQ(st.size, 11);
    CHECK(S_ISREG(st.mode));
    CHECK_EQ(st.links, 1);
    CHECK(st.mtime_ns > 1600000000 * WEFT_SECOND);
    CHECK_OK(weft_close(f));
    CHECK_OK(weft_open(&again, in_folder("a"), WEFT_OPEN_READ, 0, SOON));
    CHECK_EQ(weft_pread(again, buf, sizeof buf, 0, SOON), 11);
    CHECK_ERR(weft_pwrite(again, "x", 1, 0, SOON), -EBADF); /* not opened for it: the system's answer */
    remove_file("a");
    return 0;
}

static int offsets_have_64_bits(void *arg)
{
    (void)arg;
    const uint64_t far = ((uint64_t)5 << 32) + 17;
    char buf[8];
    weft_stat st;
    weft_id f = create("far");
    ssize_t n = weft_pwrite(f, "distant", 7, far, SOON);
    if (n == -EFBIG) { /* the file system has no files of that size */
        remove_file("far");
        return 0;
    }
    CHECK_EQ(n, 7);
    CHECK_EQ(weft_pread(f, buf, sizeof buf, far, SOON), 7);
    CHECK(memcmp(buf, "distant", 7) == 0);
    CHECK_EQ(weft_pread(f, buf, sizeof buf, 17, SOON), 8); /* a hole, and not the bytes of a truncated offset */
    CHECK_EQ(buf[0], 0);
    CHECK_OK(weft_stat_id(f, &st, SOON));
    CHECK_EQ(st.size, far + 7);
    CHECK_ERR(weft_pread(f, buf, 1, UINT64_MAX, SOON), -EINVAL);
    CHECK_ERR(weft_pwrite(f, buf, 1, (uint64_t)INT64_MAX + 1, SOON), -EINVAL);
    remove_file("far");
    return 0;
}

static int how_a_file_is_opened(void *arg)
{
    (void)arg;
    weft_id f = create("x"), other;
    char buf[8];
    const char *path = in_folder("x");
    CHECK_EQ(weft_pwrite(f, "12345", 5, 0, SOON), 5);
    CHECK_ERR(weft_open(&other, in_folder("none"), WEFT_OPEN_READ, 0, SOON), -ENOENT);
    CHECK_ERR(weft_open(&other, path, WEFT_OPEN_WRITE | WEFT_OPEN_CREATE | WEFT_OPEN_EXCLUSIVE, 0600, SOON), -EEXIST);
    CHECK_ERR(weft_open(&other, path, WEFT_OPEN_READ | WEFT_OPEN_DIRECTORY, 0, SOON), -ENOTDIR);
    CHECK_ERR(weft_open(&other, NULL, WEFT_OPEN_READ, 0, SOON), -EINVAL);
    CHECK_ERR(weft_open(NULL, path, WEFT_OPEN_READ, 0, SOON), -EINVAL);
    CHECK_OK(weft_open(&other, path, WEFT_OPEN_WRITE | WEFT_OPEN_APPEND, 0, SOON));
    CHECK_EQ(weft_pwrite(other, "67", 2, 0, SOON), 2);
    CHECK_OK(weft_close(other));
    CHECK_EQ(weft_pread(f, buf, sizeof buf, 0, SOON), 7);
    CHECK(memcmp(buf, "1234567", 7) == 0);
    CHECK_OK(weft_open(&other, path, WEFT_OPEN_WRITE | WEFT_OPEN_TRUNCATE, 0, SOON));
    CHECK_EQ(weft_pread(f, buf, sizeof buf, 0, SOON), 0);
    CHECK_EQ(symlink("x", in_folder("link")), 0);
    CHECK_OK(weft_open(&other, in_folder("link"), WEFT_OPEN_READ, 0, SOON));
    CHECK_ERR(weft_open(&other, in_folder("link"), WEFT_OPEN_READ | WEFT_OPEN_NOFOLLOW, 0, SOON), -ELOOP);
    remove_file("link");
    remove_file("x");
    return 0;
}

static int what_stat_tells(void *arg)
{
    (void)arg;
    weft_stat st = {.size = 99}, linked;
    weft_id dir, f = create("s");
    CHECK_EQ(weft_pwrite(f, "1234", 4, 0, SOON), 4);
    CHECK_EQ(symlink("s", in_folder("l")), 0);
    CHECK_ERR(weft_stat_path(in_folder("none"), &st, 0, SOON), -ENOENT);
    CHECK_EQ(st.size, 99); /* untouched */
    CHECK_OK(weft_stat_path(in_folder("s"), &st, 0, SOON));
    CHECK_EQ(st.size, 4);
    CHECK_OK(weft_stat_path(in_folder("l"), &linked, 0, SOON));
    CHECK_EQ(linked.inode, st.inode);
    CHECK_EQ(linked.device, st.device);
    CHECK_OK(weft_stat_path(in_folder("l"), &linked, WEFT_STAT_NOFOLLOW, SOON));
    CHECK(S_ISLNK(linked.mode));
    CHECK_OK(weft_open(&dir, folder, WEFT_OPEN_READ | WEFT_OPEN_DIRECTORY, 0, SOON));
    CHECK_OK(weft_stat_at(dir, "s", &linked, 0, SOON));
    CHECK_EQ(linked.inode, st.inode);
    CHECK_ERR(weft_stat_at(dir, "none", &st, 0, SOON), -ENOENT);
    CHECK_OK(weft_stat_id(dir, &st, SOON));
    CHECK(S_ISDIR(st.mode));
    CHECK_ERR(weft_stat_path(NULL, &st, 0, SOON), -EINVAL);
    CHECK_ERR(weft_stat_path(folder, NULL, 0, SOON), -EINVAL);
    CHECK_ERR(weft_stat_at(dir, NULL, &st, 0, SOON), -EINVAL);
    remove_file("l");
    remove_file("s");
    return 0;
}

/* Nothing outside the directory is reached, by no way that a path can take. */
static int beneath_stays_beneath(void *arg)
{
    (void)arg;
    static const char *const ways_out[] = {"..",   "../x", "sub/../../x",  "/etc/passwd",
                                           "up/x", "abs",  "sub/up2/../x", "/"};
    weft_id dir, out, f = create("x");
    const unsigned flags = WEFT_OPEN_READ | WEFT_OPEN_BENEATH;
    CHECK_OK(weft_close(f));
    CHECK_EQ(mkdir(in_folder("d"), 0755), 0);
    CHECK_EQ(mkdir(in_folder("d/sub"), 0755), 0);
    CHECK_EQ(symlink("..", in_folder("d/up")), 0);
    CHECK_EQ(symlink("../..", in_folder("d/sub/up2")), 0);
    CHECK_EQ(symlink("/etc/passwd", in_folder("d/abs")), 0);
    CHECK_EQ(symlink("sub/in", in_folder("d/inside")), 0);
    f = create("d/sub/in");
    CHECK_EQ(weft_pwrite(f, "ok", 2, 0, SOON), 2);
    CHECK_OK(weft_open(&dir, in_folder("d"), WEFT_OPEN_READ | WEFT_OPEN_DIRECTORY, 0, SOON));
    for (size_t i = 0; i < sizeof ways_out / sizeof *ways_out; i++) {
        int r = weft_open_at(&out, dir, ways_out[i], flags, 0, SOON);
        if (r != -EXDEV)
            TEST_FAIL("%s: %d instead of -EXDEV", ways_out[i], r);
    }
    CHECK_OK(weft_open_at(&out, dir, "sub/in", flags, 0, SOON));
    CHECK_OK(weft_open_at(&out, dir, "inside", flags, 0, SOON));
    CHECK_OK(weft_open_at(&out, dir, "sub/../sub/in", flags, 0, SOON));
    CHECK_ERR(weft_open_at(&out, dir, "sub/none", flags, 0, SOON), -ENOENT);
    CHECK_OK(weft_open_at(&out, dir, "../x", WEFT_OPEN_READ, 0, SOON)); /* who does not ask for it is not held */
    const char *const files[] = {"d/sub/in", "d/sub/up2", "d/up", "d/abs", "d/inside", "x"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        remove_file(files[i]);
    CHECK_EQ(rmdir(in_folder("d/sub")), 0);
    CHECK_EQ(rmdir(in_folder("d")), 0);
    return 0;
}

static int directories_are_read(void *arg)
{
    enum { FILES = 300 };
    (void)arg;
    char name[32], seen[FILES] = {0};
    _Alignas(8) char buf[700];
    weft_id dir;
    ssize_t n;
    int others = 0, count = 0;
    CHECK_EQ(mkdir(in_folder("many"), 0755), 0);
    CHECK_EQ(mkdir(in_folder("many/dir"), 0755), 0);
    CHECK_EQ(symlink("dir", in_folder("many/link")), 0);
    for (int i = 0; i < FILES; i++) {
        snprintf(name, sizeof name, "many/file-%d", i);
        CHECK_OK(weft_close(create(name)));
    }
    CHECK_OK(weft_open(&dir, in_folder("many"), WEFT_OPEN_READ | WEFT_OPEN_DIRECTORY, 0, SOON));
    CHECK_ERR(weft_readdir(dir, buf, 8, SOON), -EINVAL);
    while ((n = weft_readdir(dir, buf, sizeof buf, SOON)) > 0) {
        for (ssize_t at = 0; at < n;) {
            weft_dirent *e = (weft_dirent *)(void *)(buf + at);
            CHECK(e->length % 8 == 0 && e->length >= sizeof *e + e->name_len + 1 && at + e->length <= n);
            CHECK_EQ(strlen(e->name), e->name_len);
            int i;
            if (sscanf(e->name, "file-%d", &i) == 1) {
                CHECK(i >= 0 && i < FILES && !seen[i]);
                CHECK(e->type == 'f' || e->type == '?');
                seen[i] = 1;
                count++;
            } else {
                CHECK(strcmp(e->name, "dir") == 0 ? e->type == 'd' || e->type == '?' : strcmp(e->name, "link") == 0);
                others++;
            }
            at += e->length;
        }
    }
    CHECK_EQ(n, 0);
    CHECK_EQ(count, FILES);
    CHECK_EQ(others, 2); /* and neither "." nor ".." */
    CHECK_EQ(weft_readdir(dir, buf, sizeof buf, SOON), 0);
    for (int i = 0; i < FILES; i++) {
        snprintf(name, sizeof name, "many/file-%d", i);
        remove_file(name);
    }
    remove_file("many/link");
    CHECK_EQ(rmdir(in_folder("many/dir")), 0);
    CHECK_EQ(rmdir(in_folder("many")), 0);
    return 0;
}

static void every_call_answers(weft_id id, int expected)
{
    char buf[64];
    weft_stat st;
    weft_id out;
    CHECK_ERR(weft_pread(id, buf, 1, 0, SOON), expected);
    CHECK_ERR(weft_pwrite(id, buf, 1, 0, SOON), expected);
    CHECK_ERR(weft_fsync(id, 0, SOON), expected);
    CHECK_ERR(weft_stat_id(id, &st, SOON), expected);
    CHECK_ERR(weft_stat_at(id, "x", &st, 0, SOON), expected);
    CHECK_ERR(weft_open_at(&out, id, "x", WEFT_OPEN_READ, 0, SOON), expected);
    CHECK_ERR(weft_readdir(id, buf, sizeof buf, SOON), expected);
    CHECK_ERR(weft_sendfile(id, id, 0, 1, NULL, SOON), expected);
    CHECK_ERR(weft_close(id), expected);
}

static int stranger(void *arg)
{
    every_call_answers(*(weft_id *)arg, -EPERM);
    return 0;
}

static int ids_of_files_are_checked(void *arg)
{
    (void)arg;
    char buf[64];
    weft_id a, b, dir, out, lane, f = create("i");
    int result;
    connect_pair(&a, &b);
    CHECK_OK(weft_open(&dir, folder, WEFT_OPEN_READ | WEFT_OPEN_DIRECTORY, 0, SOON));
    CHECK_ERR(weft_pread(dir, buf, 1, 0, SOON), -EINVAL);
    CHECK_ERR(weft_readdir(f, buf, sizeof buf, SOON), -EINVAL);
    CHECK_ERR(weft_open_at(&out, f, "x", WEFT_OPEN_READ, 0, SOON), -EINVAL);
    CHECK_ERR(weft_pread(a, buf, 1, 0, SOON), -EINVAL);
    CHECK_ERR(weft_read(f, buf, 1, SOON), -EINVAL);
    CHECK_ERR(weft_sendfile(f, f, 0, 1, NULL, SOON), -EINVAL);
    CHECK_ERR(weft_sendfile(a, b, 0, 1, NULL, SOON), -EINVAL);
    CHECK_OK(weft_lane_spawn_with(&lane, stranger, &f, .copy = sizeof f));
    CHECK_OK(weft_lane_join(lane, &result, SOON));
    CHECK_OK(weft_close(f));
    every_call_answers(f, -EBADF);
    remove_file("i");
    return 0;
}

/* ---- cancelling: what has begun on a file ends as it ends, and what was opened is never lost ---- */

static int open_and_read(void *arg)
{
    (void)arg;
    weft_id f;
    char buf[8];
    int r = weft_open(&f, in_folder("c"), WEFT_OPEN_READ, 0, SOON);
    if (r < 0) {
        CHECK_EQ(r, -ECANCELED);
        return 0;
    }
    ssize_t n = weft_pread(f, buf, sizeof buf, 0, SOON);
    CHECK(n == 4 || n == -ECANCELED);
    return 0; /* left open: the lane closes it, and the case counts descriptors */
}

static int cancelled_opens_leave_nothing_behind(void *arg)
{
    (void)arg;
    weft_id f = create("c");
    weft_stat st;
    CHECK_EQ(weft_pwrite(f, "data", 4, 0, SOON), 4);
    for (int i = 0; i < 300; i++) {
        weft_id fiber;
        CHECK_OK(weft_spawn(&fiber, open_and_read, NULL));
        for (int k = 0; k < i % 4; k++)
            CHECK_OK(weft_yield());
        int r = weft_cancel(fiber);
        CHECK(r == 0 || r == -ESRCH);
        CHECK_OK(weft_join(fiber, NULL, SOON));
    }
    /* A deadline that has passed asks for the end at once; on files the answer may come all the same. */
    int r = weft_stat_path(in_folder("c"), &st, 0, WEFT_NOW);
    CHECK(r == 0 || r == -ETIMEDOUT);
    remove_file("c");
    return 0;
}

static int no_more_descriptors(void *arg)
{
    (void)arg;
    struct rlimit old, none;
    weft_id out, f = create("n");
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &old), 0);
    none = old;
    none.rlim_cur = 3;
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
    CHECK_ERR(weft_open(&out, in_folder("n"), WEFT_OPEN_READ, 0, SOON), -EMFILE);
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &old), 0);
    CHECK_OK(weft_open(&out, in_folder("n"), WEFT_OPEN_READ, 0, SOON));
    CHECK_OK(weft_close(f));
    remove_file("n");
    return 0;
}

static const test_case cases[] = {
    CASE(bytes_are_kept), CASE(offsets_have_64_bits), CASE(how_a_file_is_opened), CASE(what_stat_tells),
    CASE(beneath_stays_beneath), CASE(directories_are_read), CASE(ids_of_files_are_checked),
    CASE(cancelled_opens_leave_nothing_behind), CASE(no_more_descriptors)};

int main(int argc, char **argv)
{
    every_call_answers((weft_id){1, 1, 1}, -EPERM);
    CHECK(mkdtemp(folder));
    int r = RUN(cases, argc, argv);
    CHECK_EQ(rmdir(folder), 0);
    return r;
}
