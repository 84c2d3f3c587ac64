/* Circles of owners: the philosophers who all take the left fork first are told so and none starves; two workers that close a circle at the same
 * moment do not both miss it; joins and writers count; a wait with a deadline is reported and waits. */
#include "world.h"

enum { SEATS = 5 };

static weft_mutex fork_[SEATS], one, two;
static weft_barrier table;
static int refused, ate, phase;
static spy s;

/* ---- dinner ---- */

static int dines(void *arg)
{
    const intptr_t seat = (intptr_t)arg;
    weft_mutex *left = &fork_[seat], *right = &fork_[(seat + 1) % SEATS];

    CHECK_OK(weft_mutex_lock(left, WEFT_NEVER));
    CHECK(weft_barrier_wait(&table, WEFT_NEVER) >= 0); /* now everybody has one */
    int r = weft_mutex_lock(right, WEFT_NEVER);
    if (r == -EDEADLK) { /* polite: lets go, and takes them in the other order */
        bump(&refused);
        CHECK_OK(weft_mutex_unlock(left));
        CHECK_OK(weft_mutex_lock(right, WEFT_NEVER));
        r = weft_mutex_lock(left, WEFT_NEVER);
    }
    CHECK_OK(r);
    bump(&ate);
    CHECK_OK(weft_mutex_unlock(left));
    CHECK_OK(weft_mutex_unlock(right));
    return 0;
}

static void told(const char *what)
{
    pthread_mutex_lock(&s.lock);
    const int there = strstr(s.log, what) != NULL;
    pthread_mutex_unlock(&s.lock);
    if (!there)
        TEST_FAIL("the report does not say \"%s\": %s", what, s.log);
}

static size_t forget(void) /* what was said so far */
{
    pthread_mutex_lock(&s.lock);
    const size_t n = s.log_size;
    s.log_size = 0;
    s.log[0] = 0;
    pthread_mutex_unlock(&s.lock);
    return n;
}

static void philosophers(void)
{
    static const char *const names[SEATS] = {"fork 0", "fork 1", "fork 2", "fork 3", "fork 4"};
    static const char *const lanes[SEATS] = {"Plato", "Konfuzius", "Socrates", "Voltaire", "Descartes"};
    weft_id l[SEATS];

    CHECK_OK(weft_barrier_init(&table, SEATS));
    for (int i = 0; i < SEATS; i++)
        CHECK_OK(weft_mutex_init(&fork_[i], 0, names[i]));
    for (intptr_t i = 0; i < SEATS; i++)
        CHECK_OK(weft_lane_spawn_with(&l[i], dines, (void *)i, .name = lanes[i]));
    for (int i = 0; i < SEATS; i++)
        ended(l[i]);
    CHECK_EQ(get(&refused), 1);
    CHECK_EQ(get(&ate), SEATS);
    told("deadlock: 5 fibers wait for each other; the last of them is refused");
    told("waits at tests/sync/deadlock.c:"); /* where they wait, where it was locked, where they were spawned */
    told("locked at tests/sync/deadlock.c:");
    told("spawned at tests/sync/deadlock.c:");
    for (int i = 0; i < SEATS; i++) {
        told(names[i]);
        told(lanes[i]);
    }
    CHECK(forget() > 0);
}

/* ---- two at once ---- */

static int crosses(void *arg)
{
    weft_mutex *first = arg ? &one : &two, *second = arg ? &two : &one;

    for (int i = 0; i < 300; i++) {
        CHECK_OK(weft_mutex_lock(first, WEFT_NEVER));
        CHECK(weft_barrier_wait(&table, WEFT_NEVER) >= 0);
        const int r = weft_mutex_lock(second, WEFT_NEVER);
        CHECK(r == 0 || r == -EDEADLK);
        if (r == 0)
            CHECK_OK(weft_mutex_unlock(second));
        else
            bump(&refused);
        CHECK_OK(weft_mutex_unlock(first));
        CHECK(weft_barrier_wait(&table, WEFT_NEVER) >= 0);
    }
    return 0;
}

