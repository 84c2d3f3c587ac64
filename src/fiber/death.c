/* Ends of fibers that do not return. See death.h. */
#include "fiber/death.h"

#include <errno.h>

#include "base/check.h"

/* ---- stopping ---- */

void weft__fiber_kill(weft__fiber *f)
{
    if (f->foreign_stack && !f->stack && f->state != WEFT__NEWBORN)
        /* It stands on its thread's own stack: that cannot be taken from it, being cancelled has to do. */
        weft__interrupt(f);
    else if (f->cleaning != WEFT__CLEANING)
        weft__fiber_stop(f);
}

void weft__fiber_stop(weft__fiber *f)
{
    if (f->state == WEFT__ENDED || f->state == WEFT__DEAD || f->killed == 2)
        return;
    f->killed = 1;
    if (f->state == WEFT__WAITING && f->waiting == WEFT__WAIT_OP) {
        weft__await_cancel(f); /* its terminal completion makes it ready, and being ready ends it */
    } else if (f->state == WEFT__WAITING) {
        weft__wake(f, -ECANCELED);
    } else if (f->state == WEFT__NEWBORN && !weft__link_alone(&f->births)) {
        f->killed = 2;
        weft__link_remove(&f->births);
        f->result = -ECANCELED;
        weft__fiber_finish(f);
    }
}

/* ---- laying out ---- */

void weft__grave_add(weft__crew *crew, weft__stack *stack)
{
    if (!stack->slab) { /* the program's memory, perhaps in a sibling's stack: we only leave it */
        weft__stack_put(&weft__fibers_of(crew->home)->stacks, stack);
        return;
    }
    stack->next = crew->graves;
    crew->graves = stack;
}

int weft__fiber_has_rites(const weft__fiber *f) { return f->defers || weft__locals_any(f); }

/* A stack that a dead fiber rose on: nothing points there. */
static void leave_stack(weft__worker *w, weft__stack *stack)
{
    weft__fibers *fs = weft__fibers_of(w);
    if (stack == fs->last_stack)
        fs->last_stack = NULL;
    weft__stack_put(&fs->stacks, stack);
}

void weft__fiber_lay_out(weft__fiber *f)
{
    weft__worker *w = f->home;
    weft__crew *crew = f->crew;
    if (f->risen)
        leave_stack(w, f->stack);
    else
        weft__grave_add(crew, f->stack);
    f->stack = NULL;
    f->risen = 0;
    f->cleaning = WEFT__CLEANING_NOT;
    f->result = -ECANCELED;
    weft__fiber_over(f); /* clean-ups of others may wait for it, and its own turn may come after theirs */
    if (!weft__fiber_has_rites(f)) {
        weft__fiber_finish(f);
        return;
    }
    weft__expect_nothing(f);
    f->state = WEFT__DEAD;
    weft__link_remove(&f->siblings);
    weft__link_before(&crew->fibers, &f->siblings); /* where weft__fibers_clean looks */
    if (--crew->alive == 0)
        ((weft__fiber_realm *)w->rt->fibers)->hooks.emptied(crew);
}

void weft__fiber_die(weft__fiber *f)
{
    f->state = WEFT__WAITING;
    if (f->unwait) /* its wait was over, and it did not live to see it */
        f->unwait(f);
    f->unwait = NULL;
    if (weft__race_detain(f))
        return;
    weft__await_drop(f);
    weft__scopes_drop(f);
    weft__context_discard(&f->context);
    weft__fiber_lay_out(f);
}

/* ---- rising once more ---- */

/* On the worker's own context, whose stack it is. */
static void rested(void *arg)
{
    weft__fiber *f = arg;
    weft__fiber_lay_out(f);
}

static void rites(void *arg)
{
    weft__fiber *f = arg;
    int late = f->cleaning == WEFT__CLEANING_LATE;
    weft__scope shield = {.fiber = f, .shield = 1, .spent = (uint8_t)late};
    f->scopes = &shield;
    f->killed = (uint8_t)late; /* late: what suspends is stopped */
    weft__defers_run(f);
    weft__locals_destroy(f);
    f->scopes = NULL;
    weft__worker *w = weft__worker_self();
    weft__context gone = f->context;
    w->running = NULL;
    weft__switch_last(&gone, &w->context, rested, f);
}

/* A stack for it: a fresh one, or where there is none the worker's last. -EAGAIN: that is in use. */
static int take_stack(weft__worker *w, weft__stack **out)
{
    weft__fibers *fs = weft__fibers_of(w);
    int r = weft__stack_get(&fs->stacks, w->rt->opt.stack_size, out);
    if (r == 0)
        return 0;
    if (fs->last_stack)
        return -EAGAIN;
    r = weft__stack_supplied(&fs->last_stack, fs->last_memory, WEFT__LAST_STACK);
    *out = fs->last_stack;
    return r;
}

static int rise(weft__fiber *f, int late)
{
    weft__worker *w = f->home;
    int r = take_stack(w, &f->stack);
    if (r < 0)
        return r;
    f->stack->owner = f;
    weft__link_remove(&f->siblings);
    weft__link_before(f->crew->fibers.next, &f->siblings); /* out of the way of the next */
    f->risen = 1;
    f->killed = 0;
    f->cleaning = late ? WEFT__CLEANING_LATE : WEFT__CLEANING;
    f->deadline = WEFT_NEVER;
    f->state = WEFT__READY;
    f->crew->alive++;
    weft__context_make(&f->context, f->stack->lo, f->stack->size, rites, f);
    weft__worker_ready(w, &f->resume);
    return 1;
}

int weft__fibers_clean(weft__crew *crew, int late)
{
    weft__fiber *f = weft__container(crew->fibers.prev, weft__fiber, siblings); /* the dead lie at the end */
    return !weft__link_alone(&crew->fibers) && f->state == WEFT__DEAD ? rise(f, late) : 0;
}

void weft__fibers_hasten(weft__crew *crew)
{
    for (weft__link *l = crew->fibers.next, *next; l != &crew->fibers; l = next) {
        weft__fiber *f = weft__container(l, weft__fiber, siblings);
        next = l->next;
        if (f->risen) {
            f->cleaning = WEFT__CLEANING_LATE;
            weft__fiber_stop(f);
        }
    }
}

/* ---- burying ---- */

int weft__fibers_bury(weft__crew *crew, unsigned budget)
{
    weft__fibers *fs = crew->graves ? weft__fibers_of(crew->home) : NULL;
    while (crew->graves && budget-- > 0) {
        weft__stack *stack = crew->graves;
        crew->graves = stack->next;
        weft__stack_put(&fs->stacks, stack);
    }
    return crew->graves == NULL;
}
