/* Mailboxes: their life, and what lies in them. A mailbox is made by whoever first sends to its lane or receives in
 * it, on any thread; it comes from a slab and stays a mailbox for ever, so a sender that was overtaken by the lane's
 * death finds a lock it may take and an owner that is not whom it meant. Everything that senders touch is under that
 * lock; lists of receivers and of held messages belong to the lane's worker.
 *
 * A lane's `mail` tells its state: NULL, there is no living lane; an odd number, the lane of that generation lives
 * and has none yet (so that making one is a compare-and-swap that cannot hit another life of the record); else the
 * mailbox.
 *
 * No wake-up is lost: a receiver looks at the queue and raises `waiting` under one hold of the lock, a sender adds
 * its message and looks at `waiting` under another. `signalled` says that a message to the worker is under way which
 * has not looked yet; nobody sends a second one. */
#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "lane/account.h"
#include "lane/estate.h"
#include "lane/realm.h"

enum { MESSAGES = 1024, BYTES = 1 << 20, FREED_PER_UNIT = 8 };

/* ---- making ---- */

static void woken(weft_task *t);

static weft__mailbox *take_box(weft_runtime *rt)
{
    weft__mail_pools *pools = weft__mail_pools_of(rt);
    return pools ? weft__slab_get(&pools->boxes) : weft__slab_get_shared(&weft__mail_of(rt)->boxes);
}

static void put_box(weft__mailbox *box)
{
    weft_runtime *rt = box->rt;
    weft__mail_pools *pools = weft__mail_pools_of(rt);
    if (pools)
        weft__slab_put(&pools->boxes, box);
    else
        weft__slab_put_shared(&weft__mail_of(rt)->boxes, box);
}

/* Nobody has the box but us, and senders that mean an earlier owner: they read `owner` (or rt), and nothing else, under
 * the lock. */
static void fill(weft__mailbox *box, weft__lane *lane, weft_id id)
{
    uint32_t messages = 0;
    size_t bytes = 0;
    weft__mailbox_limits(lane, &messages, &bytes);
    weft__link_init(&box->queue);
    weft__link_init(&box->senders);
    weft__link_init(&box->calls);
    weft__link_init(&box->answered);
    weft__link_init(&box->receivers);
    weft__link_init(&box->held);
    weft__link_init(&box->aliases);
    box->home = NULL;
    box->count = 0;
    box->bytes = 0;
    box->max_count = messages ? messages : MESSAGES;
    box->max_bytes = bytes ? bytes : BYTES;
    box->arrived = box->dropped = 0;
    box->waiting = 0;
    box->shut = box->signalled = box->orphan = 0;
    if (!box->rt) /* the same in all its lives; who comes too late for one reads it as well */
        box->rt = lane->rt;
    box->lane = lane;
    box->wake.run = woken;
    weft__spin_lock(&box->lock);
    box->owner = id;
    weft__spin_unlock(&box->lock);
}

static int make(weft_runtime *rt, weft__lane *lane, weft_id id, weft__mailbox **out)
{
    weft__mailbox *box = take_box(rt), *none = weft__open_mark(id.gen);
    if (!box)
        return -ENOMEM;
    fill(box, lane, id);
    if (weft__cas_acq_rel(&lane->mail, &none, box, "mail.make")) { /* pairs with the acquire in look */
        *out = box;
        return 0;
    }
    weft__spin_lock(&box->lock);
    box->owner = WEFT_NOID;
    weft__spin_unlock(&box->lock);
    put_box(box);
    if (!none || weft__is_mark(none))
        return -ESRCH;
    *out = none; /* somebody else was quicker */
    return 0;
}

static int look(weft_runtime *rt, weft__lane *lane, weft_id id, weft__mailbox **out)
{
    weft__mailbox *box = weft__load_acquire(&lane->mail, "mail.look");
    if (!box || (weft__is_mark(box) && box != (weft__mailbox *)weft__open_mark(id.gen)))
        return -ESRCH;
    if (weft__is_mark(box))
        return make(rt, lane, id, out);
    *out = box;
    return 0;
}

int weft__mailbox_find(weft_runtime *rt, weft_id id, weft__mailbox **out)
{
    if (id.ns != WEFT__NS(rt, WEFT__LANE))
        return weft__id_refused(rt, id);
    weft__lane *lane = weft__slab_at(&weft__lanes_of(rt)->lanes, id.key);
    return lane && id.gen ? look(rt, lane, id, out) : -ESRCH;
}

int weft__mailbox_of(weft__lane *lane, weft__mailbox **out) { return look(lane->rt, lane, weft__lane_id(lane), out); }

/* ---- what lies in it ---- */

void weft__mail_news_init(weft__mail_news *n)
{
    weft__link_init(&n->told);
    weft__link_init(&n->dropped);
    n->wake = NULL;
}

