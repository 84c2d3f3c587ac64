/* The fiber's inside. A fiber is touched by its home worker only: what other threads want of it travels as flags in its
 * record's word plus one message to that worker (weft__fiber_signal), so nothing here but `word` needs an atomic. */
#ifndef WEFT_FIBER_FIBER_H
#define WEFT_FIBER_FIBER_H

#include <errno.h>
#include <weft/fiber.h>
#include <weft/id.h>

#include "base/check.h"
#include "base/near.h"
#include "fiber/account.h"
#include "fiber/stack.h"
#include "fiber/stake.h"
#include "sched/sched.h"

/* Kinds of ids, the low bits of ns; the rest is the runtime's tag, so that another
 * runtime's id is never mistaken for ours. */
enum weft__kind {
    WEFT__FIBER = WEFT_ID_FIBER, WEFT__LANE = WEFT_ID_LANE, WEFT__SOCKET = WEFT_ID_SOCKET, WEFT__LISTENER = WEFT_ID_LISTENER,
    WEFT__FILE = WEFT_ID_FILE, WEFT__DIR = WEFT_ID_DIR, WEFT__TIMER = WEFT_ID_TIMER, WEFT__BLOCK = WEFT_ID_BLOCK,
    WEFT__SLICE = WEFT_ID_SLICE, WEFT__ROPE = WEFT_ID_ROPE, WEFT__ALIAS = WEFT_ID_ALIAS, WEFT__MONITOR = WEFT_ID_MONITOR,
    WEFT__KINDS = WEFT_ID_MONITOR + 1
};
#define WEFT__KIND_BITS 6
#define WEFT__NS(rt, kind) ((uint16_t)((uint16_t)((rt)->tag << WEFT__KIND_BITS) | (uint16_t)(kind)))
#define WEFT__NS_KIND(ns) ((ns) & ((1u << WEFT__KIND_BITS) - 1))
/* Whether it is an id of this runtime, of whatever kind, stale or not. */
static inline int weft__id_is_ours(const weft_runtime *rt, weft_id id)
{
    unsigned kind = (unsigned)(id.ns ^ WEFT__NS(rt, 0));
    return id.gen && kind && kind < WEFT__KINDS;
}
/* What a call answers to an id that is not of its kind, in one place for all of them (DESIGN rule 6): another kind
 * of this runtime's is -EINVAL, stale or not; what is no id of this runtime is as good as one whose object is
 * gone. Addresses; then resources. */
static inline int weft__id_refused(const weft_runtime *rt, weft_id id) { return weft__id_is_ours(rt, id) ? -EINVAL : -ESRCH; }
static inline int weft__id_rejected(const weft_runtime *rt, weft_id id) { return weft__id_is_ours(rt, id) ? -EINVAL : -EBADF; }

/* Flags in a fiber's or lane's word, set by any thread. */
enum { WEFT__SIG_PENDING = 1, WEFT__SIG_UNPARK = 2, WEFT__SIG_CANCEL = 4, WEFT__SIG_KILL = 8, WEFT__SIG_BORN = 16, WEFT__SIG_GONE = 32, WEFT__SIG_NUDGE = 64 };

enum { WEFT__SIG_FAMILY = 128 }; /* beside cancel and kill of a lane: an ancestor wants it */
enum { WEFT__SIG_LINK = 256 };   /* beside cancel: a linked lane has failed */
enum { WEFT__SIG_EVICT = 512 };  /* of a lane: it holds a lock in the memory of one that is dying */

typedef struct weft__fiber weft__fiber;
typedef struct weft__await weft__await;

typedef struct weft__held weft__held;

/* What a fiber needs of its lane; part of the lane's record. Home: the lane's worker. */
typedef struct weft__crew {
    weft__worker *home;      /* other threads read it by weft__home_of (atomic) */

    /* What each call of a fiber looks at: half a cache line. */
    weft__account *account;  /* NULL: no limits anywhere */
    weft__held *locks;       /* that its fibers hold */
    weft_id id;
    uint32_t alive;          /* fibers that have not ended */
    uint8_t killed;
    uint8_t seen;            /* its id was given out */
    uint8_t mobile;          /* it may move to another worker; set before its start, and read by any */
    uint8_t cancelled : 1;
    uint8_t prepaid : 1;     /* its first fiber is charged already */
    /* A fiber that overflows its stack ends the lane, where that is safe; set before its start. */
    uint8_t containable : 1;
    uint8_t joinable : 1;    /* another lane may wait for its end; set before its start */

    weft__stack *graves;     /* stacks of fibers that were killed */
    weft__link fibers;       /* all of them, newborn ones and ended unjoined ones included */
    const char *name, *site;
} weft__crew;

