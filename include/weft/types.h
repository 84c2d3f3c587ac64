/* The words every other header uses: results, times, ids, tasks. No function here touches a runtime.
 *
 * Results: a call that can fail returns a negative errno value (-EBADF, -ETIMEDOUT...); zero or a count means success.
 * Out-parameters are written on success only. `errno` itself carries no meaning and is unspecified after any weft
 * call. */
#ifndef WEFT_TYPES_H
#define WEFT_TYPES_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define WEFT_API __attribute__((visibility("default")))
#define WEFT_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define WEFT_API
#define WEFT_PRINTF(f, a)
#endif

/* Times are nanoseconds in an int64_t. A deadline is an absolute time on the runtime's monotonic clock; WEFT_NEVER
 * waits for ever, and any time that has passed (WEFT_NOW, say) tries once without waiting. */
#define WEFT_NANOSECOND ((int64_t)1)
#define WEFT_MICROSECOND ((int64_t)1000)
#define WEFT_MILLISECOND ((int64_t)1000000)
#define WEFT_SECOND ((int64_t)1000000000)
#define WEFT_NEVER INT64_MAX
#define WEFT_NOW ((int64_t)0)

/* A handle to anything with a life of its own. `key` finds a slot, `gen` tells its incarnations apart, `ns` is its kind
 * and the runtime it belongs to. Ids are plain values: copying one shares nothing and keeps nothing alive. No part of
 * an id is a descriptor, and the all-zero id names nothing. */
typedef struct weft_id {
    uint32_t key;
    uint16_t ns;
    uint16_t gen;
} weft_id;

#define WEFT_NOID ((weft_id){0, 0, 0})

static inline int weft_id_equal(weft_id a, weft_id b) { return a.key == b.key && a.ns == b.ns && a.gen == b.gen; }

/* The intrusive unit of running. It is embedded in its owner, queued by its `next`, and never allocated by the runtime.
 * Whoever runs it has already unlinked it: `run` may queue it again, or free what it is embedded in. */
typedef struct weft_task weft_task;
struct weft_task {
    weft_task *next;
    void (*run)(weft_task *task);
};

/* What the kernel calls a descriptor or handle. Only ports know what it means. */
typedef intptr_t weft_handle;
#define WEFT_NOHANDLE ((weft_handle)-1)

typedef struct weft_runtime weft_runtime;
typedef struct weft_port weft_port;
typedef struct weft_env weft_env;

/* Where a macro was written, as "file:line": the spawn site that reports and backtraces name. */
#define WEFT_STR_(x) #x
#define WEFT_STR(x) WEFT_STR_(x)
#define WEFT_HERE __FILE__ ":" WEFT_STR(__LINE__)

/* A sentence for any result of any weft call, telling what it means and what to do. Never NULL; from any thread or
 * signal handler. */
WEFT_API const char *weft_strerror(int result);

#ifdef __cplusplus
}
#endif
#endif
