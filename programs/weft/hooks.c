/*
 * The test hooks. hooks_act is called by the daemon's signal watcher, so one at a time. Killing is done by a task: no
 * fiber of ours is the parent of a connection's lane, and code that is no fiber needs no right.
 */
#include "hooks.h"

#include "daemon.h"
#include "local.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static struct {
    weft_task task;
    weft_runtime *rt;
    struct tracker *tracker;
    atomic_bool busy; /* from asking for it until it is done */
} killing;

const int *hooks_signals(const int *end)
{
    static int signals[8];
    int n = 0;
    if (getenv("WEFT_TEST_HOOKS") == NULL)
        return end;
    for (; end[n] != 0 && n < 4; n++)
        signals[n] = end[n];
    signals[n++] = SIGUSR1;
    signals[n++] = SIGUSR2;
    signals[n++] = SIGALRM;
    signals[n] = 0;
    return signals;
}

static void tell_killed(uint32_t n)
{
    atomic_store(&killing.busy, false); /* pairs with the loop in hooks_act */
    printf("killed %u\n", n);
    fflush(stdout);
}

static void kill_all(weft_task *task)
{
    (void)task;
    uint32_t n = tracker_kill(killing.tracker, killing.rt);
    tell_killed(n);
}

static void kill_listener(weft_task *task)
{
    (void)task;
    weft_id lane;
    int r = weft_whereis_in(killing.rt, DAEMON_LISTENER, &lane);
    tell_killed(r == 0 && weft_kill_in(killing.rt, lane) == 0);
}

static void print_figures(struct tracker *t)
{
    weft_stats s;
    struct totals totals;
    weft_runtime_stats(weft_current(), &s);
    counters_sum(&totals);
    printf("slots %u buffers %" PRIu64 " open %" PRIu64 " lanes %" PRIu64 " fibers %" PRIu64 " stacks %" PRIu64
           " ops %" PRIu64 "\n",
        atomic_load(&t->open), totals.buffers, totals.connections - totals.closed, s.lanes_spawned - s.lanes_ended,
        s.fibers_spawned - s.fibers_ended, s.stacks_used, s.ops_in_flight);
    fflush(stdout);
}

bool hooks_act(int number, struct tracker *t)
{
    if (number == SIGUSR2) {
        print_figures(t);
        return true;
    }
    if (number != SIGUSR1 && number != SIGALRM)
        return false;
    while (atomic_load(&killing.busy))
        weft_yield();
    atomic_store(&killing.busy, true);
    killing.rt = weft_current();
    killing.tracker = t;
    killing.task.run = number == SIGUSR1 ? kill_all : kill_listener;
    weft_task_submit(killing.rt, &killing.task);
    return true;
}
