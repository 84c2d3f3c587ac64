/* What fibers wait on, under many schedules: what the objects' rounds share. A round is one object from its birth to
 * its end, by three lanes on three workers, with a thread change at many of the named points; explore.c says how
 * rounds are run. */
#ifndef WEFT_TESTS_SIM_SYNC_EXPLORE_H
#define WEFT_TESTS_SIM_SYNC_EXPLORE_H

#include <unistd.h>

/* A check that fails says the line that brings the run again, and the round. */
_Noreturn void explore_leave(int status);
#define _exit(status) explore_leave(status)
#include <weft/sim.h>

#include "base/atomic.h"
#include "sync/world.h"
#undef _exit

enum { LANES = 3, EACH = 3, ITEMS = 8 };

static inline uint64_t any(uint64_t below) { return weft_sim_random(below); }
static inline uint32_t look(uint32_t *p) { return weft__load_relaxed(p, "test.look"); }
static inline void set(uint32_t *p, uint32_t v) { weft__store_relaxed(p, v, "test.set"); }
static inline void add(uint32_t *p, uint32_t v) { weft__add_acq_rel(p, v, "test.add"); }

static inline void sometimes_yield(void)
{
    if (any(3) == 0)
        CHECK_OK(weft_yield());
}

/* Mostly for ever, now and then for a few microseconds. */
static inline int64_t some_deadline(void)
{
    return any(4) ? WEFT_NEVER : weft_after((int64_t)any(20) * WEFT_MICROSECOND);
}

void lanes_do(int (*fn)(void *)); /* fn(0), fn(1) and fn(2), to their ends */
/* The same, and now and then beside a lane that does dies(NULL) and is killed: the others must not notice. 1: it was
 * so. */
int lanes_do_beside(int (*fn)(void *), int (*dies)(void *));

/* For each object's own purposes, and of every round anew. */
extern uint32_t inside, torn; /* changed in two steps, with a thread change between them now and then */
void critical(void);          /* alone, or somebody has died in here */

void with_mutex(void);
void with_rwlock(void);
void with_semaphore(void);
void with_deadlock(void);
void with_order(void);
void with_cond(void);
void with_cond_order(void);
void with_event(void);
void with_alarm(void);
void with_latch(void);
void with_barrier(void);
void with_once(void);
void with_future(void);
void with_channel(void);
void with_growing(void);
void with_channel_model(void);
void with_select(void);
void with_select_io(void);
void with_broadcast(void);
void with_credit(void);
void with_group(void);
void with_hands(void);
void with_flow(void);
void with_transfers(void);

#endif
