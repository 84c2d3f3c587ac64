/* The op table and the functions that fill ops. No state; any thread. */
#include "port/op.h"

const weft__op_row weft__op_rows[WEFT_OP_COUNT] = {
    /* code                 name        direction     cancellable pooled desc */
    [WEFT_OP_NOP] =        {"nop",      WEFT__NONE,   1,          0,     0},
    [WEFT_OP_ACCEPT] =     {"accept",   WEFT__READ,   1,          0,     1},
    [WEFT_OP_CONNECT] =    {"connect",  WEFT__WRITE,  1,          0,     1},
    [WEFT_OP_RECV] =       {"recv",     WEFT__READ,   1,          1,     1},
    [WEFT_OP_SEND] =       {"send",     WEFT__WRITE,  1,          1,     1},
    [WEFT_OP_READV] =      {"readv",    WEFT__READ,   1,          1,     1},
    [WEFT_OP_WRITEV] =     {"writev",   WEFT__WRITE,  1,          1,     1},
    [WEFT_OP_POLL] =       {"poll",     WEFT__EITHER, 1,          0,     1},
    [WEFT_OP_SHUTDOWN] =   {"shutdown", WEFT__NONE,   0,          0,     1},
    [WEFT_OP_PREAD] =      {"pread",    WEFT__NONE,   0,          1,     1},
    [WEFT_OP_PWRITE] =     {"pwrite",   WEFT__NONE,   0,          1,     1},
    [WEFT_OP_FSYNC] =      {"fsync",    WEFT__NONE,   0,          1,     1},
    [WEFT_OP_OPEN] =       {"open",     WEFT__NONE,   0,          1,     2},
    [WEFT_OP_STAT] =       {"stat",     WEFT__NONE,   0,          1,     2},
    [WEFT_OP_READDIR] =    {"readdir",  WEFT__NONE,   0,          1,     1},
    [WEFT_OP_SENDFILE] =   {"sendfile", WEFT__WRITE,  1,          1,     1},
    [WEFT_OP_CLOSE] =      {"close",    WEFT__NONE,   0,          0,     1},
    [WEFT_OP_CALL] =       {"call",     WEFT__NONE,   0,          1,     0},
    [WEFT_OP_POST] =       {"post",     WEFT__NONE,   0,          0,     0},
};

const char *weft_op_name(enum weft_opcode code)
{
    return (unsigned)code < WEFT_OP_COUNT ? weft__op_rows[code].name : "unknown";
}

int weft_op_cancellable(enum weft_opcode code)
{
    return (unsigned)code < WEFT_OP_COUNT && weft__op_rows[code].cancellable;
}

int64_t weft__op_wanted(const weft_op *op)
{
    switch (op->code) {
    case WEFT_OP_RECV:
    case WEFT_OP_SEND:
    case WEFT_OP_PREAD:
    case WEFT_OP_PWRITE:
        return (int64_t)op->io.len;
    case WEFT_OP_SENDFILE:
        return (int64_t)op->sendfile.len;
    case WEFT_OP_READV:
    case WEFT_OP_WRITEV: {
        int64_t sum = 0;
        for (uint32_t i = 0; i < op->vec.count; i++)
            sum += (int64_t)op->vec.iov[i].iov_len;
        return sum;
    }
    default:
        return -1;
    }
}

/* This runs once a request, so it writes what is read before it is written and nothing else: not the union, which the
 * caller fills, not what weft__op_prepare resets, not the drivers' part. */
static void fill(weft_op *op, enum weft_opcode code, weft_desc *desc)
{
    op->task.next = NULL;
    op->task.run = NULL;
    op->code = (uint8_t)code;
    op->flags = 0;
    op->state = WEFT_OP_IDLE;
    op->path = WEFT_PATH_NONE;
    op->cancelling = 0;
    op->attempts = 0;
    op->tag = 0;
    op->result = 0;
    op->desc = desc;
    op->desc2 = NULL;
    op->more = NULL;
    op->key = 0;
    op->port = NULL;
    op->origin = NULL;
    op->link = NULL;
    op->submitter = NULL;
    op->cancel_state = 0;
    op->prompt = 0;
}

static void fill_io(weft_op *op, enum weft_opcode code, weft_desc *desc, void *buf, size_t len, int64_t offset)
{
    fill(op, code, desc);
    op->io.buf = buf;
    op->io.len = len;
    op->io.offset = offset;
    op->io.flags = 0;
}

void weft_op_nop(weft_op *op) { fill(op, WEFT_OP_NOP, NULL); }

