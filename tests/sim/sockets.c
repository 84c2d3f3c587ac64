/* What the simulated sockets promise, by many seeds: refusals, addresses, backlog, half-close, resets, streaming with
 * few buffers, readiness, vectors, options, descriptors used up. */
#include "world.h"

enum { PORT = 8000 };

/* ---- a pair of connected ends on one actor ---- */

static void pair(actor *a, weft_desc *client, weft_desc *server)
{
    weft_desc listener;

    CHECK_OK(listen_at(a, &listener, PORT, 0));
    CHECK_OK(connect_to(a, client, PORT));
    CHECK_OK(accept_from(a, &listener, server));
    weft__desc_close(&a->port, &listener);
}

static void drop(actor *a, weft_desc *x, weft_desc *y)
{
    weft__desc_close(&a->port, x);
    weft__desc_close(&a->port, y);
}

static void refusals(actor *a)
{
    weft_desc d, l, second;
    weft_addr odd = {.family = 77};
    weft_handle h;
    char byte;

    CHECK_EQ(connect_to(a, &d, PORT), -ECONNREFUSED);
    CHECK_EQ(receive(a, &d, &byte, 1), -ENOTCONN);
    weft__desc_close(&a->port, &d);
    CHECK_EQ(a->port.driver->socket(&a->port, &h, &odd), -EAFNOSUPPORT);
    CHECK_OK(listen_at(a, &l, PORT, 0));
    CHECK_EQ(listen_at(a, &second, PORT, 0), -EADDRINUSE);
    CHECK_EQ(receive(a, &l, &byte, 1), -ENOTCONN);
    CHECK_OK(connect_to(a, &d, PORT));
    weft__desc_close(&a->port, &l); /* with a connection that nobody accepted */
    CHECK_EQ(receive(a, &d, &byte, 1), -ECONNRESET);
    weft__desc_close(&a->port, &d);
    CHECK_OK(listen_at(a, &l, PORT, 0)); /* the address is free again */
    weft__desc_close(&a->port, &l);
}

static void addresses(actor *a)
{
    const weft_port_driver *driver = a->port.driver;
    weft_desc listener, client, server;
    weft_addr any = {.family = WEFT_ADDR_IP4}, at, from, to;
    weft_handle h;
    weft_op op;

    CHECK_OK(driver->listen(&a->port, &h, &any, NULL));
    weft__desc_init(&listener, h, WEFT_DESC_LISTENER);
    CHECK_OK(driver->address(&a->port, h, 0, &at));
    CHECK(at.port != 0);
    CHECK_EQ(driver->address(&a->port, h, 1, &at), -ENOTCONN);
    CHECK_OK(connect_to(a, &client, at.port));
    weft_op_accept(&op, &listener, &from);
    CHECK_OK(await(a, &op));
    weft__desc_init(&server, (weft_handle)op.result, WEFT_DESC_STREAM);
    CHECK_OK(driver->address(&a->port, client.handle, 0, &to));
    CHECK_EQ(from.port, to.port);
    CHECK(memcmp(from.ip4, "\x7f\0\0\1", 4) == 0);
    CHECK_OK(driver->address(&a->port, client.handle, 1, &to));
    CHECK_EQ(to.port, at.port);
    CHECK_EQ(driver->address(&a->port, 3, 0, &to), -EBADF);
    drop(a, &client, &server);
    weft__desc_close(&a->port, &listener);
}

static void half_close(actor *a)
{
    weft_desc c, s;
    weft_op op;
    char buf[16];

    pair(a, &c, &s);
    CHECK_EQ(send_all(a, &c, "question", 8), 8);
    weft_op_shutdown(&op, &c, 1);
    CHECK_EQ(await(a, &op), 0);
    CHECK_EQ(send_all(a, &c, "x", 1), -EPIPE);
    for (size_t got = 0; got < 8;) {
        const int64_t n = receive(a, &s, buf + got, sizeof buf - got);

        CHECK(n > 0);
        got += (size_t)n;
    }
    CHECK(memcmp(buf, "question", 8) == 0);
    CHECK_EQ(receive(a, &s, buf, sizeof buf), 0);
    CHECK_EQ(send_all(a, &s, "answer", 6), 6);
    weft__desc_close(&a->port, &s);
    for (size_t got = 0; got < 6;) {
        const int64_t n = receive(a, &c, buf + got, sizeof buf - got);

        CHECK(n > 0);
        got += (size_t)n;
    }
    CHECK(memcmp(buf, "answer", 6) == 0);
    CHECK_EQ(receive(a, &c, buf, sizeof buf), 0);
    weft__desc_close(&a->port, &c);
}

