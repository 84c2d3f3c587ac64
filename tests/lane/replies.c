/* Asking and answering: each call gets its own answer or learns that there will be none; an answer that comes too late
 * reaches nobody. Aliases are addresses that end. */
#include "lane/world.h"

static int stage;

static void reach(int n)
{
    while (get(&stage) < n)
        CHECK_OK(weft_sleep(weft_after(WEFT_MILLISECOND / 2)));
}

/* Answers with the request's bytes, each one more, until a request of 0 bytes. */
static int counts_up(void *arg)
{
    weft_message *m;

    (void)arg;
    for (;;) {
        CHECK_OK(weft_receive(&m, soon()));
        unsigned char *p = m->data;
        const size_t n = m->size;
        for (size_t i = 0; i < n; i++)
            p[i]++;
        CHECK_EQ(weft_reply(m, p, n), 0);
        CHECK_EQ(weft_reply(m, p, n), -ESRCH); /* once */
        CHECK_OK(weft_msg_free(m));
        if (!n)
            return 0;
    }
}

static int asks(void *arg)
{
    const weft_id to = *(weft_id *)arg;

    for (unsigned char i = 1; i < 100; i++) {
        unsigned char q[2] = {i, 7};
        weft_message *a;
        CHECK_OK(weft_call(to, q, sizeof q, &a, soon()));
        CHECK_EQ(a->size, 2);
        CHECK_EQ(((unsigned char *)a->data)[0], i + 1);
        CHECK(weft_id_equal(a->from, to));
        CHECK_OK(weft_msg_free(a));
    }
    return 0;
}

/* Several lanes, and several fibers of one, ask at once. */
static int many_ask(int argc, char **argv)
{
    weft_id to, f[3], l[3];
    weft_message *a;

    (void)argc, (void)argv;
    CHECK_OK(weft_lane_spawn(&to, counts_up, NULL));
    for (int i = 0; i < 3; i++) {
        CHECK_OK(weft_lane_spawn_with(&l[i], asks, &to, .copy = sizeof to));
        CHECK_OK(weft_spawn_with(&f[i], asks, &to, .copy = sizeof to));
    }
    for (int i = 0; i < 3; i++) {
        CHECK_OK(weft_lane_join(l[i], NULL, soon()));
        CHECK_OK(weft_join(f[i], NULL, soon()));
    }
    CHECK_OK(weft_call(to, NULL, 0, &a, soon()));
    CHECK_OK(weft_msg_free(a));
    CHECK_OK(weft_lane_join(to, NULL, soon()));
    CHECK_EQ(weft_call(to, NULL, 0, &a, soon()), -ESRCH);
    CHECK_EQ(weft_receive(&a, WEFT_NOW), -ETIMEDOUT); /* nothing strayed into the mailbox */
    return 0;
}

/* Lets the first call run out of time, answers it only then, and the second at once. */
static int is_late(void *arg)
{
    weft_message *first, *second;

    (void)arg;
    CHECK_OK(weft_receive(&first, soon()));
    reach(1);
    CHECK_EQ(weft_reply(first, "late", 4), -ESRCH);
    CHECK_OK(weft_receive(&second, soon()));
    CHECK_EQ(weft_reply(first, "late", 4), -ESRCH);
    CHECK_OK(weft_reply(second, "fresh", 5));
    CHECK_OK(weft_msg_free(first));
    return weft_msg_free(second);
}

static int late_answers(int argc, char **argv)
{
    weft_id to;
    weft_message *a;
    int r;

    (void)argc, (void)argv;
    put(&stage, 0);
    CHECK_OK(weft_lane_spawn(&to, is_late, NULL));
    CHECK_EQ(weft_call(to, "q", 1, &a, weft_after(2 * WEFT_MILLISECOND)), -ETIMEDOUT);
    put(&stage, 1);
    CHECK_OK(weft_call(to, "q", 1, &a, soon()));
    CHECK_EQ(a->size, 5);
    CHECK(memcmp(a->data, "fresh", 5) == 0);
    CHECK_OK(weft_msg_free(a));
    CHECK_OK(weft_lane_join(to, &r, soon()));
    CHECK_EQ(r, 0);
    CHECK_EQ(weft_receive(&a, WEFT_NOW), -ETIMEDOUT);
    return 0;
}

/* Takes the request, or not, and ends. */
static int ends_silently(void *arg)
{
    weft_message *m;

    if (*(int *)arg)
        CHECK_OK(weft_receive(&m, soon())); /* and never frees it either */
    else
        reach(1);
    return 0;
}

