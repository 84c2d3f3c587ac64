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

/* Whether a port of this driver opens in this process: a kernel may lack the calls, or a sandbox refuse them. Memory
 * for the attempt comes from env, or is that of the port to be. */
static int works(const weft_port_driver *driver, const weft_env *env, const weft_port_config *config)
{
    static uint32_t known; /* 0 not tried, 1 works, 2 does not; two threads that try at once find the same */
    uint32_t k = weft__load_relaxed(&known, "driver_known");
    if (k)
        return k == 1;
    const weft_port_config smallest = {
        .entries = 4, .buffer_count = 1, .memory = config->memory, .memory_size = config->memory_size};
    weft_port *probe = &(weft_port){.driver = driver, .env = env, .config = smallest};
    int r = driver->open(probe, &probe->config);
    if (r == 0)
        driver->close(probe);
    if (r != -ENOMEM) /* which says nothing about the kernel */
        weft__store_relaxed(&known, r == 0 ? 1 : 2, "driver_known");
    return r == 0;
}

/* In a simulation every name of a built-in driver means the simulated kernel: no other belongs to its clock and threads. */
const weft_port_driver *weft__driver_choose(const char *name, const weft_env *env, const weft_port_config *config)
{
    const weft_port_driver *uring = weft_driver_uring(), *simulated = weft__default_driver();
    if (simulated && (!name || strcmp(name, "auto") == 0 || strcmp(name, "uring") == 0 || strcmp(name, "epoll") == 0))
        return simulated;
    if (!name || strcmp(name, "auto") == 0) {
        const char *asked = getenv("WEFT_PORT");
        if (asked && *asked && strcmp(asked, "auto") != 0)
            return weft__driver_choose(asked, env, config);
        return uring && works(uring, env, config) ? uring : weft_driver_epoll();
    }
    if (strcmp(name, "uring") == 0)
        return uring;
    return strcmp(name, "epoll") == 0 ? weft_driver_epoll() : NULL;
}

const weft_port_driver *weft_driver_named(const char *name)
{
    return weft__driver_choose(name, weft_env_posix(), &(weft_port_config){0});
}
