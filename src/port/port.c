/* The core of a port: an op's life from submission to its one terminal completion.
 *
 * Owns: the books (flying, refused paths), the choice of path (driver, blocking pool, or none), fallback from one
 * path to the next. Everything here runs on the home thread. No call of an operating system is made here or in
 * desc.c, chain.c, inbox.c: sim/ uses them as they are.
 *
 * Invariants: an op is IDLE or DONE (its submitter's), or QUEUED or FLYING (the port's). An op taken in ends exactly
 * once, through weft__port_finish, and is not touched after it was delivered. */
#include "port/port.h"

#include <errno.h>
#include <string.h>

#include "base/atomic.h"
#include "base/check.h"
#include "port/desc.h"
#include "port/bind.h"
#include "port/inflight.h"
#include "port/op.h"

#define MAGIC 0x504f5254u /* "PORT" */

/* What drivers make of the figures for buffers, so that whoever else reads them reads what there is.
 * A buffer that is given back carries its own request (weft_port_release), so it is never tiny, and aligned;
 * a ring of them has a power of two. */
static void settle_buffers(weft_port_config *config)
{
    const uint32_t size = config->buffer_size ? config->buffer_size : WEFT__BUFFER_SIZE_DEFAULT;
    const uint32_t wanted = config->buffer_count ? config->buffer_count : WEFT__BUFFERS_DEFAULT;
    config->buffer_size = ((size < WEFT__BUFFER_SIZE_MAX ? size : WEFT__BUFFER_SIZE_MAX) + 63u) & ~63u;
    config->buffer_count = 1;
    while (config->buffer_count < wanted && config->buffer_count < WEFT__BUFFERS_MAX)
        config->buffer_count *= 2;
}

int weft__port_init(weft_port *port, const weft_env *env, const weft_port_driver *driver,
                    const weft_port_config *config, const weft__port_owner *owner, weft__pool *pool)
{
    if (!env || !driver || weft_driver_missing(driver, NULL))
        return -EINVAL;
    memset(port, 0, sizeof *port);
    port->driver = driver;
    port->env = env;
    if (config)
        port->config = *config;
    settle_buffers(&port->config);
    if (owner)
        port->owner = *owner;
    port->pool = pool;
    port->room = UINT32_MAX;
    weft__store_relaxed(&port->home, weft__thread_tag(), "port_home");
    int r = driver->open(port, &port->config);
    if (r < 0)
        return r;
    port->magic = MAGIC;
    port->at_once = driver->attempt && driver->watch && driver->unwatched;
    for (unsigned code = 0; code < WEFT_OP_COUNT; code++) {
        enum weft_path path = driver->path(port, (enum weft_opcode)code);
        int one_desc = weft__op_rows[code].desc == 1 && code != WEFT_OP_SENDFILE && code != WEFT_OP_CLOSE;
        if (one_desc && (path == WEFT_PATH_RING || path == WEFT_PATH_READY))
            port->plain[code] = (uint8_t)path;
    }
    return 0;
}

void weft__port_fini(weft_port *port)
{
    WEFT_ASSERT(port->magic == MAGIC);
    WEFT_ASSERT(port->flying == 0);
    WEFT_ASSERT(!weft__load_acquire(&port->inbox, "port_inbox"));
    /* A pool thread whose job's end was already seen may still be on its way out of weft__port_wake. Pairs with the
     * release there. */
    while (weft__load_acquire(&port->guests, "port_guests"))
        if (port->env->relax)
            port->env->relax(port->env->self);
    port->magic = 0;
    weft__borrowed_close(port);
    port->driver->close(port);
}

static void prepare(weft_port *port, weft_op *op, weft_op *before)
{
    WEFT_ASSERT(op->state == WEFT_OP_IDLE || op->state == WEFT_OP_DONE);
    op->state = WEFT_OP_QUEUED;
    op->cancelling = 0;
    op->attempts = 0;
    op->path = WEFT_PATH_NONE;
    op->early = 0;
    op->accepted = 0;
    op->pinned = 0;
    op->native = 0;
    op->port = port;
    op->link_prev = before;
    weft__inflight_add(op);
}

