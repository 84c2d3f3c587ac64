/* The supervisor's loop: ends of children, restarts by strategy, giving up, and the end. Everything here runs in the
 * one fiber that is in weft_supervise; it waits for messages and for nothing else.
 *
 * A message is taken note of wherever the supervisor waits (pump): an end goes into `ended`, a request into `pending`.
 * They are dealt with by the loop only (tend), one at a time, so a child that ends while another one is being started
 * or stopped changes nothing under anybody's feet. A restart that cannot be made at once leaves its children `due`; the
 * loop comes back to them. */
#include <errno.h>
#include <string.h>

#include <weft/vat.h>

#include "base/check.h"
#include "lane/exit.h"
#include "lane/supervisor.h"
#include "sched/text.h"

#define SHUTDOWN 1 /* what ends the loop besides errors: auto_shutdown */
#define RETRY (10 * WEFT_MILLISECOND) /* without memory for a message */

void weft__supervisor_say(weft__supervisor *s, const weft__child *c, const char *what)
{
    weft__say(s->rt, WEFT_LOG_WARNING, "supervisor \"%s\": child \"%s\" %s", s->lane->crew.name,
              c->plan->id[0] ? c->plan->id : c->plan->lane.name ? c->plan->lane.name : "child", what);
}

static void say_end(weft__supervisor *s, const weft__child *c)
{
    char text[256];
    weft_exit_format(&c->last, text, sizeof text);
    weft__supervisor_say(s, c, text);
}

static void say_not_started(weft__supervisor *s, const weft__child *c, int error)
{
    char text[256];
    weft__format(text, sizeof text, "could not be started: %s (%d)", weft_strerror(error), error);
    weft__supervisor_say(s, c, text);
}

/* ---- messages ---- */

/* The oldest end of a child that nobody has taken note of. */
static void note_end(weft__supervisor *s)
{
    weft_exit e;
    void *tag;
    if (weft__lane_next_end(s->lane, &e, &tag, WEFT_NOW) < 0)
        return; /* cancelled */
    weft__child *c = tag;
    if (c->disowned) {
        weft_free(c);
        return;
    }
    c->last = e;
    c->gone = 1;
    weft__link_before(&s->ended, &c->ended);
}

static void note_ready(weft__supervisor *s, weft_id from, int result)
{
    weft__child *c = weft__child_of_lane(s, from);
    if (c && c->state == WEFT_CHILD_STARTING && !c->answered) {
        c->answered = 1;
        c->answer = result;
    }
}

static void note_request(weft__supervisor *s, weft_message *msg)
{
    weft__pending *p = weft_alloc(sizeof *p);
    if (!p) {
        weft__supervisor_refuse(msg, -ENOMEM);
        weft_msg_free(msg);
        return;
    }
    p->next = NULL;
    p->msg = msg;
    *s->pending_tail = p;
    s->pending_tail = &p->next;
}

static void note_message(weft__supervisor *s, weft_message *msg)
{
    int done, result;
    if (weft__supervisor_asks(s, msg, &done) && !done) {
        note_request(s, msg);
        return;
    }
    if (weft__supervisor_ready(msg, &result))
        note_ready(s, msg->from, result);
    weft_msg_free(msg);
}

/* Without memory for a message it stays in the mailbox. */
static int wait_for_memory(void)
{
    int r = weft_sleep(weft_after(RETRY));
    return r < 0 ? r : 0;
}

/* What a child said, it said before it ended: an end is taken note of when the messages that came before it are. Any of
 * these calls may let others run before it answers that there is nothing; so whether there was an end is looked at
 * first, and whether there is one since, with nothing done between that and waiting. */
int weft__supervisor_pump(weft__supervisor *s, int64_t deadline)
{
    weft_message *msg;
    weft__annex *annex = s->lane->annex;
    int ended = !weft__tasks_empty(&annex->ends);
    int r = weft_receive(&msg, WEFT_NOW);
    if (ended && (r == -ETIMEDOUT || r == -ENOMEM)) {
        note_end(s);
        return 0;
    }
    if (r == -ETIMEDOUT && weft__tasks_empty(&annex->ends)) {
        annex->ender = weft__fiber_self(); /* an end interrupts the wait */
        r = weft_receive(&msg, deadline);
        annex->ender = NULL;
    } else if (r == -ETIMEDOUT) {
        return 0; /* there is one now */
    }
    if (r == -ENOMEM)
        return wait_for_memory();
    if (r == 0)
        note_message(s, msg);
    return r == -EINTR ? 0 : r;
}

