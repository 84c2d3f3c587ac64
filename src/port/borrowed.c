/* Who has which provided buffer. Ports lend buffers to whoever reads; a reader that is killed gives nothing back by
 * itself, so those that may be are noted here, and what they still had is released at their death.
 *
 * The table is made by whoever needs it first and lives as long as the port. An entry is its borrower's from borrow to
 * release, so no two threads write it at once; it is atomic because reclaiming looks at everybody's. */
#include <errno.h>
#include <string.h>

#include "base/atomic.h"
#include "base/check.h"
#include "port/port.h"

struct weft__borrowed {
    size_t bytes;
    uint32_t count;
    struct {
        void *data;
        uint32_t who; /* 0: nobody that we know of */
    } buffer[];
};

int weft__borrowed_open(weft_port *port)
{
    if (weft__load_acquire(&port->borrowed, "borrowed.open"))
        return 0;
    uint32_t count = port->config.buffer_count;
    struct weft__borrowed *b, *none = NULL;
    size_t page = port->env->page_size, bytes = (sizeof *b + count * sizeof *b->buffer + page - 1) / page * page;
    b = port->env->map(port->env->self, bytes, 0);
    if (!b)
        return -ENOMEM;
    b->bytes = bytes;
    b->count = count;
    if (!weft__cas_acq_rel(&port->borrowed, &none, b, "borrowed.open")) /* pairs with the load above */
        port->env->unmap(port->env->self, b, bytes); /* another worker of the port was quicker */
    return 0;
}

void weft__borrow(const weft_buffer *buffer, uint32_t who)
{
    struct weft__borrowed *b = weft__load_acquire(&buffer->port->borrowed, "borrow");
    WEFT_ASSERT(b && buffer->bid < b->count);
    b->buffer[buffer->bid].data = buffer->data;
    weft__store_relaxed(&b->buffer[buffer->bid].who, who, "borrow");
}

void weft__borrowed_returned(weft_port *port, uint32_t bid)
{
    struct weft__borrowed *b = weft__load_acquire(&port->borrowed, "borrow.returned");
    if (b && bid < b->count)
        weft__store_relaxed(&b->buffer[bid].who, 0, "borrow.returned");
}

void weft__borrowed_reclaim(weft_port *port, uint32_t who)
{
    struct weft__borrowed *b = weft__load_acquire(&port->borrowed, "borrow.reclaim");
    for (uint32_t bid = 0; b && bid < b->count; bid++) {
        if (weft__load_relaxed(&b->buffer[bid].who, "borrow.reclaim") != who)
            continue;
        weft_buffer buffer = {b->buffer[bid].data, 0, bid, port};
        weft_port_release(&buffer);
    }
}

void weft__borrowed_close(weft_port *port)
{
    if (port->borrowed)
        port->env->unmap(port->env->self, port->borrowed, port->borrowed->bytes);
    port->borrowed = NULL;
}
