/* The echo server in the streaming form: a port of its own, no fiber and no buffer a connection. A connection at
 * rest is one receive under way, which the port answers with buffers of its own; what came goes back out of the
 * same buffer, which is then released.
 *
 *     stream-echo [PORT]    uring or epoll; else what WEFT_PORT says */
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <weft/weft.h>

#include "../controls/control.h"

enum { BATCH = 256 };

struct reply {
    weft_op op;
    struct conn *conn;
    weft_buffer buffer;
    uint32_t sent;
    struct reply *next;
};

struct conn {
    weft_op receive;
    weft_desc *desc;
    struct reply *first, *last; /* the first is on its way */
    int over;                   /* nothing more will come */
};

static weft_port *port;
static struct reply *spare;


static void must(const char *what, int r)
{
    if (r >= 0)
        return;
    fprintf(stderr, "stream-echo: %s: %s\n", what, weft_strerror(r));
    exit(1);
}

static void *get(size_t n)
{
    void *p = calloc(1, n);
    if (!p)
        die("memory");
    return p;
}

static void send_first(struct conn *c)
{
    struct reply *r = c->first;
    weft_op_send(&r->op, c->desc, (char *)r->buffer.data + r->sent, r->buffer.len - r->sent);
    must("send", weft_port_submit(port, &r->op));
}

/* Both ends are done with it. */
static void end_if_over(struct conn *c)
{
    if (!c->over || c->first)
        return;
    weft_port_detach(port, c->desc);
    free(c);
}

static void connected(weft_handle handle)
{
    struct conn *c = get(sizeof *c);
    must("attach", weft_port_attach(port, handle, WEFT_DESC_STREAM, 0, &c->desc));
    weft_op_recv_multi(&c->receive, c->desc, NULL);
    must("receive", weft_port_submit(port, &c->receive));
}

static void received(const weft_completion *done)
{
    struct conn *c = (struct conn *)(void *)done->op;
    if (!done->buffer.data) {
        c->over = 1;
        end_if_over(c);
        return;
    }
    struct reply *r = spare ? spare : get(sizeof *r);
    spare = r->next;
    r->conn = c;
    r->buffer = done->buffer;
    r->sent = 0;
    r->next = NULL;
    if (c->first) {
        c->last = c->last->next = r;
        return;
    }
    c->first = c->last = r;
    send_first(c);
}

static void drop(struct reply *r)
{
    weft_port_release(&r->buffer);
    r->next = spare;
    spare = r;
}

static void was_sent(const weft_completion *done)
{
    struct reply *r = (struct reply *)(void *)done->op;
    struct conn *c = r->conn;
    if (done->result > 0 && (r->sent += (uint32_t)done->result) < r->buffer.len) {
        send_first(c);
        return;
    }
    if (done->result <= 0 && !c->over) /* the peer is gone: the receive ends, too */
        weft_port_cancel(port, &c->receive);
    do {
        c->first = r->next;
        drop(r);
    } while (done->result <= 0 && (r = c->first));
    if (c->first)
        send_first(c);
    end_if_over(c);
}

int main(int argc, char **argv)
{
    static weft_completion done[BATCH];
    const weft_port_options options = {.driver = weft_driver_named(argc > 1 ? argv[1] : NULL)};
    weft_desc *listener;
    weft_op accept;
    const int fd = listen_somewhere(SOCK_NONBLOCK);
    must("port", weft_port_open(&port, &options));
    must("attach", weft_port_attach(port, fd, WEFT_DESC_LISTENER, 0, &listener));
    weft_op_accept_multi(&accept, listener, NULL);
    must("accept", weft_port_submit(port, &accept));
    for (;;) {
        const int n = weft_port_reap(port, done, BATCH, 1, WEFT_NEVER);
        must("reap", n);
        for (int i = 0; i < n; i++) {
            if (done[i].op->code == WEFT_OP_RECV)
                received(&done[i]);
            else if (done[i].op->code == WEFT_OP_SEND)
                was_sent(&done[i]);
            else if (done[i].result >= 0)
                connected((weft_handle)done[i].result);
            else
                must("accept", (int)done[i].result);
        }
    }
}
