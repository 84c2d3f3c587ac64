/* Searching, sleeping and waking (DESIGN rule 9). Any worker; the words `idle` and `searching` of
 * the runtime belong to this file.
 *
 * No wake-up is lost: whoever queues stealable work first queues it, then reads `idle`; whoever goes to sleep first
 * sets its bit in `idle`, then reads all queues. Both pairs are sequentially consistent, so at least one of the two
 * sees the other: either the pusher claims the sleeper, or the sleeper finds the work. A pusher may leave the
 * waking to a searcher (`searching` is not 0) because a searcher always ends in one of two ways after lowering
 * `searching`: it found other work, and then looks at all queues again and passes the baton; or it found none, and
 * then goes to sleep by the protocol above.
 *
 * There is no herd: `searching` only goes from 0 to 1, by compare-and-swap, so one worker
 * at a time is awake without work. */
#include "base/check.h"
#include "sched/sched.h"

enum {
    STEAL_MAX = 128,
    SOON_NS = 100 * 1000, /* a sleep that a message ended within this was not worth it */
    SOON_WANTED = 2,      /* so many of them in a row, and the next one is put off; */
    VAIN_MOST = 7,        /* twice as many each time that was in vain, up to so often */
    LATEST = 8,           /* so many times longer it looks */
    LATE_MOST = 4         /* as long as that was needed no more often than this, in a row */
};

static uint64_t bit_of(const weft__worker *w) { return (uint64_t)1 << w->index; }

/* Is there anything that may move, anywhere? */
int weft__any_work(weft_runtime *rt)
{
    if (weft__load_seq(&rt->injected, "idle.any"))
        return 1;
    for (unsigned i = 0; i < rt->workers; i++) {
        weft__worker *v = weft__load_acquire(&rt->worker[i], "idle.any");
        if (v && weft__load_seq(&v->deque.bottom, "idle.any") > weft__load_seq(&v->deque.top, "idle.any"))
            return 1;
    }
    return 0;
}

void weft__worker_wake(weft__worker *w)
{
    if (w->owns_port)
        weft__port_wake(w->port);
    else
        w->rt->env->unpark(w->rt->env->self, &w->parker);
}

void weft__notify(weft_runtime *rt)
{
    weft__fence_seq("idle.notify"); /* orders the push before the loads; pairs with the or of the sleeper's bit */
    for (;;) {
        uint64_t idle = weft__load_seq(&rt->idle, "idle.notify");
        if (!idle || weft__load_seq(&rt->searching, "idle.notify"))
            return;
        uint32_t none = 0;
        if (!weft__cas_seq(&rt->searching, &none, 1, "idle.notify"))
            return;
        /* A host's thread that leaves meanwhile waits for us before it closes its port. */
        weft__add_seq(&rt->guests, 1, "idle.claim");
        while (idle) {
            unsigned i = (unsigned)__builtin_ctzll(idle);
            uint64_t bit = (uint64_t)1 << i;
            if (weft__and_seq(&rt->idle, ~bit, "idle.claim") & bit) {
                /* Wakes as the searcher we counted. */
                weft__worker_wake(weft__load_acquire(&rt->worker[i], "idle.claim"));
                weft__sub_seq(&rt->guests, 1, "idle.claimed");
                return;
            }
            idle &= ~bit;
        }
        weft__sub_seq(&rt->guests, 1, "idle.unclaim");
        /* All of them woke by themselves. Who relied on our count meanwhile is looked after by the next turn. */
        weft__sub_seq(&rt->searching, 1, "idle.unclaim");
        if (!weft__any_work(rt))
            return;
    }
}

void weft__search_over(weft__worker *w)
{
    w->searching = 0;
    if (weft__sub_seq(&w->rt->searching, 1, "idle.found") == 1 && weft__any_work(w->rt))
        weft__notify(w->rt);
}

