/* Files that need no waiting: most opens find every name in the kernel's memory, most reads of a served file its pages.
 * The kernel can be asked to do just that and nothing else, which costs one call where a thread of the pool costs two
 * wake-ups. A ring does the same before it takes one of its own threads. Any thread; the state is what was found out
 * about this system, and about mounts.
 *
 * A stat of an open file is different: no flag keeps it from waiting for a server, there is only one that
 * makes it answer with what is known locally, however old. On a local file system that is the truth. So a
 * mount is asked for its kind by the first stat, which the pool makes, and known from then on by its unique
 * number, which no other mount gets. */
#include "port/at_once.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/atomic.h"
#include "port/port.h"

#ifdef __linux__
#include <linux/openat2.h>
#include <linux/stat.h>
#endif

#if defined(__linux__) && defined(SYS_openat2) && defined(SYS_preadv2) && defined(SYS_statx) && defined(RESOLVE_CACHED)

#ifndef RWF_NOWAIT
#define RWF_NOWAIT 0x00000008
#endif
/* Of Linux 6.8; older headers lack it, and so have no name for the field's meaning either. */
#define MOUNT_NUMBER 0x00004000u

/* A copy of this much from memory takes some 30 us: a worker has others to serve. */
#define READ_MAX ((size_t)256 * 1024)

enum { UNKNOWN, YES, NO };
enum { MOUNTS = 16 };

/* Whether openat2 knows the flag: -EINVAL and -EPERM may be the op's own fault,
 * so it is tried with nothing else wrong. */
static int can_open(void)
{
    static uint32_t known; /* two threads that try at once find the same */
    uint32_t k = weft__load_relaxed(&known, "at_once_open");
    if (k == UNKNOWN) {
        struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_CACHED};
        long fd = syscall(SYS_openat2, AT_FDCWD, "/", &how, sizeof how);
        if (fd >= 0)
            close((int)fd);
        k = fd >= 0 || errno == EAGAIN ? YES : NO;
        weft__store_relaxed(&known, k, "at_once_open");
    }
    return k == YES;
}

static int64_t open_cached(weft_op *op)
{
    if (!op->open.path || op->open.flags & (WEFT_OPEN_CREATE | WEFT_OPEN_TRUNCATE) || !can_open())
        return -EAGAIN;
    const struct open_how how = {
        .flags = (uint64_t)(unsigned)weft__open_flags(op->open.flags),
        .resolve = RESOLVE_CACHED | (op->open.flags & WEFT_OPEN_BENEATH ? RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS : 0u),
    };
    long fd = syscall(SYS_openat2, op->desc ? (int)op->desc->handle : AT_FDCWD, op->open.path, &how, sizeof how);
    if (fd >= 0)
        return fd;
    /* What a file system says for itself stands; what may be a sandbox's word is for the other path to find out. */
    return errno == EPERM || errno == ENOSYS || errno == EINTR ? -EAGAIN : -errno;
}

/* The offset in two halves of a machine word; where one word holds it all, the second is shifted away. */
static long read_nowait(int fd, void *buf, size_t len, uint64_t at)
{
    struct iovec iov = {buf, len};
    return syscall(SYS_preadv2, fd, &iov, 1, (unsigned long)at, (unsigned long)(at >> 32), RWF_NOWAIT);
}

int weft__at_once_has(int fd, uint64_t offset)
{
    char byte;
    return offset <= INT64_MAX && read_nowait(fd, &byte, 1, offset) == 1; /* -1 would be where the file stands */
}

/* All of it, or up to the end of the file, as a read that may wait:
 * less than that is less because the rest is not in memory. */
static int64_t read_cached(weft_op *op)
{
    if (op->desc->kind != WEFT_DESC_FILE || op->io.offset < 0 || op->io.len > READ_MAX)
        return -EAGAIN;
    size_t got = 0;
    while (got < op->io.len) {
        long n = read_nowait((int)op->desc->handle, (char *)op->io.buf + got, op->io.len - got, (uint64_t)op->io.offset + got);
        if (n < 0) /* a real error shows when it is read in earnest */
            return errno == EOPNOTSUPP || errno == ENOSYS || errno == EPERM ? -EOPNOTSUPP : -EAGAIN;
        if (n == 0)
            break;
        got += (size_t)n;
    }
    return (int64_t)got;
}

