/* Owns the topology as the kernel tells it without any library: the affinity mask, and the files below /sys. Any
 * thread; allocates nothing, so it serves strict mode. Where a file is missing (containers, emulators) the answer is
 * one package, one node, one cache. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined(__linux__)
#include <sys/syscall.h>
#endif

#include "env/topology.h"

int weft__read_small(const char *path, char *buf, size_t size)
{
    size_t have = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    while (have + 1 < size) {
        ssize_t n = read(fd, buf + have, size - 1 - have);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        have += (size_t)n;
    }
    close(fd);
    buf[have] = 0;
    return (int)have;
}

static int read_number(const char *path)
{
    char text[32];

    if (weft__read_small(path, text, sizeof text) <= 0)
        return -1;
    return atoi(text);
}

/* Marks the processors of a list such as "0-3,8" with a group number, for those we have. */
static void mark_list(const char *list, const weft_topology *t, uint16_t *group, uint16_t number)
{
    while (*list >= '0' && *list <= '9') {
        char *end;
        unsigned long first = strtoul(list, &end, 10), last = first;

        if (*end == '-')
            last = strtoul(end + 1, &end, 10);
        for (unsigned i = 0; i < t->count; i++)
            if (t->cpu[i] >= first && t->cpu[i] <= last)
                group[i] = number;
        list = *end == ',' ? end + 1 : end;
    }
}

static void read_packages(weft_topology *t)
{
    char path[96];

    for (unsigned i = 0; i < t->count; i++) {
        int id;

        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%u/topology/physical_package_id", t->cpu[i]);
        id = read_number(path);
        t->package[i] = id > 0 ? (uint16_t)id : 0;
    }
}

static void read_nodes(weft_topology *t)
{
    char path[64], list[1024];

    for (unsigned node = 0; node < 64; node++) {
        snprintf(path, sizeof path, "/sys/devices/system/node/node%u/cpulist", node);
        if (weft__read_small(path, list, sizeof list) < 0)
            break; /* numbers may have holes, but then hwloc is the better source */
        mark_list(list, t, t->numa, (uint16_t)node);
    }
}

/* The largest cache that the processor has: index3 where there is one, else index2. */
static int last_cache_list(unsigned cpu, char *list, size_t size)
{
    char path[96];

    for (unsigned index = 4; index >= 2; index--) {
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%u/cache/index%u/shared_cpu_list", cpu, index);
        if (weft__read_small(path, list, size) > 0)
            return 1;
    }
    return 0;
}

static void read_caches(weft_topology *t)
{
    uint8_t known[WEFT_CPU_MAX] = {0};
    uint16_t group = 0;
    char list[1024];

    for (unsigned i = 0; i < t->count; i++) {
        uint16_t marks[WEFT_CPU_MAX];

        if (known[i])
            continue;
        if (!last_cache_list(t->cpu[i], list, sizeof list)) {
            t->cache[i] = t->package[i];
            continue;
        }
        memset(marks, 0xff, sizeof marks);
        mark_list(list, t, marks, group);
        for (unsigned j = i; j < t->count; j++) {
            if (marks[j] == 0xffff)
                continue;
            t->cache[j] = group;
            known[j] = 1;
        }
        group++;
    }
}

/* Fills cpu[] and count from the affinity mask. */
static int read_mask(weft_topology *t)
{
#if defined(__linux__)
    unsigned long mask[65536 / 8 / sizeof(unsigned long)];
    const unsigned bits = 8 * sizeof mask[0];
    long n;

    memset(mask, 0, sizeof mask);
    n = syscall(SYS_sched_getaffinity, 0, sizeof mask, mask);
    if (n < 0)
        return -errno;
    for (unsigned cpu = 0; cpu < (unsigned)n * 8 && t->count < WEFT_CPU_MAX; cpu++)
        if (mask[cpu / bits] >> (cpu % bits) & 1)
            t->cpu[t->count++] = (uint16_t)cpu;
#else
    long n = sysconf(_SC_NPROCESSORS_ONLN);

    for (unsigned cpu = 0; n > 0 && cpu < (unsigned long)n && cpu < WEFT_CPU_MAX; cpu++)
        t->cpu[t->count++] = (uint16_t)cpu;
#endif
    return t->count > 0 ? 0 : -ENODEV;
}

int weft__topology_mask_count(void)
{
    weft_topology t;
    int r;

    t.count = 0;
    r = read_mask(&t);
    return r < 0 ? r : (int)t.count;
}

int weft__topology_system(weft_topology *out)
{
    weft_topology t;
    int r;

    memset(&t, 0, sizeof t);
    r = read_mask(&t);
    if (r < 0)
        return r;
    read_packages(&t);
    read_nodes(&t);
    read_caches(&t);
    t.cpus = t.count;
    t.source = "sched_getaffinity";
    *out = t;
    return 0;
}
