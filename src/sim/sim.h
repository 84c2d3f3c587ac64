/* The simulator's inside. All of it runs on the one OS thread that called weft_sim_run: either in the scheduler (on
 * that thread's own stack) or in a simulated thread, which is a context. Nothing here needs a lock.
 *
 * Nothing that depends on an address may reach a choice or the log: threads, ports, sockets and ops have ordinals. */
#ifndef WEFT_SIM_SIM_H
#define WEFT_SIM_SIM_H

#include <stdio.h>

#include <weft/sim.h>

#include "arch/switch.h"
#include "port/buffers.h"
#include "sim/random.h"

typedef struct sim sim;
typedef struct sim_thread sim_thread;
typedef struct sim_port sim_port;
typedef struct sim_flight sim_flight;
typedef struct sim_sock sim_sock;
typedef struct sim_file sim_file;
typedef struct sim_call sim_call;

/* ---- threads (thread.c) ---- */

enum sim_state { SIM_RUNNABLE, SIM_PARKED, SIM_ENTERED, SIM_JOINING, SIM_POLLING, SIM_ASKING, SIM_ENDED };

struct sim_thread {
    unsigned ordinal;
    enum sim_state state;
    char name[16];
    int64_t deadline_ns;    /* of its wait */
    weft_parker *parker;    /* PARKED: where */
    sim_port *port;         /* ENTERED: which */
    sim_thread *joined;     /* JOINING: whom */
    int woken;              /* how its wait ended: 1 by somebody, 0 by time */
    weft__context base;     /* its own stack */
    weft__context *where;   /* what to resume */
    void *current;          /* weft__current() while it does not run */
    void *stack;
    size_t stack_size;
    int owns_stack;
    unsigned announced;
    void (*fn)(void *);
    void *arg;

    /* What it is made to run beside that (signal.c). */
    sim_call *calls;        /* oldest first; the first one is under way if `handling` */
    int handling;
    weft__context handler;
    weft__context *interrupted;
    const void *machine;
    void *handler_stack;
};

/* ---- events (event.c): what happens at a time, whoever runs ---- */

enum sim_event_kind { SIM_EXECUTE, SIM_CANCEL, SIM_RESULT, SIM_ARRIVE, SIM_FIN, SIM_RESET };

typedef struct sim_event {
    int64_t time_ns;
    uint64_t order; /* ties go to the older */
    enum sim_event_kind kind;
    sim_flight *flight;
    sim_sock *sock;
    int64_t value;
    int more;
    weft_buffer buffer;
} sim_event;

/* ---- operations (driver.c) ---- */

/* An op that the simulated kernel has. It outlives the op while events refer to it. */
struct sim_flight {
    weft_op *op;      /* NULL after its terminal completion was reaped */
    sim_port *port;
    uint64_t ordinal;
    unsigned refs;
    int over;         /* its terminal result is decided */
    int64_t last_ns;  /* its results do not overtake each other */
    int direct;       /* tried while it is being submitted: the result goes to direct_result */
    int64_t direct_result;
    sim_flight *next, *prev; /* in a queue of a socket, or spare */
    sim_flight **queue;
    sim_flight *all;
};

typedef struct sim_outcome {
    struct sim_outcome *next;
    sim_flight *flight;
    int64_t result;
    int more;
    weft_buffer buffer;
} sim_outcome;

struct sim_port {
    unsigned ordinal;
    weft_port *port;
    int woken;
    sim_thread *waiting;
    sim_event *queued;      /* submissions and cancels the kernel has not seen */
    unsigned queued_count, queued_room;
    int64_t last_ns;        /* what is handed over is taken in order */
    sim_outcome *ready, **ready_tail;
    weft__buffers buffers;
    sim_flight *starved;    /* MULTI receives that wait for a buffer */
    sim_sock *pollable;     /* its own handle, if somebody wanted one */
    sim_sock *line;         /* watched sockets with news, by line_next */
    sim_port *next;
};

/* ---- sockets (net.c, stream.c) ---- */

enum sim_sock_kind { SIM_FRESH, SIM_LISTENER, SIM_STREAM, SIM_FILE, SIM_DIR, SIM_PORT };

struct sim_sock {
    unsigned ordinal;
    enum sim_sock_kind kind;
    int64_t handle;        /* -1: none yet, or closed */
    int closed;
    weft_addr local, remote;
    int options[16];
    sim_sock *next;        /* all of them */

    /* Waiting ops by direction. ACCEPT and RECV: readers; SEND: writers; a listener's CONNECTs: writers, too. */
    sim_flight *readers, *writers, *polls;

