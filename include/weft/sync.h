/* Locks and signals that fibers wait on: mutex, rwlock, cond, semaphore, event, barrier, latch, once.
 *
 * All are plain storage of the caller's, usable when zeroed, from any fiber of any lane on any worker. An object that
 * several lanes use lies in memory that outlives them all (static, or the vat of a common ancestor), and must not be
 * moved or freed while anybody uses it. In a checked build any other use aborts. In others, the death of the lane in
 * whose memory it lies ends the waits of fibers of other lanes: -EOWNERDEAD, or -ENOTRECOVERABLE of a mutex or rwlock,
 * where the former says that the caller owns it. What they hold there is held no more, and must not be touched; a
 * weft_read_hold or weft_reader on their own stacks may be, and answers -EPERM.
 *
 * Calls that can wait take an absolute deadline (WEFT_NEVER; a past one tries once): -ETIMEDOUT; -ECANCELED, checked at
 * entry too. A call that got what it waited for at the very moment of its deadline or cancellation answers success. Who
 * is killed while it waits leaves no trace: what it was just being given goes to the next. Mutex, rwlock, cond, barrier
 * and once are for fibers (-EPERM elsewhere); semaphore, event and latch also for threads that are no workers, which
 * sleep in the environment. No call allocates. */
#ifndef WEFT_SYNC_H
#define WEFT_SYNC_H

#include <weft/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Mutex ----------------------------------------------------------------------------------------------------------
 *
 * It knows its owner: a fiber. By default a fiber that runs takes a free mutex before one that has yet to wake, which
 * is fastest; one that was overtaken once is handed the mutex the next time. WEFT_MUTEX_FAIR hands it over in the order
 * of coming, always.
 *
 * An owner that ends or is killed leaves the mutex to the next, who is answered -EOWNERDEAD and owns it: what it guards
 * may be half-changed. He repairs that and says so by weft_mutex_consistent; if he unlocks without, nobody will ever
 * have it again: -ENOTRECOVERABLE. */

enum weft_mutex_flags {
    WEFT_MUTEX_RECURSIVE = 1, /* its owner may lock it again, and unlocks it as often */
    WEFT_MUTEX_FAIR = 2
};

typedef struct weft_mutex {
    int64_t opaque[18];
} weft_mutex;

/* Not needed for a zeroed one without flags. `name` is shown in reports and must stay valid; it may be NULL. -EINVAL
 * unknown flags, or no mutex. */
WEFT_API int weft_mutex_init(weft_mutex *m, unsigned flags, const char *name);

/* 0: the caller owns it; -EOWNERDEAD: the caller owns it, and its owner before died; -EDEADLK: the caller owns it
 * already, or waiting without a deadline of the call's own (a scope's or lane's does not count) would close a circle of
 * fibers that wait for each other, which is reported; -ETIMEDOUT; -ECANCELED; -EOVERFLOW a recursive one that the
 * caller has locked 2^32 - 1 times. -ENOTRECOVERABLE: nobody will own it again. */
#define weft_mutex_lock(m, deadline) weft_mutex_lock_at((m), (deadline), WEFT_HERE)
WEFT_API int weft_mutex_lock_at(weft_mutex *m, int64_t deadline, const char *site);
/* Does not wait, and looks at no cancellation: -EAGAIN somebody has it; else as above. */
#define weft_mutex_try(m) weft_mutex_try_at((m), WEFT_HERE)
WEFT_API int weft_mutex_try_at(weft_mutex *m, const char *site);
/* -EPERM: the caller does not own it. */
WEFT_API int weft_mutex_unlock(weft_mutex *m);
/* What it guards is in order again. -EPERM not the owner, -EINVAL it was in order. */
WEFT_API int weft_mutex_consistent(weft_mutex *m);
/* Makes another fiber of the same lane the owner, which must not select on this mutex itself. -EPERM not the owner, or
 * another lane's fiber; -ESRCH no such fiber, or it has ended; -EINVAL no id of a fiber; -EDEADLK it waits for this
 * mutex, or for one that waits for it, and so on, all for ever, which is reported; -ENOTRECOVERABLE the lane in whose
 * memory the mutex lies is dying: nobody owns it any more. To another lane a mutex is sent: weft_mutex_send in
 * message.h. */
