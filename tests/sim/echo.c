/* An echo of several clients over raw ops: the same seed gives the same run, other seeds other runs,
 * every byte comes back in all of them, and nothing is left behind. */
#include "world.h"

enum { PORT = 7000, CLIENTS = 3, BYTES = 3000 };

static void serve_one(actor *a)
{
    weft_desc d;
    char buf[500];
    int64_t n;

    weft__desc_init(&d, *(weft_handle *)a->arg, WEFT_DESC_STREAM);
    while ((n = receive(a, &d, buf, sizeof buf)) > 0)
        CHECK_EQ(send_all(a, &d, buf, (size_t)n), n);
    CHECK_EQ(n, 0);
    weft__desc_close(&a->port, &d);
}

static void server(actor *a)
{
    actor worker[CLIENTS];
    weft_handle handle[CLIENTS];
    weft_desc listener, d;

    CHECK_OK(listen_at(a, &listener, PORT, 2));
    for (int i = 0; i < CLIENTS; i++) {
        CHECK_OK(accept_from(a, &listener, &d));
        handle[i] = d.handle;
        actor_start(&worker[i], "serve", serve_one, &handle[i]);
    }
    weft__desc_close(&a->port, &listener);
    for (int i = 0; i < CLIENTS; i++)
        actor_join(&worker[i]);
}

static void writer(actor *a)
{
    weft_desc *d = a->arg;
    unsigned char out[BYTES];

    for (size_t i = 0; i < BYTES; i++)
        out[i] = pattern(i);
    CHECK_EQ(send_all(a, d, out, BYTES), BYTES);
}

static void client(actor *a)
{
    unsigned char buf[700];
    weft_desc d, writing;
    weft_op op;
    actor w;
    size_t got = 0;
    int64_t n;

    connect_when_there(a, &d, PORT);
    weft__desc_init(&writing, d.handle, WEFT_DESC_STREAM); /* a second record, so that each end has one home */
    actor_start(&w, "write", writer, &writing);
    while (got < BYTES) {
        n = receive(a, &d, buf, sizeof buf);
        CHECK(n > 0);
        for (int64_t i = 0; i < n; i++)
            CHECK_EQ(buf[i], pattern(got + (size_t)i));
        got += (size_t)n;
    }
    actor_join(&w);
    weft_op_shutdown(&op, &d, 1);
    CHECK_EQ(await(a, &op), 0);
    CHECK_EQ(receive(a, &d, buf, sizeof buf), 0);
    weft__desc_close(&a->port, &d);
}

static int program(void *arg)
{
    actor s, c[CLIENTS];

    (void)arg;
    actor_start(&s, "server", server, NULL);
    for (int i = 0; i < CLIENTS; i++)
        actor_start(&c[i], "client", client, NULL);
    for (int i = 0; i < CLIENTS; i++)
        actor_join(&c[i]);
    actor_join(&s);
    return 0;
}

static weft_sim_result run(uint64_t seed)
{
    weft_sim_result r;

    CHECK_EQ(weft_sim_run(&(weft_sim_options){.seed = seed, .max_time_ns = 3600 * WEFT_SECOND}, program, NULL, &r), 0);
    CHECK_EQ(r.threads_left, 0);
    CHECK_EQ(r.handles_left, 0);
    CHECK_EQ(r.ops_left, 0);
    return r;
}

int main(int argc, char **argv)
{
    const uint64_t seeds = argc > 1 ? strtoull(argv[1], NULL, 0) : 1000;
    uint64_t before = 0, same = 0;

    for (uint64_t seed = 1; test_again(seed - 1, seeds); seed++) {
        const weft_sim_result r = run(seed);

        if (seed <= 20) {
            const weft_sim_result again = run(seed);

            CHECK_EQ(r.hash, again.hash);
            CHECK_EQ(r.steps, again.steps);
            CHECK_EQ(r.time_ns, again.time_ns);
        }
        same += r.hash == before;
        before = r.hash;
    }
    CHECK(same == 0 || getenv("WEFT_SIM_SEED"));
    return 0;
}
