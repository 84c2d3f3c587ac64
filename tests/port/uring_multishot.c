/* Streaming on the real kernel: many connections through few buffers, in each form the driver has for it. Every byte
 * arrives once and in order, buffers come back, an accept that goes on accepts everybody. */
#include "port/uring_bed.h"

#define CONNECTIONS 20u
#define BYTES 20000u /* to each */
#define HELD 8u      /* buffers the callee keeps for a while */

typedef struct reader {
    weft_op op;
    weft_desc d[2];
    unsigned sent, got;
} reader;

static bed port;
static reader readers[CONNECTIONS];
static weft_buffer held[HELD];
static unsigned held_count, most_len;

static uint8_t byte_at(unsigned reader_number, unsigned offset) { return (uint8_t)(reader_number * 31 + offset % 251); }

static void give_back_all(void)
{
    for (unsigned i = 0; i < held_count; i++)
        weft_port_release(&held[i]);
    held_count = 0;
}

static void hear(weft_op *op, int64_t result, weft_buffer *buffer)
{
    reader *r = weft__container(op, reader, op);
    const unsigned number = (unsigned)(r - readers);
    const uint8_t *data = buffer->data;
    CHECK(result > 0 && buffer->len == result);
    most_len = buffer->len > most_len ? buffer->len : most_len;
    for (unsigned i = 0; i < buffer->len; i++)
        CHECK_EQ(data[i], byte_at(number, r->got + i));
    r->got += buffer->len;
    if (held_count == HELD)
        give_back_all();
    held[held_count++] = *buffer;
}

static void send_some(reader *r)
{
    uint8_t out[700];
    const unsigned number = (unsigned)(r - readers);
    unsigned n = BYTES - r->sent < sizeof out ? BYTES - r->sent : (unsigned)sizeof out;
    for (unsigned i = 0; i < n; i++)
        out[i] = byte_at(number, r->sent + i);
    const ssize_t w = n ? write((int)r->d[1].handle, out, n) : 0;
    CHECK(w >= 0 || errno == EAGAIN);
    r->sent += w > 0 ? (unsigned)w : 0;
    if (r->sent == BYTES)
        shutdown((int)r->d[1].handle, SHUT_WR);
}

static void stream_through(const weft_port_config *config)
{
    port = (bed){0};
    most_len = 0;
    bed_open(&port, config);
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        readers[i] = (reader){0};
        bed_pair(readers[i].d);
        weft_op_recv_multi(&readers[i].op, &readers[i].d[0], hear);
        bed_start(&port, &readers[i].op);
    }
    const int64_t limit = bed_after(30 * WEFT_SECOND);
    for (unsigned turn = 0; port.done < CONNECTIONS; turn++) {
        CHECK(bed_now() < limit);
        for (unsigned i = 0; i < CONNECTIONS; i++)
            if ((turn + i) % 3)
                send_some(&readers[i]);
        weft__port_enter(&port.port, WEFT_NOW);
        if (turn % 5 == 0)
            give_back_all(); /* else receives wait for buffers */
    }
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        CHECK_EQ(readers[i].op.result, 0);
        CHECK_EQ(readers[i].got, BYTES);
        weft__desc_close(&port.port, &readers[i].d[0]);
        weft__desc_close(&port.port, &readers[i].d[1]);
    }
    give_back_all();
    CHECK_EQ(bed_ring(&port)->buffers.free, bed_ring(&port)->buffers.count);
    CHECK_EQ(bed_ring(&port)->stray, 0);
    bed_close(&port);
}

