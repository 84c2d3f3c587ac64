/* The explorer's select over I/O, messages and a channel, with a peer that may break off and a lane
 * that may be killed. */
#include "sim/sync/explore.h"

static char io_address[WEFT_ADDR_TEXT];
static weft_channel ch;
static weft_event ping;
static uint32_t out, in;
static uint32_t bytes_sent, bytes_got, broken, mail_sent, mail_got;
static weft_id io_lane;
static int io_room[EACH];
static unsigned char junk[64];

static int is_peer(void *arg)
{
    weft_id sock;

    (void)arg;
    CHECK_OK(weft_connect(&sock, io_address, WEFT_NEVER));
    for (int i = 0; i < EACH; i++) {
        const int x = i + 1;
        sometimes_yield();
        switch (any(4)) {
        case 0:
            if (weft_channel_try_send(&ch, &x) == 0)
                add(&out, 1);
            break;
        case 1:
            if (weft_send(io_lane, &x, sizeof x, NULL) == 0)
                add(&mail_sent, 1);
            break;
        case 2:
            CHECK_OK(weft_sleep(weft_after((int64_t)any(20) * WEFT_MICROSECOND)));
            break;
        default:
            break;
        }
        weft_case room = WEFT_CAN_WRITE(sock);
        if (any(2))
            CHECK_EQ(weft_select(&room, 1, WEFT_NEVER), 0); /* there is some, or the reader has gone */
        const uint32_t n = 1 + (uint32_t)any(sizeof junk - 1);
        if (weft_write_all(sock, junk, n, NULL, WEFT_NEVER) == 0)
            add(&bytes_sent, n);
        else
            set(&broken, 1);
    }
    if (any(5) == 0) {
        set(&broken, 1); /* what is under way may be lost */
        CHECK_OK(weft_sock_set(sock, WEFT_LINGER_S, 0));
    }
    return weft_close(sock);
}

/* A sibling that takes messages away from under it. */
static int takes_messages(void *arg)
{
    /* So often without waiting, and so perhaps while a select that has been told makes an end. */
    int looks = any(2) ? 20 : 0;
    weft_message *msg;

    (void)arg;
    for (int r; (r = weft_receive(&msg, looks ? WEFT_NOW : some_deadline())) != -ECANCELED;) {
        if (r == 0) {
            CHECK_OK(weft_msg_free(msg));
            add(&mail_got, 1);
        }
        if (looks) {
            looks -= r == 0 || any(2) == 0;
            CHECK_OK(weft_yield());
        } else if (r == 0) {
            sometimes_yield();
        }
    }
    return 0;
}

/* Until the stream has ended and all else that was sent has come. */
static int selects_io(void *arg)
{
    weft_id l = *(weft_id *)arg, sock = WEFT_NOID, peer, sibling;
    weft_case k[5] = {{.kind = WEFT_CASE_ACCEPT, .id = l, .data = &sock}};
    weft_addr addr;
    int over = 0, x;

    CHECK_OK(weft_listen(&l, "127.0.0.1:0", NULL));
    CHECK_OK(weft_local_addr(l, &addr));
    weft_addr_format(&addr, io_address, sizeof io_address);
    CHECK_OK(weft_lane_spawn(&peer, is_peer, NULL));
    CHECK_OK(weft_spawn(&sibling, takes_messages, NULL));
    k[0].id = l;
    if (any(2))
        k[0] = WEFT_CAN_ACCEPT(l);
    CHECK_EQ(weft_select(k, 1, WEFT_NEVER), 0);
    CHECK_OK(k[0].result);
    if (k[0].kind == WEFT_CASE_ACCEPTABLE)
        CHECK_OK(weft_accept(l, &sock, NULL, WEFT_NEVER)); /* nobody else does */
    const int whole = any(2) == 0;
    while (!over) {
        weft_buffer buf = {0};
        weft_message *msg = NULL;
        k[0] = WEFT_RECEIVE(&ch, &x);
        k[1] = whole ? WEFT_BUFFER(sock, &buf) : WEFT_CAN_READ(sock);
        k[2] = WEFT_MESSAGE(&msg);
        k[3] = WEFT_PASS(&ping);
        k[4] = WEFT_JOIN_LANE(peer);
        const int r = any(3) ? weft_select(k, 4, some_deadline()) : weft_select_ordered(k, 4, some_deadline());
        if (r == -ETIMEDOUT)
            continue;
        CHECK_OK(r);
        if (r == 0) {
            add(&in, 1);
        } else if (r == 1 && whole) {
            over = k[1].result <= 0;
            CHECK(k[1].result >= 0 || look(&broken));
            if (k[1].result > 0)
                weft_port_release(&buf);
            add(&bytes_got, k[1].result > 0 ? (uint32_t)k[1].result : 0);
        } else if (r == 1) {
            /* Never waits: it is readable, and nobody else reads. */
            const ssize_t n = weft_read(sock, junk, sizeof junk, WEFT_NEVER);
            CHECK(n >= 0 || look(&broken));
            over = n <= 0;
            add(&bytes_got, n > 0 ? (uint32_t)n : 0);
        } else if (r == 2) {
            CHECK_OK(k[2].result);
            CHECK_OK(weft_msg_free(msg));
            add(&mail_got, 1);
        }
    }
    CHECK_OK(weft_cancel(sibling));
    joined(sibling);
    CHECK_EQ(weft_select(k + 4, 1, WEFT_NEVER), 0); /* the peer */
    for (weft_message *msg; weft_receive(&msg, WEFT_NOW) == 0; add(&mail_got, 1))
        CHECK_OK(weft_msg_free(msg));
    return 0;
}

void with_select_io(void)
{
    const int killed_too = any(4) == 0;
    int y, r;

    CHECK_OK(weft_channel_init(&ch, sizeof(int), EACH, io_room));
    CHECK_OK(weft_event_init(&ping, WEFT_EVENT_AUTO, 0));
    out = in = bytes_sent = bytes_got = broken = mail_sent = mail_got = 0;
    CHECK_OK(weft_lane_spawn_with(&io_lane, selects_io, &io_lane, .copy = sizeof io_lane));
    if (killed_too) {
        CHECK_OK(weft_sleep(weft_after((int64_t)any(60) * WEFT_MICROSECOND)));
        set(&broken, 1);
        (void)weft_kill(io_lane);
    }
    if (any(2))
        CHECK(weft_event_set(&ping) <= 1);
    CHECK_OK(weft_lane_join(io_lane, &r, WEFT_NEVER));
    CHECK(r == 0 || (killed_too && r == -ECANCELED));
    while (weft_channel_try_receive(&ch, &y) == 0)
        in++;
    CHECK_EQ(in, out); /* a kill, too, loses none: there is always room for what comes back */
    CHECK(r != 0 || mail_got == mail_sent);
    CHECK(look(&broken) || bytes_got == bytes_sent);
}
