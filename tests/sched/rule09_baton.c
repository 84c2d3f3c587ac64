/* A worker that is woken to search and finds work of its own first passes the search on: what may move does not wait
 * behind it while others are free (DESIGN rule 9). Two workers sleep; a fiber of worker 0 becomes ready by a
 * completion and then computes until a movable task, submitted a moment after, has run. That task claims worker 0,
 * which is about to be awake anyway. */
#include <sys/socket.h>

#include "base/check.h"
#include "lane/world.h"
#include "fiber/fiber.h"

enum { ROUNDS = 200 };

static int fds[2], at_home, misplaced, round_begun, other_ran, late;
static weft_task other;

static void run_other(weft_task *t)
{
    (void)t;
    put(&other_ran, 1);
}

static int hog(void *arg)
{
    weft_desc d;
    weft_op op;
    char byte;

    (void)arg;
    if (weft__worker_self()->index != 0) {
        put(&misplaced, 1);
        return 0;
    }
    weft__desc_init(&d, fds[0], WEFT_DESC_STREAM);
    put(&at_home, 1);
    for (int i = 0; i < ROUNDS; i++) {
        weft_op_recv(&op, &d, &byte, 1);
        CHECK_EQ(weft__await_op(&op, WEFT_NEVER), 1);
        const int64_t limit = weft_after(5 * WEFT_SECOND);
        while (!get(&other_ran))
            if (weft_now() > limit) {
                put(&late, 1);
                break;
            }
        bump(&round_begun);
    }
    weft__desc_close(weft__worker_self()->port, &d);
    return 0;
}

/* Both sleep, and may be claimed. */
static void until_idle(weft_runtime *rt)
{
    while (__atomic_load_n(&rt->idle, __ATOMIC_SEQ_CST) != 3)
        sched_yield();
}

int main(void)
{
    weft_options opt = {.mode = WEFT_SHARED, .workers = 2, .blocked_ns = -1};
    weft_runtime *rt;

    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    CHECK_OK(weft_start(&rt, &opt));
    while (!get(&at_home)) {
        weft_id id;

        put(&misplaced, 0);
        CHECK_OK(weft_lane_spawn_in(rt, &id, hog, NULL, NULL));
        while (!get(&at_home) && !get(&misplaced))
            sched_yield();
    }
    for (int i = 0; i < ROUNDS; i++) {
        put(&other_ran, 0);
        other.run = run_other;
        until_idle(rt);
        CHECK_EQ(write(fds[1], "x", 1), 1);
        CHECK_OK(weft_task_submit(rt, &other));
        until(&round_begun, i + 1);
        if (get(&late))
            TEST_FAIL("round %d: a movable task waited for 5 s while a worker was free", i);
    }
    CHECK_OK(weft_wait(rt, WEFT_NEVER));
    CHECK_OK(weft_end(rt));
    close(fds[1]);
    return 0;
}
