/* The scheduler's inside: workers, queues, the runtime they belong to. Layers above (fibers, lanes) hook in by the
 * functions in weft__sched_hooks and never the other way round.
 *
 * Fields are grouped by who may touch them. "Home" means: the worker's own thread. */
#ifndef WEFT_SCHED_SCHED_H
#define WEFT_SCHED_SCHED_H

#include <weft/runtime.h>

#include "arch/switch.h"
#include "base/list.h"
#include "base/spin.h"
#include "port/port.h"
#include "sched/deque.h"
#include "sched/slab.h"
#include "env/bind.h"
#include "env/current.h"
#include "sched/wheel.h"

#define WEFT__WORKERS_MAX 64 /* one bit each in the idle word */
#define WEFT__CROWD_UNKNOWN UINT32_MAX
#define WEFT__UNBROKEN (50 * WEFT_MICROSECOND) /* run by a worker before it gives way */
#define WEFT__LOOSE ((uint64_t)1 << 32) /* in `coming`: one that may be stolen; below it are all */
#define WEFT__RUNTIME_MAGIC 0x77656674u
#define WEFT__WORKER_MAGIC 0x776f726bu

typedef struct weft__worker weft__worker;

/* Whose thread a worker has: one that the runtime started; the one that is the runtime's from its start to its end
 * (weft_main, weft_init); one that comes and goes (weft_run, weft_run_once). */
enum weft__whose { WEFT__OURS, WEFT__MAIN, WEFT__GUEST };

/* What the layers above install before any worker starts. */
typedef struct weft__sched_hooks {
    /* On the worker's thread as it starts and ends. */
    int (*worker_enter)(weft__worker *w);
    void (*worker_leave)(weft__worker *w);
    /* The worker is about to sleep: time for what can wait. NULL: nothing. */
    void (*idle)(weft__worker *w);
    /* What the worker runs now, for the monitor; in a signal handler on that worker,
     * whose registers `machine` holds. */
    size_t (*describe)(weft__worker *w, const void *machine, char *buf, size_t size);
    /* Fills in the figures that the layers above keep. Any thread. */
    void (*stats)(weft_runtime *rt, weft_stats *out);
    /* A tick is over, and some lanes at home on w may move. NULL: none ever does. */
    void (*balance)(weft__worker *w);
    /* Somebody waits, and nothing from outside that the layers above know of can end that; while all workers sleep. */
    int (*forlorn)(weft_runtime *rt);
    /* Who waits for what, as text; while all workers sleep, and none wakes. */
    void (*inquire)(weft_runtime *rt, char *buf, size_t size);
    /* Nothing can run any more, and why. On a worker's own context; it may wake whom it likes. */
    void (*stuck)(weft_runtime *rt, const char *report);
} weft__sched_hooks;

/* What a started thread is told. */
typedef struct weft__seed {
    weft_runtime *rt;
    unsigned index;
} weft__seed;

struct weft__worker {
    uint32_t magic;
    unsigned index;
    weft_runtime *rt;
    weft_port *port;           /* its own, or in single-io mode the I/O worker's */
    int owns_port;
    int by_ring;               /* its own port's driver has ways of its own for reads and writes */
    int at_once;               /* its own port can do without ops */
    int retiring;              /* it leaves, or closes: nothing is to be sent to it any more (atomic) */
    int io_only;               /* single-io mode: the worker that runs nothing but the port */
    enum weft__whose host;     /* WEFT__OURS, 0: not a host's */
    uint32_t vacant;           /* whose thread has left: another may take its place (atomic) */
    uint8_t bound;             /* its thread runs on the processors of one cache only */
    uint8_t polled;            /* it sleeps in a foreign loop, too, which may wake anybody */
    uint8_t verdict;           /* home: nothing can run any more, as the report says (NULL: no memory for it) */
    char *report;
    weft_thread *thread;
    weft__context context;     /* where the worker itself runs */

