/* Messages between lanes: what is sent arrives, in order, by copy or handed over; a full mailbox does what its sender
 * chose; who is dead says so. */
#include "lane/world.h"

static int stage;

/* The next message, with this tag. */
static weft_message *expect(uint32_t tag)
{
    weft_message *m;

    CHECK_OK(weft_receive(&m, soon()));
    CHECK_EQ(m->tag, tag);
    return m;
}

/* ---- both ways, in order ---- */

static int echoes(void *arg)
{
    weft_message *m;

    (void)arg;
    for (;;) {
        CHECK_OK(weft_receive(&m, soon()));
        if (m->tag == 99)
            return weft_msg_free(m);
        CHECK_EQ(m->kind, WEFT_MSG_DATA);
        CHECK_OK(weft_send_with(m->from, m->data, m->size, .tag = m->tag + 1));
        CHECK_OK(weft_msg_free(m));
    }
}

static int there_and_back(int argc, char **argv)
{
    static const char text[] = "what was said";
    weft_id l;
    int r;

    (void)argc, (void)argv;
    CHECK_OK(weft_lane_spawn(&l, echoes, NULL));
    for (uint32_t i = 0; i < 50; i++) {
        CHECK_OK(weft_send_with(l, text, i % sizeof text, .tag = 2 * i + 100));
        weft_message *m = expect(2 * i + 101);
        CHECK_EQ(m->size, i % sizeof text);
        CHECK(memcmp(m->data, text, m->size) == 0);
        CHECK(weft_id_equal(m->from, l));
        CHECK(!m->to.gen && !m->reply.gen);
        CHECK_OK(weft_msg_free(m));
    }
    CHECK_OK(weft_send_with(l, NULL, 0, .tag = 99));
    CHECK_OK(weft_lane_join(l, &r, soon()));
    CHECK_EQ(r, 0);
    CHECK_EQ(weft_send(l, "x", 1, NULL), -ESRCH);
    CHECK_EQ(weft_receive(&(weft_message *){NULL}, WEFT_NOW), -ETIMEDOUT);
    CHECK_EQ(weft_receive(&(weft_message *){NULL}, weft_after(WEFT_MILLISECOND)), -ETIMEDOUT);
    return 0;
}

/* ---- blocks handed over ---- */

static int passes_on(void *arg)
{
    const weft_id *to = arg;
    weft_message *m;

    CHECK_OK(weft_receive(&m, soon()));
    m->tag++;
    return weft_send_msg(*to, m, NULL);
}

/* Sizes of every class of blocks, and beyond. */
static int handed_over(int argc, char **argv)
{
    static const size_t sizes[] = {0, 1, 16, 17, 100, 144, 500, 2000, 60000, 65536, 200000, 1 << 20};
    weft_id self = weft_lane_self(), l;

    (void)argc, (void)argv;
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        weft_message *m;
        CHECK_OK(weft_lane_spawn_with(&l, passes_on, &self, .copy = sizeof self));
        CHECK_OK(weft_msg_alloc(&m, sizes[i]));
        CHECK_EQ(m->size, sizes[i]);
        CHECK_EQ((uintptr_t)m->data % 16, 0);
        memset(m->data, (int)i + 1, m->size);
        m->tag = 7;
        const void *where = m->data;
        CHECK_OK(weft_send_msg(l, m, NULL));
        CHECK_OK(weft_lane_join(l, NULL, soon()));
        m = expect(8);
        CHECK(m->data == where); /* the same memory came back: nothing was copied on the way there or back */
        CHECK_EQ(m->size, sizes[i]);
        for (size_t k = 0; k < m->size; k += 97)
            CHECK_EQ(((unsigned char *)m->data)[k], i + 1);
        CHECK_OK(weft_msg_free(m));
    }
    return 0;
}

static int refused_blocks(int argc, char **argv)
{
    weft_id l;
    weft_message *m;

    (void)argc, (void)argv;
    CHECK_OK(weft_msg_alloc(&m, 10));
    CHECK_EQ(weft_send_msg(WEFT_NOID, m, NULL), -ESRCH);
    CHECK_EQ(weft_send_msg(weft_self(), m, NULL), -EINVAL);
    CHECK_OK(weft_lane_spawn(&l, echoes, NULL));
    CHECK_OK(weft_send_with(l, NULL, 0, .tag = 99));
    CHECK_OK(weft_lane_join(l, NULL, soon()));
    m->tag = 5;
    memcpy(m->data, "still ours", 10);
    CHECK_EQ(weft_send_msg(l, m, NULL), -ESRCH);
    CHECK_EQ(m->tag, 5);
    CHECK(memcmp(m->data, "still ours", 10) == 0);
    m->size = 11 + 128;
    CHECK_EQ(weft_send_msg(weft_lane_self(), m, NULL), -EINVAL); /* larger than it is */
    m->size = 4;
    CHECK_EQ(weft_send_msg(weft_lane_self(), m, &(weft_send_options){.full = 3}), -EINVAL);
    CHECK_OK(weft_send_msg(weft_lane_self(), m, NULL)); /* to itself */
    m = expect(5);
    CHECK_EQ(m->size, 4);
    CHECK_OK(weft_msg_free(m));
    CHECK_EQ(weft_msg_free(NULL), 0);
    CHECK_EQ(weft_send(weft_lane_self(), NULL, 1, NULL), -EINVAL);
    return 0;
}

