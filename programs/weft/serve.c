/*
 * `weft serve`: the HTTP server. This file owns the life of a connection's lane: wait for a request, read it, answer,
 * again; everything about the bytes is in the files it calls.
 */
#include "access_log.h"
#include "commands.h"
#include "daemon.h"
#include "respond.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* The most body that is read past for a request whose body means nothing to us. */
#define BODY_MAX ((size_t)65536)

/* Waits for the first bytes of a request. The one wait in which a connection counts as idle. */
static ssize_t wait_idle(struct conn *c)
{
    struct tracker *t = &c->server->tracker;
    conn_rest(c);
    if (!tracker_idle(t, c->slot))
        return -ECANCELED;
    ssize_t n = conn_fill(c, weft_after(conn_patience(c)));
    if (!tracker_busy(t, c->slot)) {
        /* Cancelled while the request came in: it is answered all the same, within the drain's limit. */
        weft_shield_enter(&c->shield, c->server->options->drain_timeout_ns);
        c->shielded = true;
    }
    return n;
}

/* Reads until a head is complete or bad: 1 and the event. 0 at the client's end, or why there will be no request. */
static int read_head(struct conn *c, enum http_event *event)
{
    int64_t deadline = 0;
    http_request_init(&c->rq);
    if (c->at < c->end)
        c->now_ns = weft_now(); /* it was here before the answer to the last one, which may have taken long */
    for (;;) {
        if (c->at < c->end) {
            *event = http_request_feed(&c->rq, c->in + c->at, c->end - c->at);
            if (*event != HTTP_EVENT_MORE)
                return 1;
            if (deadline == 0)
                deadline = weft_after(c->server->options->header_timeout_ns);
        }
        int r = conn_flush(c);
        if (r < 0)
            return r;
        ssize_t n = deadline == 0 ? wait_idle(c) : conn_fill(c, deadline);
        if (n == -ETIMEDOUT && deadline != 0) {
            c->rq.status = 408;
            c->rq.keep_alive = false;
            *event = HTTP_EVENT_BAD;
            return 1;
        }
        if (n <= 0)
            return (int)n;
    }
}

/* Reads past a body. 0 and *next, where the next request begins; or the status to refuse with; or an error. */
static int skip_body(struct conn *c, size_t *next)
{
    int64_t deadline = weft_after(c->server->options->header_timeout_ns);
    size_t body = c->at + c->rq.head_len, seen = 0;
    for (;;) {
        size_t used, n = c->end - body;
        enum http_event event = http_request_feed_body(&c->rq, c->in + body, n, &used);
        seen += used;
        if (event == HTTP_EVENT_BAD)
            return 400;
        if (seen > BODY_MAX)
            return 413;
        if (event == HTTP_EVENT_DONE) {
            *next = body + used;
            return 0;
        }
        c->end = body; /* the head stays, what was parsed of the body goes */
        int r = conn_flush(c);
        if (r < 0)
            return r;
        size_t at = c->at;
        ssize_t got = conn_fill(c, deadline);
        if (got == -ETIMEDOUT)
            return 408;
        if (got <= 0)
            return got < 0 ? (int)got : -EPIPE;
        body -= at - c->at; /* making room may have moved the head */
    }
}

/* A request with a body. Returns 0 to go on and answer it, or the status to refuse it with, or an error. */
static int accept_body(struct conn *c, size_t *next)
{
    size_t n;
    bool expects = (c->rq.seen & (1u << HTTP_FIELD_EXPECT)) && !c->rq.version_1_0;
    const char *expect = http_request_field(&c->rq, c->in + c->at, HTTP_FIELD_EXPECT, &n);
    if (expects && (expect == NULL || n != 12 || strncasecmp(expect, "100-continue", 12) != 0))
        return 417;
    bool wanted = c->rq.method == HTTP_GET || c->rq.method == HTTP_HEAD;
    if (!wanted && expects)
        return 405; /* the client asked before it sent: it need not send at all */
    if (!(c->rq.parser.flags & F_CHUNKED) && c->rq.parser.content_length > BODY_MAX)
        return wanted ? 413 : 405;
    if (expects && c->end == c->at + c->rq.head_len) {
        struct out *o = conn_out(c, 32);
        if (o == NULL)
            return -EIO;
        out_lit(o, "HTTP/1.1 100 Continue\r\n\r\n");
    }
    return skip_body(c, next);
}

/* Refuses: answers, and after that reads nothing of this connection as a request. */
static int refuse(struct conn *c, int status)
{
    c->closing = true;
    c->linger = true;
    return respond_status(c, status);
}

/* One request and its answer. 1 to go on, 0 at the end, or an error. */
static int serve_request(struct conn *c)
{
    enum http_event event;
    int r = read_head(c, &event);
    if (r <= 0)
        return r;
    if (event == HTTP_EVENT_BAD)
        return refuse(c, c->rq.status);

    size_t next = c->at + c->rq.head_len, before = c->at;
    if (event == HTTP_EVENT_BODY) {
        r = accept_body(c, &next);
        if (r != 0)
            return r < 0 ? r : refuse(c, r);
        before = c->at;
    }
    r = respond(c);
    if (r < 0)
        return r;
    c->at += next - before;
    if (c->closing)
        c->linger = c->linger || c->at < c->end;
    return c->closing ? 0 : 1;
}

