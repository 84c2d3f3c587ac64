/* Broadcasts that hold their senders and those that lose, readers that come, go and die; and credits. */
#include "world.h"

static weft_broadcast b;
static int room[4];
static int phase;

static void joins_once(void)
{
    weft_broadcast other;
    weft_reader r = {{0}};

    CHECK_OK(weft_broadcast_init(&b, sizeof(int), 4, room, WEFT_BROADCAST_HOLD));
    CHECK_OK(weft_broadcast_init(&other, sizeof(int), 4, room, WEFT_BROADCAST_HOLD));
    CHECK_EQ(weft_broadcast_join(&b, NULL), -EINVAL);
    CHECK_OK(weft_broadcast_join(&b, &r));
    CHECK_EQ(weft_broadcast_join(&b, &r), -EINVAL);
    CHECK_EQ(weft_broadcast_join(&other, &r), -EINVAL);
    CHECK_OK(weft_broadcast_leave(&r));
    CHECK_OK(weft_broadcast_join(&other, &r));
    CHECK_OK(weft_broadcast_leave(&r));
}

static int joins_and_counts(void *arg) /* all of 1..arg, in order */
{
    weft_reader r = {{0}};
    uint64_t missed = 9;
    int x = 0;

    CHECK_OK(weft_broadcast_join(&b, &r));
    bump(&phase);
    for (int i = 1; i <= (int)(intptr_t)arg; i++) {
        CHECK_OK(weft_broadcast_receive(&r, &x, &missed, WEFT_NEVER));
        CHECK_EQ(x, i);
        CHECK_EQ(missed, 0);
    }
    CHECK_EQ(weft_broadcast_receive(&r, &x, NULL, WEFT_NEVER), -EPIPE);
    return weft_broadcast_leave(&r);
}

static void everybody_gets_everything(int lanes)
{
    weft_id id[3];

    CHECK_OK(weft_broadcast_init(&b, sizeof(int), 4, room, WEFT_BROADCAST_HOLD));
    put(&phase, 0);
    for (int i = 0; i < 3; i++)
        if (lanes)
            CHECK_OK(weft_lane_spawn(&id[i], joins_and_counts, (void *)(intptr_t)1000));
        else
            CHECK_OK(weft_spawn(&id[i], joins_and_counts, (void *)(intptr_t)1000));
    reached(&phase, 3);
    for (int i = 1; i <= 1000; i++)
        CHECK_OK(weft_broadcast_send(&b, &i, WEFT_NEVER));
    CHECK_OK(weft_broadcast_close(&b, 0));
    for (int i = 0; i < 3; i++)
        if (lanes)
            ended(id[i]);
        else
            joined(id[i]);
}

static void holding(void)
{
    weft_reader r = {{0}};
    int x = 1;

    CHECK_EQ(weft_broadcast_init(&b, 4, 0, room, WEFT_BROADCAST_HOLD), -EINVAL);
    CHECK_EQ(weft_broadcast_init(&b, 0, 1, room, WEFT_BROADCAST_HOLD), -EINVAL);
    CHECK_EQ(weft_broadcast_init(&b, 4, 1, NULL, WEFT_BROADCAST_HOLD), -EINVAL);
    CHECK_EQ(weft_broadcast_init(&b, 4, 1, room, (enum weft_broadcast_kind)5), -EINVAL);
    CHECK_OK(weft_broadcast_init(&b, sizeof(int), 4, room, WEFT_BROADCAST_HOLD));
    for (int i = 0; i < 10; i++) /* nobody listens: nobody is waited for */
        CHECK_OK(weft_broadcast_send(&b, &i, WEFT_NOW));
    CHECK_EQ(weft_broadcast_receive(&r, &x, NULL, WEFT_NOW), -EPERM);
    CHECK_EQ(weft_broadcast_leave(&r), -EPERM);
    CHECK_OK(weft_broadcast_join(&b, &r));
    CHECK_EQ(weft_broadcast_receive(&r, &x, NULL, WEFT_NOW), -ETIMEDOUT); /* what was before is not seen */
    CHECK_EQ(weft_broadcast_receive(&r, &x, NULL, weft_after(WEFT_MILLISECOND)), -ETIMEDOUT);
    for (int i = 0; i < 4; i++)
        CHECK_OK(weft_broadcast_send(&b, &i, WEFT_NOW));
    CHECK_EQ(weft_broadcast_send(&b, &x, WEFT_NOW), -ETIMEDOUT);
    CHECK_EQ(weft_broadcast_send(&b, &x, weft_after(WEFT_MILLISECOND)), -ETIMEDOUT);
    CHECK_OK(weft_broadcast_receive(&r, &x, NULL, WEFT_NOW));
    CHECK_EQ(x, 0);
    CHECK_OK(weft_broadcast_send(&b, &x, WEFT_NOW));
    CHECK_OK(weft_broadcast_leave(&r));
    CHECK_OK(weft_broadcast_send(&b, &x, WEFT_NOW));
    CHECK_EQ(weft_broadcast_close(&b, 1), -EINVAL);
    CHECK_OK(weft_broadcast_close(&b, -EIO));
    CHECK_EQ(weft_broadcast_close(&b, 0), -EALREADY);
    CHECK_EQ(weft_broadcast_send(&b, &x, WEFT_NEVER), -EIO);
    CHECK_OK(weft_broadcast_join(&b, &r));
    CHECK_EQ(weft_broadcast_receive(&r, &x, NULL, WEFT_NEVER), -EIO);
    CHECK_OK(weft_broadcast_leave(&r));
}

