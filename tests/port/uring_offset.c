/* Deadlines where the process's monotonic clock is set off from the machine's, time_namespaces(7): the kernel takes a
 * ring's absolute times for the machine's there. Skipped where such a namespace may not be made. */
#include <sched.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "port/uring_bed.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

enum { NOT_HERE = 77 };

/* As a child, so that the clock of this process stays. */
static int in_child(int (*check)(long), long offset_s)
{
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0)
        _exit(check(offset_s));
    int status;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* A deadline passes: neither a hundred thousand seconds too late, which the test's time-out would say, nor too early,
 * which would cost an entry each time. */
static int deadlines_hold(long offset_s)
{
    (void)offset_s;
    bed b = {0};
    unsigned entries = 0;
    bed_open(&b, NULL);
    CHECK(!bed_ring(&b)->absolute);
    const int64_t until = bed_after(5 * WEFT_MILLISECOND);
    for (; bed_now() < until; entries++)
        weft__port_enter(&b.port, until);
    CHECK(entries < 100);
    CHECK(bed_now() < until + 10 * WEFT_SECOND);
    bed_close(&b);
    return 0;
}

static int set_off(long offset_s)
{
    if (unshare(CLONE_NEWTIME) < 0)
        return NOT_HERE;
    FILE *offsets = fopen("/proc/self/timens_offsets", "w");
    if (!offsets)
        return NOT_HERE;
    const int said = fprintf(offsets, "monotonic %ld 0\n", offset_s) > 0;
    if (fclose(offsets) != 0 || !said)
        return NOT_HERE;
    return in_child(deadlines_hold, offset_s);
}

int main(void)
{
    bed b = {0};
    bed_open(&b, NULL); /* or there are no rings here */
    bed_close(&b);
    int r = in_child(set_off, 100000);
    if (r == NOT_HERE)
        SKIP("a time namespace is refused here");
    CHECK_EQ(r, 0);
    CHECK_EQ(in_child(set_off, -1), 0);
    return 0;
}