    /* Listener. */
    sim_sock *pending, **pending_tail; /* by `behind`: connected, not accepted */
    sim_sock *behind;
    unsigned backlog, queued;
    int reuse_port;

    /* Stream. */
    sim_sock *peer;
    char *ring;            /* bytes sent to us: arrived, then under way */
    size_t ring_size, head, arrived, under_way;
    int64_t last_ns;       /* arrivals keep their order */
    int fin;               /* the peer's end has arrived */
    int fin_sent;          /* ours has left */
    int shut_read;
    int error;             /* a reset not told yet: negative errno */
    int dead;              /* reset */

    /* Watched for readiness (ready.c): by whose descriptor, at which port; and in that port's line. */
    weft_desc *watched;
    sim_port *watched_at;
    int in_line;
    sim_sock *line_next;

    /* A port, for who polls it. */
    sim_port *port;

    /* File, directory. */
    sim_file *file;
    char path[256];        /* of a directory, "" for the root */
    size_t position;
};

/* ---- the whole ---- */

#define SIM_SIGNALS 65
#define SIM_SETTINGS 16 /* different names that are asked for */

struct sim {
    weft_sim_options opt;
    sim_random choices;   /* schedule and world */
    sim_random entropy;   /* what the program gets */
    int64_t now_ns;
    uint64_t steps, events, hash;
    int ready;            /* its ports are such as try and wait for readiness */
    FILE *log;
    weft__context main;

    sim_thread **threads;
    unsigned thread_count, thread_room;
    sim_thread *running;
    int status;
    int ended;            /* program() returned */
    int (*program)(void *arg);
    void *arg;

    sim_event *heap;
    size_t heap_count, heap_room;
    uint64_t event_order;

    sim_port *ports;
    unsigned port_count;
    uint64_t flight_count;
    uint64_t flying;
    sim_flight *spare;    /* flights to reuse */
    sim_flight *all_flights;
    sim_outcome *spare_outcomes;

    sim_sock *socks;
    sim_sock **handles;   /* by number, from SIM_FIRST_HANDLE */
    unsigned handle_room, handles_open;
    unsigned sock_count;
    uint16_t next_port;

    sim_file *files;
    uint64_t file_count;

    struct {
        void (*fn)(void *ctx, int signal);
        void *ctx;
    } watches[SIM_SIGNALS];
    char settings[SIM_SETTINGS][64]; /* "NAME=value" of what was asked for and is set: a replay needs them */
    unsigned setting_count;
};

#define SIM_FIRST_HANDLE 0x100000 /* no descriptor of the process: a real system call with one answers -EBADF */

/* The simulation of this OS thread, or NULL. */
sim *weft__sim_current(void);

/* ---- thread.c ---- */
sim_thread *weft__sim_thread_new(sim *s, const char *name, void *stack, size_t stack_size, void (*fn)(void *), void *arg);
void weft__sim_threads_free(sim *s);
/* Gives up the processor: the running thread waits in `state` until woken or until its deadline.
 * Returns how it ended. */
int weft__sim_wait(sim *s, enum sim_state state, int64_t deadline_ns);
/* The running thread stays runnable, and somebody is chosen anew. */
void weft__sim_yield(sim *s);
void weft__sim_wake(sim *s, sim_thread *t);
/* Runs until the program has ended or the run has failed. */
enum weft_sim_outcome weft__sim_loop(sim *s);
void weft__sim_describe_threads(sim *s, char *buf, size_t size);
/* Who polls looks again. */
void weft__sim_stir(sim *s);
/* Time that calls take, so that loops which watch the clock make progress. */
void weft__sim_pass(sim *s, int64_t ns);

/* ---- signal.c ---- */
/* The running thread takes what waits for it. */
void weft__sim_handle(sim *s, sim_thread *t);
void weft__sim_handler_free(sim_thread *t);
int weft__sim_env_interrupt(void *self, uintptr_t tag, void (*fn)(void *ctx, const void *machine), void *ctx);
int weft__sim_env_signals(void *self, const int *signals, void (*fn)(void *ctx, int signal), void *ctx);

/* ---- event.c ---- */
void weft__sim_event_add(sim *s, const sim_event *e);
int weft__sim_event_next(const sim *s, int64_t *time_ns);
sim_event weft__sim_event_take(sim *s);
/* How long something takes: mostly microseconds, seldom milliseconds. */
int64_t weft__sim_delay(sim *s);

/* ---- log.c ---- */
int weft__sim_log_open(sim *s);
void weft__sim_log_close(sim *s);
/* kind and name are literals: their characters are hashed, never their addresses. */
void weft__sim_note(sim *s, const char *kind, const char *name, int64_t a, int64_t b);

