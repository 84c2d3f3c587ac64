/* Controls: a TCP server that swallows and answers each MiB with one byte, by io_uring: single-shot receives into a
 * buffer a connection, or a multishot receive with provided buffers. The ring is tuned in both.
 *
 *     uring_sink single|multishot */
#include "control.h"
#include "ring.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ENTRIES = 1024, BUFFER = 65536, BUFFER_COUNT = 64, MIB = 1 << 20 };
enum { ACCEPT = 0 }; /* user_data of the accept; else a connection */

typedef struct conn {
    int fd;
    size_t owed; /* bytes not answered for yet */
    char *buffer;
} conn;

static ring the_ring;
static buffer_ring buffers;
static int listener, multishot;

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
    struct io_uring_sqe *e = ring_entry(&the_ring);
    e->opcode = IORING_OP_RECV;
    e->fd = c->fd;
    e->user_data = (uint64_t)(uintptr_t)c;
    if (multishot) {
        e->ioprio = IORING_RECV_MULTISHOT;
        e->flags = IOSQE_BUFFER_SELECT;
    } else {
        e->addr = (uint64_t)(uintptr_t)c->buffer;
        e->len = BUFFER;
    }
}

static void accepted(int fd)
{
    accept_next();
    conn *c = fd < 0 ? NULL : malloc(sizeof *c);
    if (!c)
        return;
    no_delay(fd);
    *c = (conn){.fd = fd, .buffer = multishot ? NULL : malloc(BUFFER)};
    receive(c);
}

static void received(conn *c, const struct io_uring_cqe *done)
{
    int n = done->res;
    if (done->flags & IORING_CQE_F_BUFFER)
        buffers_return(&buffers, done->flags >> IORING_CQE_BUFFER_SHIFT);
    int over = n == 0 || (n < 0 && n != -ENOBUFS && n != -EINTR && n != -EAGAIN);
    c->owed += n > 0 ? (size_t)n : 0;
    /* One byte a MiB: a call of its own is simplest, and always has room. */
    for (; c->owed >= MIB && !over; c->owed -= MIB)
        over = send(c->fd, "", 1, MSG_NOSIGNAL | MSG_DONTWAIT) != 1;
    if (over && !(done->flags & IORING_CQE_F_MORE)) {
        close(c->fd);
        free(c->buffer);
        free(c);
    } else if (over) {
        shutdown(c->fd, SHUT_RDWR);
    } else if (!(done->flags & IORING_CQE_F_MORE)) {
        receive(c);
    }
}

int main(int argc, char **argv)
{
    multishot = argc == 2 && strcmp(argv[1], "multishot") == 0;
    if (argc != 2 || (!multishot && strcmp(argv[1], "single") != 0))
        return 2;
    listener = listen_somewhere(0);
    ring_open(&the_ring, ENTRIES, 1);
    if (multishot)
        buffers_open(&the_ring, &buffers, BUFFER_COUNT, BUFFER);
    accept_next();
    for (;;) {
        ring_wait(&the_ring);
        unsigned head = *the_ring.cq_head, tail = __atomic_load_n(the_ring.cq_tail, __ATOMIC_ACQUIRE);
        for (; head != tail; head++) {
            struct io_uring_cqe *done = &the_ring.cqes[head & the_ring.cq_mask];
            if (done->user_data == ACCEPT)
                accepted(done->res);
            else
                received((conn *)(uintptr_t)done->user_data, done);
            if (multishot)
                buffers_publish(&buffers);
        }
        __atomic_store_n(the_ring.cq_head, head, __ATOMIC_RELEASE);
    }
}
