/* Why credits: a producer that blocks on a full buffer stalls for each item once its consumer is the slower one, for
 * each time there is room for one. With credits it stalls once for many items: it is let go when little is left to
 * deal with, and has the rest of the window at once. The buffers are the same.
 *
 * Three ways of moving ITEMS items from a producer to a slower consumer, each with room for WINDOW of them: a
 * channel of that size; the same channel with credits; a connection with credits. The second and third are shown
 * with grants for each item, too, which is as bad as the first (a connection may hold back a few and so be better).
 *
 *     credits       prints how often the producer stalled; ends with 0 if it did so less than half as often with
 *                   credits as without */
#include <errno.h>
#include <stdio.h>
#include <weft/weft.h>

enum { ITEMS = 2000, WINDOW = 64, LOW = 16 };

static weft_channel channel;
static weft_credit credit;
static long slots[WINDOW];
static unsigned stalls;

/* Its work takes as long as the others need to do all they can. */
static void work(void)
{
    weft_yield();
    weft_yield();
}

/* ---- a full buffer ---- */

static int fills(void *arg)
{
    (void)arg;
    for (long i = 0; i < ITEMS; i++) {
        int r = weft_channel_try_send(&channel, &i);
        if (r == -EAGAIN) {
            stalls++;
            r = weft_channel_send(&channel, &i, WEFT_NEVER);
        }
        if (r < 0)
            return r;
    }
    return weft_channel_close(&channel, 0);
}

static int drains(void *arg)
{
    long item;
    (void)arg;
    while (weft_channel_receive(&channel, &item, WEFT_NEVER) == 0)
        work();
    return 0;
}

/* ---- with credits ---- */

static int spends(void *arg)
{
    (void)arg;
    for (long i = 0; i < ITEMS; i++) {
        int r = weft_credit_spend(&credit, 1, WEFT_NOW);
        if (r == -ETIMEDOUT) {
            stalls++;
            r = weft_credit_spend(&credit, 1, WEFT_NEVER);
        }
        if (r == 0)
            r = weft_channel_try_send(&channel, &i); /* always room: the window is as large as the buffer */
        if (r < 0)
            return r;
    }
    return weft_channel_close(&channel, 0);
}

static int grants(void *arg)
{
    long item;
    (void)arg;
    while (weft_channel_receive(&channel, &item, WEFT_NEVER) == 0) {
        work();
        weft_credit_grant(&credit, 1);
    }
    return 0;
}

/* ---- over a connection ---- */

static size_t low_bytes;
static char address[WEFT_ADDR_TEXT];

static int writes(void *arg)
{
    weft_flow flow;
    weft_flow_info info;
    weft_id sock;
    char unused[1];
    (void)arg;
    int r = weft_connect(&sock, address, WEFT_NEVER);
    if (r < 0 || (r = weft_flow_open(&flow, sock, unused, sizeof unused, 0)) < 0)
        return r;
    for (long i = 0; i < ITEMS && r == 0; i++)
        r = weft_flow_write_all(&flow, &i, sizeof i, NULL, WEFT_NEVER);
    if (r == 0)
        r = weft_flow_finish(&flow, WEFT_NEVER);
    char byte;
    while (r == 0 && weft_flow_read(&flow, &byte, 1, WEFT_NEVER) > 0)
        ; /* until the peer has finished, too: it has read everything */
    weft_flow_look(&flow, &info);
    stalls = (unsigned)info.stalls;
    weft_flow_close(&flow);
    weft_close(sock);
    return r;
}

static int reads(weft_id listener)
{
    static long buffer[WINDOW];
    weft_flow flow;
    weft_id sock;
    long item, n = 0;
    int r = weft_accept(listener, &sock, NULL, WEFT_NEVER);
    if (r < 0 || (r = weft_flow_open(&flow, sock, buffer, sizeof buffer, low_bytes)) < 0)
        return r;
    for (size_t got = 0;;) {
        ssize_t k = weft_flow_read(&flow, (char *)&item + got, sizeof item - got, WEFT_NEVER);
        if (k <= 0)
            break;
        got = (got + (size_t)k) % sizeof item;
        if (got)
            continue;
        if (item != n++)
            r = -EPROTO;
        work();
    }
    if (r == 0)
        r = weft_flow_finish(&flow, WEFT_NEVER);
    weft_flow_close(&flow);
    weft_close(sock);
    return n == ITEMS ? r : -EPROTO;
}

/* ---- all of them ---- */

static int both(int (*producer)(void *), int (*consumer)(void *))
{
    weft_group g = WEFT_GROUP;
    stalls = 0;
    int r = weft_channel_init(&channel, sizeof(long), WINDOW, slots);
    if (r == 0)
        r = weft_group_run(&g, consumer, NULL);
    if (r == 0)
        r = weft_group_run(&g, producer, NULL);
    if (r == 0)
        r = weft_group_any_failure(&g, WEFT_NEVER);
    weft_group_end(&g);
    return r;
}

static int with_credits(size_t low)
{
    int r = weft_credit_init(&credit, WINDOW, low);
    return r < 0 ? r : both(spends, grants);
}

static int over_bytes(weft_id listener, size_t low)
{
    weft_group g = WEFT_GROUP;
    low_bytes = low;
    int r = weft_group_run(&g, writes, NULL), s = r < 0 ? r : reads(listener);
    r = s < 0 ? s : weft_group_all(&g, WEFT_NEVER);
    weft_group_end(&g);
    return r;
}

static int told(const char *what, int r)
{
    if (r < 0)
        fprintf(stderr, "%s: %s\n", what, weft_strerror(r));
    else
        printf("%-56s %5u stalls for %d items\n", what, stalls, ITEMS);
    return r;
}

static int start(int argc, char **argv)
{
    weft_id listener;
    weft_addr at;
    (void)argc, (void)argv;
    int r = weft_listen(&listener, "127.0.0.1:0", NULL);
    if (r < 0 || (r = weft_local_addr(listener, &at)) < 0)
        return r;
    weft_addr_format(&at, address, sizeof address);
    if ((r = told("a full buffer", both(fills, drains))) < 0)
        return r;
    unsigned full = stalls;
    if ((r = told("credits, each item granted by itself", with_credits(WINDOW - 1))) < 0)
        return r;
    if ((r = told("credits, granted when little is left", with_credits(LOW))) < 0)
        return r;
    unsigned few = stalls;
    if ((r = told("a connection, each item granted by itself", over_bytes(listener, sizeof slots - sizeof(long)))) < 0)
        return r;
    if ((r = told("a connection, granted when little is left", over_bytes(listener, LOW * sizeof(long)))) < 0)
        return r;
    return few * 2 < full && stalls * 2 < full ? 0 : 1;
}

int main(int argc, char **argv) { return weft_main(start, argc, argv, &(weft_options){.workers = 1}); }
