/* Many connections at once, all there before the first is served: the workers share them evenly, and of those that
 * each is to get, none is counted any more once they have come, or it is known that they will not. */
#include "cases.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>

#include "lane/realm.h"
#include "sched/sched.h"
#include "sched/spy.h"

enum { BURST = 64, LARGE = 600, MOST = LARGE };

static struct {
    weft_accept_options accept;
    weft_id listener;
    uint16_t port;
    int fd[MOST], clients;
    int begun; /* atomic */
    int met, done; /* of those that compute, with the other one, and in any case (atomic) */
    int ready; /* the crowd is at the door (atomic) */
    int crowd;
    spy *spy;  /* whose memory is to run out as they come; NULL: nobody's */
} burst;

/* Says where it is, and waits for the end. */
static int visits(void *arg)
{
    weft_conn *conn = arg;
    char c = (char)weft__worker_self()->index;
    weft_write_all(conn->id, &c, 1, NULL, WEFT_NEVER);
    __atomic_add_fetch(&burst.begun, 1, __ATOMIC_SEQ_CST);
    weft_read(conn->id, &c, 1, WEFT_NEVER);
    return 0;
}

static int begun(void) { return __atomic_load_n(&burst.begun, __ATOMIC_SEQ_CST); }

static void open_door(void)
{
    char text[WEFT_ADDR_TEXT];
    weft_addr at;
    burst.listener = listen_here(text);
    CHECK_OK(weft_local_addr(burst.listener, &at));
    burst.port = at.port;
}

/* They are not weft's, so that nothing but the server's lanes is at home anywhere; the backlog takes them. */
static void knock(int n)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(burst.port)};
    to.sin_addr.s_addr = htonl(test_loopback());
    __atomic_store_n(&burst.begun, 0, __ATOMIC_SEQ_CST);
    for (int i = 0; i < n; i++) {
        int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        CHECK(s >= 0);
        CHECK_EQ(connect(s, (struct sockaddr *)&to, sizeof to), 0);
        burst.fd[burst.clients++] = s;
    }
}

static void hang_up(int fd)
{
    const struct linger at_once = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once); /* leaves no port in TIME_WAIT */
    close(fd);
}

static void all_hang_up(void)
{
    while (burst.clients > 0)
        hang_up(burst.fd[--burst.clients]);
}

static int accepting(void *arg)
{
    (void)arg;
    weft_accept_each(burst.listener, visits, &burst.accept);
    return 0;
}

static void wait_for(int n)
{
    while (begun() < n)
        CHECK_OK(weft_sleep(weft_after(WEFT_MILLISECOND)));
}

static void nobody_is_to_come(void)
{
    weft_runtime *rt = weft_current();
    for (unsigned i = 0; i < rt->workers; i++)
        CHECK_EQ(__atomic_load_n(&rt->worker[i]->coming, __ATOMIC_SEQ_CST), 0);
}

/* ---- who gets how many ---- */

static uint32_t load_of(unsigned worker)
{
    weft_worker_stats s;
    CHECK_OK(weft_runtime_worker(weft_current(), worker, &s));
    return s.load;
}

/* What placement promises: nobody gets one more once he has clearly more than another, which is by 4 and an eighth. */
static void all_have_their_share(void)
{
    weft_runtime *rt = weft_current();
    uint32_t fewest = UINT32_MAX, most = 0;
    char text[512] = "";
    if (rt->mode == WEFT_PER_CORE)
        return; /* the kernel shares out what comes */
    for (unsigned i = rt->first_cpu_worker; i < rt->workers; i++) {
        uint32_t n = load_of(i);
        fewest = n < fewest ? n : fewest;
        most = n > most ? n : most;
        snprintf(text + strlen(text), sizeof text - strlen(text), " %u", (unsigned)n);
    }
    if (most > fewest + 5 + fewest / 8)
        TEST_FAIL("of %d connections the workers have, with the lanes of the test:%s", burst.clients, text);
}

static uint32_t lanes(void) { return __atomic_load_n(&weft__lanes_of(weft_current())->alive, __ATOMIC_SEQ_CST); }

/* Lanes are over some time after their connections, and count until then: the next burst is to find none. */
static void share_out(int n)
{
    weft_id fiber;
    const uint32_t before = lanes();
    open_door();
    knock(n);
    CHECK_OK(weft_spawn(&fiber, accepting, NULL));
    wait_for(n);
    all_have_their_share();
    nobody_is_to_come();
    all_hang_up();
    CHECK_OK(weft_cancel(fiber));
    CHECK_OK(weft_join(fiber, NULL, WEFT_NEVER));
    CHECK_OK(weft_close(burst.listener));
    while (lanes() > before)
        CHECK_OK(weft_sleep(weft_after(WEFT_MILLISECOND)));
}

static int a_burst_is_shared_out(void *arg)
{
    (void)arg;
    for (int i = 0; i < 5; i++)
        share_out(BURST);
    return 0;
}

