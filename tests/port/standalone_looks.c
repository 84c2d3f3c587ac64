/* A port of one's own: when a look at the kernel may be left out, and when not. */
#include <errno.h>
#include <sys/socket.h>

#include "port/alone.h"

static weft_port_driver counted; /* the driver, with its enters counted */
static unsigned looks;
static weft_port *cancelled_at;
static weft_op *cancelled_in_look; /* once */

static void counted_enter(weft_port *port, int64_t deadline_ns)
{
    looks++;
    if (cancelled_in_look)
        CHECK_OK(weft_port_cancel(cancelled_at, cancelled_in_look));
    cancelled_in_look = NULL;
    weft_driver_named(NULL)->enter(port, deadline_ns);
}

static weft_port *open_counted(void)
{
    if (!weft_driver_named(NULL))
        SKIP("no driver named %s in this build", getenv("WEFT_PORT"));
    counted = *weft_driver_named(NULL);
    counted.enter = counted_enter;
    return alone_open(&(weft_port_options){.driver = &counted});
}

/* A connection whose receive waits at a port that counts. */
typedef struct conn {
    weft_port *port;
    weft_desc *desc;
    int peer;
    weft_op receive; /* of one byte, or of whatever comes */
    char in;
} conn;

static void open_receiving(conn *c, int streaming)
{
    c->port = open_counted();
    c->peer = alone_pair(c->port, 0, &c->desc);
    if (streaming)
        weft_op_recv_multi(&c->receive, c->desc, NULL);
    else
        weft_op_recv(&c->receive, c->desc, &c->in, 1);
    CHECK_OK(weft_port_submit(c->port, &c->receive));
    CHECK_EQ(weft_port_reap(c->port, &(weft_completion){0}, 1, 0, WEFT_NOW), 0);
}

static void peer_sends(conn *c) { CHECK_EQ(send(c->peer, "x", 1, 0), 1); }

static void close_conn(conn *c)
{
    CHECK_OK(weft_port_detach(c->port, c->desc));
    close(c->peer);
    alone_close(c->port);
}

/* Where calls are tried at once, a reply has ended before the kernel is asked again, and a buffer that comes back is no
 * reason not to wait. */
static void a_reply_needs_no_look(void)
{
    conn c;
    weft_op reply;
    char in;
    open_receiving(&c, 1);
    for (int i = 0; i < 10; i++) {
        peer_sends(&c);
        looks = 0;
        weft_completion got = alone_one(c.port);
        CHECK(got.op == &c.receive && got.more && got.result == 1);
        weft_op_send(&reply, c.desc, got.buffer.data, 1);
        CHECK_OK(weft_port_submit(c.port, &reply));
        weft_completion sent = alone_one(c.port);
        CHECK(sent.op == &reply && sent.result == 1);
        CHECK_EQ(recv(c.peer, &in, 1, 0), 1);
        weft_port_release(&got.buffer);
        if (counted.attempt)
            CHECK_EQ(looks, 1);
    }
    CHECK_OK(weft_port_cancel(c.port, &c.receive));
    CHECK_EQ(alone_one(c.port).result, -ECANCELED);
    close_conn(&c);
}

/* Who always has something of his own to reap hears of others all the same. */
static void own_results_hide_no_others(void)
{
    conn c;
    weft_op post;
    int posts = 0;
    open_receiving(&c, 0);
    peer_sends(&c);
    for (int64_t limit = alone_soon();; posts++) {
        weft_op_post(&post, 0);
        CHECK_OK(weft_port_submit(c.port, &post));
        weft_completion got[2];
        int n = weft_port_reap(c.port, got, 2, 1, limit);
        CHECK(n > 0);
        if (got[0].op == &c.receive || (n == 2 && got[1].op == &c.receive)) {
            if (n == 1)
                alone_one(c.port); /* the post */
            break;
        }
    }
    if (counted.attempt)
        CHECK(posts <= 2);
    close_conn(&c);
}

/* An op that ends while the request for its end is in the inbox is told of when that is run: nobody waits in the kernel
 * then. */
static void an_end_held_back_ends_the_wait(void)
{
    for (int i = 0; i < 20; i++) {
        conn c;
        open_receiving(&c, 0);
        peer_sends(&c);
        cancelled_at = c.port;
        cancelled_in_look = &c.receive;
        weft_completion got = alone_one(c.port);
        CHECK(got.op == &c.receive && (got.result == 1 || got.result == -ECANCELED));
        close_conn(&c);
    }
}

static const alone_case cases[] = {
    CASE(a_reply_needs_no_look),
    CASE(own_results_hide_no_others),
    CASE(an_end_held_back_ends_the_wait),
};

ALONE_MAIN(cases)
