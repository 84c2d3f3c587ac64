/* The ready-made accept loop. The calling fiber makes a shard per worker that accepts, waits until it is cancelled or
 * one of them has stopped, and sees to the drain. Each shard's fiber runs on its own worker.
 *
 * Without a limit a shard has one multishot accept in flight, and connections are started by the port's thread as
 * they come in. With a limit and nobody to refuse what is beyond it, connections are accepted one by one, each after
 * its place was taken, so that never more are accepted than may be. Several shards first wait until somebody knocks:
 * a place held by one that waits for nobody would be missing at another's door. */
#include <errno.h>

#include "base/check.h"
#include "fiber/contain.h"
#include "net/hub.h"

/* ---- accepting ---- */

/* The listener may have been closed by a fiber of the lane that has it, and its record be another's. Same worker. */
static int is_open(const weft__shard *shard)
{
    return weft_id_equal(weft__resource_id(&shard->listener->h.res), shard->listener_id);
}

/* On the shard's worker: the op is to end, so that the acceptor can pause. */
static void run_failed(weft_task *t)
{
    weft__shard *shard = weft__container(t, weft__shard, fail_note);
    /* The note may be sent again: pairs with the exchange in on_connection. */
    weft__store_release(&shard->failing, 0, "shard.failed");
    shard->failed = 1;
    /* Killed in its wait, the acceptor is gone; in line for room for the next op, it waits for none yet. */
    if (shard->armed && !shard->lane->crew.killed && !shard->res.closed && shard->armed->await)
        weft__await_cancel(shard->armed);
    weft__shard_unpin(shard);
}

/* The op that accepts many, and whose it is. */
typedef struct acceptance {
    weft_op op;
    weft__shard *shard;
} acceptance;

/* The port's thread, while it reaps. */
static void on_connection(weft_op *op, int64_t result, weft_buffer *buffer)
{
    (void)buffer;
    weft__shard *shard = weft__container(op, acceptance, op)->shard;
    if (weft__connection_start(shard, (weft_handle)result, 0) == 0)
        return;
    if (weft__exchange_seq(&shard->failing, 1, "shard.failing"))
        return; /* said already */
    weft__shard_pin(shard);
    shard->fail_note.run = run_failed;
    weft__worker_send(shard->worker, &shard->fail_note);
}

/* Until it ends, which is never by itself. */
static int64_t accept_many(weft__shard *shard)
{
    acceptance a = {.shard = shard};
    weft_op_accept_multi(&a.op, shard->listener->h.desc, on_connection);
    shard->armed = weft__fiber_self();
    int64_t r = weft__handle_await(&shard->listener->h, &a.op, WEFT_NEVER);
    shard->armed = NULL;
    return r;
}

static void leave_room(weft__fiber *f)
{
    weft__shard *shard = f->waits_on;
    shard->waiter = NULL;
}

/* Until the hub says yes: 0, or -ECANCELED. */
static int wait_until(weft__shard *shard, int (*agrees)(weft__hub *hub))
{
    weft__hub *hub = shard->hub;
    weft__fiber *f = weft__fiber_self();
    while (!agrees(hub)) {
        weft__store_seq(&shard->wants_room, 1, "shard.wants_room"); /* pairs with the look at it in tell_waiting */
        if (agrees(hub))
            break;
        if (weft__canceled(f))
            return -ECANCELED;
        shard->waiter = f;
        f->unwait = leave_room;
        f->waits_on = shard;
        int r = weft__wait(f, WEFT__WAIT_ACCEPT, WEFT_NEVER);
        if (r < 0)
            return r;
    }
    weft__store_seq(&shard->wants_room, 0, "shard.has_room");
    return 0;
}

static int64_t accept_one(weft__shard *shard)
{
    weft__hub *hub = shard->hub;
    weft_op op;
    int64_t r = 0;
    if (hub->sharded) {
        weft_op_poll(&op, shard->listener->h.desc, WEFT_READABLE);
        r = weft__handle_await(&shard->listener->h, &op, WEFT_NEVER);
    }
    if (r >= 0)
        r = wait_until(shard, weft__hub_enter); /* a place for one more */
    if (r < 0)
        return r;
    r = -ECANCELED;
    if (is_open(shard)) {
        weft_op_accept(&op, shard->listener->h.desc, NULL);
        r = weft__handle_await(&shard->listener->h, &op, hub->sharded ? WEFT_NOW : WEFT_NEVER);
    }
    if (r < 0)
        weft__hub_undo(hub);
    else
        shard->failed = weft__connection_start(shard, (weft_handle)r, 1) < 0;
    return r;
}

/* Until the listener closes or the fiber is cancelled: 0; or the error that ended it. */
static int accept_for_ever(weft__shard *shard)
{
    weft__hub *hub = shard->hub;
    int one_by_one = hub->limit && !hub->refuse;
    unsigned pauses = 0;
    while (is_open(shard)) {
        int64_t begin = weft_now();
        shard->failed = 0;
        int64_t r = one_by_one ? accept_one(shard) : accept_many(shard);
        if (weft_canceled() < 0)
            return 0;
        int wait = shard->failed || weft__accept_pauses(r);
        if (!wait && r < 0 && r != -ECANCELED && r != -ETIMEDOUT && !weft__accept_skips(r))
            return is_open(shard) ? (int)r : 0;
        if (!wait || weft_now() - begin > WEFT_SECOND)
            pauses = 0;
        if (wait && weft_sleep(weft_after(weft__accept_pause_ns(pauses++))) < 0)
            return 0;
    }
    return 0;
}

/* The shard's fiber. It fails nobody: what went wrong is told to the hub, and the connections go on until the drain
 * is over. Nobody accepts before all can: connections might take the stack that another acceptor is to have. */
