/* Lanes: birth, the end, and what travels between a lane and its family. Each function says whose thread it runs on; "home" is the lane's worker.
 *
 * A lane's end, in order: its last fiber ends (emptied); its resources are closed and the last close reported (settle); its own reference
 * is dropped; with the last child's reference gone too, finish() tells the parent and frees the record. `refs` decides who comes last: the
 * lane itself or one of its children, on whatever worker; finish() always runs on the lane's home. */
#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "lane/account.h"
#include "lane/estate.h"
#include "lane/exit.h"
#include "lane/realm.h"
#include "lane/vat.h"

static weft__lane_realm *realm_of(weft__lane *lane) { return lane->rt->lanes; }

weft__lane *weft__lane_self(void)
{
    weft__fiber *f = weft__fiber_self();
    return f ? weft__lane_of(f->crew) : NULL;
}

weft_id weft__lane_id(weft__lane *lane)
{
    lane->crew.seen = 1;
    return lane->crew.id;
}

/* ---- birth ---- */

static void born(weft_task *t);
static void told(weft_task *t);
static void finish(weft__lane *lane);
static void tell_children(weft__lane *lane, uint32_t flags);

/* Enters a child into its parent's books. Any thread. */
static int join_family(weft__lane *parent, weft__lane *child)
{
    weft__spin_lock(&parent->lock);
    uint32_t refs = parent->barren ? 0 : weft__load_relaxed(&parent->refs, "lane.child");
    while (refs && !weft__cas_acq_rel(&parent->refs, &refs, refs + 1, "lane.child"))
        ; /* a root whose last reference went is ending: who comes from outside then comes too late */
    if (refs)
        weft__link_before(&parent->children, &child->siblings);
    weft__spin_unlock(&parent->lock);
    return refs ? 0 : -ESHUTDOWN;
}

static void *take_record(weft_runtime *rt)
{
    weft__worker *w = weft__worker_self();
    if (w && w->rt == rt && w->fibers)
        return weft__slab_get(&weft__lane_pools_of(w)->lanes);
    return weft__slab_get_shared(&weft__lanes_of(rt)->lanes);
}

/* One lane less at home on `home`. A host's thread that is to leave may sleep until this: it is woken, and waits for us before it goes. */
static void unload(weft__worker *home)
{
    weft_runtime *rt = home->rt;
    if (!home->host || home == weft__worker_self()) {
        /* Its own last lane: it goes when it comes out of its tick, which must not sleep at its end. */
        if (weft__sub_acq_rel(&home->load, 1, "lane.load") == 1 && home->host && weft__load_relaxed(&home->retiring, "lane.load"))
            weft__worker_wake(home);
        return;
    }
    weft__add_seq(&rt->guests, 1, "lane.unload"); /* before the last lane is gone; pairs with the wait in weft__worker_retire */
    if (weft__sub_seq(&home->load, 1, "lane.unload") == 1 && weft__load_seq(&home->retiring, "lane.unload"))
        weft__worker_wake(home);
    weft__sub_seq(&rt->guests, 1, "lane.unloaded");
}

static void free_record(weft__lane *lane)
{
    weft_runtime *rt = lane->rt;
    weft__worker *w = weft__worker_self();
    if (lane->crew.home) /* not before: a message to the record goes to its home, which may leave once its load is 0 */
        unload(lane->crew.home);
    weft__sub_acq_rel(&weft__lanes_of(rt)->alive, 1, "lane.gone");
    if (w && w->rt == rt && w->fibers)
        weft__slab_put(&weft__lane_pools_of(w)->lanes, lane);
    else
        weft__slab_put_shared(&weft__lanes_of(rt)->lanes, lane);
}

