/* Owns memory by pages: mappings, guards, giving back, committing. Any thread. The only state is which advice works,
 * which is found out once by trying, because emulators and old kernels answer 0 to advice they do not know. */
#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "arch/layout.h"
#include "base/atomic.h"
#include "base/check.h"
#include "env/posix.h"

/* By number: the C library's headers are older than the kernels that have them. */
#define ADVICE_HUGEPAGE 14
#define ADVICE_NOHUGEPAGE 15
#define ADVICE_POPULATE_WRITE 23
#define ADVICE_GUARD_INSTALL 102
#define ADVICE_GUARD_REMOVE 103
#define ADVICE_POPULATE_READ 22

#if WEFT__VALGRIND
#include <valgrind/valgrind.h>
#define ON_VALGRIND RUNNING_ON_VALGRIND /* which says of calls that it does not know that it does not know them */
#else
#define ON_VALGRIND 0
#endif

#define MYSELF (-10000) /* PIDFD_SELF, in place of a descriptor of this process */
#define ROW_MAX 64u

#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0
#endif

#define HUGE_BYTES ((size_t)2 << 20)
#define HUGE_FLAG (21 << 26) /* MAP_HUGE_2MB: their default size may be another */

static int guard_kind;    /* enum weft__guard_kind */
static int guards_mixed;  /* 1 once mprotect stood in for a refused MADV_GUARD_INSTALL */

size_t weft__posix_page_size(void)
{
    long n = sysconf(_SC_PAGESIZE);

    WEFT_ASSERT(n > 0);
    return (size_t)n;
}

static void give_back(void *p, size_t bytes)
{
    if (bytes > 0 && munmap(p, bytes) != 0)
        weft__panic(__FILE__, "what is unmapped was mapped as a whole");
}

/* A mapping with these flags, at a multiple of align; what there is too much of goes back. */
static char *map_aligned(size_t bytes, size_t align, int flags)
{
    const size_t page = weft__posix_page_size();
    const size_t slack = align > page ? align - page : 0;
    const size_t rounded = (bytes + page - 1) & ~(page - 1);
    char *p, *start;

    if (bytes == 0 || rounded < bytes || rounded + slack < rounded || (align & (align - 1)) != 0)
        return NULL;
    p = mmap(NULL, rounded + slack, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    start = p;
    if (slack > 0) {
        start = (char *)(((uintptr_t)p + align - 1) & ~(uintptr_t)(align - 1));
        give_back(p, (size_t)(start - p));
        give_back(start + rounded, slack - (size_t)(start - p));
    }
    return start;
}

static void advise(char *p, size_t bytes, int advice)
{
    const size_t page = weft__posix_page_size();

#if defined(__linux__)
    (void)madvise(p, (bytes + page - 1) & ~(page - 1), advice); /* -EINVAL where the kernel has no huge pages */
#else
    (void)p, (void)page, (void)advice;
#endif
}

/* Huge pages are declined: a slab of stacks is committed a page at a time as fibers touch theirs,
 * and one touch must not commit the two megabytes around it. */
void *weft__posix_map(void *self, size_t bytes, size_t align)
{
    char *p = map_aligned(bytes, align, MAP_PRIVATE);

    (void)self;
    if (p)
        advise(p, bytes, ADVICE_NOHUGEPAGE);
    return p;
}

/* At a multiple of a huge page: the kernel makes them of nothing else. */
static void *map_advised(size_t bytes, size_t align)
{
    char *p = map_aligned(bytes, align < HUGE_BYTES ? HUGE_BYTES : align, MAP_PRIVATE);

    if (p)
        advise(p, bytes, ADVICE_HUGEPAGE);
    return p;
}

/* Reserved huge pages are few or none on most machines; then the kernel is asked to make some of ordinary ones. Without
 * NORESERVE: a process that touches reserved pages which are not there gets SIGBUS. */
static void *map_huge(size_t bytes, size_t align)
{
    char *p;

#if defined(MAP_HUGETLB)
    if (bytes % HUGE_BYTES == 0 && align <= HUGE_BYTES) {
        p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | HUGE_FLAG, -1, 0);
        if (p != MAP_FAILED)
            return p;
    }
#endif
    p = map_aligned(bytes, align, MAP_PRIVATE);
    if (p)
        advise(p, bytes, ADVICE_HUGEPAGE);
    return p;
}

