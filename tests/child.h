/* Running something in a child process, and hearing what it says: for what ends a process on purpose.
 * Only while the caller has no other thread. */
#ifndef WEFT_TESTS_CHILD_H
#define WEFT_TESTS_CHILD_H

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

/* The child exits with what fn returns, and leaves no core. Fills `said`, of `room` bytes, with the beginning of what
 * came through its standard error, ended by a 0; returns its wait status. */
static inline int child_says(int (*fn)(void *), void *arg, char *said, size_t room)
{
    int ends[2], status;
    size_t n = 0;
    ssize_t got;

    CHECK_EQ(pipe(ends), 0);
    fflush(NULL);
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        const struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        _exit(fn(arg));
    }
    close(ends[1]);
    while (n < room - 1 && (got = read(ends[0], said + n, room - 1 - n)) > 0)
        n += (size_t)got;
    said[n] = 0;
    close(ends[0]);
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    return status;
}

/* How a child ended that did what it was to do, and returned 0. */
static inline int ended_well(int status) { return WIFEXITED(status) && WEXITSTATUS(status) == 0; }

#endif
