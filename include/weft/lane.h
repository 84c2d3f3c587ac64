/* Lanes: green processes. A lane owns fibers, ids and memory; it is what is placed on workers and what fails as a
 * whole. Its fibers run on one worker, so data private to a lane needs no locks. A lane ends when all its fibers and
 * child lanes have ended; what it had acquired is given back then, and only after that are those who wait for it
 * told. */
#ifndef WEFT_LANE_H
#define WEFT_LANE_H

#include <weft/fiber.h>
#include <weft/runtime.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a lane may have at once, its child lanes not counted in; 0: as much as the runtime allows. At a limit the call
 * that would pass it answers -EAGAIN (memory: -ENOMEM), or waits for room: spawning by its option `wait`, operations by
 * `ops_wait`, and anything after weft_room. */
typedef struct weft_limits {
    uint32_t fibers;      /* alive, the main one included */
    uint32_t lanes;       /* child lanes that have not been joined or ended detached */
    uint32_t ids;         /* resources: sockets, files, timers */
    uint32_t ops;         /* operations in flight, of its fibers' calls */
    int ops_wait;         /* at that limit, calls wait for room within their deadline instead of answering -EAGAIN */
    size_t vat_bytes;     /* memory of its vat, by pages */
    size_t stack_bytes;   /* of its fibers' stacks, as committed (sampled as fibers are spawned) */
    uint32_t messages;    /* in its mailbox */
    size_t message_bytes;
} weft_limits;

typedef struct weft_vat_kind weft_vat_kind; /* where a lane's memory comes from, see vat.h */

typedef struct weft_lane_options {
    const char *name;   /* shown in reports; must stay valid; default: the function's name */
    size_t stack_size;  /* of its main fiber; 0: the runtime's */
    size_t copy;        /* copy this many bytes at arg into the newborn (at most WEFT_LANE_COPY_MAX) */
    unsigned gives;     /* the copied argument begins with this many ids of the caller's resources, which are given to
                         * the lane (see weft_give) as it is made; its copy has the ids by which it knows them. Should
                         * spawning fail, nothing was given */
    int64_t deadline;   /* cancels the lane when it passes; 0: none */
    weft_id parent;     /* a child lane of the caller's, to become its child: fibers of that lane may join it.
                         * WEFT_NOID: the caller's own. -ESRCH it has ended or is being killed, -EPERM no child of the
                         * caller's; at a limit it does not wait */
    weft_id near;       /* a hint: start on the worker where this lane lives, if it still does */
    int detached;       /* nobody will join it: should it fail, the parent is cancelled */
    int pinned;         /* start on the caller's worker: not to be stolen */
    int mobile;         /* it may move to another worker wherever its fibers wait; see weft_lane_move for what that asks
                         * of its code */
    int linked;         /* linked with the caller's lane from its first moment (see link.h) */
    weft_id *monitor;   /* monitored by the caller's lane from its first moment: gets the monitor's id; NULL: not */
    const weft_limits *limits;    /* copied; NULL: none of its own */
    int64_t wait;       /* at a limit of the parent or the runtime: waits for room until this deadline; 0: answers at
                         * once */
    const weft_vat_kind *vat;     /* NULL: pages of the runtime's environment */
    int containable;    /* a fiber of it that overflows its stack ends the lane, and not the process, where
                         * weft_containable says so */
} weft_lane_options;

/* Why a lane ended: the first reason that there was. A lane to which a child's failure was passed on ends for the
 * child's reason, `cause` being the child.
 *
 * Failures are errors, kills, overflows, deadlines and limits, unless an ancestor asked for the end. None passes
 * silently: a failure waits for the parent's join; is told to a parent that monitors or supervises the child; and else,
 * when the child was detached or all fibers of the parent have ended without a join, it is the parent's: the parent is
 * cancelled, and ends for that reason unless it failed itself. The root of a runtime in the background (weft_start) is
 * not cancelled: there such a failure goes to the log. */
