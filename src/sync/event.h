/* The event as a thing to wait for, alone or among others. */
#ifndef WEFT_SYNC_EVENT_H
#define WEFT_SYNC_EVENT_H

#include <weft/sync.h>

#include "sync/wait.h"

void weft__event_node(weft__node *n, weft_event *e);

#endif
