/* Thousands of receives and all their cancels at once on a small ring: each ends once, with -ECANCELED or with the
 * bytes that had come. */
#include <fcntl.h>

#include "port/uring_bed.h"

#define OPS 10000u
#define PAIRS 100u

static weft_op ops[OPS];
static char bytes[OPS];

static void storm(const weft_port_config *config, unsigned with_data)
{
    bed b = {0};
    weft_desc d[PAIRS][2];
    unsigned cancelled = 0, filled = 0;
    bed_open(&b, config);
    for (unsigned i = 0; i < PAIRS; i++)
        bed_pair(d[i]);
    for (unsigned i = 0; i < OPS; i++) {
        weft_op_recv(&ops[i], &d[i % PAIRS][0], &bytes[i], 1);
        bed_start(&b, &ops[i]);
    }
    weft__port_enter(&b.port, WEFT_NOW);
    CHECK_EQ(b.done, 0);
    CHECK_EQ(bed_ring(&b)->in_ring, OPS);
    for (unsigned i = 0; i < with_data; i++)
        CHECK(write((int)d[i % PAIRS][1].handle, "x", 1) == 1);
    for (unsigned i = 0; i < OPS; i++)
        weft__port_cancel(&b.port, &ops[i]);
    bed_await(&b, OPS);
    for (unsigned i = 0; i < OPS; i++) {
        CHECK_EQ(ops[i].state, WEFT_OP_DONE);
        CHECK(ops[i].result == 1 || ops[i].result == -ECANCELED);
        cancelled += ops[i].result == -ECANCELED;
        filled += ops[i].result == 1;
    }
    CHECK_EQ(b.done, OPS);
    CHECK_EQ(b.port.flying, 0);
    CHECK(cancelled > 0 && filled <= with_data);
    if (!with_data)
        CHECK_EQ(cancelled, OPS);
    /* Bytes that no receive took are still there: nothing was lost. */
    unsigned left = 0;
    char c;
    for (unsigned i = 0; i < PAIRS; i++)
        while (read((int)d[i][0].handle, &c, 1) == 1)
            left++;
    CHECK_EQ(filled + left, with_data);
    CHECK_EQ(bed_ring(&b)->stray, 0);
    for (unsigned i = 0; i < PAIRS; i++) {
        weft__desc_close(&b.port, &d[i][0]);
        weft__desc_close(&b.port, &d[i][1]);
    }
    bed_close(&b);
}

/* The cancel comes before the kernel has seen the op, or in the same entry, or after. */
static void early_and_late(void)
{
    bed b = {0};
    weft_desc d[2];
    weft_op op;
    char c;
    bed_open(&b, &(weft_port_config){.entries = 4});
    bed_pair(d);
    for (int i = 0; i < 300; i++) {
        weft_op_recv(&op, &d[0], &c, 1);
        bed_start(&b, &op);
        if (i % 3 == 1)
            weft__port_enter(&b.port, WEFT_NOW);
        if (i % 3 == 2)
            CHECK(write((int)d[1].handle, "x", 1) == 1);
        weft__port_cancel(&b.port, &op);
        weft__port_cancel(&b.port, &op); /* twice is once */
        bed_await(&b, (unsigned)i + 1);
        CHECK_EQ(op.result, i % 3 == 2 ? 1 : -ECANCELED);
    }
    weft__desc_close(&b.port, &d[0]);
    weft__desc_close(&b.port, &d[1]);
    bed_close(&b);
}

/* Closing the last handle cancels the descriptor's ops, and the kernel's close waits for them. */
static int gone;

static void on_gone(weft_desc *d, int result)
{
    (void)d;
    CHECK_EQ(result, 0);
    gone++;
}

static void a_close_ends_what_is_in_flight(void)
{
    bed b = {0};
    weft_desc d[2];
    weft_op one, stream, writer;
    static char big[4 << 20];
    char c;
    bed_open(&b, NULL);
    bed_pair(d);
    d[0].closed = on_gone;
    weft_op_recv(&one, &d[0], &c, 1);
    weft_op_poll(&stream, &d[0], WEFT_READABLE);
    weft_op_send(&writer, &d[0], big, sizeof big);
    bed_start(&b, &one);
    bed_start(&b, &stream);
    weft__port_enter(&b.port, WEFT_NOW);
    const int fd = (int)d[0].handle;
    weft__desc_close(&b.port, &d[0]);
    CHECK_EQ(gone, 0);
    CHECK(fcntl(fd, F_GETFD) >= 0); /* not before the terminal completions */
    bed_await(&b, 2);
    CHECK_EQ(one.result, -ECANCELED);
    CHECK_EQ(stream.result, -ECANCELED);
    CHECK_EQ(gone, 1);
    CHECK(fcntl(fd, F_GETFD) < 0);
    bed_start(&b, &writer);
    CHECK_EQ(writer.result, -EBADF);
    weft__desc_close(&b.port, &d[1]);
    bed_close(&b);
}

int main(void)
{
    storm(&(weft_port_config){.entries = 64}, 0);
    storm(&(weft_port_config){.entries = 64}, 5000);
    storm(&(weft_port_config){.entries = 64, .disable = WEFT_URING_NO_DEFER}, 5000);
    storm(&(weft_port_config){.entries = 1024, .shared = 1}, 2000);
    early_and_late();
    a_close_ends_what_is_in_flight();
    return 0;
}
