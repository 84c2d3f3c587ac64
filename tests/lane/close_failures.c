/* A close that the system refuses has nobody left to be told, least of all when its lane has died: it is counted, by
 * kind, and everything else goes on as if it had succeeded. The failures are put in at the port's driver. */
#include "lane/estate.h"

#include "port/port.h"

static weft_port_driver failing;
static int (*real_close)(weft_port *port, weft_handle h);
static int broken, ready;

static int close_badly(weft_port *port, weft_handle h)
{
    const int r = real_close(port, h);
    return get(&broken) ? -EIO : r;
}

static uint64_t failures(enum weft_id_kind kind)
{
    weft_stats s;
    CHECK_OK(weft_runtime_stats(weft_current(), &s));
    return s.close_failures[kind];
}

static int has_some(void *arg)
{
    weft_id id, peer;
    weft_addr at;
    char text[WEFT_ADDR_TEXT];
    CHECK_OK(weft_open(&id, "/proc/self/status", WEFT_OPEN_READ, 0, SOON));
    CHECK_OK(weft_open(&id, "/proc/self/stat", WEFT_OPEN_READ, 0, SOON));
    CHECK_OK(weft_open(&id, "/proc/self", WEFT_OPEN_READ | WEFT_OPEN_DIRECTORY, 0, SOON));
    CHECK_OK(weft_listen(&id, test_address(), NULL));
    CHECK_OK(weft_local_addr(id, &at)); /* nothing is closed meanwhile: what is counted is what dies */
    weft_addr_format(&at, text, sizeof text);
    CHECK_OK(weft_connect(&peer, text, SOON));
    CHECK_OK(weft_accept(id, &peer, NULL, SOON));
    CHECK_OK(weft_timer_open(&id));
    put(&broken, *(int *)arg);
    put(&ready, 1);
    return weft_park(WEFT_NEVER);
}

static void dies(int breaks, int killed)
{
    const enum weft_id_kind kinds[] = {WEFT_ID_FILE, WEFT_ID_DIR, WEFT_ID_LISTENER, WEFT_ID_SOCKET, WEFT_ID_TIMER, WEFT_ID_FIBER};
    const uint64_t lost[] = {2, 1, 1, 2, 0, 0};
    uint64_t before[sizeof kinds / sizeof *kinds];
    weft_id lane;
    int r;
    put(&ready, 0);
    CHECK_OK(weft_lane_spawn_with(&lane, has_some, &breaks, .copy = sizeof breaks));
    while (!get(&ready))
        CHECK_OK(weft_sleep(weft_after(WEFT_MILLISECOND / 4)));
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        before[i] = failures(kinds[i]);
    CHECK_OK(killed ? weft_kill(lane) : weft_cancel(lane));
    CHECK_OK(weft_lane_join(lane, &r, soon()));
    CHECK_EQ(r, -ECANCELED); /* a close is no reason */
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (failures(kinds[i]) - before[i] != (breaks ? lost[i] : 0))
            TEST_FAIL("%llu failures of kind %d", (unsigned long long)(failures(kinds[i]) - before[i]), (int)kinds[i]);
    put(&broken, 0);
}

/* While it lives, too: weft_close does not wait. */
static void closes(void)
{
    const uint64_t before = failures(WEFT_ID_FILE);
    weft_id id;
    CHECK_OK(weft_open(&id, "/proc/self/status", WEFT_OPEN_READ, 0, SOON));
    put(&broken, 1);
    CHECK_OK(weft_close(id));
    while (failures(WEFT_ID_FILE) == before) /* in single-io mode the port is another thread's */
        CHECK_OK(weft_sleep(weft_after(WEFT_MILLISECOND / 4)));
    CHECK_EQ(failures(WEFT_ID_FILE), before + 1);
    put(&broken, 0);
}

static int start(int argc, char **argv)
{
    (void)argc, (void)argv;
    for (int i = 0; i < 4; i++)
        dies(i & 1, i & 2);
    closes();
    return 0;
}

int main(void)
{
    static spy s;
    const weft_port_driver *driver = weft_driver_named(NULL);
    if (!driver)
        driver = weft_driver_named("epoll");
    failing = *driver;
    real_close = failing.close_handle;
    failing.close_handle = close_badly;
    weft_options opt = {.workers = 2, .env = spy_open(&s), .driver = &failing, .blocked_ns = -1};
    CHECK_EQ(run_main_with(start, &opt), 0);
    SPY_SILENT(&s);
    spy_close(&s);
    return 0;
}
