/* Shared bytes: immutable buffers that several lanes hold at once, without copying. Three things:
 *
 *   a block   memory outside all vats that its maker fills, and then freezes into a slice
 *   a slice   a reference to a part of a frozen block
 *   a rope    a sequence of such parts: concatenating, cutting and sending it copies no bytes
 *
 * Each value is an id that belongs to the lane that got it: it is dropped by that lane, or by its death, whichever
 * comes first, and the bytes are freed when nobody refers to them any more. Ids of dropped ones and of other lanes are
 * refused (-EBADF, -EPERM; NULL where a pointer is answered), so what a lane holds it can always name. To another lane
 * they travel in messages.
 *
 * For fibers. What a lane holds counts against its limit for memory (weft_limits.vat_bytes): blocks with their size,
 * slices and ropes with the bytes they refer to. The blocks themselves, which may be larger, count against
 * weft_options.max_vat_bytes until they are freed. Errors that all calls share: -EPERM outside a fiber and for what
 * another lane holds; -EBADF what was dropped, or is of another kind; -ENOMEM the lane's or the runtime's limit, or no
 * memory. */
#ifndef WEFT_SLICE_H
#define WEFT_SLICE_H

#include <sys/uio.h>

#include <weft/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weft_block { weft_id id; } weft_block;
typedef struct weft_slice { weft_id id; } weft_slice;
typedef struct weft_rope { weft_id id; } weft_rope;

/* ---- Blocks ---- */

/* A block of `size` bytes to be filled; *data, if not NULL, gets where. Its content is unspecified. 0; -EINVAL size 0;
 * -ENOMEM. */
WEFT_API int weft_block_make(weft_block *out, size_t size, void **data);
/* Where the block is filled, and its size; NULL once it is frozen or dropped. */
WEFT_API void *weft_block_data(weft_block block, size_t *size);
/* The first `length` bytes are final: *out refers to them, and `block` names nothing any more. On failure it stays as
 * it was. -EINVAL: length is larger than the block. */
WEFT_API int weft_block_freeze(weft_block block, size_t length, weft_slice *out);
WEFT_API int weft_block_drop(weft_block block);

/* ---- Slices ---- */

/* A copy of n bytes (which may be 0) as a slice. */
WEFT_API int weft_slice_copy(weft_slice *out, const void *p, size_t n);
/* The bytes, valid for as long as the slice is held, and their number. NULL for what is no slice of the caller's
 * lane. */
WEFT_API const void *weft_slice_data(weft_slice slice, size_t *length);
/* Another reference to `length` bytes from `offset` on, independent of the first; SIZE_MAX: to the end. -EINVAL: not
 * within the slice. */
WEFT_API int weft_slice_sub(weft_slice *out, weft_slice slice, size_t offset, size_t length);
WEFT_API int weft_slice_drop(weft_slice slice);

/* ---- Ropes ---- */

/* An empty rope. */
WEFT_API int weft_rope_make(weft_rope *out);
/* Adds at the end what a slice, or all that another rope (or the same) refers to; both stay as they are. On failure
 * `rope` does, too. O(parts added). -EOVERFLOW: the bytes would no longer fit a size_t. */
WEFT_API int weft_rope_add(weft_rope rope, weft_slice slice);
WEFT_API int weft_rope_concat(weft_rope rope, weft_rope other);
/* Adds a copy of n bytes. */
WEFT_API int weft_rope_add_copy(weft_rope rope, const void *p, size_t n);
/* A rope of its own that refers to a part; SIZE_MAX: to the end. -EINVAL: not within the rope. O(parts). */
WEFT_API int weft_rope_sub(weft_rope *out, weft_rope rope, size_t offset, size_t length);
/* Lets go of the first n bytes: what was written, say. -EINVAL: more than it has. */
WEFT_API int weft_rope_skip(weft_rope rope, size_t n);
/* How many bytes, how many parts. */
WEFT_API int weft_rope_length(weft_rope rope, size_t *bytes, size_t *parts);
/* Copies up to n bytes from `offset` on; returns how many. -EINVAL: offset lies behind the end. */
WEFT_API ssize_t weft_rope_read(weft_rope rope, size_t offset, void *buf, size_t n);
/* All of it in one slice: another reference if it is one part anyway, else a copy. */
WEFT_API int weft_rope_flatten(weft_slice *out, weft_rope rope);
/* Describes up to `max` parts from `offset` on for weft_writev; returns how many. What they point to is valid for as
 * long as the rope holds those bytes. -EINVAL: offset lies behind the end. To send all of a rope: iov, weft_writev,
 * weft_rope_skip by what was written, until it is empty. */
WEFT_API int weft_rope_iov(weft_rope rope, size_t offset, struct iovec *iov, unsigned max);
WEFT_API int weft_rope_drop(weft_rope rope);

/* What a lane holds: blocks, slices and ropes, and the bytes that count for them. 0; -EPERM outside a fiber. */
WEFT_API int weft_holdings(size_t *count, size_t *bytes);

#ifdef __cplusplus
}
#endif
#endif