static void resets(actor *a)
{
    weft_desc c, s;
    char buf[16];
    int64_t r;

    /* Unread bytes turn a close into a reset. */
    pair(a, &c, &s);
    CHECK_EQ(send_all(a, &c, "unread", 6), 6);
    sleep_until(a, now() + WEFT_SECOND);
    weft__desc_close(&a->port, &s);
    CHECK_EQ(receive(a, &c, buf, sizeof buf), -ECONNRESET);
    CHECK_EQ(receive(a, &c, buf, sizeof buf), 0);
    CHECK_EQ(send_all(a, &c, "x", 1), -EPIPE);
    weft__desc_close(&a->port, &c);

    /* So does writing to an end that is closed, in time. */
    pair(a, &c, &s);
    weft__desc_close(&a->port, &s);
    while ((r = send_all(a, &c, "x", 1)) == 1)
        ;
    CHECK(r == -ECONNRESET || r == -EPIPE);
    weft__desc_close(&a->port, &c);

    /* And a path that breaks. */
    pair(a, &c, &s);
    CHECK_OK(weft_sim_reset(c.handle));
    CHECK_EQ(receive(a, &s, buf, sizeof buf), -ECONNRESET);
    CHECK_EQ(send_all(a, &c, "x", 1), -ECONNRESET);
    CHECK_EQ(weft_sim_reset(17), -EBADF);
    drop(a, &c, &s);
}

/* Connects beyond the backlog wait, and come in as there is room. */
static void connects(actor *a)
{
    weft_desc d;
    char byte;

    CHECK_OK(connect_to(a, &d, PORT));
    CHECK_EQ(receive(a, &d, &byte, 1), 0);
    weft__desc_close(&a->port, &d);
}

static void backlog(actor *a)
{
    weft_desc listener, d;
    actor c[6];

    CHECK_OK(listen_at(a, &listener, PORT, 2));
    for (int i = 0; i < 6; i++)
        actor_start(&c[i], "connect", connects, NULL);
    sleep_until(a, now() + WEFT_SECOND);
    for (int i = 0; i < 6; i++) {
        CHECK_OK(accept_from(a, &listener, &d));
        weft__desc_close(&a->port, &d);
    }
    for (int i = 0; i < 6; i++)
        actor_join(&c[i]);
    weft__desc_close(&a->port, &listener);
}

/* ---- streaming into lent buffers: four of 128 bytes, of which up to three are kept for a while ---- */

struct stream {
    weft_op op;
    weft_buffer kept[3];
    unsigned count;
    size_t got;
};

static void received(weft_op *op, int64_t result, weft_buffer *buffer)
{
    struct stream *s = (struct stream *)(void *)op;

    CHECK(result > 0 && buffer && buffer->len == (uint32_t)result && buffer->len <= 128);
    for (uint32_t i = 0; i < buffer->len; i++)
        CHECK_EQ(((unsigned char *)buffer->data)[i], pattern(s->got + i));
    s->got += buffer->len;
    if (s->count < 3)
        s->kept[s->count++] = *buffer;
    else
        weft_port_release(buffer);
}

static void streams(actor *a)
{
    enum { BYTES = 4000 };
    unsigned char out[BYTES];
    struct stream s = {.count = 0};
    weft_desc c, d;

    for (size_t i = 0; i < BYTES; i++)
        out[i] = pattern(i);
    pair(a, &c, &d);
    weft_op_recv_multi(&s.op, &d, received);
    weft__port_start(&a->port, &s.op);
    CHECK_EQ(send_all(a, &c, out, BYTES), BYTES);
    weft__desc_close(&a->port, &c);
    while (s.op.state != WEFT_OP_DONE) {
        weft__port_enter(&a->port, now() + WEFT_MILLISECOND);
        while (s.count > 0 && weft_sim_random(2))
            weft_port_release(&s.kept[--s.count]);
    }
    while (s.count > 0)
        weft_port_release(&s.kept[--s.count]);
    CHECK_EQ(s.op.result, 0);
    CHECK_EQ(s.got, BYTES);
    weft__desc_close(&a->port, &d);
}