static int a_large_burst_is_shared_out(void *arg)
{
    (void)arg;
    share_out(LARGE);
    return 0;
}

static int those_accepted_one_by_one_are_shared_out(void *arg)
{
    (void)arg;
    burst.accept.max_connections = 2 * BURST;
    for (int i = 0; i < 5; i++)
        share_out(BURST);
    return 0;
}


/* Those that one worker has end; the next ones go there. */
static int hang_up_on(unsigned worker)
{
    int kept = 0, gone = 0;
    const uint32_t before = load_of(worker);
    for (int i = 0; i < burst.clients; i++) {
        char at;
        CHECK_EQ(recv(burst.fd[i], &at, 1, MSG_PEEK), 1);
        if ((unsigned)at == worker)
            hang_up(burst.fd[i]), gone++;
        else
            burst.fd[kept++] = burst.fd[i];
    }
    burst.clients = kept;
    while (load_of(worker) > before - (unsigned)gone) /* their lanes are over some time later */
        CHECK_OK(weft_sleep(weft_after(WEFT_MILLISECOND)));
    return gone;
}

static int a_burst_goes_where_others_have_ended(void *arg)
{
    (void)arg;
    weft_runtime *rt = weft_current();
    weft_id fiber;
    if (rt->mode != WEFT_SHARED)
        return 0; /* elsewhere it is the next one's turn */
    open_door();
    CHECK_OK(weft_spawn(&fiber, accepting, NULL));
    knock(BURST);
    wait_for(BURST);
    for (unsigned i = 0; i < rt->workers; i++) {
        int gone = hang_up_on(i);
        knock(gone);
        wait_for(gone);
        all_have_their_share();
    }
    all_hang_up();
    CHECK_OK(weft_cancel(fiber));
    CHECK_OK(weft_join(fiber, NULL, WEFT_NEVER));
    nobody_is_to_come();
    return 0;
}

/* ---- who may be stolen ---- */

/* Gives its worker back when the other one has begun, or at last. */
static int computes(void *arg)
{
    const int64_t end = weft_after(WEFT_SECOND);
    (void)arg;
    __atomic_add_fetch(&burst.begun, 1, __ATOMIC_SEQ_CST);
    while (begun() < 2 && weft_now() < end)
        sched_yield();
    __atomic_add_fetch(&burst.met, weft_now() < end, __ATOMIC_SEQ_CST);
    __atomic_add_fetch(&burst.done, 1, __ATOMIC_SEQ_CST);
    return 0;
}

static int accepting_what_computes(void *arg)
{
    (void)arg;
    weft_accept_each(burst.listener, computes, &burst.accept);
    return 0;
}

/* Two stay where they were accepted, and yet the other worker takes one: unless that one came so much earlier that it
 * had begun, which is why it is tried again. */
static int two_that_compute_do_so_side_by_side(void *arg)
{
    (void)arg;
    if (weft_current()->mode == WEFT_PER_CORE)
        return 0;
    for (int tries = 0; tries < 20 && __atomic_load_n(&burst.met, __ATOMIC_SEQ_CST) < 2; tries++) {
        weft_id fiber;
        burst.met = burst.done = 0;
        open_door();
        knock(2);
        CHECK_OK(weft_spawn(&fiber, accepting_what_computes, NULL));
        while (__atomic_load_n(&burst.done, __ATOMIC_SEQ_CST) < 2)
            CHECK_OK(weft_sleep(weft_after(WEFT_MILLISECOND)));
        all_hang_up();
        CHECK_OK(weft_cancel(fiber));
        CHECK_OK(weft_join(fiber, NULL, WEFT_NEVER));
        CHECK_OK(weft_close(burst.listener));
    }
    CHECK_EQ(burst.met, 2);
    return 0;
}

/* ---- those that never come ---- */

static int serves_a_crowd(void *arg)
{
    open_door();
    knock(burst.crowd);
    if (burst.spy) /* but for what the accept loop itself needs */
        __atomic_store_n(&burst.spy->fail_maps_from, spy_get(&burst.spy->map_calls) + 3, __ATOMIC_SEQ_CST);
    __atomic_store_n(&burst.ready, 1, __ATOMIC_SEQ_CST);
    return accepting(arg);
}

static weft_id server(void)
{
    weft_id lane;
    __atomic_store_n(&burst.ready, 0, __ATOMIC_SEQ_CST);
    CHECK_OK(weft_lane_spawn_with(&lane, serves_a_crowd, NULL, .pinned = 1));
    while (!__atomic_load_n(&burst.ready, __ATOMIC_SEQ_CST))
        CHECK_OK(weft_yield());
    return lane;
}

