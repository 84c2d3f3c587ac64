/* Credits over byte streams: all bytes in order both ways at once, never more than the window in the buffer, few
 * stalls, and every way a flow ends. */
#include "cases.h"

#include <weft/flow.h>

enum { WINDOW = 4096, LOW = 1024, TOTAL = 200000 };

static unsigned char byte_at(size_t i) { return (unsigned char)(i * 13 + i / 311); }

typedef struct end {
    weft_id sock;
    weft_flow flow;
    unsigned char buffer[WINDOW];
    size_t step; /* how much it reads at once */
} end;

static end ends[2];

static void open_both(void)
{
    weft_id s[2];
    connect_pair(&s[0], &s[1]);
    for (int i = 0; i < 2; i++) {
        ends[i].sock = s[i];
        ends[i].step = i ? 700 : 5000;
        CHECK_OK(weft_flow_open(&ends[i].flow, s[i], ends[i].buffer, WINDOW, LOW));
    }
}

static void close_both(void)
{
    for (int i = 0; i < 2; i++) {
        CHECK_OK(weft_flow_close(&ends[i].flow));
        CHECK_OK(weft_close(ends[i].sock));
    }
}

static int sends_all(void *arg)
{
    end *e = arg;
    unsigned char out[3000];
    size_t sent = 0;

    while (sent < TOTAL) {
        size_t n = TOTAL - sent < sizeof out ? TOTAL - sent : sizeof out, done;
        for (size_t i = 0; i < n; i++)
            out[i] = byte_at(sent + i);
        CHECK_OK(weft_flow_write_all(&e->flow, out, n, &done, SOON));
        CHECK_EQ(done, n);
        sent += n;
    }
    CHECK_OK(weft_flow_finish(&e->flow, SOON));
    CHECK_ERR(weft_flow_write(&e->flow, out, 1, SOON), -EPIPE);
    CHECK_ERR(weft_flow_finish(&e->flow, SOON), -EPIPE);
    return 0;
}

static int receives_all(void *arg)
{
    end *e = arg;
    unsigned char in[5000];
    size_t got = 0;

    for (;;) {
        ssize_t n = weft_flow_read(&e->flow, in, e->step, SOON);
        CHECK_OK(n);
        if (n == 0)
            break;
        for (ssize_t i = 0; i < n; i++)
            CHECK_EQ(in[i], byte_at(got + (size_t)i));
        got += (size_t)n;
        CHECK_OK(weft_yield());
    }
    CHECK_EQ(got, TOTAL);
    CHECK_EQ(weft_flow_read(&e->flow, in, 1, SOON), 0);
    return 0;
}

static int both_ways(void *arg)
{
    weft_group g = WEFT_GROUP;

    (void)arg;
    open_both();
    for (int i = 0; i < 2; i++) {
        CHECK_OK(weft_group_run(&g, sends_all, &ends[i]));
        CHECK_OK(weft_group_run(&g, receives_all, &ends[i]));
    }
    CHECK_OK(weft_group_all(&g, SOON));
    CHECK_OK(weft_group_end(&g));
    for (int i = 0; i < 2; i++) {
        weft_flow_info info;
        weft_flow_look(&ends[i].flow, &info);
        CHECK_EQ(info.sent, TOTAL);
        CHECK_EQ(info.received, TOTAL);
        CHECK(info.most <= WINDOW);
        CHECK(info.grants <= TOTAL / (WINDOW - LOW)); /* each is for that much, at least */
        CHECK(info.stalls <= info.grants + TOTAL / (WINDOW - LOW) + 1);
    }
    close_both();
    return 0;
}

static int writes_more(void *arg)
{
    char block[WINDOW] = {0};
    CHECK_OK(weft_flow_write_all(arg, block, sizeof block, NULL, SOON));
    return (int)weft_flow_write(arg, block, 1, SOON);
}

/* Without credit a write waits for it, until its deadline or cancellation, and has written nothing then. */
static int without_credit(void *arg)
{
    weft_flow_info info;
    weft_id f;
    char block[WINDOW];
    size_t done;
    int r;

    (void)arg;
    open_both();
    CHECK_EQ(weft_flow_write(&ends[0].flow, block, 0, SOON), 0);
    CHECK_ERR(weft_flow_read(&ends[0].flow, block, 1, weft_after(WEFT_MILLISECOND)), -ETIMEDOUT);
    CHECK_OK(weft_spawn(&f, writes_more, &ends[0].flow));
    do {
        CHECK_OK(weft_yield());
        weft_flow_look(&ends[1].flow, &info);
    } while (info.received < WINDOW); /* its frame is through */
    CHECK_ERR(weft_flow_write_all(&ends[0].flow, block, 5, &done, weft_after(WEFT_MILLISECOND)), -ETIMEDOUT);
    CHECK_EQ(done, 0);
    CHECK_OK(weft_cancel(f));
    CHECK_OK(weft_join(f, &r, SOON));
    CHECK_EQ(r, -ECANCELED);
    CHECK_OK(weft_spawn(&f, writes_more, &ends[0].flow));
    for (size_t got = 0; got < 2 * WINDOW + 1;) {
        ssize_t n = weft_flow_read(&ends[1].flow, block, sizeof block, SOON);
        CHECK_OK(n);
        got += (size_t)n;
    }
    CHECK_OK(weft_join(f, &r, SOON));
    CHECK_EQ(r, 1);
    CHECK_ERR(weft_flow_read(&ends[1].flow, block, 1, weft_after(WEFT_MILLISECOND)), -ETIMEDOUT);
    close_both();
    return 0;
}

