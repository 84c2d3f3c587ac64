/* Kills that meet operations on their way: a multishot receive, an accept that has just succeeded, a linked chain, what
 * cannot be cancelled. Everything is given back, and the kernel has let go of all memory before that is used again. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <weft/file.h>

#include "descriptors.h"
#include "lane/world.h"
#include "fiber/fiber.h"

static int there, holds, over;

static void kill_and_join(weft_id l)
{
    weft_exit e;

    CHECK_OK(weft_kill(l));
    CHECK_OK(weft_lane_join_exit(l, &e, soon()));
    CHECK_EQ(e.kind, WEFT_EXIT_KILLED);
}

static void nothing_in_flight(void)
{
    weft_stats stats;

    CHECK_OK(weft_runtime_stats(weft_current(), &stats));
    CHECK_EQ(stats.ops_in_flight, 0);
    CHECK_EQ(stats.stacks_used, 1);
}

/* A peer outside: a listening socket, and its address as text. */
static int listen_outside(char *text, size_t size)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(test_loopback())};
    socklen_t len = sizeof addr;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    CHECK(fd >= 0);
    CHECK_EQ(bind(fd, (struct sockaddr *)&addr, sizeof addr), 0);
    CHECK_EQ(listen(fd, 16), 0);
    CHECK_EQ(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
    snprintf(text, size, "%s:%u", test_host(), ntohs(addr.sin_port));
    return fd;
}

/* ---- a multishot receive ---- */

enum { BUFFERS = 16, KEPT = 5 };

/* Keeps lent buffers, and leaves more unread. */
static int receives(void *arg)
{
    weft_id sock;
    weft_buffer kept[KEPT];

    CHECK_OK(weft_connect(&sock, arg, soon()));
    for (int i = 0; i < KEPT; i++)
        CHECK(weft_read_buffer(sock, &kept[i], soon()) > 0);
    bump(&there);
    for (;;)
        weft_park(WEFT_NEVER);
    return 0;
}

static int multishot(int argc, char **argv)
{
    static char bytes[8192];
    char address[64];
    const int door = listen_outside(address, sizeof address);
    weft_id l;

    (void)argc, (void)argv;
    put(&there, 0);
    for (int round = 0; round < 4 * BUFFERS; round++) { /* more often than there are buffers to lose */
        CHECK_OK(weft_lane_spawn(&l, receives, address));
        int peer;
        while ((peer = accept4(door, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) < 0) {
            CHECK_EQ(errno, EAGAIN);
            CHECK_OK(weft_yield());
        }
        while (get(&there) == round) {
            (void)!send(peer, bytes, sizeof bytes, MSG_NOSIGNAL);
            CHECK_OK(weft_yield());
        }
        kill_and_join(l);
        const ssize_t n = recv(peer, bytes, sizeof bytes, 0);
        CHECK(n == 0 || (n < 0 && errno == ECONNRESET)); /* closed, or reset for what was unread */
        close(peer);
    }
    close(door);
    nothing_in_flight();
    return 0;
}

/* ---- an accept that has just succeeded ---- */

static char accept_at[WEFT_ADDR_TEXT];

static int accepts(void *arg)
{
    weft_id listener, sock;
    weft_addr addr;

    (void)arg;
    CHECK_OK(weft_listen(&listener, test_address(), NULL));
    CHECK_OK(weft_local_addr(listener, &addr));
    weft_addr_format(&addr, accept_at, sizeof accept_at);
    bump(&there);
    for (;;)
        if (weft_accept(listener, &sock, NULL, WEFT_NEVER) == 0)
            bump(&holds);
    return 0;
}

static int accepting(int argc, char **argv)
{
    weft_id l;

    (void)argc, (void)argv;
    put(&there, 0);
    put(&holds, 0);
    int before = 0;
    for (int round = 0; round < 80; round++) {
        CHECK_OK(weft_lane_spawn(&l, accepts, NULL));
        while (get(&there) == round)
            CHECK_OK(weft_yield());
        struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(test_loopback()),
                                 .sin_port = htons((uint16_t)atoi(strrchr(accept_at, ':') + 1))};
        int peers[3];
        for (int i = 0; i < 3; i++) {
            peers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
            CHECK_EQ(connect(peers[i], (struct sockaddr *)&to, sizeof to), 0);
        }
        for (int i = 0; i < round % 7; i++)
            weft_yield();
        kill_and_join(l);
        for (int i = 0; i < 3; i++) {
            char c;
            CHECK(recv(peers[i], &c, 1, 0) <= 0); /* whoever had it: it is closed */
            close(peers[i]);
        }
        if (round == 20)
            before = open_descriptors();
    }
    CHECK_EQ(open_descriptors(), before);
    nothing_in_flight();
    return 0;
}

