/* What a wait on epoll says of its deadline: a time-out, or nothing, once that time is a timer's in the set; and that
 * no deadline comes late or early by that, on the real kernel: one that is lost is a hang. */
#include "epoll_bed.h"

#include <pthread.h>
#include <sys/timerfd.h>

#include "clock_offset.h"
#include "descriptors.h"

/* How many waits for this deadline have a time-out, one after the other. */
static unsigned saying(bed *b, int64_t deadline)
{
    for (unsigned n = 0;; n++) {
        CHECK(n < 100);
        one_wait(b, deadline);
        if (epoll_of(b)->standing_ns == deadline)
            return n;
    }
}

static void a_deadline_waited_for_again_becomes_a_timer(void)
{
    bed b;
    epoll_bed_open(&b);
    const int64_t deadline = bed_after(FAR);
    const int patience = saying(&b, deadline) > 0;
    CHECK(epoll_of(&b)->timer_fd >= 0);
    const uint64_t calls = epoll_of(&b)->timer_calls;
    for (int i = 0; i < 100; i++)
        one_wait(&b, deadline);
    CHECK_EQ(epoll_of(&b)->timer_calls, calls);
    bed_close(&b);
    if (!patience)
        return; /* a hostile build */

    epoll_bed_open(&b);
    for (int i = 0; i < 100; i++) { /* never the same twice, */
        one_wait(&b, deadline + i);
        one_wait(&b, WEFT_NEVER);
    }
    for (int i = 0; i < 100; i++) { /* or never twice in a row */
        one_wait(&b, deadline);
        one_wait(&b, WEFT_NEVER);
    }
    for (int i = 0; i < 10; i++) /* or too few: a small program has no timer */
        one_wait(&b, deadline);
    CHECK(epoll_of(&b)->timer_fd < 0);
    CHECK_EQ(epoll_of(&b)->timer_calls, 0);
    bed_close(&b);
}

/* It ends no wait that is to last longer, and one that is to be over before has a
 * time-out until that, too, is worth it. */
static void it_moves_with_what_is_waited_for(void)
{
    bed b;
    epoll_bed_open(&b);
    const weft__epoll *s = epoll_of(&b);
    const int64_t deadline = bed_after(FAR);
    const unsigned patience = saying(&b, deadline);
    uint64_t calls = epoll_of(&b)->timer_calls;

    CHECK_EQ(saying(&b, deadline - 1), patience); /* earlier */
    CHECK_EQ(epoll_of(&b)->timer_calls, calls + 1);

    one_wait(&b, WEFT_NEVER); /* gone */
    CHECK_EQ(s->standing_ns, WEFT_NEVER);
    one_wait(&b, WEFT_NEVER);
    CHECK_EQ(epoll_of(&b)->timer_calls, calls + 2);
    CHECK_EQ(saying(&b, deadline), patience);
    CHECK_EQ(epoll_of(&b)->timer_calls, calls + 3);

    one_wait(&b, deadline + 1); /* later */
    CHECK(s->standing_ns == WEFT_NEVER || !patience);
    saying(&b, deadline + 1);
    CHECK_EQ(epoll_of(&b)->timer_calls, calls + 5);

    calls = epoll_of(&b)->timer_calls;
    for (int i = 0; i < 100; i++) /* to and fro it is no better than a time-out, and no worse */
        one_wait(&b, deadline - i % 2);
    CHECK(!patience || epoll_of(&b)->timer_calls == calls);
    bed_close(&b);
}

static void it_holds_however_often_it_is_waited_for(void)
{
    bed b;
    epoll_bed_open(&b);
    for (int round = 0; round < 5; round++) {
        const int64_t until = bed_after(5 * WEFT_MILLISECOND);
        wait_often(&b, until);
        sleep_until(&b, until);
    }
    bed_close(&b);
}

static void an_earlier_one_is_kept(void)
{
    bed b;
    epoll_bed_open(&b);
    for (int round = 0; round < 2; round++) {
        const int64_t far = bed_after(FAR);
        wait_often(&b, far);
        CHECK_EQ(epoll_of(&b)->standing_ns, far);
        const int64_t once = bed_after(2 * WEFT_MILLISECOND), often = once + 5 * WEFT_MILLISECOND;
        sleep_until(&b, once);
        wait_often(&b, often);
        sleep_until(&b, often);
    }
    bed_close(&b);
}

