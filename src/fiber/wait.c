/* Waiting, waking, cancelling: the one protocol that all waits go through. Home-thread code, except weft__fiber_signal.
 *
 * A fiber waits in one place. It says for what (`waiting`) and until when (`deadline`), and gives up the
 * processor; whoever has something for it calls weft__wake with the answer, and the first to do so ends the wait.
 * A wait for an op ends by the op's terminal completion and by nothing else (DESIGN rule 3): deadline and
 * cancellation only ask for the op's end.
 *
 * The fiber's timer is lazy. A wait that ends early leaves it in the wheel; the next wait moves it
 * only if its own deadline is earlier. So a server that reads with an idle time-out arms a timer once
 * in a while, and not once a request. */
#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "fiber/fiber.h"

int weft__suspend(weft__worker *w, weft__fiber *f)
{
    weft__context *next = weft__fiber_next(w);
    return next != &f->context ? weft__switch(&f->context, next, NULL, NULL) : 0;
}

/* ---- deadlines ---- */

void weft__expect_arm(weft__fiber *f, int64_t deadline)
{
    weft__worker *w = f->home;
    if (weft__timer_armed(&f->timer))
        weft__timer_cancel(w, &f->timer);
    weft__timer_arm(w, &f->timer, deadline);
}

void weft__fiber_timer(weft__timer *t)
{
    weft__fiber *f = weft__container(t, weft__fiber, timer);
    t->deadline_ns = WEFT_NEVER;
    if (f->waiting == WEFT__WAIT_NONE || f->deadline == WEFT_NEVER)
        return;
    weft__worker *w = f->home;
    if (f->deadline > w->now_ns) {
        weft__timer_arm(w, t, f->deadline);
        return;
    }
    if (f->waiting != WEFT__WAIT_OP) {
        weft__wake(f, f->waiting == WEFT__WAIT_SLEEP ? 0 : -ETIMEDOUT);
        return;
    }
    f->timed_out = 1;
    weft__await_cancel(f);
}

/* ---- waiting and waking ---- */

int weft__wait(weft__fiber *f, enum weft__wait kind, int64_t deadline)
{
    int answer = weft__wait_here(f, kind, deadline);
    weft__fiber_near_frames(f->home);
    return answer;
}

/* Its wait is over, with this answer. */
static inline void answered(weft__fiber *f, int answer)
{
    f->waiting = WEFT__WAIT_NONE;
    f->deadline = WEFT_NEVER;
    f->wake = answer;
    f->state = WEFT__READY;
}

/* The queue that it waits in learns that it does no longer. */
static __attribute__((noinline)) void wake_out_of(weft__fiber *f, void (*unwait)(weft__fiber *))
{
    unwait(f); /* may set it again: the wait was served meanwhile, and a kill before the fiber runs has to undo that */
    weft__worker_ready(f->home, &f->resume);
}

void weft__wake(weft__fiber *f, int answer)
{
    if (f->waiting == WEFT__WAIT_NONE)
        return;
    answered(f, answer);
    void (*unwait)(weft__fiber *) = f->unwait;
    f->unwait = NULL;
    if (unwait && answer < 0)
        wake_out_of(f, unwait);
    else
        weft__worker_ready(f->home, &f->resume);
}

void weft__fiber_nudge(weft__fiber *f)
{
    if (f->waiting < WEFT__WAIT_NUDGE)
        return;
    answered(f, 0);
    weft__worker_ready(f->home, &f->resume);
}

void weft__fiber_nudge_ahead(weft__fiber *f)
{
    if (f->waiting < WEFT__WAIT_NUDGE)
        return;
    answered(f, 0);
    weft__worker_ready_ahead(f->home, &f->resume);
}

void weft__fiber_unpark(weft__fiber *f)
{
    if (f->waiting == WEFT__WAIT_PARK)
        weft__wake(f, 0);
    else
        f->token = 1;
}

/* ---- cancelling ---- */

int weft__canceled(const weft__fiber *f)
{
    for (const weft__scope *s = f->scopes; s; s = s->parent) {
        if (s->cancelled)
            return 1;
        if (s->shield && !s->spent)
            return 0;
    }
    return f->cancelled || f->crew->cancelled;
}

int weft__refuse(weft__fiber *f, int answer)
{
    /* A loop that is refused for ever computes: in the simulator its clock moves here, and others run. */
    weft__point("refuse");
    weft__fiber_spend(f);
    return answer;
}

void weft__interrupt(weft__fiber *f)
{
    if (f->state != WEFT__WAITING || !weft__canceled(f))
        return;
    if (f->waiting == WEFT__WAIT_OP)
        weft__await_cancel(f);
    else
        weft__wake(f, -ECANCELED);
}

/* ---- from other threads ---- */

int weft__fiber_signal(weft_runtime *rt, weft_id id, uint32_t flags)
{
    weft__fiber_realm *realm = rt->fibers;
    if (id.ns != WEFT__NS(rt, WEFT__FIBER))
        return weft__id_refused(rt, id);
    weft__fiber *f = weft__slab_at(&realm->slab, id.key);
    if (!f)
        return -ESRCH;
    uint32_t word = weft__load_acquire(&f->head.word, "fiber.signal");
    do {
        if (!weft__slab_is(word, id.gen))
            return -ESRCH; /* the generation is in the same word: it cannot change between the look and the flag */
    } while (!weft__cas_acq_rel(&f->head.word, &word, word | flags | WEFT__SIG_PENDING, "fiber.signal"));
    if (!(word & WEFT__SIG_PENDING)) /* from here on pending keeps the record from being used again */
        weft__worker_send(weft__home_of(&f->home), &f->head.message);
    return 0;
}

/* Its fiber moved while it was on its way. As the runtime ends there is nobody to send it on to; nothing but the record
 * is left of the fiber then, and which worker frees that does not matter. */
static int strayed(weft__fiber *f)
{
    weft__worker *w = weft__worker_self();
    if (weft__load_acquire(&w->rt->done, "fiber.stray") && !weft__is_here(&f->home)) {
        weft__slab_put(&weft__fibers_of(w)->cache, f);
        return 1;
    }
    return weft__sent_on(&f->home, &f->head.message);
}

void weft__fiber_message(weft_task *t)
{
    weft__fiber *f = weft__container(t, weft__fiber, head.message);
    if (f->mobile && strayed(f))
        return;
    uint32_t keep = ~(uint32_t)0 << WEFT__GEN_SHIFT | WEFT__LIVE;
    /* Pairs with the CAS in weft__fiber_signal. */
    uint32_t flags = weft__and_seq(&f->head.word, keep, "fiber.message") & ~keep;
    if (f->detached == WEFT__ORPHAN) {
        weft__sub_acq_rel(&f->home->load, 1, "fiber.orphan");
        weft__slab_put(&weft__fibers_of(f->home)->cache, f);
        return;
    }
    if (f->state == WEFT__ENDED || f->state == WEFT__DEAD)
        return;
    if (flags & WEFT__SIG_CANCEL) {
        f->cancelled = 1;
        weft__interrupt(f);
    }
    if (flags & WEFT__SIG_UNPARK)
        weft__fiber_unpark(f);
    if (flags & WEFT__SIG_NUDGE)
        weft__fiber_nudge(f);
    if (flags & WEFT__SIG_KILL)
        weft__fiber_kill(f);
}
