#include "port/fake_ring.h"

#include <fcntl.h>
#include <sys/eventfd.h>

#define HEADER 4096u

static uint32_t up_to_power(uint32_t n)
{
    uint32_t p = 1;
    while (p < n)
        p *= 2;
    return p;
}

static int fake_setup(void *self, unsigned entries, struct io_uring_params *p)
{
    fake_ring *f = self;
    f->setups++;
    if (f->setup_error)
        return f->setup_error;
    if (p->flags & f->unknown_flags)
        return -EINVAL;
    p->sq_entries = up_to_power(entries);
    p->features = f->features;
    const size_t bytes = HEADER + p->sq_entries * sizeof(uint32_t) + p->cq_entries * sizeof(struct io_uring_cqe);
    f->rings = calloc(1, bytes);
    f->sqes = calloc(p->sq_entries, sizeof *f->sqes);
    f->overflow = calloc(FAKE_TAKEN, sizeof *f->overflow);
    CHECK(f->rings && f->sqes && f->overflow);
    f->shared = f->rings;
    p->sq_off.head = 0;
    p->sq_off.tail = 4;
    p->sq_off.flags = 8;
    p->cq_off.head = 12;
    p->cq_off.tail = 16;
    p->cq_off.cqes = 64;
    p->sq_off.array = 64 + p->cq_entries * (uint32_t)sizeof(struct io_uring_cqe);
    f->params = *p;
    const int fd = eventfd(0, EFD_CLOEXEC);
    CHECK(fd >= 0);
    return fd;
}

static void put(fake_ring *f, const struct io_uring_cqe *cqe)
{
    struct io_uring_cqe *cqes = (void *)((char *)f->rings + f->params.cq_off.cqes);
    const uint32_t tail = f->shared->cq_tail;
    struct io_uring_cqe *at = &cqes[tail & (f->params.cq_entries - 1)];
    at->user_data = cqe->user_data;
    at->res = cqe->res;
    at->flags = cqe->flags;
    __atomic_store_n(&f->shared->cq_tail, tail + 1, __ATOMIC_RELEASE);
}

static unsigned room(fake_ring *f)
{
    const uint32_t head = __atomic_load_n(&f->shared->cq_head, __ATOMIC_ACQUIRE);
    return f->params.cq_entries - (f->shared->cq_tail - head);
}

void fake_ring_post(fake_ring *f, uint64_t user_data, int32_t res, uint32_t flags)
{
    const struct io_uring_cqe cqe = {.user_data = user_data, .res = res, .flags = flags};
    if (!f->overflowed && room(f)) {
        put(f, &cqe);
        return;
    }
    CHECK(f->overflowed < FAKE_TAKEN);
    memcpy(&f->overflow[f->overflowed++], &cqe, sizeof cqe);
    f->shared->sq_flags |= IORING_SQ_CQ_OVERFLOW;
}

static void flush_overflow(fake_ring *f)
{
    unsigned n = 0;
    while (n < f->overflowed && room(f))
        put(f, &f->overflow[n++]);
    memmove(f->overflow, f->overflow + n, (f->overflowed - n) * sizeof *f->overflow);
    f->overflowed -= n;
    if (!f->overflowed)
        f->shared->sq_flags &= ~IORING_SQ_CQ_OVERFLOW;
}

void fake_ring_goes_off(fake_ring *f)
{
    CHECK(f->standing.armed);
    f->standing.armed = 0;
    fake_ring_post(f, WEFT__TAG_STANDING, -ETIME, 0);
}

static int64_t time_at(uint64_t address)
{
    const struct __kernel_timespec *ts = (const void *)(uintptr_t)address;
    CHECK(ts->tv_sec >= 0 && ts->tv_nsec >= 0 && ts->tv_nsec < WEFT_SECOND);
    return ts->tv_sec * WEFT_SECOND + ts->tv_nsec;
}

static void take_standing(fake_ring *f, const struct io_uring_sqe *sqe)
{
    CHECK_EQ(sqe->user_data, WEFT__TAG_STANDING);
    CHECK(!f->standing.armed && sqe->len == 1 && sqe->off == 0);
    CHECK_EQ(sqe->timeout_flags, IORING_TIMEOUT_ABS);
    if (f->standing.refused) {
        fake_ring_post(f, sqe->user_data, f->standing.refused, 0);
        return;
    }
    f->standing.armed = 1;
    f->standing.set++;
    f->standing.ns = time_at(sqe->addr);
}