/* A batch from the shared queue: a fair share of it. */
static int take_injected(weft__worker *w)
{
    weft_runtime *rt = w->rt;
    if (!weft__load_relaxed(&rt->injected, "inject.peek"))
        return 0;
    weft__tasks got = {0};
    weft__spin_lock(&rt->inject_lock);
    uint64_t n = rt->injected / rt->workers + 1, taken = 0;
    if (n > STEAL_MAX)
        n = STEAL_MAX;
    while (taken < n) {
        weft_task *t = weft__tasks_pop(&rt->inject);
        if (!t)
            break;
        weft__tasks_push(&got, t);
        taken++;
    }
    weft__store_seq(&rt->injected, rt->injected - taken, "inject.take");
    weft__spin_unlock(&rt->inject_lock);
    weft_task *first = weft__tasks_pop(&got), *t;
    if (!first)
        return 0;
    while ((t = weft__tasks_pop(&got)))
        if (!weft__deque_push(&w->deque, t))
            weft__worker_ready(w, t);
    weft__worker_ready(w, first);
    return 1;
}

/* Takes up to half of what v offers. Only the first needs to be run here; the rest may be stolen on. */
static int steal_from(weft__worker *w, weft__worker *v)
{
    uint64_t n = weft__deque_length(&v->deque);
    if (!n)
        return 0;
    weft_task *first = weft__deque_steal(&v->deque), *t;
    if (!first)
        return 0;
    weft__worker_ready(w, first);
    weft__count(&w->stats.steals, 1);
    for (uint64_t i = 1; i < (n + 1) / 2 && i < STEAL_MAX; i++) {
        if (!(t = weft__deque_steal(&v->deque)))
            break;
        weft__count(&w->stats.steals, 1);
        if (!weft__deque_push(&w->deque, t))
            weft__worker_ready(w, t);
    }
    w->last_victim = v->index;
    return 1;
}

/* One sweep over the others, the nearest group first, each group in a seeded order. Stops at the first hit. */
static int sweep(weft__worker *w)
{
    weft_runtime *rt = w->rt;
    weft__worker *v = weft__load_acquire(&rt->worker[w->last_victim], "steal.last");
    if (v && v != w && steal_from(w, v))
        return 1;
    unsigned begin = 0;
    for (unsigned group = 0; group < 3; group++) {
        unsigned n = w->near_ends[group] - begin;
        if (n) {
            w->random = w->random * 1664525u + 1013904223u;
            unsigned at = (w->random >> 8) % n, step = weft__coprime_step(n);
            for (unsigned i = 0; i < n; i++, at = (at + step) % n) {
                v = weft__load_acquire(&rt->worker[w->near[begin + at]], "steal.walk");
                if (v && steal_from(w, v))
                    return 1;
            }
        }
        begin = w->near_ends[group];
    }
    return 0;
}

int weft__search(weft__worker *w)
{
    weft_runtime *rt = w->rt;
    if (w->io_only || w->retiring)
        return 0;
    if (rt->mode == WEFT_PER_CORE)
        return take_injected(w);
    if (!w->searching) {
        uint32_t none = 0;
        if (weft__load_relaxed(&rt->searching, "idle.search") || !weft__cas_seq(&rt->searching, &none, 1, "idle.search"))
            return 0;
        w->searching = 1;
    }
    if (take_injected(w) || sweep(w)) {
        weft__search_over(w);
        return 1;
    }
    return 0;
}

/* Takes back our idle bit. If somebody claimed us meanwhile, we are the searcher it counted. */
static void awake(weft__worker *w)
{
    if (!(weft__and_seq(&w->rt->idle, ~bit_of(w), "idle.awake") & bit_of(w)))
        w->searching = 1;
}

static int has_message(weft__worker *w)
{
    return w->owns_port ? weft__load_acquire(&w->port->inbox, "worker.sleep") != NULL : weft__load_seq(&w->inbox, "worker.sleep") != NULL;
}

/* Two lanes on two workers that answer each other at once would pay a sleep and a wake-up for each message, which is
 * fifty times what the message costs. So a worker that messages woke soon lately goes on looking for about as long as
 * those would take. It looks for longer a few times, because the other one may still have to wake up. Who comes from
 * outside is not waited for like this. */
