/*
 * Which connections there are, and which of them wait for their client: what a server needs to know to end gently.
 */
#ifndef WEFT_PROGRAM_TRACKER_H
#define WEFT_PROGRAM_TRACKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <weft/weft.h>

struct tracker {
    struct tracker_slot *slots;
    uint32_t count;
    _Atomic uint32_t open;     /* slots in use */
    _Atomic uint64_t free;     /* list of free slots: a count of changes above, index + 1 below */
    _Atomic bool draining;     /* no further requests are taken */
};

#define TRACKER_NONE UINT32_MAX

/* tracker_init makes room for `count` connections. Returns 0 or -ENOMEM. */
int tracker_init(struct tracker *t, uint32_t count);
void tracker_free(struct tracker *t);

/* tracker_enter registers the calling lane, busy at first; TRACKER_NONE if all places are taken. */
uint32_t tracker_enter(struct tracker *t);
void tracker_leave(struct tracker *t, uint32_t slot);

/*
 * tracker_idle says that the lane is about to wait for its client with nothing begun. False: the server is ending,
 * do not wait.
 */
bool tracker_idle(struct tracker *t, uint32_t slot);

/* tracker_busy says that something has begun. False: the lane has been cancelled meanwhile; shield what is done now. */
bool tracker_busy(struct tracker *t, uint32_t slot);

/* tracker_drain makes every tracker_idle answer false from now on and cancels the lanes that are idle. */
void tracker_drain(struct tracker *t);

/* tracker_kill kills the lanes of all connections and returns how many that were. Not in a fiber of rt. For tests. */
uint32_t tracker_kill(struct tracker *t, weft_runtime *rt);

static inline bool tracker_draining(struct tracker *t)
{
    return atomic_load_explicit(&t->draining, memory_order_relaxed);
}

#endif
