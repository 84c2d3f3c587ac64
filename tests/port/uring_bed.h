/* A port on the ring driver with nothing above it: what the uring_* tests stand on. The thread that opens it is its
 * home. */
#ifndef WEFT_TESTS_PORT_URING_BED_H
#define WEFT_TESTS_PORT_URING_BED_H

#include <errno.h>
#include <string.h>

#include "port/port.h"
#include "port/uring.h"
#include "test.h"

typedef struct bed {
    weft_port port;
    weft_port_driver driver; /* the ring's, or one that opens on another kernel */
    const weft_env *env;     /* NULL: the POSIX one */
    unsigned done;           /* ops delivered */
    weft_op *last;
} bed;

static inline void bed_deliver(void *ctx, weft_op *op)
{
    bed *b = ctx;
    b->done++;
    b->last = op;
}

static inline weft__uring *bed_ring(const bed *b) { return b->port.state; }

static inline int bed_try(bed *b, const weft_port_config *config)
{
    const weft_port_config none = {0};
    const weft__port_owner owner = {.deliver = bed_deliver, .ctx = b};
    if (!b->driver.name)
        b->driver = *weft_driver_uring();
    b->done = 0;
    return weft__port_init(&b->port, b->env ? b->env : weft_env_posix(), &b->driver, config ? config : &none, &owner, NULL);
}

static inline void bed_open(bed *b, const weft_port_config *config)
{
    const int r = bed_try(b, config);
    if (r == -ENOSYS || r == -EPERM)
        SKIP("io_uring is refused here: %s", strerror(-r));
    CHECK_OK(r);
}

/* An entry that does not wait. */
static inline void bed_tick(bed *b) { weft__port_enter(&b->port, WEFT_NOW); }

static inline void bed_close(bed *b) { weft__port_fini(&b->port); }

static inline int64_t bed_now(void) { return weft_env_posix()->now(weft_env_posix()->self); }
static inline int64_t bed_after(int64_t ns) { return bed_now() + ns; }

/* Enters until `n` ops more than at the last reset are delivered, or fails. */
static inline void bed_await(bed *b, unsigned n)
{
    const int64_t limit = bed_after(30 * WEFT_SECOND);
    while (b->done < n) {
        CHECK(bed_now() < limit);
        weft__port_enter(&b->port, limit);
    }
}

/* Starts an op; one that ended before start returned counts as delivered. */
static inline void bed_start(bed *b, weft_op *op)
{
    weft__port_start(&b->port, op);
    if (op->state == WEFT_OP_DONE)
        bed_deliver(b, op);
}

/* Runs one op to its end. */
static inline int64_t bed_run(bed *b, weft_op *op)
{
    const unsigned before = b->done;
    bed_start(b, op);
    bed_await(b, before + 1);
    return op->result;
}

static inline void bed_pair(weft_desc d[2])
{
    int fds[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    weft__desc_init(&d[0], fds[0], WEFT_DESC_STREAM);
    weft__desc_init(&d[1], fds[1], WEFT_DESC_STREAM);
}

/* A connected pair over loopback TCP. */
static inline void bed_tcp(bed *b, weft_desc *listener, weft_desc d[2])
{
    const weft_addr any = {.family = WEFT_ADDR_IP4, .ip4 = {127, 0, 0, 1}};
    weft_addr at;
    weft_handle h;
    weft_op accept, connect;
    CHECK_OK(b->driver.listen(&b->port, &h, &any, &(weft_listen_flags){0}));
    weft__desc_init(listener, h, WEFT_DESC_LISTENER);
    CHECK_OK(b->driver.address(&b->port, h, 0, &at));
    CHECK_OK(b->driver.socket(&b->port, &h, &at));
    weft__desc_init(&d[0], h, WEFT_DESC_STREAM);
    const unsigned before = b->done;
    weft_op_accept(&accept, listener, NULL);
    weft_op_connect(&connect, &d[0], &at);
    bed_start(b, &accept);
    bed_start(b, &connect);
    bed_await(b, before + 2);
    CHECK_EQ(connect.result, 0);
    CHECK_OK(accept.result);
    weft__desc_init(&d[1], (weft_handle)accept.result, WEFT_DESC_STREAM);
}

#endif
