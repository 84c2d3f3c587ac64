/* Opening below a directory. Any thread; no state but one flag.
 *
 * The walk keeps a descriptor of every directory from the start down to where it is, so ".." is a step back on that
 * list and never a question to the file system: a directory that is moved away meanwhile leads nowhere new. Symbolic
 * links are read, never followed by the kernel; what a link says is put in front of what is left of the path. */
#include "port/beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/atomic.h"

#ifdef __linux__
#include <linux/openat2.h>
#endif

#ifndef O_PATH
#define O_PATH 0
#endif

enum { DEPTH = 64, LINKS = 40, PATH_ROOM = 4096 };

typedef struct walk {
    int dirs[DEPTH]; /* dirs[0] is the caller's */
    int depth;       /* the last one in use */
    int links;
    char rest[PATH_ROOM]; /* what is left to walk, not beginning with a slash */
} walk;

static void drop_slashes(walk *w)
{
    size_t n = strspn(w->rest, "/");
    memmove(w->rest, w->rest + n, strlen(w->rest) + 1 - n);
}

/* Takes the first component off the rest. 1: something follows it (a slash alone counts: it wants a directory). */
static int take_component(walk *w, char *name, size_t room)
{
    size_t n = strcspn(w->rest, "/");
    if (n >= room)
        return -ENAMETOOLONG;
    memcpy(name, w->rest, n);
    name[n] = 0;
    int follows = w->rest[n] == '/';
    memmove(w->rest, w->rest + n, strlen(w->rest) + 1 - n);
    drop_slashes(w);
    return follows;
}

static int step_back(walk *w)
{
    if (w->depth == 0)
        return -EXDEV;
    close(w->dirs[w->depth--]);
    return 0;
}

static int step_down(walk *w, const char *name)
{
    if (w->depth + 1 == DEPTH)
        return -ENAMETOOLONG;
    int fd = openat(w->dirs[w->depth], name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    w->dirs[++w->depth] = fd;
    return 0;
}

/* Puts the target of link `name` in front of the rest. */
static int follow(walk *w, const char *name, int wants_dir)
{
    char target[PATH_ROOM];
    if (++w->links > LINKS)
        return -ELOOP;
    ssize_t n = readlinkat(w->dirs[w->depth], name, target, sizeof target - 1);
    if (n < 0)
        return -errno;
    target[n] = 0;
    if (n == 0)
        return -ENOENT;
    if (target[0] == '/')
        return -EXDEV;
    size_t rest = strlen(w->rest), slash = rest > 0 || wants_dir;
    if ((size_t)n + slash + rest + 1 > sizeof w->rest)
        return -ENAMETOOLONG;
    memmove(w->rest + n + slash, w->rest, rest + 1);
    if (slash)
        w->rest[n] = '/';
    memcpy(w->rest, target, (size_t)n);
    return 0;
}

static int is_link(walk *w, const char *name)
{
    struct stat st;
    return fstatat(w->dirs[w->depth], name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode);
}

/* One component that is neither the last nor special. */
static int through(walk *w, const char *name, int wants_dir)
{
    int r = step_down(w, name);
    if ((r == -ENOTDIR || r == -ELOOP) && is_link(w, name))
        return follow(w, name, wants_dir);
    return r;
}

static int64_t last(walk *w, const char *name, int wants_dir, int flags, unsigned mode, int *again)
{
    if (!(flags & O_NOFOLLOW) && !((flags & O_CREAT) && (flags & O_EXCL)) && is_link(w, name)) {
        *again = 1;
        return follow(w, name, wants_dir);
    }
    int fd = openat(w->dirs[w->depth], name, flags | O_NOFOLLOW | (wants_dir ? O_DIRECTORY : 0), (mode_t)mode);
    if (fd < 0 && errno == ELOOP && !(flags & O_NOFOLLOW) && is_link(w, name)) {
        *again = 1; /* it became a link between the look and the open */
        return follow(w, name, wants_dir);
    }
    return fd < 0 ? -errno : fd;
}

static int64_t walk_on(walk *w, int flags, unsigned mode)
{
    for (;;) {
        char name[256];
        int follows = take_component(w, name, sizeof name), again = 0;
        int64_t r = follows;
        int is_last = w->rest[0] == 0;
        if (follows < 0)
            return follows;
        if (strcmp(name, "..") == 0)
            r = step_back(w);
        else if (strcmp(name, ".") != 0 && name[0] != 0 && !is_last)
            r = through(w, name, 1);
        else if (strcmp(name, ".") != 0 && name[0] != 0) {
            r = last(w, name, follows, flags, mode, &again);
            if (!again)
                return r;
        }
        if (r < 0)
            return r;
        if (w->rest[0] == 0 && !again) { /* the path ended in "." or "..": the directory itself */
            int fd = openat(w->dirs[w->depth], ".", flags & ~(O_CREAT | O_EXCL), (mode_t)mode);
            return fd < 0 ? -errno : fd;
        }
    }
}

int64_t weft__open_beneath_walk(int dir, const char *path, int flags, unsigned mode)
{
    walk w;
    size_t n = strlen(path);
    if (n == 0)
        return -ENOENT;
    if (path[0] == '/')
        return -EXDEV;
    if (n >= sizeof w.rest)
        return -ENAMETOOLONG;
    memcpy(w.rest, path, n + 1);
    w.dirs[0] = dir;
    w.depth = w.links = 0;
    int64_t r = walk_on(&w, flags, mode);
    while (w.depth > 0)
        close(w.dirs[w.depth--]);
    return r;
}

#if defined(__linux__) && defined(SYS_openat2)
int64_t weft__open_beneath(int dir, const char *path, int flags, unsigned mode)
{
    static uint32_t absent; /* the call is not there, or a sandbox refuses it: asked once */
    struct open_how how = {
        .flags = (uint64_t)(unsigned)flags,
        .mode = flags & O_CREAT ? mode : 0,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    };
    if (weft__load_relaxed(&absent, "openat2_absent"))
        return weft__open_beneath_walk(dir, path, flags, mode);
    for (int tries = 0;; tries++) {
        long fd = syscall(SYS_openat2, dir, path, &how, sizeof how);
        if (fd >= 0)
            return fd;
        if (errno == EAGAIN && tries < 32)
            continue; /* something on the way was renamed while the kernel looked */
        if (errno != ENOSYS && errno != EPERM && errno != EAGAIN)
            return -errno;
        if (errno == ENOSYS)
            weft__store_relaxed(&absent, 1u, "openat2_absent");
        return weft__open_beneath_walk(dir, path, flags, mode);
    }
}
#else
int64_t weft__open_beneath(int dir, const char *path, int flags, unsigned mode)
{
    return weft__open_beneath_walk(dir, path, flags, mode);
}
#endif
