/* Actors for tests of the simulator: each is a simulated thread with a port of its own,
 * and waits for its ops in straight lines. */
#ifndef WEFT_TESTS_SIM_WORLD_H
#define WEFT_TESTS_SIM_WORLD_H

#include <errno.h>

#include <weft/sim.h>

#include "port/port.h"
#include "test.h"

/* What a check says when it fails, and how to run it again. */
#define _exit(status) ((void)weft_sim_failed("a check"), _exit(status))

typedef struct actor {
    weft_port port;
    weft_thread *thread;
    void (*fn)(struct actor *a);
    void *arg;
    int result;
} actor;

static inline void actor_deliver(void *ctx, weft_op *op) { (void)ctx, (void)op; }

static inline void actor_open(actor *a)
{
    const weft__port_owner owner = {.deliver = actor_deliver, .ctx = a};
    const weft_port_config config = {.buffer_size = 128, .buffer_count = 4};

    CHECK_OK(weft__port_init(&a->port, weft_sim_env(), weft_sim_driver(), &config, &owner, NULL));
}

static inline void actor_main(void *arg)
{
    actor *a = arg;

    actor_open(a);
    a->fn(a);
    weft__port_fini(&a->port);
}

static inline void actor_start(actor *a, const char *name, void (*fn)(actor *a), void *arg)
{
    const weft_env *env = weft_sim_env();

    memset(a, 0, sizeof *a);
    a->fn = fn;
    a->arg = arg;
    CHECK_OK(env->thread_start(env->self, &a->thread, &(weft_thread_options){.name = name}, actor_main, a));
}

static inline void actor_join(actor *a) { weft_sim_env()->thread_join(weft_sim_env()->self, a->thread); }

static inline int64_t now(void) { return weft_sim_env()->now(weft_sim_env()->self); }

static inline void finish(actor *a, weft_op *op)
{
    while (op->state != WEFT_OP_DONE)
        weft__port_enter(&a->port, WEFT_NEVER);
}

/* Starts an op and waits for its end. */
static inline int64_t await(actor *a, weft_op *op)
{
    weft__port_start(&a->port, op);
    finish(a, op);
    return op->result;
}

static inline void sleep_until(actor *a, int64_t deadline)
{
    while (now() < deadline)
        weft__port_enter(&a->port, deadline);
}

/* ---- sockets ---- */

static inline weft_addr at_port(uint16_t port) { return (weft_addr){.family = WEFT_ADDR_IP4, .port = port, .ip4 = {127, 0, 0, 1}}; }

static inline int listen_at(actor *a, weft_desc *d, uint16_t port, int backlog)
{
    weft_addr addr = at_port(port);
    weft_handle h;
    const int r = a->port.driver->listen(&a->port, &h, &addr, &(weft_listen_flags){.backlog = backlog});

    if (r == 0)
        weft__desc_init(d, h, WEFT_DESC_LISTENER);
    return r;
}

static inline int64_t connect_to(actor *a, weft_desc *d, uint16_t port)
{
    weft_addr addr = at_port(port);
    weft_handle h;
    weft_op op;

    CHECK_OK(a->port.driver->socket(&a->port, &h, &addr));
    weft__desc_init(d, h, WEFT_DESC_STREAM);
    weft_op_connect(&op, d, &addr);
    return await(a, &op);
}

/* Refused until somebody listens. */
static inline void connect_when_there(actor *a, weft_desc *d, uint16_t port)
{
    int64_t r;

    while ((r = connect_to(a, d, port)) == -ECONNREFUSED) {
        weft__desc_close(&a->port, d);
        sleep_until(a, now() + WEFT_MILLISECOND);
    }
    CHECK_OK(r);
}

static inline int64_t accept_from(actor *a, weft_desc *listener, weft_desc *d)
{
    weft_op op;

    weft_op_accept(&op, listener, NULL);
    const int64_t r = await(a, &op);
    if (r >= 0)
        weft__desc_init(d, (weft_handle)r, WEFT_DESC_STREAM);
    return r;
}

static inline int64_t receive(actor *a, weft_desc *d, void *buf, size_t n)
{
    weft_op op;

    weft_op_recv(&op, d, buf, n);
    return await(a, &op);
}

static inline int64_t send_all(actor *a, weft_desc *d, const void *buf, size_t n)
{
    for (size_t done = 0; done < n;) {
        weft_op op;

        weft_op_send(&op, d, (const char *)buf + done, n - done);
        const int64_t r = await(a, &op);
        if (r < 0)
            return r;
        done += (size_t)r;
    }
    return (int64_t)n;
}

static inline unsigned char pattern(size_t i) { return (unsigned char)(i * 7 + i / 251); }

#endif
