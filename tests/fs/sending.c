/* weft_sendfile: every byte of a file reaches the peer, and the caller knows how many did when something stops it. */
#include "net/cases.h"

#include <sys/socket.h>

static char folder[] = "/tmp/weft-send-XXXXXX";
static char path[64];

enum { SIZE = (1 << 20) + 12345 };

static unsigned char pattern(size_t i) { return (unsigned char)(i * 2654435761u >> 22); }

static weft_id make_file(void)
{
    static unsigned char data[SIZE];
    weft_id f;
    size_t at = 0;
    for (size_t i = 0; i < SIZE; i++)
        data[i] = pattern(i);
    CHECK_OK(weft_open(&f, path, WEFT_OPEN_READ | WEFT_OPEN_WRITE | WEFT_OPEN_CREATE | WEFT_OPEN_TRUNCATE, 0644, SOON));
    while (at < SIZE) {
        ssize_t n = weft_pwrite(f, data + at, SIZE - at, at, SOON);
        CHECK(n > 0);
        at += (size_t)n;
    }
    return f;
}

typedef struct reader {
    weft_id sock;
    size_t from, got, most;
    int slow;
} reader;

/* Reads to the end, or `most` bytes, and knows what each has to be. */
static int read_pattern(void *arg)
{
    reader *r = arg;
    unsigned char buf[9000];
    ssize_t n = 1;
    while (r->got < r->most && (n = weft_read(r->sock, buf, sizeof buf, SOON)) > 0) {
        for (ssize_t i = 0; i < n; i++)
            if (buf[i] != pattern(r->from + r->got + (size_t)i))
                TEST_FAIL("byte %zu is wrong", r->from + r->got + (size_t)i);
        r->got += (size_t)n;
        if (r->slow)
            CHECK_OK(weft_sleep(weft_after(500 * WEFT_MICROSECOND)));
    }
    CHECK(n >= 0);
    return 0;
}

static void send_range(size_t from, size_t n, int slow)
{
    weft_id a, b, f = make_file(), fiber;
    size_t done = 0;
    connect_pair(&a, &b);
    CHECK_OK(weft_sock_set(a, WEFT_SNDBUF, 32768));
    reader r = {.sock = b, .from = from, .most = SIZE_MAX, .slow = slow};
    CHECK_OK(weft_spawn(&fiber, read_pattern, &r));
    CHECK_OK(weft_sendfile(a, f, from, n, &done, SOON));
    CHECK_EQ(done, n);
    CHECK_OK(weft_close(a));
    CHECK_OK(weft_join(fiber, NULL, SOON));
    CHECK_EQ(r.got, n);
    CHECK_OK(weft_close(f));
    CHECK_OK(weft_close(b));
    CHECK_EQ(unlink(path), 0);
}

static int a_whole_file_arrives(void *arg)
{
    (void)arg;
    send_range(0, SIZE, 0);
    return 0;
}

static int a_slow_reader_gets_every_byte(void *arg)
{
    (void)arg;
    send_range(0, SIZE, 1);
    return 0;
}

static int a_part_of_a_file_arrives(void *arg)
{
    (void)arg;
    send_range(12345, 100000, 0);
    send_range(SIZE - 1, 1, 0);
    send_range(0, 0, 0);
    return 0;
}

static int a_file_that_is_too_short(void *arg)
{
    (void)arg;
    weft_id a, b, f = make_file(), fiber;
    size_t done = 77;
    connect_pair(&a, &b);
    reader r = {.sock = b, .from = SIZE - 1000, .most = SIZE_MAX};
    CHECK_OK(weft_spawn(&fiber, read_pattern, &r));
    CHECK_ERR(weft_sendfile(a, f, SIZE - 1000, 5000, &done, SOON), -ENODATA);
    CHECK_EQ(done, 1000);
    CHECK_ERR(weft_sendfile(a, f, SIZE + 5, 1, &done, SOON), -ENODATA);
    CHECK_EQ(done, 0);
    CHECK_OK(weft_close(a));
    CHECK_OK(weft_join(fiber, NULL, SOON));
    CHECK_EQ(r.got, 1000);
    CHECK_EQ(unlink(path), 0);
    return 0;
}

/* Nobody reads: the deadline ends it, and what was sent is known to the byte. */
static int a_deadline_tells_how_far_it_came(void *arg)
{
    (void)arg;
    weft_id a, b, f = make_file();
    size_t done = 0;
    connect_pair(&a, &b);
    CHECK_OK(weft_sock_set(a, WEFT_SNDBUF, 16384));
    CHECK_OK(weft_sock_set(b, WEFT_RCVBUF, 16384));
    size_t sum = 0;
    int r = 0;
    for (int i = 0; i < 100 && r == 0; i++) { /* what a system buffers has no bound that one knows */
        r = weft_sendfile(a, f, 0, SIZE, &done, weft_after(20 * WEFT_MILLISECOND));
        sum += done;
    }
    CHECK_EQ(r, -ETIMEDOUT);
    CHECK_OK(weft_close(a));
    char buf[65536];
    size_t got = 0;
    ssize_t n;
    while ((n = weft_read(b, buf, sizeof buf, SOON)) > 0)
        got += (size_t)n;
    CHECK_EQ(n, 0);
    CHECK_EQ(got, sum);
    CHECK_EQ(unlink(path), 0);
    return 0;
}

