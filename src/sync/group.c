/* Groups. All of a group happens in one lane, so on one worker: nothing here is shared, and the lock that waiting
 * wants is never contended. A member is a detached fiber that the group watches: it is counted out where fibers end,
 * for it may be killed with its lane, or never run for want of a stack. Or it is a child lane: counted out where its
 * end reaches the parent, and struck off then and there. */
#include <errno.h>
#include <string.h>
#include <weft/group.h>

#include "lane/lane.h"
#include "sync/wait.h"

typedef struct group {
    weft__watch watch;
    weft__lane_watch lanes;    /* the same for children */
    weft__guard lock;
    unsigned running;          /* newborn members included */
    weft__crew *crew;          /* NULL: no member yet */
    weft__link members;        /* those that run, by their seats; valid with crew */
    weft__queue waiting;
    int failure, success;      /* the first of each */
    uint8_t failed, succeeded, cancelled;
    void (*told)(void *ctx, weft_id member, int result);
    void *ctx;
} group;

/* What a newborn member is given. */
typedef struct member {
    group *g;
    int (*fn)(void *arg);
    void *arg;
} member;

/* A member that runs, on its stack, which stays there until it is over. */
typedef struct seat {
    weft__watch watch;
    weft__link link;           /* in the group's members */
    group *g;
    weft__fiber *fiber;
} seat;

enum { ALL, ANY_FAILURE, FIRST };

_Static_assert(sizeof(group) <= sizeof(weft_group), "weft_group has room for what it hides");
_Static_assert(sizeof(member) <= WEFT_COPY_MAX, "a member fits into a newborn");

static group *of(weft_group *g) { return (group *)(void *)g; }

/* ---- waiting ---- */

static int known(const group *g, int what)
{
    return g->running == 0 || (what == ANY_FAILURE && g->failed) || (what == FIRST && g->succeeded);
}

static int ready(weft__node *n) { return known(n->object, (int)n->want); }

static int answer_of(const group *g, int what)
{
    if (what == FIRST && g->succeeded)
        return g->success;
    return g->failed ? g->failure : 0;
}

static int take(weft__node *n, weft__news *news)
{
    (void)news;
    n->answer = answer_of(n->object, (int)n->want);
    return 1;
}

static void push(weft__node *n) { weft__queue_push(&((group *)n->object)->waiting, n); }

static const weft__node_kind kind = {ready, take, push, NULL, NULL, NULL, "members of a group"};

/* Something has ended: whoever waits for that is told. */
static void tell(group *g)
{
    weft__news news;
    weft__news_init(&news);
    weft__sync_lock(&g->lock);
    for (weft__node *n = g->waiting.first, *next; n; n = next) {
        next = n->next;
        if (known(g, (int)n->want) && weft__node_claim(n))
            weft__node_answer(n, answer_of(g, (int)n->want), &news);
    }
    weft__sync_unlock(&g->lock);
    weft__news_tell(&news);
}

static weft__node node_of(group *g, int what)
{
    return (weft__node){.lock = &g->lock, .object = g, .kind = &kind, .want = (size_t)what};
}

static int wait_for(weft_group *opaque, int what, int64_t deadline)
{
    group *g = of(opaque);
    weft__fiber *f;
    int r = weft__sync_begin(&f, 0);
    if (r < 0)
        return r;
    if (g->crew && g->crew != f->crew)
        return -EPERM;
    weft__node n = node_of(g, what);
    return weft__sync_call(&n, f, deadline);
}

int weft_group_all(weft_group *g, int64_t deadline)
{
    weft__sync_used(g);
    weft__probe_self();
    return wait_for(g, ALL, deadline);
}
int weft_group_any_failure(weft_group *g, int64_t deadline)
{
    weft__sync_used(g);
    weft__probe_self();
    return wait_for(g, ANY_FAILURE, deadline);
}
int weft_group_first(weft_group *g, int64_t deadline)
{
    weft__sync_used(g);
    weft__probe_self();
    return wait_for(g, FIRST, deadline);
}

/* ---- members ---- */

static void cancel_one(weft__fiber *f)
{
    f->cancelled = 1;
    weft__interrupt(f);
}

static void note(group *g, int result)
{
    if (result < 0 && !g->failed) {
        g->failed = 1;
        g->failure = result;
    } else if (result >= 0 && !g->succeeded) {
        g->succeeded = 1;
        g->success = result;
    }
    g->running--;
    tell(g);
}

static void member_over(weft__watch *watch, weft__fiber *f)
{
    group *g = weft__container(watch, group, watch);
    if (g->told)
        g->told(g->ctx, weft__fiber_id(f), f->result);
    note(g, f->result);
}

