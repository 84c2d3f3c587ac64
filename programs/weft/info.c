/*
 * `weft info`: what this machine and this build offer, and which path each operation takes and why. Runs on the main
 * thread; it opens stand-alone ports to ask them, and no runtime.
 */
#include "commands.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <weft/weft.h>

static const char *path_name(enum weft_path path)
{
    switch (path) {
    case WEFT_PATH_RING: return "ring";
    case WEFT_PATH_READY: return "readiness";
    case WEFT_PATH_POOL: return "pool";
    case WEFT_PATH_CALL: return "direct";
    case WEFT_PATH_SIM: return "simulator";
    case WEFT_PATH_NONE: break;
    }
    return "none";
}

static void print_build(void)
{
    struct utsname system;
    printf("weft        %s\n", weft_version());
#ifdef WEFT_COMPILER
    printf("built with  %s\n", WEFT_COMPILER);
#endif
    if (uname(&system) == 0)
        printf("system      %s %s, %s\n", system.sysname, system.release, system.machine);
#ifdef WEFT_SWITCH
    printf("switch      %s\n", WEFT_SWITCH);
#endif
#ifdef WEFT_BIND_DIRECT
    printf("tables      bound directly\n");
#else
    printf("tables      env and port through tables\n");
#endif
}

static void print_options(void)
{
    static const struct {
        const char *name, *means;
        bool on;
    } options[] = {
#ifdef WEFT_HAVE_URING
        {"uring", "the io_uring port", true},
#else
        {"uring", "the io_uring port", false},
#endif
#ifdef WEFT_HAVE_HWLOC
        {"hwloc", "topology by hwloc", true},
#else
        {"hwloc", "topology by hwloc; only the affinity mask is known", false},
#endif
#ifdef WEFT_HAVE_LLHTTP
        {"llhttp", "weft serve", true},
#else
        {"llhttp", "weft serve", false},
#endif
#ifdef WEFT_HAVE_VALGRIND
        {"valgrind", "stacks announced to Valgrind", true},
#else
        {"valgrind", "stacks announced to Valgrind", false},
#endif
#ifdef WEFT_CHECKED
        {"checked", "memory in flight is checked", true},
#else
        {"checked", "memory in flight is checked", false},
#endif
    };
    printf("\nat configure time\n");
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        printf("  %-10s %-4s %s\n", options[i].name, options[i].on ? "on" : "off", options[i].means);
}

static void print_paths(weft_port *port)
{
    for (int code = 0; code < WEFT_OP_COUNT; code++) {
        const char *why = "";
        enum weft_path path = weft_port_path(port, (enum weft_opcode)code, &why);
        printf("  %-10s %-10s %s\n", weft_op_name((enum weft_opcode)code), path_name(path), why != NULL ? why : "");
    }
}

/* Tries a port; prints its operations if it opens, and why not if it does not. Returns whether it opened. */
static bool print_port(const char *name, const weft_port_driver *driver)
{
    printf("\nport %s\n", name);
    if (driver == NULL) {
        printf("  not in this build\n");
        return false;
    }
    weft_port *port;
    weft_port_options options = {.driver = driver};
    int r = weft_port_open(&port, &options);
    if (r < 0) {
        printf("  does not open here: %s\n", r == -EPERM ? "refused by the system (seccomp or kernel.io_uring_disabled)"
                                                           : weft_strerror(r));
        return false;
    }
    print_paths(port);
    weft_port_close(port);
    return true;
}

static unsigned groups(const uint16_t *group, unsigned count)
{
    unsigned n = 0;
    for (unsigned i = 0; i < count; i++) {
        unsigned earlier = 0;
        while (earlier < i && group[earlier] != group[i])
            earlier++;
        n += earlier == i;
    }
    return n;
}

static void print_topology(void)
{
    const weft_env *env = weft_env_posix();
    static weft_topology t;
    printf("\ntopology\n");
    int r = env->topology != NULL ? env->topology(env->self, &t) : -ENOTSUP;
    if (r < 0) {
        printf("  not known: %s\n", weft_strerror(r));
        return;
    }
    printf("  processors    %u usable of %u in the affinity mask\n", t.cpus, t.count);
    if (t.quota > 0)
        printf("  cgroup quota  %.2f processors\n", t.quota);
    printf("  packages      %u\n  memory nodes  %u\n  last caches   %u\n", groups(t.package, t.count),
        groups(t.numa, t.count), groups(t.cache, t.count));
    printf("  told by       %s\n", t.source != NULL ? t.source : "nobody");
}

static void print_file_number(const char *path, const char *label)
{
    char text[64];
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return;
    if (fgets(text, sizeof text, f) != NULL) {
        text[strcspn(text, "\n")] = '\0';
        printf("  %-24s %s\n", label, text);
    }
    fclose(f);
}

static void print_rlimit(const struct rlimit *limit, const char *label)
{
    char soft[24] = "unlimited", hard[24] = "unlimited";
    if (limit->rlim_cur != RLIM_INFINITY)
        snprintf(soft, sizeof soft, "%llu", (unsigned long long)limit->rlim_cur);
    if (limit->rlim_max != RLIM_INFINITY)
        snprintf(hard, sizeof hard, "%llu", (unsigned long long)limit->rlim_max);
    printf("  %-24s %s, at most %s\n", label, soft, hard);
}

static void print_limits(void)
{
    printf("\nlimits\n");
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        print_rlimit(&limit, "descriptors");
    if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0)
        print_rlimit(&limit, "locked memory, bytes");
    print_file_number("/proc/sys/vm/max_map_count", "mappings");
    print_file_number("/proc/sys/net/core/somaxconn", "listen backlog");
    print_file_number("/proc/sys/kernel/io_uring_disabled", "io_uring_disabled");
    printf("  %-24s %ld\n", "page size, bytes", sysconf(_SC_PAGESIZE));
}

int command_info(int argc, char **argv)
{
    if (argc > 0 && (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0)) {
        printf("usage: weft info\n\nSays what this machine and this build offer, and how each operation is done.\n");
        return 0;
    }
    if (argc > 0) {
        fprintf(stderr, "weft info: unexpected argument '%s'\n", argv[0]);
        return 2;
    }
    print_build();
    print_options();
    bool uring = print_port("uring", weft_driver_uring());
    bool epoll = print_port("epoll", weft_driver_epoll());
    printf("\nauto is %s\n", uring ? "uring" : epoll ? "epoll" : "none: no port works here");
    print_topology();
    print_limits();
    return uring || epoll ? 0 : 1;
}
