/* Aliases, calls and answers. An alias is made and given up by its owner's fibers; others use it by its id, under
 * the lock of the owner's mailbox, where its generation is looked at and changed. So an answer either finds the call
 * still waiting, or learns that nobody does; there is no moment at which it could reach a later call (the record's
 * next life has another generation).
 *
 * A call is known to its callee's mailbox from the moment the request lies there, so that the callee's end is an
 * answer too. */
#include <errno.h>

#include "fiber/contain.h"
#include "base/check.h"
#include "lane/account.h"
#include "lane/realm.h"

static weft__slab *slab_of(weft_runtime *rt) { return &weft__mail_of(rt)->aliases; }

weft_id weft__alias_id(const weft__alias *a)
{
    uint32_t word = weft__load_relaxed(&a->head.word, "alias.id");
    return (weft_id){a->head.key, WEFT__NS(weft__load_relaxed(&a->box, "alias.id")->rt, WEFT__ALIAS), WEFT__GEN(word)};
}

/* ---- life ---- */

int weft__alias_make(weft__mailbox *box, int call, int once, weft__alias **out)
{
    weft__alias *a = weft__slab_get(&weft__mail_pools_of(box->rt)->aliases);
    if (!a)
        return -ENOMEM;
    weft__link_init(&a->at_answered);
    weft__link_init(&a->at_callee);
    a->callee = NULL;
    a->fiber = NULL;
    weft__spin_lock(&box->lock);
    a->answer = NULL;
    a->error = 0;
    a->call = (uint8_t)call;
    a->once = (uint8_t)once;
    a->spent = 0;
    weft__store_relaxed(&a->box, box, "alias.make");
    box->home = weft__worker_self(); /* where an answer is announced */
    weft__spin_unlock(&box->lock);
    weft__link_before(&box->aliases, &a->link);
    *out = a;
    return 0;
}

/* Nobody reaches it from here on. Its answer, if one came, is the lane's. Home. */
static weft__msg *expire(weft__alias *a, int *error)
{
    weft__mailbox *box = a->box;
    if (a->callee) { /* first: who finds it there takes it for alive */
        /* A mailbox for ever, if perhaps another lane's: then we are in no list of it. */
        weft__spin_lock(&a->callee->lock);
        weft__link_remove(&a->at_callee);
        weft__spin_unlock(&a->callee->lock);
    }
    weft__spin_lock(&box->lock);
    weft__slab_end(slab_of(box->rt), a, 1);
    weft__store_relaxed(&a->box, (weft__mailbox *)NULL, "alias.expire");
    weft__link_remove(&a->at_answered);
    weft__msg *m = a->answer;
    *error = a->error;
    weft__spin_unlock(&box->lock);
    weft__link_remove(&a->link);
    return m;
}

void weft__alias_end(weft__alias *a)
{
    weft_runtime *rt = a->box->rt;
    int error;
    weft__msg *m = expire(a, &error);
    if (m)
        weft__msg_give(m);
    weft__slab_put(&weft__mail_pools_of(rt)->aliases, a);
}

int weft__alias_find(weft_runtime *rt, weft_id id, weft__alias **alias, weft__mailbox **box)
{
    weft__alias *a = weft__slab_at(slab_of(rt), id.key);
    if (!a || !id.gen || WEFT__GEN(weft__load_acquire(&a->head.word, "alias.find")) != id.gen)
        return -ESRCH;
    *box = weft__load_relaxed(&a->box, "alias.find");
    *alias = a;
    return *box ? 0 : -ESRCH; /* NULL: a made-up id, no alias was ever there */
}

void weft__alias_use(weft__mailbox *box, weft_id id)
{
    weft__alias *a = weft__slab_at(slab_of(box->rt), id.key);
    a->spent = a->once;
}

/* ---- answers ---- */

static int settle(weft__alias *a, weft__mailbox *box, weft__msg *answer, int error, weft__mail_news *n)
{
    if (!a->call || a->answer || a->error)
        return -ESRCH;
    a->answer = answer;
    a->error = error;
    weft__link_before(&box->answered, &a->at_answered);
    weft__mailbox_alarm(box, n);
    return 0;
}

int weft__alias_answer(weft__alias *a, weft__mailbox *box, weft__msg *m, weft__mail_news *n) { return settle(a, box, m, 0, n); }

void weft__alias_fail(weft_runtime *rt, weft_id id, int error)
{
    weft__alias *a;
    weft__mailbox *box;
    weft__mail_news news;
    if (id.ns != WEFT__NS(rt, WEFT__ALIAS) || weft__alias_find(rt, id, &a, &box) < 0)
        return;
    weft__mail_news_init(&news);
    weft__spin_lock(&box->lock);
    if (weft__mailbox_accepts(box, id) == 0)
        settle(a, box, NULL, error, &news);
    weft__spin_unlock(&box->lock);
    weft__mail_tell(box, &news);
}

int weft_reply(const weft_message *request, const void *data, size_t size)
{
    weft__probe_self();
    weft__fiber *f = weft__fiber_self();
    if (!f)
        return -EPERM;
    if (!request || !request->reply.gen)
        return -EINVAL;
    weft__msg *m;
    int r = weft__msg_copy(f->home->rt, data, size, &m);
    if (r < 0)
        return r;
    r = weft__mail_send(f->home->rt, request->reply, m, WEFT_FULL_REFUSE, 0);
    if (r < 0)
        weft__msg_discard(m);
    return r;
}

int weft_reply_msg(const weft_message *request, weft_message *answer)
{
    weft__probe_more(1);
    if (!weft__fiber_self())
        return -EPERM;
    if (!request || !request->reply.gen)
        return -EINVAL;
    return weft_send_msg(request->reply, answer, &(weft_send_options){.full = WEFT_FULL_REFUSE});
}

