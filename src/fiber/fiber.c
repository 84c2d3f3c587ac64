/* Birth, running and end of fibers. Home-thread code throughout.
 *
 * A newborn holds a record and no stack. The worker's `births` task starts newborns newest first, so that few stacks
 * are alive and those are warm; every 16th is the oldest, so that none starves. A fiber that ends looks for the next
 * newborn itself and runs it on the stack it stands on: spawn, run and end of an empty fiber then cost no switch at
 * all. */
#include "fiber/fiber.h"

#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "fiber/contain.h"
#include "fiber/death.h"
#include "fiber/graph.h"
#include "sched/text.h"

enum { OLDEST_TURN = 16 };

static weft__fiber_realm *realm_of(weft__worker *w) { return w->rt->fibers; }

void weft__crew_init(weft__crew *crew, weft__worker *home)
{
    memset((char *)crew + sizeof crew->home, 0, sizeof *crew - sizeof crew->home);
    weft__store_relaxed(&crew->home, home, "crew.make"); /* who has the record's old id may be looking */
    weft__link_init(&crew->fibers);
}

/* ---- birth ---- */

static int count_in(weft__crew *crew, const weft_spawn_options *opt)
{
    if (!crew->account)
        return 0;
    if (crew->prepaid) {
        crew->prepaid = 0;
        return 0;
    }
    int64_t wait = opt ? opt->wait : 0;
    int r = weft__stack_admit(crew->account, crew->home->rt, crew, wait);
    return r < 0 ? r : weft__account_charge_by(crew->account, WEFT__CHARGE_FIBERS, 1, wait);
}

static void count_out(weft__crew *crew)
{
    if (crew->account)
        weft__account_discharge(crew->account, WEFT__CHARGE_FIBERS, 1);
}

/* What follows a newborn's charge. 0 or -ENOMEM. */
__attribute__((always_inline)) static inline int enter_crew(weft__crew *crew, int (*fn)(void *), void *arg, const weft_spawn_options *opt,
                                                            const char *name, const char *site, weft__fiber **out)
{
    weft__worker *w = crew->home;
    weft__fiber *f = weft__slab_get(&weft__fibers_of(w)->cache);
    if (!f)
        return -ENOMEM;
    weft__link_init(&f->births);
    f->fn = fn;
    f->arg = arg;
    f->stack_size = opt && opt->stack_size ? opt->stack_size : w->rt->opt.stack_size;
    f->stack_lo = opt ? opt->stack : NULL;
    f->resume.run = weft__fiber_resume;
    f->head.message.run = weft__fiber_message;
    f->foreign_stack = f->stack_lo != NULL;
    f->crew = crew;
    weft__store_relaxed(&f->home, w, "fiber.make");
    f->unwait = NULL;
    f->stack = NULL;
    f->joiner = NULL;
    f->newborn = NULL;
    f->name = opt && opt->name ? opt->name : name;
    f->site = site;
    f->mobile = crew->mobile;
    f->result = 0;
    f->locks = 0;
    /* A look for circles may have taken it for a holder. */
    weft__store_relaxed(&f->edge, (struct weft__edge *)NULL, "fiber.make");
    f->state = WEFT__NEWBORN;
    f->waiting = WEFT__WAIT_NONE;
    f->killed = crew->killed;
    f->seen = f->timed_out = 0;
    f->cancelled = f->token = f->risen = f->ran = 0;
    f->cleaning = WEFT__CLEANING_NOT;
    f->defers = NULL;
    f->detached = (uint8_t)(opt && opt->detached);
    weft__link_before(&crew->fibers, &f->siblings);
    weft__slab_begin(&f->head);
    crew->alive++;
    weft__count(&w->stats.fibers_spawned, 1);
    *out = f;
    return 0;
}

static weft__slab_cache *newborns_here(weft_runtime *rt)
{
    weft__fibers *here = weft__fibers_here(rt);
    return here ? &here->newborn : NULL;
}

__attribute__((always_inline)) static inline weft__newborn *fill(weft__newborn *b, int (*fn)(void *), void *arg, size_t copy)
{
    if (!b)
        return NULL;
    b->fn = fn;
    b->arg = arg;
    b->copied = copy;
    b->stack_size = 0;
    if (copy)
        memcpy(b->copy, arg, copy);
    return b;
}

weft__newborn *weft__newborn_make(weft_runtime *rt, int (*fn)(void *), void *arg, size_t copy)
{
    weft__slab_cache *here = newborns_here(rt);
    return fill(here ? weft__slab_get(here) : weft__slab_get_shared(&((weft__fiber_realm *)rt->fibers)->newborns), fn, arg, copy);
}

