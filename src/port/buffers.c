/* Bookkeeping of provided buffers. Home thread only. The free list lies beside the buffers, not in them, so that
 * what a peer sent is never taken for a link; under AddressSanitizer a buffer that was given back is poisoned until
 * it is lent again. */
#include "port/buffers.h"

#include <errno.h>
#include <string.h>

#include "base/check.h"

#if defined(__SANITIZE_ADDRESS__)
#define POISONS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POISONS 1
#endif
#endif
#ifdef POISONS
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#endif

void weft__buffers_init(weft__buffers *b, const weft_env *env, uint32_t size, uint32_t count)
{
    memset(b, 0, sizeof *b);
    b->env = env;
    /* A returned buffer carries its own request through the inbox (weft_port_release), so it is never tiny, and
     * aligned. */
    b->size = size ? (size + 63u) & ~63u : 4096;
    b->count = count ? count : 256;
}

void weft__buffers_fini(weft__buffers *b)
{
    WEFT_ASSERT(b->out == 0);
    if (!b->base)
        return;
    ASAN_UNPOISON_MEMORY_REGION(b->base, b->mapped);
    b->env->unmap(b->env->self, b->base, b->mapped);
    b->base = NULL;
}

static int map(weft__buffers *b)
{
    size_t data = (size_t)b->size * b->count, bytes = data + b->count * sizeof *b->next;
    size_t page = b->env->page_size;
    bytes = (bytes + page - 1) / page * page;
    uint8_t *base = b->env->map(b->env->self, bytes, 0);
    if (!base)
        return -ENOMEM;
    b->base = base;
    b->mapped = bytes;
    b->next = (uint32_t *)(void *)(base + data);
    for (uint32_t i = 0; i < b->count; i++)
        b->next[i] = i + 1;
    b->free = 0;
    ASAN_POISON_MEMORY_REGION(base, data);
    return 0;
}

int weft__buffers_take(weft__buffers *b, void **data, uint32_t *bid)
{
    if (!b->base) {
        int r = map(b);
        if (r < 0)
            return r;
    }
    if (b->free == b->count)
        return -ENOBUFS;
    *bid = b->free;
    b->free = b->next[*bid];
    b->next[*bid] = UINT32_MAX; /* lent: a second return is noticed */
    b->out++;
    *data = b->base + (size_t)*bid * b->size;
    ASAN_UNPOISON_MEMORY_REGION(*data, b->size);
    return 0;
}

void weft__buffers_give(weft__buffers *b, uint32_t bid)
{
    WEFT_ASSERT(bid < b->count && b->next[bid] == UINT32_MAX);
    ASAN_POISON_MEMORY_REGION(b->base + (size_t)bid * b->size, b->size);
    b->next[bid] = b->free; /* last in, first out: it is still in the cache */
    b->free = bid;
    b->out--;
}
