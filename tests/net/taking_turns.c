/* Several fibers at one socket: where the port keeps the line (a ring's kernel does not), who came first has the first
 * try, whether it waits by an op or without one; and each way out of a wait lets the next one in: data, a cancel, a
 * deadline, a close through one of two ids. */
#include "cases.h"

#define READERS 4

typedef struct reader {
    weft_id on, fiber;
    int64_t deadline;
    ssize_t result;
    char got;
    int place; /* in the order of their ends, from 1 */
} reader;

static int ended;

static int reads_one(void *arg)
{
    reader *r = arg;
    r->result = weft_read(r->on, &r->got, 1, r->deadline);
    r->place = ++ended;
    return 0;
}

static void start(reader *r, weft_id on, int64_t deadline)
{
    *r = (reader){.on = on, .deadline = deadline};
    CHECK_OK(weft_spawn(&r->fiber, reads_one, r));
    CHECK_OK(weft_yield()); /* it waits now, behind those that were started before */
}

static int in_line(void)
{
    weft_info info;
    CHECK_OK(weft_runtime_info(weft_current(), &info));
    return strcmp(info.port, "epoll") == 0;
}

/* The readers but one, in the order of their coming, each got the next of these;
 * or each of these came to one of them. */
static void check_got(const reader *r, int but, const char *bytes)
{
    int n = 0, seen = 0;
    for (int i = 0; i < READERS; i++) {
        if (i == but)
            continue;
        CHECK_EQ(r[i].result, 1);
        if (in_line())
            CHECK_EQ(r[i].got, bytes[n]);
        seen |= 1 << (r[i].got - bytes[0]);
        n++;
    }
    CHECK_EQ(seen, (1 << n) - 1);
}

static void finish(reader *r) { CHECK_OK(weft_join(r->fiber, NULL, SOON)); }

static void open_readers(reader *r, weft_id *near, weft_id *far)
{
    ended = 0;
    connect_pair(near, far);
    for (int i = 0; i < READERS; i++)
        start(&r[i], *near, SOON);
}

static int in_the_order_of_coming(void *arg)
{
    (void)arg;
    reader r[READERS];
    weft_id near, far;
    open_readers(r, &near, &far);
    CHECK_OK(weft_write_all(far, "abcd", READERS, NULL, SOON));
    for (int i = 0; i < READERS; i++)
        finish(&r[i]);
    check_got(r, -1, "abcd");
    return 0;
}

/* Whoever leaves, those behind move up. */
static int past_one_that_is_cancelled(void *arg)
{
    (void)arg;
    for (int gone = 0; gone < READERS; gone++) {
        reader r[READERS];
        weft_id near, far;
        open_readers(r, &near, &far);
        CHECK_OK(weft_cancel(r[gone].fiber));
        finish(&r[gone]);
        CHECK_EQ(r[gone].result, -ECANCELED);
        CHECK_OK(weft_write_all(far, "abc", READERS - 1, NULL, SOON));
        for (int i = 0; i < READERS; i++)
            if (i != gone)
                finish(&r[i]);
        check_got(r, gone, "abc");
        CHECK_OK(weft_close(near));
        CHECK_OK(weft_close(far));
    }
    return 0;
}

static int past_one_whose_time_is_up(void *arg)
{
    (void)arg;
    reader first, second;
    weft_id near, far;
    ended = 0;
    connect_pair(&near, &far);
    start(&first, near, weft_after(WEFT_MILLISECOND));
    start(&second, near, SOON);
    finish(&first);
    CHECK_EQ(first.result, -ETIMEDOUT);
    CHECK_OK(weft_write_all(far, "x", 1, NULL, SOON));
    finish(&second);
    CHECK_EQ(second.got, 'x');
    return 0;
}

