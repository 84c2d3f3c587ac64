/* Owns the reading of control-group limits on processor time, versions 2 and 1. Any thread;
 * allocates nothing; Linux only.
 *
 * /proc/self/cgroup names the group below each hierarchy's root; /proc/self/mountinfo says which part of a
 * hierarchy is mounted where (a container sees its own group as the root). A limit on any ancestor holds too, so
 * the smallest on the way up counts. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "env/topology.h"

#define PATH_SIZE 1024

struct hierarchy {
    int version;
    char group[PATH_SIZE]; /* from /proc/self/cgroup */
    char mount[PATH_SIZE]; /* where the hierarchy is mounted */
    char top[PATH_SIZE];   /* what part of it is mounted there */
};

/* Whether a comma-separated list has the word. */
static int list_has(const char *list, size_t n, const char *word)
{
    const size_t length = strlen(word);

    for (size_t at = 0; at + length <= n;) {
        const char *comma = memchr(list + at, ',', n - at);
        const size_t end = comma ? (size_t)(comma - list) : n;

        if (end - at == length && memcmp(list + at, word, length) == 0)
            return 1;
        at = end + 1;
    }
    return 0;
}

static void copy(char *out, const char *from, size_t n)
{
    if (n >= PATH_SIZE)
        n = 0;
    memcpy(out, from, n);
    out[n] = 0;
}

/* Splits a line at blanks, in place; returns how many words there are. */
static int words(char *line, char **word, int max)
{
    int n = 0;

    for (char *save = NULL, *w = strtok_r(line, " ", &save); w && n < max; w = strtok_r(NULL, " ", &save))
        word[n++] = w;
    return n;
}

/* One line of mountinfo: id parent major:minor root mountpoint options [optional...] - fstype source superoptions */
static void see_mount(char *line, struct hierarchy *v1, struct hierarchy *v2)
{
    char *word[32];
    const int n = words(line, word, 32);
    int dash = 6;
    struct hierarchy *h = NULL;

    while (dash < n && strcmp(word[dash], "-") != 0)
        dash++;
    if (dash + 3 >= n)
        return;
    if (strcmp(word[dash + 1], "cgroup2") == 0)
        h = v2;
    else if (strcmp(word[dash + 1], "cgroup") == 0 && list_has(word[dash + 3], strlen(word[dash + 3]), "cpu"))
        h = v1;
    if (!h || h->mount[0])
        return;
    copy(h->top, word[3], strlen(word[3]));
    copy(h->mount, word[4], strlen(word[4]));
}

/* One line of cgroup: "0::/path" or "4:cpu,cpuacct:/path". */
static void see_group(const char *line, struct hierarchy *v1, struct hierarchy *v2)
{
    const char *first = strchr(line, ':'), *second = first ? strchr(first + 1, ':') : NULL;

    if (!second)
        return;
    if (second == first + 1)
        copy(v2->group, second + 1, strlen(second + 1));
    else if (list_has(first + 1, (size_t)(second - first) - 1, "cpu"))
        copy(v1->group, second + 1, strlen(second + 1));
}

struct lines {
    int fd;
    size_t have, used; /* of text: read, and handed out */
    char text[4 * PATH_SIZE];
};

/* The next line, terminated in place, or NULL. A line longer than the buffer comes in pieces,
 * none of which we care for. */
static char *next_line(struct lines *l)
{
    for (;;) {
        char *start = l->text + l->used, *end = memchr(start, '\n', l->have - l->used);
        ssize_t n;

        if (end) {
            *end = 0;
            l->used = (size_t)(end + 1 - l->text);
            return start;
        }
        memmove(l->text, start, l->have - l->used);
        l->have -= l->used;
        l->used = 0;
        if (l->have == sizeof l->text - 1)
            l->have = 0;
        n = read(l->fd, l->text + l->have, sizeof l->text - 1 - l->have);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return NULL;
        l->have += (size_t)n;
    }
}

static void read_groups(const char *root, struct hierarchy *v1, struct hierarchy *v2, int mounts)
{
    char path[PATH_SIZE];
    struct lines l;
    char *line;

    snprintf(path, sizeof path, "%s/proc/self/%s", root, mounts ? "mountinfo" : "cgroup");
    l.have = l.used = 0;
    l.fd = open(path, O_RDONLY | O_CLOEXEC);
    if (l.fd < 0)
        return;
    while ((line = next_line(&l)) != NULL) {
        if (mounts)
            see_mount(line, v1, v2);
        else
            see_group(line, v1, v2);
    }
    close(l.fd);
}

static double group_quota(const char *root, const struct hierarchy *h, const char *group)
{
    char path[4 * PATH_SIZE], text[64];
    double quota, period;

    if (h->version == 2) {
        snprintf(path, sizeof path, "%s%s%s/cpu.max", root, h->mount, group);
        if (weft__read_small(path, text, sizeof text) <= 0 || sscanf(text, "%lf %lf", &quota, &period) != 2)
            return 0; /* "max" */
    } else {
        snprintf(path, sizeof path, "%s%s%s/cpu.cfs_quota_us", root, h->mount, group);
        if (weft__read_small(path, text, sizeof text) <= 0 || sscanf(text, "%lf", &quota) != 1)
            return 0;
        snprintf(path, sizeof path, "%s%s%s/cpu.cfs_period_us", root, h->mount, group);
        if (weft__read_small(path, text, sizeof text) <= 0 || sscanf(text, "%lf", &period) != 1)
            return 0;
    }
    return quota > 0 && period > 0 ? quota / period : 0;
}

/* The smallest limit from the group up to the mounted root. */
static double walk_up(const char *root, const struct hierarchy *h)
{
    char group[PATH_SIZE];
    const size_t top = strlen(h->top);
    double least = 0;

    if (!h->mount[0])
        return 0;
    /* The mounted part starts at `top`: a group below it is looked up relative to it,
     * any other only at the mounted root. */
    if (top > 1 && strncmp(h->group, h->top, top) == 0)
        copy(group, h->group + top, strlen(h->group + top));
    else
        copy(group, h->group, top > 1 ? 0 : strlen(h->group));
    for (;;) {
        char *slash;
        double quota;

        while ((slash = strrchr(group, '/')) != NULL && slash[1] == 0)
            *slash = 0;
        quota = group_quota(root, h, group);
        if (quota > 0 && (least <= 0 || quota < least))
            least = quota;
        slash = strrchr(group, '/');
        if (!slash)
            return least;
        *slash = 0;
    }
}

double weft__cgroup_quota(const char *root)
{
    struct hierarchy v1 = {.version = 1}, v2 = {.version = 2};
    double a, b;

    read_groups(root, &v1, &v2, 0);
    read_groups(root, &v1, &v2, 1);
    a = walk_up(root, &v1);
    b = walk_up(root, &v2);
    if (a <= 0 || (b > 0 && b < a))
        return b;
    return a;
}
