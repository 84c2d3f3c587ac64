/* Operations: what a port is asked to do. An op is caller's memory, filled by one of the weft_op_* functions below
 * and submitted to a port; it belongs to the port until its terminal completion, and so do its buffer, its paths and
 * its descriptor (DESIGN rule 3). Fibers never see ops: the calls in net.h and file.h are ops plus a park. */
#ifndef WEFT_OP_H
#define WEFT_OP_H

#include <sys/uio.h>
#include <weft/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weft_op weft_op;
typedef struct weft_desc weft_desc;

/* An address of a stream socket, the same on every platform. */
enum weft_family { WEFT_ADDR_NONE = 0, WEFT_ADDR_IP4 = 4, WEFT_ADDR_IP6 = 6, WEFT_ADDR_UNIX = 1 };
typedef struct weft_addr {
    uint16_t family;   /* enum weft_family */
    uint16_t port;     /* host byte order; 0 lets the system choose when listening */
    uint32_t scope;    /* IPv6 zone */
    uint16_t path_len; /* of a Unix address; an abstract name begins with a zero byte */
    union {
        uint8_t ip4[4];
        uint8_t ip6[16];
        char path[108];
    };
} weft_addr;

/* The op set: one row here, one in each port's table (`path` of the driver). The comment says what the result is. */
enum weft_opcode {
    WEFT_OP_NOP,      /* 0 */
    WEFT_OP_ACCEPT,   /* the accepted handle; with WEFT_OP_MULTI one `more` call each */
    WEFT_OP_CONNECT,  /* 0 */
    WEFT_OP_RECV,     /* bytes, 0 at the peer's end; with WEFT_OP_MULTI into provided buffers, one `more` call each */
    WEFT_OP_SEND,     /* bytes, possibly fewer than asked */
    WEFT_OP_READV,    /* as RECV, into vectors */
    WEFT_OP_WRITEV,   /* as SEND, from vectors */
    WEFT_OP_POLL,     /* which of WEFT_READABLE, WEFT_WRITABLE, WEFT_HANGUP hold */
    WEFT_OP_SHUTDOWN, /* 0 */
    WEFT_OP_PREAD,    /* bytes read at an offset, 0 at the end */
    WEFT_OP_PWRITE,   /* bytes written at an offset */
    WEFT_OP_FSYNC,    /* 0 */
    WEFT_OP_OPEN,     /* the opened handle */
    WEFT_OP_STAT,     /* 0, *stat filled */
    WEFT_OP_READDIR,  /* bytes of weft_dirent records in buf, 0 at the end */
    WEFT_OP_SENDFILE, /* bytes moved from desc2 (a file) to desc (a socket) */
    WEFT_OP_CLOSE,    /* 0, or the kernel's answer: gives up a handle of desc; the last one's ends when desc is gone */
    WEFT_OP_CALL,     /* what the function returned, run on a thread of the blocking pool */
    WEFT_OP_POST,     /* a completion of the caller's own: result is as set */
    WEFT_OP_COUNT
};

/* Flags of an op. */
#define WEFT_OP_MULTI 0x01  /* ACCEPT, RECV: goes on until cancelled or ended; each result goes to `more` */
#define WEFT_OP_LINK 0x02   /* the chain's next op starts when this one succeeded in full, else ends with -ECANCELED */
#define WEFT_OP_OFFLOAD 0x04 /* start on the blocking pool at once: it is known to wait */
#define WEFT_OP_DISTURB 0x08 /* CALL: each cancel while the function runs ends the system call that it is in, if it can
                              * be ended, with EINTR */
#define WEFT_OP_LINK_HARD 0x08 /* with WEFT_OP_LINK: the next op starts when this one has ended, however it ended */

/* States of an op. */
enum weft_op_state { WEFT_OP_IDLE, WEFT_OP_QUEUED, WEFT_OP_FLYING, WEFT_OP_DONE };

#define WEFT_READABLE 0x01u
#define WEFT_WRITABLE 0x02u
#define WEFT_HANGUP 0x04u

/* How an op is carried out; what `weft info` prints. */
enum weft_path { WEFT_PATH_NONE, WEFT_PATH_RING, WEFT_PATH_READY, WEFT_PATH_POOL, WEFT_PATH_CALL, WEFT_PATH_SIM };

/* A filled provided buffer: memory that a port lent out, holding what was received. Give it back with
 * weft_port_release. */
