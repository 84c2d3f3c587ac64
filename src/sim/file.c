/* Owns the simulated files: a flat map from path to bytes that the program fills with weft_sim_file. Folders are what
 * the paths imply. Read-only for ops, and never slow: delays are the ops' own. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "sim/sim.h"

struct sim_file {
    sim_file *next;
    char *path; /* absolute, no trailing slash */
    char *data;
    size_t size;
    uint64_t ordinal;
    int64_t mtime_ns;
};

#define CALL_NS 500 /* what a system call costs */
#define TYPE_FILE 0100644u
#define TYPE_DIR 0040755u

static sim_file *find(sim *s, const char *path)
{
    for (sim_file *f = s->files; f; f = f->next)
        if (strcmp(f->path, path) == 0)
            return f;
    return NULL;
}

/* What follows the folder's path and a slash, or NULL if the file is not below it. */
static const char *below(const sim_file *f, const char *dir)
{
    const size_t n = strlen(dir);

    if (n == 0)
        return f->path + 1;
    return strncmp(f->path, dir, n) == 0 && f->path[n] == '/' ? f->path + n + 1 : NULL;
}

static int is_dir(sim *s, const char *path)
{
    for (sim_file *f = s->files; f; f = f->next)
        if (below(f, path))
            return 1;
    return path[0] == 0; /* the root is always there */
}

WEFT_API int weft_sim_file(const char *path, const void *data, size_t size)
{
    sim *s = weft__sim_current();
    sim_file *f;
    char *copy;

    if (!s || path[0] != '/' || path[1] == 0 || path[strlen(path) - 1] == '/')
        return -EINVAL;
    copy = malloc(size ? size : 1);
    if (!copy)
        return -ENOMEM;
    memcpy(copy, data, size);
    f = find(s, path);
    if (!f) {
        f = calloc(1, sizeof *f);
        if (!f || !(f->path = strdup(path))) {
            free(f);
            free(copy);
            return -ENOMEM;
        }
        f->ordinal = ++s->file_count;
        f->next = s->files;
        s->files = f;
    }
    free(f->data);
    f->data = copy;
    f->size = size;
    f->mtime_ns = s->now_ns;
    return 0;
}

void weft__sim_files_free(sim *s)
{
    for (sim_file *f = s->files, *next; f; f = next) {
        next = f->next;
        free(f->path);
        free(f->data);
        free(f);
    }
}

/* Joins base and path into an absolute one without ".", ".." and doubled slashes.
 * -EXDEV: it left base, and must not. */
static int resolve(const char *base, const char *path, int beneath, char *out, size_t size)
{
    size_t n = 0, floor_ = 0;

    if (path[0] != '/' || beneath) {
        n = strlen(base);
        if (n >= size)
            return -ENAMETOOLONG;
        memcpy(out, base, n);
        floor_ = beneath ? n : 0;
    }
    if (path[0] == '/' && beneath)
        return -EXDEV;
    while (*path) {
        const size_t part = strcspn(path, "/");

        if (part == 2 && path[0] == '.' && path[1] == '.') {
            if (beneath && n <= floor_)
                return -EXDEV;
            while (n > 0 && out[--n] != '/')
                ;
        } else if (part > 0 && !(part == 1 && path[0] == '.')) {
            if (n + part + 2 > size)
                return -ENAMETOOLONG;
            out[n++] = '/';
            memcpy(out + n, path, part);
            n += part;
        }
        path += part + (path[part] == '/');
    }
    out[n] = 0;
    return 0;
}

static int64_t lookup(sim *s, const weft_op *op, const char *path, int beneath, char *out, size_t size)
{
    const sim_sock *base = NULL;

    if (op->desc) {
        base = weft__sim_sock_of(s, op->desc->handle);
        if (!base)
            return -EBADF;
        if (base->kind != SIM_DIR)
            return -ENOTDIR;
    }
    return resolve(base ? base->path : "", path, beneath, out, size);
}

static int64_t open_op(sim *s, const weft_op *op)
{
    char path[256];
    int64_t r = lookup(s, op, op->open.path, (op->open.flags & WEFT_OPEN_BENEATH) != 0, path, sizeof path);
    sim_file *f;
    sim_sock *k;

    if (r < 0)
        return r;
    if (op->open.flags & (WEFT_OPEN_WRITE | WEFT_OPEN_CREATE | WEFT_OPEN_TRUNCATE | WEFT_OPEN_APPEND))
        return -EROFS;
    f = find(s, path);
    if (!f && !is_dir(s, path))
        return -ENOENT;
    if (f && op->open.flags & WEFT_OPEN_DIRECTORY)
        return -ENOTDIR;
    if (s->handles_open >= s->opt.max_handles)
        return -EMFILE;
    k = weft__sim_sock_new(s, f ? SIM_FILE : SIM_DIR);
    k->file = f;
    memcpy(k->path, path, sizeof path);
    return weft__sim_handle_new(s, k);
}

