/* Seeded random operations with random cancels, closes, resets and dead peers: every op ends exactly once, no
 * descriptor stays, nothing hangs. `--seed N` replays a run, `--rounds N` and `--seconds N` make it longer. */
#include "bed.h"

#include <fcntl.h>
#include <time.h>

enum { SOCKETS = 12, JOBS = 96, STEPS = 10000, BUF = 512 };

typedef struct slot {
    job j;
    int busy;
    int sock; /* of SOCKETS, -1: none */
    weft_addr peer;
    weft_stat st;
    char buf[BUF];
    struct iovec v[2];
} slot;

typedef struct sock {
    weft_desc d;
    int raw;  /* the other end, -1: gone */
    int open; /* not being closed */
    int gone; /* closed: may be made anew */
    int streaming;
} sock;

static slot slots[JOBS];
static sock socks[SOCKETS];
static weft_desc listener, file;
static weft_addr where;
static uint64_t seed;
static unsigned ended_ops, more_results;
static bed b;

static uint32_t roll(uint32_t n) { return bed_random(&seed) % n; }

static void on_closed(weft_desc *d, int result)
{
    sock *s = weft__container(d, sock, d);
    CHECK_EQ(result, 0);
    CHECK(!s->open && !s->gone);
    s->gone = 1;
}

static void on_end(bed *unused, weft_op *op)
{
    slot *s = weft__container(weft__container(op, job, op), slot, j);
    (void)unused;
    CHECK(s->busy);
    s->busy = 0;
    ended_ops++;
    if ((op->code == WEFT_OP_ACCEPT || op->code == WEFT_OP_OPEN) && op->result >= 0)
        close((int)op->result); /* late or not, it is ours */
    if (op->code == WEFT_OP_RECV && op->flags & WEFT_OP_MULTI && s->sock >= 0)
        socks[s->sock].streaming = 0;
}

static weft_buffer kept[64];
static unsigned keeping;

static void on_more(weft_op *op, int64_t result, weft_buffer *buffer)
{
    slot *s = weft__container(weft__container(op, job, op), slot, j);
    CHECK(s->busy);
    more_results++;
    if (op->code == WEFT_OP_ACCEPT) {
        close((int)result);
    } else {
        CHECK(result > 0);
        if (roll(4) == 0 && keeping < 64)
            kept[keeping++] = *buffer;
        else
            weft_port_release(buffer);
    }
    if (roll(20) == 0)
        weft__port_cancel(&b.port, op);
    else if (roll(30) == 0 && s->sock >= 0 && socks[s->sock].open) {
        socks[s->sock].open = 0;
        weft__desc_close(&b.port, &socks[s->sock].d);
    }
}

static void make_sock(sock *s)
{
    bed_pair(&s->d, &s->raw, roll(2) ? AF_INET : AF_UNIX);
    s->d.closed = on_closed;
    s->open = 1;
    s->gone = s->streaming = 0;
}

static void peer_moves(sock *s)
{
    char data[700];
    if (s->raw < 0)
        return;
    switch (roll(12)) {
    case 0:
        close(s->raw);
        s->raw = -1;
        break;
    case 1: {
        struct linger l = {1, 0};
        setsockopt(s->raw, SOL_SOCKET, SO_LINGER, &l, sizeof l);
        close(s->raw);
        s->raw = -1;
        break;
    }
    case 2:
        shutdown(s->raw, (int)roll(3));
        break;
    case 3:
    case 4:
    case 5:
    case 6:
        memset(data, 'd', sizeof data);
        (void)!send(s->raw, data, 1 + roll(sizeof data), MSG_DONTWAIT | MSG_NOSIGNAL);
        break;
    default:
        (void)!recv(s->raw, data, sizeof data, MSG_DONTWAIT);
    }
}

static void close_sock(sock *s)
{
    if (s->open) {
        s->open = 0;
        weft__desc_close(&b.port, &s->d);
    }
}

static int64_t answer(void *arg)
{
    (void)arg;
    return 1;
}

static void fill(slot *s, sock *k)
{
    weft_op *op = &s->j.op;
    weft_desc *d = k ? &k->d : NULL;
    switch (d ? roll(10) : 10 + roll(8)) {
    case 0:
    case 1:
        weft_op_recv(op, d, s->buf, 1 + roll(BUF));
        break;
    case 2:
    case 3:
        weft_op_send(op, d, s->buf, 1 + roll(BUF));
        break;
    case 4:
        s->v[0] = (struct iovec){s->buf, 100};
        s->v[1] = (struct iovec){s->buf + 100, 200};
        weft_op_readv(op, d, s->v, 2);
        break;
    case 5:
        s->v[0] = (struct iovec){s->buf, 100};
        s->v[1] = (struct iovec){s->buf + 100, 200};
        weft_op_writev(op, d, s->v, 2);
        break;
    case 6:
        weft_op_poll(op, d, 1 + roll(3));
        break;
    case 7:
        weft_op_sendfile(op, d, &file, roll(1000), 1 + roll(100000));
        break;
    case 8:
        if (!k->streaming) {
            weft_op_recv_multi(op, d, on_more);
            k->streaming = 1;
            break;
        }
        weft_op_poll(op, d, WEFT_READABLE);
        break;
    case 9:
        weft_op_shutdown(op, d, (int)roll(3));
        break;
    case 10:
        weft_op_accept(op, &listener, roll(2) ? &s->peer : NULL);
        break;
    case 11:
        weft_op_accept_multi(op, &listener, on_more);
        break;
    case 12:
        weft_op_pread(op, &file, s->buf, BUF, roll(100));
        break;
    case 13:
        weft_op_stat(op, NULL, "/tmp", &s->st, 0);
        break;
    case 14:
        weft_op_open(op, NULL, "/", WEFT_OPEN_READ | WEFT_OPEN_DIRECTORY, 0);
        break;
    case 15:
        weft_op_call(op, answer, NULL, NULL);
        break;
    case 16:
        weft_op_nop(op);
        break;
    default:
        weft_op_post(op, 3);
    }
}

