/* Deadlines where the process's monotonic clock is set off from the machine's, time_namespaces(7): the kernel takes a
 * ring's absolute times for the machine's there. Skipped where such a namespace may not be made. */
#include "port/clock_offset.h"
#include "port/uring_bed.h"

/* A deadline passes: neither a hundred thousand seconds too late, which the test's time-out would say, nor too early,
 * which would cost an entry each time. */
static void deadlines_hold(void)
{
    bed b = {0};
    unsigned entries = 0;
    bed_open(&b, NULL);
    CHECK(!bed_ring(&b)->absolute);
    const int64_t until = bed_after(5 * WEFT_MILLISECOND);
    for (; bed_now() < until; entries++)
        weft__port_enter(&b.port, until);
    CHECK(entries < 100);
    CHECK(bed_now() < until + 10 * WEFT_SECOND);
    bed_close(&b);
}

int main(void)
{
    bed b = {0};
    bed_open(&b, NULL); /* or there are no rings here */
    bed_close(&b);
    if (!clock_is_set_off(100000, deadlines_hold))
        SKIP("a time namespace is refused here");
    CHECK(clock_is_set_off(-1, deadlines_hold));
    return 0;
}
