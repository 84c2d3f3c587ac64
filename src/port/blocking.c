/* What a thread of the blocking pool does for an op: the plain blocking calls. No state but the op's; any thread
 * that owns the op. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/atomic.h"
#include "port/at_once.h"
#include "port/beneath.h"
#include "port/port.h"

static int64_t told(int64_t r) { return r < 0 ? -errno : r; }

int weft__open_flags(unsigned flags)
{
    int access = flags & WEFT_OPEN_WRITE ? (flags & WEFT_OPEN_READ ? O_RDWR : O_WRONLY) : O_RDONLY;
    /* Opening a FIFO or a device must not wait for its other side, nor take a terminal. */
    int f = access | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    if (flags & WEFT_OPEN_CREATE)
        f |= O_CREAT;
    if (flags & WEFT_OPEN_TRUNCATE)
        f |= O_TRUNC;
    if (flags & WEFT_OPEN_EXCLUSIVE)
        f |= O_EXCL;
    if (flags & WEFT_OPEN_APPEND)
        f |= O_APPEND;
    if (flags & WEFT_OPEN_DIRECTORY)
        f |= O_DIRECTORY;
    if (flags & WEFT_OPEN_NOFOLLOW)
        f |= O_NOFOLLOW;
    return f;
}

static int start_of(const weft_op *op) { return op->desc ? (int)op->desc->handle : AT_FDCWD; }

static int64_t run_open(weft_op *op)
{
    if (!op->open.path)
        return -EINVAL;
    int flags = weft__open_flags(op->open.flags);
    if (op->open.flags & WEFT_OPEN_BENEATH)
        return weft__open_beneath(start_of(op), op->open.path, flags, op->open.mode);
    return told(openat(start_of(op), op->open.path, flags, (mode_t)op->open.mode));
}

static int64_t in_ns(struct timespec t) { return (int64_t)t.tv_sec * WEFT_SECOND + t.tv_nsec; }

static int64_t run_stat(weft_op *op)
{
    struct stat st;
    int r;
    if (!op->stat.out || (!op->stat.path && !op->desc))
        return -EINVAL;
    if (op->stat.path)
        r = fstatat(start_of(op), op->stat.path, &st, op->stat.flags & WEFT_STAT_NOFOLLOW ? AT_SYMLINK_NOFOLLOW : 0);
    else
        r = fstat((int)op->desc->handle, &st);
    if (r < 0)
        return -errno;
    if (!op->stat.path)
        weft__at_once_learn((int)op->desc->handle);
    *op->stat.out = (weft_stat){
        .size = (uint64_t)st.st_size,
        .mtime_ns = in_ns(st.st_mtim),
        .ctime_ns = in_ns(st.st_ctim),
        .inode = st.st_ino,
        .device = st.st_dev,
        .mode = st.st_mode,
        .links = (uint32_t)st.st_nlink,
    };
    return 0;
}

#ifdef __linux__
/* As the kernel gives them. Our record is never longer than the kernel's for the same name, so they are rewritten
 * where they lie. */
struct kernel_dirent {
    uint64_t inode;
    int64_t offset;
    uint16_t length;
    uint8_t type;
    char name[];
};
_Static_assert(offsetof(weft_dirent, name) < offsetof(struct kernel_dirent, name), "records shrink");

static uint8_t type_of(uint8_t type)
{
    return type == DT_REG ? 'f' : type == DT_DIR ? 'd' : type == DT_LNK ? 'l' : '?';
}

static int is_dots(const char *name) { return name[0] == '.' && (name[1] == 0 || (name[1] == '.' && name[2] == 0)); }

static size_t rewrite(char *buf, size_t n)
{
    size_t out = 0;
    for (size_t in = 0; in < n;) {
        struct kernel_dirent k;
        memcpy(&k, buf + in, offsetof(struct kernel_dirent, name));
        const char *name = buf + in + offsetof(struct kernel_dirent, name);
        if (!is_dots(name)) {
            size_t len = strlen(name), need = (offsetof(weft_dirent, name) + len + 1 + 7) & ~(size_t)7;
            weft_dirent head = {.length = (uint16_t)need, .name_len = (uint16_t)len, .type = type_of(k.type)};
            memmove(buf + out + offsetof(weft_dirent, name), name, len + 1);
            memcpy(buf + out, &head, offsetof(weft_dirent, name));
            out += need;
        }
        in += k.length;
    }
    return out;
}

static int64_t run_readdir(weft_op *op)
{
    if ((uintptr_t)op->io.buf & 7)
        return -EINVAL; /* records are aligned in memory, not only in the buffer */
    for (;;) {
        size_t room = op->io.len > INT32_MAX ? INT32_MAX : op->io.len;
        long n = syscall(SYS_getdents64, (int)op->desc->handle, op->io.buf, room);
        if (n <= 0)
            return told(n);
        size_t out = rewrite(op->io.buf, (size_t)n);
        if (out > 0)
            return (int64_t)out;
        /* Nothing but "." and "..", which we leave out: 0 would say that the directory has ended. */
    }
}
#else
static int64_t run_readdir(weft_op *op)
{
    (void)op;
    return -ENOTSUP;
}
#endif

static int64_t run_pread(weft_op *op)
{
    int fd = (int)op->desc->handle;
    if (op->io.offset < 0)
        return told(read(fd, op->io.buf, op->io.len));
    return told(pread(fd, op->io.buf, op->io.len, (off_t)op->io.offset));
}

static int64_t run_pwrite(weft_op *op)
{
    int fd = (int)op->desc->handle;
    if (op->io.offset < 0)
        return told(write(fd, op->io.buf, op->io.len));
    return told(pwrite(fd, op->io.buf, op->io.len, (off_t)op->io.offset));
}

/* The last resort for ops of sockets and pipes whose readiness cannot be waited for: here a thread waits. It looks
 * up now and then, as a cancel has no other way to reach it. */
static int64_t run_waiting(weft_op *op, short events)
{
    op->drv[7] = 0;
    for (;;) {
        int64_t r = weft__op_attempt(op);
        if (r != -EAGAIN)
            return r;
        if (weft__load_relaxed(&op->cancelling, "op_cancelling"))
            return -ECANCELED;
        struct pollfd p = {.fd = (int)op->desc->handle, .events = events};
        if (poll(&p, 1, 50) < 0 && errno != EINTR)
            return -errno;
    }
}

static int64_t run(weft_op *op)
{
    switch (op->code) {
    case WEFT_OP_CALL:
        return op->call.fn(op->call.arg);
    case WEFT_OP_OPEN:
        return run_open(op);
    case WEFT_OP_STAT:
        return run_stat(op);
    case WEFT_OP_READDIR:
        return run_readdir(op);
    case WEFT_OP_PREAD:
        return run_pread(op);
    case WEFT_OP_PWRITE:
        return run_pwrite(op);
    case WEFT_OP_FSYNC:
        return told(op->fsync.datasync ? fdatasync((int)op->desc->handle) : fsync((int)op->desc->handle));
    case WEFT_OP_RECV:
    case WEFT_OP_READV:
        return run_waiting(op, POLLIN);
    case WEFT_OP_SEND:
    case WEFT_OP_WRITEV:
    case WEFT_OP_SENDFILE:
        return run_waiting(op, POLLOUT);
    default:
        return -ENOTSUP;
    }
}

int64_t weft__op_run_blocking(weft_op *op)
{
    int64_t r;
    do
        r = run(op);
    while (r == -EINTR && op->code != WEFT_OP_CALL); /* what a caller's function answers is its own */
    return r;
}
