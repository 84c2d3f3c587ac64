/* How often the kernel is entered: once a tick, never for nothing, and completions are seen without asking. Counted
 * through the driver's own table, beside the port's statistics. Wakes: from a thread, a signal handler, and through a
 * foreign poll. */
#include <poll.h>
#include <pthread.h>
#include <signal.h>

#include "port/uring_bed.h"

static unsigned entries, waiting, sends;

static int counted_enter(void *self, int ring, unsigned submit, unsigned complete, unsigned flags, const void *arg,
                         size_t size)
{
    entries++;
    waiting += complete > 0;
    return weft__ring_sys_kernel.enter(self, ring, submit, complete, flags, arg, size);
}

static int64_t counted_send(void *self, int socket, const void *buf, size_t len)
{
    sends++;
    return weft__ring_sys_kernel.send(self, socket, buf, len);
}

static weft__ring_sys counted;

static int counted_open(weft_port *port, const weft_port_config *config)
{
    counted = weft__ring_sys_kernel;
    counted.enter = counted_enter;
    counted.send = counted_send;
    return weft__uring_open_on(port, config, &counted);
}

static void counted_bed(bed *b, const weft_port_config *config)
{
    b->driver = *weft_driver_uring();
    b->driver.open = counted_open;
    bed_open(b, config);
    weft__port_enter(&b->port, WEFT_NOW); /* arms the wake */
    entries = waiting = sends = 0;
    b->port.entered = 0;
}

static void one_entry_a_tick(const weft_port_config *config)
{
    bed b = {0};
    weft_desc d[8][2];
    weft_op in[8], out[8];
    char c[8];
    counted_bed(&b, config);
    for (int i = 0; i < 8; i++)
        bed_pair(d[i]);
    for (int round = 0; round < 100; round++) {
        /* A server's tick: replies and next reads handed over, and the wait for what comes, in one. */
        b.done = 0;
        for (int i = 0; i < 8; i++) {
            weft_op_recv(&in[i], &d[i][0], &c[i], 1);
            weft_op_send(&out[i], &d[i][1], "x", 1);
            bed_start(&b, &in[i]);
            bed_start(&b, &out[i]);
        }
        unsigned ticks = 0;
        const unsigned before = entries;
        for (; b.done < 16; ticks++)
            weft__port_enter(&b.port, WEFT_NEVER);
        CHECK_EQ(entries - before, ticks);
        CHECK(ticks <= 2); /* a socket pair delivers as it is written to */
    }
    CHECK_EQ(b.port.entered, entries);
    for (int i = 0; i < 8; i++) {
        weft__desc_close(&b.port, &d[i][0]);
        weft__desc_close(&b.port, &d[i][1]);
    }
    bed_close(&b);
}

/* A server with one connection: an entry that brings a request, a send past the ring, and the next receive goes with
 * the next entry. With two connections both answers go into one entry. */
static void a_request_is_an_entry_and_a_send(const weft_port_config *config, unsigned connections)
{
    enum { ROUNDS = 50, MOST = 2 };
    bed b = {0};
    weft_desc d[MOST][2];
    weft_op in[MOST], out[MOST];
    char c[MOST], answer;
    counted_bed(&b, config);
    for (unsigned i = 0; i < connections; i++) {
        bed_pair(d[i]);
        weft_op_recv(&in[i], &d[i][0], &c[i], 1);
        bed_start(&b, &in[i]);
    }
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < connections; i++)
            CHECK(write((int)d[i][1].handle, "x", 1) == 1);
        bed_await(&b, connections);
        b.done = 0;
        for (unsigned i = 0; i < connections; i++) {
            weft_op_send(&out[i], &d[i][0], &c[i], 1);
            bed_start(&b, &out[i]);
        }
        bed_await(&b, connections);
        b.done = 0;
        for (unsigned i = 0; i < connections; i++) {
            CHECK_EQ(out[i].result, 1);
            CHECK(read((int)d[i][1].handle, &answer, 1) == 1 && answer == 'x');
            weft_op_recv(&in[i], &d[i][0], &c[i], 1);
            bed_start(&b, &in[i]);
        }
    }
    const int past = connections == 1 && !config->shared;
    CHECK_EQ(sends, past ? ROUNDS : 0);
    CHECK_EQ(entries, past ? ROUNDS : 2 * ROUNDS);
    CHECK_EQ(b.port.entered, entries);
    for (unsigned i = 0; i < connections; i++)
        weft__port_cancel(&b.port, &in[i]);
    bed_await(&b, connections);
    for (unsigned i = 0; i < connections; i++) {
        weft__desc_close(&b.port, &d[i][0]);
        weft__desc_close(&b.port, &d[i][1]);
    }
    bed_close(&b);
}

