/* The explorer's reads and writes of a socket: every byte comes once and in its order, whatever cuts the calls short:
 * deadlines, scopes, short results, a sibling that reads as well or closes, a kill. Mostly on ports that try and wait
 * for readiness (src/lane/transfer.c). */
#include "sim/sync/explore.h"

enum { BYTES = 3000, PIECE = 700 };

static char address[WEFT_ADDR_TEXT];
static uint32_t there, broken, count, sum;

static unsigned char pattern(uint32_t i) { return (unsigned char)(i * 31 + i / 251); }

/* As any call that waits; -ETIMEDOUT: nothing so far. */
static ssize_t reads_some(weft_id sock, unsigned char *buf, size_t n)
{
    const struct iovec halves[] = {{buf, n / 2}, {buf + n / 2, n - n / 2}};
    weft_scope scope;
    ssize_t r;

    switch (any(6)) {
    case 0:
        return weft_read(sock, buf, n, WEFT_NOW);
    case 1:
        return weft_readv(sock, halves, 2, some_deadline());
    case 2:
        CHECK_OK(weft_scope_enter(&scope, some_deadline()));
        r = weft_read(sock, buf, n, WEFT_NEVER);
        return weft_scope_leave(&scope) == -ETIMEDOUT && r == -ECANCELED ? -ETIMEDOUT : r;
    default:
        return weft_read(sock, buf, n, some_deadline());
    }
}

static ssize_t writes_some(weft_id sock, unsigned char *buf, size_t n)
{
    const struct iovec halves[] = {{buf, n / 2}, {buf + n / 2, n - n / 2}};

    return any(3) ? weft_write(sock, buf, n, some_deadline()) : weft_writev(sock, halves, 2, some_deadline());
}

/* All of it; 0, or why not. */
static int writes_all(weft_id sock, unsigned char *buf, size_t n)
{
    for (size_t done = 0; done < n;) {
        const ssize_t r = writes_some(sock, buf + done, n - done);
        CHECK(r != 0);
        if (r < 0 && r != -ETIMEDOUT)
            return (int)r;
        done += r > 0 ? (size_t)r : 0;
    }
    return 0;
}

static int echoes(void *arg)
{
    unsigned char buf[PIECE];
    weft_id l, sock;
    weft_addr addr;
    ssize_t n;
    int r;

    (void)arg;
    CHECK_OK(weft_listen(&l, "127.0.0.1:0", NULL));
    CHECK_OK(weft_local_addr(l, &addr));
    weft_addr_format(&addr, address, sizeof address);
    set(&there, 1);
    while ((r = weft_accept(l, &sock, NULL, weft_after(50 * WEFT_MICROSECOND))) == -ETIMEDOUT)
        if (look(&broken))
            return 0;
    CHECK_OK(r);
    do {
        n = reads_some(sock, buf, 1 + any(PIECE));
        if (n > 0 && writes_all(sock, buf, (size_t)n) < 0)
            break;
    } while (n > 0 || n == -ETIMEDOUT);
    CHECK(n == 0 || look(&broken));
    return 0;
}

static int sends(void *arg)
{
    const weft_id sock = *(weft_id *)arg;
    unsigned char buf[PIECE];

    for (uint32_t at = 0; at < BYTES;) {
        uint32_t n = 1 + (uint32_t)any(PIECE);
        if (n > BYTES - at)
            n = BYTES - at;
        for (uint32_t i = 0; i < n; i++)
            buf[i] = pattern(at + i);
        if (writes_all(sock, buf, n) < 0) {
            CHECK(look(&broken));
            return 0;
        }
        at += n;
    }
    CHECK(weft_shutdown(sock, 1) == 0 || look(&broken));
    return 0;
}

/* To the end; alone, or a part of it. */
static void reads_to_the_end(weft_id sock, int alone)
{
    unsigned char buf[PIECE];
    ssize_t n;

    do {
        n = reads_some(sock, buf, 1 + any(PIECE));
        for (ssize_t i = 0; i < n; i++) {
            CHECK(!alone || buf[i] == pattern(count));
            sum += buf[i];
            count++;
        }
        CHECK(count <= BYTES);
    } while (n > 0 || n == -ETIMEDOUT);
    CHECK(n == 0 || look(&broken));
}

static int reads_too(void *arg)
{
    reads_to_the_end(*(weft_id *)arg, 0);
    return 0;
}

static int closes(void *arg)
{
    CHECK_OK(weft_sleep(weft_after((int64_t)any(100) * WEFT_MICROSECOND)));
    set(&broken, 1);
    return weft_close(*(weft_id *)arg);
}

static int asks(void *arg)
{
    const uint64_t beside = any(4); /* 0: another reader; 1: it is closed */
    weft_id sock, writer, sibling;
    int r;

    (void)arg;
    while (!look(&there)) {
        if (look(&broken))
            return 0;
        CHECK_OK(weft_yield());
    }
    r = weft_connect(&sock, address, WEFT_NEVER);
    if (r < 0) {
        CHECK(look(&broken));
        return 0;
    }
    CHECK_OK(weft_spawn(&writer, sends, &sock));
    if (beside < 2)
        CHECK_OK(weft_spawn(&sibling, beside == 0 ? reads_too : closes, &sock));
    reads_to_the_end(sock, beside != 0);
    joined(writer);
    if (beside < 2)
        joined(sibling);
    if (beside != 1)
        CHECK_OK(weft_close(sock));
    return 0;
}

void with_transfers(void)
{
    const uint64_t killed_one = any(6); /* 0, 1: who */
    weft_id l[2];
    uint32_t whole = 0;

    there = broken = count = sum = 0;
    CHECK_OK(weft_lane_spawn(&l[0], echoes, NULL));
    CHECK_OK(weft_lane_spawn(&l[1], asks, NULL));
    if (killed_one < 2) {
        CHECK_OK(weft_sleep(weft_after((int64_t)any(150) * WEFT_MICROSECOND)));
        set(&broken, 1);
        (void)weft__lane_signal(weft_current(), l[killed_one], WEFT__SIG_KILL);
    }
    for (int i = 0; i < 2; i++)
        CHECK_OK(weft_lane_join(l[i], NULL, WEFT_NEVER));
    for (uint32_t i = 0; i < BYTES; i++)
        whole += pattern(i);
    CHECK(look(&broken) || (count == BYTES && sum == whole));
}