static void at_the_same_time(void)
{
    weft_id l[2];

    put(&refused, 0);
    CHECK_OK(weft_barrier_init(&table, 2));
    CHECK_OK(weft_lane_spawn(&l[0], crosses, NULL));
    CHECK_OK(weft_lane_spawn(&l[1], crosses, &one));
    ended(l[0]);
    ended(l[1]);
    CHECK_EQ(get(&refused), 300); /* one of them, each time */
    CHECK(forget() > 0);
}

/* ---- joins and writers ---- */

static int locks_one(void *arg)
{
    const int r = weft_mutex_lock(&one, arg ? weft_after(2 * WEFT_MILLISECOND) : WEFT_NEVER);

    return r == 0 ? weft_mutex_unlock(&one) : r;
}

static void joins(void)
{
    weft_id f;
    int r;

    CHECK_OK(weft_mutex_init(&one, 0, "one"));
    CHECK_OK(weft_mutex_lock(&one, WEFT_NEVER));
    CHECK_OK(weft_spawn(&f, locks_one, NULL));
    CHECK_OK(weft_join(f, &r, WEFT_NEVER)); /* it is about to wait for us: refused */
    CHECK_EQ(r, -EDEADLK);
    told("waits for the end of fiber \"locks_one\"");
    CHECK(forget() > 0);
    CHECK_OK(weft_spawn(&f, locks_one, NULL));
    settle();
    CHECK_EQ(weft_join(f, &r, WEFT_NEVER), -EDEADLK); /* it waits for us: we are refused */
    CHECK(forget() > 0);
    CHECK_OK(weft_mutex_unlock(&one));
    joined(f);
    CHECK_OK(weft_mutex_lock(&one, WEFT_NEVER));
    CHECK_OK(weft_spawn(&f, locks_one, &one)); /* with a deadline it waits, and it is said */
    CHECK_OK(weft_join(f, &r, WEFT_NEVER));
    CHECK_EQ(r, -ETIMEDOUT);
    told("the last of them until a deadline");
    CHECK(forget() > 0);
    CHECK_OK(weft_mutex_unlock(&one));
}

static weft_id ring[4];

/* In a ring of so many each joins the next, the last of them the first. */
static int joins_next(void *arg)
{
    const intptr_t i = (intptr_t)arg;
    int r = weft_join(ring[i], NULL, WEFT_NEVER);

    refused += r == -EDEADLK;
    if (r == -EDEADLK)
        r = 0;
    return r;
}

/* Joins need no lock to close a circle: whoever waited before anybody waited for it is seen, too. */
static void rings(void)
{
    weft_id f[4];

    for (int n = 2; n <= 4; n++) {
        refused = 0;
        for (intptr_t i = 0; i < n; i++)
            CHECK_OK(weft_spawn(&f[i], joins_next, (void *)i));
        for (int i = 0; i < n; i++)
            ring[i] = f[(i + 1) % n];
        settle();
        CHECK_EQ(refused, 1);
        CHECK(forget() > 0);
        for (int i = 0; i < n; i++) { /* who was refused is joined by another of them, and so on, but one by nobody */
            const int r = weft_join(f[i], NULL, soon());
            CHECK(r == 0 || r == -ESRCH);
        }
    }
}

static int joins_for_ever(void *arg) { return weft_join(*(weft_id *)arg, NULL, WEFT_NEVER); }

static int locks_when_told(void *arg)
{
    (void)arg;
    while (!get(&phase))
        CHECK_OK(weft_yield());
    return locks_one(NULL);
}

/* We have a lock, another waits for it, somebody has joined that one long ago: so we cannot join him; nor may he be given the lock that
 * we are waited for with. */
