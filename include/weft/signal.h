/* Process signals as something a fiber waits for. */
#ifndef WEFT_SIGNAL_H
#define WEFT_SIGNAL_H

#include <weft/runtime.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Waits until one of the signals arrives (numbers, ended by 0) and returns its number. From the first call on the
 * process no longer dies of them; one that arrives while nobody waits is kept for the next call. -ETIMEDOUT;
 * -ECANCELED; -EINVAL no signals, or one that cannot be caught; -ENOTSUP the environment has no signals. Fibers only
 * (-EPERM), one at a time in a runtime, and each signal for one runtime of the process (-EBUSY). */
WEFT_API int weft_signal_wait(const int *signals, int64_t deadline);

#ifdef __cplusplus
}
#endif
#endif
