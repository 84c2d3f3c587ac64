/* weft_read_buffer: received bytes in buffers of the port's own. */
#include "cases.h"

#include <sys/socket.h>

static int a_buffer_holds_what_was_sent(void *arg)
{
    (void)arg;
    weft_id a, b;
    weft_buffer buffer;
    connect_pair(&a, &b);
    CHECK_EQ(weft_write(a, "hello", 5, SOON), 5);
    CHECK_EQ(weft_read_buffer(b, &buffer, SOON), 5);
    CHECK_EQ(buffer.len, 5);
    CHECK(memcmp(buffer.data, "hello", 5) == 0);
    weft_port_release(&buffer);
    CHECK(buffer.data == NULL);
    CHECK_ERR(weft_read_buffer(b, &buffer, weft_after(5 * WEFT_MILLISECOND)), -ETIMEDOUT);
    CHECK_EQ(weft_write(a, "again", 5, SOON), 5);
    CHECK_EQ(weft_read_buffer(b, &buffer, SOON), 5);
    weft_port_release(&buffer);
    CHECK_OK(weft_close(a));
    CHECK_EQ(weft_read_buffer(b, &buffer, SOON), 0);
    CHECK_EQ(weft_read_buffer(b, &buffer, SOON), 0); /* and again */
    CHECK_ERR(weft_read_buffer(b, NULL, SOON), -EINVAL);
    return 0;
}

static int other_reads_are_refused_meanwhile(void *arg)
{
    (void)arg;
    weft_id a, b;
    weft_buffer buffer;
    char c;
    struct iovec iov = {&c, 1};
    connect_pair(&a, &b);
    CHECK_EQ(weft_write(a, "x", 1, SOON), 1);
    CHECK_EQ(weft_read_buffer(b, &buffer, SOON), 1);
    CHECK_ERR(weft_read(b, &c, 1, SOON), -EBUSY);
    CHECK_ERR(weft_readv(b, &iov, 1, SOON), -EBUSY);
    CHECK_ERR(weft_read_all(b, &c, 1, NULL, SOON), -EBUSY);
    CHECK_EQ(weft_write(b, "y", 1, SOON), 1); /* writing is another matter */
    CHECK_EQ(weft_read(a, &c, 1, SOON), 1);
    weft_port_release(&buffer);
    return 0;
}

static int read_one(void *arg)
{
    weft_buffer buffer;
    ssize_t n = weft_read_buffer(*(weft_id *)arg, &buffer, WEFT_NEVER);
    if (n > 0)
        weft_port_release(&buffer);
    return (int)n;
}

static int one_reader_at_a_time(void *arg)
{
    (void)arg;
    weft_id a, b, fiber;
    weft_buffer buffer;
    int result;
    connect_pair(&a, &b);
    CHECK_OK(weft_spawn(&fiber, read_one, &b));
    CHECK_OK(weft_yield());
    CHECK_ERR(weft_read_buffer(b, &buffer, SOON), -EBUSY);
    CHECK_EQ(weft_write(a, "xyz", 3, SOON), 3);
    CHECK_OK(weft_join(fiber, &result, SOON));
    CHECK_EQ(result, 3);
    return 0;
}

static int a_reset_shows_after_what_came_before(void *arg)
{
    (void)arg;
    weft_id a, b;
    weft_buffer buffer;
    connect_pair(&a, &b);
    CHECK_ERR(weft_read_buffer(b, &buffer, WEFT_NOW), -ETIMEDOUT); /* armed from here on */
    CHECK_EQ(weft_write(a, "x", 1, SOON), 1);
    CHECK_EQ(weft_read_buffer(b, &buffer, SOON), 1);
    weft_port_release(&buffer);
    CHECK_OK(weft_sock_set(a, WEFT_LINGER_S, 0));
    CHECK_OK(weft_close(a));
    CHECK_ERR(weft_read_buffer(b, &buffer, SOON), -ECONNRESET);
    CHECK_ERR(weft_read_buffer(b, &buffer, SOON), -ECONNRESET);
    return 0;
}

