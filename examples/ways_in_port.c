/* A port of one's own: completions without fibers, lanes or a runtime. This echoes what comes over a pair of sockets:
 * operations are submitted, and whoever reaps finds their results, each with the key of the descriptor it belongs to.
 */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <weft/port.h>

enum { ECHO = 1, CLIENT = 2 }; /* keys */

typedef struct side {
    weft_desc *desc;
    weft_op read, write;
    char buf[64];
} side;

/* What was read goes back, and then the next read is due. */
static int echo_step(weft_port *port, side *s, const weft_completion *c)
{
    if (c->op == &s->read) {
        if (c->result <= 0)
            return (int)c->result;
        weft_op_send(&s->write, s->desc, s->buf, (size_t)c->result);
        return weft_port_submit(port, &s->write);
    }
    weft_op_recv(&s->read, s->desc, s->buf, sizeof s->buf);
    return weft_port_submit(port, &s->read);
}

static int run(weft_port *port, side *echo, side *client)
{
    static const char text[] = "there and back";
    weft_op_recv(&echo->read, echo->desc, echo->buf, sizeof echo->buf);
    weft_op_recv(&client->read, client->desc, client->buf, sizeof client->buf);
    weft_op_send(&client->write, client->desc, text, sizeof text);
    int r = weft_port_submit(port, &echo->read);
    if (r == 0)
        r = weft_port_submit(port, &client->read);
    if (r == 0)
        r = weft_port_submit(port, &client->write);
    while (r == 0) {
        weft_completion done[4];
        /* Any thread may; it takes up to four, and waits for one. */
        int n = weft_port_reap(port, done, 4, 1, WEFT_NEVER);
        if (n < 0)
            return n;
        for (int i = 0; i < n && r == 0; i++) {
            if (done[i].key == ECHO)
                r = echo_step(port, echo, &done[i]);
            else if (done[i].result < 0)
                r = (int)done[i].result;
            else if (done[i].op == &client->read) {
                printf("%.*s\n", (int)done[i].result, client->buf);
                return strcmp(client->buf, text) == 0 ? 0 : -1;
            }
        }
    }
    return r;
}

/* Detaching cancels what is in flight; its end comes all the same and has to be reaped before the op's memory goes. */
static int finish(weft_port *port, side *echo, side *client)
{
    weft_completion done[4];
    weft_port_detach(port, echo->desc);
    weft_port_detach(port, client->desc);
    int r;
    while ((r = weft_port_close(port)) < 0)
        if (weft_port_reap(port, done, 4, 1, WEFT_NEVER) < 0)
            return r;
    return 0;
}

int main(void)
{
    int fd[2];
    weft_port *port;
    side echo = {0}, client = {0};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd) < 0)
        return 1;
    int r = weft_port_open(&port, NULL);
    if (r < 0) {
        fprintf(stderr, "ways_in_port: no port: %s\n", weft_strerror(r));
        return 1;
    }
    r = weft_port_attach(port, fd[0], WEFT_DESC_STREAM, ECHO, &echo.desc);
    if (r == 0)
        r = weft_port_attach(port, fd[1], WEFT_DESC_STREAM, CLIENT, &client.desc);
    if (r == 0)
        r = run(port, &echo, &client);
    int end = finish(port, &echo, &client);
    return r < 0 || end < 0;
}