enum weft_exit_kind {
    WEFT_EXIT_NORMAL = 0,  /* its main fiber returned 0 or more, or weft_lane_exit(0) */
    WEFT_EXIT_ERROR,       /* its main fiber returned a negative errno, or weft_lane_exit said so */
    WEFT_EXIT_CANCELED,    /* it was cancelled from outside and its main fiber answered -ECANCELED, or never ran */
    WEFT_EXIT_KILLED,
    WEFT_EXIT_OVERFLOW,    /* a fiber of it overflowed its stack */
    WEFT_EXIT_DEADLINE,    /* its deadline cancelled it */
    WEFT_EXIT_LIMIT,       /* it could not begin: no stack, no memory */
    WEFT_EXIT_UNKNOWN      /* it had ended before anybody asked: a monitor's answer about a dead lane */
};

typedef struct weft_exit {
    weft_id lane;   /* whose end this is */
    weft_id cause;  /* the lane whose failure began it: the same, or a descendant whose failure was passed on */
    int kind;       /* enum weft_exit_kind */
    int result;     /* what the main fiber returned, or the errno that goes with the kind */
} weft_exit;

/* "ended normally", "failed: connection reset by peer (-104)", "was killed"...: at most size bytes with the closing
 * zero; returns the length it needs. Any thread. */
WEFT_API size_t weft_exit_format(const weft_exit *e, char *buf, size_t size);

#define WEFT_LANE_COPY_MAX 96

/* Makes a lane, a child of the caller's, whose main fiber runs fn(arg), on this or another worker. *out may be NULL:
 * detached. 0; -EAGAIN at the limit; -ENOMEM no memory, or a limit of it; -ETIMEDOUT, -ECANCELED while it waited for
 * room (`wait`); -ECANCELED, too: the parent is cancelled or killed; -EINVAL no function, a copy of nothing or beyond
 * WEFT_LANE_COPY_MAX, a stack below WEFT_STACK_MIN, more ids to give than were copied, or one twice; -EBADF, -EPERM,
 * -EBUSY of an id to give, as weft_give; -ENOTSUP what `vat` or stack_bytes asks for is not to be had here; -ESHUTDOWN
 * the runtime ends; -EPERM outside a fiber. */
