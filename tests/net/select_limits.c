/* Selects with many cases, and at the limits of their lane: refused or served in line,
 * and nothing that came is lost in silence. */
#include "selecting.h"

enum { WIDE = 20 };

static int wide(void *arg)
{
    (void)arg;
    for (unsigned n = 5; n <= WIDE; n += 15) { /* on the stack, and in the lane's memory */
        weft_id a[WIDE], b[WIDE];
        weft_case k[WIDE];

        for (unsigned i = 0; i < n; i++) {
            connect_pair(&a[i], &b[i]);
            k[i] = WEFT_CAN_READ(a[i]);
        }
        CHECK_EQ(weft_select(k, n, weft_after(WEFT_MILLISECOND)), -ETIMEDOUT);
        for (unsigned i = 0; i < n; i++) {
            say(b[i], "!");
            CHECK_EQ(weft_select(k, n, SOON), (int)i);
            hear(a[i], "!");
        }
        for (unsigned i = 0; i < n; i++) {
            CHECK_OK(weft_close(a[i]));
            CHECK_OK(weft_close(b[i]));
        }
    }
    return 0;
}

/* At the lane's limit of operations it is refused, or waits for room. */
static int limited(void *arg)
{
    static weft_channel c;
    static int item;
    weft_id a, b;
    int x = 1;

    (void)arg;
    CHECK_OK(weft_channel_init(&c, sizeof item, 1, &item));
    connect_pair(&a, &b);
    CHECK_ERR(weft_select((weft_case[]){WEFT_CAN_READ(a), WEFT_CAN_READ(b)}, 2, weft_after(WEFT_MILLISECOND)), -EAGAIN);
    CHECK_ERR(weft_select((weft_case[]){WEFT_CAN_READ(a)}, 1, weft_after(WEFT_MILLISECOND)), -ETIMEDOUT);
    CHECK_OK(weft_channel_send(&c, &x, SOON));
    CHECK_EQ(weft_select((weft_case[]){WEFT_CAN_READ(a), WEFT_RECEIVE(&c, &x)}, 2, SOON), 1);
    return 0;
}

static int selects_readable(void *arg)
{
    return weft_select((weft_case[]){WEFT_CAN_READ(*(weft_id *)arg)}, 1, SOON);
}

/* Several wait for the room of one op: who is served has it, and does not pass it on
 * to the next before it looks again. */
static int in_line(void *arg)
{
    enum { MANY = 4 };
    weft_id a[MANY], b[MANY], f[MANY];

    (void)arg;
    for (int i = 0; i < MANY; i++) {
        connect_pair(&a[i], &b[i]);
        if (i > 0)
            say(b[i], "!");
    }
    for (int i = 1; i < MANY; i++)
        CHECK_OK(weft_spawn(&f[i], selects_readable, &a[i]));
    const int64_t brief = weft_after(WEFT_MILLISECOND); /* until then the room is ours, and they stand in line */
    CHECK_ERR(weft_select((weft_case[]){WEFT_CAN_READ(a[0])}, 1, brief), -ETIMEDOUT);
    for (int i = 1; i < MANY; i++)
        joined(f[i], 0);
    return 0;
}

static char where[WEFT_ADDR_TEXT];
static int listening;

/* A connection that there is no id for is told of, and not taken in silence. */
static int accepts_at_the_limit(void *arg)
{
    weft_id l = listen_here(where), conn;

    (void)arg;
    __atomic_store_n(&listening, 1, __ATOMIC_RELEASE);
    for (int i = 0; i < 2; i++) {
        weft_case k[] = {WEFT_ACCEPT(l, &conn)};
        if (i) /* until there is one, which is then tried for without waiting */
            CHECK_EQ(weft_select((weft_case[]){WEFT_CAN_ACCEPT(l)}, 1, SOON), 0);
        CHECK_EQ(weft_select(k, 1, i ? WEFT_NOW : SOON), 0);
        CHECK_EQ(k[0].result, -EAGAIN);
    }
    return 0;
}

static void connections_at_the_limit(void)
{
    weft_id l, conn[2];
    int r;

    __atomic_store_n(&listening, 0, __ATOMIC_RELEASE);
    CHECK_OK(weft_lane_spawn_with(&l, accepts_at_the_limit, NULL, .limits = &(weft_limits){.ids = 1}));
    while (!__atomic_load_n(&listening, __ATOMIC_ACQUIRE))
        CHECK_OK(weft_yield());
    for (int i = 0; i < 2; i++)
        CHECK_OK(weft_connect(&conn[i], where, SOON)); /* the backlog takes it */
    CHECK_OK(weft_lane_join(l, &r, WEFT_NEVER));
    CHECK_EQ(r, 0);
}

static int limits(void *arg)
{
    weft_id l;
    int r;

    (void)arg;
    CHECK_OK(weft_lane_spawn_with(&l, limited, NULL, .limits = &(weft_limits){.ops = 1}));
    CHECK_OK(weft_lane_join(l, &r, SOON));
    CHECK_EQ(r, 0);
    connections_at_the_limit();
    CHECK_OK(weft_lane_spawn_with(&l, in_line, NULL, .limits = &(weft_limits){.ops = 1, .ops_wait = 1}));
    CHECK_OK(weft_lane_join(l, &r, WEFT_NEVER));
    CHECK_EQ(r, 0);
    return 0;
}

static const test_case cases[] = {CASE(wide), CASE(limits)};

int main(int argc, char **argv) { return RUN(cases, argc, argv); }
