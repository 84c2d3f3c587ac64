/* Opening a path that must stay below a directory. */
#ifndef WEFT_PORT_BENEATH_H
#define WEFT_PORT_BENEATH_H

#include <stdint.h>

/* As openat(2) with these flags, but -EXDEV where `path` is absolute or leaves `dir` by ".." or a symbolic link. The
 * kernel does it where it can (openat2). A descriptor or -errno. Any thread; blocks as opening files does. */
int64_t weft__open_beneath(int dir, const char *path, int flags, unsigned mode);
/* The same without the kernel's help: for systems that lack openat2 and sandboxes that refuse it, and for the test
 * that compares both. */
int64_t weft__open_beneath_walk(int dir, const char *path, int flags, unsigned mode);

#endif
