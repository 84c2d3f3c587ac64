/* Monitors, links, trapped exits, granted rights: who is told what of an end, and when. */
#include "lane/world.h"

static weft_message *next(void)
{
    weft_message *m;

    CHECK_OK(weft_receive(&m, soon()));
    return m;
}

/* The next message is the end of `lane` by this monitor, of that kind. */
static void expect_down(weft_id lane, weft_id ref, int kind, int result)
{
    weft_message *m = next();
    const weft_down *d = weft_msg_down(m);

    CHECK_EQ(m->kind, WEFT_MSG_DOWN);
    CHECK(d && weft_id_equal(d->exit.lane, lane) && weft_id_equal(d->ref, ref));
    CHECK(weft_id_equal(m->from, lane));
    CHECK_EQ(d->exit.kind, kind);
    CHECK_EQ(d->exit.result, result);
    CHECK_OK(weft_msg_free(m));
}

/* The same of a lane that was dead before: its reason may not be known any more, or not yet. */
static void expect_past(weft_id lane, weft_id ref, int kind, int result)
{
    weft_message *m = next();
    const weft_down *d = weft_msg_down(m);

    CHECK(d && weft_id_equal(d->exit.lane, lane) && weft_id_equal(d->ref, ref));
    CHECK((d->exit.kind == kind && d->exit.result == result) || (d->exit.kind == WEFT_EXIT_UNKNOWN && d->exit.result == 0));
    CHECK_OK(weft_msg_free(m));
}

static void nothing_more(void)
{
    weft_message *m;

    CHECK_EQ(weft_receive(&m, WEFT_NOW), -ETIMEDOUT);
}

/* Waits for a message and returns what it says. */
static int obeys(void *arg)
{
    weft_message *m;
    int result;

    (void)arg;
    const int r = weft_receive(&m, soon());
    if (r < 0)
        return r;
    memcpy(&result, m->data, sizeof result);
    CHECK_OK(weft_msg_free(m));
    return result;
}

static void tell(weft_id lane, int result) { CHECK_OK(weft_send(lane, &result, sizeof result, NULL)); }

static int monitors(int argc, char **argv)
{
    weft_id l, a, b, c, later;
    int r;

    (void)argc, (void)argv;
    CHECK_OK(weft_lane_spawn(&l, obeys, NULL));
    CHECK_OK(weft_monitor(l, &a));
    CHECK_OK(weft_monitor(l, &b));
    CHECK_OK(weft_monitor(l, &c));
    CHECK(!weft_id_equal(a, b));
    CHECK_OK(weft_demonitor(b, 0));
    CHECK_EQ(weft_demonitor(b, 1), -ESRCH);
    tell(l, 3);
    expect_down(l, a, WEFT_EXIT_NORMAL, 3);
    expect_down(l, c, WEFT_EXIT_NORMAL, 3);
    nothing_more();
    CHECK_EQ(weft_demonitor(a, 0), -ESRCH);
    CHECK_OK(weft_monitor(l, &later)); /* it is dead; whether its exit record has come to us yet is another matter */
    expect_past(l, later, WEFT_EXIT_NORMAL, 3);
    CHECK_OK(weft_lane_join(l, &r, soon()));
    CHECK_EQ(r, 3);
    CHECK_OK(weft_monitor(l, &later)); /* and now nobody knows any more */
    expect_down(l, later, WEFT_EXIT_UNKNOWN, 0);
    CHECK_EQ(weft_demonitor(later, 1), -ESRCH);

    CHECK_OK(weft_lane_spawn_with(&l, obeys, NULL, .detached = 1));
    CHECK_OK(weft_monitor(l, &a));
    tell(l, -EIO);
    expect_down(l, a, WEFT_EXIT_ERROR, -EIO); /* and the failure is not passed on: we go on */
    CHECK_OK(weft_canceled());

    CHECK_OK(weft_lane_spawn_with(&l, obeys, NULL, .monitor = &a));
    CHECK_OK(weft_cancel(l));
    expect_down(l, a, WEFT_EXIT_CANCELED, -ECANCELED);
    CHECK_OK(weft_lane_join(l, &r, soon()));

    CHECK_OK(weft_lane_spawn_with(&l, obeys, NULL, .monitor = &a)); /* flush finds it unreceived */
    tell(l, 0);
    CHECK_OK(weft_lane_join(l, &r, soon()));
    CHECK_OK(weft_demonitor(a, 1));
    nothing_more();

    CHECK_EQ(weft_monitor(weft_lane_self(), &a), -EINVAL);
    CHECK_EQ(weft_monitor(WEFT_NOID, &a), -EINVAL);
    CHECK_EQ(weft_monitor(weft_self(), &a), -EINVAL);
    CHECK_EQ(weft_demonitor(WEFT_NOID, 0), -ESRCH);
    CHECK_EQ(weft_demonitor(l, 0), -EINVAL);
    CHECK(!weft_msg_down(NULL));
    return 0;
}

static int takes_monitor(void *arg)
{
    CHECK_EQ(weft_demonitor(*(weft_id *)arg, 1), -EPERM);
    return 0;
}

