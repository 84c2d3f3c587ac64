/* What an accept loop is made of. The hub is the loop as a whole: it counts connections and belongs to the lane that
 * called weft_accept_each. A shard is one acceptor: a lane pinned to a worker, with a listener to accept from.
 * Connections are child lanes of the shard that accepted them.
 *
 * Both records outlive every message that points at them, whatever is killed meanwhile: a hub is counted by its
 * shards, connections and notes under way; a shard by its notes. */
#ifndef WEFT_NET_HUB_H
#define WEFT_NET_HUB_H

#include "net/sock.h"

typedef struct weft__shard weft__shard;

struct weft__hub {
    weft__resource res;
    weft_runtime *rt;
    int (*handler)(void *conn);
    int (*refuse)(void *conn);
    void *arg;
    const char *name;
    size_t stack_size;
    int mobile;
    uint32_t limit;        /* of connections, 0: none */
    int sharded;           /* more than one shard */

    uint32_t refs;         /* 1 for the record + shards + connections + notes (atomic) */
    uint32_t live;         /* connections that count against the limit (atomic) */
    uint32_t refusing;     /* connections beyond it that are being told so (atomic) */
    uint32_t unborn;       /* shards whose acceptor has yet to begin, and 1 while they are being made (atomic) */
    uint32_t stopped;      /* a shard has stopped and said so (atomic) */
    int32_t error;         /* why the first one that failed did (atomic) */

    weft__spin lock;
    weft__shard *shards;   /* guarded by lock, and with it each shard's `next`, `pins` and `room_noted` */

    weft__worker *home;
    weft__fiber *waiter;   /* home: who waits for a shard to stop */
    weft_task stop_note;   /* to home */
    weft_task gone_note;   /* to home: nobody refers to the hub any more */
};

struct weft__shard {
    weft__resource res;
    weft__hub *hub;
    weft__shard *next;
    uint32_t pins;             /* notes under way */
    uint32_t room_noted;       /* room_note is one of them */
    uint32_t wants_room;       /* it waits until a connection has ended, or for the others to begin (atomic) */
    weft__lane *lane;
    weft__worker *worker;
    weft__listener *listener;
    weft_id listener_id;

    /* Home: the shard's worker. */
    weft_id fiber;             /* its acceptor, once that runs */
    weft__fiber *waiter;       /* the acceptor, while it waits for that */
    weft__fiber *armed;        /* the acceptor, while it waits for its op */
    uint8_t begun, stopping;
    uint8_t failed;            /* a connection could not be given a lane: time for a pause */
    uint32_t failing;          /* the note that says so is under way (atomic) */
    weft_task stop_note, room_note, fail_note;
};

_Static_assert(sizeof(weft__hub) <= WEFT__RESOURCE_SIZE, "a hub fits into a resource record");
_Static_assert(sizeof(weft__shard) <= WEFT__RESOURCE_SIZE, "a shard fits into a resource record");

/* ---- hub.c ---- */
int weft__hub_make(weft__hub **out);
void weft__hub_ref(weft__hub *hub);
void weft__hub_unref(weft__hub *hub);
/* Counts one connection if the limit allows it. Any worker. */
int weft__hub_enter(weft__hub *hub);
/* Takes back weft__hub_enter where there came no connection. Any worker. */
void weft__hub_undo(weft__hub *hub);
/* A record in `lane`, which is not born yet, entered into the hub's list. */
int weft__shard_make(weft__hub *hub, weft__lane *lane, weft__worker *worker, weft__shard **out);
/* One more acceptor has begun, or all have been made. Any worker. */
void weft__hub_begin(weft__hub *hub);
int weft__hub_begun(weft__hub *hub);
/* Asks all shards to stop accepting. Home of the hub. */
void weft__hub_stop(weft__hub *hub);
/* Keeps a shard's record until the note about to be sent has arrived; run by the note, on the shard's worker. */
void weft__shard_pin(weft__shard *shard);
void weft__shard_unpin(weft__shard *shard);
/* A shard has stopped: 0, or why. Any worker. */
void weft__hub_stopped(weft__hub *hub, int error);

/* ---- connection.c ---- */
/* Gives an accepted handle a lane of its own. `counted`: weft__hub_enter was called for it. 0 or why it was closed
 * instead. Any worker. */
int weft__connection_start(weft__shard *shard, weft_handle raw, int counted);

#endif
