/* Memory in which an alarm is set, or its event, is not given back: a checked build ends with the name of the lane. */
#include "child.h"
#include "world.h"

static weft_event forever;

static int frees_an_alarm(void *arg)
{
    weft_alarm *a = weft_calloc(4, sizeof *a);

    (void)arg;
    CHECK_OK(weft_alarm_set(&a[3], &forever, weft_after(3600 * WEFT_SECOND)));
    weft_free(a);
    return 0;
}

static int frees_an_event(void *arg)
{
    weft_alarm *a = weft_calloc(40, sizeof *a);
    weft_event *e = weft_calloc(1, sizeof *e);

    (void)arg;
    for (int i = 0; i < 40; i++)
        CHECK_OK(weft_alarm_set(&a[i], i == 23 ? e : &forever, weft_after((3600 + i * 7 % 11) * WEFT_SECOND)));
    weft_free(e);
    return 0;
}

static int cuts_a_block_short(void *arg)
{
    const size_t n = 4096;
    weft_alarm *a = weft_calloc(n, sizeof *a);

    (void)arg;
    CHECK_OK(weft_alarm_set(&a[n - 1], &forever, weft_after(3600 * WEFT_SECOND)));
    a = weft_realloc(a, 3000 * sizeof *a);
    return a != NULL;
}

static int returns(void *arg)
{
    weft_alarm a = {{0}};

    (void)arg;
    return weft_alarm_set(&a, &forever, weft_after(3600 * WEFT_SECOND));
}

static int returns_beside_others(void *arg)
{
    weft_id f;

    (void)arg;
    CHECK_OK(weft_spawn(&f, returns, NULL));
    return weft_join(f, NULL, WEFT_NEVER);
}

static const struct { int (*fn)(void *); const char *says; } misuses[] = {
    {frees_an_alarm, "a block of its memory was freed"},
    {frees_an_event, "a block of its memory was freed"},
    {cuts_a_block_short, "a block of its memory was cut short"},
    {returns, "a fiber has returned"},
    {returns_beside_others, "a fiber has returned"}};
enum { MISUSES = sizeof misuses / sizeof *misuses };

static int now;

static int misuse(int argc, char **argv)
{
    weft_id l;

    (void)argc, (void)argv;
    CHECK_OK(weft_lane_spawn_with(&l, misuses[now].fn, NULL, .name = "careless"));
    return weft_lane_join(l, NULL, soon());
}

static int in_child(void *which)
{
    now = (int)(intptr_t)which;
    return run_main(misuse, 1);
}

static void is_told(int which)
{
    static char text[1 << 14];
    const int status = child_says(in_child, (void *)(intptr_t)which, text, sizeof text);

    if (!strstr(text, "lane \"careless\" (spawned at tests/sync/alarms_told.c:") ||
        !strstr(text, misuses[which].says) || !strstr(text, " while the alarm at 0x"))
        TEST_FAIL("it was to say \"%s\", and said: %s", misuses[which].says, text);
    CHECK(!ended_well(status));
}

/* The same with the alarm stopped, or rung, before. */
static void stops_it(void *alarm) { CHECK_EQ(weft_alarm_stop(alarm), 1); }

static int careful(int argc, char **argv)
{
    weft_alarm *a = weft_calloc(2, sizeof *a), *kept = weft_calloc(1, sizeof *kept);
    weft_event *e = weft_calloc(1, sizeof *e);

    (void)argc, (void)argv;
    CHECK_OK(weft_alarm_set(&a[0], e, weft_after(3600 * WEFT_SECOND)));
    CHECK_EQ(weft_alarm_stop(&a[0]), 1);
    CHECK_OK(weft_alarm_set(&a[1], e, weft_after(WEFT_MILLISECOND)));
    CHECK_OK(weft_event_wait(e, WEFT_NEVER));
    weft_free(a);
    weft_free(e);
    CHECK_OK(weft_defer(stops_it, kept));
    CHECK_OK(weft_alarm_set(kept, &forever, weft_after(3600 * WEFT_SECOND)));
    return 0;
}

int main(void)
{
#ifdef WEFT_CHECKED
    for (int i = 0; i < MISUSES; i++) /* while there is no other thread */
        is_told(i);
#else
    (void)is_told;
#endif
    run_clean(careful, 1);
    return 0;
}
