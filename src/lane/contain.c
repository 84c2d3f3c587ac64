/* Overflows that end a lane alone: registering code, and what happens to the lane. weft_containable: any thread;
 * the rest: home worker. */
#include <errno.h>

#include <weft/vat.h>

#include "fiber/contain.h"
#include "lane/exit.h"
#include "lane/realm.h"

/* A program that is linked with the runtime itself may not register its whole text:
 * a fault in the middle of the runtime would look harmless. */
static int holds_ours(uintptr_t from, uintptr_t to)
{
    const uintptr_t ours[] = {(uintptr_t)weft_containable, (uintptr_t)weft__contain_code, (uintptr_t)weft__worker_tick,
                              (uintptr_t)weft__port_start, (uintptr_t)weft_alloc, (uintptr_t)weft_yield, (uintptr_t)weft_lane_spawn_at};
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (ours[i] >= from && ours[i] < to)
            return 1;
    return 0;
}

int weft_containable(weft_runtime *rt, const void *from, const void *to)
{
    weft__worker *w = weft__worker_self();
    if (!rt && !w)
        return -EPERM;
    rt = rt ? rt : w->rt;
    if (rt->magic != WEFT__RUNTIME_MAGIC || (uintptr_t)from >= (uintptr_t)to || holds_ours((uintptr_t)from, (uintptr_t)to))
        return -EINVAL;
    return weft__contain_code(rt, (uintptr_t)from, (uintptr_t)to);
}

void weft__lane_overflowed(weft__crew *crew)
{
    weft__lane *lane = weft__lane_of(crew);
    weft__exit_overflowed(lane);
    weft__lane_apply(lane, WEFT__SIG_KILL);
}
