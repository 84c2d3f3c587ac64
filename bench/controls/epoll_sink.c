/* Controls: a TCP server that swallows and answers each MiB with one byte, as a plain epoll loop, level- or
 * edge-triggered. Edge-triggered it reads again only when the buffer came back full: less than that was all there was,
 * and the next edge tells of more.
 *
 *     epoll_sink level|edge */
#include "control.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 512, BUFFER = 65536, MIB = 1 << 20 };

static char buffer[BUFFER];
static size_t *owed; /* by descriptor: bytes not answered for yet */
static int poller, edge;

static void accept_one(int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    no_delay(fd);
    owed[fd] = 0;
    struct epoll_event e = {.events = edge ? EPOLLIN | EPOLLRDHUP | EPOLLET : EPOLLIN, .data.fd = fd};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e) < 0)
        die("epoll_ctl");
}

/* 0, or -1: the connection is over. */
static int serve(int fd)
{
    for (;;) {
        ssize_t n = recv(fd, buffer, sizeof buffer, 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return 0;
        if (n <= 0)
            return -1;
        owed[fd] += (size_t)n;
        for (; owed[fd] >= MIB; owed[fd] -= MIB)
            if (send(fd, "", 1, MSG_NOSIGNAL) != 1)
                return -1;
        if (!edge || (size_t)n < sizeof buffer)
            return 0;
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
    owed = calloc((size_t)sysconf(_SC_OPEN_MAX), sizeof *owed);
    struct epoll_event e = {.events = EPOLLIN, .data.fd = listener};
    if (poller < 0 || !owed || epoll_ctl(poller, EPOLL_CTL_ADD, listener, &e) < 0)
        die("start");
    for (;;) {
        int n = epoll_wait(poller, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.fd == listener)
                accept_one(listener);
            else if (serve(events[i].data.fd) < 0)
                close(events[i].data.fd);
        }
    }
}