void *weft__posix_map_as(void *self, size_t bytes, size_t align, enum weft_map_as how)
{
    (void)self;
    switch (how) {
    case WEFT_MAP_SHARED:
        return map_aligned(bytes, align, MAP_SHARED);
    case WEFT_MAP_HUGE:
        return map_huge(bytes, align);
    case WEFT_MAP_ADVISED:
        return map_advised(bytes, align);
    case WEFT_MAP_KERNEL: /* which holds the pages themselves, whatever becomes of the mapping */
        return weft__posix_map(NULL, bytes, align);
    default:
        return NULL;
    }
}

void weft__posix_unmap(void *self, void *p, size_t bytes)
{
    const size_t page = weft__posix_page_size();

    (void)self;
    give_back(p, (bytes + page - 1) & ~(page - 1));
}

#if defined(__linux__)
/* The advice was given for this page. It is believed if the kernel now refuses to fill it, with which an
 * emulator that knows neither advice agrees: so nothing is mapped for finding out, nothing is written to what
 * another thread may guard as well, and strict mode may have it, too. Threads that find out at the same time
 * find the same. 1 if the page is guarded. */
static int learn_guard_kind(char *p, int advised)
{
    const int works = advised && madvise(p, weft__posix_page_size(), ADVICE_POPULATE_READ) != 0 && errno == EFAULT;

    __atomic_store_n(&guard_kind, (int)(works ? WEFT__GUARD_MADVISE : WEFT__GUARD_MPROTECT), __ATOMIC_RELAXED);
    return works;
}
#endif

enum weft__guard_kind weft__posix_guard_kind(void)
{
    return (enum weft__guard_kind)__atomic_load_n(&guard_kind, __ATOMIC_RELAXED);
}

void weft__posix_guard_force(enum weft__guard_kind kind)
{
    __atomic_store_n(&guard_kind, (int)kind, __ATOMIC_RELAXED);
}

#if defined(__linux__) && defined(SYS_process_madvise)
static int advise_row(char *p, size_t bytes, size_t stride, unsigned n)
{
    struct iovec row[ROW_MAX];

    for (unsigned i = 0; i < n; i++)
        row[i] = (struct iovec){.iov_base = p + i * stride, .iov_len = bytes};
    const long done = syscall(SYS_process_madvise, MYSELF, row, n, ADVICE_GUARD_INSTALL, 0);
    return done < 0 ? -errno : (size_t)done == n * bytes ? 0 : -EINVAL;
}
#endif

/* All of them by one call where the kernel advises a process about itself by vectors (Linux 6.15).
 * Emulators and Valgrind do not have it. */
int weft__posix_guard_row(void *self, void *p, size_t bytes, size_t stride, unsigned n)
{
    (void)self;
#if defined(__linux__) && defined(SYS_process_madvise)
    static int refused;

    if (weft__posix_guard_kind() == WEFT__GUARD_MPROTECT || n > ROW_MAX || ON_VALGRIND || weft__load_relaxed(&refused, "guard.row"))
        return -ENOTSUP;
    const int r = advise_row(p, bytes, stride, n);
    if (r < 0 && r != -EINVAL) /* that is for locked memory, and may be different for the next row */
        weft__store_relaxed(&refused, 1, "guard.row");
    /* Not learnt by a second call: a system that takes a process's advice about itself,
     * and counts the bytes, knows this one. */
    if (r == 0)
        weft__posix_guard_force(WEFT__GUARD_MADVISE);
    return r;
#else
    (void)p, (void)bytes, (void)stride, (void)n;
    return -ENOTSUP;
#endif
}

/* Locked memory (mlockall) refuses the advice: mprotect stands in for that range,
 * at the price of a mapping of its own. */
