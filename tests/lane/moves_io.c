/* A mobile lane moves while its fibers read, accept, stream and send files:
 * what they wait for comes where it is by then.
 *
 *     moves_io [CASE]      all but this one */
#include "lane/moving.h"

static const char *left_out;

/* ---- operations ---- */

typedef struct ends {
    weft_id a, b;
} ends;

static ends connected(void)
{
    ends e;
    weft_id l;
    weft_addr addr;
    char text[WEFT_ADDR_TEXT];

    CHECK_OK(weft_listen(&l, test_address(), NULL));
    CHECK_OK(weft_local_addr(l, &addr));
    weft_addr_format(&addr, text, sizeof text);
    CHECK_OK(weft_connect(&e.a, text, soon()));
    CHECK_OK(weft_accept(l, &e.b, NULL, soon()));
    CHECK_OK(weft_close(l));
    return e;
}

static int reads(void *arg)
{
    char buf[16];

    bump(&begun);
    return (int)weft_read(*(weft_id *)arg, buf, sizeof buf, soon());
}

static int reads_until(void *arg)
{
    char buf[16];

    bump(&begun);
    return (int)weft_read(*(weft_id *)arg, buf, sizeof buf, weft_after(20 * WEFT_MILLISECOND));
}

static int accepts(void *arg)
{
    weft_id conn;

    bump(&begun);
    CHECK_OK(weft_accept(*(weft_id *)arg, &conn, NULL, soon()));
    CHECK_OK(weft_close(conn));
    return 0;
}

static int while_reading(void *arg)
{
    (void)arg;
    for (int n = 0; n < OFTEN; n++) {
        const ends e = connected();
        weft_id f = sibling(reads, (void *)&e.b);
        tour();
        CHECK_EQ(weft_write(e.a, "hello", 5, soon()), 5);
        tour();
        CHECK_EQ(result_of(f), 5);
        f = sibling(reads_until, (void *)&e.b); /* its descriptor has stayed behind */
        tour();
        CHECK_EQ(result_of(f), -ETIMEDOUT);
        f = sibling(reads, (void *)&e.b);
        tour();
        CHECK_OK(weft_cancel(f));
        tour();
        CHECK_EQ(result_of(f), -ECANCELED);
        f = sibling(reads, (void *)&e.b);
        tour();
        CHECK_OK(weft_close(e.b));
        CHECK_EQ(result_of(f), -ECANCELED);
        CHECK_OK(weft_close(e.a));
    }
    return 0;
}

/* Between two operations nothing stays behind: the descriptor comes along. */
static int between_operations(void *arg)
{
    const ends e = connected();
    char buf[8];

    (void)arg;
    for (int n = 0; n < OFTEN; n++) {
        CHECK_EQ(weft_write(e.a, "ab", 2, soon()), 2);
        tour();
        CHECK_EQ(weft_read(e.b, buf, sizeof buf, soon()), 2);
        tour();
    }
    CHECK_OK(weft_close(e.a));
    CHECK_EQ(weft_read(e.b, buf, sizeof buf, soon()), 0);
    return 0;
}

static int while_accepting(void *arg)
{
    weft_id l, conn;
    weft_addr addr;
    char text[WEFT_ADDR_TEXT];

    (void)arg;
    CHECK_OK(weft_listen(&l, test_address(), NULL));
    CHECK_OK(weft_local_addr(l, &addr));
    weft_addr_format(&addr, text, sizeof text);
    for (int n = 0; n < OFTEN; n++) {
        const weft_id f = sibling(accepts, &l);
        tour();
        CHECK_OK(weft_connect(&conn, text, soon()));
        CHECK_EQ(result_of(f), 0);
        CHECK_OK(weft_close(conn));
    }
    return 0;
}

/* ---- lent buffers ---- */

static int streams(void *arg)
{
    const weft_id sock = *(weft_id *)arg;
    weft_buffer b;
    int sum = 0;

    bump(&begun);
    for (;;) {
        const ssize_t n = weft_read_buffer(sock, &b, soon());
        CHECK_OK(n);
        if (n == 0)
            return sum;
        sum += (int)n;
        CHECK_OK(weft_yield()); /* with the buffer in its hands */
        weft_port_release(&b);
    }
}

static int while_streaming(void *arg)
{
    (void)arg;
    for (int n = 0; n < OFTEN; n++) {
        const ends e = connected();
        const weft_id f = sibling(streams, (void *)&e.b);
        int sum = 0;
        for (int i = 0; i < 6; i++) {
            sum += (int)weft_write(e.a, "streaming", 9, soon());
            tour();
        }
        CHECK_EQ(sum, 54);
        CHECK_OK(weft_close(e.a));
        CHECK_EQ(result_of(f), 54);
        CHECK_OK(weft_close(e.b));
    }
    const ends e = connected(); /* and one that is closed while it is armed, far from its port */
    weft_buffer b;
    CHECK_EQ(weft_read_buffer(e.b, &b, WEFT_NOW), -ETIMEDOUT);
    tour();
    CHECK_EQ(weft_write(e.a, "x", 1, soon()), 1);
    CHECK_OK(weft_close(e.b));
    return 0;
}

/* ---- files ---- */

static int sends_file(weft_id sock, weft_id file)
{
    size_t done = 0;
    const int r = weft_sendfile(sock, file, 0, 100, &done, soon());

    return r < 0 ? r : (int)done;
}

static int with_files(void *arg)
{
    const ends e = connected();
    weft_id file;
    char buf[100];
    size_t done;

    (void)arg;
    CHECK_OK(weft_open(&file, "/proc/self/exe", WEFT_OPEN_READ, 0, soon()));
    CHECK_EQ(weft_pread(file, buf, sizeof buf, 0, soon()), (long long)sizeof buf);
    const weft_id f = sibling(reads, (void *)&e.a); /* keeps one of the two where it is */
    tour();
    CHECK_EQ(weft_pread(file, buf, sizeof buf, 0, soon()), (long long)sizeof buf);
    CHECK_EQ(sends_file(e.a, file), 100);
    tour();
    CHECK_EQ(sends_file(e.a, file), 100);
    CHECK_OK(weft_read_all(e.b, buf, sizeof buf, &done, soon()));
    CHECK_EQ(memcmp(buf, "\177ELF", 4), 0);
    CHECK_EQ(weft_write(e.b, "x", 1, soon()), 1);
    CHECK_EQ(result_of(f), 1);
    return 0;
}

static const test_case cases[] = {
    CASE(while_reading, 0), CASE(between_operations, 0), CASE(while_accepting, 0), CASE(while_streaming, 0), CASE(with_files, 0),
};

static int program(int argc, char **argv)
{
    (void)argc, (void)argv;
    run_cases(cases, sizeof cases / sizeof *cases, left_out);
    return 0;
}

int main(int argc, char **argv)
{
    left_out = argc > 1 ? argv[1] : NULL;
    run_clean(program, WORKERS);
    return 0;
}
