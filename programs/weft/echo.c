/*
 * `weft echo`: a TCP echo server, one lane a connection. A connection at rest reads into a small buffer in its record;
 * one whose reads fill that works with a pooled buffer until a read leaves most of it empty.
 */
#include "commands.h"
#include "daemon.h"
#include "local.h"

#include <errno.h>
#include <stdio.h>
#include <weft/weft.h>

#define SMALL ((size_t)2048)

struct echo {
    const struct options *options;
    struct tracker tracker;
};

static struct echo the_echo;

/* Writes back everything until the client is done, one read and one write at a time: a slow reader is read slowly. */
static int pump(weft_id conn, struct echo *e, uint32_t slot, char **big)
{
    char small[SMALL];
    int64_t idle = e->options->idle_timeout_ns;
    for (;;) {
        if (!tracker_idle(&e->tracker, slot))
            return -ECANCELED;
        char *buf = *big != NULL ? *big : small;
        size_t cap = *big != NULL ? BUFFER_SIZE : sizeof small;
        ssize_t n = weft_read(conn, buf, cap, weft_after(idle));
        if (n <= 0 || !tracker_busy(&e->tracker, slot))
            return (int)n;
        int r = weft_write_all(conn, buf, (size_t)n, NULL, weft_after(idle));
        if (r < 0)
            return r;
        if (*big == NULL && (size_t)n == sizeof small) {
            *big = buffer_take(local_here());
        } else if (*big != NULL && (size_t)n <= sizeof small) {
            buffer_give(local_here(), *big);
            *big = NULL;
        }
    }
}

static int session(void *arg)
{
    weft_conn *accepted = arg;
    struct echo *e = accepted->arg;
    uint32_t slot = tracker_enter(&e->tracker);
    if (slot == TRACKER_NONE)
        return 0; /* over the limit: an echo server has no words for it */
    char *big = NULL;
    pump(accepted->id, e, slot, &big);
    if (big != NULL)
        buffer_give(local_here(), big);
    tracker_leave(&e->tracker, slot);
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
