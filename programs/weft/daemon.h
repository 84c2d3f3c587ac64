/*
 * What `weft serve` and `weft echo` have in common: starting, saying where, and ending gently.
 */
#ifndef WEFT_PROGRAM_DAEMON_H
#define WEFT_PROGRAM_DAEMON_H

#include "options.h"
#include "tracker.h"

struct daemon {
    const char *program; /* "weft serve": what messages begin with */
    const char *scheme;  /* "http://" or "" */
    const struct options *options;
    struct tracker *tracker; /* with room for DAEMON_SPARE connections beyond the limit */
    int (*handler)(void *conn); /* of weft_accept_each */
    void *arg;                  /* for handler */
    void (*before)(void *arg);  /* called in the main fiber before the first connection, or NULL */
};

/* What the lane is registered as below which all connections are. */
#define DAEMON_LISTENER "listener"

/* Connections beyond the limit that are taken, to be told so; past these, newcomers wait in the backlog. */
#define DAEMON_SPARE 64u

/*
 * daemon_run runs a runtime by the options, accepts until SIGTERM or SIGINT, lets what was begun finish within the
 * drain time-out, and returns the exit status. A second signal ends the process at once.
 */
int daemon_run(const struct daemon *d);

/* daemon_prepare does what must be done before: no SIGPIPE, as many descriptors as we may have. */
void daemon_prepare(void);

/* daemon_complain prints "program: text" as one line on standard error. */
__attribute__((format(printf, 2, 3))) void daemon_complain(const char *program, const char *format, ...);

#endif