/* The lane that accepts ends while they come, each time a little later. */
static void end_while_they_come(int (*end)(weft_id lane))
{
    burst.crowd = BURST;
    for (int i = 0; i < 40; i++) {
        weft_id lane = server();
        for (const int64_t then = weft_after(i * 10 * WEFT_MICROSECOND); weft_now() < then;)
            CHECK_OK(weft_yield());
        CHECK_OK(end(lane));
        CHECK_OK(weft_lane_join(lane, NULL, WEFT_NEVER));
        nobody_is_to_come();
        all_hang_up();
    }
}

static int killed_before_birth_they_are_counted_off(void *arg)
{
    (void)arg;
    end_while_they_come(weft_kill);
    return 0;
}

static int cancelled_before_birth_they_are_counted_off(void *arg)
{
    (void)arg;
    burst.accept.drain_ns = 1;
    end_while_they_come(weft_cancel);
    return 0;
}

static const test_case cases[] = {
    CASE(a_burst_is_shared_out), CASE(a_large_burst_is_shared_out), CASE(those_accepted_one_by_one_are_shared_out),
    CASE(a_burst_goes_where_others_have_ended), CASE(two_that_compute_do_so_side_by_side),
    CASE(killed_before_birth_they_are_counted_off), CASE(cancelled_before_birth_they_are_counted_off)};

/* More than there is room for: what is beyond it is refused as its lane is made, or ends as it is born. */
static int a_crowd_comes(void *arg)
{
    (void)arg;
    weft_id lane = server();
    while (!begun())
        CHECK_OK(weft_sleep(weft_after(WEFT_MILLISECOND)));
    for (int seen = -1; seen != begun() || !seen;) {
        seen = begun();
        CHECK_OK(weft_sleep(weft_after(30 * WEFT_MILLISECOND)));
    }
    if (burst.spy)
        __atomic_store_n(&burst.spy->fail_maps_from, 0, __ATOMIC_SEQ_CST);
    CHECK(begun() < burst.crowd);
    CHECK_OK(weft_kill(lane));
    CHECK_OK(weft_lane_join(lane, NULL, WEFT_NEVER));
    nobody_is_to_come();
    all_hang_up();
    return 0;
}

static const test_case crowd_case = CASE(a_crowd_comes);

static void come_in_crowds(void)
{
    const struct {
        const char *name;
        weft_options options;
        int crowd, starved;
    } scenes[] = {
        {.name = "lanes", .options = {.max_lanes = 20}, .crowd = BURST},
        {.name = "fibers", .options = {.max_fibers = 20}, .crowd = BURST},
        {.name = "ids", .options = {.max_ids = 24}, .crowd = BURST},
        {.name = "memory", .crowd = LARGE, .starved = 1},
    };
    static spy s;
    for (size_t i = 0; i < sizeof scenes / sizeof *scenes; i++) {
        weft_options opt = scenes[i].options;
        opt.workers = 2;
        opt.blocked_ns = -1;
        opt.env = spy_open(&s);
        fprintf(stderr, "%s: ", scenes[i].name);
        burst.crowd = scenes[i].crowd;
        burst.spy = scenes[i].starved ? &s : NULL;
        run_case(&crowd_case, &opt);
        spy_close(&s);
    }
    burst.spy = NULL;
}

/* The runtime is told to end while they come, each time a little later. */
static void stopped_runtimes(void)
{
    fprintf(stderr, "stopped_runtimes\n");
    burst.crowd = BURST;
    for (int i = 0; i < 40; i++) {
        const weft_options opt = {.workers = 2, .grace_ns = i % 2 ? 1 : 0};
        weft_runtime *rt;
        CHECK_OK(weft_start(&rt, &opt));
        __atomic_store_n(&burst.ready, 0, __ATOMIC_SEQ_CST);
        CHECK_OK(weft_lane_spawn_in(rt, NULL, serves_a_crowd, NULL, NULL));
        while (!__atomic_load_n(&burst.ready, __ATOMIC_SEQ_CST))
            sched_yield();
        for (const int64_t end = weft_after(i * 10 * WEFT_MICROSECOND); weft_now() < end;)
            ;
        CHECK_OK(weft_stop(rt));
        CHECK_OK(weft_wait(rt, WEFT_NEVER));
        for (unsigned w = 0; w < rt->workers; w++)
            CHECK_EQ(__atomic_load_n(&rt->worker[w]->coming, __ATOMIC_SEQ_CST), 0);
        CHECK_OK(weft_end(rt));
        all_hang_up();
    }
}

int main(int argc, char **argv)
{
    for (unsigned workers = 2; workers <= 4; workers += 2)
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
            if (argc < 2 || strcmp(argv[1], cases[i].name) == 0) {
                const weft_options opt = {.workers = workers, .blocked_ns = -1};
                burst.accept = (weft_accept_options){0};
                run_case(&cases[i], &opt);
            }
    burst.accept = (weft_accept_options){0};
    if (argc < 2) {
        come_in_crowds();
        stopped_runtimes();
    }
    return 0;
}
