/* Files and directories: each call is one op in the caller's frame, but for reads of what is in memory. Fibers of the
 * owner lane.
 *
 * What the kernel has begun on a file cannot be taken back, so these calls may return later than their deadline; and
 * what succeeded in spite of a cancel is reported as the success it is, so an opened file is never lost. */
#include <errno.h>
#include <string.h>
#include <weft/file.h>

#include "fiber/await.h"
#include "fiber/contain.h"
#include "lane/handle.h"
#include "port/op.h"

#define BYTES_MAX ((size_t)0x7ffff000)

enum { PIECE = 4096 };

/* Of `waits`. What was not in memory is mostly not alone in that, and asking the disk for one by one takes longer than
 * having the ring ask for many. */
enum { AFTER_A_MISS = 32, FOR_EVER = UINT8_MAX };

/* An open file or directory. */
typedef struct open_file {
    weft__handle h;
    /* So many reads are ops without a try; FOR_EVER: all, for nobody can tell what is in memory. */
    uint8_t waits;
    char path[WEFT_ID_PATH]; /* the host's: for weft_id_inspect */
} open_file;

_Static_assert(sizeof(open_file) <= WEFT__RESOURCE_SIZE, "a file fits into a resource record");

static open_file *file_of(weft__handle *h) { return weft__container(h, open_file, h); }

static int pack(weft__resource *r, int64_t deadline)
{
    (void)deadline;
    return weft__handle_pack(weft__handle_of(r));
}

static void copy(weft__resource *fresh, const weft__resource *of, int shared)
{
    weft__handle_copy(weft__handle_of(fresh), weft__handle_of(of), shared);
    file_of(weft__handle_of(fresh))->waits = file_of(weft__handle_of(of))->waits;
}

static void inspect(weft__resource *r, weft_id_info *out)
{
    memcpy(out->path, file_of(weft__handle_host(weft__handle_of(r)))->path, sizeof out->path);
}

static const weft__resource_kind file_type = {.name = "file", .kind = WEFT__FILE, .close = weft__handle_close, .pack = pack, .copy = copy,
                                              .replaced = weft__handle_replaced, .inspect = inspect};
static const weft__resource_kind dir_type = {.name = "directory", .kind = WEFT__DIR, .close = weft__handle_close, .pack = pack, .copy = copy,
                                             .replaced = weft__handle_replaced, .inspect = inspect};

/* The end of a path tells more than its beginning. */
static void remember_path(open_file *f, const char *path)
{
    size_t n = strlen(path);
    if (n < sizeof f->path) {
        memcpy(f->path, path, n + 1);
        return;
    }
    memcpy(f->path, "...", 3);
    memcpy(f->path + 3, path + n - (sizeof f->path - 4), sizeof f->path - 3);
}

/* An op that may start at a directory. */
static int64_t await_from(weft__handle *dir, weft_op *op, int64_t deadline)
{
    return dir ? weft__handle_await(dir, op, deadline) : weft__await_op(op, deadline);
}

static int open_from(weft_id *out, weft__handle *dir, const char *path, unsigned flags, unsigned mode, int64_t deadline)
{
    if (!out || !path)
        return -EINVAL;
    weft_op op;
    weft_op_open(&op, dir ? dir->desc : NULL, path, flags, mode);
    int64_t raw = await_from(dir, &op, deadline);
    if (raw < 0)
        return (int)raw;
    weft__handle *h;
    int r;
    if (flags & WEFT_OPEN_DIRECTORY)
        r = weft__handle_make(&dir_type, (weft_handle)raw, WEFT_DESC_DIR, &h);
    else
        r = weft__handle_make(&file_type, (weft_handle)raw, WEFT_DESC_FILE, &h);
    if (r < 0)
        return r;
    remember_path(file_of(h), path);
    *out = weft__resource_id(&h->res);
    return 0;
}

int weft_open(weft_id *out, const char *path, unsigned flags, unsigned mode, int64_t deadline)
{
    return open_from(out, NULL, path, flags, mode, deadline);
}

int weft_open_at(weft_id *out, weft_id dir, const char *path, unsigned flags, unsigned mode, int64_t deadline)
{
    weft__probe_self();
    weft__handle *h;
    int r = weft__handle_find(dir, WEFT__KINDS_DIR, &h);
    return r < 0 ? r : open_from(out, h, path, flags, mode, deadline);
}

/* Into a record of our own first: *out is written on success only. */
static int stat_of(weft__handle *at, const char *path, weft_stat *out, unsigned flags, int64_t deadline)
{
    weft_op op;
    weft_stat st;
    if (!out)
        return -EINVAL;
    weft_op_stat(&op, at ? at->desc : NULL, path, &st, flags);
    int r = (int)await_from(at, &op, deadline);
    if (r == 0)
        *out = st;
    return r;
}

