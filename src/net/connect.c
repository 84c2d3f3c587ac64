/* Connecting. The socket is the lane's from before the connect begins, so whatever ends the wait, its close follows
 * the op's end. */
#include <errno.h>

#include "fiber/contain.h"
#include "net/sock.h"

int weft_connect_addr(weft_id *out, const weft_addr *address, int64_t deadline)
{
    weft__probe_self();
    if (!weft__fiber_self())
        return -EPERM;
    if (!out || !address)
        return -EINVAL;
    int r = weft_canceled();
    if (r < 0)
        return weft__refuse(weft__fiber_self(), r);
    weft_port *port = weft__handle_port();
    weft_handle raw;
    r = port->driver->socket ? port->driver->socket(port, &raw, address) : -ENOTSUP;
    if (r < 0)
        return r;
    weft__sock *s;
    r = weft__sock_make(raw, &s);
    if (r < 0)
        return r;
    weft_id id = weft__resource_id(&s->h.res);
    weft_op op;
    weft_op_connect(&op, s->h.desc, address);
    r = (int)weft__handle_await(&s->h, &op, deadline);
    if (r < 0)
        /* By its id: a sibling may have found that (weft_id_list) and closed it, and the record be another's. */
        weft_close(id);
    else
        *out = id;
    return r;
}

int weft_connect(weft_id *out, const char *address, int64_t deadline)
{
    weft__probe_more(1);
    weft_addr addr;
    int r = weft_addr_parse(address, &addr);
    return r < 0 ? r : weft_connect_addr(out, &addr, deadline);
}