int weft__posix_guard(void *self, void *p, size_t bytes)
{
    (void)self;
#if defined(__linux__)
    if (weft__posix_guard_kind() == WEFT__GUARD_UNKNOWN && learn_guard_kind(p, madvise(p, bytes, ADVICE_GUARD_INSTALL) == 0))
        return 0;
#endif
    if (weft__posix_guard_kind() == WEFT__GUARD_MADVISE) {
        if (madvise(p, bytes, ADVICE_GUARD_INSTALL) == 0)
            return 0;
    }
    if (weft__posix_guard_kind() != WEFT__GUARD_MPROTECT)
        __atomic_store_n(&guards_mixed, 1, __ATOMIC_RELAXED);
    return mprotect(p, bytes, PROT_NONE) == 0 ? 0 : -errno;
}

int weft__posix_unguard(void *self, void *p, size_t bytes)
{
    (void)self;
    if (weft__posix_guard_kind() == WEFT__GUARD_MADVISE) {
        if (madvise(p, bytes, ADVICE_GUARD_REMOVE) != 0)
            return -errno;
        if (!__atomic_load_n(&guards_mixed, __ATOMIC_RELAXED))
            return 0;
    }
    return mprotect(p, bytes, PROT_READ | PROT_WRITE) == 0 ? 0 : -errno;
}

/* Guards stay where they are: the kernel keeps them through MADV_DONTNEED, and so does mprotect. Where the advice is
 * refused (locked memory) the pages are cleared, because who discards counts on zeroes. */
void weft__posix_discard(void *self, void *p, size_t bytes)
{
    (void)self;
#if defined(__linux__)
    if (madvise(p, bytes, MADV_DONTNEED) == 0)
        return;
#else
    if (mmap(p, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED)
        return;
#endif
    __builtin_memset(p, 0, bytes);
}

/* An atomic or with nothing: a write to the page that changes no byte another thread might be writing. */
static void touch(char *p, size_t bytes)
{
    const size_t page = weft__posix_page_size();

    for (size_t at = 0; at < bytes; at += page)
        __atomic_fetch_or(p + at, 0, __ATOMIC_RELAXED);
}

int weft__posix_populate(void *self, void *p, size_t bytes)
{
    (void)self;
#if defined(__linux__)
    static int believed; /* 1 once the advice was seen to commit a page: emulators answer 0 and do nothing */
    unsigned char there = 0;
    int r;

    do
        r = madvise(p, bytes, ADVICE_POPULATE_WRITE) == 0 ? 0 : -errno;
    while (r == -EINTR || r == -EAGAIN);
    if (r == 0 && __atomic_load_n(&believed, __ATOMIC_RELAXED))
        return 0;
    if (r < 0 && r != -EINVAL && r != -ENOSYS)
        return -ENOMEM;
    if (r == 0 && mincore(p, weft__posix_page_size(), (void *)&there) == 0 && (there & 1))
        __atomic_store_n(&believed, 1, __ATOMIC_RELAXED);
#endif
    touch(p, bytes);
    return 0;
}

/* How many pages of a piece are there. Emulators refuse a piece that has a guard in it:
 * then each page is asked for alone. */
static size_t count_there(char *p, size_t bytes, size_t page)
{
    unsigned char there[256];
    size_t n = 0;

    if (mincore(p, bytes, (void *)there) == 0) {
        for (size_t i = 0; i < (bytes + page - 1) / page; i++)
            n += there[i] & 1;
    } else {
        for (size_t at = 0; at < bytes; at += page)
            n += mincore(p + at, page, (void *)there) == 0 && (there[0] & 1);
    }
    return n;
}

/* Guarded pages count as not committed; so do pages that were swapped out. */
size_t weft__posix_resident(void *self, void *p, size_t bytes)
{
    const size_t page = weft__posix_page_size(), step = 256 * page;
    size_t n = 0;

    (void)self;
    for (size_t at = 0; at < bytes; at += step)
        n += count_there((char *)p + at, bytes - at < step ? bytes - at : step, page);
    return n * page;
}
