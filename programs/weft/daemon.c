/*
 * The life of a serving process. daemon_run is called by the main thread, once; everything else runs in fibers.
 *
 * The root lane supervises one child, the listener's lane; below that is a lane for each connection. A connection that
 * fails or is killed is nobody's concern but its own. If the listener's lane dies, its connections do, too, and it is
 * started again at the same address; if that does not help, the process ends.
 *
 * Ending: the listener is told, closes, so nobody new is accepted, and cancels idle connections through the tracker;
 * those that are busy finish what they are at and leave by themselves, until the accept loop's drain is over.
 */
#include "daemon.h"

#include "hooks.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* weft_main's start takes no context; a process runs one daemon. */
static const struct daemon *the_daemon;
/* A signal asked for the end. */
static atomic_bool ending;
/* Idle connections have been told. */
static atomic_bool drained;

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

/* Where we listen. Known from the first time on: a listener that is started again listens there, whatever was free. */
static weft_addr where;

static int open_listener(weft_id *listener)
{
    const struct daemon *d = the_daemon;
    char buf[64];
    int r = where.family != 0 ? weft_listen_addr(listener, &where, NULL)
                              : weft_listen(listener, numeric(d->options->listen, buf, sizeof buf), NULL);
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
    char text[WEFT_ADDR_TEXT];
    if (where.family != 0 || weft_local_addr(listener, &where) < 0)
        return; /* said already */
    if (the_daemon->before != NULL)
        the_daemon->before(the_daemon->arg);
    weft_addr_format(&where, text, sizeof text);
    printf("listening on %s%s\n", where.family == WEFT_ADDR_UNIX ? "" : the_daemon->scheme, text);
    fflush(stdout);
}

/* ---- the listener's lane ---- */

/* A task, for the connections are not the listener's lane's own children, and so not a fiber's of it to cancel. */
static void drain(weft_task *task)
{
    (void)task;
    tracker_drain(the_daemon->tracker);
}

/* Any message means that it is time to end. Closed first, so that nobody new is accepted. */
static int end_when_told(void *arg)
{
    weft_message *msg;
    int r = weft_receive(&msg, WEFT_NEVER);
    if (r < 0)
        return 0;
    weft_close(*(weft_id *)arg);
    static weft_task draining = {.run = drain};
    if (!atomic_exchange(&drained, true))
        weft_task_submit(weft_current(), &draining);
    return weft_msg_free(msg);
}

static int accept_all(weft_id listener)
{
    const struct daemon *d = the_daemon;
    weft_accept_options accept = {.arg = d->arg, .max_connections = d->options->max_connections + DAEMON_SPARE,
        .drain_ns = d->options->drain_timeout_ns, .name = d->program};
    int r = weft_accept_each(listener, d->handler, &accept);
    if (atomic_load(&ending))
        return 0;
    if (weft_canceled() == 0)
        daemon_complain(d->program, "cannot accept connections: %s", weft_strerror(r));
    return r < 0 ? r : -EIO;
}

/* The lane below which all connections are. It ends well only when it was told to; else it is started again. */
static int listen_for_ever(void *arg)
{
    weft_id listener, ender;
    (void)arg;
    int r = open_listener(&listener);
    if (r == 0)
        r = weft_register(DAEMON_LISTENER);
    if (r == 0)
        r = weft_spawn(&ender, end_when_told, &listener);
    if (r < 0)
        return r;
    announce(listener);
    weft_child_ready(0);
    r = accept_all(listener);
    weft_cancel(ender);
    weft_join(ender, NULL, WEFT_NEVER);
    return r;
}

/* ---- the root lane ---- */

/* Between two listeners there is nobody to tell: then there are no connections either. */
static void begin_end(void)
{
    weft_id listener;
    atomic_store(&ending, true);
    if (weft_whereis(DAEMON_LISTENER, &listener) < 0 || weft_send(listener, NULL, 0, NULL) < 0)
        weft_lane_exit(0);
}

/* Waits for the first signal and begins the end; the second one does not wait for anything. */
static int watch_signals(void *arg)
{
    static const int end_signals[] = {SIGTERM, SIGINT, 0};
    const int *signals = hooks_signals(end_signals);
    (void)arg;
    for (;;) {
        int r = weft_signal_wait(signals, WEFT_NEVER);
        if (r < 0)
            return 0;
        if (hooks_act(r, the_daemon->tracker))
            continue;
        if (atomic_load(&ending))
            _exit(128 + r);
        begin_end();
    }
}

static int start(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    const struct daemon *d = the_daemon;
    const weft_child_spec listener = {.id = DAEMON_LISTENER, .run = listen_for_ever, .ready = 1, .restart = WEFT_TRANSIENT,
        .significant = 1, .grace_ns = d->options->drain_timeout_ns, .lane.pinned = 1};
    const weft_supervisor_spec tree = {.children = &listener, .count = 1, .intensity = 5,
        .period_ns = 10 * WEFT_SECOND, .auto_shutdown = WEFT_SHUTDOWN_ANY};
    weft_id watcher;
    int r = weft_spawn(&watcher, watch_signals, NULL);
    if (r < 0) {
        daemon_complain(d->program, "cannot watch for signals: %s", weft_strerror(r));
        return 1;
    }
    weft_yield(); /* the watcher must be waiting before anybody is told that we are up */
    weft_supervise(&tree);
    weft_cancel(watcher);
    weft_join(watcher, NULL, WEFT_NEVER);
    return atomic_load(&ending) ? 0 : 1;
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
