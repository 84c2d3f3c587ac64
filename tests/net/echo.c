/* An echo server of one lane a connection, and clients that count every byte: one connection, then 500 at once. */
#include "cases.h"

enum { CLIENTS = 500, ROUNDS = 10, MESSAGE = 200 };

static int session(void *arg)
{
    weft_id conn = *(weft_id *)arg;
    char buf[4096];
    for (;;) {
        ssize_t n = weft_read(conn, buf, sizeof buf, SOON);
        if (n <= 0)
            return (int)n;
        int r = weft_write_all(conn, buf, (size_t)n, NULL, SOON);
        if (r < 0)
            return r;
    }
}

typedef struct server {
    weft_id listener;
    int result;
} server;

static int serve(void *arg)
{
    server *s = arg;
    return weft_accept_each(s->listener, session, NULL);
}

typedef struct client {
    const char *address;
    unsigned seed;
} client;

static int talk(void *arg)
{
    client c = *(client *)arg;
    unsigned char out[MESSAGE], in[MESSAGE];
    weft_id sock;
    CHECK_OK(weft_connect(&sock, c.address, SOON));
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < sizeof out; i++)
            out[i] = (unsigned char)(c.seed * 31 + (unsigned)round * 7 + i);
        size_t done = 0;
        CHECK_OK(weft_write_all(sock, out, sizeof out, &done, SOON));
        CHECK_EQ(done, sizeof out);
        CHECK_OK(weft_read_all(sock, in, sizeof in, &done, SOON));
        CHECK_EQ(done, sizeof in);
        CHECK(memcmp(out, in, sizeof in) == 0);
    }
    CHECK_OK(weft_close(sock));
    return 0;
}

static int echo_with(int clients)
{
    char address[WEFT_ADDR_TEXT];
    server s = {listen_here(address), 0};
    weft_id accepting, lane[CLIENTS];
    int result;
    CHECK_OK(weft_spawn(&accepting, serve, &s));
    for (int i = 0; i < clients; i++) {
        client c = {address, (unsigned)i};
        CHECK_OK(weft_lane_spawn_with(&lane[i], talk, &c, .copy = sizeof c));
    }
    for (int i = 0; i < clients; i++) {
        CHECK_OK(weft_lane_join(lane[i], &result, WEFT_NEVER));
        CHECK_EQ(result, 0);
    }
    CHECK_OK(weft_cancel(accepting));
    CHECK_OK(weft_join(accepting, &result, WEFT_NEVER));
    CHECK_EQ(result, 0); /* all clients have closed, so every session has ended by itself */
    return 0;
}

static int one_connection(void *arg)
{
    (void)arg;
    return echo_with(1);
}

static int five_hundred_connections(void *arg)
{
    (void)arg;
    return echo_with(CLIENTS);
}

static const test_case cases[] = {CASE(one_connection), CASE(five_hundred_connections)};

int main(int argc, char **argv) { return RUN(cases, argc, argv); }
