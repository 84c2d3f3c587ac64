/* What the files of the load generator share. One thread does everything. */
#ifndef LOAD_H
#define LOAD_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>
#include <time.h>

/* ---- support.c ---- */

_Noreturn void die(const char *what);                    /* with errno's sentence */
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
int64_t read_clock(clockid_t clock);                     /* ns */
int64_t now_ns(void);                                    /* of the monotonic clock */
long number(const char *text, long low, long high);      /* of an option */
void bind_to(const char *cpus);                          /* this process: "0" or "0,1"; NULL: wherever it likes */
void allow_descriptors(void);

/* ---- server.c: the program under load ---- */

typedef struct server {
    pid_t pid;
    clockid_t clock; /* CPU time of all its threads */
    struct sockaddr_in addr;
} server;

/* Starts argv on the given processors and waits for its line "listening on ADDRESS:PORT". prepare, if given, is called
 * in this process when the child exists but has not become the program yet; in the child, batch asks for the scheduling
 * class that never preempts others. */
void server_start(server *s, char **argv, const char *cpus, int batch, void (*prepare)(pid_t pid, void *arg), void *arg);
/* Asks it to end, and after ten seconds insists. */
void server_end(server *s);

/* ---- histogram.c: latencies in ns, each bucket 1/64 as wide as where it lies ---- */

enum { HISTOGRAM_BUCKETS = 64 * 40 };
typedef struct histogram {
    uint64_t count[HISTOGRAM_BUCKETS];
} histogram;
void histogram_clear(histogram *h);
void histogram_add(histogram *h, int64_t ns);
void histogram_print(const histogram *h, FILE *out); /* [[upper edge in ns, count], ...] */

/* ---- peer.c: connections, and what goes over them ---- */

/* What is said: either bytes that must come back as they are, in messages of `size`, or HTTP requests. Both are an
 * endless stream of bytes out, of which every byte that comes in is checked. */
typedef struct talk {
    size_t size;          /* of a message, or of a request */
    const char *request;  /* NULL: echo, or acknowledged */
    int acknowledged;     /* each message is answered by one byte, a zero */
    char *body;           /* HTTP: of the first response; the others must be the same */
    size_t body_size;
    int body_known;
} talk;

enum { HEAD_MAX = 4096 };
typedef struct peer {
    int fd;
    uint32_t number;
    uint64_t sent, due, received;      /* bytes; due: how many may be sent by now */
    uint64_t asked, answered;          /* messages */
    int64_t *times;                    /* when each was asked, or should have been; a ring of `window` */
    uint32_t window;                   /* a power of two */
    char *head;                        /* HTTP: of the response that is coming */
    size_t head_length, body_length, body_got;
    int in_body;
} peer;

void talk_prepare(talk *t, size_t size, const char *http_path);
/* Storage for times of `window` messages, no connection. */
void peer_init(peer *p, uint32_t number, uint32_t window);
/* Waits for the connection unless nonblocking. From one of many loopback addresses, so that ports do not run out. */
void peer_connect(peer *p, const server *s, int nonblocking);
/* Asks for n messages at this time; pushes as much as the socket takes. */
void peer_ask(peer *p, const talk *t, unsigned n, int64_t when);
void peer_push(peer *p, const talk *t);
/* Reads and checks what is there. How many messages it completed, whose times are times[answered - that]...;
 * -1: the server closed it. */
int peer_take(peer *p, talk *t);
static inline int64_t *peer_time(peer *p, uint64_t message) { return &p->times[message & (p->window - 1)]; }

#endif
