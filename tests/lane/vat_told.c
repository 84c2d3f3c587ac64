/* Rule 13 for a lane's memory: what must not be freed is told with the names of the lanes, has no effect, and ends
 * the program in a checked build; so do writing behind a block and freeing what an operation in flight uses. Each
 * case runs in a process of its own. */
#include <signal.h>

#include "child.h"
#include "lane/vat.h"
#include "lane/world.h"

static void *handed;
static int ready, done;

static int owner(void *arg)
{
    (void)arg;
    handed = weft_alloc(100);
    CHECK(handed != NULL);
    put(&ready, 1);
    while (!get(&done))
        CHECK_OK(weft_sleep(weft_after(WEFT_MILLISECOND)));
    CHECK_EQ(weft_alloc_size(handed) >= 100, 1);
    weft_free(handed); /* it is still its own */
    return 0;
}

static void with_owner(void (*misuse)(void))
{
    weft_id lane;
    int result;
    CHECK_OK(weft_lane_spawn_with(&lane, owner, NULL, .name = "owner"));
    while (!get(&ready))
        CHECK_OK(weft_sleep(weft_after(WEFT_MILLISECOND)));
    misuse();
    put(&done, 1);
    CHECK_OK(weft_lane_join(lane, &result, WEFT_NEVER));
    CHECK_OK(result);
}

static void frees_it(void) { weft_free(handed); }

static void resizes_it(void) { CHECK(weft_realloc(handed, 5000) == NULL); }

static void asks_for_its_size(void) { CHECK_EQ(weft_alloc_size(handed), 0); }

static void *frees_outside(void *arg)
{
    weft_free(handed);
    return arg;
}

static void frees_on_a_thread(void)
{
    pthread_t t = thread_of(frees_outside, NULL);
    CHECK_EQ(pthread_join(t, NULL), 0);
}

static int wrong_lane(int argc, char **argv) { return (void)argc, (void)argv, with_owner(frees_it), 0; }
static int wrong_lane_resizes(int argc, char **argv) { return (void)argc, (void)argv, with_owner(resizes_it), 0; }
static int wrong_lane_asks(int argc, char **argv) { return (void)argc, (void)argv, with_owner(asks_for_its_size), 0; }
static int no_lane(int argc, char **argv) { return (void)argc, (void)argv, with_owner(frees_on_a_thread), 0; }

/* Two blocks, so that the page stays; one of the first page, one of a class's, one of chunks. */
static void twice(size_t size)
{
    void *keep = weft_alloc(size), *p = weft_alloc(size), *q;
    CHECK(keep && p);
    weft_free(p);
    weft_free(p);
    q = weft_alloc(size);
    CHECK(q && q != keep && weft_alloc(size) != q); /* not handed out twice for it */
}

static int twice_small(int argc, char **argv) { return (void)argc, (void)argv, twice(40), 0; }
static int twice_ordinary(int argc, char **argv) { return (void)argc, (void)argv, twice(1000), 0; }

static int twice_large(int argc, char **argv)
{
    (void)argc, (void)argv;
    void *p = weft_alloc(200000);
    weft_free(p);
    weft_free(p);
    return 0;
}

static int inside(int argc, char **argv)
{
    (void)argc, (void)argv;
    char *p = weft_alloc(200000);
    weft_free(p + 32);
    weft_free(p);
    return 0;
}

/* ---- in checked builds only ---- */

static int behind_the_end(int argc, char **argv)
{
    (void)argc, (void)argv;
    volatile char *p = weft_alloc(100);
    p[100] = 1;
    weft_free((void *)p);
    return 0;
}

static weft_id reader;
static void *buffer;

static int reads(void *arg)
{
    weft_id sock = *(weft_id *)arg;
    char *p = weft_alloc(3000);
    buffer = p;
    return (int)weft_read(sock, p, 3000, WEFT_NEVER);
}

static int in_flight(int argc, char **argv)
{
    (void)argc, (void)argv;
    weft_id listener, here, there;
    weft_addr addr;
    char text[WEFT_ADDR_TEXT];
    CHECK_OK(weft_listen(&listener, test_address(), NULL));
    CHECK_OK(weft_local_addr(listener, &addr));
    CHECK_OK(weft_addr_format(&addr, text, sizeof text));
    CHECK_OK(weft_connect(&here, text, soon()));
    CHECK_OK(weft_accept(listener, &there, NULL, soon()));
    CHECK_OK(weft_spawn(&reader, reads, &here));
    while (!buffer)
        CHECK_OK(weft_yield());
    CHECK_OK(weft_sleep(weft_after(WEFT_MILLISECOND)));
    weft_free(buffer);
    CHECK_OK(weft_close(there));
    CHECK_OK(weft_join(reader, NULL, WEFT_NEVER));
    return 0;
}

/* ---- running them ---- */

static struct {
    const char *name;
    int (*fn)(int, char **);
    const char *says, *and;
    int checked_only;
} cases[] = {
    {"wrong_lane", wrong_lane, "weft_free by lane \"root\"", "belongs to lane \"owner\"", 0},
    {"wrong_lane_resizes", wrong_lane_resizes, "weft_realloc by lane \"root\"", "belongs to lane \"owner\"", 0},
    {"wrong_lane_asks", wrong_lane_asks, "weft_alloc_size by lane \"root\"", "belongs to lane \"owner\"", 0},
    {"no_lane", no_lane, "weft_free outside a fiber", "belongs to lane \"owner\"", 0},
    {"twice_small", twice_small, "weft_free by lane \"root\"", "was freed before", 0},
    {"twice_ordinary", twice_ordinary, "weft_free by lane \"root\"", "was freed before", 0},
    {"twice_large", twice_large, "weft_free by lane \"root\"", "was freed before", 0},
    {"inside", inside, "weft_free by lane \"root\"", "is not where a block begins", 0},
    {"behind_the_end", behind_the_end, "", "", 1},
    {"in_flight", in_flight, "memory in flight given back", "op recv", 1},
};

/* In the child: its log goes to the pipe, too. */
static int run(void *arg)
{
    static spy s;
    weft_options opt = {.workers = 2, .env = spy_open(&s), .blocked_ns = -1};
    const int r = run_main_with(cases[*(int *)arg].fn, &opt);
    fputs(s.log, stderr);
    fflush(NULL);
    return r;
}

static void case_is_told(int i)
{
    static char text[1 << 16];
    const int status = child_says(run, &i, text, sizeof text);
    printf("%s: %s", cases[i].name, text);
    if (!strstr(text, cases[i].says) || !strstr(text, cases[i].and))
        TEST_FAIL("%s was to say \"%s\" and \"%s\", and said:\n%s", cases[i].name, cases[i].says, cases[i].and, text);
#ifdef WEFT_CHECKED
    if (ended_well(status))
        TEST_FAIL("%s went on in a checked build", cases[i].name);
#else
    CHECK(ended_well(status));
#endif
}

int main(void)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
#ifndef WEFT_CHECKED
        if (cases[i].checked_only)
            continue;
#endif
        case_is_told((int)i);
    }
    return 0;
}
