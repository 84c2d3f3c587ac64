/* A TCP echo server on libevent's buffered events. */
#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>

static void received(struct bufferevent *b, void *arg)
{
    (void)arg;
    bufferevent_write_buffer(b, bufferevent_get_input(b)); /* moves the chain: no copy */
}

static void ended(struct bufferevent *b, short what, void *arg)
{
    (void)what, (void)arg;
    bufferevent_free(b);
}

static void connected(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *from, int length, void *arg)
{
    int one = 1;
    (void)from, (void)length, (void)arg;
    struct bufferevent *b = bufferevent_socket_new(evconnlistener_get_base(listener), fd, BEV_OPT_CLOSE_ON_FREE);
    if (!b)
        return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    bufferevent_setcb(b, received, NULL, ended, NULL);
    bufferevent_enable(b, EV_READ | EV_WRITE);
}

int main(void)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof addr;
    struct event_base *base = event_base_new();
    struct evconnlistener *listener = evconnlistener_new_bind(base, connected, NULL, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 4096,
                                                              (struct sockaddr *)&addr, sizeof addr);
    if (!listener)
        return 1;
    getsockname(evconnlistener_get_fd(listener), (struct sockaddr *)&addr, &length);
    printf("listening on 127.0.0.1:%d\n", ntohs(addr.sin_port));
    fflush(stdout);
    return event_base_dispatch(base);
}
