/* What each call on a stream socket does when nothing goes wrong, and what it answers to a wrong id. */
#include "cases.h"

#include <sys/socket.h>

static int bytes_go_both_ways(void *arg)
{
    (void)arg;
    weft_id a, b;
    char buf[16];
    connect_pair(&a, &b);
    CHECK_EQ(weft_write(a, "hello", 5, SOON), 5);
    CHECK_EQ(weft_read(b, buf, sizeof buf, SOON), 5);
    CHECK(memcmp(buf, "hello", 5) == 0);
    CHECK_EQ(weft_write(b, "back", 4, SOON), 4);
    CHECK_EQ(weft_read(a, buf, 2, SOON), 2);
    CHECK_EQ(weft_read(a, buf + 2, sizeof buf - 2, SOON), 2);
    CHECK(memcmp(buf, "back", 4) == 0);
    return 0;
}

static int zero_bytes_answer_at_once(void *arg)
{
    (void)arg;
    weft_id a, b;
    connect_pair(&a, &b);
    CHECK_EQ(weft_read(a, NULL, 0, WEFT_NEVER), 0);
    CHECK_EQ(weft_write(a, NULL, 0, WEFT_NEVER), 0);
    CHECK_EQ(weft_readv(a, NULL, 0, WEFT_NEVER), 0);
    CHECK_EQ(weft_writev(a, NULL, 0, WEFT_NEVER), 0);
    CHECK_EQ(weft_write_all(a, NULL, 0, NULL, WEFT_NEVER), 0);
    CHECK_EQ(weft_writev_all(a, NULL, 0, NULL, WEFT_NEVER), 0);
    CHECK_EQ(weft_read_all(a, NULL, 0, NULL, WEFT_NEVER), 0);
    return 0;
}

static int vectors_scatter_and_gather(void *arg)
{
    (void)arg;
    weft_id a, b;
    char x[3], y[100], *texts[] = {"ab", "", "cde", "f"};
    connect_pair(&a, &b);
    struct iovec out[4], in[2] = {{x, sizeof x}, {y, sizeof y}};
    for (int i = 0; i < 4; i++)
        out[i] = (struct iovec){texts[i], strlen(texts[i])};
    CHECK_EQ(weft_writev(a, out, 4, SOON), 6);
    CHECK_EQ(weft_readv(b, in, 2, SOON), 6);
    CHECK(memcmp(x, "abc", 3) == 0 && memcmp(y, "def", 3) == 0);
    CHECK_ERR(weft_writev(a, out, 100000, SOON), -EINVAL);
    CHECK_ERR(weft_readv(a, in, 100000, SOON), -EINVAL);
    return 0;
}

enum { BULK = 3 << 20 };

typedef struct bulk {
    weft_id sock;
    unsigned char *data;
} bulk;

static int swallow(void *arg)
{
    bulk *b = arg;
    size_t done = 0;
    CHECK_OK(weft_read_all(b->sock, b->data, BULK, &done, SOON));
    CHECK_EQ(done, BULK);
    return 0;
}

/* Many vectors, among them empty ones, cut at any place by the kernel. */
static int all_of_many_vectors_is_written(void *arg)
{
    (void)arg;
    enum { COUNT = 300 };
    struct iovec iov[COUNT];
    unsigned char *out = malloc(BULK), *in = malloc(BULK);
    weft_id a, b, reader;
    size_t at = 0, done = 0;
    int result;
    CHECK(out && in);
    for (size_t i = 0; i < BULK; i++)
        out[i] = (unsigned char)(i * 2654435761u >> 24);
    for (size_t i = 0; i < COUNT; i++) {
        size_t n = i % 7 == 3 ? 0 : i + 1 == COUNT ? BULK - at : (BULK / COUNT / 2) + i * 13;
        iov[i] = (struct iovec){out + at, n};
        at += n;
    }
    CHECK_EQ(at, BULK);
    connect_pair(&a, &b);
    CHECK_OK(weft_sock_set(a, WEFT_SNDBUF, 16384));
    bulk sink = {b, in};
    CHECK_OK(weft_spawn(&reader, swallow, &sink));
    CHECK_OK(weft_writev_all(a, iov, COUNT, &done, SOON));
    CHECK_EQ(done, BULK);
    CHECK_OK(weft_join(reader, &result, SOON));
    CHECK(memcmp(in, out, BULK) == 0);
    free(in);
    free(out);
    return 0;
}

