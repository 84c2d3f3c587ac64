/* The control: a TCP echo server as a plain edge-triggered epoll loop, one thread, as good as we can make it. No time-outs, no limits: it does
 * less than `weft echo` does, which is what makes it a yardstick. Prints "listening on ADDRESS". */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 256, BUFFER = 65536 };

static char buffer[BUFFER];
static int poller;

static void die(const char *what)
{
    perror(what);
    exit(1);
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
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), one = 1;
        if (fd < 0)
            return;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        watch(fd, EPOLLIN | EPOLLRDHUP | EPOLLET);
    }
}

/* A reply that does not fit the socket's buffer is waited for here: the load of this benchmark never gets there. */
static int echo(int fd, size_t n)
{
    for (size_t at = 0; at < n;) {
        ssize_t w = send(fd, buffer + at, n - at, MSG_NOSIGNAL);
        if (w > 0)
            at += (size_t)w;
        else if (errno != EAGAIN && errno != EINTR)
            return -1;
    }
    return 0;
}

static void serve(int fd)
{
    for (;;) {
        ssize_t n = recv(fd, buffer, sizeof buffer, 0);
        if (n > 0 && echo(fd, (size_t)n) == 0) {
            if ((size_t)n < sizeof buffer)
                return; /* all that was there: the next edge tells of more */
            continue;
        }
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        close(fd);
        return;
    }
}

int main(void)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof addr;
    struct epoll_event events[EVENTS];
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (listener < 0 || poller < 0 || bind(listener, (struct sockaddr *)&addr, sizeof addr) < 0 || listen(listener, 4096) < 0)
        die("listen");
    getsockname(listener, (struct sockaddr *)&addr, &len);
    printf("listening on 127.0.0.1:%d\n", ntohs(addr.sin_port));
    fflush(stdout);
    watch(listener, EPOLLIN | EPOLLET);
    for (;;) {
        int n = epoll_wait(poller, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.fd == listener)
                accept_all(listener);
            else
                serve(events[i].data.fd);
        }
    }
}
