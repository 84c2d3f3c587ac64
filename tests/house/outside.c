/* A program of somebody else, built against an installed weft: two fibers pass a token, and the answer is printed. */
#include <weft/weft.h>

#include <stdio.h>

static int turns;

static int child(void *arg)
{
    weft_id parent = *(weft_id *)arg;
    for (int i = 0; i < 3; i++) {
        int r = weft_park(WEFT_NEVER);
        if (r < 0)
            return r;
        turns++;
        r = weft_unpark(parent);
        if (r < 0)
            return r;
    }
    return 0;
}

static int start(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    weft_id self = weft_self();
    weft_id id;
    int r = weft_spawn(&id, child, &self);
    if (r < 0)
        return r;
    for (int i = 0; i < 3; i++) {
        r = weft_unpark(id);
        if (r < 0)
            return r;
        r = weft_park(WEFT_NEVER);
        if (r < 0)
            return r;
    }
    int result = -1;
    r = weft_join(id, &result, WEFT_NEVER);
    if (r < 0)
        return r;
    printf("weft %s: %d turns, result %d\n", weft_version(), turns, result);
    return 0;
}

int main(int argc, char **argv) { return weft_main(start, argc, argv, NULL); }
