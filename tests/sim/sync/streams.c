/* The explorer's broadcasts, credits and groups: what is sent comes in order, what is under way is bounded,
 * no member is left behind. */
#include "sim/sync/explore.h"

static weft_broadcast news;
static int room[2];
static uint32_t readers;

static int reads_or_sends(void *arg)
{
    weft_reader r = {{0}};
    int x, last = 0, seen = 0;
    uint64_t missed = 0;

    if ((intptr_t)arg == 0) {
        while (look(&readers) < LANES - 1)
            CHECK_OK(weft_yield());
        for (x = 1; x <= ITEMS; x++) {
            int sent;
            while ((sent = weft_broadcast_send(&news, &x, some_deadline())) == -ETIMEDOUT)
                ;
            CHECK_OK(sent);
        }
        return weft_broadcast_close(&news, 0);
    }
    CHECK_OK(weft_broadcast_join(&news, &r));
    add(&readers, 1);
    for (;;) {
        const int got = weft_broadcast_receive(&r, &x, &missed, some_deadline());
        if (got == -ETIMEDOUT)
            continue;
        if (got == -EPIPE)
            break;
        CHECK_OK(got);
        CHECK_EQ(x, last + 1 + (int)missed); /* in order, and what is missing is counted */
        CHECK(missed == 0 || look(&inside));
        last = x;
        seen++;
    }
    CHECK_EQ(last, ITEMS);
    CHECK(seen == ITEMS || look(&inside));
    return weft_broadcast_leave(&r);
}

/* What it has not read holds up the sender until it is dead. */
static int reads_on(void *arg)
{
    weft_reader r = {{0}};
    int x, got;

    (void)arg;
    CHECK_OK(weft_broadcast_join(&news, &r));
    do {
        sometimes_yield();
        got = weft_broadcast_receive(&r, &x, NULL, some_deadline());
        CHECK(got == 0 || got == -ETIMEDOUT || got == -EPIPE);
    } while (any(5));
    return weft_sleep(WEFT_NEVER);
}

void with_broadcast(void)
{
    inside = (uint32_t)any(2);
    readers = 0;
    CHECK_OK(weft_broadcast_init(&news, sizeof(int), 1 + any(2), room, inside ? WEFT_BROADCAST_LOSSY : WEFT_BROADCAST_HOLD));
    lanes_do_beside(reads_or_sends, reads_on);
}

static weft_credit credit;

static int spends_or_grants(void *arg)
{
    if ((intptr_t)arg == 0) {
        for (uint32_t granted = 0; granted < 2 * ITEMS; granted++) {
            while (look(&torn) == granted) /* nothing to deal with */
                CHECK_OK(weft_yield());
            CHECK_OK(weft_credit_grant(&credit, 1));
        }
        return 0;
    }
    for (int i = 0; i < ITEMS;) {
        const int r = weft_credit_spend(&credit, 1, some_deadline());
        if (r == -ETIMEDOUT)
            continue;
        CHECK_OK(r);
        CHECK(weft_credit_used(&credit) <= 3);
        add(&torn, 1);
        i++;
    }
    return 0;
}

/* Gives it back at once: it can only die while it waits. */
static int spends_on_nothing(void *arg)
{
    (void)arg;
    for (;;) {
        const uint32_t n = 1 + (uint32_t)any(3);
        const int r = weft_credit_spend(&credit, n, some_deadline());
        CHECK(r == 0 || r == -ETIMEDOUT);
        if (r == 0)
            CHECK_OK(weft_credit_grant(&credit, n));
        CHECK_OK(weft_yield());
    }
}

void with_credit(void)
{
    CHECK_OK(weft_credit_init(&credit, 3, any(3)));
    torn = 0;
    lanes_do_beside(spends_or_grants, spends_on_nothing);
    CHECK_EQ(weft_credit_used(&credit), 0);
}

static weft_event gate;

static int is_member(void *arg)
{
    sometimes_yield();
    (void)weft_event_wait(&gate, weft_after((int64_t)any(5) * WEFT_MICROSECOND));
    add(&torn, 1);
    return (int)(intptr_t)arg;
}

static int has_group(void *arg)
{
    weft_group g = WEFT_GROUP;

    (void)arg;
    for (int i = 0; i < EACH; i++) {
        const intptr_t result = any(2) ? 1 : -EIO;
        CHECK_OK(any(2) ? weft_group_run(&g, is_member, (void *)result) : weft_group_lane(&g, is_member, (void *)result));
    }
    const uint64_t how = any(3);
    const int r = how == 0 ? weft_group_all(&g, WEFT_NEVER) : how == 1 ? weft_group_first(&g, WEFT_NEVER) : weft_group_any_failure(&g, WEFT_NEVER);
    CHECK(r == 0 || r == -EIO || (r == 1 && how == 1));
    CHECK(how != 0 || weft_group_count(&g) == 0);
    return weft_group_end(&g);
}

static int is_doomed(void *arg)
{
    (void)arg;
    return weft_event_wait(&gate, any(2) ? weft_after((int64_t)any(20) * WEFT_MICROSECOND) : WEFT_NEVER);
}

/* Dies with its members, or between their ends. */
static int has_doomed_group(void *arg)
{
    weft_group g = WEFT_GROUP;

    (void)arg;
    for (int i = 0; i < EACH; i++)
        CHECK_OK(any(2) ? weft_group_run(&g, is_doomed, NULL) : weft_group_lane(&g, is_doomed, NULL));
    (void)weft_group_all(&g, some_deadline());
    (void)weft_group_end(&g);
    return weft_sleep(WEFT_NEVER);
}

void with_group(void)
{
    CHECK_OK(weft_event_init(&gate, WEFT_EVENT_AUTO, 0));
    torn = 0;
    lanes_do_beside(has_group, has_doomed_group);
    CHECK_EQ(torn, LANES * EACH); /* none is left behind */
}