void weft__newborn_free(weft_runtime *rt, weft__newborn *b)
{
    weft__slab_cache *here = newborns_here(rt);
    if (here)
        weft__slab_put(here, b);
    else
        weft__slab_put_shared(&((weft__fiber_realm *)rt->fibers)->newborns, b);
}

__attribute__((always_inline)) static inline int make(weft__crew *crew, int (*fn)(void *), void *arg, size_t copy, const weft_spawn_options *opt,
                                                      const char *name, const char *site, weft__fiber **out)
{
    int r = count_in(crew, opt); /* may wait */
    if (r < 0)
        return r;
    weft__slab_cache *pool = &weft__fibers_of(crew->home)->newborn;
    weft__newborn *b = copy ? fill(weft__slab_get(pool), fn, arg, copy) : NULL;
    r = copy && !b ? -ENOMEM : enter_crew(crew, fn, arg, opt, name, site, out);
    if (r == 0) {
        (*out)->newborn = b;
        return 0;
    }
    count_out(crew);
    if (b)
        weft__slab_put(pool, b);
    return r;
}

int weft__fiber_make(weft__crew *crew, int (*fn)(void *), void *arg, size_t copy, const weft_spawn_options *opt, const char *name,
                     const char *site, weft__fiber **out)
{
    return make(crew, fn, arg, copy, opt, name, site, out);
}

int weft__fiber_make_of(weft__crew *crew, weft__newborn *b, const weft_spawn_options *opt, const char *name, const char *site,
                        weft__fiber **out)
{
    int r = count_in(crew, opt);
    if (r < 0)
        return r;
    r = enter_crew(crew, b->fn, b->arg, opt, name, site, out);
    if (r < 0)
        count_out(crew);
    else if (b->copied)
        (*out)->newborn = b;
    else
        weft__slab_put(&weft__fibers_of(crew->home)->newborn, b);
    return r;
}

/* ---- the queue of newborns ---- */

void weft__fiber_queue(weft__fiber *f)
{
    weft__fibers *fs = weft__fibers_of(f->crew->home);
    weft__link_before(fs->newborns.next, &f->births);
    if (!fs->births_queued) {
        fs->births_queued = 1;
        weft__worker_ready(fs->worker, &fs->births);
    }
}

int weft__fiber_spawn(weft__fiber *self, int (*fn)(void *), void *arg, const weft_spawn_options *opt, const char *name, const char *site,
                      weft__fiber **out)
{
    size_t copy = opt ? opt->copy : 0;
    if (!fn || copy > WEFT_COPY_MAX || (copy && !arg))
        return -EINVAL;
    if (opt && ((opt->stack_size && opt->stack_size < WEFT_STACK_MIN) || (opt->stack && !opt->stack_size)))
        return -EINVAL;
    if (self->crew->killed) /* nothing is born in a killed lane */
        return weft__refuse(self, -ECANCELED);
    int r = make(self->crew, fn, arg, copy, opt, name, site, out);
    if (r == 0)
        weft__fiber_queue(*out);
    return r;
}

static weft__fiber *next_newborn(weft__fibers *fs)
{
    if (weft__link_alone(&fs->newborns))
        return NULL;
    int oldest = ++fs->turns % OLDEST_TURN == 0;
    weft__link *l = oldest ? fs->newborns.prev : fs->newborns.next;
    weft__link_remove(l);
    return weft__container(l, weft__fiber, births);
}

/* ---- running ---- */

/* The scope's storage was in a frame that is gone, and its timer may point there: nothing can be saved (DESIGN rule
 * 13). */
_Noreturn void weft__left_inside_scope(const weft__fiber *f)
{
    char text[512];
    size_t n = weft__format(text, sizeof text, "weft: fiber \"%s\" of lane \"%s\" (spawned at %s) returned inside a scope or shield: leave it first",
                            f->name, f->crew->name, f->site);
    weft__panic_text(text, n < sizeof text ? n : sizeof text - 1);
}

/* The newborn runs: what it brought along has been taken. */
static void begin(weft__fiber *f)
{
    if (f->newborn)
        weft__slab_put(&weft__fibers_of(f->home)->newborn, f->newborn);
    f->timer.link.next = NULL;
    f->timer.deadline_ns = WEFT_NEVER;
    f->timer.fire = weft__fiber_timer;
    f->locals = NULL;
    f->await = NULL;
    f->scopes = NULL;
    f->deadline = WEFT_NEVER;
    f->state = WEFT__RUNNING;
    f->ran = 1;
}

