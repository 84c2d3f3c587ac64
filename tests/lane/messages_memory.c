/* Memory: no mapping after warm-up however many messages pass; a mapping that fails is an answer and leaves nothing
 * behind; limits of lanes are charged and discharged as messages change hands. */
#include "lane/world.h"

static spy s;

/* ---- a steady load maps nothing ---- */

enum { WARM = 20000, STEADY = 100000 };

static int answers(void *arg)
{
    weft_message *m;

    (void)arg;
    for (;;) {
        const int r = weft_receive(&m, WEFT_NEVER);
        if (r < 0)
            return 0;
        if (m->reply.gen) {
            CHECK_OK(weft_reply(m, m->data, m->size));
            CHECK_OK(weft_msg_free(m));
        } else {
            CHECK_OK(weft_send_msg(m->from, m, NULL));
        }
    }
}

static int ends_at_once(void *arg)
{
    (void)arg;
    return 0;
}

static void converse(const weft_id *to, int n, int rounds)
{
    static const size_t sizes[] = {0, 8, 100, 300, 1000, 4000};
    static char text[4000];
    weft_message *m;

    for (int i = 0; i < rounds; i++) {
        const size_t size = sizes[i % 6];
        if (i % 4 == 0) {
            CHECK_OK(weft_call(to[i % n], text, size, &m, WEFT_NEVER));
        } else {
            CHECK_OK(weft_send(to[i % n], text, size, NULL));
            CHECK_OK(weft_receive(&m, WEFT_NEVER));
        }
        CHECK_EQ(m->size, size);
        CHECK_OK(weft_msg_free(m));
        if (i % 64 == 0) { /* ties come and go, too */
            weft_id l, ref;
            CHECK_OK(weft_lane_spawn_with(&l, ends_at_once, NULL, .monitor = &ref, .pinned = 1));
            const int named = weft_register_as(l, "someone");
            CHECK(named == 0 || named == -ESRCH); /* it may have ended by now */
            CHECK_OK(weft_receive(&m, WEFT_NEVER));
            CHECK_EQ(m->kind, WEFT_MSG_DOWN);
            CHECK_OK(weft_msg_free(m));
            CHECK_OK(weft_lane_join(l, NULL, WEFT_NEVER));
        }
    }
}

static int steady(int argc, char **argv)
{
    weft_id to[4];

    (void)argc, (void)argv;
    for (int i = 0; i < 4; i++)
        CHECK_OK(weft_lane_spawn(&to[i], answers, NULL));
    converse(to, 4, WARM);
    const long before = spy_get(&s.map_calls);
    converse(to, 4, test_rounds(STEADY));
    CHECK_EQ(spy_get(&s.map_calls), before);
    for (int i = 0; i < 4; i++)
        CHECK_OK(weft_cancel(to[i]));
    for (int i = 0; i < 4; i++)
        CHECK_OK(weft_lane_join(to[i], NULL, WEFT_NEVER));
    return 0;
}

static void maps_nothing(void)
{
    weft_options opt = {.workers = 3, .env = spy_open(&s), .blocked_ns = -1};

    CHECK_EQ(run_main_with(steady, &opt), 0);
    SPY_SILENT(&s);
    spy_close(&s);
}

/* ---- each mapping fails once ---- */

static int fine(int r) { return r == 0 || r == -ENOMEM; }

