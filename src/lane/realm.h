/* What the lane layer keeps per runtime and per worker. */
#ifndef WEFT_LANE_REALM_H
#define WEFT_LANE_REALM_H

#include "lane/kind.h"
#include "lane/lane.h"
#include "lane/memory.h"
#include "lane/mail.h"
#include "lane/tie.h"

/* What somebody asks of a lane that is at home elsewhere (usage.c); from a pool. */
typedef struct weft__inquiry {
    weft__slab_head head;      /* its message goes to the lane's home */
    weft_runtime *rt;
    weft__lane *lane;
    weft_id id, asker;         /* the lane's; the fiber's */
    uint32_t refs, answered;   /* atomic */
    int result;
    weft_limits used;
} weft__inquiry;

/* Per runtime (weft_runtime.lanes). */
typedef struct weft__lane_realm {
    weft__memory_realm memory;
    weft__slab lanes, resources, small, accounts, annexes, inquiries; /* small: of resources, too */
    weft__lane *root;
    uint32_t alive;            /* lanes that exist, the root included (atomic) */
    uint32_t stopping;         /* weft_stop was called (atomic) */
    uint32_t ended;            /* the root has ended (atomic) */
    weft_task stop_task;       /* carries weft_stop to the root's worker */
    weft__timer grace;         /* root's worker: then kill */
    uint32_t killing;          /* the grace is over */
    /* A program in which nothing could run any more: it ends, and says so by its status (atomic). */
    uint32_t stuck;
    int root_result;
    weft__spin wait_lock;
    weft__link waiters;        /* threads in weft_wait; guarded by wait_lock */
    uint32_t listeners;        /* of them, and weft_fini (atomic) */
    weft_id fini_fiber;        /* who is in weft_fini */
    weft__worker *home;        /* the root's (atomic) */
    weft_task home_task;       /* gives the root its home in a background runtime */
    weft__stack *side_stack;   /* weft_init: what worker 0's loop stands on */
    weft__worker *once;        /* weft_run_once: the thread that calls it */
    int dozing;                /* between two of its calls */
    struct {                   /* weft_signal_wait */
        uint64_t pending;      /* arrived and not taken, by number - 1 (atomic) */
        uint32_t busy, queued; /* a fiber is in the call; the message is on its way (atomic) */
        weft__worker *home;    /* of the last waiter (atomic) */
        weft_task message;
        weft__spin lock;       /* guards the next two */
        weft__fiber *waiter;
        uint64_t mask;
    } signals;
    uint32_t stop_seen;        /* the stop is on its way to it (atomic) */
    weft__mail_realm mail;
    weft__tie_realm ties;
} weft__lane_realm;

/* Per worker (weft__fibers.lanes). */
typedef struct weft__lane_pools {
    weft__memory_pools memory;
    weft__slab_cache lanes, resources, small, accounts, annexes, inquiries;
    weft__mail_pools mail;
    weft__tie_pools ties;
    weft__link roaming;        /* lanes at home here that may move */
} weft__lane_pools;

static inline weft__lane_realm *weft__lanes_of(weft_runtime *rt) { return rt->lanes; }
static inline weft__lane_pools *weft__lane_pools_of(weft__worker *w) { return weft__fibers_of(w)->lanes; }

/* As weft__fibers_here. */
static inline weft__lane_pools *weft__lane_pools_here(const weft_runtime *rt)
{
    weft__fibers *here = weft__fibers_here(rt);
    return here ? here->lanes : NULL;
}
/* Where a kind of resource has its records; the worker's share of them. */
static inline weft__slab *weft__resource_slab(weft_runtime *rt, unsigned kind)
{
    return weft__kind_small(kind) ? &weft__lanes_of(rt)->small : &weft__lanes_of(rt)->resources;
}
static inline weft__slab_cache *weft__resource_cache(weft__worker *w, unsigned kind)
{
    return weft__kind_small(kind) ? &weft__lane_pools_of(w)->small : &weft__lane_pools_of(w)->resources;
}

/* realm.c: opens a whole runtime, root lane included but not started; host_places as in weft__runtime_open. */
int weft__realm_open(weft_runtime **out, const weft_options *opt, unsigned host_places);
void weft__realm_close(weft_runtime *rt);
/* Wakes everybody in weft_wait: something about the number of lanes has changed. Any thread. */
void weft__realm_announce(weft_runtime *rt);
/* Waits until all lanes but the root (or, with `root`, the root too) have ended: 0 or -ETIMEDOUT. A foreign thread. */
int weft__realm_wait(weft_runtime *rt, int root, int64_t deadline);

void weft__realm_root_ended(weft_runtime *rt);
/* Gives the root its home. held: it has no fiber and ends by weft_stop only. On w's thread. */
void weft__realm_root_home(weft_runtime *rt, weft__worker *w, int held);
void weft__lane_fill(weft__lane *lane, weft_runtime *rt, weft__lane *parent, const weft_lane_options *opt, const char *name,
                     const char *site);