static void joined_before(void)
{
    weft_id waits, joiner;
    int r;

    for (int given = 0; given < 2; given++) {
        put(&phase, 0);
        CHECK_OK(weft_mutex_lock(&one, WEFT_NEVER));
        CHECK_OK(weft_spawn(&waits, locks_when_told, NULL));
        CHECK_OK(weft_spawn(&joiner, joins_for_ever, &waits));
        settle();
        if (given)
            CHECK_OK(weft_mutex_give(&one, joiner));
        put(&phase, 1);
        settle();
        if (given) {
            CHECK_OK(weft_join(joiner, &r, soon())); /* who was about to wait for him was refused */
            CHECK_EQ(r, 0);
            told("ended holding 1 lock");
            CHECK_EQ(weft_mutex_lock(&one, WEFT_NEVER), -EOWNERDEAD);
            CHECK_OK(weft_mutex_consistent(&one));
            CHECK_OK(weft_mutex_unlock(&one));
        } else {
            CHECK_EQ(weft_join(joiner, NULL, WEFT_NEVER), -EDEADLK);
            CHECK_OK(weft_mutex_unlock(&one));
            joined(joiner);
        }
        CHECK(forget() > 0);
    }
    put(&phase, 0);
}

static weft_rwlock rw;

static int writes_then_locks(void *arg)
{
    (void)arg;
    CHECK_OK(weft_rwlock_write(&rw, WEFT_NEVER));
    put(&phase, 1);
    const int r = weft_mutex_lock(&one, WEFT_NEVER);
    CHECK_OK(weft_rwlock_unwrite(&rw));
    return r == 0 ? weft_mutex_unlock(&one) : r;
}

static void writers(void)
{
    weft_read_hold h = {{0}};
    weft_id l;
    int r;

    CHECK_OK(weft_rwlock_init(&rw, "the book"));
    CHECK_OK(weft_mutex_lock(&one, WEFT_NEVER));
    CHECK_OK(weft_lane_spawn(&l, writes_then_locks, NULL));
    reached(&phase, 1);
    const int mine = weft_rwlock_read(&rw, &h, WEFT_NEVER);
    CHECK(mine == 0 || mine == -EDEADLK);
    CHECK_OK(weft_mutex_unlock(&one));
    if (mine == 0)
        CHECK_OK(weft_rwlock_unread(&h));
    CHECK_OK(weft_lane_join(l, &r, soon()));
    CHECK(mine == -EDEADLK ? r == 0 : r == -EDEADLK);
    told("for rwlock \"the book\"");
    CHECK(forget() > 0);
}

/* Long chains that are none: nothing is said. */
static int links(void *arg)
{
    const intptr_t i = (intptr_t)arg;

    CHECK_OK(weft_mutex_lock(&fork_[i], WEFT_NEVER));
    CHECK(weft_barrier_wait(&table, WEFT_NEVER) >= 0);
    if (i + 1 < SEATS) {
        CHECK_OK(weft_mutex_lock(&fork_[i + 1], WEFT_NEVER));
        CHECK_OK(weft_mutex_unlock(&fork_[i + 1]));
    }
    return weft_mutex_unlock(&fork_[i]);
}

static void chains(void)
{
    weft_id l[SEATS];

    CHECK_OK(weft_barrier_init(&table, SEATS));
    for (int round = 0; round < 50; round++) {
        for (intptr_t i = 0; i < SEATS; i++)
            CHECK_OK(weft_lane_spawn(&l[i], links, (void *)i));
        for (int i = 0; i < SEATS; i++)
            ended(l[i]);
    }
    CHECK_EQ(forget(), 0);
}

static int run(int argc, char **argv)
{
    (void)argc, (void)argv;
    philosophers();
    at_the_same_time();
    joins();
    rings();
    joined_before();
    writers();
    chains();
    return 0;
}

int main(void)
{
    run_told(run, 2, &s);
    SPY_SILENT(&s);
    spy_close(&s);
    return 0;
}