static int not_theirs(int argc, char **argv)
{
    weft_id l, other, ref;

    (void)argc, (void)argv;
    CHECK_OK(weft_lane_spawn_with(&l, obeys, NULL, .monitor = &ref));
    CHECK_OK(weft_lane_spawn_with(&other, takes_monitor, &ref, .copy = sizeof ref));
    CHECK_OK(weft_lane_join(other, NULL, soon()));
    tell(l, 0);
    expect_down(l, ref, WEFT_EXIT_NORMAL, 0);
    CHECK_OK(weft_lane_join(l, NULL, soon()));
    return 0;
}

/* What does not count in the mailbox comes though that is full. */
static const weft_limits one = {.messages = 1};

static int full_and_told(void *arg)
{
    weft_id l, ref;
    weft_message *m;
    uint32_t n;

    (void)arg;
    CHECK_OK(weft_send_with(weft_lane_self(), NULL, 0, .tag = 1));
    CHECK_OK(weft_lane_spawn_with(&l, obeys, NULL, .monitor = &ref));
    tell(l, 0);
    CHECK_OK(weft_lane_join(l, NULL, soon()));
    CHECK_OK(weft_send_with(weft_lane_self(), NULL, 0, .tag = 2, .full = WEFT_FULL_DROP_OLDEST)); /* drops ours only */
    CHECK_OK(weft_mailbox_info(&n, NULL, NULL));
    CHECK_EQ(n, 1);
    expect_down(l, ref, WEFT_EXIT_NORMAL, 0);
    CHECK_OK(weft_receive(&m, WEFT_NOW));
    CHECK_EQ(m->tag, 2);
    return weft_msg_free(m);
}

static int told_though_full(int argc, char **argv)
{
    weft_id l;
    int r;

    (void)argc, (void)argv;
    CHECK_OK(weft_lane_spawn_with(&l, full_and_told, NULL, .limits = &one));
    CHECK_OK(weft_lane_join(l, &r, soon()));
    CHECK_EQ(r, 0);
    return 0;
}

/* ---- links ---- */

/* b of a pair has made its link when this returns. */
static int links_and_says(void *arg)
{
    const weft_id *ids = arg; /* whom to link with, whom to tell */

    const int r = weft_link(ids[0]);
    CHECK_OK(weft_send(ids[1], &r, sizeof r, NULL));
    return obeys(NULL);
}

static void linked_pair(weft_id *a, weft_id *b)
{
    weft_id ids[2] = {WEFT_NOID, weft_lane_self()};

    CHECK_OK(weft_lane_spawn(a, obeys, NULL));
    ids[0] = *a;
    CHECK_OK(weft_lane_spawn_with(b, links_and_says, ids, .copy = sizeof ids));
    weft_message *m = next();
    CHECK_EQ(*(int *)m->data, 0);
    CHECK_OK(weft_msg_free(m));
}

static int links(int argc, char **argv)
{
    weft_id a, b;
    weft_exit e;

    (void)argc, (void)argv;
    for (int side = 0; side < 2; side++) { /* a failure takes the other along, whoever made the link */
        linked_pair(&a, &b);
        weft_id first = side ? b : a, second = side ? a : b;
        tell(first, -EIO);
        CHECK_OK(weft_lane_join_exit(second, &e, soon()));
        CHECK_EQ(e.kind, WEFT_EXIT_ERROR);
        CHECK_EQ(e.result, -EIO);
        CHECK(weft_id_equal(e.cause, first));
        CHECK_OK(weft_lane_join_exit(first, &e, soon()));
        CHECK(weft_id_equal(e.cause, first));
    }
    linked_pair(&a, &b); /* a normal end does not */
    tell(a, 0);
    CHECK_OK(weft_lane_join_exit(a, &e, soon()));
    tell(b, 0);
    CHECK_OK(weft_lane_join_exit(b, &e, soon()));
    CHECK_EQ(e.kind, WEFT_EXIT_NORMAL);
    linked_pair(&a, &b); /* being cancelled does, as any end that is not normal */
    CHECK_OK(weft_cancel(a));
    CHECK_OK(weft_lane_join_exit(b, &e, soon()));
    CHECK_EQ(e.kind, WEFT_EXIT_CANCELED);
    CHECK_OK(weft_lane_join_exit(a, &e, soon()));
    CHECK_EQ(weft_link(a), -ESRCH);
    CHECK_EQ(weft_unlink(a), -ESRCH);
    CHECK_EQ(weft_link(weft_lane_self()), -EINVAL);
    CHECK_EQ(weft_link(WEFT_NOID), -EINVAL);
    return 0;
}

