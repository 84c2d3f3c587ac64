/* Owns the hook that named atomic operations call in builds with WEFT_POINTS. The simulator sets it before anything
 * runs and clears it after everything has ended; nobody else writes it, so it needs no ordering. In other builds
 * nothing calls it, and the symbol is here so that the simulator links the same way in both. */
#include "base/atomic.h"

extern void (*weft__point_hook)(const char *name);
void (*weft__point_hook)(const char *name);
