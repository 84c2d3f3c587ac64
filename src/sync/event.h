/* Events, semaphores and latches as things to wait for, alone or among others. */
#ifndef WEFT_SYNC_EVENT_H
#define WEFT_SYNC_EVENT_H

#include <weft/sync.h>

#include "sync/wait.h"

void weft__event_node(weft__node *n, weft_event *e);
/* weft_event_set, in no fiber's name. */
void weft__event_raise(weft_event *e);
void weft__semaphore_node(weft__node *n, weft_semaphore *s, size_t units);
void weft__latch_node(weft__node *n, weft_latch *l);

#endif