static void move_standing(fake_ring *f, const struct io_uring_sqe *sqe)
{
    CHECK(sqe->user_data == WEFT__TAG_STANDING && sqe->addr == WEFT__TAG_STANDING);
    CHECK(f->standing.armed && sqe->len == 0 && sqe->flags & IOSQE_CQE_SKIP_SUCCESS);
    CHECK_EQ(sqe->timeout_flags, IORING_TIMEOUT_ABS | IORING_TIMEOUT_UPDATE);
    if (!f->standing.late) {
        f->standing.moved++;
        f->standing.ns = time_at(sqe->addr2);
        return;
    }
    if (f->standing.late == -ENOENT)
        fake_ring_goes_off(f);
    fake_ring_post(f, sqe->user_data, f->standing.late, 0);
    f->standing.late = 0;
}

/* Cancels, the driver's own poll and its deadline are answered here, as the kernel would: ops are the test's. */
static void take(fake_ring *f, const struct io_uring_sqe *sqe)
{
    if (sqe->opcode == IORING_OP_ASYNC_CANCEL) {
        f->cancels++;
        if (f->wake_armed && sqe->addr == f->wake.user_data) {
            f->wake_armed = 0;
            fake_ring_post(f, f->wake.user_data, -ECANCELED, 0);
        }
        if (!(sqe->flags & IOSQE_CQE_SKIP_SUCCESS))
            fake_ring_post(f, sqe->user_data, 0, 0);
    } else if ((sqe->user_data & 7) == WEFT__TAG_WAKE) {
        f->wake = *sqe;
        f->wake_armed = 1;
    } else if ((sqe->user_data & 7) == WEFT__TAG_STANDING) {
        if (sqe->opcode == IORING_OP_TIMEOUT)
            take_standing(f, sqe);
        else
            move_standing(f, sqe);
    } else {
        CHECK(f->count < FAKE_TAKEN);
        f->taken[f->count++] = *sqe;
    }
}

static int fake_enter(void *self, int ring, unsigned submit, unsigned complete, unsigned flags, const void *arg,
                      size_t size)
{
    fake_ring *f = self;
    (void)ring;
    f->entries++;
    f->last_flags = flags;
    if (arg)
        CHECK_EQ(size, sizeof(struct io_uring_getevents_arg));
    const int scripted = f->script[0];
    memmove(f->script, f->script + 1, sizeof f->script - sizeof f->script[0]);
    if (scripted)
        return scripted;

    unsigned n = 0;
    while (n < submit && f->shared->sq_head != __atomic_load_n(&f->shared->sq_tail, __ATOMIC_ACQUIRE) &&
           (!f->take_at_most || n < f->take_at_most)) {
        const uint32_t *array = (void *)((char *)f->rings + f->params.sq_off.array);
        uint32_t i = f->shared->sq_head & (f->params.sq_entries - 1);
        if (!(f->params.flags & WEFT__SETUP_NO_SQARRAY))
            i = array[i];
        const struct io_uring_sqe sqe = f->sqes[i];
        memset(&f->sqes[i], 0xa5, sizeof sqe); /* taken: nobody may look at it again */
        __atomic_store_n(&f->shared->sq_head, f->shared->sq_head + 1, __ATOMIC_RELEASE);
        take(f, &sqe);
        n++;
    }
    if (flags & IORING_ENTER_GETEVENTS)
        flush_overflow(f);
    if (complete && f->shared->cq_tail == f->shared->cq_head) {
        f->waits++;
        if (f->on_wait)
            f->on_wait(f);
        if (f->shared->cq_tail == f->shared->cq_head)
            return n ? (int)n : -ETIME;
    }
    return (int)n;
}