static int read_all_tells_how_far_it_came(void *arg)
{
    (void)arg;
    weft_id a, b;
    char buf[10];
    size_t done = 99;
    connect_pair(&a, &b);
    CHECK_OK(weft_write_all(a, "1234567", 7, &done, SOON));
    CHECK_EQ(done, 7);
    CHECK_OK(weft_read_all(b, buf, 3, &done, SOON));
    CHECK_EQ(done, 3);
    CHECK_OK(weft_close(a));
    CHECK_ERR(weft_read_all(b, buf, sizeof buf, &done, SOON), -EPIPE);
    CHECK_EQ(done, 4);
    CHECK(memcmp(buf, "4567", 4) == 0);
    return 0;
}

static int half_close(void *arg)
{
    (void)arg;
    weft_id a, b;
    char buf[10];
    connect_pair(&a, &b);
    CHECK_EQ(weft_write(a, "last", 4, SOON), 4);
    CHECK_OK(weft_shutdown(a, SHUT_WR));
    CHECK_ERR(weft_write(a, "x", 1, SOON), -EPIPE);
    CHECK_EQ(weft_read(b, buf, sizeof buf, SOON), 4);
    CHECK_EQ(weft_read(b, buf, sizeof buf, SOON), 0);
    CHECK_EQ(weft_read(b, buf, sizeof buf, SOON), 0); /* and again */
    CHECK_EQ(weft_write(b, "still", 5, SOON), 5);
    CHECK_EQ(weft_read(a, buf, sizeof buf, SOON), 5);
    CHECK_ERR(weft_shutdown(a, 3), -EINVAL);
    CHECK_ERR(weft_shutdown(a, -1), -EINVAL);
    CHECK_OK(weft_shutdown(b, SHUT_RDWR));
    CHECK_EQ(weft_read(a, buf, sizeof buf, SOON), 0);
    return 0;
}

static int a_peer_that_reset_is_an_error(void *arg)
{
    (void)arg;
    weft_id a, b;
    char buf[10];
    connect_pair(&a, &b);
    CHECK_OK(weft_sock_set(a, WEFT_LINGER_S, 0));
    CHECK_OK(weft_close(a));
    CHECK_ERR(weft_read(b, buf, sizeof buf, SOON), -ECONNRESET);
    CHECK_ERR(weft_write(b, "x", 1, SOON), -EPIPE);
    return 0;
}

static int both_ends_know_their_addresses(void *arg)
{
    (void)arg;
    weft_addr at, local, peer, other_local, other_peer, accepted;
    char text[WEFT_ADDR_TEXT];
    weft_id l = listen_here(text), a, b;
    CHECK_OK(weft_local_addr(l, &at));
    CHECK(at.port != 0);
    CHECK_OK(weft_connect_addr(&a, &at, SOON));
    CHECK_OK(weft_accept(l, &b, &accepted, SOON));
    CHECK_OK(weft_local_addr(a, &local));
    CHECK_OK(weft_peer_addr(a, &peer));
    CHECK_OK(weft_local_addr(b, &other_local));
    CHECK_OK(weft_peer_addr(b, &other_peer));
    CHECK_EQ(peer.port, at.port);
    CHECK_EQ(other_local.port, at.port);
    CHECK_EQ(other_peer.port, local.port);
    CHECK_EQ(accepted.port, local.port);
    CHECK_EQ(accepted.family, WEFT_ADDR_IP4);
    CHECK_EQ(accepted.ip4[0], 127);
    CHECK_ERR(weft_peer_addr(l, &peer), -ENOTCONN);
    CHECK_ERR(weft_local_addr(a, NULL), -EINVAL);
    CHECK_ERR(weft_peer_addr(a, NULL), -EINVAL);
    return 0;
}