    /* Home: what is to run. */
    weft__tasks ready;         /* private FIFO: pinned here */
    /* Tasks left in this tick: what the monitor watches, beside turn (atomic; home writes). */
    int budget;
    /* The budget with which it is the turn of the oldest and the shared queue; below 0: in a later tick. */
    int due;
    /* The budget with which there is more to look at than the FIFO: the turn, or the tick's end. */
    int pause;
    int fair;                  /* the budget with which the FIFO alone decides for the rest of the tick */
    uint64_t favour;           /* the number of the switch since which one has gone ahead of the FIFO */
    unsigned tick_tasks;       /* adaptive: how many tasks fit in tick_ns */
    int64_t task_cost_ns;      /* moving average, in 1/16 ns */
    int64_t now_ns;            /* read once a tick */
    int64_t looked_ns;         /* when it last looked at its port */
    int64_t unbroken_ns;       /* for how long it has run since it last gave way */
    int64_t way_since_ns;      /* since when it counts what giving way takes; later than now: not before that */
    int64_t way_taken_ns;      /* what it took since then */
    /* Turns that what the last look brought may still take: until then time alone is no reason for the next. */
    int64_t owed;
    weft__wheel wheel;
    void *fibers;              /* the fiber layer's */
    void *running;             /* the fiber layer's: what runs now */

    /* Home: stealing. */
    unsigned last_victim;
    unsigned random;
    unsigned step;             /* cached coprime of the number of victims */
    int searching;             /* counted in rt->searching */
    unsigned soon;             /* how many of its sleeps in a row a message ended soon */
    unsigned vain, late;       /* how often in a row it lingered in vain; for long */
    unsigned lingered;         /* how often it might have */
    uint32_t mobile;           /* lanes at home here that may move */
    int64_t crowded_ns;        /* since when more was ready here, at each look, than elsewhere; 0: it was not */
    unsigned char near[WEFT__WORKERS_MAX]; /* the others, nearest cache first */
    unsigned near_ends[3];     /* how many of them share the cache, the package, the machine */

    /* Home writes, anybody reads (relaxed): figures. */
    struct {
        uint64_t ticks, tasks, switches, steals, parks, wakes, timers_armed, timers_fired, ops, transfers;
        uint64_t fibers_spawned, fibers_ended, lanes_spawned, lanes_ended, blocked, stacks_taken, stacks_given;
        uint64_t lanes_stolen, lanes_placed, lanes_in, lanes_out;
        uint64_t close_failures[WEFT_ID_KINDS];
    } stats;
    uint32_t load;             /* lanes at home here (atomic) */
    /* Connections that are to be born here: 1 each, and WEFT__LOOSE if others may take it (atomic). */
    uint64_t coming;
    uint32_t crowd;            /* how much was ready at the last look; unknown where no lane may move (atomic) */
    uint64_t turn;             /* raised with each tick; odd while one runs: what the monitor watches (atomic) */
    uintptr_t tag;             /* env's name for the thread, for interrupts */
    uint64_t nap;              /* odd: it sleeps without a deadline and with nothing in flight (atomic; home writes) */

    /* Anybody. */
    _Alignas(WEFT_CACHE_LINE) void *inbox; /* workers without a port: tasks from other threads */
    uint32_t asleep;           /* such a worker is about to park, or parked */
    weft_parker parker;
    weft_port port_storage;
    weft__deque deque;         /* what may move */
};

struct weft_runtime {
    uint32_t magic;
    enum weft_mode mode;
    weft_env env_storage;
    const weft_env *env;
    weft_options opt;          /* with all defaults filled in */
    const weft_port_driver *driver;
    weft__pool *pool;          /* blocking */
    weft_topology topology;
    weft__sched_hooks hooks;
    void *fibers;              /* the fiber layer's */
    void *lanes;               /* the lane layer's */
    uint16_t tag;              /* tells this runtime's ids from another's */
    unsigned workers;          /* places, the I/O worker included */
    /* For tests (WEFT_SCATTER): every lane is mobile, and leaves in each tick with a
     * chance of one in so many; 0: not. */
    unsigned scatter;
    unsigned first_cpu_worker; /* 1 in single-io mode, else 0 */

