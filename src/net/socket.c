/* The socket's record: making, finding, sharing, ending. Owner lane's worker. A record outlives its part of the close
 * by the streaming op's last completion, whose callbacks write into it. */
#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "net/sock.h"

static void port_done(weft__handle *h)
{
    weft__sock *s = weft__sock_of(h);
    s->gone = 1;
    weft__sock_gone(s);
}

/* No id of the connection is left. Any worker. */
static void connection_over(weft__handle *host)
{
    weft__sock *s = weft__sock_of(host);
    if (s->hub)
        weft__hub_left(s->hub, s->refused);
}

static int pack(weft__resource *r, int64_t deadline)
{
    weft__sock *s = weft__sock_of(weft__handle_of(r));
    int result = weft__stream_disarm(s, deadline);
    return result < 0 ? result : weft__handle_pack(&s->h);
}

static void copy(weft__resource *fresh, const weft__resource *of, int shared)
{
    weft__sock *s = weft__sock_of(weft__handle_of(fresh));
    const weft__sock *from = weft__sock_of(weft__handle_of(of));
    weft__handle_copy(&s->h, &from->h, shared);
    s->ring = s->own;
    s->room = WEFT__CHUNKS;
    if (shared)
        return;
    s->ended = from->ended;
    s->last = from->last;
    s->head = from->head;
    s->h.streams = from->h.streams;
    s->count = from->count;
    memcpy(s->own, from->own, sizeof s->own);
    if (from->ring != from->own) {
        s->ring = from->ring;
        s->room = from->room;
    }
}

static void inspect(weft__resource *r, weft_id_info *out)
{
    weft__sock *s = weft__sock_of(weft__handle_of(r));
    if (s->streaming)
        out->state = "streaming";
    else if (s->count)
        out->state = "open, with unread buffers";
}

static size_t where(const weft_id_info *info, char *buf, size_t size)
{
    size_t n = weft_addr_format(&info->local, buf, size);
    if (info->peer.family == WEFT_ADDR_NONE || n + 4 >= size)
        return n;
    memcpy(buf + n, " -> ", 5);
    return n + 4 + weft_addr_format(&info->peer, buf + n + 4, size - n - 4);
}

const weft__resource_kind weft__socket_type = {.name = "socket", .kind = WEFT__SOCKET, .close = weft__handle_close, .pack = pack,
                                               .copy = copy, .replaced = weft__handle_replaced, .inspect = inspect, .where = where,
                                               .source = &weft__stream_source};

static void init(weft__sock *s, weft_handle raw)
{
    weft__handle_init(&s->h, raw, WEFT_DESC_STREAM);
    s->h.ended = port_done;
    s->h.over = connection_over;
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
    *out = weft__sock_of(weft__handle_of(res));
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
    if (!s->gone || weft__stream_in_use(s))
        return;
    weft__stream_drop(s);
    weft__handle_gone(&s->h);
}
