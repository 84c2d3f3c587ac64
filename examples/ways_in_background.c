/* weft_start: a runtime in the background of a program that has a life of its own, and a second one beside it. Each
 * has its workers, its settings and its lanes, and knows nothing of the other. Lanes are spawned into them from
 * main(), a thread that belongs to neither. */
#include <stdio.h>
#include <weft/weft.h>

typedef struct job {
    int number;
    int *sum; /* written by one lane only, read after weft_wait */
} job;

static int work(void *arg)
{
    job *j = arg; /* a copy of its own, on its stack */
    for (int i = 1; i <= j->number; i++) {
        *j->sum += i;
        if (weft_sleep(weft_after(WEFT_MILLISECOND)) < 0)
            return -1;
    }
    return 0;
}

static int for_ever(void *arg)
{
    (void)arg;
    while (weft_sleep(weft_after(WEFT_SECOND)) == 0)
        ;
    return 0; /* weft_stop has cancelled it */
}

int main(void)
{
    weft_runtime *small, *large;
    weft_options one = {.workers = 1}, two = {.workers = 2, .grace_ns = 2 * WEFT_SECOND};
    int sum[2] = {0, 0};
    int r = weft_start(&small, &one);
    if (r < 0)
        goto failed;
    r = weft_start(&large, &two);
    if (r < 0) {
        weft_end(small);
        goto failed;
    }

    job jobs[2] = {{10, &sum[0]}, {20, &sum[1]}};
    weft_lane_options opt = {.copy = sizeof(job), .detached = 1};
    r = weft_lane_spawn_in(small, NULL, work, &jobs[0], &opt);
    if (r == 0)
        r = weft_lane_spawn_in(large, NULL, work, &jobs[1], &opt);
    if (r == 0)
        r = weft_wait(small, WEFT_NEVER);
    if (r == 0)
        r = weft_wait(large, WEFT_NEVER);
    if (r == 0)
        printf("%d %d\n", sum[0], sum[1]);

    /* What does not end by itself is asked to. */
    weft_lane_options detached = {.detached = 1};
    if (r == 0)
        r = weft_lane_spawn_in(large, NULL, for_ever, NULL, &detached);
    weft_stop(large);
    weft_end(large);
    weft_end(small);
failed:
    if (r < 0)
        fprintf(stderr, "ways_in_background: %s\n", weft_strerror(r));
    return r < 0 || sum[0] != 55 || sum[1] != 210;
}
