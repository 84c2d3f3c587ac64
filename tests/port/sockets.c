/* Conformance: the plain life of stream sockets. */
#include "bed.h"

#include <sys/uio.h>

static void nop_and_post(bed *b)
{
    job j = {0};
    weft_op_nop(&j.op);
    CHECK_EQ(bed_run(b, &j), 0);
    weft_op_post(&j.op, 42);
    CHECK_EQ(bed_run(b, &j), 42);
    CHECK_EQ(bed_run(b, &j), 42); /* a finished op may be submitted again */
}

static void send_then_recv(bed *b, int family)
{
    weft_desc x, y;
    char out[] = "hello", in[16] = "";
    job s = {0}, r = {0};
    bed_pair2(&x, &y, family);
    weft_op_recv(&r.op, &y, in, sizeof in);
    bed_start(b, &r);
    bed_settle(b);
    CHECK_EQ(r.ended, 0); /* nothing there yet */
    CHECK_EQ(y.flying, 1);
    weft_op_send(&s.op, &x, out, sizeof out);
    CHECK_EQ(bed_run(b, &s), sizeof out);
    CHECK_EQ(bed_await(b, &r), sizeof out);
    CHECK(strcmp(in, "hello") == 0);
    CHECK_EQ(y.flying, 0);
    bed_shut(b, &x);
    bed_shut(b, &y);
}

static void send_then_recv_unix(bed *b) { send_then_recv(b, AF_UNIX); }
static void send_then_recv_tcp(bed *b) { send_then_recv(b, AF_INET); }

static void recv_of_data_already_there(bed *b)
{
    weft_desc x;
    int raw;
    char in[4];
    job r = {0};
    bed_pair(&x, &raw, AF_INET);
    CHECK_EQ(send(raw, "abcdefghij", 10, 0), 10);
    for (int i = 0; i < 3; i++) {
        weft_op_recv(&r.op, &x, in, sizeof in);
        CHECK_EQ(bed_run(b, &r), i < 2 ? 4 : 2);
    }
    CHECK(memcmp(in, "ij", 2) == 0);
    close(raw);
    weft_op_recv(&r.op, &x, in, sizeof in);
    CHECK_EQ(bed_run(b, &r), 0); /* the end, as often as asked */
    CHECK_EQ(bed_run(b, &r), 0);
    bed_shut(b, &x);
}

/* Data and the end come in one edge; a reader that trusts its short read would wait for ever. */
static void end_behind_a_short_read(bed *b)
{
    weft_desc x;
    int raw;
    char in[64];
    job r = {0};
    bed_pair(&x, &raw, AF_INET);
    weft_op_recv(&r.op, &x, in, sizeof in);
    bed_start(b, &r);
    bed_settle(b); /* it waits: a readiness driver knows the descriptor now */
    CHECK_EQ(send(raw, "12345", 5, 0), 5);
    close(raw);
    CHECK_EQ(bed_await(b, &r), 5);
    CHECK_EQ(bed_run(b, &r), 0);
    bed_shut(b, &x);
}

/* A Unix stream's read stops at a message with descriptors: more may lie behind a short read. */
static void data_behind_passed_descriptors(bed *b)
{
    weft_desc x;
    int raw;
    char in[64];
    job r = {0};
    bed_pair(&x, &raw, AF_UNIX);
    weft_op_recv(&r.op, &x, in, sizeof in);
    bed_start(b, &r);
    bed_settle(b);
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {.head = {.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))}};
    int passed = 0;
    memcpy(CMSG_DATA(&control.head), &passed, sizeof passed);
    struct iovec v = {(char *)(uintptr_t)"ab", 2};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control.room};
    CHECK_EQ(sendmsg(raw, &m, 0), 2);
    CHECK_EQ(send(raw, "cdef", 4, 0), 4);
    int64_t got = bed_await(b, &r);
    CHECK(got == 2 || got == 6);
    if (got == 2)
        CHECK_EQ(bed_run(b, &r), 4);
    close(raw);
    bed_shut(b, &x);
}

