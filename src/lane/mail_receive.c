/* Receiving. For fibers of the mailbox's lane, and for whoever at its home has put something in. The queue is under
 * the mailbox's lock, because senders add to it and may drop from it; a matcher runs without the lock, on a message
 * that is pinned meanwhile and so stays in its place.
 *
 * Fibers wait in the order they came. One that takes anything is handed its message by deliver() and needs not look
 * again; one with a matcher is woken to look at what has come since its last look, and nothing else: messages have
 * numbers, and the new ones are at the end. */
#include <errno.h>

#include "fiber/contain.h"
#include "base/check.h"
#include "lane/account.h"
#include "lane/realm.h"

typedef weft__receiver receiver;

/* ---- taking ---- */

/* Message m goes to the lane: 0, or -ENOMEM and it stays. Under the lock. */
static int take(weft__mailbox *box, weft__msg *m, weft__mail_news *n)
{
    int r = m->system ? 0 : weft__charge(box->lane, WEFT__CHARGE_VAT, weft__msg_weight(m));
    if (r < 0)
        return r;
    weft__mailbox_remove(box, m, n);
    m->charged = !m->system;
    m->holder = box;
    weft__link_before(&box->held, &m->link);
    weft__store_relaxed(&m->state, (uint8_t)WEFT__MSG_HELD, "mail.take");
    return 0;
}

/* The oldest one. Under the lock; -EAGAIN: there is none. */
static int take_first(weft__mailbox *box, weft__msg **out, weft__mail_news *n)
{
    for (weft__link *l = box->queue.next; l != &box->queue; l = l->next) {
        weft__msg *m = weft__container(l, weft__msg, link);
        if (m->doomed)
            continue;
        int r = take(box, m, n);
        if (r == 0)
            *out = m;
        return r;
    }
    return -EAGAIN;
}

/* The first one that the receiver has not looked at; they are few, and at the end. Under the lock. */
static weft__link *first_unseen(weft__mailbox *box, uint64_t seen)
{
    weft__link *l = &box->queue;
    if (!seen)
        return l->next;
    while (l->prev != &box->queue && weft__container(l->prev, weft__msg, link)->seq > seen)
        l = l->prev;
    return l;
}

/* The first one that matches; -EAGAIN: none so far. The lock is held when it is called and when it returns. */
static int take_match(weft__mailbox *box, receiver *me, weft__mail_news *n)
{
    weft__link *l = first_unseen(box, me->seen);
    while (l != &box->queue) {
        weft__msg *m = weft__container(l, weft__msg, link);
        m->pinned = 1;
        weft__spin_unlock(&box->lock);
        int yes = me->match(&m->pub, me->arg);
        weft__spin_lock(&box->lock);
        m->pinned = 0;
        int r = yes ? take(box, m, n) : -EAGAIN;
        if (r == 0)
            me->got = m;
        else if (r == -EAGAIN)
            me->seen = m->seq; /* one that could not be paid for is looked at again */
        l = m->link.next;
        if (r != 0 && m->doomed) { /* a sender has dropped it meanwhile */
            weft__link_remove(&m->link);
            weft__link_before(&n->dropped, &m->link);
        }
        if (r != -EAGAIN)
            return r;
    }
    return -EAGAIN;
}

/* ---- handing out ---- */

static void stop_waiting(weft__mailbox *box, receiver *r)
{
    weft__link_remove(&r->link);
    box->waiting--;
}

/* Whoever has something to run for now. Under the lock. */
static void choose(weft__mailbox *box, weft__link *ready, weft__mail_news *n)
{
    for (weft__link *l = box->receivers.next, *next; l != &box->receivers; l = next) {
        receiver *r = weft__container(l, receiver, link);
        next = l->next;
        int wake;
        if (r->match || r->looks) {
            wake = box->arrived > r->seen;
        } else {
            int taken = take_first(box, &r->got, n);
            r->error = taken == -EAGAIN ? 0 : taken;
            wake = taken != -EAGAIN;
        }
        if (wake) {
            stop_waiting(box, r);
            weft__link_before(ready, &r->link);
        }
    }
}