/* ---- a chain ---- */

static int pair[2];
static weft_desc chain_desc; /* the port's until it ends */

/* Receives, and whatever came of that, sends, three times over: with the first receive under way,
 * or one in the middle. */
static int chains(void *arg)
{
    const int *hard = arg;
    char in[3][64], out[3][4] = {{0}};
    weft_op receive[3], answer[3];

    for (int i = 0; i < 3; i++) {
        weft_op_recv(&receive[i], &chain_desc, in[i], sizeof in[i]);
        weft_op_send(&answer[i], &chain_desc, out[i], sizeof out[i]);
        weft_op_then(&receive[i], &answer[i], *hard);
        if (i)
            weft_op_then(&answer[i - 1], &receive[i], *hard);
    }
    CHECK_OK(weft_defer(free, malloc(10)));
    bump(&there);
    (void)weft__await_chain((weft_op *const[]){&receive[0], &answer[0], &receive[1], &answer[1], &receive[2], &answer[2]}, 6);
    TEST_FAIL("the peer never sends so much");
}

static int whole_chain(void *arg)
{
    char in[8] = {0};
    weft_op send, receive;

    (void)arg;
    weft_op_send(&send, &chain_desc, "hello", 5);
    weft_op_recv(&receive, &chain_desc, in, sizeof in);
    weft_op_then(&send, &receive, 0);
    CHECK_OK(weft__await_chain((weft_op *const[]){&send, &receive}, 2));
    CHECK_EQ(send.result, 5);
    CHECK_EQ(receive.result, 5);
    CHECK(strcmp(in, "world") == 0);
    return 0;
}

static int chained(int argc, char **argv)
{
    weft_id l;
    int hard, n = 0;

    (void)argc, (void)argv;
    put(&there, 0);
    weft__desc_init(&chain_desc, pair[0], WEFT_DESC_STREAM);
    CHECK_EQ(send(pair[1], "world", 5, 0), 5);
    CHECK_OK(weft_lane_spawn_with(&l, whole_chain, NULL, .pinned = 1));
    CHECK_OK(weft_lane_join(l, NULL, soon()));
    for (int round = 0; round < 40; round++) {
        hard = round % 2;
        /* The descriptor is at one port. */
        CHECK_OK(weft_lane_spawn_with(&l, chains, &hard, .copy = sizeof hard, .pinned = 1));
        while (get(&there) == round)
            CHECK_OK(weft_yield());
        if (round % 4 > 1) { /* the chain stands at its third op */
            CHECK_EQ(send(pair[1], "x", 1, 0), 1);
            n = 0;
        }
        for (int i = 0; i < round % 5; i++)
            weft_yield();
        kill_and_join(l);
        char bytes[256];
        while (recv(pair[1], bytes, sizeof bytes, MSG_DONTWAIT) > 0)
            n++;
        while (recv(pair[0], bytes, sizeof bytes, MSG_DONTWAIT) > 0)
            n++;
    }
    nothing_in_flight();
    return 0;
}

/* ---- what cannot be cancelled ---- */

