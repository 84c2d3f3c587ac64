/* One connection: an endless stream of bytes out, and every byte that comes in checked. What an echo server is
 * sent is a pattern whose period is prime, begun elsewhere on each connection, so that lost, doubled or
 * swapped bytes do not go unnoticed. */
#include "load.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PERIOD = 65521, CHUNK = 262144 };

static unsigned char pattern[PERIOD + CHUNK];
static char *requests; /* as many as fit a chunk */
static size_t requests_size;
static char received[CHUNK];

void talk_prepare(talk *t, size_t size, const char *http_path)
{
    uint64_t x = 88172645463325252ull;
    *t = (talk){.size = size};
    for (size_t i = 0; i < PERIOD; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        pattern[i] = (unsigned char)x;
    }
    for (size_t i = PERIOD; i < sizeof pattern; i++)
        pattern[i] = pattern[i - PERIOD];
    if (!http_path)
        return;
    char *one;
    int n = asprintf(&one, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", http_path);
    if (n < 0)
        die("memory");
    size_t length = (size_t)n, count = CHUNK / length;
    requests = malloc(length * count);
    for (size_t i = 0; requests && i < count; i++)
        memcpy(requests + i * length, one, length);
    requests_size = length * count;
    t->request = one;
    t->size = length;
}

void peer_init(peer *p, uint32_t n, uint32_t window)
{
    *p = (peer){.fd = -1, .number = n, .window = window};
    p->times = calloc(window, sizeof *p->times);
    if (!p->times)
        die("memory");
}

/* Each address of ours has its own ports; the churn of a minute takes more than one of them has. */
static void choose_source(int fd)
{
    static uint32_t next;
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + next++ % 200)};
    int one = 1;
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&from, sizeof from) < 0)
        die("bind");
}

void peer_connect(peer *p, const server *s, int nonblocking)
{
    int one = 1;
    p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | (nonblocking ? SOCK_NONBLOCK : 0), 0);
    if (p->fd < 0)
        die("socket");
    choose_source(p->fd);
    setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(p->fd, (const struct sockaddr *)&s->addr, sizeof s->addr) < 0 && errno != EINPROGRESS)
        die("connect");
    p->sent = p->due = p->received = p->asked = p->answered = 0;
    p->head_length = p->body_got = 0;
    p->in_body = 0;
}

void peer_push(peer *p, const talk *t)
{
    while (p->sent < p->due) {
        size_t left = (size_t)(p->due - p->sent), n = left < CHUNK ? left : CHUNK;
        const void *from;
        if (t->request) {
            size_t at = (size_t)(p->sent % t->size);
            from = requests + at;
            n = n < requests_size - at ? n : requests_size - at;
        } else {
            from = pattern + (p->sent + p->number * 7919ull) % PERIOD;
        }
        ssize_t w = send(p->fd, from, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (w < 0 && (errno == EAGAIN || errno == ENOTCONN)) /* not yet */
            return;
        if (w < 0)
            die("send");
        p->sent += (uint64_t)w;
    }
}

void peer_ask(peer *p, const talk *t, unsigned n, int64_t when)
{
    for (unsigned i = 0; i < n; i++) {
        if (p->asked - p->answered >= p->window)
            fail("the server is %u messages behind on one connection: the rate is beyond it", p->window);
        *peer_time(p, p->asked++) = when;
        p->due += t->size;
    }
    peer_push(p, t);
}

static int take_echo(peer *p, const talk *t, size_t n)
{
    if (memcmp(received, pattern + (p->received + p->number * 7919ull) % PERIOD, n) != 0)
        fail("a wrong byte came back on connection %u", p->number);
    uint64_t before = p->received / t->size;
    p->received += n;
    if (p->received > p->sent)
        fail("more came back than was sent");
    return (int)(p->received / t->size - before);
}

static int take_acknowledged(peer *p, const talk *t, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (received[i] != 0)
            fail("a wrong byte came back on connection %u", p->number);
    p->received += n;
    if (p->received * t->size > p->sent)
        fail("more was acknowledged than was sent");
    return (int)n;
}

/* The length the response's head announces, once all of the head is there; -1: not yet. */
static long read_head(peer *p)
{
    p->head[p->head_length] = 0;
    char *end = strstr(p->head, "\r\n\r\n");
    if (!end)
        return -1;
    if (strncmp(p->head, "HTTP/1.1 200 ", 13) != 0)
        fail("not a 200: %.40s", p->head);
    char *length = strcasestr(p->head, "\r\ncontent-length:");
    if (!length || length > end)
        fail("a response without a length");
    return atol(length + 17);
}

static void check_body(talk *t, peer *p, const char *bytes, size_t n)
{
    if (!t->body) {
        t->body = malloc(p->body_length + 1);
        t->body_size = p->body_length;
    }
    if (p->body_length != t->body_size)
        fail("a response of %zu bytes after one of %zu", p->body_length, t->body_size);
    if (!t->body_known)
        memcpy(t->body + p->body_got, bytes, n);
    else if (memcmp(t->body + p->body_got, bytes, n) != 0)
        fail("a wrong byte in a response");
    p->body_got += n;
}

static int take_http(peer *p, talk *t, size_t n)
{
    int done = 0;
    if (!p->head && !(p->head = malloc(HEAD_MAX + 1)))
        die("memory");
    for (size_t at = 0; at < n || (p->in_body && p->body_got == p->body_length);) {
        if (!p->in_body) {
            if (p->head_length == HEAD_MAX)
                fail("a response's head beyond %d bytes", HEAD_MAX);
            p->head[p->head_length++] = received[at++];
            if (p->head[p->head_length - 1] != '\n')
                continue;
            long length = read_head(p);
            if (length < 0)
                continue;
            p->in_body = 1;
            p->body_length = (size_t)length;
            p->body_got = 0;
        }
        size_t left = p->body_length - p->body_got, here = n - at < left ? n - at : left;
        check_body(t, p, received + at, here);
        at += here;
        if (p->body_got == p->body_length) {
            t->body_known = 1;
            p->in_body = 0;
            p->head_length = 0;
            done++;
        }
    }
    return done;
}

int peer_take(peer *p, talk *t)
{
    int done = 0;
    for (;;) {
        ssize_t n = recv(p->fd, received, sizeof received, MSG_DONTWAIT);
        if (n == 0)
            return -1;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0)
            die("recv");
        done += t->request ? take_http(p, t, (size_t)n) : t->acknowledged ? take_acknowledged(p, t, (size_t)n) : take_echo(p, t, (size_t)n);
        if ((size_t)n < sizeof received)
            break; /* all that was there: the next edge tells of more */
    }
    p->answered += (uint64_t)done;
    if (p->answered > p->asked)
        fail("more answers than questions");
    return done;
}