static weft_message *theirs;

static int lends(void *arg)
{
    (void)arg;
    CHECK_OK(weft_msg_alloc(&theirs, 1));
    put(&stage, 1);
    while (get(&stage) < 2)
        weft_sleep(weft_after(WEFT_MILLISECOND));
    return weft_msg_free(theirs);
}

static int not_ours(int argc, char **argv)
{
    weft_id l;
    int r;

    (void)argc, (void)argv;
    put(&stage, 0);
    CHECK_OK(weft_lane_spawn(&l, lends, NULL));
    while (get(&stage) < 1)
        weft_sleep(weft_after(WEFT_MILLISECOND));
    CHECK_EQ(weft_msg_free(theirs), -EPERM);
    CHECK_EQ(weft_send_msg(weft_lane_self(), theirs, NULL), -EPERM);
    put(&stage, 2);
    CHECK_OK(weft_lane_join(l, &r, soon()));
    CHECK_EQ(r, 0);
    return 0;
}

/* ---- choosing ---- */

static int has_tag(const weft_message *m, void *arg)
{
    return m->tag == *(uint32_t *)arg;
}

static int sends_tag(void *arg)
{
    return weft_send_with(weft_lane_self(), NULL, 0, .tag = *(uint32_t *)arg);
}

static int selective(int argc, char **argv)
{
    weft_id self = weft_lane_self();
    weft_message *m;
    uint32_t want = 5, later = 77;

    (void)argc, (void)argv;
    for (uint32_t i = 0; i < 10; i++)
        CHECK_OK(weft_send_with(self, &i, sizeof i, .tag = i));
    CHECK_OK(weft_receive_match(&m, has_tag, &want, WEFT_NOW));
    CHECK_EQ(*(uint32_t *)m->data, 5);
    CHECK_OK(weft_msg_free(m));
    CHECK_EQ(weft_receive_match(&m, has_tag, &want, WEFT_NOW), -ETIMEDOUT);
    CHECK_EQ(weft_receive_match(&m, has_tag, &want, weft_after(WEFT_MILLISECOND)), -ETIMEDOUT);
    CHECK_OK(weft_spawn_with(NULL, sends_tag, &later, .copy = sizeof later)); /* it comes while we wait */
    CHECK_OK(weft_receive_match(&m, has_tag, &later, soon()));
    CHECK_OK(weft_msg_free(m));
    for (uint32_t i = 0; i < 10; i++) /* the others lie there as they came */
        if (i != 5)
            CHECK_OK(weft_msg_free(expect(i)));
    return 0;
}

/* ---- several who wait in one lane ---- */

enum { CREW = 4, EACH = 50 };
static int taken[CREW];

static int takes(void *arg)
{
    const int me = *(int *)arg;
    weft_message *m;

    for (;;) {
        CHECK_OK(weft_receive(&m, soon()));
        const int last = m->tag == 1;
        CHECK_OK(weft_msg_free(m));
        if (last)
            return 0;
        taken[me]++;
    }
}

static int wants_tag_9(void *arg)
{
    weft_message *m;
    uint32_t nine = 9;

    (void)arg;
    CHECK_OK(weft_receive_match(&m, has_tag, &nine, soon()));
    return weft_msg_free(m);
}

static int feeds(void *arg)
{
    const weft_id to = *(weft_id *)arg;

    for (int i = 0; i < CREW * EACH; i++)
        CHECK_OK(weft_send(to, &i, sizeof i, NULL));
    CHECK_OK(weft_send_with(to, NULL, 0, .tag = 9));
    for (int i = 0; i < CREW; i++)
        CHECK_OK(weft_send_with(to, NULL, 0, .tag = 1));
    return 0;
}

