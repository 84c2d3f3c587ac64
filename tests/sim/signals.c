/* Signals and interrupts: a simulated thread runs a function in the middle of what it does, computing or waiting, and
 * goes on with that. Who is hit is drawn from the seed; the environment's contract (one watcher, none after it stopped
 * watching) holds; lanes hear signals. */
#include <signal.h>

#include "arch/unwind.h"
#include "env/current.h"
#include "world.h"

static const weft_env *e;
static int taken, last, context, other_context;
static uintptr_t taken_by;

static void takes(void *ctx, int number)
{
    CHECK(ctx == &context);
    taken++;
    last = number;
    taken_by = e->worker_tag(e->self);
}

static int watch(int number, void *ctx)
{
    return e->signals(e->self, (int[]){number, 0}, takes, ctx);
}

static void rules(void)
{
    CHECK_EQ(weft_sim_signal(SIGUSR1), -ESRCH);
    CHECK_EQ(weft_sim_signal(0), -EINVAL);
    CHECK_EQ(weft_sim_signal(65), -EINVAL);
    CHECK_EQ(watch(SIGKILL, &context), -EINVAL);
    CHECK_EQ(watch(-1, &context), -EINVAL);
    CHECK_OK(watch(SIGUSR1, &context));
    CHECK_OK(watch(SIGUSR1, &context));
    CHECK_EQ(watch(SIGUSR1, &other_context), -EBUSY);
    CHECK_OK(e->signals(e->self, NULL, NULL, &other_context)); /* watches nothing anyhow */
    CHECK_OK(weft_sim_signal(SIGUSR1)); /* there is one thread: it is taken at once */
    CHECK_EQ(taken, 1);
    CHECK_EQ(last, SIGUSR1);
    CHECK_OK(e->signals(e->self, NULL, NULL, &context));
    CHECK_EQ(weft_sim_signal(SIGUSR1), -ESRCH);
    CHECK_EQ(taken, 1);
}

/* ---- whoever it hits goes on with what it did ---- */

enum { THREADS = 3, RAISES = 40 };

static weft_parker beds[THREADS];
static int woken, computed, stop;

static void sleeps(void *arg)
{
    CHECK_EQ(e->park(e->self, &beds[(uintptr_t)arg], WEFT_NEVER), 1); /* no signal ends it */
    woken++;
}

static void computes(void *arg)
{
    (void)arg;
    while (!stop) {
        computed++;
        e->relax(e->self);
    }
}

static void hits_anybody(void)
{
    weft_thread *t[THREADS + 1];
    unsigned hit = 0, own = 0;

    taken = 0;
    CHECK_OK(watch(SIGTERM, &context));
    for (uintptr_t i = 0; i < THREADS; i++)
        CHECK_OK(e->thread_start(e->self, &t[i], NULL, sleeps, (void *)i));
    CHECK_OK(e->thread_start(e->self, &t[THREADS], NULL, computes, NULL));
    for (int i = 0; i < RAISES; i++) {
        const int before = taken;

        CHECK_OK(weft_sim_signal(SIGTERM));
        while (taken == before)
            e->relax(e->self);
        CHECK_EQ(taken, before + 1);
        CHECK(taken_by >= 1 && taken_by <= THREADS + 2);
        hit |= 1U << taken_by;
        own += taken_by == e->worker_tag(e->self);
    }
    CHECK(__builtin_popcount(hit) > 1); /* by the seed, not always the same */
    CHECK(own < RAISES);
    CHECK_EQ(woken, 0);
    stop = 1;
    for (int i = 0; i < THREADS; i++)
        e->unpark(e->self, &beds[i]);
    for (int i = 0; i <= THREADS; i++)
        e->thread_join(e->self, t[i]);
    CHECK_EQ(woken, THREADS);
    CHECK(computed > 0);
}

