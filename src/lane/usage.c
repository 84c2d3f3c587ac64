/* What a lane has of each thing that its limits bound, whether or not it has limits. Counted when asked, from
 * the lane's own lists: nothing is kept for this. Who asks for another lane's sends an inquiry to its home
 * worker, which answers between two turns of its fibers; the record of that belongs to both, for the asker may
 * be gone before the answer comes. */
#include <errno.h>

#include <weft/link.h>

#include "base/check.h"
#include "fiber/contain.h"
#include "lane/realm.h"
#include "lane/vat.h"

static uint32_t length(const weft__link *list)
{
    uint32_t n = 0;
    for (const weft__link *l = list->next; l != list; l = l->next)
        n++;
    return n;
}

static uint32_t ops_of(weft__crew *crew)
{
    uint32_t n = 0;
    for (const weft__link *l = crew->fibers.next; l != &crew->fibers; l = l->next) {
        const weft__fiber *f = weft__container(l, weft__fiber, siblings);
        n += f->state == WEFT__WAITING && (f->waiting == WEFT__WAIT_OP || f->waiting == WEFT__WAIT_READY);
    }
    return n;
}

/* On the lane's home. */
static void count(weft__lane *lane, weft_limits *out)
{
    weft__mailbox *box = weft__load_acquire(&lane->mail, "usage.mail");
    size_t stacks;
    *out = (weft_limits){.fibers = lane->crew.alive, .ops = ops_of(&lane->crew)};
    if (box && !weft__is_mark(box)) {
        weft__spin_lock(&box->lock);
        out->messages = box->count;
        out->message_bytes = box->bytes;
        weft__spin_unlock(&box->lock);
    }
    if (lane->vat && !weft__vat_promised(lane->vat))
        out->vat_bytes = lane->vat->held;
    weft__resources_arrive(lane);
    out->ids = length(&lane->resources);
    out->stack_bytes = weft__crew_stack_bytes(&lane->crew, &stacks);
    out->lanes = weft__lane_count_children(lane);
}

int weft_lane_usage(weft_limits *out)
{
    weft__lane *lane = weft__lane_self();
    if (!lane)
        return -EPERM;
    if (!out)
        return -EINVAL;
    count(lane, out);
    return 0;
}

/* ---- another lane's ---- */

static int lives(const weft__lane *lane, weft_id id)
{
    return weft__slab_is(weft__load_acquire(&lane->head.word, "usage.lives"), id.gen);
}

/* Whether the lane is below ours. A living lane's ancestors live, and stay its ancestors:
 * so if it is alive afterwards, all of them were as we went up. */
static int is_below(const weft__lane *lane, weft_id id, const weft__lane *self)
{
    const weft__lane *above = lane;
    while (above && above != self)
        above = weft__load_acquire(&above->parent, "usage.above");
    return above == self && lives(lane, id);
}

static int may_ask(weft__lane *self, weft_id id, weft__lane **out)
{
    if (id.ns != WEFT__NS(self->rt, WEFT__LANE))
        return weft__id_refused(self->rt, id);
    weft__lane *lane = weft__slab_at(&weft__lanes_of(self->rt)->lanes, id.key);
    if (!lane || !lives(lane, id))
        return -ESRCH;
    *out = lane;
    if (is_below(lane, id, self) || weft__tie_right(self, id, WEFT_RIGHT_LOOK))
        return 0;
    return lives(lane, id) ? -EPERM : -ESRCH;
}

/* At home here, and not over: then it stays so while we look. 0; -ESRCH it has ended; -EAGAIN it is elsewhere, or not
 * born. Its generation is looked at before and after, for the home that is seen in between may be another life's. */
static int is_here(const weft__lane *lane, weft_id id)
{
    if (!lives(lane, id))
        return -ESRCH;
    int here = weft__is_here(&lane->crew.home), ended = weft__load_acquire(&lane->phase, "usage.phase") >= WEFT__LANE_BURYING;
    if (!lives(lane, id) || ended)
        return -ESRCH;
    return here ? 0 : -EAGAIN;
}

