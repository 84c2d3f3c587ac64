/* A whole small program, for counting its system calls: a connection to itself, something sent and received over it,
 * two timers, two files, two fibers.
 *
 *     bench-small            does all that
 *     bench-small nothing    returns at once: what the loader did is not the runtime's */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft/weft.h>

static void must(int64_t r)
{
    if (r < 0) {
        fprintf(stderr, "small: %s\n", weft_strerror((int)r));
        exit(1);
    }
}

static int peer(void *arg)
{
    weft_id conn;
    char text[16];
    must(weft_accept(*(weft_id *)arg, &conn, NULL, WEFT_NEVER));
    must(weft_read_all(conn, text, 5, NULL, WEFT_NEVER));
    must(weft_write_all(conn, text, 5, NULL, WEFT_NEVER));
    return 0;
}

static int waits(void *arg)
{
    (void)arg;
    return weft_sleep(weft_after(2 * WEFT_MILLISECOND));
}

static int start(int argc, char **argv)
{
    static const char *const names[] = {"/proc/self/comm", "/dev/null"};
    weft_id listener, conn, file, fiber[2];
    weft_addr addr;
    char text[64];
    (void)argc, (void)argv;
    must(weft_listen(&listener, "127.0.0.1:0", NULL));
    must(weft_local_addr(listener, &addr));
    must(weft_spawn(&fiber[0], peer, &listener));
    must(weft_spawn(&fiber[1], waits, NULL));
    must(weft_connect_addr(&conn, &addr, WEFT_NEVER));
    must(weft_write_all(conn, "hello", 5, NULL, WEFT_NEVER));
    must(weft_read_all(conn, text, 5, NULL, weft_after(WEFT_SECOND)));
    must(memcmp(text, "hello", 5) == 0 ? 0 : -5);
    must(weft_sleep(weft_after(WEFT_MILLISECOND)));
    for (int i = 0; i < 2; i++) {
        must(weft_open(&file, names[i], WEFT_OPEN_READ, 0, WEFT_NEVER));
        must(weft_pread(file, text, sizeof text, 0, WEFT_NEVER));
        must(weft_close(file));
    }
    for (int i = 0; i < 2; i++)
        must(weft_join(fiber[i], NULL, WEFT_NEVER));
    return 0;
}

int main(int argc, char **argv)
{
    weft_options opt = {.workers = 1};
    return argc > 1 ? 0 : weft_main(start, argc, argv, &opt);
}
