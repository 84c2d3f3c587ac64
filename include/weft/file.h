/* Files and directories, as far as a server that sends files needs them. On io_uring natively, elsewhere through the blocking pool. A file that
 * the kernel is reading cannot be cancelled: for these calls a deadline bounds when cancellation is asked for, not when they return. */
#ifndef WEFT_FILE_H
#define WEFT_FILE_H

#include <weft/lane.h>
#include <weft/op.h>

#ifdef __cplusplus
extern "C" {
#endif

/* flags: WEFT_OPEN_*. A directory may be opened with WEFT_OPEN_READ | WEFT_OPEN_DIRECTORY. Relative paths start at the working directory. */
WEFT_API int weft_open(weft_id *out, const char *path, unsigned flags, unsigned mode, int64_t deadline);
/* The same, starting at an open directory; with WEFT_OPEN_BENEATH nothing outside it can be reached (-EXDEV). */
WEFT_API int weft_open_at(weft_id *out, weft_id dir, const char *path, unsigned flags, unsigned mode, int64_t deadline);
WEFT_API int weft_stat_path(const char *path, weft_stat *out, unsigned flags, int64_t deadline);
WEFT_API int weft_stat_at(weft_id dir, const char *path, weft_stat *out, unsigned flags, int64_t deadline);
WEFT_API int weft_stat_id(weft_id file, weft_stat *out, int64_t deadline);
/* Bytes read, 0 at the end of the file. What the system has in memory is read at once, whatever the deadline; in a loop
 * of such reads others get their turn all the same. */
WEFT_API ssize_t weft_pread(weft_id file, void *buf, size_t n, uint64_t offset, int64_t deadline);
WEFT_API ssize_t weft_pwrite(weft_id file, const void *buf, size_t n, uint64_t offset, int64_t deadline);
WEFT_API int weft_fsync(weft_id file, int datasync, int64_t deadline);
/* Fills buf with weft_dirent records ("." and ".." left out) and returns their bytes, 0 at the end. -EINVAL: buf too small for one. */
WEFT_API ssize_t weft_readdir(weft_id dir, void *buf, size_t n, int64_t deadline);
/* Sends n bytes of the file from offset on. 0, or the error that stopped it; *done (may be NULL) tells how far it came. If the
 * file ended before n bytes the result is -ENODATA. */
WEFT_API int weft_sendfile(weft_id sock, weft_id file, uint64_t offset, size_t n, size_t *done, int64_t deadline);

#ifdef __cplusplus
}
#endif
#endif