void weft__lane_fill(weft__lane *lane, weft_runtime *rt, weft__lane *parent, const weft_lane_options *opt, const char *name,
                     const char *site)
{
    weft__crew_init(&lane->crew, NULL);
    lane->crew.name = opt && opt->name ? opt->name : name;
    lane->crew.site = site;
    lane->crew.id =
        (weft_id){lane->head.key, WEFT__NS(rt, WEFT__LANE), WEFT__GEN(weft__load_relaxed(&lane->head.word, "lane.make"))};
    lane->rt = rt;
    lane->birth.run = born;
    lane->end_message.run = told;
    weft__store_relaxed(&lane->parent, parent ? parent : weft__lanes_of(rt)->root, "lane.make");
    lane->joiner = NULL;
    weft__link_init(&lane->resources);
    weft__link_init(&lane->children);
    weft__link_init(&lane->siblings);
    lane->closing = 0;
    const weft_limits *limits = opt ? opt->limits : NULL;
    size_t bytes = limits ? limits->message_bytes : 0;
    weft__store_relaxed(&lane->mail_messages, limits ? limits->messages : 0, "lane.make");
    weft__store_relaxed(&lane->mail_bytes, bytes < UINT32_MAX ? (uint32_t)bytes : UINT32_MAX, "lane.make");
    lane->vat = weft__vat_promise(opt ? opt->vat : NULL);
    lane->holdings = NULL;
    weft__store_release(&lane->mail, weft__open_mark(lane->crew.id.gen), "lane.make"); /* from here on others find it, by its id */
    weft__store_release(&lane->ties, weft__open_mark(lane->crew.id.gen), "lane.make");
    memset(&lane->timer, 0, sizeof lane->timer);
    lane->result = -ECANCELED;
    lane->why = WEFT__EXIT_NONE;
    lane->cause = WEFT_NOID;
    lane->family = lane->supervised = lane->quiet = lane->watched = 0;
    weft__store_relaxed(&lane->tends, 0, "lane.make");
    lane->ends = (weft__tasks){0};
    lane->ender = NULL;
    lane->tag = NULL;
    lane->phase = WEFT__LANE_NEWBORN;
    lane->main = NULL;
    lane->expired = lane->told = lane->forgotten = lane->barren = lane->held = lane->disowned = 0;
    lane->detached = (uint8_t)(opt && opt->detached);
    lane->stack_size = opt ? opt->stack_size : 0;
    lane->deadline_ns = opt && opt->deadline ? opt->deadline : WEFT_NEVER;
    weft__store_relaxed(&lane->refs, 1, "lane.make");
}

int weft__lane_make(weft_runtime *rt, weft__lane *parent, int (*fn)(void *), void *arg, const weft_lane_options *opt, const char *name,
                    const char *site, weft__lane **out)
{
    weft__lane_realm *realm = rt->lanes;
    size_t copy = opt ? opt->copy : 0;
    if (!fn || copy > WEFT_LANE_COPY_MAX || (copy && !arg) || (opt && opt->stack_size && opt->stack_size < WEFT_STACK_MIN))
        return -EINVAL;
    weft__lane *above = parent ? parent : realm->root;
    int r = weft__vat_kind_check(rt, opt ? opt->vat : NULL);
    if (r < 0)
        return r;
    r = weft__account_admit(above, opt);
    if (r < 0)
        return r;
    weft__add_acq_rel(&realm->alive, 1, "lane.make");
    weft__lane *lane = take_record(rt);
    if (!lane) {
        weft__sub_acq_rel(&realm->alive, 1, "lane.make");
        weft__account_expel(above);
        return -ENOMEM;
    }
    weft__lane_fill(lane, rt, parent, opt, name, site);
    r = weft__account_open(lane, opt);
    lane->fn = fn;
    lane->arg = arg;
    lane->copied = copy;
    if (copy)
        memcpy(lane->copy, arg, copy);
    if (r == 0)
        r = join_family(above, lane);
    if (r < 0) {
        weft__account_bury(lane);
        weft__account_leave(above);
        free_record(lane);
        return r;
    }
    *out = lane;
    return 0;
}

/* A newborn that was sent takes its turn: it may run for long, and a port's inbox is no place for that. */
static void arrived(weft_task *t)
{
    t->run = born;
    weft__worker_ready(weft__worker_self(), t);
}

void weft__lane_start(weft__lane *lane, weft__worker *at)
{
    weft_runtime *rt = lane->rt;
    weft__worker *w = weft__worker_self();
    if (w && w->rt != rt)
        w = NULL;
    if (!at)
        at = weft__place_lane(rt, w);
    if (at && at != w) {
        lane->birth.run = arrived;
        if (weft__worker_place(at, &lane->birth))
            return;
        lane->birth.run = born;
    }
    if (at == w && w)
        weft__worker_ready(w, &lane->birth);
    else if (w)
        weft__worker_offer(w, &lane->birth);
    else
        weft__inject(rt, &lane->birth);
}