typedef struct weft_buffer {
    void *data;
    uint32_t len;
    uint32_t bid; /* the port's name for it */
    weft_port *port;
} weft_buffer;

/* What stat tells, the same on every platform. */
typedef struct weft_stat {
    uint64_t size;
    int64_t mtime_ns, ctime_ns;
    uint64_t inode, device;
    uint32_t mode; /* POSIX type and permission bits */
    uint32_t links;
} weft_stat;

/* One directory entry in a READDIR buffer: records follow one another, each `length` bytes, 8-aligned. */
typedef struct weft_dirent {
    uint16_t length;
    uint16_t name_len;
    uint8_t type; /* 'f' file, 'd' directory, 'l' link, '?' other or unknown */
    char name[];  /* zero-terminated */
} weft_dirent;

struct weft_op {
    weft_task task;  /* run() is called at the terminal completion, on the home port's thread or the submitter's */
    uint8_t code;    /* enum weft_opcode */
    uint8_t flags;   /* WEFT_OP_* */
    uint8_t state;   /* enum weft_op_state; written by the home port's thread */
    uint8_t path;    /* enum weft_path taken */
    uint8_t cancelling; /* a cancel was asked for */
    uint8_t attempts;   /* paths refused so far */
    uint16_t tag;       /* generation, to tell late completions apart; the driver's */
    int64_t result;  /* valid once DONE */
    weft_desc *desc; /* what it works on, or NULL */
    uint64_t key;    /* the caller's; ports only carry it */
    union {
        struct { void *buf; size_t len; int64_t offset; uint32_t flags; } io; /* RECV SEND PREAD...; offset -1: none */
        struct { const struct iovec *iov; uint32_t count; } vec;
        struct { const weft_addr *addr; } connect;
        struct { weft_addr *peer; } accept; /* or NULL */
        struct { uint32_t events; } poll;
        struct { int how; } shutdown; /* SHUT_RD 0, SHUT_WR 1, SHUT_RDWR 2 */
        struct { const char *path; uint32_t flags; uint32_t mode; } open;  /* desc: directory to start from, or NULL */
        struct { const char *path; weft_stat *out; uint32_t flags; } stat; /* path NULL: of the open file desc */
        struct { uint64_t offset; size_t len; } sendfile;
        struct { int64_t (*fn)(void *arg); void *arg; const char *pool; } call; /* pool: name; NULL: the default */
        struct { int datasync; } fsync;
    };

    /* Private to ports and to whoever submitted; up to `drv` is what an op's end touches, two cache lines of a record
     * that mostly lies on the stack of a fiber which waited. */
    weft_port *port;                /* home, fixed at submission */
    weft_op *desc_next, **desc_prev;   /* desc's ops in flight: the next, and who points here */
    int32_t early;                  /* an error found at acceptance, told when the op's turn comes */
    uint8_t prompt;                 /* the submitter's: task.run may be called while the home thread reaps, for it
                                     * submits and ends nothing */
    uint8_t accepted;               /* the home port has it */
    uint8_t pinned;                 /* 1: desc, 2: desc2 counts it */
    uint8_t native;                 /* the driver runs its chain */
    uint64_t drv[8];                /* driver's scratch: sockaddr lengths, readiness, small message headers */

    /* The submitter's, as what comes first. */
    weft_desc *desc2; /* SENDFILE: where from */
    /* Intermediate result of a MULTI op, called on the home port's thread while it reaps: keep it short, submit
     * nothing that waits. buffer is NULL for ACCEPT; for RECV it is the callee's from now on. */
    void (*more)(weft_op *op, int64_t result, weft_buffer *buffer);

    /* Private again. */
    void *origin;                   /* where its end is delivered: the submitter's worker, NULL for the home port */
    const char *submitter;          /* a name for reports, or NULL */
    const void *through, *through2; /* the handles of desc and desc2 that it was submitted through, where somebody told
                                     * the port to cancel by these; not set by the weft_op_* functions */
    weft_op *link;                  /* next op of a chain: weft_op_then */
    weft_op *link_prev;             /* the op before this one in its chain, while that has not ended */
    weft_op *desc2_next, **desc2_prev; /* as desc_next, for desc2 */
    void (*after)(weft_task *task); /* task.run, while the task carries the op through an inbox */
    weft_task cancel_task;          /* a stand-alone port's cancel request */
    uint32_t cancel_state;          /* of it (atomic) */
    uint64_t done_key;              /* what a stand-alone port's completion carries: desc may be gone by then */
    weft_op *check_next, *check_prev; /* all ops in flight, in checked builds */
    weft_op *wait_next;             /* driver's queue */
};