/* What the fiber layer tells the lane layer. */
typedef struct weft__crew_hooks {
    /* The last fiber alive has ended; the crew may be gone when this returns. Runs on the worker's own context. */
    void (*emptied)(weft__crew *crew);
    /* A fiber has ended with this result (its record is still there). */
    void (*ended)(weft__crew *crew, weft__fiber *f);
    /* Whether a kill is waiting for the crew; in a signal handler on its worker. */
    int (*doomed)(const weft__crew *crew);
    /* A fiber of it has overflowed its stack, and is about to end: so does the crew. On the worker's own context. */
    void (*overflowed)(weft__crew *crew);
    /* Checked builds: it has returned and done all that it had to, and what it stands
     * on is about to be somebody else's. */
    void (*left)(weft__fiber *f);
} weft__crew_hooks;

/* What a fiber waits for. From NUDGE on: it looks again when it is nudged;
 * with OBJECT, `waits_on` begins with a weft__wait_on. */
enum weft__wait {
    WEFT__WAIT_NONE, WEFT__WAIT_OP, WEFT__WAIT_READY, WEFT__WAIT_PARK, WEFT__WAIT_SLEEP, WEFT__WAIT_JOIN, WEFT__WAIT_OTHER, WEFT__WAIT_CHILD, WEFT__WAIT_ENDS,
    WEFT__WAIT_MAIL, WEFT__WAIT_ANSWER, WEFT__WAIT_MAILBOX, WEFT__WAIT_TIMER, WEFT__WAIT_STREAM, WEFT__WAIT_ACCEPT, WEFT__WAIT_SIGNAL,
    WEFT__WAIT_NUDGE, WEFT__WAIT_OBJECT
};
typedef struct weft__wait_on {
    /* Says what for, as weft__format; for reports, while nothing of its runtime runs. */
    size_t (*say)(const struct weft__wait_on *on, char *buf, size_t size);
} weft__wait_on;
enum { WEFT__ORPHAN = 2 }; /* in `detached`: over, but a message still carries the record */
enum weft__fiber_state { WEFT__NEWBORN, WEFT__RUNNING, WEFT__READY, WEFT__WAITING, WEFT__DEAD, WEFT__ENDED };
/* Running deferred clean-ups: undisturbed, or with the grace over. */
enum weft__cleaning { WEFT__CLEANING_NOT, WEFT__CLEANING, WEFT__CLEANING_LATE };
#define WEFT__LAST_STACK ((size_t)32 << 10)

typedef struct weft__scope {
    struct weft__scope *parent;
    weft__fiber *fiber;
    weft__timer timer;
    uint8_t cancelled, expired, shield, spent;
} weft__scope;

enum weft__orphan { WEFT__ORPHAN_LATER, WEFT__ORPHAN_NOW, WEFT__ORPHAN_EVICTED };

/* A lock that a fiber holds: in its crew's list while it does. Home of the crew. */
struct weft__held {
    weft__held *next, **from;
    weft__fiber *holder; /* NULL: it has died, and the lock waits for its place in the order of the lane's death */
    /* The holder has ended without giving it back. LATER: it was killed; it is nobody's from now on, and
     * stays in the list, unless this answers 1 because there is no reason to wait. NOW: it is out of the
     * list, and goes to whoever waits. Or it has not ended, and the lock does, with the memory that it lies
     * in. EVICTED: it is out of the list. */
    int (*orphaned)(weft__held *h, enum weft__orphan when);
    weft__stake stake;   /* where it lies in the memory of a lane that may die before the holder's */
};

#define WEFT__COPY_MAX WEFT_COPY_MAX

/* Who is told, once, that a fiber is over: it has ended, never ran, or was killed; then before any clean-up of its lane
 * runs. f->result says how. Home. */
