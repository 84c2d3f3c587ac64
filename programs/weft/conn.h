/*
 * A client's connection as the HTTP server sees it: bytes read and not yet parsed, bytes to be written at once, and
 * the request between them.
 */
#ifndef WEFT_PROGRAM_CONN_H
#define WEFT_PROGRAM_CONN_H

#include "http_request.h"
#include "local.h"
#include "out.h"
#include "options.h"
#include "tracker.h"

#include <weft/weft.h>

/* What all connections of a server share; it outlives them. */
struct server {
    const struct options *options;
    struct tracker tracker;
    int64_t started_ns;      /* on the runtime's clock */
    int64_t started_wall_ns; /* time of day */
    uint64_t boundary;       /* of multipart bodies */
};

/*
 * A connection at rest reads into this many bytes inside its own record; longer heads, and pipelines, read into a
 * buffer of the worker's pool until they have passed. Together with the frames below it this lets an idle connection
 * live in one page of its stack.
 */
#define CONN_SMALL ((size_t)1024)

struct conn {
    weft_id id;
    struct server *server;
    struct local *local;
    const weft_addr *peer;
    char *in; /* `small`, or a pooled buffer */
    size_t in_cap;
    size_t at, end; /* in[at, end): read and not answered; the request being read begins at `at` */
    int64_t now_ns; /* when the request was taken up or something was last waited for, on the runtime's clock */
    struct out out; /* written with the next flush; base is NULL while nothing waits */
    uint32_t slot;
    bool closing;  /* nothing more is read as a request */
    bool linger;   /* the client may still be sending: let it read our answer before the connection ends */
    bool crowded;  /* the last read filled the buffer: more is waiting */
    bool shielded;
    weft_scope shield;
    struct http_request rq;
    char small[CONN_SMALL];
};

/* conn_open takes the connection of an accept loop's handler; conn_close gives back all that it took. */
void conn_open(struct conn *c, const weft_conn *accepted, struct server *server);
void conn_close(struct conn *c);

/* conn_drop gives back what the runtime does not know of, and waits for nothing; harmless when nothing is left. */
void conn_drop(struct conn *c);

/* conn_fill reads more behind `end`, making room first. Bytes read, 0 at the client's end, or as weft_read. */
ssize_t conn_fill(struct conn *c, int64_t deadline);

/* conn_flush writes what waits. 0 or why it could not; the connection is then of no further use. */
int conn_flush(struct conn *c);

/* conn_rest gives pooled buffers back where nothing needs them; after a flush, before a wait. */
void conn_rest(struct conn *c);

/* conn_out returns the builder with at least n bytes of room, flushing if it must; NULL after an error. */
struct out *conn_out(struct conn *c, size_t n);

/* conn_patience is how long a client may stay silent, or take nothing of its answer, in ns. */
int64_t conn_patience(const struct conn *c);

/* conn_write_deadline is how long something that may have to wait may take to get on, from now. */
int64_t conn_write_deadline(const struct conn *c);

#endif
