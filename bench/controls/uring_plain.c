/* Control: TCP echo by io_uring, plainly: one receive or one send under way on each connection, into a buffer of its
 * own. `tuned` adds what a single-threaded program may ask of its ring (single issuer, deferred task running,
 * registered ring), and a lone answer goes past it.
 *
 *     uring_plain [tuned] */
#include "control.h"
#include "ring.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ENTRIES = 4096, BUFFER = 65536 };
enum { ACCEPT = 0 }; /* user_data of the accept; else a connection */

typedef struct conn {
    int fd, sending;
    unsigned at, size; /* of what is to be sent */
    char buffer[BUFFER];
} conn;

static ring the_ring;
static int listener, tuned, alone; /* alone: see ring_alone */

static void prepare(uint8_t opcode, int fd, const void *bytes, unsigned n, conn *c)
{
    struct io_uring_sqe *e = ring_entry(&the_ring);
    e->opcode = opcode;
    e->fd = fd;
    e->addr = (uint64_t)(uintptr_t)bytes;
    e->len = n;
    e->msg_flags = opcode == IORING_OP_SEND ? MSG_NOSIGNAL : 0;
    e->user_data = (uint64_t)(uintptr_t)c;
}

static void accept_next(void)
{
    struct io_uring_sqe *e = ring_entry(&the_ring);
    e->opcode = IORING_OP_ACCEPT;
    e->fd = listener;
    e->accept_flags = SOCK_CLOEXEC;
    e->user_data = ACCEPT;
}

static void receive(conn *c)
{
    c->sending = 0;
    prepare(IORING_OP_RECV, c->fd, c->buffer, BUFFER, c);
}

static void send_rest(conn *c)
{
    c->sending = 1;
    prepare(IORING_OP_SEND, c->fd, c->buffer + c->at, c->size - c->at, c);
}

static void accepted(int fd)
{
    accept_next();
    conn *c = fd < 0 ? NULL : malloc(sizeof *c); /* the pages come when they are received into */
    if (!c) {
        if (fd >= 0)
            close(fd);
        return;
    }
    no_delay(fd);
    c->fd = fd;
    receive(c);
}

static void send_past(conn *c)
{
    ssize_t n = send(c->fd, c->buffer, c->size, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n > 0)
        c->at = (unsigned)n; /* of an error the ring tells */
}

static void completed(conn *c, int result)
{
    if (result <= 0 && result != -EINTR && result != -EAGAIN) {
        close(c->fd);
        free(c);
        return;
    }
    if (!c->sending) {
        c->at = 0;
        c->size = result > 0 ? (unsigned)result : 0;
        if (alone && c->size > 0 && c->size <= LITTLE)
            send_past(c);
    } else {
        c->at += result > 0 ? (unsigned)result : 0;
    }
    if (c->at < c->size)
        send_rest(c);
    else
        receive(c);
}

int main(int argc, char **argv)
{
    listener = listen_somewhere(0);
    tuned = argc == 2 && strcmp(argv[1], "tuned") == 0;
    ring_open(&the_ring, ENTRIES, tuned);
    accept_next();
    for (;;) {
        ring_wait(&the_ring);
        unsigned head = *the_ring.cq_head, tail = __atomic_load_n(the_ring.cq_tail, __ATOMIC_ACQUIRE);
        alone = tuned && ring_alone(&the_ring, tail - head);
        for (; head != tail; head++) {
            struct io_uring_cqe *done = &the_ring.cqes[head & the_ring.cq_mask];
            if (done->user_data == ACCEPT)
                accepted(done->res);
            else
                completed((conn *)(uintptr_t)done->user_data, done->res);
        }
        __atomic_store_n(the_ring.cq_head, head, __ATOMIC_RELEASE);
    }
}