typedef struct weft__watch {
    void (*over)(struct weft__watch *watch, weft__fiber *f);
} weft__watch;

/* What a newborn lane brings along, and what is copied into a newborn fiber, that its own record has no room for;
 * nobody needs it once the fiber has run, and it goes back to a pool of its own. A lane's copy is its first fiber's;
 * so what is copied in is copied once. */
typedef struct weft__newborn {
    weft__slab_head head;
    int (*fn)(void *arg);
    void *arg;
    size_t stack_size;
    size_t copied;             /* bytes of copy in use */
    _Alignas(16) unsigned char copy[WEFT__COPY_MAX];
} weft__newborn;

/* Fiber-local values, for fibers that have any; from a pool. */
typedef struct weft__locals {
    weft__slab_head head;
    void *value[WEFT_LOCALS];
} weft__locals;

struct weft__fiber {
    weft__slab_head head;      /* its message carries the flags of its word to the home worker */
    weft__stack *stack;

    /* Running and waiting: what every switch and every wait touches, up to the timer's deadline. 96 bytes from a
     * multiple of 32 on: two cache lines, wherever in the slab. */
    weft_task resume;
    weft__context context;
    weft__worker *home;        /* the crew's; any thread may read it (atomic) */
    weft__crew *crew;
    uint8_t state, waiting;    /* enum weft__fiber_state, enum weft__wait */
    uint8_t killed;            /* asked of this fiber alone, or of its lane */
    uint8_t detached;          /* nobody joins it */
    uint8_t seen;              /* its id was given out */
    uint8_t timed_out;         /* the op it waits for was cancelled by its deadline */
    uint8_t mobile;            /* the crew's; read where a message finds that it has gone */
    uint8_t cancelled : 1;     /* asked of this fiber alone */
    uint8_t token : 1;         /* an unpark that came before its park */
    uint8_t foreign_stack : 1; /* caller's memory or a thread's own stack */
    uint8_t ran : 1;           /* its function was called */
    uint8_t risen : 1;         /* it was dead, and runs its clean-ups on another stack */
    uint8_t cleaning : 2;      /* enum weft__cleaning */
    union {
        int wake;              /* what the wait that just ended answers, */
        int result;            /* and once it is over, how it ended */
    };
    uint32_t locks;            /* how many of its crew's held locks are its own */
    union {
        int64_t deadline;      /* of the current wait; */
        size_t stack_size;     /* of a newborn: what it asks for */
    };
    /* Takes the fiber out of the queue it waits in; called when its wait ends in any way but by that
     * queue. NULL: in none. After a nudge it stays set until the fiber runs and clears it; it is called
     * then, too, if the fiber is killed before. */
    void (*unwait)(weft__fiber *f);
    void *waits_on;
    weft__scope *scopes;
    union {
        /* Lazy: left armed when a wait ends early, looked at again when it fires;
         * its deadline is WEFT_NEVER while it is not; */
        weft__timer timer;
        struct {               /* of a newborn: what it will run */
            int (*fn)(void *arg);
            void *arg;
            weft__link births; /* in its worker's list */
        };
    };
    union {
        weft__await *await;    /* the ops it waits for; */
        void *stack_lo;        /* of a newborn: memory for its stack, or NULL */
    };

    /* Its end, and what it holds. */
    struct weft__defer *defers; /* clean-ups, newest first */
    struct weft__edge *edge;   /* what it waits for that somebody must give back; guarded by the realm's graph lock */
    union {                    /* NULL: nobody */
        weft__fiber *joiner;   /* who waits for its end, unless it is detached; */
        weft__watch *watch;    /* who is told of it, if it is, and has not been told */
    };
    weft__link siblings;       /* in crew->fibers */

    const char *name, *site;
    union {
        weft__newborn *newborn; /* until its first run: what was copied in, or NULL; */
        weft__locals *locals;   /* then; NULL: none yet */
    };
};

/* The bar is 512 bytes for a parked lane with one fiber: see lane.h for the rest. */
_Static_assert(WEFT__SWITCH_ANNOTATED || sizeof(void *) != 8 || sizeof(weft__fiber) <= 224, "a fiber's record has grown");

