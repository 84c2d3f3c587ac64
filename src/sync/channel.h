/* Channels and futures as things to wait for, alone or among others. */
#ifndef WEFT_SYNC_CHANNEL_H
#define WEFT_SYNC_CHANNEL_H

#include <weft/channel.h>

#include "sync/wait.h"

void weft__channel_send_node(weft__node *n, weft_channel *c, const void *item);
void weft__channel_receive_node(weft__node *n, weft_channel *c, void *item);
void weft__future_node(weft__node *n, weft_future *f);
/* Its result and, where value is not NULL, its value: once it is known to be kept. */
int weft__future_read(weft_future *f, void **value);

#endif
