/* The dining philosophers. Each takes the fork to the left, then the one to the right. Once all have taken the first,
 * nobody will ever have the second: the program does not hang, it says who waits for what, and ends with
 * WEFT_EXIT_DEADLOCK. With `ordered`, the last one takes them the other way round, and all eat.
 *
 *     philosophers [ordered]
 *
 * The forks are semaphores, which have no owner. With mutexes the one who would close the circle is refused instead
 * (-EDEADLK) and may put his first fork back. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <weft/weft.h>

enum { SEATS = 5, MEALS = 100 };

static weft_semaphore fork_at[SEATS];
static weft_barrier table;
static int ordered;

static int dines(void *arg)
{
    intptr_t seat = (intptr_t)arg;
    weft_semaphore *first = &fork_at[seat], *second = &fork_at[(seat + 1) % SEATS];
    if (ordered && seat == SEATS - 1) {
        weft_semaphore *swap = first;
        first = second;
        second = swap;
    }
    for (int meal = 0; meal < MEALS; meal++) {
        int r = weft_semaphore_acquire(first, 1, WEFT_NEVER);
        if (r == 0 && !ordered)
            r = weft_barrier_wait(&table, WEFT_NEVER); /* what may happen one day happens now: everybody has one fork */
        if (r >= 0)
            r = weft_semaphore_acquire(second, 1, WEFT_NEVER);
        if (r < 0)
            return r;
        weft_semaphore_release(second, 1);
        weft_semaphore_release(first, 1);
    }
    return 0;
}

static int start(int argc, char **argv)
{
    static const char *const names[SEATS] = {"Plato", "Konfuzius", "Socrates", "Voltaire", "Descartes"};
    weft_id philosopher[SEATS];
    ordered = argc > 1 && strcmp(argv[1], "ordered") == 0;
    weft_barrier_init(&table, SEATS);
    for (int i = 0; i < SEATS; i++)
        weft_semaphore_init(&fork_at[i], 1);
    for (intptr_t i = 0; i < SEATS; i++) {
        int r = weft_lane_spawn_with(&philosopher[i], dines, (void *)i, .name = names[i]);
        if (r < 0)
            return r;
    }
    for (int i = 0; i < SEATS; i++) {
        int result, r = weft_lane_join(philosopher[i], &result, WEFT_NEVER);
        if (r < 0 || result < 0)
            return r < 0 ? r : result;
    }
    printf("%d philosophers ate %d times\n", SEATS, MEALS);
    return 0;
}

int main(int argc, char **argv) { return weft_main(start, argc, argv, NULL); }
