/* Groups: several functions at once, as fibers of the caller's lane or as child lanes, and one wait for what comes of
 * them.
 *
 *     weft_group g = WEFT_GROUP;
 *     for (int i = 0; i < 3; i++)
 *         weft_group_run(&g, fetch, mirrors[i]);
 *     int r = weft_group_first(&g, WEFT_NEVER);    one that succeeded is enough
 *     weft_group_end(&g);                          the others are cancelled, and over
 *
 * Members may be added while the group is waited for, and leave no trace once they have ended, so a group may serve for
 * ever. A group belongs to one lane. Its storage must stay until weft_group_end: a fiber must not return before. */
#ifndef WEFT_GROUP_H
#define WEFT_GROUP_H

#include <weft/lane.h>
#include <weft/sync.h>
#include <weft/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weft_group {
    int64_t opaque[16];
} weft_group;
#define WEFT_GROUP ((weft_group){{0}})

/* Starts a member; it runs as soon as the caller waits. Of a cancelled group it is cancelled from the start.
 * One that no stack is to be had for when its turn comes has failed: -EAGAIN, -ENOMEM. 0; -EINVAL no fn; -EAGAIN at the
 * limit of fibers; -ENOMEM; -EPERM no fiber, or another lane's group. */
#define weft_group_run(g, fn, arg) weft_group_run_at((g), (fn), (arg), #fn, WEFT_HERE)
WEFT_API int weft_group_run_at(weft_group *g, int (*fn)(void *arg), void *arg, const char *name, const char *site);

/* The same as a child lane, on this or another worker; options as in weft_lane_spawn. It can be neither joined nor
 * detached, only the group hears of its failure, and once it has ended, and everything that it had is given back,
 * nothing is left of it. One that was killed, or never ran, counts with what weft_lane_join would have said. -EINVAL
 * `detached`, or another `parent`; -EPERM no fiber, or another lane's group; else as weft_lane_spawn. */
#define weft_group_lane(g, fn, arg) weft_group_lane_at((g), (fn), (arg), NULL, #fn, WEFT_HERE)
#define weft_group_lane_with(g, fn, arg, ...)                                                                          \
    weft_group_lane_at((g), (fn), (arg), &(weft_lane_options){__VA_ARGS__}, #fn, WEFT_HERE)
WEFT_API int weft_group_lane_at(weft_group *g, int (*fn)(void *arg), void *arg, const weft_lane_options *opt,
                                const char *name, const char *site);

/* From now on ended(ctx, member, result) is called as each member ends, before the group's waiters are told: who
 * collects all results, and not only the first, does it there. On the lane's worker and in no fiber: it must not wait.
 * NULL: not any more. -EPERM no fiber, or another lane's group. */
WEFT_API int weft_group_tell(weft_group *g, void (*ended)(void *ctx, weft_id member, int result), void *ctx);

/* Each of these waits until it is known: 0 or a negative result of a member, or -ETIMEDOUT, -ECANCELED of the wait;
 * -EPERM no fiber, or another lane's group. Several fibers may wait.
 * all: every member has ended; the first failure there was, or 0.
 * any_failure: the first failure, at once; 0 when all have ended without.
 * first: a success (0 or more: what it returned), at once; the first failure when all have ended without; 0 of an empty
 * group. */
WEFT_API int weft_group_all(weft_group *g, int64_t deadline);
WEFT_API int weft_group_any_failure(weft_group *g, int64_t deadline);
WEFT_API int weft_group_first(weft_group *g, int64_t deadline);

/* Cancels all members, and those that are added later. -EPERM no fiber, or another lane's group. */
WEFT_API int weft_group_cancel(weft_group *g);
/* Cancels what still runs and waits until all have ended, whatever deadline or cancellation the caller is under. Then
 * the group is as new. 0; -EPERM no fiber, or another lane's group. */
WEFT_API int weft_group_end(weft_group *g);
/* How many run. */
WEFT_API unsigned weft_group_count(const weft_group *g);

#ifdef __cplusplus
}
#endif
#endif
