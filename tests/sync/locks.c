/* Readers and writers, conditions, once, and circles of locks that are refused. */
#include "world.h"

/* ---- readers and writers ---- */

static weft_rwlock rw;
static int phase, go, order[8], ordered;

static int reads(void *arg)
{
    weft_read_hold h = {{0}};

    CHECK_OK(weft_rwlock_read(&rw, &h, WEFT_NEVER));
    order[ordered++] = (int)(intptr_t)arg;
    CHECK_OK(weft_yield());
    CHECK_OK(weft_rwlock_unread(&h));
    return 0;
}

static int writes(void *arg)
{
    CHECK_OK(weft_rwlock_write(&rw, WEFT_NEVER));
    order[ordered++] = (int)(intptr_t)arg;
    CHECK_OK(weft_yield());
    CHECK_OK(weft_rwlock_unwrite(&rw));
    return 0;
}

static int tries_to_read(void *arg)
{
    weft_read_hold h = {{0}};
    const int r = weft_rwlock_try_read(&rw, &h);

    (void)arg;
    CHECK_EQ(weft_rwlock_unwrite(&rw), -EPERM);
    CHECK_EQ(weft_rwlock_consistent(&rw), -EPERM);
    if (r == 0)
        CHECK_OK(weft_rwlock_unread(&h));
    else
        CHECK_EQ(weft_rwlock_read(&rw, &h, weft_after(WEFT_MILLISECOND)), -ETIMEDOUT);
    return r;
}

static int tries_to_write(void *arg)
{
    const int r = weft_rwlock_try_write(&rw);

    (void)arg;
    if (r == 0)
        CHECK_OK(weft_rwlock_unwrite(&rw));
    else
        CHECK_EQ(weft_rwlock_write(&rw, WEFT_NOW), -ETIMEDOUT);
    return r;
}

static int result_of(int (*fn)(void *))
{
    weft_id f;
    int r;

    CHECK_OK(weft_spawn(&f, fn, NULL));
    CHECK_OK(weft_join(f, &r, soon()));
    return r;
}

static void rights(void)
{
    weft_read_hold a = {{0}}, b = {{0}};

    CHECK_OK(weft_rwlock_init(&rw, "rw"));
    CHECK_EQ(weft_rwlock_unread(&a), -EPERM);
    CHECK_EQ(weft_rwlock_unwrite(&rw), -EPERM);
    CHECK_EQ(weft_rwlock_read(&rw, NULL, WEFT_NEVER), -EINVAL);
    CHECK_OK(weft_rwlock_read(&rw, &a, WEFT_NEVER));
    CHECK_EQ(weft_rwlock_read(&rw, &b, WEFT_NEVER), -EDEADLK);
    static weft_rwlock other;
    CHECK_EQ(weft_rwlock_read(&other, &a, WEFT_NEVER), -EINVAL); /* it is in use */
    CHECK_EQ(weft_rwlock_try_read(&other, &a), -EINVAL);
    CHECK_EQ(weft_rwlock_try_read(&rw, &b), -EDEADLK);
    CHECK_EQ(weft_rwlock_write(&rw, WEFT_NEVER), -EDEADLK); /* no upgrade */
    CHECK_EQ(weft_rwlock_try_write(&rw), -EDEADLK);
    CHECK_EQ(result_of(tries_to_read), 0);
    CHECK_EQ(result_of(tries_to_write), -EAGAIN);
    CHECK_OK(weft_rwlock_unread(&a));
    CHECK_EQ(weft_rwlock_unread(&a), -EPERM);
    CHECK_OK(weft_rwlock_write(&rw, WEFT_NEVER));
    CHECK_EQ(weft_rwlock_write(&rw, WEFT_NEVER), -EDEADLK);
    CHECK_EQ(weft_rwlock_read(&rw, &a, WEFT_NEVER), -EDEADLK);
    CHECK_EQ(weft_rwlock_consistent(&rw), -EINVAL);
    CHECK_EQ(result_of(tries_to_read), -EAGAIN);
    CHECK_EQ(result_of(tries_to_write), -EAGAIN);
    CHECK_OK(weft_rwlock_unwrite(&rw));
}

