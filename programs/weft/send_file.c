/*
 * A file to a client. Any fiber; nothing is kept.
 */
#include "send_file.h"

#include <errno.h>

/* As much as one call is asked for, so that its time-out begins anew at least that often. */
#define STEP ((size_t)1024 * 1024)

int send_file(weft_id to, weft_id file, uint64_t offset, uint64_t n, int64_t idle_ns)
{
    int r = 0;
    while (r == 0 && n > 0) {
        size_t done = 0;
        r = weft_sendfile(to, file, offset, n < STEP ? (size_t)n : STEP, &done, weft_after(idle_ns));
        if (r == -ETIMEDOUT && done > 0)
            r = 0; /* slow, but not silent */
        offset += done;
        n -= done;
    }
    return r;
}
