/* The supervisor's inside. All of it lies in its lane's memory and is touched by the fiber in weft_supervise only;
 * other lanes send messages. A child says by message that it is ready. */
#ifndef WEFT_LANE_SUPERVISOR_H
#define WEFT_LANE_SUPERVISOR_H

#include <weft/link.h>
#include <weft/supervisor.h>

#include "lane/lane.h"

typedef struct weft__child weft__child;
typedef struct weft__supervisor weft__supervisor;

/* A child's specification without a pointer into its author's memory. */
typedef struct weft__plan {
    char id[WEFT_CHILD_ID_MAX + 1];
    int (*run)(void *arg);
    const weft_supervisor_spec *supervisor;
    void *arg;
    int64_t grace_ns, start_ns;
    uint8_t restart, ready, significant, limited;
    weft_lane_options lane;
    weft_limits limits;
    unsigned char copy[WEFT_LANE_COPY_MAX];
} weft__plan;

/* A supervisor's. */
typedef struct weft__charter {
    int strategy, auto_shutdown;
    uint32_t intensity, count;
    int64_t period_ns;
} weft__charter;

struct weft__child {
    weft__link link;           /* in children, in the order of their start */
    weft__link ended;          /* in ended: its lane has ended, and nothing was done about it yet */
    weft__plan *plan;          /* its own, or under WEFT_DYNAMIC everybody's */
    weft_id lane;              /* WEFT_NOID: it has none */
    uint64_t serial;
    weft_exit last;
    unsigned restarts;
    int answer;                /* of weft_child_ready */
    uint8_t state;             /* enum weft_child_state */
    uint8_t answered, gone;    /* it has called weft_child_ready; its lane has ended */
    uint8_t due;               /* is to be started as soon as that is possible */
    uint8_t forget;            /* once it has ended */
    uint8_t disowned;          /* it was dying as its supervisor ended, whose it is no more */
    uint8_t copied;            /* bytes of copy; 0: arg */
    void *arg;
    _Alignas(16) unsigned char copy[];
};

typedef struct weft__pending {
    struct weft__pending *next;
    weft_message *msg;
} weft__pending;

struct weft__supervisor {
    weft__charter charter;
    weft__lane *lane;
    weft_runtime *rt;
    weft__plan *pattern;       /* under WEFT_DYNAMIC */
    weft__link children, ended;
    unsigned known, active;    /* children; those that have a lane */
    weft__pending *pending, **pending_tail; /* requests that came while it was busy */
    int64_t *restarts;         /* times of the latest, a ring of charter.intensity */
    unsigned restart_first, restart_count;
    uint64_t serial;
    uint8_t due;               /* some child is */
    weft_id cause;             /* of its giving up: whose end was one too many */
};

/* ---- supervisor_plan.c: specifications ---- */
int weft__charter_read(weft__charter *out, const weft_supervisor_spec *spec);
/* Checks a specification for a supervisor with this charter, and copies it. */
int weft__plan_read(weft__plan *out, const weft_child_spec *spec, const weft__charter *charter);
/* All children of a specification, which the charter was read from. */
int weft__plans_read(weft__plan *out, const weft_supervisor_spec *spec, const weft__charter *charter);

/* ---- supervisor_child.c: children, one at a time ---- */
#define WEFT__IGNORED 1 /* the child is not wanted now */
/* A child at the end of the list, not started. arg and copied replace the plan's under WEFT_DYNAMIC. 0, -ENOMEM. */
int weft__child_add(weft__supervisor *s, const weft__plan *plan, void *arg, size_t copied, weft__child **out);
void weft__child_remove(weft__supervisor *s, weft__child *c);
weft__child *weft__child_named(weft__supervisor *s, const char *id);
weft__child *weft__child_of_lane(weft__supervisor *s, weft_id lane);
/* Starts it and waits until it is ready: 0, WEFT__IGNORED, or why not; it has no lane then, unless that is dying. */
int weft__child_start(weft__supervisor *s, weft__child *c);
/* Stops it, deaf to cancellation: 0, or -ETIMEDOUT and it is dying. */
int weft__child_stop(weft__supervisor *s, weft__child *c);
/* Asks it to end, or kills it where its plan says so. */
void weft__child_ask(weft__supervisor *s, weft__child *c);
void weft__child_kill(weft__supervisor *s, weft__child *c);
/* It has ended: it has no lane any more. */
void weft__child_settle(weft__supervisor *s, weft__child *c);
/* One killed long ago that has not ended. */
void weft__child_is_dying(weft__supervisor *s, weft__child *c);
/* Until when it has time to end by itself. */
int64_t weft__child_deadline(const weft__plan *plan);
void weft__child_describe(const weft__child *c, weft_child_info *out);

/* ---- supervisor.c: the loop ---- */
/* As the last thing of a lane's main fiber: weft_supervise, with the cause in the lane's exit record. */
int weft__supervise_lane(const weft_supervisor_spec *spec);
/* The same by charter and plans; started(ctx, result) is told once how the start went. */
int weft__supervise_plans(const weft__charter *charter, const weft__plan *plans, void (*started)(void *ctx, int result),
                          void *ctx, weft_id *cause);
/* Restarts that count against the intensity now. */
unsigned weft__supervisor_recent(weft__supervisor *s);
/* Waits for one message and takes note of it: 0, -ETIMEDOUT, -ECANCELED. */
int weft__supervisor_pump(weft__supervisor *s, int64_t deadline);
void weft__supervisor_say(weft__supervisor *s, const weft__child *c, const char *what);

/* ---- supervisor_call.c: what others ask of it ---- */
/* Is it a request? Then it is for weft__supervisor_serve, or was answered already where it only wanted to know
 * something (*done). */
int weft__supervisor_asks(weft__supervisor *s, const weft_message *msg, int *done);
void weft__supervisor_serve(weft__supervisor *s, const weft_message *msg);
void weft__supervisor_refuse(const weft_message *msg, int error);
/* A child's weft_child_ready: 1 and what it said. */
int weft__supervisor_ready(const weft_message *msg, int *result);
/* What a supervisor tells of itself and of some children. */
typedef struct weft__supervisor_view {
    weft__charter charter;
    weft_child_counts counts;
    uint32_t recent;           /* restarts that count at this time */
    uint32_t n;
    weft_child_info child[];
} weft__supervisor_view;
/* Children with a serial above `after`, as a view in a message to be freed. */
int weft__supervisor_look(weft_id supervisor, uint64_t after, unsigned max, weft_message **msg,
                          const weft__supervisor_view **out, int64_t deadline);

#endif