static int a_crew_waits(int argc, char **argv)
{
    weft_id f[CREW], chooser, self = weft_lane_self(), l;
    int sum = 0;

    (void)argc, (void)argv;
    memset(taken, 0, sizeof taken);
    CHECK_OK(weft_spawn(&chooser, wants_tag_9, NULL));
    for (int i = 0; i < CREW; i++)
        CHECK_OK(weft_spawn_with(&f[i], takes, &i, .copy = sizeof i));
    CHECK_OK(weft_yield());
    CHECK_OK(weft_lane_spawn_with(&l, feeds, &self, .copy = sizeof self));
    for (int i = 0; i < CREW; i++) {
        CHECK_OK(weft_join(f[i], NULL, soon()));
        sum += taken[i];
    }
    /* Either the chooser has it, or one of the others took it first. */
    CHECK(sum == CREW * EACH || sum == CREW * EACH + 1);
    if (sum == CREW * EACH + 1)
        CHECK_OK(weft_send_with(self, NULL, 0, .tag = 9));
    CHECK_OK(weft_join(chooser, NULL, soon()));
    CHECK_OK(weft_lane_join(l, NULL, soon()));
    return 0;
}

/* ---- full ---- */

static const weft_limits three = {.messages = 3};

/* Waits for stage 1, then takes all it is sent until tag 99, and checks that their order is that of the tags. */
static int reads_late(void *arg)
{
    weft_message *m;
    uint32_t last = 0, *got = *(uint32_t **)arg;

    const int r = weft_park(soon());
    if (r == -ECANCELED)
        return r;
    CHECK_OK(r);
    for (;;) {
        CHECK_OK(weft_receive(&m, soon()));
        const uint32_t tag = m->tag;
        CHECK_OK(weft_msg_free(m));
        if (tag == 99)
            return 0;
        CHECK(tag > last);
        last = tag;
        ++*got;
    }
}

static weft_id reader_fiber;

static int reader(void *arg)
{
    reader_fiber = weft_self();
    put(&stage, 1);
    return reads_late(arg);
}

static weft_id late_reader(uint32_t *got)
{
    weft_id l;

    put(&stage, 0);
    *got = 0;
    CHECK_OK(weft_lane_spawn_with(&l, reader, &got, .copy = sizeof got, .limits = &three));
    while (get(&stage) < 1)
        weft_sleep(weft_after(WEFT_MILLISECOND));
    return l;
}

static int full_refuses(int argc, char **argv)
{
    uint32_t got;
    weft_id l = late_reader(&got);

    (void)argc, (void)argv;
    for (uint32_t i = 1; i <= 3; i++)
        CHECK_OK(weft_send_with(l, NULL, 0, .tag = i, .full = WEFT_FULL_REFUSE));
    CHECK_EQ(weft_send_with(l, NULL, 0, .tag = 4, .full = WEFT_FULL_REFUSE), -EAGAIN);
    CHECK_EQ(weft_send_with(l, NULL, 0, .tag = 4, .deadline = weft_after(5 * WEFT_MILLISECOND)), -ETIMEDOUT);
    CHECK_OK(weft_unpark(reader_fiber));
    CHECK_OK(weft_send_with(l, NULL, 0, .tag = 5)); /* waits for room */
    CHECK_OK(weft_send_with(l, NULL, 0, .tag = 99));
    CHECK_OK(weft_lane_join(l, NULL, soon()));
    CHECK_EQ(got, 4);
    return 0;
}

static int full_drops(int argc, char **argv)
{
    uint32_t got;
    weft_id l = late_reader(&got);

    (void)argc, (void)argv;
    for (uint32_t i = 1; i <= 20; i++)
        CHECK_OK(weft_send_with(l, &i, sizeof i, .tag = i, .full = WEFT_FULL_DROP_OLDEST));
    CHECK_OK(weft_unpark(reader_fiber));
    CHECK_OK(weft_send_with(l, NULL, 0, .tag = 99));
    CHECK_OK(weft_lane_join(l, NULL, soon()));
    CHECK_EQ(got, 3);
    return 0;
}

static int sends_parked(void *arg)
{
    const weft_id to = *(weft_id *)arg;
    static uint32_t tag;

    return weft_send_with(to, NULL, 0, .tag = ++tag + 10);
}

