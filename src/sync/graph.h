/* Waiting for a lock that one fiber has: the wait is an edge in the graph of who waits for whom. */
#ifndef WEFT_SYNC_GRAPH_H
#define WEFT_SYNC_GRAPH_H

#include "fiber/graph.h"
#include "sync/wait.h"

/* weft__waiter_wait, published as `e`, of which fiber and timed are filled in. -EDEADLK: it would close a circle. A
 * stubborn one is reported only. */
int weft__graph_wait(weft__waiter *wt, weft__edge *e, int64_t deadline);

#endif