/* Too many connections: say so, read what the client sends until it is done, end. */
static void turn_away(struct conn *c)
{
    local_count(&c->local->counters.refused, 1);
    http_request_init(&c->rq);
    c->rq.keep_alive = false;
    refuse(c, 503);
}

/* However the session ends, by a kill in the middle of a request, too. */
static void end_session(void *arg)
{
    struct conn *c = arg;
    conn_drop(c);
    if (c->slot != TRACKER_NONE)
        tracker_leave(&c->server->tracker, c->slot);
    c->slot = TRACKER_NONE;
    local_count(&c->local->counters.closed, 1);
}

static int session(void *arg)
{
    weft_conn *accepted = arg;
    struct server *server = accepted->arg;
    struct conn c;
    conn_open(&c, accepted, server);
    int r = weft_defer(end_session, &c);
    if (r < 0)
        return r;
    local_count(&c.local->counters.connections, 1);

    c.slot = tracker_enter(&server->tracker);
    if (c.slot == TRACKER_NONE) {
        turn_away(&c);
    } else {
        do
            r = serve_request(&c);
        while (r > 0);
    }
    conn_flush(&c);
    if (c.slot != TRACKER_NONE)
        tracker_leave(&server->tracker, c.slot);
    c.slot = TRACKER_NONE; /* before it lingers: that place is somebody else's by then */
    conn_close(&c);
    weft_undefer(1);
    return 0; /* however it went: a connection's end is nobody's failure */
}

static void note_start(void *arg)
{
    struct server *server = arg;
    server->started_ns = weft_now();
    server->started_wall_ns = weft_wall_clock();
}

static const char help[] =
    "usage: weft serve [DIR] [options]\n"
    "\n"
    "Serves the files below DIR over HTTP/1.1; without DIR, a page about this server with its live figures.\n"
    "\n"
    "  --listen ADDR          where: HOST:PORT, [HOST6]:PORT, *:PORT or unix:PATH; port 0 takes a free one\n"
    "                         (127.0.0.1:8080)\n"
    "  --mode MODE            single-io, shared or per-core ($WEFT_MODE, else shared)\n"
    "  --workers N            threads ($WEFT_WORKERS, else one for each processor)\n"
    "  --port PORT            auto, uring or epoll ($WEFT_PORT, else auto)\n"
    "  --max-connections N    beyond these, newcomers get 503 (16384)\n"
    "  --idle-timeout S       how long a client may stay silent, or not read (60)\n"
    "  --header-timeout S     how long a request may take to arrive (10)\n"
    "  --drain-timeout S      how long requests may take to finish after SIGTERM or SIGINT (10)\n"
    "  --log FILE|-|none      access log, in the combined format (none)\n"
    "  --cache MIB            memory of each worker for files up to 16 KiB; 0 reads each time (16)\n"
    "  --cache-valid S        how long a file kept there is served before it is looked at again: a file that has been\n"
    "                         changed, removed or forbidden may be served as it was for so long (1)\n"
    "  --help                 this text\n";

/* Makes the directory the working directory; everything is opened beneath that. */
static int enter_root(const char *dir)
{
    if (chdir(dir) == 0)
        return 0;
    daemon_complain("weft serve", "cannot serve '%s': %s", dir, strerror(errno));
    return -1;
}

static int run(const struct options *options)
{
    int r = access_log_open(options->log);
    if (r < 0) {
        daemon_complain("weft serve", "cannot write the log '%s': %s", options->log, strerror(-r));
        return 1;
    }
    if (options->dir != NULL && enter_root(options->dir) < 0) {
        access_log_close();
        return 1;
    }
    static struct server server;
    server.options = options;
    if (getrandom(&server.boundary, sizeof server.boundary, 0) < 0)
        server.boundary = (uint64_t)getpid();
    int status = 1;
    if (tracker_init(&server.tracker, options->max_connections) == 0) {
        struct daemon d = {.program = "weft serve", .scheme = "http://", .options = options,
            .tracker = &server.tracker, .handler = session, .arg = &server, .before = note_start};
        status = daemon_run(&d);
        tracker_free(&server.tracker);
    } else {
        daemon_complain("weft serve", "not enough memory for %u connections", options->max_connections);
    }
    access_log_close();
    return status;
}

int command_serve(int argc, char **argv)
{
    struct options options = {.listen = "127.0.0.1:8080", .log = "none", .max_connections = 16384,
        .idle_timeout_ns = 60 * WEFT_SECOND, .header_timeout_ns = 10 * WEFT_SECOND,
        .drain_timeout_ns = 10 * WEFT_SECOND, .cache_bytes = (size_t)16 << 20, .cache_valid_ns = WEFT_SECOND};
    char error[256];
    if (options_parse(&options, true, argc, argv, error, sizeof error) < 0) {
        daemon_complain("weft serve", "%s (see weft serve --help)", error);
        return 2;
    }
    if (options.help) {
        fputs(help, stdout);
        return 0;
    }
    daemon_prepare();
    return run(&options);
}
