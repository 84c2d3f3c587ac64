/* Short connections in great number, one request each: afterwards not a descriptor, lane, fiber or op is left. With
 * an argument: how many. */
#include "cases.h"

#include <sys/socket.h>

enum { CLIENTS = 8 };

static struct {
    int connections; /* of each client */
    char address[WEFT_ADDR_TEXT];
    weft_id listener;
    int served;
} churn;

static int answer(void *arg)
{
    weft_id conn = *(weft_id *)arg;
    char buf[64];
    ssize_t n = weft_read(conn, buf, sizeof buf, SOON);
    if (n <= 0)
        return (int)n;
    __atomic_add_fetch(&churn.served, 1, __ATOMIC_SEQ_CST);
    return weft_write_all(conn, buf, (size_t)n, NULL, SOON);
}

static int accepting(void *arg)
{
    return weft_accept_each(churn.listener, answer, arg);
}

static int client(void *arg)
{
    (void)arg;
    for (int i = 0; i < churn.connections; i++) {
        weft_id sock;
        char out[16], in[16];
        snprintf(out, sizeof out, "%15d", i);
        CHECK_OK(weft_connect(&sock, churn.address, SOON));
        CHECK_OK(weft_write_all(sock, out, sizeof out, NULL, SOON));
        CHECK_OK(weft_read_all(sock, in, sizeof in, NULL, SOON));
        CHECK(memcmp(in, out, sizeof in) == 0);
        CHECK_OK(weft_sock_set(sock, WEFT_LINGER_S, 0)); /* leaves no port in TIME_WAIT */
        CHECK_OK(weft_close(sock));
    }
    return 0;
}

static void all_clients(const weft_accept_options *opt)
{
    weft_id fiber, lane[CLIENTS];
    int result;
    churn.served = 0;
    churn.listener = listen_here(churn.address);
    CHECK_OK(weft_spawn(&fiber, accepting, (void *)(uintptr_t)opt));
    for (int i = 0; i < CLIENTS; i++)
        CHECK_OK(weft_lane_spawn(&lane[i], client, NULL));
    for (int i = 0; i < CLIENTS; i++) {
        CHECK_OK(weft_lane_join(lane[i], &result, WEFT_NEVER));
        CHECK_EQ(result, 0);
    }
    CHECK_OK(weft_cancel(fiber));
    CHECK_OK(weft_join(fiber, &result, WEFT_NEVER));
    CHECK_EQ(result, 0);
    CHECK_EQ(churn.served, CLIENTS * churn.connections);
}

static int short_connections(void *arg)
{
    (void)arg;
    all_clients(NULL);
    return 0;
}

/* Fewer places than clients: each connection waits for its turn. */
static int short_connections_through_a_narrow_door(void *arg)
{
    (void)arg;
    weft_accept_options opt = {.max_connections = 3};
    int all = churn.connections;
    churn.connections = all / 10 + 1;
    all_clients(&opt);
    churn.connections = all;
    return 0;
}

static const test_case cases[] = {CASE(short_connections), CASE(short_connections_through_a_narrow_door)};

int main(int argc, char **argv)
{
    churn.connections = (argc > 1 ? atoi(argv[1]) : 2000) / CLIENTS;
    for (uint64_t round = 0; test_again(round, 1); round++)
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            run_case(&cases[i], NULL);
            alarm(0);
        }
    return 0;
}
