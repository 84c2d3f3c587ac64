/* One operation of the core, repeated, for counting instructions: count NAME N. The driver (bind.py) runs it twice with different N, so that
 * start and end cancel out. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft/weft.h>

static long count;

static int yielder(void *arg)
{
    (void)arg;
    for (long i = 0; i < count / 2; i++)
        weft_yield();
    return 0;
}

static int empty(void *arg)
{
    (void)arg;
    return 0;
}

static void yields(void)
{
    weft_id f[2];
    for (int i = 0; i < 2; i++)
        weft_spawn(&f[i], yielder, NULL);
    for (int i = 0; i < 2; i++)
        weft_join(f[i], NULL, WEFT_NEVER);
}

static void spawns(void)
{
    for (long i = 0; i < count; i++) {
        weft_id f;
        if (weft_spawn(&f, empty, NULL) == 0)
            weft_join(f, NULL, WEFT_NEVER);
    }
}

static void lanes(void)
{
    for (long i = 0; i < count; i++) {
        weft_id l;
        if (weft_lane_spawn(&l, empty, NULL) == 0)
            weft_lane_join(l, NULL, WEFT_NEVER);
    }
}

static void deadlines(void)
{
    for (long i = 0; i < count; i++) {
        weft_unpark(weft_self());
        weft_park(weft_after(30 * WEFT_SECOND));
    }
}

static int echo_peer(void *arg)
{
    weft_id conn = *(weft_id *)arg;
    char byte;
    ssize_t n;
    while ((n = weft_read(conn, &byte, 1, weft_after(30 * WEFT_SECOND))) > 0)
        if (weft_write(conn, &byte, 1, WEFT_NEVER) < 0)
            break;
    return 0;
}

static int server(void *arg) { return weft_accept_each(*(weft_id *)arg, echo_peer, NULL); }

/* Both ends in one process and one worker: a round trip is two reads and two writes. */
static void echoes(void)
{
    weft_id listener, conn, fiber;
    weft_addr addr;
    char byte = 'x';
    if (weft_listen(&listener, "127.0.0.1:0", NULL) < 0 || weft_local_addr(listener, &addr) < 0)
        return;
    weft_spawn(&fiber, server, &listener);
    if (weft_connect_addr(&conn, &addr, WEFT_NEVER) < 0)
        return;
    for (long i = 0; i < count; i++)
        if (weft_write(conn, &byte, 1, WEFT_NEVER) != 1 || weft_read(conn, &byte, 1, WEFT_NEVER) != 1)
            abort();
    weft_close(conn);
    weft_cancel(fiber);
    weft_join(fiber, NULL, WEFT_NEVER);
}

static int start(int argc, char **argv)
{
    static const struct { const char *name; void (*run)(void); } ops[] = {{"yield", yields}, {"spawn", spawns}, {"deadline", deadlines},
        {"echo", echoes}, {"lane", lanes}};
    for (size_t i = 0; argc == 3 && i < sizeof ops / sizeof ops[0]; i++)
        if (!strcmp(argv[1], ops[i].name)) {
            count = atol(argv[2]);
            ops[i].run();
            return 0;
        }
    fprintf(stderr, "count yield|spawn|lane|deadline|echo N\n");
    return 2;
}

int main(int argc, char **argv)
{
    weft_options opt = {.workers = 1, .blocked_ns = -1};
    return weft_main(start, argc, argv, &opt);
}