static int accept_in_shard(void *arg)
{
    weft__shard *shard = *(weft__shard **)arg;
    shard->fiber = weft_self();
    shard->begun = 1;
    weft__hub_begin(shard->hub);
    int r = shard->stopping || wait_until(shard, weft__hub_begun) < 0 ? 0 : accept_for_ever(shard);
    shard->fiber = WEFT_NOID;
    weft__hub_stopped(shard->hub, r);
    return 0;
}

/* ---- shards ---- */

typedef struct shards {
    weft_id lane[WEFT__WORKERS_MAX];
    unsigned count;
} shards;

/* `own`: the listener as it is, on the worker it lives on; else another one at the same address. */
static int start_shard(weft__hub *hub, weft__listener *l, weft__worker *w, int own, weft_id *lane_id)
{
    weft__shard *shard = NULL;
    weft__lane *lane;
    weft_lane_options opt = {.name = "acceptor", .copy = sizeof shard};
    int r = weft__lane_make(hub->rt, weft__lane_self(), accept_in_shard, &shard, &opt, "acceptor", WEFT_HERE, &lane);
    if (r < 0)
        return r;
    r = weft__shard_make(hub, lane, w, &shard);
    if (r == 0 && !own)
        r = weft__listener_shard(l, lane, &l);
    if (r < 0) {
        lane->detached = 1; /* nobody will join it */
        weft__lane_abandon(lane);
        return r;
    }
    shard->listener = l;
    shard->listener_id = weft__resource_id(&l->h.res);
    *(weft__shard **)(void *)lane->newborn->copy = shard;
    *lane_id = weft__lane_id(lane);
    weft__lane_start(lane, w);
    return 0;
}

static int start_shards(weft__hub *hub, weft__listener *l, shards *s)
{
    weft_runtime *rt = hub->rt;
    weft__worker *here = hub->home;
    hub->sharded = rt->mode == WEFT_PER_CORE && rt->workers > 1 && weft__listener_host(l)->reuse_port && !weft__listener_host(l)->local;
    s->count = 0;
    int r = start_shard(hub, l, here, 1, &s->lane[s->count]);
    if (r < 0)
        return r;
    s->count++;
    for (unsigned i = 0; i < rt->workers && hub->sharded; i++) {
        weft__worker *w = weft__load_acquire(&rt->worker[i], "accept.shard");
        if (!w || w == here)
            continue;
        r = start_shard(hub, l, w, 0, &s->lane[s->count]);
        if (r < 0)
            return r;
        s->count++;
    }
    weft__hub_begin(hub);
    return 0;
}

/* ---- the loop as a whole ---- */

static void leave_hub(weft__fiber *f)
{
    weft__hub *hub = f->waits_on;
    hub->waiter = NULL;
}

static void wait_for_end(weft__hub *hub)
{
    weft__fiber *f = weft__fiber_self();
    hub->waiter = f;
    f->unwait = leave_hub;
    f->waits_on = hub;
    if (weft__canceled(f) || weft__load_seq(&hub->stopped, "hub.end")) {
        f->unwait = NULL;
        hub->waiter = NULL;
        return;
    }
    weft__wait(f, WEFT__WAIT_ACCEPT, WEFT_NEVER);
}

/* Waits for the connections, for drain_ns without disturbing them. 1: they had to be cancelled. */
static int drain(weft__hub *hub, const shards *s, int64_t drain_ns)
{
    weft_scope shield;
    int64_t deadline = weft_after(drain_ns > 0 ? drain_ns : hub->rt->opt.grace_ns);
    int forced = weft__lane_self()->crew.cancelled && weft__load_relaxed(&hub->live, "hub.drain") > 0;
    weft_shield_enter(&shield, WEFT_NEVER); /* what it waits for ends by itself or by the cancel below */
    weft__hub_stop(hub);
    unsigned i = 0;
    while (i < s->count && weft_lane_join(s->lane[i], NULL, deadline) == 0)
        i++;
    if (i < s->count) {
        forced = 1;
        for (unsigned j = i; j < s->count; j++)
            weft_cancel(s->lane[j]);
    }
    for (; i < s->count; i++)
        weft_lane_join(s->lane[i], NULL, WEFT_NEVER);
    weft_shield_leave(&shield);
    return forced;
}

static int make_hub(int (*handler)(void *), const weft_accept_options *opt, weft__hub **out)
{
    weft__hub *hub;
    int r = weft__hub_make(&hub);
    if (r < 0)
        return r;
    hub->handler = handler;
    if (opt) {
        hub->refuse = opt->max_connections ? opt->refuse : NULL;
        hub->arg = opt->arg;
        hub->name = opt->name;
        hub->stack_size = opt->stack_size;
        hub->mobile = opt->mobile;
        hub->limit = opt->max_connections;
    }
    *out = hub;
    return 0;
}

int weft_accept_each(weft_id listener, int (*handler)(void *conn), const weft_accept_options *opt)
{
    weft__probe_more(1);
    weft__listener *l;
    weft__hub *hub;
    shards s;
    int r = weft__listener_find(listener, &l);
    if (r < 0)
        return r;
    if (!handler)
        return -EINVAL;
    r = weft_canceled();
    if (r < 0)
        return weft__refuse(weft__fiber_self(), r);
    r = make_hub(handler, opt, &hub);
    if (r < 0)
        return r;
    r = start_shards(hub, l, &s);
    if (r == 0)
        wait_for_end(hub);
    int forced = drain(hub, &s, opt ? opt->drain_ns : 0);
    if (r == 0)
        r = weft__load_acquire(&hub->error, "hub.end");
    weft__resource_close(&hub->res);
    return r < 0 ? r : forced ? -ECANCELED : 0;
}
