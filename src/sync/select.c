/* Select. For fibers, on their own worker. One lock is held at a time, ever.
 *
 * First each case is tried in the order drawn, with none of our nodes in any queue; that is how most selects end. So
 * the order is drawn, and nodes are filled in, only as far as that goes; kinds of which something must be known
 * before any case is tried are looked into before.
 *
 * Then they are queued, each with another look at its object under the same hold of its lock, so that nothing that
 * comes between is missed. A case found ready at that look is ours only if we claim ourselves first, for another
 * object may have claimed us since its node was queued. Having claimed ourselves we may still come too late (who
 * stood on the other side was a select that somebody else has claimed): then all nodes are taken out and it begins
 * anew. Two selects that meet each other so at the same time may both begin anew; each draws another order, so not
 * for ever.
 *
 * There are two nodes more than there are cases, in no queue: so a waiter of a select, whatever its cases, is always
 * claimed by compare-and-swap. */
#include <errno.h>
#include <string.h>
#include <weft/vat.h>

#include "sync/channel.h"
#include "sync/event.h"
#include "sync/mutex.h"
#include "sync/select.h"

/* Cases, and of them I/O, for which there is room on the stack; FEW for most selects with I/O. For more a containable
 * lane's stack is probed for so many levels of calls more. */
enum { HERE = 16, FEW = 4, SPARE = 2, MANY_LEVELS = 2, AGAIN = WEFT__SELECT_AGAIN, NONE = WEFT__SELECT_NONE };

_Static_assert(HERE == 16, "as_they_come, below, has them all");

typedef weft__selection selection;

/* Sets of kinds, a bit each. ODD: one is unknown, or has no object, which not all of them need. */
#define KIND(kind) (1u << (kind))
#define ODD (1u << 31)
#define IO (KIND(WEFT_CASE_ACCEPT + 1) - KIND(WEFT_CASE_READABLE))
#define BOTH_WAYS (KIND(WEFT_CASE_SEND) | KIND(WEFT_CASE_RECEIVE))
/* Of these there is nothing to know before any is tried, but for channels that are to be used both ways. */
#define PLAIN (BOTH_WAYS | KIND(WEFT_CASE_NONE) | KIND(WEFT_CASE_EVENT) | KIND(WEFT_CASE_FUTURE) | KIND(WEFT_CASE_LATCH))

/* ---- from cases to nodes ---- */

static int one_way(const weft_case *cases, unsigned i)
{
    for (unsigned k = 0; k < i; k++)
        if (cases[k].object == cases[i].object && cases[k].kind != cases[i].kind &&
            (cases[k].kind == WEFT_CASE_SEND || cases[k].kind == WEFT_CASE_RECEIVE))
            return 0;
    return 1;
}

/* 0, or why there can be no select with it. */
static int look_into(selection *s, unsigned i)
{
    const weft_case *c = &s->cases[i];
    if (c->kind > WEFT_CASE_NONE && c->kind < WEFT_CASE_TIME && !c->object)
        return -EINVAL;
    switch (c->kind) {
    case WEFT_CASE_NONE:
    case WEFT_CASE_EVENT:
    case WEFT_CASE_FUTURE:
    case WEFT_CASE_LATCH:
        return 0;
    case WEFT_CASE_SEND:
    case WEFT_CASE_RECEIVE:
        return one_way(s->cases, i) ? 0 : -EINVAL;
    case WEFT_CASE_LOCK:
        return weft__mutex_owned(weft__mutex_of(c->object), s->fiber) ? -EDEADLK : 0;
    case WEFT_CASE_ACQUIRE:
        return c->units ? 0 : -EINVAL;
    case WEFT_CASE_TIME:
        if (s->at_case < 0 || c->deadline < s->at) {
            s->at = c->deadline;
            s->at_case = (int)i;
        }
        return 0;
    default:
        return weft__case_is_home(c) ? weft__home_find(s, i) : -EINVAL;
    }
}

/* Anew after each suspension: ids may have become stale, and a mutex ours. */
static int look_into_all(selection *s)
{
    int r = 0;
    s->at_case = -1;
    s->homes = s->slots = 0;
    for (unsigned i = 0; i < s->n && r == 0; i++)
        r = look_into(s, i);
    return r;
}