__attribute__((noinline)) void weft__fiber_body(weft__fiber *f)
{
    _Alignas(16) unsigned char copy[WEFT__COPY_MAX];
    int (*fn)(void *) = f->fn;
    void *arg = f->newborn ? memcpy(copy, f->newborn->copy, f->newborn->copied) : f->arg;
    begin(f);
    int result = fn(arg);
    if (f->scopes)
        weft__left_inside_scope(f);
    if (!f->killed) { /* else its clean-ups wait for their turn in the order of the lane's death */
        if (f->defers)
            weft__defers_on_return(f);
        weft__locals_destroy(f);
#ifdef WEFT_CHECKED
        realm_of(f->home)->hooks.left(f);
#endif
    }
    f->result = result; /* not before: while it may wait there is what waits answer */
}

/* Everything that ends with a fiber except its stack. The record may be gone afterwards. 1: it was the crew's last. */
static int finish_books(weft__fiber *f)
{
    weft__worker *w = f->crew->home;
    weft__crew *crew = f->crew;
    weft__fiber_realm *realm = realm_of(w);
    if (f->ran) {
        weft__timer_cancel(w, &f->timer);
        if (f->locals)
            weft__locals_drop(f);
    } else if (f->newborn) {
        weft__slab_put(&weft__fibers_of(w)->newborn, f->newborn);
    }
    f->state = WEFT__ENDED;
    f->stack = NULL;
    crew->alive--;
    weft__count(&w->stats.fibers_ended, 1);
    count_out(crew);
    if (f->edge)
        weft__graph_remove(f->edge);
    if (f->locks)
        weft__held_orphan(f);
    weft__fiber_over(f);
    if (realm->hooks.ended)
        realm->hooks.ended(crew, f);
    if (f->joiner)
        weft__wake_joiner(f->joiner);
    else if (f->detached)
        weft__fiber_free(f);
    return crew->alive == 0;
}

void weft__fiber_finish(weft__fiber *f)
{
    weft__crew *crew = f->crew;
    weft__fiber_realm *realm = realm_of(crew->home);
    if (finish_books(f))
        realm->hooks.emptied(crew);
}

void weft__fiber_free(weft__fiber *f)
{
    weft__worker *w = f->home;
    weft__link_remove(&f->siblings);
    if (weft__slab_end(&realm_of(w)->slab, f, f->seen) & WEFT__SIG_PENDING) {
        f->detached = WEFT__ORPHAN; /* a message under way still carries this record: its arrival frees it */
        weft__add_relaxed(&w->load, 1, "fiber.orphan"); /* and this worker must be there to take it */
    } else {
        weft__slab_put(&weft__fibers_of(w)->cache, f);
    }
}

/* What a fiber that ended stood on; `owner` is its worker. */
static void leave_stack(void *arg)
{
    weft__stack *stack = arg;
    weft__stack_leave(&weft__fibers_of(stack->owner)->stacks, stack);
}

static int same_stack(const weft__fiber *a, const weft__fiber *b)
{
    return a->stack && !a->foreign_stack && !b->stack_lo && a->stack->asked == b->stack_size;
}

/* The newborn that may run on the stack of the fiber which just ended, or NULL. */
static weft__fiber *successor(weft__worker *w, weft__fiber *ended)
{
    weft__fibers *fs = weft__fibers_of(w);
    if (w->budget <= 0 || weft__link_alone(&fs->newborns))
        return NULL;
    weft__fiber *f = weft__container(fs->newborns.next, weft__fiber, births);
    if (f->killed || !same_stack(ended, f) || (fs->turns + 1) % OLDEST_TURN == 0)
        return NULL;
    fs->turns++;
    weft__link_remove(&f->births);
    weft__worker_spend(w);
    return f;
}

/* On the worker's own context: the crew's last fiber has left this stack. */
static void left_last(void *arg)
{
    weft__stack *stack = arg;
    weft__crew *crew = stack->owner;
    if (crew->killed)
        weft__grave_add(crew, stack);
    else
        weft__stack_put(&weft__fibers_of(crew->home)->stacks, stack);
    realm_of(crew->home)->hooks.emptied(crew);
}

static void killed_and_returned(void *arg)
{
    weft__stack *stack = arg;
    weft__fiber_lay_out(stack->owner);
}

/* Ends a fiber that stands on its stack: its books, and the way to what is next. A crew's end runs on the worker's own
 * context, when no stack of it is in use any more. */
static weft__way depart(weft__worker *w, weft__fiber *f, weft__stack *stack)
{
    weft__crew *crew = f->crew;
    w->running = NULL;
    if (f->killed && weft__fiber_has_rites(f))
        return (weft__way){&w->context, killed_and_returned};
    if (finish_books(f)) {
        stack->owner = crew;
        return (weft__way){&w->context, left_last};
    }
    if (crew->killed && stack->slab) {
        /* A stack is not used again before its crew is buried, so it may be stood upon a little longer. */
        weft__grave_add(crew, stack);
        return (weft__way){weft__fiber_next(w), NULL};
    }
    stack->owner = w;
    return (weft__way){weft__fiber_next(w), leave_stack};
}