static int raises_stage(void *arg)
{
    (void)arg;
    put(&stage, 1);
    return 0;
}

static int callee_dies(int argc, char **argv)
{
    weft_message *a;

    (void)argc, (void)argv;
    for (int take = 0; take < 2; take++) {
        weft_id to;
        put(&stage, 0);
        CHECK_OK(weft_lane_spawn_with(&to, ends_silently, &take, .copy = sizeof take));
        if (!take)
            CHECK_OK(weft_spawn(NULL, raises_stage, NULL));
        CHECK_EQ(weft_call(to, "q", 1, &a, soon()), -ESRCH);
        CHECK_OK(weft_lane_join(to, NULL, soon()));
    }
    return 0;
}

static weft_id asker;

static int asks_for_ever(void *arg)
{
    weft_message *a;

    asker = weft_self();
    const int r = weft_call(*(weft_id *)arg, "q", 1, &a, WEFT_NEVER);
    CHECK_EQ(r, -ECANCELED);
    return 0;
}

static int answers_a_ghost(void *arg)
{
    weft_message *m;

    (void)arg;
    CHECK_OK(weft_receive(&m, soon()));
    put(&stage, 1);
    reach(2);
    CHECK_EQ(weft_reply(m, "?", 1), -ESRCH);
    return weft_msg_free(m);
}

/* The caller's fiber is cancelled, or its whole lane goes. */
static int caller_goes(int argc, char **argv)
{
    weft_id to, f, l;

    (void)argc, (void)argv;
    put(&stage, 0);
    CHECK_OK(weft_lane_spawn(&to, answers_a_ghost, NULL));
    CHECK_OK(weft_spawn_with(&f, asks_for_ever, &to, .copy = sizeof to));
    reach(1);
    CHECK_OK(weft_cancel(f));
    CHECK_OK(weft_join(f, NULL, soon()));
    put(&stage, 2);
    CHECK_OK(weft_lane_join(to, NULL, soon()));

    put(&stage, 0);
    CHECK_OK(weft_lane_spawn(&to, answers_a_ghost, NULL));
    CHECK_OK(weft_lane_spawn_with(&l, asks_for_ever, &to, .copy = sizeof to));
    reach(1);
    CHECK_OK(weft_cancel(l));
    CHECK_OK(weft_lane_join(l, NULL, soon()));
    put(&stage, 2);
    CHECK_OK(weft_lane_join(to, NULL, soon()));
    return 0;
}

/* A request that is dropped to make room is an answer as well. */
static const weft_limits one = {.messages = 1};

static int reads_nothing(void *arg)
{
    (void)arg;
    put(&stage, 1);
    const int r = weft_sleep(WEFT_NEVER);
    CHECK_EQ(r, -ECANCELED);
    return 0;
}

static int pushes_out(void *arg)
{
    return weft_send_with(*(weft_id *)arg, NULL, 0, .full = WEFT_FULL_DROP_OLDEST);
}

static int dropped_request(int argc, char **argv)
{
    weft_id to;
    weft_message *a;

    (void)argc, (void)argv;
    put(&stage, 0);
    CHECK_OK(weft_lane_spawn_with(&to, reads_nothing, NULL, .limits = &one));
    CHECK_OK(weft_spawn_with(NULL, pushes_out, &to, .copy = sizeof to));
    CHECK_EQ(weft_call(to, "q", 1, &a, soon()), -EAGAIN);
    CHECK_EQ(weft_call(to, "q", 1, &a, weft_after(2 * WEFT_MILLISECOND)), -ETIMEDOUT); /* no room for it */
    CHECK_OK(weft_cancel(to));
    CHECK_OK(weft_lane_join(to, NULL, soon()));
    return 0;
}

/* Requests and answers handed over. */
static int answers_with_block(void *arg)
{
    weft_message *m, *a;

    (void)arg;
    CHECK_OK(weft_receive(&m, soon()));
    CHECK_EQ(m->tag, 12);
    CHECK_OK(weft_msg_alloc(&a, 300));
    a->tag = 13;
    CHECK_OK(weft_reply_msg(m, a));
    CHECK_OK(weft_msg_alloc(&a, 300));
    CHECK_EQ(weft_reply_msg(m, a), -ESRCH);
    CHECK_OK(weft_msg_free(a));
    return weft_msg_free(m);
}