/* Flags of weft_op open.flags; the port maps them to the system's. */
#define WEFT_OPEN_READ 0x01u
#define WEFT_OPEN_WRITE 0x02u
#define WEFT_OPEN_CREATE 0x04u
#define WEFT_OPEN_TRUNCATE 0x08u
#define WEFT_OPEN_EXCLUSIVE 0x10u
#define WEFT_OPEN_APPEND 0x20u
#define WEFT_OPEN_DIRECTORY 0x40u
#define WEFT_OPEN_NOFOLLOW 0x80u
/* The path must stay below the starting directory, symbolic links included (openat2 RESOLVE_BENEATH); -EXDEV where
 * it leaves. */
#define WEFT_OPEN_BENEATH 0x100u
#define WEFT_STAT_NOFOLLOW 0x01u

/* What an op is called in reports: "recv". Never NULL. */
WEFT_API const char *weft_op_name(enum weft_opcode code);
/* Whether a cancel can end it once it has begun: 0 for regular files and pool jobs (DESIGN rule 2), which a cancel
 * only finds waiting. */
WEFT_API int weft_op_cancellable(enum weft_opcode code);

/* Fill an op (all of it: stale memory is fine). Nothing is started. Set task.run, more, key, flags afterwards.
 * Handles are non-blocking; zero-length reads and writes answer 0 at once. A finished op may be submitted again as
 * it is, but for its place in a chain. */
WEFT_API void weft_op_nop(weft_op *op);
WEFT_API void weft_op_accept(weft_op *op, weft_desc *listener, weft_addr *peer);
WEFT_API void weft_op_connect(weft_op *op, weft_desc *sock, const weft_addr *addr);
WEFT_API void weft_op_recv(weft_op *op, weft_desc *sock, void *buf, size_t len);
WEFT_API void weft_op_recv_multi(weft_op *op, weft_desc *sock, void (*more)(weft_op *, int64_t, weft_buffer *));
WEFT_API void weft_op_accept_multi(weft_op *op, weft_desc *listener, void (*more)(weft_op *, int64_t, weft_buffer *));
WEFT_API void weft_op_send(weft_op *op, weft_desc *sock, const void *buf, size_t len);
WEFT_API void weft_op_readv(weft_op *op, weft_desc *d, const struct iovec *iov, unsigned count);
WEFT_API void weft_op_writev(weft_op *op, weft_desc *d, const struct iovec *iov, unsigned count);
WEFT_API void weft_op_poll(weft_op *op, weft_desc *d, unsigned events);
WEFT_API void weft_op_shutdown(weft_op *op, weft_desc *sock, int how);
WEFT_API void weft_op_pread(weft_op *op, weft_desc *file, void *buf, size_t len, int64_t offset);
WEFT_API void weft_op_pwrite(weft_op *op, weft_desc *file, const void *buf, size_t len, int64_t offset);
WEFT_API void weft_op_fsync(weft_op *op, weft_desc *file, int datasync);
WEFT_API void weft_op_open(weft_op *op, weft_desc *dir, const char *path, unsigned flags, unsigned mode);
WEFT_API void weft_op_stat(weft_op *op, weft_desc *at, const char *path, weft_stat *out, unsigned flags);
WEFT_API void weft_op_readdir(weft_op *op, weft_desc *dir, void *buf, size_t len);
WEFT_API void weft_op_sendfile(weft_op *op, weft_desc *sock, weft_desc *file, uint64_t offset, size_t len);
WEFT_API void weft_op_call(weft_op *op, int64_t (*fn)(void *), void *arg, const char *pool);
WEFT_API void weft_op_post(weft_op *op, int64_t result);
/* Gives up one handle of a descriptor; the op ends at once, or with the kernel's close where this was the last
 * handle. */
WEFT_API void weft_op_close(weft_op *op, weft_desc *desc);
/* Makes `next` the op after `op` in a chain; the first op of the chain is then submitted, and only that. Soft (hard
 * = 0): next starts when op has succeeded in full, and if it has not, next and all that follow end with -ECANCELED.
 * Hard: next starts however op ended. Cancelling an op that waits for its turn ends it and what follows it. */
WEFT_API void weft_op_then(weft_op *op, weft_op *next, int hard);

#ifdef __cplusplus
}
#endif
#endif
