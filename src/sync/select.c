/* Select. For fibers, on their own worker. One lock is held at a time, ever.
 *
 * First each case is tried in the order drawn, with none of our nodes in any queue; that is how most selects end. Then they are queued, each with
 * another look at its object under the same hold of its lock, so that nothing that comes between is missed. A case found ready at that
 * look is ours only if we claim ourselves first, for another object may have claimed us since its node was queued. Having claimed ourselves we
 * may still come too late (who stood on the other side was a select that somebody else has claimed): then all nodes are taken out and it
 * begins anew. Two selects that meet each other so at the same time may both begin anew; each draws another order, so not for ever.
 *
 * There are two nodes more than there are cases, in no queue: so a waiter of a select, whatever its cases, is always claimed by compare-and-swap. */
#include <errno.h>
#include <weft/select.h>
#include <weft/vat.h>

#include "lane/realm.h"
#include "sync/channel.h"
#include "sync/event.h"
#include "sync/mutex.h"

enum { HERE = 16, SPARE = 2, AGAIN = -EAGAIN };

typedef struct selection {
    weft__waiter waiter; /* first: the fiber waits on it */
    weft_case *cases;
    unsigned n;
    int ordered;
    int64_t at;          /* the earliest of its times, and which case that is */
    int at_case;
    weft__fiber *fiber;
    weft__node *nodes;
    uint8_t *order;
    unsigned joins;
} selection;

static selection *of(weft__waiter *wt) { return weft__container(wt, selection, waiter); }

/* ---- joining fibers and child lanes: told by our own worker ---- */

static int is_join(const weft_case *c) { return c->kind == WEFT_CASE_JOIN || c->kind == WEFT_CASE_LANE; }

static weft__fiber **joiner_of(const selection *s, unsigned i)
{
    void *what = s->nodes[i].object;
    return s->cases[i].kind == WEFT_CASE_JOIN ? &((weft__fiber *)what)->joiner : &((weft__lane *)what)->joiner;
}

static int has_ended(const selection *s, unsigned i)
{
    const void *what = s->nodes[i].object;
    return s->cases[i].kind == WEFT_CASE_JOIN ? ((const weft__fiber *)what)->state == WEFT__ENDED : ((const weft__lane *)what)->told;
}

static void leave_joins(weft__waiter *wt)
{
    selection *s = of(wt);
    for (unsigned i = 0; i < s->n && s->joins; i++)
        if (is_join(&s->cases[i]) && *joiner_of(s, i) == s->fiber)
            *joiner_of(s, i) = NULL;
}

static int look_at_joins(weft__waiter *wt)
{
    selection *s = of(wt);
    for (unsigned i = 0; i < s->n; i++)
        if (is_join(&s->cases[i]) && has_ended(s, i))
            return weft__waiter_claim_self(wt, i);
    return 0;
}

static int find_joined(selection *s, weft__node *n, weft_id id)
{
    weft__fiber *f;
    int r = weft__fiber_find(s->fiber->home, id, &f);
    if (r < 0)
        return r;
    if (f->crew != s->fiber->crew)
        return -EPERM;
    if (f == s->fiber)
        return -EDEADLK;
    if (f->detached)
        return -ESRCH;
    n->object = f;
    s->joins++;
    return f->joiner ? -EBUSY : 0;
}

static int find_child(selection *s, weft__node *n, weft_id id)
{
    weft__lane *self, *lane;
    int r = weft__lane_find_child(id, 1, &self, &lane);
    if (r < 0)
        return r;
    if (lane->joiner || lane->supervised)
        return -EBUSY;
    n->object = lane;
    s->joins++;
    return lane->forgotten ? -ESRCH : 0;
}

/* ---- from cases to nodes ---- */

static int one_way(const weft_case *cases, unsigned i)
{
    for (unsigned k = 0; k < i; k++)
        if (cases[k].object == cases[i].object && cases[k].kind != cases[i].kind &&
            (cases[k].kind == WEFT_CASE_SEND || cases[k].kind == WEFT_CASE_RECEIVE))
            return 0;
    return 1;
}

