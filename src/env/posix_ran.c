/* Owns the question whether another thread of this process has had a processor: what it has used of one, by its CPU
 * clock, and whether it wants one, by what the kernel says of its state. */
#include <errno.h>

#include "env/posix.h"

#if defined(__linux__)

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* "TID (name) S ...", and the name may hold anything. */
static int is_blocked(uintptr_t tid)
{
    char path[64], text[128];
    const char *end;
    ssize_t n;
    int fd;

    snprintf(path, sizeof path, "/proc/self/task/%u/stat", (unsigned)tid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? -ESRCH : -errno;
    n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = 0;
    end = strrchr(text, ')');
    return end && end[1] ? end[2] != 'R' : -ESRCH;
}

int weft__posix_ran(void *self, uintptr_t tag, int64_t *ran_ns)
{
    /* How Linux names the CPU clock of a thread of one's own by its number; pthread_getcpuclockid asks for more. */
    const clockid_t clock = (clockid_t)(~(unsigned)tag << 3 | 6);
    struct timespec t;

    (void)self;
    if (clock_gettime(clock, &t) != 0)
        return errno == EINVAL ? -ESRCH : -errno;
    *ran_ns = t.tv_sec * WEFT_SECOND + t.tv_nsec;
    return is_blocked(tag);
}

#else

int weft__posix_ran(void *self, uintptr_t tag, int64_t *ran_ns)
{
    (void)self, (void)tag, (void)ran_ns;
    return -ENOTSUP;
}

#endif
