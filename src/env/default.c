/* Owns the pointer through which a simulation stands in for the defaults. Any thread. */
#include "env/default.h"

static const weft__defaults *installed;

void weft__defaults_install(const weft__defaults *source)
{
    __atomic_store_n(&installed, source, __ATOMIC_RELEASE); /* pairs with the loads below */
}

const weft_env *weft__default_env(void)
{
    const weft__defaults *source = __atomic_load_n(&installed, __ATOMIC_ACQUIRE);
    const weft_env *env = source ? source->env() : NULL;

    return env ? env : weft_env_posix();
}

const struct weft_port_driver *weft__default_driver(void)
{
    const weft__defaults *source = __atomic_load_n(&installed, __ATOMIC_ACQUIRE);

    return source ? source->driver() : NULL;
}
