/* Named atomic operations as places where a schedule may switch, in a build that has them: the simulator finds the lost
 * update of a counter that is read and written in two steps, never finds one where it is added to in one, and the inbox
 * and parking keep their promises under all schedules tried. */
#include "base/list.h"
#include "world.h"

enum { THREADS = 3, EACH = 5, BATCH = 500 };

static const weft_env *e;

static void together(void (*fn)(void *), void **args)
{
    weft_thread *t[THREADS];

    for (int i = 0; i < THREADS; i++)
        CHECK_OK(e->thread_start(e->self, &t[i], NULL, fn, args[i]));
    for (int i = 0; i < THREADS; i++)
        e->thread_join(e->self, t[i]);
}

static void explore(int (*program)(void *), void *arg, uint64_t first, uint64_t seeds)
{
    for (uint64_t seed = first; seed < first + seeds; seed++)
        CHECK_EQ(weft_sim_run(&(weft_sim_options){.seed = seed, .switch_every = 1 + (unsigned)(seed % 8)}, program, arg, NULL), 0);
}

/* ---- a test of the test: a race is found ---- */

static uint32_t torn, whole;

static void count(void *arg)
{
    (void)arg;
    for (int i = 0; i < EACH; i++) {
        const uint32_t seen = weft__load_relaxed(&torn, "test.read");

        weft__store_relaxed(&torn, seen + 1, "test.write");
        weft__add_relaxed(&whole, 1u, "test.add");
    }
}

static int counters(void *arg)
{
    void *none[THREADS] = {0};

    e = weft_sim_env();
    torn = whole = 0;
    together(count, none);
    CHECK_EQ(whole, THREADS * EACH);
    *(unsigned *)arg += torn != THREADS * EACH;
    return 0;
}

/* ---- an inbox with one owner that parks when it is empty ---- */

struct message {
    weft_task task;
    int number;
};

static void *inbox;
static weft_parker owner;
static struct message messages[THREADS][EACH];

static void post(void *arg)
{
    struct message *m = arg;

    for (int i = 0; i < EACH; i++) {
        m[i].number = i;
        if (weft__inbox_push(&inbox, &m[i].task, "test.push"))
            e->unpark(e->self, &owner);
    }
}

static int mailbox(void *arg)
{
    weft_thread *t[THREADS];
    int next[THREADS] = {0}, got = 0;

    (void)arg;
    e = weft_sim_env();
    inbox = NULL;
    owner = (weft_parker){0};
    for (int i = 0; i < THREADS; i++)
        CHECK_OK(e->thread_start(e->self, &t[i], NULL, post, messages[i]));
    while (got < THREADS * EACH) {
        weft_task *task = weft__inbox_drain(&inbox, "test.drain");

        if (!task)
            CHECK_EQ(e->park(e->self, &owner, WEFT_NEVER), 1); /* a lost wake-up is a deadlock, and told */
        for (; task; task = task->next) {
            const struct message *m = (const struct message *)(const void *)task;
            const int sender = (int)((m - messages[0]) / EACH);

            CHECK_EQ(m->number, next[sender]++);
            got++;
        }
    }
    for (int i = 0; i < THREADS; i++)
        e->thread_join(e->self, t[i]);
    return 0;
}

/* ---- the same with the look and the sleep the wrong way round: a wake-up is lost, and the run says so ---- */

static uint32_t letters, asleep;

static void post_unsafely(void *arg)
{
    (void)arg;
    for (int i = 0; i < EACH; i++) {
        weft__add_seq(&letters, 1u, "test.letter");
        if (weft__load_seq(&asleep, "test.asleep"))
            e->unpark(e->self, &owner);
    }
}

static int unsafe_mailbox(void *arg)
{
    const int recheck = *(int *)arg;
    void *none[THREADS] = {0};
    weft_thread *t[THREADS];
    uint32_t got = 0;

    e = weft_sim_env();
    letters = asleep = 0;
    owner = (weft_parker){0};
    for (int i = 0; i < THREADS; i++)
        CHECK_OK(e->thread_start(e->self, &t[i], NULL, post_unsafely, none[i]));
    while (got < THREADS * EACH) {
        const uint32_t there = weft__load_seq(&letters, "test.look");

        if (there == got) {
            weft__store_seq(&asleep, 1u, "test.sleep");
            if (!recheck || weft__load_seq(&letters, "test.recheck") == got)
                e->park(e->self, &owner, WEFT_NEVER);
            weft__store_seq(&asleep, 0u, "test.awake");
        }
        got = there;
    }
    for (int i = 0; i < THREADS; i++)
        e->thread_join(e->self, t[i]);
    return 0;
}

static void lost_wakeups(uint64_t first, uint64_t seeds)
{
    int recheck = 0;
    unsigned lost = 0;

    for (uint64_t seed = first; seed < first + seeds; seed++) {
        const weft_sim_options o = {.seed = seed, .switch_every = 3, .quiet = 1};
        const int r = weft_sim_run(&o, unsafe_mailbox, &recheck, NULL);

        CHECK(r == 0 || r == -EDEADLK);
        lost += r == -EDEADLK;
    }
    CHECK(lost > 0);
    recheck = 1;
    explore(unsafe_mailbox, &recheck, first, seeds);
}

/* ---- a port, reached from other threads while it goes to sleep ---- */

struct nudge {
    weft_task task;
    unsigned *seen;
};

static weft_port *target;
static unsigned seen;

static void count_nudge(weft_task *task) { ++*((struct nudge *)(void *)task)->seen; }

static void nudge(void *arg)
{
    static struct nudge n[THREADS][EACH];

    for (int i = 0; i < EACH; i++) {
        struct nudge *one = &n[(uintptr_t)arg][i];

        one->task.run = count_nudge;
        one->seen = &seen;
        weft__port_send(target, &one->task);
    }
}

static void sleeps(actor *a)
{
    weft_thread *t[THREADS];

    seen = 0;
    target = &a->port;
    for (uintptr_t i = 0; i < THREADS; i++)
        CHECK_OK(e->thread_start(e->self, &t[i], NULL, nudge, (void *)i));
    while (seen < THREADS * EACH)
        weft__port_enter(&a->port, WEFT_NEVER);
    for (int i = 0; i < THREADS; i++)
        e->thread_join(e->self, t[i]);
}

static int port_sleep(void *arg)
{
    actor a;

    (void)arg;
    e = weft_sim_env();
    actor_start(&a, "sleeper", sleeps, NULL);
    actor_join(&a);
    return 0;
}

int main(int argc, char **argv)
{
    const uint64_t seeds = argc > 1 ? strtoull(argv[1], NULL, 0) : 1000;

    for (uint64_t first = 0; test_again(first, seeds); first += BATCH) {
        unsigned lost = 0;

        explore(counters, &lost, first, BATCH);
        CHECK(lost > BATCH / 10);
        explore(mailbox, NULL, first, BATCH);
        lost_wakeups(first, BATCH);
        explore(port_sleep, NULL, first, BATCH);
    }
    return 0;
}