void weft__op_prepare(weft_port *port, weft_op *op)
{
    weft_op *before = NULL;
    for (; op; before = op, op = op->flags & WEFT_OP_LINK ? op->link : NULL)
        prepare(port, op, before);
}

/* What is wrong with an op whatever the path, or 0. */
static int objection(const weft_op *op)
{
    if (op->code >= WEFT_OP_COUNT)
        return -EINVAL;
    const weft__op_row *row = &weft__op_rows[op->code];
    if (row->desc == 1 && !op->desc)
        return -EBADF;
    if (op->code == WEFT_OP_SENDFILE && !op->desc2)
        return -EBADF;
    if (op->flags & WEFT_OP_MULTI) {
        if (op->code != WEFT_OP_ACCEPT && op->code != WEFT_OP_RECV)
            return -EINVAL;
        if (!op->more && !op->port->owner.more)
            return -EINVAL;
    }
    return 0;
}

void weft__port_accept(weft_port *port, weft_op *op)
{
    for (weft_op *o = op; o; o = o->flags & WEFT_OP_LINK ? o->link : NULL) {
        o->accepted = 1;
        port->flying++;
        o->early = objection(o);
        if (!o->early && o->code != WEFT_OP_CLOSE)
            o->early = weft__desc_pin(port, o);
    }
    weft__port_launch(port, op);
}

/* Most ops by far: one descriptor of this port, no flags, and a driver that takes them. What weft__port_accept and
 * launch would find out step by step is known at a glance; a request's cost is this. */
static int is_plain(const weft_port *port, const weft_op *op)
{
    const weft_desc *d = op->desc;
    if (op->flags | (op->desc2 != NULL) | (d == NULL) || op->code >= WEFT_OP_COUNT)
        return 0;
    if (!port->plain[op->code] || !weft__desc_usable_here(d, port))
        return 0;
    return port->plain[op->code] == WEFT_PATH_RING || (d->kind != WEFT_DESC_FILE && d->kind != WEFT_DESC_DIR);
}

static void start_plain(weft_port *port, weft_op *op)
{
    prepare(port, op, NULL);
    op->accepted = 1;
    op->pinned = 1;
    op->path = port->plain[op->code];
    op->state = WEFT_OP_FLYING;
    port->flying++;
    op->desc->flying++;
    weft__ops_add(&op->desc->ops, op);
    weft__driver_submit(port, op);
}

static __attribute__((noinline)) void start_other(weft_port *port, weft_op *op)
{
    weft__op_prepare(port, op);
    weft__port_accept(port, op);
}

void weft__port_start(weft_port *port, weft_op *op)
{
    WEFT_ASSERT(port->magic == MAGIC);
    weft_op *outer = port->starting;
    port->starting = op->origin ? NULL : op;
    if (is_plain(port, op))
        start_plain(port, op);
    else
        start_other(port, op);
    port->starting = outer;
}

/* The path to try first: what the driver says, unless that was found not to work here. */
static enum weft_path first_path(weft_port *port, const weft_op *op)
{
    const weft__op_row *row = &weft__op_rows[op->code];
    if (op->code == WEFT_OP_CALL || (op->flags & WEFT_OP_OFFLOAD && row->pooled && !(op->flags & WEFT_OP_MULTI)))
        return WEFT_PATH_POOL;
    enum weft_path path = port->driver->path(port, (enum weft_opcode)op->code);
    /* Waiting for a file to become ready would be asking the wrong question: it always is, and the read then waits
     * for the disk. */
    if (path == WEFT_PATH_READY && row->pooled && op->desc &&
        (op->desc->kind == WEFT_DESC_FILE || op->desc->kind == WEFT_DESC_DIR))
        return WEFT_PATH_POOL;
    return path;
}

/* The path after `path`, which refused the op; NONE: there is no other. */
static enum weft_path next_path(const weft_op *op, enum weft_path path)
{
    const weft__op_row *row = &weft__op_rows[op->code];
    if (path == WEFT_PATH_RING && row->direction != WEFT__NONE && op->desc->kind != WEFT_DESC_FILE)
        return WEFT_PATH_READY;
    if (path != WEFT_PATH_POOL && row->pooled && !(op->flags & WEFT_OP_MULTI))
        return WEFT_PATH_POOL;
    return WEFT_PATH_NONE;
}

