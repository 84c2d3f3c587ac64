/* A TCP echo server on libev: plain calls in the callbacks. What a socket does not take is kept,
 * and waited for with another watcher. */
#include <arpa/inet.h>
#include <errno.h>
#include <ev.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER = 65536 };

typedef struct conn {
    ev_io reads, writes;
    char *bytes; /* not sent yet */
    size_t at, size;
} conn;

static char buffer[BUFFER];

static void end(struct ev_loop *loop, conn *c)
{
    ev_io_stop(loop, &c->reads);
    ev_io_stop(loop, &c->writes);
    close(c->reads.fd);
    free(c->bytes);
    free(c);
}

static void readable(struct ev_loop *loop, ev_io *w, int events)
{
    conn *c = w->data;
    (void)events;
    ssize_t n = recv(w->fd, buffer, sizeof buffer, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    ssize_t sent = n > 0 ? send(w->fd, buffer, (size_t)n, MSG_NOSIGNAL) : -1;
    if (n <= 0 || (sent < 0 && errno != EAGAIN)) {
        end(loop, c);
        return;
    }
    if (sent == n)
        return;
    c->at = 0;
    c->size = (size_t)(n - (sent > 0 ? sent : 0));
    c->bytes = malloc(c->size);
    if (!c->bytes)
        abort();
    memcpy(c->bytes, buffer + n - c->size, c->size);
    ev_io_stop(loop, &c->reads);
    ev_io_start(loop, &c->writes);
}

static void writable(struct ev_loop *loop, ev_io *w, int events)
{
    conn *c = w->data;
    (void)events;
    ssize_t sent = send(w->fd, c->bytes + c->at, c->size - c->at, MSG_NOSIGNAL);
    if (sent < 0) {
        if (errno != EAGAIN)
            end(loop, c);
        return;
    }
    c->at += (size_t)sent;
    if (c->at < c->size)
        return;
    free(c->bytes);
    c->bytes = NULL;
    ev_io_stop(loop, &c->writes);
    ev_io_start(loop, &c->reads);
}

static void connected(struct ev_loop *loop, ev_io *w, int events)
{
    int one = 1, fd;
    (void)events;
    while ((fd = accept4(w->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        conn *c = calloc(1, sizeof *c);
        if (!c)
            abort();
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        ev_io_init(&c->reads, readable, fd, EV_READ);
        ev_io_init(&c->writes, writable, fd, EV_WRITE);
        c->reads.data = c->writes.data = c;
        ev_io_start(loop, &c->reads);
    }
}

int main(void)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof addr;
    struct ev_loop *loop = ev_default_loop(EVBACKEND_EPOLL);
    ev_io listener;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (!loop || fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof addr) < 0 || listen(fd, 4096) < 0)
        return 1;
    getsockname(fd, (struct sockaddr *)&addr, &length);
    printf("listening on 127.0.0.1:%d\n", ntohs(addr.sin_port));
    fflush(stdout);
    ev_io_init(&listener, connected, fd, EV_READ);
    ev_io_start(loop, &listener);
    return ev_run(loop, 0);
}
