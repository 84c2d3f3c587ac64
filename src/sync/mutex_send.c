/* A mutex that travels: its owner puts it into a message, and whoever takes it out owns it. On the way it is
 * nobody's, like that of a dying owner; if the message ends before, its owner has died. For fibers; that end comes
 * on any thread.
 *
 * A message has no stake in the memory that its mutex lies in: it goes only to lanes that end before that does, and
 * to whom they may pass it on. */
#include <errno.h>
#include <string.h>
#include <weft/message.h>

#include "lane/realm.h"
#include "lane/stake.h"
#include "sync/mutex.h"

int weft_mutex_send(weft_mutex *opaque, weft_id to, const void *data, size_t size, const weft_send_options *opt)
{
    weft__mutex *m = weft__mutex_of(opaque);
    weft__fiber *f = weft__fiber_self();
    weft_message *msg;
    weft__probe(f);
    if (!f || !weft__mutex_owned(m, f))
        return -EPERM;
    if ((size && !data) || size > SIZE_MAX - sizeof(weft__cargo))
        return -EINVAL;
    const weft__vat *v = weft__sync_around(&m->lock);
    if (v && !weft__lane_outlives(v->lane, weft__lane_of(f->crew))) /* on the way nothing would keep it */
        return -EPERM;
    int r = weft_msg_alloc(&msg, size + sizeof(weft__cargo));
    if (r < 0)
        return r;
    if (size)
        memcpy(msg->data, data, size);
    msg->size = size;
    msg->tag = opt ? opt->tag : 0;
    msg->reply = opt ? opt->reply : WEFT_NOID;
    weft__mutex_detach(m);
    weft__msg_carry(weft__msg_of(msg), &m->held, v ? v->lane : NULL);
    r = weft_send_msg(to, msg, opt);
    if (r == 0)
        return 0;
    weft__msg_carry(weft__msg_of(msg), NULL, NULL);
    weft__mutex_attach(m, f, m->site);
    weft_msg_free(msg);
    return r;
}

int weft_mutex_accept_at(weft_message *msg, weft_mutex **out, const char *site)
{
    weft__fiber *f = weft__fiber_self();
    weft__probe(f);
    if (!f)
        return -EPERM;
    weft__msg *m = msg ? weft__msg_of(msg) : NULL;
    int r = m ? weft__msg_check(weft__lane_of(f->crew), m) : -EINVAL;
    if (r < 0)
        return r;
    weft__held *held = weft__msg_cargo(m);
    weft__mutex *mutex = held ? weft__mutex_held(held) : NULL;
    if (!mutex)
        return -EINVAL;
    weft__msg_carry(m, NULL, NULL);
    if (out)
        *out = (weft_mutex *)(void *)mutex;
    return weft__mutex_attach(mutex, f, site);
}