/* One op being waited for, on the waiter's stack. The frame unwinds only after the terminal completion and, where the
 * cancel travels to another thread, after that request has come back. */
struct weft__await {
    weft_op *op;
    weft__fiber *fiber;
    uint32_t count, left;   /* ops, and of them those that have not ended */
    uint32_t asked;         /* how many of them were asked to end */
    uint8_t finished, outstanding;
    weft_op *const *chain;  /* NULL: `op` alone */
    weft__account *account; /* that the op is charged to */
    weft__cancel_request request;
    struct weft__race *race; /* NULL: all of the above; else what this is the head of */
};

/* One of several ops that a fiber waits for at once: race.c. */
typedef struct weft__racer {
    weft_op op;
    struct weft__race *race;
    weft_port *port;
    weft__cancel_request request;
    uint8_t here;              /* the port is this worker's own */
    uint8_t started, finished; /* finished: op.result is what it came to */
    uint8_t asked, requested;  /* it was asked to end; the request has not come back */
} weft__racer;

typedef struct weft__race {
    weft__await await;
    weft__racer *racers;
    unsigned count;
} weft__race;

/* Per worker (weft__worker.fibers). */
typedef struct weft__fibers {
    weft__worker *worker;
    weft__slab_cache cache, newborn, locals, defers;
    weft__stack_pool stacks;
    weft__stack *last_stack;   /* for clean-ups when no other is to be had; NULL while it is not in use */
    void *last_memory;
    weft__link newborns;       /* newest first */
    weft_task births;          /* queued while there are newborns */
    uint8_t births_queued;
    unsigned idles;            /* since stacks were last looked at */
    unsigned turns;            /* newborns started since the oldest had its turn */
    weft__reserve reserve;     /* of the fiber that runs now */
    void *lanes;               /* the lane layer's part */
} weft__fibers;

#define WEFT__CODE_RANGES 32

/* Per runtime (weft_runtime.fibers). */
typedef struct weft__fiber_realm {
    weft__slab slab, newborns, locals, defers;
    weft__stack_depot depot;
    weft__crew_hooks hooks;
    weft__account account;     /* the runtime's own limits */
    uint8_t limited;           /* there are some */
    weft__spin graph;          /* guards the edges of its fibers (graph.h) */
    uint8_t watched;           /* faults are */
    weft__spin code_lock;      /* who registers containable code */
    uint32_t code_count;       /* ranges that are complete (atomic) */
    struct {
        uintptr_t from, to;
    } code[WEFT__CODE_RANGES];
} weft__fiber_realm;

/* ---- homes, of fibers and crews that may move (docs/design/mobile.md) ----
 * While a crew is on its way from one worker to another, `home` says where to with its lowest bit set. So it is no
 * worker's home then, and nobody touches it; what is sent to where it goes comes after it. */
static inline weft__worker *weft__bound_for(weft__worker *w) { return (weft__worker *)((uintptr_t)w | 1); }
static inline weft__worker *weft__whither(weft__worker *home) { return (weft__worker *)((uintptr_t)home & ~(uintptr_t)1); }
/* Where messages about it go. Any thread. Pairs with the release of who sends it off. */
static inline weft__worker *weft__home_of(weft__worker *const *home) { return weft__whither(weft__load_acquire(home, "home.of")); }
/* Is it at home on the calling worker? Then it stays, as long as that one does nothing else. */
static inline int weft__is_here(weft__worker *const *home) { return weft__load_acquire(home, "home.here") == weft__worker_self(); }
/* A message has come to the calling worker: 0, what it is about is at home here; 1, it was sent on. */
static inline int weft__sent_on(weft__worker *const *home, weft_task *t)
{
    weft__worker *at = weft__load_acquire(home, "home.follow");
    if (at == weft__worker_self())
        return 0;
    weft__worker_send(weft__whither(at), t);
    return 1;
}

static inline weft__fibers *weft__fibers_of(weft__worker *w) { return w->fibers; }

/* The calling worker's, if it is one of that runtime's; else NULL: what workers pool
 * is the depots' to give and take. */
static inline weft__fibers *weft__fibers_here(const weft_runtime *rt)
{
    weft__worker *w = weft__worker_self();
    return w && w->rt == rt ? weft__fibers_of(w) : NULL;
}