typedef struct sender {
    weft_id sock, file;
    size_t done;
    int result;
} sender;

static int send_all(void *arg)
{
    sender *s = arg;
    while ((s->result = weft_sendfile(s->sock, s->file, 0, SIZE, &s->done, WEFT_NEVER)) == 0)
        ;
    return 0;
}

static int a_peer_that_goes_ends_it(void *arg)
{
    (void)arg;
    weft_id a, b, fiber;
    sender s = {.file = make_file()};
    connect_pair(&a, &b);
    s.sock = a;
    CHECK_OK(weft_spawn(&fiber, send_all, &s));
    CHECK_OK(weft_sleep(weft_after(5 * WEFT_MILLISECOND)));
    CHECK_OK(weft_close(b)); /* unread bytes: a reset */
    CHECK_OK(weft_join(fiber, NULL, SOON));
    CHECK(s.result == -ECONNRESET || s.result == -EPIPE);
    CHECK_ERR(weft_sendfile(a, s.file, 0, 100, &s.done, SOON), -EPIPE); /* and nobody is sent a signal */
    CHECK_EQ(s.done, 0);
    CHECK_EQ(unlink(path), 0);
    return 0;
}

/* Until nothing more goes in, for nobody reads: who sends now waits. */
static void fill(weft_id sock)
{
    static const char zeros[65536];
    size_t done = 1;
    while (done > 0) {
        const int r = weft_write_all(sock, zeros, sizeof zeros, &done, weft_after(20 * WEFT_MILLISECOND));
        CHECK(r == 0 || r == -ETIMEDOUT);
    }
}

static int a_close_or_a_cancel_ends_it(void *arg)
{
    (void)arg;
    for (int i = 0; i < 6; i++) {
        weft_id a, b, fiber;
        sender s = {.file = make_file()};
        connect_pair(&a, &b);
        s.sock = a;
        fill(a);
        CHECK_OK(weft_spawn(&fiber, send_all, &s));
        weft_yield(); /* it comes as far as it can */
        CHECK_OK(i % 3 == 0 ? weft_close(a) : i % 3 == 1 ? weft_cancel(fiber) : weft_close(s.file));
        if (i % 3 == 2) /* what has left the file goes on: somebody has to read it */
            CHECK_OK(weft_close(b));
        CHECK_OK(weft_join(fiber, NULL, SOON));
        if (i % 3 == 2)
            CHECK(s.result < 0);
        else
            CHECK_EQ(s.result, -ECANCELED);
        CHECK_EQ(unlink(path), 0);
    }
    return 0;
}

/* A lane that sends to whom it connects to, over and over. */
static int sends_for_ever(void *at)
{
    sender s;
    CHECK_OK(weft_connect(&s.sock, at, SOON));
    CHECK_OK(weft_open(&s.file, path, WEFT_OPEN_READ, 0, SOON));
    return send_all(&s);
}

static int a_kill_ends_it(void *arg)
{
    (void)arg;
    for (int i = 0; i < 2; i++) {
        char at[WEFT_ADDR_TEXT], buf[65536];
        weft_id l = listen_here(at), f = make_file(), lane, sock;
        ssize_t n;
        CHECK_OK(weft_lane_spawn(&lane, sends_for_ever, at));
        CHECK_OK(weft_accept(l, &sock, NULL, SOON));
        reader r = {.sock = sock, .most = 100000};
        CHECK_OK(read_pattern(&r));
        CHECK_OK(weft_kill(lane));
        CHECK_OK(weft_lane_join(lane, NULL, SOON));
        while ((n = weft_read(sock, buf, sizeof buf, SOON)) > 0)
            ;
        CHECK(n == 0 || n == -ECONNRESET);
        CHECK_OK(weft_close(sock));
        CHECK_OK(weft_close(f));
        CHECK_OK(weft_close(l));
        CHECK_EQ(unlink(path), 0);
    }
    return 0;
}

static const test_case cases[] = {
    CASE(a_whole_file_arrives), CASE(a_slow_reader_gets_every_byte), CASE(a_part_of_a_file_arrives),
    CASE(a_file_that_is_too_short), CASE(a_deadline_tells_how_far_it_came), CASE(a_peer_that_goes_ends_it),
    CASE(a_close_or_a_cancel_ends_it), CASE(a_kill_ends_it)};

int main(int argc, char **argv)
{
    CHECK(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/file", folder);
    int r = RUN(cases, argc, argv);
    CHECK_EQ(rmdir(folder), 0);
    return r;
}
