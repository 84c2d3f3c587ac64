/* Who waits for whom: a fiber that waits for something which one other fiber has to give back is an edge. The edges
 * of a runtime are guarded by one lock, taken on slow paths only. An edge is published before its fiber waits, and
 * whoever publishes one looks whether it closes a circle, both under the same hold of the lock: of two workers that
 * close one together, the later sees it. */
#ifndef WEFT_FIBER_GRAPH_H
#define WEFT_FIBER_GRAPH_H

#include "fiber/fiber.h"

typedef struct weft__edge {
    weft__fiber *fiber;                      /* who waits */
    void *object;                            /* for what */
    weft__fiber *(*holder)(void *object);    /* who has it now, or NULL; from any thread */
    const char *what;                        /* "mutex" */
    const char *name;                        /* its own, or NULL */
    const char *(*locked_at)(void *object);  /* where its holder took it; NULL: nobody takes it */
    const char *site;                        /* where the wait is, or NULL */
    int timed;                               /* it ends by itself */
} weft__edge;

/* Publishes e as its fiber's. -EDEADLK: it closes a circle, which was reported, and is not published; a timed one is
 * reported, and published. Home of the fiber. */
int weft__graph_add(weft__edge *e);
/* The same without a look for circles: of one that closed none when it began, and whose fiber nobody could wait for
 * until now. */
void weft__graph_show(weft__edge *e);
void weft__graph_remove(weft__edge *e);
/* How many fibers, f the first of them, wait one for the other and the last for the object, all of them for ever; 0:
 * it is not so. Whoever has the object would close a circle by giving it to f. */
unsigned weft__graph_way(const weft__fiber *f, const void *object);
/* Somebody may wait for f from now on: if it joins, that is published, and whatever follows from there. Home. */
void weft__joins_show(weft__fiber *f);
/* What its fiber waits for, and who has it, as weft__format. While its holder does not run. */
size_t weft__edge_say(char *buf, size_t size, const weft__edge *e);

#endif
