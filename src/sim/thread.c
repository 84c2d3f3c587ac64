/* Owns the simulated threads and the choice of who runs: the heart of the simulator. A thread runs until it waits,
 * yields, or meets a named point at which the seed says so; then the scheduler, on the stack of the OS thread, lets due
 * events happen and draws the next.
 *
 * A thread may be suspended while it stands on a fiber's stack, not on its own: what is saved is therefore a context
 * adopted on the spot, and the sanitizers are told about the stack that is really left. */
#include <stdlib.h>
#include <string.h>

#include "base/atomic.h"
#include "base/check.h"
#include "env/current.h"
#include "env/posix.h"
#include "sim/sim.h"

#define STACK_SIZE ((size_t)1 << 20)

#define CHOICE_NS 200

static void suspend(sim *s)
{
    sim_thread *t = s->running;
    weft__context here;

    weft__context_adopt(&here);
    do {
        t->where = &here;
        t->current = weft__current();
        weft__switch(&here, &s->main, NULL, NULL);
        if (t->calls && !t->handling)
            weft__sim_handle(s, t);
    } while (t->state != SIM_RUNNABLE && !t->handling); /* chosen for a call only: the wait goes on */
    weft__context_drop(&here);
}

static void thread_entry(void *arg)
{
    sim_thread *t = arg;
    sim *s = weft__sim_current();

    t->fn(t->arg);
    if (t->calls)
        weft__sim_handle(s, t);
    weft__sim_note(s, "end", t->name, t->ordinal, 0);
    t->state = SIM_ENDED;
    for (unsigned i = 0; i < s->thread_count; i++)
        if (s->threads[i]->state == SIM_JOINING && s->threads[i]->joined == t)
            weft__sim_wake(s, s->threads[i]);
    weft__switch_last(&t->base, &s->main, NULL, NULL);
}

static int take_stack(sim_thread *t, void *stack, size_t stack_size)
{
    t->owns_stack = stack == NULL;
    t->stack_size = stack ? stack_size : STACK_SIZE;
    t->stack = stack ? stack : weft__posix_map(NULL, STACK_SIZE, 0);
    if (!t->stack)
        return 0;
    if (t->owns_stack)
        (void)weft__posix_guard(NULL, t->stack, weft__posix_page_size());
    t->announced = weft__stack_announce(t->stack, t->stack_size);
    return 1;
}

static void free_stack(sim_thread *t)
{
    if (!t->stack)
        return;
    weft__stack_retract(t->announced, t->stack, t->stack_size);
    if (t->owns_stack)
        weft__posix_unmap(NULL, t->stack, t->stack_size);
    t->stack = NULL;
}

sim_thread *weft__sim_thread_new(sim *s, const char *name, void *stack, size_t stack_size, void (*fn)(void *), void *arg)
{
    sim_thread *t = calloc(1, sizeof *t);

    if (!t)
        return NULL;
    if (s->thread_count == s->thread_room) {
        const unsigned room = s->thread_room ? 2 * s->thread_room : 16;
        sim_thread **more = realloc(s->threads, room * sizeof *more);

        if (!more) {
            free(t);
            return NULL;
        }
        s->threads = more;
        s->thread_room = room;
    }
    if (!take_stack(t, stack, stack_size)) {
        free(t);
        return NULL;
    }
    t->ordinal = s->thread_count;
    snprintf(t->name, sizeof t->name, "%s", name && name[0] ? name : "thread");
    t->deadline_ns = WEFT_NEVER;
    t->fn = fn;
    t->arg = arg;
    weft__context_make(&t->base, t->stack, t->stack_size, thread_entry, t);
    t->where = &t->base;
    s->threads[s->thread_count++] = t;
    weft__sim_note(s, "thread", t->name, t->ordinal, 0);
    return t;
}

/* Those that have not ended are left where they stand. */
void weft__sim_threads_free(sim *s)
{
    for (unsigned i = 0; i < s->thread_count; i++) {
        sim_thread *t = s->threads[i];

        if (t->state != SIM_ENDED)
            weft__context_discard(&t->base);
        weft__sim_handler_free(t);
        free_stack(t);
        free(t);
    }
    free(s->threads);
}

void weft__sim_pass(sim *s, int64_t ns) { s->now_ns += ns; }

void weft__sim_wake(sim *s, sim_thread *t)
{
    if (t->state == SIM_RUNNABLE || t->state == SIM_ENDED)
        return;
    weft__sim_note(s, "wake", t->name, t->ordinal, t->state);
    t->state = SIM_RUNNABLE;
    t->woken = 1;
}

