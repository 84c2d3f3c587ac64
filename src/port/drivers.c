/* Which driver a port gets: by name, by WEFT_PORT, or the best that works here. Also the check of a table for empty
 * slots. Any thread. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/atomic.h"
#include "env/default.h"
#include "port/port.h"

#ifndef WEFT_PORT_URING
const weft_port_driver *weft_driver_uring(void) { return NULL; }
int weft__uring_there(void) { return -ENOSYS; }
#endif

const char *weft_driver_missing(const weft_port_driver *d, const char *after)
{
    const struct {
        const char *name;
        int filled;
    } needed[] = {
        {"name", d->name != NULL},     {"open", d->open != NULL},     {"close", d->close != NULL},
        {"submit", d->submit != NULL}, {"cancel", d->cancel != NULL}, {"enter", d->enter != NULL},
        {"wake", d->wake != NULL},     {"path", d->path != NULL},
    };
    int from = after == NULL;
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        if (from && !needed[i].filled)
            return needed[i].name;
        if (after && strcmp(after, needed[i].name) == 0)
            from = 1;
    }
    return NULL;
}

void weft_port_set_state(weft_port *port, void *state) { port->state = state; }
void *weft_port_state(const weft_port *port) { return port->state; }
const weft_env *weft_port_env(const weft_port *port) { return port->env; }

/* Whether this process gets rings: a kernel may lack the calls, or a sandbox refuse them. */
static int has_rings(void)
{
    static uint32_t known; /* 0 not tried, 1 yes, 2 no; two threads that try at once find the same */
    uint32_t k = weft__load_relaxed(&known, "driver_known");
    if (k)
        return k == 1;
    int r = weft__uring_there();
    if (r != -ENOMEM && r != -EMFILE && r != -ENFILE) /* which say nothing about the kernel */
        weft__store_relaxed(&known, r == 0 ? 1 : 2, "driver_known");
    return r == 0;
}

/* In a simulation every name of a built-in driver means the simulated kernel:
 * no other belongs to its clock and threads. */
const weft_port_driver *weft_driver_named(const char *name)
{
    const weft_port_driver *uring = weft_driver_uring(), *simulated = weft__default_driver();
    if (simulated && (!name || strcmp(name, "auto") == 0 || strcmp(name, "uring") == 0 || strcmp(name, "epoll") == 0))
        return simulated;
    if (!name || strcmp(name, "auto") == 0) {
        const char *asked = getenv("WEFT_PORT");
        if (asked && *asked && strcmp(asked, "auto") != 0)
            return weft_driver_named(asked);
        return uring && has_rings() ? uring : weft_driver_epoll();
    }
    if (strcmp(name, "uring") == 0)
        return uring;
    return strcmp(name, "epoll") == 0 ? weft_driver_epoll() : NULL;
}
