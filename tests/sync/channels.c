/* Channels and futures: order, fullness, closing, deadlines, death, many against many, and threads. */
#include "world.h"

static weft_channel c;
static int buffer[8];
static int phase;

static int sends(void *arg) /* arg numbers, then it is over */
{
    for (int i = 1; i <= (int)(intptr_t)arg; i++)
        CHECK_OK(weft_channel_send(&c, &i, WEFT_NEVER));
    return 0;
}

static int receives_in_order(void *arg)
{
    for (int i = 1; i <= (int)(intptr_t)arg; i++) {
        int got = 0;
        CHECK_OK(weft_channel_receive(&c, &got, WEFT_NEVER));
        CHECK_EQ(got, i);
    }
    return 0;
}

static void without_waiting(void)
{
    int x = 5;

    CHECK_EQ(weft_channel_init(&c, 0, 1, buffer), -EINVAL);
    CHECK_EQ(weft_channel_init(&c, 4, 1, NULL), -EINVAL);
    CHECK_EQ(weft_channel_init(&c, SIZE_MAX / 2, 3, buffer), -EINVAL);
    CHECK_OK(weft_channel_init(&c, sizeof(int), 0, NULL));
    CHECK_EQ(weft_channel_try_send(&c, &x), -EAGAIN);
    CHECK_EQ(weft_channel_try_receive(&c, &x), -EAGAIN);
    CHECK_EQ(weft_channel_send(&c, &x, WEFT_NOW), -ETIMEDOUT);
    CHECK_EQ(weft_channel_receive(&c, &x, WEFT_NOW), -ETIMEDOUT);
    CHECK_EQ(weft_channel_receive(&c, &x, weft_after(WEFT_MILLISECOND)), -ETIMEDOUT);
    CHECK_EQ(weft_channel_send(&c, &x, weft_after(WEFT_MILLISECOND)), -ETIMEDOUT);
    CHECK_OK(weft_channel_init(&c, sizeof(int), 3, buffer));
    for (int round = 0; round < 5; round++) { /* all around the ring */
        for (int i = 0; i < 3; i++)
            CHECK_OK(weft_channel_try_send(&c, &i));
        CHECK_EQ(weft_channel_length(&c), 3);
        CHECK_EQ(weft_channel_try_send(&c, &x), -EAGAIN);
        CHECK_EQ(weft_channel_send(&c, &x, WEFT_NOW), -ETIMEDOUT);
        for (int i = 0; i < 3; i++) {
            CHECK_OK(i % 2 ? weft_channel_try_receive(&c, &x) : weft_channel_receive(&c, &x, WEFT_NEVER));
            CHECK_EQ(x, i);
        }
        CHECK_OK(weft_channel_send(&c, &x, WEFT_NEVER));
        CHECK_OK(weft_channel_receive(&c, &x, WEFT_NOW));
    }
    CHECK_EQ(weft_channel_receive_many(&c, &x, 0, WEFT_NEVER), -EINVAL);
}

static void in_order(size_t capacity)
{
    weft_id f, l;

    CHECK_OK(weft_channel_init(&c, sizeof(int), capacity, capacity ? buffer : NULL));
    CHECK_OK(weft_spawn(&f, sends, (void *)(intptr_t)500));
    CHECK_OK(weft_spawn(&l, receives_in_order, (void *)(intptr_t)500));
    joined(f);
    joined(l);
    CHECK_OK(weft_lane_spawn(&f, sends, (void *)(intptr_t)1000));
    CHECK_OK(weft_lane_spawn(&l, receives_in_order, (void *)(intptr_t)1000));
    ended(f);
    ended(l);
}

static void batches(void)
{
    int got[8];
    weft_id f;

    CHECK_OK(weft_channel_init(&c, sizeof(int), 4, buffer));
    CHECK_OK(weft_spawn(&f, sends, (void *)(intptr_t)7));
    settle();
    CHECK_EQ(weft_channel_receive_many(&c, got, 3, WEFT_NEVER), 3); /* the sender that waited moves up */
    CHECK_EQ(weft_channel_length(&c), 2);
    settle();
    CHECK_EQ(weft_channel_receive_many(&c, got + 3, 5, WEFT_NEVER), 4);
    for (int i = 0; i < 7; i++)
        CHECK_EQ(got[i], i + 1);
    joined(f);
    CHECK_EQ(weft_channel_receive_many(&c, got, 8, weft_after(WEFT_MILLISECOND)), -ETIMEDOUT);
}

/* ---- closing ---- */

static int is_refused(void *arg)
{
    int x = 9;

    CHECK_EQ(arg ? weft_channel_send(&c, &x, WEFT_NEVER) : weft_channel_receive(&c, &x, WEFT_NEVER), -ECONNRESET);
    return 0;
}

