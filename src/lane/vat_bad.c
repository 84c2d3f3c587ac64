/* Bad use of a lane's memory, told with the names of the lanes concerned: a line in the log, in a checked build the
 * end of the program. On the thread that did it. What is told of another lane is read from its record, which stays a
 * record whatever becomes of the lane. */
#include <string.h>

#include "arch/poison.h"
#include "base/check.h"
#include "lane/realm.h"
#include "lane/vat.h"
#include "sched/text.h"

static void tell(weft_runtime *rt, const char *text)
{
#ifdef WEFT_CHECKED
    (void)rt;
    weft__panic_text(text, strlen(text));
#else
    if (rt)
        weft__say(rt, WEFT_LOG_ERROR, "%s", text);
#endif
}

static const char *name_of(weft__lane *lane) { return lane->crew.name ? lane->crew.name : "?"; }

/* Whose page it is; NULL: nobody's, or no page. */
static weft__lane *owner_of(weft_runtime *rt, const void *p)
{
    const weft__page *g = weft__page_of(p);
    if (weft__page_chunk_of(p)->magic != WEFT__CHUNK_MAGIC || !g->vat)
        return NULL;
    return weft__slab_at(&weft__lanes_of(rt)->lanes, g->lane);
}

/* Outside a fiber there is no runtime to tell: the owner's is asked, if it is anybody's memory at all. */
static void from_outside(const void *p, const char *call)
{
    char text[256];
    const weft__page *g = weft__page_of(p);
    if (weft__page_chunk_of(p)->magic != WEFT__CHUNK_MAGIC || !g->vat)
        return;
    weft__lane *owner = g->vat->lane;
    weft__format(text, sizeof text, "%s outside a fiber: %p belongs to lane \"%s\" (spawned at %s)", call, p, name_of(owner), owner->crew.site);
    tell(owner->rt, text);
}

void weft__vat_misuse(const void *p, const char *call)
{
    char text[320];
    weft__fiber *f = weft__fiber_self();
    if (!f) {
        from_outside(p, call);
        return;
    }
    weft__lane *lane = weft__lane_of(f->crew), *owner = owner_of(lane->rt, p);
    if (owner && owner != lane)
        weft__format(text, sizeof text, "%s by lane \"%s\" (fiber \"%s\", spawned at %s): %p belongs to lane \"%s\" (spawned at %s)", call,
                     name_of(lane), f->name, f->site, p, name_of(owner), owner->crew.site);
    else
        weft__format(text, sizeof text, "%s by lane \"%s\" (fiber \"%s\", spawned at %s): %p is no block, or was freed before", call,
                     name_of(lane), f->name, f->site, p);
    tell(lane->rt, text);
}

#ifdef WEFT_CHECKED

void weft__vat_used(const void *p, const char *call)
{
    char text[400];
    weft__fiber *f = weft__fiber_self();
    if (!f || weft__vat_lenient)
        return;
    weft__lane *lane = weft__lane_of(f->crew);
    const weft__vat *v = weft__vat_around(lane->rt, p);
    weft__lane *owner = v ? v->lane : NULL;
    if (!owner || weft__lane_outlives(owner, lane))
        return;
    weft__format(text, sizeof text,
                 "%s by lane \"%s\" (fiber \"%s\", spawned at %s): the object at %p lies in the memory of lane \"%s\" (spawned at %s), which may die before",
                 call, name_of(lane), f->name, f->site, p, name_of(owner), owner->crew.site);
    tell(lane->rt, text);
}

#endif

static void about(weft__vat *v, const void *p, const char *call, const char *what)
{
    char text[320];
    weft__fiber *f = weft__fiber_self();
    weft__format(text, sizeof text, "%s by lane \"%s\" (fiber \"%s\", spawned at %s): %p %s", call, name_of(v->lane), f ? f->name : NULL,
                 f ? f->site : NULL, p, what);
    tell(v->lane->rt, text);
}

void weft__vat_freed_twice(weft__vat *v, const void *p, const char *call) { about(v, p, call, "was freed before"); }

void weft__vat_no_block(weft__vat *v, const void *p, const char *call) { about(v, p, call, "is not where a block begins"); }

/* ---- tails ---- */

enum { PATTERN = 0xd7 };

/* Behind the bytes that were asked for: the pattern, and in the last word how many those are. */
WEFT__NO_ASAN void weft__tail_set(void *p, size_t room, size_t size)
{
    unsigned char *b = p;
    size_t last = room - sizeof(size_t);
    for (size_t i = size; i < last; i++)
        b[i] = PATTERN;
    *(size_t *)(void *)(b + last) = size ^ (uintptr_t)p;
    weft__poison(b + size, room - size);
}

WEFT__NO_ASAN size_t weft__tail_check(weft__vat *v, void *p, size_t room)
{
    unsigned char *b = p;
    size_t last = room - sizeof(size_t), size;
#if WEFT__VALGRIND_HEAP
    weft__unpoison_defined(b + last, sizeof(size_t));
#endif
    size = *(size_t *)(void *)(b + last) ^ (uintptr_t)p;
    int whole = size <= last;
#if WEFT__VALGRIND_HEAP
    if (whole)
        weft__unpoison_defined(b + size, room - size);
#endif
    for (size_t i = whole ? size : last; i < last && whole; i++)
        whole = b[i] == PATTERN;
#if WEFT__VALGRIND_HEAP
    if (whole)
        weft__poison(b + size, room - size);
#endif
    if (!whole)
        about(v, p, "writing", "is a block that was written to behind its end");
    return whole ? size : 0;
}
