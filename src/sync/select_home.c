/* Cases of a select that its own worker tells of: the ends of fibers and lanes, messages, I/O. Whoever tells nudges
 * the fiber, which looks, claims itself for what it finds and takes that when everything else has been left. Until
 * then a message lies in its mailbox, a buffer with its socket and a connection in the kernel, where others may take
 * them: then the select begins anew. So there is nothing that a select which is lost, cancelled or killed would have
 * to give back.
 *
 * I/O is asked for by POLL ops, one a case, which lie in the select's frame and all have ended before it is left
 * (fiber/race.c). */
#include <errno.h>

#include "sync/select.h"

/* ---- what they are about ---- */

static int find_joined(weft__selection *s, weft__node *n, weft_id id)
{
    weft__fiber *f;
    int r = weft__fiber_find(s->fiber->home, id, &f);
    if (r < 0)
        return r;
    if (f->crew != s->fiber->crew)
        return -EPERM;
    if (f == s->fiber)
        return -EDEADLK;
    if (f->detached)
        return -ESRCH;
    n->object = f;
    return f->joiner ? -EBUSY : 0;
}

static int find_child(weft__node *n, weft_id id)
{
    weft__lane *self, *lane;
    int r = weft__lane_find_child(id, 1, &self, &lane);
    if (r < 0)
        return r;
    if (lane->joiner || lane->supervised)
        return -EBUSY;
    n->object = lane;
    return lane->forgotten ? -ESRCH : 0;
}

static int find_io(weft__selection *s, weft__node *n, const weft_case *c)
{
    weft__resource *r;
    int accepts = c->kind == WEFT_CASE_ACCEPTABLE || c->kind == WEFT_CASE_ACCEPT;
    if ((c->kind == WEFT_CASE_BUFFER || c->kind == WEFT_CASE_ACCEPT) && !c->data)
        return -EINVAL;
    int result = weft__resource_find(c->id, accepts ? WEFT__KINDS_LISTENER : WEFT__KINDS_SOCKET, &r);
    if (result < 0)
        return result;
    if (!r->type->source)
        return -EINVAL;
    n->object = r;
    n->want = s->slots++;
    return c->kind == WEFT_CASE_READABLE && r->type->source->direct ? r->type->source->direct(r) : 0;
}

int weft__home_find(weft__selection *s, unsigned i)
{
    weft__node *n = &s->nodes[i];
    const weft_case *c = &s->cases[i];
    s->homes++;
    switch (c->kind) {
    case WEFT_CASE_JOIN:
        return find_joined(s, n, c->id);
    case WEFT_CASE_LANE:
        return find_child(n, c->id);
    case WEFT_CASE_MESSAGE:
        return c->data ? weft__mailbox_of(weft__lane_of(s->fiber->crew), &s->box) : -EINVAL;
    default:
        return find_io(s, n, c);
    }
}

static weft__fiber **joiner_of(const weft__selection *s, unsigned i)
{
    void *what = s->nodes[i].object;
    return s->cases[i].kind == WEFT_CASE_JOIN ? &((weft__fiber *)what)->joiner : &((weft__lane *)what)->joiner;
}

int weft__home_ready(const weft__selection *s, unsigned i)
{
    const void *what = s->nodes[i].object;
    switch (s->cases[i].kind) {
    case WEFT_CASE_JOIN:
        return ((const weft__fiber *)what)->state == WEFT__ENDED;
    case WEFT_CASE_LANE:
        return ((const weft__lane *)what)->told;
    case WEFT_CASE_MESSAGE:
        return weft__mail_await(s->box, NULL);
    case WEFT_CASE_BUFFER:
        return s->race.count && !s->ios[s->nodes[i].want].sitter.at;
    default:
        return s->race.count && s->racers[s->nodes[i].want].finished;
    }
}

/* ---- asking the kernel ---- */

static void fill_poll(weft_op *op, weft__handle *h, int kind)
{
    weft_op_poll(op, h->desc, kind == WEFT_CASE_WRITABLE ? WEFT_WRITABLE : WEFT_READABLE);
}

/* What came of a try: a cancelled select says so itself, everything else is the case's result. */
static int conclude_io(weft__selection *s, weft_case *c, int64_t r)
{
    if (r == -ECANCELED && weft__canceled(s->fiber))
        return -ECANCELED;
    c->result = (int)r;
    return 1;
}

