/* What a socket is and how it is set: calls that never wait. Fibers of the owner lane. */
#include <errno.h>

#include "net/sock.h"

static int find(weft_id id, weft__handle **out)
{
    return weft__handle_find(id, WEFT__KINDS_SOCKET | WEFT__KINDS_LISTENER, out);
}

static int address(weft_id id, int peer, weft_addr *out)
{
    weft__handle *h;
    int r = out ? find(id, &h) : -EINVAL;
    if (r < 0)
        return r;
    weft_port *port = weft__handle_port();
    return port->driver->address ? port->driver->address(port, h->desc->handle, peer, out) : -ENOTSUP;
}

int weft_local_addr(weft_id sock, weft_addr *out) { return address(sock, 0, out); }

int weft_peer_addr(weft_id sock, weft_addr *out) { return address(sock, 1, out); }

int weft_sock_set(weft_id sock, enum weft_sockopt opt, int value)
{
    weft__handle *h;
    int r = find(sock, &h);
    if (r < 0)
        return r;
    weft_port *port = weft__handle_port();
    return port->driver->setopt ? port->driver->setopt(port, h->desc->handle, opt, value) : -ENOTSUP;
}

int weft_sock_get(weft_id sock, enum weft_sockopt opt, int *value)
{
    weft__handle *h;
    int r = value ? find(sock, &h) : -EINVAL;
    if (r < 0)
        return r;
    weft_port *port = weft__handle_port();
    return port->driver->getopt ? port->driver->getopt(port, h->desc->handle, opt, value) : -ENOTSUP;
}

int weft_shutdown(weft_id sock, int how)
{
    if (how < 0 || how > 2)
        return -EINVAL;
    weft__sock *s;
    int r = weft__sock_find(sock, &s);
    if (r < 0)
        return r;
    weft_port *port = weft__handle_port();
    return port->driver->shutdown ? port->driver->shutdown(port, s->h.desc->handle, how) : -ENOTSUP;
}
