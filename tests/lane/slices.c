/* Shared bytes: blocks, slices and ropes against a model of plain arrays; stale ids and other lanes' ids refused; what
 * a lane holds counts against its limit and is given back by its death, while other lanes go on with theirs. */
#include "lane/share.h"
#include "lane/world.h"

static weft_vat_stats stats(void)
{
    weft_vat_stats s;
    CHECK_OK(weft_vat_stats_get(&s));
    return s;
}

static size_t held(void)
{
    size_t count;
    CHECK_OK(weft_holdings(&count, NULL));
    return count;
}

/* ---- one by one ---- */

static void blocks(void)
{
    static const size_t sizes[] = {1, 100, 192, 193, 960, 2048, 2049, 4096, 4097, 30000, 32768, 32769, 70000, 5000000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t n = sizes[i], size = 0, length = 0;
        weft_block b;
        weft_slice s;
        void *data;
        CHECK_OK(weft_block_make(&b, n, &data));
        CHECK(weft_block_data(b, &size) == data);
        CHECK_EQ(size, n);
        memset(data, (int)i, n);
        CHECK_EQ(weft_block_freeze(b, n + 1, &s), -EINVAL);
        CHECK_OK(weft_block_freeze(b, n / 2, &s));
        CHECK(weft_block_data(b, NULL) == NULL);
        CHECK_EQ(weft_block_freeze(b, 1, &s), -EBADF);
        CHECK_EQ(weft_block_drop(b), -EBADF);
        CHECK(weft_slice_data(s, &length) == data);
        CHECK_EQ(length, n / 2);
        CHECK_OK(weft_slice_drop(s));
        CHECK_EQ(weft_slice_drop(s), -EBADF);
        CHECK(weft_slice_data(s, NULL) == NULL);
        CHECK_OK(weft_block_make(&b, n, NULL));
        CHECK_OK(weft_block_drop(b));
        CHECK(weft_block_data(b, NULL) == NULL);
    }
    weft_block b;
    CHECK_EQ(weft_block_make(&b, 0, NULL), -EINVAL);
    CHECK_EQ(weft_block_make(NULL, 1, NULL), -EINVAL);
    CHECK_EQ(weft_block_make(&b, SIZE_MAX, NULL), -ENOMEM);
    CHECK_EQ(weft_block_make(&b, SIZE_MAX / 2, NULL), -ENOMEM);
    CHECK_EQ(held(), 0);
}

static int is(weft_slice s, const char *text)
{
    size_t n;
    const char *p = weft_slice_data(s, &n);
    return p && n == strlen(text) && memcmp(p, text, n) == 0;
}

static void slices(void)
{
    weft_slice all, part, none;
    weft_rope rope;
    CHECK_OK(weft_slice_copy(&all, "hello, world", 12));
    CHECK_OK(weft_slice_sub(&part, all, 7, SIZE_MAX));
    CHECK(is(part, "world"));
    CHECK_OK(weft_slice_drop(all));
    CHECK(is(part, "world")); /* by its own reference */
    CHECK_EQ(weft_slice_sub(&none, all, 0, 1), -EBADF);
    CHECK_EQ(weft_slice_sub(&none, part, 6, 0), -EINVAL);
    CHECK_EQ(weft_slice_sub(&none, part, 1, 5), -EINVAL);
    CHECK_EQ(weft_slice_sub(NULL, part, 1, 1), -EINVAL);
    CHECK_OK(weft_slice_sub(&none, part, 5, 0));
    CHECK(is(none, ""));
    CHECK_EQ(weft_slice_copy(&all, NULL, 1), -EINVAL);
    CHECK_OK(weft_slice_copy(&all, NULL, 0));
    CHECK(is(all, ""));
    CHECK_OK(weft_rope_make(&rope));
    CHECK_EQ(weft_rope_add(rope, (weft_slice){rope.id}), -EINVAL); /* another kind */
    CHECK_EQ(weft_slice_drop((weft_slice){WEFT_NOID}), -EBADF);
    CHECK_EQ(weft_slice_drop((weft_slice){weft_lane_self()}), -EINVAL);
    CHECK_OK(weft_rope_drop(rope));
    CHECK_EQ(weft_rope_drop(rope), -EBADF);
    CHECK_OK(weft_slice_drop(all));
    CHECK_OK(weft_slice_drop(part));
    CHECK_OK(weft_slice_drop(none));
    CHECK_EQ(held(), 0);
}

