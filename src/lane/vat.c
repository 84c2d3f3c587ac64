/* Blocks of a lane's vat: handing out, taking back. Called by fibers, for the vat of their own lane, on its worker,
 * so nothing here is atomic.
 *
 * Invariants: room[class] begins with the page that blocks are taken from; a page is in the list of full ones exactly
 * while its state says so, and gets there only when a block is wanted from it; a page without blocks in use goes back
 * unless it is the first of its class.
 *
 * A free block holds the next one's address and a mark, by which freeing it again is
 * noticed without a look at the list. */
#include "lane/vat.h"

#include <errno.h>
#include <string.h>

#include "arch/poison.h"
#include "base/check.h"
#include "fiber/contain.h"
#include "lane/alarm.h"
#include "lane/estate.h"
#include "port/inflight.h"

typedef struct block {
    struct block *next;
    uintptr_t mark;
} block;

enum { TAG_FREE = 0x80 };

/* Builds that put a tail behind each block, or tell a tool about it, take the long way always. */
#if WEFT__VAT_TAIL || WEFT__VALGRIND_HEAP
#define PLAIN 0
#else
#define PLAIN 1
#endif

static uintptr_t mark_of(const weft__page *g) { return (uintptr_t)g ^ (uintptr_t)0x9e3779b97f4a7c15u; }

static weft__lane *my_lane(void)
{
    weft__fiber *f = weft__fiber_self();
    return f ? weft__lane_of(f->crew) : NULL;
}

static weft__vat *my_vat(void)
{
    weft__lane *lane = my_lane();
    return lane ? lane->vat : NULL;
}

/* ---- the first page ---- */

static uint8_t *tag_of(weft__vat *v, const void *p) { return &v->tags[((uintptr_t)p & (WEFT__LEAF - 1)) / 16]; }

WEFT__NO_ASAN static void *mixed_take(weft__vat *v, unsigned class)
{
    size_t size = weft__class_size(class);
    block *b = v->loose[class];
    if (b) {
        v->loose[class] = b->next;
    } else {
        if ((size_t)(v->end - v->bump) < size)
            return NULL;
        b = (block *)(void *)v->bump;
        v->bump += size;
    }
    *tag_of(v, b) = (uint8_t)(class + 1);
    v->first->used++;
    return b;
}

WEFT__NO_ASAN static void mixed_put(weft__vat *v, void *p)
{
    uint8_t *tag = tag_of(v, p);
    unsigned class = *tag - 1u;
    *tag |= TAG_FREE;
    ((block *)p)->next = v->loose[class];
    v->loose[class] = p;
    v->first->used--;
}

/* ---- arenas: a word in front of each block says how large it is ---- */

enum { ARENA_HEAD = 16 };

typedef struct arena_head {
    size_t room; /* the lowest bit: freed */
} arena_head;

static arena_head *head_of(const void *p) { return (arena_head *)(uintptr_t)((const char *)p - ARENA_HEAD); }

static void *arena_take(weft__vat *v, size_t size)
{
    size_t room = size ? (size + 15) & ~(size_t)15 : 16, whole = room + ARENA_HEAD; /* no room would be no block */
    if ((size_t)(v->end - v->bump) < whole) {
        weft__page *g = weft__vat_take(v, WEFT__WHOLE);
        if (!g)
            return NULL;
        g->class = WEFT__CLASS_ARENA;
        weft__page_link(&v->full, g);
        v->bump = weft__page_start(g);
        v->end = weft__page_end(g);
    }
    void *p = v->bump + ARENA_HEAD;
    v->bump += whole;
    weft__unpoison(head_of(p), ARENA_HEAD);
    head_of(p)->room = room;
    weft__page_of(p)->used++;
    return p;
}

/* ---- pages ---- */

/* The first page of the class is used up. */
static void turn_full(weft__vat *v, unsigned class)
{
    weft__page *g = v->room[class];
    weft__page_unlink(&v->room[class], g);
    if (!v->room[class])
        v->room[class] = (weft__page *)(uintptr_t)&weft__page_none;
    g->state = WEFT__PAGE_FULL;
    weft__page_link(&v->full, g);
}

/* A page has no block in use any more, or was full and is not now. */
static void page_changed(weft__vat *v, weft__page *g)
{
    weft__page **list = &v->room[g->class], *first = *list;
    if (g->state == WEFT__PAGE_FULL) {
        weft__page_unlink(&v->full, g);
        g->state = WEFT__PAGE_ROOM;
        if (first == &weft__page_none) {
            *list = NULL;
            weft__page_link(list, g);
        } else { /* behind the first, which goes on serving */
            g->prev = first;
            g->next = first->next;
            if (g->next)
                g->next->prev = g;
            first->next = g;
        }
    }
    if (g->used == 0 && g != *list) {
        weft__page_unlink(list, g);
        v->count[g->class]--;
        weft__vat_put(v, g);
    }
}

