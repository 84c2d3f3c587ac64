/* The heap against a plain array: what is added, taken out and drained by seed. The least key is first, whatever was
 * done before; it stays leftist, so no path along right children is longer than it may be; a million come out in order
 * whichever way they went in; taking it apart keeps to its budget. */
#include "base/heap.h"
#include "test.h"

enum { NODES = 300, STEPS = 40000, MANY = 1 << 17 };

static weft__heap_node nodes[NODES];
static int there[NODES];
static weft__heap heap;
static uint64_t state;

static uint32_t rnd(void)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33);
}

static uint32_t rank_of(const weft__heap_node *n) { return n ? n->rank : 0; }

/* Its shape and order; how many there are. */
static size_t look_through(const weft__heap_node *n, const weft__heap_node *up)
{
    if (!n)
        return 0;
    CHECK(n->up == up);
    CHECK(!up || n->key >= up->key);
    CHECK(rank_of(n->left) >= rank_of(n->right));
    CHECK_EQ(n->rank, rank_of(n->right) + 1);
    return 1 + look_through(n->left, n) + look_through(n->right, n);
}

static void compare(void)
{
    size_t n = 0;
    int64_t least = INT64_MAX;

    for (int i = 0; i < NODES; i++) {
        if (!there[i])
            continue;
        n++;
        if (nodes[i].key < least)
            least = nodes[i].key;
    }
    CHECK_EQ(look_through(heap.first, NULL), n);
    CHECK_EQ(heap.first != NULL, n > 0);
    if (n) {
        CHECK_EQ(heap.first->key, least);
        CHECK(((size_t)1 << heap.first->rank) - 1 <= n);
    }
}

/* Keys from a few values, so that many are equal, to all there are. */
static int64_t some_key(void)
{
    const unsigned bits = rnd() % 64;

    return (int64_t)((((uint64_t)rnd() << 33) ^ rnd()) >> bits) - (rnd() % 2 ? 100 : 0);
}

static void against_array(uint64_t seed)
{
    state = seed;
    heap = (weft__heap){0};
    memset(there, 0, sizeof there);
    const uint32_t adds = 2 + (uint32_t)seed % 5; /* of eight: some fill up, some stay nearly empty */
    for (int step = 0; step < STEPS; step++) {
        const uint32_t i = rnd() % NODES;
        if (rnd() % 8 < adds && !there[i]) {
            weft__heap_add(&heap, &nodes[i], some_key());
            there[i] = 1;
        } else if (there[i]) {
            weft__heap_remove(&heap, &nodes[i]);
            there[i] = 0;
        } else if (heap.first) {
            const size_t first = (size_t)(heap.first - nodes);
            weft__heap_remove(&heap, heap.first);
            there[first] = 0;
        }
        if (step % 16 == 0)
            compare();
    }
    compare();
}

static int64_t key_for(int way, int i)
{
    return way == 0 ? i : way == 1 ? -i : way == 2 ? (int64_t)rnd() : 7;
}

/* Added upwards, downwards, anyhow, all the same; half of them are taken out again; the others come in order. */
static void in_order(int way)
{
    weft__heap_node *many = calloc(MANY, sizeof *many);

    CHECK(many != NULL);
    state = 11;
    heap = (weft__heap){0};
    for (int i = 0; i < MANY; i++)
        weft__heap_add(&heap, &many[i], key_for(way, i));
    for (int i = 0; i < MANY; i += 2)
        weft__heap_remove(&heap, &many[i]);
    int64_t last = INT64_MIN;
    int n = 0;
    for (; heap.first; n++) {
        CHECK(heap.first->key >= last);
        CHECK((heap.first - many) % 2 == 1);
        last = heap.first->key;
        weft__heap_remove(&heap, heap.first);
    }
    CHECK_EQ(n, MANY / 2);
    free(many);
}

/* Each is given once, whatever the shape: a path to the left is as long as the heap is large. */
static void drained(int way, unsigned portion)
{
    weft__heap_node *many = calloc(MANY, sizeof *many), *n;
    unsigned char *seen = calloc(MANY, 1);
    size_t given = 0, calls = 0;

    CHECK(many && seen);
    state = 13;
    heap = (weft__heap){0};
    for (int i = 0; i < MANY; i++)
        weft__heap_add(&heap, &many[i], key_for(way, i));
    while (heap.first) {
        unsigned budget = portion;
        while ((n = weft__heap_drain(&heap, &budget))) {
            CHECK(!seen[n - many]);
            seen[n - many] = 1;
            given++;
        }
        CHECK(budget == 0 || !heap.first);
        calls++;
    }
    CHECK_EQ(given, MANY);
    CHECK(calls <= 2 * (size_t)MANY / portion + 1);
    CHECK(calls >= (size_t)MANY / portion);
    unsigned budget = 1;
    CHECK(weft__heap_drain(&heap, &budget) == NULL);
    CHECK_EQ(budget, 1);
    free(seen);
    free(many);
}

int main(void)
{
    for (uint64_t seed = 1; seed <= 10; seed++)
        against_array(seed);
    for (int way = 0; way < 4; way++) {
        in_order(way);
        drained(way, 1);
        drained(way, 1000);
    }
    return 0;
}
