/* Ids: what all kinds of them have in common. An id is a value that names something with a life of its own and keeps
 * nothing alive.
 *
 * Two sorts. Ids of lanes, fibers and aliases are addresses: any holder may use them, and what they name may have ended
 * (-ESRCH; so it is for monitors). Ids of resources (sockets, listeners, files, directories, timers, shared bytes)
 * belong to one lane: its fibers use them, others are told -EPERM, and one that was closed or given away is stale
 * (-EBADF) for ever. An id of another kind than a call is for answers -EINVAL; another runtime's id is as good as
 * stale. No part of an id is a descriptor, none of these calls takes one, and `key` is above every number that a
 * descriptor can have.
 *
 * All calls here are for fibers (-EPERM on any other thread) unless said otherwise, and all but weft_give and
 * weft_timer_wait never wait. */
#ifndef WEFT_ID_H
#define WEFT_ID_H

#include <weft/op.h>
#include <weft/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Kinds ---- */

enum weft_id_kind {
    WEFT_ID_NONE = 0,
    WEFT_ID_FIBER,
    WEFT_ID_LANE,
    WEFT_ID_SOCKET,
    WEFT_ID_LISTENER,
    WEFT_ID_FILE,
    WEFT_ID_DIR,
    WEFT_ID_TIMER,
    WEFT_ID_WATCH,      /* these have their names reserved: nothing makes them yet */
    WEFT_ID_POOL,
    WEFT_ID_REMOTE_LANE,
    WEFT_ID_BLOCK,      /* shared bytes: <weft/slice.h> */
    WEFT_ID_SLICE,
    WEFT_ID_ROPE,
    WEFT_ID_ALIAS,      /* where an answer goes: <weft/message.h> */
    WEFT_ID_MONITOR     /* <weft/link.h> */
};
#define WEFT_ID_KINDS (WEFT_ID_MONITOR + 1)

/* What an id says of itself: WEFT_ID_NONE for WEFT_NOID and for what is no id. Whether it is stale, this does not tell.
 * Any thread. */
WEFT_API enum weft_id_kind weft_id_kind(weft_id id);
/* "socket", "lane"...; "none". Never NULL. Any thread. */
WEFT_API const char *weft_id_kind_name(weft_id id);

/* ---- Sharing and handing over ---- */

/* A second id for the same socket, listener, file or directory, in the caller's lane. Closing one of them makes that
 * one stale and ends the calls that wait through it (-ECANCELED there); the descriptor is closed with the last of them.
 * The two share whatever the descriptor has: bytes read by one are not seen by the other, and an option set is set for
 * both. Unread buffers of the streaming form stay with the id they came for. To share with another lane, dup and give.
 * -EBADF, -EPERM; -EINVAL a kind that cannot be shared (timers); -EAGAIN at the lane's limit of ids; -ENOMEM. */
WEFT_API int weft_dup(weft_id id, weft_id *out);

/* Moves a resource to another lane of the runtime, whichever it is: there it has a new id, *out (may be NULL:
 * weft_id_list finds it there), which is valid at once and useful to nobody but that lane; send it, or spawn the lane
 * with it (`gives` in weft_lane_options). The id given is stale, as after a close, but nothing is closed. An armed
 * streaming form is ended first, which may take until the deadline; what it had received and nobody has read goes
 * along. Who waits through the id keeps waiting, and it is not given (-EBUSY); who would read while this waits for the
 * end of the streaming form is told -EBUSY in turn, and whoever comes after it -EBADF.
 *
 * 0; or nothing was given: -EBADF, -EPERM not the caller's; -EBUSY a call waits through this id; -ESRCH no such lane,
 * or it has closed its ids; -EINVAL `lane` is no lane's id or the caller's own; -EAGAIN the receiver is at its limit of
 * ids; -ENOMEM; -ETIMEDOUT, -ECANCELED (the streaming form may have ended then: the next read begins it anew). */
WEFT_API int weft_give(weft_id id, weft_id lane, weft_id *out, int64_t deadline);

/* ---- Looking ---- */

/* Writes the ids of what the caller's lane has: fibers, child lanes, resources, shared bytes, aliases, monitors; at
 * most max of them. Returns how many there are, which may be more than max. Fibers and lanes that have ended count
 * until they are joined; detached ones until they have ended. What others gave to the lane is among them. O(number). */
WEFT_API int weft_id_list(weft_id *ids, unsigned max);

#define WEFT_ID_PATH 112

typedef struct weft_id_info {
    weft_id id;
    enum weft_id_kind kind;
    weft_id owner;             /* the lane it belongs to; of a lane: its parent (WEFT_NOID for the first) */
    const char *owner_name;
    const char *name, *site;   /* of fibers and lanes: where it was spawned; else NULL */
    const char *state;         /* "open", "waiting for an operation", "streaming"...: for people */
    unsigned handles;          /* ids that share the descriptor; 0: there is none behind it */
    unsigned ops;              /* operations in flight through this id, as far as its lane knows */
    weft_addr local, peer;     /* of sockets and listeners; family WEFT_ADDR_NONE: it has none */
    char path[WEFT_ID_PATH];   /* of files and directories, as it was opened; a long one keeps its end */
    const char *driver;        /* through whom its operations go: the port's driver, NULL: no port is asked */
    enum weft_path via;        /* and how the usual one is carried out */
    size_t bytes;              /* of blocks, slices and ropes */
    weft_id watched;           /* of monitors: the lane */
    unsigned worker, moves;    /* of the caller's lane and of child lanes: where it lives, and how often it has moved */
    int64_t next_ns, period_ns; /* of timers: when it expires next (WEFT_NEVER: not set), and its period */
} weft_id_info;

/* What is known of the caller's lane and of what weft_id_list tells. -EBADF, -ESRCH, -EPERM (of others nothing is
 * told). Names stay valid as long as what they name. Asks the system for addresses, so it costs two system calls for a
 * socket. */
WEFT_API int weft_id_inspect(weft_id id, weft_id_info *out);
/* The same as a line of text, at most size bytes with the closing zero: the length it needs, or an error as above. */
WEFT_API int weft_id_describe(weft_id id, char *buf, size_t size);

/* ---- Timers ---- */

/* A timer that is not set. It costs a record and nothing else until a fiber waits for it, may be given to other lanes,
 * and is closed by weft_close or its lane's end. For what is to happen at a time with no fiber waiting there are
 * alarms: <weft/alarm.h>. -EAGAIN at the lane's limit of ids, -ENOMEM. */
WEFT_API int weft_timer_open(weft_id *out);
/* Expires at `first`, an absolute time, and each period_ns after it (0: once). WEFT_NEVER unsets it. What had expired
 * and nobody asked for is forgotten. A fiber that waits for it goes on waiting, for the new time. -EINVAL a negative
 * period. */
WEFT_API int weft_timer_set(weft_id timer, int64_t first, int64_t period_ns);
/* Waits until it has expired: 0, and *expirations (may be NULL) tells how often since it was set or last waited for, so
 * a slow reader learns what it missed. Never early, at most a grain of the wheel (16 us) late. -ETIMEDOUT; -ECANCELED,
 * also when it is closed meanwhile; -EBUSY somebody waits for it already. */
WEFT_API int weft_timer_wait(weft_id timer, uint64_t *expirations, int64_t deadline);

#ifdef __cplusplus
}
#endif
#endif