WEFT__NO_ASAN static inline block *pop(weft__page *g)
{
    block *b = g->free;
    if (b) {
        g->free = b->next;
        b->mark = 0;
        g->used++;
    }
    return b;
}

static void *class_take(weft__vat *v, unsigned class)
{
    for (;;) {
        weft__page *g = v->room[class];
        block *b = pop(g);
        if (b)
            return b;
        if (g == &weft__page_none)
            break;
        if (!weft__page_carve(g))
            turn_full(v, class);
    }
    void *p = class < WEFT__VAT_MIXED ? mixed_take(v, class) : NULL;
    if (p)
        return p;
    weft__page *g = weft__vat_grow(v, class);
    return g ? pop(g) : NULL;
}

WEFT__NO_ASAN static int is_free(const weft__page *g, const void *p)
{
    for (const block *b = g->free; b; b = b->next)
        if (b == p)
            return 1;
    return 0;
}

/* ---- taking ---- */

/* How many bytes there are at p, tail included; 0: no block begins there. */
WEFT__NO_ASAN static size_t room_of(weft__vat *v, const weft__page *g, const void *p)
{
    size_t offset = (size_t)((const char *)p - weft__page_start(g));
    switch (g->class) {
    case WEFT__CLASS_RUN:
        return offset ? 0 : weft__run_room(g);
    case WEFT__CLASS_ARENA:
        return head_of(p)->room & ~(size_t)1;
    case WEFT__CLASS_MIXED: {
        unsigned tag = (uintptr_t)p % 16 ? 0 : *tag_of(v, p);
        return tag ? weft__class_size((tag & ~(unsigned)TAG_FREE) - 1) : 0;
    }
    default:
        return offset % g->size ? 0 : g->size;
    }
}

/* The bytes are the caller's from here on, the tail is nobody's. */
static void *dress(void *p, size_t room, size_t size)
{
    if (WEFT__VAT_TAIL) {
        weft__unpoison(p, room);
        weft__tail_set(p, room, size);
    }
    if (WEFT__VALGRIND_HEAP)
        weft__unpoison(p, size);
    return p;
}

static void *take(weft__lane *lane, size_t size, int *clean)
{
    weft__vat *v = weft__vat_open(lane);
    size_t whole = size + WEFT__VAT_TAIL;
    *clean = 0;
    if (!v || whole < size)
        return NULL;
    if (whole > WEFT__VAT_LARGEST) {
        void *p = weft__run_alloc(v, whole, clean);
        return p ? dress(p, weft__run_room(weft__page_of(p)), size) : NULL;
    }
    if (v->arena) {
        void *p = arena_take(v, whole);
        return p ? dress(p, head_of(p)->room, size) : NULL;
    }
    unsigned class = weft__class_of(whole);
    void *p = class_take(v, class);
    return p ? dress(p, weft__class_size(class), size) : NULL;
}

WEFT__NO_ASAN WEFT_API void *weft_alloc(size_t size)
{
    weft__lane *lane = my_lane();
    int clean;
    if (!lane)
        return NULL;
    if (lane->crew.containable)
        weft__probe_self();
    weft__vat *v = lane->vat;
    if (PLAIN && size <= WEFT__VAT_LARGEST && v && !weft__vat_promised(v)) {
        block *b = pop(v->room[weft__class_of(size)]);
        if (b)
            return b;
    }
    return take(lane, size, &clean);
}

WEFT_API void *weft_calloc(size_t count, size_t size)
{
    weft__lane *lane = my_lane();
    size_t bytes;
    int clean;
    if (!lane || __builtin_mul_overflow(count, size, &bytes))
        return NULL;
    if (lane->crew.containable)
        weft__probe_self();
    void *p = take(lane, bytes, &clean);
    if (p && !clean)
        memset(p, 0, bytes);
    return p;
}

/* ---- giving back ---- */

/* How many bytes, tail included, the block at p has, where p is a block in use of v's;
 * 0 after telling what it is instead. */
WEFT__NO_ASAN static size_t block_of(weft__vat *v, weft__page *g, const void *p, const char *call)
{
    size_t room;
    if (!v || g->vat != v) {
        weft__vat_misuse(p, call);
        return 0;
    }
    room = room_of(v, g, p);
    if (!room) {
        weft__vat_no_block(v, p, call);
        return 0;
    }
    if ((g->class == WEFT__CLASS_MIXED && (*tag_of(v, p) & TAG_FREE)) || (g->class == WEFT__CLASS_ARENA && (head_of(p)->room & 1)) ||
        (g->class < WEFT__VAT_CLASSES && ((const block *)p)->mark == mark_of(g) && is_free(g, p))) {
        weft__vat_freed_twice(v, p, call);
        return 0;
    }
    return room;
}

