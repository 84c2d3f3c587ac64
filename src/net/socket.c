/* The socket's record: making, finding, ending. Owner lane's worker. A record outlives the descriptor by the
 * streaming op's last completion, whose callbacks write into it. */
#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "net/sock.h"

const weft__resource_kind weft__socket_type = {"socket", WEFT__SOCKET, weft__handle_close};

static void descriptor_ended(weft__handle *h)
{
    weft__sock *s = weft__sock_of(h);
    s->gone = 1;
    weft__sock_gone(s);
}

static void init(weft__sock *s, weft_handle raw)
{
    weft__handle_init(&s->h, raw, WEFT_DESC_STREAM);
    s->h.ended = descriptor_ended;
    s->ring = s->own;
    s->room = WEFT__CHUNKS;
}

int weft__sock_make(weft_handle raw, weft__sock **out)
{
    weft__handle *h;
    int r = weft__handle_make(&weft__socket_type, raw, WEFT_DESC_STREAM, &h);
    if (r < 0)
        return r;
    *out = weft__sock_of(h);
    init(*out, raw);
    return 0;
}

int weft__sock_make_for(weft__lane *lane, weft_handle raw, weft__sock **out)
{
    weft__resource *res;
    int r = weft__resource_make_for(lane, &weft__socket_type, &res);
    if (r < 0)
        return r;
    *out = weft__sock_of(weft__container(res, weft__handle, res));
    init(*out, raw);
    return 0;
}

int weft__sock_find(weft_id id, weft__sock **out)
{
    weft__handle *h;
    int r = weft__handle_find(id, WEFT__KINDS_SOCKET, &h);
    if (r == 0)
        *out = weft__sock_of(h);
    return r;
}

void weft__sock_gone(weft__sock *s)
{
    if (!s->gone || s->streaming)
        return;
    weft__stream_drop(s);
    weft__hub *hub = s->hub;
    int refused = s->refused;
    weft__resource_gone(&s->h.res);
    if (hub)
        weft__hub_left(hub, refused);
}
