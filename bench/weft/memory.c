/* What N of something parked cost in memory, page tables included:
 * resident set and page tables before, and when all of them wait.
 *
 *     bench-memory fiber|lane N          prints bytes each */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft/weft.h>

static long here;

static void must(int r)
{
    if (r < 0) {
        fprintf(stderr, "memory: %s\n", weft_strerror(r));
        exit(1);
    }
}

/* The sum over the mappings is exact; the process's own counters may be off by some pages for each processor. */
static long field(const char *path, const char *name)
{
    char line[256];
    long kib = -1;
    FILE *f = fopen(path, "r");
    size_t n = strlen(name);
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, name, n) == 0)
            kib = atol(line + n);
    if (!f || kib < 0) {
        perror(path);
        exit(1);
    }
    fclose(f);
    return kib * 1024;
}

static long used(void) { return field("/proc/self/smaps_rollup", "Rss:") + field("/proc/self/status", "VmPTE:"); }

static int parks(void *arg)
{
    (void)arg;
    here++; /* one worker: nothing runs in parallel */
    return weft_park(WEFT_NEVER);
}

static int start(int argc, char **argv)
{
    long n = argc == 3 ? atol(argv[2]) : 0;
    int lanes = argc == 3 && strcmp(argv[1], "lane") == 0;
    if (n <= 0 || (!lanes && strcmp(argv[1], "fiber") != 0)) {
        fprintf(stderr, "memory fiber|lane N\n");
        return 2;
    }
    long before = used();
    for (long i = 0; i < n; i++)
        must(lanes ? weft_lane_spawn(NULL, parks, NULL) : weft_spawn(NULL, parks, NULL));
    while (here < n)
        must(weft_sleep(weft_after(WEFT_MILLISECOND)));
    printf("%ld\n", (used() - before) / n);
    fflush(stdout);
    exit(0);
}

int main(int argc, char **argv)
{
    weft_options opt = {.workers = 1, .blocked_ns = -1};
    return weft_main(start, argc, argv, &opt);
}