/* Those who wait for room are let in in the order they came, before anybody else. */
static int full_parks_in_order(int argc, char **argv)
{
    uint32_t got;
    weft_id l = late_reader(&got), f[5];

    (void)argc, (void)argv;
    for (uint32_t i = 1; i <= 3; i++)
        CHECK_OK(weft_send_with(l, NULL, 0, .tag = i));
    for (int i = 0; i < 5; i++) {
        CHECK_OK(weft_spawn_with(&f[i], sends_parked, &l, .copy = sizeof l));
        CHECK_OK(weft_yield());
    }
    CHECK_EQ(weft_send_with(l, NULL, 0, .tag = 50, .full = WEFT_FULL_REFUSE), -EAGAIN);
    CHECK_OK(weft_unpark(reader_fiber));
    for (int i = 0; i < 5; i++)
        CHECK_OK(weft_join(f[i], NULL, soon()));
    CHECK_OK(weft_send_with(l, NULL, 0, .tag = 99));
    CHECK_OK(weft_lane_join(l, NULL, soon()));
    CHECK_EQ(got, 8);
    return 0;
}

static int waits_for_room(void *arg)
{
    const weft_id to = *(weft_id *)arg;
    weft_message *m;

    CHECK_OK(weft_msg_alloc(&m, 1000));
    m->tag = 11;
    const int r = weft_send_msg(to, m, NULL);
    CHECK_EQ(r, -ECANCELED);
    CHECK_EQ(m->tag, 11); /* it is still ours */
    CHECK_OK(weft_msg_free(m));
    return 0;
}

/* Who is cancelled while it waits keeps its message; the receiver's end tells the others. */
static int given_up(int argc, char **argv)
{
    uint32_t got;
    weft_id l = late_reader(&got), f, g;
    int r;

    (void)argc, (void)argv;
    for (uint32_t i = 1; i <= 3; i++)
        CHECK_OK(weft_send_with(l, NULL, 0, .tag = i));
    CHECK_OK(weft_spawn_with(&f, waits_for_room, &l, .copy = sizeof l));
    CHECK_OK(weft_spawn_with(&g, sends_parked, &l, .copy = sizeof l));
    CHECK_OK(weft_yield());
    CHECK_OK(weft_yield());
    CHECK_OK(weft_cancel(f));
    CHECK_OK(weft_join(f, NULL, soon()));
    CHECK_OK(weft_unpark(reader_fiber));
    CHECK_OK(weft_join(g, &r, soon()));
    CHECK_EQ(r, 0);
    CHECK_OK(weft_send_with(l, NULL, 0, .tag = 99));
    CHECK_OK(weft_lane_join(l, NULL, soon()));
    CHECK_EQ(got, 4);

    l = late_reader(&got);
    for (uint32_t i = 1; i <= 3; i++)
        CHECK_OK(weft_send_with(l, NULL, 0, .tag = i));
    CHECK_OK(weft_spawn_with(&g, sends_parked, &l, .copy = sizeof l));
    CHECK_OK(weft_yield());
    CHECK_OK(weft_cancel(l));
    CHECK_OK(weft_join(g, &r, soon()));
    CHECK_EQ(r, -ESRCH);
    CHECK_OK(weft_lane_join(l, NULL, soon()));
    return 0;
}

static const weft_limits small = {.message_bytes = 100};

static int by_bytes(void *arg)
{
    static char text[101];
    weft_id self = weft_lane_self();
    uint32_t n;
    size_t bytes;
    uint64_t dropped;
    weft_message *m;

    (void)arg;
    CHECK_EQ(weft_send(self, text, 101, NULL), -EMSGSIZE);
    CHECK_OK(weft_send(self, text, 60, NULL));
    CHECK_EQ(weft_send_with(self, text, 41, .full = WEFT_FULL_REFUSE), -EAGAIN);
    CHECK_OK(weft_send_with(self, text, 40, .full = WEFT_FULL_REFUSE));
    CHECK_OK(weft_mailbox_info(&n, &bytes, &dropped));
    CHECK_EQ(n, 2);
    CHECK_EQ(bytes, 100);
    CHECK_EQ(dropped, 0);
    CHECK_OK(weft_send_with(self, text, 50, .tag = 3, .full = WEFT_FULL_DROP_OLDEST));
    CHECK_OK(weft_mailbox_info(&n, &bytes, &dropped));
    CHECK_EQ(n, 2);
    CHECK_EQ(bytes, 90);
    CHECK_EQ(dropped, 1);
    CHECK_OK(weft_receive(&m, WEFT_NOW));
    CHECK_EQ(m->size, 40);
    CHECK_OK(weft_msg_free(m));
    CHECK_OK(weft_msg_free(expect(3)));
    CHECK_OK(weft_mailbox_info(&n, &bytes, NULL));
    CHECK_EQ(n, 0);
    CHECK_EQ(bytes, 0);
    return 0;
}

static int bounded_by_bytes(int argc, char **argv)
{
    weft_id l;
    int r;

    (void)argc, (void)argv;
    CHECK_OK(weft_lane_spawn_with(&l, by_bytes, NULL, .limits = &small));
    CHECK_OK(weft_lane_join(l, &r, soon()));
    CHECK_EQ(r, 0);
    return 0;
}

