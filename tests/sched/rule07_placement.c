/* Placement on machines that are made up (DESIGN rule 7 and section 4): how many workers, who is near whom, who is
 * bound where, and what a lane or a connection placed by load or by turn gets. */
#include "lane/world.h"
#include "sched/sched.h"

static weft_topology machine;
static uint64_t bound;
static int asked, bindings, unbound;

static int given_topology(void *self, weft_topology *out)
{
    (void)self;
    asked++;
    *out = machine;
    return 0;
}

static int noted_bind(void *self, const uint16_t *cpu, unsigned count)
{
    (void)self;
    if (count == 0) { /* as before */
        unbound++;
        return 0;
    }
    CHECK(!weft__worker_self()); /* nobody waits for it yet: it may have to wait for the processors itself */
    unsigned n = 0, first = 0;
    while (machine.cpu[first] != cpu[0])
        first++;
    for (unsigned i = 0; i < machine.count; i++)
        if (machine.cache[i] == machine.cache[first]) { /* all that share its cache, and no others */
            CHECK_EQ(machine.cpu[i], cpu[n++]);
            __atomic_or_fetch(&bound, (uint64_t)1 << i, __ATOMIC_SEQ_CST);
        }
    CHECK_EQ(count, n);
    bump(&bindings);
    return 0;
}

/* Packages of two caches of two processors each; numbers as odd as systems make them. */
static void make_machine(unsigned cpus)
{
    memset(&machine, 0, sizeof machine);
    machine.cpus = machine.count = cpus;
    machine.source = "synthetic";
    for (unsigned i = 0; i < cpus; i++) {
        machine.cpu[i] = (uint16_t)(3 * i + 1);
        machine.cache[i] = (uint16_t)(i / 2);
        machine.package[i] = (uint16_t)(i / 4);
        machine.numa[i] = machine.package[i];
    }
}

static weft_runtime *start(spy *s, enum weft_mode mode, unsigned workers)
{
    weft_options opt = {.mode = mode, .workers = workers, .blocked_ns = -1, .env = spy_open(s), .port = "epoll"};
    weft_runtime *rt;

    s->env.topology = given_topology;
    s->env.bind = noted_bind;
    bound = 0;
    bindings = 0;
    CHECK_OK(weft_start(&rt, &opt));
    return rt;
}

static int distance(unsigned a, unsigned b)
{
    a %= machine.count; /* more workers than processors share seats */
    b %= machine.count;
    return machine.cache[a] == machine.cache[b] ? 0 : machine.package[a] == machine.package[b] ? 1 : 2;
}

/* Every other worker once, nearest first, with the groups' ends where the distance changes. */
static void near_order(const weft_runtime *rt)
{
    const unsigned first = rt->first_cpu_worker;

    for (unsigned i = first; i < rt->workers; i++) {
        const weft__worker *w = rt->worker[i];
        uint64_t seen = 0;
        unsigned n = 0;

        for (unsigned group = 0; group < 3; group++)
            for (; n < w->near_ends[group]; n++) {
                CHECK(w->near[n] != i && w->near[n] >= first && w->near[n] < rt->workers);
                CHECK_EQ(distance(i - first, w->near[n] - first), (int)group);
                CHECK(!(seen >> w->near[n] & 1));
                seen |= (uint64_t)1 << w->near[n];
            }
        CHECK_EQ(n, rt->workers - first - 1);
        CHECK_EQ(w->near_ends[2], n);
    }
}

static void counts(void)
{
    static spy s;
    weft_info info;

    for (unsigned cpus = 1; cpus <= 8; cpus++) {
        make_machine(cpus);
        weft_runtime *rt = start(&s, WEFT_SHARED, 0);
        CHECK_OK(weft_runtime_info(rt, &info));
        CHECK_EQ(info.workers, cpus); /* as many as may be used */
        CHECK_EQ(info.cpus, cpus);
        CHECK(strcmp(info.topology, "synthetic") == 0);
        near_order(rt);
        CHECK_EQ(bound, 0); /* only per-core mode binds */
        CHECK_OK(weft_end(rt));
        spy_close(&s);
    }
}

/* A single worker that nobody binds has no use for the machine's description. */
static void not_asked(void)
{
    static spy s;
    weft_info info;

    make_machine(4);
    for (int m = WEFT_SHARED; m <= WEFT_PER_CORE; m++) {
        asked = 0;
        weft_runtime *rt = start(&s, (enum weft_mode)m, 1);
        CHECK_EQ(asked, m == WEFT_PER_CORE);
        CHECK_OK(weft_runtime_info(rt, &info));
        CHECK_EQ(info.workers, 1);
        CHECK_EQ(info.cpus, m == WEFT_PER_CORE ? 4 : 0);
        near_order(rt);
        CHECK_OK(weft_end(rt));
        spy_close(&s);
    }
}