/* ---- ropes against arrays ---- */

enum { ROPES = 8, MOST = 6000 };

typedef struct model {
    weft_rope rope;
    unsigned char bytes[MOST];
    size_t n;
} model;

static model ropes[ROPES];

static void same(const model *m)
{
    static unsigned char bytes[MOST];
    struct iovec iov[MOST];
    size_t n, parts, sum = 0;
    CHECK_OK(weft_rope_length(m->rope, &n, &parts));
    CHECK_EQ(n, m->n);
    CHECK_EQ(weft_rope_read(m->rope, 0, bytes, MOST), n);
    CHECK(memcmp(bytes, m->bytes, n) == 0);
    CHECK_EQ(weft_rope_iov(m->rope, 0, iov, MOST), parts);
    for (size_t i = 0; i < parts; sum += iov[i++].iov_len)
        CHECK(memcmp(iov[i].iov_base, m->bytes + sum, iov[i].iov_len) == 0);
    CHECK_EQ(sum, n);
}

static void add_some(model *m, uint64_t *random)
{
    unsigned char bytes[300];
    weft_slice s, part;
    size_t n = next_random(random) % sizeof bytes, from;
    for (size_t i = 0; i < n; i++)
        bytes[i] = (unsigned char)next_random(random);
    from = n ? next_random(random) % n : 0;
    if (m->n + n > MOST)
        return;
    if (next_random(random) % 2) {
        CHECK_OK(weft_rope_add_copy(m->rope, bytes, n));
        from = 0;
    } else {
        CHECK_OK(weft_slice_copy(&s, bytes, n));
        CHECK_OK(weft_slice_sub(&part, s, from, SIZE_MAX));
        CHECK_OK(weft_rope_add(m->rope, part));
        CHECK_OK(weft_slice_drop(s));
        CHECK_OK(weft_slice_drop(part));
    }
    memcpy(m->bytes + m->n, bytes + from, n - from);
    m->n += n - from;
}

static void concat_some(model *m, const model *other)
{
    if (m->n + other->n > MOST)
        return;
    CHECK_OK(weft_rope_concat(m->rope, other->rope));
    memmove(m->bytes + m->n, other->bytes, other->n);
    m->n += other->n;
}

static void cut_some(model *m, model *other, uint64_t *random)
{
    size_t from = next_random(random) % (m->n + 1), n = next_random(random) % (m->n - from + 1);
    if (m == other)
        return;
    CHECK_OK(weft_rope_drop(other->rope));
    CHECK_OK(weft_rope_sub(&other->rope, m->rope, from, n));
    memcpy(other->bytes, m->bytes + from, n);
    other->n = n;
}

static void skip_some(model *m, uint64_t *random)
{
    size_t n = next_random(random) % (m->n + 1);
    CHECK_EQ(weft_rope_skip(m->rope, m->n + 1), -EINVAL);
    CHECK_OK(weft_rope_skip(m->rope, n));
    memmove(m->bytes, m->bytes + n, m->n - n);
    m->n -= n;
}

static void look_at_some(const model *m, uint64_t *random)
{
    unsigned char bytes[100];
    struct iovec iov[3];
    weft_slice flat;
    size_t from = next_random(random) % (m->n + 1), n;
    CHECK_EQ(weft_rope_read(m->rope, from, bytes, 100), m->n - from < 100 ? m->n - from : 100);
    CHECK(memcmp(bytes, m->bytes + from, m->n - from < 100 ? m->n - from : 100) == 0);
    int parts = weft_rope_iov(m->rope, from, iov, 3);
    for (int i = 0; i < parts; from += iov[i++].iov_len)
        CHECK(memcmp(iov[i].iov_base, m->bytes + from, iov[i].iov_len) == 0);
    CHECK_OK(weft_rope_flatten(&flat, m->rope));
    const void *p = weft_slice_data(flat, &n);
    CHECK_EQ(n, m->n);
    CHECK(memcmp(p, m->bytes, n) == 0);
    CHECK_OK(weft_slice_drop(flat));
    CHECK_EQ(weft_rope_read(m->rope, m->n + 1, bytes, 1), -EINVAL);
    CHECK_EQ(weft_rope_iov(m->rope, m->n + 1, iov, 1), -EINVAL);
}