/* Who comes after a writer that waits does not pass it; readers in a row go together. */
static void in_order(void)
{
    int (*const who[])(void *) = {reads, writes, reads, reads, writes};
    weft_read_hold h = {{0}};
    weft_id f[5];

    CHECK_OK(weft_rwlock_read(&rw, &h, WEFT_NEVER));
    ordered = 0;
    for (int i = 1; i < 5; i++) {
        CHECK_OK(weft_spawn(&f[i], who[i], (void *)(intptr_t)i));
        settle();
    }
    CHECK_EQ(ordered, 0);
    CHECK_OK(weft_rwlock_unread(&h));
    for (int i = 1; i < 5; i++)
        joined(f[i]);
    for (int i = 0; i < 4; i++)
        CHECK_EQ(order[i], i + 1);
}

/* A writer that gives up lets the readers behind it go. */
static int gives_up(void *arg)
{
    (void)arg;
    CHECK_EQ(weft_rwlock_write(&rw, weft_after(5 * WEFT_MILLISECOND)), -ETIMEDOUT);
    return 0;
}

static void a_writer_gives_up(void)
{
    weft_read_hold h = {{0}};
    weft_id w, r;

    CHECK_OK(weft_rwlock_read(&rw, &h, WEFT_NEVER));
    CHECK_OK(weft_spawn(&w, gives_up, NULL));
    settle();
    CHECK_OK(weft_spawn(&r, reads, NULL));
    joined(r);
    joined(w);
    CHECK_OK(weft_rwlock_unread(&h));
}

static int holds(void *arg)
{
    weft_read_hold h = {{0}};

    CHECK_OK(arg ? weft_rwlock_write(&rw, WEFT_NEVER) : weft_rwlock_read(&rw, &h, WEFT_NEVER));
    put(&phase, 1);
    return weft_park(WEFT_NEVER);
}

static void holders_die(void)
{
    weft_read_hold h = {{0}};
    weft_id l;

    put(&phase, 0);
    CHECK_OK(weft_lane_spawn(&l, holds, NULL));
    reached(&phase, 1);
    CHECK_EQ(weft_rwlock_try_write(&rw), -EAGAIN);
    killed(l);
    CHECK_OK(weft_rwlock_try_write(&rw)); /* a reader changes nothing */
    CHECK_OK(weft_rwlock_unwrite(&rw));
    for (int repaired = 1; repaired >= 0; repaired--) {
        put(&phase, 0);
        CHECK_OK(weft_lane_spawn(&l, holds, &rw));
        reached(&phase, 1);
        killed(l);
        CHECK_EQ(weft_rwlock_read(&rw, &h, WEFT_NEVER), -EOWNERDEAD);
        CHECK_OK(weft_rwlock_unread(&h)); /* a reader repairs nothing */
        CHECK_EQ(weft_rwlock_write(&rw, WEFT_NEVER), -EOWNERDEAD);
        if (repaired)
            CHECK_OK(weft_rwlock_consistent(&rw));
        CHECK_OK(weft_rwlock_unwrite(&rw));
        CHECK_EQ(weft_rwlock_read(&rw, &h, WEFT_NEVER), repaired ? 0 : -ENOTRECOVERABLE);
        if (repaired)
            CHECK_OK(weft_rwlock_unread(&h));
    }
    CHECK_EQ(weft_rwlock_try_write(&rw), -ENOTRECOVERABLE);
    CHECK_OK(weft_rwlock_init(&rw, NULL));
}

enum { LANES = 4, ROUNDS = 2000 };
static int readers, writers;
static long value;

