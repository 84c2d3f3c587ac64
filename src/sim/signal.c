/* Owns what makes a simulated thread run a function that it did not call:
 * signals, and interrupts of a worker by its monitor.
 *
 * A call waits with its thread until that thread is chosen to run; then it runs on a stack of its own, as a signal
 * handler with an alternate stack does, wherever the thread stands: computing, or in the middle of a wait, which goes
 * on afterwards. Handlers do not nest and must not wait. A thread takes what is left before it ends. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include "base/check.h"
#include "env/current.h"
#include "env/posix.h"
#include "sim/sim.h"

#define HANDLER_STACK ((size_t)256 << 10)

struct sim_call {
    sim_call *next;
    void (*interrupt)(void *ctx, const void *machine); /* one of the two */
    void (*signal)(void *ctx, int signal);
    void *ctx;
    int number;         /* of the signal */
    sim_thread *asker;  /* of an interrupt: waits for it */
    int over;
    int result;         /* of an interrupt: 0 or -ESRCH */
};

/* ---- running them ---- */

static void handler(void *arg)
{
    sim_thread *t = arg;
    sim_call *c = t->calls;

    if (c->interrupt)
        c->interrupt(c->ctx, t->machine);
    else
        c->signal(c->ctx, c->number);
    weft__switch_last(&t->handler, t->interrupted, NULL, NULL);
}

static void finish(sim *s, sim_call *c, int result)
{
    c->over = 1;
    c->result = result;
    if (c->asker)
        weft__sim_wake(s, c->asker);
    else
        free(c);
}

static void run_one(sim *s, sim_thread *t, const void *machine)
{
    sim_call *c = t->calls;
    weft__context here;

    weft__sim_note(s, c->interrupt ? "interrupt" : "signal", t->name, t->ordinal, c->number);
    t->machine = machine;
    t->interrupted = &here;
    weft__context_adopt(&here);
    weft__context_make(&t->handler, t->handler_stack, HANDLER_STACK, handler, t);
    weft__switch(&here, &t->handler, NULL, NULL);
    weft__context_drop(&here);
    t->calls = c->next;
    finish(s, c, 0);
}

void weft__sim_handle(sim *s, sim_thread *t)
{
    ucontext_t machine;

    if (!t->handler_stack)
        t->handler_stack = weft__posix_map(NULL, HANDLER_STACK, 0);
    WEFT_ASSERT(t->handler_stack);
    getcontext(&machine); /* of where the thread stands: the frames below are its own */
    t->handling = 1;
    while (t->calls)
        run_one(s, t, &machine);
    t->handling = 0;
}

void weft__sim_handler_free(sim_thread *t)
{
    if (t->handling)
        weft__context_discard(&t->handler);
    if (t->handler_stack)
        weft__posix_unmap(NULL, t->handler_stack, HANDLER_STACK);
    t->handler_stack = NULL;
    for (sim_call *c = t->calls, *next; c; c = next) {
        next = c->next;
        if (!c->asker)
            free(c);
    }
    t->calls = NULL;
}

static void add(sim_thread *t, sim_call *c)
{
    sim_call **at = &t->calls;

    while (*at)
        at = &(*at)->next;
    *at = c;
}

/* ---- interrupts ---- */

static sim_thread *by_tag(sim *s, uintptr_t tag)
{
    return tag > 0 && tag <= s->thread_count && s->threads[tag - 1]->state != SIM_ENDED ? s->threads[tag - 1] : NULL;
}

int weft__sim_env_interrupt(void *self, uintptr_t tag, void (*fn)(void *ctx, const void *machine), void *ctx)
{
    sim *s = weft__sim_current();
    sim_thread *t = by_tag(s, tag);
    sim_call c = {.interrupt = fn, .ctx = ctx, .asker = s->running};

    (void)self;
    if (!t)
        return -ESRCH;
    WEFT_ASSERT(!s->running->handling);
    add(t, &c);
    if (t == s->running)
        weft__sim_handle(s, t);
    while (!c.over)
        weft__sim_wait(s, SIM_ASKING, WEFT_NEVER);
    return c.result;
}

/* ---- signals ---- */

static int pending(const sim *s, int number)
{
    for (unsigned i = 0; i < s->thread_count; i++)
        for (const sim_call *c = s->threads[i]->calls; c; c = c->next)
            if (c->signal && c->number == number)
                return 1;
    return 0;
}

/* Any thread may take a signal that is sent to the whole program: the seed says which. */
static sim_thread *some_thread(sim *s)
{
    unsigned n = 0;

    for (unsigned i = 0; i < s->thread_count; i++)
        n += s->threads[i]->state != SIM_ENDED;
    uint64_t chosen = sim_random_below(&s->choices, n);
    for (unsigned i = 0; i < s->thread_count; i++)
        if (s->threads[i]->state != SIM_ENDED && chosen-- == 0)
            return s->threads[i];
    return NULL;
}

WEFT_API int weft_sim_signal(int number)
{
    sim *s = weft__sim_current();
    sim_thread *t;
    sim_call *c;

    if (!s || number < 1 || number >= SIM_SIGNALS)
        return -EINVAL;
    weft__sim_note(s, "raise", s->watches[number].fn ? "watched" : "unwatched", number, 0);
    if (!s->watches[number].fn)
        return -ESRCH;
    t = some_thread(s);
    if (pending(s, number))
        return 0; /* as systems do: of a signal that has not been taken there is only one */
    c = calloc(1, sizeof *c);
    if (!c)
        return -ENOMEM;
    *c = (sim_call){.signal = s->watches[number].fn, .ctx = s->watches[number].ctx, .number = number};
    add(t, c);
    if (t == s->running && !t->handling)
        weft__sim_yield(s); /* it is taken here and now, or after others have run */
    return 0;
}

static int handles(const sim_thread *t, const void *ctx)
{
    return t->handling && t->calls && t->calls->signal && t->calls->ctx == ctx;
}

/* What waits to be told is dropped; what is being told is waited for. */
static void forget(sim *s, const void *ctx)
{
    for (int i = 1; i < SIM_SIGNALS; i++)
        if (s->watches[i].ctx == ctx)
            s->watches[i].fn = NULL;
    for (unsigned i = 0; i < s->thread_count; i++) {
        sim_thread *t = s->threads[i];
        sim_call **at = handles(t, ctx) ? &t->calls->next : &t->calls;

        while (*at) {
            sim_call *c = *at;

            if (c->signal && c->ctx == ctx) {
                *at = c->next;
                free(c);
            } else {
                at = &c->next;
            }
        }
        while (t != s->running && handles(t, ctx))
            weft__sim_yield(s);
    }
}

int weft__sim_env_signals(void *self, const int *signals, void (*fn)(void *ctx, int signal), void *ctx)
{
    sim *s = weft__sim_current();

    (void)self;
    if (!fn) {
        forget(s, ctx);
        return 0;
    }
    for (; *signals; signals++) {
        const int n = *signals;

        if (n < 1 || n >= SIM_SIGNALS || n == SIGKILL || n == SIGSTOP)
            return -EINVAL;
        if (s->watches[n].fn && s->watches[n].ctx != ctx)
            return -EBUSY;
        s->watches[n].fn = fn;
        s->watches[n].ctx = ctx;
        weft__sim_note(s, "watch", "signal", n, 0);
    }
    return 0;
}