static weft__slab_cache *pool(void) { return &weft__lane_pools_of(weft__worker_self())->inquiries; }

static void drop(weft__inquiry *q)
{
    if (weft__sub_acq_rel(&q->refs, 1, "usage.drop") == 1)
        weft__slab_put(pool(), q);
}

/* The asker reads it, or will never: then it is dropped twice. */
static void answer(weft__inquiry *q, int result)
{
    weft_runtime *rt = q->rt;
    weft_id asker = q->asker;
    q->result = result;
    weft__store_release(&q->answered, 1, "usage.answer"); /* pairs with the acquire in await */
    weft__fiber_signal(rt, asker, WEFT__SIG_NUDGE);
    drop(q);
}

/* To wherever the lane is now; nobody: it is not born and has nothing. A worker that is to leave is
 * asked as well, since it has lanes still: it goes once the record of the last is free, and waits then
 * for who is in here and saw it in use. */
static void send(weft__inquiry *q)
{
    weft_runtime *rt = q->rt;
    /* Before the look at the record; pairs with the wait in weft__worker_retire. */
    weft__add_seq(&rt->guests, 1, "usage.guest");
    weft__worker *home = weft__home_of(&q->lane->crew.home);
    int gone = !lives(q->lane, q->id);
    if (!gone && home)
        weft__worker_send(home, &q->head.message);
    weft__sub_seq(&rt->guests, 1, "usage.guest");
    if (gone || !home)
        answer(q, gone ? -ESRCH : 0);
}

static void asked(weft_task *t)
{
    weft__inquiry *q = weft__container(t, weft__inquiry, head.message);
    int r = is_here(q->lane, q->id);
    if (r == 0)
        count(q->lane, &q->used);
    if (r == -EAGAIN)
        send(q); /* it has moved, or this worker stands in for one that has left */
    else
        answer(q, r);
}

static void give_up(weft__fiber *f) { drop(f->waits_on); }

static int await(weft__fiber *f, weft__inquiry *q, weft_limits *out, int64_t deadline)
{
    f->waits_on = q;
    while (!weft__load_acquire(&q->answered, "usage.await")) {
        f->unwait = give_up;
        int r = weft__wait(f, WEFT__WAIT_NUDGE, deadline);
        if (r < 0)
            return r;
        f->unwait = NULL;
        if (!weft__load_acquire(&q->answered, "usage.await") && weft__canceled(f)) {
            drop(q);
            return -ECANCELED;
        }
    }
    int r = q->result;
    if (r == 0)
        *out = q->used;
    drop(q);
    return r;
}

static int ask(weft__fiber *f, weft__lane *lane, weft_id id, weft_limits *out, int64_t deadline)
{
    weft__inquiry *q = weft__slab_get(pool());
    if (!q)
        return -ENOMEM;
    q->rt = lane->rt;
    q->lane = lane;
    q->id = id;
    q->asker = weft__fiber_id(f);
    q->used = (weft_limits){0};
    weft__store_relaxed(&q->answered, 0, "usage.ask");
    weft__store_relaxed(&q->refs, 2, "usage.ask"); /* ours, and who answers */
    q->head.message.run = asked;
    send(q);
    return await(f, q, out, deadline);
}

int weft_lane_usage_of(weft_id id, weft_limits *out, int64_t deadline)
{
    weft__probe_self();
    weft__fiber *f = weft__fiber_self();
    weft__lane *lane;
    if (!f)
        return -EPERM;
    if (!out)
        return -EINVAL;
    int r = may_ask(weft__lane_of(f->crew), id, &lane);
    if (r < 0)
        return r;
    if (weft__canceled(f))
        return weft__refuse(f, -ECANCELED);
    r = is_here(lane, id);
    if (r == 0)
        count(lane, out);
    if (r != -EAGAIN)
        return r;
    if (deadline <= f->home->now_ns)
        return weft__refuse(f, -ETIMEDOUT);
    return ask(f, lane, id, out, deadline);
}
