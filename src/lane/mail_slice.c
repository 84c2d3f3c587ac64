/* Messages that carry shared bytes: the content of such a block is one counted reference, given back with the block.
 * For fibers. */
#include <errno.h>

#include "base/check.h"
#include "lane/realm.h"
#include "lane/share.h"

int weft_msg_alloc_slice(weft_message **out, weft_slice slice)
{
    weft__holding *h;
    weft__mailbox *box;
    int r = out ? weft__holding_find(slice.id, WEFT__SLICE, &h) : -EINVAL;
    if (r == 0)
        r = weft__mailbox_of(weft__lane_self(), &box);
    if (r < 0)
        return r;
    weft__msg *m = weft__msg_take(box->rt, sizeof h->span);
    if (!m)
        return -ENOMEM;
    *(weft__span *)(void *)m->content = h->span;
    m->sliced = 1;
    m->pub.data = h->span.block->data + h->span.offset;
    m->pub.size = h->span.length;
    weft__shared_ref(h->span.block);
    r = weft__msg_hold(box, m, 0);
    if (r < 0)
        weft__msg_give(m);
    else
        *out = &m->pub;
    return r;
}

int weft_msg_slice(weft_message *msg, weft_slice *out)
{
    weft__lane *self = weft__lane_self();
    if (!self)
        return -EPERM;
    weft__msg *m = msg ? weft__msg_of(msg) : NULL;
    int r = m && out ? weft__msg_check(self, m) : -EINVAL;
    if (r == 0 && (!m->sliced || msg->size > weft__msg_room(m)))
        r = -EINVAL;
    if (r < 0)
        return r;
    weft__span span = *(weft__span *)(void *)m->content;
    span.length = msg->size;
    weft__shared_ref(span.block);
    r = weft__slice_attach(self, &span, out);
    if (r < 0)
        weft__shared_unref(span.block);
    return r;
}