/* ---- bulk ---- */

enum { BULK = 6 << 20, PIECE = 64 << 10 };

static unsigned char pattern(size_t i) { return (unsigned char)(i * 2654435761u >> 23); }

typedef struct source {
    weft_id sock;
    size_t piece;
    size_t total;
    int pause;
} source;

static int send_pattern(void *arg)
{
    source *s = arg;
    unsigned char *buf = malloc(s->piece);
    CHECK(buf);
    for (size_t at = 0; at < s->total; at += s->piece) {
        for (size_t i = 0; i < s->piece; i++)
            buf[i] = pattern(at + i);
        CHECK_OK(weft_write_all(s->sock, buf, s->piece, NULL, SOON));
        if (s->pause)
            CHECK_OK(weft_yield());
    }
    free(buf);
    CHECK_OK(weft_shutdown(s->sock, SHUT_WR));
    return 0;
}

/* Every byte arrives once and in its place, whether the reader is quick or slow. */
static size_t receive_pattern(weft_id sock, int slow)
{
    size_t at = 0;
    weft_buffer buffer;
    ssize_t n;
    while ((n = weft_read_buffer(sock, &buffer, SOON)) > 0) {
        for (size_t i = 0; i < buffer.len; i++)
            if (((unsigned char *)buffer.data)[i] != pattern(at + i))
                TEST_FAIL("byte %zu is wrong", at + i);
        at += buffer.len;
        weft_port_release(&buffer);
        if (slow)
            CHECK_OK(weft_sleep(weft_after(200 * WEFT_MICROSECOND)));
    }
    CHECK_EQ(n, 0);
    return at;
}

static int transfer(size_t piece, size_t total, int slow)
{
    weft_id a, b, fiber;
    connect_pair(&a, &b);
    source s = {.sock = a, .piece = piece, .total = total, .pause = !slow};
    CHECK_OK(weft_spawn(&fiber, send_pattern, &s));
    CHECK_EQ(receive_pattern(b, slow), total);
    return weft_join(fiber, NULL, SOON);
}

static int a_quick_reader_gets_every_byte(void *arg)
{
    (void)arg;
    return transfer(PIECE, BULK, 0);
}

static int a_slow_reader_gets_every_byte(void *arg)
{
    (void)arg;
    return transfer(PIECE, BULK / 4, 1);
}

static int small_pieces_arrive_in_order(void *arg)
{
    (void)arg;
    return transfer(97, 97 * 3000, 0) || transfer(97, 97 * 3000, 1);
}

/* Each keeps a few buffers before it is held up, and together that is more than there are: some are asked to stop as the
 * port runs out, and none is the worse for it. */
static int carry(void *arg)
{
    (void)arg;
    return transfer(PIECE, (size_t)4 * PIECE, 1);
}

static int many_streams_share_few_buffers(void *arg)
{
    enum { STREAMS = 40 };
    weft_id fiber[STREAMS];
    for (int i = 0; i < STREAMS; i++)
        CHECK_OK(weft_spawn(&fiber[i], carry, arg));
    for (int i = 0; i < STREAMS; i++) {
        int result;
        CHECK_OK(weft_join(fiber[i], &result, SOON));
        CHECK_OK(result);
    }
    return 0;
}

