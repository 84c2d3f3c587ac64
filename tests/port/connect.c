/* Conformance: connecting and accepting, addresses and options. */
#include "bed.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/stat.h>
#include <sys/un.h>

static void connect_and_accept(bed *b, int family)
{
    weft_desc l, c, s;
    weft_addr addr, peer, mine;
    job a = {0}, j = {0};
    weft_handle h;
    bed_listener(b, &l, &addr, family);
    weft_op_accept(&a.op, &l, &peer);
    bed_start(b, &a);
    CHECK_OK(b->port.driver->socket(&b->port, &h, &addr));
    weft__desc_init(&c, h, WEFT_DESC_STREAM);
    weft_op_connect(&j.op, &c, &addr);
    CHECK_EQ(bed_run(b, &j), 0);
    CHECK_OK(bed_await(b, &a));
    weft__desc_init(&s, (weft_handle)a.op.result, WEFT_DESC_STREAM);
    CHECK(fcntl((int)s.handle, F_GETFL) & O_NONBLOCK);
    CHECK(fcntl((int)s.handle, F_GETFD) & FD_CLOEXEC);
    CHECK(fcntl((int)c.handle, F_GETFL) & O_NONBLOCK);
    CHECK(fcntl((int)c.handle, F_GETFD) & FD_CLOEXEC);
    CHECK(fcntl((int)l.handle, F_GETFD) & FD_CLOEXEC);
    CHECK_EQ(peer.family, addr.family);
    CHECK_OK(b->port.driver->address(&b->port, c.handle, 0, &mine));
    CHECK_EQ(peer.port, mine.port);
    if (family == AF_INET)
        CHECK(memcmp(peer.ip4, (uint8_t[]){127, 0, 0, 1}, 4) == 0);
    CHECK_OK(b->port.driver->address(&b->port, c.handle, 1, &mine));
    CHECK_EQ(mine.port, addr.port);
    weft_op_connect(&j.op, &c, &addr);
    CHECK_EQ(bed_run(b, &j), -EISCONN);
    bed_shut(b, &c);
    bed_shut(b, &s);
    bed_shut(b, &l);
}

static void connect_and_accept_ip4(bed *b) { connect_and_accept(b, AF_INET); }
static void connect_and_accept_unix(bed *b) { connect_and_accept(b, AF_UNIX); }

static void connect_and_accept_ip6(bed *b)
{
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int here = fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0;
    if (fd >= 0)
        close(fd);
    if (here)
        connect_and_accept(b, AF_INET6);
    else
        printf("  no IPv6 here\n");
}

static void accept_finds_who_waits(bed *b)
{
    weft_desc l;
    weft_addr addr;
    job a = {0};
    bed_listener(b, &l, &addr, AF_INET);
    int fd[3];
    for (int i = 0; i < 3; i++)
        fd[i] = bed_raw_connect(&addr);
    for (int i = 0; i < 3; i++) {
        weft_op_accept(&a.op, &l, NULL);
        CHECK_OK(bed_run(b, &a));
        close((int)a.op.result);
    }
    bed_start(b, &a);
    bed_settle(b);
    CHECK_EQ(a.ended, 0);
    close(bed_raw_connect(&addr));
    CHECK_OK(bed_await(b, &a));
    close((int)a.op.result);
    for (int i = 0; i < 3; i++)
        close(fd[i]);
    bed_shut(b, &l);
}

static void refused(bed *b)
{
    weft_desc l, c;
    weft_addr addr;
    weft_handle h;
    job j = {0};
    bed_listener(b, &l, &addr, AF_INET);
    bed_shut(b, &l); /* nobody listens there now */
    CHECK_OK(b->port.driver->socket(&b->port, &h, &addr));
    weft__desc_init(&c, h, WEFT_DESC_STREAM);
    weft_op_connect(&j.op, &c, &addr);
    CHECK_EQ(bed_run(b, &j), -ECONNREFUSED);
    bed_shut(b, &c);
    weft_addr nowhere = {.family = WEFT_ADDR_UNIX, .path_len = 26, .path = "/nonexistent-weft/nowhere."};
    CHECK_OK(b->port.driver->socket(&b->port, &h, &nowhere));
    weft__desc_init(&c, h, WEFT_DESC_STREAM);
    weft_op_connect(&j.op, &c, &nowhere);
    CHECK_EQ(bed_run(b, &j), -ENOENT);
    weft_addr bad = {.family = 77};
    weft_op_connect(&j.op, &c, &bad);
    CHECK(bed_run(b, &j) < 0);
    bed_shut(b, &c);
    CHECK_EQ(b->port.driver->socket(&b->port, &h, &bad), -EAFNOSUPPORT);
    CHECK_EQ(b->port.driver->listen(&b->port, &h, &bad, NULL), -EAFNOSUPPORT);
}

