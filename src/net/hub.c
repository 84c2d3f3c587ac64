/* Counting connections, and the messages between an accept loop's parts. Functions say which worker may call them;
 * what several touch is atomic or under the hub's lock, which is never held while anything is called. */
#include "net/hub.h"

#include <errno.h>

#include "base/check.h"
#include "lane/realm.h"

/* ---- life ---- */

/* Home. */
static void run_gone(weft_task *t)
{
    weft__hub *hub = weft__container(t, weft__hub, gone_note);
    weft__lane_may_go(hub->res.lane);
    weft__resource_gone(&hub->res);
}

void weft__hub_ref(weft__hub *hub) { weft__add_relaxed(&hub->refs, 1, "hub.ref"); }

/* The last one releases the record, on the hub's worker. Acquire and release: what others did with it is over. */
void weft__hub_unref(weft__hub *hub)
{
    if (weft__sub_acq_rel(&hub->refs, 1, "hub.unref") != 1)
        return;
    hub->gone_note.run = run_gone;
    if (weft__worker_self() == hub->home)
        run_gone(&hub->gone_note);
    else
        weft__worker_send(hub->home, &hub->gone_note);
}

static void close_hub(weft__resource *r)
{
    weft__hub *hub = weft__container(r, weft__hub, res);
    hub->waiter = NULL;
    weft__hub_unref(hub);
}

static const weft__resource_kind hub_type = {.name = "accept loop", .kind = WEFT__KIND_PART, .close = close_hub};

int weft__hub_make(weft__hub **out)
{
    weft__resource *res;
    int r = weft__resource_make(&hub_type, &res);
    if (r < 0)
        return r;
    weft__hub *hub = weft__container(res, weft__hub, res);
    hub->refs = hub->unborn = 1;
    weft__lane_stay(res->lane); /* its worker is where its shards and notes look for it */
    hub->home = weft__worker_self();
    hub->rt = hub->home->rt;
    *out = hub;
    return 0;
}

/* ---- shards ---- */

void weft__shard_pin(weft__shard *shard)
{
    weft__spin_lock(&shard->hub->lock);
    shard->pins++;
    weft__spin_unlock(&shard->hub->lock);
}

/* A note may have been the last thing that pointed at a closed shard: it is gone then. */
void weft__shard_unpin(weft__shard *shard)
{
    weft__hub *hub = shard->hub;
    weft__spin_lock(&hub->lock);
    int last = --shard->pins == 0 && shard->res.closed;
    weft__spin_unlock(&hub->lock);
    if (!last)
        return;
    weft__resource_gone(&shard->res);
    weft__hub_unref(hub);
}

static void close_shard(weft__resource *r)
{
    weft__shard *shard = weft__container(r, weft__shard, res);
    weft__hub *hub = shard->hub;
    /* What the port accepted while the lane was cancelled has become a child after all children were told. */
    weft__crew *crew = &shard->lane->crew;
    if (crew->cancelled)
        weft__lane_apply(shard->lane, crew->killed ? WEFT__SIG_KILL : WEFT__SIG_CANCEL);
    if (!shard->begun) /* it found no stack: the others wait for it in vain */
        weft__hub_stopped(hub, shard->lane->result);
    weft__spin_lock(&hub->lock);
    weft__shard **at = &hub->shards;
    while (*at != shard)
        at = &(*at)->next;
    *at = shard->next;
    shard->pins++;
    weft__spin_unlock(&hub->lock);
    weft__shard_unpin(shard);
}

static const weft__resource_kind shard_type = {.name = "acceptor", .kind = WEFT__KIND_PART, .close = close_shard};

int weft__shard_make(weft__hub *hub, weft__lane *lane, weft__worker *worker, weft__shard **out)
{
    weft__resource *res;
    int r = weft__resource_make_for(lane, &shard_type, &res);
    if (r < 0)
        return r;
    weft__shard *shard = weft__container(res, weft__shard, res);
    weft__lane_stay(lane); /* for good: see `worker` */
    shard->hub = hub;
    shard->lane = lane;
    shard->worker = worker;
    weft__hub_ref(hub);
    weft__add_relaxed(&hub->unborn, 1, "hub.unborn");
    weft__spin_lock(&hub->lock);
    shard->next = hub->shards;
    hub->shards = shard;
    weft__spin_unlock(&hub->lock);
    *out = shard;
    return 0;
}

/* ---- room ---- */

