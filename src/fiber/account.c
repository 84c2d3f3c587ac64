/* Accounts: charging, giving back, standing in line. Any worker; a reserve belongs to the worker whose fiber asked
 * for it.
 *
 * No room is lost: who stands in line is counted before it looks for room itself, who gives back does so before it
 * looks for somebody in line, both sequentially consistent. Who is served has been charged before it wakes; should
 * it die instead of waking, `leave` gives the charge back. */
#include "fiber/account.h"

#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "fiber/fiber.h"

void weft__account_init(weft__account *a, weft_runtime *rt, const weft_limits *limits, weft__account *above)
{
    memset((char *)a + sizeof a->head, 0, sizeof *a - sizeof a->head);
    a->rt = rt;
    a->above = above;
    a->limits = *limits;
    a->limit[WEFT__CHARGE_FIBERS] = limits->fibers;
    a->limit[WEFT__CHARGE_LANES] = limits->lanes;
    a->limit[WEFT__CHARGE_IDS] = limits->ids;
    a->limit[WEFT__CHARGE_OPS] = limits->ops;
    a->limit[WEFT__CHARGE_VAT] = limits->vat_bytes;
    for (unsigned i = 0; i < WEFT__CHARGE_KINDS; i++)
        weft__link_init(&a->queue[i]);
}

static int refusal(enum weft__charge_kind kind) { return kind == WEFT__CHARGE_VAT ? -ENOMEM : -EAGAIN; }

/* ---- one account ---- */

static int uncounted(const weft__account *a, enum weft__charge_kind kind) { return a->common && !a->limit[kind]; }

/* in_line: it is the turn of who asks. */
static int take(weft__account *a, enum weft__charge_kind kind, size_t n, int in_line)
{
    size_t limit = a->limit[kind], used;
    if (uncounted(a, kind))
        return 1;
    if (!in_line && limit && weft__load_relaxed(&a->waiting[kind], "account.barge"))
        return 0;
    used = weft__load_relaxed(&a->used[kind], "account.take");
    do
        if (limit && (n > limit || used > limit - n))
            return 0;
    while (!weft__cas_seq(&a->used[kind], &used, used + n, "account.take"));
    return 1;
}

/* On the stack of the fiber that stands in line. */
typedef struct seat {
    weft__link link;
    weft__account *account;
    enum weft__charge_kind kind;
    size_t n;
    weft__fiber *fiber;
    weft_id id;
    uint32_t served; /* atomic; set under the lock */
} seat;

/* Serves the first in line if there is room for it: 1 if it was. */
static int serve_one(weft__account *a, enum weft__charge_kind kind)
{
    weft__fiber *here = NULL;
    weft_id id = WEFT_NOID;
    int served = 0;
    weft__spin_lock(&a->lock);
    if (!weft__link_alone(&a->queue[kind])) {
        seat *s = weft__container(a->queue[kind].next, seat, link);
        served = take(a, kind, s->n, 1);
        if (served) {
            weft__link_remove(&s->link);
            weft__store_seq(&a->waiting[kind], a->waiting[kind] - 1, "account.serve");
            id = s->id;
            here = weft__is_here(&s->fiber->home) ? s->fiber : NULL;
            /* The seat may be gone from here on, unless its fiber is ours. */
            weft__store_release(&s->served, 1, "account.serve");
        }
    }
    weft__spin_unlock(&a->lock);
    if (here)
        weft__fiber_nudge(here);
    else if (served)
        weft__fiber_signal(a->rt, id, WEFT__SIG_NUDGE);
    return served;
}

static void serve(weft__account *a, enum weft__charge_kind kind)
{
    while (weft__load_seq(&a->waiting[kind], "account.serve") && serve_one(a, kind))
        ;
}

static void give(weft__account *a, enum weft__charge_kind kind, size_t n)
{
    if (uncounted(a, kind))
        return;
    /* Before the look at the queue; pairs with the count in stand_in_line. */
    weft__sub_seq(&a->used[kind], n, "account.give");
    serve(a, kind);
}

/* ---- the chain of accounts ---- */

/* Room that the running fiber had reserved and that is enough. */
static int use_reserve(weft__account *a, enum weft__charge_kind kind, size_t n)
{
    weft__worker *w = weft__worker_self();
    weft__reserve *r = w && w->fibers ? &weft__fibers_of(w)->reserve : NULL;
    if (!r || r->account != a || r->kind != kind || r->n < n)
        return 0;
    r->n -= n;
    if (!r->n)
        r->account = NULL;
    return 1;
}