/* Lets messages in, and takes what was asked of the lane before. Pairs with the CAS in signal_record, which sends none until it sees BORN. */
static uint32_t open_ears(weft__lane *lane)
{
    uint32_t word = weft__load_acquire(&lane->head.word, "lane.born"), next;
    do
        next = (word & ~(uint32_t)0xffff) | WEFT__SIG_BORN;
    while (!weft__cas_acq_rel(&lane->head.word, &word, next, "lane.born"));
    return word & (WEFT__SIG_CANCEL | WEFT__SIG_KILL | WEFT__SIG_FAMILY | WEFT__SIG_LINK);
}

static void deadline_passed(weft__timer *t)
{
    weft__lane *lane = weft__container(t, weft__lane, timer);
    weft__exit_expired(lane);
    weft__lane_apply(lane, WEFT__SIG_CANCEL);
}

/* The lane's first task, on the worker that will be its home. */
static void born(weft_task *t)
{
    weft__lane *lane = weft__container(t, weft__lane, birth);
    weft__worker *w = weft__worker_self();
    weft_spawn_options opt = {.stack_size = lane->stack_size, .detached = 1};
    weft__lane_settle_at(lane, w);
    weft__count(&w->stats.lanes_spawned, 1); /* here and not where it was made: that may have been a thread without figures */
    uint32_t flags = open_ears(lane);
    int r = flags & WEFT__SIG_KILL ? -ECANCELED : 0;
    if (r == 0)
        r = weft__fiber_make(&lane->crew, lane->fn, lane->copied ? lane->copy : lane->arg, lane->copied, &opt, lane->crew.name,
                             lane->crew.site, &lane->main);
    if (r < 0) {
        if (flags & WEFT__SIG_KILL)
            weft__lane_heed(lane, flags);
        else
            weft__exit_note(lane, WEFT_EXIT_LIMIT, r, WEFT_NOID);
        weft__lane_emptied(&lane->crew);
        return;
    }
    weft__lane_apply(lane, flags);
    if (lane->deadline_ns != WEFT_NEVER) {
        lane->timer.fire = deadline_passed;
        weft__timer_arm(w, &lane->timer, lane->deadline_ns);
    }
    weft__fiber_begin(w, lane->main);
}

void weft__lane_settle_at(weft__lane *lane, weft__worker *home)
{
    lane->crew.home = home;
    lane->birth.run = weft__lane_message;
    lane->phase = WEFT__LANE_ALIVE;
    weft__add_relaxed(&home->load, 1, "lane.load");
}

void weft__lane_abandon(weft__lane *lane)
{
    weft__worker *w = weft__worker_self();
    weft__count(&w->stats.lanes_spawned, 1);
    weft__lane_settle_at(lane, w);
    open_ears(lane);
    weft__lane_emptied(&lane->crew);
}

/* ---- the end ---- */

void weft__lane_fiber_ended(weft__crew *crew, weft__fiber *f)
{
    weft__lane *lane = weft__lane_of(crew);
    if (lane == realm_of(lane)->root)
        weft__realm_announce(lane->rt); /* weft_fini waits for its siblings */
    if (f == lane->main) {
        lane->main = NULL;
        weft__exit_returned(lane, f->result);
        if (f->result < 0 && crew->alive > 0) { /* a main fiber that fails takes the others along */
            weft__lane_apply(lane, WEFT__SIG_CANCEL);
        } else if (f->result < 0) {
            crew->cancelled = 1;
            tell_children(lane, WEFT__SIG_CANCEL);
        }
    }
}

void weft__lane_forget_results(weft__lane *lane)
{
    while (!weft__link_alone(&lane->crew.fibers)) {
        weft__fiber *f = weft__container(lane->crew.fibers.next, weft__fiber, siblings);
        if (f->result != 0 && !lane->crew.cancelled && !lane->crew.killed)
            weft__say(lane->rt, WEFT_LOG_WARNING, "fiber \"%s\" of lane \"%s\" (spawned at %s) ended with %d (%s), neither joined nor detached",
                      f->name, lane->crew.name, f->site, f->result, weft_strerror(f->result));
        weft__fiber_free(f);
    }
}