/* ---- driver.c ---- */
/* Decides an op's result: it will be reaped after a delay. more: the op goes on. */
void weft__sim_result(sim *s, sim_flight *f, int64_t result, int more, const weft_buffer *buffer);
void weft__sim_flight_drop(sim *s, sim_flight *f);
void weft__sim_happen(sim *s, const sim_event *e);
void weft__sim_ports_free(sim *s);

/* ---- net.c ---- */
/* The kernel looks at an op for the first time: it ends, or waits in a queue. */
void weft__sim_execute(sim *s, sim_flight *f);
void weft__sim_queue_add(sim_flight **queue, sim_flight *f);
void weft__sim_queue_remove(sim_flight *f);
sim_sock *weft__sim_sock_of(sim *s, weft_handle h);
sim_sock *weft__sim_sock_new(sim *s, enum sim_sock_kind kind);
int64_t weft__sim_handle_new(sim *s, sim_sock *k);
void weft__sim_polls(sim *s, sim_sock *k);
unsigned weft__sim_events(const sim_sock *k);
/* As a system call, at once: a fresh socket listens; it connects, if somebody listens there and has room. */
int weft__sim_listen_now(sim *s, sim_sock *k, const weft_addr *addr, int backlog);
int weft__sim_connect_now(sim *s, sim_sock *client, const weft_addr *to);
void weft__sim_socks_free(sim *s);
int weft__sim_driver_socket(weft_port *port, weft_handle *out, const weft_addr *like);
int weft__sim_driver_listen(weft_port *port, weft_handle *out, const weft_addr *addr, const weft_listen_flags *flags);
int weft__sim_driver_address(weft_port *port, weft_handle h, int peer, weft_addr *out);
int weft__sim_driver_setopt(weft_port *port, weft_handle h, enum weft_sockopt opt, int value);
int weft__sim_driver_getopt(weft_port *port, weft_handle h, enum weft_sockopt opt, int *value);
int weft__sim_driver_shutdown(weft_port *port, weft_handle h, int how);
int weft__sim_driver_close_handle(weft_port *port, weft_handle h);

/* ---- stream.c ---- */
void weft__sim_stream_join(sim *s, sim_sock *a, sim_sock *b);
/* What is there, or -EAGAIN. */
int64_t weft__sim_stream_readv(sim *s, sim_sock *k, const struct iovec *iov, unsigned count);
int64_t weft__sim_stream_writev(sim *s, sim_sock *k, const struct iovec *iov, unsigned count);
/* There is nothing left to read, or no room to write to. */
int weft__sim_stream_used_up(const sim_sock *k, int writes);
void weft__sim_stream_readers(sim *s, sim_sock *k);
void weft__sim_stream_writers(sim *s, sim_sock *k);
void weft__sim_stream_shutdown(sim *s, sim_sock *k, int how);
void weft__sim_stream_close(sim *s, sim_sock *k);
void weft__sim_stream_break(sim *s, sim_sock *k);
unsigned weft__sim_stream_events(const sim_sock *k);
void weft__sim_stream_happen(sim *s, const sim_event *e);

/* ---- ready.c ---- */
/* An op enters its descriptor's queue, and leaves it at its end. */
void weft__sim_stand(sim *s, weft_op *op);
void weft__sim_unstand(sim *s, weft_op *op);
/* Somebody stands before the ops of that direction. */
int weft__sim_watched(const sim_sock *k, int writes);
/* Something has happened to k. */
void weft__sim_edge(sim *s, sim_sock *k);
void weft__sim_tell_line(sim *s, sim_port *p);
int64_t weft__sim_attempt(weft_port *port, weft_desc *d, enum weft_opcode code, void *buf, size_t len);
int weft__sim_watch(weft_port *port, weft_desc *d);
void weft__sim_unwatched(weft_port *port, weft_op *op);
void weft__sim_forget(weft_port *port, weft_desc *d);

/* ---- file.c ---- */
int64_t weft__sim_file_op(sim *s, weft_op *op);
int64_t weft__sim_file_at_once(weft_port *port, weft_op *op);
/* The bytes that a SENDFILE may take: their number, 0 at the end of the file, or -errno. */
int64_t weft__sim_file_piece(sim *s, const weft_op *op, struct iovec *out);
void weft__sim_files_free(sim *s);

/* ---- env.c, driver.c: the tables ---- */
extern const weft_port_driver weft__sim_driver_table, weft__sim_ready_table;
extern weft_env weft__sim_env_table;

#endif