static void serve(weft__supervisor *s)
{
    weft__pending *p = s->pending;
    s->pending = p->next;
    if (!s->pending)
        s->pending_tail = &s->pending;
    weft__supervisor_serve(s, p->msg);
    weft_msg_free(p->msg);
    weft_free(p);
}

/* ---- intensity ---- */

unsigned weft__supervisor_recent(weft__supervisor *s)
{
    int64_t begin = weft_now() - s->charter.period_ns;
    while (s->restart_count && s->restarts[s->restart_first] < begin) {
        s->restart_first = (s->restart_first + 1) % s->charter.intensity;
        s->restart_count--;
    }
    return s->restart_count;
}

/* Counts a restart: is it one too many? */
static int too_many(weft__supervisor *s, const weft__child *c)
{
    const weft__charter *charter = &s->charter;
    unsigned n = weft__supervisor_recent(s);
    if (n < charter->intensity) {
        s->restarts[(s->restart_first + n) % charter->intensity] = weft_now();
        s->restart_count++;
        return 0;
    }
    weft__say(s->rt, WEFT_LOG_ERROR,
              "supervisor \"%s\" gives up: restarting \"%s\" is one too many, after %u in %lld ms", s->lane->crew.name,
              c->plan->id[0] ? c->plan->id : "child", charter->intensity,
              (long long)(charter->period_ns / WEFT_MILLISECOND));
    s->cause = c->last.cause.gen ? c->last.cause : c->last.lane;
    return 1;
}

/* ---- restarting ---- */

/* The children from `first` on are stopped, in reverse, and are due. Temporary ones are forgotten instead. */
static void bring_down(weft__supervisor *s, weft__link *first)
{
    weft__link *before = first->prev; /* the first may be a temporary one */
    for (weft__link *l = s->children.prev, *prev; l != before; l = prev) {
        weft__child *c = weft__container(l, weft__child, link);
        prev = l->prev;
        if (c->plan->restart != WEFT_TEMPORARY)
            c->due = 1;
        int r = weft__child_stop(s, c);
        if (r == 0 && c->plan->restart == WEFT_TEMPORARY)
            weft__child_remove(s, c);
        else if (r == 0)
            c->state = WEFT_CHILD_RESTARTING;
    }
}

/* What goes down with c, whose restart has been counted. It may be dying still, after a start that failed. */
static void begin_restart(weft__supervisor *s, weft__child *c)
{
    c->due = 1;
    if (!c->lane.gen)
        c->state = WEFT_CHILD_RESTARTING;
    s->due = 1;
    if (s->charter.strategy == WEFT_ONE_FOR_ALL)
        bring_down(s, s->children.next);
    else if (s->charter.strategy == WEFT_REST_FOR_ONE)
        bring_down(s, &c->link);
}

/* In a group nobody starts before all of it have ended. */
static int group_is_dying(weft__supervisor *s)
{
    if (s->charter.strategy != WEFT_ONE_FOR_ALL && s->charter.strategy != WEFT_REST_FOR_ONE)
        return 0;
    for (weft__link *l = s->children.next; l != &s->children; l = l->next) {
        weft__child *c = weft__container(l, weft__child, link);
        if (c->due && c->lane.gen)
            return 1;
    }
    return 0;
}

/* 0; -ENOTRECOVERABLE. */
static int start_failed(weft__supervisor *s, weft__child *c, int error)
{
    if (weft_canceled() < 0)
        return 0; /* that is why */
    say_not_started(s, c, error);
    if (too_many(s, c))
        return -ENOTRECOVERABLE;
    begin_restart(s, c);
    return 0;
}

static int start_due(weft__supervisor *s)
{
    s->due = 0;
    if (group_is_dying(s))
        return 0; /* its end wakes us */
    for (weft__link *l = s->children.next, *next; l != &s->children; l = next) {
        weft__child *c = weft__container(l, weft__child, link);
        next = l->next;
        if (!c->due || c->lane.gen) /* none starts beside its own dying predecessor (rule 5) */
            continue;
        int r = weft__child_start(s, c);
        if (r < 0)
            return start_failed(s, c, r);
        c->due = 0;
        c->restarts++;
        if (r == WEFT__IGNORED && s->pattern)
            weft__child_remove(s, c);
    }
    return 0;
}

/* ---- ends ---- */

