/*
 * `weft echo`: a TCP echo server, one lane a connection. A connection at rest reads into a small buffer in its record;
 * one whose reads fill that works with a pooled buffer until it is silent, or has little to say for some time.
 */
#include "commands.h"
#include "daemon.h"
#include "local.h"

#include <errno.h>
#include <stdio.h>
#include <weft/weft.h>

#define SMALL ((size_t)2048)

/* When a pooled buffer goes back: nothing came for so long, or so many reads in a row would have done without it. */
#define SILENT_NS (50 * WEFT_MILLISECOND)
#define SMALL_READS 16

struct echo {
    const struct options *options;
    struct tracker tracker;
};

static struct echo the_echo;

struct visit {
    struct echo *echo;
    struct local *local;
    uint32_t slot;
    unsigned small_reads; /* in a row, with the pooled buffer */
    char *big; /* a pooled buffer, or NULL */
    char small[SMALL]; /* last, so that what is above lies beside the frames of who works with it */
};

static void shrink(struct visit *v)
{
    buffer_give(v->local, v->big);
    v->big = NULL;
}

/* Takes or gives a buffer after a read of n bytes. */
static void fit(struct visit *v, size_t n)
{
    v->small_reads = n <= SMALL ? v->small_reads + 1 : 0;
    if (v->big == NULL && n == SMALL) {
        v->big = buffer_take(v->local);
        v->small_reads = 0;
    } else if (v->big != NULL && v->small_reads == SMALL_READS) {
        shrink(v);
    }
}

/* However the visit ends, by a kill, too. */
static void end_visit(void *arg)
{
    struct visit *v = arg;
    if (v->big != NULL)
        shrink(v);
    tracker_leave(&v->echo->tracker, v->slot);
    local_count(&v->local->counters.closed, 1);
}

/* Writes back everything until the client is done, one read and one write at a time: a slow reader is read slowly. */
static int pump(weft_id conn, struct visit *v)
{
    struct tracker *t = &v->echo->tracker;
    int64_t idle = v->echo->options->idle_timeout_ns, deadline = weft_after(idle);
    for (;;) {
        if (!tracker_idle(t, v->slot))
            return -ECANCELED;
        char *buf = v->big != NULL ? v->big : v->small;
        size_t cap = v->big != NULL ? BUFFER_SIZE : sizeof v->small;
        const bool briefly = v->big != NULL && idle > SILENT_NS;
        ssize_t n = weft_read(conn, buf, cap, briefly ? weft_after(SILENT_NS) : deadline);
        if (n == -ETIMEDOUT && briefly) {
            shrink(v);
            continue;
        }
        if (n <= 0 || !tracker_busy(t, v->slot))
            return (int)n;
        /* The client has just been heard of, and is next silent from now on; but what takes more room may take long. */
        deadline = weft_after(idle);
        int r = weft_write_all(conn, buf, (size_t)n, NULL, deadline);
        if (r < 0)
            return r;
        if (buf != v->small)
            deadline = weft_after(idle);
        fit(v, (size_t)n);
    }
}

static int session(void *arg)
{
    weft_conn *accepted = arg;
    struct visit v;
    v.echo = accepted->arg;
    v.local = local_here();
    v.big = NULL;
    v.small_reads = 0;
    v.slot = tracker_enter(&v.echo->tracker);
    if (v.slot == TRACKER_NONE)
        return 0; /* over the limit: an echo server has no words for it */
    local_count(&v.local->counters.connections, 1);
    if (weft_defer(end_visit, &v) < 0) {
        end_visit(&v);
        return 0;
    }
    pump(accepted->id, &v);
    weft_undefer(1);
    return 0;
}

static const char help[] =
    "usage: weft echo [options]\n"
    "\n"
    "Sends back what it receives.\n"
    "\n"
    "  --listen ADDR          where: HOST:PORT, [HOST6]:PORT, *:PORT or unix:PATH; port 0 takes a free one\n"
    "                         (127.0.0.1:7000)\n"
    "  --mode MODE            single-io, shared or per-core ($WEFT_MODE, else shared)\n"
    "  --workers N            threads ($WEFT_WORKERS, else one for each processor)\n"
    "  --port PORT            auto, uring or epoll ($WEFT_PORT, else auto)\n"
    "  --max-connections N    beyond these, newcomers are turned away (16384)\n"
    "  --idle-timeout S       how long a client may stay silent, or not read (60)\n"
    "  --drain-timeout S      how long a reply may take to finish after SIGTERM or SIGINT (10)\n"
    "  --help                 this text\n";

int command_echo(int argc, char **argv)
{
    static struct options options = {.listen = "127.0.0.1:7000", .max_connections = 16384,
        .idle_timeout_ns = 60 * WEFT_SECOND, .header_timeout_ns = 10 * WEFT_SECOND,
        .drain_timeout_ns = 10 * WEFT_SECOND};
    char error[256];
    if (options_parse(&options, false, argc, argv, error, sizeof error) < 0) {
        daemon_complain("weft echo", "%s (see weft echo --help)", error);
        return 2;
    }
    if (options.help) {
        fputs(help, stdout);
        return 0;
    }
    daemon_prepare();
    the_echo.options = &options;
    if (tracker_init(&the_echo.tracker, options.max_connections) < 0) {
        daemon_complain("weft echo", "not enough memory for %u connections", options.max_connections);
        return 1;
    }
    struct daemon d = {.program = "weft echo", .scheme = "", .options = &options, .tracker = &the_echo.tracker,
        .handler = session, .arg = &the_echo};
    int status = daemon_run(&d);
    tracker_free(&the_echo.tracker);
    return status;
}