static void closing(void)
{
    int x = 1;
    weft_id f;

    for (int i = 0; i < 2; i++) { /* who waits is told */
        CHECK_OK(weft_channel_init(&c, sizeof(int), 0, NULL));
        CHECK_OK(weft_spawn(&f, is_refused, i ? &c : NULL));
        settle();
        CHECK_EQ(weft_channel_close(&c, 1), -EINVAL);
        CHECK_OK(weft_channel_close(&c, -ECONNRESET));
        CHECK_EQ(weft_channel_close(&c, 0), -EALREADY);
        joined(f);
    }
    CHECK_OK(weft_channel_init(&c, sizeof(int), 2, buffer));
    CHECK_OK(weft_channel_send(&c, &x, WEFT_NEVER));
    x = 2;
    CHECK_OK(weft_channel_send(&c, &x, WEFT_NEVER));
    CHECK_OK(weft_channel_close(&c, 0));
    CHECK_EQ(weft_channel_send(&c, &x, WEFT_NEVER), -EPIPE);
    CHECK_EQ(weft_channel_try_send(&c, &x), -EPIPE);
    CHECK_OK(weft_channel_receive(&c, &x, WEFT_NEVER)); /* what was sent is delivered */
    CHECK_EQ(x, 1);
    CHECK_OK(weft_channel_try_receive(&c, &x));
    CHECK_EQ(x, 2);
    CHECK_EQ(weft_channel_try_receive(&c, &x), -EPIPE);
    CHECK_EQ(weft_channel_receive(&c, &x, WEFT_NEVER), -EPIPE);
    CHECK_EQ(weft_channel_receive_many(&c, &x, 1, WEFT_NEVER), -EPIPE);
}

/* ---- cancelling and death ---- */

static int cancelled_one(void *arg)
{
    int x = 77;

    return arg ? weft_channel_send(&c, &x, WEFT_NEVER) : weft_channel_receive(&c, &x, WEFT_NEVER);
}

static void cancelling(void)
{
    weft_id f;
    int r, x = 0;

    for (int i = 0; i < 2; i++) {
        CHECK_OK(weft_channel_init(&c, sizeof(int), 0, NULL));
        CHECK_OK(weft_spawn(&f, cancelled_one, i ? &c : NULL));
        settle();
        CHECK_OK(weft_cancel(f));
        CHECK_OK(weft_join(f, &r, soon()));
        CHECK_EQ(r, -ECANCELED);
        CHECK_EQ(i ? weft_channel_try_receive(&c, &x) : weft_channel_try_send(&c, &x), -EAGAIN); /* it has left */
        CHECK_OK(weft_spawn(&f, cancelled_one, i ? &c : NULL));
        settle();
        CHECK_OK(i ? weft_channel_try_receive(&c, &x) : weft_channel_try_send(&c, &x));
        CHECK_OK(weft_cancel(f)); /* too late */
        joined(f);
    }
    CHECK_EQ(x, 77);
}

static int receives_and_dies(void *arg)
{
    int x;

    (void)arg;
    put(&phase, 1);
    CHECK_OK(weft_channel_receive(&c, &x, WEFT_NEVER));
    put(&phase, 2);
    return 0;
}

static void death(void)
{
    weft_id l;
    int x = 3;

    CHECK_OK(weft_channel_init(&c, sizeof(int), 2, buffer));
    put(&phase, 0);
    CHECK_OK(weft_lane_spawn_with(&l, receives_and_dies, NULL, .pinned = 1));
    reached(&phase, 1);
    CHECK_OK(weft_channel_send(&c, &x, WEFT_NEVER)); /* it has it, and never sees it */
    x = 4;
    CHECK_OK(weft_channel_send(&c, &x, WEFT_NEVER));
    kill_here(l);
    CHECK_OK(weft_lane_join(l, NULL, soon()));
    CHECK_EQ(get(&phase), 1);
    for (int i = 3; i <= 4; i++) {
        CHECK_OK(weft_channel_receive(&c, &x, WEFT_NOW));
        CHECK_EQ(x, i);
    }
    CHECK_OK(weft_channel_init(&c, sizeof(int), 0, NULL)); /* a sender that is killed has sent nothing */
    CHECK_OK(weft_lane_spawn_with(&l, sends, (void *)(intptr_t)1, .pinned = 1));
    settle();
    killed(l);
    CHECK_EQ(weft_channel_try_receive(&c, &x), -EAGAIN);
}

/* ---- many ---- */

enum { SENDERS = 3, RECEIVERS = 3, EACH = 1000 };
typedef struct wide {
    int sender, number;
    long check[3];
} wide;
static wide wides[40];
static long sums[RECEIVERS];
static int counts;
static weft_latch all;

static int sends_many(void *arg)
{
    int late = 0;

    for (int i = 0; i < EACH; i++) {
        const wide w = {.sender = (int)(intptr_t)arg, .number = i, .check = {i, -i, 3L * i}};
        const int r = weft_channel_send(&c, &w, i % 7 || late ? WEFT_NEVER : weft_after(30 * WEFT_MICROSECOND));
        late = r == -ETIMEDOUT;
        if (late)
            i--;
        else
            CHECK_OK(r);
    }
    return 0;
}

