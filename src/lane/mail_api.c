/* The public calls that send, allocate and free messages. Fibers; the _in forms any thread. */
#include <errno.h>

#include "fiber/contain.h"
#include "base/check.h"
#include "lane/account.h"
#include "lane/realm.h"

static const weft_send_options no_options;

static int options_valid(const weft_send_options *opt) { return opt->full >= WEFT_FULL_PARK && opt->full <= WEFT_FULL_DROP_OLDEST; }

static int64_t deadline_of(weft__fiber *f, const weft_send_options *opt) { return f && !opt->deadline ? WEFT_NEVER : opt->deadline; }

/* The end of every send: a message that was copied and not taken is freed; a fiber that only ever sends lets others
 * run once a tick. */
static int send(weft_runtime *rt, weft__fiber *f, weft_id to, weft__msg *m, int copied, const weft_send_options *opt)
{
    int park = f && opt->full == WEFT_FULL_PARK;
    int r = park && weft__canceled(f) ? weft__refuse(f, -ECANCELED) : weft__mail_send(rt, to, m, opt->full, deadline_of(f, opt));
    if (r < 0 && copied)
        weft__msg_discard(m);
    return park && r == 0 ? weft__refuse(f, 0) : r;
}

static int send_copy(weft_runtime *rt, weft__fiber *f, weft_id to, const void *data, size_t size, const weft_send_options *opt)
{
    weft__msg *m;
    if (!options_valid(opt))
        return -EINVAL;
    int r = weft__msg_copy(rt, data, size, &m);
    if (r < 0)
        return r;
    m->pub.tag = opt->tag;
    m->pub.reply = opt->reply;
    return send(rt, f, to, m, 1, opt);
}

int weft_send(weft_id to, const void *data, size_t size, const weft_send_options *opt)
{
    weft__probe_self();
    weft__fiber *f = weft__fiber_self();
    return f ? send_copy(f->home->rt, f, to, data, size, opt ? opt : &no_options) : -EPERM;
}

static int send_held(weft_runtime *rt, weft__fiber *f, weft_id to, weft_message *msg, const weft_send_options *opt)
{
    if (!options_valid(opt))
        return -EINVAL;
    weft__msg *m = weft__msg_of(msg);
    int r = weft__msg_check(f ? weft__lane_of(f->crew) : NULL, m);
    if (r == 0 && (m->rt != rt || msg->size > weft__msg_room(m)))
        r = -EINVAL;
    return r < 0 ? r : send(rt, f, to, m, 0, opt);
}

int weft_send_msg(weft_id to, weft_message *msg, const weft_send_options *opt)
{
    weft__probe_self();
    weft__fiber *f = weft__fiber_self();
    if (!f)
        return -EPERM;
    return msg ? send_held(f->home->rt, f, to, msg, opt ? opt : &no_options) : -EINVAL;
}

/* ---- from any thread ---- */

/* 0, and then *f is the calling fiber if it is one of rt's; else the caller has a guest's place until `leave`. */
static int visit(weft_runtime *rt, weft__fiber **f)
{
    if (!rt || rt->magic != WEFT__RUNTIME_MAGIC)
        return -EINVAL;
    *f = weft__fiber_self();
    if (*f && (*f)->home->rt == rt)
        return 0;
    *f = NULL;
    weft__add_seq(&rt->guests, 1, "mail.guest"); /* the worker it is for stays until the news is with it */
    if (!weft__load_seq(&rt->ended, "mail.guest"))
        return 0;
    weft__sub_seq(&rt->guests, 1, "mail.guest");
    return -ESHUTDOWN;
}

static int leave(weft_runtime *rt, const weft__fiber *f, int r)
{
    if (!f)
        weft__sub_seq(&rt->guests, 1, "mail.guest");
    return r;
}

int weft_send_in(weft_runtime *rt, weft_id to, const void *data, size_t size, const weft_send_options *opt)
{
    weft__fiber *f;
    int r = visit(rt, &f);
    return r < 0 ? r : leave(rt, f, send_copy(rt, f, to, data, size, opt ? opt : &no_options));
}

int weft_send_msg_in(weft_runtime *rt, weft_id to, weft_message *msg, const weft_send_options *opt)
{
    weft__fiber *f;
    if (!msg)
        return -EINVAL;
    int r = visit(rt, &f);
    return r < 0 ? r : leave(rt, f, send_held(rt, f, to, msg, opt ? opt : &no_options));
}

int weft_msg_alloc_in(weft_runtime *rt, weft_message **out, size_t size)
{
    weft__fiber *f;
    int r = visit(rt, &f);
    if (r < 0)
        return r;
    if (f)
        return weft_msg_alloc(out, size);
    weft__msg *m = weft__msg_take(rt, size);
    if (m)
        *out = &m->pub;
    return leave(rt, f, m ? 0 : -ENOMEM);
}

/* ---- holding ---- */

int weft_msg_alloc(weft_message **out, size_t size)
{
    weft__lane *self = weft__lane_self();
    weft__mailbox *box;
    if (!self)
        return -EPERM;
    int r = weft__mailbox_of(self, &box);
    if (r < 0)
        return r;
    weft__msg *m = weft__msg_take(self->rt, size);
    if (!m)
        return -ENOMEM;
    r = weft__msg_hold(box, m, 0);
    if (r < 0) {
        weft__msg_give(m);
        return r;
    }
    *out = &m->pub;
    return 0;
}

int weft_msg_free(weft_message *msg)
{
    if (!msg)
        return 0;
    weft__msg *m = weft__msg_of(msg);
    int r = weft__msg_check(weft__lane_self(), m);
    if (r < 0)
        return r;
    weft__msg_discard(m);
    return 0;
}

int weft_mailbox_info(uint32_t *messages, size_t *bytes, uint64_t *dropped)
{
    weft__lane *self = weft__lane_self();
    weft__mailbox *box;
    if (!self)
        return -EPERM;
    int r = weft__mailbox_of(self, &box);
    if (r < 0)
        return r;
    weft__spin_lock(&box->lock);
    if (messages)
        *messages = box->count;
    if (bytes)
        *bytes = box->bytes;
    if (dropped)
        *dropped = box->dropped;
    weft__spin_unlock(&box->lock);
    return 0;
}
