/* Stream sockets, TCP and Unix, over IPv4 and IPv6. The verbs are POSIX's, on ids; every one that can wait takes a
 * deadline.
 *
 * A socket belongs to the lane that made or accepted it and is closed when the lane ends. All calls but those on
 * addresses are for fibers (-EPERM elsewhere). Errors that they share: -EBADF a stale id; -EPERM another lane's;
 * -EINVAL another kind of id, or no place for the result; -EAGAIN the lane's or the runtime's limit of ids or of
 * operations; -ENOMEM no record for the socket; -ENOTSUP the port's driver has no such call; of those that wait
 * -ETIMEDOUT, and -ECANCELED (checked at entry, and also where the id is closed meanwhile); others as the system gives
 * them. */
#ifndef WEFT_NET_H
#define WEFT_NET_H

#include <weft/lane.h>
#include <weft/op.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Addresses ---- */

/* Reads "127.0.0.1:8080", "[::1]:0", "[fe80::1%eth0]:80", "*:80" (any address, both families), ":80",
 * "unix:/run/x.sock", "unix:@name" (abstract). -EINVAL: not an address; names are not looked up here. */
WEFT_API int weft_addr_parse(const char *text, weft_addr *out);
/* Writes it in the same form, at most size bytes with the closing zero; returns the length it needs. */
#define WEFT_ADDR_TEXT 128
WEFT_API size_t weft_addr_format(const weft_addr *addr, char *buf, size_t size);

/* ---- Making connections ---- */

typedef struct weft_listen_options {
    int backlog;      /* 0: the system's largest */
    int reuse_port;   /* several listeners on one port; set by the runtime itself where per-core mode shards */
    int v6only;
    unsigned unix_mode; /* permissions of a Unix socket's file; 0: umask */
} weft_listen_options;

/* *out listens on the address; does not wait. -EINVAL not an address (names are not looked up here); -EADDRINUSE,
 * -EADDRNOTAVAIL, -EACCES... A Unix socket's file is removed when the listener closes. */
WEFT_API int weft_listen(weft_id *out, const char *address, const weft_listen_options *opt);
WEFT_API int weft_listen_addr(weft_id *out, const weft_addr *address, const weft_listen_options *opt);
/* TCP connections, accepted or made, send what is written at once (WEFT_NODELAY is on): two writes in a row do not wait
 * for the peer's acknowledgement, which may take 40 ms. weft_sock_set turns it off for one that makes many small
 * writes. */
/* Waits for a connection. Out of descriptors or buffers (EMFILE, ENFILE, ENOBUFS, ENOMEM) it backs off and tries again
 * until the deadline; a connection that went away meanwhile (ECONNABORTED) is skipped. One that came when the lane was
 * at its limit of ids is closed: -EAGAIN. *peer may be NULL. */
WEFT_API int weft_accept(weft_id listener, weft_id *out, weft_addr *peer, int64_t deadline);
/* Waits until the connection is there: 0, and *out is it. -EINVAL not an address; -ECONNREFUSED, -EHOSTUNREACH, -ENOENT
 * (Unix)... Nothing is left of one that failed. */
WEFT_API int weft_connect(weft_id *out, const char *address, int64_t deadline);
WEFT_API int weft_connect_addr(weft_id *out, const weft_addr *address, int64_t deadline);

/* ---- Bytes ---- */

/* Up to n bytes, 0 at the peer's end (n == 0: 0 at once). -EBUSY: the streaming form has data under way. */
WEFT_API ssize_t weft_read(weft_id sock, void *buf, size_t n, int64_t deadline);
/* At least one byte written; fewer than n is no error. Never raises SIGPIPE: -EPIPE. */
WEFT_API ssize_t weft_write(weft_id sock, const void *buf, size_t n, int64_t deadline);
/* The same from and to several places. -EINVAL, too: more than 1024. */
WEFT_API ssize_t weft_readv(weft_id sock, const struct iovec *iov, unsigned count, int64_t deadline);
WEFT_API ssize_t weft_writev(weft_id sock, const struct iovec *iov, unsigned count, int64_t deadline);
/* All n bytes: 0, or the error that stopped it, with the bytes written until then in *done (may be NULL) in either
 * case. */
