/* Fibers: straight-line C that may wait. A fiber belongs to a lane, runs on its lane's worker and never in parallel
 * with its siblings.
 *
 * Calls that can wait take an absolute deadline and answer -ETIMEDOUT when it passes, -ECANCELED when the fiber's scope
 * is cancelled (checked at entry too). Unless said otherwise, calls here are for fibers only and answer -EPERM on any
 * other thread. */
#ifndef WEFT_FIBER_H
#define WEFT_FIBER_H

#include <weft/runtime.h>
#include <weft/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weft_spawn_options {
    const char *name;     /* shown in reports; must stay valid (a literal); default: the function's name */
    size_t stack_size;    /* 0: the runtime's */
    void *stack;          /* caller's memory for the stack (stack_size bytes), which must live until the fiber has
                           * ended; no guard is set */
    size_t copy;          /* copy this many bytes at arg into the newborn: fn gets a pointer to the copy, on its own
                           * stack */
    int detached;         /* nobody will join it */
    int64_t wait;         /* at a limit: waits for room until this deadline; 0: answers at once */
} weft_spawn_options;

/* Makes a fiber of the caller's lane that runs fn(arg). It starts when the caller next waits or yields. *out (may be
 * NULL: detached) is its id. A fiber that ends without having been joined or detached is reported with its spawn site,
 * unless its result is 0. 0; -EAGAIN at the limit of fibers; -ENOMEM no memory, or the limit of stack memory;
 * -ETIMEDOUT, -ECANCELED while it waited for room (`wait`); -ECANCELED, too: the lane was killed; -EINVAL no function,
 * a copy of nothing or beyond WEFT_COPY_MAX, a stack below WEFT_STACK_MIN or of unsaid size. */
