/* The program that does weft's jobs on request: `weft-jobs WORKERS`. Each line on standard input,
 * "JOB N", is answered with "OPS WALL_NS", or with "none" where there is no such job. It reads with
 * the one worker that has anything to do. */
#include "jobs.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int workers;

void must(int r)
{
    if (r < 0) {
        fprintf(stderr, "weft-jobs: %s\n", weft_strerror(r));
        exit(1);
    }
}

void check(long found, long expected)
{
    if (found != expected) {
        fprintf(stderr, "weft-jobs: %ld where %ld was expected\n", found, expected);
        exit(1);
    }
}

int nothing(void *arg)
{
    (void)arg;
    return 0;
}

void spawn_each(weft_id *ids, long n, int (*fn)(void *number))
{
    for (long i = 0; i < n; i++)
        must(workers > 1 ? weft_lane_spawn(&ids[i], fn, (void *)(intptr_t)i) : weft_spawn(&ids[i], fn, (void *)(intptr_t)i));
}

void join_each(const weft_id *ids, long n)
{
    for (long i = 0; i < n; i++)
        must(workers > 1 ? weft_lane_join(ids[i], NULL, WEFT_NEVER) : weft_join(ids[i], NULL, WEFT_NEVER));
}

void run_each(long n, int (*fn)(void *number))
{
    weft_id *ids = malloc(sizeof *ids * (size_t)n);
    if (!ids)
        must(-12);
    spawn_each(ids, n, fn);
    join_each(ids, n);
    free(ids);
}

static job_fn *find(const char *name)
{
    static const job *const all[] = {fiber_jobs, channel_jobs, lane_jobs, resource_jobs};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        for (const job *j = all[i]; j->name; j++)
            if (strcmp(j->name, name) == 0)
                return j->run;
    return NULL;
}

static int start(int argc, char **argv)
{
    char line[128], name[64];
    long n;
    (void)argc, (void)argv;
    printf("ready weft %s\n", weft_version());
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        job_fn *run = sscanf(line, "%63s %ld", name, &n) == 2 && n > 0 ? find(name) : NULL;
        if (run) {
            int64_t begin = weft_now();
            long ops = run(n);
            printf("%ld %lld\n", ops, (long long)(weft_now() - begin));
        } else {
            puts("none");
        }
        fflush(stdout);
    }
    return 0;
}

int main(int argc, char **argv)
{
    workers = argc > 1 ? atoi(argv[1]) : 1;
    weft_options opt = {.workers = (unsigned)workers, .mode = WEFT_SHARED, .blocked_ns = -1};
    return weft_main(start, argc, argv, &opt);
}