/* The node of a case; where no object tells of it, `lock` is NULL. */
static void fill_node(selection *s, unsigned i)
{
    weft_case *c = &s->cases[i];
    weft__node *n = &s->nodes[i];
    n->waiter = &s->waiter;
    switch (c->kind) {
    case WEFT_CASE_SEND:
        weft__channel_send_node(n, c->object, c->data);
        break;
    case WEFT_CASE_RECEIVE:
        weft__channel_receive_node(n, c->object, c->data);
        break;
    case WEFT_CASE_EVENT:
        weft__event_node(n, c->object);
        break;
    case WEFT_CASE_LOCK:
        weft__mutex_node(n, weft__mutex_of(c->object), c->site);
        break;
    case WEFT_CASE_ACQUIRE:
        weft__semaphore_node(n, c->object, c->units);
        break;
    case WEFT_CASE_FUTURE:
        weft__future_node(n, c->object);
        break;
    case WEFT_CASE_LATCH:
        weft__latch_node(n, c->object);
        break;
    default:
        n->lock = NULL;
        n->kind = NULL;
        break;
    }
}

/* ---- one round ---- */

/* Which case is the k-th: any of those that are left. Its node is there from now on. */
static inline unsigned draw(selection *s, unsigned k)
{
    uint8_t *order = s->order;
    if (!s->ordered) {
        weft__worker *w = s->fiber->home;
        w->random = w->random * 1664525u + 1013904223u;
        unsigned at = k + (unsigned)(((uint64_t)w->random * (s->n - k)) >> 32);
        uint8_t drawn = order[at];
        order[at] = order[k];
        order[k] = drawn;
    }
    fill_node(s, order[k]);
    return order[k];
}

/* Something without an object that can happen now. */
static int happens(const selection *s, unsigned i)
{
    const weft_case *c = &s->cases[i];
    if (c->kind == WEFT_CASE_TIME)
        return c->deadline <= s->fiber->home->now_ns;
    return weft__case_is_home(c) && weft__home_ready(s, i);
}

/* With nothing queued: 1 if case i has happened. */
static int try_case(selection *s, unsigned i)
{
    weft__node *n = &s->nodes[i];
    weft__news news;
    int served = 0;
    if (!n->lock)
        return happens(s, i);
    weft__news_init(&news);
    weft__sync_lock(n->lock);
    while (!served && n->kind->ready(n))
        served = n->kind->take(n, &news);
    weft__sync_unlock(n->lock);
    weft__news_tell(&news);
    return served;
}

/* Whether anything could happen that the kernel need not be asked for. Any of the objects' locks, one after another. */
static int any_ready(selection *s)
{
    int ready = 0;
    for (unsigned i = 0; i < s->n && !ready; i++) {
        weft__node *n = &s->nodes[i];
        if (!n->lock) {
            ready = happens(s, i);
            continue;
        }
        weft__sync_lock(n->lock);
        ready = n->kind->ready(n);
        weft__sync_unlock(n->lock);
    }
    return ready;
}

/* The same as try_case, and the kernel is asked. What was looked up may be stale afterwards, and is looked up again. */
static int try_asking(selection *s, unsigned i)
{
    if (!weft__case_is_io(&s->cases[i]))
        return try_case(s, i);
    int r = weft__io_try(s, i);
    return r ? r : look_into_all(s);
}

/* Which one has happened: *over if it is concluded. NONE; AGAIN; an error. I/O before an object in the order must
 * not be passed by it because the kernel was not asked; but asking takes a tick, and where nothing can happen at
 * once it is done by waiting. */
static int try_all(selection *s, int late, int *over)
{
    unsigned k = 0;
    for (; k < s->n; k++) {
        unsigned i = draw(s, k);
        if (weft__case_is_io(&s->cases[i]))
            break;
        if (try_case(s, i))
            return (int)i;
    }
    for (unsigned rest = k + 1; rest < s->n; rest++)
        draw(s, rest);
    if (k == s->n || (!late && !any_ready(s)))
        return NONE;
    for (; k < s->n; k++) {
        unsigned i = s->order[k];
        int r = try_asking(s, i);
        if (r) {
            *over = weft__case_is_io(&s->cases[i]);
            return r < 0 ? r : (int)i;
        }
    }
    return late ? NONE : AGAIN;
}

/* The lane that case i's object belongs to is dying: that is what has happened, unless another case has. */
static int take_evicted(selection *s, unsigned i, int answer)
{
    if (!weft__waiter_claim_self(&s->waiter, i))
        return -EALREADY;
    s->nodes[i].answer = answer;
    return 1;
}

/* Queues case i: 0; 1: it has happened instead; AGAIN: it was ready, and is not any more; -EALREADY: another has
 * happened. */
