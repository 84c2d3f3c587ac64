/* A lane's memory. What a fiber allocates here belongs to its lane, is counted against the lane's limit
 * (weft_limits.vat_bytes), and is given back as a whole when the lane dies, however it dies: nobody has to free it
 * before. The calls mean what malloc, calloc, realloc and free mean.
 *
 * For fibers, on memory of their own lane: no lock is taken and nothing waits. A block must not be used by another lane
 * without some order between the two, must be freed by a fiber of the lane it belongs to, and is gone once that lane
 * has ended; what crosses lanes goes through slices (slice.h) or messages. Outside a fiber every allocation answers
 * NULL.
 *
 * Bad use is told (DESIGN rule 13): freeing a block of another lane's, a block twice, or an address that is no block's
 * is written to the log with the names of the lanes concerned, and is otherwise without effect; a checked build aborts
 * with the same text. So does, in a checked build, freeing a block that an operation in flight still uses, and having
 * written past a block's end. An address that was never any vat's (malloc's, say) may go unnoticed or crash, as with
 * free. */
#ifndef WEFT_VAT_H
#define WEFT_VAT_H

#include <stdarg.h>

#include <weft/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Blocks ---- */

/* A block of at least `size` bytes, aligned for every type (16), its content unspecified; size 0 gives a block of its
 * own, too. NULL: the lane's or the runtime's limit, or no memory. Constant time, but for blocks beyond 1 MiB, which
 * may ask the system. */
WEFT_API void *weft_alloc(size_t size);
/* count times `size` zeroed bytes; NULL also where the product overflows. */
WEFT_API void *weft_calloc(size_t count, size_t size);
/* The block's content, up to the smaller size, in a block of `size` bytes, which may be another one; then p is freed.
 * NULL: there is no memory, and p stays as it is. p NULL: as weft_alloc. Size 0 keeps a block; nothing but weft_free
 * frees. */
WEFT_API void *weft_realloc(void *p, size_t size);
/* Frees a block; NULL does nothing. */
WEFT_API void weft_free(void *p);
/* How many bytes of the block may be used: what was asked for, or somewhat more. 0 for NULL and for what is no block of
 * the caller's lane. */
WEFT_API size_t weft_alloc_size(const void *p);

typedef struct weft_vat_stats {
    size_t used;    /* bytes in blocks, rounded up as they are handed out */
    size_t held;    /* bytes of pages that the vat has now: what counts against the limit */
    size_t peak;    /* the most it ever had */
    size_t pages;   /* pieces that `held` consists of: dying costs time in proportion to their number */
    size_t limit;   /* 0: none */
    const char *kind;
} weft_vat_stats;
/* Of the calling fiber's lane; O(pages). 0; -EPERM outside a fiber; -EINVAL. */
WEFT_API int weft_vat_stats_get(weft_vat_stats *out);

/* ---- Strings ---- */

/* A copy of a string, of at most n bytes of it with a zero added, or of n bytes as they are. NULL as from weft_alloc,
 * or if s is NULL. */
WEFT_API char *weft_strdup(const char *s);
WEFT_API char *weft_strndup(const char *s, size_t n);
WEFT_API void *weft_memdup(const void *p, size_t n);

/* Formatted text in a block of its own. Integers (d i u o x X, with h hh l ll z j t), c s p %, floating point (f F e E
 * g G, exactly rounded), flags, widths and precisions, * included, mean what they mean to printf in the C locale. NULL
 * as from weft_alloc, or for a conversion that is none of these. */
WEFT_API char *weft_printf_alloc(const char *format, ...) WEFT_PRINTF(1, 2);
WEFT_API char *weft_vprintf_alloc(const char *format, va_list ap) WEFT_PRINTF(1, 0);
/* The same into a buffer, of which at most `size` bytes are written, the closing zero included: the length that the
 * whole text has, or -EINVAL for another conversion. No memory is needed; any thread. */
WEFT_API ssize_t weft_format(char *buf, size_t size, const char *format, ...) WEFT_PRINTF(3, 4);
WEFT_API ssize_t weft_vformat(char *buf, size_t size, const char *format, va_list ap) WEFT_PRINTF(3, 0);

/* Text that grows. Zero-initialised; `data` is NULL while nothing was added and ends in a zero afterwards. The first
 * failure sticks, the text stays as it was, and further additions answer the same, so a series of calls needs one check
 * at its end. */
typedef struct weft_text {
    char *data;
    size_t length, capacity;
    int error; /* the first failure: -ENOMEM, or -EINVAL for a bad format */
} weft_text;

/* 0, or the text's error. */
WEFT_API int weft_text_add(weft_text *t, const char *s);
WEFT_API int weft_text_add_bytes(weft_text *t, const void *p, size_t n);
WEFT_API int weft_text_printf(weft_text *t, const char *format, ...) WEFT_PRINTF(2, 3);
/* The text as a block of the caller's, "" if nothing was added; t is empty again. NULL after a failure, and then
 * nothing is left of the text. */
WEFT_API char *weft_text_take(weft_text *t);
/* Frees the text; t is empty again. */
WEFT_API void weft_text_drop(weft_text *t);

/* ---- Kinds: where a lane's memory comes from ---- */

/* A source of memory for lanes that are spawned with it (weft_lane_options.vat); all calls above work the same. It must
 * outlive those lanes, and its functions are called on the lanes' workers. One kind may serve several lanes at once if
 * its functions allow that. */
typedef struct weft_vat_kind {
    const char *name;
    void *self;
    /* `bytes` of zeroed memory at a multiple of `align`, both multiples of 64 KiB; NULL: no more. NULL here: the
     * runtime's environment (map_as where `flags` say so). */
    void *(*map)(void *self, size_t bytes, size_t align);
    /* Gives back a whole mapping; called for each one at the latest when the lane dies. */
    void (*unmap)(void *self, void *p, size_t bytes);
    size_t unit;     /* how much to map at once, up to 4 MiB; 0: 64 KiB. Requests above it are mapped as asked for. */
    unsigned flags;  /* WEFT_VAT_... */
} weft_vat_kind;

enum {
    WEFT_VAT_ARENA = 1,  /* freeing and shrinking give nothing back before the lane's death; allocating is adding to a
                          * pointer */
    WEFT_VAT_SHARED = 2, /* with map NULL: memory shared with processes forked later */
    WEFT_VAT_HUGE = 4    /* with map NULL: huge pages, or where the system has none to give, pages that it may join */
};

/* Memory from one block of the caller's, for lanes that may have just that: fills *out. The block must outlive the
 * lanes and is an ordinary piece of memory again after them. It is cut at multiples of 64 KiB, so up to 64 KiB at its
 * beginning and as much at its end are lost; its books take a page. flags: 0 or WEFT_VAT_ARENA. 0; -EINVAL; -ENOMEM:
 * the block has no room for one piece. */
WEFT_API int weft_vat_block(weft_vat_kind *out, void *block, size_t size, unsigned flags);

/* Memory shared with child processes, and memory on huge pages (2 MiB at a time): for weft_lane_options.vat. Where the
 * environment has no map_as, spawning such a lane answers -ENOTSUP. What the allocator writes between the blocks of a
 * shared vat is shared as well: the other process may use the blocks, and must not write elsewhere. */
WEFT_API const weft_vat_kind *weft_vat_shared(void);
WEFT_API const weft_vat_kind *weft_vat_huge(void);

#ifdef __cplusplus
}
#endif
#endif
