/* Sending: from fibers, from other threads, and by those who wait for room. A message is taken out of what its lane
 * holds before the mailbox's lock is taken, and put back if it was refused; so at each moment exactly one place owns
 * it, and a kill finds it there.
 *
 * Who waits for room has a record in the mailbox's list. Whoever makes room moves the message, sets `over` under the
 * lock, and then tells the sender at its home (or unparks the thread). A sender that gives up looks under the same
 * lock: either it takes itself off the list and the message was not sent, or `over` is set and it was; the news
 * under way then finds nobody and frees the record. */
#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "lane/account.h"
#include "lane/realm.h"

/* ---- where a message is ---- */

/* Out of what its lane holds; how much of the lane's limit it still takes up. */
static size_t detach(weft__msg *m)
{
    size_t charged = m->charged ? weft__msg_weight(m) : 0;
    m->charged = 0;
    weft__link_remove(&m->link);
    weft__store_relaxed(&m->state, (uint8_t)WEFT__MSG_GONE, "msg.detach");
    return charged;
}

/* Back to where it was; LOOSE with no box to go to. */
static void attach(weft__mailbox *box, weft__msg *m, size_t charged)
{
    m->charged = charged != 0;
    m->holder = box;
    m->pub.to = WEFT_NOID;
    if (box)
        weft__link_before(&box->held, &m->link);
    weft__store_relaxed(&m->state, (uint8_t)(box ? WEFT__MSG_HELD : WEFT__MSG_LOOSE), "msg.attach");
}

static void discharge(weft__mailbox *box, size_t charged)
{
    if (charged)
        weft__discharge(box->lane, WEFT__CHARGE_VAT, charged);
}

void weft__msg_discard(weft__msg *m)
{
    if (m->state == WEFT__MSG_HELD)
        weft__msg_release(m);
    weft__msg_give(m);
}

int weft__msg_check(weft__lane *self, const weft__msg *m)
{
    if (weft__load_relaxed(&m->magic, "msg.check") != WEFT__MSG_MAGIC)
        return -EINVAL;
    int state = weft__load_relaxed(&m->state, "msg.check");
    if (state != WEFT__MSG_HELD && state != WEFT__MSG_LOOSE)
        return -EINVAL;
    return state == WEFT__MSG_HELD && (!self || m->holder->lane != self) ? -EPERM : 0;
}

int weft__msg_copy(weft_runtime *rt, const void *data, size_t size, weft__msg **out)
{
    if (size && !data)
        return -EINVAL;
    weft__msg *m = weft__msg_take(rt, size);
    if (!m)
        return -ENOMEM;
    if (size)
        memcpy(m->content, data, size);
    *out = m;
    return 0;
}

/* ---- records of those who wait ---- */

static weft__sender *take_sender(weft_runtime *rt)
{
    weft__mail_pools *pools = weft__mail_pools_of(rt);
    return pools ? weft__slab_get(&pools->senders) : weft__slab_get_shared(&weft__mail_of(rt)->senders);
}

static void put_sender(weft__sender *s)
{
    weft__mail_pools *pools = weft__mail_pools_of(s->rt);
    if (pools)
        weft__slab_put(&pools->senders, s);
    else
        weft__slab_put_shared(&weft__mail_of(s->rt)->senders, s);
}

static void unref(weft__sender *s)
{
    if (weft__sub_acq_rel(&s->refs, 1, "sender.unref") == 1)
        put_sender(s);
}

/* ---- a fiber waits for room ---- */

typedef struct parked {
    weft__sender *sender;
    weft__mailbox *own;   /* where the message goes if it was not sent */
    size_t charged;
    int over, result;
} parked;

/* What became of it is known. Home. */
static void conclude(parked *p, weft__msg *m)
{
    p->over = 1;
    p->result = p->sender->result;
    if (p->result < 0)
        attach(p->own, m, p->charged);
    else
        discharge(p->own, p->charged);
}

/* At the sender's home. If its lane has moved meanwhile it follows;
 * should the fiber give up just then, the next place finds that it has. */
