/* What a lane has can be listed and described, all of it, whichever way it got it; nobody else is told; no part of an
 * id is a descriptor; and when the lane has ended, however it did, every id of it is stale. */
#include <fcntl.h>

#include "lane/lives.h"
#include "lane/estate.h"

enum { MANY = 64 };

static int among(const weft_id *ids, int n, weft_id id)
{
    for (int i = 0; i < n; i++)
        if (weft_id_equal(ids[i], id))
            return 1;
    return 0;
}

/* ---- listing ---- */

static int lists_everything(void *arg)
{
    static estate e;
    weft_id ids[MANY], few[3], lane, there;
    int expected = 2; /* this fiber, and the peer */

    (void)arg;
    CHECK_EQ(weft_id_list(NULL, 0), 1);
    CHECK_EQ(weft_id_list(NULL, 1), -EINVAL);
    estate_make(&e);
    for (unsigned k = 0; k <= WEFT_ID_MONITOR; k++)
        expected += estate_has(k);
    int n = weft_id_list(ids, MANY);
    CHECK_EQ(n, expected);
    for (unsigned k = 0; k <= WEFT_ID_MONITOR; k++) {
        CHECK(!estate_has(k) || among(ids, n, e.id[k]));
        CHECK(!estate_has(k) || weft_id_kind(e.id[k]) == (enum weft_id_kind)k);
    }
    CHECK(among(ids, n, e.peer));
    CHECK(among(ids, n, weft_self()));
    for (int i = 0; i < n; i++)
        CHECK(!among(ids, i, ids[i])); /* none twice */
    CHECK_EQ(weft_id_list(few, 3), n); /* and no more than there is room for is written */
    CHECK(weft_id_equal(few[2], ids[2]));

    /* What goes leaves the list, at once. */
    CHECK_OK(weft_close(e.peer));
    CHECK_OK(weft_slice_drop((weft_slice){e.id[WEFT_ID_SLICE]}));
    CHECK_OK(weft_alias_close(e.id[WEFT_ID_ALIAS]));
    CHECK_OK(weft_demonitor(e.id[WEFT_ID_MONITOR], 1));
    CHECK_OK(weft_lane_spawn(&lane, estate_parks, NULL));
    CHECK_OK(weft_give(e.id[WEFT_ID_FILE], lane, &there, SOON));
    n = weft_id_list(ids, MANY);
    CHECK_EQ(n, expected - 5 + 1);
    CHECK(!among(ids, n, e.peer) && !among(ids, n, e.id[WEFT_ID_SLICE]) && !among(ids, n, e.id[WEFT_ID_ALIAS]));
    CHECK(!among(ids, n, e.id[WEFT_ID_MONITOR]) && !among(ids, n, e.id[WEFT_ID_FILE]) && !among(ids, n, there));
    CHECK_OK(weft_cancel(e.id[WEFT_ID_FIBER]));
    CHECK_OK(weft_cancel(e.id[WEFT_ID_LANE]));
    CHECK_OK(weft_cancel(lane));
    CHECK_OK(weft_join(e.id[WEFT_ID_FIBER], NULL, SOON));
    CHECK_OK(weft_lane_join(e.id[WEFT_ID_LANE], NULL, SOON));
    CHECK_OK(weft_lane_join(lane, NULL, SOON));
    CHECK_EQ(weft_id_list(ids, MANY), expected - 5 - 2);
    return 0;
}

/* What was given to a lane is in its list before it has used it. */
static int finds_what_it_was_given(void *arg)
{
    weft_id ids[MANY];
    weft_message *m;
    weft_id_info i;

    (void)arg;
    CHECK_OK(weft_receive(&m, SOON)); /* it has been given */
    CHECK_OK(weft_msg_free(m));
    const int n = weft_id_list(ids, MANY);
    CHECK_EQ(n, 3); /* this fiber, a timer, a listener */
    for (int k = 1; k < n; k++) {
        CHECK_OK(weft_id_inspect(ids[k], &i));
        CHECK(weft_id_equal(i.owner, weft_lane_self()));
        CHECK_OK(weft_close(ids[k]));
    }
    return 0;
}

