/* The world outside, played by threads that are none of weft's: sockets by system call, waiting for a handle, a limit
 * on handles; and a thread that is not a port's home gives a buffer back through the port's inbox. */
#include "world.h"

static void pairs(void)
{
    weft_handle h[2];
    char buf[64];
    size_t sent = 0;
    int64_t r;

    CHECK_OK(weft_sim_pair(h));
    CHECK_EQ(weft_sim_read(h[0], buf, sizeof buf), -EAGAIN);
    CHECK_EQ(weft_sim_poll(h[0], WEFT_READABLE, now() + WEFT_MILLISECOND), 0);
    CHECK_EQ(weft_sim_poll(h[0], WEFT_WRITABLE, WEFT_NEVER), WEFT_WRITABLE);
    CHECK_EQ(weft_sim_write(h[1], "x", 1), 1);
    CHECK_EQ(weft_sim_poll(h[0], WEFT_READABLE, WEFT_NEVER), WEFT_READABLE);
    CHECK_EQ(weft_sim_read(h[0], buf, sizeof buf), 1);
    CHECK_EQ(buf[0], 'x');
    memset(buf, 'y', sizeof buf);
    while ((r = weft_sim_write(h[1], buf, sizeof buf)) > 0)
        sent += (size_t)r;
    CHECK_EQ(r, -EAGAIN); /* full */
    CHECK_EQ(weft_sim_poll(h[1], WEFT_WRITABLE, now() + WEFT_MILLISECOND), 0);
    CHECK_OK(weft_sim_shutdown(h[1], 1));
    CHECK_EQ(weft_sim_write(h[1], "x", 1), -EPIPE);
    for (size_t got = 0;; got += (size_t)r) {
        CHECK((unsigned)weft_sim_poll(h[0], WEFT_READABLE, WEFT_NEVER) & WEFT_READABLE);
        r = weft_sim_read(h[0], buf, sizeof buf);
        if (r == 0) {
            CHECK_EQ(got, sent);
            break;
        }
        CHECK(r > 0);
    }
    CHECK(weft_sim_write(h[0], "left", 4) > 0);
    CHECK_OK(weft_sim_poll(h[1], WEFT_READABLE, WEFT_NEVER));
    CHECK_OK(weft_sim_close(h[1])); /* unread: a reset */
    while ((r = weft_sim_read(h[0], buf, sizeof buf)) == 0)
        CHECK_EQ((unsigned)weft_sim_poll(h[0], WEFT_HANGUP, now() + WEFT_MILLISECOND) & WEFT_WRITABLE, 0);
    CHECK_EQ(r, -ECONNRESET);
    CHECK_OK(weft_sim_close(h[0]));
    CHECK_EQ(weft_sim_close(h[0]), -EBADF);
    CHECK_EQ(weft_sim_read(h[0], buf, 1), -EBADF);
    CHECK_EQ(weft_sim_write(h[0], buf, 1), -EBADF);
    CHECK_EQ(weft_sim_shutdown(h[0], 2), -EBADF);
    CHECK_EQ(weft_sim_poll(h[0], WEFT_READABLE, WEFT_NOW), -EBADF);
}

static void listeners(void)
{
    weft_addr any = at_port(0), at;
    weft_handle l, c, other;

    CHECK_OK(weft_sim_socket(&l));
    CHECK_EQ(weft_sim_read(l, &at, 1), -ENOTCONN);
    CHECK_OK(weft_sim_listen(l, &any, 1));
    CHECK_EQ(weft_sim_listen(l, &any, 1), -EINVAL);
    CHECK_OK(weft_sim_local(l, &at));
    CHECK(at.port != 0);
    CHECK_OK(weft_sim_socket(&other));
    CHECK_EQ(weft_sim_listen(other, &at, 1), -EADDRINUSE);
    const weft_addr elsewhere = {.family = WEFT_ADDR_IP4, .ip4 = {192, 0, 2, 1}};
    CHECK_EQ(weft_sim_listen(other, &elsewhere, 1), -EADDRNOTAVAIL);
    CHECK_EQ(weft_sim_poll(l, WEFT_READABLE, WEFT_NOW), 0);
    CHECK_OK(weft_sim_socket(&c));
    CHECK_OK(weft_sim_connect(c, &at));
    CHECK_EQ(weft_sim_connect(c, &at), -EISCONN);
    CHECK_EQ(weft_sim_poll(l, WEFT_READABLE, WEFT_NEVER), WEFT_READABLE);
    CHECK_EQ(weft_sim_connect(other, &at), -EAGAIN); /* one may wait */
    CHECK_OK(weft_sim_close(l));
    CHECK_EQ(weft_sim_connect(other, &at), -ECONNREFUSED);
    CHECK_EQ(weft_sim_read(c, &at, 1), -ECONNRESET); /* never accepted */
    CHECK_OK(weft_sim_close(c));
    CHECK_OK(weft_sim_close(other));
}

static void limits(void)
{
    weft_handle h[3], pair[2];

    CHECK_EQ(weft_sim_limit(0), -EINVAL);
    CHECK_OK(weft_sim_limit(3));
    for (int i = 0; i < 2; i++)
        CHECK_OK(weft_sim_socket(&h[i]));
    CHECK_EQ(weft_sim_pair(pair), -EMFILE); /* and does not keep the one it got */
    CHECK_OK(weft_sim_socket(&h[2]));
    CHECK_EQ(weft_sim_socket(&pair[0]), -EMFILE);
    CHECK_OK(weft_sim_limit(100));
    CHECK_OK(weft_sim_pair(pair));
    for (int i = 0; i < 3; i++)
        CHECK_OK(weft_sim_close(h[i]));
    CHECK_OK(weft_sim_close(pair[0]));
    CHECK_OK(weft_sim_close(pair[1]));
}

