/* A ring opens, works and goes away in every form it can be asked for: flags done without, shared, with the caller's
 * memory, attached. */
#include <dirent.h>
#include <sys/mman.h>

#include "env/region.h"
#include "port/uring_bed.h"

static unsigned open_files(void)
{
    unsigned n = 0;
    DIR *dir = opendir("/proc/self/fd");
    CHECK(dir != NULL);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

static unsigned heard;

static void hear(weft_op *op, int64_t result, weft_buffer *buffer)
{
    (void)op;
    CHECK(result == 5 && memcmp(buffer->data, "hello", 5) == 0);
    heard++;
    weft_port_release(buffer);
}

/* Something of each kind: a nop, bytes both ways, a stream, a cancel, a file. */
static void exercise(bed *b)
{
    weft_desc l, d[2], file;
    weft_op op, stream;
    weft_stat st = {0};
    char buf[64];
    bed_tcp(b, &l, d);
    weft_op_nop(&op);
    CHECK_EQ(bed_run(b, &op), 0);
    weft_op_recv_multi(&stream, &d[1], hear);
    bed_start(b, &stream);
    heard = 0;
    for (unsigned i = 1; i <= 10; i++) {
        weft_op_send(&op, &d[0], "hello", 5);
        CHECK_EQ(bed_run(b, &op), 5);
        while (heard < i)
            weft__port_enter(&b->port, bed_after(10 * WEFT_SECOND));
    }
    const unsigned before = b->done;
    weft__port_cancel(&b->port, &stream);
    bed_await(b, before + (stream.state != WEFT_OP_DONE));
    CHECK_EQ(stream.result, -ECANCELED);

    weft_op_open(&op, NULL, "/proc/self/exe", WEFT_OPEN_READ, 0);
    CHECK_OK(bed_run(b, &op));
    weft__desc_init(&file, (weft_handle)op.result, WEFT_DESC_FILE);
    weft_op_pread(&op, &file, buf, 4, 0);
    CHECK_EQ(bed_run(b, &op), 4);
    CHECK(memcmp(buf, "\177ELF", 4) == 0);
    weft_op_stat(&op, &file, NULL, &st, 0);
    CHECK_EQ(bed_run(b, &op), 0);
    CHECK(st.size > 1000 && st.links > 0);
    weft__desc_close(&b->port, &file);
    weft__desc_close(&b->port, &d[0]);
    weft__desc_close(&b->port, &d[1]);
    weft__desc_close(&b->port, &l);
}

static void with_env(const weft_env *env, weft_port_config config, uint32_t flags_there, uint32_t flags_missing)
{
    const unsigned files = open_files();
    bed b = {.env = env};
    bed_open(&b, &config);
    const weft__uring *u = bed_ring(&b);
    CHECK_EQ(u->setup_flags & flags_missing, 0);
    /* Older kernels have less; what this one accepted by itself it also has to accept here. */
    if (u->features & WEFT__FEAT_MIN_TIMEOUT && !u->valgrind)
        CHECK_EQ(u->setup_flags & flags_there, flags_there);
    exercise(&b);
    for (unsigned code = 0; code < WEFT_OP_COUNT; code++) {
        CHECK(b.driver.path(&b.port, (enum weft_opcode)code) != WEFT_PATH_NONE);
        CHECK(b.driver.why(&b.port, (enum weft_opcode)code) != NULL);
    }
    bed_close(&b);
    CHECK_EQ(open_files(), files);
}

static void with(weft_port_config config, uint32_t flags_there, uint32_t flags_missing)
{
    with_env(NULL, config, flags_there, flags_missing);
}

static void in_the_callers_memory(void)
{
    weft_port_config config = {.entries = 64, .buffer_count = 16};
    const size_t page = weft_env_posix()->page_size;
    const size_t bytes = weft__uring_memory_bytes(&config, page);
    uint8_t *memory = malloc(bytes + 100);
    CHECK(memory != NULL);
    for (size_t shift = 0; shift < 100; shift += 99) {
        memset(memory, 0x5a, bytes + 100);
        config.memory = memory + shift;
        config.memory_size = bytes;
        with(config, WEFT__SETUP_NO_MMAP, 0);
        CHECK(memory[bytes + shift] == 0x5a);
    }
    config.memory_size = bytes / 2;
    bed b = {0};
    CHECK_EQ(bed_try(&b, &config), -ENOMEM);
    free(memory);
}

/* Once a port is closed its memory is the caller's: the kernel, which ends rings later and by itself, writes nothing
 * there any more. */
static void leaves_the_callers_memory_alone(void)
{
    weft_port_config config = {.entries = 64, .buffer_count = 16};
    const size_t bytes = weft__uring_memory_bytes(&config, weft_env_posix()->page_size);
    uint8_t *memory = malloc(bytes), *expected = malloc(bytes);
    CHECK(memory && expected);
    memset(expected, 0x5a, bytes);
    config.memory = memory;
    config.memory_size = bytes;
    for (int i = 0; i < 20; i++) {
        bed b = {0};
        bed_open(&b, &config);
        exercise(&b);
        bed_close(&b);
        memset(memory, 0x5a, bytes);
        for (const int64_t end = bed_after(WEFT_MILLISECOND); bed_now() < end;)
            CHECK(memcmp(memory, expected, bytes) == 0);
    }
    free(memory);
    free(expected);
}

/* An environment that has no memory for the kernel to write to leaves the mapping to the kernel. */
static void where_the_kernel_maps_it(void)
{
    weft_env env = *weft_env_posix();
    env.map_as = NULL;
    with_env(&env, (weft_port_config){0}, IORING_SETUP_SINGLE_ISSUER, WEFT__SETUP_NO_MMAP);
}

/* The kernel writes to a ring for a while after its end: in a region the pages of one are never those of the next,
 * nor of anything else. */
static void in_a_region(void)
{
    enum { RINGS = 20 };
    weft_env env = *weft_env_posix();
    weft__region_open(&env);
    if (!env.self)
        return;
    const char *last = NULL;
    for (int i = 0; i < RINGS; i++) {
        bed b = {.env = &env};
        bed_open(&b, NULL);
        const char *queues = bed_ring(&b)->queues;
        const size_t bytes = bed_ring(&b)->queues_size;
        exercise(&b);
        bed_close(&b);
        CHECK(queues && queues != last);
        char *p = env.map(env.self, bytes, 0);
        CHECK(p && (p >= queues + bytes || queues >= p + bytes));
        env.unmap(env.self, p, bytes);
        last = queues;
    }
    weft__region_close(&env);
}

static void sharing_its_kernel_threads(void)
{
    bed first = {0};
    bed_open(&first, NULL);
    with((weft_port_config){.attach_handle = bed_ring(&first)->fd}, IORING_SETUP_ATTACH_WQ, 0);
    bed_close(&first);
}

int main(void)
{
    const uint32_t best = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG;
    const uint32_t cooperative = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG;
    with((weft_port_config){0}, best | WEFT__SETUP_NO_SQARRAY | WEFT__SETUP_NO_MMAP, IORING_SETUP_SQPOLL);
    with((weft_port_config){.disable = WEFT_URING_NO_DEFER}, cooperative, IORING_SETUP_DEFER_TASKRUN);
    with((weft_port_config){.disable = WEFT_URING_NO_MULTISHOT}, best, 0);
    with((weft_port_config){.disable = WEFT_URING_NO_BUFRING}, best, 0);
    with((weft_port_config){.disable = WEFT_URING_NO_REGRING}, best, 0);
    const unsigned all = WEFT_URING_NO_MULTISHOT | WEFT_URING_NO_BUFRING | WEFT_URING_NO_REGRING | WEFT_URING_NO_DEFER;
    with((weft_port_config){.disable = all}, cooperative, 0);
    with((weft_port_config){.disable = WEFT_URING_SQPOLL}, IORING_SETUP_SQPOLL, IORING_SETUP_DEFER_TASKRUN);
    with((weft_port_config){.shared = 1}, 0,
         IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_COOP_TASKRUN);
    with((weft_port_config){.entries = 1, .buffer_count = 1, .buffer_size = 1}, best, 0);
    with((weft_port_config){.entries = 4096, .buffer_count = 1000}, best, 0);
    where_the_kernel_maps_it();
    in_a_region();
    in_the_callers_memory();
    leaves_the_callers_memory_alone();
    sharing_its_kernel_threads();
    return 0;
}
