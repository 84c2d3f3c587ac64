/* Accounts: what may be had at once, and who waits for room. A lane with limits has one, the runtime has one if any
 * of its limits is set, and a lane's stands below the runtime's: a charge goes to both. Crews without an account (no
 * limit anywhere) pay one test.
 *
 * Any worker charges and gives back. A charge that finds no room is refused; who would rather wait stands in line,
 * one queue a kind, and gets room in the order of coming. While somebody stands in line nobody who does not is
 * served. */
#ifndef WEFT_FIBER_ACCOUNT_H
#define WEFT_FIBER_ACCOUNT_H

#include <weft/lane.h>

#include "base/list.h"
#include "base/spin.h"
#include "sched/sched.h"

enum weft__charge_kind {
    WEFT__CHARGE_FIBERS, WEFT__CHARGE_LANES, WEFT__CHARGE_IDS, WEFT__CHARGE_OPS, WEFT__CHARGE_VAT, WEFT__CHARGE_KINDS
};

typedef struct weft__account weft__account;

/* Committed stack memory: sampled, with an estimate for what came after the sample. limit 0: nobody asks. All but
 * limit and cost_ns are atomic. */
typedef struct weft__stack_meter {
    size_t limit, sample;
    size_t count;                 /* stacks in the sample */
    size_t since, unit;           /* fibers admitted after the sample, and what each is taken for */
    int64_t due_ns, soonest_ns;   /* when the sample is old; when there may be another */
    int64_t cost_ns;              /* what one is thought to cost; guarded by busy, not atomic */
    uint32_t busy;                /* somebody takes one */
} weft__stack_meter;

struct weft__account {
    weft__slab_head head;                /* a lane's comes from a slab */
    weft_runtime *rt;
    weft__account *above;                /* the runtime's, or NULL */
    uint8_t common;                      /* it is the runtime's: what has no limit there is not counted */
    uint8_t ops_wait;                    /* ops wait for room within their deadline */
    size_t limit[WEFT__CHARGE_KINDS];    /* 0: none */
    size_t used[WEFT__CHARGE_KINDS];     /* atomic */
    uint32_t waiting[WEFT__CHARGE_KINDS]; /* lengths of the queues (atomic, written under the lock) */
    weft__spin lock;                     /* guards the queues */
    weft__link queue[WEFT__CHARGE_KINDS];
    weft__stack_meter stacks;
    weft_limits limits;                  /* as they were given */
};

/* Room that the fiber which runs now asked for and has not used: given back when it suspends. */
typedef struct weft__reserve {
    weft_task task;
    weft__account *account; /* NULL: none */
    enum weft__charge_kind kind;
    size_t n;
    uint8_t queued;
} weft__reserve;

void weft__account_init(weft__account *a, weft_runtime *rt, const weft_limits *limits, weft__account *above);
/* 0; at a limit -EAGAIN, of memory -ENOMEM, and nothing is charged. Any worker; a NULL account has no limits. */
int weft__account_charge(weft__account *a, enum weft__charge_kind kind, size_t n);
/* Whether there is room or not: for what cannot be refused. */
void weft__account_force(weft__account *a, enum weft__charge_kind kind, size_t n);
void weft__account_discharge(weft__account *a, enum weft__charge_kind kind, size_t n);
/* The same as charge, but waits in line until the deadline (0: does not wait) if the caller is a fiber. -EAGAIN or
 * -ENOMEM also where there will never be room for so much; -ETIMEDOUT; -ECANCELED. */
int weft__account_charge_by(weft__account *a, enum weft__charge_kind kind, size_t n, int64_t deadline);
/* Keeps n that are charged already for the fiber which runs on w, until it suspends. */
void weft__account_reserve(weft__worker *w, weft__account *a, enum weft__charge_kind kind, size_t n);
/* Nobody stands in line and nothing is reserved any more: the account ends. On its lane's worker. */
void weft__account_end(weft__account *a);
static inline size_t weft__account_used(weft__account *a, enum weft__charge_kind kind)
{
    return weft__load_relaxed(&a->used[kind], "account.used");
}

/* ---- stack_meter.c ---- */
/* Who waits for stack memory looks again after this: nobody tells when it is given back. */
#define WEFT__STACK_LOOK_NS (5 * WEFT_MILLISECOND)
struct weft__crew;
/* 0, or -ENOTSUP: the environment cannot tell what is committed. */
int weft__stack_meter_init(weft__stack_meter *m, const weft_runtime *rt, size_t limit);
/* Is there stack memory for one more fiber, of this crew if it is not NULL and the account its own? Waits for it as
 * weft__account_charge_by does, but in no order. 0 or -ENOMEM, -ECANCELED. On the crew's worker. */
int weft__stack_admit(weft__account *a, weft_runtime *rt, struct weft__crew *crew, int64_t deadline);
/* What the stacks of a crew's fibers have committed now, and how many they are. Its worker; a system call each. */
size_t weft__crew_stack_bytes(struct weft__crew *crew, size_t *stacks);

#endif
