/* What the machine is: where the answer comes from. topology.c decides;
 * hwloc and the system's own files each answer in their own file. */
#ifndef WEFT_ENV_TOPOLOGY_H
#define WEFT_ENV_TOPOLOGY_H

#include <weft/env.h>

/* The affinity mask and what Linux tells in /sys (caches, packages, nodes). Allocates nothing. 0 or -errno. */
int weft__topology_system(weft_topology *out);

/* How many processors the affinity mask has, or -errno. */
int weft__topology_mask_count(void);

/* hwloc's view, restricted to the affinity mask. 0, -ENOTSUP where it was not built in, or another -errno. */
int weft__topology_hwloc(weft_topology *out);

/* A made-up machine in hwloc's words: "pack:2 core:4 pu:1". All of it may be used, nothing can be bound.
 * 0, -EINVAL, -ENOTSUP. */
int weft__topology_synthetic(weft_topology *out, const char *description);

/* From now on the environment's topology is this made-up one (NULL: the real one again). -errno as above. For tests. */
int weft__topology_pretend(const char *description);

/* The limit on processor time that the process's control groups set, in processors; 0 if none.
 * All files are looked up below `root`, which is "" outside tests. */
double weft__cgroup_quota(const char *root);

/* Applies a quota to a list of processors: how many of them are worth a worker, at least 1. */
unsigned weft__topology_usable(unsigned count, double quota);

/* Reads a small file into buf, terminated; its length or -errno. */
int weft__read_small(const char *path, char *buf, size_t size);

#endif