/* ---- a handle that stands for a port ---- */

static weft_port *polled;

static void wakes(void *arg)
{
    (void)arg;
    weft__port_wake(polled);
}

static void port_handle(actor *a)
{
    const weft_handle h = a->port.driver->pollable(&a->port);
    weft_thread *t;
    weft_op op;

    CHECK(h != WEFT_NOHANDLE);
    CHECK_EQ(a->port.driver->pollable(&a->port), h);
    CHECK_EQ(weft_sim_poll(h, WEFT_READABLE, now() + WEFT_MILLISECOND), 0);
    memset(&op, 0, sizeof op);
    weft_op_nop(&op);
    weft__port_start(&a->port, &op);
    while (op.state != WEFT_OP_DONE) {
        weft__port_enter(&a->port, WEFT_NOW);
        if (op.state != WEFT_OP_DONE)
            CHECK_EQ(weft_sim_poll(h, WEFT_READABLE, WEFT_NEVER), WEFT_READABLE); /* a completion shows */
    }
    while (weft_sim_poll(h, WEFT_READABLE, WEFT_NOW))
        weft__port_enter(&a->port, WEFT_NOW);
    CHECK_EQ(weft__port_doze(&a->port), 0);
    polled = &a->port;
    CHECK_OK(weft_sim_env()->thread_start(NULL, &t, NULL, wakes, NULL));
    CHECK_EQ(weft_sim_poll(h, WEFT_READABLE, WEFT_NEVER), WEFT_READABLE); /* so does a wake-up */
    weft__port_enter(&a->port, WEFT_NOW);
    weft_sim_env()->thread_join(NULL, t);
    weft__port_fini(&a->port);
    CHECK_EQ(weft_sim_poll(h, WEFT_READABLE, WEFT_NOW), -EBADF); /* it goes with its port */
}

/* ---- who is at home ---- */

static weft_buffer lent;
static const void *others_tag;

static void gives_back(void *arg)
{
    actor *a = arg;

    others_tag = weft__thread_tag();
    CHECK(others_tag != a->port.home);
    weft_port_release(&lent);
}

static void takes_buffer(weft_op *op, int64_t result, weft_buffer *buffer)
{
    (void)op;
    CHECK(result > 0);
    lent = *buffer;
}

static void buffer_from_elsewhere(actor *a)
{
    uint32_t before = a->port.lent;
    weft_handle h[2];
    weft_thread *t;
    weft_desc d;
    weft_op op;

    CHECK_OK(weft_sim_pair(h));
    weft__desc_init(&d, h[0], WEFT_DESC_STREAM);
    CHECK_EQ(weft_sim_write(h[1], "byte", 1), 1);
    weft_op_recv_multi(&op, &d, takes_buffer);
    weft__port_start(&a->port, &op);
    while (a->port.lent == before)
        weft__port_enter(&a->port, WEFT_NEVER);
    CHECK(lent.data != NULL);
    CHECK_OK(weft_sim_env()->thread_start(NULL, &t, NULL, gives_back, a));
    weft_sim_env()->thread_join(NULL, t);
    CHECK_EQ(a->port.lent, before + 1); /* it is on its way */
    weft__port_enter(&a->port, WEFT_NOW);
    CHECK_EQ(a->port.lent, before);
    CHECK_OK(weft_sim_close(h[1]));
    finish(a, &op);
    weft__desc_close(&a->port, &d);
}

static int program(void *arg)
{
    actor a;

    (void)arg;
    pairs();
    listeners();
    limits();
    memset(&a, 0, sizeof a);
    actor_open(&a);
    port_handle(&a);
    actor_open(&a);
    buffer_from_elsewhere(&a);
    weft__port_fini(&a.port);
    return 0;
}

int main(void)
{
    weft_handle h[2];
    weft_addr at = at_port(1);
    char c;

    CHECK_EQ(weft_sim_pair(h), -EINVAL);
    CHECK_EQ(weft_sim_socket(h), -EINVAL);
    CHECK_EQ(weft_sim_listen(0, &at, 1), -EINVAL);
    CHECK_EQ(weft_sim_connect(0, &at), -EINVAL);
    CHECK_EQ(weft_sim_local(0, &at), -EINVAL);
    CHECK_EQ(weft_sim_read(0, &c, 1), -EBADF);
    CHECK_EQ(weft_sim_write(0, &c, 1), -EBADF);
    CHECK_EQ(weft_sim_close(0), -EBADF);
    CHECK_EQ(weft_sim_limit(5), -EINVAL);
    CHECK_EQ(weft_sim_failed("nothing"), -EINVAL);
    for (uint64_t seed = 1; seed <= 60; seed++) {
        weft_sim_result first, second;

        CHECK_OK(weft_sim_run(&(weft_sim_options){.seed = seed}, program, NULL, &first));
        CHECK_OK(weft_sim_run(&(weft_sim_options){.seed = seed}, program, NULL, &second));
        CHECK(first.hash == second.hash);
        CHECK_EQ(first.handles_left, 0);
        CHECK_EQ(first.ops_left, 0);
    }
    return 0;
}
