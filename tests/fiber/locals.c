/* Fiber-local values: a pointer a key in each fiber, destructors as it ends, and only so many keys. */
#include "lane/world.h"

static unsigned key, plain;
static int destroyed, destroyed_sum;

static void destroy(void *value)
{
    CHECK(weft_current() != NULL); /* on the fiber's own stack, while it still is one */
    CHECK(!weft_id_equal(weft_self(), WEFT_NOID));
    CHECK(weft_local_get(key) == NULL);
    destroyed++;
    destroyed_sum += *(int *)value;
}

static int uses(void *arg)
{
    CHECK(weft_local_get(key) == NULL); /* nothing of whoever had this record or stack before */
    CHECK(weft_local_get(plain) == NULL);
    CHECK_OK(weft_local_set(key, arg));
    CHECK_OK(weft_local_set(plain, &key));
    CHECK_OK(weft_yield());
    CHECK(weft_local_get(key) == arg);
    CHECK(weft_local_get(plain) == &key);
    return 0;
}

static int clears(void *arg)
{
    CHECK_OK(weft_local_set(key, arg));
    CHECK_OK(weft_local_set(key, NULL)); /* NULL is not destroyed */
    return 0;
}

static int run(int argc, char **argv)
{
    weft_id f[50];
    int values[50], sum = 0;

    (void)argc, (void)argv;
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < 50; i++) {
            values[i] = i;
            sum += i;
            CHECK_OK(weft_spawn(&f[i], uses, &values[i]));
            if (i == 49)
                for (int k = 0; k < 50; k++)
                    CHECK_OK(weft_join(f[k], NULL, WEFT_NEVER));
        }
    CHECK_EQ(destroyed, 150);
    CHECK_EQ(destroyed_sum, sum);
    CHECK_OK(weft_spawn(&f[0], clears, &values[0]));
    CHECK_OK(weft_join(f[0], NULL, WEFT_NEVER));
    CHECK_EQ(destroyed, 150);
    CHECK_EQ(weft_local_set(WEFT_LOCALS, &f), -EINVAL);
    CHECK_EQ(weft_local_set(plain + 1, &f), -EINVAL); /* not made yet */
    CHECK(weft_local_get(WEFT_LOCALS) == NULL);
    CHECK(weft_local_get(12345) == NULL);
    return 0;
}

int main(void)
{
    unsigned k;

    CHECK_EQ(weft_local_key(NULL, NULL), -EINVAL);
    CHECK_OK(weft_local_key(&key, destroy));
    CHECK_OK(weft_local_key(&plain, NULL));
    CHECK(key != plain);
    run_clean(run, 2);
    for (int i = 2; i < WEFT_LOCALS; i++)
        CHECK_OK(weft_local_key(&k, NULL));
    CHECK_EQ(weft_local_key(&k, NULL), -EAGAIN);
    return 0;
}
