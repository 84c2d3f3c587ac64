/* What the conformance suite stands on: a port of the driver that WEFT_PORT names, nothing above it. Every case is a
 * function that gets a fresh bed; when it returns, every op it started must have ended exactly once and every
 * descriptor must be closed. */
#ifndef WEFT_TESTS_PORT_BED_H
#define WEFT_TESTS_PORT_BED_H

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/atomic.h"
#include "base/check.h"
#include "base/list.h"
#include "descriptors.h"
#include "port/port.h"
#include "test.h"

/* An op that knows how often it ended. */
typedef struct job {
    weft_op op;
    uint32_t ended; /* atomic: remote ops are delivered by the home thread */
    /* of multishot ops */
    unsigned more;
    int64_t results[64];
    struct bed *bed;
} job;

typedef struct bed {
    weft_port port;
    const weft_env *env;
    weft__pool *pool;
    uint32_t started, ended; /* ended: delivered, or found done by start */
    void (*on_end)(struct bed *bed, weft_op *op);
} bed;

#define BED_LIMIT (30 * WEFT_SECOND) /* nothing here takes that long unless it hangs */

void bed_open(bed *b, const weft_port_config *config);
void bed_close(bed *b);
int64_t bed_now(void);
int64_t bed_after(int64_t ns);

/* Starts the job's op (filled before). */
void bed_start(bed *b, job *j);
/* Enters until the job has ended, or fails; its result. */
int64_t bed_await(bed *b, job *j);
/* Enters until *word is `n`, or fails. */
void bed_until(bed *b, const uint32_t *word, uint32_t n);
/* start and await. */
int64_t bed_run(bed *b, job *j);
/* A few enters without waiting: whatever could happen by itself has happened. */
void bed_settle(bed *b);
void bed_cancel(bed *b, job *j);

/* Sockets and files. The weft_desc is a descriptor under the bed's port; raw ends are plain ones of the test's own. */
void bed_pair(weft_desc *a, int *raw, int family);      /* connected; AF_UNIX or AF_INET */
void bed_pair2(weft_desc *a, weft_desc *b, int family);
/* A free port of test_loopback(), [::1]:0, an abstract Unix name. */
void bed_listener(bed *b, weft_desc *l, weft_addr *addr, int family);
int bed_raw_connect(const weft_addr *addr);             /* blocking */
void bed_shut(bed *b, weft_desc *d);                    /* weft__desc_close, and the kernel's close has come */
/* Fills a socket until it would block. */
size_t bed_fill(int fd);
int is_uring(const bed *b);

typedef struct bed_case {
    const char *name;
    void (*run)(bed *b);
    const weft_port_config *config;
} bed_case;
#define CASE(f) {#f, f, NULL}
#define CASE_WITH(f, c) {#f, f, c}
/* Runs all cases, or the one named by the first argument. */
int bed_main(int argc, char **argv, const bed_case *cases, size_t n);
#define BED_MAIN(cases)                                                                                                \
    int main(int argc, char **argv) { return bed_main(argc, argv, cases, sizeof cases / sizeof *cases); }

/* Numbers that a seed decides. */
static inline uint32_t bed_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

#endif