int weft__linger(weft__worker *w, int64_t deadline)
{
    weft_runtime *rt = w->rt;
    if (w->soon < (unsigned)SOON_WANTED << w->vain || deadline == WEFT_NOW || w->io_only || w->retiring || rt->topology.cpus < 2)
        return 0;
    const unsigned most = w->late < LATE_MOST ? LATEST * rt->env->linger : rt->env->linger;
    for (unsigned looks = 0; looks < most; looks++) {
        if (w->owns_port ? weft__port_pending(w->port) : has_message(w)) {
            if (looks >= rt->env->linger)
                w->late++; /* who always answers as late as this is not worth it */
            else
                w->vain = w->late = 0;
            if (w->owns_port)
                weft__worker_look(w, WEFT_NOW);
            return 1;
        }
        if (rt->env->relax)
            rt->env->relax(rt->env->self);
    }
    w->soon = w->late = 0;
    w->vain += w->vain < VAIN_MOST;
    return 0;
}

static void sleep_now(weft__worker *w, int64_t deadline)
{
    weft_runtime *rt = w->rt;
    if (w->owns_port && has_message(w)) {
        weft__worker_look(w, WEFT_NOW); /* what others sent may run for long, and the monitor is to see it */
        return;
    }
    weft__count(&w->stats.parks, 1);
    if (rt->hooks.idle)
        rt->hooks.idle(w);
    weft__store_release(&w->turn, w->turn + 1, "monitor.sleep"); /* even: nothing runs here */
    if (w->owns_port) {
        weft__worker_look(w, deadline);
    } else {
        /* Before the look at the inbox; pairs with the push in weft__worker_send. */
        weft__store_seq(&w->asleep, 1, "worker.sleep");
        if (!weft__load_seq(&w->inbox, "worker.sleep") && !(deadline == WEFT_NEVER && weft__stuck_look(w)))
            rt->env->park(rt->env->self, &w->parker, deadline);
        weft__store_relaxed(&w->asleep, 0, "worker.wake");
    }
    w->soon = has_message(w) && weft__clock(rt) - w->now_ns < SOON_NS ? w->soon + 1 : 0;
    weft__stuck_wake(w);
    /* Before the look at dormant; pairs with the store of dormant before the look at turn. */
    weft__store_seq(&w->turn, w->turn + 1, "monitor.wake");
    if (weft__load_seq(&rt->monitor.dormant, "monitor.wake"))
        weft__monitor_rouse(rt);
    if (w->verdict)
        weft__stuck_act(w);
}

/* Publishes that w sleeps, or answers 0 if there turned out to be work: then the caller comes round again. */
static int lie_down(weft__worker *w)
{
    weft_runtime *rt = w->rt;
    /* Before reading the queues; pairs with the fence in weft__notify. */
    weft__or_seq(&rt->idle, bit_of(w), "idle.sleep");
    if (w->searching) {
        w->searching = 0;
        weft__sub_seq(&rt->searching, 1, "idle.sleep");
    }
    if (!weft__any_work(rt))
        return 1;
    awake(w);
    if (!weft__search(w) && w->searching) { /* claimed, or first, and yet others were quicker */
        w->searching = 0;
        if (weft__sub_seq(&rt->searching, 1, "idle.again") == 1 && weft__any_work(rt))
            weft__notify(rt);
    }
    return 0;
}

void weft__idle(weft__worker *w, int64_t deadline)
{
    weft_runtime *rt = w->rt;
    if (w->io_only || rt->mode == WEFT_PER_CORE || w->retiring) {
        sleep_now(w, weft__load_acquire(&rt->done, "idle.done") ? WEFT_NOW : deadline);
        return;
    }
    if (!lie_down(w)) {
        if (w->owns_port && !weft__worker_busy(w))
            weft__worker_look(w, WEFT_NOW);
        return;
    }
    sleep_now(w, weft__load_acquire(&rt->done, "idle.done") ? WEFT_NOW : deadline);
    awake(w);
}

/* Between the rounds of a worker that lives in a foreign loop: asleep for everybody else,
 * so that a notice reaches its descriptor. */
int weft__doze(weft__worker *w)
{
    if (w->rt->mode == WEFT_PER_CORE) /* the round may have used up the wake-up that came with it */
        return weft__load_seq(&w->rt->injected, "idle.doze") != 0;
    return !lie_down(w);
}

void weft__undoze(weft__worker *w)
{
    if (w->rt->mode != WEFT_PER_CORE)
        awake(w);
}