void weft__lane_emptied(weft__crew *crew)
{
    weft__lane *lane = weft__lane_of(crew);
    if (lane->phase != WEFT__LANE_ALIVE)
        return;
    lane->phase = WEFT__LANE_EMPTY;
    weft__timer_cancel(crew->home, &lane->timer);
    weft__lane_forget_results(lane);
    weft__mailbox_shut(lane);
    weft__lane_close_all(lane);
    weft__lane_settle(lane);
}

void weft__lane_close_all(weft__lane *lane)
{
    lane->closing++; /* ours, while the loop runs */
    while (!weft__link_alone(&lane->resources))
        weft__resource_close(weft__container(lane->resources.next, weft__resource, link));
    lane->closing--;
}

void weft__lane_settle(weft__lane *lane)
{
    if (lane->phase == WEFT__LANE_ALIVE && !lane->closing && lane == realm_of(lane)->root)
        weft__realm_announce(lane->rt); /* weft_fini waits for its closes */
    if (lane->phase != WEFT__LANE_EMPTY || lane->closing)
        return;
    lane->phase = WEFT__LANE_CHILDREN;
    weft__lane_disown(lane);
    if (weft__sub_acq_rel(&lane->refs, 1, "lane.settle") == 1)
        finish(lane);
}

void weft__lane_disown(weft__lane *lane)
{
    lane->disowned = 1;
    for (;;) {
        weft__lane *child = NULL;
        weft__spin_lock(&lane->lock);
        for (weft__link *l = lane->children.next; l != &lane->children; l = l->next) {
            weft__lane *c = weft__container(l, weft__lane, siblings);
            if (c->told) {
                child = c;
                break;
            }
            if (c->detached != WEFT__ORPHAN)
                c->detached = 1;
        }
        weft__spin_unlock(&lane->lock);
        lane->ends = (weft__tasks){0}; /* given up with the children that lie there */
        if (!child)
            return;
        weft__lane_pass_failure(child);
        weft__lane_leave(child);
    }
}

void weft__lane_pass_failure(weft__lane *child)
{
    weft__lane *parent = child->parent;
    weft_exit e;
    char text[160];
    if (child->supervised || child->watched || !weft__exit_failed(child))
        return;
    weft__exit_fill(child, &e);
    weft_exit_format(&e, text, sizeof text);
    if (parent->held || child->quiet) {
        weft__say(parent->rt, child->quiet ? WEFT_LOG_DEBUG : WEFT_LOG_WARNING, "lane \"%s\" (spawned at %s) %s", child->crew.name,
                  child->crew.site, text);
        return;
    }
    weft__exit_inherit(parent, &e);
    weft__lane_apply(parent, WEFT__SIG_CANCEL);
}

/* ---- supervised children ---- */

static void push_end(weft__lane *parent, weft__lane *child)
{
    weft__fiber *f = parent->ender;
    weft__tasks_push(&parent->ends, &child->end_message);
    parent->ender = NULL;
    if (f)
        weft__wake(f, -EINTR); /* from whatever it waits for meanwhile */
}

static void stop_waiting(weft__fiber *f)
{
    weft__lane *self = f->waits_on;
    self->ender = NULL;
}

/* Until there is one. */
static int await_end(weft__lane *self, weft__fiber *f, int64_t deadline)
{
    while (weft__tasks_empty(&self->ends)) {
        if (self->ender)
            return -EBUSY;
        if (deadline <= f->home->now_ns)
            return weft__refuse(f, -ETIMEDOUT);
        self->ender = f;
        f->unwait = stop_waiting;
        f->waits_on = self;
        int r = weft__wait(f, WEFT__WAIT_OTHER, deadline);
        if (r < 0 && r != -EINTR)
            return r;
    }
    return 0;
}

int weft__lane_next_end(weft__lane *self, weft_exit *out, void **tag, int64_t deadline)
{
    weft__fiber *f = weft__fiber_self();
    if (!f || weft__lane_of(f->crew) != self)
        return -EPERM;
    if (weft__canceled(f))
        return weft__refuse(f, -ECANCELED);
    int r = await_end(self, f, deadline);
    if (r < 0)
        return r;
    weft__lane *child = weft__container(weft__tasks_pop(&self->ends), weft__lane, end_message);
    weft__exit_fill(child, out);
    *tag = child->tag;
    weft__lane_leave(child);
    return 0;
}

/* ---- the last steps ---- */

