/* Stacks in a process that has too little memory, by a memory cgroup: lazily committed ones take it down when fibers
 * that were admitted grow, pre-committed ones cannot (DESIGN rule 11). Each side is a process of its own; a cgroup
 * is made for it and removed again. */
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "lane/world.h"

#define LIMIT (64u << 20)
#define STACK (256u << 10)
enum { FIBERS = 512, COMMITTED = 96 }; /* 512 stacks are twice the limit, 96 are less than half of it */

/* ---- cgroups: the second version or the first ---- */

static char group[512];

static int write_text(const char *file, const char *text)
{
    char path[600];
    snprintf(path, sizeof path, "%s/%s", group, file);
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    const ssize_t n = write(fd, text, strlen(text));
    const int r = n < 0 ? -errno : 0;
    close(fd);
    return r;
}

/* Of /proc/self/cgroup: the path of our group in the hierarchy whose line begins so after its number. */
static int our_path(const char *controller, char *out, size_t size)
{
    char line[400];
    FILE *f = fopen("/proc/self/cgroup", "r");
    int found = 0;
    if (!f)
        return 0;
    while (!found && fgets(line, sizeof line, f)) {
        char *name = strchr(line, ':'), *path = name ? strchr(name + 1, ':') : NULL;
        if (!path)
            continue;
        *path++ = 0;
        path[strcspn(path, "\n")] = 0;
        if (strcmp(name + 1, controller) == 0) {
            snprintf(out, size, "%s", strcmp(path, "/") == 0 ? "" : path);
            found = 1;
        }
    }
    fclose(f);
    return found;
}

static int make_group(const char *root, const char *controller, const char *limit)
{
    char path[400], bytes[32];
    if (!our_path(controller, path, sizeof path))
        return -ENOENT;
    snprintf(group, sizeof group, "%s%s/weft-test-%d", root, path, (int)getpid());
    if (mkdir(group, 0755) < 0)
        return -errno;
    snprintf(bytes, sizeof bytes, "%u", LIMIT);
    const int r = write_text(limit, bytes);
    if (r < 0)
        rmdir(group);
    return r;
}

static void need_group(void)
{
    int r = make_group("/sys/fs/cgroup/memory", "memory", "memory.limit_in_bytes");
    if (r < 0)
        r = make_group("/sys/fs/cgroup", "", "memory.max");
    if (r < 0)
        SKIP("no memory cgroup may be made here: %s", strerror(-r));
    write_text("memory.swap.max", "0"); /* where there is such a thing */
    write_text("memory.oom.group", "1");
}

/* ---- the load ---- */

static int up, deep_enough;

static __attribute__((noinline)) void go_deep(void)
{
    volatile char all[STACK - (24u << 10)];
    for (size_t i = 0; i < sizeof all; i += 1024)
        all[sizeof all - 1 - i] = 1;
}

/* Shallow at first, and then as deep as its stack. */
static int grows(void *arg)
{
    (void)arg;
    bump(&up);
    CHECK_EQ(weft_park(WEFT_NEVER), 0);
    go_deep();
    bump(&deep_enough);
    return 0;
}

/* As many as there may be; then all of them grow. Answers how many there were. */
static int load(int argc, char **argv)
{
    static weft_id f[FIBERS];
    int n = 0, r, served = 0;
    (void)argc, (void)argv;
    for (; n < FIBERS; n++)
        if (weft_spawn(&f[n], grows, NULL) < 0)
            break;
    for (int i = 0; i < 4 * FIBERS && get(&up) < n; i++)
        CHECK_OK(weft_yield());
    for (int i = 0; i < n; i++)
        weft_unpark(f[i]);
    for (int i = 0; i < n; i++) {
        CHECK_OK(weft_join(f[i], &r, soon()));
        CHECK(r == 0 || r == -ENOMEM); /* one for whom there was no stack */
        served += r == 0;
    }
    CHECK_EQ(served, get(&deep_enough));
    return served;
}

/* Runs it in the group; what waitpid says. */
static int in_group(const weft_options *opt)
{
    int status;
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        char self[16];
        snprintf(self, sizeof self, "%d", (int)getpid());
        const int r = write_text("cgroup.procs", self);
        if (r < 0)
            _exit(r == -EACCES || r == -EPERM || r == -EBUSY || r == -EOPNOTSUPP ? 77 : 1);
        const int served = run_main_with(load, opt);
        _exit(served > 0 && served <= COMMITTED ? 42 : served > COMMITTED ? 43 : 1);
    }
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    return status;
}

int main(void)
{
    const weft_options lazy = {.workers = 1, .stack_size = STACK, .blocked_ns = -1};
    const weft_options committed = {.workers = 1, .stack_size = STACK, .stacks_committed = COMMITTED, .blocked_ns = -1};
    if (TEST_SANITIZED)
        SKIP("a sanitizer's own memory would be counted, too");
    alarm(50);
    need_group();
    const int hard = in_group(&committed), soft = in_group(&lazy);
    CHECK_EQ(rmdir(group), 0);
    if ((WIFEXITED(hard) && WEXITSTATUS(hard) == 77) || (WIFEXITED(soft) && WEXITSTATUS(soft) == 77))
        SKIP("no process may be put into a memory cgroup here");
    /* Nothing can go wrong: as many as there are stacks, each to its full depth; the others were refused. */
    if (!WIFEXITED(hard) || WEXITSTATUS(hard) != 42)
        TEST_FAIL("pre-committed stacks, with a limit of %u bytes: status %x", LIMIT, hard);
    /* What can: all were admitted, and the kernel ended the process when they grew. */
    if (!WIFSIGNALED(soft) || WTERMSIG(soft) != SIGKILL)
        TEST_FAIL("lazily committed stacks, with a limit of %u bytes: status %x", LIMIT, soft);
    return 0;
}
