/* Channels that grow: all that is sent below the limit finds room, in order; memory comes and goes with what lies in
 * them, and a steady load asks for none; without memory they are full; closing, ending and death. */
#include "world.h"

enum { LIMIT = 1 << 16 };

typedef struct item {
    int number;
    int check[9];
} item;

static weft_channel c;
static spy s;
static int phase;

static item make(int i)
{
    return (item){.number = i, .check = {[0] = ~i, [8] = i * 3}};
}

static void is(const item *it, int i)
{
    CHECK_EQ(it->number, i);
    CHECK(it->check[0] == ~i && it->check[8] == i * 3);
}

static void fill(int from, int n)
{
    for (int i = from; i < from + n; i++) {
        const item it = make(i);
        const int r = i % 3 ? weft_channel_try_send(&c, &it) : weft_channel_send(&c, &it, WEFT_NOW);
        CHECK_OK(r); /* nobody has to wait */
    }
}

static void drain(int from, int n)
{
    item it[16];

    for (int i = from; i < from + n;) {
        if (i % 5 == 0) {
            const int left = from + n - i;
            const int64_t got = weft_channel_receive_many(&c, it, left < 16 ? (size_t)left : 16, WEFT_NOW);
            CHECK_OK(got);
            for (int k = 0; k < got; k++)
                is(&it[k], i++);
        } else {
            CHECK_OK(weft_channel_receive(&c, it, WEFT_NOW));
            is(it, i++);
        }
    }
}

static void arguments(void)
{
    item it = make(1);

    CHECK_EQ(weft_channel_init_growing(&c, 0, 1), -EINVAL);
    CHECK_EQ(weft_channel_init_growing(&c, 1, 0), -EINVAL);
    CHECK_EQ(weft_channel_init_growing(&c, SIZE_MAX, 1), -EINVAL);
    CHECK_OK(weft_channel_init_growing(&c, sizeof it, 1)); /* the limit is exact, however small */
    CHECK_OK(weft_channel_try_send(&c, &it));
    CHECK_EQ(weft_channel_try_send(&c, &it), -EAGAIN);
    CHECK_EQ(weft_channel_send(&c, &it, weft_after(WEFT_MILLISECOND)), -ETIMEDOUT);
    CHECK_EQ(weft_channel_length(&c), 1);
    CHECK_OK(weft_channel_end(&c));
    CHECK_EQ(weft_channel_try_send(&c, &it), -EPIPE);
    CHECK_EQ(weft_channel_try_receive(&c, &it), -EPIPE); /* what lay in it went with it */
    CHECK_OK(weft_channel_end(&c));
}

/* Up to the limit and down to nothing, in whatever steps. */
static void up_and_down(void)
{
    const int steps[] = {1, 2, 300, 401, 402, 410, 5000, 1, LIMIT};
    item it = make(0);

    CHECK_OK(weft_channel_init_growing(&c, sizeof(item), LIMIT));
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        fill(0, steps[i]);
        CHECK_EQ(weft_channel_length(&c), steps[i]);
        drain(0, steps[i]);
        CHECK_EQ(weft_channel_try_receive(&c, &it), -EAGAIN);
    }
    fill(0, LIMIT);
    CHECK_EQ(weft_channel_try_send(&c, &it), -EAGAIN);
    CHECK_EQ(weft_channel_send(&c, &it, WEFT_NOW), -ETIMEDOUT);
    int from = 0, to = LIMIT;
    uint64_t state = 5;
    while (from < 3 * LIMIT) { /* rolling on, never empty */
        const int n = (int)(next_random(&state) % 3000);
        drain(from, n < to - from ? n : to - from - 1);
        from += n < to - from ? n : to - from - 1;
        const int more = (int)(next_random(&state) % 3000), room = LIMIT - (to - from);
        fill(to, more < room ? more : room);
        to += more < room ? more : room;
        CHECK_EQ(weft_channel_length(&c), to - from);
    }
    CHECK_OK(weft_channel_end(&c)); /* with all that lies in it */
}