/* The urgent byte cuts a read short although more follows. */
static void data_behind_urgent_data(bed *b)
{
    weft_desc x;
    int raw;
    char in[64];
    job r = {0};
    bed_pair(&x, &raw, AF_INET);
    weft_op_recv(&r.op, &x, in, sizeof in);
    bed_start(b, &r);
    bed_settle(b);
    CHECK_EQ(send(raw, "abc", 3, 0), 3);
    CHECK_EQ(send(raw, "!", 1, MSG_OOB), 1);
    CHECK_EQ(send(raw, "def", 3, 0), 3);
    int64_t sum = 0;
    for (sum = bed_await(b, &r); sum < 6;)
        sum += bed_run(b, &r);
    CHECK_EQ(sum, 6);
    close(raw);
    bed_shut(b, &x);
}

static void vectors(bed *b)
{
    weft_desc x, y;
    char p[3], q[5];
    job w = {0}, r = {0};
    struct iovec out[3] = {{(char *)(uintptr_t)"ab", 2}, {NULL, 0}, {(char *)(uintptr_t)"cdefgh", 6}};
    struct iovec in[2] = {{p, sizeof p}, {q, sizeof q}};
    bed_pair2(&x, &y, AF_INET);
    weft_op_readv(&r.op, &y, in, 2);
    bed_start(b, &r);
    weft_op_writev(&w.op, &x, out, 3);
    CHECK_EQ(bed_run(b, &w), 8);
    CHECK_EQ(bed_await(b, &r), 8);
    CHECK(memcmp(p, "abc", 3) == 0 && memcmp(q, "defgh", 5) == 0);
    bed_shut(b, &x);
    bed_shut(b, &y);
}

static void zero_lengths(bed *b)
{
    weft_desc x;
    int raw;
    char c;
    job j = {0};
    bed_pair(&x, &raw, AF_UNIX);
    CHECK_EQ(send(raw, "z", 1, 0), 1);
    weft_op_recv(&j.op, &x, &c, 0);
    CHECK_EQ(bed_run(b, &j), 0);
    weft_op_send(&j.op, &x, &c, 0);
    CHECK_EQ(bed_run(b, &j), 0);
    weft_op_readv(&j.op, &x, NULL, 0);
    CHECK_EQ(bed_run(b, &j), 0);
    weft_op_writev(&j.op, &x, NULL, 0);
    CHECK_EQ(bed_run(b, &j), 0);
    weft_op_recv(&j.op, &x, &c, 1);
    CHECK_EQ(bed_run(b, &j), 1); /* the byte is still there */
    close(raw);
    bed_shut(b, &x);
}

/* A send into a full socket waits, then reports what went. */
static void send_waits_for_room(bed *b)
{
    weft_desc x;
    int raw;
    static char big[1 << 20];
    job s = {0};
    bed_pair(&x, &raw, AF_INET);
    size_t filled = bed_fill((int)x.handle), seen = 0;
    weft_op_send(&s.op, &x, big, sizeof big);
    bed_start(b, &s);
    bed_settle(b);
    CHECK_EQ(s.ended, 0);
    static char sink[65536];
    int64_t limit = bed_after(BED_LIMIT);
    while (!s.ended) {
        CHECK(bed_now() < limit);
        ssize_t n = recv(raw, sink, sizeof sink, MSG_DONTWAIT);
        seen += n > 0 ? (size_t)n : 0;
        weft__port_enter(&b->port, bed_after(WEFT_MILLISECOND));
    }
    CHECK(s.op.result > 0 && s.op.result <= (int64_t)sizeof big);
    while (seen < filled + (size_t)s.op.result) {
        ssize_t n = recv(raw, sink, sizeof sink, 0);
        CHECK(n > 0 || (n < 0 && errno == EAGAIN));
        seen += n > 0 ? (size_t)n : 0;
    }
    CHECK_EQ(seen, filled + (size_t)s.op.result);
    close(raw);
    bed_shut(b, &x);
}

/* 8 MiB through in order, both sides on the port, whatever sizes the socket takes. */
static void bulk_keeps_order(bed *b)
{
    enum { TOTAL = 8 << 20, PIECE = 100000 };
    static unsigned char out[PIECE], in[PIECE];
    weft_desc x, y;
    job s = {0}, r = {0};
    size_t sent = 0, got = 0;
    bed_pair2(&x, &y, AF_INET);
    weft_op_recv(&r.op, &y, in, sizeof in);
    bed_start(b, &r);
    while (got < TOTAL) {
        if (!s.bed || (s.ended && sent < TOTAL)) {
            for (size_t i = 0; i < PIECE; i++)
                out[i] = (unsigned char)((sent + i) % 251);
            weft_op_send(&s.op, &x, out, TOTAL - sent < PIECE ? TOTAL - sent : PIECE);
            bed_start(b, &s);
            if (s.ended)
                sent += (size_t)s.op.result;
        }
        uint32_t before = s.ended;
        bed_until(b, &r.ended, 1);
        if (!before && s.ended)
            sent += (size_t)s.op.result;
        CHECK(r.op.result > 0);
        for (int64_t i = 0; i < r.op.result; i++)
            CHECK_EQ(in[i], (got + (size_t)i) % 251);
        got += (size_t)r.op.result;
        if (got < TOTAL) {
            weft_op_recv(&r.op, &y, in, sizeof in);
            bed_start(b, &r);
        }
    }
    if (!s.ended)
        bed_await(b, &s);
    bed_shut(b, &x);
    bed_shut(b, &y);
}