static void start_one(void)
{
    slot *s = &slots[roll(JOBS)];
    int at = roll(4) ? (int)roll(SOCKETS) : -1;
    if (s->busy || (at >= 0 && !socks[at].open))
        return;
    s->sock = at;
    fill(s, at >= 0 ? &socks[at] : NULL);
    if (roll(16) == 0)
        s->j.op.flags |= WEFT_OP_OFFLOAD;
    if (s->j.op.flags & WEFT_OP_OFFLOAD && at >= 0)
        s->j.op.flags &= (uint8_t)~WEFT_OP_OFFLOAD;
    s->busy = 1;
    /* A chain of two, now and then. */
    slot *n = &slots[roll(JOBS)];
    if (roll(10) == 0 && !n->busy && n != s && !(s->j.op.flags & WEFT_OP_MULTI)) {
        n->sock = -1;
        fill(n, NULL);
        n->j.ended = 0;
        n->busy = 1;
        b.started++;
        weft_op_then(&s->j.op, &n->j.op, (int)roll(2));
    }
    bed_start(&b, &s->j);
}

static void step(void)
{
    switch (roll(16)) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
        start_one();
        break;
    case 5:
    case 6: {
        slot *s = &slots[roll(JOBS)];
        if (s->busy)
            bed_cancel(&b, &s->j);
        break;
    }
    case 7: {
        sock *s = &socks[roll(SOCKETS)];
        if (roll(3) == 0)
            close_sock(s);
        break;
    }
    case 8: {
        sock *s = &socks[roll(SOCKETS)];
        if (s->gone) {
            if (s->raw >= 0)
                close(s->raw);
            make_sock(s);
        }
        break;
    }
    case 9: {
        int fd = roll(3) ? -1 : socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        struct sockaddr_storage ss;
        unsigned len;
        if (fd >= 0) { /* somebody connects, and does not stay */
            weft__addr_to_sockaddr(&where, &ss, &len);
            (void)!connect(fd, (struct sockaddr *)&ss, len);
            close(fd);
        }
        break;
    }
    case 10:
        if (keeping > 0)
            weft_port_release(&kept[--keeping]);
        break;
    case 11:
    case 12:
    case 13:
        peer_moves(&socks[roll(SOCKETS)]);
        break;
    default:
        weft__port_enter(&b.port, WEFT_NOW);
    }
}

static void one_storm(uint64_t start)
{
    static const weft_port_config config = {.entries = 16, .buffer_size = 128, .buffer_count = 8};
    int fds = open_descriptors();
    seed = start * 0x9e3779b97f4a7c15u + 1;
    bed_open(&b, &config);
    b.on_end = on_end;
    memset(slots, 0, sizeof slots);
    memset(socks, 0, sizeof socks);
    keeping = 0;
    FILE *f = tmpfile();
    CHECK(f);
    for (int i = 0; i < 20000; i++)
        fputc(i & 127, f);
    CHECK(fflush(f) == 0);
    weft__desc_init(&file, fcntl(fileno(f), F_DUPFD_CLOEXEC, 3), WEFT_DESC_FILE);
    fclose(f);
    bed_listener(&b, &listener, &where, AF_UNIX);
    for (int i = 0; i < SOCKETS; i++)
        make_sock(&socks[i]);
    for (int i = 0; i < STEPS; i++)
        step();
    /* The end: everything is closed, cancelled or both, and everything comes home. */
    for (int i = 0; i < JOBS; i++)
        if (slots[i].busy && roll(2))
            bed_cancel(&b, &slots[i].j);
    for (int i = 0; i < SOCKETS; i++)
        close_sock(&socks[i]);
    while (keeping > 0)
        weft_port_release(&kept[--keeping]);
    bed_shut(&b, &listener);
    bed_shut(&b, &file);
    bed_until(&b, &b.ended, b.started);
    for (int i = 0; i < JOBS; i++)
        CHECK(!slots[i].busy);
    int64_t limit = bed_after(BED_LIMIT);
    for (int i = 0; i < SOCKETS; i++) {
        while (!socks[i].gone) {
            CHECK(bed_now() < limit);
            weft__port_enter(&b.port, WEFT_NOW);
        }
        if (socks[i].raw >= 0)
            close(socks[i].raw);
    }
    while (keeping > 0)
        weft_port_release(&kept[--keeping]);
    bed_settle(&b);
    b.on_end = NULL;
    bed_close(&b);
    CHECK_EQ(open_descriptors(), fds);
}

int main(int argc, char **argv)
{
    uint64_t first = 1, rounds = 30;
    int64_t seconds = 0;
    for (int i = 1; i + 1 < argc; i += 2) {
        uint64_t v = strtoull(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--seed") == 0)
            first = v, rounds = 1;
        else if (strcmp(argv[i], "--rounds") == 0)
            rounds = v;
        else if (strcmp(argv[i], "--seconds") == 0)
            seconds = (int64_t)v;
    }
    int64_t until = bed_after(seconds * WEFT_SECOND);
    uint64_t k = first;
    for (; seconds ? bed_now() < until : test_again(k - first, rounds); k++) {
        printf("replay: --seed %llu\n", (unsigned long long)k);
        fflush(stdout);
        one_storm(k);
    }
    printf("%u ops, %u intermediate results\n", ended_ops, more_results);
    CHECK(ended_ops > 250 * (k - first) && more_results > 0);
    return 0;
}