static int lists_gifts(void *arg)
{
    weft_id lane, t, l;
    int r;

    (void)arg;
    CHECK_OK(weft_lane_spawn(&lane, finds_what_it_was_given, NULL));
    CHECK_OK(weft_timer_open(&t));
    CHECK_OK(weft_listen(&l, test_address(), NULL));
    CHECK_OK(weft_give(t, lane, NULL, SOON));
    CHECK_OK(weft_give(l, lane, NULL, SOON));
    CHECK_OK(weft_send(lane, "", 1, NULL));
    CHECK_OK(weft_lane_join(lane, &r, SOON));
    CHECK_EQ(r, 0);
    return 0;
}

/* ---- describing ---- */

static int others_are_told_nothing(void *arg)
{
    const estate *e = *(estate **)arg;
    weft_id_info i;
    char text[300];

    for (unsigned k = 0; k <= WEFT_ID_MONITOR; k++)
        if (estate_has(k)) {
            CHECK_EQ(weft_id_inspect(e->id[k], &i), -EPERM);
            CHECK_EQ(weft_id_describe(e->id[k], text, sizeof text), -EPERM);
        }
    CHECK_EQ(weft_id_inspect(e->lane, &i), -EPERM); /* the parent's */
    CHECK_EQ(weft_id_inspect(e->self, &i), -EPERM);
    return 0;
}

/* The line says each of these, separated by |. */
static void says(weft_id id, const char *expected)
{
    char text[400], small[8], want[64];
    const int n = weft_id_describe(id, text, sizeof text);

    CHECK_OK(n);
    CHECK_EQ(n, strlen(text));
    CHECK_EQ(weft_id_describe(id, NULL, 0), n);
    CHECK_EQ(weft_id_describe(id, small, sizeof small), n);
    CHECK_EQ(strlen(small), sizeof small - 1);
    CHECK(memcmp(small, text, sizeof small - 1) == 0);
    for (const char *p = expected, *end; *p; p = *end ? end + 1 : end) {
        end = strchr(p, '|') ? strchr(p, '|') : p + strlen(p);
        snprintf(want, sizeof want, "%.*s", (int)(end - p), p);
        if (!strstr(text, want))
            TEST_FAIL("\"%s\" does not say \"%s\"", text, want);
    }
}

