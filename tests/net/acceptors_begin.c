/* The acceptors of a loop begin all, or it says why not: none is missing for good because connections that another one
 * had let in took what it needed to be born, and none is missing in silence. */
#include "cases.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>

#include "sched/sched.h"

enum { CROWD = 80, STACKS = 20 };

static struct {
    int port;     /* 0: not listening yet (atomic) */
    int busy;     /* the worker that computes, and 1; 0: none yet (atomic) */
    int go;       /* it may end (atomic) */
    int served;   /* connections that had a handler (atomic) */
    int workers;  /* that had one of them, a bit each (atomic) */
    int parked;   /* fibers that have a stack, and keep it */
} scene;

static int get(int *value) { return __atomic_load_n(value, __ATOMIC_SEQ_CST); }

static void wait_for(int *value, int least)
{
    while (get(value) < least)
        sched_yield();
}

/* ---- the server ---- */

static int computes(void *arg)
{
    (void)arg;
    __atomic_store_n(&scene.busy, (int)weft__worker_self()->index + 1, __ATOMIC_SEQ_CST);
    wait_for(&scene.go, 1);
    weft_sleep(WEFT_NEVER); /* and keeps its stack */
    return 0;
}

static int serve(void *arg)
{
    weft_conn *conn = arg;
    char c;
    __atomic_or_fetch(&scene.workers, 1 << weft__worker_self()->index, __ATOMIC_SEQ_CST);
    __atomic_add_fetch(&scene.served, 1, __ATOMIC_SEQ_CST);
    return (int)weft_read(conn->id, &c, 1, WEFT_NEVER);
}

static int accepting(void *arg)
{
    weft_id l;
    weft_addr at;
    (void)arg;
    CHECK_OK(weft_listen(&l, test_address(), NULL));
    CHECK_OK(weft_local_addr(l, &at));
    __atomic_store_n(&scene.port, at.port, __ATOMIC_SEQ_CST);
    weft_accept_each(l, serve, NULL);
    return 0;
}

/* ---- its clients ---- */

static int dial(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)get(&scene.port))};
    to.sin_addr.s_addr = htonl(test_loopback());
    int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(s >= 0);
    if (connect(s, (struct sockaddr *)&to, sizeof to) != 0)
        TEST_FAIL("connect: %s", strerror(errno));
    return s;
}

/* ---- cases ---- */

static uint64_t born_on(weft_runtime *rt, unsigned worker)
{
    weft_worker_stats s;
    CHECK_OK(weft_runtime_worker(rt, worker, &s));
    return s.lanes_born;
}

/* One worker computes while the other one's acceptor has a crowd at its door that takes all the stacks there are.
 * Once it is done both accept. */
static void the_late_one_is_not_missing(void)
{
    const weft_options opt = {.workers = 2, .blocked_ns = -1, .stacks_committed = STACKS};
    const weft_lane_options lane = {.detached = 1};
    weft_runtime *rt;
    int s[CROWD];
    fprintf(stderr, "the_late_one_is_not_missing\n");
    memset(&scene, 0, sizeof scene);
    CHECK_OK(weft_start(&rt, &opt));
    CHECK_OK(weft_lane_spawn_in(rt, NULL, computes, NULL, &lane));
    wait_for(&scene.busy, 1);
    CHECK_OK(weft_lane_spawn_in(rt, NULL, accepting, NULL, &lane)); /* the other worker's turn */
    wait_for(&scene.port, 1);
    for (int i = 0; i < CROWD; i++)
        s[i] = dial();
    for (const int64_t end = weft_after(200 * WEFT_MILLISECOND); get(&scene.served) < STACKS - 3 && weft_now() < end;)
        sched_yield(); /* all but the three who compute, listen and accept: time enough to do wrong */
    __atomic_store_n(&scene.go, 1, __ATOMIC_SEQ_CST);
    while (rt->mode == WEFT_PER_CORE && born_on(rt, (unsigned)get(&scene.busy) - 1) < 2)
        sched_yield();
    wait_for(&scene.served, 1);
    for (int i = 0; i < CROWD; i++)
        close(s[i]);
    for (const int64_t end = weft_after(20 * WEFT_SECOND); rt->mode == WEFT_PER_CORE && get(&scene.workers) != 3;) {
        CHECK(weft_now() < end);
        close(dial());
    }
    CHECK_OK(weft_end(rt));
}

static int parks(void *arg)
{
    (void)arg;
    scene.parked++;
    return weft_sleep(WEFT_NEVER);
}

/* All stacks are taken, and a fiber that finds none ends at once: the loop has no acceptor. */
static int none_is_an_error(void *arg)
{
    weft_id l;
    (void)arg;
    scene.parked = 0;
    CHECK_OK(weft_listen(&l, test_address(), NULL));
    for (int i = 0; i < STACKS; i++)
        CHECK_OK(weft_spawn_with(NULL, parks, NULL, .detached = 1));
    while (scene.parked < STACKS - 1)
        CHECK_OK(weft_yield());
    CHECK_EQ(weft_accept_each(l, serve, NULL), -ENOMEM);
    CHECK_OK(weft_cancel(weft_lane_self()));
    return 0;
}

int main(void)
{
    const weft_options few = {.workers = 2, .stacks_committed = STACKS};
    const test_case none = CASE(none_is_an_error);
    alarm(100);
    the_late_one_is_not_missing();
    run_case(&none, &few);
    return 0;
}