/* The calling fiber, or NULL. */
static inline weft__fiber *weft__fiber_self(void)
{
    weft__worker *w = weft__worker_self();
    return w ? w->running : NULL;
}

/* The account of whatever has no limits of its own, or NULL. */
static inline weft__account *weft__runtime_account(weft_runtime *rt)
{
    weft__fiber_realm *realm = rt->fibers;
    return realm->limited ? &realm->account : NULL;
}

/* ---- realm.c: set-up ---- */
int weft__fibers_open(weft_runtime *rt, const weft__crew_hooks *hooks);
void weft__fibers_close(weft_runtime *rt);
int weft__fibers_enter(weft__worker *w);
void weft__fibers_leave(weft__worker *w);
void weft__fibers_idle(weft__worker *w);
/* What this layer knows of the figures. Any thread. */
void weft__fibers_stats(weft_runtime *rt, weft_stats *out);
size_t weft__fibers_describe(weft__worker *w, const void *machine, char *buf, size_t size);
/* Where an interrupted fiber (or, with NULL, its worker) is: only frame pointers are followed,
 * and only within its stack. */
void weft__trace_interrupted(weft__fiber *f, const void *machine, weft_trace *out);

/* ---- fiber.c: birth, running, end ---- */
void weft__crew_init(weft__crew *crew, weft__worker *home);
/* What a newborn of this runtime will run, without a stack so far, or NULL: no memory. Any thread. */
weft__newborn *weft__newborn_make(weft_runtime *rt, int (*fn)(void *), void *arg, size_t copy);
void weft__newborn_free(weft_runtime *rt, weft__newborn *b);
/* A newborn of the crew, on its home worker. 0 or -EAGAIN, -ENOMEM. Start it with weft__fiber_queue. */
int weft__fiber_make(weft__crew *crew, int (*fn)(void *), void *arg, size_t copy, const weft_spawn_options *opt, const char *name,
                     const char *site, weft__fiber **out);
/* The same of what is there already, which is taken over; on failure it stays the caller's. */
int weft__fiber_make_of(weft__crew *crew, weft__newborn *b, const weft_spawn_options *opt, const char *name, const char *site,
                        weft__fiber **out);
/* The newborn of a running fiber, queued. As weft_spawn. */
int weft__fiber_spawn(weft__fiber *self, int (*fn)(void *), void *arg, const weft_spawn_options *opt, const char *name, const char *site,
                      weft__fiber **out);
/* Tells its watch, if it has one, that it is over. */
static inline void weft__fiber_over(weft__fiber *f)
{
    weft__watch *watch = f->detached ? f->watch : NULL;
    if (!watch)
        return;
    f->watch = NULL;
    watch->over(watch, f);
}
/* Puts a newborn where its worker finds it. */
void weft__fiber_queue(weft__fiber *f);
/* Everything of a crew that its home has in its hands: out of there; and into another one's. Home, on its own context;
 * the second sets the home. */
void weft__crew_leave(weft__crew *crew);
void weft__crew_settle(weft__crew *crew, weft__worker *w);
/* Tells all that its fibers are on their way to w. */
void weft__crew_redirect(weft__crew *crew, weft__worker *w);
/* Runs a newborn right away; only from the worker's own context (a lane's first task). */
void weft__fiber_begin(weft__worker *w, weft__fiber *f);
/* Makes the calling thread's own stack the running fiber f of w, whose scheduler then runs on another stack. */
void weft__fiber_adopt(weft__worker *w, weft__fiber *f);
/* Everything that ends with a fiber except its stack, and its crew's end if it was the last.
 * The record may be gone afterwards. */
void weft__fiber_finish(weft__fiber *f);
/* The next dead fiber rises to run its clean-ups: 1; 0: there is none; -EAGAIN: no stack now, ask again in a later
 * tick. late: the grace is over, what suspends is stopped. `emptied` is called when it is through. */
