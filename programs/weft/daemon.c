/*
 * The life of a serving process. daemon_run is called by the main thread, once; everything else runs in fibers of the
 * root lane, so it never runs in parallel with itself.
 *
 * Ending: the listener is closed first, so nobody new is accepted; then idle connections are cancelled through the
 * tracker; those that are busy finish what they are at and leave by themselves, until the accept loop's drain is over.
 */
#include "daemon.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* weft_main's start takes no context; a process runs one daemon. */
static const struct daemon *the_daemon;
/* A signal asked for the end. Fibers of the root lane only, which never run in parallel. */
static bool ending;

void daemon_complain(const char *program, const char *format, ...)
{
    char line[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    fflush(stdout);
    fprintf(stderr, "%s: %s\n", program, line);
}

void daemon_prepare(void)
{
    signal(SIGPIPE, SIG_IGN);
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit); /* if not, we do with what there is */
    }
}

/* "localhost" is the one name that needs no looking up. */
static const char *numeric(const char *address, char *buf, size_t size)
{
    static const char name[] = "localhost:";
    if (strncmp(address, name, sizeof name - 1) != 0)
        return address;
    snprintf(buf, size, "127.0.0.1:%s", address + sizeof name - 1);
    return buf;
}

static int open_listener(weft_id *listener)
{
    const struct daemon *d = the_daemon;
    char buf[64];
    int r = weft_listen(listener, numeric(d->options->listen, buf, sizeof buf), NULL);
    if (r == -EINVAL)
        daemon_complain(d->program,
            "cannot listen on '%s': not an address; write HOST:PORT with a numeric host, [HOST6]:PORT or unix:PATH",
            d->options->listen);
    else if (r < 0)
        daemon_complain(d->program, "cannot listen on %s: %s", d->options->listen, strerror(-r));
    return r;
}

static void announce(weft_id listener)
{
    weft_addr addr;
    char text[WEFT_ADDR_TEXT];
    if (weft_local_addr(listener, &addr) < 0)
        return;
    weft_addr_format(&addr, text, sizeof text);
    printf("listening on %s%s\n", addr.family == WEFT_ADDR_UNIX ? "" : the_daemon->scheme, text);
    fflush(stdout);
}

static const int end_signals[] = {SIGTERM, SIGINT, 0};

/* Waits for the first signal and begins the end; the second one does not wait for anything. */
static int watch_signals(void *arg)
{
    weft_id listener = *(weft_id *)arg;
    int r = weft_signal_wait(end_signals, WEFT_NEVER);
    if (r < 0)
        return 0;
    ending = true;
    weft_close(listener);
    tracker_drain(the_daemon->tracker);
    r = weft_signal_wait(end_signals, WEFT_NEVER);
    if (r > 0)
        _exit(128 + r);
    return 0;
}

static int start(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    const struct daemon *d = the_daemon;
    weft_id listener, watcher;
    int r = open_listener(&listener);
    if (r < 0)
        return 1;
    r = weft_spawn(&watcher, watch_signals, &listener);
    if (r < 0) {
        daemon_complain(d->program, "cannot watch for signals: %s", weft_strerror(r));
        return 1;
    }
    weft_yield(); /* the watcher must be waiting before anybody is told that we are up */
    if (d->before != NULL)
        d->before(d->arg);
    announce(listener);

    int64_t drain_ns = d->options->drain_timeout_ns;
    weft_accept_options accept = {.arg = d->arg, .max_connections = d->options->max_connections + DAEMON_SPARE,
        .drain_ns = drain_ns, .name = d->program};
    r = weft_accept_each(listener, d->handler, &accept);
    if (!ending)
        daemon_complain(d->program, "cannot accept connections: %s", weft_strerror(r));
    weft_cancel(watcher);
    weft_join(watcher, NULL, WEFT_NEVER);
    return ending ? 0 : 1;
}

int daemon_run(const struct daemon *d)
{
    const struct options *o = d->options;
    the_daemon = d;
    weft_options runtime = {.workers = o->workers, .port = o->port, .grace_ns = o->drain_timeout_ns};
    if (o->mode != NULL)
        weft_mode_named(o->mode, &runtime.mode); /* checked with the options */
    return weft_main(start, 0, NULL, &runtime);
}