/* ---- calls ---- */

static int answered(weft__alias *a)
{
    weft__spin_lock(&a->box->lock);
    int is = a->answer || a->error;
    weft__spin_unlock(&a->box->lock);
    return is;
}

static void leave(weft__fiber *f)
{
    weft__alias *a = f->waits_on;
    a->fiber = NULL;
}

/* The request lies with the callee, or has been refused by then: waits for the answer. */
static int wait_answer(weft__fiber *f, weft__alias *a, int64_t deadline)
{
    if (answered(a))
        return 0;
    a->fiber = f;
    f->unwait = leave;
    f->waits_on = a;
    int r = weft__wait(f, WEFT__WAIT_ANSWER, deadline);
    a->fiber = NULL;
    return r;
}

static int call(weft__fiber *f, weft_id lane, weft__msg *m, weft_message **reply, int64_t deadline, int *sent)
{
    weft__mailbox *box, *callee;
    weft__alias *a;
    weft_runtime *rt = f->home->rt;
    int r = weft__mailbox_find(rt, lane, &callee);
    if (r == 0)
        r = weft__mailbox_of(weft__lane_of(f->crew), &box);
    if (r == 0)
        r = weft__alias_make(box, 1, 0, &a);
    if (r < 0)
        return r;
    a->callee = callee;
    m->call = a;
    m->pub.reply = weft__alias_id(a);
    r = weft__mail_send(rt, lane, m, WEFT_FULL_PARK, deadline);
    *sent = r == 0;
    if (r < 0)
        m->call = NULL;
    else
        r = wait_answer(f, a, deadline);
    int error;
    weft__msg *answer = expire(a, &error);
    weft__slab_put(&weft__mail_pools_of(rt)->aliases, a);
    if (!answer)
        return r < 0 ? r : error;
    weft__msg_hold(box, answer, 1); /* it has been sent: there is nobody to refuse it to */
    *reply = &answer->pub;
    return 0;
}

/* What can be said before anything is sent. */
static int may_call(weft__fiber *f, weft_id lane, weft_message **reply)
{
    if (!f)
        return -EPERM;
    if (!reply || WEFT__NS_KIND(lane.ns) == WEFT__ALIAS)
        return -EINVAL;
    if (weft_id_equal(lane, weft__lane_id(weft__lane_of(f->crew))) && weft__lane_of(f->crew)->crew.alive == 1)
        return -EDEADLK;
    return weft__canceled(f) ? weft__refuse(f, -ECANCELED) : 0;
}

int weft_call(weft_id lane, const void *request, size_t size, weft_message **reply, int64_t deadline)
{
    weft__probe_self();
    weft__fiber *f = weft__fiber_self();
    weft__msg *m;
    int sent = 0, r = may_call(f, lane, reply);
    if (r == 0)
        r = weft__msg_copy(f->home->rt, request, size, &m);
    if (r < 0)
        return r;
    r = call(f, lane, m, reply, deadline, &sent);
    if (!sent)
        weft__msg_discard(m);
    return r;
}

int weft_call_msg(weft_id lane, weft_message *request, weft_message **reply, int64_t deadline, int *sent)
{
    weft__fiber *f = weft__fiber_self();
    int is_sent = 0, r = may_call(f, lane, reply);
    if (r == 0)
        r = request ? weft__msg_check(weft__lane_of(f->crew), weft__msg_of(request)) : -EINVAL;
    if (r == 0 && (weft__msg_of(request)->rt != f->home->rt || request->size > weft__msg_room(weft__msg_of(request))))
        r = -EINVAL;
    if (r == 0)
        r = call(f, lane, weft__msg_of(request), reply, deadline, &is_sent);
    if (sent)
        *sent = is_sent;
    return r;
}

/* ---- aliases of programs ---- */

int weft_alias_open(weft_id *out, int once)
{
    weft__lane *self = weft__lane_self();
    weft__mailbox *box;
    weft__alias *a;
    if (!self)
        return -EPERM;
    if (!out)
        return -EINVAL;
    int r = weft__mailbox_of(self, &box);
    if (r == 0)
        r = weft__alias_make(box, 0, once != 0, &a);
    if (r < 0)
        return r;
    *out = weft__alias_id(a);
    return 0;
}

/* What came through it and lies unreceived. */
static void drop_through(weft__mailbox *box, weft_id id)
{
    weft__mail_news news;
    weft__mail_news_init(&news);
    weft__spin_lock(&box->lock);
    for (weft__link *l = box->queue.next, *next; l != &box->queue; l = next) {
        weft__msg *m = weft__container(l, weft__msg, link);
        next = l->next;
        if (!weft_id_equal(m->pub.to, id) || m->system)
            continue;
        weft__mailbox_remove(box, m, &news);
        weft__link_before(&news.dropped, &m->link);
    }
    weft__spin_unlock(&box->lock);
    weft__mail_tell(box, &news);
}

int weft_alias_close(weft_id alias)
{
    weft__lane *self = weft__lane_self();
    weft__mailbox *box;
    weft__alias *a;
    if (!self)
        return -EPERM;
    if (alias.ns != WEFT__NS(self->rt, WEFT__ALIAS))
        return weft__id_refused(self->rt, alias);
    int r = weft__alias_find(self->rt, alias, &a, &box);
    if (r < 0)
        return r;
    if (box->lane != self)
        return -EPERM;
    if (a->call)
        return -EINVAL; /* it belongs to a call of a sibling's */
    weft__alias_end(a);
    drop_through(box, alias);
    return 0;
}
