/* Threads of one's own and lanes on the same objects at once: channels and broadcasts that are closed while others send
 * and receive, credits, futures. Three of each, with deadlines of all sorts; every object is used by all six, who come
 * to the next one at their own pace. */
#include "world.h"

enum { LANES = 3, ALL = 6, ROUNDS = 160, QUOTA = 4, ROOM = 2, WINDOW = 5 };

typedef struct part {
    void (*play)(int me);
    int me; /* lanes come first */
} part;

static weft_latch over;
static int rounds;

static void let_others_run(void)
{
    if (weft_self().gen)
        CHECK_OK(weft_yield());
    else
        sched_yield();
}

static void until_there(const int *p, int v)
{
    while (get(p) < v)
        let_others_run();
}

/* Past, so short that it often passes, or none. */
static int64_t some_time(int i)
{
    return i % 4 == 0 ? WEFT_NEVER : i % 4 == 1 ? WEFT_NOW : weft_after(i % 50 * WEFT_MICROSECOND);
}

/* ---- channels ---- */

/* What becomes of one channel or broadcast. */
typedef struct fate {
    int sent, received, closed; /* closed: how many closers were the first */
    int reason, joined;
} fate;

static weft_channel channels[ROUNDS];
static int buffers[ROUNDS][ROOM];
static fate fates[ROUNDS];

static int reason_of(int me) { return -1000 - me; }

static void close_one(fate *f, int me, int r)
{
    if (r == 0) {
        bump(&f->closed);
        put(&f->reason, reason_of(me));
    } else {
        CHECK_EQ(r, -EALREADY);
    }
}

static void check_reason(const fate *f, int r)
{
    until_there(&f->closed, 1); /* the closer is told last */
    while (!get(&f->reason))
        let_others_run();
    CHECK_EQ(r, get(&f->reason));
}

/* Until its quota is sent, or there is nobody to send to any more. */
static void sends(int i, int me, int (*send)(int i, int n, int64_t by))
{
    for (int n = 0, tries = me; n < QUOTA;) {
        const int r = send(i, n, some_time(tries++));
        if (r == 0) {
            bump(&fates[i].sent);
            n++;
        } else if (r != -ETIMEDOUT) {
            check_reason(&fates[i], r);
            return;
        } else {
            let_others_run();
        }
    }
}

static int to_channel(int i, int n, int64_t by) { return weft_channel_send(&channels[i], &n, by); }

static void receives(int i, int me)
{
    for (int tries = me, item;;) {
        const int r = weft_channel_receive(&channels[i], &item, some_time(tries++));
        if (r == 0) {
            bump(&fates[i].received);
        } else if (r != -ETIMEDOUT) {
            check_reason(&fates[i], r);
            return;
        } else {
            let_others_run();
        }
    }
}

/* A thread and a lane of each sort, by turns. */
static void on_channels(int me)
{
    for (int i = 0; i < rounds; i++) {
        const int role = (me + i) % 3;
        if (role == 0) {
            sends(i, me, to_channel);
        } else if (role == 1) {
            receives(i, me);
        } else {
            until_there(&fates[i].sent, i % QUOTA);
            close_one(&fates[i], me, weft_channel_close(&channels[i], reason_of(me)));
        }
    }
}

static void make_channels(void)
{
    for (int i = 0; i < rounds; i++)
        CHECK_OK(weft_channel_init(&channels[i], sizeof(int), (size_t)(i % (ROOM + 1)), i % (ROOM + 1) ? buffers[i] : NULL));
}

static void check_channels(void)
{
    for (int i = 0; i < rounds; i++) {
        CHECK_EQ(fates[i].closed, 1);
        CHECK_EQ(fates[i].received, fates[i].sent);
    }
}

/* ---- broadcasts ---- */

enum { READERS = 2 };
static weft_broadcast broadcasts[ROUNDS];

static int to_broadcast(int i, int n, int64_t by) { return weft_broadcast_send(&broadcasts[i], &n, by); }

static void listens(int i, int me)
{
    weft_reader reader = {{0}};
    int r, tries = me, item;

    CHECK_OK(weft_broadcast_join(&broadcasts[i], &reader));
    bump(&fates[i].joined);
    do {
        r = weft_broadcast_receive(&reader, &item, NULL, some_time(tries++));
        if (r == 0)
            bump(&fates[i].received);
        else
            let_others_run();
    } while (r == 0 || r == -ETIMEDOUT);
    check_reason(&fates[i], r);
    CHECK_OK(weft_broadcast_leave(&reader));
}

/* Two lanes read; a lane and two threads send, the lane closes, too; the last thread closes. */
static void on_broadcasts(int me)
{
    for (int i = 0; i < rounds; i++) {
        if (me < READERS) {
            listens(i, me);
            continue;
        }
        until_there(&fates[i].joined, READERS);
        if (me < ALL - 1)
            sends(i, me, to_broadcast);
        else
            until_there(&fates[i].sent, i % QUOTA);
        if (me == READERS || me == ALL - 1)
            close_one(&fates[i], me, weft_broadcast_close(&broadcasts[i], reason_of(me)));
    }
}

