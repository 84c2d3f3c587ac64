/* Whether a test has given back all that it opened. */
#ifndef WEFT_TESTS_DESCRIPTORS_H
#define WEFT_TESTS_DESCRIPTORS_H

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "test.h"

static inline int descriptors_open(int timers)
{
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    CHECK(d);
    for (const struct dirent *e; (e = readdir(d));) {
        char what[32] = "";
        n += (readlinkat(dirfd(d), e->d_name, what, sizeof what - 1) > 0 && strcmp(what, "anon_inode:[timerfd]") == 0) == timers;
    }
    closedir(d);
    return n;
}

/* How many descriptors the process has open: a figure to compare with another, for the look itself counts. Without
 * timers, which a port makes when it turns out that one pays. Any thread. */
static inline int open_descriptors(void) { return descriptors_open(0); }
static inline int open_timers(void) { return descriptors_open(1); }

#endif
