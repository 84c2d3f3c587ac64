/* Provided buffers: lent by the port to whoever reads a stream, so that an idle connection holds none. The kernel
 * takes them from a ring it shares with us, from the first stream on; where it has no such ring, receives are made by
 * the driver into buffers from a stack. Home thread only.
 *
 * `free` counts in the order of completions: added ones, less those that completions seen so far say were used. When
 * the kernel answers -ENOBUFS it had none at that point in the order, so free > 0 then means that some came back
 * since. */
#include <errno.h>

#include "port/uring.h"

static void add(weft__uring_buffers *b, uint32_t bid)
{
    b->lent[bid] = 0;
    b->free++;
    if (!b->ring) {
        b->stack[b->free - 1] = (uint16_t)bid;
        return;
    }
    struct io_uring_buf *slot = &b->ring[b->tail & (b->count - 1)];
    slot->addr = (uintptr_t)(b->data + (size_t)bid * b->size);
    slot->len = b->size;
    slot->bid = (uint16_t)bid;
    b->tail++;
    /* The tail lies over the first entry's last field. The kernel's acquire of it sees the entry. */
    weft__store_release(&b->ring[0].resv, b->tail, "uring.buffer_tail");
}

void weft__uring_buffers_open(weft__uring *u, const weft__uring_buffers *from)
{
    u->buffers = *from;
    if (!u->buffers.ring || !u->recent)
        weft__uring_buffers_ready(u);
}

void weft__uring_buffers_ready(weft__uring *u)
{
    weft__uring_buffers *b = &u->buffers;
    if (b->ready)
        return;
    b->ready = 1;
    if (b->ring) {
        struct io_uring_buf_reg reg = {.ring_addr = (uintptr_t)b->ring, .ring_entries = b->count};
        if (u->sys->reg(u->sys->self, u->fd, IORING_REGISTER_PBUF_RING, &reg, 1) < 0) {
            b->ring = NULL;
            u->why[WEFT_OP_RECV] = WEFT__NO_BUFFER_RING;
        }
    }
    for (uint32_t bid = 0; bid < b->count; bid++)
        add(b, bid);
}

void weft__uring_buffers_close(weft__uring *u)
{
    if (!u->buffers.ring || !u->buffers.ready)
        return;
    struct io_uring_buf_reg reg = {0};
    u->sys->reg(u->sys->self, u->fd, IORING_UNREGISTER_PBUF_RING, &reg, 1);
    u->buffers.ring = NULL;
}

int weft__uring_buffer_take(weft__uring *u, uint32_t *bid)
{
    weft__uring_buffers *b = &u->buffers;
    WEFT_ASSERT(!b->ring);
    if (!b->free)
        return -ENOBUFS;
    *bid = b->stack[--b->free];
    b->lent[*bid] = 1;
    return 0;
}

void weft__uring_buffer_filled(weft__uring *u, uint32_t bid, uint32_t len, weft_buffer *out)
{
    weft__uring_buffers *b = &u->buffers;
    WEFT_ASSERT(bid < b->count && len <= b->size);
    if (b->ring) {
        WEFT_ASSERT(b->free && !b->lent[bid]);
        b->free--;
        b->lent[bid] = 1;
    }
    *out = (weft_buffer){.data = b->data + (size_t)bid * b->size, .len = len, .bid = bid, .port = u->port};
    if (u->valgrind)
        WEFT__DEFINED(out->data, len);
}

void weft__uring_buffer_return(weft__uring *u, uint32_t bid)
{
    weft__uring_buffers *b = &u->buffers;
    WEFT_ASSERT(bid < b->count && b->lent[bid]); /* given back twice, or never lent */
    b->releases++;
    add(b, bid);
}
