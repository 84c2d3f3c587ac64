/* weft_pollable and weft_run_once: a runtime inside somebody else's event loop, here a plain poll(2) loop that also
 * watches a pipe of its own. One descriptor says when there is something to do; no thread is started. */
#include <poll.h>
#include <stdio.h>
#include <unistd.h>
#include <weft/weft.h>

/* A lane that talks to the loop's pipe the way any old code would. */
static int tick(void *arg)
{
    int fd = *(int *)arg;
    for (int i = 0; i < 5; i++) {
        int r = weft_sleep(weft_after(2 * WEFT_MILLISECOND));
        if (r < 0)
            return r;
        if (write(fd, "t", 1) != 1)
            return -1;
    }
    return write(fd, "q", 1) == 1 ? 0 : -1;
}

/* In milliseconds for poll: rounded up, so that it does not wake up too early for nothing. */
static int until(int64_t next_ns)
{
    if (next_ns == WEFT_NEVER)
        return -1;
    int64_t left = next_ns - weft_now();
    return left <= 0 ? 0 : (int)((left + WEFT_MILLISECOND - 1) / WEFT_MILLISECOND);
}

/* The loop that was there before: it ends when a 'q' comes through the pipe. */
static int loop(weft_runtime *rt, weft_handle weft_fd, int pipe_fd)
{
    struct pollfd fds[2] = {{.fd = (int)weft_fd, .events = POLLIN}, {.fd = pipe_fd, .events = POLLIN}};
    for (;;) {
        int64_t next;
        int more;
        while ((more = weft_run_once(rt, WEFT_NOW, &next)) > 0)
            ;
        if (more < 0)
            return more;
        if (poll(fds, 2, until(next)) < 0)
            return -1;
        char c;
        if (fds[1].revents && read(pipe_fd, &c, 1) == 1) {
            putchar(c);
            if (c == 'q')
                return 0;
        }
    }
}

int main(void)
{
    weft_options opt = {.external_workers = 1, .workers = 1, .mode = WEFT_SHARED};
    weft_runtime *rt;
    weft_handle fd;
    int ends[2];
    if (pipe(ends) < 0)
        return 1;
    int r = weft_start(&rt, &opt);
    if (r < 0) {
        fprintf(stderr, "ways_in_loop: %s\n", weft_strerror(r));
        return 1;
    }
    weft_lane_options lane = {.copy = sizeof ends[1], .detached = 1};
    r = weft_lane_spawn_in(rt, NULL, tick, &ends[1], &lane);
    if (r == 0)
        r = weft_pollable(rt, &fd);
    if (r == 0)
        r = loop(rt, fd, ends[0]);
    putchar('\n');
    if (r < 0)
        fprintf(stderr, "ways_in_loop: %s\n", weft_strerror(r));
    weft_stop(rt);
    while (weft_run_once(rt, weft_after(WEFT_SECOND), NULL) >= 0) /* until every lane has ended */
        ;
    weft_end(rt);
    return r < 0;
}
