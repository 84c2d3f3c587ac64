/* What the tests of a port of one's own stand on: the driver that WEFT_PORT names, reached by the public calls alone.
 * Any thread may call these. */
#ifndef WEFT_TESTS_PORT_ALONE_H
#define WEFT_TESTS_PORT_ALONE_H

#include "port/port.h"
#include "test.h"

/* Opens one; skips the test where this build or this kernel has no such driver. */
weft_port *alone_open(const weft_port_options *opt);
/* What has been asked for comes; then the port closes. */
void alone_close(weft_port *p);

int64_t alone_now(void);
int64_t alone_soon(void); /* a deadline that counts as failure */

/* Two connected Unix sockets: one attached under `key`, as *d; the other one, returned, is the caller's to close. */
int alone_pair(weft_port *p, uint64_t key, weft_desc **d);
/* Reaps one; fails where none comes. */
weft_completion alone_one(weft_port *p);

typedef struct alone_case {
    const char *name;
    void (*run)(void);
} alone_case;
#define CASE(f) {#f, f}
/* Runs all cases, or the one named by the first argument. */
int alone_main(int argc, char **argv, const alone_case *cases, size_t n);
#define ALONE_MAIN(cases)                                                                                              \
    int main(int argc, char **argv) { return alone_main(argc, argv, cases, sizeof cases / sizeof *cases); }

#endif