static int is_failure(const weft__child *c)
{
    if (c->plan->supervisor && c->last.result == -ENOTRECOVERABLE)
        return 0; /* as with OTP, giving up counts as a shutdown: restarting would only repeat it */
    return c->last.kind != WEFT_EXIT_NORMAL && c->last.kind != WEFT_EXIT_CANCELED;
}

/* A significant child has ended by itself: is it time to end? */
static int shuts_down(weft__supervisor *s)
{
    if (s->charter.auto_shutdown == WEFT_SHUTDOWN_ANY)
        return 1;
    for (weft__link *l = s->children.next; l != &s->children; l = l->next) {
        weft__child *c = weft__container(l, weft__child, link);
        if (c->plan->significant && (c->lane.gen || c->due))
            return 0;
    }
    return 1;
}

/* It stays known, unless nothing of it is of use any more. */
static int no_restart(weft__supervisor *s, weft__child *c)
{
    int significant = c->plan->significant;
    if (c->plan->restart == WEFT_TEMPORARY || s->pattern)
        weft__child_remove(s, c);
    return significant && shuts_down(s) ? SHUTDOWN : 0;
}

static int child_ended(weft__supervisor *s, weft__child *c)
{
    int stopped = c->state == WEFT_CHILD_DYING, again = c->plan->restart == WEFT_PERMANENT;
    weft__child_settle(s, c);
    if (stopped) { /* at last */
        s->due |= c->due;
        if (c->forget || (!c->due && (c->plan->restart == WEFT_TEMPORARY || s->pattern)))
            weft__child_remove(s, c);
        return 0;
    }
    if (is_failure(c) || again)
        say_end(s, c);
    if (!again && (c->plan->restart == WEFT_TEMPORARY || !is_failure(c)))
        return no_restart(s, c);
    if (too_many(s, c))
        return -ENOTRECOVERABLE;
    begin_restart(s, c);
    return 0;
}

/* ---- the whole ---- */

static weft__child *next_ended(weft__supervisor *s)
{
    return weft__link_alone(&s->ended) ? NULL : weft__container(s->ended.next, weft__child, ended);
}

/* Until cancelled, told to end by auto_shutdown, or giving up. */
static int tend(weft__supervisor *s)
{
    int r = 0;
    while (r == 0) {
        if (weft_canceled() < 0)
            return -ECANCELED;
        weft__child *c = next_ended(s);
        if (c)
            r = child_ended(s, c);
        else if (s->due && weft__supervisor_pump(s, WEFT_NOW) == -ETIMEDOUT) /* others first, should it fail for ever */
            r = start_due(s);
        else if (s->pending)
            serve(s);
        else if (!s->due)
            r = weft__supervisor_pump(s, WEFT_NEVER);
    }
    return r;
}

static void ask_all(weft__supervisor *s)
{
    for (weft__link *l = s->children.next; l != &s->children; l = l->next) {
        weft__child *c = weft__container(l, weft__child, link);
        if (c->lane.gen && !c->gone && c->state != WEFT_CHILD_DYING)
            weft__child_ask(s, c);
    }
}

static void collect(weft__supervisor *s, int64_t deadline)
{
    do
        for (weft__child *c; (c = next_ended(s));)
            weft__child_settle(s, c);
    while (s->active && weft__supervisor_pump(s, deadline) == 0);
}

/* All at once: under WEFT_DYNAMIC. */
static void stop_together(weft__supervisor *s)
{
    ask_all(s);
    if (s->pattern->grace_ns != WEFT_BRUTAL_KILL) {
        collect(s, weft__child_deadline(s->pattern));
        for (weft__link *l = s->children.next; l != &s->children; l = l->next) {
            weft__child *c = weft__container(l, weft__child, link);
            if (c->lane.gen)
                weft__child_kill(s, c);
        }
    }
    collect(s, weft_after(s->rt->opt.grace_ns));
    for (weft__link *l = s->children.next; l != &s->children; l = l->next) {
        weft__child *c = weft__container(l, weft__child, link);
        if (c->lane.gen)
            weft__child_is_dying(s, c);
    }
}

/* 0, or -ETIMEDOUT if some are dying. */
static int stop_all(weft__supervisor *s)
{
    weft_scope shield;
    weft_shield_enter(&shield, WEFT_NEVER);
    if (s->pattern) {
        stop_together(s);
    } else {
        for (weft__link *l = s->children.prev; l != &s->children; l = l->prev)
            weft__child_stop(s, weft__container(l, weft__child, link));
    }
    weft_shield_leave(&shield);
    return s->active ? -ETIMEDOUT : 0;
}