/* One connection that keeps every buffer stops itself and no other for longer than it keeps them. */
static void a_hoarder_is_waited_for(unsigned disable)
{
    bed b = {0};
    bed_open(&b, &(weft_port_config){.buffer_count = 4, .buffer_size = 256, .disable = disable});
    port = b; /* not used by hear */
    reader *r = &readers[0], *s = &readers[1];
    *r = *s = (reader){0};
    held_count = 0;
    bed_pair(r->d);
    bed_pair(s->d);
    weft_op_recv_multi(&r->op, &r->d[0], hear);
    weft_op_recv_multi(&s->op, &s->d[0], hear);
    bed_start(&b, &r->op);
    weft__port_enter(&b.port, WEFT_NOW);
    for (int i = 0; i < 3; i++)
        send_some(r); /* 2100 bytes: more than the four buffers take */
    while (held_count < 4)
        weft__port_enter(&b.port, WEFT_NOW);
    bed_start(&b, &s->op);
    send_some(s);
    const uint64_t entered = b.port.entered;
    for (int i = 0; i < 20; i++)
        weft__port_enter(&b.port, WEFT_NOW);
    CHECK_EQ(held_count, 4);
    CHECK_EQ(b.done, 0);
    CHECK(b.port.entered < entered + 10); /* nobody tries again and again */
    while (r->got < 2100 || s->got < 700) {
        give_back_all();
        weft__port_enter(&b.port, WEFT_NOW);
    }
    give_back_all();
    weft__port_cancel(&b.port, &r->op);
    weft__port_cancel(&b.port, &s->op);
    bed_await(&b, 2);
    CHECK_EQ(b.port.flying, 0);
    CHECK_EQ(r->op.result, -ECANCELED);
    for (int i = 0; i < 2; i++) {
        weft__desc_close(&b.port, &r->d[i]);
        weft__desc_close(&b.port, &s->d[i]);
    }
    bed_close(&b);
}

static int accepted[64];
static unsigned accepted_count;

static void on_accept(weft_op *op, int64_t handle, weft_buffer *buffer)
{
    (void)op;
    CHECK(handle >= 0 && !buffer && accepted_count < 64);
    accepted[accepted_count++] = (int)handle;
}

static void everybody_is_accepted(const weft_port_config *config)
{
    bed b = {0};
    weft_desc listener, client[40];
    weft_op accept, connect[40];
    weft_handle h;
    weft_addr at = {.family = WEFT_ADDR_IP6, .ip6 = {[15] = 1}};
    bed_open(&b, config);
    if (b.driver.listen(&b.port, &h, &at, &(weft_listen_flags){0}) < 0) {
        at = (weft_addr){.family = WEFT_ADDR_IP4, .ip4 = {127, 0, 0, 1}};
        CHECK_OK(b.driver.listen(&b.port, &h, &at, &(weft_listen_flags){0}));
    }
    CHECK_OK(b.driver.address(&b.port, h, 0, &at));
    weft__desc_init(&listener, h, WEFT_DESC_LISTENER);
    accepted_count = 0;
    weft_op_accept_multi(&accept, &listener, on_accept);
    bed_start(&b, &accept);
    for (unsigned i = 0; i < 40; i++) {
        CHECK_OK(b.driver.socket(&b.port, &h, &at));
        weft__desc_init(&client[i], h, WEFT_DESC_STREAM);
        weft_op_connect(&connect[i], &client[i], &at);
        bed_start(&b, &connect[i]);
    }
    const int64_t limit = bed_after(10 * WEFT_SECOND);
    while (b.done < 40 || accepted_count < 40) {
        CHECK(bed_now() < limit);
        weft__port_enter(&b.port, limit);
    }
    for (unsigned i = 0; i < 40; i++)
        CHECK_EQ(connect[i].result, 0);
    weft__desc_close(&b.port, &listener); /* cancels the accept */
    bed_await(&b, 41);
    CHECK_EQ(accept.result, -ECANCELED);
    for (unsigned i = 0; i < 40; i++) {
        CHECK(close(accepted[i]) == 0);
        weft__desc_close(&b.port, &client[i]);
    }
    bed_close(&b);
}