void weft_op_accept(weft_op *op, weft_desc *listener, weft_addr *peer)
{
    fill(op, WEFT_OP_ACCEPT, listener);
    op->accept.peer = peer;
}

void weft_op_accept_multi(weft_op *op, weft_desc *listener, void (*more)(weft_op *, int64_t, weft_buffer *))
{
    fill(op, WEFT_OP_ACCEPT, listener);
    op->accept.peer = NULL;
    op->flags = WEFT_OP_MULTI;
    op->more = more;
}

void weft_op_connect(weft_op *op, weft_desc *sock, const weft_addr *addr)
{
    fill(op, WEFT_OP_CONNECT, sock);
    op->connect.addr = addr;
}

void weft_op_recv(weft_op *op, weft_desc *sock, void *buf, size_t len)
{
    fill_io(op, WEFT_OP_RECV, sock, buf, len, -1);
}

void weft_op_recv_multi(weft_op *op, weft_desc *sock, void (*more)(weft_op *, int64_t, weft_buffer *))
{
    fill_io(op, WEFT_OP_RECV, sock, NULL, 0, -1);
    op->flags = WEFT_OP_MULTI;
    op->more = more;
}

/* The casts drop const: one union field serves both directions, and ports only read what they send. */
void weft_op_send(weft_op *op, weft_desc *sock, const void *buf, size_t len)
{
    fill_io(op, WEFT_OP_SEND, sock, (void *)(uintptr_t)buf, len, -1);
}

void weft_op_readv(weft_op *op, weft_desc *d, const struct iovec *iov, unsigned count)
{
    fill(op, WEFT_OP_READV, d);
    op->vec.iov = iov;
    op->vec.count = count;
}

void weft_op_writev(weft_op *op, weft_desc *d, const struct iovec *iov, unsigned count)
{
    fill(op, WEFT_OP_WRITEV, d);
    op->vec.iov = iov;
    op->vec.count = count;
}

void weft_op_poll(weft_op *op, weft_desc *d, unsigned events)
{
    fill(op, WEFT_OP_POLL, d);
    op->poll.events = events;
}

void weft_op_shutdown(weft_op *op, weft_desc *sock, int how)
{
    fill(op, WEFT_OP_SHUTDOWN, sock);
    op->shutdown.how = how;
}

void weft_op_pread(weft_op *op, weft_desc *file, void *buf, size_t len, int64_t offset)
{
    fill_io(op, WEFT_OP_PREAD, file, buf, len, offset);
}

void weft_op_pwrite(weft_op *op, weft_desc *file, const void *buf, size_t len, int64_t offset)
{
    fill_io(op, WEFT_OP_PWRITE, file, (void *)(uintptr_t)buf, len, offset);
}

void weft_op_fsync(weft_op *op, weft_desc *file, int datasync)
{
    fill(op, WEFT_OP_FSYNC, file);
    op->fsync.datasync = datasync;
}

void weft_op_open(weft_op *op, weft_desc *dir, const char *path, unsigned flags, unsigned mode)
{
    fill(op, WEFT_OP_OPEN, dir);
    op->open.path = path;
    op->open.flags = flags;
    op->open.mode = mode;
}

void weft_op_stat(weft_op *op, weft_desc *at, const char *path, weft_stat *out, unsigned flags)
{
    fill(op, WEFT_OP_STAT, at);
    op->stat.path = path;
    op->stat.out = out;
    op->stat.flags = flags;
}

void weft_op_readdir(weft_op *op, weft_desc *dir, void *buf, size_t len)
{
    fill_io(op, WEFT_OP_READDIR, dir, buf, len, -1);
}

void weft_op_sendfile(weft_op *op, weft_desc *sock, weft_desc *file, uint64_t offset, size_t len)
{
    fill(op, WEFT_OP_SENDFILE, sock);
    op->desc2 = file;
    op->sendfile.offset = offset;
    op->sendfile.len = len;
}

void weft_op_close(weft_op *op, weft_desc *desc) { fill(op, WEFT_OP_CLOSE, desc); }

void weft_op_call(weft_op *op, int64_t (*fn)(void *), void *arg, const char *pool)
{
    fill(op, WEFT_OP_CALL, NULL);
    op->call.fn = fn;
    op->call.arg = arg;
    op->call.pool = pool;
}

void weft_op_post(weft_op *op, int64_t result)
{
    fill(op, WEFT_OP_POST, NULL);
    op->result = result;
}

void weft_op_then(weft_op *op, weft_op *next, int hard)
{
    op->flags = (uint8_t)(op->flags | (hard ? WEFT_OP_LINK | WEFT_OP_LINK_HARD : WEFT_OP_LINK));
    op->link = next;
}