/* A socket that was watched before it was connected: stale readiness must not look like success. */
static void watched_before_connected(bed *b)
{
    weft_desc l, c;
    weft_addr addr;
    weft_handle h;
    job j = {0}, p = {0};
    bed_listener(b, &l, &addr, AF_INET);
    bed_shut(b, &l);
    CHECK_OK(b->port.driver->socket(&b->port, &h, &addr));
    weft__desc_init(&c, h, WEFT_DESC_STREAM);
    weft_op_poll(&p.op, &c, WEFT_READABLE);
    bed_start(b, &p);
    bed_settle(b);
    weft_op_connect(&j.op, &c, &addr);
    CHECK_EQ(bed_run(b, &j), -ECONNREFUSED);
    bed_cancel(b, &p);
    bed_await(b, &p);
    bed_shut(b, &c);
}

/* A Unix listener whose queue is full: connect waits, and no readiness tells when it may try again. */
static void full_unix_queue(bed *b)
{
    weft_desc c[8];
    weft_addr addr = {.family = WEFT_ADDR_UNIX};
    weft_handle h;
    job j[8] = {0};
    addr.path_len = (uint16_t)(1 + snprintf(addr.path + 1, 100, "weft-full-%d", (int)getpid()));
    CHECK_OK(b->port.driver->listen(&b->port, &h, &addr, &(weft_listen_flags){.backlog = 1}));
    int l = (int)h;
    for (int i = 0; i < 8; i++) {
        CHECK_OK(b->port.driver->socket(&b->port, &h, &addr));
        weft__desc_init(&c[i], h, WEFT_DESC_STREAM);
        weft_op_connect(&j[i].op, &c[i], &addr);
        bed_start(b, &j[i]);
    }
    bed_settle(b);
    unsigned waiting = 0;
    for (int i = 0; i < 8; i++)
        waiting += !j[i].ended;
    CHECK(waiting >= 4);
    bed_cancel(b, &j[7]); /* one gives up */
    CHECK_EQ(bed_await(b, &j[7]), -ECANCELED);
    int64_t limit = bed_after(BED_LIMIT);
    for (int done = 0; done < 7;) {
        CHECK(bed_now() < limit);
        int fd = accept4(l, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0)
            close(fd);
        weft__port_enter(&b->port, bed_after(5 * WEFT_MILLISECOND));
        done = 0;
        for (int i = 0; i < 7; i++)
            done += j[i].ended != 0;
    }
    for (int i = 0; i < 7; i++)
        CHECK_EQ(j[i].op.result, 0);
    close(l);
    for (int i = 0; i < 8; i++)
        bed_shut(b, &c[i]);
}

static void unix_file(weft_addr *a, char *dir)
{
    strcpy(dir, "/tmp/weft-test-XXXXXX");
    CHECK(mkdtemp(dir));
    *a = (weft_addr){.family = WEFT_ADDR_UNIX};
    a->path_len = (uint16_t)snprintf(a->path, sizeof a->path, "%s/s", dir);
}

