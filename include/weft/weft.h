/* All of weft. Read in this order: types, runtime, fiber, lane, sync, net, file; below them op, port and env. */
#ifndef WEFT_WEFT_H
#define WEFT_WEFT_H

#include <weft/alarm.h>
#include <weft/broadcast.h>
#include <weft/channel.h>
#include <weft/env.h>
#include <weft/fiber.h>
#include <weft/file.h>
#include <weft/flow.h>
#include <weft/id.h>
#include <weft/group.h>
#include <weft/lane.h>
#include <weft/link.h>
#include <weft/message.h>
#include <weft/net.h>
#include <weft/op.h>
#include <weft/pool.h>
#include <weft/port.h>
#include <weft/runtime.h>
#include <weft/select.h>
#include <weft/signal.h>
#include <weft/slice.h>
#include <weft/supervisor.h>
#include <weft/sync.h>
#include <weft/types.h>
#include <weft/vat.h>

#endif