/* Everything that may need memory, once; whatever is refused leaves the rest as it was. */
static int needs_memory(int argc, char **argv)
{
    static char text[70000];
    weft_id self = weft_lane_self(), alias, ref, l, id;
    weft_message *m;
    int r, messages = 0;

    (void)argc, (void)argv;
    CHECK(fine(weft_register("me")));
    r = weft_whereis("me", &id);
    CHECK(r == 0 || r == -ESRCH);
    for (size_t size = 1; size <= sizeof text; size = size * 4 + 3) {
        r = weft_send(self, text, size, NULL);
        CHECK(fine(r));
        messages += r == 0;
        r = weft_msg_alloc(&m, size);
        CHECK(fine(r));
        if (r == 0) {
            CHECK_OK(weft_send_msg(self, m, NULL));
            messages++;
        }
    }
    r = weft_alias_open(&alias, 0);
    CHECK(fine(r));
    if (r == 0)
        CHECK_OK(weft_alias_close(alias));
    CHECK(fine(weft_trap_exit(1)));
    r = weft_lane_spawn_with(&l, answers, NULL, .linked = 1, .monitor = &ref);
    CHECK(fine(r));
    if (r == 0) {
        int downs = 2; /* by the monitor, and by the link if exits are trapped */
        weft_message *a;
        r = weft_call(l, "q", 1, &a, soon());
        CHECK(r == 0 || r == -ENOMEM || r == -ETIMEDOUT || r == -ESRCH);
        if (r == 0)
            CHECK_OK(weft_msg_free(a));
        CHECK(fine(weft_grant(l, self, WEFT_RIGHT_CANCEL)));
        CHECK_OK(weft_unlink(l));
        downs--;
        CHECK_OK(weft_cancel(l));
        CHECK_OK(weft_lane_join(l, NULL, soon()));
        messages += downs;
    }
    for (int i = 0; i < messages; i++) {
        CHECK_OK(weft_receive(&m, soon()));
        CHECK_OK(weft_msg_free(m));
    }
    r = weft_receive(&m, WEFT_NOW);
    CHECK(r == -ETIMEDOUT || r == -ENOMEM);
    return 0;
}

static long run_failing(long fail)
{
    weft_options opt = {.workers = 1, .env = spy_open(&s), .blocked_ns = -1};
    weft_runtime *rt;

    s.fail_map = 0;
    CHECK_OK(weft_start(&rt, &opt));
    CHECK_OK(weft_end(rt));
    const long at_start = spy_get(&s.map_calls);
    spy_close(&s);
    opt.env = spy_open(&s);
    s.fail_map = fail ? at_start + fail : 0;
    CHECK(run_main_with(needs_memory, &opt) >= 0);
    const long calls = spy_get(&s.map_calls) - at_start;
    spy_close(&s);
    return calls;
}

static void each_mapping_fails(void)
{
    const long calls = run_failing(0);

    CHECK(calls > 5);
    for (long i = 1; i <= calls + 2; i++)
        run_failing(i);
}

/* ---- charged to whom ---- */

static int at_its_limit(void *arg)
{
    weft_message *m, *more, *got[8];
    int n = 0, r;

    (void)arg;
    CHECK_EQ(weft_msg_alloc(&m, 1 << 20), -ENOMEM);
    CHECK_OK(weft_msg_alloc(&m, 20000));
    CHECK_EQ(weft_msg_alloc(&more, 40000), -ENOMEM);
    CHECK_OK(weft_send_msg(weft_lane_self(), m, NULL)); /* sent: the mailbox pays */
    CHECK_OK(weft_msg_alloc(&more, 40000));
    CHECK_EQ(weft_receive(&m, WEFT_NOW), -ENOMEM);       /* and now we cannot */
    CHECK_OK(weft_msg_free(more));
    CHECK_OK(weft_receive(&m, WEFT_NOW));
    CHECK_EQ(m->size, 20000);
    CHECK_OK(weft_msg_free(m));
    while ((r = weft_msg_alloc(&got[n], 10000)) == 0) /* all of it comes back each time */
        n++;
    CHECK_EQ(r, -ENOMEM);
    CHECK_EQ(n, 4);
    return 0; /* what is left goes with the lane */
}

static int charged(int argc, char **argv)
{
    weft_id l;
    int r;

    (void)argc, (void)argv;
    for (int i = 0; i < 3; i++) {
        CHECK_OK(weft_lane_spawn_with(&l, at_its_limit, NULL, .limits = &(weft_limits){.vat_bytes = 70000}));
        CHECK_OK(weft_lane_join(l, &r, soon()));
        CHECK_EQ(r, 0);
    }
    return 0;
}

int main(void)
{
    maps_nothing();
    each_mapping_fails();
    run_clean(charged, 2);
    return 0;
}
