/* Ownership of operations (DESIGN rule 3): whatever deadline passes and whatever is cancelled, an op answers what
 * really happened, so that no byte and no connection is lost; and what a killed fiber's op still brings is closed. */
#include <netinet/in.h>
#include <sys/socket.h>

#include "fiber/fiber.h"
#include "lane/world.h"

enum { BYTES = 20000 };

static int fds[2];
static int64_t received;
static int over;

static void *writer(void *arg)
{
    uint64_t state = 3;
    char chunk[64];

    (void)arg;
    memset(chunk, 'x', sizeof chunk);
    for (size_t sent = 0; sent < BYTES;) {
        size_t n = 1 + next_random(&state) % sizeof chunk;
        if (n > BYTES - sent)
            n = BYTES - sent;
        const ssize_t w = write(fds[1], chunk, n);
        if (w > 0)
            sent += (size_t)w;
        if (next_random(&state) % 3 == 0 || w < 0)
            sched_yield();
    }
    shutdown(fds[1], SHUT_WR);
    return NULL;
}

/* Reads with deadlines that pass in the middle of everything. */
static int reader(void *arg)
{
    uint64_t state = 17;
    weft_desc d;
    weft_op op;
    char buf[32];

    (void)arg;
    weft__desc_init(&d, fds[0], WEFT_DESC_STREAM);
    for (;;) {
        weft_scope s;
        const int scoped = next_random(&state) % 2 != 0;
        const int64_t deadline = weft_after((int64_t)(next_random(&state) % 40) * WEFT_MICROSECOND);
        weft_op_recv(&op, &d, buf, 1 + next_random(&state) % sizeof buf);
        if (scoped)
            CHECK_OK(weft_scope_enter(&s, deadline));
        const int64_t n = weft__await_op(&op, scoped ? WEFT_NEVER : deadline);
        if (scoped)
            weft_scope_leave(&s);
        if (n == 0)
            break;
        if (n > 0)
            received += n;
        else
            CHECK(n == -ETIMEDOUT || n == -ECANCELED);
    }
    op = (weft_op){0};
    weft_op_close(&op, &d);
    CHECK_OK(weft__await_op_shielded(&op));
    put(&over, 1);
    return 0;
}

static int victim_waits(void *arg)
{
    static weft_desc d; /* the port's until it ends: it outlives the killed fiber's stack */
    weft_op op;

    weft__desc_init(&d, *(int *)arg, WEFT_DESC_LISTENER);
    weft_op_accept(&op, &d, NULL);
    bump(&over);
    weft_scope s;
    weft_shield_enter(&s, 3600 * WEFT_SECOND);
    const int64_t h = weft__await_op(&op, WEFT_NEVER);
    if (h >= 0)
        close((int)h);
    weft_shield_leave(&s);
    return 0;
}

static int open_descriptors(void)
{
    const int n = dup(0);

    CHECK(n >= 0);
    close(n);
    return n;
}

/* A connection arrives as its accepter is killed: either way its descriptor goes. */
static void accept_and_kill(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(test_loopback())};
    socklen_t size = sizeof at;

    for (int i = 0; i < 30; i++) {
        static spy s;
        weft_options opt = {.workers = 2, .env = spy_open(&s), .blocked_ns = -1, .grace_ns = WEFT_MILLISECOND};
        weft_runtime *rt;
        const int before = open_descriptors();
        int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

        at.sin_port = 0;
        CHECK_EQ(bind(listener, (void *)&at, sizeof at), 0);
        CHECK_EQ(listen(listener, 5), 0);
        CHECK_EQ(getsockname(listener, (void *)&at, &size), 0);
        put(&over, 0);
        CHECK_OK(weft_start(&rt, &opt));
        CHECK_OK(weft_lane_spawn_in(rt, NULL, victim_waits, &listener, NULL));
        until(&over, 1);
        CHECK_OK(weft_stop(rt));
        const int64_t about = weft_after((int64_t)(i % 6) * 400 * WEFT_MICROSECOND);
        while (weft_now() < about)
            sched_yield();
        const int client = socket(AF_INET, SOCK_STREAM, 0);
        CHECK(client >= 0);
        CHECK_EQ(connect(client, (void *)&at, sizeof at), 0);
        CHECK_OK(weft_wait(rt, WEFT_NEVER));
        CHECK_OK(weft_end(rt));
        spy_close(&s);
        close(client);
        close(listener);
        CHECK_EQ(open_descriptors(), before);
    }
}

int main(void)
{
    weft_options opt = {.workers = 2};
    weft_runtime *rt;

    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    CHECK_OK(weft_start(&rt, &opt));
    CHECK_OK(weft_lane_spawn_in(rt, NULL, reader, NULL, NULL));
    const pthread_t t = thread_of(writer, NULL);
    until(&over, 1); /* a lost end would hang here */
    pthread_join(t, NULL);
    CHECK_EQ(received, BYTES);
    CHECK_OK(weft_end(rt));
    close(fds[1]);
    accept_and_kill();
    return 0;
}
