/* Whether a test has given back all that it opened. */
#ifndef WEFT_TESTS_DESCRIPTORS_H
#define WEFT_TESTS_DESCRIPTORS_H

#include <dirent.h>

#include "test.h"

/* How many descriptors the process has open: a figure to compare with another, for the look itself counts. Any
 * thread. */
static inline int open_descriptors(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    CHECK(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

#endif
