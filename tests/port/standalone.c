/* A port of one's own: what each call does, one after another. */
#include <errno.h>
#include <sys/socket.h>

#include "port/alone.h"

static void life(void)
{
    char in[8];
    weft_desc *d;
    weft_op op;
    weft_port *p = alone_open(NULL);
    CHECK(strcmp(weft_port_name(p), weft_driver_named(NULL)->name) == 0);
    const int peer = alone_pair(p, 77, &d);
    weft_op_recv(&op, d, in, sizeof in);
    op.key = 5;
    CHECK_OK(weft_port_submit(p, &op));
    CHECK_EQ(weft_port_submit(p, &op), -EBUSY);
    weft_completion c;
    CHECK_EQ(weft_port_reap(p, &c, 1, 0, WEFT_NOW), 0);
    CHECK_EQ(weft_port_reap(p, &c, 1, 1, alone_now() + WEFT_MILLISECOND), 0); /* the deadline */
    CHECK_EQ(weft_port_close(p), -EBUSY);
    CHECK_EQ(send(peer, "data", 4, 0), 4);
    c = alone_one(p);
    CHECK(c.op == &op && c.key == 77 && c.result == 4 && !c.more && !c.buffer.data);
    weft_op_post(&op, -7);
    op.key = 9;
    CHECK_OK(weft_port_submit(p, &op));
    CHECK_EQ(weft_port_close(p), -EBUSY); /* nobody has reaped it */
    c = alone_one(p);
    CHECK(c.key == 9 && c.result == -7);
    CHECK_OK(weft_port_detach(p, d));
    CHECK_EQ(weft_port_reap(p, &c, 1, 0, WEFT_NOW), 0);
    CHECK_EQ(recv(peer, in, 1, 0), 0); /* closed */
    close(peer);
    alone_close(p);
}

static void bad_calls(void)
{
    weft_completion c;
    weft_port *p = alone_open(NULL);
    CHECK_EQ(weft_port_reap(p, &c, 0, 0, WEFT_NOW), -EINVAL);
    CHECK_EQ(weft_port_reap(p, &c, 1, 2, WEFT_NOW), -EINVAL);
    CHECK_EQ(weft_port_reap(p, NULL, 1, 1, WEFT_NOW), -EINVAL);
    weft_desc *d;
    CHECK_EQ(weft_port_attach(p, WEFT_NOHANDLE, WEFT_DESC_STREAM, 0, &d), -EBADF);
    const int peer = alone_pair(p, 0, &d);
    CHECK_OK(weft_port_detach(p, d));
    CHECK_EQ(weft_port_detach(p, d), -EBADF);
    close(peer);
    alone_close(p);
    weft_port_driver holes = *weft_driver_epoll();
    holes.enter = NULL;
    CHECK_EQ(weft_port_open(&p, &(weft_port_options){.driver = &holes}), -EINVAL);
    CHECK(strcmp(weft_driver_missing(&holes, NULL), "enter") == 0);
    CHECK(!weft_driver_missing(&holes, "enter"));
}

static void descriptors_left_attached_are_closed(void)
{
    char c;
    weft_desc *d;
    weft_port *p = alone_open(NULL);
    const int peer = alone_pair(p, 0, &d);
    alone_close(p);
    CHECK_EQ(recv(peer, &c, 1, 0), 0);
    close(peer);
}

static void detach_ends_ops(void)
{
    char in[2];
    weft_desc *d;
    weft_op op[2];
    weft_port *p = alone_open(NULL);
    const int peer = alone_pair(p, 3, &d);
    for (int i = 0; i < 2; i++) {
        weft_op_recv(&op[i], d, &in[i], 1);
        CHECK_OK(weft_port_submit(p, &op[i]));
    }
    CHECK_OK(weft_port_detach(p, d));
    for (int i = 0; i < 2; i++) {
        weft_completion c = alone_one(p);
        CHECK(c.key == 3 && c.result == -ECANCELED);
    }
    close(peer);
    alone_close(p);
}

/* Cancelled before it began, while it waits, and twice; the request lies in the op, so the op is told of only after
 * it was seen. */
