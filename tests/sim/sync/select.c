/* The explorer's select over objects: each item once, both ways, beside an event, a lock, a future and times. */
#include "sim/sync/explore.h"

static weft_channel ch, back;
static int room[2][2];
static weft_event ping, gate;
static weft_mutex m;
static weft_future promise;
static uint32_t out, in, readers;

/* Of two times the earlier, and neither before it has come nor after a deadline that is earlier still. */
static void times(void)
{
    const int64_t begin = weft_now(), by = some_deadline();
    weft_case k[] = {WEFT_AT(begin + 1 + (int64_t)any(20000)), WEFT_AT(begin + 1 + (int64_t)any(20000))};
    const int first = k[1].deadline < k[0].deadline, r = weft_select(k, 2, by);

    if (r == -ETIMEDOUT)
        CHECK(by < k[first].deadline && weft_now() >= by);
    else
        CHECK(r == first && k[r].result == 0 && weft_now() >= k[r].deadline && by >= k[r].deadline);
}

static int selects(void *arg)
{
    const int me = (int)((intptr_t)arg & 1);
    int promised = 0;

    if ((intptr_t)arg == 2 && !look(&readers))
        return 0; /* two alone: nobody else comes to their help */
    while (look(&out) < ITEMS) {
        int x = 1 + (int)any(1000), y = 0;
        void *value = NULL;
        weft_case k[] = {WEFT_SEND(me ? &ch : &back, &x), WEFT_RECEIVE(me ? &back : &ch, &y), WEFT_PASS(&gate), WEFT_LOCK(&m), WEFT_PASS(&ping),
                         WEFT_EXPECT(&promise, &value)};
        const unsigned n = look(&readers) ? 6 : 3; /* without the others nothing but the other side wakes it */
        if (promised)
            k[5].kind = WEFT_CASE_NONE;
        if (any(8) == 0)
            times();
        const int r = any(2) ? weft_select(k, n, WEFT_NEVER) : weft_select_ordered(k, n, look(&readers) ? some_deadline() : WEFT_NEVER);
        if (r == -ETIMEDOUT)
            continue;
        CHECK(r >= 0 && r < (int)n && k[r].result == (r == 5 ? 7 : 0));
        if (r == 0) {
            add(&out, 1);
            add(&torn, (uint32_t)x);
        } else if (r == 1) {
            add(&in, 1);
            add(&torn, (uint32_t)-y);
        } else if (r == 2) {
            break;
        } else if (r == 3) {
            CHECK_EQ(look(&inside), 0);
            set(&inside, 1);
            sometimes_yield();
            set(&inside, 0);
            CHECK_OK(weft_mutex_unlock(&m));
        } else if (r == 5) {
            CHECK(value == &m);
            promised = 1;
        } else {
            CHECK(weft_event_set(&ping) <= 1);
        }
    }
    (void)weft_event_set(&gate);
    return 0;
}

/* The mutex is free only now and then, and so the other cases get their turn. */
static int hogs(void *arg)
{
    (void)arg;
    while (!weft_event_is_set(&gate)) {
        CHECK_OK(weft_mutex_lock(&m, WEFT_NEVER));
        CHECK_EQ(look(&inside), 0);
        (void)weft_event_wait(&gate, weft_after((int64_t)any(30) * WEFT_MICROSECOND));
        CHECK_OK(weft_mutex_unlock(&m));
        if (any(2))
            (void)weft_future_keep(&promise, 7, &m);
        CHECK_OK(weft_yield());
    }
    return 0;
}

void with_select(void)
{
    const size_t capacity = any(2);
    weft_id hog;
    int y;

    CHECK_OK(weft_channel_init(&ch, sizeof(int), capacity, capacity ? room[0] : NULL));
    CHECK_OK(weft_channel_init(&back, sizeof(int), capacity, capacity ? room[1] : NULL));
    CHECK_OK(weft_event_init(&ping, WEFT_EVENT_AUTO, 0));
    CHECK_OK(weft_event_init(&gate, WEFT_EVENT_MANUAL, 0));
    CHECK_OK(weft_mutex_init(&m, 0, NULL));
    promise = (weft_future){{0}};
    inside = torn = out = in = 0;
    readers = (uint32_t)any(2);
    if (readers)
        CHECK_OK(weft_lane_spawn(&hog, hogs, NULL));
    lanes_do(selects);
    if (readers)
        ended(hog);
    while (weft_channel_try_receive(&ch, &y) == 0 || weft_channel_try_receive(&back, &y) == 0) {
        in++;
        torn -= (uint32_t)y;
    }
    CHECK_EQ(in, out);
    CHECK_EQ(torn, 0); /* what came is what was sent */
    CHECK_OK(weft_mutex_try(&m));
    CHECK_OK(weft_mutex_unlock(&m));
}