static void rope_model(uint64_t seed)
{
    uint64_t random = seed;
    for (int i = 0; i < ROPES; i++) {
        CHECK_OK(weft_rope_make(&ropes[i].rope));
        ropes[i].n = 0;
    }
    for (int step = 0; step < 3000; step++) {
        model *m = &ropes[next_random(&random) % ROPES], *other = &ropes[next_random(&random) % ROPES];
        switch (next_random(&random) % 8) {
        case 0: concat_some(m, other); break;
        case 1: cut_some(m, other, &random); break;
        case 2: skip_some(m, &random); break;
        case 3: look_at_some(m, &random); break;
        default: add_some(m, &random); break;
        }
        same(m);
        same(other);
    }
    for (int i = 0; i < ROPES && seed % 2; i++)
        CHECK_OK(weft_rope_drop(ropes[i].rope));
}

/* ---- between lanes ---- */

static weft_slice foreign;
static weft__span travelling;

static int stranger(void *arg)
{
    (void)arg;
    weft_slice mine;
    weft_rope rope;
    CHECK_EQ(weft_slice_drop(foreign), -EPERM);
    CHECK(weft_slice_data(foreign, NULL) == NULL);
    CHECK_OK(weft_rope_make(&rope));
    CHECK_EQ(weft_rope_add(rope, foreign), -EPERM);
    CHECK_OK(weft__slice_attach(weft__lane_self(), &travelling, &mine));
    CHECK(is(mine, "carried over"));
    CHECK_OK(weft_rope_add(rope, mine));
    return 0; /* with what it holds */
}

static void to_another_lane(void)
{
    weft_id lane;
    weft_slice s;
    int result;
    CHECK_OK(weft_slice_copy(&foreign, "mine", 4));
    CHECK_OK(weft_slice_copy(&s, "carried over", 12));
    CHECK_OK(weft__slice_detach(s, &travelling));
    CHECK_EQ(weft__slice_detach(s, &travelling), -EBADF);
    CHECK_EQ(weft_slice_drop(s), -EBADF);
    CHECK_OK(weft_lane_spawn(&lane, stranger, NULL));
    CHECK_OK(weft_lane_join(lane, &result, WEFT_NEVER));
    CHECK_OK(result);
    CHECK(is(foreign, "mine"));
    CHECK_OK(weft_slice_drop(foreign));
    CHECK_OK(weft_slice_copy(&s, "dropped on the way", 18));
    CHECK_OK(weft__slice_detach(s, &travelling));
    weft__span_drop(&travelling);
}

/* Many lanes on all workers with references to one block, which each makes more of, and drops or dies with. */
static weft__shared *common;

static int user(void *arg)
{
    uint64_t random = (uintptr_t)arg;
    weft__span span = {common, 0, common->size};
    weft_slice s[10];
    for (int i = 0; i < 10; i++) {
        weft__shared_ref(common);
        CHECK_OK(weft__slice_attach(weft__lane_self(), &span, &s[i]));
        if (next_random(&random) % 3 == 0)
            CHECK_OK(weft_yield());
        if (next_random(&random) % 2)
            CHECK_OK(weft_slice_drop(s[i]));
    }
    return 0;
}

static void shared_by_many(weft_runtime *rt)
{
    enum { USERS = 400 };
    static weft_id lane[USERS];
    int result;
    common = weft__shared_make(rt, 50000);
    CHECK(common != NULL);
    for (uintptr_t i = 0; i < USERS; i++)
        CHECK_OK(weft_lane_spawn(&lane[i], user, (void *)(i + 1)));
    for (int i = 0; i < USERS; i++) {
        CHECK_OK(weft_lane_join(lane[i], &result, WEFT_NEVER));
        CHECK_OK(result);
    }
    CHECK_EQ(common->refs, 1);
    weft__shared_unref(common);
    void *p = weft__shared_get(rt, 1000);
    CHECK(p != NULL);
    memset(p, 1, 1000);
    weft__shared_put(p);
}

