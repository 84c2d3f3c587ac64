/* Workers: an OS thread each, running tasks in ticks. All of it is home-thread code except weft__worker_send,
 * weft__inject and weft_task_submit.
 *
 * A tick: run tasks until the budget is used up or nothing is left; fire timers; look at the port, which hands
 * over everything submitted meanwhile and reaps what completed, in one kernel entry; sleep in that same entry
 * if there is nothing to do. The budget is a number of tasks, derived from a moving average of what a task
 * costs, so that a tick takes about tick_ns and the clock is read once. A look that brought more than a tick
 * takes is followed by ticks without one. */
#include "sched/sched.h"

#include <errno.h>
#include <string.h>
#include <weft/lane.h>

#include "base/check.h"
#include "env/current.h"

enum {
    TASKS_MIN = 16,
    TASKS_MAX = 8192,
    COST_SHIFT = 4,
    STEAL_EVERY = 16,
    /* Of what a look brings: the completion and the fiber that it wakes; or a fiber, and its reply that need not
     * wait. */
    TURNS_EACH = 2,
    /* How long the port goes without a look because of what the last one brought: where calls are tried at once; where
     * what is submitted waits for the look. */
    TICKS_UNSEEN = 20,
    TICKS_UNSENT = 4
};

/* ---- queues ---- */

static void push_to(weft__worker *w, weft_task *t)
{
    if (w->owns_port)
        weft__port_send(w->port, t);
    else if (weft__inbox_push(&w->inbox, t, "worker.send") && weft__load_seq(&w->asleep, "worker.send"))
        weft__worker_wake(w); /* pairs with the store of asleep before the look at the inbox */
}

void weft__worker_send(weft__worker *w, weft_task *t)
{
    weft_runtime *rt = w->rt;
    weft__worker *self = weft__worker_self();
    if (self && self->rt == rt) {
        push_to(w, t);
        return;
    }
    /* Workers wait for each other before they close their ports; who comes from outside is waited for by this count. */
    weft__add_seq(&rt->guests, 1, "worker.guest");
    push_to(w, t);
    weft__sub_seq(&rt->guests, 1, "worker.guest");
}

void weft__worker_hand(weft__worker *w, weft_task *t, void (*publish)(void *arg), void *arg)
{
    int first = weft__inbox_push(w->owns_port ? &w->port->inbox : &w->inbox, t, "worker.hand");
    publish(arg);
    if (first && (w->owns_port || weft__load_seq(&w->asleep, "worker.hand")))
        weft__worker_wake(w); /* as push_to */
}

int weft__worker_place(weft__worker *w, weft_task *t)
{
    weft_runtime *rt = w->rt;
    /* Before the look; pairs with the store of retiring and the wait in weft__worker_retire. */
    weft__add_seq(&rt->guests, 1, "worker.place");
    int stays = !weft__load_seq(&w->retiring, "worker.place");
    if (stays)
        push_to(w, t);
    weft__sub_seq(&rt->guests, 1, "worker.place");
    return stays;
}

void weft__workers_rouse(weft_runtime *rt, int hosts_only)
{
    weft__add_seq(&rt->guests, 1, "worker.rouse");
    for (unsigned i = 0; i < rt->workers; i++) {
        weft__worker *w = weft__load_acquire(&rt->worker[i], "worker.rouse");
        if (w && (w->host || !hosts_only) && !weft__load_seq(&w->retiring, "worker.rouse"))
            weft__worker_wake(w);
    }
    weft__sub_seq(&rt->guests, 1, "worker.rouse");
}

/* Nobody searches in per-core mode: whose turn it is looks at the shared queue.
 * Where no worker has come yet, the first will look. */
static void wake_in_turn(weft_runtime *rt)
{
    /* The queue is filled before the look for a worker; pairs with the fence in weft__worker_open. */
    weft__fence_seq("inject.turn");
    weft__add_seq(&rt->guests, 1, "inject.turn");
    weft__worker *w = weft__place_lane(rt, NULL);
    if (w)
        weft__worker_wake(w);
    weft__sub_seq(&rt->guests, 1, "inject.turn");
}

void weft__inject(weft_runtime *rt, weft_task *t)
{
    weft__spin_lock(&rt->inject_lock);
    weft__tasks_push(&rt->inject, t);
    weft__store_seq(&rt->injected, rt->injected + 1, "inject.push");
    weft__spin_unlock(&rt->inject_lock);
    if (rt->mode == WEFT_PER_CORE)
        wake_in_turn(rt);
    else
        weft__notify(rt);
}

