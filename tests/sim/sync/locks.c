/* The explorer's locks: one at a time gets in, or readers together, or as many as there are units. */
#include "sim/sync/explore.h"

/* ---- mutex ---- */

static weft_mutex m;

static int locks(void *arg)
{
    (void)arg;
    for (int i = 0; i < EACH;) {
        int r = weft_mutex_lock(&m, some_deadline());
        if (r == -ETIMEDOUT)
            continue;
        if (r == -EOWNERDEAD) {
            set(&inside, 0);
            r = weft_mutex_consistent(&m);
        }
        CHECK_OK(r);
        critical();
        CHECK_OK(weft_mutex_unlock(&m));
        i++;
    }
    return 0;
}

void with_mutex(void)
{
    weft_id victim = WEFT_NOID;

    CHECK_OK(weft_mutex_init(&m, any(2) ? WEFT_MUTEX_FAIR : 0, NULL));
    inside = torn = 0;
    if (any(3) == 0)
        CHECK_OK(weft_lane_spawn(&victim, locks, NULL));
    if (victim.gen)
        (void)weft__lane_signal(weft_current(), victim, WEFT__SIG_KILL);
    lanes_do(locks);
    if (victim.gen)
        CHECK_OK(weft_lane_join(victim, NULL, WEFT_NEVER));
    CHECK(victim.gen || torn == LANES * EACH);
    const int r = weft_mutex_lock(&m, WEFT_NEVER);
    CHECK(r == 0 || (victim.gen && r == -EOWNERDEAD));
    CHECK_OK(weft_mutex_unlock(&m));
}

/* ---- rwlock ---- */

static weft_rwlock rw;
static uint32_t readers;

static int reads_and_writes(void *arg)
{
    weft_read_hold h = {{0}};

    (void)arg;
    for (int i = 0; i < EACH;) {
        const int read = any(2) == 0;
        const int r = read ? weft_rwlock_read(&rw, &h, some_deadline()) : weft_rwlock_write(&rw, some_deadline());
        if (r == -ETIMEDOUT)
            continue;
        CHECK(r == 0 || r == -EOWNERDEAD);
        if (r == -EOWNERDEAD && !read)
            CHECK_OK(weft_rwlock_consistent(&rw));
        if (read) {
            add(&readers, 1);
            CHECK_EQ(look(&inside), 0);
            sometimes_yield();
            CHECK_EQ(look(&inside), 0);
            add(&readers, (uint32_t)-1);
            CHECK_OK(weft_rwlock_unread(&h));
        } else {
            CHECK_EQ(look(&readers), 0);
            critical();
            CHECK_EQ(look(&readers), 0);
            CHECK_OK(weft_rwlock_unwrite(&rw));
        }
        i++;
    }
    return 0;
}

/* Reads and writes nothing: it may die there. */
static int only_locks(void *arg)
{
    weft_read_hold h = {{0}};

    (void)arg;
    for (;;) {
        const int read = any(2) == 0;
        const int r = read ? weft_rwlock_read(&rw, &h, some_deadline()) : weft_rwlock_write(&rw, some_deadline());
        CHECK(r == 0 || r == -ETIMEDOUT);
        CHECK_OK(weft_yield());
        if (r == 0)
            CHECK_OK(read ? weft_rwlock_unread(&h) : weft_rwlock_unwrite(&rw));
    }
}

void with_rwlock(void)
{
    CHECK_OK(weft_rwlock_init(&rw, NULL));
    inside = torn = readers = 0;
    const int killed_one = lanes_do_beside(reads_and_writes, only_locks);
    const int r = weft_rwlock_try_write(&rw);
    CHECK(r == 0 || (killed_one && r == -EOWNERDEAD));
    CHECK_OK(weft_rwlock_unwrite(&rw));
}

/* ---- semaphore ---- */

static weft_semaphore s;

static int acquires(void *arg)
{
    (void)arg;
    for (int i = 0; i < EACH;) {
        const uint32_t n = 1 + (uint32_t)any(2);
        const int r = weft_semaphore_acquire(&s, n, some_deadline());
        if (r == -ETIMEDOUT)
            continue;
        CHECK_OK(r);
        add(&inside, n);
        CHECK(look(&inside) <= 2);
        sometimes_yield();
        add(&inside, (uint32_t)-n);
        CHECK_OK(weft_semaphore_release(&s, n));
        i++;
    }
    return 0;
}

/* Gives them back at once: it can only die while it waits. */
static int acquires_for_nothing(void *arg)
{
    (void)arg;
    for (;;) {
        const uint32_t n = 1 + (uint32_t)any(2);
        const int r = weft_semaphore_acquire(&s, n, some_deadline());
        CHECK(r == 0 || r == -ETIMEDOUT);
        if (r == 0)
            CHECK_OK(weft_semaphore_release(&s, n));
        CHECK_OK(weft_yield());
    }
}

void with_semaphore(void)
{
    CHECK_OK(weft_semaphore_init(&s, 2));
    inside = 0;
    lanes_do_beside(acquires, acquires_for_nothing);
    CHECK_EQ(weft_semaphore_value(&s), 2);
}