int weft__account_charge(weft__account *a, enum weft__charge_kind kind, size_t n)
{
    if (!a || use_reserve(a, kind, n))
        return 0;
    if (!take(a, kind, n, 0))
        return refusal(kind);
    if (!a->above || take(a->above, kind, n, 0))
        return 0;
    give(a, kind, n);
    return refusal(kind);
}

void weft__account_force(weft__account *a, enum weft__charge_kind kind, size_t n)
{
    for (; a; a = a->above)
        if (!uncounted(a, kind))
            weft__add_seq(&a->used[kind], n, "account.force");
}

void weft__account_discharge(weft__account *a, enum weft__charge_kind kind, size_t n)
{
    for (; a; a = a->above)
        give(a, kind, n);
}

/* ---- waiting ---- */

/* The wait ends by a deadline, a cancel or a kill; the last may come after the seat was served. Home of f. */
static void leave(weft__fiber *f)
{
    seat *s = f->waits_on;
    weft__account *a = s->account;
    weft__spin_lock(&a->lock);
    int served = (int)weft__load_relaxed(&s->served, "account.leave");
    if (!served) {
        weft__link_remove(&s->link);
        weft__store_seq(&a->waiting[s->kind], a->waiting[s->kind] - 1, "account.leave");
    }
    weft__spin_unlock(&a->lock);
    if (served)
        give(a, s->kind, s->n);
    else
        serve(a, s->kind); /* who stood behind may want less */
}

static int stand_in_line(weft__fiber *f, weft__account *a, enum weft__charge_kind kind, size_t n, int64_t deadline)
{
    seat s = {.account = a, .kind = kind, .n = n, .fiber = f, .id = weft__fiber_id(f)};
    weft__spin_lock(&a->lock);
    weft__link_before(&a->queue[kind], &s.link);
    /* Before the look for room; pairs with the sub in give. */
    weft__store_seq(&a->waiting[kind], a->waiting[kind] + 1, "account.line");
    weft__spin_unlock(&a->lock);
    serve(a, kind);
    f->waits_on = &s;
    while (!weft__load_acquire(&s.served, "account.line")) {
        f->unwait = leave;
        int r = weft__wait(f, WEFT__WAIT_NUDGE, deadline);
        if (r < 0)
            return r;
        if (weft__canceled(f)) { /* after the nudge, which was the last that a cancel could have ended */
            f->unwait = NULL;
            leave(f);
            return -ECANCELED;
        }
    }
    f->unwait = NULL;
    return 0;
}

static int charge_one(weft__account *a, enum weft__charge_kind kind, size_t n, int64_t deadline)
{
    weft__fiber *f = weft__fiber_self();
    if (take(a, kind, n, 0))
        return 0;
    if (!f || !deadline || n > a->limit[kind])
        return refusal(kind);
    if (weft__canceled(f))
        return weft__refuse(f, -ECANCELED);
    if (deadline <= f->home->now_ns)
        return weft__refuse(f, refusal(kind));
    return stand_in_line(f, a, kind, n, deadline);
}

int weft__account_charge_by(weft__account *a, enum weft__charge_kind kind, size_t n, int64_t deadline)
{
    if (!a || use_reserve(a, kind, n))
        return 0;
    int r = charge_one(a, kind, n, deadline);
    if (r < 0 || !a->above)
        return r;
    r = charge_one(a->above, kind, n, deadline);
    if (r < 0)
        give(a, kind, n);
    return r;
}

/* ---- reserves ---- */

static void release(weft__reserve *r)
{
    weft__account *a = r->account;
    r->account = NULL;
    weft__account_discharge(a, r->kind, r->n);
}

/* Runs once the fiber that reserved has suspended. */
static void reserve_over(weft_task *t)
{
    weft__reserve *r = weft__container(t, weft__reserve, task);
    r->queued = 0;
    release(r);
}

void weft__account_reserve(weft__worker *w, weft__account *a, enum weft__charge_kind kind, size_t n)
{
    weft__reserve *r = &weft__fibers_of(w)->reserve;
    release(r);
    *r = (weft__reserve){.task = r->task, .account = a, .kind = kind, .n = n, .queued = r->queued};
    if (r->queued)
        return;
    r->queued = 1;
    r->task.run = reserve_over;
    weft__worker_ready(w, &r->task);
}

void weft__account_end(weft__account *a)
{
    weft__worker *w = weft__worker_self();
    weft__reserve *r = w && w->fibers ? &weft__fibers_of(w)->reserve : NULL;
    if (r && r->account == a)
        release(r);
}