static int queue_case(selection *s, unsigned i)
{
    weft__node *n = &s->nodes[i];
    weft__news news;
    int r = 0;
    weft__news_init(&news);
    if ((r = weft__node_enter(n)) < 0)
        return take_evicted(s, i, r);
    weft__sync_lock(n->lock);
    if (!n->kind->ready(n))
        r = weft__node_push(n);
    else if (!weft__waiter_claim_self(&s->waiter, i))
        r = -EALREADY;
    else
        r = n->kind->take(n, &news) ? 1 : AGAIN;
    weft__sync_unlock(n->lock);
    weft__news_tell(&news);
    return r == 0 || r == 1 || r == -EALREADY || r == AGAIN ? r : take_evicted(s, i, r);
}

/* The case that happened; AGAIN; NONE: they are queued; -EALREADY: one has happened, and will be told. */
static int queue_all(selection *s)
{
    for (unsigned k = 0; k < s->n; k++) {
        unsigned i = s->order[k];
        int r = s->nodes[i].lock ? queue_case(s, i) : 0;
        if (r == 1 || r == AGAIN) {
            weft__waiter_unlink(&s->waiter, i);
            return r == 1 ? (int)i : AGAIN;
        }
        if (r == -EALREADY)
            return r;
    }
    return NONE;
}

/* Waits with everything queued: the case that happened, or -ETIMEDOUT, -ECANCELED. */
static int wait_for_one(selection *s, int64_t deadline)
{
    weft__waiter *wt = &s->waiter;
    int timed = s->at_case >= 0 && s->at <= deadline;
    if (s->homes && wt->look(wt)) { /* it has come since, or with its op's start */
        unsigned won = weft__waiter_won(wt);
        weft__waiter_unlink(wt, won);
        return (int)won;
    }
    int r = weft__waiter_wait(wt, timed ? s->at : deadline);
    if (r == 0)
        return (int)weft__waiter_won(wt);
    return r == -ETIMEDOUT && timed ? s->at_case : r;
}

static int queue_and_wait(selection *s, int64_t deadline)
{
    for (unsigned i = 0; i < SPARE; i++)
        s->nodes[s->n + i].lock = NULL;
    weft__waiter_init(&s->waiter, s->fiber, s->nodes, s->n + SPARE);
    int r = s->homes ? weft__homes_enter(s, deadline) : 0;
    if (r < 0)
        return r;
    r = queue_all(s);
    if (r == NONE && s->io)
        weft__homes_start(s);
    if (r == NONE || r == -EALREADY)
        r = wait_for_one(s, deadline);
    if (r >= 0)
        weft__home_take(s, (unsigned)r);
    if (r < 0 || !s->nodes[r].lock) /* else with what it got: from there on it is not touched */
        weft__waiter_leave(&s->waiter);
    if (s->homes)
        weft__homes_leave(s);
    return r;
}

/* A case that happened, with *over if it is concluded; AGAIN; why there is none. */
static int round_of(selection *s, int64_t deadline, int *over)
{
    int late = deadline != WEFT_NEVER && weft__sync_late(s->fiber, deadline);
    int r = s->plain ? 0 : look_into_all(s);
    if (r < 0)
        return r;
    r = try_all(s, late, over);
    if (r != NONE) {
        if (r >= 0)
            weft__home_take(s, (unsigned)r);
        return r;
    }
    return late ? weft__refuse(s->fiber, -ETIMEDOUT) : queue_and_wait(s, deadline);
}

/* ---- the call ---- */

static int conclude(selection *s, int i)
{
    weft_case *c = &s->cases[i];
    weft__node *n = &s->nodes[i];
    if (weft__case_is_home(c))
        return weft__home_conclude(s, (unsigned)i);
    c->result = 0;
    if (n->lock) {
        if (n->kind->finish)
            n->kind->finish(n);
        c->result = n->answer;
    }
    if (c->kind == WEFT_CASE_FUTURE && c->result == 0)
        c->result = weft__future_read(c->object, c->data);
    weft__waiter_leave(&s->waiter);
    return 0;
}

static int run(selection *s, int64_t deadline)
{
    for (;;) {
        int over = 0, i = round_of(s, deadline, &over);
        int r = i < 0 ? i : over ? 0 : conclude(s, i);
        if (r != AGAIN)
            return r < 0 ? r : i;
        if (weft__canceled(s->fiber))
            return -ECANCELED; /* it may have waited in between */
    }
}