WEFT_API int weft_mutex_give(weft_mutex *m, weft_id fiber);

typedef struct weft_mutex_info {
    weft_id fiber, lane; /* WEFT_NOID: free */
    const char *site;    /* where it was locked */
    unsigned waiting;
    int owner_died, lost; /* -EOWNERDEAD and not made consistent yet; -ENOTRECOVERABLE */
} weft_mutex_info;
/* For reports: true at some recent moment. Any thread. */
WEFT_API void weft_mutex_look(weft_mutex *m, weft_mutex_info *out);

/* ---- Readers and writers --------------------------------------------------------------------------------------------
 *
 * Many readers or one writer, in the order of coming: no reader passes a writer that waits, so neither starves. A
 * reader's hold is storage of its own, zeroed before its first use, on its stack, say; a fiber must not return before
 * it has given it back. A writer's death is told as a mutex's owner's; a reader's just ends its hold. */

typedef struct weft_rwlock {
    int64_t opaque[18];
} weft_rwlock;
typedef struct weft_read_hold {
    int64_t opaque[10];
} weft_read_hold;

WEFT_API int weft_rwlock_init(weft_rwlock *rw, const char *name);
/* 0; -EOWNERDEAD (the hold is had) until a writer has said weft_rwlock_consistent; -ENOTRECOVERABLE a writer has not
 * said it in time, and nobody will have it again; -EDEADLK the caller is the writer, or holds it for reading already (a
 * second hold could wait for a writer who waits for the first); -EINVAL the hold is in use; -ETIMEDOUT; -ECANCELED. */
WEFT_API int weft_rwlock_read(weft_rwlock *rw, weft_read_hold *hold, int64_t deadline);
/* Does not wait, and looks at no cancellation: -EAGAIN a writer has it, or somebody waits for it; else as above. */
WEFT_API int weft_rwlock_try_read(weft_rwlock *rw, weft_read_hold *hold);
/* -EPERM: it is not held, or by another fiber. */
WEFT_API int weft_rwlock_unread(weft_read_hold *hold);
/* As weft_mutex_lock; -EDEADLK also where the caller holds it for reading: a reader cannot become the writer without
 * letting others in between. */
#define weft_rwlock_write(rw, deadline) weft_rwlock_write_at((rw), (deadline), WEFT_HERE)
WEFT_API int weft_rwlock_write_at(weft_rwlock *rw, int64_t deadline, const char *site);
/* Does not wait, and looks at no cancellation: -EAGAIN somebody has it or waits for it; else as above. */
#define weft_rwlock_try_write(rw) weft_rwlock_try_write_at((rw), WEFT_HERE)
WEFT_API int weft_rwlock_try_write_at(weft_rwlock *rw, const char *site);
/* -EPERM: the caller is not the writer. */
WEFT_API int weft_rwlock_unwrite(weft_rwlock *rw);
/* What it guards is in order again. -EPERM the caller is not the writer, -EINVAL it was in order. */
WEFT_API int weft_rwlock_consistent(weft_rwlock *rw);

/* ---- Condition variable ------------------------------------------------------------------------------------------ */

typedef struct weft_cond {
    int64_t opaque[4];
} weft_cond;
/* Gives the mutex back, waits for a signal, and takes the mutex again, whatever its deadline and cancellation say: when
 * this returns the caller owns it as often as before. 0; -ETIMEDOUT; -ECANCELED; -EOWNERDEAD as of weft_mutex_lock;
 * -ENOTRECOVERABLE: it does not own the mutex, nor will anybody; -EPERM it did not own it. There are no wake-ups
 * without a signal, but others may have run between signal and waking. */
WEFT_API int weft_cond_wait(weft_cond *c, weft_mutex *m, int64_t deadline);
/* Wakes the one that waits longest, or all: how many. With or without the mutex. -EPERM on a thread that is no
 * worker. */
WEFT_API int weft_cond_signal(weft_cond *c);
WEFT_API int weft_cond_broadcast(weft_cond *c);

