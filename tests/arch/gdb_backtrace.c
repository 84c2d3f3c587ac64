/* What gdb_backtrace.py looks at: contexts that have gone three calls deep.
 * It stops in innermost(), on the stack of one, while another is parked. */
#include "stacks.h"

static weft__context home;
static weft__context parked;
static weft__context running;
static volatile int landmarks;

__attribute__((noinline)) static void innermost(void)
{
    landmarks++;
}

__attribute__((noinline)) static void third(weft__context *self)
{
    if (self == &parked)
        weft__switch(&parked, &home, NULL, NULL);
    else
        innermost();
    landmarks++;
}

__attribute__((noinline)) static void second(weft__context *self)
{
    third(self);
    landmarks++;
}

static void first(void *arg)
{
    weft__context *self = arg;

    second(self);
    weft__switch_last(self, &home, NULL, NULL);
}

int main(void)
{
    test_stack a = test_stack_new(65536), b = test_stack_new(65536);

    weft__context_adopt(&home);
    weft__context_make(&parked, a.lo, a.size, first, &parked);
    weft__switch(&home, &parked, NULL, NULL);
    weft__context_make(&running, b.lo, b.size, first, &running);
    weft__switch(&home, &running, NULL, NULL);
    weft__switch(&home, &parked, NULL, NULL);
    weft__context_drop(&home);
    test_stack_free(&a);
    test_stack_free(&b);
    return landmarks == 5 ? 0 : 1;
}
