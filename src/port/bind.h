/* Calls from the core into a driver on the hot paths. Through the table in ordinary builds; with -Dbind=direct
 * the drivers of this library are called straight away, and the table serves the others (an application's own).
 * What that buys: bench/micro/bind.py. A fiber's own way into a ring (port->transfer) goes by a pointer in both
 * kinds of builds. */
#ifndef WEFT_PORT_BIND_H
#define WEFT_PORT_BIND_H

#include "port/port.h"

#ifdef WEFT_BIND_DIRECT

#include "port/epoll.h"

#ifdef WEFT_PORT_URING
#include "port/uring.h"
#endif

static inline void weft__driver_submit(weft_port *port, weft_op *op)
{
#ifdef WEFT_PORT_URING
    if (port->driver->submit == weft__uring_submit) {
        weft__uring_submit(port, op);
        return;
    }
#endif
    if (port->driver->submit == weft__epoll_submit)
        weft__epoll_submit(port, op);
    else
        port->driver->submit(port, op);
}

static inline void weft__driver_enter(weft_port *port, int64_t deadline_ns)
{
#ifdef WEFT_PORT_URING
    if (port->driver->enter == weft__uring_enter) {
        weft__uring_enter(port, deadline_ns);
        return;
    }
#endif
    if (port->driver->enter == weft__epoll_enter)
        weft__epoll_enter(port, deadline_ns);
    else
        port->driver->enter(port, deadline_ns);
}

#else

static inline void weft__driver_submit(weft_port *port, weft_op *op) { port->driver->submit(port, op); }
static inline void weft__driver_enter(weft_port *port, int64_t deadline_ns) { port->driver->enter(port, deadline_ns); }

#endif

#endif