    /* Anybody. */
    weft__worker *worker[WEFT__WORKERS_MAX]; /* written by each as it starts (release) */
    unsigned host_places;      /* workers that are the host's threads: the first CPU workers */
    uint32_t claimed;          /* of them, taken (atomic) */
    uint32_t hosts;            /* host threads inside (atomic) */
    uint32_t leaving;          /* weft_leave calls that no thread has answered yet (atomic) */
    uint32_t started;          /* threads of ours that came up or failed to (atomic) */
    uint32_t running;          /* of them, those with a worker (atomic) */
    uint32_t halted;           /* workers that have left their loops, and who halts them (atomic) */
    uint32_t left;             /* threads of ours that have ended (atomic) */
    uint32_t guests;           /* threads from outside inside weft__worker_send (atomic) */
    int32_t start_error;       /* first error of a worker's start (atomic) */
    uint32_t ended;            /* the root lane has ended: nothing more is taken (atomic) */
    uint32_t done;             /* workers are to end (atomic) */
    uint32_t threads_up;       /* threads of ours that were started (atomic) */
    weft_parker starter;       /* who waits for started and left */
    weft_thread *threads[WEFT__WORKERS_MAX];
    weft__seed seeds[WEFT__WORKERS_MAX];
    uint8_t watched;           /* somebody wants to know when nothing can run any more */
    uint32_t expected;         /* weft_guest_enter without a leave (atomic) */
    uint64_t told;             /* how many tasks had run, + 1, when that was told last; of who has the inquest */
    uint32_t inquest;          /* a worker looks who waits for what, and no other may run (atomic) */
    uint32_t place;            /* round robin for what comes from outside (atomic) */

    _Alignas(WEFT_CACHE_LINE) uint64_t idle; /* bit i: worker i sleeps and may be claimed */
    uint32_t searching;        /* 1 while a worker is awake without work, looking for some */

    _Alignas(WEFT_CACHE_LINE) weft__spin inject_lock;
    weft__tasks inject;        /* guarded by inject_lock */
    uint64_t injected;         /* its length (atomic, written under the lock) */

    struct {
        weft_thread *thread;
        weft_parker parker;
        uint32_t dormant;      /* nothing runs anywhere: the monitor sleeps without a limit (atomic) */
        uint32_t stop;
    } monitor;
};

/* The worker whose thread this is, or NULL. Asked anew each time (DESIGN rule 7): no compiler keeps the answer across a
 * switch. */
static inline weft__worker *weft__worker_self(void) { return weft__current(); }

/* ---- queueing ---- */
/* Home: onto the private FIFO. */
static inline void weft__worker_ready(weft__worker *w, weft_task *t) { weft__tasks_push(&w->ready, t); }
/* Home: ahead of the FIFO, where it may; else as above. For who takes what the running fiber brings, or makes room,
 * before others come for the same in vain. One for each switch, so those woken together keep their order; and in the
 * first half of a tick only, so nobody waits longer than that for it. */
static inline void weft__worker_ready_ahead(weft__worker *w, weft_task *t)
{
    if (w->budget <= w->fair || w->favour == w->stats.switches) {
        weft__worker_ready(w, t);
        return;
    }
    w->favour = w->stats.switches;
    weft__tasks_push_front(&w->ready, t);
}
/* Every so many picks the oldest movable task and the shared queue get a turn, also where fibers go straight from
 * one to the next for a whole tick. Picks are counted by the budget alone: it comes down to `pause` before anything
 * but the FIFO has to be looked at. */
