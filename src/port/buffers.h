/* Provided buffers for drivers whose kernel interface has none: equal pieces of one mapping, each with a number.
 * Home thread. */
#ifndef WEFT_PORT_BUFFERS_H
#define WEFT_PORT_BUFFERS_H

#include <weft/env.h>

typedef struct weft__buffers {
    const weft_env *env;
    uint8_t *base;    /* NULL until the first is taken: a port that streams nothing pays nothing */
    size_t mapped;
    uint32_t size, count;
    uint32_t *next;   /* free list, by number; `count` ends it */
    uint32_t free, out;
} weft__buffers;

/* Sets sizes (0: the defaults of weft_port_config); nothing is mapped yet. */
void weft__buffers_init(weft__buffers *b, const weft_env *env, uint32_t size, uint32_t count);
/* All must be back. */
void weft__buffers_fini(weft__buffers *b);
/* Takes one: 0, -ENOBUFS all are out (they come back), -ENOMEM there are none at all. */
int weft__buffers_take(weft__buffers *b, void **data, uint32_t *bid);
void weft__buffers_give(weft__buffers *b, uint32_t bid);

#endif
