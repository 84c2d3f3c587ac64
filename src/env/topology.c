/* Owns the choice among the sources of the topology, the process-wide pretence that tests set up,
 * and binding. Any thread.
 *
 * WEFT_TOPOLOGY in the environment: "hwloc", "system", or "synthetic:DESCRIPTION"
 * with a description in hwloc's words. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined(__linux__)
#include <sys/syscall.h>
#endif

#include "env/posix.h"
#include "env/topology.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char pretended[256]; /* under lock; "" for none */

unsigned weft__topology_usable(unsigned count, double quota)
{
    unsigned whole;

    if (quota <= 0 || quota >= (double)count)
        return count ? count : 1;
    whole = (unsigned)quota;
    if ((double)whole < quota)
        whole++; /* 1.5 processors keep two workers busy for most of the time */
    return whole ? whole : 1;
}

int weft__topology_pretend(const char *description)
{
    weft_topology ignored;
    int r = 0;

    if (description && strlen(description) >= sizeof pretended)
        return -EINVAL;
    if (description)
        r = weft__topology_synthetic(&ignored, description);
    if (r == 0) {
        pthread_mutex_lock(&lock);
        strcpy(pretended, description ? description : "");
        pthread_mutex_unlock(&lock);
    }
    return r;
}

/* The description in force: the test's, else the environment variable's. Copies it; 0 if there is none. */
static int pretence(char *out, size_t size)
{
    const char *asked = getenv("WEFT_TOPOLOGY");

    pthread_mutex_lock(&lock);
    snprintf(out, size, "%s", pretended);
    pthread_mutex_unlock(&lock);
    if (!out[0] && asked && strncmp(asked, "synthetic:", 10) == 0)
        snprintf(out, size, "%s", asked + 10);
    return out[0] != 0;
}

/* hwloc looks at the whole machine, whatever part of it is ours: of a single processor
 * the system's files tell as much. */
static int is_for_hwloc(void)
{
    const char *asked = getenv("WEFT_TOPOLOGY");

    if (asked && strcmp(asked, "system") == 0)
        return 0;
    return (asked && strcmp(asked, "hwloc") == 0) || weft__topology_mask_count() != 1;
}

static int discover(weft_topology *out, int plain)
{
    int r = -ENOTSUP;

    if (!plain && is_for_hwloc())
        r = weft__topology_hwloc(out);
    if (r < 0)
        r = weft__topology_system(out);
    return r;
}

static int describe(weft_topology *out, int plain)
{
    char description[sizeof pretended];
    weft_topology t;
    int r;

    memset(&t, 0, sizeof t);
    if (pretence(description, sizeof description)) {
        r = weft__topology_synthetic(&t, description);
    } else {
        r = discover(&t, plain);
        t.quota = r < 0 ? 0 : weft__cgroup_quota("");
    }
    if (r < 0)
        return r;
    t.cpus = weft__topology_usable(t.count, t.quota);
    *out = t;
    return 0;
}

int weft__posix_topology(void *self, weft_topology *out)
{
    (void)self;
    return describe(out, 0);
}

int weft__posix_topology_plain(void *self, weft_topology *out)
{
    (void)self;
    return describe(out, 1);
}

#if defined(__linux__)

enum { WORD_BITS = 8 * sizeof(unsigned long) };

/* What the calling thread could run on before it was bound. */
static _Thread_local weft__cpu_mask before;
static _Thread_local int bound;

static int set_mask(const weft__cpu_mask *mask)
{
    return syscall(SYS_sched_setaffinity, 0, sizeof *mask, mask) < 0 ? -errno : 0;
}

static int unbind(void)
{
    int r = bound ? set_mask(&before) : 0;

    bound = r < 0;
    return r;
}

/* Threads of a made-up machine run where the system puts them. */
int weft__posix_bind(void *self, const uint16_t *cpu, unsigned count)
{
    char description[sizeof pretended];
    weft__cpu_mask mask = {{0}};
    int r;

    (void)self;
    if (count == 0)
        return unbind();
    if (pretence(description, sizeof description))
        return 0;
    for (unsigned i = 0; i < count; i++) {
        if (cpu[i] >= 8 * sizeof mask)
            return -EINVAL;
        mask.words[cpu[i] / WORD_BITS] |= 1ul << (cpu[i] % WORD_BITS);
    }
    if (!bound && syscall(SYS_sched_getaffinity, 0, sizeof before, &before) < 0)
        return -errno;
    r = set_mask(&mask);
    bound |= r == 0;
    return r;
}

const weft__cpu_mask *weft__posix_bound(void) { return bound ? &before : NULL; }

void weft__posix_free(const weft__cpu_mask *mask) { set_mask(mask); }

#else

int weft__posix_bind(void *self, const uint16_t *cpu, unsigned count)
{
    (void)self;
    (void)cpu;
    (void)count;
    return -ENOTSUP;
}

const weft__cpu_mask *weft__posix_bound(void) { return NULL; }

void weft__posix_free(const weft__cpu_mask *mask) { (void)mask; }

#endif