enum weft_path weft__fallback_path(enum weft_opcode code)
{
    const weft__op_row *row = &weft__op_rows[code];
    return row->direction != WEFT__NONE ? WEFT_PATH_READY : row->pooled ? WEFT_PATH_POOL : WEFT_PATH_NONE;
}

static void take_path(weft_port *port, weft_op *op, enum weft_path path)
{
    op->path = (uint8_t)path;
    op->state = WEFT_OP_FLYING;
    if (path == WEFT_PATH_NONE || (path == WEFT_PATH_POOL && !port->pool))
        weft__port_finish(port, op, -ENOTSUP);
    else if (path == WEFT_PATH_POOL)
        weft__pool_submit(port->pool, op);
    else
        weft__driver_submit(port, op);
}

/* A chain that the driver takes as a whole: every op of it goes the driver's way. */
static int native_chain(weft_port *port, weft_op *op)
{
    if (!port->driver->chains || !(op->flags & WEFT_OP_LINK) || !op->link)
        return 0;
    for (weft_op *o = op; o; o = o->flags & WEFT_OP_LINK ? o->link : NULL)
        if (o->early || o->cancelling || o->code == WEFT_OP_CLOSE || o->code == WEFT_OP_POST ||
            port->refused[o->code] || first_path(port, o) != WEFT_PATH_RING)
            return 0;
    for (weft_op *o = op; o; o = o->flags & WEFT_OP_LINK ? o->link : NULL) {
        o->native = 1;
        o->path = WEFT_PATH_RING;
        o->state = WEFT_OP_FLYING;
    }
    return 1;
}

void weft__port_launch(weft_port *port, weft_op *op)
{
    if (op->early) {
        weft__port_finish(port, op, op->early);
        return;
    }
    if (op->cancelling) {
        weft__port_finish(port, op, -ECANCELED);
        return;
    }
    if (op->code == WEFT_OP_POST) {
        op->path = WEFT_PATH_CALL;
        weft__port_finish(port, op, op->result);
        return;
    }
    if (op->code == WEFT_OP_CLOSE) {
        op->path = WEFT_PATH_CALL;
        op->state = WEFT_OP_FLYING;
        weft__desc_close_op(port, op);
        return;
    }
    if (native_chain(port, op)) {
        weft__driver_submit(port, op);
        return;
    }
    enum weft_path path = first_path(port, op);
    while (path != WEFT_PATH_NONE && port->refused[op->code] & 1u << path)
        path = next_path(op, path);
    take_path(port, op, path);
}

/* Whether a result may mean "not by this path" rather than "not at all". */
static int is_refusal(int64_t result)
{
    return result == -EINVAL || result == -EOPNOTSUPP || result == -EPERM || result == -ENOSYS;
}

void weft_port_refuse(weft_port *port, weft_op *op, int64_t result)
{
    enum weft_path path = (enum weft_path)op->path;
    op->attempts = (uint8_t)(op->attempts | 1u << path);
    if (op->cancelling) {
        weft_port_complete(port, op, -ECANCELED);
        return;
    }
    enum weft_path next = next_path(op, path);
    while (next != WEFT_PATH_NONE && port->refused[op->code] & 1u << next)
        next = next_path(op, next);
    if (next == WEFT_PATH_NONE || (next == WEFT_PATH_POOL && !port->pool))
        weft__port_finish(port, op, result);
    else
        take_path(port, op, next);
}

void weft_port_complete(weft_port *port, weft_op *op, int64_t result)
{
    /* -EINVAL may be the op's own fault, so a path counts as unusable only once another one did the same op. READY
     * is refused by a descriptor, not by the system, and is never held against the op. */
    if (op->attempts & 1u << WEFT_PATH_RING && !is_refusal(result) && result != -ECANCELED) {
        port->refused[op->code] = (uint8_t)(port->refused[op->code] | 1u << WEFT_PATH_RING);
        port->plain[op->code] = 0;
    }
    weft__port_finish(port, op, result);
}