/* The address of who connected, for each family. */
static void peers_are_named(void)
{
    bed b = {0};
    weft_desc listener, client;
    weft_op accept, connect;
    weft_handle h;
    weft_addr at = {.family = WEFT_ADDR_IP4, .ip4 = {127, 0, 0, 1}}, mine, peer;
    bed_open(&b, NULL);
    CHECK_OK(b.driver.listen(&b.port, &h, &at, &(weft_listen_flags){0}));
    CHECK_OK(b.driver.address(&b.port, h, 0, &at));
    weft__desc_init(&listener, h, WEFT_DESC_LISTENER);
    CHECK_OK(b.driver.socket(&b.port, &h, &at));
    weft__desc_init(&client, h, WEFT_DESC_STREAM);
    weft_op_accept(&accept, &listener, &peer);
    weft_op_connect(&connect, &client, &at);
    bed_start(&b, &accept);
    bed_start(&b, &connect);
    bed_await(&b, 2);
    CHECK_OK(b.driver.address(&b.port, client.handle, 0, &mine));
    CHECK(peer.family == WEFT_ADDR_IP4 && peer.port == mine.port && memcmp(peer.ip4, mine.ip4, 4) == 0);
    close((int)accept.result);
    weft__desc_close(&b.port, &client);
    weft__desc_close(&b.port, &listener);

    /* A Unix client bound to a name longer than an op has room for. */
    at = (weft_addr){.family = WEFT_ADDR_UNIX};
    at.path_len = (uint16_t)(1 + snprintf(at.path + 1, sizeof at.path - 1, "weft-test-%d-listener", (int)getpid()));
    weft_addr named = {.family = WEFT_ADDR_UNIX};
    const int n = snprintf(named.path + 1, sizeof named.path - 1, "weft-test-%d-%060d", (int)getpid(), 7);
    named.path_len = (uint16_t)(1 + n);
    struct sockaddr_storage ss;
    unsigned len;
    CHECK_OK(b.driver.listen(&b.port, &h, &at, &(weft_listen_flags){0}));
    weft__desc_init(&listener, h, WEFT_DESC_LISTENER);
    CHECK_OK(b.driver.socket(&b.port, &h, &at));
    weft__desc_init(&client, h, WEFT_DESC_STREAM);
    CHECK_OK(weft__addr_to_sockaddr(&named, &ss, &len));
    CHECK(bind((int)h, (struct sockaddr *)&ss, len) == 0);
    weft_op_accept(&accept, &listener, &peer);
    weft_op_connect(&connect, &client, &at);
    bed_start(&b, &accept);
    bed_start(&b, &connect);
    bed_await(&b, 4);
    CHECK_EQ(connect.result, 0);
    CHECK(peer.family == WEFT_ADDR_UNIX && peer.path_len == named.path_len);
    CHECK(memcmp(peer.path, named.path, named.path_len) == 0);
    close((int)accept.result);
    weft__desc_close(&b.port, &client);
    weft__desc_close(&b.port, &listener);
    bed_close(&b);
}

int main(void)
{
    stream_through(&(weft_port_config){.buffer_count = 16, .buffer_size = 512});
    stream_through(&(weft_port_config){.buffer_count = 16, .buffer_size = 512, .disable = WEFT_URING_NO_DEFER});
    stream_through(&(weft_port_config){.buffer_count = 16, .buffer_size = 512, .disable = WEFT_URING_NO_MULTISHOT});
    stream_through(&(weft_port_config){.buffer_count = 16, .buffer_size = 512, .disable = WEFT_URING_NO_BUFRING});
    stream_through(&(weft_port_config){.buffer_count = 16, .buffer_size = 512, .entries = 4, .shared = 1});
    a_hoarder_is_waited_for(0);
    a_hoarder_is_waited_for(WEFT_URING_NO_MULTISHOT);
    a_hoarder_is_waited_for(WEFT_URING_NO_BUFRING);
    everybody_is_accepted(NULL);
    everybody_is_accepted(&(weft_port_config){.disable = WEFT_URING_NO_MULTISHOT});
    everybody_is_accepted(&(weft_port_config){.entries = 2});
    peers_are_named();
    return 0;
}