static int64_t take_next(const weft_case *c)
{
    weft__resource *r;
    uint32_t kinds = c->kind == WEFT_CASE_ACCEPT ? WEFT__KINDS_LISTENER : WEFT__KINDS_SOCKET;
    if (weft__resource_find(c->id, kinds, &r) < 0)
        return -ECANCELED; /* closed while we waited */
    return r->type->source->next(c->id, c->data);
}

int weft__io_try(weft__selection *s, unsigned i)
{
    weft_case *c = &s->cases[i];
    int64_t r;
    if (c->kind == WEFT_CASE_BUFFER || c->kind == WEFT_CASE_ACCEPT) {
        r = take_next(c);
        return r == WEFT__NO_ITEM ? 0 : conclude_io(s, c, r);
    }
    weft__handle *h = weft__handle_of(s->nodes[i].object);
    weft_op op;
    fill_poll(&op, h, c->kind);
    r = weft__handle_await(h, &op, WEFT_NOW);
    if (r == -EAGAIN) /* at the lane's limit of ops */
        return -EAGAIN;
    return r == -ETIMEDOUT ? 0 : conclude_io(s, c, r);
}

/* ---- entering and leaving ---- */

/* Room for the ops. If that had to be waited for, what the cases are about must be looked up again; meanwhile the
 * room is kept for us, or two that wait for the same would let each other in for ever. */
static int charge(weft__selection *s, int64_t deadline)
{
    weft__account *a = s->fiber->crew->account;
    int r = a ? weft__account_charge(a, WEFT__CHARGE_OPS, s->io) : 0;
    if (r == 0 || !a->ops_wait)
        return r;
    r = weft__account_charge_by(a, WEFT__CHARGE_OPS, s->io, deadline);
    if (r < 0)
        return r;
    weft__account_reserve(s->fiber->home, a, WEFT__CHARGE_OPS, s->io);
    return WEFT__SELECT_AGAIN;
}

static int enter(weft__selection *s, unsigned i)
{
    const weft_case *c = &s->cases[i];
    if (c->kind == WEFT_CASE_JOIN || c->kind == WEFT_CASE_LANE) {
        *joiner_of(s, i) = s->fiber;
    } else if (c->kind == WEFT_CASE_MESSAGE && weft__link_alone(&s->mail.link)) {
        weft__mail_await(s->box, &s->mail);
    } else if (c->kind == WEFT_CASE_BUFFER) {
        weft__resource *r = s->nodes[i].object;
        int result = r->type->source->sit(r, &s->ios[s->nodes[i].want].sitter);
        return result < 0 ? result : 0;
    }
    return 0;
}

static int look(weft__waiter *wt);
static void rise(weft__waiter *wt);

int weft__homes_enter(weft__selection *s, int64_t deadline)
{
    int r = s->io ? charge(s, deadline) : 0;
    if (r < 0)
        return r;
    s->waiter.look = look;
    s->waiter.leave = rise;
    for (unsigned k = 0; k < s->io; k++)
        s->ios[k] = (weft__io){.sitter = {.fiber = s->fiber}};
    if (s->io) {
        weft__race_begin(&s->race, s->fiber, s->racers, s->io);
        weft__lane_stay(weft__lane_of(s->fiber->crew)); /* its ops' ends and requests are on their way to this worker */
    }
    if (s->box) {
        s->mail = (weft__receiver){.box = s->box, .fiber = s->fiber, .looks = 1};
        weft__link_init(&s->mail.link);
    }
    for (unsigned i = 0; i < s->n && r == 0; i++)
        if (weft__case_is_home(&s->cases[i]))
            r = enter(s, i);
    if (r < 0)
        weft__homes_leave(s);
    return r;
}

void weft__homes_start(weft__selection *s)
{
    for (unsigned k = 0; k < s->n; k++) {
        unsigned i = s->order[k];
        const weft_case *c = &s->cases[i];
        if (!weft__case_is_io(c) || c->kind == WEFT_CASE_BUFFER)
            continue;
        weft__io *io = &s->ios[s->nodes[i].want];
        weft__racer *racer = &s->racers[s->nodes[i].want];
        io->handle = weft__handle_of(s->nodes[i].object);
        io->gen = weft__handle_begin(io->handle);
        fill_poll(&racer->op, io->handle, c->kind);
        racer->op.through = io->handle;
        weft__race_start(racer, io->handle->port);
    }
}

