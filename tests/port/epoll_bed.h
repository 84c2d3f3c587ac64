/* What the tests of the epoll driver's timer share: a port on that driver, and waits on it. */
#ifndef WEFT_TESTS_PORT_EPOLL_BED_H
#define WEFT_TESTS_PORT_EPOLL_BED_H

#include <stdlib.h>

#include "bed.h"
#include "port/epoll.h"

#define FAR (1000 * WEFT_SECOND)

static inline weft__epoll *epoll_of(const bed *b) { return b->port.state; }

static inline void epoll_bed_open(bed *b)
{
    setenv("WEFT_PORT", "epoll", 1);
    bed_open(b, NULL);
}

/* One wait, which a wake ends, in one entry; none where the deadline has passed. */
static inline void one_wait(bed *b, int64_t deadline)
{
    const uint64_t entered = b->port.entered;
    b->port.driver->wake(&b->port);
    weft__port_enter(&b->port, deadline);
    CHECK(b->port.entered == entered + 1 || bed_now() >= deadline);
}

static inline void wait_often(bed *b, int64_t deadline)
{
    for (int i = 0; i < 100; i++)
        one_wait(b, deadline);
}

static inline void sleep_until(bed *b, int64_t deadline)
{
    while (bed_now() < deadline)
        weft__port_enter(&b->port, deadline);
}

#endif
