/* A supervisor's children, one at a time: their records, starting and stopping. Called by the supervisor's fiber only.
 *
 * A child's lane carries its record as a tag, and its end is heard of after everything that it had is given back. For
 * as long as a killed child waits for an operation that cannot be cancelled, its record keeps the lane, and its id is
 * not free. */
#include <errno.h>
#include <string.h>

#include <weft/vat.h>

#include "base/check.h"
#include "lane/realm.h"
#include "lane/supervisor.h"
#include "sched/text.h"

/* ---- records ---- */

weft__child *weft__child_named(weft__supervisor *s, const char *id)
{
    for (weft__link *l = s->children.next; l != &s->children; l = l->next) {
        weft__child *c = weft__container(l, weft__child, link);
        if (strcmp(c->plan->id, id) == 0)
            return c;
    }
    return NULL;
}

/* Any lane's id may be asked for: only a child's of ours has us as its parent, and it stays until we are told of its
 * end. */
weft__child *weft__child_of_lane(weft__supervisor *s, weft_id id)
{
    weft__lane *lane = weft__slab_at(&weft__lanes_of(s->rt)->lanes, id.key);
    if (id.ns != WEFT__NS(s->rt, WEFT__LANE) || !lane ||
        WEFT__GEN(weft__load_acquire(&lane->head.word, "supervisor.child")) != id.gen ||
        weft__load_relaxed(&lane->parent, "supervisor.child") != s->lane)
        return NULL;
    weft__child *c = lane->supervised == WEFT__SUPERVISED ? lane->annex->tag : NULL;
    return c && !c->disowned ? c : NULL;
}

int weft__child_add(weft__supervisor *s, const weft__plan *plan, void *arg, size_t copied, weft__child **out)
{
    weft__child *c = weft_calloc(1, sizeof *c + copied);
    if (!c)
        return -ENOMEM;
    c->plan = s->pattern ? s->pattern : weft_memdup(plan, sizeof *plan);
    if (!c->plan) {
        weft_free(c);
        return -ENOMEM;
    }
    c->copied = (uint8_t)copied;
    if (copied)
        memcpy(c->copy, arg, copied);
    else
        c->arg = arg;
    c->serial = ++s->serial;
    weft__link_init(&c->ended);
    weft__link_before(&s->children, &c->link);
    s->known++;
    *out = c;
    return 0;
}

void weft__child_remove(weft__supervisor *s, weft__child *c)
{
    weft__link_remove(&c->link);
    s->known--;
    if (c->plan != s->pattern)
        weft_free(c->plan);
    weft_free(c);
}

static const char *lane_name(const weft__plan *p) { return p->lane.name ? p->lane.name : p->id[0] ? p->id : "child"; }

void weft__child_describe(const weft__child *c, weft_child_info *out)
{
    const weft__plan *p = c->plan;
    memset(out, 0, sizeof *out);
    memcpy(out->id, p->id, sizeof out->id);
    weft__format(out->name, sizeof out->name, "%s", lane_name(p));
    out->lane = c->lane;
    out->state = (enum weft_child_state)c->state;
    out->restart = (enum weft_restart)p->restart;
    out->supervisor = p->supervisor != NULL;
    out->significant = p->significant;
    out->grace_ns = p->grace_ns;
    out->restarts = c->restarts;
    out->last = c->last;
    out->serial = c->serial;
}

/* ---- starting ---- */

static int run_nested(void *arg)
{
    const weft_supervisor_spec *spec = *(const weft_supervisor_spec **)arg;
    return weft__supervise_lane(spec);
}

static int spawn(weft__supervisor *s, weft__child *c)
{
    weft__plan *p = c->plan;
    weft_lane_options opt = p->lane;
    opt.copy = p->supervisor ? sizeof p->supervisor : c->copied;
    opt.limits = p->limited ? &p->limits : NULL;
    void *arg = p->supervisor ? (void *)&p->supervisor : c->copied ? c->copy : c->arg;
    return weft__lane_spawn_supervised(&c->lane, p->supervisor ? run_nested : p->run, arg, &opt, lane_name(p),
                                       s->lane->crew.site, c);
}