static void stale_socket_file_is_replaced(bed *b)
{
    char dir[64];
    weft_addr a, back;
    weft_handle h, again;
    struct stat st;
    unix_file(&a, dir);
    CHECK_OK(b->port.driver->listen(&b->port, &h, &a, &(weft_listen_flags){.mode = 0600}));
    CHECK(stat(a.path, &st) == 0);
    CHECK_EQ(st.st_mode & 0777, 0600);
    CHECK_OK(b->port.driver->address(&b->port, h, 0, &back));
    CHECK(back.path_len == a.path_len && memcmp(back.path, a.path, a.path_len) == 0);
    /* A live server is never robbed, not even with its queue full. */
    CHECK_EQ(b->port.driver->listen(&b->port, &again, &a, NULL), -EADDRINUSE);
    close((int)h);
    CHECK(stat(a.path, &st) == 0); /* the file stays, stale */
    CHECK_OK(b->port.driver->listen(&b->port, &h, &a, NULL));
    close(bed_raw_connect(&a));
    close((int)h);
    unlink(a.path);
    /* A file that is no socket is not ours to remove. */
    int fd = open(a.path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    CHECK(fd >= 0);
    close(fd);
    CHECK_EQ(b->port.driver->listen(&b->port, &h, &a, NULL), -EADDRINUSE);
    CHECK(stat(a.path, &st) == 0);
    unlink(a.path);
    rmdir(dir);
}

static void full_live_unix_server_is_not_robbed(bed *b)
{
    char dir[64];
    weft_addr a;
    weft_handle h, again;
    unix_file(&a, dir);
    CHECK_OK(b->port.driver->listen(&b->port, &h, &a, &(weft_listen_flags){.backlog = 1}));
    int fds[8], n = 0;
    struct sockaddr_storage ss;
    unsigned len;
    CHECK_OK(weft__addr_to_sockaddr(&a, &ss, &len));
    for (; n < 8; n++) {
        fds[n] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        CHECK(fds[n] >= 0);
        if (connect(fds[n], (struct sockaddr *)&ss, len) < 0)
            break;
    }
    CHECK_EQ(errno, EAGAIN);
    CHECK_EQ(b->port.driver->listen(&b->port, &again, &a, NULL), -EADDRINUSE);
    for (int i = 0; i <= n && i < 8; i++)
        close(fds[i]);
    close((int)h);
    unlink(a.path);
    rmdir(dir);
}

static void address_in_use(bed *b)
{
    weft_desc l;
    weft_addr addr;
    weft_handle h, h2;
    bed_listener(b, &l, &addr, AF_INET);
    CHECK_EQ(b->port.driver->listen(&b->port, &h, &addr, NULL), -EADDRINUSE);
    bed_shut(b, &l);
    weft_addr any = {.family = WEFT_ADDR_IP4, .ip4 = {127, 0, 0, 1}}, got;
    weft_listen_flags shared = {.reuse_port = 1, .backlog = 16};
    CHECK_OK(b->port.driver->listen(&b->port, &h, &any, &shared));
    CHECK_OK(b->port.driver->address(&b->port, h, 0, &got));
    CHECK(got.port != 0);
    CHECK_OK(b->port.driver->listen(&b->port, &h2, &got, &shared));
    close((int)h);
    close((int)h2);
}

static void options(bed *b)
{
    const weft_port_driver *d = b->port.driver;
    weft_desc x;
    int raw, v = 0;
    bed_pair(&x, &raw, AF_INET);
    CHECK_OK(d->setopt(&b->port, x.handle, WEFT_NODELAY, 1));
    CHECK_OK(d->getopt(&b->port, x.handle, WEFT_NODELAY, &v));
    CHECK(v != 0);
    CHECK_OK(d->setopt(&b->port, x.handle, WEFT_KEEPALIVE, 1));
    CHECK_OK(d->getopt(&b->port, x.handle, WEFT_KEEPALIVE, &v));
    CHECK(v != 0);
    CHECK_OK(d->setopt(&b->port, x.handle, WEFT_RCVBUF, 8192));
    CHECK_OK(d->getopt(&b->port, x.handle, WEFT_RCVBUF, &v));
    CHECK(v >= 8192);
    CHECK_OK(d->getopt(&b->port, x.handle, WEFT_LINGER_S, &v));
    CHECK_EQ(v, -1);
    CHECK_OK(d->setopt(&b->port, x.handle, WEFT_LINGER_S, 3));
    CHECK_OK(d->getopt(&b->port, x.handle, WEFT_LINGER_S, &v));
    CHECK_EQ(v, 3);
    CHECK_OK(d->setopt(&b->port, x.handle, WEFT_LINGER_S, -1));
    CHECK_OK(d->getopt(&b->port, x.handle, WEFT_SOCKERR, &v));
    CHECK_EQ(v, 0);
    CHECK_EQ(d->setopt(&b->port, x.handle, (enum weft_sockopt)99, 1), -ENOTSUP);
    CHECK_EQ(d->setopt(&b->port, 1 << 20, WEFT_NODELAY, 1), -EBADF);
    CHECK_EQ(d->address(&b->port, 1 << 20, 0, &(weft_addr){0}), -EBADF);
    CHECK_OK(d->shutdown(&b->port, x.handle, SHUT_WR));
    char c;
    CHECK_EQ(recv(raw, &c, 1, 0), 0);
    close(raw);
    bed_shut(b, &x);
}

static void address_limits(bed *b)
{
    (void)b;
    struct sockaddr_storage ss;
    unsigned len;
    weft_addr a = {.family = WEFT_ADDR_UNIX, .path_len = 108}, back;
    memset(a.path, 'x', sizeof a.path);
    CHECK_EQ(weft__addr_to_sockaddr(&a, &ss, &len), -EINVAL); /* no room for the terminator */
    a.path_len = 107;
    CHECK_OK(weft__addr_to_sockaddr(&a, &ss, &len));
    weft__addr_from_sockaddr(&back, &ss, len);
    CHECK_EQ(back.path_len, 107);
    a.path[0] = 0;
    a.path_len = 108;
    CHECK_OK(weft__addr_to_sockaddr(&a, &ss, &len)); /* abstract names have none */
    weft__addr_from_sockaddr(&back, &ss, len);
    CHECK(back.path_len == 108 && memcmp(back.path, a.path, 108) == 0);
    a.path_len = 0;
    CHECK_EQ(weft__addr_to_sockaddr(&a, &ss, &len), -EINVAL);
    a = (weft_addr){.family = WEFT_ADDR_IP6, .port = 443, .scope = 7, .ip6 = {0xfe, 0x80, [15] = 9}};
    CHECK_OK(weft__addr_to_sockaddr(&a, &ss, &len));
    weft__addr_from_sockaddr(&back, &ss, len);
    CHECK(back.port == 443 && back.scope == 7 && memcmp(back.ip6, a.ip6, 16) == 0);
    weft__addr_from_sockaddr(&back, &ss, 1);
    CHECK_EQ(back.family, WEFT_ADDR_NONE);
}

static const bed_case cases[] = {
    CASE(connect_and_accept_ip4),
    CASE(connect_and_accept_ip6),
    CASE(connect_and_accept_unix),
    CASE(accept_finds_who_waits),
    CASE(refused),
    CASE(watched_before_connected),
    CASE(full_unix_queue),
    CASE(stale_socket_file_is_replaced),
    CASE(full_live_unix_server_is_not_robbed),
    CASE(address_in_use),
    CASE(options),
    CASE(address_limits),
};
BED_MAIN(cases)