static int without_copies(int argc, char **argv)
{
    weft_id to;
    weft_message *q, *a;
    int sent;

    (void)argc, (void)argv;
    CHECK_OK(weft_lane_spawn(&to, answers_with_block, NULL));
    CHECK_OK(weft_msg_alloc(&q, 100));
    q->tag = 12;
    CHECK_OK(weft_call_msg(to, q, &a, soon(), &sent));
    CHECK_EQ(sent, 1);
    CHECK_EQ(a->tag, 13);
    CHECK_EQ(a->size, 300);
    CHECK_OK(weft_msg_free(a));
    CHECK_OK(weft_lane_join(to, NULL, soon()));
    CHECK_OK(weft_msg_alloc(&q, 100));
    CHECK_EQ(weft_call_msg(to, q, &a, soon(), &sent), -ESRCH);
    CHECK_EQ(sent, 0);
    CHECK_OK(weft_msg_free(q));
    return 0;
}

static int bad_use(int argc, char **argv)
{
    weft_message *m, *a;
    weft_id alias;

    (void)argc, (void)argv;
    CHECK_EQ(weft_call(weft_lane_self(), NULL, 0, &m, WEFT_NEVER), -EDEADLK); /* nobody else is there to answer */
    CHECK_OK(weft_msg_alloc(&m, 0));
    CHECK_EQ(weft_reply(m, NULL, 0), -EINVAL);
    CHECK_EQ(weft_reply_msg(m, m), -EINVAL);
    CHECK_OK(weft_alias_open(&alias, 0));
    CHECK_EQ(weft_call(alias, NULL, 0, &a, WEFT_NEVER), -EINVAL);
    CHECK_OK(weft_alias_close(alias));
    CHECK_EQ(weft_alias_close(alias), -ESRCH);
    CHECK_EQ(weft_alias_close(weft_lane_self()), -EINVAL);
    CHECK_EQ(weft_alias_close(WEFT_NOID), -ESRCH);
    return weft_msg_free(m);
}

static int writes_to_alias(void *arg)
{
    const weft_id to = *(weft_id *)arg;

    CHECK_EQ(weft_alias_close(to), -EPERM);
    CHECK_OK(weft_send_with(to, "a", 1, .tag = 1));
    CHECK_OK(weft_send_with(to, "b", 1, .tag = 2));
    return 0;
}

static int closes_late(void *arg)
{
    CHECK_EQ(weft_send_with(*(weft_id *)arg, "a", 1, .tag = 1), -ESRCH);
    return 0;
}

static int aliases(int argc, char **argv)
{
    weft_id alias, once, l;
    weft_message *m;

    (void)argc, (void)argv;
    CHECK_OK(weft_alias_open(&alias, 0));
    CHECK_OK(weft_lane_spawn_with(&l, writes_to_alias, &alias, .copy = sizeof alias));
    CHECK_OK(weft_receive(&m, soon()));
    CHECK_EQ(m->tag, 1);
    CHECK(weft_id_equal(m->to, alias));
    CHECK_OK(weft_msg_free(m));
    CHECK_OK(weft_lane_join(l, NULL, soon()));
    CHECK_OK(weft_send_with(weft_lane_self(), NULL, 0, .tag = 3));
    CHECK_OK(weft_alias_close(alias)); /* takes the second along, and not what came by the lane's own address */
    CHECK_OK(weft_receive(&m, WEFT_NOW));
    CHECK_EQ(m->tag, 3);
    CHECK_OK(weft_msg_free(m));
    CHECK_OK(weft_lane_spawn_with(&l, closes_late, &alias, .copy = sizeof alias));
    CHECK_OK(weft_lane_join(l, NULL, soon()));
    CHECK_OK(weft_alias_open(&once, 1));
    CHECK_OK(weft_send(once, NULL, 0, NULL));
    CHECK_EQ(weft_send(once, NULL, 0, NULL), -ESRCH);
    CHECK_OK(weft_receive(&m, WEFT_NOW));
    CHECK_OK(weft_reply(&(weft_message){.reply = WEFT_NOID}, NULL, 0) == -EINVAL ? 0 : -1);
    CHECK_OK(weft_msg_free(m));
    CHECK_OK(weft_alias_close(once));
    return 0;
}

static int everything(int argc, char **argv)
{
    many_ask(argc, argv);
    late_answers(argc, argv);
    callee_dies(argc, argv);
    caller_goes(argc, argv);
    dropped_request(argc, argv);
    without_copies(argc, argv);
    bad_use(argc, argv);
    return aliases(argc, argv);
}

int main(void)
{
    weft_message *m;

    CHECK_EQ(weft_call(WEFT_NOID, NULL, 0, &m, WEFT_NEVER), -EPERM);
    CHECK_EQ(weft_alias_open(&(weft_id){0}, 0), -EPERM);
    run_clean(everything, 1);
    run_clean(everything, 3);
    return 0;
}