static void memory(void)
{
    const long before = spy_get(&s.bytes);

    CHECK_OK(weft_channel_init_growing(&c, sizeof(item), LIMIT));
    const long small = spy_get(&s.bytes) - before;
    CHECK(small <= 16 << 10);
    fill(0, LIMIT);
    CHECK(spy_get(&s.bytes) - before >= LIMIT * (long)sizeof(item));
    drain(0, LIMIT);
    CHECK(spy_get(&s.bytes) - before <= 3 * small); /* one large filling leaves nothing behind */
    for (int i = 0; i < 3; i++) {
        fill(0, 9000);
        drain(0, 9000);
    }
    long maps = spy_get(&s.map_calls);
    for (int i = 0; i < 20; i++) { /* fillings that are alike */
        fill(0, 9000);
        drain(0, 9000);
    }
    CHECK_EQ(spy_get(&s.map_calls), maps);
    for (int i = 0; i < 100; i++) { /* they are over: what was kept goes, bit by bit */
        fill(0, 500);
        drain(0, 500);
    }
    CHECK(spy_get(&s.bytes) - before <= 3 * small);
    fill(0, 700); /* rolling on with so many in it */
    for (int i = 0; i < 20000; i++) {
        if (i == 1000)
            maps = spy_get(&s.map_calls);
        fill(700 + i, 1);
        drain(i, 1);
    }
    CHECK_EQ(spy_get(&s.map_calls), maps);
    CHECK_OK(weft_channel_end(&c));
    CHECK_EQ(spy_get(&s.bytes), before);
}

static int sends_one(void *arg)
{
    const item it = make((int)(intptr_t)arg);

    return weft_channel_send(&c, &it, WEFT_NEVER);
}

static void without_memory(void)
{
    item it;
    weft_id f;
    int n = 0;

    s.fail_maps_from = spy_get(&s.map_calls) + 1;
    CHECK_EQ(weft_channel_init_growing(&c, sizeof(item), LIMIT), -ENOMEM);
    s.fail_maps_from = 0;
    CHECK_OK(weft_channel_init_growing(&c, sizeof(item), LIMIT));
    s.fail_maps_from = spy_get(&s.map_calls) + 1;
    for (int r = 0; r == 0; n += r == 0) {
        it = make(n);
        r = weft_channel_try_send(&c, &it);
        CHECK(r == 0 || r == -EAGAIN);
    }
    CHECK(n > 300 && n < 500); /* one chunk of 16 KiB */
    CHECK_OK(weft_spawn(&f, sends_one, (void *)(intptr_t)n));
    settle();
    CHECK_EQ(weft_join(f, NULL, WEFT_NOW), -ETIMEDOUT); /* it waits as where it is full */
    drain(0, n);
    joined(f);
    drain(n, 1);
    fill(0, 10);
    s.fail_maps_from = 0;
    fill(10, 5000);
    drain(0, 5010);
    CHECK_OK(weft_channel_end(&c));
}

/* ---- closing, ending, death ---- */

static int told(void *arg)
{
    item it = make(1);
    const int r = arg ? weft_channel_send(&c, &it, WEFT_NEVER) : weft_channel_receive(&c, &it, WEFT_NEVER);

    return r == -EPIPE ? 0 : r;
}

static void closing(void)
{
    item it;
    weft_id f;

    CHECK_OK(weft_channel_init_growing(&c, sizeof(item), 1000));
    fill(0, 1000);
    CHECK_OK(weft_spawn(&f, told, &c));
    settle();
    CHECK_OK(weft_channel_close(&c, 0));
    joined(f);
    CHECK_EQ(weft_channel_try_send(&c, &it), -EPIPE);
    drain(0, 1000); /* what was sent is delivered */
    CHECK_EQ(weft_channel_receive(&c, &it, WEFT_NEVER), -EPIPE);
    CHECK_OK(weft_channel_end(&c));
    for (int i = 0; i < 2; i++) {
        CHECK_OK(weft_channel_init_growing(&c, sizeof(item), 1));
        if (i)
            fill(0, 1);
        CHECK_OK(weft_spawn(&f, told, i ? &c : NULL));
        settle();
        CHECK_OK(weft_channel_end(&c)); /* closes it */
        joined(f);
    }
    int ring[2], x = 7;
    CHECK_OK(weft_channel_init(&c, sizeof(int), 2, ring)); /* one that does not grow may be ended, too */
    CHECK_OK(weft_channel_try_send(&c, &x));
    CHECK_OK(weft_channel_end(&c));
    CHECK_EQ(weft_channel_try_receive(&c, &x), -EPIPE);
}

static int receives_and_dies(void *arg)
{
    item it;

    (void)arg;
    put(&phase, 1);
    return weft_channel_receive(&c, &it, WEFT_NEVER);
}

/* What it was given and never saw goes back to the front, though that is a chunk's. */
static void death(void)
{
    weft_id l;

    for (int more = 0; more < 3; more++) {
        CHECK_OK(weft_channel_init_growing(&c, sizeof(item), LIMIT));
        put(&phase, 0);
        CHECK_OK(weft_lane_spawn_with(&l, receives_and_dies, NULL, .pinned = 1));
        reached(&phase, 1);
        fill(0, 1 + more * 1000);
        kill_here(l);
        CHECK_OK(weft_lane_join(l, NULL, soon()));
        drain(0, 1 + more * 1000);
        CHECK_OK(weft_channel_end(&c));
    }
}

