/* The explorer's channels: each item once, and in an order that a queue could have had. */
#include "sim/sync/explore.h"

static weft_channel ch;
static int room[2];
struct wide { /* of a channel that grows: two to a chunk */
    int x;
    unsigned char rest[6000];
};
static uint32_t now;
static struct item {
    uint32_t send_began, sent, receive_began, received;
} item[ITEMS];
static uint32_t next_item, taken;

static uint32_t tick(void) { return weft__add_acq_rel(&now, 1u, "test.tick") + 1; }

static void sends_some(void)
{
    for (;;) {
        const uint32_t i = weft__add_acq_rel(&next_item, 1u, "test.next");
        if (i >= ITEMS)
            return;
        struct wide w;
        weft_case k[] = {WEFT_SEND(&ch, &w)};
        int r;
        w.x = (int)i;
        do {
            item[i].send_began = tick();
            r = any(2) ? weft_channel_send(&ch, &w, some_deadline()) : weft_select(k, 1, some_deadline());
        } while (r == -ETIMEDOUT);
        CHECK_OK(r);
        item[i].sent = tick();
    }
}

static void receives_some(void)
{
    while (look(&taken) < ITEMS) {
        struct wide w; /* what lies behind x is nothing to anybody */
        w.x = -1;
        const uint32_t began = tick();
        const int r = weft_channel_receive(&ch, &w, any(2) ? some_deadline() : WEFT_NOW);
        const int x = w.x;
        if (r == -EPIPE)
            return;
        if (r == -ETIMEDOUT)
            continue;
        CHECK_OK(r);
        CHECK(x >= 0 && x < ITEMS && item[x].received == 0);
        item[x].receive_began = began;
        item[x].received = tick();
        if (weft__add_acq_rel(&taken, 1u, "test.taken") + 1 == ITEMS)
            CHECK_OK(weft_channel_close(&ch, 0));
    }
}

static int sends_or_receives(void *arg)
{
    const int first = look(&inside) & 1; /* two of one sort, one of the other */

    if ((int)((intptr_t)arg & 1) == first)
        sends_some();
    else
        receives_some();
    return 0;
}

static void deliver_all(int (*how)(void *))
{
    memset(item, 0, sizeof item);
    next_item = taken = 0;
    inside = (uint32_t)any(2);
    lanes_do(how);
    for (int x = 0; x < ITEMS; x++) {
        CHECK(item[x].received > item[x].send_began);
        for (int y = 0; y < ITEMS; y++)
            if (item[x].sent < item[y].send_began)
                CHECK(item[x].receive_began < item[y].received);
    }
}

void with_channel(void)
{
    const size_t capacity = any(3);

    CHECK_OK(weft_channel_init(&ch, sizeof(int), capacity, capacity ? room : NULL));
    deliver_all(sends_or_receives);
}

static int only_sends(void *arg)
{
    (void)arg;
    sends_some();
    const uint32_t done = weft__add_acq_rel(&torn, 1u, "test.done") + 1;
    if (done == LANES) /* nobody had to wait for a receiver; the last one is that */
        receives_some();
    return 0;
}

void with_growing(void)
{
    const int roomy = any(2) == 0;

    CHECK_OK(weft_channel_init_growing(&ch, sizeof(struct wide), roomy ? ITEMS : 1 + any(5)));
    torn = 0;
    deliver_all(roomy ? only_sends : sends_or_receives);
    CHECK_OK(weft_channel_end(&ch));
}
