/* Fiber-local values: a handful of process-wide keys, a pointer each in every fiber that has set one. Keys are made
 * by any thread and never given back. */
#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "fiber/fiber.h"

static uint32_t keys;
static void (*destroyers[WEFT_LOCALS])(void *);

int weft_local_key(unsigned *key, void (*destroy)(void *value))
{
    if (!key)
        return -EINVAL;
    uint32_t n = weft__load_relaxed(&keys, "local.key");
    do
        if (n >= WEFT_LOCALS)
            return -EAGAIN;
    while (!weft__cas_acq_rel(&keys, &n, n + 1, "local.key"));
    weft__store_release(&destroyers[n], destroy, "local.key"); /* before anybody can know the key */
    *key = n;
    return 0;
}

static weft__locals *make(weft__fiber *f)
{
    f->locals = weft__slab_get(&weft__fibers_of(f->home)->locals);
    if (f->locals)
        memset(f->locals->value, 0, sizeof f->locals->value);
    return f->locals;
}

void weft__locals_drop(weft__fiber *f)
{
    weft__slab_put(&weft__fibers_of(f->home)->locals, f->locals);
    f->locals = NULL;
}

int weft_local_set(unsigned key, void *value)
{
    weft__fiber *f = weft__fiber_self();
    if (!f)
        return -EPERM;
    if (key >= weft__load_relaxed(&keys, "local.set"))
        return -EINVAL;
    if (!f->locals && value && !make(f))
        return -ENOMEM;
    if (f->locals)
        f->locals->value[key] = value;
    return 0;
}

void *weft_local_get(unsigned key)
{
    weft__fiber *f = weft__fiber_self();
    return f && f->locals && key < WEFT_LOCALS ? f->locals->value[key] : NULL;
}

int weft__locals_any(const weft__fiber *f)
{
    uint32_t n = f->locals ? weft__load_relaxed(&keys, "local.any") : 0;
    for (uint32_t i = 0; i < n; i++)
        if (f->locals->value[i] && weft__load_acquire(&destroyers[i], "local.any"))
            return 1;
    return 0;
}

void weft__locals_destroy(weft__fiber *f)
{
    if (!f->locals)
        return;
    uint32_t n = weft__load_relaxed(&keys, "local.destroy");
    for (uint32_t i = 0; i < n; i++) {
        void *value = f->locals->value[i];
        void (*destroy)(void *) = weft__load_acquire(&destroyers[i], "local.destroy");
        f->locals->value[i] = NULL;
        if (value && destroy)
            destroy(value);
    }
    weft__locals_drop(f);
}