static void half_close(bed *b)
{
    weft_desc x, y;
    char c;
    job j = {0}, r = {0};
    bed_pair2(&x, &y, AF_INET);
    weft_op_recv(&r.op, &y, &c, 1);
    bed_start(b, &r);
    bed_settle(b);
    weft_op_shutdown(&j.op, &x, SHUT_WR);
    CHECK_EQ(bed_run(b, &j), 0);
    CHECK_EQ(bed_await(b, &r), 0);
    /* The other direction still works. */
    weft_op_send(&j.op, &y, "k", 1);
    CHECK_EQ(bed_run(b, &j), 1);
    weft_op_recv(&j.op, &x, &c, 1);
    CHECK_EQ(bed_run(b, &j), 1);
    weft_op_send(&j.op, &x, "no", 2);
    CHECK_EQ(bed_run(b, &j), -EPIPE); /* and no signal: bed_main would have noticed */
    bed_shut(b, &x);
    bed_shut(b, &y);
}

static void broken_pipe_without_signal(bed *b)
{
    weft_desc x, file;
    int raw;
    job j = {0};
    struct iovec v = {(char *)(uintptr_t)"x", 1};
    FILE *f = tmpfile();
    CHECK(f && fputs("some text", f) >= 0 && fflush(f) == 0);
    weft__desc_init(&file, dup(fileno(f)), WEFT_DESC_FILE);
    fclose(f);
    bed_pair(&x, &raw, AF_UNIX);
    close(raw);
    weft_op_send(&j.op, &x, "x", 1);
    CHECK_EQ(bed_run(b, &j), -EPIPE);
    weft_op_writev(&j.op, &x, &v, 1);
    CHECK_EQ(bed_run(b, &j), -EPIPE);
    weft_op_sendfile(&j.op, &x, &file, 0, 9);
    CHECK_EQ(bed_run(b, &j), -EPIPE);
    bed_shut(b, &x);
    bed_shut(b, &file);
}

static void pipe_ends_quietly(bed *b)
{
    int fds[2];
    weft_desc w;
    job j = {0};
    CHECK(pipe2(fds, 02000000 | 04000) == 0); /* O_CLOEXEC | O_NONBLOCK */
    weft__desc_init(&w, fds[1], WEFT_DESC_OTHER);
    weft_op_send(&j.op, &w, "x", 1);
    CHECK_EQ(bed_run(b, &j), 1);
    if (!is_uring(b)) { /* a ring's write to a pipe may signal: there the process has to ignore SIGPIPE */
        close(fds[0]);
        CHECK_EQ(bed_run(b, &j), -EPIPE);
    } else {
        close(fds[0]);
    }
    bed_shut(b, &w);
}

static void reset_by_peer(bed *b)
{
    weft_desc x;
    int raw;
    char c;
    job r = {0}, r2 = {0};
    bed_pair(&x, &raw, AF_INET);
    weft_op_recv(&r.op, &x, &c, 1);
    bed_start(b, &r);
    bed_settle(b);
    struct linger l = {1, 0};
    CHECK(setsockopt(raw, SOL_SOCKET, SO_LINGER, &l, sizeof l) == 0);
    close(raw);
    CHECK_EQ(bed_await(b, &r), -ECONNRESET);
    weft_op_recv(&r2.op, &x, &c, 1);
    CHECK_EQ(bed_run(b, &r2), 0);
    weft_op_send(&r2.op, &x, &c, 1);
    CHECK_EQ(bed_run(b, &r2), -EPIPE);
    bed_shut(b, &x);
}