static void arrived(weft_task *t)
{
    weft__sender *s = weft__container(t, weft__sender, task);
    weft__fiber *f = weft__load_acquire(&s->fiber, "sender.arrived"); /* pairs with the release in give_up */
    if (f && weft__sent_on(&f->home, t))
        return;
    if (f) {
        conclude(f->waits_on, s->msg);
        weft__wake(f, 0);
    } else {
        weft__worker_unload(s->home);
    }
    put_sender(s);
}

void weft__sender_tell(weft__sender *s)
{
    if (!s->home) {
        s->rt->env->unpark(s->rt->env->self, &s->parker);
        unref(s);
    } else if (s->home == weft__worker_self()) {
        arrived(&s->task);
    } else {
        weft__worker_send(s->home, &s->task);
    }
}

/* Takes it off the list: 1, or 0 if it was let in or turned away already. */
static int withdraw(weft__sender *s)
{
    weft__mailbox *box = s->box;
    weft__spin_lock(&box->lock);
    int over = (int)weft__load_relaxed(&s->over, "sender.withdraw");
    if (!over)
        weft__link_remove(&s->link);
    weft__spin_unlock(&box->lock);
    return !over;
}

static void give_up(weft__fiber *f)
{
    parked *p = f->waits_on;
    weft__sender *s = p->sender;
    if (withdraw(s)) {
        attach(p->own, s->msg, p->charged);
        put_sender(s);
        return;
    }
    conclude(p, s->msg);
    /* The news is under way, and that worker must be there to take it. */
    weft__add_relaxed(&s->home->load, 1, "sender.orphan");
    weft__store_release(&s->fiber, (weft__fiber *)NULL, "sender.give_up");
}

static int fiber_waits(weft__fiber *f, parked *p, int64_t deadline)
{
    f->unwait = give_up;
    f->waits_on = p;
    int r = weft__wait(f, WEFT__WAIT_MAILBOX, deadline);
    return p->over ? p->result : r;
}

/* ---- a thread waits for room ---- */

static int thread_waits(weft_runtime *rt, weft__sender *s, int64_t deadline)
{
    const weft_env *env = rt->env;
    weft__mail_realm *realm = weft__mail_of(rt);
    int r = 0;
    weft__add_seq(&realm->sleeping, 1, "sender.sleep"); /* the runtime's memory stays until we have seen our result */
    weft__sub_seq(&rt->guests, 1, "sender.sleep");      /* but its workers need not */
    while (!weft__load_acquire(&s->over, "sender.sleep")) { /* pairs with the release in settle_sender */
        if (env->park(env->self, &s->parker, deadline) == 0 && weft__clock(rt) >= deadline && withdraw(s)) {
            r = -ETIMEDOUT;
            break;
        }
    }
    weft__add_seq(&rt->guests, 1, "sender.awake");
    if (r == 0)
        r = s->result;
    else
        unref(s); /* nobody will tell us: the teller's part as well */
    unref(s);
    weft__sub_seq(&realm->sleeping, 1, "sender.awake");
    return r;
}

/* ---- sending ---- */

/* The oldest message that may go makes room: 1, or 0 if there is none. Under the lock. */
static int evict(weft__mailbox *box, weft__mail_news *n)
{
    for (weft__link *l = box->queue.next; l != &box->queue; l = l->next) {
        weft__msg *m = weft__container(l, weft__msg, link);
        if (m->system || m->doomed)
            continue;
        box->count--;
        box->bytes -= m->counted;
        box->dropped++;
        if (m->pinned) {
            m->doomed = 1; /* whose matcher looks at it takes it out */
        } else {
            weft__link_remove(&m->link);
            weft__link_before(&n->dropped, &m->link);
        }
        weft__mailbox_admit(box, n);
        return 1;
    }
    return 0;
}

/* 0, or why not; -EAGAIN: no room. Under the lock. */
static int try_add(weft__mailbox *box, weft__alias *alias, weft_id to, weft__msg *m, int full, weft__mail_news *n)
{
    int r = weft__mailbox_accepts(box, to);
    if (r < 0)
        return r;
    if (!weft__msg_may_reach(m, box->lane)) /* which lives: its mailbox is open */
        return -EPERM;
    if (alias && alias->call)
        return weft__alias_answer(alias, box, m, n);
    if (m->pub.size > box->max_bytes)
        return -EMSGSIZE;
    while (!weft__link_alone(&box->senders) || !weft__mailbox_fits(box, m)) /* who waits comes first */
        if (full != WEFT_FULL_DROP_OLDEST || !evict(box, n))
            return -EAGAIN;
    if (alias)
        weft__alias_use(box, to);
    weft__mailbox_add(box, m, n);
    return 0;
}

