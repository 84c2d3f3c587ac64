/* What this kernel's rings can do, op by op: which path each takes and, in a line, why. Asked once, when the port is
 * opened, unless a feature flag tells of a release that has them all; what the answer hides (a seccomp filter, a file
 * system) shows as -EINVAL, -EOPNOTSUPP or -EPERM when an op runs, and the core then takes the next path for that op
 * alone. */
#include <string.h>

#include "port/at_once.h"
#include "port/uring.h"

#define PROBED 64u

struct row {
    uint8_t needs[3]; /* kernel ops, 0: none (NOP is always there) */
    const char *why;
};

static const struct row rows[WEFT_OP_COUNT] = {
    [WEFT_OP_NOP] = {{0}, ""},
    [WEFT_OP_ACCEPT] = {{IORING_OP_ACCEPT}, ""},
    [WEFT_OP_CONNECT] = {{IORING_OP_CONNECT}, ""},
    [WEFT_OP_RECV] = {{IORING_OP_RECV, IORING_OP_READ}, ""},
    [WEFT_OP_SEND] = {{IORING_OP_SEND, IORING_OP_WRITE}, ""},
    [WEFT_OP_READV] = {{IORING_OP_RECVMSG, IORING_OP_READV}, ""},
    [WEFT_OP_WRITEV] = {{IORING_OP_SENDMSG, IORING_OP_WRITEV}, ""},
    [WEFT_OP_POLL] = {{IORING_OP_POLL_ADD}, ""},
    [WEFT_OP_PREAD] = {{IORING_OP_READ}, ""},
    [WEFT_OP_PWRITE] = {{IORING_OP_WRITE}, ""},
    [WEFT_OP_FSYNC] = {{IORING_OP_FSYNC}, ""},
    [WEFT_OP_OPEN] = {{IORING_OP_OPENAT2}, ""},
    [WEFT_OP_STAT] = {{IORING_OP_STATX}, ""},
};

static void choose(weft__uring *u, enum weft_opcode code, enum weft_path path, const char *why)
{
    u->path[code] = (uint8_t)path;
    u->why[code] = why;
}

static enum weft_path without_ring(enum weft_opcode code)
{
    switch (code) {
    case WEFT_OP_ACCEPT:
    case WEFT_OP_CONNECT:
    case WEFT_OP_RECV:
    case WEFT_OP_SEND:
    case WEFT_OP_READV:
    case WEFT_OP_WRITEV:
        return WEFT_PATH_READY;
    case WEFT_OP_POLL:
        return WEFT_PATH_RING;
    default:
        return WEFT_PATH_POOL;
    }
}

static int has(const struct io_uring_probe_op *ops, unsigned n, unsigned op)
{
    return op < n && ops[op].flags & IO_URING_OP_SUPPORTED;
}

void weft__uring_probe(weft__uring *u)
{
    struct {
        struct io_uring_probe_op head[2]; /* struct io_uring_probe without its array */
        struct io_uring_probe_op ops[PROBED];
    } answer;
    struct io_uring_probe head;
    memset(&answer, 0, sizeof answer);
    _Static_assert(sizeof head == sizeof answer.head, "the probe's array follows its head");
    unsigned n = 0;
    if (!u->recent && u->sys->reg(u->sys->self, u->fd, IORING_REGISTER_PROBE, &answer, PROBED) >= 0) {
        memcpy(&head, &answer, sizeof head);
        n = head.ops_len < PROBED ? head.ops_len : PROBED;
    }

    for (unsigned code = 0; code < WEFT_OP_COUNT; code++) {
        const struct row *row = &rows[code];
        if (!row->why)
            continue;
        int there = 1;
        for (unsigned i = 0; i < sizeof row->needs; i++)
            there &= !row->needs[i] || !n || has(answer.ops, n, row->needs[i]);
        if (there)
            choose(u, (enum weft_opcode)code, WEFT_PATH_RING, row->why);
        else
            choose(u, (enum weft_opcode)code, without_ring((enum weft_opcode)code),
                   "this kernel's rings do not have it");
    }
    choose(u, WEFT_OP_SHUTDOWN, WEFT_PATH_CALL, "never waits; the ring would hand it to a kernel thread");
    choose(u, WEFT_OP_CLOSE, WEFT_PATH_CALL, "with the last handle");
    choose(u, WEFT_OP_POST, WEFT_PATH_CALL, "");
    choose(u, WEFT_OP_READDIR, WEFT_PATH_POOL, "rings have no such op");
    choose(u, WEFT_OP_CALL, WEFT_PATH_POOL, "");
    choose(u, WEFT_OP_SENDFILE, WEFT_PATH_READY,
           "sendfile(2), then the ring waits: splicing by ring takes a kernel thread and a pipe");

    if (u->sends_past && u->path[WEFT_OP_SEND] == WEFT_PATH_RING)
        u->why[WEFT_OP_SEND] = "a small one that would be alone in an entry is a plain call";

    /* Multishot forms came with the release that brought these ops. */
    const int off = !!(u->port->config.disable & WEFT_URING_NO_MULTISHOT);
    u->multi_accept = !off && (!n || has(answer.ops, n, IORING_OP_SOCKET));
    u->multi_recv = !off && (!n || has(answer.ops, n, IORING_OP_SEND_ZC));
    if (u->path[WEFT_OP_PREAD] == WEFT_PATH_RING && weft__at_once_how(WEFT_OP_PREAD))
        u->why[WEFT_OP_PREAD] = "but fibers read what the kernel has in memory by a call of their own";
    if (!u->multi_accept)
        u->why[WEFT_OP_ACCEPT] = "one at a time: multishot is off or not in this kernel";
    if (!u->buffers.ring)
        u->why[WEFT_OP_RECV] = WEFT__NO_BUFFER_RING;
    else if (!u->multi_recv)
        u->why[WEFT_OP_RECV] = "streams one at a time: multishot is off or not in this kernel";
}
