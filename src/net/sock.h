/* Sockets and listeners as records, shared by the files of this layer. Owner lane's worker, unless a field says
 * otherwise. */
#ifndef WEFT_NET_SOCK_H
#define WEFT_NET_SOCK_H

#include <weft/net.h>

#include "base/spin.h"
#include "lane/handle.h"

typedef struct weft__stream weft__stream;
typedef struct weft__hub weft__hub;

/* A received buffer that nobody has asked for yet. */
typedef struct weft__chunk {
    void *data;
    uint32_t len;
    uint16_t bid;
    uint16_t worker; /* whose port lent it: the socket may have come from elsewhere */
} weft__chunk;

#define WEFT__CHUNKS 4 /* kept in the record itself; who keeps up never needs more */

/* A connected socket. */
typedef struct weft__sock {
    weft__handle h;
    weft__hub *hub;            /* the accept loop that counts it, or NULL; the host's, with `refused` */
    weft__stream *stream;      /* the streaming form's op, once that was used */
    uint8_t refused;           /* counted by the hub as one that is only told to go */
    uint8_t gone;              /* the port has done its part of the close, the record waits for the op's end */
    uint8_t streaming;         /* the op is in flight */
    uint8_t ended;             /* the stream has ended, with `last` */
    int32_t last;              /* 0: the peer's end; else an error */

    /* What the home port's thread fills; guarded by `lock` where that is not the lane's own. */
    weft__spin lock;
    uint16_t head, count, room; /* of the ring */
    uint8_t pausing;           /* the op was asked to end, because nobody reads */
    uint8_t noted;             /* `note` is under way */
    weft__chunk *ring;         /* `own`, or pages of env's when that is too small */
    weft__fiber *reader;       /* who waits for a chunk */
    weft__sitter *sitter;      /* who waits for one among other things */
    weft_task note;            /* to the reader's worker */
    weft__chunk own[WEFT__CHUNKS];
} weft__sock;

/* A listening socket; all but `h` is the host's. */
typedef struct weft__listener {
    weft__handle h;
    uint64_t device, inode;    /* of the file that was made for a Unix socket */
    int32_t backlog;
    uint8_t reuse_port, v6only;
    uint8_t local;             /* a Unix socket */
    char path[108];            /* of its file, or empty */
} weft__listener;

_Static_assert(sizeof(weft__sock) <= WEFT__RESOURCE_SIZE, "a socket fits into a resource record");
_Static_assert(sizeof(weft__listener) <= WEFT__RESOURCE_SIZE, "a listener fits into a resource record");

extern const weft__resource_kind weft__socket_type, weft__listener_type;
extern const weft__source weft__stream_source, weft__accept_source;

static inline weft__sock *weft__sock_of(weft__handle *h) { return weft__container(h, weft__sock, h); }
static inline weft__listener *weft__listener_of(weft__handle *h) { return weft__container(h, weft__listener, h); }
static inline weft__listener *weft__listener_host(const weft__listener *l) { return weft__listener_of(weft__handle_host(&l->h)); }

/* ---- socket.c ---- */
/* A record for a connected socket of the calling fiber's lane. `raw` is closed if there is no record. */
int weft__sock_make(weft_handle raw, weft__sock **out);
/* The same for a lane that is not born yet. `raw` stays the caller's if there is none. */
int weft__sock_make_for(weft__lane *lane, weft_handle raw, weft__sock **out);
int weft__sock_find(weft_id id, weft__sock **out);
/* The record may be free now: the descriptor is closed, the streaming op has ended. */
void weft__sock_gone(weft__sock *s);

/* ---- listen.c ---- */
int weft__listener_find(weft_id id, weft__listener **out);
/* A listener at the same address for another lane; only for those that may share their port. */
int weft__listener_shard(weft__listener *l, weft__lane *lane, weft__listener **out);

/* ---- accept.c ---- */
/* Errors of accept that time cures: descriptors or memory ran out. */
int weft__accept_pauses(int64_t result);
/* Errors that concern one connection that went away. */
int weft__accept_skips(int64_t result);
/* How long the n-th pause in a row lasts. */
int64_t weft__accept_pause_ns(unsigned n);

/* Kinds of records that no call accepts: parts of others. */
#define WEFT__KIND_PART ((enum weft__kind)31)

/* ---- stream.c ---- */
/* Whether data is on its way to weft_read_buffer, so that other reads would take it out of order. */
int weft__stream_busy(weft__sock *s);
/* Ends the receive in flight, if there is one; what nobody has read stays.
 * 0 (nothing is in flight), -EBUSY, -ETIMEDOUT, -ECANCELED. */
int weft__stream_disarm(weft__sock *s, int64_t deadline);
/* Whether the port or a message still refers to the socket for it. */
int weft__stream_in_use(const weft__sock *s);
/* Gives back what nobody has read, and the op's record. */
void weft__stream_drop(weft__sock *s);

/* ---- hub.c ---- */
/* A connection counted by an accept loop is gone. Any worker. */
void weft__hub_left(weft__hub *hub, int refused);

#endif
