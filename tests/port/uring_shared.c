/* A ring that several threads enter in turn: when one has ended, the kernel answers -ECANCELED for what it had handed
 * over as soon as that should move on. Nobody may notice: nothing is lost, and only a cancel that was asked for
 * cancels. */
#include <pthread.h>

#include "port/uring_bed.h"

static bed b;
static char stream_bytes[64];
static unsigned streamed, accepted;

static void on_data(weft_op *op, int64_t n, weft_buffer *buffer)
{
    (void)op;
    CHECK(n > 0 && streamed + (unsigned)n <= sizeof stream_bytes);
    memcpy(stream_bytes + streamed, buffer->data, (size_t)n);
    streamed += (unsigned)n;
    weft_port_release(buffer);
}

static void on_accept(weft_op *op, int64_t handle, weft_buffer *buffer)
{
    (void)op, (void)buffer;
    CHECK(close((int)handle) == 0);
    accepted++;
}

/* Hands everything to the kernel in its own name, and ends. */
static void *short_lived(void *arg)
{
    (void)arg;
    weft__port_enter(&b.port, WEFT_NOW);
    CHECK_EQ(bed_ring(&b)->sq_tail, *bed_ring(&b)->sq_head);
    return NULL;
}

static void hand_over_by_another_thread(void)
{
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, short_lived, NULL), 0);
    pthread_join(thread, NULL);
}

static void await(weft_op *op)
{
    const int64_t limit = bed_after(10 * WEFT_SECOND);
    while (op->state != WEFT_OP_DONE) {
        CHECK(bed_now() < limit);
        weft__port_enter(&b.port, limit);
    }
}

int main(void)
{
    weft_desc listener, pair[2], other[2], third[2], client;
    weft_op single, stream, accept, poll, connect;
    weft_addr at = {.family = WEFT_ADDR_IP4, .ip4 = {127, 0, 0, 1}};
    weft_handle h;
    char in[8];
    bed_open(&b, &(weft_port_config){.shared = 1});
    bed_pair(pair);
    bed_pair(other);
    bed_pair(third);
    CHECK_OK(b.driver.listen(&b.port, &h, &at, &(weft_listen_flags){0}));
    CHECK_OK(b.driver.address(&b.port, h, 0, &at));
    weft__desc_init(&listener, h, WEFT_DESC_LISTENER);
    weft_op_recv_multi(&stream, &other[0], on_data);
    weft_op_accept_multi(&accept, &listener, on_accept);
    bed_start(&b, &stream);
    bed_start(&b, &accept);
    for (unsigned round = 1; round <= 10; round++) {
        weft_op_recv(&single, &pair[0], in, sizeof in);
        weft_op_poll(&poll, &third[0], WEFT_READABLE);
        CHECK_OK(b.driver.socket(&b.port, &h, &at));
        weft__desc_init(&client, h, WEFT_DESC_STREAM);
        weft_op_connect(&connect, &client, &at);
        bed_start(&b, &single);
        bed_start(&b, &poll);
        hand_over_by_another_thread(); /* from here on the kernel knows of nobody to run these for */
        bed_start(&b, &connect);
        hand_over_by_another_thread();
        CHECK(write((int)pair[1].handle, "one", 3) == 3);
        CHECK(write((int)other[1].handle, "two", 3) == 3);
        if (round == 1)
            CHECK(write((int)third[1].handle, "three", 5) == 5);
        await(&single);
        await(&poll);
        await(&connect);
        CHECK_EQ(single.result, 3);
        CHECK(memcmp(in, "one", 3) == 0);
        CHECK(poll.result & WEFT_READABLE);
        CHECK_EQ(connect.result, 0);
        const int64_t limit = bed_after(10 * WEFT_SECOND);
        while (streamed < 3 * round || accepted < round) {
            CHECK(bed_now() < limit);
            weft__port_enter(&b.port, limit);
        }
        CHECK(memcmp(stream_bytes + 3 * (round - 1), "two", 3) == 0);
        weft__desc_close(&b.port, &client);
    }

    /* A wake still comes through, and a cancel handed over by another still cancels. */
    hand_over_by_another_thread();
    weft__port_wake(&b.port);
    weft__port_enter(&b.port, WEFT_NEVER);
    weft__port_cancel(&b.port, &stream);
    weft__port_cancel(&b.port, &accept);
    hand_over_by_another_thread();
    await(&stream);
    await(&accept);
    CHECK_EQ(stream.result, -ECANCELED);
    CHECK_EQ(accept.result, -ECANCELED);
    CHECK_EQ(streamed, 30);
    CHECK_EQ(accepted, 10);
    CHECK_EQ(bed_ring(&b)->stray, 0);
    weft__desc_close(&b.port, &listener);
    for (int i = 0; i < 2; i++) {
        weft__desc_close(&b.port, &pair[i]);
        weft__desc_close(&b.port, &other[i]);
        weft__desc_close(&b.port, &third[i]);
    }
    bed_close(&b);
    return 0;
}