static void binding(void)
{
    static spy s;

    make_machine(8);
    weft_runtime *rt = start(&s, WEFT_PER_CORE, 6);
    CHECK_EQ(bound, 0x3f);
    CHECK_EQ(bindings, 6);
    near_order(rt);
    CHECK_OK(weft_end(rt));
    spy_close(&s);
    make_machine(3); /* the last has a cache of its own */
    rt = start(&s, WEFT_PER_CORE, 3);
    CHECK_EQ(bound, 0x7);
    CHECK_EQ(bindings, 3);
    CHECK_OK(weft_end(rt));
    spy_close(&s);
    make_machine(2); /* both share one: there is nothing to choose */
    rt = start(&s, WEFT_PER_CORE, 2);
    CHECK_EQ(bindings, 0);
    CHECK_OK(weft_end(rt));
    spy_close(&s);
    make_machine(8);
    rt = start(&s, WEFT_PER_CORE, 12); /* more than there are: binding would only put them on top of each other */
    CHECK_EQ(bound, 0);
    CHECK_EQ(rt->workers, 12);
    near_order(rt);
    CHECK_OK(weft_end(rt));
    spy_close(&s);
    make_machine(4);
    rt = start(&s, WEFT_SINGLE_IO, 4);
    CHECK_EQ(rt->workers, 5);
    CHECK_EQ(rt->first_cpu_worker, 1);
    near_order(rt);
    CHECK_OK(weft_end(rt));
    spy_close(&s);
}

/* The program's own thread is a worker like the others, and gets back what it had. */
static void main_is_bound(void)
{
    static spy s;
    weft_options opt = {.mode = WEFT_PER_CORE, .workers = 2, .blocked_ns = -1, .env = spy_open(&s), .port = "epoll"};

    make_machine(4);
    s.env.topology = given_topology;
    s.env.bind = noted_bind;
    bound = 0;
    unbound = 0;
    CHECK_OK(weft_init(&opt));
    CHECK_EQ(bound, 0x3);
    CHECK_EQ(unbound, 0);
    CHECK_OK(weft_fini(WEFT_NEVER));
    CHECK_EQ(unbound, 1);
    bound = 0;
    opt.no_binding = 1;
    CHECK_OK(weft_init(&opt));
    CHECK_OK(weft_fini(WEFT_NEVER));
    CHECK_EQ(bound, 0);
    CHECK_EQ(unbound, 1);
    spy_close(&s);
}

static void bad_numbers(void)
{
    static spy s;
    weft_options opt = {.workers = WEFT__WORKERS_MAX, .env = spy_open(&s)};
    weft_runtime *rt = NULL;

    CHECK_EQ(weft_start(&rt, &opt), -EINVAL);
    CHECK(rt == NULL);
    SPY_SAYS(&s, "64");
    CHECK_EQ(weft_start(NULL, &opt), -EINVAL);
    spy_close(&s);
}

/* ---- where lanes go ---- */

static int homes[WEFT__WORKERS_MAX], homed;

static int note_home(void *arg)
{
    (void)arg;
    bump(&homes[weft__worker_self()->index]);
    bump(&homed);
    return 0;
}

static int children_here(void *arg)
{
    const unsigned me = weft__worker_self()->index;
    weft_id id;

    (void)arg;
    put(&homed, 0);
    memset(homes, 0, sizeof homes);
    for (int i = 0; i < 40; i++) {
        CHECK_OK(weft_lane_spawn(&id, note_home, NULL));
        CHECK_OK(weft_lane_join(id, NULL, WEFT_NEVER));
    }
    CHECK_EQ(homes[me], 40);
    return 0;
}

static void per_core_never_moves(void)
{
    static spy s;

    make_machine(4);
    weft_runtime *rt = start(&s, WEFT_PER_CORE, 4);
    put(&homed, 0);
    memset(homes, 0, sizeof homes);
    for (int i = 0; i < 40; i++)
        CHECK_OK(weft_lane_spawn_in(rt, NULL, note_home, NULL, NULL));
    until(&homed, 40);
    for (int i = 0; i < 4; i++)
        CHECK_EQ(homes[i], 10); /* by turns */
    CHECK_OK(weft_wait(rt, WEFT_NEVER));
    CHECK_OK(weft_lane_spawn_in(rt, NULL, children_here, NULL, NULL));
    CHECK_OK(weft_wait(rt, WEFT_NEVER));
    CHECK_OK(weft_end(rt));
    spy_close(&s);
}

static int pinned_children(void *arg)
{
    const unsigned me = weft__worker_self()->index;
    weft_id id[40];

    (void)arg;
    put(&homed, 0);
    memset(homes, 0, sizeof homes);
    for (int i = 0; i < 40; i++)
        CHECK_OK(weft_lane_spawn_with(&id[i], note_home, NULL, .pinned = 1));
    while (get(&homed) < 40) /* without a pause that would let others steal, had they a chance */
        CHECK_OK(weft_yield());
    for (int i = 0; i < 40; i++)
        CHECK_OK(weft_lane_join(id[i], NULL, WEFT_NEVER));
    CHECK_EQ(homes[me], 40);
    return 0;
}

