/* What a lane has of each thing that its limits bound, whether or not it has limits. Counted when asked, from the lane's own lists: nothing is
 * kept for this. On the lane's worker. */
#include <errno.h>

#include <weft/message.h>
#include <weft/vat.h>

#include "lane/realm.h"

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
        n += f->state == WEFT__WAITING && f->waiting == WEFT__WAIT_OP;
    }
    return n;
}

int weft_lane_usage(weft_limits *out)
{
    weft__lane *lane = weft__lane_self();
    weft_limits used = {0};
    weft_vat_stats vat;
    size_t stacks;
    if (!lane)
        return -EPERM;
    if (!out)
        return -EINVAL;
    int r = weft_mailbox_info(&used.messages, &used.message_bytes, NULL);
    if (r == 0)
        r = weft_vat_stats_get(&vat);
    if (r < 0)
        return r;
    used.vat_bytes = vat.held;
    used.fibers = lane->crew.alive;
    used.ids = length(&lane->resources);
    used.ops = ops_of(&lane->crew);
    used.stack_bytes = weft__crew_stack_bytes(&lane->crew, &stacks);
    weft__spin_lock(&lane->lock);
    used.lanes = length(&lane->children);
    weft__spin_unlock(&lane->lock);
    *out = used;
    return 0;
}
