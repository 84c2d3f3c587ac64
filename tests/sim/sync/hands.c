/* The explorer's mutex that goes from hand to hand: given to a sibling, sent to another lane in a message,
 * or unlocked. One at a time has it, and nobody while it is on its way; a message that ends with its
 * receiver leaves it to whoever waits. */
#include "sim/sync/explore.h"

static weft_mutex m;
static weft_id lane[LANES + 1]; /* the last receives nothing, and dies */
static uint32_t there, done;

static void alone(void)
{
    critical();
    add(&done, 1);
}

static void has_it(void)
{
    alone();
    CHECK_OK(weft_mutex_unlock(&m));
}

/* Locked, whatever became of a message that brought it. */
static int repaired(int r) { return r == -EOWNERDEAD ? weft_mutex_consistent(&m) : r; }

static int is_given(void *arg)
{
    (void)arg;
    CHECK_OK(weft_park(WEFT_NEVER));
    has_it();
    return 0;
}

static int receives(void *arg)
{
    weft_message *msg;
    weft_mutex *which = NULL;

    (void)arg;
    while (weft_receive(&msg, WEFT_NEVER) == 0) {
        sometimes_yield();
        CHECK_OK(repaired(weft_mutex_accept(msg, &which)));
        CHECK(which == &m);
        CHECK_EQ(weft_mutex_accept(msg, NULL), -EINVAL); /* it brought one */
        has_it();
        CHECK_OK(weft_msg_free(msg));
    }
    return 0;
}

static void gives_it(void)
{
    weft_id sibling;

    CHECK_OK(weft_spawn(&sibling, is_given, NULL));
    sometimes_yield();
    alone();
    CHECK_OK(weft_mutex_give(&m, sibling));
    CHECK_EQ(weft_mutex_unlock(&m), -EPERM);
    CHECK_OK(weft_unpark(sibling));
    joined(sibling);
}

static void sends_it(void)
{
    alone();
    const int r = weft_mutex_send(&m, lane[any(LANES + 1)], NULL, 0, NULL);
    CHECK(r == 0 || r == -ESRCH || r == -EAGAIN);
    if (r < 0)
        has_it();
    else
        CHECK_EQ(weft_mutex_unlock(&m), -EPERM);
}

static int hands_on(void *arg)
{
    weft_id receiver;
    int r;

    (void)arg;
    CHECK_OK(weft_spawn(&receiver, receives, NULL));
    while (!look(&there))
        CHECK_OK(weft_yield());
    for (int i = 0; i < EACH;) {
        if ((r = weft_mutex_lock(&m, some_deadline())) == -ETIMEDOUT)
            continue;
        CHECK_OK(repaired(r));
        switch (any(3)) {
        case 0:
            gives_it();
            break;
        case 1:
            sends_it();
            break;
        default:
            has_it();
        }
        i++;
    }
    CHECK_OK(weft_cancel(receiver));
    joined(receiver);
    return 0;
}

static int stays(void *arg)
{
    (void)arg;
    return weft_park(WEFT_NEVER);
}

void with_hands(void)
{
    CHECK_OK(weft_mutex_init(&m, any(2) ? WEFT_MUTEX_FAIR : 0, NULL));
    inside = torn = there = done = 0;
    CHECK_OK(weft_lane_spawn(&lane[LANES], stays, NULL));
    for (int i = 0; i < LANES; i++)
        CHECK_OK(weft_lane_spawn(&lane[i], hands_on, NULL));
    set(&there, 1);
    CHECK_OK(weft_sleep(weft_after((int64_t)any(60) * WEFT_MICROSECOND)));
    (void)weft__lane_signal(weft_current(), lane[LANES], WEFT__SIG_KILL);
    CHECK_OK(weft_lane_join(lane[LANES], NULL, WEFT_NEVER));
    for (int i = 0; i < LANES; i++)
        ended(lane[i]);
    CHECK(done >= LANES * EACH && torn == done);
    CHECK_OK(repaired(weft_mutex_lock(&m, WEFT_NEVER)));
    CHECK_OK(weft_mutex_unlock(&m));
}
