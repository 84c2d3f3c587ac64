/* Tasks without fibers: from any thread, in floods that overflow the queues, each run once, none on the I/O worker;
 * and what submitting answers. */
#include "base/check.h"
#include "lane/world.h"
#include "sched/sched.h"

enum { THREADS = 4, EACH = 20000, FLOOD = 10 * WEFT__DEQUE_SIZE };

typedef struct job {
    weft_task task;
    int runs;
} job;

static weft_runtime *rt;
static int ran;

static void run_job(weft_task *t)
{
    job *j = weft__container(t, job, task);
    weft__worker *w = weft__worker_self();

    CHECK(w && w->rt == rt && !w->io_only);
    CHECK_EQ(bump(&j->runs), 1);
    bump(&ran);
}

static void *submitter(void *arg)
{
    job *jobs = arg;

    for (int i = 0; i < EACH; i++) {
        jobs[i].task.run = run_job;
        CHECK_OK(weft_task_submit(rt, &jobs[i].task));
    }
    return NULL;
}

static job flood_jobs[FLOOD];

/* From a worker, more than its queue holds: the rest goes to the shared one. */
static void run_flood(weft_task *t)
{
    (void)t;
    for (int i = 0; i < FLOOD; i++) {
        flood_jobs[i].task.run = run_job;
        CHECK_OK(weft_task_submit(rt, &flood_jobs[i].task));
    }
}

static int from_a_fiber(void *arg)
{
    run_flood(NULL);
    while (get(&ran) < *(const int *)arg)
        CHECK_OK(weft_yield());
    return 0;
}

int main(void)
{
    static spy s;
    weft_options opt = {.workers = 3, .blocked_ns = -1, .env = spy_open(&s)};
    pthread_t t[THREADS];
    job *jobs[THREADS], flood = {.task.run = run_flood}, none = {.task.run = NULL};

    CHECK_OK(weft_start(&rt, &opt));
    CHECK_EQ(weft_task_submit(NULL, &flood.task), -EINVAL);
    CHECK_EQ(weft_task_submit(rt, NULL), -EINVAL);
    CHECK_EQ(weft_task_submit(rt, &none.task), -EINVAL);
    for (int i = 0; i < THREADS; i++) {
        jobs[i] = calloc(EACH, sizeof *jobs[i]);
        CHECK(jobs[i] != NULL);
        t[i] = thread_of(submitter, jobs[i]);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(t[i], NULL);
    until(&ran, THREADS * EACH);

    CHECK_OK(weft_task_submit(rt, &flood.task));
    until(&ran, THREADS * EACH + FLOOD);
    memset(flood_jobs, 0, sizeof flood_jobs);
    int all = THREADS * EACH + 2 * FLOOD;
    CHECK_OK(weft_lane_spawn_in(rt, NULL, from_a_fiber, &all, NULL));
    until(&ran, all);
    CHECK_OK(weft_wait(rt, WEFT_NEVER));

    weft_stats stats;
    do /* counted at the end of a tick */
        CHECK_OK(weft_runtime_stats(rt, &stats));
    while (stats.tasks_run < (uint64_t)all);
    CHECK_EQ(weft_runtime_stats(NULL, &stats), -EINVAL);
    CHECK_EQ(weft_runtime_stats(rt, NULL), -EINVAL);
    CHECK_OK(weft_end(rt));
    for (int i = 0; i < THREADS; i++)
        free(jobs[i]);
    SPY_SILENT(&s);
    spy_close(&s);
    return 0;
}
