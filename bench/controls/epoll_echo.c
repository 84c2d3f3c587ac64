/* Controls: a TCP echo server as a plain epoll loop, one thread, level- or edge-triggered, as good as we can make it.
 * No time-outs, no limits, no ids: it does less than `weft echo`, which is what makes it a yardstick. What a socket
 * does not take at once is kept, and no more is read from it until that is gone.
 *
 *     epoll_echo level|edge
 *
 * Level-triggered it answers each event with one receive and one send. Edge-triggered it reads again only when the
 * buffer came back full: less than that was all there was, and the next edge tells of more. */
#include "control.h"
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 512, BUFFER = 65536 };

/* Of a connection: only one whose peer reads slowly has anything here. */
typedef struct pending {
    char *bytes;
    size_t at, size;
} pending;

static char buffer[BUFFER];
static pending *waiting; /* by descriptor */
static int poller, edge;

static void watch(int op, int fd, unsigned events)
{
    struct epoll_event e = {.events = events, .data.fd = fd};
    if (epoll_ctl(poller, op, fd, &e) < 0)
        die("epoll_ctl");
}

static void end(int fd)
{
    free(waiting[fd].bytes);
    waiting[fd] = (pending){0};
    close(fd);
}

static void accept_all(int listener)
{
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        no_delay(fd);
        watch(EPOLL_CTL_ADD, fd, edge ? EPOLLIN | EPOLLRDHUP | EPOLLET : EPOLLIN);
        if (!edge)
            return; /* others are told of by the next wait */
    }
}

/* From here on only room is waited for. */
static int keep(int fd, const char *bytes, size_t n)
{
    pending *p = &waiting[fd];
    p->bytes = malloc(n);
    if (!p->bytes)
        return -1;
    memcpy(p->bytes, bytes, n);
    p->at = 0;
    p->size = n;
    watch(EPOLL_CTL_MOD, fd, edge ? EPOLLOUT | EPOLLET : EPOLLOUT);
    return 0;
}

/* 1: all is sent, 0: the rest waits, -1: the connection is over. */
static int reply(int fd, const char *bytes, size_t n)
{
    for (size_t at = 0; at < n;) {
        ssize_t w = send(fd, bytes + at, n - at, MSG_NOSIGNAL);
        if (w > 0)
            at += (size_t)w;
        else if (errno == EAGAIN)
            return keep(fd, bytes + at, n - at);
        else if (errno != EINTR)
            return -1;
    }
    return 1;
}

static void serve(int fd)
{
    for (;;) {
        ssize_t n = recv(fd, buffer, sizeof buffer, 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        int r = n <= 0 ? -1 : reply(fd, buffer, (size_t)n);
        if (r < 0)
            end(fd);
        if (r <= 0 || !edge || (size_t)n < sizeof buffer)
            return;
    }
}

static void flush(int fd)
{
    pending p = waiting[fd];
    waiting[fd] = (pending){0};
    int r = reply(fd, p.bytes + p.at, p.size - p.at);
    free(p.bytes);
    if (r < 0) {
        end(fd);
    } else if (r > 0) {
        watch(EPOLL_CTL_MOD, fd, edge ? EPOLLIN | EPOLLRDHUP | EPOLLET : EPOLLIN);
        if (edge)
            serve(fd);
    }
}

int main(int argc, char **argv)
{
    struct epoll_event events[EVENTS];
    edge = argc == 2 && strcmp(argv[1], "edge") == 0;
    if (argc != 2 || (!edge && strcmp(argv[1], "level") != 0))
        return 2;
    int listener = listen_somewhere(SOCK_NONBLOCK);
    poller = epoll_create1(EPOLL_CLOEXEC);
    waiting = calloc((size_t)sysconf(_SC_OPEN_MAX), sizeof *waiting);
    if (poller < 0 || !waiting)
        die("start");
    watch(EPOLL_CTL_ADD, listener, edge ? EPOLLIN | EPOLLET : EPOLLIN);
    for (;;) {
        int n = epoll_wait(poller, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == listener)
                accept_all(listener);
            else if (waiting[fd].bytes)
                flush(fd);
            else
                serve(fd);
        }
    }
}