enum { WEFT__OLDEST_TURN = 61 };
/* Their turn is so many picks away. Home. */
static inline void weft__worker_turn_in(weft__worker *w, int picks)
{
    w->due = w->budget - picks;
    w->pause = w->due > 0 ? w->due : 0;
}
/* Whether it is their turn, and they have something. Home. */
static inline int weft__worker_oldest_due(weft__worker *w)
{
    if (w->budget > w->due)
        return 0;
    if (weft__deque_length(&w->deque) || weft__load_relaxed(&w->rt->injected, "worker.due"))
        return 1;
    weft__worker_turn_in(w, WEFT__OLDEST_TURN);
    return 0;
}
/* One task of this tick is spent. Home. */
static inline void weft__worker_spend(weft__worker *w) { weft__store_relaxed(&w->budget, w->budget - 1, "monitor.turn"); }
/* Any thread: runs on exactly that worker, waking it if it sleeps. Order between one sender and one worker is kept. */
void weft__worker_send(weft__worker *w, weft_task *t);
/* The same, with publish(arg) called between the task's being in the inbox and the waking:
 * what is sent by whoever sees what it wrote comes after. */
void weft__worker_hand(weft__worker *w, weft_task *t, void (*publish)(void *arg), void *arg);
/* The same for what any other worker could run as well: 0 if this one is about to leave. */
int weft__worker_place(weft__worker *w, weft_task *t);
/* Any thread: makes it look around, if it sleeps. */
void weft__worker_wake(weft__worker *w);
/* Any thread: the same for all workers that do not leave, or those that are the host's threads. */
void weft__workers_rouse(weft_runtime *rt, int hosts_only);
/* Home: may be stolen from now on. */
void weft__worker_offer(weft__worker *w, weft_task *t);
/* Any thread: runs on whichever worker comes to it first. */
void weft__inject(weft_runtime *rt, weft_task *t);

/* ---- idle.c ---- */
/* Something stealable was queued: wakes one sleeper to look for it unless somebody is looking already. */
void weft__notify(weft_runtime *rt);
/* Looks everywhere for work that may move. 1: something is on a queue of w now. */
int weft__search(weft__worker *w);
/* Waits for a message for a short time without sleeping, if that has been worth it lately:
 * 1 there is something to run, 0. */
int weft__linger(weft__worker *w, int64_t deadline);
/* Lets threads by that wait for its processor, where workers may have to share one; now and then, before a look at the
 * port. */
void weft__give_way(weft__worker *w);
/* Ends the search of w, which has something to do now. Looks whether there is more, and passes the baton. */
void weft__search_over(weft__worker *w);
/* Sleeps until there is something to do or the deadline passes. */
void weft__idle(weft__worker *w, int64_t deadline);

/* Lies down between rounds of a foreign loop (1: there is work after all, stay awake), and gets up again. */
int weft__doze(weft__worker *w);
void weft__undoze(weft__worker *w);

/* Is there anything that may move, anywhere? */
int weft__any_work(weft_runtime *rt);

/* ---- stuck.c ---- */
/* w has said that it waits, without a deadline and with nothing in flight: 1 if nothing can ever run again;
 * then it does not wait, and once it is awake calls _act. */
int weft__stuck_look(weft__worker *w);
/* w is awake again; before it does anything. */
void weft__stuck_wake(weft__worker *w);
void weft__stuck_act(weft__worker *w);

/* ---- worker.c ---- */
/* Enters its port, waiting until the deadline if there is nothing, and notes how much that brought. */
void weft__worker_look(weft__worker *w, int64_t deadline);
/* One round: run tasks for a tick, look at the port, sleep if there is nothing (until the deadline at most). */
void weft__worker_tick(weft__worker *w, int64_t deadline);
/* Rounds until the runtime's workers are told to end. */
void weft__worker_loop(weft__worker *w);
int weft__worker_open(weft_runtime *rt, unsigned index, enum weft__whose whose, weft__worker **out);
/* A worker that leaves before the others: what still reaches it goes to them. `retiring` is set. */
void weft__worker_retire(weft__worker *w);
void weft__worker_close(weft__worker *w);
/* After its close, for one that has retired: another thread may be that worker from now on. */
void weft__worker_vacate(weft__worker *w);
size_t weft__worker_bytes(const weft_runtime *rt);
/* Anything to run without waiting? */
int weft__worker_busy(const weft__worker *w);