/* ---- the limit ---- */

static int limited(void *arg)
{
    (void)arg;
    weft_block b;
    weft_slice s[100], part;
    weft_rope rope;
    size_t limit = stats().limit, bytes;
    int n = 0, r;
    CHECK_EQ(weft_block_make(&b, limit, NULL), -ENOMEM);
    CHECK_OK(weft_block_make(&b, limit / 2, NULL));
    CHECK_EQ(weft_slice_copy(&s[0], "x", 1), 0);
    CHECK_EQ(weft_block_make(&b, limit / 2, NULL), -ENOMEM);
    CHECK_OK(weft_block_freeze(b, 1000, &part)); /* what is not used of it counts no longer */
    CHECK_OK(weft_rope_make(&rope));
    for (r = 0; r == 0 && n < 100000; n++)
        r = weft_rope_add_copy(rope, "many small parts", 16);
    CHECK_EQ(r, -ENOMEM);
    CHECK(n > 100 && (size_t)n * 16 < limit);
    CHECK_OK(weft_rope_length(rope, &bytes, NULL));
    CHECK_EQ(bytes, (size_t)(n - 1) * 16); /* as before the failure */
    CHECK_EQ(weft_rope_concat(rope, rope), -ENOMEM);
    CHECK_OK(weft_rope_length(rope, &bytes, NULL));
    CHECK_EQ(bytes, (size_t)(n - 1) * 16);
    CHECK_OK(weft_rope_skip(rope, bytes));
    CHECK_OK(weft_rope_add_copy(rope, "room again", 10));
    return 0;
}

/* Ids of dropped slices name nothing, however often their record was used since;
 * a record whose generations are used up is not used again. */
static void stale_for_ever(void)
{
    weft_slice first, s;
    CHECK_OK(weft_slice_copy(&first, "x", 1));
    CHECK_OK(weft_slice_drop(first));
    for (int i = 0; i < 70000; i++) {
        CHECK_OK(weft_slice_copy(&s, "y", 1));
        CHECK(!weft_id_equal(s.id, first.id));
        CHECK_OK(weft_slice_drop(s));
    }
    CHECK_EQ(weft_slice_drop(first), -EBADF);
}

static void *outside(void *arg)
{
    weft_slice s;
    weft_block b;
    weft_rope r;
    CHECK_EQ(weft_slice_copy(&s, "x", 1), -EPERM);
    CHECK_EQ(weft_block_make(&b, 1, NULL), -EPERM);
    CHECK_EQ(weft_rope_make(&r), -EPERM);
    CHECK_EQ(weft_slice_drop((weft_slice){WEFT_NOID}), -EPERM);
    CHECK_EQ(weft_holdings(NULL, NULL), -EPERM);
    /* A thread may make one, and be the last to let go of another. */
    weft__shared *shared = weft__shared_make(arg, 100);
    CHECK(shared != NULL);
    weft__shared_unref(shared);
    weft__span_drop(&travelling);
    return arg;
}

static int start(int argc, char **argv)
{
    (void)argc, (void)argv;
    weft_limits limits = {.vat_bytes = 200000};
    weft_slice s;
    weft_id lane;
    int result;
    blocks();
    slices();
    for (uint64_t seed = 1; seed <= 6; seed++)
        rope_model(seed);
    to_another_lane();
    shared_by_many(weft_current());
    CHECK_OK(weft_lane_spawn_with(&lane, limited, NULL, .limits = &limits));
    CHECK_OK(weft_lane_join(lane, &result, WEFT_NEVER));
    CHECK_OK(result);
    stale_for_ever();
    CHECK_OK(weft_slice_copy(&s, "to a thread", 11));
    CHECK_OK(weft__slice_detach(s, &travelling));
    CHECK_EQ(pthread_join(thread_of(outside, weft_current()), NULL), 0);
    return 0;
}

int main(void)
{
    run_clean(start, 2);
    return 0;
}
