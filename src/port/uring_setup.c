/* Making and unmaking a ring: its flags from the newest to the plainest the kernel takes, its memory, the wake
 * descriptor. Runs on the thread that becomes the home. What is made here lives in one block, the caller's in strict
 * mode, and is all given back by teardown. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "port/calls_posix.h"
#include "port/uring.h"

#define DEFAULT_ENTRIES 256u
#define MAX_ENTRIES 32768u
#define CQ_FACTOR 4u /* a tick's submissions complete in less than one tick; what comes on top is multishot */
#define DEFAULT_BUFFER_SIZE 4096u
#define DEFAULT_BUFFER_COUNT 256u
#define MAX_BUFFER_COUNT 32768u
#define RING_HEADER 4096u /* struct io_rings and alignment, with room to spare */

/* Without these the driver would have to do differently, not slower (Linux 5.11). */
static const uint32_t needed = IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE | IORING_FEAT_RW_CUR_POS |
                               IORING_FEAT_FAST_POLL | IORING_FEAT_EXT_ARG;

/* Offsets of everything in the one block. */
struct plan {
    uint32_t entries, cq_entries, buffer_size, buffer_count;
    size_t side, statx, lent, stack, ring, data, queues, rings_size, queues_size, total;
};

static uint32_t power_of_two(uint32_t n, uint32_t usual, uint32_t most)
{
    uint32_t p = 1;
    n = n ? n : usual;
    while (p < n && p < most)
        p *= 2;
    return p;
}

static size_t take(size_t *total, size_t bytes, size_t align)
{
    const size_t at = (*total + align - 1) & ~(align - 1);
    *total = at + bytes;
    return at;
}

static void make_plan(struct plan *p, const weft_port_config *config, size_t page)
{
    *p = (struct plan){
        .entries = power_of_two(config->entries, DEFAULT_ENTRIES, MAX_ENTRIES),
        .buffer_size = ((config->buffer_size ? config->buffer_size : DEFAULT_BUFFER_SIZE) + 63u) & ~63u,
        .buffer_count = power_of_two(config->buffer_count, DEFAULT_BUFFER_COUNT, MAX_BUFFER_COUNT),
    };
    p->cq_entries = p->entries * CQ_FACTOR;
    size_t total = 0;
    take(&total, sizeof(weft__uring), 64);
    p->side = take(&total, p->entries * sizeof(weft__uring_side), 64);
    p->statx = take(&total, WEFT__URING_STATX * sizeof(union weft__uring_statx), 64);
    p->lent = take(&total, p->buffer_count, 64);
    p->stack = take(&total, p->buffer_count * sizeof(uint16_t), 64);
    p->ring = take(&total, p->buffer_count * sizeof(struct io_uring_buf), page);
    p->data = take(&total, (size_t)p->buffer_count * p->buffer_size, page);
    /* Both queues: the rings with the completions, then the submissions. */
    p->rings_size = RING_HEADER + p->cq_entries * sizeof(struct io_uring_cqe) + p->entries * sizeof(uint32_t);
    p->rings_size = (p->rings_size + page - 1) & ~(page - 1);
    p->queues_size = p->rings_size + ((p->entries * sizeof(struct io_uring_sqe) + page - 1) & ~(page - 1));
    if (config->memory)
        p->queues = take(&total, p->queues_size, page);
    p->total = (total + page - 1) & ~(page - 1);
}

size_t weft__uring_memory_bytes(const weft_port_config *config, size_t page)
{
    struct plan p;
    weft_port_config strict = *config;
    strict.memory = &p;
    make_plan(&p, &strict, page);
    return p.total + page; /* whose first page may begin in the middle */
}

