/* What a lane's end, and its memory, have to do with its alarms; see alarm.h. On the lane's worker. */
#include "lane/alarm.h"

#include "lane/estate.h"
#include "sched/text.h"

int weft__alarms_bury(weft__lane *lane, unsigned budget)
{
    weft__alarms *all = lane->annex ? &lane->annex->alarms : NULL;
    weft__heap_node *n;
    if (!all)
        return 1;
    weft__timer_cancel(lane->crew.home, &all->timer);
    while ((n = weft__heap_drain(&all->heap, &budget)))
        weft__alarm_of(n)->among = NULL; /* it may lie where the lane's end takes nothing away */
    return all->heap.first == NULL;
}

#ifdef WEFT_CHECKED

/* Parents before children. */
static weft__heap_node *next_of(weft__heap_node *n)
{
    if (n->left)
        return n->left; /* where there is none there is no right one either */
    while (n->up && (n == n->up->right || !n->up->right))
        n = n->up;
    return n->up ? n->up->right : NULL;
}

static int overlap(const void *a, size_t an, const void *b, size_t bn)
{
    return (uintptr_t)a < (uintptr_t)b + bn && (uintptr_t)b < (uintptr_t)a + an;
}

static _Noreturn void tell(const weft__lane *lane, const weft__alarm *a, const char *what)
{
    char text[400];
    const char *name = lane->crew.name ? lane->crew.name : "?";
    size_t n = weft__format(text, sizeof text, "weft: lane \"%s\" (spawned at %s): %s while the alarm at %p, which is set, "
                            "or its event (%p) lies there", name, lane->crew.site, what, (const void *)a, a->event);
    weft__panic_text(text, n < sizeof text ? n : sizeof text - 1);
}

void weft__alarms_check(weft__lane *lane, const void *p, size_t n, const char *what)
{
    weft__heap_node *at = lane->annex ? lane->annex->alarms.heap.first : NULL;
    for (; at; at = next_of(at)) {
        const weft__alarm *a = weft__alarm_of(at);
        if (overlap(p, n, a, sizeof *a) || overlap(p, n, a->event, 1))
            tell(lane, a, what);
    }
}

#endif

void weft__lane_fiber_left(weft__fiber *f)
{
    if (f->stack)
        weft__alarms_check(weft__lane_of(f->crew), f->stack->lo, f->stack->size, "a fiber has returned");
}
