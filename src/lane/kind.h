/* The table of namespaces: what kinds of ids there are, what they are called, and by which
 * rule each is used (DESIGN rule 6). */
#ifndef WEFT_LANE_KIND_H
#define WEFT_LANE_KIND_H

#include "fiber/fiber.h"

/* ADDRESS: any holder may use it, what it names may have ended. RESOURCE: its lane's alone. */
enum weft__right { WEFT__RIGHT_NONE, WEFT__RIGHT_ADDRESS, WEFT__RIGHT_RESOURCE };

/* Whose records its keys count. NOWHERE: its name is reserved. */
enum weft__kind_in { WEFT__IN_NOWHERE, WEFT__IN_FIBERS, WEFT__IN_LANES, WEFT__IN_RESOURCES, WEFT__IN_HOLDINGS, WEFT__IN_ALIASES, WEFT__IN_TIES };

typedef struct weft__kind_row {
    const char *name;
    uint8_t right; /* enum weft__right */
    uint8_t in;    /* enum weft__kind_in */
    uint8_t local; /* 0: it may name something of another process; 1: of this runtime only */
} weft__kind_row;

extern const weft__kind_row weft__kind_rows[WEFT__KINDS];

/* For any six bits. */
static inline enum weft__kind_in weft__kind_in(unsigned kind)
{
    return kind < WEFT__KINDS ? (enum weft__kind_in)weft__kind_rows[kind].in : WEFT__IN_NOWHERE;
}

/* A resource whose record is one of the small ones (lane.h). Not a column of the table: it is asked at each look-up. */
static inline int weft__kind_small(unsigned kind) { return kind == WEFT__TIMER; }

/* A resource that programs know by an id; the others are parts of the runtime. */
static inline int weft__kind_public(unsigned kind) { return kind < WEFT__KINDS; }

#endif
