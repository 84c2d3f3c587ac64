/* Supervisors: lanes that keep other lanes alive. A supervisor starts its children in order, restarts those that fail
 * by a strategy, and stops them in reverse. One that has to restart too often gives up: it stops its children and fails
 * itself, and its own supervisor decides what then. The rules and their defaults are those of Erlang/OTP's supervisors;
 * where C or structured lanes make a difference, it is said here.
 *
 * Children are child lanes of the supervisor's lane. Cancelling that lane stops them one by one, in reverse, each with
 * its grace; killing it kills all of them at once. A supervisor uses its lane's mailbox: messages that are not for it
 * are thrown away. A supervisor whose lane has reached a limit of memory hears no requests until there is room.
 *
 * All calls are for fibers (-EPERM elsewhere). Those that name a supervisor may come from any lane of the runtime and
 * answer -ESRCH where there is no such lane or it ends before it answers, -ETIMEDOUT at the deadline (what was asked
 * may still be done), -ECANCELED. A lane that is no supervisor does not answer at all. */
#ifndef WEFT_SUPERVISOR_H
#define WEFT_SUPERVISOR_H

#include <weft/lane.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Which children are restarted when one is to be. */
enum weft_strategy {
    WEFT_ONE_FOR_ONE = 0, /* that one */
    WEFT_ONE_FOR_ALL,     /* all: the others are stopped in reverse first, then all are started in order */
    WEFT_REST_FOR_ONE,    /* that one and those started after it, likewise */
    WEFT_DYNAMIC          /* that one; all are instances of one specification, and stopped at the same time */
};

/* Whether a child that has ended is restarted. A child that was stopped by its supervisor is never restarted for
 * that. */
enum weft_restart {
    WEFT_PERMANENT = 0, /* always */
    WEFT_TRANSIENT,     /* if it failed: not after a normal end, being cancelled, or as a supervisor that gave up */
    WEFT_TEMPORARY      /* never; its specification is forgotten as soon as it has ended */
};

/* Whether a supervisor ends (normally, after stopping its children) when significant children end by themselves and are
 * not restarted. */
enum weft_auto_shutdown {
    WEFT_SHUTDOWN_NEVER = 0,
    WEFT_SHUTDOWN_ANY, /* with the first such child */
    WEFT_SHUTDOWN_ALL  /* with the last */
};

#define WEFT_CHILD_ID_MAX 63            /* bytes, the closing zero not counted */
#define WEFT_BRUTAL_KILL ((int64_t)-1)  /* as grace_ns: killed without being asked */
#define WEFT_NO_RESTARTS (-1)           /* as intensity */

typedef struct weft_supervisor_spec weft_supervisor_spec;

typedef struct weft_child_spec {
    const char *id;                 /* unique among the children of a supervisor; copied. Not used by WEFT_DYNAMIC */
    int (*run)(void *arg);          /* the main fiber of the child's lane */
    void *arg;                      /* with lane.copy, that many bytes are copied when the child is added */
    const weft_supervisor_spec *supervisor; /* instead of run: it is a supervisor; stays valid while its own lives */
    enum weft_restart restart;
    int64_t grace_ns;               /* between asking it to end and killing it. 0: 5 s, no limit for a supervisor */
    int ready;                      /* it has started once it calls weft_child_ready; else when it is spawned */
    int64_t start_ns;               /* with `ready`: if that takes longer, it is stopped and has failed. 0: no limit */
    int significant;                /* for auto_shutdown; not with WEFT_PERMANENT */
    weft_lane_options lane;         /* name: default the id. Not deadline, detached, linked, monitor, wait, gives */
} weft_child_spec;

struct weft_supervisor_spec {
    enum weft_strategy strategy;
    int intensity;                  /* more restarts than this within the period, and the supervisor gives up. 0: 1 */
    int64_t period_ns;              /* 0: 5 s */
    enum weft_auto_shutdown auto_shutdown;
    const weft_child_spec *children; /* in the order in which they start; WEFT_DYNAMIC: one, not started by itself */
    unsigned count;
};

/* Makes the caller's lane a supervisor: starts the children and looks after them until the fiber is cancelled,
 * auto_shutdown says so, or it gives up; then stops them and returns. To be called by the lane's main fiber, and by one
 * fiber only. 0 auto_shutdown; -ECANCELED; -ENOTRECOVERABLE it gave up: the lane should end with this, and its exit
 * record names the child whose end was one too many; -ETIMEDOUT a child could not be stopped and still dies; or,
 * nothing being left running, why a child could not be started; -EINVAL a specification that makes no sense: no or a
 * doubled id, no run, unknown values, significant children without auto_shutdown, a nested supervisor that is in
 * itself; -EBUSY another fiber of the lane supervises already; -ENOMEM. */
WEFT_API int weft_supervise(const weft_supervisor_spec *spec);

/* Makes a child lane of the caller's that is a supervisor, and waits until its children have started. spec is copied
 * but for what it says of nested supervisors. Options: name, stack_size, limits. The lane is joined like any other, and
 * stopped by weft_supervisor_stop or weft_cancel. Errors as above, and the lane is gone then; -ETIMEDOUT: it is still
 * being undone. */
WEFT_API int weft_supervisor_start(weft_id *out, const weft_supervisor_spec *spec, const weft_lane_options *opt,
                                   int64_t deadline);
