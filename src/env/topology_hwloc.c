/* Owns the translation of hwloc's tree into the flat lists that placing workers needs. Any thread: each call builds and
 * drops a tree of its own. Builds without hwloc answer -ENOTSUP. */
#include <errno.h>
#include <string.h>

#include "env/topology.h"

#ifdef WEFT_HAVE_HWLOC

#include <hwloc.h>

/* The innermost cache that is shared widest, that is, the last level. */
static hwloc_obj_t last_cache(hwloc_obj_t pu)
{
    hwloc_obj_t found = NULL;

    for (hwloc_obj_t o = pu->parent; o; o = o->parent)
        if (o->type >= HWLOC_OBJ_L1CACHE && o->type <= HWLOC_OBJ_L5CACHE)
            found = o;
    return found;
}

static uint16_t package_of(hwloc_topology_t tree, hwloc_obj_t pu)
{
    hwloc_obj_t package = hwloc_get_ancestor_obj_by_type(tree, HWLOC_OBJ_PACKAGE, pu);

    return package ? (uint16_t)package->logical_index : 0;
}

/* Memory nodes are children of another kind: the one whose processors include ours. */
static uint16_t node_of(hwloc_topology_t tree, hwloc_obj_t pu)
{
    hwloc_obj_t node = NULL;

    while ((node = hwloc_get_next_obj_by_type(tree, HWLOC_OBJ_NUMANODE, node)) != NULL)
        if (hwloc_bitmap_isset(node->cpuset, pu->os_index))
            return (uint16_t)node->os_index;
    return 0;
}

/* Last-level groups are numbered as they come; a processor without a cache in the tree shares with its package. */
static uint16_t cache_of(hwloc_topology_t tree, hwloc_obj_t pu)
{
    hwloc_obj_t cache = last_cache(pu);
    uint16_t group = 0;

    if (!cache)
        return package_of(tree, pu);
    for (hwloc_obj_t o = NULL; (o = hwloc_get_next_obj_by_depth(tree, cache->depth, o)) != NULL && o != cache;)
        group++;
    return group;
}

static int flatten(hwloc_topology_t tree, hwloc_const_bitmap_t allowed, weft_topology *out)
{
    weft_topology t;

    memset(&t, 0, sizeof t);
    for (hwloc_obj_t pu = NULL; (pu = hwloc_get_next_obj_by_type(tree, HWLOC_OBJ_PU, pu)) != NULL && t.count < WEFT_CPU_MAX;) {
        if (allowed && !hwloc_bitmap_isset(allowed, pu->os_index))
            continue;
        t.cpu[t.count] = (uint16_t)pu->os_index;
        t.package[t.count] = package_of(tree, pu);
        t.numa[t.count] = node_of(tree, pu);
        t.cache[t.count] = cache_of(tree, pu);
        t.count++;
    }
    if (t.count == 0)
        return -ENODEV;
    t.cpus = t.count;
    *out = t;
    return 0;
}

/* Only what decides placement is looked for: a tree with devices costs many times more to build. */
static int build(hwloc_topology_t *out, const char *synthetic)
{
    hwloc_topology_t tree;

    if (hwloc_topology_init(&tree) != 0)
        return -ENOMEM;
    hwloc_topology_set_all_types_filter(tree, HWLOC_TYPE_FILTER_KEEP_STRUCTURE);
    hwloc_topology_set_io_types_filter(tree, HWLOC_TYPE_FILTER_KEEP_NONE);
    hwloc_topology_set_cache_types_filter(tree, HWLOC_TYPE_FILTER_KEEP_ALL);
    hwloc_topology_set_type_filter(tree, HWLOC_OBJ_PACKAGE, HWLOC_TYPE_FILTER_KEEP_ALL);
    if (synthetic && hwloc_topology_set_synthetic(tree, synthetic) != 0) {
        hwloc_topology_destroy(tree);
        return -EINVAL;
    }
    if (hwloc_topology_load(tree) != 0) {
        hwloc_topology_destroy(tree);
        return synthetic ? -EINVAL : -ENODEV;
    }
    *out = tree;
    return 0;
}

int weft__topology_hwloc(weft_topology *out)
{
    hwloc_topology_t tree;
    hwloc_bitmap_t mask = hwloc_bitmap_alloc();
    int r = mask ? build(&tree, NULL) : -ENOMEM;

    if (r == 0) {
        const int known = hwloc_get_cpubind(tree, mask, HWLOC_CPUBIND_THREAD) == 0;

        r = flatten(tree, known ? mask : NULL, out);
        if (r == 0)
            out->source = "hwloc";
        hwloc_topology_destroy(tree);
    }
    hwloc_bitmap_free(mask);
    return r;
}

int weft__topology_synthetic(weft_topology *out, const char *description)
{
    hwloc_topology_t tree;
    int r = build(&tree, description);

    if (r < 0)
        return r;
    r = flatten(tree, NULL, out);
    if (r == 0)
        out->source = "synthetic";
    hwloc_topology_destroy(tree);
    return r;
}

#else

int weft__topology_hwloc(weft_topology *out)
{
    (void)out;
    return -ENOTSUP;
}

int weft__topology_synthetic(weft_topology *out, const char *description)
{
    (void)out;
    (void)description;
    return -ENOTSUP;
}

#endif