static int options_are_kept(void *arg)
{
    (void)arg;
    weft_id a, b;
    int value = -1;
    connect_pair(&a, &b);
    CHECK_OK(weft_sock_get(a, WEFT_NODELAY, &value)); /* of who connects and of who accepts: nothing written waits */
    CHECK(value != 0);
    CHECK_OK(weft_sock_get(b, WEFT_NODELAY, &value));
    CHECK(value != 0);
    CHECK_OK(weft_sock_set(a, WEFT_NODELAY, 0));
    CHECK_OK(weft_sock_get(a, WEFT_NODELAY, &value));
    CHECK_EQ(value, 0);
    CHECK_OK(weft_sock_set(a, WEFT_KEEPALIVE, 1));
    CHECK_OK(weft_sock_get(a, WEFT_KEEPALIVE, &value));
    CHECK(value != 0);
    CHECK_OK(weft_sock_set(a, WEFT_RCVBUF, 20000));
    CHECK_OK(weft_sock_get(a, WEFT_RCVBUF, &value));
    CHECK(value >= 20000);
    CHECK_OK(weft_sock_get(a, WEFT_SOCKERR, &value));
    CHECK_EQ(value, 0);
    CHECK(weft_sock_set(a, (enum weft_sockopt)999, 1) < 0);
    CHECK_ERR(weft_sock_get(a, WEFT_NODELAY, NULL), -EINVAL);
    return 0;
}

static int nobody_listens(void *arg)
{
    (void)arg;
    char text[WEFT_ADDR_TEXT];
    weft_id l = listen_here(text), out = {1, 2, 3};
    CHECK_OK(weft_close(l));
    CHECK_ERR(weft_connect(&out, text, SOON), -ECONNREFUSED);
    CHECK(weft_id_equal(out, (weft_id){1, 2, 3})); /* untouched */
    CHECK_ERR(weft_connect(&out, "nonsense", SOON), -EINVAL);
    CHECK_ERR(weft_connect_addr(NULL, &(weft_addr){.family = WEFT_ADDR_IP4}, SOON), -EINVAL);
    CHECK(weft_connect_addr(&out, &(weft_addr){.family = 77}, SOON) < 0);
    return 0;
}

static int an_address_is_taken_once(void *arg)
{
    (void)arg;
    char text[WEFT_ADDR_TEXT];
    weft_id l = listen_here(text), other;
    CHECK_ERR(weft_listen(&other, text, NULL), -EADDRINUSE);
    CHECK_ERR(weft_listen(&other, "192.0.2.1:0", NULL), -EADDRNOTAVAIL);
    CHECK_OK(weft_close(l));
    int r; /* free again as soon as the close has reached the port, which weft_close does not wait for */
    while ((r = weft_listen(&other, text, NULL)) == -EADDRINUSE)
        CHECK_OK(weft_yield());
    CHECK_OK(r);
    return 0;
}

/* ---- ids ---- */

static void every_call_answers(weft_id id, int expected)
{
    char buf[4];
    struct iovec iov = {buf, sizeof buf};
    weft_id out;
    weft_addr addr;
    weft_buffer buffer;
    int value;
    CHECK_ERR(weft_read(id, buf, sizeof buf, WEFT_NOW), expected);
    CHECK_ERR(weft_write(id, buf, sizeof buf, WEFT_NOW), expected);
    CHECK_ERR(weft_readv(id, &iov, 1, WEFT_NOW), expected);
    CHECK_ERR(weft_writev(id, &iov, 1, WEFT_NOW), expected);
    CHECK_ERR(weft_write_all(id, buf, sizeof buf, NULL, WEFT_NOW), expected);
    CHECK_ERR(weft_writev_all(id, &iov, 1, NULL, WEFT_NOW), expected);
    CHECK_ERR(weft_read_all(id, buf, sizeof buf, NULL, WEFT_NOW), expected);
    CHECK_ERR(weft_read_buffer(id, &buffer, WEFT_NOW), expected);
    CHECK_ERR(weft_shutdown(id, SHUT_WR), expected);
    CHECK_ERR(weft_accept(id, &out, NULL, WEFT_NOW), expected);
    CHECK_ERR(weft_accept_each(id, (int (*)(void *))(uintptr_t)1, NULL), expected);
    CHECK_ERR(weft_local_addr(id, &addr), expected);
    CHECK_ERR(weft_peer_addr(id, &addr), expected);
    CHECK_ERR(weft_sock_set(id, WEFT_NODELAY, 1), expected);
    CHECK_ERR(weft_sock_get(id, WEFT_NODELAY, &value), expected);
    CHECK_ERR(weft_close(id), expected);
}