static void cancels(void)
{
    enum { N = 500 };
    static weft_op op[N];
    static char in[N];
    weft_desc *d;
    weft_port *p = alone_open(NULL);
    const int peer = alone_pair(p, 0, &d);
    for (int i = 0; i < N; i++) {
        weft_op_recv(&op[i], d, &in[i], 1);
        CHECK_OK(weft_port_submit(p, &op[i]));
        if (i % 7 == 0)
            CHECK_EQ(weft_port_reap(p, &(weft_completion){0}, 1, 0, WEFT_NOW), 0);
    }
    for (int i = 0; i < N; i++) {
        CHECK_OK(weft_port_cancel(p, &op[i]));
        if (i % 3 == 0)
            CHECK_OK(weft_port_cancel(p, &op[i]));
    }
    unsigned got = 0;
    static weft_completion c[N];
    int64_t limit = alone_soon();
    while (got < N) {
        int n = weft_port_reap(p, c + got, N - got, 1, limit);
        CHECK(n > 0);
        got += (unsigned)n;
    }
    for (int i = 0; i < N; i++)
        CHECK_EQ(c[i].result, -ECANCELED);
    weft_op_post(&op[0], 0);
    CHECK_OK(weft_port_submit(p, &op[0]));
    CHECK_EQ(weft_port_reap(p, c, 1, 0, WEFT_NOW), 1);
    CHECK_EQ(weft_port_cancel(p, &op[0]), -EALREADY);
    CHECK_OK(weft_port_detach(p, d));
    close(peer);
    alone_close(p);
}

/* A batch: at least min, at most max. */
static void batches(void)
{
    weft_op op[10];
    weft_completion c[10];
    weft_port *p = alone_open(NULL);
    for (int i = 0; i < 10; i++) {
        weft_op_post(&op[i], i);
        CHECK_OK(weft_port_submit(p, &op[i]));
    }
    CHECK_EQ(weft_port_reap(p, c, 4, 1, alone_soon()), 4);
    CHECK_EQ(weft_port_reap(p, c, 4, 4, alone_soon()), 4);
    CHECK_EQ(weft_port_reap(p, c, 4, 3, alone_now() + WEFT_MILLISECOND), 2); /* what there is at the deadline */
    CHECK(c[0].result == 8 && c[1].result == 9); /* in the order they ended */
    alone_close(p);
}

/* A chain's ops each complete. */
static void chains(void)
{
    weft_op op[3];
    weft_completion c[3];
    weft_port *p = alone_open(NULL);
    for (int i = 0; i < 3; i++)
        weft_op_post(&op[i], i == 1 ? -EIO : 0);
    weft_op_then(&op[0], &op[1], 0);
    weft_op_then(&op[1], &op[2], 0);
    CHECK_OK(weft_port_submit(p, &op[0]));
    CHECK_EQ(weft_port_reap(p, c, 3, 3, alone_soon()), 3);
    CHECK(c[0].op == &op[0] && c[0].result == 0);
    CHECK(c[1].op == &op[1] && c[1].result == -EIO);
    CHECK(c[2].op == &op[2] && c[2].result == -ECANCELED);
    alone_close(p);
}

static int64_t eleven(void *arg)
{
    (void)arg;
    return 11;
}

static void blocking_work(void)
{
    weft_op op;
    weft_stat st;
    const char *why;
    weft_port *p = alone_open(&(weft_port_options){.pool_threads = 2});
    weft_op_call(&op, eleven, NULL, NULL);
    CHECK_OK(weft_port_submit(p, &op));
    CHECK_EQ(alone_one(p).result, 11);
    weft_op_stat(&op, NULL, "/", &st, 0);
    CHECK_OK(weft_port_submit(p, &op));
    CHECK_EQ(alone_one(p).result, 0);
    CHECK((st.mode & 0170000) == 0040000);
    CHECK_EQ(weft_port_path(p, WEFT_OP_CALL, &why), WEFT_PATH_POOL);
    CHECK(weft_port_path(p, WEFT_OP_RECV, &why) != WEFT_PATH_NONE && why);
    CHECK_EQ(weft_port_path(p, WEFT_OP_COUNT, NULL), WEFT_PATH_NONE);
    alone_close(p);
}

/* The queue holds 4 results, 100 connections are there before anybody reaps: the rest waits in the kernel, none is
 * lost. */
