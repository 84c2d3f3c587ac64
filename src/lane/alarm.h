/* A lane's side of alarms (<weft/alarm.h>, sync/alarm.c): they are in a heap of the lane's own, and one timer of its
 * worker's stands for all of them. So a lane that moves takes one timer along, and one that dies leaves nothing in a
 * wheel. All here is for the lane's worker. */
#ifndef WEFT_LANE_ALARM_H
#define WEFT_LANE_ALARM_H

#include "lane/lane.h"

typedef struct weft__alarm {
    weft__heap_node node; /* by when it is looked at: one that is put off stays where it is until then */
    int64_t when_ns;
    weft__alarms *among;  /* whose heap it is in; NULL: it is not set */
    void *event;          /* what it sets */
} weft__alarm;

static inline weft__alarm *weft__alarm_of(weft__heap_node *n) { return weft__container(n, weft__alarm, node); }

/* From here on the worker looks at the lane's alarms at that time, if not before. */
static inline void weft__alarms_expect(weft__alarms *all, weft__worker *w, int64_t when)
{
    if (weft__timer_armed(&all->timer)) {
        if (weft__wheel_grain(when) >= weft__wheel_grain(all->timer.deadline_ns))
            return;
        weft__timer_cancel(w, &all->timer);
    }
    weft__timer_arm(w, &all->timer, when);
}

#ifdef WEFT_CHECKED
/* Aborts if one that is set, or its event, lies in these bytes, which are about to be something else's: `what` says
 * why. */
void weft__alarms_check(weft__lane *lane, const void *p, size_t n, const char *what);
#else
static inline void weft__alarms_check(weft__lane *lane, const void *p, size_t n, const char *what)
{
    (void)lane, (void)p, (void)n, (void)what;
}
#endif
/* weft__crew_hooks */
void weft__lane_fiber_left(weft__fiber *f);

#endif