static void pinned_stay(void)
{
    static spy s;

    make_machine(4);
    for (int m = WEFT_SHARED; m <= WEFT_PER_CORE; m++) {
        weft_runtime *rt = start(&s, (enum weft_mode)m, 4);
        CHECK_OK(weft_lane_spawn_in(rt, NULL, pinned_children, NULL, NULL));
        CHECK_OK(weft_wait(rt, WEFT_NEVER));
        CHECK_OK(weft_end(rt));
        spy_close(&s);
    }
}

/* ---- where connections go ---- */

enum { ACCEPTOR, OTHER, THIRD, WORKERS };

static weft_runtime made_up;
static weft__worker crew[WORKERS];

/* Where one goes that the first of three accepts, with so many lanes at home there, so many connections to come, and of
 * those to the first so many that others may take. -1: it does not go by load. */
static int goes(enum weft_mode mode, const unsigned load[WORKERS], const unsigned coming[WORKERS], unsigned loose,
                int *movable)
{
    memset(&made_up, 0, sizeof made_up);
    memset(crew, 0, sizeof crew);
    made_up.mode = mode;
    made_up.workers = WORKERS;
    for (unsigned i = 0; i < WORKERS; i++) {
        crew[i].rt = &made_up;
        crew[i].index = i;
        crew[i].load = load[i];
        crew[i].coming = coming[i];
        made_up.worker[i] = &crew[i];
    }
    crew[ACCEPTOR].coming += loose * WEFT__LOOSE;
    const weft__worker *at = weft__place_connection(&crew[ACCEPTOR], movable);
    return at ? (int)at->index : -1;
}

static void connections_go_by_load_and_by_what_is_to_come(void)
{
    static const struct {
        unsigned load[WORKERS], coming[WORKERS];
        int where;
    } cases[] = {
        {{2, 0, 0}, {0, 0, 0}, ACCEPTOR}, /* what woke here runs here */
        {{4, 0, 0}, {0, 0, 0}, ACCEPTOR},
        {{5, 0, 0}, {0, 0, 0}, OTHER},
        {{2, 0, 0}, {3, 0, 0}, OTHER},
        {{2, 0, 0}, {3, 1, 0}, THIRD},
        {{2, 0, 0}, {3, 1, 1}, ACCEPTOR},
        {{5, 1, 0}, {0, 0, 2}, ACCEPTOR},
        {{6, 1, 0}, {0, 0, 2}, OTHER},
        {{48, 40, 40}, {0, 0, 0}, ACCEPTOR}, /* 4 and an eighth more are not clearly more */
        {{49, 40, 40}, {0, 0, 0}, ACCEPTOR},
        {{50, 40, 40}, {0, 0, 0}, OTHER},
        {{30, 40, 40}, {20, 1, 0}, THIRD},
        {{0, 40, 40}, {0, 0, 0}, ACCEPTOR},
    };
    const unsigned many[WORKERS] = {50, 0, 0}, none[WORKERS] = {0};
    int movable;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK_EQ(goes(WEFT_SHARED, cases[i].load, cases[i].coming, 0, &movable), cases[i].where);
    CHECK_EQ(goes(WEFT_PER_CORE, many, none, 0, &movable), -1);
    goes(WEFT_SHARED, many, none, 0, &movable);
    crew[OTHER].retiring = crew[THIRD].retiring = 1;
    CHECK(weft__place_connection(&crew[ACCEPTOR], &movable) == &crew[ACCEPTOR]);
    made_up.workers = 1;
    CHECK(!weft__place_connection(&crew[ACCEPTOR], &movable));
}

/* All that others may take could be taken by one of them: he must not have clearly more then than anybody. */
static void connections_are_stolen_until_that_would_tip_the_scales(void)
{
    static const struct {
        unsigned load[WORKERS], most;
    } cases[] = {{{2, 0, 0}, 2},     {{4, 0, 0}, 2},    {{10, 10, 10}, 3}, {{36, 30, 30}, 4}, {{31, 36, 36}, 1},
                 {{10, 20, 20}, 1}, {{10, 10, 20}, 1}, {{14, 14, 10}, 1}};
    const unsigned none[WORKERS] = {0};
    int movable;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unsigned n = 0;

        while (goes(WEFT_SHARED, cases[i].load, none, n, &movable) == ACCEPTOR && movable)
            n++;
        CHECK_EQ(n, cases[i].most);
        for (unsigned thief = OTHER; n > 1 && thief < WORKERS; thief++) { /* one always may */
            const unsigned theirs = cases[i].load[thief] + n, mine = cases[i].load[ACCEPTOR];
            CHECK(theirs <= mine + 5 + mine / 8);
        }
    }
}

int main(void)
{
    counts();
    not_asked();
    binding();
    main_is_bound();
    bad_numbers();
    per_core_never_moves();
    pinned_stay();
    connections_go_by_load_and_by_what_is_to_come();
    connections_are_stolen_until_that_would_tip_the_scales();
    return 0;
}
