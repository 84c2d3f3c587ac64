/* weft_main: a program that is all weft, and its exit status. */
#include "lane/world.h"

static int result, given_argc, lanes_ended;

static int later(void *arg)
{
    (void)arg;
    const int r = weft_sleep(weft_after(2 * WEFT_MILLISECOND));
    CHECK(r == 0 || (r == -ECANCELED && result < 0));
    bump(&lanes_ended);
    return 0;
}

static int start(int argc, char **argv)
{
    given_argc = argc;
    CHECK(strcmp(argv[0], "program") == 0);
    CHECK(weft_current() != NULL);
    CHECK(strcmp(weft_name(), "main") == 0);
    CHECK_EQ(weft_init(NULL), -EALREADY);
    CHECK_EQ(weft_fini(WEFT_NEVER), -EPERM);
    for (int i = 0; i < 5; i++)
        CHECK_OK(weft_lane_spawn(NULL, later, NULL));
    for (int i = 0; i < 5; i++)
        CHECK_OK(weft_spawn(NULL, later, NULL));
    return result;
}

static int stops_itself(int argc, char **argv)
{
    (void)argc, (void)argv;
    CHECK_OK(weft_stop(weft_current()));
    CHECK_EQ(weft_sleep(WEFT_NEVER), -ECANCELED);
    return 3;
}

int main(void)
{
    static spy s;
    char *argv[] = {"program", "argument", NULL};
    weft_options opt = {.workers = 2, .env = spy_open(&s), .blocked_ns = -1};

    result = 0;
    CHECK_EQ(weft_main(start, 2, argv, &opt), 0);
    CHECK_EQ(given_argc, 2);
    CHECK_EQ(get(&lanes_ended), 10); /* it waits for all it made */
    SPY_SILENT(&s);
    result = 42;
    CHECK_EQ(weft_main(start, 2, argv, &opt), 42);
    SPY_SILENT(&s);
    CHECK_EQ(weft_main(stops_itself, 2, argv, &opt), 3);
    result = -ENOENT; /* takes the others along, and is printed */
    CHECK_EQ(weft_main(start, 2, argv, &opt), 1);
    SPY_SAYS(&s, weft_strerror(-ENOENT));
    CHECK_EQ(weft_main(NULL, 2, argv, &opt), 1);
    SPY_SAYS(&s, weft_strerror(-EINVAL));
    opt.port = "nothing like it";
    CHECK_EQ(weft_main(start, 2, argv, &opt), 1);
    spy_close(&s);
    return 0;
}