static void losing(void)
{
    weft_reader r = {{0}};
    uint64_t missed = 0;
    int x = 0;

    CHECK_OK(weft_broadcast_init(&b, sizeof(int), 4, room, WEFT_BROADCAST_LOSSY));
    CHECK_OK(weft_broadcast_join(&b, &r));
    for (int i = 0; i < 10; i++)
        CHECK_OK(weft_broadcast_send(&b, &i, WEFT_NOW));
    for (int i = 6; i < 10; i++) {
        CHECK_OK(weft_broadcast_receive(&r, &x, &missed, WEFT_NOW));
        CHECK_EQ(x, i);
        CHECK_EQ(missed, i == 6 ? 6 : 0);
    }
    CHECK_EQ(weft_broadcast_receive(&r, &x, &missed, WEFT_NOW), -ETIMEDOUT);
    CHECK_OK(weft_broadcast_leave(&r));
}

static int joins_and_sleeps(void *arg)
{
    weft_reader r = {{0}};

    (void)arg;
    CHECK_OK(weft_broadcast_join(&b, &r));
    put(&phase, 1);
    return weft_park(WEFT_NEVER);
}

static int sends_five(void *arg)
{
    (void)arg;
    for (int i = 0; i < 5; i++)
        CHECK_OK(weft_broadcast_send(&b, &i, WEFT_NEVER));
    return 0;
}

static void a_dead_reader_holds_nobody(void)
{
    weft_id l, f;

    CHECK_OK(weft_broadcast_init(&b, sizeof(int), 4, room, WEFT_BROADCAST_HOLD));
    put(&phase, 0);
    CHECK_OK(weft_lane_spawn(&l, joins_and_sleeps, NULL));
    reached(&phase, 1);
    CHECK_OK(weft_spawn(&f, sends_five, NULL));
    CHECK_EQ(weft_join(f, NULL, weft_after(WEFT_MILLISECOND)), -ETIMEDOUT);
    killed(l);
    joined(f);
}

/* ---- credits ---- */

static weft_credit c;
static int produced, most;

static int spends(void *arg)
{
    for (int i = 0; i < 1000; i++) {
        CHECK_OK(weft_credit_spend(&c, (size_t)(intptr_t)arg, WEFT_NEVER));
        CHECK(weft_credit_used(&c) <= 10);
        bump(&produced);
    }
    return 0;
}

static void credits(void)
{
    weft_id l, f;
    int r, wakes = 0, before;

    CHECK_EQ(weft_credit_init(&c, 0, 0), -EINVAL);
    CHECK_EQ(weft_credit_init(&c, 4, 4), -EINVAL);
    CHECK_OK(weft_credit_init(&c, 10, 3));
    CHECK_EQ(weft_credit_spend(&c, 0, WEFT_NOW), -EINVAL);
    CHECK_EQ(weft_credit_spend(&c, 11, WEFT_NOW), -EINVAL);
    CHECK_EQ(weft_credit_grant(&c, 1), -EINVAL);
    CHECK_OK(weft_credit_spend(&c, 10, WEFT_NOW));
    CHECK_EQ(weft_credit_used(&c), 10);
    CHECK_EQ(weft_credit_spend(&c, 1, WEFT_NOW), -ETIMEDOUT);
    CHECK_EQ(weft_credit_spend(&c, 1, weft_after(WEFT_MILLISECOND)), -ETIMEDOUT);
    CHECK_OK(weft_credit_grant(&c, 6)); /* four are left: not yet */
    CHECK_EQ(weft_credit_spend(&c, 1, WEFT_NOW), -ETIMEDOUT);
    CHECK_OK(weft_credit_grant(&c, 1)); /* three: now all seven */
    CHECK_OK(weft_credit_spend(&c, 7, WEFT_NOW));
    CHECK_OK(weft_credit_grant(&c, 10));

    put(&produced, 0); /* on one worker: the producer runs once for many */
    CHECK_OK(weft_spawn(&f, spends, (void *)(intptr_t)1));
    for (int granted = 0; granted < 1000;) {
        before = get(&produced);
        CHECK_OK(weft_yield());
        wakes += get(&produced) > before;
        most = get(&produced) - before > most ? get(&produced) - before : most;
        if (granted < get(&produced)) {
            CHECK_OK(weft_credit_grant(&c, 1));
            granted++;
        }
    }
    joined(f);
    CHECK(most >= 7);
    CHECK(wakes <= 1000 / 6);
    CHECK_EQ(weft_credit_used(&c), 0);

    put(&produced, 0);
    CHECK_OK(weft_lane_spawn(&l, spends, (void *)(intptr_t)2));
    for (int granted = 0; granted < 1000;) {
        if (get(&produced) > granted) {
            CHECK_OK(weft_credit_grant(&c, 2));
            granted++;
        } else {
            CHECK_OK(weft_yield());
        }
    }
    CHECK_OK(weft_lane_join(l, &r, soon()));
    CHECK_EQ(r, 0);
}

static int run(int argc, char **argv)
{
    (void)argc, (void)argv;
    joins_once();
    holding();
    losing();
    everybody_gets_everything(0);
    everybody_gets_everything(1);
    a_dead_reader_holds_nobody();
    credits();
    return 0;
}

int main(void)
{
    run_clean(run, 2);
    return 0;
}