static int sends_when_told(void *arg)
{
    while (!get(&phase))
        CHECK_OK(weft_yield());
    const item it = make(*(const int *)arg);
    s.fail_maps_from = 0;
    s.fail_map = spy_get(&s.map_calls) + 1; /* it waits for the want of memory; the next who asks for some gets it */
    return weft_channel_send(&c, &it, WEFT_NEVER);
}

/* The memory that is got for what goes back is not another sender's. */
static void death_without_memory(void)
{
    item it;
    weft_id l, f;
    int n = 1;

    CHECK_OK(weft_channel_init_growing(&c, sizeof(item), LIMIT));
    put(&phase, 0);
    CHECK_OK(weft_lane_spawn_with(&l, receives_and_dies, NULL, .pinned = 1));
    reached(&phase, 1);
    put(&phase, 0);
    CHECK_OK(weft_spawn(&f, sends_when_told, &n));
    settle(); /* its turn is before that of whom we give something now */
    s.fail_maps_from = spy_get(&s.map_calls) + 1;
    fill(0, 1);
    for (int r = 0; r == 0; n += r == 0) {
        it = make(n);
        r = weft_channel_try_send(&c, &it);
        CHECK(r == 0 || r == -EAGAIN);
    }
    kill_here(l);
    put(&phase, 1);
    CHECK_OK(weft_lane_join(l, NULL, soon()));
    joined(f);
    CHECK_EQ(weft_channel_length(&c), n + 1);
    drain(0, n + 1);
    CHECK_OK(weft_channel_end(&c));
}

/* ---- many ---- */

enum { SENDERS = 3, EACH = 4000 };

static int sends_many(void *arg)
{
    for (int i = 0; i < EACH; i++) {
        const item it = make((int)(intptr_t)arg * EACH + i);
        weft_case k[] = {WEFT_SEND(&c, &it)};
        const int r = i % 2 ? weft_channel_send(&c, &it, WEFT_NEVER) : weft_select(k, 1, WEFT_NEVER);
        CHECK_OK(r);
    }
    return 0;
}

static void *sends_from_a_thread(void *arg)
{
    for (int i = 0; i < EACH; i++) {
        const item it = make((int)(intptr_t)arg * EACH + i);
        CHECK_OK(weft_channel_send(&c, &it, WEFT_NEVER));
    }
    return NULL;
}

static void receives_all(void)
{
    int last[SENDERS] = {-1, -1, -1};
    item it[64];

    for (int n = 0; n < SENDERS * EACH;) {
        const int64_t got = weft_channel_receive_many(&c, it, 64, soon());
        CHECK_OK(got);
        n += (int)got;
        for (int k = 0; k < got; k++) {
            const int who = it[k].number / EACH, what = it[k].number % EACH;
            is(&it[k], it[k].number);
            CHECK_EQ(what, last[who] + 1);
            last[who] = what;
        }
    }
}

/* Below the limit nobody waits for a receiver; at a small one everybody does. */
static void many(void)
{
    for (int small = 0; small < 2; small++) {
        weft_id l[SENDERS];

        CHECK_OK(weft_channel_init_growing(&c, sizeof(item), small ? 450 : SENDERS * EACH));
        for (int i = 1; i < SENDERS; i++)
            CHECK_OK(weft_lane_spawn(&l[i], sends_many, (void *)(intptr_t)i));
        const pthread_t t = thread_of(sends_from_a_thread, (void *)(intptr_t)0);
        for (int i = 1; i < SENDERS && !small; i++)
            ended(l[i]);
        if (!small)
            pthread_join(t, NULL);
        receives_all();
        for (int i = 1; i < SENDERS && small; i++)
            ended(l[i]);
        if (small)
            pthread_join(t, NULL);
        CHECK_OK(weft_channel_end(&c));
    }
}

static int run(int argc, char **argv)
{
    (void)argc, (void)argv;
    arguments();
    up_and_down();
    memory();
    without_memory();
    closing();
    death();
    death_without_memory();
    many();
    return 0;
}

int main(void)
{
    weft_options opt = {.workers = 2, .env = spy_open(&s), .blocked_ns = -1};

    CHECK_EQ(run_main_with(run, &opt), 0);
    SPY_SILENT(&s);
    spy_close(&s);
    return 0;
}
