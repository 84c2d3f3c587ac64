/* Files and directories, as far as a server that sends files needs them. On io_uring natively, elsewhere through the
 * blocking pool. A file that the kernel is reading cannot be cancelled: for these calls a deadline bounds when
 * cancellation is asked for, not when they return. */
#ifndef WEFT_FILE_H
#define WEFT_FILE_H

#include <weft/lane.h>
#include <weft/op.h>

#ifdef __cplusplus
extern "C" {
#endif

/* An open file belongs to the lane that opened it and is closed by weft_close (net.h) or when the lane ends. All calls
 * are for fibers (-EPERM elsewhere). Errors that they share: -EBADF a stale id; -EPERM another lane's; -EINVAL another
 * kind of id, no path, no place for the result, or an offset beyond INT64_MAX; -EAGAIN the lane's or the runtime's
 * limit of ids or of operations; -ENOMEM no record for the file; -ETIMEDOUT; -ECANCELED, checked at entry; -ENOTSUP no
 * thread for what only a thread can do; others as the system gives them (-ENOENT, -EACCES, -EIO...). */

/* flags: WEFT_OPEN_*; mode: the permissions of a file that is created. A directory may be opened with WEFT_OPEN_READ |
 * WEFT_OPEN_DIRECTORY. Relative paths start at the working directory. 0, and *out is it; one that was opened in spite
 * of a cancel or the deadline counts. */
WEFT_API int weft_open(weft_id *out, const char *path, unsigned flags, unsigned mode, int64_t deadline);
/* The same, starting at an open directory; with WEFT_OPEN_BENEATH nothing outside it can be reached (-EXDEV). */
WEFT_API int weft_open_at(weft_id *out, weft_id dir, const char *path, unsigned flags, unsigned mode, int64_t deadline);
/* What is known of a path (flags: WEFT_STAT_NOFOLLOW), of one that starts at an open directory, and of what is open.
 * 0. */
WEFT_API int weft_stat_path(const char *path, weft_stat *out, unsigned flags, int64_t deadline);
WEFT_API int weft_stat_at(weft_id dir, const char *path, weft_stat *out, unsigned flags, int64_t deadline);
WEFT_API int weft_stat_id(weft_id file, weft_stat *out, int64_t deadline);
/* Bytes read, 0 at the end of the file. What the system has in memory is read at once, whatever the deadline; in a loop
 * of such reads others get their turn all the same. -ESPIPE: it has no offsets (a pipe, a terminal); so answers
 * weft_pwrite, too. */
WEFT_API ssize_t weft_pread(weft_id file, void *buf, size_t n, uint64_t offset, int64_t deadline);
/* Bytes written, which may be fewer than n. */
WEFT_API ssize_t weft_pwrite(weft_id file, const void *buf, size_t n, uint64_t offset, int64_t deadline);
/* Waits until what was written is on the disk; datasync: its content, and no more than is needed to find that. 0. */
WEFT_API int weft_fsync(weft_id file, int datasync, int64_t deadline);
/* Fills buf with weft_dirent records ("." and ".." left out) and returns their bytes, 0 at the end.
 * -EINVAL: buf too small for one. */
WEFT_API ssize_t weft_readdir(weft_id dir, void *buf, size_t n, int64_t deadline);
/* Sends n bytes of the file from offset on. 0, or the error that stopped it; *done (may be NULL) tells how far it
 * came. If the file ended before n bytes the result is -ENODATA. -EXDEV: one of them is shared (weft_dup), and at home
 * on another worker than the other. */
WEFT_API int weft_sendfile(weft_id sock, weft_id file, uint64_t offset, size_t n, size_t *done, int64_t deadline);

#ifdef __cplusplus
}
#endif
#endif
