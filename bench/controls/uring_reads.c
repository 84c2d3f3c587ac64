/* Control: 4 KiB reads of a cached file at random places, 32 in flight, by io_uring with a tuned ring and a registered
 * file. It speaks as the jobs do ("read-4k N"); the file is $BENCH_FILE, whose blocks begin with their numbers. */
#include "control.h"
#include "ring.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { READERS = 32, BLOCK = 4096, BLOCKS = 16384 };

static ring the_ring;
static char blocks[READERS][BLOCK];
static uint64_t randoms[READERS], places[READERS];

static void read_next(unsigned reader)
{
    uint64_t x = randoms[reader];
    x ^= x << 13, x ^= x >> 7, x ^= x << 17;
    randoms[reader] = x;
    places[reader] = x % BLOCKS;
    struct io_uring_sqe *e = ring_entry(&the_ring);
    e->opcode = IORING_OP_READ;
    e->flags = IOSQE_FIXED_FILE;
    e->fd = 0; /* of those that are registered */
    e->addr = (uint64_t)(uintptr_t)blocks[reader];
    e->len = BLOCK;
    e->off = places[reader] * BLOCK;
    e->user_data = reader;
}

static void check_block(unsigned reader, int n)
{
    uint64_t found;
    memcpy(&found, blocks[reader], sizeof found);
    if (n != BLOCK || found != places[reader]) {
        fprintf(stderr, "uring_reads: a wrong block\n");
        exit(1);
    }
}

static void read_4k(long n)
{
    long left = n, missing = n;
    for (unsigned i = 0; i < READERS && left > 0; i++, left--)
        read_next(i);
    while (missing > 0) {
        ring_wait(&the_ring);
        unsigned head = *the_ring.cq_head, tail = __atomic_load_n(the_ring.cq_tail, __ATOMIC_ACQUIRE);
        for (; head != tail; head++, missing--) {
            const struct io_uring_cqe *done = &the_ring.cqes[head & the_ring.cq_mask];
            unsigned reader = (unsigned)done->user_data;
            check_block(reader, done->res);
            if (left > 0) {
                left--;
                read_next(reader);
            }
        }
        __atomic_store_n(the_ring.cq_head, head, __ATOMIC_RELEASE);
    }
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int main(void)
{
    char line[128], name[64];
    long n;
    const char *path = getenv("BENCH_FILE");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        die("BENCH_FILE");
    ring_open(&the_ring, 2 * READERS, 1);
    if (syscall(SYS_io_uring_register, the_ring.fd, IORING_REGISTER_FILES, &fd, 1) < 0)
        die("IORING_REGISTER_FILES");
    for (unsigned i = 0; i < READERS; i++)
        randoms[i] = 0x9E3779B97F4A7C15ull * (i + 1);
    puts("ready io_uring in C");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        if (sscanf(line, "%63s %ld", name, &n) == 2 && n > 0 && strcmp(name, "read-4k") == 0) {
            int64_t begin = now_ns();
            read_4k(n);
            printf("%ld %lld\n", n, (long long)(now_ns() - begin));
        } else {
            puts("none");
        }
        fflush(stdout);
    }
    return 0;
}