/* Step 8 of DESIGN rule 5: links and monitors are told. */
static void bequeath(weft__lane *lane)
{
    weft_exit e;
    weft__exit_settle(lane);
    weft__exit_fill(lane, &e);
    weft__ties_end(lane, &e);
}

static void finish_task(weft_task *t);

/* Step 7: its memory, in as many turns as it takes. 0: not yet. */
static int bury(weft__lane *lane)
{
    enum { TURN = 40 }; /* units of about a microsecond */
    weft__names_bury(lane); /* step 6 */
    if (weft__mailbox_bury(lane, TURN) && weft__holdings_bury(lane, TURN) && weft__vat_bury(lane, TURN))
        return 1;
    lane->end_message.run = finish_task;
    weft__worker_ready(lane->crew.home, &lane->end_message);
    return 0;
}

/* Home. The record may be gone afterwards. */
static void finish(weft__lane *lane)
{
    weft__worker *w = lane->crew.home;
    if (!bury(lane))
        return;
    lane->phase = WEFT__LANE_ENDED;
    if (lane == realm_of(lane)->root) {
        bequeath(lane);
        weft__realm_root_ended(lane->rt);
        return;
    }
    weft__count(&w->stats.lanes_ended, 1);
    lane->watched = (uint8_t)weft__ties_watched(lane);
    bequeath(lane);
    weft__spin_lock(&lane->parent->lock);
    int detached = lane->detached;
    if (!detached)
        lane->detached = WEFT__ORPHAN; /* from here on the parent's side decides about the record */
    weft__spin_unlock(&lane->parent->lock);
    lane->end_message.run = told;
    if (detached && !weft__exit_failed(lane))
        weft__lane_leave(lane);
    else if (lane->parent->crew.home == w)
        told(&lane->end_message);
    else
        weft__worker_send(lane->parent->crew.home, &lane->end_message);
}

static void finish_task(weft_task *t) { finish(weft__container(t, weft__lane, end_message)); }

/* On the home of the parent, which exists: it holds a reference of ours. */
static void told(weft_task *t)
{
    weft__lane *lane = weft__container(t, weft__lane, end_message);
    lane->told = 1;
    if (lane->joiner) {
        weft__wake(lane->joiner, 0); /* who frees the record */
    } else if (lane->supervised && !lane->parent->disowned) {
        push_end(lane->parent, lane);
    } else if (lane->detached == 1 || lane->forgotten || lane->parent->disowned) {
        weft__lane_pass_failure(lane);
        weft__lane_leave(lane);
    }
}

/* Strikes the lane off its parent's books and frees its record. Any worker. */
void weft__lane_leave(weft__lane *lane)
{
    weft__lane *parent = lane->parent;
    weft_runtime *rt = lane->rt;
    weft__slab *slab = &weft__lanes_of(rt)->lanes;
    weft__spin_lock(&parent->lock);
    weft__link_remove(&lane->siblings);
    weft__spin_unlock(&parent->lock);
    weft__account_bury(lane);
    weft__account_leave(parent);
    /* A message under way still carries the record: then its arrival frees it, unless it has arrived between these two steps. */
    if (!(weft__slab_end(slab, lane, lane->crew.seen) & WEFT__SIG_PENDING) ||
        !(weft__or_seq(&lane->head.word, WEFT__SIG_GONE, "lane.gone") & WEFT__SIG_PENDING))
        free_record(lane);
    if (weft__sub_acq_rel(&parent->refs, 1, "lane.leave") == 1) { /* it was waiting for its last child only */
        parent->end_message.run = finish_task;
        weft__worker_send(parent->crew.home, &parent->end_message);
    } else if (parent == weft__lanes_of(rt)->root) {
        weft__realm_announce(rt);
    }
}

/* ---- signals ---- */

/* Any thread that knows the record to exist. */
static void signal_record(weft__lane *lane, uint32_t flags, uint32_t word)
{
    uint32_t next;
    do
        next = word | flags | (word & WEFT__SIG_BORN ? (uint32_t)WEFT__SIG_PENDING : 0);
    while (!weft__cas_acq_rel(&lane->head.word, &word, next, "lane.signal"));
    if ((word & WEFT__SIG_BORN) && !(word & WEFT__SIG_PENDING))
        weft__worker_send(lane->crew.home, &lane->birth);
}

