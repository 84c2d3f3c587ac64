/* A TCP echo server: one lane a connection, straight-line code, and no clean-up to forget.
 *
 *     echo [ADDRESS]        127.0.0.1:7000 unless said otherwise; WEFT_MODE and WEFT_PORT choose how it runs */
#include <stdio.h>
#include <weft/weft.h>

static int session(void *arg) /* one lane a connection; its death closes everything */
{
    weft_id conn = *(weft_id *)arg;
    char buf[4096];
    for (;;) {
        ssize_t n = weft_read(conn, buf, sizeof buf, weft_after(30 * WEFT_SECOND));
        if (n <= 0)
            return (int)n; /* 0: peer is done; <0: why */
        int r = weft_write_all(conn, buf, (size_t)n, NULL, WEFT_NEVER);
        if (r < 0)
            return r;
    }
}

static int start(int argc, char **argv)
{
    weft_id l;
    weft_addr a;
    char text[WEFT_ADDR_TEXT];
    int r = weft_listen(&l, argc > 1 ? argv[1] : "127.0.0.1:7000", NULL);
    if (r < 0)
        return r;
    if (weft_local_addr(l, &a) == 0 && weft_addr_format(&a, text, sizeof text)) {
        printf("listening on %s\n", text);
        fflush(stdout);
    }
    return weft_accept_each(l, session, NULL);
}

int main(int argc, char **argv) { return weft_main(start, argc, argv, NULL); }
