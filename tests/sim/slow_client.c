/* What `weft serve` sends is waited for as long as the client takes something within each time-out, however little;
 * and no longer. In the simulator, so that being slow costs no time. */
#include <errno.h>

#include <weft/sim.h>

#include "../../programs/weft/send_file.h"
#include "test.h"

enum { SIZE = 100000, READ = 1000, SEEDS = 20 };
static const int64_t idle_ns = WEFT_SECOND;

typedef struct client {
    const char *server;
    size_t most, got;
} client;

static int reads_slowly(void *arg)
{
    client *c = arg;
    char buf[READ];
    ssize_t n = 1;
    weft_id s;
    CHECK_OK(weft_connect(&s, c->server, WEFT_NEVER));
    while (n > 0 && c->got < c->most) {
        CHECK_OK(weft_sleep(weft_after(idle_ns / 10)));
        n = weft_read(s, buf, sizeof buf, WEFT_NEVER);
        CHECK(n >= 0);
        c->got += (size_t)n;
    }
    if (n > 0)
        CHECK_OK(weft_sleep(weft_after(10 * idle_ns)));
    return weft_close(s);
}

static int serves(size_t most, int expected)
{
    char text[WEFT_ADDR_TEXT];
    weft_addr at;
    weft_id l, s, f, fiber;
    CHECK_OK(weft_open(&f, "/data", WEFT_OPEN_READ, 0, WEFT_NEVER));
    CHECK_OK(weft_listen(&l, "127.0.0.1:0", NULL));
    CHECK_OK(weft_local_addr(l, &at));
    CHECK(weft_addr_format(&at, text, sizeof text) < sizeof text);
    client c = {.server = text, .most = most};
    CHECK_OK(weft_spawn(&fiber, reads_slowly, &c));
    CHECK_OK(weft_accept(l, &s, NULL, WEFT_NEVER));
    const int64_t begun = weft_now();
    CHECK_EQ(send_file(s, f, 0, SIZE, idle_ns), expected);
    CHECK(weft_now() - begun > 2 * idle_ns || expected); /* many times what one of its calls may take */
    CHECK_OK(weft_close(s));
    CHECK_OK(weft_join(fiber, NULL, WEFT_NEVER));
    CHECK(expected ? c.got < SIZE : c.got == SIZE);
    CHECK_OK(weft_close(l));
    return weft_close(f);
}

static int start(int argc, char **argv)
{
    (void)argc, (void)argv;
    CHECK_OK(serves(SIZE_MAX, 0));
    return serves(READ, -ETIMEDOUT);
}

static int program(void *arg)
{
    static const char zeros[SIZE];
    (void)arg;
    CHECK_OK(weft_sim_file("/data", zeros, sizeof zeros));
    return weft_main(start, 0, NULL, &(weft_options){.workers = 1});
}

int main(void)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        CHECK_OK(weft_sim_run(&(weft_sim_options){.seed = seed, .socket_buffer = 4096}, program, NULL, NULL));
    return 0;
}
