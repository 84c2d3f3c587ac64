/* A process whose monotonic clock is set off from the machine's, time_namespaces(7). */
#ifndef WEFT_TESTS_PORT_CLOCK_OFFSET_H
#define WEFT_TESTS_PORT_CLOCK_OFFSET_H

#include <sched.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

enum { OFFSET_NOT_HERE = 77 };

static inline int offset_end(pid_t child)
{
    int status;
    CHECK(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* The child makes the namespace, and its child is the first in it. */
static inline int offset_make(long offset_s, void (*check)(void))
{
    if (unshare(CLONE_NEWTIME) < 0)
        return OFFSET_NOT_HERE;
    FILE *offsets = fopen("/proc/self/timens_offsets", "w");
    if (!offsets)
        return OFFSET_NOT_HERE;
    const int said = fprintf(offsets, "monotonic %ld 0\n", offset_s) > 0;
    if (fclose(offsets) != 0 || !said)
        return OFFSET_NOT_HERE;
    const pid_t child = fork();
    if (child == 0) {
        check();
        _exit(0);
    }
    return offset_end(child);
}

/* 0: such a namespace may not be made here. The clock of this process stays. */
static inline int clock_is_set_off(long offset_s, void (*check)(void))
{
    const pid_t child = fork();
    if (child == 0)
        _exit(offset_make(offset_s, check));
    const int r = offset_end(child);
    CHECK(r == 0 || r == OFFSET_NOT_HERE);
    return r == 0;
}

#endif