/* It is over and has not returned: it was killed. */
static void seat_over(weft__watch *watch, weft__fiber *f)
{
    seat *s = weft__container(watch, seat, watch);
    weft__link_remove(&s->link);
    member_over(&s->g->watch, f);
}

static int run_member(void *arg)
{
    const member *m = arg;
    seat s = {.watch = {seat_over}, .g = m->g, .fiber = weft__fiber_self()};
    weft__link_before(&s.g->members, &s.link);
    s.fiber->watch = &s.watch;
    if (s.g->cancelled)
        cancel_one(s.fiber);
    int r = m->fn(m->arg);
    weft__link_remove(&s.link);
    s.fiber->watch = &s.g->watch;
    return r;
}

static void lane_over(weft__lane_watch *watch, weft__lane *lane, int result)
{
    group *g = weft__container(watch, group, lanes);
    if (g->told)
        g->told(g->ctx, weft__lane_id(lane), result);
    note(g, result);
}

/* The group is this fiber's lane's from here on. */
static int belongs(group *g, const weft__fiber *f)
{
    if (!f)
        return -EPERM;
    if (!g->crew) {
        g->watch.over = member_over;
        g->lanes.over = lane_over;
        weft__link_init(&g->members);
        g->crew = f->crew;
    }
    return g->crew == f->crew ? 0 : -EPERM;
}

int weft_group_run_at(weft_group *opaque, int (*fn)(void *arg), void *arg, const char *name, const char *site)
{
    weft__sync_used(opaque);
    group *g = of(opaque);
    weft__fiber *f = weft__fiber_self(), *born;
    member m = {.g = g, .fn = fn, .arg = arg};
    weft__probe(f);
    if (f && !fn)
        return -EINVAL;
    int r = belongs(g, f);
    if (r < 0)
        return r;
    weft_spawn_options opt = {.copy = sizeof m, .name = name, .detached = 1};
    r = weft__fiber_spawn(f, run_member, &m, &opt, name, site, &born);
    if (r < 0)
        return r;
    born->watch = &g->watch;
    g->running++;
    return 0;
}

int weft_group_lane_at(weft_group *opaque, int (*fn)(void *arg), void *arg, const weft_lane_options *opt, const char *name, const char *site)
{
    weft__sync_used(opaque);
    weft__probe_self();
    group *g = of(opaque);
    weft_id id;
    if (opt && (opt->detached || opt->parent.gen))
        return -EINVAL;
    int r = belongs(g, weft__fiber_self());
    if (r == 0)
        r = weft__lane_spawn_watched(&id, fn, arg, opt, name, site, &g->lanes);
    if (r < 0)
        return r;
    g->running++; /* its end is told to this worker, and so after this */
    if (g->cancelled)
        (void)weft_cancel(id);
    return 0;
}

int weft_group_tell(weft_group *opaque, void (*ended)(void *ctx, weft_id member, int result), void *ctx)
{
    weft__sync_used(opaque);
    weft__probe_self();
    group *g = of(opaque);
    int r = belongs(g, weft__fiber_self());
    if (r < 0)
        return r;
    g->told = ended;
    g->ctx = ctx;
    return 0;
}

int weft_group_cancel(weft_group *opaque)
{
    weft__sync_used(opaque);
    group *g = of(opaque);
    weft__fiber *f = weft__fiber_self();
    weft__probe(f);
    if (!f || (g->crew && g->crew != f->crew))
        return -EPERM;
    g->cancelled = 1;
    for (weft__link *l = g->crew ? g->members.next : &g->members; g->crew && l != &g->members; l = l->next) {
        weft__fiber *one = weft__container(l, seat, link)->fiber;
        if (one != f)
            cancel_one(one);
    }
    if (g->crew)
        weft__lane_tell_watched(weft__lane_of(g->crew), &g->lanes, WEFT__SIG_CANCEL);
    return 0;
}

int weft_group_end(weft_group *opaque)
{
    weft__sync_used(opaque);
    weft__probe_more(1);
    group *g = of(opaque);
    int r = weft_group_cancel(opaque);
    if (r < 0)
        return r;
    while (g->running) {
        weft__node n = node_of(g, ALL);
        weft__waiter wt;
        weft__waiter_init(&wt, weft__fiber_self(), &n, 1);
        wt.stubborn = 1;
        wt.will = NULL;
        weft__sync_lock(&g->lock);
        push(&n);
        weft__sync_unlock(&g->lock);
        weft__waiter_wait(&wt, WEFT_NEVER);
    }
    memset(opaque, 0, sizeof *opaque);
    return 0;
}

unsigned weft_group_count(const weft_group *g) { return ((const group *)(const void *)g)->running; }
