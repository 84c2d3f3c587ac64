/* Giving way. A worker that finds something at each look at its port never sleeps, so whoever else is to run on its
 * processor waits until the kernel's clock ticks, up to 4 ms, and then runs as long: another worker, and with it all
 * its connections; a client or a neighbour that this worker will have to wait for. Where there are fewer processors
 * than busy threads it is better to let them by each time some of the work is done (docs/design/scheduling.md).
 *
 * Who takes nearly all of the time that it is given computes, and does nothing that we wait for: it gets what the
 * kernel thinks fit, and is asked again later. */
#include "sched/sched.h"

enum { OF_TEN = 9 };
#define COUNTED (20 * WEFT_MILLISECOND)
#define LATER (2 * WEFT_SECOND)

void weft__give_way(weft__worker *w)
{
    const weft_env *env = w->rt->env;
    w->unbroken_ns = 0;
    if (!env->give_way || w->rt->workers < 2 || w->now_ns < w->way_since_ns)
        return;
    int64_t begin = w->now_ns;
    env->give_way(env->self);
    w->now_ns = weft__clock(w->rt);
    w->way_taken_ns += w->now_ns - begin;
    int64_t counted = w->now_ns - w->way_since_ns;
    if (counted < COUNTED)
        return;
    w->way_since_ns = w->now_ns + (w->way_taken_ns > counted / 10 * OF_TEN ? LATER : 0);
    w->way_taken_ns = 0;
}