static void readiness(actor *a)
{
    weft_desc c, s;
    weft_op op, waiting;
    char byte;

    pair(a, &c, &s);
    weft_op_poll(&op, &c, WEFT_READABLE | WEFT_WRITABLE);
    CHECK_EQ(await(a, &op), WEFT_WRITABLE);
    weft_op_poll(&waiting, &s, WEFT_READABLE);
    weft__port_start(&a->port, &waiting);
    sleep_until(a, now() + WEFT_SECOND);
    CHECK(waiting.state != WEFT_OP_DONE);
    CHECK_EQ(send_all(a, &c, "x", 1), 1);
    finish(a, &waiting);
    CHECK_EQ(waiting.result, WEFT_READABLE);
    CHECK_EQ(receive(a, &s, &byte, 1), 1);
    weft_op_poll(&waiting, &s, WEFT_READABLE);
    weft__port_start(&a->port, &waiting);
    weft__port_cancel(&a->port, &waiting);
    finish(a, &waiting);
    CHECK_EQ(waiting.result, -ECANCELED);
    drop(a, &c, &s);
}

static void vectors(actor *a)
{
    char x[3], y[4];
    struct iovec out[] = {{.iov_base = "ab", .iov_len = 2}, {.iov_base = "cdefg", .iov_len = 5}};
    struct iovec in[] = {{.iov_base = x, .iov_len = 3}, {.iov_base = y, .iov_len = 4}};
    weft_desc c, s;
    weft_op op;
    int64_t n, m;

    pair(a, &c, &s);
    weft_op_writev(&op, &c, out, 2);
    n = await(a, &op);
    CHECK(n > 0 && n <= 7);
    weft__desc_close(&a->port, &c);
    weft_op_readv(&op, &s, in, 2);
    m = await(a, &op);
    CHECK(m > 0 && m <= n);
    for (int64_t i = 0; i < m; i++)
        CHECK_EQ(i < 3 ? x[i] : y[i - 3], 'a' + i);
    weft__desc_close(&a->port, &s);
}

static void options(actor *a)
{
    const weft_port_driver *driver = a->port.driver;
    weft_desc c, s;
    weft_op op;
    int value = 0;

    pair(a, &c, &s);
    CHECK_OK(driver->setopt(&a->port, c.handle, WEFT_NODELAY, 1));
    CHECK_OK(driver->getopt(&a->port, c.handle, WEFT_NODELAY, &value));
    CHECK_EQ(value, 1);
    CHECK_EQ(driver->setopt(&a->port, c.handle, WEFT_SOCKERR, 1), -ENOPROTOOPT);
    CHECK_EQ(driver->setopt(&a->port, 5, WEFT_NODELAY, 1), -EBADF);
    CHECK_OK(driver->setopt(&a->port, s.handle, WEFT_LINGER_S, 0));
    weft__desc_close(&a->port, &s);
    sleep_until(a, now() + WEFT_SECOND);
    CHECK_OK(driver->getopt(&a->port, c.handle, WEFT_SOCKERR, &value));
    CHECK_EQ(value, ECONNRESET);
    CHECK_OK(driver->getopt(&a->port, c.handle, WEFT_SOCKERR, &value));
    CHECK_EQ(value, 0);
    weft_op_fsync(&op, &c, 0);
    CHECK_EQ(await(a, &op), -ENOTSUP);
    weft__desc_close(&a->port, &c);
}

/* Used up, accept says so; with room again, it goes on. */
static void handles(actor *a)
{
    weft_desc listener, c[3], s;
    weft_addr like = at_port(1);
    weft_handle h;

    CHECK_OK(listen_at(a, &listener, PORT, 0));
    for (int i = 0; i < 3; i++)
        CHECK_OK(connect_to(a, &c[i], PORT));
    CHECK_EQ(a->port.driver->socket(&a->port, &h, &like), -EMFILE);
    CHECK_EQ(accept_from(a, &listener, &s), -EMFILE);
    weft__desc_close(&a->port, &c[0]);
    CHECK_OK(accept_from(a, &listener, &s));
    weft__desc_close(&a->port, &s);
    drop(a, &c[1], &c[2]);
    weft__desc_close(&a->port, &listener);
}

/* ---- files ---- */

static int64_t open_at(actor *a, weft_desc *dir, const char *path, unsigned flags, weft_desc *out)
{
    weft_op op;

    weft_op_open(&op, dir, path, flags, 0);
    const int64_t r = await(a, &op);
    if (r >= 0)
        weft__desc_init(out, (weft_handle)r, flags & WEFT_OPEN_DIRECTORY ? WEFT_DESC_DIR : WEFT_DESC_FILE);
    return r;
}

