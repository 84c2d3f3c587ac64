/* A lane's usage follows what it acquires and gives back, and is what its limits are held against. */
#include "lane/world.h"

enum { FIBERS = 5, LANES = 3, IDS = 4, MESSAGES = 6 };

static int up;

static int parks(void *arg)
{
    (void)arg;
    bump(&up);
    return weft_park(WEFT_NEVER);
}

static int accepts(void *arg)
{
    weft_id s;
    return weft_accept(*(weft_id *)arg, &s, NULL, WEFT_NEVER);
}

static weft_limits used(void)
{
    weft_limits u;
    CHECK_OK(weft_lane_usage(&u));
    return u;
}

static __attribute__((noinline)) void touch(void)
{
    volatile char deep[64 << 10];
    for (size_t i = 0; i < sizeof deep; i += 1024)
        deep[i] = 1;
}

/* Limited: the next of each is refused, so the usage is the limit. */
static int acquires(void *arg)
{
    const int limited = *(int *)arg;
    weft_id f[FIBERS], l[LANES], s[IDS], more;
    put(&up, 0);
    weft_limits u = used();
    CHECK_EQ(u.fibers, 1);
    CHECK_EQ(u.lanes + u.ids + u.ops + u.messages, 0);
    CHECK_EQ(u.vat_bytes, 0);
    for (int i = 0; i < FIBERS; i++)
        CHECK_OK(weft_spawn(&f[i], parks, NULL));
    for (int i = 0; i < LANES; i++)
        CHECK_OK(weft_lane_spawn(&l[i], parks, NULL));
    for (int i = 0; i < IDS; i++)
        CHECK_OK(weft_listen(&s[i], test_address(), NULL));
    for (int i = 0; i < MESSAGES; i++)
        CHECK_OK(weft_send(weft_lane_self(), "hello", 5, NULL));
    u = used();
    CHECK_EQ(u.fibers, 1 + FIBERS);
    CHECK_EQ(u.lanes, LANES);
    CHECK_EQ(u.ids, IDS);
    CHECK_EQ(u.messages, MESSAGES);
    CHECK(u.message_bytes >= MESSAGES * 5);
    if (limited) {
        CHECK_EQ(weft_spawn(&more, parks, NULL), -EAGAIN);
        CHECK_EQ(weft_lane_spawn(&more, parks, NULL), -EAGAIN);
        CHECK_EQ(weft_listen(&more, test_address(), NULL), -EAGAIN);
    }
    while (get(&up) < FIBERS + LANES)
        CHECK_OK(weft_yield());
    for (int i = 0; i < FIBERS; i++) {
        CHECK_OK(weft_unpark(f[i]));
        CHECK_OK(weft_join(f[i], NULL, soon()));
    }
    for (int i = 0; i < LANES; i++) {
        CHECK_OK(weft_cancel(l[i]));
        CHECK_OK(weft_lane_join(l[i], NULL, soon()));
    }
    CHECK_OK(weft_spawn(&f[0], accepts, &s[0]));
    CHECK_OK(weft_yield());
    CHECK_EQ(used().ops, 1);
    CHECK_OK(weft_cancel(f[0]));
    CHECK_OK(weft_join(f[0], NULL, soon()));
    for (int i = 0; i < IDS; i++)
        CHECK_OK(weft_close(s[i]));
    const int64_t end = soon();
    while (used().ids > 0) { /* a close may take a while where the port is another thread's */
        CHECK(weft_now() < end);
        CHECK_OK(weft_yield());
    }
    for (int i = 0; i < MESSAGES; i++) {
        weft_message *m;
        CHECK_OK(weft_receive(&m, soon()));
        CHECK_OK(weft_msg_free(m));
    }
    u = used();
    CHECK_EQ(u.fibers, 1);
    CHECK_EQ(u.lanes + u.ids + u.ops + u.messages + u.message_bytes, 0);
    return 7;
}

static int takes_memory(void *arg)
{
    (void)arg;
    const size_t before = used().stack_bytes;
    CHECK(before > 0);
    touch();
    const size_t after = used().stack_bytes;
    if (after < before + (56 << 10) || after > before + (80 << 10))
        TEST_FAIL("64 KiB of stack were touched: %zu bytes, %zu before", after, before);
    void *p = weft_alloc(1 << 20);
    CHECK(p);
    CHECK(used().vat_bytes >= 1 << 20 && used().vat_bytes < 2 << 20);
    weft_free(p);
    CHECK(used().vat_bytes < 1 << 20);
    CHECK_EQ(weft_lane_usage(NULL), -EINVAL);
    return 7;
}

static void end_with_7(int (*fn)(void *), int limited, const weft_limits *limits)
{
    weft_id l;
    int r;
    CHECK_OK(weft_lane_spawn_with(&l, fn, &limited, .copy = sizeof limited, .limits = limits));
    CHECK_OK(weft_lane_join(l, &r, soon()));
    CHECK_EQ(r, 7);
}

static int returns(void *arg)
{
    (void)arg;
    return 0;
}

/* Children that stay, that have ended and not been joined, and that end meanwhile:
 * all that are there count, however many. */
static int has_many(void *arg)
{
    enum { EACH = 150 };
    weft_id stays[EACH], over[EACH];
    (void)arg;
    put(&up, 0);
    for (int i = 0; i < EACH; i++) {
        CHECK_OK(weft_lane_spawn(&stays[i], parks, NULL));
        CHECK_OK(weft_lane_spawn(&over[i], returns, NULL));
        CHECK_OK(weft_lane_spawn(NULL, returns, NULL));
        const uint32_t n = used().lanes;
        CHECK(n >= 2 * (uint32_t)(i + 1) && n <= 3 * (uint32_t)(i + 1));
    }
    while (get(&up) < EACH || used().lanes > 2 * EACH)
        CHECK_OK(weft_yield());
    for (int i = 0; i < EACH; i++) {
        CHECK_OK(weft_cancel(stays[i]));
        CHECK_OK(weft_lane_join(stays[i], NULL, soon()));
        CHECK_OK(weft_lane_join(over[i], NULL, soon()));
        CHECK_EQ(used().lanes, 2 * (uint32_t)(EACH - 1 - i));
    }
    return 7;
}

static int start(int argc, char **argv)
{
    (void)argc, (void)argv;
    end_with_7(acquires, 0, NULL);
    end_with_7(acquires, 1, &(weft_limits){.fibers = 1 + FIBERS, .lanes = LANES, .ids = IDS, .messages = MESSAGES});
    end_with_7(takes_memory, 0, NULL);
    end_with_7(has_many, 0, NULL);
    return 0;
}

int main(void)
{
    weft_limits u;
    CHECK_EQ(weft_lane_usage(&u), -EPERM);
    run_clean(start, 2);
    return 0;
}
