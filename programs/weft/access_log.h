/*
 * The access log: one line for each request, in the combined format that log tools read.
 */
#ifndef WEFT_PROGRAM_ACCESS_LOG_H
#define WEFT_PROGRAM_ACCESS_LOG_H

#include "http_request.h"
#include "out.h"

#include <stdbool.h>

/*
 * access_log_open starts the log. `where` is a file (appended to), "-" for standard output, or "none". Returns 0 or a
 * negative errno value. access_log_close writes out what is left and ends it.
 */
int access_log_open(const char *where);
void access_log_close(void);

/* access_log_on tells whether lines are wanted at all. */
bool access_log_on(void);

/* access_log_put hands over one complete line. Never waits: lines that do not fit are counted and dropped. */
void access_log_put(const char *line, size_t n);

/*
 * access_log_format writes a line with its newline. `rq` may be half parsed: what is not known becomes "-". Bytes of
 * the client that could break a line or a quoted field are written as \xHH.
 */
void access_log_format(struct out *o, const char *peer, int64_t unix_seconds, const struct http_request *rq,
    const char *base, int status, uint64_t bytes);

#endif
