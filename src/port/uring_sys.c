/* The entries by which the driver reaches the kernel. No state; any thread. Nothing else in the library makes an
 * io_uring call. */
#include "port/uring_sys.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "port/calls_posix.h"

static int answer(long r) { return r < 0 ? -errno : (int)r; }

static int kernel_setup(void *self, unsigned entries, struct io_uring_params *params)
{
    (void)self;
    return answer(syscall(__NR_io_uring_setup, entries, params));
}

static int kernel_enter(void *self, int ring, unsigned submit, unsigned complete, unsigned flags, const void *arg,
                        size_t size)
{
    (void)self;
    return answer(syscall(__NR_io_uring_enter, ring, submit, complete, flags, arg, size));
}

static int kernel_reg(void *self, int ring, unsigned code, const void *arg, unsigned count)
{
    (void)self;
    return answer(syscall(__NR_io_uring_register, ring, code, arg, count));
}

static void *kernel_map(void *self, int ring, uint64_t offset, size_t bytes)
{
    (void)self;
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, (off_t)offset);
    return p == MAP_FAILED ? NULL : p;
}

static void kernel_unmap(void *self, int ring, void *p, size_t bytes)
{
    (void)self;
    if (p)
        munmap(p, bytes);
    else
        close(ring);
}

static int64_t kernel_send(void *self, int socket, const void *buf, size_t len)
{
    (void)self;
    ssize_t n;
    do
        n = weft__send(socket, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

const weft__ring_sys weft__ring_sys_kernel = {
    .setup = kernel_setup,
    .enter = kernel_enter,
    .reg = kernel_reg,
    .map = kernel_map,
    .unmap = kernel_unmap,
    .send = kernel_send,
};