int weft__fibers_clean(weft__crew *crew, int late);
/* The grace is over: ends the clean-ups that are under way. */
void weft__fibers_hasten(weft__crew *crew);
/* Gives back the stacks of killed fibers, `budget` of them: 1 when none is left. */
int weft__fibers_bury(weft__crew *crew, unsigned budget);
_Noreturn void weft__left_inside_scope(const weft__fiber *f);
/* Frees the record of one that has ended. */
void weft__fiber_free(weft__fiber *f);
static inline weft_id weft__fiber_id(weft__fiber *f)
{
    f->seen = 1;
    uint32_t word = weft__load_relaxed(&f->head.word, "fiber.id");
    return (weft_id){f->head.key, WEFT__NS(f->crew->home->rt, WEFT__FIBER), WEFT__GEN(word)};
}
/* The fiber an id names if it is at home on w: 0, -ESRCH stale or no fiber's, -EPERM at home elsewhere. */
static inline int weft__fiber_find(weft__worker *w, weft_id id, weft__fiber **out)
{
    weft__fiber_realm *realm = w->rt->fibers;
    if (id.ns != WEFT__NS(w->rt, WEFT__FIBER))
        return weft__id_refused(w->rt, id);
    weft__fiber *f = weft__slab_at(&realm->slab, id.key);
    if (!f || !weft__slab_is(weft__load_acquire(&f->head.word, "fiber.find"), id.gen))
        return -ESRCH;
    if (weft__load_relaxed(&f->home, "fiber.find") != w)
        return -EPERM;
    *out = f;
    return f->seen ? 0 : -ESRCH;
}
void weft__births(weft_task *t);
void weft__fiber_resume(weft_task *t);
void weft__fiber_timer(weft__timer *t);

/* The next task of this tick is that f goes on: its context. */
static inline weft__context *weft__fiber_go(weft__worker *w, weft__fiber *f)
{
    weft__worker_spend(w);
    weft__count(&w->stats.switches, 1);
    f->state = WEFT__RUNNING;
    w->running = f;
    return &f->context;
}
/* Takes the next fiber to run from the head of the private FIFO, a newborn included, and makes it the
 * running one: its context. Where the head is something else, the tick is over, or it is the turn of what
 * may move: the worker's own context. */
weft__context *weft__fiber_turn(weft__worker *w);
/* The fiber that a task of the FIFO resumes; NULL: the task does something else, or there is none. */
static inline weft__fiber *weft__fiber_in(weft_task *t)
{
    return t && t->run == weft__fiber_resume ? weft__container(t, weft__fiber, resume) : NULL;
}
/* Who comes after the one that runs next: its lane and what it restores first are on their way by the time that it
 * is its turn, and of the one behind it the line by which that is known. With more fibers than the caches hold, a
 * switch would be a wait for these. */
enum { WEFT__RESTORED = 2 }; /* cache lines of a stack that a switch reads */
WEFT__HINT void weft__fiber_foresee(weft_task *t)
{
    const weft__fiber *f = weft__fiber_in(t);
    if (!f)
        return;
    weft__near(f->context.sp, WEFT__RESTORED);
    weft__near(&f->crew->id, 1);
    weft__near(t->next, 2);
}
/* Who runs next returns to the frames of the call that it waited in, beyond what a switch reads: they come while this
 * one works, which was woken from a wait itself. */
WEFT__HINT void weft__fiber_near_frames(const weft__worker *w)
{
    enum { FRAMES = 7 }; /* cache lines */
    const weft__fiber *next = weft__fiber_in(w->ready.head);
    if (next)
        weft__near((const char *)next->context.sp + (size_t)WEFT__RESTORED * WEFT_CACHE_LINE, FRAMES);
}

/* The same. Nearly always the head is a fiber, and there is nothing else to look at: that much is not worth a call. */
static inline weft__context *weft__fiber_next(weft__worker *w)
{
    weft_task *t = w->ready.head;
    if (!t || t->run != weft__fiber_resume || w->budget <= w->pause)
        return weft__fiber_turn(w);
    weft__fiber *f = weft__container(t, weft__fiber, resume);
    if (f->killed)
        return &w->context;
    w->ready.head = t->next;
    weft__fiber_foresee(t->next);
    return weft__fiber_go(w, f);
}