/* The home's own thread looks as it tells the news, any other sends one message. */
void weft__mailbox_alarm(weft__mailbox *box, weft__mail_news *n)
{
    if (box->signalled || n->wake)
        return;
    n->wake = box->home;
    box->signalled = box->home != weft__worker_self();
}

void weft__mailbox_add(weft__mailbox *box, weft__msg *m, weft__mail_news *n)
{
    m->seq = ++box->arrived;
    m->counted = m->system ? 0 : m->pub.size;
    box->count += !m->system;
    box->bytes += m->counted;
    weft__link_before(&box->queue, &m->link);
    if (m->call) {
        weft__link_before(&box->calls, &m->call->at_callee);
        m->call = NULL;
    }
    if (box->waiting)
        weft__mailbox_alarm(box, n);
}

int weft__mailbox_fits(const weft__mailbox *box, const weft__msg *m)
{
    return box->count < box->max_count && m->pub.size <= box->max_bytes && box->bytes <= box->max_bytes - m->pub.size;
}

int weft__mailbox_accepts(weft__mailbox *box, weft_id to)
{
    if (WEFT__NS_KIND(to.ns) == WEFT__LANE)
        return weft_id_equal(box->owner, to) && !box->shut ? 0 : -ESRCH; /* the owner first: see fill */
    weft__alias *a = weft__slab_at(&weft__mail_of(box->rt)->aliases, to.key);
    int lives = a && WEFT__GEN(weft__load_acquire(&a->head.word, "alias.look")) == to.gen &&
                weft__load_relaxed(&a->box, "alias.look") == box && !a->spent;
    return lives && !box->shut ? 0 : -ESRCH;
}

static void settle_sender(weft__sender *s, int result, weft__mail_news *n)
{
    weft__link_remove(&s->link);
    s->result = result;
    /* A thread may see it before the lock is released, and then waits for who tells it. */
    weft__store_release(&s->over, 1, "sender.over");
    weft__link_before(&n->told, &s->link);
}

void weft__mailbox_admit(weft__mailbox *box, weft__mail_news *n)
{
    while (!weft__link_alone(&box->senders)) {
        weft__sender *s = weft__container(box->senders.next, weft__sender, link);
        weft__msg *m = s->msg;
        int r = weft__mailbox_accepts(box, m->pub.to.gen ? m->pub.to : box->owner);
        if (r == 0) {
            if (!weft__mailbox_fits(box, m))
                return;
            if (m->pub.to.gen)
                weft__alias_use(box, m->pub.to);
            weft__mailbox_add(box, m, n);
        }
        settle_sender(s, r, n);
    }
}

void weft__mailbox_remove(weft__mailbox *box, weft__msg *m, weft__mail_news *n)
{
    weft__link_remove(&m->link);
    if (!m->doomed) { /* it gave up its room already */
        box->count -= !m->system;
        box->bytes -= m->counted;
    }
    weft__mailbox_admit(box, n);
}

int weft__mailbox_post(weft__mailbox *box, weft__msg *m, weft__mail_news *n)
{
    m->system = 1;
    weft__store_relaxed(&m->state, (uint8_t)WEFT__MSG_GONE, "mail.post");
    weft__spin_lock(&box->lock);
    int shut = box->shut;
    if (!shut)
        weft__mailbox_add(box, m, n);
    weft__spin_unlock(&box->lock);
    if (shut)
        weft__msg_give(m);
    return !shut;
}

/* ---- after the lock ---- */

static void drop(weft__msg *m)
{
    weft_runtime *rt = m->rt;
    weft_id reply = m->pub.reply;
    weft__msg_give(m);
    if (reply.gen)
        weft__alias_fail(rt, reply, -EAGAIN); /* its sender waits for an answer that will not come */
}

void weft__mail_tell(weft__mailbox *box, weft__mail_news *n)
{
    if (n->wake) {
        if (n->wake == weft__worker_self())
            weft__mailbox_deliver(box);
        else
            weft__worker_send(weft__whither(n->wake), &box->wake);
    }
    while (!weft__link_alone(&n->told)) {
        weft__sender *s = weft__container(n->told.next, weft__sender, link);
        weft__link_remove(&s->link);
        weft__sender_tell(s);
    }
    while (!weft__link_alone(&n->dropped)) {
        weft__msg *m = weft__container(n->dropped.next, weft__msg, link);
        weft__link_remove(&m->link);
        drop(m);
    }
}

static void free_orphan(weft__mailbox *box)
{
    weft__worker_unload(box->home);
    put_box(box);
}

/* The message that somebody has put something in. Home; where the lane has moved meanwhile, it follows. */
static void woken(weft_task *t)
{
    weft__mailbox *box = weft__container(t, weft__mailbox, wake);
    weft__spin_lock(&box->lock);
    weft__worker *home = box->home;
    int orphan = box->orphan, here = home == weft__worker_self();
    if (orphan || here)
        box->signalled = 0;
    weft__spin_unlock(&box->lock);
    if (orphan)
        free_orphan(box);
    else if (here)
        weft__mailbox_deliver(box);
    else
        weft__worker_send(weft__whither(home), t);
}