/* One io_uring_setup after the other, each time without the newest wish, until the kernel takes one. */
static int make_ring(weft__uring *u, const weft_port_config *config, const struct plan *plan, uint8_t *queues,
                     struct io_uring_params *out)
{
    static const uint32_t give_up[] = {
        WEFT__SETUP_NO_SQARRAY,
        WEFT__SETUP_NO_MMAP,
        IORING_SETUP_ATTACH_WQ,
        IORING_SETUP_DEFER_TASKRUN,
        IORING_SETUP_SINGLE_ISSUER,
        IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
        IORING_SETUP_SUBMIT_ALL,
    };
    const int defers = !(config->disable & WEFT_URING_NO_DEFER) && !u->valgrind;
    uint32_t flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_SUBMIT_ALL | WEFT__SETUP_NO_SQARRAY;
    if (config->disable & WEFT_URING_SQPOLL)
        flags |= IORING_SETUP_SQPOLL;
    else if (!config->shared) /* cooperative running waits for the submitter: of several threads, maybe the busy one */
        flags |= IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_TASKRUN_FLAG |
                 (defers ? IORING_SETUP_DEFER_TASKRUN : IORING_SETUP_COOP_TASKRUN);
    if (queues)
        flags |= WEFT__SETUP_NO_MMAP;
    if (config->attach_handle > 0)
        flags |= IORING_SETUP_ATTACH_WQ;

    for (unsigned given_up = 0;;) {
        struct io_uring_params p = {.flags = flags, .cq_entries = plan->cq_entries, .sq_thread_idle = 100};
        if (flags & IORING_SETUP_ATTACH_WQ)
            p.wq_fd = (uint32_t)config->attach_handle;
        if (flags & WEFT__SETUP_NO_MMAP) {
            p.cq_off.resv2 = (uintptr_t)queues;
            p.sq_off.resv2 = (uintptr_t)(queues + plan->rings_size);
        }
        int r = u->sys->setup(u->sys->self, plan->entries, &p);
        if (r >= 0) {
            *out = p;
            out->flags = flags;
            return r;
        }
        if (r != -EINVAL)
            return r;
        while (given_up < sizeof give_up / sizeof *give_up && !(flags & give_up[given_up]))
            given_up++;
        if (given_up == sizeof give_up / sizeof *give_up)
            return r;
        if (give_up[given_up] == IORING_SETUP_DEFER_TASKRUN)
            flags |= IORING_SETUP_COOP_TASKRUN;
        flags &= ~give_up[given_up++];
    }
}

static void *map_part(weft__uring *u, uint64_t offset, size_t bytes, void **kept, size_t *kept_size)
{
    *kept = u->sys->map(u->sys->self, u->fd, offset, bytes);
    *kept_size = bytes;
    return *kept;
}

/* Finds the shared queues: in memory of ours, or where the kernel maps them. */
static int map_ring(weft__uring *u, const struct io_uring_params *p, const struct plan *plan, uint8_t *queues)
{
    const size_t sq_size = p->sq_off.array + (p->flags & WEFT__SETUP_NO_SQARRAY ? 0 : p->sq_entries * sizeof(uint32_t));
    const size_t cq_size = p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe);
    uint8_t *sq, *cq;
    if (p->flags & WEFT__SETUP_NO_MMAP) {
        sq = cq = queues;
        u->sqes = (void *)(queues + plan->rings_size);
    } else {
        const int single = !!(p->features & IORING_FEAT_SINGLE_MMAP);
        const size_t rings_size = single && cq_size > sq_size ? cq_size : sq_size;
        const size_t sqes_size = p->sq_entries * sizeof(struct io_uring_sqe);
        sq = map_part(u, IORING_OFF_SQ_RING, rings_size, &u->map_rings, &u->map_rings_size);
        cq = single || !sq ? sq : map_part(u, IORING_OFF_CQ_RING, cq_size, &u->map_cq, &u->map_cq_size);
        u->sqes = map_part(u, IORING_OFF_SQES, sqes_size, &u->map_sqes, &u->map_sqes_size);
        if (!sq || !cq || !u->sqes)
            return -ENOMEM;
    }
    u->sq_head = (void *)(sq + p->sq_off.head);
    u->sq_tail_shared = (void *)(sq + p->sq_off.tail);
    u->sq_flags = (void *)(sq + p->sq_off.flags);
    u->sq_entries = p->sq_entries;
    u->sq_mask = p->sq_entries - 1;
    u->sq_tail = *u->sq_tail_shared;
    u->cq_head_shared = (void *)(cq + p->cq_off.head);
    u->cq_tail = (void *)(cq + p->cq_off.tail);
    u->cqes = (void *)(cq + p->cq_off.cqes);
    u->cq_mask = p->cq_entries - 1;
    u->cq_head = *u->cq_head_shared;
    if (!(p->flags & WEFT__SETUP_NO_SQARRAY)) {
        uint32_t *array = (void *)(sq + p->sq_off.array);
        for (uint32_t i = 0; i < p->sq_entries; i++)
            array[i] = i;
    }
    return 0;
}

