/* Alarms; <weft/alarm.h>, lane/alarm.h. Home-worker code: an alarm that is set is touched by its lane's worker only,
 * and one that is not by whoever sets it.
 *
 * Nothing is done twice for an alarm that is put off again and again, or for one that is set and stopped: who is put
 * off stays where he is in the heap and goes to his place when that comes up; the lane's timer is left armed when what
 * it was for is stopped. The price is a wake-up now and then that finds nothing to do. */
#include <errno.h>
#include <weft/alarm.h>

#include "lane/alarm.h"
#include "sync/event.h"

_Static_assert(sizeof(weft__alarm) <= sizeof(weft_alarm), "weft_alarm has room for what it hides");

static weft__alarm *of(weft_alarm *a) { return (weft__alarm *)(void *)a; }

static void take_out(weft__alarm *a)
{
    weft__heap_remove(&a->among->heap, &a->node);
    a->among = NULL;
}

/* The lane's timer, on the worker's own context. */
static void look(weft__timer *t)
{
    weft__alarms *all = weft__container(t, weft__alarms, timer);
    weft__worker *w = weft__container(all, weft__annex, alarms)->lane->crew.home;
    weft__heap_node *n;
    t->deadline_ns = WEFT_NEVER;
    while ((n = all->heap.first) && n->key <= w->now_ns) {
        weft__alarm *a = weft__alarm_of(n);
        take_out(a);
        if (a->when_ns <= w->now_ns) {
            weft__event_raise(a->event); /* who waits for that may do with the alarm what he likes */
        } else {
            weft__heap_add(&all->heap, &a->node, a->when_ns);
            a->among = all;
        }
    }
    if (n)
        weft__alarms_expect(all, w, n->key);
}

/* Whether one that is set is the calling fiber's lane's. */
static int is_own(const weft__alarm *a, const weft__fiber *f)
{
    const weft__annex *annex = weft__lane_of(f->crew)->annex;
    return annex && a->among == &annex->alarms;
}

/* Whatever there is to be done; the lane may have no record for its alarms yet. */
static __attribute__((noinline)) int set(weft__alarm *a, weft_event *event, int64_t when, weft__fiber *f)
{
    weft__lane *lane = weft__lane_of(f->crew);
    weft__annex *annex = weft__lane_annex(lane);
    if (!annex)
        return -ENOMEM;
    if (a->among && a->among != &annex->alarms)
        return -EPERM;
    if (a->among)
        take_out(a);
    a->event = event;
    a->when_ns = when;
    if (when <= f->home->now_ns) {
        weft__event_raise(event);
    } else if (when != WEFT_NEVER) {
        a->among = &annex->alarms;
        a->among->timer.fire = look;
        weft__alarms_expect(a->among, f->home, when);
        weft__heap_add(&a->among->heap, &a->node, when);
    }
    return 0;
}

/* What costs next to nothing is done here, and needs no stack to be probed for: setting a lane's only alarm for
 * later than one was before it, and putting one off. */
int weft_alarm_set(weft_alarm *opaque, weft_event *event, int64_t when)
{
    weft__fiber *f = weft__fiber_self();
    weft__alarm *a = of(opaque);
    if (!f)
        return -EPERM;
    if (!a || !event)
        return -EINVAL;
    weft__vat_used(a, __func__);
    weft__vat_used(event, __func__);
    weft__annex *annex = weft__lane_of(f->crew)->annex;
    if (annex && when > f->home->now_ns && when != WEFT_NEVER) {
        weft__alarms *all = &annex->alarms;
        int only = !a->among && !all->heap.first && when >= all->timer.deadline_ns;
        if (only || (a->among == all && when >= a->node.key)) {
            a->event = event;
            a->when_ns = when;
            if (only) {
                a->among = all;
                weft__heap_add(&all->heap, &a->node, when);
            }
            return 0;
        }
    }
    weft__probe(f);
    return set(a, event, when, f);
}

int weft_alarm_stop(weft_alarm *opaque)
{
    weft__fiber *f = weft__fiber_self();
    weft__alarm *a = of(opaque);
    if (!f)
        return -EPERM;
    if (!a)
        return -EINVAL;
    weft__vat_used(a, __func__);
    if (!a->among)
        return 0;
    if (!is_own(a, f))
        return -EPERM;
    weft__probe(f);
    take_out(a);
    return 1;
}

int64_t weft_alarm_when(const weft_alarm *opaque)
{
    const weft__fiber *f = weft__fiber_self();
    const weft__alarm *a = (const void *)opaque;
    return f && a && a->among && is_own(a, f) ? a->when_ns : WEFT_NEVER;
}