static int mixes(void *arg)
{
    uint64_t state = (uint64_t)(intptr_t)arg;
    weft_read_hold h = {{0}};

    for (int i = 0; i < ROUNDS; i++)
        if (next_random(&state) % 4) {
            CHECK_OK(weft_rwlock_read(&rw, &h, WEFT_NEVER));
            bump(&readers);
            CHECK_EQ(get(&writers), 0);
            const long seen = value;
            if (next_random(&state) % 8 == 0)
                CHECK_OK(weft_yield());
            CHECK_EQ(value, seen);
            __atomic_sub_fetch(&readers, 1, __ATOMIC_ACQ_REL);
            CHECK_OK(weft_rwlock_unread(&h));
        } else {
            CHECK_OK(weft_rwlock_write(&rw, WEFT_NEVER));
            CHECK_EQ(bump(&writers), 1);
            CHECK_EQ(get(&readers), 0);
            value++;
            put(&writers, 0);
            CHECK_OK(weft_rwlock_unwrite(&rw));
        }
    return 0;
}

static void exclusion(void)
{
    weft_id l[LANES];

    for (int i = 0; i < LANES; i++)
        CHECK_OK(weft_lane_spawn(&l[i], mixes, (void *)(intptr_t)(i + 1)));
    for (int i = 0; i < LANES; i++)
        ended(l[i]);
}

/* ---- conditions ---- */

static weft_mutex m;
static weft_cond c;
static int items, taken;

static int consumes(void *arg)
{
    CHECK_OK(weft_mutex_lock(&m, WEFT_NEVER));
    for (intptr_t i = 0; i < (intptr_t)arg; i++) {
        while (!items)
            CHECK_OK(weft_cond_wait(&c, &m, WEFT_NEVER));
        items--;
        taken++;
    }
    CHECK_OK(weft_mutex_unlock(&m));
    return 0;
}

static int produces(void *arg)
{
    for (intptr_t i = 0; i < (intptr_t)arg; i++) {
        CHECK_OK(weft_mutex_lock(&m, WEFT_NEVER));
        items++;
        CHECK_OK(weft_mutex_unlock(&m));
        CHECK_OK(weft_cond_signal(&c));
    }
    return 0;
}

static void producers_and_consumers(void)
{
    weft_id l[4];

    CHECK_OK(weft_mutex_init(&m, 0, NULL));
    for (int i = 0; i < 4; i++)
        CHECK_OK(weft_lane_spawn(&l[i], i % 2 ? produces : consumes, (void *)(intptr_t)2000));
    for (int i = 0; i < 4; i++)
        ended(l[i]);
    CHECK_EQ(taken, 4000);
    CHECK_EQ(items, 0);
}

static int waits(void *arg)
{
    CHECK_OK(weft_mutex_lock(&m, WEFT_NEVER));
    CHECK_OK(weft_mutex_lock(&m, WEFT_NEVER)); /* it is recursive, and is given up as a whole */
    put(&phase, get(&phase) + 1);
    const int r = weft_cond_wait(&c, &m, *(int64_t *)arg);
    CHECK_OK(weft_mutex_unlock(&m)); /* ours again, cancelled or not */
    CHECK_OK(weft_mutex_unlock(&m));
    CHECK_EQ(weft_mutex_unlock(&m), -EPERM);
    return r;
}

static void waiting(void)
{
    int64_t never = WEFT_NEVER, brief = weft_after(2 * WEFT_MILLISECOND);
    weft_id f, g;
    int r;

    CHECK_OK(weft_mutex_init(&m, WEFT_MUTEX_RECURSIVE, NULL));
    CHECK_EQ(weft_cond_wait(&c, &m, WEFT_NEVER), -EPERM);
    CHECK_EQ(weft_cond_signal(&c), 0);
    CHECK_EQ(weft_cond_broadcast(&c), 0);
    CHECK_OK(weft_spawn(&f, waits, &brief));
    CHECK_OK(weft_join(f, &r, soon()));
    CHECK_EQ(r, -ETIMEDOUT);
    put(&phase, 0);
    CHECK_OK(weft_spawn(&f, waits, &never));
    reached(&phase, 1);
    CHECK_OK(weft_mutex_lock(&m, WEFT_NEVER)); /* it does not come back without it */
    CHECK_OK(weft_cancel(f));
    settle();
    CHECK_EQ(weft_join(f, &r, weft_after(WEFT_MILLISECOND)), -ETIMEDOUT);
    CHECK_OK(weft_mutex_unlock(&m));
    CHECK_OK(weft_join(f, &r, soon()));
    CHECK_EQ(r, -ECANCELED);
    put(&phase, 0);
    CHECK_OK(weft_spawn(&f, waits, &never));
    CHECK_OK(weft_spawn(&g, waits, &never));
    reached(&phase, 2);
    CHECK_EQ(weft_cond_broadcast(&c), 2);
    CHECK_EQ(weft_cond_broadcast(&c), 0);
    joined(f);
    joined(g);
}