/* Nobody reads: what is kept has a bound, so the peer comes to a stop although it never waits for anything. */
static int a_peer_is_held_up_when_nobody_reads(void *arg)
{
    (void)arg;
    weft_id a, b;
    weft_buffer buffer;
    size_t sent = 0;
    ssize_t n;
    char *piece = calloc(1, PIECE);
    CHECK(piece);
    connect_pair(&a, &b);
    CHECK_OK(weft_sock_set(a, WEFT_SNDBUF, 65536));
    CHECK_OK(weft_sock_set(b, WEFT_RCVBUF, 65536));
    CHECK_ERR(weft_read_buffer(b, &buffer, WEFT_NOW), -ETIMEDOUT); /* armed */
    while ((n = weft_write(a, piece, PIECE, weft_after(100 * WEFT_MILLISECOND))) > 0) {
        sent += (size_t)n;
        CHECK(sent < 64 << 20); /* it would never end */
    }
    CHECK_EQ(n, -ETIMEDOUT);
    CHECK_OK(weft_close(a));
    size_t got = 0;
    while ((n = weft_read_buffer(b, &buffer, SOON)) > 0) {
        got += buffer.len;
        weft_port_release(&buffer);
    }
    CHECK_EQ(n, 0);
    CHECK_EQ(got, sent);
    free(piece);
    return 0;
}

/* ---- ends ---- */

static int what_nobody_read_is_given_back(void *arg)
{
    (void)arg;
    for (int i = 0; i < 300; i++) { /* more buffers than the port has, if they were lost */
        weft_id a, b;
        weft_buffer buffer;
        char text[5000] = {0};
        connect_pair(&a, &b);
        CHECK_OK(weft_write_all(a, text, sizeof text, NULL, SOON));
        CHECK(weft_read_buffer(b, &buffer, SOON) > 0);
        weft_port_release(&buffer);
        if (i % 2)
            CHECK_OK(weft_write_all(a, text, sizeof text, NULL, SOON));
        if (i % 3 == 0)
            CHECK_OK(weft_yield());
        CHECK_OK(weft_close(b));
        CHECK_OK(weft_close(a));
    }
    return 0;
}

static int leave_it_open(void *arg)
{
    weft_id a, b;
    weft_buffer buffer;
    connect_pair(&a, &b);
    CHECK_OK(weft_write_all(a, "left behind", 11, NULL, SOON));
    CHECK_ERR(weft_read_buffer(b, &buffer, arg ? WEFT_NOW : SOON), 11);
    weft_port_release(&buffer);
    CHECK_OK(weft_write_all(a, "unread", 6, NULL, SOON));
    return 0;
}

static int a_lanes_end_gives_it_back_too(void *arg)
{
    (void)arg;
    for (int i = 0; i < 300; i++) {
        weft_id lane;
        int result;
        CHECK_OK(weft_lane_spawn(&lane, leave_it_open, NULL));
        CHECK_OK(weft_lane_join(lane, &result, SOON));
        CHECK_EQ(result, 0);
    }
    return 0;
}

static int a_close_ends_the_readers_wait(void *arg)
{
    (void)arg;
    for (int i = 0; i < 20; i++) {
        weft_id a, b, fiber;
        int result;
        connect_pair(&a, &b);
        CHECK_OK(weft_spawn(&fiber, read_one, &b));
        for (int k = 0; k <= i % 4; k++)
            CHECK_OK(weft_yield());
        if (i % 2)
            CHECK_EQ(weft_write(a, "x", 1, SOON), 1);
        CHECK_OK(weft_close(b));
        CHECK_OK(weft_join(fiber, &result, SOON));
        CHECK(result == -ECANCELED || (i % 2 && result == 1));
    }
    return 0;
}

static const test_case cases[] = {
    CASE(a_buffer_holds_what_was_sent), CASE(other_reads_are_refused_meanwhile), CASE(one_reader_at_a_time),
    CASE(a_reset_shows_after_what_came_before), CASE(a_quick_reader_gets_every_byte),
    CASE(a_slow_reader_gets_every_byte), CASE(small_pieces_arrive_in_order), CASE(many_streams_share_few_buffers),
    CASE(a_peer_is_held_up_when_nobody_reads), CASE(what_nobody_read_is_given_back),
    CASE(a_lanes_end_gives_it_back_too), CASE(a_close_ends_the_readers_wait)};

int main(int argc, char **argv) { return RUN(cases, argc, argv); }