int weft__hub_enter(weft__hub *hub)
{
    uint32_t live = weft__load_seq(&hub->live, "hub.enter"); /* pairs with the subtraction in make_room */
    do
        if (hub->limit && live >= hub->limit)
            return 0;
    while (!weft__cas_seq(&hub->live, &live, live + 1, "hub.enter"));
    return 1;
}

/* On the shard's worker. */
static void run_room(weft_task *t)
{
    weft__shard *shard = weft__container(t, weft__shard, room_note);
    weft__spin_lock(&shard->hub->lock);
    shard->room_noted = 0;
    weft__spin_unlock(&shard->hub->lock);
    weft__fiber *f = shard->waiter;
    shard->waiter = NULL;
    if (f)
        weft__wake(f, 0);
    weft__shard_unpin(shard);
}

/* The shards that wait for room and have no note under way, which would wake them as well; they are pinned, and want
 * none any more. */
static unsigned take_waiting(weft__hub *hub, weft__shard **out)
{
    unsigned n = 0;
    weft__spin_lock(&hub->lock);
    for (weft__shard *shard = hub->shards; shard; shard = shard->next)
        if (weft__load_seq(&shard->wants_room, "hub.room") && weft__exchange_seq(&shard->wants_room, 0, "hub.room") &&
            !shard->room_noted) {
            shard->room_noted = 1;
            shard->pins++;
            out[n++] = shard;
        }
    weft__spin_unlock(&hub->lock);
    return n;
}

/* No wake-up is lost: a shard sets wants_room and then tries once more; this comes after what it waits for and then
 * looks at wants_room. */
static void tell_waiting(weft__hub *hub)
{
    weft__shard *waiting[WEFT__WORKERS_MAX];
    unsigned n = take_waiting(hub, waiting);
    for (unsigned i = 0; i < n; i++) {
        waiting[i]->room_note.run = run_room;
        weft__worker_send(waiting[i]->worker, &waiting[i]->room_note);
    }
}

/* All that wait are told: which of them has a connection at its door, nobody knows. */
static void make_room(weft__hub *hub)
{
    weft__sub_seq(&hub->live, 1, "hub.leave");
    if (hub->limit && !hub->refuse)
        tell_waiting(hub);
}

void weft__hub_undo(weft__hub *hub) { make_room(hub); }

void weft__hub_left(weft__hub *hub, int refused)
{
    if (refused)
        weft__sub_acq_rel(&hub->refusing, 1, "hub.refused");
    else
        make_room(hub);
    weft__hub_unref(hub);
}

/* ---- beginning ---- */

int weft__hub_begun(weft__hub *hub) { return weft__load_seq(&hub->unborn, "hub.begun") == 0; }

void weft__hub_begin(weft__hub *hub)
{
    if (weft__sub_seq(&hub->unborn, 1, "hub.begin") == 1)
        tell_waiting(hub);
}

/* ---- stopping ---- */

/* On the shard's worker. */
static void run_stop(weft_task *t)
{
    weft__shard *shard = weft__container(t, weft__shard, stop_note);
    shard->stopping = 1;
    if (shard->fiber.gen)
        weft_cancel_in(shard->hub->rt, shard->fiber);
    weft__shard_unpin(shard);
}

/* The next shard that was not told yet, pinned. */
static weft__shard *take_untold(weft__hub *hub)
{
    weft__shard *shard;
    weft__spin_lock(&hub->lock);
    for (shard = hub->shards; shard && shard->stop_note.run; shard = shard->next)
        ;
    if (shard) {
        shard->stop_note.run = run_stop;
        shard->pins++;
    }
    weft__spin_unlock(&hub->lock);
    return shard;
}

void weft__hub_stop(weft__hub *hub)
{
    for (weft__shard *shard; (shard = take_untold(hub));)
        weft__worker_send(shard->worker, &shard->stop_note);
}

/* Home. */
static void run_stopped(weft_task *t)
{
    weft__hub *hub = weft__container(t, weft__hub, stop_note);
    weft__fiber *f = hub->waiter;
    hub->waiter = NULL;
    if (f)
        weft__wake(f, 0);
    weft__hub_unref(hub);
}

void weft__hub_stopped(weft__hub *hub, int error)
{
    int32_t none = 0;
    if (error < 0)
        weft__cas_acq_rel(&hub->error, &none, error, "hub.error"); /* the first error stands */
    if (weft__exchange_seq(&hub->stopped, 1, "hub.stopped"))
        return;
    weft__hub_ref(hub); /* the note's */
    hub->stop_note.run = run_stopped;
    weft__worker_send(hub->home, &hub->stop_note);
}