/* Waits until `end`, for which there is a deadline, or an op that ends then and none. Nothing else ends a wait:
 * how many there were. */
static uint64_t waits_till(bed *b, int64_t end, int by_op)
{
    if (!by_op) {
        const uint64_t entered = b->port.entered;
        sleep_until(b, end);
        return b->port.entered - entered;
    }
    const struct itimerspec at = {.it_value = {.tv_sec = (time_t)(end / WEFT_SECOND), .tv_nsec = (long)(end % WEFT_SECOND)}};
    const int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    CHECK(fd >= 0 && timerfd_settime(fd, TFD_TIMER_ABSTIME, &at, NULL) == 0);
    weft_desc d;
    job poll = {0};
    weft__desc_init(&d, fd, WEFT_DESC_OTHER);
    weft_op_poll(&poll.op, &d, WEFT_READABLE);
    bed_start(b, &poll);
    const uint64_t entered = b->port.entered;
    while (poll.op.state != WEFT_OP_DONE)
        weft__port_enter(&b->port, WEFT_NEVER);
    const uint64_t waits = b->port.entered - entered;
    CHECK(bed_now() >= end);
    bed_shut(b, &d);
    return waits;
}

/* One that is later, or gone, is slept towards in one go; also where the timer has gone off
 * meanwhile and nobody has heard of it (`late`). Where the first has passed before it stood there is
 * nothing to see, so then it is tried again. */
static void nobody_wakes_for_what_is_no_deadline_any_more(int by_op, int late)
{
    int seen = 0;
    for (int tries = 0; !seen; tries++) {
        CHECK(tries < 200);
        bed b;
        epoll_bed_open(&b);
        const int64_t first = bed_after(5 * WEFT_MILLISECOND), end = first + 10 * WEFT_MILLISECOND;
        wait_often(&b, first);
        const int stood = epoll_of(&b)->standing_ns == first;
        while (late && bed_now() < first + WEFT_MILLISECOND)
            ;
        const uint64_t waits = waits_till(&b, end, by_op);
        seen = stood && waits == 1 && epoll_of(&b)->standing_ns == WEFT_NEVER;
        bed_close(&b);
    }
}

static void it_may_go_off_while_nobody_waits(void)
{
    bed b;
    epoll_bed_open(&b);
    for (int round = 0; round < 3; round++) {
        const int64_t until = bed_after(3 * WEFT_MILLISECOND);
        wait_often(&b, until);
        while (bed_now() < until + WEFT_MILLISECOND)
            ;
        weft__port_enter(&b.port, until); /* gone by already: it does not hang, */
        const int64_t next = bed_after(2 * WEFT_MILLISECOND);
        sleep_until(&b, next); /* and the next one holds */
        CHECK_EQ(epoll_of(&b)->standing_ns, WEFT_NEVER);
    }
    bed_close(&b);
}

static bed woken;

static void *wake_it(void *arg)
{
    (void)arg;
    weft__port_wake(&woken.port);
    return NULL;
}

static void a_foreign_thread_ends_such_a_wait(void)
{
    epoll_bed_open(&woken);
    const int64_t far = bed_after(FAR);
    wait_often(&woken, far);
    for (int i = 0; i < 50; i++) {
        pthread_t thread;
        CHECK_EQ(pthread_create(&thread, NULL, wake_it, NULL), 0);
        weft__port_enter(&woken.port, far); /* before or while it waits: a lost one hangs */
        pthread_join(thread, NULL);
    }
    CHECK_EQ(epoll_of(&woken)->standing_ns, far);
    bed_close(&woken);
}

