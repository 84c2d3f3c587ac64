/* Control: HTTP/1.1 keep-alive by hand, one thread, edge-triggered. It answers each blank line it reads with the same
 * bytes, which it is given in a file, so that they can be exactly what `weft serve` or nginx answers. It parses
 * nothing else: no server does less.
 *
 *     epoll_http RESPONSE_FILE */
#include "control.h"
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { EVENTS = 512, BUFFER = 65536, BATCH = 64 };

typedef struct conn {
    unsigned matched; /* bytes of the blank line seen so far */
    unsigned owed;    /* responses, the one that is being sent included */
    size_t at;        /* of that one: sent so far */
} conn;

static char buffer[BUFFER];
static char *response;
static size_t response_size;
static conn *conns; /* by descriptor */
static int poller;

static void read_response(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    off_t size = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
    if (size <= 0)
        die(path);
    response_size = (size_t)size;
    response = malloc(response_size);
    if (!response || pread(fd, response, response_size, 0) != size)
        die(path);
    close(fd);
}

static void watch(int fd, unsigned events)
{
    struct epoll_event e = {.events = events, .data.fd = fd};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e) < 0)
        die("epoll_ctl");
}

static void accept_all(int listener)
{
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        no_delay(fd);
        conns[fd] = (conn){0};
        watch(fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
    }
}

static unsigned count_requests(conn *c, const char *bytes, size_t n)
{
    unsigned found = 0;
    for (size_t i = 0; i < n;) {
        if (c->matched == 0) {
            const char *cr = memchr(bytes + i, '\r', n - i);
            if (!cr)
                break;
            i = (size_t)(cr - bytes) + 1;
            c->matched = 1;
        } else if (bytes[i] == "\r\n\r\n"[c->matched]) {
            i++;
            if (++c->matched == 4) {
                c->matched = 0;
                found++;
            }
        } else {
            c->matched = 0;
        }
    }
    return found;
}

/* 0, also if the socket is full; -1: the connection is over. */
static int send_owed(int fd, conn *c)
{
    struct iovec iov[BATCH];
    while (c->owed > 0) {
        unsigned n = c->owed < BATCH ? c->owed : BATCH;
        for (unsigned i = 0; i < n; i++)
            iov[i] = (struct iovec){response, response_size};
        iov[0] = (struct iovec){response + c->at, response_size - c->at};
        struct msghdr m = {.msg_iov = iov, .msg_iovlen = n};
        ssize_t w = n > 1 ? sendmsg(fd, &m, MSG_NOSIGNAL) : send(fd, iov[0].iov_base, iov[0].iov_len, MSG_NOSIGNAL);
        if (w < 0)
            return errno == EAGAIN ? 0 : -1;
        size_t sent = c->at + (size_t)w;
        c->owed -= (unsigned)(sent / response_size);
        c->at = sent % response_size;
    }
    return 0;
}

static int serve(int fd, conn *c)
{
    if (send_owed(fd, c) < 0)
        return -1;
    while (c->owed == 0) { /* no new requests from who does not read the old answers */
        ssize_t n = recv(fd, buffer, sizeof buffer, 0);
        if (n <= 0)
            return n < 0 && errno == EAGAIN ? 0 : -1;
        c->owed = count_requests(c, buffer, (size_t)n);
        if (send_owed(fd, c) < 0)
            return -1;
        if ((size_t)n < sizeof buffer)
            return 0;
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct epoll_event events[EVENTS];
    if (argc != 2)
        return 2;
    read_response(argv[1]);
    int listener = listen_somewhere(SOCK_NONBLOCK);
    poller = epoll_create1(EPOLL_CLOEXEC);
    conns = calloc((size_t)sysconf(_SC_OPEN_MAX), sizeof *conns);
    if (poller < 0 || !conns)
        die("start");
    watch(listener, EPOLLIN | EPOLLET);
    for (;;) {
        int n = epoll_wait(poller, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == listener)
                accept_all(listener);
            else if (serve(fd, &conns[fd]) < 0)
                close(fd);
        }
    }
}
