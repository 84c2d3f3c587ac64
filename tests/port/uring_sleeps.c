/* Until when a wait lasts, however often it is for the same time, on the real kernel:
 * a deadline that is lost is a hang. */
#include <pthread.h>
#include <sys/timerfd.h>

#include "descriptors.h"
#include "port/uring_bed.h"

#define FAR (1000 * WEFT_SECOND)

static unsigned kernel_waits;

static int counted_enter(void *self, int ring, unsigned submit, unsigned complete, unsigned flags, const void *arg,
                         size_t size)
{
    kernel_waits += complete > 0;
    return weft__ring_sys_kernel.enter(self, ring, submit, complete, flags, arg, size);
}

static weft__ring_sys counted;

static int counted_open(weft_port *port, const weft_port_config *config)
{
    counted = weft__ring_sys_kernel;
    counted.enter = counted_enter;
    return weft__uring_open_on(port, config, &counted);
}

/* Whether a deadline may become an op of the ring. */
static int open_counted(bed *b, const weft_port_config *config)
{
    *b = (bed){.driver = *weft_driver_uring()};
    b->driver.open = counted_open;
    bed_open(b, config);
    bed_tick(b); /* arms the wake */
    return bed_ring(b)->may_stand;
}

/* Waits for this deadline that a wake ends. */
static void wait_often(bed *b, int64_t deadline)
{
    for (int i = 0; i < 20; i++) {
        b->driver.wake(&b->port);
        weft__port_enter(&b->port, deadline);
    }
}

static void sleep_until(bed *b, int64_t deadline)
{
    while (bed_now() < deadline) /* the last wake may be seen twice; then it sleeps */
        weft__port_enter(&b->port, deadline);
}

static void it_holds_however_often_it_is_waited_for(const weft_port_config *config)
{
    bed b;
    open_counted(&b, config);
    for (int round = 0; round < 3; round++) {
        const int64_t until = bed_after(5 * WEFT_MILLISECOND);
        wait_often(&b, until);
        sleep_until(&b, until);
        bed_tick(&b); /* and with what the kernel still has to say of it */
    }
    bed_close(&b);
}

static void an_earlier_one_is_kept(const weft_port_config *config)
{
    bed b;
    const int may = open_counted(&b, config);
    for (int round = 0; round < 2; round++) {
        const int64_t far = bed_after(FAR);
        wait_often(&b, far);
        CHECK_EQ(bed_ring(&b)->standing_ns, may ? far : WEFT_NEVER);
        const int64_t once = bed_after(2 * WEFT_MILLISECOND), often = once + 2 * WEFT_MILLISECOND;
        sleep_until(&b, once);
        wait_often(&b, often);
        sleep_until(&b, often);
    }
    bed_close(&b);
}

/* Waits until `end`, for which there is a deadline, or an op that ends then and none. */
static void wait_till(bed *b, int64_t end, int by_op)
{
    if (!by_op) {
        sleep_until(b, end);
        return;
    }
    const struct itimerspec at = {
        .it_value = {.tv_sec = (time_t)(end / WEFT_SECOND), .tv_nsec = (long)(end % WEFT_SECOND)}};
    const int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    CHECK(fd >= 0 && timerfd_settime(fd, TFD_TIMER_ABSTIME, &at, NULL) == 0);
    weft_desc d;
    weft_op poll;
    weft__desc_init(&d, fd, WEFT_DESC_STREAM);
    weft_op_poll(&poll, &d, WEFT_READABLE);
    bed_start(b, &poll);
    bed_tick(b);
    while (poll.state != WEFT_OP_DONE)
        weft__port_enter(&b->port, WEFT_NEVER);
    CHECK(bed_now() >= end);
    weft__desc_close(&b->port, &d);
}

/* One that is later, or gone, is slept towards in one go. Where the first has passed before that could be said there is
 * nothing to see, so then it is tried again. */
