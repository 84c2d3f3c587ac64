/* See graph.h. The node is queued already: what is asked for may arrive while we look, and is taken then. */
#include "sync/graph.h"

#include <errno.h>

int weft__graph_wait(weft__waiter *wt, weft__edge *e, int64_t deadline)
{
    e->fiber = wt->fiber;
    e->timed = deadline != WEFT_NEVER || wt->stubborn;
    int r = weft__graph_add(e);
    if (r < 0 && weft__waiter_withdraw(wt))
        return weft__refuse(wt->fiber, r);
    int published = r == 0;
    r = weft__waiter_wait(wt, deadline);
    if (published)
        weft__graph_remove(e);
    return r;
}