/* Together with news of more descriptors than one batch tells of where batches are small. */
static void it_comes_among_others(void)
{
    enum { N = 40 };
    bed b;
    weft_desc d[N];
    job read[N] = {0};
    int raw[N];
    char c[N];
    epoll_bed_open(&b);
    for (int i = 0; i < N; i++) {
        bed_pair(&d[i], &raw[i], AF_UNIX);
        weft_op_recv(&read[i].op, &d[i], &c[i], 1);
        bed_start(&b, &read[i]);
    }
    bed_settle(&b);
    const int64_t until = bed_after(20 * WEFT_MILLISECOND);
    wait_often(&b, until);
    for (int i = 0; i < N; i++)
        if (i != N / 2)
            CHECK_EQ(send(raw[i], "x", 1, 0), 1);
    while (bed_now() < until + WEFT_MILLISECOND)
        ;
    CHECK_EQ(send(raw[N / 2], "x", 1, 0), 1);
    for (int i = 0; i < N; i++)
        CHECK_EQ(bed_await(&b, &read[i]), 1);
    sleep_until(&b, bed_after(2 * WEFT_MILLISECOND));
    CHECK_EQ(epoll_of(&b)->standing_ns, WEFT_NEVER);
    for (int i = 0; i < N; i++) {
        close(raw[i]);
        bed_shut(&b, &d[i]);
    }
    bed_close(&b);
}

/* Far off, put off, gone off, or about to. */
static void a_port_may_close_with_it(void)
{
    const int files = open_descriptors();
    for (int i = 0; i < 15; i++) {
        bed b;
        epoll_bed_open(&b);
        wait_often(&b, i % 3 == 2 ? bed_after(WEFT_MILLISECOND / 2) : bed_after(FAR));
        if (i % 3 == 1)
            one_wait(&b, WEFT_NEVER);
        bed_close(&b);
    }
    CHECK_EQ(open_descriptors(), files);
    CHECK_EQ(open_timers(), 0);
}

/* A child, between fork and exec say, has copies of timer and set. */
static void a_child_may_have_copies(void)
{
    bed b;
    int ends[2];
    char c;
    epoll_bed_open(&b);
    wait_often(&b, bed_after(FAR));
    CHECK(pipe(ends) == 0);
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        close(ends[1]);
        _exit(read(ends[0], &c, 1) != 0);
    }
    close(ends[0]);
    for (int round = 0; round < 2; round++) {
        const int64_t until = bed_after(5 * WEFT_MILLISECOND);
        wait_often(&b, until);
        sleep_until(&b, until);
    }
    bed_close(&b);
    close(ends[1]);
    CHECK_EQ(offset_end(child), 0);
}

static int64_t another_clock(void *self)
{
    (void)self;
    return bed_now() + 10 * WEFT_SECOND;
}

static void the_kernel_is_told_no_times_of_another_clock(void)
{
    bed b;
    epoll_bed_open(&b);
    weft_env env = *b.env;
    env.now = another_clock;
    b.port.env = &env;
    const int64_t until = another_clock(NULL) + 5 * WEFT_MILLISECOND;
    wait_often(&b, until);
    CHECK(epoll_of(&b)->timer_fd < 0);
    while (another_clock(NULL) < until)
        weft__port_enter(&b.port, until);
    b.port.env = b.env;
    bed_close(&b);
}

/* Neither a hundred thousand seconds too late, which the test's time-out would say, nor too early,
 * which would cost an entry each time. */
static void it_holds_on_a_clock_set_off(void)
{
    bed b;
    epoll_bed_open(&b);
    const int64_t far = bed_after(FAR);
    wait_often(&b, far);
    CHECK_EQ(epoll_of(&b)->standing_ns, far);
    for (int round = 0; round < 3; round++) {
        const int64_t until = bed_after(5 * WEFT_MILLISECOND);
        wait_often(&b, until);
        const uint64_t entered = b.port.entered;
        sleep_until(&b, until);
        CHECK(b.port.entered - entered < 100);
        CHECK(bed_now() < until + 10 * WEFT_SECOND);
    }
    bed_close(&b);
}

int main(void)
{
    a_deadline_waited_for_again_becomes_a_timer();
    it_moves_with_what_is_waited_for();
    it_holds_however_often_it_is_waited_for();
    an_earlier_one_is_kept();
    for (int i = 0; i < 4; i++)
        nobody_wakes_for_what_is_no_deadline_any_more(i / 2, i % 2);
    it_may_go_off_while_nobody_waits();
    a_foreign_thread_ends_such_a_wait();
    it_comes_among_others();
    a_port_may_close_with_it();
    a_child_may_have_copies();
    the_kernel_is_told_no_times_of_another_clock();
    if (!clock_is_set_off(100000, it_holds_on_a_clock_set_off) || !clock_is_set_off(-1, it_holds_on_a_clock_set_off))
        SKIP("a time namespace is refused here; all else holds");
    return 0;
}
