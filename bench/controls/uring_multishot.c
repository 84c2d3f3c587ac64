/* Control: TCP echo by io_uring as its makers mean it: one accept and one receive a connection that go on by
 * themselves, provided buffers, deferred task running, a registered ring. A buffer that was received into is sent from,
 * and goes back when that is done. Sends of one connection follow each other; a lone answer goes past the ring.
 *
 *     uring_multishot [BUFFER_BYTES [BUFFERS]]       default 8192, 4096 (a power of two) */
#include "control.h"
#include "ring.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ENTRIES = 4096, BUFFER_COUNT = 4096 };
enum { ACCEPT = 1, RECEIVE, SEND }; /* low bits of user_data; the rest: a connection */

/* Filled buffers in the order of arrival, chained by their numbers. */
typedef struct filled {
    uint32_t size, at;
    int32_t next;
} filled;

typedef struct conn {
    int fd, receiving, sending, over;
    int32_t first, last; /* of the chain; the first is being sent */
} conn;

static ring the_ring;
static buffer_ring buffers;
static filled links[BUFFER_COUNT];
static conn *starved[BUFFER_COUNT]; /* receives that ended for want of a buffer, to be begun again when one is back */
static unsigned starved_count, held; /* held: buffers that have something in them */
static int listener, alone; /* alone: see ring_alone */

static struct io_uring_sqe *prepare(uint8_t opcode, int fd, uint64_t data)
{
    struct io_uring_sqe *e = ring_entry(&the_ring);
    e->opcode = opcode;
    e->fd = fd;
    e->user_data = data;
    return e;
}

static void accept_on(void)
{
    struct io_uring_sqe *e = prepare(IORING_OP_ACCEPT, listener, ACCEPT);
    e->ioprio = IORING_ACCEPT_MULTISHOT;
    e->accept_flags = SOCK_CLOEXEC;
}

static void receive_on(conn *c)
{
    struct io_uring_sqe *e = prepare(IORING_OP_RECV, c->fd, (uint64_t)(uintptr_t)c | RECEIVE);
    e->ioprio = IORING_RECV_MULTISHOT;
    e->flags = IOSQE_BUFFER_SELECT;
    c->receiving = 1;
}

static void send_first(conn *c)
{
    filled *l = &links[c->first];
    struct io_uring_sqe *e = prepare(IORING_OP_SEND, c->fd, (uint64_t)(uintptr_t)c | SEND);
    e->addr = (uint64_t)(uintptr_t)(buffers.bytes + (size_t)c->first * buffers.size + l->at);
    e->len = l->size - l->at;
    e->msg_flags = MSG_NOSIGNAL;
    c->sending = 1;
}

static void drop_first(conn *c)
{
    buffers_return(&buffers, (unsigned)c->first);
    held--;
    c->first = links[c->first].next;
}

/* Of an error the ring tells. */
static void send_past(conn *c)
{
    filled *l = &links[c->first];
    ssize_t n = send(c->fd, buffers.bytes + (size_t)c->first * buffers.size, l->size, MSG_DONTWAIT | MSG_NOSIGNAL);
    l->at = n > 0 ? (uint32_t)n : 0;
    if (l->at == l->size)
        drop_first(c);
}

static void end_if_over(conn *c)
{
    if (!c->over || c->receiving || c->sending)
        return;
    while (c->first >= 0)
        drop_first(c);
    close(c->fd);
    free(c);
}

static void accepted(const struct io_uring_cqe *done)
{
    if (!(done->flags & IORING_CQE_F_MORE))
        accept_on();
    conn *c = done->res < 0 ? NULL : malloc(sizeof *c);
    if (!c) {
        if (done->res >= 0)
            close(done->res);
        return;
    }
    *c = (conn){.fd = done->res, .first = -1};
    no_delay(c->fd);
    receive_on(c);
}

static void received(conn *c, const struct io_uring_cqe *done)
{
    c->receiving = (done->flags & IORING_CQE_F_MORE) != 0;
    if (done->flags & IORING_CQE_F_BUFFER) {
        int32_t id = (int32_t)(done->flags >> IORING_CQE_BUFFER_SHIFT);
        links[id] = (filled){.size = done->res > 0 ? (uint32_t)done->res : 0, .next = -1};
        held++;
        if (c->first < 0)
            c->first = id;
        else
            links[c->last].next = id;
        c->last = id;
        if (alone && !c->sending && done->res > 0 && done->res <= LITTLE)
            send_past(c);
        if (!c->sending && c->first >= 0 && done->res > 0)
            send_first(c);
    }
    if (done->res <= 0 && done->res != -ENOBUFS)
        c->over = 1;
    if (!c->receiving && !c->over) {
        if (done->res == -ENOBUFS && starved_count < BUFFER_COUNT)
            starved[starved_count++] = c, c->receiving = 1; /* counts as one, so that it is not freed */
        else
            receive_on(c);
    }
    end_if_over(c);
}

static void sent(conn *c, const struct io_uring_cqe *done)
{
    c->sending = 0;
    if (done->res < 0) {
        c->over = 1;
        if (c->receiving)
            shutdown(c->fd, SHUT_RDWR);
    } else {
        links[c->first].at += (uint32_t)done->res;
        if (links[c->first].at == links[c->first].size)
            drop_first(c);
        if (c->first >= 0)
            send_first(c);
    }
    end_if_over(c);
}

static void feed_starved(void)
{
    unsigned n = starved_count;
    if (n == 0 || held == buffers.count)
        return;
    starved_count = 0;
    for (unsigned i = 0; i < n; i++)
        receive_on(starved[i]);
}

int main(int argc, char **argv)
{
    listener = listen_somewhere(0);
    ring_open(&the_ring, ENTRIES, 1);
    buffers_open(&the_ring, &buffers, argc > 2 ? (unsigned)atoi(argv[2]) : BUFFER_COUNT, argc > 1 ? (unsigned)atoi(argv[1]) : 8192);
    accept_on();
    for (;;) {
        ring_wait(&the_ring);
        unsigned head = *the_ring.cq_head, tail = __atomic_load_n(the_ring.cq_tail, __ATOMIC_ACQUIRE);
        alone = ring_alone(&the_ring, tail - head);
        for (; head != tail; head++) {
            struct io_uring_cqe *done = &the_ring.cqes[head & the_ring.cq_mask];
            conn *c = (conn *)(uintptr_t)(done->user_data & ~3ull);
            if ((done->user_data & 3) == ACCEPT)
                accepted(done);
            else if ((done->user_data & 3) == RECEIVE)
                received(c, done);
            else
                sent(c, done);
        }
        __atomic_store_n(the_ring.cq_head, head, __ATOMIC_RELEASE);
        buffers_publish(&buffers);
        feed_starved();
    }
}
