/* Several ops at once, of which a fiber waits for whichever ends first, perhaps beside other things. All of it lies
 * in the fiber's frame, so the fiber does not leave that, dead or alive, before each op that was started has had its
 * terminal completion and no request of ours is under way (DESIGN rule 3). Home-thread code, but for asked_at_port. */
#include <errno.h>

#include "base/check.h"
#include "fiber/fiber.h"

static int is_busy(const weft__racer *r) { return r->started && (!r->finished || r->requested); }

int weft__race_busy(const weft__race *race)
{
    for (unsigned i = 0; i < race->count; i++)
        if (is_busy(&race->racers[i]))
            return 1;
    return 0;
}

/* Something has ended. Who waits among other things looks; who waits for all of them goes on with the last, and
 * whoever is to be asked about its wait if it is killed now, still is. */
static void settle(weft__race *race)
{
    weft__fiber *f = race->await.fiber;
    if (f->waiting >= WEFT__WAIT_NUDGE) {
        weft__fiber_nudge(f);
    } else if (f->waiting == WEFT__WAIT_OP && !weft__race_busy(race)) {
        void (*unwait)(weft__fiber *) = f->unwait;
        weft__wake(f, 0);
        f->unwait = unwait;
    }
}

static void racer_done(weft_task *t)
{
    weft__racer *r = weft__container(t, weft__racer, op.task);
    r->finished = 1;
    settle(r->race);
}

void weft__race_begin(weft__race *race, weft__fiber *f, weft__racer *racers, unsigned count)
{
    weft__account *account = f->crew->account;
    race->await = (weft__await){.op = &racers[0].op, .fiber = f, .account = account, .count = count, .race = race};
    race->racers = racers;
    race->count = count;
    for (unsigned i = 0; i < count; i++) {
        racers[i].race = race;
        racers[i].op.code = WEFT_OP_POLL; /* for reports, started or not */
        racers[i].started = racers[i].finished = racers[i].asked = racers[i].requested = 0;
    }
    f->await = &race->await;
}

void weft__race_start(weft__racer *r, weft_port *port)
{
    weft__fiber *f = r->race->await.fiber;
    weft__worker *w = f->home;
    int here = w->owns_port && (!port || port == w->port);
    r->port = port ? port : w->port;
    r->here = (uint8_t)here;
    r->op.task.run = racer_done;
    r->op.origin = here ? NULL : w;
    r->op.submitter = f->name;
    r->started = 1;
    weft__count(&w->stats.ops, 1);
    if (!here) {
        weft__port_start_remote(r->port, &r->op);
        return;
    }
    weft__port_start(w->port, &r->op);
    if (r->op.state == WEFT_OP_DONE) /* within the start: nobody is told */
        r->finished = 1;
}

static void asked(weft_task *t)
{
    weft__racer *r = weft__container(t, weft__racer, request.task);
    r->requested = 0;
    settle(r->race);
}

/* On the port's thread. */
static void asked_at_port(weft__cancel_request *req)
{
    weft__racer *r = weft__container(req, weft__racer, request);
    req->task.run = asked;
    weft__worker_send(r->race->await.fiber->home, &req->task);
}

void weft__race_ask(weft__race *race)
{
    for (unsigned i = 0; i < race->count; i++) {
        weft__racer *r = &race->racers[i];
        if (!r->started || r->finished || r->asked)
            continue;
        r->asked = 1;
        if (r->here) {
            weft__port_cancel(r->port, &r->op);
            continue;
        }
        r->requested = 1;
        r->request.op = &r->op;
        r->request.done = asked_at_port;
        weft__port_cancel_remote(r->port, &r->request);
    }
}

void weft__race_end(weft__race *race)
{
    weft__fiber *f = race->await.fiber;
    weft__race_ask(race);
    while (weft__race_busy(race)) {
        f->waiting = WEFT__WAIT_OP;
        f->state = WEFT__WAITING;
        f->timed_out = 0;
        f->deadline = WEFT_NEVER;
        weft__suspend(f->home, f);
    }
    f->await = NULL;
    if (race->await.account)
        weft__account_discharge(race->await.account, WEFT__CHARGE_OPS, race->count);
}

int weft__race_detain(weft__fiber *f)
{
    weft__race *race = f->await ? f->await->race : NULL;
    if (!race || !weft__race_busy(race))
        return 0;
    f->waiting = WEFT__WAIT_OP;
    f->deadline = WEFT_NEVER;
    weft__race_ask(race);
    return 1;
}
