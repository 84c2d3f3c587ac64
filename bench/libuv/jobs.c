/* libuv's side of the jobs that it has a word for: timers, and reads of a file by its pool. It speaks as the others do:
 * "JOB N" is answered by "OPS WALL_NS". */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

static void never(uv_timer_t *t)
{
    (void)t;
    abort();
}

/* One timer, used again: its storage is there already, as ours is. */
static long timer(uv_loop_t *loop, long n)
{
    uv_timer_t t;
    uv_timer_init(loop, &t);
    for (long i = 0; i < n; i++)
        if (uv_timer_start(&t, never, 30000 + (uint64_t)(i % 1000), 0) < 0 || uv_timer_stop(&t) < 0)
            abort();
    uv_close((uv_handle_t *)&t, NULL);
    uv_run(loop, UV_RUN_DEFAULT);
    return n;
}

/* All armed, then all stopped, the last one first. Storage is there from the first time on;
 * timers that are not armed cost the loop nothing. */
static long timers(uv_loop_t *loop, long n)
{
    static uv_timer_t *all;
    static long have;
    if (have < n) {
        all = have ? NULL : calloc((size_t)n, sizeof *all); /* handles may not move: one size a process */
        if (!all)
            abort();
        for (; have < n; have++)
            uv_timer_init(loop, &all[have]);
    }
    for (long i = 0; i < n; i++)
        if (uv_timer_start(&all[i], never, (uint64_t)(3600000 - i / 1000), 0) < 0)
            abort();
    for (long i = n; i > 0; i--)
        if (uv_timer_stop(&all[i - 1]) < 0)
            abort();
    return n;
}

/* ---- 4 KiB reads of a cached file at random places ---- */

enum { READERS = 32, BLOCK = 4096, BLOCKS = 16384 };

typedef struct reader {
    uv_fs_t request;
    uint64_t random, place;
    char block[BLOCK];
} reader;

static reader readers[READERS];
static long reads_left;
static uv_file file;

static void completed(uv_fs_t *request);

static void read_next(uv_loop_t *loop, reader *r)
{
    uv_buf_t buf = uv_buf_init(r->block, BLOCK);
    r->random ^= r->random << 13, r->random ^= r->random >> 7, r->random ^= r->random << 17;
    r->place = r->random % BLOCKS;
    if (uv_fs_read(loop, &r->request, file, &buf, 1, (int64_t)(r->place * BLOCK), completed) < 0)
        abort();
}

static void completed(uv_fs_t *request)
{
    reader *r = request->data;
    uint64_t found;
    memcpy(&found, r->block, sizeof found);
    if (request->result != BLOCK || found != r->place)
        abort();
    uv_fs_req_cleanup(request);
    if (reads_left > 0) {
        reads_left--;
        read_next(request->loop, r);
    }
}

static long read_4k(uv_loop_t *loop, long n)
{
    if (!file) {
        uv_fs_t request;
        file = uv_fs_open(loop, &request, getenv("BENCH_FILE"), O_RDONLY, 0, NULL);
        if (file < 0)
            abort();
        uv_fs_req_cleanup(&request);
    }
    reads_left = n;
    for (uint64_t i = 0; i < READERS && reads_left > 0; i++, reads_left--) {
        readers[i].request.data = &readers[i];
        if (!readers[i].random)
            readers[i].random = 0x9E3779B97F4A7C15ull * (i + 1);
        read_next(loop, &readers[i]);
    }
    uv_run(loop, UV_RUN_DEFAULT);
    return n;
}

int main(void)
{
    static const struct { const char *name; long (*run)(uv_loop_t *loop, long n); } jobs[] = {
        {"timer", timer}, {"timers", timers}, {"read-4k", read_4k}};
    char line[128], name[64];
    long n;
    uv_loop_t *loop = uv_default_loop();
    printf("ready libuv %s\n", uv_version_string());
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        long ops = 0;
        uint64_t begin = uv_hrtime();
        if (sscanf(line, "%63s %ld", name, &n) == 2 && n > 0)
            for (size_t i = 0; i < sizeof jobs / sizeof jobs[0]; i++)
                if (strcmp(name, jobs[i].name) == 0)
                    ops = jobs[i].run(loop, n);
        if (ops)
            printf("%ld %llu\n", ops, (unsigned long long)(uv_hrtime() - begin));
        else
            puts("none");
        fflush(stdout);
    }
    return 0;
}