/* ---- wait.c: the one place where fibers wait ---- */
/* Gives up the processor. Who calls has arranged to be made ready. 0. */
int weft__suspend(weft__worker *w, weft__fiber *f);
/* weft_yield without its look at the stack, for calls that have looked. 0. */
int weft__yield(weft__fiber *f);
/* The end of a call of f that had nothing to wait for, but not for ever at the others' cost:
 * a task of this tick is spent, or it is their turn. */
static inline void weft__fiber_spend(weft__fiber *f)
{
    weft__worker *w = f->home;
    if (w->budget > 0)
        weft__worker_spend(w);
    else
        weft__yield(f);
}
/* The same where that call read or wrote without an op. */
static inline void weft__fiber_transferred(weft__fiber *f)
{
    weft__count(&f->home->stats.transfers, 1);
    weft__fiber_spend(f);
}
/* Waits for a wake: what it was called with, -ETIMEDOUT, or -ECANCELED. Checks neither at entry. */
int weft__wait(weft__fiber *f, enum weft__wait kind, int64_t deadline);
/* Sets the deadline of the wait that begins, arming the lazy timer if need be:
 * _arm, where there is one and it has to be moved. */
void weft__expect_arm(weft__fiber *f, int64_t deadline);
static inline void weft__expect_by(weft__fiber *f, int64_t deadline)
{
    f->deadline = deadline;
    /* Else what is armed fires before, and looks again; or there is nothing to wait for. */
    if (f->timer.deadline_ns > deadline)
        weft__expect_arm(f, deadline);
}
/* Disarms the lazy timer. Home. */
static inline void weft__expect_nothing(weft__fiber *f)
{
    weft__timer_cancel(f->home, &f->timer);
    f->timer.deadline_ns = WEFT_NEVER;
}
/* Ends a wait, if there is one: the fiber runs on with this answer. Home. */
void weft__wake(weft__fiber *f, int answer);
/* weft__wait in the caller's own frame. Each return after a switch is predicted wrongly, for the processor remembers
 * the calls of the fiber before: two frames less are 10 to 15 ns less on a path that is all switching. */
static inline int weft__wait_here(weft__fiber *f, enum weft__wait kind, int64_t deadline)
{
    f->waiting = (uint8_t)kind;
    f->state = WEFT__WAITING;
    f->timed_out = 0;
    weft__expect_by(f, deadline);
    if (f->killed)
        weft__wake(f, -ECANCELED); /* a suspension point: it does not come back from here */
    weft__context *next = weft__fiber_next(f->home);
    if (next != &f->context)
        weft__switch(&f->context, next, NULL, NULL);
    return f->wake;
}
/* Ends a wait of the kind NUDGE with 0, leaving `unwait` set. Home. */
void weft__fiber_nudge(weft__fiber *f);
/* The same, and it may run before others that are ready: weft__worker_ready_ahead. */
void weft__fiber_nudge_ahead(weft__fiber *f);
/* What f joins has ended. If it waits for other things, too, it looks. Home. */
static inline void weft__wake_joiner(weft__fiber *f)
{
    if (f->waiting >= WEFT__WAIT_NUDGE)
        weft__fiber_nudge(f);
    else
        weft__wake(f, 0);
}
/* Is the fiber's present scope cancelled? */
int weft__canceled(const weft__fiber *f);
/* Is it certain at a glance that the fiber may begin something: not killed, not cancelled,
 * in no scope, under no limits? */
static inline int weft__fiber_free_to(const weft__fiber *f)
{
    return !(f->scopes || f->crew->account || f->killed || f->cancelled || f->crew->cancelled);
}
/* Answers a call that would have waited without waiting. A loop that takes no notice of such answers gives up the
 * processor once a tick all the same: others go on, and a kill finds it. */