void weft__mailbox_redirect(weft__lane *lane, weft__worker *home)
{
    weft__mailbox *box = weft__load_acquire(&lane->mail, "mail.redirect");
    if (!box || weft__is_mark(box))
        return;
    weft__spin_lock(&box->lock);
    if (box->home) /* else nobody was to be told of anything yet */
        box->home = home;
    weft__spin_unlock(&box->lock);
}

/* ---- what a lane holds ---- */

int weft__msg_hold(weft__mailbox *box, weft__msg *m, int must)
{
    weft__account *a = box->lane->crew.account;
    if (must && a)
        weft__account_force(a, WEFT__CHARGE_VAT, weft__msg_weight(m));
    int r = must ? 0 : weft__charge(box->lane, WEFT__CHARGE_VAT, weft__msg_weight(m));
    if (r < 0)
        return r;
    m->charged = 1;
    m->holder = box;
    weft__link_remove(&m->link);
    weft__link_before(&box->held, &m->link);
    weft__store_relaxed(&m->state, (uint8_t)WEFT__MSG_HELD, "msg.hold");
    return 0;
}

void weft__msg_release(weft__msg *m)
{
    if (m->charged)
        weft__discharge(m->holder->lane, WEFT__CHARGE_VAT, weft__msg_weight(m));
    m->charged = 0;
    m->holder = NULL;
    weft__link_remove(&m->link);
}

/* ---- the end ---- */

void weft__mailbox_shut(weft__lane *lane)
{
    weft__mailbox *box = weft__load_acquire(&lane->mail, "mail.shut");
    if (weft__is_mark(box) && weft__cas_acq_rel(&lane->mail, &box, (weft__mailbox *)NULL, "mail.shut"))
        return;
    if (!box)
        return;
    weft__mail_news news;
    weft__mail_news_init(&news);
    weft__spin_lock(&box->lock);
    box->shut = 1;
    while (!weft__link_alone(&box->senders))
        settle_sender(weft__container(box->senders.next, weft__sender, link), -ESRCH, &news);
    if (!weft__link_alone(&box->queue)) { /* from here on they are found where everything is that the lane held */
        weft__link *first = box->queue.next, *last = box->queue.prev;
        weft__link_init(&box->queue);
        first->prev = box->held.prev;
        box->held.prev->next = first;
        last->next = &box->held;
        box->held.prev = last;
    }
    box->count = 0;
    box->bytes = 0;
    weft__spin_unlock(&box->lock);
    weft__mail_tell(box, &news);
    while (!weft__link_alone(&box->aliases))
        weft__alias_end(weft__container(box->aliases.next, weft__alias, link));
}

int weft__mailbox_bury(weft__lane *lane, unsigned budget)
{
    weft__mailbox *box = weft__load_relaxed(&lane->mail, "mail.bury");
    if (!box || weft__is_mark(box))
        return 1;
    for (unsigned n = 0; !weft__link_alone(&box->held); n++) {
        weft__msg *m = weft__container(box->held.next, weft__msg, link);
        if (!budget || !weft__msg_drain(m, &budget))
            return 0;
        m->holder = box;
        weft__msg_release(m);
        weft__msg_give(m);
        if (n % FREED_PER_UNIT == 0)
            budget--;
    }
    return 1;
}

/* Calls that it took in and did not answer. */
static void fail_calls(weft__mailbox *box)
{
    weft_runtime *rt = box->rt;
    for (;;) {
        weft_id id = WEFT_NOID;
        weft__spin_lock(&box->lock);
        if (!weft__link_alone(&box->calls)) {
            weft__alias *a = weft__container(box->calls.next, weft__alias, at_callee);
            weft__link_remove(&a->at_callee); /* it lives: its end would have taken it out of the list first */
            id = weft__alias_id(a);
        }
        weft__spin_unlock(&box->lock);
        if (!id.gen)
            return;
        weft__alias_fail(rt, id, -ESRCH);
    }
}

void weft__mailbox_end(weft__lane *lane)
{
    weft__mailbox *box = weft__load_relaxed(&lane->mail, "mail.end");
    if (!box || weft__is_mark(box))
        return;
    WEFT_ASSERT(box->shut && weft__link_alone(&box->held) && weft__link_alone(&box->receivers));
    fail_calls(box);
    weft__store_release(&lane->mail, (weft__mailbox *)NULL, "mail.end");
    weft__spin_lock(&box->lock);
    box->owner = WEFT_NOID;
    box->orphan = box->signalled;
    if (box->orphan)
        weft__add_relaxed(&box->home->load, 1, "mail.orphan"); /* that worker must be there when the message arrives */
    int orphan = box->orphan;
    weft__spin_unlock(&box->lock);
    if (!orphan)
        put_box(box);
}