static int a_stale_id_names_nothing(void *arg)
{
    (void)arg;
    weft_id a, b, c, d;
    connect_pair(&a, &b);
    CHECK_OK(weft_close(a));
    every_call_answers(a, -EBADF);
    connect_pair(&c, &d); /* reuses what a had */
    every_call_answers(a, -EBADF);
    every_call_answers(WEFT_NOID, -EBADF);
    weft_id odd = c;
    odd.gen = (uint16_t)(odd.gen + 1);
    every_call_answers(odd, -EBADF);
    odd = c;
    odd.key += 100000;
    every_call_answers(odd, -EBADF);
    CHECK_EQ(weft_write(c, "x", 1, SOON), 1);
    return 0;
}

static int stranger(void *arg)
{
    every_call_answers(*(weft_id *)arg, -EPERM);
    return 0;
}

static int another_lanes_id_is_refused(void *arg)
{
    (void)arg;
    weft_id a, b, lane;
    int result;
    connect_pair(&a, &b);
    CHECK_OK(weft_lane_spawn_with(&lane, stranger, &a, .copy = sizeof a));
    CHECK_OK(weft_lane_join(lane, &result, SOON));
    CHECK_EQ(result, 0);
    CHECK_EQ(weft_write(a, "x", 1, SOON), 1);
    return 0;
}

static int a_wrong_kind_is_refused(void *arg)
{
    (void)arg;
    weft_id a, b, out;
    char text[WEFT_ADDR_TEXT], buf[4];
    weft_id l = listen_here(text);
    connect_pair(&a, &b);
    CHECK_ERR(weft_accept(a, &out, NULL, WEFT_NOW), -EINVAL);
    CHECK_ERR(weft_read(l, buf, sizeof buf, WEFT_NOW), -EINVAL);
    CHECK_ERR(weft_write(l, buf, sizeof buf, WEFT_NOW), -EINVAL);
    CHECK_ERR(weft_shutdown(l, SHUT_WR), -EINVAL);
    every_call_answers(weft_self(), -EINVAL); /* a fiber */
    every_call_answers(weft_lane_self(), -EINVAL);
    return 0;
}

static const test_case cases[] = {
    CASE(bytes_go_both_ways), CASE(zero_bytes_answer_at_once), CASE(vectors_scatter_and_gather),
    CASE(all_of_many_vectors_is_written), CASE(read_all_tells_how_far_it_came), CASE(half_close),
    CASE(a_peer_that_reset_is_an_error), CASE(both_ends_know_their_addresses), CASE(options_are_kept),
    CASE(nobody_listens), CASE(an_address_is_taken_once), CASE(a_stale_id_names_nothing),
    CASE(another_lanes_id_is_refused), CASE(a_wrong_kind_is_refused)};

int main(int argc, char **argv)
{
    /* On a thread that is no fiber. */
    every_call_answers((weft_id){1, 1, 1}, -EPERM);
    CHECK_ERR(weft_connect(&(weft_id){0}, "127.0.0.1:1", WEFT_NOW), -EPERM);
    CHECK_ERR(weft_listen(&(weft_id){0}, "127.0.0.1:0", NULL), -EPERM);
    return RUN(cases, argc, argv);
}
