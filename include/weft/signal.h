/* Process signals as something a fiber waits for. */
#ifndef WEFT_SIGNAL_H
#define WEFT_SIGNAL_H

#include <weft/runtime.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Waits until one of the signals arrives (numbers, ended by 0) and returns its number. From the first call on the process no longer dies of them;
 * one that arrives while nobody waits is kept for the next call. -ETIMEDOUT, -ECANCELED, -EINVAL a signal that cannot be caught. Fibers only,
 * one at a time (-EBUSY). */
WEFT_API int weft_signal_wait(const int *signals, int64_t deadline);

#ifdef __cplusplus
}
#endif
#endif
