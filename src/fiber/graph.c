/* Circles of fibers that wait for each other. Any worker.
 *
 * A walk follows edges that are all published, so their fibers do not run; but holders are read without their
 * objects' locks, and a holder that runs may let go, end, and its record be another's, between two reads. So a
 * circle counts only if it is found twice: in the second round each holder read is a fiber that was parked all the
 * time, and one that is parked lets go of nothing. (One that is being handed what it waits for is its own holder: no
 * circle either.) */
#include "fiber/graph.h"

#include <errno.h>
#include <string.h>

#include "sched/text.h"

enum { LINE = 512, AT_HAND = 4 }; /* bytes of a line at most; lines for which there is room without asking for memory */

static weft__spin *lock_of(const weft__edge *e) { return &((weft__fiber_realm *)e->fiber->home->rt->fibers)->graph; }

/* The next edge on the way, or NULL. Under the lock of rt. */
static weft__edge *after(const weft__edge *e, const weft_runtime *rt)
{
    weft__fiber *f = e->holder(e->object);
    if (!f || f == e->fiber)
        return NULL;
    weft__worker *home = weft__home_of(&f->home); /* which a parked fiber's lane may be leaving just now */
    /* A record that begins anew has none, and clears it. */
    return home->rt == rt ? weft__load_relaxed(&f->edge, "graph.edge") : NULL;
}

/* How long the circle through e is; 0: there is none. The way may end in a circle without e, as those that were only
 * reported: that is seen by one who stays behind and is passed again (R. P. Brent, An improved Monte Carlo
 * factorization algorithm, 1980). */
static unsigned circle(const weft__edge *e)
{
    const weft_runtime *rt = e->fiber->home->rt;
    const weft__edge *at = e, *behind = NULL;
    for (unsigned n = 1, wait = 2;; n++) {
        at = after(at, rt);
        if (!at || at == behind)
            return 0;
        if (at == e)
            return n;
        if (n == wait) {
            behind = at;
            wait *= 2;
        }
    }
}

static unsigned surely(const weft__edge *e) { return circle(e) ? circle(e) : 0; }

static size_t say_held_by(char *text, size_t size, const weft__edge *e, const weft__fiber *h)
{
    const char *at = h && e->locked_at ? e->locked_at(e->object) : NULL;
    size_t n = weft__format(text, size, "waits%s%s for %s%s%s%s%s%s", e->site ? " at " : "", e->site ? e->site : "", e->what,
                            e->name ? " \"" : "", e->name ? e->name : "", e->name ? "\"" : "", at ? " locked at " : "", at ? at : "");
    if (h && n < size && (e->locked_at || !e->name)) /* what has a name and no holder is told by its name */
        n += weft__format(text + n, size - n, " of fiber \"%s\" of lane \"%s\"", h->name, h->crew->name);
    return n;
}

size_t weft__edge_say(char *buf, size_t size, const weft__edge *e) { return say_held_by(buf, size, e, e->holder(e->object)); }

/* A line for each edge, with a zero after it. */
static size_t say_edge(char *text, size_t size, const weft__edge *e, const weft__edge *next)
{
    const weft__fiber *f = e->fiber;
    size_t n = weft__format(text, size, "  fiber \"%s\" of lane \"%s\" (spawned at %s) ", f->name, f->crew->name, f->site);
    if (n < size)
        n += say_held_by(text + n, size - n, e, next->fiber);
    return n < size ? n + 1 : size;
}

/* Says a circle of n, in text of `size` bytes. The edges stay as they are while we have the lock, which is released
 * before anything is said. */
static void report(const weft__edge *e, unsigned n, weft__spin *lock, char *text, size_t size)
{
    size_t used = 0;
    unsigned named = 0;
    weft_runtime *rt = e->fiber->home->rt;
    const weft__edge *at = e, *next;
    const enum weft_log_level level = e->timed ? WEFT_LOG_WARNING : WEFT_LOG_ERROR;
    for (; named < n && size - used >= LINE && (next = after(at, rt)); named++, at = next)
        used += say_edge(text + used, LINE, at, next);
    if (!e->timed)
        e->fiber->edge = NULL;
    weft__spin_unlock(lock);
    weft__say(rt, level, "deadlock: %u fibers wait for each other%s", n,
              e->timed ? "; the last of them until a deadline" : "; the last of them is refused");
    for (const char *line = text; line < text + used; line += strlen(line) + 1)
        weft__say(rt, level, "%s", line);
    if (named < n)
        weft__say(rt, level, "  and %u more, for whose names there was no memory", n - named);
}

/* A circle of n was seen. Room for all its names is got without the lock; it may have gone by then. 0 or -EDEADLK. */
__attribute__((noinline)) static int refuse(weft__edge *e, unsigned n, weft__spin *lock)
{
    char at_hand[AT_HAND * LINE];
    const weft_env *env = e->fiber->home->rt->env;
    const size_t bytes = n > AT_HAND ? (n * (size_t)LINE + env->page_size - 1) / env->page_size * env->page_size : 0;
    char *text = NULL;
    if (bytes) {
        weft__spin_unlock(lock);
        text = env->map(env->self, bytes, 0);
        weft__spin_lock(lock);
        n = surely(e);
    }
    if (n)
        report(e, n, lock, text ? text : at_hand, text ? bytes : sizeof at_hand);
    else
        weft__spin_unlock(lock);
    if (text)
        env->unmap(env->self, text, bytes);
    return n && !e->timed ? -EDEADLK : 0;
}

int weft__graph_add(weft__edge *e)
{
    weft__spin *lock = lock_of(e);
    weft__spin_lock(lock);
    e->fiber->edge = e;
    unsigned n = surely(e);
    if (n)
        return refuse(e, n, lock);
    weft__spin_unlock(lock);
    return 0;
}

/* As `circle`: it ends in one that was only reported, perhaps. */
static unsigned way(const weft__fiber *f, const void *object)
{
    const weft_runtime *rt = f->home->rt;
    const weft__edge *at = f->edge, *behind = NULL;
    for (unsigned n = 1, wait = 2; at && at != behind && !at->timed; n++) {
        if (at->object == object)
            return n;
        if (n == wait) {
            behind = at;
            wait *= 2;
        }
        at = after(at, rt);
    }
    return 0;
}

unsigned weft__graph_way(const weft__fiber *f, const void *object)
{
    weft__spin *lock = &((weft__fiber_realm *)f->home->rt->fibers)->graph;
    weft__spin_lock(lock);
    unsigned n = way(f, object) ? way(f, object) : 0;
    weft__spin_unlock(lock);
    return n;
}

void weft__graph_show(weft__edge *e)
{
    weft__spin *lock = lock_of(e);
    weft__spin_lock(lock);
    e->fiber->edge = e;
    weft__spin_unlock(lock);
}

void weft__graph_remove(weft__edge *e)
{
    weft__spin *lock = lock_of(e);
    weft__spin_lock(lock);
    e->fiber->edge = NULL;
    weft__spin_unlock(lock);
}