void weft_port_more(weft_port *port, weft_op *op, int64_t result, weft_buffer *buffer)
{
    if (port->room != UINT32_MAX) {
        WEFT_ASSERT(port->room > 0); /* a driver asks weft_port_room first */
        port->room--;
    }
    if (buffer && buffer->data)
        port->lent++;
    port->told++;
    if (port->owner.more)
        port->owner.more(port->owner.ctx, op, result, buffer);
    else
        op->more(op, result, buffer);
}

unsigned weft_port_room(const weft_port *port) { return port->room; }

/* Takes an op out of the books: from here on it is its submitter's. */
static void close_books(weft_port *port, weft_op *op, int64_t result)
{
    weft__inflight_remove(op);
    op->link = NULL;
    op->accepted = 0;
    op->result = result;
    op->state = WEFT_OP_DONE;
    port->flying--;
    weft__store_relaxed(&port->completed, port->completed + 1, "port_completed"); /* others read it */
    if (port->room && port->room != UINT32_MAX)
        port->room--;
}

static void tell_end(weft_port *port, weft_op *op)
{
    if (port->starting == op)
        port->starting = NULL; /* its submitter looks at it when start returns */
    else
        port->owner.deliver(port->owner.ctx, op);
}

/* With a chain, a second descriptor, or none. */
static __attribute__((noinline)) void finish_other(weft_port *port, weft_op *op, int64_t result)
{
    weft_op *next = op->flags & WEFT_OP_LINK && !op->native ? op->link : NULL;
    int go_on = next ? weft__chain_goes_on(op, result) : 0;
    if (next)
        next->link_prev = NULL;
    weft_desc *d = op->pinned & 1 ? op->desc : NULL, *d2 = op->pinned & 2 ? op->desc2 : NULL;
    weft__desc_unlist(op);
    close_books(port, op, result);
    weft__desc_unpin(port, d, d2);
    tell_end(port, op);
    if (next && go_on)
        weft__chain_turn(port, next);
    else if (next)
        weft__chain_drop(port, next);
}

/* A descriptor whose last op this was goes before the end is told: its record may be memory of whoever hears of it. */
static __attribute__((noinline)) void finish_closing(weft_port *port, weft_op *op, weft_desc *d)
{
    weft__desc_let_go(port, d);
    tell_end(port, op);
}

void weft__port_finish(weft_port *port, weft_op *op, int64_t result)
{
    WEFT_ASSERT(op->accepted && op->port == port);
    if (op->flags & WEFT_OP_LINK || op->pinned != 1) {
        finish_other(port, op, result);
        return;
    }
    weft_desc *d = op->desc;
    weft__ops_remove(op);
    op->pinned = 0;
    close_books(port, op, result);
    if (d->closing) {
        finish_closing(port, op, d);
        return;
    }
    WEFT_ASSERT(d->flying > 0);
    d->flying--;
    tell_end(port, op);
}

void weft__port_cancel(weft_port *port, weft_op *op)
{
    if (op->state == WEFT_OP_DONE || op->state == WEFT_OP_IDLE)
        return;
    if (op->cancelling) { /* asked before: a signal may have come just before the call that it was to end */
        if (op->path == WEFT_PATH_POOL && op->state == WEFT_OP_FLYING && op->flags & WEFT_OP_DISTURB)
            weft__pool_disturb(op);
        return;
    }
    weft__store_relaxed(&op->cancelling, (uint8_t)1, "op_cancelling"); /* a pool thread may look at it */
    if (!op->accepted)
        return; /* still in the inbox: it ends when it is taken in */
    weft__desc_cancelled(op);
    if (op->link_prev && !op->native) {
        op->link_prev->link = NULL;
        op->link_prev = NULL;
        weft__chain_drop(port, op);
        return;
    }
    if (op->state == WEFT_OP_QUEUED || op->code == WEFT_OP_CLOSE)
        return; /* its turn in the chain has come, it ends there; a close cannot be taken back */
    if (op->path != WEFT_PATH_POOL)
        port->driver->cancel(port, op);
    else if (port->pool && weft__pool_revoke(op))
        weft__port_finish(port, op, -ECANCELED);
    else if (port->pool && op->flags & WEFT_OP_DISTURB)
        weft__pool_disturb(op);
}

void weft__port_pool_done(weft_port *port, weft_op *op) { weft_port_complete(port, op, op->result); }
