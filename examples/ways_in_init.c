/* weft_init: main() itself becomes a fiber. From there on it may wait like any other, and make lanes and sockets,
 * without handing the program over to a runtime first. Prints what it heard from itself. */
#include <stdio.h>
#include <weft/weft.h>

/* A lane of its own, possibly on another core; its socket is closed when it ends. */
static int greet(void *arg)
{
    const char *address = arg;
    weft_id sock;
    int r = weft_connect(&sock, address, weft_after(5 * WEFT_SECOND));
    return r < 0 ? r : weft_write_all(sock, "hello, main", 11, NULL, weft_after(5 * WEFT_SECOND));
}

static int listen_and_hear(void)
{
    weft_id listener, lane, sock;
    weft_addr addr;
    char text[WEFT_ADDR_TEXT], buf[32];
    int r = weft_listen(&listener, "127.0.0.1:0", NULL);
    if (r < 0)
        return r;
    weft_local_addr(listener, &addr);
    weft_addr_format(&addr, text, sizeof text);
    r = weft_lane_spawn(&lane, greet, text);
    if (r < 0)
        return r;
    r = weft_accept(listener, &sock, NULL, weft_after(5 * WEFT_SECOND)); /* main waits here, its core does not */
    if (r < 0)
        return r;
    ssize_t n = weft_read(sock, buf, sizeof buf, weft_after(5 * WEFT_SECOND));
    if (n < 0)
        return (int)n;
    printf("main heard: %.*s\n", (int)n, buf);
    int result;
    r = weft_lane_join(lane, &result, WEFT_NEVER);
    return r < 0 ? r : result;
}

int main(void)
{
    int r = weft_init(NULL);
    if (r == 0) {
        r = listen_and_hear();
        int end = weft_fini(weft_after(5 * WEFT_SECOND)); /* an ordinary thread again */
        if (r == 0)
            r = end;
    }
    if (r < 0)
        fprintf(stderr, "ways_in_init: %s\n", weft_strerror(r));
    return r < 0;
}