void weft__mailbox_deliver(weft__mailbox *box)
{
    weft__mail_news news;
    weft__mail_news_init(&news);
    weft__link ready, answered;
    weft__link_init(&ready);
    weft__link_init(&answered);
    weft__spin_lock(&box->lock);
    do {
        news.wake = NULL; /* that is us; what choosing has let in is looked at in another round */
        choose(box, &ready, &news);
    } while (news.wake);
    while (!weft__link_alone(&box->answered)) {
        weft__link *l = box->answered.next;
        weft__link_remove(l);
        weft__link_before(&answered, l);
    }
    weft__spin_unlock(&box->lock);
    while (!weft__link_alone(&ready)) {
        receiver *r = weft__container(ready.next, receiver, link);
        weft__link_remove(&r->link);
        if (r->looks)
            weft__fiber_nudge(r->fiber);
        else
            weft__wake(r->fiber, 0);
    }
    while (!weft__link_alone(&answered)) {
        weft__alias *a = weft__container(answered.next, weft__alias, at_answered);
        weft__link_remove(&a->at_answered);
        if (a->fiber)
            weft__wake(a->fiber, 0);
    }
    weft__mail_tell(box, &news);
}

/* ---- waiting ---- */

static void leave(weft__fiber *f)
{
    receiver *r = f->waits_on;
    weft__spin_lock(&r->box->lock);
    stop_waiting(r->box, r);
    weft__spin_unlock(&r->box->lock);
}

/* Takes what there is, or puts the receiver in line: -EAGAIN. */
static int take_or_enlist(weft__mailbox *box, receiver *me, int wait)
{
    weft__mail_news news;
    weft__mail_news_init(&news);
    weft__spin_lock(&box->lock);
    int r = me->match ? take_match(box, me, &news) : take_first(box, &me->got, &news);
    if (r == -EAGAIN && wait) {
        box->home = me->fiber->home;
        box->waiting++;
        weft__link_before(&box->receivers, &me->link);
    }
    weft__spin_unlock(&box->lock);
    weft__mail_tell(box, &news);
    return r;
}

static int receive(weft__mailbox *box, receiver *me, int64_t deadline)
{
    weft__fiber *f = me->fiber;
    for (;;) {
        int wait = deadline > f->home->now_ns && !weft__canceled(f);
        int r = take_or_enlist(box, me, wait);
        if (r != -EAGAIN)
            return weft__refuse(f, r); /* who always finds something lets others run once a tick all the same */
        if (!wait)
            return weft__refuse(f, weft__canceled(f) ? -ECANCELED : -ETIMEDOUT);
        f->unwait = leave;
        f->waits_on = me;
        r = weft__wait(f, WEFT__WAIT_MAIL, deadline);
        if (r < 0 || me->got || me->error)
            return r < 0 ? r : me->error;
    }
}

/* ---- among other things ---- */

int weft__mail_take(weft__mailbox *box, weft__msg **out)
{
    weft__mail_news news;
    weft__mail_news_init(&news);
    if (box->waiting)
        weft__mailbox_deliver(box);
    weft__spin_lock(&box->lock);
    int r = take_first(box, out, &news);
    weft__spin_unlock(&box->lock);
    weft__mail_tell(box, &news);
    return r;
}

int weft__mail_await(weft__mailbox *box, receiver *me)
{
    int some = 0;
    weft__spin_lock(&box->lock);
    for (weft__link *l = box->queue.next; l != &box->queue && !some; l = l->next)
        some = !weft__container(l, weft__msg, link)->doomed;
    if (!some && me) {
        me->seen = box->arrived;
        box->home = me->fiber->home;
        box->waiting++;
        weft__link_before(&box->receivers, &me->link);
    }
    weft__spin_unlock(&box->lock);
    return some;
}

void weft__mail_forgo(receiver *me)
{
    if (weft__link_alone(&me->link))
        return; /* it was nudged */
    weft__spin_lock(&me->box->lock);
    stop_waiting(me->box, me);
    weft__spin_unlock(&me->box->lock);
}

/* ---- the calls ---- */

int weft_receive_match(weft_message **out, int (*match)(const weft_message *msg, void *arg), void *arg, int64_t deadline)
{
    weft__probe_self();
    weft__fiber *f = weft__fiber_self();
    weft__mailbox *box;
    if (!f)
        return -EPERM;
    if (!out)
        return -EINVAL;
    if (weft__canceled(f))
        return weft__refuse(f, -ECANCELED);
    int r = weft__mailbox_of(weft__lane_of(f->crew), &box);
    if (r < 0)
        return r;
    receiver me = {.box = box, .fiber = f, .match = match, .arg = arg};
    weft__link_init(&me.link);
    if (box->waiting && !match)
        weft__mailbox_deliver(box); /* who waits already comes first */
    r = receive(box, &me, deadline);
    if (r < 0)
        return r;
    *out = &me.got->pub;
    return 0;
}

int weft_receive(weft_message **out, int64_t deadline) { return weft_receive_match(out, NULL, NULL, deadline); }