/* Moves the older half of a full deque to the shared queue: one CAS and one splice, whatever its length. */
static void shed(weft__worker *w)
{
    weft_task *last;
    unsigned n;
    weft_task *newest = weft__deque_shed(&w->deque, &last, &n);
    if (!newest)
        return;
    weft_runtime *rt = w->rt;
    weft__spin_lock(&rt->inject_lock);
    if (rt->inject.head)
        *rt->inject.tail = newest;
    else
        rt->inject.head = newest;
    rt->inject.tail = &last->next;
    weft__store_seq(&rt->injected, rt->injected + n, "inject.shed");
    weft__spin_unlock(&rt->inject_lock);
}

void weft__worker_offer(weft__worker *w, weft_task *t)
{
    weft_runtime *rt = w->rt;
    if (rt->mode == WEFT_PER_CORE) {
        weft__worker_ready(w, t);
        return;
    }
    int alone = weft__deque_length(&w->deque) == 0;
    while (!weft__deque_push(&w->deque, t))
        shed(w);
    /* The first task of an empty queue is not announced: this worker runs it next. */
    if (!alone)
        weft__notify(rt);
}

int weft_task_submit(weft_runtime *rt, weft_task *task)
{
    if (!rt || !task || !task->run)
        return -EINVAL;
    if (weft__load_acquire(&rt->done, "task.submit") || weft__load_acquire(&rt->ended, "task.submit"))
        return -ESHUTDOWN;
    weft__worker *w = weft__worker_self();
    if (w && w->rt == rt && !w->io_only)
        weft__worker_offer(w, task);
    else
        weft__inject(rt, task);
    return 0;
}

int weft__worker_busy(const weft__worker *w)
{
    return !weft__tasks_empty(&w->ready) || weft__deque_length((weft__deque *)&w->deque) != 0;
}

/* ---- running ---- */

static weft_task *take_oldest(weft__worker *w)
{
    weft__worker_turn_in(w, WEFT__OLDEST_TURN);
    weft_runtime *rt = w->rt;
    if (weft__load_relaxed(&rt->injected, "worker.turn") && !w->io_only) {
        /* A lane would be at home there, and make all of its own elsewhere. */
        weft__spin_lock(&rt->inject_lock);
        weft_task *t = weft__tasks_pop(&rt->inject);
        if (t)
            weft__store_seq(&rt->injected, rt->injected - 1, "inject.turn");
        weft__spin_unlock(&rt->inject_lock);
        if (t)
            return t;
    }
    return weft__deque_steal(&w->deque);
}

static weft_task *next_task(weft__worker *w)
{
    weft_task *t = NULL;
    if (weft__worker_oldest_due(w))
        t = take_oldest(w);
    if (!t)
        t = weft__tasks_pop(&w->ready);
    return t ? t : weft__deque_pop(&w->deque);
}

static void run_tasks(weft__worker *w)
{
    int granted = (int)w->tick_tasks, picks = w->budget - w->due;
    weft__store_relaxed(&w->budget, granted, "monitor.budget");
    w->fair = granted / 2;
    weft__worker_turn_in(w, picks);
    while (w->budget > 0) {
        weft_task *t = next_task(w);
        if (!t)
            break;
        weft__worker_spend(w);
        t->run(t);
    }
    unsigned ran = (unsigned)(granted - w->budget);
    w->owed -= ran;
    weft__count(&w->stats.ticks, 1);
    weft__count(&w->stats.tasks, ran);
    int64_t begin = w->now_ns;
    w->now_ns = weft__clock(w->rt);
    w->unbroken_ns += w->now_ns - begin;
    if (ran < TASKS_MIN)
        return; /* too few to learn from */
    int64_t cost = ((w->now_ns - begin) << COST_SHIFT) / ran;
    w->task_cost_ns += (cost - w->task_cost_ns) / 8;
    int64_t fit = w->task_cost_ns > 0 ? (w->rt->opt.tick_ns << COST_SHIFT) / w->task_cost_ns : TASKS_MAX;
    w->tick_tasks = fit < TASKS_MIN ? TASKS_MIN : fit > TASKS_MAX ? TASKS_MAX : (unsigned)fit;
}

static void drain_inbox(weft__worker *w)
{
    weft_task *t = weft__inbox_drain(&w->inbox, "worker.drain");
    while (t) {
        weft_task *next = t->next;
        t->run(t);
        t = next;
    }
}

/* ---- looking at the port ---- */