/* All but the ops; the fiber may be dying. */
static void rise(weft__waiter *wt)
{
    weft__selection *s = weft__container(wt, weft__selection, waiter);
    wt->leave = NULL;
    for (unsigned i = 0; i < s->n; i++) {
        const weft_case *c = &s->cases[i];
        int join = c->kind == WEFT_CASE_JOIN || c->kind == WEFT_CASE_LANE;
        if (join && s->nodes[i].object && *joiner_of(s, i) == s->fiber)
            *joiner_of(s, i) = NULL;
        if (c->kind == WEFT_CASE_BUFFER && s->ios[s->nodes[i].want].sitter.at)
            ((weft__resource *)s->nodes[i].object)->type->source->rise(&s->ios[s->nodes[i].want].sitter);
    }
    if (s->box)
        weft__mail_forgo(&s->mail);
}

/* Who was nudged for a message that another has by now is not in line any more, and gets there again. */
static int has_come(weft__selection *s, unsigned i)
{
    if (s->cases[i].kind == WEFT_CASE_MESSAGE && weft__link_alone(&s->mail.link))
        return weft__mail_await(s->box, &s->mail);
    return weft__home_ready(s, i);
}

static int look(weft__waiter *wt)
{
    weft__selection *s = weft__container(wt, weft__selection, waiter);
    for (unsigned k = 0; k < s->n; k++) {
        unsigned i = s->order[k];
        if (weft__case_is_home(&s->cases[i]) && has_come(s, i))
            return weft__waiter_claim_self(wt, i);
    }
    return 0;
}

void weft__homes_leave(weft__selection *s)
{
    weft__fiber *f = s->fiber;
    rise(&s->waiter);
    if (!s->io)
        return;
    if (weft__load_relaxed(&s->waiter.done, "select.leave"))
        f->unwait = weft__waiter_give_up; /* it has been given something, which goes to others if it is killed now */
    weft__race_end(&s->race);
    f->unwait = NULL;
    s->race.count = 0;
    weft__lane_may_go(weft__lane_of(f->crew));
    for (unsigned k = 0; k < s->io; k++) {
        weft__racer *racer = &s->racers[k];
        if (s->ios[k].handle && !weft__handle_end(s->ios[k].handle, s->ios[k].gen) && racer->op.result == -EBADF)
            racer->op.result = -ECANCELED; /* it arrived at its port after the close */
    }
}

/* ---- the end ---- */

static int conclude_message(weft__selection *s, weft_case *c)
{
    weft__msg *m;
    int r = weft__mail_take(s->box, &m);
    if (r == -EAGAIN)
        return WEFT__SELECT_AGAIN;
    c->result = r;
    if (r == 0)
        *(weft_message **)c->data = &m->pub;
    return 0;
}

static int conclude_next(weft__selection *s, weft_case *c)
{
    int64_t r = take_next(c);
    if (r == WEFT__NO_ITEM)
        return WEFT__SELECT_AGAIN;
    int done = conclude_io(s, c, r);
    return done < 0 ? done : 0;
}

void weft__home_take(weft__selection *s, unsigned i)
{
    weft_case *c = &s->cases[i];
    void *what = s->nodes[i].object;
    if (c->kind == WEFT_CASE_JOIN) {
        c->result = ((weft__fiber *)what)->result;
        weft__fiber_free(what);
    } else if (c->kind == WEFT_CASE_LANE) {
        c->result = ((weft__lane *)what)->result;
        weft__lane_leave(what);
    } else {
        return;
    }
    for (unsigned k = 0; k < s->n; k++) /* other cases may be about the same one, whose record is another's now */
        if (s->cases[k].kind == c->kind && s->nodes[k].object == what)
            s->nodes[k].object = NULL;
}

int weft__home_conclude(weft__selection *s, unsigned i)
{
    weft_case *c = &s->cases[i];
    switch (c->kind) {
    case WEFT_CASE_JOIN:
    case WEFT_CASE_LANE:
        return 0;
    case WEFT_CASE_MESSAGE:
        return conclude_message(s, c);
    case WEFT_CASE_BUFFER:
        return conclude_next(s, c);
    default:
        c->result = (int)s->racers[s->nodes[i].want].op.result;
        return c->kind == WEFT_CASE_ACCEPT && c->result >= 0 ? conclude_next(s, c) : 0;
    }
}