int weft_stat_path(const char *path, weft_stat *out, unsigned flags, int64_t deadline)
{
    return path ? stat_of(NULL, path, out, flags, deadline) : -EINVAL;
}

int weft_stat_at(weft_id dir, const char *path, weft_stat *out, unsigned flags, int64_t deadline)
{
    weft__probe_self();
    weft__handle *h;
    int r = weft__handle_find(dir, WEFT__KINDS_DIR, &h);
    if (r < 0)
        return r;
    return path ? stat_of(h, path, out, flags, deadline) : -EINVAL;
}

int weft_stat_id(weft_id file, weft_stat *out, int64_t deadline)
{
    weft__handle *h;
    int r = weft__handle_find(file, WEFT__KINDS_FILE | WEFT__KINDS_DIR, &h);
    return r < 0 ? r : stat_of(h, NULL, out, 0, deadline);
}

/* A file, and an offset that the system can express. */
static int find_at(weft_id file, uint64_t offset, weft__handle **out)
{
    int r = weft__handle_find(file, WEFT__KINDS_FILE, out);
    return r == 0 && offset > INT64_MAX ? -EINVAL : r;
}

/* A ring makes the reads of many fibers in one entry, and has the disk asked for all that is missing in one go: that is
 * quicker than a call for each, but where there is only one. */
static int may_read_at_once(const weft__fiber *f, open_file *file)
{
    const weft__worker *w = f->home;
    const weft_port *port = w->port;
    if (file->waits) {
        file->waits = (uint8_t)(file->waits - (file->waits != FOR_EVER));
        return 0;
    }
    if (!port->driver->file_at_once)
        return 0;
    return !w->owns_port || port->plain[WEFT_OP_PREAD] != WEFT_PATH_RING || (!w->ready.head && !port->flying);
}

/* What the kernel has in memory takes no op: one call in the fiber's own turn, and nobody has to wake it. -EAGAIN: it
 * takes one. */
static int64_t read_at_once(weft__fiber *f, open_file *file, void *buf, size_t n, int64_t offset)
{
    weft_port *port = f->home->port;
    weft_op op;
    weft__op_io(&op, WEFT_OP_PREAD, file->h.desc, buf, n);
    op.io.offset = offset;
    int64_t r = port->driver->file_at_once(port, &op);
    if (r == -EAGAIN || r == -EOPNOTSUPP) {
        file->waits = r == -EAGAIN ? AFTER_A_MISS : FOR_EVER;
        return -EAGAIN;
    }
    weft__fiber_transferred(f);
    return r;
}

/* Flags of the op after a try, or none. Where the port's way begins with the same call, it need not be made again. */
static uint8_t flags_after(const weft__fiber *f, int tried)
{
    weft_port *port = f->home->port;
    return tried && port->driver->path(port, WEFT_OP_PREAD) == WEFT_PATH_CALL ? WEFT_OP_OFFLOAD : 0;
}

/* As weft__handle_await, where it is known that nothing hinders the fiber and its own worker has the port. */
static inline int64_t read_by_own_op(weft__handle *h, weft__fiber *f, void *buf, size_t n, int64_t offset,
                                     int64_t deadline, int tried)
{
    weft_op op;
    weft__await a;
    weft__op_io(&op, WEFT_OP_PREAD, h->desc, buf, n);
    op.flags = flags_after(f, tried);
    op.io.offset = offset;
    op.through = h;
    uint16_t gen = weft__handle_begin(h);
    weft__await_begin(&a, f, NULL, &op);
    int64_t r = weft__await_here(&a, deadline);
    return weft__handle_end(h, gen) || r != -EBADF ? r : -ECANCELED;
}

static __attribute__((noinline)) int64_t read_by_op(weft__handle *h, const weft__fiber *f, void *buf, size_t n,
                                                    int64_t offset, int64_t deadline, int tried)
{
    weft_op op;
    weft_op_pread(&op, h->desc, buf, n, offset);
    op.flags = flags_after(f, tried);
    return weft__handle_await(h, &op, deadline);
}

