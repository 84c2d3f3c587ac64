/* The explorer's flows: credits over a byte stream, in both directions at once. What was written comes in its
 * order and to its end, no more of it is ever under way than the reader has room for, and nobody waits for
 * ever, also when one end is killed. */
#include "sim/sync/explore.h"

#include <weft/flow.h>

enum { WINDOW = 48, BYTES = 200, PIECE = 60 };

static char address[WEFT_ADDR_TEXT];
static uint32_t there, broken, over[2];

typedef struct end {
    weft_flow flow;
    int mine;
} end;

static unsigned char pattern(uint32_t i, int from) { return (unsigned char)(i * 7 + i / 250 + (uint32_t)from); }

static int connects(int mine, weft_id *sock)
{
    weft_addr addr;
    weft_id l;
    int r;

    if (mine == 0) {
        CHECK_OK(weft_listen(&l, "127.0.0.1:0", NULL));
        CHECK_OK(weft_local_addr(l, &addr));
        weft_addr_format(&addr, address, sizeof address);
        set(&there, 1);
        while ((r = weft_accept(l, sock, NULL, weft_after(50 * WEFT_MICROSECOND))) == -ETIMEDOUT && !look(&broken))
            ;
        return r;
    }
    while (!look(&there)) {
        if (look(&broken))
            return -EPIPE;
        CHECK_OK(weft_sleep(weft_after(2 * WEFT_MICROSECOND)));
    }
    return weft_connect(sock, address, WEFT_NEVER);
}

static int writes(void *arg)
{
    end *e = arg;
    unsigned char buf[PIECE];
    int r = 0;

    for (uint32_t at = 0; at < BYTES && r >= 0;) {
        uint32_t n = 1 + (uint32_t)any(PIECE);
        if (n > BYTES - at)
            n = BYTES - at;
        for (uint32_t i = 0; i < n; i++)
            buf[i] = pattern(at + i, e->mine);
        const ssize_t sent = weft_flow_write(&e->flow, buf, n, WEFT_NEVER);
        r = sent < 0 ? (int)sent : 0;
        at += sent > 0 ? (uint32_t)sent : 0;
        sometimes_yield();
    }
    if (r == 0)
        r = weft_flow_finish(&e->flow, WEFT_NEVER);
    CHECK(r == 0 || look(&broken));
    return 0;
}

static void reads(end *e)
{
    unsigned char buf[PIECE];
    uint32_t at = 0;
    ssize_t n;

    do {
        n = weft_flow_read(&e->flow, buf, 1 + any(PIECE - 1), some_deadline());
        for (ssize_t i = 0; i < n; i++)
            CHECK_EQ(buf[i], pattern(at++, !e->mine));
        sometimes_yield();
    } while (n > 0 || n == -ETIMEDOUT);
    CHECK(look(&broken) || (n == 0 && at == BYTES));
}

static int flows(void *arg)
{
    end e = {.mine = (int)(intptr_t)arg};
    unsigned char room[WINDOW];
    const size_t window = 1 + any(WINDOW);
    weft_flow_info info;
    weft_id sock, writer;

    if (connects(e.mine, &sock) < 0) {
        CHECK(look(&broken));
        return 0;
    }
    const int r = weft_flow_open(&e.flow, sock, room, window, any(window));
    CHECK(r == 0 || look(&broken));
    if (r == 0) {
        CHECK_OK(weft_spawn(&writer, writes, &e));
        reads(&e);
        joined(writer);
        weft_flow_look(&e.flow, &info);
        CHECK(info.most <= window);
    }
    set(&over[e.mine], 1);
    while (!look(&over[!e.mine]) && !look(&broken)) /* a close with a grant unread would be a reset */
        CHECK_OK(weft_sleep(weft_after(5 * WEFT_MICROSECOND)));
    CHECK_OK(weft_flow_close(&e.flow));
    return weft_close(sock);
}

void with_flow(void)
{
    const uint64_t killed_one = any(6); /* 0, 1: who */
    weft_id l[2];

    there = broken = over[0] = over[1] = 0;
    for (intptr_t i = 0; i < 2; i++)
        CHECK_OK(weft_lane_spawn(&l[i], flows, (void *)i));
    if (killed_one < 2) {
        CHECK_OK(weft_sleep(weft_after((int64_t)any(200) * WEFT_MICROSECOND)));
        set(&broken, 1);
        (void)weft__lane_signal(weft_current(), l[killed_one], WEFT__SIG_KILL);
    }
    for (int i = 0; i < 2; i++)
        CHECK_OK(weft_lane_join(l[i], NULL, WEFT_NEVER));
}
