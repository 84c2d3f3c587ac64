/* What becomes of a call whose descriptor a sibling closes while it waits for something else, and whose record is
 * another's by the time it goes on: it answers -ECANCELED, and the stranger is left alone. */
#include <netinet/in.h>
#include <sys/socket.h>

#include "cases.h"

typedef struct waiter {
    weft_id on;
    weft_id victim; /* cancelled as soon as this one's wait is over */
    int result;
    int began;
} waiter;

static int accepts(void *arg)
{
    waiter *w = arg;
    weft_id conn;
    w->began = 1;
    w->result = weft_accept(w->on, &conn, NULL, SOON);
    if (w->victim.gen)
        CHECK_OK(weft_cancel(w->victim));
    if (w->result == 0)
        CHECK_OK(weft_close(conn));
    return 0;
}

static int with_one_op_at_a_time(int (*fn)(void *))
{
    weft_limits one_op = {.ops = 1, .ops_wait = 1};
    weft_id lane;
    int result;
    CHECK_OK(weft_lane_spawn_with(&lane, fn, NULL, .limits = &one_op));
    CHECK_OK(weft_lane_join(lane, &result, SOON));
    return result;
}

/* Listens until the record of the closed id is used again; the port has to forget its descriptor before. What was used
 * last is used first, so those that came meanwhile are kept until then. */
static weft_id listen_in_place_of(weft_id gone, char text[WEFT_ADDR_TEXT])
{
    enum { MOST = 500, QUICK = 100 };
    static weft_id kept[MOST];
    for (int n = 0; n < MOST; n++) {
        weft_id l = listen_here(text);
        if (l.key == gone.key) {
            while (n-- > 0)
                CHECK_OK(weft_close(kept[n]));
            return l;
        }
        kept[n] = l;
        CHECK_OK(weft_sleep(weft_after((n < QUICK ? 1 : 50) * WEFT_MILLISECOND)));
    }
    TEST_FAIL("the record is not used again");
}

/* One op at a time: the second accept stands in line until the first has ended. */
static int in_line_for_an_op(void *arg)
{
    (void)arg;
    char text[WEFT_ADDR_TEXT];
    weft_id f[2], l = listen_here(text), closed = listen_here(text);
    waiter holds = {.on = l}, waits = {.on = closed};
    CHECK_OK(weft_spawn(&f[0], accepts, &holds));
    while (!holds.began)
        CHECK_OK(weft_yield());
    CHECK_OK(weft_spawn(&f[1], accepts, &waits));
    while (!waits.began)
        CHECK_OK(weft_yield());
    CHECK_OK(weft_close(closed));
    weft_id other = listen_in_place_of(closed, text);
    CHECK_OK(weft_close(l)); /* room for the one in line */
    CHECK_OK(weft_join(f[0], NULL, SOON));
    CHECK_EQ(holds.result, -ECANCELED);
    CHECK_OK(weft_join(f[1], NULL, SOON));
    CHECK_EQ(waits.result, -ECANCELED);
    waiter again = {.on = other}; /* the room came back */
    CHECK_OK(weft_spawn(&f[0], accepts, &again));
    CHECK_OK(weft_yield());
    CHECK_OK(weft_close(other));
    CHECK_OK(weft_join(f[0], NULL, SOON));
    CHECK_EQ(again.result, -ECANCELED);
    return 0;
}

static int an_op_is_not_started_on_a_stranger(void *arg)
{
    (void)arg;
    return with_one_op_at_a_time(in_line_for_an_op);
}

/* ---- cancelled while in line ---- */

/* Who was served in the line and then cancelled does not begin to wait for its op. */
static int cancelled_between_its_turn_and_its_op(void *arg)
{
    (void)arg;
    char text[WEFT_ADDR_TEXT];
    weft_id f[2], l = listen_here(text), other = listen_here(text);
    waiter holds = {.on = l}, waits = {.on = other};
    CHECK_OK(weft_spawn(&f[0], accepts, &holds));
    while (!holds.began)
        CHECK_OK(weft_yield());
    CHECK_OK(weft_spawn(&f[1], accepts, &waits));
    while (!waits.began)
        CHECK_OK(weft_yield());
    holds.victim = f[1];
    CHECK_OK(weft_cancel(f[0])); /* whose op's end is the other's turn; it runs on and cancels that before it runs */
    CHECK_OK(weft_join(f[0], NULL, SOON));
    CHECK_OK(weft_join(f[1], NULL, SOON));
    CHECK_EQ(waits.result, -ECANCELED);
    return 0;
}

static int a_cancel_in_line_is_not_lost(void *arg)
{
    (void)arg;
    return with_one_op_at_a_time(cancelled_between_its_turn_and_its_op);
}

/* ---- connecting ---- */

typedef struct connecter {
    char address[WEFT_ADDR_TEXT];
    int result;
} connecter;

static int connects(void *arg)
{
    connecter *c = arg;
    weft_id sock;
    c->result = weft_connect(&sock, c->address, SOON);
    return 0;
}

static int find_socket(weft_id *out)
{
    weft_id ids[16];
    int n = weft_id_list(ids, 16);
    CHECK_OK(n);
    for (int i = 0; i < n; i++)
        if (weft_id_kind(ids[i]) == WEFT_ID_SOCKET) {
            *out = ids[i];
            return 1;
        }
    return 0;
}

enum { FILLERS = 4 };

/* A listener of the system's that takes no more connections: who connects to it waits. */
static int full_listener(char text[WEFT_ADDR_TEXT], int fillers[FILLERS])
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(test_loopback())};
    socklen_t n = sizeof sa;
    int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(l >= 0);
    CHECK_EQ(bind(l, (struct sockaddr *)&sa, n), 0);
    CHECK_EQ(listen(l, 0), 0);
    CHECK_EQ(getsockname(l, (struct sockaddr *)&sa, &n), 0);
    for (int i = 0; i < FILLERS; i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        CHECK(fillers[i] >= 0);
        connect(fillers[i], (struct sockaddr *)&sa, sizeof sa);
    }
    snprintf(text, WEFT_ADDR_TEXT, "%s:%d", test_host(), ntohs(sa.sin_port));
    return l;
}

/* The connecting socket is nobody's secret; who closes it may use its record before the connecter runs again. */
static int connecting_closes_no_stranger(void *arg)
{
    (void)arg;
    connecter c;
    char text[WEFT_ADDR_TEXT];
    int fillers[FILLERS], l = full_listener(c.address, fillers);
    weft_id f, closed;
    weft_addr a;
    CHECK_OK(weft_spawn(&f, connects, &c));
    while (!find_socket(&closed))
        CHECK_OK(weft_yield());
    CHECK_OK(weft_close(closed));
    weft_id stranger = listen_in_place_of(closed, text);
    CHECK_OK(weft_join(f, NULL, SOON));
    CHECK_EQ(c.result, -ECANCELED);
    CHECK_OK(weft_local_addr(stranger, &a)); /* still open */
    CHECK_OK(weft_close(stranger));
    for (int i = 0; i < FILLERS; i++)
        close(fillers[i]);
    close(l);
    return 0;
}

int main(int argc, char **argv)
{
    static const test_case cases[] = {
        CASE(an_op_is_not_started_on_a_stranger),
        CASE(a_cancel_in_line_is_not_lost),
        CASE(connecting_closes_no_stranger),
    };
    return RUN(cases, argc, argv);
}
