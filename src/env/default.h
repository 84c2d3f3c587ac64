/* What a runtime uses that was given no environment and no driver: the POSIX ones, unless a simulation says otherwise.
 * The simulator, which lies above, installs itself here; nobody below it knows its name. */
#ifndef WEFT_ENV_DEFAULT_H
#define WEFT_ENV_DEFAULT_H

#include <weft/env.h>

struct weft_port_driver;

typedef struct weft__defaults {
    const weft_env *(*env)(void);                     /* NULL from either: nothing to say on this thread */
    const struct weft_port_driver *(*driver)(void);
} weft__defaults;

/* The environment for callers that name none. Any thread. Never NULL. */
const weft_env *weft__default_env(void);
/* The driver that must be used with it, or NULL: choose by name. Any thread. */
const struct weft_port_driver *weft__default_driver(void);

/* Installs a source of defaults, for good; the pointed-to table is static. Any thread. */
void weft__defaults_install(const weft__defaults *source);

#endif