/* Stops a supervisor that the caller's lane started, with all its children, and joins it. 0; -ETIMEDOUT it has not
 * ended yet, and can still be joined; -ESRCH; -EPERM somebody else's. */
WEFT_API int weft_supervisor_stop(weft_id supervisor, int64_t deadline);

/* For a child with `ready` set, once: it is up (0), or could not start (a negative errno). A child that ends normally
 * before it has called this is not wanted now: its specification stays, and it counts neither as started nor as failed.
 * weft_supervise calls it by itself. -EPERM the caller's lane has no supervisor. */
WEFT_API int weft_child_ready(int result);

/* ---- Children of a running supervisor ---- */

/* Adds a child and starts it. *out (may be NULL) gets its lane, WEFT_NOID if it was not wanted. -EALREADY a child of
 * that id runs or is about to; -EEXIST one is known, but does not run; -EBUSY one was stopped and has not ended yet;
 * -ENOTSUP the supervisor is WEFT_DYNAMIC; -EINVAL; -ENOMEM; or why it could not be started, and it is forgotten. */
WEFT_API int weft_supervisor_start_child(weft_id supervisor, const weft_child_spec *spec, weft_id *out,
                                         int64_t deadline);
/* Adds an instance under WEFT_DYNAMIC, with its own argument (copy > 0: that many bytes at arg). -ENOTSUP another
 * strategy; else as above. */
WEFT_API int weft_supervisor_start_dynamic(weft_id supervisor, void *arg, size_t copy, weft_id *out, int64_t deadline);
/* Stops a child: it is asked to end, killed after its grace, and not restarted. What is known of it stays, but for
 * temporary ones. A child that does not run is no error. -ENOENT no such child; -ENOTSUP WEFT_DYNAMIC; -ETIMEDOUT it
 * was killed, but waits for an operation that cannot be cancelled: it is dying, and its id is not free before it is
 * dead. */
WEFT_API int weft_supervisor_terminate_child(weft_id supervisor, const char *id, int64_t deadline);
/* The same by its lane, under WEFT_DYNAMIC only (-ENOTSUP). A lane that has ended is no error; -ENOENT a living one of
 * somebody else's. */
WEFT_API int weft_supervisor_terminate_lane(weft_id supervisor, weft_id lane, int64_t deadline);
/* Starts a child that does not run. -EALREADY it does; -EAGAIN it is about to be restarted; -EBUSY it has not ended
 * yet; -ENOENT; -ENOTSUP WEFT_DYNAMIC; or why it could not be started. */
WEFT_API int weft_supervisor_restart_child(weft_id supervisor, const char *id, weft_id *out, int64_t deadline);
/* Forgets a child that does not run. -EALREADY it does; -EAGAIN it is about to be restarted; -EBUSY it has not ended
 * yet; -ENOENT; -ENOTSUP. */
WEFT_API int weft_supervisor_delete_child(weft_id supervisor, const char *id, int64_t deadline);

/* ---- Looking at it ---- */

enum weft_child_state {
    WEFT_CHILD_STOPPED = 0, /* known, without a lane */
    WEFT_CHILD_STARTING,
    WEFT_CHILD_RUNNING,
    WEFT_CHILD_STOPPING,
    WEFT_CHILD_RESTARTING,  /* ended; the next attempt to start it is due */
    WEFT_CHILD_DYING        /* killed, but not dead after its grace */
};

typedef struct weft_child_info {
    char id[WEFT_CHILD_ID_MAX + 1]; /* empty under WEFT_DYNAMIC */
    char name[WEFT_CHILD_ID_MAX + 1]; /* of its lane, perhaps cut short */
    weft_id lane;                   /* WEFT_NOID without one */
    enum weft_child_state state;
    enum weft_restart restart;
    int supervisor;                 /* it is one */
    int significant;
    int64_t grace_ns;               /* with the default filled in */
    unsigned restarts;              /* how often it was restarted */
    weft_exit last;                 /* its latest end, if it ever ended (last.lane.gen != 0) */
    uint64_t serial;                /* raised for each child that is added: an order for weft_supervisor_children */
} weft_child_info;

typedef struct weft_child_counts {
    unsigned specs;       /* children that are known, running or not; 1 under WEFT_DYNAMIC */
    unsigned active;      /* of them, or of its instances, those that have a lane */
    unsigned supervisors, workers;
} weft_child_counts;

/* Up to max children in the order of their start, those with a serial above `after` (0: from the first): how many there
 * were. */
WEFT_API int weft_supervisor_children(weft_id supervisor, uint64_t after, weft_child_info *out, unsigned max,
                                      int64_t deadline);
/* One of them. -ENOENT. */
WEFT_API int weft_supervisor_child(weft_id supervisor, const char *id, weft_child_info *out, int64_t deadline);
WEFT_API int weft_supervisor_count(weft_id supervisor, weft_child_counts *out, int64_t deadline);

/* Writes the tree below a supervisor as text, a line for each child, nested ones indented: at most size bytes with the
 * closing zero. Returns the length it needs (as far as that was looked at), or an error. A nested supervisor that does
 * not answer by the deadline is said to be busy. */
WEFT_API ssize_t weft_supervisor_format(weft_id supervisor, char *buf, size_t size, int64_t deadline);
/* The same, into the runtime's log, line by line. */
WEFT_API int weft_supervisor_print(weft_id supervisor, int64_t deadline);

#ifdef __cplusplus
}
#endif
#endif