void weft__worker_look(weft__worker *w, int64_t deadline)
{
    uint64_t before = weft__port_yielded(w->port);
    weft__port_enter(w->port, deadline);
    w->owed = TURNS_EACH * (int64_t)(weft__port_yielded(w->port) - before);
}

/* What a look brings runs behind what is ready already. So while something of the last one may still be waiting for its
 * turn, the next would let nobody run sooner here, and costs a system call; a plain loop over a batch of events does
 * not make it either. It is put off for some ticks at most: what comes may be others' to run, and who computes for long
 * does not keep it away. Timers are looked at in every tick. */
static int look_can_wait(const weft__worker *w)
{
    int64_t most = w->at_once ? TICKS_UNSEEN : TICKS_UNSENT;
    return w->owed > 0 && (w->now_ns - w->looked_ns) / most < w->rt->opt.tick_ns && !weft__load_relaxed(&w->port->inbox, "worker.look");
}

static int64_t sooner(int64_t a, int64_t b) { return a < b ? a : b; }

void weft__worker_tick(weft__worker *w, int64_t deadline)
{
    weft__store_relaxed(&w->turn, w->turn + 2, "monitor.tick");
    /* Woken as the searcher, and its own work came first: others shall look. */
    if (w->searching && weft__worker_busy(w))
        weft__search_over(w);
    run_tasks(w);
    if (!w->owns_port)
        drain_inbox(w);
    weft__count(&w->stats.timers_fired, weft__wheel_advance(&w->wheel, w->now_ns));
    if (w->mobile)
        w->rt->hooks.balance(w);
    if (w->unbroken_ns >= WEFT__UNBROKEN && w->owns_port && !(weft__worker_busy(w) && look_can_wait(w)))
        weft__give_way(w);
    /* Who always has a message waiting is to look around now and then, too. */
    const int steals_first = ++w->lingered % STEAL_EVERY == 0;
    if (!steals_first && w->soon && !weft__worker_busy(w) && weft__linger(w, deadline))
        return;
    if (weft__worker_busy(w) || (weft__search(w) && weft__worker_busy(w))) {
        if (w->owns_port && !look_can_wait(w)) {
            weft__worker_look(w, WEFT_NOW);
            w->looked_ns = w->now_ns;
        }
        return;
    }
    if (steals_first && w->soon && weft__linger(w, deadline))
        return;
    w->owed = 0; /* nothing is left of it */
    weft__idle(w, sooner(deadline, weft__wheel_next(&w->wheel)));
    w->now_ns = w->looked_ns = weft__clock(w->rt);
    weft__count(&w->stats.timers_fired, weft__wheel_advance(&w->wheel, w->now_ns));
}

void weft__worker_loop(weft__worker *w)
{
    while (!weft__load_acquire(&w->rt->done, "worker.done") || weft__worker_busy(w))
        weft__worker_tick(w, WEFT_NEVER);
}

/* ---- life ---- */

/* A completion goes where its submitter lives. Home thread of the port. */
static void deliver(void *ctx, weft_op *op)
{
    weft__worker *here = ctx, *there = op->origin;
    if (there && there != here)
        weft__worker_send(there, &op->task);
    else if (op->prompt)
        op->task.run(&op->task);
    else
        weft__worker_ready(here, &op->task);
}

static int still(void *ctx) { return weft__stuck_look(ctx); }

size_t weft__worker_bytes(const weft_runtime *rt)
{
    size_t page = rt->env->page_size;
    return (sizeof(weft__worker) + page - 1) / page * page;
}

static int open_port(weft__worker *w)
{
    weft_runtime *rt = w->rt;
    if (rt->mode == WEFT_SINGLE_IO && !w->io_only) {
        w->port = rt->worker[0]->port; /* worker 0 has started before all others */
        return 0;
    }
    weft__port_owner owner = {.deliver = deliver, .ctx = w, .still = still};
    int r = weft__port_init(&w->port_storage, rt->env, rt->driver, &rt->opt.port_config, &owner, rt->pool);
    if (r < 0)
        return r;
    w->port = &w->port_storage;
    w->owns_port = 1;
    w->at_once = w->port->at_once;
    w->by_ring = w->port->transfer != NULL;
    return 0;
}

static weft__worker *make(weft_runtime *rt, unsigned index, enum weft__whose whose)
{
    /* By its own thread, so it lies near it. */
    weft__worker *w = rt->env->map(rt->env->self, weft__worker_bytes(rt), 0);
    if (!w)
        return NULL;
    w->magic = WEFT__WORKER_MAGIC;
    w->index = index;
    w->rt = rt;
    w->host = whose;
    w->io_only = index < rt->first_cpu_worker;
    w->tick_tasks = 256;
    w->due = -WEFT__OLDEST_TURN;
    w->crowd = WEFT__CROWD_UNKNOWN;
    w->random = index * 2654435761u + 1;
    w->turn = 1;
    return w;
}