/* What runs on a stack: the fiber that owns it, and those that follow there. */
static weft__way stand(void *arg)
{
    weft__stack *stack = arg;
    weft__fiber *f = stack->owner;
    for (;;) {
        weft__fiber_body(f);
        weft__worker *w = weft__worker_self();
        weft__fiber *next = f->crew->alive > 1 && !f->crew->killed ? successor(w, f) : NULL;
        if (!next)
            return depart(w, f, stack);
        next->context = f->context;
        finish_books(f);
        next->stack = stack;
        stack->owner = next;
        w->running = f = next;
    }
}

#if !WEFT__SWITCH_WAYS
static void entry(void *arg)
{
    weft__context gone = ((weft__fiber *)((weft__stack *)arg)->owner)->context;
    weft__way way = stand(arg);
    weft__switch_last(&gone, way.to, way.after, arg);
}
#endif

/* Gives a newborn its stack. -ENOMEM. */
static int dress(weft__worker *w, weft__fiber *f)
{
    int r = f->stack_lo ? weft__stack_supplied(&f->stack, f->stack_lo, f->stack_size)
                        : weft__stack_take(&weft__fibers_of(w)->stacks, f->stack_size, &f->stack);
    if (r < 0)
        return r;
    f->stack->owner = f;
#if WEFT__SWITCH_WAYS
    weft__context_make_way(&f->context, f->stack->lo, f->stack->size, stand, f->stack);
#else
    weft__context_make(&f->context, f->stack->lo, f->stack->size, entry, f->stack);
#endif
    return 0;
}

static void enter(weft__worker *w, weft__fiber *f)
{
    w->running = f;
    weft__count(&w->stats.switches, 1);
    weft__switch(&w->context, &f->context, NULL, NULL);
    w->running = NULL;
}

void weft__fiber_begin(weft__worker *w, weft__fiber *f)
{
    int r = f->killed ? -ECANCELED : dress(w, f);
    if (r < 0) { /* it never runs: that is its result */
        f->result = r;
        weft__fiber_finish(f);
        return;
    }
    enter(w, f);
}

/* A newborn was taken: if there are more, the births task goes to the end of the queue, so that newborns and woken
 * fibers take turns. */
static void bear_on(weft__fibers *fs)
{
    fs->births_queued = !weft__link_alone(&fs->newborns);
    if (fs->births_queued)
        weft__worker_ready(fs->worker, &fs->births);
}

void weft__births(weft_task *t)
{
    weft__fibers *fs = weft__container(t, weft__fibers, births);
    weft__fiber *f = next_newborn(fs);
    bear_on(fs);
    if (f)
        weft__fiber_begin(fs->worker, f);
}

/* The births task is at the head of the FIFO: the newborn whose turn it is, with a stack, or NULL for the worker's
 * own context to go on. One that is never to run is left for that: its lane may end with it, which is nothing to do
 * on another fiber's stack. */
static __attribute__((noinline)) weft__fiber *deliver(weft__worker *w)
{
    weft__fibers *fs = weft__fibers_of(w);
    weft__fiber *f = next_newborn(fs);
    if (f && (f->killed || dress(w, f) < 0)) {
        weft__link_before(fs->newborns.next, &f->births);
        return NULL;
    }
    weft__tasks_pop(&w->ready);
    bear_on(fs);
    return f;
}

weft__context *weft__fiber_turn(weft__worker *w)
{
    weft_task *t = w->ready.head;
    weft__fiber *f = NULL;
    if (!t || w->budget <= 0 || weft__worker_oldest_due(w))
        return &w->context;
    if (t->run == weft__fiber_resume) {
        f = weft__container(t, weft__fiber, resume);
        if (f->killed)
            return &w->context;
        weft__tasks_pop(&w->ready);
    } else if (t->run == weft__births) {
        f = deliver(w);
        if (!f)
            return &w->context;
    } else {
        return &w->context;
    }
    return weft__fiber_go(w, f);
}

void weft__fiber_resume(weft_task *t)
{
    weft__fiber *f = weft__container(t, weft__fiber, resume);
    weft__worker *w = f->crew->home;
    if (f->killed) {
        weft__fiber_die(f);
        return;
    }
    f->state = WEFT__RUNNING;
    enter(w, f);
}

void weft__fiber_adopt(weft__worker *w, weft__fiber *f)
{
    f->foreign_stack = 1;
    begin(f);
    w->running = f;
}