/* It has ended before it was ready. */
static int not_started(weft__supervisor *s, weft__child *c)
{
    weft__child_settle(s, c);
    if (c->last.kind == WEFT_EXIT_NORMAL)
        return WEFT__IGNORED;
    return c->last.result < 0 ? c->last.result : -EIO;
}

static int await_ready(weft__supervisor *s, weft__child *c)
{
    int64_t deadline = c->plan->start_ns ? weft_after(c->plan->start_ns) : WEFT_NEVER;
    int r = 0;
    while (r == 0 && !c->answered && !c->gone)
        r = weft__supervisor_pump(s, deadline);
    if (c->answered)
        r = c->answer;
    else if (c->gone)
        return not_started(s, c);
    if (r < 0)
        weft__child_stop(s, c);
    else
        c->state = WEFT_CHILD_RUNNING; /* if it has ended since, the loop will see to that */
    return r;
}

int weft__child_start(weft__supervisor *s, weft__child *c)
{
    c->answered = 0;
    c->gone = 0;
    int r = spawn(s, c);
    if (r < 0)
        return r;
    s->active++;
    c->state = c->plan->ready ? WEFT_CHILD_STARTING : WEFT_CHILD_RUNNING;
    return c->plan->ready ? await_ready(s, c) : 0;
}

/* ---- stopping ---- */

void weft__child_settle(weft__supervisor *s, weft__child *c)
{
    weft__link_remove(&c->ended);
    s->active--;
    c->lane = WEFT_NOID;
    c->gone = 0;
    c->state = c->due ? WEFT_CHILD_RESTARTING : WEFT_CHILD_STOPPED;
}

void weft__child_kill(weft__supervisor *s, weft__child *c)
{
    (void)s;
    weft_kill(c->lane); /* -ESRCH: its end is on its way to us */
}

void weft__child_ask(weft__supervisor *s, weft__child *c)
{
    c->state = WEFT_CHILD_STOPPING;
    if (c->plan->grace_ns == WEFT_BRUTAL_KILL)
        weft__child_kill(s, c);
    else
        weft_cancel(c->lane);
}

static void wait_gone(weft__supervisor *s, weft__child *c, int64_t deadline)
{
    while (!c->gone && weft__supervisor_pump(s, deadline) == 0)
        ;
}

static int stop(weft__supervisor *s, weft__child *c)
{
    if (c->state != WEFT_CHILD_DYING) {
        if (!c->gone)
            weft__child_ask(s, c);
        if (c->plan->grace_ns != WEFT_BRUTAL_KILL) {
            wait_gone(s, c, weft__child_deadline(c->plan));
            if (!c->gone)
                weft__child_kill(s, c);
        }
    }
    wait_gone(s, c, c->state == WEFT_CHILD_DYING ? WEFT_NOW : weft_after(s->rt->opt.grace_ns));
    if (!c->gone) {
        weft__child_is_dying(s, c);
        return -ETIMEDOUT;
    }
    weft__child_settle(s, c);
    return 0;
}

int weft__child_stop(weft__supervisor *s, weft__child *c)
{
    weft_scope shield;
    if (!c->lane.gen)
        return 0;
    weft_shield_enter(&shield, WEFT_NEVER); /* it ends by itself or by the kill */
    int r = stop(s, c);
    weft_shield_leave(&shield);
    return r;
}

void weft__child_is_dying(weft__supervisor *s, weft__child *c)
{
    if (c->state != WEFT_CHILD_DYING)
        weft__supervisor_say(s, c, "was killed and has not ended: it waits for something that cannot be cancelled");
    c->state = WEFT_CHILD_DYING;
}

int64_t weft__child_deadline(const weft__plan *p)
{
    return p->grace_ns == WEFT_NEVER ? WEFT_NEVER : weft_after(p->grace_ns);
}
