/* Clocks, options, processors, and ending with a sentence. */
#include "load.h"
#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

_Noreturn void fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("load: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

_Noreturn void die(const char *what) { fail("%s: %s", what, strerror(errno)); }

int64_t read_clock(clockid_t clock)
{
    struct timespec t;
    if (clock_gettime(clock, &t) < 0)
        die("the server's clock (has it ended?)");
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t now_ns(void) { return read_clock(CLOCK_MONOTONIC); }

long number(const char *text, long low, long high)
{
    char *end;
    long n = strtol(text, &end, 10);
    if (*end || end == text || n < low || n > high)
        fail("%s is no number from %ld to %ld", text, low, high);
    return n;
}

/* Refused, in a container that has fewer: then it floats, and the result says less. */
void bind_to(const char *cpus)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    if (!cpus)
        return;
    for (const char *at = cpus; *at;) {
        char *end;
        unsigned long cpu = strtoul(at, &end, 10);
        if (end == at || cpu >= CPU_SETSIZE)
            fail("%s is no list of processors", cpus);
        CPU_SET(cpu, &set);
        at = *end == ',' ? end + 1 : end;
        if (*end && *end != ',')
            fail("%s is no list of processors", cpus);
    }
    if (sched_setaffinity(0, sizeof set, &set) < 0)
        fprintf(stderr, "load: not bound to processor %s: %s\n", cpus, strerror(errno));
}

void allow_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}
