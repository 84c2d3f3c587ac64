/* Circles of owners: the philosophers who all take the left fork first are told so and none starves;
 * two workers that close a circle at the same moment do not both miss it; joins and writers count; a wait with
 * a deadline is reported and waits. */
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

static int said(const char *what)
{
    pthread_mutex_lock(&s.lock);
    const int there = strstr(s.log, what) != NULL;
    pthread_mutex_unlock(&s.lock);
    return there;
}

static void told(const char *what)
{
    if (!said(what))
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

/* ---- a long circle ---- */

enum { LONG = 40 };

static weft_mutex chairs[LONG];
static char sitters[LONG][64];

static int sits(void *arg)
{
    const intptr_t i = (intptr_t)arg;
    weft_mutex *mine = &chairs[i], *next = &chairs[(i + 1) % LONG];

    CHECK_OK(weft_mutex_lock(mine, WEFT_NEVER));
    CHECK(weft_barrier_wait(&table, WEFT_NEVER) >= 0);
    const int r = weft_mutex_lock(next, WEFT_NEVER);
    CHECK(r == 0 || r == -EDEADLK);
    if (r == 0)
        CHECK_OK(weft_mutex_unlock(next));
    else
        bump(&refused);
    CHECK_OK(weft_mutex_unlock(mine));
    return 0;
}

static void all_sit(void)
{
    weft_id l[LONG];

    put(&refused, 0);
    CHECK_OK(weft_barrier_init(&table, LONG));
    for (int i = 0; i < LONG; i++) {
        snprintf(sitters[i], sizeof sitters[i], "a guest with a name of some length, number %02d", i);
        CHECK_OK(weft_mutex_init(&chairs[i], 0, "a chair"));
    }
    for (intptr_t i = 0; i < LONG; i++)
        CHECK_OK(weft_lane_spawn_with(&l[i], sits, (void *)i, .name = sitters[i]));
    for (int i = 0; i < LONG; i++)
        ended(l[i]);
    CHECK_EQ(get(&refused), 1);
    told("deadlock: 40 fibers wait for each other; the last of them is refused");
}

/* All are named. */
static void long_circle(void)
{
    all_sit();
    for (int i = 0; i < LONG; i++)
        told(sitters[i]);
    CHECK(forget() > 0);
    put(&refused, 0);
}

/* Where there is no memory for that, who is left out is counted. */
static int without_memory(int argc, char **argv)
{
    (void)argc, (void)argv;
    all_sit(); /* from here on there is all that lanes need */
    forget();
    s.fail_maps_from = s.map_calls + 1;
    all_sit();
    s.fail_maps_from = 0;
    told(" more, for whose names there was no memory");
    CHECK(forget() > 0);
    return 0;
}

/* ---- at the edge of a circle ---- */

static int waits_in_circle(void *arg)
{
    weft_mutex *first = arg ? &one : &two, *second = arg ? &two : &one;

    CHECK_OK(weft_mutex_lock(first, WEFT_NEVER));
    CHECK(weft_barrier_wait(&table, WEFT_NEVER) >= 0);
    const int r = weft_mutex_lock(second, soon());
    CHECK_EQ(r, arg ? 0 : -ECANCELED); /* the first is cancelled, and lets go */
    if (r == 0)
        CHECK_OK(weft_mutex_unlock(second));
    CHECK_OK(weft_mutex_unlock(first));
    return 0;
}

static int outsider(void *arg)
{
    (void)arg;
    bump(&phase);
    CHECK_EQ(weft_mutex_lock(&one, soon()), -ECANCELED); /* at the latest as it waits */
    return 0;
}

/* Who waits for somebody in a circle that was only reported is in none, and its own
 * way round is found to have no end. */
static void beside_a_circle(void)
{
    weft_id l[2], f;

    CHECK_OK(weft_barrier_init(&table, 2));
    CHECK_OK(weft_mutex_init(&one, 0, "one"));
    CHECK_OK(weft_mutex_init(&two, 0, "two"));
    for (intptr_t i = 0; i < 2; i++)
        CHECK_OK(weft_lane_spawn(&l[i], waits_in_circle, (void *)i));
    while (!said("deadlock: 2 fibers wait for each other; the last of them until a deadline"))
        CHECK_OK(weft_yield());
    CHECK_EQ(weft_mutex_lock(&one, weft_after(WEFT_MILLISECOND)), -ETIMEDOUT);
    put(&phase, 0);
    CHECK_OK(weft_lane_spawn(&f, outsider, NULL));
    while (get(&phase) < 1)
        CHECK_OK(weft_yield());
    CHECK_OK(weft_cancel(f));
    ended(f);
    CHECK_OK(weft_cancel(l[0]));
    for (int i = 0; i < 2; i++)
        ended(l[i]);
    CHECK(forget() > 0);
    put(&phase, 0);
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

/* We have a lock, another waits for it, somebody has joined that one long ago: so we cannot join him;
 * nor may he be given the lock that we are waited for with. */
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

/* ---- joins of lanes ---- */

static weft_id grandchild;

static int joins_grandchild(void *arg)
{
    int r;

    (void)arg;
    CHECK_OK(weft_lane_spawn_with(&grandchild, locks_one, NULL, .pinned = 1, .name = "grandchild"));
    CHECK_OK(weft_lane_join(grandchild, &r, WEFT_NEVER));
    return r;
}

/* A main fiber that holds nothing, and is not joined itself. */
static int joins_sibling(void *arg)
{
    weft_id f;
    int r;

    (void)arg;
    CHECK_OK(weft_spawn(&f, locks_one, NULL));
    CHECK_OK(weft_join(f, &r, WEFT_NEVER));
    return r;
}

/* On our own worker: it runs when we wait, or when we let it. */
static weft_id child(int (*fn)(void *), void *arg)
{
    weft_id l;

    CHECK_OK(weft_lane_spawn_with(&l, fn, arg, .pinned = 1, .name = "child"));
    return l;
}

static void queued(void) /* somebody of our worker waits for the mutex */
{
    weft_mutex_info info;

    do {
        CHECK_OK(weft_yield());
        weft_mutex_look(&one, &info);
    } while (info.waiting == 0);
}

/* It is about to wait for us who wait for its end: refused, however long the way is. */
static void children_refused(void)
{
    static int (*const way[])(void *) = {locks_one, joins_grandchild, joins_sibling};
    static const char *const said[] = {"2 fibers wait", "3 fibers wait", "3 fibers wait"};
    int r;

    for (size_t i = 0; i < sizeof way / sizeof *way; i++) {
        const weft_id l = child(way[i], NULL);
        CHECK_OK(weft_lane_join(l, &r, WEFT_NEVER));
        CHECK_EQ(r, -EDEADLK);
        told(said[i]);
        told("waits for the end of lane \"child\"");
        if (way[i] == joins_grandchild)
            told("of lane \"child\" (spawned at tests/sync/deadlock.c");
        CHECK(forget() > 0);
    }
}

/* It waits for us: we are refused, and may join it later; with a deadline we wait; a look is no wait. */
static void parent_refused(void)
{
    const weft_id l = child(locks_one, NULL);
    weft_exit e;

    queued();
    CHECK_EQ(weft_lane_join(l, NULL, WEFT_NEVER), -EDEADLK);
    told("waits for the end of lane \"child\"\n");
    told("the last of them is refused");
    CHECK(forget() > 0);
    CHECK_EQ(weft_lane_join_exit(l, &e, WEFT_NEVER), -EDEADLK);
    CHECK(forget() > 0);
    CHECK_EQ(weft_lane_join(l, NULL, weft_after(WEFT_MILLISECOND)), -ETIMEDOUT);
    told("the last of them until a deadline");
    CHECK(forget() > 0);
    CHECK_EQ(weft_lane_join(l, NULL, WEFT_NOW), -ETIMEDOUT);
    CHECK_EQ(forget(), 0);
    CHECK_OK(weft_mutex_unlock(&one));
    ended(l);
    CHECK_OK(weft_mutex_lock(&one, WEFT_NEVER));
}

static int parks(void *arg)
{
    (void)arg;
    return weft_park(WEFT_NEVER);
}

static int joins_parked(void *arg)
{
    weft_id l;

    (void)arg;
    CHECK_OK(weft_lane_spawn_with(&l, parks, NULL, .pinned = 1));
    put(&phase, 1);
    return weft_lane_join(l, NULL, WEFT_NEVER);
}

/* Who joins, and is killed, leaves nothing behind that the next one's circle could be taken for. */
static void joiner_killed(void)
{
    put(&phase, 0);
    weft_id l = child(joins_parked, NULL);
    reached(&phase, 1);
    settle();
    killed(l);
    l = child(locks_one, NULL);
    CHECK_OK(weft_mutex_unlock(&one));
    CHECK_OK(weft_lane_join(l, NULL, WEFT_NEVER));
    CHECK_OK(weft_mutex_lock(&one, WEFT_NEVER));
    CHECK_EQ(forget(), 0);
    put(&phase, 0);
}

static int strolling; /* the lane is one that may */

static int strolls(void *arg)
{
    for (unsigned i = 0; !get(arg); i++) {
        if (strolling)
            weft_lane_move(i % 2); /* or it stays, where that worker takes none */
        CHECK_OK(weft_yield());
    }
    return 0;
}

static int locks_two(void *arg)
{
    (void)arg;
    const int r = weft_mutex_lock(&two, WEFT_NEVER);

    return r == 0 ? weft_mutex_unlock(&two) : r;
}

/* On whichever workers, and while the parent's lane may be moved: one of the two is refused, each time. */
static int either(void *arg)
{
    (void)arg;
    weft_id l, f;
    int stop = 0, r;

    CHECK_OK(weft_spawn(&f, strolls, &stop));
    for (int i = 0; i < 100; i++) {
        CHECK_OK(weft_mutex_lock(&two, WEFT_NEVER));
        CHECK_OK(weft_lane_spawn(&l, locks_two, NULL));
        const int mine = weft_lane_join(l, &r, WEFT_NEVER);
        CHECK(mine == 0 || mine == -EDEADLK);
        CHECK_OK(weft_mutex_unlock(&two));
        if (mine == -EDEADLK)
            CHECK_OK(weft_lane_join(l, &r, WEFT_NEVER));
        CHECK_EQ(r, mine == -EDEADLK ? 0 : -EDEADLK);
    }
    put(&stop, 1);
    joined(f);
    return 0;
}

static void lane_joins(void)
{
    weft_id l;

    CHECK_OK(weft_mutex_lock(&one, WEFT_NEVER));
    children_refused();
    parent_refused();
    joiner_killed();
    CHECK_OK(weft_mutex_unlock(&one));
    CHECK_OK(weft_mutex_init(&two, 0, "two"));
    for (strolling = 0; strolling < 2; strolling++) {
        CHECK_OK(weft_lane_spawn_with(&l, either, NULL, .mobile = strolling));
        ended(l);
        CHECK(forget() > 0);
    }
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

/* ---- giving ---- */

static int holds_and_waits(void *arg)
{
    (void)arg;
    CHECK_OK(weft_mutex_lock(&two, WEFT_NEVER));
    CHECK_OK(weft_mutex_lock(&one, WEFT_NEVER)); /* ours */
    CHECK_OK(weft_mutex_unlock(&one));
    return weft_mutex_unlock(&two);
}

static int waits_for(void *arg)
{
    CHECK_OK(weft_mutex_lock(arg, WEFT_NEVER));
    return weft_mutex_unlock(arg);
}

static int waits_a_while(void *arg)
{
    CHECK_EQ(weft_mutex_lock(arg, weft_after(2 * WEFT_MILLISECOND)), -ETIMEDOUT);
    return weft_mutex_unlock(&one); /* which it was given meanwhile */
}

/* Nobody is made the owner of what he waits for, by way of others or himself; who has a deadline is. */
static void giving(void)
{
    weft_id f, g, h;

    CHECK_OK(weft_mutex_init(&one, 0, "one"));
    CHECK_OK(weft_mutex_init(&two, 0, "two"));
    CHECK_OK(weft_mutex_lock(&one, WEFT_NEVER));
    CHECK_OK(weft_spawn(&f, holds_and_waits, NULL));
    settle();
    CHECK_OK(weft_spawn(&g, waits_for, &two));
    CHECK_OK(weft_spawn(&h, waits_a_while, &two));
    settle();
    CHECK_EQ(weft_mutex_give(&one, g), -EDEADLK);
    told("\"one\" is not given to fiber \"waits_for\"");
    told("by way of others");
    CHECK(forget() > 0);
    CHECK_EQ(weft_mutex_give(&one, f), -EDEADLK);
    told("is not given to fiber \"holds_and_waits\"");
    CHECK(!said("by way of others"));
    CHECK(forget() > 0);
    CHECK_OK(weft_mutex_give(&one, h));
    CHECK_EQ(weft_mutex_unlock(&one), -EPERM);
    joined(h);
    joined(f);
    joined(g);
    CHECK_EQ(forget(), 0);
}

static int run(int argc, char **argv)
{
    (void)argc, (void)argv;
    philosophers();
    long_circle();
    beside_a_circle();
    at_the_same_time();
    joins();
    rings();
    joined_before();
    giving();
    lane_joins();
    writers();
    chains();
    return 0;
}

int main(void)
{
    run_told(run, 2, &s);
    SPY_SILENT(&s);
    spy_close(&s);
    run_told(without_memory, 1, &s);
    SPY_SILENT(&s);
    spy_close(&s);
    return 0;
}
