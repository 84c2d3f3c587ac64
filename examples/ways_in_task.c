/* From a thread that belongs to no runtime: tasks, which run without a fiber and must not wait, and lanes, which may.
 * A task is memory of the caller's; nothing is allocated to run it. The last of them wakes main() up. */
#include <pthread.h>
#include <stdio.h>
#include <weft/weft.h>

enum { TASKS = 100 };

typedef struct square {
    weft_task task; /* the runtime's until its run is called */
    int of, result;
} square;

static struct {
    pthread_mutex_t lock;
    pthread_cond_t all_done;
    int done;
} meeting = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};

static void one_is_done(void)
{
    pthread_mutex_lock(&meeting.lock);
    if (++meeting.done == TASKS + 1)
        pthread_cond_signal(&meeting.all_done);
    pthread_mutex_unlock(&meeting.lock);
}

static void compute(weft_task *task)
{
    square *s = (square *)(void *)task; /* it is the first member */
    s->result = s->of * s->of;
    one_is_done();
}

static int wait_a_little(void *arg)
{
    (void)arg;
    int r = weft_sleep(weft_after(5 * WEFT_MILLISECOND)); /* a lane may: its worker does something else meanwhile */
    one_is_done();
    return r;
}

int main(void)
{
    static square squares[TASKS];
    weft_lane_options opt = {.detached = 1};
    weft_runtime *rt;
    int r = weft_start(&rt, NULL);
    if (r < 0) {
        fprintf(stderr, "ways_in_task: %s\n", weft_strerror(r));
        return 1;
    }
    r = weft_lane_spawn_in(rt, NULL, wait_a_little, NULL, &opt);
    for (int i = 0; i < TASKS && r == 0; i++) {
        squares[i] = (square){.task = {.run = compute}, .of = i};
        r = weft_task_submit(rt, &squares[i].task);
    }
    pthread_mutex_lock(&meeting.lock);
    while (r == 0 && meeting.done < TASKS + 1)
        pthread_cond_wait(&meeting.all_done, &meeting.lock);
    pthread_mutex_unlock(&meeting.lock);
    long sum = 0;
    for (int i = 0; i < TASKS; i++)
        sum += squares[i].result;
    printf("the squares below %d add up to %ld\n", TASKS, sum);
    weft_end(rt);
    return r < 0 || sum != 328350;
}
