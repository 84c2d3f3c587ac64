/* A connection becomes a lane. Called wherever a handle was accepted: by the acceptor's fiber, or from the port's
 * thread in the middle of its reaping, so nothing here waits. */
#include <errno.h>

#include "base/check.h"
#include "net/hub.h"

/* Refusals at once; beyond this many, who is too much is closed without a word. */
#define REFUSING_MAX 256u
/* A peer that does not read its refusal is not waited for. */
#define REFUSAL_TIME (5 * WEFT_SECOND)

/* What the newborn finds on its stack. */
typedef struct opening {
    int (*handler)(void *conn);
    void *arg;
    weft_id id;
} opening;

static int connection(void *arg)
{
    const opening *o = arg;
    weft_conn conn = {.id = o->id, .arg = o->arg};
    /* A peer that is gone already has no address: the handler finds out by reading. */
    weft_peer_addr(conn.id, &conn.peer);
    return o->handler(&conn);
}

static int make_lane(weft__shard *shard, int (*handler)(void *), int64_t deadline, weft__lane **out)
{
    weft__hub *hub = shard->hub;
    opening o = {handler, hub->arg, WEFT_NOID};
    weft_lane_options opt = {
        .name = hub->name, .stack_size = hub->stack_size, .copy = sizeof o, .deadline = deadline, .detached = 1, .mobile = hub->mobile};
    return weft__lane_make(hub->rt, shard->lane, connection, &o, &opt, "connection", WEFT_HERE, out);
}

static int start(weft__shard *shard, weft_handle raw, int refused)
{
    weft__hub *hub = shard->hub;
    weft__lane *lane;
    weft__sock *s;
    int64_t deadline = refused ? weft_after(REFUSAL_TIME) : 0;
    int r = make_lane(shard, refused ? hub->refuse : hub->handler, deadline, &lane);
    if (r < 0)
        return r;
    lane->quiet = 1; /* how one connection ends is not the server's business */
    r = weft__sock_make_for(lane, raw, &s);
    if (r < 0) {
        weft__lane_abandon(lane);
        return r;
    }
    ((opening *)(void *)lane->newborn->copy)->id = weft__resource_id(&s->h.res);
    s->refused = (uint8_t)refused;
    s->hub = hub;
    weft__hub_ref(hub);
    weft__lane_start_connection(lane);
    return 0;
}

int weft__connection_start(weft__shard *shard, weft_handle raw, int counted)
{
    weft__hub *hub = shard->hub;
    int refused = !counted && !weft__hub_enter(hub), r;
    if (refused && (!hub->refuse || weft__add_relaxed(&hub->refusing, 1, "hub.refuse") >= REFUSING_MAX)) {
        if (hub->refuse)
            weft__sub_acq_rel(&hub->refusing, 1, "hub.refuse");
        weft__handle_drop(raw, WEFT__SOCKET);
        return 0;
    }
    r = start(shard, raw, refused);
    if (r == 0)
        return 0;
    weft__handle_drop(raw, WEFT__SOCKET);
    if (refused)
        weft__sub_acq_rel(&hub->refusing, 1, "hub.refuse");
    else
        weft__hub_undo(hub);
    return r;
}