static int node_of_lock(selection *s, weft__node *n, const weft_case *c)
{
    weft__mutex *m = weft__mutex_of(c->object);
    if (weft__mutex_owned(m, s->fiber))
        return -EDEADLK;
    weft__mutex_node(n, m, c->site);
    return 0;
}

static int node_of(selection *s, unsigned i)
{
    weft_case *c = &s->cases[i];
    weft__node *n = &s->nodes[i];
    n->lock = NULL;
    n->kind = NULL;
    n->flags = 0;
    if (c->kind > WEFT_CASE_NONE && c->kind < WEFT_CASE_TIME && !c->object)
        return -EINVAL;
    switch (c->kind) {
    case WEFT_CASE_NONE:
        return 0;
    case WEFT_CASE_SEND:
        weft__channel_send_node(n, c->object, c->data);
        return one_way(s->cases, i) ? 0 : -EINVAL;
    case WEFT_CASE_RECEIVE:
        weft__channel_receive_node(n, c->object, c->data);
        return one_way(s->cases, i) ? 0 : -EINVAL;
    case WEFT_CASE_EVENT:
        weft__event_node(n, c->object);
        return 0;
    case WEFT_CASE_LOCK:
        return node_of_lock(s, n, c);
    case WEFT_CASE_ACQUIRE:
        weft__semaphore_node(n, c->object, c->units);
        return c->units ? 0 : -EINVAL;
    case WEFT_CASE_FUTURE:
        weft__future_node(n, c->object);
        return 0;
    case WEFT_CASE_LATCH:
        weft__latch_node(n, c->object);
        return 0;
    case WEFT_CASE_TIME:
        if (s->at_case < 0 || c->deadline < s->at) {
            s->at = c->deadline;
            s->at_case = (int)i;
        }
        return 0;
    case WEFT_CASE_JOIN:
        return find_joined(s, n, c->id);
    case WEFT_CASE_LANE:
        return find_child(s, n, c->id);
    default:
        return -EINVAL;
    }
}

/* ---- one round ---- */

static void draw_order(selection *s)
{
    weft__worker *w = s->fiber->home;
    for (unsigned i = 0; i < s->n; i++)
        s->order[i] = (uint8_t)i;
    for (unsigned i = s->ordered ? 0 : s->n; i > 1; i--) {
        w->random = w->random * 1664525u + 1013904223u;
        unsigned k = (unsigned)(((uint64_t)w->random * i) >> 32);
        uint8_t swap = s->order[i - 1];
        s->order[i - 1] = s->order[k];
        s->order[k] = swap;
    }
}

/* Something without an object that can happen now. */
static int happens(const selection *s, unsigned i)
{
    const weft_case *c = &s->cases[i];
    if (c->kind == WEFT_CASE_TIME)
        return c->deadline <= s->fiber->home->now_ns;
    return is_join(c) && has_ended(s, i);
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
    weft__spin_unlock(n->lock);
    weft__news_tell(&news);
    return served;
}

/* Queues case i: 0; 1: it has happened instead; AGAIN: it was ready, and is not any more; -EALREADY: another has happened. */
static int queue_case(selection *s, unsigned i)
{
    weft__node *n = &s->nodes[i];
    weft__news news;
    int r = 0;
    weft__news_init(&news);
    weft__sync_lock(n->lock);
    if (!n->kind->ready(n))
        n->kind->push(n);
    else if (!weft__waiter_claim_self(&s->waiter, i))
        r = -EALREADY;
    else
        r = n->kind->take(n, &news) ? 1 : AGAIN;
    weft__spin_unlock(n->lock);
    weft__news_tell(&news);
    return r;
}

static void queue_joins(selection *s)
{
    for (unsigned i = 0; i < s->n; i++)
        if (is_join(&s->cases[i]))
            *joiner_of(s, i) = s->fiber;
    s->waiter.look = look_at_joins;
    s->waiter.leave = leave_joins;
}