/* Tries, and with `s` stands in line where there is no room: 1. */
static int enter(weft__mailbox *box, weft__alias *alias, weft_id to, weft__msg *m, int full, weft__sender *s)
{
    weft__mail_news news;
    weft__mail_news_init(&news);
    weft__spin_lock(&box->lock);
    int r = try_add(box, alias, to, m, full, &news);
    if (r == -EAGAIN && s) {
        weft__link_before(&box->senders, &s->link);
        r = 1;
    }
    weft__spin_unlock(&box->lock);
    weft__mail_tell(box, &news);
    return r;
}

/* Whether the caller can wait for room: 1; the error that says so if not. */
static int may_wait(weft_runtime *rt, weft__fiber *f, int full, int64_t deadline)
{
    if (full != WEFT_FULL_PARK)
        return -EAGAIN;
    if (f)
        return deadline > f->home->now_ns ? 1 : -ETIMEDOUT;
    if (weft__worker_self() || deadline == 0)
        return -EAGAIN;
    return deadline > weft__clock(rt) ? 1 : -ETIMEDOUT;
}

static int wait_for_room(weft_runtime *rt, weft__fiber *f, weft__mailbox *own, weft__mailbox *box, weft__alias *alias, weft_id to,
                         weft__msg *m, size_t charged, int64_t deadline)
{
    if (f && !own) {
        /* Where the message goes if this fiber is killed in here. */
        int r = weft__mailbox_of(weft__lane_of(f->crew), &own);
        if (r < 0) {
            attach(NULL, m, 0);
            return r;
        }
    }
    weft__sender *s = take_sender(rt);
    if (!s) {
        attach(own, m, charged);
        return -ENOMEM;
    }
    *s = (weft__sender){.head = s->head, .msg = m, .rt = rt, .box = box, .fiber = f, .home = f ? f->home : NULL, .task.run = arrived, .refs = 2};
    weft__link_init(&s->link);
    int r = enter(box, alias, to, m, WEFT_FULL_PARK, s);
    if (r == 1) {
        parked p = {s, own, charged, 0, 0};
        if (f)
            return fiber_waits(f, &p, deadline);
        r = thread_waits(rt, s, deadline);
        if (r < 0)
            attach(NULL, m, 0);
        return r;
    }
    put_sender(s);
    if (r < 0)
        attach(own, m, charged);
    else
        discharge(own, charged);
    return r;
}

static int find_box(weft_runtime *rt, weft_id to, weft__alias **alias, weft__mailbox **box)
{
    *alias = NULL;
    if (to.ns == WEFT__NS(rt, WEFT__ALIAS))
        return weft__alias_find(rt, to, alias, box);
    return weft__mailbox_find(rt, to, box);
}

int weft__mail_send(weft_runtime *rt, weft_id to, weft__msg *m, int full, int64_t deadline)
{
    weft__fiber *f = weft__fiber_self();
    if (f && f->home->rt != rt)
        f = NULL;
    weft__mailbox *own = m->state == WEFT__MSG_HELD ? m->holder : NULL, *box;
    weft__alias *alias;
    int r = find_box(rt, to, &alias, &box);
    if (r < 0)
        return r;
    size_t charged = detach(m);
    if (!m->sliced)
        m->pub.data = m->content;
    m->pub.from = f ? weft__lane_id(weft__lane_of(f->crew)) : WEFT_NOID;
    m->pub.to = alias ? to : WEFT_NOID;
    m->pub.kind = WEFT_MSG_DATA;
    r = enter(box, alias, to, m, full, NULL);
    if (r == -EAGAIN) {
        int can = may_wait(rt, f, full, deadline);
        if (can == 1)
            return wait_for_room(rt, f, own, box, alias, to, m, charged, deadline);
        r = f && can == -ETIMEDOUT ? weft__refuse(f, can) : can;
    }
    if (r < 0)
        attach(own, m, charged);
    else
        discharge(own, charged);
    return r;
}