static void bad_descriptors(bed *b)
{
    weft_desc none, fd;
    char c;
    job j = {0};
    weft_addr a = {.family = WEFT_ADDR_IP4, .ip4 = {127, 0, 0, 1}, .port = 1};
    weft__desc_init(&none, WEFT_NOHANDLE, WEFT_DESC_STREAM);
    weft_op_recv(&j.op, &none, &c, 1);
    CHECK_EQ(bed_run(b, &j), -EBADF);
    weft_op_recv(&j.op, NULL, &c, 1);
    CHECK_EQ(bed_run(b, &j), -EBADF);
    weft_op_connect(&j.op, NULL, &a);
    CHECK_EQ(bed_run(b, &j), -EBADF);
    weft_op_sendfile(&j.op, &none, NULL, 0, 1);
    CHECK_EQ(bed_run(b, &j), -EBADF);
    weft__desc_init(&fd, 1 << 20, WEFT_DESC_STREAM); /* a number that the kernel does not know */
    weft_op_recv(&j.op, &fd, &c, 1);
    CHECK_EQ(bed_run(b, &j), -EBADF);
    weft_op_accept(&j.op, &fd, NULL);
    CHECK_EQ(bed_run(b, &j), -EBADF);
    int raw;
    weft_desc s;
    bed_pair(&s, &raw, AF_INET);
    weft_op_sendfile(&j.op, &s, NULL, 0, 1);
    CHECK_EQ(bed_run(b, &j), -EBADF);
    weft_op_sendfile(&j.op, &s, &none, 0, 1);
    CHECK_EQ(bed_run(b, &j), -EBADF);
    weft_op_accept(&j.op, &s, NULL);
    CHECK_EQ(bed_run(b, &j), -EINVAL); /* not listening */
    weft_desc after = s;
    bed_shut(b, &s);
    weft_op_recv(&j.op, &s, &c, 1);
    CHECK_EQ(bed_run(b, &j), -EBADF);
    (void)after;
    close(raw);
    j.op.code = WEFT_OP_COUNT;
    CHECK_EQ(bed_run(b, &j), -EINVAL);
}

static void another_ports_descriptor(bed *b)
{
    static bed other;
    weft_desc x;
    int raw;
    char c;
    job j = {0};
    bed_open(&other, NULL);
    bed_pair(&x, &raw, AF_UNIX);
    CHECK_OK(weft__desc_adopt(&x, &other.port));
    weft_op_recv(&j.op, &x, &c, 1);
    CHECK_EQ(bed_run(b, &j), -EXDEV);
    close(raw);
    bed_shut(&other, &x);
    bed_close(&other);
}

static void poll_tells_which(bed *b)
{
    weft_desc x;
    int raw;
    job r = {0}, w = {0}, both = {0};
    bed_pair(&x, &raw, AF_INET);
    weft_op_poll(&w.op, &x, WEFT_WRITABLE);
    CHECK_EQ(bed_run(b, &w), WEFT_WRITABLE);
    weft_op_poll(&r.op, &x, WEFT_READABLE);
    bed_start(b, &r);
    bed_fill((int)x.handle);
    weft_op_poll(&both.op, &x, WEFT_READABLE | WEFT_WRITABLE);
    bed_start(b, &both);
    bed_settle(b);
    CHECK_EQ(r.ended + both.ended, 0);
    CHECK_EQ(send(raw, "x", 1, 0), 1);
    CHECK_EQ(bed_await(b, &r), WEFT_READABLE);
    CHECK(bed_await(b, &both) & WEFT_READABLE);
    close(raw);
    weft_op_poll(&r.op, &x, WEFT_HANGUP);
    CHECK(bed_run(b, &r) & WEFT_HANGUP);
    bed_shut(b, &x);
}

/* Polls take nothing from reads, and reads wait in order. */
static void order_of_reads(bed *b)
{
    enum { N = 5 };
    weft_desc x;
    int raw;
    char c[N];
    job r[N] = {0}, p = {0};
    bed_pair(&x, &raw, AF_UNIX);
    weft_op_poll(&p.op, &x, WEFT_READABLE);
    bed_start(b, &p);
    for (int i = 0; i < N; i++) {
        weft_op_recv(&r[i].op, &x, &c[i], 1);
        bed_start(b, &r[i]);
    }
    bed_settle(b);
    for (int i = 0; i < N; i++) {
        CHECK_EQ(r[i].ended, 0);
        char out = (char)('0' + i);
        CHECK_EQ(send(raw, &out, 1, 0), 1);
        if (!is_uring(b)) {
            CHECK_EQ(bed_await(b, &r[i]), 1);
            CHECK_EQ(c[i], '0' + i);
        }
    }
    for (int i = 0; i < N; i++)
        CHECK_EQ(bed_await(b, &r[i]), 1);
    bed_await(b, &p);
    close(raw);
    bed_shut(b, &x);
}