/* The peer goes without a word: what has come is read, then that is said, and whoever waits is told. */
static int peer_goes(void *arg)
{
    weft_id f;
    int r;
    char block[WINDOW] = {0};

    (void)arg;
    open_both();
    CHECK_EQ(weft_flow_write(&ends[1].flow, "last", 4, SOON), 4);
    CHECK_OK(weft_spawn(&f, writes_more, &ends[0].flow));
    weft_flow_info info;
    do {
        CHECK_OK(weft_yield());
        weft_flow_look(&ends[0].flow, &info);
    } while (info.received < 4 || info.sent < WINDOW);
    CHECK_OK(weft_flow_close(&ends[1].flow));
    CHECK_OK(weft_close(ends[1].sock));
    CHECK_OK(weft_join(f, &r, SOON));
    CHECK(r == -EPIPE || r == -ECONNRESET);
    CHECK_EQ(weft_flow_read(&ends[0].flow, block, sizeof block, SOON), 4);
    CHECK(memcmp(block, "last", 4) == 0);
    CHECK_EQ(weft_flow_read(&ends[0].flow, block, 1, SOON), r);
    CHECK_OK(weft_flow_close(&ends[0].flow));
    CHECK_OK(weft_close(ends[0].sock));
    return 0;
}

/* A peer that speaks the frames itself, and breaks the contract. */
static int breaks_the_contract(void *arg)
{
    static const unsigned char bad[][8] = {
        {0x00, 0x00, 0x10, 0x01},             /* DATA: one byte more than the window */
        {0xc0, 0x00, 0x00, 0x00},             /* no such kind */
        {0x80, 0, 0, 0, 0x00, 0x00, 0x00, 1}, /* END, and DATA after it */
        {0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff}, /* GRANT, more than can be */
        {0x60, 0, 0, 0, 0x60, 0, 0, 0},       /* the same, by one */
    };
    unsigned char block[WINDOW];

    (void)arg;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        weft_id s[2];
        connect_pair(&s[0], &s[1]);
        CHECK_OK(weft_flow_open(&ends[0].flow, s[0], ends[0].buffer, WINDOW, LOW));
        CHECK_OK(weft_read_all(s[1], block, 4, NULL, SOON));
        CHECK(block[0] == 0x40 && block[1] == 0 && block[2] == WINDOW >> 8 && block[3] == 0); /* the first grant */
        CHECK_OK(weft_write_all(s[1], bad[i], i < 2 ? 4 : 8, NULL, SOON));
        if (i == 2) /* told of the END first */
            CHECK_EQ(weft_flow_read(&ends[0].flow, block, 1, SOON), 0);
        if (i > 2) /* a write between the two would make room for the second */
            CHECK_EQ(weft_flow_read(&ends[0].flow, block, 1, SOON), -EPROTO);
        int r;
        do
            r = (int)weft_flow_write(&ends[0].flow, block, 1, SOON);
        while (r == 1);
        CHECK_EQ(r, -EPROTO);
        CHECK_OK(weft_flow_close(&ends[0].flow));
        CHECK_OK(weft_close(s[0]));
        CHECK_OK(weft_close(s[1]));
    }
    return 0;
}

/* ---- who waits is told ---- */

static int writes_one(void *arg) { return (int)weft_flow_write(arg, "!", 1, SOON); }

static int reads_one(void *arg)
{
    char c;
    return (int)weft_flow_read(arg, &c, 1, SOON);
}

static int result_of(weft_id fiber)
{
    int r;
    CHECK_OK(weft_join(fiber, &r, SOON));
    return r;
}

static int writes_much(void *arg)
{
    static unsigned char much[64 << 20]; /* more than all buffers hold */
    size_t done;
    const int r = weft_flow_write_all(arg, much, sizeof much, &done, SOON);
    CHECK_EQ(done, 0);
    return r;
}

