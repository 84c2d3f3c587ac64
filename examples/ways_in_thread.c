/* weft_run: threads that the program made itself join a runtime as workers, and leave it again. The runtime starts
 * none of its own. */
#include <pthread.h>
#include <stdio.h>
#include <weft/weft.h>

static void *lend_a_thread(void *rt)
{
    int r = weft_run(rt); /* returns when the runtime ends, or weft_leave asks a thread to go */
    if (r < 0)
        fprintf(stderr, "ways_in_thread: %s\n", weft_strerror(r));
    return NULL;
}

static int count(void *arg)
{
    int *n = arg;
    for (int i = 0; i < 100; i++) {
        __atomic_add_fetch(n, 1, __ATOMIC_RELAXED);
        weft_yield();
    }
    return 0;
}

int main(void)
{
    enum { THREADS = 2, LANES = 50 };
    weft_options opt = {.external_workers = 1, .workers = THREADS, .mode = WEFT_SHARED};
    weft_lane_options lane = {.detached = 1};
    weft_runtime *rt;
    pthread_t thread[THREADS];
    int n = 0;
    int r = weft_start(&rt, &opt);
    if (r < 0) {
        fprintf(stderr, "ways_in_thread: %s\n", weft_strerror(r));
        return 1;
    }
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&thread[i], NULL, lend_a_thread, rt))
            return 1;
    for (int i = 0; i < LANES && r == 0; i++)
        r = weft_lane_spawn_in(rt, NULL, count, &n, &lane);
    weft_wait(rt, WEFT_NEVER);
    printf("%d steps of %d lanes on %d borrowed threads\n", n, LANES, THREADS);

    weft_leave(rt); /* one of them is wanted elsewhere */
    weft_stop(rt);  /* the rest goes with the runtime */
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    weft_end(rt);
    return r < 0 || n != LANES * 100;
}