static int64_t blocks(void *arg)
{
    char *text = arg; /* on the stack of the killed fiber */

    put(&there, 1);
    while (!get(&over))
        sched_yield();
    memset(text, 'x', 64);
    return 0;
}

static int waits_for_a_job(void *arg)
{
    char text[64];
    weft_op op;

    (void)arg;
    weft_op_call(&op, blocks, text, NULL);
    (void)weft__await_op(&op, WEFT_NEVER);
    TEST_FAIL("it was killed meanwhile");
}

static int job(int argc, char **argv)
{
    weft_id l, ref;
    weft_message *m;
    spy *s = (spy *)(void *)argv;

    (void)argc;
    put(&there, 0);
    put(&over, 0);
    CHECK_OK(weft_lane_spawn_with(&l, waits_for_a_job, NULL, .monitor = &ref, .name = "the patient"));
    while (!get(&there))
        CHECK_OK(weft_yield());
    CHECK_OK(weft_kill(l));
    while (!spy_says(s, "is dying"))
        CHECK_OK(weft_sleep(weft_after(WEFT_MILLISECOND)));
    SPY_SAYS(s, "the patient");
    SPY_SAYS(s, "\"call\"");
    CHECK_EQ(weft_lane_join(l, NULL, weft_after(WEFT_MILLISECOND)), -ETIMEDOUT);
    CHECK_EQ(weft_receive(&m, WEFT_NOW), -ETIMEDOUT); /* nobody is told before */
    CHECK_OK(weft_kill(l));                           /* it is visible, and dying */
    put(&over, 1);
    CHECK_OK(weft_receive(&m, soon()));
    CHECK_EQ(weft_msg_down(m)->exit.kind, WEFT_EXIT_KILLED);
    CHECK_OK(weft_msg_free(m));
    CHECK_OK(weft_lane_join(l, NULL, soon()));
    nothing_in_flight();
    return 0;
}

static void uncancellable(void)
{
    static spy s;
    weft_options opt = {.workers = 2, .env = spy_open(&s), .grace_ns = 10 * WEFT_MILLISECOND, .blocked_ns = -1};

    CHECK_OK(weft_main(job, 1, (char **)(void *)&s, &opt));
    spy_close(&s);
}

static char path[] = "/tmp/weft-kill-XXXXXX";

static int syncs(void *arg)
{
    static char page[256 << 10];
    weft_id file;

    (void)arg;
    CHECK_OK(weft_open(&file, path, WEFT_OPEN_WRITE, 0, soon()));
    for (uint64_t i = 0;; i++) {
        (void)weft_pwrite(file, page, sizeof page, (i % 8) * sizeof page, WEFT_NEVER);
        bump(&there);
        (void)weft_fsync(file, 0, WEFT_NEVER);
    }
    return 0;
}

static int syncing(int argc, char **argv)
{
    weft_id l;

    (void)argc, (void)argv;
    put(&there, 0);
    int before = 0;
    for (int round = 0; round < 5; round++) {
        const int here = get(&there);
        CHECK_OK(weft_lane_spawn(&l, syncs, NULL));
        while (get(&there) <= here + round % 3)
            CHECK_OK(weft_yield());
        kill_and_join(l);
        if (round == 2)
            before = open_descriptors();
    }
    CHECK_EQ(open_descriptors(), before);
    nothing_in_flight();
    return 0;
}

int main(void)
{
    static spy s;
    weft_options opt = {.workers = 2, .env = spy_open(&s), .blocked_ns = -1, .port_config.buffer_count = BUFFERS};

    CHECK_OK(run_main_with(multishot, &opt));
    SPY_SILENT(&s);
    spy_close(&s);
    run_clean(accepting, 2);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
    run_clean(chained, 1);
    close(pair[0]);
    close(pair[1]);
    uncancellable();
    const int fd = mkstemp(path);
    CHECK(fd >= 0);
    close(fd);
    run_clean(syncing, 2);
    unlink(path);
    return 0;
}