static int describes_every_kind(void *arg)
{
    static estate e;
    estate *at = &e;
    char mine[WEFT_ADDR_TEXT], theirs[WEFT_ADDR_TEXT], both[2 * WEFT_ADDR_TEXT + 80];
    weft_addr a;
    weft_id_info i;
    weft_id lane, more;
    int r;

    (void)arg;
    estate_make(&e);
    CHECK_OK(weft_local_addr(e.id[WEFT_ID_SOCKET], &a));
    weft_addr_format(&a, mine, sizeof mine);
    CHECK_OK(weft_peer_addr(e.id[WEFT_ID_SOCKET], &a));
    weft_addr_format(&a, theirs, sizeof theirs);
    snprintf(both, sizeof both, "%s -> %s|socket|lane \"describes_every_kind\"|open| by ", mine, theirs);
    says(e.id[WEFT_ID_SOCKET], both);
    CHECK_OK(weft_local_addr(e.id[WEFT_ID_LISTENER], &a));
    weft_addr_format(&a, mine, sizeof mine);
    snprintf(both, sizeof both, "%s|listener|lane \"|open| by ", mine);
    says(e.id[WEFT_ID_LISTENER], both);
    says(e.id[WEFT_ID_FILE], "file|/proc/self/status|lane \"|open| by ");
    says(e.id[WEFT_ID_DIR], "directory|/proc/self|lane \"|open| by ");
    says(e.id[WEFT_ID_TIMER], "timer|lane \"|not set");
    CHECK_OK(weft_timer_set(e.id[WEFT_ID_TIMER], weft_after(WEFT_SECOND), 5));
    says(e.id[WEFT_ID_TIMER], "timer|lane \"|due in");
    says(e.id[WEFT_ID_FIBER], "fiber|estate_parks|spawned at|estate.h|lane \"|parked");
    says(e.self, "fiber|running");
    says(e.id[WEFT_ID_LANE], "lane|\"the child\"|spawned at|child of \"describes_every_kind\"");
    says(e.lane, "lane|describes_every_kind|child of \"root\"|alive");
    says(e.id[WEFT_ID_BLOCK], "block|100 bytes|being filled");
    says(e.id[WEFT_ID_SLICE], "slice|6 bytes|immutable");
    says(e.id[WEFT_ID_ROPE], "rope|5 bytes");
    says(e.id[WEFT_ID_ALIAS], "alias|open");
    says(e.id[WEFT_ID_MONITOR], "monitor|watching lane ");

    for (unsigned k = 0; k <= WEFT_ID_MONITOR; k++)
        if (estate_has(k)) {
            CHECK_OK(weft_id_inspect(e.id[k], &i));
            CHECK(weft_id_equal(i.owner, e.lane) && i.kind == (enum weft_id_kind)k && i.state && weft_id_equal(i.id, e.id[k]));
        }
    CHECK_OK(weft_id_inspect(e.id[WEFT_ID_MONITOR], &i));
    CHECK(weft_id_equal(i.watched, e.id[WEFT_ID_LANE]));
    CHECK_OK(weft_id_inspect(e.id[WEFT_ID_SOCKET], &i));
    CHECK(i.driver && i.handles == 1 && i.ops == 0 && i.via != WEFT_PATH_NONE);

    CHECK_OK(weft_dup(e.id[WEFT_ID_FILE], &more));
    says(e.id[WEFT_ID_FILE], "shared by 2 ids");
    says(more, "/proc/self/status|shared by 2 ids");
    CHECK_OK(weft_close(e.id[WEFT_ID_FILE]));
    says(more, "/proc/self/status"); /* kept by the one that was opened first */
    e.id[WEFT_ID_FILE] = more;

    for (int pinned = 0; pinned < 2; pinned++) {
        CHECK_OK(weft_lane_spawn_with(&lane, others_are_told_nothing, &at, .copy = sizeof at, .pinned = pinned));
        CHECK_OK(weft_lane_join(lane, &r, SOON));
        CHECK_EQ(r, 0);
    }
    CHECK_EQ(weft_id_inspect(e.peer, NULL), -EINVAL);
    CHECK_EQ(weft_id_describe(e.peer, NULL, 5), -EINVAL);
    CHECK_EQ(weft_id_inspect(WEFT_NOID, &i), -EBADF);
    CHECK_OK(weft_cancel(e.id[WEFT_ID_FIBER]));
    CHECK_OK(weft_cancel(e.id[WEFT_ID_LANE]));
    CHECK_OK(weft_join(e.id[WEFT_ID_FIBER], NULL, SOON));
    CHECK_OK(weft_lane_join(e.id[WEFT_ID_LANE], NULL, SOON));
    CHECK_EQ(weft_id_inspect(e.id[WEFT_ID_FIBER], &i), -ESRCH);
    CHECK_EQ(weft_id_inspect(e.id[WEFT_ID_LANE], &i), -ESRCH);
    CHECK_OK(weft_close(e.id[WEFT_ID_SOCKET]));
    CHECK_EQ(weft_id_inspect(e.id[WEFT_ID_SOCKET], &i), -EBADF);
    return 0;
}

static int one_byte(void *arg)
{
    char c;
    return (int)weft_read(*(weft_id *)arg, &c, 1, SOON);
}

static int one_buffer(void *arg)
{
    weft_buffer b;
    const ssize_t n = weft_read_buffer(*(weft_id *)arg, &b, SOON);

    if (n > 0)
        weft_port_release(&b);
    return (int)n;
}