static void full_queue_stops_the_reaping(void)
{
    enum { N = 100 };
    weft_op op;
    weft_addr addr = {.family = WEFT_ADDR_UNIX};
    weft_port *p = alone_open(&(weft_port_options){.completions = 4, .config = {.entries = 64}});
    const weft_port_driver *driver = weft_driver_named(NULL);
    weft_handle h;
    weft_desc *l;
    int client[N];
    addr.path_len = (uint16_t)(1 + snprintf(addr.path + 1, 100, "weft-queue-%d", (int)getpid()));
    CHECK_OK(driver->listen(p, &h, &addr, NULL));
    CHECK_OK(weft_port_attach(p, h, WEFT_DESC_LISTENER, 1, &l));
    for (int i = 0; i < N; i++) {
        struct sockaddr_storage ss;
        unsigned len;
        CHECK_OK(weft__addr_to_sockaddr(&addr, &ss, &len));
        client[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        CHECK(client[i] >= 0 && connect(client[i], (struct sockaddr *)&ss, len) == 0);
    }
    weft_op_accept_multi(&op, l, NULL);
    CHECK_OK(weft_port_submit(p, &op));
    for (int accepted = 0; accepted < N;) {
        weft_completion c[3];
        int n = weft_port_reap(p, c, 3, 1, alone_soon());
        CHECK(n > 0);
        for (int i = 0; i < n; i++, accepted++) {
            CHECK(c[i].more && c[i].result >= 0 && c[i].key == 1 && c[i].op == &op);
            close((int)c[i].result);
        }
    }
    CHECK_OK(weft_port_cancel(p, &op));
    weft_completion c = alone_one(p);
    CHECK(!c.more && c.result == -ECANCELED);
    for (int i = 0; i < N; i++)
        close(client[i]);
    CHECK_OK(weft_port_detach(p, l));
    alone_close(p);
}

/* Streaming with a queue of 4 and 8 senders: all bytes of each arrive in order. */
static void streaming_through_a_short_queue(void)
{
    enum { N = 8, BYTES = 3000 };
    int peer[N];
    weft_op op[N];
    weft_desc *d[N];
    unsigned next[N] = {0}, sent[N] = {0}, done = 0;
    weft_port *p = alone_open(&(weft_port_options){.completions = 4, .config = {.buffer_count = 4, .buffer_size = 64}});
    for (int i = 0; i < N; i++) {
        peer[i] = alone_pair(p, (uint64_t)i, &d[i]);
        weft_op_recv_multi(&op[i], d[i], NULL);
        CHECK_OK(weft_port_submit(p, &op[i]));
    }
    int64_t limit = alone_soon();
    while (done < N) {
        CHECK(alone_now() < limit);
        for (int i = 0; i < N; i++) {
            unsigned char piece[100];
            unsigned n = BYTES - sent[i] < sizeof piece ? BYTES - sent[i] : (unsigned)sizeof piece;
            for (unsigned k = 0; k < n; k++)
                piece[k] = (unsigned char)((sent[i] + k) * 13 + (unsigned)i);
            ssize_t w = n ? send(peer[i], piece, n, MSG_DONTWAIT) : 0;
            sent[i] += w > 0 ? (unsigned)w : 0;
            if (w > 0 && sent[i] == BYTES)
                shutdown(peer[i], SHUT_WR);
        }
        weft_completion c[3];
        int n = weft_port_reap(p, c, 3, 0, WEFT_NOW);
        CHECK(n >= 0);
        for (int j = 0; j < n; j++) {
            unsigned i = (unsigned)c[j].key;
            if (!c[j].more) {
                CHECK_EQ(c[j].result, 0);
                CHECK_EQ(next[i], BYTES);
                done++;
                continue;
            }
            const unsigned char *data = c[j].buffer.data;
            CHECK_EQ(c[j].result, c[j].buffer.len);
            for (unsigned k = 0; k < c[j].buffer.len; k++, next[i]++)
                CHECK_EQ(data[k], (unsigned char)(next[i] * 13 + i));
            CHECK_EQ(weft_port_close(p), -EBUSY);
            weft_port_release(&c[j].buffer);
        }
    }
    for (int i = 0; i < N; i++) {
        CHECK_OK(weft_port_detach(p, d[i]));
        close(peer[i]);
    }
    alone_close(p);
}
static const alone_case cases[] = {
    CASE(life),
    CASE(bad_calls),
    CASE(descriptors_left_attached_are_closed),
    CASE(detach_ends_ops),
    CASE(cancels),
    CASE(batches),
    CASE(chains),
    CASE(blocking_work),
    CASE(full_queue_stops_the_reaping),
    CASE(streaming_through_a_short_queue),
};

ALONE_MAIN(cases)