/* The case that happened, AGAIN, or why none did. */
static int queue_and_wait(selection *s, int64_t deadline)
{
    for (unsigned k = 0; k < s->n; k++) {
        unsigned i = s->order[k];
        int r = s->nodes[i].lock ? queue_case(s, i) : 0;
        if (r == 1 || r == AGAIN) {
            weft__waiter_unlink(&s->waiter, i);
            return r == 1 ? (int)i : AGAIN;
        }
        if (r == -EALREADY)
            break;
    }
    int timed = s->at_case >= 0 && s->at <= deadline;
    if (s->joins)
        queue_joins(s);
    int r = weft__waiter_wait(&s->waiter, timed ? s->at : deadline);
    if (s->joins)
        leave_joins(&s->waiter);
    if (r == 0)
        return (int)weft__waiter_won(&s->waiter);
    return r == -ETIMEDOUT && timed ? s->at_case : r;
}

static int round_of(selection *s, int64_t deadline, int late)
{
    weft__waiter_init(&s->waiter, s->fiber, s->nodes, s->n + SPARE);
    draw_order(s);
    for (unsigned k = 0; k < s->n; k++)
        if (try_case(s, s->order[k]))
            return s->order[k];
    return late ? weft__refuse(s->fiber, -ETIMEDOUT) : queue_and_wait(s, deadline);
}

/* ---- the call ---- */

static void conclude(selection *s, int i)
{
    weft_case *c = &s->cases[i];
    weft__node *n = &s->nodes[i];
    c->result = 0;
    if (c->kind == WEFT_CASE_JOIN) {
        weft__fiber *f = n->object;
        c->result = f->result;
        weft__fiber_free(f);
    } else if (c->kind == WEFT_CASE_LANE) {
        weft__lane *lane = n->object;
        c->result = lane->result;
        weft__lane_leave(lane);
    } else if (n->lock) {
        if (n->kind->finish)
            n->kind->finish(n);
        c->result = n->answer;
    }
    if (c->kind == WEFT_CASE_FUTURE)
        c->result = weft__future_read(c->object, c->data);
}

static int run(selection *s, int64_t deadline)
{
    int r = 0;
    for (unsigned i = 0; i < SPARE; i++)
        s->nodes[s->n + i].lock = NULL;
    for (unsigned i = 0; i < s->n && r == 0; i++)
        r = node_of(s, i);
    if (r < 0)
        return r;
    int late = weft__sync_late(s->fiber, deadline);
    do
        r = round_of(s, deadline, late);
    while (r == AGAIN);
    if (r >= 0)
        conclude(s, r);
    return r;
}

/* Beyond what fits on the stack: from the lane's memory, which a kill frees. */
static int run_large(selection *s, int64_t deadline)
{
    s->nodes = weft_alloc((s->n + SPARE) * sizeof(weft__node) + s->n);
    if (!s->nodes)
        return -ENOMEM;
    s->order = (uint8_t *)(s->nodes + s->n + SPARE);
    int r = run(s, deadline);
    weft_free(s->nodes);
    return r;
}

static int select_from(weft_case *cases, unsigned n, int64_t deadline, int ordered)
{
    weft__node nodes[HERE + SPARE];
    uint8_t order[HERE];
    selection s = {.cases = cases, .n = n, .ordered = ordered, .at_case = -1, .nodes = nodes, .order = order};
    int r = weft__sync_begin(&s.fiber, 0);
    if (r < 0)
        return r;
    if (n > WEFT_CASES_MAX)
        return -E2BIG;
    if (n && !cases)
        return -EINVAL;
    return n > HERE ? run_large(&s, deadline) : run(&s, deadline);
}

int weft_select(weft_case *cases, unsigned n, int64_t deadline)
{
    weft__probe_self();
    return select_from(cases, n, deadline, 0);
}
int weft_select_ordered(weft_case *cases, unsigned n, int64_t deadline)
{
    weft__probe_self();
    return select_from(cases, n, deadline, 1);
}