/* ---- Semaphore ------------------------------------------------------------------------------------------------------
 * Units that are taken and given back, several at once if need be. First come, first served: a large request is not
 * passed by small ones. */

typedef struct weft_semaphore {
    int64_t opaque[4];
} weft_semaphore;
WEFT_API int weft_semaphore_init(weft_semaphore *s, size_t units);
/* -EINVAL: no units asked for; -ETIMEDOUT; -ECANCELED. Any thread but a worker that runs no fiber (-EPERM). */
WEFT_API int weft_semaphore_acquire(weft_semaphore *s, size_t units, int64_t deadline);
/* Does not wait: -EAGAIN there are fewer units, or others wait for some; -EINVAL no units asked for. Any thread. */
WEFT_API int weft_semaphore_try(weft_semaphore *s, size_t units);
/* -EOVERFLOW: it would have more than a size_t can count, and has what it had. Any thread. */
WEFT_API int weft_semaphore_release(weft_semaphore *s, size_t units);
WEFT_API size_t weft_semaphore_value(weft_semaphore *s);

/* ---- Event ----------------------------------------------------------------------------------------------------------
 * Manual: once set, all go through until it is reset. Auto: each set lets one through, and stays until somebody
 * comes. */

enum weft_event_kind { WEFT_EVENT_MANUAL = 0, WEFT_EVENT_AUTO = 1 };
typedef struct weft_event {
    int64_t opaque[4];
} weft_event;
/* `set`: from the beginning. -EINVAL an unknown kind. */
WEFT_API int weft_event_init(weft_event *e, enum weft_event_kind kind, int set);
/* -ETIMEDOUT; -ECANCELED. Any thread but a worker that runs no fiber (-EPERM). */
WEFT_API int weft_event_wait(weft_event *e, int64_t deadline);
/* Any thread. set: how many were let through. */
WEFT_API int weft_event_set(weft_event *e);
WEFT_API int weft_event_reset(weft_event *e);
WEFT_API int weft_event_is_set(weft_event *e);

/* ---- Barrier: n fibers wait for each other, again and again ------------------------------------------------------ */

typedef struct weft_barrier {
    int64_t opaque[4];
} weft_barrier;
WEFT_API int weft_barrier_init(weft_barrier *b, unsigned n); /* -EINVAL: 0 */
/* 1 in the last that comes, 0 in the others. Who leaves by deadline (-ETIMEDOUT), cancellation (-ECANCELED) or death
 * has not come. -EINVAL: it was not initialised. */
WEFT_API int weft_barrier_wait(weft_barrier *b, int64_t deadline);

/* ---- Latch: wait until what was begun is over -------------------------------------------------------------------- */

typedef struct weft_latch {
    int64_t opaque[4];
} weft_latch;
WEFT_API int weft_latch_init(weft_latch *l, size_t count);
/* More to wait for; may be called while others wait. -EOVERFLOW: more than a size_t can count. Any thread. */
WEFT_API int weft_latch_add(weft_latch *l, size_t n);
/* So many are over; at none left all who wait go on. -EINVAL: more than there are. Any thread. */
WEFT_API int weft_latch_done(weft_latch *l, size_t n);
/* -ETIMEDOUT; -ECANCELED. Any thread but a worker that runs no fiber (-EPERM). */
WEFT_API int weft_latch_wait(weft_latch *l, int64_t deadline);

/* ---- Once -------------------------------------------------------------------------------------------------------- */

typedef struct weft_once {
    weft_mutex mutex;
    int64_t done;
} weft_once;
/* Calls fn(arg) unless a call of it has succeeded, which it waits for. fn's negative result is the caller's, and
 * whoever comes next tries again; so it is when who runs it dies. -EDEADLK: from within fn, or a circle as in
 * weft_mutex_lock; -EINVAL no fn; -ENOTRECOVERABLE the lane in whose memory it lies has died; -ETIMEDOUT and
 * -ECANCELED, of the wait for who runs it. */
WEFT_API int weft_once_run(weft_once *once, int (*fn)(void *arg), void *arg, int64_t deadline);

#ifdef __cplusplus
}
#endif
#endif