static int fake_reg(void *self, int ring, unsigned code, const void *arg, unsigned count)
{
    fake_ring *f = self;
    (void)ring;
    switch (code) {
    case IORING_REGISTER_PROBE: {
        struct io_uring_probe *probe = (struct io_uring_probe *)(uintptr_t)arg;
        probe->ops_len = (uint8_t)count;
        for (unsigned i = 0; i < count; i++)
            probe->ops[i].flags = (uint16_t)(f->missing_op && i == (unsigned)f->missing_op ? 0 : IO_URING_OP_SUPPORTED);
        return 0;
    }
    case IORING_REGISTER_PBUF_RING: {
        const struct io_uring_buf_reg *reg = arg;
        if (f->no_buffer_ring)
            return -EINVAL;
        f->buffers = (void *)(uintptr_t)reg->ring_addr;
        f->buffer_mask = reg->ring_entries - 1;
        f->registered++;
        return 0;
    }
    case IORING_UNREGISTER_PBUF_RING:
        f->buffers = NULL;
        f->registered--;
        return 0;
    default:
        return -EINVAL;
    }
}

static void *fake_map(void *self, int ring, uint64_t offset, size_t bytes)
{
    fake_ring *f = self;
    (void)ring, (void)bytes;
    return offset == IORING_OFF_SQES ? (void *)f->sqes : f->rings;
}

static void fake_unmap(void *self, int ring, void *p, size_t bytes)
{
    fake_ring *f = self;
    (void)bytes;
    if (p) {
        f->unmapped++;
    } else {
        f->closed++;
        CHECK(close(ring) == 0);
    }
}

static fake_ring *opening; /* the driver's open has no other way to learn of it */

static int open_on_fake(weft_port *port, const weft_port_config *config)
{
    return weft__uring_open_on(port, config, &opening->sys);
}

fake_ring *fake_ring_new(void)
{
    fake_ring *f = calloc(1, sizeof *f);
    CHECK(f != NULL);
    f->sys = (weft__ring_sys){f, fake_setup, fake_enter, fake_reg, fake_map, fake_unmap};
    f->features = IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE | IORING_FEAT_RW_CUR_POS |
                  IORING_FEAT_FAST_POLL | IORING_FEAT_EXT_ARG | IORING_FEAT_CQE_SKIP;
    return f;
}

int fake_ring_open(bed *b, fake_ring *f, const weft_port_config *config)
{
    opening = f;
    b->driver = *weft_driver_uring();
    b->driver.open = open_on_fake;
    return bed_try(b, config);
}

void fake_ring_free(fake_ring *f)
{
    free(f->rings);
    free(f->sqes);
    free(f->overflow);
    free(f);
}

fake_ring *fake_ring_fresh(bed *b, const weft_port_config *config)
{
    fake_ring *f = fake_ring_new();
    CHECK_OK(fake_ring_open(b, f, config));
    return f;
}

void fake_ring_finish(bed *b, fake_ring *f)
{
    bed_close(b);
    CHECK_EQ(f->registered, 0);
    CHECK_EQ(f->closed, 1);
    fake_ring_free(f);
}

weft_desc fake_stream(void)
{
    weft_desc d;
    weft__desc_init(&d, 1000000, WEFT_DESC_STREAM);
    return d;
}

struct io_uring_sqe *fake_ring_find(fake_ring *f, const weft_op *op)
{
    for (unsigned i = f->count; i-- > 0;)
        if (f->taken[i].user_data && (f->taken[i].user_data & (UINT64_MAX >> 16)) == (uintptr_t)op)
            return &f->taken[i];
    return NULL;
}

void fake_ring_answer(fake_ring *f, const weft_op *op, int32_t res, uint32_t flags)
{
    struct io_uring_sqe *sqe = fake_ring_find(f, op);
    CHECK(sqe != NULL);
    const uint64_t data = sqe->user_data;
    if (!(flags & IORING_CQE_F_MORE))
        sqe->user_data = 0;
    fake_ring_post(f, data, res, flags);
}

uint32_t fake_ring_take_buffer(fake_ring *f, char fill, unsigned len)
{
    CHECK(f->buffers && __atomic_load_n(&f->buffers[0].resv, __ATOMIC_ACQUIRE) != f->buffer_head);
    const struct io_uring_buf *b = &f->buffers[f->buffer_head++ & f->buffer_mask];
    CHECK(len <= b->len);
    memset((void *)(uintptr_t)b->addr, fill, len);
    return IORING_CQE_F_BUFFER | (uint32_t)b->bid << IORING_CQE_BUFFER_SHIFT;
}