/* A lane that traps exits gets messages. */
static int trapped(int argc, char **argv)
{
    static const int results[] = {0, -EIO};
    weft_id l;
    weft_message *m;

    (void)argc, (void)argv;
    CHECK_OK(weft_trap_exit(1));
    for (int i = 0; i < 4; i++) {
        const int result = results[i % 2];
        CHECK_OK(weft_lane_spawn_with(&l, obeys, NULL, .linked = i < 2));
        if (i >= 2) {
            CHECK_OK(weft_link(l));
            CHECK_OK(weft_link(l)); /* linking twice is linking once */
        }
        tell(l, result);
        m = next();
        const weft_down *d = weft_msg_down(m);
        CHECK_EQ(m->kind, WEFT_MSG_EXIT);
        CHECK(d && !d->ref.gen && weft_id_equal(d->exit.lane, l));
        CHECK_EQ(d->exit.kind, result ? WEFT_EXIT_ERROR : WEFT_EXIT_NORMAL);
        CHECK_EQ(d->exit.result, result);
        CHECK_OK(weft_msg_free(m));
        CHECK_OK(weft_lane_join(l, NULL, soon()));
        nothing_more();
    }
    CHECK_OK(weft_lane_spawn_with(&l, obeys, NULL, .linked = 1));
    CHECK_OK(weft_unlink(l));
    CHECK_EQ(weft_unlink(l), -ESRCH);
    tell(l, -EIO);
    CHECK_OK(weft_lane_join(l, NULL, soon()));
    nothing_more();
    CHECK_OK(weft_trap_exit(0));
    return 0;
}

/* An own failure goes round a ring of links and ends all of it. */
enum { RING = 20 };

static int part_of_ring(void *arg)
{
    weft_message *m;
    weft_id peer;

    (void)arg;
    CHECK_OK(weft_receive(&m, soon()));
    memcpy(&peer, m->data, sizeof peer);
    CHECK_OK(weft_link(peer));
    CHECK_OK(weft_reply(m, NULL, 0));
    CHECK_OK(weft_msg_free(m));
    return obeys(NULL);
}

static int ring(int argc, char **argv)
{
    weft_id l[RING];
    weft_message *m;
    weft_exit e;

    (void)argc, (void)argv;
    for (int i = 0; i < RING; i++)
        CHECK_OK(weft_lane_spawn(&l[i], part_of_ring, NULL));
    for (int i = 0; i < RING; i++) {
        CHECK_OK(weft_call(l[i], &l[(i + 1) % RING], sizeof *l, &m, soon()));
        CHECK_OK(weft_msg_free(m));
    }
    tell(l[RING / 2], -EPROTO);
    for (int i = 0; i < RING; i++) {
        CHECK_OK(weft_lane_join_exit(l[i], &e, soon()));
        CHECK_EQ(e.result, -EPROTO);
        CHECK(weft_id_equal(e.cause, l[RING / 2]));
    }
    return 0;
}

/* ---- grants ---- */

static int grants(int argc, char **argv)
{
    weft_id l, to;

    (void)argc, (void)argv;
    CHECK_OK(weft_lane_spawn(&l, obeys, NULL));
    CHECK_OK(weft_lane_spawn(&to, obeys, NULL));
    CHECK_OK(weft_grant(l, to, WEFT_RIGHT_CANCEL));
    CHECK_OK(weft_grant(l, to, WEFT_RIGHT_CANCEL | WEFT_RIGHT_JOIN));
    CHECK_OK(weft_grant(l, to, 0));
    CHECK_OK(weft_grant(l, to, 0));
    CHECK_EQ(weft_grant(l, to, 64), -EINVAL);
    CHECK_EQ(weft_grant(l, l, WEFT_RIGHT_CANCEL), -EINVAL);
    CHECK_OK(weft_grant(weft_lane_self(), to, WEFT_RIGHT_CANCEL));
    tell(to, 0);
    CHECK_OK(weft_lane_join(to, NULL, soon()));
    CHECK_EQ(weft_grant(l, to, WEFT_RIGHT_CANCEL), -ESRCH);
    tell(l, 0);
    CHECK_OK(weft_lane_join(l, NULL, soon()));
    return 0;
}

static int grants_others(void *arg)
{
    CHECK_EQ(weft_grant(*(weft_id *)arg, weft_lane_self(), WEFT_RIGHT_CANCEL), -EPERM);
    return 0;
}

static int not_theirs_to_grant(int argc, char **argv)
{
    weft_id l, self = weft_lane_self();

    (void)argc, (void)argv;
    CHECK_OK(weft_lane_spawn_with(&l, grants_others, &self, .copy = sizeof self));
    CHECK_OK(weft_lane_join(l, NULL, soon()));
    return 0;
}

static int everything(int argc, char **argv)
{
    monitors(argc, argv);
    not_theirs(argc, argv);
    told_though_full(argc, argv);
    links(argc, argv);
    trapped(argc, argv);
    ring(argc, argv);
    grants(argc, argv);
    return not_theirs_to_grant(argc, argv);
}

int main(void)
{
    CHECK_EQ(weft_monitor(WEFT_NOID, NULL), -EPERM);
    CHECK_EQ(weft_link(WEFT_NOID), -EPERM);
    CHECK_EQ(weft_trap_exit(1), -EPERM);
    CHECK_EQ(weft_grant(WEFT_NOID, WEFT_NOID, 0), -EPERM);
    run_clean(everything, 1);
    run_clean(everything, 3);
    return 0;
}