static __attribute__((noinline)) int run_few(selection *s, int64_t deadline)
{
    weft__racer racers[FEW];
    weft__io ios[FEW];
    s->racers = racers;
    s->ios = ios;
    return run(s, deadline);
}

static __attribute__((noinline)) int run_many(selection *s, int64_t deadline)
{
    weft__racer racers[HERE];
    weft__io ios[HERE];
    s->racers = racers;
    s->ios = ios;
    return run(s, deadline);
}

/* Beyond what fits on the stack: from the lane's memory, which a kill frees after the last op has ended. */
static int run_large(selection *s, int64_t deadline)
{
    size_t ops = s->io * sizeof(weft__racer), ios = s->io * sizeof(weft__io), nodes = (s->n + SPARE) * sizeof(weft__node);
    unsigned char *memory = weft_alloc(ops + ios + nodes + s->n);
    if (!memory)
        return -ENOMEM;
    s->racers = (weft__racer *)(void *)memory;
    s->ios = (weft__io *)(void *)(memory + ops);
    s->nodes = (weft__node *)(void *)(memory + ops + ios);
    s->order = memory + ops + ios + nodes;
    for (unsigned i = 0; i < s->n; i++)
        s->order[i] = (uint8_t)i;
    int r = run(s, deadline);
    weft_free(memory);
    return r;
}

/* A case's object is used as by the plain call; DESIGN rule 14. */
static void tell_of_use(const weft_case *cases, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (cases[i].kind > WEFT_CASE_NONE && cases[i].kind < WEFT_CASE_TIME)
            weft__vat_used(cases[i].object, "weft_select");
}

/* How many of them ask the kernel. */
static inline unsigned count_io(const weft_case *cases, unsigned n)
{
    unsigned io = 0;
    for (unsigned i = 0; i < n; i++)
        io += (unsigned)weft__case_is_io(&cases[i]);
    return io;
}

/* Which kinds there are, and room for them on the stack; in the public calls themselves, which have nothing entered
 * yet. */
__attribute__((always_inline)) static inline unsigned probe_for(const weft__fiber *f, const weft_case *cases, unsigned n)
{
    unsigned kinds = 0;
    for (unsigned i = 0; cases && n <= WEFT_CASES_MAX && i < n; i++) {
        unsigned kind = (unsigned)cases[i].kind;
        kinds |= KIND(kind % 32);
        if (kind > WEFT_CASE_ACCEPT || !cases[i].object)
            kinds |= ODD;
    }
    weft__probe_levels(f, n <= HERE && kinds & IO && count_io(cases, n) > FEW ? MANY_LEVELS : 0);
    return kinds;
}

static int select_from(weft__fiber *f, weft_case *cases, unsigned n, unsigned kinds, int64_t deadline, int ordered)
{
    static const uint8_t as_they_come[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    weft__node nodes[HERE + SPARE];
    uint8_t order[HERE];
    selection s; /* no initialiser: most of it is for I/O or for waiting, and set where that begins */
    int r = weft__sync_enter_as(f, 0);
    if (r < 0)
        return r;
    if (n > WEFT_CASES_MAX)
        return -E2BIG;
    if (n && !cases)
        return -EINVAL;
    tell_of_use(cases, n);
    s.fiber = s.waiter.fiber = f;
    s.waiter.staked = 0;
    s.cases = cases;
    s.n = n;
    s.ordered = ordered;
    s.plain = !(kinds & ~PLAIN) && (kinds & BOTH_WAYS) != BOTH_WAYS;
    s.at_case = -1;
    s.homes = 0;
    s.io = kinds & IO ? count_io(cases, n) : 0;
    s.box = NULL;
    s.race.count = 0;
    s.nodes = nodes;
    s.order = memcpy(order, as_they_come, sizeof order);
    if (n > HERE)
        return run_large(&s, deadline);
    return s.io == 0 ? run(&s, deadline) : s.io <= FEW ? run_few(&s, deadline) : run_many(&s, deadline);
}

int weft_select(weft_case *cases, unsigned n, int64_t deadline)
{
    weft__fiber *f = weft__fiber_self();
    unsigned kinds = probe_for(f, cases, n);
    return select_from(f, cases, n, kinds, deadline, 0);
}
int weft_select_ordered(weft_case *cases, unsigned n, int64_t deadline)
{
    weft__fiber *f = weft__fiber_self();
    unsigned kinds = probe_for(f, cases, n);
    return select_from(f, cases, n, kinds, deadline, 1);
}