int weft__refuse(weft__fiber *f, int answer);
/* Something about cancellation or killing has changed: end its wait if it must not go on. Home. */
void weft__interrupt(weft__fiber *f);
/* death.c: Kill: at its next suspension, or now if it is suspended. Home. */
void weft__fiber_kill(weft__fiber *f);
/* Any thread: sets flags on the fiber that the id names and sees that its home worker acts on them. 0 or -ESRCH. */
int weft__fiber_signal(weft_runtime *rt, weft_id id, uint32_t flags);
void weft__fiber_message(weft_task *t);
/* Leaves a token or ends its park. Home. */
void weft__fiber_unpark(weft__fiber *f);
/* Ends the scopes of the running fiber whose deadline has passed meanwhile. */
void weft__scopes_look(weft__fiber *f);
/* Disarms the scopes of a fiber that will not leave them itself. */
void weft__scopes_drop(weft__fiber *f);
/* ---- held.c: locks that fibers hold ---- */
static inline void weft__held_add(weft__held *h, weft__fiber *f)
{
    weft__crew *crew = f->crew;
    h->holder = f;
    h->next = crew->locks;
    h->from = &crew->locks;
    if (h->next)
        h->next->from = &h->next;
    crew->locks = h;
    f->locks++;
}

static inline void weft__held_remove(weft__held *h)
{
    if (h->next)
        h->next->from = h->from;
    *h->from = h->next;
    h->holder->locks--;
}

/* A fiber has ended with locks: if it was killed with its lane, they wait for weft__held_bury. Home. */
void weft__held_orphan(weft__fiber *f);
/* The crew is dead: whatever its fibers held passes on. Home. */
void weft__held_bury(weft__crew *crew);
/* Lets go of the locks whose stakes say so. Home. */
void weft__held_evict(weft__crew *crew);
/* ---- local.c ---- */
/* Its values, by their destructors; their record goes back. */
void weft__locals_destroy(weft__fiber *f);
/* The same without calling anything. */
void weft__locals_drop(weft__fiber *f);
/* Whether there is a value that has a destructor. */
int weft__locals_any(const weft__fiber *f);

/* ---- await.c: ops ---- */
/* Submits an op on the caller's port and waits for its terminal completion; returns its result, with -ETIMEDOUT where
 * the deadline ended it. -EPERM outside a fiber, -ECANCELED at entry (then the op was never started). */
int64_t weft__await_op(weft_op *op, int64_t deadline);
/* The answer of a call of the running fiber that has nothing to do:
 * 0 or -ECANCELED, and in a loop of such calls others get their turn. */
int weft__await_nothing(void);
/* The same at a port that may be another worker's; NULL: the caller's own. */
int64_t weft__await_op_at(weft_port *port, weft_op *op, int64_t deadline);
/* Its two halves, for who has to look again in between: the first may wait for room, and what the op is for may be gone
 * by then. 0, or what weft__await_op says at entry. After 0 follows either the second half or `withdraw`. */
int weft__await_enter(int64_t deadline);
int64_t weft__await_entered(weft_port *port, weft_op *op, int64_t deadline);
void weft__await_withdraw(void);
/* A chain (weft_op_then) of so many ops in their order, until all have ended: 0, and each op's result
 * says how; or what weft__await_op says at entry, and nothing was started. Cancelling and killing ask for
 * the end of all that have not ended. */
int weft__await_chain(weft_op *const *ops, unsigned count);
/* The same without the check at entry and deaf to cancellation: for closing and cleaning up. */
int64_t weft__await_op_shielded(weft_op *op);
/* Asks for the end of the op that f waits for. Home. */
void weft__await_cancel(weft__fiber *f);
/* ---- race.c: whichever of several ops ends first. They are POLL ops: there is nothing to lose in one that nobody
 * heeds any more. ---- */
/* The running fiber's; so many ops are charged to its lane already.
 * From here to `end` it may wait as a NUDGE and is nudged with each end. */
void weft__race_begin(weft__race *race, weft__fiber *f, weft__racer *racers, unsigned count);
/* Starts racer's op, which is filled in, at the given port; NULL: the worker's own.
 * It may have finished when this returns. */
void weft__race_start(weft__racer *r, weft_port *port);
/* Asks for the end of all, and waits for it whatever becomes of the fiber:
 * if it is killed meanwhile, its `unwait` is called first. */
void weft__race_end(weft__race *race);
void weft__race_ask(weft__race *race);
int weft__race_busy(const weft__race *race);
/* f is to die: 1 if it cannot yet, because ops of its race have not ended;
 * with the last of them it is made ready once more. */
int weft__race_detain(weft__fiber *f);

/* f was killed while it waited: a handle that its op brought has no caller any more and
 * is closed (DESIGN rule 3). Home. */
void weft__await_drop(weft__fiber *f);

#endif
