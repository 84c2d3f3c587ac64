/* What a transfer by the ring costs beside a plain call. One thread has both ends of a TCP connection, so nobody
 * sleeps and nobody is woken, and what is left is the way through the kernel. Each round moves 64 bytes from one end to
 * the other; the ways take turns. Prints, for each, the least, the quartile and the median of several turns in ns a
 * round. docs/design/uring.md says what was found. */
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../controls/control.h"
#include "../controls/ring.h"

enum { TURNS = 40, ROUNDS = 5000, BYTES = 64 };

static ring the_ring;
static int here, there; /* the two ends */
static char buffer[BYTES];

static void must(long r, long expected, const char *what)
{
    if (r < 0)
        die(what);
    if (r != expected) {
        fprintf(stderr, "%s: %ld and not %ld\n", what, r, expected);
        exit(1);
    }
}

/* ---- one end, and the other ---- */

static void plain_send(void) { must(send(here, buffer, BYTES, MSG_NOSIGNAL), BYTES, "send"); }

static void plain_recv(void) { must(recv(there, buffer, BYTES, 0), BYTES, "recv"); }

static void vain_recv(void)
{
    if (recv(there, buffer, BYTES, MSG_DONTWAIT) >= 0)
        die("a recv before anything was sent");
}

static void prepare(uint8_t opcode, int fd, uint16_t how)
{
    struct io_uring_sqe *e = ring_entry(&the_ring);
    e->opcode = opcode;
    e->ioprio = how;
    e->fd = fd;
    e->addr = (uint64_t)(uintptr_t)buffer;
    e->len = BYTES;
}

static void ring_send(void) { prepare(IORING_OP_SEND, here, 0); }

static void ring_recv(uint16_t how) { prepare(IORING_OP_RECV, there, how); }

/* Waits for that many completions. */
static void reap(unsigned n)
{
    unsigned head = *the_ring.cq_head;
    while (__atomic_load_n(the_ring.cq_tail, __ATOMIC_ACQUIRE) - head < n)
        ring_wait(&the_ring);
    for (; n > 0; n--, head++)
        must(the_ring.cqes[head & the_ring.cq_mask].res, BYTES, "a completion");
    __atomic_store_n(the_ring.cq_head, head, __ATOMIC_RELEASE);
}

/* ---- the ways ---- */

static void a_call(void) { syscall(SYS_getppid); }

static void both_plain(void)
{
    plain_send();
    plain_recv();
}

static void send_by_ring(void)
{
    ring_send();
    reap(1);
    plain_recv();
}

static void recv_by_ring(void)
{
    plain_send();
    ring_recv(0);
    reap(1);
}

static void recv_polls_first(void)
{
    plain_send();
    ring_recv(IORING_RECVSEND_POLL_FIRST);
    reap(1);
}

static void both_in_one_entry(void)
{
    ring_send();
    ring_recv(0);
    reap(2);
}

static void in_vain_before(void)
{
    vain_recv();
    both_plain();
}

static void armed_before(void)
{
    ring_recv(0);
    ring_submit(&the_ring);
    plain_send();
    reap(1);
}

static void armed_before_polls_first(void)
{
    ring_recv(IORING_RECVSEND_POLL_FIRST);
    ring_submit(&the_ring);
    plain_send();
    reap(1);
}

static const struct way {
    const char *name;
    void (*go)(void);
} ways[] = {
    {"a system call (getppid)", a_call},
    {"send, recv", both_plain},
    {"send by ring, recv", send_by_ring},
    {"send, recv by ring", recv_by_ring},
    {"send, recv by ring that polls first", recv_polls_first},
    {"both by ring, in one entry", both_in_one_entry},
    {"recv in vain, send, recv", in_vain_before},
    {"recv by ring, send, entry", armed_before},
    {"recv by ring that polls first, send, entry", armed_before_polls_first},
};
enum { WAYS = sizeof ways / sizeof *ways };

/* ---- the whole ---- */

static void connect_ends(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    here = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(bind(listener, (struct sockaddr *)&address, size), 0, "bind");
    must(listen(listener, 1), 0, "listen");
    must(getsockname(listener, (struct sockaddr *)&address, &size), 0, "getsockname");
    must(connect(here, (struct sockaddr *)&address, size), 0, "connect");
    there = accept(listener, NULL, NULL);
    if (there < 0)
        die("accept");
    close(listener);
    no_delay(here);
}

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

int main(void)
{
    static double took[WAYS][TURNS];
    ring_open(&the_ring, 64, 1);
    connect_ends();
    for (int turn = 0; turn < TURNS; turn++)
        for (int i = 0; i < WAYS; i++) {
            const int64_t begin = now();
            for (int round = 0; round < ROUNDS; round++)
                ways[i].go();
            took[i][turn] = (double)(now() - begin) / ROUNDS;
        }
    printf("%-44s %8s %8s %8s\n", "ns a round", "least", "quartile", "median");
    for (int i = 0; i < WAYS; i++) {
        qsort(took[i], TURNS, sizeof took[i][0], by_value);
        printf("%-44s %8.0f %8.0f %8.0f\n", ways[i].name, took[i][0], took[i][TURNS / 4], took[i][TURNS / 2]);
    }
    return 0;
}
