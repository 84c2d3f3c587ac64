/* The topology: the affinity mask is respected, the quota of control groups counts (both versions, nested, in a
 * container's view), a made-up machine is described as it was made up. */
#include <errno.h>
#include <sched.h>
#include <sys/stat.h>

#include "env/posix.h"
#include "env/topology.h"
#include "test.h"

static char root[] = "/tmp/weft-topology-XXXXXX";

static void put(const char *path, const char *text)
{
    char full[512];
    FILE *f;

    snprintf(full, sizeof full, "%s%s", root, path);
    for (char *slash = full + sizeof root; (slash = strchr(slash, '/')) != NULL; *slash++ = '/') {
        *slash = 0;
        CHECK(mkdir(full, 0700) == 0 || errno == EEXIST);
    }
    f = fopen(full, "we");
    CHECK(f);
    CHECK(fputs(text, f) >= 0);
    CHECK_EQ(fclose(f), 0);
}

static int near(double a, double b) { return a > b - 1e-9 && a < b + 1e-9; }

static void quotas(void)
{
    CHECK(near(weft__cgroup_quota(root), 0)); /* no files at all */

    /* Version 2: the smallest limit on the way up. */
    put("/proc/self/mountinfo", "30 23 0:27 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw\n");
    put("/proc/self/cgroup", "0::/a/b\n");
    CHECK(near(weft__cgroup_quota(root), 0));
    put("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
    CHECK(near(weft__cgroup_quota(root), 0));
    put("/sys/fs/cgroup/a/cpu.max", "250000 100000\n");
    CHECK(near(weft__cgroup_quota(root), 2.5));
    put("/sys/fs/cgroup/a/b/cpu.max", "50000 100000\n");
    CHECK(near(weft__cgroup_quota(root), 0.5));
    put("/sys/fs/cgroup/a/b/cpu.max", "300000 100000\n");
    CHECK(near(weft__cgroup_quota(root), 2.5));

    /* In a container the group's own folder is mounted as the root. */
    put("/proc/self/mountinfo", "30 23 0:27 /a/b /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n");
    put("/sys/fs/cgroup/cpu.max", "150000 100000\n");
    CHECK(near(weft__cgroup_quota(root), 1.5));

    /* Version 1, the controllers in any order, beside a version 2 without limits. */
    put("/proc/self/mountinfo", "29 23 0:26 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
                                "30 23 0:27 / /sys/fs/cgroup/cpu rw,nosuid shared:9 - cgroup cgroup rw,cpuacct,cpu\n"
                                "31 23 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
    put("/proc/self/cgroup", "9:cpuset:/x\n4:cpuacct,cpu:/job/1\n0::/\n");
    put("/sys/fs/cgroup/cpu/job/1/cpu.cfs_quota_us", "-1\n");
    put("/sys/fs/cgroup/cpu/job/1/cpu.cfs_period_us", "100000\n");
    CHECK(near(weft__cgroup_quota(root), 0));
    put("/sys/fs/cgroup/cpu/job/1/cpu.cfs_quota_us", "400000\n");
    CHECK(near(weft__cgroup_quota(root), 4));
    put("/sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "40000\n");
    put("/sys/fs/cgroup/cpu/job/cpu.cfs_period_us", "50000\n");
    CHECK(near(weft__cgroup_quota(root), 0.8));
    put("/sys/fs/cgroup/unified/cpu.max", "20000 100000\n");
    CHECK(near(weft__cgroup_quota(root), 0.2));
}

static void usable(void)
{
    CHECK_EQ(weft__topology_usable(8, 0), 8);
    CHECK_EQ(weft__topology_usable(8, 2), 2);
    CHECK_EQ(weft__topology_usable(8, 2.1), 3);
    CHECK_EQ(weft__topology_usable(8, 0.05), 1);
    CHECK_EQ(weft__topology_usable(2, 16), 2);
    CHECK_EQ(weft__topology_usable(0, 0), 1);
}

static void same_as_mask(const weft_topology *t)
{
    cpu_set_t mask;

    CHECK_EQ(sched_getaffinity(0, sizeof mask, &mask), 0);
    CHECK_EQ(t->count, CPU_COUNT(&mask));
    for (unsigned i = 0; i < t->count; i++)
        CHECK(CPU_ISSET(t->cpu[i], &mask));
    CHECK(t->cpus >= 1 && t->cpus <= t->count);
    CHECK(t->source && t->source[0]);
}

static void real(void)
{
    const weft_env *e = weft_env_posix();
    static weft_topology t, s;
    cpu_set_t mask;

    CHECK_EQ(sched_getaffinity(0, sizeof mask, &mask), 0);
    if (CPU_COUNT(&mask) > WEFT_CPU_MAX)
        SKIP("more processors than the description holds");
    CHECK_EQ(e->topology(NULL, &t), 0);
    same_as_mask(&t);
    CHECK_EQ(weft__topology_system(&s), 0);
    same_as_mask(&s);

    /* Bound to one processor, that is all there is; both sources say so. */
    CHECK_EQ(e->bind(NULL, NULL, 0), 0); /* it is not bound */
    CHECK_EQ(e->bind(NULL, &(uint16_t){UINT16_MAX}, 1), -EINVAL);
    CHECK_EQ(e->bind(NULL, &t.cpu[t.count - 1], 1), 0);
    CHECK_EQ(e->topology(NULL, &s), 0);
    CHECK_EQ(s.count, 1);
    CHECK_EQ(s.cpus, 1);
    CHECK_EQ(s.cpu[0], t.cpu[t.count - 1]);
    /* One processor is not worth a look at all of them. */
    CHECK(getenv("WEFT_TOPOLOGY") || strcmp(s.source, "hwloc") != 0);
    same_as_mask(&s);
    CHECK_EQ(weft__posix_topology_plain(NULL, &s), 0);
    same_as_mask(&s);
    CHECK_EQ(e->bind(NULL, NULL, 0), 0);
    CHECK_EQ(e->topology(NULL, &s), 0);
    CHECK_EQ(s.count, t.count);
}

static void made_up(void)
{
    const weft_env *e = weft_env_posix();
    static weft_topology t;
    const uint16_t absent = 15;
    const int r = weft__topology_pretend("pack:2 numa:1 l3:2 core:2 pu:2");

    if (r == -ENOTSUP) {
        puts("made-up machines: built without hwloc, not checked");
        return;
    }
    CHECK_EQ(r, 0);
    CHECK_EQ(e->topology(NULL, &t), 0);
    CHECK_EQ(t.cpus, 16);
    CHECK_EQ(t.count, 16);
    CHECK(strcmp(t.source, "synthetic") == 0);
    for (unsigned i = 0; i < 16; i++) {
        CHECK_EQ(t.cpu[i], i);
        CHECK_EQ(t.package[i], i / 8);
        CHECK_EQ(t.numa[i], i / 8);
        CHECK_EQ(t.cache[i], i / 4);
    }
    CHECK_EQ(e->bind(NULL, &absent, 1), 0); /* nothing is bound on a machine that is not there */
    CHECK_EQ(weft__topology_pretend("pack:2 core:4 pu:1"), 0);
    CHECK_EQ(e->topology(NULL, &t), 0);
    CHECK_EQ(t.count, 8);
    CHECK_EQ(t.cache[3], 0);
    CHECK_EQ(t.cache[4], 1); /* without caches the package is what is shared */
    CHECK_EQ(weft__topology_pretend("no such thing"), -EINVAL);
    CHECK_EQ(e->topology(NULL, &t), 0);
    CHECK_EQ(t.count, 8);
    CHECK_EQ(weft__topology_pretend(NULL), 0);
    CHECK_EQ(setenv("WEFT_TOPOLOGY", "synthetic:pack:1 core:3 pu:1", 1), 0);
    CHECK_EQ(e->topology(NULL, &t), 0);
    CHECK_EQ(t.count, 3);
    CHECK_EQ(setenv("WEFT_TOPOLOGY", "system", 1), 0);
    CHECK_EQ(e->topology(NULL, &t), 0);
    CHECK(strcmp(t.source, "sched_getaffinity") == 0);
    unsetenv("WEFT_TOPOLOGY");
}

int main(void)
{
    char command[128];

    CHECK(mkdtemp(root));
    quotas();
    snprintf(command, sizeof command, "rm -rf %s", root);
    CHECK_EQ(system(command), 0);
    usable();
    made_up();
    real();
    return 0;
}
