/* Jobs of lanes, weft's processes: spawn, message, kill. */
#include "answers.h"
#include "jobs.h"
#include <stdlib.h>

static void take(void)
{
    weft_message *m;
    must(weft_receive(&m, WEFT_NEVER));
    must(weft_msg_free(m));
}

static long lane_spawn(long n)
{
    for (long i = 0; i < n; i++) {
        weft_id l;
        must(weft_lane_spawn(&l, nothing, NULL));
        must(weft_lane_join(l, NULL, WEFT_NEVER));
    }
    return n;
}

static long lane_message(long n)
{
    weft_id l;
    long rounds = n / 2 ? n / 2 : 1;
    must(weft_lane_spawn_with(&l, answers, NULL, .pinned = workers == 1));
    for (long i = 0; i < rounds; i++) {
        must(weft_send(l, &i, sizeof i, NULL));
        take();
    }
    must(weft_send_with(l, NULL, 0, .tag = 1));
    must(weft_lane_join(l, NULL, WEFT_NEVER));
    return 2 * rounds;
}

static int parks(void *arg)
{
    (void)arg;
    must(weft_send(*(weft_id *)arg, NULL, 0, NULL)); /* it is there */
    return weft_park(WEFT_NEVER);
}

/* Each is there before it is killed, and gone before the next one is. */
static long lane_kill(long n)
{
    weft_id self = weft_lane_self();
    for (long i = 0; i < n; i++) {
        weft_id l;
        weft_exit e;
        must(weft_lane_spawn_with(&l, parks, &self, .copy = sizeof self));
        take();
        must(weft_kill(l));
        must(weft_lane_join_exit(l, &e, WEFT_NEVER));
        check(e.kind, WEFT_EXIT_KILLED);
    }
    return n;
}

const job lane_jobs[] = {{"lane-spawn", lane_spawn}, {"lane-message", lane_message}, {"lane-kill", lane_kill}, {0}};