WEFT_API int weft_write_all(weft_id sock, const void *buf, size_t n, size_t *done, int64_t deadline);
WEFT_API int weft_writev_all(weft_id sock, const struct iovec *iov, unsigned count, size_t *done, int64_t deadline);
/* Exactly n bytes: 0; -EPIPE if the peer ended first; *done as above. */
WEFT_API int weft_read_all(weft_id sock, void *buf, size_t n, size_t *done, int64_t deadline);

/* The streaming form: the next filled buffer of the port's own, so that an idle connection holds none. Returns its
 * length, 0 at the peer's end. Give it back with weft_port_release, soon: the pool is shared; what the lane still has
 * when it ends is taken back. Do not mix with weft_read while data is under way (-EBUSY there). -EBUSY: another fiber
 * waits for the next buffer; -ENOMEM no record for the stream. */
WEFT_API ssize_t weft_read_buffer(weft_id sock, weft_buffer *out, int64_t deadline);

/* Ends one or both directions: SHUT_RD 0, SHUT_WR 1, SHUT_RDWR 2 (-EINVAL: none of these). Does not wait. -ENOTCONN:
 * there is no connection any more. */
WEFT_API int weft_shutdown(weft_id sock, int how);
/* Makes the id stale at once and cancels what waits on it (those calls answer -ECANCELED); never waits, never checks
 * cancellation. Works on every kind of resource id. 0; -EBADF; -EPERM; -EINVAL an address: a lane's id, say. */
WEFT_API int weft_close(weft_id id);

/* ---- What a socket is ---- */

/* None of these waits. Of a socket or listener: where it is, who is at its other end (-ENOTCONN: nobody), and its
 * options, whose values are 0 and 1, bytes or seconds; WEFT_LINGER_S below 0 is off, and 0 has a close reset the
 * connection. WEFT_SOCKERR is read, and cleared by that. */
WEFT_API int weft_local_addr(weft_id sock, weft_addr *out);
WEFT_API int weft_peer_addr(weft_id sock, weft_addr *out);
WEFT_API int weft_sock_set(weft_id sock, enum weft_sockopt opt, int value);
WEFT_API int weft_sock_get(weft_id sock, enum weft_sockopt opt, int *value);

/* ---- The ready-made accept loop ---- */

typedef struct weft_accept_options {
    void *arg;               /* what the handler finds behind its connection, see weft_conn */
    unsigned max_connections; /* 0: no limit; at it the loop stops accepting until one ends */
    /* Called on a connection beyond max_connections instead of holding it in the backlog, to send a refusal; it then is
     * closed. */
    int (*refuse)(void *conn);
    int64_t drain_ns;        /* when cancelled: how long handlers may go on before they are cancelled too; 0: the
                              * runtime's grace */
    size_t stack_size;
    const char *name;        /* of the lanes */
    int mobile;              /* the lanes may move, see weft_lane_move */
} weft_accept_options;

/* What a handler's argument points at: the id first, so that *(weft_id *)arg is the connection. */
typedef struct weft_conn {
    weft_id id;
    void *arg; /* of weft_accept_options */
    weft_addr peer;
} weft_conn;

/* Accepts connections for ever, each in a lane of its own that runs handler(weft_conn *): its death closes everything.
 * In per-core mode every worker accepts from a socket of its own, and none before all can. Returns when the fiber is
 * cancelled or the listener closed, after the drain: 0 if all handlers had ended by themselves, else -ECANCELED; or the
 * error that made accepting impossible. At entry -ECANCELED; -EINVAL no handler, or no listener; -EAGAIN, -ENOMEM the
 * acceptors, a fiber in a lane each, meet a limit or find no memory. */
WEFT_API int weft_accept_each(weft_id listener, int (*handler)(void *conn), const weft_accept_options *opt);

#ifdef __cplusplus
}
#endif
#endif
