/* weft's side of the jobs in-process: what bench/README.md says each job does, and a
 * program that does them on request. */
#ifndef JOBS_H
#define JOBS_H

#include <weft/weft.h>

/* Does the job with n operations and checks what came out (a wrong result ends the program).
 * Returns how many operations it did. */
typedef long job_fn(long n);

typedef struct job {
    const char *name;
    job_fn *run;
} job;

extern const job fiber_jobs[], channel_jobs[], lane_jobs[], resource_jobs[]; /* each ends with {0} */
extern int workers;

void must(int r);                               /* 0 or more, else it ends the program with its sentence */
void check(long found, long expected);
int nothing(void *arg);
/* Runs fn(0), fn(1)... fn(n - 1), each as a fiber of this lane or, with several workers,
 * as a lane that may go to any of them; waits for all. */
void run_each(long n, int (*fn)(void *number));
/* The halves of that; ids has room for n. */
void spawn_each(weft_id *ids, long n, int (*fn)(void *number));
void join_each(const weft_id *ids, long n);

#endif
