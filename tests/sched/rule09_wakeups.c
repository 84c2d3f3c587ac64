/* Wake-ups are neither lost nor a herd (DESIGN rule 9). Threads from outside throw tasks and lanes at workers that
 * go to sleep again and again, and wait for each batch before the next, so that a lost wake-up is a hang: nothing
 * here sleeps with a limit. Meanwhile a watcher sees that never more than one worker is counted as searching. */
#include "lane/world.h"
#include "sched/sched.h"

enum { PRODUCERS = 3, ROUNDS = TEST_SANITIZED ? 1000 : 3000, BATCH = 5 };

static weft_runtime *rt;
static int rounds, watching, producers_left = PRODUCERS;
static uint32_t most_searching;

typedef struct job {
    weft_task task;
    int *ran;
} job;

static void run_job(weft_task *t) { bump(((job *)(void *)t)->ran); }

static int run_lane(void *arg)
{
    bump(*(int **)arg);
    return 0;
}

/* A task that makes more: what it offers has to be found by others, or by itself. */
typedef struct spreader {
    weft_task task;
    job jobs[BATCH];
} spreader;

static void run_spreader(weft_task *t)
{
    spreader *s = (void *)t;

    for (int i = 0; i < BATCH; i++)
        CHECK_OK(weft_task_submit(rt, &s->jobs[i].task));
}

static void *producer(void *arg)
{
    uint64_t state = (uintptr_t)arg;

    for (int i = 0; i < rounds; i++) {
        int ran = 0, *p = &ran;
        const uint32_t what = next_random(&state) % 3;
        spreader s = {.task.run = run_spreader};

        for (int k = 0; k < BATCH; k++)
            s.jobs[k] = (job){.task.run = run_job, .ran = p};
        if (what == 0)
            for (int k = 0; k < BATCH; k++)
                CHECK_OK(weft_task_submit(rt, &s.jobs[k].task));
        else if (what == 1)
            CHECK_OK(weft_task_submit(rt, &s.task));
        else
            for (int k = 0; k < BATCH; k++)
                CHECK_OK(weft_lane_spawn_in(rt, NULL, run_lane, &p, &(weft_lane_options){.copy = sizeof p}));
        until(&ran, BATCH);
    }
    __atomic_sub_fetch(&producers_left, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

static void *watcher(void *arg)
{
    weft_stats stats;

    (void)arg;
    while (get(&watching)) {
        CHECK_OK(weft_runtime_stats(rt, &stats)); /* figures may be read at any time */
        const uint32_t n = __atomic_load_n(&rt->searching, __ATOMIC_SEQ_CST);
        if (n > most_searching)
            most_searching = n;
        sched_yield();
    }
    return NULL;
}

int main(void)
{
    weft_options opt = {.workers = 4, .blocked_ns = -1};
    pthread_t t[PRODUCERS];

    rounds = test_rounds(ROUNDS);
    CHECK_OK(weft_start(&rt, &opt));
    put(&watching, 1);
    const pthread_t w = thread_of(watcher, NULL);
    for (int i = 0; i < PRODUCERS; i++)
        t[i] = thread_of(producer, (void *)(uintptr_t)(i + 1));
    for (int i = 0; i < PRODUCERS; i++)
        pthread_join(t[i], NULL);
    put(&watching, 0);
    pthread_join(w, NULL);
    CHECK(most_searching <= 1);
    CHECK_OK(weft_wait(rt, WEFT_NEVER));
    CHECK_OK(weft_end(rt));
    return 0;
}
