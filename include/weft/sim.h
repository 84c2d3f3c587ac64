/* The simulator: runs an unmodified program on one thread, in virtual time, with every choice drawn from a seed. Which worker runs next,
 * when an operation ends, how much of it is done, how late a cancel comes: the same seed gives the same run, told by the same hash.
 *
 *     weft_sim_result result;
 *     weft_sim_run(&(weft_sim_options){.seed = 7}, program, NULL, &result);
 *
 * Inside program() everything that uses the default environment and driver (weft_start, weft_main, weft_port_open) is in the simulation:
 * its threads are contexts that take turns, its sockets are in memory, its clock jumps when all wait. Nothing is shared with the world
 * outside but the memory and the standard error. Builds that bind the environment directly (-Dbind=direct) have no simulator. */
#ifndef WEFT_SIM_H
#define WEFT_SIM_H

#include <weft/env.h>
#include <weft/port.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weft_sim_options {
    uint64_t seed;          /* of every choice; the environment variable WEFT_SIM_SEED overrides it */
    int64_t max_time_ns;    /* of virtual time, default one day */
    uint64_t max_steps;     /* choices of a thread, default 100 million */
    unsigned cpus;          /* processors of the simulated machine, default 4 */
    unsigned switch_every;  /* builds with named points: a thread change at one in so many of them, default 16 */
    unsigned max_handles;   /* open at once, beyond it -EMFILE; default 65536 */
    size_t socket_buffer;   /* bytes on their way or unread in one direction; default: drawn for each, 512 to 65536 */
    const char *log;        /* file that gets the event log as text, one event a line; NULL: what WEFT_SIM_LOG says, else none */
    int quiet;              /* do not say on the standard error why a run failed */
} weft_sim_options;

enum weft_sim_outcome {
    WEFT_SIM_ENDED,    /* program() returned */
    WEFT_SIM_DEADLOCK, /* every thread waits, and nothing that could wake one is to come */
    WEFT_SIM_LATE,     /* max_time_ns has passed */
    WEFT_SIM_STEPS     /* max_steps were made */
};

typedef struct weft_sim_result {
    enum weft_sim_outcome outcome;
    int status;              /* what program() returned, if it ended */
    uint64_t seed;           /* the one that was used */
    uint64_t hash;           /* of the event log: equal runs have equal hashes */
    uint64_t steps, events;  /* choices of a thread; events logged */
    int64_t time_ns;         /* virtual time at the end */
    unsigned threads_left;   /* simulated threads that had not ended */
    unsigned handles_left;   /* sockets and files that were not closed */
    uint64_t ops_left;       /* operations without a terminal completion */
    char report[2048];       /* who waits where, if the program did not end; else "" */
} weft_sim_result;

/* Runs program(arg) as the first thread of a new simulation and returns when it has returned or the run has failed. 0 when program()
 * returned 0; its result if it returned another; -EDEADLK, -ETIMEDOUT or -ELOOP for the other outcomes (time, steps); -EALREADY inside a
 * simulation; -ENOMEM; -ENOTSUP in builds without it. What still runs when the program ends is abandoned where it stands. A run that
 * fails, also by an assertion, says in one line how to replay it. `out` may be NULL. Several OS threads may each run one. */
WEFT_API int weft_sim_run(const weft_sim_options *opt, int (*program)(void *arg), void *arg, weft_sim_result *out);

/* The simulation's environment and driver, on a thread that runs one; NULL elsewhere. */
WEFT_API const weft_env *weft_sim_env(void);
WEFT_API const weft_port_driver *weft_sim_driver(void);

/* Inside: the hash of everything so far, and a number below `below` drawn from the seed (0 if below is 0). 0 elsewhere. */
WEFT_API uint64_t weft_sim_hash(void);
WEFT_API uint64_t weft_sim_random(uint64_t below);

/* Inside: an entry of the program's own in the log, so that what it saw is part of the hash. `name` is a literal. */
WEFT_API void weft_sim_note(const char *name, int64_t value);

/* Inside: the whole path to the peer breaks: both ends of the connection answer -ECONNRESET. -EBADF. */
WEFT_API int weft_sim_reset(weft_handle h);

/* Inside: puts a file with this content into the simulated file system ("/www/index.html"; folders come by themselves). The content is
 * copied. A later file of the same name replaces it. -ENOMEM, -EINVAL. */
WEFT_API int weft_sim_file(const char *path, const void *data, size_t size);

#ifdef __cplusplus
}
#endif
#endif