static void make_broadcasts(void)
{
    for (int i = 0; i < rounds; i++)
        CHECK_OK(weft_broadcast_init(&broadcasts[i], sizeof(int), (size_t)(1 + i % ROOM), buffers[i], WEFT_BROADCAST_HOLD));
}

static void check_broadcasts(void)
{
    for (int i = 0; i < rounds; i++) {
        CHECK_EQ(fates[i].closed, 1);
        CHECK_EQ(fates[i].received, READERS * fates[i].sent);
    }
}

/* ---- credits ---- */

static weft_credit credit;
static int under_way;

static void on_credits(int me)
{
    for (int i = 0, tries = me; i < rounds; tries++) {
        const int n = 1 + (me + i) % 3;
        const int r = weft_credit_spend(&credit, (size_t)n, some_time(tries));
        if (r == -ETIMEDOUT) {
            let_others_run();
            continue;
        }
        CHECK_OK(r);
        CHECK(__atomic_add_fetch(&under_way, n, __ATOMIC_ACQ_REL) <= WINDOW);
        if (i % 8 == 0)
            let_others_run();
        __atomic_sub_fetch(&under_way, n, __ATOMIC_ACQ_REL);
        CHECK_OK(weft_credit_grant(&credit, (size_t)n));
        i++;
    }
}

static void make_credit(void) { CHECK_OK(weft_credit_init(&credit, WINDOW, 2)); }
static void check_credit(void) { CHECK_EQ(weft_credit_used(&credit), 0); }

/* ---- futures ---- */

static weft_future futures[ROUNDS];
static int kept[ROUNDS], winner[ROUNDS];

/* A thread and a lane keep each of them, the others wait. */
static void on_futures(int me)
{
    for (int i = 0; i < rounds; i++) {
        int r = -ETIMEDOUT;
        void *value = NULL;
        if ((me + i) % LANES == 0) {
            r = weft_future_keep(&futures[i], me, &futures[i]);
            CHECK(r == 0 || r == -EALREADY);
            CHECK_EQ(weft_future_kept(&futures[i]), 1);
            if (r == 0) {
                bump(&kept[i]);
                put(&winner[i], 1 + me);
            }
            r = -ETIMEDOUT;
        }
        for (int tries = me; r == -ETIMEDOUT; tries++) {
            r = weft_future_wait(&futures[i], &value, some_time(tries));
            if (r == -ETIMEDOUT)
                let_others_run();
        }
        CHECK(value == &futures[i]);
        until_there(&winner[i], 1);
        CHECK_EQ(r, get(&winner[i]) - 1);
    }
}

static void make_nothing(void) { }

static void check_futures(void)
{
    for (int i = 0; i < rounds; i++)
        CHECK_EQ(kept[i], 1);
}

/* ---- all of it ---- */

static void *on_a_thread(void *arg)
{
    const part *p = arg;

    p->play(p->me);
    CHECK_OK(weft_latch_done(&over, 1));
    return NULL;
}

static int in_a_lane(void *arg)
{
    on_a_thread(arg);
    return 0;
}

static void all_play(void (*make)(void), void (*play)(int me), void (*check)(void))
{
    weft_id lane[LANES];
    pthread_t thread[ALL];
    part parts[ALL];

    memset(fates, 0, sizeof fates);
    make();
    CHECK_OK(weft_latch_init(&over, ALL));
    for (int i = 0; i < ALL; i++)
        parts[i] = (part){play, i};
    for (int i = 0; i < LANES; i++)
        CHECK_OK(weft_lane_spawn(&lane[i], in_a_lane, &parts[i]));
    for (int i = LANES; i < ALL; i++)
        thread[i] = thread_of(on_a_thread, &parts[i]);
    CHECK_OK(weft_latch_wait(&over, WEFT_NEVER)); /* the test's own limit ends it if need be */
    for (int i = 0; i < LANES; i++)
        ended(lane[i]);
    for (int i = LANES; i < ALL; i++)
        CHECK_EQ(pthread_join(thread[i], NULL), 0); /* which is over but for its return */
    check();
}

static int main_fiber(int argc, char **argv)
{
    (void)argc, (void)argv;
    rounds = test_rounds(ROUNDS);
    all_play(make_channels, on_channels, check_channels);
    all_play(make_broadcasts, on_broadcasts, check_broadcasts);
    all_play(make_credit, on_credits, check_credit);
    all_play(make_nothing, on_futures, check_futures);
    return 0;
}

int main(void)
{
    run_clean(main_fiber, 3);
    return 0;
}