static int tells_what_is_in_flight(void *arg)
{
    weft_id a, b, f, t;
    weft_id_info i;

    (void)arg;
    connect_pair(&a, &b);
    CHECK_OK(weft_spawn(&f, one_byte, &a));
    CHECK_OK(weft_yield());
    CHECK_OK(weft_id_inspect(a, &i));
    CHECK_EQ(i.ops, 1);
    says(a, "1 in flight");
    says(f, "waiting for an operation");
    CHECK_EQ(weft_write(b, "x", 1, SOON), 1);
    CHECK_OK(weft_join(f, NULL, SOON));
    CHECK_OK(weft_id_inspect(a, &i));
    CHECK_EQ(i.ops, 0);
    CHECK_OK(weft_spawn(&t, one_buffer, &a));
    CHECK_OK(weft_yield());
    says(a, "streaming");
    CHECK_EQ(weft_write(b, "x", 1, SOON), 1);
    CHECK_OK(weft_join(t, NULL, SOON));
    return 0;
}

/* A path that is longer than there is room for keeps its end. */
static int keeps_the_end_of_long_paths(void *arg)
{
    char path[300] = "/proc/self";
    weft_id_info i;
    weft_id f;

    (void)arg;
    while (strlen(path) < 200)
        strcat(path, "/../self");
    strcat(path, "/status");
    CHECK_OK(weft_open(&f, path, WEFT_OPEN_READ, 0, SOON));
    CHECK_OK(weft_id_inspect(f, &i));
    CHECK_EQ(strlen(i.path), sizeof i.path - 1);
    CHECK(memcmp(i.path, "...", 3) == 0);
    CHECK(strcmp(i.path + 3, path + strlen(path) - (sizeof i.path - 4)) == 0);
    says(f, "self/status");
    return 0;
}

/* ---- no descriptors ---- */

static void no_descriptor(long long n)
{
    if (n >= INT32_MIN && n <= INT32_MAX)
        CHECK(fcntl((int)n, F_GETFD) < 0);
}

static void no_part_is_one(weft_id id)
{
    int32_t half[2];
    int64_t all;

    _Static_assert(sizeof id == 8, "an id has two halves");
    memcpy(half, &id, sizeof half);
    memcpy(&all, &id, sizeof all);
    no_descriptor((int32_t)id.key);
    no_descriptor(id.ns);
    no_descriptor(id.gen);
    no_descriptor(half[0]);
    no_descriptor(half[1]);
    no_descriptor(all);
    no_descriptor((int)all);
    CHECK(half[0] < 0 && half[1] < 0);
}

static int no_id_is_a_descriptor(void *arg)
{
    static estate e;
    weft_id ids[MANY], l[50];

    (void)arg;
    estate_make(&e);
    const int n = weft_id_list(ids, MANY);
    for (int i = 0; i < n; i++)
        no_part_is_one(ids[i]);
    for (int round = 0; round < 3; round++) { /* the next generations, beside fifty open descriptors */
        for (int i = 0; i < 50; i++)
            CHECK_OK(weft_listen(&l[i], test_address(), NULL));
        for (int i = 0; i < 50; i++)
            no_part_is_one(l[i]);
        for (int i = 0; i < 50; i++)
            CHECK_OK(weft_close(l[i]));
    }
    CHECK_OK(weft_cancel(e.id[WEFT_ID_FIBER]));
    CHECK_OK(weft_cancel(e.id[WEFT_ID_LANE]));
    CHECK_OK(weft_join(e.id[WEFT_ID_FIBER], NULL, SOON));
    CHECK_OK(weft_lane_join(e.id[WEFT_ID_LANE], NULL, SOON));
    return 0;
}

int main(int argc, char **argv)
{
    static const test_case cases[] = {
        CASE(lists_everything), CASE(lists_gifts), CASE(describes_every_kind), CASE(tells_what_is_in_flight),
        CASE(keeps_the_end_of_long_paths), CASE(no_id_is_a_descriptor),
    };
    weft_id_info i;
    char text[10];

    CHECK_EQ(weft_id_list(NULL, 0), -EPERM); /* no fiber */
    CHECK_EQ(weft_id_inspect(WEFT_NOID, &i), -EPERM);
    CHECK_EQ(weft_id_describe(WEFT_NOID, text, sizeof text), -EPERM);
    CHECK_EQ(weft_id_kind(WEFT_NOID), WEFT_ID_NONE);
    CHECK(strcmp(weft_id_kind_name(WEFT_NOID), "none") == 0);
    return RUN_IN_FEW_LIVES_TOO(cases, argc, argv);
}
