/* libuv's side of the jobs that it has a word for: timers. It speaks as the others do: "JOB N" is answered by "OPS WALL_NS". */
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

int main(void)
{
    char line[128], name[64];
    long n;
    uv_loop_t *loop = uv_default_loop();
    printf("ready libuv %s\n", uv_version_string());
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        if (sscanf(line, "%63s %ld", name, &n) == 2 && n > 0 && strcmp(name, "timer") == 0) {
            uint64_t begin = uv_hrtime();
            long ops = timer(loop, n);
            printf("%ld %llu\n", ops, (unsigned long long)(uv_hrtime() - begin));
        } else {
            puts("none");
        }
        fflush(stdout);
    }
    return 0;
}