/* The kernel takes absolute time-outs for the machine's, even of a process whose clock is set off from it
 * (time_namespaces(7)). No answer: a kernel without such namespaces. */
static int machines_clock(void)
{
    const ino_t first = 0xEFFFFFFA; /* the namespace that a machine comes up with */
    struct stat st;
    return stat("/proc/self/ns/time", &st) < 0 || st.st_ino == first;
}

void weft__uring_register_ring(weft__uring *u)
{
    u->late_ring_fd = 0;
    struct io_uring_rsrc_update update = {.offset = UINT32_MAX, .data = (uint32_t)u->fd};
    if (u->sys->reg(u->sys->self, u->fd, IORING_REGISTER_RING_FDS, &update, 1) != 1)
        return;
    u->enter_fd = (int)update.offset;
    u->enter_flags |= IORING_ENTER_REGISTERED_RING;
}

static void make_pools(weft__uring *u, const struct plan *plan, uint8_t *block)
{
    union weft__uring_statx *statx = (void *)(block + plan->statx);
    for (unsigned i = 0; i < WEFT__URING_STATX; i++) {
        statx[i].next = u->statx_free;
        u->statx_free = &statx[i];
    }
    const weft__uring_buffers buffers = {
        .ring = u->port->config.disable & WEFT_URING_NO_BUFRING ? NULL : (void *)(block + plan->ring),
        .stack = (void *)(block + plan->stack),
        .data = block + plan->data,
        .lent = block + plan->lent,
        .size = plan->buffer_size,
        .count = plan->buffer_count,
    };
    weft__uring_buffers_open(u, &buffers);
}

static uint8_t *find_memory(const weft_port *port, const weft_port_config *config, size_t page, size_t bytes)
{
    if (!config->memory)
        return port->env->map(port->env->self, bytes, 0);
    uint8_t *block = (void *)(((uintptr_t)config->memory + page - 1) & ~(uintptr_t)(page - 1));
    if (config->memory_size < bytes + (size_t)(block - (uint8_t *)config->memory))
        return NULL;
    memset(block, 0, bytes);
    return block;
}

/* Where both queues lie unless the kernel is to map them, which is two calls more, and two to unmap them: in the
 * caller's block, or in memory of the environment's that is meant for it. */
static uint8_t *find_queues(weft__uring *u, const weft_port_config *config, const struct plan *plan)
{
    const weft_env *env = u->port->env;
    if (config->memory)
        return (uint8_t *)u->memory + plan->queues;
    if (env->map_as && u->sys == &weft__ring_sys_kernel)
        u->queues = env->map_as(env->self, plan->queues_size, 0, WEFT_MAP_KERNEL);
    u->queues_size = plan->queues_size;
    return u->queues;
}

/* The kernel ends a ring some time after its last descriptor was closed, and until then writes to its
 * memory. What is registered with a ring goes last: so it gets the only writing end of a pipe, and the
 * reading end hangs up after that. */
static int watch_end(weft__uring *u)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
        return -errno;
    int r = u->sys->reg(u->sys->self, u->fd, IORING_REGISTER_FILES, &ends[1], 1);
    close(ends[1]);
    u->end_fd = ends[0];
    return r < 0 ? r : 0;
}

static void await_end(const weft__uring *u)
{
    struct pollfd p = {.fd = u->end_fd};
    while (poll(&p, 1, -1) < 1 && (errno == EINTR || errno == EAGAIN || errno == ENOMEM))
        ;
    close(u->end_fd);
}

