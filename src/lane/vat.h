/* The vat's inside. A vat lies in the first page it took; it is made by the lane's first allocation and
 * touched by the lane's worker only.
 *
 * Sizes are rounded up to classes, four to a doubling. A class has pages: the one that blocks are taken from, others
 * with room, and full ones, which are in the vat's own list. Blocks of up to 512 bytes come from the vat's first page,
 * mixed, until that is used up, so that a lane with little memory has one page. Larger than 32 KiB: runs of chunks. */
#ifndef WEFT_LANE_VAT_H
#define WEFT_LANE_VAT_H

#include <weft/vat.h>

#include "lane/lane.h"
#include "lane/vat_pages.h"

#define WEFT__VAT_MAGIC 0x76617420u

enum {
    WEFT__VAT_CLASSES = 40,
    WEFT__VAT_MIXED = 16,         /* the classes up to 512 bytes */
    WEFT__VAT_LARGEST = 32768,    /* of a class */
    WEFT__CLASS_MIXED = 0xfd, WEFT__CLASS_ARENA, WEFT__CLASS_RUN
};
enum { WEFT__PAGE_ROOM, WEFT__PAGE_FULL };

/* Checked builds and AddressSanitizer's put this much behind each block:
 * a pattern, and how many bytes were asked for. */
#if defined(WEFT_CHECKED) || defined(__SANITIZE_ADDRESS__)
#define WEFT__VAT_TAIL 16
#else
#define WEFT__VAT_TAIL 0
#endif

/* Something outside of the vat that ends with it, unless it ends before: lane/stake.h. */
typedef struct weft__kept {
    weft__stake stake;
    void (*end)(struct weft__kept *k);
} weft__kept;

/* Who has something here and may outlive it: lane/stake.h. */
typedef struct weft__stakes {
    weft__spin lock;
    uint8_t closed, awaited;      /* nobody comes any more; the lane waits for the last to go */
    uint32_t count;
    weft__stake *waits, *holds, *kept;
    const struct weft__stake_hooks *hooks; /* of those who wait (atomic) */
} weft__stakes;

typedef struct weft__vat {
    uint32_t magic;
    uint8_t arena;                /* nothing is taken back */
    unsigned debt;                /* at its burial: what giving back its pages may cost, in units of a budget */
    weft__lane *lane;
    weft__page_depot *depot;      /* the runtime's, or `own` */
    const weft_vat_kind *kind;    /* NULL: the runtime's */
    size_t held, peak, pages;
    /* Pages with room, the one that blocks come from first; never NULL, see `none` in vat.c. */
    weft__page *room[WEFT__VAT_CLASSES];
    uint32_t count[WEFT__VAT_CLASSES];    /* pages of each class */
    weft__page *full, *runs;
    weft__page *first;            /* what the vat lies in */
    char *bump, *end;             /* of the first page, or of an arena's present chunk: what was never handed out */
    void *loose[WEFT__VAT_MIXED]; /* blocks of the first page that were given back */
    /* A byte for each 16 bytes of the first page: the class of the block that begins there + 1; TAG_FREE. */
    uint8_t *tags;
    weft__page_depot *own;        /* of a kind */
    weft__stakes stakes;
} weft__vat;

/* What lane->vat holds before the lane's first allocation where its memory is of a kind:
 * the kind, with the lowest bit set. */
static inline struct weft__vat *weft__vat_promise(const weft_vat_kind *kind)
{
    return kind ? (struct weft__vat *)((uintptr_t)kind | 1) : NULL;
}
static inline int weft__vat_promised(const struct weft__vat *v) { return (int)((uintptr_t)v & 1); }

/* A kind's own pages. */
typedef struct weft__own_depot {
    weft__slab_head head;
    weft__link link;              /* in the realm's kinds */
    weft__page_depot depot;
} weft__own_depot;
/* Closes it; everything in it is unmapped. */
void weft__vat_close_own(weft__page_depot *depot);
/* Where a kind's memory comes from. */
void weft__vat_kind_source(const weft_env *env, const weft_vat_kind *kind, weft__page_source *out);
/* For weft_lane_options.vat: 0; -EINVAL a table without needed functions;
 * -ENOTSUP the environment has no such memory. */