#define WEFT_STACK_MIN 4096
#define WEFT_COPY_MAX 96
#define weft_spawn(out, fn, arg) weft_spawn_at((out), (fn), (arg), NULL, #fn, WEFT_HERE)
#define weft_spawn_with(out, fn, arg, ...)                                                                             \
    weft_spawn_at((out), (fn), (arg), &(weft_spawn_options){__VA_ARGS__}, #fn, WEFT_HERE)
WEFT_API int weft_spawn_at(weft_id *out, int (*fn)(void *arg), void *arg, const weft_spawn_options *opt,
                           const char *name, const char *site);

/* Waits for a fiber of the same lane to end; *result (may be NULL) gets what it returned. A fiber is joined once.
 * -ESRCH: no such fiber, or already joined; -EINVAL: another kind of id; -EDEADLK: itself, or one that waits for the
 * caller, by whatever locks and joins are in between (with a deadline that is reported, and it waits); -EPERM: another
 * lane's; -EBUSY: somebody is joining it; -ETIMEDOUT; -ECANCELED. */
WEFT_API int weft_join(weft_id fiber, int *result, int64_t deadline);
/* Gives up the right to join. 0; -ESRCH, -EINVAL, -EPERM, -EBUSY as above. */
WEFT_API int weft_detach(weft_id fiber);

/* Lets others run. 0, also when cancelled. */
WEFT_API int weft_yield(void);
/* Waits until the deadline: 0, or -ECANCELED. */
WEFT_API int weft_sleep(int64_t deadline);
/* Waits for an unpark, or takes one that came before: 0; -ETIMEDOUT; -ECANCELED. All other waiting can be built from
 * it. */
WEFT_API int weft_park(int64_t deadline);
/* Leaves a token with the fiber, waking it if it parks. Any fiber or worker; -ESRCH if it has ended, -EINVAL if it
 * is no fiber's id. weft_unpark_in: any thread; -EINVAL, too: no runtime. */
WEFT_API int weft_unpark(weft_id fiber);
WEFT_API int weft_unpark_in(weft_runtime *rt, weft_id fiber);

/* The calling fiber (WEFT_NOID elsewhere), its name (NULL elsewhere). A name must stay valid as long as the fiber.
 * -EINVAL no name. */
WEFT_API weft_id weft_self(void);
WEFT_API const char *weft_name(void);
WEFT_API int weft_set_name(const char *name);

/* Fiber-local values: small process-wide keys, a pointer each per fiber, NULL at first. A destructor is called as the
 * fiber ends, on its stack, for values that are not NULL. -EAGAIN: all WEFT_LOCALS keys are taken; -EINVAL no place for
 * the key. Any thread. */
#define WEFT_LOCALS 8
WEFT_API int weft_local_key(unsigned *key, void (*destroy)(void *value));
/* Of the calling fiber. 0; -EPERM no fiber; -EINVAL no such key; -ENOMEM no room for the fiber's first value. */
WEFT_API int weft_local_set(unsigned key, void *value);
WEFT_API void *weft_local_get(unsigned key);

/* ---- Cancellation (DESIGN rule 4) ---- */

/* Cancels a fiber, or a lane with all its fibers and child lanes: from now on each of its waiting calls answers
 * -ECANCELED, those under way are asked to end. For a fiber, by fibers of its lane; for a lane, by itself, its parent,
 * or whoever was granted WEFT_RIGHT_CANCEL. -EPERM anybody else; -ESRCH it has ended; -EINVAL another kind of id. */
WEFT_API int weft_cancel(weft_id id);
/* The same from any thread, which needs no right unless it runs a fiber of rt. -ESHUTDOWN the runtime has ended. */
WEFT_API int weft_cancel_in(weft_runtime *rt, weft_id id);
/* 0, or -ECANCELED if the next waiting call would answer that; 0 where no fiber runs. For loops that compute. */
WEFT_API int weft_canceled(void);

/* A stretch of a fiber's code with a deadline of its own: when it passes, calls inside answer -ECANCELED until the
 * scope is left. Scopes nest; storage is the caller's, on its stack. weft_scope_leave returns 0, -ETIMEDOUT if the
 * scope's deadline had passed, -ECANCELED if it was cancelled by weft_scope_cancel, which a sibling may call. -EINVAL
 * no scope; to leave: it is not the innermost of the caller's, or a shield; to cancel: it is a shield, or another
 * lane's. */
typedef struct weft_scope {
    int64_t opaque[12];
} weft_scope;
WEFT_API int weft_scope_enter(weft_scope *scope, int64_t deadline);
WEFT_API int weft_scope_leave(weft_scope *scope);
WEFT_API int weft_scope_cancel(weft_scope *scope);
/* Cleanup code shields itself: inside, cancellation from outside is not seen for at most grace_ns (0: the runtime's
 * grace). 0; -EINVAL no scope; to leave: it is not the innermost of the caller's, or no shield. */
WEFT_API int weft_shield_enter(weft_scope *scope, int64_t grace_ns);
WEFT_API int weft_shield_leave(weft_scope *scope);

/* ---- Clean-up (DESIGN rule 5) ---- */

/* Has fn(arg) called when the calling fiber ends, however it ends: for what the runtime does not know of. Newest first;
 * as the fiber returns on its own stack, after a kill on another one (then what arg points to is still there: the
 * stacks of the lane's fibers, its memory, its open ids). In both cases weft_self() is this fiber and the call is
 * shielded for the runtime's grace; what waits beyond that is cancelled, or stopped after a kill. 0; -ENOMEM; -EINVAL
 * no function; -EPERM no fiber. */
WEFT_API int weft_defer(void (*fn)(void *arg), void *arg);
/* Takes the newest one off, calling it if `run`. 0; -ESRCH there is none; -EPERM no fiber. */
WEFT_API int weft_undefer(int run);

/* ---- Backtraces ---- */

#define WEFT_TRACE_MAX 32
typedef struct weft_trace {
    weft_id fiber, lane;
    const char *name, *site;           /* of the fiber */
    const char *lane_name, *lane_site; /* of its lane */
    unsigned depth;
    uintptr_t pc[WEFT_TRACE_MAX];      /* innermost first */
} weft_trace;
/* Where the caller is (depth 0 and WEFT_NOID on a foreign thread). No allocation; about 10 ns a frame. Any thread. */
WEFT_API int weft_trace_here(weft_trace *out);
/* Where a parked fiber of the same lane waits. -ESRCH, -EINVAL, -EPERM. */
WEFT_API int weft_trace_of(weft_id fiber, weft_trace *out);
/* Writes it as text, a line a frame, at most size bytes with the closing zero; returns the length it would need. */
WEFT_API size_t weft_trace_format(const weft_trace *trace, char *buf, size_t size);

#ifdef __cplusplus
}
#endif
#endif
