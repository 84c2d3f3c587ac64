/* What is said and done when nothing in a runtime can ever run again (sched/stuck.c finds out): every fiber, with what
 * it waits for. Runs on whichever worker fell asleep last, on its own context, while all others sleep and none wakes;
 * so the records of their fibers may be read. */
#include <string.h>

#include "fiber/graph.h"
#include "lane/realm.h"
#include "sched/text.h"

typedef struct text {
    char *buf;
    size_t size, used;
    unsigned left_out;
} text;

/* ---- walking ---- */

static weft__lane *first_child(weft__lane *lane)
{
    weft__spin_lock(&lane->lock); /* of a thread outside that spawns at this very moment we see all or nothing */
    weft__link *l = lane->children.next;
    weft__lane *child = l == &lane->children ? NULL : weft__container(l, weft__lane, siblings);
    weft__spin_unlock(&lane->lock);
    return child;
}

static weft__lane *next_sibling(weft__lane *lane)
{
    weft__lane *parent = lane->parent;
    weft__spin_lock(&parent->lock);
    weft__link *l = lane->siblings.next;
    weft__lane *sibling = l == &parent->children ? NULL : weft__container(l, weft__lane, siblings);
    weft__spin_unlock(&parent->lock);
    return sibling;
}

/* The next lane, parents before their children; NULL: that was the last. */
static weft__lane *next_lane(weft__lane *lane, const weft__lane *root)
{
    weft__lane *next = first_child(lane);
    while (!next && lane != root) {
        next = next_sibling(lane);
        lane = lane->parent;
    }
    return next;
}

/* ---- one fiber ---- */

static size_t say_wait(char *buf, size_t size, const weft__fiber *f)
{
    static const char *const what[] = {
        [WEFT__WAIT_OP] = "for an operation", [WEFT__WAIT_READY] = "for an operation",
        [WEFT__WAIT_PARK] = "for an unpark", [WEFT__WAIT_SLEEP] = "for a time",
        [WEFT__WAIT_ENDS] = "for the end of a supervised lane", [WEFT__WAIT_MAIL] = "for a message", [WEFT__WAIT_ANSWER] = "for an answer",
        [WEFT__WAIT_MAILBOX] = "for room in a mailbox", [WEFT__WAIT_TIMER] = "for a timer", [WEFT__WAIT_STREAM] = "for a stream",
        [WEFT__WAIT_ACCEPT] = "for connections", [WEFT__WAIT_SIGNAL] = "for a signal", [WEFT__WAIT_NUDGE] = "for room below a limit"};
    if (f->state != WEFT__WAITING)
        return weft__format(buf, size, "does not wait"); /* nobody asleep has one */
    if (f->edge)
        return weft__edge_say(buf, size, f->edge);
    if (f->waiting == WEFT__WAIT_OBJECT) {
        const weft__wait_on *on = f->waits_on;
        return on->say(on, buf, size);
    }
    if (f->waiting == WEFT__WAIT_JOIN)
        return weft__edge_say(buf, size, f->waits_on); /* one that nobody waits for */
    const char *kind = f->waiting < sizeof what / sizeof *what ? what[f->waiting] : NULL;
    return weft__format(buf, size, "waits%s%s", kind ? " " : "", kind ? kind : "");
}

static void say_fiber(text *t, const weft__fiber *f)
{
    char line[1024];
    size_t n = weft__format(line, sizeof line, "\n  fiber \"%s\" of lane \"%s\" (spawned at %s) ", f->name, f->crew->name, f->site);
    if (n < sizeof line)
        n += say_wait(line + n, sizeof line - n, f);
    if (n < sizeof line && f->locks)
        n += weft__format(line + n, sizeof line - n, "; it holds %u lock%s", f->locks, f->locks == 1 ? "" : "s");
    if (n >= sizeof line)
        n = sizeof line - 1;
    if (t->left_out || t->size - t->used < n + 64) { /* what was left out is said, too */
        t->left_out++;
        return;
    }
    memcpy(t->buf + t->used, line, n + 1);
    t->used += n;
}

/* ---- the whole ---- */

int weft__realm_forlorn(weft_runtime *rt)
{
    weft__lane_realm *realm = rt->lanes;
    weft__lane *root = realm->root;
    if (!weft__load_seq(&realm->home, "stuck.home")) /* no host's thread has come: its root is not to be touched yet */
        return 0;
    if (realm->stuck || weft__load_seq(&realm->signals.busy, "stuck.signals"))
        return 0;
    for (weft__lane *lane = root; lane; lane = next_lane(lane, root))
        if (lane->crew.alive)
            return 1;
    return 0;
}

void weft__realm_inquire(weft_runtime *rt, char *buf, size_t size)
{
    weft__lane *root = weft__lanes_of(rt)->root;
    text t = {.buf = buf, .size = size};
    unsigned fibers = 0, lanes = 0;
    for (weft__lane *lane = root; lane; lane = next_lane(lane, root)) {
        fibers += lane->crew.alive;
        lanes += lane->crew.alive > 0;
    }
    t.used = weft__format(buf, size, "deadlock: nothing can run any more: %u fiber%s of %u lane%s wait%s, and nothing that could wake one is to come",
                          fibers, fibers == 1 ? "" : "s", lanes, lanes == 1 ? "" : "s", fibers == 1 ? "s" : "");
    for (weft__lane *lane = root; lane; lane = next_lane(lane, root))
        for (weft__link *l = lane->crew.fibers.next; l != &lane->crew.fibers; l = l->next) {
            const weft__fiber *f = weft__container(l, weft__fiber, siblings);
            if (f->state != WEFT__ENDED)
                say_fiber(&t, f);
        }
    if (t.left_out)
        weft__format(buf + t.used, size - t.used, "\n  and %u more", t.left_out);
}

/* A line at a time: a log may cut long ones. */
static void say_lines(weft_runtime *rt, const char *report)
{
    while (*report) {
        const char *end = strchr(report, '\n');
        size_t n = end ? (size_t)(end - report) : strlen(report);
        if (rt->env->log)
            rt->env->log(rt->env->self, WEFT_LOG_ERROR, report, n);
        report += n + (end != NULL);
    }
}

void weft__realm_stuck(weft_runtime *rt, const char *report)
{
    weft__lane_realm *realm = rt->lanes;
    if (rt->opt.stuck) {
        rt->opt.stuck(rt, report, rt->opt.stuck_arg);
        return;
    }
    say_lines(rt, report);
    weft__store_seq(&realm->stuck, 1, "stuck.program");
    weft__lane_signal(rt, realm->root->crew.id, WEFT__SIG_KILL);
}
