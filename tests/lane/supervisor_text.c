/* How a supervision tree reads: as a text, and in the runtime's log. */
#include "lane/supervised.h"

#define OFTEN .intensity = 100, .period_ns = 3600 * WEFT_SECOND

static hand a = {.name = "a"}, b = {.name = "b"}, c = {.name = "c"};

/* Ids differ from run to run: [key.gen] becomes [#]. */
static void without_ids(char *text)
{
    char *out = text;

    for (const char *p = text; *p; p++) {
        *out++ = *p;
        if (*p == '[') {
            *out++ = '#';
            p = strchr(p, ']');
            CHECK(p);
            *out++ = ']';
        }
    }
    *out = 0;
}

static void reads(weft_id s, const char *expected)
{
    char text[2048];
    const ssize_t n = weft_supervisor_format(s, text, sizeof text, soon());

    CHECK_EQ(n, strlen(text));
    without_ids(text);
    if (strcmp(text, expected) != 0)
        TEST_FAIL("it reads\n%sand not\n%s", text, expected);
}

/* However little room there is, it is kept to, and the whole length is told. */
static void cut_short(weft_id s)
{
    char whole[2048], text[2048];
    const ssize_t n = weft_supervisor_format(s, whole, sizeof whole, soon());

    for (size_t size = 0; size < (size_t)n + 3; size++) {
        memset(text, '?', sizeof text);
        CHECK_EQ(weft_supervisor_format(s, size ? text : NULL, size, soon()), n);
        CHECK_EQ(text[size], '?');
        CHECK(size == 0 || strlen(text) == (size <= (size_t)n ? size - 1 : (size_t)n));
        CHECK(size == 0 || strncmp(text, whole, strlen(text)) == 0);
    }
}

static void a_tree(void)
{
    const weft_child_spec instances = {.run = work, .ready = 1, .restart = WEFT_TEMPORARY, .lane.name = "session"};
    const weft_supervisor_spec sessions = {.strategy = WEFT_DYNAMIC, .children = &instances, .count = 1};
    const weft_child_spec inner[] = {
        CHILD(&b, .restart = WEFT_TRANSIENT, .significant = 1), {.id = "sessions", .supervisor = &sessions}};
    const weft_supervisor_spec below =
        SUPERVISOR(inner, .strategy = WEFT_REST_FOR_ONE, .auto_shutdown = WEFT_SHUTDOWN_ANY);
    const weft_child_spec children[] = {CHILD(&a), {.id = "below", .supervisor = &below}};
    const weft_id s = supervisor(&(weft_supervisor_spec)SUPERVISOR(children, OFTEN));
    const weft_id first = lane_of(s, "a");

    CHECK_OK(weft_supervisor_start_dynamic(lane_of(lane_of(s, "below"), "sessions"), &c, 0, NULL, soon()));
    reads(s, "supervisor [#]: one-for-one, 0 of 100 restarts in 3600000 ms, 2 running\n"
             "  a [#] running, permanent\n"
             "  below [#] running, permanent: rest-for-one, 0 of 1 restarts in 5000 ms, 2 running\n"
             "    b [#] running, transient, significant\n"
             "    sessions [#] running, permanent: dynamic, 0 of 1 restarts in 5000 ms, 1 running\n"
             "      session [#] running, temporary\n");
    tell(first, -EIO);
    lane_after(s, "a", first);
    CHECK_OK(weft_supervisor_terminate_child(s, "below", soon()));
    reads(s, "supervisor [#]: one-for-one, 1 of 100 restarts in 3600000 ms, 1 running\n"
             "  a [#] running, permanent, restarted once, last failed: input or output error: the device or the "
             "connection failed (-5)\n"
             "  below stopped, permanent, last was cancelled\n");
    kill_lane(lane_of(s, "a"));
    lane_after(s, "a", first);
    while (child_info(s, "a").restarts < 2)
        CHECK_OK(weft_sleep(weft_after(WEFT_MILLISECOND)));
    lane_after(s, "a", WEFT_NOID);
    reads(s, "supervisor [#]: one-for-one, 2 of 100 restarts in 3600000 ms, 1 running\n"
             "  a [#] running, permanent, restarted 2 times, last was killed\n"
             "  below stopped, permanent, last was cancelled\n");
    cut_short(s);
    CHECK_OK(weft_supervisor_print(s, soon()));
    CHECK(spy_says(&supervised_spy, "one-for-one, 2 of 100 restarts in 3600000 ms, 1 running\n"));
    CHECK(spy_says(&supervised_spy, "  below stopped, permanent, last was cancelled\n"));
    stop_supervisor(s);
    CHECK_EQ(weft_supervisor_format(s, NULL, 0, soon()), -ESRCH);
    CHECK_EQ(weft_supervisor_format(s, NULL, 1, soon()), -EINVAL);
    CHECK_EQ(weft_supervisor_print(s, soon()), -ESRCH);
}

/* A nested one that is not listening holds nobody up beyond the deadline. */
static int deaf(void *arg)
{
    (void)arg;
    CHECK_OK(weft_child_ready(0));
    return weft_sleep(WEFT_NEVER);
}

static void deeper_than_it_indents(void)
{
    enum { DEEP = 20 };
    weft_supervisor_spec spec[DEEP];
    weft_child_spec child[DEEP];
    char text[16384];

    for (int i = 0; i < DEEP; i++) {
        child[i] = i == 0 ? (weft_child_spec){.id = "deaf", .run = deaf, .ready = 1}
                          : (weft_child_spec){.id = "nested", .supervisor = &spec[i - 1]};
        spec[i] = (weft_supervisor_spec){.children = &child[i], .count = 1};
    }
    const weft_id s = supervisor(&spec[DEEP - 1]);
    CHECK(weft_supervisor_format(s, text, sizeof text, soon()) > 0);
    const char *line = text;
    int lines = 0;
    for (; (line = strchr(line, '\n')); line++)
        lines++;
    CHECK_EQ(lines, 17); /* itself, and 16 levels */
    stop_supervisor(s);
}

static int main_fiber(int argc, char **argv)
{
    (void)argc, (void)argv;
    a_tree();
    deeper_than_it_indents();
    return 0;
}

int main(void)
{
    char text[8];

    CHECK_EQ(weft_supervisor_format((weft_id){1, 2, 3}, text, sizeof text, WEFT_NEVER), -EPERM);
    CHECK_EQ(weft_supervisor_print((weft_id){1, 2, 3}, WEFT_NEVER), -EPERM);
    return run_supervised(main_fiber);
}
