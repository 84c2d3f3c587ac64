/* Lanes: green processes. A lane owns fibers, ids and memory; it is what is placed on workers and what fails as a whole. Its fibers run on one
 * worker, so data private to a lane needs no locks. A lane ends when all its fibers and child lanes have ended; what it had acquired is
 * given back then, and only after that are those who wait for it told. */
#ifndef WEFT_LANE_H
#define WEFT_LANE_H

#include <weft/fiber.h>
#include <weft/runtime.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weft_lane_options {
    const char *name;   /* shown in reports; must stay valid; default: the function's name */
    size_t stack_size;  /* of its main fiber; 0: the runtime's */
    size_t copy;        /* copy this many bytes at arg into the newborn (at most WEFT_LANE_COPY_MAX) */
    int64_t deadline;   /* cancels the lane when it passes; 0: none */
    int detached;       /* the parent does not want its result */
    int pinned;         /* start on the caller's worker: not to be stolen */
} weft_lane_options;

#define WEFT_LANE_COPY_MAX 96

/* Makes a lane, a child of the caller's, whose main fiber runs fn(arg), on this or another worker. *out may be NULL: detached.
 * -EAGAIN at the limit, -ENOMEM, -EINVAL, -ECANCELED when the parent is cancelled, -ESHUTDOWN when the runtime ends. */
#define weft_lane_spawn(out, fn, arg) weft_lane_spawn_at(NULL, (out), (fn), (arg), NULL, #fn, WEFT_HERE)
#define weft_lane_spawn_with(out, fn, arg, ...)                                                                                    \
    weft_lane_spawn_at(NULL, (out), (fn), (arg), &(weft_lane_options){__VA_ARGS__}, #fn, WEFT_HERE)
/* From any thread, as a child of the root lane of rt. */
#define weft_lane_spawn_in(rt, out, fn, arg, opt) weft_lane_spawn_at((rt), (out), (fn), (arg), (opt), #fn, WEFT_HERE)
WEFT_API int weft_lane_spawn_at(weft_runtime *rt, weft_id *out, int (*fn)(void *arg), void *arg, const weft_lane_options *opt,
                                const char *name, const char *site);

/* Waits until a child lane has ended and everything it had is given back. *result: what its main fiber returned (-ECANCELED if it never ran).
 * -ESRCH not a child or already joined; -EPERM somebody else's child; -EBUSY being joined; -ETIMEDOUT; -ECANCELED. */
WEFT_API int weft_lane_join(weft_id lane, int *result, int64_t deadline);
WEFT_API int weft_lane_detach(weft_id lane);
/* The caller's lane, WEFT_NOID on a foreign thread. Lanes are cancelled by weft_cancel. */
WEFT_API weft_id weft_lane_self(void);

/* ---- Tasks: running without a fiber ---- */

/* Runs a task on any worker of rt. It must not wait. Any thread; the task is the runtime's until its run is called. */
WEFT_API int weft_task_submit(weft_runtime *rt, weft_task *task);

#ifdef __cplusplus
}
#endif
#endif