static int receives_many(void *arg)
{
    const int me = (int)(intptr_t)arg;
    int last[SENDERS] = {-1, -1, -1};
    wide w[3];

    for (;;) {
        const int64_t n = weft_channel_receive_many(&c, w, 1 + (size_t)me, WEFT_NEVER);
        if (n == -EPIPE)
            return 0;
        CHECK_OK(n);
        for (int64_t i = 0; i < n; i++) {
            CHECK(w[i].check[0] == w[i].number && w[i].check[1] == -w[i].number && w[i].check[2] == 3L * w[i].number);
            CHECK(w[i].number > last[w[i].sender]); /* of one sender, in order */
            last[w[i].sender] = w[i].number;
            sums[me] += w[i].number;
            bump(&counts);
            CHECK_OK(weft_latch_done(&all, 1));
        }
    }
}

static void *sends_from_a_thread(void *arg)
{
    CHECK_OK(sends_many(arg));
    return NULL;
}

static void many(size_t capacity)
{
    weft_id s[SENDERS], r[RECEIVERS];
    long sum = 0;

    CHECK_OK(weft_channel_init(&c, sizeof(wide), capacity, capacity ? wides : NULL));
    memset(sums, 0, sizeof sums);
    put(&counts, 0);
    CHECK_OK(weft_latch_init(&all, SENDERS * EACH));
    for (int i = 0; i < RECEIVERS; i++)
        CHECK_OK(weft_lane_spawn(&r[i], receives_many, (void *)(intptr_t)i));
    for (int i = 1; i < SENDERS; i++)
        CHECK_OK(weft_lane_spawn(&s[i], sends_many, (void *)(intptr_t)i));
    const pthread_t t = thread_of(sends_from_a_thread, NULL);
    for (int i = 1; i < SENDERS; i++)
        ended(s[i]);
    CHECK_OK(weft_latch_wait(&all, soon()));
    pthread_join(t, NULL);
    CHECK_OK(weft_channel_close(&c, 0));
    for (int i = 0; i < RECEIVERS; i++) {
        ended(r[i]);
        sum += sums[i];
    }
    CHECK_EQ(get(&counts), SENDERS * EACH);
    CHECK_EQ(sum, (long)SENDERS * EACH * (EACH - 1) / 2);
}

static void *receives_on_a_thread(void *arg)
{
    int x;

    CHECK_EQ(weft_channel_receive(&c, &x, WEFT_NOW), -ETIMEDOUT);
    CHECK_EQ(weft_channel_receive(&c, &x, weft_after(WEFT_MILLISECOND)), -ETIMEDOUT);
    CHECK_EQ(weft_channel_try_receive(&c, &x), -EAGAIN);
    put(&phase, 1);
    CHECK_OK(receives_in_order(arg));
    CHECK_EQ(weft_channel_receive(&c, &x, WEFT_NEVER), -EPIPE);
    return NULL;
}

static void threads(void)
{
    CHECK_OK(weft_channel_init(&c, sizeof(int), 0, NULL));
    put(&phase, 0);
    const pthread_t t = thread_of(receives_on_a_thread, (void *)(intptr_t)200);
    reached(&phase, 1);
    CHECK_OK(sends((void *)(intptr_t)200));
    CHECK_OK(weft_channel_close(&c, 0));
    pthread_join(t, NULL);
}

/* ---- futures ---- */

static weft_future future;

static int expects(void *arg)
{
    void *value = NULL;

    (void)arg;
    CHECK_EQ(weft_future_wait(&future, &value, WEFT_NEVER), 12);
    CHECK(value == &future);
    return 0;
}

static int keeps(void *arg)
{
    (void)arg;
    CHECK_OK(weft_future_keep(&future, 12, &future));
    return 0;
}

static void futures(void)
{
    weft_id f[3];

    future = (weft_future){{0}};
    CHECK_EQ(weft_future_kept(&future), 0);
    CHECK_EQ(weft_future_wait(&future, NULL, WEFT_NOW), -ETIMEDOUT);
    CHECK_EQ(weft_future_wait(&future, NULL, weft_after(WEFT_MILLISECOND)), -ETIMEDOUT);
    for (int i = 0; i < 2; i++)
        CHECK_OK(weft_lane_spawn(&f[i], expects, NULL));
    CHECK_OK(weft_lane_spawn(&f[2], keeps, NULL));
    for (int i = 0; i < 3; i++)
        ended(f[i]);
    CHECK_OK(expects(NULL)); /* afterwards, too */
    CHECK_EQ(weft_future_kept(&future), 1);
    CHECK_EQ(weft_future_keep(&future, 0, NULL), -EALREADY);
}

static int run(int argc, char **argv)
{
    (void)argc, (void)argv;
    without_waiting();
    for (size_t capacity = 0; capacity < 3; capacity++)
        in_order(capacity);
    batches();
    closing();
    cancelling();
    death();
    many(0);
    many(1);
    many(5);
    many(40); /* long enough to be waited for awake */
    threads();
    futures();
    return 0;
}

int main(void)
{
    run_clean(run, 2);
    return 0;
}