int weft__sim_wait(sim *s, enum sim_state state, int64_t deadline_ns)
{
    sim_thread *t = s->running;

    WEFT_ASSERT(!t->handling); /* a signal handler must not wait */
    t->state = state;
    t->deadline_ns = deadline_ns;
    t->woken = 0;
    suspend(s);
    t->deadline_ns = WEFT_NEVER;
    return t->woken;
}

void weft__sim_yield(sim *s) { suspend(s); }

void weft__sim_stir(sim *s)
{
    for (unsigned i = 0; i < s->thread_count; i++)
        if (s->threads[i]->state == SIM_POLLING)
            weft__sim_wake(s, s->threads[i]);
}

/* Lets everything happen that is due by now. */
static void catch_up(sim *s)
{
    int64_t next;

    while (weft__sim_event_next(s, &next) && next <= s->now_ns) {
        const sim_event e = weft__sim_event_take(s);

        weft__sim_happen(s, &e);
        weft__sim_stir(s);
    }
    for (unsigned i = 0; i < s->thread_count; i++) {
        sim_thread *t = s->threads[i];

        if (t->state != SIM_RUNNABLE && t->state != SIM_ENDED && t->deadline_ns <= s->now_ns) {
            weft__sim_note(s, "due", t->name, t->ordinal, t->deadline_ns);
            t->state = SIM_RUNNABLE; /* woken stays 0: its time is over */
        }
    }
}

/* A thread that waits runs all the same when there is a call for it. */
static int can_run(const sim_thread *t)
{
    return t->state == SIM_RUNNABLE || (t->state != SIM_ENDED && t->calls);
}

static sim_thread *draw(sim *s)
{
    unsigned runnable = 0;

    for (unsigned i = 0; i < s->thread_count; i++)
        runnable += (unsigned)can_run(s->threads[i]);
    if (runnable == 0)
        return NULL;
    uint64_t chosen = sim_random_below(&s->choices, runnable);
    for (unsigned i = 0;; i++)
        if (can_run(s->threads[i]) && chosen-- == 0)
            return s->threads[i];
}

/* Everybody waits: the clock jumps to what comes first. 0 if nothing ever comes. */
static int jump(sim *s)
{
    int64_t next = WEFT_NEVER, event;

    if (weft__sim_event_next(s, &event))
        next = event;
    for (unsigned i = 0; i < s->thread_count; i++)
        if (s->threads[i]->state != SIM_ENDED && s->threads[i]->deadline_ns < next)
            next = s->threads[i]->deadline_ns;
    if (next == WEFT_NEVER)
        return 0;
    weft__sim_note(s, "jump", "clock", next, next - s->now_ns);
    s->now_ns = next;
    return 1;
}

static void resume(sim *s, sim_thread *t)
{
    weft__sim_note(s, "run", t->name, t->ordinal, 0);
    s->running = t;
    weft__set_current(t->current);
    weft__set_thread_tag(t);
    weft__switch(&s->main, t->where, NULL, NULL);
    s->running = NULL;
    weft__set_current(NULL);
    weft__set_thread_tag(NULL);
    if (t->state == SIM_ENDED)
        free_stack(t);
}

enum weft_sim_outcome weft__sim_loop(sim *s)
{
    weft__context_adopt(&s->main);
    for (;;) {
        sim_thread *t;

        if (s->ended)
            return WEFT_SIM_ENDED;
        if (s->now_ns > s->opt.max_time_ns)
            return WEFT_SIM_LATE;
        if (s->steps >= s->opt.max_steps)
            return WEFT_SIM_STEPS;
        catch_up(s);
        t = draw(s);
        if (!t && !jump(s))
            return WEFT_SIM_DEADLOCK;
        if (!t)
            continue;
        s->steps++;
        weft__sim_pass(s, CHOICE_NS);
        resume(s, t);
    }
}

void weft__sim_describe_threads(sim *s, char *buf, size_t size)
{
    static const char *const states[] = {"can run", "is parked", "waits in its port", "waits for a thread to end", "polls",
                                         "waits for a thread to be interrupted", "has ended"};
    size_t used = 0;

    buf[0] = 0;
    for (unsigned i = 0; i < s->thread_count && used < size; i++) {
        const sim_thread *t = s->threads[i];
        char deadline[48] = "";
        int n;

        if (t->state == SIM_ENDED)
            continue;
        if (t->state != SIM_RUNNABLE && t->deadline_ns != WEFT_NEVER)
            snprintf(deadline, sizeof deadline, " until %lld ns", (long long)t->deadline_ns);
        n = snprintf(buf + used, size - used, "thread %u '%s' %s%s%s\n", t->ordinal, t->name, states[t->state],
                     t->state == SIM_RUNNABLE || t->deadline_ns != WEFT_NEVER ? "" : " without a deadline", deadline);
        used += n > 0 ? (size_t)n : 0;
    }
}