static void sendfile_to_socket(bed *b)
{
    enum { SIZE = 1 << 20 };
    weft_desc x, file;
    int raw;
    job s = {0};
    static unsigned char data[SIZE], back[SIZE];
    FILE *f = tmpfile();
    for (int i = 0; i < SIZE; i++)
        data[i] = (unsigned char)(i * 7 % 255);
    CHECK(f && fwrite(data, 1, SIZE, f) == SIZE && fflush(f) == 0);
    weft__desc_init(&file, dup(fileno(f)), WEFT_DESC_FILE);
    fclose(f);
    bed_pair(&x, &raw, AF_INET);
    size_t sent = 100, got = 100;
    while (got < SIZE) {
        if (!s.bed || (s.ended && sent < SIZE)) {
            weft_op_sendfile(&s.op, &x, &file, sent, SIZE - sent);
            bed_start(b, &s);
            if (s.ended)
                sent += (size_t)s.op.result;
        }
        ssize_t n = recv(raw, back + got, SIZE - got, MSG_DONTWAIT);
        CHECK(n > 0 || errno == EAGAIN);
        got += n > 0 ? (size_t)n : 0;
        uint32_t before = s.ended;
        weft__port_enter(&b->port, bed_after(WEFT_MILLISECOND));
        if (!before && s.ended) {
            CHECK(s.op.result > 0);
            sent += (size_t)s.op.result;
        }
    }
    CHECK(memcmp(back + 100, data + 100, SIZE - 100) == 0);
    weft_op_sendfile(&s.op, &x, &file, SIZE, 10);
    CHECK_EQ(bed_run(b, &s), 0); /* the file's end */
    close(raw);
    bed_shut(b, &x);
    bed_shut(b, &file);
}

/* What a request costs: a receive, a send and a share of one kernel entry; no epoll_ctl, no attempt that is known to
 * be in vain. */
static void calls_per_request(bed *b)
{
    enum { ROUNDS = 100 };
    weft_desc x;
    int raw;
    char in[64];
    job r = {0}, s = {0};
    if (is_uring(b))
        return; /* its own tests count */
    bed_pair(&x, &raw, AF_INET);
    uint64_t calls = 0, entered = 0;
    weft_op_recv(&r.op, &x, in, sizeof in);
    bed_start(b, &r);
    bed_settle(b);
    for (int i = 0; i < ROUNDS; i++) {
        if (i == 1) { /* the first round may learn */
            calls = b->port.calls;
            entered = b->port.entered;
        }
        CHECK_EQ(send(raw, "request", 7, 0), 7);
        CHECK_EQ(bed_await(b, &r), 7);
        weft_op_send(&s.op, &x, "answer", 6);
        CHECK_EQ(bed_run(b, &s), 6);
        CHECK_EQ(recv(raw, in, 6, MSG_WAITALL), 6);
        weft_op_recv(&r.op, &x, in, sizeof in);
        bed_start(b, &r);
    }
    CHECK_EQ(b->port.calls - calls, 2 * (ROUNDS - 1));
    CHECK_EQ(b->port.entered - entered, ROUNDS - 1);
    bed_cancel(b, &r);
    bed_await(b, &r);
    close(raw);
    bed_shut(b, &x);
}

static const bed_case cases[] = {
    CASE(nop_and_post),
    CASE(calls_per_request),
    CASE(send_then_recv_unix),
    CASE(send_then_recv_tcp),
    CASE(recv_of_data_already_there),
    CASE(end_behind_a_short_read),
    CASE(data_behind_passed_descriptors),
    CASE(data_behind_urgent_data),
    CASE(vectors),
    CASE(zero_lengths),
    CASE(send_waits_for_room),
    CASE(bulk_keeps_order),
    CASE(half_close),
    CASE(broken_pipe_without_signal),
    CASE(pipe_ends_quietly),
    CASE(reset_by_peer),
    CASE(bad_descriptors),
    CASE(another_ports_descriptor),
    CASE(poll_tells_which),
    CASE(order_of_reads),
    CASE(sendfile_to_socket),
};
BED_MAIN(cases)
