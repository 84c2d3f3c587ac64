/* A TCP echo server on libuv: replies are tried at once, as its users do who care,
 * and only what does not fit becomes a write request. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

enum { BUFFER = 65536 };

static char buffer[BUFFER]; /* one thread, and nothing stays in it beyond the callback */

typedef struct rest {
    uv_write_t request;
    char bytes[];
} rest;

static void closed(uv_handle_t *h) { free(h); }

static void written(uv_write_t *request, int status)
{
    uv_stream_t *s = request->handle;
    free(request);
    if (status < 0 && !uv_is_closing((uv_handle_t *)s))
        uv_close((uv_handle_t *)s, closed);
}

static void give_buffer(uv_handle_t *h, size_t suggested, uv_buf_t *out)
{
    (void)h, (void)suggested;
    *out = uv_buf_init(buffer, sizeof buffer);
}

static void received(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
    if (n < 0) {
        uv_close((uv_handle_t *)s, closed);
        return;
    }
    uv_buf_t out = uv_buf_init(buf->base, (unsigned)n);
    int sent = n > 0 ? uv_try_write(s, &out, 1) : 0;
    if (sent < 0)
        sent = 0;
    if (sent == n)
        return;
    size_t left = (size_t)(n - sent);
    rest *r = malloc(sizeof *r + left);
    if (!r)
        abort();
    memcpy(r->bytes, buf->base + sent, left);
    out = uv_buf_init(r->bytes, (unsigned)left);
    uv_write(&r->request, s, &out, 1, written);
}

static void connected(uv_stream_t *listener, int status)
{
    uv_tcp_t *conn = malloc(sizeof *conn);
    if (status < 0 || !conn)
        return;
    uv_tcp_init(listener->loop, conn);
    if (uv_accept(listener, (uv_stream_t *)conn) == 0) {
        uv_tcp_nodelay(conn, 1);
        uv_read_start((uv_stream_t *)conn, give_buffer, received);
    } else {
        uv_close((uv_handle_t *)conn, closed);
    }
}

int main(void)
{
    static uv_tcp_t listener;
    struct sockaddr_in addr;
    int length = sizeof addr;
    uv_loop_t *loop = uv_default_loop();
    uv_tcp_init(loop, &listener);
    uv_ip4_addr("127.0.0.1", 0, &addr);
    if (uv_tcp_bind(&listener, (struct sockaddr *)&addr, 0) < 0 || uv_listen((uv_stream_t *)&listener, 4096, connected) < 0)
        return 1;
    uv_tcp_getsockname(&listener, (struct sockaddr *)&addr, &length);
    printf("listening on 127.0.0.1:%d\n", ntohs(addr.sin_port));
    fflush(stdout);
    return uv_run(loop, UV_RUN_DEFAULT);
}