int weft__uring_setup(weft__uring **out, weft_port *port, const weft_port_config *config, const weft__ring_sys *sys)
{
    const size_t page = port->env->page_size;
    struct io_uring_params params;
    struct plan plan;
    make_plan(&plan, config, page);
    uint8_t *block = find_memory(port, config, page, plan.total);
    if (!block)
        return -ENOMEM;

    weft__uring *u = (void *)block;
    *u = (weft__uring){.magic = WEFT__URING_MAGIC, .port = port, .sys = sys, .fd = -1, .wake_fd = -1, .end_fd = -1,
                         .wake_multi = 1, .standing_ns = WEFT_NEVER};
    u->memory = block;
    u->memory_size = config->memory ? 0 : plan.total;
    u->side = (void *)(block + plan.side);
    u->valgrind = sys == &weft__ring_sys_kernel && WEFT__ON_VALGRIND();
    uint8_t *queues = find_queues(u, config, &plan);
    int r = make_ring(u, config, &plan, queues, &params);
    if (r < 0)
        goto fail;
    u->fd = u->enter_fd = r;
    r = config->memory && params.flags & WEFT__SETUP_NO_MMAP ? watch_end(u) : 0;
    if (r < 0)
        goto fail;
    r = -ENOSYS;
    if ((params.features & needed) != needed || params.sq_entries > plan.entries)
        goto fail;
    r = map_ring(u, &params, &plan, queues);
    if (r < 0)
        goto fail;
    u->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (u->wake_fd < 0) {
        r = -errno;
        goto fail;
    }
    u->setup_flags = params.flags;
    u->features = params.features;
    u->deferred_work = !!(params.flags & IORING_SETUP_DEFER_TASKRUN);
    u->absolute = (params.features & WEFT__FEAT_MIN_TIMEOUT) && weft__posix_clock(port->env) && machines_clock();
    /* Not on a shared ring, where it would end with the thread that submitted it; nor over the caller's memory, which
     * is written to when the ring ends. */
    u->may_stand = u->absolute && !u->valgrind && !config->shared && u->memory_size;
    u->no_iowait = !!(params.features & WEFT__FEAT_NO_IOWAIT);
    u->recent = !!(params.features & WEFT__FEAT_MIN_TIMEOUT);
    u->sends_past = sys->send && !config->shared && !(config->disable & WEFT_URING_SQPOLL);
    u->late_ring_fd = !config->shared && !(config->disable & (WEFT_URING_NO_REGRING | WEFT_URING_SQPOLL));
    make_pools(u, &plan, block);
    weft__uring_probe(u);
    *out = u;
    return 0;

fail:
    weft__uring_teardown(u);
    return r;
}

/* The plainest ring, made and ended: what a port opens with beyond that, every kernel has that has what is needed. */
int weft__uring_there(void)
{
    const weft__ring_sys *sys = &weft__ring_sys_kernel;
    struct io_uring_params params = {0};
    int r = sys->setup(sys->self, 1, &params);
    if (r < 0)
        return r;
    sys->unmap(sys->self, r, NULL, 0);
    return (params.features & needed) == needed ? 0 : -ENOSYS;
}

void weft__uring_teardown(weft__uring *u)
{
    weft_port *port = u->port;
    if (u->enter_flags & IORING_ENTER_REGISTERED_RING) {
        struct io_uring_rsrc_update update = {.offset = (uint32_t)u->enter_fd};
        u->sys->reg(u->sys->self, u->fd, IORING_UNREGISTER_RING_FDS, &update, 1);
    }
    weft__uring_buffers_close(u);
    if (u->map_sqes)
        u->sys->unmap(u->sys->self, u->fd, u->map_sqes, u->map_sqes_size);
    if (u->map_cq)
        u->sys->unmap(u->sys->self, u->fd, u->map_cq, u->map_cq_size);
    if (u->map_rings)
        u->sys->unmap(u->sys->self, u->fd, u->map_rings, u->map_rings_size);
    if (u->fd >= 0)
        u->sys->unmap(u->sys->self, u->fd, NULL, 0);
    if (u->end_fd >= 0)
        await_end(u);
    if (u->wake_fd >= 0)
        close(u->wake_fd);
    if (u->queues)
        port->env->unmap(port->env->self, u->queues, u->queues_size);
    u->magic = 0;
    if (u->memory_size)
        port->env->unmap(port->env->self, u->memory, u->memory_size);
}
