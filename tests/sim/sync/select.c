/* The explorer's select over objects: each item once, both ways, beside an event and a lock. */
#include "sim/sync/explore.h"

static weft_channel ch, back;
static int room[2][2];
static weft_event ping, gate;
static weft_mutex m;
static uint32_t out, in, readers;

static int selects(void *arg)
{
    const int me = (int)((intptr_t)arg & 1);

    if ((intptr_t)arg == 2 && !look(&readers))
        return 0; /* two alone: nobody else comes to their help */
    while (look(&out) < ITEMS) {
        int x = 1 + (int)any(1000), y = 0;
        weft_case k[] = {WEFT_SEND(me ? &ch : &back, &x), WEFT_RECEIVE(me ? &back : &ch, &y), WEFT_PASS(&gate), WEFT_LOCK(&m), WEFT_PASS(&ping)};
        const unsigned n = look(&readers) ? 5 : 3; /* without the last two nothing but the other side wakes it */
        const int r = any(2) ? weft_select(k, n, WEFT_NEVER) : weft_select_ordered(k, n, look(&readers) ? some_deadline() : WEFT_NEVER);
        if (r == -ETIMEDOUT)
            continue;
        CHECK(r >= 0 && r < (int)n && k[r].result == 0);
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
