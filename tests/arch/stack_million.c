/* A great many contexts alive at once, each parked on a guarded stack of its own (the number is given):
 * few mappings, so that the kernel's default limit on them does not matter, and at most 4.9 KiB of
 * memory each, page tables included. */
#include "arch/switch.h"
#include "env/posix.h"
#include "fiber/stack.h"

#include "base/check.h"
#include "test.h"

#include <errno.h>

#define BYTES_MAX 5017 /* 4.9 KiB */

static weft__context home;
static size_t running;

typedef struct sleeper {
    weft__context context;
    weft__stack *stack;
} sleeper;

static void sleep_once(void *arg)
{
    sleeper *me = arg;
    volatile char room[256];

    room[0] = 1;
    running++;
    weft__switch(&me->context, &home, NULL, NULL);
    CHECK_EQ(room[0], 1);
    running--;
    weft__switch_last(&me->context, &home, NULL, NULL);
}

static size_t status_kib(const char *what)
{
    char line[256];
    unsigned long value = 0;
    FILE *f = fopen("/proc/self/status", "r");

    if (f == NULL)
        return 0;
    while (fgets(line, sizeof line, f) != NULL)
        if (strncmp(line, what, strlen(what)) == 0)
            (void)sscanf(line + strlen(what), ": %lu", &value);
    fclose(f);
    return value;
}

static size_t mappings(void)
{
    size_t n = 0;
    FILE *f = fopen("/proc/self/maps", "r");

    if (f == NULL)
        return 0;
    for (int c; (c = fgetc(f)) != EOF;)
        n += c == '\n';
    fclose(f);
    return n;
}

static size_t memory_kib(void)
{
    return status_kib("VmRSS") + status_kib("VmPTE");
}

int main(int argc, char **argv)
{
    size_t count = argc > 1 ? strtoul(argv[1], NULL, 10) : 100000;
    const weft_env *env = weft_env_posix();
    weft__stack_depot depot;
    weft__stack_pool pool;
    weft__stack *s;
    int watched = WEFT__ASAN || WEFT__TSAN;

    CHECK_OK(weft__stack_depot_init(&depot, env, NULL));
    weft__stack_pool_init(&pool, &depot);
    CHECK_OK(weft__stack_get(&pool, 0, &s)); /* finds out how guards are made */
    weft__stack_put(&pool, s);
    int cheap = weft__posix_guard_kind() == WEFT__GUARD_MADVISE;
    if ((watched || !cheap) && count > 2000)
        count = 2000; /* a sanitizer's own memory for each, or two mappings for each */

    sleeper *all = calloc(count, sizeof *all);
    CHECK(all != NULL);
    memset(all, 0, count * sizeof *all);
    weft__context_adopt(&home);
    size_t before = memory_kib();
    for (size_t i = 0; i < count; i++) {
        CHECK_OK(weft__stack_get(&pool, 0, &all[i].stack));
        all[i].stack->owner = &all[i];
        weft__context_make(&all[i].context, all[i].stack->lo, all[i].stack->size, sleep_once, &all[i]);
        weft__switch(&home, &all[i].context, NULL, NULL);
    }
    CHECK_EQ(running, count);
    size_t each = (memory_kib() - before) * 1024 / count;
    size_t maps = mappings();
    printf("%zu stacks: %zu bytes each, page tables included; %zu mappings\n", count, each, maps);
    if (cheap && !watched && maps > 0) {
        CHECK(maps < 1000);
        if (env->page_size == 4096 && count >= 10000)
            CHECK(each <= BYTES_MAX);
    }

    for (size_t i = 0; i < count; i += count / 1000 + 1) { /* guards are where they are said to be */
        const weft__stack *found;
        CHECK_EQ(weft__stack_find(&depot, (uintptr_t)all[i].stack->lo - 1, &found), WEFT__STACK_GUARD);
        CHECK(found == all[i].stack && found->owner == &all[i]);
    }
    for (size_t i = 0; i < count; i++) {
        weft__switch(&home, &all[i].context, NULL, NULL);
        weft__stack_put(&pool, all[i].stack);
    }
    CHECK_EQ(running, 0);
    weft__stack_pool_fini(&pool);
    size_t full = memory_kib();
    size_t made, idle, reserved;
    weft__stack_depot_count(&depot, &made, &idle, &reserved);
    CHECK(made == idle && made >= count && made < count + 64);
    CHECK_EQ(weft__stack_depot_trim(&depot, 0), made);
    CHECK(watched || count < 10000 || memory_kib() < full / 2 + before);
    weft__stack_depot_fini(&depot);
    weft__context_drop(&home);
    free(all);
    return 0;
}
