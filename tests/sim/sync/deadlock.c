/* The explorer's circles: lanes that each hold a lock and ask for their neighbour's. One of them is refused if all wait
 * for ever, at most one if some have deadlines, none where the last asks for nothing, and none where all take locks in
 * one order. */
#include "sim/sync/explore.h"

static weft_mutex m[LANES];
static weft_rwlock rw[LANES];
static weft_barrier met;
static int locks, writes[LANES]; /* this one is a rwlock, written */
static uint32_t refused, timed_out, timed, closed;

static int64_t mostly_never(void)
{
    if (any(5))
        return WEFT_NEVER;
    add(&timed, 1);
    return weft_after((int64_t)any(40) * WEFT_MICROSECOND);
}

static int takes(int i, int64_t deadline)
{
    return writes[i] ? weft_rwlock_write(&rw[i], deadline) : weft_mutex_lock(&m[i], deadline);
}

static int gives(int i) { return writes[i] ? weft_rwlock_unwrite(&rw[i]) : weft_mutex_unlock(&m[i]); }

static int crosses(void *arg)
{
    const int mine = (int)(intptr_t)arg, next = (mine + 1) % locks;

    if (mine >= locks)
        return 0;
    CHECK_OK(takes(mine, WEFT_NEVER));
    CHECK(weft_barrier_wait(&met, WEFT_NEVER) >= 0);
    sometimes_yield();
    const int r = next == 0 && !closed ? -EAGAIN : takes(next, mostly_never());
    if (r == -EDEADLK)
        add(&refused, 1);
    else if (r == -ETIMEDOUT)
        add(&timed_out, 1);
    else if (r == 0)
        CHECK_OK(gives(next));
    else
        CHECK_EQ(r, -EAGAIN);
    return gives(mine);
}

/* Two of them, the lower first, or one; whoever holds a lock waits only for a higher one. */
static int climbs(void *arg)
{
    (void)arg;
    for (int n = 0; n < 2 * EACH; n++) {
        const int low = (int)any(LANES), high = low + 1 + (int)any(LANES - 1);
        CHECK_OK(takes(low, WEFT_NEVER));
        sometimes_yield();
        const int r = high < LANES ? takes(high, some_deadline()) : -ETIMEDOUT;
        CHECK(r == 0 || r == -ETIMEDOUT);
        if (r == 0)
            CHECK_OK(gives(high));
        CHECK_OK(gives(low));
    }
    return 0;
}

void with_deadlock(void)
{
    const int in_order = any(4) == 0;

    locks = in_order ? LANES : 2 + (int)any(LANES - 1);
    for (int i = 0; i < LANES; i++) {
        writes[i] = any(3) == 0;
        CHECK_OK(weft_mutex_init(&m[i], any(2) ? WEFT_MUTEX_FAIR : 0, NULL));
        CHECK_OK(weft_rwlock_init(&rw[i], NULL));
    }
    CHECK_OK(weft_barrier_init(&met, (unsigned)locks));
    refused = timed_out = timed = 0;
    closed = any(4) != 0;
    lanes_do(in_order ? climbs : crosses);
    if (in_order || !closed)
        CHECK_EQ(refused, 0);
    else if (timed == 0)
        CHECK_EQ(refused, 1);
    else
        CHECK(refused <= 1 && refused + timed_out >= 1);
}