/* It is handed over in the order of coming, to who comes back from the condition, too. */
static int waits_once(void *arg)
{
    CHECK_OK(weft_mutex_lock(&m, WEFT_NEVER));
    put(&phase, get(&phase) + 1);
    *(int *)arg = weft_cond_wait(&c, &m, WEFT_NEVER);
    return weft_mutex_unlock(&m);
}

static void with_a_fair_mutex(void)
{
    weft_id f;
    int r = 1;

    CHECK_OK(weft_mutex_init(&m, WEFT_MUTEX_FAIR, NULL));
    put(&phase, 0);
    CHECK_OK(weft_spawn(&f, waits_once, &r));
    reached(&phase, 1);
    CHECK_OK(weft_mutex_lock(&m, WEFT_NEVER)); /* it waits, or we would */
    CHECK_EQ(weft_cond_signal(&c), 1);
    settle();
    CHECK_EQ(r, 1);
    CHECK_OK(weft_mutex_unlock(&m)); /* it is his from here on */
    CHECK_EQ(weft_mutex_try(&m), -EAGAIN);
    joined(f);
    CHECK_EQ(r, 0);
    CHECK_OK(weft_mutex_lock(&m, WEFT_NEVER));
    CHECK_OK(weft_mutex_unlock(&m));
}

/* Signals all and ends without giving the mutex back. */
static int signals_and_ends(void *arg)
{
    CHECK_OK(weft_mutex_lock(&m, WEFT_NEVER));
    CHECK_EQ(weft_cond_broadcast(&c), *(int *)arg);
    return 0;
}

static int repairs, comes_back[2];

static int waits_for_the_dead(void *arg)
{
    int *r = arg;

    CHECK_OK(weft_mutex_lock(&m, WEFT_NEVER));
    put(&phase, get(&phase) + 1);
    *r = weft_cond_wait(&c, &m, WEFT_NEVER);
    if (*r == -EOWNERDEAD && repairs)
        CHECK_OK(weft_mutex_consistent(&m));
    CHECK_EQ(weft_mutex_unlock(&m), *r == -ENOTRECOVERABLE ? -EPERM : 0);
    return 0;
}

/* Two come back to a mutex whose owner died: the first may repair it, or the second never gets it. */
static void back_to_a_dead_owner(int repaired)
{
    weft_id f[2], g;
    int waiting = 2;

    repairs = repaired;
    CHECK_OK(weft_mutex_init(&m, 0, NULL));
    put(&phase, 0);
    for (int i = 0; i < 2; i++) {
        CHECK_OK(weft_spawn(&f[i], waits_for_the_dead, &comes_back[i]));
        reached(&phase, i + 1);
    }
    CHECK_OK(weft_spawn(&g, signals_and_ends, &waiting));
    joined(g);
    joined(f[0]);
    joined(f[1]);
    CHECK_EQ(comes_back[0], -EOWNERDEAD);
    CHECK_EQ(comes_back[1], repaired ? 0 : -ENOTRECOVERABLE);
}

/* A signal that met one who was killed before it ran goes to the next. */
static int waits_never(void *arg)
{
    int64_t never = WEFT_NEVER;

    (void)arg;
    return waits(&never);
}

