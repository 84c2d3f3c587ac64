/* Cases that run twice: with all generations, and with three for each record (two bits), so that records retire. */
#ifndef WEFT_TESTS_LANE_LIVES_H
#define WEFT_TESTS_LANE_LIVES_H

#include "net/cases.h"
#include "sched/slab.h"

static inline int run_in_few_lives_too(const test_case *cases, size_t n, int argc, char **argv)
{
    run_cases(cases, n, argc, argv);
    fprintf(stderr, "with three lives a record:\n");
    weft__slab_lives = 3;
    run_cases(cases, n, argc, argv);
    weft__slab_lives = WEFT__GEN_LIVES;
    return 0;
}

#define RUN_IN_FEW_LIVES_TOO(cases, argc, argv) run_in_few_lives_too((cases), sizeof(cases) / sizeof *(cases), (argc), (argv))

#endif