/* Raised twice before it is taken, it is taken once; and what was not taken is forgotten with its watcher. */
static void once_or_never(void)
{
    weft_thread *t;
    int merged = 0, forgotten = 0;

    for (int i = 0; i < 60; i++) {
        taken = 0;
        woken = 0;
        beds[0] = (weft_parker){0};
        CHECK_OK(e->thread_start(e->self, &t, NULL, sleeps, NULL));
        CHECK_OK(weft_sim_signal(SIGTERM));
        CHECK_OK(weft_sim_signal(SIGTERM));
        if (i % 2) {
            CHECK_OK(e->signals(e->self, NULL, NULL, &context));
            forgotten += taken == 0;
            const int before = taken;
            for (int k = 0; k < 20; k++)
                e->relax(e->self);
            CHECK_EQ(taken, before);
            CHECK_OK(watch(SIGTERM, &context));
        }
        e->unpark(e->self, &beds[0]);
        e->thread_join(e->self, t);
        for (int k = 0; k < 5 && i % 2 == 0; k++)
            e->relax(e->self);
        CHECK(taken <= 2 && (i % 2 || taken >= 1));
        merged += i % 2 == 0 && taken == 1;
    }
    CHECK(merged > 0);
    CHECK(forgotten > 0);
}

/* ---- interrupts ---- */

static const void *tag_seen;
static uintptr_t pc_seen;

static void looks(void *ctx, const void *machine)
{
    uintptr_t frame, sp;

    tag_seen = weft__thread_tag();
    CHECK(machine != NULL);
    if (weft__interrupted(machine, &pc_seen, &frame, &sp) < 0)
        pc_seen = 1;
    e->relax(e->self); /* others may run meanwhile */
    ++*(int *)ctx;
}

static uintptr_t sleepers_tag;
static const void *sleepers_own;

static void tells_and_sleeps(void *arg)
{
    sleepers_tag = e->worker_tag(e->self);
    sleepers_own = weft__thread_tag();
    sleeps(arg);
    CHECK(weft__thread_tag() == sleepers_own);
}

static void interrupts(void)
{
    weft_thread *t;
    int calls = 0;

    CHECK_EQ(e->interrupt(e->self, 12345, looks, &calls), -ESRCH);
    CHECK_EQ(e->interrupt(e->self, 0, looks, &calls), -ESRCH);
    CHECK_OK(e->interrupt(e->self, e->worker_tag(e->self), looks, &calls)); /* oneself */
    CHECK_EQ(calls, 1);
    CHECK(tag_seen == weft__thread_tag());
    beds[0] = (weft_parker){0};
    woken = 0;
    CHECK_OK(e->thread_start(e->self, &t, NULL, tells_and_sleeps, NULL));
    while (!sleepers_tag)
        e->relax(e->self);
    for (int i = 0; i < 10; i++) {
        tag_seen = NULL;
        pc_seen = 0;
        CHECK_OK(e->interrupt(e->self, sleepers_tag, looks, &calls));
        CHECK_EQ(calls, i + 2);
        CHECK(tag_seen == sleepers_own && tag_seen != weft__thread_tag()); /* it ran there */
        CHECK(pc_seen != 0);
    }
    CHECK_EQ(woken, 0);
    e->unpark(e->self, &beds[0]);
    e->thread_join(e->self, t);
    CHECK_EQ(e->interrupt(e->self, sleepers_tag, looks, &calls), -ESRCH); /* it has ended */
    CHECK_EQ(woken, 1);
}

static int program(void *arg)
{
    (void)arg;
    e = weft_sim_env();
    taken = woken = computed = stop = 0;
    sleepers_tag = 0;
    memset(beds, 0, sizeof beds);
    rules();
    hits_anybody();
    once_or_never();
    interrupts();
    return 0;
}

int main(void)
{
    CHECK_EQ(weft_sim_signal(SIGTERM), -EINVAL); /* there is no simulation */
    for (uint64_t seed = 1; seed <= 40; seed++) {
        weft_sim_result first, second;

        CHECK_OK(weft_sim_run(&(weft_sim_options){.seed = seed}, program, NULL, &first));
        CHECK_OK(weft_sim_run(&(weft_sim_options){.seed = seed}, program, NULL, &second));
        CHECK(first.hash == second.hash);
        CHECK_EQ(first.threads_left, 0);
    }
    return 0;
}