ssize_t weft_pread(weft_id file, void *buf, size_t n, uint64_t offset, int64_t deadline)
{
    weft__fiber *f = weft__fiber_self();
    weft__probe(f);
    weft__handle *h;
    int r = f ? weft__handle_find_of(f, file, WEFT__FILE, &h) : -EPERM;
    if (r < 0)
        return r;
    if (offset > INT64_MAX)
        return -EINVAL;
    if (n > BYTES_MAX)
        n = BYTES_MAX;
    int tried = 0;
    if (weft__fiber_free_to(f)) {
        tried = may_read_at_once(f, file_of(h));
        int64_t got = tried ? read_at_once(f, file_of(h), buf, n, (int64_t)offset) : -EAGAIN;
        if (got != -EAGAIN)
            return (ssize_t)got;
        if (!h->port && f->home->owns_port)
            return (ssize_t)read_by_own_op(h, f, buf, n, (int64_t)offset, deadline, tried);
    }
    return (ssize_t)read_by_op(h, f, buf, n, (int64_t)offset, deadline, tried);
}

ssize_t weft_pwrite(weft_id file, const void *buf, size_t n, uint64_t offset, int64_t deadline)
{
    weft__probe_self();
    weft__handle *h;
    weft_op op;
    int r = find_at(file, offset, &h);
    if (r < 0)
        return r;
    weft_op_pwrite(&op, h->desc, buf, n < BYTES_MAX ? n : BYTES_MAX, (int64_t)offset);
    return (ssize_t)weft__handle_await(h, &op, deadline);
}

int weft_fsync(weft_id file, int datasync, int64_t deadline)
{
    weft__handle *h;
    weft_op op;
    int r = weft__handle_find(file, WEFT__KINDS_FILE | WEFT__KINDS_DIR, &h);
    if (r < 0)
        return r;
    weft_op_fsync(&op, h->desc, datasync);
    return (int)weft__handle_await(h, &op, deadline);
}

ssize_t weft_readdir(weft_id dir, void *buf, size_t n, int64_t deadline)
{
    weft__handle *h;
    weft_op op;
    int r = weft__handle_find(dir, WEFT__KINDS_DIR, &h);
    if (r < 0)
        return r;
    weft_op_readdir(&op, h->desc, buf, n < BYTES_MAX ? n : BYTES_MAX);
    return (ssize_t)weft__handle_await(h, &op, deadline);
}

/* Both descriptors have to be at one port. A file that others share may be at home elsewhere; a socket that nobody
 * shares follows it only where its lane may move, which leaves descriptors at several ports behind. */
static int are_together(weft__handle *to, weft__handle *from)
{
    weft_port *here = weft__handle_port();
    return (to->port ? to->port : here) == (from->port ? from->port : here) || weft__handle_join(to, from) == 0;
}

/* Of a lane that may move, where both were left behind at different places: a piece by way of the stack. */
static int64_t send_piece(weft_id sock, weft__handle *from, uint64_t offset, size_t n, int64_t deadline)
{
    weft__handle *to;
    weft_op op;
    char piece[PIECE];
    weft_op_pread(&op, from->desc, piece, n < PIECE ? n : PIECE, (int64_t)offset);
    int64_t got = weft__handle_await(from, &op, deadline);
    if (got <= 0)
        return got;
    int r = weft__handle_find(sock, WEFT__KINDS_SOCKET, &to);
    if (r < 0)
        return -ECANCELED; /* closed meanwhile */
    weft_op_send(&op, to->desc, piece, (size_t)got);
    return weft__handle_await(to, &op, deadline);
}

/* One step of a transfer; both ids are looked up anew, since a sibling may have closed one after the step before. */
static int64_t send_some(weft_id sock, weft_id file, uint64_t offset, size_t n, int64_t deadline)
{
    weft__handle *to, *from;
    weft_op op;
    int r = weft__handle_find(sock, WEFT__KINDS_SOCKET, &to);
    if (r == 0)
        r = find_at(file, offset, &from);
    if (r < 0)
        return r;
    if (n == 0)
        return weft__await_nothing();
    if (!are_together(to, from))
        return to->res.lane->crew.mobile ? send_piece(sock, from, offset, n, deadline) : -EXDEV;
    weft_op_sendfile(&op, to->desc, from->desc, offset, n < BYTES_MAX ? n : BYTES_MAX);
    return weft__handle_await_pair(to, from, &op, deadline);
}

int weft_sendfile(weft_id sock, weft_id file, uint64_t offset, size_t n, size_t *done, int64_t deadline)
{
    size_t sum = 0;
    int64_t r;
    do {
        r = send_some(sock, file, offset + sum, n - sum, deadline);
        sum += r > 0 ? (size_t)r : 0;
    } while (r > 0 && sum < n);
    if (done)
        *done = sum;
    if (r < 0)
        return r == -EBADF && sum ? -ECANCELED : (int)r;
    return sum < n ? -ENODATA : 0;
}