/* The record of a thread that has left, for another. Who still looks at it finds a worker that
 * is retiring, and an empty queue. */
static weft__worker *take_over(weft__worker *w)
{
    w->ready = (weft__tasks){0};
    w->owns_port = w->at_once = w->by_ring = w->searching = 0;
    w->running = NULL;
    memset(&w->port_storage, 0, sizeof w->port_storage);
    return w;
}

/* What the failed start of a worker leaves behind: nothing, or a place that is still vacant. */
static void give_up(weft__worker *w)
{
    if (weft__load_seq(&w->retiring, "worker.give_up"))
        weft__worker_vacate(w);
    else
        w->rt->env->unmap(w->rt->env->self, w, weft__worker_bytes(w->rt));
}

int weft__worker_open(weft_runtime *rt, unsigned index, enum weft__whose whose, weft__worker **out)
{
    weft__worker *w = weft__load_acquire(&rt->worker[index], "worker.open");
    w = w ? take_over(w) : make(rt, index, whose);
    if (!w)
        return -ENOMEM;
    weft__place_worker(w);
    int r = rt->env->worker_enter ? rt->env->worker_enter(rt->env->self) : 0;
    if (r < 0)
        goto give_up;
    w->tag = rt->env->worker_tag ? rt->env->worker_tag(rt->env->self) : 0;
    r = open_port(w);
    if (r < 0)
        goto leave_env;
    w->now_ns = w->looked_ns = weft__clock(rt);
    weft__wheel_init(&w->wheel, w->now_ns);
    weft__context_adopt(&w->context);
    weft__set_current(w);
    r = rt->hooks.worker_enter(w);
    if (r < 0)
        goto close_port;
    weft__store_seq(&w->retiring, 0, "worker.birth");
    weft__store_release(&rt->worker[index], w, "worker.birth"); /* pairs with the acquires of thieves and placers */
    weft__fence_seq("worker.birth"); /* what was injected before anybody came is seen from here on */
    *out = w;
    return 0;
close_port:
    weft__set_current(NULL);
    if (w->owns_port)
        weft__port_fini(w->port);
leave_env:
    if (rt->env->worker_leave)
        rt->env->worker_leave(rt->env->self);
give_up:
    weft__worker_unbind(w);
    give_up(w);
    return r;
}

void weft__worker_retire(weft__worker *w)
{
    weft_runtime *rt = w->rt;
    weft_task *t;
    if (w->searching)
        weft__search_over(w);
    while (weft__load_seq(&rt->guests, "worker.retire"))
        if (rt->env->relax)
            rt->env->relax(rt->env->self);
    if (w->owns_port)
        while (weft__port_pending(w->port))
            weft__port_enter(w->port, WEFT_NOW);
    else
        drain_inbox(w);
    while ((t = weft__tasks_pop(&w->ready)) || (t = weft__deque_pop(&w->deque)))
        weft__inject(rt, t);
}

/* The record stays where others can see it until the runtime is closed, and may be another thread's meanwhile:
 * a late thief may still look at its queue. */
void weft__worker_close(weft__worker *w)
{
    weft_runtime *rt = w->rt;
    /* Nobody wakes it from here on; pairs with the loads in weft__worker_place and _rouse. */
    weft__store_seq(&w->retiring, 1, "worker.close");
    drain_inbox(w);
    /* Late messages, before the pools they are freed to go. */
    if (w->owns_port)
        while (weft__load_acquire(&w->port->inbox, "worker.close"))
            weft__port_enter(w->port, WEFT_NOW);
    rt->hooks.worker_leave(w);
    weft__set_current(NULL);
    while (weft__load_seq(&rt->guests, "worker.close"))
        if (rt->env->relax)
            rt->env->relax(rt->env->self);
    if (w->owns_port) {
        while (weft__load_acquire(&w->port->inbox, "worker.close"))
            weft__port_enter(w->port, WEFT_NOW);
        weft__port_fini(w->port);
    }
    if (rt->env->worker_leave)
        rt->env->worker_leave(rt->env->self);
    weft__context_drop(&w->context);
}

/* Pairs with the CAS in claim_vacant. */
void weft__worker_vacate(weft__worker *w) { weft__store_seq(&w->vacant, 1, "worker.vacate"); }