/* ---- mounts ---- */

/* number << 1 | local; 0: free. Told by any thread, in no order: each stands for itself. */
static uint64_t mounts[MOUNTS];
static uint32_t next_mount;

static int is_local(uint64_t number)
{
    for (unsigned i = 0; i < MOUNTS; i++) {
        uint64_t m = weft__load_relaxed(&mounts[i], "mount");
        if (m >> 1 == number)
            return m & 1 ? YES : NO;
    }
    return UNKNOWN;
}

/* Those that have everything about an open file in memory. */
static int is_local_kind(unsigned long kind)
{
    static const uint32_t kinds[] = {
        0xef53 /* ext */, 0x58465342 /* xfs */, 0x9123683e /* btrfs */, 0xf2f52010 /* f2fs */, 0x2fc12fc1 /* zfs */, 0xca451a4e /* bcachefs */,
        0x01021994 /* tmpfs */, 0x858458f6 /* ramfs */, 0x794c7630 /* overlay */, 0x73717368 /* squashfs */, 0xe0f5e1e2 /* erofs */,
    };
    for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i] == (uint32_t)kind)
            return 1;
    return 0;
}

/* What is known locally, and the number of the mount; 0: this kernel does not tell it. */
static int look(int fd, struct statx *st, uint64_t *mount)
{
    const unsigned want = STATX_BASIC_STATS | MOUNT_NUMBER;
    if (syscall(SYS_statx, fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, want, st) < 0)
        return -errno;
    *mount = st->stx_mask & MOUNT_NUMBER ? st->stx_mnt_id : 0;
    return 0;
}

void weft__at_once_learn(int fd)
{
    struct statx st;
    struct statfs fs;
    uint64_t number = 0;
    if (look(fd, &st, &number) < 0 || number == 0 || is_local(number) != UNKNOWN || fstatfs(fd, &fs) < 0)
        return;
    uint32_t i = weft__add_relaxed(&next_mount, 1u, "mount_next") % MOUNTS;
    weft__store_relaxed(&mounts[i], number << 1 | (uint64_t)is_local_kind((unsigned long)fs.f_type), "mount");
}

static int64_t ns_of(const struct statx_timestamp *t) { return t->tv_sec * WEFT_SECOND + t->tv_nsec; }

static int64_t stat_known(weft_op *op)
{
    struct statx st;
    uint64_t number = 0;
    if (op->stat.path || !op->desc || !op->stat.out || look((int)op->desc->handle, &st, &number) < 0 || number == 0 || is_local(number) != YES)
        return -EAGAIN;
    *op->stat.out = (weft_stat){
        .size = st.stx_size,
        .mtime_ns = ns_of(&st.stx_mtime),
        .ctime_ns = ns_of(&st.stx_ctime),
        .inode = st.stx_ino,
        .device = makedev(st.stx_dev_major, st.stx_dev_minor),
        .mode = st.stx_mode,
        .links = st.stx_nlink,
    };
    return 0;
}

const char *weft__at_once_how(enum weft_opcode code)
{
    switch (code) {
    case WEFT_OP_OPEN:
        return can_open() ? "if every name is in the kernel's memory; else a thread waits" : NULL;
    case WEFT_OP_STAT:
        return "of an open file on a local mount; else a thread waits";
    case WEFT_OP_PREAD:
        return "if the kernel has it in memory; else a thread waits";
    default:
        return NULL;
    }
}

int64_t weft__at_once(weft_op *op)
{
    switch (op->code) {
    case WEFT_OP_OPEN:
        return open_cached(op);
    case WEFT_OP_STAT:
        return stat_known(op);
    case WEFT_OP_PREAD:
        return read_cached(op);
    default:
        return -EAGAIN;
    }
}

#else

const char *weft__at_once_how(enum weft_opcode code)
{
    (void)code;
    return NULL;
}

int64_t weft__at_once(weft_op *op)
{
    (void)op;
    return -EAGAIN;
}

int weft__at_once_has(int fd, uint64_t offset)
{
    (void)fd;
    (void)offset;
    return 0;
}

void weft__at_once_learn(int fd) { (void)fd; }

#endif

int64_t weft__file_at_once(weft_port *port, weft_op *op)
{
    (void)port;
    return weft__at_once(op);
}
