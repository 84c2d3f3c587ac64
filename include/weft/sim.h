/* The simulator: runs an unmodified program on one thread, in virtual time, with every choice drawn from a seed. Which
 * worker runs next, when an operation ends, how much of it is done, how late a cancel comes: the same seed gives the
 * same run, told by the same hash.
 *
 *     weft_sim_result result;
 *     weft_sim_run(&(weft_sim_options){.seed = 7}, program, NULL, &result);
 *
 * Inside program() everything that uses the default environment and driver (weft_start, weft_main, weft_port_open) is
 * in the simulation: its threads are contexts that take turns, its sockets are in memory, its clock jumps when all
 * wait. Nothing is shared with the world outside but the memory and the standard error. Builds that bind the
 * environment directly (-Dbind=direct) have no simulator. */
#ifndef WEFT_SIM_H
#define WEFT_SIM_H

#include <weft/env.h>
#include <weft/port.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How a fiber's reads and writes are carried out; both ways are the kernel's. */
enum weft_sim_ports {
    WEFT_SIM_DRAWN,    /* as the seed says */
    WEFT_SIM_READY,    /* the fiber tries, and waits for readiness in between, with nothing in flight: as on the epoll
                        * port */
    WEFT_SIM_COMPLETE  /* each is an operation and its completion: as in a ring */
};

typedef struct weft_sim_options {
    uint64_t seed;          /* of every choice; the environment variable WEFT_SIM_SEED overrides it */
    int64_t max_time_ns;    /* of virtual time, default one day */
    uint64_t max_steps;     /* choices of a thread, default 100 million */
    unsigned cpus;          /* processors of the simulated machine, default 4 */
    unsigned switch_every;  /* builds with named points: a thread change at one in so many of them, default 16 */
    unsigned max_handles;   /* open at once, beyond it -EMFILE; default 65536 */
    size_t socket_buffer;   /* bytes on their way or unread in one direction; default: drawn for each, 512 to 65536 */
    int loopback;           /* connections are as quick and whole as on one machine: bytes have arrived when they were
                             * sent, in one piece; for programs that rely on it. A socket holds 64 KiB then unless
                             * socket_buffer says otherwise */
    enum weft_sim_ports ports;
    const char *log;        /* file that gets the event log as text, one event a line; NULL: what WEFT_SIM_LOG says,
                             * else none */
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

/* Runs program(arg) as the first thread of a new simulation and returns when it has returned or the run has failed. 0
 * when program() returned 0; its result if it returned another; -EDEADLK, -ETIMEDOUT or -ELOOP for the other outcomes
 * (time, steps); -EALREADY inside a simulation; -ENOMEM; -ENOTSUP in builds without it. What still runs when the
 * program ends is abandoned where it stands. A run that fails, also by an assertion, says in one line how to replay it.
 * `out` may be NULL. Several OS threads may each run one. */
WEFT_API int weft_sim_run(const weft_sim_options *opt, int (*program)(void *arg), void *arg, weft_sim_result *out);

/* The simulation's environment and driver, on a thread that runs one; NULL elsewhere. */
WEFT_API const weft_env *weft_sim_env(void);
WEFT_API const weft_port_driver *weft_sim_driver(void);

/* Inside: the hash of everything so far, and a number below `below` drawn from the seed (0 if below is 0). 0
 * elsewhere. */
WEFT_API uint64_t weft_sim_hash(void);
WEFT_API uint64_t weft_sim_random(uint64_t below);

/* Inside: an entry of the program's own in the log, so that what it saw is part of the hash. `name` is a literal. */
WEFT_API void weft_sim_note(const char *name, int64_t value);

/* Inside: so many handles may be open from now on (max_handles); those that are stay. -EINVAL. */
WEFT_API int weft_sim_limit(unsigned handles);

/* Inside: the whole path to the peer breaks: both ends of the connection answer -ECONNRESET. -EBADF. */
WEFT_API int weft_sim_reset(weft_handle h);

/* ---- The world outside the program, played by threads of its own: a peer that is no weft, a host's event loop -------
 *
 * Inside only (-EINVAL elsewhere, -EBADF where there is a handle). Each acts at once, as a system call on a descriptor
 * that does not wait, and is a place where other threads may run first. Who opens a handle here closes it here, or
 * gives it to a port. */

/* Two connected stream sockets. -EMFILE. */
WEFT_API int weft_sim_pair(weft_handle out[2]);
/* A socket that is neither connected nor listens yet. -EMFILE. */
WEFT_API int weft_sim_socket(weft_handle *out);
/* It listens (port 0: a free one). -EADDRINUSE; -EAFNOSUPPORT; -EISCONN, -EINVAL it is not fresh. */
WEFT_API int weft_sim_listen(weft_handle h, const weft_addr *at, int backlog);
/* It connects to a listener of the simulation. -ECONNREFUSED, -ENOENT (unix) nobody listens there; -EAGAIN its backlog
 * is full; -EISCONN, -EINVAL it is not fresh. */
WEFT_API int weft_sim_connect(weft_handle h, const weft_addr *to);
/* Where it is. */
WEFT_API int weft_sim_local(weft_handle h, weft_addr *out);
/* At most n bytes, perhaps fewer; 0 at the end. -EAGAIN nothing there; -ECONNRESET; -ENOTCONN no connection. */
WEFT_API int64_t weft_sim_read(weft_handle h, void *buf, size_t n);
/* How many bytes left. -EAGAIN no room; -EPIPE, -ECONNRESET; -ENOTCONN. */
WEFT_API int64_t weft_sim_write(weft_handle h, const void *buf, size_t n);
/* As shutdown(2): 0 reading, 1 writing, 2 both. -ENOTCONN. */
WEFT_API int weft_sim_shutdown(weft_handle h, int how);
WEFT_API int weft_sim_close(weft_handle h);
/* Waits until the handle has one of these WEFT_READABLE, WEFT_WRITABLE (WEFT_HANGUP always counts) or the deadline has
 * passed: which, or 0. The handle may be one that weft_pollable gave. */
WEFT_API int weft_sim_poll(weft_handle h, unsigned events, int64_t deadline_ns);

/* Raises a signal of the whole program: a thread drawn from the seed runs the handler that was installed through the
 * environment, in the middle of whatever it does. Raised again before it was taken, it is taken once. 0; -ESRCH nobody
 * watches it (a real process might be gone); -EINVAL; -ENOMEM. */
WEFT_API int weft_sim_signal(int number);

/* Says the line that replays this run, with the reason: for a program that is about to end the process because it
 * has failed. -EINVAL outside. */
WEFT_API int weft_sim_failed(const char *why);

/* Inside: puts a file with this content into the simulated file system ("/www/index.html"; folders come by themselves).
 * The content is copied. A later file of the same name replaces it. -ENOMEM, -EINVAL. */
WEFT_API int weft_sim_file(const char *path, const void *data, size_t size);

#ifdef __cplusplus
}
#endif
#endif