/* Only those that came through it are sent away. */
static int past_those_whose_id_is_closed(void *arg)
{
    (void)arg;
    reader first, second;
    weft_id near, far, other;
    ended = 0;
    connect_pair(&near, &far);
    CHECK_OK(weft_dup(near, &other));
    start(&first, near, SOON);
    start(&second, other, SOON);
    CHECK_OK(weft_close(near));
    finish(&first);
    CHECK_EQ(first.result, -ECANCELED);
    CHECK_EQ(second.place, 0);
    CHECK_OK(weft_write_all(far, "x", 1, NULL, SOON));
    finish(&second);
    CHECK_EQ(second.got, 'x');
    return 0;
}

static int closed_under_all(void *arg)
{
    (void)arg;
    reader r[READERS];
    weft_id near, far;
    open_readers(r, &near, &far);
    CHECK_OK(weft_close(near));
    for (int i = 0; i < READERS; i++) {
        finish(&r[i]);
        CHECK_EQ(r[i].result, -ECANCELED);
    }
    char byte;
    CHECK_EQ(weft_read(far, &byte, 1, SOON), 0);
    return 0;
}

/* Both are ready in the same tick: the closer runs first, or the readers do. */
static int closed_when_told(void *arg)
{
    (void)arg;
    for (int round = 0; round < 20; round++) {
        reader r[READERS];
        weft_id near, far;
        open_readers(r, &near, &far);
        CHECK_OK(weft_write_all(far, "abcd", READERS, NULL, SOON));
        for (int i = 0; i < round % 4; i++)
            CHECK_OK(weft_yield());
        CHECK_OK(weft_close(near));
        for (int i = 0; i < READERS; i++) {
            finish(&r[i]);
            CHECK(r[i].result == 1 || r[i].result == -ECANCELED);
        }
        CHECK_OK(weft_close(far));
    }
    return 0;
}

static int holds_and_waits(void *arg)
{
    weft_id near, far;
    (void)arg;
    connect_pair(&near, &far);
    reader r[READERS];
    for (int i = 0; i < READERS; i++)
        start(&r[i], near, WEFT_NEVER);
    CHECK_OK(weft_write_all(far, "ab", 2, NULL, SOON));
    return (int)weft_park(WEFT_NEVER);
}

/* Readers in all states die with their lane; that they leave nothing behind the case itself looks at. */
static int killed_with_their_lane(void *arg)
{
    (void)arg;
    for (int round = 0; round < 20; round++) {
        weft_id lane;
        CHECK_OK(weft_lane_spawn(&lane, holds_and_waits, NULL));
        for (int i = 0; i < round; i++)
            CHECK_OK(weft_yield());
        CHECK_OK(weft_kill(lane));
        CHECK_OK(weft_lane_join(lane, NULL, SOON));
    }
    return 0;
}

/* A past deadline tries once, and takes what is there although nobody has told of it yet. */
static int a_try_is_a_try(void *arg)
{
    (void)arg;
    weft_id near, far;
    char got[4];
    connect_pair(&near, &far);
    CHECK_ERR(weft_read(near, got, sizeof got, WEFT_NOW), -ETIMEDOUT);
    CHECK_ERR(weft_read(near, got, sizeof got, weft_after(WEFT_MILLISECOND)), -ETIMEDOUT);
    CHECK_OK(weft_write_all(far, "ab", 2, NULL, SOON));
    ssize_t n;
    for (int tries = 0; (n = weft_read(near, got, sizeof got, WEFT_NOW)) == -ETIMEDOUT; tries++)
        CHECK(tries < 1000000);
    CHECK_EQ(n, 2);
    CHECK_ERR(weft_read(near, got, sizeof got, WEFT_NOW), -ETIMEDOUT);
    return 0;
}

int main(int argc, char **argv)
{
    const test_case cases[] = {
        CASE(in_the_order_of_coming), CASE(past_one_that_is_cancelled), CASE(past_one_whose_time_is_up), CASE(past_those_whose_id_is_closed),
        CASE(closed_under_all),       CASE(closed_when_told),           CASE(killed_with_their_lane),    CASE(a_try_is_a_try),
    };
    return RUN(cases, argc, argv);
}