static int start_all(weft__supervisor *s, const weft__plan *plans)
{
    for (uint32_t i = 0; i < s->charter.count; i++) {
        weft__child *c;
        weft__plan plan = plans[i];
        int r = weft__child_add(s, &plan, plan.lane.copy ? (void *)plan.copy : plan.arg, plan.lane.copy, &c);
        if (r == 0)
            r = weft__child_start(s, c);
        if (r < 0)
            return r;
        if (r == WEFT__IGNORED && c->plan->restart == WEFT_TEMPORARY)
            weft__child_remove(s, c);
    }
    return 0;
}

static int open_supervisor(weft__supervisor *s, const weft__charter *charter, const weft__plan *plans)
{
    memset(s, 0, sizeof *s);
    s->charter = *charter;
    s->lane = weft__lane_self();
    s->rt = s->lane->rt;
    s->pending_tail = &s->pending;
    weft__link_init(&s->children);
    weft__link_init(&s->ended);
    s->restarts = weft_calloc(charter->intensity + 1, sizeof *s->restarts);
    if (charter->strategy == WEFT_DYNAMIC)
        s->pattern = weft_memdup(plans, sizeof *plans);
    if (!weft__lane_annex(s->lane)) /* where the ends of children lie */
        return -ENOMEM;
    return s->restarts && (s->pattern || charter->strategy != WEFT_DYNAMIC) ? 0 : -ENOMEM;
}

/* Whoever still asks is told that nobody is here any more. Dying children keep what their lanes point to: the lane's
 * name, and the record, by which a later supervisor of our lane knows that it is not its own. */
static void close_supervisor(weft__supervisor *s)
{
    while (s->pending) {
        weft__pending *p = s->pending;
        s->pending = p->next;
        weft__supervisor_refuse(p->msg, -ESRCH);
        weft_msg_free(p->msg);
        weft_free(p);
    }
    for (weft__link *l = s->children.next, *next; l != &s->children; l = next) {
        weft__child *c = weft__container(l, weft__child, link);
        next = l->next;
        if (!c->lane.gen)
            weft__child_remove(s, c);
        else
            c->disowned = 1;
    }
    if (!s->active)
        weft_free(s->pattern);
    weft_free(s->restarts);
}

int weft__supervise_plans(const weft__charter *charter, const weft__plan *plans, void (*started)(void *ctx, int result),
                          void *ctx, weft_id *cause)
{
    weft__supervisor s;
    int r = open_supervisor(&s, charter, plans);
    /* Cancelling the lane is for us to pass on, child by child. */
    weft__store_relaxed(&s.lane->tends, 1, "supervisor.tends");
    if (r == 0 && !s.pattern)
        r = start_all(&s, plans);
    if (r < 0) {
        stop_all(&s);
        started(ctx, r);
    } else {
        started(ctx, 0);
        r = tend(&s);
        int left = stop_all(&s);
        r = r < 0 ? r : left;
    }
    weft__store_relaxed(&s.lane->tends, 0, "supervisor.tends");
    *cause = s.cause;
    close_supervisor(&s);
    return r;
}

static void tell_own_supervisor(void *ctx, int result)
{
    (void)ctx;
    if (result == 0)
        weft_child_ready(0); /* -EPERM where there is none */
}

static int supervise(const weft_supervisor_spec *spec, weft_id *cause)
{
    weft__charter charter;
    if (!weft__fiber_self())
        return -EPERM;
    int r = weft__charter_read(&charter, spec);
    if (r < 0)
        return r;
    if (weft__load_relaxed(&weft__lane_self()->tends, "supervisor.tends"))
        return -EBUSY;
    weft__plan *plans = weft_calloc(charter.count ? charter.count : 1, sizeof *plans);
    if (!plans)
        return -ENOMEM;
    r = weft__plans_read(plans, spec, &charter);
    if (r == 0)
        r = weft__supervise_plans(&charter, plans, tell_own_supervisor, NULL, cause);
    weft_free(plans);
    return r;
}

int weft_supervise(const weft_supervisor_spec *spec)
{
    weft_id cause = WEFT_NOID;
    return supervise(spec, &cause);
}

int weft__supervise_lane(const weft_supervisor_spec *spec)
{
    weft_id cause = WEFT_NOID;
    int r = supervise(spec, &cause);
    if (r == -ENOTRECOVERABLE)
        weft__exit_note(weft__lane_self(), WEFT_EXIT_ERROR, r, cause);
    return r;
}