static void fill_stat(const sim_file *f, weft_stat *out)
{
    memset(out, 0, sizeof *out);
    out->size = f ? f->size : 0;
    out->mtime_ns = out->ctime_ns = f ? f->mtime_ns : 0;
    out->inode = f ? f->ordinal : 1000000;
    out->mode = f ? TYPE_FILE : TYPE_DIR;
    out->links = 1;
}

static int64_t stat_op(sim *s, const weft_op *op)
{
    char path[256];
    sim_file *f;
    int64_t r;

    if (!op->stat.path) {
        const sim_sock *k = op->desc ? weft__sim_sock_of(s, op->desc->handle) : NULL;

        if (!k)
            return -EBADF;
        fill_stat(k->file, op->stat.out);
        return 0;
    }
    r = lookup(s, op, op->stat.path, 0, path, sizeof path);
    if (r < 0)
        return r;
    f = find(s, path);
    if (!f && !is_dir(s, path))
        return -ENOENT;
    fill_stat(f, op->stat.out);
    return 0;
}

static int64_t pread_op(sim *s, const weft_op *op)
{
    sim_sock *k = weft__sim_sock_of(s, op->desc->handle);
    size_t at, n;

    if (!k)
        return -EBADF;
    if (k->kind != SIM_FILE)
        return k->kind == SIM_DIR ? -EISDIR : -ESPIPE;
    at = op->io.offset < 0 ? k->position : (size_t)op->io.offset;
    if (at >= k->file->size)
        return 0;
    n = k->file->size - at < op->io.len ? k->file->size - at : op->io.len;
    if (n > 1 && sim_random_one_in(&s->choices, 8))
        n = 1 + (size_t)sim_random_below(&s->choices, n); /* a short read */
    memcpy(op->io.buf, k->file->data + at, n);
    if (op->io.offset < 0)
        k->position = at + n;
    return (int64_t)n;
}

/* Whether an older file of the map already stands for this first part of the path below dir. */
static int named_before(sim *s, const sim_file *f, const char *dir, const char *name, size_t n)
{
    for (sim_file *o = s->files; o && o != f; o = o->next) {
        const char *other = below(o, dir);

        if (other && strncmp(other, name, n) == 0 && (other[n] == 0 || other[n] == '/'))
            return 1;
    }
    return 0;
}

static int64_t readdir_op(sim *s, const weft_op *op)
{
    sim_sock *k = weft__sim_sock_of(s, op->desc->handle);
    size_t used = 0, index = 0;

    if (!k)
        return -EBADF;
    if (k->kind != SIM_DIR)
        return -ENOTDIR;
    for (sim_file *f = s->files; f; f = f->next) {
        const char *name = below(f, k->path);
        const size_t n = name ? strcspn(name, "/") : 0;
        const size_t length = (offsetof(weft_dirent, name) + n + 1 + 7) & ~(size_t)7;
        weft_dirent *e;

        if (!name || named_before(s, f, k->path, name, n) || index++ < k->position)
            continue;
        if (used + length > op->io.len)
            return used ? (int64_t)used : -EINVAL;
        e = (weft_dirent *)(void *)((char *)op->io.buf + used);
        e->length = (uint16_t)length;
        e->name_len = (uint16_t)n;
        e->type = name[n] ? 'd' : 'f';
        memcpy(e->name, name, n);
        e->name[n] = 0;
        used += length;
        k->position++;
    }
    return (int64_t)used;
}

int64_t weft__sim_file_op(sim *s, weft_op *op)
{
    switch (op->code) {
    case WEFT_OP_OPEN:
        return open_op(s, op);
    case WEFT_OP_STAT:
        return stat_op(s, op);
    case WEFT_OP_PREAD:
        return pread_op(s, op);
    default:
        return readdir_op(s, op);
    }
}

/* What a kernel answers that was asked not to wait: mostly what it has, now and then that it would have to wait, seldom
 * that it cannot tell and never will. A call into it is a place where others may run. */
int64_t weft__sim_file_at_once(weft_port *port, weft_op *op)
{
    sim *s = weft__sim_current();
    int64_t r;

    (void)port;
    weft__sim_pass(s, CALL_NS);
    if (sim_random_one_in(&s->choices, 4))
        weft__sim_yield(s);
    if (sim_random_one_in(&s->choices, 16))
        r = -EOPNOTSUPP;
    else
        r = sim_random_one_in(&s->choices, 4) ? -EAGAIN : weft__sim_file_op(s, op);
    weft__sim_note(s, "in memory", weft_op_name((enum weft_opcode)op->code), op->desc ? (int64_t)op->desc->handle : -1,
                   r);
    return r;
}

int64_t weft__sim_file_piece(sim *s, const weft_op *op, struct iovec *out)
{
    const sim_sock *k = op->desc2 ? weft__sim_sock_of(s, op->desc2->handle) : NULL;
    size_t n;

    if (!k)
        return -EBADF;
    if (k->kind != SIM_FILE)
        return -EINVAL;
    if (op->sendfile.offset >= k->file->size)
        return 0;
    n = k->file->size - (size_t)op->sendfile.offset;
    out->iov_base = k->file->data + op->sendfile.offset;
    out->iov_len = n < op->sendfile.len ? n : op->sendfile.len;
    return (int64_t)out->iov_len;
}