static void a_signal_is_not_lost(void)
{
    weft_id l, f;

    put(&phase, 0);
    CHECK_OK(weft_lane_spawn_with(&l, waits_never, NULL, .pinned = 1));
    reached(&phase, 1);
    CHECK_OK(weft_spawn(&f, waits_never, NULL));
    reached(&phase, 2);
    CHECK_EQ(weft_cond_signal(&c), 1);
    kill_here(l);
    CHECK_OK(weft_lane_join(l, NULL, soon()));
    joined(f);
}

/* Nor does one get lost with who was killed on his way back to the mutex. */
static void a_signal_comes_back(void)
{
    weft_mutex_info info = {.waiting = 0};
    weft_id l, f;

    put(&phase, 0);
    CHECK_OK(weft_lane_spawn(&l, waits_never, NULL));
    reached(&phase, 1);
    CHECK_OK(weft_mutex_lock(&m, WEFT_NEVER)); /* it stands in line */
    CHECK_OK(weft_mutex_unlock(&m));
    CHECK_OK(weft_spawn(&f, waits_never, NULL));
    reached(&phase, 2);
    CHECK_OK(weft_mutex_lock(&m, WEFT_NEVER));
    CHECK_EQ(weft_cond_signal(&c), 1);
    while (info.waiting == 0) {
        CHECK_OK(weft_yield());
        weft_mutex_look(&m, &info);
    }
    killed(l);
    CHECK_OK(weft_mutex_unlock(&m));
    joined(f);
}

/* ---- once ---- */

static weft_once once;
static int calls;

static int fails_first(void *arg)
{
    (void)arg;
    CHECK_EQ(weft_once_run(&once, fails_first, NULL, WEFT_NEVER), -EDEADLK);
    CHECK_OK(weft_yield());
    return ++calls == 1 ? -EIO : 5;
}

static int runs_it(void *arg)
{
    (void)arg;
    return weft_once_run(&once, fails_first, NULL, WEFT_NEVER);
}

static int never_ends(void *arg)
{
    (void)arg;
    put(&phase, 1);
    return weft_park(WEFT_NEVER);
}

static int begins(void *arg)
{
    (void)arg;
    return weft_once_run(&once, never_ends, NULL, WEFT_NEVER);
}

static void only_once(void)
{
    weft_id f[3], l;
    int r, failed = 0;

    CHECK_EQ(weft_once_run(&once, NULL, NULL, WEFT_NEVER), -EINVAL);
    for (int i = 0; i < 3; i++)
        CHECK_OK(weft_spawn(&f[i], runs_it, NULL));
    for (int i = 0; i < 3; i++) {
        CHECK_OK(weft_join(f[i], &r, soon()));
        CHECK(r == 0 || r == -EIO);
        failed += r < 0;
    }
    CHECK_EQ(failed, 1);
    CHECK_EQ(calls, 2);
    CHECK_EQ(weft_once_run(&once, fails_first, NULL, WEFT_NEVER), 0);
    once = (weft_once){.done = 0};
    put(&phase, 0);
    CHECK_OK(weft_lane_spawn(&l, begins, NULL));
    reached(&phase, 1);
    CHECK_EQ(weft_once_run(&once, fails_first, NULL, WEFT_NOW), -ETIMEDOUT);
    killed(l);
    CHECK_EQ(weft_once_run(&once, fails_first, NULL, WEFT_NEVER), 0);
    CHECK_EQ(calls, 3);
}

static int run(int argc, char **argv)
{
    (void)argc, (void)argv, (void)go;
    rights();
    in_order();
    a_writer_gives_up();
    holders_die();
    exclusion();
    producers_and_consumers();
    waiting();
    a_signal_is_not_lost();
    a_signal_comes_back();
    with_a_fair_mutex();
    back_to_a_dead_owner(1);
    back_to_a_dead_owner(0);
    only_once();
    return 0;
}

int main(void)
{
    static spy s;

    run_told(run, 2, &s); /* some of the waits here are circles until their deadlines */
    spy_close(&s);
    return 0;
}
