/* Owns the library's way to give up: the text on the standard error, then abort. Any thread, signal handlers included;
 * nothing is allocated or locked, because the state of the process is already known to be wrong. */
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/check.h"

static void say(struct iovec *part, int count)
{
    ssize_t n = writev(STDERR_FILENO, part, count);

    (void)n; /* nobody is left to be told */
}

static struct iovec text(const char *s)
{
    return (struct iovec){.iov_base = (void *)(uintptr_t)s, .iov_len = strlen(s)};
}

_Noreturn void weft__panic(const char *where, const char *what)
{
    struct iovec part[] = {text("weft: "), text(where), text(": must be true, but is not: "), text(what), text("\n")};

    say(part, 5);
    abort();
}

_Noreturn void weft__panic_text(const char *report, size_t n)
{
    struct iovec part[] = {{.iov_base = (void *)(uintptr_t)report, .iov_len = n}, text("\n")};

    say(part, n > 0 && report[n - 1] == '\n' ? 1 : 2);
    abort();
}