static void nobody_wakes_for_what_is_no_deadline_any_more(const weft_port_config *config, int by_op)
{
    int seen = 0;
    for (int tries = 0; !seen; tries++) {
        CHECK(tries < 200);
        bed b;
        const int may = open_counted(&b, config);
        const int64_t first = bed_after(5 * WEFT_MILLISECOND), end = first + 5 * WEFT_MILLISECOND;
        wait_often(&b, first);
        const int stood = bed_ring(&b)->standing_ns == first;
        while (weft__port_pending(&b.port))
            bed_tick(&b);
        kernel_waits = 0;
        wait_till(&b, end, by_op);
        const int put_off = bed_ring(&b)->stands && bed_ring(&b)->standing_ns == WEFT_NEVER;
        seen = kernel_waits == 1 && (!may || (stood && put_off));
        bed_close(&b);
    }
}

static bed woken;

static void *wake_it(void *arg)
{
    (void)arg;
    weft__port_wake(&woken.port);
    return NULL;
}

static void a_foreign_thread_ends_such_a_wait(const weft_port_config *config)
{
    const int may = open_counted(&woken, config);
    const int64_t far = bed_after(FAR);
    wait_often(&woken, far);
    for (int i = 0; i < 50; i++) {
        pthread_t thread;
        CHECK_EQ(pthread_create(&thread, NULL, wake_it, NULL), 0);
        weft__port_enter(&woken.port, far); /* before or while it waits: a lost one hangs */
        pthread_join(thread, NULL);
    }
    CHECK_EQ(bed_ring(&woken)->standing_ns, may ? far : WEFT_NEVER);
    CHECK_EQ(bed_ring(&woken)->stray, 0);
    bed_close(&woken);
}

/* More ends at once than there is room for, and the deadline with it. */
static void it_comes_with_an_overflow(const weft_port_config *config)
{
    enum { N = 64 };
    bed b;
    weft_desc d[2];
    weft_op ops[N];
    char c;
    open_counted(&b, config);
    bed_pair(d);
    for (int i = 0; i < N; i++) {
        weft_op_recv(&ops[i], &d[0], &c, 1);
        bed_start(&b, &ops[i]);
    }
    const int64_t until = bed_after(3 * WEFT_MILLISECOND);
    wait_often(&b, until);
    while (bed_now() < until)
        ;
    CHECK(shutdown((int)d[1].handle, SHUT_WR) == 0);
    bed_await(&b, N);
    for (int i = 0; i < N; i++)
        CHECK_EQ(ops[i].result, 0);
    sleep_until(&b, bed_after(2 * WEFT_MILLISECOND));
    CHECK_EQ(bed_ring(&b)->stray, 0);
    weft__desc_close(&b.port, &d[0]);
    weft__desc_close(&b.port, &d[1]);
    bed_close(&b);
}

/* A ring ends with the op in it: far off, put off, or about to go off. */
static void a_ring_may_close_with_it(const weft_port_config *config)
{
    const int files = open_descriptors();
    for (int i = 0; i < 15; i++) {
        bed b;
        open_counted(&b, config);
        wait_often(&b, i % 3 == 2 ? bed_after(WEFT_MILLISECOND / 2) : bed_after(FAR));
        if (i % 3 == 1) {
            b.driver.wake(&b.port);
            weft__port_enter(&b.port, WEFT_NEVER);
        }
        bed_close(&b);
    }
    CHECK_EQ(open_descriptors(), files);
}

int main(void)
{
    static const weft_port_config forms[] = {{0}, {.entries = 1}};
    static const weft_port_config others[] = {
        {.disable = WEFT_URING_NO_DEFER}, {.disable = WEFT_URING_SQPOLL}, {.shared = 1}};
    for (unsigned i = 0; i < sizeof forms / sizeof *forms; i++) {
        it_holds_however_often_it_is_waited_for(&forms[i]);
        an_earlier_one_is_kept(&forms[i]);
        nobody_wakes_for_what_is_no_deadline_any_more(&forms[i], 0);
        nobody_wakes_for_what_is_no_deadline_any_more(&forms[i], 1);
        a_foreign_thread_ends_such_a_wait(&forms[i]);
        it_comes_with_an_overflow(&forms[i]);
        a_ring_may_close_with_it(&forms[i]);
    }
    for (unsigned i = 0; i < sizeof others / sizeof *others; i++) { /* where a wake is mostly seen without a wait */
        it_holds_however_often_it_is_waited_for(&others[i]);
        it_comes_with_an_overflow(&others[i]);
        a_ring_may_close_with_it(&others[i]);
    }
    return 0;
}
