/* Kinds of vats: memory of the environment's other sorts, and a block of the caller's.
 * The functions of a kind run on its lanes' workers. */
#include <errno.h>

#include "base/check.h"
#include "lane/vat.h"

/* ---- the environment's other sorts of memory ---- */

static void *map_shared(void *self, size_t bytes, size_t align)
{
    const weft_env *env = self;
    return env->map_as(env->self, bytes, align, WEFT_MAP_SHARED);
}

static void *map_huge(void *self, size_t bytes, size_t align)
{
    const weft_env *env = self;
    size_t huge = WEFT__REGION_CHUNKS / 2 * WEFT__CHUNK;
    return env->map_as(env->self, bytes, bytes >= huge && align < huge ? huge : align, WEFT_MAP_HUGE);
}

static void unmap_env(void *self, void *p, size_t bytes)
{
    const weft_env *env = self;
    env->unmap(env->self, p, bytes);
}

void weft__vat_kind_source(const weft_env *env, const weft_vat_kind *kind, weft__page_source *out)
{
    *out = (weft__page_source){kind->self, kind->map, kind->unmap, NULL};
    if (kind->map)
        return;
    out->self = (void *)(uintptr_t)env;
    out->map = kind->flags & WEFT_VAT_SHARED ? map_shared : map_huge;
    out->unmap = unmap_env;
    if (!(kind->flags & (WEFT_VAT_SHARED | WEFT_VAT_HUGE)))
        *out = (weft__page_source){env->self, env->map, env->unmap, env->discard};
}

int weft__vat_kind_check(weft_runtime *rt, const weft_vat_kind *kind)
{
    if (!kind)
        return 0;
    if ((kind->map && !kind->unmap) || ((uintptr_t)kind & 1))
        return -EINVAL;
    return !kind->map && (kind->flags & (WEFT_VAT_SHARED | WEFT_VAT_HUGE)) && !rt->env->map_as ? -ENOTSUP : 0;
}

WEFT_API const weft_vat_kind *weft_vat_shared(void)
{
    static const weft_vat_kind kind = {.name = "shared", .flags = WEFT_VAT_SHARED, .unit = 4 * WEFT__CHUNK};
    return &kind;
}

WEFT_API const weft_vat_kind *weft_vat_huge(void)
{
    static const weft_vat_kind kind = {.name = "huge", .flags = WEFT_VAT_HUGE, .unit = WEFT__REGION_CHUNKS / 2 * WEFT__CHUNK};
    return &kind;
}

/* ---- a block of the caller's ---- */

static void *map_block(void *self, size_t bytes, size_t align)
{
    const weft_env *env = self;
    return env->map(env->self, bytes, align);
}

/* The strict environment keeps the books of the block; its table lies at the block's beginning,
 * in front of what it manages. */
WEFT_API int weft_vat_block(weft_vat_kind *out, void *block, size_t size, unsigned flags)
{
    weft_env *env = (weft_env *)(((uintptr_t)block + 63) & ~(uintptr_t)63);
    size_t lost = (size_t)((char *)(env + 1) - (char *)block);
    if (!out || !block || (flags & ~(unsigned)WEFT_VAT_ARENA))
        return -EINVAL;
    if (size < lost + WEFT__CHUNK)
        return -ENOMEM;
    int r = weft_env_block(env, weft_env_posix(), env + 1, size - lost);
    if (r < 0)
        return r;
    void *probe = env->map(env->self, WEFT__CHUNK, WEFT__CHUNK);
    if (!probe)
        return -ENOMEM;
    env->unmap(env->self, probe, WEFT__CHUNK);
    *out = (weft_vat_kind){.name = flags & WEFT_VAT_ARENA ? "arena" : "block", .self = env, .map = map_block, .unmap = unmap_env, .flags = flags};
    return 0;
}
