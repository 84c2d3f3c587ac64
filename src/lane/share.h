/* Shared blocks, and what lanes hold of them. A block lies outside all vats and is freed with its last reference;
 * references are counted atomically, for their holders are on different workers. What a lane holds (a block being
 * filled, a slice, a rope) is a record in its list, charged to it, so that its death finds everything. A span is a
 * counted reference that no lane holds: in a message, say. */
#ifndef WEFT_LANE_SHARE_H
#define WEFT_LANE_SHARE_H

#include <weft/slice.h>

#include "lane/lane.h"
#include "lane/memory.h"

enum weft__shared_where { WEFT__IN_RECORD, WEFT__IN_PAGE };

typedef struct weft__shared {
    weft__slab_head head;
    weft__memory_realm *memory;
    char *data;
    size_t size;
    uint32_t refs;       /* atomic */
    uint8_t where, small; /* WEFT__IN_RECORD: which slab */
} weft__shared;

/* Sizes of records that have their bytes in them. */
extern const uint32_t weft__small_sizes[WEFT__SMALL_BLOCKS];

/* A part of a block, and one reference to it. */
typedef struct weft__span {
    weft__shared *block;
    size_t offset, length;
} weft__span;

typedef struct weft__part {
    weft__slab_head head;
    weft__span span;
    struct weft__part *next;
} weft__part;

typedef struct weft__holding weft__holding;

struct weft__holding {
    weft__slab_head head;
    uint32_t owner;            /* key of the lane's record; 0xffffffff while free (atomic) */
    uint16_t kind;             /* WEFT__BLOCK, WEFT__SLICE, WEFT__ROPE */
    uint8_t drained;           /* while it is buried: its block is being given back in slices */
    weft__lane *lane;
    weft__holding *next, *prev; /* in the annex's holdings */
    weft__span span;           /* of a block or a slice */
    weft__part *first, *last;  /* of a rope */
    size_t length, parts;      /* of a rope */
};

/* The first that the lane has, or NULL. Home. */
static inline weft__holding *weft__holdings_of(const weft__lane *lane) { return lane->annex ? lane->annex->holdings : NULL; }

/* What a record counts for, beside the bytes. */
enum { WEFT__HOLDING_COST = 128, WEFT__PART_COST = 64 };

/* ---- share.c: blocks; any thread ---- */
/* A block with one reference; NULL: no memory. Charged to nobody. */
weft__shared *weft__shared_make(weft_runtime *rt, size_t size);
/* Who calls has one. */
static inline void weft__shared_ref(weft__shared *s) { weft__add_relaxed(&s->refs, 1, "shared.ref"); }
void weft__shared_unref(weft__shared *s);
/* The same, in slices if it is large: 1 when it is done. Called again with the same
 * block until then. *last: 0 at first. */
int weft__shared_unref_some(weft__shared *s, uint8_t *last, unsigned *budget);
/* Memory as such, for storage of the runtime's own that outlives its maker:
 * size bytes, given back by put from any thread. */
void *weft__shared_get(weft_runtime *rt, size_t size);
void weft__shared_put(void *p);

/* ---- slice.c: for the lane's worker ---- */
/* A record that counts for `bytes` and is in the lane's list: 0, -ENOMEM. */
int weft__holding_make(weft__lane *lane, enum weft__kind kind, size_t bytes, weft__holding **out);
/* Out of the list, id stale, charge given back; what it refers to is the caller's. `bytes`: as it is charged now. */
void weft__holding_free(weft__holding *h, size_t bytes);
/* Of the calling fiber's lane: 0, -EPERM, -EBADF, -EINVAL. */
int weft__holding_find(weft_id id, enum weft__kind kind, weft__holding **out);
weft_id weft__holding_id(const weft__holding *h);
weft__slab_cache *weft__parts_of(void);

/* Takes the slice's reference out of the caller's lane: the slice names nothing any more. */
int weft__slice_detach(weft_slice slice, weft__span *out);
/* Gives a lane a slice with the span's reference; on failure (-ENOMEM) the span stays the caller's. */
int weft__slice_attach(weft__lane *lane, const weft__span *span, weft_slice *out);
/* Lets go of a detached reference. Any thread. */
static inline void weft__span_drop(const weft__span *span) { weft__shared_unref(span->block); }

/* ---- rope.c ---- */
/* Lets go of parts as far as the budget reaches: 1 when none is left. */
int weft__rope_clear(weft__holding *h, unsigned *budget);

#endif
