/* The simulator's numbers: splitmix64, because its whole state is one word and any seed will do. */
#ifndef WEFT_SIM_RANDOM_H
#define WEFT_SIM_RANDOM_H

#include <stdint.h>

typedef struct sim_random {
    uint64_t state;
} sim_random;

static inline uint64_t sim_random_mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static inline uint64_t sim_random_next(sim_random *r)
{
    r->state += UINT64_C(0x9e3779b97f4a7c15);
    return sim_random_mix(r->state);
}

/* Below n; 0 for n = 0. The bias of the remainder is far below what a schedule could show. */
static inline uint64_t sim_random_below(sim_random *r, uint64_t n)
{
    return n ? sim_random_next(r) % n : 0;
}

static inline int sim_random_one_in(sim_random *r, uint64_t n) { return sim_random_below(r, n) == 0; }

#endif
