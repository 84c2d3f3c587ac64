/* As much of io_uring as the controls need, by hand: one ring, one thread. */
#ifndef RING_H
#define RING_H

#include <linux/io_uring.h>
#include <stdint.h>

typedef struct ring {
    int fd, enter_fd;          /* the descriptor, and what is entered: the same, or a registered index */
    unsigned enter_flags;
    unsigned *sq_tail, *sq_head, *sq_flags, *cq_head, *cq_tail, sq_mask, cq_mask, entries;
    unsigned prepared;         /* entries filled since the last entry */
    struct io_uring_sqe *sqes;
    struct io_uring_cqe *cqes;
} ring;

/* tuned: single issuer, deferred task running, the ring registered.
 * Ends the program where the kernel does not have it. */
void ring_open(ring *r, unsigned entries, int tuned);
/* A zeroed entry; submits what is there if the queue is full. */
struct io_uring_sqe *ring_entry(ring *r);
/* Hands over what was prepared, without waiting. */
void ring_submit(ring *r);
/* The same, and waits for at least one completion. */
void ring_wait(ring *r);

/* Whether the only completion that an entry brought is all there is to do, also as far as the kernel tells: then its
 * answer would have an entry of its own, and a plain send is cheaper, by 2 % of a request at one connection. Larger
 * messages may not be taken as a whole. */
enum { LITTLE = 16384 };
int ring_alone(const ring *r, unsigned completions);

/* A ring of provided buffers, group 0. */
typedef struct buffer_ring {
    struct io_uring_buf_ring *ring;
    char *bytes;
    unsigned count, size;
    uint16_t tail;
} buffer_ring;
void buffers_open(ring *r, buffer_ring *b, unsigned count, unsigned size);
/* Gives one back; the kernel sees it after buffers_publish. */
static inline void buffers_return(buffer_ring *b, unsigned id)
{
    struct io_uring_buf *slot = &b->ring->bufs[b->tail++ & (b->count - 1)];
    slot->addr = (uint64_t)(uintptr_t)(b->bytes + (unsigned long)id * b->size);
    slot->len = b->size;
    slot->bid = (uint16_t)id;
}
static inline void buffers_publish(buffer_ring *b) { __atomic_store_n(&b->ring->tail, b->tail, __ATOMIC_RELEASE); }

#endif