static void files(actor *a)
{
    _Alignas(8) char buf[256];
    weft_desc dir, f, c, s;
    weft_stat st;
    weft_op op;
    unsigned names = 0;
    int64_t n;

    CHECK_OK(weft_sim_file("/www/index.html", "hello, world", 12));
    CHECK_OK(weft_sim_file("/www/sub/a", "a", 1));
    CHECK_OK(weft_sim_file("/www/sub/b", "b", 1));
    CHECK_OK(weft_sim_file("/secret", "s", 1));
    CHECK_EQ(weft_sim_file("relative", "", 0), -EINVAL);
    CHECK_OK(open_at(a, NULL, "/www", WEFT_OPEN_READ | WEFT_OPEN_DIRECTORY, &dir));
    CHECK_EQ(open_at(a, &dir, "../secret", WEFT_OPEN_READ | WEFT_OPEN_BENEATH, &f), -EXDEV);
    CHECK_EQ(open_at(a, &dir, "/secret", WEFT_OPEN_READ | WEFT_OPEN_BENEATH, &f), -EXDEV);
    CHECK_EQ(open_at(a, &dir, "nothing", WEFT_OPEN_READ, &f), -ENOENT);
    CHECK_EQ(open_at(a, &dir, "index.html", WEFT_OPEN_WRITE, &f), -EROFS);
    CHECK_EQ(open_at(a, &dir, "index.html", WEFT_OPEN_READ | WEFT_OPEN_DIRECTORY, &f), -ENOTDIR);
    CHECK_OK(open_at(a, &dir, "sub/.././index.html", WEFT_OPEN_READ | WEFT_OPEN_BENEATH, &f));

    weft_op_stat(&op, &f, NULL, &st, 0);
    CHECK_EQ(await(a, &op), 0);
    CHECK_EQ(st.size, 12);
    weft_op_stat(&op, &dir, "sub", &st, 0);
    CHECK_EQ(await(a, &op), 0);
    CHECK_EQ(st.mode & 0170000, 0040000);
    for (int64_t at = 0; (n = (weft_op_pread(&op, &f, buf + at, 100, at), await(a, &op))) > 0;)
        at += n;
    CHECK_EQ(n, 0);
    CHECK(memcmp(buf, "hello, world", 12) == 0);
    weft_op_readdir(&op, &f, buf, sizeof buf);
    CHECK_EQ(await(a, &op), -ENOTDIR);

    while ((n = (weft_op_readdir(&op, &dir, buf, sizeof buf), await(a, &op))) > 0)
        for (int64_t at = 0; at < n;) {
            const weft_dirent *e = (const weft_dirent *)(const void *)(buf + at);

            CHECK((e->type == 'd' && strcmp(e->name, "sub") == 0) || (e->type == 'f' && strcmp(e->name, "index.html") == 0));
            names++;
            at += e->length;
        }
    CHECK_EQ(n, 0);
    CHECK_EQ(names, 2);

    pair(a, &c, &s);
    weft_op_sendfile(&op, &c, &f, 7, 100);
    n = await(a, &op);
    CHECK(n > 0 && n <= 5);
    CHECK(receive(a, &s, buf, sizeof buf) > 0);
    CHECK_EQ(buf[0], 'w');
    weft_op_sendfile(&op, &c, &f, 12, 100);
    CHECK_EQ(await(a, &op), 0);
    drop(a, &c, &s);

    drop(a, &f, &dir);
}

/* ---- */

static void (*fn)(actor *a);

static int program(void *arg)
{
    actor a;

    actor_start(&a, "test", fn, arg);
    actor_join(&a);
    return 0;
}

static void explore(void (*what)(actor *a), unsigned max_handles)
{
    weft_sim_result r;

    fn = what;
    for (uint64_t seed = 0; seed < 200; seed++) {
        CHECK_EQ(weft_sim_run(&(weft_sim_options){.seed = seed, .max_handles = max_handles}, program, NULL, &r), 0);
        CHECK_EQ(r.handles_left, 0);
        CHECK_EQ(r.ops_left, 0);
        CHECK_EQ(r.threads_left, 0);
    }
}

int main(void)
{
    explore(refusals, 0);
    explore(addresses, 0);
    explore(half_close, 0);
    explore(resets, 0);
    explore(backlog, 0);
    explore(streams, 0);
    explore(readiness, 0);
    explore(vectors, 0);
    explore(options, 0);
    explore(handles, 4);
    explore(files, 0);
    return 0;
}