int weft__lane_signal(weft_runtime *rt, weft_id id, uint32_t flags)
{
    if (id.ns != WEFT__NS(rt, WEFT__LANE))
        return -ESRCH;
    weft__lane *lane = weft__slab_at(&weft__lanes_of(rt)->lanes, id.key);
    if (!lane)
        return -ESRCH;
    uint32_t word = weft__load_acquire(&lane->head.word, "lane.signal"), next;
    do {
        if (WEFT__GEN(word) != id.gen)
            return -ESRCH;
        next = word | flags | (word & WEFT__SIG_BORN ? (uint32_t)WEFT__SIG_PENDING : 0);
    } while (!weft__cas_acq_rel(&lane->head.word, &word, next, "lane.signal"));
    if ((word & WEFT__SIG_BORN) && !(word & WEFT__SIG_PENDING)) /* from here on pending keeps the record */
        weft__worker_send(lane->crew.home, &lane->birth);
    return 0;
}

void weft__lane_message(weft_task *t)
{
    weft__lane *lane = weft__container(t, weft__lane, birth);
    weft_runtime *rt = lane->rt;
    int ended = lane->phase == WEFT__LANE_ENDED; /* before PENDING is cleared: from then on the record of an ended lane may be used again */
    uint32_t flags = weft__and_seq(&lane->head.word, ~(uint32_t)0xffff | WEFT__SIG_BORN, "lane.message");
    if (flags & WEFT__SIG_GONE) {
        free_record(lane);
        weft__realm_announce(rt); /* the last lane, perhaps, and it had not been counted out when its parent was told */
    } else if (!ended) {
        weft__lane_apply(lane, flags & (WEFT__SIG_CANCEL | WEFT__SIG_KILL | WEFT__SIG_FAMILY | WEFT__SIG_LINK));
    }
}

/* Takes a reference, unless the last one is gone: then the news of it is on its way to us, and finish() is to run once. */
static int hold(weft__lane *lane)
{
    uint32_t n = weft__load_relaxed(&lane->refs, "lane.hold");
    do
        if (!n)
            return 0;
    while (!weft__cas_acq_rel(&lane->refs, &n, n + 1, "lane.hold"));
    return 1;
}

/* To all child lanes. Home. */
static void tell_children(weft__lane *lane, uint32_t flags)
{
    weft__spin_lock(&lane->lock);
    for (weft__link *l = lane->children.next; l != &lane->children; l = l->next) {
        weft__lane *child = weft__container(l, weft__lane, siblings);
        signal_record(child, (flags & ~(uint32_t)WEFT__SIG_LINK) | WEFT__SIG_FAMILY, weft__load_acquire(&child->head.word, "lane.apply"));
    }
    weft__spin_unlock(&lane->lock);
}

void weft__lane_heed(weft__lane *lane, uint32_t flags)
{
    weft_exit e;
    lane->crew.cancelled = 1;
    if ((flags & WEFT__SIG_LINK) && weft__ties_exit_signal(lane, &e))
        weft__exit_inherit(lane, &e);
    if ((flags & WEFT__SIG_FAMILY) && (lane->why == WEFT__EXIT_NONE || lane->why == WEFT_EXIT_NORMAL))
        lane->family = 1;
    if (flags & WEFT__SIG_KILL) {
        weft__exit_killed(lane);
        lane->crew.killed = 1;
    }
}

/* Home. The lane may be gone afterwards. */
void weft__lane_apply(weft__lane *lane, uint32_t flags)
{
    weft__crew *crew = &lane->crew;
    if (!flags || !hold(lane)) /* this and crew->alive keep the lane in place while its lists are walked */
        return;
    weft__lane_heed(lane, flags);
    crew->alive++;
    for (weft__link *l = crew->fibers.next, *next; l != &crew->fibers; l = next) {
        weft__fiber *f = weft__container(l, weft__fiber, siblings);
        next = l->next;
        if (flags & WEFT__SIG_KILL)
            weft__fiber_kill(f);
        else
            weft__interrupt(f);
    }
    if (!weft__load_relaxed(&lane->tends, "lane.apply") || (flags & WEFT__SIG_KILL))
        tell_children(lane, flags);
    if (--crew->alive == 0 && lane->phase == WEFT__LANE_ALIVE && !lane->held)
        weft__lane_emptied(crew);
    if (weft__sub_acq_rel(&lane->refs, 1, "lane.applied") == 1)
        finish(lane);
}