static void nothing_to_do_is_no_entry(const weft_port_config *config)
{
    bed b = {0};
    weft_desc d[2];
    weft_op op;
    char c;
    counted_bed(&b, config);
    bed_pair(d);
    for (int i = 0; i < 100; i++)
        weft__port_enter(&b.port, WEFT_NOW);
    CHECK_EQ(entries, 0);
    weft_op_recv(&op, &d[0], &c, 1);
    bed_start(&b, &op);
    CHECK(weft__port_pending(&b.port));
    weft__port_enter(&b.port, WEFT_NOW);
    CHECK_EQ(entries, 1);
    for (int i = 0; i < 100; i++) {
        CHECK(!weft__port_pending(&b.port));
        weft__port_enter(&b.port, WEFT_NOW);
    }
    CHECK_EQ(entries, 1); /* in flight, and still no entry */
    CHECK(write((int)d[1].handle, "x", 1) == 1);
    const int64_t limit = bed_after(10 * WEFT_SECOND);
    while (!weft__port_pending(&b.port))
        CHECK(bed_now() < limit);
    weft__port_enter(&b.port, WEFT_NOW);
    CHECK_EQ(op.result, 1);
    CHECK(entries <= 2);
    CHECK_EQ(waiting, 0);

    entries = 0;
    const int64_t until = bed_after(3 * WEFT_MILLISECOND);
    weft__port_enter(&b.port, until);
    CHECK(bed_now() >= until);
    CHECK(entries <= 2); /* a deadline is one wait */
    weft__port_enter(&b.port, bed_now() - 1);
    CHECK_EQ(b.done, 1);
    weft__desc_close(&b.port, &d[0]);
    weft__desc_close(&b.port, &d[1]);
    bed_close(&b);
}

static bed woken;

static void *wake_it(void *arg)
{
    unsigned *times = arg;
    for (unsigned i = 0; i < *times; i++)
        weft__port_wake(&woken.port);
    return NULL;
}

static void on_signal(int number)
{
    (void)number;
    const int before = errno;
    woken.driver.wake(&woken.port);
    CHECK_EQ(errno, before);
}

static void a_wake_ends_one_wait(const weft_port_config *config)
{
    woken = (bed){0};
    counted_bed(&woken, config);
    for (int i = 0; i < 200; i++) {
        pthread_t thread;
        unsigned once = 1;
        CHECK_EQ(pthread_create(&thread, NULL, wake_it, &once), 0);
        weft__port_enter(&woken.port, WEFT_NEVER); /* before or while it waits: both count, and a lost one hangs */
        pthread_join(thread, NULL);
    }
    pthread_t thread;
    unsigned many = 100000;
    CHECK_EQ(pthread_create(&thread, NULL, wake_it, &many), 0);
    for (int i = 0; i < 50; i++)
        weft__port_enter(&woken.port, bed_after(WEFT_MILLISECOND));
    pthread_join(thread, NULL);
    weft__port_enter(&woken.port, WEFT_NOW);

    signal(SIGUSR1, on_signal);
    for (int i = 0; i < 10; i++) {
        raise(SIGUSR1);
        weft__port_enter(&woken.port, WEFT_NEVER);
    }
    bed_close(&woken);
}

static char main_stat[64];
static int peer;

static int main_thread_sleeps(void)
{
    char text[256] = "";
    FILE *f = fopen(main_stat, "r");
    CHECK(f != NULL);
    CHECK(fgets(text, sizeof text, f) != NULL);
    fclose(f);
    const char *end = strrchr(text, ')');
    return end && end[2] == 'S';
}

/* Does something for the port once its thread sleeps, in poll: that has to wake it. */
static void *act_late(void *arg)
{
    const int64_t limit = bed_after(10 * WEFT_SECOND);
    while (!main_thread_sleeps())
        CHECK(bed_now() < limit);
    if (*(int *)arg)
        woken.driver.wake(&woken.port);
    else
        CHECK(write(peer, "x", 1) == 1);
    return NULL;
}

static void settle(bed *b)
{
    do
        weft__port_enter(&b->port, WEFT_NOW);
    while (weft__port_pending(&b->port));
}

static void the_ring_wakes_a_foreign_poll(const weft_port_config *config)
{
    weft_desc d[2];
    weft_op op;
    char c;
    woken = (bed){0};
    counted_bed(&woken, config);
    struct pollfd p = {.fd = (int)woken.driver.pollable(&woken.port), .events = POLLIN};
    if (bed_ring(&woken)->deferred_work) {
        CHECK_EQ(p.fd, WEFT_NOHANDLE); /* it would sleep on */
        bed_close(&woken);
        return;
    }
    bed_pair(d);
    peer = (int)d[1].handle;
    snprintf(main_stat, sizeof main_stat, "/proc/self/task/%d/stat", (int)getpid());
    for (int i = 0; i < 40; i++) {
        pthread_t thread;
        int by_wake = i % 2;
        if (!by_wake) {
            weft_op_recv(&op, &d[0], &c, 1);
            bed_start(&woken, &op);
        }
        settle(&woken);
        CHECK_EQ(poll(&p, 1, 0), 0);
        CHECK_EQ(pthread_create(&thread, NULL, act_late, &by_wake), 0);
        CHECK_EQ(poll(&p, 1, 10000), 1);
        pthread_join(thread, NULL);
        CHECK(weft__port_pending(&woken.port));
        settle(&woken);
        CHECK_EQ(op.state, WEFT_OP_DONE);
        CHECK_EQ(op.result, 1);
    }
    weft__desc_close(&woken.port, &d[0]);
    weft__desc_close(&woken.port, &d[1]);
    bed_close(&woken);
}

int main(void)
{
    static const weft_port_config forms[] = {
        {0}, {.disable = WEFT_URING_NO_DEFER}, {.disable = WEFT_URING_NO_REGRING}, {.shared = 1}};
    for (unsigned i = 0; i < sizeof forms / sizeof *forms; i++) {
        one_entry_a_tick(&forms[i]);
        a_request_is_an_entry_and_a_send(&forms[i], 1);
        a_request_is_an_entry_and_a_send(&forms[i], 2);
        nothing_to_do_is_no_entry(&forms[i]);
        a_wake_ends_one_wait(&forms[i]);
        the_ring_wakes_a_foreign_poll(&forms[i]);
    }
    return 0;
}