/* A write that is ended in the middle of a frame breaks the flow for whoever waits for credit or bytes, too. */
static int torn(void *arg)
{
    static const unsigned char grant[] = {0x44, 0, 0, 0}; /* for all of it */
    unsigned char head[4];
    weft_id s[2], much, writer, reader;

    (void)arg;
    connect_pair(&s[0], &s[1]);
    CHECK_OK(weft_flow_open(&ends[0].flow, s[0], ends[0].buffer, WINDOW, LOW));
    CHECK_OK(weft_read_all(s[1], head, sizeof head, NULL, SOON));
    CHECK_OK(weft_spawn(&reader, reads_one, &ends[0].flow));
    CHECK_OK(weft_spawn(&much, writes_much, &ends[0].flow));
    CHECK_OK(weft_write_all(s[1], grant, sizeof grant, NULL, SOON));
    CHECK_OK(weft_read_all(s[1], head, sizeof head, NULL, SOON)); /* nobody reads more */
    CHECK_EQ(head[0], 0x04);
    CHECK_OK(weft_spawn(&writer, writes_one, &ends[0].flow));
    CHECK_OK(weft_yield());
    CHECK_OK(weft_cancel(much));
    CHECK_EQ(result_of(much), -ECANCELED);
    CHECK_EQ(result_of(writer), -EIO);
    CHECK_EQ(result_of(reader), -EIO);
    CHECK_ERR(weft_flow_write(&ends[0].flow, head, 1, SOON), -EIO);
    CHECK_OK(weft_flow_close(&ends[0].flow));
    return 0;
}

/* And so does saying that nothing more is written, for who waits to write. */
static int finished_meanwhile(void *arg)
{
    weft_id writer;
    char block[WINDOW] = {0};

    (void)arg;
    open_both();
    CHECK_OK(weft_flow_write_all(&ends[0].flow, block, sizeof block, NULL, SOON));
    CHECK_OK(weft_spawn(&writer, writes_one, &ends[0].flow));
    CHECK_OK(weft_yield());
    CHECK_OK(weft_flow_finish(&ends[0].flow, SOON));
    CHECK_EQ(result_of(writer), -EPIPE);
    close_both();
    return 0;
}

static int parks(void *arg)
{
    (void)arg;
    return weft_park(WEFT_NEVER);
}

/* There is no stack for the fiber that takes in what comes: nobody waits for it. */
static int without_stacks(void *arg)
{
    enum { MANY = 40 };
    weft_id f[MANY], s[2];
    char block[1];

    (void)arg;
    connect_pair(&s[0], &s[1]);
    for (int i = 0; i < MANY; i++)
        CHECK_OK(weft_spawn(&f[i], parks, NULL));
    for (int i = 0; i < 2 * MANY; i++) /* a newborn runs between two turns of ours */
        CHECK_OK(weft_yield());
    CHECK_OK(weft_flow_open(&ends[0].flow, s[0], ends[0].buffer, WINDOW, LOW));
    const ssize_t r = weft_flow_read(&ends[0].flow, block, 1, SOON);
    if (r != -EAGAIN && r != -ENOMEM)
        TEST_FAIL("a read of a flow without its fiber answered %zd", r);
    CHECK_EQ(weft_flow_write(&ends[0].flow, block, 1, SOON), r);
    CHECK_OK(weft_flow_close(&ends[0].flow));
    for (int i = 0; i < MANY; i++) {
        (void)weft_unpark(f[i]);
        CHECK_OK(weft_join(f[i], NULL, SOON));
    }
    return 0;
}

static int arguments(void *arg)
{
    weft_id s[2];

    (void)arg;
    connect_pair(&s[0], &s[1]);
    CHECK_ERR(weft_flow_open(&ends[0].flow, s[0], NULL, WINDOW, LOW), -EINVAL);
    CHECK_ERR(weft_flow_open(&ends[0].flow, s[0], ends[0].buffer, 0, 0), -EINVAL);
    CHECK_ERR(weft_flow_open(&ends[0].flow, s[0], ends[0].buffer, WINDOW, WINDOW), -EINVAL);
    CHECK_ERR(weft_flow_open(&ends[0].flow, s[0], ends[0].buffer, WEFT_FLOW_MAX, 1), -EINVAL);
    CHECK_ERR(weft_flow_open(&ends[0].flow, WEFT_NOID, ends[0].buffer, WINDOW, LOW), -EBADF);
    CHECK_OK(weft_flow_close(&ends[0].flow)); /* one that was not opened */
    return 0;
}

static const test_case cases[] = {
    CASE(arguments), CASE(both_ways), CASE(without_credit), CASE(peer_goes), CASE(breaks_the_contract), CASE(torn),
    CASE(finished_meanwhile),
};

int main(int argc, char **argv)
{
    if (argc < 2)
        run_case(&(test_case)CASE(without_stacks), &(weft_options){.workers = 2, .max_stacks = 16});
    return RUN(cases, argc, argv);
}
