/* io_uring by hand: set-up, one entry, provided buffers. */
#include "ring.h"
#include "control.h"
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static void *map(int fd, size_t size, uint64_t offset)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | (fd >= 0 ? MAP_POPULATE : MAP_ANONYMOUS), fd, (off_t)offset);
    if (p == MAP_FAILED)
        die("mmap");
    return p;
}

static void register_ring(ring *r)
{
    struct io_uring_rsrc_update up = {.offset = UINT32_MAX, .data = (unsigned)r->fd};
    if (syscall(SYS_io_uring_register, r->fd, IORING_REGISTER_RING_FDS, &up, 1) != 1)
        die("IORING_REGISTER_RING_FDS");
    r->enter_fd = (int)up.offset;
    r->enter_flags = IORING_ENTER_REGISTERED_RING;
}

void ring_open(ring *r, unsigned entries, int tuned)
{
    struct io_uring_params p = {.flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP, .cq_entries = 4 * entries};
    if (tuned)
        p.flags |= IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG;
    *r = (ring){.fd = (int)syscall(SYS_io_uring_setup, entries, &p)};
    if (r->fd < 0)
        die("io_uring_setup");
    size_t sq_size = p.sq_off.array + p.sq_entries * sizeof(unsigned), cq_size = p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe);
    char *rings = map(r->fd, sq_size > cq_size ? sq_size : cq_size, IORING_OFF_SQ_RING);
    r->sqes = map(r->fd, p.sq_entries * sizeof *r->sqes, IORING_OFF_SQES);
    r->sq_head = (unsigned *)(void *)(rings + p.sq_off.head);
    r->sq_tail = (unsigned *)(void *)(rings + p.sq_off.tail);
    r->sq_flags = (unsigned *)(void *)(rings + p.sq_off.flags);
    r->cq_head = (unsigned *)(void *)(rings + p.cq_off.head);
    r->cq_tail = (unsigned *)(void *)(rings + p.cq_off.tail);
    r->cqes = (struct io_uring_cqe *)(void *)(rings + p.cq_off.cqes);
    r->entries = p.sq_entries;
    r->sq_mask = p.sq_entries - 1;
    r->cq_mask = p.cq_entries - 1;
    for (unsigned i = 0; i < p.sq_entries; i++)
        ((unsigned *)(void *)(rings + p.sq_off.array))[i] = i;
    r->enter_fd = r->fd;
    if (tuned)
        register_ring(r);
}

static void enter(ring *r, unsigned wait)
{
    for (;;) {
        long n = syscall(SYS_io_uring_enter, r->enter_fd, r->prepared, wait, r->enter_flags | IORING_ENTER_GETEVENTS, NULL, 0);
        if (n >= 0)
            r->prepared -= (unsigned)n;
        else if (errno != EINTR && errno != EAGAIN && errno != EBUSY)
            die("io_uring_enter");
        if (r->prepared == 0 || n < 0)
            return;
    }
}

struct io_uring_sqe *ring_entry(ring *r)
{
    unsigned tail = *r->sq_tail;
    while (tail - __atomic_load_n(r->sq_head, __ATOMIC_ACQUIRE) == r->entries)
        enter(r, 0);
    struct io_uring_sqe *e = &r->sqes[tail & r->sq_mask];
    memset(e, 0, sizeof *e);
    __atomic_store_n(r->sq_tail, tail + 1, __ATOMIC_RELEASE);
    r->prepared++;
    return e;
}

void ring_submit(ring *r) { enter(r, 0); }

void ring_wait(ring *r) { enter(r, 1); }

int ring_alone(const ring *r, unsigned completions)
{
    return completions == 1 && r->prepared == 0 && !(__atomic_load_n(r->sq_flags, __ATOMIC_RELAXED) & IORING_SQ_TASKRUN);
}

void buffers_open(ring *r, buffer_ring *b, unsigned count, unsigned size)
{
    *b = (buffer_ring){.count = count, .size = size};
    b->ring = map(-1, count * sizeof(struct io_uring_buf), 0);
    b->bytes = map(-1, (size_t)count * size, 0);
    struct io_uring_buf_reg reg = {.ring_addr = (uint64_t)(uintptr_t)b->ring, .ring_entries = count};
    if (syscall(SYS_io_uring_register, r->fd, IORING_REGISTER_PBUF_RING, &reg, 1) < 0)
        die("IORING_REGISTER_PBUF_RING");
    for (unsigned i = 0; i < count; i++)
        buffers_return(b, i);
    buffers_publish(b);
}
