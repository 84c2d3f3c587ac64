/* A deadline that is waited for again and again. As a time-out of each wait it makes the kernel set up a
 * timer and take it down again, and us read the clock. A worker whose connections may be silent for a minute
 * waits for the same deadline while requests come: such a one becomes the time of a timer in the set, and
 * the waits name none. Home thread.
 *
 * Invariant: as a wait begins the timer is set to no time before its deadline. So nobody wakes for a deadline that
 * is gone. What the timer has told stays in the set until it is fetched, also if it goes off while nobody waits;
 * setting it anew takes that back. */
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "port/calls_posix.h"
#include "port/epoll.h"

#ifdef WEFT_HOSTILE
#define WAITS_ALIKE 1
#else
#define WAITS_ALIKE 32 /* in a row, before their deadline is worth a call, and the timer its making and its end */
#endif

/* Only once it pays. Edge-triggered, so that nobody has to read it. 0 or -1. */
static int make_timer(weft__epoll *s)
{
    struct epoll_event e = {.events = EPOLLIN | EPOLLET, .data.ptr = WEFT__EPOLL_TIMER};
    if (!weft__posix_clock(s->port->env))
        return -1;
    s->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    s->timer_calls += 2;
    return s->timer_fd < 0 ? -1 : epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, s->timer_fd, &e);
}

void weft__epoll_timer_close(weft__epoll *s)
{
    if (s->timer_fd >= 0)
        close(s->timer_fd);
    s->timer_fd = -1;
}

/* WEFT_NEVER: to none. In a time namespace the kernel takes the time for one of the process's clock. */
static int set_timer(weft__epoll *s, int64_t ns)
{
    struct itimerspec at = {0};
    if (ns != WEFT_NEVER)
        at.it_value = (struct timespec){.tv_sec = (time_t)(ns / WEFT_SECOND), .tv_nsec = (long)(ns % WEFT_SECOND)};
    s->timer_calls++;
    return timerfd_settime(s->timer_fd, TFD_TIMER_ABSTIME, &at, NULL);
}

/* Where there are no descriptors left, or no such calls, deadlines stay time-outs from now on. */
static void stand(weft__epoll *s, int64_t ns)
{
    s->standing_ns = ns;
    if ((s->timer_fd < 0 && make_timer(s) < 0) || set_timer(s, ns) < 0) {
        weft__epoll_timer_close(s);
        s->may_stand = 0;
        s->standing_ns = WEFT_NEVER;
    }
}

int weft__epoll_stands(weft__epoll *s, int64_t deadline_ns)
{
    s->waits_alike = deadline_ns == s->waited_ns ? s->waits_alike + 1 : 1;
    s->waited_ns = deadline_ns;
    if (deadline_ns > s->standing_ns)
        stand(s, WEFT_NEVER);
    else if (deadline_ns < s->standing_ns && s->may_stand && s->waits_alike >= WAITS_ALIKE)
        stand(s, deadline_ns);
    return deadline_ns >= s->standing_ns;
}

void weft__epoll_went_off(weft__epoll *s)
{
    s->standing_ns = WEFT_NEVER;
    s->waits_alike = 0;
}