#define weft_lane_spawn(out, fn, arg) weft_lane_spawn_at(NULL, (out), (fn), (arg), NULL, #fn, WEFT_HERE)
#define weft_lane_spawn_with(out, fn, arg, ...)                                                                        \
    weft_lane_spawn_at(NULL, (out), (fn), (arg), &(weft_lane_options){__VA_ARGS__}, #fn, WEFT_HERE)
/* From any thread, as a child of the root lane of rt. -EPERM, too: `gives`, `parent`, `linked` or `monitor` from
 * outside rt, where no lane calls. */
#define weft_lane_spawn_in(rt, out, fn, arg, opt) weft_lane_spawn_at((rt), (out), (fn), (arg), (opt), #fn, WEFT_HERE)
WEFT_API int weft_lane_spawn_at(weft_runtime *rt, weft_id *out, int (*fn)(void *arg), void *arg,
                                const weft_lane_options *opt, const char *name, const char *site);

/* Waits until a child lane has ended and everything it had is given back. *result: what its main fiber returned, or
 * what goes with another reason (-ECANCELED: killed, or never run; -ETIMEDOUT: its deadline passed when its main fiber
 * was done already). -ESRCH not a child, detached or already joined; -EINVAL no lane's id; -EPERM somebody else's
 * child; -EBUSY being joined; -EDEADLK its main fiber waits for a lock or an end that the caller has to give, itself or
 * through others: without a deadline that is refused, and reported, with one only reported; -ETIMEDOUT; -ECANCELED. */
WEFT_API int weft_lane_join(weft_id lane, int *result, int64_t deadline);
/* The same, telling why it ended. -EINVAL, too: no place for that. */
WEFT_API int weft_lane_join_exit(weft_id lane, weft_exit *out, int64_t deadline);
/* Gives up the right to join: its failure, then or later, cancels the caller's lane. -ESRCH, -EINVAL, -EPERM, -EBUSY as
 * above. */
WEFT_API int weft_lane_detach(weft_id lane);
/* Ends the caller's lane: records the result as if its main fiber had returned it, unless there is a reason already,
 * and cancels the lane's fibers and child lanes. Returns 0, and the caller goes on until its next wait. -EPERM outside
 * a lane. */
WEFT_API int weft_lane_exit(int result);
/* Ends a lane whether or not it agrees (DESIGN rule 5): its fibers never run again once they have suspended, then its
 * child lanes die, what was deferred runs (weft_defer), and locks, ids, stacks and memory go. Its exit kind is
 * WEFT_EXIT_KILLED; who joins, links or monitors it is told after all that. A fiber of it that does not suspend, and an
 * operation that the kernel does not give back, are waited for and reported. Returns at once: 0; the caller's own lane
 * ends at the caller's next wait. By the parent, the lane itself, whoever was granted WEFT_RIGHT_KILL; -EPERM anybody
 * else; -ESRCH it has ended; -EINVAL no lane's id. A lane that dies already stays as it is: 0. */
WEFT_API int weft_kill(weft_id lane);
/* The same from any thread, which needs no right unless it runs a fiber of rt. -ESHUTDOWN the runtime has ended. */
WEFT_API int weft_kill_in(weft_runtime *rt, weft_id lane);
/* The caller's lane, WEFT_NOID on a foreign thread. Lanes are cancelled by weft_cancel. */
WEFT_API weft_id weft_lane_self(void);

/* ---- Moving ---- */

/* A lane is born wherever there is room and stays there. One that was spawned with `mobile` may also move later, at any
 * call of its fibers that can wait: a worker with much to run gives some of its mobile lanes to one with little. The
 * lane notices nothing but that it runs on another thread; its operations in flight complete where they were submitted,
 * timers and messages follow it. What it asks of the code of the lane's fibers, libraries that they call included:
 *
 *   - errno and thread-local variables do not keep their values across a call that can wait, and their *addresses*
 *     may change: compilers keep such an address in a register for a whole function. So a function of such a lane
 *     either uses them (directly, or by a macro such as errno) or calls what can wait, not both; what it wants of them
 *     goes into functions of its own that are not inlined;
 *   - nothing that belongs to the thread is kept across such a call: a pthread mutex, a recursive lock of stdio
 *     (flockfile), OpenSSL's error queue.
 *
 * It does not move in per-core mode, in a runtime with external workers, with one worker; while it dies; while an id of
 * it is being closed; and while a fiber of it is in weft_accept_each or in a select that has I/O among its cases. One
 * with more than 64 fibers and ids moves only when it asks for that itself, for a move takes time for each of them.
 *
 * weft_lane_move moves the caller's lane now: 0, and the caller goes on there (unless a sibling whose turn came first
 * has moved it on). Workers are numbered from 0; in single-io mode worker 0 does the I/O and takes no lanes. -EPERM no
 * fiber, or of a lane that is not mobile here; -EINVAL no worker of that number takes lanes; -EBUSY it cannot move
 * now. */
WEFT_API int weft_lane_move(unsigned worker);

/* ---- Limits ---- */

enum weft_room { WEFT_ROOM_FIBERS, WEFT_ROOM_LANES, WEFT_ROOM_IDS, WEFT_ROOM_OPS, WEFT_ROOM_VAT };
/* Waits until the caller's lane and the runtime have room for n more (of WEFT_ROOM_VAT: bytes), in the order of asking,
 * and keeps it for the caller until it next waits: so the call that follows is not refused for want of it. One kind at
 * a time. 0; -EAGAIN (memory: -ENOMEM) there is none and the deadline has passed, or there will never be so much;
 * -ETIMEDOUT; -ECANCELED; -EINVAL; -EPERM no fiber. */
WEFT_API int weft_room(enum weft_room kind, size_t n, int64_t deadline);

/* What the caller's lane has now of each thing that weft_limits bounds, limited or not: fibers alive, child lanes, ids,
 * operations that its fibers wait for, bytes of its vat and of its fibers' stacks as committed, messages in its
 * mailbox. Counts them: O(fibers + lanes + ids), and a system call for each stack. 0; -EINVAL; -EPERM no fiber. */
WEFT_API int weft_lane_usage(weft_limits *out);
/* The same of any lane that is the caller's own, below it, or one over which it was granted WEFT_RIGHT_LOOK (link.h). A
 * lane at home on another worker is asked there and answers between two turns of its fibers: the call waits for that.
 * One that has not begun has nothing yet. -EPERM another lane's business, or no fiber; -ESRCH it has ended; -EINVAL no
 * lane's id; -ETIMEDOUT no answer in time, its worker is busy; -ECANCELED; -ENOMEM. */
WEFT_API int weft_lane_usage_of(weft_id lane, weft_limits *out, int64_t deadline);

/* ---- Containing overflows ---- */

/* Without any of this a stack overflow ends the process with a report. In a lane spawned with `containable` it ends
 * that lane alone, as weft_kill would, with the exit kind WEFT_EXIT_OVERFLOW, but only if all of this holds; else the
 * process ends as before:
 *
 *   - the fault lies in the guard of the stack that the faulting fiber stands on;
 *   - every function on that stack, from fn of the fiber or lane down to the one that faulted, is registered as
 *     containable. A call of the runtime may be the last: it looks for room before it does anything. The C library is
 *     not registered, and must not be: its locks would stay locked;
 *   - the system is Linux, the processor x86-64, AArch64 or RISC-V, and the code has unwind tables (compilers make
 *     them by default).
 *
 * Registered code holds nothing across calls of other registered code that the lane's death does not give back: no
 * foreign lock, no malloc'd memory except by weft_defer, no half-changed object that others see. What it wrote before,
 * anywhere, stays written: this contains overflows, not wild writes, which cannot be contained in one address space.
 *
 * Registers [from, to) for as long as rt runs (NULL: the caller's runtime): a section, or the text of a module of its
 * own. Any thread. 0; -EINVAL an empty range, or the runtime's own code lies in it; -EAGAIN there are 32 ranges;
 * -ENOTSUP this system cannot; -EPERM NULL outside a runtime. */
WEFT_API int weft_containable(weft_runtime *rt, const void *from, const void *to);

/* The simple way: functions marked so lie in a section of their own, and weft_containable_marked registers those of the
 * program or library in which it is called (there must be at least one). */
/* A section's name must not be a name in C: assemblers take it for the same. */
#define WEFT_CONTAINABLE __attribute__((section("weft_contain_text"), noinline))
#define weft_containable_marked(rt) weft_containable((rt), weft__containable_begin, weft__containable_end)
extern const char weft__containable_begin[] __asm__("__start_weft_contain_text")
    __attribute__((weak, visibility("hidden")));
extern const char weft__containable_end[] __asm__("__stop_weft_contain_text")
    __attribute__((weak, visibility("hidden")));

/* ---- Tasks: running without a fiber ---- */

/* Runs a task on any worker of rt. It must not wait. Any thread; the task is the runtime's until its run is called. 0;
 * -EINVAL no runtime, or no task, or one without run; -ESHUTDOWN every lane has ended. */
WEFT_API int weft_task_submit(weft_runtime *rt, weft_task *task);

/* ---- Lane-local values ---- */

/* Small process-wide keys, a pointer each per lane, NULL at first, shared by the lane's fibers. A destructor is called
 * as the lane ends, for values that are not NULL: after the last fiber and all deferred clean-ups, while the lane's
 * memory is still there, on its worker but outside any fiber, so it must not wait; what lies in the lane's memory needs
 * none. -EAGAIN: all WEFT_LANE_LOCALS keys are taken; -EINVAL no place for the key. Any thread. */
#define WEFT_LANE_LOCALS 16
WEFT_API int weft_lane_local_key(unsigned *key, void (*destroy)(void *value));
/* Of the calling fiber's lane. 0; -EPERM no fiber; -EINVAL no such key; -ENOMEM: the lane's first value, and its limit
 * of memory. */
WEFT_API int weft_lane_local_set(unsigned key, void *value);
WEFT_API void *weft_lane_local_get(unsigned key);

#ifdef __cplusplus
}
#endif
#endif