WEFT__NO_ASAN static void push(weft__page *g, void *p)
{
    block *b = p;
    b->next = g->free;
    b->mark = mark_of(g);
    g->free = b;
}

/* A block that is known to be one. */
static void put(weft__vat *v, weft__page *g, void *p, size_t room)
{
    if (WEFT__VAT_TAIL)
        weft__tail_check(v, p, room);
    weft__inflight_check(p, room, "a block of a lane's memory");
    weft__alarms_check(v->lane, p, room, "a block of its memory was freed");
    if (g->class == WEFT__CLASS_RUN) {
        weft__run_free(v, g);
        return;
    }
    if (g->class == WEFT__CLASS_ARENA) {
        head_of(p)->room |= 1;
        g->used--;
        weft__poison(p, room);
        return;
    }
    weft__poison(p, room);
    if (WEFT__VALGRIND_HEAP)
        weft__unpoison(p, sizeof(block));
    if (g->class == WEFT__CLASS_MIXED) {
        mixed_put(v, p);
        return;
    }
    push(g, p);
    if (--g->used == 0 || g->state == WEFT__PAGE_FULL)
        page_changed(v, g);
}

WEFT__NO_ASAN static void free_checked(weft__vat *v, weft__page *g, void *p)
{
    size_t room = block_of(v, g, p, "weft_free");
    if (room)
        put(v, g, p, room);
}

WEFT__NO_ASAN WEFT_API void weft_free(void *p)
{
    if (!p)
        return;
    weft__vat *v = my_vat();
    weft__page *g = weft__page_of(p);
    if (!PLAIN || !v || g->vat != v || g->class >= WEFT__VAT_CLASSES || ((block *)p)->mark == mark_of(g)) {
        free_checked(v, g, p);
        return;
    }
    push(g, p);
    if (--g->used == 0 || g->state == WEFT__PAGE_FULL)
        page_changed(v, g);
}

/* ---- other sizes ---- */

/* How much of a block with that much room its user may use. */
static size_t asked(weft__vat *v, const void *p, size_t room)
{
    return WEFT__VAT_TAIL && room ? weft__tail_check(v, (void *)(uintptr_t)p, room) : room;
}

WEFT_API size_t weft_alloc_size(const void *p)
{
    weft__vat *v = my_vat();
    return p ? asked(v, p, block_of(v, weft__page_of(p), p, "weft_alloc_size")) : 0;
}

/* The block as it is will do: it is large enough, and not more than twice as large as need be. */
static int fits(size_t room, size_t whole) { return whole <= room && (room <= 64 || whole > room / 2); }

/* An arena's newest block may grow where it is. */
static int arena_extend(weft__vat *v, void *p, size_t room, size_t whole)
{
    size_t more = (whole + 15) & ~(size_t)15;
    if ((char *)p + room != v->bump || more <= room || more - room > (size_t)(v->end - v->bump))
        return 0;
    v->bump += more - room;
    head_of(p)->room = more;
    return 1;
}

/* In place, if that can be: how much room there is then, or 0. */
static size_t resize(weft__vat *v, weft__page *g, void *p, size_t room, size_t whole)
{
    if (g->class == WEFT__CLASS_RUN)
        return whole > WEFT__VAT_LARGEST && weft__run_resize(v, g, whole) ? weft__run_room(g) : 0;
    if (fits(room, whole))
        return room;
    return g->class == WEFT__CLASS_ARENA && arena_extend(v, p, room, whole) ? head_of(p)->room : 0;
}

WEFT_API void *weft_realloc(void *p, size_t size)
{
    weft__vat *v = my_vat();
    size_t whole = size + WEFT__VAT_TAIL;
    if (!p)
        return weft_alloc(size);
    weft__page *g = weft__page_of(p);
    size_t room = block_of(v, g, p, "weft_realloc");
    if (!room || whole < size)
        return NULL;
    size_t old = asked(v, p, room), kept = old < size ? old : size;
    size_t now = resize(v, g, p, room, whole);
    if (now) {
        dress(p, now, size);
        weft__unpoison_defined(p, kept); /* for Valgrind; a tool may take what was there for unspecified otherwise */
        return p;
    }
    void *q = weft_alloc(size);
    if (!q)
        return NULL;
    memcpy(q, p, kept);
    put(v, g, p, room);
    return q;
}
