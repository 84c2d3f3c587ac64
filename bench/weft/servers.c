/* Servers for rows that `weft echo` does not fit, a lane a connection:
 *
 *     weft-servers sink|plain|mixed|skewed WORKERS PORT MODE
 *
 * sink    swallows, in buffers of the port's, and answers each MiB with one byte
 * plain   echo
 * mixed   echo; about one message in four costs 20 us of computing
 * skewed  echo; every message on each eighth connection costs 50 us, those of others nothing */
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft/weft.h>

enum { BUFFER = 65536, SMALL = 2048, MIB = 1 << 20, MIXED_ROUNDS = 10000, SKEWED_ROUNDS = 25000, EIGHTH = 8 };

static const char *kind;
static volatile uint64_t result; /* so that the computing is done */

/* Some 2 ns a round. */
static void compute(long rounds)
{
    uint64_t x = 88172645463325252ull;
    for (long i = 0; i < rounds; i++)
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
    result = x;
}

static int sink(void *arg)
{
    static const char acknowledge[64];
    weft_id conn = *(weft_id *)arg;
    size_t owed = 0;
    for (;;) {
        weft_buffer b;
        ssize_t n = weft_read_buffer(conn, &b, WEFT_NEVER);
        if (n <= 0)
            return (int)n;
        weft_port_release(&b);
        owed += (size_t)n;
        if (owed >= MIB) {
            int r = weft_write_all(conn, acknowledge, owed / MIB, NULL, WEFT_NEVER);
            if (r < 0)
                return r;
            owed %= MIB;
        }
    }
}

static int echo(void *arg)
{
    static atomic_uint visitors;
    weft_id conn = *(weft_id *)arg;
    unsigned number = atomic_fetch_add_explicit(&visitors, 1, memory_order_relaxed);
    int mixed = strcmp(kind, "mixed") == 0, heavy = strcmp(kind, "skewed") == 0 && number % EIGHTH == 0;
    char buf[SMALL];
    for (;;) {
        ssize_t n = weft_read(conn, buf, sizeof buf, WEFT_NEVER);
        if (n <= 0)
            return (int)n;
        if (heavy || (mixed && (buf[0] & 3) == 0))
            compute(heavy ? SKEWED_ROUNDS : MIXED_ROUNDS);
        int r = weft_write_all(conn, buf, (size_t)n, NULL, WEFT_NEVER);
        if (r < 0)
            return r;
    }
}

static int start(int argc, char **argv)
{
    (void)argc, (void)argv;
    weft_id listener;
    weft_addr addr;
    char text[WEFT_ADDR_TEXT];
    int r = weft_listen(&listener, "127.0.0.1:0", NULL);
    if (r < 0 || (r = weft_local_addr(listener, &addr)) < 0)
        return r;
    weft_addr_format(&addr, text, sizeof text);
    printf("listening on %s\n", text);
    fflush(stdout);
    return weft_accept_each(listener, strcmp(kind, "sink") == 0 ? sink : echo, NULL);
}

int main(int argc, char **argv)
{
    static const char *const modes[] = {[WEFT_SHARED] = "shared", [WEFT_SINGLE_IO] = "single-io", [WEFT_PER_CORE] = "per-core"};
    /* The buffers are sink's, and as many and as large as the ring control's. */
    weft_options opt = {.blocked_ns = -1, .port_config = {.buffer_size = BUFFER, .buffer_count = 64}};
    if (argc != 5)
        return 2;
    kind = argv[1];
    opt.workers = (unsigned)atoi(argv[2]);
    opt.port = argv[3];
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++)
        if (modes[i] && strcmp(argv[4], modes[i]) == 0)
            opt.mode = (enum weft_mode)i;
    return weft_main(start, argc, argv, &opt);
}