/* ---- shared bytes ---- */

static const void *shared_at;

static int looks_and_keeps(void *arg)
{
    weft_message *m;
    weft_slice s;
    size_t n;

    (void)arg;
    CHECK_OK(weft_receive(&m, soon()));
    CHECK_EQ(m->size, 300000);
    CHECK(m->data == shared_at); /* nobody copied */
    CHECK_OK(weft_msg_slice(m, &s));
    CHECK_OK(weft_send_msg(m->from, m, NULL)); /* and on it goes */
    CHECK(weft_slice_data(s, &n) == shared_at);
    CHECK_EQ(n, 300000);
    CHECK_EQ(((const unsigned char *)weft_slice_data(s, NULL))[299999], 9);
    return 0; /* the slice goes with us */
}

static int slices(int argc, char **argv)
{
    weft_block b;
    weft_slice s, part;
    weft_id l;
    weft_message *m;
    void *data;
    int r;

    (void)argc, (void)argv;
    CHECK_OK(weft_block_make(&b, 400000, &data));
    memset(data, 9, 400000);
    CHECK_OK(weft_block_freeze(b, 400000, &s));
    CHECK_OK(weft_slice_sub(&part, s, 100, 300000));
    CHECK_OK(weft_slice_drop(s));
    shared_at = weft_slice_data(part, NULL);
    CHECK_OK(weft_lane_spawn(&l, looks_and_keeps, NULL));
    CHECK_OK(weft_msg_alloc_slice(&m, part));
    CHECK_OK(weft_slice_drop(part));
    CHECK_EQ(weft_msg_alloc_slice(&m, part), -EBADF);
    m->tag = 4;
    CHECK_EQ(weft_send_msg(WEFT_NOID, m, NULL), -ESRCH); /* refused, and still there */
    CHECK(m->data == shared_at);
    CHECK_OK(weft_send_msg(l, m, NULL));
    CHECK_OK(weft_lane_join(l, &r, soon()));
    CHECK_EQ(r, 0);
    m = expect(4);
    CHECK(m->data == shared_at);
    CHECK_EQ(((const unsigned char *)m->data)[0], 9);
    CHECK_OK(weft_msg_free(m));
    CHECK_OK(weft_msg_alloc(&m, 4));
    CHECK_EQ(weft_msg_slice(m, &s), -EINVAL);
    CHECK_EQ(weft_msg_slice(NULL, &s), -EINVAL);
    CHECK_OK(weft_msg_free(m));
    return 0;
}

/* Dies with large messages in its hands and in its mailbox: all of it goes. */
static int dies_rich(void *arg)
{
    weft_message *m;
    weft_slice s;
    weft_block b;
    void *data;

    (void)arg;
    for (int i = 0; i < 20; i++) {
        CHECK_OK(weft_msg_alloc(&m, 1 << 20));
        memset(m->data, i, m->size);
    }
    CHECK_OK(weft_block_make(&b, 8 << 20, &data));
    memset(data, 1, 8 << 20);
    CHECK_OK(weft_block_freeze(b, 8 << 20, &s));
    CHECK_OK(weft_msg_alloc_slice(&m, s));
    for (int i = 0; i < 900; i++)
        CHECK_OK(weft_send(weft_lane_self(), &i, sizeof i, NULL));
    return 0;
}

static int rich_end(int argc, char **argv)
{
    weft_id l;

    (void)argc, (void)argv;
    CHECK_OK(weft_lane_spawn(&l, dies_rich, NULL));
    CHECK_OK(weft_lane_join(l, NULL, soon()));
    return 0;
}

static int everything(int argc, char **argv)
{
    there_and_back(argc, argv);
    handed_over(argc, argv);
    refused_blocks(argc, argv);
    not_ours(argc, argv);
    selective(argc, argv);
    a_crew_waits(argc, argv);
    full_refuses(argc, argv);
    full_drops(argc, argv);
    full_parks_in_order(argc, argv);
    given_up(argc, argv);
    bounded_by_bytes(argc, argv);
    slices(argc, argv);
    return rich_end(argc, argv);
}

int main(void)
{
    weft_message *m;

    CHECK_EQ(weft_send(WEFT_NOID, NULL, 0, NULL), -EPERM);
    CHECK_EQ(weft_receive(&m, WEFT_NOW), -EPERM);
    CHECK_EQ(weft_msg_alloc(&m, 1), -EPERM);
    run_clean(everything, 1);
    run_clean(everything, 3);
    return 0;
}