/* ---- place.c ---- */
/* Fills mode and number of workers from options, environment and topology; 0 or -EINVAL after saying why. */
int weft__place_plan(weft_runtime *rt);
/* The order in which w looks at others, its coprime step, and its binding: before anything is made by its thread, and
 * before anybody waits for it, for the thread may have to wait for that processor. */
void weft__place_worker(weft__worker *w);
/* The calling thread, which is w's, runs where it could before it was bound. */
void weft__worker_unbind(weft__worker *w);
/* A step coprime to n for walking n places, from n/2..n-2 where there is one; 1 for n without such a step. n >= 1. */
unsigned weft__coprime_step(unsigned n);
/* The worker for a lane made by `w` (or from outside: NULL). NULL: let it be taken by whoever comes first. */
weft__worker *weft__place_lane(weft_runtime *rt, weft__worker *w);
/* The same for a connection that `w` has accepted, where that goes by load: whose it is to be, w's or
 * another's, and whether others may take it before it is born. NULL: it does not go by load, so a
 * connection goes where any lane does. */
weft__worker *weft__place_connection(weft__worker *w, int *movable);

/* ---- runtime.c ---- */
/* Memory and threads for a runtime; hooks come from above. host_places:
 * this many workers are threads that come by themselves. */
int weft__runtime_open(weft_runtime **out, const weft_options *opt, const weft__sched_hooks *hooks, unsigned host_places);
/* Starts the workers that are ours, in a bloom: each starts two more. Waits until all run. */
int weft__runtime_bloom(weft_runtime *rt);
/* Tells all workers to end and waits for those that are ours. */
void weft__runtime_halt(weft_runtime *rt);
void weft__runtime_close(weft_runtime *rt);
/* Takes a place for a host's thread: its index, or -EAGAIN. */
int weft__runtime_claim(weft_runtime *rt);
void weft__say(weft_runtime *rt, enum weft_log_level level, const char *fmt, ...) WEFT_PRINTF(3, 4);

/* ---- monitor.c ---- */
int weft__monitor_start(weft_runtime *rt);
void weft__monitor_stop(weft_runtime *rt);
void weft__monitor_rouse(weft_runtime *rt);

static inline int64_t weft__clock(const weft_runtime *rt) { return weft__env_now(rt->env); }

/* Adds to a figure of the calling thread's own worker, which others read at any time. */
static inline void weft__count(uint64_t *figure, uint64_t n) { weft__store_relaxed(figure, *figure + n, "figure"); }

/* What closing a descriptor of this kind, which nobody asks about any more, has answered. The worker's own thread. */
static inline void weft__count_close(weft__worker *w, enum weft_id_kind kind, int result)
{
    if (result < 0 && w) /* NULL: the last messages of a worker that leaves */
        weft__count(&w->stats.close_failures[kind], 1);
}

/* Arms a timer of w's. Home. */
static inline void weft__timer_arm(weft__worker *w, weft__timer *t, int64_t deadline_ns)
{
    weft__count(&w->stats.timers_armed, 1);
    weft__wheel_arm(&w->wheel, t, deadline_ns);
}

static inline void weft__timer_cancel(weft__worker *w, weft__timer *t) { weft__wheel_cancel(&w->wheel, t); }

/* Takes a timer along to another worker: out of the wheel of the one, if it was armed, and into that of the other.
 * Home, each. On its way it has a link that nothing else has: it leads nowhere, and back to itself. */
static inline void weft__timer_lift(weft__worker *w, weft__timer *t)
{
    if (!weft__timer_armed(t))
        return;
    weft__wheel_cancel(&w->wheel, t);
    t->link.next = NULL;
}

static inline void weft__timer_land(weft__worker *w, weft__timer *t)
{
    if (!t->link.next && t->link.prev == &t->link)
        weft__wheel_arm(&w->wheel, t, t->deadline_ns);
}

#endif