int weft__vat_kind_check(weft_runtime *rt, const weft_vat_kind *kind);

/* Sizes of classes. */
static inline uint32_t weft__class_size(unsigned class)
{
    unsigned doubling = (class - 8) / 4;
    return class < 8 ? (class + 1) * 16 : (128u << doubling) + (32u << doubling) * ((class - 8) % 4 + 1);
}
/* The smallest class that holds `size` bytes, at most WEFT__VAT_LARGEST. */
static inline unsigned weft__class_of(size_t size)
{
    if (size <= 128)
        return size ? (unsigned)(size - 1) / 16 : 0;
    unsigned top = 63 - (unsigned)__builtin_clzll(size - 1);
    return 8 + 4 * (top - 7) + ((unsigned)((size - 1) >> (top - 2)) & 3);
}

/* ---- vat_page.c: pages of a vat ---- */
/* The vat of the lane, made if need be; NULL: no memory, the limit. */
weft__vat *weft__vat_open(weft__lane *lane);
/* A page of the order for the vat: charged, with its owner filled in. NULL: the limit, or no memory. */
weft__page *weft__vat_take(weft__vat *v, unsigned order);
void weft__vat_put(weft__vat *v, weft__page *g);
/* A fresh page for blocks of a class, first in its list. NULL: the limit, or no memory. */
weft__page *weft__vat_grow(weft__vat *v, unsigned class);
/* Hands out further blocks of a page that has some that never were: 1 if it did. */
int weft__page_carve(weft__page *g);
void weft__page_link(weft__page **list, weft__page *g);
void weft__page_unlink(weft__page **list, weft__page *g);
extern const weft__page weft__page_none;

/* ---- vat_run.c: large blocks ---- */
void *weft__run_alloc(weft__vat *v, size_t size, int *clean);
void weft__run_free(weft__vat *v, weft__page *g);
/* Another size in place: 1 if that could be. */
int weft__run_resize(weft__vat *v, weft__page *g, size_t size);
static inline char *weft__run_data(weft__page *g) { return (char *)weft__page_chunk_of(g) + WEFT__RUN_HEAD; }
/* `bytes`: all that is charged for it. */
static inline size_t weft__run_room(const weft__page *g) { return g->bytes - WEFT__RUN_HEAD; }

/* ---- vat_bad.c: telling of bad use ---- */
/* `p` was given to `call` and must not have been: it is not of the calling lane's vat, is free already,
 * is no block's beginning. Says so, or aborts in a checked build. */
void weft__vat_misuse(const void *p, const char *call);
/* The calling fiber uses an object at p. If that lies in the memory of a lane that may die while this one lives
 * (another's, and no ancestor's), a checked build aborts with the names of both. */
#ifdef WEFT_CHECKED
void weft__vat_used(const void *p, const char *call);
#else
static inline void weft__vat_used(const void *p, const char *call) { (void)p, (void)call; }
#endif
/* For tests, before any runtime is opened: a checked build says nothing either. */
extern int weft__vat_lenient;
/* The vat that p lies in, or NULL. Searches; any thread. */
weft__vat *weft__vat_around(weft_runtime *rt, const void *p);
/* Whether `owner` is `lane` or an ancestor of it. */
int weft__lane_outlives(const weft__lane *owner, const weft__lane *lane);
void weft__vat_freed_twice(weft__vat *v, const void *p, const char *call);
void weft__vat_no_block(weft__vat *v, const void *p, const char *call);
/* The tail behind a block of `size` bytes, as it must be; `room` bytes with it. */
void weft__tail_set(void *p, size_t room, size_t size);
/* How many bytes were asked for; aborts if the tail was written to. */
size_t weft__tail_check(weft__vat *v, void *p, size_t room);

#endif