/* stuck.c: weft__sched_hooks */
int weft__realm_forlorn(weft_runtime *rt);
void weft__realm_inquire(weft_runtime *rt, char *buf, size_t size);
void weft__realm_stuck(weft_runtime *rt, const char *report);

/* lane.c, for realm.c and resource.c */
void weft__lane_message(weft_task *t);
void weft__lane_emptied(weft__crew *crew);
void weft__lane_fiber_ended(weft__crew *crew, weft__fiber *f);
/* contain.c */
void weft__lane_overflowed(weft__crew *crew);
/* Results that nobody asked for: said if they are failures, then forgotten, `budget` of them: 1 when none is left.
 * All its fibers have ended. Home. */
int weft__lane_forget_results(weft__lane *lane, unsigned budget);
/* Closes all its resources, some a turn; `closing` says how many closes are still under way. Home;
 * the lane may be gone afterwards. */
void weft__lane_close_all(weft__lane *lane);
/* Goes on with it. */
void weft__lane_close_some(weft__lane *lane);
/* Nobody will join its children any more: those that have ended are struck off, some a turn,
 * the others will be as they end. Home. */
void weft__lane_disown(weft__lane *lane);
/* One thing less to wait for before an empty lane has ended: a resource closed. Home. */
void weft__lane_settle(weft__lane *lane);
/* Its last child has ended, and itself does not count any more. Home. */
void weft__lane_childless(weft__lane *lane);
void weft__lane_childless_task(weft_task *t);
void weft__lane_bury_task(weft_task *t);
/* Everything that a lane has beside resources, at once: for the root of a runtime that closes. */
void weft__lane_bury_now(weft__lane *lane);
void weft__lane_finish(weft__lane *lane);
/* A killed lane whose fibers have not ended within the grace is to say why. Home. */
void weft__lane_watch_death(weft__lane *lane);
int weft__lane_doomed(const weft__crew *crew);
/* children.c: enters a child into its parent's books: 0, or -ESHUTDOWN if it takes no more. Any thread. */
int weft__lane_join_family(weft__lane *parent, weft__lane *child);
/* children.c: nobody will hear of a watched child's end. A killed lane's clean-ups find its children over;
 * of one that was not killed nobody is left who could ask. Home. */
void weft__lane_forgo(weft__lane *lane, weft__lane *child);
/* children.c: what is left of its chores is done in other turns. Home. */
void weft__lane_later(weft__lane *lane);
/* Sets flags in the lane's word and sees that its home acts upon them.
 * Any thread that knows the record to be the lane's. */
void weft__lane_signal_record(weft__lane *lane, uint32_t flags);
/* Takes a reference, unless the last one is gone: then the news of it is on its way to its home,
 * and is to come once. */
int weft__lane_hold(weft__lane *lane);
/* Cancel or kill, passed on to all child lanes, some a turn. Home. */
void weft__lane_tell_children(weft__lane *lane, uint32_t flags);
/* How many there are, ended ones included that nobody has joined. Home. */
uint32_t weft__lane_count_children(weft__lane *lane);
/* A supervised child has ended: who waits in weft__lane_next_end gets it. On the parent's home. */
void weft__lane_push_end(weft__lane *parent, weft__lane *child);
/* A time so far from now. */
static inline int64_t weft__after(const weft_runtime *rt, int64_t ns)
{
    int64_t now = weft__clock(rt);
    return ns > WEFT_NEVER - 1 - now ? WEFT_NEVER - 1 : now + ns;
}
/* A child of the calling fiber's lane; with `joinable` one that has not been joined or detached. 0;
 * -EPERM no fiber, or not a child; -ESRCH. */
int weft__lane_find_child(weft_id id, int joinable, weft__lane **self, weft__lane **out);
/* The same, and keeps it from ending until weft__lane_release. -ESRCH also if it is being killed. */
int weft__lane_hold_child(weft_id id, weft__lane **out);
void weft__lane_release(weft__lane *lane);
/* A newborn of a lane that is not its maker's hears what that lane's children were told before. Not started yet. */
void weft__lane_catch_up(weft__lane *newborn);
/* Acts on cancel and kill: on all fibers and child lanes. Home; the lane may be gone afterwards. */
void weft__lane_apply(weft__lane *lane, uint32_t flags);
/* The part of it that concerns the lane alone. */
void weft__lane_heed(weft__lane *lane, uint32_t flags);
/* An ended child will be asked by nobody: a failure of it becomes the parent's, which is cancelled.
 * On the parent's home. */
void weft__lane_pass_failure(weft__lane *child);
/* move.c: whether lanes of this runtime can move at all. */
int weft__lanes_move(const weft_runtime *rt);
/* The lane is at home on this worker, and may move; or does so no more. Home. */
void weft__lane_roams(weft__lane *lane, int on);
/* See weft__sched_hooks.balance. */
void weft__lanes_balance(weft__worker *w);
/* One lane, or descriptor that others share, less at home on this worker. Any thread. */
void weft__worker_unload(weft__worker *home);

#endif
