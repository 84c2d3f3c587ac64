/* What a worker has in its hands of a crew's fibers, put down and taken up: the part of a lane's move (lane/move.c)
 * that is the fibers'. Each function says whose thread it runs on; none of the crew's fibers runs meanwhile. */
#include "base/check.h"
#include "fiber/fiber.h"

static weft__fiber *fiber_at(weft__link *l) { return weft__container(l, weft__fiber, siblings); }

/* Takes so many fibers of the crew out of the queue of those that are ready. */
static void take_ready(weft__tasks *queue, const weft__crew *crew, unsigned n)
{
    weft_task **at = &queue->head, *t;
    while (n && (t = *at)) {
        if (t->run != weft__fiber_resume || weft__container(t, weft__fiber, resume)->crew != crew) {
            at = &t->next;
            continue;
        }
        *at = t->next;
        if (!t->next)
            queue->tail = at;
        n--;
    }
    WEFT_ASSERT(n == 0);
}

/* Its lazy timer is armed anew where it goes, if it waits until then; those of its scopes are taken along. 1: it is
 * ready. */
static int put_down(weft__worker *w, weft__fiber *f)
{
    if (f->state == WEFT__NEWBORN) {
        weft__link_remove(&f->births);
        return 0;
    }
    if (f->state == WEFT__ENDED)
        return 0;
    WEFT_ASSERT(f->state == WEFT__READY || f->state == WEFT__WAITING);
    weft__expect_nothing(f);
    for (weft__scope *s = f->scopes; s; s = s->parent)
        weft__timer_lift(w, &s->timer);
    return f->state == WEFT__READY;
}

void weft__crew_leave(weft__crew *crew)
{
    weft__worker *w = crew->home;
    unsigned ready = 0;
    if (crew->account)
        weft__account_end(crew->account); /* who reserved room has suspended */
    for (weft__link *l = crew->fibers.next; l != &crew->fibers; l = l->next)
        ready += (unsigned)put_down(w, fiber_at(l));
    take_ready(&w->ready, crew, ready);
}

void weft__crew_redirect(weft__crew *crew, weft__worker *w)
{
    for (weft__link *l = crew->fibers.next; l != &crew->fibers; l = l->next)
        weft__store_release(&fiber_at(l)->home, weft__bound_for(w), "crew.redirect"); /* pairs with weft__home_of */
    weft__store_release(&crew->home, weft__bound_for(w), "crew.redirect"); /* the last that its old home does to it */
}

static void take_up(weft__worker *w, weft__fiber *f)
{
    weft__store_release(&f->home, w, "crew.settle");
    if (f->state == WEFT__ENDED)
        return;
    if (f->state == WEFT__NEWBORN) {
        weft__fiber_queue(f);
        return;
    }
    for (weft__scope *s = f->scopes; s; s = s->parent)
        weft__timer_land(w, &s->timer);
    if (f->state == WEFT__READY)
        weft__worker_ready(w, &f->resume);
    else if (f->deadline != WEFT_NEVER)
        weft__timer_arm(w, &f->timer, f->deadline);
}

void weft__crew_settle(weft__crew *crew, weft__worker *w)
{
    weft__store_release(&crew->home, w, "crew.settle");
    for (weft__link *l = crew->fibers.next; l != &crew->fibers; l = l->next)
        take_up(w, fiber_at(l));
}
