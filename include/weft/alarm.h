/* Alarms: times at which an event is set. For what is to happen unless something else does before: a connection that
 * falls silent, a lease that runs out, a reply that is missing. A fiber that only waits until a time needs none; every
 * call that can wait takes a deadline.
 *
 *     weft_alarm_set(&peer->idle, &peer->silent, weft_after(30 * WEFT_SECOND));     again with each request: put off
 *     ...
 *     weft_case cases[] = {WEFT_RECEIVE(&peer->requests, &request), WEFT_PASS(&peer->silent)};
 *
 * An alarm is 64 bytes of the caller's, not set when zeroed, and costs no fiber and no memory beside. Once set it
 * belongs to the lane of the fiber that has set it, until it rings, is stopped, or the lane ends; after the end of its
 * lane no alarm rings, wherever it lies. Until then neither the alarm nor its event may be moved or freed: a fiber that
 * has one on its stack stops it before it returns. In a checked build anything else aborts. The event may be anybody's
 * to wait for, and may be several alarms'.
 *
 * An alarm rings on its lane's worker, never early and at most a grain of the wheel (16 us) late, or as late as a fiber
 * of that worker lets others wait. Setting one that is the first of its lane's, stopping such a one, and putting off
 * any takes constant time; everything else O(log n), n being those that the lane has set. No call here waits, or looks
 * at cancellation; all are for fibers. The first that sets an alarm takes a record from a pool for its lane; then
 * nothing is allocated. */
#ifndef WEFT_ALARM_H
#define WEFT_ALARM_H

#include <weft/sync.h>
#include <weft/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weft_alarm {
    int64_t opaque[8];
} weft_alarm;

/* At `when`, an absolute time, the event is set, as by weft_event_set; before this returns, if that time has come
 * already. An alarm that is set is set anew: earlier, later, or for another event. WEFT_NEVER stops it. 0; -EPERM no
 * fiber, or the alarm is set and another lane's; -EINVAL no alarm, or no event; -ENOMEM no record for the lane's first
 * one. */
WEFT_API int weft_alarm_set(weft_alarm *alarm, weft_event *event, int64_t when);
/* It does not ring any more. 1: it was set; 0: it was not, or has rung. -EPERM and -EINVAL as above. */
WEFT_API int weft_alarm_stop(weft_alarm *alarm);
/* When it rings; WEFT_NEVER: it is not set, or another lane's. */
WEFT_API int64_t weft_alarm_when(const weft_alarm *alarm);

#ifdef __cplusplus
}
#endif
#endif
