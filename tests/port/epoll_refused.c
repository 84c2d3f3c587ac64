/* The epoll driver's timer where the kernel, or a sandbox, will not have it: deadlines hold all the same. And that
 * waits which the timer ends name no time-out, for here that is refused. */
#include "epoll_bed.h"

#include <sys/epoll.h>
#include <sys/resource.h>

#include "descriptors.h"
#include "refused.h"

#define EPOLL_PWAIT2 441

static void must(int r)
{
    if (r < 0)
        _exit(NO_FILTERS);
}

static void no_timeouts(void)
{
    bed b;
    epoll_bed_open(&b);
    const int64_t until = bed_after(100 * WEFT_MILLISECOND);
    wait_often(&b, until);
    must(refuse_with(EPOLL_PWAIT2, 3, EBADF)); /* which the driver asserts not to get */
    wait_often(&b, until);
    while (epoll_of(&b)->standing_ns == until) /* and its event comes */
        weft__port_enter(&b.port, until);
    CHECK(bed_now() >= until);
    wait_often(&b, WEFT_NEVER);
    bed_close(&b);
}

/* Not even tried a second time. */
static void deadlines_hold(bed *b)
{
    const int files = open_descriptors();
    for (int round = 0; round < 3; round++) {
        const int64_t until = bed_after(5 * WEFT_MILLISECOND);
        wait_often(b, bed_after(FAR));
        wait_often(b, until);
        sleep_until(b, until);
        CHECK(!epoll_of(b)->may_stand && epoll_of(b)->timer_fd < 0);
        CHECK_EQ(epoll_of(b)->standing_ns, WEFT_NEVER);
        CHECK(epoll_of(b)->timer_calls <= 3);
    }
    CHECK_EQ(open_descriptors(), files);
    CHECK_EQ(open_timers(), 0);
    bed_close(b);
}

static void without(long call, int error)
{
    bed b;
    epoll_bed_open(&b);
    must(refuse(call, error));
    deadlines_hold(&b);
}

static void timers_unknown(void) { without(SYS_timerfd_create, ENOSYS); }
static void timers_forbidden(void) { without(SYS_timerfd_create, EPERM); }
static void setting_forbidden(void) { without(SYS_timerfd_settime, EPERM); }
static void watching_refused(void) { without(SYS_epoll_ctl, ENOSPC); }

/* Once it stands. */
static void moving_forbidden(void)
{
    bed b;
    epoll_bed_open(&b);
    const int files = open_descriptors();
    wait_often(&b, bed_after(FAR));
    must(refuse(SYS_timerfd_settime, EPERM));
    const int64_t until = bed_after(5 * WEFT_MILLISECOND);
    wait_often(&b, until);
    sleep_until(&b, until);
    CHECK(!epoll_of(&b)->may_stand && epoll_of(&b)->timer_fd < 0);
    CHECK_EQ(open_descriptors(), files);
    CHECK_EQ(open_timers(), 0);
    bed_close(&b);
}

/* No descriptor is left. What looks at them takes one, so here nothing is counted. */
static void descriptors_gone(void)
{
    bed b;
    epoll_bed_open(&b);
    const struct rlimit none = {0};
    CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
    const int64_t until = bed_after(5 * WEFT_MILLISECOND);
    wait_often(&b, until);
    sleep_until(&b, until);
    CHECK(!epoll_of(&b)->may_stand && epoll_of(&b)->timer_fd < 0);
    bed_close(&b);
}

int main(void)
{
    in_sandbox("no_timeouts", no_timeouts);
    in_sandbox("timers_unknown", timers_unknown);
    in_sandbox("timers_forbidden", timers_forbidden);
    in_sandbox("setting_forbidden", setting_forbidden);
    in_sandbox("watching_refused", watching_refused);
    in_sandbox("moving_forbidden", moving_forbidden);
    in_sandbox("descriptors_gone", descriptors_gone);
    return 0;
}
